from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, HaltedError, StaleOrderIdError
from stocklean_exec.execution.arrival_quotes import quotes_by_symbol
from stocklean_exec.execution.buy_funding import BuyFunding, FundingTerms
from stocklean_exec.execution.funding import FundingOptions, ledger_of
from stocklean_exec.execution.gross_exposure import GrossExposure, GrossLimit
from stocklean_exec.execution.order_sender import OrderSender
from stocklean_exec.execution.run_state import RunState
from stocklean_exec.execution.send_gate import SendBudget
from tests.stub_broker import Stub, fail, plan, prices

# -- a broker that fails ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 2, 1_000])
@pytest.mark.parametrize("error", [BrokerError("the line is down"), RuntimeError("a bug"), ValueError()])
def test_a_failed_send_makes_one_order_doubtful_and_stops_the_later_ones(window, error):
    broker = Stub(prices(5), at=3, happens=fail(error), window=window)
    with sx.open_blotter() as blotter:
        with pytest.raises(type(error)):
            sx.submit_orders(plan(5, broker), broker, blotter)
        rows = blotter.orders("r")
        assert rows["status"].tolist() == ["FILLED", "FILLED", "UNKNOWN", "NEW", "NEW"]
        assert rows["state"].tolist()[2:] == ["UNKNOWN", "INTENT", "INTENT"]
        assert type(error).__name__ in rows["reason"].iloc[2]
        assert str(error) in rows["reason"].iloc[2]
        assert blotter.unresolved()["client_order_id"].tolist() == ["r-S002-BUY"]
        run = blotter.runs().iloc[0]
        assert run["status"] == "partial"
        assert type(error).__name__ in run["message"]


@pytest.mark.slow
def test_unsent_and_provably_lost_orders_are_sent_by_the_same_call():
    broker = Stub(prices(5), at=3, happens=fail(BrokerError("down")))  # before the filler itself has it
    with sx.open_blotter() as blotter:
        approved = plan(5, broker)
        with pytest.raises(BrokerError):
            sx.submit_orders(approved, broker, blotter)
        again = sx.submit_orders(approved, broker, blotter)
        assert again["status"].tolist() == ["FILLED"] * 5
        assert broker.placed == [f"r-S{number:03d}-BUY" for number in (0, 1, 2, 2, 3, 4)]
        assert blotter.runs()["status"].tolist() == ["done"]


@pytest.mark.slow
def test_an_order_that_arrived_before_the_send_failed_is_not_sent_again():
    class Late(Stub):
        async def place(self, ticket):
            await super().place(ticket)
            if len(self.placed) == 3:
                raise BrokerError("down")

    broker = Late(prices(5))
    with sx.open_blotter() as blotter:
        approved = plan(5, broker)
        with pytest.raises(BrokerError):
            sx.submit_orders(approved, broker, blotter)
        again = sx.submit_orders(approved, broker, blotter)
        assert again["status"].tolist() == ["FILLED"] * 5
        assert broker.placed == [f"r-S{number:03d}-BUY" for number in range(5)]  # each of them once


@pytest.mark.slow
def test_an_order_that_filled_before_the_send_failed_is_filled():
    broker = Stub(prices(2), at=99)

    async def place(ticket):
        await MockBroker.place(broker, ticket)
        raise BrokerError("down after the order")

    broker.place = place
    with sx.open_blotter() as blotter:
        with pytest.raises(BrokerError):
            sx.submit_orders(plan(2, broker), broker, blotter)
        assert blotter.orders("r")["status"].tolist() == ["FILLED", "NEW"]


