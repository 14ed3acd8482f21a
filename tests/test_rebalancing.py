from __future__ import annotations

import asyncio
from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, HaltedError, IdempotencyConflictError, InputError
from stocklean_exec.rebalancing import prepare

MARKET = {"SPY": 100.0, "TLT": 50.0}
TARGETS = {"SPY": 0.5, "TLT": 0.2}


@pytest.fixture
def blotter():
    with sx.open_blotter() as blotter:
        yield blotter


def broker_of(**options):
    return sx.connect("mock://", quotes=MARKET, cash=10_000, **options)


@pytest.mark.slow
def test_a_dry_run_is_the_default_and_sends_and_records_nothing(blotter):
    broker = broker_of()
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann")
    assert plan[["symbol", "quantity", "status", "approved"]].to_numpy().tolist() == [
        ["SPY", 50.0, "NEW", True],
        ["TLT", 40.0, "NEW", True],
    ]
    assert broker.cash() == 10_000.0
    assert len(blotter.runs()) == len(blotter.orders()) == 0


@pytest.mark.slow
def test_the_result_of_a_dry_run_can_be_submitted(blotter):
    broker = broker_of()
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann")
    assert sx.submit_orders(plan, broker, blotter)["status"].tolist() == ["FILLED", "FILLED"]


@pytest.mark.slow
def test_one_call_goes_from_targets_to_fills(blotter):
    broker = broker_of()
    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert states["status"].tolist() == ["FILLED", "FILLED"]
    assert broker.positions()["quantity"].tolist() == [50.0, 40.0]
    assert broker.cash() == 10_000 - 5_000 - 2_000 - 2.0
    assert blotter.runs()["status"].tolist() == ["done"]
    assert blotter.runs()["approved_by"].tolist() == ["ann"]


@pytest.mark.slow
@pytest.mark.parametrize("approve", [None, False, ""])
def test_without_an_approval_nothing_is_sent_and_the_run_is_cancelled(blotter, approve):
    broker = broker_of()
    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=approve, dry_run=False)
    assert states["reason"].tolist() == ["not_approved", "not_approved"]
    assert blotter.runs()["status"].tolist() == ["cancelled"]
    assert broker.cash() == 10_000.0


@pytest.mark.slow
def test_approval_can_be_given_by_a_function(blotter):
    broker = broker_of()

    def decide(review):
        review.edit("r-SPY-BUY", quantity=3, by="bob")
        review.approve("r-SPY-BUY", by="bob")

    states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=decide, dry_run=False)
    assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["FILLED", 3.0], ["CANCELLED", 0.0]]


@pytest.mark.slow
def test_approve_true_approves_in_the_name_of_the_current_user(blotter):
    sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve=True, dry_run=False)
    assert blotter.runs()["approved_by"].notna().all()


@pytest.mark.slow
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


@pytest.mark.slow
def test_other_targets_under_the_same_run_are_an_error(blotter):
    sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve="ann", dry_run=False)
    with pytest.raises(IdempotencyConflictError):
        sx.rebalance({"SPY": 0.4}, broker_of(), blotter, run_id="r", approve="ann", dry_run=False)


@pytest.mark.slow
def test_a_portfolio_at_its_targets_gives_a_run_that_is_done(blotter):
    broker = sx.connect("mock://", quotes=MARKET, cash=0, positions={"SPY": 100})
    states = sx.rebalance({"SPY": 1.0}, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert len(states) == 0
    assert str(states["quantity"].dtype) == "float64"
    assert blotter.runs()[["run_id", "status"]].to_numpy().tolist() == [["r", "done"]]
    assert len(sx.report("r", blotter).summary.orders) == 0


@pytest.mark.slow
@pytest.mark.parametrize("address", ["mock://?seed=7", "sim://?seed=7"])
def test_one_rebalance_after_another_agrees_with_the_broker(blotter, address):
    # By the sample market's sizes, orders fill in parts for several seconds; the next run begins at once.
    with sx.connect(address) as broker:
        for run_id in ("first", "second", "third"):
            sx.rebalance(
                {"XOM": 0.3, "KO": 0.3, "MSFT": 0.3}, broker, blotter, run_id=run_id, approve="ann", dry_run=False
            )
            assert sx.reconcile(broker, blotter).empty
        assert blotter.runs()["status"].tolist() == ["done", "done", "done"]


@pytest.mark.slow
def test_a_halt_blocks_a_dry_run_order_by_order(blotter):
    blotter.halt("drill")
    plan = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", approve="ann")
    assert plan["reasons"].tolist() == ["halted", "halted"]
    assert not plan["approved"].any()


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_limits_are_enforced_including_the_maximum_approval_age(blotter):
    limits = sx.Limits(max_order_notional=2_500)
    states = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", limits=limits, approve="ann", dry_run=False)
    assert states[["status", "reason"]].fillna("").to_numpy().tolist() == [
        ["REJECTED", "max_notional"],
        ["FILLED", ""],
    ]


@pytest.mark.slow
def test_holdings_and_options_are_passed_to_the_planner(blotter):
    broker = broker_of(positions={"TLT": 10})
    with pytest.raises(InputError) as caught:
        sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="ann", dry_run=False)
    assert caught.value.codes == ("unlisted_position",)
    states = sx.rebalance(
        {"SPY": 0.5}, broker, blotter, run_id="r", approve="ann", dry_run=False, unlisted="close"
    )
    assert states["client_order_id"].tolist() == ["r-TLT-SELL", "r-SPY-BUY"]


