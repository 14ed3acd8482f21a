from __future__ import annotations

import math

import numpy as np
import pytest

from stocklean_exec.risk.margins import AccountMargin, MarginPreview
from stocklean_exec.risk.plan_margin import MarginBook, MarginOrders, PlanMargin

NAN = math.nan
BEFORE = AccountMargin(1_000.0, 500.0, 10_000.0)


def book_of(names, held, price, **more):
    zeros = np.zeros(len(names))
    price = np.array(price, dtype="float64")
    options = {"dollars": price, "bought": zeros, "sold": zeros} | more
    arrays = {name: np.array(values, dtype="float64") for name, values in options.items() if name != "costs"}
    return MarginBook(list(names), np.array(held, dtype="float64"), price, costs=more.get("costs", 0.0), **arrays)


def preview(initial=0.0, maintenance=0.0, equity=0.0, at=None):
    """A preview that changes margins by these, and takes this of the equity."""
    before, after = 10_000.0 - 500.0, 10_000.0 - equity - 500.0 - maintenance
    return MarginPreview(
        *(1.0, None, 1_000.0 + initial, after, ""),
        *(1_000.0, 500.0 + maintenance, 500.0, before),
        at=at,
    )


def plan(rows, book, *, margin=True, before=BEFORE, fees=1.0, slippage=0.0):
    """A plan of rows of symbol, signed shares and preview."""
    codes = np.array([book.names.index(name) for name, _, _ in rows], dtype="int64")
    signed = np.array([shares for _, shares, _ in rows], dtype="float64")
    cost = np.full(len(rows), fees), np.full(len(rows), slippage)
    return PlanMargin(before, margin, MarginOrders(codes, signed, *cost, [one for _, _, one in rows]), book)


def added(made, chosen=None):
    """What a plan adds to initial margin and maintenance margin, and takes of equity."""
    after = made.after(np.ones(len(made.orders.signed), dtype=bool) if chosen is None else np.array(chosen))
    return (
        after.initial_margin - BEFORE.initial_margin,
        after.maintenance_margin - BEFORE.maintenance_margin,
        BEFORE.equity_with_loan - after.equity_with_loan,
    )


@pytest.mark.parametrize(
    ("held", "signed", "opened", "rate"),
    [
        (0.0, 10.0, 10.0, 0.25),
        (5.0, 10.0, 10.0, 0.25),
        (0.0, -10.0, 10.0, 0.30),
        (-5.0, -10.0, 10.0, 0.30),
        (10.0, -4.0, 0.0, 0.30),  # a sale frees nothing, and adds nothing
        (-10.0, 4.0, 0.0, 0.25),
        (10.0, -30.0, 20.0, 0.30),  # 10 long become 20 short
        (-10.0, 30.0, 20.0, 0.25),
    ],
)
def test_without_a_preview_shares_that_open_a_position_count_by_regulation_t(held, signed, opened, rate):
    made = plan([("A", signed, None)], book_of("A", [held], [100.0]))
    assert added(made) == (opened * 50.0, opened * 100.0 * rate, 1.0)


@pytest.mark.parametrize(
    ("price", "maintenance", "initial"),
    [
        (2.0, 2.5, 2.5),  # 2.50 a share below 5.00, which is more than the value
        (4.0, 4.0, 4.0),  # the value, which is more than 2.50
        (10.0, 5.0, 5.0),  # 5.00 a share from 5.00 on, which is more than 30 %
        (100.0, 30.0, 50.0),
    ],
)
def test_short_positions_at_low_prices_need_dollars_a_share(price, maintenance, initial):
    made = plan([("A", -10.0, None)], book_of("A", [0.0], [price]))
    assert added(made)[:2] == pytest.approx((initial * 10, maintenance * 10))


def test_the_dollar_amounts_count_in_the_base_currency_and_for_dollar_shares_alone():
    pounds = plan([("A", -10.0, None)], book_of("A", [0.0], [8.0], dollars=[10.0]))
    assert added(pounds)[:2] == pytest.approx((40.0, 40.0))  # 5.00 dollars are 4.00 pounds
    others = plan([("A", -10.0, None)], book_of("A", [0.0], [8.0], dollars=[NAN]))
    assert added(others)[:2] == pytest.approx((40.0, 24.0))


def test_the_preview_of_the_only_order_of_a_symbol_counts_and_nothing_that_it_frees():
    book = book_of("AB", [0.0, 50.0], [100.0, 100.0])
    made = plan([("A", 10.0, preview(300.0, 250.0, 1.5)), ("B", -50.0, preview(-2_500.0, -1_250.0, 2.0))], book)
    assert added(made) == (300.0, 250.0, 3.5)
    assert added(made, [False, True]) == (0.0, 0.0, 2.0)
    assert made.bases(np.array([True, True])) == ["preview", "preview"]


def test_what_a_preview_does_not_say_counts_by_regulation_t():
    silent = preview(300.0, 250.0)._replace(maintenance_margin=None)
    assert added(plan([("A", 10.0, silent)], book_of("A", [0.0], [100.0]))) == (300.0, 250.0, 1.0)


