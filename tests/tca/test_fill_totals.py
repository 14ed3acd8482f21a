"""The two engines that add up fills agree, and agree with a plain loop over the fills."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.fill_totals import FILL_TOTALS, source_columns, sql_totals
from stocklean_exec.tca.inputs import executed_by_order, keyed_orders
from stocklean_exec.tca.sources import read_executed

ORDERS = keyed_orders(
    pd.DataFrame({"client_order_id": ["a", "b", "c"], "symbol": "X", "side": "BUY", "quantity": 10.0})
)
COLUMNS = ("client_order_id", "quantity", "price", "commission", "filled_at", "time_unreliable")

# Quarters and eighths have exact sums in binary, in any sequence, so the engines must agree to the last bit.
FILL = st.tuples(
    st.sampled_from(["a", "b"]),
    st.integers(1, 4_000_000).map(lambda n: n / 4),
    st.one_of(st.none(), st.integers(1, 80_000).map(lambda n: n / 8)),
    st.one_of(st.none(), st.integers(-400, 4_000).map(lambda n: n / 8)),  # a rebate is negative
    st.one_of(st.none(), st.integers(0, 4_000_000_000_000_000)),
    st.sampled_from([None, False, False, False, True]),
)


def frame_of(fills, optional):
    columns = list(zip(*fills, strict=True)) or [()] * len(COLUMNS)
    data = dict(zip(COLUMNS, columns, strict=True))
    frame = pd.DataFrame(
        {
            "client_order_id": pd.array(data["client_order_id"], dtype="str"),
            **{name: np.array(data[name], dtype="float64") for name in ("quantity", "price", "commission")},
            "filled_at": pd.array(
                [NO_TIME if at is None else at for at in data["filled_at"]], dtype="datetime64[us]"
            ).tz_localize("UTC"),
            "time_unreliable": pd.array(data["time_unreliable"], dtype="boolean"),
        }
    )
    return frame.drop(columns=[name for name in COLUMNS[3:] if name not in optional])


def file_of(fills, optional, file):
    kinds = ("VARCHAR", "DOUBLE", "DOUBLE", "DOUBLE", "BIGINT", "BOOLEAN")
    kept = [*COLUMNS[:3], *(name for name in COLUMNS[3:] if name in optional)]
    chosen = ["make_timestamptz(filled_at) AS filled_at" if name == "filled_at" else name for name in kept]
    with duckdb.connect() as connection:
        listed = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, kinds, strict=True))
        connection.execute(f"CREATE TABLE fills ({listed})")
        if fills:
            connection.executemany("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?)", fills)
        connection.execute(f"COPY (SELECT {', '.join(chosen)} FROM fills) TO '{file}' (FORMAT parquet)")  # noqa: S608 - a test's own
    return file


def by_hand(fills, optional):
    """The totals by a loop, as their meanings say."""
    rows = []
    for order in ORDERS.index:
        mine = [fill for fill in fills if fill[0] == order]
        fees = [fill[3] for fill in mine if fill[3] is not None] if "commission" in optional else []
        undated = sum(fill[5] is True for fill in mine) if "time_unreliable" in optional else 0
        times = (
            [fill[4] for fill in mine if fill[4] is not None] if "filled_at" in optional and not undated else []
        )
        rows.append(
            {
                "filled_quantity": math.fsum(fill[1] for fill in mine),
                "value": math.nan if any(fill[2] is None for fill in mine) else sum(f[1] * f[2] for f in mine),
                "commission": sum(fees) if fees else math.nan,
                "commissions_due": len(mine) - len(fees),
                "fills": len(mine),
                "first_at": min(times, default=NO_TIME),
                "last_at": max(times, default=NO_TIME),
                "undated": undated,
            }
        )
    return pd.DataFrame(rows, index=ORDERS.index).astype({"filled_quantity": "float64", "value": "float64"})


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    fills=st.lists(FILL, max_size=25),
    optional=st.sets(st.sampled_from(COLUMNS[3:])),
)
def test_a_frame_and_a_file_of_the_same_fills_have_the_same_totals(fills, optional, tmp_path_factory):
    wanted = by_hand(fills, optional)
    names = [total.name for total in FILL_TOTALS]
    file = file_of(fills, optional, tmp_path_factory.mktemp("fills") / "f.parquet")
    by_numpy = executed_by_order(ORDERS, frame_of(fills, optional))
    by_duckdb = executed_by_order(ORDERS, read_executed(file))
    assert names == wanted.columns.tolist()
    pd.testing.assert_frame_equal(by_numpy[names], wanted, check_exact=True)
    pd.testing.assert_frame_equal(by_duckdb, by_numpy, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("times", [True, False])
def test_rows_aligned_by_duckdb_have_the_totals_of_rows_aligned_by_id(times, tmp_path):
    fills = [("b", 0.25, 8.0, None, 7, None), ("a", 2.0, 4.0, -0.5, 5, None), ("b", 1.0, 2.0, 1.5, 3, None)]
    file = file_of(fills, {"commission", "filled_at"}, tmp_path / "f.parquet")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT unnest(['c', 'b', 'a']) AS client_order_id) TO '{tmp_path / 'o.parquet'}'"
        )
    ids = pd.Index(["c", "b", "a"], name="client_order_id")
    table = read_executed(file, (tmp_path / "o.parquet", ids), times=times).table
    wanted = by_hand(fills, {"commission", "filled_at"} if times else {"commission"}).loc[ids]
    pd.testing.assert_frame_equal(table, wanted, check_exact=True, check_index_type=False)


def test_a_total_whose_column_is_missing_is_not_in_the_query():
    assert set(sql_totals(COLUMNS)) == {total.name for total in FILL_TOTALS}
    assert {total.name for total in FILL_TOTALS} - set(sql_totals(COLUMNS[:3])) == {
        "commission",
        "first_at",
        "last_at",
        "undated",
    }
    assert "filled_at" not in source_columns(COLUMNS[:4])
