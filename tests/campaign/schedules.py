"""Seeded schedules of protocol faults and crashes in one process and in virtual time.

The broker's own code, the real client, the real venue; only sockets, threads and waiting are left out. A crash
takes effect between two steps: nothing more of the worker reaches the record or the wire.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pandas as pd

import stocklean_exec as sx
from stocklean_exec import blotter as blotter_module
from stocklean_exec import blotter_writer, ib_broker, ib_link
from stocklean_exec.errors import BrokerError, StockleanError
from stocklean_exec.lifecycle import ENDED, derive_order
from stocklean_exec.simulator import clock as venue_clock
from stocklean_exec.simulator import read_journal
from stocklean_exec.simulator.order_request import OrderRequest
from stocklean_exec.simulator.server import start
from stocklean_exec.simulator.settings import Settings
from stocklean_exec.simulator.venue import Venue
from tests.campaign.children import LIMITS, MARKET
from tests.campaign.judge import compare, truth_of
from tests.campaign.plans import make_plan
from tests.campaign.virtual import InlineEngine, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.campaign.plans import Plan

__all__ = ["run_schedule", "run_schedules", "virtual_time"]

_PATIENCE, _SETTLE, _CONNECT_SECONDS = 3.0, 1.0, 8.0
_QUIET, _CLEAN_PASSES = 2.0, 3
_A_BLOTTER = 25
_NOT_HERE = {"venue_killed"}


class Crash(BaseException):
    """The worker is dead."""


class _InlineWriter(blotter_writer.GroupCommitWriter):
    """Commits in the caller's thread, at once."""

    def __init__(self, connection: Any, after_commit: Any) -> None:
        self._connection, self._after_commit = connection, after_commit
        self._known, self._number, self._failure, self._closed = {}, 0, None, False
        self._appender = None

    def put(self, facts: Any = (), work: Any = None) -> Any:
        if self._appender is None:
            (last,) = self._connection.execute("SELECT coalesce(max(number), 0) FROM main.facts").fetchone()
            self._number = int(last)
            self._appender = self._connection.appender("facts", columns=list(blotter_writer._FACT_COLUMNS))
        future: Future[None] = Future()
        item = blotter_writer._Put(tuple(map(blotter_writer.plain, facts)), work, future)
        self._write(self._appender, [item])
        return future

    def close(self) -> None:
        self._appender = None
        self._connection.close()


class _Mortal:
    """A blotter that a worker can no longer write to once it is dead."""

    def __init__(self, real: Any, world: _World) -> None:
        self._real, self._world = real, world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def orders(self, run_id: str) -> Any:
        """As the view has them; what a run's plan fixes is read once, and states are derived from the facts."""
        if self._world.planned is None:
            self._world.planned = self._real.orders(run_id)
        told: dict[str, list[Any]] = {name: [] for name in self._world.planned["client_order_id"]}
        for fact in self._real.facts(run_id):
            if fact.client_order_id in told:
                told[fact.client_order_id].append(fact)
        asked = self._world.planned["quantity"].tolist()
        states = [derive_order(one, facts) for one, facts in zip(asked, told.values(), strict=True)]
        return self._world.planned.assign(
            state=[one.state for one in states], status=[one.status for one in states]
        )

    def _writing(self, name: str, *arguments: Any) -> Any:
        self._world.step("commit.before")
        result = getattr(self._real, name)(*arguments)
        self._world.step("commit.after")
        return result

    def record(self, *arguments: Any) -> Any:
        return self._writing("record", *arguments)

    def record_plan(self, *arguments: Any) -> Any:
        return self._writing("record_plan", *arguments)

    def record_quotes(self, *arguments: Any) -> Any:
        return self._writing("record_quotes", *arguments)

    def record_book(self, *arguments: Any) -> Any:
        return self._writing("record_book", *arguments)


class _Broker(ib_broker.IBBroker):
    """Needs no thread for what a run asks of the account."""

    def nav(self) -> float:
        return 1_000_000.0

    def positions(self) -> pd.DataFrame:
        return sx.read_positions({})

    def cash(self) -> float:
        return 0.0


