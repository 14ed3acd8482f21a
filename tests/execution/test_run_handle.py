"""A run in the background: looked at, waited for, awaited, interrupted and cancelled, over the wire."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import key_of
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.execution.run_control import control_of, working_runs
from stocklean_exec.simulator import Simulator, read_journal
from stocklean_exec.widgets.live_view import LiveView
from tests.approved_buys import approved_buys

SYMBOLS = [f"S{number:02d}" for number in range(40)]
QUOTES = pd.DataFrame(
    {
        "symbol": SYMBOLS,
        "bid": 9.99,
        "ask": 10.01,
        "last": 10.0,
        "close": 10.0,
        "bid_size": 500.0,
        "ask_size": 500.0,
    }
).assign(currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))


@pytest.fixture
def venue(tmp_path):
    with Simulator(quotes=QUOTES, clock="brisk", journal=tmp_path / "journal.jsonl") as running:
        running.journal = tmp_path / "journal.jsonl"
        yield running


@pytest.fixture
def broker(venue):
    with IBBroker(port=venue.port, rate=0.0, seconds=5.0) as one:
        yield one


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


def approved(count=3, limit=None, run_id="r"):
    return approved_buys(SYMBOLS[:count], QUOTES, limit=limit, run_id=run_id)


def wait_for(check, seconds=20.0):
    """Look until it is so; the test's own time limit is behind it."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not come about"
        threading.Event().wait(0.01)


@pytest.mark.slow
def test_start_run_returns_at_once_and_the_run_continues_in_the_background(broker, blotter):
    run = sx.start_run(approved(), broker, blotter)
    states = run.wait()
    assert states["status"].tolist() == ["FILLED"] * 3
    assert (run.is_done, run.error) == (True, None)
    assert run.progress().to_dict() == {
        "status": "done",
        "orders": 3,
        "ended": 3,
        "filled": 3,
        "quantity": 30.0,
        "filled_quantity": 30.0,
    }
    assert len(run.fills()) == 3
    assert repr(run) == "<Run r: done, 3 of 3 orders ended, 30 of 30 shares filled>"
    pd.testing.assert_frame_equal(run.orders(), states)


@pytest.mark.slow
def test_a_handle_can_be_awaited_in_any_loop_and_by_several(broker, blotter):
    run = sx.start_run(approved(), broker, blotter)

    async def both():
        return await asyncio.gather(run_it(), run_it())

    async def run_it():
        return await run

    one, other = asyncio.run(both())
    assert one["status"].tolist() == other["status"].tolist() == ["FILLED"] * 3


@pytest.mark.slow
def test_a_cancelled_await_does_not_stop_the_run(broker, blotter):
    run = sx.start_run(approved(limit=9.0), broker, blotter, timeout=30)

    async def impatient():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_it(), 0.3)

    async def run_it():
        return await run

    asyncio.run(impatient())
    assert not run.is_done
    with pytest.raises(TimeoutError, match="it continues"):
        run.wait(0.05)
    wait_for(lambda: len(broker.open_orders()) == 3)
    run.cancel_all()
    assert run.wait()["status"].tolist() == ["CANCELLED"] * 3


@pytest.mark.slow
def test_a_cell_that_is_run_twice_gets_the_same_run(broker, blotter):
    plan = approved(limit=9.0)
    run = sx.start_run(plan, broker, blotter, timeout=30)
    assert sx.start_run(plan, broker, blotter) is run
    wait_for(lambda: len(broker.open_orders()) == 3)
    run.cancel_all()
    run.wait()
    again = sx.start_run(plan, broker, blotter)
    assert again is not run
    assert again.wait()["status"].tolist() == ["CANCELLED"] * 3


@pytest.mark.slow
def test_limits_given_at_the_start_are_enforced_as_orders_are_sent(broker, blotter):
    states = sx.start_run(approved(), broker, blotter, limits=sx.Limits(max_total_notional=1.0)).wait()
    assert set(states["reason"]) == {"run_notional_cap"}


