"""What the market gives an open order now, by its type: the shared fill rule with TWS's order types on top.

Pure. A market order fills at the far touch and a marketable limit order likewise, in parts of the size shown
(:mod:`stocklean_exec.fill_model`). A limit order that stands in the book when the market comes to it is the
passive side: it trades at its own limit, however far the touch moves through it, because whoever comes pays
the price that stands there. Only at an opening, and after new terms that cross the market, does it take the
touch. Orders for an auction fill only when the auction is on. MIDPRICE trades at the middle, no worse than
its cap, and at the touch where there is no two-sided quote. A stop becomes what it stands for once it is
triggered.
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
    """Whether the order waits for the open or the close."""
    return order.request.order_type in _AUCTION_TYPES or order.request.tif == "OPG"


def executions_now(order: Order, quote: Quote, *, auction: bool, passive: bool = False) -> list[Execution]:
    """Executions that the open part of ``order`` gets at once; empty when it must rest.

    Parameters
    ----------
    order : an order that nothing holds back
    quote : the market of its symbol
    auction : whether orders for the open and the close may trade
    passive : whether the order stands in the book and the market comes to it
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
    """Whether a stop has been reached: a buy from below by the ask, a sale from above by the bid."""
    if order.triggered:
        return True
    stop = order.request.aux_price
    if order.request.side == "BUY":
        price = quote.ask if quote.ask > 0 else quote.last
        return price >= stop
    price = quote.bid if quote.bid > 0 else quote.last
    return price <= stop
