from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.tca import asof
from stocklean_exec.tca.asof import (
    GAP,
    MICROS,
    NO_TIME,
    NONE_YET,
    AsOfSeries,
    SymbolLookups,
    as_of,
    look_up,
    time_weighted,
    with_gaps,
)
from stocklean_exec.tca.market import FrameMarket

seconds = st.integers(0, 5_000)


def brute_force(times, values, moment, max_age=300.0):
    """The quote in force, one look-up at a time: the documented rule."""
    rows = [row for row, time in enumerate(times) if time <= moment]
    if not rows:
        return np.nan
    row = rows[-1]
    following = times[row + 1] if row + 1 < len(times) else np.inf
    limit = following if following - times[row] <= max_age else times[row] + 5
    return values[row] if moment < limit or moment == times[row] or moment <= times[row] + 5 else np.nan


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(st.lists(seconds, min_size=1, max_size=30), st.lists(seconds, min_size=1, max_size=60))
def test_the_quote_in_force_follows_the_documented_rule(times, moments):
    times = sorted(times)
    values = np.arange(len(times), dtype="float64")
    stamps, (column,) = with_gaps(np.array(times) * MICROS, [values])
    found = as_of(stamps, column, np.array(moments) * MICROS)
    wanted = [brute_force(times, values, moment) for moment in moments]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
@given(st.lists(seconds, min_size=1, max_size=30), st.lists(seconds, min_size=1, max_size=60))
@settings(deadline=None, derandomize=True)
def test_a_look_up_follows_the_same_rule(times, moments):
    times = sorted(times)
    at = pd.to_datetime(np.array(times) * MICROS, unit="us", utc=True)
    price = np.arange(len(times)) + 1.0
    market = FrameMarket(pd.DataFrame({"symbol": "A", "quoted_at": at, "bid": price, "ask": price}))
    found = look_up(market, pd.Series(["A"] * len(moments)), np.array(moments) * MICROS)["mid"]
    np.testing.assert_array_equal(found, [brute_force(times, price, moment) for moment in moments])


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 10**12), min_size=5, max_size=200),
    st.lists(st.integers(-(10**12), 2 * 10**12), min_size=20, max_size=200),
)
def test_grid_cells_and_binary_search_find_the_same_rows(times, moments):
    times, values = np.sort(np.array(times)), np.arange(len(times), dtype="float64")
    at = np.array([*moments, NO_TIME, *times.tolist()])
    fast = AsOfSeries(times, values, lookup_count=10**9)
    np.testing.assert_array_equal(fast.as_of(at), AsOfSeries(times, values).as_of(at))


def test_a_regular_grid_is_answered_by_cells_and_a_burst_by_search():
    grid, burst = np.arange(0, 100 * MICROS, MICROS), np.append(np.zeros(90, dtype="int64"), [10**12])
    assert AsOfSeries(grid, np.ones(100), lookup_count=10**6)._cells is not None
    assert AsOfSeries(burst, np.ones(91), lookup_count=10**6)._cells is None


def test_probes_are_grouped_by_symbol_and_sorted_by_time():
    symbols = pd.Series(["B", "A", "B", "A", "B"])
    at = np.array([30, 20, 10, NO_TIME, 20])
    lookups = SymbolLookups.of(symbols, at)
    grouped = {name: lookups.rows(code).tolist() for code, name in enumerate(lookups.names)}
    assert grouped == {"B": [2, 4, 0], "A": [3, 1]}
    assert SymbolLookups.of(symbols.astype("category"), at).rows(0).tolist() == [3, 1]


@pytest.mark.parametrize("at", [np.array([5, 4, 3]), np.array([0, 2**61, 2**62]), np.array([2**62, 0, 1])])
def test_probes_with_any_times_are_sorted(at):
    rows = SymbolLookups.of(pd.Series(["A"] * 3), at).rows(0)
    assert (np.diff(at[rows]) >= 0).all()


QUOTES = pd.DataFrame(
    {
        "symbol": "A",
        "quoted_at": pd.to_datetime([0, 10, 20, 30, 1_000], unit="s", utc=True),
        "bid": [9.0, 19.0, 31.0, 39.0, 49.0],
        "ask": [11.0, 21.0, 29.0, 41.0, 51.0],
        "delayed": [False, False, False, True, False],
    }
)


def test_the_state_gives_the_reason_for_a_missing_price():
    at = np.array([-1, 5, 15, 20, 30, 500, 1_000, 1_006, 2_201]) * MICROS
    found = look_up(FrameMarket(QUOTES), pd.Series(["A"] * 9), at, ("mid", "bid", "ask", "state"))
    np.testing.assert_array_equal(found["mid"], [np.nan, 10, 20, np.nan, np.nan, np.nan, 50, np.nan, np.nan])
    np.testing.assert_array_equal(found["state"], [NONE_YET, 0, 0, 1, 2, GAP, 0, GAP, NONE_YET])
    np.testing.assert_array_equal(found["age"][1:3], [5, 5])


def test_no_lookups_find_nothing():
    market = FrameMarket(QUOTES)
    assert look_up(market, pd.Series([], dtype="str"), np.empty(0, dtype="int64"))["mid"].tolist() == []
    assert np.isnan(look_up(market, pd.Series(["A"]), np.array([NO_TIME]))["mid"]).all()
    assert np.isnan(look_up(market, pd.Series(["Z"]), np.array([5 * MICROS]))["mid"]).all()
    times, columns = with_gaps(np.empty(0, dtype="int64"), [np.empty(0)])
    assert (len(times), len(columns[0])) == (0, 0)


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 100)), min_size=2, max_size=10), st.data())
def test_a_time_weighted_average_is_the_mean_over_every_second(steps, data):
    gaps, prices = zip(*steps, strict=True)
    times = np.cumsum([0, *gaps[:-1]])
    by_second = np.repeat(np.array(prices, dtype="float64"), [*gaps[:-1], 1])
    start = data.draw(st.integers(0, int(times[-1]) - 1)) if times[-1] > 0 else 0
    end = data.draw(st.integers(start + 1, int(times[-1])))
    stamps, (mid,) = with_gaps(times * MICROS, [np.array(prices, dtype="float64")])
    found = time_weighted(stamps, mid, np.array([start]) * MICROS, np.array([end]) * MICROS)
    assert found[0] == pytest.approx(by_second[start:end].mean())


def test_an_average_over_mostly_unobserved_time_is_missing():
    stamps, (mid,) = with_gaps(np.array([0, 10]) * MICROS, [np.array([1.0, 1.0])])
    found = time_weighted(stamps, mid, np.array([0, 0, NO_TIME, 5 * MICROS]), np.array([100, 12, 5, 4]) * MICROS)
    np.testing.assert_array_equal(found, [np.nan, 1.0, np.nan, np.nan])


def test_all_exports_exist():
    assert all(hasattr(asof, name) for name in asof.__all__)


@pytest.mark.parametrize("kinds", [3, 40_000])
def test_positions_are_grouped_as_by_a_stable_sort(kinds, monkeypatch):
    monkeypatch.setattr(asof, "_SORT_ROWS", 64)
    codes = np.random.default_rng(7).integers(-1, kinds, 1_000)
    np.testing.assert_array_equal(asof._grouped(codes), np.argsort(codes, kind="stable"))
    assert asof._grouped(codes[:0]).tolist() == []
