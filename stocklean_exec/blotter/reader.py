"""Reading a blotter as DataFrames, and reading it from another process while its owner trades.

Nothing here changes a blotter. A snapshot is a private copy of the file and its log, made between two checkpoints
of its owner; a commit in progress is in it completely or not at all.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pandas as pd

from stocklean_exec import database
from stocklean_exec.blotter.database_file import check_path, connect, migrate
from stocklean_exec.blotter.events import EXPORTED
from stocklean_exec.blotter.file_lock import reading
from stocklean_exec.blotter.holdings import recorded_holdings, unrecorded_splits
from stocklean_exec.database import MEMORY
from stocklean_exec.errors import BlotterClosedError, BlotterError, InputError, Problem
from stocklean_exec.schema import extra_columns
from stocklean_exec.schema.account_ids import mask_account
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.schema.paths import local_path
from stocklean_exec.schema.tables import FILLS, ORDER_EVENTS, ORDERS, QUOTES, RUNS, Table
from stocklean_exec.strategies.attribution import (
    CROSSINGS,
    divisions_of,
    holdings,
    positions_by_strategy,
    table_of,
)
from stocklean_exec.strategies.division import read_quantities
from stocklean_exec.strategies.strategy_book import StrategyBook, recorded_orders
from stocklean_exec.strategies.strategy_cash import cash_of_strategies, cash_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "ASSIGNMENTS",
    "CASH_ASSIGNMENTS",
    "SPLITS",
    "BlotterReader",
    "account_cash",
    "blotter_card",
    "holdings_of",
    "read_blotter",
]

ASSIGNMENTS = {
    "assigned_at": "datetime64[us, UTC]",
    "account": "str",
    "strategy": "str",
    "symbol": "str",
    "quantity": "float64",
    "by": "str",
    "reason": "str",
}
"""Columns of :meth:`BlotterReader.assignments`; ``quantity`` is the change, in signed shares."""

CASH_ASSIGNMENTS = {
    "assigned_at": "datetime64[us, UTC]",
    "account": "str",
    "strategy": "str",
    "currency": "str",
    "amount": "float64",
    "by": "str",
    "reason": "str",
}
"""Columns of :meth:`BlotterReader.cash_assignments`; ``amount`` is the change."""

SPLITS = {
    "split_at": "datetime64[us, UTC]",
    "account": "str",
    "symbol": "str",
    "ratio": "str",
    "quantity": "float64",
    "by": "str",
    "reason": "str",
}
"""Columns of :meth:`BlotterReader.splits`; ``quantity`` is the change of the account's shares, NaN if unknown."""

_VIEWS: dict[str, tuple[Table, tuple[str, ...], str]] = {
    "runs": (RUNS, ("started_at", "ended_at", "approved_at"), "started_at, run_id"),
    "orders": (
        ORDERS,
        ("decided_at", "arrived_at", "approved_at", "arrival_quoted_at", "good_till", "good_after"),
        "run_id, leg, row_number",
    ),
    "order_events": (ORDER_EVENTS, ("occurred_at", "recorded_at"), "event_number"),
    "fills": (FILLS, ("filled_at",), "filled_at, exec_id"),
    "quotes": (QUOTES, ("quoted_at", "recorded_at"), "run_id, symbol, recorded_at"),
}
_MAYBE = ("arrival_delayed", "delayed")  # true, false, or not recorded
_COPY_TRIES, _COPY_PAUSE = 200, 0.02  # seconds; a stated choice: four seconds, much longer than a checkpoint
_CLOSE_TRIES, _CLOSE_PAUSE = 1_000, 0.01  # seconds; a stated choice: ten seconds, much longer than a query
_HEADERS = 3 * 4096  # the main header, and the two in turn that each checkpoint writes
_CHUNK = 1 << 20  # bytes read at a time; a stated choice
_CARD_RUNS = 5  # a stated choice: the card shows the latest runs, and counts the others


