"""Times of basket files; the hours of clock changes are those of the US and EU calendars of 2026."""

import pandas as pd
import pytest

from stocklean_exec.schema.basket_times import basket_time, read_basket_time


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("20261124 21:00:00 UTC", "2026-11-24 21:00:00"),
        ("20261124 21:00:00 gmt", "2026-11-24 21:00:00"),
        ("20261124 16:00:00 US/Eastern", "2026-11-24 21:00:00"),
        ("20260724 16:00:00 America/New_York", "2026-07-24 20:00:00"),
        ("20260724 16:30:00 Europe/London", "2026-07-24 15:30:00"),
        ("20261124 15:00:00 Japan", "2026-11-24 06:00:00"),
        ("20261101 00:59:59 US/Eastern", "2026-11-01 04:59:59"),  # the last second of summer time that is unique
        ("20261101 02:00:00 US/Eastern", "2026-11-01 07:00:00"),
        ("20260308 03:00:00 US/Eastern", "2026-03-08 07:00:00"),
    ],
)
def test_a_time_is_read_in_the_zone_that_it_names(text, utc):
    stamp = read_basket_time(text, "GoodAfter")
    assert stamp == pd.Timestamp(utc, tz="UTC")
    assert read_basket_time(basket_time(stamp), "GoodAfter") == stamp


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("20261124 16:00:00", "naive_time", "write UTC or US/Eastern after it"),
        (
            "20261101 01:30:00 US/Eastern",
            "time_ambiguous",
            "two times, as clocks go back over it; write it in UTC",
        ),
        ("20261025 01:30:00 Europe/London", "time_ambiguous", "two times"),
        ("20260724 16:00:00 EST", "time_ambiguous", "may be without summer time, or US/Eastern"),
        ("20260308 02:30:00 US/Eastern", "time_dtype", "does not exist, as clocks go forward over it"),
        ("20261124 16:00:00 EDT", "time_dtype", "no table of zones"),
        ("20261124 16:00:00 US", "time_dtype", "no table of zones"),
        ("20261124 16:00:00 ../UTC", "time_dtype", "no table of zones"),
        ("20261124 25:00:00 UTC", "time_dtype", "not a valid date and time"),
        ("20260230 12:00:00 UTC", "time_dtype", "not a valid date and time"),
        ("00010101 00:00:00 Japan", "time_dtype", "is too far away"),
        ("20261124", "time_dtype", "such as 20261124 21:00:00 UTC"),
        ("20261124 16:00:00.5 UTC", "time_dtype", "such as 20261124 21:00:00 UTC"),
        ("24/11/2026 16:00", "time_dtype", "a spreadsheet rewrites times"),
    ],
)
def test_what_is_not_one_moment_says_what_to_do(text, code, words):
    problem = read_basket_time(text, "GoodTilDate")
    assert (problem.code, problem.column) == (code, "GoodTilDate")
    assert problem.detail.startswith(f"GoodTilDate {text!r} ")
    assert words in problem.detail
