"""Policies applied to an approved plan: which orders they cannot work, slices, and what is recorded."""

import json
import math
from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.execution.work_plan import (
    check_work,
    describe_work,
    policies_of,
    read_work,
    split_quantity,
    with_slices,
    work_record,
)

NOW = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
LIMITS = sx.Limits()
QUOTES = {"SPY": 100.0, "TLT": 50.0}


def plan(**options):
    options = {"order_type": "LMT", "limit_offset_bps": 0} | options
    orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.3}, None, QUOTES, nav=10_000, run_id="r", **options)
    review = sx.review_orders(sx.check_orders(orders, quotes=QUOTES, cash=10_000))
    review.approve_all(by="me")
    return review.result()


def refused(approved, work, limits=LIMITS):
    with pytest.raises(sx.InputError) as error:
        with_slices(approved, work, NOW, limits)
    return [(problem.code, problem.symbol) for problem in error.value.problems]


def test_one_policy_is_for_all_orders_and_several_are_by_their_ids():
    policy, other = sx.WorkPolicy(deadline=60), sx.WorkPolicy(deadline=90)
    assert policies_of(policy, ["a", "b"]) == {"a": policy, "b": policy}
    assert policies_of({"b": other}, ["a", "b"]) == {"b": other}
    assert policies_of(None, ["a"]) == {}
    assert policies_of({"a": other}, []) == {}  # there is nothing to trade


def test_every_id_and_value_that_is_none_is_named_at_once():
    with pytest.raises(sx.InputError) as error:
        policies_of({"x": sx.WorkPolicy(), "a": 5, "b": sx.WorkPolicy()}, ["a", "b"])
    assert [(problem.code, problem.row) for problem in error.value.problems] == [
        ("order_unknown", "x"),
        ("wrong_type", "a"),
    ]
    with pytest.raises(sx.InputError, match="work is a float"):
        policies_of(0.5, ["a"])


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({"order_type": "MKT", "limit_offset_bps": None}, {"deadline": 60}),
        ({"order_type": "MKT", "limit_offset_bps": None}, {"reprice_seconds": 5}),
        ({"tif": "IOC"}, {"reprice_seconds": 5}),
        ({"tif": "IOC"}, {"deadline": 60, "at_deadline": "cancel"}),
        ({"order_type": "LOC"}, {"deadline": 60, "at_deadline": "cancel"}),
        ({"order_type": "MOC", "limit_offset_bps": None}, {"deadline": 60, "at_deadline": "MKT"}),
    ],
)
def test_orders_of_another_kind_are_refused_with_every_row(options, policy):
    found = refused(plan(**options), sx.WorkPolicy(**policy))
    assert found == [("work_order_type", "SPY"), ("work_order_type", "TLT")]


def test_orders_that_an_algorithm_works_are_not_repriced():
    approved = plan().assign(algo=["Adaptive", None])
    assert refused(approved, sx.WorkPolicy(reprice_seconds=5)) == [("work_order_type", "SPY")]


@pytest.mark.parametrize("options", [{"slices": 2, "end": 60}, {"deadline": 60, "at_deadline": "cancel"}])
def test_market_orders_may_be_sliced_or_cancelled(options):
    frame, terms = with_slices(
        plan(order_type="MKT", limit_offset_bps=None), sx.WorkPolicy(**options), NOW, LIMITS
    )
    assert list(terms) == frame["client_order_id"].tolist()


def test_a_collar_beyond_that_of_the_plan_is_refused():
    policy = sx.WorkPolicy(deadline=60, collar_bps=60)
    assert refused(plan(), policy, sx.Limits(price_collar=0.005)) == [
        ("limit_collar", "SPY"),
        ("limit_collar", "TLT"),
    ]
    for limits in (sx.Limits(price_collar=0.006), sx.Limits(price_collar=None)):
        assert len(with_slices(plan(), policy, NOW, limits)[1]) == 2


def test_an_order_that_ends_before_its_deadline_is_refused():
    ends = pd.to_datetime(["2026-11-30 15:01", "2026-11-30 15:02"], utc=True)
    approved = plan().assign(tif="GTD", good_till=ends)
    assert refused(approved, sx.WorkPolicy(deadline=60)) == [("work_times", "SPY")]


@pytest.mark.parametrize("options", [{"start": 60}, {"slices": 3, "end": 90}])
def test_an_order_that_ends_before_all_of_it_is_sent_is_refused(options):
    ends = pd.to_datetime(["2026-11-30 15:01", "2026-11-30 15:02"], utc=True)  # the last is sent after a minute
    approved = plan().assign(tif="GTD", good_till=ends)
    assert refused(approved, sx.WorkPolicy(**options)) == [("work_times", "SPY")]


