"""Limits on single orders as they leave; each bound is tried at the limit and just beyond it."""

import math

import pandas as pd
import pytest

from stocklean_exec.execution.order_limits import barred_orders
from stocklean_exec.risk.limits import Limits

# 100 shares at 50.00, for a target of 100 shares; NAV is 100,000, so the position is 5 % of it.
ROW = {
    "client_order_id": "r-A-BUY",
    "symbol": "A",
    "side": "BUY",
    "quantity": 100.0,
    "notional": 5_000.0,
    "current_quantity": 0.0,
    "target_quantity": 100.0,
    "planned_quantity": 100.0,
}


def codes(limits, nav=100_000.0, **changes):
    found = barred_orders(pd.DataFrame([ROW | changes]), limits, nav)
    return [code for code, _ in found.values()]


@pytest.mark.parametrize(
    ("passes", "bars", "code"),
    [
        ({"max_order_quantity": 100}, {"max_order_quantity": 99}, "max_qty"),
        ({"max_order_notional": 5_000}, {"max_order_notional": 4_999}, "max_notional"),
        ({"restricted": {"B"}}, {"restricted": {"A"}}, "restricted"),
        ({"max_position_ratio": 0.05}, {"max_position_ratio": 0.049}, "max_position_ratio"),
    ],
)
def test_an_order_beyond_a_limit_is_barred(passes, bars, code):
    assert codes(Limits(**passes)) == []
    assert codes(Limits(**bars)) == [code]


def test_the_value_is_compared_in_the_base_currency():
    assert codes(Limits(max_order_notional=5_000), fx_rate=1.25) == ["max_notional"]
    assert codes(Limits(max_order_notional=6_250), fx_rate=1.25) == []


def test_an_unknown_value_fails_a_limit_on_value():
    assert codes(Limits(max_order_notional=1e9), notional=math.nan) == ["max_notional"]


def test_an_order_may_exceed_its_target_by_a_tenth():
    assert codes(Limits(), quantity=110.0, target_quantity=110.0) == []
    assert codes(Limits(), quantity=111.0, target_quantity=111.0) == ["over_target"]
    assert codes(Limits(max_over_target=None), quantity=111.0, target_quantity=111.0) == []
    assert codes(Limits(), quantity=111.0, planned_quantity=math.nan) == []  # an order without a plan


def test_what_an_older_record_does_not_have_is_unknown_and_its_rate_is_one():
    row = {name: value for name, value in ROW.items() if name != "planned_quantity"}
    found = barred_orders(pd.DataFrame([row]), Limits(max_order_notional=5_000, max_over_target=0.0), 100_000.0)
    assert found == {}


def test_a_sell_into_a_short_position_needs_permission():
    short = {"side": "SELL", "current_quantity": 60.0, "target_quantity": -40.0}
    assert codes(Limits(), **short) == ["sell_exceeds_position"]
    assert codes(Limits(allow_short=True), **short) == []


def test_an_order_that_reduces_its_position_is_not_held_to_the_ratio():
    sell = {"side": "SELL", "current_quantity": 300.0, "target_quantity": 200.0}
    assert codes(Limits(max_position_ratio=0.01), **sell) == []
