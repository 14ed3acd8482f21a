"""Order and execution queries: open orders, completed orders, executions.

Scope: reqOpenOrders returns the client's own orders (for client 0 also manual orders); reqAllOpenOrders those of
all clients; reqCompletedOrders those of all clients for the day, without order and client ids; reqExecutions the
client's own executions of the day, and those of all clients for client 0 and the master client. Options change
each of these, because installations differ.

reqExecutions sends all executions, then all their commissions, then the end, as captured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stocklean_exec.simulator.clock import parse_instant
from stocklean_exec.simulator.exchange.order_reports import commission_fields
from stocklean_exec.simulator.exchange.orders import FINAL, completed_fields, open_fields, status_fields

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.order_amendments import OrderAmendments
    from stocklean_exec.simulator.exchange.orders import Fill, Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["OrderQueries"]


class OrderQueries:
    """Answers queries about the orders of one venue."""

    def __init__(self, context: VenueContext, amendments: OrderAmendments) -> None:
        self._context = context
        self._ledger = context.ledger
        self._switches = context.switches
        self._amendments = amendments

    def open_orders(self, session: Connection, _: Request) -> None:
        """ReqOpenOrders."""
        if session.client_id == 0:
            self._amendments.bind_manual()
        self._send_open_orders(session, [one for one in self._listed() if self._is_own(session, one)])

    def all_open_orders(self, session: Connection, _: Request) -> None:
        """ReqAllOpenOrders."""
        self._send_open_orders(session, self._listed())

    def auto_open_orders(self, session: Connection, request: Request) -> None:
        """ReqAutoOpenOrders: for client 0 only; no end message."""
        if session.client_id != 0:
            text = "Only API connections with clientId set to 0 can set the auto bind TWS orders property."
            session.error(-1, 327, text)
            return
        session.subs.auto_bind = request["bind"]
        if request["bind"]:
            self._amendments.bind_manual()

    def push_open_orders(self, session: Connection) -> None:
        """Send a client's working orders unsolicited, as newer gateways do after START_API."""
        self._send_open_orders(session, [one for one in self._listed() if self._is_own(session, one)])

    def _is_own(self, session: Connection, order: Order) -> bool:
        return order.client_id == session.client_id

    def _listed(self) -> list[Order]:
        if self._switches.open_orders == "none":
            return []
        if self._switches.open_orders == "stale":
            return [one for one in self._ledger.orders.values() if not one.staged]
        return list(self._ledger.active.values())

    def _send_open_orders(self, session: Connection, orders: list[Order]) -> None:
        stale = self._switches.open_orders == "stale"
        for order in orders:
            status = "Submitted" if stale and order.status in FINAL else None
            session.send("openOrder", open_fields(order, status=status), order.attributes())
            session.send(
                "orderStatus", status_fields(order, self._switches.execution_prices, status), order.attributes()
            )
            if self._switches.seen_ids == "used":
                self._ledger.use_id(session.client_id, order.order_id)
        session.send("openOrderEnd", {})

    def completed_orders(self, session: Connection, request: Request) -> None:
        """ReqCompletedOrders: finished orders of the day."""
        scope = self._switches.completed_orders
        since, until = self._ledger.midnight, self._reported_until()
        for order in list(self._ledger.orders.values()):
            if order.status not in FINAL or not since <= order.completed_at <= until or scope == "none":
                continue
            if (request["apiOnly"] and order.manual) or (scope == "filled" and order.status != "Filled"):
                continue
            if scope == "own" and order.client_id != session.client_id:
                continue
            values = completed_fields(order, self._switches.time_zone)
            session.send("completedOrder", values, order.attributes())
        session.send("completedOrdersEnd", {})

    def _reported_until(self) -> float:
        return self._context.clock.now() - self._switches.evidence_lag

    def executions(self, session: Connection, request: Request) -> None:
        """ReqExecutions with its filter."""
        try:
            since = parse_instant(request["time"], self._switches.time_zone) if request["time"] else 0.0
        except ValueError:
            text = "Error validating request.-'co' : cause - Invalid time format"
            session.error(request.req_id, 321, text)
            return
        found = [one for one in self._ledger.fills if self._matches_filter(session, one, request, since)]
        for fill in found:
            values = self._context.reports.execution_values(fill, request.req_id, session.client_id)
            session.send("execDetails", values, _attributes(fill))
        for fill in found:
            session.send("commissionReport", commission_fields(fill), _attributes(fill))
        session.send("execDetailsEnd", {"reqId": request.req_id})

    def _matches_filter(self, session: Connection, fill: Fill, request: Request, since: float) -> bool:
        if (
            fill.superseded
            or not since <= fill.at <= self._reported_until()
            or not self._is_in_scope(session, fill)
        ):
            return False
        if self._switches.executions_since == "midnight" and fill.at < self._ledger.midnight:
            return False
        wanted = {
            "clientId": request["clientId"] in {0, fill.client_id},
            "account": request["account"] in {"", fill.account},
            "symbol": request["symbol"].upper() in {"", fill.contract.symbol.upper()},
            "secType": request["secType"].upper() in {"", fill.contract.sec_type},
            "exchange": request["exchange"].upper() in {"", fill.exchange},
            "side": request["side"].upper() in {"", fill.side, "BOT" if fill.side == "BUY" else "SLD"},
        }
        return all(wanted.values())

    def _is_in_scope(self, session: Connection, fill: Fill) -> bool:
        scope = self._switches.executions
        if scope == "none":
            return False
        sees_all = scope == "all" or session.client_id in {0, self._switches.master_client_id}
        return sees_all or fill.client_id == session.client_id


def _attributes(fill: Fill) -> dict[str, object]:
    return {
        "symbol": fill.contract.symbol,
        "order_ref": fill.order_ref,
        "side": fill.side,
        "client_id": fill.client_id,
    }
