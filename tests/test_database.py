"""DuckDB's connections: what none of them can reach, and that all are made in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec import database
from stocklean_exec.database import connect, connect_to_files, escaped, literal, parquet_source, quoted, readable
from stocklean_exec.errors import InputError

PACKAGE = Path(database.__file__).parent

NAMES = ["t1", "t[1]", "t*", "t?", "tx", "t]1[", "t[[]1]", "o'neil", "t[!a]", "a b"]


def files(folder, names=NAMES):
    """A Parquet file of each name, which holds its own name."""
    with duckdb.connect() as connection:
        for name in names:
            path = str(folder / f"{name}.parquet").replace("'", "''")
            text = name.replace("'", "''")
            connection.execute(f"COPY (SELECT '{text}' AS name) TO '{path}' (FORMAT parquet)")
    return {name: folder / f"{name}.parquet" for name in names}


# -- what a connection cannot reach ------------------------------------------------------------------------------

FORBIDDEN = [
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL json FROM community",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM '/etc/passwd.csv'",
    "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM read_parquet('{folder}/neighbour.parquet')",
    "SELECT * FROM read_parquet('file:{folder}/neighbour.parquet')",
    "SELECT * FROM read_parquet('{folder}/**/*.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/neighbour.parquet')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH 'https://127.0.0.1:1/x.duckdb'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET allowed_paths = ['/etc/passwd']",
    "SET lock_configuration = false",
    "SET autoinstall_known_extensions = true",
    "SET autoload_known_extensions = true",
    "SET allow_community_extensions = true",
    "SET python_enable_replacements = true",
    "SET threads = 1",
    "SELECT * FROM secret_frame",
]

HARDENED = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
    "python_enable_replacements": "false",
}

secret_frame = pd.DataFrame({"x": [1]})


def fills_of(folder):
    rows = "SELECT 'a' AS client_order_id, 'X' AS symbol, 'BUY' AS side, 1.0 AS quantity, 2.0 AS price"
    with duckdb.connect() as connection:
        columns = "TIMESTAMPTZ '2026-11-23 15:00:00+00' AS filled_at, 0.1 AS commission"
        connection.execute(f"COPY ({rows}, {columns}) TO '{folder}/mine.parquet' (FORMAT parquet)")
    return folder / "mine.parquet"


def quotes_of(folder):
    rows = "SELECT 'X' AS symbol, TIMESTAMPTZ '2026-11-23 15:00:00+00' AS quoted_at, 1.0 AS bid, 2.0 AS ask"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{folder}/mine.parquet' (FORMAT parquet)")
    return folder / "mine.parquet"


def targets_of(folder):
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 'X' AS symbol, 0.5 AS weight) TO '{folder}/mine.parquet'")
    return folder / "mine.parquet"


def snapshot(folder):
    sx.open_blotter(folder / "b.duckdb").close()
    sx.read_blotter(folder / "b.duckdb").close()


def exported(folder):
    with sx.open_blotter() as blotter:
        blotter.export(folder / "export")
    sx.trade_record(folder / "export")


ORDERS = pd.DataFrame({"client_order_id": ["a"], "symbol": ["X"], "side": ["BUY"], "quantity": [1.0]})
MAKERS = {
    "connect": lambda _: connect().close(),
    "connect, for a file": lambda folder: connect(files=[str(targets_of(folder))]).close(),
    "connect_to_files": lambda folder: connect_to_files([str(targets_of(folder))])[0].close(),
    "a blotter in memory": lambda _: sx.open_blotter().close(),
    "a blotter": lambda folder: sx.open_blotter(folder / "b.duckdb").close(),
    "a snapshot": snapshot,
    "an export": exported,
    "read_targets": lambda folder: sx.read_targets(targets_of(folder)),
    "quote_files": lambda folder: sx.quote_files(quotes_of(folder)),
    "fills": lambda folder: sx.completion(ORDERS, fills_of(folder)),
    "fills by row": lambda folder: sx.markouts(fills_of(folder), quotes_of(folder / "quotes")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_no_connection_reads_files_it_was_not_made_for(name, tmp_path, monkeypatch):
    (tmp_path / "quotes").mkdir()
    files(tmp_path, ["neighbour"])
    seen = []

    def lock(connection, *rest, then=database._lock):
        then(connection, *rest)
        settings = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
        assert {option: settings[option] for option in HARDENED} == HARDENED
        for statement in FORBIDDEN:
            with pytest.raises(duckdb.Error):
                connection.execute(statement.format(folder=tmp_path))
            with pytest.raises(duckdb.Error), connection.cursor() as cursor:
                cursor.execute(statement.format(folder=tmp_path))
        seen.append(connection)

    monkeypatch.setattr(database, "_lock", lock)
    MAKERS[name](tmp_path)
    assert seen
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("out", "other"))]


def test_an_ordinary_connection_executes_the_forbidden_statements(tmp_path):
    files(tmp_path, ["neighbour"])
    with duckdb.connect() as connection:
        for statement in FORBIDDEN:
            if not any(word in statement for word in ("https", "httpfs", "s3:", "INSTALL", "/etc", "SET ")):
                connection.execute(statement.format(folder=tmp_path))


@pytest.mark.slow
def test_a_connection_can_read_only_the_file_it_was_made_for(tmp_path):
    paths = files(tmp_path)
    for name, path in paths.items():
        with connect(files=[str(path)]) as connection:
            for other, its_path in paths.items():
                query = f"SELECT name FROM {parquet_source([str(its_path)])}"  # noqa: S608 - a test's own
                if other == name:
                    assert connection.execute(query).fetchall() == [(name,)]
                else:
                    with pytest.raises(duckdb.PermissionException):
                        connection.execute(query)


def test_a_file_may_be_named_by_a_link_and_a_changed_link_is_not_followed(tmp_path):
    paths = files(tmp_path, ["t1", "tx"])
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "l[1].parquet"
    link.symlink_to(paths["t1"])
    with connect(files=[str(link)]) as connection:
        query = f"SELECT name FROM {parquet_source([str(link)])}"  # noqa: S608 - a test's own
        assert connection.execute(query).fetchall() == [("t1",)]
        link.unlink()
        link.symlink_to(paths["tx"])
        with pytest.raises(duckdb.PermissionException):
            connection.execute(query)


# -- patterns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_escaped_name_matches_that_file_and_no_other(name, tmp_path):
    path = files(tmp_path)[name]
    connection, found = connect_to_files([escaped(path)])
    assert found == [[str(path)]]
    assert connection.execute(f"SELECT name FROM {parquet_source(found[0])}").fetchall() == [(name,)]  # noqa: S608 - a path of the test
    connection.close()


def test_an_escaped_name_of_a_missing_file_matches_no_file(tmp_path):
    paths = files(tmp_path, ["t1", "tx"])
    connection, found = connect_to_files([escaped(tmp_path / "t[1].parquet"), str(paths["t1"])])
    assert found == [[], [str(paths["t1"])]]
    connection.close()


@pytest.mark.slow
def test_a_pattern_is_expanded_when_the_connection_is_made(tmp_path):
    files(tmp_path, ["t1", "tx", "u"])
    connection, found = connect_to_files([f"{tmp_path}/t*.parquet"])
    assert found == [[f"{tmp_path}/t1.parquet", f"{tmp_path}/tx.parquet"]]
    files(tmp_path, ["t3"])
    for name in ("t3", "u"):
        with pytest.raises(duckdb.PermissionException):
            connection.execute("SELECT * FROM read_parquet(?)", [f"{tmp_path}/{name}.parquet"])
    connection.close()


def test_a_relative_path_is_resolved_in_the_working_folder(tmp_path, monkeypatch):
    files(tmp_path, ["t1"])
    monkeypatch.chdir(tmp_path)
    assert escaped("t1.parquet") == f"{tmp_path}/t1.parquet"
    assert escaped("~/t1.parquet") == f"{tmp_path}/~/t1.parquet"  # DuckDB would go to the home folder
    assert escaped(Path("s3:/t1.parquet")) == f"{tmp_path}/s3:/t1.parquet"


def test_settings_are_made_before_the_configuration_is_locked():
    with connect(settings={"TimeZone": "Asia/Tokyo"}, config={"threads": "1"}) as connection:
        found = connection.execute("SELECT current_setting('TimeZone'), current_setting('threads')").fetchall()
    assert found == [("Asia/Tokyo", 1)]


@pytest.mark.slow
def test_a_query_larger_than_memory_may_spill_to_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with connect(settings={"memory_limit": "60MB", "threads": "1"}) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT random() AS a, md5(i::VARCHAR) AS b FROM range(1_500_000) r(i)"
        )
        query = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY b, a) AS n FROM t)"
        assert connection.execute(query).fetchall() == [(1_500_000,)]
        spilt = connection.execute("SELECT sum(size) FROM duckdb_temporary_files()").fetchall()[0][0]
    assert spilt > 0


def test_a_connection_that_cannot_be_set_up_is_closed(tmp_path):
    with pytest.raises(duckdb.Error):
        connect(str(tmp_path / "x.duckdb"), settings={"no_such_setting": "1"})
    duckdb.connect(str(tmp_path / "x.duckdb")).close()  # with another configuration: nothing holds it open


def test_a_file_that_duckdb_cannot_read_is_an_input_error_with_table_and_file():
    with (
        pytest.raises(InputError, match=r"t\.parquet: Catalog Error.*does not exist") as caught,
        readable("t", "t.parquet"),
    ):
        connect().execute("SELECT * FROM nothing")
    assert (caught.value.table, caught.value.codes) == ("t", ("parquet_format",))
    with pytest.raises(InputError, match=r"^t: 1 problem\n  Catalog Error"), readable("t"):
        connect().execute("SELECT * FROM nothing")


def test_names_and_texts_are_quoted_for_sql():
    with connect() as connection:
        row = connection.execute(f"SELECT {literal(chr(39) + 'x')} AS {quoted('a' + chr(34) + 'b')}")
        assert [one[0] for one in row.description] == ['a"b']
        assert row.fetchall() == [("'x",)]


# -- one place ---------------------------------------------------------------------------------------------------

HARMLESS = {
    "DuckDBPyConnection",
    "IntegrityError",
    "DataError",
    "ProgrammingError",
    "NotSupportedError",
    "ResourceInUseException",
    "Error",
}


def uses_of_duckdb(path):
    """What a module takes from duckdb, by name; ``from duckdb import x`` and other names for it count too."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "duckdb":
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("duckdb", "_duckdb"):
            yield from (f"from: {alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                f"import: {alias.name} as {alias.asname}"
                for alias in node.names
                if alias.name.split(".")[0] in ("duckdb", "_duckdb") and (alias.asname or alias.name != "duckdb")
            )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_creates_a_duckdb_connection(path):
    used = set(uses_of_duckdb(path)) - HARMLESS
    assert used == ({"connect"} if path.name == "database.py" else set())
