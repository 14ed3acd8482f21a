"""Transaction cost analysis: what a run cost, against which benchmark, and how much of it was filled.

Measures are pure functions over arrays; ``api`` is the public interface, ``sources`` reads a blotter, an export or
Parquet files. May import the blotter's reader, the schema and the database module. Begin with ``api``, then
``inputs``.
"""
