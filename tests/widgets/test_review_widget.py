"""The messages between the review's view and its model; the view itself is tested in a browser."""

from __future__ import annotations

import json
import threading

import comm
import pandas as pd
import pytest
from comm.base_comm import BaseComm

import stocklean_exec as sx
from stocklean_exec.widgets.review_payload import screen_digest

SPY, TLT, BIG = "r-SPY-BUY", "r-TLT-BUY", "r-BIG-BUY"
QUOTES = {"SPY": 100.0, "TLT": 50.0, "BIG": 10.0}


class Wire(BaseComm):
    """A connection that keeps what the widget says."""

    said: list

    def __init__(self, *arguments, **options):
        self.said, self.states = [], []
        super().__init__(*arguments, **options)

    def publish_msg(self, msg_type, data=None, *_, **__):
        if msg_type == "comm_open":
            self.states.append(data["state"])
        elif data["method"] == "custom":
            self.said.append(json.loads(json.dumps(data["content"], allow_nan=False)))
        else:
            self.states.append(data["state"])


@pytest.fixture
def venue():
    with sx.open_blotter() as blotter:
        yield sx.connect("mock://", quotes=QUOTES, cash=9_000.0), blotter


@pytest.fixture
def review(venue):
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "BIG"],
            "side": "BUY",
            "quantity": [10.0, 20.0, 300.0],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 10.0],
            "secret": "U7654321",
        }
    )
    limits = sx.Limits(max_order_notional=2_500)
    checked = sx.check_orders(orders, limits, quotes=QUOTES, cash=9_000.0)
    return sx.review_orders(checked, *venue, by="ann")


@pytest.fixture
def shown(review, monkeypatch):
    monkeypatch.setattr(comm, "create_comm", Wire)
    review._repr_mimebundle_()
    return review._widget


def say(widget, kind, view="v", number=1, **body):
    """Send a gesture; return its answer, or None."""
    before = len(widget.comm.said)
    content = {"kind": kind, "view": view, "number": number, **body}
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    answers = [said for said in widget.comm.said[before:] if said.get("view") == view]
    return answers[-1] if answers else None


def test_a_review_shows_one_widget_however_often_it_is_displayed(review, shown):
    bundle = review._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.model_id
    assert bundle["text/plain"] == repr(review)
    assert "A still picture" in bundle["text/html"]
    assert review._widget is shown


def test_no_order_and_no_account_is_in_what_is_saved_with_a_notebook(review, shown):
    review.approve(SPY)
    say(shown, "edit", rows=[[SPY, 1]], changes={"quantity": "7"})
    states = json.dumps([*shown.comm.states, shown.get_state()], default=str)
    for text in (SPY, "U7654321", review.account, "max_notional"):
        assert text not in states


def test_its_text_form_has_no_address(shown):
    assert repr(shown) == "<ReviewWidget of <OrderReview r: 3 orders, 0 approved, 0 rejected, 2 open, 1 blocked>>"


def test_a_view_that_says_hello_is_told_everything(review, shown):
    told = say(shown, "hello", number=7)
    assert (told["kind"], told["view"], told["number"]) == ("snapshot", "v", 7)
    assert told["ids"] == [SPY, TLT, BIG]
    assert told["cells"]["standing"] == ["open", "open", "blocked"]
    assert told["head"]["revision"] == 0


def test_the_messages_have_the_properties_that_the_front_end_declares(review, shown, typedef):
    told = say(shown, "hello")
    assert set(told) == typedef("review.js", "Store") | {"kind", "view", "number"}
    assert set(told["head"]) == typedef("review.js", "ReviewHead")
    assert typedef("review.js", "Terms") < set(told["cells"])
    assert set().union(*told["columns"]) == typedef("review.js", "Column")
    review.approve(SPY)
    assert set(shown.comm.said[-1]) == typedef("review.js", "Patch")
    asked = say(shown, "ask", revision=review.revision)
    assert set(asked) == typedef("review.js", "Confirmation") | {"kind", "view", "number"}


@pytest.mark.parametrize(("kind", "standing"), [("approve", "approved"), ("reject", "rejected")])
def test_a_decision_by_a_view(review, shown, kind, standing):
    assert say(shown, kind, rows=[[SPY, 0]])["kind"] == "done"
    assert review.standing == [standing, "open", "blocked"]
    assert say(shown, "clear", rows=[[SPY, 1]])["text"] == "1 decisions taken back"
    assert review.standing == ["open", "open", "blocked"]


def test_every_change_is_told_to_every_view(review, shown):
    review.approve(TLT)
    patch = shown.comm.said[-1]
    assert (patch["kind"], patch["from"], patch["places"]) == ("patch", 0, [1])
    assert patch["cells"]["standing"] == ["approved"]
    assert patch["head"]["revision"] == 1
    assert "view" not in patch


