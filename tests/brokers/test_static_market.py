"""Each order type in a static market; prices and sizes by hand."""

import math

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.static_market import executions, is_held, may_not_rest
from stocklean_exec.fill_model import Quote

NAN = math.nan
MARKET = Quote(bid=99.90, ask=100.10, last=100.05, close=98.0, bid_size=300, ask_size=200)


def order(kind, side="BUY", limit=NAN, aux=NAN, tif="DAY", quantity=250.0):
    return Ticket("r-1", "r", "A", side, quantity, kind, limit, tif, "USD", "STK", "SMART", "DU1", aux_price=aux)


def fills(ticket, quote=MARKET):
    return [(one.quantity, one.price) for one in executions(ticket, quote)]


@pytest.mark.parametrize(
    ("ticket", "expected"),
    [
        (order("MKT"), [(200.0, 100.10), (50.0, 100.10)]),
        (order("LMT", limit=100.0), []),
        (order("MOC"), [(250.0, 100.05)]),
        (order("LOC", limit=100.05), [(250.0, 100.05)]),
        (order("LOC", limit=100.04), []),
        (order("LOC", "SELL", limit=100.06), []),
        (order("MKT", tif="OPG"), [(250.0, 100.05)]),
        (order("LMT", limit=100.0, tif="OPG"), []),
        (order("MIDPRICE"), [(250.0, 100.0)]),
        (order("MIDPRICE", limit=100.0), [(250.0, 100.0)]),
        (order("MIDPRICE", limit=99.99), []),
        (order("MIDPRICE", "SELL", limit=100.01), []),
        (order("REL", aux=0.0), []),
        (order("REL", aux=0.2, quantity=100.0), [(100.0, 100.10)]),
        (order("REL", aux=0.2, limit=100.0), []),
        (order("REL", "SELL", aux=0.2, quantity=100.0), [(100.0, 99.90)]),
        (order("REL", "SELL", aux=0.2, limit=99.95), []),
        (order("STP", aux=100.05, quantity=100.0), [(100.0, 100.10)]),
        (order("STP", aux=100.06), []),
        (order("STP", "SELL", aux=100.05, quantity=100.0), [(100.0, 99.90)]),
        (order("STP", "SELL", aux=100.04), []),
        (order("STP LMT", aux=100.0, limit=100.09), []),
        (order("STP LMT", aux=100.0, limit=100.10, quantity=100.0), [(100.0, 100.10)]),
        (order("STP LMT", aux=101.0, limit=102.0), []),
        (order("TRAIL", aux=0.5), []),
    ],
)
def test_each_type_trades_at_its_price_or_rests(ticket, expected):
    assert fills(ticket) == expected


@pytest.mark.parametrize(
    ("ticket", "held"),
    [
        (order("STP", aux=100.06), True),
        (order("STP", aux=100.05), False),
        (order("STP", "SELL", aux=100.04), True),
        (order("STP LMT", aux=101.0, limit=102.0), True),
        (order("TRAIL", "SELL", aux=0.5), True),
        (order("LMT", limit=1.0), False),
    ],
)
def test_a_stop_is_held_until_the_last_trade_has_reached_its_trigger(ticket, held):
    assert is_held(ticket, MARKET) == held


def test_without_a_last_trade_the_mid_stands_for_it():
    quote = Quote(bid=99.90, ask=100.10, close=98.0)
    assert fills(order("MOC"), quote) == [(250.0, 100.0)]
    assert not is_held(order("STP", aux=100.0), quote)
    assert is_held(order("STP", aux=100.01), quote)


def test_without_both_the_close_stands_for_the_auction_and_nothing_triggers():
    assert fills(order("MOC"), Quote(close=98.0)) == [(250.0, 98.0)]
    assert is_held(order("STP", aux=90.0), Quote(close=98.0))
    assert fills(order("MOC"), Quote(bid=99.9)) == []


def test_in_a_one_sided_market_a_midprice_order_takes_what_is_there():
    assert fills(order("MIDPRICE"), Quote(ask=100.10)) == [(250.0, 100.10)]
    assert fills(order("MIDPRICE"), Quote(bid=99.90)) == []
    assert fills(order("MIDPRICE"), Quote(bid=0.0, ask=100.10)) == [(250.0, 100.10)]
    assert fills(order("REL", aux=0.0), Quote(ask=0.50)) == []  # without a bid a buy is pegged to nothing
    assert fills(order("REL", aux=5.0), Quote(ask=100.10)) == []
    assert fills(order("REL", "SELL", aux=5.0), Quote(bid=99.90)) == []


@pytest.mark.parametrize(("last", "price"), [(0.5, 0.5), (0.0, 98.0), (-1.0, 98.0), (1e9, 98.0)])
def test_a_price_is_above_zero_and_below_a_billion(last, price):
    assert fills(order("MOC"), Quote(last=last, close=98.0)) == [(250.0, price)]


@pytest.mark.parametrize(
    ("ticket", "ends"),
    [
        (order("MOC"), True),
        (order("LOC", limit=99.0), True),
        (order("LMT", limit=99.0, tif="OPG"), True),
        (order("LMT", limit=99.0, tif="IOC"), True),
        (order("LMT", limit=99.0, tif="FOK"), True),
        (order("LMT", limit=99.0, tif="GTD"), False),
        (order("STP", aux=101.0), False),
    ],
)
def test_what_an_auction_or_an_immediate_order_does_not_trade_is_cancelled(ticket, ends):
    assert may_not_rest(ticket) == ends
