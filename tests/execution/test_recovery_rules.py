"""The table of conclusions: each case is argued from what the TWS documentation promises, not from the code."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_history import IdTrail, OrderHistory
from stocklean_exec.brokers.evidence import Evidence
from stocklean_exec.execution.recovery_rules import decide, trade_date

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
NAME = "run-1-SPY-BUY"
INTENT = OrderEvent("intent", client_id=1, occurred_at=NOW)
SENT = OrderEvent("sending", attempt=1, order_id=7, client_id=1, occurred_at=NOW)
NOT_SENT = OrderEvent("not_sent", attempt=1)
WORKS = OrderEvent("status", status="SUBMITTED", order_id=7, perm_id=9)
FILL_4 = OrderEvent("execution", exec_id="0000e0d5.67fe667b.01.01", quantity=4.0, price=100.0)
FILL_6 = OrderEvent("execution", exec_id="0000e0d5.67fe667c.01.01", quantity=6.0, price=100.0)
MISSING = OrderEvent("missing", attempt=1)
EXPORTED = OrderEvent("held_back", code="exported", message="in a basket file", occurred_at=NOW)
NOTHING = Evidence(NOW, next_id=7, client_id=1)
OPEN = Evidence(NOW, next_id=8, client_id=1, open_orders=frozenset({NAME}), refs=frozenset({NAME}))

TRAIL = IdTrail(7, 7)

CASES = {
    # written to a basket file, for a person to send
    "in a basket file": ([INTENT, EXPORTED], NOTHING, {"is_cleared": True}, "hold", "in a basket file"),
    "in a basket file, and sent by hand": ([INTENT, EXPORTED], OPEN, {}, "adopt", "client id 0"),
    "sent by hand, and its fills are not reported": (
        [INTENT, EXPORTED, OrderEvent("unknown", message="x")],
        NOTHING,
        {},
        "unknown",
        "client id 0, or with TWS's master client id",
    ),
    # never sent: it cannot be anywhere
    "approved, not sent": ([INTENT], NOTHING, {}, "send", ""),
    "announced, and withdrawn": ([INTENT, SENT, NOT_SENT], NOTHING, {}, "send", ""),
    "not sent from here, and the broker has it": ([INTENT], OPEN, {}, "adopt", ""),
    # not sent by this blotter, and perhaps by another one
    "approved, and a list was not reported": (
        [INTENT],
        Evidence(NOW, next_id=7, client_id=1, is_complete=False, gap="no completed orders"),
        {"trail": TRAIL},
        "hold",
        "did not report everything (no completed orders)",
    ),
    "approved, planned by another client": (
        [INTENT._replace(client_id=2)],
        NOTHING,
        {"trail": TRAIL},
        "hold",
        "resume with client id 2, which planned it: client id 1 does not receive",
    ),
    "approved, and the next id has advanced": (
        [INTENT],
        Evidence(NOW, next_id=8, client_id=1),
        {"trail": TRAIL},
        "hold",
        "(the next one was 8, and 7 by this blotter)",
    ),
    "approved, and the next id had advanced earlier": (
        [INTENT],
        NOTHING,
        {"trail": IdTrail(12, 12, passed_id=12, passed_expected=9)},
        "hold",
        "(the next one was 12, and 9 by this blotter)",
    ),
    "approved today, and ids were reset": (
        [INTENT],
        Evidence(NOW, next_id=1, client_id=1),
        {"trail": TRAIL},
        "send",
        "",
    ),
    "approved yesterday, and the next id is unchanged": (
        [INTENT._replace(occurred_at=YESTERDAY)],
        NOTHING,
        {"trail": TRAIL},
        "send",
        "",
    ),
    "approved yesterday, and ids that were announced were not used": (
        [INTENT._replace(occurred_at=YESTERDAY)],
        NOTHING,
        {"trail": IdTrail(7, 9)},
        "send",
        "",
    ),
    "approved yesterday, and ids were reset": (
        [INTENT._replace(occurred_at=YESTERDAY)],
        Evidence(NOW, next_id=6, client_id=1),
        {"trail": TRAIL},
        "hold",
        "reset its order ids (the next one is 6, and was 7)",
    ),
    "approved yesterday, and no ids are on record": (
        [INTENT._replace(occurred_at=YESTERDAY)],
        NOTHING,
        {},
        "hold",
        "no order ids are on record",
    ),
    "approved yesterday, and TWS does not report its next id": (
        [INTENT._replace(occurred_at=YESTERDAY)],
        Evidence(NOW, client_id=1),
        {"trail": TRAIL},
        "hold",
        "no order ids are on record",
    ),
    "approved today, by a version that recorded no client": (
        [INTENT._replace(client_id=None)],
        NOTHING,
        {},
        "send",
        "",
    ),
    "approved today by such a version, and the next id has advanced": (
        [INTENT._replace(client_id=None)],
        Evidence(NOW, next_id=9, client_id=1),
        {"trail": IdTrail(7, 8)},
        "hold",
        "has passed order ids",
    ),
    "approved yesterday by such a version": (
        [INTENT._replace(client_id=None, occurred_at=YESTERDAY)],
        NOTHING,
        {"trail": TRAIL},
        "hold",
        "earlier day",
    ),
    "approved, of no known day": ([INTENT._replace(occurred_at=None)], NOTHING, {}, "hold", "earlier day"),
    "approved, of a broker that forgets nothing": (
        [INTENT._replace(client_id=2, occurred_at=YESTERDAY)],
        Evidence(NOW, forgets=False),
        {},
        "send",
        "",
    ),
    "approved, and only this worker can have sent it": (
        [INTENT._replace(client_id=2, occurred_at=YESTERDAY)],
        Evidence(NOW, next_id=50, client_id=1, is_complete=False),
        {"trail": TRAIL, "is_cleared": True},
        "send",
        "",
    ),
    "planned by this worker, and the broker has it": ([INTENT], OPEN, {"is_cleared": True}, "adopt", ""),
    # sent, and unknown to the broker
    "its id is the next one": ([INTENT, SENT], NOTHING, {}, "resend", "order id 7 is not used"),
    "its id is above the next one": (
        [INTENT, SENT],
        Evidence(NOW, next_id=5, client_id=1),
        {"highest_seen_id": 4, "highest_next_id": 5},
        "resend",
        "",
    ),
    "its id is used up": ([INTENT, SENT], Evidence(NOW, next_id=8, client_id=1), {}, "unknown", "used up"),
    "its own id was seen, and a later one is next": (
        [INTENT, SENT],
        Evidence(NOW, next_id=8, client_id=1),
        {"highest_seen_id": 7},
        "unknown",
        "order id 7 is used up (the next one is 8)",
    ),
    "a later id was accepted": ([INTENT, SENT], NOTHING, {"highest_seen_id": 9}, "unknown", ""),
    "a later id is open": (
        [INTENT, SENT],
        Evidence(NOW, next_id=9, client_id=1, highest_open_id=8),
        {},
        "unknown",
        "order id 8 was accepted after its id 7",
    ),
    "ids were reset": (
        [INTENT, SENT],
        Evidence(NOW, next_id=1, client_id=1),
        {"highest_next_id": 7},
        "unknown",
        "has reset its order ids",
    ),
    "ids were reset below one that was seen": (
        [INTENT, SENT],
        Evidence(NOW, next_id=5, client_id=1),
        {"highest_seen_id": 5},
        "unknown",
        "has reset its order ids",
    ),
    "of yesterday": ([INTENT, SENT._replace(occurred_at=YESTERDAY)], NOTHING, {}, "unknown", "earlier day"),
    "of no known day": ([INTENT, SENT._replace(occurred_at=None)], NOTHING, {}, "unknown", "earlier day"),
    "of another client": ([INTENT, SENT._replace(client_id=2)], NOTHING, {}, "unknown", "client id 2"),
    "without an order id": ([INTENT, SENT._replace(order_id=None)], NOTHING, {}, "unknown", "no order id"),
    "a list was not reported": (
        [INTENT, SENT],
        Evidence(NOW, next_id=7, client_id=1, is_complete=False, gap="no completed orders"),
        {},
        "unknown",
        "no completed orders",
    ),
    "a broker that forgets nothing": ([INTENT, SENT], Evidence(NOW, forgets=False), {}, "resend", ""),
    "unknown before, and still nothing": (
        [INTENT, SENT, OrderEvent("unknown", attempt=1)],
        Evidence(NOW, next_id=8, client_id=1),
        {},
        "unknown",
        "used up",
    ),
    "sent twice: the second one counts": (
        [INTENT, SENT, SENT._replace(attempt=2, order_id=12)],
        Evidence(NOW, next_id=12, client_id=1),
        {"highest_next_id": 12},
        "resend",
        "order id 12",
    ),
    # the broker has shown it
    "open": ([INTENT, SENT, WORKS], OPEN, {}, "leave", ""),
    "filled in part and open": ([INTENT, SENT, WORKS, FILL_4], OPEN, {}, "leave", ""),
    "gone without an end": ([INTENT, SENT, WORKS], NOTHING, {}, "missing", "known before, and now neither"),
    "gone, filled in part": ([INTENT, SENT, WORKS, FILL_4], NOTHING, {}, "missing", ""),
    "gone, of yesterday": (
        [INTENT, SENT._replace(occurred_at=YESTERDAY), WORKS],
        NOTHING,
        {},
        "missing",
        "earlier day",
    ),
    "reported filled, no executions": (
        [INTENT, SENT, OrderEvent("status", status="FILLED")],
        NOTHING,
        {},
        "missing",
        "the executions on record do not cover its quantity; resume again, or look it up in TWS",
    ),
    "reported filled, and a part is recorded": (
        [INTENT, SENT._replace(client_id=2), FILL_4, OrderEvent("status", status="FILLED")],
        Evidence(NOW, next_id=7, client_id=1, refs=frozenset({NAME})),
        {},
        "missing",
        "do not cover its quantity; resume with client id 2, which placed it",
    ),
    "reported filled, and the fill was withdrawn": (
        [
            INTENT,
            SENT,
            FILL_4._replace(exec_id="0000e0d5.67fe667b.01.02", quantity=0.0),
            OrderEvent("status", status="FILLED"),
        ],
        Evidence(NOW, next_id=7, client_id=1, refs=frozenset({NAME})),
        {},
        "missing",
        "do not cover its quantity; resume again, or look it up in TWS",
    ),
    "reported filled, and never sent by this blotter": (
        [INTENT, OrderEvent("status", status="FILLED")],
        Evidence(NOW, next_id=7, client_id=2, refs=frozenset({NAME})),
        {},
        "missing",
        "resume with client id 1, which planned it",
    ),
    "gone, sent by this client": ([INTENT, SENT, WORKS], NOTHING, {}, "missing", "the executions of 2026-11-23"),
    "perhaps gone, but a list was not reported": (
        [INTENT, SENT, WORKS],
        Evidence(NOW, next_id=8, client_id=1, is_complete=False),
        {},
        "leave",
        "",
    ),
    "missing, and reported again": ([INTENT, SENT, WORKS, MISSING], OPEN, {}, "found", ""),
    "missing, and still so": ([INTENT, SENT, WORKS, MISSING], NOTHING, {}, "leave", ""),
    # ended, and not all that was filled is on record
    "cancelled with more filled than is on record": (
        [INTENT, SENT, OrderEvent("status", status="CANCELLED", filled=4.0)],
        NOTHING,
        {},
        "await",
        "",
    ),
    "gone, and completed without a known outcome": (
        [INTENT, SENT._replace(client_id=2), WORKS],
        Evidence(NOW, next_id=7, client_id=1, refs=frozenset({NAME})),
        {},
        "missing",
        "TWS lists it without its outcome; resume with client id 2, which placed it",
    ),
    # ended, or never meant to be sent
    "filled": ([INTENT, SENT, FILL_4, FILL_6], NOTHING, {}, "leave", ""),
    "cancelled": ([INTENT, SENT, OrderEvent("status", status="CANCELLED", filled=0.0)], NOTHING, {}, "leave", ""),
    "rejected": ([INTENT, SENT, OrderEvent("rejected", code="201")], NOTHING, {}, "leave", ""),
    "refused": ([OrderEvent("refused", code="limit")], NOTHING, {}, "leave", ""),
    "not approved": ([OrderEvent("not_approved")], NOTHING, {}, "leave", ""),
    "decided": ([INTENT, SENT, OrderEvent("resolved", status="CANCELLED")], NOTHING, {}, "leave", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_the_conclusion_for(name):
    events, evidence, seen, action, why = CASES[name]
    found = decide(OrderHistory(NAME, 10.0, events), evidence, **seen)
    assert found.action == action, found
    assert why in found.why


def test_only_an_order_that_was_never_reported_is_sent():
    """Whatever the evidence, an order that the broker has ever reported is not sent again."""
    for events, *_ in CASES.values():
        order = OrderHistory(NAME, 10.0, events)
        if order.is_seen:
            for evidence in (NOTHING, OPEN, Evidence(NOW, forgets=False), Evidence(NOW, next_id=1, client_id=1)):
                assert decide(order, evidence).action not in ("send", "resend"), events


def test_the_trade_date_is_that_of_new_york():
    assert trade_date(datetime(2026, 11, 24, 4, 59, tzinfo=UTC)).isoformat() == "2026-11-23"
    assert trade_date(datetime(2026, 11, 24, 5, 0, tzinfo=UTC)).isoformat() == "2026-11-24"
    assert trade_date(datetime(2026, 7, 2, 4, 0, tzinfo=UTC)).isoformat() == "2026-07-02"


def test_a_missing_order_is_explained_in_one_sentence():
    why = decide(OrderHistory(NAME, 10.0, [INTENT, SENT, WORKS]), NOTHING).why
    assert why == (
        "known before, and now neither among the open and completed orders nor among the executions of "
        "2026-11-23; resume again, or look it up in TWS and decide with blotter.resolve(...)"
    )
    filled = [INTENT, SENT._replace(occurred_at=YESTERDAY), OrderEvent("status", status="FILLED")]
    assert decide(OrderHistory(NAME, 10.0, filled), NOTHING).why == (
        "the broker reports it filled, but the executions on record do not cover its quantity; it is of an "
        "earlier day, which TWS no longer reports; resume again, or look it up in TWS and decide with "
        "blotter.resolve(...)"
    )


def test_seen_ids_are_those_reported_to_this_client():
    shown = [WORKS._replace(client_id=1), FILL_4._replace(order_id=8, client_id=1)]
    others = [WORKS._replace(client_id=2, order_id=30), WORKS._replace(client_id=1, order_id=None)]
    sent_on = SENT._replace(attempt=2, order_id=12)  # announced here; the broker has not shown it
    assert OrderHistory(NAME, 10.0, [INTENT, SENT, *shown, *others, sent_on]).seen_ids(1) == [7, 8]


def test_an_order_that_only_the_broker_has_or_may_have_is_adopted():
    assert OrderHistory(NAME, 10.0, [INTENT, WORKS]).is_adopted
    assert OrderHistory(NAME, 10.0, [INTENT, OrderEvent("unknown", attempt=1)]).is_adopted
    assert OrderHistory(NAME, 10.0, [INTENT, SENT, NOT_SENT, WORKS]).is_adopted
    assert not OrderHistory(NAME, 10.0, [INTENT]).is_adopted
    assert not OrderHistory(NAME, 10.0, [INTENT, SENT, WORKS]).is_adopted


@given(
    events=st.lists(
        st.sampled_from(
            [
                INTENT,
                WORKS,
                FILL_4,
                FILL_6,
                MISSING,
                OrderEvent("unknown", message="x"),
                OrderEvent("found", attempt=1),
                OrderEvent("rejected", code="201"),
                OrderEvent("cancel_requested"),
                OrderEvent("status", status="CANCELLED", filled=0.0),
            ]
        )
    ),
    evidence=st.builds(
        Evidence,
        st.sampled_from([NOW, NOW + timedelta(days=1)]),
        open_orders=st.sampled_from([frozenset(), frozenset({NAME})]),
        refs=st.sampled_from([frozenset(), frozenset({NAME})]),
        next_id=st.sampled_from([None, 1, 7]),
        client_id=st.sampled_from([None, 0, 1]),
        is_complete=st.booleans(),
        forgets=st.booleans(),
    ),
    is_cleared=st.booleans(),
)
def test_what_is_in_a_basket_file_is_never_sent(events, evidence, is_cleared):
    order = OrderHistory(NAME, 10.0, [INTENT, EXPORTED, *events])
    assert decide(order, evidence, trail=TRAIL, is_cleared=is_cleared).action not in {"send", "resend"}
