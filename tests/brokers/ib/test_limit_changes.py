"""Which change of a limit TWS has answered: by the limits that it shows, and by codes."""

import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.limit_changes import LimitChanges

NAN = float("nan")


def sent(*prices, on_wire=1.0):
    changes = LimitChanges()
    for number, price in enumerate(prices, start=1):
        changes.send(number, price, price * on_wire)
    return changes


def read(*events):
    changes = LimitChanges()
    for event in events:
        changes.read(event)
    return changes


def shown(changes, *limits):
    """Numbers of the changes that are confirmed, None for no news."""
    return [change and change.number for change in map(changes.show, limits)]


def modifying(number, price):
    return OrderEvent("modifying", attempt=number, price=price)


@pytest.mark.parametrize(
    ("prices", "limits", "confirmed"),
    [
        ((100.5,), (100.0, 100.5, 100.5), [None, 1, None]),  # the old limit, the new one, a repetition
        ((100.5,), (NAN, 100.0), [None, None]),
        ((100.5, 101.0), (100.5, 101.0), [1, 2]),
        ((100.5, 101.0), (101.0, 100.5), [2, None]),  # the first is overtaken
        ((100.5, 101.0, 100.5), (100.5,), [3]),  # the latest with that limit, unless another was shown before
        ((100.5, 100.0), (100.0, 100.0, 100.5, 100.0), [2, None, None, None]),
        ((), (100.0,), [None]),
    ],
)
def test_a_shown_limit_confirms_the_change_to_it(prices, limits, confirmed):
    assert shown(sent(*prices), *limits) == confirmed


def test_the_limit_that_was_shown_all_along_confirms_no_change_back_to_it():
    changes = LimitChanges()
    assert shown(changes, 100.0) == [None]
    changes.send(1, 100.5, 100.5)
    changes.send(2, 100.0, 100.0)
    assert shown(changes, 100.0, 100.5, 100.0) == [None, 1, 2]


def test_a_change_back_is_confirmed_once_the_one_between_is_refused():
    changes = LimitChanges()
    changes.show(100.0)
    changes.send(1, 100.5, 100.5)
    assert changes.refuse() == 1
    changes.send(2, 100.0, 100.0)
    assert shown(changes, 100.0) == [2]


def test_a_code_refuses_the_latest_change_without_an_answer():
    changes = sent(100.5, 101.0)
    assert [changes.refuse(), changes.refuse(), changes.refuse()] == [2, 1, None]
    assert not changes.is_awaited


def test_a_confirmed_change_is_not_refused_any_more():
    changes = sent(100.5)
    changes.show(100.5)
    assert (changes.is_awaited, changes.refuse()) == (False, None)


def test_a_change_that_was_taken_for_refused_is_made_if_tws_shows_its_limit():
    changes = sent(100.5)
    changes.refuse()
    assert shown(changes, 100.5) == [1]


def test_a_limit_in_pence_is_compared_as_it_left():
    changes = LimitChanges()
    changes.send(1, 42.957, 4295.5)  # on a tick of half a penny
    (found,) = [change for change in map(changes.show, (42.957, 4295.7, 4295.5)) if change]
    assert (found.number, found.price) == (1, 42.957)


@pytest.mark.parametrize("limit", [42.95, 4295.0, 42.95 * 100])
def test_a_recorded_change_is_compared_in_either_unit(limit):
    assert shown(read(modifying(1, 42.95)), limit) == [1]


@pytest.mark.parametrize(
    ("events", "limit", "confirmed"),
    [
        ([modifying(1, 100.5)], 100.5, 1),
        ([modifying(1, 100.5)], 100.0, None),  # the old limit
        ([modifying(1, 100.5), modifying(2, 100.5)], 100.5, 2),
        ([modifying(1, 100.5), OrderEvent("modified", attempt=1, price=100.5)], 100.5, None),
        ([modifying(1, 100.5), OrderEvent("modify_refused", attempt=1, code="2102")], 100.5, 1),
        ([modifying(1, 100.5), OrderEvent("modify_refused", attempt=1, code="not_sent")], 100.5, None),
        ([modifying(1, 100.5), modifying(2, 101.0), OrderEvent("modified", attempt=2, price=101.0)], 100.5, None),
        ([OrderEvent("modify_refused", attempt=3, code="2102")], 100.5, None),
    ],
)
def test_recorded_changes_are_confirmed_by_what_tws_shows(events, limit, confirmed):
    changes = read(*events)
    assert shown(changes, limit) == [confirmed]
    assert not changes.is_awaited  # no code of this connection is about them


def test_a_change_that_did_not_leave_is_forgotten():
    changes = sent(100.5)
    changes.withdraw(1)
    changes.withdraw(2)
    assert shown(changes, 100.5) == [None]


def test_after_a_reconnection_no_code_is_an_answer_and_what_is_shown_first_counts():
    changes = LimitChanges()
    changes.show(100.0)
    changes.send(1, 100.5, 100.5)
    changes.send(2, 100.0, 100.0)
    changes.lose_connection()
    assert (changes.is_awaited, changes.refuse()) == (False, None)
    assert shown(changes, 100.0) == [2]


def test_a_record_that_is_read_again_keeps_how_its_changes_left():
    before = LimitChanges()
    before.send(1, 42.957, 4295.5)
    again = read(modifying(1, 42.957))
    again.inherit(before)
    assert again.is_awaited
    assert shown(again, 4295.5) == [1]
