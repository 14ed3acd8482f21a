"""What a broker reports when it is asked for everything it has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a broker told when it was asked for everything it has; the events of it were told as they came.

    ``open_orders`` client order ids among the open orders; ``refs`` every client order id among open orders,
    completed orders and executions; ``executions`` the ids of these; ``next_id`` the next order id of
    ``client_id`` (None where orders have no such ids); ``highest_open_id`` greatest order id of this client among
    the open orders; ``is_complete`` whether every list was told to its end, and if not, ``gap`` says which was
    not; ``forgets`` whether the broker may have had an order of which it tells nothing; ``asked_at`` when, in UTC.
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
