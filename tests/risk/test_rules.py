from __future__ import annotations

import json
import math
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.errors import InputError
from stocklean_exec.fees import IBKR_US_FIXED
from stocklean_exec.portfolio.order_costs import OrderFees
from stocklean_exec.risk.findings import Findings
from stocklean_exec.risk.market_closed import MarketWaits, OrderHours
from stocklean_exec.risk.pre_trade_checks import Limits, check_orders, check_results
from stocklean_exec.risk.quote_columns import QuoteColumns
from stocklean_exec.risk.rules import CheckContext, _check_hours, find
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.order_input import parse_orders

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
NO_CASH = {"min_cash_after": None}


def orders_of(*rows, **columns):
    """Rows of (symbol, side, quantity) or (symbol, side, quantity, limit)."""
    frame = pd.DataFrame(
        [
            {
                "run_id": "r",
                "symbol": row[0],
                "side": row[1],
                "quantity": float(row[2]),
                "order_type": "LMT" if len(row) > 3 else "MKT",
                "limit_price": row[3] if len(row) > 3 else math.nan,
            }
            for row in rows
        ]
    )
    return frame.assign(**columns)


def verdict_of(checked, check, row=0):
    """Verdict, limit and value of one check of one order."""
    table = check_results(checked)
    name = checked["client_order_id"].iloc[row]
    found = table[(table["client_order_id"] == name) & (table["check"] == check)]
    return tuple(found[["verdict", "limit", "value"]].iloc[0])


# -- size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "quantity", "check", "verdict", "limit", "value"),
    [
        ({"max_order_notional": 1_000}, 9, "max_notional", "pass", 1_000, 900),
        ({"max_order_notional": 1_000}, 10, "max_notional", "pass", 1_000, 1_000),
        ({"max_order_notional": 1_000}, 11, "max_notional", "block", 1_000, 1_100),
        ({"max_order_quantity": 10}, 9, "max_qty", "pass", 10, 9),
        ({"max_order_quantity": 10}, 10, "max_qty", "pass", 10, 10),
        ({"max_order_quantity": 10}, 11, "max_qty", "block", 10, 11),
        ({"max_total_notional": 1_000}, 9, "max_total_notional", "pass", 1_000, 900),
        ({"max_total_notional": 1_000}, 10, "max_total_notional", "pass", 1_000, 1_000),
        ({"max_total_notional": 1_000}, 11, "max_total_notional", "block", 1_000, 1_100),
        ({"max_position_ratio": 0.1}, 9, "max_position_ratio", "pass", 0.1, 0.09),
        ({"max_position_ratio": 0.1}, 10, "max_position_ratio", "pass", 0.1, 0.1),
        ({"max_position_ratio": 0.1}, 11, "max_position_ratio", "block", 0.1, 0.11),
        ({"max_gross": 0.1}, 9, "max_gross", "pass", 0.1, 0.09),
        ({"max_gross": 0.1}, 10, "max_gross", "pass", 0.1, 0.1),
        ({"max_gross": 0.1}, 11, "max_gross", "block", 0.1, 0.11),
    ],
)
def test_a_size_up_to_the_limit_passes_and_one_above_is_blocked(limits, quantity, check, verdict, limit, value):
    checked = check_orders(
        orders_of(("SPY", "BUY", quantity)), Limits(**NO_CASH, **limits), quotes={"SPY": 100.0}, nav=10_000
    )
    assert checked["verdict"].tolist() == [verdict]
    assert verdict_of(checked, check) == (verdict, limit, pytest.approx(value, abs=1e-12))


@pytest.mark.parametrize(
    ("limits", "quantity", "verdict", "reasons"),
    [
        ({}, 110, "pass", ""),  # ten per cent over the 100 that the target calls for
        ({}, 111, "block", "over_target"),
        ({"max_over_target": None}, 111, "pass", ""),
        ({"max_over_target": 0.0}, 101, "block", "over_target"),
        ({"max_over_target": None}, 500, "pass", ""),  # five per cent of 10,000 shares a day
        ({"max_over_target": None}, 501, "warn", "max_adv_ratio"),
        ({"max_over_target": None, "max_adv_ratio": None}, 501, "pass", ""),
    ],
)
def test_an_order_is_compared_with_its_target_and_with_the_volume_of_its_symbol(
    limits, quantity, verdict, reasons
):
    frame = orders_of(("SPY", "BUY", quantity), planned_quantity=100.0, adv=10_000.0)
    checked = check_orders(frame, Limits(**NO_CASH, **limits), quotes={"SPY": 1.0}, nav=10_000)
    assert checked[["verdict", "reasons"]].fillna("").to_numpy().tolist() == [[verdict, reasons]]
    if limits.get("max_over_target", 0.1) is not None:
        assert verdict_of(checked, "over_target")[2] == pytest.approx(quantity / 100 - 1)


