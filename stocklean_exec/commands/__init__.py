"""Commands of the command line that are more than a call of the library; :mod:`~stocklean_exec.cli` parses them.

Begin with ``notification``: the message that says how a run from cron went.
"""
