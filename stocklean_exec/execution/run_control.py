"""Stop a working run, and receive its events, from any thread.

A run gets its control when it starts. Stopping prevents further orders from being sent; the caller cancels those
that were sent. Listeners receive each new event on the run's thread and must return quickly.
"""

from __future__ import annotations

import logging
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stocklean_exec.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["RunControl", "RunStoppedError", "control_of", "working", "working_runs"]

_WORKING: weakref.WeakKeyDictionary[Blotter, dict[str, RunControl]] = weakref.WeakKeyDictionary()
_REGISTRY = threading.Lock()


class RunStoppedError(BrokerError):
    """A person has stopped the run: no further order of it is sent."""


class RunControl:
    """Stops a run, and publishes its events to listeners."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._listeners: list[Callable[[OrderEvent], None]] = []
        self._reason = ""
        self.quiet = threading.Event()
        """Set while the run is not sending orders."""
        self.quiet.set()

    def stop(self, reason: str) -> None:
        """Send no further order of the run; the first reason given is kept."""
        with self._mutex:
            self._reason = self._reason or reason

    @property
    def stopped(self) -> str:
        """Why the run was stopped; empty while it is working."""
        return self._reason

    def check(self) -> None:
        """Raise RunStoppedError once the run was stopped."""
        if self._reason:
            raise RunStoppedError(self._reason)

    def listen(self, listener: Callable[[OrderEvent], None]) -> None:
        """Call ``listener`` with every new event about the run's orders from now on."""
        with self._mutex:
            self._listeners = [*self._listeners, listener]

    def publish(self, event: OrderEvent) -> None:
        """Send one event to all listeners; a listener that fails is removed, so that a view cannot harm a run."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logging.getLogger(__name__).exception("a listener of the run failed and was removed")
                with self._mutex:
                    self._listeners = [one for one in self._listeners if one is not listener]


@contextmanager
def working(blotter: Blotter, run_id: str, control: RunControl) -> Iterator[None]:
    """Register a run as being worked by this process, by any call, for the time of the block."""
    with _REGISTRY:
        _WORKING.setdefault(blotter, {})[run_id] = control
    try:
        yield
    finally:
        with _REGISTRY:
            _WORKING.get(blotter, {}).pop(run_id, None)


def control_of(blotter: Blotter, run_id: str) -> RunControl | None:
    """The control of a run that is being worked by this process; None if it is not."""
    with _REGISTRY:
        return _WORKING.get(blotter, {}).get(run_id)


def working_runs(blotter: Blotter) -> dict[str, RunControl]:
    """The runs of a blotter that are being worked by this process."""
    with _REGISTRY:
        return dict(_WORKING.get(blotter, {}))
