"""Spot currency pairs (CASH contracts on IDEALPRO): which exist, their quotes, smallest sizes and commission.

A pair is traded in units of its first currency and paid in the second: buying 10,000 EUR.USD at 1.06 adds 10,000
EUR and takes 10,600 USD. Only conventional pairs exist, such as EUR.USD and USD.JPY, never USD.EUR. The pairs of
the currencies that the settings name are listed with a quote around their rate, unless the quotes list them.

Pure. Source: Interactive Brokers, "Spot Currency Minimum/Maximum Order Sizes" and "Commissions: Spot Currencies",
as known in 2026.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.scenarios.listings import Listing, is_conventional
from stocklean_exec.simulator.scenarios.quotes import round_to_tick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.simulator.exchange.rates import Rates

__all__ = ["MINIMA", "around", "pair_commission", "pair_listings", "pair_tick", "rate_from"]

MINIMA = {
    **dict.fromkeys(("USD", "AUD", "CAD", "CHF"), 25_000),
    **dict.fromkeys(("EUR", "GBP"), 20_000),
    **dict.fromkeys(("NZD", "SGD"), 35_000),
    **dict.fromkeys(("CNH", "DKK", "NOK"), 150_000),
    "SEK": 175_000,
    "HKD": 200_000,
    "MXN": 300_000,
    "ZAR": 350_000,
    "JPY": 2_500_000,
}
"""Smallest full-sized order, in units of the first currency. A smaller one is accepted as an odd lot."""
_RATE, _MINIMUM_USD = 0.00002, 2.0  # 0.20 basis points of the value, at least 2 US dollars
_TICK, _YEN_TICK = 0.00005, 0.005
_SHOWN = 1e6  # a choice: shown at both sides, in units of the first currency


def pair_tick(currency: str) -> float:
    """Step of the quotes of a pair that is paid in ``currency``."""
    return _YEN_TICK if currency == "JPY" else _TICK


def around(middle: float, currency: str) -> Quote:
    """A quote of one tick on both sides of ``middle``; a pair has no last trade.

    Examples
    --------
    >>> around(1.06, "USD")
    Quote(bid=1.05995, ask=1.06005, last=nan, close=nan, bid_size=1000000.0, ask_size=1000000.0)
    """
    tick = pair_tick(currency)
    centre = max(round_to_tick(middle, tick), 2 * tick)
    bid, ask = round_to_tick(centre - tick, tick), round_to_tick(centre + tick, tick)
    return Quote(bid, ask, bid_size=_SHOWN, ask_size=_SHOWN)


def pair_listings(rates: Rates, currencies: Iterable[str], listed: Iterable[Listing]) -> list[Listing]:
    """The conventional pairs of ``currencies`` that are not ``listed``, quoted at their rates."""
    known = {one.key for one in listed if one.sec_type == "CASH"}
    pairs = combinations(sorted(set(currencies)), 2)
    ordered = [(a, b) if is_conventional(a, b) else (b, a) for a, b in pairs]
    return [
        Listing(a, around(rates[a] / rates[b], b), f"{a}.{b}", b, sec_type="CASH")
        for a, b in ordered
        if f"{a}.{b}" not in known
    ]


def rate_from(quote: Quote, first: str, second: str, base: str) -> tuple[str, float] | None:
    """The other currency of a pair with the base currency, and its rate at the middle of the quote.

    Examples
    --------
    >>> rate_from(around(1.25, "USD"), "GBP", "USD", "GBP"), rate_from(around(1.25, "USD"), "GBP", "USD", "EUR")
    (('USD', 0.8), None)
    """
    middle = (quote.bid + quote.ask) / 2
    if base not in {first, second} or not math.isfinite(middle):
        return None
    return (first, middle) if second == base else (second, 1 / middle)


def pair_commission(rates: Rates, currency: str, quantity: float) -> float:
    """Commission of an order for ``quantity`` units of ``currency``, in the base currency.

    Examples
    --------
    >>> from stocklean_exec.simulator.exchange.rates import Rates
    >>> pair_commission(Rates("GBP", {"USD": 0.8, "EUR": 0.87}), "EUR", 200_000)  # 174,000 pounds
    3.48
    >>> pair_commission(Rates("GBP", {"USD": 0.8, "EUR": 0.87}), "EUR", 1_000)  # 2 dollars
    1.6
    """
    if quantity <= 0:
        return 0.0
    dollar = rates["USD"] if "USD" in set(rates) else 1.0
    return round(max(_RATE * quantity * rates[currency], _MINIMUM_USD * dollar), 6)