def test_a_total_over_its_limit_blocks_all_orders():
    frame = orders_of(("AAA", "BUY", 6), ("BBB", "SELL", 5))
    checked = check_orders(
        frame,
        Limits(**NO_CASH, max_total_notional=1_000),
        positions={"BBB": 5},
        quotes={"AAA": 100.0, "BBB": 100.0},
    )
    assert checked["reasons"].tolist() == ["max_total_notional"] * 2
    assert verdict_of(checked, "max_total_notional", 1) == ("block", 1_000, 1_100)


def test_the_position_limit_counts_the_existing_holding():
    # 5 held and 6 bought at 100 are 1,100 of 10,000.
    limits = Limits(**NO_CASH, max_position_ratio=0.1)
    checked = check_orders(
        orders_of(("SPY", "BUY", 6)), limits, positions={"SPY": 5}, quotes={"SPY": 100.0}, nav=10_000
    )
    assert verdict_of(checked, "max_position_ratio") == ("block", 0.1, pytest.approx(0.11))


def test_an_order_that_reduces_an_oversized_position_is_not_blocked():
    limits = Limits(**NO_CASH, max_position_ratio=0.1, max_gross=0.1)
    checked = check_orders(
        orders_of(("SPY", "SELL", 5)), limits, positions={"SPY": 50}, quotes={"SPY": 100.0}, nav=10_000
    )
    assert checked["verdict"].tolist() == ["pass"]
    assert verdict_of(checked, "max_position_ratio")[2] == pytest.approx(0.45)


def test_a_blocked_sell_does_not_make_room_under_the_gross_limit():
    # Held 50 at 100, 10 more bought: 6,000 of 10,000. With the restricted sell of 20 it would be 4,000.
    checked = check_orders(
        orders_of(("AAA", "SELL", 20), ("BBB", "BUY", 10)),
        Limits(**NO_CASH, max_gross=0.5, restricted={"AAA"}),
        positions={"AAA": 50},
        quotes={"AAA": 100.0, "BBB": 100.0},
        nav=10_000,
    )
    assert checked["reasons"].tolist() == ["restricted", "max_gross"]
    assert verdict_of(checked, "max_gross", 1) == ("block", 0.5, pytest.approx(0.6))


def test_a_sell_limit_above_the_market_does_not_pay_for_buys():
    # 10 sold at the market's 100 bring 1,000 and not 2,000; 15 bought cost 1,500; commissions are 1 each.
    # The sell pays 10 x 0.000195 to FINRA and 1,000 x 27.80 per million to the SEC.
    checked = check_orders(
        orders_of(("AAA", "SELL", 10, 200.0), ("BBB", "BUY", 15)),
        positions={"AAA": 10},
        quotes={"AAA": 100.0, "BBB": 100.0},
        cash=0.0,
    )
    assert verdict_of(checked, "insufficient_cash", 1) == ("block", 0.0, -502.02975)


def test_gross_exposure_counts_longs_shorts_and_untraded_holdings():
    # AAA 10 x 100 long, BBB -20 x 50 short, CCC 10 x 100 kept: 3,000 of 10,000.
    limits = Limits(**NO_CASH, max_gross=0.25, allow_short=True)
    checked = check_orders(
        orders_of(("AAA", "BUY", 10), ("BBB", "SELL", 20)),
        limits,
        positions={"CCC": 10},
        quotes={"AAA": 100.0, "BBB": 50.0, "CCC": 100.0},
        nav=10_000,
    )
    assert verdict_of(checked, "max_gross") == ("block", 0.25, pytest.approx(0.3))