def test_slices_of_less_than_a_lot_are_refused():
    approved = plan().assign(lot_size=[20.0, math.nan])  # 50 shares of SPY in lots of 20
    assert refused(approved, sx.WorkPolicy(slices=3, end=60)) == [("slice_too_small", "SPY")]
    assert refused(approved, sx.WorkPolicy(slices=61, end=60)) == [
        ("slice_too_small", "SPY"),
        ("slice_too_small", "TLT"),
    ]


def test_an_order_that_strategies_share_is_not_sliced():
    approved = plan().assign(strategy_quantities=['{"a": 30.0, "b": 20.0}', None])
    assert refused(approved, sx.WorkPolicy(slices=2, end=60)) == [("slice_shared", "SPY")]
    _, terms = with_slices(approved, sx.WorkPolicy(reprice_seconds=5), NOW, LIMITS)
    assert list(terms) == ["r-SPY-BUY", "r-TLT-BUY"]  # but it may be repriced


def test_orders_that_were_not_approved_are_neither_sliced_nor_refused():
    approved = plan(order_type="MKT", limit_offset_bps=None).assign(approved=[False, False])
    frame, terms = with_slices(approved, sx.WorkPolicy(deadline=60), NOW, LIMITS)
    assert (len(frame), terms) == (2, {})


def test_slices_stand_in_the_place_of_their_order_and_add_up_to_it():
    approved = plan()
    work = {"r-SPY-BUY": sx.WorkPolicy(slices=3, end=30)}
    frame, terms = with_slices(approved, work, NOW, LIMITS)
    assert frame["client_order_id"].tolist() == ["r-SPY-BUY-S1", "r-SPY-BUY-S2", "r-SPY-BUY-S3", "r-TLT-BUY"]
    assert frame["quantity"].tolist() == [17.0, 17.0, 16.0, 60.0]
    assert frame["notional"].tolist() == [1700.0, 1700.0, 1600.0, 3000.0]
    assert frame["current_quantity"].tolist() == [0.0, 17.0, 34.0, 0.0]
    assert frame["target_quantity"].tolist() == [17.0, 34.0, 50.0, 60.0]
    assert {*frame.columns} == {*approved.columns, "slice_of"}
    assert frame["slice_of"].tolist()[:3] == ["r-SPY-BUY"] * 3
    assert pd.isna(frame["slice_of"].iloc[3])
    assert list(terms) == ["r-SPY-BUY-S1", "r-SPY-BUY-S2", "r-SPY-BUY-S3"]
    kept = [name for name in approved.columns if name not in ("client_order_id", "quantity", "notional")]
    assert frame.dtypes[kept].tolist() == approved.dtypes[kept].tolist()


def test_slices_of_a_sell_count_down():
    approved = plan().assign(side="SELL", current_quantity=[50.0, 60.0])
    frame, _ = with_slices(approved, {"r-SPY-BUY": sx.WorkPolicy(slices=2, end=30)}, NOW, LIMITS)
    assert frame["target_quantity"].tolist()[:2] == [25.0, 0.0]


@pytest.mark.parametrize(
    ("quantity", "number", "lot", "expected"),
    [
        (7, 3, 1, [3, 2, 2]),
        (300, 2, 100, [200, 100]),
        (350, 3, 100, [100, 100, 150]),
        (1.5, 1, 1, [1.5]),
        (0.3, 3, 0.1, [0.1, 0.1, 0.1]),
    ],
)
def test_shares_are_split_into_whole_lots(quantity, number, lot, expected):
    assert split_quantity(quantity, number, lot) == expected


def test_a_plan_is_refused_before_it_is_approved_but_for_rows_that_are_blocked():
    checked = plan().drop(columns="approved").assign(order_type="MKT", verdict=["block", "pass"])
    with pytest.raises(sx.InputError) as error:
        check_work(checked, sx.WorkPolicy(deadline=60), NOW, LIMITS)
    assert [problem.symbol for problem in error.value.problems] == ["TLT"]


def test_what_is_recorded_is_read_again_as_it_was():
    _, terms = with_slices(plan(), sx.WorkPolicy(slices=2, deadline=60, at_deadline="MKT"), NOW, LIMITS)
    recorded = json.loads(json.dumps(work_record(terms)))
    assert len(recorded["terms"]) == 2  # each once, for two orders
    assert read_work(recorded) == terms


def test_the_review_says_how_orders_are_worked_and_with_how_many_messages():
    work = {"a": sx.WorkPolicy(deadline=60), "b": sx.WorkPolicy(), "c": sx.WorkPolicy(deadline=60)}
    text = describe_work(work, {"a": True, "b": True, "c": False})
    assert text.startswith("after 60 s marketable (1 order). nothing is changed (1 order). At most 9 messages")
    assert "an order efficiency ratio of 3.0 if each order is executed once" in text  # 9 / (2 + 1)
    assert describe_work(work["a"], {"a": True, "b": True}).startswith("after 60 s marketable (2 orders). At most")
    assert describe_work(work, {"a": False, "b": False, "c": False}) == "no order is worked by a policy"
