"""What ib_async and its eventkit do that our broker guards against, over real sockets.

Each test pins one trap in the installed library and names the module that avoids it. When an upgrade makes one
fail, the trap may be gone: look at that module again. None of these is a wish.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import math
import time
import weakref

import numpy as np
import pandas as pd
import pytest
from eventkit import Event
from ib_async import (
    IB,
    ContractDetails,
    LimitOrder,
    MarketOrder,
    Order,
    OrderState,
    OrderStatus,
    StartupFetch,
    Stock,
    util,
)

from stocklean_exec.simulator import Simulator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:eventkit.*")
SPY = Stock("SPY", "SMART", "USD", conId=756733)
EXEC_ID = "0000e0d5.67fe667b.01.01"
QUANTITY, ORDER_REF = 17, 26
"""Where these stand in a placeOrder."""


def order(**more):
    given = {"orderId": 1, "clientId": 1, "action": "BUY", "orderType": "MKT", "totalQuantity": 100, "tif": "DAY"}
    return Order(**(given | more))


async def placed(bench, **more):
    """A connected client, and a trade whose order the peer has."""
    ib = await bench.connect()
    trade = ib.placeOrder(SPY, order(**more))
    await bench.peer.until(bench.peer.orders)
    return ib, trade


def log_of(event):
    """Everything that ``event`` emits from now on."""
    seen = []
    event += lambda *values: seen.append(values)
    return seen


# -- handlers (ib.client overrides the wrapper, where nothing is swallowed; ib.connection.guard reports failures)


def test_trap_a1_an_error_in_a_handler_is_swallowed(caplog):
    def fail(_):
        raise LookupError("the record failed")

    event = Event("news")
    event += fail
    event.emit(1)
    assert caplog.records == []


def test_trap_a1_an_error_in_a_handler_reaches_only_the_error_event():
    event, errors = Event("news"), []
    event += lambda _: 1 / 0
    event.error_event += lambda _event, error: errors.append(type(error))
    event.emit(1)
    assert errors == [ZeroDivisionError]


@pytest.mark.slow
def test_trap_a2_an_error_in_an_async_handler_reaches_no_caller():
    """ib_broker: background tasks are held, and it reports their failures."""

    async def main():
        published, errors = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: published.append(context["message"]))
        event, ran = Event("news"), asyncio.Event()

        async def fail(_):
            ran.set()
            raise LookupError("the record failed")

        event += fail
        event.error_event += lambda *_: errors.append(1)
        event.emit(1)
        await ran.wait()
        await asyncio.sleep(0)
        gc.collect()
        return published, errors

    assert asyncio.run(main()) == (["Task exception was never retrieved"], [])


@pytest.mark.slow
def test_trap_a3_a_bound_method_receives_no_events_once_its_owner_is_deleted():
    """ib.connection, ib.client: what listens is held by what is listened to."""

    class Subscriber:
        def receive(self, _):
            received.append(1)

    received, event = [], Event("news")
    subscriber = Subscriber()
    event += subscriber.receive
    event.emit(1)
    del subscriber
    gc.collect()
    event.emit(2)
    assert received == [1]


# -- incoming messages (ib.client has its own decoder) ---------------------------------------------------------


def test_trap_a4_a_fill_with_an_unknown_time_zone_is_lost_and_the_connection_stays(play):
    async def script(bench):
        ib, trade = await placed(bench)
        bench.peer.execution(1, time="20221229 10:00:01 Middle/Earth")
        await bench.idle(ib)
        return ib.isConnected(), ib.fills(), trade.fills

    assert play(script) == (True, [], [])


def test_trap_a5_an_oversized_frame_length_stalls_the_connection_forever(play):
    async def script(bench):
        ib = await bench.connect()
        received = log_of(ib.errorEvent)
        bench.peer.raw(b"\xff\xff\xff\xff")
        bench.peer.error(-1, 1100)
        answer = ib.reqCurrentTimeAsync()
        await bench.peer.until(lambda: ["49", "1"] in bench.peer.received)
        connected = ib.isConnected()
        bench.peer.hang_up()
        with pytest.raises(ConnectionError):
            await answer
        return connected, received

    assert play(script) == (True, [])


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_trap_a6_a_time_without_zone_is_read_in_the_local_zone(zone, play, monkeypatch):
    """ib.client: every time is rewritten in UTC before ib_async reads it."""

    async def script(bench):
        ib, _ = await placed(bench)
        bench.peer.execution(1, time="20221229  10:00:01")
        await bench.idle(ib)
        return ib.fills()[0].execution.time.timestamp()

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = play(script)
    finally:
        monkeypatch.undo()
        time.tzset()
    hours = {"Asia/Tokyo": 9, "America/New_York": -5}[zone]
    assert found == 1672308001 - hours * 3600  # 2022-12-29 10:00:01 UTC, less the zone's offset


def test_trap_a7_the_time_of_a_live_fill_is_its_time_of_receipt(play):
    """ib.order_tracker: events carry the execution's own time."""

    async def script(bench):
        ib, _ = await placed(bench)
        bench.peer.execution(1)
        await bench.idle(ib)
        (fill,) = ib.fills()
        return fill.time == fill.execution.time, fill.time.year > 2022

    assert play(script) == (False, True)


