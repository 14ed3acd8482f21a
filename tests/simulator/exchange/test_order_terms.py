import pytest

from stocklean_exec.simulator.exchange import order_terms
from stocklean_exec.simulator.exchange.contracts import listed_contract, make_contract
from stocklean_exec.simulator.exchange.currency_pairs import pair_listings
from stocklean_exec.simulator.exchange.rates import Rates
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec

PRICES = {"limit": "401.00", "stop": "399.00"}
# Captured: the permitted types of AAPL on SMART, at a paper gateway in April 2026.
CAPTURED = (
    "ACTIVETIM AD ADDONT ADJUST ALERT ALGO ALLOC AON AVGCOST BASKET BENCHPX CASHQTY COND CONDORDER "
    "DARKONLY DARKPOLL DAY DEACT DEACTDIS DEACTEOD DIS DUR GAT GTC GTD GTT HID IBKRATS ICE IMB IOC LIT "
    "LMT LOC MIDPX MIT MKT MOC MTL NGCOMB NODARK NONALGO OCA OPG OPGREROUT PEGBENCH PEGMID POSTATS "
    "POSTONLY PREOPGRTH PRICECHK REL REL2MID RELPCTOFS RPI RTH SCALE SCALEODD SCALERST SIZECHK SNAPMID "
    "SNAPMKT SNAPREL STP STPLMT SWEEP TRAIL TRAILLIT TRAILLMT TRAILMIT WHATIF"
)


def tokens(contract):
    return set(order_terms.permitted_tokens(contract).split(","))


def pair():
    (listing,) = pair_listings(Rates("USD", {"EUR": 1.1}), ["EUR", "USD"], [])
    return listed_contract(listing)


def test_the_tokens_of_a_us_stock_are_captured_ones():
    # SMARTSTG is in the permitted types of another capture.
    assert tokens(make_contract("SPY")) - {"SMARTSTG"} <= set(CAPTURED.split())


@pytest.mark.parametrize("kind", sorted(order_terms.ORDER_TYPES))
def test_each_type_is_permitted_exactly_where_the_venue_accepts_it(connect, kind):
    quotes = {"SPY": {"bid": 399.9, "ask": 400.1, "last": 400.0}, "VOD": {"last": 400.0, "currency": "GBP"}}
    peer = connect(quotes=quotes)
    for number, (symbol, currency) in enumerate((("SPY", "USD"), ("VOD", "GBP")), start=1):
        contract = peer.venue.catalogue.by_key(symbol)
        seen = peer.place(number, symbol, order_type=kind, currency=currency, limit_offset="0.1", **PRICES)
        is_refused = "387" in [fields[3] for fields in seen if fields[0] == "4"]
        assert is_refused is (order_terms.TOKENS[kind] not in tokens(contract))
        assert is_refused is (kind == "MIDPRICE" and currency == "GBP")


@pytest.mark.parametrize("kind", sorted(order_terms.OTHER_TYPES))
def test_types_that_the_venue_does_not_take_are_not_permitted(kind):
    assert kind.replace(" ", "") not in tokens(make_contract("SPY"))


@pytest.mark.parametrize("tif", sorted(order_terms.TIFS - {"FOK"}))
def test_times_in_force_are_tokens(tif):
    assert tif in tokens(make_contract("SPY"))


def test_fill_or_kill_is_accepted_but_not_permitted_as_captured():
    assert "FOK" in order_terms.TIFS
    assert "FOK" not in tokens(make_contract("SPY"))


def test_currencies_have_no_auction_no_algorithm_and_nothing_to_peg_to():
    missing = {"MOC", "LOC", "OPG", "ALGO", "AD", "MIDPX", "REL", "RELPCTOFS", "MTL"}
    assert tokens(make_contract("SPY")) - tokens(pair()) == missing


def test_what_is_pegged_to_the_market_is_not_permitted_at_one_exchange(connect, kinds):
    spy = make_contract("SPY")
    directed = set(order_terms.permitted_tokens(spy, "NYSE").split(","))
    assert tokens(spy) - directed == {"MIDPX", "REL", "RELPCTOFS"}
    peer = connect()
    assert kinds(peer.place(1, order_type="MIDPRICE", exchange="NYSE")) == ["err 387"]
    assert kinds(peer.place(1, order_type="REL", stop="0", exchange="NYSE")) == ["err 115"]


def test_contract_details_have_the_permitted_types(connect):
    peer = connect()
    seen = peer.send("9", "8", "5", "0", "SPY", "STK", "", "", "", "", "SMART", "", "USD", "", "", "0", "", "", "")
    (details,) = [fields for fields in seen if fields[0] == "10"]
    assert order_terms.permitted_tokens(make_contract("SPY")) in details


@pytest.mark.parametrize(
    ("kind", "tif", "expected"),
    [
        ("MOC", "DAY", True),
        ("LOC", "DAY", True),
        ("MKT", "OPG", True),
        ("LMT", "OPG", True),
        ("MKT", "DAY", False),
    ],
)
def test_orders_for_an_auction(kind, tif, expected):
    nan = float("nan")
    request = OrderRequest(1, ContractSpec(symbol="SPY"), "BUY", 10, kind, nan, nan, tif)
    assert order_terms.is_for_auction(request) is expected
