"""The messages between the review's view and its model; the view itself is tested in a browser."""

from __future__ import annotations

import json
import threading

import comm
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.widgets.review_payload import screen_digest
from tests.widgets.recorded_comm import RecordingComm, post

SPY, TLT, BIG = "r-SPY-BUY", "r-TLT-BUY", "r-BIG-BUY"
QUOTES = {"SPY": 100.0, "TLT": 50.0, "BIG": 10.0}


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
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    review._repr_mimebundle_()
    return review._widget


@pytest.mark.slow
def test_a_review_shows_one_widget_however_often_it_is_displayed(review, shown):
    bundle = review._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.model_id
    assert bundle["text/plain"] == repr(review)
    assert "Static snapshot" in bundle["text/html"]
    assert review._widget is shown


@pytest.mark.slow
def test_no_order_and_no_account_is_in_what_is_saved_with_a_notebook(review, shown):
    review.approve(SPY)
    post(shown, "edit", rows=[[SPY, 1]], changes={"quantity": "7"})
    states = json.dumps([*shown.comm.states, shown.get_state()], default=str)
    for text in (SPY, "U7654321", review.account, "max_notional"):
        assert text not in states


@pytest.mark.slow
def test_the_repr_of_a_review_has_no_memory_address(shown):
    assert repr(shown) == "<ReviewWidget of <OrderReview r: 3 orders, 0 approved, 0 rejected, 2 open, 1 blocked>>"


@pytest.mark.slow
def test_a_view_that_sends_hello_receives_a_snapshot(review, shown):
    answer = post(shown, "hello", number=7)
    assert (answer["kind"], answer["view"], answer["number"]) == ("snapshot", "v", 7)
    assert answer["ids"] == [SPY, TLT, BIG]
    assert answer["cells"]["decision_status"] == ["open", "open", "blocked"]
    assert answer["head"]["revision"] == 0


@pytest.mark.slow
def test_the_messages_have_the_properties_that_the_front_end_declares(review, shown, typedef):
    answer = post(shown, "hello")
    assert set(answer) == typedef("review.js", "Store") | {"kind", "view", "number"}
    assert set(answer["head"]) == typedef("review.js", "ReviewHead")
    assert typedef("review.js", "Terms") < set(answer["cells"])
    assert set().union(*answer["columns"]) == typedef("review.js", "Column")
    review.approve(SPY)
    assert set(shown.comm.sent[-1]) == typedef("review.js", "Patch")
    confirmation = post(shown, "request_confirmation", revision=review.revision)
    assert set(confirmation) == typedef("review.js", "Confirmation") | {"kind", "view", "number"}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "decision_status"), [("approve", "approved"), ("reject", "rejected")])
def test_a_decision_in_a_view_is_applied_and_answered(review, shown, kind, decision_status):
    assert post(shown, kind, rows=[[SPY, 0]])["kind"] == "done"
    assert review.decision_status == [decision_status, "open", "blocked"]
    assert post(shown, "clear", rows=[[SPY, 1]])["text"] == "1 decisions reset"
    assert review.decision_status == ["open", "open", "blocked"]


@pytest.mark.slow
def test_every_change_is_sent_to_every_view(review, shown):
    review.approve(TLT)
    patch = shown.comm.sent[-1]
    assert (patch["kind"], patch["from"], patch["places"]) == ("patch", 0, [1])
    assert patch["cells"]["decision_status"] == ["approved"]
    assert patch["head"]["revision"] == 1
    assert "view" not in patch


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["approve", "reject", "clear"])
def test_a_decision_on_a_row_that_changed_in_between_is_refused(review, shown, kind):
    review.edit(SPY, quantity=9)
    answer = post(shown, kind, rows=[[TLT, 0], [SPY, 0]])
    assert answer["kind"] == "refused"
    assert answer["reason"] == f"This row changed after it was displayed; review the refreshed values ({SPY})"
    assert review.decision_status == ["open", "open", "blocked"]


@pytest.mark.slow
def test_an_edit_of_a_row_that_changed_in_between_is_refused(review, shown):
    review.edit(SPY, quantity=9)
    assert post(shown, "edit", rows=[[SPY, 0]], changes={"quantity": "8"})["kind"] == "refused"
    assert review.orders["quantity"].tolist()[0] == 9.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["approve_passing", "clear_all", "request_confirmation"])
