from __future__ import annotations

import asyncio

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import HaltedError, IdempotencyConflictError, InputError
from stocklean_exec.rebalancing import prepare

MARKET = {"SPY": 100.0, "TLT": 50.0}
TARGETS = {"SPY": 0.5, "TLT": 0.2}


@pytest.fixture
def blotter():
    with sx.open_blotter() as blotter:
        yield blotter


def broker_of(**options):
    return sx.connect("mock://", quotes=MARKET, cash=10_000, **options)


def test_a_dry_run_is_the_default_and_sends_and_records_nothing(blotter):
    broker = broker_of()
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann")
    assert plan[["symbol", "quantity", "status", "approved"]].to_numpy().tolist() == [
        ["SPY", 50.0, "NEW", True],
        ["TLT", 40.0, "NEW", True],
    ]
    assert broker.cash() == 10_000.0
    assert len(blotter.runs()) == len(blotter.orders()) == 0


def test_the_result_of_a_dry_run_can_be_submitted(blotter):
    broker = broker_of()
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann")
    assert sx.submit_orders(plan, broker, blotter)["status"].tolist() == ["FILLED", "FILLED"]


def test_one_call_goes_from_targets_to_fills(blotter):
    broker = broker_of()
    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert states["status"].tolist() == ["FILLED", "FILLED"]
    assert broker.positions()["quantity"].tolist() == [50.0, 40.0]
    assert broker.cash() == 10_000 - 5_000 - 2_000 - 2.0
    assert blotter.runs()["status"].tolist() == ["done"]
    assert blotter.runs()["approved_by"].tolist() == ["ann"]


@pytest.mark.parametrize("approve", [None, False, ""])
def test_without_an_approval_nothing_is_sent_and_the_run_is_cancelled(blotter, approve):
    broker = broker_of()
    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=approve, dry_run=False)
    assert states["reason"].tolist() == ["not_approved", "not_approved"]
    assert blotter.runs()["status"].tolist() == ["cancelled"]
    assert broker.cash() == 10_000.0


def test_a_function_can_decide(blotter):
    broker = broker_of()

    def decide(review):
        review.edit("r-SPY-BUY", quantity=3, by="bob")
        review.approve("r-SPY-BUY", by="bob")

    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=decide, dry_run=False)
    assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["FILLED", 3.0], ["CANCELLED", 0.0]]


def test_true_approves_in_the_name_of_the_present_user(blotter):
    sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve=True, dry_run=False)
    assert blotter.runs()["approved_by"].notna().all()


def test_the_same_run_again_sends_nothing_and_returns_the_same_rows(blotter):
    broker = broker_of()
    first = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)
    # The book is at its targets now, so the plan is empty; a new account would get the same plan again.
    for again in (broker, broker_of()):
        pd.testing.assert_frame_equal(
            sx.rebalance(TARGETS, again, blotter, run_id="r", approve="ann", dry_run=False), first
        )
    assert again.cash() == 10_000.0
    assert len(blotter.fills()) == 2


def test_other_targets_under_the_same_run_are_an_error(blotter):
    sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve="ann", dry_run=False)
    with pytest.raises(IdempotencyConflictError):
        sx.rebalance({"SPY": 0.4}, broker_of(), blotter, run_id="r", approve="ann", dry_run=False)


def test_a_book_at_its_targets_gives_no_run(blotter):
    broker = sx.connect("mock://", quotes=MARKET, cash=0, positions={"SPY": 100})
    states = sx.rebalance({"SPY": 1.0}, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert len(states) == 0
    assert str(states["quantity"].dtype) == "float64"
    assert len(blotter.runs()) == 0


def test_a_halt_blocks_a_dry_run_order_by_order(blotter):
    blotter.halt("drill")
    plan = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve="ann")
    assert plan["reasons"].tolist() == ["halted", "halted"]
    assert not plan["approved"].any()


def test_a_halt_blocks_the_run_which_can_be_sent_once_it_is_cleared(blotter):
    broker = broker_of()
    blotter.halt("drill")
    with pytest.raises(HaltedError, match="drill"):
        sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert blotter.runs()["status"].tolist() == ["blocked"]
    assert broker.cash() == 10_000.0
    blotter.clear_halt("over")
    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert states["status"].tolist() == ["FILLED", "FILLED"]


def test_the_limits_are_held_and_an_old_approval_counts_as_they_say(blotter):
    limits = sx.Limits(max_order_notional=2_500)
    states = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", limits=limits, approve="ann", dry_run=False)
    assert states[["status", "reason"]].fillna("").to_numpy().tolist() == [
        ["REJECTED", "max_notional"],
        ["FILLED", ""],
    ]


