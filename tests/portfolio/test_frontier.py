"""The frontier of a plan, by hand: what each rule costs, and how far from the targets it ends."""

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.portfolio.frontier import FRONTIER_COLUMNS

# NAV 10,000 and shares of 10; A is 30 shares over its target, B 10 under, C 20 under.
TARGETS = {"A": 0.3, "B": 0.3, "C": 0.3}
HELD = {"A": 330, "B": 290, "C": 280}
QUOTES = pd.DataFrame(
    {"symbol": list("ABC"), "bid": 9.99, "ask": 10.01, "quoted_at": pd.Timestamp("2026-06-01T15:00Z")}
)
STATE = sx.AccountState.of(HELD, QUOTES, nav=10_000)
RULES = {"all": {}, "band": {"band": 0.02}, "cap": {"max_turnover": 0.03}}
INDEPENDENT = pd.DataFrame(np.diag([0.09, 0.16, 0.04]), list("ABC"), list("ABC"))


def frontier(rules=RULES, state=STATE, **options):
    return sx.plan_frontier(TARGETS, state, rules, **({"reserve": 0} | options))


def test_a_frontier_says_what_each_rule_costs_and_leaves():
    found = frontier(covariance=INDEPENDENT)
    assert found.index.tolist() == ["all", "band", "cap"]
    assert found.index.name == "rule"
    assert found.dtypes.astype(str).to_dict() == FRONTIER_COLUMNS
    assert found["orders"].tolist() == [3, 1, 3]
    assert found["held_back"].tolist() == [0, 2, 3]
    assert found["turnover"].tolist() == [0.06, 0.03, 0.03]
    # A cent of half a spread each: 60 shares, and 30.
    assert found["spread_cost"].tolist() == pytest.approx([0.6, 0.3, 0.3])
    # B and C keep 1 and 2 % too little, and cash the 3 % that they lack: half of 6 %.
    assert found["active_share"].tolist()[:2] == pytest.approx([0.0, 0.03])
    # Tracking error: 0.01 of B at 40 % and 0.02 of C at 20 % are at a right angle.
    assert found["tracking_error"].tolist()[:2] == pytest.approx([0.0, math.hypot(0.004, 0.004)])
    # Under the cap 0.03 remains in all, so that variance x remainder is the same for all three names:
    # 0.03 / (1 / 9 + 1 / 16 + 1 / 4) = 0.0708, of which A keeps a ninth, B a 16th and C a quarter: 7.9, 4.4 and
    # 17.7 shares. So 22, 6 and 2 are traded, and 8, 4 and 18 remain.
    assert found.loc["cap", "tracking_error"] == pytest.approx(
        math.sqrt((0.3 * 0.008) ** 2 + (0.4 * 0.004) ** 2 + (0.2 * 0.018) ** 2)
    )


def test_fees_are_by_the_tariff():
    # Three orders at the minimum of 1.00 would be over 1 % of the value: 100 of B cost 1.00, and so do the others.
    # Sells pay 27.80 per million and 0.000195 a share in addition.
    levies = 30 * 9.99 * 27.8e-6 + 30 * 0.000195
    assert frontier()["fees"].tolist()[:2] == pytest.approx([3 + levies, 1 + levies])


def test_without_a_covariance_the_tracking_error_is_unknown():
    assert frontier()["tracking_error"].isna().all()


def test_the_spread_of_a_last_price_is_unknown_unless_it_is_given():
    state = sx.AccountState.of(HELD, dict.fromkeys("ABC", 10.0), nav=10_000)
    assert frontier(state=state)["spread_cost"].isna().all()
    # 3 basis points of 600 and of 300.
    found = frontier(state=state, half_spread_bps=3.0)["spread_cost"].tolist()
    assert found[:2] == pytest.approx([0.18, 0.09])
    assert frontier({"wide": {"band": 0.5}}, state=state)["spread_cost"].tolist() == [0.0]


def test_the_spread_is_in_the_base_currency():
    held = pd.DataFrame({"symbol": ["A"], "quantity": 100.0, "currency": "EUR"})
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.5, "currency": "EUR"})
    quotes = pd.DataFrame(
        {"symbol": ["A"], "bid": 9.98, "ask": 10.02, "quoted_at": pd.Timestamp("2026-06-01T15:00Z")}
    )
    state = sx.AccountState.of(held, quotes, nav=5_000, fx={"EUR": 1.25})
    # 2,500 dollars are 2,000 euro, 200 shares: 100 more, 2 cents each, 2.00 euro. Sells take the other touch.
    found = sx.plan_frontier(targets, state, {"all": {}}, reserve=0)
    assert found.loc["all", ["orders", "spread_cost"]].tolist() == pytest.approx([1, 2.5])
    found = sx.plan_frontier(targets.assign(weight=0.125), state, {"all": {}}, reserve=0)
    assert found.loc["all", ["orders", "spread_cost"]].tolist() == pytest.approx([1, 1.25])


