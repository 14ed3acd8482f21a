"""The planner, by hand calculations."""

import math

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio import planner
from stocklean_exec.portfolio.held_back import held_back
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.schema.frame_validator import input_warnings
from stocklean_exec.schema.inputs import parse_targets
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.tables import ORDERS

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def plan(targets, positions=None, quotes=None, **options):
    """Plan without a reserve, so that shares can be counted in the head; the reserve has tests of its own."""
    return plan_orders(targets, positions, quotes, **{"nav": 10_000, "run_id": "run-1", "reserve": 0} | options)


def traded(orders):
    """Signed quantity by symbol."""
    signed = np.where(orders["side"] == "BUY", orders["quantity"], -orders["quantity"])
    return dict(zip(orders["symbol"], signed.tolist(), strict=True))


def codes(frame):
    return input_warnings(frame)["code"].tolist()


# -- quantities --------------------------------------------------------------------------------------------


def test_the_worked_case_gives_36_and_27_shares():
    # 10 % buffer: 9,000 to invest. 1,800 / 50 = 36; 900 / 33 = 27.27, and a 28th would be 24 over, 27 are 9 under.
    orders = plan({"AAA": 0.2, "BBB": 0.1}, None, {"AAA": 50.0, "BBB": 33.0}, cash_buffer=0.1)
    assert traded(orders) == {"AAA": 36.0, "BBB": 27.0}
    assert orders["client_order_id"].tolist() == ["run-1-AAA-BUY", "run-1-BBB-BUY"]
    assert orders["notional"].tolist() == [1800.0, 891.0]
    assert orders["status"].tolist() == ["NEW", "NEW"]


def test_a_client_order_id_is_run_symbol_and_side():
    assert plan({"SPY": 1.0}, None, {"SPY": 100.0})["client_order_id"].tolist() == ["run-1-SPY-BUY"]


def test_prices_and_holdings_are_matched_by_label_and_not_by_position():
    targets = pd.DataFrame({"symbol": ["A", "B", "C"], "weight": [0.5, 0.3, 0.2]})
    positions = pd.DataFrame({"symbol": ["C", "A"], "quantity": [30, 10]})
    quotes = pd.DataFrame(
        {"symbol": ["B", "C", "A"], "last": [10.0, 20.0, 50.0], "quoted_at": WHEN}, index=[7, 7, 9]
    )
    # A: 5,000 / 50 - 10 = 90; B: 3,000 / 10 = 300; C: 2,000 / 20 - 30 = 70
    assert traded(plan(targets, positions, quotes)) == {"A": 90.0, "B": 300.0, "C": 70.0}


def test_sells_come_first_and_otherwise_orders_follow_the_targets():
    orders = plan(
        {"A": 0.1, "B": 0.0, "C": 0.1, "D": 0.1},
        {"B": 5, "D": 50},
        dict.fromkeys("ABCD", 100.0),
    )
    assert list(zip(orders["symbol"], orders["side"], strict=True)) == [
        ("B", "SELL"),
        ("D", "SELL"),
        ("A", "BUY"),
        ("C", "BUY"),
    ]


def test_orders_are_multiples_of_the_lot():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": [0.5, 0.25], "lot_size": [10, np.nan]})
    orders = plan(targets, None, {"A": 7.0, "B": 7.0}, cash_buffer=0.0)
    # A: 714.3 shares are 71.43 lots of $70: 71, $30 under. B: 357.14 shares: 358 is $6 over, which only takes
    # up some of the idle $30, and 357 would be another $1 under.
    assert traded(orders) == {"A": 710.0, "B": 358.0}
    assert orders["lot_size"].tolist() == [10.0, 1.0]


def test_the_lot_of_the_exchange_counts_where_the_target_has_none():
    quotes = pd.DataFrame(
        {"symbol": ["A", "B", "C"], "last": 10.0, "quoted_at": WHEN, "lot_size": [100.0, 100.0, None]}
    )
    targets = pd.DataFrame({"symbol": ["A", "B", "C"], "weight": 0.2, "lot_size": [None, 50.0, None]})
    # A fifth of 13,300 at 10 is 266 shares.
    orders = plan(targets, None, quotes, nav=13_300).set_index("symbol")
    assert orders["lot_size"].to_dict() == {"A": 100.0, "B": 50.0, "C": 1.0}
    assert orders["quantity"].to_dict() == {"A": 300.0, "B": 250.0, "C": 266.0}
    assert plan({"A": 0.2}, None, quotes, nav=13_300, fractional=True)["lot_size"].tolist() == [100.0]


def test_an_odd_lot_is_closed_completely():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": [0.0, 0.1], "lot_size": [100, 1]})
    orders = plan(targets, {"A": 150}, {"A": 10.0, "B": 10.0})
    assert traded(orders) == {"A": -150.0, "B": 100.0}
    assert parse_orders(orders)["status"].tolist() == ["NEW", "NEW"]


def test_a_fractional_holding_is_kept_when_whole_shares_are_traded():
    orders = plan({"A": 0.0, "B": 0.1}, {"A": 10.5}, {"A": 10.0, "B": 10.0})
    assert traded(orders) == {"A": -10.0, "B": 100.0}
    assert codes(orders) == ["residual_cash", "fractional_position"]


