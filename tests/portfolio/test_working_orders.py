"""Working orders: which count as filled, which refuse their symbol, and the cash that they take."""

from __future__ import annotations

import math
from decimal import Decimal

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.portfolio.working_orders import (
    cash_effect,
    counted_orders,
    is_own,
    is_plain,
    refused_symbols,
    trading_costs,
)
from stocklean_exec.schema.inputs import parse_quotes

QUOTES = pd.DataFrame(
    {
        "symbol": ["A", "B", "E"],
        "bid": [99.0, 49.0, 9.9],
        "ask": [101.0, 51.0, 10.1],
        "currency": ["USD", "USD", "EUR"],
        "quoted_at": pd.Timestamp("2026-11-23 15:00", tz="UTC"),
    }
)


def orders_of(*rows, **columns):
    names = ["symbol", "side", "quantity", "filled_quantity", "limit_price"]
    return pd.DataFrame([(*row, math.nan)[:5] for row in rows], columns=names).assign(**columns)


@pytest.mark.parametrize("kind", ["MKT", "LMT", "MOC", "LOC", "lmt", None, math.nan])
def test_market_and_limit_orders_are_plain(kind):
    assert is_plain(orders_of(("A", "BUY", 5.0, 0.0), order_type=[kind])).tolist() == [True]


@pytest.mark.parametrize("kind", ["STP", "STP LMT", "TRAIL", "MIDPRICE", "REL"])
def test_other_types_are_not_plain(kind):
    assert is_plain(orders_of(("A", "SELL", 5.0, 0.0), order_type=[kind])).tolist() == [False]


def test_an_order_of_unknown_status_or_of_another_client_is_not_plain():
    assert is_plain(orders_of(("A", "BUY", 5.0, 0.0), status="UNKNOWN")).tolist() == [False]
    rows = [("A", "BUY", 5.0, 0.0)] * 4
    assert is_plain(orders_of(*rows, is_own=[True, False, None, math.nan])).tolist() == [True, False, False, False]


def test_an_empty_table_has_no_plain_orders():
    orders = orders_of(is_own=[], status=[], order_type=[])
    assert (is_own(orders).tolist(), is_plain(orders).tolist()) == ([], [])


def test_an_own_order_that_may_be_working_is_refused_where_it_was_to_be_cancelled():
    unknown = orders_of(("A", "BUY", 5.0, 0.0), ("B", "BUY", 5.0, 0.0), is_own=[True, False], status="UNKNOWN")
    for foreign in ("ignore", "net"):
        assert list(refused_symbols(unknown, "cancel", foreign)) == ["A"]
        assert list(refused_symbols(unknown, "net", foreign)) == []
    assert list(refused_symbols(unknown, "cancel", "reject")) == ["A", "B"]


def test_quantities_of_any_numeric_type_have_the_same_cash_effect():
    orders = orders_of(("A", "BUY", Decimal(10), 0.0)).astype({"quantity": object})
    found = cash_effect(orders, parse_quotes(QUOTES), "USD", {})
    assert (found.tolist(), found.dtype) == ([-1_011.0], "float64")  # 10 at the ask, 101, and 1 of commission


def test_the_policies_say_what_is_counted_and_what_is_refused():
    orders = orders_of(("A", "BUY", 5.0, 0.0), ("B", "SELL", 7.0, 2.0), is_own=[True, False])

    def found(*policy):
        counted, refused = counted_orders(orders, *policy), refused_symbols(orders, *policy)
        return counted["symbol"].tolist(), list(refused)

    assert found("reject", "reject") == (["A", "B"], ["A", "B"])
    assert found("net", "reject") == (["A"], ["B"])
    assert found("net", "ignore") == (["A"], [])
    assert found("net", "net") == (["A", "B"], [])
    assert counted_orders(orders, "cancel", "net")["symbol"].tolist() == ["B"]  # ours are cancelled first
    assert counted_orders(orders, "cancel", "reject")["symbol"].tolist() == []
    assert counted_orders(None, "net", "reject") is None
    assert refused_symbols(None, "net", "reject") == {}
    (text,) = refused_symbols(orders, "net", "reject").values()
    assert text.startswith("working orders for -5 shares are open (SELL 5)")
    assert "foreign_orders='net'" in text


