"""Times of day at which to start."""

from datetime import UTC, datetime

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.calendars.start_time import closed_day, parse_start
from stocklean_exec.errors import InputError

NOON = datetime(2026, 11, 30, 17, 0, tzinfo=UTC)  # 12:00 in New York, 2:00 on 1 December in Tokyo


@pytest.mark.parametrize(
    ("text", "now", "moment"),
    [
        ("15:45 America/New_York", NOON, "2026-11-30 20:45"),
        (" 15:45:30  America/New_York ", NOON, "2026-11-30 20:45:30"),
        ("9:05 Asia/Tokyo", NOON, "2026-12-01 00:05"),
        ("17:30 UTC", NOON, "2026-11-30 17:30"),
        ("2026-12-24 12:45 America/New_York", NOON, "2026-12-24 17:45"),
        ("2026-12-24T12:45 America/New_York", NOON, "2026-12-24 17:45"),
        ("15:45 America/New_York", datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01 19:45"),  # summer time
        ("12:00 America/New_York", NOON, "2026-11-30 17:00"),
        ("11:59 America/New_York", NOON, "2026-11-30 16:59"),  # a minute late
    ],
)
def test_a_time_is_that_of_today_in_its_zone(text, now, moment):
    assert parse_start(text, now).moment == pd.Timestamp(moment, tz="UTC")


def test_the_day_is_that_of_the_zone():
    start = parse_start("9:05 Asia/Tokyo", NOON)
    assert (start.day_begins, start.day_ends) == (
        datetime(2026, 11, 30, 15, tzinfo=UTC),
        datetime(2026, 12, 1, 15, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("15:45", "time zone"),
        ("soon", "time zone"),
        ("15.45 UTC", "time zone"),
        ("15:45 Mars/Base", "'Mars/Base' is not known"),
        ("15:45 America", "'America' is not known"),
        ("25:45 UTC", "no time of day"),
        ("2026-02-30 15:45 UTC", "no date"),
        ("9999-12-31 15:45 UTC", "no date"),
        ("16:58:59 UTC", "has passed: it is 2026-11-30 17:00:00 there"),
        ("2026-11-27 15:45 America/New_York", "has passed"),
    ],
)
def test_what_is_no_time_or_has_passed_is_an_error(text, words):
    with pytest.raises(InputError, match="--at") as caught:
        parse_start(text, NOON)
    assert words in str(caught.value)
    assert caught.value.codes == ("option_invalid",)


@pytest.mark.slow  # loads the calendars
@pytest.mark.parametrize(
    ("day", "listings", "reason"),
    [
        pytest.param("2026-11-25", ["NYSE"], "", id="a Wednesday"),
        pytest.param("2026-11-26", ["NYSE"], "the next one opens at 2026-11-27 14:30 UTC", id="Thanksgiving"),
        pytest.param("2026-11-27", ["NYSE"], "", id="the half day, also after its close"),
        pytest.param("2026-11-28", ["NYSE", "LSE"], "opens at 2026-11-30 08:00 UTC", id="Saturday"),
        pytest.param("2026-11-26", ["NYSE", "LSE"], "", id="Thanksgiving, and London trades"),
        pytest.param("2026-11-26", ["NYSE", "XYZ"], "opens at 2026-11-27", id="one is not known"),
        pytest.param("2026-11-28", ["XYZ"], "", id="none is known"),
    ],
)
def test_a_day_on_which_no_known_market_trades_is_closed(day, listings, reason):
    start = parse_start(f"{day} 15:45 America/New_York", datetime(2026, 11, 25, tzinfo=UTC))
    targets = pd.DataFrame({"symbol": list("AB")[: len(listings)], "primary_exchange": listings})
    found = closed_day(sx.market_hours(targets, at=start.day_begins), start)
    assert reason in found
    assert bool(found) is bool(reason)


@pytest.mark.slow
def test_a_broker_whose_market_never_closes_has_no_closed_day():
    start = parse_start("2026-11-28 15:45 America/New_York", NOON.replace(day=25))
    with sx.connect("mock://", quotes={"A": 9.0}) as broker:
        assert closed_day(sx.market_hours(["A"], broker, at=start.day_begins), start) == ""


@pytest.mark.parametrize(
    ("is_open", "opens_at", "is_closed"),
    [
        pytest.param(False, "2026-12-01 04:59:59", False, id="it opens in the last second of the day"),
        pytest.param(False, "2026-12-01 05:00", True, id="it opens when the day has ended"),
        pytest.param(False, None, False, id="when it opens is not known"),
        pytest.param(None, "2026-12-02 14:30", False, id="whether it is open is not known"),
    ],
)
def test_a_day_is_closed_only_if_it_is_known_that_nothing_opens_before_its_end(is_open, opens_at, is_closed):
    start = parse_start("15:45 America/New_York", NOON)  # its day ends at 5:00 UTC
    hours = pd.DataFrame(
        {
            "is_open": pd.array([is_open], dtype="boolean"),
            "opens_at": pd.to_datetime(pd.Series([opens_at]), utc=True),
        }
    )
    assert bool(closed_day(hours, start)) is is_closed
