from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.tca.market import FrameMarket, as_market

AT = pd.to_datetime(["2026-11-23 15:00:02", "2026-11-23 15:00:01", "2026-11-23 15:00:00"], utc=True)
QUOTES = pd.DataFrame(
    {"symbol": ["A", "B", "A"], "quoted_at": AT, "bid": [10.0, 5.0, 9.0], "ask": [12.0, 4.0, 11.0]}
)
TRADES = pd.DataFrame(
    {"symbol": ["A", "A", "B"], "traded_at": AT, "price": [10.0, 0.0, 5.0], "volume": [7.0, 1, np.nan]}
)


def rows(market, fields):
    found = market.series(["A", "B", "Z"], fields, 0, 2**62)
    return {name: (np.diff(times).tolist(), [value.tolist() for value in values]) for name, times, values in found}


@pytest.mark.parametrize("dtype", ["str", "category", "object"])
def test_quotes_are_sorted_and_an_unusable_one_ends_the_previous_quote(dtype):
    market = FrameMarket(QUOTES.astype({"symbol": dtype}))
    found = rows(market, ["mid", "state"])
    assert found["A"] == ([2_000_000], [[10.0, 11.0], [0.0, 0.0]])
    assert np.isnan(found["B"][1][0]).all()  # crossed
    assert found["B"][1][1] == [1.0]


def test_trades_without_a_price_or_a_volume_do_not_count():
    found = rows(FrameMarket(TRADES, "trades"), ["price", "volume"])
    np.testing.assert_array_equal(found["A"][1], [[np.nan, 10.0], [1.0, 7.0]])
    assert found["B"][1] == [[5.0], [0.0]]


def test_only_rows_within_the_window_are_returned():
    first = AT[2].value // 1000
    found = list(FrameMarket(QUOTES).series(["A"], ["bid"], first, first))
    assert [(name, values[0].tolist()) for name, _, values in found] == [("A", [9.0])]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (QUOTES.drop(columns="bid"), "missing_column"),
        (QUOTES.assign(quoted_at=AT.tz_localize(None)), "naive_time"),
        (QUOTES.assign(quoted_at=[AT[0], None, AT[2]]), "time_missing"),
        (QUOTES.assign(bid="x"), "number_dtype"),
        ("quotes", "wrong_type"),
    ],
)
def test_invalid_quote_frames_are_refused(frame, code):
    with pytest.raises(InputError) as caught:
        as_market(frame)
    assert caught.value.codes == (code,)
