"""What strategies hold, as a user writes it."""

import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.strategies.holdings import parse_holdings

FRAME = pd.DataFrame(
    {"strategy": ["value", "trend", "unassigned"], "symbol": ["brk.b", "SPY", "SPY"], "quantity": [60, 40, 5]}
)


def test_a_frame_and_a_mapping_are_read_alike():
    assert parse_holdings(FRAME.iloc[:2]) == {"BRK B": {"value": 60.0}, "SPY": {"trend": 40.0}}
    assert parse_holdings({"value": {"BRK.B": 60}, "trend": pd.Series({"SPY": 40})}) == parse_holdings(
        FRAME.iloc[:2]
    )


def test_unassigned_shares_are_ignored_only_where_that_is_meant():
    assert parse_holdings(FRAME, unassigned=True) == parse_holdings(FRAME.iloc[:2])
    with pytest.raises(InputError, match="'unassigned' cannot be the name of a strategy"):
        parse_holdings(FRAME)


def test_every_unusable_row_is_named():
    with pytest.raises(InputError) as caught:
        parse_holdings({"a b": {"SPY": 1}, "value": {"SPY": "x"}, "trend": {"TLT": float("inf")}})
    assert [problem.symbol for problem in caught.value.problems] == [None, "SPY", "TLT"]


def test_one_row_for_each_symbol_of_a_strategy():
    twice = pd.DataFrame({"strategy": ["value"] * 2, "symbol": ["SPY"] * 2, "quantity": [1, 2]})
    with pytest.raises(InputError, match="value: "):
        parse_holdings(twice)
