"""Positions of strategies: what a person assigns, who did it, and never more than the account has."""

from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import InputError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HELD = pd.DataFrame({"symbol": ["SPY", "TLT"], "quantity": [100.0, -20.0]})


@pytest.fixture
def blotter():
    with sx.open_blotter() as opened:
        yield opened


def rows_of(frame):
    return frame[["strategy", "symbol", "quantity"]].to_numpy().tolist()


def assign(blotter, holdings, **options):
    return sx.assign_positions(blotter, holdings, **({"by": "me", "positions": HELD, "account": "DU1"} | options))


def test_what_is_assigned_is_theirs_and_the_rest_is_unassigned(blotter):
    found = assign(blotter, {"value": {"SPY": 60}, "trend": {"SPY": 30, "TLT": -20}})
    assert rows_of(found) == [
        ["trend", "SPY", 30.0],
        ["trend", "TLT", -20.0],
        ["value", "SPY", 60.0],
        ["unassigned", "SPY", 10.0],
    ]
    assert rows_of(blotter.strategy_positions(HELD)) == rows_of(found)


def test_the_same_call_again_changes_nothing_and_a_frame_is_as_good(blotter):
    frame = pd.DataFrame({"strategy": ["value", "trend"], "symbol": ["spy", "SPY"], "quantity": [60, 40]})
    first = assign(blotter, frame)
    assert rows_of(first) == [["trend", "SPY", 40.0], ["value", "SPY", 60.0], ["unassigned", "TLT", -20.0]]
    pd.testing.assert_frame_equal(assign(blotter, frame), first)
    assert len(blotter.assignments()) == 2


def test_every_change_is_on_record_with_person_reason_and_time(blotter):
    assign(blotter, {"value": {"SPY": 60}})
    assign(blotter, {"value": {"SPY": 25}}, by="  a colleague ", reason="given back")
    found = blotter.assignments()
    assert found.drop(columns="assigned_at").to_numpy().tolist() == [
        ["DU1", "value", "SPY", 60.0, "me", "opening position"],
        ["DU1", "value", "SPY", -35.0, "a colleague", "given back"],
    ]
    assert (found["assigned_at"] > pd.Timestamp("2026-01-01", tz="UTC")).all()


def test_a_split_is_assigned_by_its_new_shares(blotter):
    assign(blotter, {"value": {"SPY": 60}, "trend": {"SPY": 40}})
    split = HELD.assign(quantity=[10.0, -20.0])  # ten old shares are one new one
    assert rows_of(blotter.strategy_positions(split))[2] == ["unassigned", "SPY", -90.0]
    found = assign(blotter, {"value": {"SPY": 6}, "trend": {"SPY": 4}}, positions=split, reason="1:10 split")
    assert rows_of(found)[:2] == [["trend", "SPY", 4.0], ["value", "SPY", 6.0]]


def test_with_zero_the_shares_are_unassigned_again(blotter):
    assign(blotter, {"value": {"SPY": 60}})
    assert rows_of(assign(blotter, {"value": {"SPY": 0}}))[0] == ["unassigned", "SPY", 100.0]


@pytest.mark.parametrize(
    ("holdings", "code", "symbol"),
    [
        ({"value": {"SPY": 60}, "trend": {"SPY": 41}}, "more_than_held", "SPY"),
        ({"value": {"QQQ": 1}}, "more_than_held", "QQQ"),
        ({"value": {"TLT": 5}}, "more_than_held", "TLT"),
        ({"value": {"TLT": -21}}, "more_than_held", "TLT"),
        ({"unassigned": {"SPY": 1}}, "strategy_name", None),
        ({"my strategy": {"SPY": 1}}, "strategy_name", None),
        ({"value": {"SPY": float("nan")}}, "position_not_finite", "SPY"),
        ([1], "wrong_type", None),
        (pd.DataFrame({"symbol": ["SPY"], "quantity": [1]}), "wrong_type", None),
    ],
)
def test_what_cannot_be_assigned_is_named_and_nothing_is_recorded(blotter, holdings, code, symbol):
    with pytest.raises(InputError) as caught:
        assign(blotter, holdings)
    assert (caught.value.problems[0].code, caught.value.problems[0].symbol) == (code, symbol)
    assert blotter.assignments().empty


def test_what_strategies_have_already_counts(blotter):
    assign(blotter, {"value": {"SPY": 60}})
    text = "41 of trend and 60 of value are 101, and the account holds 100"
    with pytest.raises(InputError, match=text):
        assign(blotter, {"trend": {"SPY": 41}})


@pytest.mark.parametrize("name", ["by", "reason"])
def test_a_person_and_a_reason_are_required(blotter, name):
    with pytest.raises(InputError, match=f"{name} is required"):
        assign(blotter, {"value": {"SPY": 1}}, **{name: " "})


def test_what_is_not_known_of_the_account_is_asked_for(blotter):
    with pytest.raises(InputError, match=r"account=broker\.account"):
        assign(blotter, {"value": {"SPY": 1}}, account=None)
    with pytest.raises(InputError, match=r"positions=broker\.positions"):
        assign(blotter, {"value": {"SPY": 1}}, positions=None)


def test_a_state_has_account_and_positions(blotter):
    state = sx.AccountState.of({"SPY": 100}, {"SPY": 400.0}, nav=50_000, account="DU7")
    assert rows_of(assign(blotter, {"value": {"SPY": 60}}, positions=state, account=None)) == [
        ["value", "SPY", 60.0],
        ["unassigned", "SPY", 40.0],
    ]
    assert blotter.assignments()["account"].tolist() == ["DU7"]


def test_accounts_are_kept_apart(blotter):
    assign(blotter, {"value": {"SPY": 60}})
    assign(blotter, {"value": {"SPY": 5}}, account="DU2")
    assert rows_of(blotter.strategy_positions(account="DU2")) == [["value", "SPY", 5.0]]
    with pytest.raises(InputError, match="name one, as account="):
        blotter.strategy_positions()


def test_crossings_are_read_by_strategy_and_count_as_held(blotter):
    event = OrderEvent("crossed", "run-1", None, NOON, account="DU1", symbol="SPY", quantity=40.0, price=400.25)
    event = event._replace(message='{"trend": -40.0, "value": 40.0}', commission=0.0, commission_currency="USD")
    blotter.record([event, event]).result()
    found = blotter.crossings("run-1")
    assert found.drop(columns=["crossed_at", "account"]).to_numpy().tolist() == [
        ["run-1", "SPY", "trend", "SELL", 40.0, 400.25, "USD"],
        ["run-1", "SPY", "value", "BUY", 40.0, 400.25, "USD"],
    ]
    assert found["crossed_at"].tolist() == [NOON, NOON]
    assert blotter.crossings("run-2").empty
    assert rows_of(blotter.strategy_positions(account="DU1")) == [["trend", "SPY", -40.0], ["value", "SPY", 40.0]]


def test_nothing_is_held_by_strategies_in_an_empty_blotter(blotter):
    assert blotter.strategy_positions().empty
    assert rows_of(blotter.strategy_positions({"SPY": 5})) == [["unassigned", "SPY", 5.0]]


def test_another_process_reads_the_same(tmp_path):
    file = tmp_path / "paper.duckdb"
    with sx.open_blotter(file) as blotter:
        found = assign(blotter, {"value": {"SPY": 60}})
        with sx.read_blotter(file) as snapshot:
            pd.testing.assert_frame_equal(snapshot.strategy_positions(HELD), found)
