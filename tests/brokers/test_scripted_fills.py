from __future__ import annotations

import math

import pandas as pd
import pytest

from stocklean_exec.brokers.scripted_fills import FILL_PLAN, parse_fill_plan
from stocklean_exec.errors import InputError


def test_steps_have_the_sequence_of_their_rows():
    plan = pd.DataFrame(
        [
            {"symbol": "SPY", "action": "fill", "quantity": 4.0, "price": 100.0, "seconds": 2.0},
            {"symbol": "TLT", "action": "reject", "code": "201", "message": "no"},
            {"symbol": "SPY", "action": "cancel", "code": "late"},
        ]
    )
    steps = parse_fill_plan(plan)
    assert [step.action for step in steps["SPY"]] == ["fill", "cancel"]
    assert (steps["SPY"][0].quantity, steps["SPY"][0].price, steps["SPY"][0].seconds) == (4.0, 100.0, 2.0)
    assert (steps["TLT"][0].code, steps["TLT"][0].message) == ("201", "no")
    assert math.isnan(steps["TLT"][0].quantity)


def test_a_row_with_an_order_id_applies_to_that_order_only():
    plan = pd.DataFrame([{"symbol": "SPY", "action": "rest", "client_order_id": "r-SPY-BUY"}])
    assert list(parse_fill_plan(plan)) == ["r-SPY-BUY"]


def test_no_plan_is_no_steps():
    assert parse_fill_plan(None) == {}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"action": "explode"}, "action_unknown"),
        ({"action": None}, "action_unknown"),
        ({"action": "fill", "quantity": 0.0}, "quantity_invalid"),
        ({"action": "fill", "quantity": -4.0}, "quantity_invalid"),
        ({"action": "fill", "quantity": math.inf}, "quantity_invalid"),
        ({"action": "fill", "quantity": "4"}, "quantity_dtype"),
        ({"action": "fill", "price": 0.0}, "price_invalid"),
        ({"action": "fill", "price": math.inf}, "price_invalid"),
        ({"action": "fill", "seconds": -1.0}, "seconds_invalid"),
        ({"action": "fill", "symbol": None}, "symbol_missing"),
        ({"action": "fill", "code": "caf\u00e9"}, "text_invalid"),
    ],
)
def test_a_bad_row_is_an_error_that_names_it(row, code):
    good = {"symbol": "TLT", "action": "rest"}
    with pytest.raises(InputError) as caught:
        parse_fill_plan(pd.DataFrame([good, {"symbol": "SPY", **row}]))
    assert caught.value.codes == (code,)
    assert caught.value.problems[0].row == 1


def test_missing_required_columns_are_an_error():
    with pytest.raises(InputError) as caught:
        parse_fill_plan(pd.DataFrame({"symbol": ["SPY"]}))
    assert caught.value.codes == ("missing_column",)
    assert list(FILL_PLAN.required) == ["symbol", "action"]


def test_a_fill_may_have_fractional_quantity_price_and_delay():
    plan = pd.DataFrame([{"symbol": "SPY", "action": "fill", "quantity": 0.5, "price": 0.5, "seconds": 0.5}])
    (step,) = parse_fill_plan(plan)["SPY"]
    assert (step.quantity, step.price, step.seconds) == (0.5, 0.5, 0.5)


def test_an_order_may_fill_at_once():
    plan = pd.DataFrame([{"symbol": "SPY", "action": "fill", "seconds": 0.0}])
    assert parse_fill_plan(plan)["SPY"][0].seconds == 0.0
