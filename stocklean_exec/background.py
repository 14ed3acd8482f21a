"""Background threads, and the event loop in one of them where the asynchronous work of this package runs.

:class:`BackgroundThread` is the one kind of long-lived thread here: the blotter's writer, the live view's updates
and the event loops run on one each.

A notebook's own loop is busy while a cell runs, and must not be patched or nested; a script has none. So the
plain functions run their coroutine on the background loop and wait: the same code works in a cell, in a script,
in a test and in a widget's callback.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BackgroundLoop", "BackgroundThread", "blocking", "call", "spawn"]

P = ParamSpec("P")
T = TypeVar("T")

_STOP_SECONDS = 10.0
"""Seconds that interrupted work has to finish before its caller continues. A choice: a notebook's stop button must
not seem dead, and a commit to a slow disk takes less."""


class BackgroundThread:
    """A daemon thread that can be stopped and waited for; a forked child knows that it does not have it.

    Parameters
    ----------
    work : what the thread runs
    name : of the thread
    stop : makes ``work`` return; called once, by the first :meth:`close`

    Raises
    ------
    RuntimeError
        The interpreter is shutting down, and starts no thread.

    Examples
    --------
    >>> wanted = threading.Event()
    >>> thread = BackgroundThread(wanted.wait, "stocklean-example", wanted.set)
    >>> thread.is_running
    True
    >>> thread.close()
    >>> thread.is_running
    False
    """

    def __init__(self, work: Callable[[], object], name: str, stop: Callable[[], object] = lambda: None) -> None:
        self._stop, self._is_closed = stop, False
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_of_parent(self) -> bool:
        """Whether this process is a fork of the one that started the thread: threads are not forked."""
        return os.getpid() != self._pid

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    @property
    def is_running(self) -> bool:
        """Whether the thread runs, in this process."""
        return not self.is_of_parent and self._thread.is_alive()

    def join(self, seconds: float | None = None) -> None:
        """Wait until the thread has finished, ``seconds`` at most; in a forked child, not at all."""
        if not self.is_of_parent:
            self._thread.join(seconds)

    def close(self, seconds: float | None = None) -> None:
        """Stop the thread, and wait as :meth:`join` does; harmless when repeated, or called in a forked child."""
        if self.is_of_parent:
            return
        with self._mutex:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            self._stop()
        self.join(seconds)


class _Call:
    """One coroutine on the loop, and the future that its caller waits for."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.outcome: Future[Any] = Future()
        self._work = work
        self._task: asyncio.Task[Any] | None = None

    def schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        # It runs in the caller's context: what the work displays belongs to the notebook cell that called.
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self.outcome.set_running_or_notify_cancel()  # its caller cannot cancel it
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(self._deliver)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _deliver(self, task: asyncio.Task[Any]) -> None:
        error: BaseException | None = CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self.outcome.set_result(task.result())
        else:
            self.outcome.set_exception(error)


class BackgroundLoop:
    """An event loop in a daemon thread."""

    def __init__(self, name: str = "stocklean-loop") -> None:
        self.loop = asyncio.new_event_loop()
        self._is_stopping = False
        self.thread = BackgroundThread(self._run, name, self._end)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_stopping:
            # SystemExit out of a piece of work is its caller's to handle; the loop continues for all others.
            with suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.run_until_complete(asyncio.sleep(0))  # their last callbacks, such as the answer to a caller
        self.loop.close()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on the loop's own thread."""
        return self.thread.is_current

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the background loop, and return at once; the future cannot be cancelled.

        Raises
        ------
        RuntimeError
            In a forked process, or after :meth:`stop`.
        """
        this = _Call(work)
        if self.thread.is_of_parent or self.loop.is_closed():
            work.close()
            raise RuntimeError("the background loop was stopped, or this process is a fork of its owner")
        this.schedule(self.loop)
        return this.outcome

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the background loop, wait for it, and return its result.

        An interrupt (Ctrl-C, or the stop button of a notebook) cancels ``work`` and waits until it has finished,
        at most ten seconds or until the next interrupt; completed steps are not undone.

        Raises
        ------
        RuntimeError
            Called on the loop's own thread, which would wait for itself, in a forked process, or after
            :meth:`stop`.
        """
        if self.is_current or self.thread.is_of_parent:
            work.close()
            raise RuntimeError(
                "a blocking call from the background loop's own thread, or from a fork; await it instead"
            )
        this = _Call(work)
        if self.loop.is_closed():
            work.close()
            raise RuntimeError("the background loop was stopped")
        try:
            this.schedule(self.loop)
            result: T = this.outcome.result()
        except KeyboardInterrupt:
            self.loop.call_soon_threadsafe(this.cancel)
            with suppress(TimeoutError):
                this.outcome.exception(_STOP_SECONDS)
            raise
        return result

    def stop(self) -> None:
        """Cancel what still runs, and end the loop and its thread. Stopping twice is harmless."""
        self.thread.close(_STOP_SECONDS)

    def _end(self) -> None:
        self._is_stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)


_shared: BackgroundLoop | None = None
_mutex = threading.Lock()


def _forget_in_child() -> None:
    """Let a forked child start its own loop: threads are not forked, and the mutex may be locked."""
    global _shared, _mutex
    _shared, _mutex = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_in_child)


def _stop_at_exit() -> None:
    """Stop the loop while its resources are still open; blotters are closed after this."""
    if _shared is not None:
        _shared.stop()


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on the background loop shared by this process, and wait for it.

    Examples
    --------
    >>> async def double(number):
    ...     return 2 * number
    >>> call(double(21))
    42
    """
    return _shared_loop().call(work)


def blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return the blocking form of an asynchronous function: same parameters, same documentation.

    Parameters
    ----------
    function : a coroutine function whose name ends in ``_async``; the blocking form has the name before that

    Examples
    --------
    >>> async def double_async(number):
    ...     return 2 * number
    >>> double = blocking(double_async)
    >>> double(21), double.__name__
    (42, 'double')
    """

    @functools.wraps(function)
    def wait_for(*args: P.args, **kwargs: P.kwargs) -> T:
        return call(function(*args, **kwargs))

    wait_for.__name__ = function.__name__.removesuffix("_async")
    wait_for.__qualname__ = function.__qualname__.removesuffix("_async")
    return wait_for


def spawn(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run ``work`` on the background loop shared by this process, and return at once.

    Examples
    --------
    >>> async def double(number):
    ...     return 2 * number
    >>> spawn(double(21)).result()
    42
    """
    return _shared_loop().spawn(work)


def _shared_loop() -> BackgroundLoop:
    global _shared  # noqa: PLW0603 - one loop for the process, created on first use
    with _mutex:
        if _shared is None:
            _shared = BackgroundLoop()
            atexit.register(_stop_at_exit)  # handlers registered last run first
        return _shared
