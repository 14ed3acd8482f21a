"""What a snapshot of TWS says: which ticks are prices, when they were made, and whether trading is halted. Pure.

Level 1 data has no time of a bid or an ask. A live two-sided quote that came in answer to this request is as old
as its receipt; a last trade has the time that TWS gives with it; what is frozen has no known time. Delayed data
has the time of the trade that it shows, if TWS gives one. Sources: TWS API documentation, "Tick types" (45, 49,
88, 90) and "Market data types".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stocklean_exec.brokers.ib.translate import price_or_nan

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Answer", "Prices", "halted", "prices_of", "time_of"]

_LIVE, _DELAYED = 1, 3  # market data types of TWS; 2 is frozen, 4 delayed and frozen


@dataclass(frozen=True, slots=True)
class Answer:
    """The ticks of one snapshot, as TWS sent them.

    ``data_type`` is 1 for live, 2 frozen, 3 delayed, 4 delayed and frozen.
    ``last_at`` is the time of the last trade (tick 45), ``delayed_last_at`` of the delayed one (88), ``halt`` the
    number of tick 49 or 90; None for what did not come.
    """

    bid: float
    ask: float
    last: float
    close: float
    bid_size: float
    ask_size: float
    data_type: int
    received_at: datetime
    last_at: datetime | None = None
    delayed_last_at: datetime | None = None
    halt: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices and sizes of an answer; NaN for what is none."""

    bid: float
    ask: float
    last: float
    close: float
    bid_size: float
    ask_size: float


def prices_of(answer: Answer) -> Prices:
    """The prices of an answer: above 0, and a bid or an ask only with a size.

    TWS sends -1, or a multiple of it such as -100, and a size of 0 where there is no quote.
    """
    bid_size, ask_size = price_or_nan(answer.bid_size), price_or_nan(answer.ask_size)
    return Prices(
        bid=math.nan if math.isnan(bid_size) else price_or_nan(answer.bid),
        ask=math.nan if math.isnan(ask_size) else price_or_nan(answer.ask),
        last=price_or_nan(answer.last),
        close=price_or_nan(answer.close),
        bid_size=bid_size,
        ask_size=ask_size,
    )


def time_of(answer: Answer) -> tuple[datetime | None, str]:
    """When the price of an answer was made, None if unknown, and which time that is.

    Returns
    -------
    time, and ``received`` (of the answer), ``last_trade`` or ``unknown``
    """
    prices = prices_of(answer)
    stamp = None
    if answer.data_type == _LIVE:
        if not (math.isnan(prices.bid) or math.isnan(prices.ask)):
            return answer.received_at, "received"
        stamp = None if math.isnan(prices.last) else answer.last_at
    elif answer.data_type == _DELAYED:
        stamp = answer.delayed_last_at
    return (None, "unknown") if stamp is None else (stamp, "last_trade")


def halted(answer: Answer) -> bool | None:
    """Whether trading is halted: 1 and 2 say so, 0 that it is not; -1, and silence, that it is not known."""
    if answer.halt is None or answer.halt < 0:
        return None
    return answer.halt > 0
