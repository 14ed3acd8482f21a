"""Exclusive ownership of a blotter file, by a lock file beside it.

DuckDB locks its file too, but with a POSIX lock, which the kernel drops as soon as the owning process opens and
closes the file again (a copy, a hash); a second process can then write, and the first one silently overwrites it.
A ``flock`` on a separate file that nothing else opens does not have that weakness, and can name its owner.
DuckDB's lock is kept too: the owner opens its file for reading once, at the start, and reads it only through that
descriptor (:func:`reading`).

A lock is on a file, not on its name: once the file is removed, another process can create and lock a new file of
that name. Callers that must notice this check :meth:`FileLock.is_in_place`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
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

__all__ = ["FileLock", "find_exposure", "is_held_here", "reading"]

_LINK = "is a symbolic link, which is not followed: remove it"
_TRIES = 5  # a stated choice: a try fails only if the file is removed between opening and locking it


class FileLock:
    """An exclusive lock on ``<path>.lock``, held until :meth:`release` or the end of the process.

    Parameters
    ----------
    path : what is locked
    folder : descriptor of the folder of ``path``, if that folder is private to this user: the lock file is opened
        relative to it, and must be private too (:func:`find_exposure`)

    Raises
    ------
    BlotterLockedError
        Another process holds it; the error names that process.
    BlotterError
        The lock file cannot be created, is a link, or is not private in a private folder.
    """

    def __init__(self, path: Path, folder: int | None = None) -> None:
        self.path = Path(f"{path}.lock")
        self.of = path
        self._pinned = -1
        self._reading = threading.Lock()
        for _ in range(_TRIES):
            self._descriptor = _open(self.path, folder)
            self._lock()
            if self.is_in_place():
                break
            os.close(self._descriptor)
        else:
            raise BlotterError(
                f"the lock file {str(self.path)!r} disappears once it is created: stop what moves or removes it"
            )
        self._write_owner()
        _HELD.add(self)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._read_owner()
            os.close(self._descriptor)
            raise BlotterLockedError(_explain(self.of, owner), owner) from None
        except OSError as error:
            os.close(self._descriptor)
            raise BlotterError(f"{str(self.path)!r} cannot be locked: {error.strerror}") from error

    def is_in_place(self) -> bool:
        """Whether the locked file still has its name; if not, another process may hold a lock under that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except OSError:
            return False

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
        """Open the locked file for reading, until the lock is released. Call it after DuckDB opened the file."""
        self._pinned = os.open(self.of, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def pinned(self) -> Iterator[int]:
        """Yield the descriptor that :meth:`pin` opened; it stays open meanwhile."""
        with self._reading:
            if self._pinned < 0:
                raise BlotterError(f"{self.of.name} is being opened or closed in this process; try again")
            yield self._pinned

    def release(self) -> None:
        """Release the lock. The lock file is kept: removing it would open a race."""
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


def _open(path: Path, folder: int | None) -> int:
    """Open or create a lock file; in a private ``folder`` it must be private too."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path if folder is None else path.name, flags, 0o600, dir_fd=folder)
    except OSError as error:
        why = f"it {_LINK}" if error.errno == errno.ELOOP else error.strerror
        raise BlotterError(f"the lock file {str(path)!r} cannot be made: {why}") from error
    exposure = "" if folder is None else find_exposure(os.fstat(descriptor), is_folder=False)
    if exposure:
        os.close(descriptor)
        raise BlotterError(f"the lock file {str(path)!r} {exposure}")
    return descriptor


def find_exposure(status: os.stat_result, *, is_folder: bool) -> str:
    """Why a file or folder is not private to this user, and how to fix it; "" for a private one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     os.chmod(name, 0o755)
    ...     find_exposure(os.stat(name), is_folder=True)
    'is open to other users (mode 755): chmod 700 makes it private'
    """
    if stat.S_ISLNK(status.st_mode):
        return _LINK
    if is_folder and not stat.S_ISDIR(status.st_mode):
        return "is not a folder: move it away"
    if not is_folder and not stat.S_ISREG(status.st_mode):
        return "is not a regular file: move it away"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to user {os.geteuid()} of this program: have it removed"
    if status.st_mode & 0o077:
        private = 700 if is_folder else 600
        mode = f"{stat.S_IMODE(status.st_mode):03o}"
        return f"is open to other users (mode {mode}): chmod {private} makes it private"
    return ""


_HELD: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _drop_in_child() -> None:
    """Close a forked child's copies of the descriptors: the lock must end with its owner, not with the child."""
    for lock in list(_HELD):
        lock._close()  # noqa: SLF001 - its own module
    _HELD.clear()


os.register_at_fork(after_in_child=_drop_in_child)


def _held(path: Path) -> FileLock | None:
    return next((lock for lock in list(_HELD) if lock.of == path), None)


def is_held_here(path: Path) -> bool:
    """Whether this process owns the file: then only DuckDB may open it here."""
    return _held(path) is not None


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Yield a descriptor for reading a blotter's file, whichever process owns it; do not close it."""
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