def test_without_a_given_nav_it_is_cash_plus_holdings():
    # 1,000 cash and 10 x 100 held: NAV 2,000; 12 x 100 are 0.6 of it.
    checked = check_orders(
        orders_of(("SPY", "BUY", 2)),
        Limits(max_position_ratio=0.5),
        positions={"SPY": 10},
        quotes={"SPY": 100.0},
        cash=1_000,
    )
    assert verdict_of(checked, "max_position_ratio") == ("block", 0.5, pytest.approx(0.6))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"positions": {"OLD": 5}, "cash": 1_000.0}, "nav_missing"),  # held without a price
        ({}, "nav_missing"),  # neither nav nor cash
        ({"cash": 0.0}, "nav_invalid"),  # NAV of nothing
        ({"cash": -500.0}, "nav_invalid"),  # a ratio of a negative NAV would pass every limit
        ({"cash": 1_000.0, "nav": 0.0}, "nav_invalid"),
        ({"cash": 1_000.0, "nav": -1.0}, "nav_invalid"),
        ({"cash": 1_000.0, "nav": math.nan}, "nav_invalid"),
        ({"cash": 1_000.0, "nav": "1000"}, "nav_invalid"),
    ],
)
def test_a_ratio_of_an_unknown_nav_is_an_error(arguments, code):
    with pytest.raises(InputError) as caught:
        check_orders(
            orders_of(("SPY", "BUY", 1)),
            Limits(min_cash_after=None, max_position_ratio=0.5),
            quotes={"SPY": 100.0},
            **arguments,
        )
    assert caught.value.codes == (code,)


# -- cash ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cash", "verdict"), [(1_002.0, "pass"), (1_001.0, "pass"), (1_000.99, "block")])
def test_cash_must_pay_for_the_buys_and_their_fees(cash, verdict):
    # 10 x 100 and the minimum commission of 1.00.
    checked = check_orders(orders_of(("SPY", "BUY", 10)), quotes={"SPY": 100.0}, cash=cash)
    assert verdict_of(checked, "insufficient_cash") == (verdict, 0.0, pytest.approx(cash - 1_001))


def test_the_sells_pay_for_the_buys():
    # 100 + 20 x 50 - 10 x 100 - 2 x 1.00 of commission = 98; levies 20 x 0.000195 and 1,000 x 27.80 per million.
    frame = orders_of(("OLD", "SELL", 20), ("SPY", "BUY", 10))
    checked = check_orders(frame, positions={"OLD": 20}, quotes={"OLD": 50.0, "SPY": 100.0}, cash=100.0)
    assert checked["verdict"].tolist() == ["pass", "pass"]
    assert verdict_of(checked, "insufficient_cash") == ("pass", 0.0, 97.9683)


def test_the_proceeds_of_a_sell_that_is_blocked_pay_for_nothing():
    frame = orders_of(("OLD", "SELL", 20), ("SPY", "BUY", 10))
    checked = check_orders(
        frame,
        Limits(restricted={"OLD"}),
        positions={"OLD": 20},
        quotes={"OLD": 50.0, "SPY": 100.0},
        cash=100.0,
    )
    assert checked["reasons"].tolist() == ["restricted", "insufficient_cash"]
    assert verdict_of(checked, "insufficient_cash", 1) == ("block", 0.0, -901.0)


def test_a_buy_that_is_blocked_takes_no_cash_from_the_others():
    frame = orders_of(("BIG", "BUY", 1_000), ("SPY", "BUY", 1))
    checked = check_orders(frame, Limits(max_order_quantity=100), quotes={"BIG": 100.0, "SPY": 100.0}, cash=200.0)
    assert checked["reasons"].fillna("").tolist() == ["max_qty", ""]


def test_a_limit_order_to_buy_may_cost_up_to_its_limit():
    # 10 x 105 and 1.00; the market at 100 would have left 49.
    checked = check_orders(orders_of(("SPY", "BUY", 10, 105.0)), quotes={"SPY": 100.0}, cash=1_050.0)
    assert verdict_of(checked, "insufficient_cash") == ("block", 0.0, -1.0)


def test_a_sell_is_never_blocked_for_cash():
    checked = check_orders(orders_of(("SPY", "SELL", 1)), positions={"SPY": 1}, quotes={"SPY": 1.0}, cash=-5_000.0)
    assert checked["verdict"].tolist() == ["pass"]


def test_the_minimum_cash_can_be_set():
    limits = Limits(min_cash_after=500)
    checked = check_orders(orders_of(("SPY", "BUY", 5)), limits, quotes={"SPY": 100.0}, cash=1_000.0)
    assert verdict_of(checked, "insufficient_cash") == ("block", 500, 499.0)


# -- prices ----------------------------------------------------------------------------------------------------


