"""Sessions of exchanges. Holidays, half days and daylight saving are as exchanges and states have published them.

NYSE, "Holidays and Trading Hours"; LSE, "Business days"; JPX, "Trading Hours" and "Market Holidays"; Deutsche
Börse, "Trading calendar"; HKEX, "Trading Hours".
"""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from stocklean_exec.calendars.sessions import Schedule, Session, exchange_schedule

NEW_YORK = ZoneInfo("America/New_York")


def moment(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def closes(calendar, day, zone):
    """Local time of the close of a day; empty if it is closed."""
    day = date.fromisoformat(day)
    session = exchange_schedule(calendar, day).on(day)
    return "" if session is None else f"{session.closes_at.astimezone(ZoneInfo(zone)):%H:%M}"


@pytest.mark.slow  # the first one loads the calendars
@pytest.mark.parametrize(
    ("calendar", "zone", "day", "expected"),
    [
        pytest.param("XNYS", "America/New_York", "2026-11-25", "16:00", id="the day before Thanksgiving"),
        pytest.param("XNYS", "America/New_York", "2026-11-26", "", id="Thanksgiving"),
        pytest.param("XNYS", "America/New_York", "2026-11-27", "13:00", id="the half day after it"),
        pytest.param("XNYS", "America/New_York", "2026-11-28", "", id="Saturday"),
        pytest.param("XNYS", "America/New_York", "2026-11-29", "", id="Sunday"),
        pytest.param("XNYS", "America/New_York", "2026-12-24", "13:00", id="Christmas Eve"),
        pytest.param("XNYS", "America/New_York", "2026-12-31", "16:00", id="31 December"),
        pytest.param("XNYS", "America/New_York", "2026-07-03", "", id="Independence Day, kept on Friday"),
        pytest.param("XLON", "Europe/London", "2026-12-24", "12:30", id="London: Christmas Eve"),
        pytest.param("XETR", "Europe/Berlin", "2026-12-24", "", id="Xetra: closed on Christmas Eve"),
        pytest.param("XETR", "Europe/Berlin", "2026-12-30", "14:00", id="Xetra: the last day of the year"),
        pytest.param("XHKG", "Asia/Hong_Kong", "2026-12-24", "12:00", id="Hong Kong: a morning only"),
        pytest.param("XTKS", "Asia/Tokyo", "2026-12-31", "", id="Tokyo: closed on 31 December"),
        pytest.param("XTKS", "Asia/Tokyo", "2024-11-01", "15:00", id="Tokyo: the old close"),
        pytest.param("XTKS", "Asia/Tokyo", "2024-11-05", "15:30", id="Tokyo: half an hour longer since"),
    ],
)
def test_the_close_of_a_day(calendar, zone, day, expected):
    assert closes(calendar, day, zone) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "new_york", "london", "tokyo"),
    [
        pytest.param("2026-03-06", "14:30", "08:00", "00:00", id="winter"),
        pytest.param("2026-03-09", "13:30", "08:00", "00:00", id="New York has changed, London has not"),
        pytest.param("2026-03-30", "13:30", "07:00", "00:00", id="summer"),
        pytest.param("2026-10-26", "13:30", "08:00", "00:00", id="London has changed back, New York has not"),
        pytest.param("2026-11-02", "14:30", "08:00", "00:00", id="winter again"),
    ],
)
def test_opens_move_with_the_daylight_saving_of_each_city(day, new_york, london, tokyo):
    day = date.fromisoformat(day)
    found = [exchange_schedule(name, day).on(day).opens_at for name in ("XNYS", "XLON", "XTKS")]
    assert [f"{opens:%H:%M}" for opens in found] == [new_york, london, tokyo]


@pytest.mark.slow
def test_a_schedule_reaches_a_year_back_and_two_ahead_and_is_built_again_when_the_year_moves_on():
    for year in (2026, 2027):
        schedule = exchange_schedule("XNYS", date(year, 12, 31))
        assert schedule.start == datetime(year - 1, 1, 1, tzinfo=NEW_YORK)
        assert schedule.sessions[0].day == date(year - 1, 1, 2)
        assert schedule.end == datetime(year + 3, 1, 1, tzinfo=NEW_YORK)
        assert schedule.next_open(moment(f"{year + 2}-12-01")) is not None
    assert exchange_schedule("XNYS", date(2027, 1, 1)) is schedule


@pytest.mark.slow
def test_an_exchange_or_a_year_that_is_not_known_has_no_schedule():
    assert exchange_schedule("NOPE", date(2026, 11, 27)) is None
    assert exchange_schedule("XHKG", date(2150, 11, 27)) is None  # the lunar years of the calendar end in 2049


MONDAY = Session(
    date(2026, 11, 30),
    (
        (moment("2026-11-30 00:00"), moment("2026-11-30 02:30")),
        (moment("2026-11-30 03:30"), moment("2026-11-30 06:30")),
    ),
)
TUESDAY = Session(date(2026, 12, 1), ((moment("2026-12-01 00:00"), moment("2026-12-01 02:30")),), is_early=True)
TWO_DAYS = Schedule((MONDAY, TUESDAY), moment("2026-11-29 15:00"), moment("2026-12-01 15:00"))


@pytest.mark.parametrize(
    ("at", "is_open", "next_open", "session"),
    [
        pytest.param("2026-11-29 20:00", False, "2026-11-30 00:00", MONDAY, id="before the open"),
        pytest.param("2026-11-30 00:00", True, "2026-11-30 03:30", MONDAY, id="the open"),
        pytest.param("2026-11-30 02:30", False, "2026-11-30 03:30", MONDAY, id="the break"),
        pytest.param("2026-11-30 03:30", True, "2026-12-01 00:00", MONDAY, id="after the break"),
        pytest.param("2026-11-30 06:29:59", True, "2026-12-01 00:00", MONDAY, id="the last second"),
        pytest.param("2026-11-30 06:30", False, "2026-12-01 00:00", TUESDAY, id="the close"),
        pytest.param("2026-12-01 02:30", False, None, None, id="after the last one"),
    ],
)
def test_a_market_is_open_from_its_open_to_before_its_close(at, is_open, next_open, session):
    at = moment(at)
    assert TWO_DAYS.is_open(at) is is_open
    assert TWO_DAYS.next_open(at) == (None if next_open is None else moment(next_open))
    assert TWO_DAYS.current_or_next(at) is session


def test_what_a_schedule_knows():
    assert not TWO_DAYS.is_open(moment("2026-11-28 12:00"))
    assert not TWO_DAYS.covers(moment("2026-11-29 14:59"))
    assert TWO_DAYS.covers(moment("2026-11-29 15:00"))
    assert not TWO_DAYS.covers(moment("2026-12-01 15:00"))
    assert TWO_DAYS.on(date(2026, 12, 1)) is TUESDAY
    assert TWO_DAYS.on(date(2026, 12, 2)) is None
    assert TWO_DAYS.days_after(date(2026, 11, 29)) == [MONDAY.day, TUESDAY.day]
    assert TWO_DAYS.days_after(date(2026, 11, 30)) == [TUESDAY.day]
    assert (MONDAY.opens_at, MONDAY.closes_at.tzinfo) == (moment("2026-11-30 00:00"), ZoneInfo("UTC"))


@pytest.mark.slow
def test_times_are_in_utc_and_a_break_at_noon_is_known():
    session = exchange_schedule("XTKS", date(2026, 11, 30)).on(date(2026, 11, 30))
    assert session == MONDAY
    assert session.opens_at.tzinfo is UTC
