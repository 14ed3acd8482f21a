"""What a run knows of its orders: from the file, from the broker, on whatever thread, each fact once."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import Fact
from stocklean_exec.execution.run_state import RunRecord

NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
NAME = "r-SPY-BUY"
FILL = Fact("execution", "r", NAME, NOON, exec_id="a.b.01.01", quantity=4.0, price=100.0, perm_id=7)
CORRECTED = FILL._replace(exec_id="a.b.01.02", price=101.0)
FEE = Fact("commission", "r", NAME, NOON, exec_id="a.b.01.01", commission=1.0)


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


class Teller:
    def follow(self, run_id, tell):
        self.run_id, self.tell = run_id, tell


def test_what_is_on_record_is_known_at_the_start_and_not_counted_as_news(blotter):
    blotter.record([FILL]).result()

    async def look():
        record = RunRecord("r", blotter, {NAME: 10.0})
        return record.state(NAME).status, record.heard, record.uncharged, record.open

    assert asyncio.run(look()) == ("PARTIAL", 0, {"a.b.01.01"}, {NAME})


def test_a_fact_is_news_once_and_on_record_once(blotter):
    async def hear():
        record, teller = RunRecord("r", blotter, {NAME: 10.0}), Teller()
        record.follow(teller)
        for _ in range(3):
            teller.tell(FILL, FEE)
        await record.put([])
        return teller.run_id, record.heard, record.uncharged

    assert asyncio.run(hear()) == ("r", 2, set())
    assert (blotter.events("r")["kind"] == "execution").sum() == 1


def test_an_order_that_ended_is_open_again_once_fills_of_it_are_reported_that_nobody_has_seen(blotter):
    ended = Fact("status", "r", NAME, NOON, status="CANCELLED", code="202")

    async def hear():
        record, teller = RunRecord("r", blotter, {NAME: 10.0}), Teller()
        record.follow(teller)
        found = []
        for fact in (ended, ended._replace(code=None, filled=4.0), FILL):
            teller.tell(fact)
            record.settle()
            found.append(set(record.open))
        return found

    assert asyncio.run(hear()) == [set(), {NAME}, set()]


def test_what_another_thread_tells_is_heard_and_on_record(blotter):
    async def hear():
        record, teller = RunRecord("r", blotter, {NAME: 10.0}), Teller()
        record.follow(teller)
        thread = threading.Thread(target=teller.tell, args=(FILL,))
        thread.start()
        await record.news.wait()
        thread.join()
        record.settle()
        return record.state(NAME).filled

    assert asyncio.run(hear()) == 4.0
    blotter.record([]).result()
    assert blotter.fills("r")["quantity"].tolist() == [4.0]


def test_facts_of_other_orders_are_recorded_and_say_nothing_here(blotter):
    async def hear():
        record, teller = RunRecord("r", blotter, {NAME: 10.0}), Teller()
        record.follow(teller)
        teller.tell(FILL._replace(client_order_id="r-TLT-BUY"))
        await record.put([])
        return record.heard

    assert asyncio.run(hear()) == 0
    assert blotter.fills("r")["client_order_id"].tolist() == ["r-TLT-BUY"]


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (FILL._replace(quantity=11.0), "asks for 10 shares, and 11 were filled"),
        (Fact("duplicate", "r", NAME, NOON, perm_id=8, message="another order"), "another order"),
    ],
)
def test_more_than_was_asked_for_is_an_alarm_when_it_is_heard_and_not_when_it_is_read_again(fact, text, blotter):
    async def alarm():
        record = RunRecord("r", blotter, {NAME: 10.0})
        await record.put([fact])
        record.settle()
        first = record.alarm
        await record.put([])
        return first, RunRecord("r", blotter, {NAME: 10.0}).alarm

    first, again = asyncio.run(alarm())
    assert text in first
    assert again == ""


@pytest.mark.parametrize(
    ("told", "owed"),
    [
        ([FILL, CORRECTED], {"a.b.01.02"}),
        ([CORRECTED, FILL], {"a.b.01.02"}),
        ([FILL, CORRECTED._replace(quantity=0.0)], set()),
        ([FILL, FEE, CORRECTED], {"a.b.01.02"}),
        ([FILL, CORRECTED, FEE._replace(exec_id="a.b.01.02")], set()),
    ],
)
def test_a_commission_is_owed_for_an_execution_as_it_was_last_corrected(told, owed, blotter):
    async def hear():
        record = RunRecord("r", blotter, {NAME: 10.0})
        await record.put(told)
        return record.uncharged, RunRecord("r", blotter, {NAME: 10.0}).uncharged

    assert asyncio.run(hear()) == (owed, owed)


def test_an_order_that_has_ended_is_not_open(blotter):
    async def end():
        record = RunRecord("r", blotter, {NAME: 4.0})
        await record.put([FILL])
        record.settle()
        return record.open

    assert asyncio.run(end()) == set()
