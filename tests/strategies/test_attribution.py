"""Fills, crossings and positions by strategy. Figures by hand, and sums that must hold in any book."""

import math
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.strategies.attribution import (
    CROSSINGS,
    attribute_fills,
    divisions_of,
    holdings,
    planned_crossings,
    positions_by_strategy,
    table_of,
    unexplained,
)
from stocklean_exec.strategies.division import write_quantities

NOTHING = pd.DataFrame({"client_order_id": [], "exec_id": [], "quantity": [], "price": []})
NO_CROSSINGS = table_of([], CROSSINGS)
NO_ASSIGNMENTS = pd.DataFrame({"strategy": [], "symbol": [], "quantity": []})


def order(quantities, *, symbol="SPY", **more):
    net = sum(quantities.values())
    side = "BUY" if net > 0 else "SELL"
    return {
        "client_order_id": f"r-{symbol}-{side}",
        "run_id": "r",
        "symbol": symbol,
        "side": side,
        "quantity": abs(net),
        "decision_price": 400.0,
        "currency": "USD",
        "account": "DU1",
        "strategy_quantities": write_quantities(quantities),
    } | more


def fills_of(name, *quantities, price=400.1, commission=0.0):
    charges = commission if isinstance(commission, list) else [commission] * len(quantities)
    return pd.DataFrame(
        {
            "exec_id": [f"x{number}" for number in range(len(quantities))],
            "client_order_id": name,
            "quantity": [float(one) for one in quantities],
            "price": price,
            "filled_at": pd.date_range("2026-11-23 15:00", periods=len(quantities), freq="s", tz="UTC"),
            "commission": charges,
            "commission_currency": "USD",
        }
    )


def amounts(frame, *, by=("exec_id", "strategy"), what="quantity"):
    return {tuple(row[name] for name in by): row[what] for row in frame.to_dict("records")}


# -- fills ---------------------------------------------------------------------------------------------------


def test_each_fill_is_divided_and_the_strategies_add_up_to_it():
    # 2 to 1: of 4 shares A has 3 (turns A A B A), of 9 shares 6, and of 30 shares 20.
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    found = attribute_fills(orders, fills_of("r-SPY-BUY", 4, 5, 21, commission=[1.0, 0.0, 0.05]))
    assert amounts(found) == {
        ("x0", "A"): 3.0,
        ("x0", "B"): 1.0,
        ("x1", "A"): 3.0,
        ("x1", "B"): 2.0,
        ("x2", "A"): 14.0,
        ("x2", "B"): 7.0,
    }
    # Of 100 cents A has 67, and of 105 cents 70.
    assert amounts(found, what="commission") == {
        ("x0", "A"): 0.67,
        ("x0", "B"): 0.33,
        ("x1", "A"): 0.0,
        ("x1", "B"): 0.0,
        ("x2", "A"): 0.03,
        ("x2", "B"): 0.02,
    }
    assert set(found["price"]) == {400.1}
    assert set(found["side"]) == {"BUY"}
    assert set(found["run_id"]) == {"r"}


def test_parts_of_a_fill_that_is_dated_by_its_report_are_marked_too():
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    found = attribute_fills(orders, fills_of("r-SPY-BUY", 3, 3).assign(time_unreliable=[False, True]))
    assert found["time_unreliable"].tolist() == [False, False, True, True]
    assert not attribute_fills(orders, fills_of("r-SPY-BUY", 3))["time_unreliable"].any()


def test_an_order_of_one_strategy_is_its_own_and_one_of_none_is_unassigned():
    plain = {"client_order_id": "m-TLT-SELL", "symbol": "TLT", "side": "SELL", "quantity": 5.0}
    orders = pd.DataFrame([order({"A": 5.0}) | {"strategy_quantities": None, "strategy": "A"}, plain])
    fills = pd.concat([fills_of("r-SPY-BUY", 2), fills_of("m-TLT-SELL", 5), fills_of("unheard-of", 1)])
    found = attribute_fills(orders, fills)
    assert found[["strategy", "quantity"]].to_numpy().tolist() == [
        ["A", 2.0],
        ["unassigned", 5.0],
        ["unassigned", 1.0],
    ]


def test_an_order_of_one_share_of_one_strategy_is_its_own():
    orders = pd.DataFrame([order({"A": 1.0}) | {"strategy_quantities": None, "strategy": "A"}])
    assert attribute_fills(orders, fills_of("r-SPY-BUY", 1))["strategy"].tolist() == ["A"]


