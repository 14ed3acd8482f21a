"""Commissions against Interactive Brokers' published examples, and against arithmetic by hand."""

import math

import pytest

from stocklean_exec.fees import IBKR_US_FIXED, FixedRateSchedule, Tariff


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


LEVIED = Tariff(
    "X",
    "EUR",
    buy_per_share=0.02,
    buy_per_share_cap=5.0,
    buy_rate=0.004,
    sell_per_share=0.01,
    sell_per_share_cap=3.0,
    sell_rate=0.001,
    order_levy=1.5,
    order_levy_above=10_000.0,
)


@pytest.mark.parametrize(
    ("side", "quantity", "value", "levies"),
    [
        ("BUY", 100, 10_000.0, 2.0 + 40.0),  # the levy of an order is due above 10,000
        ("BUY", 100, 10_000.01, 2.0 + 40.00004 + 1.5),
        ("BUY", 1_000, 5_000.0, 5.0 + 20.0),  # the levy per share is at its cap
        ("SELL", 100, 10_000.0, 1.0 + 10.0),
        ("SELL", 1_000, 20_000.0, 3.0 + 20.0 + 1.5),
        ("SELL", 0.5, 50.0, 0.005 + 0.05),
        ("BUY", 0, 20_000.0, 0.0),
    ],
)
def test_levies_of_each_side_per_share_of_value_and_per_order(side, quantity, value, levies):
    assert LEVIED.levies(side, quantity, value) == pytest.approx(levies)
    assert LEVIED.commission(quantity, value) == 0.0
    assert LEVIED.cost(side, quantity, value) == pytest.approx(levies)


def test_a_tariff_charges_what_it_names_and_nothing_else():
    free = Tariff("X", "EUR")
    assert [free.cost(side, 100, 10_000.0) for side in ("BUY", "SELL")] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("value", "commission"), [(10_000.0, 7.0), (1_000.0, 3.0), (100_000.0, 40.0), (500.0, 2.5), (0.0, 0.0)]
)
def test_a_commission_has_a_minimum_and_two_maxima(value, commission):
    # 0.02 a share and 0.05 % of value, at least 3 and at most 40, and never more than 0.5 % of value.
    rates = {"per_share": 0.02, "rate_of_value": 0.0005, "minimum": 3.0, "maximum": 40.0, "maximum_rate": 0.005}
    assert Tariff("X", "EUR", **rates).commission(100, value) == pytest.approx(commission)


def test_the_commission_of_an_execution_is_a_millionth_exact():
    # 1 x 0.00000123 and 1 x 0.00000177
    assert Tariff("X", "EUR", per_share=0.00000123).next_execution((0.0, 0.0), 1, 1.0) == 0.000001
    assert Tariff("X", "EUR", per_share=0.00000177).next_execution((5.0, 5.0), 1, 1.0) == 0.000002
