"""Decide what to do about an order whose outcome is uncertain, from the evidence that the broker reported.

After a crash, a lost connection or a restart the blotter says what was sent, and the broker reports what it has:
open orders, completed orders, executions, and its next order id. :func:`decide` compares the two. Evidence of an
order always counts; the absence of evidence counts only where it proves something:

- An order that this blotter never sent (state ``INTENT``) may be sent if no other process can have sent it. A
  blotter may be older than the account: restored from a copy, or not the only one. So the run must be new, or the
  broker must have reported everything to the client that planned the order, and this client's order ids must not
  have advanced without a record. Orders in doubt are held back.
- An order that was sent and is unknown to the broker may be sent again *with the same order id*, as long as the
  broker's next id has not passed it: a wrong guess is then harmless, because the broker accepts an id only once.
- An order that was written to a basket file is for a person to send, and never sent from here; what the broker has
  of it is adopted.
- Any other doubt is ``unknown``, with the evidence in words, for a person to decide.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.blotter.order_history import IdTrail, OrderHistory

if TYPE_CHECKING:
    from datetime import date, datetime

    from stocklean_exec.brokers.evidence import Evidence

__all__ = ["BY_HAND", "EARLIER_DAY", "EXCHANGE_ZONE", "Conclusion", "decide", "trade_date"]

_UNANSWERED = frozenset({"SENDING", "UNKNOWN"})
_AT_BROKER = frozenset({"WORKING", "PARTIAL", "AWAITING_EXECUTIONS", "MISSING"})
_UNCONFIRMED = "UNCONFIRMED"
_PLAN_AGAIN = "plan again under a new run id"
EARLIER_DAY = "of an earlier day, which TWS no longer reports"
"""Words of every conclusion that rests on the day of an order."""
_MASTER = (
    "resume or reconcile with client id 0, or with TWS's master client id: only those receive the executions of "
    "orders sent by hand"
)
BY_HAND = f"TWS has the order of the basket file; {_MASTER}"
"""Why an order that a person has sent is unknown: TWS has it, and has not reported what it traded."""
_LOOK_IT_UP = "resume again, or look it up in TWS and decide with blotter.resolve(...)"
EXCHANGE_ZONE = ZoneInfo("America/New_York")
"""Time zone of the trading day."""

Action = Literal["leave", "send", "hold", "expire", "resend", "adopt", "unknown", "missing", "found", "await"]


class Conclusion(NamedTuple):
    """What to do about an order, and the evidence for it in words."""

    action: Action
    why: str = ""


def trade_date(moment: datetime) -> date:
    """The day in New York: TWS reports the executions of this day.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> trade_date(datetime(2026, 11, 24, 2, 30, tzinfo=UTC)).isoformat()
    '2026-11-23'
    """
    return moment.astimezone(EXCHANGE_ZONE).date()


def decide(
    order: OrderHistory,
    evidence: Evidence,
    *,
    highest_seen_id: int = 0,
    highest_next_id: int = 0,
    trail: IdTrail | None = None,
    is_cleared: bool = False,
) -> Conclusion:
    """Decide about one order from its recorded events and the broker's evidence.

    Parameters
    ----------
    order : with the events that the broker reported when queried
    evidence : of the last of several queries that reported nothing new
    highest_seen_id : greatest order id of this client in any report of the broker, for any run
    highest_next_id : greatest next order id that the broker ever reported to this client
    trail : the order ids of this client since the order was planned
    is_cleared : only this process can have sent the order since it was planned

    Returns
    -------
    The action, with ``why`` where a reason is recorded. ``send``: the order was never sent. ``hold``: another
    process may have sent it. ``adopt``: the broker has it though this blotter has not sent it (the blotter is an
    old copy, or another process sent it). ``resend``: it may be sent again with the same order id. ``unknown``,
    ``missing``: to be recorded, as the outcome cannot be determined. ``found``: it was missing and is there again.
    ``await``: it has ended, and executions for some of its filled shares are missing; query again, as they may be
    in flight. ``leave``: nothing to do.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from stocklean_exec.blotter.events import OrderEvent
    >>> from stocklean_exec.brokers.evidence import Evidence
    >>> now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    >>> events = [OrderEvent("intent"), OrderEvent("sending", attempt=1, order_id=7, client_id=1, occurred_at=now)]
    >>> order = OrderHistory("run-1-SPY-BUY", 10, events)
    >>> decide(order, Evidence(now, next_id=7, client_id=1)).action
    'resend'
    >>> decide(order, Evidence(now, next_id=8, client_id=1))
    Conclusion(action='unknown', why='order id 7 is used up (the next one is 8), and ... blotter.resolve(...)')
    """
    state = order.state
    if state == "INTENT":
        exported = order.exported
        if order.client_order_id in evidence.refs:
            return Conclusion("adopt", BY_HAND if exported else "")
        if exported is not None:
            return Conclusion("hold", exported.message or "")
        why = "" if is_cleared else _why_held(order, evidence, trail or IdTrail())
        return Conclusion("hold", why) if why else Conclusion("send")
    if state in _UNANSWERED:
        return _decide_unanswered(order, evidence, max(highest_seen_id, evidence.highest_open_id), highest_next_id)
    if state in _AT_BROKER:
        return _decide_absence(order, evidence, state)
    return Conclusion("await" if state == _UNCONFIRMED else "leave")


def _why_held(order: OrderHistory, evidence: Evidence, trail: IdTrail) -> str:
    """Why an order may have been sent although that is not on record; empty if it cannot have been."""
    if not evidence.forgets:
        return ""
    if not evidence.is_complete:
        return f"TWS did not report everything ({evidence.gap}), so it may have been sent already; resume again"
    intent, client = order.intent, evidence.client_id
    planner = None if intent is None else intent.client_id
    if planner is not None and planner != client:
        return (
            f"resume with client id {planner}, which planned it: "
            f"client id {client} does not receive all of its orders"
        )
    is_today = intent is not None and intent.occurred_at is not None and _is_same_day(intent.occurred_at, evidence)
    return _why_ids_forbid(evidence, trail) or ("" if is_today else _why_day_forbids(planner, evidence, trail))


def _why_ids_forbid(evidence: Evidence, trail: IdTrail) -> str:
    """Why unrecorded order ids of this client forbid sending; empty if there are none."""
    following, expected = evidence.next_id or 0, trail.expected_id
    if not (trail.passed_id or following > expected > 0):
        return ""
    if trail.passed_id:
        following, expected = trail.passed_id, trail.passed_expected
    return (
        f"TWS has passed order ids that are not on record (the next one was {following}, and {expected} by this "
        f"blotter): the blotter is older than the account, or another blotter, program or account uses client id "
        f"{evidence.client_id}; {_PLAN_AGAIN}"
    )


def _why_day_forbids(planner: int | None, evidence: Evidence, trail: IdTrail) -> str:
    """Why an earlier trading day forbids sending: TWS reports only today, so order ids are the only evidence."""
    earlier, following = "it was planned on an earlier day, which TWS no longer reports", evidence.next_id
    if planner is None or following is None or not trail.reported_id:
        return f"{earlier}, and no order ids are on record that would show whether it was sent; {_PLAN_AGAIN}"
    if following < trail.reported_id:
        ids = f"the next one is {following}, and was {trail.reported_id}"
        return f"{earlier}, and TWS has reset its order ids ({ids}); {_PLAN_AGAIN}"
    return ""


def _is_same_day(moment: datetime, evidence: Evidence) -> bool:
    return trade_date(moment) == trade_date(evidence.asked_at)


def _decide_absence(order: OrderHistory, evidence: Evidence, state: str) -> Conclusion:
    """Decide about an order that the broker has reported before: it may be gone."""
    if order.client_order_id in evidence.open_orders:
        return Conclusion("found" if state == "MISSING" else "leave")
    if not evidence.is_complete or not evidence.forgets or state == "MISSING":
        return Conclusion("leave")
    sent = order.last_sending
    is_filled = any(event.kind == "status" and event.status == "FILLED" for event in order.events)
    if is_filled:
        text = "the broker reports it filled, but the executions on record do not cover its quantity"
    elif order.client_order_id in evidence.refs:
        text = "known before, and no longer open; TWS lists it without its outcome"
    else:
        text = f"known before, and now {_not_listed(evidence)}"
    if sent is not None and sent.occurred_at is not None and not _is_same_day(sent.occurred_at, evidence):
        text += f"; it is {EARLIER_DAY}"
    return Conclusion("missing", f"{text}; {_next_step(order, evidence)}")


def _next_step(order: OrderHistory, evidence: Evidence) -> str:
    """Say what to do: TWS reports executions only to the client that placed the order."""
    if order.exported is not None:
        return _MASTER
    known = order.last_sending or order.intent
    client = None if known is None else known.client_id
    if client is None or client == evidence.client_id:
        return _LOOK_IT_UP
    did = "placed" if order.last_sending is not None else "planned"
    return f"resume with client id {client}, which {did} it"


def _decide_unanswered(
    order: OrderHistory, evidence: Evidence, highest_seen_id: int, highest_next_id: int
) -> Conclusion:
    """Decide about an order that was sent and that the broker has never reported."""
    sent = order.last_sending
    if order.exported is not None:
        return Conclusion("unknown", BY_HAND)
    if not evidence.forgets:
        return Conclusion("resend")
    if not evidence.is_complete:
        return Conclusion("unknown", f"TWS did not report everything ({evidence.gap}); resume again")
    if sent is None or sent.order_id is None or evidence.next_id is None:
        why = f"it has no order id to check, and is {_not_listed(evidence)}"
        return Conclusion("unknown", f"{why}; {_next_step(order, evidence)}")
    number, following = sent.order_id, evidence.next_id
    if sent.client_id != evidence.client_id:
        why = f"it was sent by client id {sent.client_id}, and only that one can send it again"
    elif sent.occurred_at is None or trade_date(sent.occurred_at) != trade_date(evidence.asked_at):
        why = f"it is {EARLIER_DAY}"
    elif following < highest_next_id or following <= highest_seen_id:
        why = f"TWS has reset its order ids (the next one is {following}), so an id proves nothing"
    elif highest_seen_id > number:
        why = f"order id {highest_seen_id} was accepted after its id {number}"
    elif following > number:
        why = f"order id {number} is used up (the next one is {following})"
    else:
        return Conclusion(
            "resend", f"{_not_listed(evidence)}; order id {number} is not used (the next one is {following})"
        )
    return Conclusion("unknown", f"{why}, and it is {_not_listed(evidence)}; {_next_step(order, evidence)}")


def _not_listed(evidence: Evidence) -> str:
    day = trade_date(evidence.asked_at).isoformat()
    return f"neither among the open and completed orders nor among the executions of {day}"
