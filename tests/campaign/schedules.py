"""Seeded schedules of protocol faults and crashes in one process and in virtual time.

The broker's own code, the real client, the real venue; only sockets, threads and waiting are left out. A crash
takes effect between two steps: nothing more of the worker reaches the record or the wire. All clocks are virtual,
and nothing of the computer is shared with other processes: a seed is the same schedule at any time and anywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pandas as pd

import stocklean_exec as sx
from stocklean_exec import background, clock
from stocklean_exec.blotter import blotter as blotter_module
from stocklean_exec.blotter import database_file
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.brokers.ib import broker as ib_broker
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.errors import BrokerError, StockleanError
from stocklean_exec.simulator import clock as venue_clock
from stocklean_exec.simulator import read_journal
from stocklean_exec.simulator.exchange.venue import Venue
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.server.server import start
from stocklean_exec.simulator.settings import Settings
from tests.campaign.checker import compare, truth_of
from tests.campaign.children import LIMITS, MARKET, fault_watchers, planner_of
from tests.campaign.plans import FAULTS, USES, make_plan
from tests.campaign.stand_ins import Crash, InlineWriter, Life, Mortal, MortalBroker, Shelf
from tests.campaign.virtual import InlineLoop, VirtualLoop, counted_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from tests.campaign.plans import Plan

__all__ = ["FAULTS_HERE", "RAM", "STEPS", "World", "run_schedules", "virtual_time"]

STEPS = ("commit.before", "commit.after", "order.before", "order.after", "random time")
"""Where a worker can die."""
_NOT_HERE = {"venue_killed", "restored_copy", "two_addresses", "later_run", "reconciled"}
FAULTS_HERE = tuple(name for name in (*FAULTS, *USES) if name not in _NOT_HERE)
"""Faults that a single process can imitate."""

_NOON = datetime(2022, 12, 29, 17, 0, tzinfo=UTC)  # in New York: no schedule sees a midnight
_PATIENCE, _SETTLE, _CONNECT_SECONDS = 3.0, 1.0, 8.0
_QUIET, _CLEAN_PASSES = 2.0, 5
_A_BLOTTER = 25
_OTHERS = 1_000_000  # above every client id that plans a run
_MOST_CANCELS = 100
RAM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there


class World:
    """One schedule: a loop, a venue, and whatever worker lives just now."""

    current: World | None = None
    patience, settle = _PATIENCE, _SETTLE
    broker: type[MortalBroker] = MortalBroker

    def __init__(self, plan: Plan, blotter: Any, folder: Path) -> None:
        self.plan, self.blotter, self.folder = plan, blotter, folder
        self.thread = threading.get_ident()
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self._on_callback_failure)
        self.slow = plan.slow
        self.due = 0.0
        self.server: Any = None
        self.client_id = 1 + plan.seed % 1_000_000
        self.crashes: list[str] = []
        self.broken: list[str] = []
        self.found_states: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.halted = ""
        self._unfinished = ""
        self.shelf = Shelf()

    def now(self) -> datetime:
        return _NOON + timedelta(seconds=self.loop.time())

    def _on_callback_failure(self, _loop: Any, context: dict[str, Any]) -> None:
        """A callback that failed: the death of its worker, or a fault of ours."""
        error = context.get("exception")
        if "handle" in context and not isinstance(error, Crash):
            self.broken.append(f"{context['message']}: {error!r}")

    # -- running ---------------------------------------------------------------------------------------------

    def open_venue(self, *, plain: bool) -> None:
        port = 0
        if self.server is not None:
            port = self.server.port
            self._close_venue()
        if plain:
            self.slow = 0.0
        settings = Settings(
            quotes=MARKET,
            seed=self.plan.seed,
            scenario={"order": self.plan.scenario["order"]} if plain else self.plan.scenario,
            state=self.folder / "state",
            journal=self.folder / "journal.jsonl",
            clock="wall",
        )
        self.server = self.loop.run_until_complete(start(settings, port=port))
        if port == 0:
            self.server.venue.ledger.use_id(self.client_id, 49)

    def _close_venue(self) -> None:
        self.broken += [f"the venue failed: {text[-400:]}" for text in self.server.venue.failures]
        self.loop.run_until_complete(self.server.close())

    def work(self, kill: dict[str, Any]) -> None:
        """Let one worker submit or resume the run, until its end or its death."""
        life = Life(self.loop, kill)
        broker = None
        try:
            planner = planner_of(self.blotter.recorded_events(self.plan.run_id), self.client_id)
            broker = self._connect(life, self._client_of(kill, planner))
            life.task = self.loop.create_task(self._submit_or_resume(broker, life))
            if "after" in kill:
                self.loop.call_later(kill["after"], self._kill, life)
            self.loop.run_until_complete(life.task)
            self._unfinished = ""
        except StockleanError as error:
            self._unfinished = f"{type(error).__name__}: {error}"
        except (Crash, asyncio.CancelledError):
            pass
        finally:
            if broker is not None and not life.is_over:
                broker.close()
            life.end()
            self._forget_tasks()
            if life.crash:
                self.crashes.append(life.crash)

    def _client_of(self, kill: dict[str, Any], planner: int) -> int:
        return self.client_id + _OTHERS if "client" in kill else planner

    def _open_for(self, life: Life) -> Mortal:
        return Mortal(self.blotter, self.loop, life, self.shelf)

    def _kill(self, life: Life) -> None:
        if life.task is not None and not life.task.done():
            life.die("random time")

    def _connect(self, life: Life, client_id: int) -> Any:
        until = self.loop.time() + _CONNECT_SECONDS
        while True:
            try:
                broker = self.broker(life, port=self.server.port, client_id=client_id, rate=0.0, seconds=2.0)
            except BrokerError:
                if self.loop.time() > until:
                    raise
                self.wait(0.1)
            else:
                broker.in_flight_seconds = self.settle
                return broker

    async def _submit_or_resume(self, broker: Any, life: Life) -> None:
        blotter, run_id = self._open_for(life), self.plan.run_id
        if blotter.planned(run_id):
            self.found_states.update(blotter.orders(run_id)["state"].tolist())
            await sx.resume_async(run_id, broker, blotter, timeout=self.patience, settle=self.settle)
        else:
            orders = pd.DataFrame(self.plan.orders).assign(run_id=run_id)
            review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes=MARKET))
            review.approve_all(by="schedule")
            await sx.submit_orders_async(review.result(), broker, blotter, timeout=self.patience)

    def _forget_tasks(self) -> None:
        """What a worker leaves ends at once: it has no time left to wind up in."""
        for _ in range(_MOST_CANCELS):
            left = asyncio.all_tasks(self.loop)
            if not left:
                return
            for task in left:
                task.cancel()
            self.wait(0.0)
        self.broken.append(f"does not end: {left}")

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def carry_out(self) -> None:
        try:
            self._carry_out()
            if self._unfinished:
                self.broken.append(self._unfinished)
        except Exception as error:  # noqa: BLE001 - the harness itself failed; that is no pass
            self.broken.append(f"{type(error).__name__}: {error}")
        finally:
            self.loop.close()

    def _carry_out(self) -> None:
        self.open_venue(plain=False)
        for number, kill in enumerate(self.plan.workers):
            self.work(as_step(kill))
            if number == 0 and "reset_ids" in self.plan.between:
                self.wait(self.plan.slow + 0.1)
                self.server.venue.events.run({"do": "reset_ids"})
        self.wait(_QUIET + 10 * self.plan.slow)
        if self.plan.lasts:
            self.open_venue(plain=True)
        for _ in range(_CLEAN_PASSES):
            self.work({})
            size = self._journal_size()
            self.wait(_QUIET + 10 * self.slow)
            is_over = not self._unfinished and not self._is_open()
            if is_over and self._journal_size() == size:  # or a correction has come when no run was connected
                break
        self._close_venue()

    def _journal_size(self) -> int:
        return (self.folder / "journal.jsonl").stat().st_size

    def _is_open(self) -> bool:
        blotter = self._open_for(Life(self.loop, {}))
        fills = self.blotter.fills(self.plan.run_id)
        uncharged = fills.loc[fills["commission"].isna(), "client_order_id"]
        is_owed = bool(set(uncharged) - self.plan.unreported)
        return is_owed or not bool(blotter.orders(self.plan.run_id)["status"].isin(ENDED).all())


def as_step(kill: dict[str, Any]) -> dict[str, Any]:
    """A kill of the campaign as one that a single process can imitate."""
    who = {"client": kill["client"]} if "client" in kill else {}
    if "at" not in kill:
        return kill
    what, when = kill["at"].split(".", 1)
    if what == "order":
        return who | {"step": "order.after" if "after" in when else "order.before", "nth": kill["nth"]}
    number = 1 + sum(map(ord, kill["at"])) % 12 + kill["nth"]
    return who | {"step": "commit.before" if "before" in when else "commit.after", "nth": number}


# -- the verdict ---------------------------------------------------------------------------------------------


def _check(world: World, journal: bytes, rows: list[Any], orders: pd.DataFrame, fills: pd.DataFrame) -> Any:
    """Compare the record of one schedule with its venue's journal."""
    plan = world.plan
    truth = truth_of(rows)
    faults = {*plan.faults, *(f"script {name}" for name in plan.scripts)}
    result = compare(truth, orders, fills, faults, plan.unreported)
    found, words = Counter(result["found"]), result["words"]
    if orders.empty:
        found["never_sent"] += len(plan.orders)
        words.append("never_sent: the run is not on record")
    if world.halted:
        found["halted"] += 1
        words.append(f"halted: {world.halted}")
    planned = world.shelf.planned
    if planned is not None and not planned.equals(orders[planned.columns].reset_index(drop=True)):
        world.broken.append("the workers have read another plan than the view has")
    if world.broken:
        found["broken_workers"] += len(world.broken)
        words += [f"broken_workers: {text}" for text in world.broken]
    return {
        "seed": plan.seed,
        "found": dict(found),
        "words": words,
        "faults": plan.faults,
        "scripts": plan.scripts,
        "happened": dict(world.happened),
        "kills": world.crashes,
        "found_states": dict(world.found_states),
        "states": orders["state"].value_counts().to_dict(),
        "unknown": [str(reason)[:160] for reason in orders.loc[orders["status"] == "UNKNOWN", "reason"]],
        "held": [str(one)[:160] for one in orders.loc[orders["state"] == "INTENT", "reason"].dropna()],
        "accepted": sum(truth["accepted"].values()),
        "fills": len(truth["fills"]),
        "absorbed": sum(row["event"] == "modify" for row in rows),
        "virtual_seconds": world.loop.time(),
        "answers": world.loop.answers,
        "digest": hashlib.sha256(journal).hexdigest(),
    }


