"""The simulated exchange: accounts, contracts, orders, executions, and the services that answer about them.

Begin with ``venue``; ``order_entry`` takes orders, ``trading`` fills them, ``order_reports`` sends what became of
them. May import scenarios and the protocol.
"""
