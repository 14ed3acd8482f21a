"""Opening a file: which paths are refused, what SQL cannot reach, and that all ways lead to one schema."""

from __future__ import annotations

import os
import re
import stat
from importlib import resources
from pathlib import Path

import duckdb
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter import database_file
from stocklean_exec.blotter.blotter import open_blotter, read_blotter
from stocklean_exec.blotter.database_file import SCHEMA_VERSION, check_path, connect, migrate, migrations
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.file_lock import FileLock
from stocklean_exec.errors import BlotterError, InputError

PACKAGE = Path(sx.__file__).parent
SQL = resources.files("stocklean_exec.blotter") / "sql"


# -- paths ---------------------------------------------------------------------------------------------------


def empty(folder):
    (folder / "empty.duckdb").touch()
    return folder / "empty.duckdb"


def text(folder):
    (folder / "notes.txt").write_text("these are no orders, but it is long enough", "utf-8")
    return folder / "notes.txt"


def short(folder):
    (folder / "short").write_bytes(b"DUCK")
    return folder / "short"


def link(folder):
    open_blotter(folder / "real.duckdb").close()
    (folder / "link.duckdb").symlink_to(folder / "real.duckdb")
    return folder / "link.duckdb"


def dangling_link(folder):
    (folder / "link.duckdb").symlink_to(folder / "nothing.duckdb")
    return folder / "link.duckdb"


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


REFUSED = {
    "nothing": (lambda _: "", "blotter_path"),
    "blanks": (lambda _: "  ", "blotter_path"),
    "a NUL": (lambda folder: f"{folder}/a\0b", "blotter_path"),
    "a cloud database": (lambda _: "md:paper", "blotter_path"),
    "an address": (lambda _: "http://example.com/x.duckdb", "blotter_path"),
    "a bucket": (lambda _: "s3://bucket/x.duckdb", "blotter_path"),
    "another database": (lambda _: "sqlite:x.db", "blotter_path"),
    "a missing folder": (lambda folder: folder / "missing" / "x.duckdb", "blotter_path"),
    "a file as a folder": (lambda folder: text(folder) / "x.duckdb", "blotter_path"),
    "a name that is too long": (lambda folder: folder / ("x" * 300), "blotter_path"),
    "a number": (lambda _: 5, "blotter_path"),
    "bytes": (lambda _: b"x.duckdb", "blotter_path"),
    "no path": (lambda _: None, "blotter_path"),
    "a pipe": (pipe, "blotter_path"),
    "a folder": (lambda folder: folder, "blotter_directory"),
    "the root folder": (lambda _: "/", "blotter_directory"),
    "a link": (link, "blotter_symlink"),
    "a link to nothing": (dangling_link, "blotter_symlink"),
    "an empty file": (empty, "blotter_empty"),
    "a text file": (text, "blotter_format"),
    "a short file": (short, "blotter_format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsuitable_path_is_refused(name, tmp_path):
    make, code = REFUSED[name]
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        open_blotter(path)
    assert caught.value.codes == (code,)
    assert sorted(tmp_path.iterdir()) == before  # nothing was left behind


def test_a_new_file_in_a_folder_that_exists_is_fine(tmp_path, monkeypatch):
    assert check_path(
        tmp_path / "sub" / ".." / "new.duckdb" if (tmp_path / "sub").mkdir() else tmp_path / "new.duckdb"
    )
    assert check_path(tmp_path / "sub" / ".." / "new.duckdb") == (tmp_path / "new.duckdb").resolve()
    monkeypatch.chdir(tmp_path)
    assert check_path("new.duckdb") == (tmp_path / "new.duckdb").resolve()


def test_a_file_that_this_process_has_locked_is_not_opened_for_inspection(tmp_path):
    path = text(tmp_path)
    with FileLock(path.resolve()):
        assert check_path(path) == path.resolve()  # the look would have found that it is no DuckDB file


# -- what SQL cannot reach -------------------------------------------------------------------------------------

FORBIDDEN = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd.csv'",
    "SELECT * FROM glob('/etc/*')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY main.facts FROM '/etc/passwd'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET TimeZone = 'America/New_York'",
    "RESET TimeZone",
    "PRAGMA threads = 1",
    "SET allow_community_extensions = true",
    "SET python_enable_replacements = true",
]


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_sql_is_refused(statement, where, tmp_path):
    connection = connect(None if where == "memory" else tmp_path / "x.duckdb")
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=tmp_path))
    with pytest.raises(duckdb.Error):
        connection.cursor().execute(statement.format(folder=tmp_path))
    connection.close()
    assert {path.suffix for path in tmp_path.iterdir()} <= {".duckdb"}


def test_a_python_variable_cannot_be_queried_as_a_table():
    import pandas as pd  # noqa: PLC0415 - only this test needs it

    secret = pd.DataFrame({"x": [1]})
    with pytest.raises(duckdb.CatalogException):
        connect(None).execute("SELECT * FROM secret")
    assert len(secret) == 1