def test_a_fractional_unlisted_holding_gives_a_warning_too():
    orders = plan({"B": 1.0}, {"A": 10.5}, {"A": 10.0, "B": 10.0}, unlisted="close")
    assert codes(orders) == ["fractional_position"]
    (warned,) = input_warnings(orders)[["table", "symbol", "column"]].to_numpy().tolist()
    assert warned == ["positions", "A", "quantity"]
    assert traded(orders) == {"A": -10.0, "B": 999.0}  # the $5 that cannot be sold cannot be spent


def test_fractional_shares_are_traded_when_allowed():
    # 3,333.33 / 30 = 111.1111; 0.5 of a share of B is sold whole.
    orders = plan({"A": 1 / 3, "B": 0.0}, {"B": 0.5}, {"A": 30.0, "B": 10.0}, fractional=True)
    assert traded(orders) == {"B": -0.5, "A": 111.1111}
    assert parse_orders(orders)["status"].tolist() == ["NEW", "NEW"]


def test_an_overweight_fractional_holding_never_becomes_a_short():
    assert "A" not in traded(plan({"A": 0.00001, "B": 0.5}, {"A": 0.5}, {"A": 100.0, "B": 10.0}))


@pytest.mark.parametrize("allow_short", [False, True])
def test_a_long_target_never_becomes_a_short_to_pay_for_another(allow_short):
    # 1.02 units of an expensive name, and a cheap one of which 2.5 units are wanted: selling it short would pay.
    orders = plan(
        {"DEAR": 0.995, "CHEAP": 0.005},
        None,
        {"DEAR": 9_990.0, "CHEAP": 20.0},
        allow_short=allow_short,
    )
    assert min(traded(orders).values(), default=0) >= 0


def test_weights_that_sum_to_slightly_over_one_are_scaled_to_the_cash():
    orders = plan({"A": 0.3333335, "B": 0.3333335, "C": 0.3333333}, None, dict.fromkeys("ABC", 1.0), nav=3_000)
    assert math.fsum(orders["notional"]) <= 3_000


def test_kept_holdings_reduce_the_cash_for_the_targets():
    with pytest.raises(InputError) as caught:
        plan({"A": 1.0}, {"B": 10}, {"A": 10.0, "B": 100.0}, unlisted="keep")
    assert caught.value.codes == ("insufficient_cash",)
    # 1,000 of 10,000 are kept in B, so that 0.9 can be had of A.
    assert traded(plan({"A": 0.9}, {"B": 10}, {"A": 10.0, "B": 100.0}, unlisted="keep")) == {"A": 900.0}


# -- what orders cost ----------------------------------------------------------------------------------------


def market(**touches):
    """Quotes with both sides, from (bid, ask) by symbol."""
    return pd.DataFrame(
        {
            "symbol": list(touches),
            "bid": [bid for bid, _ in touches.values()],
            "ask": [ask for _, ask in touches.values()],
            "quoted_at": WHEN,
        }
    )


def test_a_fully_invested_plan_reserves_commissions_and_half_spreads():
    # At the mid of 10, 1,000 shares are all there is. A share takes 0.01 more at the ask, 0.005 of commission and
    # 0.4 % of 10.01, for it is sent last: 0.05504. 995 leave 50.00 and need 54.76; 994 leave 60.00.
    orders = plan({"A": 1.0}, None, market(A=(9.99, 10.01)), reserve="auto")
    assert traded(orders) == {"A": 994.0}


def test_the_margin_for_slippage_is_that_of_the_smallest_market_buy():
    # B is 1,000 of 10,000: 0.4 % of it are 4.00, and two commissions of 4.50 and 1.00. One share less of either
    # leaves 10.00.
    orders = plan({"A": 0.9, "B": 0.1}, None, {"A": 10.0, "B": 10.0}, reserve="auto")
    assert sum(traded(orders).values()) == 999.0
    # With a limit on B it is A's, 36.00, with 4.50 and 1.00: five shares less.
    limited = pd.DataFrame(
        {"symbol": ["A", "B"], "weight": [0.9, 0.1], "order_type": ["MKT", "LMT"], "limit_price": [math.nan, 10.0]}
    )
    assert sum(traded(plan(limited, None, {"A": 10.0, "B": 10.0}, reserve="auto")).values()) == 995.0


def test_a_rotation_reserves_the_costs_of_both_sides():
    # Sold: 1,000 OLD at 10.00, half a spread of 0.01 each and 5.00 of commission: 15.00. Bought at a mid of 20.00:
    # 500 would be all. A share takes 0.01 more at the ask, 0.005 of commission and 0.4 % of 20.01: 0.09504. 497
    # leave 60.00 and need 15.00 + 47.23; 496 leave 80.00.
    orders = plan(
        {"NEW": 1.0, "OLD": 0.0}, {"OLD": 1_000}, market(NEW=(19.99, 20.01), OLD=(9.99, 10.01)), reserve="auto"
    )
    assert traded(orders) == {"OLD": -1_000.0, "NEW": 496.0}


