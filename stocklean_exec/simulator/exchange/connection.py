"""A connection as the venue sees it: who it is, what it has asked for, and how to speak to it.

The venue and its desks know this, and nothing of sessions, bytes or sockets.
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
    subs : what it has asked to be told
    notes : what happened to it, for the log
    recent, violations : instants of its last requests, and how often they were too many
    pending, ready_at : requests that wait to be worked, and when the last of them will be
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
        """Whether it is over."""

    def send(self, kind: str, values: dict[str, Any], attributes: dict[str, Any] | None = None) -> None:
        """A reply; ``facts`` is what a scenario's faults select by."""

    def error(self, req_id: int, code: int, text: str) -> None:
        """An error or system message; -1 is no request."""

    def perform(self, request: Request | OrderRequest) -> None:
        """Have a request of this connection carried out."""

    def flush(self) -> None:
        """The venue is done for now."""

    def close(self, reason: str) -> None:
        """End it."""
