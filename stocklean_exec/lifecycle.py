"""What the recorded facts say about an order and a run.

A state is a pure function of the *set* of facts: their sequence and repetition change nothing, so late,
repeated and reordered reports are harmless. Executions count most; then a person's decision; then the broker's
last word; then what we did. The rules stand in one table, in that sequence.

Quantities are added up exactly, in hundred-millionths of a share; the average price is computed from the
executions and never carried along. A number is usable when it is finite and below a billion. An execution
without a usable quantity stays on record and counts for nothing; one without a usable price counts with its
shares, and leaves the average unknown. One of no shares is a bust: it takes away the execution it corrects.

The blotter's ``orders`` and ``runs`` views say the same in SQL; a test holds the two against each other on
random histories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.facts import Fact, execution_family, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

__all__ = ["ENDED", "STATUS_OF_STATE", "OrderState", "derive_order", "derive_run_status"]

STATUS_OF_STATE = {
    "PLANNED": "NEW",  # a row of a plan
    "INTENT": "NEW",  # durable, may be sent
    "SENDING": "UNKNOWN",  # handed over, and the broker has not answered yet
    "UNKNOWN": "UNKNOWN",  # looked for, and nothing tells
    "MISSING": "UNKNOWN",  # the broker had it, has it no more, and does not tell how it ended
    "WORKING": "SUBMITTED",  # the broker has it
    "AWAITING_EXECUTIONS": "SUBMITTED",  # the broker says filled, its executions have not all come
    "PARTIAL": "PARTIAL",
    "FILLED": "FILLED",
    "CANCELLED": "CANCELLED",
    "NOT_APPROVED": "CANCELLED",
    "REFUSED": "REJECTED",  # by us, before it was sent
    "REJECTED": "REJECTED",  # by the broker
}
"""The finer state behind each order status. A person's resolution sets the status itself."""

ENDED = frozenset({"FILLED", "CANCELLED", "REJECTED"})
"""Order statuses after which nothing more is waited for."""

_SCALE = 10**8
_LIMIT = 10**9  # no price, fee or quantity of shares is a billion; such a number is damage
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = -(2**62)  # before every time there is: a fact that does not say when it happened


@dataclass(frozen=True, slots=True, eq=False)
class OrderState:
    """Where an order stands.

    ``filled`` in shares, ``avg_fill_price`` per share (NaN without a fill), ``commission`` the sum of those
    reported (NaN until one is), ``reason`` why it was rejected or cancelled.
    """

    state: str
    status: str
    filled: float
    avg_fill_price: float
    commission: float
    reason: str | None

    def __eq__(self, other: object) -> bool:
        # A number that is not known is the same as one that is not known; NaN by itself is not.
        return repr(self) == repr(other) if isinstance(other, OrderState) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def has_ended(self) -> bool:
        """Whether the order is filled, cancelled or rejected."""
        return self.status in ENDED


def derive_order(quantity: float, facts: Iterable[Fact]) -> OrderState:
    """State of an order of ``quantity`` shares from the facts about it.

    Examples
    --------
    >>> fills = [
    ...     Fact("execution", exec_id="0000e0d5.67fe667b.01.01", quantity=4, price=100.0),
    ...     Fact("execution", exec_id="0000e0d5.67fe667c.01.01", quantity=6, price=110.0),
    ... ]
    >>> derive_order(10, fills[:1]).status, derive_order(10, fills[:1]).avg_fill_price
    ('PARTIAL', 100.0)
    >>> derive_order(10, fills) == derive_order(10, [*reversed(fills), *fills])
    True
    >>> derive_order(10, fills).status, derive_order(10, fills).avg_fill_price
    ('FILLED', 106.0)
    """
    known = [plain(fact) for fact in facts]
    shares, average, commission = _executed(known)
    evidence = _Evidence.of(known, shares, _scaled(quantity) if math.isfinite(quantity) else 0)
    rule = next(rule for rule in _RULES if rule.applies(evidence))
    status = STATUS_OF_STATE.get(rule.state) or evidence.decided_status()
    return OrderState(rule.state, status, shares / _SCALE, average, commission, rule.reason(evidence))


