"""A run from its record: what it may send, and the caps that hold whatever was approved."""

import asyncio
from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.execution import run_setup
from stocklean_exec.execution.order_worker import WorkPlan
from stocklean_exec.execution.repricing import Messages
from stocklean_exec.execution.runner import RunTerms
from stocklean_exec.execution.send_gate import SendBudget
from stocklean_exec.execution.work_policy import WorkTerms

QUOTES = {"SPY": 100.0, "TLT": 50.0, "KO": 20.0}
TARGETS = {"SPY": 0.3, "TLT": 0.2, "KO": 0.1}  # 3,000, 2,000 and 1,000 of 10,000


@pytest.fixture
def broker():
    return sx.connect("mock://", quotes=QUOTES, cash=10_000)


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def approved(broker, run_id="r"):
    orders = sx.plan_orders(TARGETS, None, broker.quotes(), nav=10_000, run_id=run_id)
    free = sx.Limits(duplicate_window=None)
    review = sx.review_orders(sx.check_orders(orders, free, quotes=broker.quotes(), cash=10_000))
    review.approve_all(by="me")
    return review.result()


def recorded_arguments(monkeypatch, kind):
    """Replace the runner by one that sends nothing; a list that receives its arguments of this type."""
    seen = []

    class Recorder:
        def __init__(self, *arguments):
            seen.extend(one for one in arguments if isinstance(one, kind))

        async def work(self):
            pass

    monkeypatch.setattr(run_setup, "Runner", Recorder)
    return seen


@pytest.mark.slow
def test_an_order_over_the_runs_cap_is_refused_and_a_smaller_later_one_is_sent(broker, blotter):
    limits = sx.Limits(max_total_notional=4_500)
    states = sx.submit_orders(approved(broker), broker, blotter, limits=limits).set_index("symbol")
    # In the plan's sequence: 1,000, then 3,000, then 2,000 would be 6,000.
    assert states["status"].to_dict() == {"KO": "FILLED", "SPY": "FILLED", "TLT": "REJECTED"}
    assert states.loc["TLT", "reason"] == "run_notional_cap"
    assert blotter.runs()["status"].tolist() == ["partial"]


@pytest.mark.slow
def test_the_daily_cap_counts_every_run_of_the_account(broker, blotter):
    limits = sx.Limits(max_day_notional=7_000)
    sx.submit_orders(approved(broker), broker, blotter, limits=limits)
    states = sx.submit_orders(approved(broker, "r2"), broker, blotter, limits=limits).set_index("symbol")
    # 6,000 before; with 1,000 of KO the day is at its cap.
    assert states["status"].to_dict() == {"KO": "FILLED", "SPY": "REJECTED", "TLT": "REJECTED"}
    assert states.loc[["SPY", "TLT"], "reason"].tolist() == ["day_notional_cap", "day_notional_cap"]


@pytest.mark.slow
def test_no_more_orders_a_minute_than_the_cap(broker, blotter):
    limits = sx.Limits(max_orders_per_minute=2)
    states = sx.submit_orders(approved(broker), broker, blotter, limits=limits)
    assert states["status"].tolist() == ["FILLED", "FILLED", "REJECTED"]
    assert states["reason"].tolist()[2] == "rate_cap"
    rest = sx.residual_orders("r", blotter)
    assert rest["replaces"].tolist() == [states["client_order_id"].tolist()[2]]


@pytest.mark.slow
def test_the_cap_of_a_minute_counts_the_orders_of_other_runs(blotter):
    broker = sx.connect("mock://", quotes=QUOTES, cash=20_000)
    limits = sx.Limits(max_orders_per_minute=4)
    sx.submit_orders(approved(broker), broker, blotter, limits=limits)
    states = sx.submit_orders(approved(broker, "r2"), broker, blotter, limits=limits)
    assert states["status"].tolist() == ["FILLED", "REJECTED", "REJECTED"]  # the fourth order, and two too many
    assert states["reason"].tolist()[1:] == ["rate_cap", "rate_cap"]


@pytest.mark.slow
@pytest.mark.parametrize(("only", "may_leave"), [(None, ["KO", "SPY", "TLT"]), ({"r-SPY-BUY"}, ["SPY"])])
def test_each_approved_or_selected_order_may_be_sent_once(broker, blotter, monkeypatch, only, may_leave):
    sx.submit_orders(approved(broker), broker, blotter, limits=sx.Limits(max_total_notional=1))  # sends none
    seen = recorded_arguments(monkeypatch, SendBudget)
    asyncio.run(run_setup.work_run("r", broker, blotter, RunTerms(), None, only))
    assert seen[0].allowed == {f"r-{symbol}-BUY": 1 for symbol in may_leave}