@pytest.mark.slow
def test_an_order_that_waited_for_a_rejected_one_is_recorded_again_before_it_is_sent():
    # All three are announced in one group. The first spends 10 of 25, the second of 20 is over the cap, and the
    # third is withdrawn with it and sent after it, when the record must say once more that it is being sent.
    seen = {}

    def look(ticket):
        seen[ticket.client_order_id] = blotter.orders("r").set_index("client_order_id")["state"].to_dict()

    broker = Stub({"S000": 10.0, "S001": 20.0, "S002": 10.0}, at=2, happens=look)
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(plan(3, broker), broker, blotter, limits=sx.Limits(max_total_notional=25.0))
        sent_times = [
            (event.client_order_id, event.attempt)
            for event in blotter.recorded_events("r")
            if event.kind == "sending"
        ]
        (why,) = messages(blotter, "refused")
    assert states["reason"].fillna("").tolist()[1].startswith("run_notional_cap")
    assert why.endswith("would bring the run to 30.00, over the cap of 25.00")
    assert states["status"].tolist() == ["FILLED", "REJECTED", "FILLED"]
    assert seen["r-S002-BUY"]["r-S002-BUY"] == "SENDING"
    assert sent_times == [("r-S000-BUY", 1), ("r-S001-BUY", 1), ("r-S002-BUY", 1), ("r-S002-BUY", 2)]


# -- halts -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 1_000])
def test_a_halt_among_five_hundred_orders_stops_after_at_most_one_more(window):
    with sx.open_blotter() as blotter:
        broker = Stub(prices(500), at=123, happens=lambda _: blotter._halts.halt("drill"), window=window)
        approved = plan(500, broker)
        with pytest.raises(HaltedError, match="drill"):
            sx.submit_orders(approved, broker, blotter)
        assert len(broker.placed) == 123  # the one that was under way, and none after it
        rows = blotter.orders("r")
        assert rows["status"].tolist() == ["FILLED"] * 123 + ["NEW"] * 377
        assert rows["filled_quantity"].sum() == 123.0
        assert len(blotter.unresolved()) == 0
        with pytest.raises(HaltedError):
            sx.submit_orders(approved, broker, blotter)
        assert len(broker.placed) == 123
        blotter.clear_halt("drill over")
        again = sx.submit_orders(approved, broker, blotter)
        assert set(again["status"]) == {"FILLED"}
        assert len(broker.placed) == len(set(broker.placed)) == 500
        assert blotter.runs()["status"].tolist() == ["done"]


# -- interrupts ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_interrupted_run_has_a_record_of_sent_and_unsent_orders():
    waiting = asyncio.Event()

    async def hang(ticket):
        waiting.set()
        await asyncio.Event().wait()

    broker = Stub(prices(4), at=3, happens=hang)

    async def interrupted(blotter):
        task = asyncio.ensure_future(sx.submit_orders_async(plan(4, broker), broker, blotter))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with sx.open_blotter() as blotter:
        asyncio.run(interrupted(blotter))
        rows = blotter.orders("r")
        assert rows["status"].tolist() == ["FILLED", "FILLED", "UNKNOWN", "NEW"]
        assert "CancelledError" in rows["reason"].iloc[2]
        assert blotter.runs()["ended_at"].notna().all()


@pytest.mark.slow
def test_an_interrupt_during_recording_sends_nothing_and_records_no_send():
    broker = Stub(prices(3))

    async def interrupted(blotter):
        approved = plan(3, broker)
        record = blotter.record
        task = asyncio.ensure_future(sx.submit_orders_async(approved, broker, blotter))

        def cancelling(events):
            if any(event.kind == "sending" for event in events):
                asyncio.get_running_loop().call_soon(task.cancel)
            return record(events)

        blotter.record = cancelling
        with pytest.raises(asyncio.CancelledError):
            await task

    with sx.open_blotter() as blotter:
        asyncio.run(interrupted(blotter))
        assert broker.placed == []
        assert blotter.orders("r")["status"].tolist() == ["NEW"] * 3
        assert len(blotter.unresolved()) == 0


# -- the sender alone: three buys of ten shares at 10.00 -------------------------------------------------------