@pytest.mark.slow
def test_a_handle_on_a_finished_run_shows_its_record(broker, blotter):
    plan = approved()
    sx.start_run(plan, broker, blotter).wait()
    again = sx.start_run(plan, broker, blotter)
    again.wait()
    assert "3 of 3 ended" in again._repr_html_()
    assert "30 of 30 filled" in again._repr_html_()
    assert again.live.update()["counts"] == {"FILLED": 3}
    assert len(again.live.update()["fills"]) == 3


@pytest.mark.slow
def test_every_call_of_view_returns_the_same_view(broker, blotter):
    run = sx.start_run(approved(), broker, blotter)
    run.wait()
    view = run.view()
    assert isinstance(view, LiveView)
    assert run.view() is view


@pytest.mark.slow
def test_the_head_of_a_run_shows_its_state(broker, blotter):
    run = sx.start_run(approved(limit=9.0), broker, blotter, timeout=30)
    over = threading.Event()
    run.on_done(over.set)
    wait_for(lambda: len(broker.open_orders()) == 3)
    head = run.head()
    assert (head["run"], head["badge"], head["state"], head["note"]) == ("r", "PAPER", "working", "")
    assert head["account"].startswith("DU***")
    run.cancel_all(by="ana")
    assert over.wait(20)
    assert (run.head()["state"], run.head()["note"]) == ("cancelled", "cancelled by ana")
    blotter.halt("not now")
    failed = sx.start_run(approved(run_id="q"), broker, blotter)
    with pytest.raises(sx.HaltedError):
        failed.wait()
    assert failed.head()["state"] == "failed"
    assert failed.head()["note"].startswith("HaltedError: ")
    assert "not now" in failed.head()["halted"]


@pytest.mark.slow
def test_cancelling_a_run_cancels_only_orders_that_may_be_open(broker, blotter, monkeypatch):
    # Two rest at 9.00; the third one is filled at the market.
    plan = approved(limit=9.0)
    orders = plan.drop(columns=["approved", "approved_by", "approved_at", "order_hash", "approval_hash"])
    orders.loc[2, ["order_type", "limit_price"]] = ["MKT", float("nan")]
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(price_collar=None), quotes=QUOTES, cash=1e6))
    review.approve_all(by="me")
    asked, cancel = [], broker.cancel

    def note(name):
        asked.append(name)
        cancel(name)

    monkeypatch.setattr(broker, "cancel", note)
    run = sx.start_run(review.result(), broker, blotter, timeout=30)
    wait_for(lambda: run.progress()["filled"] == 1 and len(broker.open_orders()) == 2)
    run.cancel_all()
    assert sorted(run.wait()["status"]) == ["CANCELLED", "CANCELLED", "FILLED"]
    assert asked == plan["client_order_id"].tolist()[:2]


@pytest.mark.slow
def test_cancelling_a_run_cancels_working_orders_and_sends_nothing_more(venue, blotter):
    with IBBroker(port=venue.port, rate=40.0, seconds=5.0) as broker:
        run = sx.start_run(approved(40, limit=9.0), broker, blotter, timeout=60)
        wait_for(lambda: len(broker.open_orders()) > 3)
        run.cancel_all(by="ana")
        states = run.wait()
        assert set(states["status"]) == {"CANCELLED", "REJECTED"}
        refused = states[states["status"] == "REJECTED"]
        assert set(refused["reason"]) == {"run_cancelled"}
        assert broker.open_orders().empty
        row = blotter.runs().iloc[0]
        assert row["status"] == "cancelled"
        (event,) = blotter.events("r").query("kind == 'run_cancelled'").to_dict("records")
        assert (event["code"], event["message"]) == ("ana", "cancelled by ana")
        assert abs(event["occurred_at"] - event["recorded_at"]) < pd.Timedelta("1h")
        # What was refused stays so.
        assert sx.resume("r", broker, blotter)["status"].tolist() == states["status"].tolist()
    accepted = [one for one in read_journal(venue.journal) if one["event"] == "order"]
    assert len(accepted) == (states["status"] == "CANCELLED").sum() < 40


