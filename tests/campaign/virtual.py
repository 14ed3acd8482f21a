"""An event loop whose time is virtual, with connections in memory: client and venue in one thread, nobody waits.

``time()`` jumps to the next thing that is due as soon as nothing is ready. Servers and connections of asyncio are
joined without a socket; ib_async and the simulator do not notice.
"""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

__all__ = ["InlineEngine", "VirtualLoop"]


class _Selector:
    """Jumps over every wait."""

    def __init__(self, real: Any, loop: VirtualLoop) -> None:
        self._real, self._loop = real, loop

    def select(self, timeout: float | None = None) -> Any:
        events = self._real.select(0)
        if not events and timeout is None:
            raise RuntimeError("nothing will ever happen again")
        if not events and timeout > 0:
            self._loop.jump(timeout)
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at zero; the only thread that may use it is the one that runs it."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__()
        self._selector = _Selector(self._selector, self)
        self._listening: dict[int, Any] = {}
        self.transports: list[_Transport] = []

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual += seconds

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Listen in memory."""
        number = port or 1000 + len(self._listening)
        self._listening[number] = factory

        async def nothing() -> None:
            return None

        name = SimpleNamespace(getsockname=lambda: (host, number))
        return SimpleNamespace(
            sockets=[name], close=lambda: self._listening.pop(number, None), wait_closed=nothing
        )

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Connect to what listens in memory."""
        if port not in self._listening:
            raise ConnectionRefusedError(f"nobody listens on {host}:{port}")
        ours, theirs = _Transport(self, factory()), _Transport(self, self._listening[port]())
        ours.peer, theirs.peer = theirs, ours
        self.transports.append(ours)
        theirs.protocol.connection_made(theirs)
        ours.protocol.connection_made(ours)
        return ours, ours.protocol

    def run_in_executor(self, _executor: Any, function: Any, *arguments: Any) -> Any:
        """Do it at once: a thread would not be in virtual time."""
        future = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - handed to who waits
            future.set_exception(error)
        return future


class _Transport(asyncio.Transport):
    """One end of a connection in memory. What was written arrives, also when its writer has died since."""

    peer: _Transport

    def __init__(self, loop: VirtualLoop, protocol: Any) -> None:
        super().__init__()
        self._loop, self.protocol = loop, protocol
        self._is_closing = self._is_paused = False
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._is_closing:
            self._loop.call_soon(self.peer._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if self._is_paused:
            self._held.append(data)
        elif not self._is_closing:
            self.protocol.data_received(data)

    def write_eof(self) -> None:
        return None

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self.protocol.connection_lost, None)
            self._loop.call_soon(self.peer._end)

    abort = close

    def _end(self) -> None:
        if not self._is_closing and not self._is_paused:  # who does not read does not notice
            self.protocol.eof_received()
            self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            held, self._held = self._held, []
            for data in held:
                self._loop.call_soon(self._arrive, data)
            if self.peer.is_closing():
                self._loop.call_soon(self._end)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


class InlineEngine:
    """Stands for the engine's thread: what is called runs on the loop of this thread."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.thread = loop, threading.current_thread()

    def call(self, work: Any) -> Any:
        """Run ``work`` to its end; inside the loop only what never waits."""
        if not self.loop.is_running():
            return self.loop.run_until_complete(work)
        try:
            work.send(None)
        except StopIteration as end:
            return end.value
        work.close()
        raise RuntimeError("a call that waits, from within the loop")

    def stop(self) -> None:
        """Nothing was started."""
