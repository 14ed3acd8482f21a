"""The safeguards, each switched off in a worker's own process: with any of them off the campaign must fail.

Each function here undoes one thing that the package does, as a simpler program would do without it.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec.blotter import database_file, order_state
from stocklean_exec.brokers.ib import broker as ib_broker
from stocklean_exec.brokers.ib import order_tracker
from stocklean_exec.execution import breaks, recovery, resumption, run_state
from stocklean_exec.execution.recovery import Recovered
from tests.campaign.plans import OTHER_CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.campaign.plans import Plan

__all__ = ["SAFEGUARDS", "switch_off"]


def _no_record(folder: Path) -> None:
    """No write-ahead record: every worker begins with an empty blotter and submits the plan again."""
    for name in ("run.duckdb", "run.duckdb.wal"):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    _recover_without_query()


def _blind_resend(_: Path) -> None:
    """What has no fill on record is sent again, under a new order id, without asking."""
    _recover_without_query("SENDING", "WORKING", "UNKNOWN", "MISSING")


def _record_after_send(_: Path) -> None:
    """The submission is recorded after it and not before."""
    put, place_all = run_state.RunState.put, ib_broker.IBBroker.place_all
    late: list[tuple[Any, tuple[Any, ...]]] = []

    async def put_late(self: Any, events: Any) -> None:
        recorded = tuple(events)
        if recorded and all(event.kind == "sending" for event in recorded):
            self._receive(recorded)
            late.append((self, recorded))
        else:
            await put(self, recorded)

    async def place_first(self: Any, tickets: Any, gate: Any) -> None:
        await place_all(self, tickets, gate)
        while late:
            record, recorded = late.pop()
            await asyncio.shield(asyncio.wrap_future(record._blotter.record(recorded)))

    run_state.RunState.put = put_late
    ib_broker.IBBroker.place_all = place_first


def _new_id(_: Path) -> None:
    """After one query what is not there is sent again, under a new order id."""
    _resend_under_new_ids()
    _collect_once()


def _new_id_after_queries(_: Path) -> None:
    """After querying for as long as an order may be in flight, what is not there gets a new order id."""
    _resend_under_new_ids()


def _used_ids(_: Path) -> None:
    """An order that is not reported is sent again with its id, even after the ids were reset."""
    decide = recovery.decide

    def trusting(order: Any, evidence: Any, **_marks: Any) -> Any:
        found = decide(order, evidence)
        absent = found.action == "unknown" and order.client_order_id not in evidence.refs
        return found._replace(action="resend") if absent else found

    recovery.decide = trusting


def _no_identity(_: Path) -> None:
    """A report of an execution is an execution, whatever its id."""
    number = itertools.count(1)
    on_execution = order_tracker.OrderTracker.on_execution

    def receive_again(self: Any, execution: Any, *, ours: bool) -> None:
        on_execution(self, execution._replace(exec_id=f"{execution.exec_id}/{next(number)}"), ours=ours)

    order_tracker.OrderTracker.on_execution = receive_again


def _no_evidence_after_crash(_: Path) -> None:
    """The broker is not queried after a crash or a lost connection: what happened meanwhile stays unknown."""
    _recover_without_query()


def _no_evidence_after_loss(_: Path) -> None:
    """After a lost connection the run continues with its next order; what happened meanwhile is not queried."""
    run = recovery.Recovery.run
    asked: set[int] = set()

    async def recover_once(self: Any) -> Recovered:
        if id(self._record) not in asked:
            asked.add(id(self._record))
            return await run(self)
        fresh = [name for name in self._record.names if self._record.history(name).state == "INTENT"]
        return Recovered(self._broker.session, fresh, [], {})

    async def skip_catch_up(self: Any, connection: Any) -> None:
        pass

    recovery.Recovery.run = recover_once
    ib_broker.IBBroker._catch_up = skip_catch_up


def _none_adopted(_: Path) -> None:
    """What was sent before is not adopted: reports about it are taken as foreign."""
    ib_broker.IBBroker.adopt = lambda *_: None


def _ends_without_count(_: Path) -> None:
    """An order that the broker has ended has ended, whether or not all of its executions are on record."""
    order_state._Evidence.is_unconfirmed = property(lambda _: False)  # type: ignore[method-assign, assignment]
    _drop_from_views("(s.unseen_quantity > 0 OR NOT s.counted)", "false")


def _copy_believed(_: Path) -> None:
    """What a blotter says was never sent is sent, however old the blotter is."""
    decide = recovery.decide

    def trusting(order: Any, evidence: Any, **marks: Any) -> Any:
        return decide(order, evidence, **(marks | {"is_cleared": True}))

    recovery.decide = trusting
    recovery.Recovery._is_cleared = lambda *_: True


def _evidence_of_the_object(_: Path) -> None:
    """An execution belongs to what stood for its order when it was reported, also after the order is adopted."""
    order_tracker.OrderTracker._replace = lambda *_: None


def _later_runs_ignored(_: Path) -> None:
    """A resumed run sends what it has not sent, whatever was planned since."""
    resumption._overtaken = lambda *_: ""


def _others_executions_missed(_: Path) -> None:
    """A fill on record that is not reported to this client id is a difference, whoever placed its order."""
    breaks._are_hidden = lambda _books, _fills, is_reported: is_reported & False
    breaks._may_be_of_another_day = lambda _books, unreported, _reported: unreported["exec_id"].isna()


def _drop_from_views(text: str, other: str) -> None:
    """Replace a condition in the SQL of the views, wherever this process opens a blotter."""
    read = database_file._sql

    def changed(name: str) -> str:
        sql = read(name)
        if name == "views.sql" and text not in sql:
            raise ValueError(f"the views have no {text!r}")
        return sql.replace(text, other)

    database_file._sql = changed


def _is_taken_over(plan: Plan) -> bool:
    """Whether a client that receives no executions of others resumes a run whose first worker died sending."""
    first, *others = plan.workers
    return first.get("at", "").startswith("order.") and any(one.get("client") for one in others[:1])


def _dies_after_orders(plan: Plan) -> bool:
    """Whether the first worker dies when some orders have left, and its run is resumed."""
    return plan.workers[0].get("at", "") in ("order.after_bytes", "received.execution", "execution.before_commit")


class Safeguard(NamedTuple):
    """One row of the table of what cannot be spared.

    ``title`` what the table calls it; ``also`` the faults that it is there for; ``undo`` what switches it off;
    ``is_alone`` whether its runs have these faults only, no kill, and nobody who resumes them: a later worker
    would find what the first one has missed; ``fits`` whether it matters in the run of a plan: then the row is of
    such runs, with all the faults that they draw; None for runs whose first worker dies around an order's bytes.
    """

    title: str
    also: tuple[str, ...]
    undo: Callable[[Path], None]
    is_alone: bool = False
    fits: Callable[[Plan], bool] | None = None


_SLOW = ("slow_intake",)
_HIDDEN = ("no_executions", "no_completed", "no_open_orders")
_NO_TRACE = ("ids_reset", *_HIDDEN)
SAFEGUARDS: dict[str, Safeguard] = {
    "no_record": Safeguard("no blotter: run the cell again", (), _no_record),
    "blind_resend": Safeguard("unfilled orders sent again without evidence", (), _blind_resend),
    "record_after_send": Safeguard("submission recorded after sending", _HIDDEN, _record_after_send),
    "new_id": Safeguard("one query, then a new order id", _SLOW, _new_id),
    "new_id_after_queries": Safeguard("repeated queries, then a new order id", _SLOW, _new_id_after_queries),
    "used_ids": Safeguard("order ids trusted after a reset", _NO_TRACE, _used_ids),
    "no_identity": Safeguard("executions without identity", (), _no_identity),
    "no_evidence_after_crash": Safeguard("no evidence collected after a crash", (), _no_evidence_after_crash),
    "no_evidence_after_loss": Safeguard(
        "no evidence collected after a lost connection",
        ("drop_after_accept",),
        _no_evidence_after_loss,
        is_alone=True,
    ),
    "none_adopted": Safeguard("earlier orders not adopted", (), _none_adopted),
    "ends_without_count": Safeguard(
        "a cancelled order has ended, whatever was filled",
        (),
        _ends_without_count,
        fits=lambda plan: "cancelled_in_part" in plan.scripts and _is_taken_over(plan),
    ),
    "copy_believed": Safeguard(
        "an old copy of the blotter believed",
        (),
        _copy_believed,
        fits=lambda plan: {"night", "restored_copy"} <= set(plan.faults) and plan.copied == (0, 0.0),
    ),
    "evidence_of_the_object": Safeguard(
        "executions kept by the object of an earlier connection",
        (),
        _evidence_of_the_object,
        fits=lambda plan: "left_open" in plan.scripts and _dies_after_orders(plan),
    ),
    "later_runs_ignored": Safeguard(
        "a run resumed that a later one has overtaken",
        (),
        _later_runs_ignored,
        fits=lambda plan: "later_run" in plan.faults,
    ),
    "others_executions_missed": Safeguard(
        "another client's fill reconciled as one that is missing",
        (),
        _others_executions_missed,
        fits=lambda plan: plan.reconciled_by == OTHER_CLIENTS[0] and "later_run" not in plan.faults,
    ),
}
"""By name, in the order of the table."""


def switch_off(name: str, folder: Path) -> None:
    """Undo one safeguard in this process; an empty name leaves all of them on."""
    if name:
        SAFEGUARDS[name].undo(folder)


def _recover_without_query(*again: str) -> None:
    """Recovery without a query: orders in one of these states are sent again, with those never sent."""

    async def run(self: Any) -> Recovered:
        states = {name: self._record.history(name).state for name in self._record.names}
        fresh = [name for name, state in states.items() if state == "INTENT"]
        doubtful = [name for name, state in states.items() if state in again]
        return Recovered(self._broker.session, fresh, doubtful, {})

    recovery.Recovery.run = run


def _resend_under_new_ids() -> None:
    decide = recovery.decide

    def trusting(order: Any, evidence: Any, **marks: Any) -> Any:
        found = decide(order, evidence, **marks)
        absent = found.action == "unknown" and order.client_order_id not in evidence.refs
        return found._replace(action="resend") if absent else found

    def forget(self: Any, names: Any) -> None:
        for name in names:
            self._tracker._by_ref.pop(name, None)

    recovery.decide = trusting
    ib_broker.IBBroker.allow_again = forget


def _collect_once() -> None:
    async def ask(self: Any) -> Any:
        return await self._broker.collect_evidence()

    recovery.Recovery._collect = ask
