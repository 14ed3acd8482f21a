"""Tells clients what became of orders: which message goes to which connection.

An order's messages go to the client that placed it, to the master client, and for orders typed into TWS to
client 0. Nobody is told what happened while he was away: that is what the queries are for. While TWS has
lost IB, messages wait, and are sent or lost when the link comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.exchange.orders import (
    Fill,
    Order,
    execution_fields,
    execution_time,
    open_fields,
    status_fields,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.scenarios.options import Switches

__all__ = ["OrderReports"]


class OrderReports:
    """Sends order messages to the connections they concern.

    Parameters
    ----------
    sessions : started connections by client id, owned by the venue
    switches : of the scenario
    """

    def __init__(self, sessions: dict[int, Connection], switches: Switches) -> None:
        self._sessions = sessions
        self._switches = switches
        self._parked: list[tuple[int, str, dict[str, Any], dict[str, Any]]] | None = None

    def hold_back(self) -> None:
        """From now on messages about orders wait."""
        self._parked = self._parked or []

    def release(self, *, deliver: bool) -> None:
        """Send what waited, or lose it."""
        parked, self._parked = self._parked or [], None
        for client_id, kind, values, attributes in parked if deliver else ():
            self._to(client_id, kind, values, attributes)

    def order(
        self, order: Order, *, commission: bool = False, status: str | None = None, only: bool = False
    ) -> None:
        """OpenOrder and orderStatus; ``only`` leaves the orderStatus out."""
        self._report(order, "openOrder", open_fields(order, commission=commission, status=status))
        if not only:
            self.status(order, status)

    def status(self, order: Order, status: str | None = None, client_id: int | None = None) -> None:
        """OrderStatus; ``client_id`` in it when another client than the order's own is behind it."""
        values = status_fields(order, status)
        if client_id is not None:
            values["clientId"] = client_id
        self._report(order, "orderStatus", values, client_id)

    def execution(self, order: Order, fill: Fill) -> None:
        """ExecDetails that nobody asked for."""
        for client_id in self._concerned(order):
            self._send(client_id, "execDetails", self.execution_values(fill, -1, client_id), order.attributes())

    def execution_values(self, fill: Fill, req_id: int, client_id: int) -> dict[str, Any]:
        """The fields of execDetails for one connection: the form of the time depends on its version."""
        session = self._sessions.get(client_id)
        version = session.version if session is not None else 176
        form, zone = self._switches.time_format, self._switches.time_zone
        when = execution_time(fill.at, zone, form, version, self._switches.time_zone_name)
        return execution_fields(fill, req_id, when)

    def commission(self, order: Order, fill: Fill) -> None:
        """CommissionReport of one execution."""
        self._report(order, "commissionReport", commission_fields(fill))

    def error(self, order: Order, code: int, text: str, client_id: int | None = None) -> None:
        """A message about the order."""
        self._report(order, "error", {"reqId": order.order_id, "code": code, "text": text}, client_id)

    def bound(self, order: Order) -> None:
        """OrderBound: an order typed into TWS now has an id of client 0."""
        values = {"permId": order.perm_id, "clientId": 0, "orderId": order.order_id}
        self._report(order, "orderBound", values)

    def _report(self, order: Order, kind: str, values: dict[str, Any], client_id: int | None = None) -> None:
        attributes = order.attributes()
        for concerned in self._concerned(order, client_id):
            self._send(concerned, kind, values, attributes)

    def _concerned(self, order: Order, also: int | None = None) -> Iterator[int]:
        """Connected clients that hear about ``order``."""
        if order.client_id in self._sessions and not order.manual:
            yield order.client_id
        others = {self._switches.master_client_id, -1 if also is None else also, 0 if order.manual else -1}
        for other in sorted(others):
            if other in self._sessions and (order.manual or other != order.client_id):
                yield other

    def _send(self, client_id: int, kind: str, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        if self._parked is not None:
            self._parked.append((client_id, kind, values, attributes))
        else:
            self._to(client_id, kind, values, attributes)

    def _to(self, client_id: int, kind: str, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        session = self._sessions.get(client_id)
        if session is not None:
            session.send(kind, values, attributes)


def commission_fields(fill: Fill) -> dict[str, Any]:
    """The fields of commissionReport."""
    return {
        "execId": fill.exec_id,
        "commission": fill.commission,
        "currency": fill.contract.currency,
        "realizedPNL": fill.realized,
    }
