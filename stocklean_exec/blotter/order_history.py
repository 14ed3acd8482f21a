"""The recorded history of one order, and of a client's order ids: input for recovery decisions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.events import EXPORTED
from stocklean_exec.blotter.order_state import derive_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["IdTrail", "OrderHistory"]

_SEEN = frozenset({"status", "execution", "rejected", "duplicate"})


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """One recorded order: its quantity, and every event about it."""

    client_order_id: str
    quantity: float
    events: Sequence[OrderEvent] = field(repr=False)

    @property
    def state(self) -> str:
        """The finer state derived from the events."""
        return derive_order(self.quantity, self.events).state

    @property
    def is_seen(self) -> bool:
        """Whether the broker has ever reported the order."""
        return any(event.kind in _SEEN for event in self.events)

    def seen_ids(self, client_id: int) -> list[int]:
        """Order ids of a client under which the broker has reported this order."""
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
    def exported(self) -> OrderEvent | None:
        """The event by which it was written to a basket file, for a person to send; None if it was not."""
        return next((event for event in self.events if event.kind == "held_back" and event.code == EXPORTED), None)

    @property
    def is_adopted(self) -> bool:
        """Whether the broker has the order though this blotter never sent it, and is therefore an older copy."""
        return self.last_sending is None and (self.is_seen or self.state == "UNKNOWN")

    @property
    def last_sending(self) -> OrderEvent | None:
        """The latest submission that is not known to have failed."""
        failed = {event.attempt for event in self.events if event.kind == "not_sent"}
        sent = [event for event in self.events if event.kind == "sending" and event.attempt not in failed]
        return max(sent, key=lambda event: event.attempt or 0, default=None)

    @property
    def sent_quantity(self) -> float:
        """Shares that were sent: fewer than approved where there was not the cash for all."""
        sent = self.last_sending
        return self.quantity if sent is None or sent.quantity is None else min(sent.quantity, self.quantity)


class IdTrail(NamedTuple):
    """Recorded order ids of one client since an order was planned; 0 for unknown.

    ``reported_id`` greatest next order id that the broker reported to the client since then; ``expected_id`` the
    next order id if only this blotter's runs have sent orders. ``passed_id`` is a next order id that was reported
    when ``passed_expected`` was expected: another process has sent orders as this client.
    """

    reported_id: int = 0
    expected_id: int = 0
    passed_id: int = 0
    passed_expected: int = 0
