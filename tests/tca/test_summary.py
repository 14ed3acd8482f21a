from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.summary import cost_summary, modified_z_scores

NAN = math.nan
AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")

ORDERS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "b", "c", "d"],
        "symbol": ["AAA", "BBB", "CCC", "<b>"],
        "side": ["BUY", "SELL", "BUY", "SELL"],
        "quantity": [100.0, 200.0, 50.0, 80.0],
        "order_type": ["MKT", "LMT", "MKT", "LMT"],
        "limit_price": [NAN, 49.0, NAN, 26.0],
        "decision_price": [99.0, 52.0, 10.0, 25.0],
        "arrival_bid": [99.5, 49.0, NAN, 24.9],
        "arrival_ask": [100.5, 51.0, NAN, 25.1],
        "arrival_price": [100.0, 50.0, NAN, 25.0],
        "final_price": [101.0, 48.0, 12.0, 25.0],
        "arrived_at": [AT, AT + pd.Timedelta(hours=1), pd.NaT, AT],
        "status": ["FILLED", "PARTIAL", "REJECTED", "FILLED"],
        "reason": [None, None, "price_unavailable", None],
    }
)
FILLS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "a", "b", "d"],
        "quantity": [40.0, 60.0, 100.0, 80.0],
        "price": [100.0, 101.0, 49.0, 26.0],
        "commission": [1.0, 1.0, 1.0, NAN],
        "exchange": ["X", "Y", "X", "Y"],
        "liquidity": ["removed", "added", "removed", "added"],
    }
)
# against arrival: a +60 of 10,000; b +100 of 5,000; d -80 of 2,000. In all 80 of 17,000.
# half spreads: a 0.50 x 100 = 50, b 1 x 100 = 100, d 0.10 x 80 = 8: 158 of 17,000.


@pytest.mark.slow
def test_the_headline_is_a_ratio_of_sums():
    row = cost_summary(ORDERS_, FILLS_).headline.loc["all"]
    assert row[["orders", "filled_orders", "commissions_due"]].tolist() == [4, 3, 1]
    assert row["filled_notional"] == pytest.approx(17_000)
    assert row["slippage_cost"] == pytest.approx(80)
    assert row["slippage_bps"] == pytest.approx(80 / 17_000 * 1e4)
    assert row["half_spread_bps"] == pytest.approx(158 / 17_000 * 1e4)
    assert row["impact_bps"] == pytest.approx(-78 / 17_000 * 1e4)
    assert row["commission_bps"] == pytest.approx(3 / 17_000 * 1e4)
    assert row["friction_bps"] == pytest.approx(83 / 17_000 * 1e4)
    # paper: 9,900 + 10,400 + 500 + 2,000; done: 9,900 + 5,200 + 2,000
    assert row["fill_ratio"] == pytest.approx(17_100 / 22_800)
    # measured: a 100 + 60 + 2 = 162; b 200 x 2 + 100 + 100 x 2 + 1 = 701; c 50 x 2 = 100 unsplit; d's commission
    # is due
    assert row[["measured", "unsplit_orders"]].tolist() == [3, 1]
    assert row["total_cost"] == pytest.approx(162 + 701 + 100)
    assert row["total_bps"] == pytest.approx(963 / 20_800 * 1e4)
    assert row[["delay_cost", "trading_cost", "opportunity_cost", "fees"]].tolist() == pytest.approx(
        [500, 160, 200, 3]
    )


@pytest.mark.slow
def test_an_order_with_a_fill_that_is_dated_by_its_report_is_flagged():
    times = [AT, AT + pd.Timedelta(seconds=5), AT + pd.Timedelta(hours=1), AT]
    fills = FILLS_.assign(filled_at=times, time_unreliable=[False, True, False, False])
    table = cost_summary(ORDERS_, fills).orders
    before = cost_summary(ORDERS_, FILLS_).orders
    flags = [(now, old) for now, old in zip(table["flags"].fillna(""), before["flags"].fillna(""), strict=True)]
    assert [now for now, old in flags if now != old] == ["time_unreliable"]
    np.testing.assert_array_equal(table["last_fill_seconds"], [NAN, 0.0, NAN, 0.0])
    assert table["slippage_cost"].equals(before["slippage_cost"])


