"""Which contract an instrument means; lots, and prices in units of TWS."""

import math
from types import SimpleNamespace

import pytest

from stocklean_exec.brokers.ib.client import make_contract
from stocklean_exec.brokers.ib.instruments import Instrument, Listing, Refusal, choose


def listed(con_id, primary, currency="GBP", symbol="VOD", **terms):
    found = SimpleNamespace(
        symbol=symbol, conId=con_id, currency=currency, primaryExchange=primary, exchange="SMART", secType="STK"
    )
    return Listing(found, **terms)


LONDON, IRELAND, NEW_YORK = listed(11, "LSE"), listed(12, "ENEXT"), listed(22, "NASDAQ", "USD")


def test_a_number_decides_and_is_all_that_is_asked_for():
    asked = make_contract(*Instrument("VOD", currency="GBP", primary_exchange="LSE", con_id=11))
    assert (asked.conId, asked.exchange) == (11, "SMART")
    assert (asked.symbol, asked.secType, asked.currency, asked.primaryExchange) == ("", "", "", "")
    assert choose(Instrument("VOD", currency="GBP", con_id=11), [LONDON]) is LONDON


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            Instrument("VOD", currency="USD", con_id=11),
            "contract 11 is VOD GBP STK at TWS, and VOD was asked for as VOD USD STK",
        ),
        (
            Instrument("BP", currency="GBP", con_id=11),
            "contract 11 is VOD GBP STK at TWS, and BP was asked for as BP",
        ),
        (Instrument("VOD", "CASH", currency="GBP", con_id=11), "VOD was asked for as VOD GBP CASH"),
        (
            Instrument("VOD", currency="GBP", primary_exchange="NASDAQ", con_id=11),
            "contract 11 is VOD GBP STK LSE at TWS, and VOD was asked for as VOD GBP STK NASDAQ",
        ),
    ],
)
def test_a_number_of_something_else_is_a_mismatch(asked, text):
    refusal = choose(asked, [LONDON])
    assert refusal.reason == "contract_mismatch"
    assert text in refusal.text


@pytest.mark.parametrize("found", [[], [NEW_YORK], Refusal(200, "No security definition has been found")])
def test_a_number_that_tws_does_not_know_is_a_mismatch_that_names_it(found):
    refusal = choose(Instrument("VOD", currency="GBP", con_id=11), found)
    assert refusal.reason == "contract_mismatch"
    assert "contract 11" in refusal.text


def test_silence_says_nothing_of_a_number():
    assert choose(Instrument("VOD", con_id=11), Refusal(0, "no answer")) == Refusal(0, "no answer")


@pytest.mark.parametrize(("primary", "expected"), [("LSE", LONDON), ("ENEXT.BE", IRELAND), ("enext", IRELAND)])
def test_a_primary_exchange_distinguishes_two_listings(primary, expected):
    assert choose(Instrument("VOD", currency="GBP", primary_exchange=primary), [LONDON, IRELAND]) is expected


def test_osaka_keeps_its_full_name_and_is_not_oslo():
    osaka = listed(13, "OSE.JPN", "JPY", "N225")
    assert osaka.primary_exchange == "OSE.JPN"
    assert choose(Instrument("N225", currency="JPY", primary_exchange="ose.jpn"), [osaka]) is osaka
    assert (
        choose(Instrument("N225", currency="JPY", primary_exchange="OSE"), [osaka]).reason == "unknown_instrument"
    )


def test_an_ambiguous_symbol_names_its_candidates():
    refusal = choose(Instrument("VOD", currency="GBP"), [LONDON, IRELAND, NEW_YORK])
    assert refusal.text == "VOD is ambiguous at TWS: LSE 11, ENEXT 12; give con_id or primary_exchange"
    assert refusal.reason == "ambiguous_instrument"


def test_a_symbol_that_is_only_listed_elsewhere_names_where():
    refusal = choose(Instrument("VOD", currency="EUR", primary_exchange="XETRA"), [LONDON, NEW_YORK])
    assert refusal == Refusal(
        200, "TWS knows no STK VOD in EUR listed at XETRA; it has LSE GBP 11, NASDAQ USD 22", "unknown_instrument"
    )
    assert choose(Instrument("VOD"), []).text == "TWS knows no STK VOD in USD"