def test_uninvested_cash_pays_the_costs():
    assert traded(plan({"A": 0.9}, None, market(A=(9.99, 10.01)), reserve="auto")) == {"A": 900.0}


def test_a_limit_above_the_price_is_reserved():
    # 1 % above 10.00 is 10.10: 990 cost 9,999.00 and 4.95 of commission; 989 cost 9,988.90 and 4.945.
    orders = plan(
        {"A": 1.0}, None, {"A": 10.0}, order_type="LMT", limit_offset_bps=100, tick_size=0.01, reserve="auto"
    )
    assert orders[["quantity", "limit_price"]].to_numpy().tolist() == [[989.0, 10.10]]


def test_kept_holdings_do_not_pay_the_costs():
    # 9,000 of 10,000 stay in B. A gets 1,000 less its commission of 1.00: 99 shares.
    orders = plan({"A": 0.1}, {"B": 90}, {"A": 10.0, "B": 100.0}, unlisted="keep", reserve="auto")
    assert traded(orders) == {"A": 99.0}


def test_a_reserve_can_be_given():
    assert traded(plan({"A": 1.0}, None, {"A": 10.0}, reserve=500.0)) == {"A": 950.0}
    assert traded(plan({"A": 0.95}, None, {"A": 10.0}, reserve=500.0)) == {"A": 950.0}


@pytest.mark.parametrize("reserve", ["all", -1, math.nan, math.inf, True, None, 10_000.01])
def test_an_invalid_reserve_is_refused(reserve):
    with pytest.raises(
        InputError, match=r"reserve .* is neither 'auto' nor an amount from 0 to the 10,000.00 there is"
    ) as caught:
        plan({"A": 1.0}, None, {"A": 10.0}, reserve=reserve)
    assert caught.value.problems[0].column == "reserve"


def test_a_plan_that_only_sells_is_never_short_of_cash():
    orders = plan({"A": 0.001}, {"A": 10, "B": 98}, {"A": 10.0, "B": 100.0}, unlisted="keep", cash_buffer=0.1)
    assert traded(orders) == {"A": -10.0}  # 0.9 shares are wanted: none leaves $9 idle, one is not there to spend


def test_unlisted_holdings_are_an_error_by_default():
    with pytest.raises(InputError) as caught:
        plan({"A": 0.5}, {"B": 10, "C": 1, "D": 0}, {"A": 10.0})
    assert [(problem.code, problem.symbol) for problem in caught.value.problems] == [
        ("unlisted_position", "B"),
        ("unlisted_position", "C"),
    ]


def test_unlisted_holdings_are_closed_on_request():
    orders = plan({"A": 0.5}, {"B": 10, "S": -5}, {"A": 10.0, "B": 5.0, "S": 7.0}, unlisted="close")
    assert traded(orders) == {"B": -10.0, "A": 500.0, "S": 5.0}
    assert orders.set_index("symbol")["tif"].to_dict() == {"B": "DAY", "A": "DAY", "S": "DAY"}


def test_everything_is_sold_only_if_liquidation_is_allowed():
    with pytest.raises(InputError) as caught:
        plan({}, {"B": 10}, {"B": 5.0}, unlisted="close")
    assert caught.value.codes == ("empty_targets",)
    orders = plan({}, {"B": 10}, {"B": 5.0}, unlisted="close", allow_liquidation=True)
    assert traded(orders) == {"B": -10.0}


def test_a_book_at_its_targets_gives_an_empty_plan_with_the_declared_columns():
    orders = plan({"A": 0.5}, {"A": 50}, {"A": 100.0})
    assert len(orders) == 0
    assert {name: str(orders[name].dtype) for name in ORDERS.names} == ORDERS.dtypes


def test_shorts_are_sold_when_allowed():
    # -0.2 x 10,000 / 50 = -40; the long 1.2 is within the money: 12,000 - 2,000 of short sales = 10,000.
    orders = plan({"A": 1.2, "B": -0.2}, None, {"A": 100.0, "B": 50.0}, allow_short=True, max_gross=1.4)
    assert traded(orders) == {"B": -40.0, "A": 120.0}


def test_a_short_is_covered_when_the_target_is_zero_or_long():
    orders = plan({"A": 0.0, "B": 0.1}, {"A": -7, "B": -3}, {"A": 10.0, "B": 10.0})
    assert traded(orders) == {"A": 7.0, "B": 103.0}


def test_leverage_spends_more_than_nav_only_when_allowed():
    assert traded(plan({"A": 1.5}, None, {"A": 100.0}, max_gross=2)) == {"A": 150.0}
    with pytest.raises(InputError) as caught:
        plan({"A": 1.5}, None, {"A": 100.0})
    assert caught.value.codes == ("weights_exceed_one",)


# -- what cannot trade -------------------------------------------------------------------------------------


