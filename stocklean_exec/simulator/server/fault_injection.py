"""Applies the faults of a scenario: to requests before the venue processes them, and to replies before sending.

Each verb of :data:`~stocklean_exec.simulator.scenarios.steps.REQUEST_FAULTS` and of
:data:`~stocklean_exec.simulator.scenarios.steps.REPLY_FAULTS` is one small function in a table here.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from stocklean_exec.simulator.exchange.connection import Connection
from stocklean_exec.simulator.protocol.field_layouts import fields_of
from stocklean_exec.simulator.protocol.framing import pack_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.simulator.exchange.venue import Venue
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.protocol.requests import Request
    from stocklean_exec.simulator.scenarios.scenario import Entry
    from stocklean_exec.simulator.server.outbox import Outbox

    AnyRequest = Request | OrderRequest

__all__ = ["FaultyConnection", "inject_reply_faults", "inject_request_faults"]

_UNKNOWN_MESSAGE = ("999", "1", "a message that no client knows")
_LONGEST = 1 << 20  # default payload of "huge", bytes: the largest frame that the simulator itself accepts
_ENDLESS = 0xFFFFFFFF  # default of "announce", bytes: the largest length that the 4-byte prefix can state


class FaultyConnection(Connection, Protocol):
    """A connection as faults need it, in addition to what the venue needs.

    Attributes
    ----------
    venue : the venue of the connection
    outbox : its outgoing bytes
    muted : whether no more replies are sent on it
    """

    venue: Venue
    outbox: Outbox
    muted: bool

    def hold(self, request: AnyRequest, behind: int) -> None:
        """Process a request after ``behind`` further requests."""

    def stop_reading(self, seconds: float = 0.0) -> None:
        """Stop reading, permanently or for some seconds."""

    def stop_writing(self, seconds: float = 0.0) -> None:
        """Stop writing, permanently or for some seconds."""


def inject_request_faults(session: FaultyConnection, request: AnyRequest, faults: list[Entry]) -> bool:
    """Apply ``faults`` to a request; True when the request needs no further processing."""
    done = False
    for fault in faults:
        session.notes.append(f"fault {fault.get('do')} on {request.kind}")
        done |= _ON_REQUEST[fault.get("do")](session, request, fault)
    return done


def inject_reply_faults(session: FaultyConnection, kind: str, values: dict[str, Any], faults: list[Entry]) -> None:
    """Send a reply with ``faults`` applied to it."""
    frame: bytes | None = pack_fields(fields_of(kind, session.version, values))
    for fault in faults:
        session.notes.append(f"fault {fault.get('do')} on {kind}")
        if fault.get("do") == "edit":
            frame = pack_fields(fields_of(kind, session.version, values | dict(fault.get("set", {}))))
        elif frame is not None:
            frame = _ON_REPLY[fault.get("do")](session, frame, fault)
    if frame is not None:
        session.outbox.emit(frame)
    for fault in faults:
        if fault.get("do") == "stall":
            session.stop_writing(float(fault.get("seconds", 0.0)))
        elif fault.get("do") == "deaf":
            session.stop_reading(float(fault.get("seconds", 0.0)))


# requests: True when the request needs no further processing


def _drop_before_read(session: FaultyConnection, _: AnyRequest, __: Entry) -> bool:
    session.close("fault drop_before_read")
    return True


def _drop_after_read(session: FaultyConnection, request: AnyRequest, fault: Entry) -> bool:
    session.muted = True
    _delay(session, request, fault)
    session.close("fault drop_after_read")
    return True


def _swallow(_: FaultyConnection, __: AnyRequest, ___: Entry) -> bool:
    return True


def _drop_after_accept(session: FaultyConnection, request: AnyRequest, _: Entry) -> bool:
    session.muted = True
    session.venue.admit(session, request)
    session.close("fault drop_after_accept")
    return True


def _drop_after_answer(session: FaultyConnection, request: AnyRequest, _: Entry) -> bool:
    session.perform(request)
    session.close("fault drop_after_answer")
    return True


def _delay(session: FaultyConnection, request: AnyRequest, fault: Entry) -> bool:
    at = session.venue.clock.now() + float(fault.get("seconds", 1.0))
    session.venue.postpone(session, request, at)
    return True


def _hold(session: FaultyConnection, request: AnyRequest, fault: Entry) -> bool:
    session.hold(request, int(fault.get("messages", 1)))
    return True


def _refuse(session: FaultyConnection, request: AnyRequest, fault: Entry) -> bool:
    session.error(request.req_id, int(fault.get("code", 322)), fault.get("text", "Error processing request."))
    return True


def _stop_reading(session: FaultyConnection, request: AnyRequest, fault: Entry) -> bool:
    seconds = float(fault.get("seconds", 0.0))
    session.stop_reading(seconds)
    if seconds:
        session.hold(request, 0)  # it stays in the socket buffer, and is read first when reading resumes
    return True


def _stop_writing(session: FaultyConnection, _: AnyRequest, fault: Entry) -> bool:
    session.stop_writing(float(fault.get("seconds", 0.0)))
    return False


_ON_REQUEST: dict[str, Callable[[FaultyConnection, AnyRequest, Entry], bool]] = {
    "drop_before_read": _drop_before_read,
    "swallow": _swallow,
    "drop_after_read": _drop_after_read,
    "drop_after_accept": _drop_after_accept,
    "drop_after_answer": _drop_after_answer,
    "delay": _delay,
    "hold": _hold,
    "error": _refuse,
    "deaf": _stop_reading,
    "stall": _stop_writing,
}


# replies: the frame that remains to be sent, or None


def _omit(_: FaultyConnection, __: bytes, ___: Entry) -> bytes | None:
    return None


def _duplicate(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    for _ in range(int(fault.get("copies", 1))):
        session.outbox.emit(frame)
    return frame


def _send_later(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    session.venue.clock.schedule(float(fault.get("seconds", 1.0)), partial(session.outbox.emit, frame))
    return None


def _reorder(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    session.outbox.delay(frame, behind=int(fault.get("messages", 1)))
    return None


def _split(session: FaultyConnection, frame: bytes, _: Entry) -> bytes | None:
    session.outbox.write_separately(frame)
    return None


def _cut(session: FaultyConnection, frame: bytes, _: Entry) -> bytes | None:
    session.outbox.write(frame[: len(frame) // 2])
    session.close("fault cut")
    return None


def _close_before(session: FaultyConnection, _: bytes, __: Entry) -> bytes | None:
    session.close("fault close_before")
    return None


def _close_after(session: FaultyConnection, frame: bytes, _: Entry) -> bytes | None:
    session.outbox.write(frame)
    session.close("fault close_after")
    return None


def _garbage(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    session.outbox.emit(pack_fields([str(text) for text in fault.get("fields", _UNKNOWN_MESSAGE)]))
    return frame


def _huge(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    session.outbox.emit(pack_fields(["999", "x" * int(fault.get("bytes", _LONGEST))]))
    return frame


def _announce(session: FaultyConnection, frame: bytes, fault: Entry) -> bytes | None:
    session.outbox.write(struct.pack(">I", int(fault.get("bytes", _ENDLESS))))
    return frame


def _unchanged(_: FaultyConnection, frame: bytes, __: Entry) -> bytes | None:
    return frame


_ON_REPLY: dict[str, Callable[[FaultyConnection, bytes, Entry], bytes | None]] = {
    "omit": _omit,
    "duplicate": _duplicate,
    "delay": _send_later,
    "reorder": _reorder,
    "split": _split,
    "cut": _cut,
    "close_before": _close_before,
    "close_after": _close_after,
    "garbage": _garbage,
    "huge": _huge,
    "announce": _announce,
    "stall": _unchanged,
    "deaf": _unchanged,
}
