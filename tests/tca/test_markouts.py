from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.markouts import markouts, reversion

NAN = math.nan
AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")  # 10:00 in New York


def at(*seconds):
    return [AT + pd.Timedelta(seconds=value) for value in seconds]


# Mid of A: 100 at 0 s, 101 at 10 s, 102 at 60 s, then nothing. Mid of B: 50 at 0 s, 49 at 30 s.
QUOTES = pd.DataFrame(
    {
        "symbol": ["A", "A", "A", "B", "B"],
        "quoted_at": at(0, 10, 60, 0, 30),
        "bid": [99.0, 100.0, 101.0, 49.5, 48.5],
        "ask": [101.0, 102.0, 103.0, 50.5, 49.5],
    }
)
FILLS_ = pd.DataFrame(
    {
        "symbol": ["A", "A", "B"],
        "side": ["BUY", "BUY", "SELL"],
        "quantity": [10.0, 30.0, 20.0],
        "price": [101.0, 101.0, 49.5],
        "filled_at": at(0, 5, 0),
        "exchange": ["X", "Y", "X"],
    }
)


def test_markouts_are_positive_when_the_price_moved_in_our_favour():
    table = markouts(FILLS_.iloc[[0]], QUOTES, horizons=[0, 10, 60])
    # bought at 101: mid 100, 101, 102 are -1, 0 and 1 of 101
    np.testing.assert_allclose(table["markout_bps"], [-1 / 101 * 1e4, 0, 1 / 101 * 1e4], atol=1e-9)
    sold = markouts(FILLS_.iloc[[2]], QUOTES, horizons=[0, 30])
    # sold at 49.50: mid 50 and 49 are -0.50 and +0.50 of 49.50
    np.testing.assert_allclose(sold["markout_bps"], [-0.5 / 49.5 * 1e4, 0.5 / 49.5 * 1e4])
    names = ["horizon", "markout_bps", "fills", "standard_error", "unobserved", "time_unreliable"]
    assert table.columns.tolist() == names
    assert table["horizon"].tolist() == [0, 10, 60]


def test_a_group_is_weighted_by_shares_and_its_error_is_that_of_a_weighted_mean():
    # 10 s after: A's fills see 101 (0 bp) twice, B's sees 50: -0.50 of 49.50 = -101.0101 bp with 20 of 60 shares
    row = markouts(FILLS_, QUOTES, horizons=[10]).iloc[0]
    mean = -0.5 / 49.5 * 1e4 * 20 / 60
    assert row["markout_bps"] == pytest.approx(mean)
    moves, weights = np.array([0, 0, -0.5 / 49.5 * 1e4]), np.array([10, 30, 20])
    error = math.sqrt(3 / 2 * sum(weights**2 * (moves - mean) ** 2)) / 60
    assert row["standard_error"] == pytest.approx(error)
    assert row["fills"] == 3


def test_with_equal_weights_the_error_is_the_standard_error_of_the_mean():
    row = markouts(FILLS_, QUOTES, horizons=[0], weight="equal").iloc[0]
    moves = [-1 / 101 * 1e4, -1 / 101 * 1e4, -0.5 / 49.5 * 1e4]
    assert row["markout_bps"] == pytest.approx(np.mean(moves))
    assert row["standard_error"] == pytest.approx(np.std(moves, ddof=1) / math.sqrt(3))


def test_weighted_by_notional_it_is_a_ratio_of_sums():
    row = markouts(FILLS_, QUOTES, horizons=[0], weight="notional").iloc[0]
    assert row["markout_bps"] == pytest.approx(-1e4 * (40 * 1 + 20 * 0.5) / (40 * 101 + 20 * 49.5))


def test_unobserved_markouts_are_missing_and_counted():
    table = markouts(FILLS_, QUOTES, horizons=[-10, 40, 64, 70, 3600])
    # 10 s before, there was no quote yet. 40 s on, B's record has ended 10 s ago. 64 s on, so has A's for its
    # second fill (69 s), and not for its first: a quote stands for five seconds at the end of the record.
    assert table["fills"].tolist() == [0, 2, 1, 0, 0]
    assert table["unobserved"].tolist() == [3, 1, 2, 3, 3]
    assert table["markout_bps"].isna().tolist() == [True, False, False, True, True]
    assert table["standard_error"].isna().tolist() == [True, False, True, True, True]