@pytest.mark.slow
def test_nav_can_be_given_instead_of_the_brokers(blotter):
    plan = sx.rebalance(TARGETS, broker_of(), blotter, run_id="r", nav=1_000)
    assert plan["quantity"].tolist() == [5.0, 4.0]


@pytest.mark.slow
def test_targets_can_be_a_file(blotter, tmp_path):
    file = tmp_path / "targets.csv"
    file.write_text("symbol,weight\nSPY,0.5\n")
    assert sx.rebalance(file, broker_of(), blotter, run_id="r")["quantity"].tolist() == [50.0]


@pytest.mark.slow
def test_rebalance_can_be_awaited_or_called_inside_a_running_loop(blotter):
    async def cell():
        await sx.rebalance_async(TARGETS, broker_of(), blotter, run_id="a", approve="ann", dry_run=False)
        sx.rebalance({"SPY": 0.1}, broker_of(), blotter, run_id="b", approve="ann", dry_run=False)

    asyncio.run(cell())
    assert blotter.runs()["status"].tolist() == ["done", "done"]


@pytest.mark.slow
def test_prepare_returns_a_review_of_the_checked_plan(blotter):
    review = prepare(TARGETS, broker_of(), blotter, run_id="r")
    assert repr(review) == "<OrderReview r: 2 orders, 0 approved, 0 rejected, 2 open, 0 blocked>"


# -- what-if before sending --------------------------------------------------------------------------------


class Previewing(MockBroker):
    """A mock filler that notes what it is asked, and may trade meanwhile."""

    def __init__(self, trades=None):
        super().__init__(MARKET, cash=10_000.0)
        self.asked, self.read, self.trades = [], 0, trades

    def account_figures(self):
        self.read += 1
        return super().account_figures()

    async def preview(self, ticket):
        self.asked.append(ticket.symbol)
        if self.trades is not None:
            await self.place(replace(ticket, client_order_id="other", quantity=1.0, symbol=self.trades))
        return await super().preview(ticket)


def test_the_largest_or_the_named_orders_are_previewed_before_the_check(blotter):
    broker, found = Previewing(), []
    limits = sx.Limits(max_initial_margin=3_500.0)

    def look(review):
        found.append((review.plan.margin.coverage_text(review.decision_status)[:6], review.verdicts["pass"]))

    options = {"approve": look, "limits": limits, "reserve": 0}
    sx.rebalance(TARGETS, broker, blotter, run_id="r", previews=1, **options)
    assert (broker.asked, broker.read) == (["SPY"], 2)  # the account is read again after it
    sx.rebalance(TARGETS, broker, blotter, run_id="r", previews=["r-TLT-BUY", "r-SPY-BUY"], **options)
    assert broker.asked == ["SPY", "TLT", "SPY"]
    sx.rebalance(TARGETS, broker, blotter, run_id="r", **options)
    assert (len(broker.asked), broker.read) == (3, 5)
    # 50 SPY at 100 and 40 TLT at 50 need half of 7,000.
    assert found == [("1 of 2", 2), ("2 of 2", 2), ("0 of 2", 2)]
    tight = sx.Limits(max_initial_margin=3_499.0)
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", previews=2, limits=tight, reserve=0, approve="ann")
    assert plan["reasons"].tolist() == ["max_initial_margin"] * 2
    assert not plan["approved"].any()


def test_a_number_of_previews_below_zero_and_an_unknown_order_are_errors(blotter):
    for previews, text in ((-1, "most"), (["r-X-BUY"], "'r-X-BUY' is none of the orders")):
        with pytest.raises(InputError, match=text):
            sx.rebalance(TARGETS, Previewing(), blotter, run_id="r", previews=previews)


def test_positions_that_change_while_orders_are_previewed_end_the_plan(blotter):
    with pytest.raises(BrokerError, match="plan again"):
        sx.rebalance(
            TARGETS, Previewing(trades="TLT"), blotter, run_id="r", previews=1, approve="ann", dry_run=False
        )
    assert blotter.runs().empty


# -- a plan that is refused on one side ------------------------------------------------------------------------

ROTATION = {f"E{number:02d}": 15 + 13.37 * number for number in range(22)}


