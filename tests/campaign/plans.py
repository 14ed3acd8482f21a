"""What one run of the campaign is to be, as a function of its seed: orders, venue, faults, kills. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.campaign.conditions import CONDITIONS, HIDDEN_BY_PLAIN_VENUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "FAULTS",
    "MORE",
    "OTHER_CLIENTS",
    "POINTS",
    "QUOTES",
    "USES",
    "Plan",
    "arrange",
    "draw_kill",
    "make_plan",
]

OTHER_CLIENTS = (8, 0)
"""Client ids of who resumes a run that another client id has planned; 0 receives the executions of all."""

QUOTES = {
    # symbol: bid, ask, shares shown at bid and ask
    "SPY": (399.90, 400.10, 60, 60),
    "TLT": (99.98, 100.02, 90, 80),
    "KO": (62.60, 62.62, 150, 120),
    "XOM": (109.50, 109.54, 70, 70),
    "PG": (151.90, 152.00, 100, 40),
    "JPM": (134.00, 134.08, 50, 110),
    "MCD": (264.10, 264.30, 30, 30),
    "WMT": (141.20, 141.26, 200, 90),
}

_COMMITS = ("plan", "snapshot", "sending", "run_started", "status", "execution", "commission", "conclusion")
POINTS = (
    *(
        f"{what}.{when}"
        for what in (*_COMMITS, "run_ended")
        for when in ("before_commit", "in_commit", "recorded")
    ),
    "order.before_bytes",
    "order.half_of_the_bytes",
    "order.after_bytes",
    "orders.made_ready",
    "received.status",
    "received.execution",
    "received.commission",
    "connection.before",
    "connection.made",
    "evidence.before",
    "evidence.half_reported",
    "evidence.reported",
    "recovery.adopted",
    "recovery.decided",
    "recovery.allowed_again",
    "reconnect.before",
    "close.before_broker",
    "close.before_writer_ends",
    "close.before_checkpoint",
    "close.in_checkpoint",
    "close.after_checkpoint",
)
"""Where a worker can be killed: around each kind of commit, each order's bytes, each step of recovery and closing.
"""

_OFTEN = {
    "order.before_bytes": 5,
    "order.half_of_the_bytes": 2,
    "order.after_bytes": 6,
    "sending.recorded": 4,
    "sending.in_commit": 2,
    "execution.before_commit": 3,
    "received.execution": 2,
}
_IN_RECOVERY = (
    "evidence.before",
    "evidence.half_reported",
    "evidence.reported",
    "recovery.adopted",
    "recovery.decided",
    "recovery.allowed_again",
    "conclusion.before_commit",
    "conclusion.in_commit",
    "conclusion.recorded",
    "order.before_bytes",
    "order.after_bytes",
    "sending.recorded",
    "execution.before_commit",
    "connection.made",
)

_MESSAGES = ("execDetails", "orderStatus", "openOrder", "commissionReport")
FAULTS: dict[str, int] = {
    "drop_before_read": 6,
    "drop_after_read": 5,
    "drop_after_accept": 8,
    "drop_after_answer": 6,
    "swallowed_order": 4,
    "late_order": 4,
    "held_order": 3,
    "refused_request": 3,
    "half_open": 1,
    "stalled": 1,
    "omitted": 5,
    "duplicated": 6,
    "delayed": 5,
    "reordered": 5,
    "cut": 5,
    "split": 2,
    "closed_before": 4,
    "closed_after": 4,
    "garbage": 2,
    "link_1102": 5,
    "link_1101": 3,
    "link_lost_news": 3,
    "disconnect": 4,
    "pacing": 2,
    "client_id_lingers": 5,
    "client_id_closed": 2,
    "ids_reset": 4,
    "no_executions": 3,
    "no_completed": 4,
    "no_open_orders": 3,
    "stale_open_orders": 3,
    "ids_of_received": 3,
    "unsolicited_orders": 2,
    "slow_intake": 8,
    "queued_requests": 3,
    "late_evidence": 3,
    "venue_restarts": 6,
    "venue_killed": 4,
}
"""Every fault of the wire and the venue, and how often it is drawn."""
USES = ("other_client", "restored_copy", "two_addresses", "later_run", "reconciled", "worked")
"""What people also do: a run is resumed by another client id, or from an older copy of the blotter that was put
in its place; its workers spell the address of TWS in two ways; after a kill the same orders are sent as another
run, and then the first one is resumed; at the end the blotter is reconciled, also by another client id; some
orders are worked by a policy: limits at the near touch, finished at a deadline."""
MORE: dict[str, int] = {
    "night": 6,
    "held_bytes": 4,
    "half_closed": 4,
    "stopped": 5,
    "unanswered_completed": 4,
    "looks_around": 5,
}
"""Faults of processes, sockets and days, and how often one is drawn: TWS restarts at night, and the day is another
one; what a worker wrote is read only later, whether it lives or not; one end of a connection says that it will
write no more; a worker is stopped (SIGSTOP) and goes on; the request for completed orders is never answered; a
user connects, and resumes a while later."""
_SLOWER = 5.0
"""Seconds that an order waits in a queue which outlasts a restart and its settling."""
_LASTING = {"no_executions", "no_completed", "no_open_orders", "stale_open_orders", "half_open", "stalled"}
_LASTING |= {"unanswered_completed"} | HIDDEN_BY_PLAIN_VENUE


@dataclass
class Plan:
    """One run: everything that is drawn from its seed.

    The blotter is copied in the life of a worker, by its number, so many seconds after the run is on record; the
    copy is put in the blotter's place before a later worker, which may be the last one, that nobody kills.

    The night comes before the worker ``night_before`` (0: never); TWS's order ids then begin again if ``new_ids``.
    ``half_closed`` is the end that closes its side of the connection, ``worker`` or ``venue``, and after how many
    orders of its process. ``reconciled_by`` is the client id that reconciles at the end, if anybody does.

    With ``cash`` the run is a rotation: the account has that much, which does not pay for all buys, and holds the
    shares to be sold, so that buys wait for the sells; None is more cash than any run needs.

    ``work`` are the terms of a policy by which the orders with the script ``worked`` are worked.

    The rest is set by a condition of :mod:`~tests.campaign.conditions`: the account is kept in ``base_currency``,
    of which the plan has the ``rate`` for a dollar; ``limits`` of the checks in place of the campaign's own;
    ``has_old_quotes``, the venue has last trades of another day alone; ``other_midnight``, its day begins before
    the run is reconciled.
    """

    seed: int
    orders: list[dict[str, Any]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    scenario: dict[str, Any] = field(default_factory=dict)
    slow: float = 0.0
    workers: list[dict[str, Any]] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    venue_dies_after: float | None = None
    is_alone: bool = False
    copied: tuple[int, float] | None = None
    restored_before: int = 0
    night_before: int = 0
    new_ids: bool = False
    half_closed: tuple[str, int] | None = None
    cash: float | None = None
    reconciled_by: int | None = None
    base_currency: str = "USD"
    rate: float | None = None
    limits: dict[str, float] = field(default_factory=dict)
    has_old_quotes: bool = False
    other_midnight: bool = False
    work: dict[str, Any] | None = None

    @property
    def held(self) -> dict[str, float]:
        """Shares that a rotation sells."""
        if self.cash is None:
            return {}
        return {order["symbol"]: order["quantity"] for order in self.orders if order["side"] == "SELL"}

    @property
    def run_id(self) -> str:
        """Name of the run in its blotter."""
        return f"c{self.seed}"

    @property
    def later_run_id(self) -> str:
        """Name of the run that sends the same orders after a kill, in a run that has one."""
        return f"{self.run_id}later"

    @property
    def left_open(self) -> frozenset[str]:
        """Client order ids of the orders that never end."""
        return self._names_of("left_open")

    @property
    def worked(self) -> frozenset[str]:
        """Client order ids of the orders that are worked by a policy."""
        return self._names_of("worked")

    @property
    def lasts(self) -> bool:
        """Whether the venue hides evidence, or does not listen, until it is started again."""
        return bool(_LASTING & set(self.faults))

    @property
    def unreported(self) -> frozenset[str]:
        """Client order ids of the orders whose commissions the venue does not report."""
        return self._names_of("no_commission")

    def _names_of(self, script: str) -> frozenset[str]:
        pairs = zip(self.orders, self.scripts, strict=True)
        orders = [order for order, name in pairs if name == script]
        return frozenset(f"{self.run_id}-{order['symbol']}-{order['side']}" for order in orders)


def make_plan(seed: int, *, also: Sequence[str] = (), alone: bool = False, more: bool = True) -> Plan:
    """The run of a seed, with the faults ``also`` in addition to those that it draws.

    ``more``: also the faults of :data:`MORE`, which one process alone cannot imitate.

    ``alone``: the seed's orders with these faults only, and one worker that nobody kills and nobody resumes.

    Examples
    --------
    >>> str(make_plan(7)) == str(make_plan(7)), str(make_plan(7)) == str(make_plan(8))
    (True, False)
    """
    rng = random.Random(f"campaign {seed}")  # noqa: S311 - a schedule, and no secret
    plan = Plan(seed)
    _draw_orders(plan, rng)
    count = rng.choices((0, 1, 2, 3), (20, 40, 28, 12))[0]
    names, weights = list(FAULTS), list(FAULTS.values())
    while len(plan.faults) < count:
        (name,) = rng.choices(names, weights)
        if name not in plan.faults:
            plan.faults.append(name)
    for name in plan.faults:
        arrange(plan, name, rng)
    for _ in range(rng.choices((1, 2, 3), (40, 45, 15))[0]):
        plan.workers.append(draw_kill(rng, first=not plan.workers))
    if not (also or alone):
        _draw_apart(
            plan,
            {"uses": _draw_uses, "rotation": _draw_rotation}
            | (
                {"more": _draw_more, "later": _draw_later_run, "end": _draw_end, "work": _draw_work}
                if more
                else {}
            ),
        )
        return plan
    if alone:
        drawn, plan = plan, Plan(seed, is_alone=True)
        plan.orders, plan.scripts = drawn.orders, drawn.scripts
        plan.scenario = {"order": drawn.scenario["order"]}
    _add_asked(plan, also)
    # What they hide is there again once the venue has come to rest: one comes at once.
    plan.workers.insert(1, {"waits": True} if "waits_for_client_id" in also else {})
    if "slow_intake" in also:
        plan.slow = _SLOWER
    return plan


def _add_asked(plan: Plan, also: Sequence[str]) -> None:
    """Add what was asked for, each drawn apart, so that all else of the seed stays as it is."""
    for name in also:
        if name in plan.faults:
            continue
        plan.faults.append(name)
        apart = random.Random(f"campaign {plan.seed} {name}")  # noqa: S311 - a schedule, and no secret
        if name in CONDITIONS:
            CONDITIONS[name](plan, apart)
        else:
            arrange(plan, name, apart)


def _draw_apart(plan: Plan, draws: dict[str, Callable[[Plan, random.Random], None]]) -> None:
    """Draw each of these by a seed of its own, so that all else of the run stays as it is."""
    for name, draw in draws.items():
        draw(plan, random.Random(f"campaign {plan.seed} {name}"))  # noqa: S311 - a schedule, and no secret


# -- orders --------------------------------------------------------------------------------------------------


def _draw_orders(plan: Plan, rng: random.Random) -> None:
    entries = plan.scenario.setdefault("order", [])
    for symbol in rng.sample(sorted(QUOTES), rng.randint(4, 8)):
        bid, ask, _, shown = QUOTES[symbol]
        side = rng.choice(("BUY", "BUY", "SELL"))
        quantity = float(rng.choice((rng.randint(1, shown), rng.randint(shown, 4 * shown))))
        kind, limit = "MKT", float("nan")
        if rng.random() < 0.35:
            kind, limit = "LMT", round(ask * 1.01, 2) if side == "BUY" else round(bid * 0.99, 2)
        plan.orders.append(
            {"symbol": symbol, "side": side, "quantity": quantity, "order_type": kind, "limit_price": limit}
        )
        name, entry = _draw_script(rng)
        plan.scripts.append(name)
        if entry:
            entries.append({"symbol": symbol, **entry})


def _draw_script(rng: random.Random) -> tuple[str, dict[str, Any]]:
    wait = {"wait": round(rng.uniform(0.02, 0.2), 3)}
    choices: dict[str, tuple[int, dict[str, Any]]] = {
        "market": (45, {}),
        "late_start": (6, {"accept_delay": round(rng.uniform(0.02, 0.3), 3)}),
        "in_parts": (12, {"steps": [{"fill": "half"}, wait, {"fill": "half"}, wait, {"fill": "rest"}]}),
        "rests_first": (6, {"steps": [{"rest": True}, wait, {"fill": "rest"}]}),
        "cancelled_in_part": (6, {"steps": [{"rest": True}, wait, {"fill": "half"}, wait, {"cancel": True}]}),
        "rejected": (3, {"steps": [wait, {"reject": 201}]}),
        "advised": (
            3,
            {"steps": [{"message": 399}, {"fill": "half"}, {"message": 10349}, wait, {"fill": "rest"}]},
        ),
        "corrected": (6, {"steps": [{"fill": "half"}, wait, {"correct": True, "price": 50.25}, {"fill": "rest"}]}),
        "busted": (3, {"steps": [{"fill": "half"}, wait, {"bust": True}, wait, {"fill": "rest"}]}),
        "repeated": (4, {"steps": [{"fill": "half"}, {"repeat": "execution"}, wait, {"fill": "rest"}]}),
        "status_runs_back": (3, {"steps": [{"fill": "rest"}, {"status": "Submitted"}]}),
        "late_commission": (5, {"commission_delay": round(rng.uniform(0.05, 0.4), 3)}),
        "commission_first": (3, {"commission": "first"}),
        "commission_twice": (2, {"commission": "twice"}),
        "no_commission": (3, {"commission": "never"}),
        "left_open": (2, {"steps": [{"rest": True}, wait, {"fill": "half"}]}),
    }
    (name,) = rng.choices(list(choices), [weight for weight, _ in choices.values()])
    return name, choices[name][1]


# -- rotations -----------------------------------------------------------------------------------------------


def _draw_rotation(plan: Plan, rng: random.Random) -> None:
    """Let some runs have no cash for all of their buys, and kill them between and within their waves."""
    value = {"BUY": 0.0, "SELL": 0.0}
    for order in plan.orders:
        bid, ask, _, _ = QUOTES[order["symbol"]]
        value[order["side"]] += order["quantity"] * (ask * 1.01 if order["side"] == "BUY" else bid * 0.99)
    if rng.random() >= _ROTATIONS or not all(value.values()):
        return
    plan.cash = round(max(1.01 * value["BUY"] - value["SELL"], 0.05 * value["BUY"]) + 100.0, 2)
    (point,) = rng.choices(list(_WAVES), list(_WAVES.values()))
    sells = sum(order["side"] == "SELL" for order in plan.orders)
    # The first buys of a rotation are sent while sells trade, so its waves meet at about the last sell.
    nth = rng.randint(max(sells - 1, 1), len(plan.orders))
    plan.workers[0] = plan.workers[0] | {"at": point, "nth": nth, "delay": 0.0}
    plan.workers[0].pop("after", None)


_ROTATIONS = 0.25
_WAVES = {
    "order.before_bytes": 4,
    "order.half_of_the_bytes": 1,
    "order.after_bytes": 4,
    "sending.before_commit": 1,
    "sending.in_commit": 1,
    "sending.recorded": 2,
    "execution.before_commit": 2,
    "execution.recorded": 2,
    "received.execution": 2,
}
"""Where a rotation's first worker is killed: as its orders leave, and as fills come in that pay for the next."""


