from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.kill_switch import HaltJournal
from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError
from stocklean_exec.execution.runner import Runner
from stocklean_exec.execution.submission import SubmitOptions, submit
from stocklean_exec.simulator import Simulator
from tests.stub_broker import Stub, plan, prices
from tests.wire_market import MARKET, THREE, approved_of, connect, journalled_venue, venue_orders


@pytest.mark.slow
def test_a_run_is_blocked_while_the_broker_gives_no_quotes_and_can_be_sent_later():
    broker = Stub(prices(2))
    quotes = broker.fetch_quotes

    async def fails(symbols):
        raise BrokerError("not connected")

    with sx.open_blotter() as blotter:
        approved = plan(2, broker)
        broker.fetch_quotes = fails
        with pytest.raises(BrokerError):
            sx.submit_orders(approved, broker, blotter)
        run = blotter.runs().iloc[0]
        assert (run["status"], run["message"]) == ("blocked", "not connected")
        assert blotter.orders("r")["status"].tolist() == ["NEW", "NEW"]
        broker.fetch_quotes = quotes
        assert sx.submit_orders(approved, broker, blotter)["status"].tolist() == ["FILLED", "FILLED"]
        assert blotter.runs()["status"].tolist() == ["done"]


def test_waiting_for_commissions_takes_one_wait_though_work_is_due():
    class Due:  # an order that is held back stays due, and nothing acts on it any more
        has_later, asked = False, 0

        @property
        def seconds_to_next(self):
            self.asked += 1
            return 0.0

    class Silent:
        fault, requests = "", 0

        def is_quiet(self):
            return False

        def skip_to(self, _moment):
            return False

        async def collect_evidence(self):
            self.requests += 1

    async def wait():
        runner = Runner.__new__(Runner)
        runner._worker, runner._broker, runner._loop = Due(), Silent(), asyncio.get_running_loop()
        runner._worker.next_at = None
        runner._record = SimpleNamespace(uncharged={"a.b.1.01"}, news=asyncio.Event())
        await runner._wait_for_commissions(runner._loop.time() + 0.02)
        return runner._worker.asked, runner._broker.requests

    assert asyncio.run(wait()) == (0, 1)


# -- a connection that was lost ---------------------------------------------------------------------------------


class Dropping(Stub):
    """Loses the connection behind the first order; from then on not all of its lists are complete."""

    async def place(self, ticket):
        await super().place(ticket)
        if len(self.placed) == 1:
            raise ConnectionLostError("the line is down")

    async def restore_connection(self, seconds):
        """It is back at once."""

    async def collect_evidence(self):
        found = await super().collect_evidence()
        gap = "completed orders" if self.placed else ""
        return replace(found, forgets=True, is_complete=not gap, gap=gap)


@pytest.mark.slow
def test_orders_cleared_at_the_start_of_a_resumed_run_are_sent_after_a_lost_connection():
    # The first query proves that no other process has sent the orders. From then on only this one can send them,
    # so that incomplete lists after the loss do not hold the second order back.
    broker = Dropping(prices(2))
    with sx.open_blotter() as blotter:
        blotter.halt("not yet")
        with pytest.raises(HaltedError):
            sx.submit_orders(plan(2, broker), broker, blotter)
        blotter.clear_halt("now")
        states = sx.resume("r", broker, blotter)
        assert blotter.events("r")["kind"].isin(["link_lost", "link_restored"]).sum() == 2
    assert states["status"].tolist() == ["FILLED", "FILLED"]
    assert broker.placed == ["r-S000-BUY", "r-S001-BUY"]


# -- cash ------------------------------------------------------------------------------------------------------
# A buy of 100 at 10.00 costs 1,000.00 and a commission of 1.00, the least for an order.


@pytest.mark.slow
def test_a_buy_beyond_the_cash_is_not_sent():
    # With 0.4 % for slippage a buy needs 1,005.00; after the first one, 5.00 are left.
    broker = Stub(prices(2), cash=1_006.0)
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(plan(2, broker, quantity=100.0), broker, blotter)
        withdrawn = blotter.events("r").query("kind == 'withdrawn'")["message"].tolist()
    assert states["status"].tolist() == ["FILLED", "CANCELLED"]
    assert states["reason"].tolist()[1] == "not_funded"
    assert withdrawn == ["it may cost 1,001.00, and 5.00 of cash was available"]
    assert broker.placed == ["r-S000-BUY"]


