"""One owner for one blotter file, by a lock file of our own beside it.

DuckDB locks its file too, but with a POSIX lock, which the kernel drops as soon as the owning process merely
opens and closes the file once more (a copy, a hash); a second process can then write, and the first one
silently overwrites it. A ``flock`` on a file that nobody else has a reason to open does not have that hole,
and can say who holds it. DuckDB's lock is kept too: the owner opens its file for reading once, at the start,
and reads it through that descriptor alone (:func:`reading`).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stocklean_exec import clock
from stocklean_exec.errors import BlotterError, BlotterLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["FileLock", "is_held_here", "reading"]


class FileLock:
    """An exclusive lock on ``<path>.lock``, held until :meth:`release` or the end of the process.

    Raises
    ------
    BlotterLockedError
        Another process holds it; the error names that process.
    BlotterError
        The lock file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}.lock")
        self.of = path
        self._pinned = -1
        self._reading = threading.Lock()
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise BlotterError(f"the lock file {str(self.path)!r} cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._read_owner()
            os.close(self._descriptor)
            raise BlotterLockedError(_explain(path, owner), owner) from None
        except OSError as error:
            os.close(self._descriptor)
            raise BlotterError(f"{str(self.path)!r} cannot be locked: {error.strerror}") from error
        self._write_owner()
        _HELD.add(self)

    def _read_owner(self) -> dict[str, object]:
        try:
            owner = json.loads(os.pread(self._descriptor, 4096, 0) or b"{}")
        except ValueError:
            return {}
        return owner if isinstance(owner, dict) else {}

    def _write_owner(self) -> None:
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": clock.now().isoformat(timespec="seconds"),
            "program": Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)

    def pin(self) -> None:
        """Open the locked file for reading, until the lock is released. Call it once DuckDB has opened it."""
        self._pinned = os.open(self.of, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def pinned(self) -> Iterator[int]:
        """Give the descriptor that :meth:`pin` opened; it stays open meanwhile."""
        with self._reading:
            if self._pinned < 0:
                raise BlotterError(f"{self.of.name} is being opened or closed in this process; try again")
            yield self._pinned

    def release(self) -> None:
        """Give the lock back. The lock file stays: removing it would open a race."""
        with self._reading:
            self._close()
        _HELD.discard(self)

    def _close(self) -> None:
        for descriptor in (self._pinned, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._pinned = self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_HELD: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _drop_in_child() -> None:
    """Close a forked child's copies of the descriptors: the lock must end with its owner, whoever survives it."""
    for lock in list(_HELD):
        lock._close()  # noqa: SLF001 - its own module
    _HELD.clear()


os.register_at_fork(after_in_child=_drop_in_child)


def _held(path: Path) -> FileLock | None:
    return next((lock for lock in list(_HELD) if lock.of == path), None)


def is_held_here(path: Path) -> bool:
    """Whether this process owns the file: then nobody but DuckDB may open it here."""
    return _held(path) is not None


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Give a descriptor to read a blotter's file through, whoever owns it; do not close it."""
    lock = _held(path)
    if lock is not None:
        with lock.pinned() as descriptor:
            yield descriptor
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _explain(path: Path, owner: dict[str, object]) -> str:
    if owner.get("pid") == os.getpid() and owner.get("host") == socket.gethostname():
        return (
            f"{path.name} is open in this process ({os.getpid()}) already. Use that blotter, or close it first; "
            "sx.read_blotter(path) reads a snapshot"
        )
    who = (
        f"process {owner.get('pid')} ({owner.get('program')}) on {owner.get('host')}, "
        f"since {owner.get('started_at')}"
        if owner
        else "another process"
    )
    return (
        f"{path.name} is open in {who}. Close it there (blotter.close(), or end that kernel), "
        "or read a snapshot with sx.read_blotter(path)"
    )