@pytest.mark.slow
def test_the_error_of_the_headline_is_that_of_a_weighted_mean():
    row = cost_summary(ORDERS_, FILLS_).headline.loc["all"]
    bps, weight = np.array([60, 200, -400]), np.array([10_000, 5_000, 2_000])
    mean = (bps * weight).sum() / weight.sum()
    wanted = math.sqrt(1.5 * (weight**2 * (bps - mean) ** 2).sum()) / weight.sum()
    assert row["slippage_se_bps"] == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "groups", "costs"),
    [
        ("side", ["BUY", "SELL"], [60, 20]),
        ("symbol", ["<b>", "AAA", "BBB", "CCC"], [-80, 60, 100, NAN]),
        ("order_type", ["LMT", "MKT"], [20, 60]),
        ("size", ["below 10k", "10k to 50k"], [-20, 100]),
        ("hour", ["10:00", "11:00", NAN], [-20, 100, NAN]),
        # fills: a 40 at 0, 60 at +1; b 100 at +1; d 80 at -1
        ("exchange", ["X", "Y"], [100, -20]),
        ("liquidity", ["added", "removed"], [-20, 100]),
    ],
)
def test_tables_have_the_cost_of_each_group(name, groups, costs):
    table = cost_summary(ORDERS_, FILLS_).tables[name]
    assert table.index.fillna("").tolist() == ["" if group is NAN else group for group in groups]
    np.testing.assert_allclose(table["slippage_cost"], costs)
    np.testing.assert_allclose(table["slippage_bps"], 1e4 * table["slippage_cost"] / table["filled_notional"])


def test_every_table_adds_up_to_the_headline():
    summary = cost_summary(ORDERS_.assign(book="one"), FILLS_, by=["book"])
    for table in summary.tables.values():
        assert table["slippage_cost"].sum() == pytest.approx(80)
        assert table["filled_notional"].sum() == pytest.approx(17_000)
    assert "book" not in summary.orders.columns or summary.tables["book"].index.tolist() == ["one"]


def test_worst_orders_come_with_their_quotes_and_incomplete_ones_with_their_reason():
    summary = cost_summary(ORDERS_, FILLS_)
    assert summary.worst.index.tolist() == ["b", "a", "d"]
    assert summary.worst.loc["b", ["arrival_bid", "arrival_ask", "slippage_bps"]].tolist() == [49, 51, 200]
    assert summary.incomplete.index.tolist() == ["b", "c"]
    assert summary.incomplete["reason"].tolist() == ["working", "price_unavailable"]
    assert summary.incomplete["opportunity_cost"].iloc[0] == 200


def test_outliers_follow_the_published_rule():
    # Hand calculation: median 2.5, deviations 1.5, 0.5, 0.5, 97.5, their median 1
    scores = modified_z_scores(np.array([1.0, 2.0, 3.0, 100.0]))
    np.testing.assert_allclose(scores, [-1.5 * 0.6745, -0.5 * 0.6745, 0.5 * 0.6745, 97.5 * 0.6745])
    assert modified_z_scores(np.array([5.0, 5.0])).tolist() == [0, 0]
    orders = pd.DataFrame(
        {
            "client_order_id": [f"o{i}" for i in range(20)],
            "symbol": "A",
            "side": "BUY",
            "quantity": 1.0,
            "decision_price": 100.0,
            "arrival_price": 100.0,
        }
    )
    fills = orders[["client_order_id", "quantity"]].assign(price=100 + np.arange(20) / 100, commission=0.0)
    fills.loc[19, "price"] = 110.0
    assert cost_summary(orders, fills).outliers.index.tolist() == ["o19"]
    fills.loc[[17, 18], "price"] = [90.0, 105.0]  # o17 is far off, but better
    for sign in ("cost", "performance"):
        assert cost_summary(orders, fills, sign=sign).outliers.index.tolist() == ["o19", "o18", "o17"]


