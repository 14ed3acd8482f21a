"""Asking a broker what became of the orders of a run, and writing down what follows.

The rounds go on until nothing new is told, and for as long as an order may still be under way; then each order is
judged by :mod:`~stocklean_exec.execution.recovery_rules`. What the broker has is adopted, what provably is not
there may be sent, everything else is recorded as unknown with its evidence. What was never sent by this record,
but may have been by somebody else, is held back.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import RunElsewhereError
from stocklean_exec.execution.recovery_rules import Conclusion, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_history import IdTrail, OrderHistory
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.brokers.evidence import Evidence
    from stocklean_exec.execution.run_state import RunState

__all__ = ["Recovered", "Recovery", "Restrictions"]

_QUIET_ROUNDS = 2
_MOST_ROUNDS = 100
_PAUSE = 1.0
_SHOWN = 5
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_UNSENT = frozenset({"send", "hold"})
_IN_DOUBT = frozenset({"resend", "unknown", "missing", "adopt", "await"})


class Recovered(NamedTuple):
    """What may be sent: orders that were never sent, and orders that go out again with the id they had.

    ``held`` are orders that were never sent by this record and must not be sent now, with the reason of each.
    """

    session: int
    unsent: list[str]
    again: list[str]
    held: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What keeps orders from being sent for the first time, besides the evidence.

    ``cleared`` orders that nobody but this worker can have sent since they were planned; ``expired`` what is wrong
    with the approval of an order, by client order id; ``overtaken`` why the whole plan is out of date, if it is.
    """

    cleared: frozenset[str] = frozenset()
    expired: Mapping[str, str] = field(default_factory=dict)
    overtaken: str = ""


