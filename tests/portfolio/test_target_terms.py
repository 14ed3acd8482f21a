"""Terms that targets carry to their orders."""

import math

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.portfolio.alignment import align
from stocklean_exec.portfolio.plan_summary import plan_summary
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.portfolio.target_terms import TargetTerms
from stocklean_exec.risk.pre_trade_checks import Limits, check_orders
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.schema.order_terms import OrderTerms

NAN = math.nan
NOW = pd.Timestamp("2026-11-23 14:30", tz="UTC")
QUOTES = pd.DataFrame(
    {"symbol": ["AAA", "BBB"], "bid": [49.9, 19.9], "ask": [50.1, 20.1], "last": [50.0, 20.0], "quoted_at": NOW}
)


def terms(**columns):
    targets = parse_targets(pd.DataFrame({"symbol": ["AAA", "BBB"], "weight": 0.4} | columns))
    quotes = parse_quotes(QUOTES)
    book = align(targets, parse_positions(None), quotes)
    return TargetTerms.of(targets, book, quotes, NOW)


def test_targets_without_terms_add_no_columns():
    assert terms().columns(np.array([0, 1]), np.array([True, True])) == {}
    assert not terms().given.any()


def test_terms_are_read_row_by_row_and_holdings_have_none():
    wanted = {"symbol": ["AAA"], "weight": 0.4, "order_type": "STP", "aux_price": 55.0, "outside_rth": True}
    targets = parse_targets(pd.DataFrame(wanted))
    quotes = parse_quotes(QUOTES)
    book = align(targets, parse_positions({"BBB": 10}), quotes, unlisted="keep")
    found = TargetTerms.of(targets, book, quotes, NOW)
    assert (found.given.dtype, found.given.tolist()) == (np.dtype(bool), [True, False])
    assert found.rows == [OrderTerms(aux_price=55.0, outside_rth=True, decided_at=NOW), OrderTerms()]
    np.testing.assert_array_equal(found.aux, [55.0, NAN])
    np.testing.assert_array_equal(found.quotes["last"], [50.0, 20.0])


def test_only_a_symbol_with_an_offset_has_a_reference_price():
    found = terms(order_type="LMT", limit_offset_bps=[0.0, NAN], limit_reference=["last", None])
    np.testing.assert_array_equal(found.reference(np.array([True, True])), [50.0, NAN])


def test_an_offset_counts_as_resolved_unless_a_limit_of_its_own_contradicts_it():
    found = terms(order_type="LMT", limit_offset_bps=[5.0, NAN], limit_reference=["near", "far"])
    resolved = found.problem_terms(0, NAN)
    assert (math.isnan(resolved.limit_offset_bps), resolved.limit_reference) == (True, None)
    assert found.problem_terms(0, 50.0) == found.rows[0]  # a limit is given twice
    assert found.problem_terms(1, NAN) == found.rows[1]  # a reference without an offset
    unknown = terms(order_type="LMT", limit_offset_bps=5.0, limit_reference="middle")
    assert unknown.problem_terms(0, NAN) == unknown.rows[0]
    assert unknown.problem_terms(0, NAN).limit_reference == "middle"


def test_columns_have_their_types_although_no_order_has_a_value():
    found = terms(order_type="STP", aux_price=[55.0, 22.0]).columns(np.array([1, 0]), np.array([True, True]))
    frame = pd.DataFrame(found)
    assert frame["aux_price"].tolist() == [22.0, 55.0]
    assert frame["outside_rth"].tolist() == [False, False]
    assert {name: str(frame[name].dtype) for name in frame.columns.difference(["aux_price", "outside_rth"])} == {
        "limit_offset_bps": "float64",
        "good_till": "datetime64[us, UTC]",
        "good_after": "datetime64[us, UTC]",
        "limit_reference": "str",
        "algo": "str",
        "algo_params": "str",
    }


