"""Orders that would wait for a market to open, and orders for an auction that takes no more.

Opens, closes and cut-offs are those that the exchanges have published: see tests/calendars.
"""

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.calendars.listing_hours import TRADING_HOURS
from stocklean_exec.portfolio.account_state import AccountState
from stocklean_exec.risk.findings import Findings
from stocklean_exec.risk.market_closed import OrderHours, market_waits, order_hours, time_of_check
from stocklean_exec.risk.rules import _check_hours
from stocklean_exec.schema.order_input import parse_orders

pytestmark = pytest.mark.slow  # the first one loads the calendars
THANKSGIVING, HALF_DAY = "2026-11-26 11:00", "2026-11-27 13:00"


def moment(text, zone="America/New_York"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def orders(order_type="MKT", tif="DAY", **terms):
    return pd.DataFrame(
        {"client_order_id": "r-A", "run_id": "r", "symbol": ["A"], "side": "BUY", "quantity": 1.0}
        | {"order_type": order_type, "tif": tif, "currency": "USD", "primary_exchange": "NYSE"}
        | terms
    )


def finding(at, limits=None, **terms):
    """Verdict and code of the checks of trading hours."""
    frame = orders(**terms)
    waits = market_waits(frame, order_hours(frame, moment(at), None, "USD"))
    findings = Findings(len(frame))
    _check_hours(
        findings, SimpleNamespace(waits=waits, refused=pd.Series([False]).to_numpy()), limits or sx.Limits()
    )
    (code,), (worst,) = findings.reasons(), findings.worst.tolist()
    return f"{('pass', 'warn', 'block')[worst]} {code or ''}".strip()


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param("2026-11-25 09:29", "warn market_closed", id="before the open"),
        pytest.param("2026-11-25 09:30", "pass", id="the open"),
        pytest.param("2026-11-25 15:59:59", "pass", id="the last second"),
        pytest.param("2026-11-25 16:00", "warn market_closed", id="the close"),
        pytest.param(THANKSGIVING, "warn market_closed", id="Thanksgiving"),
        pytest.param("2026-11-27 12:59", "pass", id="the half day"),
        pytest.param(HALF_DAY, "warn market_closed", id="its close"),
        pytest.param("2026-11-27 23:50", "warn market_closed", id="Friday night"),
        pytest.param("2026-11-28 03:00", "warn market_closed", id="Saturday"),
        pytest.param("2026-12-31 15:00", "pass", id="31 December"),
    ],
)
def test_a_day_order_in_a_closed_market(at, expected):
    assert finding(at) == expected
    assert finding(at, sx.Limits(closed_market="block")) == expected.replace("warn", "block")
    assert finding(at, sx.Limits(closed_market="ignore")) == "pass"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"order_type": "LMT"}, "warn market_closed"),
        ({"tif": "IOC"}, "warn market_closed"),
        ({"tif": None}, "warn market_closed"),
        ({"outside_rth": False}, "warn market_closed"),
        ({"outside_rth": None}, "warn market_closed"),
        ({"outside_rth": True}, "pass"),
        ({"tif": "GTC"}, "pass"),
        ({"tif": "OPG"}, "pass"),
        ({"order_type": "MOC"}, "pass"),
        ({"order_type": "LOC"}, "pass"),
        ({"good_after": pd.Timestamp("2026-11-27 14:30", tz="UTC")}, "pass"),  # the open on Friday
        ({"good_after": pd.Timestamp("2026-11-27 14:29:59", tz="UTC")}, "warn market_closed"),  # before it
        ({"good_after": pd.NaT}, "warn market_closed"),
        ({"primary_exchange": "XYZ"}, "pass"),  # not known
    ],
    ids=str,
)
def test_what_is_meant_to_wait_passes_on_thanksgiving(terms, expected):
    assert finding(THANKSGIVING, **terms) == expected


