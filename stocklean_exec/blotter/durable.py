"""Make file names durable: a file created or renamed in a folder is still there after a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sync_folder"]


def sync_folder(folder: Path) -> None:
    """Write the names of the files in ``folder`` to the disk; return when that is done.

    Syncing a file makes its contents durable; under POSIX, the name of a new or renamed file needs a sync of its
    folder.

    Raises
    ------
    OSError
        The folder cannot be opened or synced.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "new.txt").write_text("kept by name")
    ...     sync_folder(Path(folder))
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
