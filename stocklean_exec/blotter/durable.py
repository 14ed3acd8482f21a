"""Make files durable: one that was created or renamed in a folder is still there after a power cut."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacing", "sync_folder"]


@contextmanager
def replacing(file: Path, text: str) -> Iterator[None]:
    """Write ``text`` to a file of mode 600 that takes the place of ``file`` when the block ends without an error.

    The new file is on disk before the block begins, under another name. A link in place of ``file`` is
    replaced, not followed.

    Raises
    ------
    OSError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "basket.csv")
    ...     with replacing(file, "new"):
    ...         was_there = file.exists()
    ...     was_there, file.read_text()
    (False, 'new')
    """
    written = file.with_name(f".{file.name}.new")
    written.unlink(missing_ok=True)  # of a process that was killed
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield
        written.replace(file)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


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
