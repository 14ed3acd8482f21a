"""Derive the state of an order and of a run from the recorded events.

A state is a pure function of the *set* of events: their sequence and repetition change nothing, so late, repeated
and reordered reports are harmless. Executions take precedence; then a person's decision; then the broker's
reports; then our own actions. The rules are one table, in that sequence.

Quantities are added up exactly, in hundred-millionths of a share; the average price is always computed from the
executions. A number is usable if it is finite and below a billion. An execution without a usable quantity stays on
record and does not count; one without a usable price counts with its shares, and makes the average unknown. One of
zero shares is a bust: it removes the execution that it corrects.

A broker's statuses report filled shares too. They never fill an order, but they say what is final. An order that
the broker has ended has ended here if the broker says how many of its shares were filled, and executions of as
many are on record; otherwise shares may have been traded that are not on record. An order that the broker calls
filled with fewer shares than were ordered (made smaller at the broker, or corrected) has ended as well, once all
of them are on record. An execution that was on record in any of its corrections counts as known, so a bust does
not raise a doubt. Of an execution that was corrected while no client was connected only the correction is
reported: then the count of the broker's completed order is compared with the corrected executions.

The blotter's ``orders`` and ``runs`` views contain the same rules in SQL; a test compares the two on random
histories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from stocklean_exec.blotter.events import INACTIVE, OrderEvent, execution_family, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from collections.abc import Set as AbstractSet

__all__ = [
    "ENDED",
    "STATUS_OF_STATE",
    "UNFINISHED_STATES",
    "UNSENT_STATES",
    "OrderAccumulator",
    "OrderState",
    "derive_order",
    "derive_run_status",
]

STATUS_OF_STATE = {
    "PLANNED": "NEW",  # a row of a plan
    "INTENT": "NEW",  # durable, may be sent; with a reason if it was held back
    "SENDING": "UNKNOWN",  # sent, and the broker has not answered yet
    "UNKNOWN": "UNKNOWN",  # queried, and its outcome is unknown
    "MISSING": "UNKNOWN",  # the broker had it, no longer has it, and does not report how it ended
    "WORKING": "SUBMITTED",  # the broker has it
    "AWAITING_EXECUTIONS": "SUBMITTED",  # the broker reports it filled, some executions are missing
    "UNCONFIRMED": "UNKNOWN",  # ended at the broker, with fills that are not on record or not counted
    "PARTIAL": "PARTIAL",
    "FILLED": "FILLED",
    "REDUCED": "CANCELLED",  # sent for fewer shares than approved, and all of these were traded
    "CANCELLED": "CANCELLED",
    "NOT_APPROVED": "CANCELLED",
    "WITHDRAWN": "CANCELLED",  # approved, and not sent: the cash for it did not arrive
    "REFUSED": "REJECTED",  # by us, before it was sent
    "REJECTED": "REJECTED",  # by the broker
}
"""The finer state behind each order status. A person's resolution sets the status itself."""

ENDED = frozenset({"FILLED", "CANCELLED", "REJECTED"})
"""Order statuses that are final."""

UNSENT_STATES = frozenset({"PLANNED", "INTENT", "REFUSED", "NOT_APPROVED", "WITHDRAWN"})
"""States of orders that were not sent, according to the blotter."""

UNFINISHED_STATES = frozenset(
    state for state, status in STATUS_OF_STATE.items() if status not in ENDED and state != "PLANNED"
)
"""States of approved orders that may still be sent, be working, or be found."""

_SCALE = 10**8  # amounts are added as whole 1e-8 units, the scale of the blotter's DECIMAL(18, 8) columns
_LIMIT = 10**9  # no price, fee or quantity of shares is a billion; such a number is corrupt data
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = -(2**62)  # before any real time: rank of an event without a time
_SHOWN_REJECTED = frozenset({"Inactive", "Cancelled", "ApiCancelled"})
"""Codes of messages that count the fills of a rejected order: the words by which TWS shows one."""


@dataclass(frozen=True, slots=True, eq=False)
class OrderState:
    """Current state of an order.

    ``filled`` in shares, ``avg_fill_price`` per share (NaN without a fill), ``commission`` the sum of those
    reported (NaN until one is), ``reason`` why it was rejected, cancelled or held back, is unknown, waits for a
    later time at the broker or was put aside there; ``reported`` the filled shares according to the broker's
    statuses: ``filled``, plus shares that they report beyond the executions on record.
    """

    state: str
    status: str
    filled: float
    avg_fill_price: float
    commission: float
    reason: str | None
    reported: float = 0.0

    def __eq__(self, other: object) -> bool:
        # Two unknown numbers are equal here; NaN is not equal to itself.
        return repr(self) == repr(other) if isinstance(other, OrderState) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def has_ended(self) -> bool:
        """Whether the order is filled, cancelled or rejected."""
        return self.status in ENDED


