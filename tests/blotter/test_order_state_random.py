"""States from events: random histories, in any sequence, in Python and by the blotter's SQL."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.blotter.events import KINDS, OrderEvent, key_of
from stocklean_exec.blotter.order_state import STATUS_OF_STATE, derive_order, derive_run_status
from stocklean_exec.schema.tables import RUN_STATUSES
from tests.blotter.recorded_plans import header_of, known, plan_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAN, INF = math.nan, math.inf
LAST_TIME = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
TIMES = (
    None,
    NOON,
    NOON + timedelta(microseconds=1),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    LAST_TIME - timedelta(microseconds=1),
    LAST_TIME,
)
TEXTS = (None, "", "201", "é/😀", "'; DROP TABLE facts; --")
ATTEMPTS = (None, 0, 1, 2)
EXEC_IDS = (
    *(None, "{}trade", "{}.c.d.1", "{}a.b\n.c.1", "{}.a.b.0000000001"),
    *("{}.a.b.01", "{}.a.b.1", "{}.a.b.02", "{}.a.b.10"),  # corrections of one execution
)
AMOUNTS = (
    None,
    0.0,
    1.0,
    4.0,
    6.0,
    10.0,
    0.1,
    5e-9,
    1.5e-8,
    -1.0,
    NAN,
    INF,
    1e9,
    999999999.999999999,
    1e300,
    -1e9,
)
STATUSES = (None, "", "SUBMITTED", "CANCELLED", "FILLED", "REJECTED", "UNSEEN", "nonsense")
ASKED = (NAN, 1.0, 4.0, 10.0, 0.3)
OF_ORDERS = [kind for kind in KINDS if not kind.startswith(("run_", "halt", "link_", "session"))]
OF_RUNS = ["run_started", "run_ended", "run_started", "run_ended", "run_blocked", "run_cancelled"]


def amount(random):
    return random.choice(
        [random.choice(AMOUNTS), random.choice((1.0, 4.0, 6.0)), round(random.uniform(0, 1e4), 9)]
    )


def event_of_an_order(random):
    return OrderEvent(
        random.choice([*OF_ORDERS, "execution", "execution", "commission"]),
        occurred_at=random.choice(TIMES),
        status=random.choice(STATUSES),
        perm_id=random.choice((None, 1)),
        client_id=random.choice((None, 0, 7)),
        filled=random.choice((None, 0.0, 4.0, amount(random))),
        code=random.choice(TEXTS),
        message=random.choice(TEXTS),
        attempt=random.choice(ATTEMPTS),
        exec_id=random.choice(EXEC_IDS),
        quantity=amount(random),
        price=amount(random),
        commission=amount(random),
    )


def history(random):
    asked = random.choice([random.choice(ASKED), random.uniform(0, 20), random.uniform(0, 1e9)])
    kinds = random.choice(
        [OF_ORDERS, random.sample(OF_ORDERS, 4)]
    )  # some have few kinds, so that every state occurs
    events = [event_of_an_order(random) for _ in range(random.randrange(12))]
    return asked, list(submitted_once([event for event in events if event.kind in kinds]))


def submitted_once(events):
    """Leave out a submission under the number of another: none and 0 count as the same, and neither is later."""
    numbers = set()
    for event in events:
        if event.kind != "sending" or (event.attempt or 0) not in numbers:
            yield event
        if event.kind == "sending":
            numbers.add(event.attempt or 0)


def about_a_run(random):
    kinds = random.sample(OF_RUNS, random.randrange(4))
    return [OrderEvent(kind, occurred_at=random.choice(TIMES), attempt=random.choice(ATTEMPTS)) for kind in kinds]


def the_same(one, other):
    return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN is not itself


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.randoms(use_true_random=True))
def test_neither_sequence_nor_repetition_changes_a_state(random):
    quantity, events = history(random)
    reported = [*events, *random.choices(events, k=len(events))] if events else []
    random.shuffle(reported)
    one, other = derive_order(quantity, events), derive_order(quantity, reported)
    for name in ("state", "status", "filled", "avg_fill_price", "commission", "reason", "reported"):
        assert the_same(getattr(one, name), getattr(other, name)), events


def random_runs(count, seed=20261122):
    """Give random runs: a list of (events of the run, its orders as (asked, events))."""
    random = Random(seed)  # noqa: S311 - not a secret
    return [
        (about_a_run(random), [history(random) for _ in range(random.choice((0, 1, 2, 20)))]) for _ in range(count)
    ]


def named(event, run_id, order_id):
    exec_id = event.exec_id and event.exec_id.format(order_id)
    # A broker's report of a commission does not say which order it belongs to.
    is_bare = event.kind == "commission" and event.attempt == 1
    return event._replace(run_id=run_id, client_order_id=None if is_bare else order_id, exec_id=exec_id)


@pytest.fixture(scope="module")
def recorded():
    """Record all random histories in one blotter; give its frames, and the events of which they are made."""
    with sx.open_blotter() as blotter:
        expected, keys = {}, set()
        for number, (about_run, orders) in enumerate(random_runs(400)):
            run_id = f"r{number}"
            plan = plan_of(run_id, [asked for asked, _ in orders])
            reported = [event._replace(run_id=run_id) for event in about_run]
            for name, (_, events) in zip(plan["client_order_id"], orders, strict=True):
                reported += [named(event, run_id, name) for event in events]
            blotter.record_plan(plan, header_of(run_id), [*reported, *reported])
            kept = []
            for event in reported:  # of two events with one key the record keeps the first
                if key_of(event) not in keys:
                    kept.append(event)
                    keys.add(key_of(event))
            expected[run_id] = ([asked for asked, _ in orders], kept)
        blotter.record([]).result()
        yield expected, blotter.orders(), blotter.runs(), blotter.events()


@pytest.mark.slow
def test_every_event_of_a_random_history_is_recorded_once(recorded):
    expected, _, _, events = recorded
    assert events["run_id"].value_counts().to_dict() == {
        run_id: len(events) for run_id, (_, events) in expected.items() if events
    }


@pytest.mark.slow
def test_the_orders_view_agrees_with_derive_order(recorded):
    expected, orders, _, _ = recorded
    assert len(orders) > 1000
    assert set(orders["state"]) == {*STATUS_OF_STATE, "RESOLVED"}  # the histories reach every state
    rows = orders.set_index("client_order_id")
    for run_id, (asked, events) in expected.items():
        of = defaultdict(list)
        for event in events:
            of[event.client_order_id].append(event)
        for number, quantity in enumerate(asked):
            name = f"{run_id}-{number}"
            about = of[name] + of[None]  # the commissions of its executions are among the latter
            state, row = derive_order(quantity, about), rows.loc[name]
            assert (state.state, state.status, state.reason) == (
                row["state"],
                row["status"],
                known(row["reason"]),
            ), about
            assert state.filled == row["filled_quantity"], about
            assert state.reported == row["reported_quantity"], about
            for mine, theirs in (
                (state.avg_fill_price, row["avg_fill_price"]),
                (state.commission, row["commission"]),
            ):
                assert the_same(mine, theirs) or math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-12), about


@pytest.mark.slow
def test_the_runs_view_agrees_with_derive_run_status(recorded):
    expected, orders, runs, _ = recorded
    statuses = orders.groupby("run_id")["status"].agg(list).to_dict()
    filled = orders.groupby("run_id")["filled_quantity"].max().to_dict()
    assert set(runs["status"]) == set(RUN_STATUSES)  # every one is reached
    for run_id, status in runs.set_index("run_id")["status"].items():
        events = expected[run_id][1]
        kinds = {event.kind for event in events}
        latest = {kind: max((f.attempt or 0 for f in events if f.kind == kind), default=-1) for kind in kinds}
        started, ended = latest.get("run_started", -1), latest.get("run_ended", -1)
        assert status == derive_run_status(
            statuses.get(run_id, []),
            any_filled=filled.get(run_id, 0.0) > 0,
            started=started >= 0,
            ended=ended >= started,
            blocked="run_blocked" in kinds,
            cancelled="run_cancelled" in kinds,
        )
