"""Modification and cancellation of open orders, and binding of manual orders (entered in TWS) to client 0.

A cancel that is not possible gets an error: 10147 for an unknown order or another client's, 10148 for a
filled order, 161 for an order that is not in a cancellable state. A rejected modification does not change the
order. A changed quantity includes what is filled already, so a fill that crosses the change is part of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange import order_validation
from stocklean_exec.simulator.exchange.auctions import is_cut_off
from stocklean_exec.simulator.exchange.funds import refusal_of_change
from stocklean_exec.simulator.exchange.matching import at_auction
from stocklean_exec.simulator.exchange.orders import Order
from stocklean_exec.simulator.exchange.refusals import Refusal

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.trading import TradingService
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["OrderAmendments"]

_FILLED = 104  # the code of a modification that comes after the last fill
_BUSY = Refusal(2102, "Unable to modify this order as it is still being processed.")
_TOO_LATE = "Cancel attempted when order is not in a cancellable state.  Order permId ="


class OrderAmendments:
    """Modifies and cancels the orders of one venue."""

    def __init__(self, context: VenueContext, trading: TradingService) -> None:
        self._context = context
        self._ledger = context.ledger
        self._reports = context.reports
        self._trading = trading
        self._last_bound = 0

    # new terms

    def modify(self, session: Connection, order: Order, request: OrderRequest) -> None:
        """PlaceOrder with the id of an existing order."""
        script = self._trading.scripts.get(order.perm_id)
        if script is not None and script.is_modifying:
            _error(session, order.order_id, _BUSY.code, _BUSY.text, order)
        elif script is not None and script.on_modify and order.active:
            script.interrupt_change(
                self._trading,
                order,
                lambda: self._judge(session, order, request),
                lambda code, text: _error(session, order.order_id, code, text, order),
            )
        else:
            self._judge(session, order, request)

    def _judge(self, session: Connection, order: Order, request: OrderRequest) -> None:
        """Refuse a modification, or make it."""
        refusal = self._check(order, request)
        if refusal is not None and refusal.code == _FILLED and self._context.switches.modify_filled == "silent":
            return
        if refusal is not None:
            _error(session, order.order_id, refusal.code, refusal.text, order)
        elif not self._context.link and self._context.switches.double_orders:
            self.double(order, request)
        else:
            self._apply(order, request)

    def _check(self, order: Order, request: OrderRequest) -> Refusal | None:
        if order.status == "Filled":
            return Refusal(_FILLED, "Can't modify a filled order.")
        if not order.active:
            return Refusal(103, "Duplicate order id")
        if order.status == "PendingCancel" or is_cut_off(order.request, self._context):
            return _BUSY
        amended = replace(request, account=request.account or order.account)
        old = replace(order.request, account=order.account)
        refusal = order_validation.check_form(amended, self._context.switches)
        refusal = refusal or order_validation.check_modification(old, amended, order.filled)
        found = self._context.catalogue.find(request.contract)
        if refusal is None and [one.con_id for one in found] != [order.contract.con_id]:
            refusal = Refusal(105, "Order being modified does not match original order.")
        refusal = refusal or order_validation.check_terms(request, order.contract)
        return refusal or refusal_of_change(self._context, order, request)

    def _apply(self, order: Order, request: OrderRequest) -> None:
        self._forget_prices(order, request)
        order.price_changed |= request.limit_price != order.request.limit_price
        order.request = replace(request, tif=request.tif or order.request.tif, transmit=True)
        order.modified += 1
        self._ledger.journal.order("modify", order, self._context.clock.now())
        if order.remaining <= 0:
            self._trading.end(order, "Filled", f"Filled Size: {order.filled:g}")
            self._reports.order(order, commission=True)
            return
        self._trading.adapt(order)
        order.why_held = order.why_held or self._trading.reason_to_hold(order)
        waits = at_auction(order) and not self._context.auction
        if order.why_held:
            self._trading.report_held(order)
        else:
            is_working = not waits and self._context.is_open(order)
            self._trading.set_status(order, "Submitted" if is_working else "PreSubmitted")
        self._trading.schedule_times(order)
        self._trading.reevaluate(order)
        script = self._trading.scripts.get(order.perm_id)
        if script is not None and script.busy:
            return
        if order.active and order.request.tif in {"IOC", "FOK"} and order.status == "Submitted":
            self._trading.kill(order)

    def _forget_prices(self, order: Order, request: OrderRequest) -> None:
        """What IB derived from the old terms does not hold for the new ones."""
        old = order.request
        if _trail_terms(request) != _trail_terms(old):
            order.trail = math.nan
        if request.order_type != old.order_type:
            order.triggered, order.working_limit = False, math.nan
        elif request.order_type == "REL":
            order.working_limit = math.nan

    def double(self, order: Order, request: OrderRequest) -> None:
        """Modify during a broken link: leaves two working orders with the same id and reference."""
        perm_id, now = self._ledger.next_perm_id(), self._context.clock.now()
        twin = Order(order.client_id, request, order.contract, order.account, perm_id, now)
        self._ledger.add(twin)
        self._trading.transmit(twin)

    # cancels

    def cancel(self, session: Connection, request: Request) -> None:
        """CancelOrder."""
        order_id = request.req_id
        order = self._ledger.find(session.client_id, order_id)
        if order is None and self._context.switches.cross_client_cancel:
            order = next((one for one in self._ledger.active.values() if one.order_id == order_id), None)
        if order is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            _error(session, order_id, 10147, text)
        elif order.staged:
            order.staged = False
            self._finish(order, "client")
        elif order.active and is_cut_off(order.request, self._context):
            _error(session, order_id, 161, f"{_TOO_LATE}{order.perm_id}", order)
        elif order.active:
            self._cancel_open(order, session)
        else:
            self._too_late(session, order)

    def _cancel_open(self, order: Order, session: Connection) -> None:
        script = self._trading.scripts.get(order.perm_id)
        by = session.client_id if session.client_id != order.client_id else None
        if script is not None and script.on_cancel:
            script.interrupt(self._trading, order, lambda: self._decide(order, session, by))
        else:
            self._decide(order, session, by)

    def _decide(self, order: Order, session: Connection, by: int | None) -> None:
        if order.status == "Filled":
            self._too_late(session, order)
        elif order.active:
            if order.status == "Submitted" and by is None:
                order.status = "PendingCancel"
                self._reports.status(order)
            self._finish(order, "client", by)

    def _finish(self, order: Order, reason: str, by: int | None = None) -> None:
        script = self._trading.scripts.get(order.perm_id)
        if script is not None:
            script.end()
        self._trading.cancelled(order, "Cancelled by Trader", reason)
        self._reports.status(order, client_id=by)
        self._reports.error(order, 202, "Order Canceled - reason:", client_id=by)

    def _too_late(self, session: Connection, order: Order) -> None:
        order_id = order.order_id
        if order.status == "Filled":
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: Filled."
            _error(session, order_id, 10148, text, order)
        else:
            _error(session, order_id, 161, f"{_TOO_LATE}{order.perm_id}", order)

    def cancel_all(self) -> None:
        """ReqGlobalCancel: the orders of all clients, and manual orders."""
        for order in list(self._ledger.active.values()):
            if order.active and not is_cut_off(order.request, self._context):
                self._finish(order, "global cancel")

    # manual orders (entered in TWS)

    def bind_manual(self) -> None:
        """Bind manual orders to client 0: each gets a negative API order id."""
        for order in list(self._ledger.active.values()):
            if order.manual and order.order_id == 0:
                self._ledger.remove(order)
                self._last_bound -= 1
                order.request = replace(order.request, order_id=self._last_bound)
                self._ledger.add(order)
                self._reports.bound(order)
                self._reports.order(order)


def _trail_terms(request: OrderRequest) -> tuple[str, ...]:
    prices = (request.aux_price, request.detail("trailingPercent"), request.detail("trailStopPrice"))
    return tuple(map(str, prices))  # as text, where one unset price equals another


def _error(session: Connection, order_id: int, code: int, text: str, order: Order | None = None) -> None:
    attributes = order.attributes() if order is not None else {"client_id": session.client_id}
    session.send("error", {"reqId": order_id, "code": code, "text": text}, attributes)
