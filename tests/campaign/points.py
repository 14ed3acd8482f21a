"""Where a worker can be killed, and what it acknowledges: our modules wrapped in the worker's own process.

Nothing of this is in the package. A wrapper counts how often its point is passed, and at the count that the plan
names the process kills itself with SIGKILL: nothing is flushed, closed or reported.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from typing import Any

from stocklean_exec.blotter import blotter
from stocklean_exec.blotter import reader as blotter_reader
from stocklean_exec.blotter import writer as blotter_writer
from stocklean_exec.blotter.events import key_of
from stocklean_exec.brokers.ib import broker as ib_broker
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.brokers.ib import order_tracker
from stocklean_exec.execution import recovery

__all__ = ["Points", "half_close", "install"]

_LABELS = {
    "intent": "plan",
    "sending": "sending",
    "run_started": "run_started",
    "status": "status",
    "execution": "execution",
    "commission": "commission",
    "session": "conclusion",
    "unknown": "conclusion",
    "missing": "conclusion",
    "held_back": "conclusion",
    "run_ended": "run_ended",
}


class Points:
    """Counts what is passed, and ends the process where the plan says so.

    Parameters
    ----------
    kill : ``at`` a point for the ``nth`` time; empty for never
    notes, acks : descriptors of files that survive the process
    """

    def __init__(self, kill: dict[str, Any], notes: int, acks: int) -> None:
        self._kill, self._notes, self._acks = kill, notes, acks
        self._passed: Counter[str] = Counter()

    def note(self, text: str) -> None:
        """Write one line that survives."""
        os.write(self._notes, f"{text}\n".encode())

    def is_here(self, name: str) -> bool:
        """Whether this is the point and the time; counts."""
        self._passed[name] += 1
        return self._kill.get("at") == name and self._passed[name] == self._kill["nth"]

    def die(self, name: str) -> None:
        """End the process as ``kill -9`` does."""
        self.note(f"killed {name}")
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def pass_by(self, name: str) -> None:
        """Die here if the plan says so."""
        if self.is_here(name):
            self.die(name)

    def die_soon(self, name: str) -> None:
        """Die a moment from here, while this thread goes on."""
        if self.is_here(name):
            timer = threading.Timer(self._kill["delay"], self.die, (name,))
            timer.daemon = True
            timer.start()

    def acknowledge(self, keys: list[str]) -> None:
        """Events that are about to be acknowledged as being on disk."""
        os.write(self._acks, "".join(f"{key}\n" for key in keys).encode())


class _Connection:
    """A DuckDB connection that reports before it commits."""

    def __init__(self, real: Any, before_commit: Any) -> None:
        self._real, self._before_commit = real, before_commit

    def commit(self) -> None:
        self._before_commit()
        self._real.commit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def install(points: Points) -> None:
    """Wrap our modules in this process, for good."""
    _wrap_writer(points)
    _wrap_orders(points)
    _wrap_recovery(points)
    _wrap_closing(points)


def _wrap_writer(points: Points) -> None:
    writer = blotter_writer.GroupCommitWriter
    begin, commit = writer.__init__, writer._commit

    def init(self: Any, connection: Any, after_commit: Any) -> None:
        self.labels = []
        begin(self, _Connection(connection, lambda: _pass_all(points, self.labels, "in_commit")), after_commit)

    def wrapped(self: Any, appender: Any, puts: Any, *, look_up: bool) -> None:
        kinds = {event.kind for put in puts for event in put.events}
        self.labels = sorted({_LABELS[kind] for kind in kinds if kind in _LABELS})
        if any(put.work is not None for put in puts) and "plan" not in self.labels:
            self.labels.append("snapshot")
        _pass_all(points, self.labels, "before_commit")
        commit(self, appender, puts, look_up=look_up)
        points.acknowledge([key_of(event) for put in puts for event in put.events])
        _pass_all(points, self.labels, "recorded")

    writer.__init__, writer._commit = init, wrapped


def _pass_all(points: Points, labels: list[str], when: str) -> None:
    for label in labels:
        points.pass_by(f"{label}.{when}")


def _wrap_orders(points: Points) -> None:
    send, prepare = ib_connection.Connection.send_order, ib_broker.IBBroker._prepare

    def send_order(self: Any, contract: Any, order: Any) -> None:
        points.pass_by("order.before_bytes")
        if points.is_here("order.half_of_the_bytes"):
            connection = self._ib.client.conn
            whole = connection.sendMsg

            def half(message: bytes) -> None:
                whole(message[: len(message) // 2])
                points.die("order.half_of_the_bytes")

            connection.sendMsg = half
        send(self, contract, order)
        points.pass_by("order.after_bytes")

    async def prepared(self: Any, *arguments: Any) -> Any:
        result = await prepare(self, *arguments)
        points.pass_by("orders.made_ready")
        return result

    ib_connection.Connection.send_order, ib_broker.IBBroker._prepare = send_order, prepared
    for name, point in (("on_status", "status"), ("on_execution", "execution"), ("on_commission", "commission")):
        _before(order_tracker.OrderTracker, name, lambda point=point: points.pass_by(f"received.{point}"))


def half_close(points: Points, after: int) -> None:
    """Say after so many orders that nothing more will be written to their connection; it is still read."""
    send, sent = ib_connection.Connection.send_order, Counter[str]()

    def closing(self: Any, contract: Any, order: Any) -> None:
        send(self, contract, order)
        sent["orders"] += 1
        if sent["orders"] == after:
            points.note("half closed")
            self._ib.client.conn.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    ib_connection.Connection.send_order = closing


def _wrap_recovery(points: Points) -> None:
    _around_async(
        ib_connection.Connection,
        "connect",
        lambda: points.pass_by("connection.before"),
        lambda: points.pass_by("connection.made"),
    )
    _around_async(
        ib_connection.Connection,
        "collect_reports",
        lambda: points.pass_by("evidence.before"),
        lambda: points.pass_by("evidence.reported"),
    )
    _around_async(
        ib_connection.Connection,
        "completed_orders",
        lambda: None,
        lambda: points.pass_by("evidence.half_reported"),
    )
    _around_async(ib_broker.IBBroker, "_adopt", lambda: None, lambda: points.pass_by("recovery.adopted"))
    _around_async(ib_broker.IBBroker, "_reconnect", lambda: points.pass_by("reconnect.before"), lambda: None)
    _around_async(
        ib_broker.IBBroker,
        "_allow_again",
        lambda: None,
        lambda: None,
        with_arguments=lambda names: points.pass_by("recovery.allowed_again") if names else None,
    )
    _before(recovery.Recovery, "_events_of", lambda: points.pass_by("recovery.decided"))


def _wrap_closing(points: Points) -> None:
    _before(ib_broker.IBBroker, "close", lambda: points.pass_by("close.before_broker"))
    _before(blotter_writer.GroupCommitWriter, "close", lambda: points.pass_by("close.before_writer_ends"))
    close = blotter_reader.BlotterReader.close

    def closing(self: Any) -> None:
        if isinstance(self, blotter.Blotter):
            points.pass_by("close.before_checkpoint")
            points.die_soon("close.in_checkpoint")
        close(self)
        if isinstance(self, blotter.Blotter):
            points.pass_by("close.after_checkpoint")

    blotter_reader.BlotterReader.close = closing


def _before(owner: Any, name: str, action: Any) -> None:
    original = getattr(owner, name)

    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        action()
        return original(self, *arguments, **options)

    setattr(owner, name, wrapped)


def _around_async(owner: Any, name: str, before: Any, after: Any, *, with_arguments: Any = None) -> None:
    original = getattr(owner, name)

    async def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        before()
        result = await original(self, *arguments, **options)
        after()
        if with_arguments is not None:
            with_arguments(*arguments)
        return result

    setattr(owner, name, wrapped)