@pytest.mark.parametrize("commission", [0.0, math.nan])
def test_a_strategy_without_a_share_and_a_charge_in_a_fill_has_no_row(commission):
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    found = attribute_fills(orders, fills_of("r-SPY-BUY", 1, commission=commission))
    assert amounts(found) == {("x0", "A"): 1.0}


def test_a_strategy_without_a_share_in_a_fill_still_has_its_part_of_the_commission():
    # One share is A's, and a rebate of three cents is divided 2 to 1.
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    found = attribute_fills(orders, fills_of("r-SPY-BUY", 1, commission=-0.03))
    assert amounts(found, what="commission") == {("x0", "A"): -0.02, ("x0", "B"): -0.01}


def test_a_commission_that_is_not_reported_yet_is_unknown():
    orders = pd.DataFrame([order({"A": 2.0, "B": 2.0})])
    found = attribute_fills(orders, fills_of("r-SPY-BUY", 2, 2, commission=[math.nan, 1.0]))
    assert found["commission"].isna().tolist() == [True, True, False, False]
    assert found["commission"].sum() == 1.0


def test_a_withdrawn_execution_is_as_if_it_had_never_been():
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    fills = fills_of("r-SPY-BUY", 4, 5, 21)
    left = fills[fills["exec_id"] != "x1"]
    found, plain = (
        attribute_fills(orders, each).groupby("strategy")["quantity"].sum()
        for each in (left, fills_of("r-SPY-BUY", 25))
    )
    assert found.to_dict() == plain.to_dict() == {"A": 17.0, "B": 8.0}


def test_fills_are_taken_in_the_sequence_of_their_times():
    orders = pd.DataFrame([order({"A": 20.0, "B": 10.0})])
    fills = fills_of("r-SPY-BUY", 4, 5)
    assert amounts(attribute_fills(orders, fills.iloc[::-1])) == amounts(attribute_fills(orders, fills))


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(-150, 150), min_size=1, max_size=5),
    st.data(),
)
def test_in_any_book_nothing_is_taken_back_and_everything_adds_up(quantities, data):
    net = abs(sum(quantities.values()))
    if not net:
        return
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=8))
    fees = data.draw(
        st.lists(st.integers(0, 500), min_size=len(sizes), max_size=len(sizes))
    )  # cents, and none is negative: a rebate does take back
    rows = order({name: float(shares) for name, shares in quantities.items()})
    fills = fills_of(rows["client_order_id"], *sizes, commission=[cents / 100 for cents in fees])
    before = dict.fromkeys(quantities, (0.0, 0.0))
    for count in range(1, len(sizes) + 1):
        found = attribute_fills(pd.DataFrame([rows]), fills.iloc[:count])
        found = found[found["kind"] == "fill"]
        for one in range(count):
            part = found[found["exec_id"] == f"x{one}"]
            assert part["quantity"].sum() == sizes[one]
            assert sum(map(to_cents, part["commission"])) == fees[one]
        after = {
            name: (mine["quantity"].sum(), mine["commission"].sum().round(2))
            for name, mine in found.groupby("strategy")
        }
        for name, (shares, paid) in after.items():
            assert shares >= before[name][0]
            assert paid >= before[name][1]
        before |= after


def to_cents(amount):
    cents = Decimal(str(amount)) * 100
    assert cents == cents.to_integral_value()
    return int(cents)


# -- crossings -----------------------------------------------------------------------------------------------


def test_a_crossing_is_at_the_mid_of_arrival_without_commission():
    arrived = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    rows = [order({"A": 100.0, "B": -40.0}, arrival_bid=400.0, arrival_ask=400.5, arrived_at=arrived)]
    found = attribute_fills(pd.DataFrame(rows), NOTHING)
    columns = ["kind", "strategy", "side", "quantity", "price", "commission", "filled_at"]
    assert found[columns].to_numpy().tolist() == [
        ["cross", "A", "BUY", 40.0, 400.25, 0.0, arrived],
        ["cross", "B", "SELL", 40.0, 400.25, 0.0, arrived],
    ]


def test_without_an_arrival_it_is_at_the_decision_price():
    assert set(planned_crossings(pd.DataFrame([order({"A": 100.0, "B": -40.0})]))["price"]) == {400.0}


@pytest.mark.parametrize("sides", [{"arrival_bid": 401.0, "arrival_ask": 0.0}, {"arrival_bid": 401.0}])
def test_without_both_sides_at_arrival_it_is_at_the_decision_price(sides):
    rows = [order({"A": 100.0, "B": -40.0}, **sides)]
    assert set(planned_crossings(pd.DataFrame(rows))["price"]) == {400.0}


