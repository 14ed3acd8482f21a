"""Stops, touched orders and trailing stops: when they are triggered, and how a trailing stop follows the market.

Pure. A stop is triggered by a price at or beyond it, against the order: a buy stop from below. A touched order
(MIT, LIT) is triggered in its favour: a buy from above. The price is by default that of the last trade, as IB
documents for stocks (:meth:`~stocklean_exec.simulator.scenarios.quotes.Market.last_price`); without any trade it
is the quote that the order would trade at. ``triggerMethod`` chooses another.

A trailing stop follows the market in the order's favour, never back.

Source: TWS API documentation, "Trigger methods", "Trailing stop", "Market if touched"; a captured trailing stop.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange.order_terms import TOUCHED, TRAILING, trailing_amount

if TYPE_CHECKING:
    from stocklean_exec.fill_model import Quote
    from stocklean_exec.simulator.exchange.orders import Order

__all__ = ["TRIGGER_METHODS", "follow", "is_triggered", "limit_behind_stop"]

_LAST, _BID_ASK, _LAST_OR_BID_ASK, _MIDDLE = 2, 4, 7, 8  # TWS API, "Trigger methods"
TRIGGER_METHODS = {0: _LAST, 1: _BID_ASK, 2: _LAST, 3: _LAST, 4: _BID_ASK, 7: _LAST_OR_BID_ASK, 8: _MIDDLE}
"""Methods by their number on the wire. The double ones (1, 3) ask for two quotes in a row; here one is enough."""


def is_triggered(order: Order, quote: Quote, last: float = math.nan) -> bool:
    """Whether a stop or touched order is triggered, now or before.

    Parameters
    ----------
    order : an order of a type that waits for a trigger
    quote : current quote of its symbol
    last : price of the last trade; NaN when there was none
    """
    if order.triggered:
        return True
    request = order.request
    trigger = order.trail if request.order_type in TRAILING else request.aux_price
    from_below = (request.side == "BUY") != (request.order_type in TOUCHED)
    prices = [price for price in _prices(order, quote, last) if price > 0]
    return any(price >= trigger if from_below else price <= trigger for price in prices)


def _prices(order: Order, quote: Quote, last: float) -> list[float]:
    """The prices that may trigger the order."""
    stated = order.request.detail("triggerMethod")
    method = TRIGGER_METHODS.get(0 if math.isnan(stated) else int(stated), _LAST)
    if method == _MIDDLE:
        return [(quote.bid + quote.ask) / 2]
    buys = order.request.side == "BUY"
    # TWS API, "Trigger methods": by bid/ask, the bid for a buy stop, the ask for a sell stop.
    side = quote.bid if buys else quote.ask
    if method == _BID_ASK:
        return [side]
    if method == _LAST_OR_BID_ASK:
        return [last, side]
    far = quote.ask if buys else quote.bid
    return [last if last > 0 else far if far > 0 else quote.last]


def follow(order: Order, quote: Quote, last: float) -> None:
    """Set the stop of a trailing order: first from the market or the given start, then nearer to the market.

    Examples
    --------
    A sell order 2.00 behind: the stop rises with the market, and stays when it falls.

    >>> from stocklean_exec.fill_model import Quote
    >>> from stocklean_exec.simulator.exchange.contracts import make_contract
    >>> from stocklean_exec.simulator.exchange.orders import Order
    >>> from stocklean_exec.simulator.protocol.order_request import OrderRequest
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> request = OrderRequest(1, ContractSpec(symbol="SPY"), "SELL", 10, "TRAIL", math.nan, 2.0, "DAY")
    >>> order, stops = Order(1, request, make_contract("SPY"), "DU1", 7, 0.0), []
    >>> for price in (400.0, 410.0, 405.0):
    ...     follow(order, Quote(last=price), price)
    ...     stops.append(order.trail)
    >>> stops
    [398.0, 408.0, 408.0]
    """
    request = order.request
    if request.order_type not in TRAILING or order.triggered:
        return
    price = _market_price(quote, last)
    distance = trailing_amount(request, price)
    buys = request.side == "BUY"
    stop = round(price + distance if buys else price - distance, 10)
    start = request.detail("trailStopPrice")
    if math.isnan(order.trail):
        order.trail = start if start > 0 else stop
    elif stop > 0:
        order.trail = min(order.trail, stop) if buys else max(order.trail, stop)


def _market_price(quote: Quote, last: float) -> float:
    middle = (quote.bid + quote.ask) / 2
    prices = (last, middle, quote.bid, quote.ask, quote.close)
    return next((price for price in prices if price > 0), math.nan)


def limit_behind_stop(order: Order) -> float:
    """The limit of a triggered trailing limit order: its offset behind the stop; NaN for any other type.

    Without an offset it is the distance between the limit price and the start that were given.
    """
    request = order.request
    if request.order_type != "TRAIL LIMIT":
        return math.nan
    offset = request.detail("lmtPriceOffset")
    if math.isnan(offset):
        offset = abs(request.detail("trailStopPrice") - request.limit_price)
    return round(order.trail + offset if request.side == "BUY" else order.trail - offset, 10)
