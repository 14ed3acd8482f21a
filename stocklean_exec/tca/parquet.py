"""Parquet files through DuckDB: find the files, describe their columns, and read their rows as NumPy arrays.

Strings are expensive to materialise for ten million rows. A column of few distinct strings, such as symbols, is
read as some bits of their hashes instead: DuckDB computes the hash for less than it costs to return the string, or
a dictionary code for it. The bits are chosen so that no two of the strings share them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
from arro3.core import RecordBatch, RecordBatchReader

from stocklean_exec.database import connect_to_files, escaped, parquet_source, readable
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.paths import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "ZONED",
    "HashPart",
    "chunks",
    "described",
    "is_export",
    "open_parquet",
    "parquet_pattern",
    "text_hashes",
    "whole",
]

ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
"""DuckDB's types of times with a zone, in microseconds and in nanoseconds."""

_FOLDERS = "**/*.parquet"


def parquet_pattern(path: str | os.PathLike[str], table: str) -> str:
    """Return the pattern for a file, a folder of files (at any depth) or a pattern; raise if missing.

    A file of exactly that name takes precedence over files that match it as a pattern. The folder of an export has
    several tables, and is refused: one of its folders is meant.
    """
    place = local_path(path, table)
    if is_export(place):
        hint = f"give {shown(str(place / table))}" if (place / table).is_dir() else f"it has no {table}"
        text = f"{shown(os.fspath(path))} is the folder of an export; {hint}"
        raise InputError(table, [Problem("export_folder", text)])
    if place.is_dir():
        return f"{escaped(place)}/{_FOLDERS}"
    if place.is_file():
        return escaped(place)
    if escaped(place) != str(place.absolute()):
        return str(place.absolute())
    raise InputError(table, [Problem("file_missing", f"there is no file or folder {shown(os.fspath(path))}")])


def is_export(place: Path) -> bool:
    """Whether a path is a folder that ``blotter.export`` wrote: one folder for each table."""
    try:
        return all((place / name).is_dir() for name in ("orders", "fills"))
    except (OSError, ValueError):  # ValueError: not a valid path, such as one that contains a NUL
        return False


def open_parquet(
    *places: tuple[str | os.PathLike[str], str], cached: bool = False
) -> tuple[duckdb.DuckDBPyConnection, list[list[str]]]:
    """Connect to DuckDB for some Parquet files: it can open the files that exist now, and nothing else.

    It uses half of the processors; with all of them the CPU time rises and the elapsed time hardly falls.

    Parameters
    ----------
    places : files, folders or patterns, each with the name of the table that is in it
    cached : keep the files' metadata, for many queries on one connection

    Returns
    -------
    The connection, and the names of the files of each place.

    Raises
    ------
    InputError
        A path is an address, or there is no such file.
    """
    patterns = [parquet_pattern(path, table) for path, table in places]
    settings = {"threads": str(max(1, (os.cpu_count() or 1) // 2))}
    if cached:
        settings["parquet_metadata_cache"] = "true"
    with readable(places[0][1]):
        connection, found = connect_to_files(patterns, settings)
    for files, (path, table) in zip(found, places, strict=True):
        if not files:
            connection.close()
            text = f"there are no Parquet files in {shown(os.fspath(path))}"
            raise InputError(table, [Problem("parquet_format", text)])
    return connection, found


def described(connection: duckdb.DuckDBPyConnection, files: Sequence[str], table: str) -> dict[str, str]:
    """Columns of Parquet files and their types; raise if DuckDB cannot read the files."""
    with readable(table):
        rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet_source(files)}").fetchall()  # noqa: S608 - quoted
    return {str(row[0]): str(row[1]) for row in rows}


def chunks(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, NDArray[Any]]]:
    """Rows of a query in chunks, in sequence, as arrays by name; no column may contain a NULL.

    DuckDB returns Arrow columns, at a third of the cost of frames. Reading all rows at once would copy them twice
    into new memory, which costs more than reading the files.
    """
    stream = RecordBatchReader.from_stream(connection.sql(query))
    while (batch := _next_batch(stream)) is not None:
        yield {name: batch.column(name).to_numpy() for name in batch.column_names}


def _next_batch(stream: RecordBatchReader) -> RecordBatch | None:
    try:
        return next(stream, None)
    except Exception as error:  # noqa: BLE001 - errors of DuckDB arrive here without a specific type
        raise duckdb.Error(str(error).removeprefix("C Data interface error: ")) from None


def whole(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, NDArray[Any]]:
    """All rows of a query as arrays by name, copied once; the query as for :func:`chunks`."""
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


def text_hashes(connection: duckdb.DuckDBPyConnection, texts: Sequence[str | None]) -> list[int]:
    """DuckDB's hash of each text, and of None."""
    query = "SELECT hash(name) FROM (SELECT unnest(?::VARCHAR[]) AS name)"
    return [int(row[0]) for row in connection.execute(query, [list(texts)]).fetchall()]


class HashPart(NamedTuple):
    """Some bits of a 64-bit hash: fewer bits are cheaper to return from DuckDB.

    Examples
    --------
    >>> part = HashPart.distinguishing([0x0001_0000, 0x0002_0000])
    >>> part, part.of(0x0001_0000), part.of(0x0002_0000)
    (HashPart(shift=1, bits=16), 32768, 0)
    """

    shift: int
    bits: int

    @classmethod
    def distinguishing(cls, hashes: Sequence[int], sizes: Sequence[int] = (16, 32, 64)) -> HashPart | None:
        """The fewest bits among ``sizes`` that differ between all of the hashes; None if there are none."""
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
        """SQL of the part of the hash of a text expression."""
        dtype = "USMALLINT" if self.bits <= 16 else "UINTEGER" if self.bits <= 32 else "UBIGINT"  # noqa: PLR2004 - widths of whole numbers
        return f"((hash({text}) >> {self.shift}) & {(1 << self.bits) - 1})::{dtype}"
