"""Rules over whole tables of orders; single rejections are in test_order_entry."""

import math
from dataclasses import replace

import pytest

from stocklean_exec.simulator.exchange import order_terms, order_validation
from stocklean_exec.simulator.exchange.contracts import listed_contract, make_contract
from stocklean_exec.simulator.exchange.currency_pairs import pair_listings
from stocklean_exec.simulator.exchange.rates import Rates
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.simulator.scenarios.options import Switches

NAN = math.nan


def order(kind="MKT", tif="DAY", limit=NAN, stop=NAN, **more):
    return OrderRequest(1, ContractSpec(symbol="SPY"), "BUY", 10, kind, limit, stop, tif, **more)


@pytest.mark.parametrize("kind", sorted(order_terms.ORDER_TYPES))
def test_every_order_type_has_an_accepted_form(kind):
    limit = 400.0 if kind in order_terms.LIMITED else NAN
    echo = (("lmtPriceOffset", "0.1"),) if kind == "TRAIL LIMIT" else ()
    assert order_validation.check_form(order(kind, limit=limit, stop=399.0, echo=echo), Switches()) is None


@pytest.mark.parametrize("kind", sorted(order_terms.OTHER_TYPES))
def test_unsupported_order_types_and_unknown_words_get_different_codes(kind):
    assert order_validation.check_form(order(kind), Switches()).code == 387


@pytest.mark.parametrize("tif", sorted(order_terms.TIFS))
def test_every_time_in_force_has_an_accepted_form(tif):
    assert order_validation.check_form(order(tif=tif, good_till="20991231 10:00:00 UTC"), Switches()) is None


def test_only_prices_that_apply_must_be_on_the_tick():
    contract = make_contract("SPY")
    assert order_validation.check_terms(order("MKT", limit=10.005), contract) is None
    assert order_validation.check_terms(order("LMT", limit=10.005, stop=0.001), contract).code == 110
    assert order_validation.check_terms(order("LMT", limit=10.01, stop=0.001), contract) is None
    assert order_validation.check_terms(order("MIDPRICE", limit=0.0), contract) is None


def test_a_modification_may_change_price_and_size_but_not_below_the_filled_quantity():
    old = order("LMT", limit=400.0)
    assert order_validation.check_modification(old, order("LMT", limit=401.0), filled=5) is None
    assert order_validation.check_modification(old, order("MKT"), filled=5) is None
    assert order_validation.check_modification(old, order("LMT", limit=400.0, order_ref="x"), filled=0).code == 105
    assert order_validation.check_modification(old, order("MOC"), filled=0).code == 329
    assert order_validation.check_modification(old, order("LMT", limit=400.0), filled=11).code == 105
    assert order_validation.check_modification(old, order("LMT", limit=400.0, tif="IOC"), filled=0) is None
    assert order_validation.check_modification(old, order("LMT", limit=400.0, tif="OPG"), filled=0).code == 105


@pytest.mark.parametrize(
    ("algo", "params", "code"),
    [
        ("Vwap", (("maxPctVol", "0.1"),), None),
        ("Vwap", (("maxPctVol", "0.2"),), 440),
        ("Twap", (), 440),
        ("", (), 440),
    ],
)
def test_an_algorithm_cannot_be_modified(algo, params, code):
    old = order(algo="Vwap", algo_params=(("maxPctVol", "0.1"),))
    new = replace(old, quantity=20, algo=algo, algo_params=params)
    refusal = order_validation.check_modification(old, new, filled=0)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(("old", "new"), [("TRAIL", "LMT"), ("LMT", "REL"), ("MIT", "LIT"), ("MOC", "LOC")])
def test_only_plain_types_can_become_another(old, new):
    prices = {"limit": 400.0, "stop": 399.0}
    assert order_validation.check_modification(order(old, **prices), order(new, **prices), 0).code == 329
    assert order_validation.check_modification(order(old, **prices), order(old, **prices), 0) is None


@pytest.mark.parametrize(("quantity", "code"), [(100, None), (300, None), (150, 321), (50, 321), (200.5, 321)])
def test_sizes_are_whole_lots(quantity, code):
    contract = replace(make_contract("7203", currency="JPY"), min_size=100, size_increment=100)
    refusal = order_validation.check_terms(replace(order("MKT"), quantity=quantity), contract)
    assert (refusal and refusal.code) == code