A, B, C = NAMES = ("r-S000-BUY", "r-S001-BUY", "r-S002-BUY")
BUYS = [
    Ticket(name, "r", name[2:6], "BUY", 10.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU0000001")
    for name in NAMES
]


@pytest.fixture
def blotter():
    """A run of the three orders that is on record, and of which nothing was sent."""
    columns = {"client_order_id": NAMES, "symbol": [one.symbol for one in BUYS]}
    terms = {"run_id": "r", "side": "BUY", "quantity": 10.0, "order_type": "MKT", "account": "DU0000001"}
    rows = pd.DataFrame(columns).assign(**terms, payload_hash="h", approved=True)
    header = {"run_id": "r", "leg": 1, "mode": "mock", "account": "DU0000001", "plan_hash": "h"}
    header |= dict.fromkeys(("nav", "parameters", "approved_by", "approved_at"))
    with sx.open_blotter() as one:
        stamp = pd.Timestamp("2026-11-23 15:00", tz="UTC").to_pydatetime()
        one.record_plan(rows, header, [OrderEvent("intent", "r", name, stamp) for name in NAMES]).result()
        yield one


class Numbered(Stub):
    """A broker with order ids as TWS has them: each preparation gives rising ones, and no lower one is taken."""

    def __init__(self, **options):
        super().__init__(prices(3), **options)
        self.ids, self.highest = {}, 0

    async def prepare(self, tickets, *_):
        first = max([self.highest, *self.ids.values()]) + 1
        self.ids |= {one.client_order_id: first + number for number, one in enumerate(tickets)}
        return {}

    def order_id_for(self, client_order_id):
        return self.ids.get(client_order_id), 7

    async def place_all(self, tickets, gate):
        for ticket in tickets:
            if self.ids[ticket.client_order_id] <= self.highest:
                raise StaleOrderIdError("another run has sent orders meanwhile")
            with gate(ticket):
                await self.place(ticket)
            self.highest = self.ids[ticket.client_order_id]


def drive(broker, blotter, work):
    """Let ``work`` use the sender of the run, with all orders in its queue, and what pays for its buys."""

    async def run():
        sender, record, funding = sender_of(broker, blotter)
        result = await work(sender, record, funding)
        await record.put([])  # what the broker has reported is on disk now
        return result

    return asyncio.run(run())


def sender_of(broker, blotter):
    record = RunState("r", blotter, {one.client_order_id: one.quantity for one in BUYS})
    record.follow(broker)
    approved, quotes = {one.client_order_id: one for one in BUYS}, quotes_by_symbol(broker.quotes())
    budget = SendBudget(dict.fromkeys(NAMES, 1), dict.fromkeys(NAMES, 100.0))
    terms = FundingTerms(0.0, FundingOptions(), {}, budget.notional)
    funding = BuyFunding(broker, blotter, record, approved, quotes, terms)
    record.watch = funding.count
    sender = OrderSender("r", broker, record, approved, quotes, budget, funding, lambda: None)
    sender.queue = list(BUYS)
    sender.begin_attempt()
    return sender, record, funding


def outcome(blotter):
    """Status and reason of each order on record."""
    return blotter.orders("r")[["status", "reason"]].fillna("").to_numpy().tolist()


def messages(blotter, kind):
    return blotter.events("r").query("kind == @kind")["message"].tolist()


def sendings(blotter):
    """Each attempt on record: order, order id, number of the attempt."""
    return [
        (event.client_order_id, event.order_id, event.attempt)
        for event in blotter.recorded_events("r")
        if event.kind == "sending"
    ]


@pytest.mark.slow
def test_a_refused_order_leaves_the_queue_is_recorded_and_is_open_no_more(blotter):
    broker = Stub(prices(3))

    async def work(sender, record, _):
        await sender.refuse({})
        before = len(blotter.recorded_events("r"))
        await sender.refuse({B: ("lot_size", "S001: 10 shares are no whole lots of 100")})
        await sender.send(sender.queue)
        return before, record.open, sender.queue, sender.sent

    before, still_open, queue, sent = drive(broker, blotter, work)
    assert before == 3  # the intents: to refuse nothing is no event
    assert outcome(blotter) == [
        ["FILLED", ""],
        ["REJECTED", "lot_size"],
        ["FILLED", ""],
    ]
    assert messages(blotter, "refused") == ["S001: 10 shares are no whole lots of 100"]
    assert (broker.placed, queue, sent) == ([A, C], [], 2)
    assert B not in still_open


@pytest.mark.slow
def test_the_unsent_orders_of_a_cancelled_run_are_refused(blotter):
    broker = Stub(prices(3))

    async def work(sender, *_):
        await sender.send(sender.queue[:1])
        await sender.drop("cancelled by ann")
        return sender.queue

    assert drive(broker, blotter, work) == []
    refused = ["REJECTED", "run_cancelled"]
    assert outcome(blotter) == [["FILLED", ""], refused, refused]
    assert messages(blotter, "refused") == ["cancelled by ann"] * 2
    assert broker.placed == [A]


@pytest.mark.slow
def test_a_cancelled_run_is_refused_for_good_and_neither_resume_nor_submit_sends_it():
    started, runs = threading.Event(), []

    async def stop(_ticket):
        await asyncio.to_thread(started.wait)
        runs[0].control.stop("cancelled by ann")

    broker = Stub(prices(4), at=2, happens=stop)
    with sx.open_blotter() as blotter:
        approved = plan(4, broker)
        runs.append(sx.start_run(approved, broker, blotter))
        started.set()
        expected = [["FILLED", ""]] * 2 + [["REJECTED", "run_cancelled"]] * 2
        assert runs[0].wait()[["status", "reason"]].fillna("").to_numpy().tolist() == expected
        for again in (sx.resume("r", broker, blotter), sx.submit_orders(approved, broker, blotter)):
            assert again[["status", "reason"]].fillna("").to_numpy().tolist() == expected
    assert broker.placed == ["r-S000-BUY", "r-S001-BUY"]


@pytest.mark.slow
def test_buys_for_which_no_cash_came_are_withdrawn_as_not_funded(blotter):
    broker = Stub(prices(3), cash=115.0)

    async def work(sender, record, funding):
        sender.queue = await funding.open(sender.queue)
        await sender.send(funding.next_group(sender.queue, 10))
        record.update_states()
        await sender.withdraw()
        return sender.queue, record.open

    assert drive(broker, blotter, work) == ([], set())
    assert outcome(blotter) == [["FILLED", ""], *[["CANCELLED", "not_funded"]] * 2]
    # Each buy is 100.00 and 1.00 of commission; the first one leaves 14.00 of 115.00.
    assert messages(blotter, "withdrawn") == ["it may cost 101.00, and 14.00 of cash was available"] * 2
    assert broker.placed == [A]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nav", "placed"),
    [(250.0, [A, B]), (50.0, [])],  # each buy is 100.00, and exposure may be all of NAV
)
def test_an_order_beyond_the_limit_on_gross_exposure_is_refused_at_sending(nav, placed, blotter):
    broker = Stub(prices(3))

    async def work(sender, *_):
        sender.exposure = GrossExposure(GrossLimit(1.0), nav, dict.fromkeys(prices(3), 10.0), {})
        return await sender.send(sender.queue), sender.queue

    assert drive(broker, blotter, work) == ("", [])
    found = outcome(blotter)
    assert found == [["FILLED", ""]] * len(placed) + [["REJECTED", "max_gross"]] * (3 - len(placed))
    ratio = f"{(len(placed) + 1) * 100 / nav:.2%}"
    assert messages(blotter, "refused")[0].endswith(f"would bring gross exposure to {ratio} of NAV, over 100.00%")
    assert broker.placed == placed
    assert [name for name, _, _ in sendings(blotter)] == placed  # what is refused was never announced


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        # B leaves with 2, so that A needs a later one than 1, and then C a later one than 3.
        ([[1], [0], [2]], [(B, 2, 1), (A, 4, 1), (C, 5, 1)]),
        ([[2, 0, 1]], [(C, 4, 1), (A, 5, 1), (B, 6, 1)]),  # 3, 1, 2 do not rise
    ],
)
def test_orders_that_others_overtook_get_later_order_ids(groups, expected, blotter):
    broker = Numbered()

    async def work(sender, *_):
        await broker.prepare(BUYS)  # 1, 2, 3
        for group in groups:
            await sender.send([BUYS[place] for place in group])

    drive(broker, blotter, work)
    assert sendings(blotter) == expected
    assert [status for status, _ in outcome(blotter)] == ["FILLED"] * 3