def _scaled(value: float) -> int:
    """Round to hundred-millionths, a half away from zero, as DuckDB does."""
    scaled = value * _SCALE
    whole = math.trunc(scaled)
    part = scaled - whole
    return whole + (part >= 0.5) - (part <= -0.5)  # noqa: PLR2004 - a half


def _exact(value: float | None) -> int | None:
    """Give a usable number in hundred-millionths, any other as None."""
    if value is None or not abs(value) < _LIMIT:
        return None
    scaled = _scaled(value)
    return scaled if abs(scaled) < _LIMIT * _SCALE else None


class _Execution(NamedTuple):
    """One execution; the greatest of a family counts."""

    revision: int
    exec_id: str
    shares: int
    price: int
    is_priced: bool


def _latest(facts: list[Fact]) -> dict[str, _Execution]:
    """Executions by id in their latest correction, without the busted ones."""
    latest: dict[str, _Execution] = {}
    for fact in facts:
        shares = _exact(fact.quantity)
        if fact.kind != "execution" or fact.exec_id is None or shares is None or shares < 0:
            continue
        family, revision = execution_family(fact.exec_id)
        price = _exact(fact.price)
        found = _Execution(revision, fact.exec_id, shares, price or 0, price is not None)
        latest[family] = max(latest.get(family, found), found)
    return {execution.exec_id: execution for execution in latest.values() if execution.shares}


def _executed(facts: list[Fact]) -> tuple[int, float, float]:
    """Shares (scaled), average price and commission of the latest correction of each execution."""
    fills = _latest(facts)
    shares = sum(fill.shares for fill in fills.values())
    value = sum(fill.shares * fill.price for fill in fills.values())
    is_priced = bool(fills) and all(fill.is_priced for fill in fills.values())
    charged: dict[str, int] = {}
    for fact in facts:
        fee = _exact(fact.commission)
        if fact.kind == "commission" and fact.exec_id in fills and fee is not None:
            charged[fact.exec_id] = max(fee, charged.get(fact.exec_id, fee))
    average = float(Fraction(value, shares * _SCALE)) if is_priced else math.nan
    return shares, average, sum(charged.values()) / _SCALE if charged else math.nan


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the rules ask about: shares filled and asked for, which facts there are, and what they say."""

    filled: int
    asked: int
    kinds: frozenset[str]
    statuses: frozenset[str | None]
    codes: dict[str, str]
    resolved: Fact | None
    unknown: Fact | None
    missing: Fact | None
    is_under_way: bool
    is_rejected: bool

    @classmethod
    def of(cls, facts: list[Fact], filled: int, asked: int) -> _Evidence:
        not_sent = _attempts(facts, "not_sent")
        last_found = max(_attempts(facts, "found"), default=-1)
        statuses = frozenset(fact.status for fact in facts if fact.kind == "status")
        lives = filled > 0 or "SUBMITTED" in statuses
        codes: dict[str, str] = {}
        for fact in facts:
            name = f"{fact.kind}/{fact.status}" if fact.kind == "status" else fact.kind
            if fact.code:
                codes[name] = max(fact.code, codes.get(name, ""))
        return cls(
            filled=filled,
            asked=asked,
            kinds=frozenset(fact.kind for fact in facts),
            statuses=statuses,
            codes=codes,
            resolved=_last(fact for fact in facts if fact.kind == "resolved"),
            unknown=_last(
                fact for fact in facts if fact.kind == "unknown" and (fact.attempt or 0) not in not_sent
            ),
            missing=_last(fact for fact in facts if fact.kind == "missing" and (fact.attempt or 0) > last_found),
            is_under_way=bool(_attempts(facts, "sending") - not_sent),
            # Some refusals count only as long as nothing has shown that the broker has the order.
            is_rejected=any(fact.kind == "rejected" and not (lives and fact.status == "UNSEEN") for fact in facts),
        )

    def decided_status(self) -> str:
        """Status by a person's word: dead, in one of two ways; any other word tells nothing."""
        status = self.resolved.status if self.resolved else None
        return status if status in ("CANCELLED", "REJECTED") else "UNKNOWN"

    def reason_of_cancel(self) -> str:
        """Tell a cancel that we asked for from one that the broker made, by its own code where it gave one."""
        asked = "cancel_requested" if "cancel_requested" in self.kinds else "cancelled"
        return self.codes.get("status/CANCELLED", asked)


