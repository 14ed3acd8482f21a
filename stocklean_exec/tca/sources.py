"""Reads the trade record from a blotter, an export of one, or Parquet files, and filters it.

The measures take frames. :func:`trade_record` reads those of a run, several runs, an account or a range of dates;
:func:`accept_sources` lets every measure accept a blotter or files in place of frames.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np
import pandas as pd

from stocklean_exec.blotter.reader import BlotterReader, read_blotter
from stocklean_exec.database import escaped, literal, parquet_source, quoted, readable
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.arrow_tables import ARROW, frame_of_arrow
from stocklean_exec.schema.frame_validator import as_utc, shown
from stocklean_exec.schema.paths import local_path, refuse_addresses
from stocklean_exec.schema.prices import HIGHEST, LOWEST
from stocklean_exec.schema.tables import FILLS, ORDER_EVENTS, ORDERS, QUOTES, RUNS
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.fill_totals import FILL_TOTALS, source_columns, sql_totals
from stocklean_exec.tca.inputs import Executed, repeated_fills, require_columns
from stocklean_exec.tca.market_files import MarketFiles
from stocklean_exec.tca.parquet import (
    ZONED,
    HashPart,
    chunks,
    described,
    is_export,
    open_parquet,
    text_hashes,
    whole,
)
from stocklean_exec.tca.trade_record import TradeRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import duckdb
    from numpy.typing import NDArray

__all__ = ["TradeRecord", "accept_sources", "read_executed", "read_frame", "trade_record"]

P = ParamSpec("P")
R = TypeVar("R")
_ENDED = ("CANCELLED", "REJECTED")
_LISTED = 50  # ids that one error names
_FEW = 30_000  # distinct texts; with more, codes are no cheaper than the texts, and they fit 16 bits
_PLAIN = (*ZONED, "DOUBLE")  # types whose missing values are replaced by numbers in the query
_TEXTS = ("symbol", "side", "exchange", "liquidity", "account", "run_id")


def trade_record(
    source: object,
    *,
    run_id: str | Sequence[str] | None = None,
    account: str | None = None,
    since: object = None,
    until: object = None,
    approved_only: bool = False,
) -> TradeRecord:
    """Read the trade record, all or a part of it.

    Parameters
    ----------
    source : a blotter, a blotter's file, or a folder that ``blotter.export`` wrote
    run_id : one run, or several
    account : orders of this account
    since, until : orders decided (or else approved, or sent) at or after the first and before the second: times
        with a zone, or dates (UTC)
    approved_only : exclude orders that were not approved

    Raises
    ------
    InputError
        There is nothing to read, a run is not on record, or a time has no zone.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"AAA": 100.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     _ = sx.rebalance({"AAA": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     sx.trade_record(blotter, run_id="r")
    <TradeRecord: 1 runs, 1 orders, 1 fills>
    """
    record = _whole(source)
    orders, runs = record.orders, record.runs
    wanted = None if run_id is None else [run_id] if isinstance(run_id, str) else list(run_id)
    if wanted is not None:
        lost = [name for name in wanted if not (runs["run_id"] == name).any()]
        if lost:
            known = ", ".join(runs["run_id"].tolist()[-5:]) or "none"
            text = f"is not on record; the latest are {known}"
            raise InputError("run_id", [Problem("run_unknown", f"{shown(name)} {text}") for name in lost])
        orders = orders[orders["run_id"].isin(wanted)]
    if account is not None:
        orders = orders[(orders["account"] == account).to_numpy(dtype=bool, na_value=False)]
    for bound, is_lower in ((since, True), (until, False)):
        if bound is not None:
            stamp, decided = _stamp(bound), _decided(orders)
            orders = orders[((decided >= stamp) if is_lower else (decided < stamp)).to_numpy(dtype=bool)]
    if approved_only and "approved" in orders.columns:
        orders = orders[orders["approved"].to_numpy(dtype=bool, na_value=False)]
    ids, kept = orders["client_order_id"], orders["run_id"]
    return TradeRecord(
        orders.reset_index(drop=True),
        record.fills[record.fills["client_order_id"].isin(ids)].reset_index(drop=True),
        _of_runs(record.quotes, kept),
        record.events[record.events["client_order_id"].isin(ids)].reset_index(drop=True),
        runs[runs["run_id"].isin(kept if wanted is None else wanted)].reset_index(drop=True),
    )


def _decided(orders: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """When each order was decided, else approved, else sent."""
    when = orders["decided_at"]
    for name in ("approved_at", "arrived_at"):
        if name in orders.columns:
            when = when.fillna(orders[name])
    return when


def _of_runs(quotes: pd.DataFrame, kept: pd.Series[str]) -> pd.DataFrame:
    if "run_id" in quotes.columns:
        quotes = quotes[quotes["run_id"].isin(kept)]
    return quotes.reset_index(drop=True)


def _stamp(value: object) -> pd.Timestamp:
    found = as_utc(value, "time")
    if isinstance(found, Problem) and found.code == "naive_time":
        day = pd.Timestamp(value)  # type: ignore[arg-type]  # as_utc has parsed it
        if day == day.normalize():
            return day.tz_localize("UTC")
    if isinstance(found, Problem):
        raise InputError("options", [found])
    if found is None:
        raise InputError("options", [Problem("time_dtype", "the time is empty")])
    return found


def _whole(source: object) -> TradeRecord:
    if isinstance(source, TradeRecord):
        return source
    if isinstance(source, BlotterReader):
        return _with_ends(source.orders(), source.fills(), source.quotes(), source.events(), source.runs())
    if isinstance(source, (str, os.PathLike)):
        place = local_path(source, "source")
        if place.is_dir():
            return _exported(place)
        with read_blotter(place) as blotter:
            return _whole(blotter)
    text = f"{shown(source)} is neither a blotter, nor its file, nor the folder of an export"
    raise InputError("source", [Problem("wrong_type", text)])


def _exported(folder: Path) -> TradeRecord:
    tables = {"orders": ORDERS, "fills": FILLS, "quotes": QUOTES, "order_events": ORDER_EVENTS, "runs": RUNS}
    frames = {}
    for name, table in tables.items():
        place = folder / name
        frames[name] = table.conform(read_frame(place, name)) if place.is_dir() else table.empty()
    return _with_ends(*(frames[name] for name in tables))


def _with_ends(
    orders: pd.DataFrame, fills: pd.DataFrame, quotes: pd.DataFrame, events: pd.DataFrame, runs: pd.DataFrame
) -> TradeRecord:
    """Add the time at which orders were cancelled or rejected, from their events."""
    last = events[events["status"].isin(_ENDED)].groupby("client_order_id")["occurred_at"].max()
    ended = last.reindex(orders["client_order_id"]).array
    done = orders["status"].isin(_ENDED).to_numpy()
    orders = orders.assign(ended_at=pd.Series(ended, index=orders.index, dtype="datetime64[us, UTC]").where(done))
    return TradeRecord(orders, fills, quotes, events, runs)


# -- Parquet -----------------------------------------------------------------------------------------------------


def read_frame(path: str | os.PathLike[str], table: str, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read columns (all by default) of Parquet files as a frame: texts of few values as categories, times in UTC.

    Times without a zone are left unchanged; the measures refuse them.
    """
    connection, (names_of_files,) = open_parquet((path, table))
    with connection, readable(table):
        types = described(connection, names_of_files, table)
        files = parquet_source(names_of_files)
        _refuse_size(connection, names_of_files, table)
        names = [name for name in types if columns is None or name in set(columns)]
        if not names:
            return pd.DataFrame()
        texts = {name: _Texts.of(connection, files, name) for name in names if name in _TEXTS}
        chosen = []
        for name in names:
            column, known = quoted(name), texts.get(name)
            if known is not None:
                column = f"{known.sql(column)} AS {column}"
            elif types[name] in ZONED:
                column = f"coalesce(epoch_us({column}::TIMESTAMPTZ), {NO_TIME}) AS {column}"
            elif types[name] == "DOUBLE":
                column = f"coalesce({column}, 'nan'::DOUBLE) AS {column}"
            elif types[name].startswith("DECIMAL"):
                column = f"{column}::DOUBLE AS {column}"
            chosen.append(column)
        if table == "fills":
            _refuse_repeated(connection, files, types)
        query = f"SELECT {', '.join(chosen)} FROM {files}"  # noqa: S608 - quoted
        plain = all(texts.get(name) or types[name] in _PLAIN for name in names)
        data = whole(connection, query) if plain else connection.execute(query).fetchnumpy()
    return pd.DataFrame({name: _column(data[name], types[name], texts.get(name)) for name in names}, copy=False)


_MAX_ROWS = 50_000_000
"""Rows that are read into memory at once, a stated choice: five times the fills of the largest benchmark. A few
kilobytes of Parquet can hold a billion rows."""


def _refuse_size(connection: duckdb.DuckDBPyConnection, names_of_files: Iterable[str], table: str) -> None:
    """Refuse files by their metadata, before a row is read."""
    listed = ", ".join(literal(escaped(name)) for name in names_of_files)
    query = f"SELECT coalesce(sum(num_rows), 0)::BIGINT FROM parquet_file_metadata([{listed}])"  # noqa: S608 - quoted
    rows = connection.execute(query).fetchall()[0][0]
    if rows > _MAX_ROWS:
        text = f"{rows:,} rows; the maximum is {_MAX_ROWS:,}: give the files of a part of them"
        raise InputError(table, [Problem("too_many_rows", text)])


def _column(values: Any, dtype: str, texts: _Texts | None) -> Any:  # noqa: ANN401 - NumPy or pandas arrays
    """One column of DuckDB's result, in the dtype that it has in a frame."""
    if texts is not None:
        return texts.categorical(values)
    if dtype in ZONED:
        return pd.Series(values, copy=False).astype("datetime64[us, UTC]")  # the same memory, seen as times
    missing = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else np.zeros(len(values), dtype=bool)
    values = np.ma.getdata(values)
    if missing.any() and values.dtype.kind in "iub":
        values = pd.array(values, dtype="boolean" if dtype == "BOOLEAN" else "Int64")
    if missing.any():
        values[missing] = {"M": np.datetime64("NaT", "us"), "f": np.nan, "O": None}.get(values.dtype.kind, pd.NA)
    return pd.array(values, dtype="str") if dtype == "VARCHAR" else values


@dataclass(frozen=True, slots=True)
class _Texts:
    """The distinct texts of a column, and the code of each.

    The code is a part of the text's hash if some part differs between all texts: a tenth of the work of looking up
    each row among the texts.
    """

    values: list[str]
    codes: dict[int, int]  # part of a hash -> position among the values, -1 for no text
    part: HashPart | None

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, files: str, name: str) -> _Texts | None:
        """The texts of a column; None if there are too many, or none."""
        query = f"SELECT DISTINCT {quoted(name)}::VARCHAR FROM {files} LIMIT {_FEW + 1}"  # noqa: S608 - quoted
        values = sorted(str(row[0]) for row in connection.execute(query).fetchall() if row[0] is not None)
        if not 0 < len(values) <= _FEW:
            return None
        hashes = text_hashes(connection, [*values, None])
        part = HashPart.distinguishing(hashes, _TABLE_BITS)
        numbers = [*range(len(values)), -1]
        codes = {} if part is None else {part.of(one): code for one, code in zip(hashes, numbers, strict=True)}
        return cls(values, codes, part)

    def sql(self, column: str) -> str:
        """SQL of the codes of a column."""
        if self.part is not None:
            return self.part.sql(f"{column}::VARCHAR")
        listed = ", ".join(map(literal, self.values))
        return f"coalesce(enum_code({column}::VARCHAR::ENUM({listed}))::INTEGER, -1)"

    def categorical(self, numbers: NDArray[Any]) -> pd.Categorical[Any]:
        """Turn the codes that :meth:`sql` gave into texts."""
        few = len(self.values) <= np.iinfo("int8").max
        codes = np.asarray(numbers)
        if self.part is not None:
            table = np.zeros(1 << self.part.bits, dtype="int8" if few else "int16")
            table[list(self.codes)] = list(self.codes.values())
            codes = table[codes]
        return pd.Categorical.from_codes(codes, categories=pd.Index(self.values, dtype="str"), validate=False)


_TABLE_BITS = (16, 20, 24)  # bits of hashes for which a lookup table of all values is small enough: 32 MB at most


def read_executed(
    path: str | os.PathLike[str],
    orders: tuple[str | os.PathLike[str], pd.Index[Any]] | None = None,
    *,
    times: bool = True,
) -> Executed:
    """Totals of the fills in Parquet files, computed by DuckDB: one row per order, however many fills there are.

    Parameters
    ----------
    path : files of fills
    orders : files of the orders and their ids as they were read; the rows are then in the sequence of the orders.
        DuckDB finds them, which is cheaper than comparing a million texts here
    times : read the times of fills; otherwise they count as unknown and are not read

    Raises
    ------
    InputError
        Columns are missing, a quantity or a price is not above zero, an execution is in several rows, or times
        have no zone.
    """
    places = [(path, "fills"), *([] if orders is None else [(orders[0], "orders")])]
    connection, found = open_parquet(*places)
    with connection, readable("fills"):
        types = described(connection, found[0], "fills")
        files = parquet_source(found[0])
        columns = _fill_columns(types, times=times)
        totals = list(sql_totals(columns))
        query = _totals_query(files, columns)
        _refuse_fills(connection, files)
        _refuse_repeated(connection, files, types)
        if orders is None:
            table = _checked(connection.execute(query).df()).set_index("client_order_id")
            return Executed(table.assign(**{name: empty for name, empty in _EMPTY.items() if name not in totals}))
        ids = orders[1]
        numbered = f"SELECT client_order_id, row_number() OVER () - 1 AS row FROM {parquet_source(found[1])}"  # noqa: S608 - quoted
        joined = (
            f"SELECT coalesce(row, -1) AS row, wrong, {', '.join(totals)} "  # noqa: S608 - quoted
            f"FROM ({query}) LEFT JOIN ({numbered}) USING (client_order_id)"
        )
        aligned = {name: np.full(len(ids), empty, dtype=type(empty)) for name, empty in _EMPTY.items()}
        for chunk in chunks(connection, joined):
            rows = chunk["row"]
            if chunk["wrong"].any() or rows.min() < 0 or len(ids) <= rows.max():
                return read_executed(path)  # raises an error that names the ids, here or where they are aligned
            for name in totals:
                aligned[name][rows] = chunk[name]
    return Executed(pd.DataFrame(aligned, index=ids, copy=False))


_EMPTY = {total.name: total.empty for total in FILL_TOTALS}


def _fill_columns(types: dict[str, str], *, times: bool) -> set[str]:
    """Columns of fills that are read; refuse fills that lack a column, or whose times have no zone."""
    require_columns(pd.DataFrame(columns=list(types)), ("client_order_id", "quantity", "price"), "fills")
    if "filled_at" in types and types["filled_at"] not in ZONED:
        raise InputError("fills", [Problem("naive_time", "filled_at has no time zone", column="filled_at")])
    return set(types) if times else set(types) - {"filled_at", "time_unreliable"}


def _totals_query(files: str, columns: set[str]) -> str:
    """Query for the totals of each order's fills; ``wrong`` where a quantity is not a number."""
    totals = ", ".join(f"{sql} AS {name}" for name, sql in sql_totals(columns).items())
    fills = f"SELECT client_order_id, {source_columns(columns)} FROM {files}"  # noqa: S608 - quoted
    return (
        "SELECT *, NOT isfinite(filled_quantity) AS wrong "  # noqa: S608 - quoted
        f"FROM (SELECT client_order_id, {totals} FROM ({fills}) GROUP BY client_order_id)"
    )


def _refuse_fills(connection: duckdb.DuckDBPyConnection, files: str) -> None:
    """Raise for quantities and prices not above zero, by the files' statistics; NaN shows only in the sums."""
    wrong_price = f"price::DOUBLE < {LOWEST} OR (price::DOUBLE >= {HIGHEST} AND NOT isnan(price::DOUBLE))"
    for name, wrong in (("quantity", "quantity IS NULL OR quantity <= 0"), ("price", wrong_price)):
        query = f"SELECT DISTINCT client_order_id FROM {files} WHERE {wrong} LIMIT {_LISTED}"  # noqa: S608 - quoted
        ids = [row[0] for row in connection.execute(query).fetchall()]
        if ids:
            raise _fill_error(ids, name)


def _refuse_repeated(connection: duckdb.DuckDBPyConnection, files: str, columns: Collection[str]) -> None:
    """Raise for executions in several rows; hashes show that there are none, at a part of the memory of texts."""
    if "exec_id" not in columns:
        return
    query = f"SELECT count(DISTINCT hash(exec_id)) < count(*) FROM {files} WHERE exec_id IS NOT NULL"  # noqa: S608 - quoted
    if not connection.execute(query).fetchall()[0][0]:
        return
    query = f"SELECT exec_id FROM {files} GROUP BY exec_id HAVING count(exec_id) > 1 ORDER BY 1 LIMIT {_LISTED}"  # noqa: S608 - quoted
    twice = [row[0] for row in connection.execute(query).fetchall()]
    if twice:
        raise repeated_fills(twice)


def _fill_error(ids: Iterable[object], column: str = "quantity") -> InputError:
    text = f"has fills whose {column} is not above zero"
    return InputError("fills", [Problem(f"fill_{column}", f"{name} {text}") for name in ids])


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    wrong = table.loc[table.pop("wrong"), "client_order_id"].tolist()
    if wrong:
        raise _fill_error(wrong[:_LISTED])
    return table


# -- measures of other sources -----------------------------------------------------------------------------------


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _all_columns(_: Mapping[str, Any]) -> None:
    return None


def _framed(value: object) -> object:
    """Return a table of polars, Arrow or DuckDB as a DataFrame, and anything else as it is."""
    if isinstance(value, (pd.DataFrame, pd.Series)) or not hasattr(value, ARROW):
        return value
    return frame_of_arrow(value, sys.maxsize - 1).infer_objects()


def accept_sources(
    measure: Callable[P, R],
    *,
    totals_suffice: bool = False,
    needs_times: Callable[[Mapping[str, Any]], bool] = _always,
    fill_columns: Callable[[Mapping[str, Any]], Iterable[str] | None] = _all_columns,
) -> Callable[P, R]:
    """Wrap a measure of frames so that it accepts a blotter, a :class:`TradeRecord` or Parquet files too.

    ``orders`` may be a blotter, its file, its export, or a record, and then ``fills`` need not be given; orders,
    fills, quotes and trades may be Parquet files, folders or patterns. Any table may be one of polars, Arrow or
    DuckDB.

    Parameters
    ----------
    measure : a function of frames, annotated with what the wrapper accepts: a type checker sees one signature
    totals_suffice : it accepts totals by order too (:class:`~stocklean_exec.tca.inputs.Executed`), and gets them
        if fills are files
    needs_times : from the arguments, whether the measure uses the times of fills
    fill_columns : from the arguments, the columns of fills that it uses, None for all; no others are read
    """
    signature = inspect.signature(measure)
    called = cast("Callable[..., R]", measure)

    @functools.wraps(measure)
    def measured(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind_partial(*args, **kwargs).arguments
        given: dict[str, Any] = {name: _framed(value) for name, value in bound.items()}
        refuse_addresses({name: given.get(name) for name in ("orders", "fills", "quotes", "trades")})
        record = _record_of(given.get("orders", given.get("fills")))
        if record is not None:
            if "orders" in signature.parameters:
                given["orders"] = record.orders
            if given.get("fills") is None or not isinstance(given["fills"], pd.DataFrame):
                given["fills"] = record.fills
        place, fills = given.get("orders"), given.get("fills")
        known = None
        if isinstance(place, (str, os.PathLike)):
            given["orders"] = _plain(read_frame(place, "orders"))
            if "client_order_id" in given["orders"].columns:
                given["orders"] = given["orders"].set_index("client_order_id")
                known = place, given["orders"].index
        if isinstance(fills, (str, os.PathLike)):
            given["fills"] = (
                read_executed(fills, known, times=needs_times(given))
                if totals_suffice
                else read_frame(fills, "fills", fill_columns(given))
            )
        for kind in ("quotes", "trades"):
            if isinstance(given.get(kind), (str, os.PathLike)):
                given[kind] = MarketFiles(given[kind], kind)
        return called(**given)

    # cleaned, because only Python 3.13 and later remove the indentation when they compile
    measured.__doc__ = f"{inspect.cleandoc(measure.__doc__ or '')}\n\n{inspect.cleandoc(_SOURCES_NOTE)}\n"
    return measured


_SOURCES_NOTE = """
    Notes
    -----
    In place of ``orders`` (or of ``fills``, where there are no orders) it takes a blotter, a blotter's file, the
    folder of an export, or what :func:`~stocklean_exec.trade_record` gave, and then needs no ``fills``. Orders,
    fills, quotes and trades may also be Parquet files, folders or patterns; quotes and trades may be larger than
    memory. Tables of polars, Arrow and DuckDB are taken as DataFrames are.
    """


def _record_of(source: object) -> TradeRecord | None:
    if isinstance(source, TradeRecord):
        return source
    if isinstance(source, (str, os.PathLike)) and (_is_blotter(Path(source)) or is_export(Path(source))):
        return _whole(source)
    return _whole(source) if isinstance(source, BlotterReader) else None


def _is_blotter(file: Path) -> bool:
    """Whether a file is a DuckDB database, by its magic bytes behind the checksum."""
    try:
        with file.open("rb") as stream:
            return stream.read(12)[8:] == b"DUCK"
    except (OSError, ValueError):  # ValueError: not a valid path, such as one that contains a NUL
        return False


def _plain(orders: pd.DataFrame) -> pd.DataFrame:
    """Orders as a blotter gives them: texts, not categories."""
    texts = [name for name in orders.columns if isinstance(orders[name].dtype, pd.CategoricalDtype)]
    return orders.astype(dict.fromkeys([*texts, *({"client_order_id"} & {*orders.columns})], "str"))
