"""Rules over whole tables of orders; single rejections are in test_order_entry."""

import math
from dataclasses import replace

import pytest

from stocklean_exec.simulator.exchange import order_validation
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.simulator.scenarios.options import Switches

NAN = math.nan


def order(kind="MKT", tif="DAY", limit=NAN, stop=NAN, **more):
    return OrderRequest(1, ContractSpec(symbol="SPY"), "BUY", 10, kind, limit, stop, tif, **more)


@pytest.mark.parametrize("kind", sorted(order_validation.ORDER_TYPES))
def test_every_order_type_has_an_accepted_form(kind):
    limit = 400.0 if kind in order_validation.LIMITED else NAN
    assert order_validation.check_form(order(kind, limit=limit, stop=399.0), Switches()) is None


@pytest.mark.parametrize("kind", sorted(order_validation.OTHER_TYPES))
def test_unsupported_order_types_and_unknown_words_get_different_codes(kind):
    assert order_validation.check_form(order(kind), Switches()).code == 387


@pytest.mark.parametrize("tif", sorted(order_validation.TIFS))
def test_every_time_in_force_has_an_accepted_form(tif):
    assert order_validation.check_form(order(tif=tif, good_till="20991231 10:00:00 UTC"), Switches()) is None


def test_only_prices_that_apply_must_be_on_the_tick():
    contract = make_contract("SPY")
    assert order_validation.check_terms(order("MKT", limit=10.005), contract) is None
    assert order_validation.check_terms(order("LMT", limit=10.005, stop=0.001), contract).code == 110
    assert order_validation.check_terms(order("LMT", limit=10.01, stop=0.001), contract) is None
    assert order_validation.check_terms(order("MIDPRICE", limit=0.0), contract) is None


def test_algorithms_need_a_known_name_and_a_market_or_limit_order():
    assert order_validation.check_form(order(algo="Adaptive"), Switches()) is None
    assert order_validation.check_form(order(algo="Guess"), Switches()).code == 400
    assert order_validation.check_form(order("MOC", algo="Adaptive"), Switches()).code == 400


def test_a_modification_may_change_price_and_size_but_not_below_the_filled_quantity():
    old = order("LMT", limit=400.0)
    assert order_validation.check_modification(old, order("LMT", limit=401.0), filled=5) is None
    assert order_validation.check_modification(old, order("MKT"), filled=5) is None
    assert order_validation.check_modification(old, order("LMT", limit=400.0, order_ref="x"), filled=0).code == 105
    assert order_validation.check_modification(old, order("MOC"), filled=0).code == 329
    assert order_validation.check_modification(old, order("LMT", limit=400.0), filled=11).code == 105


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