@pytest.mark.slow
def test_a_cancelled_buy_reserves_no_cash_in_the_resumed_run():
    # 1,500.00 pays for one of the two. The broker cancels the first, and a halt comes before the second.
    cancelled = pd.DataFrame([{"symbol": "S000", "action": "cancel"}])
    broker = Stub(
        prices(2), cash=1_500.0, fill_plan=cancelled, window=1, happens=lambda _: blotter._halts.halt("drill")
    )
    with sx.open_blotter() as blotter:
        with pytest.raises(HaltedError):
            sx.submit_orders(plan(2, broker, quantity=100.0), broker, blotter)
        assert blotter.orders("r")["status"].tolist() == ["CANCELLED", "NEW"]
        blotter.clear_halt("drill over")
        assert sx.resume("r", broker, blotter)["status"].tolist() == ["CANCELLED", "FILLED"]
    assert broker.cash() == 499.0


# -- halts -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_halt_from_another_process_is_seen_by_a_run_on_a_file(tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb") as blotter:
        other = HaltJournal(blotter.path)
        broker = Stub(prices(20), at=5, happens=lambda _: other.halt("from outside"))
        with pytest.raises(HaltedError, match="from outside"):
            sx.submit_orders(plan(20, broker), broker, blotter)
        assert len(broker.placed) == 5


# -- waiting ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_of_orders_that_can_only_rest_does_not_wait():
    broker = Stub(prices(2))
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(plan(2, broker, limit=9.0), broker, blotter, timeout=3_600)
        assert states["status"].tolist() == ["SUBMITTED", "SUBMITTED"]
        run = blotter.runs().iloc[0]
        assert (run["status"], run["message"]) == ("failed", "2 orders are resting at the broker")


@pytest.mark.slow
def test_a_run_waits_for_possible_fills_until_the_timeout():
    broker = Stub(prices(2), quiet=False)
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(plan(2, broker, limit=9.0), broker, blotter, timeout=0.05)
        assert states["status"].tolist() == ["SUBMITTED", "SUBMITTED"]
        assert blotter.runs()["message"].tolist() == ["timeout: 2 orders are still working at the broker"]
        assert broker.open_orders()["client_order_id"].tolist() == ["r-S000-BUY", "r-S001-BUY"]