def test_the_price_of_a_fill_and_fees_that_a_preview_leaves_out_are_taken_from_the_equity():
    book = book_of("A", [0.0], [100.0])
    # The fee of 4.00 is more than the 1.00 of the preview; 0.50 is the distance to the price of the fill.
    assert added(plan([("A", 10.0, preview(equity=1.0))], book, fees=4.0, slippage=0.5))[2] == 4.5
    assert added(plan([("A", 10.0, None)], book, fees=4.0, slippage=0.5))[2] == 4.5


def test_orders_of_one_symbol_count_together():
    book = book_of("A", [10.0], [100.0])
    # Each of two sales alone leaves a long position, or none; both leave 10 short.
    sales = plan([("A", -10.0, preview(-500.0)), ("A", -10.0, preview(-500.0))], book)
    assert added(sales)[:2] == (1_000.0, 300.0)  # 10 short need 500; but the previews change 1,000
    assert added(plan([("A", -10.0, None)] * 2, book))[:2] == (500.0, 300.0)
    # Of purchases and sales the side that needs more: 30 bought, or 20 sold of 10.
    both = plan([("A", 30.0, None), ("A", -20.0, None)], book)
    assert added(both)[:2] == (1_500.0, 750.0)
    assert added(both, [False, True])[:2] == (500.0, 300.0)
    assert both.bases(np.array([True, True])) == ["regulation_t"]


def test_working_orders_count_with_those_of_the_plan_and_alone():
    book = book_of("AB", [0.0, 0.0], [100.0, 10.0], bought=[5.0, 7.0], costs=3.0)
    made = plan([("A", 10.0, preview(500.0, 250.0, 1.0))], book)
    # 15 A at 100 and 7 B at 10
    assert added(made) == (750.0 + 35.0, 375.0 + 17.5, 1.0 + 3.0)
    assert added(made, [False]) == (250.0 + 35.0, 125.0 + 17.5, 3.0)
    assert made.bases(np.array([True])) == ["regulation_t", "regulation_t"]


def test_where_positions_offset_each_other_every_order_counts_in_full():
    # Long 10 A at 100, hedged by B or by C: each preview alone frees margin, and both together need not.
    book = book_of("ABC", [10.0, 0.0, 0.0], [100.0, 100.0, 100.0])
    hedges = [("B", -10.0, preview(-150.0, -150.0)), ("C", -10.0, preview(-150.0, -150.0))]
    made = plan([*hedges, ("A", -10.0, preview(-150.0, -150.0))], book)
    assert made.has_offsets
    assert added(made)[:2] == (1_500.0, 900.0)
    assert made.bases(np.ones(3, dtype=bool)) == ["regulation_t"] * 3


@pytest.mark.parametrize(("maintenance", "expected"), [(250.0, False), (200.0, False), (150.0, True)])
def test_an_order_that_enlarges_a_position_for_less_than_a_quarter_shows_offsets(maintenance, expected):
    made = plan([("A", 10.0, preview(500.0, maintenance))], book_of("A", [0.0], [100.0]))
    assert made.has_offsets is expected
    crossing = plan([("A", 10.0, preview(0.0, 0.0))], book_of("A", [-5.0], [100.0]))
    assert not crossing.has_offsets


def test_a_purchase_of_an_account_that_may_be_a_cash_account_takes_its_whole_value():
    book = book_of("AB", [0.0, 50.0], [100.0, 100.0])
    rows = [("A", 10.0, None), ("B", -50.0, None)]
    assert added(plan(rows, book, margin=False)) == (1_000.0, 0.0, 1_002.0)
    previewed = plan([("A", 10.0, preview(0.0, 0.0, 1_001.0))], book, margin=False)
    assert added(previewed) == (0.0, 0.0, 1_001.0)
    assert not previewed.has_offsets


def test_what_is_not_known_is_unknown_and_never_zero():
    book = book_of("AB", [0.0, 0.0], [100.0, NAN], bought=[0.0, 5.0])
    made = plan([("A", 10.0, None)], book)
    assert np.isnan(added(made)[:2]).all()
    assert added(made)[2] == 1.0
    unknown = plan([("A", 10.0, None)], book_of("A", [0.0], [100.0]), before=AccountMargin())
    assert np.isnan(unknown.after(np.array([True]))).all()


def test_only_orders_that_may_add_margin_are_named():
    book = book_of("ABC", [0.0, 50.0, 0.0], [100.0, 100.0, NAN])
    rows = [("A", 10.0, None), ("B", -50.0, None), ("C", 5.0, None), ("A", 0.0, None)]
    made = plan(rows, book)
    assert made.adding(np.ones(4, dtype=bool)).tolist() == [True, False, True, False]
    assert made.adding(np.zeros(4, dtype=bool)).tolist() == [False] * 4
    assert made.bases(np.ones(4, dtype=bool)) == ["regulation_t", "frees", "regulation_t"]
    assert made.bases(np.zeros(4, dtype=bool)) == [None] * 3


def test_coverage_is_the_number_of_orders_and_previews_and_the_oldest():
    book = book_of("ABC", [0.0] * 3, [100.0] * 3)
    made = plan([("A", 1.0, preview(at=20.0)), ("B", 1.0, preview(at=10.0)), ("C", 1.0, None)], book)
    assert made.coverage(np.ones(3, dtype=bool)) == (3, 2, 10.0)
    assert made.coverage(np.array([True, False, True])) == (2, 1, 20.0)
    assert made.coverage(np.array([False, False, True])) == (1, 0, None)
