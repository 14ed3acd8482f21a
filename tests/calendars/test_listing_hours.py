"""Whether markets are open, at the moments that are easy to get wrong. Expected times are those of the exchanges.

NYSE, "Holidays and Trading Hours"; LSE, "Business days"; JPX, "Trading Hours".
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from stocklean_exec.calendars.listing_hours import (
    TRADING_HOURS,
    Instrument,
    hours_of,
    instruments_of,
    with_reported_hours,
)

pytestmark = pytest.mark.slow  # the first one loads the calendars
NEW_YORK = "America/New_York"


def moment(text, zone=NEW_YORK):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local(when, zone):
    return "" if when is None else f"{when.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


def test_where_rows_are_listed_is_read_from_the_columns_there_are():
    frame = pd.DataFrame({"symbol": ["A", "B", "C"], "exchange": ["SMART", None, "LSE"], "currency": "GBP"})
    assert instruments_of(frame[["symbol"]]) == [Instrument()] * 3
    assert instruments_of(frame) == [
        Instrument("SMART", currency="GBP"),
        Instrument(currency="GBP"),
        Instrument("LSE", currency="GBP"),
    ]


@pytest.mark.parametrize(
    ("at", "is_open", "session", "early", "next_open"),
    [
        pytest.param("2026-11-25 15:59", True, "11-25 09:30 11-25 16:00", False, "11-27 09:30", id="Wednesday"),
        pytest.param("2026-11-25 16:00", False, "11-27 09:30 11-27 13:00", True, "11-27 09:30", id="its close"),
        pytest.param("2026-11-26 11:00", False, "11-27 09:30 11-27 13:00", True, "11-27 09:30", id="Thanksgiving"),
        pytest.param("2026-11-27 09:29", False, "11-27 09:30 11-27 13:00", True, "11-27 09:30", id="before"),
        pytest.param("2026-11-27 12:59", True, "11-27 09:30 11-27 13:00", True, "11-30 09:30", id="half day"),
        pytest.param("2026-11-27 13:00", False, "11-30 09:30 11-30 16:00", False, "11-30 09:30", id="its close"),
        pytest.param(
            "2026-11-27 23:50", False, "11-30 09:30 11-30 16:00", False, "11-30 09:30", id="Friday night"
        ),
        pytest.param("2026-11-28 03:00", False, "11-30 09:30 11-30 16:00", False, "11-30 09:30", id="Saturday"),
        pytest.param("2026-12-31 15:00", True, "12-31 09:30 12-31 16:00", False, "01-04 09:30", id="31 December"),
        pytest.param("2026-03-06 17:00", False, "03-09 09:30 03-09 16:00", False, "03-09 09:30", id="summer time"),
    ],
)
def test_new_york(at, is_open, session, early, next_open):
    found = hours_of(Instrument(primary_exchange="ARCA"), moment(at))
    assert (found.is_open, found.early_close, found.hours_from) == (is_open, early, "calendar")
    assert " ".join(local(when, NEW_YORK) for when in (found.opens_at, found.closes_at)) == session
    assert local(found.next_open, NEW_YORK) == next_open


@pytest.mark.parametrize(
    ("exchange", "zone", "at", "is_open", "next_open"),
    [
        pytest.param("LSE", "Europe/London", "2026-03-27 16:29", True, "03-30 08:00", id="London, to summer time"),
        pytest.param("LSE", "Europe/London", "2026-10-23 17:00", False, "10-26 08:00", id="London, back again"),
        pytest.param("TSEJ", "Asia/Tokyo", "2026-11-30 11:29", True, "11-30 12:30", id="Tokyo, before lunch"),
        pytest.param("TSEJ", "Asia/Tokyo", "2026-11-30 12:00", False, "11-30 12:30", id="Tokyo, at lunch"),
        pytest.param("TSEJ", "Asia/Tokyo", "2026-12-30 15:30", False, "01-04 09:00", id="Tokyo, New Year"),
    ],
)
def test_london_and_tokyo(exchange, zone, at, is_open, next_open):
    found = hours_of(Instrument(primary_exchange=exchange), moment(at, zone))
    assert (found.is_open, local(found.next_open, zone)) == (is_open, next_open)


@pytest.mark.parametrize(
    ("exchange", "at", "cutoffs"),
    [
        pytest.param("NYSE", "2026-11-25 11:00", "15:50 15:50 09:28 15:50", id="NYSE"),
        pytest.param("NASDAQ", "2026-11-25 11:00", "15:55 15:58 09:28 15:50", id="Nasdaq"),
        pytest.param("NYSE", "2026-11-27 10:00", "12:50 12:50 09:28 12:50", id="NYSE, a half day"),
        pytest.param("NASDAQ", "2026-11-27 10:00", "12:55 12:58 09:28 12:50", id="Nasdaq, a half day"),
        pytest.param("NYSE", "2026-11-26 10:00", "12:50 12:50 09:28 12:50", id="Thanksgiving: those of Friday"),
        pytest.param("", "2026-11-25 11:00", "15:50 15:50 09:28 15:50", id="no listing: the earliest of New York"),
        pytest.param("BATS", "2026-11-25 11:00", "   ", id="not known"),
        pytest.param("VSE", "2026-11-25 11:00", "   ", id="Vienna, not known"),
        # In New York's time, five hours behind London and six behind Frankfurt.
        pytest.param("LSE", "2026-11-25 07:00", "11:35 11:35 03:00 11:30", id="London"),
        pytest.param("LSE", "2026-11-25 11:30", "11:35 11:35 03:00 11:30", id="London, in the closing call"),
        pytest.param("LSE", "2026-11-25 11:35", "11:35 11:35 03:00 11:30", id="London, after it: the next day"),
        pytest.param("LSE", "2026-12-24 06:00", "07:30 07:30 03:00 07:30", id="London, a half day to 12:30"),
        pytest.param("IBIS", "2026-11-25 07:00", "11:35 11:35 03:00 11:30", id="Xetra"),
        pytest.param("SBF", "2026-12-24 07:00", "08:05 08:05 03:00 08:05", id="Paris, a half day to 14:05"),
        pytest.param("TSE", "2026-11-25 11:00", "15:56 16:00 09:30 15:50", id="Toronto"),
        pytest.param("TSEJ", "2026-11-24 21:00", "01:30 01:30 19:00 01:30", id="Tokyo, 14 hours ahead"),
    ],
)
def test_cut_offs_are_minutes_before_the_scheduled_open_and_close(exchange, at, cutoffs):
    found = hours_of(Instrument(primary_exchange=exchange), moment(at))
    times = (found.moc_cutoff, found.loc_cutoff, found.opg_cutoff, found.cancel_cutoff)
    assert " ".join(local(when, NEW_YORK)[6:] for when in times) == cutoffs
    assert ("no cut-offs" in " ".join(found.notes)) is (cutoffs == "   ")


def test_the_closing_call_is_the_days_own_and_counts_from_the_end_of_continuous_trading():
    day = hours_of(Instrument(primary_exchange="IBIS"), moment("2026-11-25 17:32", "Europe/Berlin"))
    assert (day.is_open, local(day.next_open, "Europe/Berlin")) == (False, "11-26 09:00")
    assert local(day.moc_cutoff, "Europe/Berlin") == "11-25 17:35"
    assert local(day.opg_cutoff, "Europe/Berlin") == "11-26 09:00"
    hours = "20261125:0900-20261125:1735;20261126:0900-20261126:1735"  # the contract's count the auction
    own = Instrument(primary_exchange="IBIS", hours=hours, time_zone="MET")
    for at in ("2026-11-25 12:00", "2026-11-25 17:32"):
        assert local(hours_of(own, moment(at, "Europe/Berlin")).moc_cutoff, "Europe/Berlin") == "11-25 17:35"


@pytest.mark.parametrize(
    ("instrument", "calendar", "note"),
    [
        (Instrument(primary_exchange="LSE", currency="USD"), "XLON", ""),
        (Instrument(exchange="IBIS", primary_exchange="", currency="EUR"), "XETR", ""),
        (
            Instrument(exchange="SMART", currency="JPY"),
            "XTKS",
            "no listing is given: XTKS, the home market of JPY",
        ),
        (Instrument(), "XNYS", "no listing is given: XNYS, the home market of USD"),
        (Instrument(primary_exchange="XYZ"), "", "no calendar of 'XYZ' is known"),
        (Instrument(primary_exchange="OSE.JPN", currency="JPY"), "", "no calendar of 'OSE.JPN' is known"),
        (Instrument(currency="SGD"), "", "no home market of SGD is known"),
    ],
)
def test_the_listing_decides_and_else_the_currency_which_is_said(instrument, calendar, note):
    found = hours_of(instrument, moment("2026-11-25 11:00"))
    assert found.calendar == calendar
    assert note in "; ".join(found.notes)
    if not calendar:  # never a guess
        assert found[2:11] == (None,) * 9
        assert found.hours_from == ""


def test_a_year_that_a_calendar_has_not_is_not_known():
    found = hours_of(Instrument(primary_exchange="SEHK"), moment("2150-11-25 11:00"))
    assert (found.is_open, found.next_open) == (None, None)
    assert "XHKG has no sessions at that time" in "; ".join(found.notes)


WEEK = "20261125:0930-20261125:1600;20261126:{};20261127:0930-20261127:{};20261128:CLOSED"


def reported(thursday="CLOSED", friday="1300", zone="US/Eastern"):
    return Instrument(primary_exchange="NYSE", hours=WEEK.format(thursday, friday), time_zone=zone)


def test_the_contracts_own_hours_count_before_the_calendar():
    thursday = moment("2026-11-26 11:00")
    agreed = hours_of(reported(), thursday)
    assert (agreed.is_open, agreed.hours_from, agreed.disagreement) == (False, "contract", "")
    own = hours_of(reported("0930-20261126:1600"), thursday)
    assert (own.is_open, own.hours_from) == (True, "contract")
    assert own.moc_cutoff is None  # the exchange is closed by its calendar
    assert own.disagreement == (
        "TWS and the exchange's calendar disagree: 2026-11-26 14:30 to 21:00 UTC by TWS, "
        "2026-11-27 14:30 to 18:00 UTC by the calendar"
    )
    assert own.disagreement in own.notes


@pytest.mark.parametrize(
    ("friday", "cutoffs"),
    [
        pytest.param("0930-20261127:1300", "12:50 09:28", id="the exchange's session"),
        pytest.param("0935-20261127:1305", "12:55 09:33", id="about the same"),
        pytest.param("0930-20261127:1130", "11:20 09:28", id="a close that was brought forward"),
        pytest.param("1000-20261127:1330", " ", id="later"),
        pytest.param("1000-20261127:1300", "12:50 ", id="opened late"),
        pytest.param("0930-20261127:1000", " 09:28", id="half an hour"),
        pytest.param("1100-20261127:1105", " ", id="five minutes, of a simulator"),
        pytest.param("1900-20261127:2300", " ", id="when the exchange is closed"),
    ],
)
def test_cut_offs_are_those_of_the_exchanges_own_session(friday, cutoffs):
    hours = f"20261125:0930-20261125:1600;20261126:CLOSED;20261127:{friday};20261128:CLOSED"
    found = hours_of(reported()._replace(hours=hours), moment("2026-11-26 11:00"))
    times = (found.moc_cutoff, found.opg_cutoff)
    assert " ".join(local(when, NEW_YORK)[6:] for when in times) == cutoffs
    assert ("not the exchange's own" in "; ".join(found.notes)) is (None in times)


@pytest.mark.parametrize(
    ("friday", "disagrees"), [("1300", False), ("1305", False), ("1310", False), ("1315", True)]
)
def test_a_closing_auction_is_no_disagreement(friday, disagrees):
    found = hours_of(reported(friday=friday), moment("2026-11-27 11:00"))
    assert bool(found.disagreement) is disagrees


@pytest.mark.parametrize(
    ("at", "hours_from", "next_open"),
    [
        pytest.param("2026-11-27 12:00", "contract", "11-30 09:30", id="the last listed session is on"),
        pytest.param("2026-11-28 12:00", "contract", "11-30 09:30", id="nothing is listed after this closed day"),
        pytest.param("2026-11-30 12:00", "calendar", "12-01 09:30", id="a day that is not listed"),
    ],
)
def test_after_the_days_that_tws_lists_the_calendar_counts(at, hours_from, next_open):
    found = hours_of(reported(), moment(at))
    assert (found.hours_from, local(found.next_open, NEW_YORK)) == (hours_from, next_open)
    assert local(found.closes_at, NEW_YORK)[6:] == ("13:00" if "27" in at else "16:00")


def test_a_zone_that_is_not_known_leaves_the_calendar():
    found = hours_of(reported(zone="Nowhere/Land"), moment("2026-11-26 11:00"))
    assert (found.is_open, found.hours_from) == (False, "calendar")
    assert "'Nowhere/Land', which is not known" in "; ".join(found.notes)


def test_hours_of_an_exchange_that_is_not_known_are_those_of_the_contract():
    found = hours_of(reported()._replace(primary_exchange="XYZ"), moment("2026-11-27 11:00"))
    assert (found.is_open, found.early_close, found.hours_from) == (True, True, "contract")
    assert found.moc_cutoff is None


def test_a_contract_without_a_gap_never_closes_and_is_compared_with_nothing():
    always = ";".join(f"202611{day}:0000-202611{day + 1}:0000" for day in range(23, 29))
    found = hours_of(reported()._replace(hours=always), moment("2026-11-28 03:00"))
    assert (found.is_open, found.never_closes, found.hours_from, found.disagreement) == (
        True,
        True,
        "contract",
        "",
    )
    assert local(found.next_open, NEW_YORK) == "11-30 09:30"


def test_what_a_broker_reports_is_found_by_the_number_of_the_contract_and_else_by_its_symbol():
    rows = [("VOD", 1, "LSE", "london", "GB-Eire"), ("VOD", 2, "NASDAQ", "new york", "US/Eastern")]
    broker_hours = pd.DataFrame(rows, columns=list(TRADING_HOURS))
    frame = pd.DataFrame({"symbol": ["VOD", "VOD", "TLT"], "con_id": pd.array([2, None, None], dtype="Int64")})
    found = with_reported_hours(frame, broker_hours)
    assert found["primary_exchange"].tolist()[:2] == ["NASDAQ", "LSE"]
    assert found["hours"].tolist()[:2] == ["new york", "london"]
    assert found["time_zone"].tolist()[:2] == ["US/Eastern", "GB-Eire"]
    assert found.iloc[2][["primary_exchange", "hours", "time_zone"]].isna().all()
    assert with_reported_hours(frame[["symbol"]], broker_hours)["hours"].tolist()[:2] == ["london", "london"]
