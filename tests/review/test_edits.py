from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.review.edits import apply_edit, read_typed
from stocklean_exec.risk.pre_trade_checks import PlanCheck, recheck_orders
from stocklean_exec.schema.frame_validator import input_warnings

SYMBOLS = ["AAA", "BBB", "CCC", "DDD"]
QUOTES = {"AAA": 100.0, "BBB": 50.0, "CCC": 10.0, "DDD": 0.5}


def checked(**columns):
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": SYMBOLS,
            "side": ["BUY", "BUY", "SELL", "BUY"],
            "quantity": [10.0, 20.0, 30.0, 40.0],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 10.0, 0.5],
            "current_quantity": [0.0, 5.0, 100.0, 0.0],
        }
        | columns
    )
    limits = sx.Limits(max_order_notional=2_000, max_position_ratio=0.5, max_gross=0.9)
    return sx.check_orders(orders, limits, quotes=QUOTES, positions={"BBB": 5, "CCC": 100}, cash=3_000.0)


def edit(plan, rows, changes):
    edited, check = apply_edit(plan, np.flatnonzero(rows), changes, PlanCheck.of(plan))
    places = [3, 0]
    whole = check.findings.as_json()
    assert check.findings.as_json(places) == [whole[place] for place in places]
    return edited.assign(checks=pd.array(whole, dtype="str"))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.booleans(), min_size=4, max_size=4).filter(any),
    quantity=st.integers(1, 80),
    tif=st.sampled_from(["DAY", "GTC"]),
    limit=st.none() | st.integers(100, 12_000).map(lambda cents: cents / 100),
)
def test_an_edited_plan_equals_a_check_of_the_whole_plan_from_scratch(rows, quantity, tif, limit):
    plan = checked()
    changes = {"quantity": float(quantity), "tif": tif}
    if limit is not None:
        changes |= {"order_type": "LMT", "limit_price": limit}
    mask = pd.Series(rows, index=plan.index)
    edited = edit(plan, mask, changes)
    pd.testing.assert_frame_equal(edited, recheck_orders(edited)[edited.columns])
    same = ["client_order_id", "symbol", "side", "decision_price", "current_quantity"]
    pd.testing.assert_frame_equal(edited[same], plan[same])
    assert edited["quantity"].tolist() == np.where(rows, float(quantity), plan["quantity"]).tolist()


def test_a_netted_order_can_be_made_smaller_and_not_larger():
    plan = checked(strategy_quantities=['{"A": 15, "B": -5}', None, None, None])
    assert edit(plan, plan["symbol"] == "AAA", {"quantity": 9.0})["quantity"].tolist()[0] == 9.0
    assert edit(plan, plan["symbol"] == "BBB", {"quantity": 21.0})["quantity"].tolist()[1] == 21.0
    with pytest.raises(InputError, match="strategies want 10 shares of it together") as caught:
        edit(plan, plan["symbol"] == "AAA", {"quantity": 11.0})
    assert caught.value.problems[0].code == "beyond_strategies"


def test_an_edit_does_not_modify_the_original_plan():
    plan = checked()
    before = plan.copy()
    edit(plan, plan["symbol"] == "AAA", {"quantity": 3.0})
    pd.testing.assert_frame_equal(plan, before)


def test_notional_and_target_quantity_follow_an_edited_quantity():
    plan = checked()
    edited = edit(plan, plan["symbol"] == "CCC", {"quantity": 40.0})
    # a sell of 40 at 10 out of 100
    assert edited.loc[2, ["notional", "target_quantity"]].tolist() == [400.0, 60.0]
    assert edited["target_quantity"].isna().tolist() == [True, True, False, True]  # as the caller gave them


def test_an_odd_lot_gives_a_warning():
    plan = checked(lot_size=10.0)
    edited = edit(plan, plan["symbol"] == "AAA", {"quantity": 15.0})
    assert input_warnings(edited)["code"].tolist() == ["adv_unknown", "lot_size"]


def test_typed_text_is_parsed():
    assert read_typed({"quantity": "1,200"}) == {"quantity": 1200.0}
    assert read_typed({"quantity": " 12 ", "limit_price": ".5", "tif": "gtc"}) == {
        "quantity": 12.0,
        "limit_price": 0.5,
        "tif": "gtc",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1.2.3",
        "1,20",
        "12,000,00",
        "1e9",
        "nan",
        "inf",
        "0x10",
        "\u0661\u0662",
        "\uff11\uff12",
        "5 shares",
        "--5",
        "1_000",
        "$5",
    ],
)
def test_text_that_is_not_a_number_is_refused_and_quoted(text):
    with pytest.raises(InputError) as caught:
        read_typed({"quantity": text})
    assert caught.value.codes == ("quantity_invalid",)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("name", ["symbol", "side", "verdict", "client_order_id", "account", "__class__"])
