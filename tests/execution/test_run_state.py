"""The events of a run's orders: from the file and from the broker, on any thread, each event once."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.execution.run_state import RunState

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
NAME = "r-SPY-BUY"
FILL = OrderEvent("execution", "r", NAME, NOON, exec_id="a.b.01.01", quantity=4.0, price=100.0, perm_id=7)
CORRECTED = FILL._replace(exec_id="a.b.01.02", price=101.0)
FEE = OrderEvent("commission", "r", NAME, NOON, exec_id="a.b.01.01", commission=1.0)


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
        orders = sx.plan_orders({"SPY": 0.1}, None, broker.quotes(), nav=10_000, run_id="r")
        review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=10_000))
        review.approve_all(by="me")
        one.halt("nothing is sent here")
        with pytest.raises(sx.HaltedError):
            sx.submit_orders(review.result(), broker, one)
        yield one


class ReportingBroker:
    def follow(self, run_id, report):
        self.run_id, self.report = run_id, report


@pytest.mark.slow
def test_recorded_events_are_known_at_the_start_and_not_counted_as_new(blotter):
    blotter.record([FILL]).result()

    async def look():
        record = RunState("r", blotter, {NAME: 10.0})
        return record.state(NAME).status, record.received, record.uncharged, record.open

    assert asyncio.run(look()) == ("PARTIAL", 0, {"a.b.01.01"}, {NAME})


@pytest.mark.slow
def test_a_repeated_event_is_new_once_and_recorded_once(blotter):
    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}), ReportingBroker()
        record.follow(broker)
        for _ in range(3):
            broker.report(FILL, FEE)
        await record.put([])
        return broker.run_id, record.received, record.uncharged

    assert asyncio.run(run()) == ("r", 2, set())
    assert (blotter.events("r")["kind"] == "execution").sum() == 1


@pytest.mark.slow
def test_an_ended_order_is_open_again_once_unrecorded_fills_of_it_are_reported(blotter):
    ended = OrderEvent("status", "r", NAME, NOON, status="CANCELLED", filled=0.0, code="202")

    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}), ReportingBroker()
        record.follow(broker)
        found = []
        for event in (ended, ended._replace(code=None, filled=4.0), FILL):
            broker.report(event)
            record.update_states()
            found.append(set(record.open))
        return found

    assert asyncio.run(run()) == [set(), {NAME}, set()]


@pytest.mark.slow
def test_events_from_another_thread_are_received_and_recorded(blotter):
    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}), ReportingBroker()
        record.follow(broker)
        thread = threading.Thread(target=broker.report, args=(FILL,))
        thread.start()
        await record.news.wait()
        thread.join()
        record.update_states()
        return record.state(NAME).filled

    assert asyncio.run(run()) == 4.0
    blotter.record([]).result()
    assert blotter.fills("r")["quantity"].tolist() == [4.0]


@pytest.mark.slow
def test_events_of_other_orders_are_recorded_and_change_nothing_here(blotter):
    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}), ReportingBroker()
        record.follow(broker)
        broker.report(FILL._replace(client_order_id="r-TLT-BUY"))
        await record.put([])
        return record.received

    assert asyncio.run(run()) == 0
    assert blotter.fills("r")["client_order_id"].tolist() == ["r-TLT-BUY"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "text"),
    [
        (FILL._replace(quantity=11.0), "is for 10 shares, and 11 were filled"),
        (OrderEvent("duplicate", "r", NAME, NOON, perm_id=8, message="another order"), "another order"),
    ],
)
def test_an_overfill_is_an_alarm_when_it_is_received_and_not_when_it_is_read_again(event, text, blotter):
    async def alarm():
        record = RunState("r", blotter, {NAME: 10.0})
        await record.put([event])
        record.update_states()
        first = record.alarm
        await record.put([])
        return first, RunState("r", blotter, {NAME: 10.0}).alarm

    first, again = asyncio.run(alarm())
    assert text in first
    assert again == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "owed"),
    [
        ([FILL, CORRECTED], {"a.b.01.02"}),
        ([CORRECTED, FILL], {"a.b.01.02"}),
        ([FILL, CORRECTED._replace(quantity=0.0)], set()),
        ([FILL, FEE, CORRECTED], {"a.b.01.02"}),
        ([FILL, CORRECTED, FEE._replace(exec_id="a.b.01.02")], set()),
    ],
)
def test_a_commission_is_owed_for_an_execution_as_it_was_last_corrected(events, owed, blotter):
    async def run():
        record = RunState("r", blotter, {NAME: 10.0})
        await record.put(events)
        return record.uncharged, RunState("r", blotter, {NAME: 10.0}).uncharged

    assert asyncio.run(run()) == (owed, owed)


@pytest.mark.slow
def test_an_order_that_has_ended_is_not_open(blotter):
    async def end():
        record = RunState("r", blotter, {NAME: 4.0})
        await record.put([FILL])
        record.update_states()
        return record.open

    assert asyncio.run(end()) == set()


@pytest.mark.slow
def test_an_order_that_was_not_sent_is_open_until_it_is_held_back(blotter):
    async def hold():
        record = RunState("r", blotter, {NAME: 10.0})
        found = [set(record.open)]
        for held in ({NAME: "the plan is out of date"}, {}, {NAME: "again"}):
            record.hold(held)
            found.append(set(record.open))
        await record.put([FILL])  # it was at the broker after all
        record.update_states()
        return [*found, set(record.open)]

    assert asyncio.run(hold()) == [{NAME}, set(), {NAME}, set(), {NAME}]


@pytest.mark.slow
def test_starts_ends_and_the_greatest_attempt_are_read_from_the_record(blotter):
    def sending(attempt):
        return OrderEvent("sending", "q", "q-SPY-BUY", NOON, attempt=attempt, order_id=attempt, client_id=1)

    started = [OrderEvent("run_started", "q", occurred_at=NOON, attempt=number) for number in (1, 2)]
    ended = OrderEvent("run_ended", "q", occurred_at=NOON, attempt=1)
    blotter.record([started[0], sending(3), sending(1), ended, started[1]]).result()

    async def look():
        record, other = RunState("q", blotter, {"q-SPY-BUY": 10.0}), RunState("r", blotter, {NAME: 10.0})
        return record.starts, record.ends, record.last_attempt, other.last_attempt

    assert asyncio.run(look()) == (2, 1, 3, 0)


@pytest.mark.slow
def test_events_of_one_turn_of_the_loop_are_recorded_after_it(blotter):
    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}), ReportingBroker()
        record.follow(broker)
        broker.report(FILL)
        broker.report(FEE)
        await asyncio.sleep(0)  # one turn

    asyncio.run(run())
    blotter.record([]).result()
    assert blotter.fills("r")["commission"].tolist() == [1.0]


@pytest.mark.slow
def test_a_listener_receives_new_events_of_the_runs_orders_once_and_every_event_of_no_order(blotter):
    lost = OrderEvent("link_lost", "r", None, NOON, message="gone")
    received = []

    async def run():
        record, broker = RunState("r", blotter, {NAME: 10.0}, received.append), ReportingBroker()
        record.follow(broker)
        broker.report(FILL, FILL, FILL._replace(client_order_id="r-TLT-BUY"), lost, lost)
        await record.put([])

    asyncio.run(run())
    assert received == [FILL, lost, lost]


@pytest.mark.slow
def test_the_time_of_the_last_execution_is_that_of_executions_alone(blotter):
    later = NOON.replace(hour=19)

    async def run():
        record = RunState("r", blotter, {NAME: 10.0})
        await record.put([FILL, OrderEvent("status", "r", NAME, later, status="SUBMITTED")])
        first = record.last_execution_at
        await record.put([CORRECTED._replace(occurred_at=later), FILL._replace(exec_id="c.d.01.01")])
        return first, record.last_execution_at

    assert asyncio.run(run()) == (NOON, later)
