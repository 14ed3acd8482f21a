"""The exchange behind a listing: Interactive Brokers' name to the exchange whose sessions count. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Market", "exchange_name", "home_market", "market_at"]


class Market(NamedTuple):
    """An exchange: ISO 10383 code of its calendar, and the currency of its shares and its banks."""

    calendar: str
    currency: str


_US = Market("XNYS", "USD")
_XETRA = Market("XETR", "EUR")  # closed on every day on which Euronext, or TARGET, is closed
_LONDON, _ZURICH, _TOKYO = Market("XLON", "GBP"), Market("XSWX", "CHF"), Market("XTKS", "JPY")

_BY_CURRENCY = {
    "USD": _US,
    "EUR": _XETRA,
    "GBP": _LONDON,
    "JPY": _TOKYO,
    "CAD": Market("XTSE", "CAD"),
    "CHF": _ZURICH,
    "HKD": Market("XHKG", "HKD"),
    "AUD": Market("XASX", "AUD"),
    "MXN": Market("XMEX", "MXN"),
}
"""Market of shares in a currency, where their listing is not known."""

_BY_EXCHANGE = {
    **dict.fromkeys(("NYSE", "NASDAQ", "ISLAND", "ARCA", "AMEX", "BATS", "IEX", "PINK"), _US),
    **dict.fromkeys(("IBIS", "IBIS2"), _XETRA),
    **dict.fromkeys(("FWB", "FWB2"), Market("XFRA", "EUR")),
    **dict.fromkeys(("LSE", "LSEETF", "LSEIOB1"), _LONDON),
    "EBS": _ZURICH,
    "TSEJ": _TOKYO,
    "SBF": Market("XPAR", "EUR"),
    "AEB": Market("XAMS", "EUR"),
    "ENEXT": Market("XBRU", "EUR"),
    "BVL": Market("XLIS", "EUR"),
    "BVME": Market("XMIL", "EUR"),
    "BM": Market("XMAD", "EUR"),
    "VSE": Market("XWBO", "EUR"),
    "HEX": Market("XHEL", "EUR"),
    "SFB": Market("XSTO", "SEK"),
    "CPH": Market("XCSE", "DKK"),
    "OSE": Market("XOSL", "NOK"),
    "TSE": _BY_CURRENCY["CAD"],
    "VENTURE": _BY_CURRENCY["CAD"],
    "SEHK": _BY_CURRENCY["HKD"],
    "ASX": _BY_CURRENCY["AUD"],
    "MEXI": _BY_CURRENCY["MXN"],
    "SGX": Market("XSES", "SGD"),
}
"""Market of an exchange, by Interactive Brokers' name up to the first period (``BVME.ETF`` is ``BVME``)."""

_OTHERS = frozenset({"OSE.JPN"})  # Osaka, whose derivatives trade on holidays of Tokyo; OSE alone is Oslo


def exchange_name(exchange: str) -> str:
    """Interactive Brokers' name of an exchange without what follows a period, as contracts have it.

    Examples
    --------
    >>> exchange_name("enext.be"), exchange_name("OSE.JPN")
    ('ENEXT', 'OSE.JPN')
    """
    name = exchange.strip().upper()
    return name if name in _OTHERS else name.partition(".")[0]


def market_at(exchange: str) -> Market | None:
    """Market of an exchange by Interactive Brokers' name; None for one that is not known, and for ``SMART``.

    Examples
    --------
    >>> market_at("BVME.ETF"), market_at("OSE"), market_at("OSE.JPN")
    (Market(calendar='XMIL', currency='EUR'), Market(calendar='XOSL', currency='NOK'), None)
    """
    return _BY_EXCHANGE.get(exchange_name(exchange))


def home_market(currency: str) -> Market | None:
    """Market of shares in ``currency`` whose listing is not known; None for a currency without one.

    Examples
    --------
    >>> home_market("GBP"), home_market("SGD")
    (Market(calendar='XLON', currency='GBP'), None)
    """
    return _BY_CURRENCY.get(currency)
