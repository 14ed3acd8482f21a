"""Expected costs are computed by hand, or are the broker's own published examples."""

import math
from pathlib import Path

import numpy as np
import pytest

from stocklean_exec.fees import IBKR_US_FIXED
from stocklean_exec.portfolio import order_costs
from stocklean_exec.portfolio.order_costs import OrderFees, cash_prices, costs_beyond_value


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
