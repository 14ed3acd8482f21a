from __future__ import annotations

import math

import pytest

import stocklean_exec as sx
from stocklean_exec.review.margin_view import MARGIN_MEASURES, shows_margin
from tests.review.previewed_orders import review_previewed_orders
from tests.review.three_orders import review_three_orders


@pytest.fixture
def review():
    return review_previewed_orders()


def test_margins_are_those_of_now_and_at_most_after_the_approved_and_all_eligible_orders(review):
    review.approve("r-SPY-BUY", "r-KO-SELL")
    margins = review.margins()
    assert list(margins.index) == list(MARGIN_MEASURES)
    # KO is 1,200; SPY adds 500 and 250, TLT 500 and 250, and the sale frees what is not counted
    assert margins.loc["initial_margin"].tolist() == [600.0, 1_100.0, 1_600.0]
    assert margins.loc["maintenance_margin"].tolist() == [300.0, 550.0, 800.0]
    assert margins.loc["equity_with_loan", "now"] == 10_000.0
    costs = 10_000.0 - margins.loc["equity_with_loan", "approved"]
    assert 2.0 <= costs < 2.1  # two minima of 1.00, and the levies of the sale
    assert margins.loc["excess_liquidity", "approved"] == pytest.approx(10_000.0 - costs - 550.0)


def test_cells_are_those_of_an_order_that_was_previewed_as_it_is(review):
    cells = review.plan.margin.cells([2, 0])
    # 1.00 euro is 1.25 dollars
    assert cells == {
        "previewed_commission": [None, 1.25],
        "previewed_margin": [None, 500.0],
        "previewed_at": [None, "2026-11-23 14:56:00 UTC"],
    }
    review.edit("r-SPY-BUY", quantity=9)
    assert review.plan.margin.cells([0])["previewed_margin"] == [None]
    assert review.margins().loc["initial_margin", "passing"] == 600.0 + 450.0 + 500.0


def test_a_commission_in_a_currency_without_a_rate_is_unknown(review):
    assert review.plan.margin.rates == {"EUR": 1.25}
    assert math.isnan(review.plan.check.context.rate("GBP"))
    review.plan.margin.rates["EUR"] = math.nan
    assert review.plan.margin.cells([0])["previewed_commission"] == [None]


def test_coverage_counts_eligible_orders_and_has_the_time_of_the_oldest_preview(review):
    statuses = review.decision_status
    assert review.plan.margin.coverage_text(statuses) == "1 of 3 orders, the oldest of 2026-11-23 14:56:00 UTC"
    statuses[0] = "blocked"
    assert review.plan.margin.coverage_text(statuses) == "0 of 2 orders"


def test_margin_is_shown_with_a_preview_or_a_limit(review):
    assert shows_margin(review.plan.check)
    assert not shows_margin(review_three_orders().plan.check)
    orders = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    options = {"quotes": {"SPY": 100.0, "TLT": 50.0, "KO": 30.0}, "positions": {"KO": 40}, "cash": 10_000.0}
    limited = sx.review_orders(sx.check_orders(orders, sx.Limits(min_excess_liquidity=1.0), **options))
    assert shows_margin(limited.plan.check)
    assert limited.margins().isna().all(axis=None)
