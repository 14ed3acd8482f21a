"""Auctions: priority at one print by hand, and the orders that wait for them."""

import math

import pytest

from stocklean_exec.simulator.exchange.auctions import Print, auction_of, uncross
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.orders import Order
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec

WAITING = {"switches": {"auctions": "wait"}}


def order(number, side="BUY", quantity=100.0, limit=math.nan, tif="DAY"):
    kind = "MOC" if math.isnan(limit) else "LOC"
    request = OrderRequest(number, ContractSpec(symbol="SPY"), side, quantity, kind, limit, math.nan, tif)
    return Order(1, request, make_contract("SPY"), "DU1", number, 0.0)


def traded(orders, at):
    return [(one.order_id, quantity) for one, quantity in uncross(orders, at)]


def test_market_orders_come_first_then_better_limits_then_time():
    orders = [order(1, limit=400.5), order(2, limit=401.0), order(3), order(4), order(5, limit=400.5)]
    assert traded(orders, Print(400.0)) == [(3, 100), (4, 100), (2, 100), (1, 100), (5, 100)]
    assert traded(orders, Print(400.0, size=250)) == [(3, 100), (4, 100), (2, 50)]


def test_an_order_that_has_traded_before_has_its_rest_in_the_auction():
    one = order(1)
    one.filled = 30.0
    assert traded([one], Print(400.0)) == [(1, 70)]


def test_each_side_has_the_size_of_the_auction():
    orders = [order(1), order(2, "SELL"), order(3, "SELL")]
    assert traded(orders, Print(400.0, size=150)) == [(1, 100), (2, 100), (3, 50)]


@pytest.mark.parametrize(("side", "limit", "trades"), [("BUY", 399.99, False), ("BUY", 400.0, True)])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_limit_trades_at_the_print_or_better(side, limit, trades, mirror):
    one = order(1, "SELL" if mirror else side, limit=800.0 - limit if mirror else limit)
    assert traded([one], Print(400.0)) == ([(1, 100)] if trades else [])


@pytest.mark.parametrize(
    ("side", "imbalance", "trades"),
    [("BUY", 500, False), ("BUY", -500, True), ("SELL", 500, True), ("SELL", -500, False), ("SELL", 0, True)],
)
def test_a_limit_at_the_print_on_the_side_of_the_excess_is_left_over(side, imbalance, trades):
    found = traded([order(1, side, limit=400.0), order(2, side)], Print(400.0, imbalance=imbalance))
    assert found == [(2, 100), (1, 100)][: 2 if trades else 1]


@pytest.mark.parametrize(
    ("kind", "tif", "auction"),
    [("MOC", "DAY", "close"), ("LOC", "DAY", "close"), ("LMT", "OPG", "open"), ("LMT", "", "")],
)
def test_the_auction_of_an_order(kind, tif, auction):
    request = OrderRequest(1, ContractSpec(symbol="SPY"), "BUY", 1, kind, 1.0, math.nan, tif)
    assert auction_of(request) == auction


def statuses(seen):
    """The last status of each order."""
    return {fields[1]: fields[2] for fields in seen if fields[0] == "3"}


def prices(seen):
    return [(fields[2], fields[19], fields[20]) for fields in seen if fields[0] == "11"]


def place_five(peer):
    peer.place(1, order_type="MOC", quantity=500)  # more than the displayed 200: an auction has no such limit
    peer.place(2, order_type="LOC", limit="400.50")
    peer.place(3, order_type="LOC", limit="399.00")
    peer.place(4, tif="OPG")
    peer.place(5, order_type="LMT", limit="390.00")


def test_orders_for_the_close_wait_and_trade_in_one_print_or_are_cancelled(connect, kinds):
    peer = connect(WAITING)
    place_five(peer)
    assert set(statuses(peer.seen).values()) == {"PreSubmitted", "Submitted"}
    peer.venue.events.run({"do": "auction", "price": 400.5})
    seen = peer.take()
    assert prices(seen) == [("1", "500", "400.5"), ("2", "100", "400.5")]
    assert statuses(seen) == {"1": "Filled", "2": "Filled", "3": "Cancelled"}
    assert kinds(seen)[-2:] == ["st Cancelled", "err 202"]
    assert peer.venue.market["SPY"].last == 400.5
    assert [one.order_id for one in peer.venue.ledger.active.values()] == [4, 5]


