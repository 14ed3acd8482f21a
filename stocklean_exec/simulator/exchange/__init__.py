"""The simulated exchange: accounts, contracts, orders, executions, and the services that handle requests.

Start with ``venue``; ``order_entry`` accepts orders, ``trading`` fills them, ``order_reports`` sends their
reports. May import scenarios and the protocol.
"""
