"""Settlement days. The holidays are those that the exchanges and the Federal Reserve have published."""

from datetime import date

import pytest

from stocklean_exec.execution.settlement_calendar import settlement_of


@pytest.mark.slow  # the first one loads the calendars
@pytest.mark.parametrize(
    ("traded_on", "currency", "settles"),
    [
        pytest.param("2026-11-23", "USD", "2026-11-24", id="Monday, one day"),
        pytest.param("2026-11-27", "CAD", "2026-11-30", id="Friday, over the weekend"),
        pytest.param("2026-11-26", "EUR", "2026-11-30", id="Thursday, two days over the weekend"),
        pytest.param("2026-11-28", "USD", "2026-11-30", id="Saturday"),
        pytest.param("2026-11-24", "JPY", "2026-11-26", id="Tuesday, two days"),
        pytest.param("2026-11-25", "USD", "2026-11-27", id="NYSE: Thanksgiving, then a half day"),
        pytest.param("2026-07-02", "USD", "2026-07-06", id="NYSE: Independence Day, a Saturday, kept on Friday"),
        pytest.param("2026-10-09", "USD", "2026-10-13", id="Columbus Day: NYSE trades, banks are closed"),
        pytest.param("2026-11-10", "USD", "2026-11-12", id="Veterans Day: NYSE trades, banks are closed"),
        pytest.param("2026-12-22", "EUR", "2026-12-28", id="XETRA: closed on 24 and 25 December"),
        pytest.param("2026-04-01", "EUR", "2026-04-07", id="XETRA: Good Friday and Easter Monday"),
        pytest.param("2026-12-23", "GBP", "2026-12-29", id="LSE: 25 December, and 28 for Boxing Day"),
        pytest.param("2026-05-01", "GBP", "2026-05-06", id="LSE: Early May bank holiday"),
        pytest.param("2026-04-30", "JPY", "2026-05-07", id="TSE: 4 to 6 May"),
        pytest.param("2026-12-29", "JPY", "2027-01-04", id="TSE: 31 December to 3 January"),
        pytest.param("2026-02-13", "HKD", "2026-02-20", id="SEHK: Lunar New Year, 17 to 19 February"),
    ],
)
def test_a_trade_settles_after_the_business_days_of_its_market(traded_on, currency, settles):
    found = settlement_of(date.fromisoformat(traded_on), currency)
    assert (found.day.isoformat(), found.is_known, found.note) == (settles, True, "")


def test_an_unknown_market_or_year_gives_a_later_day_and_says_so():
    for when, currency, settles in (
        ("2026-11-23", "SGD", "2026-11-30"),  # two business days and three more
        ("2150-11-23", "HKD", "2150-11-30"),  # a Monday too; the lunar years of the calendar end in 2049
    ):
        found = settlement_of(date.fromisoformat(when), currency)
        assert (found.day.isoformat(), found.is_known) == (settles, False)
        assert "3 days are added" in found.note