@pytest.mark.slow
def test_orders_of_another_run_are_not_cancelled(broker, blotter):
    first = sx.start_run(approved(2, limit=9.0), broker, blotter, timeout=0.3)
    first.wait()
    second = sx.start_run(approved(3, limit=8.0, run_id="q"), broker, blotter, timeout=30)
    wait_for(lambda: len(broker.open_orders()) == 5)
    second.cancel_all()
    second.wait()
    assert sorted(broker.open_orders()["client_order_id"]) == ["r-S00-BUY", "r-S01-BUY"]


@pytest.mark.slow
def test_one_order_is_cancelled_by_id_and_a_halt_applies_to_every_run(broker, blotter):
    run = sx.start_run(approved(2, limit=9.0), broker, blotter, timeout=3)
    wait_for(lambda: len(broker.open_orders()) == 2)
    run.cancel("r-S00-BUY")
    with pytest.raises(sx.InputError, match="'x' is not an order of run r"):
        run.cancel("x")
    run.halt("a person")
    with pytest.raises(sx.HaltedError):
        run.wait()
    assert run.orders()["status"].tolist() == ["CANCELLED", "SUBMITTED"]
    assert "HaltedError" in repr(run)


@pytest.mark.slow
def test_a_run_is_registered_while_it_is_worked_here_and_no_longer(broker, blotter):
    assert control_of(blotter, "r") is None
    run = sx.start_run(approved(1, limit=9.0), broker, blotter, timeout=60)
    wait_for(lambda: len(broker.open_orders()) == 1)
    assert control_of(blotter, "r") is run.control
    assert working_runs(blotter) == {"r": run.control}
    assert control_of(blotter, "other") is None
    with sx.open_blotter() as elsewhere:
        assert control_of(elsewhere, "r") is None
        assert working_runs(elsewhere) == {}
    run.cancel_all()
    run.wait()
    assert control_of(blotter, "r") is None


@pytest.mark.slow
def test_an_invalid_approval_is_refused_at_once(broker, blotter):
    tampered = approved()
    tampered.loc[0, "quantity"] = 99.0
    with pytest.raises(sx.ApprovalError):
        sx.start_run(tampered, broker, blotter)
    with pytest.raises(sx.InputError, match="no orders"):
        sx.start_run(approved().iloc[:0], broker, blotter)
    assert blotter.runs().empty


@pytest.mark.slow
def test_a_later_failure_is_raised_by_wait(broker, blotter):
    blotter.halt("not now")
    run = sx.start_run(approved(), broker, blotter)
    with pytest.raises(sx.HaltedError):
        run.wait()
    assert isinstance(run.error, sx.HaltedError)


@pytest.mark.slow
def test_a_listener_receives_every_event_once(broker, blotter):
    received = []
    plan = approved(limit=9.0)
    run = sx.start_run(plan, broker, blotter, timeout=30)
    run.control.listen(received.append)
    wait_for(lambda: len(broker.open_orders()) == 3)
    run.cancel_all()
    run.wait()
    cancelled = {event.client_order_id for event in received if event.status == "CANCELLED"}
    assert cancelled == set(plan["client_order_id"])
    assert len({key_of(event) for event in received}) == len(received)


