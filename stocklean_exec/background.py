"""One background thread with its own event loop, which runs the asynchronous work of this package.

A notebook's loop is busy while a cell runs, and must not be patched or nested; a script has none. So the
synchronous functions submit their coroutine to the background loop and wait: the same code works in a cell, in a
script, in a test and in a widget's callback.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["BackgroundLoop", "call", "spawn"]

T = TypeVar("T")

_STOP_SECONDS = 10.0
"""Seconds that interrupted work has to finish before the caller continues without it; a stated choice, enough to
cancel a request at the broker and to record it."""


class _Call:
    """One coroutine on the loop, and the future that its caller waits for."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.outcome: Future[Any] = Future()
        self._work = work
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        self.outcome.set_running_or_notify_cancel()  # the waiting caller cannot cancel it
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

    def __init__(self, name: str = "stocklean-engine") -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._is_stopping = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_stopping:
            # SystemExit from one coroutine is raised in its caller; the loop continues for all others.
            with suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.run_until_complete(
            asyncio.sleep(0)
        )  # run their remaining callbacks, such as the results for their callers
        self.loop.close()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the background loop, and return at once; the future cannot be cancelled.

        Raises
        ------
        RuntimeError
            In a forked process, or after :meth:`stop`.
        """
        this = _Call(work)
        if os.getpid() != self._pid or self.loop.is_closed():
            work.close()
            raise RuntimeError("the background loop was stopped, or this process is a fork of its owner")
        self.loop.call_soon_threadsafe(this.begin)
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
        if threading.current_thread() is self.thread or os.getpid() != self._pid:
            work.close()
            raise RuntimeError(
                "a blocking call from the background loop's own thread, or from a fork; await it instead"
            )
        this = _Call(work)
        if self.loop.is_closed():
            work.close()
            raise RuntimeError("the background loop was stopped")
        try:
            self.loop.call_soon_threadsafe(this.begin)
            result: T = this.outcome.result()
        except KeyboardInterrupt:
            self.loop.call_soon_threadsafe(this.cancel)
            with suppress(TimeoutError):
                this.outcome.exception(_STOP_SECONDS)
            raise
        return result

    def stop(self) -> None:
        """Cancel running work, and end the loop and its thread. Stopping twice is harmless."""
        self._is_stopping = True
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_STOP_SECONDS)


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
