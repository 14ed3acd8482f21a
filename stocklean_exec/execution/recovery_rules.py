"""What may be concluded about an order whose fate is in doubt, from what its broker told when it was asked.

After a crash, a lost connection or a restart the record says what was handed over, and the broker says what it
has: open orders, completed orders, executions, and its next order id. :func:`judge` holds the two against each
other. Evidence of an order always counts; its absence counts only where it proves something:

- An order that was never sent by the record (state ``INTENT``) may be sent if nobody else can have sent it. A
  record may be older than the account: restored from a copy, or not the only one. So the run must be new, or the
  broker must have told all it has to the client that planned the order, and this client's order ids must not have
  moved on without the record. What is in doubt is held back.
- An order that was handed over and of which the broker knows nothing may be handed over once more *with the
  same order id*, while the broker's next id has not passed it: then a wrong guess is harmless, because the
  broker takes an id only once.
- Any other doubt is ``unknown``, with its evidence in words, for a person to decide.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.blotter.order_history import IdTrail, OrderHistory

if TYPE_CHECKING:
    from datetime import date, datetime

    from stocklean_exec.brokers.evidence import Evidence

__all__ = ["EXCHANGE_ZONE", "Conclusion", "judge", "trade_date"]

_DOUBTFUL = frozenset({"SENDING", "UNKNOWN"})
_AT_BROKER = frozenset({"WORKING", "PARTIAL", "AWAITING_EXECUTIONS", "MISSING"})
_UNCONFIRMED = "UNCONFIRMED"
_ANEW = "plan again under a new run id"
EXCHANGE_ZONE = ZoneInfo("America/New_York")
"""Where the trading day is counted."""

Action = Literal["leave", "send", "hold", "expire", "resend", "adopt", "unknown", "missing", "found", "await"]


class Conclusion(NamedTuple):
    """What to do about an order, and the evidence for it in words."""

    action: Action
    why: str = ""


def trade_date(moment: datetime) -> date:
    """The day in New York: the one that TWS means when it tells the executions "of the day".

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> trade_date(datetime(2026, 11, 24, 2, 30, tzinfo=UTC)).isoformat()
    '2026-11-23'
    """
    return moment.astimezone(EXCHANGE_ZONE).date()


def judge(
    order: OrderHistory,
    evidence: Evidence,
    *,
    highest_seen_id: int = 0,
    highest_next_id: int = 0,
    trail: IdTrail | None = None,
    is_cleared: bool = False,
) -> Conclusion:
    """Decide about one order from its record and the broker's evidence.

    Parameters
    ----------
    order : with the events that the broker told when it was asked
    evidence : the last of several rounds that told nothing new
    highest_seen_id : greatest order id of this client that the broker has ever shown to have, in any run
    highest_next_id : greatest next order id that this client was ever told
    trail : the order ids of this client since the order was planned
    is_cleared : nobody but this worker can have sent the order since it was planned

    Returns
    -------
    What to do: ``send`` what was never sent; ``hold`` back, with ``why``, what somebody else may have sent;
    ``adopt`` what this record has not sent, though the broker has it (the record is an old copy, or somebody else
    sent it); ``resend`` what may be handed over once more with the same order id; record ``unknown`` and
    ``missing`` with ``why``, for nobody can tell; record what was missing as ``found``; ``await`` the executions
    of an order that has ended with more filled than they say: ask again, for they may be under way; ``leave`` all
    others.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from stocklean_exec.blotter.events import OrderEvent
    >>> now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    >>> events = [OrderEvent("intent"), OrderEvent("sending", attempt=1, order_id=7, client_id=1, occurred_at=now)]
    >>> order = History("run-1-SPY-BUY", 10, events)
    >>> judge(order, Evidence(now, next_id=7, client_id=1)).action
    'resend'
    >>> judge(order, Evidence(now, next_id=8, client_id=1))
    Judgement(action='unknown', why='order id 7 is used up (the next one is 8), and ... 2026-11-23')
    """
    state = order.state
    if state == "INTENT":
        if order.client_order_id in evidence.refs:
            return Conclusion("adopt")
        why = "" if is_cleared else _why_held(order, evidence, trail or IdTrail())
        return Conclusion("hold", why) if why else Conclusion("send")
    if state in _DOUBTFUL:
        return _judge_doubt(order, evidence, max(highest_seen_id, evidence.highest_open_id), highest_next_id)
    if state in _AT_BROKER:
        return _judge_absence(order, evidence, state)
    return Conclusion("await" if state == _UNCONFIRMED else "leave")


def _why_held(order: OrderHistory, evidence: Evidence, trail: IdTrail) -> str:
    """Why an order may have been sent though the record does not say so; empty if it cannot have been."""
    if not evidence.forgets:
        return ""
    if not evidence.is_complete:
        return f"TWS did not tell all it has ({evidence.gap}), so it may have been sent already; resume again"
    intent, client = order.intent, evidence.client_id
    planner = None if intent is None else intent.client_id
    if planner is not None and planner != client:
        return (
            f"resume with client id {planner}, which planned it: client id {client} is not told all of its orders"
        )
    is_today = intent is not None and intent.occurred_at is not None and _is_same_day(intent.occurred_at, evidence)
    return _why_ids_forbid(evidence, trail) or ("" if is_today else _why_day_forbids(planner, evidence, trail))


def _why_ids_forbid(evidence: Evidence, trail: IdTrail) -> str:
    """Whether order ids of this client were used that are not on record."""
    following, expected = evidence.next_id or 0, trail.expected_id
    if not (trail.passed_id or following > expected > 0):
        return ""
    if trail.passed_id:
        following, expected = trail.passed_id, trail.passed_expected
    return (
        f"TWS has passed order ids that are not on record (the next one was {following}, and {expected} by this "
        f"record): the record is older than the account, or another blotter, program or account uses client id "
        f"{evidence.client_id}; {_ANEW}"
    )


def _why_day_forbids(planner: int | None, evidence: Evidence, trail: IdTrail) -> str:
    """Of an earlier day TWS tells neither executions nor completed orders: the order ids alone bear witness."""
    earlier, following = "it was planned on an earlier day, of which TWS tells nothing", evidence.next_id
    if planner is None or following is None or not trail.told_id:
        return f"{earlier}, and no order ids are on record that would show whether it was sent; {_ANEW}"
    if following < trail.told_id:
        anew = f"the next one is {following}, and was {trail.told_id}"
        return f"{earlier}, and TWS has started its order ids anew ({anew}); {_ANEW}"
    return ""


def _is_same_day(moment: datetime, evidence: Evidence) -> bool:
    return trade_date(moment) == trade_date(evidence.asked_at)


def _judge_absence(order: OrderHistory, evidence: Evidence, state: str) -> Conclusion:
    """Whether an order that the broker has shown before is still there."""
    if order.client_order_id in evidence.open_orders:
        return Conclusion("found" if state == "MISSING" else "leave")
    if not evidence.is_complete or not evidence.forgets or state == "MISSING":
        return Conclusion("leave")
    sent = order.last_sending
    is_filled = any(event.kind == "status" and event.status == "FILLED" for event in order.events)
    if is_filled:
        text = "the broker calls it filled, but the executions on record are fewer shares than it asks for"
    elif order.client_order_id in evidence.refs:
        text = "known before, and now no longer open; what TWS lists of it does not tell how it ended"
    else:
        text = f"known before, and now {_nowhere(evidence)}"
    if sent is not None and sent.occurred_at is not None and not _is_same_day(sent.occurred_at, evidence):
        text += "; it is of an earlier day, of which TWS tells nothing"
    return Conclusion("missing", text + _whom_to_ask(order, evidence, is_filled=is_filled))


def _whom_to_ask(order: OrderHistory, evidence: Evidence, *, is_filled: bool) -> str:
    """TWS tells executions only to the client that placed the order."""
    known = order.last_sending or order.intent
    client = None if known is None else known.client_id
    if client is None or not (is_filled or client != evidence.client_id):
        return ""
    did = "placed" if order.last_sending is not None else "planned"
    return f"; resume with client id {client}, which {did} it"


def _judge_doubt(
    order: OrderHistory, evidence: Evidence, highest_seen_id: int, highest_next_id: int
) -> Conclusion:
    """The broker has never shown the order, though it was handed over."""
    sent = order.last_sending
    if not evidence.forgets:
        return Conclusion("resend")
    if not evidence.is_complete:
        return Conclusion("unknown", f"TWS did not tell all it has: {evidence.gap}")
    if sent is None or sent.order_id is None or evidence.next_id is None:
        return Conclusion("unknown", f"it has no order id to go by, and is {_nowhere(evidence)}")
    number, following = sent.order_id, evidence.next_id
    if sent.client_id != evidence.client_id:
        why = f"it was sent by client id {sent.client_id}; only that one can send it again"
    elif sent.occurred_at is None or trade_date(sent.occurred_at) != trade_date(evidence.asked_at):
        why = "it is of an earlier day, of which TWS tells nothing"
    elif following < highest_next_id or following <= highest_seen_id:
        why = f"TWS has started its order ids anew (the next one is {following}), so an id proves nothing"
    elif highest_seen_id > number:
        why = f"order id {highest_seen_id} was accepted after its id {number}"
    elif following > number:
        why = f"order id {number} is used up (the next one is {following})"
    else:
        return Conclusion(
            "resend", f"{_nowhere(evidence)}; order id {number} is not used (the next one is {following})"
        )
    return Conclusion("unknown", f"{why}, and it is {_nowhere(evidence)}")


def _nowhere(evidence: Evidence) -> str:
    day = trade_date(evidence.asked_at).isoformat()
    return f"neither among the open and completed orders nor among the executions of {day}"
