"""A plan on record: its rows, its header, and the first event of each order, before anything is sent."""

import asyncio
import json

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.execution.plan_record import PlanSource, record_plan
from stocklean_exec.risk.rules import ONE_SIDED

QUOTES = {"SPY": 100.0, "TLT": 50.0, "KO": 20.0}
SOURCE = PlanSource("mock", "DU1", "mock://", 10_000.0, 7, 40)


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def plan(run_id="r"):
    orders = sx.plan_orders({"SPY": 0.3, "TLT": 0.2, "KO": 0.1}, None, QUOTES, nav=10_000, run_id=run_id)
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(restricted={"KO"}), quotes=QUOTES, cash=10_000))
    review.approve("r-SPY-BUY" if run_id == "r" else "r2-SPY-BUY", by="me")
    return review.result()


def record(blotter, approved, source=SOURCE, batch=1):
    asyncio.run(record_plan(approved, source, blotter, "r", "hash", {"timeout": 5}, batch))


def test_each_row_has_its_first_event_and_the_run_its_header(blotter):
    record(blotter, plan())
    first = {event.client_order_id: (event.kind, event.code) for event in blotter.recorded_events("r")}
    assert first["r-SPY-BUY"] == ("intent", None)
    assert first["r-TLT-BUY"] == ("not_approved", "not_approved")
    assert first["r-KO-BUY"] == ("refused", "restricted")
    (run,) = blotter.runs().to_dict("records")
    assert (run["mode"], run["account"], run["nav"], run["approved_by"]) == ("mock", "DU1", 10_000.0, "me")
    assert json.loads(run["parameters"]) == {"broker": "mock://", "timeout": 5}


def test_the_connection_that_planned_a_run_is_on_record(blotter):
    record(blotter, plan())
    (mark,) = [event for event in blotter.recorded_events("r") if event.kind == "session"]
    assert (mark.code, mark.client_id, mark.order_id, mark.attempt) == ("planned", 7, 40, 1)


def test_a_broker_without_client_ids_leaves_no_mark(blotter):
    record(blotter, plan(), PlanSource("mock", "DU1", "mock://"))
    assert {event.kind for event in blotter.recorded_events("r")} == {"intent", "not_approved", "refused"}


def test_ids_of_another_run_are_refused_with_the_run_that_has_them(blotter):
    record(blotter, plan())
    taken = plan("r2").assign(client_order_id=plan()["client_order_id"])
    with pytest.raises(sx.IdempotencyConflictError) as error:
        asyncio.run(record_plan(taken, SOURCE, blotter, "r2", "hash", {}, 1))
    assert [problem.symbol for problem in error.value.problems] == taken["symbol"].tolist()
    assert blotter.runs()["run_id"].tolist() == ["r"]


def test_a_plan_without_rows_is_done_at_once(blotter):
    record(blotter, pd.DataFrame(plan().iloc[:0]))
    assert blotter.runs()["status"].tolist() == ["done"]


def test_every_event_has_the_one_moment_of_the_record(blotter, monkeypatch):
    moment = pd.Timestamp("2026-11-30 15:00", tz="UTC").to_pydatetime()
    monkeypatch.setattr("stocklean_exec.clock.now", lambda: moment)
    record(blotter, plan())
    record(blotter, pd.DataFrame(plan().iloc[:0]), batch=2)
    assert {event.kind for event in blotter.recorded_events("r")} >= {
        "session",
        "intent",
        "run_started",
        "run_ended",
    }
    assert {event.occurred_at for event in blotter.recorded_events("r")} == {moment}


def test_an_order_is_planned_by_a_client_and_the_others_have_their_reasons(blotter):
    rejected = {"status": ["NEW", "REJECTED", "NEW"], "reason": [None, "price_unavailable", None]}
    both = {"verdict": ["pass", "pass", "block"], "reasons": ["", "", "restricted, max_order_value"]}
    detail = [None, "price_zero: last is 0", None]
    record(blotter, plan().assign(approved=[True, False, False], detail=detail, **rejected, **both))
    found = {event.client_order_id: event for event in blotter.recorded_events("r") if event.client_order_id}
    assert [(one.kind, one.code, one.message, one.client_id) for one in found.values()] == [
        ("intent", None, None, 7),
        ("refused", "price_unavailable", "price_zero: last is 0", None),
        ("refused", "restricted", "restricted, max_order_value", None),
    ]


@pytest.mark.parametrize(
    ("columns", "status", "message"),
    [
        (
            {"verdict": ["pass", "block", "block"], "status": ["REJECTED", "NEW", "NEW"]},
            "blocked",
            "all 3 orders were refused by plan or checks",
        ),
        (
            {"verdict": ["warn", "block", "warn"], "reasons": [ONE_SIDED, "cash", f"notional, {ONE_SIDED}"]},
            "blocked",
            (
                "1 orders were refused, among them buys for lack of cash, so the 2 sells that were to pay for them"
                " were not sent; one_sided=True sends these"
            ),
        ),
        (
            {"verdict": ["pass", "block", "warn"], "reasons": [None, "cash", ONE_SIDED]},
            "cancelled",
            "no order was approved",
        ),
    ],
)
def test_a_run_with_nothing_to_send_ends_as_it_is_recorded(blotter, columns, status, message):
    record(blotter, plan().assign(approved=False, reason="given", **columns))
    assert blotter.runs()[["status", "message"]].to_numpy().tolist() == [[status, message]]
    assert all(event.occurred_at for event in blotter.recorded_events("r"))
    ends = [event for event in blotter.recorded_events("r") if event.kind in ("run_started", "run_ended")]
    assert [event.attempt for event in ends] == ([1, 1] if status == "cancelled" else [])
