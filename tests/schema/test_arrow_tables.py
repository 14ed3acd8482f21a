from __future__ import annotations

import duckdb
import pandas as pd
import pytest
from arro3.core import Table

from stocklean_exec.errors import InputError
from stocklean_exec.schema.arrow_tables import frame_of_arrow
from stocklean_exec.schema.files import read_quotes, read_targets

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def test_values_are_those_of_python_and_rows_are_bounded():
    table = duckdb.sql("SELECT range AS number, CASE WHEN range = 1 THEN 'x' END AS text FROM range(100)")
    frame = frame_of_arrow(table, 2)
    assert frame["number"].tolist() == [0, 1, 2]  # one more than the bound
    assert frame["text"].tolist() == [None, "x", None]
    assert frame_of_arrow(table.limit(0), 2).columns.tolist() == ["number", "text"]


def test_tables_of_arrow_are_read_cell_by_cell():
    relation = duckdb.sql(
        "SELECT unnest(['brk.b', 'SPY']) AS symbol, unnest([0.5::DOUBLE, 0.25]) AS weight, 7::BIGINT AS con_id, "
        "NULL::DOUBLE AS limit_price"
    )
    frame = read_targets(relation)
    assert frame[["symbol", "weight", "con_id"]].to_numpy().tolist() == [["BRK B", 0.5, 7], ["SPY", 0.25, 7]]
    assert frame["limit_price"].isna().all()
    quotes = duckdb.sql(
        "SELECT 'A' AS symbol, 1.5::DOUBLE AS last, TIMESTAMPTZ '2026-11-23 14:30+00' AS quoted_at"
    )
    assert read_quotes(quotes)["quoted_at"].tolist() == [WHEN]


def test_tables_of_polars_are_read():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"symbol": ["A", "B"], "weight": [0.5, None]})
    with pytest.raises(InputError, match=r"row 1 \(B\): the weight is empty"):
        read_targets(table)
    assert read_targets(table.head(1))["weight"].tolist() == [0.5]
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_targets(table["weight"])
    with pytest.raises(InputError, match="a polars LazyFrame cannot be read; give a DataFrame"):
        read_targets(table.lazy())


def test_an_arrow_table_of_too_many_rows_is_refused_before_it_is_converted():
    relation = duckdb.sql("SELECT 'A' AS symbol, 1.0::DOUBLE AS weight FROM range(1_000_000)")
    with pytest.raises(InputError) as caught:
        read_targets(relation)
    assert caught.value.codes == ("too_many_rows",)


def test_a_column_that_an_arrow_table_has_twice_is_refused():
    twice = duckdb.sql("SELECT 'A' AS symbol, 0.5::DOUBLE AS weight, 0.4::DOUBLE AS weight")
    with pytest.raises(InputError, match="column names appear twice: weight") as caught:
        read_targets(Table(twice))
    assert caught.value.codes == ("duplicate_column",)
