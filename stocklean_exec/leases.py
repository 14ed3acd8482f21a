"""One worker for one run on this computer, whatever blotters there are.

A lock on the blotter keeps two processes from one file. Two processes with a file each could still work the same
run on the same account: this lock, named after account and run, refuses the second one at once. The broker's own
orders refuse it too, but only once they are there.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from stocklean_exec.errors import BlotterLockedError, RunElsewhereError
from stocklean_exec.locking import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_lease"]


@contextmanager
def run_lease(account: str | None, run_id: str) -> Iterator[None]:
    """Hold the lease of a run; ``account`` names the account for this computer, None needs no lease.

    Raises
    ------
    RunElsewhereError
        Somebody works this run; the error names the process.
    """
    if account is None:
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"stocklean-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = sha256(f"{account}/{run_id}".encode()).hexdigest()[:20]
    try:
        lock = FileLock(folder / f"run-{name}")
    except BlotterLockedError as error:
        who = (
            f"process {error.owner.get('pid')} ({error.owner.get('program')})"
            if error.owner
            else "another process"
        )
        raise RunElsewhereError(
            f"{who} works run {run_id} on this account now; nothing was sent from here. Wait for it, or end it "
            "and resume the run"
        ) from None
    with lock:
        yield
