"""Work policies by seed, in virtual time: limits that follow a moving market, with faults and crashes.

STOCKLEAN_CHASES=500 tries so many; ``python -m tests.campaign --chases N --wide 2`` does it on two cores.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.brokers.ib.connection import Connection
from stocklean_exec.execution import order_worker, repricing
from stocklean_exec.execution.order_worker import OrderWorker
from tests.campaign.chases import make_chase, run_chases

ROOT = Path(__file__).parents[1]
COUNT = int(os.environ.get("STOCKLEAN_CHASES", "16"))
FIRST = 50_000


@pytest.mark.slow
def test_no_chase_trades_more_than_was_approved_or_leaves_an_order_unfinished():
    sums = Counter()
    for one in run_chases(range(FIRST, FIRST + COUNT)):
        replay = f"python -m tests.campaign --chases 1 --first {one['seed']}"
        assert one["found"] == {}, f"{one['words']}\n{replay}"
        sums.update(kills=len(one["kills"]), fills=one["fills"], changes=one["changes"])
    assert sums["kills"] > COUNT / 4
    assert sums["changes"] > COUNT
    assert sums["fills"] > COUNT


@pytest.mark.slow
def test_a_seed_gives_the_same_chase_whatever_ran_before_it():
    first, *_ = run_chases([FIRST + 3])
    *_, again = run_chases([FIRST + 4, FIRST + 3])
    assert json.dumps(again) == json.dumps(first)


@pytest.mark.slow
def test_a_rest_is_sent_though_an_order_was_under_way_when_it_was_planned():
    (one,) = run_chases([265])
    assert one["found"] == {}


@pytest.mark.slow
def test_a_rest_is_sent_though_the_last_fill_was_found_as_the_run_ended():
    (one,) = run_chases([878])
    assert one["found"] == {}


def test_a_seed_draws_the_same_run_and_policy():
    assert vars(make_chase(FIRST)[0]) == vars(make_chase(FIRST)[0])
    policies = {repr(make_chase(seed)[1]) for seed in range(FIRST, FIRST + 200)}
    ends = {make_chase(seed)[1].at_deadline for seed in range(FIRST, FIRST + 200)}
    assert ends == {"marketable", "MKT", "cancel", "leave"}
    assert len(policies) > 100


# -- the command line ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_chases_are_run_side_by_side_kept_and_added_up(tmp_path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text(json.dumps({"seed": FIRST, "found": {}, "changes": 7, "at_deadline": "MKT"}) + "\n")
    options = f"--chases 3 --first {FIRST} --wide 2 --results {kept}"
    command = [sys.executable, "-m", "tests.campaign", *options.split()]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    total = json.loads(done.stdout.splitlines()[-1])
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert sorted(one["seed"] for one in rows) == [FIRST, FIRST + 1, FIRST + 2]
    assert (total["chases"], total["seeds"], total["bad_runs"]) == (3, [FIRST, FIRST + 2], 0)
    assert total["changes"] == sum(one["changes"] for one in rows)
    assert set(total["found"].values()) == {0}


# -- the verdict can fail ------------------------------------------------------------------------------------


def ask_for_more(patch):
    """A change of a limit is sent for one share more than the order has."""
    make, known = Connection.make_order, set()

    def make_order(self, ticket, order_id, *prices):
        order = make(self, ticket, order_id, *prices)
        order.totalQuantity += ticket.client_order_id in known
        known.add(ticket.client_order_id)
        return order

    patch.setattr(Connection, "make_order", make_order)


def send_another_limit(patch):
    """A change of a limit is sent with a limit a tick from the recorded one."""
    modify = IBBroker._modify

    def send(self, ticket, number):
        return modify(self, replace(ticket, limit_price=round(ticket.limit_price + 0.01, 2)), number)

    patch.setattr(IBBroker, "_modify", send)


def send_the_rest_at_once(patch):
    """The market order for the rest is sent as soon as the cancel is, whatever is filled until it is confirmed."""
    cancel, rest = OrderWorker._cancel, order_worker.residual_orders

    async def cancel_and_replace(self, names):
        await cancel(self, names)
        self._cancelled.update(name for name in names if self._plan.terms[name].at_deadline == "MKT")

    def rest_of_open_orders(run_id, blotter):
        frame = rest(run_id, blotter)
        return frame.assign(status="NEW", reason=None)

    patch.setattr(OrderWorker, "_cancel", cancel_and_replace)
    patch.setattr(order_worker, "residual_orders", rest_of_open_orders)


def forget_the_deadline(patch):
    """Nothing happens at a deadline."""
    patch.setattr(repricing, "_finish", lambda *_: repricing.Step("done"))


def reprice_without_end(patch):
    """The number of changes that the policy allows is not looked at."""
    at = repricing._reprice_at
    patch.setattr(repricing, "_reprice_at", lambda terms, *rest: at(replace(terms, reprices=None), *rest))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "seed", "kinds"),
    [
        (ask_for_more, 0, {"overfilled", "quantity_changed"}),
        (send_another_limit, 0, {"limit_not_on_record"}),
        (send_the_rest_at_once, 4, {"overfilled"}),
        (forget_the_deadline, 4, {"not_finished"}),
        (reprice_without_end, 0, {"repriced_too_often"}),
    ],
)
def test_a_broken_line_is_found(break_it, seed, kinds, monkeypatch):
    break_it(monkeypatch)
    (one,) = run_chases([FIRST + seed])
    assert kinds <= set(one["found"])
