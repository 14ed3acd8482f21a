from __future__ import annotations

import getpass
import math
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from threading import Timer

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import ApprovalError, InputError
from stocklean_exec.risk.pre_trade_checks import check_orders

START = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
QUOTES = {"SPY": 100.0, "TLT": 50.0, "BIG": 10.0}
SPY, TLT, BIG, GONE = "r-SPY-BUY", "r-TLT-BUY", "r-BIG-BUY", "r-GONE-BUY"


class Ticking:
    """A clock that advances one second on each reading."""

    def __init__(self):
        self.at = START

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


def made_review(now, **limits):
    """10 SPY at 100, 20 TLT at 50, 300 BIG at 10 (blocked: over 2,500), GONE without a price; cash 2,100."""
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "BIG", "GONE"],
            "side": "BUY",
            "quantity": [10.0, 20.0, 300.0, 1.0],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 10.0, math.nan],
            "current_quantity": 0.0,
            "status": ["NEW", "NEW", "NEW", "REJECTED"],
            "reason": [None, None, None, "price_unavailable"],
        }
    )
    checked = check_orders(orders, sx.Limits(max_order_notional=2_500, **limits), quotes=QUOTES, cash=2_100.0)
    return sx.OrderReview(checked, now=now)


@pytest.fixture
def review():
    return made_review(Ticking())


def approved_in(review):
    frame = review.orders
    return frame.loc[frame["approved"], "client_order_id"].tolist()


# -- deciding --------------------------------------------------------------------------------------------------


def test_nothing_is_approved_at_the_start(review):
    assert approved_in(review) == []
    assert review.blocked == [BIG, GONE]
    assert repr(review) == "<OrderReview r: 4 orders, 0 approved, 0 rejected, 2 open, 2 blocked>"


def test_approve_all_approves_every_order_that_is_not_blocked(review):
    assert review.approve_all(by="ann") == 2
    assert approved_in(review) == [SPY, TLT]
    assert review.approved_orders()["client_order_id"].tolist() == [SPY, TLT]


@pytest.mark.parametrize("name", [BIG, GONE])
def test_a_blocked_order_cannot_be_approved_and_the_whole_call_is_refused(review, name):
    with pytest.raises(ApprovalError, match=name):
        review.approve(SPY, name, by="ann")
    assert approved_in(review) == []
    assert len(review.decisions) == 0


def test_the_error_says_why_the_order_is_blocked(review):
    with pytest.raises(ApprovalError, match=r"r-BIG-BUY \(max_notional\)"):
        review.approve(BIG)


def test_an_approval_can_be_reversed_and_given_again(review):
    review.approve(SPY, by="ann")
    assert review.reject(SPY, by="bob") == 1
    assert approved_in(review) == []
    review.approve(SPY, by="ann")
    assert approved_in(review) == [SPY]
    assert review.decisions["action"].tolist() == ["approve", "reject", "approve"]


def test_reject_all_rejects_every_order(review):
    review.approve_all(by="ann")
    assert review.reject_all(by="ann") == 2
    assert approved_in(review) == []


def test_an_order_named_twice_is_decided_once(review):
    assert review.approve(SPY, SPY, by="ann") == 1
    assert len(review.decisions) == 1


@pytest.mark.parametrize("call", ["approve", "reject"])
def test_an_order_that_is_not_in_the_plan_is_an_error(review, call):
    with pytest.raises(InputError) as caught:
        getattr(review, call)(SPY, "r-NOPE-BUY", by="ann")
    assert caught.value.codes == ("order_unknown",)
    assert len(review.decisions) == 0


@pytest.mark.parametrize("by", ["", "  ", 5, True])
def test_a_decision_needs_a_name(review, by):
    for decide in (review.approve_all, lambda by: review.edit(SPY, quantity=5, by=by)):
        with pytest.raises(InputError) as caught:
            decide(by=by)
        assert caught.value.codes == ("by_missing",)
    assert review.orders["quantity"].tolist() == [10.0, 20.0, 300.0, 1.0]
    assert len(review.decisions) == 0


def test_without_a_name_the_current_user_decides(review):
    review.approve(SPY)
    assert review.orders["approved_by"].iloc[0] == getpass.getuser()


