import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.fill_model import Quote
from stocklean_exec.simulator.scenarios.quotes import (
    BUILT_IN_CLOSES,
    Market,
    QuoteError,
    as_quote,
    number_in,
    round_to_tick,
    sample_closes,
    sample_history,
    synthetic_quote,
    text_in,
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


def test_a_quote_is_read_from_a_price_a_mapping_or_a_quote():
    quote = as_quote("SPY", {"bid": "399.9", "ask": 400.1, "note": "mine", "last": None, "close": "nan"})
    assert (quote.bid, quote.ask) == (399.9, 400.1)
    assert math.isnan(quote.last)
    assert math.isnan(quote.close)
    assert as_quote("SPY", 400.0).last == 400.0
    assert as_quote("SPY", "400").last == 400.0
    assert as_quote("SPY", quote) is quote


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bid": 400.2, "ask": 400.1}, "SPY is crossed: bid 400.2 above ask 400.1"),
        ({"bid_size": 100}, "SPY has no usable price"),
        ({"last": 0.0}, "SPY has no usable price"),
        (None, "SPY has no usable price"),
        ({"bid": "cheap"}, "SPY: bid is 'cheap', not a price or size"),
        ({"last": -1.0}, "SPY: last is '-1.0', not a price or size"),
        ({"last": math.inf}, "SPY: last is 'inf', not a price or size"),
    ],
)
def test_a_quote_that_cannot_be_is_an_error_that_names_it(given, text):
    with pytest.raises(QuoteError, match=text):
        as_quote("SPY", given)


@pytest.mark.parametrize("value", [None, math.nan, "", "  ", "NaN", "None"])
def test_a_cell_that_marks_a_missing_value_is_empty(value):
    assert text_in(value) == ""
    assert math.isnan(number_in("SPY", "bid", value))


def test_a_number_of_a_cell_may_be_zero():
    assert number_in("SPY", "bid_size", " 0 ") == 0.0
    assert text_in(" SMART ") == "SMART"


@pytest.mark.parametrize(
    ("quote", "price"),
    [
        (Quote(bid=1.0, ask=3.0, last=10.0, close=4.0), 10.0),
        (Quote(bid=1.0, ask=3.0, close=4.0), 2.0),
        (Quote(bid=1.0, close=4.0), 4.0),
        (Quote(bid=1.0), 1.0),
        (Quote(ask=3.0, last=0.0), 3.0),
        (Quote(), 0.0),
    ],
)
def test_the_valuation_price_is_the_first_that_there_is(quote, price):
    assert Market({"SPY": quote}).price_of("SPY") == price


def test_a_trade_changes_the_last_price_alone():
    market = Market({"SPY": Quote(bid=99.9, ask=100.1, last=100.0)})
    market.trade("SPY", 100.05)
    market.trade("NEW", 7.0)
    assert repr(market["SPY"]) == repr(Quote(bid=99.9, ask=100.1, last=100.05))  # NaN is not equal to itself
    assert (market.symbols(), market["NEW"].last) == (["SPY", "NEW"], 7.0)


def test_a_quote_with_one_side_does_not_walk():
    market = Market({"SPY": Quote(bid=99.9, last=100.0)})
    assert market.walk("SPY", seed=1, volatility=0.2, tick=0.01) == market["SPY"]
    assert market["SPY"].bid == 99.9


def test_the_history_ends_with_the_closes():
    history = sample_history()
    for symbol, close in sample_closes().items():
        days = [day for day, _ in history.get(symbol, [("20221229", close)])]
        assert days == sorted(set(days))
        assert all(len(day) == 8 and day.isdigit() for day in days)
        if symbol in history:
            assert history[symbol][-1][1] == close


@pytest.mark.parametrize(
    ("moves", "last"),
    [
        ([], 100.0),
        ([{"last": 105.0}], 105.0),  # a trade, wherever the quotes are
        ([{"bid": 101.0, "ask": 101.2}], 101.0),  # the market has left the last trade: the nearer side
        ([{"bid": 98.0, "ask": 98.2}], 98.2),
        ([{"bid": 99.8, "ask": 100.2}], 100.0),
        ([{"last": 105.0}, {"bid": 99.0}], 100.1),
        ([{"bid": 101.0, "ask": 101.2}, {"bid": 99.0, "ask": 99.2}], 99.2),
    ],
)
def test_the_price_that_trades_now_is_the_last_trade_within_later_quotes(moves, last):
    market = Market({"SPY": Quote(bid=99.9, ask=100.1, last=100.0)})
    for changes in moves:
        market.move("SPY", **changes)
    assert market.last_price("SPY") == last


def test_without_a_trade_there_is_no_such_price():
    market = Market({"SPY": Quote(bid=99.9, ask=100.1)})
    market.move("SPY", bid=99.8)
    assert math.isnan(market.last_price("SPY"))
    assert math.isnan(market.last_price("XOM"))
    market.trade("SPY", 100.0)
    assert (market.last_price("SPY"), market["SPY"].last) == (100.0, 100.0)