# -- faults --------------------------------------------------------------------------------------------------


def arrange(plan: Plan, name: str, rng: random.Random) -> None:  # noqa: C901, PLR0912, PLR0915 - a table would hide the draws
    switches = plan.scenario.setdefault("switches", {})
    faults = plan.scenario.setdefault("fault", [])
    events = plan.scenario.setdefault("event", [])
    order = {"on": "placeOrder", "nth": rng.randint(1, len(plan.orders))}
    reply = {"on": rng.choice(_MESSAGES), "nth": rng.randint(1, 6)}
    some = reply | {"times": rng.randint(1, 8)}
    count = rng.choice(
        ({"after_accepts": rng.randint(1, len(plan.orders))}, {"after_executions": rng.randint(1, 5)})
    )
    soon = round(rng.uniform(0.05, 0.4), 3)
    if name in ("drop_before_read", "drop_after_accept", "drop_after_answer"):
        faults.append(order | {"do": name})
    elif name == "drop_after_read":
        faults.append(order | {"do": name, "seconds": soon})
    elif name == "swallowed_order":
        faults.append(order | {"do": "swallow"})
    elif name == "late_order":
        faults.append(order | {"do": "delay", "seconds": soon})
    elif name == "held_order":
        faults.append(order | {"do": "hold", "messages": rng.randint(1, 3)})
    elif name == "refused_request":
        on = rng.choice(("reqExecutions", "reqAccountSummary", "reqContractDetails", "reqMktData"))
        faults.append({"on": on, "nth": rng.randint(1, 3), "do": "error", "code": 322, "text": "not now"})
    elif name in ("half_open", "stalled"):
        faults.append(order | {"do": "deaf" if name == "half_open" else "stall"})
    elif name == "omitted":
        on = rng.choice((*_MESSAGES, "completedOrder"))
        faults.append(some | {"on": on, "do": "omit"})
    elif name == "duplicated":
        faults.append(some | {"do": "duplicate", "times": 50})
    elif name == "delayed":
        faults.append(some | {"do": "delay", "seconds": soon})
    elif name == "reordered":
        faults.append(some | {"do": "reorder", "messages": rng.randint(1, 4), "times": 50})
    elif name in ("cut", "split", "garbage"):
        on = rng.choice((reply["on"], "openOrderEnd", "execDetailsEnd", "completedOrdersEnd", "nextValidId"))
        faults.append(reply | {"on": on, "do": name})
    elif name in ("closed_before", "closed_after"):
        faults.append(reply | {"do": name.replace("closed", "close")})
    elif name in ("link_1102", "link_1101", "link_lost_news"):
        up = {"do": "link_up", "code": 1101 if name == "link_1101" else 1102}
        events += [count | {"do": "link_down"}, count | up | {"delay": soon, "deliver": name != "link_lost_news"}]
    elif name in ("disconnect", "pacing"):
        events.append(count | {"do": name})
    elif name == "venue_restarts":
        events.append(count | {"do": "restart"})
    elif name == "client_id_lingers":
        switches["client_id_linger"] = round(rng.uniform(0.1, 0.6), 3)
    elif name == "client_id_closed":
        switches |= {"client_id_in_use": "close", "client_id_linger": round(rng.uniform(0.1, 0.4), 3)}
    elif name == "ids_reset":
        plan.between.append("reset_ids")
    elif name == "no_executions":
        switches["executions"] = "none"
    elif name == "no_completed":
        switches["completed_orders"] = rng.choice(("none", "filled"))
    elif name in ("no_open_orders", "stale_open_orders"):
        switches["open_orders"] = "none" if name == "no_open_orders" else "stale"
    elif name == "ids_of_received":
        switches["next_valid_id"] = "received"
    elif name == "unsolicited_orders":
        switches |= {"unsolicited_open_orders": True, "start_order": "id"}
    elif name == "queued_requests":
        switches |= {"queue_seconds": 0.01, "queue_jitter": round(rng.uniform(0.0, 0.08), 3)}
        switches["client_id_free"] = rng.choice(("eof", "drained"))
    elif name == "late_evidence":
        switches["evidence_lag"] = round(rng.uniform(0.1, 0.4), 3)
    elif name == "slow_intake":
        plan.slow = round(rng.uniform(0.05, 0.8), 3)
    elif name == "venue_killed":
        plan.venue_dies_after = round(rng.uniform(0.0, 0.4), 3)


