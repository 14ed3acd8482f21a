from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.price_steps import read_steps, steps_at, write_steps

LONDON = "0:0.005;5:0.01;10:0.05"
NOON = pd.Timestamp("2026-11-23 12:00", tz="UTC")


def test_the_step_of_a_price_is_that_of_its_level():
    prices = [0.001, 4.999, 5.0, 9.99, 10.0, 1e6]
    assert steps_at(prices, [LONDON] * 6).tolist() == [0.005, 0.005, 0.01, 0.01, 0.05, 0.05]


def test_a_price_of_nothing_has_the_first_step_and_a_missing_one_has_none():
    found = steps_at([0.0, None], [LONDON] * 2)
    assert found[0] == 0.005
    assert math.isnan(found[1])


def test_a_price_at_a_level_but_for_noise_is_at_it():
    assert steps_at([0.1 + 0.2, 0.29999], ["0:0.001;0.3:0.01"] * 2).tolist() == [0.01, 0.001]


@pytest.mark.parametrize(
    ("price", "text"), [(math.nan, LONDON), (5.0, None), (5.0, ""), (5.0, math.nan), (-1.0, LONDON)]
)
def test_without_a_price_or_steps_the_step_is_unknown(price, text):
    assert np.isnan(steps_at([price], [text])).all()


@pytest.mark.parametrize(
    "text", ["", "0.01", "0:0.01;", "1:0.01", "0:0", "0:-1", "0:x", "0:0.01;5:0.05;5:0.1", "0:0.01;5:inf", "0:1:2"]
)
def test_steps_that_are_no_levels_and_steps_are_an_error(text):
    with pytest.raises(ValueError, match=r"."):
        read_steps(text)


def test_what_is_written_is_read_again():
    steps = ((0.0, 0.0001), (1.0, 0.01), (1234.5, 0.25))
    assert read_steps(write_steps(steps)) == steps
    assert write_steps(()) == ""


def market(steps=LONDON, last=7.003):
    return pd.DataFrame(
        {"symbol": ["VOD"], "last": last, "price_steps": [steps], "currency": "USD", "quoted_at": NOON}
    )


def test_a_plan_rounds_limits_to_the_step_of_their_level():
    plan = {"nav": 10_000, "run_id": "r", "order_type": "LMT"}
    for offset, limit, tick in ((0.0, 7.0, 0.01), (-3_000.0, 4.9, 0.005), (5_000.0, 10.5, 0.05)):
        orders = sx.plan_orders({"VOD": 0.5}, None, market(), limit_offset_bps=offset, **plan)
        assert orders[["limit_price", "tick_size"]].to_numpy().tolist() == [[pytest.approx(limit), tick]]
    orders = sx.plan_orders({"VOD": 0.5}, None, market(), limit_offset_bps=0.0, tick_size=0.5, **plan)
    assert orders["limit_price"].tolist() == [7.0]
    orders = sx.plan_orders({"VOD": 0.5}, None, market(None), limit_offset_bps=0.0, **plan)
    assert orders["tick_size"].tolist() == [0.01]  # the US rule


def by_hand(limit, **columns):
    frame = pd.DataFrame(
        {"run_id": "r", "symbol": ["VOD"], "side": "BUY", "quantity": [10.0], "order_type": "LMT"}
    )
    limits = sx.Limits(max_adv_ratio=None, price_collar=None)
    checked = sx.check_orders(
        frame.assign(limit_price=limit, **columns), limits, quotes=market(), cash=1e6, base_currency="USD"
    )
    return checked["reasons"].fillna("").item()


def test_a_limit_off_the_steps_of_the_quotes_is_rejected():
    assert by_hand(4.905) == ""
    assert by_hand(5.005) == "off_tick"
    assert by_hand(10.01) == "off_tick"
    assert by_hand(10.05) == ""
    assert by_hand(10.01, tick_size=0.01) == ""  # a step of its own counts first


def test_steps_of_quotes_that_cannot_be_read_are_an_error_with_each_row():
    quotes = pd.DataFrame(
        {"symbol": ["A", "B", "C"], "last": 1.0, "price_steps": ["0:0.01", "5", "1:1"], "quoted_at": NOON}
    )
    with pytest.raises(InputError, match=r"2 problems[\s\S]*'5'[\s\S]*'1:1'") as caught:
        sx.plan_orders({"A": 0.1}, None, quotes, nav=1_000, run_id="r")
    assert {problem.code for problem in caught.value.problems} == {"price_steps_invalid"}


@pytest.mark.slow
def test_the_steps_of_a_contract_come_from_tws_and_reach_the_wire():
    # Pence: half a penny below 500, a penny from there on.
    quotes = pd.DataFrame(
        {
            "symbol": ["VOD", "KO"],
            "bid": [700.0, 62.60],
            "ask": [701.0, 62.62],
            "last": [700.5, 62.61],
            "currency": ["GBP", "USD"],
            "primary_exchange": ["LSE", "NYSE"],
            "price_magnifier": [100, 1],
            "min_tick": [0.5, 0.01],
            "price_steps": ["0:0.5;500:1", ""],
            "quoted_at": NOON,
        }
    )
    targets = pd.DataFrame(
        {"symbol": ["VOD", "KO"], "weight": 0.1, "currency": ["GBP", "USD"], "primary_exchange": ["LSE", "NYSE"]}
    )
    with sx.connect("sim://?seed=7", quotes=quotes, cash=100_000.0, fx={"GBP": 1.25}) as broker:
        state = broker.account_state(targets)
        reported = state.quotes.set_index("symbol")["price_steps"]
        assert reported["VOD"] == "0:0.005;5:0.01"
        assert reported["KO"] == "0:0.01"
        orders = sx.plan_orders(targets, state, run_id="r", order_type="LMT", limit_offset_bps=-20)
        # 7.005 less 20 bp is 6.99099: a buy goes down to the penny
        assert orders.set_index("symbol")["limit_price"]["VOD"] == 6.99
        review = sx.review_orders(sx.check_orders(orders, sx.Limits(max_adv_ratio=None), state))
        review.approve_all(by="me")
        with sx.open_blotter() as blotter:
            states = sx.submit_orders(review.result(), broker, blotter, timeout=0.5)
            assert states["status"].tolist() == ["SUBMITTED", "SUBMITTED"]
            assert broker.open_orders().set_index("symbol")["limit_price"]["VOD"] == 6.99
