"""The quotes that orders are checked with, as one array for each field."""

import json
import math

import numpy as np
import pandas as pd

from stocklean_exec.risk.quote_columns import QuoteColumns
from stocklean_exec.schema.inputs import parse_quotes

NAN = math.nan
FIELDS = ("bid", "ask", "last", "close", "quoted_at")
AT = pd.Timestamp("2026-06-01T15:00:00.5Z")  # 1780326000.5 seconds since 1970
QUOTES = parse_quotes(
    pd.DataFrame(
        {
            "symbol": ["SPY", "TLT"],
            "bid": [399.0, NAN],
            "ask": [401.0, NAN],
            "last": [NAN, 90.0],
            "quoted_at": [AT, None],
        }
    )
)


def same(found, expected):
    return all(np.array_equal(found[name], expected[name], equal_nan=True) for name in FIELDS)


def test_each_field_is_found_by_symbol():
    quotes = QuoteColumns.of(QUOTES, shift=2.0)
    expected = {
        "bid": [NAN, NAN, 399.0],
        "ask": [NAN, NAN, 401.0],
        "last": [90.0, NAN, NAN],
        "close": [NAN] * 3,
        "quoted_at": [NAN, NAN, 1_780_326_002.5],
    }
    assert same(quotes.at(["TLT", "GLD", "SPY"]), expected)
    assert quotes.rows(["TLT", "GLD", "SPY"]).tolist() == [1, -1, 0]
    assert same(quotes.of_rows(np.array([1, -1, 0])), expected)
    assert quotes.at([])["bid"].tolist() == []
    assert QuoteColumns.of(QUOTES).at(["SPY"])["quoted_at"].tolist() == [1_780_326_000.5]
    assert quotes.prices.tolist() == [400.0, 90.0]


def test_no_quotes_are_no_prices():
    nothing = QuoteColumns.of(parse_quotes(None))
    assert same(nothing.at(["SPY"]), {name: [NAN] for name in FIELDS})


def test_the_quotes_survive_json_without_a_number_changed():
    quotes = QuoteColumns.of(QUOTES)
    text = json.dumps(quotes.to_json(), allow_nan=False)
    again = QuoteColumns.from_json(json.loads(text))
    assert again.symbols == ["SPY", "TLT"]
    assert same(again.columns, quotes.columns)
    assert json.loads(text)["close"] is None  # nothing is known
    prices = QuoteColumns.of(parse_quotes({"SPY": 5.0, "TLT": 5.0}))
    assert prices.to_json()["last"] == 5.0  # one number for all
    assert QuoteColumns.from_json(prices.to_json()).prices.tolist() == [5.0, 5.0]
    assert QuoteColumns.from_json(QuoteColumns.of(parse_quotes(None)).to_json()).symbols == []


def test_the_quote_of_one_symbol_is_written_as_a_number():
    assert QuoteColumns.of(parse_quotes({"SPY": 5.0})).to_json()["last"] == 5.0