def test_times_are_in_utc():
    assert connect(None).execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_a_new_file_is_private_whatever_the_umask(tmp_path):
    mask = os.umask(0)
    try:
        connect(tmp_path / "x.duckdb").close()
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x.duckdb").stat().st_mode) == 0o600


@pytest.mark.slow
def test_a_new_blotter_and_its_events_survive_a_power_cut(tmp_path, power):
    with open_blotter(tmp_path / "x.duckdb") as blotter:
        blotter.record([OrderEvent("message", "r", code="recorded")]).result()
    power.cut()
    with open_blotter(tmp_path / "x.duckdb") as blotter:
        assert blotter.events("r")["code"].tolist() == ["recorded"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_blotter_of_another_user_is_not_opened_and_no_file_is_created_beside_it(tmp_path):
    path = tmp_path / "x.duckdb"
    open_blotter(path).close()
    os.chown(path, 65534, 65534)
    Path(f"{path}.lock").unlink()
    before = {file.name: file.stat().st_ino for file in tmp_path.iterdir()}
    with pytest.raises(BlotterError, match="belongs to user 65534, not to user 0"):
        open_blotter(path)
    assert {file.name: file.stat().st_ino for file in tmp_path.iterdir()} == before
    with read_blotter(path) as blotter:
        assert len(blotter.runs()) == 0


def test_creating_a_blotter_does_not_change_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        connect(tmp_path / "x.duckdb").close()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)


@pytest.mark.slow
def test_a_damaged_file_is_a_blotter_error(tmp_path):
    path = tmp_path / "x.duckdb"
    open_blotter(path).close()
    data = bytearray(path.read_bytes())
    data[4096 : 3 * 4096] = bytes(2 * 4096)
    path.write_bytes(data)
    with pytest.raises(BlotterError, match="cannot be opened"):
        open_blotter(path)


@pytest.mark.slow
def test_a_damaged_log_is_a_blotter_error_and_the_file_can_be_tried_again(tmp_path):
    path = tmp_path / "x.duckdb"
    with open_blotter(tmp_path / "whole.duckdb") as blotter:
        for number in range(20):
            blotter.record([OrderEvent("message", "r", message=f"distinctive {number}")]).result()
        path.write_bytes((tmp_path / "whole.duckdb").read_bytes())
        log = bytearray((tmp_path / "whole.duckdb.wal").read_bytes())
    log[log.index(b"distinctive 10")] ^= 0xFF
    (tmp_path / "x.duckdb.wal").write_bytes(log)
    for _ in range(2):
        with pytest.raises(BlotterError, match="cannot be opened"):
            open_blotter(path)


# -- the schema ------------------------------------------------------------------------------------------------


def catalogue(connection):
    questions = (
        """SELECT table_name, column_name, column_index, data_type, is_nullable, column_default
        FROM duckdb_columns() WHERE NOT internal ORDER BY ALL""",
        """SELECT table_name, constraint_type, constraint_column_names, expression
        FROM duckdb_constraints() ORDER BY ALL""",
        "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
        "SELECT index_name FROM duckdb_indexes()",
    )
    return [connection.execute(question).fetchall() for question in questions]


def at_version(connection, version):
    """Bring a new database to an older version of the schema."""
    connection.execute(database_file._VERSIONS)
    for step in migrations():
        if step[0] <= version:
            database_file._apply(connection, step[2], [step])


@pytest.mark.slow
def test_events_recorded_before_the_market_data_type_column_have_a_missing_type():
    connection = connect(None)
    at_version(connection, 3)
    connection.execute(
        """INSERT INTO planned_orders
        (client_order_id, run_id, leg, row_number, symbol, side, quantity, order_type, payload_hash)
        VALUES ('a', 'r', 1, 0, 'SPY', 'BUY', 10, 'MKT', 'h')"""
    )
    connection.execute(
        """INSERT INTO facts (number, key, recorded_at, kind, run_id, client_order_id, bid, ask, attempt)
        VALUES (1, 'sending/a/1', TIMESTAMPTZ '2026-11-23 15:00:00+00', 'sending', 'r', 'a', 99.0, 101.0, 1)"""
    )
    migrate(connection)
    found = connection.execute("SELECT arrival_price, arrival_quoted_at, arrival_delayed FROM orders").fetchall()
    assert found == [(100.0, None, None)]


@pytest.mark.slow
@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_new_schema_is_the_same_as_a_migrated_one(version):
    fresh, migrated = connect(None), connect(None)
    migrate(fresh)
    at_version(migrated, version)
    migrate(migrated)
    assert catalogue(fresh) == catalogue(migrated)
    steps = "SELECT version, name FROM main.schema_migrations ORDER BY version"
    assert fresh.execute(steps).fetchall() == migrated.execute(steps).fetchall()


@pytest.mark.slow
def test_migrating_twice_changes_nothing():
    connection = connect(None)
    migrate(connection)
    before = catalogue(connection)
    migrate(connection)
    assert catalogue(connection) == before


def test_the_schema_version_is_that_of_the_last_migration():
    assert [version for version, _, _ in migrations()] == list(range(1, SCHEMA_VERSION + 1))