# -- placeOrder (ib.connection sends through the client; ib.client checks every field) -------------------------


def test_trap_b1_place_order_may_raise_after_it_has_sent(play):
    async def script(bench):
        ib, trade = await placed(bench)
        bench.peer.execution(1)
        bench.peer.status(1, "Filled", 100, 0)
        await bench.idle(ib)
        with pytest.raises(AssertionError):
            ib.placeOrder(SPY, trade.order)
        await bench.peer.until(lambda: len(bench.peer.orders()) == 2)

    play(script)


def test_trap_b2_queued_messages_are_dropped_by_disconnect(play):
    """ib.client switches that queue off; pacing holds back before anything is called sent."""

    async def script(bench):
        ib = await bench.connect()
        trades = [ib.placeOrder(SPY, order(orderId=number)) for number in range(1, 101)]
        ib.disconnect()
        await bench.peer.until(lambda: bench.peer.ended)
        return len(bench.peer.orders()), {trade.orderStatus.status for trade in trades}

    arrived, statuses = play(script)
    assert 30 < arrived <= 45  # 45 messages a second, some of which were the start's
    assert statuses == {"PendingSubmit"}


def test_trap_b3_an_order_into_a_closing_socket_looks_sent(play):
    """ib.client.is_usable looks at the socket itself."""

    async def script(bench):
        ib = await bench.connect()
        ib.client.conn.transport.close()
        trade = ib.placeOrder(SPY, order())
        connected = ib.isConnected()
        await bench.peer.until(lambda: bench.peer.ended)
        return connected, trade.orderStatus.status, bench.peer.orders()

    assert play(script) == (True, "PendingSubmit", [])


def test_b4_without_a_connection_place_order_raises_and_stores_no_trade():
    """ib.connection.require_open gives a better error."""
    ib = IB()
    with pytest.raises(ConnectionError, match="Not connected"):
        ib.placeOrder(SPY, order())
    assert ib.trades() == []


def test_trap_b5_an_order_object_keeps_its_old_id_on_a_new_connection(play):
    """ib.connection makes a new order for each ticket."""

    async def script(bench):
        _, trade = await placed(bench, orderId=0)
        other = await bench.connect(clientId=2)
        again = other.placeOrder(SPY, trade.order)
        await bench.peer.until(lambda: len(bench.peer.orders()) == 2)
        return again is trade, [fields[1] for fields in bench.peer.orders()]

    is_same, ids = play(script)
    assert not is_same
    assert ids[0] == ids[1]