def rotation_broker(scheme):
    return sx.connect(f"{scheme}://?seed=7", quotes=ROTATION, positions={"E00": 3_000, "E01": 1_500}, cash=100.0)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_a_fully_invested_rotation_trades_both_sides_at_default_settings(blotter, scheme):
    targets = dict.fromkeys(list(ROTATION)[2:], 1 / 20)
    with rotation_broker(scheme) as broker:
        done = sx.rebalance(
            targets, broker, blotter, run_id="r", approve="ann", dry_run=False, unlisted="close", timeout=10
        )
        assert done.groupby(["side", "status"]).size().to_dict() == {("BUY", "FILLED"): 20, ("SELL", "FILLED"): 2}
        assert 0 <= broker.cash() < 0.01 * broker.nav()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_sells_are_not_sent_if_the_buys_they_fund_are_refused(blotter, scheme):
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


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_short_sales_are_not_sent_without_their_buys(blotter, scheme):
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


# -- working orders --------------------------------------------------------------------------------------------

ABC = {"ABC": 25.0, "XYZ": 10.0}


def resting_broker(scheme):
    if scheme == "mock":
        rests = pd.DataFrame([{"symbol": "ABC", "action": "rest"}])
        return sx.connect("mock://", quotes=ABC, cash=50_000.0, fill_plan=rests)
    scenario = {"order": [{"symbol": "ABC", "steps": [{"rest": True}]}]}
    return sx.connect("sim://?seed=7", quotes=ABC, cash=50_000.0, scenario=scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_symbols_with_working_orders_are_rejected_on_request(blotter, scheme):
    options = {"approve": "ann", "dry_run": False, "timeout": 1, "on_open_orders": "reject"}
    with resting_broker(scheme) as broker:
        sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", **options)
        states = sx.rebalance({"ABC": 0.51, "XYZ": 0.2}, broker, blotter, run_id="two", **options).set_index(
            "symbol"
        )
        assert broker.open_orders()[["client_order_id", "quantity"]].to_numpy().tolist() == [
            ["one-ABC-BUY", 1_000.0]
        ]
        assert states["status"].to_dict() == {"ABC": "REJECTED", "XYZ": "FILLED"}
        assert states.loc["ABC", "reason"] == "open_order_exists"
        (why,) = blotter.events("two").query("kind == 'refused'")["message"]
        by = "" if scheme == "mock" else ", placed by client id 1"
        assert why == (
            f"open_order_exists: working orders for +1,000 shares are open (BUY 1,000, one-ABC-BUY{by}); "
            "wait for them to finish, cancel them, or count them as filled with on_open_orders='net'"
        )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_a_second_rebalance_does_not_double_the_working_orders_of_the_first(blotter, scheme):
    # 51 % of 50,000 are 1,020 shares of 25; 1,000 are working.
    options = {"approve": "ann", "dry_run": False, "timeout": 1}
    with resting_broker(scheme) as broker:
        sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", **options)
        states = sx.rebalance({"ABC": 0.51}, broker, blotter, run_id="two", **options)
        assert states["quantity"].tolist() == [20.0]
        assert broker.open_orders()["quantity"].sum() == 1_020.0


class Deaf(MockBroker):
    """ABC fills 300 shares and rests, XYZ rests; the cancel of some orders is never confirmed."""

    def __init__(self, *deaf):
        rows = [("ABC", "fill", 300.0), ("ABC", "rest", None), ("XYZ", "rest", None)]
        super().__init__(
            ABC, cash=50_000.0, fill_plan=pd.DataFrame(rows, columns=["symbol", "action", "quantity"])
        )
        self.deaf, self.asked = deaf, []

    def cancel(self, client_order_id):
        self.asked.append(client_order_id)
        if client_order_id not in self.deaf:
            super().cancel(client_order_id)


CANCELS = {"approve": "ann", "timeout": 0.3, "limits": sx.Limits(duplicate_window=None), "nav": 50_000.0}
"""Options of runs that follow each other at once; NAV as it was at the start."""


def texts_of(states, code):
    warnings = sx.input_warnings(states)
    return warnings.loc[warnings["code"] == code, "detail"].tolist()


@pytest.mark.slow
def test_working_orders_are_cancelled_first_and_what_they_left_is_planned_again(blotter):
    broker = Deaf()
    sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", dry_run=False, **CANCELS)  # 1,000 at 25
    states = sx.rebalance(
        {"ABC": 0.5}, broker, blotter, run_id="two", dry_run=False, on_open_orders="cancel", **CANCELS
    )
    assert texts_of(states, "cancelled_first") == [
        "BUY 700 ABC (one-ABC-BUY) was cancelled before this plan was made"
    ]
    assert states["quantity"].tolist() == [700.0]
    columns = ["status", "filled_quantity"]
    assert blotter.orders("one")[columns].to_numpy().tolist() == [["CANCELLED", 300.0]]
    assert broker.open_orders()["client_order_id"].tolist() == ["two-ABC-BUY"]


@pytest.mark.slow
def test_a_dry_run_names_what_it_would_cancel_and_leaves_the_orders_of_others(blotter):
    broker = Deaf()
    with sx.open_blotter() as theirs:
        sx.rebalance({"XYZ": 0.1}, broker, theirs, run_id="theirs", dry_run=False, **CANCELS)
    sx.rebalance({"ABC": 0.8}, broker, blotter, run_id="one", dry_run=False, **CANCELS)
    plan = sx.rebalance(
        {"ABC": 0.8, "XYZ": 0.15}, broker, blotter, run_id="two", on_open_orders="cancel", **CANCELS
    )
    assert texts_of(plan, "would_cancel") == [
        "BUY 1,300 ABC (one-ABC-BUY) is working, and is cancelled before this plan is sent"
    ]
    rows = plan.set_index("symbol")
    # 32,500 of 42,500 in cash: enough once the order of the same size is gone.
    assert rows.loc["ABC", ["quantity", "verdict"]].tolist() == [1_300.0, "pass"]
    assert rows["status"].to_dict() == {"ABC": "NEW", "XYZ": "REJECTED"}
    assert rows.loc["XYZ", "reason"] == "open_order_exists"
    assert broker.asked == []
    assert sorted(broker.open_orders()["client_order_id"]) == ["one-ABC-BUY", "theirs-XYZ-BUY"]


@pytest.mark.slow
def test_an_order_whose_cancel_is_not_confirmed_rejects_its_symbol_and_no_other(blotter):
    broker = Deaf("one-ABC-BUY")
    sx.rebalance({"ABC": 0.5, "XYZ": 0.2}, broker, blotter, run_id="one", dry_run=False, **CANCELS)
    states = sx.rebalance(
        {"ABC": 0.5, "XYZ": 0.2}, broker, blotter, run_id="two", dry_run=False, on_open_orders="cancel", **CANCELS
    )
    assert broker.asked == ["one-ABC-BUY", "one-XYZ-BUY"]
    assert texts_of(states, "not_cancelled") == [
        "one-ABC-BUY may still be working: its cancel was not confirmed within 0.3 s"
    ]
    rows = states.set_index("symbol")
    assert rows["status"].to_dict() == {"ABC": "REJECTED", "XYZ": "SUBMITTED"}
    assert rows.loc["ABC", "reason"] == "open_order_exists"
    assert sorted(broker.open_orders()["client_order_id"]) == ["one-ABC-BUY", "two-XYZ-BUY"]


@pytest.mark.slow
def test_nothing_is_cancelled_for_a_plan_that_cannot_be_sent(blotter):
    broker = Deaf()
    sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", dry_run=False, **CANCELS)
    options = {"run_id": "two", "dry_run": False, "on_open_orders": "cancel", **CANCELS}
    with pytest.raises(InputError):
        sx.rebalance({"ABC": "half"}, broker, blotter, **options)
    blotter.halt("drill")
    with pytest.raises(HaltedError, match="drill"):
        sx.rebalance({"ABC": 0.5}, broker, blotter, **options)
    assert broker.asked == []
    assert broker.open_orders()["client_order_id"].tolist() == ["one-ABC-BUY"]


@pytest.mark.slow
def test_working_orders_of_other_clients_or_without_reference_are_considered(blotter):
    with resting_broker("sim") as broker:
        with (
            sx.connect(f"ib://127.0.0.1:{broker._endpoint.port}?client_id=0") as other,
            sx.open_blotter() as record,
        ):
            sx.rebalance({"ABC": 0.5}, other, record, run_id="x", approve="bob", dry_run=False, timeout=1)
        review = prepare({"ABC": 0.51}, broker, blotter, run_id="two")
        row = review.orders.iloc[0]
        assert row["reason"] == "open_order_exists"
        assert "placed by client id 0 or by hand in TWS" in row["detail"]


@pytest.mark.slow
def test_a_repeated_run_does_not_count_its_own_working_orders_as_foreign(blotter):
    options = {"approve": "ann", "dry_run": False, "timeout": 1}
    with resting_broker("mock") as broker:
        first = sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", **options)
        again = sx.rebalance({"ABC": 0.5}, broker, blotter, run_id="one", **options)
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.slow
def test_a_symbol_with_an_order_of_unknown_status_is_rejected(blotter):
    broker = sx.connect("mock://", quotes=ABC, cash=50_000.0)
    sx.rebalance({"XYZ": 0.1}, broker, blotter, run_id="one", approve="ann", dry_run=False)
    lost = OrderEvent("unknown", "one", "one-ABC-BUY", message="it left no trace")
    header = {"run_id": "one", "leg": 2, "mode": "mock", "account": broker.account, "nav": 1.0, "parameters": None}
    header |= {"plan_hash": "x", "approved_by": "ann", "approved_at": None}
    plan = pd.DataFrame(
        {
            "client_order_id": ["one-ABC-BUY"],
            "symbol": "ABC",
            "side": "BUY",
            "quantity": 10.0,
            "order_type": "MKT",
            "account": broker.account,
            "payload_hash": "x",
        }
    )
    sent = OrderEvent("sending", "one", "one-ABC-BUY", attempt=1)
    blotter.record_plan(plan, header, [OrderEvent("intent", "one", "one-ABC-BUY"), sent, lost]).result()
    review = prepare({"ABC": 0.5, "XYZ": 0.1}, broker, blotter, run_id="two")
    row = review.orders.set_index("symbol").loc["ABC"]
    assert row["reason"] == "open_order_exists"
    assert "one-ABC-BUY, status unknown, it may be working; resume or resolve run one" in row["detail"]


@pytest.mark.slow
def test_a_plan_names_the_unfinished_run_that_has_the_same_symbols(blotter):
    broker = broker_of()
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.rebalance(TARGETS, broker, blotter, run_id="one", approve="ann", dry_run=False)
    blotter.clear_halt("looked")
    plan = sx.rebalance({"SPY": 0.4}, broker, blotter, run_id="two", approve="ann")
    assert (plan["verdict"].tolist(), plan["reasons"].tolist()) == (["warn"], ["unfinished_run"])
    (text,) = sx.input_warnings(plan).query("code == 'unfinished_run'")["detail"]
    assert "run one is unfinished: its BUY of 50 SPY was approved and is not sent" in text
    assert "stocklean resume one" in text
    again = sx.rebalance(TARGETS, broker, blotter, run_id="one", approve="ann")
    assert again["verdict"].tolist() == ["pass", "pass"]


def test_a_plan_names_the_basket_file_that_has_the_same_symbols(blotter, tmp_path):
    broker = broker_of()
    plan = sx.rebalance(TARGETS, broker, blotter, run_id="one", approve="ann")
    sx.export_basket(plan, tmp_path / "b.csv", blotter=blotter, account=broker.account)
    plan = sx.rebalance({"SPY": 0.4}, broker, blotter, run_id="two", approve="ann")
    (text,) = sx.input_warnings(plan).query("code == 'unfinished_run'")["detail"]
    assert "BUY of 50 SPY was approved and is not sent. It is in a basket file" in text
    assert "stocklean resume" not in text


# -- another currency, another contract ------------------------------------------------------------------------


def account_in(currency):
    report = {"on": "accountSummary", "do": "edit", "set": {"currency": currency}}
    return sx.connect("sim://?seed=7", quotes=MARKET, cash=10_000, scenario={"fault": [report]})


class InEuros(MockBroker):
    base_currency = "EUR"


@pytest.mark.slow
@pytest.mark.parametrize("open_broker", [lambda: account_in("CAD"), lambda: InEuros(MARKET, cash=10_000)])
def test_an_account_in_another_currency_than_the_orders_needs_a_rate(blotter, open_broker):
    with open_broker() as broker:
        base = broker.base_currency
        with pytest.raises(InputError, match=rf"account DU\*\*\*001 is {base}, and not USD") as caught:
            sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", base_currency="USD")
        assert caught.value.codes == ("currency_mismatch",)
        refused = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann")
        assert refused["reason"].tolist() == ["currency_unsupported"] * 2
        # 10,000 of the own currency are 8,000 US dollars at this rate, and half of them buys 40.
        valued = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", fx={"USD": 1.25})
        assert valued.set_index("symbol").loc["SPY", ["quantity", "verdict", "fx_rate"]].tolist() == [
            40.0,
            "pass",
            1.25,
        ]
        orders = sx.plan_orders(TARGETS, None, MARKET, nav=10_000, run_id="r")
        review = sx.review_orders(sx.check_orders(orders, quotes=MARKET, cash=10_000))
        review.approve_all(by="ann")
        states = sx.submit_orders(review.result(), broker, blotter)
        assert states["reason"].tolist() == ["currency_mismatch"] * 2
        assert not len(broker.positions())
    texts = blotter.events("r").query("kind == 'refused'")["message"]
    assert texts.str.contains(r"-BUY is in USD, and account DU\*\*\*001 is kept in").tolist() == [True, True]


@pytest.mark.slow
def test_an_account_without_a_reported_currency_is_refused(blotter):
    with (
        account_in("") as broker,
        pytest.raises(sx.BrokerError, match="does not report the base currency of account"),
    ):
        sx.rebalance(TARGETS, broker, blotter, run_id="r", approve="ann", dry_run=False)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mock", "sim"])
def test_an_order_that_names_another_contract_is_rejected_and_the_others_are_not(blotter, scheme):
    targets = pd.DataFrame({"symbol": ["SPY", "TLT"], "weight": [0.5, 0.2], "con_id": [424242, None]})
    with sx.connect(f"{scheme}://?seed=7", quotes=MARKET, cash=10_000) as broker:
        states = sx.rebalance(targets, broker, blotter, run_id="r", approve="ann", dry_run=False, timeout=10)
        assert broker.positions()["symbol"].tolist() == ["TLT"]
    assert states["status"].tolist() == ["REJECTED", "FILLED"]
    assert states["reason"].tolist()[0] == "contract_mismatch"
    (why,) = blotter.events("r").query("kind == 'refused'")["message"]
    assert "424242" in why


@pytest.mark.slow
def test_the_held_contract_may_be_named_and_is_traded(blotter):
    with sx.connect("sim://?seed=7", quotes=MARKET, cash=10_000, positions={"SPY": 10}) as broker:
        con_id = int(broker.positions()["con_id"].iloc[0])
        targets = pd.DataFrame({"symbol": ["SPY"], "weight": [0.5], "con_id": [con_id]})
        states = sx.rebalance(targets, broker, blotter, run_id="r", approve="ann", dry_run=False, timeout=10)
        assert states[["status", "con_id"]].to_numpy().tolist() == [["FILLED", con_id]]


@pytest.mark.slow
def test_a_contract_that_was_changed_after_the_approval_is_refused(blotter):
    with sx.connect("sim://?seed=7", quotes=MARKET, cash=10_000, positions={"SPY": 10}) as broker:
        plan = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="ann")
        plan["con_id"] = 424242
        with pytest.raises(sx.ApprovalError, match="1 rows changed since they were approved"):
            sx.submit_orders(plan, broker, blotter)


