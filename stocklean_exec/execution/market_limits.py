"""Limits on prices, applied again to the market at the time when the orders of a run are sent. Pure.

A plan may wait for its approval, for a halt to be cleared, or for cash, and the market may move meanwhile. The
quotes at arrival, which are read and recorded anyway, are compared with the prices of the plan.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stocklean_exec.schema.order_terms import STOPS
from stocklean_exec.schema.prices import mid_or_last

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.brokers.base import Ticket
    from stocklean_exec.risk.limits import Limits

__all__ = ["AT_ARRIVAL", "ArrivalPrice", "arrival_prices", "market_refusals"]

AT_ARRIVAL = ("price_collar", "max_quote_age")
"""The limits that are applied here."""

_DUST = 1e-9  # floating point noise of ratios


class ArrivalPrice(NamedTuple):
    """Mid, else last trade, of a symbol; its currency (None if unknown); age of the quote (NaN if unknown)."""

    price: float
    currency: str | None
    age: float


def arrival_prices(quotes: pd.DataFrame, now: datetime) -> dict[str, ArrivalPrice]:
    """Read the prices of a validated table of quotes; a previous close is not a current price.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from stocklean_exec.schema.inputs import parse_quotes
    >>> arrival_prices(parse_quotes({"SPY": 400.0}), datetime(2026, 11, 23, tzinfo=UTC))["SPY"]
    ArrivalPrice(price=400.0, currency=None, age=nan)
    """
    bid, ask, last = (quotes[name].to_numpy(dtype="float64") for name in ("bid", "ask", "last"))
    prices = mid_or_last(bid, ask, last, np.full(len(quotes), math.nan)).tolist()
    currencies = [name if isinstance(name, str) else None for name in quotes["currency"].tolist()]
    ages = (now - quotes["quoted_at"]).dt.total_seconds().tolist()
    found = map(ArrivalPrice, prices, currencies, ages)
    return dict(zip(quotes["symbol"].tolist(), found, strict=True))


def market_refusals(
    tickets: Iterable[Ticket], prices: Mapping[str, ArrivalPrice], limits: Limits
) -> dict[str, tuple[str, str]]:
    """Find the orders that the present market does not allow.

    ``price_collar`` bounds the move of the price since the order was planned, and how far a limit is through the
    market. ``max_quote_age`` applies if it is a number; a quote of unknown time is then too old. A symbol without
    a price now is left to the broker.

    Returns
    -------
    Code and text by client order id: the codes of the checks.
    """
    found = {ticket.client_order_id: next(_refusals(ticket, prices, limits), None) for ticket in tickets}
    return {name: why for name, why in found.items() if why is not None}


def _refusals(ticket: Ticket, prices: Mapping[str, ArrivalPrice], limits: Limits) -> Iterator[tuple[str, str]]:
    now = prices.get(ticket.symbol)
    if now is None or math.isnan(now.price) or now.currency not in (None, ticket.currency):
        return
    name, most = ticket.client_order_id, limits.max_quote_age
    if isinstance(most, (int, float)) and not now.age <= most:
        age = "of unknown age" if math.isnan(now.age) else f"{now.age:,.0f} s old"
        yield "price_stale", f"{name}: the quote at sending is {age}, over the limit of {most:,.10g} s"
    if limits.price_collar is None:
        return
    base, name_of_base = now.price, "market"
    if ticket.order_type in STOPS:  # as in the check of the plan
        base, name_of_base = ticket.aux_price, "trigger"
    through = ticket.limit_price / base - 1
    through = through if ticket.side == "BUY" else -through
    if through > limits.price_collar + _DUST:
        text = (
            f"its limit of {ticket.limit_price:,.10g} is {through:.1%} through the {name_of_base} of {base:,.10g}"
        )
        yield "limit_collar", f"{name}: {text}, over the collar of {limits.price_collar:.1%}"
    moved = abs(now.price / ticket.reference_price - 1) if ticket.reference_price > 0 else math.nan
    if moved > limits.price_collar + _DUST:
        text = f"planned at {ticket.reference_price:,.10g}, and the market is now {now.price:,.10g}"
        yield "price_moved", f"{name}: {text}, {moved:.1%} away, over the collar of {limits.price_collar:.1%}"
