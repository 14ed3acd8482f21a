"""The opening and the closing auction: one print, in which the orders for it trade or are cancelled.

MOC, LOC and OPG orders wait for their auction. It prints at one price: the one that an event states, else that of
the quotes (``opening_print``, ``closing_print``), else the last trade at that moment. Market orders trade first,
then limits by how far they are from the print, then by time; a limit on the wrong side of the print does not
trade. What an auction leaves unfilled is cancelled by IB (202).

The rest of the market takes whatever our orders need, unless an event says otherwise:

``size``        shares that it takes of our buys, and of our sells
``imbalance``   its own excess of shares to buy (negative: to sell). A limit exactly at the print on the side of
                the excess has the last claim on the shares, and does not trade

A venue whose market never closes has no auction of its own: such orders trade at once, as before, or with the
switch ``auctions = "wait"`` in the auction that an event runs.

Source: NYSE and Nasdaq rules of closing auctions, for the priority; TWS API documentation, "Market-on-Close", and
a public report that an OPG order left over is cancelled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.fill_model import is_marketable
from stocklean_exec.simulator.exchange.contracts import tick_at
from stocklean_exec.simulator.exchange.order_terms import CLOSING
from stocklean_exec.simulator.exchange.refusals import Refusal
from stocklean_exec.simulator.scenarios.quotes import round_to_tick

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.trading import TradingService
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.order_request import OrderRequest

__all__ = ["Auctions", "Print", "auction_of", "refusal_at_cutoff", "uncross"]


class Print(NamedTuple):
    """The print of an auction: its price, the shares taken on each side, and the market's excess to buy."""

    price: float
    size: float = math.inf
    imbalance: float = 0.0


def auction_of(request: OrderRequest) -> str:
    """The auction that an order is for: ``close``, ``open``, or none (empty)."""
    if request.order_type in CLOSING:
        return "close"
    return "open" if request.tif == "OPG" else ""


def uncross(orders: Iterable[Order], at: Print) -> list[tuple[Order, float]]:
    """What each order trades at the print, shares; by priority, only orders that trade.

    Parameters
    ----------
    orders : orders of one instrument for one auction
    at : its print
    """
    filled: list[tuple[Order, float]] = []
    left = {"BUY": at.size, "SELL": at.size}
    for order in sorted(orders, key=lambda one: (-_distance(one, at.price), one.perm_id)):
        side = order.request.side
        quantity = min(order.remaining, left[side])
        if quantity > 0 and _trades(order, at):
            left[side] -= quantity
            filled.append((order, quantity))
    return filled


def _distance(order: Order, price: float) -> float:
    """By how much the order's limit is better than the print; infinite for a market order."""
    if math.isnan(order.limit):
        return math.inf
    return order.limit - price if order.request.side == "BUY" else price - order.limit


def _trades(order: Order, at: Print) -> bool:
    buys = order.request.side == "BUY"
    is_last = order.limit == at.price and (at.imbalance > 0 if buys else at.imbalance < 0)
    return is_marketable(order.request.side, order.limit, at.price) and not is_last


def refusal_at_cutoff(request: OrderRequest, context: VenueContext) -> Refusal | None:
    """Why an order comes too late for its auction: after the switch ``auction_cutoff``; None if it does not."""
    if not auction_of(request) or not is_cut_off(request, context):
        return None
    return Refusal(201, "Order rejected - reason:Too late for the auction of this order.", inactive=True)


def is_cut_off(request: OrderRequest, context: VenueContext) -> bool:
    """Whether orders for the same auction can no longer be entered, changed or cancelled."""
    auction, calendar, now = auction_of(request), context.calendar, context.clock.now()
    if not auction or calendar.always:
        return False
    at = calendar.next_close(now) if auction == "close" else calendar.next_open(now)
    return at - now < context.switches.auction_cutoff


class Auctions:
    """Runs the auctions of one venue.

    Parameters
    ----------
    context : of the venue
    trading : executes and cancels
    """

    def __init__(self, context: VenueContext, trading: TradingService) -> None:
        self._context = context
        self._trading = trading

    def run(
        self,
        auction: str,
        *,
        symbol: str = "",
        price: float = math.nan,
        size: float = math.inf,
        imbalance: float = 0,
    ) -> None:
        """Run an auction, ``open`` or ``close``, of a listing or of all: a print for each with orders for it."""
        waiting: dict[str, list[Order]] = {}
        for order in list(self._context.ledger.active.values()):
            key = order.contract.key
            if auction_of(order.request) == auction and order.active and symbol in {"", key}:
                waiting.setdefault(key, []).append(order)
        for key, orders in waiting.items():
            ready = [one for one in orders if not one.why_held and not one.staged]
            stated = price if price > 0 else self._reference(orders[0], auction)
            self._print(key, ready, Print(stated, size, imbalance))
            for order in orders:
                if order.active:
                    self._trading.cancel_by_system(order)

    def _reference(self, order: Order, auction: str) -> float:
        """The print that the quotes state, else the last trade, else the valuation price, on a tick."""
        contract, market = order.contract, self._context.market
        if (contract.key, auction) in market.prints:
            return market.prints[contract.key, auction]
        last = market.last_price(contract.key)
        price = last if last > 0 else self._context.price_of(contract.key)
        return round_to_tick(price, tick_at(contract, price)) if price > 0 else price

    def _print(self, key: str, orders: list[Order], at: Print) -> None:
        filled = uncross(orders, at) if at.price > 0 else []
        for order, quantity in filled:
            if order.active:
                self._trading.execute(order, quantity, at.price)
        if filled:
            self._context.move(key, last=at.price)
