"""Outgoing bytes of one connection: chunks to write, and frames delayed until later frames have been written.

Pure. It counts the queued bytes, so that a client that does not read is detected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outbox"]


class Outbox:
    """The outgoing bytes of one session.

    Parameters
    ----------
    most : maximum queued bytes; above them output is dropped, and the stream is ``overflowed``
    on_write : called when there are bytes to write
    on_overflow : called with the number of queued bytes when it exceeds ``most``

    Examples
    --------
    >>> box = Outbox(100, on_write=lambda: None, on_overflow=print)
    >>> box.delay(b"first", behind=1)
    >>> box.emit(b"second")
    >>> box.take()
    [b'secondfirst']
    """

    def __init__(self, most: int, *, on_write: Callable[[], None], on_overflow: Callable[[int], None]) -> None:
        self._most = most
        self._on_write = on_write
        self._on_overflow = on_overflow
        self._chunks: list[bytes] = []
        self._later: list[tuple[int, bytes]] = []
        self.waiting = 0
        self.stalled = False
        self.overflowed = False
        self._separately = False

    def write(self, data: bytes) -> None:
        """Append ``data`` to the queued bytes."""
        self.waiting += len(data)
        if self.waiting > self._most:
            self.overflowed = True
            if not self.stalled:
                self._chunks.clear()
                self._on_overflow(self.waiting)
            return
        self._chunks.append(data)
        self._on_write()

    def write_separately(self, data: bytes) -> None:
        """Write ``data`` byte by byte, each as a separate chunk."""
        self._separately = True
        for at in range(len(data)):
            self.write(data[at : at + 1])

    def emit(self, frame: bytes) -> None:
        """Write a frame, then the delayed frames that are due after it."""
        self.write(frame)
        if self._later:
            self._later = [(after - 1, late) for after, late in self._later]
            self._write_due()

    def delay(self, frame: bytes, *, behind: int) -> None:
        """Write ``frame`` after ``behind`` more frames, at the latest at the next flush."""
        self._later.append((behind, frame))

    def flush(self) -> None:
        """Write all delayed frames."""
        if self._later:
            self._later = [(0, late) for _, late in self._later]
            self._write_due()

    def _write_due(self) -> None:
        due = [late for after, late in self._later if after <= 0]
        self._later = [entry for entry in self._later if entry[0] > 0]
        for late in due:
            self.write(late)

    def take(self) -> list[bytes]:
        """Take the chunks to write now, usually one; none while the connection is stalled."""
        if self.stalled or not self._chunks:
            return []
        chunks, self._chunks = self._chunks, []
        apart, self._separately = self._separately, False
        self.waiting = 0
        return chunks if apart else [b"".join(chunks)]