def _check_all(blotter: Any, worlds: list[World]) -> Iterator[dict[str, Any]]:
    """Read what the schedules of one blotter have left, once for all of them."""
    orders, fills = blotter.orders(), blotter.fills()
    by_run = [dict(iter(frame.groupby("run_id"))) for frame in (orders, fills)]
    for world in worlds:
        path, run_id = world.folder / "journal.jsonl", world.plan.run_id
        journal = path.read_bytes() if path.exists() else b""
        rows = read_journal(path) if journal else []
        events = repr(blotter.recorded_events(run_id)).encode()
        own = (found.get(run_id, frame[:0]) for found, frame in zip(by_run, (orders, fills), strict=True))
        result = _check(world, journal + events, rows, *own)
        result["absorbed"] += events.count(b"code='103'")
        yield result


# -- many ----------------------------------------------------------------------------------------------------


def _here() -> World | None:
    """The schedule of this thread: what other threads do is none of ours."""
    world = World.current
    return world if world is not None and world.thread == threading.get_ident() else None


def _of_workers(*, threads: bool) -> Iterator[tuple[Any, str, Any]]:
    """Replacements in our modules so that workers live in the current schedule: owner, name, stand-in."""
    send = ib_connection.Connection.send_order

    def send_order(self: Any, contract: Any, order: Any) -> None:
        life = getattr(self._owner, "life", None)
        if life is not None:
            life.step("order.before")
        send(self, contract, order)
        if life is not None:
            life.step("order.after")

    def virtual_now(zone: tzinfo) -> datetime:
        world = _here()
        return datetime.now(zone) if world is None else world.now()

    def make_background_loop(name: str) -> Any:
        world = _here()
        return background.BackgroundLoop(name) if world is None else InlineLoop(world.loop)

    yield ib_connection.Connection, "send_order", send_order
    yield clock, "datetime", SimpleNamespace(now=virtual_now)  # some have kept the function clock.now itself
    yield ib_broker, "BackgroundLoop", make_background_loop
    # DuckDB's own threads cost more than they save where tables are small.
    yield database_file, "_CONFIG", {**database_file._CONFIG, "threads": "1"}
    if not threads:
        yield blotter_module, "GroupCommitWriter", InlineWriter