def test_an_action_on_the_whole_plan_needs_its_current_revision(review, shown, kind):
    review.approve(SPY)
    answer = post(shown, kind, revision=0)
    assert answer["kind"] == "refused"
    assert answer["reason"] == "The plan changed after it was displayed; review the refreshed values"
    assert review.decision_status == ["approved", "open", "blocked"]


@pytest.mark.slow
def test_a_blocked_row_is_refused_with_its_reason(review, shown):
    answer = post(shown, "approve", rows=[[SPY, 0], [BIG, 0]])
    assert answer["kind"] == "refused"
    assert "max_notional" in answer["reason"]
    assert review.decision_status == ["open", "open", "blocked"]
    assert post(shown, "approve_passing", revision=0)["text"] == "2 approved"
    assert review.decision_status == ["approved", "approved", "blocked"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "-5"}, "quantity_negative"),
        ({"quantity": "a lot"}, "quantity_invalid"),
        ({"quantity": "9999999999999"}, "quantity_too_large"),
        ({"quantity": "1.5"}, "fractional_not_allowed"),
        ({"order_type": "LMT", "limit_price": "99.001"}, "off_tick"),
        ({"order_type": "MIT"}, "order_type_unsupported"),
        ({"order_type": "STP"}, "aux_price_missing"),
        ({"good_till": "tomorrow"}, "time_dtype"),
        ({"outside_rth": "perhaps"}, "outside_rth_dtype"),
        ({"verdict": "pass"}, "not_editable"),
        ({}, "edit_invalid"),
        (None, "edit_invalid"),
        ({"quantity": 5}, "edit_invalid"),
    ],
)
def test_an_invalid_edit_is_refused_and_changes_nothing(review, shown, changes, code):
    before = review.result()
    answer = post(shown, "edit", rows=[[SPY, 0]], changes=changes)
    assert (answer["kind"], answer["code"]) == ("refused", code)
    assert answer["reason"]
    pd.testing.assert_frame_equal(review.result(), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows", [None, "x", [SPY], [[SPY]], [[SPY, "0"]], [[0, 0]], [["r-NOPE-BUY", 0]], [[["x"], 0]]]
)
def test_malformed_rows_are_refused(review, shown, rows):
    assert post(shown, "approve", rows=rows)["kind"] == "refused"
    assert len(review.decisions) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["explode", "", "__init__"])
def test_an_unknown_action_is_refused(shown, kind):
    assert post(shown, kind)["code"] == "action_unknown"


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [None, "hello", [], {}, {"kind": "hello"}, {"kind": 1, "view": "v", "number": 1}]
)
def test_a_malformed_message_is_ignored_and_logged(shown, caplog, content):
    shown.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert shown.comm.sent == []
    assert "ignored a malformed front-end message" in caplog.text


@pytest.mark.slow
def test_an_internal_error_is_reported_and_changes_nothing(review, shown, monkeypatch):
    monkeypatch.setattr(review, "approve", lambda *_: 1 / 0)
    answer = post(shown, "approve", rows=[[SPY, 0]])
    assert (answer["kind"], answer["code"]) == ("refused", "failed")
    assert "ZeroDivisionError" in answer["reason"]


# -- submitting ------------------------------------------------------------------------------------------------


def confirm(review, widget, **changes):
    confirmation = post(widget, "request_confirmation", revision=review.revision)
    body = {
        "token": confirmation["token"],
        "typed": confirmation["phrase"],
        "revision": review.revision,
        "digest": screen_digest(review),
    }
    return post(widget, "submit", **(body | changes))


@pytest.mark.slow
def test_the_phrase_sends_and_every_view_receives_the_outcome(review, shown, venue):
    review.approve(SPY)
    assert confirm(review, shown)["kind"] == "done"
    shown.wait()
    assert [message["head"]["state"] for message in shown.comm.sent if message["kind"] == "patch"][-2:] == [
        "sending",
        "sent",
    ]
    assert venue[1].orders("r")["status"].tolist() == ["FILLED", "CANCELLED", "REJECTED"]
    assert shown.comm.sent[-1]["head"]["note"] == "1 CANCELLED, 1 FILLED, 1 REJECTED"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typed": "SUBMIT"}, "is not the phrase"),
        ({"typed": None}, "is not the phrase"),
        ({"token": "guess"}, "expired or was already used"),
        ({"token": None}, "expired or was already used"),
        ({"digest": 0}, "out of step with the kernel"),
        ({"digest": None}, "out of step with the kernel"),
        ({"revision": 0}, "The plan changed after it was displayed"),
    ],
)
def test_a_submission_with_any_mismatch_sends_nothing(review, shown, venue, changes, reason):
    review.approve(SPY)
    answer = confirm(review, shown, **changes)
    assert answer["kind"] == "refused"
    assert reason in answer["reason"]
    shown.wait()
    assert len(venue[1].orders("r")) == 0
    assert review.state == "open"


