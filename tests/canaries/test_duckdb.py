"""What DuckDB does that the blotter relies on, or guards against.

Each test pins one behaviour of the installed library and names the module that leans on it: when an upgrade
makes one fail, that module is to be looked at again, and the README where it says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from stocklean_exec.blotter.database_file import connect

SOLD_NOTHING = """
SELECT coalesce(total, 0) > 0, total
FROM (SELECT sum(x) AS total FROM g LEFT JOIN (SELECT x FROM g WHERE kind = 'none of these') USING (x) GROUP BY k)
"""


def with_ten(connection):
    connection.execute("CREATE TABLE g (k VARCHAR, kind VARCHAR, x DECIMAL(17, 8))")
    connection.execute("INSERT INTO g VALUES ('a', 'e', 4), ('a', 'e', 6)")
    return connection


def test_trap_a_sum_over_an_empty_join_compares_as_not_positive():
    """blotter.database_file switches ``statistics_propagation`` off for this; once this fails, it may be on."""
    ((is_positive, total),) = with_ten(duckdb.connect()).execute(SOLD_NOTHING).fetchall()
    assert (is_positive, float(total)) == (False, 10.0)


def test_a_blotters_connection_compares_a_sum_over_an_empty_join_correctly():
    """blotter.database_file: the views decide what is filled by such a sum."""
    ((is_positive, total),) = with_ten(connect(None)).execute(SOLD_NOTHING).fetchall()
    assert (is_positive, float(total)) == (True, 10.0)


# -- locks -----------------------------------------------------------------------------------------------------

OPEN_AND_WRITE = """
import sys, duckdb
try:
    connection = duckdb.connect(sys.argv[1])
    connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    print("written")
except duckdb.IOException as error:
    print(str(error).splitlines()[0])
"""


def from_another_process(code, path):
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "x.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    return file


@pytest.mark.slow
def test_a_second_process_is_kept_out_by_duckdbs_lock(path):
    """locking, blotter.reader: others read a copy of the file, since only its owner may open it."""
    with duckdb.connect(str(path)):
        assert "Could not set lock on file" in from_another_process(OPEN_AND_WRITE, path)
        assert "Could not set lock on file" in from_another_process(
            OPEN_AND_WRITE.replace("(sys.argv[1])", "(sys.argv[1], read_only=True)"), path
        )


@pytest.mark.slow
@pytest.mark.parametrize("look", [Path.read_bytes, lambda path: shutil.copy(path, f"{path}2")])
def test_trap_duckdbs_lock_is_lost_when_the_owner_opens_and_closes_the_file(path, look):
    """locking: the reason for a lock file of our own, and for reading the file through one pinned descriptor."""
    with duckdb.connect(str(path)):
        look(path)
        assert from_another_process(OPEN_AND_WRITE, path) == "written"


@pytest.mark.slow
def test_trap_a_second_writers_acknowledged_rows_are_lost(path):
    """locking: what the lock file prevents."""
    with duckdb.connect(str(path)) as connection:
        path.read_bytes()
        assert from_another_process(OPEN_AND_WRITE, path) == "written"
        connection.execute("INSERT INTO t VALUES (1)")
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


FORK = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET threads = 1")
ours, theirs = os.pipe()
child = os.fork()
if child == 0:
    connection.execute("INSERT INTO t VALUES (3)")
    os.write(theirs, b"acknowledged")
    os._exit(0)
os.close(theirs)
print(os.read(ours, 100).decode())
os.waitpid(child, 0)
connection.execute("INSERT INTO t VALUES (1)")
connection.close()
"""


@pytest.mark.slow
def test_trap_a_forks_acknowledged_commit_is_lost(path):
    """blotter.writer, blotter: a handle refuses to write in any process but the one that opened it."""
    assert from_another_process(FORK, path) == "acknowledged"
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


# -- commits ---------------------------------------------------------------------------------------------------


def test_a_duplicate_key_of_two_threads_is_reported_only_at_the_commit():
    """blotter.writer: one thread writes."""
    first = duckdb.connect()
    first.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    second = first.cursor()
    for one in (first, second):
        one.begin()
        one.execute("INSERT INTO t VALUES (1)")
    first.commit()
    with pytest.raises(duckdb.Error, match=r"(?i)constraint"):
        second.commit()


def test_a_duplicate_key_in_an_appender_is_reported_by_flush_or_commit():
    """blotter.writer: rolls back, looks the keys up, and tries again."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    appender = connection.appender("t")
    connection.begin()
    appender.append_rows([(1,)])
    with pytest.raises(duckdb.IntegrityError):  # noqa: PT012 - either of the two may raise
        appender.flush()
        connection.commit()


def test_an_appender_can_be_cleared_and_used_again_after_a_refusal():
    """blotter.writer: one appender for the life of a writer."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    appender = connection.appender("t")
    connection.begin()
    appender.append_rows([(1,)])
    try:
        appender.flush()
        connection.commit()
    except duckdb.Error:
        connection.rollback()
    appender.clear()
    connection.begin()
    appender.append_rows([(2,)])
    appender.flush()
    connection.commit()
    assert connection.execute("FROM t ORDER BY x").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize("error", [duckdb.TransactionException, duckdb.FatalException, duckdb.IOException])
def test_disk_errors_are_not_data_errors(error):
    """blotter.writer: after these it refuses to go on; after the others it refuses one batch."""
    refusals = (duckdb.IntegrityError, duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError)
    assert not issubclass(error, refusals)


# -- the file --------------------------------------------------------------------------------------------------


def test_trap_new_files_are_world_readable_unless_the_umask_forbids_it(tmp_path):
    """blotter.database_file: the umask is set around the opening, and the log is made private after commits."""
    mask = os.umask(0o022)
    try:
        with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
            connection.execute("CREATE TABLE t (x INTEGER)")
            modes = {file.suffix: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(mask)
    assert modes == {".duckdb": 0o644, ".wal": 0o644}


def test_the_magic_bytes_are_at_offset_8(path):
    """blotter.database_file: distinguishes a DuckDB file from any other before it is opened."""
    assert path.read_bytes()[8:12] == b"DUCK"


# -- Python ----------------------------------------------------------------------------------------------------


def test_trap_a_python_variable_can_be_queried_as_a_table():
    """blotter.database_file: ``python_enable_replacements`` is off, and names are qualified."""
    orders = pd.DataFrame({"x": [1]})
    assert duckdb.connect().execute("FROM orders").fetchall() == [(1,)]
    assert len(orders) == 1


@pytest.mark.slow
def test_a_time_with_a_zone_needs_no_pytz():
    """blotter.reader, blotter.writer: pytz is no dependency. (DuckDB 2.0.0 could not fetch one without it.)"""
    code = """
import sys
sys.modules["pytz"] = None
import duckdb
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
((found,),) = connection.execute("SELECT TIMESTAMPTZ '2026-11-22 12:00+00'").fetchall()
print(found.isoformat(), connection.execute("SELECT TIMESTAMPTZ '2026-11-22 12:00+00' AS t").df()["t"].dt.tz)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2026-11-22T12:00:00+00:00", "UTC"]


def test_locked_settings_cannot_be_unlocked():
    """blotter.database_file: what a blotter's SQL cannot reach."""
    connection = duckdb.connect()
    connection.execute("SET lock_configuration = true")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        connection.execute("SET lock_configuration = false")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        connection.cursor().execute("SET threads = 1")