def test_the_log_records_who_decided_what_and_when(review):
    review.approve(SPY, by="ann")
    review.edit(SPY, quantity=5, by="bob")
    log = review.decisions
    assert log["at"].tolist() == [START + timedelta(seconds=1), START + timedelta(seconds=2)]
    assert log[["by", "client_order_id", "action"]].to_numpy().tolist() == [
        ["ann", SPY, "approve"],
        ["bob", SPY, "edit"],
    ]
    assert log[["column", "old", "new"]].iloc[1].tolist() == ["quantity", 10.0, 5]


def test_the_result_contains_who_approved_and_when(review):
    review.approve(SPY, by="ann")
    result = review.result().set_index("client_order_id")
    assert result.loc[SPY, ["approved", "approved_by", "approved_at"]].tolist() == [
        True,
        "ann",
        START + timedelta(seconds=1),
    ]
    assert result.loc[[TLT, BIG, GONE], "approved"].tolist() == [False] * 3
    assert result.loc[[TLT, BIG, GONE], "approved_by"].isna().all()
    assert len(set(result["approval_hash"])) == 1


def test_modifying_a_returned_frame_does_not_change_the_review(review):
    for frame in (review.orders, review.result(), review.decisions):
        frame["quantity"], frame["verdict"] = 1e9, "pass"
    assert review.orders["quantity"].tolist() == [10.0, 20.0, 300.0, 1.0]
    assert review.blocked == [BIG, GONE]


# -- editing ---------------------------------------------------------------------------------------------------


def test_an_edit_that_fixes_a_blocked_order_lets_it_be_approved(review):
    edited = review.edit(BIG, quantity=5, by="ann")  # 50 more: 1,000 + 1,000 + 50 and 2.50 of fees from 2,100
    assert edited[["client_order_id", "quantity", "notional", "target_quantity", "verdict"]].iloc[0].tolist() == [
        BIG,
        5.0,
        50.0,
        5.0,
        "pass",
    ]
    assert review.approve(BIG, by="ann") == 1


def test_an_edit_equals_a_check_of_the_edited_plan(review):
    review.edit(SPY, quantity=30, by="ann")
    frame = review.orders
    fresh = check_orders(
        frame.drop(columns=["verdict", "reasons", "checks"]),
        sx.Limits(max_order_notional=2_500),
        quotes=QUOTES,
        cash=2_100.0,
    )
    assert frame["verdict"].tolist() == fresh["verdict"].tolist()
    assert frame["reasons"].fillna("").tolist() == fresh["reasons"].fillna("").tolist()


def test_the_check_results_are_of_the_edited_plan(review):
    edited = review.edit(BIG, quantity=200, by="ann")
    result = sx.check_results(edited)
    assert result.set_index("check").loc["max_notional", ["verdict", "value"]].tolist() == ["pass", 2_000.0]
    assert review.plan.checks_at([2]) == edited["checks"].tolist()  # before and
    again = sx.check_results(review.orders)
    pd.testing.assert_frame_equal(
        again[again["client_order_id"] == BIG].reset_index(drop=True), result.reset_index(drop=True)
    )
    assert review.plan.checks_at([2]) == edited["checks"].tolist()  # after it was written into the plan


def test_an_edit_voids_the_approval_of_its_row_alone(review):
    review.approve_all(by="ann")
    review.edit(SPY, quantity=9, by="ann")
    assert approved_in(review) == [TLT]


def test_an_edit_that_blocks_another_row_voids_its_approval(review):
    review.approve_all(by="ann")
    review.edit(SPY, quantity=12, by="bob")  # 1,200 + 1,000 + 2 of fees are over 2,100: both buys are blocked
    assert approved_in(review) == []
    assert review.orders["reasons"].tolist()[:2] == ["insufficient_cash"] * 2
    last = review.decisions.iloc[-1]
    assert last[["by", "client_order_id", "action"]].tolist() == ["bob", TLT, "withdraw"]
    with pytest.raises(ApprovalError):
        review.approve(TLT, by="ann")


