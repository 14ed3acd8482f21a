"""The TCP server of the simulator, on asyncio: the only module with a socket.

Listens on loopback addresses only, unless ``allow_remote`` is set, and never on the ports of a live TWS or
Gateway. Connections above the limit are refused; clients that are idle or do not read are disconnected.

On a real-time clock the server sets a timer for the next event; a virtual clock needs none.
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
"""Default ports of live logins: no client may mistake a simulator for a live account, or the reverse."""

_PAUSE = 0.01  # shortest delay of the idle timer, seconds: keeps rounding errors from a busy loop
_MAX_TIMER_SECONDS = 3600.0  # a choice: longer timers are set again when they expire
_log = logging.getLogger("stocklean_exec.simulator")


def _check_address(host: str, port: int, *, allow_remote: bool) -> None:
    if port in FORBIDDEN_PORTS:
        raise ValueError(f"port {port} belongs to a live {FORBIDDEN_PORTS[port]}: choose another")
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port {port} is not between 0 and 65535")
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(host).is_loopback
    if not loopback and not allow_remote:
        raise ValueError(
            f"{host} is not a loopback address; pass allow_remote=True to let other computers trade over it"
        )


class _Connection(asyncio.Protocol):
    """Transfers bytes between one socket and one session."""

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
            self._watch()  # the idle limit replaces the handshake limit
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
        """Write the pending bytes of the session; then close the socket if the session is closed."""
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
        """Close the connection when the client is idle for too long."""
        if self._timer is not None:
            self._timer.cancel()
        limits = self._server.limits
        live = self.session.stage is Stage.LIVE
        allowed = limits.idle_seconds if live else limits.handshake_seconds
        remaining = self._last_received + allowed - self._server.loop.time()
        if remaining <= 0:
            self.session.close(f"no message for {allowed:g} seconds")
            self.write()
            return
        self._timer = self._server.loop.call_later(max(remaining, _PAUSE), self._watch)


class Server:
    """A listening venue. Created by :func:`start`; bound to the event loop it was created in.

    Attributes
    ----------
    venue : Venue Shared by all connections.
    port : int Port it listens on.
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
        """Start accepting connections."""
        self._listener = await self.loop.create_server(lambda: _Connection(self), host, port)
        self.port = self._listener.sockets[0].getsockname()[1]
        self._schedule_wakeup()

    def add_connection(self, connection: _Connection) -> bool:
        """Register a new connection; False when there are too many."""
        if len(self._connections) >= self.limits.max_connections:
            _log.warning("connection refused: %d are open", len(self._connections))
            return False
        self._connections[connection.session] = connection
        return True

    def remove_connection(self, connection: _Connection) -> None:
        """Remove a closed connection."""
        if self._connections.pop(connection.session, None) is not None:
            session = connection.session
            _log.info("client %d: %s", session.client_id, "; ".join(session.notes))

    def flush(self) -> None:
        """Write the pending bytes of all sessions."""
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
            self._wakeup = self.loop.call_later(min(due, _MAX_TIMER_SECONDS), self._wake_up)

    def _wake_up(self) -> None:
        self._wakeup = None
        self.venue.run_until_idle()
        self.flush()

    async def close(self) -> None:
        """Stop listening; close all connections, the journal and the state file."""
        if self._wakeup is not None:
            self._wakeup.cancel()
        if self._listener is not None:
            self._listener.close()
        self.venue.close()
        self.flush()
        for connection in list(self._connections.values()):
            # A client that does not read would keep a closing connection open forever.
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
    settings : initial settings of the venue
    host, port : address to listen on; port 0 for any free port
    allow_remote : required for a host other than a loopback address
    limits : resource limits for clients

    Returns
    -------
    Server
        With its ``port``; ``await server.close()`` stops it.

    Raises
    ------
    ValueError
        For a forbidden port or host, and for invalid settings.
    OSError
        When the port is in use.

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
