"""The recorded history of one order, and of a client's order ids: input for recovery decisions. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.events import EXPORTED, NOT_SENT
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

    def limits_in_force(self, own: float = math.nan) -> list[float]:
        """Limits that the broker may have for the order now: one where that is certain, in sequence.

        The latest change that the broker has confirmed; the order's own limit where none is confirmed; and every
        later change that it has neither confirmed nor refused. A confirmed one counts even if a code was taken for
        its refusal.

        Parameters
        ----------
        own : limit that the order was approved and sent with, which its events do not have

        Examples
        --------
        >>> from stocklean_exec.blotter.events import OrderEvent
        >>> first, second = (
        ...     OrderEvent("modifying", attempt=number, price=price) for number, price in ((1, 100.25), (2, 100.5))
        ... )
        >>> OrderHistory("r-SPY-BUY", 10.0, [first]).limits_in_force(own=100.0)
        [100.0, 100.25]
        >>> shown = OrderEvent("modified", attempt=1, price=100.25)
        >>> OrderHistory("r-SPY-BUY", 10.0, [first, shown, second]).limits_in_force(own=100.0)
        [100.25, 100.5]
        """
        confirmed = max((event for event in self.events if event.kind == "modified"), key=_number, default=None)
        since = 0 if confirmed is None else _number(confirmed)
        refused = {event.attempt for event in self.events if event.kind == "modify_refused"}
        pending = [one for one in self._changes() if _number(one) > since and one.attempt not in refused]
        limit = own if confirmed is None else _price(confirmed)
        return list(dict.fromkeys([limit, *map(_price, pending)]))

    def limits_ever(self) -> list[float]:
        """Every limit that the broker may have had, in sequence, without the order's own: changes that left.

        Examples
        --------
        >>> from stocklean_exec.blotter.events import OrderEvent
        >>> change = OrderEvent("modifying", attempt=1, price=100.25)
        >>> OrderHistory("r-SPY-BUY", 10.0, [change]).limits_ever()
        [100.25]
        >>> unsent = OrderEvent("modify_refused", attempt=1, code="not_sent")
        >>> OrderHistory("r-SPY-BUY", 10.0, [change, unsent]).limits_ever()
        []
        """
        unsent = {one.attempt for one in self.events if one.kind == "modify_refused" and one.code == NOT_SENT}
        return list(dict.fromkeys(_price(one) for one in self._changes() if one.attempt not in unsent))

    def _changes(self) -> list[OrderEvent]:
        """Changes of its limit, in sequence."""
        return sorted((event for event in self.events if event.kind == "modifying"), key=_number)


def _number(change: OrderEvent) -> int:
    return change.attempt or 0


def _price(change: OrderEvent) -> float:
    return math.nan if change.price is None else change.price


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
