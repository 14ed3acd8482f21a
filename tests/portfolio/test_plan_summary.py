"""What a plan does to the book, by hand."""

import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.plan_summary import plan_summary
from stocklean_exec.portfolio.planner import plan_orders


def _traded(orders):
    signed = orders["quantity"].where(orders["side"] == "BUY", -orders["quantity"])
    return dict(zip(orders["symbol"], signed.tolist(), strict=True))


def test_the_summary_equals_a_hand_calculation():
    # NAV 10,000, no buffer. Held: 10 A at 100 = 1,000 and 20 C at 50 = 1,000. Wanted: A 0.3, B 0.2, C 0.
    # A 30 - 10 = 20 more; B 2,000 / 30 = 66.67: 67 is 10 over, 66 is 20 under, and 5,000 of cash are there: 67.
    inputs = {
        "targets": {"A": 0.3, "B": 0.2, "C": 0.0},
        "positions": {"A": 10, "C": 20},
        "quotes": {"A": 100.0, "B": 30.0, "C": 50.0},
        "nav": 10_000,
    }
    orders = plan_orders(**inputs, run_id="run-1")
    assert _traded(orders) == {"C": -20.0, "A": 20.0, "B": 67.0}
    summary = plan_summary(orders, **inputs)
    assert summary.name == "run-1"
    assert summary.round(9).to_dict() == {
        "nav": 10_000.0,
        "orders": 3.0,
        "rejected": 0.0,
        "buys": 4_010.0,
        "sells": 1_000.0,
        "turnover": 0.501,
        "gross_before": 0.2,
        "gross_after": 0.501,
        "cash_before": 8_000.0,
        "cash_after": 4_990.0,
        "active_share_before_bp": 4_000.0,  # A 2,000 under, B 2,000 under, C 1,000 over, cash 3,000 over
        "active_share_after_bp": 10.0,
        "lower_bound_bp": 10.0,
        "gap_bp": 0.0,
        # three orders at the minimum of 1.00; on the sell 20 x 0.000195 and 1,000 x 27.80 per million
        "estimated_fees": 3.0317,
        "reserved_fees": 3.0317,
        "reserved_slippage": 8.0,  # the quotes have no spread; 0.4 % of the 2,000.00 of A, the smaller buy
        "rejected_weight": 0.0,
        "unpriced": 0.0,
    }


def test_the_summary_excludes_rejected_orders_and_reports_their_amount():
    inputs = {"targets": {"A": 0.5, "B": 0.2}, "quotes": {"A": 100.0}, "nav": 10_000}
    summary = plan_summary(plan_orders(**inputs, run_id="r"), **inputs)
    assert summary[["orders", "rejected", "rejected_weight", "unpriced"]].tolist() == [1.0, 1.0, 0.2, 1.0]
    assert summary["active_share_after_bp"] == 0


@pytest.mark.parametrize("held", [150, 151])
def test_closing_an_odd_lot_does_not_beat_the_bound(held):
    targets = pd.DataFrame({"symbol": ["A"], "weight": [0.0], "lot_size": [100]})
    inputs = {"targets": targets, "positions": {"A": held}, "quotes": {"A": 10.0}, "nav": 10_000}
    summary = plan_summary(plan_orders(**inputs, run_id="r", allow_liquidation=True), **inputs)
    assert summary[["active_share_after_bp", "lower_bound_bp", "gap_bp"]].tolist() == [0.0, 0.0, 0.0]


def test_the_summary_covers_the_edited_orders():
    inputs = {"targets": {"A": 0.5}, "quotes": {"A": 100.0}, "nav": 10_000}
    orders = plan_orders(**inputs, run_id="r")
    orders["quantity"] = 40.0
    summary = plan_summary(orders, **inputs)
    assert summary[["buys", "cash_after", "active_share_after_bp"]].tolist() == [4_000.0, 6_000.0, 1_000.0]


def test_the_summary_of_orders_in_other_symbols_is_an_error():
    orders = plan_orders({"A": 0.5}, None, {"A": 100.0}, nav=10_000, run_id="r")
    with pytest.raises(InputError) as caught:
        plan_summary(orders, {"B": 0.5}, None, {"B": 1.0}, nav=10_000)
    assert caught.value.codes == ("unlisted_order",)
    assert [problem.symbol for problem in caught.value.problems] == ["A"]


