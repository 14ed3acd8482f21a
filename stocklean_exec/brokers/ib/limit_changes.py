"""Changes of one order's limit, and which of them TWS has answered. Pure.

TWS gives no answer to a change as such: it shows the order on its new terms in an openOrder message, or sends a
code with the order's id; and it may do neither. A shown limit counts whatever code came before: a change that was
taken for refused is made once TWS shows its limit. TWS works through what it is sent in sequence, so a change that
is shown has overtaken all earlier ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stocklean_exec.blotter.events import NOT_SENT

if TYPE_CHECKING:
    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["LimitChange", "LimitChanges"]

_NOISE = 1e-9  # part of a price; rounding of doubles, far below any tick
_UNITS = (1.0, 100.0)  # of TWS's prices, where the contract's own is not known: the currency, or its hundredth


@dataclass(slots=True)
class LimitChange:
    """Change ``number`` to ``price``, in the order's currency; ``on_wire`` is what left, NaN if not known here.

    ``is_awaited``: it was sent on this connection, and has had no answer, so that a code may be about it.
    """

    number: int
    price: float
    on_wire: float = math.nan
    is_awaited: bool = False
    is_refused: bool = False

    def fits(self, shown: float) -> bool:
        """Whether TWS shows the limit of this change."""
        limits = [self.on_wire] if self.on_wire > 0 else [self.price * unit for unit in _UNITS]
        return any(abs(shown - limit) <= _NOISE * abs(limit) for limit in limits)


class LimitChanges:
    """The changes of one order's limit.

    Examples
    --------
    >>> changes = LimitChanges()
    >>> changes.send(1, 42.95, on_wire=4295.0)
    >>> changes.show(4290.0) is None, changes.show(4295.0).number, changes.show(4295.0) is None
    (True, 1, True)
    """

    def __init__(self) -> None:
        self._changes: dict[int, LimitChange] = {}
        self._confirmed = 0
        self._shown = math.nan

    def send(self, number: int, price: float, on_wire: float) -> None:
        """Note that a change is sent now."""
        self._changes[number] = LimitChange(number, price, on_wire, is_awaited=True)

    def withdraw(self, number: int) -> None:
        """Forget a change that did not leave."""
        self._changes.pop(number, None)

    def read(self, event: OrderEvent) -> None:
        """Note a recorded event, in the sequence of the record."""
        number = event.attempt or 0
        if event.kind == "modifying" and event.price is not None:
            self._changes[number] = LimitChange(number, event.price)
        elif event.kind == "modified":
            self._confirmed = max(self._confirmed, number)
        elif event.kind == "modify_refused" and event.code == NOT_SENT:
            self.withdraw(number)
        elif event.kind == "modify_refused" and number in self._changes:
            self._changes[number].is_refused = True

    def inherit(self, earlier: LimitChanges) -> None:
        """Take from what was tracked before this record was read how its changes left, and which are awaited."""
        for number, change in earlier._changes.items():
            mine = self._changes.setdefault(number, LimitChange(number, change.price))
            mine.on_wire, mine.is_awaited = change.on_wire, change.is_awaited

    def lose_connection(self) -> None:
        """No code of a later connection is about a change of this one; what that one shows first is news."""
        self._shown = math.nan
        for change in self._changes.values():
            change.is_awaited = False

    @property
    def is_awaited(self) -> bool:
        """Whether a code about the order may be the answer to a change."""
        return any(change.is_awaited for change in self._changes.values())

    def refuse(self) -> int | None:
        """Number of the change that a code refuses: the latest without an answer; None for none."""
        found = max((one for one in self._changes.values() if one.is_awaited), key=_number, default=None)
        if found is None:
            return None
        found.is_awaited, found.is_refused = False, True
        return found.number

    def show(self, limit: float) -> LimitChange | None:
        """The change that TWS confirms by showing this limit; None if that is not new.

        Of several changes to one limit it is the latest. A limit that was shown before says nothing about a
        change back to it while another is under way.
        """
        was, self._shown = self._shown, limit
        later = [change for change in self._changes.values() if change.number > self._confirmed]
        found = max((change for change in later if change.fits(limit)), key=_number, default=None)
        if found is None:
            return None
        between = [one for one in later if one.number < found.number and not (one.is_refused or one.fits(limit))]
        if limit == was and between:
            return None
        self._confirmed = found.number
        self._changes = {number: one for number, one in self._changes.items() if number > found.number}
        return found


def _number(change: LimitChange) -> int:
    return change.number
