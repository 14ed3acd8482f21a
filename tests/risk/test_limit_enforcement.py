"""Where each limit is enforced: in the check, as orders leave, or both. A new limit needs a row here."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import ApprovalError, HaltedError, InputError
from stocklean_exec.execution.gross_exposure import AT_EACH_ORDER
from stocklean_exec.execution.market_limits import AT_ARRIVAL
from stocklean_exec.execution.order_limits import AT_THE_GATE
from stocklean_exec.execution.session_checks import AT_SESSION
from stocklean_exec.widgets.review_widget import ReviewWidget

WHEN = pd.Timestamp("2026-11-23 15:00", tz="UTC")
MARKET = {
    "symbol": ["SPY"],
    "bid": [99.0],
    "ask": [101.0],
    "close": [100.0],
    "volume": [1_000.0],
    "quoted_at": WHEN,
}
CHECK_ONLY = "check"
SUBMISSION = "submission"


class Rule(NamedTuple):
    """A limit that the order of 30 SPY at 100 (30 % of NAV) violates, and one that it keeps."""

    tight: Any
    loose: Any
    reason: str
    verdict: str = "block"
    market: dict[str, Any] = {}  # noqa: RUF012 - never written into
    also: dict[str, Any] = {}  # noqa: RUF012 - as above
    side: str = "BUY"
    edit: float = 30.0
    previews: Any = None
    now: pd.Timestamp = WHEN + pd.Timedelta("60s")


PREVIEW = pd.DataFrame(
    {
        "client_order_id": ["r-SPY-BUY"],
        "quantity": 30.0,
        "limit_price": math.nan,
        "preview": "ok",
        "initial_margin_before": 0.0,
        "initial_margin_after": 1_500.0,
        "maintenance_margin_before": 0.0,
        "maintenance_margin_after": 750.0,
        "excess_liquidity_before": 10_000.0,
        "excess_liquidity_after": 9_000.0,
        "commission": 1.0,
        "commission_currency": "USD",
        "message": None,
        "previewed_at": WHEN,
    }
)
SATURDAY = pd.Timestamp("2026-11-28 15:00", tz="UTC")
CHECKED = {
    "max_order_notional": Rule(2_999.0, 3_000.0, "max_notional"),
    "max_order_quantity": Rule(29.0, 30.0, "max_qty"),
    "max_position_ratio": Rule(0.29, 0.3, "max_position_ratio"),
    "max_gross": Rule(0.29, "auto", "max_gross"),
    "max_over_target": Rule(0.1, None, "over_target", edit=34.0),
    "max_adv_ratio": Rule(0.029, 0.03, "max_adv_ratio", "warn"),
    "max_total_notional": Rule(2_999.0, 3_000.0, "max_total_notional"),
    "price_collar": Rule(0.1, 0.3, "price_collar", market={"close": [80.0]}),
    "max_quote_age": Rule(59.0, 60.0, "price_stale"),
    "max_spread_bps": Rule(199.0, 200.0, "wide_spread", "warn"),
    "min_cash_after": Rule(7_000.0, 6_900.0, "insufficient_cash"),
    "allow_short": Rule(False, True, "sell_exceeds_position", side="SELL"),  # noqa: FBT003 - the value of the limit
    "restricted": Rule({"SPY"}, set(), "restricted"),
    "confirmed_splits": Rule(set(), {"SPY"}, "suspected_split", market={"close": [200.0]}),
    "closed_market": Rule("block", "ignore", "market_closed", market={"quoted_at": SATURDAY}, now=SATURDAY),
    "duplicate_window": Rule(300.0, None, "suspected_duplicate"),
    "max_initial_margin": Rule(1_499.0, 1_500.0, "max_initial_margin", previews=PREVIEW),
    # Half the spread of 2.00 on 30 shares, 30.00, is not in a preview.
    "min_excess_liquidity": Rule(8_971.0, 8_970.0, "min_excess_liquidity", previews=PREVIEW),
}
"""Limits of :func:`~stocklean_exec.check_orders`."""

SENT = {
    "max_order_notional": Rule(2_999.0, 3_000.0, "max_notional"),
    "max_order_quantity": Rule(29.0, 30.0, "max_qty"),
    "max_position_ratio": Rule(0.29, 0.3, "max_position_ratio"),
    "max_gross": Rule(0.29, 0.3, "max_gross", also={"max_gross": None}),
    "max_over_target": Rule(0.1, 0.2, "over_target", also={"max_over_target": None}, edit=34.0),
    "allow_short": Rule(False, True, "sell_exceeds_position", also={"allow_short": True}, side="SELL"),  # noqa: FBT003 - as above
    "restricted": Rule({"SPY"}, set(), "restricted"),
    "max_total_notional": Rule(2_999.0, 3_000.0, "run_notional_cap"),
    "max_day_notional": Rule(2_999.0, 3_000.0, "day_notional_cap"),
    "max_orders_per_minute": Rule(0.0, 1.0, "rate_cap"),
    "price_collar": Rule(0.1, 0.2, "price_moved", market={"SPY": 115.0}, also={"price_collar": None}),
    "max_quote_age": Rule(60.0, None, "price_stale", also={"max_quote_age": None}),  # the time is not known
    "closed_market": Rule("block", "warn", "market_closed", now=SATURDAY),
}
"""Limits that hold as orders leave, also those that are given later than the check."""

AT_SUBMISSION = {"max_approval_age"}
"""Limits that hold before a plan is recorded, and on ``resume``."""


def test_every_limit_is_enforced_somewhere():
    assert {field.name for field in fields(sx.Limits)} == {*CHECKED, *SENT, *AT_SUBMISSION}
    caps = {"max_total_notional", "max_day_notional", "max_orders_per_minute"}
    assert {*AT_THE_GATE, *AT_ARRIVAL, *AT_SESSION, *AT_EACH_ORDER} == {*SENT} - caps


def test_the_documentation_says_where_each_limit_is_enforced():
    text = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")
    table = text.split("## Where each limit is enforced")[1].split("\n## ")[0]
    for name in (field.name for field in fields(sx.Limits)):
        (row,) = (line for line in table.splitlines() if line.startswith(f"| `{name}` | "))
        assert ("at sending" in row) == (name in {*SENT, *AT_SUBMISSION, "min_cash_after"}), row
        assert ("check" in row) == (name in CHECKED), row


def planned(rule, run_id="r"):
    targets = {"SPY": 0.3 if rule.side == "BUY" else -0.3}
    orders = sx.plan_orders(targets, None, {"SPY": 100.0}, nav=10_000, run_id=run_id, allow_short=True, reserve=0)
    assert orders["quantity"].tolist() == [30.0]
    return orders.assign(quantity=rule.edit)


@pytest.mark.parametrize("name", CHECKED)
def test_the_check_enforces(name):
    rule = CHECKED[name]
    orders = planned(rule)
    if name == "duplicate_window":
        orders = pd.concat([orders, orders.assign(client_order_id="r-SPY-BUY-2")], ignore_index=True)
    found = {}
    for setting in (rule.tight, rule.loose):
        limits = sx.Limits(**{"price_collar": 0.3, "max_adv_ratio": None, name: setting})
        checked = sx.check_orders(
            orders,
            limits,
            quotes=pd.DataFrame(MARKET | rule.market),
            cash=10_000.0,
            now=rule.now,
            previews=rule.previews,
        )
        table = sx.check_results(checked)
        rows = table[(table["check"] == rule.reason) & (table["verdict"] == rule.verdict)]
        found[str(setting)] = not rows.empty
    assert found == {str(rule.tight): True, str(rule.loose): False}


def sealed(rule, run_id="r", **limits):
    free = sx.Limits(**({"max_order_notional": 1e9, "duplicate_window": None} | dict(rule.also) | limits))
    checked = sx.check_orders(planned(rule, run_id), free, quotes={"SPY": 100.0}, cash=10_000.0)
    review = sx.review_orders(checked)
    assert review.approve_all(by="me") == 1
    return review.result()


def by_submit(plan, broker, blotter, limits):
    return sx.submit_orders(plan, broker, blotter, limits=limits)


def by_start_run(plan, broker, blotter, limits):
    return sx.start_run(plan, broker, blotter, limits=limits).wait(60)


def by_resume(plan, broker, blotter, limits):
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.submit_orders(plan, broker, blotter)
    blotter.clear_halt("looked")
    return sx.resume("r", broker, blotter, limits=limits)


@pytest.mark.slow
@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("send", [by_submit, by_start_run, by_resume])
def test_a_tighter_limit_given_later_holds_as_orders_leave(send, name):
    rule, shorts = SENT[name], SENT[name].side == "SELL"
    for setting, expected in ((rule.tight, ["REJECTED"]), (rule.loose, ["FILLED"])):
        broker = sx.connect("mock://", quotes=rule.market or {"SPY": 100.0}, cash=10_000)
        if rule.now == SATURDAY:  # at a market that closes
            broker.never_closes, broker.market_time = False, SATURDAY.to_pydatetime
        later = sx.Limits(**({"allow_short": shorts, "max_over_target": None} | {name: setting}))
        with sx.open_blotter() as blotter:
            states = send(sealed(rule), broker, blotter, later)
            assert states["status"].tolist() == expected
            if expected == ["REJECTED"]:
                assert states["reason"].tolist() == [rule.reason]
                assert broker.positions().empty


def by_review(checked, broker, blotter):
    review = sx.review_orders(checked, broker, blotter, by="me")
    review.approve_all()
    return review.submit(review.confirmation().phrase)


def by_button(checked, broker, blotter):
    review = sx.review_orders(checked, broker, blotter, by="me")
    widget = ReviewWidget(review)
    review.approve_all()
    confirmation = review.confirmation()
    review.send_sealed(review.begin_submit(confirmation.phrase, token=confirmation.token))
    widget.close()
    return review.outcome


@pytest.mark.slow
@pytest.mark.parametrize("send", [by_review, by_button])
def test_the_caps_of_the_plan_hold_by_the_ways_that_take_no_limits(send):
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
    limits = sx.Limits(max_day_notional=2_999.0)
    checked = sx.check_orders(planned(SENT["max_day_notional"]), limits, quotes={"SPY": 100.0}, cash=10_000.0)
    with sx.open_blotter() as blotter:
        assert send(checked, broker, blotter)["reason"].tolist() == ["day_notional_cap"]


@pytest.mark.slow
def test_rebalance_enforces_its_limits_in_the_check_and_as_orders_leave():
    for name, reason in (("max_day_notional", "day_notional_cap"), ("max_order_notional", "max_notional")):
        broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
        with sx.open_blotter() as blotter:
            limits = sx.Limits(**{name: 2_000.0})
            states = sx.rebalance(
                {"SPY": 0.3}, broker, blotter, run_id="r", limits=limits, approve="me", dry_run=False
            )
            assert states["reason"].tolist() == [reason]


@pytest.mark.slow
def test_an_approval_older_than_the_limit_is_not_sent():
    broker = sx.connect("mock://", quotes={"SPY": 100.0}, cash=10_000)
    plan = sealed(SENT["restricted"], max_approval_age=0.0)
    with sx.open_blotter() as blotter, pytest.raises(ApprovalError, match="the approval is"):
        sx.submit_orders(plan, broker, blotter)


def test_limits_that_no_symbol_list_is_given_for_are_errors():
    with pytest.raises(InputError, match="confirmed_splits 'AAPL' is not a list of symbols"):
        sx.Limits(confirmed_splits="AAPL")
    assert sx.Limits(confirmed_splits={"brk.b"}).confirmed_splits == {"BRK B"}