def test_the_cash_of_working_orders_is_that_of_orders_that_fill():
    orders = orders_of(
        ("A", "BUY", 100.0, 40.0),  # 60 at the ask, 101, and 1 of commission
        ("A", "BUY", 10.0, 0.0, 95.0),  # may cost the mid, 100, as in the checks
        ("A", "BUY", 10.0, 0.0, 105.0),  # its limit
        # the bid, 49, less 2 of commission, 400 x 0.000195 to FINRA and 19,600 x 27.80 per million to the SEC
        ("B", "SELL", 400.0, 0.0),
        ("B", "SELL", 10.0, 10.0),  # filled
        ("E", "BUY", 100.0, 0.0),  # 10.1 and a fee of 3 euros, the minimum, x 1.2
    )
    found = cash_effect(orders, parse_quotes(QUOTES), "USD", {"EUR": 1.2})
    assert found.tolist() == pytest.approx([-6_061.0, -1_001.0, -1_051.0, 19_597.37712, 0.0, -1_215.6])


def test_a_buy_without_a_price_costs_its_limit_or_an_unknown_amount_and_a_sell_brings_nothing():
    orders = orders_of(
        ("Z", "BUY", 10.0, 0.0, 7.0), ("Z", "BUY", 10.0, 0.0), ("Z", "SELL", 10.0, 0.0), ("E", "SELL", 10.0, 0.0)
    )
    # 70 and a commission of 1 % of the value, 0.70
    assert cash_effect(orders, parse_quotes(QUOTES), "USD", {}).tolist() == [-70.7, -math.inf, 0.0, 0.0]


@pytest.mark.parametrize(("status", "effect"), [("SUBMITTED", -1_011.0), (None, -1_011.0), ("CANCELLED", 0.0)])
def test_an_order_that_has_ended_takes_no_cash(status, effect):
    orders = orders_of(("A", "BUY", 10.0, 0.0), status=status)
    assert cash_effect(orders, parse_quotes(QUOTES), "USD", {}).tolist() == [effect]


# -- in a plan and its checks ----------------------------------------------------------------------------------


def state_of(orders, cash=10_000.0, positions=None, nav=10_000.0):
    return sx.AccountState.of(positions, {"A": 100.0, "B": 50.0}, nav=nav, cash=cash, open_orders=orders)


def test_a_plan_leaves_the_commission_of_working_orders_in_cash():
    # 0.5 of A is working. 100 B would cost 5,000 and 1; with the working order's commission of 1, 99 can be paid.
    working = orders_of(("A", "BUY", 50.0, 0.0), order_type="MKT")
    orders = sx.plan_orders({"A": 0.5, "B": 0.5}, state_of(working), run_id="r", on_open_orders="net")
    assert orders[["symbol", "quantity"]].to_numpy().tolist() == [["B", 99.0]]
    checked = sx.check_orders(orders, None, state_of(working))
    assert checked["verdict"].tolist() == ["pass"]
    # 10,000 - 5,000 - 1 - 99 x 50 - 1
    assert sx.check_results(checked).set_index("check").loc["insufficient_cash", "value"] == 48.0


def test_a_stop_is_not_counted_and_its_symbol_is_rejected():
    stop = orders_of(("A", "SELL", 30.0, 0.0), order_type="STP")
    state = state_of(stop, cash=7_000.0, positions={"A": 30})
    orders = sx.plan_orders({"A": 0.5, "B": 0.2}, state, run_id="r", on_open_orders="net").set_index("symbol")
    assert orders["reason"].to_dict() == {"A": "open_order_exists", "B": pytest.approx(math.nan, nan_ok=True)}
    ignored = sx.plan_orders(
        {"A": 0.5, "B": 0.2}, state, run_id="r", on_open_orders="net", foreign_orders="ignore"
    ).set_index("symbol")
    assert ignored["quantity"].to_dict() == {"A": 20.0, "B": 40.0}


