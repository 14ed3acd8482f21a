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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("traded_on", "currency", "listing", "settles"),
    [
        pytest.param("2026-12-22", "EUR", "IBIS", "2026-12-28", id="XETRA: closed on 24 and 25 December"),
        pytest.param("2026-12-22", "EUR", "SBF", "2026-12-24", id="Euronext Paris: a half day on 24 December"),
        pytest.param("2026-12-22", "EUR", "AEB", "2026-12-24", id="Euronext Amsterdam"),
        pytest.param("2026-12-22", "EUR", "ENEXT.BE", "2026-12-24", id="Euronext Brussels, by its full name"),
        pytest.param("2026-12-22", "EUR", "BVME.ETF", "2026-12-28", id="Borsa Italiana: closed on 24 December"),
        pytest.param("2026-11-30", "USD", "LSEETF", "2026-12-02", id="dollars in London: two days"),
        pytest.param("2026-11-30", "USD", "ARCA", "2026-12-01", id="dollars in New York: one day"),
        pytest.param("2026-08-28", "USD", "LSEETF", "2026-09-02", id="LSE: Summer bank holiday, 31 August"),
        pytest.param("2026-11-24", "USD", "LSEETF", "2026-11-27", id="no dollars are paid on Thanksgiving"),
        pytest.param("2026-11-30", "USD", "SMART", "2026-12-01", id="SMART is no market"),
        pytest.param("2026-11-30", "CHF", "EBS", "2026-12-02", id="Zurich"),
        pytest.param("2024-05-24", "USD", "NYSE", "2024-05-29", id="NYSE: the last trades that needed two days"),
        pytest.param("2024-05-28", "USD", "NYSE", "2024-05-29", id="NYSE: the first ones that need one"),
        pytest.param("2024-05-24", "CAD", "TSE", "2024-05-28", id="Toronto: the last ones that needed two"),
        pytest.param("2024-05-27", "CAD", "TSE", "2024-05-28", id="Toronto: a day before New York"),
    ],
)
def test_the_listing_says_in_which_market_a_trade_settles(traded_on, currency, listing, settles):
    day = date.fromisoformat(traded_on)
    assert settlement_of(day, currency, primary_exchange=listing).day.isoformat() == settles
    assert settlement_of(day, currency, exchange=listing).day.isoformat() == settles
    found = settlement_of(day, currency, exchange="XYZ", primary_exchange=listing.lower())
    assert (found.day.isoformat(), found.is_known) == (settles, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("currency", "listing"),
    [("EUR", ""), ("GBP", ""), ("CHF", ""), ("EUR", "SBF"), ("USD", "LSEETF"), ("SEK", "SFB")],
)
def test_europe_needs_one_day_from_october_2027(currency, listing):
    found = [
        settlement_of(date(2027, 10, day), currency, primary_exchange=listing) for day in (8, 11, 12)
    ]  # a Friday, then Monday and Tuesday; Columbus Day is the 11th
    assert [one.day.day for one in found] == [12 if currency != "USD" else 13, 12, 13]


@pytest.mark.slow
def test_osaka_is_not_oslo():
    """Oslo is open on 4 to 6 May, Tokyo is not: for an exchange that is not known the currency's home counts."""
    found = settlement_of(date(2026, 4, 30), "JPY", primary_exchange="OSE.JPN")
    assert (found.day.isoformat(), found.is_known) == ("2026-05-07", True)
    assert settlement_of(date(2026, 4, 30), "NOK", primary_exchange="OSE").day.isoformat() == "2026-05-05"


def test_a_market_whose_currency_has_no_known_holidays_gives_a_later_day():
    found = settlement_of(date(2026, 11, 23), "SGD", primary_exchange="LSEETF")
    assert (found.day.isoformat(), found.is_known) == ("2026-11-30", False)