def test_a_size_below_the_smallest_is_refused():
    contract = replace(make_contract("0005", currency="HKD"), min_size=400, size_increment=1)
    refusals = [
        order_validation.check_terms(replace(order("MKT"), quantity=size), contract) for size in (399, 401)
    ]
    assert [refusal and refusal.code for refusal in refusals] == [321, None]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_id": 0}, 106),
        ({"order_id": -5}, 106),
        ({"action": "HOLD"}, 321),
        ({"action": "SSHORT"}, None),
        ({"order_type": "FEELINGS"}, 321),
        ({"quantity": 0}, 434),
        ({"quantity": NAN}, 434),
        ({"quantity": -1}, 321),
        ({"quantity": 1e12}, None),
        ({"quantity": 1.1e12}, 321),
        ({"cash_quantity": 100.0}, 10244),
        ({"tif": ""}, None),  # is DAY
        ({"tif": "SOON"}, 321),
        ({"order_type": "MOC", "tif": "GTC"}, 113),
        ({"order_type": "LOC", "tif": "IOC", "limit_price": 1.0}, 113),
        ({"order_type": "STP", "tif": "OPG", "aux_price": 1.0}, 111),
        ({"tif": "GTD", "good_till": "some day"}, 334),
        ({"tif": "GTD"}, 334),
        ({"good_after": "some day"}, 337),
        ({"good_after": "20991231 10:00:00 UTC"}, None),
        ({"order_type": "LMT"}, 321),
        ({"order_type": "LMT", "limit_price": 0.0}, 321),
        ({"order_type": "STP LMT", "limit_price": -1.0, "aux_price": 1.0}, 321),
        ({"order_type": "STP LMT", "limit_price": 1.0}, 403),
        ({"order_type": "STP", "aux_price": 0.0}, 403),
        ({"order_type": "STP", "aux_price": 1e12}, 403),
        ({"order_type": "MIT"}, 403),
        ({"order_type": "LIT", "aux_price": 1.0}, 321),
        ({"order_type": "STP", "aux_price": 1.0, "echo": (("triggerMethod", "8"),)}, None),
        ({"order_type": "STP", "aux_price": 1.0, "echo": (("triggerMethod", "5"),)}, 146),
        ({"order_type": "MKT", "echo": (("triggerMethod", "5"),)}, None),  # nothing to trigger
        ({"tif": "GTD", "good_till": "20991231 25:00:00"}, 391),
        ({"tif": "GTD", "good_till": "20991231 10:00:00 Mars/Base"}, 391),
        ({"tif": "GTD", "good_till": "20991399 10:00:00"}, 334),
        ({"good_after": "20991231 25:00:00"}, 391),
        ({"order_type": "REL"}, 158),
        ({"order_type": "REL", "aux_price": 0.0}, None),  # IB: an offset of zero is to be sent as 0
        ({"order_type": "REL", "aux_price": -0.01}, 321),
        ({"order_type": "REL", "echo": (("percentOffset", "0.01"),)}, None),
        ({"order_type": "REL", "echo": (("percentOffset", "1.5"),)}, 159),
        ({"order_type": "TRAIL"}, 321),
        ({"order_type": "TRAIL", "aux_price": 0.0}, 321),
        ({"order_type": "TRAIL", "aux_price": 0.0, "echo": (("trailingPercent", "1.5"),)}, None),
        ({"order_type": "TRAIL", "aux_price": 2.0, "echo": (("trailingPercent", "1.5"),)}, 321),
        ({"order_type": "TRAIL", "echo": (("trailingPercent", "100"),)}, 321),
        ({"order_type": "TRAIL", "aux_price": 2.0, "echo": (("trailStopPrice", "-1"),)}, 403),
        ({"order_type": "TRAIL LIMIT", "aux_price": 2.0}, 321),
        ({"order_type": "TRAIL LIMIT", "aux_price": 2.0, "echo": (("lmtPriceOffset", "0.1"),)}, None),
        (
            {"order_type": "TRAIL LIMIT", "aux_price": 2.0, "limit_price": 397.9}
            | {"echo": (("trailStopPrice", "398.0"),)},
            None,
        ),
        ({"order_type": "REL", "aux_price": 0.0, "tif": "OPG"}, 111),
        ({"algo": "Vwap", "tif": "OPG"}, 111),
    ],
)
def test_each_term_that_tws_refuses_has_its_code(changes, code):
    refusal = order_validation.check_form(replace(order(), **changes), Switches())
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_type": "MIDPRICE", "tif": "GTC"}, 111),
        ({"order_type": "MIDPRICE"}, None),
        ({"algo": "Adaptive", "tif": "GTC"}, 111),
        ({"tif": "IOC"}, 111),
        ({"order_type": "STP", "aux_price": 1.0, "tif": "GTC"}, None),
        ({"order_type": "STP", "aux_price": 1.0, "tif": "IOC"}, 111),
        *(({"order_type": "LMT", "limit_price": 1.0, "tif": tif}, None) for tif in ("GTC", "IOC", "FOK", "OPG")),
    ],
)
def test_times_in_force_that_were_never_seen_accepted_can_be_refused(changes, code):
    request = replace(order(), **changes)
    assert order_validation.check_form(request, Switches()) is None
    refusal = order_validation.check_form(request, Switches(uncertain_tifs="refused"))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("changes", "is_ignored"),
    [
        ({"order_type": "MOC"}, True),
        ({"order_type": "LOC", "limit_price": 1.0}, True),
        *(({"tif": tif}, True) for tif in ("OPG", "IOC", "FOK")),
        ({"order_type": "LMT", "limit_price": 1.0}, False),
        ({}, False),
    ],
)
def test_trading_outside_of_the_session_can_be_refused_where_it_is_impossible(changes, is_ignored):
    request = replace(order(outside_rth=True), **changes)
    assert order_validation.ignores_outside_rth(request) is is_ignored
    refusal = order_validation.check_form(request, Switches(outside_rth="refused"))
    assert (refusal and refusal.code) == (411 if is_ignored else None)


