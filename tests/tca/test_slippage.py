from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.completion import completion
from stocklean_exec.tca.slippage import slippage, slippage_summary, spread_metrics
from tests.tca.four_orders import AT, FILLS_, ORDERS_

NAN = math.nan


# -- slippage --------------------------------------------------------------------------------------------------


def test_slippage_against_arrival_is_a_cost_for_buys_and_for_sells():
    table = slippage(ORDERS_, FILLS_)
    assert table.index.tolist() == ["a", "b", "c", "d"]
    assert table["filled_quantity"].tolist() == [10.0, 10.0, 0.0, 8.0]
    assert table["avg_fill_price"].fillna(0).tolist() == [106.0, 49.0, 0.0, 25.5]
    # a: 6 of 100 are 600 bp and 60; b: sold 1 of 50 below, 200 bp and 10; d: sold 0.50 of 25 above, -200 bp, -4.
    np.testing.assert_allclose(table["slippage_bps"], [600, 200, NAN, -200])
    np.testing.assert_allclose(table["slippage_cost"], [60, 10, NAN, -4])


def test_commissions_are_separate_and_missing_ones_are_counted():
    table = slippage(ORDERS_, FILLS_)
    np.testing.assert_allclose(table["commission"], [1.5, NAN, NAN, 1.0])
    assert table["commissions_due"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("benchmark", "bps", "cost"),
    [
        # a: 106 against 99; b: 49 against 52; d: 25.50 against 25
        ("decision", [7 / 99 * 1e4, 3 / 52 * 1e4, NAN, -200], [70, 30, NAN, -4]),
        ("limit", [-2 / 108 * 1e4, NAN, NAN, -200], [-20, NAN, NAN, -4]),
        ({"AAA": 106.0, "BBB": 50.0}, [0, 200, NAN, NAN], [0, 10, NAN, NAN]),
        ({"a": 105.0, "AAA": 1.0, "DDD": 25.5}, [1 / 105 * 1e4, NAN, NAN, 0], [10, NAN, NAN, 0]),
        (pd.Series({"BBB": 49.0}), [NAN, 0, NAN, NAN], [NAN, 0, NAN, NAN]),
        ({"AAA": 0.0, "BBB": -5.0, "DDD": math.inf}, [NAN] * 4, [NAN] * 4),  # no prices
    ],
)
def test_slippage_against_other_benchmarks(benchmark, bps, cost):
    table = slippage(ORDERS_, FILLS_, benchmark=benchmark)
    np.testing.assert_allclose(table["slippage_bps"], bps, atol=1e-9)
    np.testing.assert_allclose(table["slippage_cost"], cost, atol=1e-9)


def test_slippage_against_quotes_is_against_their_mid():
    quotes = pd.DataFrame({"symbol": ["AAA", "BBB"], "bid": [99.0, NAN], "ask": [101.0, NAN], "last": [1.0, 50.0]})
    table = slippage(ORDERS_, FILLS_, benchmark="quote", quotes=quotes.assign(quoted_at=AT))
    np.testing.assert_allclose(table["benchmark_price"], [100, 50, NAN, NAN])
    np.testing.assert_allclose(table["slippage_bps"], [600, 200, NAN, NAN])


def test_slippage_of_a_run_is_a_ratio_of_sums_and_not_a_mean_of_ratios():
    # Notional 10 x 100 + 10 x 50 + 8 x 25 = 1,700; cost 60 + 10 - 4 = 66; commission 2.50.
    total = slippage_summary(ORDERS_, FILLS_)
    assert total.to_dict() == pytest.approx(
        {
            "orders": 4,
            "measured": 3,
            "notional": 1_700,
            "slippage_cost": 66,
            "slippage_bps": 66 / 1_700 * 1e4,
            "commission": 2.5,
            "commissions_due": 1,
            "total_cost": 68.5,
            "total_bps": 68.5 / 1_700 * 1e4,
        }
    )


def test_as_performance_commissions_still_make_a_run_worse():
    # Slippage of 60 + 10 - 4 = 66 paid, commissions of 1.50 + 1.00: a performance of -66 and of -68.50 in all.
    row = slippage_summary(ORDERS_, FILLS_, sign="performance")
    assert row["slippage_cost"] == pytest.approx(-66)
    assert row["total_cost"] == pytest.approx(-68.5)


def test_price_improvement_is_positive_inside_the_touch_for_buys_and_for_sells():
    # Market 99 to 101. Bought at 100.50: 0.50 of 101 better. Sold at 99.20: 0.20 of 99 better.
    orders = pd.DataFrame({"client_order_id": ["a", "b"], "symbol": "AAA", "side": ["BUY", "SELL"]})
    orders = orders.assign(quantity=5.0, arrival_bid=99.0, arrival_ask=101.0)
    fills = pd.DataFrame({"client_order_id": ["a", "b"], "quantity": 5.0, "price": [100.5, 99.2], "filled_at": AT})
    quotes = pd.DataFrame({"symbol": ["AAA"], "quoted_at": [AT], "bid": [99.0], "ask": [101.0]})
    table = spread_metrics(orders, fills, quotes)
    np.testing.assert_allclose(table["price_improvement_bps"], [1e4 * 0.5 / 101, 1e4 * 0.2 / 99])


