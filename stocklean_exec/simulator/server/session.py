"""Session of one client: bytes in, bytes out, no socket.

``feed`` accepts received bytes, ``take`` returns the bytes to write. ``closed`` means that the connection is to be
closed after them, and ``reason`` gives the reason. No input makes a method raise: bytes that break the protocol
close the session, an unreadable request is answered with error 320, and a failure in the venue with error 322.

The sequence is greeting, version, START_API, requests. Between the version and START_API the server sends nothing:
official clients discard messages received there.

Faults of a scenario are applied here: to requests before the venue processes them, to replies before encoding.
"""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.clock import local_time
from stocklean_exec.simulator.exchange.subscriptions import Subscriptions
from stocklean_exec.simulator.protocol import messages as _messages  # noqa: F401 - registers the layouts
from stocklean_exec.simulator.protocol.field_layouts import MAX_VERSION, MIN_VERSION, fields_of
from stocklean_exec.simulator.protocol.framing import FrameError, FrameReader, pack_fields, split_fields
from stocklean_exec.simulator.protocol.order_request import OrderRequest, parse_order
from stocklean_exec.simulator.protocol.requests import BadRequest, Request, parse_request
from stocklean_exec.simulator.server.fault_injection import inject_reply_faults, inject_request_faults
from stocklean_exec.simulator.server.outbox import Outbox
from stocklean_exec.simulator.settings import Limits

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.venue import Venue

__all__ = ["Session", "Stage"]

_GREETING = b"API\0"
_RANGE = re.compile(r"v(\d{1,5})(?:\.\.(\d{1,5}))?(?: .*)?", re.ASCII)
_PLACE_ORDER = "3"
_LARGEST_ID = (1 << 31) - 1  # client ids are 32-bit signed integers in TWS


class Stage(Enum):
    """Stage of a session."""

    GREETING = auto()
    VERSION = auto()
    START = auto()
    LIVE = auto()
    CLOSED = auto()


