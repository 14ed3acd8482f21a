"""Expected values are computed by hand, in the comments."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.review.impact import MEASURES, PlanImpact
from stocklean_exec.risk.pre_trade_checks import PlanCheck

QUOTES = pd.DataFrame(
    {
        "symbol": ["SPY", "TLT", "OLD"],
        "bid": [99.99, 49.99, 29.99],
        "ask": [100.01, 50.01, 30.01],
        "quoted_at": pd.Timestamp("2026-11-23 15:00", tz="UTC"),
    }
)


def compute(quotes=QUOTES, positions=None, cash=8_800.0, nav=10_000.0, limits=None, **columns):
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "OLD"],
            "side": ["BUY", "BUY", "SELL"],
            "quantity": [10.0, 20.0, 10.0],
            "order_type": ["MKT", "LMT", "MKT"],
            "limit_price": [math.nan, 50.5, math.nan],
            "decision_price": [100.0, 50.0, 30.0],
            "current_quantity": [0.0, 0.0, 40.0],
        }
        | columns
    )
    held = {"OLD": 40} if positions is None else positions
    loose = limits or sx.Limits(min_cash_after=None)
    checked = sx.check_orders(orders, loose, quotes=quotes, positions=held, cash=cash, nav=nav)
    return checked, PlanImpact.of(PlanCheck.of(checked))


def test_totals_of_all_orders():
    _, impact = compute()
    totals = impact.totals(np.array([True, True, True]))
    assert list(totals) == list(MEASURES)
    assert totals == pytest.approx(
        {
            "orders": 3,
            "buys": 2_000.0,  # 10 x 100 and 20 x 50, at the mids
            "sells": 300.0,
            "net": 1_700.0,
            "turnover": 0.23,  # 2,300 of 10,000
            # the ask, the limit, the bid; 1 of fees for each
            # and on the sell 10 x 0.000195 to FINRA and 299.90 x 27.80 per million to the SEC
            "cash": 8_800.0 - 10 * 100.01 - 20 * 50.5 + 10 * 29.99 - 3.01028722,
            "gross": 0.29,  # 1,000 + 1,000 + 30 x 30 of 10,000
            "net_exposure": 0.29,
            "estimated_fees": 3.01028722,
            "estimated_spread_cost": 0.01 * 10
            + 0.01 * 20
            + 0.01 * 10,  # the limit is marketable: it pays the spread too
        }
    )


def test_totals_of_no_orders_are_the_present_positions():
    _, impact = compute()
    totals = impact.totals(np.zeros(3, dtype=bool))
    assert totals["cash"] == 8_800.0
    assert totals["gross"] == pytest.approx(0.12)  # 40 x 30 of 10,000
    assert [totals[name] for name in ("orders", "buys", "sells", "turnover", "estimated_fees")] == [0.0] * 5
    assert all(math.copysign(1, value) == 1 for value in totals.values())  # no negative zero


def test_cash_equals_the_figure_of_the_cash_check():
    # All are sent: 8,800 - 1,000.10 - 1,010 + 299.90 - 3.010287 = 7,086.789713. A cent more: both buys blocked.
    checked, impact = compute(limits=sx.Limits(min_cash_after=7_086.78))
    assert (checked["verdict"] == "pass").all()
    assert impact.totals(np.array([True] * 3))["cash"] == 7_086.789713
    checked, _ = compute(limits=sx.Limits(min_cash_after=7_086.79))
    assert checked["verdict"].tolist() == ["block", "block", "warn"]  # a sell that was to fund them


def test_a_short_counts_in_gross_and_against_net():
    _, impact = compute(side=["SELL", "BUY", "SELL"], limits=sx.Limits(min_cash_after=None, allow_short=True))
    totals = impact.totals(np.array([True, False, False]))
    assert totals["gross"] == pytest.approx(0.22)  # 1,200 long and 1,000 short
    assert totals["net_exposure"] == pytest.approx(0.02)


def test_a_resting_limit_order_pays_no_spread():
    _, impact = compute(limit_price=[math.nan, 50.0, math.nan])
    assert impact.totals(np.array([False, True, False]))["estimated_spread_cost"] == 0.0


def test_the_spread_cost_is_unknown_without_a_two_sided_quote():
    _, impact = compute(quotes={"SPY": 100.0, "TLT": 50.0, "OLD": 30.0})
    assert math.isnan(impact.totals(np.array([True, False, False]))["estimated_spread_cost"])
    assert impact.totals(np.zeros(3, dtype=bool))["estimated_spread_cost"] == 0.0


def test_weights_before_and_after():
    _, impact = compute()
    before, after = impact.weights()
    assert before.tolist() == pytest.approx([0.0, 0.0, 0.12])
    assert after.tolist() == pytest.approx([0.10, 0.10, 0.09])


def test_the_largest_positions_after():
    _, impact = compute(positions={"OLD": 40, "CASHLIKE": 0})
    everything = np.array([True] * 3)
    assert impact.largest(everything, 2) == [
        ("SPY", 0.0, pytest.approx(0.10)),
        ("TLT", 0.0, pytest.approx(0.10)),
    ]
    assert [symbol for symbol, *_ in impact.largest(np.zeros(3, dtype=bool))] == ["OLD"]


def test_without_a_given_nav_it_is_cash_plus_positions():
    _, impact = compute(nav=None)
    assert impact.nav == pytest.approx(8_800 + 1_200)


def test_an_unpriced_position_is_named_and_makes_nav_unknown():
    _, impact = compute(nav=None, positions={"OLD": 40, "DARK": 5})
    assert impact.unpriced == ["DARK"]
    totals = impact.totals(np.array([True] * 3))
    assert math.isnan(totals["turnover"])
    assert math.isnan(totals["gross"])
    assert totals["buys"] == 2_000.0


def test_cash_after_is_unknown_without_cash_before():
    _, impact = compute(cash=None)
    assert math.isnan(impact.totals(np.array([True] * 3))["cash"])


def test_amounts_in_several_currencies_are_not_added_up():
    _, impact = compute(currency=["USD", "EUR", "USD"])
    totals = impact.totals(np.array([True] * 3))
    assert totals.pop("orders") == 3
    assert all(math.isnan(value) for value in totals.values())
    assert np.isnan(impact.weights()[1]).all()


def test_a_rejected_order_has_no_impact():
    checked, impact = compute(status=["NEW", "NEW", "REJECTED"], reason=[None, None, "because"])
    assert checked["verdict"].tolist()[2] == "block"
    assert impact.totals(np.array([False, False, True]))["sells"] == 0.0
