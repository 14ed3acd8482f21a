"""A broker's answer to a request for everything it has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A broker's answer to a request for everything it has; its events were published as they arrived.

    ``open_orders`` client order ids among the open orders; ``refs`` every client order id among open orders,
    completed orders and executions; ``executions`` the ids of these; ``next_id`` the next order id of
    ``client_id`` (None where orders have no such ids); ``highest_open_id`` greatest order id of this client among
    the open orders; ``is_complete`` whether every list was complete, and if not, ``gap`` says which was
    not; ``forgets`` whether the broker may have had an order that it no longer reports; ``asked_at`` when, in UTC.
    """

    asked_at: datetime
    open_orders: frozenset[str] = frozenset()
    refs: frozenset[str] = frozenset()
    executions: frozenset[str] = frozenset()
    next_id: int | None = None
    client_id: int | None = None
    highest_open_id: int = 0
    is_complete: bool = True
    gap: str = ""
    forgets: bool = True
