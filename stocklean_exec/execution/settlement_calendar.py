"""The day on which a trade settles, with the holidays of its market.

Sessions are those of `exchange_calendars`. A settlement day also needs open banks: in the United States shares
trade on Columbus Day and Veterans Day, and nothing settles (FINRA, "Extended hours trade reporting and settlement"
notices of each autumn; the Federal Reserve is closed). For a market that is not known here, the day is later.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from stocklean_exec.calendars.markets import Market, home_market, market_at
from stocklean_exec.calendars.sessions import exchange_schedule

__all__ = ["Settlement", "settlement_of"]


_EUROPE = frozenset(
    {"XETR", "XFRA", "XPAR", "XAMS", "XBRU", "XLIS", "XMIL", "XMAD", "XWBO", "XHEL", "XSTO", "XCSE", "XOSL"}
    | {"XLON", "XSWX"}
)
"""Exchanges of the European Economic Area, the United Kingdom and Switzerland, which change on one day."""

_ONE_DAY_SINCE = {
    "XNYS": date(2024, 5, 28),
    "XTSE": date(2024, 5, 27),
    "XMEX": date(2024, 5, 27),
    **dict.fromkeys(_EUROPE, date(2027, 10, 11)),
}
"""First day whose trades settle one business day later; before it, and elsewhere, they need two.

United States: SEC Release 34-96930 of 15 February 2023. Canada and Mexico: the day before (Interactive Brokers,
"Settlement"). European Union: amendment of Regulation 909/2014 (CSDR), proposed on 12 February 2025.
United Kingdom: report of the Accelerated Settlement Taskforce of February 2025. Switzerland: recommendation of the
Swiss Securities Post-Trade Council of January 2025.
"""
_AHEAD = timedelta(days=30)  # longer than any closure of a stock exchange in this century
_SPARE = 3  # weekdays added where holidays are not known: Easter and New Year take two, Tokyo's Golden Week three
_FRIDAY = 4  # date.weekday() of it


class Settlement(NamedTuple):
    """The day on which a trade settles, and whether the holidays of its market are known."""

    day: date
    is_known: bool

    @property
    def note(self) -> str:
        """Note to show beside the day; empty where it is known."""
        return "" if self.is_known else f" (holidays of that market are not known here: {_SPARE} days are added)"


def settlement_of(traded_on: date, currency: str, *, exchange: str = "", primary_exchange: str = "") -> Settlement:
    """Find the day on which a trade of shares settles, by the cycle and the holidays of its market.

    The market is that of ``primary_exchange``, else of ``exchange``, else, where neither is known (``SMART`` is no
    market), the home market of ``currency``. Where the shares are in another currency than that of the market, the
    banks of that currency must be open too.

    Examples
    --------
    >>> from datetime import date
    >>> settlement_of(date(2026, 11, 25), "USD").day.isoformat()  # the day before Thanksgiving
    '2026-11-27'
    >>> settlement_of(date(2026, 11, 23), "USD", primary_exchange="LSEETF").day.isoformat()
    '2026-11-25'
    >>> settlement_of(date(2026, 11, 25), "SGD")  # one weekday less where the holidays of Singapore are known
    Settlement(day=datetime.date(2026, 12, 2), is_known=False)
    """
    market = _market_of(currency, exchange, primary_exchange)
    since = None if market is None else _ONE_DAY_SINCE.get(market.calendar)
    count = 1 if since is not None and traded_on >= since else 2
    days = () if market is None else _business_days(market, currency, traded_on)
    if len(days) >= count:
        return Settlement(days[count - 1], is_known=True)
    day, left = traded_on, count + _SPARE
    while left:
        day += timedelta(days=1)
        left -= day.weekday() <= _FRIDAY
    return Settlement(day, is_known=False)


def _market_of(currency: str, exchange: str, primary_exchange: str) -> Market | None:
    return market_at(primary_exchange) or market_at(exchange) or home_market(currency)


def _business_days(market: Market, currency: str, after: date) -> list[date]:
    """Days after ``after`` on which trades settle; none where a market, or that time, is not known."""
    days = _days(market, after)
    if currency == market.currency:
        return list(days)
    home = home_market(currency)
    both = set() if home is None else set(_days(home, after))
    return [day for day in days if day in both]


@lru_cache(maxsize=64)
def _days(market: Market, after: date) -> tuple[date, ...]:
    """Days after ``after`` on which a market trades and its banks are open; none where they are not known."""
    schedule = exchange_schedule(market.calendar, after)
    if schedule is None:  # outside of the years that the calendar has
        return ()
    end = after + _AHEAD
    closed: set[date] = set()
    if market.currency == "USD":
        from pandas.tseries.holiday import USFederalHolidayCalendar  # noqa: PLC0415 - needed for cash accounts only

        closed = {day.date() for day in USFederalHolidayCalendar().holidays(after, end)}
    return tuple(day for day in schedule.days_after(after) if day <= end and day not in closed)
