"""What may be concluded about an order whose fate is in doubt, from what its broker told when it was asked.

After a crash, a lost connection or a restart the record says what was handed over, and the broker says what it
has: open orders, completed orders, executions, and its next order id. :func:`judge` holds the two against each
other. Evidence of an order always counts; its absence counts only where it proves something:

- An order that was never handed over (state ``INTENT``) may be sent.
- An order that was handed over and of which the broker knows nothing may be handed over once more *with the
  same order id*, while the broker's next id has not passed it: then a wrong guess is harmless, because the
  broker takes an id only once.
- Any other doubt is ``unknown``, with its evidence in words, for a person to decide.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.lifecycle import derive_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from stocklean_exec.facts import Fact

__all__ = ["EXCHANGE_ZONE", "Evidence", "History", "Judgement", "judge", "trade_date"]

_DOUBTFUL = frozenset({"SENDING", "UNKNOWN"})
_AT_BROKER = frozenset({"WORKING", "PARTIAL", "AWAITING_EXECUTIONS", "MISSING"})
_UNCONFIRMED = "UNCONFIRMED"
_SEEN = frozenset({"status", "execution", "rejected", "duplicate"})
EXCHANGE_ZONE = ZoneInfo("America/New_York")
"""Where the trading day is counted."""

Action = Literal["leave", "send", "resend", "adopt", "unknown", "missing", "found", "await"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a broker told when it was asked for everything it has; the facts of it were told as they came.

    ``open_orders`` client order ids among the open orders; ``refs`` every client order id among open orders,
    completed orders and executions; ``executions`` the ids of these; ``next_id`` the next order id of
    ``client_id`` (None where orders have no such ids); ``highest_open_id`` greatest order id of this client among
    the open orders; ``is_complete`` whether every list was told to its end, and if not, ``gap`` says which was
    not; ``forgets`` whether the broker may have had an order of which it tells nothing; ``asked_at`` when, in UTC.
    """

    asked_at: datetime
    open_orders: frozenset[str] = frozenset()
    refs: frozenset[str] = frozenset()
    executions: frozenset[str] = frozenset()
    next_id: int | None = None
    client_id: int | None = None
    highest_open_id: int = 0
    is_complete: bool = True
    gap: str = ""
    forgets: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """One order as it is on record: what was asked for, and every fact about it."""

    client_order_id: str
    quantity: float
    facts: Sequence[Fact] = field(repr=False)

    @property
    def state(self) -> str:
        """The finer state that the facts say."""
        return derive_order(self.quantity, self.facts).state

    @property
    def is_seen(self) -> bool:
        """Whether the broker has ever shown that it has the order."""
        return any(fact.kind in _SEEN for fact in self.facts)

    def seen_ids(self, client_id: int) -> list[int]:
        """Order ids of a client under which the broker has shown this order."""
        return [
            fact.order_id
            for fact in self.facts
            if fact.kind in _SEEN and fact.order_id is not None and fact.client_id == client_id
        ]

    @property
    def last_sending(self) -> Fact | None:
        """The latest hand-over that is not known to have failed."""
        failed = {fact.attempt for fact in self.facts if fact.kind == "not_sent"}
        sent = [fact for fact in self.facts if fact.kind == "sending" and fact.attempt not in failed]
        return max(sent, key=lambda fact: fact.attempt or 0, default=None)


class Judgement(NamedTuple):
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


def judge(order: History, evidence: Evidence, *, highest_seen_id: int = 0, highest_next_id: int = 0) -> Judgement:
    """Decide about one order from its record and the broker's evidence.

    Parameters
    ----------
    order : with the facts that the broker told when it was asked
    evidence : the last of several rounds that told nothing new
    highest_seen_id : greatest order id of this client that the broker has ever shown to have, in any run
    highest_next_id : greatest next order id that this client was ever told

    Returns
    -------
    What to do: ``send`` what was never handed over; ``adopt`` what was not by the record, though the broker has it
    (the record is an old copy, or somebody else sent it); ``resend`` what may be handed over once more with the
    same order id; record ``unknown`` and ``missing`` with ``why``, for nobody can tell; record what was missing as
    ``found``; ``await`` the executions of an order that has ended with more filled than they say: ask again, for
    they may be under way; ``leave`` all others.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from stocklean_exec.facts import Fact
    >>> now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    >>> facts = [Fact("intent"), Fact("sending", attempt=1, order_id=7, client_id=1, occurred_at=now)]
    >>> order = History("run-1-SPY-BUY", 10, facts)
    >>> judge(order, Evidence(now, next_id=7, client_id=1)).action
    'resend'
    >>> judge(order, Evidence(now, next_id=8, client_id=1))
    Judgement(action='unknown', why='order id 7 is used up (the next one is 8), and ... 2026-11-23')
    """
    state = order.state
    if state == "INTENT":
        return Judgement("adopt" if order.client_order_id in evidence.refs else "send")
    if state in _DOUBTFUL:
        return _judge_doubt(order, evidence, max(highest_seen_id, evidence.highest_open_id), highest_next_id)
    if state in _AT_BROKER:
        return _judge_absence(order, evidence, state)
    return Judgement("await" if state == _UNCONFIRMED else "leave")


def _judge_absence(order: History, evidence: Evidence, state: str) -> Judgement:
    """Whether an order that the broker has shown before is still there."""
    if order.client_order_id in evidence.open_orders:
        return Judgement("found" if state == "MISSING" else "leave")
    if not evidence.is_complete or not evidence.forgets or state == "MISSING":
        return Judgement("leave")
    said = "reported as filled, but its executions are not told" if state == "AWAITING_EXECUTIONS" else "known"
    sent = order.last_sending
    day = trade_date(evidence.asked_at)
    earlier = sent is not None and sent.occurred_at is not None and trade_date(sent.occurred_at) != day
    listed = order.client_order_id in evidence.refs
    where = "no longer open; what TWS lists of it does not tell how it ended" if listed else _nowhere(evidence)
    text = f"{said} before, and now {where}"
    if earlier:
        text += "; it is of an earlier day, of which TWS tells nothing"
    if sent is not None and sent.client_id is not None and sent.client_id != evidence.client_id:
        text += f"; resume with client id {sent.client_id}, which placed it"
    return Judgement("missing", text)


def _judge_doubt(order: History, evidence: Evidence, highest_seen_id: int, highest_next_id: int) -> Judgement:
    """The broker has never shown the order, though it was handed over."""
    sent = order.last_sending
    if not evidence.forgets:
        return Judgement("resend")
    if not evidence.is_complete:
        return Judgement("unknown", f"TWS did not tell all it has: {evidence.gap}")
    if sent is None or sent.order_id is None or evidence.next_id is None:
        return Judgement("unknown", f"it has no order id to go by, and is {_nowhere(evidence)}")
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
        return Judgement(
            "resend", f"{_nowhere(evidence)}; order id {number} is not used (the next one is {following})"
        )
    return Judgement("unknown", f"{why}, and it is {_nowhere(evidence)}")


def _nowhere(evidence: Evidence) -> str:
    day = trade_date(evidence.asked_at).isoformat()
    return f"neither among the open and completed orders nor among the executions of {day}"
