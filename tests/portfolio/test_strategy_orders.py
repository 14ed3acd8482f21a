"""Working orders by strategy: for whom each counts, what others see of it, and what cannot be sent beside it."""

import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.strategy_orders import WorkingOrders
from stocklean_exec.strategies.division import Division
from stocklean_exec.strategies.strategy_book import RecordedOrder

COLUMNS = ["client_order_id", "symbol", "side", "quantity", "filled_quantity", "order_type", "is_own"]
NETTED = ("one-SPY-BUY", "SPY", "BUY", 90.0, 30.0, "LMT", True)
PLAIN = ("two-GLD-SELL", "GLD", "SELL", 10.0, 0.0, "MKT", True)
BY_HAND = (None, "TLT", "BUY", 5.0, 0.0, "LMT", False)
STOP = ("one-SPY-SELL", "SPY", "SELL", 7.0, 0.0, "STP", True)
RECORD = {
    "one-SPY-BUY": RecordedOrder("one", "SPY", "BUY", "PARTIAL", Division({"A": 60.0, "B": 30.0}), 30.0),
    "two-GLD-SELL": RecordedOrder("two", "GLD", "SELL", "SUBMITTED", None, 0.0),
}


def orders_of(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def seen(working, strategy):
    frame = working.as_seen_by(strategy)
    return sorted(frame[["symbol", "side", "quantity", "filled_quantity"]].to_numpy().tolist())


def test_each_strategy_sees_its_part_and_every_order_that_does_not_count():
    working = WorkingOrders.of(orders_of(NETTED, PLAIN, BY_HAND), RECORD, "three")
    others = [["TLT", "BUY", 5.0, 0.0]]
    assert seen(working, "A") == [["SPY", "BUY", 40.0, 0.0], *others]
    assert seen(working, "B") == [["SPY", "BUY", 20.0, 0.0], *others]
    assert seen(working, "C") == others
    assert working.parts == {"SPY": {"A": 40.0, "B": 20.0}}
    assert working.totals == {"SPY": 60.0, "GLD": -10.0}  # those of nobody count for the account


def test_a_fill_that_is_not_on_record_yet_is_still_to_come_for_those_who_wanted_it():
    told = (*NETTED[:4], 45.0, *NETTED[5:])
    working = WorkingOrders.of(orders_of(told), RECORD, "three")
    assert working.parts == {"SPY": {"A": 40.0, "B": 20.0}}
    assert working.totals == {"SPY": 45.0}


@pytest.mark.parametrize(
    ("foreign", "parts", "totals"),
    [
        ("ignore", {"A": 40.0, "B": 20.0}, {"SPY": 60.0}),
        ("net", {"A": 40.0, "B": 20.0}, {"SPY": 53.0, "TLT": 5.0}),
    ],
)
def test_orders_of_others_are_ignored_or_count_for_nobody(foreign, parts, totals):
    given = orders_of(NETTED, STOP, BY_HAND)
    working = WorkingOrders.of(given, RECORD, "three", foreign_orders=foreign)
    assert (working.parts, working.totals) == ({"SPY": parts}, totals)
    assert [row for row in seen(working, "A") if row[0] == "SPY" and row[1] == "BUY"] == [
        ["SPY", "BUY", 40.0, 0.0]
    ]


def test_a_strategys_part_in_a_stop_counts_if_it_is_to():
    record = {
        **RECORD,
        "one-SPY-SELL": RecordedOrder("one", "SPY", "SELL", "SUBMITTED", Division({"B": -7.0}), 0.0),
    }
    working = WorkingOrders.of(orders_of(NETTED, STOP), record, "three", foreign_orders="net")
    assert working.parts == {"SPY": {"A": 40.0, "B": 13.0}}


def test_all_are_refused_where_it_is_not_known_whose_they_are():
    working = WorkingOrders.of(orders_of(NETTED), None, "three")
    assert (working.on_open_orders, working.counted) == ("reject", None)
    assert seen(working, "A") == [["SPY", "BUY", 90.0, 30.0]]


def test_without_a_column_is_own_an_order_is_own_if_it_is_on_record():
    given = orders_of(NETTED, BY_HAND).drop(columns="is_own")
    assert seen(WorkingOrders.of(given, RECORD, "three"), "B") == [
        ["SPY", "BUY", 20.0, 0.0],
        ["TLT", "BUY", 5.0, 0.0],
    ]
    assert WorkingOrders.of(given, RECORD, "three").totals == {"SPY": 60.0}


def test_cancelled_orders_do_not_count():
    working = WorkingOrders.of(orders_of(NETTED, BY_HAND), RECORD, "three", "cancel")
    assert (working.parts, working.totals, working.refusals) == ({}, {}, {})


def test_an_order_against_a_working_one_is_refused_and_one_beside_it_is_not():
    refusals = WorkingOrders.of(orders_of(NETTED, PLAIN), RECORD, "three").refusals
    assert set(refusals) == {("SPY", "SELL"), ("GLD", "BUY")}
    assert "is working (BUY 60, one-SPY-BUY)" in refusals["SPY", "SELL"]


def test_an_order_that_is_on_record_and_not_shown_refuses_its_symbol():
    refusals = WorkingOrders.of(orders_of(BY_HAND), RECORD, "three").refusals
    assert set(refusals) == {("SPY", "BUY"), ("SPY", "SELL")}
    assert "one-SPY-BUY is PARTIAL on record" in refusals["SPY", "BUY"]
    assert "sx.resume('one', broker, blotter)" in refusals["SPY", "BUY"]
    assert set(WorkingOrders.of(None, RECORD, "three").refusals) == set(refusals)
    assert WorkingOrders.of(None, RECORD, "one").refusals == {}  # a run does not wait for itself


def test_without_orders_nothing_works():
    working = WorkingOrders.of(None, {}, "three")
    assert working.as_seen_by("A") is None
    assert WorkingOrders.of(orders_of(), {}, "three").as_seen_by("A").empty


def test_orders_that_cannot_be_read_are_named():
    with pytest.raises(InputError, match="open_orders"):
        WorkingOrders.of(orders_of((*NETTED[:3], -1.0, *NETTED[4:])), RECORD, "three")