def test_a_symbol_held_as_another_contract_than_requested_is_refused():
    targets = pd.DataFrame({"symbol": ["SPY"], "weight": [0.5], "con_id": [2]})
    held = pd.DataFrame({"symbol": ["SPY"], "quantity": [10], "con_id": [1]})
    with pytest.raises(InputError, match="contract 1 is held and 2 wanted") as caught:
        sx.plan_orders(targets, held, MARKET, nav=10_000, run_id="r")
    assert caught.value.codes == ("ambiguous_instrument",)


@pytest.mark.slow
def test_warnings_about_the_targets_are_kept_in_the_final_result(blotter):
    wanted = {"SPY": 0.5, "CASH_USD": 0.25}
    review = prepare(wanted, broker_of(), blotter, run_id="r")
    result = sx.rebalance(wanted, broker_of(), blotter, run_id="r", approve="ann")
    for frame in (review.orders, result):
        assert sx.input_warnings(frame)["code"].tolist() == ["cash_row", "residual_cash", "adv_unknown"]
        assert sx.input_warnings(frame)["symbol"].tolist()[0] == "CASH_USD"
        assert frame["symbol"].tolist() == ["SPY"]


@pytest.mark.slow
def test_targets_of_cash_alone_sell_all_holdings(blotter):
    broker = broker_of(positions={"SPY": 10})
    options = {"run_id": "r", "approve": "ann", "dry_run": False, "allow_liquidation": True, "unlisted": "close"}
    states = sx.rebalance({"USD": 1.0}, broker, blotter, **options)
    assert states[["symbol", "side", "status"]].to_numpy().tolist() == [["SPY", "SELL", "FILLED"]]
    assert broker.positions().empty