def test_an_edit_that_unblocks_another_row_does_not_approve_it(review):
    review.edit(SPY, quantity=12, by="ann")
    review.edit(SPY, quantity=10, by="ann")
    assert review.blocked == [BIG, GONE]
    assert approved_in(review) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": 0}, "quantity_zero"),
        ({"quantity": -5}, "quantity_negative"),
        ({"quantity": 1.5}, "fractional_not_allowed"),
        ({"quantity": math.nan}, "quantity_invalid"),
        ({"quantity": "10"}, "quantity_invalid"),
        ({"quantity": True}, "quantity_invalid"),
        ({"quantity": [1]}, "quantity_invalid"),
        ({"order_type": "LMT"}, "limit_missing"),
        ({"order_type": "MIT"}, "order_type_unsupported"),
        ({"order_type": "STP"}, "aux_price_missing"),
        ({"limit_price": 99.0}, "limit_on_market"),
        ({"order_type": "LMT", "limit_price": 99.001}, "off_tick"),
        ({"order_type": "LMT", "limit_price": "99"}, "limit_price_invalid"),
        ({"tif": "NEVER"}, "tif_invalid"),
        ({"tif": 5}, "tif_invalid"),
        ({}, "nothing_to_edit"),
    ],
)
def test_an_invalid_edit_changes_nothing_and_names_the_row(review, changes, code):
    review.approve(SPY, by="ann")
    before = review.result()
    with pytest.raises(InputError) as caught:
        review.edit(SPY, by="ann", **changes)
    assert caught.value.codes == (code,)
    if changes:
        assert caught.value.problems[0].row == SPY
    pd.testing.assert_frame_equal(review.result(), before)
    assert len(review.decisions) == 1


def test_an_edit_of_many_rows_is_all_or_nothing(review):
    review.edit(SPY, order_type="LMT", limit_price=99.0, by="ann")
    before = review.orders
    with pytest.raises(InputError) as caught:
        review.edit(limit_price=98.0, by="ann")  # TLT and BIG are MKT
    assert [problem.row for problem in caught.value.problems] == [TLT, BIG]
    pd.testing.assert_frame_equal(review.orders, before)


def test_an_edit_without_names_applies_to_every_row_that_is_not_rejected(review):
    edited = review.edit(tif="gtc", by="ann")
    assert edited["client_order_id"].tolist() == [SPY, TLT, BIG]
    assert review.orders["tif"].tolist() == ["GTC", "GTC", "GTC", "DAY"]


def test_a_rejected_row_cannot_be_edited(review):
    with pytest.raises(InputError) as caught:
        review.edit(GONE, quantity=1, by="ann")
    assert caught.value.codes == ("order_rejected",)


@pytest.mark.slow
def test_a_change_to_market_removes_the_limit(review):
    review.edit(SPY, order_type="LMT", limit_price=99.0, by="ann")
    review.edit(SPY, order_type="MKT", by="ann")
    assert math.isnan(review.orders["limit_price"].iloc[0])
    assert review.orders["order_type"].iloc[0] == "MKT"


@pytest.mark.slow
def test_an_edited_order_is_sent_as_edited():
    review = made_review(lambda: datetime.now(UTC))
    review.edit(SPY, quantity=3, by="ann")
    review.approve(SPY, by="ann")
    broker = sx.connect("mock://", quotes=QUOTES, cash=2_100.0)
    with sx.open_blotter() as blotter:
        states = sx.submit_orders(review.result(), broker, blotter)
    assert states.set_index("client_order_id").loc[SPY, "filled_quantity"] == 3.0
    assert states.set_index("client_order_id").loc[SPY, "notional"] == 300.0


# -- blocked rows, however they were approved ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [BIG, GONE])
@pytest.mark.parametrize("fake", ["frame", "inner", "decided"])
def test_a_blocked_order_is_refused_at_submission_however_it_was_approved(review, name, fake):
    if fake == "inner":
        review._decide("approve", [name], "eve")
        result = review.result()
    elif fake == "decided":
        review.approve(SPY, by="ann")
        review._decisions[name] = review._decisions[SPY]
        result = review.result()
    else:
        result = review.result()
        row = result["client_order_id"] == name
        result.loc[row, "approved"] = True
        result.loc[row, "verdict"] = "pass"
        result.loc[row, "status"] = "NEW"
    broker = sx.connect("mock://", quotes=QUOTES, cash=1e9)
    with sx.open_blotter() as blotter:
        with pytest.raises(ApprovalError):
            sx.submit_orders(result, broker, blotter, max_approval_age=None)
        assert len(blotter.orders()) == 0
    assert broker.cash() == 1e9


# -- the frame -------------------------------------------------------------------------------------------------


