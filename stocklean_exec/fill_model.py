"""The fill model: how a market executes an order, shared by the mock broker and the wire simulator.

Pure functions without a clock, socket or random generator: all variation is a function of a seed and of names, so
that a scenario gives the same executions in every process and in any order.

The rule: a market order fills at the far touch, in several executions where it is larger than the quoted size; so
does a limit order that is marketable; any other limit order rests. A quote without a bid and an ask trades at its
last price, or else at its close.

Quantities are shares, prices are in the instrument's currency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

__all__ = ["Execution", "Quote", "far_touch", "is_marketable", "match", "split", "unit_interval"]

Side = Literal["BUY", "SELL"]

_HIGHEST = 1e9  # no share costs a billion; TWS's sentinels for "no value" are above it

MAX_EXECUTIONS = 20
"""Maximum executions of one order, however small the quoted size is; a stated choice to keep scenarios small."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The market in one symbol; NaN is unknown."""

    bid: float = math.nan
    ask: float = math.nan
    last: float = math.nan
    close: float = math.nan
    bid_size: float = math.nan
    ask_size: float = math.nan


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade: ``quantity`` shares at ``price``. ``liquidity`` is 1 when it added, 2 when it removed."""

    quantity: float
    price: float
    liquidity: int = 2


def far_touch(side: Side, quote: Quote) -> tuple[float, float] | None:
    """Price and size that an order of ``side`` can trade against now; None without any usable price.

    Examples
    --------
    >>> far_touch("BUY", Quote(bid=99.9, ask=100.1, ask_size=300))
    (100.1, 300)
    >>> far_touch("SELL", Quote(last=123.0))
    (123.0, inf)
    >>> far_touch("SELL", Quote(ask=100.1)) is None
    True
    """
    price, size = (quote.ask, quote.ask_size) if side == "BUY" else (quote.bid, quote.bid_size)
    if _usable(price):
        return price, size if size > 0 else math.inf
    if _usable(quote.bid) or _usable(quote.ask):
        return None  # a one-sided market: there is no liquidity on the side that this order needs
    for fallback in (quote.last, quote.close):
        if _usable(fallback):
            return fallback, math.inf
    return None


def _usable(price: float) -> bool:
    return 0 < price < _HIGHEST


def is_marketable(side: Side, limit_price: float, price: float) -> bool:
    """Whether a limit order of ``side`` may trade at ``price``. A NaN limit is a market order."""
    if math.isnan(limit_price):
        return True
    return price <= limit_price if side == "BUY" else price >= limit_price


def split(quantity: float, size: float) -> list[float]:
    """Split ``quantity`` into executions of at most ``size`` shares, at most :data:`MAX_EXECUTIONS` of them.

    All parts but the last are whole shares, and the last is whole where ``quantity`` is, so that they add up
    to ``quantity``: a whole one exactly. A size below one share counts as one.

    Examples
    --------
    >>> split(250, 100)
    [100.0, 100.0, 50.0]
    >>> split(10.5, 1e9)
    [10.5]
    >>> len(split(1_000_000, 1))
    20
    """
    if not size < quantity:
        return [float(quantity)]
    part = float(max(math.floor(size), math.ceil(quantity / MAX_EXECUTIONS)))
    whole_parts = math.ceil(quantity / part) - 1
    return [part] * whole_parts + [round(quantity - part * whole_parts, 8)]


def match(side: Side, quantity: float, limit_price: float, quote: Quote) -> list[Execution]:
    """Immediate executions of ``quantity`` shares against ``quote``; empty when the order rests.

    Parameters
    ----------
    side : ``BUY`` or ``SELL``
    quantity : shares still open
    limit_price : NaN for a market order
    quote : the current market

    Examples
    --------
    >>> match("BUY", 250, float("nan"), Quote(bid=99.9, ask=100.1, bid_size=200, ask_size=200))
    [Execution(quantity=200.0, price=100.1, liquidity=2), Execution(quantity=50.0, price=100.1, liquidity=2)]
    >>> match("BUY", 250, 100.0, Quote(bid=99.9, ask=100.1))
    []
    """
    touch = far_touch(side, quote)
    if touch is None or not is_marketable(side, limit_price, touch[0]):
        return []
    price, size = touch
    return [Execution(part, price) for part in split(quantity, size)]


def unit_interval(seed: int, *names: object) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``names`` alone: the same in every process and order.

    Examples
    --------
    >>> 0 <= unit_interval(7, "run-1-SPY-BUY", 1) < 1
    True
    >>> unit_interval(7, "a") == unit_interval(7, "a") != unit_interval(8, "a")
    True
    """
    digest = sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