# -- several currencies ------------------------------------------------------------------------------------------

TWO_MARKETS = pd.DataFrame(
    {
        "symbol": ["SPY", "SAP"],
        "bid": [99.90, 149.90],
        "ask": [100.10, 150.10],
        "currency": ["USD", "EUR"],
        "quoted_at": pd.Timestamp("2026-11-23 15:00", tz="UTC"),
    }
)
HALVES = pd.DataFrame({"symbol": ["SPY", "SAP"], "weight": [0.5, 0.5], "currency": ["USD", "EUR"]})
RATE = 1.1


def account_in_two_currencies(cash=1_000_000.0):
    return sx.connect("mock://?seed=7", quotes=TWO_MARKETS, cash=cash, fx={"EUR": RATE})


@pytest.mark.slow
def test_a_book_in_two_currencies_is_planned_checked_filled_and_sold_again(blotter):
    options = {"approve": "ann", "dry_run": False}
    with account_in_two_currencies() as broker:
        states = sx.rebalance(HALVES, broker, blotter, run_id="r", **options).set_index("symbol")
        assert states["status"].to_dict() == {"SPY": "FILLED", "SAP": "FILLED"}
        spy, sap = states.loc["SPY", "quantity"], states.loc["SAP", "quantity"]
        # Half of the NAV each: 500,000 / 100 and 500,000 / (150 x 1.1). Half-spreads of 500 and 333, fees of 25
        # and 275 and 0.4 % of one of them, 2,000, are kept: 3,133, or 16 SPY and 9 SAP.
        assert 5_000 - 17 <= spy <= 5_000 - 15
        assert 3_030 - 10 <= sap <= 3_030 - 8
        # By an independent ledger: half a cent a share in dollars, 0.05 % of value in euros.
        dollars = 1_000_000 - spy * 100.10 - 0.005 * spy
        euros = -sap * 150.10 * 1.0005
        figures = broker.account_figures()
        assert figures.currencies == {"USD": (pytest.approx(dollars), 1.0), "EUR": (pytest.approx(euros), RATE)}
        assert broker.cash() == pytest.approx(dollars + euros * RATE)
        assert broker.cash() >= 0
        assert broker.nav() == pytest.approx(dollars + euros * RATE + spy * 100 + sap * 150 * RATE)
        assert broker.positions().set_index("symbol")["currency"].to_dict() == {"SPY": "USD", "SAP": "EUR"}
        assert blotter.fills("r").set_index("symbol")["commission_currency"].to_dict() == {
            "SPY": "USD",
            "SAP": "EUR",
        }
        assert blotter.run_spent("r") == pytest.approx(spy * 100 + sap * 150 * RATE)
        assert sx.reconcile(broker, blotter).empty
        # The same targets again would invest what was kept for slippage, which did not come: 2,000. All is sold.
        again = sx.rebalance(HALVES, broker, blotter, run_id="s", approve="ann")
        assert set(again["side"]) == {"BUY"}
        assert (again["notional"] * again["fx_rate"]).sum() <= 2_000
        sold = sx.rebalance(
            {"SPY": 0.0}, broker, blotter, run_id="t", unlisted="close", allow_liquidation=True, **options
        )
        assert set(sold["status"]) == {"FILLED"}
        assert broker.positions().empty
        # Four half-spreads and four fees were paid, and nothing else.
        costs = 2 * spy * (0.10 + 0.005) + sap * (2 * 0.10 + 0.0005 * (150.10 + 149.90)) * RATE
        assert broker.nav() == pytest.approx(1_000_000 - costs)


