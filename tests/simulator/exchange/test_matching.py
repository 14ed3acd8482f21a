import math
from dataclasses import replace

import pytest

from stocklean_exec.fill_model import Quote, match
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.matching import at_auction, executions_now, pegged_price
from stocklean_exec.simulator.exchange.orders import Order
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec

QUOTE = Quote(bid=99.9, ask=100.1, bid_size=300, ask_size=200)


def order(kind="MKT", side="BUY", quantity=250.0, limit=math.nan, stop=math.nan, tif="DAY"):
    request = OrderRequest(1, ContractSpec(symbol="SPY"), side, quantity, kind, limit, stop, tif)
    return Order(1, request, make_contract("SPY"), "DU1", 7, 0.0)


@pytest.mark.parametrize(
    ("kind", "limit"), [("MKT", math.nan), ("LMT", 100.1), ("LMT", 100.0), ("MOC", math.nan), ("LOC", 100.2)]
)
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_orders_trade_by_the_shared_fill_rule(kind, limit, side):
    ours = executions_now(order(kind, side, limit=limit), QUOTE, auction=True)
    assert ours == match(side, 250, limit, QUOTE)


def test_a_market_order_with_a_limit_price_of_zero_has_no_limit():
    assert len(executions_now(order(limit=0.0), QUOTE, auction=False)) == 2


@pytest.mark.parametrize(("kind", "tif"), [("MOC", "DAY"), ("LOC", "DAY"), ("MKT", "OPG"), ("LMT", "OPG")])
def test_auction_orders_wait_for_the_auction(kind, tif):
    waiting = order(kind, limit=101.0, tif=tif)
    assert at_auction(waiting)
    assert executions_now(waiting, QUOTE, auction=False) == []


def test_a_midprice_order_trades_at_the_mid_price_in_parts_of_the_displayed_size():
    found = executions_now(order("MIDPRICE"), QUOTE, auction=False)
    assert [(one.quantity, one.price) for one in found] == [(200, 100.0), (50, 100.0)]
    assert executions_now(order("MIDPRICE", limit=99.95), QUOTE, auction=False) == []
    assert executions_now(order("MIDPRICE", "SELL", limit=100.05), QUOTE, auction=False) == []
    one_sided = executions_now(order("MIDPRICE"), Quote(last=100.0), auction=False)
    assert [one.price for one in one_sided] == [100.0]


@pytest.mark.parametrize(
    ("side", "limit", "quote"),
    [
        ("BUY", 390.0, Quote(bid=389.0, ask=389.5, ask_size=200)),
        ("BUY", 390.0, Quote(bid=389.0, ask=390.0, ask_size=200)),
        ("SELL", 402.0, Quote(bid=405.0, ask=405.5, bid_size=200)),
    ],
)
def test_a_resting_order_trades_at_its_own_limit_when_the_market_reaches_it(side, limit, quote):
    found = executions_now(order("LMT", side, 250.0, limit), quote, auction=False, passive=True)
    assert [(one.quantity, one.price, one.liquidity) for one in found] == [(200, limit, 1), (50, limit, 1)]


def test_a_resting_order_does_not_trade_while_the_market_is_away():
    quote = Quote(bid=390.0, ask=390.1)
    assert executions_now(order("LMT", "BUY", 1.0, 390.0), quote, auction=False, passive=True) == []


def test_in_an_auction_all_orders_trade_at_the_auction_price():
    quote = Quote(bid=389.0, ask=389.5)
    found = executions_now(order("LOC", "BUY", 10.0, 390.0), quote, auction=True, passive=True)
    assert [one.price for one in found] == [389.5]


def relative(side="BUY", offset=0.02, cap=math.nan, exchange="SMART", **echo):
    one = order("REL", side, limit=cap, stop=offset)
    texts = tuple((name, str(value)) for name, value in echo.items())
    one.request = replace(one.request, contract=ContractSpec(symbol="SPY", exchange=exchange), echo=texts)
    return one


@pytest.mark.parametrize(
    ("terms", "price"),
    [
        ({}, 99.92),  # two cents above the bid of 99.90
        ({"side": "SELL"}, 100.08),  # two cents below the ask of 100.10
        ({"offset": 0.0}, 99.9),
        ({"offset": 0.025}, 99.92),  # to the cent on the passive side
        ({"side": "SELL", "offset": 0.025}, 100.08),
        ({"percentOffset": 0.001}, 99.99),  # a thousandth of 99.90 is 0.0999, more than 0.02; down to the cent
        ({"percentOffset": 0.0001}, 99.92),  # of both the larger
        ({"cap": 99.91}, 99.91),
        ({"side": "SELL", "cap": 100.09}, 100.09),
        ({"cap": 0.0}, 99.92),  # as some clients write no cap
    ],
)
def test_a_relative_order_is_at_the_near_touch_and_its_offset(terms, price):
    assert pegged_price(relative(**terms), QUOTE) == pytest.approx(price)


@pytest.mark.parametrize(
    ("exchange", "side", "was", "price"),
    [
        *[("SMART", "BUY", 100.0, 100.0), ("SMART", "BUY", 99.5, 99.92), ("SMART", "SELL", 100.0, 100.0)],
        *[("IBKRATS", "BUY", 100.0, 99.92), ("IBKRATS", "SELL", 100.0, 100.08)],
    ],
)
def test_through_smart_a_relative_order_never_becomes_more_passive(exchange, side, was, price):
    one = relative(side, exchange=exchange)
    one.working_limit = was
    assert pegged_price(one, QUOTE) == pytest.approx(price)


def test_without_a_near_touch_a_relative_order_stays_where_it_is_or_waits():
    one_sided = Quote(ask=100.1, last=100.0)
    assert math.isnan(pegged_price(relative(), one_sided))
    assert executions_now(relative(cap=101.0), one_sided, auction=False) == []
    placed = relative()
    placed.working_limit = 99.5
    assert pegged_price(placed, one_sided) == 99.5
    assert pegged_price(relative(), Quote(last=100.0)) == pytest.approx(100.02)  # without bid and ask


def test_a_market_to_limit_order_takes_what_is_displayed_and_then_has_a_limit():
    one = order("MTL", quantity=250.0)
    assert [(each.quantity, each.price) for each in executions_now(one, QUOTE, auction=False)] == [(200, 100.1)]
    one.working_limit = 100.1
    assert executions_now(one, Quote(bid=100.0, ask=100.2), auction=False) == []
