"""Interactive Brokers through ib_async: TWS, IB Gateway, or a simulator of them.

Only :mod:`~stocklean_exec.brokers.ib.client` imports ib_async. Begin with ``broker``, then ``connection`` and
``order_tracker``; ``translate`` holds the tables from what TWS says to order events.
"""
