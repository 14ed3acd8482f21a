from __future__ import annotations

import duckdb
import numpy as np
import pytest

from stocklean_exec.database import connect, parquet_source, readable
from stocklean_exec.errors import InputError
from stocklean_exec.tca.parquet import (
    HashPart,
    chunks,
    described,
    open_parquet,
    parquet_pattern,
    text_hashes,
    whole,
)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
def test_rows_are_read_in_chunks_and_in_sequence(threads, tmp_path):
    file = str(tmp_path / "n.parquet")
    rows = "SELECT n, n / 2 AS half FROM range(1_000_000) r(n)"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{file}' (ROW_GROUP_SIZE 20_000)")
    with connect(files=[file], settings={"threads": str(threads)}) as connection:
        parts = list(chunks(connection, f"SELECT n, half FROM '{file}' WHERE n % 3 = 0"))  # noqa: S608 - a test's own
        assert list(chunks(connection, f"SELECT n FROM '{file}' WHERE n < 0")) == []  # noqa: S608 - a test's own
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part["n"] for part in parts]), np.arange(0, 1_000_000, 3))
    np.testing.assert_array_equal(np.concatenate([part["half"] for part in parts]), np.arange(0, 1_000_000, 3) / 2)


@pytest.mark.slow
def test_the_whole_table_equals_its_concatenated_chunks():
    query = "SELECT n, n / 2 AS half FROM range(1_000_000) r(n)"
    with connect() as connection:
        found = whole(connection, query)
        none = whole(connection, f"{query} WHERE n < 0")
    np.testing.assert_array_equal(found["n"], np.arange(1_000_000))
    np.testing.assert_array_equal(found["half"], np.arange(1_000_000) / 2)
    assert {name: (values.dtype.kind, len(values)) for name, values in none.items()} == {
        "n": ("i", 0),
        "half": ("f", 0),
    }


@pytest.mark.slow
def test_an_error_of_duckdb_while_reading_is_an_error_of_the_table(tmp_path):
    file = tmp_path / "n.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT random() AS n FROM range(500_000)) TO '{file}'")  # noqa: S608 - a test's own
    damaged = bytearray(file.read_bytes())
    damaged[2_000_000:2_100_000] = bytes(100_000)  # whole data pages; the metadata at the end stays
    file.write_bytes(damaged)
    with connect(files=[str(file)]) as connection:
        assert described(connection, [str(file)], "fills") == {"n": "DOUBLE"}
        with pytest.raises(InputError) as caught, readable("fills"):
            list(chunks(connection, f"SELECT n FROM '{file}'"))  # noqa: S608 - a test's own
        with pytest.raises(InputError, match="no number"), readable("fills"):
            list(
                chunks(
                    connection,
                    "SELECT CASE WHEN n = 300_000 THEN error('no number') ELSE n END FROM range(400_000) r(n)",
                )
            )
    assert caught.value.codes == ("parquet_format",)


@pytest.mark.slow
def test_hash_parts_have_as_few_bits_as_needed():
    assert HashPart.distinguishing([1, 2, 3]) == HashPart(0, 16)
    assert HashPart.distinguishing([1, 1 + (1 << 16)]) == HashPart(1, 16)
    assert HashPart.distinguishing([k << 40 | k for k in range(70_000)]).bits == 32
    assert HashPart.distinguishing([k << 40 | k for k in range(70_000)], (16, 24)).bits == 24
    assert HashPart.distinguishing([5, 5]) is None


@pytest.mark.parametrize("part", [HashPart(3, 16), HashPart(40, 20), HashPart(0, 32), HashPart(0, 64)])
def test_duckdb_and_python_take_the_same_part_of_a_hash(part):
    texts = ["A", "O'NEIL", "", None]
    with duckdb.connect() as connection:
        hashes = text_hashes(connection, texts)
        query = f"SELECT {part.sql('t')} FROM (SELECT unnest(?::VARCHAR[]) AS t)"  # noqa: S608 - a test's own
        rows = connection.execute(query, [texts])
        assert [row[0] for row in rows.fetchall()] == [part.of(one) for one in hashes]


def test_a_missing_file_or_another_format_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        parquet_pattern(tmp_path / "nothing", "quotes")
    assert caught.value.codes == ("file_missing",)
    (tmp_path / "x.parquet").write_text("no parquet")
    connection, (files,) = open_parquet((tmp_path / "x.parquet", "quotes"))
    with connection, pytest.raises(InputError) as caught:
        described(connection, files, "quotes")
    assert caught.value.codes == ("parquet_format",)


@pytest.mark.parametrize("place", ["*.parquet", "none"])
def test_a_pattern_or_a_folder_without_files_is_refused(place, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="there are no Parquet files in") as caught:
        open_parquet((tmp_path / place, "quotes"))
    assert (caught.value.table, caught.value.codes) == ("quotes", ("parquet_format",))


def named(folder, *names):
    """A Parquet file of each name, which holds its own name."""
    with duckdb.connect() as connection:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"COPY (SELECT '{name}' AS name) TO '{folder}/{name}.parquet' (FORMAT parquet)")


def found(*places):
    """The names in the files of each place, as they come."""
    connection, files = open_parquet(*((place, "quotes") for place in places))
    with connection:
        return [
            [row[0] for row in connection.execute(f"SELECT name FROM {parquet_source(names)}").fetchall()]  # noqa: S608 - quoted
            for names in files
        ]


@pytest.mark.slow
def test_a_name_with_glob_characters_is_that_file_if_it_exists(tmp_path):
    named(tmp_path, "t1", "t2", "t[1]", "t*", "t?")
    assert found(tmp_path / "t[1].parquet") == [["t[1]"]]
    assert found(tmp_path / "t*.parquet") == [["t*"]]
    assert found(tmp_path / "t?.parquet") == [["t?"]]
    assert found(tmp_path / "t[12].parquet") == [["t1", "t2"]]
    for name in ("t[1]", "t*", "t?"):
        (tmp_path / f"{name}.parquet").unlink()
    assert found(tmp_path / "t[1].parquet") == [["t1"]]
    assert found(tmp_path / "t*.parquet") == found(tmp_path / "t?.parquet") == [["t1", "t2"]]


def test_a_folder_name_with_glob_characters_is_that_folder(tmp_path):
    named(tmp_path, "day[1]/a", "day[1]/deep/b", "day1/c", "day[1]x/d")
    assert found(tmp_path / "day[1]") == [["day[1]/a", "day[1]/deep/b"]]


def test_one_connection_can_read_several_paths(tmp_path):
    named(tmp_path, "a", "b[1]", "b1")
    assert found(tmp_path / "a.parquet", str(tmp_path / "b[1].parquet")) == [["a"], ["b[1]"]]


def test_a_relative_pattern_is_resolved_in_the_working_folder(tmp_path, monkeypatch):
    named(tmp_path, "some/a", "some/b")
    monkeypatch.chdir(tmp_path)
    assert parquet_pattern("some/*.parquet", "quotes") == f"{tmp_path}/some/*.parquet"
    assert found("some/*.parquet") == found("some") == [["some/a", "some/b"]]