def test_only_four_columns_can_be_edited(name):
    with pytest.raises(InputError) as caught:
        read_typed({name: "X"})
    assert caught.value.codes == ("not_editable",)


@pytest.mark.parametrize(
    "changes", [None, [], "quantity", {"quantity": 5}, {"quantity": None}, {"quantity": ["1"]}]
)
def test_anything_but_text_by_column_is_refused(changes):
    with pytest.raises(InputError) as caught:
        read_typed(changes)
    assert caught.value.codes == ("edit_invalid",)


def test_a_huge_number_is_refused_by_validation():
    plan = checked()
    with pytest.raises(InputError) as caught:
        edit(plan, plan["symbol"] == "AAA", {"quantity": 1e300})
    assert caught.value.codes == ("quantity_too_large",)
    with pytest.raises(InputError) as caught:
        edit(plan, plan["symbol"] == "AAA", {"quantity": math.inf})
    assert caught.value.codes == ("quantity_invalid",)


END = pd.Timestamp("2026-11-24 21:00", tz="UTC")


def test_typed_terms_are_parsed_and_an_empty_text_removes_one():
    typed = {"good_till": "2026-11-24T16:00-05:00", "outside_rth": "Yes", "algo": "twap", "aux_price": "1,250.5"}
    assert read_typed(typed) == {"good_till": END, "outside_rth": True, "algo": "twap", "aux_price": 1250.5}
    empty = read_typed({"good_till": "", "aux_price": " ", "algo_params": ""})
    assert (empty["good_till"], empty["algo_params"], math.isnan(empty["aux_price"])) == (None, "", True)
    with pytest.raises(InputError) as caught:
        read_typed({"good_after": "2026-11-24 16:00", "good_till": "soon"})
    assert caught.value.codes == ("naive_time", "time_dtype")


def test_every_term_can_be_edited_and_the_whole_plan_is_checked_with_it():
    plan = checked()
    stop = edit(plan, plan["symbol"] == "AAA", {"order_type": "STP", "aux_price": 290.0})
    # 10 at 290 cost 2,900 and a dollar: with 20 BBB at 50 that is over the 3,000 there are
    assert stop["reasons"].fillna("").tolist()[0] == "insufficient_cash"
    assert recheck_orders(stop)["verdict"].tolist() == stop["verdict"].tolist()
    back = edit(
        stop, stop["symbol"] == "AAA", {"order_type": "MKT", "algo": "vwap", "algo_params": {"maxPctVol": 0.1}}
    )
    assert back.loc[0, ["algo", "algo_params"]].tolist() == ["Vwap", '{"maxPctVol": 0.1}']
    assert math.isnan(back.loc[0, "aux_price"])
    assert back["verdict"].tolist() == plan["verdict"].tolist()


def test_a_new_time_in_force_removes_the_end_of_the_old_one():
    plan = checked()
    until = {"order_type": "LMT", "limit_price": 99.0, "tif": "GTD", "good_till": END, "outside_rth": True}
    one = edit(plan, plan["symbol"] == "AAA", until)
    assert one.loc[0, ["tif", "good_till", "outside_rth"]].tolist() == ["GTD", END, True]
    other = edit(one, one["symbol"] == "AAA", {"tif": "GTC"})
    assert other["good_till"].isna().all()
    assert other["outside_rth"].tolist() == [True, False, False, False]


def test_a_new_limit_is_no_longer_counted_from_a_reference():
    quotes = {"AAA": 100.0}
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": 0.5, "order_type": "LMT", "limit_offset_bps": -100.0})
    planned = sx.plan_orders(wanted, None, quotes, nav=10_000, run_id="r")
    plan = sx.check_orders(planned, quotes=quotes, cash=10_000)
    assert plan.loc[0, ["limit_price", "limit_reference_price"]].tolist() == [99.0, 100.0]
    edited, _ = apply_edit(plan, np.array([0]), {"limit_price": 98.0}, PlanCheck.of(plan))
    assert edited["limit_price"].tolist() == [98.0]
    assert edited[["limit_offset_bps", "limit_reference_price"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_type": "STP"}, "aux_price_missing"),
        ({"order_type": "MOC", "tif": "GTC"}, "tif_not_allowed"),
        ({"aux_price": 5.0}, "aux_price_not_used"),
        ({"tif": "GTD"}, "tif_not_allowed"),
        ({"algo": "Adaptive"}, "algo_params_invalid"),
        ({"outside_rth": "perhaps"}, "outside_rth_dtype"),
        ({"good_after": "2026-11-24 16:00"}, "naive_time"),
        ({"aux_price": "5"}, "aux_price_invalid"),
    ],
)
def test_terms_that_contradict_each_other_change_nothing(changes, code):
    with pytest.raises(InputError) as caught:
        apply_edit(checked(), np.array([0]), changes, PlanCheck.of(checked()))
    assert caught.value.codes == (code,)
    assert str(caught.value).startswith("edit: ")
