"""Tables from CSV and Parquet files, validated as every other input.

A path names one local file: never a URL, and never a glob pattern, whatever characters it has.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import MAX_COLUMNS, MAX_ROWS, number_option, shown
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.schema.paths import existing_file
from stocklean_exec.schema.tables import POSITIONS, QUOTES, TARGETS, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

__all__ = ["read_cells", "read_positions", "read_quotes", "read_rows", "read_targets"]

_FEW_LINES = (
    5  # lines with other numbers of cells that are listed one by one, where the header has a symbol column
)
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?\d+(,\d+)+(\.\d+)?")
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_SPREADSHEET_DATE = re.compile(rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d{{2}}|\d{{4}}-\d\d-\d\d", re.IGNORECASE)


def read_targets(source: object, *, skiprows: int = 0) -> pd.DataFrame:
    """Targets from a CSV or Parquet file, or from a DataFrame, Series by symbol or dict.

    Shorts, leverage and full liquidation are checked when the plan is made, not here.

    Parameters
    ----------
    source : path of a file, or a table: of pandas, or of polars, Arrow or DuckDB
    skiprows : lines above the header of a CSV file

    Raises
    ------
    InputError
        With every offending row and column.

    Examples
    --------
    >>> read_targets({"SPY": 0.6, "TLT": 0.4})[["symbol", "weight"]]
      symbol  weight
    0    SPY     0.6
    1    TLT     0.4
    """
    return _read(source, TARGETS, _parse_any_targets, skiprows)


def _parse_any_targets(data: object) -> pd.DataFrame:
    return parse_targets(data, allow_short=True, max_gross=float("inf"), allow_liquidation=True)


def read_positions(source: object, *, skiprows: int = 0) -> pd.DataFrame:
    """Positions from a CSV or Parquet file, or from a DataFrame, Series by symbol or dict.

    ``skiprows`` are the lines above the header of a CSV file.
    """
    return _read(source, POSITIONS, parse_positions, skiprows)


def read_quotes(source: object, *, skiprows: int = 0) -> pd.DataFrame:
    """Quotes from a CSV or Parquet file, or from a DataFrame or a mapping symbol -> price.

    ``skiprows`` are the lines above the header of a CSV file.
    """
    return _read(source, QUOTES, parse_quotes, skiprows)


def _read(source: object, table: Table, parse: Callable[[object], pd.DataFrame], skiprows: int) -> pd.DataFrame:
    number_option("skiprows", skiprows, least=0, most=MAX_ROWS)
    is_csv = False
    if isinstance(source, (str, os.PathLike)):
        file = existing_file(source, table.name)
        is_csv = file.suffix.lower() not in (".parquet", ".pq")
        source = _read_csv(file, table, int(skiprows)) if is_csv else _read_parquet(file, table)
    if skiprows and not is_csv:
        raise InputError("options", [Problem("option_invalid", "skiprows is for CSV files", column="skiprows")])
    return parse(source)


def _read_csv(file: Path, table: Table, skiprows: int) -> pd.DataFrame:
    """Read every cell as text, so that a symbol like NA or TRUE is kept; then read the numbers."""
    frame = read_cells(file, table, skiprows)
    problems: list[Problem] = []
    for name, dtype in table.dtypes.items():
        if name in frame.columns and dtype in ("float64", "Int64"):
            frame[name] = _numbers(frame[name], name, problems)
        elif name in frame.columns:
            texts = [text.strip() or None for text in frame[name].tolist()]
            frame[name] = pd.Series(texts, index=frame.index, dtype="object")
    if "symbol" in frame.columns:
        for row, text in enumerate(frame["symbol"].tolist()):
            if isinstance(text, str) and _SPREADSHEET_DATE.fullmatch(text):
                hint = f"{text!r} looks like a symbol that a spreadsheet converted to a date"
                problems.append(Problem("csv_format", hint, row, text, "symbol"))
    if problems:
        raise InputError(table.name, problems)
    return frame


def read_cells(file: Path, table: Table, skiprows: int) -> pd.DataFrame:
    """All cells as text; every row must have as many as the header, or they would be in the wrong column."""
    numbered = _numbered_rows(file, table, skiprows)
    header = [name.strip() for name in numbered[0][1]]
    separator = re.search(r"[;\t|]", header[0])
    if len(header) == 1 and separator is not None:
        text = (
            f"{file.name} is separated by {separator[0]!r}; save it with ',' as separator and '.' as decimal point"
        )
        raise InputError(table.name, [Problem("csv_format", text)])
    _refuse_preamble(file, table, numbered)
    problems = [
        Problem("duplicate_column", f"column {name!r} appears {count} times", column=name)
        for name, count in Counter(header).items()
        if count > 1
    ]
    problems += [
        Problem("csv_format", f"line {line} has {len(cells)} cells, the header has {len(header)}", row)
        for row, (line, cells) in enumerate(numbered[1:])
        if len(cells) != len(header)
    ]
    if problems:
        raise InputError(table.name, problems)
    return pd.DataFrame([cells for _, cells in numbered[1:]], columns=header, dtype="object")


def read_rows(file: Path, table: Table) -> list[list[str]]:
    """All rows of a CSV file that are not empty, without blanks around their cells."""
    return [[cell.strip() for cell in cells] for _, cells in _numbered_rows(file, table, 0)]


def _numbered_rows(file: Path, table: Table, skiprows: int) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of its line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for _ in range(skiprows):
                stream.readline()
            reader = csv.reader(stream, skipinitialspace=True, strict=True)
            numbered = []
            for cells in islice(reader, MAX_ROWS + 2):
                if len(cells) > MAX_COLUMNS:
                    raise _too_many_columns(len(cells), table)
                if cells:
                    numbered.append((skiprows + reader.line_num, cells))
    except InputError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(table.name, [Problem("csv_format", f"{file.name}: {error}")]) from None
    if not numbered:
        raise InputError(table.name, [Problem("csv_format", f"{file.name} is empty")])
    return numbered


_HEADINGS = frozenset({"symbol", "ticker"})
"""Names, in lower case, that mark a line as the likely header of a list of holdings."""


def _refuse_preamble(file: Path, table: Table, numbered: list[tuple[int, list[str]]]) -> None:
    """Raise one error if the first line is not the header, as in files of funds and brokers."""
    width = len(numbered[0][1])
    if {cell.strip().casefold() for cell in numbered[0][1]} & _HEADINGS:
        return
    other = [line for line, cells in numbered if len(cells) != width]
    if not other:
        return
    above = next(
        (line - 1 for line, cells in numbered if {cell.strip().casefold() for cell in cells} & _HEADINGS), 0
    )
    if above:
        head = shown(",".join(dict(numbered)[above + 1]))
        text = f"{file.name} has {above} lines above its header, {head}: remove them, or give skiprows={above}"
        raise InputError(table.name, [Problem("csv_preamble", text)])
    if len(other) > _FEW_LINES or len(other) == len(numbered) - 1:
        text = (
            f"{file.name} is not a table with a header: line {numbered[0][0]} has {width} cells, and {len(other)} "
            f"other lines have more or fewer, such as line {other[0]}. Remove what is above the header, or give "
            "skiprows=, the number of lines above it"
        )
        raise InputError(table.name, [Problem("csv_preamble", text)])


def _too_many_columns(count: int, table: Table) -> InputError:
    text = f"{count:,} columns; the maximum is {MAX_COLUMNS:,}"
    return InputError(table.name, [Problem("too_many_columns", text)])


def _numbers(series: pd.Series[str], name: str, problems: list[Problem]) -> pd.Series[float]:
    values: list[object] = []
    for row, cell in enumerate(series.tolist()):
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            values.append(float(text))
        elif _COMMA_NUMBER.fullmatch(text):
            hint = f"{name} {text!r} has a comma; write 1015.00 and 0.5"
            problems.append(Problem("csv_format", hint, row, None, name))
            values.append(None)
        else:
            values.append(text or None)  # validation reports other texts, with its own code
    return pd.Series(values, index=series.index, dtype="object")


def _read_parquet(file: Path, table: Table) -> pd.DataFrame:
    from stocklean_exec import database  # noqa: PLC0415 - DuckDB is heavy, and only this format needs it

    pattern = database.escaped(file)
    source = f"read_parquet({database.literal(pattern)}, hive_partitioning = false)"
    with database.readable(table.name, file.name), database.connect(files=[str(file.absolute())]) as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - quoted
        _refuse_size(connection, pattern, len(described), table)
        zoned = [row[0] for row in described if row[1] in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")]
        quoted = [database.quoted(column) for column in zoned]
        replaced = ", ".join(f"epoch_us({column}::TIMESTAMPTZ) AS {column}" for column in quoted)
        columns = f"* REPLACE ({replaced})" if replaced else "*"
        query = f"SELECT {columns} FROM {source} LIMIT {MAX_ROWS + 1}"  # noqa: S608 - quoted
        frame = connection.execute(query).df()
    for column in zoned:
        frame[column] = pd.to_datetime(frame[column].astype("Int64"), unit="us", utc=True)
    return frame


def _refuse_size(connection: duckdb.DuckDBPyConnection, pattern: str, columns: int, table: Table) -> None:
    """Reject a file by its metadata, before a row is read: a kilobyte can hold a billion rows."""
    query = "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)"
    rows = connection.execute(query, [pattern]).fetchall()[0][0]
    problems = []
    if rows > MAX_ROWS:
        problems.append(Problem("too_many_rows", f"{rows:,} rows; the maximum is {MAX_ROWS:,}"))
    if columns > MAX_COLUMNS:
        problems.append(Problem("too_many_columns", f"{columns:,} columns; the maximum is {MAX_COLUMNS:,}"))
    if problems:
        raise InputError(table.name, problems)