def test_a_crossed_quote_has_no_price_and_ends_the_previous_quote():
    quotes = QUOTES.assign(ask=[101.0, 99.0, 103.0, 50.5, 49.5])
    assert math.isnan(markouts(FILLS_.iloc[[0]], quotes, horizons=[10])["markout_bps"].iloc[0])


def test_there_is_no_look_ahead():
    # one microsecond before the quote of 10 s, the quote of 0 s stands
    fills = FILLS_.iloc[[0]].assign(filled_at=AT - pd.Timedelta(microseconds=1))
    quotes = QUOTES.assign(quoted_at=at(-10, 10, 60, 0, 30))
    assert markouts(fills, quotes, horizons=[10])["markout_bps"].iloc[0] == pytest.approx(-1 / 101 * 1e4)


def test_markouts_can_be_grouped_by_fill_columns():
    table = markouts(FILLS_, QUOTES, horizons=[0, 10], by="symbol")
    assert table[["symbol", "horizon"]].to_numpy().tolist() == [["A", 0], ["A", 10], ["B", 0], ["B", 10]]
    alone = pd.concat([markouts(FILLS_.iloc[:2], QUOTES, [0, 10]), markouts(FILLS_.iloc[2:], QUOTES, [0, 10])])
    np.testing.assert_allclose(table["markout_bps"], alone["markout_bps"])
    np.testing.assert_allclose(table["standard_error"], alone["standard_error"])
    two = markouts(FILLS_.astype({"symbol": "category"}), QUOTES, [0], by=["exchange", "side"])
    assert two[["exchange", "side", "fills"]].to_numpy().tolist() == [
        ["X", "BUY", 1],
        ["X", "SELL", 1],
        ["Y", "BUY", 1],
    ]


def test_equal_markouts_have_an_error_of_zero():
    fills = pd.concat([FILLS_.iloc[[0]]] * 3, ignore_index=True).assign(quantity=[1.0, 2.0, 3.0])
    assert markouts(fills, QUOTES, horizons=[10])["standard_error"].iloc[0] == 0
    assert markouts(fills, QUOTES, horizons=[10], by="side")["standard_error"].iloc[0] == 0


@pytest.mark.slow  # loads the calendars
def test_the_close_is_that_of_the_fills_day():
    # The close of that day in New York is 21:00 UTC; the last quote before it stands at 20:59:57.
    close = pd.Timestamp("2026-11-23 20:59:57", tz="UTC")
    quotes = pd.concat([QUOTES, QUOTES.iloc[[0]].assign(quoted_at=close, bid=103.0, ask=105.0)])
    table = markouts(FILLS_.iloc[[0]], quotes, horizons=[10, "close"])
    assert table["horizon"].tolist() == [10, "close"]
    assert table["markout_bps"].iloc[1] == pytest.approx(3 / 101 * 1e4)
    assert math.isnan(markouts(FILLS_.iloc[[0]], QUOTES, "close")["markout_bps"].iloc[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filled_at", "zone", "options", "close"),
    [
        pytest.param(
            "2026-11-27 10:00", "America/New_York", {}, "13:00", id="NYSE: the half day after Thanksgiving"
        ),
        pytest.param("2026-11-27 10:00", "America/New_York", {"session_close": "16:00"}, "16:00", id="as given"),
        pytest.param("2026-12-24 10:00", "Europe/London", {"calendar": "XLON"}, "12:30", id="LSE: Christmas Eve"),
        pytest.param("2024-11-01 10:00", "Asia/Tokyo", {"calendar": "XTKS"}, "15:00", id="Tokyo: the old close"),
        pytest.param("2024-11-05 10:00", "Asia/Tokyo", {"calendar": "XTKS"}, "15:30", id="Tokyo: the new one"),
        pytest.param("2026-11-26 10:00", "America/New_York", {}, None, id="NYSE: Thanksgiving has no close"),
        pytest.param("2026-11-28 10:00", "America/New_York", {}, None, id="Saturday"),
    ],
)
def test_the_close_of_a_half_day_is_the_scheduled_one(filled_at, zone, options, close):
    """The bid and ask are 101 and 103 for a second before the close that is expected, and 99 and 101 otherwise."""
    filled = pd.Timestamp(filled_at, tz=zone)
    last = pd.Timestamp(f"{filled:%Y-%m-%d} {close or '16:00'}", tz=zone)
    times = [filled, last - pd.Timedelta("1s"), last, last + pd.Timedelta("1s")]
    quotes = pd.DataFrame(
        {"symbol": "A", "quoted_at": times, "bid": [99.0, 101, 101, 99], "ask": [101.0, 103, 103, 101]}
    )
    fills = pd.DataFrame({"symbol": ["A"], "side": "BUY", "quantity": 5.0, "price": 100.0, "filled_at": filled})
    fills["filled_at"] = fills["filled_at"].astype("datetime64[us, UTC]")
    quotes["quoted_at"] = quotes["quoted_at"].astype("datetime64[us, UTC]")
    table = markouts(fills, quotes, ["close"], time_zone=zone, **options)
    assert table["unobserved"].tolist() == [0 if close else 1]
    if close:
        assert table["markout_bps"].iloc[0] == pytest.approx(200.0)  # from 100 to 102


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.sampled_from(["BUY", "SELL"])), max_size=20))
def test_a_sell_is_the_mirror_of_a_buy(rows):
    fills = pd.DataFrame(rows, columns=["second", "quantity", "side"]).assign(symbol="A", price=100.5)
    fills["filled_at"] = [AT + pd.Timedelta(seconds=second) for second in fills["second"]]
    fills["filled_at"] = fills["filled_at"].astype("datetime64[us, UTC]")
    other = fills.assign(side=fills["side"].map({"BUY": "SELL", "SELL": "BUY"}).astype("str"))
    one, two = markouts(fills, QUOTES, [0, 10]), markouts(other, QUOTES, [0, 10])
    np.testing.assert_allclose(one["markout_bps"], -two["markout_bps"], atol=1e-9)
    np.testing.assert_allclose(one["standard_error"], two["standard_error"], atol=1e-9)