@pytest.mark.parametrize("kind", ["approve", "reject", "clear"])
def test_a_gesture_on_a_row_that_changed_meanwhile_is_refused(review, shown, kind):
    review.edit(SPY, quantity=9)
    answer = say(shown, kind, rows=[[TLT, 0], [SPY, 0]])
    assert answer["kind"] == "refused"
    assert f"{SPY} changed since" in answer["reason"]
    assert review.standing == ["open", "open", "blocked"]


def test_an_edit_of_a_row_that_changed_meanwhile_is_refused(review, shown):
    review.edit(SPY, quantity=9)
    assert say(shown, "edit", rows=[[SPY, 0]], changes={"quantity": "8"})["kind"] == "refused"
    assert review.orders["quantity"].tolist()[0] == 9.0


@pytest.mark.parametrize("kind", ["approve_passing", "clear_all", "ask"])
def test_a_gesture_on_the_whole_plan_needs_the_present_one(review, shown, kind):
    review.approve(SPY)
    answer = say(shown, kind, revision=0)
    assert answer["kind"] == "refused"
    assert "the plan changed since" in answer["reason"]
    assert review.standing == ["approved", "open", "blocked"]


def test_a_blocked_row_is_refused_with_its_reason(review, shown):
    answer = say(shown, "approve", rows=[[SPY, 0], [BIG, 0]])
    assert answer["kind"] == "refused"
    assert "max_notional" in answer["reason"]
    assert review.standing == ["open", "open", "blocked"]
    assert say(shown, "approve_passing", revision=0)["text"] == "2 approved"
    assert review.standing == ["approved", "approved", "blocked"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "-5"}, "quantity_negative"),
        ({"quantity": "a lot"}, "quantity_invalid"),
        ({"quantity": "9999999999999"}, "quantity_too_large"),
        ({"quantity": "1.5"}, "fractional_not_allowed"),
        ({"order_type": "LMT", "limit_price": "99.001"}, "off_tick"),
        ({"order_type": "STP"}, "order_type_unsupported"),
        ({"verdict": "pass"}, "not_editable"),
        ({}, "edit_invalid"),
        (None, "edit_invalid"),
        ({"quantity": 5}, "edit_invalid"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(review, shown, changes, code):
    before = review.result()
    answer = say(shown, "edit", rows=[[SPY, 0]], changes=changes)
    assert (answer["kind"], answer["code"]) == ("refused", code)
    assert answer["reason"]
    pd.testing.assert_frame_equal(review.result(), before)


@pytest.mark.parametrize(
    "rows", [None, "x", [SPY], [[SPY]], [[SPY, "0"]], [[0, 0]], [["r-NOPE-BUY", 0]], [[["x"], 0]]]
)
def test_a_gesture_that_no_view_makes_is_refused(review, shown, rows):
    assert say(shown, "approve", rows=rows)["kind"] == "refused"
    assert len(review.decisions) == 0


@pytest.mark.parametrize("kind", ["explode", "", "__init__"])
def test_an_unknown_gesture_is_refused(shown, kind):
    assert say(shown, kind)["code"] == "gesture_unknown"


@pytest.mark.parametrize(
    "content", [None, "hello", [], {}, {"kind": "hello"}, {"kind": 1, "view": "v", "number": 1}]
)
def test_what_is_no_gesture_is_left_and_noted(shown, caplog, content):
    shown.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert shown.comm.said == []
    assert "no view sends" in caplog.text


def test_an_error_of_ours_is_told_and_changes_nothing(review, shown, monkeypatch):
    monkeypatch.setattr(review, "approve", lambda *_: 1 / 0)
    answer = say(shown, "approve", rows=[[SPY, 0]])
    assert (answer["kind"], answer["code"]) == ("refused", "failed")
    assert "ZeroDivisionError" in answer["reason"]


# -- submitting ------------------------------------------------------------------------------------------------


def confirm(review, widget, **changes):
    asked = say(widget, "ask", revision=review.revision)
    body = {
        "token": asked["token"],
        "typed": asked["phrase"],
        "revision": review.revision,
        "digest": screen_digest(review),
    }
    return say(widget, "submit", **(body | changes))


def test_the_phrase_sends_and_every_view_is_told_of_the_end(review, shown, venue):
    review.approve(SPY)
    assert confirm(review, shown)["kind"] == "done"
    shown.wait()
    assert [said["head"]["state"] for said in shown.comm.said if said["kind"] == "patch"][-2:] == [
        "sending",
        "sent",
    ]
    assert venue[1].orders("r")["status"].tolist() == ["FILLED", "CANCELLED", "REJECTED"]
    assert shown.comm.said[-1]["head"]["note"] == "1 CANCELLED, 1 FILLED, 1 REJECTED"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typed": "SUBMIT"}, "is not the phrase"),
        ({"typed": None}, "is not the phrase"),
        ({"token": "guess"}, "was used"),
        ({"token": None}, "was used"),
        ({"digest": 0}, "does not show what the kernel holds"),
        ({"digest": None}, "does not show what the kernel holds"),
        ({"revision": 0}, "the plan changed since"),
    ],
)
def test_anything_that_does_not_fit_sends_nothing(review, shown, venue, changes, reason):
    review.approve(SPY)
    answer = confirm(review, shown, **changes)
    assert answer["kind"] == "refused"
    assert reason in answer["reason"]
    shown.wait()
    assert len(venue[1].orders("r")) == 0
    assert review.state == "open"


