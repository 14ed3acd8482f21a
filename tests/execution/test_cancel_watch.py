"""A process answers requests to cancel as long as it has the blotter open, and each of them once."""

import threading
import time

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.cancel_journal import CancelJournal
from stocklean_exec.errors import BrokerError
from stocklean_exec.execution.cancel_watch import watch_cancels
from stocklean_exec.execution.cancellation import CancelOutcome

RESTS = pd.DataFrame({"symbol": ["ABC"], "action": "rest"})


@pytest.fixture
def broker():
    return sx.connect("mock://", quotes={"ABC": 25.0}, cash=50_000.0, fill_plan=RESTS)


@pytest.fixture(autouse=True)
def alone():
    """Wait for the watches of earlier tests to end."""
    for thread in watchers():
        thread.join(30.0)


@pytest.fixture
def journal(tmp_path):
    return CancelJournal(tmp_path / "b.duckdb")


def trade(broker, blotter, run_id="1"):
    options = {"approve": "me", "dry_run": False, "timeout": 0.1, "limits": sx.Limits(duplicate_window=None)}
    return sx.rebalance({"ABC": 0.5}, broker, blotter, run_id=run_id, **options)


def answered(journal, number):
    until = time.monotonic() + 30
    while (found := journal.answer_to(number)) is None:
        assert time.monotonic() < until, "no answer"
        threading.Event().wait(0.02)
    return found


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "stocklean-cancels"]


@pytest.mark.slow
def test_a_request_is_answered_and_an_earlier_one_is_not(broker, journal, tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb") as blotter:
        early = journal.ask(None, by="ann", seconds=5.0)
        trade(broker, blotter)
        number = journal.ask("1", by="ann", seconds=5.0)
        outcome = CancelOutcome.of(answered(journal, number)["outcome"])
        assert outcome == CancelOutcome(ended=("1-ABC-BUY",))
        assert blotter.orders("1")["status"].tolist() == ["CANCELLED"]
        events = blotter.events("1")
        assert events.loc[events["kind"] == "run_cancelled", "message"].tolist() == ["cancelled by ann"]
        assert not journal.is_seen(early)
        other = journal.ask("another", by="ann", seconds=5.0)
        assert CancelOutcome.of(answered(journal, other)["outcome"]) == CancelOutcome()


@pytest.mark.slow
def test_what_fails_is_reported(broker, journal, tmp_path, monkeypatch):
    def gone():
        raise BrokerError("the broker is closed")

    with sx.open_blotter(tmp_path / "b.duckdb") as blotter:
        trade(broker, blotter)
        monkeypatch.setattr(broker, "open_orders", gone)
        assert answered(journal, journal.ask("1", by="ann", seconds=5.0))["error"] == "the broker is closed"
        monkeypatch.undo()
        assert "outcome" in answered(journal, journal.ask("1", by="ann", seconds=5.0))


@pytest.mark.slow
def test_the_watch_ends_with_its_blotter(broker, tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb") as blotter:
        trade(broker, blotter)
        trade(broker, blotter, "2")
        (mine,) = watchers()
    mine.join(30.0)
    assert not mine.is_alive()


def test_one_watch_serves_every_run_of_a_blotter(broker, tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb") as blotter:
        watch_cancels(broker, blotter)
        (first,) = watchers()
        watch_cancels(broker, blotter)
        assert watchers() == [first]


@pytest.mark.slow
def test_a_blotter_in_memory_is_not_watched(broker):
    with sx.open_blotter() as blotter:
        trade(broker, blotter)
        assert watchers() == []