def test_only_a_checked_plan_can_be_reviewed():
    for frame in (None, {}, pd.DataFrame(), pd.DataFrame({"verdict": []})):
        with pytest.raises(InputError) as caught:
            sx.review_orders(frame)
        assert caught.value.codes == ("not_checked",)


def test_plans_checked_against_different_limits_cannot_be_combined():
    orders = pd.DataFrame({"run_id": "r", "symbol": ["SPY", "TLT"], "side": "BUY", "quantity": [2.0, 3.0]})
    limits = [sx.Limits(max_day_notional=300.0), sx.Limits(max_orders_per_minute=1)]
    parts = [
        check_orders(orders.iloc[[row]].assign(order_type="MKT"), limits[row], quotes=QUOTES, cash=2_100.0)
        for row in (0, 1)
    ]
    with pytest.raises(InputError, match="different limits"):
        sx.review_orders(pd.concat(parts, ignore_index=True))


def test_a_plan_that_lost_its_check_can_be_approved_but_not_edited(review):
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    checked.attrs.clear()
    plain = sx.review_orders(checked)
    assert plain.approve_all(by="ann") == 2
    with pytest.raises(InputError) as caught:
        plain.edit(SPY, quantity=1, by="ann")
    assert caught.value.codes == ("not_checked",)


def test_a_part_of_a_plan_with_its_own_row_labels_can_be_reviewed(review):
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    part = sx.review_orders(checked[checked["symbol"].isin(["TLT", "GONE"])])
    part.edit(TLT, quantity=7, by="ann")
    part.approve_all(by="ann")
    assert part.approved_orders()[["client_order_id", "quantity"]].to_numpy().tolist() == [[TLT, 7.0]]


def test_an_empty_plan_can_be_reviewed():
    orders = sx.plan_orders({"SPY": 0.5}, {"SPY": 50}, {"SPY": 100.0}, nav=10_000, run_id="r")
    review = sx.review_orders(check_orders(orders, quotes={"SPY": 100.0}, cash=0.0))
    assert review.approve_all(by="ann") == 0
    assert len(review.result()) == 0
    assert repr(review) == "<OrderReview r: 0 orders, 0 approved, 0 rejected, 0 open, 0 blocked>"


# -- resetting decisions, and approving what passes ------------------------------------------------------------


