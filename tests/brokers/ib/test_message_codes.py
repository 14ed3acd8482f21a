"""Every message code of TWS that concerns orders, after every report that may have come before it.

What is expected stands in ``message_codes.tsv``, derived from TWS's documentation of the codes and not from the
code under test: four expectations, and one table of what each of them does to an order in each state. A code of
a refusal that this package never provokes, or whose meaning is in doubt, is expected to change nothing.

A code that comes while a change of a working order has had no answer is expected, by the column ``change``, to
refuse it, to refuse it and leave in doubt whether the order works on, to end the order, or to be no answer.

The codes go the real way: the tracker makes events of them, and both the rules in Python and the views in SQL
derive the state of the same events.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import derive_order
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.ib.translate import MAY_HAVE_ENDED, TwsExecution

NOON = datetime(2022, 12, 29, 17, tzinfo=UTC)
RUN = "r"
QUANTITY = 10.0


def read_expectations(column="expectation"):
    """Expectation by code."""
    found = {}
    with (Path(__file__).parent / "message_codes.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            for part in row["codes"].split():
                first, _, last = part.partition("-")
                for code in range(int(first), int(last or first) + 1):
                    assert code not in found, f"{code} stands twice"
                    found[code] = row[column]
    return found


EXPECTED = read_expectations()
OF_CHANGES = read_expectations("change")

#                        rejects       rejects for good  cancels
#                        ------------  ----------------  ------------
AFTER = {
    "nothing reported": ("REJECTED",   "REJECTED",       "UNCONFIRMED"),
    "ApiPending":       ("REJECTED",   "REJECTED",       "UNCONFIRMED"),
    "PendingSubmit":    ("REJECTED",   "REJECTED",       "UNCONFIRMED"),
    "working":          ("WORKING",    "UNCONFIRMED",    "UNCONFIRMED"),
    "open order seen":  ("WORKING",    "UNCONFIRMED",    "UNCONFIRMED"),
    "partly filled":    ("PARTIAL",    "UNCONFIRMED",    "UNCONFIRMED"),
    "cancel pending":   ("WORKING",    "UNCONFIRMED",    "UNCONFIRMED"),
    "reported filled":  ("AWAITING_EXECUTIONS",) * 3,
    "filled":           ("FILLED",     "FILLED",         "FILLED"),
    "cancelled":        ("CANCELLED",  "REJECTED",       "CANCELLED"),
    "part cancelled":   ("CANCELLED",  "CANCELLED",      "CANCELLED"),
    "rejected":         ("REJECTED",   "REJECTED",       "REJECTED"),
    "refused unseen":   ("REJECTED",   "REJECTED",       "REJECTED"),
}  # fmt: skip
"""State after a code, by the report before it. An order that TWS shows as cancelled and then rejects for good was
rejected: that is how it shows rejected orders. What is filled stays filled, in whole or in part. A code does not
say how many shares were filled: an order that may have traded has ended only once a status or a completed order
does."""

BEFORE = {
    "nothing reported": "SENDING",
    "ApiPending": "SENDING",
    "PendingSubmit": "SENDING",
    "working": "WORKING",
    "open order seen": "WORKING",
    "partly filled": "PARTIAL",
    "cancel pending": "WORKING",
    "reported filled": "AWAITING_EXECUTIONS",
    "filled": "FILLED",
    "cancelled": "CANCELLED",
    "part cancelled": "CANCELLED",
    "rejected": "REJECTED",
    "refused unseen": "REJECTED",
}
"""State before, and after every code that changes nothing."""


def status(tracker, order_id, word, filled=0.0):
    tracker.on_status(order_id, order_id + 500_000, word, filled, QUANTITY - filled, "", ours=True)


def fill(tracker, order_id, shares):
    tracker.on_execution(
        TwsExecution(
            f"0000e0d5.{order_id:08x}.01.01", NOON, "DU0000001", "ARCA", "BOT", shares, 400.1,
            order_id + 500_000, 1, order_id, name_of(order_id), "SPY", 2,
        ),
        ours=True,
    )  # fmt: skip


def name_of(order_id):
    return f"{RUN}-{order_id}"


def report_before(tracker, order_id, what):  # noqa: C901 - one case for each line of the table
    """Report to the tracker what comes before the code."""
    match what:
        case "ApiPending" | "PendingSubmit":
            status(tracker, order_id, what)
        case "working":
            status(tracker, order_id, "PreSubmitted")
            status(tracker, order_id, "Submitted")
        case "open order seen":
            name = name_of(order_id)
            tracker.on_open_order(order_id, 1, order_id + 500_000, name, "PreSubmitted", QUANTITY, ours=True)
        case "partly filled":
            fill(tracker, order_id, 4.0)
            status(tracker, order_id, "Submitted", 4.0)
        case "cancel pending":
            status(tracker, order_id, "Submitted")
            tracker.request_cancel(tracker.find(name_of(order_id)))
            status(tracker, order_id, "PendingCancel")
        case "reported filled":
            status(tracker, order_id, "Filled", QUANTITY)
        case "filled":
            fill(tracker, order_id, QUANTITY)
            status(tracker, order_id, "Filled", QUANTITY)
        case "cancelled":
            status(tracker, order_id, "Submitted")
            status(tracker, order_id, "Cancelled")
        case "part cancelled":
            fill(tracker, order_id, 4.0)
            status(tracker, order_id, "Cancelled", 4.0)
        case "rejected":
            tracker.on_message(order_id, 201, "first")
        case "refused unseen":
            tracker.on_message(order_id, 110, "first")
        case _:
            assert what == "nothing reported"


def ticket(order_id):
    return Ticket(
        name_of(order_id),
        RUN,
        "SPY",
        "BUY",
        QUANTITY,
        "MKT",
        float("nan"),
        "DAY",
        "USD",
        "STK",
        "SMART",
        "DU0000001",
    )


def sent_order(tracker, order_id):
    """Send one order; the events about it before anything is reported."""
    name = name_of(order_id)
    tracker.reserve(ticket(order_id), order_id, 1)
    tracker.mark_sent(tracker.find(name))
    return [
        OrderEvent("intent", RUN, name, NOON, order_id=order_id),
        OrderEvent("sending", RUN, name, NOON, attempt=1, order_id=order_id),
    ]


def published(order_id, before, *codes):
    """Events about one order after ``before`` and then ``codes``."""
    tracker, events = OrderTracker(lambda: NOON), []
    tracker.follow(RUN, lambda *more: events.extend(more))
    events += sent_order(tracker, order_id)
    report_before(tracker, order_id, before)
    for code in codes:
        assert tracker.on_message(order_id, code, "text")
    return events, tracker


CELLS = [(code, before) for code in sorted(EXPECTED) for before in BEFORE]


def expected_state(code, before):
    column = ("rejects", "rejects for good", "cancels")
    if EXPECTED[code] == "no change":
        return BEFORE[before]
    return AFTER[before][column.index(EXPECTED[code])]


@cache
def cells():
    """Events of every cell of the matrix by the order id that stands for it."""
    return {number: published(number, before, code)[0] for number, (code, before) in enumerate(CELLS, start=1)}


def differences(states):
    """Cells whose state is not the expected one."""
    return [
        (code, before, found, expected_state(code, before))
        for (code, before), found in zip(CELLS, states, strict=True)
        if found != expected_state(code, before)
    ]


def test_the_table_of_codes_has_over_300_rows_and_four_outcomes():
    assert set(EXPECTED.values()) == {"rejects", "rejects for good", "cancels", "no change"}
    assert len(EXPECTED) > 300
    assert set(AFTER) == set(BEFORE)


@pytest.mark.parametrize("before", BEFORE)
def test_state_before_any_code_is(before):
    assert derive_order(QUANTITY, published(1, before)[0]).state == BEFORE[before]


@pytest.mark.slow
def test_every_code_in_every_state_is_derived_by_python():
    assert differences(derive_order(QUANTITY, events).state for events in cells().values()) == []


@pytest.mark.slow
def test_every_code_in_every_state_is_derived_by_sql():
    names = [name_of(number) for number in cells()]
    plan = pd.DataFrame({"client_order_id": names, "run_id": RUN, "symbol": "SPY", "side": "BUY"})
    plan = plan.assign(quantity=QUANTITY, order_type="MKT", payload_hash="h")
    header = {"run_id": RUN, "leg": 1, "mode": "mock", "plan_hash": "h"}
    header |= dict.fromkeys(("account", "nav", "parameters", "approved_by", "approved_at"))
    with sx.open_blotter() as blotter:
        events = [event for about in cells().values() for event in about]
        blotter.record_plan(plan, header, events).result()
        states = blotter.orders(RUN).set_index("client_order_id")["state"].reindex(names)
    assert differences(states) == []


@pytest.mark.parametrize("code", sorted(EXPECTED))
def test_a_code_that_ends_an_unreported_order_is_its_reason(code):
    events, tracker = published(1, "nothing reported", code)
    if EXPECTED[code] == "cancels":
        status(tracker, 1, "Cancelled")
    assert derive_order(QUANTITY, events).reason == (None if EXPECTED[code] == "no change" else str(code))


@pytest.mark.parametrize("before", ["working", "open order seen", "cancel pending", "partly filled"])
@pytest.mark.parametrize("word", ["Cancelled", "Inactive"])
def test_an_order_rejected_while_it_works_has_ended_once_its_filled_shares_are_counted(before, word):
    events, tracker = published(1, before, 201)
    assert tracker.unexplained_inactive_orders()  # TWS is asked for them
    filled = 4.0 if before == "partly filled" else 0.0
    status(tracker, 1, word, filled)
    state = derive_order(QUANTITY, events)
    assert (state.state, state.filled, state.reason) == ("CANCELLED" if filled else "REJECTED", filled, "201")
    assert tracker.working() == []


@pytest.mark.parametrize("code", sorted(code for code, what in EXPECTED.items() if what == "rejects"))
def test_a_status_or_fill_overrides_an_earlier_refusal(code):
    events, tracker = published(1, "nothing reported", code)
    status(tracker, 1, "Submitted")
    assert derive_order(QUANTITY, events).state == "WORKING"
    fill(tracker, 1, 4.0)
    assert derive_order(QUANTITY, events).state == "PARTIAL"


@pytest.mark.parametrize("word", ["Cancelled", "Inactive"])
@pytest.mark.parametrize("code", sorted(code for code, what in EXPECTED.items() if what.startswith("rejects")))
def test_a_rejected_order_stays_rejected_whatever_status_tws_shows_later(code, word):
    events, tracker = published(1, "nothing reported", code)
    status(tracker, 1, word)
    state = derive_order(QUANTITY, events)
    assert (state.state, state.reason) == ("REJECTED", str(code))


@pytest.mark.parametrize("code", [code for code, what in EXPECTED.items() if what == "no change"])
def test_after_an_advisory_code_the_order_fills_normally(code):
    events, tracker = published(1, "cancel pending", code)
    assert [order.order_id for order in tracker.working()] == [1]
    fill(tracker, 1, QUANTITY)
    assert derive_order(QUANTITY, events).state == "FILLED"


@pytest.mark.parametrize("code", [*range(1, 100), *range(800, 1000), *range(5000, 5100), *range(20_000, 20_100)])
def test_an_unlisted_code_changes_nothing(code):
    for before in ("nothing reported", "working"):
        assert derive_order(QUANTITY, published(1, before, code)[0]).state == BEFORE[before]


def changed(before, code, *, is_cancelling=False):
    """Events after a code about an order with an unanswered change of its limit, and the tracker."""
    events, tracker = published(1, before)
    order = tracker.find(name_of(1))
    tracker.note_change(order, 1, 400.5, 400.5)
    if is_cancelling:
        tracker.request_cancel(order)
    assert tracker.on_message(1, code, "text")
    return events, tracker


@pytest.mark.parametrize("before", ["working", "open order seen", "partly filled"])
@pytest.mark.parametrize("code", sorted(OF_CHANGES))
def test_a_code_about_a_change_refuses_it_and_leaves_the_order_working(code, before):
    events, tracker = changed(before, code)
    answers = [(event.attempt, event.code, event.message) for event in events if event.kind == "modify_refused"]
    is_refusal = OF_CHANGES[code] in ("refused", "doubt")
    assert answers == ([(1, str(code), "text")] if is_refusal else [])
    state = derive_order(QUANTITY, events)
    assert state.state == ("UNCONFIRMED" if OF_CHANGES[code] == "ends" else BEFORE[before])
    assert tracker.awaits_answer(1) == (not is_refusal)
    assert (code in MAY_HAVE_ENDED) == (OF_CHANGES[code] == "doubt")
    assert not tracker.unexplained_inactive_orders() or OF_CHANGES[code] == "ends"


@pytest.mark.parametrize("code", [135, 161, 10147, 10148])
def test_a_code_that_answers_a_cancel_is_none_of_a_change_before_it(code):
    events, tracker = changed("working", code, is_cancelling=True)
    assert [event.kind for event in events[-2:]] == ["cancel_requested", "message"]
    assert tracker.awaits_answer(1)


@pytest.mark.parametrize("word", ["Cancelled", "Inactive"])
def test_an_order_that_ends_with_the_rejection_of_its_change_has_that_as_its_reason(word):
    events, tracker = changed("partly filled", 201)
    assert derive_order(QUANTITY, events).state == "PARTIAL"
    status(tracker, 1, word, 4.0)
    if word == "Inactive":  # TWS is asked, and lists it as completed
        assert tracker.unexplained_inactive_orders()
        tracker.on_completed(500_001, name_of(1), "Inactive", 4.0, "", client_id=1)
    state = derive_order(QUANTITY, events)
    assert (state.state, state.filled, state.reason) == ("CANCELLED", 4.0, "201")


def test_without_a_change_under_way_the_codes_mean_what_they_did():
    events, tracker = changed("working", 110)  # refuses it
    assert tracker.on_message(1, 110, "text")
    assert [event.kind for event in events[-2:]] == ["modify_refused", "message"]
    assert tracker.on_message(1, 201, "text")
    assert events[-1].kind == "rejected"