@pytest.mark.slow
def test_a_debit_in_another_currency_is_announced(blotter):
    with account_in_two_currencies() as broker:
        plan = sx.rebalance(HALVES, broker, blotter, run_id="r", approve="ann")
        warnings = sx.input_warnings(plan).set_index("code")
        assert "owes" in warnings.loc["currency_debit", "detail"]
        assert "EUR" in warnings.loc["currency_debit", "detail"]
        only_dollars = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="s", approve="ann")
        assert "currency_debit" not in set(sx.input_warnings(only_dollars)["code"])


@pytest.mark.slow
def test_a_currency_without_a_rate_stops_its_own_orders_and_no_others(blotter):
    with sx.connect("mock://?seed=7", quotes=TWO_MARKETS, cash=1_000_000.0) as broker:
        states = sx.rebalance(HALVES, broker, blotter, run_id="r", approve="ann", dry_run=False).set_index(
            "symbol"
        )
        assert states["status"].to_dict() == {"SPY": "FILLED", "SAP": "REJECTED"}
        assert states.loc["SAP", "reason"] == "currency_unsupported"


@pytest.mark.slow
def test_a_rate_of_the_plan_must_be_that_of_the_account(blotter):
    with account_in_two_currencies() as broker:
        for rate in (1 / RATE, 1.1 * RATE):
            with pytest.raises(InputError, match=r"and account DU.*001 has 1\.1") as caught:
                sx.rebalance(
                    HALVES,
                    broker,
                    blotter,
                    run_id="r",
                    approve="ann",
                    dry_run=False,
                    fx={"EUR": rate},
                    limits=sx.Limits(min_cash_after=None),
                )
            assert caught.value.codes == ("fx_mismatch",)
        assert blotter.orders().empty
        done = sx.rebalance(HALVES, broker, blotter, run_id="r", approve="ann", dry_run=False, fx={"EUR": 1.11})
        assert set(done["status"]) == {"FILLED"}