@pytest.mark.slow
def test_working_buys_of_anybody_take_cash_and_only_our_own_sells_bring_it():
    buy = pd.DataFrame({"run_id": "r", "symbol": ["B"], "side": "BUY", "quantity": [100.0], "order_type": "MKT"})
    options = {"cash": 6_000.0, "positions": {"A": 40}}

    def after(*rows, **columns):
        checked = sx.check_orders(buy, None, state_of(orders_of(*rows, **columns), **options))
        return sx.check_results(checked).set_index("check").loc["insufficient_cash", "value"]

    # 6,000 - 5,000 - 1 = 999 without working orders
    assert after(("A", "BUY", 5.0, 0.0), is_own=True) == 999.0 - 501.0
    assert after(("A", "BUY", 5.0, 0.0), is_own=False) == 999.0 - 501.0
    # A sell pays 5 x 0.000195 to FINRA and 500 x 27.80 per million to the SEC too.
    assert after(("A", "SELL", 5.0, 0.0), is_own=True) == 999.0 + 499.0 - 0.014875
    assert after(("A", "SELL", 5.0, 0.0), is_own=False) == 999.0
    blocked = sx.check_orders(buy, None, state_of(orders_of(("Z", "BUY", 5.0, 0.0)), **options))
    assert blocked["reasons"].tolist() == ["insufficient_cash"]  # what it costs is unknown


def test_shares_that_a_working_order_sells_cannot_be_sold_again():
    sell = pd.DataFrame({"run_id": "r", "symbol": ["A"], "side": "SELL", "quantity": [40.0], "order_type": "MKT"})
    options = {"cash": 6_000.0, "positions": {"A": 40}}
    free = state_of(orders_of(("A", "BUY", 5.0, 0.0)), **options)
    assert sx.check_orders(sell, None, free)["verdict"].tolist() == ["pass"]
    taken = state_of(orders_of(("A", "SELL", 1.0, 0.0)), **options)
    assert sx.check_orders(sell, None, taken)["reasons"].tolist() == ["sell_exceeds_position"]


def test_a_plan_that_buys_less_because_of_working_buys_says_so():
    # NAV and cash 10,000: a working buy of 50 Z at 60 takes 3,001 with its fee, and Z is no target.
    working = pd.DataFrame(
        {"symbol": ["Z"], "side": "BUY", "quantity": 50.0, "order_type": "LMT", "limit_price": 60.0}
    )
    state = sx.AccountState.of(None, {"A": 100.0, "Z": 60.0}, nav=10_000, open_orders=working)
    plan = sx.plan_orders({"A": 1.0}, state, run_id="r", on_open_orders="net")
    assert plan["quantity"].tolist() == [69.0]  # 6,999 less the fee of 1 buy 69 of 100
    warnings = sx.input_warnings(plan).set_index("code")["detail"]
    assert warnings["cash_committed"] == (
        "working orders take 3,001.00 USD of cash, so the plan buys 3,000.00 less than the targets call for"
    )
    free = sx.plan_orders({"A": 0.5}, state, run_id="r", on_open_orders="net")  # there is enough for both
    assert "cash_committed" not in sx.input_warnings(free)["code"].tolist()


def test_the_costs_of_working_orders_are_fees_and_the_distance_to_the_price_they_trade_at():
    orders = orders_of(
        ("A", "BUY", 10.0, 4.0),  # 6 shares at 1.00 over the mid, and a fee of 1.00
        ("A", "BUY", 10.0, 10.0),
        ("B", "BUY", 10.0, 0.0, 48.0),  # below the market: a fee alone
        ("E", "BUY", 100.0, 0.0),  # 100 shares at 0.10 and a fee of 3.00, in euros
        ("Z", "BUY", 10.0, 0.0, 7.0),  # no price
        ("E", "BUY", 1.0, 0.0),
    )
    costs = trading_costs(orders.iloc[:5], parse_quotes(QUOTES), "USD", {"EUR": 1.2}).tolist()
    assert costs == pytest.approx([7.0, 0.0, 1.0, 15.6, math.nan], nan_ok=True)
    assert math.isnan(trading_costs(orders.iloc[5:], parse_quotes(QUOTES), "USD", {})[0])
