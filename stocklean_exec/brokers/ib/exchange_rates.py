"""Exchange rates from quotes of currency pairs at IDEALPRO, for currencies of which the account has no rate.

TWS has a pair in its conventional direction alone (EUR.USD, USD.JPY), and some currencies only against the US
dollar: a rate is the mid of the pair, its inverse, or the product of two legs through the dollar.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from stocklean_exec.brokers.base import ExchangeRate
from stocklean_exec.brokers.ib.instruments import Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stocklean_exec.brokers.ib.market_data import MarketConnection, MarketDataService

__all__ = ["exchange_rates", "rate_routes"]

_VENUE, _PIVOT = "IDEALPRO", "USD"
_FIRST_NAMED = ("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF")
"""Currencies in the market's convention of which one is named first in a pair; all others come after these."""


class _Leg(NamedTuple):
    """A currency pair, and whether its price is to be inverted."""

    first: str
    second: str
    is_inverse: bool

    @property
    def instrument(self) -> Instrument:
        return Instrument(self.first, "CASH", _VENUE, self.second)


def rate_routes(currency: str, base: str) -> list[tuple[_Leg, ...]]:
    """Routes to the rate of ``currency`` in ``base``, the likeliest first.

    Examples
    --------
    >>> [[(one.first, one.second, one.is_inverse) for one in route] for route in rate_routes("JPY", "USD")]
    [[('USD', 'JPY', True)], [('JPY', 'USD', False)]]
    """
    direct = _Leg(currency, base, is_inverse=False), _Leg(base, currency, is_inverse=True)
    conventional, other = sorted(direct, key=_order)
    routes: list[tuple[_Leg, ...]] = [(conventional,), (other,)]
    if _PIVOT not in (currency, base):
        routes.append((*rate_routes(currency, _PIVOT)[0], *rate_routes(_PIVOT, base)[0]))
    return routes


def _order(leg: _Leg) -> int:
    return _FIRST_NAMED.index(leg.first) if leg.first in _FIRST_NAMED else len(_FIRST_NAMED)


async def exchange_rates(
    market: MarketDataService, connection: MarketConnection, currencies: Sequence[str], base: str
) -> dict[str, ExchangeRate]:
    """Rates of ``currencies`` in ``base`` by the first route that has quotes; those without one are missing."""
    routes = {currency: rate_routes(currency, base) for currency in currencies}
    found: dict[str, ExchangeRate] = {}
    for attempt in range(max(map(len, routes.values()), default=0)):
        open_routes = {
            name: ways[attempt] for name, ways in routes.items() if name not in found and attempt < len(ways)
        }
        legs = dict.fromkeys(leg.instrument for route in open_routes.values() for leg in route)
        quotes = await market.quotes(connection, list(legs), strict=False)
        mids = _mids(quotes)
        for name, route in open_routes.items():
            known = [(leg, mids[leg.first, leg.second]) for leg in route if (leg.first, leg.second) in mids]
            if len(known) == len(route):
                rate = math.prod(1 / mid if leg.is_inverse else mid for leg, (mid, _) in known)
                found[name] = ExchangeRate(rate, _oldest(at for _, (_, at) in known))
    return found


def _mids(quotes: pd.DataFrame) -> dict[tuple[str, str], tuple[float, pd.Timestamp]]:
    """Mid and time of each pair that is quoted on both sides, and not crossed."""
    fine = quotes[(quotes["bid"] > 0) & (quotes["ask"] >= quotes["bid"])]
    mids = ((fine["bid"] + fine["ask"]) / 2).tolist()
    pairs = zip(fine["symbol"].tolist(), fine["currency"].tolist(), strict=True)
    return dict(zip(pairs, zip(mids, fine["quoted_at"].tolist(), strict=True), strict=True))


def _oldest(times: Iterable[pd.Timestamp]) -> pd.Timestamp | None:
    """The oldest of these times; None if one of them is unknown."""
    known = list(times)
    return None if any(pd.isna(time) for time in known) else min(known)
