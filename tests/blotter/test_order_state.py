"""States from events: hand-computed histories, and the blotter's SQL compared with the same rules in Python."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import ENDED, STATUS_OF_STATE, derive_order, derive_run_status
from stocklean_exec.schema.tables import ORDER_STATUSES, RUN_STATUSES
from tests.blotter.recorded_plans import header_of, known, plan_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIRST, SECOND = "0000e0d5.67fe667b.01.01", "0000e0d5.67fe667c.01.01"


def execution(exec_id, quantity, price, **more):
    return OrderEvent("execution", exec_id=exec_id, quantity=quantity, price=price, **more)


def commission(exec_id, amount):
    return OrderEvent("commission", exec_id=exec_id, commission=amount)


FILL_4, FILL_6 = execution(FIRST, 4, 100.0), execution(SECOND, 6, 110.0)


@pytest.fixture(scope="module")
def shared():
    with sx.open_blotter() as blotter:
        yield blotter


def record(blotter, events, asked):
    """Record a new run of orders for ``asked`` and the events about it, one commit each; give its id.

    The events are about orders 0, 1, ... of run ``r``, the first where they do not say.
    """
    run_id = f"run{len(blotter.runs())}"
    blotter.record_plan(plan_of(run_id, asked), header_of(run_id), [])
    for event in events:
        number = event.client_order_id or ("" if event.kind.startswith("run_") else "0")
        exec_id = None if event.exec_id is None else run_id + event.exec_id
        name = f"{run_id}-{number}" if number else None
        blotter.record([event._replace(run_id=run_id, client_order_id=name, exec_id=exec_id)]).result()
    blotter.record([]).result()
    return run_id


def through_sql(blotter, quantity, events):
    """Record one order and its events, and read its row."""
    return blotter.orders(record(blotter, events, [quantity])).iloc[0]


# -- one order ---------------------------------------------------------------------------------------------


def test_a_fill_of_4_at_100_leaves_an_order_of_10_partial_at_100():
    state = derive_order(10, [FILL_4])
    assert (state.status, state.filled, state.avg_fill_price) == ("PARTIAL", 4.0, 100.0)


def test_6_more_at_110_fill_the_order_at_106():
    state = derive_order(10, [FILL_4, FILL_6])
    assert (state.status, state.filled, state.avg_fill_price) == ("FILLED", 10.0, 106.0)  # (400 + 660) / 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "reported",
    [[FILL_4, FILL_6], [FILL_6, FILL_4], [FILL_4, FILL_4, FILL_6, FILL_6], [FILL_6, FILL_4, FILL_6, FILL_4]],
)
def test_sql_has_filled_10_at_106_whatever_the_sequence_of_the_two_fills(reported, shared):
    row = through_sql(shared, 10, reported)
    assert (row["status"], row["filled_quantity"], row["avg_fill_price"]) == ("FILLED", 10.0, 106.0)


@pytest.mark.slow
def test_sql_has_partial_4_at_100_after_the_first_fill(shared):
    row = through_sql(shared, 10, [FILL_4])
    assert (row["status"], row["filled_quantity"], row["avg_fill_price"]) == ("PARTIAL", 4.0, 100.0)


CORRECTED = execution(FIRST[:-1] + "2", 5, 101.0)
BUSTED = execution(FIRST[:-1] + "3", 0, 0.0)
SENT = OrderEvent("sending", attempt=1, occurred_at=NOON)
CANCELLED = OrderEvent("status", status="CANCELLED", filled=0.0)
REJECTED = OrderEvent("rejected", code="201", message="Order rejected")
UNSEEN = OrderEvent("rejected", status="UNSEEN", code="110", message="off tick")
UNKNOWN = OrderEvent("unknown", attempt=1, message="no trace of it at the broker", occurred_at=NOON)
NOT_SENT = OrderEvent("not_sent", attempt=1)
DEAD = OrderEvent("resolved", status="CANCELLED", message="resolved: seen in TWS", occurred_at=NOON)

MISSING = OrderEvent("missing", attempt=1, message="neither open nor completed", occurred_at=NOON)
FOUND = OrderEvent("found", attempt=1)
SUBMITTED = OrderEvent("status", status="SUBMITTED")

HELD = OrderEvent("held_back", message="resume with client id 7, which planned it", occurred_at=NOON)
BY_SEVEN = SENT._replace(client_id=7)
CANCELLED_AT_4 = OrderEvent("status", status="CANCELLED", filled=4.0, remaining=6.0)
RESUME_7 = "; resume with client id 7, which placed it"
LACKS_4 = "ended at the broker with 4 shares filled, 0 of them on record"
UNCOUNTED = "ended at the broker, which has not reported how many shares were filled"
FILLED_AT_4 = OrderEvent("status", status="FILLED", filled=4.0, remaining=0.0)
COMPLETED_AT_0 = OrderEvent("status", status="FILLED", filled=0.0)
TOMORROW = OrderEvent("message", status="WAITING", code="2111", message="tomorrow", occurred_at=NOON)
ASIDE = OrderEvent("message", status="WAITING", code="Inactive", message="aside", occurred_at=NOON)
BACK = OrderEvent(
    "message", status="RESUMED", code="Submitted", message="back", occurred_at=NOON + timedelta(seconds=1)
)
CORRECTED_TO_2 = execution(FIRST[:-1] + "2", 2, 100.0)

HISTORIES = {
    "cancelled with four filled, none of it on record": (
        10,
        [BY_SEVEN, SUBMITTED, CANCELLED_AT_4],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + RESUME_7),
    ),
    "cancelled with 4.25 filled, two and a half of them on record": (
        10,
        [BY_SEVEN, SUBMITTED, CANCELLED_AT_4._replace(filled=4.25), execution(FIRST, 2.5, 100.0)],
        (
            "UNCONFIRMED",
            "UNKNOWN",
            2.5,
            100.0,
            None,
            "ended at the broker with 4.25 shares filled, 2.5 of them on record" + RESUME_7,
        ),
    ),
    "cancelled, and nothing says how many shares were filled": (
        10,
        [BY_SEVEN, SUBMITTED, OrderEvent("status", status="CANCELLED", code="202")],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, UNCOUNTED + RESUME_7),
    ),
    "cancelled by code, and by a status that counts what was filled": (
        10,
        [BY_SEVEN, SUBMITTED, OrderEvent("status", status="CANCELLED", code="202"), CANCELLED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "202"),
    ),
    "cancelled with no count, and a part is on record": (
        10,
        [BY_SEVEN, FILL_4, OrderEvent("status", status="CANCELLED", code="202")],
        ("UNCONFIRMED", "UNKNOWN", 4.0, 100.0, None, UNCOUNTED + RESUME_7),
    ),
    "called filled with four of ten shares, all on record: it was made smaller": (
        10,
        [BY_SEVEN, SUBMITTED, FILLED_AT_4, FILL_4],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "quantity_reduced"),
    ),
    "called filled with four of ten shares, three of them on record": (
        10,
        [BY_SEVEN, FILLED_AT_4, execution(FIRST, 3, 100.0)],
        ("PARTIAL", "PARTIAL", 3.0, 100.0, None, None),
    ),
    "called filled with four of ten shares, and six remain": (
        10,
        [BY_SEVEN, FILLED_AT_4._replace(remaining=6.0), FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "called filled, nothing says with how many shares": (
        10,
        [BY_SEVEN, OrderEvent("status", status="FILLED"), FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "called filled with four of ten shares, and five were reported": (
        10,
        [BY_SEVEN, FILLED_AT_4, OrderEvent("status", status="SUBMITTED", filled=5.0), FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "filled, and its only execution was withdrawn": (
        4,
        [BY_SEVEN, FILLED_AT_4, FILL_4, BUSTED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "executions_corrected"),
    ),
    "filled, and its only execution was corrected to fewer shares": (
        4,
        [BY_SEVEN, FILLED_AT_4, FILL_4, execution(FIRST[:-1] + "2", 3, 100.0)],
        ("CANCELLED", "CANCELLED", 3.0, 100.0, None, "executions_corrected"),
    ),
    "called filled with four of ten shares, and missing before that": (
        10,
        [BY_SEVEN, SUBMITTED, MISSING, FILLED_AT_4, FILL_4],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "quantity_reduced"),
    ),
    "cancelled with four filled, three of them on record": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, execution(FIRST, 3, 100.0)],
        (
            "UNCONFIRMED",
            "UNKNOWN",
            3.0,
            100.0,
            None,
            "ended at the broker with 4 shares filled, 3 of them on record" + RESUME_7,
        ),
    ),
    "cancelled with four filled, and all on record": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, FILL_4],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "cancelled"),
    ),
    "cancelled, and the four were counted by an earlier status": (
        10,
        [BY_SEVEN, OrderEvent("status", status="SUBMITTED", filled=4.0), CANCELLED],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + RESUME_7),
    ),
    "cancelled with four filled, by a client that is not on record": (
        10,
        [CANCELLED_AT_4],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + "; resume with the client id that placed it"),
    ),
    "cancelled with four filled, sent by two clients of which the second did not get through": (
        10,
        [BY_SEVEN, SENT._replace(client_id=8, attempt=2), NOT_SENT._replace(attempt=2), CANCELLED_AT_4],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + RESUME_7),
    ),
    "rejected with four filled, none of it on record": (
        10,
        [BY_SEVEN, REJECTED, OrderEvent("message", code="Cancelled", message="shown as cancelled", filled=4.0)],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + RESUME_7),
    ),
    "cancelled, and the four that were filled are withdrawn": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, FILL_4, execution(FIRST[:-1] + "2", 0, 0.0)],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "cancelled"),
    ),
    "cancelled with four filled, which were corrected to five": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, execution(FIRST[:-1] + "2", 5, 101.0)],
        ("CANCELLED", "CANCELLED", 5.0, 101.0, None, "cancelled"),
    ),
    "cancelled with four filled, none of it on record, and decided by a person": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, DEAD],
        ("RESOLVED", "CANCELLED", 0.0, None, None, DEAD.message),
    ),
    "cancelled with four filled, and filled after all": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, FILL_4, FILL_6],
        ("FILLED", "FILLED", 10.0, 106.0, None, None),
    ),
    "cancelled with four filled, and missing before that": (
        10,
        [BY_SEVEN, SUBMITTED, MISSING, CANCELLED_AT_4],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, LACKS_4 + RESUME_7),
    ),
    "cancelled with an impossible filled quantity": (
        10,
        [BY_SEVEN, CANCELLED_AT_4._replace(filled=1e300)],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, UNCOUNTED + RESUME_7),
    ),
    "works with four filled, none of it on record": (
        10,
        [BY_SEVEN, OrderEvent("status", status="SUBMITTED", filled=4.0)],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "missing": (10, [SENT, SUBMITTED, MISSING], ("MISSING", "UNKNOWN", 0.0, None, None, MISSING.message)),
    "sent, and refused when it was to be sent again": (
        10,
        [OrderEvent("intent"), SENT, OrderEvent("refused", code="rate_cap")],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "announced, withdrawn, and refused": (
        10,
        [OrderEvent("intent"), SENT, NOT_SENT, OrderEvent("refused", code="rate_cap")],
        ("REFUSED", "REJECTED", 0.0, None, None, "rate_cap"),
    ),
    "missing, and found again": (
        10,
        [SENT, SUBMITTED, MISSING, FOUND],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "missing, found, and missing a second time": (
        10,
        [SENT, SUBMITTED, MISSING, FOUND, MISSING._replace(attempt=2, message="gone")],
        ("MISSING", "UNKNOWN", 0.0, None, None, "gone"),
    ),
    "filled in part, and missing": (
        10,
        [SENT, FILL_4, MISSING],
        ("MISSING", "UNKNOWN", 4.0, 100.0, None, MISSING.message),
    ),
    "reported filled without executions, and missing": (
        10,
        [SENT, OrderEvent("status", status="FILLED"), MISSING],
        ("MISSING", "UNKNOWN", 0.0, None, None, MISSING.message),
    ),
    "missing, and filled all the same": (
        10,
        [SENT, MISSING, FILL_4, FILL_6],
        ("FILLED", "FILLED", 10.0, 106.0, None, None),
    ),
    "missing, and cancelled by its broker": (
        10,
        [SENT, SUBMITTED, MISSING, CANCELLED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "cancelled"),
    ),
    "missing, and decided by a person": (
        10,
        [SENT, MISSING, DEAD],
        ("RESOLVED", "CANCELLED", 0.0, None, None, DEAD.message),
    ),
    "held back": (10, [OrderEvent("intent"), HELD], ("INTENT", "NEW", 0.0, None, None, HELD.message)),
    "held back twice": (
        10,
        [HELD._replace(message="later", occurred_at=NOON + timedelta(seconds=1)), OrderEvent("intent"), HELD],
        ("INTENT", "NEW", 0.0, None, None, "later"),
    ),
    "held back, and sent": (
        10,
        [OrderEvent("intent"), HELD, SENT],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "held back, and refused": (
        10,
        [OrderEvent("intent"), HELD, OrderEvent("refused", code="approval_expired")],
        ("REFUSED", "REJECTED", 0.0, None, None, "approval_expired"),
    ),
    "planned": (10, [], ("PLANNED", "NEW", 0.0, None, None, None)),
    "intent": (10, [OrderEvent("intent")], ("INTENT", "NEW", 0.0, None, None, None)),
    "under way": (10, [OrderEvent("intent"), SENT], ("SENDING", "UNKNOWN", 0.0, None, None, None)),
    "an attempt without its number": (
        10,
        [OrderEvent("sending")],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "not sent": (10, [OrderEvent("intent"), SENT, NOT_SENT], ("INTENT", "NEW", 0.0, None, None, None)),
    "a second attempt after one that was not sent": (
        10,
        [OrderEvent("intent"), SENT, NOT_SENT, SENT._replace(attempt=2)],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "unknown": (10, [SENT, UNKNOWN], ("UNKNOWN", "UNKNOWN", 0.0, None, None, UNKNOWN.message)),
    "unknown, then proved not sent": (
        10,
        [OrderEvent("intent"), SENT, UNKNOWN, NOT_SENT],
        ("INTENT", "NEW", 0.0, None, None, None),
    ),
    "unknown, then the broker has it": (
        10,
        [SENT, UNKNOWN, OrderEvent("status", status="SUBMITTED")],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "resolved": (10, [SENT, UNKNOWN, DEAD], ("RESOLVED", "CANCELLED", 0.0, None, None, DEAD.message)),
    "resolved, and filled all the same": (
        10,
        [DEAD, FILL_4, FILL_6],
        ("FILLED", "FILLED", 10.0, 106.0, None, None),
    ),
    "resolved twice": (
        10,
        [DEAD._replace(status="REJECTED", message="later", occurred_at=NOON + timedelta(seconds=1)), DEAD],
        ("RESOLVED", "REJECTED", 0.0, None, None, "later"),
    ),
    "a person cannot decide a fill": (
        10,
        [DEAD._replace(status="FILLED")],
        ("RESOLVED", "UNKNOWN", 0.0, None, None, DEAD.message),
    ),
    "a status never fills": (
        10,
        [OrderEvent("status", status="FILLED", filled=10.0, remaining=0.0)],
        ("AWAITING_EXECUTIONS", "SUBMITTED", 0.0, None, None, None),
    ),
    "filled by status and in part by executions": (
        10,
        [OrderEvent("status", status="FILLED", filled=10.0), FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "a late status does not undo a fill": (
        10,
        [FILL_4, FILL_6, OrderEvent("status", status="SUBMITTED", filled=4.0)],
        ("FILLED", "FILLED", 10.0, 106.0, None, None),
    ),
    "a message changes nothing": (
        10,
        [OrderEvent("intent"), OrderEvent("message", code="10349", message="TIF was set to DAY")],
        ("INTENT", "NEW", 0.0, None, None, None),
    ),
    "cancelled": (10, [CANCELLED], ("CANCELLED", "CANCELLED", 0.0, None, None, "cancelled")),
    "cancelled as requested": (
        10,
        [OrderEvent("cancel_requested", occurred_at=NOON), CANCELLED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "cancel_requested"),
    ),
    "cancelled, with the broker's code reported twice": (
        10,
        [CANCELLED, CANCELLED._replace(code="ioc_unfilled")],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "ioc_unfilled"),
    ),
    "cancelled, then a late fill": (
        10,
        [CANCELLED, FILL_4],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "cancelled"),
    ),
    "cancelled, then filled after all": (
        10,
        [CANCELLED, FILL_4, FILL_6],
        ("FILLED", "FILLED", 10.0, 106.0, None, None),
    ),
    "filled, then busted while no client was connected: only the bust is reported": (
        10,
        [BY_SEVEN, FILLED_AT_4, COMPLETED_AT_0, execution(FIRST[:-1] + "2", 0, 100.0)],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "executions_corrected"),
    ),
    "cancelled, with an execution that was corrected while no client was connected": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, COMPLETED_AT_0._replace(status="CANCELLED", filled=2.0), CORRECTED_TO_2],
        ("CANCELLED", "CANCELLED", 2.0, 100.0, None, "cancelled"),
    ),
    "cancelled, with a correction on record and more in the count of the completed order": (
        10,
        [BY_SEVEN, CANCELLED_AT_4, COMPLETED_AT_0._replace(status="CANCELLED", filled=3.0), CORRECTED_TO_2],
        ("UNCONFIRMED", "UNKNOWN", 2.0, 100.0, None, LACKS_4.replace(" 0 of", " 2 of") + RESUME_7),
    ),
    "cancel requested, not yet done": (
        10,
        [OrderEvent("status", status="SUBMITTED"), OrderEvent("cancel_requested", occurred_at=NOON)],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "rejected": (10, [SENT, REJECTED], ("REJECTED", "REJECTED", 0.0, None, None, "201")),
    "rejected after a part was filled": (
        10,
        [FILL_4, REJECTED, OrderEvent("message", code="Inactive", message="4 shares are filled", filled=4.0)],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "201"),
    ),
    "rejected after a part was filled, and nothing says how much": (
        10,
        [FILL_4, REJECTED],
        ("UNCONFIRMED", "UNKNOWN", 4.0, 100.0, None, UNCOUNTED + "; resume with the client id that placed it"),
    ),
    "rejected, and shown as cancelled": (
        10,
        [SENT, REJECTED, CANCELLED],
        ("REJECTED", "REJECTED", 0.0, None, None, "201"),
    ),
    "live, then rejected": (
        10,
        [OrderEvent("status", status="SUBMITTED"), REJECTED._replace(filled=0.0)],
        ("REJECTED", "REJECTED", 0.0, None, None, "201"),
    ),
    "live, then rejected, and nothing says how much was filled": (
        10,
        [BY_SEVEN, OrderEvent("status", status="SUBMITTED"), REJECTED],
        ("UNCONFIRMED", "UNKNOWN", 0.0, None, None, UNCOUNTED + RESUME_7),
    ),
    "rejected and shown as cancelled after a part was filled": (
        10,
        [FILL_4, REJECTED, CANCELLED],
        ("CANCELLED", "CANCELLED", 4.0, 100.0, None, "201"),
    ),
    "refused while nothing showed it live": (
        10,
        [SENT, UNSEEN],
        ("REJECTED", "REJECTED", 0.0, None, None, "110"),
    ),
    "refused while nothing showed it live, and shown as cancelled": (
        10,
        [SENT, UNSEEN, CANCELLED],
        ("REJECTED", "REJECTED", 0.0, None, None, "110"),
    ),
    "refused while nothing showed it live, and then it lives": (
        10,
        [SENT, UNSEEN, OrderEvent("status", status="SUBMITTED")],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "refused while nothing showed it live, and then a part is filled": (
        10,
        [SENT, UNSEEN, FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "reported as filled and as cancelled, its executions still to come": (
        10,
        [OrderEvent("status", status="FILLED"), CANCELLED],
        ("AWAITING_EXECUTIONS", "SUBMITTED", 0.0, None, None, None),
    ),
    "reported as filled and as rejected, its executions still to come": (
        10,
        [OrderEvent("status", status="FILLED"), REJECTED],
        ("AWAITING_EXECUTIONS", "SUBMITTED", 0.0, None, None, None),
    ),
    "reported as filled and as cancelled, and one execution has come": (
        10,
        [OrderEvent("status", status="FILLED"), CANCELLED, FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "refused": (
        10,
        [OrderEvent("refused", code="max_order_notional")],
        ("REFUSED", "REJECTED", 0.0, None, None, "max_order_notional"),
    ),
    "not approved": (
        10,
        [OrderEvent("not_approved", code="not_approved")],
        ("NOT_APPROVED", "CANCELLED", 0.0, None, None, "not_approved"),
    ),
    "approved, and withdrawn before it was sent": (
        10,
        [OrderEvent("intent"), OrderEvent("withdrawn", code="not_funded")],
        ("WITHDRAWN", "CANCELLED", 0.0, None, None, "not_funded"),
    ),
    "withdrawn, though it may have been sent": (
        10,
        [OrderEvent("intent"), OrderEvent("sending", attempt=1), OrderEvent("withdrawn", code="not_funded")],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "corrected": (10, [FILL_4, CORRECTED], ("PARTIAL", "PARTIAL", 5.0, 101.0, None, None)),
    "corrected, reported in the other order": (
        10,
        [CORRECTED, FILL_4],
        ("PARTIAL", "PARTIAL", 5.0, 101.0, None, None),
    ),
    "busted": (
        10,
        [OrderEvent("status", status="SUBMITTED"), FILL_4, BUSTED],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "filled, then one half busted": (10, [FILL_4, FILL_6, BUSTED], ("PARTIAL", "PARTIAL", 6.0, 110.0, None, None)),
    "more filled than ordered": (5, [FILL_4, FILL_6], ("FILLED", "FILLED", 10.0, 106.0, None, None)),
    "a commission without its execution": (
        10,
        [commission(FIRST, 1.0)],
        ("PLANNED", "NEW", 0.0, None, None, None),
    ),
    "one commission of two": (
        10,
        [FILL_4, FILL_6, commission(SECOND, 0.35)],
        ("FILLED", "FILLED", 10.0, 106.0, 0.35, None),
    ),
    "commissions before their executions": (
        10,
        [commission(SECOND, 0.35), commission(FIRST, 1.0), FILL_6, FILL_4],
        ("FILLED", "FILLED", 10.0, 106.0, 1.35, None),
    ),
    "the commission of a corrected execution does not count": (
        10,
        [FILL_4, commission(FIRST, 1.0), CORRECTED],
        ("PARTIAL", "PARTIAL", 5.0, 101.0, None, None),
    ),
    "a rebate": (10, [FILL_4, commission(FIRST, -0.02)], ("PARTIAL", "PARTIAL", 4.0, 100.0, -0.02, None)),
    "TWS's word for no commission": (
        10,
        [FILL_4, commission(FIRST, 1.7976931348623157e308)],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "tenths add up exactly": (
        0.3,
        [execution("a", 0.1, 10.0), execution("b", 0.2, 10.0)],
        ("FILLED", "FILLED", 0.3, 10.0, None, None),
    ),
    "an execution with an invalid quantity": (
        10,
        [execution("a", math.nan, 10.0)],
        ("PLANNED", "NEW", 0.0, None, None, None),
    ),
    "a correction with an invalid quantity": (
        10,
        [FILL_4, execution(FIRST[:-1] + "2", math.inf, 1.0)],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "a correction to a negative quantity": (
        10,
        [FILL_4, execution(FIRST[:-1] + "2", -4, 1.0)],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "unknown twice at one time": (
        10,
        [UNKNOWN._replace(message="b"), UNKNOWN._replace(message="a", attempt=2)],
        ("UNKNOWN", "UNKNOWN", 0.0, None, None, "b"),
    ),
    "an execution of a negative quantity": (
        10,
        [FILL_4, execution("a", -4, 10.0)],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None),
    ),
    "an execution of a billion": (10, [execution("a", 1e9, 10.0)], ("PLANNED", "NEW", 0.0, None, None, None)),
    "an execution without a price leaves the average unknown": (
        10,
        [FILL_4, execution("a", 6, math.nan)],
        ("FILLED", "FILLED", 10.0, None, None, None),
    ),
    "it works and waits for a later time": (
        10,
        [SENT, SUBMITTED, TOMORROW],
        ("WORKING", "SUBMITTED", 0.0, None, None, "tomorrow"),
    ),
    "the latest message that it waits is its reason": (
        10,
        [SUBMITTED, TOMORROW, TOMORROW._replace(code="399", message="a", occurred_at=NOON + timedelta(seconds=1))],
        ("WORKING", "SUBMITTED", 0.0, None, None, "a"),
    ),
    "any other message is no reason": (
        10,
        [SUBMITTED, OrderEvent("message", code="399", message="an odd lot", occurred_at=NOON)],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "it waited, and trades": (10, [SUBMITTED, TOMORROW, FILL_4], ("PARTIAL", "PARTIAL", 4.0, 100.0, None, None)),
    "put aside by the broker while it works, and in part filled": (
        10,
        [SUBMITTED, ASIDE, FILL_4],
        ("PARTIAL", "PARTIAL", 4.0, 100.0, None, "aside"),
    ),
    "put aside by the broker, and back": (
        10,
        [SUBMITTED, ASIDE, BACK],
        ("WORKING", "SUBMITTED", 0.0, None, None, None),
    ),
    "put aside by the broker, back, and put aside again": (
        10,
        [SUBMITTED, BACK, ASIDE, ASIDE._replace(message="again", occurred_at=NOON + timedelta(seconds=2))],
        ("WORKING", "SUBMITTED", 0.0, None, None, "again"),
    ),
    "put aside by the broker, and cancelled": (
        10,
        [SUBMITTED, ASIDE, CANCELLED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "cancelled"),
    ),
    "it waited, and was cancelled": (
        10,
        [SUBMITTED, TOMORROW, CANCELLED],
        ("CANCELLED", "CANCELLED", 0.0, None, None, "cancelled"),
    ),
    "a message alone does not say that the broker has it": (
        10,
        [SENT, TOMORROW],
        ("SENDING", "UNKNOWN", 0.0, None, None, None),
    ),
    "no quantity was ordered": (
        math.nan,
        [OrderEvent("refused", code="price_unavailable")],
        ("REFUSED", "REJECTED", 0.0, None, None, "price_unavailable"),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_derived_state_of(name):
    quantity, events, expected = HISTORIES[name]
    for reported in itertools.islice(itertools.permutations([*events, *events]), 50):
        state = derive_order(quantity, reported)
        found = (state.state, state.status, state.filled, state.avg_fill_price, state.commission, state.reason)
        assert tuple(map(known, found)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", HISTORIES)
def test_sql_state_of(name, shared):
    quantity, events, expected = HISTORIES[name]
    row = through_sql(shared, quantity, events)
    names = ("state", "status", "filled_quantity", "avg_fill_price", "commission", "reason")
    assert tuple(known(row[column]) for column in names) == expected


def test_an_order_has_ended_when_no_further_report_is_expected():
    assert derive_order(10, [FILL_4, FILL_6]).has_ended
    assert derive_order(10, [CANCELLED]).has_ended
    assert not derive_order(10, [FILL_4]).has_ended
    assert not derive_order(10, [UNKNOWN]).has_ended
    assert set(ORDER_STATUSES) >= ENDED


def test_every_state_has_a_status_of_the_interface():
    assert set(STATUS_OF_STATE.values()) <= set(ORDER_STATUSES)


# -- a run -------------------------------------------------------------------------------------------------

DONE = {"started": True, "ended": True}
RUNS = {
    "all filled": (["FILLED", "FILLED"], True, DONE, "done"),
    "nothing filled": (["REJECTED", "CANCELLED", "SUBMITTED"], False, DONE, "failed"),
    "one filled, one rejected": (["FILLED", "REJECTED"], True, DONE, "partial"),
    "one filled, one cancelled": (["FILLED", "CANCELLED"], True, DONE, "partial"),
    "one filled, one unknown": (["FILLED", "UNKNOWN"], True, DONE, "partial"),
    "one filled, one still unfilled": (["FILLED", "SUBMITTED"], True, DONE, "partial"),
    "a part of one filled": (["PARTIAL"], True, DONE, "partial"),
    "a part of one filled, the rest cancelled": (["CANCELLED"], True, DONE, "partial"),
    "cancelled by a person before any fill": (["CANCELLED"], False, DONE | {"cancelled": True}, "cancelled"),
    "cancelled by a person after a fill": (["FILLED", "CANCELLED"], True, DONE | {"cancelled": True}, "partial"),
    "cancelled by a person when all was filled": (["FILLED"], True, DONE | {"cancelled": True}, "done"),
    "no orders at all": ([], False, DONE, "done"),
    "running": (["FILLED", "SUBMITTED"], True, {"started": True, "ended": False}, "running"),
    "queued": (["NEW", "REJECTED"], False, {"started": False, "ended": False}, "queued"),
    "queued without orders": ([], False, {"started": False, "ended": False}, "queued"),
    "blocked": (["NEW"], False, {"started": False, "ended": False, "blocked": True}, "blocked"),
    "blocked once, then started": (["FILLED"], True, DONE | {"blocked": True}, "done"),
    "cancelled before it started": (
        ["NEW"],
        False,
        {"started": False, "ended": False, "cancelled": True},
        "cancelled",
    ),
    "every order refused by a check": (["REJECTED"], False, {"started": False, "ended": False}, "blocked"),
    "refused or not approved": (["REJECTED", "CANCELLED"], False, {"started": False, "ended": False}, "blocked"),
    "every order excluded by a person": (["CANCELLED"], False, {"started": False, "ended": False}, "cancelled"),
}
EVENTS_OF_STATUS = {
    "FILLED": [("execution", {"quantity": 10.0, "price": 100.0})],
    "PARTIAL": [("execution", {"quantity": 4.0, "price": 100.0})],
    "CANCELLED": [("status", {"status": "CANCELLED", "filled": 0.0})],
    "REJECTED": [("rejected", {})],
    "SUBMITTED": [("status", {"status": "SUBMITTED"})],
    "UNKNOWN": [("sending", {"attempt": 1})],
    "NEW": [("intent", {})],
}


@pytest.mark.parametrize("name", RUNS)
def test_derived_status_of_a_run_with(name):
    statuses, any_filled, flags, expected = RUNS[name]
    assert derive_run_status(statuses, any_filled=any_filled, **flags) == expected
    assert expected in RUN_STATUSES


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_sql_status_of_a_run_with(name, shared):
    statuses, any_filled, flags, expected = RUNS[name]
    events = [
        OrderEvent(kind, client_order_id=str(number), exec_id=f"x{number}", **more)
        for number, status in enumerate(statuses)
        for kind, more in EVENTS_OF_STATUS[status]
    ]
    if any_filled and not {"FILLED", "PARTIAL"} & set(statuses):
        events.append(execution("late", 1.0, 1.0))
    if flags.get("started"):
        events.append(OrderEvent("run_started", attempt=1))
    if flags.get("ended"):
        events.append(OrderEvent("run_ended", attempt=1))
    events += [OrderEvent(f"run_{flag}") for flag in ("blocked", "cancelled") if flags.get(flag)]
    run_id = record(shared, events, [10.0] * len(statuses))
    assert shared.runs().set_index("run_id").loc[run_id, "status"] == expected


@pytest.mark.slow
def test_a_resumed_run_is_running_again(shared):
    ends = [OrderEvent("run_started", attempt=1), OrderEvent("run_ended", attempt=1, message="timeout")]
    run_id = record(shared, [*ends, OrderEvent("run_started", attempt=2)], [10.0])
    row = shared.runs().set_index("run_id").loc[run_id]
    assert row["status"] == "running"
    assert pd.isna(row["ended_at"])
