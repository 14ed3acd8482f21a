"""The blotter: the durable record of runs, orders, events, fills and commissions, in one DuckDB file.

Plans and events are inserted and never changed; the state of an order or a run is a view over them. Reading
returns DataFrames. One process owns a blotter; others read snapshots of it with :func:`read_blotter`, and may halt
it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import weakref
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pandas as pd

from stocklean_exec import clock
from stocklean_exec._version import __version__
from stocklean_exec.blotter.database_file import MEMORY, check_owner, check_path, connect, create, migrate
from stocklean_exec.blotter.events import EXPORTED, OrderEvent
from stocklean_exec.blotter.file_lock import FileLock
from stocklean_exec.blotter.kill_switch import HaltEntry, HaltJournal
from stocklean_exec.blotter.order_history import IdTrail
from stocklean_exec.blotter.order_state import UNSENT_STATES
from stocklean_exec.blotter.reader import BlotterReader, read_blotter
from stocklean_exec.blotter.writer import GroupCommitWriter
from stocklean_exec.database import interruptible
from stocklean_exec.errors import BlotterError, InputError, Problem
from stocklean_exec.schema import extra_columns
from stocklean_exec.schema.order_ids import PAYLOAD_COLUMNS
from stocklean_exec.schema.order_terms import TERM_COLUMNS, has_terms
from stocklean_exec.schema.tables import ORDERS, QUOTES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Future

__all__ = ["Blotter", "BlotterReader", "open_blotter", "read_blotter"]

_PLAN_COLUMNS = (
    *PAYLOAD_COLUMNS,
    "decision_price",
    "decided_at",
    "target_weight",
    "current_quantity",
    "target_quantity",
    "notional",
    "approved",
    "approved_by",
    "approved_at",
)
# By the sequence of recording: clocks may be set back.
_LATER_ORDERS = """
WITH approved AS (
    SELECT client_order_id, planned.run_id, planned.symbol, planned.account, number
    FROM main.planned_orders AS planned JOIN main.facts USING (client_order_id)
    WHERE kind = 'intent'
)
SELECT early.client_order_id AS early, later.client_order_id AS later, later.run_id, later.symbol
FROM approved AS early JOIN approved AS later USING (symbol, account)
WHERE early.run_id = ? AND later.run_id <> early.run_id AND later.number > early.number
ORDER BY later.number
"""
_SENT = f"""
WITH failed AS (SELECT client_order_id, attempt FROM main.facts WHERE kind = 'not_sent'),
by_hand AS (SELECT client_order_id, occurred_at FROM main.facts WHERE kind = 'held_back' AND code = '{EXPORTED}'),
closed AS (SELECT client_order_id FROM main.facts WHERE kind = 'resolved'),
sent AS (
    SELECT client_order_id, occurred_at
    FROM main.facts ANTI JOIN failed USING (client_order_id, attempt) WHERE kind = 'sending'
    UNION ALL
    SELECT client_order_id, occurred_at FROM by_hand ANTI JOIN closed USING (client_order_id)
    UNION ALL
    SELECT client_order_id, min(occurred_at)
    FROM main.facts SEMI JOIN by_hand USING (client_order_id)
    WHERE kind IN ('status', 'execution', 'rejected') GROUP BY client_order_id
)
"""  # noqa: S608 - a constant of ours
_VALUE = "sum(notional * coalesce(TRY_CAST(json_extract_string(extra, '$.fx_rate') AS DOUBLE), 1))"
_NOT_TO_BE_SENT = UNSENT_STATES - {"INTENT"}
_ID_TRAILS = """
WITH plans AS (
    SELECT epoch_us(occurred_at) AS planned, min(number) AS start
    FROM main.facts WHERE run_id = $run_id AND kind = 'intent' GROUP BY occurred_at
),
own AS (SELECT DISTINCT run_id FROM main.planned_runs WHERE account = $account),
failed AS (SELECT client_order_id, attempt FROM main.facts WHERE kind = 'not_sent'),
steps AS (
    SELECT
        number,
        run_id,
        kind = 'session' AS is_reported,
        CASE kind WHEN 'session' THEN order_id ELSE order_id + 1 END AS next_id
    FROM main.facts ANTI JOIN failed USING (client_order_id, attempt)
    WHERE client_id = $client_id AND kind IN ('session', 'sending') AND order_id IS NOT NULL
        AND run_id IN (SELECT run_id FROM own)
),
marks AS (
    SELECT planned, start, arg_min(next_id, number) AS mark
    FROM plans JOIN steps ON number >= start WHERE is_reported GROUP BY planned, start
),
queued AS (  -- sent before the plan, perhaps not accepted yet when the next id was reported; unless ids were reset
    SELECT planned, max(next_id) FILTER (NOT is_reported) AS sent
    FROM marks JOIN steps ON number < start AND run_id = $run_id
    GROUP BY planned, mark HAVING coalesce(max(next_id) FILTER (is_reported), 0) <= mark
),
trails AS (
    SELECT *, max(greatest(next_id, sent)) OVER (
        PARTITION BY planned ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS expected
    FROM plans JOIN steps ON number >= start LEFT JOIN queued USING (planned)
)
SELECT
    planned,
    max(next_id) FILTER (is_reported),
    max(greatest(next_id, sent)),
    arg_min(next_id, number) FILTER (is_reported AND next_id > expected),
    arg_min(expected, number) FILTER (is_reported AND next_id > expected)
FROM trails
GROUP BY planned
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_TIMES = ("occurred_at", "quoted_at")
_OPEN: weakref.WeakSet[Blotter] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close the blotters that a script or a kernel left open, so that no queued event is lost at exit."""
    for blotter in list(_OPEN):
        try:
            blotter.close()
        except BlotterError:
            logging.getLogger(__name__).exception("%r did not record all its events", blotter)


class Blotter(BlotterReader):
    """An open blotter that this process owns; made by :func:`open_blotter`."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            check_owner(path)
        self._lock = None if path is None else FileLock(path)
        self._closing = threading.Lock()
        try:
            with interruptible():
                if path is not None and not path.exists():
                    create(path)
                connection = connect(path)
            try:
                with interruptible():
                    migrate(connection)
                if self._lock is not None:
                    self._lock.pin()
            except BaseException:
                connection.close()
                raise
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise
        super().__init__(path, connection)
        self._halts = HaltJournal(path)
        self._writer = GroupCommitWriter(connection.cursor(), self._protect_log)
        _OPEN.add(self)

    def _protect_log(self) -> None:
        """Keep DuckDB's log as private as the file: after each checkpoint it is created again, by the umask."""
        if self.path is not None:
            log = Path(f"{self.path}.wal")
            with suppress(FileNotFoundError):  # a checkpoint has just emptied it
                if log.stat().st_mode & 0o077:
                    log.chmod(0o600)

    # -- writing -------------------------------------------------------------------------------------------

    def record(self, events: Sequence[OrderEvent]) -> Future[None]:
        """Record ``events``; the future is done once they are on disk.

        Events that are on record already are skipped. The future cannot be cancelled, and need not be waited for:
        :meth:`close` and the exit of the program write everything that is queued.

        Raises
        ------
        BlotterClosedError
            At once: the blotter is closed.
        BlotterError
            From the future: none of these events was recorded, with the reason.
        """
        return self._writer.put(events)

    def record_plan(
        self, orders: pd.DataFrame, run: dict[str, object], events: Sequence[OrderEvent]
    ) -> Future[None]:
        """Record a plan and the first ``events`` about it in one transaction.

        Parameters
        ----------
        orders : every row of the plan, with ``payload_hash``; unknown columns are kept as JSON
        run : run_id, leg, mode, account, nav, parameters, plan_hash, approved_by, approved_at
        events : the first order events of the plan, recorded in the same transaction
        """
        rows = _plan_rows(orders, run)
        header = [
            run["run_id"],
            run["leg"],
            run["mode"],
            run["account"],
            run["nav"],
            clock.now(),
            run["parameters"],
            run["plan_hash"],
            run["approved_by"],
            run["approved_at"],
            __version__,
        ]

        def insert(connection: duckdb.DuckDBPyConnection) -> None:
            marks = ", ".join("?" * len(header))
            connection.execute(f"INSERT INTO main.planned_runs VALUES ({marks})", header)  # noqa: S608 - only question marks
            if len(rows):
                _insert_frame(connection, "planned_orders", rows)

        return self._writer.put(events, insert)

    def record_quotes(self, run_id: str, quotes: pd.DataFrame) -> Future[None]:
        """Record the market at the start of a run."""
        names = [name for name in (*QUOTES.names, "data_type") if name in quotes.columns]
        rows = quotes[names].assign(run_id=run_id, recorded_at=pd.Timestamp(clock.now()))

        def insert(connection: duckdb.DuckDBPyConnection) -> None:
            _insert_frame(connection, "recorded_quotes", rows)

        return self._writer.put((), insert)

    def record_book(
        self, run_id: str, account: str, taken_at: datetime, positions: pd.DataFrame, cash: float
    ) -> Future[None]:
        """Record the holdings of ``account``, as the broker reported them at ``taken_at``."""
        held = positions.groupby("symbol")["quantity"].sum()
        rows = pd.DataFrame({"what": "position", "symbol": held.index.astype("str"), "quantity": held.to_numpy()})
        rows = pd.concat([rows, pd.DataFrame([{"what": "cash", "symbol": "", "quantity": cash}])])
        rows = rows.assign(run_id=run_id, account=account, taken_at=pd.Timestamp(taken_at))

        def insert(connection: duckdb.DuckDBPyConnection) -> None:
            _insert_frame(connection, "recorded_books", rows.assign(recorded_at=pd.Timestamp(clock.now())))

        return self._writer.put((), insert)

    def cash_at_start(self, run_id: str) -> float | None:
        """Cash of the account before the first order of a run was sent; None if not on record."""
        with self._open().cursor() as cursor:
            row = cursor.execute(
                "SELECT quantity FROM main.recorded_books WHERE run_id = ? AND what = 'cash' "
                "ORDER BY taken_at LIMIT 1",
                [run_id],
            ).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def id_marks(self, client_id: int | None) -> tuple[int, int]:
        """Greatest order id of ``client_id`` in the broker's reports, and greatest next id that it reported."""
        with self._open().cursor() as cursor:
            row = cursor.execute(
                "SELECT max(order_id) FILTER (kind IN ('status', 'execution', 'rejected')), "
                "max(order_id) FILTER (kind = 'session') FROM main.facts WHERE client_id = ?",
                [client_id],
            ).fetchone()
        return (row[0] or 0, row[1] or 0) if row else (0, 0)

    def id_trails(self, run_id: str, client_id: int | None, account: str) -> dict[datetime, IdTrail]:
        """Order ids of ``client_id`` since each plan of a run, by the time of the plan.

        Only runs of ``account`` count: another account may be at another TWS, with separate order ids.
        """
        with self._open().cursor() as cursor:
            named = {"run_id": run_id, "account": account, "client_id": client_id}
            rows = cursor.execute(_ID_TRAILS, named).fetchall()
        return {
            cast("datetime", _moment(planned)): IdTrail(*(number or 0 for number in numbers))
            for planned, *numbers in rows
            if planned is not None
        }

    def overtaken_by(self, run_id: str) -> dict[str, list[str]]:
        """Later runs with approved orders in symbols where this run has unsent orders: symbols by run.

        Of the same account, approved after the orders of this run, and sent or still to be sent.
        """
        candidates = self._frame(_LATER_ORDERS, [run_id])
        if candidates.empty:
            return {}
        states = dict(
            self._frame("SELECT client_order_id, state FROM main.orders").itertuples(index=False, name=None)
        )
        is_unsent = candidates["early"].map(states) == "INTENT"
        counts = ~candidates["later"].map(states).isin(_NOT_TO_BE_SENT)
        found = candidates[is_unsent & counts].drop_duplicates(["run_id", "symbol"])
        return {str(name): rows["symbol"].tolist() for name, rows in found.groupby("run_id", sort=False)}

    def own(self, names: Sequence[str]) -> set[str]:
        """Which of these client order ids are on record, in any run."""
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                "SELECT client_order_id FROM main.planned_orders WHERE client_order_id IN "
                "(SELECT unnest(CAST(? AS VARCHAR[])))",
                [list(names)],
            ).fetchall()
        return {row[0] for row in rows}

    def notional_sent(self, since: datetime, account: str) -> dict[str, float]:
        """Value at decision prices of the orders sent since an instant, base currency, by run.

        An order of a basket file counts from its export on, for nobody knows when it is sent by hand, unless a
        person has closed it; and, as an order that TWS has, from when it is first reported.
        """
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                f"{_SENT} SELECT run_id, {_VALUE} FROM main.planned_orders "  # noqa: S608 - constants
                "SEMI JOIN (SELECT client_order_id FROM sent WHERE occurred_at >= ?) USING (client_order_id) "
                "WHERE account = ? GROUP BY run_id",
                [since, account],
            ).fetchall()
        return {run_id: round(float(value or 0.0), 6) for run_id, value in rows}

    def run_spent(self, run_id: str) -> float:
        """Value of all orders that a run has sent, on any day, as :meth:`notional_sent` counts them."""
        with self._open().cursor() as cursor:
            row = cursor.execute(
                f"{_SENT} SELECT {_VALUE} FROM main.planned_orders "  # noqa: S608 - constants
                "SEMI JOIN sent USING (client_order_id) WHERE run_id = ?",
                [run_id],
            ).fetchone()
        return round(float(row[0] or 0.0), 6) if row else 0.0

    def recorded_events(self, run_id: str) -> list[OrderEvent]:
        """All events of a run, as recorded."""
        return self._events_where("run_id = ?", [run_id])

    def limit_changes(self, names: Collection[str]) -> dict[str, list[OrderEvent]]:
        """Changes of the limits of these orders, and their answers, by client order id; only of those with any."""
        found: dict[str, list[OrderEvent]] = {}
        condition = (
            "kind IN ('modifying', 'modified', 'modify_refused') "
            "AND client_order_id IN (SELECT unnest(CAST(? AS VARCHAR[])))"
        )
        for event in self._events_where(condition, [list(names)]):
            found.setdefault(event.client_order_id or "", []).append(event)
        return found

    def _events_where(self, condition: str, values: list[object]) -> list[OrderEvent]:
        """Recorded events in sequence; ``condition`` is a constant of this module."""
        with self._open().cursor() as cursor:
            columns = ", ".join(
                f"epoch_us({name}) AS {name}" if name in _EVENT_TIMES else name for name in OrderEvent._fields
            )
            rows = cursor.execute(
                f"SELECT {columns} FROM main.facts WHERE {condition} ORDER BY number",  # noqa: S608 - constants
                values,
            ).fetchall()
        return [_event(row) for row in rows]

    def planned(self, run_id: str) -> dict[str, str]:
        """Fingerprint of each planned order of a run by client order id."""
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                "SELECT client_order_id, payload_hash FROM main.planned_orders WHERE run_id = ?", [run_id]
            ).fetchall()
        return dict(rows)

    def limits(self, run_id: str) -> list[dict[str, Any]]:
        """Recorded limits that each plan of a run was approved with; none for plans of earlier versions."""
        found = (one.get("limits") for one in self.parameters(run_id))
        return [limits for limits in found if limits is not None]

    def parameters(self, run_id: str) -> list[dict[str, Any]]:
        """Recorded parameters of each batch of a run: of its plan, and of residual orders."""
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                "SELECT parameters FROM main.planned_runs WHERE run_id = ? ORDER BY leg", [run_id]
            ).fetchall()
        return [json.loads(row[0] or "{}") for row in rows]

    def bought_unsettled(self, account: str, since: datetime) -> list[tuple[str, str, datetime, str, str]]:
        """Purchases since an instant by runs that may use unsettled money.

        Symbol, currency, time, and the exchange and primary exchange of their orders; empty where one is unknown.
        """
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                "SELECT planned.symbol, coalesce(planned.currency, 'USD'), epoch_us(max(fills.filled_at)), "
                "coalesce(planned.exchange, ''), "
                "coalesce(json_extract_string(planned.extra, '$.primary_exchange'), '') "
                "FROM main.fills JOIN main.planned_orders AS planned USING (client_order_id) "
                "JOIN main.planned_runs AS run ON run.run_id = planned.run_id AND run.leg = planned.leg "
                "WHERE fills.side = 'BUY' AND fills.filled_at >= ? AND planned.account = ? "
                "AND json_extract_string(run.parameters, '$.funding.unsettled') = 'allow' GROUP BY ALL",
                [since, account],
            ).fetchall()
        return [
            (symbol, currency, cast("datetime", _moment(at)), *listing) for symbol, currency, at, *listing in rows
        ]

    def sent_times(self, since: datetime, account: str) -> list[datetime]:
        """Times when orders of ``account`` were sent since an instant, by the computer's clock; oldest first."""
        with self._open().cursor() as cursor:
            rows = cursor.execute(
                "WITH failed AS (SELECT client_order_id, attempt FROM main.facts WHERE kind = 'not_sent') "
                "SELECT epoch_us(recorded_at) FROM main.facts ANTI JOIN failed USING (client_order_id, attempt) "
                "JOIN main.planned_orders AS planned USING (client_order_id) "
                "WHERE kind = 'sending' AND recorded_at >= ? AND planned.account = ? ORDER BY recorded_at",
                [since, account],
            ).fetchall()
        return [cast("datetime", _moment(row[0])) for row in rows]

    def message_counts(self, since: datetime, account: str, *, except_run: str) -> tuple[int, int]:
        """Messages about orders of ``account`` since an instant, and their executions, without those of one run.

        Messages are orders, changes of orders, and cancels; they count by the computer's clock.
        """
        with self._open().cursor() as cursor:
            row = cursor.execute(
                "SELECT count(*) FILTER (kind <> 'execution'), count(*) FILTER (kind = 'execution') "
                "FROM main.facts JOIN main.planned_orders AS planned USING (client_order_id) "
                "WHERE kind IN ('sending', 'modifying', 'cancel_requested', 'execution') "
                "AND recorded_at >= ? AND planned.account = ? AND planned.run_id <> ?",
                [since, account, except_run],
            ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def last_batch(self, run_id: str) -> int:
        """Number of the run's latest batch: 1 for the plan, more for residual orders; 0 without a plan."""
        with self._open().cursor() as cursor:
            row = cursor.execute("SELECT max(leg) FROM main.planned_runs WHERE run_id = ?", [run_id]).fetchone()
        return (row[0] or 0) if row else 0

    def resolve(self, client_order_id: str, status: str, *, reason: str) -> None:
        """Decide the outcome of an order that is ``UNKNOWN``; recorded as a person's decision with its reason.

        Parameters
        ----------
        client_order_id : one of :meth:`unresolved`, or a ``NEW`` order of a basket file that will not be sent
        status : ``CANCELLED`` or ``REJECTED``, both final. A fill cannot be decided; it must be recorded.
        reason : how you know

        Raises
        ------
        InputError
            The order is not unresolved, or status or reason is invalid.
        """
        orders = self.orders()
        is_waiting = (orders["state"] == "INTENT") & orders["client_order_id"].isin(self.exported())
        unresolved = orders[(orders["status"] == "UNKNOWN") | is_waiting].set_index("client_order_id")
        problems = _problems_of_resolution(unresolved.index, client_order_id, status, reason)
        if problems:
            raise InputError("resolve", problems)
        run_id = str(unresolved.loc[client_order_id, "run_id"])
        event = OrderEvent(
            "resolved", run_id, client_order_id, clock.now(), status=status, message=f"resolved: {reason}"
        )
        self.record([event]).result()

    # -- the kill switch -----------------------------------------------------------------------------------

    def halt(self, reason: str) -> None:
        """Stop all sending at once, until :meth:`clear_halt`."""
        entry = self._halts.halt(reason)
        self.record([_halt_event(entry)]).result()

    def clear_halt(self, reason: str) -> None:
        """Allow sending again. Only this clears a halt, not a restart or a new run."""
        entry = self._halts.clear(reason)
        self.record([_halt_event(entry)]).result()

    @property
    def halted(self) -> str | None:
        """The reason of the halt in force, or None."""
        entry = self._halts.halted_by()
        return None if entry is None else entry.reason

    def check_halt(self) -> None:
        """Raise HaltedError while a halt is in force; cheap enough to call before every order."""
        self._halts.check()

    def close(self) -> None:
        """Write what is queued, close the file, and release the lock. Closing twice is harmless.

        Raises
        ------
        BlotterError
            Writing what was queued failed. The blotter is closed nevertheless.
        """
        if os.getpid() != self._pid:
            return  # a fork: the file belongs to the parent process
        with self._closing:
            if self._connection is None:
                return
            try:
                # Record the halts of other processes too.
                last = self.record([_halt_event(entry) for entry in self._halts.entries()])
                self._writer.close()
            finally:
                super().close()
                if self._lock is not None:
                    self._lock.release()
                _OPEN.discard(self)
            last.result()


def _insert_frame(connection: duckdb.DuckDBPyConnection, table: str, rows: pd.DataFrame) -> None:
    connection.register("new_rows", rows)
    try:
        connection.execute(f"INSERT INTO main.{table} BY NAME SELECT * FROM new_rows")  # noqa: S608 - a table of ours
    finally:
        with suppress(duckdb.Error):  # a failed statement ends the transaction and drops the name
            connection.unregister("new_rows")


def _problems_of_resolution(
    unresolved: pd.Index[Any], name: object, status: object, reason: object
) -> list[Problem]:
    problems = []
    if name not in unresolved.tolist():
        problems.append(Problem("not_unresolved", f"{name!r} is not among the unresolved orders"))
    if status not in ("CANCELLED", "REJECTED"):
        problems.append(Problem("status_invalid", f"{status!r} is not CANCELLED or REJECTED"))
    if not isinstance(reason, str) or not reason.strip():
        problems.append(Problem("reason_missing", "say how you know"))
    return problems


def _halt_event(entry: HaltEntry) -> OrderEvent:
    return OrderEvent(entry.kind, occurred_at=entry.at, code=entry.by, message=entry.reason)


def _event(row: tuple[Any, ...]) -> OrderEvent:
    event = OrderEvent._make(row)
    return event._replace(occurred_at=_moment(event.occurred_at), quoted_at=_moment(event.quoted_at))


def _moment(micros: Any) -> datetime | None:  # noqa: ANN401 - a time as the query gives it, since 1970
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _plan_rows(orders: pd.DataFrame, run: dict[str, object]) -> pd.DataFrame:
    known = {*_PLAN_COLUMNS, *ORDERS.names, "payload_hash", "order_hash", "approval_hash", "limits"}
    known -= {name for name in TERM_COLUMNS if name in orders.columns and has_terms(orders[[name]]).any()}
    rows = orders[[name for name in _PLAN_COLUMNS if name in orders.columns]]
    return rows.assign(
        run_id=str(run["run_id"]),
        leg=cast("int", run["leg"]),
        row_number=range(len(rows)),
        payload_hash=orders["payload_hash"],
        extra=extra_columns.pack(orders[[name for name in orders.columns if name not in known]]),
    )


def open_blotter(path: str | os.PathLike[str] = MEMORY) -> Blotter:
    """Open a blotter, or create a new one; ``":memory:"`` keeps it in memory.

    Raises
    ------
    BlotterLockedError
        Another process, or this one, has it open already; the error says which.
    InputError
        The path is not that of a blotter.
    BlotterError
        It was written by a newer version, is damaged, or belongs to another user.

    Examples
    --------
    >>> with open_blotter(":memory:") as blotter:
    ...     print(blotter, len(blotter.orders()))
    <Blotter :memory:: 0 runs, 0 orders, 0 fills> 0
    """
    return Blotter(None if path == MEMORY else check_path(path))