def test_an_order_without_a_benchmark_is_not_in_the_sums():
    total = slippage_summary(ORDERS_, FILLS_, benchmark={"BBB": 50.0})
    assert (total["orders"], total["measured"], total["notional"], total["slippage_cost"]) == (4, 1, 500, 10)
    assert math.isnan(total["commission"])  # its commission is not known yet
    assert math.isnan(total["total_bps"])


def test_the_cost_of_a_run_without_fills_is_missing():
    total = slippage_summary(ORDERS_, FILLS_.iloc[:0])
    assert (total["orders"], total["measured"], total["notional"]) == (4, 0, 0)
    assert np.isnan(total[["slippage_cost", "slippage_bps", "commission", "total_bps"]]).all()


def test_without_a_commission_column_all_commissions_count_as_missing():
    table = slippage(ORDERS_, FILLS_.drop(columns="commission"))
    assert table["commissions_due"].tolist() == [2, 1, 0, 1]
    assert table["commission"].isna().all()


# -- shapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [slippage, completion])
def test_empty_frames_give_empty_frames_with_the_dtypes_of_full_ones(measure):
    empty, full = measure(ORDERS.empty(), FILLS.empty()), measure(ORDERS_, FILLS_)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert empty.index.name == "client_order_id"


@pytest.mark.parametrize("measure", [slippage, completion, slippage_summary])
def test_orders_may_carry_their_ids_as_the_index(measure):
    got = measure(ORDERS_.set_index("client_order_id"), FILLS_)
    wanted = measure(ORDERS_, FILLS_)
    (pd.testing.assert_series_equal if measure is slippage_summary else pd.testing.assert_frame_equal)(got, wanted)


@pytest.mark.parametrize("measure", [slippage, completion, slippage_summary])
@pytest.mark.parametrize(
    ("orders", "fills", "code"),
    [
        (ORDERS_, FILLS_.assign(client_order_id="other"), "orphan_exec"),
        (ORDERS_.iloc[:1], FILLS_, "orphan_exec"),
        (pd.concat([ORDERS_, ORDERS_.iloc[:1]]), FILLS_, "duplicate_client_order_id"),
        (ORDERS_.drop(columns="side"), FILLS_, "missing_column"),
        (ORDERS_.drop(columns="client_order_id"), FILLS_, "missing_column"),
        (ORDERS_, FILLS_.drop(columns="price"), "missing_column"),
    ],
)
def test_invalid_input_is_an_error(measure, orders, fills, code):
    with pytest.raises(InputError) as caught:
        measure(orders, fills)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"benchmark": "vwip"}, "benchmark_unknown"),
        ({"benchmark": "vwap"}, "trades_missing"),
        ({"benchmark": 5}, "benchmark_unknown"),
        ({"benchmark": None}, "benchmark_unknown"),
        ({"benchmark": "quote"}, "quotes_missing"),
    ],
)
def test_an_unknown_benchmark_is_an_error(options, code):
    with pytest.raises(InputError) as caught:
        slippage(ORDERS_, FILLS_, **options)
    assert caught.value.codes == (code,)


def test_a_benchmark_without_its_column_is_an_error():
    with pytest.raises(InputError, match="decision, limit, quote"):
        slippage(ORDERS_.drop(columns="arrival_price"), FILLS_)


@pytest.mark.parametrize("measure", [slippage, completion, slippage_summary])
def test_the_input_is_not_changed(measure):
    orders, fills = ORDERS_.copy(), FILLS_.copy()
    measure(orders, fills)
    pd.testing.assert_frame_equal(orders, ORDERS_)
    pd.testing.assert_frame_equal(fills, FILLS_)


@pytest.mark.slow
def test_the_blotters_own_tables_can_be_measured():
    broker = sx.connect("mock://", quotes={"AAA": 100.0, "BBB": 50.0}, cash=10_000)
    with sx.open_blotter() as blotter:
        states = sx.rebalance({"AAA": 0.5, "BBB": 0.2}, broker, blotter, run_id="r", approve="me", dry_run=False)
        orders, fills = blotter.orders("r"), blotter.fills("r")
    assert slippage(orders, fills)["slippage_bps"].tolist() == [0.0, 0.0]
    done = completion(states, fills)
    assert done["fill_ratio"].tolist() == [1.0, 1.0]
    assert (done["first_fill_seconds"] > 0).all()