@pytest.mark.slow
def test_caps_on_value_count_the_base_currency_when_orders_are_sent(blotter):
    # 100 SAP are 15,000 EUR, or 16,500 US dollars.
    order = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SAP"],
            "side": "BUY",
            "quantity": [100.0],
            "order_type": "MKT",
            "currency": "EUR",
        }
    )
    with account_in_two_currencies() as broker:
        for run, cap, status in (
            ("a", 16_499.0, "REJECTED"),
            ("b", 16_500.0, "FILLED"),
            ("c", 32_000.0, "REJECTED"),
        ):
            limits = sx.Limits(max_day_notional=cap, duplicate_window=None)
            checked = sx.check_orders(order.assign(run_id=run), limits, broker.account_state(order))
            review = sx.review_orders(checked)
            review.approve_all(by="ann")
            assert sx.submit_orders(review.result(), broker, blotter)["status"].tolist() == [status]


@pytest.mark.slow
def test_a_buy_in_another_currency_waits_for_the_cash_that_it_costs_in_the_base_currency(blotter):
    # 10,000 dollars of SPY are sold to buy euros' worth of them: the sell rests, so the buy is never funded.
    rests = pd.DataFrame([{"symbol": "SPY", "action": "rest"}])
    quotes, held = TWO_MARKETS, {"SPY": 100}
    with sx.connect(
        "mock://?seed=7", quotes=quotes, positions=held, cash=100.0, fx={"EUR": RATE}, fill_plan=rests
    ) as broker:
        targets = pd.DataFrame({"symbol": ["SAP"], "weight": [0.9], "currency": ["EUR"]})
        states = sx.rebalance(
            targets, broker, blotter, run_id="r", approve="ann", dry_run=False, unlisted="close", timeout=0.2
        ).set_index("symbol")
        assert states.loc["SAP", ["status", "reason"]].tolist() == ["CANCELLED", "not_funded"]
        assert broker.cash() == 100.0


