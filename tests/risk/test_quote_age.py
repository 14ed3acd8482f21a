"""How old a broker's quote may be by default, in and outside of New York's regular session."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.portfolio.account_state import AccountState
from stocklean_exec.risk.quote_age import QuoteAge, is_regular_session, quote_age
from stocklean_exec.schema.inputs import parse_quotes

MONDAY = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)  # 10:00 in New York
SUNDAY = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
ORDER = pd.DataFrame({"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"})


def state_at(taken_at, age, *, read=timedelta(0), grows_old=True):
    """A state of a broker whose clock shows ``taken_at``, read ``read`` ago, with a quote ``age`` seconds old."""
    quoted_at = pd.NaT if age is None else pd.Timestamp(taken_at) - pd.Timedelta(seconds=age)
    quotes = parse_quotes(pd.DataFrame({"symbol": ["SPY"], "bid": 99.0, "ask": 101.0, "quoted_at": [quoted_at]}))
    return AccountState(
        account="DU0000001",
        base_currency="USD",
        nav=1_000.0,
        cash=1_000.0,
        taken_at={"quotes": taken_at},
        read_at=datetime.now(UTC) - read if grows_old else None,
        _quotes=quotes,
    )


def verdict(state, limits=None, **given):
    checked = sx.check_orders(ORDER, limits, state, **given)
    return checked["verdict"].iloc[0], checked["reasons"].fillna("").iloc[0]


@pytest.mark.parametrize(("age", "expected"), [(0, "pass"), (50, "pass"), (70, "block"), (None, "block")])
def test_a_brokers_quote_may_be_60_seconds_old_in_the_regular_session(age, expected):
    assert verdict(state_at(MONDAY, age)) == (expected, "" if expected == "pass" else "price_stale")


@pytest.mark.parametrize("age", [70, 86_400, None])
def test_outside_of_it_an_older_quote_warns(age):
    assert verdict(state_at(SUNDAY, age)) == ("warn", "price_stale")


def test_a_limit_that_is_named_blocks_at_any_time_and_none_switches_it_off():
    assert verdict(state_at(SUNDAY, 70), sx.Limits(max_quote_age=69)) == ("block", "price_stale")
    assert verdict(state_at(SUNDAY, 70), sx.Limits(max_quote_age=75)) == ("pass", "")
    assert verdict(state_at(MONDAY, None), sx.Limits(max_quote_age=None)) == ("pass", "")


def test_a_state_that_was_read_a_while_ago_has_old_quotes_by_whatever_clock():
    assert verdict(state_at(MONDAY, 0, read=timedelta(seconds=50))) == ("pass", "")
    assert verdict(state_at(MONDAY, 0, read=timedelta(seconds=70))) == ("block", "price_stale")


def test_a_time_that_is_named_counts_as_the_brokers():
    state = state_at(MONDAY, 0)
    assert verdict(state, now=MONDAY + timedelta(seconds=59)) == ("pass", "")
    assert verdict(state, now=MONDAY + timedelta(seconds=61)) == ("block", "price_stale")


def test_quotes_by_hand_and_of_a_market_that_stands_still_have_no_age_by_default():
    assert verdict(state_at(MONDAY, None, grows_old=False)) == ("pass", "")
    assert verdict(state_at(MONDAY, 70), quotes={"SPY": 100.0}) == ("pass", "")
    assert verdict(AccountState.of(None, {"SPY": 100.0}, nav=1_000)) == ("pass", "")
    old = pd.DataFrame({"symbol": ["SPY"], "last": 100.0, "quoted_at": pd.Timestamp("2020-01-02", tz="UTC")})
    checked = sx.check_orders(ORDER, quotes=old, cash=1_000.0)
    assert checked["verdict"].tolist() == ["pass"]


def test_an_age_has_no_limit_and_no_shift_unless_they_are_given():
    assert QuoteAge()[1:] == (False, 0.0)
    assert math.isnan(QuoteAge().limit)


@pytest.mark.parametrize(("limit", "expected"), [("auto", 60.0), (30.0, 30.0), (None, math.nan)])
def test_the_shift_moves_quotes_from_the_brokers_clock_to_the_one_of_the_check(limit, expected):
    # The quotes were read 40 s ago, when the broker's clock showed 15:00:00; the check is at 16:00 the day after.
    state, read_at = state_at(MONDAY, 0), datetime(2026, 12, 24, 9, 0, tzinfo=UTC)
    state = dataclasses.replace(state, read_at=read_at)
    now = MONDAY + timedelta(days=1, hours=1)
    found = quote_age(sx.Limits(max_quote_age=limit), state, now=now, elapsed_to=read_at + timedelta(seconds=40))
    assert found.limit == pytest.approx(expected, nan_ok=True)
    assert (found.only_warns, found.shift) == (False, 25 * 3_600 - 40.0)


def test_quotes_by_hand_and_a_time_that_is_named_are_not_shifted():
    given = sx.Limits(max_quote_age=30)
    assert quote_age(given, None, now=MONDAY, elapsed_to=SUNDAY) == QuoteAge(30.0, only_warns=False, shift=0.0)
    assert quote_age(given, state_at(SUNDAY, 0), now=MONDAY, elapsed_to=None).shift == 0.0


def test_an_edit_keeps_the_age():
    checked = sx.check_orders(ORDER, None, state_at(MONDAY, 70))
    review = sx.review_orders(checked)
    assert review.edit("r-SPY-BUY", quantity=2)["reasons"].tolist() == ["price_stale"]
    assert review.blocked == ["r-SPY-BUY"]


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-23 09:30", True),
        ("2026-11-23 09:29:59", False),
        ("2026-11-23 15:59:59", True),
        ("2026-11-23 16:00", False),
        ("2026-11-21 12:00", False),  # a Saturday
        ("2026-07-03 12:00", True),  # a holiday: the rule knows none
        ("2026-07-06 09:30", True),  # in summer time
    ],
)
def test_the_regular_session(at, is_open):
    there = pd.Timestamp(at, tz="America/New_York").tz_convert("UTC").to_pydatetime()
    assert is_regular_session(there) is is_open


@pytest.mark.slow
@pytest.mark.parametrize("address", ["mock://?seed=7", "sim://?seed=7", "sim://?seed=7&clock=virtual"])
@pytest.mark.parametrize("given", [None, {"AAPL": 130.0, "XOM": 110.0}])
def test_default_limits_send_a_simple_book_at_any_time_of_day(address, given):
    """What runs at night here runs by day elsewhere: no quote may be old by either."""
    targets = {"AAPL": 0.6, "XOM": 0.4}
    with (
        sx.connect(address, **({} if given is None else {"quotes": given})) as broker,
        sx.open_blotter() as blotter,
    ):
        plan = sx.rebalance(targets, broker, blotter, run_id="dry", approve="me")
        assert plan["approved"].tolist() == [True, True]
        assert not plan["reasons"].fillna("").str.contains("price_stale").any()
        states = sx.rebalance(targets, broker, blotter, run_id="r", approve="me", dry_run=False)
    assert states["status"].tolist() == ["FILLED", "FILLED"]


def test_delayed_quotes_that_are_too_old_are_explained_once():
    orders = pd.DataFrame(
        {"run_id": "r", "symbol": ["SPY", "TLT"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"}
    )
    quotes = pd.DataFrame({"symbol": ["SPY", "TLT"], "last": 10.0, "data_type": [3, 1], "quoted_at": None})
    quotes["quoted_at"] = pd.to_datetime(quotes["quoted_at"], utc=True)
    checked = sx.check_orders(orders, sx.Limits(max_quote_age=60.0), quotes=quotes, cash=100.0)
    assert checked["reasons"].tolist() == ["price_stale, delayed_price", "price_stale"]
    notes = sx.input_warnings(checked).query("code == 'delayed_price'")["detail"].tolist()
    assert len(notes) == 1
    assert notes[0].startswith("only delayed quotes of SPY, and")
    for word in ("how old", "live", "max_quote_age to None"):
        assert word in notes[0]
    free = sx.check_orders(orders, sx.Limits(max_quote_age=None), quotes=quotes, cash=100.0)
    assert free["verdict"].tolist() == ["warn", "pass"]
    assert "delayed_price" not in set(sx.input_warnings(free)["code"])
