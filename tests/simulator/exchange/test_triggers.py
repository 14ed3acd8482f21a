"""Triggers by hand: a quote, a price, and what IB documents of it."""

import math

import pytest

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.orders import Order
from stocklean_exec.simulator.exchange.triggers import follow, is_triggered, limit_behind_stop
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec

NAN = math.nan
QUOTE = Quote(bid=99.9, ask=100.1, bid_size=300, ask_size=200)


def order(kind="STP", side="BUY", stop=NAN, limit=NAN, **echo):
    texts = tuple((name, str(value)) for name, value in echo.items())
    request = OrderRequest(1, ContractSpec(symbol="SPY"), side, 10.0, kind, limit, stop, "DAY", echo=texts)
    return Order(1, request, make_contract("SPY"), "DU1", 7, 0.0)


@pytest.mark.parametrize(
    ("side", "stop", "reached"),
    [("BUY", 100.1, True), ("BUY", 100.11, False), ("SELL", 99.9, True), ("SELL", 99.89, False)],
)
def test_without_a_trade_a_stop_is_triggered_by_the_quote_of_its_side(side, stop, reached):
    assert is_triggered(order("STP", side, stop), QUOTE) is reached


@pytest.mark.parametrize(
    ("kind", "side", "price", "last", "reached"),
    [
        ("STP", "BUY", 100.05, 100.05, True),
        ("STP", "BUY", 100.05, 100.04, False),  # although the ask is at 100.10
        ("STP", "SELL", 99.95, 99.95, True),
        ("STP", "SELL", 99.95, 99.96, False),
        ("STP LMT", "BUY", 100.05, 100.06, True),
        ("MIT", "BUY", 100.0, 100.0, True),  # bought when it falls to the price
        ("MIT", "BUY", 100.0, 100.01, False),
        ("LIT", "SELL", 100.0, 100.0, True),  # sold when it rises to the price
        ("LIT", "SELL", 100.0, 99.99, False),
    ],
)
def test_the_last_trade_triggers(kind, side, price, last, reached):
    assert is_triggered(order(kind, side, price), QUOTE, last) is reached


@pytest.mark.parametrize(
    ("method", "stop", "last", "reached"),
    [
        (0, 99.9, 99.0, False),
        (2, 99.9, 99.9, True),
        (4, 99.9, 99.0, True),  # the bid of a buy stop
        (4, 99.95, 100.0, False),
        (1, 99.9, 99.0, True),
        (7, 99.9, 99.0, True),
        (7, 99.95, 99.95, True),
        (8, 100.0, 99.0, True),  # the middle of 99.90 and 100.10
        (8, 100.01, 100.01, False),
    ],
)
def test_a_method_chooses_the_price(method, stop, last, reached):
    assert is_triggered(order("STP", "BUY", stop, triggerMethod=method), QUOTE, last) is reached


def test_what_was_triggered_once_stays_triggered():
    once = order(stop=200.0)
    once.triggered = True
    assert is_triggered(once, QUOTE)


def stops(one, *lasts):
    """The stop of a trailing order after each price."""
    found = []
    for last in lasts:
        follow(one, Quote(bid=last - 0.1, ask=last + 0.1, last=last), last)
        found.append(one.trail)
    return found


def test_a_trailing_stop_follows_in_its_favour_and_never_back():
    assert stops(order("TRAIL", "SELL", 2.0), 100.0, 103.0, 101.0, 104.0) == [98.0, 101.0, 101.0, 102.0]
    assert stops(order("TRAIL", "BUY", 2.0), 100.0, 97.0, 98.0, 96.0) == [102.0, 99.0, 99.0, 98.0]


def test_a_trailing_percentage_is_one_of_the_price():
    # 1.5 % of 200 is 3; of 220 it is 3.30.
    assert stops(order("TRAIL", "SELL", trailingPercent=1.5), 200.0, 220.0) == pytest.approx([197.0, 216.7])


def test_a_trailing_stop_can_start_at_a_price():
    assert stops(order("TRAIL", "SELL", 2.0, trailStopPrice=95.0), 100.0, 100.0) == [95.0, 98.0]


def test_a_trailing_stop_is_triggered_by_its_present_stop_and_then_rests():
    one = order("TRAIL", "SELL", 2.0)
    stops(one, 100.0, 103.0)
    assert not is_triggered(one, QUOTE, 101.01)
    assert is_triggered(one, QUOTE, 101.0)
    one.triggered = True
    assert stops(one, 110.0) == [101.0]


@pytest.mark.parametrize(
    ("side", "more", "limit"),
    [
        ("SELL", {"lmtPriceOffset": 0.1}, 97.9),  # below the stop of 98
        ("BUY", {"lmtPriceOffset": 0.1}, 102.1),
        ("SELL", {"trailStopPrice": 98.0}, 97.5),  # as far behind as the given 97.50 is from 98
    ],
)
def test_the_limit_of_a_trailing_limit_order_is_behind_its_stop(side, more, limit):
    one = order("TRAIL LIMIT", side, 2.0, 97.5, **more)
    stops(one, 100.0)
    assert limit_behind_stop(one) == limit


def test_other_types_have_no_stop_that_moves():
    one = order("STP", "SELL", 98.0)
    assert math.isnan(stops(one, 100.0)[0])
    assert math.isnan(limit_behind_stop(one))


def test_without_any_price_a_trailing_stop_waits():
    one = order("TRAIL", "SELL", 2.0)
    follow(one, Quote(), NAN)
    assert math.isnan(one.trail)
    assert not is_triggered(one, Quote())
