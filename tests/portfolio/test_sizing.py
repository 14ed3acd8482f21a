"""Sizing: the budget and how it is spent; expected values by hand. The planner's tests cover the whole."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio import sizing
from stocklean_exec.portfolio.alignment import align
from stocklean_exec.portfolio.sizing import measure
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets


def _book(targets, positions, quotes, unlisted="error"):
    wanted = parse_targets(targets, allow_short=True, allow_liquidation=True)
    return align(wanted, parse_positions(positions), parse_quotes(quotes), unlisted=unlisted)


def whole_trades(book, lot, sizes, *, allow_short, cost=lambda _: 0.0):
    return sizing.whole_trades(book, lot, sizes, cost, allow_short=allow_short)


def test_the_desired_trade_is_signed_and_not_rounded():
    book = _book({"A": 0.5, "B": 0.0}, {"A": 10, "B": 4}, {"A": 30.0, "B": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert sizes.desired.tolist() == [500 / 30 - 10, -4.0]
    assert sizes.wanted_value.tolist() == [500.0, 0.0]
    assert sizes.budget == 1_000.0


def test_an_empty_book_needs_no_trades():
    wanted = parse_targets({}, allow_empty=True)
    book = align(wanted, parse_positions(None), parse_quotes(None), unlisted="close")
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.empty(0), sizes, allow_short=False).tolist() == []


def test_weights_over_one_are_scaled_down_unless_leverage_is_requested():
    book = replace(_book({"A": 0.5, "B": 0.5}, None, {"A": 1.0, "B": 1.0}), weight=np.array([0.6, 0.9]))
    plain, levered = (measure(book, {}, 1_500.0, keep=False, leverage=most) for most in (1.0, 2.0))
    assert plain.wanted_value.tolist() == pytest.approx([600.0, 900.0])
    assert plain.budget == 1_500.0
    assert levered.wanted_value.tolist() == pytest.approx([900.0, 1_350.0])
    assert levered.budget == 2_250.0


def test_working_orders_count_as_held():
    book = _book({"A": 0.5}, {"A": 10}, {"A": 10.0})
    assert measure(book, {"A": 15.0}, 1_000.0, keep=False, leverage=1.0).desired.tolist() == [25.0]


def test_the_value_of_kept_holdings_is_not_spent():
    # 1,000 to spend, 400 of it in B which stays: 0.6 requests 600 of A and gets it, 0.61 is too much.
    book = _book({"A": 0.6}, {"B": 40}, {"A": 7.0, "B": 10.0}, unlisted="keep")
    sizes = measure(book, {}, 1_000.0, keep=True, leverage=1.0)
    assert whole_trades(book, np.ones(2), sizes, allow_short=False).tolist() == [85.0, 0.0]  # 595; 86 are 602
    too_much = _book({"A": 0.61}, {"B": 40}, {"A": 7.0, "B": 10.0}, unlisted="keep")
    why = "remaining holdings of 400.00 exceed the budget of 1,000.00.*insufficient_cash"
    with pytest.raises(InputError, match=why):
        whole_trades(
            too_much, np.ones(2), measure(too_much, {}, 1_000.0, keep=True, leverage=1.0), allow_short=False
        )


def test_the_cash_of_a_target_without_a_price_is_not_spent():
    book = _book({"A": 0.5, "B": 0.5}, None, {"A": 30.0})
    trade = whole_trades(book, np.ones(2), measure(book, {}, 1_000.0, keep=False, leverage=1.0), allow_short=False)
    assert trade[0] == 16.0  # 480 of its 500; 17 would take 10 from B
    assert math.isnan(trade[1])


def test_a_rejected_symbol_counts_with_its_holding_and_not_its_target():
    # B stays at 100 and does not grow to 500: A has 900 for its 500, enough to round 16.67 shares up.
    book = _book({"A": 0.5, "B": 0.5}, {"B": 10}, {"A": 30.0, "B": 10.0})
    book = book.with_rejections({1: ("open_order_exists", "")})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(2), sizes, allow_short=False).tolist() == [17.0, 40.0]


def test_a_fractional_position_is_closed_completely():
    # 0.0003 / 0.0001 is 2.9999999999999996 in floating point.
    book = _book({"A": 0.0}, {"A": 0.0003}, {"A": 10.0})
    sizes = measure(book, {}, 10_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.array([0.0001]), sizes, allow_short=False).tolist() == [-0.0003]


@pytest.mark.parametrize(("budget", "left"), [(65.0, [5.0, 5.0]), (60.0, [5.0, 3.0]), (45.0, [4.0, 0.0])])
def test_a_book_over_its_budget_drops_the_cheapest_buys_first(budget, left):
    # Five at 10 and five at 3 are 65: 60 takes two lots at 3, and 45 all of them and one at 10.
    trade = np.array([5.0, 5.0])
    within = sizing._within_budget(trade, np.ones(2), np.array([10.0, 3.0]), np.zeros(2), budget)
    assert within.tolist() == left
    assert trade.tolist() == [5.0, 5.0]  # what was given is left as it was


def test_the_cheapest_buy_is_the_one_whose_lot_costs_least():
    # Five at 10 and fifty at 3 are 200. One share at 10 is given up, and not a lot of ten at 3.
    trade = np.array([5.0, 50.0])
    within = sizing._within_budget(trade, np.array([1.0, 10.0]), np.array([10.0, 3.0]), np.zeros(2), 190.0)
    assert within.tolist() == [4.0, 50.0]


def test_what_a_lot_leaves_over_is_spent_at_the_value_of_its_lots():
    # A wants 306, and a lot of ten is 300. The 6 that are left fill B's 69.4 shares up to 70.
    book = _book({"A": 0.306, "B": 0.694}, None, {"A": 30.0, "B": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.array([10.0, 1.0]), sizes, allow_short=False).tolist() == [10.0, 70.0]


def test_a_position_is_sold_down_to_its_weight():
    book = _book({"A": 0.05}, {"A": 10}, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=False).tolist() == [-5.0]


def test_a_position_is_closed_to_the_last_whole_share_whatever_its_lot():
    book = _book({"A": 0.0}, {"A": 150.5}, {"A": 10.0})
    sizes = measure(book, {}, 10_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.array([100.0]), sizes, allow_short=False).tolist() == [-150.0]
    assert whole_trades(book, np.array([0.0001]), sizes, allow_short=False).tolist() == [-150.5]


def test_a_decimal_budget_buys_what_decimal_arithmetic_allows():
    # 0.29 x 100 is 28.999999999999996 in floating point, and 29 shares at 1.00 in decimal arithmetic.
    book = _book({"A": 0.29}, None, {"A": 1.0})
    sizes = measure(book, {}, 100.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=False).tolist() == [29.0]


def test_an_unsellable_fractional_share_reduces_the_targets_without_an_error():
    # Of 10.5 B at 10, ten are sold; the half that stays leaves 995 of 1,000 for A.
    book = _book({"A": 1.0}, {"B": 10.5}, {"A": 10.0, "B": 10.0}, unlisted="close")
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(2), sizes, allow_short=False).tolist() == [99.0, -10.0]


def test_without_costs_nothing_is_reserved():
    book = _book({"A": 1.0}, None, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=False).tolist() == [100.0]


def test_a_rejected_row_shows_the_whole_position_where_it_was_to_be_closed():
    book = _book({"A": 0.5, "B": 0.0}, {"B": 10}, {"A": 50.0})
    book = book.with_rejections({1: ("price_unavailable", "")})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(2), sizes, allow_short=False).tolist() == [10.0, -10.0]


def test_costs_are_reserved_until_the_remaining_cash_covers_them():
    # 1 for each share: 1,000 / 10 = 100 shares leave nothing; 91 leave 90, and need 91; 90 leave 100.
    book = _book({"A": 1.0}, None, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    trade = whole_trades(book, np.ones(1), sizes, allow_short=False, cost=lambda trade: float(np.abs(trade).sum()))
    assert trade.tolist() == [90.0]


def test_costs_that_rise_as_the_plan_shrinks_are_covered_in_few_rounds():
    # Each round costs 0.002 more than the one before. A reserve of 1.000 is not enough, and instead of 1.002 a
    # hundredth more is tried: 1.01, which covers the 1.004 of the third round and leaves 998.99 for shares at 10.
    book = _book({"A": 1.0}, None, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    costs = iter([1.000, 1.002, 1.004])
    trade = whole_trades(book, np.array([0.0001]), sizes, allow_short=False, cost=lambda _: next(costs))
    assert trade.tolist() == [99.899]


def test_the_commission_of_a_sell_makes_no_further_sell():
    # 101 B have a value of 1,010, the budget is 1,000. One is sold, the target being 999; no second one is sold
    # for its commission of 1. The target of 1.00 in C is a hundredth of a share.
    book = _book({"B": 0.999, "C": 0.001}, {"B": 101}, {"B": 10.0, "C": 100.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    trade = whole_trades(book, np.ones(2), sizes, allow_short=False, cost=lambda _: 1.0)
    assert trade.tolist() == [-1.0, 0.0]


def test_a_cost_that_cannot_be_paid_buys_nothing():
    book = _book({"A": 1.0}, None, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=False, cost=lambda _: 1_000.0).tolist() == [0.0]


def test_the_insufficient_cash_error_names_holdings_that_cannot_be_sold():
    book = _book({"A": 1.0, "B": 0.0}, {"B": 50}, {"A": 10.0, "B": 10.0})
    book = book.with_rejections({1: ("open_order_exists", "a sell works")})
    with pytest.raises(InputError, match=r"B \(open_order_exists: a sell works\) \[insufficient_cash\]"):
        whole_trades(book, np.ones(2), measure(book, {}, 1_000.0, keep=False, leverage=1.0), allow_short=False)


def test_a_fractional_share_is_not_rounded_into_a_short_position():
    # 0.5 shares held, 0.1 wanted: the trade of -0.4 rounds down to -1, and half a share cannot pay for that.
    book = _book({"A": 1.0}, {"A": 0.5}, {"A": 100.0})
    sizes = measure(book, {}, 10.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=False).tolist() == [0.0]


def test_proceeds_of_working_sells_in_a_rejected_symbol_are_not_spent():
    # B's 10 shares, a value of 100, may remain: 900 of the 1,000 are left, and 13 shares of A at 70 would be 910.
    book = _book({"A": 0.9}, {"B": 10}, {"A": 70.0, "B": 10.0}, unlisted="close")
    book = book.with_rejections({1: ("open_order_exists", "")})
    sizes = measure(book, {"B": -10.0}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(2), sizes, allow_short=False)[0] == 12.0


def test_cash_that_is_free_is_the_budget_less_everything_that_is_held():
    book = _book({"A": 0.6}, {"A": 50, "B": 40}, {"A": 7.0, "B": 10.0}, unlisted="keep")
    sizes = measure(book, {}, 1_000.0, keep=True, leverage=1.0)
    assert sizing.free_cash(book, sizes) == 250.0  # 1,000 - 350 - 400
    assert sizing.free_cash(book, measure(book, {"A": 10.0}, 1_000.0, keep=True, leverage=1.0)) == 180.0
    # Working sells count as sold, where their symbol is not rejected: 10 of A bring 70.
    assert sizing.free_cash(book, measure(book, {"A": -10.0}, 1_000.0, keep=True, leverage=1.0)) == 320.0


def test_a_position_is_closed_in_lots_of_the_exchange_also_of_two():
    steps = sizing.closing_steps(np.array([100.0, 1.0]), np.array([2.0, 2.0]))
    assert steps.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("allow_short", [False, True])
def test_a_holding_of_no_weight_is_sold_in_part_where_its_size_says_so(allow_short):
    book = _book({"A": 0.0}, {"A": 50}, {"A": 10.0})
    sizes = measure(book, {}, 1_000.0, keep=False, leverage=1.0)
    assert whole_trades(book, np.ones(1), sizes, allow_short=allow_short).tolist() == [-50.0]
    part = replace(sizes, desired=np.array([-20.0]), wanted_value=np.array([300.0]))
    assert whole_trades(book, np.ones(1), part, allow_short=allow_short).tolist() == [-20.0]
