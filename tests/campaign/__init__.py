"""The crash campaign: real processes, the real client, real sockets and files, killed over and over.

Each seed is one run: a worker process plans, approves and submits orders through ib_async to a simulator in a
process of its own; it is killed at a named point or at a random time while the wire plays up; others resume the
run and may be killed too; the last one is left alone. Then the checker compares the blotter with the simulator's
own journal. ``python -m tests.campaign`` runs it, ``--seed S`` replays one run.
"""
