"""Average daily volumes: which column counts, and the one note where none is known."""

import math

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.risk.volumes import note_unknown_volumes, volume_by_symbol, volume_of_orders


def test_the_orders_own_volume_counts_before_the_quotes_and_adv_before_volume():
    orders = pd.DataFrame({"symbol": ["A", "B", "C"], "adv": [1e6, None, None], "volume": [2e6, 3e6, None]})
    assert volume_of_orders(orders, {"A": 9e6, "C": 4e6}).tolist() == [1e6, 3e6, 4e6]


@pytest.mark.parametrize("value", ["many", -5.0, 0.0, math.inf, None])
def test_what_is_no_volume_is_unknown(value):
    quotes = pd.DataFrame({"symbol": ["A", "B"], "volume": pd.Series([value, 7.0], dtype="object")})
    assert volume_by_symbol(quotes) == {"B": 7.0}


def test_volumes_may_be_whole_numbers_with_gaps():
    orders = pd.DataFrame({"symbol": ["A", "B"], "adv": pd.array([1, None], dtype="Int64")})
    found = volume_of_orders(orders, {})
    np.testing.assert_array_equal(found, [1.0, math.nan])
    assert found.dtype == "float64"


def test_a_column_that_is_no_number_has_no_volume():
    orders = pd.DataFrame({"symbol": ["A", "B"], "adv": pd.array([None, False], dtype="boolean"), "volume": 5.0})
    assert volume_of_orders(orders, {}).tolist() == [5.0, 5.0]


def test_one_note_names_the_number_of_orders_without_a_volume():
    (note,) = note_unknown_volumes(np.array([math.nan, 1e6, math.nan]))
    assert (note["code"], note["table"], note["column"]) == ("adv_unknown", "orders", "adv")
    assert "2 of 3 orders" in str(note["detail"])
    assert note_unknown_volumes(np.array([1e6])) == []
