"""True histories of orders whose messages are lost, late, doubled and reordered; checked by the venue's journal.

A history is a run of a few orders at the simulator, in virtual time (:mod:`tests.campaign.schedules`), and a wire
between venue and client that treats each message about an order, an execution or a position as its seed says. The
run is resumed under any client id, any number of times, and its workers may be killed. After every write to the
blotter, an order that is final on record must be final at the venue, with the same shares.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import stocklean_exec as sx
from stocklean_exec.blotter.events import execution_family
from stocklean_exec.blotter.order_state import ENDED, OrderAccumulator
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.errors import BrokerError
from stocklean_exec.simulator import read_journal
from tests.campaign.plans import QUOTES, Plan
from tests.campaign.schedules import RAM, World, virtual_time
from tests.campaign.stand_ins import Life, Mortal, MortalBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pandas as pd

    from stocklean_exec.blotter.events import OrderEvent

__all__ = ["KINDS", "History", "Session", "Treatment", "Truth", "Wire", "make_history", "run_histories"]

CASH = 1_000_000.0
_OTHER, _ALL = 900_001, 0
"""Client ids that did not plan the run: one that receives no executions of others, and one that receives all."""
_TOLERANCE = 1e-6
_REST_SECONDS = 12.0  # longer than any script, and than any message is late
_MOST_COPIES = 3
_LAST_RESUMES = 3


# -- what happened at the venue ------------------------------------------------------------------------------


class Truth:
    """Orders and executions by the venue's journal, read on as it grows.

    Examples
    --------
    >>> truth = Truth()
    >>> truth.add({"event": "order", "order_ref": "r-KO-BUY", "quantity": 10.0})
    >>> row = {"event": "execution", "order_ref": "r-KO-BUY", "symbol": "KO", "side": "BUY", "price": 60.0}
    >>> truth.add(row | {"exec_id": "a.b.1.01", "quantity": 10.0})
    >>> truth.problem("r-KO-BUY", "FILLED", 10.0, 10.0, {"a.b.1.01"})
    ''
    >>> truth.problem("r-KO-BUY", "CANCELLED", 10.0, 4.0, set())
    'CANCELLED with 4 filled, and 10 were'
    >>> truth.add(row | {"exec_id": "a.b.1.02", "quantity": 8.0})
    >>> truth.problem("r-KO-BUY", "FILLED", 10.0, 10.0, {"a.b.1.01"})
    ''
    >>> truth.problem("r-KO-BUY", "FILLED", 10.0, 10.0, {"a.b.1.01", "a.b.1.02"})
    'FILLED with 10 filled, and 8 were'
    """

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.asked: dict[str, float] = {}
        self.revisions: defaultdict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
        self.fees: dict[str, float] = {}
        self._read = self._rows = 0

    def read(self, path: Path) -> None:
        """Add what the journal has more than before."""
        if path.exists() and path.stat().st_size > self._read:
            rows = read_journal(path)
            for row in rows[self._rows :]:
                self.add(row)
            self._rows = len(rows)
            self._read = path.stat().st_size

    def add(self, row: dict[str, Any]) -> None:
        """Add one row of the journal."""
        ref, event = row["order_ref"], row["event"]
        if event in ("order", "modify"):
            self.asked[ref] = row["quantity"]
        elif event == "cancel":
            self.ended.add(ref)
        elif event == "execution":
            family, _ = execution_family(row["exec_id"])
            self.revisions[ref].setdefault(family, []).append(row)
        elif event == "commission":
            self.fees[row["exec_id"]] = row["commission"]
        if ref in self.asked and self.filled(ref) >= self.asked[ref] - _TOLERANCE:
            self.ended.add(ref)  # and stays so, whatever is corrected afterwards

    def latest(self, ref: str) -> list[dict[str, Any]]:
        """Executions of an order in their latest correction, without those of no shares."""
        return [rows[-1] for rows in self.revisions[ref].values() if rows[-1]["quantity"]]

    def filled(self, ref: str) -> float:
        """Shares of an order that count."""
        return sum(row["quantity"] for row in self.latest(ref))

    def problem(self, ref: str, status: str, asked: float, filled: float, known: set[str]) -> str:
        """What is wrong with a final state on record, of which the executions ``known`` are on record.

        A correction that is not on record may be unknown there: then an earlier one of its executions counts.
        """
        if not any(abs(filled - total) <= _TOLERANCE for total in self._possible(ref, known)):
            return f"{status} with {filled:g} filled, and {self.filled(ref):g} were"
        if status == "FILLED" and filled < asked - _TOLERANCE:
            return f"FILLED with {filled:g} of {asked:g}"
        if ref in self.asked and ref not in self.ended:
            return f"{status}, and the venue works it"
        return ""

    def _possible(self, ref: str, known: set[str]) -> list[float]:
        choices = []
        for rows in self.revisions[ref].values():
            is_behind = rows[-1]["exec_id"] not in known and any(row["exec_id"] in known for row in rows)
            choices.append([row["quantity"] for row in (rows if is_behind else rows[-1:])])
        return [sum(some) for some in itertools.product(*choices)]


# -- the wire ------------------------------------------------------------------------------------------------

_NAMES = {"3": "status", "4": "error", "5": "open", "11": "execution", "59": "commission", "61": "position"}
_NAMES |= {"101": "completed"}
KINDS = tuple(_NAMES.values())
"""Messages that the wire may lose, delay, double and reorder."""
_ORDER_CODES = {"103", "201", "202", "399", "10349"}  # of errors about orders; others answer requests
_RATES = (0.0, 0.0, 0.1, 0.4, 1.0)


@dataclass(frozen=True)
class Treatment:
    """How often messages of one kind are lost for good, lost at first, late, and doubled: parts of one."""

    lost: float = 0.0
    lost_at_first: float = 0.0
    late: float = 0.0
    doubled: float = 0.0


class Wire:
    """Between a venue and its clients: treats every frame to a client by its kind and contents.

    A message that is lost for good is lost each time that it is sent, on whatever connection; a wire that
    ``is_prompt`` does nothing else. The kinds of messages in ``passes`` always arrive.
    """

    def __init__(self, seed: int, treatments: dict[str, Treatment]) -> None:
        self.treatments = treatments
        self.done: Counter[str] = Counter()
        self._rng = random.Random(f"wire {seed}")  # noqa: S311 - a schedule, and no secret
        self._seed = seed
        self._left: dict[tuple[str, ...], float] = {}
        self.passes: frozenset[str] = frozenset()
        self.is_prompt = False

    def attach(self, transport: Any, loop: Any) -> None:
        """Stand between ``transport`` and its peer from now on."""
        write, pending = transport.write, bytearray()

        def through(data: bytes) -> None:
            pending.extend(data)
            while len(pending) >= 4 and len(pending) >= 4 + int.from_bytes(pending[:4], "big"):
                size = 4 + int.from_bytes(pending[:4], "big")
                frame = bytes(pending[:size])
                del pending[:size]
                for delay in self._delays(frame):
                    if delay:
                        loop.call_later(delay, write, frame)
                    else:
                        write(frame)

        transport.write = through

    def _delays(self, frame: bytes) -> list[float]:
        """Seconds after which the frame arrives, once for each copy of it."""
        fields = frame[4:].decode("latin-1").split("\0")
        name = _NAMES.get(fields[0], "")
        if not name or name in self.passes or (name == "error" and fields[3:4][0] not in _ORDER_CODES):
            return [0.0]
        how, rng = self.treatments[name], self._rng
        left = self._left.setdefault(_identity(name, fields), self._lost_times(name, fields, how))
        if left and (left == math.inf or not self.is_prompt):
            self._left[_identity(name, fields)] -= 1
            self.done["lost"] += 1
            return []
        if self.is_prompt:
            return [0.0]
        copies = 1 + (rng.randint(1, _MOST_COPIES) if rng.random() < how.doubled else 0)
        self.done["doubled"] += copies > 1
        delays = [self._delay(how) for _ in range(copies)]
        self.done["late"] += any(delays)
        return delays

    def _lost_times(self, name: str, fields: list[str], how: Treatment) -> float:
        """How many times a message is lost: by its contents, so that it is the same on every connection."""
        rng = random.Random(f"{self._seed} {_identity(name, fields)}")  # noqa: S311 - as above
        if rng.random() < how.lost:
            return math.inf
        return rng.randint(1, 2) if rng.random() < how.lost_at_first else 0

    def _delay(self, how: Treatment) -> float:
        rng = self._rng
        return rng.choice((rng.uniform(0.0, 0.05), rng.uniform(0.0, 5.0))) if rng.random() < how.late else 0.0


def _identity(name: str, fields: list[str]) -> tuple[str, ...]:
    """What makes two messages the same one."""
    places = {"status": (6, 2, 3, 4), "error": (2, 3), "open": (25,), "execution": (14,), "commission": (2,)}
    places["position"] = (3,)
    if name == "completed":
        return (name, *fields)
    return (name, *(fields[place] for place in places[name] if place < len(fields)))


# -- drawing -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """One worker: the client id it resumes with, and the seconds until it begins, and until it is killed."""

    client: int | None = None
    pause: float = 0.0
    killed_after: float | None = None


@dataclass(frozen=True)
class History:
    """Everything that is drawn from a seed. ``smaller``: symbols whose order a person makes smaller, and when."""

    plan: Plan
    treatments: dict[str, Treatment]
    sessions: tuple[Session, ...]
    smaller: dict[str, float]
    reconciler: int | None

    @property
    def is_whole(self) -> bool:
        """Whether no message is lost for good."""
        return not any(one.lost for one in self.treatments.values())


def make_history(seed: int) -> History:
    """The history of a seed.

    Examples
    --------
    >>> make_history(7) == make_history(7), make_history(7) == make_history(8)
    (True, False)
    """
    rng = random.Random(f"history {seed}")  # noqa: S311 - a schedule, and no secret
    plan = Plan(seed, scenario={"order": []})
    smaller: dict[str, float] = {}
    for symbol in rng.sample(sorted(QUOTES), rng.randint(3, 6)):
        bid, ask, _, _ = QUOTES[symbol]
        side, (name, entry) = rng.choice(("BUY", "SELL")), _draw_script(rng)
        limit = round(ask * 1.01, 2) if side == "BUY" else round(bid * 0.99, 2)
        plan.orders.append(
            {"symbol": symbol, "side": side, "quantity": float(rng.randint(4, 400)), "order_type": "LMT"}
            | {"limit_price": limit}
        )
        plan.scripts.append(name)
        if entry:
            plan.scenario["order"].append({"symbol": symbol, **entry})
        if name == "made_smaller":
            smaller[symbol] = round(rng.uniform(0.1, 2.0), 3)
    loses = rng.random() < 0.5
    treatments = {
        name: Treatment(
            lost=rng.choice(_RATES) if loses else 0.0,
            lost_at_first=rng.choice(_RATES),
            late=rng.choice(_RATES),
            doubled=rng.choice((0.0, 0.0, 0.3)),
        )
        for name in KINDS
    }
    treatments["position"] = Treatment(late=treatments["position"].late)
    sessions = [Session(killed_after=rng.choice((None, round(rng.uniform(0.0, 4.0), 3))))]
    for _ in range(rng.randint(0, 4)):
        client, pause = rng.choice((None, None, _OTHER, _ALL)), round(rng.uniform(0.0, 4.0), 3)
        sessions.append(Session(client, pause, rng.choice((None, round(rng.uniform(0.0, 15.0), 3)))))
    return History(plan, treatments, tuple(sessions), smaller, rng.choice((None, None, _OTHER, _ALL)))


def _draw_script(rng: random.Random) -> tuple[str, dict[str, Any]]:
    def wait() -> dict[str, Any]:
        return {"wait": round(rng.choice((rng.uniform(0.01, 0.2), rng.uniform(0.2, 3.0))), 3)}

    half, rest, resting = {"fill": "half"}, {"fill": "rest"}, {"rest": True}
    choices: dict[str, dict[str, Any]] = {
        "market": {},
        "filled": {"steps": [resting, wait(), half, wait(), half, wait(), rest]},
        "cancelled": {"steps": [resting, wait(), {"cancel": True}]},
        "cancelled_in_part": {"steps": [resting, wait(), half, wait(), half, {"cancel": True}]},
        "rejected": {"steps": [wait(), {"reject": 201}]},
        "rejected_in_part": {"steps": [half, wait(), {"reject": 201}]},
        "refused": {"steps": [{"reject": rng.choice((200, 203, 463))}]},
        "made_smaller": {"steps": [resting, half]},
        "corrected": {"steps": [half, wait(), {"correct": True, "price": 50.25}, wait(), rest]},
        "corrected_at_the_end": {"steps": [rest, wait(), {"correct": True, "quantity": 2}]},
        "busted": {"steps": [half, wait(), {"bust": True}, wait(), rest]},
        "busted_at_the_end": {"steps": [rest, wait(), {"bust": True}]},
        "status_runs_back": {"steps": [half, wait(), rest, {"status": "Submitted"}]},
        "late_start": {"accept_delay": round(rng.uniform(0.02, 2.0), 3)},
        "late_commission": {"commission_delay": round(rng.uniform(0.05, 3.0), 3)},
        "commission_first": {"commission": "first"},
        "no_commission": {"commission": "never"},
    }
    name = rng.choice(list(choices))
    return name, choices[name]


# -- executing -----------------------------------------------------------------------------------------------


class _Watched(Mortal):
    """A blotter that is checked after each write."""

    def __init__(self, world: _History, life: Life) -> None:
        super().__init__(world.blotter, world.loop, life, world.shelf)
        self._world = world

    def record(self, *arguments: Any) -> Any:
        """Record events, and compare what they say with the venue."""
        result = super().record(*arguments)
        self._world.check(*arguments)
        return result


class _Reconciler(IBBroker):
    """Reports what it has just seen: within the loop it cannot wait for the answers."""

    def look(self) -> None:
        """Ask the venue."""
        self._seen = super().positions(), super().open_orders(), super().cash()

    def positions(self) -> pd.DataFrame:
        return self._seen[0]

    def open_orders(self) -> pd.DataFrame:
        return self._seen[1]

    def cash(self) -> float:
        return self._seen[2]


class _Broker(MortalBroker):
    """Of an account with as much cash as the venue says."""

    def cash(self) -> float:
        return CASH


class _History(World):
    patience, settle = 60.0, 10.0
    broker = _Broker

    def __init__(self, history: History, blotter: Any, folder: Path) -> None:
        super().__init__(history.plan, blotter, folder)
        self.history, self.truth, self.problems = history, Truth(), dict[str, str]()
        self.halts: list[str] = []
        self.bare: set[str] = set()
        self.wire = Wire(history.plan.seed, history.treatments)
        self.final: dict[str, int] = {}
        self.asked = {
            f"{self.plan.run_id}-{one['symbol']}-{one['side']}": one["quantity"] for one in self.plan.orders
        }
        self.known = {name: OrderAccumulator() for name in self.asked}
        self.executions: defaultdict[str, set[str]] = defaultdict(set)
        self.differences: list[str] = []
        self._lay_wire()

    def _lay_wire(self) -> None:
        connect, loop, wire = self.loop.create_connection, self.loop, self.wire

        async def create_connection(factory: Callable[[], Any], *place: Any, **more: Any) -> Any:
            ours, protocol = await connect(factory, *place, **more)
            wire.attach(ours.peer, loop)
            return ours, protocol

        self.loop.create_connection = create_connection

    @property
    def _journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def _client_of(self, kill: dict[str, Any], planner: int) -> int:
        return int(kill.get("client", planner))

    def _open_for(self, life: Life) -> Mortal:
        return _Watched(self, life)

    def check(self, events: Sequence[OrderEvent]) -> None:
        """Compare each order that these events make final with the journal of this moment."""
        touched = {one.client_order_id for one in events if one.client_order_id in self.known}
        for event in events:
            if event.client_order_id in touched:
                self.known[event.client_order_id].add(event)
                if event.kind == "execution" and event.exec_id:
                    self.executions[event.client_order_id].add(event.exec_id)
        if touched:
            self.truth.read(self._journal)
        for name in touched:
            state = self.known[name].state(self.asked[name])
            if state.has_ended:
                self._check_end(name, state.status, state.filled)

    def _check_end(self, name: str, status: str, filled: float) -> None:
        problem = self.truth.problem(name, status, self.asked[name], filled, self.executions[name])
        if problem and status == "REJECTED" and not self.known[name].is_accepted:
            self.bare.add(name)  # a code alone has come: a refusal at entry looks the same
        elif problem and name not in self.problems:
            self.problems[name] = f"{name} at {self.loop.time():.3f}: {problem}"

    def _carry_out(self) -> None:
        self.open_venue(plain=False)
        for symbol, seconds in self.history.smaller.items():
            self.loop.call_later(seconds, self._make_smaller, symbol)
        for session in self.history.sessions:
            self.wait(session.pause)
            kill = {} if session.killed_after is None else {"after": session.killed_after}
            self.work(kill | ({} if session.client is None else {"client": session.client}))
            self._clear_halt()
        self._count("before the last resume")
        self.wait(_REST_SECONDS)
        for number in range(_LAST_RESUMES):
            self.work({})
            self._clear_halt()
            if number == 0:
                self._count("after one resume")
            self.wait(_REST_SECONDS)
            if not self._is_open():
                break
        self._reconcile()
        self._close_venue()

    def _clear_halt(self) -> None:
        if self.blotter.halted is not None:
            self.halts.append(str(self.blotter.halted))
            self.blotter.clear_halt("a person has looked at it")

    def _make_smaller(self, symbol: str) -> None:
        """A person makes an order in TWS as small as what was filled, or half as large."""
        venue = self.server.venue
        for order in list(venue.ledger.active.values()):
            if order.active and order.contract.symbol == symbol:
                quantity = order.filled or math.ceil(order.request.quantity / 2)
                venue.events._amendments._apply(order, replace(order.request, quantity=quantity))
        self.server.flush()

    def _count(self, when: str) -> None:
        states = {name: known.state(self.asked[name]).status for name, known in self.known.items()}
        self.final[when] = sum(status in ENDED for status in states.values())

    def _reconcile(self) -> None:
        """What the record and the venue still differ in, each of which the reconciler must report."""
        self.wire.passes, self.wire.is_prompt = frozenset({"position", "open"}), True
        client = self.client_id if self.history.reconciler is None else self.history.reconciler
        try:
            broker = _Reconciler(port=self.server.port, client_id=client, rate=0.0, seconds=2.0)
        except BrokerError as error:
            self.broken.append(f"the reconciler has no connection: {error}")
            return
        try:
            broker.look()
            found = self.loop.run_until_complete(sx.reconcile_async(broker, self.blotter))
        finally:
            broker.close()
            self._forget_tasks()
        self._clear_halt()
        self.truth.read(self._journal)
        self.found = found
        self.differences = [text for kind, name, text in self._differing() if not _has(found, kind, name)]

    def _differing(self) -> Iterator[tuple[str, str, str]]:
        """Kind of row, symbol or client order id, and a text for every difference."""
        orders, fills = self.blotter.orders(self.plan.run_id), self.blotter.fills(self.plan.run_id)
        cash = CASH
        for row in orders.to_dict("records"):
            name, symbol, status = row["client_order_id"], row["symbol"], row["status"]
            there = self.truth.filled(name)
            if abs(there - row["filled_quantity"]) > _TOLERANCE:
                text = f"{symbol}: {there:g} were filled, {row['filled_quantity']:g} on record"
                yield "position_differs", symbol, text
            if status == "UNKNOWN":
                yield "order_unresolved", name, f"{name} is UNKNOWN"
            elif status in ("SUBMITTED", "PARTIAL") and name in self.truth.ended:
                yield "order_not_open", name, f"{name} is {status}, and has ended"
            elif status in ENDED and name in self.truth.asked and name not in self.truth.ended:
                yield "order_alive", name, f"{name} is {status}, and works"
            for one in self.truth.latest(name):
                sign = 1 if one["side"] == "BUY" else -1
                cash -= sign * one["quantity"] * one["price"] + self.truth.fees[one["exec_id"]]
        sign = fills["side"].map({"BUY": 1.0, "SELL": -1.0}).astype("float64")
        ours = CASH - float((sign * fills["quantity"] * fills["price"]).sum() + fills["commission"].sum())
        if abs(cash - ours) > 0.01 * (1 + len(fills)) + _TOLERANCE:
            yield "cash_differs", "", f"cash is {cash:.2f}, and {ours:.2f} by the record"


def _has(found: pd.DataFrame, kind: str, name: str) -> bool:
    rows = found[found["kind"] == kind]
    return bool(len(rows)) and (not name or name in {*rows["symbol"], *rows["client_order_id"]})


# -- the verdict ---------------------------------------------------------------------------------------------


def _verdict(world: _History) -> dict[str, Any]:
    """What the record has come to, by the SQL of its views, and what is wrong with it."""
    run_id, truth = world.plan.run_id, world.truth
    truth.read(world._journal)
    orders, fills = world.blotter.orders(run_id), world.blotter.fills(run_id)
    for row in orders.to_dict("records"):
        name = row["client_order_id"]
        known = {*world.executions[name], *fills.loc[fills["client_order_id"] == name, "exec_id"]}
        if row["status"] in ENDED:
            problem = truth.problem(name, row["status"], row["quantity"], row["filled_quantity"], known)
            if problem and name not in world.bare:
                world.problems.setdefault(name, f"{name} at the end: {problem}")
    real = {row["exec_id"]: row for rows in map(truth.latest, list(truth.revisions)) for row in rows}
    every = {row["exec_id"] for of in truth.revisions.values() for rows in of.values() for row in rows}
    wrong = [f"{one} is on record, and was never made" for one in set(fills["exec_id"]) - every]
    wrong += [
        f"commission of {row['exec_id']}: {row['commission']} for {truth.fees.get(row['exec_id'])}"
        for row in fills.to_dict("records")
        if not math.isnan(row["commission"])
        and abs(row["commission"] - truth.fees.get(row["exec_id"], math.inf)) > _TOLERANCE
    ]
    wrong += [f"{one} is twice on record" for one in fills.loc[fills["exec_id"].duplicated(), "exec_id"]]
    is_whole, uncharged = world.history.is_whole, fills.loc[fills["commission"].isna(), "client_order_id"]
    lost_fees = len(fills[fills["commission"].isna() & ~fills["client_order_id"].isin(world.plan.unreported)])
    return {
        "seed": world.plan.seed,
        "is_whole": is_whole,
        "false_ends": list(world.problems.values()),
        "bare_refusals": sorted(world.bare),
        "unreconciled": world.differences,
        "wrong": wrong + world.broken,
        "orders": len(orders),
        "states": {
            row["client_order_id"]: (row["status"], row["filled_quantity"]) for row in orders.to_dict("records")
        },
        "accepted": len(truth.asked),
        "executions": len(real),
        "final": int(orders["status"].isin(ENDED).sum()),
        "final_before": world.final.get("before the last resume", 0),
        "final_after_one_resume": world.final.get("after one resume", 0),
        "uncharged": len(uncharged),
        "lost_commissions": lost_fees if is_whole else 0,
        "open": [
            f"{row['client_order_id']} {row['state']}: {row['reason']}"
            for row in orders[~orders["status"].isin(ENDED)].to_dict("records")
        ],
        "scripts": world.plan.scripts,
        "sessions": len(world.history.sessions) + 1,
        "kills": len(world.crashes),
        "wire": dict(world.wire.done),
        "halts": world.halts,
    }


def run_histories(wanted: Iterable[int | History]) -> Iterator[dict[str, Any]]:
    """Execute histories, or those of seeds, one after another; each has its own venue and blotter in memory."""
    with (
        tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else None) as folder,
        mock.patch.dict(os.environ, XDG_STATE_HOME=folder),
        virtual_time(threads=False),
    ):
        for number, one in enumerate(wanted):
            own = Path(folder) / str(number)
            own.mkdir()
            with sx.open_blotter() as blotter:
                history = make_history(one) if isinstance(one, int) else one
                World.current = world = _History(history, blotter, own)
                try:
                    world.carry_out()
                    yield _verdict(world)
                finally:
                    World.current = None
