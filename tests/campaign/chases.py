"""Seeded runs whose orders are worked by a policy, in virtual time: limits follow a market that moves, and finish.

Each draws its orders, its policy, the moves of the market, what TWS makes of its modifications, faults of the
connection, and where its workers die. The venue's journal is the truth, as for the other schedules; beyond them it
is held against what was approved: never more shares, no limit that was not on record, and the end that the policy
names.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.simulator import read_journal
from tests.campaign.checker import compare, truth_of
from tests.campaign.children import LIMITS, MARKET
from tests.campaign.plans import QUOTES, Plan, arrange, draw_kill
from tests.campaign.schedules import RAM, World, as_step, virtual_time
from tests.campaign.stand_ins import Life, Mortal, MortalBroker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FAILURES_OF_CHASES", "FAULTS_OF_CHASES", "make_chase", "run_chases"]

FAULTS_OF_CHASES = (
    "drop_before_read",
    "drop_after_accept",
    "drop_after_answer",
    "late_order",
    "duplicated",
    "delayed",
    "reordered",
    "split",
    "closed_before",
    "closed_after",
    "link_1102",
    "link_1101",
    "disconnect",
    "client_id_lingers",
    "venue_restarts",
    "late_evidence",
    "slow_intake",
)
"""Faults after which the venue has everything to say again."""

FAILURES_OF_CHASES = (
    "overfilled",
    "quantity_changed",
    "limit_not_on_record",
    "repriced_too_often",
    "not_finished",
)
"""What must be zero beyond what must be of every run."""

_TICK = 0.01
_QUIET = 2.0
_PASSES = 6
_A_BLOTTER = 5  # the view of orders takes twice as long in a blotter with 25 runs


def make_chase(seed: int) -> tuple[Plan, sx.WorkPolicy]:
    """Draw one run, and the policy that works its orders."""
    rng = random.Random(f"chase {seed}")  # noqa: S311 - a schedule, and no secret
    plan = Plan(seed)
    policy = _draw_policy(rng)
    entries = plan.scenario.setdefault("order", [])
    for symbol in rng.sample(sorted(QUOTES), rng.randint(1, 3)):
        bid, ask, _, shown = QUOTES[symbol]
        side = rng.choice(("BUY", "SELL"))
        mid = (bid + ask) / 2
        limit = round(mid - mid % _TICK if side == "BUY" else mid + _TICK - mid % _TICK, 2)
        quantity = float(rng.randint(10, 4 * shown))
        order = {"symbol": symbol, "side": side, "quantity": quantity, "order_type": "LMT", "limit_price": limit}
        plan.orders.append(order)
        name, entry = _draw_answers(rng)
        plan.scripts.append(name)
        entries.append({"symbol": symbol, "order_type": "LMT", **entry})
        _move(plan, symbol, rng)
    for name in rng.sample(FAULTS_OF_CHASES, rng.choices((0, 1, 2), (40, 40, 20))[0]):
        plan.faults.append(name)
        arrange(plan, name, rng)
    for _ in range(rng.choices((0, 1, 2), (30, 45, 25))[0]):
        plan.workers.append(_draw_death(rng, first=not plan.workers))
    return plan, policy


def _draw_policy(rng: random.Random) -> sx.WorkPolicy:
    slices = rng.choice((1, 1, 1, 2, 3))
    reprices = rng.choice((None, 0, 1, 2, 4))
    seconds = rng.choice((None, 1.0, 2.0, 3.0)) if reprices is None else rng.choice((1.0, 2.0))
    to = rng.choice(("mid", "near", "far"))
    return sx.WorkPolicy(
        reprice_seconds=seconds,
        reprice_to="mid" if seconds is None else to,
        reprices=reprices,
        deadline=rng.choice((4.0, 8.0, 12.0)),
        at_deadline=rng.choice(("marketable", "marketable", "MKT", "cancel", "leave")),
        slices=slices,
        end=rng.choice((None, 3.0)) if slices > 1 else None,
    )


def _draw_answers(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Draw how an order fills by itself, and what TWS makes of the first changes of its limit."""
    wait = {"wait": round(rng.uniform(0.02, 3.0), 3)}
    steps = rng.choice(
        (
            [],
            [{"rest": True}, wait, {"match": True}],
            [{"rest": True}, wait, {"fill": "half"}, {"match": True}],
            [{"rest": True}, wait, {"fill": "half"}, wait, {"fill": "half"}, {"match": True}],
            [{"rest": True}, wait, {"fill": "half"}, wait, {"fill": "rest"}],
        )
    )
    name, changes = rng.choice(
        (
            ("judged", []),
            ("judged", []),
            ("refused", [{"refuse": rng.choice((110, 201, 2102))}]),
            ("ignored", [{"ignore": True}]),
            ("late", [{"wait": round(rng.uniform(0.05, 1.5), 3)}, {"judge": True}]),
            ("crossed", [{"wait": 0.1}, {"fill": "half"}, {"judge": True}]),
            ("crossed", [{"wait": 0.1}, {"fill": "rest"}, {"judge": True}]),
            ("refused", [{"refuse": 2102}, {"ignore": True}, {"wait": 0.2}, {"judge": True}]),
        )
    )
    entry: dict[str, Any] = {"steps": steps} if steps else {}
    entry |= {"on_modify": changes} if changes else {}
    if rng.random() < _RACES:  # a fill that crosses the cancel
        entry["on_cancel"] = [{"wait": 0.1}, {"fill": rng.choice(("half", "rest"))}]
    return name, entry


