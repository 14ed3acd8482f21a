"""What holds for every history of an order, in any sequence: in Python, and in the blotter's SQL.

Histories are made at random of every kind of event of an order: attempts, statuses, refusals, executions with
corrections and busts, commissions, a person's word. What is filled and what it cost is expected from an addition
in whole hundred-millionths, made here. ``python tests/blotter/test_order_state_properties.py 100000`` tries more.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent, key_of
from stocklean_exec.blotter.order_state import STATUS_OF_STATE, derive_order

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNIT = 10**8
COLUMNS = ("state", "status", "filled_quantity", "avg_fill_price", "commission", "reason", "reported_quantity")
USABLE = 10**9  # a number of shares is below it


def hundred_millionths(random, most):
    """A number with eight decimals at most, and how many hundred-millionths it is."""
    units = random.choice([random.randrange(1, most) * UNIT, random.randrange(1, most * UNIT)])
    return units / UNIT, units


class OrderHistory:
    """Events about one order, each with its own key, and what its executions add up to."""

    def __init__(self, random, name="r-0"):
        self.name = name
        self.asked, self.asked_units = hundred_millionths(random, 100)
        self.events = [event._replace(client_order_id=name, run_id="r") for event in self._distinct_events(random)]
        self.units = sum(shares for _, shares, _ in self.latest.values())
        value = sum(shares * price for _, shares, price in self.latest.values())
        self.average = float(Fraction(value, self.units * UNIT)) if self.units else math.nan
        fees = [
            self.fees[exec_id]
            for family, (revision, shares, _) in self.latest.items()
            if shares and (exec_id := f"{family}.{revision:02d}") in self.fees
        ]
        self.commission = sum(fees) / UNIT if fees else math.nan

    def _distinct_events(self, random):
        self.latest, self.fees, self.most = {}, {}, {}
        events = [*self._executions(random), *(self._other(random) for _ in range(random.randrange(8)))]
        random.shuffle(events)
        return {key_of(event._replace(client_order_id=self.name)): event for event in events}.values()

    def _executions(self, random):
        for number in range(random.choice((0, 0, 1, 2, 3))):
            family = f"{self.name}.{number}.01"
            for revision in random.sample(range(1, 12), random.choice((1, 1, 1, 2, 3))):
                shares, units = hundred_millionths(random, 60)
                if random.random() < 0.2:
                    shares, units = 0.0, 0  # a bust
                price, price_units = hundred_millionths(random, 500)
                exec_id = f"{family}.{revision:02d}"
                self.most[family] = max(units, self.most.get(family, 0))
                if revision > self.latest.get(family, (0,))[0]:
                    self.latest[family] = (revision, units, price_units)
                yield OrderEvent("execution", exec_id=exec_id, quantity=shares, price=price, occurred_at=NOON)
                if random.random() < 0.6:
                    fee, self.fees[exec_id] = hundred_millionths(random, 5)
                    yield OrderEvent("commission", exec_id=exec_id, commission=fee)

    def _other(self, random):
        when = NOON + timedelta(seconds=random.randrange(3))
        attempt = random.randrange(1, 4)
        filled = random.choice((None, 0.0, 4.0, 33.25, 80.0, -7.0, 1e300, math.nan))
        return random.choice(
            (
                OrderEvent("intent"),
                OrderEvent("sending", attempt=attempt, client_id=random.choice((None, 0, 7, 8)), occurred_at=when),
                OrderEvent(
                    "sending",
                    attempt=attempt,
                    quantity=random.choice((5.0, 40.5, 1e300, math.nan, 0.0)),
                    code=random.choice((None, "not_funded")),
                    occurred_at=when,
                ),
                OrderEvent("not_sent", attempt=attempt),
                *(
                    OrderEvent("status", status=status, filled=filled, remaining=random.choice((None, 0.0, 6.0)))
                    for status in ("SUBMITTED", "CANCELLED", "FILLED")
                ),
                OrderEvent("status", status="SUBMITTED", filled=filled),
                OrderEvent("rejected", code="201"),
                OrderEvent("rejected", code="203", filled=filled),
                OrderEvent("rejected", code="110", status="UNSEEN"),
                OrderEvent("cancel_requested", occurred_at=when),
                # Changes of the limit: neither their codes nor what they carry says anything of the order's state.
                OrderEvent(
                    "modifying", attempt=attempt, price=99.5, quantity=40.5, message="mid", occurred_at=when
                ),
                OrderEvent("modified", attempt=attempt, price=99.5),
                OrderEvent("modify_refused", attempt=attempt, code=random.choice(("110", "201", "not_sent"))),
                OrderEvent("message", code="10349", message="advice"),
                OrderEvent("message", status="WAITING", code="399", message=f"until {attempt}", occurred_at=when),
                OrderEvent("message", status="WAITING", code="Inactive", message=f"{attempt}", occurred_at=when),
                OrderEvent("message", status="RESUMED", code="Submitted", message=f"{attempt}", occurred_at=when),
                OrderEvent("message", code="Cancelled", message=f"{filled} filled", filled=filled),
                OrderEvent("unknown", attempt=attempt, message="no trace", occurred_at=when),
                OrderEvent("missing", attempt=attempt, message="neither open nor over", occurred_at=when),
                OrderEvent("found", attempt=attempt),
                OrderEvent(
                    "resolved", status=random.choice(("CANCELLED", "REJECTED")), message="seen", occurred_at=when
                ),
                OrderEvent("refused", code="max_orders"),
                OrderEvent("not_approved", code="not_approved"),
                OrderEvent("withdrawn", code="not_funded"),
                OrderEvent("held_back", message=f"held back {attempt}", occurred_at=when),
            )
        )


def shuffled(random, events):
    """The same events in another sequence, some of them several times."""
    recorded = [*events, *random.choices(events, k=random.randrange(2 * len(events)))] if events else []
    random.shuffle(recorded)
    return recorded


def histories():
    return st.randoms(use_true_random=False).map(lambda random: (OrderHistory(random), random))


def end_is_counted(history):
    """Whether the broker said with how many filled shares it ended the order: none if it never accepted it."""

    def counts(kind, status, code=None):
        return any(
            (event.kind, event.status) == (kind, status)
            and code in (None, event.code)
            and 0 <= (-1.0 if event.filled is None else event.filled) < USABLE
            for event in history.events
        )

    is_shown = history.units > 0 or any((e.kind, e.status) == ("status", "SUBMITTED") for e in history.events)
    # A rejection that came unseen counts only as long as the broker does not show the order.
    is_rejected = any(
        event.kind == "rejected" and (event.status != "UNSEEN" or not is_shown) for event in history.events
    )
    return counts("status", "CANCELLED") or (
        is_rejected and (counts("message", None, "Cancelled") or counts("rejected", None) or not is_shown)
    )


def check_history(history, random):
    """All properties of a history that are checked in Python."""
    state = derive_order(history.asked, history.events)
    assert state == derive_order(history.asked, shuffled(random, history.events)), history.events
    assert state.filled == history.units / UNIT, history.events
    counted = max(
        (event.filled for event in history.events if abs(event.filled or math.inf) < USABLE), default=0.0
    )
    unseen = max(round(counted * UNIT) - sum(history.most.values()), 0)
    assert state.reported == (history.units + unseen) / UNIT, history.events
    assert (state.state == "UNCONFIRMED") <= (unseen > 0 or not end_is_counted(history)), history.events
    if state.state == "REDUCED":  # all that was sent was traded: no report of an end is needed
        assert not unseen
    elif state.status in ("CANCELLED", "REJECTED") and state.state not in UNSENT_OR_DECIDED:
        assert end_is_counted(history) or is_called_filled(history), history.events
    assert state.status not in ("CANCELLED", "REJECTED") or not unseen or state.state in UNSENT_OR_DECIDED
    assert same(state.avg_fill_price, history.average), history.events
    assert same(state.commission, history.commission), history.events
    assert (state.status == "FILLED") == (0 < history.units >= history.asked_units), history.events
    return state


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


def is_called_filled(history):
    return any((event.kind, event.status) == ("status", "FILLED") for event in history.events)


UNSENT_OR_DECIDED = ("RESOLVED", "REFUSED", "NOT_APPROVED", "WITHDRAWN")

every = settings(deadline=None, derandomize=True, max_examples=300)


@pytest.mark.slow
@every
@given(histories())
def test_a_history_adds_up_exactly_in_any_sequence_of_reports(drawn):
    check_history(*drawn)


def holds_only_unseen(history):
    """Whether all refusals of a history are of the kind that ends with the first sign of life."""
    return all(event.status == "UNSEEN" for event in history.events if event.kind == "rejected")


def is_settled(history):
    """Whether a correction is on record, and a completed order counts the shares that are filled with it."""
    counts = {
        event.filled
        for event in history.events
        if event.kind == "status" and event.status in ("CANCELLED", "FILLED") and event.remaining is None
    }
    return any(revision > 1 for revision, _, _ in history.latest.values()) and history.units / UNIT in counts


@pytest.mark.slow
@every
@given(histories())
def test_an_ended_order_reopens_only_by_executions_or_a_broker_report_of_them(drawn):
    history, random = drawn
    before = derive_order(history.asked, history.events)
    event = history._other(random)
    after = derive_order(history.asked, [*history.events, event])
    is_report = event.kind == "status"
    assert after.filled == before.filled
    if before.state == "FILLED":
        assert replace(after, reported=before.reported) == before
    elif before.state == "RESOLVED" or event.kind == "resolved":
        assert after.state == "RESOLVED"
    elif before.state in ("CANCELLED", "REJECTED") and after.state == "UNCONFIRMED":
        # A rejected order that was never accepted had nothing filled; one that was may have.
        assert after.reported > before.reported or event.status == "SUBMITTED", (history.events, event)
    elif (
        is_called_filled(history)
        and before.state == "CANCELLED"
        and after.reported > before.reported
        and not is_settled(history)
    ):
        assert after.state in ("PARTIAL", "AWAITING_EXECUTIONS", "MISSING"), (history.events, event)
    elif before.state == "CANCELLED" and not (is_report and event.status == "FILLED"):
        assert after.state in ("CANCELLED", "REJECTED"), (history.events, event)
        assert after.state == "CANCELLED" or (event.kind == "rejected" and not after.filled)
    elif before.state == "REJECTED" and not (
        is_report and (event.status == "FILLED" or (event.status == "SUBMITTED" and holds_only_unseen(history)))
    ):
        assert after.state == "REJECTED", (history.events, event)
    elif before.state == "UNCONFIRMED" and event.kind in ("message", "rejected"):
        assert after.state in ("UNCONFIRMED", "CANCELLED", "REJECTED"), (history.events, event)
    elif before.state == "UNCONFIRMED" and not is_report:
        assert after.state == "UNCONFIRMED", (history.events, event)


@pytest.mark.slow
@every
@given(histories())
def test_one_more_execution_never_reduces_the_filled_quantity(drawn):
    history, _ = drawn
    before = derive_order(history.asked, history.events)
    after = derive_order(
        history.asked, [*history.events, OrderEvent("execution", exec_id="more", quantity=1.0, price=2.0)]
    )
    assert after.filled == (history.units + UNIT) / UNIT
    if before.state == "CANCELLED" and is_settled(history):  # it has more than its completed order counts
        assert after.state in ("FILLED", "CANCELLED", "UNCONFIRMED", "PARTIAL", "MISSING")
    elif before.state in ("FILLED", "CANCELLED", "RESOLVED"):
        assert after.state in ("FILLED", before.state)
    elif before.state == "UNCONFIRMED":
        assert after.state in ("FILLED", "UNCONFIRMED", "CANCELLED", "PARTIAL", "MISSING")
    elif before.state == "REJECTED" and not holds_only_unseen(history):
        assert after.state in ("FILLED", "CANCELLED", "UNCONFIRMED")
    elif before.state == "REJECTED":  # the broker had it: that it was missing counts again
        assert after.state in ("FILLED", "PARTIAL", "CANCELLED", "MISSING", "UNCONFIRMED")
    elif before.state == "MISSING":
        assert after.state in ("FILLED", "MISSING", "CANCELLED")
    else:
        assert after.state in ("FILLED", "PARTIAL", "CANCELLED", "REDUCED")


@pytest.mark.slow
@every
@given(histories())
def test_a_bust_of_every_execution_gives_the_state_without_executions(drawn):
    history, _ = drawn
    busts = [OrderEvent("execution", exec_id=f"{family}.99", quantity=0.0, price=0.0) for family in history.latest]
    events = uncounted(history.events)
    without = [event for event in events if event.kind not in ("execution", "commission")]
    assert derive_order(history.asked, [*events, *busts]) == derive_order(history.asked, without)


@pytest.mark.slow
@every
@given(histories())
def test_a_bust_does_not_make_an_order_unconfirmed(drawn):
    history, _ = drawn
    before = derive_order(history.asked, history.events)
    busts = [OrderEvent("execution", exec_id=f"{family}.99", quantity=0.0, price=0.0) for family in history.latest]
    after = derive_order(history.asked, [*history.events, *busts])
    is_in_doubt = before.reported > before.filled or not end_is_counted(history)
    assert (after.state == "UNCONFIRMED") <= is_in_doubt, history.events


def uncounted(events):
    """The same without what the statuses count as filled."""
    return [event._replace(filled=None) for event in events]


@pytest.mark.slow
@every
@given(histories())
def test_a_corrected_execution_equals_one_that_was_right_from_the_start(drawn):
    history, _ = drawn
    superseded = [
        event
        for event in history.events
        if event.exec_id is not None and int(event.exec_id[-2:]) < history.latest[event.exec_id[:-3]][0]
    ]
    kept = [event for event in history.events if event not in superseded]
    assert derive_order(history.asked, uncounted(kept)) == derive_order(history.asked, uncounted(history.events))


@pytest.mark.slow
@every
@given(histories())
def test_a_commission_counts_whenever_it_is_reported(drawn):
    history, _ = drawn
    fees = [event for event in history.events if event.kind == "commission"]
    rest = [event for event in history.events if event.kind != "commission"]
    early, late = derive_order(history.asked, [*fees, *rest]), derive_order(history.asked, [*rest, *fees])
    assert early == late
    without = derive_order(history.asked, rest)
    assert (without.state, without.filled) == (late.state, late.filled)


# -- the same in SQL ---------------------------------------------------------------------------------------------


def check_in_sql(seeds):
    """Record every history of ``seeds`` in two blotters, in two sequences; both must agree with Python."""
    made = [OrderHistory(Random(seed), f"r-{seed}") for seed in seeds]  # noqa: S311 - not a secret
    plan = pd.DataFrame({"client_order_id": [one.name for one in made], "run_id": "r", "symbol": "SPY"})
    plan = plan.assign(side="BUY", quantity=[one.asked for one in made], order_type="MKT", payload_hash="h")
    header = {"run_id": "r", "leg": 1, "mode": "mock", "plan_hash": "h"}
    header |= dict.fromkeys(("account", "nav", "parameters", "approved_by", "approved_at"))
    frames = []
    for again in (False, True):
        events = [event for one in made for event in one.events]
        if again:
            events = shuffled(Random(seeds[0]), events)  # noqa: S311 - as above
        with sx.open_blotter() as blotter:
            blotter.record_plan(plan, header, events[: len(events) // 2]).result()
            blotter.record(events[len(events) // 2 :]).result()
            frames.append(
                blotter.orders("r").set_index("client_order_id").loc[plan["client_order_id"], list(COLUMNS)]
            )
    pd.testing.assert_frame_equal(*frames)
    for history, row in zip(made, frames[0].itertuples(index=False), strict=True):
        state = check_history(history, Random(1))  # noqa: S311 - as above
        recorded = (row.state, row.status, None if pd.isna(row.reason) else row.reason)
        assert recorded == (state.state, state.status, state.reason), history.events
        assert row.filled_quantity == state.filled, history.events
        assert row.reported_quantity == state.reported, history.events
        assert math.isclose(row.avg_fill_price, state.avg_fill_price) or same(
            row.avg_fill_price, state.avg_fill_price
        )
        assert same(row.commission, state.commission), history.events
    return frames[0]["state"].value_counts()


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 2_000])
def test_sql_gives_the_same_state_whatever_the_sequence_of_reports(start):
    states = check_in_sql(range(start, start + 1_000))
    assert set(states.index) == {*STATUS_OF_STATE, "RESOLVED"}  # every state is reached


def main(count):
    """Try ``count`` histories, and say which states they reached."""
    begin, total = time.perf_counter(), None
    for start in range(0, count, 5_000):
        states = check_in_sql(range(start, min(start + 5_000, count)))
        total = states if total is None else total.add(states, fill_value=0)
    print(total.astype(int).sort_values().to_string())  # noqa: T201 - its purpose
    print(f"{count} histories, each in two sequences, in Python and SQL: {time.perf_counter() - begin:.0f} s")  # noqa: T201 - its result


if __name__ == "__main__":
    main(int(sys.argv[1]))
