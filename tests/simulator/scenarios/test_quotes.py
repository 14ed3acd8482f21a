import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.scenarios.quotes import (
    BUILT_IN_CLOSES,
    Market,
    round_to_tick,
    sample_closes,
    synthetic_quote,
)


def test_the_sample_symbols_have_prices():
    closes = sample_closes()
    assert closes["SPY"] > 0
    assert set(closes) >= {"AAPL", "MSFT", "XOM"}
    assert all(round(close, 2) == close for close in BUILT_IN_CLOSES.values())


@pytest.mark.slow
@given(st.sampled_from(["A", "SPY", "BRK.B"]), st.floats(0.5, 5_000), st.integers(0, 1_000))
def test_a_synthetic_quote_is_two_sided_on_the_tick_and_determined_by_its_seed(symbol, close, seed):
    quote = synthetic_quote(symbol, close, seed)
    assert 0 < quote.bid < quote.last < quote.ask
    # Twice 4 bps, each half rounded to the tick, and at least a tick on either side of the middle.
    assert quote.ask - quote.bid <= max(0.0008 * max(close, quote.last) + 0.0101, 0.0201)
    assert all(abs(price * 100 - round(price * 100)) < 1e-6 for price in (quote.bid, quote.ask))
    assert quote.bid_size >= 100
    assert quote == synthetic_quote(symbol, close, seed)


def test_other_seeds_give_other_quotes():
    assert len({synthetic_quote("SPY", 400.0, seed) for seed in range(20)}) > 10


def test_a_move_changes_only_the_given_fields():
    market = Market({"SPY": Quote(bid=99.9, ask=100.1, bid_size=300.0)})
    assert market.move("SPY", ask=100.0).bid == 99.9
    assert market["SPY"].ask == 100.0
    assert math.isnan(market["NONE"].bid)


def test_prices_are_rounded_to_whole_ticks():
    assert round_to_tick(10.016, 0.01) == 10.02
    assert round_to_tick(0.12345, 0.0001) == 0.1235 or round_to_tick(0.12345, 0.0001) == 0.1234


def test_a_walk_keeps_the_spread_and_stays_above_zero():
    market = Market({"SPY": Quote(bid=0.10, ask=0.12)})
    for _ in range(300):
        quote = market.walk("SPY", seed=1, volatility=0.2, tick=0.01)
        assert quote.bid >= 0
        assert round(quote.ask - quote.bid, 6) == 0.02
