"""What a schedule has in place of threads and processes: a life that ends, a writer that does not wait.

A worker dies between two steps. From then on nothing of it reaches the record or the wire, whatever of it is still
called: each worker has a life of its own, and what belonged to an earlier one stays dead.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.blotter import writer as blotter_writer
from stocklean_exec.blotter.order_state import derive_order
from stocklean_exec.brokers.ib import broker as ib_broker
from stocklean_exec.schema.order_ids import PAYLOAD_COLUMNS
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from tests.campaign.virtual import VirtualLoop

__all__ = ["Crash", "InlineWriter", "Life", "Mortal", "MortalBroker", "Shelf"]

_PLANNED = (*PAYLOAD_COLUMNS, "notional")


class Crash(BaseException):
    """The worker is dead."""


class Life:
    """One worker's: the step at which it ends, or the end that somebody else makes of it."""

    def __init__(self, loop: VirtualLoop, kill: dict[str, Any]) -> None:
        self.is_over = False
        self.crash = ""
        self.task: asyncio.Task[None] | None = None
        self._loop, self._kill = loop, kill
        self._passed: dict[str, int] = {}
        self._first = len(loop.transports)

    def step(self, name: str) -> None:
        """Pass a point at which the worker may die; raise if it is dead."""
        if self.is_over:
            raise Crash
        self._passed[name] = self._passed.get(name, 0) + 1
        if self._kill.get("step") == name and self._kill["nth"] == self._passed[name]:
            self.die(name)
            raise Crash

    def die(self, what: str) -> None:
        """Nothing more of this worker reaches anything; what it wrote to its connections arrives."""
        self.crash = what
        self.end()

    def end(self) -> None:
        """The process is over, and its connections with it."""
        self.is_over = True
        if self.task is not None and self.task is not asyncio.current_task(self._loop):
            self.task.cancel()  # it died in a callback or at a random time
        for transport in self._loop.transports[self._first :]:
            transport.abort()


class InlineWriter(blotter_writer.GroupCommitWriter):
    """Commits in the caller's thread, at once."""

    def __init__(self, connection: Any, after_commit: Any) -> None:
        self._connection, self._after_commit = connection, after_commit
        self._known, self._number, self._failure, self._closed = {}, 0, None, False
        self._appender = None

    def put(self, events: Any = (), work: Any = None) -> Any:
        if self._appender is None:
            (last,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM main.facts").fetchone()
            self._number = int(last)
            self._appender = self._connection.appender("facts", columns=list(blotter_writer._EVENT_COLUMNS))
        future: Future[None] = Future()
        item = blotter_writer._Put(tuple(map(blotter_writer.plain, events)), work, future)
        self._write(self._appender, [item])
        return future

    def close(self) -> None:
        self._appender = None
        self._connection.close()


class Shelf:
    """What a run's workers have read of a blotter; good until one of them writes.

    Nobody else writes about the run, so it is what the blotter would say again.
    """

    def __init__(self) -> None:
        self.planned: pd.DataFrame | None = None
        self._read: dict[Any, Any] = {}

    def clear(self) -> None:
        """Something is about to be written."""
        self._read.clear()

    def get(self, key: Any, read: Any, *, keep: bool) -> Any:
        """What was read under ``key``, or what ``read`` gives."""
        if key in self._read:
            return self._read[key]
        result = read()
        if keep:
            self._read[key] = result
        return result


class Mortal:
    """A blotter that a worker can no longer write to once it is dead."""

    _READS = frozenset({"recorded_events", "planned", "id_marks", "own", "notional_sent", "last_batch"})

    def __init__(self, real: Any, loop: VirtualLoop, life: Life, shelf: Shelf) -> None:
        self._real, self._loop, self._life, self._shelf = real, loop, life, shelf

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        return partial(self._get, name, real) if name in self._READS else real

    def _get(self, name: str, read: Any, *arguments: Any) -> Any:
        # While a thread writes, what is read now is not what will be there.
        return self._shelf.get((name, repr(arguments)), partial(read, *arguments), keep=not self._loop.owed)

    def orders(self, run_id: str) -> Any:
        """What the plan fixes, read once, and states derived from the events: the view takes many times as long.

        Columns that the view makes of the events are not there; the checker holds the others against the view.
        """
        return self._get("orders", self._orders, run_id)

    def _orders(self, run_id: str) -> pd.DataFrame:
        planned = self._shelf.planned
        if planned is None:
            planned = self._shelf.planned = self._read_plan(run_id)
        by_order: dict[str, list[Any]] = {name: [] for name in planned["client_order_id"]}
        for event in self.recorded_events(run_id):
            if event.client_order_id in by_order:
                by_order[event.client_order_id].append(event)
        asked = planned["quantity"].tolist()
        states = [derive_order(one, events) for one, events in zip(asked, by_order.values(), strict=True)]
        return planned.assign(state=[one.state for one in states], status=[one.status for one in states])

    def _read_plan(self, run_id: str) -> pd.DataFrame:
        frame = self._real._frame(
            f"SELECT {', '.join(_PLANNED)}, approved, epoch_us(approved_at) AS approved_at "  # noqa: S608 - constants
            "FROM main.planned_orders WHERE run_id = ? ORDER BY leg, row_number",
            [run_id],
        )
        frame["approved_at"] = pd.to_datetime(frame["approved_at"].astype("Int64"), unit="us", utc=True)
        return ORDERS.conform(frame)[[*_PLANNED, "decision_price", "decided_at", "approved", "approved_at"]]

    def halt(self, reason: str) -> None:
        """Halt, if the worker lives to do it."""
        self._life.step("commit.before")
        self._shelf.clear()
        self._real.halt(reason)
        self._life.step("commit.after")

    def _writing(self, name: str, *arguments: Any) -> Any:
        self._life.step("commit.before")
        self._shelf.clear()
        result = getattr(self._real, name)(*arguments)
        self._loop.owe(result)
        self._life.step("commit.after")
        return result

    def record(self, *arguments: Any) -> Any:
        return self._writing("record", *arguments)

    def record_plan(self, *arguments: Any) -> Any:
        return self._writing("record_plan", *arguments)

    def record_quotes(self, *arguments: Any) -> Any:
        return self._writing("record_quotes", *arguments)

    def record_book(self, *arguments: Any) -> Any:
        return self._writing("record_book", *arguments)


class MortalBroker(ib_broker.IBBroker):
    """Belongs to a life, and needs no thread for what a run asks of the account."""

    def __init__(self, life: Life, **options: Any) -> None:
        self.life = life
        super().__init__(**options)

    base_currency = "USD"

    def nav(self) -> float:
        return 1_000_000.0

    def positions(self) -> pd.DataFrame:
        return sx.read_positions({})

    def cash(self) -> float:
        return 0.0
