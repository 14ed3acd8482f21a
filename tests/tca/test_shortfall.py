from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.inputs import Executed
from stocklean_exec.tca.shortfall import (
    SHORTFALL_COSTS,
    implementation_shortfall,
    shortfall_summary,
    shortfall_terms,
)

NAN = math.nan
BPS = [name.removesuffix("_cost") + "_bps" for name in SHORTFALL_COSTS]


class Case(NamedTuple):
    """One published example: side, shares, prices, fills (shares, price), fees; and the result in the source."""

    source: str
    side: str
    shares: float
    decision: float
    arrival: float
    final: float
    fills: list[tuple[float, float]]
    fees: float
    basis: str
    published: dict[str, float]
    places: int = 6  # decimals of the published figures; percent are given as bps, hence 0


# Each figure under ``published`` is the source's own, in its own rounding. Prices that a source does not give
# (because its figure does not need them) are set to another price of the case, and no figure that would need them
# is compared.
PUBLISHED = [
    Case(
        "CFA curriculum, Trading, Impulse Robotics, as quoted at "
        "analystforum.com/t/implementation-shortfall-2020/135095:"
        " paper gain 80, real loss 7, shortfall 87; delay 0.35 % at "
        "analystforum.com/t/implementation-shortfall/63141",
        *("BUY", 1000, 10.00, 10.05, 10.08, [(700, 10.07)], 14, "executed"),
        {"total_cost": 87, "delay_bps": 35},
    ),
    Case(
        "gaodun.com/q/b03v1i: explicit 0.04 %, realised 0.02 %, delay 0.07 %, missed trade 0.06 %, total 0.19 %",
        *("BUY", 1000, 40.00, 40.04, 40.08, [(700, 40.05)], 17, "executed"),
        {"fees_bps": 4, "trading_bps": 2, "delay_bps": 7, "opportunity_bps": 6, "total_bps": 19},
        0,
    ),
    Case(
        "Stalla mock exam, analystforum.com/t/implementation-shortfall/11066: (77-75.75) x 4000, (75.75-75) x "
        "4000,"
        " (79-75) x 4000, commission 0.25 %",
        *("BUY", 8000, 75.00, 75.75, 79.00, [(4000, 77.00)], 1500, "executed"),
        {"trading_cost": 1.25 * 4000, "delay_cost": 0.75 * 4000, "opportunity_cost": 4.0 * 4000, "fees_bps": 25},
    ),
    Case(
        "analystforum.com/t/implementation-shortfall-sale-transaction/108005: realised gain 800 or 0.4 %, "
        "delay 2,000 or"
        " 1 %, missed 1,000 or 0.5 %, commission 75",
        *("SELL", 5000, 40.00, 39.50, 39.00, [(4000, 39.70)], 75, "executed"),
        {
            "trading_cost": -800,
            "trading_bps": -40,
            "delay_cost": 2000,
            "delay_bps": 100,
            "opportunity_cost": 1000,
            "opportunity_bps": 50,
            "fees": 75,
        },
    ),
    Case(
        "CFA Level III 2000, question 28, analystforum.com/t/implementation-shortfall-sell-order/52371: 2.80 a "
        "share",
        *("SELL", 50_000, 43.00, 41.00, 38.00, [(50_000, 40.25)], 2500, "order"),
        {"total_cost": 2.80 * 50_000},
    ),
    Case(
        "analystforum.com/t/implementation-shortfall-determine-the-benchmark-price/122721: paper return 90, "
        "real 24",
        *("BUY", 1000, 20.00, 20.05, 20.09, [(800, 20.06)], 0, "order"),
        {"total_cost": 90 - 24},
    ),
    Case(
        "bloombergprep.com, question a84284: explicit 0.06 %, gain -0.25 %, shortfall -0.19 %",
        *("BUY", 4000, 16.24, 16.24, 16.28, [(4000, 16.20)], 38.50, "executed"),
        {"fees_bps": 6, "trading_bps": -25, "total_bps": -19, "delay_bps": 0, "opportunity_bps": 0},
        0,
    ),
    Case(
        "fincyclopedia.net, delay cost formula: 800 of 1,000 at a revised benchmark of 51 after 50 is 1.6 %",
        *("BUY", 1000, 50.00, 51.00, 51.00, [(800, 51.00)], 0, "executed"),
        {"delay_bps": 160},
    ),
    Case(
        "CFA curriculum, problem 11, analystforum.com/t/implementation-shortfall/63141: the 100 of 1,000 "
        "shares bought"
        " on Tuesday, benchmark 10.00, Monday's close 9.99: delay -0.01 %",
        *("BUY", 1000, 10.00, 9.99, 9.99, [(100, 10.08)], 0, "executed"),
        {"delay_bps": -1},
    ),
    Case(
        "Optimal liquidation course at drserendipity.com (M3L608): 12 shares worth 100 sold three at a time at "
        "100, 90,"
        " 80 and 70 bring 1,020 for 1,200: 180",
        *("SELL", 12, 100.0, 100.0, 70.0, [(3, 100.0), (3, 90.0), (3, 80.0), (3, 70.0)], 0, "order"),
        {"total_cost": 180, "trading_cost": 180},
    ),
    Case(
        "acadifi.com, execution shortfall: decision 42.00, broker 42.30, 35,000 of 50,000 at 42.75, cancelled "
        "at 43.50:"
        " delay 0.714 % and trading 1.071 % of the filled 35,000 x 42.00",
        *("BUY", 50_000, 42.00, 42.30, 43.50, [(35_000, 42.75)], 0, "executed"),
        {"delay_bps": 71.4 * 0.7, "trading_bps": 107.1 * 0.7},
        1,
    ),
    Case(
        "analystforum.com/t/calculation-of-implementation-shortfall/93305: 500 of 1,000 at 20.5, delayed from "
        "20 to 20.3,"
        " realised 20.5 - 20.3",
        *("BUY", 1000, 20.0, 20.3, 20.6, [(500, 20.5)], 0, "executed"),
        {"trading_cost": 0.2 * 500},
    ),
    Case(
        "hand calculation, order basis of the Impulse Robotics case: delay 1,000 x 0.05, trading 700 x 0.02, "
        "opportunity"
        " 300 x 0.03, fees 14, and the same 87",
        *("BUY", 1000, 10.00, 10.05, 10.08, [(700, 10.07)], 14, "order"),
        {"delay_cost": 50, "trading_cost": 14, "opportunity_cost": 9, "fees": 14, "total_cost": 87},
    ),
]