def test_trap_b6_place_order_changes_the_order_it_is_given(play):
    async def script(bench):
        ib = await bench.connect()
        mine = MarketOrder("BUY", 1)
        ib.placeOrder(SPY, mine)
        return mine.orderId, mine.clientId

    order_id, client_id = play(script)
    assert order_id > 0
    assert client_id == 1


def test_trap_b7_a_nul_in_a_text_shifts_all_following_fields(play):
    async def script(bench):
        ib = await bench.connect()
        ib.placeOrder(SPY, order())
        ib.placeOrder(SPY, order(orderId=2, orderRef="x\0" + "0"))
        await bench.peer.until(lambda: len(bench.peer.orders()) == 2)
        return bench.peer.orders()

    plain, shifted = play(script)
    assert len(shifted) == len(plain) + 1
    assert plain[ORDER_REF : ORDER_REF + 2] == ["", "1"]  # orderRef and transmit
    assert shifted[ORDER_REF : ORDER_REF + 2] == ["x", "0"]


@pytest.mark.parametrize(
    ("quantity", "sent"),
    [
        (math.nan, "nan"),
        (math.inf, "Infinite"),
        (np.True_, "True"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-5, "-5"),
        (2147483647, ""),
        (1e-7, "1e-07"),
    ],
)
def test_trap_b8_a_number_that_is_none_is_sent_as_text(quantity, sent, play):
    """ib.translate.number_problem refuses these before they are sent."""

    async def script(bench):
        ib, _ = await placed(bench, totalQuantity=quantity)
        return bench.peer.orders()[0][QUANTITY], ib.isConnected()

    assert play(script) == (sent, True)


def test_trap_b8_pandas_na_is_sent_and_then_raises(play):
    async def script(bench):
        ib = await bench.connect()
        with pytest.raises(TypeError):
            ib.placeOrder(SPY, LimitOrder("BUY", 1, pd.NA, orderId=1))
        await bench.peer.until(bench.peer.orders)
        return "<NA>" in bench.peer.orders()[0]

    assert play(script)


def test_trap_b9_a_cancel_carries_only_the_order_id_and_not_its_client(play):
    """ib.broker cancels only orders of its own client."""

    async def script(bench):
        ib, mine = await placed(bench)
        theirs = Order(orderId=1, clientId=2, permId=9, totalQuantity=5)
        ib.wrapper.openOrder(1, SPY, theirs, OrderState(status="Submitted"))
        ib.cancelOrder(theirs)
        await bench.peer.until(lambda: bench.peer.received[-1][0] == "4")
        (trade,) = [one for one in ib.trades() if one is not mine]
        return bench.peer.received[-1][2], trade.orderStatus.status

    assert play(script) == ("1", "PendingCancel")


# -- connections (ib.connection: one for each connection, with a time limit on every request) ------------------


def test_trap_c1_after_a_lost_socket_the_state_is_cleared_before_the_event(play):
    """ib.order_tracker outlives the connection; ib.client overrides connectionClosed."""

    async def script(bench):
        ib, _ = await placed(bench)
        bench.peer.execution(1)
        await bench.idle(ib)
        published = asyncio.get_running_loop().create_future()
        ib.disconnectedEvent += lambda: published.set_result((len(ib.trades()), len(ib.fills())))
        before = len(ib.trades()), len(ib.fills())
        bench.peer.hang_up()
        return before, await published

    assert play(script) == ((1, 1), (0, 0))


def test_trap_c1_with_disconnect_the_event_comes_before_the_state_is_cleared(play):
    async def script(bench):
        ib, _ = await placed(bench)
        seen = []
        ib.disconnectedEvent += lambda: seen.append(len(ib.trades()))
        ib.disconnect()
        return seen, len(ib.trades())

    assert play(script) == ([1], 0)


def test_trap_c2_a_trade_of_a_lost_connection_is_never_updated_again(play):
    async def script(bench):
        ib, trade = await placed(bench)
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        bench.peer.hang_up()
        await gone.wait()
        await bench.connect(ib=ib)
        bench.peer.status(1, "Filled", 100, 0)
        await bench.idle(ib)
        return trade.orderStatus.status, trade.filledEvent.done()

    assert play(script) == ("PendingSubmit", True)


