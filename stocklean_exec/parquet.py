"""Parquet files through DuckDB: which files are meant, what they hold, and their rows as NumPy arrays.

Texts are dear to carry, ten million times over. Where a few tell rows apart, as symbols do, some bits of their
hashes stand in for them: DuckDB has the hash of a text for less than the text, or a number for it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
from arro3.core import RecordBatch, RecordBatchReader

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.parsing import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ZONED",
    "HashPart",
    "chunks",
    "connected",
    "described",
    "is_pattern",
    "literal",
    "parquet_pattern",
    "quoted",
    "readable",
    "text_hashes",
    "whole",
]

ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
"""DuckDB's types of times that are known, in microseconds and in nanoseconds."""


def parquet_pattern(path: str | os.PathLike[str], table: str) -> str:
    """Turn a file, a folder of files (at any depth) or a pattern into a pattern; refuse what is not there."""
    text = os.fspath(path)
    if is_pattern(text):
        return text
    place = Path(text)
    if place.is_dir():
        return str(place / "**" / "*.parquet")
    if place.is_file():
        return text
    raise InputError(table, [Problem("file_missing", f"there is no file or folder {shown(text)}")])


def is_pattern(text: str) -> bool:
    """Whether DuckDB takes the name of a file for a pattern of names."""
    return any(sign in text for sign in "*?[")


def connected() -> duckdb.DuckDBPyConnection:
    """Connect to DuckDB with half of the processors: all of them do more work, and are not done much sooner."""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {max(1, (os.cpu_count() or 1) // 2)}")
    return connection


@contextmanager
def readable(table: str) -> Iterator[None]:
    """Within it, what DuckDB cannot read is an :class:`InputError` of a table."""
    try:
        yield
    except duckdb.Error as error:
        raise InputError(table, [Problem("parquet_format", str(error).splitlines()[0])]) from None


def described(connection: duckdb.DuckDBPyConnection, source: str, table: str) -> dict[str, str]:
    """Columns of a source and their types; refuse what DuckDB cannot read."""
    with readable(table):
        rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - quoted
    return {str(row[0]): str(row[1]) for row in rows}


def chunks(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, NDArray[Any]]]:
    """Rows of a query, some at a time and in their sequence, as arrays by name; no column may hold a NULL.

    They come as Arrow's columns, which cost DuckDB a third of what frames do. The whole at once would be written
    twice into memory that is fresh, which costs more than reading the files.
    """
    stream = RecordBatchReader.from_stream(connection.sql(query))
    while (batch := _next_batch(stream)) is not None:
        yield {name: batch.column(name).to_numpy() for name in batch.column_names}


def _next_batch(stream: RecordBatchReader) -> RecordBatch | None:
    try:
        return next(stream, None)
    except Exception as error:  # noqa: BLE001 - what goes wrong in DuckDB has no type of its own here
        raise duckdb.Error(str(error).removeprefix("C Data interface error: ")) from None


def whole(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, NDArray[Any]]:
    """All rows of a query that may be had in :func:`chunks`, as arrays by name, written once."""
    count = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]  # noqa: S608 - a query of ours
    if not count:
        return {name: np.asarray(values) for name, values in connection.execute(query).fetchnumpy().items()}
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for chunk in chunks(connection, query):
        found = found or {name: np.empty(count, values.dtype) for name, values in chunk.items()}
        rows = slice(at, at := at + len(next(iter(chunk.values()))))
        for name, values in chunk.items():
            found[name][rows] = values
    return found


def literal(text: str) -> str:
    """A text as SQL spells it."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column's name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def text_hashes(connection: duckdb.DuckDBPyConnection, texts: Sequence[str | None]) -> list[int]:
    """DuckDB's hash of each text, and of none."""
    query = "SELECT hash(name) FROM (SELECT unnest(?::VARCHAR[]) AS name)"
    return [int(row[0]) for row in connection.execute(query, [list(texts)]).fetchall()]


class HashPart(NamedTuple):
    """Some bits of a hash of 64: fewer are cheaper to carry out of DuckDB.

    Examples
    --------
    >>> part = HashPart.telling([0x0001_0000, 0x0002_0000])
    >>> part, part.of(0x0001_0000), part.of(0x0002_0000)
    (HashPart(shift=1, bits=16), 32768, 0)
    """

    shift: int
    bits: int

    @classmethod
    def telling(cls, hashes: Sequence[int], sizes: Sequence[int] = (16, 32, 64)) -> HashPart | None:
        """The first bits, as few as there are among ``sizes``, that tell all of some hashes apart."""
        for bits in sizes:
            for shift in range(65 - bits):
                part = cls(shift, bits)
                if len({part.of(one) for one in hashes}) == len(hashes):
                    return part
        return None

    def of(self, one: int) -> int:
        """The part of one hash."""
        return (one >> self.shift) & ((1 << self.bits) - 1)

    def sql(self, text: str) -> str:
        """The part of the hash of an expression that is a text."""
        dtype = "USMALLINT" if self.bits <= 16 else "UINTEGER" if self.bits <= 32 else "UBIGINT"  # noqa: PLR2004 - widths of whole numbers
        return f"((hash({text}) >> {self.shift}) & {(1 << self.bits) - 1})::{dtype}"