@pytest.mark.slow
def test_a_rate_that_only_the_plan_has_is_the_one_that_was_approved(blotter):
    market = pd.DataFrame(
        {"symbol": ["SPY"], "last": 100.0, "currency": "USD", "quoted_at": pd.Timestamp.now("UTC")}
    )
    broker = InEuros(market, cash=10_000, fx={"USD": 1.25})
    options = {"approve": "ann", "dry_run": False, "fx": {"USD": 1.25}}
    # The account's books lose the rate between the approval and the sending.
    plan = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", **options | {"dry_run": True})
    figures = broker.account_figures()
    broker.account_figures = lambda: figures._replace(currencies={"EUR": (10_000.0, 1.0)})
    states = sx.submit_orders(plan, broker, blotter)
    assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["FILLED", 40.0]]


@pytest.mark.slow
def test_a_drift_inside_the_band_is_no_trade_in_one_call(blotter):
    # NAV is 12,000: SPY has 6,300 of 6,000, TLT 5,000 of 4,800, and 700 are in cash.
    broker = sx.connect("mock://", quotes=MARKET, positions={"SPY": 63, "TLT": 100}, cash=700.0)
    options = {"approve": "ann", "dry_run": False, "band": 0.02}
    targets = {"SPY": 0.5, "TLT": 0.4}
    states = sx.rebalance(targets, broker, blotter, run_id="r1", **options)
    assert states[["symbol", "side", "filled_quantity"]].to_numpy().tolist() == [["SPY", "SELL", 3.0]]
    assert sx.held_back(states).to_numpy().tolist() == [["TLT", -4.0, -200.0, "inside_band"]]
    assert broker.positions().set_index("symbol")["quantity"].to_dict() == {"SPY": 60.0, "TLT": 100.0}
    # With the dollar of commission gone, all is inside the band.
    again = sx.rebalance(targets, broker, blotter, run_id="r2", **options)
    assert len(again) == 0
    assert blotter.runs()["status"].tolist() == ["done", "done"]


SATURDAY = "sim://?seed=7&clock=virtual&start=2022-12-31T12:00:00"
HOURS = {"switches": {"hours": "exchange"}}


@pytest.mark.slow
@pytest.mark.parametrize("approve", ["ann", True])
def test_where_no_person_is_asked_a_closed_market_blocks(blotter, approve):
    with sx.connect(SATURDAY, quotes=MARKET, scenario=HOURS) as broker:
        plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=approve)
        assert plan[["verdict", "reasons"]].drop_duplicates().to_numpy().tolist() == [["block", "market_closed"]]
        states = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=approve, dry_run=False)
    assert states["reason"].tolist() == ["market_closed", "market_closed"]
    assert blotter.runs()["status"].tolist() == ["blocked"]


@pytest.mark.slow
@pytest.mark.parametrize("approve", [None, lambda review: review.approve_all(by="ann")])
def test_where_a_person_is_asked_a_closed_market_warns(blotter, approve):
    with sx.connect(SATURDAY, quotes=MARKET, scenario=HOURS) as broker:
        plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", approve=approve)
    assert plan[["verdict", "reasons"]].drop_duplicates().to_numpy().tolist() == [["warn", "market_closed"]]
    assert plan["approved"].tolist() == [approve is not None] * 2


@pytest.mark.slow
def test_a_closed_market_may_be_ignored(blotter):
    limits = sx.Limits(closed_market="ignore")
    with sx.connect(SATURDAY, quotes=MARKET, scenario=HOURS) as broker:
        plan = sx.rebalance(TARGETS, broker, blotter, run_id="r", limits=limits, approve="ann")
    assert plan["verdict"].tolist() == ["pass", "pass"]
