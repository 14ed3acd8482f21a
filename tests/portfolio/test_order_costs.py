"""Expected costs are computed by hand, or are the broker's own published examples."""

import math
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.fees import IBKR_US_FIXED
from stocklean_exec.portfolio import order_costs
from stocklean_exec.portfolio.order_costs import (
    OrderFees,
    cash_prices,
    costs_beyond_value,
    decision_day,
    last_buy_margin,
)


def bought(quantity, price):
    """Fees of buys in US dollars."""
    fees = OrderFees.of(["USD"] * len(quantity))
    return fees.estimate(np.ones(len(quantity), dtype=bool), quantity, price).tolist()


@pytest.mark.parametrize(
    ("quantity", "price", "fee"),
    [(100, 25.0, 1.0), (1_000, 25.0, 5.0), (1_000, 0.25, 2.5), (0.5, 25.0, 0.01), (0, 25.0, 0.0)],
)
def test_commissions_are_those_that_the_broker_publishes(quantity, price, fee):
    assert bought(np.array([float(quantity)]), np.array([price])) == [fee]


def test_an_order_of_no_shares_has_no_commission_whatever_its_price():
    assert bought(np.zeros(2), np.array([25.0, math.nan])) == [0.0, 0.0]


def test_vectorised_commissions_equal_those_of_single_orders():
    quantity, price = np.array([1.0, 0.3, 250.0, 40_000.0]), np.array([5.0, 900.0, 0.2, 12.0])
    each = [IBKR_US_FIXED.order(*order) for order in zip(quantity.tolist(), price.tolist(), strict=True)]
    assert bought(quantity, price) == each


def test_an_unknown_quantity_has_no_commission():
    assert bought(np.array([math.nan]), np.array([25.0])) == [0.0]


def test_orders_of_several_markets_have_the_fees_of_their_own():
    fees = OrderFees.of(["USD", "EUR", "SEK", "USD"], on=date(2026, 6, 1))
    found = fees.estimate(
        np.array([True, True, True, False]), np.full(4, 1_000.0), np.array([25.0, 20.0, 10.0, 25.0])
    )
    # 1,000 x 0.005; 0.05 % of 20,000; the highest rates of all markets, 0.1 % and a tax of 0.5 %; and for the sell
    # 1,000 x 0.000195 to FINRA and 27.80 per million to the SEC on top of the 5 of the first.
    assert found.tolist() == pytest.approx([5.0, 10.0, 60.0, 5.0 + 0.195 + 0.695])
    assert (fees.without_tariff.tolist(), fees.without_tariff.dtype) == ([False, False, True, False], "bool")


def test_orders_of_two_markets_are_two_groups():
    fees = OrderFees.of(["EUR", "USD", "EUR"])
    assert [(tariff.currency, rows.tolist()) for tariff, rows in fees.groups] == [("EUR", [0, 2]), ("USD", [1])]
    # 0.05 % of 20,000, and 0.005 of 1,000 shares
    found = fees.estimate(np.ones(3, dtype=bool), np.full(3, 1_000.0), np.full(3, 20.0))
    assert found.tolist() == pytest.approx([10.0, 5.0, 10.0])


def test_orders_of_one_market_are_one_group_of_all_rows():
    fees = OrderFees.of(["USD", "USD"])
    assert [(tariff.market, rows) for tariff, rows in fees.groups] == [("US", None)]
    assert (fees.without_tariff.tolist(), fees.without_tariff.dtype) == ([False, False], "bool")
    assert OrderFees.of([]).estimate(np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0)).tolist() == []


def test_the_tariff_of_a_table_is_that_of_its_exchanges_on_the_day_of_its_latest_decision():
    orders = pd.DataFrame(
        {"exchange": ["IBIS", "smart", None, ""], "primary_exchange": [" sbf", "SBF", None, " "]}
    )
    buy, quantity, price = np.ones(4, dtype=bool), np.full(4, 100.0), np.full(4, 200.0)
    # To Xetra directly 0.1 % of 20,000; a French listing pays 0.4 % of tax on top of 0.05 %; else 0.05 %.
    assert OrderFees.of_orders(orders, ["EUR"] * 4).estimate(buy, quantity, price).tolist() == [
        20.0,
        90.0,
        10.0,
        10.0,
    ]

    def sold(**columns):
        fees = OrderFees.of_orders(pd.DataFrame(columns, index=[0, 1]), ["USD"] * 2)
        return fees.estimate(np.zeros(2, dtype=bool), np.full(2, 1_000.0), np.full(2, 25.0)).tolist()

    # Before 1 January 2026 FINRA took 0.000166 a share, and the SEC nothing.
    old = pd.to_datetime(["2025-12-30 15:00", "2025-12-31 15:00"], utc=True)
    assert sold(decided_at=old) == pytest.approx([5.166] * 2)
    assert sold(decided_at=[old[0], pd.Timestamp("2026-06-01", tz="UTC")]) == pytest.approx([5.89] * 2)
    assert sold(exchange="SMART") == pytest.approx([5.89] * 2)


