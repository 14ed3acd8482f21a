"""What is done next with a working order, and at which limit: tables worked out by hand."""

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.execution.repricing import (
    Messages,
    OrderProgress,
    Step,
    WorkingQuote,
    is_change,
    marketable_limit,
    next_step,
    progress_of,
    repriced_limit,
    working_quotes,
)
from stocklean_exec.execution.work_policy import WorkTerms
from stocklean_exec.schema.inputs import parse_quotes

SENT = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
QUOTE = WorkingQuote(100.00, 100.03, 100.01, 0.01, SENT, 1)


def at(seconds):
    return SENT + timedelta(seconds=seconds)


def terms(**given):
    return WorkTerms(start=SENT, **given)


def progress(**given):
    return OrderProgress(SENT, **({"can_change": True} | given))


@pytest.mark.parametrize(
    ("given", "now", "expected"),
    [
        ({}, 0, Step("done")),
        ({"reprice_seconds": 10}, 9.9, Step("wait", at(10))),
        ({"reprice_seconds": 10}, 10, Step("reprice")),
        ({"reprice_seconds": 10, "reprices": 0}, 10, Step("done")),
        ({"reprice_seconds": 10, "deadline": at(5)}, 0, Step("wait", at(5))),
        ({"reprice_seconds": 10, "deadline": at(60)}, 0, Step("wait", at(10))),
        ({"deadline": at(60)}, 59.9, Step("wait", at(60))),
        ({"deadline": at(60)}, 60, Step("finish")),
        ({"deadline": at(60), "at_deadline": "cancel"}, 60, Step("finish")),
        ({"deadline": at(60), "at_deadline": "MKT"}, 61, Step("finish")),
        ({"deadline": at(60), "at_deadline": "leave"}, 60, Step("done")),
        ({"deadline": at(60), "at_deadline": "leave"}, 0, Step("done")),
        ({"deadline": at(60), "at_deadline": "leave", "reprice_seconds": 10}, 0, Step("wait", at(10))),
        ({"deadline": at(8), "at_deadline": "leave", "reprice_seconds": 10}, 0, Step("done")),
        ({"deadline": at(60), "reprice_seconds": 10}, 60, Step("finish")),
    ],
)
def test_an_order_that_was_not_changed_yet(given, now, expected):
    assert next_step(terms(**given), progress(), at(now)) == expected


def test_each_change_gets_its_time_and_the_last_one_waits_for_the_deadline():
    given = terms(reprice_seconds=10, reprices=2, deadline=at(60))
    assert next_step(given, progress(reprices=1, changed_at=at(12)), at(15)) == Step("wait", at(22))
    assert next_step(given, progress(reprices=1, changed_at=at(12)), at(22)) == Step("reprice")
    assert next_step(given, progress(reprices=2, changed_at=at(22)), at(40)) == Step("wait", at(60))


def test_no_change_lifts_the_orders_own_efficiency_ratio_over_its_limit():
    # With the change and a cancel: 18 + 2 messages for no execution are 20; 19 + 2 are over the limit of 20.
    given = terms(reprice_seconds=10)
    assert next_step(given, progress(messages=18), at(10)) == Step("reprice")
    assert next_step(given, progress(messages=19), at(10)) == Step("done")
    assert next_step(given, progress(messages=19, executions=1), at(10)) == Step("reprice")
    assert next_step(terms(reprice_seconds=10, max_efficiency_ratio=None), progress(messages=500), at(10)) == Step(
        "reprice"
    )


@pytest.mark.parametrize("given", [{"can_change": False}, {"can_change": False, "changed_at": at(1)}])
def test_an_order_that_cannot_be_changed_waits_for_news(given):
    assert next_step(terms(reprice_seconds=1, deadline=at(5)), progress(**given), at(100)) == Step("wait")


@pytest.mark.parametrize(
    ("ends", "now", "expected"),
    [
        ("cancel", 0, Step("wait", at(5))),
        ("cancel", 5, Step("finish")),
        ("MKT", 5, Step("finish")),
        ("marketable", 5, Step("wait")),  # there is no market to take
        ("leave", 5, Step("wait")),
    ],
)
def test_an_order_that_waits_for_its_market_is_cancelled_at_its_deadline(ends, now, expected):
    waiting = progress(can_change=False, can_cancel=True)
    assert next_step(terms(reprice_seconds=1, deadline=at(5), at_deadline=ends), waiting, at(now)) == expected
    assert next_step(terms(deadline=at(5), at_deadline=ends), progress(can_change=False), at(now)) == Step("wait")