def test_empty_input_gives_typed_empty_output():
    table = markouts(FILLS.empty(), QUOTES, [0, 10])
    assert table["fills"].tolist() == [0, 0]
    assert table.dtypes.to_dict() == markouts(FILLS_, QUOTES, [0, 10]).dtypes.to_dict()
    assert len(markouts(FILLS.empty(), QUOTES, [0], by="symbol")) == 0


@pytest.mark.parametrize(
    ("fills", "options", "code"),
    [
        (FILLS_.drop(columns="price"), {}, "missing_column"),
        (FILLS_.assign(filled_at=pd.Timestamp("2026-11-23")), {}, "naive_time"),
        (FILLS_.assign(side="B"), {}, "side_invalid"),
        (FILLS_, {"horizons": ["open"]}, "option_invalid"),
        (FILLS_, {"horizons": []}, "option_invalid"),
        (FILLS_, {"horizons": [NAN]}, "option_invalid"),
        (FILLS_, {"by": "venue"}, "missing_column"),
        (FILLS_, {"weight": "shares"}, "option_invalid"),
        (FILLS_, {"max_age": 0}, "option_invalid"),
        (FILLS_, {"horizons": ["close"], "time_zone": "Mars"}, "option_invalid"),
        (FILLS_, {"horizons": ["close"], "session_close": "noon"}, "option_invalid"),
        (FILLS_, {"horizons": ["close"], "calendar": "MARS"}, "option_invalid"),
    ],
)
def test_invalid_input_is_an_error(fills, options, code):
    with pytest.raises(InputError) as caught:
        markouts(fills, QUOTES, **options)
    assert code in caught.value.codes


def test_reversion_is_positive_when_the_price_came_back():
    orders = pd.DataFrame(
        {
            "client_order_id": ["a", "b", "c"],
            "symbol": ["A", "B", "A"],
            "side": ["BUY", "BUY", "SELL"],
            "quantity": 9.0,
        }
    )
    fills = pd.DataFrame(
        {"client_order_id": ["a", "b"], "quantity": 9.0, "price": 1.0, "filled_at": pd.Series(at(0, 0))}
    )
    table = reversion(orders, fills, QUOTES, [10, 30])
    assert table[["client_order_id", "horizon"]].to_numpy().tolist() == [
        ["a", 10],
        ["a", 30],
        ["b", 10],
        ["b", 30],
    ]
    # a bought at a mid of 100 that went to 101: -1 %; b at 50 that went to 49 after 30 s: +2 %
    np.testing.assert_allclose(table["reversion_bps"], [-100, -100, 0, 200])
    assert len(reversion(ORDERS.empty(), FILLS.empty(), QUOTES)) == 0