def test_where_the_order_has_a_limit_it_is_at_the_decision_price():
    rows = [order({"A": 100.0, "B": -40.0}, arrival_bid=401.0, arrival_ask=401.5, limit_price=400.2)]
    assert set(planned_crossings(pd.DataFrame(rows))["price"]) == {400.0}


def test_crossings_on_record_take_the_place_of_the_planned_ones():
    orders = pd.DataFrame([order({"A": 100.0, "B": -40.0})])
    recorded = planned_crossings(orders).assign(price=401.0)
    assert set(attribute_fills(orders, NOTHING, recorded)["price"]) == {401.0}


def test_only_what_is_approved_crosses():
    crosses = '{"TLT": {"quantities": {"A": 5.0, "B": -5.0}, "price": 90.0, "currency": "USD"}}'
    rows = [
        order({"A": 100.0, "B": -40.0}, approved=True, strategy_crosses=crosses),
        order({"A": 9.0, "B": -4.0}, symbol="QQQ", approved=False, strategy_crosses=crosses),
        order({"A": 9.0, "B": -4.0}, symbol="GLD", status="REJECTED", strategy_crosses=crosses),
    ]
    found = planned_crossings(pd.DataFrame(rows))
    assert found[["symbol", "strategy", "quantity", "price"]].to_numpy().tolist() == [
        ["SPY", "A", 40.0, 400.0],
        ["SPY", "B", 40.0, 400.0],
        ["TLT", "A", 5.0, 90.0],
        ["TLT", "B", 5.0, 90.0],
    ]
    assert planned_crossings(pd.DataFrame(rows[1:])).empty


# -- input ---------------------------------------------------------------------------------------------------


def test_every_order_whose_quantities_cannot_be_used_is_named():
    rows = [
        order({"A": 5.0}) | {"strategy_quantities": "[]"},
        order({"A": 5.0}, symbol="TLT") | {"side": "SELL"},
        order({"A": 5.0}, symbol="QQQ"),
    ]
    with pytest.raises(InputError) as caught:
        divisions_of(pd.DataFrame(rows))
    assert [(one.code, one.symbol) for one in caught.value.problems] == [
        ("strategy_quantities", "SPY"),
        ("strategy_quantities", "TLT"),
    ]


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="column 'price' is missing"):
        attribute_fills(pd.DataFrame([order({"A": 1.0})]), NOTHING.drop(columns="price"))


# -- positions -----------------------------------------------------------------------------------------------


def test_what_strategies_hold_is_what_was_assigned_and_crossed_and_filled():
    orders = pd.DataFrame([order({"A": 100.0, "B": -40.0}) | {"filled_quantity": 30.0}])
    assigned = pd.DataFrame({"strategy": ["B", "B", "A"], "symbol": ["SPY", "TLT", "TLT"], "quantity": [50, 7, 5]})
    assert holdings(orders, planned_crossings(orders), assigned) == {
        "SPY": {"A": 70.0, "B": 10.0},
        "TLT": {"A": 5.0, "B": 7.0},
    }


def test_a_strategy_that_holds_nothing_any_more_is_left_out():
    orders = pd.DataFrame([order({"A": -10.0}) | {"filled_quantity": 10.0}])
    assigned = pd.DataFrame({"strategy": ["A"], "symbol": ["SPY"], "quantity": [10]})
    assert holdings(orders, NO_CROSSINGS, assigned) == {}


def test_what_is_left_of_the_account_is_unassigned():
    held = {"SPY": {"A": 70.0, "B": 10.0}, "TLT": {"A": 5.0}}
    assert positions_by_strategy(held, {"SPY": 100.0, "TLT": 5.0, "GLD": -3.0}).to_numpy().tolist() == [
        ["A", "SPY", 70.0],
        ["A", "TLT", 5.0],
        ["B", "SPY", 10.0],
        ["unassigned", "GLD", -3.0],
        ["unassigned", "SPY", 20.0],
    ]
    assert "unassigned" not in set(positions_by_strategy(held, None)["strategy"])


@pytest.mark.parametrize(
    ("own", "account", "is_unexplained"),
    [
        ({"A": 100.0}, 100.0, False),
        ({"A": 100.0}, 160.0, False),  # 60 are unassigned
        ({"A": 100.0, "B": -40.0}, 60.0, False),
        ({"A": 100.0, "B": -100.0}, 0.0, False),
        ({}, -30.0, False),
        ({"A": 100.0}, 99.0, True),
        ({"A": 20.0}, -30.0, True),
        ({"A": -20.0}, 10.0, True),
    ],
)
def test_strategies_together_hold_no_more_than_the_account(own, account, is_unexplained):
    assert unexplained(own, account) is is_unexplained
