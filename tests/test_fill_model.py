"""The fill rule: what a market does with an order."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.fill_model import (
    MAX_EXECUTIONS,
    Execution,
    Quote,
    far_touch,
    is_marketable,
    match,
    split,
    unit_interval,
)

NAN = math.nan
TWO_SIDED = Quote(bid=99.9, ask=100.1, last=50.0, close=40.0, bid_size=200, ask_size=300)


def test_a_market_order_trades_at_the_far_touch():
    assert far_touch("BUY", TWO_SIDED) == (100.1, 300)
    assert far_touch("SELL", TWO_SIDED) == (99.9, 200)


def test_an_unknown_size_counts_as_unlimited():
    assert far_touch("BUY", Quote(bid=99.9, ask=100.1)) == (100.1, math.inf)
    assert far_touch("BUY", Quote(bid=99.9, ask=100.1, ask_size=0)) == (100.1, math.inf)


def test_without_bid_and_ask_the_last_trade_counts_then_the_close():
    assert far_touch("BUY", Quote(last=50.0, close=40.0)) == (50.0, math.inf)
    assert far_touch("BUY", Quote(last=0.0, close=40.0)) == (40.0, math.inf)


def test_a_buy_has_no_far_touch_in_a_market_with_only_a_bid():
    assert far_touch("BUY", Quote(bid=99.9, last=50.0)) is None
    assert far_touch("SELL", Quote(bid=99.9, last=50.0)) == (99.9, math.inf)


@pytest.mark.parametrize("price", [NAN, 0.0, -1.0, math.inf, 1.7976931348623157e308, 2147483647.0, 9.2e18])
def test_an_invalid_price_fills_nothing(price):
    assert far_touch("BUY", Quote(bid=price, ask=price, last=price, close=price)) is None
    assert match("BUY", 10, NAN, Quote(ask=price)) == []


@pytest.mark.parametrize(
    ("side", "limit", "marketable"),
    [
        ("BUY", 100.0, True),
        ("BUY", 99.99, False),
        ("SELL", 100.0, True),
        ("SELL", 100.01, False),
        ("BUY", NAN, True),
    ],
)
def test_a_limit_order_may_trade_at_its_limit_or_better(side, limit, marketable):
    assert is_marketable(side, limit, 100.0) is marketable


def test_an_order_larger_than_the_size_shown_fills_in_several_executions():
    assert match("SELL", 450, 99.0, TWO_SIDED) == [
        Execution(200.0, 99.9),
        Execution(200.0, 99.9),
        Execution(50.0, 99.9),
    ]


def test_a_limit_that_the_touch_does_not_satisfy_rests():
    assert match("BUY", 100, 100.0, TWO_SIDED) == []


def test_an_order_is_cut_into_twenty_executions_at_most():
    assert split(1_000, 1) == [50.0] * 20


def test_whole_orders_fill_in_whole_shares_whatever_the_size_shown():
    assert split(100, 33.5) == [33.0, 33.0, 33.0, 1.0]
    assert split(1.5, 0.3) == [1.0, 0.5]
    assert split(0.5, 0.3) == [0.5]


@pytest.mark.slow
@given(st.integers(1, 10**9).map(lambda ticks: ticks / 10_000), st.floats(0.01, 1e6))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_executions_add_up_to_the_order(quantity, size):
    parts = split(quantity, size)
    assert math.fsum(parts) == (quantity if quantity == int(quantity) else pytest.approx(quantity, rel=1e-12))
    assert all(part > 0 for part in parts)
    assert len(parts) <= MAX_EXECUTIONS
    assert all(part == int(part) for part in parts[:-1])


def test_a_random_draw_depends_only_on_its_names_and_is_uniform():
    draws = [unit_interval(7, "order", number) for number in range(2_000)]
    assert draws == [unit_interval(7, "order", number) for number in range(2_000)]
    assert all(0 <= draw < 1 for draw in draws)
    # The mean of 2,000 uniform numbers has a standard deviation of 0.0065.
    assert abs(sum(draws) / 2_000 - 0.5) < 0.03
    assert unit_interval(7, "a", "b") != unit_interval(8, "a", "b")
