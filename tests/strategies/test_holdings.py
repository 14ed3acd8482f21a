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
    assert caught.value.problems[0].column == "strategy"


def test_a_row_without_a_strategy_is_named_and_not_dropped():
    with pytest.raises(InputError) as caught:
        parse_holdings(FRAME.assign(strategy=["value", None, "trend"]))
    assert [problem.code for problem in caught.value.problems] == ["strategy_name"]


@pytest.mark.parametrize("given", [FRAME.drop(columns="quantity"), FRAME["strategy"], ["SPY"], None])
def test_what_is_neither_a_mapping_nor_such_a_table_is_refused(given):
    with pytest.raises(InputError, match="or a DataFrame with strategy, symbol and quantity"):
        parse_holdings(given)


def test_strategies_stay_in_the_sequence_of_the_table_whatever_its_index():
    both = FRAME.iloc[:2].assign(symbol="SPY")
    for frame in (both, both.set_index("strategy", drop=False)):
        assert list(parse_holdings(frame)["SPY"].items()) == [("value", 60.0), ("trend", 40.0)]


def test_one_row_for_each_symbol_of_a_strategy():
    twice = pd.DataFrame({"strategy": ["value"] * 2, "symbol": ["SPY"] * 2, "quantity": [1, 2]})
    with pytest.raises(InputError, match="value: "):
        parse_holdings(twice)
