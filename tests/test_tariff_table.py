"""Which tariff holds for an order, and the fees by the shipped table: hand calculations and published examples."""

from __future__ import annotations

from datetime import date

import pytest

from stocklean_exec.fees import IBKR_US_FIXED, Tariff
from stocklean_exec.tariff_table import TariffTable, in_force, replace_table, tariff_for

DAY = date(2026, 6, 1)


@pytest.mark.parametrize(
    ("terms", "side", "quantity", "value", "commission", "levies"),
    [
        # Interactive Brokers' own examples, United States and Euro markets, fixed pricing
        (("USD",), "BUY", 100, 2_500.0, 1.0, 0.0),
        (("USD",), "BUY", 1_000, 25_000.0, 5.0, 0.0),
        (("USD",), "BUY", 1_000, 250.0, 2.5, 0.0),
        (("EUR", "IBIS"), "BUY", 100, 4_000.0, 4.0, 0.0),  # sent to the venue directly
        (("EUR", "IBIS"), "BUY", 1_000, 20_000.0, 20.0, 0.0),
        (("AUD",), "BUY", 400, 20_000.0, 16.0, 0.0),
        # by hand
        (("USD",), "SELL", 1_000, 25_000.0, 5.0, 0.195 + 0.695),  # 0.000195 a share; 27.80 per million
        (("USD",), "SELL", 100_000, 2_500_000.0, 500.0, 9.79 + 69.5),  # the first levy is at its cap
        (("USD", "NASDAQ"), "BUY", 1_000, 25_000.0, 7.5, 0.0),  # 0.0075 a share
        (("EUR", "SMART", "IBIS"), "BUY", 100, 4_000.0, 3.0, 0.0),  # 2.00 is below the minimum
        (("EUR", "SMART", "IBIS"), "SELL", 100, 20_000.0, 10.0, 0.0),
        (("EUR", "SMART", "IBIS"), "BUY", 0.5, 100.0, 1.25, 0.0),
        (("EUR", "SMART", "SBF"), "BUY", 100, 20_000.0, 10.0, 80.0),  # 0.4 % French tax
        (("EUR", "SBF"), "BUY", 100, 20_000.0, 20.0, 80.0),
        (("EUR", "SMART", "SBF"), "SELL", 100, 20_000.0, 10.0, 0.0),
        (("EUR", "SMART", "BVME"), "BUY", 100, 20_000.0, 10.0, 40.0),
        (("GBP",), "BUY", 100, 1_000.0, 3.0, 5.0),  # 0.50 is below the minimum; stamp duty 0.5 %
        (("GBP",), "BUY", 1_000, 20_000.0, 10.0, 101.5),  # stamp duty and PTM levy
        (("GBP",), "BUY", 1_000, 10_000.0, 5.0, 50.0),  # the PTM levy is due above 10,000
        (("GBP",), "SELL", 1_000, 20_000.0, 10.0, 1.5),
        (("GBP", "SMART", "LSEETF"), "BUY", 1_000, 20_000.0, 10.0, 0.0),
        (("GBP", "LSEETF"), "BUY", 1_000, 20_000.0, 10.0, 0.0),
        (("USD", "SMART", "LSEETF"), "BUY", 1_000, 20_000.0, 10.0, 0.0),
        (("JPY",), "BUY", 100, 50_000.0, 80.0, 0.0),  # 40 is below the minimum
        (("JPY",), "SELL", 100, 300_000.0, 240.0, 0.0),
        (("CAD",), "BUY", 1_000, 20_000.0, 10.0, 0.0),
        (("CAD",), "BUY", 1_000, 500.0, 2.5, 0.0),  # at most 0.5 % of value
        (("CHF",), "BUY", 10, 1_000.0, 5.0, 0.0),
        (("CHF",), "SELL", 100, 20_000.0, 10.0, 0.0),
        (("HKD",), "BUY", 400, 100_000.0, 80.0, 108.5),  # 0.1085 % on both sides
        (("HKD",), "SELL", 400, 10_000.0, 18.0, 10.85),
        (("AUD",), "SELL", 10, 1_000.0, 6.0, 0.0),
        (("USD",), "SELL", 0, 0.0, 0.0, 0.0),
    ],
)
def test_fees_by_the_shipped_table(terms, side, quantity, value, commission, levies):
    tariff = tariff_for(*terms, on=DAY)
    assert tariff.commission(quantity, value) == pytest.approx(commission)
    assert tariff.levies(side, quantity, value) == pytest.approx(levies, abs=1e-12)
    assert tariff.cost(side, quantity, value) == pytest.approx(commission + levies)


@pytest.mark.parametrize(("quantity", "price"), [(100, 25.0), (0.5, 100.0), (1, 50.0), (1_000, 0.25)])
def test_the_us_row_is_the_public_schedule(quantity, price):
    assert tariff_for("USD").commission(quantity, quantity * price) == IBKR_US_FIXED.order(quantity, price)


@pytest.mark.parametrize(
    ("day", "levies"),
    [
        (date(2023, 1, 2), 0.166 + 0.695),  # before the first row: as the first one
        (date(2025, 5, 13), 0.166 + 0.695),
        (date(2025, 5, 14), 0.166),
        (date(2025, 12, 31), 0.166),
        (date(2026, 1, 1), 0.195),
        (date(2026, 3, 4), 0.195 + 0.695),
        (None, 0.195 + 0.695),
    ],
)
def test_the_latest_row_not_after_the_day_holds(day, levies):
    assert tariff_for("USD", on=day).levies("SELL", 1_000, 25_000.0) == pytest.approx(levies)


def test_executions_of_an_order_pay_the_minimum_once_and_no_levy():
    tariff = tariff_for("GBP")
    assert tariff.next_execution((0.0, 0.0), 100, 10.0) == 3.0
    assert tariff.next_execution((100.0, 1_000.0), 100, 10.0) == 0.0
    assert tariff.next_execution((100.0, 1_000.0), 900, 10.0) == 2.0  # 5.00 of 10,000 in all


def test_a_currency_without_a_tariff_is_estimated_by_the_highest_rates():
    assert in_force().find("SEK", on=DAY) is None
    # 0.1 % is the highest commission, 0.5 % the highest tax of buys, 0.1085 % that of sells.
    assert tariff_for("SEK", on=DAY).cost("BUY", 10, 10_000.0) == pytest.approx(60.0)
    assert tariff_for("SEK", on=DAY).cost("SELL", 10, 10_000.0) == pytest.approx(20.85)


def test_an_estimate_is_never_zero():
    replace_table(TariffTable([Tariff("US", "USD")]))
    try:
        assert tariff_for("USD").cost("BUY", 10, 1_000.0) == 0.0
        assert tariff_for("EUR").cost("BUY", 10, 1_000.0) == 10.0  # 1 %
    finally:
        replace_table(None)


def test_without_any_tariff_the_estimate_is_a_hundredth_of_the_value():
    estimate = TariffTable([]).dearest("EUR", DAY)
    assert [estimate.cost(side, 10, 1_000.0) for side in ("BUY", "SELL")] == [10.0, 10.0]
    assert TariffTable([]).find("EUR", on=DAY) is None


def test_an_exchange_of_another_currency_does_not_choose_the_market():
    assert tariff_for("USD", "SMART", "IBIS").market == "US"
    assert tariff_for("EUR", "NASDAQ").market == "Euro area"
