"""Several strategies in one account: how an order, its fills and its fees are divided between them. Pure.

May import the schema alone. Begin with :func:`~stocklean_exec.attribute_fills`; ``apportionment`` has the rule,
and ``division`` applies it to one netted order.
"""