def test_the_summary_of_a_short_in_the_currency_of_the_account():
    # NAV 20,000 EUR. A: 10,000 / 300 = 33.33: 33 leave 100 EUR undone, 50 bp. B: 80 are sold short at 50.
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": [0.5, -0.2], "currency": "EUR"})
    inputs = {"targets": targets, "quotes": {"A": 300.0, "B": 50.0}, "nav": 20_000, "base_currency": "EUR"}
    orders = plan_orders(**inputs, run_id="r", allow_short=True)
    assert _traded(orders) == {"B": -80.0, "A": 33.0}
    summary = plan_summary(orders, **inputs)
    assert summary[["buys", "sells", "gross_after", "cash_after"]].tolist() == [9_900.0, 4_000.0, 0.695, 14_100.0]
    assert summary[["active_share_after_bp", "lower_bound_bp", "gap_bp"]].tolist() == pytest.approx(
        [50.0, 50.0, 0.0]
    )


def test_an_order_for_one_share_counts_as_a_buy():
    inputs = {"targets": {"A": 0.01}, "quotes": {"A": 100.0}, "nav": 10_000}
    orders = plan_orders(**inputs, run_id="r")
    assert plan_summary(orders, **inputs)["buys"] == 100.0
    assert plan_summary(orders.drop(columns="lot_size"), **inputs)["buys"] == 100.0  # as of an earlier version


def test_the_bound_of_a_fractional_plan_allows_fractional_shares():
    # 5,000 / 300 = 16.66667: 16.6667 cost a cent more than that, which is 0.01 bp; of whole shares it is 100 bp.
    inputs = {"targets": {"A": 0.5}, "quotes": {"A": 300.0}, "nav": 10_000}
    orders = plan_orders(**inputs, run_id="r", fractional=True)
    assert _traded(orders) == {"A": 16.6667}
    summary = plan_summary(orders, **inputs)
    assert summary["active_share_after_bp"] == pytest.approx(0.01)
    assert 0.0 <= summary["lower_bound_bp"] <= 0.01 + 1e-9


def test_the_bound_of_a_plan_of_lots_allows_whole_lots_alone():
    # 4,600 / 10 is 460 shares: 500 are 400 over, and 400 are 600 under.
    targets = pd.DataFrame({"symbol": ["A"], "weight": [0.46], "lot_size": [100]})
    inputs = {"targets": targets, "quotes": {"A": 10.0}, "nav": 10_000}
    orders = plan_orders(**inputs, run_id="r")
    assert _traded(orders) == {"A": 500.0}
    summary = plan_summary(orders, **inputs)
    found = summary[["active_share_after_bp", "lower_bound_bp", "gap_bp"]].tolist()
    assert found == pytest.approx([400.0, 400.0, 0.0])


def test_the_bound_of_a_fully_invested_plan_spends_no_more_than_there_is():
    # 10,000 / 600 is 16.67 shares: 17 would be 200 over, and are not there; 16 are 400 under.
    inputs = {"targets": {"A": 1.0}, "quotes": {"A": 600.0}, "nav": 10_000}
    orders = plan_orders(**inputs, run_id="r")
    assert _traded(orders) == {"A": 16.0}
    summary = plan_summary(orders, **inputs)
    found = summary[["active_share_after_bp", "lower_bound_bp", "gap_bp"]].tolist()
    assert found == pytest.approx([400.0, 400.0, 0.0])


def test_what_the_last_buy_may_cost_more_is_in_the_base_currency():
    # 40 shares at 100 euros are 5,000 dollars, of which 0.4 % must stay free; the fee is 3 euros, the minimum.
    targets = pd.DataFrame({"symbol": ["A"], "weight": [0.5], "currency": "EUR"})
    inputs = {"targets": targets, "quotes": {"A": 100.0}, "nav": 10_000, "fx": {"EUR": 1.25}}
    summary = plan_summary(plan_orders(**inputs, run_id="r"), **inputs)
    assert summary[["buys", "reserved_slippage", "estimated_fees"]].tolist() == [5_000.0, 20.0, 3.75]
