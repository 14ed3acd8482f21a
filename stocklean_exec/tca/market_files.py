"""Quotes and trades in Parquet files that may be larger than memory.

DuckDB reads a batch of symbols at a time. The time window and the symbols are in the query, so that files and row
groups outside are skipped and each result is bounded. Files sorted by symbol are read once; files in time order
are read once for each batch of symbols, and the batches are larger then. An as-of join over all quotes would sort
them all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stocklean_exec.database import escaped, literal, parquet_source, quoted, readable
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.progress import progress_bar
from stocklean_exec.tca.market import QUOTE_COLUMNS, TRADE_COLUMNS
from stocklean_exec.tca.parquet import ZONED, HashPart, chunks, described, open_parquet, text_hashes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["MarketFiles", "quote_files", "trade_files"]

_BATCH_BYTES = 128 << 20
"""Memory for one batch of symbols (a choice): with the batch read ahead, twice as much is in use."""

_ROOM_IF_MIXED = 4
"""Factor on it if files mix symbols (a choice), because each batch then reads most row groups again."""

_MOST_SYMBOLS = 150
"""In one batch: with more, sixteen bits that differ between all their hashes are hard to find."""

_SHORT_RUN = 50
"""Rows: chunks whose runs of one symbol are shorter on average are sorted first (a choice), as each run costs some
array operations."""

_NEARLY_ALL = 0.75
"""Share of the rows and of the symbols from which on all rows are read and filtered here (a choice)."""

_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 4_102_444_800_000_000  # the year 2100, in microseconds
_LOWEST, _HIGHEST = "1e-9", "1e9"  # the bounds of prices.is_usable; TWS's markers of "no value" are outside


class MarketFiles:
    """Parquet files of quotes or trades, as a :class:`~stocklean_exec.tca.asof.Market`.

    Parameters
    ----------
    path : a file, a folder (all ``*.parquet`` below it) or a pattern, unless a file has exactly that name; files
        added later are not read
    kind : ``"quotes"`` or ``"trades"``
    columns : our column names and those of the files, where they differ, such as ``{"quoted_at": "ts"}``
    time_zone : of times without a zone; without it such files are refused
    batch_bytes : memory for one batch of symbols

    Raises
    ------
    InputError
        There is no such file, columns are missing, or times have no zone.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: str = "quotes",
        *,
        columns: Mapping[str, str] | None = None,
        time_zone: str | None = None,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        self.kind = kind
        self._batch_bytes = batch_bytes
        # The other half of the processors works on the previous batch at the same time.
        self._connection, (self._files,) = open_parquet((path, kind), cached=True)
        names = QUOTE_COLUMNS if kind == "quotes" else TRADE_COLUMNS
        theirs = {name: (columns or {}).get(name, name) for name in names}
        types = described(self._connection, self._files, kind)
        missing = [name for name in theirs.values() if name not in types]
        if missing:
            text = f"columns {', '.join(missing)} are missing; there are {', '.join(types)}"
            raise InputError(kind, [Problem("missing_column", text)])
        self._symbol, self._raw_time, self._one, self._two = (quoted(name) for name in theirs.values())
        self._symbol_name, self._time_name = theirs[names[0]], theirs[names[1]]
        self._time_zone = self._checked_zone(types[self._time_name], time_zone)
        self._plain = types[theirs[names[0]]] == "VARCHAR" and self._time_zone is None
        self._delayed = kind == "quotes" and types.get("delayed") == "BOOLEAN"

    def _checked_zone(self, dtype: str, time_zone: str | None) -> str | None:
        if dtype in ZONED:
            return None
        if not dtype.startswith("TIMESTAMP"):
            text = f"{self._time_name} is {dtype}, not a time"
            raise InputError(self.kind, [Problem("time_dtype", text, column=self._time_name)])
        if time_zone is None:
            text = f"{self._time_name} has no time zone; give time_zone='UTC', or the zone of the exchange"
            raise InputError(self.kind, [Problem("naive_time", text, column=self._time_name)])
        return time_zone

    # -- reading -------------------------------------------------------------------------------------------------

    def series(
        self, names: Sequence[str], fields: Sequence[str], start: int, end: int
    ) -> Iterator[tuple[str, NDArray[np.int64], list[NDArray[np.float64]]]]:
        """Rows of each symbol in a window, sorted by time, in batches of symbols; the next batch is read ahead."""
        start, end = max(start, 0), min(end, _LATEST)
        wanted = sorted(names)
        if not wanted or start > end:
            return
        plan = self._plan_read(wanted, start, end)
        if not plan.files:
            return
        room = self._batch_bytes * (_ROOM_IF_MIXED if plan.mixed else 1)
        size = -(-plan.rows * 8 * (2 + len(fields)) // room)
        batches = min(max(1, size, -(-len(wanted) // _MOST_SYMBOLS)), len(wanted))
        parts = [list(map(str, part)) for part in np.array_split(np.array(wanted, dtype=object), batches)]
        done = 0
        with (
            ThreadPoolExecutor(1, "stocklean-market") as reader,
            progress_bar(len(wanted), f"reading {self.kind}") as move,
        ):
            coming = reader.submit(self._read, parts[0], fields, start, end, plan)
            for number, part in enumerate(parts):
                found = coming.result()
                if number + 1 < len(parts):
                    coming = reader.submit(self._read, parts[number + 1], fields, start, end, plan)
                for name, runs in found.items():
                    times, values = _joined(runs)
                    inside = slice(*np.searchsorted(times, (start, end + 1)))
                    if len(times := times[inside]):
                        yield name, times, [value[inside] for value in values]
                done += len(part)
                move(done, "")

    def _plan_read(self, wanted: Sequence[str], start: int, end: int) -> ReadPlan:
        """Decide from the metadata which files to read, and whether to read all of their rows."""
        listed = ", ".join(literal(escaped(name)) for name in self._files)
        query = (
            "WITH columns AS (SELECT row_number() OVER () AS place, file_name AS file, row_group_num_rows AS n, "  # noqa: S608 - quoted
            "path_in_schema = $1 AS is_time, stats_min_value AS low, stats_max_value AS high, "
            f"stats_null_count AS blank FROM parquet_metadata([{listed}]) "
            "WHERE path_in_schema IN ($1, $2)), seen AS (SELECT *, TRY_CAST(low AS TIMESTAMP) AS first, "
            "TRY_CAST(high AS TIMESTAMP) AS last, $3::TIMESTAMP AS start, $4::TIMESTAMP AS stop FROM columns) "
            "SELECT file, sum(n) FILTER (is_time), "
            "sum(n) FILTER (is_time AND coalesce(last >= start AND first <= stop, true)), "
            "sum(n) FILTER (is_time AND first >= start AND last <= stop AND blank = 0), "
            "sum(blank) FILTER (is_time), sum(n) FILTER (NOT is_time AND low <= $5 AND $5 <= high) "
            "FROM seen GROUP BY file ORDER BY min(place)"
        )
        margin = 0 if self._time_zone is None else _DAY  # statistics are in local time
        bounds = [_moment(moment).replace("+00:00", "") for moment in (max(start - margin, 0), end + margin)]
        parameters = [self._time_name, self._symbol_name, *bounds, wanted[len(wanted) // 2]]
        with readable(self.kind):
            rows = self._connection.execute(query, parameters).fetchall()
        found = [_File(row[0], *(int(number or 0) for number in row[1:])) for row in rows]
        if blank := sum(file.blank for file in found):
            text = f"{self._time_name} is empty in {blank} rows"
            raise InputError(self.kind, [Problem("time_missing", text, column=self._time_name)])
        found = [file for file in found if file.touched]
        files = [file.name for file in found]
        every, touched = sum(file.rows for file in found), sum(file.touched for file in found)
        if not touched:
            return ReadPlan([], 0)
        mixed = sum(file.of_one for file in found) > every / 2
        if not self._plain or sum(file.inside for file in found) < _NEARLY_ALL * every:
            return ReadPlan(files, touched, mixed=mixed)
        query = f"SELECT DISTINCT {self._symbol} FROM {parquet_source(files)} WHERE {self._symbol} IS NOT NULL"  # noqa: S608 - quoted
        with readable(self.kind):
            present = sorted(row[0] for row in self._connection.execute(query).fetchall())
        if len(wanted) < _NEARLY_ALL * len(present):
            return ReadPlan(files, touched, mixed=mixed)
        return ReadPlan(files, every, present, mixed)

    def _read(
        self, names: list[str], fields: Sequence[str], start: int, end: int, plan: ReadPlan
    ) -> dict[str, list[_Run]]:
        """Rows of some symbols, in the runs of the files; symbols are read as a part of their hash."""
        there = plan.present
        symbols = names if there is None else there[bisect_left(there, names[0]) : bisect_right(there, names[-1])]
        with self._connection.cursor() as cursor:
            hashes = text_hashes(cursor, symbols)
            part = HashPart.distinguishing(hashes)
            if part is None:
                raise RuntimeError("two symbols have the same 64-bit hash; request one at a time")
            known = {part.of(code): name for code, name in zip(hashes, symbols, strict=True)}
            found: dict[str, list[_Run]] = {name: [] for name in names}
            with readable(self.kind):
                for chunk in chunks(cursor, self._query(names, fields, start, end, plan, part)):
                    for code, run in _runs(chunk, fields):
                        if code not in known:
                            raise InputError(
                                self.kind,
                                [
                                    Problem(
                                        "parquet_changed",
                                        "the files changed while they were read; read them again",
                                    )
                                ],
                            )
                        if (name := known[code]) in found:
                            found[name].append(run)
        return {name: runs for name, runs in found.items() if runs}

    def _query(
        self, names: list[str], fields: Sequence[str], start: int, end: int, plan: ReadPlan, part: HashPart
    ) -> str:
        time = (
            self._raw_time
            if self._time_zone is None
            else f"timezone({literal(self._time_zone)}, {self._raw_time}::TIMESTAMP)"
        )
        given = self._quote_fields() if self.kind == "quotes" else self._trade_fields()
        chosen = ", ".join(f"{given[name]} AS {name}" for name in fields)
        if plan.present is None:
            moments = f"TIMESTAMPTZ {literal(_moment(start))} AND TIMESTAMPTZ {literal(_moment(end))}"
            listed = ", ".join(literal(name) for name in names)
            where = f"{self._symbol} IN ({listed}) AND {time} BETWEEN {moments}"
        else:
            where = f"{self._symbol} BETWEEN {literal(names[0])} AND {literal(names[-1])}"
        return (
            f"SELECT {part.sql(f'{self._symbol}::VARCHAR')} AS code, "  # noqa: S608 - quoted
            f"epoch_us({time}::TIMESTAMPTZ) AS moment, {chosen} FROM {parquet_source(plan.files)} WHERE {where}"
        )

    def _quote_fields(self) -> dict[str, str]:
        bid, ask = f"{self._one}::DOUBLE", f"{self._two}::DOUBLE"
        fine = f"{bid} BETWEEN {_LOWEST} AND {ask} AND {ask} < {_HIGHEST}"
        late = "coalesce(delayed, false)" if self._delayed else "false"
        fine = f"({fine} AND NOT {late})" if self._delayed else f"({fine})"
        return {
            "mid": f"CASE WHEN {fine} THEN ({bid} + {ask}) / 2 ELSE 'nan'::DOUBLE END",
            "bid": f"CASE WHEN {fine} THEN {bid} ELSE 'nan'::DOUBLE END",
            "ask": f"CASE WHEN {fine} THEN {ask} ELSE 'nan'::DOUBLE END",
            "state": f"CASE WHEN {late} THEN 2.0::DOUBLE WHEN {fine} THEN 0.0::DOUBLE ELSE 1.0::DOUBLE END",
        }

    def _trade_fields(self) -> dict[str, str]:
        price, volume = f"{self._one}::DOUBLE", f"{self._two}::DOUBLE"
        fine = f"{price} >= {_LOWEST} AND {price} < {_HIGHEST}"
        return {
            "price": f"CASE WHEN {fine} THEN {price} ELSE 'nan'::DOUBLE END",
            "volume": f"CASE WHEN {volume} > 0 AND isfinite({volume}) THEN {volume} ELSE 0.0::DOUBLE END",
        }


class ReadPlan(NamedTuple):
    """What to read for a window and some symbols.

    ``present`` are all symbols of the files, sorted, if nearly all rows are requested. Then all rows are read and
    the others are dropped here, because a filter on each row costs more. In ``mixed`` files most row groups have
    rows of any one symbol, so that each batch of symbols reads most of them.
    """

    files: list[str]
    rows: int
    present: list[str] | None = None
    mixed: bool = False


class _File(NamedTuple):
    """Rows of a file: all, in row groups that overlap the window, in those inside it, with one symbol."""

    name: str
    rows: int
    touched: int
    inside: int
    blank: int  # without a time
    of_one: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive rows of one symbol, sorted by time."""

    times: NDArray[np.int64]
    values: list[NDArray[np.float64]]


def _runs(data: dict[str, NDArray[Any]], fields: Sequence[str]) -> Iterator[tuple[int, _Run]]:
    """Split a chunk of rows into runs; sort it first if symbols alternate row by row."""
    codes, times, columns = data["code"], data["moment"], [data[name] for name in fields]
    starts = _run_starts(codes, times)
    if len(starts) * _SHORT_RUN > len(codes):
        order = np.lexsort((times, codes))
        codes, times, columns = codes[order], times[order], [column[order] for column in columns]
        starts = _run_starts(codes, times)
    ends = [*starts[1:].tolist(), len(codes)]
    for first, last in zip(starts.tolist(), ends, strict=True):
        yield int(codes[first]), _Run(times[first:last], [column[first:last] for column in columns])


def _run_starts(codes: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """First rows of the runs: where the symbol changes or time goes back."""
    begins = codes[1:] != codes[:-1]
    begins |= times[1:] < times[:-1]
    return np.append(0, np.flatnonzero(begins) + 1)


def _joined(runs: list[_Run]) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Join the runs of a symbol into one series in time; rows of one time keep their sequence."""
    order = sorted(range(len(runs)), key=lambda number: int(runs[number].times[0]))
    gaps = [(runs[two].times[0] - runs[one].times[-1], one < two) for one, two in pairwise(order)]
    if all(gap > 0 or (gap == 0 and in_sequence) for gap, in_sequence in gaps):
        runs = [runs[number] for number in order]
        gaps = []
    times = np.concatenate([run.times for run in runs])
    values = [np.concatenate(columns) for columns in zip(*(run.values for run in runs), strict=True)]
    if gaps:  # runs overlap in time
        rows = np.argsort(times, kind="stable")
        times, values = times[rows], [value[rows] for value in values]
    return times, values


def _moment(micros: int) -> str:
    return str(_EPOCH + timedelta(microseconds=micros))


def quote_files(
    path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None, time_zone: str | None = None
) -> MarketFiles:
    """Open Parquet files of quotes (symbol, quoted_at, bid, ask), which may be larger than memory.

    See :class:`MarketFiles` for the parameters.
    """
    return MarketFiles(path, "quotes", columns=columns, time_zone=time_zone)


def trade_files(
    path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None, time_zone: str | None = None
) -> MarketFiles:
    """Open Parquet files of trades or bars (symbol, traded_at, price, volume).

    See :class:`MarketFiles` for the parameters.
    """
    return MarketFiles(path, "trades", columns=columns, time_zone=time_zone)