def derive_order(quantity: float, events: Iterable[OrderEvent]) -> OrderState:
    """State of an order of ``quantity`` shares from the events about it.

    Examples
    --------
    >>> fills = [
    ...     OrderEvent("execution", exec_id="0000e0d5.67fe667b.01.01", quantity=4, price=100.0),
    ...     OrderEvent("execution", exec_id="0000e0d5.67fe667c.01.01", quantity=6, price=110.0),
    ... ]
    >>> derive_order(10, fills[:1]).status, derive_order(10, fills[:1]).avg_fill_price
    ('PARTIAL', 100.0)
    >>> derive_order(10, fills) == derive_order(10, [*reversed(fills), *fills])
    True
    >>> derive_order(10, fills).status, derive_order(10, fills).avg_fill_price
    ('FILLED', 106.0)
    """
    known = OrderAccumulator()
    for event in events:
        known.add(event)
    return known.state(quantity)


def _scaled(value: float) -> int:
    """Round to hundred-millionths, halves away from zero, as DuckDB does."""
    scaled = value * _SCALE
    whole = math.trunc(scaled)
    part = scaled - whole
    return whole + (part >= 0.5) - (part <= -0.5)  # noqa: PLR2004 - a half


def _exact(value: float | None) -> int | None:
    """Return a usable number in hundred-millionths, None for any other."""
    if value is None or not abs(value) < _LIMIT:
        return None
    scaled = _scaled(value)
    return scaled if abs(scaled) < _LIMIT * _SCALE else None


class _Execution(NamedTuple):
    """One execution; the latest correction of a family counts."""

    revision: int
    exec_id: str
    shares: int
    price: int
    is_priced: bool


