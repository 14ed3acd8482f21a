"""Whose order a message is about: by id, reference, permanent id, across connections and repetitions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.blotter.events import OrderEvent, key_of
from stocklean_exec.blotter.order_history import OrderHistory
from stocklean_exec.blotter.order_state import OrderAccumulator, derive_order
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.ib.translate import TwsExecution
from stocklean_exec.errors import BlotterClosedError, OrderNotWorkingError

NOON = datetime(2022, 12, 29, 17, tzinfo=UTC)
TICKET = Ticket(
    "r-SPY-BUY", "r", "SPY", "BUY", 10.0, "MKT", float("nan"), "DAY", "USD", "STK", "SMART", "DU0000001"
)
EXECUTION = TwsExecution(
    "0000e0d5.67fe667b.01.01", NOON, "DU0000001", "ARCA", "BOT", 10.0, 400.1, 77, 1, 12, "r-SPY-BUY", "SPY", 2
)


def tracker_with_order(*, sent=True, now=lambda: NOON):
    tracker, published = OrderTracker(now), []
    tracker.follow("r", lambda *events: published.extend(events))
    tracker.reserve(TICKET, 12, 1)
    if sent:
        tracker.mark_sent(tracker.find("r-SPY-BUY"))
    return tracker, published


def test_a_status_is_matched_by_the_id_of_this_session():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    (event,) = published
    assert (event.client_order_id, event.run_id, event.status) == ("r-SPY-BUY", "r", "SUBMITTED")
    assert (event.order_id, event.perm_id, event.client_id, event.occurred_at) == (12, 77, 1, NOON)


def test_the_same_id_of_another_client_is_not_ours():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 99, "Cancelled", 0.0, 10.0, "", ours=False)
    assert published == []
    assert tracker.orphans()[["status", "order_id", "perm_id"]].to_numpy().tolist() == [["CANCELLED", 12, 99]]


def test_an_execution_is_matched_by_its_reference_if_its_order_id_is_unknown():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(order_id=0, client_id=0), ours=False)
    assert [event.kind for event in published] == ["execution"]


def test_an_execution_is_matched_by_permanent_id_once_that_is_known():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.on_execution(EXECUTION._replace(order_id=0, order_ref=""), ours=False)
    assert [event.kind for event in published] == ["status", "execution"]


def test_an_order_id_with_the_reference_of_another_order_is_not_matched():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(order_ref="other-client"), ours=True)
    assert published == []
    assert tracker.orphans()["order_ref"].tolist() == ["other-client"]


def test_a_planned_order_id_is_not_matched_before_the_order_is_sent():
    tracker, published = tracker_with_order(sent=False)
    assert not tracker.on_message(12, 201, "rejected")
    assert published == []


@pytest.mark.parametrize("next_id", [1, 12])  # below the id that was used, and that id itself
def test_after_an_id_reset_orders_are_matched_by_reference_only(next_id):
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.connected(next_id)
    assert not tracker.on_message(12, 202, "of another client")
    tracker.on_status(12, 5, "Cancelled", 0.0, 10.0, "", ours=True)
    assert len(published) == 1
    tracker.on_status(0, 77, "Cancelled", 0.0, 10.0, "", ours=False)
    assert published[-1].status == "CANCELLED"


def test_after_an_ordinary_reconnection_orders_are_still_matched_by_id():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.connected(13)
    assert tracker.on_message(12, 202, "cancelled")
    assert published[-1].status == "CANCELLED"


def test_an_order_is_open_until_its_fills_and_commissions_are_reported():
    tracker, _ = tracker_with_order()
    assert not tracker.is_quiet()
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.working() == []
    assert not tracker.is_quiet()  # the commission is missing
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()


@pytest.mark.parametrize("end", [(201, "rejected"), (110, "off tick")])
def test_an_order_ends_by_a_message_that_ends_it(end):
    tracker, _ = tracker_with_order()
    tracker.on_message(12, *end)
    assert tracker.is_quiet()
    assert tracker.working() == []


def test_a_cancelled_order_has_ended_once_tws_counts_what_was_filled():
    tracker, _ = tracker_with_order()
    tracker.on_message(12, 202, "cancelled")
    assert [order.order_id for order in tracker.unexplained_inactive_orders()] == [12]
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    assert tracker.is_quiet()
    assert (tracker.working(), tracker.unexplained_inactive_orders()) == ([], [])


def test_a_cancelled_order_whose_fills_tws_does_not_count_is_unconfirmed():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 202, "cancelled")
    tracker.put_aside(tracker.unexplained_inactive_orders())
    assert tracker.is_quiet()
    assert (published[-1].code, derive_order(10.0, published).state) == ("end_unconfirmed", "UNCONFIRMED")


def test_an_inactive_order_may_become_working_again():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Inactive", 0.0, 10.0, "", ours=True)
    assert not tracker.is_quiet()  # it may have ended: that must be requested
    assert [order.order_id for order in tracker.unexplained_inactive_orders()] == [12]
    tracker.put_aside(tracker.unexplained_inactive_orders())
    assert tracker.is_quiet()
    assert len(tracker.working()) == 1  # it can still be cancelled
    assert {event.kind for event in published} == {"message"}
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert not tracker.is_quiet()


@pytest.mark.parametrize("report", ["status", "open order"])
def test_an_order_that_is_put_aside_has_that_as_its_reason_until_it_works_again(report):
    times = iter(NOON + timedelta(seconds=second) for second in range(100))
    tracker, published = tracker_with_order(now=lambda: next(times))
    reasons = []
    for _ in range(2):
        tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
        assert derive_order(10.0, published).reason is None
        tracker.on_status(12, 77, "Inactive", 0.0, 10.0, "", ours=True)
        tracker.put_aside(tracker.unexplained_inactive_orders())
        state = derive_order(10.0, published)
        assert state.status == "SUBMITTED"
        reasons.append(state.reason)
        if report == "status":
            tracker.on_status(12, 77, "PreSubmitted", 0.0, 10.0, "", ours=True)
        else:
            tracker.on_open_order(12, 1, 77, "r-SPY-BUY", "PreSubmitted", 10.0, ours=True)
        assert derive_order(10.0, published).reason is None
    assert all(reason.startswith("TWS has put it aside (Inactive) at 2022-12-29 17:00:") for reason in reasons)
    keys = [key_of(event) for event in published if event.status in ("WAITING", "RESUMED")]
    assert len(set(keys)) == len(keys) == 4  # each is recorded, none as a repetition


def test_a_correction_counts_once():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION, ours=True)
    tracker.on_execution(EXECUTION._replace(exec_id="0000e0d5.67fe667b.01.02", shares=4.0), ours=True)
    assert tracker.find("r-SPY-BUY").events.filled == 4.0
    assert derive_order(10.0, published).filled == 4.0


def test_for_a_corrected_or_withdrawn_execution_no_commission_is_awaited():
    corrected = EXECUTION._replace(exec_id="0000e0d5.67fe667b.01.02", price=400.2)
    tracker, _ = tracker_with_order()
    tracker.on_execution(EXECUTION, ours=True)
    tracker.on_execution(corrected, ours=True)
    tracker.on_commission(corrected.exec_id, 1.0, "USD")
    assert tracker.is_quiet()
    tracker, _ = tracker_with_order()
    tracker.on_execution(corrected, ours=True)
    tracker.on_commission(corrected.exec_id, 1.0, "USD")
    tracker.on_execution(EXECUTION, ours=True)  # reported late
    assert tracker.is_quiet()
    tracker, _ = tracker_with_order()
    tracker.on_execution(EXECUTION, ours=True)
    tracker.on_execution(corrected._replace(shares=0.0), ours=True)
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    assert tracker.is_quiet()


def test_a_completed_order_reports_its_end():
    tracker, published = tracker_with_order()
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", 0.0, "Cancelled by Trader", client_id=1)
    assert (published[-1].status, published[-1].message) == ("CANCELLED", "Cancelled by Trader")
    assert tracker.is_quiet()


def test_an_inactive_order_among_the_completed_ones_has_ended():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Inactive", 0.0, 10.0, "", ours=True)
    tracker.on_completed(77, "r-SPY-BUY", "Inactive", 0.0, "Cancelled by System:", client_id=1)
    assert tracker.unexplained_inactive_orders() == []
    assert tracker.is_quiet()
    assert derive_order(10.0, published).status == "CANCELLED"


def test_an_open_order_of_an_earlier_session_can_be_found():
    tracker = OrderTracker(lambda: NOON)
    tracker.on_open_order(9, 1, 70, "old-SPY-BUY", "Submitted", 5.0, ours=True)
    tracker.on_open_order(9, 2, 71, "other-SPY-BUY", "Submitted", 5.0, ours=False)
    assert tracker.find("old-SPY-BUY").order_id == 9
    assert tracker.find("other-SPY-BUY") is None
    assert [order.client_order_id for order in tracker.working()] == ["old-SPY-BUY"]
    orphans = tracker.orphans()
    assert orphans["order_ref"].tolist() == ["old-SPY-BUY", "other-SPY-BUY"]
    assert orphans[["order_id", "client_id", "perm_id"]].to_numpy().tolist() == [[9, 1, 70], [9, 2, 71]]


def test_events_of_one_batch_are_reported_in_one_call():
    tracker, calls = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: calls.append(len(events)))
    tracker.reserve(TICKET, 12, 1)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    with tracker.batch():
        tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
        tracker.on_execution(EXECUTION, ours=True)
        tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert calls == [3]


def test_events_for_a_closed_record_are_orphans():
    complaints = []
    tracker = OrderTracker(lambda: NOON, lambda what, _: complaints.append(what))

    def closed(*_):
        raise BlotterClosedError("the blotter is closed")

    tracker.follow("r", closed)
    tracker.reserve(TICKET, 12, 1)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.orphans()[["exec_id", "order_ref"]].to_numpy().tolist() == [[EXECUTION.exec_id, "r-SPY-BUY"]]
    assert complaints == []


def test_a_failing_recorder_is_logged_and_its_events_are_kept():
    complaints = []
    tracker = OrderTracker(lambda: NOON, lambda what, _: complaints.append(what))

    def full(*_):
        raise OSError("disk full")

    tracker.follow("r", full)
    tracker.reserve(TICKET, 12, 1)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    with tracker.batch():
        tracker.on_execution(EXECUTION, ours=True)
    assert complaints == ["the record of r failed"]
    assert len(tracker.orphans()) == 1


MESSAGES = st.lists(
    st.sampled_from(
        [
            ("open", "PreSubmitted"),
            ("status", "PreSubmitted", 0.0),
            ("status", "Submitted", 4.0),
            ("status", "Filled", 10.0),
            ("fill", "0000e0d5.67fe667b.01.01", 4.0),
            ("fill", "0000e0d5.67fe667c.01.01", 6.0),
            ("fee", "0000e0d5.67fe667b.01.01"),
            ("fee", "0000e0d5.67fe667c.01.01"),
            ("message", 10349),
            ("message", 399),
        ]
    ),
    max_size=25,
)
COMPLETE = [
    ("fill", "0000e0d5.67fe667b.01.01", 4.0),
    ("fill", "0000e0d5.67fe667c.01.01", 6.0),
    ("fee", "0000e0d5.67fe667b.01.01"),
    ("fee", "0000e0d5.67fe667c.01.01"),
]


def deliver(tracker, message):
    """Pass one message to the tracker as TWS sends it."""
    match message:
        case "open", word:
            tracker.on_open_order(12, 1, 77, "r-SPY-BUY", word, 10.0, ours=True)
        case "status", word, filled:
            tracker.on_status(12, 77, word, filled, 10.0 - filled, "", ours=True)
        case "fill", exec_id, shares:
            tracker.on_execution(EXECUTION._replace(exec_id=exec_id, shares=shares), ours=True)
        case "fee", exec_id:
            tracker.on_commission(exec_id, 0.5, "USD")
        case "message", code:
            tracker.on_message(12, code, "text")
        case "completed", word, filled:
            tracker.on_completed(77, "r-SPY-BUY", word, filled, "", client_id=1)


@pytest.mark.slow
@given(MESSAGES, st.permutations(COMPLETE))
def test_any_sequence_and_repetition_of_reports_gives_the_same_final_state(noise, reports):
    tracker, published = tracker_with_order()
    for message in [*noise, *reports, *noise]:
        deliver(tracker, message)
    state = derive_order(10.0, published)
    assert (state.status, state.filled, state.commission) == ("FILLED", 10.0, 1.0)
    assert tracker.is_quiet()
    assert sum(event.kind == "execution" for event in published) == 2


ANY_MESSAGES = st.lists(
    st.sampled_from(
        [
            ("open", "Submitted"),
            ("status", "PreSubmitted", 0.0),
            ("status", "Inactive", 4.0),
            ("status", "Cancelled", 0.0),
            ("status", "Cancelled", 4.0),
            ("status", "Cancelled", 1e12),
            ("status", "Filled", 10.0),
            ("fill", "0000e0d5.67fe667b.01.01", 4.0),
            ("fill", "0000e0d5.67fe667b.01.02", 0.0),
            ("fill", "0000e0d5.67fe667c.01.01", 6.0),
            ("fee", "0000e0d5.67fe667b.01.01"),
            ("message", 201),
            ("message", 202),
            ("message", 110),
            ("message", 399),
            ("completed", "Cancelled", 4.0),
            ("completed", "Filled", None),
        ]
    ),
    max_size=12,
)


@pytest.mark.slow
@given(ANY_MESSAGES)
def test_tracker_and_record_agree_after_every_message_whether_the_order_has_ended(messages):
    tracker, published = tracker_with_order()
    for message in messages:
        deliver(tracker, message)
        assert (tracker.working() == []) == derive_order(10.0, published).has_ended


def test_a_recorded_resolution_does_not_end_an_order_that_may_still_work_at_tws():
    tracker = OrderTracker(lambda: NOON)
    decision = OrderEvent("resolved", "r", "r-SPY-BUY", NOON, status="CANCELLED", message="looked it up")
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [SENT_12, decision]), ids_hold=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]


def test_an_unset_quantity_of_an_earlier_order_does_not_stop_its_reports():
    tracker = OrderTracker(lambda: NOON)
    tracker.on_open_order(9, 1, 70, "old-SPY-BUY", "Submitted", 1.7976931348623157e308, ours=True)
    assert [order.client_order_id for order in tracker.working()] == ["old-SPY-BUY"]


def test_a_state_is_derived_once_after_each_event(monkeypatch):
    derived, derive = [], OrderAccumulator.has_ended
    monkeypatch.setattr(
        OrderAccumulator, "has_ended", lambda events, quantity: derived.append(1) or derive(events, quantity)
    )
    tracker, _ = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    for _ in range(10):
        tracker.working()
        tracker.is_quiet()
    assert len(derived) == 1


def test_two_orders_of_one_tracker_keep_their_own_ids():
    tracker, _ = tracker_with_order()
    tracker.reserve(replace(TICKET, client_order_id="r-TLT-BUY"), 13, 1)
    assert (tracker.find("r-SPY-BUY").order_id, tracker.find("r-TLT-BUY").order_id) == (12, 13)


# -- the end of an order, and signs of life after it ---------------------------------------------------------


def test_an_order_reported_working_after_its_end_is_working_again():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 110, "off tick")
    assert tracker.is_quiet()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "WORKING"


def test_a_final_rejection_is_not_undone_by_a_late_status():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 201, "rejected")
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert derive_order(10.0, published).state == "UNCONFIRMED"  # it was accepted, and may have traded
    tracker.on_status(12, 77, "Inactive", 0.0, 10.0, "", ours=True)
    assert derive_order(10.0, published).state == "REJECTED"
    assert tracker.working() == []


def test_a_cancelled_status_followed_by_a_reject_code_is_a_rejection():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    tracker.on_message(12, 203, "not allowed for this account")
    state = derive_order(10.0, published)
    assert (state.status, state.reason) == ("REJECTED", "203")


def test_a_busted_fill_reopens_an_order():
    tracker, _ = tracker_with_order()
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.working() == []
    tracker.on_execution(EXECUTION._replace(exec_id=EXECUTION.exec_id[:-1] + "2", shares=0.0), ours=True)
    assert len(tracker.working()) == 1


def test_an_order_reported_filled_stays_open_until_its_executions_arrive():
    tracker, _ = tracker_with_order()
    tracker.on_status(12, 77, "Filled", 10.0, 0.0, "", ours=True)
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    assert not tracker.is_quiet()
    tracker.on_execution(EXECUTION, ours=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()


def test_a_second_order_with_one_reference_is_reported_once_and_its_fills_count():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    for _ in range(2):
        tracker.on_open_order(3, 9, 78, "r-SPY-BUY", "Submitted", 10.0, ours=False)
        tracker.on_status(3, 78, "Cancelled", 0.0, 10.0, "", ours=False)
    tracker.on_execution(EXECUTION._replace(perm_id=78, order_id=3, client_id=9), ours=False)
    assert [(event.kind, event.perm_id) for event in published] == [
        ("status", 77),
        ("duplicate", 78),
        ("execution", 77),
    ]
    assert derive_order(10.0, published).state == "FILLED"


def test_an_adopted_order_is_matched_by_reference_and_resent_with_its_id():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=12, client_id=1, attempt=1)
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [sent]), ids_hold=True)
    assert tracker.allow_again("r-SPY-BUY") == 12
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    tracker.on_message(12, 103, "Duplicate order id")  # the first one has arrived after all
    assert [(event.kind, event.code) for event in published] == [("message", "103")]
    assert len(tracker.working()) == 1


def test_an_adopted_order_starts_from_its_recorded_events():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    known = [
        OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=12, client_id=1, attempt=1),
        OrderEvent("status", "r", "r-SPY-BUY", NOON, status="SUBMITTED", order_id=12, perm_id=77),
        OrderEvent(
            "execution", "r", "r-SPY-BUY", NOON, perm_id=77, exec_id=EXECUTION.exec_id, quantity=4.0, price=1.0
        ),
        OrderEvent("commission", "r", "r-SPY-BUY", NOON, exec_id=EXECUTION.exec_id, commission=1.0),
    ]
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, known), ids_hold=False)
    order = tracker.find("r-SPY-BUY")
    assert (order.perm_id, order.ended, order.events.filled) == (77, False, 4.0)
    assert (order.events.is_accepted, order.events.uncharged) == (True, frozenset())
    assert not tracker.on_message(12, 201, "of another client: ids restarted")
    tracker.on_status(99, 77, "Cancelled", 4.0, 6.0, "", ours=False)  # by its permanent id
    assert [event.status for event in published] == ["CANCELLED"]


def test_a_recorded_refusal_does_not_end_an_order_that_was_seen_working():
    tracker = OrderTracker(lambda: NOON)
    lives = OrderEvent("status", "r", "r-SPY-BUY", NOON, status="SUBMITTED", order_id=12, perm_id=77)
    refusal = OrderEvent("rejected", "r", "r-SPY-BUY", NOON, status="UNSEEN", code="110")
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [SENT_12, lives, refusal]), ids_hold=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]


# -- an order that ended with more filled than its executions say -----------------------------------------------


def test_an_ended_order_with_missing_executions_stays_open_until_they_arrive():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 4.0, 6.0, "", ours=True)
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "UNCONFIRMED"
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()
    assert derive_order(10.0, published).state == "CANCELLED"


def test_withdrawn_fills_do_not_keep_an_order_open():
    tracker, _ = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    tracker.on_execution(EXECUTION._replace(exec_id=EXECUTION.exec_id[:-1] + "2", shares=0.0), ours=True)
    tracker.on_status(12, 77, "Cancelled", 4.0, 6.0, "", ours=True)
    assert tracker.is_quiet()


def test_a_rejected_order_that_is_shown_as_cancelled_keeps_what_it_had_filled():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 201, "rejected")
    tracker.on_status(12, 77, "Cancelled", 4.0, 6.0, "", ours=True)
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "UNCONFIRMED"


def test_an_inactive_order_keeps_what_it_had_filled():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Inactive", 4.0, 6.0, "", ours=True)
    tracker.on_status(12, 77, "Inactive", 5.0, 5.0, "", ours=True)
    tracker.on_completed(77, "r-SPY-BUY", "Inactive", None, "Cancelled by System:", client_id=1)
    assert (derive_order(10.0, published).state, derive_order(10.0, published).reported) == ("UNCONFIRMED", 5.0)
    assert len({key_of(event) for event in published}) == len(published)  # each of them is recorded


def test_a_completed_order_reports_fills_after_its_end_was_recorded():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 202, "Order Canceled - reason:")
    tracker.put_aside(tracker.unexplained_inactive_orders())
    assert tracker.is_quiet()
    for _ in range(2):
        tracker.on_completed(77, "r-SPY-BUY", "Cancelled", 4.0, "Cancelled by Trader", client_id=1)
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "UNCONFIRMED"


def test_a_completed_order_that_reports_nothing_new_is_not_reported_again():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    tracker.on_status(12, 77, "Cancelled", 4.0, 6.0, "", ours=True)
    count = len(published)
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", 4.0, "Cancelled by Trader", client_id=1)
    assert len(published) == count


def adopted_from_client_1():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=12, client_id=1, attempt=1)
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [sent]), ids_hold=False)
    return tracker, published, sent


@pytest.mark.parametrize(
    ("filled", "state"), [(0.0, "CANCELLED"), (4.0, "UNCONFIRMED"), (None, "SENDING"), (10.0, "UNCONFIRMED")]
)
def test_another_clients_order_has_ended_only_if_it_is_known_to_be_unfilled(filled, state):
    tracker, published, sent = adopted_from_client_1()
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", filled, "Cancelled by Trader", client_id=8)
    assert derive_order(10.0, [sent, *published]).state == state


def test_our_own_completed_order_without_a_filled_quantity_has_not_provably_ended():
    tracker, published, sent = adopted_from_client_1()
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", None, "Cancelled by Trader", client_id=1)
    assert derive_order(10.0, [sent, *published]).state == "UNCONFIRMED"


def test_an_impossible_filled_quantity_proves_no_end():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 1e12, 0.0, "", ours=True)
    assert derive_order(10.0, published).state == "UNCONFIRMED"
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", 0.0, "Cancelled by Trader", client_id=1)
    assert derive_order(10.0, published).state == "CANCELLED"


# -- an order that was reported before its run was known -------------------------------------------------------

SENT_12 = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=12, client_id=1, attempt=1)


def met_and_adopted(*events, ids_hold=True):
    """An order that TWS shows as the connection is made, filled in part, and whose run is then resumed."""
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *causes: published.extend(causes))
    tracker.on_open_order(12, 1, 77, "r-SPY-BUY", "Submitted", 10.0, ours=True)
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert published == []
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, events), ids_hold=ids_hold)
    return tracker, published


def test_commissions_of_executions_reported_before_the_resume_are_recorded():
    tracker, published = met_and_adopted(SENT_12)
    assert not tracker.is_quiet()
    for _ in range(2):
        tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    assert tracker.find("r-SPY-BUY").events.uncharged == {EXECUTION.exec_id}
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert [event.kind for event in published] == ["execution", "commission"]
    assert tracker.find("r-SPY-BUY").events.uncharged == set()
    state = derive_order(10.0, published)
    assert (state.filled, state.commission) == (4.0, 1.0)


def test_a_commission_between_the_resume_and_the_answer_of_tws_is_not_lost():
    tracker, published = met_and_adopted(SENT_12)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    assert [event.kind for event in published] == ["execution", "commission"]


def test_an_earlier_order_is_matched_by_permanent_id_when_its_run_is_resumed():
    tracker, published = met_and_adopted(SENT_12, ids_hold=False)
    tracker.on_status(0, 77, "Cancelled", 4.0, 6.0, "", ours=False)
    assert [event.status for event in published] == ["CANCELLED"]


def test_an_earlier_order_is_matched_by_its_shown_id_even_after_an_id_reset():
    tracker, published = met_and_adopted(SENT_12._replace(order_id=80), ids_hold=False)
    assert tracker.on_message(12, 202, "Order Canceled - reason:")
    assert [event.status for event in published] == ["CANCELLED"]


def test_an_order_never_sent_by_its_record_has_the_ids_shown_by_tws():
    tracker, published = met_and_adopted(OrderEvent("intent", "r", "r-SPY-BUY", NOON), ids_hold=False)
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    assert [(event.order_id, event.client_id) for event in published] == [(12, 1)]


def test_a_commission_belongs_to_the_order_of_its_recorded_execution():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=4, client_id=1, attempt=1)
    fill = OrderEvent("execution", "r", "r-SPY-BUY", NOON, exec_id=EXECUTION.exec_id, quantity=10.0, price=400.1)
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [sent, fill]), ids_hold=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    (event,) = published
    assert (event.kind, event.client_order_id, event.commission) == ("commission", "r-SPY-BUY", 1.0)


def test_a_price_in_the_other_unit_is_recorded_with_the_number_that_tws_reported():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    tracker.reserve(replace(TICKET, reference_price=42.95), 12, 1, magnifier=100.0)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    tracker.on_execution(EXECUTION._replace(price=4294.0), ours=True)
    (event,) = published
    assert (event.price, event.code) == (42.94, "price_unit_inferred")
    assert "TWS reports a price of 4294.0" in event.message


@pytest.mark.parametrize(
    ("is_resend", "code", "kind"),
    [(False, 103, "rejected"), (True, 103, "message"), (False, 201, "rejected"), (True, 201, "rejected")],
)
def test_an_id_that_was_used_before_rejects_a_new_order_and_not_one_that_is_sent_again(is_resend, code, kind):
    tracker, published = tracker_with_order()
    if is_resend:
        tracker.allow_again("r-SPY-BUY")
        tracker.mark_sent(tracker.find("r-SPY-BUY"))
    assert tracker.on_message(12, code, "Duplicate order id")
    assert [event.kind for event in published] == [kind]


def test_only_an_unknown_code_about_an_order_that_was_never_accepted_may_be_a_refusal():
    tracker, _ = tracker_with_order()
    assert not tracker.may_be_refused(12)
    assert not tracker.may_be_refused(5)  # of no order
    tracker.on_message(12, 399, "advice")
    assert not tracker.may_be_refused(12)
    tracker.on_message(12, 99_999, "of a later version")
    assert tracker.may_be_refused(12)
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert not tracker.may_be_refused(12)


def test_the_report_of_a_second_order_names_its_permanent_id():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.on_execution(EXECUTION._replace(perm_id=78, exec_id="b.c.01.01"), ours=False)
    (second,) = [event for event in published if event.kind == "duplicate"]
    assert (second.perm_id, second.code) == (78, "duplicate_order")
    assert second.message == "TWS has another order (perm id 78) under this client order id"


@pytest.mark.parametrize(
    ("change", "counts"),
    [({}, True), ({"side": "SLD"}, False), ({"symbol": "SPXL"}, False), ({"account": "DU0000002"}, False)],
)
def test_an_order_of_a_basket_file_has_executions_of_its_own_terms_alone(change, counts):
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    exported = OrderEvent("held_back", code="exported", symbol="SPY", side="BUY", account="DU0000001")
    known = OrderHistory("r-SPY-BUY", 10.0, [OrderEvent("intent"), exported])
    tracker.adopt("r", known, ids_hold=False)
    tracker.on_execution(EXECUTION._replace(**change), ours=False)
    assert [event.kind for event in published] == (["execution"] if counts else [])
    assert tracker.orphans()["order_ref"].tolist() == ([] if counts else ["r-SPY-BUY"])


# -- changes of the limit --------------------------------------------------------------------------------------


def open_order(tracker, limit, *, perm_id=77, word="Submitted", quantity=10.0, ours=True):
    tracker.on_open_order(12, 1, perm_id, "r-SPY-BUY", word, quantity, limit, ours=ours)


def working_order():
    tracker, published = tracker_with_order()
    open_order(tracker, 400.0)
    return tracker, published, tracker.changeable("r-SPY-BUY", 1)


def answers(published):
    kinds = ("modified", "modify_refused")
    return [(event.kind, event.attempt, event.price, event.code) for event in published if event.kind in kinds]


def test_a_change_is_confirmed_once_by_the_open_order_message_with_its_limit():
    tracker, published, order = working_order()
    tracker.note_change(order, 1, 400.5, 400.5)
    open_order(tracker, 400.0)
    assert answers(published) == []
    open_order(tracker, 400.5)
    open_order(tracker, 400.5)
    assert answers(published) == [("modified", 1, 400.5, None)]
    event = published[-1]
    assert (event.client_order_id, event.order_id, event.perm_id, event.occurred_at) == ("r-SPY-BUY", 12, 77, NOON)
    assert [event.kind for event in published] == ["status", "modified"]


def test_a_second_order_under_the_reference_confirms_nothing_and_no_change_is_sent_any_more():
    tracker, published, order = working_order()
    tracker.note_change(order, 1, 400.5, 400.5)
    open_order(tracker, 400.5, perm_id=78, ours=False)
    assert answers(published) == []
    with pytest.raises(OrderNotWorkingError, match="is two orders at TWS"):
        tracker.changeable("r-SPY-BUY", 1)


def test_a_refused_change_leaves_the_order_working():
    tracker, published, order = working_order()
    tracker.note_change(order, 1, 400.5, 400.5)
    assert tracker.awaits_answer(12)
    assert tracker.on_message(12, 110, "off tick")
    assert answers(published) == [("modify_refused", 1, None, "110")]
    assert published[-1].message == "off tick"
    assert not tracker.awaits_answer(12)
    assert not tracker.awaits_answer(13)
    assert tracker.changeable("r-SPY-BUY", 1) is order


def test_after_a_reconnection_the_open_orders_confirm_a_change():
    tracker, published, order = working_order()
    tracker.note_change(order, 1, 400.5, 400.5)
    tracker.connected(13)
    assert tracker.on_message(12, 110, "of something else")
    assert answers(published) == []
    open_order(tracker, 400.5)
    assert answers(published) == [("modified", 1, 400.5, None)]


RECORD = [
    OrderEvent("intent", "r", "r-SPY-BUY", NOON),
    OrderEvent("sending", "r", "r-SPY-BUY", NOON, attempt=1, order_id=12, client_id=1, quantity=8.0),
    OrderEvent("status", "r", "r-SPY-BUY", NOON, status="SUBMITTED", order_id=12, perm_id=77, client_id=1),
    OrderEvent("modifying", "r", "r-SPY-BUY", NOON, attempt=1, price=400.5, quantity=8.0),
]


def adopting(record=RECORD, *, tracker=None, ids_hold=True):
    tracker, published = tracker or OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, record), ids_hold=ids_hold)
    return tracker, published


@pytest.mark.parametrize(
    ("limit", "expected"), [(400.5, [("modified", 1, 400.5, None)]), (400.0, []), (float("nan"), [])]
)
def test_an_unanswered_change_of_the_record_is_confirmed_by_what_tws_shows(limit, expected):
    tracker, published = adopting()
    open_order(tracker, limit, quantity=8.0)
    assert answers(published) == expected


def test_a_confirmed_change_of_the_record_is_not_confirmed_again():
    tracker, published = adopting(
        [*RECORD, OrderEvent("modified", "r", "r-SPY-BUY", NOON, attempt=1, price=400.5)]
    )
    open_order(tracker, 400.5, quantity=8.0)
    assert answers(published) == []


def test_an_adopted_order_may_be_changed_and_keeps_the_quantity_that_was_sent():
    tracker, _ = adopting()
    order = tracker.changeable("r-SPY-BUY", 1)
    assert (order.sent_quantity, order.order_id) == (8.0, 12)


def test_a_change_under_way_is_known_again_to_another_subscriber_of_the_run():
    tracker, _, order = working_order()
    tracker.note_change(order, 1, 400.5, 400.5)
    tracker, published = adopting(tracker=tracker)  # its record has the change, and no answer
    assert tracker.on_message(12, 2102, "still being processed")
    assert answers(published) == [("modify_refused", 1, None, "2102")]


def cancel(tracker, order):
    tracker.request_cancel(order)


NOT_CHANGEABLE = [
    (cancel, "has a cancel requested"),
    (lambda tracker, _: tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True), "has ended"),
    (lambda tracker, _: tracker.on_message(12, 202, "cancelled"), "has ended"),  # its fills are not counted yet
    (lambda tracker, _: tracker.on_status(12, 77, "Filled", 10.0, 0.0, "", ours=True), "has ended"),
    (lambda tracker, _: tracker.on_execution(EXECUTION, ours=True), "has ended"),
    (lambda tracker, _: tracker.on_status(12, 77, "Inactive", 0.0, 10.0, "", ours=True), "may have ended"),
    (lambda tracker, _: tracker.connected(12), "has an id that TWS may have given to another"),
]


@pytest.mark.parametrize(("happens", "why"), NOT_CHANGEABLE)
def test_an_order_that_may_not_work_is_not_changed(happens, why):
    tracker, published, order = working_order()
    happens(tracker, order)
    count = len(published)
    with pytest.raises(OrderNotWorkingError, match=f"r-SPY-BUY {why}.*; its change was not sent"):
        tracker.changeable("r-SPY-BUY", 1)
    assert len(published) == count


def test_an_order_is_changed_by_the_client_that_placed_it_and_after_tws_has_accepted_it():
    tracker, _ = tracker_with_order(sent=False)
    for sent in (False, True):
        with pytest.raises(OrderNotWorkingError, match="is not accepted by TWS yet"):
            tracker.changeable("r-SPY-BUY", 1)
        if not sent:
            tracker.mark_sent(tracker.find("r-SPY-BUY"))
    open_order(tracker, 400.0)
    with pytest.raises(OrderNotWorkingError, match="was placed by client id 1, and only that one"):
        tracker.changeable("r-SPY-BUY", 2)
    with pytest.raises(OrderNotWorkingError, match="r-TLT-BUY is not an order of this broker"):
        tracker.changeable("r-TLT-BUY", 1)


def test_an_order_whose_id_may_be_another_orders_is_not_changed():
    tracker, _ = adopting(ids_hold=False)
    with pytest.raises(OrderNotWorkingError, match="has an id that TWS may have given to another"):
        tracker.changeable("r-SPY-BUY", 1)