def test_the_changes_at_a_deadline_keep_the_orders_own_efficiency_ratio_too():
    given = terms(reprice_seconds=10, deadline=at(60))
    # With a change, the one at the deadline and a cancel: 17 + 3 messages are 20, and 18 + 3 over the limit.
    assert next_step(given, progress(messages=17), at(10)) == Step("reprice")
    assert next_step(given, progress(messages=18), at(10)) == Step("wait", at(60))
    assert next_step(given, progress(messages=18), at(60)) == Step("finish")
    assert next_step(given, progress(messages=19), at(60)) == Step("done")
    assert next_step(given, progress(messages=19, executions=1), at(60)) == Step("finish")


def test_a_change_without_an_answer_is_waited_for_and_then_queried():
    given = terms(reprice_seconds=1, deadline=at(60))
    pending = progress(pending=1, changed_at=at(10))
    assert next_step(given, pending, at(14.9)) == Step("wait", at(15))
    assert next_step(given, pending, at(15)) == Step("query")
    assert next_step(given, pending, at(70)) == Step("query")


def test_what_was_not_possible_is_tried_again_later_and_does_not_delay_the_deadline():
    given = terms(reprice_seconds=10, deadline=at(60))
    assert next_step(given, progress(), at(20), not_before={"reprice": at(22)}) == Step("wait", at(22))
    assert next_step(given, progress(), at(22), not_before={"reprice": at(22)}) == Step("reprice")
    assert next_step(given, progress(), at(59), not_before={"reprice": at(69)}) == Step("wait", at(60))
    assert next_step(given, progress(), at(61), not_before={"finish": at(62)}) == Step("wait", at(62))


def test_a_marketable_limit_that_rests_is_moved_again_a_few_times():
    given = terms(deadline=at(60))
    assert next_step(given, progress(finishes=1, changed_at=at(60)), at(62)) == Step("wait", at(65))
    assert next_step(given, progress(finishes=1, changed_at=at(60)), at(65)) == Step("finish")
    assert next_step(given, progress(finishes=5, changed_at=at(80)), at(90)) == Step("done")


# -- progress ------------------------------------------------------------------------------------------------


def change(number, price, code="reprice", second=0):
    return OrderEvent("modifying", attempt=number, price=price, code=code, occurred_at=at(second))


def test_progress_is_what_the_events_say():
    events = [
        OrderEvent("sending", attempt=1, occurred_at=SENT),
        change(1, 100.01, second=10),
        OrderEvent("modified", attempt=1),
        OrderEvent("execution", exec_id="a.b.c.01", quantity=1, price=100.0),
        change(2, 100.02, second=20),
        OrderEvent("modify_refused", attempt=2, code="110"),
        change(3, 100.53, code="deadline", second=60),
    ]
    assert progress_of(events, 100.0, can_change=True) == OrderProgress(
        sent_at=SENT,
        reprices=2,
        finishes=1,
        changed_at=at(60),
        changes=3,
        pending=3,
        limit=100.01,
        messages=4,
        executions=1,
        can_change=True,
        can_cancel=True,
    )


def test_an_answer_to_a_later_change_answers_those_before():
    events = [change(1, 100.01), change(2, 100.02), OrderEvent("modified", attempt=2)]
    found = progress_of(events, 100.0, can_change=True)
    assert (found.pending, found.limit) == (0, 100.02)


def test_an_order_without_changes_has_the_limit_it_was_sent_with():
    found = progress_of([OrderEvent("sending", attempt=1, occurred_at=SENT)], 99.5, can_change=False)
    assert (found.limit, found.changes, found.pending, found.messages) == (99.5, 0, 0, 1)
    assert found == OrderProgress(SENT, limit=99.5, messages=1)


