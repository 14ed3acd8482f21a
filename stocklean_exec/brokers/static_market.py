"""How each order type fills in a static market, as in the mock filler. Pure.

=================  ================================================================================================
``MKT``, ``LMT``   at the far touch, in executions of at most the size shown; a limit that is away from it rests
``MOC``, ``LOC``,  one execution at the auction's price, which is the last trade here (else the mid, else the
``OPG``            close); what its limit excludes is cancelled
``MIDPRICE``       at the mid, in one execution; at the far touch of a one-sided market; a cap below rests
``REL``            at its own side of the quote plus the offset: fills where that reaches the far touch, else rests
``STP``,           triggered if the last trade (else the mid) has reached the trigger, then as ``MKT`` or ``LMT``;
``STP LMT``        else held forever
``TRAIL``          held forever: the market never comes back to its trigger
=================  ================================================================================================

An algorithm makes no difference: it would trade at the same prices.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import Execution, Quote, far_touch, is_marketable, match
from stocklean_exec.schema.order_terms import STOPS

if TYPE_CHECKING:
    from stocklean_exec.brokers.base import Ticket

__all__ = ["executions", "is_held", "may_not_rest"]

_HIGHEST = 1e9  # as in fill_model: no share costs a billion


def executions(ticket: Ticket, quote: Quote) -> list[Execution]:
    """Executions of an order at once; empty where it rests or is held.

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> close = Ticket("r-1", "r", "SPY", "BUY", 500.0, "MOC", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    >>> executions(close, Quote(bid=99.9, ask=100.1, last=100.05, ask_size=200))
    [Execution(quantity=500.0, price=100.05, liquidity=2)]
    """
    side, quantity, limit = ticket.side, ticket.quantity, ticket.limit_price
    if is_held(ticket, quote):
        return []
    if _is_auction(ticket):
        return _at(ticket, _auction_price(quote))
    if ticket.order_type == "MIDPRICE":
        touch = far_touch(side, quote)
        price = _mid(quote)
        return _at(ticket, touch[0] if math.isnan(price) and touch else price)
    if ticket.order_type == "REL":
        return match(side, quantity, _pegged(ticket, quote), quote)
    return match(side, quantity, limit, quote)


def is_held(ticket: Ticket, quote: Quote) -> bool:
    """Whether an order waits for a trigger that the market has not reached."""
    if ticket.order_type == "TRAIL":
        return True
    if ticket.order_type not in STOPS:
        return False
    price = quote.last if _usable(quote.last) else _mid(quote)
    return not (price >= ticket.aux_price if ticket.side == "BUY" else price <= ticket.aux_price)


def may_not_rest(ticket: Ticket) -> bool:
    """Whether what is not traded at once of an order is cancelled."""
    return ticket.tif in ("IOC", "FOK") or _is_auction(ticket)


def _is_auction(ticket: Ticket) -> bool:
    return ticket.order_type in ("MOC", "LOC") or ticket.tif == "OPG"


def _at(ticket: Ticket, price: float) -> list[Execution]:
    """The whole order at one price, unless its limit keeps it from that, or there is no price."""
    if math.isnan(price) or not is_marketable(ticket.side, ticket.limit_price, price):
        return []
    return [Execution(ticket.quantity, price)]


def _auction_price(quote: Quote) -> float:
    return next((price for price in (quote.last, _mid(quote), quote.close) if _usable(price)), math.nan)


def _mid(quote: Quote) -> float:
    return (quote.bid + quote.ask) / 2 if _usable(quote.bid) and _usable(quote.ask) else math.nan


def _pegged(ticket: Ticket, quote: Quote) -> float:
    """Price of a relative order: its own side and the offset, not beyond its cap; 0 for a buy without a bid.

    Nothing can be pegged to a side that is not quoted: such an order rests.
    """
    if ticket.side == "BUY":
        price = quote.bid + ticket.aux_price if _usable(quote.bid) else 0.0
        return price if math.isnan(ticket.limit_price) else min(price, ticket.limit_price)
    price = quote.ask - ticket.aux_price if _usable(quote.ask) else math.inf
    return price if math.isnan(ticket.limit_price) else max(price, ticket.limit_price)


def _usable(price: float) -> bool:
    return 0 < price < _HIGHEST