class OrderAccumulator:
    """Accumulates the events of one order; the cost of its state does not depend on their number.

    Examples
    --------
    >>> known = OrderAccumulator()
    >>> known.add(OrderEvent("execution", exec_id="0000e0d5.67fe667b.01.01", quantity=4, price=100.0))
    >>> known.state(10).status, known.traded
    ('PARTIAL', (4.0, 400.0))
    """

    def __init__(self) -> None:
        self._executions: dict[str, _Execution] = {}  # by family, in the latest correction
        self._shares = self._priced = self._value = self._unpriced = 0  # of executions that are not busted
        self._greatest: dict[str, int] = {}  # shares by family: the maximum over its corrections
        self._seen = 0  # sum of these
        self._reported = 0  # maximum filled quantity in any report
        self._completed = 0  # maximum filled quantity in a report that it is filled, with nothing remaining
        self._end_counts: set[int] = set()  # filled quantities of completed orders
        self._is_corrected = False  # whether an execution on record is a correction
        self._is_cancel_counted = self._is_reject_counted = False  # whether a report of the end counts the fills
        self._senders: dict[int, int] = {}  # client id by attempt
        self._sent_shares: dict[int, int] = {}  # by attempt, where fewer than approved were sent
        self._fees: dict[str, int] = {}  # by execution id, whether or not it counts
        self._charged_ids: set[str] = set()  # execution ids with a commission report, whatever its amount
        self._uncharged: set[str] = set()  # execution ids that count and have no commission report yet
        self._charged = self._charges = 0  # sum and number of those that count
        self._kinds: set[str] = set()
        self._statuses: set[str | None] = set()
        self._codes: dict[str, str] = {}
        self._attempts: dict[str, set[int]] = {"sending": set(), "not_sent": set(), "found": set()}
        self._latest: dict[tuple[str, int], OrderEvent] = {}  # by kind and attempt; of four kinds only
        self._is_rejected = self._is_rejected_unseen = False
        self._waiting: OrderEvent | None = None  # the latest message that it waits, or does so no longer

    def add(self, event: OrderEvent) -> None:
        """Add one event; neither the sequence nor a repetition matters."""
        event = plain(event)
        kind, attempt = event.kind, event.attempt or 0
        self._kinds.add(kind)
        self._count_report(event)
        if kind == "status":
            self._statuses.add(event.status)
        elif kind == "sending":
            self._add_sending(event, attempt)
        if event.code:
            name = f"{kind}/{event.status}" if kind == "status" else kind
            self._codes[name] = max(event.code, self._codes.get(name, ""))
        if kind == "execution":
            self._add_execution(event)
        elif kind == "commission":
            self._add_fee(event)
        elif kind == "rejected":
            self._is_rejected |= event.status != "UNSEEN"
            self._is_rejected_unseen |= event.status == "UNSEEN"
        elif kind == "message" and event.status in ("WAITING", "RESUMED"):
            self._waiting = max(self._waiting or event, event, key=_rank)
        elif kind in self._attempts:
            self._attempts[kind].add(attempt)
        elif kind in ("resolved", "unknown", "missing", "held_back"):
            key = kind, attempt
            self._latest[key] = max(self._latest.get(key, event), event, key=_rank)

    def _add_sending(self, event: OrderEvent, attempt: int) -> None:
        if event.client_id is not None:
            self._senders[attempt] = event.client_id
        shares = _exact(event.quantity)
        if shares is not None and shares > 0:
            self._sent_shares[attempt] = shares

    def sent_quantity(self, quantity: float) -> float:
        """Shares that were sent of an order for ``quantity``: fewer where there was not the cash for all."""
        shares = self._latest_sent(self._sent_shares)
        return quantity if shares is None else min(shares / _SCALE, quantity)

    def _count_report(self, event: OrderEvent) -> None:
        """Note how many filled shares the broker reports, and whether that is final."""
        kind, filled = event.kind, _exact(event.filled)
        if filled is None:
            return
        if kind in ("status", "message", "rejected"):
            self._reported = max(self._reported, filled)
        if kind == "status" and event.status in ("CANCELLED", "FILLED") and event.remaining is None:
            self._end_counts.add(filled)  # only a completed order counts without saying what remains
        if kind == "status" and event.status == "CANCELLED":
            self._is_cancel_counted |= filled >= 0
        elif kind == "rejected" or (kind == "message" and event.code in _SHOWN_REJECTED):
            self._is_reject_counted |= filled >= 0
        elif kind == "status" and event.status == "FILLED" and not _exact(event.remaining):
            self._completed = max(self._completed, filled)

    @property
    def traded(self) -> tuple[float, float]:
        """Shares that were traded at a known price, and their value."""
        return self._priced / _SCALE, self._value / _SCALE**2

    @property
    def filled(self) -> float:
        """Shares executed, in the latest correction of each execution."""
        return self._shares / _SCALE

    def is_beyond_reports(self, filled: float | None) -> bool:
        """Whether ``filled`` is more shares than any report or the executions, before corrections, have had."""
        return (_exact(filled) or 0) > max(self._reported, self._seen)

    @property
    def uncharged(self) -> frozenset[str]:
        """Ids of the executions that count and whose commission has not been reported."""
        return frozenset(self._uncharged)

    @property
    def is_accepted(self) -> bool:
        """Whether a status or an execution has shown that the broker accepted the order."""
        return "execution" in self._kinds or not self._statuses.isdisjoint(("SUBMITTED", "FILLED"))

    @property
    def is_rejected(self) -> bool:
        """Whether the broker rejected it; some rejections count only until the broker shows it as working."""
        works = self._shares > 0 or "SUBMITTED" in self._statuses
        return self._is_rejected or (self._is_rejected_unseen and not works)

    @property
    def is_put_aside(self) -> bool:
        """Whether the latest that the broker has said of its waiting is that it has put the order aside."""
        return _is_put_aside(self._waiting)

    @property
    def is_end_reported(self) -> bool:
        """Whether the broker has reported that it cancelled or rejected the order."""
        return self.is_rejected or "CANCELLED" in self._statuses

    @property
    def is_fill_reported(self) -> bool:
        """Whether the broker has called the order filled, whatever executions are on record."""
        return "FILLED" in self._statuses

    @property
    def is_doubled(self) -> bool:
        """Whether the broker has shown a second order under its client order id."""
        return "duplicate" in self._kinds

    @property
    def is_cancel_requested(self) -> bool:
        """Whether its cancel was requested."""
        return "cancel_requested" in self._kinds

    def cost_against(self, price: float) -> float:
        """Traded value minus the value of the same shares at ``price``; exact to eight decimals of the price."""
        return (self._value - _scaled(price) * self._priced) / _SCALE**2

    def state(self, quantity: float) -> OrderState:
        """State of the order if it is for ``quantity`` shares."""
        rule, status, evidence = self._apply_rules(quantity)
        is_priced = bool(self._shares) and not self._unpriced
        average = float(Fraction(self._value, self._shares * _SCALE)) if is_priced else math.nan
        commission = self._charged / _SCALE if self._charges else math.nan
        reported = (self._shares + max(self._reported - self._seen, 0)) / _SCALE
        filled, reason = self._shares / _SCALE, rule.reason(evidence)
        return OrderState(rule.state, status, filled, average, commission, reason, reported)

    def has_ended(self, quantity: float) -> bool:
        """Whether it has ended, as :attr:`OrderState.has_ended` says; cheaper, because it omits the average."""
        return self._apply_rules(quantity)[1] in ENDED

    def _apply_rules(self, quantity: float) -> tuple[_Rule, str, _Evidence]:
        evidence = self._evidence(_scaled(quantity) if math.isfinite(quantity) else 0)
        for rule in _RULES:  # the last one applies always
            if rule.applies(evidence):
                break
        return rule, STATUS_OF_STATE.get(rule.state) or evidence.decided_status(), evidence

    def _evidence(self, requested: int) -> _Evidence:
        not_sent = self._attempts["not_sent"]
        last_found = max(self._attempts["found"], default=-1)
        return _Evidence(
            filled=self._shares,
            requested=requested,
            seen=self._seen,
            reported=self._reported,
            completed=self._completed,
            is_settled=self._is_corrected and self._shares in self._end_counts,
            is_cancel_counted=self._is_cancel_counted,
            is_reject_counted=self._is_reject_counted,
            sender=self._latest_sent(self._senders),
            sent=self._latest_sent(self._sent_shares) or requested,
            kinds=self._kinds,
            statuses=self._statuses,
            codes=self._codes,
            resolved=self._last("resolved", lambda _: True),
            unknown=self._last("unknown", lambda attempt: attempt not in not_sent),
            missing=self._last("missing", lambda attempt: attempt > last_found),
            held_back=self._last("held_back", lambda _: True),
            waiting=None if self._waiting is None or self._waiting.status != "WAITING" else self._waiting,
            is_under_way=bool(self._attempts["sending"] - not_sent),
            is_rejected=self.is_rejected,
        )

    def _latest_sent(self, values: dict[int, int]) -> int | None:
        """Value of the latest submission that is not known to have failed."""
        sent = self._attempts["sending"] - self._attempts["not_sent"]
        return values.get(max(sent)) if sent else None

    def _last(self, kind: str, holds: Callable[[int], bool]) -> OrderEvent | None:
        """Latest event by its own time, not by when it was recorded; ties are broken by text."""
        if kind not in self._kinds:
            return None
        found = (event for (name, attempt), event in self._latest.items() if name == kind and holds(attempt))
        return max(found, key=_rank, default=None)

    def _add_execution(self, event: OrderEvent) -> None:
        shares = _exact(event.quantity)
        if event.exec_id is None or shares is None or shares < 0:
            return
        family, revision = execution_family(event.exec_id)
        self._is_corrected |= revision > 1
        before = self._greatest.get(family, 0)
        self._greatest[family] = max(shares, before)
        self._seen += max(shares - before, 0)
        price = _exact(event.price)
        found = _Execution(revision, event.exec_id, shares, price or 0, price is not None)
        known = self._executions.get(family)
        if known is None or found > known:
            if known is not None:
                self._count(known, -1)
            self._executions[family] = found
            self._count(found, 1)

    def _count(self, execution: _Execution, sign: int) -> None:
        """Add an execution to the totals, or subtract it again; a busted one does not count."""
        if not execution.shares:
            return
        self._shares += sign * execution.shares
        self._priced += sign * execution.shares * execution.is_priced
        self._value += sign * execution.shares * execution.price
        self._unpriced += sign * (not execution.is_priced)
        if sign > 0 and execution.exec_id not in self._charged_ids:
            self._uncharged.add(execution.exec_id)
        else:
            self._uncharged.discard(execution.exec_id)
        if execution.exec_id in self._fees:
            self._charged += sign * self._fees[execution.exec_id]
            self._charges += sign

    def _add_fee(self, event: OrderEvent) -> None:
        fee, name = _exact(event.commission), event.exec_id
        if name is not None:
            self._charged_ids.add(name)
            self._uncharged.discard(name)
        if fee is None or name is None:
            return
        before = self._fees.get(name)
        self._fees[name] = fee if before is None else max(fee, before)
        known = self._executions.get(execution_family(name)[0])
        if known is not None and known.exec_id == name and known.shares:
            self._charged += self._fees[name] - (before or 0)
            self._charges += before is None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Input of the rules: filled and requested shares, which events there are, and their contents.

    ``seen`` are the shares of all executions that were ever on record, ``reported`` the filled shares according to
    the statuses, ``completed`` those according to a status that calls the order filled with nothing remaining;
    ``is_settled`` whether there are corrections on record and a completed order counts what is filled with them;
    ``is_cancel_counted`` and ``is_reject_counted`` whether a report of its end counts its fills; ``sender`` is the
    client id that sent the order, ``sent`` the shares it was sent for.
    """

    filled: int
    requested: int
    seen: int
    reported: int
    completed: int
    is_settled: bool
    is_cancel_counted: bool
    is_reject_counted: bool
    sender: int | None
    sent: int
    kinds: AbstractSet[str]
    statuses: AbstractSet[str | None]
    codes: dict[str, str]
    resolved: OrderEvent | None
    unknown: OrderEvent | None
    missing: OrderEvent | None
    held_back: OrderEvent | None
    waiting: OrderEvent | None
    is_under_way: bool
    is_rejected: bool

    @property
    def is_ended(self) -> bool:
        """Whether the broker has ended the order without reporting it filled."""
        return (self.is_rejected or "CANCELLED" in self.statuses) and "FILLED" not in self.statuses

    @property
    def is_counted(self) -> bool:
        """Whether the broker has reported how many shares were filled at the end.

        None were if it rejected the order without ever accepting it.
        """
        if self.is_cancel_counted:
            return True
        was_accepted = self.filled > 0 or "SUBMITTED" in self.statuses
        return self.is_rejected and (self.is_reject_counted or not was_accepted)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the broker has ended the order, and shares may be filled that are not on record."""
        return self.is_ended and not self.is_settled and (self.reported > self.seen or not self.is_counted)

    @property
    def is_completed(self) -> bool:
        """Whether the broker calls the order filled, with nothing left, and all its executions are on record."""
        if self.is_settled and "FILLED" in self.statuses:
            return True
        return self.completed > 0 and self.reported <= self.seen

    def reason_of_completion(self) -> str:
        """Why an order that the broker calls filled has fewer shares than were ordered."""
        is_corrected = self.filled < max(self.seen, self.reported) or not self.filled
        return "executions_corrected" if is_corrected else "quantity_reduced"

    def how_to_confirm(self) -> str:
        """Say what is missing, and which client can get it."""
        who = "the client id that" if self.sender is None else f"client id {self.sender}, which"
        text = "ended at the broker, which has not reported how many shares were filled"
        if self.reported > self.seen:
            reported, seen = _text(self.reported), _text(self.seen)
            text = f"ended at the broker with {reported} shares filled, {seen} of them on record"
        return f"{text}; resume with {who} placed it"

    def decided_status(self) -> str:
        """Status decided by a person: one of two final ones; anything else is ignored."""
        status = self.resolved.status if self.resolved else None
        return status if status in ("CANCELLED", "REJECTED") else "UNKNOWN"

    def reason_of_cancel(self) -> str:
        """Distinguish a cancel that we requested from one by the broker; the broker's own code comes first."""
        default = "cancel_requested" if "cancel_requested" in self.kinds else "cancelled"
        return self.codes.get("status/CANCELLED", default)


