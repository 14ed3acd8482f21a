"""Executions of an open order against the current quote: the shared fill rule, plus the order types of TWS.

Pure. Market orders and marketable limit orders fill at the far touch, in parts of the displayed size
(:mod:`stocklean_exec.fill_model`). A resting limit order that the market moves through is the passive side: it
trades at its own limit, however far the touch moves, because the aggressor pays the resting price. It trades at
the touch only at an opening, and after a modification that crosses the market. Auction orders fill only during the
auction (:mod:`~stocklean_exec.simulator.exchange.auctions`), or at once where the venue has none. MIDPRICE trades
at the mid price, no worse than its cap, and at the touch without a two-sided quote. REL is a limit order at the
near touch and its offset. MTL takes what is displayed, and rests with its rest at that price. A triggered stop
becomes a market or limit order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import Execution, Quote, is_marketable, match, split
from stocklean_exec.simulator.exchange.order_terms import is_for_auction

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.orders import Order

__all__ = ["at_auction", "executions_now", "pegged_price"]


def at_auction(order: Order) -> bool:
    """Whether the order is for the opening or closing auction."""
    return is_for_auction(order.request)


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
    if request.order_type == "REL" and math.isnan(order.working_limit):
        return []
    if request.order_type == "MIDPRICE" and quote.bid > 0 and quote.ask > 0:
        return _at_middle(order, quote)
    found = match(request.side, order.remaining, limit, quote)
    if request.order_type == "MTL" and math.isnan(limit):
        return found[:1]
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


def pegged_price(order: Order, quote: Quote) -> float:
    """The limit of a relative order now: the near touch, more aggressive by its offset; NaN while it is not known.

    Without bid and ask the last trade counts as the near touch. Of an amount and a percentage the larger offset
    counts. Through SMART it follows the market only towards a more aggressive price, directed it follows both
    ways. Its cap, where it has one, is never passed. Rounded to the tick on the passive side.

    Source: TWS API documentation, "Relative (a.k.a. Pegged-to-Primary)".
    """
    request, contract = order.request, order.contract
    buys = request.side == "BUY"
    near = quote.bid if buys else quote.ask
    if not (quote.bid > 0 or quote.ask > 0):
        near = quote.last
    if not near > 0:
        return order.working_limit
    amounts = (request.aux_price, near * request.detail("percentOffset"))
    offset = max((one for one in amounts if one > 0), default=0.0)
    tick = contract.min_tick
    steps = (near + offset if buys else near - offset) / tick
    price = (math.floor(steps + 1e-6) if buys else math.ceil(steps - 1e-6)) * tick
    candidates = [round(price, 10)]
    if (request.contract.exchange or contract.exchange) == "SMART" and not math.isnan(order.working_limit):
        candidates.append(order.working_limit)
    best = max(candidates) if buys else min(candidates)
    if not request.limit_price > 0:
        return best
    return min(best, request.limit_price) if buys else max(best, request.limit_price)