def test_a_symbol_without_a_quote_is_blocked_as_price_unavailable():
    checked = check_orders(orders_of(("SPY", "BUY", 1), ("GONE", "BUY", 1)), quotes={"SPY": 100.0}, cash=1_000.0)
    assert checked["verdict"].tolist() == ["pass", "block"]
    assert checked["reasons"].tolist()[1] == "price_unavailable"


@pytest.mark.parametrize("price", [0.0, -5.0, math.nan, math.inf])
def test_an_invalid_price_is_price_unavailable(price):
    checked = check_orders(orders_of(("SPY", "BUY", 1)), quotes={"SPY": price}, cash=1_000.0)
    assert checked["reasons"].tolist() == ["price_unavailable"]


def market(**values):
    columns = {"symbol": "SPY", "bid": math.nan, "ask": math.nan, "last": math.nan, "close": math.nan}
    return pd.DataFrame([{**columns, "quoted_at": NOW, **values}])


@pytest.mark.parametrize(
    ("quote", "verdict", "reasons"),
    [
        ({"bid": 99.0, "ask": 101.0}, "pass", None),  # 2 of 100 are 200 bp: at the limit
        ({"bid": 98.99, "ask": 101.01}, "warn", "wide_spread"),  # 202 bp
        ({"bid": 100.0, "ask": 100.0}, "warn", "quote_locked"),
        ({"bid": 99.0, "last": 100.0}, "warn", "quote_one_sided"),
        ({"bid": 101.0, "ask": 99.0}, "block", "quote_crossed"),
        ({"last": 100.0, "halted": True}, "block", "symbol_halted"),
        ({"last": 100.0, "data_type": 3}, "warn", "delayed_price"),
        ({"last": 100.0, "data_type": 1}, "pass", None),
        ({"last": 110.0, "close": 100.0}, "pass", None),  # 10 %: at the collar
        ({"last": 111.0, "close": 100.0}, "block", "price_collar"),
        ({"last": 89.0, "close": 100.0}, "block", "price_collar"),
        ({"last": 50.0, "close": 100.0}, "block", "suspected_split"),
        ({"last": 51.4, "close": 100.0}, "block", "suspected_split"),  # 2.8 % from a split of two for one
        ({"last": 52.5, "close": 100.0}, "block", "suspected_split"),  # 5 % from it
        ({"last": 53.0, "close": 100.0}, "block", "price_collar"),  # 6 % from it
        ({"last": 400.0, "close": 20.0}, "block", "suspected_split"),  # a reverse split of one for twenty
    ],
)
def test_an_unusual_market_gives_a_warning_or_a_block(quote, verdict, reasons):
    checked = check_orders(orders_of(("SPY", "BUY", 1)), quotes=market(**quote), cash=1_000.0, now=NOW)
    assert (checked["verdict"].iloc[0], checked["reasons"].fillna("").iloc[0]) == (verdict, reasons or "")


def test_a_suspected_split_of_one_symbol_does_not_affect_another():
    two = pd.DataFrame(
        {"symbol": ["SPY", "TLT"], "last": [50.0, 80.0], "close": 100.0, "quoted_at": pd.Timestamp(NOW)}
    )
    checked = check_orders(orders_of(("SPY", "BUY", 1), ("TLT", "BUY", 1)), quotes=two, cash=1_000.0, now=NOW)
    assert checked["reasons"].tolist() == ["suspected_split", "price_collar"]


@pytest.mark.parametrize("shares", [2, 3, 4, 5, 10, 20])
def test_splits_and_reverse_splits_are_suspected(shares):
    for close, last in ((1_000.0, 1_000.0 / shares), (10.0, 10.0 * shares)):
        checked = check_orders(
            orders_of(("SPY", "BUY", 1)), quotes=market(last=last, close=close), cash=1_000.0, now=NOW
        )
        assert checked["reasons"].iloc[0] == "suspected_split"


@pytest.mark.parametrize(
    ("seconds", "verdict", "reasons"),
    [
        (59, "pass", ""),
        (60, "pass", ""),
        (61, "block", "price_stale"),
        (-5, "pass", ""),
        (-6, "block", "price_future"),
    ],
)
def test_a_quote_older_than_the_limit_or_from_the_future_is_blocked(seconds, verdict, reasons):
    quotes = market(last=100.0, quoted_at=NOW - timedelta(seconds=seconds))
    checked = check_orders(
        orders_of(("SPY", "BUY", 1)), Limits(max_quote_age=60), quotes=quotes, cash=1_000.0, now=NOW
    )
    assert (checked["verdict"].iloc[0], checked["reasons"].fillna("").iloc[0]) == (verdict, reasons)
    if seconds > 0:
        assert verdict_of(checked, "price_stale") == (verdict, 60, seconds)