def frames(case):
    orders = pd.DataFrame(
        {
            "client_order_id": ["o"],
            "symbol": ["X"],
            "side": [case.side],
            "quantity": [float(case.shares)],
            "decision_price": [case.decision],
            "arrival_price": [case.arrival],
        }
    )
    fills = pd.DataFrame(case.fills, columns=["quantity", "price"], dtype="float64")
    fills["client_order_id"] = "o"
    fills["commission"] = case.fees / max(len(fills), 1)
    return orders, fills


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.source[:40])
def test_published_shortfall_examples(case):
    orders, fills = frames(case)
    row = implementation_shortfall(orders, fills, final_prices={"X": case.final}, delay_basis=case.basis).iloc[0]
    for name, figure in case.published.items():
        assert round(float(row[name]), case.places) == pytest.approx(round(figure, case.places), abs=1e-9), name


@pytest.mark.parametrize(
    ("source", "shortfall_bps", "market_return", "beta", "adjusted_bps"),
    [
        ("gaodun.com/q/903v1a", 48, 0.012, 1.3, -108),
        ("analystforum.com/t/market-adjusted-implementation-shortfall/54943", 87, 0.02, 1.0, -113),
        ("CFAI V6 p. 27 at forum.theanalystspace.com, tid 193196", 87, 0.01, 2.0, -113),
    ],
)
def test_published_market_adjustments(source, shortfall_bps, market_return, beta, adjusted_bps):
    orders, fills = frames(
        Case("", "BUY", 100, 100.0, 100.0, 100.0, [(100, 100 + shortfall_bps / 100)], 0, "order", {})
    )
    row = implementation_shortfall(orders, fills, market_returns=market_return, betas={"X": beta}).iloc[0]
    assert row["total_bps"] == pytest.approx(shortfall_bps)
    assert row["adjusted_bps"] == pytest.approx(adjusted_bps)