@pytest.mark.parametrize(
    ("sent", "executions", "working", "allowed"),
    [
        (19, 0, 0, True),
        (20, 0, 0, False),
        (39, 1, 0, True),
        (40, 1, 0, False),
        (79, 1, 2, True),
        (80, 1, 2, False),
    ],
)
def test_the_ratio_of_the_day_counts_each_working_order_as_an_execution(sent, executions, working, allowed):
    assert Messages(sent, executions).allows(20.0, working) is allowed
    assert Messages(sent, executions).allows(None, working)


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "to", "expected"),
    [
        ("BUY", "near", 100.00),
        ("BUY", "mid", 100.01),  # 100.015, a buy rounds down
        ("BUY", "far", 100.03),
        ("SELL", "near", 100.03),
        ("SELL", "mid", 100.02),
        ("SELL", "far", 100.00),
    ],
)
def test_a_limit_follows_the_mid_or_a_touch(side, to, expected):
    assert repriced_limit(side, to, QUOTE) == expected


@pytest.mark.parametrize(
    ("side", "collar", "step", "expected"),
    [
        ("BUY", 50, 0.01, 100.53),  # 100.03 * 1.005 = 100.53015
        ("SELL", 50, 0.01, 99.50),  # 100.00 * 0.995
        ("BUY", 0, 0.01, 100.03),
        ("BUY", 1, 0.05, 100.03),  # 100.04 on steps of 0.05 is 100.00, which would be short of the touch
        ("SELL", 1, 0.05, 100.00),
        ("BUY", 50, 0.05, 100.50),
    ],
)
def test_a_marketable_limit_is_beyond_the_far_touch_and_inside_the_collar(side, collar, step, expected):
    assert marketable_limit(side, QUOTE._replace(step=step), collar) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("limit", "before", "step", "expected"),
    [
        (100.01, 100.00, 0.01, True),
        (100.009, 100.00, 0.01, False),
        (100.00, 100.00, 0.01, False),
        (0.1 + 0.2, 0.29, 0.01, True),
        (700_000.07, 700_000.06, 0.01, True),  # as floats they differ by 0.0099999999
        (100.0, math.nan, 0.01, True),
    ],
)
def test_a_change_is_at_least_one_price_step(limit, before, step, expected):
    assert is_change(limit, before, step) is expected


@pytest.mark.parametrize(
    ("change", "ages", "expected"),
    [
        ({}, True, ""),
        ({"data_type": 2}, True, "not live"),
        ({"data_type": 3}, False, "not live"),
        ({"data_type": None}, True, "not live"),
        ({"data_type": None, "quoted_at": None}, False, ""),
        ({"quoted_at": at(-3)}, True, "3.0 s old"),
        ({"quoted_at": at(-2)}, True, ""),
        ({"quoted_at": at(-3)}, False, ""),
        ({"quoted_at": None}, True, "age of the quote is unknown"),
        ({"bid": math.nan}, True, "no market"),
        ({"bid": 100.04}, True, "no market"),
        ({"ask": math.inf}, True, "no market"),
    ],
)
def test_a_limit_is_only_set_by_a_live_quote_of_the_moment(change, ages, expected):
    problem = QUOTE._replace(**change).problem(SENT, ages=ages)
    assert expected in problem
    assert bool(problem) == bool(expected)


def test_quotes_are_read_with_the_price_step_of_their_level():
    frame = pd.DataFrame(
        {
            "symbol": ["SPY", "PENNY", "VOD", "RIO"],
            "bid": [100.0, 0.5, 70.1, 120.0],
            "ask": [100.04, 0.51, -1.0, 121.0],
            "quoted_at": [pd.Timestamp(SENT), pd.NaT, pd.Timestamp(SENT), pd.Timestamp(SENT)],
            "data_type": pd.array([1, None, 3, 1], dtype="Int64"),
            "price_steps": [None, None, "0:0.05;100:0.5", "0:0.05;100:0.5"],
        }
    )
    found = working_quotes(parse_quotes(frame))
    assert found["SPY"][:2] == (100.0, 100.04)
    assert (found["SPY"].step, found["SPY"].data_type) == (0.01, 1)
    assert (found["PENNY"].step, found["PENNY"].quoted_at, found["PENNY"].data_type) == (0.0001, None, None)
    assert math.isnan(found["VOD"].ask)
    assert found["RIO"].step == 0.5
