"""The safeguards, each switched off in a worker's own process: with any of them off the campaign must fail.

Each function here undoes one thing that the package does, as a simpler program would do without it.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec.blotter import database_file, order_state
from stocklean_exec.brokers import factory
from stocklean_exec.brokers.ib import broker as ib_broker
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.brokers.ib import market_data, order_tracker, translate
from stocklean_exec.errors import ConnectionLostError
from stocklean_exec.execution import (
    breaks,
    order_limits,
    reconnections,
    recovery,
    resumption,
    run_state,
    runner,
)
from stocklean_exec.execution.recovery import Recovered
from stocklean_exec.risk import rules
from tests.campaign.conditions import CONDITIONS
from tests.campaign.plans import OTHER_CLIENTS, QUOTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.campaign.plans import Plan

__all__ = ["NOT_DRAWN", "SAFEGUARDS", "switch_off"]


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


def _completed_is_open(_: Path) -> None:
    """What the broker calls completed goes on, if its executions on record are fewer than were ordered."""
    order_state._Evidence.is_completed = property(lambda _: False)  # type: ignore[method-assign, assignment]
    _drop_from_views("s.settled AND s.reported_filled", "false")
    _drop_from_views("s.completed > 0 AND s.unseen_quantity = 0", "false")


def _waits_for_a_known_code(_: Path) -> None:
    """A code that is in no table says nothing: the run waits for a status."""
    order_tracker.ADVICE_CODES = range(100_000)  # type: ignore[assignment]


def _report_as_time(_: Path) -> None:
    """An execution whose time cannot be read is dated by its report, as if that were its time."""
    translate.TIME_UNRELIABLE = None  # type: ignore[assignment]


def _reconnects_for_ever(_: Path) -> None:
    """After a report that cannot be read the connection is made again, at once, until it can be."""

    async def reconnect(self: Any, seconds: float) -> None:
        while self.fault or self._connection is None:
            with suppress(ConnectionLostError):
                await self._connect()
        await self._require_connection().restored(seconds)

    ib_broker.IBBroker._reconnect = reconnect  # type: ignore[method-assign]
    reconnections.Reconnections.next_pause = lambda *_: (0.0, math.inf)  # type: ignore[method-assign]


def _one_midnight(_: Path) -> None:
    """TWS's day is New York's: what it does not report of today was never made."""
    breaks._may_be_of_another_day = lambda _books, unreported, _reported: unreported["exec_id"].isna()


def _positions_added_up(_: Path) -> None:
    """What TWS reports twice is held twice."""
    positions = ib_connection.Connection.positions

    async def apart(self: Any) -> list[Any]:
        found = await positions(self)
        return [one._replace(contract=_numbered(one.contract, number)) for number, one in enumerate(found, 1)]

    def _numbered(contract: Any, number: int) -> Any:
        other = copy.copy(contract)
        other.conId = number
        return other

    ib_connection.Connection.positions = apart  # type: ignore[method-assign]


def _terms_not_compared(_: Path) -> None:
    """Of working orders only quantities are compared."""
    breaks._changed_terms = lambda *_: iter(())


def _symbol_decides(_: Path) -> None:
    """The contract that an order names is left out: its symbol says what trades."""
    instrument = ib_broker._instrument
    ib_broker._instrument = lambda ticket: instrument(replace(ticket, con_id=None))


def _plan_currency_believed(_: Path) -> None:
    """The currency of the account is that of the plan, and is not asked for."""

    async def none_refused(*_: Any) -> dict[str, tuple[str, str]]:
        return {}

    runner.currency_refusals = none_refused


def _limits_in_order_currency(_: Path) -> None:
    """Limits of the account are compared with the values of orders, whatever these are in."""
    rules.OrderArrays.value = property(lambda self: self.price)  # type: ignore[method-assign, assignment]
    orders = order_limits._orders
    order_limits._orders = lambda rows: (one._replace(fx_rate=1.0) for one in orders(rows))


def _received_now(_: Path) -> None:
    """A quote is as old as its answer."""
    market_data.time_of = lambda answer: (answer.received_at, "received")


def _impatient(_: Path) -> None:
    """A client id that is in use is an error at once."""
    factory._ID_PAUSE = math.inf


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


def _is_calm(plan: Plan) -> bool:
    """Whether nothing else happens to a run than a crash of its first worker, around the bytes of an order."""
    return not set(plan.faults) - set(CONDITIONS) and plan.workers[0].get("at", "").startswith("order.")


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
    "completed_is_open": Safeguard(
        "an order that TWS calls completed kept open",
        ("busted_at_the_end",),
        _completed_is_open,
        fits=_is_calm,
    ),
    "waits_for_a_known_code": Safeguard(
        "a refusal by a code in no table waited for as if it were none",
        ("refused_by_a_code",),
        _waits_for_a_known_code,
        is_alone=True,
    ),
    "report_as_time": Safeguard(
        "an execution of unknown time dated by its report, and not marked",
        ("unknown_zone",),
        _report_as_time,
        fits=_is_calm,
    ),
    "reconnects_for_ever": Safeguard(
        "reconnecting without pause and end", ("unreadable_report",), _reconnects_for_ever, fits=_is_calm
    ),
    "one_midnight": Safeguard(
        "TWS's day taken as New York's in a reconciliation",
        ("other_midnight",),
        _one_midnight,
        fits=lambda plan: _is_calm(plan) and len(plan.orders) < len(QUOTES),
    ),
    "positions_added_up": Safeguard(
        "a position that TWS reports twice counted twice", ("position_twice",), _positions_added_up, fits=_is_calm
    ),
    "terms_not_compared": Safeguard(
        "only quantities of working orders compared", ("limit_changed",), _terms_not_compared, fits=_is_calm
    ),
    "symbol_decides": Safeguard(
        "the contract number of an order ignored", ("wrong_contract",), _symbol_decides, fits=_is_calm
    ),
    "plan_currency_believed": Safeguard(
        "the account's currency taken as the plan's",
        ("other_base_currency",),
        _plan_currency_believed,
        fits=_is_calm,
    ),
    "limits_in_order_currency": Safeguard(
        "limits compared with values in the order's currency",
        ("limit_in_base_currency",),
        _limits_in_order_currency,
        fits=_is_calm,
    ),
    "received_now": Safeguard(
        "quotes dated when they were received", ("old_quotes",), _received_now, fits=_is_calm
    ),
    "impatient": Safeguard(
        "no wait for the client id of a killed process", ("waits_for_client_id",), _impatient, fits=_is_calm
    ),
}
"""By name, in the order of the table."""

NOT_DRAWN = {
    "the wording of reasons, and the remedy that they name": "the run ends the same; tests hold the texts",
    "a clock that is a day wrong": "orders are `UNKNOWN` as they would be, and only the reason says more",
    "Ctrl-C while a blotter opens": "the campaign kills with SIGKILL, and nothing can have been sent yet",
    "planning in another currency than the account's": "runs begin with orders; the check as they leave is above",
    "two computers at one TWS": "`python -m tests.campaign.starts --hosts` tries them",
}
"""Findings that the campaign has no row for, each with the reason."""


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