# -- kills ---------------------------------------------------------------------------------------------------


def draw_kill(rng: random.Random, *, first: bool) -> dict[str, Any]:
    if rng.random() < (0.05 if first else 0.2):
        return {}
    if rng.random() < 0.4:
        return {"after": round(rng.choice((rng.uniform(0.0, 0.12), rng.uniform(0.0, 0.6))), 4)}
    points = POINTS if first or rng.random() < 0.3 else _IN_RECOVERY
    (point,) = rng.choices(points, [_OFTEN.get(name, 1) for name in points])
    nth = rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 6)) if point.split(".")[0] in _REPEATED else 1
    return {"at": point, "nth": nth, "delay": round(rng.uniform(0.0, 0.02), 4)}


_REPEATED = frozenset({"order", "status", "execution", "commission", "received", "evidence"})


# -- uses ----------------------------------------------------------------------------------------------------


def _draw_uses(plan: Plan, rng: random.Random) -> None:
    """By which client id and address the run is resumed, and from which record."""
    if rng.random() < 0.2:
        if len(plan.workers) == 1 or rng.random() < 0.3:
            plan.workers.append({})
        rng.choice(plan.workers[1:])["client"] = rng.choice(OTHER_CLIENTS)
        plan.faults.append("other_client")
    if rng.random() < 0.25:
        plan.restored_before = rng.randint(1, len(plan.workers))
        seconds = rng.choice((0.0, rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.5)))
        plan.copied = (rng.randrange(plan.restored_before), round(seconds, 4))
        plan.faults.append("restored_copy")
    for worker in plan.workers:
        worker["host"] = rng.choice(("127.0.0.1", "localhost"))
    if len({worker["host"] for worker in plan.workers}) > 1:
        plan.faults.append("two_addresses")