def _of_venues() -> Iterator[tuple[Any, str, Any]]:
    """Replacements in the simulator's modules: its time, the queue of its order entry, a listener for its
    faults."""
    handle, time = Venue.handle, venue_clock.time

    def queued(self: Any, session: Any, request: Any) -> None:
        world = _here()
        if world is None or not world.slow or not isinstance(request, OrderRequest):
            handle(self, session, request)
            return
        world.due = max(world.due, self.clock.now() + world.slow)
        self.clock.schedule_at(world.due, partial(handle, self, session, request))

    def venue_time() -> float:
        world = _here()
        return time.time() if world is None else world.now().timestamp()

    def note(text: str) -> None:
        world = _here()
        if world is not None:
            world.happened[text] += 1

    yield Venue, "handle", queued
    yield venue_clock, "time", SimpleNamespace(time=venue_time)
    yield from fault_watchers(note)


@contextmanager
def virtual_time(*, threads: bool) -> Iterator[None]:
    """Within it every broker, venue and blotter of this thread belongs to the current schedule."""
    with ExitStack() as stack:
        stack.enter_context(counted_threads())
        for owner, name, stand_in in (*_of_workers(threads=threads), *_of_venues()):
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        yield


def _carry_out(seed: int, blotter: Any, folder: Path, also: Sequence[str]) -> World:
    plan = make_plan(seed, also=also, more=False)
    plan.faults = [name for name in plan.faults if name not in _NOT_HERE]
    plan.cash = None  # the stand-in of the account has no cash: its buys wait for nothing
    own = folder / str(seed)
    own.mkdir()
    World.current = world = World(plan, blotter, own)
    try:
        world.carry_out()
        if blotter.halted is not None:
            world.halted = str(blotter.halted)
            blotter.clear_halt("the next schedule shall not suffer for it")
    finally:
        World.current = None
    return world


def run_schedules(
    seeds: Sequence[int], *, also: Sequence[str] = (), threads: bool = False
) -> Iterator[dict[str, Any]]:
    """Carry out many, one after another; some of them share a blotter in memory.

    ``threads`` leaves the blotter's own writer in its thread: slower, and virtual time has to wait for it.
    """
    for first in range(0, len(seeds), _A_BLOTTER):
        some = seeds[first : first + _A_BLOTTER]
        # Run locks are in the state folder: another process with the same seeds must have its own.
        with (
            tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else None) as folder,
            mock.patch.dict(os.environ, XDG_STATE_HOME=folder),
            virtual_time(threads=threads),
            sx.open_blotter() as blotter,
        ):
            yield from _check_all(blotter, [_carry_out(seed, blotter, Path(folder), also) for seed in some])