def _text(shares: int) -> str:
    """Write hundred-millionths as a number of shares, as the SQL of the ``orders`` view does."""
    return f"{shares // _SCALE}.{shares % _SCALE:08d}".rstrip("0").rstrip(".")


def _rank(event: OrderEvent) -> tuple[int, str, str, str]:
    when = _NEVER if event.occurred_at is None else (event.occurred_at - _EPOCH) // _MICROSECOND
    return when, event.code or "", event.message or "", event.status or ""


def _is_put_aside(waiting: OrderEvent | None) -> TypeGuard[OrderEvent]:
    return waiting is not None and waiting.status == "WAITING" and waiting.code == INACTIVE


class _Rule(NamedTuple):
    """One line of the table: the state, when it applies, and the reason to show."""

    state: str
    applies: Callable[[_Evidence], bool]
    reason: Callable[[_Evidence], str | None] = lambda _: None


_RULES = (  # the first rule that applies gives the state
    _Rule("FILLED", lambda e: 0 < e.filled >= e.requested),
    _Rule("RESOLVED", lambda e: e.resolved is not None, lambda e: e.resolved.message if e.resolved else None),
    # What was not sent of an approved order, for lack of cash, will not be traded.
    _Rule("REDUCED", lambda e: 0 < e.filled >= e.sent and e.reported <= e.seen, lambda e: e.codes.get("sending")),
    # An order whose fills are not all on record has not ended: they would arrive late, and a replacement ordered
    # meanwhile would be bought twice.
    _Rule("UNCONFIRMED", lambda e: e.is_unconfirmed, _Evidence.how_to_confirm),
    # A broker reports an order that it rejects as cancelled, before or after it gives the reason. An order that it
    # reports as filled has not ended until its executions are here, whatever else is reported: they may be late.
    _Rule(
        "REJECTED",
        lambda e: e.is_ended and e.is_rejected and not e.filled,
        lambda e: e.codes.get("rejected"),
    ),
    # A partial fill with the rest rejected has ended the order too.
    _Rule("CANCELLED", lambda e: e.is_ended and e.is_rejected, lambda e: e.codes.get("rejected")),
    _Rule("CANCELLED", lambda e: e.is_ended, _Evidence.reason_of_cancel),
    # Called filled with fewer shares than were ordered: the rest is not at the broker any more.
    _Rule("CANCELLED", lambda e: e.is_completed, _Evidence.reason_of_completion),
    _Rule("MISSING", lambda e: e.missing is not None, lambda e: e.missing.message if e.missing else None),
    # An order that waited for a later time trades now; one that was put aside may have traded before.
    _Rule("PARTIAL", lambda e: e.filled > 0, lambda e: e.waiting.message if _is_put_aside(e.waiting) else None),
    _Rule("AWAITING_EXECUTIONS", lambda e: "FILLED" in e.statuses),
    _Rule("WORKING", lambda e: bool(e.statuses), lambda e: e.waiting.message if e.waiting else None),
    # A sent order may still be working, whatever we refused afterwards.
    _Rule("UNKNOWN", lambda e: e.unknown is not None, lambda e: e.unknown.message if e.unknown else None),
    _Rule("SENDING", lambda e: e.is_under_way),
    _Rule("REFUSED", lambda e: "refused" in e.kinds, lambda e: e.codes.get("refused")),
    _Rule("NOT_APPROVED", lambda e: "not_approved" in e.kinds, lambda e: e.codes.get("not_approved")),
    _Rule("WITHDRAWN", lambda e: "withdrawn" in e.kinds, lambda e: e.codes.get("withdrawn")),
    _Rule("INTENT", lambda e: "intent" in e.kinds, lambda e: e.held_back.message if e.held_back else None),
    _Rule("PLANNED", lambda _: True),
)


