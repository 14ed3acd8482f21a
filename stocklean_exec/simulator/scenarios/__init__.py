"""What a run of the simulator should be like, as data: quotes, order steps, faults, options, and TOML files.

May import the protocol's field layouts and requests. Begin with ``scenario``.
"""
