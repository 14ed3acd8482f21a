"""Trading hours: always open, New York hours, Monday to Friday, or a session of any length every 24 hours.

Pure. Holidays are not modelled. Instants are seconds since 1970 UTC.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["CLOSES", "OPENS", "Calendar", "settlement"]

OPENS, CLOSES = time(9, 30), time(16, 0)
"""The core session of NYSE and Nasdaq, New York time."""
_ZONE = ZoneInfo("America/New_York")
_DAY = 86_400.0  # seconds
_SATURDAY = 5  # as date.weekday counts


class Calendar:
    """Trading hours of the exchange.

    Parameters
    ----------
    hours : ``always`` or ``exchange``
    session : open and close of the first of equal daily sessions, which take the place of ``hours``

    Examples
    --------
    >>> calendar = Calendar("exchange")
    >>> thursday_ten = 1672326000.0
    >>> calendar.is_open(thursday_ten), calendar.is_open(thursday_ten + 7 * 3600)
    (True, False)
    >>> calendar.next_open_text(thursday_ten + 7 * 3600)
    '2022-12-30 09:30:00 US/Eastern'
    >>> short = Calendar("always", (thursday_ten, thursday_ten + 600))
    >>> short.is_open(thursday_ten + 599), short.is_open(thursday_ten + 600)
    (True, False)
    """

    def __init__(self, hours: str, session: tuple[float, float] | None = None) -> None:
        self.always = hours == "always" and session is None
        self._session = session

    def is_open(self, instant: float) -> bool:
        """Whether the regular session is open."""
        if self.always:
            return True
        if self._session is not None:
            opens, closes = self._session
            return (instant - opens) % _DAY < closes - opens if instant >= opens else False
        local = datetime.fromtimestamp(instant, _ZONE)
        return local.weekday() < _SATURDAY and OPENS <= local.time() < CLOSES

    def next_open(self, instant: float) -> float:
        """The next open after ``instant``."""
        if self._session is not None:
            return _repeated(self._session[0], instant)
        return _next(instant, OPENS)

    def next_close(self, instant: float) -> float:
        """The next close after ``instant``."""
        if self._session is not None:
            return _repeated(self._session[1], instant)
        return _next(instant, CLOSES)

    def next_open_text(self, instant: float) -> str:
        """The next open, formatted as in message 399."""
        return f"{datetime.fromtimestamp(self.next_open(instant), _ZONE):%Y-%m-%d %H:%M:%S} US/Eastern"

    def trading_hours(self, instant: float, days: int = 6) -> tuple[str, str]:
        """TradingHours and liquidHours of contract details for ``days`` days, round the clock if always open."""
        if self._session is not None:
            return (_daily(self._session, instant, days),) * 2
        first = datetime.fromtimestamp(instant, _ZONE).date()
        dates = [first + timedelta(days=number) for number in range(days)]
        if self.always:
            texts = (f"{day:%Y%m%d}:0000-{day + timedelta(days=1):%Y%m%d}:0000" for day in dates)
            return (whole := ";".join(texts)), whole
        return _hours(dates, "0400", "2000"), _hours(dates, "0930", "1600")


def settlement(instant: float, days: int) -> float:
    """When a trade at ``instant`` settles: midnight in New York, ``days`` weekdays after its day; 0 for at once.

    Examples
    --------
    A trade on Friday 2022-12-30 settles in one day on Monday, 2023-01-02 05:00 UTC.

    >>> settlement(1672326000.0 + 86_400, 1), settlement(1672326000.0, 0)
    (1672635600.0, 0.0)
    """
    if days <= 0:
        return 0.0
    day = datetime.fromtimestamp(instant, _ZONE).date()
    for _ in range(days):
        day += timedelta(days=3 if day.weekday() == _SATURDAY - 1 else 1)
    return datetime.combine(day, time(0), _ZONE).timestamp()


def _next(instant: float, at: time) -> float:
    local = datetime.fromtimestamp(instant, _ZONE)
    candidate = datetime.combine(local.date(), at, _ZONE)
    while candidate <= local or candidate.weekday() >= _SATURDAY:
        candidate = datetime.combine(candidate.date() + timedelta(days=1), at, _ZONE)
    return candidate.timestamp()


def _repeated(first: float, instant: float) -> float:
    """The next of daily instants after ``instant``."""
    return first if instant < first else first + ((instant - first) // _DAY + 1) * _DAY


def _daily(session: tuple[float, float], instant: float, days: int) -> str:
    """Daily sessions from the present or next one; the close is rounded up to a minute."""
    passed = max((instant - session[1]) // _DAY + 1, 0.0)
    pairs = [[one + (passed + number) * _DAY for one in session] for number in range(days)]
    texts = [
        [
            f"{datetime.fromtimestamp(one + late, _ZONE):%Y%m%d:%H%M}"
            for one, late in zip(pair, (0, 59), strict=True)
        ]
        for pair in pairs
    ]
    return ";".join(f"{opens}-{closes}" for opens, closes in texts)


def _hours(dates: list[date], first: str, last: str) -> str:
    return ";".join(
        f"{day:%Y%m%d}:CLOSED" if day.weekday() >= _SATURDAY else f"{day:%Y%m%d}:{first}-{day:%Y%m%d}:{last}"
        for day in dates
    )
