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
    """A blotter whose writes complete only when the test releases them."""

    def __init__(self):
        self.futures = []

    def record(self, _events):
        self.futures.append(Future())
        return self.futures[-1]


@pytest.mark.slow
def test_a_decision_is_an_event_with_who_when_old_and_new():
    with sx.open_blotter() as blotter:
        log = DecisionLog("r", blotter)
        log.add([EDIT])
        log.flush(wait=True)
        (event,) = blotter.recorded_events("r")
    assert (event.kind, event.run_id, event.client_order_id, event.occurred_at) == (
        "decision",
        "r",
        "r-SPY-BUY",
        NOON,
    )
    assert event.code == "edit"
    assert json.loads(event.message) == {"by": "ann", "column": "quantity", "old": 10.0, "new": 5.0}


@pytest.mark.slow
def test_missing_values_are_omitted_from_the_event():
    with sx.open_blotter() as blotter:
        log = DecisionLog("r", blotter)
        log.add([EDIT._replace(column="limit_price", old=math.nan, new=99.0)])
        log.flush(wait=True)
        (event,) = blotter.recorded_events("r")
    assert json.loads(event.message) == {"by": "ann", "column": "limit_price", "new": 99.0}


def test_without_a_blotter_decisions_are_kept_in_memory_only():
    log = DecisionLog("r", None)
    log.add([EDIT])
    log.flush(wait=True)
    assert log.to_frame().to_numpy().tolist() == [list(EDIT)]


def test_a_decision_is_refused_when_the_blotter_is_closed():
    blotter = sx.open_blotter()
    log = DecisionLog("r", blotter)
    blotter.close()
    with pytest.raises(BlotterError, match="closed"):
        log.add([EDIT])
    assert len(log.to_frame()) == 0


def test_a_failed_write_of_a_decision_stops_the_next_one():
    disk = FullDisk()
    log = DecisionLog("r", disk)
    log.add([EDIT])
    log.add([EDIT])  # the first write has not ended yet
    disk.futures[0].set_exception(BlotterError("no space left"))
    with pytest.raises(BlotterError, match="no space left"):
        log.add([EDIT])
    assert len(log.to_frame()) == 2
