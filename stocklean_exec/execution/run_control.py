"""Stop a working run, and receive its events, from any thread.

A run gets its control when it starts. Stopping prevents further orders from being sent; the caller cancels those
that were sent. Listeners receive each new event on the run's thread and must return quickly.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from stocklean_exec.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["RunControl", "RunStoppedError"]


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
