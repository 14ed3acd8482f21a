"""What is on record of one order, and of a client's order ids: what a decision about it needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.order_state import derive_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["IdTrail", "OrderHistory"]

_SEEN = frozenset({"status", "execution", "rejected", "duplicate"})


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """One order as it is on record: what was asked for, and every event about it."""

    client_order_id: str
    quantity: float
    events: Sequence[OrderEvent] = field(repr=False)

    @property
    def state(self) -> str:
        """The finer state that the events say."""
        return derive_order(self.quantity, self.events).state

    @property
    def is_seen(self) -> bool:
        """Whether the broker has ever shown that it has the order."""
        return any(event.kind in _SEEN for event in self.events)

    def seen_ids(self, client_id: int) -> list[int]:
        """Order ids of a client under which the broker has shown this order."""
        return [
            event.order_id
            for event in self.events
            if event.kind in _SEEN and event.order_id is not None and event.client_id == client_id
        ]

    @property
    def intent(self) -> OrderEvent | None:
        """The approval to send it."""
        return next((event for event in self.events if event.kind == "intent"), None)

    @property
    def is_adopted(self) -> bool:
        """Whether the broker has it though it was never sent by this record, which is therefore an older one."""
        return self.last_sending is None and (self.is_seen or self.state == "UNKNOWN")

    @property
    def last_sending(self) -> OrderEvent | None:
        """The latest hand-over that is not known to have failed."""
        failed = {event.attempt for event in self.events if event.kind == "not_sent"}
        sent = [event for event in self.events if event.kind == "sending" and event.attempt not in failed]
        return max(sent, key=lambda event: event.attempt or 0, default=None)


class IdTrail(NamedTuple):
    """What a record knows of one client's order ids since an order was planned; 0 where it knows nothing.

    ``told_id`` greatest next order id that the client was told since then; ``expected_id`` the next order id if
    only this record's runs have sent orders. ``passed_id`` is a next order id that was told when
    ``passed_expected`` was the one to expect: somebody else has sent orders as this client.
    """

    told_id: int = 0
    expected_id: int = 0
    passed_id: int = 0
    passed_expected: int = 0
