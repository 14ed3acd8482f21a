"""A client connection as the venue sees it: client id, subscriptions, and how to send to it.

The venue and its services depend on this protocol only, not on sessions, bytes or sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque

    from stocklean_exec.simulator.exchange.subscriptions import Subscriptions
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["Connection"]


class Connection(Protocol):
    """One client's connection.

    Attributes
    ----------
    client_id, version : as negotiated
    subs : active subscriptions
    notes : notable events of the connection, for the log
    recent, violations : times of its latest requests, and number of pacing violations
    pending, ready_at : number of queued requests, and when the last of them will be processed
    """

    client_id: int
    version: int
    subs: Subscriptions
    notes: deque[str]
    recent: deque[float]
    violations: int
    pending: int
    ready_at: float

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""

    def send(self, kind: str, values: dict[str, Any], attributes: dict[str, Any] | None = None) -> None:
        """Send a reply; the faults of a scenario select by ``attributes``."""

    def error(self, req_id: int, code: int, text: str) -> None:
        """Send an error or system message; request id -1 for none."""

    def perform(self, request: Request | OrderRequest) -> None:
        """Process a request of this connection."""

    def flush(self) -> None:
        """Send delayed replies; the venue has finished processing."""

    def close(self, reason: str) -> None:
        """Close the connection."""
