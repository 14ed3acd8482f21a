"""What a plan takes from the record of strategies: holdings, and what working orders still bring to whom."""

import pandas as pd
import pytest

from stocklean_exec.strategies.division import Division
from stocklean_exec.strategies.strategy_book import RecordedOrder, StrategyBook, recorded_orders


def order(quantities, filled=0.0, side="BUY"):
    division = None if quantities is None else Division(quantities)
    return RecordedOrder("one", "SPY", side, "PARTIAL", division, filled)


@pytest.mark.parametrize(
    ("quantities", "filled", "size", "rest"),
    [
        ({"A": 60.0, "B": 30.0}, 0.0, 90.0, {"A": 60.0, "B": 30.0}),
        ({"A": 60.0, "B": 30.0}, 30.0, 90.0, {"A": 40.0, "B": 20.0}),
        ({"A": 60.0, "B": 30.0}, 30.0, 60.0, {"A": 20.0, "B": 10.0}),  # made smaller in the review, or at TWS
        ({"A": 60.0, "B": 30.0}, 90.0, 90.0, {}),
        ({"A": 60.0, "B": 30.0}, 45.0, 30.0, {}),  # at TWS it was made smaller than what is filled
        ({"A": 100.0, "B": -40.0}, 10.0, 60.0, {"A": 50.0}),  # B's 40 have passed inside
        (None, 0.0, 60.0, {}),
    ],
)
def test_what_an_order_still_brings(quantities, filled, size, rest):
    assert order(quantities, filled).rest(size) == rest


def test_a_sell_brings_negative_shares():
    assert order({"A": -60.0, "B": -30.0}, 30.0, "SELL").rest(90.0) == {"A": -40.0, "B": -20.0}


def test_filled_shares_and_the_rest_are_what_each_wanted_at_every_fill():
    division = Division({"A": 17.0, "B": 11.0, "C": 5.0})
    for filled in range(34):
        had, rest = division.filled([float(filled)])[0], order(division.quantities, float(filled)).rest(33.0)
        assert {name: had[name] + rest.get(name, 0.0) for name in had} == {"A": 17.0, "B": 11.0, "C": 5.0}


def test_orders_that_may_trade_are_taken_from_the_record():
    columns = ["client_order_id", "status", "filled_quantity", "strategy", "strategy_quantities"]
    rows = [
        ("a", "SUBMITTED", 0.0, None, '{"A": 60.0, "B": 30.0}'),
        ("b", "PARTIAL", 5.0, "A", None),
        ("c", "UNKNOWN", 0.0, None, None),
        ("d", "FILLED", 90.0, "A", None),
        ("e", "CANCELLED", 3.0, "A", None),
    ]
    orders = pd.DataFrame(rows, columns=columns).assign(run_id="one", symbol="SPY", side="BUY", quantity=90.0)
    found = recorded_orders(orders)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].division.quantities == {"A": 60.0, "B": 30.0}
    assert (found["b"].division.quantities, found["b"].filled) == ({"A": 90.0}, 5.0)
    assert found["c"].division is None


def test_a_book_shows_what_each_holds():
    book = StrategyBook({"TLT": {"trend": 5.0}, "SPY": {"value": 60.0, "trend": -4.0}})
    assert book.positions.to_numpy().tolist() == [
        ["trend", "SPY", -4.0],
        ["trend", "TLT", 5.0],
        ["value", "SPY", 60.0],
    ]