@pytest.mark.slow
def test_a_second_click_on_send_is_refused(review, shown, venue):
    review.approve(SPY)
    confirmation = post(shown, "request_confirmation", revision=1)
    body = {
        "token": confirmation["token"],
        "typed": confirmation["phrase"],
        "revision": 1,
        "digest": screen_digest(review),
    }
    assert post(shown, "submit", **body)["kind"] == "done"
    assert post(shown, "submit", **body)["kind"] == "refused"
    shown.wait()
    assert venue[1].orders("r")["status"].tolist().count("FILLED") == 1


@pytest.mark.slow
def test_a_failed_submission_is_reported_to_every_view(review, shown, venue, caplog):
    def fail(*_, **__):
        raise sx.BrokerError("the line is dead")

    review._send = fail
    review.approve(SPY)
    confirm(review, shown)
    shown.wait()
    head = shown.comm.sent[-1]["head"]
    assert (head["state"], head["note"]) == ("failed", "BrokerError: the line is dead")


@pytest.mark.slow
def test_a_callback_returns_while_the_orders_are_still_working(review, shown):
    begun, end = threading.Event(), threading.Event()

    def send(plan, *_, **__):
        begun.set()
        assert end.wait(10)
        return plan

    review._send = send
    review.approve(SPY)
    assert confirm(review, shown)["kind"] == "done"  # although send has not returned
    assert begun.wait(10)
    assert post(shown, "approve", rows=[[TLT, 0]])["kind"] == "refused"  # and the view is still answered
    end.set()
    shown.wait()
    assert review.state == "sent"


@pytest.mark.slow
def test_messages_on_many_threads_are_handled_in_sequence(review, shown):
    """As on kernels that run widget callbacks on several threads."""
    start = threading.Barrier(8)

    def toggle(name):
        start.wait()
        for _ in range(20):
            place = review.row_of(name)
            post(shown, "approve", view=name, rows=[[name, review.row_revisions[place]]])
            post(shown, "clear", view=name, rows=[[name, review.row_revisions[place]]])

    threads = [threading.Thread(target=toggle, args=(name,)) for name in (SPY, TLT) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patches = [message for message in shown.comm.sent if message["kind"] == "patch"]
    assert [patch["from"] for patch in patches] == list(range(review.revision))
    assert len(review.decisions) == sum(len(patch["places"]) for patch in patches)


@pytest.mark.slow
def test_a_review_that_starts_a_run_shows_how_to_view_it_and_returns_it(review, shown, venue):
    review._send = sx.start_run
    review.approve(SPY)
    confirm(review, shown)
    shown.wait()
    head = shown.comm.sent[-1]["head"]
    assert (head["state"], head["note"]) == (
        "sent",
        "run r is under way; review.outcome.view() in a cell shows it and can stop it",
    )
    assert review.outcome.wait(20)["status"].tolist() == ["FILLED", "CANCELLED", "REJECTED"]
    view = review.outcome.view()
    assert view is review.outcome.view()
    assert [row["client_order_id"] for row in view._update(0)["rows"]] == [SPY]  # the approved order


@pytest.mark.slow
def test_a_bulk_approval_skips_sells_whose_buys_are_blocked(venue, monkeypatch):
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
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    review._repr_mimebundle_()
    answer = post(review._widget, "approve", rows=[["r-SPY-SELL", 0], ["r-TLT-SELL", 0]], bulk=True)
    assert answer["text"].startswith("0 approved; 2 sells skipped: the buys they were meant to fund are blocked")
    assert post(review._widget, "approve", rows=[["r-SPY-SELL", 0]])["text"] == "1 approved"
    assert review.decision_status == ["approved", "open", "blocked"]
