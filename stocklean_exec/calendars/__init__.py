"""When markets trade: sessions of exchanges, cut-offs of their auctions, and the trading hours of contracts.

Sessions are those of `exchange_calendars`, loaded when the first one is asked for. Begin with
:func:`~stocklean_exec.market_hours`, then ``sessions``.
"""
