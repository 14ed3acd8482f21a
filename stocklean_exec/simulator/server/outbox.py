"""What waits to be written to one connection: portions of bytes, some of them kept back behind others.

Pure. It counts what waits, so that a reader who does not read is found out.
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
    most : bytes that may wait; beyond them nothing is kept, and the stream is ``torn``
    on_write : called when there is something to write
    on_overflow : called with the number of bytes when too many wait

    Examples
    --------
    >>> box = Outbox(100, on_write=lambda: None, on_overflow=print)
    >>> box.keep(b"first", behind=1)
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
        self._apart = False

    def write(self, data: bytes) -> None:
        """Put ``data`` at the end of what waits."""
        self.waiting += len(data)
        if self.waiting > self._most:
            self.overflowed = True
            if not self.stalled:
                self._chunks.clear()
                self._on_overflow(self.waiting)
            return
        self._chunks.append(data)
        self._on_write()

    def write_apart(self, data: bytes) -> None:
        """Write ``data`` byte by byte, each in a portion of its own."""
        self._apart = True
        for at in range(len(data)):
            self.write(data[at : at + 1])

    def emit(self, frame: bytes) -> None:
        """Write a whole frame; frames that were kept back behind it may follow."""
        self.write(frame)
        if self._later:
            self._later = [(left - 1, late) for left, late in self._later]
            self._write_due()

    def keep(self, frame: bytes, *, behind: int) -> None:
        """Write ``frame`` when ``behind`` more frames have been written, at the latest when all is said."""
        self._later.append((behind, frame))

    def flush(self) -> None:
        """All is said for now: what was kept back goes."""
        if self._later:
            self._later = [(0, late) for _, late in self._later]
            self._write_due()

    def _write_due(self) -> None:
        due = [late for left, late in self._later if left <= 0]
        self._later = [entry for entry in self._later if entry[0] > 0]
        for late in due:
            self.write(late)

    def take(self) -> list[bytes]:
        """Portions to be written now, usually one; none while the connection is stalled."""
        if self.stalled or not self._chunks:
            return []
        chunks, self._chunks = self._chunks, []
        apart, self._apart = self._apart, False
        self.waiting = 0
        return chunks if apart else [b"".join(chunks)]
