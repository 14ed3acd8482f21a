"""Opening a blotter's DuckDB file: checks, settings, schema.

The connection is hardened first, by :mod:`~stocklean_exec.database`: SQL cannot reach files, the network or
extensions, Python variables are not tables, and these settings are locked.
"""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from stocklean_exec import clock, database
from stocklean_exec._version import __version__
from stocklean_exec.blotter.durable import sync_folder
from stocklean_exec.blotter.file_lock import is_held_here
from stocklean_exec.database import MEMORY
from stocklean_exec.errors import BlotterError, InputError, Problem
from stocklean_exec.schema.paths import is_address

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MEMORY",
    "SCHEMA_VERSION",
    "check_owner",
    "check_path",
    "connect",
    "create",
    "migrate",
    "migrations",
]

# "Storage Versions and Format" in DuckDB's documentation: bytes 8 to 11 of a database file read DUCK.
_MAGIC_OFFSET, _MAGIC = 8, b"DUCK"
_CONFIG = {
    # DuckDB 2.0's optimizer takes the sum over an empty join for zero, and so evaluates "more than zero?" to
    # false: a filled order would look new until its first commission arrives. See tests/canaries/test_duckdb.py.
    "disabled_optimizers": "statistics_propagation",
    # Files stay readable by DuckDB 1.5, which is supported until 2027.
    "storage_compatibility_version": "v1.5.0",
}
_VERSIONS = """
CREATE TABLE IF NOT EXISTS main.schema_migrations (
    version       INTEGER PRIMARY KEY,
    name          VARCHAR NOT NULL,
    applied_at    TIMESTAMPTZ NOT NULL,
    code_version  VARCHAR NOT NULL
)
"""


def _sql(name: str) -> str:
    return (resources.files("stocklean_exec.blotter") / "sql" / name).read_text("utf-8")


def migrations() -> list[tuple[int, str, str]]:
    """Every migration as (version, name, SQL), in order."""
    found = []
    for entry in (resources.files("stocklean_exec.blotter") / "sql" / "migrations").iterdir():
        shape = re.fullmatch(r"(\d{3})_(\w+)\.sql", entry.name)
        if shape is not None:
            found.append((int(shape[1]), shape[2], entry.read_text("utf-8")))
    return sorted(found)


SCHEMA_VERSION = 4
"""Version of the schema that this code reads and writes; a test compares it with the migrations."""


def check_path(path: str | os.PathLike[str]) -> Path:
    """Resolve the path of a blotter file, or raise with what is wrong.

    Raises
    ------
    InputError
        It is not the path of a local, regular DuckDB file, or of a new file in an existing folder.
    """
    try:
        file = Path(path)
        code, detail = _check_name(file, os.fspath(path))
    except (TypeError, ValueError, OSError) as error:  # not a path, or too long
        code, detail = "blotter_path", f"{path!r} cannot be a path: {error}"
    if code:
        raise InputError("blotter", [Problem(code, detail)])
    return file.resolve()


def _check_name(file: Path, text: str) -> tuple[str, str]:
    """What is wrong with a path, as a code and a sentence; two empty strings for a valid path."""
    if not text.strip() or "\0" in text:
        return "blotter_path", "the path is empty, or contains a NUL character"
    if is_address(text) or re.match(r"[a-z]+:(?!\\)", text):
        return "blotter_path", f"{text!r} is an address; a blotter is a local file"
    if file.is_symlink():
        return "blotter_symlink", f"{text!r} is a symbolic link; give the file itself"
    if file.is_dir():
        return "blotter_directory", f"{text!r} is a folder; name a file in it"
    if not file.parent.is_dir():
        return "blotter_path", f"the folder {str(file.parent)!r} does not exist; make it first"
    # A file that this process owns is not opened again: closing it would drop DuckDB's lock.
    return _check_file(file) if file.exists() and not is_held_here(file.resolve()) else ("", "")


