"""Every exception of this package, by the side that causes it.

::

    StockleanError
    ├── InputError (ValueError)      the caller: an argument is invalid
    │   └── IdempotencyConflictError the same run or client order id, with other contents
    ├── ApprovalError                the caller: not approved, changed since, or too old
    ├── HaltedError                  the kill switch: the blotter is halted
    ├── BrokerError                  the broker or the connection to it
    │   ├── ConnectionLostError      it cannot be reached now; retry later
    │   │   └── ClientIdInUseError   another program has this client id, or a killed one's is not free yet
    │   ├── OrderNotWorkingError     an order that is to be changed does not work, as far as is known
    │   ├── StaleOrderIdError        a later order id was already used; the order gets a new one
    │   ├── RunElsewhereError        another process or blotter is executing this run
    │   └── LiveAccountError         a live account that the caller did not name
    ├── NotebookError                the kernel: it cannot be recovered
    └── BlotterError                 the blotter file on disk
        ├── BlotterLockedError       another process owns it
        └── BlotterClosedError       it was closed, or this process is a fork of its owner

An error carries its objects (``problems``, ``owner``), so that code can branch on data and not on text. Errors
about a table list every offending row, not only the first.
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
    "ClientIdInUseError",
    "ConnectionLostError",
    "HaltedError",
    "IdempotencyConflictError",
    "InputError",
    "LiveAccountError",
    "NotebookError",
    "OrderNotWorkingError",
    "Problem",
    "RunElsewhereError",
    "StaleOrderIdError",
    "StockleanError",
]

_SHOWN = 20  # lines of one error text, a stated choice; the rest is counted, and ``to_frame()`` has all


class Problem(NamedTuple):
    """One thing wrong with a table.

    ``code`` is stable and for programs; ``detail`` explains the problem and the fix to a user. ``row`` is the
    row's label in the caller's own index (None for a problem of the whole table).
    """

    code: str
    detail: str
    row: object = None
    symbol: str | None = None
    column: str | None = None


class StockleanError(Exception):
    """Base of all errors of this package."""


class InputError(StockleanError, ValueError):
    """An argument is invalid; no part of it was used.

    Attributes
    ----------
    table : str The argument: ``targets``, ``positions``, ``quotes``, ``orders``, ...
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
        """Pickle by the constructor's arguments, so that it is complete in another process."""
        return type(self), (self.table, self.problems)

    @property
    def codes(self) -> tuple[str, ...]:
        """The distinct reason codes, in order of appearance."""
        return tuple(dict.fromkeys(problem.code for problem in self.problems))

    def to_frame(self) -> pd.DataFrame:
        """All problems as a table: code, row, symbol, column, detail."""
        import pandas as pd  # noqa: PLC0415 - errors must stay importable without pandas

        frame = pd.DataFrame(self.problems, columns=list(Problem._fields))
        return frame[["code", "row", "symbol", "column", "detail"]]


class IdempotencyConflictError(InputError):
    """A run id or client order id that is already recorded was used again with other contents."""


class ApprovalError(StockleanError):
    """The frame is not approved, was changed after approval, or the approval has expired. Nothing was sent."""


class HaltedError(StockleanError):
    """The blotter is halted; clear the halt with a reason before anything is sent."""


class BrokerError(StockleanError):
    """The broker or the connection to it failed, or the broker rejected a request."""


class ConnectionLostError(BrokerError):
    """The connection is lost, or does not reach the broker; sent orders may have arrived or not."""


class ClientIdInUseError(ConnectionLostError):
    """Another connection to TWS has this client id; that of a killed process is in use for some seconds."""


class OrderNotWorkingError(BrokerError):
    """The order is unknown here, not accepted yet or ended, or its cancel was requested; nothing was sent."""


class StaleOrderIdError(BrokerError):
    """Another run has sent a later order id; this order was not sent, and needs a new id."""


class RunElsewhereError(BrokerError):
    """Another process or blotter is, or may be, executing the same run; nothing more was sent from here."""


class LiveAccountError(BrokerError):
    """A live account where the caller did not name that account."""


class NotebookError(StockleanError):
    """The kernel is in a state that cannot be recovered; the text says what to do."""


class BlotterError(StockleanError):
    """The blotter file cannot be opened, read or written."""


class BlotterLockedError(BlotterError):
    """Another process owns the blotter.

    Attributes
    ----------
    owner : dict What the owner has recorded: ``pid``, ``host``, ``started_at``, ``program``.
    """

    def __init__(self, message: str, owner: dict[str, object]) -> None:
        self.owner = owner
        super().__init__(message)

    def __reduce__(self) -> tuple[type[BlotterLockedError], tuple[str, dict[str, object]]]:
        """Pickle by the constructor's arguments, so that it is complete in another process."""
        return type(self), (str(self), self.owner)


class BlotterClosedError(BlotterError):
    """The blotter was closed, or this process is a fork of the one that opened it."""