_LATER_RUNS = 0.06
_BEFORE_ORDERS = ("plan.recorded", "snapshot.recorded", "orders.made_ready", "sending.before_commit")


def _draw_later_run(plan: Plan, rng: random.Random) -> None:
    """Let some runs be killed before their first order, and resumed when another run has sent the same orders."""
    if rng.random() >= _LATER_RUNS or plan.cash is not None or plan.copied is not None or plan.night_before:
        return
    plan.workers[:1] = [{"at": rng.choice(_BEFORE_ORDERS), "nth": 1, "delay": 0.0}, {"later": True}]
    plan.faults.append("later_run")


_RECONCILED = 0.3


def _draw_end(plan: Plan, rng: random.Random) -> None:
    """Let some runs be reconciled at their end, by the client id that planned them or another one."""
    if rng.random() < _RECONCILED:
        plan.reconciled_by = rng.choice((7, *OTHER_CLIENTS))
        plan.faults.append("reconciled")


_WORKED = 0.3  # of the runs that no other use keeps from changing an order: of all runs every ninth
_KEPT_FROM_CHANGES = {"other_client", "restored_copy", "later_run", "night"}


def _draw_work(plan: Plan, rng: random.Random) -> None:
    """Let some runs have orders that rest at the near touch, and are finished at a deadline."""
    orders = [number for number, script in enumerate(plan.scripts) if script == "market"]
    if rng.random() >= _WORKED or not orders or plan.cash is not None or _KEPT_FROM_CHANGES & {*plan.faults}:
        return
    for number in orders:
        order = plan.orders[number]
        bid, ask, _, _ = QUOTES[order["symbol"]]
        order |= {"order_type": "LMT", "limit_price": bid if order["side"] == "BUY" else ask}
        plan.scripts[number] = "worked"
    plan.work = {
        "reprice_seconds": 1.0,
        "reprice_to": rng.choice(("near", "mid")),
        "deadline": rng.choice((0.5, 1.4)),
        "at_deadline": rng.choice(("marketable", "MKT", "cancel")),
    }
    plan.faults.append("worked")


