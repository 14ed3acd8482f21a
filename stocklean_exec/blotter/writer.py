"""The single writer of a blotter: a thread that groups everything queued while it was busy into one commit.

An event is recorded once its future is done: the COMMIT that contains it has returned from the disk. The thread
takes everything in the queue, appends it through DuckDB's Appender, and commits once, so that all of it shares the
cost of one commit.

An event that is already on record is skipped by its key. The primary key guards against misses: if a batch
violates it, the batch is rolled back, its keys are looked up, and the new ones are inserted. A batch with content
that cannot be stored is split until only that content is refused: one bad entry does not fail the others. A commit
that fails for any other reason (disk full) fails every future of its batch, and the writer refuses everything
after it until the blotter is opened again.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from stocklean_exec import clock
from stocklean_exec.background import BackgroundThread
from stocklean_exec.blotter.events import OrderEvent, key_of, plain
from stocklean_exec.errors import BlotterClosedError, BlotterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["GroupCommitWriter"]

_MAX_BATCH = 20_000  # events in one commit; a stated choice, which bounds memory and the wait of the first in line
_EVENT_COLUMNS = ("number", "key", "recorded_at", *OrderEvent._fields)
_REFUSALS = (duckdb.IntegrityError, duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError)
"""Errors of DuckDB about contents. After any other error the disk or the file is in doubt."""


class _Put(NamedTuple):
    """The events of one call: recorded completely or not at all."""

    events: tuple[OrderEvent, ...]
    work: Callable[[duckdb.DuckDBPyConnection], None] | None
    future: Future[None]


class GroupCommitWriter:
    """Append events durably, many in one commit.

    Parameters
    ----------
    connection : a cursor of the blotter's connection; from now on only the writer's thread uses it
    after_commit : called on the writer's thread after each commit, before its futures are done
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, after_commit: Callable[[], None]) -> None:
        self._connection = connection
        self._after_commit = after_commit
        self._queue: queue.SimpleQueue[_Put | None] = queue.SimpleQueue()
        self._known: dict[str | None, set[str]] = {}
        self._number = 0
        self._failure: Exception | None = None
        self._closed = False
        self._mutex = threading.Lock()
        self._thread = BackgroundThread(self._run, "stocklean-blotter", self._end)

    def put(
        self, events: Iterable[OrderEvent] = (), work: Callable[[duckdb.DuckDBPyConnection], None] | None = None
    ) -> Future[None]:
        """Queue ``events``, and ``work`` for the same transaction; the future is done after the COMMIT.

        The future cannot be cancelled: queued events are recorded even if nobody waits for them.
        """
        if self._thread.is_of_parent:
            raise BlotterClosedError("this process is a fork of the one that opened the blotter; open it here")
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        item = _Put(tuple(map(plain, events)), work, future)
        with self._mutex:
            if self._closed:
                raise BlotterClosedError("the blotter is closed")
            self._queue.put(item)
        return future

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._thread.close()

    def _end(self) -> None:
        with self._mutex:
            self._closed = True
            self._queue.put(None)

    # -- on the writer's thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        appender = None
        try:
            last = self._connection.execute("SELECT coalesce(max(number), 0) FROM main.facts").fetchall()
            self._number = int(last[0][0])
            appender = self._connection.appender("facts", columns=list(_EVENT_COLUMNS))
        except duckdb.Error as error:  # raised to every later caller
            self._failure = error
        more = True
        while more:
            puts, more = self._gather()
            self._write(appender, puts)
        appender = None  # its buffer is empty: everything was flushed or refused
        with suppress(duckdb.Error):
            self._connection.close()

    def _gather(self) -> tuple[list[_Put], bool]:
        """Wait for an entry, and take everything in the queue; False if the writer is to stop."""
        puts: list[_Put] = []
        count = 0
        item = self._queue.get()
        while item is not None:
            puts.append(item)
            count += len(item.events)
            if count >= _MAX_BATCH:
                return puts, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return puts, True
        return puts, False

    def _write(self, appender: Any, puts: Sequence[_Put], *, look_up: bool = False) -> None:  # noqa: ANN401 - the Appender has no public type
        """Commit ``puts``, together if possible, in parts if one is refused, and complete their futures."""
        if not puts:
            return
        if self._failure is not None:
            text = f"an earlier commit failed ({self._failure}); open the blotter again"
            _fail(puts, BlotterError(text), self._failure)
            return
        try:
            self._commit(appender, puts, look_up=look_up)
        except Exception as error:  # noqa: BLE001 - any error goes to the callers that wait
            self._divide(appender, puts, error, look_up=look_up)
            return
        try:
            self._after_commit()
        except Exception as error:  # noqa: BLE001 - as above
            self._failure = error
            _fail(puts, BlotterError(f"this was recorded, but the file could not be protected: {error}"), error)
            return
        for put in puts:
            put.future.set_result(None)

    def _divide(self, appender: Any, puts: Sequence[_Put], error: Exception, *, look_up: bool) -> None:  # noqa: ANN401 - as above
        is_refusal = isinstance(error, _REFUSALS) or not isinstance(error, (duckdb.Error, MemoryError))
        if isinstance(error, duckdb.IntegrityError) and not look_up:
            self._write(appender, puts, look_up=True)
        elif is_refusal and len(puts) > 1:
            half = len(puts) // 2
            self._write(appender, puts[:half], look_up=look_up)
            self._write(appender, puts[half:], look_up=look_up)
        else:
            self._failure = None if is_refusal else error
            _fail(puts, BlotterError(f"nothing of this was recorded: {error}"), error)

    def _commit(self, appender: Any, puts: Sequence[_Put], *, look_up: bool) -> None:  # noqa: ANN401 - as above
        fresh = self._fresh(puts)
        known = self._on_record(fresh) if look_up else set()
        recorded_at = clock.now()
        rows = [
            (number, key, recorded_at, *event)
            for number, (key, event) in enumerate(
                ((key, event) for key, event in fresh.items() if key not in known), start=self._number + 1
            )
        ]
        try:
            self._connection.begin()
            for put in puts:
                if put.work is not None:
                    put.work(self._connection)
            if rows:
                appender.append_rows(rows)
                appender.flush()
            self._connection.commit()
        except BaseException:
            with suppress(duckdb.Error):  # DuckDB may have rolled back by itself
                self._connection.rollback()
            with suppress(duckdb.Error):
                appender.clear()
            raise
        self._number += len(rows)
        for key, event in fresh.items():
            self._known[event.run_id].add(key)

    def _fresh(self, puts: Sequence[_Put]) -> dict[str, OrderEvent]:
        """Events by key that are not known to be on record, the first of each key."""
        fresh: dict[str, OrderEvent] = {}
        for put in puts:
            for event in put.events:
                key = key_of(event)
                if key not in self._keys_of(event.run_id):
                    fresh.setdefault(key, event)
        return fresh

    def _keys_of(self, run_id: str | None) -> set[str]:
        if run_id not in self._known:
            found = self._connection.execute(
                "SELECT key FROM main.facts WHERE run_id IS NOT DISTINCT FROM ?", [run_id]
            ).fetchall()
            self._known[run_id] = {row[0] for row in found}
        return self._known[run_id]

    def _on_record(self, fresh: dict[str, OrderEvent]) -> set[str]:
        """Keys that are on record, in any run."""
        query = "SELECT key FROM main.facts WHERE key IN (SELECT unnest(CAST(? AS VARCHAR[])))"
        return {row[0] for row in self._connection.execute(query, [list(fresh)]).fetchall()}


def _fail(puts: Sequence[_Put], error: BlotterError, cause: Exception) -> None:
    error.__cause__ = cause
    for put in puts:
        put.future.set_exception(error)
