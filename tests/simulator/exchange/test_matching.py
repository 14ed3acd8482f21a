import math

import pytest

from stocklean_exec.fill_model import Quote, match
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.matching import at_auction, executions_now
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