def test_the_adjusted_cost_of_a_sell_excludes_the_market_fall():
    # Hand calculation: sold 100 at 98 after 100, cost 200; the market fell 2 %, beta 1: all of it.
    orders, fills = frames(Case("", "SELL", 100, 100.0, 100.0, 98.0, [(100, 98.0)], 0, "order", {}))
    row = implementation_shortfall(orders, fills, market_returns={"X": -0.02}).iloc[0]
    assert (row["total_cost"], row["market_cost"], row["adjusted_cost"]) == pytest.approx((200, 200, 0))


# -- properties
# ------------------------------------------------------------------------------------------------------

prices = st.integers(100, 100_000).map(lambda cents: cents / 100)
shares = st.integers(1, 1_000)


@st.composite
def cases(draw):
    fills = draw(st.lists(st.tuples(shares, prices), max_size=4))
    left = draw(st.integers(0, 1_000))
    ordered = sum(quantity for quantity, _ in fills) + left
    return Case(
        "",
        draw(st.sampled_from(["BUY", "SELL"])),
        max(ordered, 1),
        *(draw(prices) for _ in range(3)),
        fills,
        draw(st.integers(-500, 5_000)) / 100 if fills else 0.0,
        "order",
        {},
    )


def measured(case, **options):
    orders, fills = frames(case)
    return implementation_shortfall(orders, fills, final_prices={"X": case.final}, **options).iloc[0]


def perold(case):
    """The gain of the paper portfolio less that of the real one, from cash and positions, in another way."""
    side = 1 if case.side == "BUY" else -1
    bought = sum(quantity for quantity, _ in case.fills)
    paper = side * case.shares * case.final - side * case.shares * case.decision
    cash = -side * sum(quantity * price for quantity, price in case.fills) - case.fees
    return paper - (side * bought * case.final + cash)


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(cases())
def test_perold_wagner_and_cfa_have_one_total_and_their_terms_add_up(case):
    scale = case.shares * max(case.decision, case.arrival, case.final, *(price for _, price in case.fills), 1)
    for basis in ("order", "executed"):
        row = measured(case, delay_basis=basis)
        assert row["total_cost"] == pytest.approx(perold(case), abs=1e-9 * scale)
        assert sum(row[list(SHORTFALL_COSTS[:-1])]) == pytest.approx(row["total_cost"], abs=1e-9 * scale)
        assert row["total_bps"] == pytest.approx(1e4 * row["total_cost"] / row["paper_notional"])


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(cases())
def test_a_sell_is_the_mirror_of_a_buy(case):
    other = case._replace(side="SELL" if case.side == "BUY" else "BUY", fees=-case.fees)
    for basis in ("order", "executed"):
        one, two = measured(case, delay_basis=basis), measured(other, delay_basis=basis)
        np.testing.assert_allclose(
            one[list(SHORTFALL_COSTS)].astype(float), -two[list(SHORTFALL_COSTS)].astype(float), atol=1e-6
        )


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(cases())
def test_performance_is_the_cost_with_the_other_sign(case):
    cost, gain = measured(case), measured(case, sign="performance")
    for name in (*SHORTFALL_COSTS, *BPS):
        assert gain[name] == -cost[name]


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(cases())
def test_with_nothing_filled_the_shortfall_is_delay_and_opportunity_cost(case):
    case = case._replace(fills=[], fees=0.0)
    row = measured(case)
    assert (row["trading_cost"], row["fees"], row["fill_ratio"]) == (0, 0, 0)
    executed = measured(case, delay_basis="executed")
    assert (executed["delay_cost"], executed["trading_cost"]) == (0, 0)
    assert executed["opportunity_cost"] == executed["total_cost"]


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(cases())
def test_with_all_filled_there_is_no_opportunity_cost_and_no_final_price_is_needed(case):
    if not case.fills:
        case = case._replace(fills=[(case.shares, case.arrival)])
    case = case._replace(shares=sum(quantity for quantity, _ in case.fills), final=NAN)
    order, executed = measured(case), measured(case, delay_basis="executed")
    for row in (order, executed):
        assert (row["opportunity_cost"], row["fill_ratio"]) == (0, 1)
        assert pd.isna(row["flags"])
    assert order["delay_cost"] == executed["delay_cost"]


