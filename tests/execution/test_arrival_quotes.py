"""Arrival quotes: what a table of quotes says of a symbol."""

import pandas as pd
import pytest

from stocklean_exec.execution.arrival_quotes import ArrivalQuote, quotes_by_symbol

WHEN = pd.Timestamp("2026-11-27 15:00", tz="UTC")


def test_a_row_is_a_quote_with_its_time_and_kind_of_data():
    rows = {"symbol": "SPY", "bid": 399.9, "ask": 400.1, "last": 400.0, "quoted_at": WHEN, "data_type": 3}
    assert quotes_by_symbol(pd.DataFrame([rows])) == {"SPY": ArrivalQuote(399.9, 400.1, 400.0, WHEN, 3)}


def test_the_previous_close_stands_for_a_missing_last_trade():
    (quote,) = quotes_by_symbol(pd.DataFrame({"symbol": ["SPY"], "last": [None], "close": [398.0]})).values()
    assert quote == ArrivalQuote(last=398.0)


@pytest.mark.parametrize(
    ("ask", "last", "price"),
    [(400.1, 399.0, 400.1), (0.9, 1.0, 0.9), (-1.0, 399.0, 399.0), (None, 0.0, None), (None, None, None)],
)
def test_the_price_is_the_ask_or_else_the_last_trade(ask, last, price):
    assert ArrivalQuote(ask=ask, last=last).price == price
