"""What every measure refuses alike, from frames and from files: executions in two rows, prices of zero."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError

AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")
LATER = AT + pd.Timedelta(seconds=1)
ORDERS = pd.DataFrame(
    {
        "client_order_id": ["o"],
        "symbol": "A",
        "side": "BUY",
        "quantity": 10.0,
        "decision_price": 100.0,
        "arrival_price": 100.0,
        "final_price": 101.0,
        "arrived_at": AT,
    }
)
FILLS = pd.DataFrame(
    {
        "exec_id": ["1", "2"],
        "client_order_id": "o",
        "symbol": "A",
        "side": "BUY",
        "quantity": [4.0, 1.0],
        "price": [100.5, 100.0],
        "commission": 1.0,
        "filled_at": [LATER, LATER],
    }
)
QUOTES = pd.DataFrame({"symbol": "A", "quoted_at": [AT, LATER], "bid": 99.5, "ask": 100.5})
TRADES = pd.DataFrame({"symbol": "A", "traded_at": [LATER], "price": 100.0, "volume": 100.0})

MEASURES = {
    "implementation_shortfall": sx.implementation_shortfall,
    "shortfall_summary": sx.shortfall_summary,
    "slippage": sx.slippage,
    "slippage_summary": sx.slippage_summary,
    "cost_summary": sx.cost_summary,
    "spread_metrics": lambda orders, fills: sx.spread_metrics(orders, fills, QUOTES),
    "markouts": lambda _, fills: sx.markouts(fills, QUOTES, [0]),
    "markouts, equal weights": lambda _, fills: sx.markouts(fills, QUOTES, [0], weight="equal"),
    "reversion": lambda orders, fills: sx.reversion(orders, fills, QUOTES),
    "completion": sx.completion,
    "completion_summary": sx.completion_summary,
    "incomplete_reasons": sx.incomplete_reasons,
    "fill_curve": sx.fill_curve,
    "fill_progress": sx.fill_progress,
    "fill_times": sx.fill_times,
    "participation": lambda orders, fills: sx.participation(orders, fills, TRADES),
}
WRONG = {
    "equal rows": (FILLS.iloc[[0, 1, 0]], "duplicate_exec_id"),
    "rows that differ": (FILLS.assign(exec_id="1"), "duplicate_exec_id"),
    "price of zero": (FILLS.assign(price=[100.5, 0.0]), "fill_price"),
    "price below zero": (FILLS.assign(price=[100.5, -1.0]), "fill_price"),
    "TWS's unset price": (FILLS.assign(price=[100.5, 1.7976931348623157e308]), "fill_price"),
    "quantity of zero": (FILLS.assign(quantity=[4.0, 0.0]), "fill_quantity"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fills")
    for name, frame in {
        "orders": ORDERS,
        "right": FILLS,
        **{name: fills for name, (fills, _) in WRONG.items()},
    }.items():
        duckdb.from_df(frame).write_parquet(str(place / f"{name}.parquet"))
    return place


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize(("fills", "code"), WRONG.values(), ids=WRONG)
def test_wrong_fills_are_refused_by_every_measure(measure, fills, code):
    measure(ORDERS, FILLS)
    with pytest.raises(InputError) as caught:
        measure(ORDERS, fills)
    assert set(caught.value.codes) == {code}


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["slippage", "fill_progress", "markouts"])  # totals, rows, some columns
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_fills_in_files_are_refused_by_every_measure(measure, wrong, folder):
    with pytest.raises(InputError) as caught:
        MEASURES[measure](folder / "orders.parquet", folder / f"{wrong}.parquet")
    assert set(caught.value.codes) == {WRONG[wrong][1]}


def test_a_repeated_execution_is_named_and_the_message_says_what_to_do():
    with pytest.raises(InputError, match=r"1 is in several rows of the fills; keep one: fills.drop_duplicates"):
        sx.slippage(ORDERS, WRONG["equal rows"][0])
    once = WRONG["equal rows"][0].drop_duplicates("exec_id", keep="last")
    assert sx.slippage(ORDERS, once)["filled_quantity"].tolist() == [5.0]


def test_fills_without_an_execution_id_are_not_compared():
    assert sx.slippage(ORDERS, FILLS.assign(exec_id=None))["filled_quantity"].tolist() == [5.0]
    assert sx.slippage(ORDERS, FILLS.drop(columns="exec_id"))["filled_quantity"].tolist() == [5.0]


@pytest.mark.parametrize(
    "measured",
    [
        lambda twice: sx.implementation_shortfall(ORDERS, FILLS, final_prices=twice),
        lambda twice: sx.slippage(ORDERS, FILLS, benchmark=twice),
        lambda twice: sx.implementation_shortfall(ORDERS, FILLS, market_returns=0.01, betas=twice),
        lambda twice: sx.implementation_shortfall(ORDERS.assign(currency="A"), FILLS, fx=twice),
        lambda twice: sx.cost_summary(ORDERS, FILLS, final_prices=twice.to_frame("price")),
    ],
    ids=["final_prices", "benchmark", "betas", "fx", "a frame of one column"],
)
def test_a_price_or_rate_given_twice_is_refused(measured):
    with pytest.raises(InputError, match="A is in 2 rows"):
        measured(pd.Series([101.0, 50.0], index=["A", "A"]))