class Recovery:
    """Reconciles one run with its broker.

    Parameters
    ----------
    record : the run's orders, as they stand
    settle : seconds that an order may be under way before its absence means something
    resend : whether an order whose id is unused may be handed over once more
    is_new : whether this run has just been planned: then the broker must not know it yet
    restrictions : what else keeps orders from being sent
    """

    def __init__(
        self,
        broker: Broker,
        blotter: Blotter,
        record: RunState,
        *,
        settle: float,
        resend: bool,
        is_new: bool,
        restrictions: Restrictions | None = None,
    ) -> None:
        self._broker, self._blotter, self._record = broker, blotter, record
        self._settle, self._resend, self._is_new = settle, resend, is_new
        self._restrictions = restrictions or Restrictions()

    async def run(self) -> Recovered:
        """Ask, judge, record; return what may be sent.

        Raises
        ------
        ConnectionLostError
            The connection ended before all was told. What was told is on record.
        RunElsewhereError
            The broker has orders of this run that are not on record here.
        """
        record, broker = self._record, self._broker
        session = broker.session
        if not self._has_to_ask():
            return Recovered(session, [name for name in record.names if self._state(name) == "INTENT"], [], {})
        histories = [record.history(name) for name in record.names]
        broker.adopt(record.run_id, [one for one in histories if one.last_sending is not None or one.is_adopted])
        evidence = await self._ask()
        self._refuse_strangers(evidence)
        judgements = self._judge(evidence)
        adopted = [name for name, one in judgements.items() if one.action == "adopt"]
        if adopted:  # the broker tells of orders that the record never handed over: it is an old copy
            broker.adopt(record.run_id, [record.history(name) for name in adopted])
            evidence = await self._ask()
            judgements = self._judge(evidence)
        await record.put([*self._session_fact(evidence), *self._conclusions(judgements)])
        held = {name: one.why for name, one in judgements.items() if one.action == "hold"}
        record.hold(held)
        again = [name for name, one in judgements.items() if one.action == "resend" and self._resend]
        again.sort(key=self._last_id)
        broker.allow_again(again)
        return Recovered(session, [name for name, one in judgements.items() if one.action == "send"], again, held)

    def _has_to_ask(self) -> bool:
        """A run that has just been planned needs no asking where nobody else can reach the broker."""
        return self._broker.lease is not None or not self._is_new

    def _state(self, name: str) -> str:
        return self._record.history(name).state

    def _last_id(self, name: str) -> int:
        sent = self._record.history(name).last_sending
        return (sent.order_id or 0) if sent else 0

    async def _ask(self) -> Evidence:
        """Ask until two rounds in a row tell nothing new, and as long as an order may be under way."""
        loop, quiet = asyncio.get_running_loop(), 0
        until = loop.time() + self._settle
        for number in range(1, _MOST_ROUNDS + 1):
            before = self._record.heard
            evidence = await self._broker.sweep()
            quiet = quiet + 1 if self._record.heard == before else 0
            judgements = self._judge(evidence)
            in_doubt = any(one.action in _IN_DOUBT for one in judgements.values())
            if loop.time() < until and evidence.forgets:  # what a lost record sent may still be under way
                unsent = [name for name, one in judgements.items() if one.action == "send"]
                in_doubt = in_doubt or not all(map(self._is_cleared, unsent))
            if not in_doubt and evidence.is_complete:
                break
            if quiet >= _QUIET_ROUNDS and (loop.time() >= until or number == _MOST_ROUNDS):
                break
            if self._settle:
                await asyncio.sleep(min(_PAUSE, self._settle / 4))
        return evidence

    def _judge(self, evidence: Evidence) -> dict[str, Conclusion]:
        seen, following = self._blotter.id_marks(evidence.client_id)
        histories = {name: self._record.history(name) for name in self._record.names}
        trails: dict[datetime, IdTrail] = {}
        if any(one.last_sending is None for one in histories.values()):
            trails = self._blotter.id_trails(self._record.run_id, evidence.client_id, self._broker.account)
        found = {
            name: judge(
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
        strange = [name for name, one in found.items() if one.action == "adopt" or histories[name].is_adopted]
        return {name: self._restrict(name, one, strange) for name, one in found.items()}

    def _is_cleared(self, name: str) -> bool:
        """Whether nobody but this worker can have sent an order since it was planned."""
        return self._is_new or name in self._restrictions.cleared

    def _restrict(self, name: str, found: Conclusion, strange: list[str]) -> Conclusion:
        """Hold back or refuse what the evidence lets be sent, if something else keeps it.

        ``strange`` are orders of this run that the broker has and this record has not sent.
        """
        known = self._restrictions
        if found.action not in _UNSENT or self._is_cleared(name):
            return found
        if strange:
            text = (
                f"the broker has {strange[0]}, which this record has not sent: the record is older than the "
                "account, or another one works this run; plan again under a new run id"
            )
            return Conclusion("hold", text)
        if found.action == "send" and name in known.expired:
            return Conclusion("expire", known.expired[name])
        if found.action == "send" and known.overtaken:
            return Conclusion("hold", known.overtaken)
        return found

    def _refuse_strangers(self, evidence: Evidence) -> None:
        """Refuse a run of which the broker has orders that were handed over by somebody else."""
        run_id = self._record.run_id
        shape = re.compile(re.escape(run_id) + r"-[A-Z0-9._]+-(BUY|SELL)(-\d+)?")
        planned = set(self._record.names)
        refs = [ref for ref in evidence.refs if ref in planned or shape.fullmatch(ref)]
        unknown = set(refs) - planned
        strangers = sorted(unknown - self._blotter.own(sorted(unknown)))
        if self._is_new:
            strangers = sorted({*strangers, *(planned & set(refs))})
        if strangers:
            shown = ", ".join(strangers[:_SHOWN]) + (", ..." if len(strangers) > _SHOWN else "")
            raise RunElsewhereError(
                f"the broker already has orders of run {run_id} that this blotter did not send: {shown}. Another "
                "notebook or another blotter works this run, or this blotter is an old copy. Nothing was sent; "
                "sx.reconcile(broker, blotter) shows them"
            )

    def _session_fact(self, evidence: Evidence) -> list[OrderEvent]:
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

    def _conclusions(self, judgements: dict[str, Conclusion]) -> list[OrderEvent]:
        """Facts for all that nobody can tell, and for what has been found again."""
        events = []
        stamp = self._broker.now()
        for name, (action, why) in judgements.items():
            history = self._record.history(name)
            rounds = max((event.attempt or 0 for event in history.events if event.kind == "missing"), default=0)
            sent = history.last_sending
            attempt = sent.attempt if sent else None
            if action in ("unknown", "adopt") or (action == "resend" and not self._resend):
                text = why or "the broker has an order of this id that was not handed over from here"
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
        return [event for event in events if not self._was_last_word(event)]

    def _was_last_word(self, event: OrderEvent) -> bool:
        """Whether the latest event of this kind about this order says the same."""
        told = [one for one in self._record.history(event.client_order_id or "").events if one.kind == event.kind]
        latest = max(told, key=lambda one: one.occurred_at or _LONG_AGO, default=None)
        return latest is not None and (latest.message, latest.attempt) == (event.message, event.attempt)


def _trail_of(order: OrderHistory, trails: dict[datetime, IdTrail]) -> IdTrail | None:
    planned_at = order.intent.occurred_at if order.intent is not None else None
    return None if planned_at is None else trails.get(planned_at)