def test_the_lots_of_a_record_are_those_that_it_has():
    rows = pd.DataFrame({"client_order_id": ["a", "b"]})
    assert run_setup._by_order(rows, "lot_size") == {}
    assert run_setup._by_order(rows.assign(lot_size=[100, None]), "lot_size") == {"a": 100.0}


@pytest.mark.slow
def test_a_run_keeps_the_cash_of_its_limits_and_the_lots_of_its_orders(broker, blotter, monkeypatch):
    limits = sx.Limits(max_total_notional=1, min_cash_after=250.0)
    sx.submit_orders(approved(broker), broker, blotter, limits=limits)  # sends none
    seen = recorded_arguments(monkeypatch, RunTerms)
    asyncio.run(run_setup.work_run("r", broker, blotter, RunTerms(), limits, None))
    assert seen[0].min_cash == 250.0
    assert seen[0].lots == {f"r-{symbol}-BUY": 1.0 for symbol in QUOTES}
    assert (seen[0].limits.min_cash_after, seen[0].limits.max_total_notional) == (250.0, 1.0)


@pytest.mark.slow
def test_a_run_keeps_the_exchange_rates_that_its_orders_were_approved_with(blotter, monkeypatch):
    market = pd.DataFrame(
        {"symbol": ["SAP"], "last": 100.0, "currency": "EUR", "quoted_at": pd.Timestamp("2026-06-01T15:00Z")}
    )
    broker = sx.connect("mock://", quotes=market, cash=10_000, fx={"EUR": 1.1})
    orders = {
        "run_id": "r",
        "symbol": ["SAP"],
        "side": "BUY",
        "quantity": 10.0,
        "order_type": "MKT",
        "currency": "EUR",
    }
    review = sx.review_orders(sx.check_orders(pd.DataFrame(orders), quotes=market, cash=10_000, fx={"EUR": 1.1}))
    review.approve_all(by="me")
    sx.submit_orders(review.result(), broker, blotter, limits=sx.Limits(max_total_notional=1))  # sends none
    seen = recorded_arguments(monkeypatch, RunTerms)
    asyncio.run(run_setup.work_run("r", broker, blotter, RunTerms(), None, None))
    assert seen[0].rates == {"r-SAP-BUY": 1.1}


@pytest.mark.slow
def test_the_messages_of_the_day_are_those_of_the_other_runs(broker, blotter):
    sx.submit_orders(approved(broker), broker, blotter, work=sx.WorkPolicy())
    limits = sx.Limits()
    work = run_setup._work_plan("r", blotter, broker, limits)
    assert (sorted(work.terms), work.limits, work.messages) == (
        [f"r-{symbol}-BUY" for symbol in ("KO", "SPY", "TLT")],
        limits,
        Messages(),
    )
    sx.submit_orders(approved(broker, "r2"), broker, blotter)
    assert run_setup._work_plan("r2", blotter, broker, limits) == WorkPlan({}, limits, Messages())
    # Three orders of the other run, each executed at once.
    assert run_setup._work_plan("r", blotter, broker, limits).messages == Messages(sent=3, executions=3)


def test_rests_are_the_market_orders_for_what_was_left_at_a_deadline():
    start = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
    terms = {name: WorkTerms(start, start, at_deadline=end) for name, end in (("x", "MKT"), ("y", "cancel"))}
    rows = pd.DataFrame({"client_order_id": ["a", "b", "c"]})
    work = WorkPlan(terms, sx.Limits(), Messages())
    assert run_setup._rests(rows, work) == []
    assert run_setup._rests(rows.assign(replaces=["x", "y", None]), work) == ["a"]


@pytest.mark.slow
def test_the_holdings_at_the_start_of_the_run_are_recorded(broker, blotter):
    sx.submit_orders(approved(broker), broker, blotter)
    book = blotter.last_book(broker.account)
    assert book[["what", "symbol", "quantity"]].to_numpy().tolist() == [["cash", "", 10_000.0]]
    sx.submit_orders(approved(broker, "r2"), broker, blotter)
    held = blotter.last_book(broker.account)
    assert dict(held.loc[held["what"] == "position", ["symbol", "quantity"]].to_numpy().tolist()) == {
        "KO": 50.0,
        "SPY": 30.0,
        "TLT": 40.0,
    }


@pytest.mark.slow
def test_a_run_whose_approvals_are_all_refused_sends_nothing(broker, blotter):
    limits = sx.Limits(max_total_notional=500)
    states = sx.submit_orders(approved(broker), broker, blotter, limits=limits)
    assert states["status"].tolist() == ["REJECTED"] * 3
    assert blotter.fills().empty
    assert pd.isna(states["avg_fill_price"]).all()
