from __future__ import annotations

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.keyed_values import known_values, values_by_key

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


def test_fifty_keys_are_named_at_most():
    keys = [f"K{number:02}" for number in range(51)]
    with pytest.raises(InputError) as caught:
        values_by_key(pd.Series(1.0, index=[*keys, *keys]), "fx")
    assert [problem.detail for problem in caught.value.problems] == [
        f"{key} is in 2 rows; keep one" for key in keys[:50]
    ]


@pytest.mark.parametrize(
    ("values", "known"),
    [(["USD", None], {"SPY": "USD"}), (["USD", "EUR"], {"SPY": "USD", "TLT": "EUR"}), ([None, None], {})],
)
def test_rows_that_have_a_value_are_known(values, known):
    frame = pd.DataFrame({"symbol": ["SPY", "TLT"], "currency": values})
    assert dict(known_values(frame, "currency")) == known
    assert dict(known_values(frame, "account")) == {}