def derive_run_status(
    statuses: Collection[str],
    *,
    any_filled: bool,
    started: bool = True,
    ended: bool = True,
    blocked: bool = False,
    cancelled: bool = False,
) -> str:
    """Status of a run from the statuses of its orders and the events of the run.

    Parameters
    ----------
    statuses : status of every order of the plan
    any_filled : whether any share was traded
    started, ended, blocked, cancelled : whether the run reached the broker, finished, was prevented from sending,
        was cancelled by a person

    Examples
    --------
    >>> derive_run_status(["FILLED", "REJECTED"], any_filled=True)
    'partial'
    >>> derive_run_status(["FILLED", "FILLED"], any_filled=True)
    'done'
    >>> derive_run_status(["CANCELLED"], any_filled=False)
    'failed'
    >>> derive_run_status(["NEW"], any_filled=False, started=False, ended=False)
    'queued'
    >>> derive_run_status(["REJECTED", "CANCELLED"], any_filled=False, started=False)
    'blocked'
    """
    if not started:
        return _status_before_start(statuses, blocked=blocked, cancelled=cancelled)
    if not ended:
        return "running"
    if all(status == "FILLED" for status in statuses):
        return "done"
    if any_filled:
        return "partial"
    return "cancelled" if cancelled else "failed"


def _status_before_start(statuses: Collection[str], *, blocked: bool, cancelled: bool) -> str:
    """Status of a run that has sent nothing: not yet, or never, because no order may be sent."""
    known = set(statuses)
    if cancelled or known == {"CANCELLED"}:
        return "cancelled"
    return "blocked" if blocked or (known and known <= {"CANCELLED", "REJECTED"}) else "queued"
