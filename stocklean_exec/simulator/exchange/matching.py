"""Executions of an open order against the current quote: the shared fill rule, plus the order types of TWS.

Pure. Market orders and marketable limit orders fill at the far touch, in parts of the displayed size
(:mod:`stocklean_exec.fill_model`). A resting limit order that the market moves through is the passive side: it
trades at its own limit, however far the touch moves, because the aggressor pays the resting price. It trades at
the touch only at an opening, and after a modification that crosses the market. Auction orders fill only during the
auction. MIDPRICE trades at the mid price, no worse than its cap, and at the touch without a two-sided quote. A
triggered stop becomes a market or limit order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import Execution, Quote, is_marketable, match, split

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.orders import Order

__all__ = ["at_auction", "executions_now", "is_triggered"]

_AUCTION_TYPES = frozenset({"MOC", "LOC"})


def at_auction(order: Order) -> bool:
    """Whether the order is for the opening or closing auction."""
    return order.request.order_type in _AUCTION_TYPES or order.request.tif == "OPG"


def executions_now(order: Order, quote: Quote, *, auction: bool, passive: bool = False) -> list[Execution]:
    """Executions of the remaining quantity of ``order`` at the current quote; empty when it rests.

    Parameters
    ----------
    order : an order that is not held
    quote : current quote of its symbol
    auction : whether auction orders may trade
    passive : whether the order was resting when the quote changed
    """
    if at_auction(order) and not auction:
        return []
    request, limit = order.request, order.limit
    if request.order_type == "MIDPRICE" and quote.bid > 0 and quote.ask > 0:
        return _at_middle(order, quote)
    found = match(request.side, order.remaining, limit, quote)
    if passive and not math.isnan(limit) and not at_auction(order):
        return [Execution(one.quantity, limit, 1) for one in found]
    return found


def _at_middle(order: Order, quote: Quote) -> list[Execution]:
    request = order.request
    middle = round((quote.bid + quote.ask) / 2, 6)
    if not is_marketable(request.side, order.limit, middle):
        return []
    size = quote.ask_size if request.side == "BUY" else quote.bid_size
    parts = split(order.remaining, size if size > 0 else math.inf)
    return [Execution(part, middle) for part in parts]


def is_triggered(order: Order, quote: Quote) -> bool:
    """Whether a stop is triggered: a buy stop by the ask at or above it, a sell stop by the bid at or below it."""
    if order.triggered:
        return True
    stop = order.request.aux_price
    if order.request.side == "BUY":
        price = quote.ask if quote.ask > 0 else quote.last
        return price >= stop
    price = quote.bid if quote.bid > 0 else quote.last
    return price <= stop