def _check_file(file: Path) -> tuple[str, str]:
    if not file.is_file():
        return "blotter_path", f"{str(file)!r} is not a regular file"
    with file.open("rb") as stream:
        head = stream.read(_MAGIC_OFFSET + len(_MAGIC))
    if not head:
        return "blotter_empty", f"{str(file)!r} is empty: not a blotter; delete it to start one there"
    if head[_MAGIC_OFFSET:] != _MAGIC:
        return "blotter_format", f"{str(file)!r} is not a DuckDB file"
    return "", ""


def check_owner(path: Path) -> None:
    """Refuse to open a blotter of another user, root included: its log would be a file that this user cannot open.

    Raises
    ------
    BlotterError
        The file belongs to another user.
    """
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:  # a new one
        return
    if owner != os.geteuid():
        raise BlotterError(
            f"{str(path)!r} belongs to user {owner}, not to user {os.geteuid()} of this program: run it as that "
            "user; sx.read_blotter(path) reads a snapshot if the file is readable"
        )


def connect(path: Path | None) -> duckdb.DuckDBPyConnection:
    """Open the database (in memory for None), hardened and in UTC; a new file is readable by its owner alone."""
    mask = os.umask(0o077)  # DuckDB creates files by the umask; a blotter is private
    try:
        connection = database.connect(
            MEMORY if path is None else str(path), config=_CONFIG, settings={"TimeZone": "UTC"}
        )
    except duckdb.Error as error:
        raise BlotterError(f"{path} cannot be opened: {error}") from error
    finally:
        os.umask(mask)
    if path is not None:
        path.chmod(0o600)
    return connection


def create(path: Path) -> None:
    """Create a new blotter under a temporary name, and rename it once it is complete.

    DuckDB writes a new file in several steps, and cannot open one that is incomplete. A process that is killed
    here leaves no file or a valid one; its temporary file is removed by the next process. The caller must hold the
    blotter's lock.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        _discard(new)
        connection = connect(new)
        try:
            migrate(connection)
        finally:
            connection.close()
        new.replace(path)
    except BaseException:
        _discard(new)
        raise
    sync_folder(path.parent)


def _discard(new: Path) -> None:
    for file in (new, Path(f"{new}.wal")):
        file.unlink(missing_ok=True)


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Update the schema to this code's version, each step in a separate transaction, and create the views.

    Raises
    ------
    BlotterError
        The file was written by a newer version, or is not a blotter.
    """
    try:
        done = _versions_of(connection)
        steps = [step for step in migrations() if step[0] not in done]
        if not done:
            _apply(connection, _sql("schema.sql"), steps)
        else:
            for step in steps:
                _apply(connection, step[2], [step])
        _apply(connection, _sql("views.sql"), [])
        connection.execute("CHECKPOINT")  # schema changes must not have to be replayed from the log
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise BlotterError(f"the disk is full, so the blotter cannot be opened: {error}") from error
        raise BlotterError(f"the schema of this blotter cannot be updated: {error}") from error


def _versions_of(connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Schema versions that were applied to the file; none for a new file."""
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if tables and "schema_migrations" not in tables:
        raise BlotterError("this DuckDB file is not a blotter; give another path")
    connection.execute(_VERSIONS)
    done = {row[0] for row in connection.execute("SELECT version FROM main.schema_migrations").fetchall()}
    if done and max(done) > SCHEMA_VERSION:
        raise BlotterError(
            f"this blotter has schema version {max(done)}, this package knows {SCHEMA_VERSION}: update the package"
        )
    return done


def _apply(connection: duckdb.DuckDBPyConnection, script: str, steps: list[tuple[int, str, str]]) -> None:
    connection.begin()
    for statement in _statements(script):
        connection.execute(statement)
    for version, name, _ in steps:
        connection.execute(
            "INSERT INTO main.schema_migrations VALUES (?, ?, ?, ?)",
            [version, name, clock.now(), __version__],
        )
    connection.commit()


def _statements(script: str) -> Iterator[str]:
    for statement in script.split(";\n"):
        if re.sub(r"--.*", "", statement).strip():
            yield statement
