"""TWS's texts of trading hours. The layout is that of a captured message, of older servers, or of Java's zones."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from stocklean_exec.calendars.contract_hours import contract_zone, read_hours

SIX_DAYS = (
    "20261125:0930-20261125:1600;20261126:CLOSED;20261127:0930-20261127:1300;"
    "20261128:CLOSED;20261129:CLOSED;20261130:0930-20261130:1600"
)


def spans(text, zone="US/Eastern"):
    """Spans of every session in UTC, by day."""
    found = read_hours(text, zone)
    assert found.problem == ""
    return {
        session.day.isoformat(): " ".join(f"{opens:%dT%H:%M}-{closes:%dT%H:%M}" for opens, closes in session.spans)
        for session in found.schedule.sessions
    }


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        pytest.param(
            SIX_DAYS,
            "US/Eastern",
            {
                "2026-11-25": "25T14:30-25T21:00",
                "2026-11-27": "27T14:30-27T18:00",
                "2026-11-30": "30T14:30-30T21:00",
            },
            id="Thanksgiving",
        ),
        pytest.param(
            "20260306:0930-20260306:1600;20260309:0930-20260309:1600",
            "America/New_York",
            {"2026-03-06": "06T14:30-06T21:00", "2026-03-09": "09T13:30-09T20:00"},
            id="daylight saving begins between two days",
        ),
        pytest.param(
            "20261130:0900-20261130:1130,20261130:1230-20261130:1530",
            "Japan",
            {"2026-11-30": "30T00:00-30T02:30 30T03:30-30T06:30"},
            id="two spans of a day, with a comma",
        ),
        pytest.param(
            "20261130:1230-20261130:1530;20261130:0900-20261130:1130",
            "JST",
            {"2026-11-30": "30T00:00-30T02:30 30T03:30-30T06:30"},
            id="two entries of a day, in any sequence",
        ),
        pytest.param(
            "20261130:20261129:1800-20261130:1700",
            "US/Eastern",
            {"2026-11-30": "29T23:00-30T22:00"},
            id="a session that begins on the evening before",
        ),
        pytest.param(
            "20180320:1715-1700",
            "EST",
            {"2018-03-20": "19T21:15-20T21:00"},
            id="an older server: the evening before, without dates; EST is New York, in summer time",
        ),
        pytest.param(
            "20261130:0700-1830,1830-2330; 20261201:closed ;",
            "GB-Eire",
            {"2026-11-30": "30T07:00-30T18:30 30T18:30-30T23:30"},
            id="an older server: a list",
        ),
        pytest.param(
            "20261130:0000-20261130:2400",
            "UTC",
            {"2026-11-30": "30T00:00-01T00:00"},
            id="24:00 is midnight at the end",
        ),
    ],
)
def test_hours_are_read(text, zone, expected):
    assert spans(text, zone) == expected


def test_a_day_that_is_not_listed_is_not_known_and_a_closed_one_is():
    schedule = read_hours(SIX_DAYS, "US/Eastern").schedule
    new_york = ZoneInfo("America/New_York")
    assert schedule.start == datetime(2026, 11, 25, tzinfo=new_york)
    assert schedule.end == datetime(2026, 12, 1, tzinfo=new_york)
    assert schedule.on(date(2026, 11, 26)) is None
    assert schedule.covers(datetime(2026, 11, 26, 15, tzinfo=UTC))
    assert not schedule.covers(datetime(2026, 12, 1, 15, tzinfo=UTC))


def test_a_session_on_the_evening_before_the_first_day_is_known():
    schedule = read_hours("20261130:20261129:1800-20261130:1700", "US/Eastern").schedule
    assert schedule.covers(datetime(2026, 11, 29, 23, tzinfo=UTC))
    assert schedule.is_open(datetime(2026, 11, 29, 23, tzinfo=UTC))


def test_a_close_before_the_latest_one_of_the_list_is_early_by_the_clock_on_the_wall():
    early = [session.is_early for session in read_hours(SIX_DAYS, "US/Eastern").schedule.sessions]
    assert early == [False, True, False]
    days = "20261030:0930-20261030:1600;20261102:0930-20261102:1600"  # summer, then winter
    assert [session.is_early for session in read_hours(days, "US/Eastern").schedule.sessions] == [False, False]


def test_ten_minutes_before_the_latest_close_are_early_and_nine_are_not():
    for close, is_early in (("1550", True), ("1551", False)):
        days = f"20261125:0930-20261125:{close};20261127:0930-20261127:1600"
        found = read_hours(days, "US/Eastern").schedule.sessions
        assert [session.is_early for session in found] == [is_early, False]


ALWAYS = ";".join(f"202611{day}:0000-202611{day + 1}:0000" for day in range(21, 27))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(ALWAYS, True, id="six days without a gap"),
        pytest.param(
            ALWAYS.replace("20261124:0000-20261125:0000", "20261124:0000-20261124:2300"), False, id="a gap"
        ),
        pytest.param(ALWAYS.replace("20261124:0000-20261125:0000", "20261124:CLOSED"), False, id="a closed day"),
        pytest.param(";".join(ALWAYS.split(";")[:5]), False, id="five days, which may be those of a week"),
        pytest.param(SIX_DAYS, False, id="an exchange"),
    ],
)
def test_a_market_without_a_gap_never_closes(text, expected):
    assert read_hours(text, "US/Eastern").never_closes is expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("US/Eastern", "US/Eastern"),
        ("America/New_York", "America/New_York"),
        ("EST", "America/New_York"),
        ("EST (Eastern Standard Time)", "America/New_York"),
        ("JST (Japan Standard Time)", "Asia/Tokyo"),
        ("MET", "Europe/Berlin"),
        ("Hongkong", "Hongkong"),
        ("GB-Eire", "GB-Eire"),
        ("BST", None),
        ("", None),
        ("Nowhere/Land", None),
        ("../../etc/passwd", None),
        ("America", None),
    ],
)
def test_a_zone_is_known_by_tws_name_or_not_at_all(zone, expected):
    found = contract_zone(zone)
    assert (None if found is None else found.key) == expected


@pytest.mark.parametrize(
    ("text", "zone", "problem"),
    [
        pytest.param(SIX_DAYS, "XYZ", "time zone 'XYZ'", id="a zone that is not known"),
        pytest.param(SIX_DAYS, "", "time zone ''", id="no zone"),
        pytest.param("20261127:0930-20261127:1300;garbage", "UTC", "'garbage'", id="no day"),
        pytest.param("20261327:0930-20261327:1300", "UTC", "'20261327", id="no date"),
        pytest.param("20261127:0930-20261127:2500", "UTC", "'20261127", id="no time"),
        pytest.param("20261127:1300-20261127:0930", "UTC", "'20261127", id="closes before it opens"),
        pytest.param("20261127:", "UTC", "'20261127:'", id="no hours"),
        pytest.param(";;", "UTC", "empty", id="no days"),
    ],
)
def test_what_cannot_be_read_is_named_and_gives_no_hours(text, zone, problem):
    found = read_hours(text, zone)
    assert found.schedule is None
    assert not found.never_closes
    assert problem in found.problem


def test_no_hours_are_no_problem():
    assert read_hours("", "") == (None, False, "")