def test_holdings_and_options_of_the_plan_are_heeded(blotter):
    broker = broker_of(positions={"TLT": 10})
    with pytest.raises(InputError) as caught:
        sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert caught.value.codes == ("unlisted_position",)
    states = sx.rebalance(
        {"SPY": 0.5}, broker, blotter, run_id="r", approve="ann", dry_run=False, unlisted="close"
    )
    assert states["client_order_id"].tolist() == ["r-TLT-SELL", "r-SPY-BUY"]


def test_nav_can_be_given_instead_of_the_brokers(blotter):
    plan = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", nav=1_000)
    assert plan["quantity"].tolist() == [5.0, 4.0]


def test_targets_can_be_a_file(blotter, tmp_path):
    file = tmp_path / "targets.csv"
    file.write_text("symbol,weight\nSPY,0.5\n")
    assert sx.rebalance(file, broker_of(), blotter, run_id="r")["quantity"].tolist() == [50.0]


def test_it_can_be_awaited_and_called_inside_a_running_loop(blotter):
    async def cell():
        await sx.rebalance_async(TARGETS, broker_of(), blotter, run_id="a", approve="ann", dry_run=False)
        sx.rebalance({"SPY": 0.1}, broker_of(), blotter, run_id="b", approve="ann", dry_run=False)

    asyncio.run(cell())
    assert blotter.runs()["status"].tolist() == ["done", "done"]


def test_what_is_prepared_is_a_review_of_the_checked_plan(blotter):
    review = prepare(TARGETS, broker_of(), blotter, run_id="r")
    assert repr(review) == "<OrderReview r: 2 orders, 0 approved, 0 rejected, 2 open, 0 blocked>"


# -- a plan that is refused on one side ------------------------------------------------------------------------

ROTATION = {f"E{number:02d}": 15 + 13.37 * number for number in range(22)}


def rotation_broker(scheme):
    return sx.connect(f"{scheme}://?seed=7", quotes=ROTATION, positions={"E00": 3_000, "E01": 1_500}, cash=100.0)


@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_a_fully_invested_rotation_trades_both_sides_at_default_settings(blotter, scheme):
    targets = dict.fromkeys(list(ROTATION)[2:], 1 / 20)
    with rotation_broker(scheme) as broker:
        done = sx.rebalance(
            targets, broker, blotter, run_id="r", approve="ann", dry_run=False, unlisted="close", timeout=10
        )
        assert done.groupby(["side", "status"]).size().to_dict() == {("BUY", "FILLED"): 20, ("SELL", "FILLED"): 2}
        assert 0 <= broker.cash() < 0.01 * broker.nav()


@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_sells_do_not_leave_when_the_buys_they_were_to_pay_for_are_refused(blotter, scheme):
    targets = dict.fromkeys(list(ROTATION)[2:], 1 / 20)
    options = {"approve": "ann", "dry_run": False, "unlisted": "close", "timeout": 10, "reserve": 0}
    with rotation_broker(scheme) as broker:
        before = broker.positions()
        states = sx.rebalance(targets, broker, blotter, run_id="r", **options)
        pd.testing.assert_frame_equal(broker.positions(), before)
        reasons = states.groupby(["side", "status", "reason"]).size().to_dict()
        assert reasons == {
            ("BUY", "REJECTED", "insufficient_cash"): 20,
            ("SELL", "CANCELLED", "one_sided_plan"): 2,
        }
        run = blotter.runs().iloc[0]
        assert run["status"] == "blocked"
        assert "the 2 sells that were to pay for them were not sent; one_sided=True sends these" in run["message"]
        alone = sx.rebalance(targets, broker, blotter, run_id="s", one_sided=True, **options)
        assert alone.groupby(["side", "status"]).size().to_dict() == {
            ("BUY", "REJECTED"): 20,
            ("SELL", "FILLED"): 2,
        }


@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_shorts_do_not_leave_without_the_longs(blotter, scheme):
    # 130/30 on 10,000: the longs want 13,000, and the shorts bring 3,000; 2 of commission are not there.
    limits = sx.Limits(allow_short=True)
    options = {"approve": "ann", "dry_run": False, "limits": limits, "allow_short": True, "max_gross": 1.6}
    quotes = {"LONG": 50.0, "SHRT": 25.0}
    with sx.connect(f"{scheme}://?seed=7", quotes=quotes, cash=10_000) as broker:
        targets = {"LONG": 1.3, "SHRT": -0.3}
        refused = sx.rebalance(targets, broker, blotter, run_id="r", reserve=0, **options)
        assert sorted(refused["reason"]) == ["insufficient_cash", "one_sided_plan"]
        assert not len(broker.positions())
        done = sx.rebalance(targets, broker, blotter, run_id="s", timeout=10, **options)
        assert done["status"].tolist() == ["FILLED", "FILLED"]
        assert broker.cash() >= 0
