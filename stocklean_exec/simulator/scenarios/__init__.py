"""Scenarios of the simulator as data: quotes, order steps, faults, options, and TOML files.

May import the protocol's field layouts and requests. Start with ``scenario``.
"""
