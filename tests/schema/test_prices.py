"""Usable prices and ticks."""

import math

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.prices import is_usable, mid_or_last, round_to_tick, tick_sizes, usable_prices

NAN = math.nan
WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def priced(**quote):
    quotes = parse_quotes(
        pd.DataFrame({"symbol": ["A"], "quoted_at": [WHEN]} | {k: [v] for k, v in quote.items()})
    )
    return usable_prices(quotes).loc["A"].tolist()


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (100.0, True),
        (0.0001, True),
        (1e-9, True),
        (0.9e-9, False),
        (999999999.0, True),
        (0.0, False),
        (-5.0, False),
        (-1.0, False),
        (NAN, False),
        (math.inf, False),
        (1.7976931348623157e308, False),
        (2147483647.0, False),
        (9.223372036854776e18, False),
        (1000000000.0, False),
        (5e-324, False),
    ],
)
def test_a_price_is_a_plausible_number_above_zero(value, usable):
    assert is_usable(np.array([value])).tolist() == [usable]


@pytest.mark.parametrize(
    ("bid", "ask", "last", "close", "price"),
    [
        (99.0, 101.0, 50.0, 40.0, 100.0),
        (99.0, 99.0, 50.0, 40.0, 99.0),
        (99.0, NAN, 50.0, 40.0, 50.0),
        (99.0, -1.0, NAN, 40.0, 40.0),
        (101.0, 99.0, 50.0, 40.0, NAN),
        (1.7976931348623157e308, 99.0, 50.0, 40.0, 50.0),
        (NAN, NAN, NAN, NAN, NAN),
    ],
)
def test_the_price_is_the_mid_then_the_last_trade_then_the_close(bid, ask, last, close, price):
    found = mid_or_last(*(np.array([value]) for value in (bid, ask, last, close)))
    assert found[0] == pytest.approx(price, nan_ok=True)


@pytest.mark.parametrize(
    ("quote", "reason", "finding"),
    [
        ({"bid": 101.0, "ask": 99.0}, "quote_crossed", "quote_crossed: bid 101 is above ask 99"),
        ({"bid": 99.0}, "price_unavailable", "quote_one_sided: only bid is known"),
        ({"last": 0.0}, "price_unavailable", "price_zero: last is 0"),
        ({"last": -3.0}, "price_unavailable", "price_negative: last is -3"),
        ({"last": -1.0}, "price_unavailable", "price_unset_sentinel: last is -1, which means unknown"),
        (
            {"bid": 1.7976931348623157e308, "ask": 99.0},
            "price_unavailable",
            "price_unset_sentinel: bid is 1.79769e+308",
        ),
        ({"last": math.inf}, "price_unavailable", "price_unset_sentinel: last is inf"),
        ({"last": -math.inf}, "price_unavailable", "price_not_finite: last is -inf"),
        ({"last": 1e10}, "price_unavailable", "price_out_of_range: last is 1e+10"),
        ({"last": 1e9}, "price_unavailable", "price_out_of_range: last is 1e+09"),
        ({"last": NAN}, "price_unavailable", "price_not_finite: no bid, ask, last or close"),
    ],
)
def test_a_symbol_without_a_price_has_a_reason(quote, reason, finding):
    price, code, detail = priced(**quote)
    assert math.isnan(price)
    assert code == reason
    assert detail.startswith(finding)


def test_a_symbol_with_a_price_has_no_reason():
    assert priced(bid=9.0, ask=11.0) == [10.0, None, None]


def test_tick_sizes_of_us_shares():
    assert tick_sizes([0.9999, 1.0, 0.01, 500]).tolist() == [0.0001, 0.01, 0.0001, 0.01]


@pytest.mark.parametrize(
    ("price", "tick", "buy", "sell"),
    [
        (100.019, 0.01, 100.01, 100.02),
        (100.01, 0.01, 100.01, 100.01),
        (0.1 + 0.2, 0.01, 0.3, 0.3),
        (0.29 * 100, 0.01, 29.0, 29.0),
        (12.34, 0.05, 12.30, 12.35),
        (0.00005, 0.0001, 0.0, 0.0001),
        (1_234_567.891, 0.01, 1_234_567.89, 1_234_567.90),
    ],
)
def test_limits_are_rounded_to_the_passive_side(price, tick, buy, sell):
    assert round_to_tick([price, price], [tick, tick], [True, False]).tolist() == [buy, sell]


@pytest.mark.parametrize(("price", "tick"), [(NAN, 0.01), (1.0, NAN), (math.inf, 0.01), (1.0, 0.0)])
def test_an_invalid_price_or_tick_gives_no_rounded_price(price, tick):
    assert not is_usable(round_to_tick([price], [tick], [True]))[0]
