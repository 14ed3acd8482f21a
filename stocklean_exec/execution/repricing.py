"""What to do next with an order that is worked, and at which limit. Pure.

The decision follows from the terms of the order, from what is on record about it, and from the time: a process
that continues a run decides as the one that began it would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from stocklean_exec.execution.work_policy import MOST_AT_DEADLINE
from stocklean_exec.schema.frame_validator import is_missing
from stocklean_exec.schema.price_steps import PRICE_STEPS, steps_at
from stocklean_exec.schema.prices import is_usable, round_to_tick, tick_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from stocklean_exec.blotter.events import OrderEvent
    from stocklean_exec.execution.work_policy import RepriceTo, WorkTerms

__all__ = [
    "ANSWER_SECONDS",
    "AT_DEADLINE",
    "REPRICE",
    "Messages",
    "OrderProgress",
    "Step",
    "WorkingQuote",
    "is_change",
    "marketable_limit",
    "next_step",
    "progress_of",
    "repriced_limit",
    "working_quotes",
]

REPRICE, AT_DEADLINE = "reprice", "deadline"
"""Codes of ``modifying`` events, and of the message that announces the cancel at a deadline."""

ANSWER_SECONDS = 5.0
"""How long an answer to a change is waited for before the broker is queried: a choice; TWS answers within one."""
_QUOTE_SECONDS = timedelta(seconds=2)  # age of a quote beyond which no limit is changed: a stated choice
_LIVE = 1  # data type of live quotes: TWS API documentation, "Market Data Types"
_NOISE = 1e-9  # of a price: floating-point noise

Action = Literal["wait", "reprice", "finish", "query", "done"]


class Step(NamedTuple):
    """The next thing to do with an order: now, or ``at`` a time (``wait``; None where only news can change it)."""

    action: Action
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """What is on record about the work on one order.

    ``sent_at`` when it was sent; ``reprices`` changes of its limit before the deadline, ``finishes`` those at it;
    ``changed_at`` when the latest change was recorded; ``pending`` the number of a change that has no answer yet;
    ``limit`` the limit that it has at the broker, as far as is known; ``messages`` and ``executions`` for its
    efficiency ratio; ``can_cancel`` whether it is at the broker and no cancel was requested,
    ``can_change`` whether it also trades now, and does not wait for a later time.
    """

    sent_at: datetime | None
    reprices: int = 0
    finishes: int = 0
    changed_at: datetime | None = None
    changes: int = 0
    pending: int = 0
    limit: float = math.nan
    messages: int = 0
    executions: int = 0
    can_change: bool = False
    can_cancel: bool = False


@dataclass(slots=True)
class Messages:
    """Messages and executions of the account's day, for its efficiency ratio.

    Examples
    --------
    >>> Messages(sent=39, executions=1).allows(20.0, working=0), Messages(sent=40, executions=1).allows(20.0, 0)
    (True, False)
    """

    sent: int = 0
    executions: int = 0

    def allows(self, limit: float | None, working: int) -> bool:
        """Whether one more message keeps the ratio, with every working order counted as one execution."""
        return limit is None or self.sent + 1 <= limit * (self.executions + working + 1)


def progress_of(
    events: Iterable[OrderEvent], limit: float, *, can_change: bool, can_cancel: bool = False
) -> OrderProgress:
    """Read the progress of an order from its events, in the sequence of their recording.

    Parameters
    ----------
    limit : that it was sent with

    Examples
    --------
    >>> from stocklean_exec.blotter.events import OrderEvent
    >>> change = OrderEvent("modifying", attempt=1, price=100.01, code="reprice")
    >>> done = progress_of([change, OrderEvent("modified", attempt=1)], 100.0, can_change=True)
    >>> done.limit, done.reprices, done.pending
    (100.01, 1, 0)
    """
    sent_at = changed_at = None
    changes: dict[int, OrderEvent] = {}
    confirmed, refused, executions = 0, set(), set()
    messages = 0
    for event in events:
        if event.kind == "sending":
            sent_at, messages = event.occurred_at, messages + 1
        elif event.kind == "modifying" and event.attempt:
            changes[event.attempt], changed_at, messages = event, event.occurred_at, messages + 1
        elif event.kind == "modified" and event.attempt:
            confirmed = max(confirmed, event.attempt)
        elif event.kind == "modify_refused" and event.attempt:
            refused.add(event.attempt)
        elif event.kind == "cancel_requested":
            messages += 1
        elif event.kind == "execution":
            executions.add(event.exec_id)
    latest = max(changes, default=0)
    is_answered = latest <= confirmed or latest in refused
    shown = changes.get(confirmed)
    codes = [event.code for event in changes.values()]
    return OrderProgress(
        sent_at=sent_at,
        reprices=codes.count(REPRICE),
        finishes=codes.count(AT_DEADLINE),
        changed_at=changed_at,
        changes=latest,
        pending=0 if is_answered else latest,
        limit=limit if shown is None or shown.price is None else shown.price,
        messages=messages,
        executions=len(executions),
        can_change=can_change,
        can_cancel=can_cancel or can_change,
    )


def next_step(
    terms: WorkTerms, progress: OrderProgress, now: datetime, *, not_before: Mapping[str, datetime] | None = None
) -> Step:
    """Decide what to do next with an order that was sent and has not ended.

    Parameters
    ----------
    not_before : by action, when to try one again that was not possible, or would have changed nothing

    Examples
    --------
    >>> from datetime import UTC
    >>> from stocklean_exec.execution.work_policy import WorkTerms
    >>> sent = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
    >>> terms = WorkTerms(start=sent, reprice_seconds=10, reprices=1, deadline=sent + timedelta(seconds=60))
    >>> progress = OrderProgress(sent, can_change=True)
    >>> next_step(terms, progress, sent).at == sent + timedelta(seconds=10)
    True
    >>> next_step(terms, progress, sent + timedelta(seconds=10)).action
    'reprice'
    >>> next_step(terms, progress, sent + timedelta(seconds=60)).action
    'finish'
    """
    if progress.pending and progress.changed_at is not None:
        answer_by = progress.changed_at + timedelta(seconds=ANSWER_SECONDS)
        return Step("query") if now >= answer_by else Step("wait", answer_by)
    held = not_before or {}
    if progress.sent_at is None:
        return Step("wait")
    if not progress.can_change:
        return _until_it_trades(terms, progress, now, held.get("finish", now))
    if terms.deadline is not None and now >= terms.deadline:
        return _finish(terms, progress, now, held.get("finish", now))
    due_at = _reprice_at(terms, progress)
    if due_at is not None:
        due_at = max(due_at, held.get("reprice", due_at))
        if due_at <= now:
            return Step("reprice")
    ends_at = None if terms.at_deadline == "leave" else terms.deadline
    if terms.deadline is not None and due_at is not None and due_at >= terms.deadline:
        due_at = None
    moments = [moment for moment in (due_at, ends_at) if moment is not None]
    return Step("wait", min(moments)) if moments else Step("done")


def _until_it_trades(terms: WorkTerms, progress: OrderProgress, now: datetime, at: datetime) -> Step:
    """What to do with an order that does not trade yet: it is only cancelled, at its deadline."""
    if not progress.can_cancel or terms.deadline is None or terms.at_deadline not in ("cancel", "MKT"):
        return Step("wait")
    at = max(at, terms.deadline)
    return Step("finish") if now >= at else Step("wait", at)


def _finish(terms: WorkTerms, progress: OrderProgress, now: datetime, at: datetime) -> Step:
    is_marketable = terms.at_deadline == "marketable"
    if terms.at_deadline == "leave":
        return Step("done")
    if is_marketable and (progress.finishes >= MOST_AT_DEADLINE or not _has_room(terms, progress, 2)):
        return Step("done")
    if is_marketable and progress.finishes and progress.changed_at is not None:
        at = max(at, progress.changed_at + timedelta(seconds=ANSWER_SECONDS))
    return Step("finish") if now >= at else Step("wait", at)


def _reprice_at(terms: WorkTerms, progress: OrderProgress) -> datetime | None:
    """When the next change is due; None if there is none."""
    if terms.reprice_seconds is None or progress.sent_at is None:
        return None
    if terms.reprices is not None and progress.reprices >= terms.reprices:
        return None
    # The change itself, the cancel that may follow, and where there is one that of the deadline.
    ends = terms.deadline is not None and terms.at_deadline == "marketable"
    if not _has_room(terms, progress, 2 + ends):
        return None
    since = progress.changed_at or progress.sent_at
    return since + timedelta(seconds=terms.reprice_seconds)


def _has_room(terms: WorkTerms, progress: OrderProgress, more: int) -> bool:
    """Whether ``more`` messages keep the order's own efficiency ratio."""
    limit = terms.max_efficiency_ratio
    return limit is None or progress.messages + more <= limit * (progress.executions + 1)


