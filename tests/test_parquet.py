from __future__ import annotations

import duckdb
import numpy as np
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.parquet import (
    HashPart,
    chunks,
    connected,
    described,
    literal,
    parquet_pattern,
    quoted,
    readable,
    text_hashes,
    whole,
)


@pytest.mark.parametrize("threads", [1, 4])
def test_rows_come_in_chunks_and_in_their_sequence(threads, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with connected() as connection:
        connection.execute(f"SET threads = {threads}")
        rows = "SELECT n, n / 2 AS half FROM range(1_000_000) r(n)"
        connection.execute(f"COPY ({rows}) TO 'n.parquet' (ROW_GROUP_SIZE 20_000)")
        parts = list(chunks(connection, "SELECT n, half FROM 'n.parquet' WHERE n % 3 = 0"))
        assert list(chunks(connection, "SELECT n FROM 'n.parquet' WHERE n < 0")) == []
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part["n"] for part in parts]), np.arange(0, 1_000_000, 3))
    np.testing.assert_array_equal(np.concatenate([part["half"] for part in parts]), np.arange(0, 1_000_000, 3) / 2)


def test_the_whole_is_the_chunks_written_one_after_the_other():
    query = "SELECT n, n / 2 AS half FROM range(1_000_000) r(n)"
    with connected() as connection:
        found = whole(connection, query)
        none = whole(connection, f"{query} WHERE n < 0")
    np.testing.assert_array_equal(found["n"], np.arange(1_000_000))
    np.testing.assert_array_equal(found["half"], np.arange(1_000_000) / 2)
    assert {name: (values.dtype.kind, len(values)) for name, values in none.items()} == {
        "n": ("i", 0),
        "half": ("f", 0),
    }


def test_what_duckdb_cannot_read_on_the_way_is_an_error_of_the_table(tmp_path):
    file = tmp_path / "n.parquet"
    with connected() as connection:
        connection.execute(f"COPY (SELECT random() AS n FROM range(500_000)) TO '{file}'")  # noqa: S608 - a test's own
        damaged = bytearray(file.read_bytes())
        damaged[2_000_000:2_100_000] = bytes(100_000)  # whole data pages; the metadata at the end stays
        file.write_bytes(damaged)
        assert described(connection, f"'{file}'", "fills") == {"n": "DOUBLE"}
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


def test_texts_are_told_apart_by_as_few_bits_as_it_takes():
    assert HashPart.telling([1, 2, 3]) == HashPart(0, 16)
    assert HashPart.telling([1, 1 + (1 << 16)]) == HashPart(1, 16)
    assert HashPart.telling([k << 40 | k for k in range(70_000)]).bits == 32
    assert HashPart.telling([k << 40 | k for k in range(70_000)], (16, 24)).bits == 24
    assert HashPart.telling([5, 5]) is None


@pytest.mark.parametrize("part", [HashPart(3, 16), HashPart(40, 20), HashPart(0, 32), HashPart(0, 64)])
def test_duckdb_takes_the_part_of_a_hash_that_we_take(part):
    texts = ["A", "O'NEIL", "", None]
    with duckdb.connect() as connection:
        hashes = text_hashes(connection, texts)
        query = f"SELECT {part.sql('t')} FROM (SELECT unnest(?::VARCHAR[]) AS t)"  # noqa: S608 - a test's own
        rows = connection.execute(query, [texts])
        assert [row[0] for row in rows.fetchall()] == [part.of(one) for one in hashes]


def test_names_and_texts_are_spelled_for_sql():
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT {literal(chr(39) + 'x')} AS {quoted('a' + chr(34) + 'b')}")
        assert [one[0] for one in row.description] == ['a"b']
        assert row.fetchall() == [("'x",)]


def test_what_is_not_there_or_no_parquet_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        parquet_pattern(tmp_path / "nothing", "quotes")
    assert caught.value.codes == ("file_missing",)
    assert parquet_pattern("some/*.parquet", "quotes") == "some/*.parquet"
    assert parquet_pattern(tmp_path, "quotes") == f"{tmp_path}/**/*.parquet"
    (tmp_path / "x.parquet").write_text("no parquet")
    with connected() as connection, pytest.raises(InputError) as caught:
        described(connection, f"read_parquet('{tmp_path}/x.parquet')", "quotes")
    assert caught.value.codes == ("parquet_format",)
