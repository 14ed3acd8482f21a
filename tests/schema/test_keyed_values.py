from __future__ import annotations

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.keyed_values import values_by_key

TWICE = pd.Series([1.1, 2.2, 3.3], index=["EUR", "EUR", "GBP"])


def test_mappings_and_series_become_dicts():
    assert values_by_key({"A": 1.0}, "x") == {"A": 1.0}
    assert values_by_key(pd.Series([1.0, 2.0], index=["A", "B"]), "x") == {"A": 1.0, "B": 2.0}


def test_a_key_in_two_rows_is_named():
    with pytest.raises(InputError, match="EUR is in 2 rows") as caught:
        values_by_key(TWICE, "fx")
    assert caught.value.codes == ("duplicate_key",)


def test_rates_of_a_plan_are_refused_too():
    with pytest.raises(InputError, match="EUR is in 2 rows"):
        sx.plan_orders({"A": 0.5}, {}, {"A": 10.0}, nav=1000, run_id="r", fx=TWICE)
    state = sx.AccountState.of(None, {"A": 10.0}, nav=1000)
    with pytest.raises(InputError, match="EUR is in 2 rows"):
        sx.plan_orders({"A": 0.5}, state, run_id="r", fx=TWICE)