INTERRUPTED = """
import os, signal, sys, threading
import pandas as pd
import stocklean_exec as sx
from stocklean_exec.simulator import Simulator

signal.signal(signal.SIGINT, signal.default_int_handler)
with Simulator(clock="brisk") as venue:
    broker, blotter = sx.connect(f"ib://127.0.0.1:{venue.port}"), sx.open_blotter()
    targets = pd.DataFrame({"symbol": ["KO"], "weight": [0.1], "order_type": ["LMT"], "limit_price": [50.0]})
    limits = sx.Limits(price_collar=None)
    review = sx.review_orders(sx.check_orders(
        sx.plan_orders(targets, None, broker.quotes(targets), nav=1e6, run_id="r"), limits,
        quotes=broker.quotes(targets), cash=1e6,
    ))
    review.approve_all(by="me")
    run = sx.start_run(review.result(), broker, blotter)

    def interrupt_once_it_rests(event):
        if event.status == "SUBMITTED":
            os.kill(os.getpid(), signal.SIGINT)

    run.control.listen(interrupt_once_it_rests)
    try:
        run.wait()
    except KeyboardInterrupt:
        print("detached", run.is_done)
    run.control._listeners = []
    venue.event("fill", symbol="KO")
    print(run.wait()["status"].tolist(), len(run.fills()))
    broker.close()
"""


@pytest.mark.slow
def test_an_interrupted_wait_detaches_and_loses_no_fill():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "STOCKLEAN_PROGRESS": "0"},
    )
    assert done.stdout.splitlines() == ["detached False", "['FILLED'] 1"], done.stderr


@pytest.mark.slow
def test_a_halt_from_another_process_stops_a_run_within_one_order(venue, tmp_path):
    many = [f"M{number:03d}" for number in range(500)]
    market = pd.DataFrame({"symbol": many, "last": 10.0, "quoted_at": pd.Timestamp.now("UTC")})
    file = tmp_path / "paper.duckdb"
    orders = pd.DataFrame({"run_id": "r", "symbol": many, "side": "BUY", "quantity": 1.0, "order_type": "MKT"})
    with IBBroker(port=venue.port, rate=100.0, seconds=5.0) as broker, sx.open_blotter(file) as blotter:
        venue.call(lambda one: [one.move(name, bid=9.99, ask=10.01) for name in many])
        review = sx.review_orders(sx.check_orders(orders, quotes=market, cash=1e6))
        review.approve_all(by="me")
        run = sx.start_run(review.result(), broker, blotter, timeout=20)
        wait_for(lambda: (blotter.fills()["quantity"].sum()) > 3, 60)
        command = [sys.executable, "-m", "stocklean_exec", "halt", "--blotter", str(file), "--reason", "stop it"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        in_force = pd.Timestamp(file.with_name("paper.duckdb.halt").stat().st_mtime_ns, tz="UTC")
        with pytest.raises(sx.HaltedError, match="stop it"):
            run.wait(60)
        left = blotter.events("r")
    accepted = [one for one in read_journal(venue.journal) if one["event"] == "order"]
    # Compared with the moment at which the halt could be read, however slow the machine that wrote it.
    sent = left[left["kind"] == "sending"]
    assert 3 < len(accepted) <= len(sent) < 500
    # A group is recorded before its first order leaves: what the halt then stopped is recorded as not sent.
    stopped = left.loc[left["kind"] == "not_sent", "client_order_id"]
    late = sent.loc[sent["occurred_at"] > in_force, "client_order_id"]
    assert (~late.isin(stopped)).sum() <= 1
    assert len(stopped)


@pytest.mark.slow
def test_two_concurrent_runs_on_one_broker_are_both_sent_completely_and_once(venue):
    with IBBroker(port=venue.port, rate=200.0, seconds=5.0) as broker, sx.open_blotter() as blotter:
        runs = [
            sx.start_run(approved(40, limit=limit, run_id=f"r{number}"), broker, blotter, timeout=2)
            for number, limit in enumerate((11.0, 12.0, 13.0))
        ]
        for run in runs:
            assert run.wait()["status"].tolist() == ["FILLED"] * 40
    accepted = [one["order_ref"] for one in read_journal(venue.journal) if one["event"] == "order"]
    assert len(accepted) == len(set(accepted)) == 120