# -- limits --------------------------------------------------------------------------------------------------


class WorkingQuote(NamedTuple):
    """The market in one symbol when a limit is changed; NaN and None are unknown."""

    bid: float
    ask: float
    last: float
    step: float
    quoted_at: datetime | None
    data_type: int | None

    def problem(self, now: datetime, *, ages: bool) -> str:
        """Why no limit can be set by it; empty if one can.

        ``ages`` is False where the market stands still: its quotes do not grow old.
        """
        if self.data_type not in (None, _LIVE) or (ages and self.data_type is None):
            return "the quote is not live"
        if ages and (self.quoted_at is None or now - self.quoted_at > _QUOTE_SECONDS):
            age = None if self.quoted_at is None else (now - self.quoted_at).total_seconds()
            return "the age of the quote is unknown" if age is None else f"the quote is {age:.1f} s old"
        if not 0 < self.bid <= self.ask < math.inf:
            return f"bid {self.bid:g} and ask {self.ask:g} are no market"
        return ""


def working_quotes(quotes: pd.DataFrame) -> dict[str, WorkingQuote]:
    """Read a validated table of quotes, with the price step at each mid."""
    bid, ask, last = (_usable(quotes[name].tolist()) for name in ("bid", "ask", "last"))
    mids = [(low + high) / 2 for low, high in zip(bid, ask, strict=True)]
    texts: Sequence[object] = (
        quotes[PRICE_STEPS].tolist() if PRICE_STEPS in quotes.columns else [None] * len(quotes)
    )
    usual = tick_sizes(mids).tolist()
    steps = [by if math.isnan(own) else own for own, by in zip(steps_at(mids, texts).tolist(), usual, strict=True)]
    times = [None if is_missing(moment) else moment for moment in quotes["quoted_at"].tolist()]
    given: list[Any] = quotes["data_type"].tolist() if "data_type" in quotes.columns else [None] * len(quotes)
    kinds = [None if is_missing(kind) else int(kind) for kind in given]
    rows = zip(bid, ask, last, steps, times, kinds, strict=True)
    return dict(zip(quotes["symbol"].tolist(), map(WorkingQuote._make, rows), strict=True))