@pytest.mark.slow
def test_performance_reverses_every_sign_and_uses_the_brokers_names():
    cost, gain = cost_summary(ORDERS_, FILLS_), cost_summary(ORDERS_, FILLS_, sign="performance")
    for name in ("slippage_cost", "slippage_bps", "half_spread_bps", "impact_bps", "friction_bps", "total_cost"):
        assert gain.headline[name].iloc[0] == pytest.approx(-cost.headline[name].iloc[0])
    assert gain.worst.index.tolist() == cost.worst.index.tolist()
    table = gain.ibkr
    # a is a market order, b sells at the bid or above; d's limit is above the bid, c was never sent
    assert table.index.tolist() == ["Marketable", "Non-marketable"]
    assert table["Volume"].tolist() == [200, 80]
    value = 40 * 100 + 60 * 101 + 100 * 49
    assert table.loc["Marketable", "Arrival Price"] == pytest.approx(-160 / value * 1e4)
    # a against the ask of 100.50: 40 x 0.50 - 60 x 0.50; b against the bid of 49: nothing
    assert table.loc["Marketable", "Price Improvement"] == pytest.approx(-10 / value * 1e4)
    assert table.loc["Non-marketable", "Arrival Price"] == pytest.approx(80 / (80 * 26) * 1e4)
    assert table["Interval VWAP"].isna().all()
    assert table["Commissions"].fillna(0).tolist() == [3, 0]
    assert len(cost.ibkr) == 0


@pytest.mark.slow
def test_notebook_output_is_escaped():
    summary = cost_summary(ORDERS_, FILLS_)
    shown = summary._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert repr(summary) == "<CostSummary: 4 orders, 3 with fills, slippage 47.06 bp, 2 flagged>"


@pytest.mark.slow
def test_empty_input_gives_typed_empty_output():
    summary = cost_summary(ORDERS.empty(), FILLS.empty())
    assert summary.headline.loc["all", ["orders", "filled_orders", "measured"]].tolist() == [0, 0, 0]
    assert math.isnan(summary.headline.loc["all", "slippage_bps"])
    assert all(len(table) == 0 for table in summary.tables.values())
    assert len(summary.worst) == len(summary.outliers) == len(summary.incomplete) == 0
    gain = cost_summary(ORDERS.empty(), FILLS.empty(), sign="performance")
    assert len(gain.ibkr) == 0


@pytest.mark.slow
def test_several_currencies_are_added_up_with_rates():
    orders = ORDERS_.assign(currency=["USD", "EUR", "USD", "USD"])
    with pytest.raises(InputError, match="currency_mixed"):
        cost_summary(orders, FILLS_)
    summary = cost_summary(orders, FILLS_, fx={"USD": 1.0, "EUR": 2.0})
    assert summary.headline.loc["all", "slippage_cost"] == pytest.approx(60 + 200 - 80)
    assert summary.tables["exchange"]["slippage_cost"].sum() == pytest.approx(180)


@pytest.mark.slow
def test_a_summary_can_be_made_directly_from_a_blotter():
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=100_000)
    with sx.open_blotter() as blotter:
        sx.rebalance({"AAA": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
        summary = sx.cost_summary(blotter)
    assert summary.headline["filled_orders"].iloc[0] == 1


@pytest.mark.slow
def test_the_expected_cost_is_in_the_headline():
    orders = ORDERS_.assign(expected_cost_bps=[50.0, 100.0, 10.0, NAN])
    summary = cost_summary(orders, FILLS_)
    # of a and b, which have an estimate and fills: 50 x 10,000 and 100 x 5,000
    assert summary.headline.loc["all", "expected_bps"] == pytest.approx(1_000_000 / 15_000)
    assert summary.orders["expected_bps"].tolist()[:3] == [50, 100, 10]


@pytest.mark.slow
def test_the_marketability_of_a_limit_against_a_delayed_quote_is_unknown():
    orders = pd.DataFrame(
        {
            "client_order_id": ["a", "b"], "symbol": "A", "side": "BUY", "quantity": 10.0, "order_type": "LMT",
            "limit_price": 101.0, "decision_price": 100.0, "arrival_price": 100.0, "arrival_bid": 99.0,
            "arrival_ask": 101.0, "arrival_delayed": pd.array([True, pd.NA], dtype="boolean"),
        }
    )  # fmt: skip
    fills = pd.DataFrame({"client_order_id": ["a", "b"], "quantity": 10.0, "price": 100.5, "commission": 1.0})
    assert cost_summary(orders, fills, sign="performance").ibkr.index.tolist() == ["Marketable", "Unknown"]
