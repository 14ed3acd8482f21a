"""Whose order a message is about: by id, reference, permanent id, across connections and repetitions."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.blotter.events import OrderEvent, key_of
from stocklean_exec.blotter.order_history import OrderHistory
from stocklean_exec.blotter.order_state import OrderAccumulator, derive_order
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.ib.translate import TwsExecution
from stocklean_exec.errors import BlotterClosedError

NOON = datetime(2022, 12, 29, 17, tzinfo=UTC)
TICKET = Ticket(
    "r-SPY-BUY", "r", "SPY", "BUY", 10.0, "MKT", float("nan"), "DAY", "USD", "STK", "SMART", "DU0000001"
)
EXECUTION = TwsExecution(
    "0000e0d5.67fe667b.01.01", NOON, "DU0000001", "ARCA", "BOT", 10.0, 400.1, 77, 1, 12, "r-SPY-BUY", "SPY", 2
)


def tracker_with_order(*, sent=True):
    tracker, published = OrderTracker(lambda: NOON), []
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


def test_an_execution_is_matched_by_its_reference_where_the_id_says_nothing():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(order_id=0, client_id=0), ours=False)
    assert [event.kind for event in published] == ["execution"]


def test_an_execution_is_matched_by_permanent_id_once_that_is_known():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.on_execution(EXECUTION._replace(order_id=0, order_ref=""), ours=False)
    assert [event.kind for event in published] == ["status", "execution"]


def test_an_id_whose_reference_is_another_orders_is_not_believed():
    tracker, published = tracker_with_order()
    tracker.on_execution(EXECUTION._replace(order_ref="somebody-else"), ours=True)
    assert published == []
    assert tracker.orphans()["order_ref"].tolist() == ["somebody-else"]


def test_an_id_that_was_only_planned_means_nothing_yet():
    tracker, published = tracker_with_order(sent=False)
    assert not tracker.on_message(12, 201, "rejected")
    assert published == []


@pytest.mark.parametrize("next_id", [1, 12])  # below the id that was used, and that id itself
def test_after_the_ids_were_started_again_only_names_count(next_id):
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.connected(next_id)
    assert not tracker.on_message(12, 202, "of somebody else")
    tracker.on_status(12, 5, "Cancelled", 0.0, 10.0, "", ours=True)
    assert len(published) == 1
    tracker.on_status(0, 77, "Cancelled", 0.0, 10.0, "", ours=False)
    assert published[-1].status == "CANCELLED"


def test_after_an_ordinary_reconnection_the_ids_still_count():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    tracker.connected(13)
    assert tracker.on_message(12, 202, "cancelled")
    assert published[-1].status == "CANCELLED"


def test_an_order_works_until_it_is_filled_and_charged():
    tracker, _ = tracker_with_order()
    assert not tracker.is_quiet()
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.working() == []
    assert not tracker.is_quiet()  # the commission is missing
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()


@pytest.mark.parametrize("end", [(202, "cancelled"), (201, "rejected"), (110, "off tick")])
def test_an_order_has_ended_when_a_message_says_so(end):
    tracker, _ = tracker_with_order()
    tracker.on_message(12, *end)
    assert tracker.is_quiet()
    assert tracker.working() == []


def test_an_inactive_order_rests_and_may_come_back():
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


def test_an_order_of_an_earlier_session_is_met_and_can_be_found():
    tracker = OrderTracker(lambda: NOON)
    tracker.on_open_order(9, 1, 70, "old-SPY-BUY", "Submitted", 5.0, ours=True)
    tracker.on_open_order(9, 2, 71, "other-SPY-BUY", "Submitted", 5.0, ours=False)
    assert tracker.find("old-SPY-BUY").order_id == 9
    assert tracker.find("other-SPY-BUY") is None
    assert [order.client_order_id for order in tracker.working()] == ["old-SPY-BUY"]
    orphans = tracker.orphans()
    assert orphans["order_ref"].tolist() == ["old-SPY-BUY", "other-SPY-BUY"]
    assert orphans[["order_id", "client_id", "perm_id"]].to_numpy().tolist() == [[9, 1, 70], [9, 2, 71]]


def test_what_comes_in_one_piece_is_reported_in_one_call():
    tracker, calls = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: calls.append(len(events)))
    tracker.reserve(TICKET, 12, 1)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    with tracker.batch():
        tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
        tracker.on_execution(EXECUTION, ours=True)
        tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert calls == [3]


def test_facts_for_a_record_that_is_closed_are_orphans():
    complaints = []
    tracker = OrderTracker(lambda: NOON, lambda what, _: complaints.append(what))

    def closed(*_):
        raise BlotterClosedError("the blotter is closed")

    tracker.follow("r", closed)
    tracker.reserve(TICKET, 12, 1)
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.orphans()["exec_id"].tolist() == [EXECUTION.exec_id]
    assert complaints == []


def test_a_record_that_fails_is_complained_about_and_loses_nothing():
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


@given(MESSAGES, st.permutations(COMPLETE))
def test_in_whatever_order_and_however_often_it_is_reported_the_end_is_the_same(noise, reports):
    tracker, published = tracker_with_order()
    for message in [*noise, *reports, *noise]:
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


@given(ANY_MESSAGES)
def test_after_every_message_the_tracker_and_the_record_agree_on_whether_the_order_has_ended(messages):
    tracker, published = tracker_with_order()
    for message in messages:
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
        assert (tracker.working() == []) == derive_order(10.0, published).has_ended


def test_a_decision_of_ours_on_record_does_not_end_an_order_that_may_still_work_at_tws():
    tracker = OrderTracker(lambda: NOON)
    decision = OrderEvent("resolved", "r", "r-SPY-BUY", NOON, status="CANCELLED", message="looked it up")
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [SENT_12, decision]), ids_hold=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]


def test_a_quantity_of_a_met_order_that_is_no_value_does_not_stop_the_reports():
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


def test_tickets_of_one_tracker_keep_their_ids_apart():
    tracker, _ = tracker_with_order()
    tracker.reserve(replace(TICKET, client_order_id="r-TLT-BUY"), 13, 1)
    assert (tracker.find("r-SPY-BUY").order_id, tracker.find("r-TLT-BUY").order_id) == (12, 13)


# -- the end of an order, and signs of life after it ---------------------------------------------------------


def test_an_order_that_works_after_all_is_working_again():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 110, "off tick")
    assert tracker.is_quiet()
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "WORKING"


def test_a_rejection_for_good_is_not_taken_back_by_a_late_status():
    tracker, _ = tracker_with_order()
    tracker.on_message(12, 201, "rejected")
    tracker.on_status(12, 77, "Submitted", 0.0, 10.0, "", ours=True)
    assert tracker.working() == []


def test_a_refusal_behind_the_cancel_that_shows_it_is_a_refusal():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    tracker.on_message(12, 203, "not allowed for this account")
    state = derive_order(10.0, published)
    assert (state.status, state.reason) == ("REJECTED", "203")


def test_a_busted_fill_makes_an_order_work_again():
    tracker, _ = tracker_with_order()
    tracker.on_execution(EXECUTION, ours=True)
    assert tracker.working() == []
    tracker.on_execution(EXECUTION._replace(exec_id=EXECUTION.exec_id[:-1] + "2", shares=0.0), ours=True)
    assert len(tracker.working()) == 1


def test_an_order_called_filled_is_waited_for_until_its_executions_come_whatever_else_is_said():
    tracker, _ = tracker_with_order()
    tracker.on_status(12, 77, "Filled", 10.0, 0.0, "", ours=True)
    tracker.on_status(12, 77, "Cancelled", 0.0, 10.0, "", ours=True)
    assert not tracker.is_quiet()
    tracker.on_execution(EXECUTION, ours=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()


def test_a_second_order_under_one_reference_is_reported_once_and_its_shares_count():
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


def test_an_adopted_order_is_known_by_reference_and_goes_out_again_with_its_id():
    tracker, published = OrderTracker(lambda: NOON), []
    tracker.follow("r", lambda *events: published.extend(events))
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=12, client_id=1, attempt=1)
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [sent]), ids_hold=True)
    assert tracker.allow_again("r-SPY-BUY") == 12
    tracker.mark_sent(tracker.find("r-SPY-BUY"))
    tracker.on_message(12, 103, "Duplicate order id")  # the first one has arrived after all
    assert [(event.kind, event.code) for event in published] == [("message", "103")]
    assert len(tracker.working()) == 1


def test_an_adopted_order_remembers_what_is_on_record_of_it():
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


def test_a_refusal_on_record_of_an_order_that_was_seen_to_live_does_not_end_it():
    tracker = OrderTracker(lambda: NOON)
    lives = OrderEvent("status", "r", "r-SPY-BUY", NOON, status="SUBMITTED", order_id=12, perm_id=77)
    refusal = OrderEvent("rejected", "r", "r-SPY-BUY", NOON, status="UNSEEN", code="110")
    tracker.adopt("r", OrderHistory("r-SPY-BUY", 10.0, [SENT_12, lives, refusal]), ids_hold=True)
    assert [order.client_order_id for order in tracker.working()] == ["r-SPY-BUY"]


# -- an order that ended with more filled than its executions say -----------------------------------------------


def test_an_order_that_ended_with_untold_fills_is_waited_for_until_their_executions_come():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 4.0, 6.0, "", ours=True)
    assert not tracker.is_quiet()
    assert derive_order(10.0, published).state == "UNCONFIRMED"
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    assert tracker.is_quiet()
    assert derive_order(10.0, published).state == "CANCELLED"


def test_fills_that_were_withdrawn_are_not_waited_for():
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


def test_a_completed_order_reports_of_fills_though_its_end_was_known():
    tracker, published = tracker_with_order()
    tracker.on_message(12, 202, "Order Canceled - reason:")
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
def test_another_clients_order_has_ended_only_if_it_is_known_that_nothing_of_it_was_filled(filled, state):
    tracker, published, sent = adopted_from_client_1()
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", filled, "Cancelled by Trader", client_id=8)
    assert derive_order(10.0, [sent, *published]).state == state


def test_our_own_completed_order_has_ended_also_where_tws_does_not_count_its_fills():
    tracker, published, sent = adopted_from_client_1()
    tracker.on_completed(77, "r-SPY-BUY", "Cancelled", None, "Cancelled by Trader", client_id=1)
    assert derive_order(10.0, [sent, *published]).state == "CANCELLED"


def test_a_number_of_filled_shares_that_cannot_be_keeps_nobody_waiting():
    tracker, published = tracker_with_order()
    tracker.on_status(12, 77, "Cancelled", 1e12, 0.0, "", ours=True)
    assert tracker.is_quiet()
    assert derive_order(10.0, published).state == "CANCELLED"


# -- an order that was met before its run was known ------------------------------------------------------------

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


def test_commissions_are_recorded_of_executions_that_were_reported_before_their_run_was_resumed():
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


def test_a_commission_that_comes_between_the_resume_and_the_answer_of_tws_is_not_lost():
    tracker, published = met_and_adopted(SENT_12)
    tracker.on_commission(EXECUTION.exec_id, 1.0, "USD")
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    assert [event.kind for event in published] == ["execution", "commission"]


def test_an_order_that_was_met_is_known_by_its_permanent_id_when_its_run_is_resumed():
    tracker, published = met_and_adopted(SENT_12, ids_hold=False)
    tracker.on_status(0, 77, "Cancelled", 4.0, 6.0, "", ours=False)
    assert [event.status for event in published] == ["CANCELLED"]


def test_an_order_that_was_met_is_known_by_the_id_that_tws_shows_it_with_though_ids_began_again():
    tracker, published = met_and_adopted(SENT_12._replace(order_id=80), ids_hold=False)
    assert tracker.on_message(12, 202, "Order Canceled - reason:")
    assert [event.status for event in published] == ["CANCELLED"]


def test_an_order_that_its_record_never_sent_has_the_ids_that_tws_shows_it_with():
    tracker, published = met_and_adopted(OrderEvent("intent", "r", "r-SPY-BUY", NOON), ids_hold=False)
    tracker.on_execution(EXECUTION._replace(shares=4.0), ours=True)
    assert [(event.order_id, event.client_id) for event in published] == [(12, 1)]