class BlotterReader:
    """The reading half of a blotter. ``path`` is None for one in memory."""

    def __init__(self, path: Path | None, connection: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._connection: duckdb.DuckDBPyConnection | None = connection
        self._pid = os.getpid()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or belongs to the parent of this process."""
        return self._connection is None or os.getpid() != self._pid

    def _open(self) -> duckdb.DuckDBPyConnection:
        if os.getpid() != self._pid:
            raise BlotterClosedError("this process is a fork of the one that opened the blotter; open it here")
        if self._connection is None:
            raise BlotterClosedError("the blotter is closed")
        return self._connection

    def _frame(self, query: str, values: Sequence[object] = ()) -> pd.DataFrame:
        """Run a query on a separate cursor: any thread may read at any time."""
        connection = self._open()
        try:
            with closing(connection.cursor()) as cursor:
                return cursor.execute(query, list(values)).df()
        except duckdb.Error as error:
            self._open()  # it may have been closed meanwhile
            raise BlotterError(f"the blotter cannot be read: {error}") from error

    def _read(self, view: str, run_id: str | None) -> pd.DataFrame:
        table, times, order = _VIEWS[view]
        replaced = ", ".join(f"epoch_us({name}) AS {name}" for name in times)
        where = "" if run_id is None else "WHERE run_id = ?"
        query = f"SELECT * REPLACE ({replaced}) FROM main.{view} {where} ORDER BY {order}"  # noqa: S608 - constants
        frame = self._frame(query, [] if run_id is None else [run_id])
        for name in times:
            # Microseconds since 1970: independent of the session's time zone and of DuckDB's conversion.
            frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True)
        for name in frame.columns.intersection(list(_MAYBE)):
            frame[name] = frame[name].astype("boolean")
        return table.conform(frame)

    def runs(self) -> pd.DataFrame:
        """All runs, oldest first: columns of :data:`~stocklean_exec.schema.tables.RUNS`."""
        return self._read("runs", None)

    def orders(self, run_id: str | None = None) -> pd.DataFrame:
        """Current orders, in the plan's sequence: :data:`~stocklean_exec.schema.tables.ORDERS` and more.

        Further columns are ``state`` (finer than ``status``), ``leg`` (number of the batch), ``approved``,
        ``approved_by``, ``approved_at``, ``payload_hash``, ``arrival_quoted_at`` (time of the arrival quote),
        ``arrival_delayed`` (whether its data were delayed; NA if not recorded), ``reported_quantity`` (filled
        shares by the broker's reports, which may be more than the executions on record), and the extra columns of
        the plan.
        """
        frame = self._read("orders", run_id)
        extra = extra_columns.unpack(frame.pop("extra").tolist(), frame.index)
        del frame["row_number"]
        return pd.concat(
            [frame, extra[[name for name in extra.columns if name not in frame.columns]]], axis="columns"
        )

    def events(self, run_id: str | None = None) -> pd.DataFrame:
        """All order events as recorded: :data:`~stocklean_exec.schema.tables.ORDER_EVENTS`."""
        return self._read("order_events", run_id)

    def fills(self, run_id: str | None = None) -> pd.DataFrame:
        """Executions in their latest correction, by time: :data:`~stocklean_exec.schema.tables.FILLS`."""
        return self._read("fills", run_id)

    def quotes(self, run_id: str | None = None) -> pd.DataFrame:
        """Arrival quotes of the runs: :data:`~stocklean_exec.schema.tables.QUOTES`, and more.

        Further columns are ``run_id``, ``recorded_at``, and ``delayed`` (NA if not recorded).
        """
        return self._read("quotes", run_id)

    def last_book(self, account: str, before: datetime | None = None) -> pd.DataFrame:
        """Holdings of ``account`` when its last run began: ``what``, ``symbol``, ``quantity``, ``taken_at``.

        Splits since then that are on record count, as if the shares had been split when it began. With ``before``,
        its last run before that.
        """
        return self._books(account, before, "QUALIFY taken_at = max(taken_at) OVER ()").drop(columns="recorded_at")

    def _books(self, account: str, before: datetime | None = None, which: str = "") -> pd.DataFrame:
        """Holdings at the start of runs, with the recorded splits until the next one."""
        end = datetime.max.replace(tzinfo=UTC) if before is None else before
        frame = self._frame(
            "SELECT what, symbol, quantity, epoch_us(taken_at) AS taken_at, epoch_us(recorded_at) AS recorded_at "  # noqa: S608 - constants
            "FROM main.recorded_books "
            f"WHERE account = ? AND taken_at < ? {which} ORDER BY taken_at, what, symbol",
            [account, end],
        )
        for name in ("taken_at", "recorded_at"):
            frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True)
        splits = self.splits()
        splits = splits[(splits["account"] == account) & splits["quantity"].notna() & (splits["split_at"] < end)]
        for at, symbol, change in splits[["split_at", "symbol", "quantity"]].itertuples(index=False):
            earlier = frame.loc[frame["taken_at"] < at, "taken_at"]
            is_last = frame["taken_at"] == (earlier.max() if len(earlier) else pd.NaT)
            frame.loc[is_last & (frame["what"] == "position") & (frame["symbol"] == symbol), "quantity"] += change
        return frame

    def crossings(self, run_id: str | None = None) -> pd.DataFrame:
        """What crossed from one strategy to another, without an order, oldest first.

        One row for each strategy: :data:`~stocklean_exec.strategies.attribution.CROSSINGS`.
        """
        where, values = ("", []) if run_id is None else ("AND run_id = ?", [run_id])
        found = self._frame(
            "SELECT run_id, symbol, price, commission_currency AS currency, epoch_us(occurred_at) AS crossed_at, "  # noqa: S608 - constants
            f"account, message FROM main.facts WHERE kind = 'crossed' {where} ORDER BY number",
            values,
        )
        found["crossed_at"] = pd.to_datetime(found["crossed_at"].astype("Int64"), unit="us", utc=True)
        rows = [
            {
                **{str(name): value for name, value in row.items()},
                "strategy": strategy,
                "side": "BUY" if shares > 0 else "SELL",
                "quantity": abs(shares),
            }
            for row in found.to_dict("records")
            for strategy, shares in read_quantities(row["message"]).items()
        ]
        return table_of(rows, CROSSINGS)

    def assignments(self) -> pd.DataFrame:
        """What persons gave to strategies, and took from them, oldest first: :data:`ASSIGNMENTS`.

        What a split changed is a row for each strategy.
        """
        rows = self._decisions("assigned", at="assigned_at", code="strategy")
        for row in self._decisions("split"):
            note = {"assigned_at": row["at"], "reason": f"{row['reason']} {row['code']}"}
            rows += [
                {**row, **note, "strategy": strategy, "quantity": change}
                for strategy, change in row["strategies"].items()
                if change
            ]
        return table_of(rows, ASSIGNMENTS)

    def cash_assignments(self) -> pd.DataFrame:
        """What cash persons gave to strategies, and took from them, oldest first: :data:`CASH_ASSIGNMENTS`."""
        rows = self._decisions("cash_assigned", at="assigned_at", code="strategy", quantity="amount")
        return table_of(rows, CASH_ASSIGNMENTS)

    def splits(self) -> pd.DataFrame:
        """Splits that persons have recorded, oldest first: :data:`SPLITS`."""
        rows = self._decisions("split", at="split_at", code="ratio")
        return table_of(rows, SPLITS).sort_values("split_at", ignore_index=True)

    def _decisions(self, kind: str, **names: str) -> list[dict[str, Any]]:
        """Events of one kind with their notes (``by``, ``reason``, ``strategies``), in the order of recording.

        ``names`` are other names of columns.
        """
        found = self._frame(
            "SELECT epoch_us(occurred_at) AS at, account, code, symbol, quantity, "
            "commission_currency AS currency, message FROM main.facts WHERE kind = ? ORDER BY number",
            [kind],
        )
        found["at"] = pd.to_datetime(found["at"].astype("Int64"), unit="us", utc=True)
        rows = found.rename(columns=names).to_dict("records")
        return [{str(name): value for name, value in row.items()} | json.loads(row["message"]) for row in rows]

    def strategy_positions(self, positions: object = None, *, account: str | None = None) -> pd.DataFrame:
        """What each strategy holds, by the record: positions that were assigned, crossings and fills.

        Parameters
        ----------
        positions : what the account holds now, ``broker.positions()`` or an account state; by default its holdings
            when its last run began and the fills since
        account : needed where several are on record

        Returns
        -------
        DataFrame, one row for each strategy and symbol: ``strategy``, ``symbol``, ``quantity`` (signed shares).
        Last, as ``unassigned``, what is left of the account's position and belongs to nobody: holdings of before,
        trades by hand (see :func:`~stocklean_exec.assign_positions`), and the new shares of a split, until
        :func:`~stocklean_exec.record_split`. There are no such rows where it is not known what the account holds.
        A negative one beside a holding means that the strategies hold more than the account.

        Raises
        ------
        InputError
            Several accounts are on record, or positions cannot be read.

        Examples
        --------
        >>> import stocklean_exec as sx
        >>> with sx.open_blotter() as blotter:
        ...     given = sx.assign_positions(
        ...         blotter, {"value": {"SPY": 60}}, positions={"SPY": 100}, account="DU1", by="me"
        ...     )
        ...     blotter.strategy_positions({"SPY": 100})
             strategy symbol  quantity
        0       value    SPY      60.0
        1  unassigned    SPY      40.0
        """
        account = account or self.strategy_account(positions)
        held = holdings_of(positions)
        if held is None and account is not None:
            held = self.recorded_holdings(account)
        return positions_by_strategy(self.strategy_holdings(account), held)

    def strategy_holdings(
        self, account: str | None, orders: pd.DataFrame | None = None
    ) -> dict[str, dict[str, float]]:
        """Signed shares of the strategies in ``account``, by symbol and strategy; ``orders`` if they are read."""
        frames = (self.orders() if orders is None else orders, self.crossings(), self.assignments())
        return holdings(*(frame[frame["account"] == account] for frame in frames))

    def strategy_cash(self, cash: object = None, *, account: str | None = None) -> pd.DataFrame:
        """What cash each strategy has, by the record: what was assigned, its fills, commissions and crossings.

        Parameters
        ----------
        cash : what the account has now: an account state, or ``broker.cash()``, which is in USD then
        account : needed where several are on record

        Returns
        -------
        DataFrame, one row for each strategy and currency: ``strategy``, ``currency``, ``amount``. It is NaN where
        nobody has said with :func:`~stocklean_exec.assign_cash` what a strategy has of a currency, and until the
        commissions of its fills are reported. Last, as ``unassigned``, the rest of the account's cash: deposits,
        dividends, interest, fees, and what other orders moved; NaN where that of a strategy is.

        Raises
        ------
        InputError
            Several accounts are on record, or ``cash`` is no amount.

        Examples
        --------
        >>> import stocklean_exec as sx
        >>> with sx.open_blotter() as blotter:
        ...     given = sx.assign_cash(blotter, {"value": 60_000}, cash=100_000, account="DU1", by="me")
        ...     blotter.strategy_cash()
          strategy currency   amount
        0    value      USD  60000.0
        """
        account = account or self.strategy_account(cash)
        return cash_table(self.cash_of_strategies(account), None if cash is None else account_cash(cash)[0])

    def cash_of_strategies(
        self,
        account: str | None,
        orders: pd.DataFrame | None = None,
        assumed: Iterable[tuple[str, str]] = (),
    ) -> dict[str, dict[str, float]]:
        """Cash of the strategies in ``account``, by strategy and currency; NaN where it is unknown.

        ``assumed`` are strategies and currencies that count as assigned, with nothing.
        """
        orders = self.orders() if orders is None else orders
        orders = orders[orders["account"] == account]
        divided = list(divisions_of(orders))
        fills, crossings, given = self.fills(), self.crossings(), self.cash_assignments()
        given = given.loc[given["account"] == account, ["strategy", "currency", "amount"]]
        more = pd.DataFrame([(*one, 0.0) for one in assumed], columns=given.columns).astype(given.dtypes)
        return cash_of_strategies(
            orders[orders["client_order_id"].isin(divided)],
            fills[fills["client_order_id"].isin(divided)],
            crossings[crossings["account"] == account],
            pd.concat([given, more]) if len(more) else given,
        )

    def strategy_book(self, positions: object = None, *, account: str | None = None) -> StrategyBook:
        """Everything that a plan needs to know of the strategies of an account; for ``state.with_strategies``.

        Parameters
        ----------
        positions : what the account holds now, ``broker.positions()`` or an account state
        account : needed where several are on record, and ``positions`` is no state

        Raises
        ------
        InputError
            Several accounts are on record.

        Examples
        --------
        >>> import stocklean_exec as sx
        >>> state = sx.AccountState.of({"SPY": 100}, {"SPY": 400.0}, nav=50_000, account="DU1")
        >>> with sx.open_blotter() as blotter:
        ...     given = sx.assign_positions(blotter, {"value": {"SPY": 60}}, positions=state, by="me")
        ...     state.with_strategies(blotter.strategy_book(state)).strategies
        {'SPY': {'value': 60.0}}
        """
        account = account or self.strategy_account(positions)
        orders = self.orders()
        orders = orders[orders["account"] == account]
        own = self.strategy_holdings(account, orders)
        given = self.cash_assignments()["account"] == account
        return StrategyBook(
            holdings=own,
            working=recorded_orders(orders),
            splits=self._suspected_splits(account, orders, own, positions),
            cash=self.cash_of_strategies(account, orders) if given.any() else {},
        )

    def _suspected_splits(
        self, account: str | None, orders: pd.DataFrame, own: Mapping[str, object], positions: object
    ) -> dict[str, str]:
        """Ratios by which holdings of strategies have changed since a person last said what they are."""
        if account is None or not own:
            return {}
        fills = self.fills()
        fills = fills[fills["client_order_id"].isin(orders["client_order_id"])]
        given = self._frame(
            "SELECT symbol, epoch_us(max(recorded_at)) AS said FROM main.facts "
            "WHERE kind IN ('assigned', 'split') AND account = ? GROUP BY symbol",
            [account],
        )
        last = dict(zip(given["symbol"], pd.to_datetime(given["said"], unit="us", utc=True), strict=True))
        said = {symbol: last.get(symbol, pd.Timestamp(0, tz="UTC")) for symbol in own}
        return unrecorded_splits(self._books(account), orders, fills, said, holdings_of(positions))

    def strategy_account(self, positions: object = None) -> str | None:
        """Account of a state, else the only one on record; None where none is.

        Raises
        ------
        InputError
            Several are on record.
        """
        account = getattr(positions, "account", None) if _is_state(positions) else None
        if isinstance(account, str):
            return account
        frames = (self.orders(), self.assignments(), self.cash_assignments())
        known = sorted({str(name) for frame in frames for name in frame["account"].dropna()})
        if len(known) > 1:
            text = f"there are {', '.join(map(mask_account, known))} on record; name one, as account="
            raise InputError("account", [Problem("account_ambiguous", text)])
        return known[0] if known else None

    def recorded_holdings(self, account: str) -> dict[str, float] | None:
        """Shares that ``account`` holds by the record: when its last run began, and the fills since.

        None if no run of it is on record.
        """
        opening = self.last_book(account)
        if opening.empty:
            return None
        orders, fills = self.orders(), self.fills()
        orders = orders[orders["account"] == account]
        return recorded_holdings(opening, orders, fills[fills["client_order_id"].isin(orders["client_order_id"])])

    def unresolved(self) -> pd.DataFrame:
        """Orders with an unknown outcome: status ``UNKNOWN``."""
        orders = self.orders()
        return orders[orders["status"] == "UNKNOWN"].reset_index(drop=True)

    def exported(self, run_id: str | None = None) -> set[str]:
        """Client order ids that were written to a basket file, of one run or of all: a person sends those."""
        found = self._frame(
            "SELECT client_order_id FROM main.facts WHERE kind = 'held_back' AND code = ? "
            "AND (CAST(? AS VARCHAR) IS NULL OR run_id = ?)",
            [EXPORTED, run_id, run_id],
        )
        return set(found["client_order_id"].tolist())

    def export(self, folder: str | os.PathLike[str]) -> Path:
        """Write every table as Parquet, ``<folder>/<table>/<table>.parquet``, and return the folder.

        An existing export there is replaced. Any tool can read the files; they are not locked.

        Raises
        ------
        InputError
            The folder is an address.
        BlotterError
            A file cannot be written.
        """
        target = local_path(folder, "export")
        frames = {
            "runs": self.runs(),
            "orders": self.orders(),
            "order_events": self.events(),
            "fills": self.fills(),
            "quotes": self.quotes(),
        }
        strategies = {
            "crossings": self.crossings(),
            "assignments": self.assignments(),
            "cash_assignments": self.cash_assignments(),
            "splits": self.splits(),
        }
        frames |= {name: frame for name, frame in strategies.items() if len(frame)}
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, frame in frames.items():
                _write_parquet(frame, target / name / f"{name}.parquet")
        except (OSError, duckdb.Error) as error:
            raise BlotterError(f"the export to {str(target)!r} failed: {error}") from error
        return target

    def close(self) -> None:
        """Close it, once the reads of other threads have ended. Closing twice is harmless.

        Raises
        ------
        BlotterError
            It is still being read.
        """
        if os.getpid() == self._pid and self._connection is not None:
            connection, self._connection = self._connection, None  # no read begins any more
            _close_when_idle(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _title(self) -> str:
        name = MEMORY if self.path is None else self.path.name
        return f"{type(self).__name__} {name}"

    def __repr__(self) -> str:
        query = (
            "SELECT (SELECT count(*) FROM main.planned_runs WHERE leg = 1) AS runs, "
            "(SELECT count(*) FROM main.planned_orders) AS orders, (SELECT count(*) FROM main.fills) AS fills"
        )
        try:
            counts = self._frame(query).iloc[0]
        except BlotterClosedError:
            return f"<{self._title()}: closed>"
        return f"<{self._title()}: {counts['runs']} runs, {counts['orders']} orders, {counts['fills']} fills>"

    def _repr_html_(self) -> str:
        return blotter_card(self)


def _close_when_idle(connection: duckdb.DuckDBPyConnection) -> None:
    """Close a connection; DuckDB refuses that while a query of one of its cursors is under way."""
    for _ in range(_CLOSE_TRIES):
        try:
            connection.close()
        except duckdb.ResourceInUseException:
            time.sleep(_CLOSE_PAUSE)
        else:
            return
    raise BlotterError(
        f"the blotter is still being read {_CLOSE_TRIES * _CLOSE_PAUSE:g} s after it was to be closed"
    )


def holdings_of(positions: object) -> dict[str, float] | None:
    """Shares of each symbol in a table of positions or an account state, of all contracts; None for None."""
    if positions is None:
        return None
    frame = parse_positions(getattr(positions, "positions", positions) if _is_state(positions) else positions)
    return {str(symbol): float(shares) for symbol, shares in frame.groupby("symbol")["quantity"].sum().items()}


def account_cash(cash: object) -> tuple[dict[str, float], str]:
    """Cash by currency of an account state, or a number in USD; and the base currency.

    Raises
    ------
    InputError
        It is neither.
    """
    table = getattr(cash, "cash_by_currency", None)
    if isinstance(table, pd.DataFrame):
        amounts = zip(table["currency"].tolist(), table["amount"].tolist(), strict=True)
        return {str(name): float(amount) for name, amount in amounts}, str(getattr(cash, "base_currency", "USD"))
    if isinstance(cash, bool) or not isinstance(cash, (int, float)):
        text = f"cash {shown(cash)} is neither an account state nor an amount, as broker.cash()"
        raise InputError("cash", [Problem("cash_missing", text, column="cash")])
    return {"USD": float(cash)}, "USD"


def _is_state(positions: object) -> bool:
    """Whether these are an account state; the portfolio's types are unknown here."""
    return hasattr(positions, "base_currency") and hasattr(positions, "positions")


def blotter_card(blotter: BlotterReader) -> str:
    """Return the card of a blotter: its contents, its latest runs, and the halt in force.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> with sx.open_blotter() as blotter:
    ...     blotter.halt("lunch")
    ...     "HALTED" in blotter_card(blotter)
    True
    """
    title = repr(blotter)[1:].rsplit(": ", maxsplit=1)[0]  # "<Blotter paper.duckdb: 2 runs, ...>"
    try:
        runs = blotter.runs()
        counts = [("orders", len(blotter.orders())), ("fills", len(blotter.fills()))]
    except BlotterClosedError:
        return card(title, ["closed"])
    halted = getattr(blotter, "halted", None)  # a snapshot has no halt state
    entries: list[tuple[object, object]] = [("runs", len(runs)), *counts]
    if halted is not None:
        entries.append(("halted", halted))
    latest = runs.tail(_CARD_RUNS).iloc[::-1]
    rows = [
        [run, mode, status, mask_account(account if isinstance(account, str) else None)]
        for run, mode, status, account in latest[["run_id", "mode", "status", "account"]].itertuples(index=False)
    ]
    note = f"and {len(runs) - _CARD_RUNS} earlier runs" if len(runs) > _CARD_RUNS else ""
    table = (["run", "mode", "status", "account"], rows) if rows else None
    return card(title, ["HALTED"] if halted is not None else [], entries, table, note)


def _write_parquet(frame: pd.DataFrame, file: Path) -> None:
    """Write a temporary file and rename it: a reader never sees half of the new file."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    written = file.with_name(f".{file.name}.new")
    os.close(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    place = str(written.absolute())
    with database.connect(files=[place]) as writer:
        writer.register("exported", _of_one_kind(frame))
        writer.execute("COPY (SELECT * FROM exported) TO ? (FORMAT parquet, USE_TMP_FILE false)", [place])
    written.chmod(0o600)
    written.replace(file)


def _of_one_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn an extra column of mixed types into text; a Parquet column has one type."""
    mixed = [
        name
        for name in frame.columns
        if pd.api.types.is_object_dtype(frame[name])
        and len({type(value) for value in frame[name] if value is not None}) > 1
    ]
    return frame.assign(**{name: frame[name].map(str, na_action="ignore").astype("str") for name in mixed})


def read_blotter(path: str | os.PathLike[str]) -> BlotterReader:
    """Read a blotter as it is at this moment, even while another process is trading with it.

    The snapshot is a private copy: it does not change, holds no lock and does not block the owner.

    Raises
    ------
    InputError
        There is no blotter at that path.
    BlotterError
        No consistent copy could be made, because the owner was writing constantly; or the file was written by a
        newer version, or is damaged.
    """
    file = check_path(path)
    if not file.exists():
        raise InputError("blotter", [Problem("blotter_missing", f"there is no file {str(file)!r}")])
    return _Snapshot(file)


class _Snapshot(BlotterReader):
    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stocklean-snapshot-")
        try:
            connection = _connect_to_copy(path, Path(self._folder.name) / path.name)
            try:
                migrate(connection)  # tables and views of an older version are updated in the copy
            except BlotterError:
                connection.close()
                raise
        except BaseException:
            self._folder.cleanup()
            raise
        super().__init__(path, connection)

    def close(self) -> None:
        super().close()
        if os.getpid() == self._pid:
            self._folder.cleanup()

    def _title(self) -> str:
        return f"Snapshot of {self.path.name}" if self.path is not None else "Snapshot"


def _connect_to_copy(source: Path, copy: Path) -> duckdb.DuckDBPyConnection:
    problem: BlotterError | None = None
    for _ in range(_COPY_TRIES):
        with reading(source) as descriptor:
            is_whole = _copy_once(descriptor, source, copy)
        if is_whole:
            try:
                return connect(copy)
            except BlotterError as error:
                if problem is not None and str(problem) == str(error):
                    raise  # the same error twice: the file is damaged, not half written
                problem = error
        time.sleep(_COPY_PAUSE)
    raise BlotterError(f"{source.name} was being written constantly; try again") from problem


def _copy_once(descriptor: int, source: Path, copy: Path) -> bool:
    """Copy file and logs, as a crash at this moment would leave them; False if a checkpoint intervened."""
    suffixes = (".wal", ".wal.checkpoint")  # the second has the commits made during a checkpoint

    def mark() -> list[object]:
        status = os.fstat(descriptor)
        logs = [
            log.stat().st_ino if log.exists() else None for log in (Path(f"{source}{end}") for end in suffixes)
        ]
        return [status.st_mtime_ns, status.st_size, os.pread(descriptor, _HEADERS, 0), *logs]

    try:
        before = mark()
        _copy_from(descriptor, copy)
        for suffix in suffixes:
            _copy_log(Path(f"{source}{suffix}"), Path(f"{copy}{suffix}"))
        return mark() == before
    except FileNotFoundError:  # a log was removed meanwhile
        return False


def _copy_log(log: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    if log.exists():
        with log.open("rb", buffering=0) as stream:
            _copy_from(stream.fileno(), copy)


def _copy_from(descriptor: int, target: Path) -> None:
    offset = 0
    with target.open("wb") as stream:
        while data := os.pread(descriptor, _CHUNK, offset):
            stream.write(data)
            offset += len(data)
