"""Bands, minimum and cap on turnover, through the planner; every number by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.portfolio import trade_bands
from stocklean_exec.portfolio.sizing import Sizes
from stocklean_exec.portfolio.trade_bands import TradeRules

# NAV 10,000 and shares of 10: one share is 10 basis points. A is 30 over its target, B 10 under, C 20 under.
THIRDS = {"A": 0.3, "B": 0.3, "C": 0.3}
HELD = {"A": 330, "B": 290, "C": 280}
PRICES = dict.fromkeys("ABCDE", 10.0)


def plan(targets=THIRDS, positions=HELD, quotes=PRICES, **options):
    options = {"nav": 10_000, "run_id": "r", "reserve": 0} | options
    return sx.plan_orders(targets, positions, quotes, **options)


def trades(orders):
    signed = orders["quantity"].where(orders["side"] == "BUY", -orders["quantity"])
    return dict(zip(orders["symbol"], signed, strict=True))


def left_out(orders):
    rows = sx.held_back(orders).round(6).itertuples(index=False)
    return {symbol: (wish, notional, reason) for symbol, wish, notional, reason in rows}


def test_without_rules_everything_is_traded():
    assert trades(plan()) == {"A": -30, "B": 10, "C": 20}
    assert left_out(plan()) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 2 % of NAV: C deviates by exactly that, and is inside.
        ({"band": 0.02}, {"A": -30}),
        ({"band": 0.0199}, {"A": -30, "C": 20}),
        ({"band": 0.02, "band_to": "edge"}, {"A": -10}),
        ({"band": 0.02, "band_to": 0.5}, {"A": -20}),
        # 5 % of a target of 30 % are 1.5 %.
        ({"band": 0.05, "band_kind": "relative"}, {"A": -30, "C": 20}),
        ({"band": 0.05, "band_kind": "relative", "band_to": "edge"}, {"A": -15, "C": 5}),
        ({"band": 0.0}, {"A": -30, "B": 10, "C": 20}),
        ({"min_notional": 200.0}, {"A": -30, "C": 20}),
        ({"min_notional": 200.01}, {"A": -30}),
        ({"band": 0.01, "band_to": "edge", "min_notional": 150.0}, {"A": -20}),
        # Two-way: 60 are wished, and the largest deviations have 30: 30 - 15, 20 - 5, 10 - 0 if that is the rest.
        ({"max_turnover": 0.03}, {"A": -20, "C": 10}),
        ({"max_turnover": 0.06}, {"A": -30, "B": 10, "C": 20}),
        ({"max_turnover": 0.03, "min_notional": 150.0}, {"A": -30}),
    ],
    ids=str,
)
def test_a_rule_leaves_out_what_it_says(options, expected):
    assert trades(plan(**options)) == expected


def test_what_is_left_out_is_listed_with_its_reason():
    assert left_out(plan(band=0.02)) == {"B": (10, 100, "inside_band"), "C": (20, 200, "inside_band")}
    assert left_out(plan(band=0.02, band_to="edge"))["A"] == (-20, -200, "inside_band")
    assert left_out(plan(min_notional=150.0)) == {"B": (10, 100, "below_min_notional")}
    assert left_out(plan(max_turnover=0.03)) == {
        "A": (-10, -100, "turnover_cap"),
        "B": (10, 100, "turnover_cap"),
        "C": (10, 100, "turnover_cap"),
    }
    assert left_out(plan(band=0.01, max_turnover=0.03))["B"] == (10, 100, "inside_band")
    # C alone is above the minimum, and 100 of it would not be: the cap keeps it out.
    assert left_out(plan(max_turnover=0.03, min_notional=150.0)) == {
        "B": (10, 100, "below_min_notional"),
        "C": (20, 200, "turnover_cap"),
    }


def test_what_the_smallest_orders_free_lifts_others_above_the_minimum():
    # 300, 280 and 260 within 240 are 100, 80 and 60; without the last, 130 and 110.
    orders = plan(positions={"A": 330, "B": 272, "C": 274}, max_turnover=0.024, min_notional=100.0)
    assert trades(orders) == {"A": -13, "B": 11}
    assert left_out(orders)["C"] == (26, 260, "turnover_cap")


def test_a_name_that_is_held_back_is_not_moved_to_pay_for_another_one():
    # The reserve for fees is paid by what is traded, A and C: B keeps every share.
    orders = plan({"A": 0.34, "B": 0.33, "C": 0.33}, {"A": 330, "B": 340, "C": 330}, band=0.015, reserve="auto")
    assert trades(orders) == {}
    orders = plan({"A": 0.4, "B": 0.3, "C": 0.3}, {"A": 370, "B": 310, "C": 320}, band=0.015, reserve="auto")
    assert set(trades(orders)) == {"A", "C"}
    assert left_out(orders)["B"] == (-10, -100, "inside_band")


def test_what_is_not_sold_does_not_pay_for_buys():
    # A sells 150, and B and C keep 50 each that they would have sold: D buys 15 of the 25 that it wants.
    targets, held = {"A": 0.4, "B": 0.2, "C": 0.2, "D": 0.2}, {"A": 415, "B": 205, "C": 205, "D": 175}
    orders = plan(targets, held, band=0.01)
    assert trades(orders) == {"A": -15, "D": 15}
    assert left_out(orders)["D"] == (10, 100, "not_affordable")
    # Two buys of 150 and 100 have 150: both become 50 smaller, so that equal deviations remain.
    targets = {"A": 0.3, "B": 0.2, "C": 0.2, "D": 0.15, "E": 0.15}
    held = {"A": 315, "B": 205, "C": 205, "D": 135, "E": 140}
    assert trades(plan(targets, held, band=0.0099)) == {"A": -15, "D": 10, "E": 5}


def test_debts_are_not_raised_by_buys():
    # Cash is -200, and no sell is outside its band.
    assert trades(plan({"A": 0.4, "B": 0.6}, {"A": 430, "B": 590}, band=0.05)) == {}


def test_targets_that_are_never_affordable_are_refused_as_without_rules():
    with pytest.raises(sx.InputError) as caught:
        plan({"A": 1.0}, {"B": 500}, band=0.01, unlisted="keep")
    assert caught.value.codes == ("insufficient_cash",)


@pytest.mark.parametrize(
    ("options", "sold"),
    [
        ({"band": 0.02}, None),  # the band covers the whole holding of 1 %
        ({"band": 0.005}, -10),
        ({"band": 0.005, "band_to": "edge"}, -10),  # in full
        ({"band": 0.5, "band_kind": "relative", "band_to": "edge"}, -10),
        ({"min_notional": 101.0}, None),
        ({"min_notional": 100.0}, -10),
    ],
    ids=str,
)
def test_a_holding_that_is_to_be_closed_is_sold_in_full_or_not_at_all(options, sold):
    for target, unlisted in (({"A": 0.3, "E": 0.0}, "error"), ({"A": 0.3}, "close")):
        orders = plan(target, {"A": 300, "E": 10}, unlisted=unlisted, **options)
        assert trades(orders).get("E") == sold
        assert ("E" in left_out(orders)) == (sold is None)


def test_only_the_cap_sells_a_part_of_a_holding_that_is_to_be_closed():
    for allow_short in (False, True):
        orders = plan(
            {"A": 0.3}, {"A": 300, "E": 300}, unlisted="close", max_turnover=0.2, allow_short=allow_short
        )
        assert trades(orders) == {"E": -200}
        assert left_out(orders) == {"E": (-100, -1000, "turnover_cap")}


def test_a_new_name_inside_an_absolute_band_is_not_bought():
    orders = plan({"A": 0.3, "B": 0.005}, {"A": 300}, band=0.01)
    assert trades(orders) == {}
    assert left_out(orders) == {"B": (5, 50, "inside_band")}
    assert "below_one_lot" not in set(sx.input_warnings(orders)["code"])  # it is not the lots that keep it out


def test_an_order_that_the_rounding_brings_below_the_minimum_is_left_out():
    # 520 of a share of 400 is one share.
    orders = plan({"A": 0.052}, None, {"A": 400.0}, min_notional=500.0)
    assert trades(orders) == {}
    assert left_out(orders) == {"A": (1.3, 520, "below_min_notional")}


def test_the_rounding_does_not_exceed_the_cap():
    # 1.75 shares each are wished, 2 and 2 are nearest, and worth more than the cap, which takes off only 1.
    orders = plan({"A": 0.0175, "B": 0.0175}, None, {"A": 100.0, "B": 100.0}, max_turnover=0.0349)
    assert orders["notional"].sum() <= 349
    assert sum(trades(orders).values()) == 3
    # Whole orders go where the cap is less than a lot.
    orders = plan({"A": 0.02}, None, {"A": 100.0}, max_turnover=0.009)
    assert trades(orders) == {}
    assert left_out(orders) == {"A": (2, 200, "turnover_cap")}


def test_lots_are_taken_off_where_the_rounding_has_added_most():
    # Shares of 50: 10.2, 10.4 and 10.6 were chosen and 11 of each rounded to. The cap is 90 less than all: two
    # shares go, of the two buys that are furthest above, and the sell stays while there are buys.
    price, trade = np.full(4, 50.0), np.array([11.0, 11.0, 11.0, -11.0])
    chosen = np.array([10.2, 10.4, 10.6, -10.0])
    zero = np.zeros(4)
    sizes = Sizes(zero, chosen, np.zeros(4, dtype=bool), zero, 0.0)
    rules = TradeRules.of(max_turnover=0.211)  # 2,110 of 10,000; 2,200 are traded
    cut = trade_bands._within_cap(trade, sizes, price, np.ones(4), np.ones(4, dtype=bool), rules, 10_000.0)
    assert cut.tolist() == [10.0, 10.0, 11.0, -11.0]
    # What is more than the buys comes off the sells.
    rules = TradeRules.of(max_turnover=0.05)
    cut = trade_bands._within_cap(trade, sizes, price, np.ones(4), np.ones(4, dtype=bool), rules, 10_000.0)
    assert cut.tolist() == [0.0, 0.0, 0.0, -10.0]


def test_a_single_share_that_the_rounding_added_is_taken_off_like_any_other():
    # 0.4 and 10.5 were chosen: 0.6 and 0.5 of a share too many. The cap is one share less than the 12.
    zero = np.zeros(2)
    sizes = Sizes(zero, np.array([0.4, 10.5]), np.zeros(2, dtype=bool), zero, 0.0)
    rules = TradeRules.of(max_turnover=0.055)
    trade, price = np.array([1.0, 11.0]), np.full(2, 50.0)
    cut = trade_bands._within_cap(trade, sizes, price, np.ones(2), np.ones(2, dtype=bool), rules, 10_000.0)
    assert cut.tolist() == [0.0, 11.0]


def test_a_trade_of_less_than_a_billionth_of_nav_is_none():
    # A billionth of 10,000 is 0.00001.
    wish = np.array([100.0, 5e-6, -5e-6, 2e-5])
    wishes = trade_bands._Wishes(np.ones(4, dtype=bool), wish, wish, np.full(4, None))
    _, moves, is_capped = trade_bands._limited(wishes, TradeRules(), None, np.inf, 10_000.0)
    assert (moves.tolist(), is_capped) == ([100.0, 0.0, 0.0, 2e-5], False)


def test_weights_and_absolute_bands_are_of_the_same_whole():
    # With a buffer of 10 % a weight of 0.3 is 2,700, and a band of 2 % is 180: A is 180 over.
    held = {"A": 288, "B": 270}
    assert trades(plan({"A": 0.3, "B": 0.3}, held, cash_buffer=0.1, band=0.02)) == {}
    assert trades(plan({"A": 0.3, "B": 0.3}, held, cash_buffer=0.1, band=0.0199)) == {"A": -18}


def test_shorts_have_a_band_around_their_target():
    targets, held = {"A": -0.3, "B": 0.5}, {"A": -320, "B": 500}
    options = {"allow_short": True, "band_kind": "relative"}
    assert trades(plan(targets, held, band=0.05, **options)) == {"A": 20}
    assert trades(plan(targets, held, band=0.05, band_to="edge", **options)) == {"A": 5}
    assert trades(plan(targets, held, band=0.07, **options)) == {}


def test_other_currencies_count_in_the_base_currency():
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.5, "currency": "EUR"})
    held = pd.DataFrame({"symbol": ["A"], "quantity": 380.0, "currency": "EUR"})
    # 380 x 10 x 1.25 = 4,750: 250 dollars under, 200 euro.
    options = {"positions": held, "quotes": {"A": 10.0}, "fx": {"EUR": 1.25}}
    assert trades(plan(targets, min_notional=250.0, **options)) == {"A": 20}
    assert trades(plan(targets, min_notional=251.0, **options)) == {}


def test_a_symbol_that_cannot_trade_stays_a_rejected_row():
    orders = plan(quotes={"A": 10.0, "B": 10.0}, band=0.02)
    assert orders.loc[orders["symbol"] == "C", "reason"].tolist() == ["price_unavailable"]
    assert "C" not in left_out(orders)


def test_holdings_that_stay_take_no_part():
    orders = plan({"A": 0.3}, {"A": 330, "E": 100}, unlisted="keep", max_turnover=0.02)
    assert trades(orders) == {"A": -20}
    assert set(left_out(orders)) == {"A"}


PAIR = pd.DataFrame([[0.09, 0.0899, 0], [0.0899, 0.09, 0], [0, 0, 0.09]], list("ABC"), list("ABC"))
BY_FACTORS = sx.FactorCovariance(
    pd.DataFrame({"pair": [1.0, 1.0, 0.0]}, list("ABC")),
    pd.DataFrame({"pair": [0.0899]}, ["pair"]),
    pd.Series([0.0001, 0.0001, 0.09], list("ABC")),
)


@pytest.mark.parametrize("covariance", [PAIR, BY_FACTORS], ids=["matrix", "factors"])
def test_a_covariance_trades_what_does_not_cancel_out(covariance):
    # A and B deviate more than C, by 30 and -30, and are nearly one bet.
    held = {"A": 330, "B": 270, "C": 280}
    assert trades(plan(positions=held, max_turnover=0.02)) == {"A": -10, "B": 10}
    assert trades(plan(positions=held, max_turnover=0.02, covariance=covariance)) == {"C": 20}


def test_a_covariance_without_a_cap_is_checked_and_named_as_unused():
    orders = plan(covariance=PAIR)
    assert trades(orders) == trades(plan())
    assert "covariance_unused" in set(sx.input_warnings(orders)["code"])
    assert "covariance_unused" not in set(sx.input_warnings(plan(covariance=PAIR, max_turnover=1.0))["code"])
    with pytest.raises(sx.InputError) as caught:
        plan(covariance=PAIR.iloc[:2, :2])
    assert caught.value.codes == ("covariance_missing",)


def test_every_invalid_option_is_named():
    with pytest.raises(sx.InputError) as caught:
        plan(band=-0.1, band_kind="wide", band_to="middle", min_notional=-5, max_turnover=0)
    assert [problem.column for problem in caught.value.problems] == [
        *("band", "band_kind", "band_to", "min_notional", "max_turnover"),
    ]
    for options in ({"band": 1.0}, {"band": "5%"}, {"band_to": 1.5}, {"band_to": None}, {"max_turnover": "all"}):
        with pytest.raises(sx.InputError) as caught:
            TradeRules.of(**options)
        assert caught.value.codes == ("option_invalid",)


@given(
    seed=st.integers(0, 10_000),
    band=st.sampled_from([None, 0.0, 0.002, 0.02]),
    kind=st.sampled_from(["absolute", "relative"]),
    to=st.sampled_from(["edge", "target", 0.5]),
    least=st.sampled_from([None, 50.0, 500.0]),
    cap=st.sampled_from([None, 0.01, 0.1, 3.0]),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_every_plan_keeps_to_its_rules(seed, band, kind, to, least, cap):
    rng = np.random.default_rng(seed)
    names = [f"S{number}" for number in range(12)]
    prices = dict(zip(names, np.round(rng.uniform(5, 400, 12), 2), strict=True))
    weights = dict(zip(names, np.round(rng.dirichlet(np.ones(12)), 4) * 0.98, strict=True))
    weights["S0"] = 0.0
    nav = 50_000.0
    drifted = {name: weights[name] * nav / prices[name] * rng.uniform(0.7, 1.3) for name in names}
    scale = min(1.0, nav / sum(drifted[name] * prices[name] for name in names))
    held = {name: float(int(shares * scale)) for name, shares in drifted.items()} | {"S0": 3.0}
    nav = max(nav, sum(held[name] * prices[name] for name in names))
    orders = sx.plan_orders(
        weights, held, prices, nav=nav, run_id="r", band=band, band_kind=kind, band_to=to, min_notional=least,
        max_turnover=cap,
    )  # fmt: skip
    after = {name: held[name] + trades(orders).get(name, 0.0) for name in names}
    fees = sx.plan_summary(orders, weights, held, prices, nav=nav)["estimated_fees"]
    if (orders["side"] == "BUY").any():
        assert sum(after[name] * prices[name] for name in names) <= nav - fees + 1e-6
    if least is not None:
        assert (orders["notional"] >= least - 1e-6).all()
    if cap is not None:
        assert orders["notional"].sum() <= cap * nav + 1e-6
    if band is not None:
        wide = {name: band * (nav if kind == "absolute" else weights[name] * nav) for name in names}
        for name in trades(orders):
            assert abs(held[name] * prices[name] - weights[name] * nav) > wide[name] * (1 - 1e-9)
    assert all(shares >= 0 for shares in after.values())
    for name, (_, _, reason) in left_out(orders).items():
        assert reason in {"inside_band", "below_min_notional", "turnover_cap", "below_one_lot", "not_affordable"}
        assert name in names