def _usable(values: list[float]) -> list[float]:
    array = np.asarray(values, dtype="float64")
    return [float(value) for value in np.where(is_usable(array), array, math.nan)]


def repriced_limit(side: str, to: RepriceTo, quote: WorkingQuote) -> float:
    """Limit at the mid, the near or the far touch, on a price step of the passive side.

    Examples
    --------
    >>> quote = WorkingQuote(100.00, 100.03, 100.01, 0.01, None, 1)
    >>> [repriced_limit("BUY", to, quote) for to in ("mid", "near", "far")], repriced_limit("SELL", "mid", quote)
    ([100.01, 100.0, 100.03], 100.02)
    """
    is_buy = side == "BUY"
    near, far = (quote.bid, quote.ask) if is_buy else (quote.ask, quote.bid)
    price = {"mid": (quote.bid + quote.ask) / 2, "near": near, "far": far}[to]
    return float(round_to_tick([price], [quote.step], [is_buy])[0])


def marketable_limit(side: str, quote: WorkingQuote, collar_bps: float) -> float:
    """Limit beyond the far touch by a collar, on a price step inside it; never short of the touch.

    Examples
    --------
    >>> quote = WorkingQuote(100.00, 100.03, 100.01, 0.01, None, 1)
    >>> marketable_limit("BUY", quote, 50.0), marketable_limit("SELL", quote, 50.0)
    (100.53, 99.5)
    """
    is_buy = side == "BUY"
    touch = quote.ask if is_buy else quote.bid
    room = collar_bps / 10_000
    price = touch * (1 + room if is_buy else 1 - room)
    limit = float(round_to_tick([price], [quote.step], [is_buy])[0])
    return max(limit, touch) if is_buy else min(limit, touch)


def is_change(limit: float, before: float, step: float) -> bool:
    """Whether a limit differs from the one before by at least a price step.

    Examples
    --------
    >>> is_change(100.01, 100.0, 0.01), is_change(100.004, 100.0, 0.01)
    (True, False)
    """
    return not abs(limit - before) < step - _NOISE * max(abs(limit), 1.0)