def test_a_symbol_without_a_price_is_rejected_and_its_cash_is_not_spent():
    orders = plan({"A": 0.5, "B": 0.5}, None, {"A": 100.0})
    row = orders.set_index("symbol").loc["B"]
    assert (row["status"], row["reason"], row["side"]) == ("REJECTED", "price_unavailable", "BUY")
    assert math.isnan(row["quantity"])
    assert math.isnan(row["target_quantity"])
    assert row["detail"] == "price_unavailable: there is no quote"
    assert traded(orders)["A"] == 50.0


def test_an_unpriced_holding_to_be_closed_shows_its_quantity():
    orders = plan({"A": 0.5, "B": 0.0}, {"B": 12}, {"A": 100.0, "B": 0.0})
    row = orders.set_index("symbol").loc["B"]
    assert (row["side"], row["quantity"], row["reason"]) == ("SELL", 12.0, "price_unavailable")
    assert row["detail"].startswith("price_zero: ")


def test_an_unpriced_symbol_with_zero_target_and_no_holding_gives_no_row():
    assert traded(plan({"A": 0.5, "B": 0.0}, None, {"A": 100.0})) == {"A": 50.0}


def test_a_refused_row_shows_the_quantity_it_would_have_had():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": [0.5, 0.25], "tif": ["XXX", None]})
    row = plan(targets, {"A": 10}, {"A": 50.0, "B": 25.0}).set_index("symbol").loc["A"]
    assert (row["status"], row["reason"], row["quantity"]) == ("REJECTED", "tif_invalid", 90.0)  # 5,000 / 50 - 10


def test_a_kept_holding_without_a_price_gives_a_warning():
    orders = plan({"A": 0.5}, {"B": 10}, {"A": 100.0}, unlisted="keep")
    assert "price_unavailable" in codes(orders)
    assert traded(orders) == {"A": 50.0}


def test_a_quantity_above_the_maximum_is_refused_and_its_cash_is_not_spent():
    orders = plan({"A": 0.5, "B": 0.5}, None, {"A": 0.001, "B": 100.0}, nav=1e8)
    found = orders.set_index("symbol")
    assert found.loc["A", ["status", "reason"]].tolist() == ["REJECTED", "quantity_too_large"]
    assert found.loc["B", "quantity"] == 500_000


# -- limits and terms --------------------------------------------------------------------------------------


def test_a_limit_is_rounded_to_the_tick_on_the_passive_side():
    targets = pd.DataFrame(
        {"symbol": ["A", "B"], "weight": [0.5, 0.1], "order_type": "LMT", "limit_price": [100.019, 99.981]}
    )
    orders = plan(targets, {"B": 50}, {"A": 100.0, "B": 100.0}).set_index("symbol")
    assert orders.loc["A", ["side", "limit_price"]].tolist() == ["BUY", 100.01]
    assert orders.loc["B", ["side", "limit_price"]].tolist() == ["SELL", 99.99]


@pytest.mark.parametrize(("offset", "buy", "sell"), [(10, 33.36, 33.30), (-10, 33.29, 33.37), (0, 33.33, 33.33)])
def test_an_offset_sets_the_limit_relative_to_the_decision_price(offset, buy, sell):
    # 33.33 x 1.001 = 33.36333: a buy goes down, a sell up; 33.33 x 0.999 = 33.29667 the same
    orders = plan(
        {"A": 0.5, "B": 0.0},
        {"B": 5},
        {"A": 33.33, "B": 33.33},
        order_type="LMT",
        limit_offset_bps=offset,
    ).set_index("symbol")
    assert orders["limit_price"].to_dict() == {"A": buy, "B": sell}


def test_a_limit_in_the_targets_takes_precedence_over_the_offset():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": 0.1, "limit_price": [99.5, np.nan]})
    orders = plan(targets, None, {"A": 100.0, "B": 100.0}, order_type="LMT", limit_offset_bps=-100)
    assert orders["limit_price"].tolist() == [99.5, 99.0]


def test_the_tick_size_follows_the_limit_and_not_the_price_around_one_dollar():
    # 0.9999 x 1.01 = 1.009899: from a dollar up the tick is a cent, so 1.00 and not 1.0098.
    orders = plan({"A": 0.5}, None, {"A": 0.9999}, order_type="LMT", limit_offset_bps=100)
    assert orders["limit_price"].tolist() == [1.0]
    assert parse_orders(orders)["status"].tolist() == ["NEW"]


@pytest.mark.parametrize(("limit", "sent"), [(49.996, 49.99), (50.0, 50.0)])
def test_the_cap_of_an_order_that_needs_none_is_rounded_to_its_tick_and_kept(limit, sent):
    targets = pd.DataFrame({"symbol": ["A"], "weight": [0.5], "order_type": "MIDPRICE", "limit_price": [limit]})
    orders = plan(targets, None, {"A": 50.0}, tick_size=0.01)
    assert orders["limit_price"].tolist() == [sent]


@pytest.mark.parametrize("ticks", [0.05, {"A": 0.05}, pd.Series({"A": 0.05}), np.int64(1)])
def test_ticks_can_be_given(ticks):
    orders = plan({"A": 0.5}, None, {"A": 50.03}, order_type="LMT", limit_offset_bps=0, tick_size=ticks)
    assert orders["limit_price"].tolist() == [50.0]