_RACES = 0.3


def _move(plan: Plan, symbol: str, rng: random.Random) -> None:
    """Let the market of a symbol walk by a few ticks."""
    bid, ask, _, _ = QUOTES[symbol]
    at, shift = 0.0, 0.0
    for _ in range(rng.randint(0, 6)):
        at += rng.uniform(0.2, 3.0)
        shift += rng.choice((-3, -2, -1, 1, 2, 3)) * _TICK
        quote = {
            "bid": round(bid + shift, 2),
            "ask": round(ask + shift, 2),
            "last": round((bid + ask) / 2 + shift, 2),
        }
        event = {"after_accepts": 1, "delay": round(at, 3), "do": "move", "symbol": symbol, **quote}
        plan.scenario.setdefault("event", []).append(event)


def _draw_death(rng: random.Random, *, first: bool) -> dict[str, Any]:
    """Draw when a worker dies: at a step, or at a time while orders are worked."""
    if rng.random() < _AT_A_TIME:
        return {"after": round(rng.uniform(0.0, 12.0), 3)}
    kill = draw_kill(rng, first=first)
    if "nth" in kill:
        kill["nth"] += rng.choice((0, 0, 1, 2, 3))
    return kill


_AT_A_TIME = 0.5


class _Record(Mortal):
    """A blotter whose plan grows: its orders are read from the view, once after each write."""

    _READS = Mortal._READS | {"runs", "fills"}

    def orders(self, run_id: str) -> Any:
        return self._get("orders", self._real.orders, run_id).copy()


class _Broker(MortalBroker):
    """Needs no thread for the working orders either: the venue knows no other client's."""

    def open_orders(self) -> pd.DataFrame:
        return pd.DataFrame(columns=["client_order_id", "symbol", "side"])


class Chase(World):
    """One run with a policy."""

    broker = _Broker

    def __init__(self, plan: Plan, policy: sx.WorkPolicy, blotter: Any, folder: Path) -> None:
        super().__init__(plan, blotter, folder)
        self.policy = policy

    def _open_for(self, life: Life) -> Mortal:
        return _Record(self.blotter, self.loop, life, self.shelf)

    async def _submit_or_resume(self, broker: Any, life: Life) -> None:
        blotter, run_id = self._open_for(life), self.plan.run_id
        if blotter.planned(run_id):
            await sx.resume_async(run_id, broker, blotter, timeout=self.patience, settle=self.settle)
            return
        orders = pd.DataFrame(self.plan.orders).assign(run_id=run_id)
        review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes=MARKET))
        review.approve_all(by="chase")
        work = self.policy
        await sx.submit_orders_async(review.result(), broker, blotter, timeout=self.patience, work=work)

    def _carry_out(self) -> None:
        self.open_venue(plain=False)
        for kill in self.plan.workers:
            self.work(as_step(kill))
        for _ in range(_PASSES):
            self.work({})
            size = self._journal_size()
            self.wait(_QUIET + 10 * self.slow)
            if not self._unfinished and not self._is_open() and self._journal_size() == size:
                break
        self._close_venue()

    def _is_open(self) -> bool:
        blotter = self._open_for(Life(self.loop, {}))
        orders, fills = blotter.orders(self.plan.run_id), blotter.fills(self.plan.run_id)
        is_left = self.policy.at_deadline == "leave"
        is_over = orders["status"].isin([*ENDED, "SUBMITTED", "PARTIAL"] if is_left else ENDED).all()
        return bool(fills["commission"].isna().any()) or not bool(is_over)


# -- the verdict ---------------------------------------------------------------------------------------------


def _roots(orders: pd.DataFrame) -> dict[str, str]:
    """The approved order that each order is a part or the rest of."""
    parents = {row["client_order_id"]: _parent(row) for row in orders.to_dict("records")}
    roots = {}
    for name in parents:
        root = name
        while (parent := parents.get(root)) is not None:
            root = parent
        roots[name] = root
    return roots


def _parent(row: dict[str, Any]) -> str | None:
    found = (row.get(column) for column in ("replaces", "slice_of"))
    return next((name for name in found if isinstance(name, str)), None)


