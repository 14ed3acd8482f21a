"""Query the broker for the orders of a run, and record the conclusions.

Queries are repeated until nothing new is reported, and for as long as an order may still be in flight. Then
:mod:`~stocklean_exec.execution.recovery_rules` decides about each order. Orders that the broker has are adopted.
Orders that are provably not there may be sent. All others are recorded as unknown, with the evidence. Orders that
this blotter never sent, but another process may have sent, are held back.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.execution.recovery_rules import EARLIER_DAY, Conclusion, decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_history import IdTrail, OrderHistory
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.brokers.evidence import Evidence
    from stocklean_exec.execution.run_state import RunState

__all__ = ["Recovered", "Recovery", "Restrictions"]

_QUIET_ROUNDS = 2  # a stated choice: one quiet query could miss reports that were queued behind its end marker
_MOST_ROUNDS = 100  # a stated choice: ends the queries to a broker that reports something new each time
_PAUSE = (
    1.0  # seconds between queries; a stated choice, so that a recovery does not use up the message rate of TWS
)
_SHOWN = 5  # ids in one error text
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_UNSENT = frozenset({"send", "hold"})
_IN_DOUBT = frozenset({"resend", "unknown", "missing", "adopt", "await"})


class Recovered(NamedTuple):
    """What may be sent: orders that were never sent, and orders to resend with their old order id.

    ``held`` are orders that this blotter never sent and that must not be sent now, with the reason for each.
    """

    session: int
    unsent: list[str]
    again: list[str]
    held: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What prevents a first submission in addition to the evidence.

    ``cleared`` orders that only this process can have sent since they were planned; ``expired`` why the approval
    of an order no longer counts, by client order id; ``overtaken`` why the whole plan is out of date, if it is.
    """

    cleared: frozenset[str] = frozenset()
    expired: Mapping[str, str] = field(default_factory=dict)
    overtaken: str = ""


