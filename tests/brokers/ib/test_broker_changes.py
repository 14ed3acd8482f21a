"""Changes of the limit of a working order, over real sockets: what is sent, what TWS answers, what is not sent."""

import asyncio
import contextlib
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.connection import Connection
from stocklean_exec.errors import BrokerError, ConnectionLostError, OrderNotWorkingError
from stocklean_exec.execution.recovery_rules import OrderHistory
from stocklean_exec.simulator import Simulator, read_journal
from tests.wire_market import MARKET, NOON, approved_of, connect, ticket

NAN = float("nan")
BUY = ticket(quantity=5.0, order_type="LMT", limit_price=390.0)


@contextmanager
def resting(scenario=None, *, journal=None, **options):
    """A venue, a broker and a blotter with one order for 5 SPY that rests at 390, run ``r``."""
    with (
        Simulator(seed=7, quotes=MARKET, scenario=scenario, journal=journal) as venue,
        connect(venue, **options) as broker,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
        yield venue, broker, blotter


def record_change(blotter, number, limit):
    """What an engine commits before anything leaves."""
    event = OrderEvent(
        "modifying", "r", "r-SPY-BUY", NOON, attempt=number, price=limit, quantity=5.0, message="mid"
    )
    blotter.record([event]).result(5)


def change(broker, blotter, number, limit, **changes):
    """Record a change and send it; everything that TWS has said to it is on record when this returns."""
    record_change(blotter, number, limit)
    asyncio.run(broker.modify(replace(BUY, limit_price=limit, **changes), number))
    settle(broker, blotter)


def settle(broker, blotter):
    for _ in range(2):  # what a report makes the broker ask is asked before the second
        broker.open_orders()
    blotter.record([]).result(5)


def answers(blotter):
    kinds = ("modified", "modify_refused")
    found = [event for event in blotter.recorded_events("r") if event.kind in kinds]
    return [(event.kind, event.attempt, event.price, event.code) for event in found]


def placed(venue):
    """The orders that the venue has taken in: id, whole quantity and limit."""
    requests = venue.call(lambda one: [order.request for order in one.ledger.orders.values()])
    return [(request.order_id, request.quantity, request.limit_price) for request in requests]


@pytest.mark.slow
def test_a_change_sends_the_whole_order_again_under_its_id(tmp_path):
    journal = tmp_path / "journal.jsonl"
    scenario = {"order": [{"steps": [{"fill": 2, "price": 389.0}, {"rest": True}]}]}
    with resting(scenario, journal=journal) as (venue, broker, blotter):
        change(broker, blotter, 1, 395.5)
        assert answers(blotter) == [("modified", 1, 395.5, None)]
        assert placed(venue) == [(broker.open_orders()["order_id"].tolist()[0], 5.0, 395.5)]
        assert broker.open_orders()[["quantity", "filled_quantity"]].to_numpy().tolist() == [[5.0, 2.0]]
    first, changed = [row for row in read_journal(journal) if row["event"] in ("order", "modify")]
    names = ("order_id", "perm_id", "order_ref", "quantity", "limit_price", "account", "tif")
    assert [changed[name] for name in names if name != "limit_price"] == [
        first[name] for name in names if name != "limit_price"
    ]
    assert (first["limit_price"], changed["limit_price"], changed["quantity"]) == (390.0, 395.5, 5.0)


@pytest.mark.slow
def test_what_leaves_for_a_change_differs_from_the_order_in_the_limit_alone():
    scenario = {"order": [{"steps": [{"fill": 2, "price": 389.0}, {"rest": True}]}]}
    with Simulator(seed=7, quotes=MARKET, scenario=scenario) as venue, connect(venue) as broker:
        connection, left = broker._connection._ib.client.conn, []
        send = connection.sendMsg
        connection.sendMsg = lambda data: (left.append(bytes(data)), send(data))
        with sx.open_blotter() as blotter:
            sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
            change(broker, blotter, 1, 395.5)
            assert blotter.orders("r")["filled_quantity"].tolist() == [2.0]
    messages = [data[4:].decode().split("\0") for data in left]
    order, changed = [fields for fields in messages if fields[0] == "3"]
    # The official client's placeOrder: 1 is the order id, 17 the quantity, 19 the limit, 26 the reference.
    assert [place for place, pair in enumerate(zip(order, changed, strict=True)) if pair[0] != pair[1]] == [19]
    assert [changed[place] for place in (1, 17, 19, 26)] == [order[1], "5.0", "395.5", "r-SPY-BUY"]
    assert order[19] == "390.0"


@pytest.mark.slow
@pytest.mark.parametrize("code", [105, 110, 111, 201, 321, 387, 388, 400, 434, 2102, 10318])
def test_a_refused_change_ends_nothing_whatever_the_client_library_makes_of_its_code(code):
    scenario = {"order": [{"steps": [{"rest": True}], "on_modify": [{"refuse": code, "text": "no"}]}]}
    with resting(scenario) as (venue, broker, blotter):
        change(broker, blotter, 1, 395.0)
        assert answers(blotter) == [("modify_refused", 1, None, str(code))]
        row = blotter.orders("r").iloc[0]
        assert (row["status"], row["state"], pd.isna(row["reason"])) == ("SUBMITTED", "WORKING", True)
        assert broker.open_orders()["limit_price"].tolist() == [390.0]
        change(broker, blotter, 2, 401.0)
        assert blotter.orders("r")["status"].tolist() == ["FILLED"]
        assert venue.call(lambda one: one.counts["accepts"]) == 1


@pytest.mark.slow
def test_a_change_that_is_ignored_has_no_answer_and_the_next_one_counts():
    scenario = {"order": [{"steps": [{"rest": True}], "on_modify": [{"ignore": True}]}]}
    with resting(scenario) as (_, broker, blotter):
        change(broker, blotter, 1, 395.0)
        assert answers(blotter) == []
        change(broker, blotter, 2, 396.0)
        assert answers(blotter) == [("modified", 2, 396.0, None)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["104", "silent"])
def test_a_change_that_crosses_the_last_fill_is_refused_or_silent_and_the_order_is_filled_once(how):
    script = {"steps": [{"rest": True}], "on_modify": [{"fill": "rest"}]}
    with resting({"order": [script], "switches": {"modify_filled": how}}) as (_, broker, blotter):
        change(broker, blotter, 1, 395.0)
        assert answers(blotter) == ([("modify_refused", 1, None, "104")] if how == "104" else [])
        row = blotter.orders("r").iloc[0]
        assert (row["status"], row["filled_quantity"]) == ("FILLED", 5.0)
        with pytest.raises(OrderNotWorkingError, match="has ended"):
            change(broker, blotter, 2, 396.0)


@pytest.mark.slow
def test_an_order_that_ended_with_the_rejection_of_its_change_is_found_ended():
    # The rejection comes first; the end is told by the completed orders alone, which are asked for.
    on_modify = [{"message": 201, "text": "Order rejected - reason:margin"}, {"cancel": True}, {"ignore": True}]
    scenario = {
        "order": [{"steps": [{"rest": True}], "on_modify": on_modify}],
        "fault": [
            {
                "on": "orderStatus",
                "order_ref": "r-SPY-BUY",
                "do": "edit",
                "set": {"status": "PendingCancel"},
                "nth": 3,
            },
            {"on": "error", "order_ref": "r-SPY-BUY", "do": "omit", "nth": 2},
        ],
    }
    with resting(scenario) as (_, broker, blotter):
        change(broker, blotter, 1, 395.0)
        settle(broker, blotter)
        assert answers(blotter) == [("modify_refused", 1, None, "201")]
        row = blotter.orders("r").iloc[0]
        assert (row["status"], row["reason"]) == ("CANCELLED", "201")


@pytest.mark.slow
def test_an_order_with_a_cancel_under_way_is_not_changed():
    scenario = {"fault": [{"on": "cancelOrder", "do": "swallow"}]}
    with resting(scenario) as (venue, broker, blotter):
        broker.cancel("r-SPY-BUY")
        with pytest.raises(OrderNotWorkingError, match="has a cancel requested"):
            change(broker, blotter, 1, 401.0)
        assert [row[2] for row in placed(venue)] == [390.0]


@pytest.mark.slow
def test_while_tws_has_lost_ib_no_limit_is_changed():
    with resting({"switches": {"double_orders": True}}) as (venue, broker, blotter):
        venue.event("link_down")
        broker.cash()  # answered behind 1100
        with pytest.raises(ConnectionLostError, match="1100"):
            change(broker, blotter, 1, 395.0)
        venue.event("link_up", code=1102)
        broker.cash()
        assert len(placed(venue)) == 1  # a change meanwhile would have left two working orders
        change(broker, blotter, 2, 395.0)
        assert answers(blotter) == [("modified", 2, 395.0, None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantity": 3.0}, "a change is for the whole order of 5 shares, and not for 3"),
        ({"limit_price": NAN}, "a limit of nan is not a price"),
        ({"limit_price": 390.0000000001}, "more than 8 decimals"),
        ({"account": "DU0000002"}, "is for account DU"),
        ({"symbol": "NOPE"}, "TWS knows no such contract"),
    ],
)
def test_what_is_no_change_of_the_limit_alone_is_not_sent(changes, text):
    with resting() as (venue, broker, blotter):
        with pytest.raises(BrokerError, match=text):
            asyncio.run(broker.modify(replace(BUY, **({"limit_price": 395.0} | changes)), 1))
        settle(broker, blotter)
        assert (answers(blotter), placed(venue)[0][1:]) == ([], (5.0, 390.0))


@pytest.mark.slow
def test_an_order_whose_quantity_somebody_changed_at_tws_is_left_alone():
    with resting() as (venue, broker, blotter):
        venue.call(lambda one: setattr(_only(one), "request", replace(_only(one).request, quantity=4.0)))
        broker.open_orders()
        with pytest.raises(BrokerError, match="TWS shows it for 4 shares, and it was sent for 5"):
            change(broker, blotter, 1, 395.0)


def _only(venue):
    (order,) = venue.ledger.orders.values()
    return order


@pytest.mark.slow
def test_the_limit_of_another_clients_order_is_not_changed():
    with resting(client_id=1) as (venue, _, blotter), connect(venue, client_id=2) as other:
        history = OrderHistory("r-SPY-BUY", 5.0, blotter.recorded_events("r"))
        other.adopt("r", [history])
        with pytest.raises(OrderNotWorkingError, match="was placed by client id 1"):
            change(other, blotter, 1, 395.0)


@pytest.mark.slow
@pytest.mark.parametrize("arrives", [True, False])
def test_an_unanswered_change_is_found_after_a_reconnection(arrives):
    lost = "drop_after_accept" if arrives else "drop_before_read"
    scenario = {"fault": [{"on": "placeOrder", "nth": 2, "do": lost}]}
    with resting(scenario) as (_, broker, blotter):
        record_change(blotter, 1, 395.0)
        asyncio.run(broker.modify(replace(BUY, limit_price=395.0), 1))
        with contextlib.suppress(BrokerError):
            broker.cash()
        broker.reconnect()
        settle(broker, blotter)
        assert answers(blotter) == ([("modified", 1, 395.0, None)] if arrives else [])
        change(broker, blotter, 2, 401.0)
        assert blotter.orders("r")["status"].tolist() == ["FILLED"]


@pytest.mark.slow
@pytest.mark.parametrize("arrives", [True, False])
def test_another_process_finds_an_unanswered_change_of_the_record(arrives):
    lost = "drop_after_accept" if arrives else "drop_before_read"
    scenario = {"fault": [{"on": "placeOrder", "nth": 2, "do": lost}]}
    with Simulator(seed=7, quotes=MARKET, scenario=scenario) as venue, sx.open_blotter() as blotter:
        with connect(venue) as broker:
            sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
            record_change(blotter, 1, 395.0)
            asyncio.run(broker.modify(replace(BUY, limit_price=395.0), 1))
            with contextlib.suppress(BrokerError):
                broker.cash()
        with connect(venue) as later:
            sx.resume("r", later, blotter, timeout=0.1)
            settle(later, blotter)
            assert answers(blotter) == ([("modified", 1, 395.0, None)] if arrives else [])
            change(later, blotter, 2, 396.0)  # of an order that this process has not sent
            assert answers(blotter)[-1] == ("modified", 2, 396.0, None)


@pytest.mark.slow
def test_a_change_without_a_connection_says_that_it_is_lost():
    with resting() as (venue, broker, blotter):
        venue.event("restart", seconds=3600)
        with contextlib.suppress(BrokerError):
            broker.cash()
        with pytest.raises(ConnectionLostError):
            change(broker, blotter, 1, 395.0)
        with pytest.raises(BrokerError):
            broker.reconnect()
        with pytest.raises(ConnectionLostError, match="there is no connection to TWS"):
            change(broker, blotter, 2, 395.0)
    with pytest.raises(BrokerError, match="closed"):
        asyncio.run(broker.modify(BUY, 3))


def test_a_change_that_the_client_refuses_to_write_is_forgotten(monkeypatch):
    def refuse(*_):
        raise BrokerError("a NaN was about to be sent; nothing was sent")

    with resting() as (_, broker, blotter):
        monkeypatch.setattr(Connection, "send_order", refuse)
        with pytest.raises(BrokerError, match="a NaN"):
            change(broker, blotter, 1, 395.0)
        assert not broker._tracker.awaits_answer(broker._tracker.find("r-SPY-BUY").order_id)
