"""The kill switch: a small journal beside the blotter that any process may append to.

Each line of ``<path>.halt`` says who halted or cleared, when and why. The last line is the current state.
Appending is atomic and durable at once; checking costs one ``stat`` while nothing has changed, so it is done
before every order. Anything that cannot be read counts as a halt. A blotter in memory keeps its journal in memory.
"""

from __future__ import annotations

import getpass
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from stocklean_exec import clock
from stocklean_exec.blotter.durable import sync_folder
from stocklean_exec.errors import BlotterError, HaltedError, InputError, Problem

__all__ = ["HaltEntry", "HaltJournal", "append_line"]

_KINDS = ("halted", "halt_cleared")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HaltEntry(NamedTuple):
    """One line of the journal; ``kind`` is ``halted`` or ``halt_cleared``."""

    kind: str
    reason: str
    at: datetime
    by: str


class HaltJournal:
    """The kill switch of one blotter.

    Parameters
    ----------
    path : the blotter's file, or None for one in memory
    """

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else Path(f"{path}.halt")
        self._entries: list[HaltEntry] = []
        self._seen: tuple[int, int, int] | None = None
        self._mutex = threading.Lock()

    def halt(self, reason: str) -> HaltEntry:
        """Stop all sending, in every process that uses this blotter."""
        return self._append("halted", reason)

    def clear(self, reason: str) -> HaltEntry:
        """Allow sending again; a person's decision, with its reason."""
        return self._append("halt_cleared", reason)

    def _append(self, kind: str, reason: object) -> HaltEntry:
        if not isinstance(reason, str) or not reason.strip():
            raise InputError("reason", [Problem("reason_missing", "a reason is required")])
        entry = HaltEntry(kind, reason.strip(), clock.now(), _user())
        if self._path is None:
            with self._mutex:
                self._entries.append(entry)
            return entry
        row = {"kind": kind, "reason": entry.reason, "at": entry.at.isoformat(), "by": entry.by}
        try:
            append_line(self._path, json.dumps(row).encode())
        except OSError as error:
            text = f"{kind} could not be written to {str(self._path)!r}: {error.strerror}"
            raise BlotterError(text) from error
        return entry

    def entries(self) -> list[HaltEntry]:
        """All lines so far, oldest first. A line that cannot be read counts as a halt."""
        with self._mutex:
            self._refresh()
            return list(self._entries)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
            if mark != self._seen:
                self._entries = _parse(self._path.read_bytes())
                self._seen = mark
        except FileNotFoundError:
            self._entries, self._seen = [], None
        except OSError as error:
            text = f"the halt file cannot be read: {error.strerror}"
            self._entries, self._seen = [HaltEntry("halted", text, _EPOCH, "unknown")], None

    def halted_by(self) -> HaltEntry | None:
        """Return the halt in force, or None."""
        entries = self.entries()
        return entries[-1] if entries and entries[-1].kind == "halted" else None

    def check(self) -> None:
        """Raise HaltedError while a halt is in force."""
        entry = self.halted_by()
        if entry is not None:
            raise HaltedError(
                f"halted at {entry.at:%Y-%m-%d %H:%M:%S} UTC by {entry.by}: {entry.reason}. "
                "Clear it with blotter.clear_halt(reason) or stocklean clear-halt"
            )


def append_line(path: Path, line: bytes) -> None:
    """Append a line to a private file, complete and durable when this returns; a link is not followed.

    Raises
    ------
    OSError
        It cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        # A line that a crash cut short must not be joined with this one.
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = (b"\n" if is_torn else b"") + line + b"\n"
        if os.write(descriptor, data) != len(data):
            raise OSError(0, "only a part of the line could be written")
        os.fsync(descriptor)
        sync_folder(path.parent)  # the first halt creates the file, whose name must survive a power cut too
    finally:
        os.close(descriptor)


def _parse(data: bytes) -> list[HaltEntry]:
    entries: list[HaltEntry] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            entries.append(_read(line) or _unreadable(number, entries))
    return entries


def _read(line: bytes) -> HaltEntry | None:
    try:
        row = json.loads(line)
        kind, reason, by = row["kind"], row["reason"], row["by"]
        at = datetime.fromisoformat(row["at"])
    except (ValueError, KeyError, TypeError):
        return None
    is_sound = kind in _KINDS and isinstance(reason, str) and isinstance(by, str) and at.tzinfo is not None
    return HaltEntry(kind, reason, at, by) if is_sound else None


def _unreadable(number: int, before: list[HaltEntry]) -> HaltEntry:
    # The time of the previous line: the same at each reading, so that the blotter records it once.
    at = before[-1].at if before else _EPOCH
    return HaltEntry("halted", f"line {number} of the halt file cannot be read", at, "unknown")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return str(os.getuid())
