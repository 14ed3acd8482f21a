"""What the forked processes do: the venue, a worker, the checker. Each begins from the same clean process."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.blotter.order_state import ENDED, derive_order
from stocklean_exec.blotter.reader import _connect_to_copy
from stocklean_exec.errors import BrokerError, ClientIdInUseError, StockleanError
from stocklean_exec.simulator import clock as venue_clock
from stocklean_exec.simulator import settings as venue_settings
from stocklean_exec.simulator.exchange.scheduled_events import ScenarioEvents
from stocklean_exec.simulator.exchange.venue import Venue
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.server import session as venue_session
from stocklean_exec.simulator.server.server import start
from tests.campaign.conditions import RATE
from tests.campaign.plans import QUOTES
from tests.campaign.points import Points, half_close, install
from tests.campaign.safeguards import switch_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stocklean_exec.blotter.events import OrderEvent
    from tests.campaign.plans import Plan

__all__ = [
    "COPY",
    "LIMITS",
    "MARKET",
    "NIGHT_SECONDS",
    "fault_watchers",
    "is_planned",
    "pass_night",
    "planner_of",
    "run_copier",
    "run_reconciliation",
    "run_venue",
    "run_worker",
    "set_hours",
]

MARKET = pd.DataFrame(
    [
        (name, bid, ask, ask, bid, float(shown), float(offered))
        for name, (bid, ask, shown, offered) in QUOTES.items()
    ],
    columns=["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"],
).assign(currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
_OLD_MARKET = MARKET.assign(bid=float("nan"), ask=float("nan"), last_time="2022-12-28 20:59:58")
"""The same with no more than last trades of another day."""
LIMITS = sx.Limits(price_collar=None, min_cash_after=None, allow_short=True, duplicate_window=None)
_CONNECT_SECONDS = 6.0
_CLIENT, _FIRST_ID = 7, 50
_PATIENCE, _PATIENCE_ALONE = 1.2, 10.0
_SETTLE = 0.25
_COPY_SECONDS, _LOOK_SECONDS = 30.0, 0.001
_HOURS = "hours"
_EVENING, _DAYTIME = (23, 55), (14, 5)
NIGHT_SECONDS = 600.0
"""How far the clocks of venue and workers jump at night: from five minutes before midnight to five after it.

By day they jump over a quarter of an hour, at which the day of another zone may begin."""
COPY = "copy.duckdb"
"""An older copy of a run's blotter; beside it the number of bytes of events that were acknowledged before."""


# -- the clock -----------------------------------------------------------------------------------------------


def set_hours(plan: Plan, folder: Path) -> None:
    """Let a run that has a night begin in the evening of New York, and one with a day of another zone by day."""
    if plan.night_before or plan.other_midnight:
        now = datetime.now(ZoneInfo("America/New_York"))
        hour, minute = _DAYTIME if plan.other_midnight else _EVENING
        evening = now.replace(hour=hour, minute=minute, second=0)
        (folder / _HOURS).write_text(str((evening - now).total_seconds()))


def pass_night(folder: Path) -> None:
    """Let all clocks jump over midnight."""
    (folder / _HOURS).write_text(str(_hours(folder) + NIGHT_SECONDS))


def _hours(folder: Path) -> float:
    """Seconds that the run's clocks are ahead of the computer's."""
    path = folder / _HOURS
    return float(path.read_text()) if path.exists() else 0.0


# -- the venue -----------------------------------------------------------------------------------------------