# -- what is not known
# -----------------------------------------------------------------------------------------------

ORDERS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "b", "c"],
        "symbol": ["A", "B", "C"],
        "side": ["BUY", "SELL", "BUY"],
        "quantity": [10.0, 20.0, 5.0],
        "decision_price": [100.0, 50.0, 10.0],
        "arrival_price": [101.0, 49.0, NAN],
        "final_price": [NAN, 48.0, 12.0],
        "order_type": ["MKT", "LMT", "LMT"],
    }
)
FILLS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "b", "a"],
        "quantity": [4.0, 10.0, 6.0],
        "price": [102.0, 49.5, 101.0],
        "commission": [1.0, 0.5, 1.0],
    }
)
# a: delay 10 x 1 = 10, trading 4 x 1 = 4, fees 2, total 16 of 1,000.
# b: delay 20 x 1 = 20, trading 10 x -0.5 = -5, opportunity 10 x 1 = 10, fees 0.50, total 25.50 of 1,000.
# c: never sent; total 5 x 2 = 10 of 50, and no price shows how much of it is delay.


def test_hand_calculation_of_three_orders():
    table = implementation_shortfall(ORDERS_, FILLS_)
    assert table.index.name == "client_order_id"
    assert table.index.tolist() == ["a", "b", "c"]
    assert table.columns[:12].tolist() == ["paper_notional", *SHORTFALL_COSTS, *BPS, "fill_ratio"]
    np.testing.assert_allclose(table["paper_notional"], [1000, 1000, 50])
    np.testing.assert_allclose(table["delay_cost"], [10, 20, NAN])
    np.testing.assert_allclose(table["trading_cost"], [4, -5, 0])
    np.testing.assert_allclose(table["opportunity_cost"], [0, 10, NAN])
    np.testing.assert_allclose(table["fees"], [2, 0.5, 0])
    np.testing.assert_allclose(table["total_cost"], [16, 25.5, 10])
    np.testing.assert_allclose(table["total_bps"], [160, 255, 2000])
    np.testing.assert_allclose(table["fill_ratio"], [1, 0.5, 0])
    assert table["flags"].fillna("").tolist() == ["", "", "no_arrival_price"]