def test_passing_orders_can_be_approved_without_those_with_a_warning():
    quotes = pd.DataFrame(
        {"symbol": ["SPY", "WIDE"], "bid": [99.99, 19.0], "ask": [100.01, 21.0], "quoted_at": pd.Timestamp(START)}
    )
    orders = pd.DataFrame(
        {"run_id": "r", "symbol": ["SPY", "WIDE"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"}
    )
    review = sx.review_orders(check_orders(orders, quotes=quotes, cash=1_000.0, now=START))
    assert review.orders["verdict"].tolist() == ["pass", "warn"]
    assert review.approve_passing(by="ann") == 1
    assert approved_in(review) == [SPY]
    assert review.approve_all(by="ann") == 2


def test_one_decision_or_all_can_be_reset(review):
    review.approve_all(by="ann")
    assert review.clear(SPY, by="bob") == 1
    assert review.clear(SPY, by="bob") == 0  # there is nothing to reset any more
    assert approved_in(review) == [TLT]
    assert review.clear(by="bob") == 1
    assert review.decision_status == ["open", "open", "blocked", "blocked"]
    assert review.decisions["action"].tolist() == ["approve", "approve", "clear", "clear"]


# -- totals ----------------------------------------------------------------------------------------------------


def test_the_totals_are_now_after_approved_and_after_all_eligible(review):
    review.approve(SPY, by="ann")
    totals = review.totals()
    assert totals.loc["orders"].tolist() == [0, 1, 2]
    assert totals.loc["buys"].tolist() == [0, 1_000, 2_000]
    assert totals.loc["cash"].tolist() == [2_100.0, 2_100 - 1_000 - 1.0, 2_100 - 2_000 - 2.0]


def test_the_weights_are_before_target_and_after(review):
    weights = review.weights()
    assert weights.columns.tolist() == ["client_order_id", "symbol", "before", "target", "after"]
    assert weights["after"].tolist()[:3] == pytest.approx([1_000 / 2_100, 1_000 / 2_100, 3_000 / 2_100])
    assert weights["target"].isna().all()  # the plan has no targets


def test_the_largest_positions_exclude_blocked_orders(review):
    assert review.largest_positions(1).to_numpy().tolist() == [["SPY", 0.0, 1_000 / 2_100]]


# -- sending ---------------------------------------------------------------------------------------------------


class Sent:
    """Replaces ``submit_orders``: keeps the plans it receives, and raises the given failures first."""

    def __init__(self, *failures):
        self.plans, self.failures = [], list(failures)

    def __call__(self, plan, broker, blotter, *, max_approval_age):  # noqa: ARG002 - the seam's signature
        self.plans.append(plan)
        if self.failures:
            raise self.failures.pop(0)
        return plan.assign(status="FILLED")


@pytest.fixture
def venue():
    with sx.open_blotter() as blotter:
        yield sx.connect("mock://", quotes=QUOTES, cash=2_100.0), blotter


@pytest.fixture
def clock():
    return Ticking()


@pytest.fixture
def sender():
    return Sent()


@pytest.fixture
def live(review, venue, clock, sender):
    """The review above, with a broker and a blotter."""
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    broker, blotter = venue
    return sx.OrderReview(checked, clock, broker=broker, blotter=blotter, send=sender, by="ann")


@pytest.mark.slow
def test_the_phrase_sends_the_plan_as_it_was_displayed(live, sender):
    live.approve_all()
    phrase = live.confirmation().phrase
    assert phrase.startswith("SUBMIT 2 MOCK ")
    states = live.submit(confirm=phrase)
    assert states["status"].tolist() == ["FILLED"] * 4
    pd.testing.assert_frame_equal(sender.plans[0], live.result())
    assert (live.state, live.note) == ("sent", "4 FILLED")
    assert live.outcome is states
    assert live.decisions.iloc[-1][["by", "action", "new"]].tolist() == ["ann", "submit", phrase]


@pytest.mark.slow
def test_the_default_is_to_submit_the_orders(review, venue):
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    live = sx.review_orders(checked, *venue, by="ann")
    live.approve_all()
    states = live.submit(confirm=live.confirmation().phrase)
    assert states["status"].tolist() == ["FILLED", "FILLED", "REJECTED", "REJECTED"]
    kinds = [event.code for event in venue[1].recorded_events("r") if event.kind == "decision"]
    assert kinds == ["approve", "approve", "submit"]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "yes", "SUBMIT 2 MOCK", "SUBMIT 2 MOCK 0000", "submit", None, 5])
def test_a_wrong_phrase_sends_nothing(live, sender, words):
    live.approve_all()
    with pytest.raises(ApprovalError, match="is not the phrase"):
        live.submit(confirm=words)
    assert sender.plans == []
    assert live.state == "open"


@pytest.mark.slow
def test_the_phrase_of_another_plan_sends_nothing(live, sender):
    live.approve_all()
    phrase = live.confirmation().phrase
    live.edit(SPY, quantity=9)
    live.approve(SPY)
    with pytest.raises(ApprovalError, match="is not the phrase"):
        live.submit(confirm=phrase)
    assert sender.plans == []


@pytest.mark.slow
def test_a_plan_is_sent_once_and_then_closed(live, sender):
    live.approve_all()
    phrase = live.confirmation().phrase
    live.submit(confirm=phrase)
    for again in (
        lambda: live.submit(confirm=phrase),
        live.confirmation,
        live.approve_all,
        live.reject_all,
        live.clear,
        lambda: live.edit(SPY, quantity=1),
    ):
        with pytest.raises(ApprovalError, match="was submitted"):
            again()
    assert len(sender.plans) == 1


@pytest.mark.slow
def test_a_plan_without_approvals_cannot_be_sent(live):
    with pytest.raises(ApprovalError, match="no order is approved"):
        live.confirmation()


def test_a_review_without_broker_or_blotter_cannot_send_and_the_error_says_how(review):
    review.approve_all(by="ann")
    for ask in (review.confirmation, lambda: review.submit(confirm="x")):
        with pytest.raises(InputError, match="give broker and blotter"):
            ask()


@pytest.mark.slow
def test_a_halt_stops_the_confirmation(live, venue, sender):
    live.approve_all()
    phrase = live.confirmation().phrase
    venue[1].halt("lunch")
    with pytest.raises(sx.HaltedError, match="lunch"):
        live.submit(confirm=phrase)
    assert sender.plans == []
    venue[1].clear_halt("back")
    live.submit(confirm=phrase)


