"""What is final on record is true, whatever happens to the broker's messages; checked by the venue's own journal.

STOCKLEAN_HISTORIES=2000 tries so many; see ``tests/campaign/histories.py``. A history is of several orders.
"""

import math
import os

import pytest

from tests.campaign.histories import KINDS, History, Session, Treatment, make_history, run_histories
from tests.campaign.plans import Plan

COUNT = int(os.environ.get("STOCKLEAN_HISTORIES", "6"))
FIRST = int(os.environ.get("STOCKLEAN_FIRST_HISTORY", "1"))
FINAL_SHARE = 0.99
"""Least part of orders that are final after a resume within its timeout, if no message is lost for good."""


@pytest.mark.slow
def test_what_is_final_on_record_is_true_and_every_other_difference_is_reconciled():
    orders = final = 0
    for one in run_histories(range(FIRST, FIRST + COUNT)):
        replay = f"STOCKLEAN_FIRST_HISTORY={one['seed']} STOCKLEAN_HISTORIES=1"
        assert one["false_ends"] == [], replay
        assert one["unreconciled"] == [], replay
        assert one["wrong"] == [], replay
        assert one["lost_commissions"] == 0, replay
        if one["is_whole"]:
            orders += one["orders"]
            final += one["final_after_one_resume"]
    assert orders > COUNT
    assert final >= math.floor(FINAL_SHARE * orders)


@pytest.mark.slow
def test_a_resume_of_a_run_whose_orders_have_all_ended_waits_for_commissions_that_are_late():
    # Seed 29: every commission is lost once or twice and then comes up to five seconds late.
    history = make_history(29)
    assert (history.treatments["commission"].lost_at_first, history.treatments["commission"].late) == (1.0, 1.0)
    (one,) = run_histories([history])
    assert (one["final_before"], one["uncharged"]) == (one["orders"], 0)


UNDISTURBED = (Session(),)


def history_of(steps, *, lost, sessions=UNDISTURBED):
    """One order of 100 shares with these steps, of which the messages ``lost`` never arrive."""
    order = {"symbol": "KO", "side": "BUY", "quantity": 100.0, "order_type": "LMT", "limit_price": 63.0}
    plan = Plan(1, orders=[order], scripts=["directed"], scenario={"order": [{"symbol": "KO", "steps": steps}]})
    treatments = {name: Treatment(lost=float(name in lost)) for name in KINDS}
    return History(plan, treatments, sessions, {}, None)


def outcome(history, bare=0):
    (one,) = run_histories([history])
    assert len(one["bare_refusals"]) == bare
    assert one["false_ends"] == []
    assert one["unreconciled"] == []
    assert one["wrong"] == []
    return one["states"]


REJECTED_IN_PART = [{"fill": 40}, {"wait": 0.1}, {"reject": 201}]
CANCELLED_IN_PART = [{"fill": 40}, {"wait": 0.1}, {"cancel": True}]
ALL_BUT_ERRORS = frozenset({"status", "open", "execution", "commission", "completed"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "lost"),
    [(CANCELLED_IN_PART, ALL_BUT_ERRORS), (REJECTED_IN_PART, ALL_BUT_ERRORS - {"open"})],
)
def test_an_end_of_which_only_the_code_arrives_is_no_end_without_fills(steps, lost):
    assert outcome(history_of(steps, lost=lost)) == {"c1-KO-BUY": ("UNKNOWN", 0.0)}


@pytest.mark.slow
def test_a_rejection_code_is_a_refusal_at_entry_if_nothing_else_ever_comes():
    # A limit: with TWS this takes the loss of every message about the order but one, and of its completed order.
    assert outcome(history_of(REJECTED_IN_PART, lost=ALL_BUT_ERRORS), bare=1) == {"c1-KO-BUY": ("REJECTED", 0.0)}


@pytest.mark.slow
def test_a_rejection_that_is_confirmed_is_final():
    lost = {"status", "open"}
    assert outcome(history_of([{"wait": 0.1}, {"reject": 201}], lost=lost)) == {"c1-KO-BUY": ("REJECTED", 0.0)}
    assert outcome(history_of(REJECTED_IN_PART, lost=lost)) == {"c1-KO-BUY": ("CANCELLED", 40.0)}


BUSTED = [{"fill": 40}, {"wait": 0.1}, {"bust": True}]
KILLED = (Session(killed_after=0.05),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"fill": "rest"}, {"wait": 0.2}, {"bust": True}], ("CANCELLED", 0.0)),
        ([*BUSTED, {"cancel": True}], ("CANCELLED", 0.0)),
    ],
)
def test_an_order_whose_executions_were_corrected_while_no_client_was_connected_is_final(steps, expected):
    # TWS reports the correction alone, and its statuses of before have counted more shares.
    history = history_of(steps, lost=(), sessions=KILLED)
    history.treatments["execution"] = Treatment(lost_at_first=1.0)
    assert outcome(history) == {"c1-KO-BUY": expected}


@pytest.mark.slow
def test_a_history_is_the_same_every_time():
    (one,), (other,) = run_histories([3]), run_histories([3])
    assert one == other
    assert make_history(3) == make_history(3)
