from __future__ import annotations

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.demo import DEMO_LIMITS, demo_broker, demo_targets, run_demo


@pytest.fixture(scope="module")
def demo():
    lines = []
    with sx.open_blotter() as blotter:
        result = run_demo(blotter, say=lines.append)
        return result, lines, blotter.runs(), blotter.events("demo")


@pytest.mark.slow
def test_the_demo_has_orders_of_every_side_and_status(demo):
    states = demo[0].states
    assert set(states["side"]) == {"BUY", "SELL"}
    assert set(states["status"]) == {"FILLED", "PARTIAL", "REJECTED", "SUBMITTED"}
    by_symbol = states.set_index("symbol")
    assert by_symbol.loc["SPY", ["status", "reason"]].tolist() == ["REJECTED", "price_unavailable"]
    assert by_symbol.loc["KO", ["status", "filled_quantity"]].tolist() == ["PARTIAL", 400.0]
    assert by_symbol.loc["WMT", ["status", "order_type", "filled_quantity"]].tolist() == ["SUBMITTED", "LMT", 0.0]
    assert (demo[0].fills["client_order_id"].value_counts() > 1).any()


@pytest.mark.slow
def test_the_run_is_partial_and_approved_by_the_demo(demo):
    run = demo[2].iloc[0]
    assert (run["run_id"], run["status"], run["mode"], run["approved_by"]) == ("demo", "partial", "paper", "demo")
    assert run["nav"] == pytest.approx(1_000_000)


def test_a_market_order_costs_half_the_spread(demo):
    # The simulator trades at the touch, and arrival is the mid: cost = shares x half the spread.
    quotes = sx.sample_quotes().set_index("symbol")
    table = demo[0].slippage
    filled = table[table["filled_quantity"] > 0]
    half = (quotes["ask"] - quotes["bid"]).reindex(filled["symbol"]).to_numpy() / 2
    assert filled["slippage_cost"].to_numpy() == pytest.approx(filled["filled_quantity"].to_numpy() * half)
    assert demo[0].slippage_total["slippage_cost"] == pytest.approx(filled["slippage_cost"].sum())


def test_the_tables_of_the_demo_have_the_same_orders(demo):
    result = demo[0]
    ids = result.states["client_order_id"].tolist()
    assert result.slippage.index.tolist() == result.completion.index.tolist() == ids
    assert set(result.fills["client_order_id"]) <= set(ids)
    assert result.summary["orders"] + result.summary["rejected"] == len(ids)
    bought = result.fills["quantity"].groupby(result.fills["client_order_id"]).sum()
    filled = result.states.set_index("client_order_id")["filled_quantity"]
    pd.testing.assert_series_equal(bought, filled[filled > 0].sort_index(), check_names=False)


def test_each_submission_is_recorded_before_its_outcome(demo):
    events = demo[3]
    for _, history in events[events["client_order_id"].notna()].groupby("client_order_id"):
        kinds = history["kind"].tolist()
        assert kinds[0] in {"intent", "refused"}
        if kinds[0] == "intent":
            assert kinds[1] == "sending"


def test_the_progress_of_the_demo_is_printed_line_by_line(demo):
    lines = demo[1]
    assert lines[0] == "account value 1,000,000 USD, 8 positions; 21 targets by inverse volatility"
    assert lines[-1].endswith("run status: partial")


@pytest.mark.slow
def test_the_demo_is_the_same_each_time(demo):
    with sx.open_blotter() as blotter:
        again = run_demo(blotter)
    for name in ("states", "fills", "slippage", "completion"):
        mine, other = getattr(demo[0], name), getattr(again, name)
        # It runs in the present: times differ, and the ids of executions, which no two venues share.
        times = [one for one in mine.columns if one.endswith(("_at", "_seconds")) or one in ("checks", "exec_id")]
        pd.testing.assert_frame_equal(mine.drop(columns=times), other.drop(columns=times))


def test_targets_limits_and_account_of_the_demo_are_consistent():
    targets = demo_targets()
    assert targets["weight"].sum() == pytest.approx(1.0)  # nothing is left over as a cushion
    with demo_broker() as broker:
        assert set(broker.positions()["symbol"]) <= set(targets["symbol"])
        assert broker.nav() == pytest.approx(1_000_000)
    assert DEMO_LIMITS.max_position_ratio == 0.15


def test_the_demo_trades_a_paper_account_over_a_socket(demo):
    events = demo[3]
    placed = events[(events["kind"] == "status") & (events["status"] == "SUBMITTED")]
    assert placed["order_id"].notna().all()
    assert placed["perm_id"].notna().all()
    assert demo[0].states["account"].dropna().unique().tolist() == ["DU0000001"]
    seconds = demo[0].completion["first_fill_seconds"].dropna()
    assert len(seconds) == 21 - 2  # all but the one that rests and the one without a price
    assert (seconds >= 0).all()
