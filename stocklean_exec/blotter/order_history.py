"""What is on record of one order, and of a client's order ids: what a decision about it needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.order_state import derive_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stocklean_exec.blotter.events import Fact

__all__ = ["History", "IdTrail"]

_SEEN = frozenset({"status", "execution", "rejected", "duplicate"})


@dataclass(frozen=True, slots=True)
class History:
    """One order as it is on record: what was asked for, and every fact about it."""

    client_order_id: str
    quantity: float
    facts: Sequence[Fact] = field(repr=False)

    @property
    def state(self) -> str:
        """The finer state that the facts say."""
        return derive_order(self.quantity, self.facts).state

    @property
    def is_seen(self) -> bool:
        """Whether the broker has ever shown that it has the order."""
        return any(fact.kind in _SEEN for fact in self.facts)

    def seen_ids(self, client_id: int) -> list[int]:
        """Order ids of a client under which the broker has shown this order."""
        return [
            fact.order_id
            for fact in self.facts
            if fact.kind in _SEEN and fact.order_id is not None and fact.client_id == client_id
        ]

    @property
    def intent(self) -> Fact | None:
        """The approval to send it."""
        return next((fact for fact in self.facts if fact.kind == "intent"), None)

    @property
    def is_adopted(self) -> bool:
        """Whether the broker has it though it was never sent by this record, which is therefore an older one."""
        return self.last_sending is None and (self.is_seen or self.state == "UNKNOWN")

    @property
    def last_sending(self) -> Fact | None:
        """The latest hand-over that is not known to have failed."""
        failed = {fact.attempt for fact in self.facts if fact.kind == "not_sent"}
        sent = [fact for fact in self.facts if fact.kind == "sending" and fact.attempt not in failed]
        return max(sent, key=lambda fact: fact.attempt or 0, default=None)


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
