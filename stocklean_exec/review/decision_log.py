"""The decisions of a review, in sequence, and how they are recorded in the blotter."""

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
    """One decision; ``action`` is approve, reject, clear, edit, submit or withdraw (an edit voids an approval)."""

    at: datetime
    by: str
    client_order_id: str | None
    action: str
    column: str | None = None
    old: object = None
    new: object = None


class DecisionLog:
    """Decisions in the sequence they were made; recorded in the blotter too, if there is one.

    A decision is passed to the blotter before it takes effect. The write is asynchronous; if it fails, the next
    decision and the submission are refused.
    """

    def __init__(self, run_id: str, blotter: _Records | None) -> None:
        self._run_id, self._blotter = run_id, blotter
        self._decisions: list[Decision] = []
        self._unrecorded: list[Future[None]] = []

    def add(self, decisions: list[Decision]) -> None:
        """Add decisions and start to record them.

        Raises
        ------
        BlotterError
            The blotter is closed, or could not record earlier decisions. These are not added, and have no effect.
        """
        if self._blotter is not None and decisions:
            self.flush()
            events = [_event(decision, self._run_id) for decision in decisions]
            self._unrecorded.append(self._blotter.record(events))
        self._decisions += decisions

    def flush(self, *, wait: bool = False) -> None:
        """Raise BlotterError if a decision could not be recorded; with ``wait``, once every write has ended."""
        for future in list(self._unrecorded):
            if wait or future.done():
                if (error := future.exception()) is not None:
                    raise BlotterError(f"earlier decisions could not be recorded: {error}") from error
                self._unrecorded.remove(future)

    def to_frame(self) -> pd.DataFrame:
        """Return all decisions as a table: at, by, client_order_id, action, column, old, new."""
        return pd.DataFrame(self._decisions, columns=list(Decision._fields))


def _event(decision: Decision, run_id: str) -> OrderEvent:
    """Convert a decision to an event: the action is its code, the rest is JSON in its message."""
    fields = {"by": decision.by, "column": decision.column, "old": decision.old, "new": decision.new}
    known = {name: value for name, value in fields.items() if value is not None and value == value}  # noqa: PLR0124 - NaN
    text = json.dumps(known, default=str, ensure_ascii=False)
    return OrderEvent(
        "decision", run_id, decision.client_order_id, decision.at, code=decision.action, message=text
    )


def name_of(by: object) -> str:
    """Return the name of the person who decides; None is the current user.

    Examples
    --------
    >>> name_of(" ann ")
    'ann'
    """
    if by is not None:
        if not isinstance(by, str) or not by.strip():
            raise InputError("by", [Problem("by_missing", "by must be the name of the person who decides")])
        return by.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return str(os.getuid())