def test_trap_c3_connecting_a_second_time_clears_the_client_id(play):
    """ib.connection: one IB for one connection."""

    async def script(bench):
        ib = await bench.connect()
        await bench.connect(ib=ib)
        return ib.isConnected(), ib.wrapper.clientId

    assert play(script) == (True, -1)


def test_trap_c4_the_end_of_one_connection_ends_blocking_calls_of_all():
    """ib.client overrides connectionClosed; nothing here is called in the blocking way."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        waiting = loop.create_future()
        loop.call_soon(IB().wrapper.connectionClosed)  # of another program
        with pytest.raises(ConnectionError, match="Socket disconnect"):
            util.run(waiting)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.parametrize("strict", [False, True])
def test_trap_c5_a_start_that_was_not_answered_counts_as_connected(strict, play, caplog):
    """ib.client.start: ``raiseSyncErrors`` is on."""

    async def script(bench):
        bench.peer.silent.add("5")
        ib = IB()
        if strict:
            with pytest.raises(ConnectionError, match="open orders request timed out"):
                await bench.connect(ib=ib, fetch=StartupFetch.ORDERS_OPEN, timeout=0.2, raiseSyncErrors=True)
        else:
            await bench.connect(ib=ib, fetch=StartupFetch.ORDERS_OPEN, timeout=0.2)
        return ib.isConnected()

    assert play(script) is not strict
    assert "open orders request timed out" in caplog.text


def test_trap_c6_after_a_timed_out_request_open_orders_raise_no_event(play):
    """ib.client receives openOrder itself."""

    async def script(bench):
        bench.peer.silent.add("5")
        ib = await bench.connect()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ib.reqOpenOrdersAsync(), 0)
        published = log_of(ib.openOrderEvent)
        ib.wrapper.openOrder(1, SPY, order(permId=9), OrderState(status="Submitted"))
        return published

    assert play(script) == []


@pytest.mark.parametrize("name", ["reqOpenOrdersAsync", "reqAllOpenOrdersAsync", "reqPositionsAsync"])
def test_trap_c7_the_first_of_two_concurrent_requests_is_never_answered(name, play):
    """ib.connection: requests that share an answer go one after another."""

    async def script(bench):
        ib = await bench.connect()
        first, second = getattr(ib, name)(), getattr(ib, name)()
        await second
        await bench.idle(ib)
        return first.done()

    assert play(script) is False


def test_trap_c7_no_request_has_a_time_limit():
    """ib.connection sets one on each."""
    assert IB.RequestTimeout == 0


@pytest.mark.slow
def test_trap_c8_a_client_id_in_use_is_a_timeout_and_nothing_else(play):
    """ib.connection and ib.account_guard say what it was."""

    async def script(bench):
        bench.peer.greets = False
        ib = IB()
        attempt = asyncio.ensure_future(bench.connect(ib=ib, timeout=0.5))
        await bench.peer.until(lambda: bench.peer.received)
        bench.peer.error(-1, 326)
        bench.peer.hang_up()
        with pytest.raises(TimeoutError) as caught:
            await attempt
        return str(caught.value)

    assert "326" not in play(script)


def test_trap_c9_a_next_id_after_the_start_is_ignored(play):
    """ib.connection reads it from the first message of a connection."""

    async def script(bench):
        ib = await bench.connect()
        bench.peer.say(9, 1, 900)
        await bench.idle(ib)
        return ib.client.getReqId()

    assert play(script) < 900


def test_c9_an_open_order_of_any_client_raises_the_next_id(play):
    """ib.client keeps this."""

    async def script(bench):
        ib = await bench.connect()
        ib.wrapper.openOrder(700, SPY, order(orderId=700, clientId=5, permId=9), OrderState(status="Submitted"))
        return ib.client.getReqId()

    assert play(script) == 701


def test_trap_c10_requests_and_orders_share_their_id_sequence(play):
    """ib.connection reserves ids from the same counter; ib.connection.on_error receives which it is."""

    async def script(bench):
        bench.peer.silent.add("7")
        ib = await bench.connect()
        pending = ib.reqExecutionsAsync()
        number = ib.client.getReqId() - 1
        trade = ib.placeOrder(SPY, order(orderId=number))
        bench.peer.error(number, 201)
        await bench.idle(ib)
        return pending.done(), trade.orderStatus.status

    assert play(script) == (True, "PendingSubmit")  # the rejection of the order is booked on the request


@pytest.mark.parametrize("code", [1100, 1101, 1102])
def test_trap_c11_orders_are_still_sent_while_tws_has_lost_ib(code, play):
    """ib_broker refuses to send then."""

    async def script(bench):
        ib = await bench.connect()
        bench.peer.error(-1, code)
        await bench.idle(ib)
        ib.placeOrder(SPY, order())
        await bench.peer.until(bench.peer.orders)
        return ib.isConnected()

    assert play(script)


@pytest.mark.slow
def test_trap_c12_a_connection_without_references_is_closed(play):
    """ib_broker holds its link."""

    async def script(bench):
        ib = await bench.connect(keep=False)
        gone = weakref.ref(ib)
        del ib
        gc.collect()
        await bench.peer.until(lambda: bench.peer.ended)
        return gone() is None

    assert play(script)


# -- reports (ib.order_tracker and blotter.order_state; ib.client bypasses ib_async's list of trades) ----------


def test_trap_d1_a_correction_is_added_to_what_it_corrects(play):
    async def script(bench):
        ib, trade = await placed(bench)
        bench.peer.execution(1)
        bench.peer.execution(1, EXEC_ID[:-1] + "2")
        bench.peer.execution(1, EXEC_ID[:-1] + "2")
        await bench.idle(ib)
        return trade.filled(), trade.remaining()

    assert play(script) == (200, -100)


def test_trap_d2_a_replayed_execution_raises_no_event_but_its_commission_does(play):
    async def script(bench):
        bench.peer.silent.add("7")
        ib, _ = await placed(bench)
        bench.peer.status(1, "Submitted")
        await bench.idle(ib)
        ib.wrapper.permId2Trade[501] = ib.trades()[0]  # as an openOrder does
        fills, fees = log_of(ib.execDetailsEvent), log_of(ib.commissionReportEvent)
        answer = ib.reqExecutionsAsync()
        await bench.peer.until(lambda: bench.peer.received[-1][0] == "7")
        number = bench.peer.received[-1][2]
        bench.peer.execution(1, request=number)
        bench.peer.commission()
        bench.peer.say(55, 1, number)
        return len(await answer), len(fills), len(fees)

    assert play(script) == (1, 0, 1)


def test_trap_d3_a_live_fill_of_an_unknown_order_raises_no_event(play):
    async def script(bench):
        ib = await bench.connect()
        fills = log_of(ib.execDetailsEvent)
        bench.peer.execution(77)
        await bench.idle(ib)
        return len(fills), len(ib.fills())

    assert play(script) == (0, 1)


def test_trap_d4_a_commission_before_its_execution_is_dropped(play):
    async def script(bench):
        ib, _ = await placed(bench)
        bench.peer.commission()
        bench.peer.execution(1)
        await bench.idle(ib)
        return ib.fills()[0].commissionReport.commission

    assert play(script) == 0.0


def test_trap_d4_a_commission_before_its_open_order_raises_no_event(play):
    async def script(bench):
        ib, _ = await placed(bench)
        fees = log_of(ib.commissionReportEvent)
        bench.peer.execution(1)
        bench.peer.commission()
        await bench.idle(ib)
        return len(fees), ib.fills()[0].commissionReport.commission

    assert play(script) == (0, 1.0)


def test_trap_d5_a_status_of_an_unknown_order_is_only_logged(play, caplog):
    async def script(bench):
        ib = await bench.connect()
        published = log_of(ib.orderStatusEvent)
        bench.peer.status(77, "Filled", 100, 0)
        await bench.idle(ib)
        return published

    assert play(script) == []
    assert "No order found for orderId 77" in caplog.text


def test_trap_d6_a_late_status_undoes_a_fill(play):
    async def script(bench):
        ib, trade = await placed(bench)
        bench.peer.status(1, "Filled", 100, 0)
        bench.peer.status(1, "Submitted", 50, 50)
        await bench.idle(ib)
        return trade.orderStatus.status, trade.isDone()

    assert play(script) == ("Submitted", False)


def test_trap_d7_open_orders_raise_no_event_while_they_are_requested(play):
    async def script(bench):
        bench.peer.silent.add("5")
        ib = await bench.connect()
        published, statuses = log_of(ib.openOrderEvent), log_of(ib.orderStatusEvent)
        answer = ib.reqOpenOrdersAsync()
        ib.wrapper.openOrder(1, SPY, order(permId=501), OrderState(status="Submitted"))
        bench.peer.status(1, "Submitted", 40, 60)
        bench.peer.say(53, 1)
        await answer
        return len(published), len(statuses)

    assert play(script) == (0, 1)


def test_trap_d8_an_unrequested_completed_order_raises(play):
    """ib.client overrides completedOrder."""

    async def script(bench):
        ib = await bench.connect()
        with pytest.raises(KeyError, match="completedOrders"):
            ib.wrapper.completedOrder(SPY, order(permId=9), OrderState(status="Cancelled"))

    play(script)


def test_trap_d8_the_outcome_of_a_completed_order_is_discarded(play):
    async def script(bench):
        ib = await bench.connect()
        ib.wrapper.startReq("completedOrders")
        state = OrderState(status="Filled", completedStatus="Filled Size: 100", completedTime="20221229 10:00:01")
        ib.wrapper.completedOrder(SPY, Order(permId=9, filledQuantity=100.0, orderRef="ref"), state)
        (trade,) = ib.trades()
        return trade.order.orderId, trade.order.clientId, trade.orderStatus.filled, vars(trade)

    order_id, client_id, filled, kept = play(script)
    assert (order_id, client_id, filled) == (0, 0, 0.0)
    assert "Filled Size" not in repr(kept)


def test_trap_d9_an_open_order_does_not_report_what_is_filled(play):
    """ib.connection reads it from the status that follows."""

    async def script(bench):
        ib = await bench.connect()
        filled = order(permId=9, orderId=7, filledQuantity=40.0)
        ib.wrapper.openOrder(7, SPY, filled, OrderState(status="Submitted"))
        return ib.trades()[0].orderStatus.filled

    assert play(script) == 0.0


# -- quotes (ib.client makes a ticker for each request, ib.quote_times reads it) --------------------------------


async def snapshot(bench, ib, *ticks):
    """The ticker of a snapshot that the peer answers with these ticks: (message, type, value, ...)."""
    before = len(bench.peer.received)
    answer = asyncio.ensure_future(ib.reqTickersAsync(SPY))
    await bench.peer.until(lambda: any(fields[0] == "1" for fields in bench.peer.received[before:]))
    number = next(fields[2] for fields in bench.peer.received[before:] if fields[0] == "1")
    for kind, *values in ticks:
        bench.peer.say(kind, 6, number, *values)
    bench.peer.say(57, 1, number)
    (ticker,) = await asyncio.wait_for(answer, 10)
    return ticker


PRICE, GENERIC, STRING = 1, 45, 46
"""Messages tickPrice, tickGeneric, tickString."""


def test_trap_f1_a_second_snapshot_keeps_prices_and_times_of_the_first(play):
    async def script(bench):
        ib = await bench.connect()
        await snapshot(
            bench,
            ib,
            (PRICE, 1, 9.9, 100, 0),
            (PRICE, 2, 10.1, 100, 0),
            (PRICE, 4, 10.0, 1, 0),
            (STRING, 45, "1672326000"),
        )
        again = await snapshot(bench, ib, (PRICE, 4, 11.0, 1, 0), (STRING, 45, "0"))
        return again.bid, again.ask, again.last, again.lastTimestamp.timestamp()

    assert play(script) == (9.9, 10.1, 11.0, 1672326000.0)


@pytest.mark.parametrize(("code", "shown"), [("-1", 0.0), ("0", 0.0), ("1", 1.0)])
def test_trap_f2_a_halt_that_is_not_known_is_read_as_none(code, shown, play):
    async def script(bench):
        ib = await bench.connect()
        return (await snapshot(bench, ib, (GENERIC, 49, code))).halted

    assert play(script) == shown


def test_trap_f3_no_last_price_is_a_negative_price(play):
    """A magnified contract has -100 for none; a bid without a size is cleaned, a last price is not."""

    async def script(bench):
        ib = await bench.connect()
        ticker = await snapshot(bench, ib, (PRICE, 1, -100.0, 0, 0), (PRICE, 4, -100.0, 0, 0))
        return ticker.bid, ticker.last

    bid, last = play(script)
    assert bid != -100.0
    assert last == -100.0


def test_trap_f4_the_market_price_is_the_last_trade_of_any_age(play):
    async def script(bench):
        ib = await bench.connect()
        return (await snapshot(bench, ib, (PRICE, 4, 10.0, 1, 0), (STRING, 45, "1"))).marketPrice()

    assert play(script) == 10.0


def test_trap_f5_contract_details_without_a_magnifier_have_0():
    """ib.connection reads 0 as 1."""
    assert ContractDetails().priceMagnifier == 0


# -- codes (ib.translate has the table of what a code means) ---------------------------------------------------

STATES = ("PendingSubmit", "Submitted", "Filled")
AS_CANCELLED = (
    *(
        103,
        104,
        106,
        109,
        133,
        135,
        136,
        161,
        200,
        201,
        202,
        203,
        382,
        383,
        387,
        388,
        435,
        436,
        460,
        461,
        463,
        507,
    ),
    *(10006, 10052, 10147, 10148, 10149, 10187, 10242, 10243, 10268, 10289, 10311, 10318, 10329, 10349, 10358),
)
AS_WARNING = (105, 321, 329, 399, 404, 434, 492, 10167, 2109, 2137, 2161, 2168, 2169, 2170)


def after_codes(play, codes):
    """(code, state before, status after, whether done, cancels reported)."""

    async def script(bench):
        ib = await bench.connect()
        ib.client.MaxRequests = 0
        cancels, trades = [], []
        for number, (code, before) in enumerate(((c, b) for c in codes for b in STATES), start=1000):
            trade = ib.placeOrder(SPY, order(orderId=number))
            trade.cancelledEvent += lambda one: cancels.append(one.order.orderId)
            if before != "PendingSubmit":
                filled = 100 if before == "Filled" else 0
                bench.peer.status(number, before, filled, 100 - filled)
            bench.peer.error(number, code)
            trades.append((code, before, trade))
        await bench.idle(ib)
        return [
            (code, before, trade.orderStatus.status, trade.isDone(), trade.order.orderId in cancels)
            for code, before, trade in trades
        ]

    return play(script)


def test_trap_e1_a_warning_makes_a_filled_order_not_done(play):
    found = after_codes(play, AS_WARNING)
    assert {one[2:] for one in found} == {("ValidationError", False, False)}


def test_trap_e1_a_validation_error_counts_as_active():
    assert OrderStatus.ValidationError in OrderStatus.ActiveStates
    assert OrderStatus.ValidationError not in OrderStatus.DoneStates


def test_trap_e2_advice_and_failed_cancels_show_a_live_order_as_cancelled(play):
    found = after_codes(play, AS_CANCELLED)
    assert {one[2:] for one in found if one[1] != "Filled"} == {("Cancelled", True, True)}
    assert {one[2:] for one in found if one[1] == "Filled"} == {("Filled", True, False)}


def test_trap_e3_a_code_has_another_meaning_after_the_first_status(play):
    found = {one[1]: one[2] for one in after_codes(play, [110])}
    assert found == {"PendingSubmit": "Cancelled", "Submitted": "ValidationError", "Filled": "ValidationError"}


@pytest.mark.parametrize(
    ("code", "shown", "is_done"),
    [
        *((code, "Cancelled", True) for code in (104, 111, 161, 201, 387, 388, 400, 10147)),
        *((code, "ValidationError", False) for code in (105, 110, 321, 434, 2102)),
    ],
)
def test_trap_e5_a_refused_change_shows_a_working_order_as_ended(code, shown, is_done):
    # brokers.ib.order_tracker makes modify_refused of it, and asks for the open orders.
    async def script(venue):
        ib, other = IB(), IB()
        await ib.connectAsync("127.0.0.1", venue.port, clientId=1, fetchFields=StartupFetch(0))
        await other.connectAsync("127.0.0.1", venue.port, clientId=2, fetchFields=StartupFetch(0))
        try:
            trade = ib.placeOrder(SPY, LimitOrder("BUY", 10, 390.0, orderId=1, tif="DAY"))
            await until_settled(other)
            changed = LimitOrder("BUY", 10, 395.0, orderId=1, tif="DAY")
            ib.placeOrder(SPY, changed)
            (still,) = await until_settled(other)
            return trade, still
        finally:
            ib.disconnect()
            other.disconnect()

    async def until_settled(other):
        for _ in range(3):
            found = await other.reqAllOpenOrdersAsync()
        return found

    scenario = {"order": [{"steps": [{"rest": True}], "on_modify": [{"refuse": code}]}]}
    quote = {"con_id": 756733, "bid": 399.9, "ask": 400.1}
    with Simulator(quotes={"SPY": quote}, scenario=scenario) as venue:
        trade, still = asyncio.run(script(venue))
    assert (trade.orderStatus.status, trade.isDone()) == (shown, is_done)
    assert trade.order.lmtPrice == 390.0  # what leaves is a copy; a changed order would show the new limit
    assert (still.orderStatus.status, still.order.lmtPrice) == ("Submitted", 390.0)


def test_trap_e4_there_is_no_status_for_a_rejection(play):
    async def script(bench):
        ib, trade = await placed(bench)
        bench.peer.error(1, 201)
        await bench.idle(ib)
        return trade.orderStatus.status, trade.log[-1].errorCode

    assert play(script) == ("Cancelled", 201)
    assert "Rejected" not in vars(OrderStatus)


# -- internals that ib.client depends on -----------------------------------------------------------------------


def test_the_parts_of_ib_async_that_the_client_replaces_exist():
    ib = IB()
    assert ib.client.wrapper is ib.wrapper
    assert ib.client.decoder.wrapper is ib.wrapper
    assert {3, 4, 5, 11, 59, 101} <= set(ib.client.decoder.handlers)
    assert len(ib.errorEvent) == 1
    ib.errorEvent -= ib._onError
    assert len(ib.errorEvent) == 0
    assert (ib.client.MaxRequests, ib.client.RequestsInterval) == (45, 1)
    assert ib.client.MinClientVersion == 157


def test_the_start_of_ib_async_accepts_the_clients_arguments():
    taken = inspect.signature(IB.connectAsync).parameters
    assert {"clientId", "timeout", "account", "raiseSyncErrors", "fetchFields"} <= set(taken)


def test_ib_async_logs_whole_orders_at_info_level(play, caplog):
    """ib.client silences them."""
    caplog.set_level(logging.INFO)

    async def script(bench):
        await placed(bench, account="DU0000001")

    play(script)
    assert "DU0000001" in caplog.text