def test_no_more_than_eight_candidates_are_named():
    many = [listed(number, "LSE") for number in range(1, 11)]
    text = choose(Instrument("VOD", currency="GBP"), many).text
    assert "LSE 8 and 2 more; give con_id" in text
    assert "more" not in choose(Instrument("VOD", currency="GBP"), many[:8]).text


def test_a_price_in_the_unit_of_the_currency_stays_as_it_is():
    for one in (Listing(None), Listing(None, min_tick=0.01)):
        assert one.in_currency(0.123456789012) == 0.123456789012
        assert one.on_wire(0.123456789012, buy=True) == 0.123456789012
    assert Listing(None, magnifier=100.0).in_currency(4293.9999) == 42.939999
    assert Listing(None, magnifier=100.0).on_wire(42.94, buy=True) == 4294.0  # without a known tick


@pytest.mark.parametrize(("increment", "lot"), [(100.0, 100.0), (1.0, math.nan), (0.0001, math.nan)])
def test_orders_are_multiples_of_a_lot_only_above_one_share(increment, lot):
    assert listed(5, "SEHK", size_increment=increment).lot == pytest.approx(lot, nan_ok=True)


@pytest.mark.parametrize(
    ("terms", "quantity", "problem"),
    [
        ({"size_increment": 100.0}, 137.0, "multiples of 100 shares"),
        ({"size_increment": 100.0}, 300.0, ""),
        ({"size_increment": 1.0}, 7.0, ""),
        ({"size_increment": 1.0}, 0.5, "multiples of 1 shares"),
        ({"size_increment": 0.0001, "min_size": 0.0001}, 0.5, ""),
        ({"min_size": 500.0}, 400.0, "at least 500 shares"),
        ({}, 137.0, ""),
    ],
)
def test_an_order_must_fit_the_lots_of_its_contract(terms, quantity, problem):
    found = listed(5, "SEHK", **terms).size_problem(quantity)
    assert problem in found
    assert bool(found) == bool(problem)


@pytest.mark.parametrize(
    ("limit", "tick", "buy", "wire"),
    [
        (53.257, 0.5, True, 5325.5),  # 5,325.7 pence: down to half a penny for a buy
        (53.257, 0.5, False, 5326.0),
        (42.94, 0.01, True, 4294.0),  # 42.94 x 100 is 4293.999999999999 in floating point
        (math.nan, 0.5, True, math.nan),
    ],
)
def test_a_limit_in_pounds_is_sent_in_pence_on_its_tick_and_never_beyond(limit, tick, buy, wire):
    sent = listed(5, "LSE", magnifier=100.0, min_tick=tick).on_wire(limit, buy=buy)
    assert sent == wire or (math.isnan(sent) and math.isnan(wire))


@pytest.mark.parametrize(
    ("price", "terms", "buy", "is_trigger", "wire"),
    [
        (53.257, {"magnifier": 100.0, "min_tick": 0.5}, True, True, 5326.0),  # up: a buy triggers no earlier
        (53.257, {"magnifier": 100.0, "min_tick": 0.5}, False, True, 5325.5),
        (0.05, {"magnifier": 100.0, "min_tick": 0.5}, True, False, 5.0),  # an offset is on no tick
        (0.033, {"magnifier": 2.0}, False, False, 0.066),
        (53.2571234567, {}, True, False, 53.2571234567),
        (math.nan, {"magnifier": 100.0}, True, False, math.nan),
    ],
)
def test_a_trigger_is_sent_on_a_tick_no_earlier_and_an_offset_as_it_is(price, terms, buy, is_trigger, wire):
    sent = listed(5, "LSE", **terms).aux_on_wire(price, buy=buy, is_trigger=is_trigger)
    assert sent == pytest.approx(wire, rel=1e-12, nan_ok=True)


def test_a_contract_has_no_rule_of_price_steps_unless_tws_names_one():
    assert (Listing(None).rule_id, Listing(None).price_steps, Listing(None).steps_in_currency) == (0, (), "")
