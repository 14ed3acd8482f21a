"""Runs that are resumed over the real wire, with a broker and a blotter that are opened again."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest
from tqdm.auto import tqdm

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError
from stocklean_exec.execution.submission import SubmitOptions, submit
from stocklean_exec.simulator import Simulator, read_journal
from tests.approved_buys import approved_buys
from tests.wire_market import FREE, MARKET, THREE, approved_of, connect, journalled_venue, venue_orders


class Crash(BaseException):
    """Ends the sending as a killed process would, in the middle of things."""


@pytest.fixture
def venue(tmp_path):
    with journalled_venue(tmp_path) as running:
        yield running


@pytest.fixture
def file(tmp_path):
    return tmp_path / "paper.duckdb"


def crash_before_order(number, venue, file, rows=THREE, *, after=False):
    """Submit, and crash right before (or after) the bytes of one order are sent; the file is not changed."""
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        connection, sent = broker._connection, []
        send = connection.send_order

        def send_order(contract, order):
            if len(sent) == number and not after:
                raise Crash
            send(contract, order)
            sent.append(order.orderRef)
            if len(sent) == number and after:
                raise Crash

        connection.send_order = send_order
        # Events of an orderly end (not_sent, unknown, run_ended) would not be recorded by a killed process.
        record = blotter._writer.put
        blotter._writer.put = lambda events=(), work=None: record(
            [f for f in events if f.kind not in ("not_sent", "unknown", "run_ended")], work
        )
        with pytest.raises(Crash):
            sx.submit_orders(approved_of(rows), broker, blotter, timeout=5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_a_crashed_run_is_finished_by_resume_and_nothing_is_sent_twice(number, after, venue, file):
    crash_before_order(number + after, venue, file, after=after)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states["status"].tolist() == ["FILLED"] * 3
        assert states["filled_quantity"].tolist() == [5.0, 6.0, 7.0]
        assert states["commission"].tolist() == [1.0, 1.0, 1.0]
        assert blotter.runs()["status"].tolist() == ["done"]
        again = sx.resume("r", broker, blotter, timeout=5)
        pd.testing.assert_frame_equal(again, states)
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1, "r-TLT-BUY": 1, "r-KO-BUY": 1}


@pytest.mark.slow
def test_an_order_that_may_exist_is_unknown_with_evidence_until_a_person_resolves_it(venue, file):
    # SPY is cancelled while no client is connected, and the venue does not report it later: but its id is used up.
    venue.fault(on="completedOrder", do="omit")
    venue.fault(on="placeOrder", do="drop_after_accept", symbol="SPY")
    rows = [("SPY", "BUY", 5.0, "LMT", 390.0), ("KO", "BUY", 7.0, "MKT")]
    crash_before_order(1, venue, file, rows=rows, after=True)
    venue.event("cancel", symbol="SPY")
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states["status"].tolist() == ["UNKNOWN", "FILLED"]
        unresolved = blotter.unresolved()
        assert unresolved["client_order_id"].tolist() == ["r-SPY-BUY"]
        assert "is used up (the next one is" in unresolved["reason"].tolist()[0]
        blotter.resolve("r-SPY-BUY", "CANCELLED", reason="seen in the trade log of TWS")
        assert blotter.unresolved().empty
        assert sx.resume("r", broker, blotter, timeout=5)["status"].tolist() == ["CANCELLED", "FILLED"]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1, "r-KO-BUY": 1}


@pytest.mark.slow
def test_fills_while_disconnected_are_recorded(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.2)
        assert states["status"].tolist() == ["SUBMITTED"]
    venue.event("fill", symbol="SPY", quantity=2)
    venue.event("fill", symbol="SPY", quantity=3)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["FILLED", 5.0]]
        assert blotter.fills("r")["commission"].notna().all()


@pytest.mark.slow
def test_an_execution_corrected_after_the_run_is_replaced_by_the_next_resume(file):
    steps = [{"fill": "rest", "price": 400.10}, {"wait": 60}, {"correct": True, "price": 390.25}]
    scenario = {"order": [{"symbol": "SPY", "steps": steps}]}
    columns = ["status", "filled_quantity", "avg_fill_price"]
    with Simulator(seed=7, quotes=MARKET, clock="manual", scenario=scenario) as venue:
        with connect(venue) as broker, sx.open_blotter(file) as blotter:
            states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=5)
            assert states[columns].to_numpy().tolist() == [["FILLED", 5.0, 400.10]]
        venue.advance(60)
        with connect(venue) as broker, sx.open_blotter(file) as blotter:
            states = sx.resume("r", broker, blotter, timeout=5)
            assert states[columns].to_numpy().tolist() == [["FILLED", 5.0, 390.25]]
            assert blotter.fills("r")["exec_id"].str.endswith(".02").tolist() == [True]


@pytest.mark.slow
def test_another_client_id_adopts_by_order_ref_and_sends_nothing_that_is_in_doubt(venue, file):
    crash_before_order(1, venue, file, after=True)
    with connect(venue, client_id=8) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=1)
        # SPY was accepted under client 7; executions of another client are not reported, its completion is.
        assert states["status"].tolist()[1:] == ["UNKNOWN", "UNKNOWN"]
        assert states["reason"].str.contains("client id 7").tolist()[1:] == [True, True]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_order_ids_that_were_reset_prove_nothing(venue, file):
    crash_before_order(1, venue, file, after=True)
    venue.event("reset_ids")
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=1)
        assert states["status"].tolist() == ["FILLED", "UNKNOWN", "UNKNOWN"]
        assert states["reason"].str.contains("reset its order ids").tolist()[1:] == [True, True]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_the_next_day_a_day_order_without_a_trace_is_unknown_and_nothing_is_sent(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.2)
    venue.event("cancel", symbol="SPY")
    venue.event("midnight")
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=1)
        assert states["status"].tolist() == ["UNKNOWN"]
        assert "known before, and now neither" in states["reason"].tolist()[0]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_an_order_with_an_expired_approval_is_refused_and_becomes_a_residual(venue, file):
    crash_before_order(0, venue, file, rows=THREE[:1])
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        blotter.record([OrderEvent("not_sent", "r", "r-SPY-BUY", attempt=1)]).result()
        states = sx.resume("r", broker, blotter, timeout=1, max_approval_age=0.0)
        assert states[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "approval_expired"]]
        rest = sx.residual_orders("r", blotter, quotes=MARKET)
        assert rest[["client_order_id", "quantity", "replaces"]].to_numpy().tolist() == [
            ["r-SPY-BUY-2", 5.0, "r-SPY-BUY"]
        ]
    assert not len(venue_orders(venue.journal))


@pytest.mark.slow
def test_a_blotter_restored_from_an_old_copy_adopts_orders_missing_from_it(venue, file, tmp_path):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        blotter.halt("not yet")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved_of(THREE), broker, blotter)
        blotter.clear_halt("now")
    copy = tmp_path / "copy.duckdb"
    shutil.copy(file, copy)  # it is closed
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        assert sx.resume("r", broker, blotter, timeout=5)["status"].tolist() == ["FILLED"] * 3
    with connect(venue) as broker, sx.open_blotter(copy) as blotter:
        blotter.clear_halt("now")
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states["status"].tolist() == ["FILLED"] * 3
        assert states["filled_quantity"].tolist() == [5.0, 6.0, 7.0]
    assert venue_orders(venue.journal).sum() == 3


@pytest.mark.slow
def test_a_second_blotter_cannot_send_the_same_run(venue, file, tmp_path):
    with connect(venue) as broker, sx.open_blotter(file) as first:
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, first, timeout=0.2)
        with connect(venue, client_id=8) as other, sx.open_blotter(tmp_path / "other.duckdb") as second:
            with pytest.raises(sx.RunElsewhereError, match="r-SPY-BUY"):
                sx.submit_orders(approved_of([("SPY", "BUY", 6.0, "LMT", 390.0)]), other, second)
            assert second.runs()["status"].tolist() == ["blocked"]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_a_second_concurrent_worker_of_one_run_is_refused(venue, file, tmp_path):
    async def both():
        with (
            connect(venue) as broker,
            connect(venue, client_id=8) as other,
            sx.open_blotter(file) as first,
            sx.open_blotter(tmp_path / "other.duckdb") as second,
        ):
            under_way = asyncio.Event()
            one = asyncio.create_task(
                submit(
                    approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]),
                    broker,
                    first,
                    SubmitOptions(0.5, None, None),
                    on_progress=lambda *_: under_way.set(),
                )
            )
            await under_way.wait()
            with pytest.raises(sx.RunElsewhereError, match="works run r on this account now"):
                await sx.submit_orders_async(approved_of(THREE), other, second)
            return await one

    assert asyncio.run(both())["status"].tolist() == ["SUBMITTED"]


@pytest.mark.slow
def test_a_second_order_under_one_client_order_id_halts(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.2)
        with connect(venue, client_id=9) as other:
            asyncio.run(send_again(other))
        with pytest.raises(sx.HaltedError, match="another order"):
            sx.resume("r", broker, blotter, timeout=0.2)
        assert (blotter.events("r")["kind"] == "duplicate").sum() == 1


async def send_again(broker):
    ticket = Ticket("r-SPY-BUY", "x", "SPY", "BUY", 5.0, "LMT", 390.0, "DAY", "USD", "STK", "SMART", "DU0000001")
    await broker.place(ticket)


@pytest.mark.slow
def test_a_halted_resume_sends_nothing_but_records_what_the_broker_reports(venue, file):
    crash_before_order(1, venue, file, after=True)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        blotter.halt("looking")
        with pytest.raises(sx.HaltedError):
            sx.resume("r", broker, blotter, timeout=1)
        assert blotter.orders("r")["status"].tolist()[0] == "FILLED"
    assert venue_orders(venue.journal).sum() == 1


@pytest.mark.slow
def test_an_unknown_run_or_one_of_another_account_is_an_error(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        with pytest.raises(sx.InputError, match="there is no run 'x'"):
            sx.resume("x", broker, blotter)
        mock = sx.connect("mock://?account=DU7654321", quotes=MARKET)
        sx.rebalance({"SPY": 0.1}, mock, blotter, run_id="m", approve="me", dry_run=False)
        with pytest.raises(sx.InputError, match=r"account DU\*\*\*321, not of DU\*\*\*001"):
            sx.resume("m", broker, blotter)


@pytest.mark.slow
@pytest.mark.parametrize("reply", ["openOrderEnd", "completedOrdersEnd", "execDetailsEnd", "nextValidId"])
def test_a_connection_lost_during_a_query_is_restored_and_the_query_repeated(reply, venue, file):
    crash_before_order(1, venue, file, after=True)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        venue.fault(on=reply, do="close_before", times=1)
        states = sx.resume("r", broker, blotter, timeout=10)
        assert states["status"].tolist() == ["FILLED"] * 3
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1, "r-TLT-BUY": 1, "r-KO-BUY": 1}


# -- an order that has ended with fills that are not on record -------------------------------------------------

THREE_QUARTERS = [("SPY", "BUY", 750.0, "LMT", 390.0)]


def bought(journal):
    """Shares of SPY that the venue itself sold to us."""
    return sum(row["quantity"] for row in read_journal(journal) if row["event"] == "execution")


def rest_of(blotter):
    rest = sx.residual_orders("r", blotter, quotes=MARKET)
    return rest[["quantity", "status", "reason"]].fillna("").to_numpy().tolist()


def cancelled_by_the_venue(venue, file):
    """Client 7 sends an order and disconnects; 300 shares of it are filled, and the venue cancels the rest."""
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of(THREE_QUARTERS), broker, blotter, timeout=0.2)
    venue.event("fill", symbol="SPY", quantity=300, price=389.0)
    venue.event("cancel", symbol="SPY")


@pytest.mark.slow
def test_another_client_does_not_end_an_order_whose_fills_it_cannot_see(venue, file):
    cancelled_by_the_venue(venue, file)
    with connect(venue, client_id=8) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=0.2)
        assert states[["status", "state"]].to_numpy().tolist() == [["UNKNOWN", "UNCONFIRMED"]]
        assert states["reason"].str.contains("resume with client id 7, which placed it").tolist() == [True]
        assert rest_of(blotter) == [[450.0, "REJECTED", "order_unresolved"]]
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["CANCELLED", 300.0]]
        assert rest_of(blotter) == [[450.0, "NEW", ""]]
    assert bought(venue.journal) == 300.0


@pytest.mark.slow
def test_another_client_does_not_end_an_order_without_a_filled_quantity(venue, file):
    cancelled_by_the_venue(venue, file)
    unset = {"filledQuantity": "1.7976931348623157E308"}
    venue.fault(on="completedOrder", do="edit", set=unset, times=50)
    with connect(venue, client_id=8) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=0.2)
        assert states["status"].tolist() == ["UNKNOWN"]
        assert states["reason"].str.contains("resume with client id 7, which placed it").tolist() == [True]
        assert rest_of(blotter) == [[750.0, "REJECTED", "order_unresolved"]]


def venue_that_omits(number, folder):
    """A venue that fills 300 shares of SPY, cancels the rest, and omits the first reports of its execution."""
    scenario = {
        "order": [{"symbol": "SPY", "steps": [{"fill": 300, "price": 389.0}, {"cancel": True}]}],
        "fault": [{"on": "execDetails", "do": "omit", "nth": 1, "times": number}],
    }
    return Simulator(seed=7, quotes=MARKET, clock="brisk", scenario=scenario, journal=folder / "journal.jsonl")


@pytest.mark.slow
def test_executions_reported_after_the_end_of_their_order_are_awaited(tmp_path):
    # The report is lost, and so is the first answer to the question for it.
    with venue_that_omits(2, tmp_path) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(THREE_QUARTERS), broker, blotter, timeout=0.2)
        assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["CANCELLED", 300.0]]
        assert rest_of(blotter) == [[450.0, "NEW", ""]]


@pytest.mark.slow
def test_an_order_with_missing_executions_is_not_ordered_again_until_they_arrive(tmp_path):
    with venue_that_omits(50, tmp_path) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(THREE_QUARTERS), broker, blotter, timeout=0.2)
        assert states[["status", "state"]].to_numpy().tolist() == [["UNKNOWN", "UNCONFIRMED"]]
        assert rest_of(blotter) == [[450.0, "REJECTED", "order_unresolved"]]
        assert blotter.runs()["message"].tolist() == ["1 orders are unresolved"]
        venue.call(lambda inside: inside.faults._replies.clear())
        states = sx.resume("r", broker, blotter, timeout=5)
        assert states[["status", "filled_quantity"]].to_numpy().tolist() == [["CANCELLED", 300.0]]
        assert rest_of(blotter) == [[450.0, "NEW", ""]]
    assert bought(tmp_path / "journal.jsonl") == 300.0


# -- a record that is older than the account ---------------------------------------------------------------------

EVENING = datetime(2022, 12, 30, 4, 50, tzinfo=UTC)  # ten to midnight in New York, of the 29th
ONCE = {"r-SPY-BUY": 1, "r-TLT-BUY": 1, "r-KO-BUY": 1}


def set_clock(monkeypatch, moment):
    """Let the wall clock continue from ``moment``."""
    offset = moment - datetime.now(UTC)
    monkeypatch.setattr(
        "stocklean_exec.clock.datetime", SimpleNamespace(now=lambda zone: datetime.now(zone) + offset)
    )


def plan_only(venue, file, rows=THREE, run_id="r", **options):
    """Record a plan, of which nothing is sent."""
    with connect(venue, **options) as broker, sx.open_blotter(file) as blotter:
        blotter.halt("not yet")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved_of(rows, run_id), broker, blotter, max_approval_age=None)
        blotter.clear_halt("now")


def run_and_restore(venue, file, **options):
    """Run a plan to its end, and replace the record with a copy made before the run."""
    plan_only(venue, file, **options)
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)  # it is closed
    with connect(venue, **options) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5, max_approval_age=None)
        assert states["status"].tolist() == ["FILLED"] * 3
    shutil.copy(copy, file)


def resume_twice(venue, file, **options):
    """Resume by two connections, one after the other: what is held back must not be sent by the second either."""
    for _ in range(2):
        with connect(venue, **options) as broker, sx.open_blotter(file) as blotter:
            states = sx.resume("r", broker, blotter, timeout=1, max_approval_age=None)
            run = blotter.runs().set_index("run_id").loc["r"]
    return states, run


def held_reasons(states):
    assert states["status"].tolist() == ["NEW"] * 3
    assert states["state"].tolist() == ["INTENT"] * 3
    (reason,) = set(states["reason"])
    return reason


@pytest.mark.slow
def test_a_restored_record_adopts_broker_orders_without_completed_orders(venue, file):
    run_and_restore(venue, file)
    venue.event("switch", set={"completed_orders": "none"})
    states, run = resume_twice(venue, file)
    assert states["status"].tolist() == ["FILLED"] * 3
    assert run["status"] == "done"
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
@pytest.mark.parametrize("reply", ["nothing", "no answer"])
def test_another_client_sends_nothing_of_a_restored_blotter_without_completed_orders(reply, venue, file):
    run_and_restore(venue, file)
    if reply == "nothing":
        venue.event("switch", set={"completed_orders": "none"})
    else:
        venue.fault(on="reqCompletedOrders", do="swallow", times=50)
    states, run = resume_twice(venue, file, client_id=8)
    words = "resume with client id 7, which planned it" if reply == "nothing" else "did not report everything"
    assert words in held_reasons(states)
    assert run["status"] == "blocked"
    assert run["message"].startswith("3 orders were held back: ")
    assert words in run["message"]
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_an_order_adopted_by_another_client_is_completed_by_the_one_that_placed_it(venue, file):
    run_and_restore(venue, file)
    states, run = resume_twice(venue, file, client_id=8)
    assert states["status"].tolist() == ["UNKNOWN"] * 3
    assert states["reason"].str.contains("resume with client id 7").all()
    states, run = resume_twice(venue, file)
    assert states["filled_quantity"].tolist() == [5.0, 6.0, 7.0]
    assert states["commission"].tolist() == [1.0, 1.0, 1.0]
    assert run["status"] == "done"
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_a_restored_record_sends_nothing_after_midnight(venue, file, monkeypatch):
    set_clock(monkeypatch, EVENING)
    run_and_restore(venue, file)
    venue.event("midnight")
    set_clock(monkeypatch, EVENING + timedelta(minutes=20))
    states, run = resume_twice(venue, file)
    assert "TWS has passed order ids that are not on record" in held_reasons(states)
    assert run["status"] == "blocked"
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_a_restored_record_sends_nothing_on_the_next_day_however_long_its_approval_holds(venue, file, monkeypatch):
    run_and_restore(venue, file)
    venue.event("next_day")
    set_clock(monkeypatch, datetime.now(UTC) + timedelta(days=1))
    states, _ = resume_twice(venue, file)
    assert "plan again under a new run id" in held_reasons(states)
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_a_restored_record_that_has_run_something_else_since_still_sends_nothing(venue, file, monkeypatch):
    set_clock(monkeypatch, EVENING)
    run_and_restore(venue, file)
    venue.event("midnight")
    set_clock(monkeypatch, EVENING + timedelta(minutes=20))
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        other = [("MCD", "BUY", 1.0, "MKT")]
        sx.submit_orders(approved_of(other, "other"), broker, blotter, timeout=5)
    states, _ = resume_twice(venue, file)
    assert "(the next one was " in held_reasons(states)
    assert venue_orders(venue.journal).to_dict() == {**ONCE, "other-MCD-BUY": 1}


@pytest.mark.slow
def test_orders_held_back_by_a_restored_record_are_not_residuals(venue, file, monkeypatch):
    run_and_restore(venue, file)
    venue.event("next_day")
    set_clock(monkeypatch, datetime.now(UTC) + timedelta(days=1))
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=1, max_approval_age=60.0)  # it is expired, too
        held_reasons(states)
        assert sx.residual_orders("r", blotter)["reason"].tolist() == ["order_not_sent"] * 3


@pytest.mark.slow
def test_order_ids_that_were_reset_prove_nothing_about_an_earlier_day(venue, file, monkeypatch):
    with (
        connect(venue) as broker,
        sx.open_blotter(file) as blotter,
    ):  # so that the ids of the run are not the first
        sx.submit_orders(approved_of([("MCD", "BUY", 1.0, "MKT")], "other"), broker, blotter, timeout=5)
    run_and_restore(venue, file)
    venue.event("next_day")
    venue.event("reset_ids")
    set_clock(monkeypatch, datetime.now(UTC) + timedelta(days=1))
    states, _ = resume_twice(venue, file)
    assert "TWS has reset its order ids" in held_reasons(states)
    assert venue_orders(venue.journal).to_dict() == {"other-MCD-BUY": 1, **ONCE}


@pytest.mark.slow
def test_a_record_that_lacks_some_orders_sends_nothing_more(venue, file):
    plan_only(venue, file)
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        connection, send = broker._connection, broker._connection.send_order

        def halt_behind_the_first(contract, order):
            send(contract, order)
            blotter._halts.halt("enough")

        connection.send_order = halt_behind_the_first
        with pytest.raises(sx.HaltedError):
            sx.resume("r", broker, blotter, timeout=5)
        blotter.clear_halt("go on")
    shutil.copy(copy, file)
    states, run = resume_twice(venue, file)
    assert states["status"].tolist() == ["FILLED", "NEW", "NEW"]
    assert (
        states["reason"].str.contains("has r-SPY-BUY, which this blotter has not sent").tolist()[1:] == [True] * 2
    )
    assert run["status"] == "partial"
    assert "2 orders were held back" in run["message"]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


# -- what may be sent as before ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_unsent_run_is_sent_after_other_runs_of_its_client(venue, file):
    plan_only(venue, file)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        broker.quotes(["SPY", "TLT"])  # requests have numbers of their own
        other = [("MCD", "BUY", 1.0, "MKT")]
        sx.submit_orders(approved_of(other, "other"), broker, blotter, timeout=5)
        broker.reconnect()
        broker.quotes(["KO"])
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        assert sx.resume("r", broker, blotter, timeout=5)["status"].tolist() == ["FILLED"] * 3
        assert blotter.runs()["status"].tolist() == ["done", "done"]


@pytest.mark.slow
def test_an_unsent_run_of_yesterday_is_sent_by_the_client_that_planned_it(venue, file, monkeypatch):
    plan_only(venue, file)
    venue.event("next_day")
    set_clock(monkeypatch, datetime.now(UTC) + timedelta(days=1))
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5, max_approval_age=None)
        assert states["status"].tolist() == ["FILLED"] * 3


@pytest.mark.slow
def test_orders_held_back_are_sent_once_the_evidence_is_available(venue, file):
    plan_only(venue, file)
    with connect(venue, client_id=8) as broker, sx.open_blotter(file) as blotter:
        assert "resume with client id 7" in held_reasons(sx.resume("r", broker, blotter, timeout=1))
        assert blotter.runs()["status"].tolist() == ["blocked"]
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        assert sx.resume("r", broker, blotter, timeout=5)["status"].tolist() == ["FILLED"] * 3
        assert blotter.runs()["status"].tolist() == ["done"]
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_the_same_plan_submitted_again_by_another_client_is_held_back_as_well(venue, file):
    plan = approved_of(THREE)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        blotter.halt("not yet")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(plan, broker, blotter)
        blotter.clear_halt("now")
        with connect(venue, client_id=8) as other:
            assert "resume with client id 7" in held_reasons(sx.submit_orders(plan, other, blotter, timeout=1))
        assert sx.submit_orders(plan, broker, blotter, timeout=5)["status"].tolist() == ["FILLED"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_continues_after_a_lost_connection_without_completed_orders(resumed, venue, file):
    if resumed:
        plan_only(venue, file)
    with connect(venue, seconds=1.0) as broker, sx.open_blotter(file) as blotter:
        broker.send_window = 1
        connection, send = broker._connection, broker._connection.send_order

        def send_the_first(contract, order):
            venue.fault(on="reqCompletedOrders", do="swallow", times=50)
            send(contract, order)

        connection.send_order = send_the_first
        venue.fault(on="placeOrder", do="drop_after_answer", nth=1)
        if resumed:
            states = sx.resume("r", broker, blotter, timeout=20)
        else:
            states = sx.submit_orders(approved_of(THREE), broker, blotter, timeout=20)
        assert states["status"].tolist() == ["FILLED"] * 3
    assert venue_orders(venue.journal).to_dict() == ONCE


@pytest.mark.slow
def test_the_remaining_orders_of_a_run_are_sent_without_completed_orders(venue, file):
    with connect(venue, seconds=1.0) as broker, sx.open_blotter(file) as blotter:
        venue.fault(on="placeOrder", do="error", code=201, text="not today", symbol="SPY", times=1)
        sx.submit_orders(approved_of(THREE), broker, blotter, timeout=5)
        venue.fault(on="reqCompletedOrders", do="swallow", times=50)
        review = sx.review_orders(
            sx.check_orders(sx.residual_orders("r", blotter, quotes=MARKET), FREE, quotes=MARKET)
        )
        review.approve_all(by="test")
        states = sx.submit_orders(review.result(), broker, blotter, timeout=5)
        assert states["status"].tolist() == ["REJECTED", "FILLED", "FILLED", "FILLED"]


# -- a plan that a later one has overtaken -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("later", ["sent", "planned"])
def test_a_plan_overtaken_by_a_later_one_is_sent_only_on_request(later, venue, file):
    plan_only(venue, file)
    rows = [("MCD", "BUY", 1.0, "MKT"), ("KO", "BUY", 3.0, "MKT")]
    if later == "planned":
        plan_only(venue, file, rows, "later")
    else:
        with connect(venue) as broker, sx.open_blotter(file) as blotter:
            sx.submit_orders(approved_of(rows, "later"), broker, blotter, timeout=5)
    states, run = resume_twice(venue, file)
    reason = held_reasons(states)
    assert "later (KO)" in reason
    assert "send_overtaken=True" in reason
    assert run["status"] == "blocked"
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        states = sx.resume("r", broker, blotter, timeout=5, send_overtaken=True)
        assert states["status"].tolist() == ["FILLED"] * 3
    assert venue_orders(venue.journal)["r-KO-BUY"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "approve"), [([("MCD", "BUY", 1.0, "MKT")], True), ([("KO", "BUY", 3.0, "MKT")], False)]
)
def test_a_later_plan_of_other_symbols_or_unapproved_orders_overtakes_nothing(rows, approve, venue, file):
    plan_only(venue, file)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        later = approved_of(rows, "later", approve=approve)
        sx.submit_orders(later, broker, blotter, timeout=5)
        assert sx.resume("r", broker, blotter, timeout=5)["status"].tolist() == ["FILLED"] * 3


@pytest.mark.slow
def test_a_plan_is_not_overtaken_by_an_earlier_plan_or_its_own_residuals(venue, file):
    plan_only(venue, file, [("KO", "BUY", 3.0, "MKT")], "earlier")
    venue.fault(on="placeOrder", do="error", code=201, text="not today", symbol="SPY", times=1)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        connection, send = broker._connection, broker._connection.send_order

        def halt_behind_the_first(contract, order):
            send(contract, order)
            blotter._halts.halt("enough")

        connection.send_order = halt_behind_the_first
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(approved_of(THREE), broker, blotter, timeout=5)
        connection.send_order = send
        blotter.clear_halt("go on")
        rest = sx.residual_orders("r", blotter, quotes=MARKET)
        review = sx.review_orders(sx.check_orders(rest, FREE, quotes=MARKET))
        review.approve_all(by="test")
        sx.submit_orders(review.result(), broker, blotter, timeout=5)
        states = sx.resume("r", broker, blotter, timeout=5).set_index("client_order_id")["status"]
        assert states[["r-TLT-BUY", "r-KO-BUY", "r-SPY-BUY-2"]].tolist() == ["FILLED"] * 3


# -- a lost order and a live account ---------------------------------------------------------------------------


class Losing(MockBroker):
    """A broker whose connection fails as the first order is sent, so that the order never arrives."""

    def __init__(self, mode, in_flight_seconds=0.0, arrives_at=None):
        super().__init__({"SPY": 400.0}, cash=10_000.0)
        self.mode, self.in_flight_seconds, self.arrives_at = mode, in_flight_seconds, arrives_at
        self.sent, self.asked = [], 0

    async def place(self, ticket):
        self.sent.append(ticket)
        if len(self.sent) == 1:
            raise BrokerError("the line is down")
        await super().place(ticket)

    async def collect_evidence(self):
        self.asked += 1
        if self.asked == self.arrives_at:
            await super().place(self.sent[0])
        return await super().collect_evidence()


def lose_an_order(broker, blotter):
    with pytest.raises(BrokerError, match="the line is down"):
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter)


@pytest.mark.slow
def test_a_lost_order_is_resent_to_a_live_account_only_on_request():
    broker = Losing("live")
    with sx.open_blotter() as blotter:
        lose_an_order(broker, blotter)
        assert sx.resume("r", broker, blotter)["status"].tolist() == ["UNKNOWN"]
        assert len(broker.sent) == 1
        assert sx.resume("r", broker, blotter, resend=True)["status"].tolist() == ["FILLED"]
        assert len(broker.sent) == 2


@pytest.mark.slow
def test_a_lost_order_is_resent_to_a_paper_account_by_default():
    broker = Losing("paper")
    with sx.open_blotter() as blotter:
        lose_an_order(broker, blotter)
        assert sx.resume("r", broker, blotter, resend=False)["status"].tolist() == ["UNKNOWN"]
        assert len(broker.sent) == 1
        assert sx.resume("r", broker, blotter)["status"].tolist() == ["FILLED"]
        assert len(broker.sent) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("of_broker", "given", "sent"), [(30.0, None, 1), (0.0, 30.0, 1), (30.0, 0.0, 2)])
def test_a_resumed_run_waits_for_the_in_flight_time_of_the_broker_or_the_given_one(
    of_broker, given, sent, monkeypatch
):
    monkeypatch.setattr("stocklean_exec.execution.recovery._PAUSE", 0.01)
    broker = Losing(
        "paper", of_broker, arrives_at=3
    )  # two silent answers are enough where nothing can be in flight
    with sx.open_blotter() as blotter:
        lose_an_order(broker, blotter)
        assert sx.resume("r", broker, blotter, settle=given)["status"].tolist() == ["FILLED"]
    assert len(broker.sent) == sent


# -- a run that a halt has kept from the mock broker -----------------------------------------------------------


def halted_run(blotter):
    """Record an approved run of one order, of which a halt lets nothing be sent; return its broker."""
    broker = MockBroker({"SPY": 400.0}, cash=10_000.0)
    blotter.halt("not yet")
    with pytest.raises(sx.HaltedError):
        sx.submit_orders(approved_buys(["SPY"], broker.quotes()), broker, blotter)
    blotter.clear_halt("now")
    return broker


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beyond", "outcome"), [(0, ["FILLED", ""]), (1, ["REJECTED", "approval_expired"])], ids=["at", "over"]
)
def test_an_approval_counts_until_it_is_older_than_the_given_age(beyond, outcome, monkeypatch):
    with sx.open_blotter() as blotter:
        broker = halted_run(blotter)
        (approved_at,) = blotter.orders("r")["approved_at"]
        moment = approved_at.to_pydatetime() + timedelta(seconds=90, microseconds=beyond)
        monkeypatch.setattr(clock, "now", lambda: moment)
        states = sx.resume("r", broker, blotter, max_approval_age=90.0)
    assert states[["status", "reason"]].fillna("").to_numpy().tolist() == [outcome]


@pytest.mark.slow
@pytest.mark.parametrize("progress", [True, False])
def test_a_resumed_run_shows_a_progress_bar_on_request(progress, monkeypatch, capsys):
    # A bar appears after half a second of work; here at once.
    monkeypatch.setattr("stocklean_exec.progress.tqdm", lambda **options: tqdm(**(options | {"delay": 0.0})))
    # By default a notebook shows one, and this test's captured output does not.
    monkeypatch.setattr("stocklean_exec.progress._in_notebook", lambda: not progress)
    monkeypatch.delenv("STOCKLEAN_PROGRESS", raising=False)
    with sx.open_blotter() as blotter:
        broker = halted_run(blotter)
        capsys.readouterr()
        sx.resume("r", broker, blotter, progress=progress)
    assert ("resuming:   0%" in capsys.readouterr().err) is progress


# -- commissions of fills while disconnected --------------------------------------------------------------------


@pytest.mark.slow
def test_commissions_of_a_partial_fill_while_disconnected_are_recorded(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of(THREE_QUARTERS), broker, blotter, timeout=0.2)
    venue.event("fill", symbol="SPY", quantity=300, price=389.0)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        (state,) = sx.resume("r", broker, blotter, timeout=0.5).to_dict("records")
        assert (state["status"], state["filled_quantity"], state["commission"]) == ("PARTIAL", 300.0, 1.5)


@pytest.mark.slow
def test_commissions_of_fills_between_connection_and_resume_are_recorded(venue, file):
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        sx.submit_orders(approved_of(THREE_QUARTERS), broker, blotter, timeout=0.2)
    with connect(venue) as broker, sx.open_blotter(file) as blotter:
        venue.event("fill", symbol="SPY", quantity=750, price=389.0)
        (state,) = sx.resume("r", broker, blotter, timeout=5).to_dict("records")
        assert (state["status"], state["filled_quantity"], state["commission"]) == ("FILLED", 750.0, 3.75)
