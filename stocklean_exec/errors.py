"""Every exception this package raises, and who is to blame.

::

    StockleanError
    ├── InputError (ValueError)      the caller: what was handed in cannot be used
    │   └── IdempotencyConflictError the same run or client order id, with other contents
    ├── ApprovalError                the caller: no approval, changed since, or too old
    ├── HaltedError                  a person: the blotter is halted
    ├── BrokerError                  the other side of the wire
    │   ├── ConnectionLostError      it cannot be reached now; it may be later
    │   ├── StaleOrderIdError        its order id was passed by another run's; it gets a new one
    │   ├── RunElsewhereError        another process or blotter works this run
    │   └── LiveAccountError         a live account where paper was meant
    ├── NotebookError                the kernel: it cannot be made safe any more
    └── BlotterError                 the record on disk
        ├── BlotterLockedError       another process owns it
        └── BlotterClosedError       it was closed, or this process is a fork of its owner

An error carries the objects it is about (``problems``, ``owner``), so that code can branch on data and not
on text. Errors about a table list every row at fault, not the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = [
    "ApprovalError",
    "BlotterClosedError",
    "BlotterError",
    "BlotterLockedError",
    "BrokerError",
    "ConnectionLostError",
    "HaltedError",
    "IdempotencyConflictError",
    "InputError",
    "LiveAccountError",
    "NotebookError",
    "Problem",
    "RunElsewhereError",
    "StaleOrderIdError",
    "StockleanError",
]

_SHOWN = 20  # lines of one error text; the rest is counted, and all of it is in ``to_frame()``


class Problem(NamedTuple):
    """One thing wrong with a table.

    ``code`` is stable and meant for programs; ``detail`` tells a person what was found and what would fix it.
    ``row`` is the row's label in the caller's own index (None when the whole table is meant).
    """

    code: str
    detail: str
    row: object = None
    symbol: str | None = None
    column: str | None = None


class StockleanError(Exception):
    """Base of all errors of this package."""


class InputError(StockleanError, ValueError):
    """What was handed in cannot be used; nothing was done with any part of it.

    Attributes
    ----------
    table : str
        Which argument is meant: ``targets``, ``positions``, ``quotes``, ``orders``, ...
    problems : tuple[Problem, ...]
        Every problem found.

    Examples
    --------
    >>> raise InputError("targets", [Problem("weight_missing", "weight is empty; write 0 for none", 1)])
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: targets: 1 problem
      row 1: weight is empty; write 0 for none [weight_missing]
    """

    def __init__(self, table: str, problems: Iterable[Problem]) -> None:
        self.table = table
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [f"{table}: {count} problem{'s' if count != 1 else ''}"]
        for problem in self.problems[:_SHOWN]:
            where = "" if problem.row is None else f"row {problem.row}"
            if problem.symbol is not None:
                where = f"{where} ({problem.symbol})" if where else problem.symbol
            lines.append(f"  {where + ': ' if where else ''}{problem.detail} [{problem.code}]")
        if count > _SHOWN:
            lines.append(f"  ... and {count - _SHOWN} more; to_frame() of this error lists all")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, tuple[Problem, ...]]]:
        """Pickle by what it was made from, so that it comes whole out of another process."""
        return type(self), (self.table, self.problems)

    @property
    def codes(self) -> tuple[str, ...]:
        """The distinct reason codes, in the order met."""
        return tuple(dict.fromkeys(problem.code for problem in self.problems))

    def to_frame(self) -> pd.DataFrame:
        """All problems as a table: code, row, symbol, column, detail."""
        import pandas as pd  # noqa: PLC0415 - errors must stay importable without pandas

        frame = pd.DataFrame(self.problems, columns=list(Problem._fields))
        return frame[["code", "row", "symbol", "column", "detail"]]


class IdempotencyConflictError(InputError):
    """A run id or client order id that is already on record came again with other contents."""


class ApprovalError(StockleanError):
    """The frame carries no approval, was changed after it, or the approval is too old. Nothing was sent."""


class HaltedError(StockleanError):
    """The blotter is halted; a person must clear it with a reason before anything is sent."""


class BrokerError(StockleanError):
    """The broker, or the way to it, failed or refused."""


class ConnectionLostError(BrokerError):
    """The connection is gone, or does not reach the broker; what was handed over may have arrived or not."""


class StaleOrderIdError(BrokerError):
    """A later order id has left meanwhile, from another run; this order has not left, and needs a new id."""


class RunElsewhereError(BrokerError):
    """Another process, or another blotter, works the same run, or may do so; nothing more was sent from here."""


class LiveAccountError(BrokerError):
    """A live account where the caller did not name that account."""


class NotebookError(StockleanError):
    """The kernel is in a state that cannot be mended; the text says what to do."""


class BlotterError(StockleanError):
    """The record on disk cannot be opened, read or written."""


class BlotterLockedError(BlotterError):
    """Another process owns the blotter.

    Attributes
    ----------
    owner : dict
        What the owner wrote about itself: ``pid``, ``host``, ``started_at``, ``program``.
    """

    def __init__(self, message: str, owner: dict[str, object]) -> None:
        self.owner = owner
        super().__init__(message)

    def __reduce__(self) -> tuple[type[BlotterLockedError], tuple[str, dict[str, object]]]:
        """Pickle by what it was made from, so that it comes whole out of another process."""
        return type(self), (str(self), self.owner)


class BlotterClosedError(BlotterError):
    """The blotter was closed, or this process is a fork of the one that opened it."""
