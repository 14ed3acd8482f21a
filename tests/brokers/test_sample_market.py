"""The prices that come with the package."""

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.brokers.sample_market import inverse_volatility, sample_closes, sample_quotes
from stocklean_exec.schema.inputs import parse_quotes, parse_targets
from stocklean_exec.schema.tables import QUOTES


def test_the_closes_are_253_days_of_20_names_without_a_gap():
    closes = sample_closes()
    assert closes.shape == (253, 20)
    assert closes.index.is_monotonic_increasing
    assert closes.index.is_unique
    assert (closes > 0).all(axis=None)
    assert closes.columns.is_unique
    assert (closes.index.name, closes.columns.name) == ("date", "symbol")


def test_sample_quotes_are_around_the_close_on_whole_cents():
    quotes, close = sample_quotes(), sample_closes().iloc[-1]
    assert {name: str(dtype) for name, dtype in quotes.dtypes.items()} == QUOTES.dtypes
    sizes = quotes[["bid_size", "ask_size"]]
    assert sizes.isin(range(100, 1_000, 100)).all(axis=None)  # a few hundred shares
    assert sizes.nunique().min() > 3
    half = (quotes["ask"] - quotes["bid"]) / 2
    assert half.round(6).isin([0.01, 0.02, 0.03]).all()
    assert np.allclose((quotes["ask"] + quotes["bid"]) / 2, close.round(2).to_numpy())
    assert ((quotes[["bid", "ask"]] * 100).round(6) % 1 == 0).all(axis=None)
    assert (quotes["quoted_at"] == pd.Timestamp("2022-12-28 21:00", tz="UTC")).all()


def test_sample_quotes_depend_on_the_seed_and_are_valid():
    pd.testing.assert_frame_equal(sample_quotes(), sample_quotes(seed=7))
    assert not sample_quotes(seed=8).equals(sample_quotes())
    pd.testing.assert_frame_equal(parse_quotes(sample_quotes()), sample_quotes())


def test_sample_quotes_can_be_made_from_other_closes():
    closes = pd.DataFrame({"X": [1.0, 2.0]}, index=pd.date_range("2026-01-01", periods=2))
    quotes = sample_quotes(closes)
    assert quotes["symbol"].tolist() == ["X"]
    assert quotes["close"].tolist() == [2.0]


def test_inverse_volatility_by_hand():
    # Returns of A: +10 %, -10 %; of B: +20 %, -20 %. B moves twice as much, so it gets half of A's weight.
    closes = pd.DataFrame({"A": [100.0, 110.0, 99.0], "B": [100.0, 120.0, 96.0]})
    assert inverse_volatility(closes).to_dict() == pytest.approx({"A": 2 / 3, "B": 1 / 3})


def test_the_sample_weights_are_valid_targets():
    assert len(parse_targets(inverse_volatility(sample_closes()))) == 20
