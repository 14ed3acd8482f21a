from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_history import IdTrail, OrderHistory

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
NAME = "run-1-SPY-BUY"
INTENT = OrderEvent("intent", client_id=1, occurred_at=NOW)
FIRST = OrderEvent("sending", attempt=1, order_id=7, client_id=1, occurred_at=NOW)
AGAIN = OrderEvent("sending", attempt=2, order_id=8, client_id=1, occurred_at=NOW)
FIRST_FAILED = OrderEvent("not_sent", attempt=1)
WORKS = OrderEvent("status", status="SUBMITTED", order_id=7, perm_id=9, client_id=1)
FILL = OrderEvent("execution", exec_id="0000e0d5.67fe667b.01.01", quantity=10.0, price=100.0)


@pytest.mark.parametrize(
    ("events", "attempt"),
    [
        ([INTENT], None),
        ([INTENT, FIRST], 1),
        ([INTENT, FIRST, FIRST_FAILED], None),
        ([INTENT, FIRST, FIRST_FAILED, AGAIN], 2),
        ([INTENT, AGAIN, FIRST], 2),  # by its number, whatever the sequence
    ],
)
def test_the_last_submission_is_the_latest_that_did_not_fail(events, attempt):
    found = OrderHistory(NAME, 10.0, events).last_sending
    assert (found and found.attempt) == attempt


def test_an_order_counts_as_seen_once_the_broker_has_reported_it():
    assert not OrderHistory(NAME, 10.0, [INTENT, FIRST]).is_seen
    assert OrderHistory(NAME, 10.0, [INTENT, FIRST, WORKS]).is_seen
    assert OrderHistory(NAME, 10.0, [INTENT, FILL]).is_seen


def test_an_order_that_the_broker_has_but_the_record_never_sent_is_adopted():
    assert OrderHistory(NAME, 10.0, [INTENT, WORKS]).is_adopted
    assert not OrderHistory(NAME, 10.0, [INTENT, FIRST, WORKS]).is_adopted
    assert not OrderHistory(NAME, 10.0, [INTENT]).is_adopted


def test_order_ids_are_those_of_the_client_alone():
    history = OrderHistory(NAME, 10.0, [INTENT, FIRST, WORKS, WORKS._replace(order_id=9, client_id=2)])
    assert history.seen_ids(1) == [7]
    assert history.seen_ids(2) == [9]


def test_the_state_is_derived_from_what_is_on_record():
    assert OrderHistory(NAME, 10.0, [INTENT]).state == "INTENT"
    assert OrderHistory(NAME, 10.0, [INTENT, FIRST, FILL]).state == "FILLED"
    assert OrderHistory(NAME, 11.0, [INTENT, FIRST, FILL]).state == "PARTIAL"


def test_a_record_without_order_ids_has_zeros():
    assert IdTrail() == (0, 0, 0, 0)


def test_an_order_of_a_basket_file_is_known_by_its_event():
    exported = OrderEvent("held_back", code="exported", message="by hand")
    assert OrderHistory(NAME, 10.0, [INTENT, exported]).exported == exported
    assert OrderHistory(NAME, 10.0, [INTENT, exported._replace(code=None)]).exported is None


def changes(*prices):
    return [OrderEvent("modifying", attempt=number, price=price) for number, price in enumerate(prices, start=1)]


def confirmed(number, price):
    return OrderEvent("modified", attempt=number, price=price)


def refused(number, code="110"):
    return OrderEvent("modify_refused", attempt=number, code=code)


@pytest.mark.parametrize(
    ("events", "in_force"),
    [
        ([], [100.0]),  # the order's own
        (changes(100.5), [100.0, 100.5]),  # unanswered: either
        ([*changes(100.5), confirmed(1, 100.5)], [100.5]),
        ([*changes(100.5), refused(1)], [100.0]),
        ([*changes(100.5, 101.0), confirmed(1, 100.5)], [100.5, 101.0]),
        ([*changes(100.5, 101.0), confirmed(2, 101.0)], [101.0]),  # the earlier one is overtaken
        ([*changes(100.5, 101.0), refused(2)], [100.0, 100.5]),
        ([confirmed(2, 101.0), *reversed(changes(100.5, 101.0)), confirmed(1, 100.5)], [101.0]),  # by number
        ([*changes(100.5, 101.0), confirmed(1, 100.5), refused(2, "not_sent")], [100.5]),
        ([*changes(100.5), refused(1), confirmed(1, 100.5)], [100.5]),  # what the broker shows counts
        ([*changes(100.5, 100.0), confirmed(1, 100.5), confirmed(2, 100.0)], [100.0]),
    ],
)
def test_limits_in_force_are_all_that_the_broker_may_have_now(events, in_force):
    assert OrderHistory(NAME, 10.0, [INTENT, FIRST, *events]).limits_in_force(100.0) == in_force


def test_the_own_limit_is_unknown_where_it_is_not_given():
    assert str(OrderHistory(NAME, 10.0, changes(100.5)).limits_in_force()) == "[nan, 100.5]"


@pytest.mark.parametrize(
    ("events", "ever"),
    [
        ([INTENT, FIRST], []),
        ([*changes(100.5, 101.0, 101.0), confirmed(1, 100.5)], [100.5, 101.0]),
        ([*changes(100.5, 101.0), refused(1), refused(2, "not_sent")], [100.5]),  # a refusal may have been misread
    ],
)
def test_limits_ever_are_all_that_may_have_reached_the_broker(events, ever):
    assert OrderHistory(NAME, 10.0, events).limits_ever() == ever


def test_a_change_of_the_limit_does_not_show_that_the_broker_has_the_order():
    # Only an order that the broker has accepted is changed; the record of that is another event.
    assert not OrderHistory(NAME, 10.0, [INTENT, FIRST, *changes(100.5), refused(1)]).is_seen
    assert OrderHistory(NAME, 10.0, [INTENT, FIRST, *changes(100.5), refused(1)]).state == "SENDING"