# -- processes, sockets and days -----------------------------------------------------------------------------

_MORE_OFTEN = 0.35
_COPIED_AT_NIGHT = 0.6


def _draw_more(plan: Plan, rng: random.Random) -> None:
    """Let some runs have one of the faults of :data:`MORE`."""
    if rng.random() >= _MORE_OFTEN:
        return
    (name,) = rng.choices(list(MORE), list(MORE.values()))
    order = {"on": "placeOrder", "nth": rng.randint(1, len(plan.orders))}
    soon, worker = round(rng.uniform(0.05, 0.6), 3), rng.randrange(len(plan.workers))
    if name == "night":
        plan.night_before, plan.new_ids = rng.randint(1, len(plan.workers)), rng.random() < 0.4
        if rng.random() < _COPIED_AT_NIGHT:  # an evening's copy, put in place in the morning
            plan.restored_before = plan.night_before
            plan.copied = (rng.randrange(plan.night_before), round(rng.choice((0.0, soon)), 4))
            if "restored_copy" not in plan.faults:
                plan.faults.append("restored_copy")
    elif name == "held_bytes":
        plan.scenario.setdefault("fault", []).append(order | {"do": "deaf", "seconds": 3 * soon})
    elif name == "half_closed":
        plan.half_closed = (rng.choice(("worker", "venue")), rng.randint(1, len(plan.orders)))
    elif name == "stopped":
        plan.workers[worker] |= {"stopped": (soon / 2, rng.choice((soon, 2.5)))}  # longer than a request may take
    elif name == "unanswered_completed":
        plan.scenario.setdefault("fault", []).append({"on": "reqCompletedOrders", "do": "swallow"})
    else:
        for one in plan.workers[1:] or [plan.workers[0]]:
            one["looks"] = soon
    plan.faults.append(name)
