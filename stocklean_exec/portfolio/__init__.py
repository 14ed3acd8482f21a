"""From target weights to whole-share orders: alignment, sizing, rounding, and what a plan does to the book.

Pure functions over frames and arrays: no I/O, no clock. May import the schema. Begin with
:func:`~stocklean_exec.plan_orders`.
"""
