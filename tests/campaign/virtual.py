"""An event loop whose time is virtual, with connections in memory: client and venue in one thread, nobody waits.

``time()`` jumps to the next thing that is due, but only when nothing is ready and no other thread owes an answer.
What is under way in the loop itself (bytes of a connection, callbacks) counts as ready; what threads owe is
counted one by one, and waited for in real time. Servers and connections of asyncio are joined without a socket;
ib_async and the simulator do not notice.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["InlineLoop", "VirtualLoop", "counted_threads"]

_REAL_SECONDS = 60.0


class _Selector:
    """Jumps over every wait but those for other threads."""

    def __init__(self, real: Any, loop: VirtualLoop) -> None:
        self._real, self._loop = real, loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        events = self._real.select(0)
        if loop.intruder:
            raise RuntimeError(f"{loop.intruder}, which owes nothing: time may have run away from it")
        loop.catch_up()
        if events or (timeout is not None and timeout <= 0):
            return events
        if loop.owed:
            return self._wait()
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        loop.jump(timeout)
        return events

    def _wait(self) -> Any:
        """Wait in real time for the thread that owes an answer; its callback wakes the selector."""
        self._loop.holds.set()
        try:
            events = self._real.select(self._loop.real_seconds)
        finally:
            self._loop.holds.clear()
        if not events:
            raise RuntimeError(f"a thread has owed an answer for {self._loop.real_seconds:g} s of real time")
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at zero, and belongs to the thread that makes it.

    Another thread may call it while it owes an answer, and then only; ``real_seconds`` is the longest that an
    answer may take.

    Attributes
    ----------
    owed : answers that threads owe just now
    answers : those that have come
    holds : set while time stands still for a thread
    """

    def __init__(self, real_seconds: float = _REAL_SECONDS) -> None:
        self._virtual = 0.0
        self.real_seconds = real_seconds
        self.owed = self.answers = 0
        self.holds = threading.Event()
        self.intruder = ""
        self._home = threading.get_ident()
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
        self.catch_up()

    def catch_up(self) -> None:
        """Let the time of a timer come that asyncio fires early, within the resolution of its clock.

        Otherwise who waits once more for what is left of it, less than that, waits for ever.
        """
        if self._scheduled and self._scheduled[0].when() <= self._virtual + self._clock_resolution:
            self._virtual = max(self._virtual, self._scheduled[0].when())

    # -- threads ---------------------------------------------------------------------------------------------

    def owe(self, answer: Future[Any]) -> None:
        """Let no time pass until a thread has answered."""
        if not answer.done():
            self.owed += 1
            answer.add_done_callback(self._on_answer)

    def wrap(self, answer: Future[Any]) -> asyncio.Future[Any]:
        """As ``asyncio.wrap_future``; no time passes until a thread has answered and its waiter is notified."""
        is_owed = not answer.done()
        self.owed += is_owed  # before the thread can answer
        wrapped = asyncio.futures.wrap_future(answer, loop=self)
        if is_owed:
            answer.add_done_callback(self._on_answer)  # after the callback that notifies the waiting task
        return wrapped

    def _on_answer(self, _: Future[Any]) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self.owed -= 1
        self.answers += 1

    def call_soon_threadsafe(self, callback: Any, *arguments: Any, context: Any = None) -> Any:
        """Do as asyncio does, and note who calls without having been waited for."""
        if threading.get_ident() != self._home and not self.owed:
            self.intruder = f"thread {threading.current_thread().name} calls {callback}"
        return super().call_soon_threadsafe(callback, *arguments, context=context)

    def run_in_executor(self, _executor: Any, function: Any, *arguments: Any) -> Any:
        """Do it at once, in this thread: no virtual time passes meanwhile, and every run is the same."""
        future = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - raised in the waiting caller
            future.set_exception(error)
        return future

    # -- connections -----------------------------------------------------------------------------------------

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


class InlineLoop:
    """Stands for the engine's thread: what is called runs on the loop of this thread."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self._thread = loop, threading.current_thread()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

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


@contextmanager
def counted_threads() -> Iterator[None]:
    """Within it a virtual loop knows of every answer of a thread that a coroutine waits for."""

    def counted(future: Any, *, loop: Any = None) -> Any:
        here = loop or asyncio.get_event_loop()
        if isinstance(here, VirtualLoop) and isinstance(future, Future):
            return here.wrap(future)
        return asyncio.futures.wrap_future(future, loop=loop)

    with mock.patch.object(asyncio, "wrap_future", counted):
        yield
