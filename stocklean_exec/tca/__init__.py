"""Transaction cost analysis: what a run cost, against which benchmark, and how much of it was done.

Measures are pure functions over arrays; ``api`` is what a user calls, ``sources`` reads a blotter, an export or
Parquet files. May import the blotter's reader, the schema and the database module. Begin with ``api``, then
``inputs``.
"""
