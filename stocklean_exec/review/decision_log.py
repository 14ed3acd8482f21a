"""What a person decided in a review, in sequence, and its way into the blotter."""

from __future__ import annotations

import getpass
import json
import os
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BlotterError, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from typing import Protocol

    class _Records(Protocol):
        def record(self, events: Sequence[OrderEvent]) -> Future[None]: ...


__all__ = ["Decision", "DecisionLog", "name_of"]


class Decision(NamedTuple):
    """One thing a person did: ``action`` is approve, reject, clear, edit, submit, or withdraw (by an edit)."""

    at: datetime
    by: str
    client_order_id: str | None
    action: str
    column: str | None = None
    old: object = None
    new: object = None


class DecisionLog:
    """Decisions in the sequence they were made; in the blotter too, if there is one.

    A decision is handed to the blotter before it counts. Its writing need not be waited for, but one that the disk
    did not take stops the next decision, and the submission.
    """

    def __init__(self, run_id: str, blotter: _Records | None) -> None:
        self._run_id, self._blotter = run_id, blotter
        self._made: list[Decision] = []
        self._unrecorded: list[Future[None]] = []

    def add(self, made: list[Decision]) -> None:
        """Note decisions.

        Raises
        ------
        BlotterError
            The blotter is closed, or did not take earlier ones. These are not noted, and must not count.
        """
        if self._blotter is not None and made:
            self.settle()
            self._unrecorded.append(self._blotter.record([_fact(decision, self._run_id) for decision in made]))
        self._made += made

    def settle(self, *, wait: bool = False) -> None:
        """Raise BlotterError if decisions were not recorded; with ``wait``, after all are on disk or lost."""
        for future in list(self._unrecorded):
            if wait or future.done():
                if (error := future.exception()) is not None:
                    raise BlotterError(f"earlier decisions could not be recorded: {error}") from error
                self._unrecorded.remove(future)

    def to_frame(self) -> pd.DataFrame:
        """Return all of them as a table: at, by, client_order_id, action, column, old, new."""
        return pd.DataFrame(self._made, columns=list(Decision._fields))


def _fact(made: Decision, run_id: str) -> OrderEvent:
    """Spell a decision as an event: the action is its code, the rest is JSON in its message."""
    words = {"by": made.by, "column": made.column, "old": made.old, "new": made.new}
    told = {name: value for name, value in words.items() if value is not None and value == value}  # noqa: PLR0124 - NaN
    text = json.dumps(told, default=str, ensure_ascii=False)
    return OrderEvent("decision", run_id, made.client_order_id, made.at, code=made.action, message=text)


def name_of(by: object) -> str:
    """Read who decides; None is the present user.

    Examples
    --------
    >>> name_of(" ann ")
    'ann'
    """
    if by is not None:
        if not isinstance(by, str) or not by.strip():
            raise InputError("by", [Problem("by_missing", "say who decides")])
        return by.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return str(os.getuid())