@pytest.mark.parametrize(
    ("exchange", "terms", "at", "expected"),
    [
        ("NYSE", {"order_type": "MOC"}, "2026-11-25 15:44:59", "pass"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-25 15:45", "warn"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-25 15:49:59", "warn"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-25 15:50", "block"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-25 16:00", "pass"),  # for the next close
        ("NYSE", {"order_type": "LOC"}, "2026-11-25 15:50", "block"),
        ("NASDAQ", {"order_type": "MOC"}, "2026-11-25 15:54:59", "warn"),
        ("NASDAQ", {"order_type": "MOC"}, "2026-11-25 15:55", "block"),
        ("NASDAQ", {"order_type": "LOC"}, "2026-11-25 15:57:59", "warn"),
        ("NASDAQ", {"order_type": "LOC"}, "2026-11-25 15:58", "block"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-27 12:44", "pass"),  # the half day
        ("NYSE", {"order_type": "MOC"}, "2026-11-27 12:45", "warn"),
        ("NYSE", {"order_type": "MOC"}, "2026-11-27 12:50", "block"),
        ("NYSE", {"tif": "OPG"}, "2026-11-25 09:27:59", "pass"),
        ("NYSE", {"tif": "OPG"}, "2026-11-25 09:28", "block"),
        ("NYSE", {"tif": "OPG"}, "2026-11-25 11:00", "block"),
        ("NYSE", {"tif": "OPG"}, "2026-11-25 16:01", "pass"),
        ("NYSE", {"tif": "OPG", "order_type": "LMT"}, "2026-11-25 09:28", "block"),
        ("", {"order_type": "MOC"}, "2026-11-25 15:50", "block"),  # no listing: the earliest of New York
        ("BATS", {"order_type": "MOC"}, "2026-11-25 11:00", "warn"),  # not known
        ("BATS", {"order_type": "LOC"}, "2026-11-25 11:00", "warn"),
        ("VSE", {"tif": "OPG"}, "2026-11-25 01:00", "warn"),
        ("XYZ", {"order_type": "MOC"}, "2026-11-25 11:00", "warn"),
        ("BATS", {"order_type": "LMT"}, "2026-11-25 11:00", "pass"),
        ("IBIS", {"order_type": "MOC"}, "2026-11-25 11:14:59", "pass"),  # 17:14:59 in Frankfurt
        ("IBIS", {"order_type": "MOC"}, "2026-11-25 11:15", "warn"),
        ("IBIS", {"order_type": "MOC"}, "2026-11-25 11:34:59", "warn"),  # the closing call is on until 17:35
        ("IBIS", {"order_type": "MOC"}, "2026-11-25 11:35", "pass"),  # for the next close
        ("IBIS", {"tif": "OPG"}, "2026-11-25 11:32", "pass"),  # for the next open
        ("IBIS", {"tif": "OPG"}, "2026-11-25 02:59:59", "pass"),
        ("IBIS", {"tif": "OPG"}, "2026-11-25 03:00", "block"),
        ("TSE", {"order_type": "MOC"}, "2026-11-25 15:55:59", "warn"),
        ("TSE", {"order_type": "MOC"}, "2026-11-25 15:56", "block"),
        ("TSE", {"order_type": "LOC"}, "2026-11-25 15:59:59", "warn"),
        ("TSEJ", {"order_type": "MOC"}, "2026-11-25 01:29:59", "warn"),  # 15:29:59 in Tokyo
        ("TSEJ", {"order_type": "MOC"}, "2026-11-24 21:30", "pass"),  # 11:30 in Tokyo, at lunch
    ],
)
def test_an_auction_takes_orders_until_its_cut_off(exchange, terms, at, expected):
    expected = expected if expected == "pass" else f"{expected} auction_cutoff"
    assert finding(at, primary_exchange=exchange, **terms) == expected
    for choice in ("warn", "block"):
        assert finding(at, sx.Limits(closed_market=choice), primary_exchange=exchange, **terms) == expected
    assert finding(at, sx.Limits(closed_market="ignore"), primary_exchange=exchange, **terms) == "pass"


@pytest.mark.parametrize(("at", "verdict", "left"), [("15:52", "warn", 360.0), ("15:59", "block", -60.0)])
def test_the_value_of_a_cut_off_is_the_seconds_left_until_it(at, verdict, left):
    # Nasdaq takes limit orders on close until 15:58
    frame = orders("LOC", limit_price=100.0, primary_exchange="NASDAQ")
    checked = sx.check_orders(frame, quotes={"SPY": 100.0}, cash=1e6, now=moment(f"2026-11-25 {at}"))
    found = sx.check_results(checked).set_index("check").loc["auction_cutoff"]
    assert found[["verdict", "limit", "value"]].tolist() == [verdict, 0.0, left]


def test_a_cut_off_that_is_not_known_has_no_value():
    checked = sx.check_orders(
        orders("MOC", primary_exchange="VSE"), quotes={"SPY": 100.0}, cash=1e6, now=moment("2026-11-25 05:00")
    )
    found = sx.check_results(checked).set_index("check").loc["auction_cutoff"]
    assert (found["verdict"], math.isnan(found["limit"]), math.isnan(found["value"])) == ("warn", True, True)
    (note,) = [one for one in sx.input_warnings(checked).to_dict("records") if one["code"] == "auction_cutoff"]
    assert note["detail"] == (
        "until when the auctions take orders is UNKNOWN for A: no cut-offs of the auctions at VSE are known; send "
        "such orders well before"
    )


def test_the_values_are_seconds():
    frame = pd.concat([orders(), orders("MOC"), orders(tif="OPG"), orders(primary_exchange="XYZ")])
    frame["client_order_id"] = ["a", "b", "c", "d"]
    at = moment("2026-11-25 09:20")
    opens, cutoff, close, unknown = market_waits(frame, order_hours(frame, at, None, "USD"))
    assert opens.tolist()[:1] == [600.0]
    assert [math.isnan(value) for value in opens] == [False, True, True, True]
    assert cutoff.tolist()[1:3] == [6.5 * 3_600, 480.0]  # 15:50 and 9:28
    assert close.tolist()[1] == 6 * 3_600 + 40 * 60.0
    assert unknown.tolist() == [False] * 4


def test_a_row_that_is_not_known_has_no_hours():
    hours = order_hours(orders(), moment(THANKSGIVING), None, "USD")
    assert math.isnan(market_waits(orders(client_order_id="other"), hours).opens[0])
    assert market_waits(orders(), OrderHours()) is None
    assert math.isnan(order_hours(orders(), None, None, "USD").at)
    assert order_hours(orders()[:0], moment(THANKSGIVING), None, "USD").markets == ()


# -- the whole check ---------------------------------------------------------------------------------------------


ORDER = pd.DataFrame({"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"})


def state_at(at, *, read=timedelta(0), reported=(), **changes):
    """A state of a broker whose market's clock shows ``at``, read ``read`` ago."""
    quotes = sx.read_quotes({"SPY": 100.0})
    state = AccountState(
        account="DU0000001",
        base_currency="USD",
        nav=1_000.0,
        cash=1_000.0,
        market_time=moment(at),
        read_at=datetime.now(UTC) - read,
        _quotes=quotes,
        _trading_hours=pd.DataFrame(reported, columns=list(TRADING_HOURS)),
    )
    return dataclasses.replace(state, **changes)


def verdict(state, limits=None, **given):
    limits = dataclasses.replace(limits or sx.Limits(), max_quote_age=None)
    checked = sx.check_orders(ORDER, limits, state, **given)
    return checked["verdict"].iloc[0], checked["reasons"].fillna("").iloc[0]


CLOSED, OPEN = ("warn", "market_closed"), ("pass", "")


def test_the_time_is_that_of_the_brokers_market():
    assert verdict(state_at(THANKSGIVING)) == CLOSED
    assert verdict(state_at("2026-11-25 11:00")) == OPEN
    assert verdict(state_at("2026-11-25 15:59", read=timedelta(seconds=50))) == OPEN
    assert verdict(state_at("2026-11-25 15:59", read=timedelta(seconds=70))) == CLOSED  # the close has come since
    assert verdict(state_at(THANKSGIVING), now=moment("2026-11-25 11:00")) == OPEN  # as named
    assert verdict(state_at("2026-11-25 11:00"), now=moment(THANKSGIVING)) == CLOSED


def test_a_market_that_never_closes_has_no_findings():
    assert verdict(state_at(THANKSGIVING, never_closes=True)) == OPEN
    assert verdict(state_at(THANKSGIVING, never_closes=True), now=moment(THANKSGIVING)) == OPEN
    with sx.connect("mock://", quotes={"SPY": 100.0}) as broker:
        state = broker.account_state(["SPY"])
        assert verdict(state, sx.Limits(closed_market="block"), now=moment(THANKSGIVING)) == OPEN


def test_frames_by_hand_are_checked_if_the_time_or_the_limit_is_named():
    hand = AccountState.of(None, {"SPY": 100.0}, nav=1_000)
    assert verdict(hand) == OPEN
    assert verdict(hand, now=moment(THANKSGIVING)) == CLOSED
    wall = datetime(2026, 11, 26, 16, tzinfo=UTC)
    for choice, expected in ((None, None), ("warn", wall), ("block", wall), ("ignore", None)):
        assert time_of_check(sx.Limits(closed_market=choice), None, named=None, wall=wall) == expected
    checked = sx.check_orders(ORDER, quotes={"SPY": 100.0}, cash=1e4, now=moment(THANKSGIVING))
    assert checked["reasons"].tolist() == ["market_closed"]


WEEK = "20261125:0930-20261125:1600;20261126:{};20261127:0930-20261127:1300;20261128:CLOSED"


def test_the_contracts_own_hours_count_and_a_disagreement_is_a_warning():
    reported = [("SPY", 756733, "ARCA", WEEK.format("0930-20261126:1600"), "US/Eastern")]
    limits = sx.Limits(max_quote_age=None)
    checked = sx.check_orders(ORDER, limits, state_at(THANKSGIVING, reported=reported))
    assert checked["verdict"].tolist() == ["pass"]
    (text,) = sx.input_warnings(checked).query("code == 'hours_disagree'")["detail"]
    assert text.startswith("SPY: TWS and the exchange's calendar disagree: 2026-11-26 14:30 to 21:00 UTC by TWS")
    agreed = [("SPY", 756733, "ARCA", WEEK.format("CLOSED"), "US/Eastern")]
    checked = sx.check_orders(ORDER, limits, state_at(THANKSGIVING, reported=agreed))
    assert checked["reasons"].tolist() == ["market_closed"]
    assert "hours_disagree" not in set(sx.input_warnings(checked)["code"])


def test_a_market_that_is_not_known_is_named_once_and_nothing_is_guessed():
    rows = pd.concat([ORDER.assign(symbol=name, primary_exchange="XYZ") for name in "ABCDEFG"])
    quotes = dict.fromkeys("ABCDEFG", 9.0)
    checked = sx.check_orders(rows, quotes=quotes, cash=1e4, now=moment(THANKSGIVING))
    assert set(checked["verdict"]) == {"pass"}
    (text,) = sx.input_warnings(checked).query("code == 'hours_unknown'")["detail"]
    assert text == (
        "whether the market is open is not known for A, B, C, D, E and 2 more: no calendar of 'XYZ' is known; "
        "give primary_exchange"
    )


def test_an_edit_of_the_time_in_force_is_checked_again():
    review = sx.review_orders(
        sx.check_orders(
            ORDER, sx.Limits(closed_market="block"), quotes={"SPY": 9.0}, cash=1e4, now=moment(THANKSGIVING)
        )
    )
    assert review.blocked == ["r-SPY-BUY"]
    assert review.edit("r-SPY-BUY", tif="GTC")["reasons"].fillna("").tolist() == [""]
    assert review.edit("r-SPY-BUY", tif="DAY")["reasons"].tolist() == ["market_closed"]


def test_a_rejected_row_has_no_further_finding():
    refused = parse_orders(ORDER.assign(order_type="NOPE"))
    checked = sx.check_orders(refused, quotes={"SPY": 9.0}, cash=1e4, now=moment(THANKSGIVING))
    assert checked["reasons"].tolist() == ["order_type_unsupported"]