class Recovery:
    """Reconciles one run with its broker.

    Parameters
    ----------
    record : the run's orders with their current state
    in_flight_seconds : how long an order may be in flight; only after that does its absence prove anything
    resend : whether an order whose id is unused may be sent again
    is_new : whether this run has just been planned: the broker must not know it yet
    restrictions : what else prevents a first submission
    """

    def __init__(
        self,
        broker: Broker,
        blotter: Blotter,
        record: RunState,
        *,
        in_flight_seconds: float,
        resend: bool,
        is_new: bool,
        restrictions: Restrictions | None = None,
    ) -> None:
        self._broker, self._blotter, self._record = broker, blotter, record
        self._in_flight_seconds, self._resend, self._is_new = in_flight_seconds, resend, is_new
        self._restrictions = restrictions or Restrictions()

    async def run(self) -> Recovered:
        """Collect evidence, decide, record; return what may be sent.

        Raises
        ------
        ConnectionLostError
            The connection was lost before the broker had reported everything. What it reported is on record.
        RunElsewhereError
            The broker has orders of this run that are not on record here.
        """
        record, broker = self._record, self._broker
        session = broker.session
        if not self._needs_evidence():
            return Recovered(session, [name for name in record.names if self._state(name) == "INTENT"], [], {})
        histories = [record.history(name) for name in record.names]
        broker.adopt(record.run_id, [one for one in histories if one.last_sending is not None or one.is_adopted])
        evidence = await self._collect()
        self._refuse_foreign_orders(evidence)
        conclusions = self._decide(evidence)
        adopted = [name for name, one in conclusions.items() if one.action == "adopt"]
        if adopted:  # the broker has orders that this blotter never sent: the blotter is an old copy
            broker.adopt(record.run_id, [record.history(name) for name in adopted])
            evidence = await self._collect()
            conclusions = self._decide(evidence)
        conclusions = await self._with_clock(conclusions)
        await record.put([*self._session_event(evidence), *self._events_of(conclusions)])
        held = {name: one.why for name, one in conclusions.items() if one.action == "hold"}
        record.hold(held)
        again = [name for name, one in conclusions.items() if one.action == "resend" and self._resend]
        again.sort(key=self._last_id)
        broker.allow_again(again)
        return Recovered(session, [name for name, one in conclusions.items() if one.action == "send"], again, held)

    async def _with_clock(self, conclusions: dict[str, Conclusion]) -> dict[str, Conclusion]:
        """Say that the clock of this computer is wrong, where a conclusion is about an earlier day."""
        if not any(EARLIER_DAY in one.why for one in conclusions.values()):
            return conclusions
        hours = await self._broker.clock_lead() / 3600
        if abs(hours) < 1:
            return conclusions
        text = f"; the clock of this computer is {abs(hours):,.0f} h {'ahead of' if hours > 0 else 'behind'} TWS"
        return {
            name: one._replace(why=one.why + text) if EARLIER_DAY in one.why else one
            for name, one in conclusions.items()
        }

    def _needs_evidence(self) -> bool:
        """Whether the broker must be queried: not for a new run if no other process can reach the broker."""
        return self._broker.lock_account is not None or not self._is_new

    def _state(self, name: str) -> str:
        return self._record.history(name).state

    def _last_id(self, name: str) -> int:
        sent = self._record.history(name).last_sending
        return (sent.order_id or 0) if sent else 0

    async def _collect(self) -> Evidence:
        """Query until two rounds in a row report nothing new, and for as long as an order may be in flight."""
        loop, quiet = asyncio.get_running_loop(), 0
        until = loop.time() + self._in_flight_seconds
        for number in range(1, _MOST_ROUNDS + 1):
            before = self._record.received
            evidence = await self._broker.collect_evidence()
            quiet = quiet + 1 if self._record.received == before else 0
            conclusions = self._decide(evidence)
            # What was missing before is looked for as long as what is missing now: it may be late again.
            in_doubt = any(
                one.action in _IN_DOUBT or self._state(name) == "MISSING" for name, one in conclusions.items()
            )
            if loop.time() < until and evidence.forgets:  # what a lost blotter sent may still be in flight
                unsent = [name for name, one in conclusions.items() if one.action == "send"]
                in_doubt = in_doubt or not all(map(self._is_cleared, unsent))
            if not in_doubt and evidence.is_complete:
                break
            if quiet >= _QUIET_ROUNDS and (loop.time() >= until or number == _MOST_ROUNDS):
                break
            if self._in_flight_seconds:
                await asyncio.sleep(min(_PAUSE, self._in_flight_seconds / 4))
        return evidence

    def _decide(self, evidence: Evidence) -> dict[str, Conclusion]:
        seen, following = self._blotter.id_marks(evidence.client_id)
        histories = {name: self._record.history(name) for name in self._record.names}
        trails: dict[datetime, IdTrail] = {}
        if any(one.last_sending is None for one in histories.values()):
            trails = self._blotter.id_trails(self._record.run_id, evidence.client_id, self._broker.account)
        found = {
            name: decide(
                history,
                evidence,
                highest_seen_id=seen,
                highest_next_id=following,
                trail=_trail_of(history, trails),
                is_cleared=self._is_cleared(name),
            )
            for name, history in histories.items()
        }
        if not any(one.action in _UNSENT for one in found.values()):
            return found
        unrecorded = [
            name
            for name, one in found.items()
            if (one.action == "adopt" or histories[name].is_adopted) and histories[name].exported is None
        ]
        return {name: self._restrict(name, one, unrecorded) for name, one in found.items()}

    def _is_cleared(self, name: str) -> bool:
        """Whether only this process can have sent the order since it was planned."""
        return self._is_new or name in self._restrictions.cleared

    def _restrict(self, name: str, found: Conclusion, unrecorded: list[str]) -> Conclusion:
        """Hold back or refuse an order that the evidence allows, if a restriction forbids it.

        ``unrecorded`` are orders of this run that the broker has and this blotter has not sent.
        """
        known = self._restrictions
        if found.action not in _UNSENT or self._is_cleared(name) or self._record.history(name).exported:
            return found
        if unrecorded:
            text = (
                f"the broker has {unrecorded[0]}, which this blotter has not sent: the blotter is older than the "
                "account, or another blotter works this run; plan again under a new run id"
            )
            return Conclusion("hold", text)
        if found.action == "send" and name in known.expired:
            return Conclusion("expire", known.expired[name])
        if found.action == "send" and known.overtaken:
            return Conclusion("hold", known.overtaken)
        return found

    def _refuse_foreign_orders(self, evidence: Evidence) -> None:
        """Refuse a run if the broker has orders of it that another process sent."""
        run_id = self._record.run_id
        shape = re.compile(re.escape(run_id) + r"-[A-Z0-9._]+-(BUY|SELL)(-\d+)?")
        planned = set(self._record.names)
        refs = [ref for ref in evidence.refs if ref in planned or shape.fullmatch(ref)]
        unknown = set(refs) - planned
        foreign_executions = sorted(unknown - self._blotter.own(sorted(unknown)))
        if self._is_new:
            foreign_executions = sorted({*foreign_executions, *(planned & set(refs))})
        if foreign_executions:
            shown = ", ".join(foreign_executions[:_SHOWN]) + (", ..." if len(foreign_executions) > _SHOWN else "")
            raise RunElsewhereError(
                f"the broker already has orders of run {run_id} that this blotter did not send: {shown}. Another "
                "notebook or another blotter works this run, or this blotter is an old copy. Nothing was sent; "
                "sx.reconcile(broker, blotter) shows them"
            )

    def _session_event(self, evidence: Evidence) -> list[OrderEvent]:
        if evidence.next_id is None:
            return []
        return [
            OrderEvent(
                "session",
                self._record.run_id,
                occurred_at=evidence.asked_at,
                order_id=evidence.next_id,
                client_id=evidence.client_id,
            )
        ]

    def _events_of(self, conclusions: dict[str, Conclusion]) -> list[OrderEvent]:
        """Events for orders whose outcome is unknown, and for orders that were found again."""
        events = []
        stamp = self._broker.now()
        for name, (action, why) in conclusions.items():
            history = self._record.history(name)
            rounds = max((event.attempt or 0 for event in history.events if event.kind == "missing"), default=0)
            sent = history.last_sending
            attempt = sent.attempt if sent else None
            if action in ("unknown", "adopt") or (action == "resend" and not self._resend):
                text = why or "the broker has an order of this id that was not sent from here"
                events.append(
                    OrderEvent("unknown", self._record.run_id, name, stamp, message=text, attempt=attempt)
                )
            elif action == "hold":
                events.append(OrderEvent("held_back", self._record.run_id, name, stamp, message=why))
            elif action == "expire":
                code = "approval_expired"
                events.append(OrderEvent("refused", self._record.run_id, name, stamp, code=code, message=why))
            elif action == "missing":
                events.append(
                    OrderEvent("missing", self._record.run_id, name, stamp, message=why, attempt=rounds + 1)
                )
            elif action == "found":
                events.append(OrderEvent("found", self._record.run_id, name, stamp, attempt=rounds))
        return [event for event in events if not self._repeats_latest(event)]

    def _repeats_latest(self, event: OrderEvent) -> bool:
        """Whether the latest event of this kind about this order has the same content."""
        known = [one for one in self._record.history(event.client_order_id or "").events if one.kind == event.kind]
        latest = max(known, key=lambda one: one.occurred_at or _LONG_AGO, default=None)
        return latest is not None and (latest.message, latest.attempt) == (event.message, event.attempt)


def _trail_of(order: OrderHistory, trails: dict[datetime, IdTrail]) -> IdTrail | None:
    planned_at = order.intent.occurred_at if order.intent is not None else None
    return None if planned_at is None else trails.get(planned_at)
