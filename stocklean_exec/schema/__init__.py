"""Tables, columns, and the validation of everything that a caller hands in.

Holds the declaration of every table (:mod:`~stocklean_exec.schema.tables`), the validator of frames and the inputs
built on it, client order ids, account ids, prices and paths. Pure except for reading files. May import errors, the
clock and the database module. Begin with ``tables``, then ``frame_validator`` and ``inputs``.
"""
