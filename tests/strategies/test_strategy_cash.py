"""Cash of strategies to the cent, by hand: fills, commissions and crossings, and what is not known."""

import math

import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.strategies.strategy_cash import cash_of_strategies, cash_table, parse_cash_amounts

NAN = math.nan
ORDERS = pd.DataFrame(
    [
        ("a", "SPY", "BUY", 90.0, "USD", '{"trend": 30, "value": 60}', None),
        ("b", "SAP", "SELL", 10.0, "EUR", None, "trend"),
        ("c", "TLT", "BUY", 5.0, "USD", None, None),
    ],
    columns=["client_order_id", "symbol", "side", "quantity", "currency", "strategy_quantities", "strategy"],
)
FILLS = pd.DataFrame(
    [
        ("a.1", "a", 30.0, 400.01, 1.0, "USD"),
        ("a.2", "a", 15.0, 399.99, 0.5, "USD"),
        ("b.1", "b", 10.0, 150.05, 3.0, "EUR"),
        ("c.1", "c", 5.0, 100.0, 1.0, "USD"),  # of nobody
    ],
    columns=["exec_id", "client_order_id", "quantity", "price", "commission", "commission_currency"],
)
CROSSINGS = pd.DataFrame(
    [("trend", "SELL", 7.0), ("value", "BUY", 7.0)], columns=["strategy", "side", "quantity"]
).assign(
    run_id="r", symbol="GLD", price=200.125, currency="USD", crossed_at=pd.Timestamp(0, tz="UTC"), account="DU1"
)
ASSIGNED = pd.DataFrame(
    [("value", "USD", 60_000.0), ("trend", "USD", 40_000.0), ("trend", "EUR", 0.0), ("value", "USD", -0.25)],
    columns=["strategy", "currency", "amount"],
)


def cash(fills=FILLS, assigned=ASSIGNED, crossings=CROSSINGS):
    return cash_of_strategies(ORDERS, fills, crossings, assigned)


def test_what_each_has_after_fills_commissions_and_crossings():
    # Of 30 and then 15 shares value has 20 and 10, trend 10 and 5; of 1.50 in fees 1.00 and 0.50.
    value = 60_000 - 0.25 - 20 * 400.01 - 10 * 399.99 - 1.00 - 7 * 200.125
    trend = 40_000 - 10 * 400.01 - 5 * 399.99 - 0.50 + 7 * 200.125
    found = cash()
    assert found["value"] == {"USD": round(value, 8)}
    assert found["trend"] == {"EUR": 1497.5, "USD": round(trend, 8)}


def test_cash_that_was_never_assigned_is_unknown_and_not_zero():
    found = cash(assigned=ASSIGNED[ASSIGNED["strategy"] == "value"])
    assert found["value"]["USD"] > 0
    assert all(math.isnan(amount) for amount in found["trend"].values())
    assert set(found["trend"]) == {"EUR", "USD"}


@pytest.mark.parametrize("column", ["commission", "price"])
def test_what_is_not_reported_makes_it_unknown_for_those_whose_it_is(column):
    fills = FILLS.copy()
    fills.loc[fills["exec_id"] == "b.1", column] = NAN
    found = cash(fills)
    assert math.isnan(found["trend"]["EUR"])
    assert found["trend"]["USD"] == cash()["trend"]["USD"]
    assert found["value"] == cash()["value"]


def test_a_strategy_that_has_not_traded_has_what_it_was_given():
    given = pd.DataFrame({"strategy": ["other"], "currency": "USD", "amount": [0.0]})
    assert cash(assigned=given)["other"] == {"USD": 0.0}


def test_amounts_are_added_up_exactly():
    fills = pd.concat(
        [
            FILLS.assign(exec_id=str(number), price=0.1, quantity=3.0, commission=0.0).iloc[:1]
            for number in range(10)
        ]
    )
    found = cash(fills, crossings=CROSSINGS.iloc[:0])
    assert (found["value"], found["trend"]["USD"]) == ({"USD": 60_000 - 0.25 - 2.0}, 39_999.0)


def test_the_table_ends_with_what_is_unassigned():
    found = cash_table(
        {"value": {"USD": 60.0}, "trend": {"USD": 30.5, "EUR": NAN}}, {"USD": 100.0, "EUR": 5.0, "GBP": 7.0}
    )
    assert found.astype("object").where(found.notna(), "?").to_numpy().tolist() == [
        ["trend", "EUR", "?"],
        ["trend", "USD", 30.5],
        ["value", "USD", 60.0],
        ["unassigned", "EUR", "?"],
        ["unassigned", "GBP", 7.0],
        ["unassigned", "USD", 9.5],
    ]
    assert cash_table({"value": {"USD": 60.0}}, {"USD": 60.0})["strategy"].tolist() == ["value"]
    assert cash_table({}, None).empty


@pytest.mark.parametrize(
    ("amounts", "code"),
    [
        ({"value": NAN}, "cash_missing"),
        ({"value": "x"}, "cash_missing"),
        ({"value": True}, "cash_missing"),
        ({"value": 1e13}, "cash_missing"),
        ({"value": {"": 5}}, "cash_missing"),
        ({"unassigned": 5}, "strategy_name"),
        ({}, "wrong_type"),
        ([5], "wrong_type"),
    ],
)
def test_amounts_that_cannot_be_used_are_named(amounts, code):
    with pytest.raises(InputError) as caught:
        parse_cash_amounts(amounts, "USD")
    assert [one.code for one in caught.value.problems] == [code]