@pytest.mark.parametrize(
    ("change", "fills", "flag", "known"),
    [
        ({"decision_price": 0.0}, {}, "no_decision_price", ["trading_cost", "opportunity_cost", "fees"]),
        ({"decision_price": NAN}, {}, "no_decision_price", ["trading_cost", "opportunity_cost", "fees"]),
        ({"final_price": NAN}, {}, "no_final_price", ["delay_cost", "trading_cost", "fees"]),
        ({"final_price": math.inf}, {}, "no_final_price", ["delay_cost", "trading_cost", "fees"]),
        ({"arrival_price": -1.0}, {}, "no_arrival_price", ["fees", "total_cost"]),
        ({"quantity": NAN}, {}, "no_quantity", []),
        ({"quantity": 0.0}, {}, "no_quantity", []),
        ({"quantity": 9.0}, {}, "overfilled", []),
        ({}, {"price": NAN}, "no_fill_price", ["delay_cost", "opportunity_cost", "fees"]),
        ({}, {"commission": NAN}, "fees_due", ["delay_cost", "trading_cost", "opportunity_cost"]),
    ],
)
def test_a_row_that_cannot_be_measured_is_flagged_and_nan(change, fills, flag, known):
    orders, executions = ORDERS_.iloc[[1]].assign(**change), FILLS_.iloc[[1]].assign(**fills)
    row = implementation_shortfall(orders, executions).iloc[0]
    assert row["flags"] == flag
    assert [name for name in SHORTFALL_COSTS if not math.isnan(row[name])] == known


def test_a_late_commission_changes_the_result_when_it_arrives():
    due = FILLS_.assign(commission=[NAN, 0.5, 1.0])
    first, then = (
        implementation_shortfall(ORDERS_, due).loc["a"],
        implementation_shortfall(ORDERS_, FILLS_).loc["a"],
    )
    assert (first["commissions_due"], then["commissions_due"]) == (1, 0)
    assert math.isnan(first["fees"])
    assert math.isnan(first["total_cost"])
    assert (then["fees"], then["total_cost"]) == pytest.approx((2, 16))


@pytest.mark.parametrize("given_", [{"B": 47.0}, pd.Series({"B": 47.0}), {"b": 47.0, "B": 1.0}])
def test_final_prices_by_symbol_take_precedence_over_the_column(given_):
    table = implementation_shortfall(ORDERS_, FILLS_, final_prices=given_)
    # b: opportunity 10 x (49 - 47) = 20; c keeps its own final price
    np.testing.assert_allclose(table["total_cost"], [16, 35.5, 10])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"delay_basis": "filled"}, "option_invalid"),
        ({"sign": "gain"}, "option_invalid"),
        ({"final_prices": "close"}, "wrong_type"),
        ({"final_prices": {"B": "x"}}, "number_dtype"),
        ({"fx": {"USD": 1.0}}, None),
    ],
)
def test_invalid_options_are_errors(options, code):
    if code is None:  # rates for orders without a currency change nothing
        assert len(implementation_shortfall(ORDERS_, FILLS_, **options)) == 3
        return
    with pytest.raises(InputError) as caught:
        implementation_shortfall(ORDERS_, FILLS_, **options)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize(
    ("orders", "fills", "code"),
    [
        (ORDERS_.iloc[:1], FILLS_, "orphan_exec"),
        (pd.concat([ORDERS_, ORDERS_]), FILLS_, "duplicate_client_order_id"),
        (ORDERS_.drop(columns="decision_price"), FILLS_, "missing_column"),
        (ORDERS_.drop(columns="arrival_price"), FILLS_, "missing_column"),
        (ORDERS_.assign(side="buy"), FILLS_, "side_invalid"),
        (ORDERS_.assign(quantity="ten"), FILLS_, "number_dtype"),
        (ORDERS_, FILLS_.assign(quantity=0.0), "fill_quantity"),
        (ORDERS_, FILLS_.assign(filled_at=pd.Timestamp("2026-11-23")), "naive_time"),
        (ORDERS_.assign(currency=["USD", "EUR", "USD"]), FILLS_, "currency_mixed"),
        (ORDERS_.assign(currency="USD"), FILLS_.assign(commission_currency="EUR"), "commission_currency"),
    ],
)
def test_invalid_input_is_an_error(orders, fills, code):
    with pytest.raises(InputError) as caught:
        implementation_shortfall(orders, fills)
    assert code in caught.value.codes


