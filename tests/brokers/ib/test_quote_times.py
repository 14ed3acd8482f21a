"""Which ticks of a snapshot are prices, when they were made, and whether trading is halted."""

import math
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.ib.quote_times import Answer, halted, prices_of, time_of

NAN = math.nan
NOON = datetime(2022, 12, 29, 17, tzinfo=UTC)
TRADED = datetime(2022, 12, 29, 16, 58, 3, tzinfo=UTC)
DELAYED = datetime(2022, 12, 29, 16, 42, 1, tzinfo=UTC)


def answer(bid=10.0, ask=10.1, last=10.05, data_type=1, sizes=(100.0, 200.0), **more):
    given = {"last_at": TRADED, "delayed_last_at": None} | more
    return Answer(bid, ask, last, 9.0, *sizes, data_type, NOON, **given)


@pytest.mark.parametrize(
    ("found", "time", "source"),
    [
        (answer(), NOON, "received"),
        (answer(last=NAN, last_at=None), NOON, "received"),
        # One side is no quote: the price is the last trade, as old as that.
        (answer(ask=-1.0, sizes=(100.0, 0.0)), TRADED, "last_trade"),
        (answer(sizes=(0.0, 200.0)), TRADED, "last_trade"),
        (answer(bid=-1.0, ask=-1.0, last_at=None), None, "unknown"),
        (answer(bid=-1.0, ask=-1.0, last=-1.0), None, "unknown"),  # only the previous close
        (answer(data_type=2), None, "unknown"),
        (answer(data_type=4, delayed_last_at=DELAYED), None, "unknown"),
        (answer(data_type=3), None, "unknown"),
        (answer(data_type=3, last_at=None, delayed_last_at=DELAYED), DELAYED, "last_trade"),
    ],
)
def test_the_time_of_a_quote_is_its_own(found, time, source):
    assert time_of(found) == (time, source)


@pytest.mark.parametrize("nothing", [-1.0, -100.0, 0.0, NAN, 1.7976931348623157e308])
def test_what_tws_sends_for_no_price_is_none(nothing):
    found = prices_of(answer(bid=nothing, ask=nothing, last=nothing))
    assert all(map(math.isnan, (found.bid, found.ask, found.last)))


@pytest.mark.parametrize("size", [0.0, -1.0, NAN])
def test_a_side_without_a_size_is_no_price(size):
    found = prices_of(answer(sizes=(size, 200.0)))
    assert math.isnan(found.bid)
    assert (found.ask, found.last) == (10.1, 10.05)


@pytest.mark.parametrize(
    ("code", "expected"), [(None, None), (-1.0, None), (0.0, False), (1.0, True), (2.0, True)]
)
def test_a_halt_that_is_not_known_is_not_denied(code, expected):
    assert halted(answer(halt=code)) is expected