def test_a_quote_of_unknown_age_is_stale_if_an_age_limit_is_set():
    frame = orders_of(("SPY", "BUY", 1))
    assert check_orders(frame, quotes={"SPY": 9.0}, cash=1e3)["verdict"].tolist() == ["pass"]
    checked = check_orders(frame, Limits(max_quote_age=60), quotes={"SPY": 9.0}, cash=1e3)
    assert checked["reasons"].tolist() == ["price_stale"]


@pytest.mark.parametrize(
    ("side", "limit", "verdict", "value"),
    [
        ("BUY", 110.0, "pass", 0.1),  # at the collar
        ("BUY", 110.01, "block", 0.1001),
        ("BUY", 50.0, "pass", -0.5),  # far from the market on the passive side
        ("SELL", 90.0, "pass", 0.1),
        ("SELL", 89.99, "block", 0.1001),
        ("SELL", 200.0, "pass", -1.0),
    ],
)
def test_a_limit_through_the_market_by_more_than_the_collar_is_blocked(side, limit, verdict, value):
    checked = check_orders(
        orders_of(("SPY", side, 1, limit)), positions={"SPY": 1}, quotes={"SPY": 100.0}, cash=1_000.0
    )
    assert verdict_of(checked, "limit_collar") == (verdict, 0.1, pytest.approx(value))


@pytest.mark.parametrize(("decision", "verdict"), [(100.0, "pass"), (91.0, "pass"), (90.9, "block")])
def test_a_market_move_from_the_decision_price_beyond_the_collar_is_blocked(decision, verdict):
    # 100 / 91 - 1 = 9.9 %, 100 / 90.9 - 1 = 10.01 %.
    frame = orders_of(("SPY", "BUY", 1), decision_price=decision)
    checked = check_orders(frame, quotes={"SPY": 100.0}, cash=1_000.0)
    assert verdict_of(checked, "price_moved")[:2] == (verdict, 0.1)


def test_without_quotes_an_order_is_valued_at_its_decision_price_or_limit():
    frame = orders_of(("AAA", "BUY", 2, 50.0), ("BBB", "BUY", 3), decision_price=[math.nan, 10.0])
    checked = check_orders(frame, Limits(max_order_notional=90), cash=1_000.0)
    assert verdict_of(checked, "max_notional", 0) == ("block", 90, 100.0)
    assert verdict_of(checked, "max_notional", 1) == ("pass", 90, 30.0)


# -- lists -----------------------------------------------------------------------------------------------------


def test_a_restricted_symbol_is_blocked_in_every_spelling():
    checked = check_orders(
        orders_of(("brk.b", "BUY", 1), ("SPY", "BUY", 1)),
        Limits(restricted={"BRK-B"}),
        quotes={"BRK B": 10.0, "SPY": 10.0},
        cash=1_000.0,
    )
    assert checked["reasons"].fillna("").tolist() == ["restricted", ""]


@pytest.mark.parametrize(
    ("held", "allow", "verdict", "after"),
    [(10, False, "pass", 0.0), (9, False, "block", -1.0), (0, False, "block", -10.0)],
)
def test_a_sell_of_more_than_is_held_is_blocked(held, allow, verdict, after):
    checked = check_orders(
        orders_of(("SPY", "SELL", 10)),
        Limits(allow_short=allow),
        positions={"SPY": held},
        quotes={"SPY": 10.0},
        cash=0.0,
    )
    assert verdict_of(checked, "sell_exceeds_position") == (verdict, 0.0, after)


def test_a_short_sale_passes_where_it_is_allowed():
    checked = check_orders(
        orders_of(("SPY", "SELL", 10)), Limits(allow_short=True), quotes={"SPY": 10.0}, cash=0.0
    )
    assert checked["verdict"].tolist() == ["pass"]
    assert "sell_exceeds_position" not in check_results(checked)["check"].tolist()


def test_buying_back_a_part_of_a_short_position_is_not_shorting():
    checked = check_orders(orders_of(("SPY", "BUY", 4)), positions={"SPY": -10}, quotes={"SPY": 10.0}, cash=100.0)
    assert checked["verdict"].tolist() == ["pass"]


