"""Hours of markets and cut-offs of auctions, applied again as a run's orders leave.

A plan may wait for its approval, for a halt to be cleared, or for cash, and a market may close meanwhile. The time
is that of the broker's market, the hours those of :mod:`~stocklean_exec.risk.market_closed`.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.risk.market_closed import MarketWaits, market_waits, order_hours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stocklean_exec.brokers.base import Broker, Ticket
    from stocklean_exec.risk.limits import Limits

__all__ = ["AT_SESSION", "session_refusals"]

AT_SESSION = ("closed_market",)
"""The limit that is applied here."""

_COLUMNS = (
    "client_order_id",
    "symbol",
    "sec_type",
    "exchange",
    "primary_exchange",
    "currency",
    "con_id",
    "order_type",
    "tif",
    "outside_rth",
    "good_after",
)
_ON_CLOSE = ("MOC", "LOC")
_LISTING = ["symbol", "sec_type", "exchange", "primary_exchange", "currency", "con_id"]


async def session_refusals(
    tickets: Sequence[Ticket], broker: Broker, limits: Limits
) -> dict[str, tuple[str, str]]:
    """Find the orders whose market is closed, or whose auction takes no more orders.

    A closed market refuses an order only with ``closed_market="block"``: by any other choice a person has been
    warned of it, or was there to be. An auction that takes no more orders refuses them as in the check, unless it
    is ``"ignore"``; so does one that is over since the order was checked, although another one follows it.

    Parameters
    ----------
    tickets : orders that are to be sent

    Returns
    -------
    Code and text by client order id: ``market_closed`` and ``auction_cutoff``, as of the checks.
    """
    if limits.closed_market == "ignore" or broker.never_closes:
        return {}
    is_strict = limits.closed_market == "block"
    tickets = [one for one in tickets if is_strict or one.order_type in _ON_CLOSE or one.tif == "OPG"]
    if not tickets:  # the broker is not asked for what refuses no order
        return {}
    frame = pd.DataFrame(
        [[getattr(ticket, name) for name in _COLUMNS] for ticket in tickets], columns=list(_COLUMNS)
    )
    frame["primary_exchange"] = frame["primary_exchange"].replace("", None)
    reported = await asyncio.to_thread(broker.trading_hours, frame[_LISTING])
    at = await asyncio.to_thread(broker.market_time)
    waits = market_waits(frame, order_hours(frame, at, reported, broker.base_currency))
    if waits is None:
        return {}
    found = {
        ticket.client_order_id: next(_refusals(ticket, at, waits, row, limits), None)
        for row, ticket in enumerate(tickets)
    }
    return {name: why for name, why in found.items() if why is not None}


def _refusals(
    ticket: Ticket, at: datetime, waits: MarketWaits, row: int, limits: Limits
) -> Iterator[tuple[str, str]]:
    name, opens, cutoff = ticket.client_order_id, float(waits.opens[row]), float(waits.cutoff[row])
    if limits.closed_market == "block" and not math.isnan(opens):
        until = f"until {_after(at, opens)}" if math.isfinite(opens) else "for the next open, which is not known"
        yield "market_closed", f"{name}: its market is closed at {_shown(at)}, and the order would wait {until}"
    if cutoff <= 0:
        yield "auction_cutoff", f"{name}: its auction has taken no more orders since {_after(at, cutoff)}"
    if ticket.auction_until is not None and at >= ticket.auction_until:
        text = f"was checked for the auction that took orders until {_shown(ticket.auction_until)}"
        yield "auction_cutoff", f"{name} {text}, and it is {_shown(at)}: it would trade in a later one; plan again"


def _after(at: datetime, seconds: float) -> str:
    return _shown(datetime.fromtimestamp(at.timestamp() + seconds, UTC))


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
