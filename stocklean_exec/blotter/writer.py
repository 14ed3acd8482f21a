"""The one writer of a blotter: a thread that groups what came in while it was busy into one commit.

An event counts as recorded when the future that came with it is done: the COMMIT that holds it has returned from
the disk. The thread takes everything that waits, appends it through DuckDB's Appender, and commits once, so the
cost of a commit is shared by all that arrived meanwhile.

An event that is already on record is left out by its key. The primary key stands behind that: if a batch still
meets it, the batch is rolled back, its keys are looked up, and the new ones are inserted. A batch with something
that cannot be stored is divided until that alone is refused: nobody suffers for his neighbour. A commit that fails
for any other reason (disk full) fails every future of its batch, and the writer refuses everything after it until
the blotter is opened anew.
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

_MAX_BATCH = 20_000
_FACT_COLUMNS = ("number", "key", "recorded_at", *OrderEvent._fields)
_REFUSALS = (duckdb.IntegrityError, duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError)
"""What DuckDB raises about contents. Its other errors put the disk or the file in doubt."""


class _Put(NamedTuple):
    """What one caller handed in: it is recorded whole or not at all."""

    events: tuple[OrderEvent, ...]
    work: Callable[[duckdb.DuckDBPyConnection], None] | None
    future: Future[None]


class GroupCommitWriter:
    """Append events durably, many in one commit.

    Parameters
    ----------
    connection : a cursor of the blotter's connection; from now on it belongs to the writer's thread
    after_commit : called on the writer's thread after each commit, before anybody hears of it
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
        """Queue ``events``, and ``work`` to do in the same transaction; the future is done after the COMMIT.

        The future cannot be cancelled: what was handed in is recorded, whether or not somebody waits for it.
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
            appender = self._connection.appender("facts", columns=list(_FACT_COLUMNS))
        except duckdb.Error as error:  # those who will put something must hear of it
            self._failure = error
        more = True
        while more:
            puts, more = self._gather()
            self._write(appender, puts)
        appender = None  # nothing is buffered in it: all of it was flushed, or refused
        with suppress(duckdb.Error):
            self._connection.close()

    def _gather(self) -> tuple[list[_Put], bool]:
        """Wait for something, and take all there is; False when the end was among it."""
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
        """Commit ``puts``, at once if that goes, in parts if one of them is refused, and tell all who wait."""
        if not puts:
            return
        if self._failure is not None:
            text = f"an earlier commit failed ({self._failure}); open the blotter anew"
            _fail(puts, BlotterError(text), self._failure)
            return
        try:
            self._commit(appender, puts, look_up=look_up)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._divide(appender, puts, error, look_up=look_up)
            return
        try:
            self._after_commit()
        except Exception as error:  # noqa: BLE001 - likewise
            self._failure = error
            _fail(puts, BlotterError(f"this was recorded, but not left in order: {error}"), error)
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
        """Facts by key that are not known to be on record, the first of each key."""
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
        """Keys that are on record, under whichever run."""
        query = "SELECT key FROM main.facts WHERE key IN (SELECT unnest(CAST(? AS VARCHAR[])))"
        return {row[0] for row in self._connection.execute(query, [list(fresh)]).fetchall()}


def _fail(puts: Sequence[_Put], error: BlotterError, cause: Exception) -> None:
    error.__cause__ = cause
    for put in puts:
        put.future.set_exception(error)
