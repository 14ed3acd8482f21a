from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import (
    ApprovalError,
    BlotterError,
    BrokerError,
    HaltedError,
    IdempotencyConflictError,
    InputError,
)
from stocklean_exec.execution import submission
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.submission import SubmitOptions, submit
from stocklean_exec.simulator import Simulator

NAN = float("nan")
MARKET = {"SPY": 123.0, "TLT": 50.0}


class Counting(MockBroker):
    """The mock filler, that notes what it is sent."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.placed = []

    async def place(self, ticket):
        self.placed.append(ticket.client_order_id)
        await super().place(ticket)


@pytest.fixture
def blotter():
    with sx.open_blotter() as blotter:
        yield blotter


@pytest.fixture
def broker():
    return Counting(MARKET, cash=100_000.0)


def orders_of(*rows, run_id="run-1"):
    frame = pd.DataFrame(rows, columns=["symbol", "side", "quantity"])
    return frame.assign(run_id=run_id, order_type="MKT")


def review_of(orders, quotes=MARKET, limits=None, now=None):
    checked = sx.check_orders(orders, limits, quotes=quotes, cash=100_000)
    return sx.review_orders(checked) if now is None else sx.OrderReview(checked, now=lambda: now)


def approved_of(orders, quotes=MARKET, **options):
    review = review_of(orders, quotes, **options)
    review.approve_all(by="ann")
    return review.result()


TWO = orders_of(("SPY", "BUY", 2.0), ("TLT", "BUY", 3.0))


class Losing(Counting):
    """The mock broker, which loses the first order on the way: it is never reported and has no effect."""

    def __init__(self, mode):
        super().__init__(MARKET, cash=100_000.0)
        self.mode = mode

    async def place(self, ticket):
        if not self.placed:
            self.placed.append(ticket.client_order_id)
            raise BrokerError("the line is down")
        await super().place(ticket)


class Slow(Losing):
    """The same, but the order arrives after all: the broker reports it at the third query."""

    in_flight_seconds = 30.0

    def __init__(self):
        super().__init__("paper")
        self.first, self.asked = None, 0

    async def place(self, ticket):
        self.first = self.first or ticket
        await super().place(ticket)

    async def collect_evidence(self):
        self.asked += 1
        if self.asked == 3:
            await MockBroker.place(self, self.first)
        return await super().collect_evidence()


# -- the worked cases ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_market_order_for_two_spy_fills_at_the_given_price(broker, blotter):
    states = sx.submit_orders(approved_of(orders_of(("SPY", "BUY", 2.0))), broker, blotter)
    row = states.iloc[0]
    assert row["client_order_id"] == "run-1-SPY-BUY"
    assert (row["status"], row["filled_quantity"], row["avg_fill_price"]) == ("FILLED", 2.0, 123.0)
    assert blotter.runs()["status"].tolist() == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize("finder", ["check", "filler"])
def test_an_order_without_a_price_is_rejected_by_plan_check_or_broker(blotter, finder):
    broker = Counting({"SPY": 123.0}, cash=100_000.0)
    quotes = {"SPY": 123.0} if finder == "check" else {"SPY": 123.0, "NOPE": 10.0}
    frame = orders_of(("SPY", "BUY", 2.0), ("NOPE", "BUY", 5.0))
    states = sx.submit_orders(approved_of(frame, quotes), broker, blotter)
    assert states["status"].tolist() == ["FILLED", "REJECTED"]
    assert states["reason"].fillna("").tolist() == ["", "price_unavailable"]
    assert states["status"].value_counts().to_dict() == {"FILLED": 1, "REJECTED": 1}
    assert broker.placed == ["run-1-SPY-BUY"] + ["run-1-NOPE-BUY"] * (finder == "filler")
    assert blotter.runs()["status"].tolist() == ["partial"]


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "status", "average"), [(1, "PARTIAL", 100.0), (2, "FILLED", 106.0)])
def test_fills_of_four_at_100_and_six_at_110(blotter, steps, status, average):
    fill_plan = pd.DataFrame(
        [
            {"symbol": "SPY", "action": "fill", "quantity": 4.0, "price": 100.0},
            {"symbol": "SPY", "action": "fill", "quantity": 6.0, "price": 110.0},
        ]
    ).head(steps)
    broker = MockBroker({"SPY": 105.0}, cash=100_000.0, fill_plan=fill_plan)
    states = sx.submit_orders(approved_of(orders_of(("SPY", "BUY", 10.0)), {"SPY": 105.0}), broker, blotter)
    row = states.iloc[0]
    assert (row["status"], row["filled_quantity"], row["avg_fill_price"]) == (
        status,
        4.0 + 6.0 * (steps - 1),
        average,
    )
    assert row["commission"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("actions", "status"),
    [
        (["fill", "fill"], "done"),
        (["fill", "reject"], "partial"),
        (["fill", "cancel"], "partial"),
        (["fill", "rest"], "partial"),
        (["reject", "reject"], "failed"),
        (["cancel", "rest"], "failed"),
    ],
)
def test_the_status_of_a_run_follows_from_those_of_its_orders(blotter, actions, status):
    fill_plan = pd.DataFrame({"symbol": ["SPY", "TLT"], "action": actions})
    broker = MockBroker(MARKET, cash=100_000.0, fill_plan=fill_plan)
    sx.submit_orders(approved_of(TWO), broker, blotter)
    assert blotter.runs()["status"].tolist() == [status]


# -- the record comes first ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 1_000])
def test_no_order_is_sent_before_its_intent_is_on_disk(tmp_path, window):
    file = tmp_path / "b.duckdb"
    seen = {}

    class Spy(MockBroker):
        send_window = window

        async def place(self, ticket):
            # A snapshot of the file holds what is committed, and nothing that is only in memory.
            with sx.read_blotter(file) as snapshot:
                events = snapshot.events("run-1")
                mine = events[events["client_order_id"] == ticket.client_order_id]
                planned = snapshot.orders("run-1")["client_order_id"].tolist()
                seen[ticket.client_order_id] = (mine["kind"].tolist(), ticket.client_order_id in planned)
            await super().place(ticket)

    broker = Spy(MARKET, cash=100_000.0)
    with sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of(TWO), broker, blotter)
    assert seen == {
        "run-1-SPY-BUY": (["intent", "sending"], True),
        "run-1-TLT-BUY": (["intent", "sending"], True),
    }


@pytest.mark.slow
def test_a_plan_that_cannot_be_recorded_is_not_sent(broker, blotter):
    def refuse(*_):
        raise BlotterError("the disk is full")

    blotter.record_plan = refuse
    with pytest.raises(BlotterError):
        sx.submit_orders(approved_of(TWO), broker, blotter)
    assert broker.placed == []


@pytest.mark.slow
def test_an_order_that_cannot_be_recorded_as_sending_is_not_sent(broker, blotter):
    record = blotter.record

    def refuse(events):
        if any(event.kind == "sending" for event in events):
            raise BlotterError("the disk is full")
        return record(events)

    blotter.record = refuse
    with pytest.raises(BlotterError):
        sx.submit_orders(approved_of(TWO), broker, blotter)
    assert broker.placed == []


# -- once ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_run_again_sends_nothing_and_returns_the_same_rows(broker, blotter):
    approved = approved_of(TWO)
    first = sx.submit_orders(approved, broker, blotter)
    for again in (broker, Counting(MARKET)):
        pd.testing.assert_frame_equal(sx.submit_orders(approved, again, blotter), first)
    assert broker.placed == ["run-1-SPY-BUY", "run-1-TLT-BUY"]
    assert again.placed == []
    assert len(blotter.fills()) == 2


@pytest.mark.slow
def test_a_plan_approved_again_is_the_same_plan(broker, blotter):
    earlier = clock.now() - timedelta(minutes=5)
    first = sx.submit_orders(approved_of(TWO, now=earlier), broker, blotter)
    again = sx.submit_orders(approved_of(TWO), Counting(MARKET), blotter)
    pd.testing.assert_frame_equal(again, first)
    assert len(broker.placed) == 2


@pytest.mark.slow
def test_rows_in_another_sequence_are_the_same_plan(broker, blotter):
    approved = approved_of(TWO)
    first = sx.submit_orders(approved, broker, blotter)
    pd.testing.assert_frame_equal(sx.submit_orders(approved.iloc[::-1], broker, blotter), first)


@pytest.mark.slow
def test_an_old_approval_still_returns_the_rows_of_a_finished_run(broker, blotter):
    first = sx.submit_orders(approved_of(TWO, now=clock.now() - timedelta(minutes=59)), broker, blotter)
    old = approved_of(TWO, now=clock.now() - timedelta(days=1))
    pd.testing.assert_frame_equal(sx.submit_orders(old, broker, blotter), first)


@pytest.mark.slow
def test_the_same_id_with_another_payload_is_an_error_that_names_the_rows(broker, blotter):
    sx.submit_orders(approved_of(TWO), broker, blotter)
    other = orders_of(("SPY", "BUY", 2.0), ("TLT", "BUY", 4.0))
    with pytest.raises(IdempotencyConflictError, match="run-1-TLT-BUY") as caught:
        sx.submit_orders(approved_of(other), broker, blotter)
    assert caught.value.codes == ("idempotency_conflict",)
    assert [problem.symbol for problem in caught.value.problems] == ["TLT"]
    assert len(broker.placed) == 2
    assert blotter.orders()["quantity"].tolist() == [2.0, 3.0]


@pytest.mark.slow
def test_another_plan_under_the_same_run_id_is_an_error(broker, blotter):
    sx.submit_orders(approved_of(orders_of(("SPY", "BUY", 2.0))), broker, blotter)
    with pytest.raises(IdempotencyConflictError, match="run-1-TLT-BUY"):
        sx.submit_orders(approved_of(orders_of(("TLT", "BUY", 3.0))), broker, blotter)
    assert broker.placed == ["run-1-SPY-BUY"]


@pytest.mark.slow
def test_an_id_of_another_run_is_an_error_and_nothing_is_sent(broker, blotter):
    frame = TWO.assign(client_order_id=["mine", "yours"])
    sx.submit_orders(approved_of(frame), broker, blotter)
    other = orders_of(("SPY", "BUY", 7.0), run_id="run-2").assign(client_order_id="mine")
    with pytest.raises(IdempotencyConflictError, match="on record in run run-1"):
        sx.submit_orders(approved_of(other), broker, blotter)
    assert len(broker.placed) == 2
    assert blotter.runs()["run_id"].tolist() == ["run-1"]


@pytest.mark.slow
def test_two_runs_go_into_one_blotter(broker, blotter):
    sx.submit_orders(approved_of(TWO), broker, blotter)
    second = orders_of(("SPY", "BUY", 7.0), run_id="run-2")
    assert sx.submit_orders(approved_of(second), broker, blotter)["client_order_id"].tolist() == ["run-2-SPY-BUY"]
    assert blotter.runs()["run_id"].tolist() == ["run-1", "run-2"]


# -- the whole plan is the record ------------------------------------------------------------------------------


@pytest.mark.slow
def test_orders_that_were_not_approved_are_recorded_as_cancelled_and_not_sent(broker, blotter):
    review = review_of(TWO)
    review.approve("run-1-TLT-BUY", by="ann")
    states = sx.submit_orders(review.result(), broker, blotter)
    assert states[["status", "reason"]].fillna("").to_numpy().tolist() == [
        ["CANCELLED", "not_approved"],
        ["FILLED", ""],
    ]
    assert broker.placed == ["run-1-TLT-BUY"]
    assert blotter.runs()["status"].tolist() == ["partial"]


@pytest.mark.slow
def test_an_order_excluded_once_is_not_sent_by_a_later_approval(broker, blotter):
    review = review_of(TWO)
    review.approve("run-1-TLT-BUY", by="ann")
    sx.submit_orders(review.result(), broker, blotter)
    states = sx.submit_orders(approved_of(TWO), broker, blotter)
    assert states["status"].tolist() == ["CANCELLED", "FILLED"]
    assert broker.placed == ["run-1-TLT-BUY"]


@pytest.mark.slow
def test_rows_that_plan_or_check_refused_are_recorded_with_their_reason(broker, blotter):
    weights = {"SPY": 0.1, "TLT": 0.1, "NOPE": 0.1}
    orders = sx.plan_orders(weights, None, MARKET, nav=10_000, run_id="run-1")
    states = sx.submit_orders(approved_of(orders, limits=sx.Limits(restricted={"TLT"})), broker, blotter)
    assert states.set_index("symbol")["status"].to_dict() == {
        "SPY": "FILLED",
        "TLT": "REJECTED",
        "NOPE": "REJECTED",
    }
    reasons = states.set_index("symbol")["reason"]
    assert (reasons["TLT"], reasons["NOPE"]) == ("restricted", "price_unavailable")
    events = blotter.events("run-1")
    refused = events[events["kind"] == "refused"]
    assert sorted(refused["code"]) == ["price_unavailable", "restricted"]
    assert refused["message"].notna().all()


@pytest.mark.slow
def test_a_run_whose_every_row_was_refused_is_blocked(broker, blotter):
    orders = sx.plan_orders({"SPY": 0.1, "NOPE": 0.1}, None, MARKET, nav=10_000, run_id="run-1")
    approved = approved_of(orders, limits=sx.Limits(max_order_notional=1))
    states = sx.submit_orders(approved, broker, blotter)
    assert states["status"].tolist() == ["REJECTED", "REJECTED"]
    run = blotter.runs().iloc[0]
    assert (run["status"], run["message"]) == ("blocked", "all 2 orders were refused by plan or checks")
    assert pd.isna(run["started_at"])
    pd.testing.assert_frame_equal(sx.submit_orders(approved, broker, blotter), states)
    assert broker.placed == []


@pytest.mark.slow
def test_a_refused_plan_is_blocked_at_the_time_of_its_submission(broker, blotter, monkeypatch):
    approved = approved_of(TWO, limits=sx.Limits(max_order_notional=1))
    at = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: at)
    sx.submit_orders(approved, broker, blotter)
    events = blotter.events("run-1")
    assert events.loc[events["kind"] == "run_blocked", "occurred_at"].tolist() == [at]


@pytest.mark.slow
def test_a_run_without_approved_orders_is_cancelled(broker, blotter):
    review = review_of(TWO)
    review.reject("run-1-SPY-BUY", by="ann")
    states = sx.submit_orders(review.result(), broker, blotter)
    assert states["status"].tolist() == ["CANCELLED", "CANCELLED"]
    run = blotter.runs().iloc[0]
    assert (run["status"], run["message"]) == ("cancelled", "no order was approved")
    assert run["ended_at"] is not pd.NaT
    assert pd.isna(run["approved_by"])
    assert broker.placed == []


@pytest.mark.slow
def test_an_empty_frame_that_names_no_run_is_not_recorded(broker, blotter):
    states = sx.submit_orders(approved_of(TWO).iloc[:0], broker, blotter)
    assert len(states) == 0
    assert str(states["quantity"].dtype) == "float64"
    assert len(blotter.runs()) == 0


@pytest.mark.slow
def test_a_plan_that_was_filtered_to_nothing_is_not_recorded(broker, blotter):
    plan = sx.plan_orders({"SPY": 0.5}, None, MARKET, nav=10_000.0, run_id="wanted")
    review = sx.review_orders(sx.check_orders(plan, quotes=MARKET, cash=10_000.0))
    result = review.result()
    assert len(result) == 1
    assert sx.submit_orders(result[result["approved"]], broker, blotter).empty
    assert blotter.runs().empty  # and the run id is free for the plan itself
    review.approve_all(by="ann")
    assert sx.submit_orders(review.result(), broker, blotter)["status"].tolist() == ["FILLED"]


@pytest.mark.slow
def test_a_run_with_nothing_to_trade_is_done_once_and_for_all(broker, blotter):
    held = pd.DataFrame({"symbol": ["SPY"], "quantity": [10.0]})
    plan = sx.plan_orders({"SPY": 1.0}, held, {"SPY": 100.0}, nav=1_000.0, run_id="still", reserve=0)
    review = sx.review_orders(sx.check_orders(plan, positions=held, quotes={"SPY": 100.0}, cash=0.0, nav=1_000.0))
    assert repr(review) == "<OrderReview still: 0 orders, 0 approved, 0 rejected, 0 open, 0 blocked>"
    for _ in range(2):
        assert sx.submit_orders(review.result(), broker, blotter).empty
    assert sx.start_run(review.result(), broker, blotter).wait().empty
    assert sx.resume("still", broker, blotter).empty
    assert sx.residual_orders("still", blotter).empty
    runs = blotter.runs()
    assert runs[["run_id", "status", "message"]].to_numpy().tolist() == [
        ["still", "done", "nothing to trade: the plan has no orders"]
    ]
    assert runs["ended_at"].notna().all()
    with pytest.raises(IdempotencyConflictError, match="run still is on record as done, with nothing to trade"):
        sx.submit_orders(approved_of(TWO.assign(run_id="still")), broker, blotter)
    assert broker.placed == []


@pytest.mark.slow
def test_two_runs_in_one_frame_are_an_error(broker, blotter):
    frame = pd.concat([TWO, orders_of(("SPY", "BUY", 7.0), run_id="run-2")])
    with pytest.raises(InputError) as caught:
        sx.submit_orders(approved_of(frame), broker, blotter)
    assert caught.value.codes == ("run_id_invalid",)
    assert len(blotter.orders()) == 0


@pytest.mark.slow
def test_the_run_is_recorded_with_all_that_belongs_to_it(broker, blotter):
    review = review_of(TWO)
    review.approve("run-1-SPY-BUY", by="zoe")
    review.approve("run-1-TLT-BUY", by="ann")
    result = review.result()
    sx.submit_orders(result, broker, blotter, timeout=7.5)
    run = blotter.runs().iloc[0]
    assert (run["run_id"], run["mode"], run["account"]) == ("run-1", "mock", "DU0000001")
    assert run["nav"] == 100_000.0  # before any trade
    assert run["approved_by"] == "ann, zoe"
    assert run["approved_at"] == result["approved_at"].max()
    parameters = json.loads(run["parameters"])
    assert (parameters["broker"], parameters["timeout"]) == ("mock://", 7.5)
    assert sx.Limits.of(parameters["limits"]) == sx.Limits()
    assert len(run["plan_hash"]) == 64
    assert run["code_version"] == sx.__version__
    assert run["started_at"] <= run["ended_at"]


# -- approval --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("frame", [None, TWO, pd.DataFrame()], ids=["None", "plain", "empty"])
def test_a_frame_without_an_approval_is_refused(broker, blotter, frame):
    with pytest.raises(ApprovalError):
        sx.submit_orders(frame, broker, blotter)
    assert len(blotter.runs()) == 0


@pytest.mark.slow
def test_a_frame_that_changed_since_its_approval_is_refused(broker, blotter):
    approved = approved_of(TWO)
    approved.loc[0, "quantity"] = 200.0
    with pytest.raises(ApprovalError, match="run-1-SPY-BUY"):
        sx.submit_orders(approved, broker, blotter)
    assert len(blotter.runs()) == 0
    assert broker.placed == []


@pytest.mark.slow
@pytest.mark.parametrize("at", [datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)])
def test_an_approval_that_is_too_old_or_from_the_future_is_refused(broker, blotter, at):
    approved = approved_of(TWO, now=at)
    with pytest.raises(ApprovalError):
        sx.submit_orders(approved, broker, blotter)
    with pytest.raises(ApprovalError):  # its own limits allow an hour, whatever is given now
        sx.submit_orders(approved, broker, blotter, max_approval_age=None)
    assert len(blotter.runs()) == 0
    ageless = approved_of(TWO, now=at, limits=sx.Limits(max_approval_age=None))
    states = sx.submit_orders(ageless, broker, blotter, max_approval_age=None)
    assert states["status"].tolist() == ["FILLED", "FILLED"]


@pytest.mark.slow
def test_an_order_for_another_account_is_refused(broker, blotter):
    frame = TWO.assign(account=["DU0000001", "DU7654321"])
    with pytest.raises(InputError, match="run-1-TLT-BUY") as caught:
        sx.submit_orders(approved_of(frame), broker, blotter)
    assert caught.value.codes == ("account_mismatch",)
    assert "7654321" not in str(caught.value)
    assert len(blotter.runs()) == 0


# -- halts -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_halt_blocks_the_run_and_the_same_call_sends_it_once_cleared(broker, blotter):
    approved = approved_of(TWO)
    blotter.halt("drill")
    for _ in range(2):
        with pytest.raises(HaltedError, match="drill"):
            sx.submit_orders(approved, broker, blotter)
    run = blotter.runs().iloc[0]
    assert run["status"] == "blocked"
    assert "drill" in run["message"]
    assert blotter.orders()["status"].tolist() == ["NEW", "NEW"]
    assert broker.placed == []
    blotter.clear_halt("over")
    assert sx.submit_orders(approved, broker, blotter)["status"].tolist() == ["FILLED", "FILLED"]
    assert blotter.runs()["status"].tolist() == ["done"]


@pytest.mark.slow
def test_a_blocked_run_is_not_sent_with_an_approval_that_has_expired(broker, blotter):
    approved = approved_of(TWO, now=clock.now() - timedelta(minutes=59))
    blotter.halt("drill")
    with pytest.raises(HaltedError):
        sx.submit_orders(approved, broker, blotter)
    blotter.clear_halt("over")
    with pytest.raises(ApprovalError, match="old"):
        sx.submit_orders(approved, broker, blotter, max_approval_age=60)
    assert broker.placed == []


# -- ways to call ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_blocking_call_works_inside_a_running_loop_as_in_a_notebook(broker, blotter):
    async def cell():
        return sx.submit_orders(approved_of(TWO), broker, blotter)

    assert asyncio.run(cell())["status"].tolist() == ["FILLED", "FILLED"]


@pytest.mark.slow
def test_the_awaitable_does_the_same(broker, blotter):
    async def cell():
        return await sx.submit_orders_async(approved_of(TWO), broker, blotter)

    assert asyncio.run(cell())["status"].tolist() == ["FILLED", "FILLED"]


@pytest.mark.slow
def test_two_runs_can_be_awaited_at_once(blotter):
    async def both():
        runs = []
        for name in ("a", "b"):
            approved = approved_of(orders_of(("SPY", "BUY", 2.0), run_id=name))
            runs.append(sx.submit_orders_async(approved, Counting(MARKET), blotter))
        return await asyncio.gather(*runs)

    first, second = asyncio.run(both())
    assert (first["client_order_id"].tolist(), second["client_order_id"].tolist()) == (
        ["a-SPY-BUY"],
        ["b-SPY-BUY"],
    )
    assert blotter.runs()["status"].tolist() == ["done", "done"]


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_reaches_the_caller_once_the_record_is_complete(tmp_path):
    class Interrupted(Counting):
        async def place(self, ticket):
            if len(self.placed) == 1:
                self.placed.append(ticket.client_order_id)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                await asyncio.Event().wait()
            await super().place(ticket)

    file = tmp_path / "b.duckdb"
    broker = Interrupted({**MARKET, "GLD": 9.0}, cash=100_000.0)
    frame = orders_of(("SPY", "BUY", 2.0), ("TLT", "BUY", 3.0), ("GLD", "BUY", 1.0))
    with pytest.raises(KeyboardInterrupt), sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of(frame, {**MARKET, "GLD": 9.0}), broker, blotter)
    with sx.read_blotter(file) as after:
        assert after.orders()["status"].tolist() == ["FILLED", "UNKNOWN", "NEW"]
        assert after.runs()["message"].str.startswith("interrupted").tolist() == [True]
    assert len(broker.placed) == 2


# -- limits that the plan was checked against --------------------------------------------------------------------

CAPS = {
    "day_notional_cap": sx.Limits(max_day_notional=300.0),  # 246 of SPY, and 150 of TLT would be over
    "rate_cap": sx.Limits(max_orders_per_minute=1),
}


def send_by_submit(review, broker, blotter):
    return sx.submit_orders(review.result(), broker, blotter, timeout=10)


def send_by_review(review, broker, blotter):
    review.broker, review.blotter = broker, blotter
    return review.submit(review.confirmation().phrase)


def send_by_start_run(review, broker, blotter):
    return sx.start_run(review.result(), broker, blotter, timeout=10).wait(30)


def send_after_a_file(review, broker, blotter):
    text = review.result().to_csv(index=False)
    return sx.submit_orders(pd.read_csv(io.StringIO(text)), broker, blotter, timeout=10)


def send_on_resume(review, broker, blotter):
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.submit_orders(review.result(), broker, blotter)
    blotter.clear_halt("looked")
    return sx.resume("run-1", broker, blotter, timeout=10)


@pytest.mark.slow
@pytest.mark.parametrize("code", CAPS)
@pytest.mark.parametrize("scheme", ["mock", "sim"])
@pytest.mark.parametrize(
    "send", [send_by_submit, send_by_review, send_by_start_run, send_after_a_file, send_on_resume]
)
def test_caps_given_to_the_checks_are_enforced_by_every_way_of_sending(blotter, scheme, send, code):
    review = review_of(TWO, limits=CAPS[code])
    review.approve_all(by="ann")
    with sx.connect(f"{scheme}://?seed=7", quotes=MARKET, cash=100_000) as broker:
        states = send(review, broker, blotter)
        assert broker.positions()["symbol"].tolist() == ["SPY"]
    assert states["status"].tolist() == ["FILLED", "REJECTED"]
    assert states["reason"].iloc[1] == code


@pytest.mark.slow
def test_the_tighter_of_the_caps_given_at_checking_and_sending_applies(broker, blotter):
    loose, tight = sx.Limits(max_day_notional=1e9), CAPS["day_notional_cap"]
    one = sx.submit_orders(approved_of(TWO, limits=tight), broker, blotter, limits=loose)
    assert one["status"].tolist() == ["FILLED", "REJECTED"]
    with sx.open_blotter() as other:
        two = sx.submit_orders(approved_of(TWO, limits=loose), MockBroker(MARKET), other, limits=tight)
    assert two["status"].tolist() == ["FILLED", "REJECTED"]


@pytest.mark.slow
def test_a_cap_given_at_sending_applies_when_the_run_is_resumed(broker, blotter):
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.submit_orders(approved_of(TWO), broker, blotter, limits=CAPS["day_notional_cap"])
    blotter.clear_halt("looked")
    states = sx.resume("run-1", broker, blotter, limits=sx.Limits(max_day_notional=1e9))
    assert states["reason"].tolist()[1] == "day_notional_cap"


@pytest.mark.slow
def test_orders_of_the_last_minute_count_whichever_run_sent_them(broker, blotter):
    limits = sx.Limits(max_orders_per_minute=3)
    sx.submit_orders(approved_of(TWO, limits=limits), broker, blotter)
    later = orders_of(("SPY", "BUY", 1.0), ("TLT", "BUY", 1.0), run_id="run-2")
    states = sx.submit_orders(approved_of(later, limits=limits), broker, blotter)
    assert states["reason"].fillna("").tolist() == ["", "rate_cap"]


@pytest.mark.slow
def test_a_frame_that_was_merged_keeps_its_limits(broker, blotter):
    checked = sx.check_orders(TWO, CAPS["rate_cap"], quotes=MARKET, cash=100_000)
    names = pd.DataFrame({"symbol": ["SPY", "TLT"], "name": ["S&P 500", "Treasuries"]})
    review = sx.review_orders(checked.merge(names, on="symbol"))
    review.approve_all(by="ann")
    states = sx.submit_orders(review.result(), broker, blotter)
    assert states["reason"].fillna("").tolist() == ["", "rate_cap"]
    assert states["name"].tolist() == ["S&P 500", "Treasuries"]


@pytest.mark.slow
def test_a_plan_that_lost_its_limits_is_not_reviewed_and_not_sent(broker, blotter):
    checked = sx.check_orders(TWO, quotes=MARKET, cash=100_000)
    with pytest.raises(InputError, match=r"lost the limits .* call sx.check_orders") as caught:
        sx.review_orders(checked.drop(columns="limits"))
    assert caught.value.codes == ("not_checked",)
    with pytest.raises(ApprovalError, match="no limits"):
        sx.submit_orders(approved_of(TWO).drop(columns="limits"), broker, blotter)


@pytest.mark.slow
def test_a_limit_that_was_loosened_after_the_approval_is_a_change(broker, blotter):
    approved = approved_of(TWO, limits=CAPS["rate_cap"])
    approved["limits"] = sx.Limits().to_json()
    with pytest.raises(ApprovalError, match="2 rows changed since they were approved"):
        sx.submit_orders(approved, broker, blotter)


@pytest.mark.slow
def test_orders_sent_on_an_earlier_day_count_towards_the_runs_total(blotter):
    # The mock filler's time is that of its quotes: 246 of SPY are sent on Monday, and on Tuesday 150 of TLT would
    # bring the run to 396, over 300.
    monday, tuesday = (pd.Timestamp(f"2026-11-{day} 15:00", tz="UTC") for day in (23, 24))
    market = pd.DataFrame({"symbol": list(MARKET), "last": list(MARKET.values())})

    class Stopping(MockBroker):
        async def place(self, ticket):
            await super().place(ticket)
            blotter.halt("enough for Monday")

    one = Stopping(market.assign(quoted_at=monday), cash=100_000.0)
    one.send_window = 1
    limits = sx.Limits(max_total_notional=300.0)
    orders = TWO.assign(decision_price=[123.0, 50.0])
    checked = sx.check_orders(orders, sx.Limits(), quotes=MARKET, cash=100_000)
    review = sx.review_orders(checked)
    review.approve_all(by="ann")
    with pytest.raises(HaltedError):
        sx.submit_orders(review.result(), one, blotter, limits=limits)
    blotter.clear_halt("Tuesday")
    states = sx.resume("run-1", MockBroker(market.assign(quoted_at=tuesday), cash=100_000.0), blotter)
    assert states["reason"].fillna("").tolist() == ["", "run_notional_cap"]


# -- a run that is not new ---------------------------------------------------------------------------------------


def halted_plan(broker, path):
    """Record a plan of two orders, of which nothing is sent."""
    approved = approved_of(orders_of(("SPY", "BUY", 5.0), ("TLT", "BUY", 7.0)))
    with sx.open_blotter(path) as blotter:
        blotter.halt("not yet")
        with pytest.raises(HaltedError):
            sx.submit_orders(approved, broker, blotter)
        blotter.clear_halt("now")


@pytest.mark.slow
def test_a_restored_record_queries_the_mock_broker_and_sends_nothing_again(broker, tmp_path):
    path, copy = tmp_path / "b.duckdb", tmp_path / "copy.duckdb"
    halted_plan(broker, path)
    shutil.copy(path, copy)
    with sx.open_blotter(path) as blotter:
        assert sx.resume("run-1", broker, blotter)["status"].tolist() == ["FILLED"] * 2
    with sx.open_blotter(copy) as blotter:
        for _ in range(2):
            states = sx.resume("run-1", broker, blotter)
            assert states["status"].tolist() == ["FILLED"] * 2
            assert states["filled_quantity"].tolist() == [5.0, 7.0]
            assert blotter.runs()["status"].tolist() == ["done"]
    assert broker.placed == ["run-1-SPY-BUY", "run-1-TLT-BUY"]


@pytest.mark.slow
def test_a_restored_record_that_lacks_one_order_sends_the_mock_broker_nothing_more(broker, tmp_path):
    path = tmp_path / "b.duckdb"
    lost = Ticket(
        "run-1-TLT-BUY", "run-1", "TLT", "BUY", 7.0, "MKT", NAN, "DAY", "USD", "STK", "SMART", "DU0000001"
    )
    asyncio.run(broker.place(lost))
    halted_plan(broker, path)
    with sx.open_blotter(path) as blotter:
        for _ in range(2):
            states = sx.resume("run-1", broker, blotter)
            assert states["status"].tolist() == ["NEW", "FILLED"]
            assert "the broker has run-1-TLT-BUY, which this blotter has not sent" in states["reason"].iloc[0]
            (run,) = blotter.runs().to_dict("records")
            assert (run["status"], run["message"][:25]) == ("partial", "1 orders were held back: ")
    assert broker.placed == ["run-1-TLT-BUY"]


@pytest.mark.slow
def test_a_plan_is_recorded_with_the_connection_that_planned_it_and_its_next_order_id(blotter):
    with (
        Simulator(seed=7, clock="brisk") as venue,
        sx.connect(f"ib://127.0.0.1:{venue.port}?client_id=7") as broker,
    ):
        venue.call(lambda inside: inside.ledger.use_id(7, 41))
        blotter.halt("look at the record")
        with pytest.raises(HaltedError):
            sx.submit_orders(approved_of(orders_of(("SPY", "BUY", 5.0))), broker, blotter)
    events = blotter.events("run-1")
    first = events[events["kind"] == "session"].iloc[0]
    assert first[["client_id", "order_id", "code"]].tolist() == [7, 42, "planned"]
    assert events.loc[events["kind"] == "intent", "client_id"].tolist() == [7]


@pytest.mark.slow
def test_a_plan_is_recorded_even_if_the_next_order_id_is_not_reported(blotter):
    with (
        Simulator(seed=7, clock="brisk") as venue,
        sx.connect(f"ib://127.0.0.1:{venue.port}?client_id=7&timeout=1") as broker,
    ):
        venue.fault(on="reqIds", do="swallow", times=1)
        states = sx.submit_orders(approved_of(orders_of(("SPY", "BUY", 5.0))), broker, blotter, timeout=5)
    assert states["status"].tolist() == ["FILLED"]
    events = blotter.events("run-1")
    first = events[events["kind"] == "session"].iloc[0]
    assert (first["client_id"], pd.isna(first["order_id"])) == (7, True)


# -- an order that may have been lost --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "states", "placed"),
    [
        ("live", ["UNKNOWN", "FILLED"], ["run-1-SPY-BUY", "run-1-TLT-BUY"]),
        ("paper", ["FILLED", "FILLED"], ["run-1-SPY-BUY", "run-1-SPY-BUY", "run-1-TLT-BUY"]),
    ],
)
def test_a_lost_order_is_not_resent_to_a_live_account(blotter, mode, states, placed):
    broker, approved = Losing(mode), approved_of(TWO)
    with pytest.raises(BrokerError, match="the line is down"):
        sx.submit_orders(approved, broker, blotter)
    again = sx.submit_orders(approved, broker, blotter)
    assert again["status"].tolist() == states
    assert broker.placed == placed


@pytest.mark.slow
def test_an_order_in_flight_is_not_considered_lost_before_the_in_flight_time(blotter, monkeypatch):
    monkeypatch.setattr("stocklean_exec.execution.recovery._PAUSE", 0.01)
    broker, approved = Slow(), approved_of(TWO)
    with pytest.raises(BrokerError, match="the line is down"):
        sx.submit_orders(approved, broker, blotter)
    again = sx.submit_orders(approved, broker, blotter)
    assert again["status"].tolist() == ["FILLED", "FILLED"]
    assert broker.placed == ["run-1-SPY-BUY", "run-1-TLT-BUY"]  # each of them once


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "resend"), [("mock", True), ("paper", True), ("live", False)])
def test_the_run_gets_the_requested_waiting_times_and_resends_except_on_live_accounts(
    broker, blotter, monkeypatch, mode, resend
):
    worked = []

    async def work(_run_id, _broker, _blotter, terms, limits, only):
        worked.append((terms, limits, only))

    monkeypatch.setattr(submission, "work_run", work)
    monkeypatch.setattr(broker, "mode", mode)
    monkeypatch.setattr(broker, "in_flight_seconds", 7.0, raising=False)
    plan = approved_of(TWO)
    sx.submit_orders(plan, broker, blotter, timeout=2.5, limits=sx.Limits(max_gross=3.0))
    ((terms, limits, only),) = worked
    assert (terms.patience, terms.in_flight_seconds, terms.resend, terms.is_new) == (2.5, 7.0, resend, True)
    assert terms.restrictions.cleared == only == {"run-1-SPY-BUY", "run-1-TLT-BUY"}
    assert limits.max_gross == 3.0
    sx.submit_orders(plan, broker, blotter)  # its orders were not sent: another run may have sent such orders
    again, _, _ = worked[1]
    assert (again.patience, again.is_new, again.restrictions.cleared) == (60.0, False, frozenset())


@pytest.mark.slow
def test_the_control_of_a_run_receives_its_events_and_stops_it(broker, blotter):
    control, received, moved = RunControl(), [], []
    control.listen(received.append)
    options = SubmitOptions(60.0, None, None)
    work = submit(
        approved_of(TWO), broker, blotter, options, control=control, on_progress=lambda *news: moved.append(news)
    )
    assert asyncio.run(work)["status"].tolist() == ["FILLED", "FILLED"]
    assert {event.client_order_id for event in received if event.kind == "execution"} == {
        "run-1-SPY-BUY",
        "run-1-TLT-BUY",
    }
    assert moved[-1][0] == 2
    stopped = RunControl()
    stopped.stop("cancelled by ann")
    rest = approved_of(orders_of(("SPY", "BUY", 1.0), run_id="run-2"), limits=sx.Limits(duplicate_window=None))
    asyncio.run(submit(rest, broker, blotter, options, control=stopped))
    assert broker.placed == ["run-1-SPY-BUY", "run-1-TLT-BUY"]
