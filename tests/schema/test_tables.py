"""The declarations of the tables."""

import pandas as pd
import pytest

from stocklean_exec.schema.tables import FILLS, ORDERS, POSITIONS, QUOTES, RUNS, TABLES, TARGETS


def test_every_table_is_found_by_its_name():
    assert list(TABLES) == ["targets", "positions", "quotes", "orders", "order_events", "fills", "runs"]


@pytest.mark.parametrize(
    ("table", "required"),
    [
        (TARGETS, ["symbol", "weight"]),
        (POSITIONS, ["symbol", "quantity"]),
        (QUOTES, ["symbol", "quoted_at"]),
        (ORDERS, ["client_order_id", "run_id", "symbol", "side", "quantity", "order_type"]),
        (FILLS, ["exec_id", "client_order_id", "symbol", "side", "quantity", "price"]),
        (RUNS, ["run_id"]),
        (TABLES["order_events"], []),
    ],
)
def test_each_table_has_its_required_columns(table, required):
    assert list(table.required) == required


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_an_empty_table_has_every_column_in_its_dtype(table):
    frame = table.empty()
    assert len(frame) == 0
    assert tuple(frame.columns) == table.names
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == table.dtypes


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_has_a_description(table):
    assert len(set(table.names)) == len(table.names)
    assert all(column.meaning for column in table.columns)
    assert all(column.unit for column in table.columns if column.dtype == "float64")


def test_conforming_sorts_and_types_columns_and_keeps_the_others():
    frame = pd.DataFrame({"mine": ["x", "y"], "quantity": [1, 2], "symbol": ["A", "B"]}, index=[5, 5])
    conformed = POSITIONS.conform(frame)
    assert list(conformed.columns) == [*POSITIONS.names, "mine"]
    assert conformed.index.tolist() == [5, 5]
    assert conformed["quantity"].tolist() == [1.0, 2.0]
    assert str(conformed["quantity"].dtype) == "float64"
    assert conformed["avg_cost"].isna().all()
    assert conformed["mine"].tolist() == ["x", "y"]


def test_the_description_lists_every_column_and_marks_the_required_ones():
    text = TARGETS.markdown()
    assert "| **`weight`** | float64 | fraction of NAV |" in text
    assert all(f"`{name}`" in text for name in TARGETS.names)
    assert "**`tif`**" not in text
