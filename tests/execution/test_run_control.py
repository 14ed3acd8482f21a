"""Stopping a run and receiving its events, from any thread."""

import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.execution.run_control import RunControl, RunStoppedError


def test_a_run_continues_until_it_is_stopped_and_keeps_the_first_reason():
    control = RunControl()
    control.check()
    assert control.stopped == ""
    control.stop("enough")
    control.stop("really")
    with pytest.raises(RunStoppedError, match="enough"):
        control.check()


def test_every_listener_receives_every_event_and_a_failing_one_is_removed(caplog):
    control, first, second = RunControl(), [], []

    def fails(event):
        second.append(event)
        raise ValueError("a view that broke")

    control.listen(first.append)
    control.listen(fails)
    for number in range(3):
        control.publish(OrderEvent("message", message=str(number)))
    assert [event.message for event in first] == ["0", "1", "2"]
    assert [event.message for event in second] == ["0"]
    assert "was removed" in caplog.text