def test_an_order_repeated_in_one_frame_is_a_suspected_duplicate():
    frame = orders_of(("SPY", "BUY", 5), ("SPY", "BUY", 5), ("SPY", "BUY", 6))
    frame["client_order_id"] = ["a", "b", "c"]
    checked = check_orders(frame, quotes={"SPY": 10.0}, cash=1_000.0)
    assert checked["reasons"].fillna("").tolist() == ["", "suspected_duplicate", ""]
    assert verdict_of(checked, "suspected_duplicate", 1) == ("block", 300.0, 0.0)


def test_only_an_order_like_one_just_sent_is_a_suspected_duplicate():
    now = NOW.timestamp()
    context = CheckContext(
        positions={},
        quotes=QuoteColumns.of(parse_quotes({"SPY": 10.0, "TLT": 10.0})),
        given_quotes=True,
        cash=1_000.0,
        nav=math.nan,
        now=now,
        halted=None,
        recent=[("old-SPY-BUY", "SPY", "BUY", 5.0, now - 10.0)],
        flags={},
        base_currency="USD",
    )
    frame = parse_orders(orders_of(("SPY", "BUY", 5), ("TLT", "BUY", 5)))
    assert find(frame, Limits(), context).reasons() == ["suspected_duplicate", None]
    assert find(frame.assign(quantity=6.0), Limits(), context).reasons() == [None, None]
    assert find(frame.iloc[:0], Limits(), context).reasons() == []


@pytest.mark.parametrize("working", [-math.inf, -250.0, 0.0])
def test_a_recorded_context_gives_the_same_findings(working):
    context = CheckContext(
        positions={"SPY": 3.0},
        quotes=QuoteColumns.of(parse_quotes({"SPY": 9.9})),
        given_quotes=True,
        cash=1_000.0,
        nav=math.nan,
        now=NOW.timestamp(),
        halted=None,
        recent=[("old-SPY-BUY", "SPY", "BUY", 5.0, NOW.timestamp())],
        flags={"SPY": ["delayed_price"]},
        base_currency="USD",
        currencies={"SPY": "USD", "SAP": "EUR", "TLT": "USD"},
        working_cash=working,
        plan_gross=1.5,
        hours=OrderHours(NOW.timestamp(), ((1.0, None), (None, 5.0)), {"r-SPY-BUY": 0, "r-SAP-BUY": 1}),
    )
    again = CheckContext.from_json(json.loads(json.dumps(context.to_json(), allow_nan=False)))
    assert again.working_cash == working
    for one in fields(CheckContext):
        if one.name != "currencies":
            assert repr(getattr(again, one.name)) == repr(getattr(context, one.name))  # NaN is not equal to itself
    assert again.currencies == context.currencies  # in another sequence


def test_a_currency_without_a_rate_blocks_and_one_without_a_tariff_warns():
    frame = orders_of(("A", "BUY", 1), ("B", "BUY", 1), ("C", "BUY", 1), ("D", "BUY", 1))
    frame = frame.assign(currency=["USD", "SEK", "NOK", "NOK"], status=["NEW", "NEW", "NEW", "REJECTED"])
    checked = check_orders(frame, quotes=dict.fromkeys("ABCD", 40.0), cash=6_000.0, fx={"SEK": 0.1})
    assert checked["verdict"].tolist() == ["pass", "warn", "block", "block"]
    reasons = checked["reasons"].fillna("").tolist()
    assert reasons[:3] == ["", "tariff_unknown", "currency_unsupported"]
    assert "currency_unsupported" not in reasons[3]  # a refused row has a reason of its own
    assert "tariff_unknown" not in reasons[3]


def test_fees_in_another_currency_count_in_the_base_currency():
    # 100 at 40 euros are 5,000 dollars, and the fee of 3 euros, the minimum, 3.75.
    checked = check_orders(
        orders_of(("SAP", "BUY", 100), currency="EUR"), quotes={"SAP": 40.0}, cash=6_000.0, fx={"EUR": 1.25}
    )
    assert verdict_of(checked, "insufficient_cash")[2] == 996.25


