"""Order reports: sends openOrder, orderStatus, execDetails and commissionReport to the clients concerned.

An order's messages go to the client that placed it, to the master client, and for manual orders (entered in TWS)
to client 0. A client that was disconnected is not sent missed messages; it has to query. While TWS is disconnected
from IB, messages are queued, then sent or discarded when the link is restored.
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

_DEFAULT_VERSION = 176  # of a client without a session: the default of Settings.server_version


class OrderReports:
    """Sends order messages to the clients concerned.

    Parameters
    ----------
    sessions : started connections by client id, owned by the venue
    switches : the venue's options
    """

    def __init__(self, sessions: dict[int, Connection], switches: Switches) -> None:
        self._sessions = sessions
        self._switches = switches
        self._queued: list[tuple[int, str, dict[str, Any], dict[str, Any]]] | None = None

    def queue_messages(self) -> None:
        """Queue order messages from now on: the link to IB is down."""
        self._queued = self._queued or []

    def release(self, *, deliver: bool) -> None:
        """Send the queued messages, or discard them."""
        queued, self._queued = self._queued or [], None
        for client_id, kind, values, attributes in queued if deliver else ():
            self._to(client_id, kind, values, attributes)

    def order(
        self,
        order: Order,
        *,
        commission: bool = False,
        status: str | None = None,
        only: bool = False,
        first: bool = False,
    ) -> None:
        """Send openOrder and orderStatus; with ``only``, openOrder alone; ``first``: as the first of a stop."""
        self._report(order, "openOrder", open_fields(order, commission=commission, status=status, first=first))
        if not only:
            self.status(order, status)

    def status(self, order: Order, status: str | None = None, client_id: int | None = None) -> None:
        """Send orderStatus; ``client_id`` replaces the owner's id when another client caused the change."""
        values = status_fields(order, self._switches.execution_prices, status)
        if client_id is not None:
            values["clientId"] = client_id
        self._report(order, "orderStatus", values, client_id)

    def execution(self, order: Order, fill: Fill) -> None:
        """Send unsolicited execDetails (request id -1)."""
        for client_id in self._recipients(order):
            self._send(client_id, "execDetails", self.execution_values(fill, -1, client_id), order.attributes())

    def execution_values(self, fill: Fill, req_id: int, client_id: int) -> dict[str, Any]:
        """Fields of execDetails for one connection; the time format depends on its server version."""
        session = self._sessions.get(client_id)
        version = session.version if session is not None else _DEFAULT_VERSION
        form, zone = self._switches.time_format, self._switches.time_zone
        when = execution_time(fill.at, zone, form, version, self._switches.time_zone_name)
        return execution_fields(fill, req_id, when, self._switches.execution_prices)

    def commission(self, order: Order, fill: Fill) -> None:
        """Send the commissionReport of one execution."""
        self._report(order, "commissionReport", commission_fields(fill))

    def error(self, order: Order, code: int, text: str, client_id: int | None = None) -> None:
        """Send an error or warning about the order."""
        self._report(order, "error", {"reqId": order.order_id, "code": code, "text": text}, client_id)

    def bound(self, order: Order) -> None:
        """Send orderBound: a manual order was bound to an order id of client 0."""
        values = {"permId": order.perm_id, "clientId": 0, "orderId": order.order_id}
        self._report(order, "orderBound", values)

    def _report(self, order: Order, kind: str, values: dict[str, Any], client_id: int | None = None) -> None:
        attributes = order.attributes()
        for recipient in self._recipients(order, client_id):
            self._send(recipient, kind, values, attributes)

    def _recipients(self, order: Order, also: int | None = None) -> Iterator[int]:
        """Connected clients that receive messages about ``order``."""
        if order.client_id in self._sessions and not order.manual:
            yield order.client_id
        others = {self._switches.master_client_id, -1 if also is None else also, 0 if order.manual else -1}
        for other in sorted(others):
            if other in self._sessions and (order.manual or other != order.client_id):
                yield other

    def _send(self, client_id: int, kind: str, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        if self._queued is not None:
            self._queued.append((client_id, kind, values, attributes))
        else:
            self._to(client_id, kind, values, attributes)

    def _to(self, client_id: int, kind: str, values: dict[str, Any], attributes: dict[str, Any]) -> None:
        session = self._sessions.get(client_id)
        if session is not None:
            session.send(kind, values, attributes)


def commission_fields(fill: Fill) -> dict[str, Any]:
    """Fields of commissionReport."""
    return {
        "execId": fill.exec_id,
        "commission": fill.commission,
        "currency": fill.charged_in,
        "realizedPNL": fill.realized,
    }
