"""Commissions against Interactive Brokers' published examples, and against arithmetic by hand."""

import math

import pytest

from stocklean_exec.fees import IBKR_US_FIXED, FixedRateSchedule


@pytest.mark.parametrize(
    ("quantity", "price", "commission"),
    [
        (100, 25.00, 1.00),  # the broker's own three examples
        (1_000, 25.00, 5.00),
        (1_000, 0.25, 2.50),
        (200, 50.00, 1.00),  # 200 x 0.005 is just the minimum
        (201, 50.00, 1.005),
        (1, 50.00, 0.50),  # one per cent of 50 is below the minimum, and wins
        (0.5, 100.00, 0.01),  # a part of a share has a minimum of its own
        (0.5, 0.50, 0.0025),
        (0, 100.00, 0.00),
    ],
)
def test_the_published_schedule(quantity, price, commission):
    assert math.isclose(IBKR_US_FIXED.order(quantity, price), commission, abs_tol=1e-12)


@pytest.mark.parametrize("parts", [[1_000], [1, 999], [999, 1], [100] * 10, [0.4, 0.4, 999.2]])
def test_executions_of_an_order_add_up_to_its_commission(parts):
    shares, value, total = 0.0, 0.0, 0.0
    for part in parts:
        step = IBKR_US_FIXED.next_execution((shares, value), part, 25.0)
        assert step >= 0
        shares, value, total = shares + part, value + part * 25.0, total + step
    assert total == pytest.approx(5.00)


def test_the_minimum_is_charged_once_for_an_order():
    assert IBKR_US_FIXED.next_execution((0, 0.0), 10, 25.0) == 1.0
    assert IBKR_US_FIXED.next_execution((10, 250.0), 10, 25.0) == 0.0


def test_a_custom_schedule_can_be_defined():
    free = FixedRateSchedule(per_share=0.0, minimum=0.0, fractional_minimum=0.0, maximum_rate=0.01)
    assert free.order(1_000, 25.0) == 0.0
