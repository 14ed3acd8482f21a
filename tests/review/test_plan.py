from __future__ import annotations

import math
from contextlib import suppress
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.errors import ApprovalError, InputError
from stocklean_exec.review.confirmation import plan_fingerprint
from stocklean_exec.risk.pre_trade_checks import recheck_orders
from stocklean_exec.widgets.review_payload import column_specs, head, rows, screen_digest

NOW = pd.Timestamp("2026-11-23 15:00", tz="UTC")
MARKET = pd.DataFrame(
    {
        # Two orders each in AAA and BBB, EEE is held but not ordered, CROSS and FFF have no usable price.
        "symbol": ["AAA", "BBB", "CCC", "DDD", "EEE", "CROSS", "FFF"],
        "bid": [99.9, 49.0, 9.99, 0.49, 19.9, 31.0, math.nan],
        "ask": [100.1, 51.0, 10.01, 0.51, 20.1, 30.0, math.nan],
        "close": [100.0, 50.0, 14.0, 0.5, 20.0, 30.5, math.nan],
        "quoted_at": NOW,
    }
)
NAMES = ["r-AAA-BUY", "r-AAA-BUY-2", "r-BBB-SELL", "r-BBB-SELL-2", "r-CCC-SELL", "r-DDD-BUY", "r-CROSS-BUY"]
SENT = pd.DataFrame(
    {
        "client_order_id": ["q-AAA-BUY", "q-DDD-BUY"],
        "symbol": ["AAA", "DDD"],
        "side": "BUY",
        "quantity": [7.0, 30.0],
        "filled_quantity": 0.0,
        "status": "SUBMITTED",
        "state": "WORKING",
        "approved": True,
        "run_id": "q",
        "arrived_at": NOW - pd.Timedelta(seconds=60),
    }
)


def rich_plan(quotes, nav, limits):
    orders = pd.DataFrame(
        {
            "client_order_id": [*NAMES, "r-FFF-BUY"],
            "run_id": "r",
            "symbol": ["AAA", "AAA", "BBB", "BBB", "CCC", "DDD", "CROSS", "FFF"],
            "side": ["BUY", "BUY", "SELL", "SELL", "SELL", "BUY", "BUY", "BUY"],
            "quantity": [10.0, 5.0, 20.0, 20.0, 30.0, 40.0, 4.0, math.nan],
            "order_type": ["MKT", "LMT", "MKT", "LMT", "MKT", "MKT", "LMT", "MKT"],
            "limit_price": [math.nan, 101.0, math.nan, 49.0, math.nan, math.nan, 30.0, math.nan],
            "decision_price": [100.0, 100.0, 50.0, 50.0, 10.0, 0.5, math.nan, math.nan],
            "current_quantity": [0.0, 0.0, 45.0, 45.0, 100.0, -500.0, 0.0, 0.0],
            "target_weight": 0.1,
            "status": ["NEW"] * 7 + ["REJECTED"],
            "reason": [None] * 7 + ["price_unavailable"],
            "expected_cost_bps": 2.0,
        }
    )
    book = SimpleNamespace(halted=None, orders=lambda: SENT)
    held = {"BBB": 45, "CCC": 100, "DDD": -500, "EEE": 30}
    return sx.check_orders(
        orders, limits, quotes=quotes, positions=held, cash=2_000.0, nav=nav, blotter=book, now=NOW.to_pydatetime()
    )


