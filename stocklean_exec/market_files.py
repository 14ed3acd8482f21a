"""Quotes and trades in Parquet files that need not fit into memory.

DuckDB reads what is asked for, for some symbols at a time: the window of time and the symbols are in the query,
so that files and row groups outside are skipped, and what comes back is bounded. Files that are sorted by symbol
are read once; others once for each batch of symbols, which is slower and gives the same. A bare as-of join over
all quotes would sort them all.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import duckdb
import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.market import QUOTE_COLUMNS, TRADE_COLUMNS
from stocklean_exec.parsing import shown
from stocklean_exec.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["MarketFiles", "parquet_pattern", "quote_files", "trade_files"]

_BATCH_BYTES = 256 << 20
"""What one batch of symbols may bring into memory."""

_MOST_SYMBOLS = 150
"""In one batch: with more, sixteen bits of their hashes that tell them all apart are hard to find."""

_SHORT_RUN = 50
"""Rows; files whose runs of one symbol are shorter are sorted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 4_102_444_800_000_000  # the year 2100, in microseconds
_LOWEST, _HIGHEST = "1e-9", "1e9"  # as prices.is_usable has it; TWS's spellings of "no value" lie outside


def parquet_pattern(path: str | os.PathLike[str], table: str) -> str:
    """Turn a file, a folder of files (at any depth) or a pattern into a pattern; refuse what is not there."""
    text = os.fspath(path)
    if any(sign in text for sign in "*?["):
        return text
    place = Path(text)
    if place.is_dir():
        return str(place / "**" / "*.parquet")
    if place.is_file():
        return text
    raise InputError(table, [Problem("file_missing", f"there is no file or folder {shown(text)}")])