@pytest.mark.parametrize(
    ("kind", "exchange", "currency", "code"),
    [
        ("MIDPRICE", "SMART", "USD", None),
        ("MIDPRICE", "SMART", "GBP", 387),  # pegged to the national best bid and offer of the US
        ("REL", "SMART", "USD", None),
        ("REL", "", "USD", None),
        ("REL", "IBKRATS", "USD", None),
        ("REL", "NYSE", "USD", 115),
        ("REL", "LSE", "GBP", None),
    ],
)
def test_orders_pegged_to_the_market_depend_on_it(kind, exchange, currency, code):
    contract = make_contract("ABC", currency=currency)
    request = replace(order(kind, stop=0.01), contract=ContractSpec(symbol="ABC", exchange=exchange))
    refusal = order_validation.check_terms(request, contract)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("kind", "prices", "code"),
    [
        ("LMT", {"limit_price": 0.9999}, None),
        ("LMT", {"limit_price": 1.0001}, 110),
        ("LMT", {"limit_price": 1.01}, None),
        ("REL", {"limit_price": 1.0001, "aux_price": 0.0003}, 110),
        ("REL", {"limit_price": 1.01, "aux_price": 0.0003}, None),  # an offset is no price
        ("STP", {"aux_price": 1.0001}, 110),
        ("MIT", {"aux_price": 1.0001}, 110),
        ("TRAIL", {"aux_price": 0.0003, "echo": (("trailStopPrice", "1.0001"),)}, 110),
        ("TRAIL", {"aux_price": 0.0003, "echo": (("trailStopPrice", "1.01"),)}, None),
    ],
)
def test_prices_are_on_the_step_of_their_level(kind, prices, code):
    penny = make_contract("ABC", min_tick=0.0001)  # 0.0001 below a dollar, 0.01 from there on
    refusal = order_validation.check_terms(replace(order(kind), **prices), penny)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("kind", "fractional", "code"),
    [("MKT", True, None), ("LMT", True, None), ("MOC", True, 10318), ("MKT", False, 10243)],
)
def test_parts_of_a_share_need_permission_and_a_market_or_limit_order(kind, fractional, code):
    request = replace(order(kind, limit=400.0), quantity=0.5)
    refusal = order_validation.check_form(request, Switches(fractional=fractional))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("kind", "code"),
    [("MKT", None), ("LMT", None), ("MOC", 387), ("MIDPRICE", 387), ("MTL", 387), ("REL", 114), ("MIT", None)],
)
def test_currencies_have_no_auction_and_no_middle_to_peg_to(kind, code):
    (listing,) = pair_listings(Rates("USD", {"EUR": 1.1}), ["EUR", "USD"], [])
    pair = listed_contract(listing)
    assert (pair.is_pair, pair.symbol, pair.currency) == (True, "EUR", "USD")
    refusal = order_validation.check_terms(replace(order(kind, limit=1.1), quantity=20_000), pair)
    assert (refusal and refusal.code) == code
    opening = replace(order("MKT", tif="OPG"), quantity=20_000)
    assert order_validation.check_terms(opening, pair).code == 387


def test_a_description_fits_none_or_several_contracts():
    spec = ContractSpec(symbol="SPY")
    assert order_validation.no_single_contract(spec, []) == "No security definition has been found for the request"
    found = [make_contract("SPY"), make_contract("SPY", currency="EUR")]
    assert "SPY is ambiguous" in order_validation.no_single_contract(spec, found)