@pytest.mark.slow
def test_a_broker_that_cannot_send_stops_the_confirmation(live, venue, sender):
    live.approve_all()
    venue[0].fault = "the connection was lost"
    with pytest.raises(sx.BrokerError, match="the connection was lost"):
        live.confirmation()
    assert sender.plans == []


@pytest.mark.slow
def test_an_approval_that_is_too_old_sends_nothing(live, clock, sender):
    live.approve_all()
    clock.at += timedelta(hours=2)
    with pytest.raises(ApprovalError, match="plan and review again"):
        live.submit(confirm=live.confirmation().phrase)
    assert sender.plans == []
    assert live.state == "open"


@pytest.mark.slow
def test_after_a_failure_the_plan_can_be_confirmed_again(live, sender):
    sender.failures.append(sx.BrokerError("no answer"))
    live.approve_all()
    phrase = live.confirmation().phrase
    with pytest.raises(sx.BrokerError, match="no answer"):
        live.submit(confirm=phrase)
    assert (live.state, live.note) == ("failed", "BrokerError: no answer")
    live.submit(confirm=phrase)
    assert len(sender.plans) == 2


@pytest.mark.slow
def test_a_confirmation_is_valid_once(live, sender):
    live.approve_all()
    requested = live.confirmation()
    with pytest.raises(ApprovalError, match="is not the phrase"):
        live.begin_submit("wrong", token=requested.token)
    with pytest.raises(ApprovalError, match="expired or was already used"):
        live.begin_submit(requested.phrase, token=requested.token)
    assert sender.plans == []


@pytest.mark.slow
def test_a_new_confirmation_replaces_the_earlier_one(live):
    live.approve_all()
    first, second = live.confirmation(), live.confirmation()
    assert first.token != second.token
    with pytest.raises(ApprovalError, match="expired or was already used"):
        live.begin_submit(first.phrase, token=first.token)


@pytest.mark.slow
def test_any_change_voids_a_confirmation(live):
    live.approve_all()
    requested = live.confirmation()
    live.reject(TLT)
    live.approve(TLT)  # the same plan again, but it changed in between
    with pytest.raises(ApprovalError, match="expired or was already used"):
        live.begin_submit(requested.phrase, token=requested.token)


@pytest.mark.slow
def test_a_confirmation_that_a_busy_kernel_receives_late_sends_nothing(live, clock):
    live.approve_all()
    requested = live.confirmation()
    clock.at += timedelta(seconds=121)
    with pytest.raises(ApprovalError, match=r"was requested 12\d s ago"):
        live.begin_submit(requested.phrase, token=requested.token)


@pytest.mark.slow
def test_every_decision_is_recorded_in_the_blotter_with_who_when_old_and_new(live, venue):
    live.approve(SPY)
    live.edit(SPY, quantity=5, by="bob")
    live.reject(TLT)
    live._log.flush(wait=True)
    events = [event for event in venue[1].recorded_events("r") if event.kind == "decision"]
    assert [(event.client_order_id, event.code) for event in events] == [
        (SPY, "approve"),
        (SPY, "edit"),
        (TLT, "reject"),
    ]
    assert events[1].message == '{"by": "bob", "column": "quantity", "old": 10.0, "new": 5}'
    assert events[1].occurred_at == live.decisions["at"].iloc[1]


@pytest.mark.slow
def test_a_decision_that_cannot_be_recorded_does_not_count(live, venue):
    live.approve(SPY)
    venue[1].close()
    for decide in (
        lambda: live.approve(TLT),
        lambda: live.reject(SPY),
        live.clear,
        lambda: live.edit(TLT, quantity=1),
    ):
        with pytest.raises(sx.BlotterError, match="closed"):
            decide()
    assert live.decision_status == ["approved", "open", "blocked", "blocked"]
    assert live.orders["quantity"].tolist()[1] == 20.0


@pytest.mark.slow
def test_a_confirmation_that_cannot_be_recorded_sends_nothing(live, venue, sender):
    """The write of the decisions succeeds; that of the confirmation is slow and then fails."""
    blotter = venue[1]
    record, failing = blotter.record, Future()

    def record_slowly(events):
        if [event.code for event in events] != ["submit"]:
            return record(events)
        Timer(0.05, failing.set_exception, [sx.BlotterError("the disk is full")]).start()
        return failing

    live.approve_all()
    blotter.record = record_slowly
    with pytest.raises(sx.BlotterError, match="the disk is full"):
        live.submit(live.confirmation().phrase)
    assert sender.plans == []


