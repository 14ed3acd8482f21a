"""Targets of several strategies: one table, and one set of orders, each of whose sells are its own. By hand."""

import inspect
import json

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.portfolio import planner
from stocklean_exec.portfolio.netting import names_strategies
from stocklean_exec.strategies.attribution import read_crosses
from stocklean_exec.strategies.division import Division
from stocklean_exec.strategies.holdings import parse_holdings
from stocklean_exec.strategies.strategy_book import RecordedOrder, StrategyBook

PRICES = {"SPY": 400.0, "TLT": 100.0, "GLD": 200.0}
HALVES = {"value": 0.5, "trend": 0.5}


def state_of(positions, own, *, nav=100_000, **options):
    return sx.AccountState.of(positions, PRICES, nav=nav, **options).with_strategies(own)


def plan(targets, state, **options):
    return sx.plan_orders(targets, state, **({"run_id": "r", "reserve": 0} | options))


def wishes(orders):
    return {
        row["symbol"]: (row["side"], row["quantity"], json.loads(row["strategy_quantities"]))
        for row in orders.to_dict("records")
    }


def codes(caught):
    return [(one.code, one.symbol) for one in caught.value.problems]


# -- targets -------------------------------------------------------------------------------------------------


def test_weights_are_fractions_of_each_strategys_share():
    netted = sx.net_targets(
        {"value": {"SPY": 0.5, "GLD": 0.1}, "trend": {"TLT": 0.5, "SPY": 0.25}}, {"value": 0.6, "trend": 0.4}
    )
    assert netted[["symbol", "weight"]].to_numpy().tolist() == [["SPY", 0.4], ["GLD", 0.06], ["TLT", 0.2]]
    assert json.loads(netted["strategies"].tolist()[0]) == {
        "trend": {"share": 0.4, "weight": 0.25},
        "value": {"share": 0.6, "weight": 0.5},
    }


def test_without_shares_weights_are_fractions_of_the_accounts_nav():
    netted = sx.net_targets({"value": {"SPY": 0.5}, "trend": {"SPY": 0.25}})
    assert netted["weight"].tolist() == [0.75]


