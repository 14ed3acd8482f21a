"""Framing: bytes to frames, frames to fields, and back.

A frame is a 4-byte big-endian length and a payload of that many bytes. The payload is a sequence of text fields,
each terminated by a NUL byte; the first is the message id. This format applies to server versions up to 200.

Pure: no clock, no socket, no log. Input is assumed hostile. A reader buffers at most one frame of unread bytes,
and raises :class:`FrameError` when a peer announces a larger one.

Source: the captured frames in ``tests/wire``; TWS API documentation, "EReader" and "V100 plus".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_FRAME", "FrameError", "FrameReader", "pack", "pack_fields", "split_fields"]

MAX_FRAME = 1 << 20
"""Default for the largest payload accepted from a peer, bytes: a choice; a real request has a few kilobytes."""

_PREFIX = struct.Struct(">I")


class FrameError(ValueError):
    """A peer announced a frame larger than the limit.

    Attributes
    ----------
    length : int Announced length, bytes.
    bound : int Largest accepted length, bytes.
    """

    def __init__(self, length: int, bound: int) -> None:
        self.length = length
        self.bound = bound
        super().__init__(f"frame of {length} bytes announced, at most {bound} are accepted")


class FrameReader:
    r"""Collects bytes in chunks of any size and returns complete payloads.

    Parameters
    ----------
    max_frame : largest payload accepted, bytes

    Examples
    --------
    Complete, split and trailing reads agree:

    >>> reader = FrameReader()
    >>> reader.feed(pack(b"61\x001\x00")[:5])
    >>> list(reader.payloads())
    []
    >>> reader.feed(pack(b"61\x001\x00")[5:] + b"\x00")
    >>> list(reader.payloads()), reader.unread
    ([b'61\x001\x00'], 1)
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._read = 0

    @property
    def unread(self) -> int:
        """Number of buffered bytes that do not form a complete frame yet."""
        return len(self._buffer) - self._read

    def feed(self, data: bytes) -> None:
        """Accept bytes from the peer."""
        self._buffer += data

    def take(self, count: int) -> bytes | None:
        """Exactly ``count`` unframed bytes (the greeting), or None until they have arrived."""
        if self.unread < count:
            return None
        raw = bytes(self._buffer[self._read : self._read + count])
        self._read += count
        return raw

    def payloads(self) -> Iterator[bytes]:
        """All complete payloads that have arrived, in order.

        Raises
        ------
        FrameError
            When the next frame is larger than the limit. Nothing after it can be read.
        """
        while (payload := self.next_payload()) is not None:
            yield payload

    def next_payload(self) -> bytes | None:
        """The next complete payload, or None until it has arrived.

        Raises
        ------
        FrameError
            When the next frame is larger than the limit.
        """
        if self.unread < _PREFIX.size:
            self._compact()
            return None
        (length,) = _PREFIX.unpack_from(self._buffer, self._read)
        if length > self._max_frame:
            raise FrameError(length, self._max_frame)
        begin = self._read + _PREFIX.size
        if len(self._buffer) < begin + length:
            self._compact()
            return None
        self._read = begin + length
        return bytes(self._buffer[begin : self._read])

    def _compact(self) -> None:
        # Once per read, not once per frame: many small frames in one read stay linear.
        if self._read:
            del self._buffer[: self._read]
            self._read = 0


def pack(payload: bytes) -> bytes:
    r"""The frame of ``payload``.

    Examples
    --------
    >>> pack(b"9\x001\x0043\x00")
    b'\x00\x00\x00\x079\x001\x0043\x00'
    """
    return _PREFIX.pack(len(payload)) + payload


def pack_fields(fields: Iterable[str]) -> bytes:
    r"""The frame of text ``fields``. A NUL inside a field becomes a space.

    It would otherwise shift all fields after it.

    Examples
    --------
    >>> pack_fields(["53", "1"])
    b'\x00\x00\x00\x0553\x001\x00'
    >>> split_fields(pack_fields(["a\x00b"])[4:])
    ['a b']
    """
    texts = list(fields)
    body = "\0".join(texts)
    if body.count("\0") != len(texts) - 1:
        body = "\0".join(text.replace("\0", " ") for text in texts)
    return pack(f"{body}\0".encode(errors="backslashreplace"))


def split_fields(payload: bytes) -> list[str]:
    r"""The text fields of ``payload``; a last field without its NUL is included.

    Bytes that are not UTF-8 are shown as ``\xNN``.

    Examples
    --------
    >>> split_fields(b"61\x001\x00"), split_fields(b"61\x001"), split_fields(b"")
    (['61', '1'], ['61', '1'], [])
    """
    fields = payload.decode(errors="backslashreplace").split("\0")
    if fields[-1] == "":
        fields.pop()
    return fields