# -- badge and account -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_account_is_masked_unless_show_account_is_set(live):
    assert live.badge == "MOCK"
    assert "***" in live.shown_account
    assert live.account not in live._repr_html_()
    live.show_account = True
    assert live.account in live._repr_html_()


@pytest.mark.parametrize(("account", "badge"), [("DU0000001", "PAPER"), ("U1234567", "LIVE"), (None, "NO BROKER")])
def test_without_a_broker_the_badge_follows_the_orders_account(review, account, badge):
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    assert sx.review_orders(checked.assign(account=account)).badge == badge


def test_listeners_receive_the_changed_rows(review):
    received = []
    review.listen(received.append)
    review.approve(TLT, by="ann")
    review.edit(SPY, quantity=12, by="ann")  # over the cash: a reason more for every row that buys
    review.clear(by="ann")
    assert received == [[1], [0, 1, 2, 3], []]
    assert review.row_revisions == [2, 2, 2, 2]
    assert review.revision == 3


# -- a plan without the cash for its buys ----------------------------------------------------------------------

OLD, NEW = "r-OLD-SELL", "r-NEW-BUY"


def rotation(buy=20.0, cash=0.0):
    """Sell 10 OLD at 100, which brings 999 after commission, and buy NEW at 50; nothing else is in the account."""
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["OLD", "NEW"],
            "side": ["SELL", "BUY"],
            "quantity": [10.0, buy],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0],
            "current_quantity": [10.0, 0.0],
        }
    )
    quotes = {"OLD": 100.0, "NEW": 50.0}
    checked = check_orders(orders, quotes=quotes, positions={"OLD": 10}, cash=cash, nav=1_000.0)
    return sx.OrderReview(checked, now=Ticking())


def test_approve_all_skips_sells_whose_buys_are_blocked_for_lack_of_cash():
    review = rotation()
    assert review.orders["reasons"].tolist() == ["one_sided_plan", "insufficient_cash"]
    assert review.approve_all(by="ann") == review.approve_passing(by="ann") == 0
    assert review.approve_all(by="ann", one_sided=True) == 1
    assert approved_in(review) == [OLD]


def test_a_sell_approved_by_name_does_not_need_its_buys():
    review = rotation()
    assert review.approve(OLD, by="ann") == 1
    assert approved_in(review) == [OLD]


def test_a_funded_plan_is_approved_in_full():
    review = rotation(buy=19.0)
    assert review.orders["reasons"].isna().all()
    assert review.approve_all(by="ann") == 2


def test_an_edit_that_blocks_the_buys_of_a_sell_withdraws_its_approval():
    review = rotation(buy=19.0)
    review.approve_all(by="ann")
    review.edit(NEW, quantity=20, by="ann")
    assert approved_in(review) == []
    review.approve(OLD, by="ann")
    review.edit(NEW, quantity=21, by="ann")  # it was one-sided before, and approved all the same
    assert approved_in(review) == [OLD]


def test_a_policy_travels_from_the_review_to_the_sender_and_an_unknown_order_is_refused():
    broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    orders = sx.plan_orders(
        {"SPY": 0.5}, None, broker.quotes(), nav=10_000, run_id="r", order_type="LMT", limit_offset_bps=0
    )
    checked = sx.check_orders(orders, quotes=broker.quotes(), cash=10_000)
    with pytest.raises(sx.InputError, match="is not an order of this plan"):
        sx.review_orders(checked, work={"x": sx.WorkPolicy()})
    with pytest.raises(sx.InputError, match="plan it with order_type='LMT'"):
        sx.review_orders(checked.assign(order_type="MKT"), work=sx.WorkPolicy(deadline=60))
    seen, work = [], sx.WorkPolicy(deadline=60)
    with sx.open_blotter() as blotter:
        review = sx.review_orders(checked, broker, blotter, send=lambda *_, **more: seen.append(more), work=work)
        review.approve_all(by="me")
        review.submit(review.confirmation().phrase)
        plain = sx.review_orders(checked, broker, blotter, send=lambda *_, **more: seen.append(more))
        plain.approve_all(by="me")
        plain.submit(plain.confirmation().phrase)
    assert seen[0]["work"] is work
    assert "work" not in seen[1]
