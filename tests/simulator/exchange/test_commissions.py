"""Commissions by currency, by hand from the published fixed rates."""

import pytest

from stocklean_exec.simulator.exchange.commissions import commission_on_total, next_commission


@pytest.mark.parametrize(
    ("currency", "shares", "value", "expected"),
    [
        ("USD", 1_000, 25_000.0, 5.0),  # 0.005 a share
        ("GBP", 1_000, 8_055.0, 4.0275),  # 0.05 %
        ("GBP", 100, 805.5, 3.0),  # the minimum
        ("EUR", 100, 20_000.0, 10.0),  # 0.05 %
        ("CAD", 1_000, 40_000.0, 10.0),  # 0.01 a share
        ("CAD", 10, 40.0, 0.2),  # at most 0.5 %, which is below the minimum
        ("JPY", 100, 200_100.0, 160.08),  # 0.08 %
        ("HKD", 400, 20_000.0, 18.0),  # 0.08 % is 16: the minimum
        ("NOK", 10, 1_000.0, 0.5),
        ("GBP", 0, 0.0, 0.0),
    ],
)
def test_an_order_pays_the_rate_of_its_market(currency, shares, value, expected):
    assert commission_on_total(currency, shares, value) == pytest.approx(expected)


def test_a_minimum_is_due_once():
    first = next_commission("GBP", (0, 0.0), 100, 8.0)
    second = next_commission("GBP", (100, 800.0), 900, 8.0)
    assert (first, second) == (3.0, 1.0)  # 0.05 % of 8,000 is 4