class _World:
    """One schedule: a loop, a venue, and whatever worker lives just now."""

    current: _World | None = None

    def __init__(self, plan: Plan, blotter: Any, folder: Path) -> None:
        self.plan, self.blotter, self.folder = plan, blotter, folder
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda *_: None)
        self.is_dead = False
        self.crashes: list[str] = []
        self.unfinished = ""
        self._kill: dict[str, Any] = {}
        self._steps: dict[str, int] = {}
        self.slow = plan.slow
        self.due = 0.0
        self.server: Any = None
        self.planned: Any = None
        self.client_id = 1 + plan.seed % 1_000_000

    # -- crashing --------------------------------------------------------------------------------------------

    def step(self, name: str) -> None:
        """Pass a point at which a worker may die; raise if it is dead already."""
        if self.is_dead:
            raise Crash
        self._steps[name] = self._steps.get(name, 0) + 1
        if self._kill.get("step") == name and self._kill["nth"] == self._steps[name]:
            self.die(name)
            raise Crash

    def die(self, what: str) -> None:
        """Nothing more of this worker reaches anything; what it wrote to its connection arrives."""
        self.is_dead = True
        self.crashes.append(what)
        for transport in self.loop.transports:
            transport.abort()

    # -- running ---------------------------------------------------------------------------------------------

    def open_venue(self, *, plain: bool) -> None:
        port = 0
        if self.server is not None:
            port = self.server.port
            self.loop.run_until_complete(self.server.close())
        if plain:
            self.slow = 0.0
        settings = Settings(
            quotes=MARKET,
            seed=self.plan.seed,
            scenario={"order": self.plan.scenario["order"]} if plain else self.plan.scenario,
            state=self.folder / f"{self.plan.seed}.state",
            journal=self.folder / f"{self.plan.seed}.jsonl",
            clock="wall",
        )
        self.server = self.loop.run_until_complete(start(settings, port=port))
        if port == 0:
            self.server.venue.book.use_id(self.client_id, 49)

    def work(self, kill: dict[str, Any]) -> None:
        self.is_dead, self._kill, self._steps = False, kill, {}
        self.loop.transports.clear()
        broker = None
        try:
            broker = self._connect()
            run = self.loop.create_task(self._submit_or_resume(broker))
            if "after" in kill:
                self.loop.call_later(kill["after"], self._kill_task, run)
            self.loop.run_until_complete(run)
            self.unfinished = ""
        except StockleanError as error:
            self.unfinished = f"{type(error).__name__}: {error}"
        except (Crash, asyncio.CancelledError):
            pass
        finally:
            if broker is not None and not self.is_dead:
                broker.close()
            self._forget_tasks()

    def _kill_task(self, task: Any) -> None:
        if not task.done():
            self.die("random time")
            task.cancel()

    def _connect(self) -> Any:
        until = self.loop.time() + _CONNECT_SECONDS
        while True:
            try:
                broker = _Broker(port=self.server.port, client_id=self.client_id, rate=0.0, seconds=2.0)
            except BrokerError:
                if self.loop.time() > until:
                    raise
                self.wait(0.1)
            else:
                broker.settle_seconds = _SETTLE
                return broker

    async def _submit_or_resume(self, broker: Any) -> None:
        mortal, run_id = _Mortal(self.blotter, self), self.plan.run_id
        if self.blotter.planned(run_id):
            await sx.resume_async(run_id, broker, mortal, timeout=_PATIENCE, settle=_SETTLE)
        else:
            orders = pd.DataFrame(self.plan.orders).assign(run_id=run_id)
            review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes=MARKET))
            review.approve_all(by="schedule")
            await sx.submit_orders_async(review.result(), broker, mortal, timeout=_PATIENCE)

    def _forget_tasks(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def carry_out(self) -> dict[str, Any]:
        self.open_venue(plain=False)
        for number, kill in enumerate(self.plan.workers):
            self.work(_as_step(kill))
            if number == 0 and "reset_ids" in self.plan.between:
                self.wait(self.plan.slow + 0.1)
                self.server.venue.events.run({"do": "reset_ids"})
        self.wait(_QUIET + 10 * self.plan.slow)
        if self.plan.lasts:
            self.open_venue(plain=True)
        for _ in range(_CLEAN_PASSES):
            self.work({})
            self.wait(_QUIET + 10 * self.slow)
            if not self.unfinished and not self.slow and not self._is_open():
                break
        failures = self.server.venue.failures
        self.loop.run_until_complete(self.server.close())
        self.loop.close()
        return self.verdict(failures)

    def _is_open(self) -> bool:
        return not bool((_Mortal(self.blotter, self).orders(self.plan.run_id)["status"].isin(ENDED)).all())

    def verdict(self, failures: list[str]) -> dict[str, Any]:
        orders, fills = self.blotter.orders(self.plan.run_id), self.blotter.fills(self.plan.run_id)
        truth = truth_of(read_journal(self.folder / f"{self.plan.seed}.jsonl"))
        faults = {*self.plan.faults, *(f"script {name}" for name in self.plan.scripts)}
        result = compare(truth, orders, fills, faults, self.plan.untold)
        if self.unfinished:
            result["found"]["broken_workers"] = 1
            result["words"].append(f"broken_workers: {self.unfinished}")
        if failures:
            result["words"].append(f"the venue failed: {failures[0][-400:]}")
            result["found"]["broken_workers"] = result["found"].get("broken_workers", 0) + 1
        return result | {
            "seed": self.plan.seed,
            "faults": self.plan.faults,
            "crashes": self.crashes,
            "states": orders["state"].value_counts().to_dict(),
            "fills": len(truth["fills"]),
            "virtual_seconds": self.loop.time(),
        }


def _as_step(kill: dict[str, Any]) -> dict[str, Any]:
    """A kill of the campaign as one that a single process can imitate."""
    if "at" not in kill:
        return kill
    what, when = kill["at"].split(".", 1)
    if what == "order":
        return {"step": "order.after" if "after" in when else "order.before", "nth": kill["nth"]}
    number = 1 + sum(map(ord, kill["at"])) % 12 + kill["nth"]
    return {"step": "commit.before" if "before" in when else "commit.after", "nth": number}


def _engine(_name: str) -> InlineEngine:
    return InlineEngine(_World.current.loop)


@contextmanager
def virtual_time() -> Iterator[None]:
    """Within it every broker, venue and blotter of this process belongs to the current schedule."""
    send, handle = ib_link.Link.send_order, Venue.handle
    epoch = time.time()

    def send_order(self: Any, contract: Any, order: Any) -> None:
        _World.current.step("order.before")
        send(self, contract, order)
        _World.current.step("order.after")

    def queued(self: Any, session: Any, request: Any) -> None:
        world = _World.current
        if not world.slow or not isinstance(request, OrderRequest):
            handle(self, session, request)
            return
        world.due = max(world.due, self.clock.now() + world.slow)
        self.clock.schedule_at(world.due, partial(handle, self, session, request))

    now = SimpleNamespace(time=lambda: epoch + (_World.current.loop.time() if _World.current else 0.0))
    with (
        mock.patch.object(ib_link.Link, "send_order", send_order),
        mock.patch.object(Venue, "handle", queued),
        mock.patch.object(venue_clock, "time", now),
        mock.patch.object(ib_broker, "Engine", _engine),
        mock.patch.object(blotter_module, "GroupCommitWriter", _InlineWriter),
    ):
        yield


def run_schedule(seed: int, blotter: Any, folder: Path, *, also: Sequence[str] = ()) -> dict[str, Any]:
    """Carry out the schedule of a seed within :func:`virtual_time`, and judge it; the blotter may be shared."""
    plan = make_plan(seed, also=also)
    plan.faults = [name for name in plan.faults if name not in _NOT_HERE]
    _World.current = _World(plan, blotter, folder)
    try:
        return _World.current.carry_out()
    finally:
        _World.current = None


def run_schedules(seeds: Sequence[int], *, also: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Carry out many, one after another; some of them share a blotter in memory."""
    with virtual_time(), tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(seeds), _A_BLOTTER):
            with sx.open_blotter() as blotter:
                for seed in seeds[first : first + _A_BLOTTER]:
                    yield run_schedule(seed, blotter, Path(folder), also=also)
