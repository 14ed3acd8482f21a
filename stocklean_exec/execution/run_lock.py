"""The run lock: one process sends a run on this computer, whatever address of TWS it uses.

The blotter's file lock keeps a second process from the same file. Two processes with different blotters could
still send the same run to the same account, also through two host names or two ports of one TWS. The run lock is
named after account and run only, and refuses the second process at once. Recovery refuses it too, but only once
the broker reports the orders of the first.

The lock is a ``flock`` on a file in the user's state folder (``~/.local/state/stocklean_exec/locks``, or below
XDG_STATE_HOME), which no other user can enter. The file is kept: removing it would open a race. If someone removes
it while a run is being sent, a second process can lock a new file of that name. Therefore the first process checks
before each order whether its file is still in place (:meth:`RunLock.check`), and sends nothing more if it is not.

Not covered: an order sent in the instant between that check and the removal. The second process finds it among the
broker's orders, unless TWS has not registered it by then. Another computer, another user, and a process with
another state folder (a container, another HOME or XDG_STATE_HOME) use separate locks: only the broker's orders,
and the client id if both use the same, separate those.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from stocklean_exec.blotter.file_lock import FileLock, find_exposure
from stocklean_exec.errors import BlotterError, BlotterLockedError, RunElsewhereError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["RunLock", "account_lock", "run_lock"]

_ELSEWHERE = "make it writable, or set XDG_STATE_HOME to a folder of yours, the same for all your programs"


class RunLock:
    """The right to send one run from this computer.

    Parameters
    ----------
    run_id : the run
    lock : the file lock; None if no other process can reach the account
    """

    def __init__(self, run_id: str, lock: FileLock | None = None) -> None:
        self._run_id, self._lock = run_id, lock

    def check(self) -> None:
        """Check, right before an order is sent, that no other process can hold the lock of the same run.

        Raises
        ------
        RunElsewhereError
            The lock file was removed or replaced; the order was not sent.
        """
        if self._lock is not None and not self._lock.is_in_place():
            raise RunElsewhereError(
                f"the lock file of run {self._run_id}, {str(self._lock.path)!r}, was removed or replaced while "
                "the run was being sent. Another process may work the run now, so nothing more was sent from "
                "here: make sure that none does, and resume the run"
            )


@contextmanager
def run_lock(account: str | None, run_id: str) -> Iterator[RunLock]:
    """Hold the lock of a run on an account; None for an account that no other process can reach.

    Raises
    ------
    RunElsewhereError
        Another process, or another part of this one, works this run; the error names the process.
    BlotterError
        The lock file cannot be made, or its folder is not private to this user; the error says how to fix it.

    Examples
    --------
    >>> with run_lock(None, "run-1") as lock:  # the mock broker: no other process can reach it
    ...     lock.check()
    """
    if account is None:
        yield RunLock(run_id)
        return
    with _take_lock(f"run-{_digest(f'{account}/{run_id}')}", f"works run {run_id} on this account now") as lock:
        yield RunLock(run_id, lock)


@contextmanager
def account_lock(account: str | None) -> Iterator[None]:
    """Hold an account from its plan to the end of its run: two commands from cron must not plan one trade twice.

    Runs that a notebook works at the same time on purpose do not take this lock. None is an account that no other
    process can reach.

    Raises
    ------
    RunElsewhereError
        Another command holds it; the error names the process.
    BlotterError
        As for :func:`run_lock`.
    """
    if account is None:
        yield
        return
    with _take_lock(f"account-{_digest(account)}", "rebalances this account now"):
        yield


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:20]


def _take_lock(name: str, does: str) -> FileLock:
    """Take the lock file of this name; an error says what its holder ``does``."""
    base = user_state_path("stocklean_exec")
    folder = base / "locks"
    with _private_folder(base) as outer, _private_folder(folder, outer) as inner:
        try:
            return FileLock(folder / name, inner)
        except BlotterLockedError as error:
            raise RunElsewhereError(
                f"{_describe(error.owner)} {does}; nothing was sent from here. "
                "Wait for it, or end it and resume the run"
            ) from None


def _describe(owner: dict[str, object]) -> str:
    if not owner:
        return "another process"
    host = owner.get("host")
    where = "" if host == socket.gethostname() else f" on {host}"  # a home folder that several computers share
    return f"process {owner.get('pid')} ({owner.get('program')}){where}"


@contextmanager
def _private_folder(path: Path, parent: int | None = None) -> Iterator[int]:
    """Open a folder that only this user can enter, creating it if needed; links are not followed.

    ``parent`` is a descriptor of the folder that it is in.
    """
    name = path if parent is None else path.name
    try:
        if parent is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        why = _find_obstacle(name, parent) or f"cannot be made or opened ({error.strerror}): {_ELSEWHERE}"
        raise BlotterError(f"the folder of run locks {str(path)!r} {why}. Nothing was sent") from error
    try:
        exposure = find_exposure(os.fstat(descriptor), is_folder=True)
        if exposure:
            raise BlotterError(f"the folder of run locks {str(path)!r} {exposure}. Nothing was sent")
        yield descriptor
    finally:
        os.close(descriptor)


def _find_obstacle(name: Path | str, parent: int | None) -> str:
    """What is wrong with an existing path that should be a private folder; "" if it is fine or missing."""
    try:
        return find_exposure(os.stat(name, dir_fd=parent, follow_symlinks=False), is_folder=True)
    except OSError:
        return ""
