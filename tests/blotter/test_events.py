"""Natural keys: a repeated event has the same key, two events have two keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.blotter.events import KINDS, OrderEvent, execution_family, key_of, plain

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEW_YORK_7_AM = datetime(2026, 11, 22, 7, tzinfo=timezone(timedelta(hours=-5)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_key_that_begins_with_it(kind):
    assert key_of(OrderEvent(kind)).split("/")[0] == kind


def test_an_unknown_kind_has_no_key():
    with pytest.raises(ValueError, match="'fill' is not an event kind"):
        key_of(OrderEvent("fill"))


def test_the_same_instant_in_another_time_zone_is_the_same_event():
    first = OrderEvent("resolved", client_order_id="a", occurred_at=NOON)
    assert key_of(first) == key_of(first._replace(occurred_at=NEW_YORK_7_AM))


def test_a_whole_number_of_shares_is_the_same_as_int_float_and_numpy():
    keys = {
        key_of(OrderEvent("status", client_order_id="a", status="SUBMITTED", filled=filled))
        for filled in (4, 4.0, np.float64(4), np.int64(4))
    }
    assert keys == {"status/a//SUBMITTED/4.0//"}


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("intent", {"client_order_id": "b"}),
        ("sending", {"attempt": 2}),
        ("not_sent", {"attempt": 2}),
        ("modifying", {"attempt": 2}),
        ("modified", {"attempt": 2}),
        ("modify_refused", {"attempt": 2}),
        ("status", {"status": "CANCELLED"}),
        ("status", {"filled": 5.0}),
        ("status", {"remaining": 5.0}),
        ("status", {"perm_id": 8}),
        ("status", {"code": "202"}),
        ("rejected", {"code": "201"}),
        ("execution", {"exec_id": "x.2"}),
        ("commission", {"exec_id": "x.2"}),
        ("message", {"message": "another"}),
        ("execution", {"client_order_id": "b"}),
        ("commission", {"client_order_id": "b"}),
        ("unknown", {"attempt": 2}),
        ("unknown", {"message": "another"}),
        ("missing", {"attempt": 2}),
        ("found", {"attempt": 2}),
        ("duplicate", {"perm_id": 8}),
        ("session", {"run_id": "run-2"}),
        ("link_lost", {"run_id": "run-2"}),
        ("link_restored", {"run_id": "run-2"}),
        ("resolved", {"occurred_at": NOON + timedelta(microseconds=1)}),
        ("decision", {"message": "another"}),
        ("run_started", {"attempt": 2}),
        ("run_cancelled", {"run_id": "run-2"}),
        ("halted", {"message": "another"}),
        ("crossed", {"run_id": "run-2"}),
        ("crossed", {"symbol": "TLT"}),
        ("assigned", {"symbol": "TLT"}),
        ("assigned", {"account": "DU2"}),
        ("assigned", {"code": "trend"}),
        ("assigned", {"occurred_at": NOON + timedelta(microseconds=1)}),
    ],
)
def test_different_events_have_different_keys(kind, changed):
    event = OrderEvent(
        kind,
        "run-1",
        "a",
        NOON,
        status="SUBMITTED",
        perm_id=7,
        filled=4.0,
        remaining=6.0,
        code="200",
        message="one",
        attempt=1,
        exec_id="x.1",
        symbol="SPY",
        account="DU1",
    )
    assert key_of(event) != key_of(event._replace(**changed))


def test_the_price_and_the_time_of_the_report_are_not_part_of_an_execution_key():
    event = OrderEvent("execution", "run-1", "a", NOON, exec_id="x.1", quantity=4.0, price=100.0)
    assert key_of(event) == key_of(event._replace(price=101.0, occurred_at=None, run_id="run-2"))


def test_a_symbol_crosses_once_in_a_run_whatever_is_said_of_it():
    event = OrderEvent("crossed", "run-1", None, NOON, symbol="SPY", quantity=4.0, price=100.0, message="one")
    assert key_of(event) == key_of(event._replace(occurred_at=None, quantity=5.0, price=101.0, message="another"))


def test_a_slash_in_a_key_part_does_not_split_it():
    one = OrderEvent("rejected", client_order_id="a/1", code="c")
    two = OrderEvent("rejected", client_order_id="a", perm_id=1, code="/c")
    assert key_of(one) != key_of(two)


@pytest.mark.parametrize(
    ("exec_id", "family", "revision"),
    [
        ("0000e0d5.67fe667b.01.01", "0000e0d5.67fe667b.01", 1),
        ("0000e0d5.67fe667b.01.02", "0000e0d5.67fe667b.01", 2),
        ("0000e0d5.67fe667b.01.10", "0000e0d5.67fe667b.01", 10),
        ("0000e0d5.67fe667b.02.01", "0000e0d5.67fe667b.02", 1),
        ("trade.1", "trade.1", 0),
        ("a.b.c.d", "a.b.c.d", 0),
        ("a.b.c.d.1", "a.b.c.d.1", 0),
        ("a.b.c.1234567890", "a.b.c.1234567890", 0),  # no number of a correction has ten digits
        ("a.b.c.", "a.b.c.", 0),
        ("", "", 0),
    ],
)
def test_an_execution_family_is_the_id_without_the_number_of_the_correction(exec_id, family, revision):
    assert execution_family(exec_id) == (family, revision)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"quantity": np.float64(4.5), "perm_id": np.int64(7)}, {"quantity": 4.5, "perm_id": 7}),
        ({"price": float("nan"), "commission": np.nan, "bid": pd.NA}, {}),
        ({"occurred_at": pd.NaT}, {}),
        ({"occurred_at": pd.Timestamp("2026-11-22 12:00", tz="UTC")}, {"occurred_at": NOON}),
        ({"occurred_at": NEW_YORK_7_AM}, {"occurred_at": NOON}),
        ({"occurred_at": datetime(2026, 11, 22, 12)}, {"occurred_at": NOON}),  # noqa: DTZ001 - one without a zone is meant
        ({"perm_id": 2**63, "order_id": -(2**63)}, {"order_id": -(2**63)}),
        ({"message": "a\ud800b", "symbol": "É"}, {"message": "a\\ud800b", "symbol": "É"}),
        ({"quantity": float("inf")}, {"quantity": float("inf")}),
    ],
)
def test_a_plain_event_holds_only_values_that_can_be_stored(given, stored):
    made = plain(OrderEvent("execution", "run-1", **given))
    assert made == OrderEvent("execution", "run-1", **stored)
    assert {type(value) for value in made} <= {type(None), str, int, float, datetime}


def test_a_plain_event_stays_the_same_object():
    event = OrderEvent("execution", "run-1", "a", NOON, quantity=4.0, attempt=1)
    assert plain(event) is event
