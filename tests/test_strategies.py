"""Whole rounds of two strategies in one account: plan, review, fills, whose they are, and the next round."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import ApprovalError, InputError

pytestmark = pytest.mark.slow

PRICES = {"SPY": 400.0, "TLT": 100.0, "GLD": 200.0}
SHARES = {"value": 0.6, "trend": 0.4}
HELD = {"SPY": 100, "TLT": 10}
OWN = {"value": {"SPY": 60}, "trend": {"SPY": 30}}
SIM_QUOTES = pd.DataFrame(
    [("SPY", 399.90, 400.10, 300.0, 300.0), ("TLT", 99.99, 100.01, 30.0, 30.0)],  # TLT fills in several executions
    columns=["symbol", "bid", "ask", "bid_size", "ask_size"],
).assign(currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
LOOSE = sx.Limits(duplicate_window=None)


def mock(**options):
    return sx.connect("mock://?seed=7", **({"quotes": PRICES, "positions": HELD, "cash": 59_000} | options))


@pytest.fixture
def broker():
    return mock()


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def assign(blotter, broker):
    return sx.assign_positions(blotter, OWN, positions=broker.positions(), account=broker.account, by="me")


def rows_of(frame):
    return sorted(frame[["strategy", "symbol", "quantity"]].to_numpy().tolist())


def targets_of(value, trend):
    return sx.net_targets({"value": value, "trend": trend}, SHARES)


# 0.6 x 100,000 x 0.4667 / 400 = 70.005 shares for value, which has 60; trend has 30, and shall have none.
FIRST = targets_of({"SPY": 0.4667}, {"SPY": 0.0, "TLT": 0.3})


def rebalance(targets, broker, blotter, run_id, **options):
    chosen = {"approve": "me", "dry_run": False, "limits": LOOSE} | options
    return sx.rebalance(targets, broker, blotter, run_id=run_id, **chosen)


def test_two_rounds_of_two_strategies_with_a_partial_fill(blotter):
    # The sell of 20 is filled in 8 and 5 and then cancelled.
    script = pd.DataFrame(
        [("SPY", "fill", 8.0), ("SPY", "fill", 5.0), ("SPY", "cancel", None)],
        columns=["symbol", "action", "quantity"],
    )
    broker = mock(fill_plan=script)
    assign(blotter, broker)
    state = broker.account_state(FIRST).with_strategies(blotter.strategy_positions(broker.positions()))
    orders = sx.plan_orders(FIRST, state, run_id="one")
    assert orders[["symbol", "side", "quantity"]].to_numpy().tolist() == [
        ["SPY", "SELL", 20.0],
        ["TLT", "BUY", 120.0],
    ]
    review = sx.review_orders(sx.check_orders(orders, LOOSE, state, blotter=blotter))
    assert review.approve_all(by="me") == 2
    states = sx.submit_orders(review.result(), broker, blotter).set_index("symbol")
    assert states["status"].to_dict() == {"SPY": "CANCELLED", "TLT": "FILLED"}
    found = sx.attribute_fills(blotter.orders("one"), blotter.fills("one"), blotter.crossings("one"))
    columns = ["kind", "symbol", "strategy", "side", "quantity", "price", "commission"]
    assert sorted(found[columns].to_numpy().tolist()) == [
        ["cross", "SPY", "trend", "SELL", 10.0, 400.0, 0.0],
        ["cross", "SPY", "value", "BUY", 10.0, 400.0, 0.0],
        ["fill", "SPY", "trend", "SELL", 5.0, 400.0, 0.0],
        ["fill", "SPY", "trend", "SELL", 8.0, 400.0, 1.0],
        ["fill", "TLT", "trend", "BUY", 120.0, 100.0, 1.0],
    ]
    # trend had 30, gave 10 to value, and sold 13. Of SPY 10 and of TLT 10 are unassigned.
    after = [
        ["trend", "SPY", 7.0],
        ["trend", "TLT", 120.0],
        ["unassigned", "SPY", 10.0],
        ["unassigned", "TLT", 10.0],
        ["value", "SPY", 70.0],
    ]
    assert (
        rows_of(blotter.strategy_positions()) == rows_of(blotter.strategy_positions(broker.positions())) == after
    )
    assert sx.reconcile(broker, blotter).empty
    # The next round: trend sells the 7 that are left, and value, which is at its target, does nothing.
    second = rebalance(FIRST, broker, blotter, "two")
    assert second[["symbol", "side", "quantity", "status"]].to_numpy().tolist() == [["SPY", "SELL", 7.0, "FILLED"]]
    assert blotter.crossings("two").empty
    assert rows_of(blotter.strategy_positions())[0] == ["trend", "TLT", 120.0]
    assert sx.reconcile(broker, blotter).empty


def test_what_an_order_left_is_ordered_again_for_those_who_wanted_it(blotter):
    script = pd.DataFrame(
        [("GLD", "fill", 20.0), ("GLD", "cancel", None)], columns=["symbol", "action", "quantity"]
    )
    broker = mock(fill_plan=script)
    assign(blotter, broker)
    # 45 and 20 shares: of 20 filled value has 14 (20 x 45/65 = 13.8) and trend 6.
    targets = targets_of({"GLD": 0.15, "SPY": 0.4}, {"GLD": 0.1, "SPY": 0.3})
    rebalance(targets, broker, blotter, "one")
    held = blotter.strategy_positions().set_index(["symbol", "strategy"])["quantity"]
    assert held["GLD"].to_dict() == {"trend": 6.0, "value": 14.0}
    rest = sx.residual_orders("one", blotter, quotes=PRICES)
    assert rest["strategy_quantities"].tolist() == ['{"trend": 14.0, "value": 31.0}']
    broker._steps.clear()  # from now on the market fills
    review = sx.review_orders(sx.check_orders(rest, LOOSE, broker.account_state()))
    review.approve_all(by="me")
    sx.submit_orders(review.result(), broker, blotter)
    held = blotter.strategy_positions().set_index(["symbol", "strategy"])["quantity"]
    assert held["GLD"].to_dict() == {"trend": 20.0, "value": 45.0}


def test_strategy_b_alone_sells_neither_as_shares_nor_unassigned_ones(broker, blotter):
    assign(blotter, broker)
    targets = pd.DataFrame({"symbol": ["SPY", "TLT"], "weight": [0.0, 0.02], "strategy": "trend"})
    done = rebalance(targets, broker, blotter, "b")
    assert done[["symbol", "side", "quantity"]].to_numpy().tolist() == [
        ["SPY", "SELL", 30.0],
        ["TLT", "BUY", 20.0],
    ]
    assert broker.positions().set_index("symbol")["quantity"].to_dict() == {"SPY": 70.0, "TLT": 30.0}
    assert rows_of(blotter.strategy_positions()) == [
        ["trend", "TLT", 20.0],
        ["unassigned", "SPY", 10.0],
        ["unassigned", "TLT", 10.0],
        ["value", "SPY", 60.0],
    ]


def test_a_plan_that_only_crosses_is_recorded_without_an_order(broker, blotter):
    assign(blotter, broker)
    # value shall have 90, 0.6 x 100,000 x 0.6 / 400, and trend nothing.
    done = rebalance(targets_of({"SPY": 0.6}, {"SPY": 0.0}), broker, blotter, "c", allow_liquidation=True)
    assert done.empty
    assert blotter.runs()["status"].tolist() == ["done"]
    assert rows_of(blotter.strategy_positions(broker.positions()))[-1] == ["value", "SPY", 90.0]
    rebalance(targets_of({"SPY": 0.6}, {"SPY": 0.0}), broker, blotter, "c", allow_liquidation=True)
    assert blotter.crossings()["quantity"].tolist() == [30.0, 30.0]


def test_an_order_of_more_than_the_strategies_want_is_not_recorded(broker, blotter):
    assign(blotter, broker)
    state = broker.account_state(FIRST).with_strategies(OWN)
    orders = sx.plan_orders(FIRST, state, run_id="one")
    orders.loc[orders["symbol"] == "SPY", "quantity"] = (
        21.0  # trend wants to sell 20, and would sell one of value's
    )
    review = sx.review_orders(sx.check_orders(orders, LOOSE, state))
    review.approve_all(by="me")
    with pytest.raises(InputError, match="strategies want 20 shares of it together"):
        sx.submit_orders(review.result(), broker, blotter)
    assert blotter.runs().empty


def test_crossings_and_assignments_are_exported(broker, blotter, tmp_path):
    assign(blotter, broker)
    rebalance(FIRST, broker, blotter, "one")
    folder = blotter.export(tmp_path / "export")
    for name in ("crossings", "assignments"):
        query = f"SELECT quantity FROM '{folder / name / name}.parquet'"  # noqa: S608 - a folder of this test
        assert duckdb.sql(query).df()["quantity"].tolist() == getattr(blotter, name)()["quantity"].tolist()


def test_an_order_that_is_not_approved_crosses_nothing(broker, blotter):
    assign(blotter, broker)

    def leave_out_spy(review):
        review.approve_all(by="me")
        review.reject("one-SPY-SELL", by="me")

    rebalance(FIRST, broker, blotter, "one", approve=leave_out_spy)
    assert blotter.crossings().empty
    assert ["trend", "SPY", 30.0] in rows_of(blotter.strategy_positions())


def test_who_wanted_what_is_part_of_the_approval(broker, blotter):
    assign(blotter, broker)
    plan = rebalance(FIRST, broker, blotter, "one", dry_run=True)
    changed = plan.assign(strategy_quantities=plan["strategy_quantities"].str.replace("trend", "value2"))
    with pytest.raises(ApprovalError, match="changed since they were approved"):
        sx.submit_orders(changed, broker, blotter)


def test_an_approved_plan_is_submitted_from_a_file(broker, blotter, tmp_path):
    assign(blotter, broker)
    plan = rebalance(FIRST, broker, blotter, "one", dry_run=True)
    plan.to_csv(tmp_path / "plan.csv", index=False)
    sx.submit_orders(pd.read_csv(tmp_path / "plan.csv"), broker, blotter)
    assert rows_of(blotter.strategy_positions())[-1] == ["value", "SPY", 70.0]


def test_a_trade_by_hand_is_a_difference_and_stops_netting_of_that_name(broker, blotter):
    assign(blotter, broker)
    rebalance(FIRST, broker, blotter, "one")
    broker = mock(positions={"SPY": 50, "TLT": 130})  # somebody has sold 30 of the 80
    found = sx.reconcile(broker, blotter, halt=False).set_index("kind").loc["strategies_differ"]
    assert found[["symbol", "blotter", "broker", "difference"]].tolist() == ["SPY", 80.0, 50.0, -30.0]
    assert "70 of value and 10 unassigned" in found["detail"]
    second = rebalance(targets_of({"SPY": 0.0, "GLD": 0.1}, {"TLT": 0.3}), broker, blotter, "two", dry_run=True)
    assert second.set_index("symbol").loc["SPY", ["status", "reason"]].tolist() == ["REJECTED", "strategy_break"]


def test_the_example_of_the_readme_runs(broker, blotter):
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    (example,) = re.findall(r"## Several strategies in one account\n\n```python\n(.*?)```", readme, re.DOTALL)
    (sized,) = re.findall(r"own NAV, say once.*?```python\n(.*?)```", readme, re.DOTALL)
    names = {"sx": sx, "broker": broker, "blotter": blotter, "value": {"SPY": 0.5}, "trend": {"SPY": 0.2}}
    exec(example, names)  # noqa: S102 - our own README
    names["broker"] = mock(positions={"SPY": 95, "TLT": 10}, cash=61_000)
    exec(sized, names)  # noqa: S102 - our own README
    # 66,000 and 32,000 of 100,000: 75 and 20 shares, and their cash; 1,000 of TLT and of cash are nobody's.
    assert names["targets"]["weight"].tolist() == [0.5 * 0.66 + 0.2 * 0.32]
    # 0.6 and 0.4 of 100,000: 75 and 20 shares at 400. Of the 100 in the account none is unassigned; 10 of TLT are.
    assert rows_of(blotter.strategy_positions(broker.positions())) == [
        ["trend", "SPY", 20.0],
        ["unassigned", "TLT", 10.0],
        ["value", "SPY", 75.0],
    ]


def resting(*rows):
    return pd.DataFrame(rows, columns=["symbol", "action", "quantity"])


def test_the_same_targets_again_order_nothing_twice_while_the_order_works(blotter):
    # 45 of GLD for value and 20 for trend; 20 are filled, 14 and 6 of them, and the rest works.
    broker = mock(fill_plan=resting(("GLD", "fill", 20.0), ("GLD", "rest", None)))
    assign(blotter, broker)
    targets = targets_of({"GLD": 0.15, "SPY": 0.4}, {"GLD": 0.1, "SPY": 0.3})
    rebalance(targets, broker, blotter, "one", timeout=0.2)
    assert broker.open_orders()["client_order_id"].tolist() == ["one-GLD-BUY"]
    again = rebalance(targets, broker, blotter, "two", timeout=0.2)
    assert again[again["symbol"] == "GLD"].empty
    assert len(broker.open_orders()) == 1


def test_one_strategy_trades_while_the_order_of_another_works(blotter):
    broker = mock(fill_plan=resting(("GLD", "fill", 10.0), ("GLD", "rest", None)))
    assign(blotter, broker)
    value = pd.DataFrame({"symbol": ["GLD", "SPY"], "weight": [0.08, 0.24], "strategy": "value"})
    rebalance(value, broker, blotter, "one", timeout=0.2)  # 40 of GLD, of which 10 are filled
    broker._steps.clear()  # from now on the market fills new orders
    trend = pd.DataFrame({"symbol": ["GLD", "SPY"], "weight": [0.04, 0.12], "strategy": "trend"})
    done = rebalance(trend, broker, blotter, "two", timeout=0.2)
    assert done[["symbol", "quantity", "status"]].to_numpy().tolist() == [["GLD", 20.0, "FILLED"]]
    held = blotter.strategy_positions(broker.positions()).set_index(["symbol", "strategy"])["quantity"]
    assert held["GLD"].to_dict() == {"trend": 20.0, "value": 10.0}
    assert sx.reconcile(broker, blotter).empty


def test_what_was_filled_while_nobody_recorded_it_is_not_bought_again(tmp_path, blotter):
    broker = mock(fill_plan=resting(("GLD", "rest", None)))
    assign(blotter, broker)
    targets = targets_of({"GLD": 0.15, "SPY": 0.4}, {"SPY": 0.3})
    rebalance(targets, broker, blotter, "one", timeout=0.2)
    # The next day: the order has been filled, and the record does not know it.
    broker = mock(positions={**HELD, "GLD": 45}, cash=50_000)
    row = rebalance(targets, broker, blotter, "two", dry_run=True).set_index("symbol").loc["GLD"]
    assert (row["status"], row["reason"]) == ("REJECTED", "open_order_exists")
    assert "sx.resume('one', broker, blotter)" in row["detail"]


def test_the_week_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (Path(__file__).parents[1] / "docs" / "strategies.md").read_text("utf-8")
    names = {}
    for example in re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[:2]:
        exec(example, names)  # noqa: S102 - our own guide
    monday, blotter, broker = names["monday"], names["blotter"], names["broker"]
    assert monday[["symbol", "side", "quantity"]].to_numpy().tolist() == [
        ["SPY", "SELL", 15.0],
        ["TLT", "BUY", 200.0],
    ]
    assert blotter.crossings()["quantity"].tolist() == [27.0, 27.0]
    # value: 34,800 - 27 x 400; trend: 23,200 + 42 x 400 - 200 x 100, and a commission of 1 for each order.
    assert blotter.strategy_cash(broker.account_state()).to_numpy().tolist() == [
        ["trend", "USD", 19_998.0],
        ["value", "USD", 24_000.0],
    ]
    blotter.close()


CHILD = """
import os, sys
import stocklean_exec as sx
from stocklean_exec.execution import submission