def test_turnover_is_a_fraction_of_nav_and_weights_of_nav_less_the_buffer():
    state = sx.AccountState.of(None, {"A": 10.0}, nav=10_000)
    found = sx.plan_frontier({"A": 0.5}, state, {"all": {}}, reserve=0, cash_buffer=0.1)
    assert found.loc["all", "turnover"] == pytest.approx(0.45)
    assert found.loc["all", "active_share"] == pytest.approx(0.0)


def test_positions_quotes_and_nav_may_be_given_one_by_one():
    one_by_one = frontier(state=HELD, quotes=QUOTES, nav=10_000)
    pd.testing.assert_frame_equal(one_by_one, frontier())


def test_the_rules_by_default_fit_the_targets():
    found = sx.plan_frontier(TARGETS, STATE)
    # Targets of 0.3: an eighth and a quarter are 0.0375 and 0.075, or 375 and 750.
    assert found.index.tolist() == [
        "all trades",
        "relative 10 %",
        "relative 20 %",
        "relative 10 %, to the edge",
        "relative 20 %, to the edge",
        "absolute 0.0375",
        "absolute 0.075",
        "minimum 375",
        "minimum 750",
        "half of the turnover",
    ]
    assert 0 < found.loc["half of the turnover", "turnover"] <= found.loc["all trades", "turnover"] / 2
    exact = sx.plan_frontier({"A": 0.33, "B": 0.29, "C": 0.28}, STATE)
    assert exact["turnover"].tolist() == [0.0] * 10


def test_targets_that_are_all_zero_have_rules_of_nothing():
    found = sx.plan_frontier(dict.fromkeys("ABC", 0.0), STATE, allow_liquidation=True)
    assert found.index.tolist()[5:7] == ["absolute 0", "minimum 0"]
    assert found.loc["absolute 0", ["orders", "turnover"]].tolist() == [3, 0.9]


def test_no_targets_close_everything_and_shorts_are_measured_like_longs():
    closed = sx.plan_frontier({}, STATE, {"all": {}}, unlisted="close", allow_liquidation=True)
    assert closed.loc["all", ["orders", "turnover", "active_share"]].tolist() == [3, 0.9, 0.0]
    # 330 are held, and 100 sold short besides: 430 of 10 on 10,000.
    short = sx.plan_frontier({"A": -0.1}, STATE, {"all": {}}, unlisted="keep", allow_short=True, reserve=0)
    assert short.loc["all", "turnover"] == pytest.approx(0.43)


def test_a_symbol_that_cannot_trade_counts_as_its_target():
    state = sx.AccountState.of(HELD, QUOTES.iloc[:2], nav=10_000, cash=1_000.0)
    found = frontier({"all": {}}, state=state, covariance=INDEPENDENT.iloc[:2, :2])
    assert found.loc["all", ["orders", "active_share", "tracking_error"]].tolist() == [2, 0.0, 0.0]


def test_every_rule_that_cannot_be_used_is_named():
    with pytest.raises(sx.InputError) as caught:
        frontier({"a": {"bnad": 0.1}, "b": 0.1, "c": {"covariance": None}})
    assert [problem.column for problem in caught.value.problems] == ["a", "b", "c"]
    for rules in ({}, [0.1]):
        with pytest.raises(sx.InputError) as caught:
            frontier(rules)
        assert caught.value.table == "rules"
    with pytest.raises(sx.InputError):
        frontier({"a": {"band": -1}})
    with pytest.raises(sx.InputError):
        frontier(half_spread_bps=-1)
    with pytest.raises(sx.InputError) as caught:
        frontier({"a": {}}, covariance=INDEPENDENT.iloc[:1, :1])
    assert caught.value.codes == ("covariance_missing",)


def test_a_frontier_keeps_the_warnings_of_its_input():
    found = sx.plan_frontier({"BRK.B": 0.5}, None, {"a": {}}, quotes={"BRK.B": 10.0}, nav=1_000)
    assert "symbol_mapped" in set(sx.input_warnings(found)["code"])