def test_every_file_in_the_migrations_folder_is_a_migration():
    names = sorted(entry.name for entry in (SQL / "migrations").iterdir())
    assert names == [f"{version:03d}_{name}.sql" for version, name, _ in migrations()]
    assert all(re.fullmatch(r"\d{3}_[a-z]+(_[a-z]+)*\.sql", name) for name in names)


@pytest.mark.slow
def test_the_schema_has_primary_keys_and_no_other_index_or_constraint():
    connection = connect(None)
    migrate(connection)
    kinds = connection.execute("SELECT DISTINCT constraint_type FROM duckdb_constraints()").fetchall()
    assert {kind for (kind,) in kinds} == {"PRIMARY KEY", "NOT NULL"}
    assert catalogue(connection)[3] == []


def statements_of(path):
    """SQL of a file: all of an .sql file without its comments, and what a Python file has within quotes."""
    source = path.read_text("utf-8")
    if path.suffix == ".sql":
        return re.sub(r"--.*", "", source)
    return "\n".join(re.findall(r"\"\"\".*?\"\"\"|\"[^\"\n]*\"|'[^'\n]*'", source, re.DOTALL))


@pytest.mark.parametrize(
    "path",
    sorted([*PACKAGE.rglob("*.sql"), *PACKAGE.rglob("*.py")]),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_nothing_in_the_package_updates_or_deletes(path):
    forbidden = r"\bUPDATE\s+(main\.)?\w+\s+SET\b|\bDELETE\s+FROM\b|\bDROP\s+(TABLE|VIEW)\b|\bTRUNCATE\s+\w|ON\s+CONFLICT.*UPDATE|INSERT\s+OR\s+REPLACE|CREATE\s+(UNIQUE\s+)?INDEX|\bFOREIGN\s+KEY\s*\("  # noqa: E501 - one pattern
    assert not re.search(forbidden, statements_of(path))


@pytest.mark.slow
def test_a_file_of_a_newer_version_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "x.duckdb"
    connection = connect(path)
    migrate(connection)
    connection.execute("INSERT INTO main.schema_migrations VALUES (99, 'future', now(), '9.9')")
    connection.close()
    for _ in range(2):
        with pytest.raises(BlotterError, match=r"schema version 99, this package knows \d+: update the package"):
            open_blotter(path)


@pytest.mark.slow
def test_a_file_of_an_older_version_is_migrated_when_it_is_opened_and_keeps_its_rows(tmp_path):
    path = tmp_path / "x.duckdb"
    connection = connect(path)
    at_version(connection, 1)
    connection.execute("INSERT INTO main.facts (number, key, recorded_at, kind) VALUES (7, 'k', now(), 'message')")
    connection.close()
    with open_blotter(path) as blotter:
        assert blotter.events()["event_number"].tolist() == [7]
        blotter.record([OrderEvent("message", "r", message="later")]).result()
        assert blotter.events()["event_number"].tolist() == [7, 8]
        assert blotter.quotes().empty


@pytest.mark.slow
def test_a_duckdb_file_of_another_program_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    with pytest.raises(BlotterError, match="is not a blotter"):
        open_blotter(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("mine",)]


def test_a_version_table_of_another_program_is_a_blotter_error(tmp_path):
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE schema_migrations (name VARCHAR)")
    with pytest.raises(BlotterError, match="cannot be updated"):
        open_blotter(path)


@pytest.mark.slow
def test_a_refused_file_is_not_kept_open(tmp_path):
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    with pytest.raises(BlotterError) as caught:
        open_blotter(path)
    # Another configuration is only accepted when nothing in this process has the file open.
    duckdb.connect(str(path), read_only=True).close()
    del caught


@pytest.mark.slow
def test_schema_changes_are_checkpointed_and_not_replayed_from_the_log(tmp_path):
    path = tmp_path / "x.duckdb"
    connection = connect(path)
    migrate(connection)
    log = tmp_path / "x.duckdb.wal"
    assert not log.exists() or log.stat().st_size == 0
    connection.close()


@pytest.mark.slow
def test_a_failing_migration_is_rolled_back_completely(tmp_path):
    connection = connect(None)
    migrate(connection)
    step = (SCHEMA_VERSION + 1, "broken", "")
    with pytest.raises(duckdb.Error):
        database_file._apply(
            connection, "CREATE TABLE half (x INTEGER);\nCREATE TABLE half (x INTEGER);\n", [step]
        )
    connection.rollback()
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "half" not in tables
    assert connection.execute("SELECT max(version) FROM main.schema_migrations").fetchall() == [(SCHEMA_VERSION,)]


@pytest.mark.slow
def test_the_file_stays_readable_by_an_older_duckdb(tmp_path):
    path = tmp_path / "x.duckdb"
    open_blotter(path).close()
    # The storage version stands after the magic bytes; 68 is that of DuckDB 1.5, 69 that of 2.0.
    assert int.from_bytes(path.read_bytes()[12:20], "little") <= 68