def run_venue(plan: Plan, folder: Path, port: int, pipe: int, *, plain: bool) -> None:
    """Be the simulator until killed; writes its port to ``pipe``. A ``plain`` one has no faults."""
    log = os.open(folder / "venue.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for owner, name, watcher in fault_watchers(lambda text: os.write(log, f"{text}\n".encode())):
        setattr(owner, name, watcher)
    if plan.slow and not plain:
        _take_time(plan.slow)
    ahead = _hours(folder)
    venue_clock.time = SimpleNamespace(time=lambda: time.time() + ahead)
    parent = os.getppid()
    scenario = {"order": plan.scenario["order"]} if plain else plan.scenario
    settings = venue_settings.Settings(
        quotes=_OLD_MARKET if plan.has_old_quotes else MARKET,
        seed=plan.seed,
        base_currency=plan.base_currency,
        rates={} if plan.base_currency == "USD" else {"USD": RATE},
        cash=(1.0 if plan.base_currency == "USD" else RATE) * 1_000_000.0 if plan.cash is None else plan.cash,
        positions=plan.held,
        scenario=scenario,
        state=folder / "venue.state",
        journal=folder / "journal.jsonl",
        clock="wall",
    )

    def begin_day(server: Any) -> None:
        nonlocal ahead
        ahead = _hours(folder)
        if plan.other_midnight:
            server.venue.events.run({"do": "midnight"})
            server.flush()
            os.write(log, b"other midnight\n")
            return
        server.venue.events.run({"do": "next_day" if plan.seed % 2 else "midnight"})
        if plan.new_ids:
            server.venue.events.run({"do": "reset_ids"})
        server.venue.events.run({"do": "restart"})  # as the gateway does every night
        server.flush()
        os.write(log, b"night\n")

    async def serve() -> None:
        server = await start(settings, port=port)
        loop = asyncio.get_running_loop()
        if not server.venue.ledger.orders:
            server.venue.ledger.use_id(_CLIENT, _FIRST_ID - 1)  # a client id that has been in use before
        loop.add_signal_handler(signal.SIGUSR1, lambda: server.venue.events.run({"do": "reset_ids"}))
        loop.add_signal_handler(signal.SIGUSR2, begin_day, server)
        if plan.half_closed is not None and plan.half_closed[0] == "venue" and not plain:
            _half_close(server, plan.half_closed[1], log)
        os.write(pipe, f"{server.port}\n".encode())
        os.close(pipe)
        while os.getppid() == parent:  # noqa: ASYNC110 - its end is not reported
            await asyncio.sleep(1.0)

    asyncio.run(serve())


def fault_watchers(log: Any) -> Iterator[tuple[Any, str, Any]]:
    """Replacements in the venue's modules so that ``log`` receives each fault: owner, name, stand-in."""
    for name in ("inject_request_faults", "inject_reply_faults"):
        original = getattr(venue_session, name)

        def wrapped(session: Any, what: Any, *rest: Any, original: Any = original) -> Any:
            for fault in rest[-1]:
                log(f"{fault.get('do')} {what if isinstance(what, str) else what.kind}")
            return original(session, what, *rest)

        yield venue_session, name, wrapped
    run = ScenarioEvents.run

    def run_event(self: Any, entry: dict[str, Any]) -> None:
        log(f"event {entry['do']} {entry.get('code', '')}".strip())
        run(self, entry)

    yield ScenarioEvents, "run", run_event


def _take_time(seconds: float) -> None:
    """Let orders wait in a queue before they are looked at, whether or not their connection still lives."""
    handle = Venue.handle
    due = 0.0

    def queued(self: Any, session: Any, request: Any) -> None:
        nonlocal due
        if not isinstance(request, OrderRequest):
            handle(self, session, request)
            return
        due = max(due, self.clock.now() + seconds)
        self.clock.schedule_at(due, partial(handle, self, session, request))

    Venue.handle = queued


def _half_close(server: Any, after: int, log: int) -> None:
    """Say on the connection of an order, after so many of them, that nothing more will be written to it."""
    handle, count = server.venue.handle, itertools.count(1)

    def closing(session: Any, request: Any) -> None:
        handle(session, request)
        if isinstance(request, OrderRequest) and next(count) == after:
            connection = server._connections.get(session)
            if connection is not None and connection.transport is not None:
                connection.write()
                connection.transport.write_eof()
                os.write(log, b"half closed\n")

    server.venue.handle = closing


# -- the worker ----------------------------------------------------------------------------------------------


def run_worker(plan: Plan, folder: Path, port: int, kill: dict[str, Any], pipe: int, off: str) -> None:
    """Submit or resume the run, as a person would who starts a notebook again; dies where ``kill`` says."""
    notes = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    points = Points(kill, notes, acks)
    patience = _PATIENCE_ALONE if plan.is_alone else _PATIENCE
    ahead = timedelta(seconds=_hours(folder))
    clock.datetime = SimpleNamespace(now=lambda zone: datetime.now(zone) + ahead)
    switch_off(off, folder)
    install(points)
    if plan.half_closed is not None and plan.half_closed[0] == "worker" and kill:
        half_close(points, plan.half_closed[1])
    try:
        with (
            sx.open_blotter(folder / "run.duckdb") as blotter,
            _connect(port, kill, planner_of(blotter.recorded_events(plan.run_id), _CLIENT)) as broker,
        ):
            broker.in_flight_seconds = _SETTLE
            os.write(pipe, b"ready\n")
            time.sleep(kill.get("looks", 0.0))
            if kill.get("later"):
                approved = _approved(plan, plan.later_run_id)
                sx.submit_orders(approved, broker, blotter, timeout=patience, progress=False)
                points.note("finished")
                os._exit(0)
            if blotter.planned(plan.run_id):
                points.note(f"found {_states(plan, blotter)}")
                states = sx.resume(plan.run_id, broker, blotter, timeout=patience, settle=_SETTLE, progress=False)
            else:
                if blotter.planned(plan.later_run_id):
                    points.note("planned last")
                approved, work = _approved(plan), _work(plan)
                states = sx.submit_orders(approved, broker, blotter, timeout=patience, progress=False, work=work)
            points.note(f"claims {json.dumps(_claims(blotter.orders(plan.run_id)))}")
            fills = blotter.fills(plan.run_id)
            uncharged = fills.loc[fills["commission"].isna(), "client_order_id"]
            left = states[~states["status"].isin(ENDED) & ~_is_held_for_good(states)]
            left = left[~(left["client_order_id"].isin(plan.left_open) & (left["status"] == "PARTIAL"))]
            if len(left) or set(uncharged) - plan.unreported:
                points.note("open")  # or in doubt, or not charged: the next one may receive more
    except StockleanError as error:
        is_impatient = kill.get("waits") and isinstance(error, ClientIdInUseError)
        word = "failed" if is_impatient else "refused"
        points.note(f"{word} {type(error).__name__}: {str(error)[:300]}")
        sys.stdout.flush()
        os._exit(3)
    except BaseException:  # noqa: BLE001 - a bug of ours, to be counted
        points.note("failed " + traceback.format_exc().replace("\n", " | "))
        os._exit(4)
    points.note("finished")
    os._exit(0)


def run_reconciliation(plan: Plan, folder: Path, port: int, off: str) -> None:
    """Reconcile the blotter by the client id that the plan names, and note every grave difference.

    A client that receives no executions of the run sends a share of its own before, so that it receives some.
    """
    notes = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    ahead = timedelta(seconds=_hours(folder))
    clock.datetime = SimpleNamespace(now=lambda zone: datetime.now(zone) + ahead)
    switch_off(off, folder)
    with sx.open_blotter(folder / "run.duckdb") as blotter:
        found = _reconcile(plan, blotter, port)
    kinds = Counter(found.loc[found["severity"] == "halt", "kind"].tolist())
    rows = Counter(found["kind"].tolist())
    os.write(notes, f"rows {json.dumps(rows)}\ndiffers {json.dumps(kinds)}\n".encode())


def _reconcile(plan: Plan, blotter: Any, port: int) -> pd.DataFrame:
    """Reconcile, as often as it takes: a fault of the venue may still be due."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    unused = [symbol for symbol in QUOTES if symbol not in {one["symbol"] for one in plan.orders}]
    is_silent = plan.reconciled_by not in (0, _CLIENT) or plan.other_midnight
    sends = is_silent and unused and "later_run" not in plan.faults
    while True:
        try:
            with _connect(port, {"client": plan.reconciled_by}, _CLIENT) as broker:
                if sends and not blotter.planned(plan.later_run_id):
                    share = {"symbol": unused[0], "side": "BUY", "quantity": 1.0, "order_type": "MKT"}
                    order = pd.DataFrame([share | {"run_id": plan.later_run_id}])
                    review = sx.review_orders(sx.check_orders(order, LIMITS, quotes=MARKET))
                    review.approve_all(by="campaign")
                    sx.submit_orders(review.result(), broker, blotter, timeout=_PATIENCE, progress=False)
                return sx.reconcile(broker, blotter, halt=False)
        except BrokerError:
            if time.monotonic() > deadline:
                raise


def _claims(orders: pd.DataFrame) -> dict[str, float]:
    """Filled shares of the orders that are final on record."""
    final = orders[orders["status"].isin(ENDED)]
    return dict(zip(final["client_order_id"].tolist(), final["filled_quantity"].tolist(), strict=True))


def _is_held_for_good(states: pd.DataFrame) -> pd.Series[bool]:
    """Which orders are held back for reasons that no later resume can take away."""
    for_good = "plan again under a new run id|runs were planned later"
    return (states["status"] == "NEW") & states["reason"].fillna("").str.contains(for_good)


def _states(plan: Plan, blotter: Any) -> str:
    """How many orders the last worker left in which state."""
    of: dict[str, list[OrderEvent]] = {}
    for event in blotter.recorded_events(plan.run_id):
        if event.client_order_id:
            of.setdefault(event.client_order_id, []).append(event)
    asked = {f"{plan.run_id}-{one['symbol']}-{one['side']}": one["quantity"] for one in plan.orders}
    if plan.work is not None:  # also the orders for what others have left
        orders = blotter.orders(plan.run_id)
        asked |= dict(zip(orders["client_order_id"].tolist(), orders["quantity"].tolist(), strict=True))
    states = Counter(derive_order(asked[name], events).state for name, events in of.items())
    return " ".join(f"{state}:{count}" for state, count in states.items())


def _work(plan: Plan) -> dict[str, sx.WorkPolicy] | None:
    """The policy of each order that is worked."""
    return None if plan.work is None else dict.fromkeys(plan.worked, sx.WorkPolicy(**plan.work))


def planner_of(events: list[OrderEvent], otherwise: int) -> int:
    """Client id that planned a run by its record."""
    known = (one.client_id for one in events if one.kind == "intent" and one.client_id is not None)
    return next(known, otherwise)


def _connect(port: int, who: dict[str, Any], planner: int) -> Any:
    """Connect as often as it takes: a client id may be taken for a while, a venue may be about to start."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    host, client = who.get("host", "127.0.0.1"), who.get("client", planner)
    address, waits = f"ib://{host}:{port}?client_id={client}&rate=0&timeout=2", "waits" in who
    while True:
        try:
            return sx.connect(address, wait=_CONNECT_SECONDS if waits else 0.0)
        except BrokerError as error:
            if time.monotonic() > deadline or (waits and isinstance(error, ClientIdInUseError)):
                raise
            time.sleep(0.05)


def _approved(plan: Plan, run_id: str = "") -> pd.DataFrame:
    orders = pd.DataFrame(plan.orders).assign(run_id=run_id or plan.run_id)
    limits: sx.Limits = replace(LIMITS, **plan.limits)
    account: dict[str, Any] = {}
    if plan.cash is not None:
        limits = replace(limits, min_cash_after=0.0)
        account = {"positions": plan.held, "cash": plan.cash}
    if plan.rate is not None:
        account |= {"base_currency": plan.base_currency, "fx": {"USD": plan.rate}}
    market = MARKET.assign(quoted_at=clock.now()) if plan.has_old_quotes else MARKET
    review = sx.review_orders(sx.check_orders(orders, limits, quotes=market, **account))
    review.approve_all(by="campaign")
    return review.result()


# -- the copy of the blotter ---------------------------------------------------------------------------------


def is_planned(folder: Path) -> bool:
    """Whether a plan has been acknowledged as recorded."""
    acks = folder / "acks"
    return acks.exists() and "intent/" in acks.read_text("utf-8")


def run_copier(folder: Path, seconds: float) -> None:
    """Copy the blotter, whole, so many seconds after the run was planned."""
    deadline = time.monotonic() + _COPY_SECONDS
    while not is_planned(folder):
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK_SECONDS)
    time.sleep(seconds)
    copy = folder / COPY
    size = (folder / "acks").stat().st_size  # what was acknowledged by now is in the copy
    _connect_to_copy(folder / "run.duckdb", copy).close()
    copy.with_suffix(".acks").write_text(str(size))
