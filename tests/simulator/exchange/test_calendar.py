from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from stocklean_exec.simulator.exchange.calendar import Calendar, settlement

NEW_YORK = ZoneInfo("America/New_York")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2022-12-29T09:29:59", False),
        ("2022-12-29T09:30:00", True),
        ("2022-12-29T15:59:59", True),
        ("2022-12-29T16:00:00", False),
        ("2022-12-31T12:00:00", False),  # a Saturday
        ("2023-07-03T12:00:00", True),  # in summer time
    ],
)
def test_the_regular_session(when, is_open):
    assert Calendar("exchange").is_open(at(when)) is is_open
    assert Calendar("always").is_open(at(when))


@pytest.mark.parametrize(
    ("when", "opens"),
    [
        ("2022-12-29T08:00:00", "2022-12-29T09:30:00"),
        ("2022-12-29T09:30:00", "2022-12-30T09:30:00"),
        ("2022-12-30T17:00:00", "2023-01-02T09:30:00"),  # over a weekend
        ("2023-03-10T17:00:00", "2023-03-13T09:30:00"),  # over the change to summer time
    ],
)
def test_the_next_opening(when, opens):
    assert Calendar("exchange").next_open(at(when)) == at(opens)


def test_the_next_close():
    assert Calendar("exchange").next_close(at("2022-12-29T15:00:00")) == at("2022-12-29T16:00:00")


def test_hours_have_the_format_of_contract_details(captured):
    trading, liquid = Calendar("exchange").trading_hours(at("2026-04-05T12:00:00"))
    ((_, _, real),) = captured["contract_details"]
    assert (trading, liquid) == (real[27], real[28])


def test_a_market_that_never_closes_says_so_in_its_hours():
    trading, liquid = Calendar("always").trading_hours(at("2026-04-05T12:00:00"), days=3)
    assert trading == liquid
    assert trading == "20260405:0000-20260406:0000;20260406:0000-20260407:0000;20260407:0000-20260408:0000"


@pytest.mark.parametrize(
    ("day", "days", "settles"),
    [
        ("2022-12-29 10:00:00", 0, None),
        ("2022-12-29 10:00:00", 1, "2022-12-30"),  # Thursday to Friday
        ("2022-12-29 10:00:00", 2, "2023-01-02"),  # to Monday
        ("2022-12-30 15:59:00", 1, "2023-01-02"),
        ("2022-12-27 10:00:00", 2, "2022-12-29"),
    ],
)
def test_a_sale_settles_at_the_beginning_of_a_later_weekday(day, days, settles):
    found = settlement(at(day), days)
    assert found == (at(settles) if settles else 0.0)


def test_a_session_of_any_length_repeats_every_24_hours():
    opens, closes, day = at("2022-12-29T10:01:00"), at("2022-12-29T10:11:00"), 86_400
    calendar = Calendar("always", (opens, closes))
    assert not calendar.always
    instants = (opens - 1, opens, closes - 1, closes, opens + day - 1, opens + day, closes + 3 * day)
    assert [calendar.is_open(one) for one in instants] == [False, True, True, False, False, True, False]
    assert [calendar.next_open(one) for one in (opens - 1, opens, closes)] == [opens, opens + day, opens + day]
    assert [calendar.next_close(one) for one in (opens, closes - 1, closes)] == [closes, closes, closes + day]


def test_a_session_is_stated_to_the_minute():
    calendar = Calendar("always", (at("2022-12-29T10:01:30"), at("2022-12-29T10:11:30")))
    hours = "20221229:1001-20221229:1012;20221230:1001-20221230:1012"
    assert calendar.trading_hours(at("2022-12-29T10:05:00"), 2) == (hours, hours)
    assert calendar.trading_hours(at("2022-12-29T11:00:00"), 1)[0].startswith("20221230")