def test_several_currencies_are_converted_with_rates():
    orders = ORDERS_.assign(currency=["USD", "EUR", "USD"])
    rates = pd.DataFrame({"currency": ["USD", "EUR"], "rate": [1.0, 1.2]})
    table = implementation_shortfall(orders, FILLS_, fx=rates)
    np.testing.assert_allclose(table["total_cost"], [16, 25.5 * 1.2, 10])
    np.testing.assert_allclose(table["total_bps"], [160, 255, 2000])  # a ratio has no currency
    local = implementation_shortfall(orders, FILLS_, fx="local")
    np.testing.assert_allclose(local["total_cost"], [16, 25.5, 10])
    with pytest.raises(InputError) as caught:
        implementation_shortfall(orders, FILLS_, fx={"USD": 1.0, "EUR": 0.0})
    assert caught.value.codes == ("fx_missing",)


def test_empty_input_gives_typed_empty_output():
    empty = implementation_shortfall(ORDERS.empty(), FILLS.empty())
    full = implementation_shortfall(ORDERS_.assign(currency="USD"), FILLS_)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert empty.index.name == "client_order_id"
    assert shortfall_summary(ORDERS.empty(), FILLS.empty()).loc["all", ["orders", "measured"]].tolist() == [0, 0]


def test_the_input_is_not_changed():
    orders, fills = ORDERS_.copy(), FILLS_.copy()
    implementation_shortfall(orders, fills)
    pd.testing.assert_frame_equal(orders, ORDERS_)
    pd.testing.assert_frame_equal(fills, FILLS_)


def test_pre_aggregated_fills_give_the_same_result():
    table = pd.DataFrame(
        {
            "filled_quantity": [10.0, 10.0],
            "value": [4 * 102.0 + 6 * 101.0, 495.0],
            "commission": [2.0, 0.5],
            "commissions_due": [0, 0],
            "fills": [2, 1],
            "first_at": [0, 0],
            "last_at": [0, 0],
        },
        index=pd.Index(["a", "b"], name="client_order_id"),
    )
    pd.testing.assert_frame_equal(
        implementation_shortfall(ORDERS_, Executed(table)), implementation_shortfall(ORDERS_, FILLS_)
    )
    with pytest.raises(InputError):
        implementation_shortfall(ORDERS_.iloc[:1], Executed(table))


# -- groups
# ----------------------------------------------------------------------------------------------------------


def test_the_cost_of_a_run_is_a_ratio_of_sums_with_the_unsplit_cost():
    row = shortfall_summary(ORDERS_, FILLS_).loc["all"]
    # 16 + 25.50 + 10 of 2,050; the split covers a and b, and c's 10 stand apart
    assert row[["orders", "measured", "flagged"]].tolist() == [3, 3, 1]
    assert row["paper_notional"] == pytest.approx(2050)
    assert row["total_cost"] == pytest.approx(51.5)
    assert row["total_bps"] == pytest.approx(51.5 / 2050 * 1e4)
    parts = ["delay_cost", "trading_cost", "opportunity_cost", "unsplit_cost", "fees"]
    np.testing.assert_allclose(row[parts].astype(float), [30, -1, 10, 10, 2.5])
    assert row["fill_ratio"] == pytest.approx((1000 + 500) / 2050)


def test_fees_are_not_a_part_of_the_unsplit_cost():
    # 10 bought 1.00 over the decision, for 3.00 of commission: 13 in all, and the fees are counted once.
    orders = pd.DataFrame({"client_order_id": ["a"], "symbol": ["A"], "side": ["BUY"], "quantity": [10.0]})
    orders = orders.assign(decision_price=100.0, arrival_price=NAN)
    fills = pd.DataFrame({"client_order_id": ["a"], "quantity": [10.0], "price": [101.0], "commission": [3.0]})
    row = shortfall_summary(orders, fills).loc["all"]
    assert row[["unsplit_cost", "fees", "total_cost"]].tolist() == [10.0, 3.0, 13.0]