class Trailing(Stub):
    """Reports a commission only once the run has asked whether more is to come; counts the queries it gets."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, quiet=False, **options)
        self.late, self.queries = [], 0

    def _publish(self, order, event):
        if event.kind == "commission":
            self.late.append((order, event))
        else:
            super()._publish(order, event)

    def is_quiet(self):
        late, self.late = self.late, []
        for order, event in late:
            asyncio.get_running_loop().call_soon(super()._publish, order, event)
        return super().is_quiet()

    async def collect_evidence(self):
        self.queries += 1
        return await super().collect_evidence()


@pytest.mark.slow
def test_a_run_waits_for_the_commission_of_its_last_fill_before_it_queries():
    broker = Trailing(prices(1))
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(plan(1, broker, quantity=100.0), broker, blotter)
    assert states["status"].tolist() == ["FILLED"]
    assert states["commission"].tolist() == [1.0]  # the least for an order; 100 x 0.005 is less
    assert broker.queries == 0


@pytest.mark.slow
def test_events_from_another_thread_end_the_wait():
    broker = Stub(prices(2), quiet=False)
    with sx.open_blotter() as blotter:
        approved = plan(2, broker, limit=9.0)

        def on_progress(done, text):
            if text == "2 open" and len(broker.placed) == 2 and not cancelling.is_alive() and not cancelled:
                cancelled.append(True)
                cancelling.start()

        cancelled = []
        cancelling = threading.Thread(target=broker.cancel_all)

        async def run():
            return await submit(
                approved, broker, blotter, SubmitOptions(60.0, None, None), on_progress=on_progress
            )

        states = asyncio.run(run())
        cancelling.join()
        assert states["status"].tolist() == ["CANCELLED", "CANCELLED"]
        assert blotter.runs()["message"].tolist() == ["all orders have ended"]


@pytest.mark.slow
def test_an_event_after_the_loop_of_its_run_is_closed_is_recorded():
    broker = Stub(prices(1))
    with sx.open_blotter() as blotter:
        asyncio.run(sx.submit_orders_async(plan(1, broker, limit=9.0), broker, blotter))
        thread = threading.Thread(target=broker.cancel_all)
        thread.start()
        thread.join()
        blotter.record([]).result()
        assert blotter.orders("r")["status"].tolist() == ["CANCELLED"]


# -- arrival ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_order_is_stamped_with_the_market_at_its_submission():
    at = pd.Timestamp("2025-11-24 15:00", tz="UTC")
    market = pd.DataFrame(
        {
            "symbol": ["S000", "S001", "S002"],
            "bid": [99.0, float("nan"), float("nan")],
            "ask": [101.0, float("nan"), float("nan")],
            "last": [100.5, 50.0, float("nan")],
            "close": [98.0, 48.0, 7.0],
            "quoted_at": at,
        }
    )
    broker = Stub(market)
    with sx.open_blotter() as blotter:
        orders = pd.DataFrame(
            {"run_id": "r", "symbol": market["symbol"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"}
        )
        review = sx.review_orders(sx.check_orders(orders, sx.Limits(price_collar=None), quotes=market, cash=1e6))
        review.approve_all(by="test")
        states = sx.submit_orders(review.result(), broker, blotter)
        assert states["arrival_price"].tolist() == [100.0, 50.0, 7.0]  # mid, else last, else close
        assert states["arrival_bid"].fillna(0).tolist() == [99.0, 0.0, 0.0]
        assert (states["arrived_at"] == at).all()
        recorded = blotter.quotes("r")
        assert recorded[["symbol", "close"]].to_numpy().tolist() == market[["symbol", "close"]].to_numpy().tolist()


@pytest.mark.slow
def test_progress_counts_the_orders_that_have_ended():
    broker = Stub(prices(5), window=2)
    progress = []
    with sx.open_blotter() as blotter:
        approved = plan(5, broker)
        options = SubmitOptions(60.0, None, None)
        asyncio.run(submit(approved, broker, blotter, options, on_progress=lambda *news: progress.append(news)))
    assert progress[0] == (2, "3 open")
    assert progress[-1] == (5, "0 open")
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


# -- over the wire ---------------------------------------------------------------------------------------------


@pytest.fixture
def venue(tmp_path):
    with journalled_venue(tmp_path) as running:
        yield running


@pytest.mark.slow
def test_a_run_pauses_while_tws_has_lost_ib_and_then_continues():
    scenario = {
        "event": [
            {"after_accepts": 1, "do": "link_down"},
            {"after_accepts": 1, "delay": 0.5, "do": "link_up", "code": 1102},
        ]
    }
    with (
        Simulator(quotes=MARKET, scenario=scenario, clock="wall") as running,
        connect(running, rate=20.0) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of(THREE), broker, blotter, timeout=20)
        assert states["status"].tolist() == ["FILLED"] * 3
        kinds = blotter.events("r")["kind"].value_counts()
        assert kinds["link_lost"] >= 1
        assert kinds["sending"] >= 3


@pytest.mark.slow
def test_a_silent_connection_is_detected_and_replaced(venue, monkeypatch):
    monkeypatch.setattr("stocklean_exec.execution.runner._SILENCE_SECONDS", 0.2)
    venue.fault(on="openOrder", do="stall")  # from the first answer to the order on, TWS is silent
    with connect(venue, seconds=0.5) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=20)
        assert states["status"].tolist() == ["FILLED"]
        assert "does not answer" in blotter.events("r").set_index("kind").loc["link_lost", "message"]
    assert venue_orders(venue.journal).to_dict() == {"r-SPY-BUY": 1}


@pytest.mark.slow
def test_missing_executions_of_a_filled_order_are_requested_at_the_end(venue):
    venue.fault(on="execDetails", do="omit", symbol="SPY", nth=1)
    with connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(THREE), broker, blotter, timeout=0.5)
        assert states["status"].tolist() == ["FILLED"] * 3
        assert blotter.fills("r")["quantity"].tolist() == [5.0, 6.0, 7.0]


@pytest.mark.slow
def test_a_missing_commission_is_requested_at_the_end(venue):
    venue.fault(on="commissionReport", do="omit", nth=2)
    with connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(THREE), broker, blotter, timeout=5)
        assert states["commission"].tolist() == [1.0, 1.0, 1.0]
        assert blotter.fills("r")["commission"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("function", [sx.submit_orders, sx.submit_orders_async])
def test_a_caller_can_follow_the_progress_of_a_run(function):
    broker = Stub(prices(5), window=2)
    progress = []
    with sx.open_blotter() as blotter:
        states = function(plan(5, broker), broker, blotter, on_progress=lambda *news: progress.append(news))
        if asyncio.iscoroutine(states):
            states = asyncio.run(states)
    assert progress[-1] == (5, "0 open")
    assert set(states["status"]) == {"FILLED"}
