"""Pre-trade checks: limits, the rules that apply them to orders, and the findings.

May import the portfolio's order costs, the blotter and the schema. Begin with
:func:`~stocklean_exec.check_orders`, then ``rules``.
"""