class MarketFiles:
    """Parquet files of quotes or trades, as a :class:`~stocklean_exec.asof.Market`.

    Parameters
    ----------
    path : a file, a folder (all ``*.parquet`` below it) or a pattern
    kind : ``"quotes"`` or ``"trades"``
    columns : our names and theirs, where they differ, such as ``{"quoted_at": "ts"}``
    time_zone : of times that carry none; without it such files are refused
    batch_bytes : what one batch of symbols may bring into memory

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
        self._pattern = parquet_pattern(path, kind)
        self._connection = duckdb.connect()
        self._connection.execute("SET parquet_metadata_cache = true")
        # The other half of the processors works on the batch before, meanwhile.
        self._connection.execute(f"SET threads = {max(1, (os.cpu_count() or 1) // 2)}")
        names = QUOTE_COLUMNS if kind == "quotes" else TRADE_COLUMNS
        theirs = {name: (columns or {}).get(name, name) for name in names}
        types = self._types()
        missing = [name for name in theirs.values() if name not in types]
        if missing:
            text = f"columns {', '.join(missing)} are missing; there are {', '.join(types)}"
            raise InputError(kind, [Problem("missing_column", text)])
        self._symbol, self._raw_time, self._one, self._two = (_quoted(name) for name in theirs.values())
        self._time_name = theirs[names[1]]
        self._time_zone = self._checked_zone(types[self._time_name], time_zone)
        self._delayed = kind == "quotes" and types.get("delayed") == "BOOLEAN"

    def _types(self) -> dict[str, str]:
        try:
            rows = self._connection.execute(f"DESCRIBE SELECT * FROM {self._files()}").fetchall()  # noqa: S608 - quoted
        except duckdb.Error as error:
            raise InputError(self.kind, [Problem("parquet_format", str(error).splitlines()[0])]) from None
        return {str(row[0]): str(row[1]) for row in rows}

    def _files(self) -> str:
        return f"read_parquet({_literal(self._pattern)}, union_by_name = false)"

    def _checked_zone(self, dtype: str, time_zone: str | None) -> str | None:
        if dtype == "TIMESTAMP WITH TIME ZONE":
            return None
        if not dtype.startswith("TIMESTAMP"):
            text = f"{self._time_name} is {dtype}, not a time"
            raise InputError(self.kind, [Problem("time_dtype", text, column=self._time_name)])
        if time_zone is None:
            text = f"{self._time_name} has no time zone; give time_zone='UTC', or the zone that is meant"
            raise InputError(self.kind, [Problem("naive_time", text, column=self._time_name)])
        return time_zone

    # -- reading -------------------------------------------------------------------------------------------------

    def series(
        self, names: Sequence[str], fields: Sequence[str], start: int, end: int
    ) -> Iterator[tuple[str, NDArray[np.int64], list[NDArray[np.float64]]]]:
        """Rows of each symbol in a window, sorted by time, some symbols at a time; the next are read meanwhile."""
        start, end = max(start, 0), min(end, _LATEST)
        wanted = sorted(names)
        if not wanted or start > end:
            return
        rows, whole = self._rows(start, end)
        batches = max(-(-rows * 8 * (2 + len(fields)) // self._batch_bytes), -(-len(wanted) // _MOST_SYMBOLS))
        batches = min(max(1, batches), len(wanted))
        chunks = [list(map(str, chunk)) for chunk in np.array_split(np.array(wanted, dtype=object), batches)]
        done = 0
        with (
            ThreadPoolExecutor(1, "stocklean-market") as reader,
            progress_bar(len(wanted), f"reading {self.kind}") as move,
        ):
            coming = reader.submit(self._read, chunks[0], fields, start, end, whole=whole)
            for number, chunk in enumerate(chunks):
                data = coming.result()
                if number + 1 < len(chunks):
                    coming = reader.submit(self._read, chunks[number + 1], fields, start, end, whole=whole)
                yield from _split(data, fields)
                done += len(chunk)
                move(done, "")

    def _rows(self, start: int, end: int) -> tuple[int, bool]:
        """Rows of the row groups that the window touches, and whether it holds all of them."""
        query = (
            "WITH groups AS (SELECT row_group_num_rows AS n, TRY_CAST(stats_min_value AS TIMESTAMP) AS first, "  # noqa: S608 - quoted
            f"TRY_CAST(stats_max_value AS TIMESTAMP) AS last FROM parquet_metadata({_literal(self._pattern)}) "
            "WHERE path_in_schema = $1) SELECT coalesce(sum(n) FILTER (coalesce(last >= CAST($2 AS TIMESTAMP), "
            "true) "
            "AND coalesce(first <= CAST($3 AS TIMESTAMP), true)), 0)::BIGINT, "
            "coalesce(bool_and(coalesce(first >= CAST($2 AS TIMESTAMP) AND last <= CAST($3 AS TIMESTAMP), "
            "false)), "
            "false) FROM groups"
        )
        bounds = [_moment(moment).replace("+00:00", "") for moment in (start, end)]
        found = self._connection.execute(query, [self._time_name, *bounds]).fetchone() or (0, False)
        return int(found[0]), bool(found[1]) and self._time_zone is None

    def _read(
        self, names: list[str], fields: Sequence[str], start: int, end: int, *, whole: bool
    ) -> tuple[dict[int, str], dict[str, NDArray[Any]]]:
        """Rows of some symbols, as the files have them; symbols as parts of their hashes, cheap to carry."""
        with self._connection.cursor() as cursor:
            rows = cursor.execute("SELECT hash(name), name FROM (SELECT unnest(?) AS name)", [names]).fetchall()
            part = _telling_part([int(code) for code, _ in rows])
            data = cursor.execute(self._query(names, fields, start, end, part, whole=whole)).fetchnumpy()
        return {part.of(int(code)): str(name) for code, name in rows}, cast("dict[str, NDArray[Any]]", data)

    def _query(
        self, names: list[str], fields: Sequence[str], start: int, end: int, part: _Part, *, whole: bool = False
    ) -> str:
        listed = ", ".join(_literal(name) for name in names)
        time = (
            self._raw_time
            if self._time_zone is None
            else f"timezone({_literal(self._time_zone)}, {self._raw_time})"
        )
        given = self._quote_fields() if self.kind == "quotes" else self._trade_fields()
        chosen = ", ".join(f"{given[name]} AS {name}" for name in fields)
        moments = f"{_literal(_moment(start))} AND TIMESTAMPTZ {_literal(_moment(end))}"
        inside = "" if whole else f"AND {time} BETWEEN TIMESTAMPTZ {moments}"
        return (
            f"SELECT {part.sql(f'hash({self._symbol}::VARCHAR)')} AS code, "  # noqa: S608 - quoted
            f"epoch_us({time}) AS at, {chosen} FROM {self._files()} WHERE {self._symbol} IN ({listed}) {inside}"
        )

    def _quote_fields(self) -> dict[str, str]:
        bid, ask = f"{self._one}::DOUBLE", f"{self._two}::DOUBLE"
        fine = f"{bid} >= {_LOWEST} AND {bid} <= {ask} AND {ask} < {_HIGHEST}"
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


def _split(
    read: tuple[dict[int, str], dict[str, NDArray[Any]]], fields: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.int64], list[NDArray[np.float64]]]]:
    """Cut rows into symbols, each sorted by time; runs of one symbol in time, as files have, are joined whole."""
    names, data = read
    if not len(data["at"]):
        return
    codes, times = np.asarray(data["code"]), np.asarray(data["at"], dtype="int64")
    columns = [np.asarray(data[name], dtype="float64") for name in fields]
    runs = _run_starts(codes, times)
    if len(runs) * _SHORT_RUN > len(codes):  # symbols take turns row by row: sort them all
        order = np.lexsort((times, codes))
        codes, times, columns = codes[order], times[order], [column[order] for column in columns]
        runs = _run_starts(codes, times)
    ends = np.append(runs[1:], len(codes))
    by_symbol: dict[int, list[tuple[int, int]]] = {}
    for first, last in zip(runs.tolist(), ends.tolist(), strict=True):
        by_symbol.setdefault(int(codes[first]), []).append((first, last))
    for code, slices in by_symbol.items():
        slices.sort(key=lambda run: (times[run[0]], times[run[1] - 1]))
        stamps = np.concatenate([times[first:last] for first, last in slices])
        values = [np.concatenate([column[first:last] for first, last in slices]) for column in columns]
        if (np.diff(stamps) < 0).any():  # runs overlap in time
            order = np.argsort(stamps, kind="stable")
            stamps, values = stamps[order], [value[order] for value in values]
        yield names[code], stamps, values


class _Part(NamedTuple):
    """Some bits of a hash of 64: fewer are cheaper to carry out of DuckDB."""

    shift: int
    bits: int

    def of(self, code: int) -> int:
        return (code >> self.shift) & ((1 << self.bits) - 1)

    def sql(self, code: str) -> str:
        dtype = {16: "USMALLINT", 32: "UINTEGER", 64: "UBIGINT"}[self.bits]
        return f"(({code} >> {self.shift}) & {(1 << self.bits) - 1})::{dtype}"


def _telling_part(codes: list[int]) -> _Part:
    """The first bits that tell all of some hashes apart."""
    for bits in (16, 32, 64):
        for shift in range(65 - bits):
            part = _Part(shift, bits)
            if len({part.of(code) for code in codes}) == len(codes):
                return part
    raise RuntimeError("two symbols have one hash of 64 bits; ask for one at a time")


def _run_starts(codes: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a run of one symbol, in time, begins."""
    begins = codes[1:] != codes[:-1]
    begins |= times[1:] < times[:-1]
    return np.append(0, np.flatnonzero(begins) + 1)


def _moment(micros: int) -> str:
    return str(_EPOCH + timedelta(microseconds=micros))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
