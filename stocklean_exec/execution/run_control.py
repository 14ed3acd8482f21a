"""What a person can do to a run while it works, and what can be heard of it, from any thread.

A control is handed to the run when it starts. To stop it is to let no further order leave; what was sent is
cancelled by whoever stops. Listeners hear each new event on the run's own thread, and must be quick.
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
    """A person has stopped the run: nothing more of it leaves."""


class RunControl:
    """Stops a run, and tells what is heard of it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._listeners: list[Callable[[OrderEvent], None]] = []
        self._reason = ""
        self.quiet = threading.Event()
        """Set while the run hands nothing over."""
        self.quiet.set()

    def stop(self, reason: str) -> None:
        """Let no further order of the run leave; the first reason stays."""
        with self._mutex:
            self._reason = self._reason or reason

    @property
    def stopped(self) -> str:
        """Why the run was stopped; empty while it goes on."""
        return self._reason

    def check(self) -> None:
        """Raise RunStoppedError once the run was stopped."""
        if self._reason:
            raise RunStoppedError(self._reason)

    def listen(self, listener: Callable[[OrderEvent], None]) -> None:
        """Tell ``listener`` every new event about the run's orders from now on."""
        with self._mutex:
            self._listeners = [*self._listeners, listener]

    def tell(self, event: OrderEvent) -> None:
        """Tell all listeners one event; one that fails is dropped, for a view must not harm a run."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logging.getLogger(__name__).exception("a listener of the run failed and hears nothing more")
                with self._mutex:
                    self._listeners = [one for one in self._listeners if one is not listener]
