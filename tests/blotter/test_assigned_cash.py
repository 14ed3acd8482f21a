"""Cash of strategies on record: assigned by a person, moved by fills and crossings, never more than there is."""

import math

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError

STATE = sx.AccountState.of(None, nav=100_000, account="DU1")
TWO = {"value": 60_000, "trend": 30_000.5}


@pytest.fixture
def blotter():
    with sx.open_blotter() as opened:
        yield opened


def rows_of(frame):
    return frame.to_numpy().tolist()


def assign(blotter, amounts, **options):
    return sx.assign_cash(blotter, amounts, **({"cash": STATE, "by": "me"} | options))


def test_what_is_assigned_is_theirs_and_the_rest_is_unassigned(blotter):
    found = assign(blotter, TWO)
    assert rows_of(found) == [
        ["trend", "USD", 30_000.5],
        ["value", "USD", 60_000.0],
        ["unassigned", "USD", 9_999.5],
    ]
    assert rows_of(blotter.strategy_cash()) == rows_of(found)[:2]


def test_the_same_call_again_changes_nothing_and_another_is_a_change(blotter):
    assign(blotter, TWO)
    assign(blotter, TWO)
    assign(blotter, {"value": 50_000}, by=" a colleague ", reason="withdrawn")
    assert blotter.cash_assignments().drop(columns="assigned_at").to_numpy().tolist() == [
        ["DU1", "value", "USD", 60_000.0, "me", "opening cash"],
        ["DU1", "trend", "USD", 30_000.5, "me", "opening cash"],
        ["DU1", "value", "USD", -10_000.0, "a colleague", "withdrawn"],
    ]


def test_nothing_is_something_else_than_unknown(blotter):
    assert rows_of(assign(blotter, {"value": 0}))[0] == ["value", "USD", 0.0]


def test_amounts_by_currency_are_held_against_those_of_the_account(blotter):
    table = pd.DataFrame({"currency": ["USD", "EUR"], "amount": [50_000.0, -200.0], "rate": [1.0, 1.1]})
    state = sx.AccountState("DU1", "USD", nav=49_780.0, cash=49_780.0, _cash_by_currency=table)
    found = assign(blotter, {"value": {"USD": 50_000, "EUR": -200}}, cash=state)
    assert rows_of(found) == [["value", "EUR", -200.0], ["value", "USD", 50_000.0]]
    with pytest.raises(InputError, match=r"-1.00 of trend and -200.00 of value are -201.00 EUR") as caught:
        assign(blotter, {"trend": {"EUR": -1, "USD": 1, "GBP": 5}}, cash=state)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("amounts", "options", "code"),
    [
        ({"value": 60_000, "trend": 40_001}, {}, "more_than_held"),
        ({"value": -1}, {}, "more_than_held"),
        ({"value": {"EUR": 5}}, {}, "more_than_held"),
        (TWO, {"cash": "x"}, "cash_missing"),
        (TWO, {"cash": None}, "cash_missing"),
        (TWO, {"cash": 100_000}, "account_missing"),
        (TWO, {"by": ""}, "option_invalid"),
        ({"value": math.nan}, {}, "cash_missing"),
    ],
)
def test_what_cannot_be_assigned_is_named_and_nothing_is_recorded(blotter, amounts, options, code):
    with pytest.raises(InputError) as caught:
        assign(blotter, amounts, **options)
    assert caught.value.problems[0].code == code
    assert blotter.cash_assignments().empty


def test_a_number_is_the_base_currency(blotter):
    assert rows_of(assign(blotter, {"value": 5}, cash=7.5, account="DU1")) == [
        ["value", "USD", 5.0],
        ["unassigned", "USD", 2.5],
    ]


def test_accounts_are_kept_apart(blotter):
    assign(blotter, TWO)
    assign(blotter, {"value": 5}, cash=10, account="DU2")
    assert rows_of(blotter.strategy_cash(account="DU2")) == [["value", "USD", 5.0]]
    with pytest.raises(InputError, match="name one, as account="):
        blotter.strategy_cash()


def test_cash_that_was_assigned_after_trades_counts_from_then_on(blotter):
    # value has bought 100 of SPY before anybody says what it has: 20,000 are left, and not what it began with.
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 400.0}, cash=100_000)
    targets = pd.DataFrame({"symbol": ["SPY"], "weight": [0.4], "strategy": "value"})
    options = {"approve": "me", "dry_run": False, "limits": sx.Limits(duplicate_window=None)}
    sx.rebalance(targets, broker, blotter, run_id="one", **options)
    assert math.isnan(blotter.strategy_cash()["amount"].iloc[0])
    assign(blotter, {"value": 20_000}, cash=broker.account_state())
    assert rows_of(blotter.strategy_cash()) == [["value", "USD", 20_000.0]]
    assert not sx.reconcile(broker, blotter)["kind"].isin(["strategy_cash_differs"]).any()
    sx.rebalance(targets.assign(weight=0.2), broker, blotter, run_id="two", **options)
    sold = blotter.fills("two")
    proceeds = (sold["quantity"] * sold["price"] - sold["commission"]).sum()
    assert blotter.strategy_cash()["amount"].iloc[0] == pytest.approx(20_000 + proceeds, abs=1e-6)


def test_more_than_the_account_has_is_a_difference(blotter):
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 400.0}, cash=100_000)
    assign(blotter, {"value": 100_000}, cash=broker.account_state())
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 400.0}, cash=90_000)  # 10,000 were withdrawn
    (row,) = sx.reconcile(broker, blotter).to_dict("records")
    assert (row["kind"], row["blotter"], row["broker"]) == ("strategy_cash_differs", 100_000.0, 90_000.0)