EDITS = st.tuples(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    st.fixed_dictionaries(
        {},
        optional={
            "quantity": st.sampled_from([1.0, 5.0, 7.0, 20.0, 25.0, 30.0, 300.0]),
            "order_type": st.sampled_from(["MKT", "LMT"]),
            "limit_price": st.sampled_from([0.45, 10.0, 30.0, 49.5, 101.0, 130.0]),
            "tif": st.sampled_from(["DAY", "GTC"]),
        },
    ).filter(bool),
    st.sampled_from(["approve", "reject", "clear", None]),
)
STRICT = sx.Limits(
    max_order_notional=2_400,
    max_order_quantity=250,
    max_position_ratio=0.5,
    max_gross=0.95,
    max_total_notional=4_500,
    max_quote_age=60,
    restricted={"CCC"},
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    edits=st.lists(EDITS, min_size=1, max_size=6),
    quotes=st.sampled_from([MARKET, None]),
    nav=st.sampled_from([6_000.0, None]),
    limits=st.sampled_from([STRICT, sx.Limits(allow_short=True, max_gross=0.9)]),
)
def test_after_any_edits_the_review_and_its_cells_equal_a_check_from_scratch(edits, quotes, nav, limits):
    if quotes is None:
        nav = 6_000.0  # it cannot be derived without quotes
    review = sx.review_orders(rich_plan(quotes, nav, limits), by="ann")
    names = [spec["name"] for spec in column_specs(review)]
    shown = rows(review, names)

    def patch(places):
        cells = rows(review, places=places)
        for name in cells.keys() & shown.keys():
            for number, place in enumerate(places):
                shown[name][place] = cells[name][number]

    review.listen(patch)
    for chosen, changes, decision in edits:
        with suppress(InputError):  # a limit on a market order, none on a limit order
            review.edit(*chosen, **changes)
        if decision is not None:
            with suppress(ApprovalError, KeyError):
                getattr(review, decision)(*chosen)
    orders = review.orders
    scratch = recheck_orders(orders.drop(columns=["verdict", "reasons", "checks"]))
    pd.testing.assert_frame_equal(orders[scratch.columns], scratch)
    assert shown == rows(review, names)  # a patched view equals a fresh snapshot
    fresh = sx.review_orders(scratch.drop(columns=["approved", "approved_by", "approved_at"]), by="ann")
    for name in ("approve", "reject"):
        wanted = {"approve": "approved", "reject": "rejected"}[name]
        getattr(fresh, name)(*orders["client_order_id"][[each == wanted for each in review.decision_status]])
    assert fresh.decision_status == review.decision_status
    assert {**head(review), "revision": 0} == {**head(fresh), "revision": 0}
    same = [name for name in orders.columns if name not in ("approved_by", "approved_at")]
    pd.testing.assert_frame_equal(fresh.orders[same], orders[same])
    assert plan_fingerprint(fresh.orders, "", "PAPER") == plan_fingerprint(orders, "", "PAPER")
    assert screen_digest(fresh) == screen_digest(review)


def test_a_portfolio_level_value_is_sent_again_for_every_order_that_it_blocks():
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["AAA", "BBB"],
            "side": "BUY",
            "quantity": [60.0, 40.0],
            "order_type": "MKT",
            "decision_price": 100.0,
            "current_quantity": 0.0,
        }
    )
    limits = sx.Limits(max_gross=0.9, min_cash_after=None)
    quotes = {"AAA": 100.0, "BBB": 100.0}
    review = sx.review_orders(sx.check_orders(orders, limits, quotes=quotes, nav=10_000), by="ann")
    assert rows(review)["why"] == ["max_gross 1 (limit 0.9)"] * 2
    changed = []
    review.listen(changed.extend)
    review.edit("r-AAA-BUY", quantity=55)
    assert changed == [0, 1]  # 9,500 of 10,000: blocked as before, for another value
    assert rows(review, places=changed)["why"] == ["max_gross 0.95 (limit 0.9)"] * 2
    review.edit("r-AAA-BUY", tif="GTC")
    assert changed == [0, 1, 0]


def test_a_price_taken_from_the_limit_moves_the_weights_of_its_symbol():
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["AAA", "BBB"],
            "side": "SELL",
            "quantity": [10.0, 10.0],
            "order_type": ["LMT", "MKT"],
            "limit_price": [20.0, None],
            "decision_price": [None, 50.0],
            "current_quantity": [30.0, 10.0],
        }
    )
    limits = sx.Limits(price_collar=None)
    checked = sx.check_orders(orders, limits, positions={"AAA": 30, "BBB": 10}, cash=400.0)
    review = sx.review_orders(checked, by="ann")
    # 400 and 30 x 20 and 10 x 50 are 1,500
    assert rows(review, ["weight_before"])["weight_before"] == [600 / 1_500, 500 / 1_500]
    changed = []
    review.listen(changed.extend)
    review.edit("r-AAA-SELL", limit_price=40)
    assert changed == [0, 1]  # 400 and 30 x 40 and 500 are 2,100: the other weight moves too
    assert rows(review, places=changed)["weight_before"] == pytest.approx([1_200 / 2_100, 500 / 2_100])
