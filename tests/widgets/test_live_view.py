"""The messages between the live view and its run; the view itself is tested in a browser."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import comm
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_handle import Run
from stocklean_exec.execution.run_monitor import RunMonitor
from stocklean_exec.simulator import Simulator, read_journal
from stocklean_exec.widgets import live_view
from tests.approved_buys import approved_buys
from tests.widgets.recorded_comm import RecordingComm, post

A, B = "r-SPY-BUY", "r-KO-SELL"
PLAN = pd.DataFrame(
    [(A, "SPY", "BUY", 10.0), (B, "KO", "SELL", 20.0)], columns=["client_order_id", "symbol", "side", "quantity"]
)
ACCOUNT = "DU7654321"


@pytest.fixture(autouse=True)
def wired(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


@pytest.fixture
def run(blotter):
    """A run driven by the test: events by its control, the end by its future."""
    control, live = RunControl(), RunMonitor("r", PLAN, account=ACCOUNT)
    control.listen(live.add)
    broker = SimpleNamespace(mode="paper", account=ACCOUNT, fault="")
    return Run("r", broker, blotter, control, live, Future())


def fill(name, number, quantity, price=100.0):
    return OrderEvent(
        "execution", "r", name, pd.Timestamp("2026-11-23 17:00", tz="UTC").to_pydatetime(),
        exec_id=f"a.b.{number}.01", quantity=quantity, price=price,
    )  # fmt: skip


def updates(view):
    return [message for message in view.comm.sent if message["kind"] == "update"]


# -- sending to views --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_hello_is_answered_by_a_snapshot_and_no_order_is_in_the_synchronised_state(run):
    run.control.publish(fill(A, 1, 4.0))
    view = run.view()
    answer = post(view, "hello")
    assert (answer["kind"], answer["number"], answer["counts"]) == ("snapshot", 1, {"NEW": 1, "PARTIAL": 1})
    assert [row["client_order_id"] for row in answer["rows"]] == [A, B]
    assert answer["head"]["badge"] == "PAPER"
    assert answer["head"]["account"] == "DU***321"
    assert "SPY" not in json.dumps(view.comm.states)
    assert ACCOUNT not in json.dumps(view.comm.sent)
    assert run.view() is view


@pytest.mark.slow
def test_the_messages_have_the_properties_that_the_front_end_declares(run, typedef):
    run.control.publish(fill(A, 1, 4.0))
    run.control.publish(OrderEvent("message", "r", A, code="1", message="text"))
    view = run.view()
    answer = post(view, "hello")
    run.control.publish(fill(A, 2, 4.0))
    view.wait()
    state = typedef("live.js", "RunState")
    assert set(answer) == state | {"kind", "view", "number"}
    assert set(updates(view)[-1]) == state | {"kind"}
    for part, name in (("rows", "OrderRow"), ("fills", "Fill"), ("messages", "Note")):
        assert set(answer[part][0]) == typedef("live.js", name)
    assert set(answer["head"]) == typedef("live.js", "LiveHead")


@pytest.mark.slow
def test_a_thousand_events_are_sent_in_a_few_updates_that_miss_nothing(run):
    view = run.view()
    view.wait()
    before = len(updates(view))
    threads = [
        threading.Thread(
            target=lambda part=part: [run.control.publish(fill(B, f"{part}-{n}", 0.02)) for n in range(250)]
        )
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view.wait()
    sent = updates(view)[before:]
    assert 1 <= len(sent) <= 40  # ten a second, and the machine may be slow
    assert sent[-1]["events"] == 1_000
    assert [one["from"] for one in sent[1:]] == [one["version"] for one in sent[:-1]]
    assert sent[-1]["filled_quantity"] == pytest.approx(20.0)


class _Clock:
    """Time that advances only while one sleeps or works."""

    def __init__(self):
        self.now = self.used = 0.0

    def monotonic(self):
        return self.now

    def thread_time(self):
        return self.used

    def sleep(self, seconds):
        self.now += seconds


def test_updates_are_a_tenth_of_a_second_apart_and_take_at_most_half_of_the_time(monkeypatch):
    clock, started = _Clock(), []
    monkeypatch.setattr(live_view, "time", clock)
    work = iter([(0.0, 0.0), (0.03, 0.03), (0.25, 0.08), (0.15, 0.15)])  # elapsed seconds, and processor seconds

    def update():
        started.append(clock.now)
        passed, used = next(work, (0.0, 0.0))
        clock.now, clock.used = clock.now + passed, clock.used + used
        if len(started) < 5:
            pacer.poke()  # the next change arrives at once

    pacer = live_view._Pacer(update, live_view.PAUSE)
    pacer.poke()
    pacer.wait()
    # A tenth apart; then 0.25 s of waiting and 0.08 s of rest; then 0.15 s of work and as much rest.
    assert started == pytest.approx([0.0, 0.1, 0.2, 0.53, 0.83])


@pytest.mark.slow
def test_a_failed_update_is_logged_and_the_next_one_is_sent(run, monkeypatch, caplog):
    view = run.view()
    view.wait()
    monkeypatch.setattr(view, "send", lambda _: 1 / 0)
    run.control.publish(fill(A, 1, 4.0))
    view.wait()
    assert "could not send an update" in caplog.text
    monkeypatch.undo()
    run.control.publish(fill(A, 2, 4.0))
    view.wait()
    assert updates(view)[-1]["filled_quantity"] == 8.0


@pytest.mark.slow
def test_the_end_of_a_run_is_sent_to_the_views(run):
    view = run.view()
    run._future.set_result(None)
    view.wait()
    head = updates(view)[-1]["head"]
    assert (head["state"], head["is_finished"], head["open_orders"]) == ("over", True, 2)


@pytest.mark.slow
def test_a_failed_run_shows_the_reason_and_no_account(run):
    run._future.set_exception(sx.BrokerError(f"account {ACCOUNT} is gone"))
    answer = post(run.view(), "hello")
    assert answer["head"]["state"] == "failed"
    assert answer["head"]["note"] == "BrokerError: account DU***321 is gone"


@pytest.mark.slow
def test_messages_of_the_broker_show_no_account(run):
    text = f"No trading permissions for {ACCOUNT} and U1234567"
    run.control.publish(OrderEvent("rejected", "r", A, code="201", message=text))
    answer = post(run.view(), "hello")
    assert answer["messages"][0]["text"] == "No trading permissions for DU***321 and U1***567"
    assert ACCOUNT not in run.view()._repr_html_()


# -- refused actions ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"kind": "cancel", "client_order_id": "x", "status": "NEW"}, "order_unknown"),
        ({"kind": "cancel", "client_order_id": ["x"]}, "order_unknown"),
        ({"kind": "cancel"}, "order_unknown"),
        ({"kind": "cancel_all"}, "not_confirmed"),
        ({"kind": "cancel_all", "confirmed": "yes"}, "not_confirmed"),
        ({"kind": "halt", "reason": "lunch"}, "not_confirmed"),
        ({"kind": "halt", "confirmed": True}, "no_reason"),
        ({"kind": "halt", "confirmed": True, "reason": "  "}, "no_reason"),
        ({"kind": "halt", "confirmed": True, "reason": 7}, "no_reason"),
        ({"kind": "halt", "confirmed": True, "reason": "x" * 201}, "reason_too_long"),
        ({"kind": "explode"}, "action_unknown"),
    ],
)
def test_an_invalid_action_is_refused_and_changes_nothing(run, blotter, message, code):
    view = run.view()
    answer = post(view, **message)
    view.wait()
    assert (answer["kind"], answer["code"]) == ("refused", code)
    assert answer["reason"]
    assert blotter.halted is None
    assert not run.control.stopped


@pytest.mark.slow
def test_a_malformed_message_is_ignored_and_logged(run, caplog):
    view = run.view()
    view.comm.handle_msg({"content": {"data": {"method": "custom", "content": {"kind": "halt"}}}, "buffers": []})
    assert "ignored a malformed front-end message" in caplog.text


@pytest.mark.slow
def test_an_order_that_has_ended_cannot_be_cancelled_and_the_answer_has_its_status(run):
    run.control.publish(fill(A, 1, 10.0))
    answer = post(run.view(), "cancel", client_order_id=A, status="SUBMITTED")
    assert answer["code"] == "order_ended"
    assert answer["reason"] == f"{A} is already FILLED (displayed as 'SUBMITTED'); nothing to cancel"


@pytest.mark.slow
def test_a_finished_run_without_open_orders_cannot_be_cancelled(run):
    run.control.publish(fill(A, 1, 10.0))
    run.control.publish(fill(B, 2, 20.0))
    run._future.set_result(None)
    answer = post(run.view(), "cancel_all", confirmed=True)
    assert (answer["kind"], answer["code"]) == ("refused", "run_over")


@pytest.mark.slow
def test_a_failure_at_the_broker_is_shown_in_every_view(run, monkeypatch):
    def fail(_):
        raise sx.BrokerError(f"the line of {ACCOUNT} is dead")

    view = run.view()
    monkeypatch.setattr(run, "cancel", fail)
    assert post(view, "cancel", client_order_id=A, status="NEW")["kind"] == "done"
    view.wait()
    notice = updates(view)[-1]["head"]["notice"]
    assert "cancel of r-SPY-BUY failed: BrokerError: the line of DU***321 is dead" in notice


@pytest.mark.slow
def test_a_callback_does_not_block_and_a_second_click_starts_nothing(run, monkeypatch):
    going, calls = threading.Event(), []

    def slow(**_):
        calls.append(threading.current_thread())
        going.wait(20)

    view = run.view()
    monkeypatch.setattr(run, "cancel_all", slow)
    assert post(view, "cancel_all", confirmed=True)["text"] == "cancel of all orders: requested"
    assert post(view, "cancel_all", confirmed=True)["text"] == "cancel of all orders is already in progress"
    assert post(view, "hello")["head"]["busy"] == ["all"]
    going.set()
    view.wait()
    assert len(calls) == 1
    assert calls[0] is not threading.current_thread()
    assert updates(view)[-1]["head"]["busy"] == []


@pytest.mark.slow
def test_clicks_on_many_threads_start_one_action(run, monkeypatch):
    """As on kernels that run widget callbacks on several threads."""
    view, start, going, calls = run.view(), threading.Barrier(8), threading.Event(), []

    def slow(**_):
        calls.append(1)
        going.wait(20)

    monkeypatch.setattr(run, "cancel_all", slow)

    def click(number):
        start.wait(20)
        content = {"kind": "cancel_all", "confirmed": True, "view": f"v{number}", "number": 1}
        view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    threads = [threading.Thread(target=click, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    going.set()
    view.wait()
    answers = [message for message in view.comm.sent if message["kind"] == "done"]
    assert sorted(message["view"] for message in answers) == [f"v{number}" for number in range(8)]
    assert sum(message["text"] == "cancel of all orders: requested" for message in answers) == len(calls) == 1


@pytest.mark.slow
def test_a_halt_applies_to_the_whole_blotter_and_keeps_its_reason(run, blotter):
    view = run.view()
    assert post(view, "halt", confirmed=True, reason=" fat finger ")["kind"] == "done"
    view.wait()
    assert "fat finger" in blotter.halted
    assert "fat finger" in updates(view)[-1]["head"]["halted"]


# -- over the wire -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_order_and_then_all_are_cancelled_over_the_wire(blotter, tmp_path):
    journal = tmp_path / "journal.jsonl"
    quotes = pd.DataFrame({"symbol": ["AA", "BB", "CC"], "bid": 9.99, "ask": 10.01}).assign(
        currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC")
    )
    with (
        Simulator(quotes=quotes, clock="brisk", journal=journal) as venue,
        IBBroker(port=venue.port, rate=0.0, seconds=5.0) as broker,
    ):
        plan = approved_buys(["AA", "BB", "CC"], quotes, limit=9.0, run_id="w")
        run = sx.start_run(plan, broker, blotter, timeout=30)
        view, resting = run.view(), threading.Event()
        run.control.listen(lambda _: run.live.update()["counts"] == {"SUBMITTED": 3} and resting.set())
        if run.live.update()["counts"] != {"SUBMITTED": 3}:
            assert resting.wait(20)
        assert post(view, "cancel", client_order_id="w-BB-BUY", status="SUBMITTED")["kind"] == "done"
        view.wait()
        assert post(view, "cancel_all", confirmed=True)["kind"] == "done"
        states = run.wait(20)
        view.wait()
        assert states["status"].tolist() == ["CANCELLED"] * 3
        answer = post(view, "hello")
        assert answer["counts"] == {"CANCELLED": 3}
        assert answer["head"]["state"] == "cancelled"
        assert [row["what"] for row in answer["messages"]].count("run cancelled") == 1
    cancels = [row["order_ref"] for row in read_journal(journal) if row["event"] == "cancel"]
    assert cancels[0] == "w-BB-BUY"
    assert sorted(cancels) == ["w-AA-BUY", "w-BB-BUY", "w-CC-BUY"]


# -- the saved output --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_saved_output_escapes_all_texts(run):
    hostile = "<script>alert(1)</script>"
    run.control.publish(OrderEvent("rejected", "r", A, code="201", message=hostile))
    view = run.view()
    bundle, _ = view._repr_mimebundle_()
    assert bundle["text/plain"].startswith("<LiveView of <Run r:")
    assert hostile not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id


@pytest.mark.slow
def test_the_saved_output_is_updated_when_the_run_ends(run, monkeypatch):
    stored = {}

    def display(bundle, *, raw, display_id):
        assert raw
        name = f"d{len(stored)}" if display_id is True else display_id
        stored[name] = bundle["text/html"]
        return SimpleNamespace(display_id=name)

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.display.update_display", display)
    view = run.view()
    view._ipython_display_()
    view.wait()
    assert "working" in stored["d0"]
    run.control.publish(fill(A, 1, 10.0))
    run._future.set_result(None)
    view.wait()
    assert list(stored) == ["d0"]
    assert "10 of 30 filled" in stored["d0"]
    assert "over" in stored["d0"]