@pytest.mark.parametrize("ticks", [{"B": 0.01}, {"A": 0.0}, {"A": math.nan}, {"A": None}])
def test_a_limit_order_without_a_tick_size_is_refused_and_a_market_order_is_not(ticks):
    options = {"quotes": {"A": 50.0}, "tick_size": ticks}
    refused = plan({"A": 0.5}, order_type="LMT", limit_offset_bps=0, **options)
    assert refused[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "tick_unknown"]]
    assert plan({"A": 0.5}, **options)["status"].tolist() == ["NEW"]


def test_a_sell_without_its_limit_is_refused_and_funds_no_buys():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": [1.0, 0.0], "order_type": ["MKT", "LMT"]})
    with pytest.raises(InputError) as caught:
        plan(targets, {"B": 50}, {"A": 100.0, "B": 100.0})
    assert caught.value.codes == ("insufficient_cash",)
    targets["weight"] = [0.5, 0.0]
    orders = plan(targets, {"B": 50}, {"A": 100.0, "B": 100.0}).set_index("symbol")
    assert orders.loc["B", ["status", "reason"]].tolist() == ["REJECTED", "limit_missing"]
    assert orders.loc["A", "quantity"] == 50


def test_a_tif_is_always_set():
    targets = pd.DataFrame({"symbol": ["A", "B", "C"], "weight": 0.1, "tif": ["GTC", None, " "]})
    quotes = dict.fromkeys("ABC", 10.0)
    assert plan(targets, None, quotes)["tif"].tolist() == ["GTC", "DAY", "DAY"]
    assert plan(targets, None, quotes, tif="IOC")["tif"].tolist() == ["IOC"] * 3


def test_the_account_is_that_of_the_row_or_of_the_plan():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": 0.1, "account": ["DU2", None]})
    orders = plan(targets, {"C": 1}, dict.fromkeys("ABC", 10.0), unlisted="close", account="DU1").set_index(
        "symbol"
    )
    assert orders["account"].to_dict() == {"C": "DU1", "A": "DU2", "B": "DU1"}


def test_other_columns_of_the_targets_are_carried_into_the_orders():
    targets = pd.DataFrame({"symbol": ["A", "B"], "weight": 0.1, "sector": ["x", "y"], "rank": [1, 2], "ok": True})
    orders = plan(targets, {"C": 1}, dict.fromkeys("ABC", 10.0), unlisted="close").set_index("symbol")
    assert orders.loc[["A", "B"], "sector"].tolist() == ["x", "y"]
    assert orders.loc[["A", "B"], "rank"].tolist() == [1, 2]
    assert pd.isna(orders.loc["C", "sector"])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("unlisted", "kepe"),
        ("on_open_orders", "ignore"),
        ("order_type", "LIMIT"),
        ("order_type", ["MKT"]),
        ("tif", "day"),
        ("tif", 5),
        ("account", 12),
        ("base_currency", 5),
        ("base_currency", ""),
        ("limit_offset_bps", "5"),
        ("limit_offset_bps", math.nan),
        ("tick_size", "0.01"),
        ("tick_size", {"A": "0.01"}),
        ("max_gross", math.nan),
        ("max_gross", "2"),
        ("fx", 1.1),
    ],
)
def test_an_invalid_option_value_is_an_error(option, value):
    with pytest.raises(InputError) as caught:
        plan({"A": 0.5}, {"B": 10}, {"A": 50.0, "B": 5.0}, **{"unlisted": "keep", option: value})
    assert caught.value.codes == ("option_invalid",)
    assert caught.value.problems[0].column == option


@pytest.mark.parametrize("run_id", ["", "run 1", "run/1", "caf\u00e9", None, 1])
def test_a_run_id_that_no_order_could_carry_is_an_error(run_id):
    with pytest.raises(InputError, match="may only have letters") as caught:
        plan_orders({"A": 0.5}, None, {"A": 50.0}, nav=10_000, run_id=run_id)
    assert [(one.code, one.column) for one in caught.value.problems] == [("run_id_invalid", "run_id")]


# -- working orders ----------------------------------------------------------------------------------------


def working(*rows):
    return pd.DataFrame(rows, columns=["symbol", "side", "quantity", "filled_quantity"])


def test_a_symbol_with_working_orders_is_refused():
    orders = plan({"A": 0.5, "B": 0.1}, None, {"A": 100.0, "B": 10.0}, open_orders=working(["A", "BUY", 20, 0]))
    found = orders.set_index("symbol")
    assert found.loc["A", ["status", "reason"]].tolist() == ["REJECTED", "open_order_exists"]
    assert found.loc["B", "status"] == "NEW"


def test_working_orders_that_offset_each_other_still_count_as_working():
    both = working(["A", "BUY", 20, 0], ["A", "SELL", 20, 0])
    assert plan({"A": 0.5}, None, {"A": 100.0}, open_orders=both)["reason"].tolist() == ["open_order_exists"]


def test_working_orders_count_as_filled_when_netted():
    # 50 wanted, 10 held, 20 - 5 = 15 still coming: 25 to buy.
    orders = plan(
        {"A": 0.5}, {"A": 10}, {"A": 100.0}, open_orders=working(["a", "buy", 20, 5]), on_open_orders="net"
    )
    assert traded(orders) == {"A": 25.0}