@pytest.mark.slow
def test_orders_in_their_planned_sequence_keep_their_order_ids(blotter):
    broker = Numbered()

    async def work(sender, *_):
        await broker.prepare(BUYS)
        for group in (BUYS[:1], BUYS[1:]):
            await sender.send(group)

    drive(broker, blotter, work)
    assert sendings(blotter) == [(A, 1, 1), (B, 2, 1), (C, 3, 1)]
    clients = [event.client_id for event in blotter.recorded_events("r") if event.kind == "sending"]
    assert clients == [7, 7, 7]


@pytest.mark.slow
def test_after_a_stale_order_id_the_queue_is_prepared_again_and_sent_with_later_ids(blotter):
    broker = Numbered()

    async def work(sender, *_):
        await broker.prepare(BUYS)
        broker.highest = 8  # another run of this connection has sent orders meanwhile
        assert await sender.send(BUYS) == ""
        assert (broker.placed, sender.queue, sender.sent) == ([], BUYS, 0)
        assert broker.ids == {A: 9, B: 10, C: 11}
        states = blotter.orders("r")["state"].tolist()
        assert await sender.send(sender.queue) == ""
        return states, sender.queue

    assert drive(broker, blotter, work) == (["INTENT"] * 3, [])  # provably not sent
    first, again = sendings(blotter)[:3], sendings(blotter)[3:]
    assert first == [(A, 1, 1), (B, 2, 1), (C, 3, 1)]
    assert again == [(A, 9, 2), (B, 10, 2), (C, 11, 2)]
    assert [status for status, _ in outcome(blotter)] == ["FILLED"] * 3


