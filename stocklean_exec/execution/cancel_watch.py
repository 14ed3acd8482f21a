"""Answer requests of other processes to cancel: this one has the blotter, and the client id at TWS.

A blotter with a file is watched from its first run of this process on, until it is closed: orders may rest at the
broker long after their run has ended. One look at the journal costs a ``stat``.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING

from stocklean_exec import background
from stocklean_exec.background import BackgroundThread
from stocklean_exec.blotter.cancel_journal import CancelJournal
from stocklean_exec.errors import BlotterError, StockleanError
from stocklean_exec.execution.cancellation import CancelOutcome, cancel_runs

if TYPE_CHECKING:
    from pathlib import Path

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.cancel_journal import CancelRequest
    from stocklean_exec.brokers.base import Broker

__all__ = ["watch_cancels"]

_CHECK_SECONDS = 0.5  # a stated choice: how soon a request is seen
_WATCHES: weakref.WeakKeyDictionary[Blotter, _Watch] = weakref.WeakKeyDictionary()
_MUTEX = threading.Lock()


def watch_cancels(broker: Broker, blotter: Blotter) -> None:
    """Answer requests to cancel orders of ``blotter`` through ``broker``, until the blotter is closed.

    A blotter in memory cannot be reached by another process, and is not watched.
    """
    if blotter.path is None:
        return
    with _MUTEX:
        watch = _WATCHES.get(blotter)
        if watch is None or not watch.is_running:
            watch = _WATCHES[blotter] = _Watch(blotter, blotter.path)
        watch.brokers.add(broker)


class _Watch:
    """The thread that watches one blotter; it keeps neither blotter nor broker alive."""

    def __init__(self, blotter: Blotter, path: Path) -> None:
        self.brokers: weakref.WeakSet[Broker] = weakref.WeakSet()
        self._blotter, self._journal = weakref.ref(blotter), CancelJournal(path)
        self._begin = self._journal.end  # earlier requests were answered, or are given up
        self._stopped = threading.Event()
        self._thread = BackgroundThread(self._run, "stocklean-cancels", self._stopped.set)

    @property
    def is_running(self) -> bool:
        return self._thread.is_running

    def _run(self) -> None:
        while not self._stopped.wait(_CHECK_SECONDS):
            blotter = self._blotter()
            if blotter is None or blotter.is_closed:
                return
            requests, self._begin = self._journal.requests_since(self._begin)
            for request in requests:
                try:
                    self._serve(request, blotter)
                except BlotterError:
                    logging.getLogger(__name__).exception("a request to cancel could not be answered")
            del blotter

    def _serve(self, request: CancelRequest, blotter: Blotter) -> None:
        self._journal.write("seen", request.number)
        found, failed = CancelOutcome(), []
        if not self.brokers:
            failed.append("it has no broker any more")
        for broker in list(self.brokers):
            work = cancel_runs(broker, blotter, request.run_id, by=request.by, timeout=request.seconds)
            try:
                found = found.merged(background.call(work))
            except (StockleanError, RuntimeError) as error:  # RuntimeError: the program ends
                failed.append(str(error))
        if failed and found == CancelOutcome():
            self._journal.write("failed", request.number, error="; ".join(failed))
        else:
            self._journal.write("answer", request.number, outcome=found.to_dict())