def test_cash_for_working_buys_of_a_refused_symbol_is_not_spent():
    # 60 shares of A may still fill: 6,000. So 0.4 of B can be had, and 0.5 cannot.
    options = {"quotes": {"A": 100.0, "B": 10.0}, "open_orders": working(["A", "BUY", 60, 0])}
    assert traded(plan({"A": 0.5, "B": 0.4}, **options))["B"] == 400
    with pytest.raises(InputError):
        plan({"A": 0.5, "B": 0.5}, **options)


def test_ended_orders_are_not_working():
    ended = working(["A", "BUY", 20, 0]).assign(status="CANCELLED")
    assert plan({"A": 0.5}, None, {"A": 100.0}, open_orders=ended)["status"].tolist() == ["NEW"]


def test_a_working_order_outside_the_plan_gives_a_warning():
    orders = plan({"A": 0.5}, None, {"A": 100.0}, open_orders=working(["Z", "BUY", 20, 0]))
    assert "open_order_exists" in codes(orders)


def test_a_target_that_is_less_than_one_lot_is_named():
    # 0.4 of 10,000 is less than one share at 9,000, and nearer to none; B gets its 400 shares.
    orders = plan({"A": 0.4, "B": 0.4}, None, {"A": 9_000.0, "B": 10.0})
    assert traded(orders) == {"B": 400.0}
    (row,) = input_warnings(orders).query("code == 'below_one_lot'")[["symbol", "detail"]].to_numpy().tolist()
    assert row[0] == "A"
    assert row[1].startswith("the target of 4,000.00 is nothing in whole lots: one lot is worth 9,000.00")
    assert "below_one_lot" not in codes(plan({"A": 0.4}, None, {"A": 9_000.0}, fractional=True))
    assert "below_one_lot" not in codes(plan({"A": 0.0, "B": 0.4}, {"A": 1}, {"A": 9_000.0, "B": 10.0}))


# -- currencies --------------------------------------------------------------------------------------------


def foreign(**columns):
    return pd.DataFrame({"symbol": ["VOD"], "weight": [0.5]} | columns)


def test_a_foreign_symbol_is_valued_at_the_given_rate():
    # 5,000 USD / (80 EUR x 1.25) = 50 shares; notional is in euros.
    orders = plan(foreign(currency="EUR"), {"VOD": 10}, {"VOD": 80.0}, fx={"EUR": 1.25})
    assert orders[["quantity", "notional", "currency"]].to_numpy().tolist() == [[40.0, 3200.0, "EUR"]]


def test_pence_are_a_separate_currency():
    refused = plan(foreign(currency="GBp"), None, {"VOD": 80.0}, fx={"GBP": 1.25})
    assert refused["reason"].tolist() == ["minor_currency"]
    # 5,000 / (80 x 0.0125) = 5,000
    assert traded(plan(foreign(currency="GBp"), None, {"VOD": 80.0}, fx={"GBp": 0.0125})) == {"VOD": 5000.0}


@pytest.mark.parametrize("rate", [None, math.nan])
def test_a_currency_without_a_rate_is_refused(rate):
    orders = plan(foreign(currency="EUR"), None, {"VOD": 80.0}, fx={"EUR": rate})
    assert orders[["status", "reason"]].to_numpy().tolist() == [["REJECTED", "currency_unsupported"]]


@pytest.mark.parametrize(("quoted", "code"), [("EUR", "currency_unsupported"), ("GBp", "minor_currency")])
def test_a_quote_in_another_currency_than_the_target_gives_no_price(quoted, code):
    quotes = pd.DataFrame({"symbol": ["VOD"], "last": 80.0, "currency": quoted, "quoted_at": WHEN})
    assert plan(foreign(), None, quotes)["reason"].tolist() == [code]


def test_an_unlisted_holding_is_closed_in_its_own_currency():
    held = pd.DataFrame({"symbol": ["SAP"], "quantity": [10], "currency": ["EUR"]})
    orders = plan({"A": 0.5}, held, {"A": 100.0, "SAP": 90.0}, unlisted="close", fx={"EUR": 1.1}).set_index(
        "symbol"
    )
    assert orders.loc["SAP", ["currency", "quantity", "status"]].tolist() == ["EUR", 10.0, "NEW"]


def test_an_unlisted_option_is_not_sold_as_shares():
    held = pd.DataFrame({"symbol": ["SPY"], "quantity": [2], "sec_type": ["OPT"]})
    orders = plan({"A": 0.5}, held, {"A": 100.0, "SPY": 4.0}, unlisted="close").set_index("symbol")
    assert orders.loc["SPY", ["status", "reason", "sec_type"]].tolist() == [
        "REJECTED",
        "sec_type_unsupported",
        "OPT",
    ]