def test_shortfall_can_be_grouped_by_order_columns():
    table = shortfall_summary(ORDERS_, FILLS_, by="order_type")
    np.testing.assert_allclose(table["total_cost"], [35.5, 16])
    assert table.index.tolist() == ["LMT", "MKT"]
    two = shortfall_summary(ORDERS_, FILLS_, by=["side", "order_type"])
    assert two.index.tolist() == [("BUY", "LMT"), ("BUY", "MKT"), ("SELL", "LMT")]
    with pytest.raises(InputError):
        shortfall_summary(ORDERS_, FILLS_, by="venue")


def test_an_unmeasurable_order_is_counted_and_not_added_up():
    row = shortfall_summary(ORDERS_.assign(final_price=NAN), FILLS_).loc["all"]
    assert row[["orders", "measured", "flagged"]].tolist() == [3, 1, 2]
    assert row["total_cost"] == pytest.approx(16)


def test_the_raw_terms_contain_both_delay_bases():
    terms = shortfall_terms(ORDERS_, FILLS_).loc["b"]
    # of the delay of 20 x 1, ten shares were filled; missed from the decision: 10 x (50 - 48)
    assert terms[["delay_filled", "delay_unfilled", "opportunity", "missed"]].tolist() == [10, 10, 10, 20]


def test_a_crossed_market_at_arrival_gives_no_arrival_price():
    orders = ORDERS_.iloc[[0]].assign(arrival_bid=102.0, arrival_ask=100.0)
    row = implementation_shortfall(orders, FILLS_[FILLS_["client_order_id"] == "a"]).iloc[0]
    assert row["flags"] == "crossed_quote"
    assert math.isnan(row["delay_cost"])
    assert row["total_cost"] == pytest.approx(16)  # which needs no arrival price


def test_commissions_in_another_currency_need_rates():
    orders, fills = ORDERS_.assign(currency="GBP"), FILLS_.assign(commission_currency="USD")
    table = implementation_shortfall(orders, fills, fx={"GBP": 1.25, "USD": 1.0})
    # a: 14 pounds of costs are 17.50 dollars; its commissions of 2 dollars stay 2
    assert table.loc["a", "total_cost"] == pytest.approx(17.5 + 2)


def test_basis_points_also_have_the_full_names():
    table = implementation_shortfall(ORDERS_, FILLS_)
    for name in SHORTFALL_COSTS:
        pd.testing.assert_series_equal(
            table[f"{name}_bps"], table[f"{name.removesuffix('_cost')}_bps"], check_names=False
        )


def test_the_cost_of_what_was_not_traded_counts_once_where_it_was_ordered_again():
    orders = pd.DataFrame(
        {
            "client_order_id": ["a", "a-2", "b", "b-2"],
            "symbol": ["A", "A", "B", "B"],
            "side": ["BUY", "BUY", "BUY", "BUY"],
            "quantity": [100.0, 70.0, 40.0, 40.0],
            "decision_price": [10.0, 10.0, 5.0, 5.0],
            "arrival_price": [10.0, 11.0, 5.0, 5.0],
            "replaces": [None, "a", None, "b"],
        }
    )
    fills = pd.DataFrame(
        {
            "client_order_id": ["a", "a-2", "b-2"],
            "quantity": [30.0, 50.0, 40.0],
            "price": [10.0, 11.0, 5.0],
            "commission": [0.0, 0.0, 0.0],
        }
    )
    found = sx.implementation_shortfall(orders, fills, final_prices={"A": 12.0, "B": 6.0})
    # a: 30 at the decision price cost nothing. a-2: 70 delayed to 11 (70), 50 traded there, 20 end at 12 (20).
    assert found["total_cost"].tolist() == [0.0, 90.0, 0.0, 0.0]
    assert found["opportunity_cost"].tolist() == [0.0, 20.0, 0.0, 0.0]
    assert found["paper_notional"].tolist() == [300.0, 700.0, 0.0, 200.0]
    assert found["flags"].isna().all()
