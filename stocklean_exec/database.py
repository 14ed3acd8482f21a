"""The only module that opens DuckDB connections, all of them hardened.

A connection has access only to what it was opened for: no network, no extensions, no Python variables as tables,
no files except its own database and those that a caller named. SQL cannot undo this, because the configuration is
locked.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from stocklean_exec.errors import InputError, Problem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "MEMORY",
    "connect",
    "connect_to_files",
    "escaped",
    "literal",
    "parquet_source",
    "quoted",
    "readable",
]

MEMORY = ":memory:"

_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}
_PATTERN_CHARACTER = re.compile(r"[*?\[]")


def connect(
    database: str = MEMORY,
    *,
    config: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    files: Iterable[str] = (),
) -> duckdb.DuckDBPyConnection:
    """Connect to a database, hardened and locked.

    Parameters
    ----------
    database : path of the database's file, or ``:memory:``
    config : further options for opening the database
    settings : options that are set before the configuration is locked, such as ``{"TimeZone": "UTC"}``
    files : exact paths of other files that may be read and written (DuckDB has no read-only permission); no
        patterns

    Raises
    ------
    duckdb.Error
        The database cannot be opened.

    Examples
    --------
    >>> connection = connect()
    >>> connection.execute("SELECT 1").fetchall()
    [(1,)]
    >>> connection.execute("SELECT * FROM read_csv('/etc/passwd')")
    Traceback (most recent call last):
    ...
    _duckdb.PermissionException: Permission Error: Cannot access file "/etc/passwd" - ...
    >>> connection.close()
    """
    allowed = list(files)
    # Without files the database never has access to anything; with them only until they have been listed.
    closed = {} if allowed else {"enable_external_access": "false"}
    connection = _open(database, closed | dict(config or {}))
    try:
        _lock(connection, settings or {}, allowed)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_files(
    patterns: Sequence[str], settings: Mapping[str, str] | None = None
) -> tuple[duckdb.DuckDBPyConnection, list[list[str]]]:
    """Connect to an empty database that can open the files that ``patterns`` match now, and no others.

    Parameters
    ----------
    patterns : absolute paths with DuckDB's ``*``, ``**``, ``?`` and ``[...]``; see :func:`escaped`
    settings : as in :func:`connect`

    Returns
    -------
    the connection, and for each pattern the names of its files in DuckDB's order, possibly none
    """
    connection = _open(MEMORY, {})
    try:
        query = "SELECT file FROM glob(?)"
        found = [[str(row[0]) for row in connection.execute(query, [one]).fetchall()] for one in patterns]
        _lock(connection, settings or {}, [name for names in found for name in names])
    except BaseException:
        connection.close()
        raise
    return connection, found


def _open(database: str, more: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(database, config={**_CONFIG, **more})


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt also while DuckDB works: it raises a RuntimeError of its own then.

    Examples
    --------
    >>> try:
    ...     with interruptible():
    ...         raise RuntimeError("Query interrupted")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    interrupted
    """
    try:
        yield
    except RuntimeError as error:
        if str(error).strip() != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


def _lock(connection: duckdb.DuckDBPyConnection, settings: Mapping[str, str], files: Sequence[str]) -> None:
    for name, value in settings.items():
        connection.execute(f"SET {name} = {literal(value)}")
    if files:
        # A name with pattern characters is looked up in its escaped form, which must be allowed as well.
        allowed = dict.fromkeys([*files, *(escaped(name) for name in files)])
        connection.execute(f"SET allowed_paths = [{', '.join(map(literal, allowed))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@contextmanager
def readable(table: str, file: str | None = None) -> Iterator[None]:
    """Convert DuckDB's errors to an :class:`InputError` of a table, and of a file if it is named."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error).splitlines()[0]
        raise InputError(table, [Problem("parquet_format", text if file is None else f"{file}: {text}")]) from None


def escaped(path: str | os.PathLike[str]) -> str:
    """Spell the path of one file as a pattern that matches nothing but that file.

    DuckDB reads every name as a pattern: ``t[1].parquet`` would match ``t1.parquet``.

    Examples
    --------
    >>> escaped("/data/t[1].parquet")
    '/data/t[[]1].parquet'
    """
    return _PATTERN_CHARACTER.sub(r"[\g<0>]", str(Path(path).absolute()))


def parquet_source(files: Iterable[str]) -> str:
    """A SQL table function that reads Parquet files of exactly these names.

    Examples
    --------
    >>> parquet_source(["/data/a.parquet", "/data/b[1].parquet"])
    "read_parquet(['/data/a.parquet', '/data/b[[]1].parquet'])"
    """
    return f"read_parquet([{', '.join(literal(escaped(name)) for name in files)}])"


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