def test_a_second_click_on_send_is_refused(review, shown, venue):
    review.approve(SPY)
    asked = say(shown, "ask", revision=1)
    body = {"token": asked["token"], "typed": asked["phrase"], "revision": 1, "digest": screen_digest(review)}
    assert say(shown, "submit", **body)["kind"] == "done"
    assert say(shown, "submit", **body)["kind"] == "refused"
    shown.wait()
    assert venue[1].orders("r")["status"].tolist().count("FILLED") == 1


def test_a_failed_submission_is_told_to_every_view(review, shown, venue, caplog):
    def fail(*_, **__):
        raise sx.BrokerError("the line is dead")

    review._send = fail
    review.approve(SPY)
    confirm(review, shown)
    shown.wait()
    head = shown.comm.said[-1]["head"]
    assert (head["state"], head["note"]) == ("failed", "BrokerError: the line is dead")


def test_a_callback_comes_back_while_the_orders_are_still_working(review, shown):
    begun, end = threading.Event(), threading.Event()

    def send(plan, *_, **__):
        begun.set()
        assert end.wait(10)
        return plan

    review._send = send
    review.approve(SPY)
    assert confirm(review, shown)["kind"] == "done"  # although send has not returned
    assert begun.wait(10)
    assert say(shown, "approve", rows=[[TLT, 0]])["kind"] == "refused"  # and the view is still answered
    end.set()
    shown.wait()
    assert review.state == "sent"


def test_gestures_on_many_threads_are_done_one_after_the_other(review, shown):
    """As on kernels that hear widgets on threads of their own."""
    start = threading.Barrier(8)

    def toggle(name):
        start.wait()
        for _ in range(20):
            place = review.row_of(name)
            say(shown, "approve", view=name, rows=[[name, review.row_revisions[place]]])
            say(shown, "clear", view=name, rows=[[name, review.row_revisions[place]]])

    threads = [threading.Thread(target=toggle, args=(name,)) for name in (SPY, TLT) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patches = [said for said in shown.comm.said if said["kind"] == "patch"]
    assert [patch["from"] for patch in patches] == list(range(review.revision))
    assert len(review.decisions) == sum(len(patch["places"]) for patch in patches)


def test_a_review_that_starts_a_run_says_how_to_see_it_and_hands_it_out(review, shown, venue):
    review._send = sx.start_run
    review.approve(SPY)
    confirm(review, shown)
    shown.wait()
    head = shown.comm.said[-1]["head"]
    assert (head["state"], head["note"]) == (
        "sent",
        "run r is under way; review.outcome.view() in a cell shows it and can stop it",
    )
    assert review.outcome.wait(20)["status"].tolist() == ["FILLED", "CANCELLED", "REJECTED"]
    told = review.outcome.view()
    assert told is review.outcome.view()
    assert [row["client_order_id"] for row in told._update(0)["rows"]] == [SPY]  # what was approved


def test_many_rows_approved_at_once_leave_out_sells_whose_buys_are_refused(venue, monkeypatch):
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "BIG"],
            "side": ["SELL", "SELL", "BUY"],
            "quantity": [10.0, 20.0, 300.0],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 10.0],
        }
    )
    held = {"SPY": 10, "TLT": 20}  # 2,000 less 2.00 of commission, for 3,000
    review = sx.review_orders(sx.check_orders(orders, quotes=QUOTES, positions=held, cash=0.0), *venue, by="ann")
    monkeypatch.setattr(comm, "create_comm", Wire)
    review._repr_mimebundle_()
    answer = say(review._widget, "approve", rows=[["r-SPY-SELL", 0], ["r-TLT-SELL", 0]], bulk=True)
    assert answer["text"].startswith(
        "0 approved; 2 sells were not: the buys that they were to pay for are refused"
    )
    assert say(review._widget, "approve", rows=[["r-SPY-SELL", 0]])["text"] == "1 approved"
    assert review.standing == ["approved", "open", "blocked"]