class Session:
    r"""The session of one client.

    Parameters
    ----------
    venue : shared by all sessions
    limits : resource limits for clients

    Examples
    --------
    >>> from stocklean_exec.simulator.exchange.venue import Venue
    >>> session = Session(Venue())
    >>> session.feed(b"API\x00\x00\x00\x00\x09v157..178")
    >>> session.take()[4:8]
    b'176\x00'
    >>> session.feed(b"\xff\xff\xff\xff"); session.closed, session.reason
    (True, 'frame of 4294967295 bytes announced, at most 1048576 are accepted')
    """

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.venue = venue
        self.limits = limits or Limits()
        self.stage = Stage.GREETING
        self.version = MIN_VERSION
        self.client_id = -1
        self.subs = Subscriptions()
        self.reason = ""
        self.notes: deque[str] = deque(maxlen=100)  # a choice: enough for a log line, bounded for long sessions
        self.reading_paused = False
        self.pending = 0
        self.ready_at = 0.0
        self.requests = 0
        self.recent: deque[float] = deque(maxlen=512)  # a choice: ten times the default pacing limit
        self.violations = 0
        self._reader = FrameReader(self.limits.max_frame)
        self._held: list[tuple[int, Request | OrderRequest]] = []
        self._bad = 0
        self.muted = False
        self.outbox = Outbox(
            self.limits.max_unsent, on_write=partial(venue.dirty.add, self), on_overflow=self._overflow
        )

    # bytes

    @property
    def closed(self) -> bool:
        """Whether the connection is to be closed once everything is written."""
        return self.stage is Stage.CLOSED

    def feed(self, data: bytes) -> None:
        """Accept bytes from the client, and process every complete request."""
        if self.closed:
            return
        self._reader.feed(data)
        self._process_buffer()

    def _process_buffer(self) -> None:
        try:
            while self._is_reading() and self._step():
                pass
        except FrameError as problem:
            self.close(str(problem))

    def _is_reading(self) -> bool:
        return not (self.closed or self.reading_paused)

    def eof(self) -> None:
        """The client closed the connection."""
        unread = self._reader.unread
        self.close(f"the peer closed the connection{f' inside a frame of {unread} bytes' if unread else ''}")

    def take(self) -> bytes:
        """Take the bytes to write now."""
        return b"".join(self.take_chunks())

    def take_chunks(self) -> list[bytes]:
        """Take the bytes to write now, as chunks to be written separately."""
        return self.outbox.take()

    def close(self, reason: str) -> None:
        """Close the session; pending bytes are still written."""
        if not self.closed:
            self.reason = reason
            self.notes.append(f"closed: {reason}")
            self.stage = Stage.CLOSED
            self.venue.leave(self)

    # the protocol

    def _step(self) -> bool:
        if self.stage is Stage.GREETING:
            return self._greet()
        payload = self._reader.next_payload()
        if payload is None:
            return False
        if self.stage is Stage.VERSION:
            self._negotiate(payload)
        else:
            self._request(split_fields(payload))
        return True

    def _greet(self) -> bool:
        greeting = self._reader.take(len(_GREETING))
        if greeting is None:
            return False
        if greeting == _GREETING:
            self.stage = Stage.VERSION
        else:
            self.close(f"not a greeting of the TWS API: {greeting!r}")
        return True

    def _negotiate(self, payload: bytes) -> None:
        if self.venue.is_down():
            self.close("TWS restarts")
            return
        text = payload.decode("ascii", errors="replace").rstrip("\0")
        found = _RANGE.fullmatch(text)
        if found is None:
            self.close(f"not a version range: {text[:40]!r}")
            return
        least, most = int(found[1]), int(found[2] or found[1])
        version = min(most, self.venue.server_version, MAX_VERSION)
        if least > version or version < MIN_VERSION:
            supported = f"{MIN_VERSION} to {self.venue.server_version}"
            self.close(f"the client supports versions {least} to {most}, this server {supported}")
            return
        self.version = version
        self.stage = Stage.START
        zone = self.venue.switches.time_zone
        self.outbox.write(
            pack_fields([str(version), f"{local_time(self.venue.clock.now(), zone):%Y%m%d %H:%M:%S %Z}"])
        )

    def _request(self, fields: list[str]) -> None:
        if not fields:
            self._report_bad_request(BadRequest("empty", -1, "the message is empty"))
            return
        parse = parse_order if fields[0] == _PLACE_ORDER else parse_request
        request = parse(fields, self.version)
        if isinstance(request, BadRequest):
            self._report_bad_request(request)
        elif self.stage is Stage.START and request.kind != "startApi":
            self.close(f"{request.kind} before START_API")
        else:
            self._apply_faults(request)

    def _report_bad_request(self, bad: BadRequest) -> None:
        self.notes.append(f"{bad.kind}: {bad.reason}")
        self._bad += 1
        if self.stage is Stage.START:
            self.close(f"{bad.kind} before START_API: {bad.reason}")
            return
        self.error(bad.req_id, 320, f"Error reading request. {bad.reason}")
        if self._bad >= self.limits.max_bad:
            self.close(f"{self._bad} unreadable requests, last: {bad.reason}")
        self.venue.run_until_idle()

    def _apply_faults(self, request: Request | OrderRequest) -> None:
        self.requests += 1
        attributes = {"client_id": self.client_id} | _attributes(request)
        faults = self.venue.faults.for_request(request.kind, attributes) if self.venue.faults else []
        if not inject_request_faults(self, request, faults):
            self.venue.admit(self, request)
        if not self.reading_paused:
            self._release_held()

    def perform(self, request: Request | OrderRequest) -> None:
        """Let the venue process the request, even if the client has disconnected."""
        if request.kind == "startApi" and isinstance(request, Request):
            if not self.closed:
                self._start(request)
        else:
            self.venue.handle(self, request)

    def _start(self, request: Request) -> None:
        if self.stage is Stage.LIVE:
            self.error(-1, 321, "Error validating request.-'bV' : cause - The API was started before")
            self.notes.append("START_API a second time")
            return
        client_id = request["clientId"]
        if not 0 <= client_id <= _LARGEST_ID:
            self.close(f"client id {client_id} is out of range")
            return
        self.client_id = client_id
        self.stage = Stage.LIVE
        self.venue.join(self)

    def _release_held(self) -> None:
        self._held = [(after - 1, request) for after, request in self._held]
        due = [request for after, request in self._held if after < 0]
        self._held = [entry for entry in self._held if entry[0] >= 0]
        for request in due:
            self.venue.admit(self, request)

    def hold(self, request: Request | OrderRequest, behind: int) -> None:
        """Process ``request`` after ``behind`` further requests of this connection."""
        self._held.append((behind, request))

    def stop_reading(self, seconds: float = 0.0) -> None:
        """Stop reading from the socket, permanently or for some seconds."""
        self.reading_paused = True
        if seconds:
            self.venue.clock.schedule(seconds, self._resume_reading, work=False)

    def _resume_reading(self) -> None:
        self.reading_paused = False
        self._release_held()
        if not self.closed:
            self._process_buffer()
        self.venue.dirty.add(self)

    def stop_writing(self, seconds: float = 0.0) -> None:
        """Stop writing to the socket, permanently or for some seconds."""
        self.outbox.stalled = True
        if seconds:
            self.venue.clock.schedule(seconds, self._resume_writing, work=False)

    def _resume_writing(self) -> None:
        self.outbox.stalled = False
        if self.outbox.overflowed:
            self.close(f"slow reader: more than {self.limits.max_unsent} bytes were waiting")
        self.venue.dirty.add(self)

    # replies

    def error(self, req_id: int, code: int, text: str) -> None:
        """Send an error or system message; request id -1 for none."""
        self.send("error", {"reqId": req_id, "code": code, "text": text})

    def send(self, kind: str, values: dict[str, Any], attributes: dict[str, Any] | None = None) -> None:
        """Send a reply, subject to the scenario's faults, which select by ``attributes``."""
        if self.closed or self.muted:
            return
        plan = self.venue.faults
        faults = plan.for_reply(kind, {"client_id": self.client_id} | (attributes or {})) if plan else []
        if faults:
            inject_reply_faults(self, kind, values, faults)
        else:
            self.outbox.emit(pack_fields(fields_of(kind, self.version, values)))

    def flush(self) -> None:
        """Write all delayed replies; the venue has finished processing."""
        self.outbox.flush()

    def _overflow(self, waiting: int) -> None:
        self.close(f"slow reader: {waiting} bytes are waiting")


def _attributes(request: Request | OrderRequest) -> dict[str, Any]:
    if isinstance(request, OrderRequest):
        return {
            "symbol": request.contract.symbol,
            "order_ref": request.order_ref,
            "side": request.side,
            "order_type": request.order_type,
            "tif": request.tif,
        }
    contract = request.args.get("contract")
    return {"symbol": contract.symbol} if contract is not None else {}
