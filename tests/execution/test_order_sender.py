from __future__ import annotations

import asyncio

import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, HaltedError
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
    assert states["reason"].fillna("").tolist()[1].startswith("run_notional_cap")
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
