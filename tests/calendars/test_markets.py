"""Which exchange a listing is at, by Interactive Brokers' names."""

import pytest

from stocklean_exec.calendars.markets import exchange_name, home_market, market_at


@pytest.mark.parametrize(
    ("exchange", "calendar"),
    [
        ("NYSE", "XNYS"),
        ("NASDAQ.NMS", "XNYS"),  # up to the period
        (" ibis ", "XETR"),
        ("ENEXT.BE", "XBRU"),
        ("LSEETF", "XLON"),
        ("TSE", "XTSE"),  # Toronto
        ("TSEJ", "XTKS"),  # Tokyo
        ("OSE", "XOSL"),  # Oslo
    ],
)
def test_an_exchange_has_the_calendar_of_its_sessions(exchange, calendar):
    assert market_at(exchange).calendar == calendar


@pytest.mark.parametrize("exchange", ["OSE.JPN", "ose.jpn", "SMART", "", "XYZ", ".BE"])
def test_osaka_is_not_oslo_and_smart_is_no_exchange(exchange):
    assert market_at(exchange) is None


def test_a_name_ends_at_the_period_unless_that_is_another_exchange():
    names = ["NASDAQ.NMS", " bvme.etf ", "OSE", "ose.jpn", "LSE", ""]
    assert [exchange_name(name) for name in names] == ["NASDAQ", "BVME", "OSE", "OSE.JPN", "LSE", ""]


def test_a_currency_has_a_home_market_or_none():
    assert home_market("JPY") == ("XTKS", "JPY")
    assert home_market("NOK") is None
