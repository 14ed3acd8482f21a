"""The only socket of the simulator: asyncio TCP around the sessions.

Listens on a loopback address unless told otherwise in so many words, and never on the ports where a live TWS
or Gateway would be taken for it. Connections are counted, and closed when they are too many, too silent, or
do not read what they are sent.

On a wall clock the server wakes up when something is due; a virtual clock needs no waking.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange.venue import Venue
from stocklean_exec.simulator.server.session import Session, Stage
from stocklean_exec.simulator.settings import Limits

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.settings import Settings

__all__ = ["FORBIDDEN_PORTS", "Server", "start"]

FORBIDDEN_PORTS = {7496: "TWS", 4001: "IB Gateway"}
"""Ports of live logins: a client that means to trade there must not meet a simulator, nor the reverse."""

_PAUSE = 0.01
_log = logging.getLogger("stocklean_exec.simulator")


def _check_address(host: str, port: int, *, allow_remote: bool) -> None:
    if port in FORBIDDEN_PORTS:
        raise ValueError(f"port {port} belongs to a live {FORBIDDEN_PORTS[port]}: choose another")
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port {port} is no port")
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(host).is_loopback
    if not loopback and not allow_remote:
        raise ValueError(
            f"{host} is no loopback address; anyone who reaches it could trade: say allow_remote=True"
        )


class _Connection(asyncio.Protocol):
    """Carries bytes between one socket and one session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.session = Session(server.venue, server.limits)
        self.transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_received = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        self._last_received = self._server.loop.time()
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._server.add_connection(self):
            self.session.close("too many connections")
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._last_received = self._server.loop.time()
        started = self.session.stage is Stage.LIVE
        self.session.feed(data)
        if not started and self.session.stage is Stage.LIVE:
            self._watch()  # another allowance begins
        self._server.flush()
        if self.session.reading_paused and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.session.eof()
        self._server.remove_connection(self)
        self._server.flush()

    def write(self) -> None:
        """Write what the session has to say; close behind it when it is over."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not self.session.reading_paused:
            transport.resume_reading()
        for chunk in self.session.take_chunks():
            if not transport.is_closing():
                transport.write(chunk)
        waiting = transport.get_write_buffer_size()
        if waiting > self._server.limits.max_unsent:
            self.session.close(f"slow reader: {waiting} bytes are waiting")
            transport.abort()
        elif self.session.closed:
            transport.close()

    def _watch(self) -> None:
        """Close what is silent for too long."""
        if self._timer is not None:
            self._timer.cancel()
        limits = self._server.limits
        live = self.session.stage is Stage.LIVE
        allowed = limits.idle_seconds if live else limits.handshake_seconds
        left = self._last_received + allowed - self._server.loop.time()
        if left <= 0:
            self.session.close(f"silent for {allowed:g} seconds")
            self.write()
            return
        self._timer = self._server.loop.call_later(max(left, _PAUSE), self._watch)


class Server:
    """A venue that listens. Made by :func:`start`; belongs to the event loop that it was made in.

    Attributes
    ----------
    venue : Venue
        What the connections share.
    port : int
        Where it listens.
    """

    def __init__(self, venue: Venue, limits: Limits) -> None:
        self.venue = venue
        self.limits = limits
        self.port = 0
        self.loop = asyncio.get_running_loop()
        self._connections: dict[Connection, _Connection] = {}
        self._listener: asyncio.Server | None = None
        self._wakeup: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept connections."""
        self._listener = await self.loop.create_server(lambda: _Connection(self), host, port)
        self.port = self._listener.sockets[0].getsockname()[1]
        self._schedule_wakeup()

    def add_connection(self, connection: _Connection) -> bool:
        """Count a new connection; False when there are too many."""
        if len(self._connections) >= self.limits.max_connections:
            _log.warning("connection refused: %d are open", len(self._connections))
            return False
        self._connections[connection.session] = connection
        return True

    def remove_connection(self, connection: _Connection) -> None:
        """A connection is gone."""
        if self._connections.pop(connection.session, None) is not None:
            session = connection.session
            _log.info("client %d: %s", session.client_id, "; ".join(session.notes))

    def flush(self) -> None:
        """Write what any session has to say."""
        dirty = self.venue.dirty
        while dirty:
            connection = self._connections.get(dirty.pop())
            if connection is not None:
                connection.write()
        self._schedule_wakeup()

    def _schedule_wakeup(self) -> None:
        if not self.venue.clock.is_real_time:
            return
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        due = self.venue.clock.next_due()
        if due is not None:
            self._wakeup = self.loop.call_later(min(due, 3600.0), self._wake_up)

    def _wake_up(self) -> None:
        self._wakeup = None
        self.venue.run_until_idle()
        self.flush()

    async def close(self) -> None:
        """Stop listening, close every connection, the journal and the state."""
        if self._wakeup is not None:
            self._wakeup.cancel()
        if self._listener is not None:
            self._listener.close()
        self.venue.close()
        self.flush()
        for connection in list(self._connections.values()):
            # A peer that does not read would keep a closing connection open for ever.
            if connection.transport is not None and connection.transport.get_write_buffer_size():
                connection.transport.abort()
            elif connection.transport is not None:
                connection.transport.close()
        if self._listener is not None:
            await self._listener.wait_closed()


async def start(
    settings: Settings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_remote: bool = False,
    limits: Limits | None = None,
) -> Server:
    """Start a simulator in the running event loop.

    Parameters
    ----------
    settings : what the venue starts with
    host, port : where to listen; port 0 takes any free one
    allow_remote : must be said for a host that is not this computer
    limits : bounds of what a peer may use

    Returns
    -------
    Server
        With its ``port``; ``await server.close()`` ends it.

    Raises
    ------
    ValueError
        For a port or host that must not be used, and for settings that cannot be used.
    OSError
        When the port is taken.

    Examples
    --------
    >>> async def example():
    ...     server = await start()
    ...     reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    ...     writer.write(b"API" + bytes([0, 0, 0, 0, 9]) + b"v157..178")
    ...     answer = await reader.readexactly(8)
    ...     writer.close()
    ...     await server.close()
    ...     return answer[4:7]
    >>> asyncio.run(example())
    b'176'
    """
    _check_address(host, port, allow_remote=allow_remote)
    server = Server(Venue(settings), limits or Limits())
    await server.listen(host, port)
    return server