def test_terms_of_a_symbol_stay_with_it():
    limited = pd.DataFrame({"symbol": ["TLT"], "weight": [0.5], "order_type": ["LMT"], "limit_price": [99.0]})
    netted = sx.net_targets({"value": {"SPY": 0.5}, "trend": limited}, HALVES).set_index("symbol")
    assert netted.loc["TLT", ["order_type", "limit_price"]].tolist() == ["LMT", 99.0]
    assert netted.loc["SPY", "order_type"] == "MKT"


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"order_type": "LMT", "limit_price": 399.0}, "strategies_disagree"),
        ({"currency": "EUR"}, "strategies_disagree"),
        ({"con_id": 7}, "strategies_disagree"),
        ({"note": "mine"}, "strategies_disagree"),
        ({"account": "DU2"}, "account_mismatch"),
    ],
)
def test_strategies_that_disagree_about_a_symbol_are_refused(columns, code):
    one = pd.DataFrame({"symbol": ["SPY"], "weight": [0.5], "account": "DU1"})
    with pytest.raises(InputError) as caught:
        sx.net_targets({"value": one, "trend": one.assign(**columns)}, HALVES)
    assert code in [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize(
    "shares",
    [
        {"value": 0.6, "trend": 0.5},
        {"value": 1.0},
        {"value": 0.5, "trend": 0.5, "other": 0.0},
        {"value": 0.0, "trend": 0.5},
        {"value": float("nan"), "trend": 0.5},
        {"value": "x", "trend": 0.5},
        [0.5, 0.5],
    ],
)
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(InputError) as caught:
        sx.net_targets({"value": {"SPY": 0.5}, "trend": {"SPY": 0.5}}, shares)
    assert {problem.code for problem in caught.value.problems} == {"strategy_share"}


def test_every_problem_of_every_strategy_is_named():
    with pytest.raises(InputError) as caught:
        sx.net_targets({"value": {"SPY": float("nan")}, "my strategy": {"TLT": 0.1}, "trend": {"": 0.1}})
    assert [problem.code for problem in caught.value.problems] == [
        "strategy_name",
        "weight_missing",
        "symbol_missing",
    ]
    assert "value: the weight is empty" in str(caught.value)


@pytest.mark.parametrize("given", [{}, None, [{"SPY": 0.5}]])
def test_targets_must_be_by_strategy(given):
    with pytest.raises(InputError, match="by its name"):
        sx.net_targets(given)


@pytest.mark.parametrize("column", [{"strategy": ["trend"]}, {"strategies": ["{}"]}])
def test_targets_of_another_strategy_are_refused(column):
    with pytest.raises(InputError, match="of another strategy by their column") as caught:
        sx.net_targets({"value": pd.DataFrame({"symbol": ["SPY"], "weight": [0.5]} | column)})
    assert [problem.column for problem in caught.value.problems] == list(column)


def test_one_table_with_a_column_of_strategies_is_as_good():
    rows = [("SPY", 0.5, "value"), ("SPY", 0.25, "trend"), ("TLT", 0.75, "trend")]
    stacked = pd.DataFrame(rows, columns=["symbol", "weight", "strategy"])
    by_name = {name: part for name, part in stacked.groupby("strategy", sort=False)}  # noqa: C416 - not a frame
    pd.testing.assert_frame_equal(sx.net_targets(stacked, HALVES), sx.net_targets(by_name, HALVES))
    netted = sx.net_targets(stacked.set_index("symbol"), HALVES)
    assert netted[["symbol", "weight"]].to_numpy().tolist() == [["SPY", 0.375], ["TLT", 0.375]]


def test_symbols_of_one_table_stay_in_its_sequence():
    rows = [("GLD", 0.1, "value"), ("TLT", 0.2, "trend")]
    netted = sx.net_targets(pd.DataFrame(rows, columns=["symbol", "weight", "strategy"]))
    assert netted["symbol"].tolist() == ["GLD", "TLT"]


def state_with_cash(**cash):
    """60 of SPY are value's, 24,000, and 40 trend's, 16,000; 60,000 are cash."""
    state = sx.AccountState.of({"SPY": 100}, PRICES, nav=100_000)
    own = {"value": {"SPY": 60.0}, "trend": {"SPY": 40.0}}
    book = StrategyBook(parse_holdings(own), {}, cash={name: {"USD": amount} for name, amount in cash.items()})
    return state.with_strategies(book)


def test_a_state_sizes_each_strategy_by_its_own_nav():
    state = state_with_cash(value=36_000.0, trend=14_000.0)  # 60,000 and 30,000; 10,000 are nobody's
    netted = sx.net_targets({"value": {"SPY": 0.5}, "trend": {"TLT": 0.5}}, state)
    assert netted[["symbol", "weight"]].to_numpy().tolist() == [["SPY", 0.3], ["TLT", 0.15]]
    assert json.loads(netted["strategies"].tolist()[0])["value"] == {"share": 0.6, "weight": 0.5}
    orders = plan(sx.net_targets({"trend": {"SPY": 0.0, "TLT": 0.5}}, state), state)
    assert wishes(orders)["TLT"] == ("BUY", 150.0, {"trend": 150.0})


def test_navs_beyond_the_accounts_are_fractions_of_their_sum():
    # The quotes make more of the holdings than the broker's NAV does: 101,000 of 100,000.
    state = state_with_cash(value=36_600.0, trend=24_400.0)
    netted = sx.net_targets({"value": {"SPY": 1.0}, "trend": {"TLT": 1.0}}, state)
    assert netted["weight"].tolist() == [round(60_600 / 101_000, 12), round(40_400 / 101_000, 12)]


def test_a_strategy_of_unknown_or_no_nav_is_not_sized():
    with pytest.raises(InputError, match=r"the NAV of trend is not known: sx\.assign_cash") as caught:
        sx.net_targets({"value": {"SPY": 1.0}, "trend": {"TLT": 1.0}}, state_with_cash(value=1.0))
    assert [one.code for one in caught.value.problems] == ["strategy_nav_unknown"]
    with pytest.raises(InputError, match="the share of value, -0"):
        sx.net_targets({"value": {"SPY": 1.0}}, state_with_cash(value=-25_000.0, trend=0.0))


# -- plans ---------------------------------------------------------------------------------------------------


def test_what_one_sells_and_another_buys_is_one_order_of_the_rest():
    # value: 0.5 x 50,000 / 400 = 62.5 shares at most, 62; it holds 20. trend wants none of its 30.
    state = state_of({"SPY": 60}, {"value": {"SPY": 20}, "trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.496}, "trend": {"SPY": 0.0, "TLT": 0.1}}, HALVES)
    orders = plan(targets, state)
    assert wishes(orders) == {
        "SPY": ("BUY", 12.0, {"trend": -30.0, "value": 42.0}),
        "TLT": ("BUY", 50.0, {"trend": 50.0}),
    }
    spy, tlt = orders.to_dict("records")
    assert (spy["current_quantity"], spy["target_quantity"], spy["notional"]) == (60.0, 72.0, 4_800.0)
    assert spy["planned_quantity"] == 12.0
    assert pd.isna(spy["strategy"])
    assert tlt["strategy"] == "trend"
    note = sx.input_warnings(orders).set_index("code").loc["crossed_inside"]
    assert (note["symbol"], "-30 trend, +30 value" in note["detail"]) == ("SPY", True)


def test_strategies_that_cancel_each_other_out_cross_with_the_plan_and_make_no_order():
    state = state_of({"SPY": 30}, {"trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.24}, "trend": {"SPY": 0.0, "TLT": 0.1}}, HALVES)
    orders = plan(targets, state)
    assert orders["symbol"].tolist() == ["TLT"]
    assert read_crosses(orders["strategy_crosses"].tolist()[0]) == {
        "SPY": {
            "quantities": {"trend": -30.0, "value": 30.0},
            "price": 400.0,
            "currency": "USD",
            "limited": False,
        }
    }


def test_a_plan_that_only_crosses_has_no_rows_and_still_says_what():
    state = state_of({"SPY": 30}, {"trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.24}, "trend": {"SPY": 0.0}}, HALVES)
    orders = plan(targets, state, allow_liquidation=True)
    assert orders.empty
    assert set(read_crosses(orders.attrs["strategy_crosses"])) == {"SPY"}


def test_one_strategy_alone_sells_only_its_own_shares():
    state = state_of({"SPY": 100}, {"value": {"SPY": 60}, "trend": {"SPY": 30}})
    orders = plan(sx.net_targets({"trend": {"SPY": 0.0, "TLT": 0.1}}, {"trend": 0.4}), state)
    assert wishes(orders)["SPY"] == ("SELL", 30.0, {"trend": -30.0})
    assert orders["target_quantity"].tolist()[0] == 70.0  # value's 60, and 10 of nobody


def test_shares_of_nobody_are_never_sold_even_if_everything_is_closed():
    state = state_of({"SPY": 100, "GLD": 5}, {"value": {"SPY": 60}})
    targets = sx.net_targets({"value": {"TLT": 0.1}})
    orders = plan(targets, state, unlisted="close")
    assert wishes(orders) == {
        "SPY": ("SELL", 60.0, {"value": -60.0}),
        "TLT": ("BUY", 100.0, {"value": 100.0}),
    }


def test_a_holding_that_a_strategy_does_not_list_is_asked_about():
    state = state_of({"SPY": 100}, {"value": {"SPY": 60}, "trend": {"SPY": 40}})
    targets = sx.net_targets({"value": {"SPY": 0.2}, "trend": {"TLT": 0.1}}, HALVES)
    with pytest.raises(InputError, match="trend: ") as caught:  # value lists SPY, and trend does not
        plan(targets, state)
    assert codes(caught) == [("unlisted_position", "SPY")]


def test_a_symbol_of_two_strategies_in_one_table_is_one_order():
    rows = [("SPY", 0.2, "value"), ("SPY", 0.0, "trend"), ("TLT", 0.02, "trend")]
    targets = pd.DataFrame(rows, columns=["symbol", "weight", "strategy"])
    state = state_of({"SPY": 100}, {"value": {"SPY": 60}, "trend": {"SPY": 30}})
    assert wishes(plan(targets, state))["SPY"] == ("SELL", 40.0, {"trend": -30.0, "value": -10.0})


def test_targets_with_a_column_of_strategies_are_planned_in_fractions_of_nav():
    targets = pd.DataFrame({"symbol": ["SPY", "TLT"], "weight": [0.0, 0.02], "strategy": "trend"})
    state = state_of({"SPY": 100}, {"value": {"SPY": 60}, "trend": {"SPY": 30}})
    assert wishes(plan(targets, state)) == {
        "SPY": ("SELL", 30.0, {"trend": -30.0}),
        "TLT": ("BUY", 20.0, {"trend": 20.0}),
    }


@pytest.mark.parametrize("positions", [{"SPY": 100}, None, sx.AccountState.of({"SPY": 100}, PRICES, nav=100_000)])
def test_the_accounts_positions_are_not_taken_for_a_strategys(positions):
    targets = pd.DataFrame({"symbol": ["SPY"], "weight": [0.1], "strategy": "trend"})
    with pytest.raises(InputError, match="with_strategies") as caught:
        sx.plan_orders(targets, positions, run_id="r")
    assert codes(caught) == [("strategies_unknown", None)]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"strategy": None}, "cannot be the name of a strategy"),
        ({"strategy": "a", "strategies": "{}"}, "keep one"),
        ({"strategies": "{"}, "not as sx.net_targets writes it"),
        ({"strategies": '{"a": 0.5}'}, "not as sx.net_targets writes it"),
        ({"strategies": None}, "not as sx.net_targets writes it"),
    ],
)
def test_unreadable_strategies_are_refused(columns, text):
    targets = pd.DataFrame({"symbol": ["SPY"], "weight": [0.1], **columns})
    with pytest.raises(InputError, match=text):
        plan(targets, state_of({}, {}))


def test_all_strategies_together_keep_to_max_gross():
    targets = sx.net_targets({"value": {"SPY": 0.6}, "trend": {"TLT": 0.6}})
    with pytest.raises(InputError, match=r"add up to 1\.2 of NAV"):
        plan(targets, state_of({}, {}))


def test_a_symbol_that_the_strategies_hold_more_of_than_the_account_is_refused():
    state = state_of({"SPY": 50}, {"value": {"SPY": 60}})
    orders = plan(sx.net_targets({"value": {"SPY": 0.0, "TLT": 0.1}}), state)
    rejected = orders[orders["status"] == "REJECTED"].to_dict("records")
    assert [(row["symbol"], row["reason"]) for row in rejected] == [("SPY", "strategy_break")]
    assert "60 together, and the account 50" in rejected[0]["detail"]
    assert pd.isna(rejected[0]["strategy_quantities"])


def test_a_symbol_in_two_contracts_is_refused():
    held = pd.DataFrame({"symbol": ["SPY", "SPY"], "quantity": [10.0, 5.0], "con_id": [1, 2]})
    state = state_of(held, {"value": {"SPY": 10}}, cash=94_000.0)
    orders = plan(sx.net_targets({"value": {"SPY": 0.0, "TLT": 0.1}}), state)
    assert orders.set_index("symbol").loc["SPY", "reason"] == "strategy_break"


def test_a_symbol_without_a_price_is_refused_for_all_strategies():
    state = sx.AccountState.of({}, PRICES, nav=100_000).with_strategies({})
    targets = sx.net_targets({"value": {"XYZ": 0.1, "SPY": 0.1}, "trend": {"XYZ": 0.1}}, HALVES)
    rows = plan(targets, state).set_index("symbol")
    assert rows.loc["XYZ", ["status", "reason"]].tolist() == ["REJECTED", "price_unavailable"]
    assert rows.loc["XYZ", "detail"].startswith("trend: ")
    assert rows.loc["SPY", "status"] == "NEW"


def book_of(own, **working):
    """A book with working orders ``name=(symbol, quantities, filled)``."""
    recorded = {
        name: RecordedOrder(
            "earlier", symbol, "BUY" if sum(each.values()) > 0 else "SELL", "PARTIAL", Division(each), filled
        )
        for name, (symbol, each, filled) in working.items()
    }
    return StrategyBook(parse_holdings(own), recorded)


def working_of(name, symbol, side, quantity, filled=0.0, **columns):
    row = {
        "client_order_id": name,
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "filled_quantity": filled,
    }
    return pd.DataFrame([{**row, "order_type": "LMT", "limit_price": 390.0, "is_own": True} | columns])


def test_what_works_counts_for_those_who_wanted_it():
    # value wants 75 shares, holds 40 and gets 15 more of the 30 that are left: it buys 20. trend wants 50, and
    # holds 20 and gets 15: it buys 15. Of 60 ordered 30 are filled, half of them each.
    own = {"value": {"SPY": 40}, "trend": {"SPY": 20}}
    state = state_of({"SPY": 60}, {}, open_orders=working_of("w", "SPY", "BUY", 60.0, 30.0))
    state = state.with_strategies(book_of(own, w=("SPY", {"value": 30.0, "trend": 30.0}, 30.0)))
    targets = sx.net_targets({"value": {"SPY": 0.6}, "trend": {"SPY": 0.4}}, HALVES)
    assert wishes(plan(targets, state, on_open_orders="net")) == {
        "SPY": ("BUY", 35.0, {"trend": 15.0, "value": 20.0})
    }


def test_a_fill_that_is_not_on_record_is_nobodys_loss():
    # The broker has filled 20 of 30 that trend sells, the record has none of it: the account has 80, and trend 30.
    state = state_of({"SPY": 80}, {}, open_orders=working_of("w", "SPY", "SELL", 30.0, 20.0))
    state = state.with_strategies(
        book_of({"value": {"SPY": 70}, "trend": {"SPY": 30}}, w=("SPY", {"trend": -30.0}, 0.0))
    )
    targets = sx.net_targets({"value": {"SPY": 0.4}, "trend": {"SPY": 0.0, "TLT": 0.1}}, HALVES)
    # value goes from 70 to 50 shares; trend, which sells its 30 already, sells no more.
    assert wishes(plan(targets, state, on_open_orders="net"))["SPY"] == ("SELL", 20.0, {"value": -20.0})


def test_more_than_the_account_will_have_is_a_break():
    # Somebody sold 30 of the account by hand; what works does not bring them back.
    state = state_of({"SPY": 70}, {}, open_orders=working_of("w", "SPY", "BUY", 10.0))
    state = state.with_strategies(book_of({"value": {"SPY": 100}}, w=("SPY", {"value": 10.0}, 0.0)))
    rows = plan(sx.net_targets({"value": {"SPY": 0.8}}), state, on_open_orders="net")
    assert rows["reason"].tolist() == ["strategy_break"]
    assert "hold 110 together once what works is filled, and the account 80" in rows["detail"].tolist()[0]


def test_an_order_of_nobody_that_sells_what_strategies_hold_is_a_break():
    state = state_of({"SPY": 100}, {}, open_orders=working_of("plain", "SPY", "SELL", 30.0))
    state = state.with_strategies(book_of({"value": {"SPY": 100}}))
    rows = plan(sx.net_targets({"value": {"SPY": 0.2}}), state, on_open_orders="net")
    assert rows["reason"].tolist() == ["strategy_break"]


def test_one_strategy_does_not_trade_against_the_working_order_of_another():
    state = state_of({"SPY": 60}, {}, open_orders=working_of("w", "SPY", "BUY", 30.0))
    state = state.with_strategies(book_of({"value": {"SPY": 60}}, w=("SPY", {"trend": 30.0}, 0.0)))
    rows = plan(sx.net_targets({"value": {"SPY": 0.2, "TLT": 0.1}}), state, on_open_orders="net").set_index(
        "symbol"
    )
    assert rows["reason"].fillna("").to_dict() == {"SPY": "open_order_exists", "TLT": ""}
    assert "a SELL might trade against it" in rows.loc["SPY", "detail"]
    cancelled = plan(sx.net_targets({"value": {"SPY": 0.2}}), state, on_open_orders="cancel")
    assert wishes(cancelled) == {"SPY": ("SELL", 10.0, {"value": -10.0})}


def test_gross_exposure_counts_what_works():
    # 100 of SPY are nobody's, 40,000; an order brings value 25 more, 10,000; it buys TLT for 80,000 of 100,000.
    state = state_of({"SPY": 100}, {}, open_orders=working_of("w", "SPY", "BUY", 25.0))
    state = state.with_strategies(book_of({}, w=("SPY", {"value": 25.0}, 0.0)))
    orders = plan(sx.net_targets({"value": {"TLT": 0.8, "SPY": 0.1}}), state, on_open_orders="net")
    assert orders[["symbol", "max_gross"]].to_numpy().tolist() == [["TLT", 1.3]]


def test_working_orders_refuse_their_symbol_where_it_is_not_known_whose_they_are():
    working = pd.DataFrame({"symbol": ["SPY"], "side": ["BUY"], "quantity": [5.0], "is_own": [True]})
    state = state_of({}, {}, open_orders=working)
    rows = plan(sx.net_targets({"value": {"SPY": 0.1, "TLT": 0.1}}), state, on_open_orders="net").set_index(
        "symbol"
    )
    assert rows["reason"].fillna("").to_dict() == {"SPY": "open_order_exists", "TLT": ""}


def test_shorts_of_one_strategy_are_netted_with_the_longs_of_another():
    state = state_of({}, {})
    targets = sx.net_targets({"value": {"SPY": 0.4}, "trend": {"SPY": -0.2}}, HALVES)
    # 50 and -25 shares of 400 in halves of 100,000: 25 cross, and trend is short.
    orders = plan(targets, state, allow_short=True)
    assert wishes(orders) == {"SPY": ("BUY", 25.0, {"trend": -25.0, "value": 50.0})}


def test_a_reserve_is_divided_by_the_shares():
    # 800 of 100,000 are reserved: 400 in each half, so that one of 125 shares is not bought by either.
    targets = sx.net_targets({"value": {"SPY": 1.0}, "trend": {"GLD": 1.0}}, HALVES)
    orders = plan(targets, state_of({}, {}), reserve=800)
    assert orders[["symbol", "quantity"]].to_numpy().tolist() == [["GLD", 248.0], ["SPY", 124.0]]


def test_gross_exposure_counts_the_whole_account():
    # 100 of SPY are nobody's, 40,000; the strategy adds 90,000 of 100,000.
    state = state_of({"SPY": 100}, {})
    orders = plan(sx.net_targets({"value": {"TLT": 0.9}}), state)
    assert orders["max_gross"].tolist() == [1.3]


def test_gross_exposure_is_in_the_base_currency():
    # 100 of SPY are nobody's: 40,000 euro are 50,000. The strategy adds 90,000 of 100,000.
    held = pd.DataFrame({"symbol": ["SPY"], "quantity": [100.0], "currency": "EUR"})
    orders = plan(sx.net_targets({"value": {"TLT": 0.9}}), state_of(held, {}, fx={"EUR": 1.25}))
    assert orders["max_gross"].tolist() == [1.4]


def test_sells_come_first_and_both_sides_stay_in_the_sequence_of_the_targets():
    # More rows than a sort that is not stable leaves in their sequence by chance.
    names = [f"S{number:02}" for number in range(60)]
    sells = names[::3]
    own = {"value": dict.fromkeys(sells, 5.0)}
    state = sx.AccountState.of(dict.fromkeys(sells, 5.0), dict.fromkeys(names, 10.0), nav=10_000)
    weights = {name: 0.0 if name in sells else 0.01 for name in names}
    targets = sx.net_targets({"value": weights})
    orders = plan(targets, state.with_strategies(own))
    assert orders["symbol"].tolist() == sells + [name for name in names if name not in sells]


def test_limits_by_offset_are_those_of_the_net_side():
    state = state_of({"SPY": 30}, {"trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.08}, "trend": {"SPY": 0.0, "TLT": 0.1}}, HALVES)
    orders = plan(targets, state, order_type="LMT", limit_offset_bps=10).set_index("symbol")
    # value buys 10, trend sells 30: SELL 20 at 10 bps below 400.
    assert orders.loc["SPY", ["side", "quantity", "limit_price"]].tolist() == ["SELL", 20.0, 399.6]


@pytest.mark.parametrize(
    ("limit", "reason"), [(400.0, ""), (399.99, "strategies_opposed"), (400.01, "strategies_opposed")]
)
def test_what_passes_inside_is_within_the_limits_of_both(limit, reason):
    state = state_of({"SPY": 30}, {"trend": {"SPY": 30}})
    one = pd.DataFrame({"symbol": ["SPY"], "weight": [0.08], "order_type": ["LMT"], "limit_price": [limit]})
    targets = sx.net_targets({"value": one, "trend": pd.concat([one.assign(weight=0.0), tlt()])}, HALVES)
    orders = plan(targets, state).set_index("symbol")
    assert orders.loc["SPY", "reason" if reason else "status"] == (reason or "NEW")
    assert orders.loc["TLT", "status"] == "NEW"


def test_orders_that_may_never_trade_do_not_let_shares_pass():
    state = state_of({"SPY": 30}, {"trend": {"SPY": 30}})
    one = pd.DataFrame({"symbol": ["SPY"], "weight": [0.08], "order_type": ["TRAIL"], "aux_price": [5.0]})
    targets = sx.net_targets({"value": one, "trend": pd.concat([one.assign(weight=0.0), tlt()])}, HALVES)
    orders = plan(targets, state).set_index("symbol")
    assert orders.loc["SPY", "reason"] == "strategies_opposed"
    assert wishes(plan(sx.net_targets({"value": one}), state_of({}, {}))) == {
        "SPY": ("BUY", 20.0, {"value": 20.0})
    }


def tlt():
    return pd.DataFrame({"symbol": ["TLT"], "weight": [0.1], "order_type": ["MKT"]})


def test_limits_of_strategies_of_one_side_are_as_those_of_one():
    one = pd.DataFrame({"symbol": ["SPY"], "weight": [0.08], "order_type": ["LMT"], "limit_price": [390.0]})
    orders = plan(sx.net_targets({"value": one, "trend": one}, HALVES), state_of({}, {}))
    assert wishes(orders) == {"SPY": ("BUY", 20.0, {"trend": 10.0, "value": 10.0})}


def test_netted_targets_are_read_from_a_file(tmp_path):
    state = state_of({"SPY": 60}, {"value": {"SPY": 20}, "trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.5}, "trend": {"SPY": 0.1, "TLT": 0.1}}, HALVES)
    targets.to_csv(tmp_path / "netted.csv", index=False)
    again = plan(sx.read_targets(tmp_path / "netted.csv"), state)
    pd.testing.assert_frame_equal(again, plan(targets, state))


def test_what_each_strategy_leaves_out_and_warns_of_is_kept():
    targets = sx.net_targets({"value": {"SPY": 0.4, "GLD": 0.001}, "trend": {"TLT": 0.5}}, HALVES)
    orders = plan(targets, state_of({}, {}))
    assert sx.held_back(orders)["symbol"].tolist() == ["GLD"]
    details = sx.input_warnings(orders)["detail"].tolist()
    assert any(text.startswith("value: ") for text in details)
    assert any(text.startswith("trend: ") for text in details)


def test_a_plan_is_the_same_each_time():
    state = state_of({"SPY": 60}, {"value": {"SPY": 20}, "trend": {"SPY": 30}})
    targets = sx.net_targets({"value": {"SPY": 0.5}, "trend": {"SPY": 0.1}}, HALVES)
    pd.testing.assert_frame_equal(plan(targets, state), plan(targets, state))


def test_every_argument_of_a_plan_reaches_the_plans_of_its_strategies(monkeypatch):
    passed = []
    monkeypatch.setattr(planner, "plan_strategies", lambda *given: passed.append(given))
    targets = pd.DataFrame({"symbol": ["SPY"], "weight": 0.5, "strategy": "value"})
    options = {name: object() for name in inspect.signature(sx.plan_orders).parameters}
    del options["targets"], options["positions"]
    sx.plan_orders(targets, "held", **options)
    assert passed == [(sx.plan_orders, targets, "held", options)]


def test_whether_targets_name_strategies():
    assert names_strategies(pd.DataFrame({"symbol": [], "weight": [], "strategy": []}))
    assert not names_strategies(pd.Series({"SPY": 0.5}))
