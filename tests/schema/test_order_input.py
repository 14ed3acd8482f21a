"""Validation of orders."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.risk.pre_trade_checks import Limits, check_orders
from stocklean_exec.schema.frame_validator import input_warnings
from stocklean_exec.schema.order_input import (
    MAX_QUANTITY,
    describe_open_orders,
    find_order_problem,
    parse_open_orders,
    parse_orders,
)
from stocklean_exec.schema.tables import ORDERS

NAN = math.nan
WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def orders(**columns):
    usual = {"run_id": "r", "symbol": ["AAA", "BBB"], "side": "BUY", "quantity": [10, 20], "order_type": "MKT"}
    return pd.DataFrame(usual | columns)


def test_columns_and_dtypes_are_the_declared_ones():
    frame = parse_orders(orders())
    assert tuple(frame.columns) == (*ORDERS.names, "detail")
    assert {name: str(frame[name].dtype) for name in ORDERS.names} == ORDERS.dtypes


def test_omitted_columns_get_their_defaults():
    row = parse_orders(orders()).iloc[0]
    assert row[["client_order_id", "tif", "sec_type", "exchange", "currency", "status"]].tolist() == [
        "r-AAA-BUY",
        "DAY",
        "STK",
        "SMART",
        "USD",
        "NEW",
    ]


def test_a_given_order_id_is_kept():
    given_ids = pd.Series(["mine", None], dtype="object")
    assert parse_orders(orders(client_order_id=given_ids))["client_order_id"].tolist() == ["mine", "r-BBB-BUY"]


def test_ids_may_be_the_index_or_a_column_or_both():
    frame = orders(client_order_id=["x", "y"])
    for given_frame in (frame, frame.set_index("client_order_id"), frame.set_index("client_order_id", drop=False)):
        assert parse_orders(given_frame)["client_order_id"].tolist() == ["x", "y"]


def test_parsing_twice_changes_nothing():
    once = parse_orders(orders(quantity=[10, -5]))
    pd.testing.assert_frame_equal(parse_orders(once), once)


def test_a_rejected_row_keeps_its_first_reason():
    frame = orders(
        quantity=[10, np.nan], status=["NEW", "REJECTED"], reason=[None, "price_unavailable"], detail=[None, "why"]
    )
    row = parse_orders(frame).iloc[1]
    assert row[["status", "reason", "detail"]].tolist() == ["REJECTED", "price_unavailable", "why"]


def test_the_callers_frame_is_not_changed():
    frame = orders(side="buy")
    copy = frame.copy(deep=True)
    parse_orders(frame)
    pd.testing.assert_frame_equal(frame, copy)


def test_an_odd_lot_gives_a_warning_unless_it_closes_a_position():
    frame = parse_orders(orders(quantity=[150, 150], lot_size=100, target_quantity=[0, 50]))
    assert frame["status"].tolist() == ["NEW", "NEW"]
    assert input_warnings(frame)[["code", "symbol"]].to_numpy().tolist() == [["lot_size", "BBB"]]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((10, "MKT", NAN, "DAY", "STK", "BUY"), None),
        ((0.5, "MKT", NAN, "DAY", "STK", "BUY", 0.0001), None),
        ((0.3, "MKT", NAN, "DAY", "STK", "BUY", 0.0001), None),
        ((150, "MKT", NAN, "DAY", "STK", "SELL", 100), None),
        ((MAX_QUANTITY, "MKT", NAN, "DAY", "STK", "BUY"), None),
        ((MAX_QUANTITY + 1, "MKT", NAN, "DAY", "STK", "BUY"), "quantity_too_large"),
        ((0.00005, "MKT", NAN, "DAY", "STK", "BUY", 0.0001), "fractional_not_allowed"),
        ((10, "MKT", NAN, "DAY", "STK", "buy"), "side_invalid"),
        ((10, "LMT", 100.01, "DAY", "STK", "BUY"), None),
        ((10, "LMT", 100.005, "DAY", "STK", "BUY"), "off_tick"),
        ((10, "LMT", 100.005, "DAY", "STK", "BUY", 1, 0.005), None),
        ((10, "LMT", 600_000.001, "DAY", "STK", "BUY"), "off_tick"),
        ((10, "LMT", 0.1234, "DAY", "STK", "BUY"), None),
        ((10, "LMT", 100.0, "DAY", "STK", "BUY", 1, math.inf), "tick_unknown"),
        ((10, "LMT", NAN, "DAY", "STK", "BUY"), "limit_missing"),
        ((10, "MKT", 5.0, "DAY", "STK", "BUY"), "limit_on_market"),
        ((10, "MKT", NAN, "", "STK", "BUY"), "tif_invalid"),
        ((10, "MKT", NAN, "DAY", "OPT", "BUY"), "sec_type_unsupported"),
    ],
)
def test_the_first_problem_of_one_order(arguments, code):
    found = find_order_problem(*arguments)
    assert (found and found[0]) == code


def test_working_orders_are_added_up_with_sign():
    frame = pd.DataFrame(
        {
            "symbol": ["a", "A", "B", "C", "D"],
            "side": ["BUY", "sell", "SELL", "BUY", "BUY"],
            "quantity": [10, 4, 5, 7, 3],
            "filled_quantity": [3, 0, None, 7, 1],
            "status": ["SUBMITTED", "NEW", "UNKNOWN", "PARTIAL", "CANCELLED"],
        }
    )
    assert parse_open_orders(frame) == {"A": 3.0, "B": -5.0}
    assert parse_open_orders(None) == {}
    assert parse_open_orders(ORDERS.empty()) == {}


@pytest.mark.parametrize(
    "columns", [{"quantity": ["x", 0]}, {"quantity": [np.nan, -1]}, {"filled_quantity": [np.inf, "y"]}]
)
def test_a_working_order_without_a_quantity_is_an_error(columns):
    with pytest.raises(InputError) as caught:
        parse_open_orders(orders(**columns))
    assert caught.value.codes == ("open_order_invalid",)
    assert sorted(problem.row for problem in caught.value.problems) == [0, 1]


# -- anything at all ---------------------------------------------------------------------------------------

ugly = st.sampled_from(
    [
        NAN,
        math.inf,
        None,
        pd.NA,
        "",
        "x",
        0,
        -1,
        1.5,
        10,
        100.01,
        1e308,
        2**31,
        True,
        "\ud800",
        [1],
        10**400,
        b"x",
        pd.NaT,
    ]
)
headers = st.sampled_from([*ORDERS.names, "lot_size", "tick_size", "detail", "verdict", 5])


@st.composite
def hand_made(draw):
    """A few orders, most columns in order, some with anything in them."""
    size = draw(st.integers(0, 4))

    def column(kind):
        return pd.Series(draw(st.lists(kind, min_size=size, max_size=size)), dtype="object")

    columns = {
        "run_id": column(st.just("r")),
        "symbol": column(st.sampled_from(["A", "B", "brk.b", "D"])),
        "side": column(st.sampled_from(["BUY", "BUY", "BUY", "sell"])),
        "quantity": column(st.sampled_from([1, 10, 2.5, 100])),
        "order_type": column(st.sampled_from(["MKT", "LMT"])),
        "limit_price": column(st.sampled_from([NAN, 9.99, 10.005])),
    }
    for name in draw(st.lists(headers, max_size=2)):
        columns[name] = column(ugly)
    frame = pd.DataFrame(columns)
    if draw(st.booleans()):
        frame = frame.infer_objects()
    if draw(st.booleans()):
        frame.index = pd.Index([7] * size, name=draw(st.sampled_from([None, "symbol", "client_order_id"])))
    return frame


def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options), None
    except InputError as error:
        return None, error


@pytest.mark.slow
@given(hand_made())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_any_orders_are_parsed_row_for_row_or_refused(frame):
    before = repr(frame.to_numpy().tolist())
    parsed, refusal = attempt(parse_orders, frame)
    assert repr(frame.to_numpy().tolist()) == before
    if refusal is not None:
        assert refusal.problems
        assert all(re.fullmatch(r"[a-z_]+", code) for code in refusal.codes)
        return
    assert len(parsed) == len(frame)
    assert parsed["client_order_id"].is_unique
    rejected = parsed["status"] == "REJECTED"
    assert parsed.loc[rejected, "reason"].notna().all()
    going = parsed[parsed["status"] == "NEW"]
    assert going["quantity"].between(0, MAX_QUANTITY, inclusive="right").all()
    assert going["order_type"].isin(["MKT", "LMT"]).all()
    assert (going["limit_price"].gt(0) == (going["order_type"] == "LMT")).all()


@pytest.mark.slow
@given(hand_made())
@settings(deadline=None, derandomize=True, max_examples=100)
def test_any_orders_are_checked_row_for_row_or_refused(frame):
    quotes = {"A": 10.0, "B": 0.0, "BRK B": 300.0}
    checked, refusal = attempt(
        check_orders, frame, Limits(max_order_quantity=50), quotes=quotes, cash=1e5, now=WHEN
    )
    if refusal is None:
        assert len(checked) == len(frame)
        assert set(checked["verdict"]) <= {"pass", "warn", "block"}
        assert (checked.loc[checked["status"] == "REJECTED", "verdict"] == "block").all()
        assert (checked.loc[checked["quantity"].fillna(0) > 50, "verdict"] == "block").all()
    else:
        assert refusal.problems


def test_orders_keep_the_warnings_of_their_targets_and_positions():
    orders = plan_orders({"SPY": 0.5}, {"SPY": 150}, {"SPY": 100.0}, nav=10_000, run_id="r")
    assert input_warnings(orders)["code"].tolist() == ["residual_cash", "negative_cash"]
    for again in (parse_orders(orders), parse_orders(parse_orders(orders))):
        assert input_warnings(again)["code"].tolist() == ["residual_cash", "negative_cash"]


TERMS = st.fixed_dictionaries(
    {
        "quantity": st.sampled_from([0.0, 0.5, 1.0, 7.0, 2.0**31 - 2, 2.0**31, -3.0, math.inf, NAN]),
        "order_type": st.sampled_from(["MKT", "MKT", "LMT", "LMT", "STP"]),
        "limit_price": st.sampled_from([NAN, NAN, 0.00015, 0.5, 10.0, 10.001, 1e9, -1.0, math.inf]),
        "tif": st.sampled_from(["DAY", "GTC", "XXX"]),
        "sec_type": st.sampled_from(["STK", "STK", "FUT"]),
        "side": st.just("BUY"),
        "lot_size": st.sampled_from([NAN, 1.0, 100.0, 0.5, 0.0, -1.0]),
        "tick_size": st.sampled_from([NAN, 0.01, 0.0005, 0.0, math.inf]),
    }
)


@settings(max_examples=50, deadline=None)
@given(st.lists(TERMS, min_size=1, max_size=8))
def test_the_problem_of_each_row_is_that_of_its_order_alone(terms):
    frame = pd.DataFrame(terms).assign(run_id="r", symbol=[f"S{row}" for row in range(len(terms))])
    expected = [find_order_problem(**one) for one in terms]
    found = parse_orders(frame)
    assert found["reason"].fillna("").tolist() == ["" if why is None else why[0] for why in expected]


def test_each_row_of_an_unknown_term_is_rejected_also_beside_valid_limits():
    found = parse_orders(
        orders(
            symbol=["A", "B", "C", "D"],
            quantity=10,
            order_type="LMT",
            limit_price=[9.5, 9.5, 9.5, 0.500000001],
            tif=["DAY", "XXX", "DAY", "DAY"],
            sec_type=["STK", "STK", "FUT", "STK"],
        )
    )
    assert found["reason"].fillna("").tolist() == ["", "tif_invalid", "sec_type_unsupported", "off_tick"]


def test_only_the_symbols_that_are_bought_and_sold_are_refused():
    with pytest.raises(InputError) as caught:
        parse_orders(orders(symbol=["A", "B", "A"], side=["BUY", "BUY", "SELL"], quantity=10))
    assert [(one.code, one.row, one.symbol) for one in caught.value.problems] == [
        ("self_cross", 0, "A"),
        ("self_cross", 2, "A"),
    ]


def test_working_orders_are_described_with_who_placed_them():
    working = pd.DataFrame(
        {
            "symbol": ["A", "A", "B", "C"],
            "side": ["BUY", "SELL", "BUY", "SELL"],
            "quantity": [10.0, 5.0, 2.0, 3.0],
            "filled_quantity": [4.0, None, 2.0, 0.0],
            "client_order_id": ["r-A-BUY", None, None, "r-C-SELL"],
            "client_id": [7, 0, 7, None],
            "run_id": "r",
            "status": ["SUBMITTED", "SUBMITTED", "SUBMITTED", "UNKNOWN"],
        }
    )
    assert describe_open_orders(working) == {
        "A": "BUY 6, r-A-BUY, placed by client id 7; SELL 5, placed by client id 0 or by hand in TWS",
        "C": "SELL 3, r-C-SELL, status unknown, it may be working; resume or resolve run r",
    }
    assert describe_open_orders(working[["symbol", "side", "quantity"]].head(1)) == {"A": "BUY 10"}
    assert describe_open_orders({"A": 5.0}) == {}