def test_an_event_can_leave_a_limit_at_the_print_over(connect):
    peer = connect(WAITING)
    place_five(peer)
    peer.venue.events.run({"do": "auction", "price": 400.5, "imbalance": 10_000, "size": 400})
    seen = peer.take()
    assert prices(seen) == [("1", "400", "400.5")]
    assert statuses(seen) == {"1": "Cancelled", "2": "Cancelled", "3": "Cancelled"}


def test_without_a_price_an_auction_prints_at_the_last_trade(connect):
    peer = connect(WAITING)
    place_five(peer)
    peer.venue.move("SPY", bid=401.0, ask=401.2, last=401.1)
    peer.venue.events.run({"do": "auction", "auction": "open"})
    assert prices(peer.take()) == [("4", "100", "401.1")]


def test_the_quotes_can_state_the_prices_of_both_auctions(connect):
    quote = {"bid": 399.9, "ask": 400.1, "last": 400.0, "opening_print": 398.5, "closing_print": 402.25}
    peer = connect(WAITING, quotes={"SPY": quote})
    peer.place(1, order_type="MOC")
    peer.place(2, tif="OPG")
    for auction in ("open", "close"):
        peer.venue.events.run({"do": "auction", "auction": auction})
    assert prices(peer.take()) == [("2", "100", "398.5"), ("1", "100", "402.25")]
    peer.place(3, order_type="MOC")
    peer.venue.events.run({"do": "auction", "price": 401.0})  # an event comes first
    assert prices(peer.take()) == [("3", "100", "401.0")]


def test_an_auction_can_be_that_of_one_listing(connect):
    peer = connect(WAITING)
    peer.place(1, order_type="MOC")
    peer.place(2, "XOM", order_type="MOC")
    peer.venue.events.run({"do": "auction", "symbol": "XOM"})
    assert prices(peer.take()) == [("2", "100", "100.0")]


SESSION = {"switches": {"open_in_seconds": 60.0, "close_in_seconds": 660.0, "auction_cutoff": 30.0}}


def test_a_session_that_the_scenario_counts_opens_and_closes_with_an_auction(connect, kinds):
    peer = connect(SESSION, clock="manual")
    seen = peer.place(1, tif="OPG", quantity=500)
    assert "err 399" in kinds(seen)  # before the opening
    peer.place(2, tif="OPG", order_type="LMT", limit="390.00")
    peer.place(3)
    peer.venue.clock.advance(61)
    seen = peer.take()
    assert prices(seen)[0] == ("1", "500", "400.0")  # the auction is at the last trade, then the market at the ask
    assert [price for number, _, price in prices(seen) if number == "3"] == ["400.1"]
    assert statuses(seen) == {"1": "Filled", "2": "Cancelled", "3": "Filled"}
    peer.place(4, order_type="MOC")
    peer.place(5, order_type="LMT", limit="390.00")
    peer.place(6, tif="OPG")
    peer.venue.clock.advance(600)
    assert statuses(peer.take()) == {"4": "Filled", "5": "Cancelled"}
    assert [one.order_id for one in peer.venue.ledger.active.values()] == [6]  # it waits for the next opening
    peer.venue.clock.advance(86_400 - 600)
    assert statuses(peer.take()) == {"6": "Filled"}


def codes(messages):
    return [int(fields[3]) for fields in messages if fields[0] == "4"]


def test_behind_the_cut_off_orders_for_the_auction_are_final(connect, kinds):
    peer = connect(SESSION, clock="manual")
    peer.venue.clock.advance(600)
    peer.place(1, order_type="LOC", limit="401.00")
    peer.place(2, order_type="LMT", limit="390.00")
    peer.venue.clock.advance(31)
    peer.take()
    assert kinds(peer.place(3, order_type="MOC")) == ["err 201", "oo Inactive", "st Inactive"]
    assert codes(peer.place(1, order_type="LOC", limit="402.00")) == [2102]
    assert codes(peer.send("4", "1", "1")) == [161]
    assert codes(peer.send("58", "1")) == [202]  # the limit order alone
    peer.venue.clock.advance(30)
    assert statuses(peer.take()) == {"1": "Filled"}


def test_orders_behind_a_parent_miss_the_auction_and_are_cancelled(connect):
    peer = connect(WAITING)
    peer.place(1, order_type="LMT", limit="390.00")
    peer.place(2, action="SELL", order_type="MOC", parent_id=1)
    peer.venue.events.run({"do": "auction"})
    seen = peer.take()
    assert prices(seen) == []
    assert statuses(seen) == {"2": "Cancelled"}