def _attempts(facts: list[Fact], kind: str) -> set[int]:
    return {fact.attempt or 0 for fact in facts if fact.kind == kind}


def _last(facts: Iterable[Fact]) -> Fact | None:
    """Latest fact by its own time, not by when it was told; ties go by text."""
    return max(facts, key=_rank, default=None)


def _rank(fact: Fact) -> tuple[int, str, str, str]:
    when = _NEVER if fact.occurred_at is None else (fact.occurred_at - _EPOCH) // _MICROSECOND
    return when, fact.code or "", fact.message or "", fact.status or ""


class _Rule(NamedTuple):
    """One line of the table: the state, when it applies, and why the order is where it is."""

    state: str
    applies: Callable[[_Evidence], bool]
    reason: Callable[[_Evidence], str | None] = lambda _: None


_RULES = (  # the first that applies is the answer
    _Rule("FILLED", lambda e: 0 < e.filled >= e.asked),
    _Rule("RESOLVED", lambda e: e.resolved is not None, lambda e: e.resolved.message if e.resolved else None),
    # A broker shows an order that it rejects as cancelled, before or after it says why. One that it reports as
    # filled is not over until its executions are here, whatever else is said: they would come late.
    _Rule(
        "REJECTED",
        lambda e: e.is_rejected and not e.filled and "FILLED" not in e.statuses,
        lambda e: e.codes.get("rejected"),
    ),
    # One that fills a part and refuses the rest has ended the order all the same.
    _Rule(
        "CANCELLED",
        lambda e: e.is_rejected and "FILLED" not in e.statuses,
        lambda e: e.codes.get("rejected"),
    ),
    _Rule(
        "CANCELLED",
        lambda e: "CANCELLED" in e.statuses and "FILLED" not in e.statuses,
        _Evidence.reason_of_cancel,
    ),
    _Rule("MISSING", lambda e: e.missing is not None, lambda e: e.missing.message if e.missing else None),
    _Rule("PARTIAL", lambda e: e.filled > 0),
    _Rule("AWAITING_EXECUTIONS", lambda e: "FILLED" in e.statuses),
    _Rule("WORKING", lambda e: bool(e.statuses)),
    # What was handed over may be alive, whatever we refused afterwards.
    _Rule("UNKNOWN", lambda e: e.unknown is not None, lambda e: e.unknown.message if e.unknown else None),
    _Rule("SENDING", lambda e: e.is_under_way),
    _Rule("REFUSED", lambda e: "refused" in e.kinds, lambda e: e.codes.get("refused")),
    _Rule("NOT_APPROVED", lambda e: "not_approved" in e.kinds, lambda e: e.codes.get("not_approved")),
    _Rule("INTENT", lambda e: "intent" in e.kinds),
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
    """Status of a run from those of its orders and from what happened to it.

    Parameters
    ----------
    statuses : status of every order of the plan
    any_filled : whether any share was traded
    started, ended, blocked, cancelled : whether the run reached the broker, stopped watching, was kept from
        sending, was cancelled by a person

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
    """Nothing was sent: not yet, or never, because a person or a check left no order to send."""
    known = set(statuses)
    if cancelled or known == {"CANCELLED"}:
        return "cancelled"
    return "blocked" if blocked or (known and known <= {"CANCELLED", "REJECTED"}) else "queued"