def _judge(
    world: Chase, journal: list[dict[str, Any]], orders: pd.DataFrame, fills: pd.DataFrame
) -> dict[str, Any]:
    plan, policy, truth = world.plan, world.policy, truth_of(journal)
    faults = {*plan.faults, *(f"script {name}" for name in plan.scripts)}
    result = compare(truth, orders, fills, faults)
    found, words = Counter(result["found"]), result["words"]

    def fail(kind: str, text: str) -> None:
        found[kind] += 1
        words.append(f"{kind}: {text}")

    for text in world.broken:
        fail("broken_workers", text)
    roots, filled = _roots(orders), defaultdict(float)
    for row in truth["fills"].values():
        filled[roots.get(row["order_ref"], row["order_ref"])] += row["quantity"]
    events = world.blotter.recorded_events(plan.run_id)
    asked = {f"{plan.run_id}-{one['symbol']}-{one['side']}": one["quantity"] for one in plan.orders}
    # What TWS refused before it was an order needs a person: its shares are not expected.
    refused = orders[(orders["state"] == "REJECTED") & ~orders["client_order_id"].isin(list(truth["accepted"]))]
    without = refused["quantity"].groupby(refused["client_order_id"].map(roots)).sum().to_dict()
    statuses = orders.groupby(orders["client_order_id"].map(roots))["status"].agg(set).to_dict()
    for name, quantity in asked.items():
        if filled[name] > quantity:
            fail("overfilled", f"{name}: {filled[name]:g} of {quantity:g}")
        known = statuses.get(name, set())
        if "UNKNOWN" in known:
            continue  # compare() has judged whether a fault explains it
        wanted = quantity - without.get(name, 0.0)
        if policy.at_deadline in ("marketable", "MKT") and filled[name] != wanted:
            fail("not_finished", f"{name}: {filled[name]:g} of {wanted:g} at {policy}, {known}")
        if policy.at_deadline == "cancel" and not known <= ENDED:
            fail("not_finished", f"{name} is {known} at {policy}")
    _judge_changes(journal, events, orders, policy, fail)
    return {
        "seed": plan.seed,
        "found": dict(found),
        "words": words,
        "policy": repr(policy),
        "at_deadline": policy.at_deadline,
        "faults": plan.faults,
        "scripts": plan.scripts,
        "kills": world.crashes,
        "orders": len(orders),
        "fills": len(truth["fills"]),
        "changes": sum(row["event"] == "modify" for row in journal),
        "unknown": int((orders["status"] == "UNKNOWN").sum()),
        "virtual_seconds": world.loop.time(),
    }


def _judge_changes(
    journal: list[dict[str, Any]], events: list[Any], orders: pd.DataFrame, policy: sx.WorkPolicy, fail: Any
) -> None:
    """Hold every limit that the venue had against the record, and count the changes."""
    limits = {row["client_order_id"]: {row["limit_price"]} for row in orders.to_dict("records")}
    planned = dict(zip(orders["client_order_id"], orders["quantity"], strict=True))
    changes: Counter[str] = Counter()
    for event in events:
        if event.kind == "modifying":
            limits[event.client_order_id].add(round(event.price, 8))
            changes[event.client_order_id] += event.code == "reprice"
    for name, count in changes.items():
        if policy.reprices is not None and count > policy.reprices:
            fail("repriced_too_often", f"{name}: {count} times, {policy}")
    for row in journal:
        if row["event"] in ("order", "modify") and row["order_type"] == "LMT":
            name = row["order_ref"]
            if row["limit_price"] not in limits.get(name, ()):
                fail("limit_not_on_record", f"{name}: {row['limit_price']}")
            if row["quantity"] != planned.get(name):
                fail("quantity_changed", f"{name}: {row['quantity']:g} of {planned.get(name)}")


def _carry_out(seed: int, blotter: Any, folder: Path) -> dict[str, Any]:
    plan, policy = make_chase(seed)
    own = folder / str(seed)
    own.mkdir()
    World.current = world = Chase(plan, policy, blotter, own)
    try:
        world.carry_out()
        if blotter.halted is not None:
            world.broken.append(f"halted: {blotter.halted}")
            blotter.clear_halt("the next one shall not suffer for it")
    finally:
        World.current = None
    journal = read_journal(own / "journal.jsonl")
    return _judge(world, journal, blotter.orders(plan.run_id), blotter.fills(plan.run_id))


def run_chases(seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Carry out many, one after another; some of them share a blotter in memory."""
    for first in range(0, len(seeds), _A_BLOTTER):
        with (
            tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else None) as folder,
            mock.patch.dict(os.environ, XDG_STATE_HOME=folder),
            virtual_time(threads=False),
            sx.open_blotter() as blotter,
        ):
            for seed in seeds[first : first + _A_BLOTTER]:
                yield _carry_out(seed, blotter, Path(folder))