def test_a_holding_in_another_currency_or_type_than_the_target_is_an_error():
    with pytest.raises(InputError) as caught:
        plan(foreign(), pd.DataFrame({"symbol": ["VOD"], "quantity": [1], "currency": ["GBP"]}), {"VOD": 1.0})
    assert caught.value.codes == ("currency_mismatch",)
    with pytest.raises(InputError) as caught:
        plan(foreign(), pd.DataFrame({"symbol": ["VOD"], "quantity": [1], "sec_type": ["OPT"]}), {"VOD": 1.0})
    assert caught.value.codes == ("ambiguous_instrument",)


# -- the frame ---------------------------------------------------------------------------------------------


def test_columns_and_dtypes_are_the_declared_ones():
    orders = plan({"A": 0.5, "B": 0.1}, {"B": 100}, {"A": 50.0})
    assert tuple(orders.columns[: len(ORDERS.names)]) == ORDERS.names
    more = ["lot_size", "tick_size", "planned_quantity", "max_gross", "detail"]
    assert list(orders.columns[len(ORDERS.names) :]) == more
    assert {name: str(orders[name].dtype) for name in ORDERS.names} == ORDERS.dtypes
    assert orders.index.tolist() == [0, 1]


def test_each_row_records_its_decision_price_and_time():
    quotes = pd.DataFrame({"symbol": ["A"], "bid": [49.9], "ask": [50.1], "last": [49.0], "quoted_at": [WHEN]})
    row = plan({"A": 0.5}, {"A": 20}, quotes).iloc[0]
    assert (row["decision_price"], row["decided_at"]) == (50.0, WHEN)
    assert (row["target_weight"], row["current_quantity"], row["target_quantity"]) == (0.5, 20.0, 100.0)
    assert (row["quantity"], row["notional"], row["filled_quantity"]) == (80.0, 4000.0, 0.0)
    assert pd.isna(row["arrival_price"])
    assert pd.isna(row["reason"])


def test_the_time_of_the_decision_can_be_given():
    orders = plan({"A": 0.5}, None, {"A": 50.0}, decided_at=WHEN.tz_convert("America/New_York"))
    assert orders["decided_at"].tolist() == [WHEN]
    assert pd.isna(plan({"A": 0.5}, None, {"A": 50.0})["decided_at"].iloc[0])
    with pytest.raises(InputError) as caught:
        plan({"A": 0.5}, None, {"A": 50.0}, decided_at=pd.Timestamp("2026-11-23 09:30"))
    assert caught.value.codes == ("naive_time",)