def test_a_row_rejected_by_the_plan_keeps_its_reason_and_counts_towards_no_limit():
    frame = orders_of(("SPY", "BUY", 1_000_000), ("TLT", "BUY", 1))
    frame["status"], frame["reason"] = ["REJECTED", "NEW"], ["tick_unknown", None]
    checked = check_orders(frame, Limits(max_total_notional=100), quotes={"SPY": 10.0, "TLT": 10.0}, cash=100.0)
    assert checked["verdict"].tolist() == ["block", "pass"]
    assert checked["reasons"].iloc[0] == "tick_unknown"


def test_a_row_that_the_plan_refused_is_blocked_in_the_table_of_results_too():
    frame = orders_of(("GONE", "BUY", 1), ("SPY", "BUY", 1))
    frame["status"], frame["reason"] = ["REJECTED", "NEW"], ["price_unavailable", None]
    checked = check_orders(frame, quotes={"SPY": 10.0}, cash=100.0)
    assert verdict_of(checked, "price_unavailable", 0)[0] == "block"
    assert verdict_of(checked, "price_unavailable", 1)[0] == "pass"


def test_a_refused_row_without_a_reason_is_blocked_too():
    checked = check_orders(orders_of(("SPY", "BUY", 1), status="REJECTED"), quotes={"SPY": 10.0}, cash=100.0)
    assert checked[["verdict", "reasons"]].iloc[0].tolist() == ["block", "rejected"]


# -- fees ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.999, 1.0, 200.0, 201.0, 1e6]) | st.floats(0, 1e9),
            st.sampled_from([0.0, 0.01, 0.5, 25.0, 1e4]) | st.floats(0, 1e6),
        ),
        min_size=1,
    )
)
def test_vectorised_fees_equal_those_of_single_orders(orders):
    quantity, price = (np.array(values) for values in zip(*orders, strict=True))
    fees = OrderFees.of(["USD"] * len(orders)).estimate(np.ones(len(orders), dtype=bool), quantity, price)
    assert fees.tolist() == [IBKR_US_FIXED.order(*order) for order in orders]


@pytest.mark.parametrize(
    ("waits", "choice", "verdict", "reason"),
    [
        ((600.0, math.nan, math.nan), None, 1, "market_closed"),
        ((600.0, math.nan, math.nan), "warn", 1, "market_closed"),
        ((600.0, math.nan, math.nan), "block", 2, "market_closed"),
        ((600.0, math.nan, math.nan), "ignore", 0, None),
        ((math.nan, 60.0, 660.0), "block", 1, "auction_cutoff"),  # 15 minutes are advised before the close
        ((math.nan, 60.0, 901.0), "block", 0, None),
        ((math.nan, 0.0, 600.0), "warn", 2, "auction_cutoff"),
        ((math.nan, 0.0, 600.0), "ignore", 0, None),
    ],
)
def test_waits_for_a_market_or_an_auction_are_findings_unless_they_are_ignored(waits, choice, verdict, reason):
    findings = Findings(1)
    hours = MarketWaits(*(np.array([seconds]) for seconds in waits), np.array([False]))
    arrays = SimpleNamespace(waits=hours, refused=np.array([False]))
    _check_hours(findings, arrays, Limits(closed_market=choice))
    assert (findings.worst.tolist(), findings.reasons()) == ([verdict], [reason])


@pytest.mark.parametrize(("side", "reason"), [("BUY", "gross_unknown"), ("SELL", "")])
def test_an_unpriced_holding_stops_what_raises_exposure_and_nothing_else(side, reason):
    checked = check_orders(
        orders_of(("SPY", side, 5.0)),
        Limits(max_gross=1.0),
        positions={"SPY": 10, "X": 5},
        quotes={"SPY": 10.0},
        cash=900.0,
        nav=1_000.0,
    )
    assert checked["reasons"].fillna("").tolist() == [reason]


@pytest.mark.parametrize(("cash", "reason"), [(102.00473, ""), (102.00472, "auction_funding")])
def test_what_an_auction_brings_is_needed_from_the_first_cent_below_the_minimum(cash, reason):
    # A buy of 100.00 and two commissions of 1.00; the sell pays 27.80 per million and 0.000195 a share besides.
    orders = orders_of(("SPY", "BUY", 10.0), ("TLT", "SELL", 10.0)).assign(order_type="MOC")
    checked = check_orders(
        orders, Limits(max_gross=None), positions={"TLT": 10}, quotes={"SPY": 10.0, "TLT": 10.0}, cash=cash
    )
    assert checked["reasons"].fillna("").tolist()[0] == reason