def test_a_table_without_decisions_has_no_day():
    at = pd.to_datetime(["2025-12-30 23:59", None], utc=True)
    assert decision_day(pd.DataFrame({"decided_at": at})) == date(2025, 12, 30)
    assert decision_day(pd.DataFrame({"decided_at": at[1:]})) is None
    assert decision_day(pd.DataFrame({"symbol": ["A"]})) is None


@pytest.mark.parametrize(
    ("buys", "margin"),
    [
        ([(100.0, 50.0, None), (10.0, 50.0, None)], 2.0),  # 0.4 % of 500; that of 5,000, 20, is covered by 500
        ([(100.0, 500.0, None), (10.0, 5.0, None)], 150.0),  # 0.4 % of 50,000, of which 50 are covered
        ([(0.5, 100.0, None)], 0.2),
        ([(100.0, 500.0, 501.0), (10.0, 5.0, None)], 0.2),  # a limit buy has no margin: 0.4 % of 50
        ([(100.0, 500.0, 501.0)], 0.0),
        ([(0.0, 500.0, None), (10.0, math.nan, None)], 0.0),
        ([], 0.0),
    ],
)
def test_what_must_stay_free_for_the_market_buys_sent_last(buys, margin):
    quantity, value, limit = (
        (np.array(each, dtype="float64") for each in zip(*buys, strict=True)) if buys else [np.zeros(0)] * 3
    )
    side = np.ones(len(buys), dtype=bool)
    assert last_buy_margin(side, quantity, value, limit) == pytest.approx(margin)
    assert last_buy_margin(~side, quantity, value, limit) == 0.0


def test_no_other_module_computes_from_the_rates():
    users = [
        path.name
        for path in Path(order_costs.__file__).parents[1].rglob("*.py")
        if ".per_share" in path.read_text(encoding="utf-8")
    ]
    assert users == ["fees.py"]


NAN = math.nan


@pytest.mark.parametrize(
    ("buy", "price", "bid", "ask", "limit", "expected"),
    [
        pytest.param(True, 100.0, 99.0, 101.0, NAN, 101.0, id="a market buy pays the ask"),
        pytest.param(False, 100.0, 99.0, 101.0, NAN, 99.0, id="a market sell gets the bid"),
        pytest.param(True, 100.0, NAN, NAN, NAN, 100.0, id="without quotes, the last trade"),
        pytest.param(True, 100.0, 0.0, -1.0, NAN, 100.0, id="what is no price is no touch"),
        pytest.param(True, 100.0, 99.0, math.inf, NAN, 100.0, id="nor is an infinite ask"),
        pytest.param(False, 100.0, 0.0, 101.0, NAN, 100.0, id="nor a bid of zero"),
        pytest.param(True, 100.0, 97.0, 98.0, NAN, 100.0, id="a last trade above the ask is what a buy may cost"),
        pytest.param(False, 100.0, 102.0, 103.0, NAN, 100.0, id="and one below the bid what a sell may bring"),
        pytest.param(True, 100.0, NAN, 102.0, NAN, 102.0, id="an ask alone"),
        pytest.param(False, 100.0, 98.0, NAN, NAN, 98.0, id="a bid alone"),
        pytest.param(True, 100.0, 99.0, 101.0, 105.0, 105.0, id="a limit buy may cost its limit"),
        pytest.param(True, 100.0, 99.0, 101.0, 95.0, 100.0, id="a resting buy counts at the price"),
        pytest.param(False, 100.0, 99.0, 101.0, 105.0, 100.0, id="a resting sell brings no more than the price"),
        pytest.param(False, 100.0, 99.0, 101.0, 99.5, 99.5, id="a sell inside the spread brings its limit"),
        pytest.param(False, 100.0, 99.0, 101.0, 90.0, 99.0, id="a marketable sell gets the bid"),
        pytest.param(True, NAN, 99.0, 101.0, NAN, NAN, id="no price, no cash price"),
    ],
)
def test_the_cash_price_of_a_share_for_each_order_type(buy, price, bid, ask, limit, expected):
    found = cash_prices(np.array([buy]), *(np.array([value]) for value in (price, bid, ask, limit)))
    np.testing.assert_array_equal(found, [expected])


def test_the_cost_beyond_the_value_is_positive_on_both_sides():
    quantity, price = np.array([10.0, 20.0, 5.0]), np.array([100.0, 50.0, NAN])
    assert costs_beyond_value(quantity, price, np.array([100.5, 49.75, NAN])).tolist() == [5.0, 5.0, 0.0]