def test_the_callers_frames_are_not_changed():
    targets = pd.DataFrame({"symbol": [" a", "B"], "weight": [0.5, 0.1]}, index=["x", "y"])
    positions = pd.DataFrame({"symbol": ["b"], "quantity": [3]})
    quotes = pd.DataFrame({"symbol": ["A", "B"], "last": [50, 60], "quoted_at": [WHEN, WHEN]})
    copies = [frame.copy(deep=True) for frame in (targets, positions, quotes)]
    plan(targets, positions, quotes)
    for frame, copy in zip((targets, positions, quotes), copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_the_order_of_the_rows_does_not_matter_even_for_equal_names():
    # Four names at one price and one weight: only some can be rounded up, and the same ones whatever the order.
    names = ["A", "B", "C", "D"]
    targets = pd.DataFrame({"symbol": names, "weight": 0.25})
    quotes = dict.fromkeys(names, 1_999.0)
    first = traded(plan(targets, None, quotes, nav=11_994))
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        assert traded(plan(targets.iloc[order], None, quotes, nav=11_994)) == first
    assert sorted(first.values()) == [1.0, 1.0, 2.0, 2.0]  # six shares can be paid for


def test_two_symbols_that_would_share_an_id_are_an_error():
    targets = pd.DataFrame({"symbol": ["X/YZ", "X YZ"], "weight": 0.1})
    with pytest.raises(InputError) as caught:
        plan(targets, None, {"X/YZ": 10.0, "X YZ": 10.0})
    assert caught.value.codes == ("duplicate_client_order_id",)


def test_old_targets_give_a_warning_and_future_ones_are_refused():
    def dated(day):
        targets = pd.DataFrame({"symbol": ["A"], "weight": [1.0], "as_of": [day]})
        return plan(targets, None, {"A": 50.0}, decided_at=WHEN)

    assert codes(dated("2026-11-23")) == []
    assert codes(dated("2026-11-01")) == ["target_date"]
    for day in ("2026-11-25", WHEN + pd.Timedelta(seconds=1)):
        with pytest.raises(InputError) as caught:
            dated(day)
        assert caught.value.codes == ("target_date",)


def test_holdings_above_nav_mean_negative_cash():
    orders = plan({"A": 0.9}, {"A": 120}, {"A": 100.0})
    assert "negative_cash" in codes(orders)
    assert traded(orders) == {"A": -30.0}


# -- cash rows ---------------------------------------------------------------------------------------------


def test_a_cash_row_gives_no_order_and_reduces_the_cash_for_the_others():
    orders = plan({"AAA": 0.5, "USD": 0.5}, None, {"AAA": 50.0, "USD": 40.0})
    assert traded(orders) == {"AAA": 100.0}  # 5,000 / 50
    assert codes(orders) == ["cash_row"]


def test_a_stock_with_the_ticker_of_a_currency_is_bought_if_typed_as_stock():
    wanted = pd.DataFrame({"symbol": ["AAA", "USD"], "weight": 0.5, "sec_type": ["STK", "STK"]})
    orders = plan(wanted, None, {"AAA": 50.0, "USD": 40.0})
    assert traded(orders) == {"AAA": 100.0, "USD": 125.0}
    assert codes(orders) == []


@pytest.mark.parametrize("unlisted", ["keep", "close", "error"])
def test_cash_among_the_positions_is_never_sold(unlisted):
    orders = plan({"AAA": 0.5}, {"AAA": 10, "USD": 5_000}, {"AAA": 50.0, "USD": 40.0}, unlisted=unlisted)
    assert traded(orders) == {"AAA": 90.0}
    assert codes(orders) == ["residual_cash", "cash_row"]


def test_targets_of_cash_alone_sell_everything_if_that_is_allowed():
    held, prices = {"AAA": 10, "BBB": 5}, {"AAA": 50.0, "BBB": 20.0}
    with pytest.raises(InputError, match="nothing but cash; use allow_liquidation=True"):
        plan({"USD": 1.0}, held, prices, unlisted="close")
    for wanted in ({"USD": 1.0}, parse_targets({"USD": 1.0}, allow_liquidation=True)):
        orders = plan(wanted, held, prices, unlisted="close", allow_liquidation=True)
        assert traded(orders) == {"AAA": -10.0, "BBB": -5.0}
        assert codes(orders) == ["cash_row", "full_liquidation"]
    with pytest.raises(InputError) as caught:
        plan({"USD": 1.0}, held, prices, allow_liquidation=True)
    assert caught.value.codes == ("unlisted_position",)


@pytest.mark.parametrize("order_type", ["MKT", "LMT"])
@pytest.mark.parametrize(
    ("lot", "wish", "reasons"),
    [
        (1.0, 2**31 - 3, []),  # rounded up it is 2**31 - 2, the largest quantity that TWS takes
        (1.0, 2**31 - 2.5, ["quantity_too_large"]),
        (100.0, 2**31 - 102, []),
        (100.0, 2**31 - 101, ["quantity_too_large"]),
    ],
)
def test_a_quantity_that_rounds_up_over_the_largest_order_is_rejected(order_type, lot, wish, reasons):
    targets = pd.DataFrame({"symbol": ["A"], "weight": [1.0], "order_type": order_type, "lot_size": lot})
    if order_type == "LMT":
        targets = targets.assign(limit_price=1.0)
    orders = plan(targets, None, {"A": 1.0}, nav=float(wish))
    assert orders["reason"].dropna().tolist() == reasons


def test_lots_of_the_exchange_may_be_whole_numbers_with_gaps():
    at = pd.Timestamp("2026-11-27 15:00", tz="UTC")
    quotes = pd.DataFrame({"symbol": ["A", "B"], "last": 10.0, "quoted_at": at})
    quotes["lot_size"] = pd.array([100, None], dtype="Int64")
    orders = plan_orders({"A": 0.46, "B": 0.3}, None, quotes, nav=10_000, run_id="r")
    # 460 shares are 4.6 lots of 100.
    assert orders.set_index("symbol")["quantity"].to_dict() == {"A": 500.0, "B": 300.0}


def test_a_lot_that_is_no_number_is_ignored():
    quotes = pd.DataFrame({"symbol": ["A", "B"], "last": 10.0, "quoted_at": WHEN})
    quotes["lot_size"] = pd.array([True, None], dtype="boolean")
    assert traded(plan({"A": 0.46, "B": 0.3}, None, quotes)) == {"A": 460.0, "B": 300.0}


def test_a_tick_that_leaves_no_price_for_a_buy_says_nothing_of_a_sell_of_less_than_a_share():
    # 10.4 held, 10 wanted: too little to sell. On a tick of 0.01 a sell at 0.004 is one at 0.01, a buy at nothing.
    targets = pd.DataFrame({"symbol": ["A"], "weight": 0.1, "order_type": "LMT", "limit_price": 0.004})
    orders = plan(targets, {"A": 10.4}, {"A": 100.0}, tick_size=0.01)
    assert len(orders) == 0
    assert held_back(orders)["symbol"].tolist() == ["A"]


def test_a_lot_of_one_share_does_not_forbid_parts_of_it():
    quotes = pd.DataFrame({"symbol": ["A"], "last": 300.0, "quoted_at": pd.Timestamp("2026-11-27", tz="UTC")})
    orders = plan_orders({"A": 0.5}, None, quotes.assign(lot_size=1.0), nav=10_000, run_id="r", fractional=True)
    assert orders["quantity"].tolist() == [16.6667]  # 5,000 / 300


def test_each_further_order_of_one_symbol_and_side_gets_the_next_number():
    ids = planner._ids_of_contracts("r", ["VOD", "SPY", "VOD", "VOD"], ["SELL", "SELL", "SELL", "BUY"])
    assert ids == ["r-VOD-SELL", "r-SPY-SELL", "r-VOD-SELL-2", "r-VOD-BUY"]