@pytest.mark.slow
def test_an_order_sent_for_fewer_shares_says_why_in_its_sending_event(blotter):
    broker = Stub(prices(3))

    async def work(sender, _, funding):
        funding.shortages[A] = "42.50 of cash was available"
        await sender.send([replace(BUYS[0], quantity=4.0), replace(BUYS[1], quantity=2.5), BUYS[2]])

    drive(broker, blotter, work)
    events = [event for event in blotter.recorded_events("r") if event.kind == "sending"]
    assert [(event.quantity, event.code, event.message) for event in events] == [
        (4.0, "not_funded", "sent for 4 of 10 shares: 42.50 of cash was available"),
        (2.5, "not_funded", "sent for 2.5 of 10 shares: as it was sent before"),
        (None, None, None),
    ]
    assert blotter.orders("r")["sent_quantity"].tolist() == [4.0, 2.5, 10.0]


@pytest.mark.slow
def test_cash_of_an_order_in_flight_stays_reserved_and_that_of_unsent_ones_is_free(blotter):
    broker = Stub(prices(3), at=1, happens=fail(BrokerError("the line is down")), cash=1_000.0)

    async def work(sender, _, funding):
        await funding.open(sender.queue)
        with pytest.raises(BrokerError, match="the line is down"):
            await sender.send(sender.queue)
        return sender.queue, set(ledger_of(broker).reserved)

    assert drive(broker, blotter, work) == (BUYS[1:], {A})
    assert [status for status, _ in outcome(blotter)] == ["UNKNOWN", "NEW", "NEW"]


@pytest.mark.slow
def test_a_doubtful_order_is_on_record_with_the_attempt_that_it_was_sent_in(blotter):
    broker = Stub(prices(3), at=1, happens=fail(BrokerError("the line is down")))

    async def work(sender, *_):
        sender.begin_attempt()
        await sender._record_not_sent([])  # an attempt before it, of which nothing left
        with pytest.raises(BrokerError):
            await sender.send(sender.queue)

    drive(broker, blotter, work)
    (unknown,) = [event for event in blotter.recorded_events("r") if event.kind == "unknown"]
    assert (unknown.client_order_id, unknown.attempt) == (A, 2)
    assert [attempt for *_, attempt in sendings(blotter)] == [2, 2, 2]
