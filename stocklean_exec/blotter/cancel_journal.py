"""Requests to cancel, from any process to the one that has the blotter open: a journal beside it.

TWS lets an order be cancelled by the client id that placed it, and takes each client id once: while a kernel is
connected, only that kernel can cancel. Each line of ``<path>.cancel`` is a request, the note that a process has
seen it, or its answer. Lines are appended as those of the kill switch are; a line that cannot be read is not a
request.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from stocklean_exec import clock
from stocklean_exec.blotter.kill_switch import append_line
from stocklean_exec.errors import BlotterError

__all__ = ["CancelJournal", "CancelRequest"]


class CancelRequest(NamedTuple):
    """One request: the orders of ``run_id``, or of every run if None; ``seconds`` to wait for the broker."""

    number: str
    run_id: str | None
    by: str
    seconds: float


class CancelJournal:
    """The requests beside one blotter's file.

    Parameters
    ----------
    path : the blotter's file

    Examples
    --------
    >>> import tempfile
    >>> journal = CancelJournal(Path(tempfile.mkdtemp()) / "paper.duckdb")
    >>> number = journal.ask("run-1", by="ann", seconds=30.0)
    >>> requests, end = journal.requests_since(0)
    >>> [(one.run_id, one.by) for one in requests], journal.requests_since(end)[0]
    ([('run-1', 'ann')], [])
    >>> journal.write("answer", number, outcome={"ended": []})
    >>> journal.answer_to(number)["outcome"]
    {'ended': []}
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}.cancel")

    def ask(self, run_id: str | None, *, by: str, seconds: float) -> str:
        """Append a request, and return its number."""
        number = uuid4().hex
        self.write("request", number, run_id=run_id, by=by, seconds=seconds, at=clock.now().isoformat())
        return number

    def write(self, kind: str, number: str, **values: object) -> None:
        """Append a line about the request of this number: ``seen``, ``answer`` or ``failed``.

        Raises
        ------
        BlotterError
            It cannot be written.
        """
        line = json.dumps({"kind": kind, "number": number, "pid": os.getpid(), **values}).encode()
        try:
            append_line(self._path, line)
        except OSError as error:
            text = f"{kind} could not be written to {str(self._path)!r}: {error.strerror}"
            raise BlotterError(text) from error

    @property
    def end(self) -> int:
        """Where the next line will begin."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def requests_since(self, begin: int) -> tuple[list[CancelRequest], int]:
        """Requests in the lines from ``begin`` on, and where the lines end that are complete."""
        rows, end = self._rows(begin)
        found = [_request(row) for row in rows if row.get("kind") == "request"]
        return [one for one in found if one is not None], end

    def is_seen(self, number: str) -> bool:
        """Whether a process works this request, or has answered it."""
        return any(row.get("number") == number and row.get("kind") != "request" for row in self._rows(0)[0])

    def answer_to(self, number: str) -> dict[str, Any] | None:
        """The ``answer`` or ``failed`` line of a request; None until there is one."""
        rows = self._rows(0)[0]
        return next(
            (row for row in rows if row.get("number") == number and row.get("kind") in ("answer", "failed")), None
        )

    def _rows(self, begin: int) -> tuple[list[dict[str, Any]], int]:
        if self.end <= begin:
            return [], begin
        try:
            with self._path.open("rb") as stream:
                stream.seek(begin)
                data = stream.read()
        except OSError:
            return [], begin
        whole = data[: data.rfind(b"\n") + 1]
        rows = (_read(line) for line in whole.splitlines())
        return [row for row in rows if row is not None], begin + len(whole)


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("number"), str) else None


def _request(row: dict[str, Any]) -> CancelRequest | None:
    match row:
        case {"number": str(number), "run_id": str() | None as run_id, "by": str(by), "seconds": float(seconds)}:
            return CancelRequest(number, run_id, by, seconds)
    return None
