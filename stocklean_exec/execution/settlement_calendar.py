"""The day on which a trade settles, with the holidays of its market.

Sessions are those of `exchange_calendars`. A settlement day also needs open banks: in the United States shares
trade on Columbus Day and Veterans Day, and nothing settles (FINRA, "Extended hours trade reporting and settlement"
notices of each autumn; the Federal Reserve is closed). For a market that is not known here, the day is later.
"""

from __future__ import annotations

import warnings
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import date

__all__ = ["Settlement", "settlement_of"]

_CALENDARS = {
    "USD": "XNYS",
    "EUR": "XETR",  # closed on every day on which Euronext, or TARGET, is closed
    "GBP": "XLON",
    "JPY": "XTKS",
    "CAD": "XTSE",
    "CHF": "XSWX",
    "HKD": "XHKG",
    "AUD": "XASX",
    "MXN": "XMEX",
}
"""ISO 10383 code of the exchange whose sessions count, by the currency of the shares."""
_ONE_DAY = frozenset({"USD", "CAD", "MXN"})
"""Currencies whose shares settle one business day after the trade, since May 2024 (Interactive Brokers,
"Settlement"); all others need two."""
_AHEAD = timedelta(days=30)  # longer than any closure of a stock exchange in this century
_SPARE = 3  # weekdays added where holidays are not known: Easter and New Year take two, Tokyo's Golden Week three
_FRIDAY = 4  # date.weekday() of it


class Settlement(NamedTuple):
    """The day on which a trade settles, and whether the holidays of its market are known."""

    day: date
    is_known: bool

    @property
    def note(self) -> str:
        """What to say beside the day; empty where it is known."""
        return "" if self.is_known else f" (holidays of that market are not known here: {_SPARE} days are added)"


def settlement_of(traded_on: date, currency: str) -> Settlement:
    """Find the day on which a trade of shares in ``currency`` settles, in the market of that currency.

    Examples
    --------
    >>> from datetime import date
    >>> settlement_of(date(2026, 11, 25), "USD").day.isoformat()  # the day before Thanksgiving
    '2026-11-27'
    >>> settlement_of(date(2026, 11, 25), "SGD")  # one weekday less where the holidays of Singapore are known
    Settlement(day=datetime.date(2026, 12, 2), is_known=False)
    """
    count = 1 if currency in _ONE_DAY else 2
    days = _business_days(currency, traded_on)
    if len(days) >= count:
        return Settlement(days[count - 1], is_known=True)
    day, left = traded_on, count + _SPARE
    while left:
        day += timedelta(days=1)
        left -= day.weekday() <= _FRIDAY
    return Settlement(day, is_known=False)


@lru_cache(maxsize=64)
def _business_days(currency: str, after: date) -> tuple[date, ...]:
    """Days after ``after`` on which trades settle; none where the market, or that time, is not known."""
    import exchange_calendars  # noqa: PLC0415 - takes a second, and is needed for cash accounts only
    from pandas.tseries.holiday import USFederalHolidayCalendar  # noqa: PLC0415 - with it

    name = _CALENDARS.get(currency)
    if name is None:
        return ()
    end = after + _AHEAD
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 4.13 calls what a later pandas will have removed
            calendar = exchange_calendars.get_calendar(name, start=after, end=end)
    except ValueError:  # outside of the years that the calendar has
        return ()
    closed: set[date] = set()
    if currency == "USD":
        closed = {day.date() for day in USFederalHolidayCalendar().holidays(after, end)}
    return tuple(day.date() for day in calendar.sessions if day.date() > after and day.date() not in closed)
