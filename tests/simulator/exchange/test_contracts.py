from dataclasses import replace

import pytest

from stocklean_exec.simulator.exchange.contracts import (
    Catalogue,
    contract_id,
    listed_contract,
    make_contract,
    market_rule,
    on_tick,
    tick_at,
)
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.simulator.scenarios.listings import read_listings

ROWS = [
    {"symbol": "ABC", "last": 10.0, "primary_exchange": "NASDAQ"},
    {"symbol": "ABC", "last": 805.0, "currency": "GBP", "primary_exchange": "LSE", "price_magnifier": 100},
    {"symbol": "ABC", "last": 11.0, "currency": "USD", "primary_exchange": "LSEETF", "con_id": 7},
]


def test_captured_ids_are_the_real_ones():
    # Read off captured frames.
    assert [contract_id(symbol) for symbol in ("AAPL", "TSLA", "AMZN")] == [265598, 76792991, 3691937]


def test_generated_ids_differ_and_fit_an_integer():
    ids = {contract_id(f"S{number}") for number in range(500)}
    assert len(ids) == 500
    assert max(ids) < 1 << 31


@pytest.mark.parametrize(
    ("price", "tick", "fits"),
    [
        (10.01, 0.01, True),
        (10.005, 0.01, False),
        (0.1 + 0.2, 0.01, True),
        (99_999.99, 0.01, True),
        (99_999.995, 0.01, False),
        (0.1234, 0.0001, True),
        (float("inf"), 0.01, False),
    ],
)
def test_prices_on_and_between_ticks(price, tick, fits):
    assert on_tick(price, tick) is fits


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (ContractSpec(symbol="SPY"), True),
        (ContractSpec(symbol="spy", sec_type="STK", exchange="SMART", currency="USD"), True),
        (ContractSpec(symbol="SPY", primary_exchange="NYSE"), True),
        (ContractSpec(symbol="SPY", exchange="ISLAND"), True),
        (ContractSpec(local_symbol="SPY"), True),
        (ContractSpec(con_id=contract_id("SPY")), True),
        (ContractSpec(con_id=contract_id("SPY"), symbol="QQQ"), False),
        (ContractSpec(con_id=1), False),
        (ContractSpec(symbol="SPY", sec_type="FUT"), False),
        (ContractSpec(symbol="SPY", currency="EUR"), False),
        (ContractSpec(symbol="SPY", exchange="LSE"), False),
        (ContractSpec(), False),
    ],
)
def test_a_contract_is_found_by_its_description(spec, found):
    assert bool(Catalogue([make_contract("SPY")]).find(spec)) is found


def test_matching_symbols_come_shortest_first():
    catalogue = Catalogue([make_contract(symbol) for symbol in ("SPYG", "SPY", "XSPY")])
    assert [one.symbol for one in catalogue.matching("spy")] == ["SPY", "SPYG", "XSPY"]
    assert catalogue.matching("  ") == []


def test_the_market_rule_follows_from_the_tick():
    assert make_contract("SPY").market_rule == 26
    assert make_contract("PENNY", min_tick=0.0001).market_rule == 635


def listed(rows):
    return Catalogue(listed_contract(one) for one in read_listings(rows))


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (ContractSpec(symbol="ABC"), ["ABC", "ABC@LSE.GBP", "ABC@LSEETF.USD"]),
        (ContractSpec(symbol="ABC", exchange="SMART", currency="USD"), ["ABC", "ABC@LSEETF.USD"]),
        (ContractSpec(symbol="ABC", currency="GBP"), ["ABC@LSE.GBP"]),
        (ContractSpec(symbol="ABC", primary_exchange="NASDAQ"), ["ABC"]),
        (ContractSpec(symbol="ABC", primary_exchange="ISLAND"), ["ABC"]),
        (ContractSpec(symbol="ABC", primary_exchange="LSEETF"), ["ABC@LSEETF.USD"]),
        (ContractSpec(symbol="ABC", exchange="LSE"), ["ABC@LSE.GBP"]),
        (ContractSpec(con_id=7, exchange="SMART"), ["ABC@LSEETF.USD"]),
        (ContractSpec(con_id=7, symbol="ABC", primary_exchange="LSE"), []),
        (ContractSpec(con_id=7, symbol="XYZ"), []),
        (ContractSpec(con_id=7, currency="GBP"), []),
    ],
)
def test_currency_exchange_or_id_decide_which_listing_is_meant(spec, found):
    assert [one.key for one in listed(ROWS).find(spec)] == found


def test_a_primary_exchange_with_a_period_is_the_part_before_it():
    # As documented for ENEXT.BE.
    catalogue = listed([{"symbol": "XYZ", "last": 50.0, "currency": "EUR", "primary_exchange": "ENEXT.BE"}])
    assert len(catalogue.find(ContractSpec(symbol="XYZ", primary_exchange="ENEXT"))) == 1


def test_listings_of_one_symbol_have_ids_of_their_own_and_the_first_keeps_that_of_the_symbol():
    assert listed(ROWS).by_key("ABC").con_id == contract_id("ABC")
    assert len(listed(ROWS).by_id) == 3


def test_a_listing_has_the_exchanges_of_its_currency():
    (tokyo,) = listed(
        [{"symbol": "7203", "last": 2000.0, "currency": "JPY", "size_increment": 100}]
    ).by_id.values()
    assert (tokyo.primary_exchange, tokyo.valid_exchanges) == ("TSEJ", "SMART,TSEJ")
    assert (tokyo.min_size, tokyo.size_increment, tokyo.suggested_size) == (100, 100, 100)


def test_money_is_the_quote_divided_by_the_magnifier():
    london = listed(ROWS).by_key("ABC@LSE.GBP")
    assert london.money(805.5) == 8.055  # pence to pounds
    assert make_contract("SPY").money(400.1) == 400.1


@pytest.mark.parametrize("tick", [1.0, 0.5, 0.05, 0.01, 0.0001])
def test_each_tick_has_a_rule(tick):
    assert market_rule(make_contract("ABC", min_tick=tick).market_rule)[-1][1] == max(
        tick, 0.01 if tick == 0.0001 else 0
    )


LADDER = ((0.0, 0.001), (1.0, 0.005), (10.0, 0.01))


def test_a_contract_with_price_steps_has_a_rule_of_its_own():
    (row,) = read_listings({"ABC": {"last": 5.0, "price_steps": "0:0.001;1:0.005;10:0.01"}})
    contract = listed_contract(row)
    assert contract.min_tick == 0.001
    assert Catalogue([contract]).rule(contract.market_rule) == LADDER
    assert Catalogue([]).rule(contract.market_rule) == ()
    assert Catalogue([]).rule(26) == ((0.0, 0.01),)
    assert contract.market_rule < 2**31


@pytest.mark.parametrize(
    ("price", "step"), [(0.5, 0.001), (0.999, 0.001), (1.0, 0.005), (9.995, 0.005), (10.0, 0.01), (500.0, 0.01)]
)
def test_the_step_of_a_price_is_that_of_its_level(price, step):
    assert tick_at(replace(make_contract("ABC"), price_steps=LADDER), price) == step
