import pytest

from stocklean_exec.simulator.exchange.contracts import Catalogue, contract_id, make_contract, on_tick
from stocklean_exec.simulator.protocol.requests import ContractSpec


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