async def killed(*arguments, **options):
    os._exit(9)

submission.work_run = killed  # the plan is on disk, and nothing is sent
sys.path.insert(0, {tests!r})
from test_strategies import FIRST, assign, mock, rebalance

broker, blotter = mock(), sx.open_blotter({file!r})
assign(blotter, broker)
rebalance(FIRST, broker, blotter, "one")
"""


def test_a_kill_between_the_record_and_the_first_order_books_nothing_twice(tmp_path):
    file = tmp_path / "paper.duckdb"
    code = CHILD.format(tests=__file__.rsplit("/", 1)[0], file=str(file))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with sx.open_blotter(file) as blotter, mock() as broker:
        assert blotter.crossings()["quantity"].tolist() == [10.0, 10.0]
        assert rows_of(blotter.strategy_positions(account=broker.account)) == [
            ["trend", "SPY", 20.0],
            ["value", "SPY", 70.0],
        ]
        for _ in range(2):
            states = sx.resume("one", broker, blotter, progress=False)
            assert states["status"].tolist() == ["FILLED", "FILLED"]
            assert blotter.crossings()["quantity"].tolist() == [10.0, 10.0]
            assert rows_of(blotter.strategy_positions())[0] == ["trend", "TLT", 120.0]
        assert sx.reconcile(broker, blotter).empty


def test_a_round_over_the_wire(tmp_path):
    with (
        sx.connect("sim://?seed=7&clock=virtual", quotes=SIM_QUOTES, cash=1_000_000) as broker,
        sx.open_blotter(tmp_path / "paper.duckdb") as blotter,
    ):
        nav = broker.nav()
        first = sx.net_targets({"value": {"SPY": 0.06}, "trend": {"SPY": 0.03, "TLT": 0.02}}, SHARES)
        rebalance(first, broker, blotter, "one")
        bought = blotter.strategy_positions().set_index(["strategy", "symbol"])["quantity"].to_dict()
        for (strategy, symbol), shares in bought.items():
            weight = {"value": {"SPY": 0.036}, "trend": {"SPY": 0.012, "TLT": 0.008}}[strategy][symbol]
            assert abs(shares - weight * nav / PRICES[symbol]) < 1.01
        # value takes 20 of the shares that trend sells, to its whole share.
        wish = (bought["value", "SPY"] + 20.2) * 400 / (0.6 * broker.nav())
        second = sx.net_targets({"value": {"SPY": wish}, "trend": {"SPY": 0.0, "TLT": 0.02}}, SHARES)
        rebalance(second, broker, blotter, "two")
        crossed = blotter.crossings("two")
        assert crossed[["strategy", "side", "quantity", "price"]].to_numpy().tolist() == [
            ["trend", "SELL", 20.0, 400.0],
            ["value", "BUY", 20.0, 400.0],
        ]
        fills = blotter.fills()
        found = sx.attribute_fills(blotter.orders(), fills, blotter.crossings())
        part = found[found["kind"] == "fill"].groupby("exec_id")[["quantity", "commission"]].sum()
        whole = fills.set_index("exec_id")[["quantity", "commission"]]
        pd.testing.assert_frame_equal(part, whole.loc[part.index], check_exact=False, rtol=0, atol=1e-9)
        held = (
            blotter.strategy_positions(broker.positions()).set_index(["strategy", "symbol"])["quantity"].to_dict()
        )
        assert held == {("trend", "TLT"): bought["trend", "TLT"], ("value", "SPY"): bought["value", "SPY"] + 20}
        assert sx.reconcile(broker, blotter).empty
