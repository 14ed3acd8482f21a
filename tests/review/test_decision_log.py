from __future__ import annotations

import json
import math
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import BlotterError
from stocklean_exec.review.decision_log import Decision, DecisionLog

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EDIT = Decision(NOON, "ann", "r-SPY-BUY", "edit", "quantity", 10.0, 5.0)


class FullDisk:
    """A blotter whose disk takes nothing."""

    def __init__(self):
        self.futures = []

    def record(self, _facts):
        self.futures.append(Future())
        return self.futures[-1]


def test_a_decision_is_a_fact_with_who_when_old_and_new():
    with sx.open_blotter() as blotter:
        log = DecisionLog("r", blotter)
        log.add([EDIT])
        log.settle(wait=True)
        (event,) = blotter.recorded_events("r")
    assert (event.kind, event.run_id, event.client_order_id, event.occurred_at) == (
        "decision",
        "r",
        "r-SPY-BUY",
        NOON,
    )
    assert event.code == "edit"
    assert json.loads(event.message) == {"by": "ann", "column": "quantity", "old": 10.0, "new": 5.0}


def test_what_was_not_there_is_left_out_of_the_fact():
    with sx.open_blotter() as blotter:
        log = DecisionLog("r", blotter)
        log.add([EDIT._replace(column="limit_price", old=math.nan, new=99.0)])
        log.settle(wait=True)
        (event,) = blotter.recorded_events("r")
    assert json.loads(event.message) == {"by": "ann", "column": "limit_price", "new": 99.0}


def test_without_a_blotter_the_log_is_all_there_is():
    log = DecisionLog("r", None)
    log.add([EDIT])
    log.settle(wait=True)
    assert log.to_frame().to_numpy().tolist() == [list(EDIT)]


def test_a_closed_blotter_refuses_the_decision():
    blotter = sx.open_blotter()
    log = DecisionLog("r", blotter)
    blotter.close()
    with pytest.raises(BlotterError, match="closed"):
        log.add([EDIT])
    assert len(log.to_frame()) == 0


def test_a_decision_that_the_disk_did_not_take_stops_the_next_one():
    disk = FullDisk()
    log = DecisionLog("r", disk)
    log.add([EDIT])
    log.add([EDIT])  # nothing is known yet
    disk.futures[0].set_exception(BlotterError("no space left"))
    with pytest.raises(BlotterError, match="no space left"):
        log.add([EDIT])
    assert len(log.to_frame()) == 2