def test_an_offset_counts_from_the_side_of_the_order():
    found = terms(order_type="LMT", limit_offset_bps=[0.0, NAN], limit_reference=["near", None])
    own = np.array([NAN, 21.0])
    assert found.limits(own, np.array([True, True])).tolist() == [49.9, 21.0]
    assert found.limits(own, np.array([False, True])).tolist() == [50.1, 21.0]


def test_the_offset_of_an_order_whose_side_is_reversed_counts_from_its_new_side():
    # 100 shares are held and one lot is 80: the nearest whole lots to a target of 99 shares are below it or above.
    wanted = pd.DataFrame(
        {
            "symbol": ["AAA"],
            "weight": 0.495,
            "order_type": "LMT",
            "limit_offset_bps": 0.0,
            "limit_reference": "near",
            "lot_size": 80.0,
        }
    )
    planned = plan_orders(wanted, {"AAA": 160}, QUOTES.iloc[:1], nav=10_000, run_id="r")
    row = planned.iloc[0]
    assert row["limit_price"] == (49.9 if row["side"] == "BUY" else 50.1)


def one_buy(**columns):
    """A buy of 10 AAA."""
    return pd.DataFrame(
        {"run_id": "r", "symbol": ["AAA"], "side": "BUY", "quantity": 10.0, "tif": "DAY", "decision_price": 50.0}
        | columns
    )


@pytest.mark.parametrize(
    ("columns", "price"),
    [
        ({"order_type": "MKT"}, 50.1),
        ({"order_type": "MOC"}, 50.1),
        ({"order_type": "MIDPRICE"}, 50.1),
        ({"order_type": "MIDPRICE", "limit_price": 50.0}, 50.0),
        ({"order_type": "STP", "aux_price": 55.0}, 55.0),
        ({"order_type": "STP LMT", "aux_price": 55.0, "limit_price": 56.0}, 56.0),
        ({"order_type": "TRAIL", "aux_price": 2.0}, 52.0),
    ],
)
def test_a_buy_is_blocked_by_a_cent_less_than_it_may_cost(columns, price):
    orders = one_buy(**columns)
    limits = Limits(price_collar=None, max_gross=None)
    need = 10 * price + 1.0  # the lowest commission
    for cash, verdict in ((need + 0.01, "pass"), (need - 0.01, "block")):
        checked = check_orders(orders, limits, quotes=QUOTES, cash=cash, nav=10_000)
        assert (checked["verdict"].tolist(), cash) == ([verdict], cash)


def test_the_limit_of_a_stop_is_held_against_its_trigger():
    limits = Limits(price_collar=0.05)
    orders = one_buy(order_type="STP LMT", aux_price=60.0, limit_price=62.0)
    found = check_orders(orders, limits, quotes=QUOTES, cash=10_000)
    assert found["verdict"].tolist() == ["pass"]  # 3.3 % beyond its trigger, and 24 % beyond the market
    found = check_orders(orders.assign(limit_price=64.0), limits, quotes=QUOTES, cash=10_000)
    assert found["reasons"].tolist() == ["limit_collar"]  # 6.7 %


def test_a_plan_keeps_cash_for_the_distance_to_a_trigger():
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": 1.0, "order_type": "STP", "aux_price": 55.0})
    planned = plan_orders(wanted, None, QUOTES.iloc[:1], nav=10_000, run_id="r")
    # 200 shares are wanted: 5.00 each to the trigger, 1.00 commission and 0.4 % of 11,000 leave 8,955 at 50.00
    assert planned["quantity"].tolist() == [179.0]
    checked = check_orders(planned, Limits(price_collar=None), quotes=QUOTES, cash=10_000)
    assert checked["verdict"].tolist() == ["pass"]
    summary = plan_summary(planned, wanted, None, QUOTES.iloc[:1], nav=10_000)
    assert summary["reserved_slippage"] == pytest.approx(179 * 5.0 + 0.004 * 179 * 55.0)
