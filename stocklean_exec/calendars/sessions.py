"""The sessions of exchanges, and of anything else that opens and closes.

The one place that builds calendars of `exchange_calendars`. Such a calendar ends a year after it is built, and a
process may run for longer: a calendar is built here for the years around the time that is asked for, and another
one when that time leaves them.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import date

__all__ = ["Schedule", "Session", "exchange_schedule"]

_YEARS_BEFORE, _YEARS_AFTER = 1, 2  # a choice: the longest closures and settlement cycles take weeks
_CALENDARS = 32  # kept: a choice, above the number of markets of one account; each is below 2 MB


class Session(NamedTuple):
    """One trading day: when it trades, in UTC. There are two spans where there is a break at noon."""

    day: date
    spans: tuple[tuple[datetime, datetime], ...]
    is_early: bool = False
    """Whether it closes earlier than on other days."""

    @property
    def opens_at(self) -> datetime:
        """The open."""
        return self.spans[0][0]

    @property
    def closes_at(self) -> datetime:
        """The scheduled close."""
        return self.spans[-1][1]


@dataclass(frozen=True)
class Schedule:
    """Sessions in ascending sequence, and the time from ``start`` to before ``end`` for which they are known.

    A market is open from the open to before the close: at the minute of the close it is closed.
    """

    sessions: tuple[Session, ...]
    start: datetime
    end: datetime

    @cached_property
    def _closes(self) -> list[datetime]:
        return [session.closes_at for session in self.sessions]

    @cached_property
    def _trading(self) -> list[tuple[datetime, datetime]]:
        return [span for session in self.sessions for span in session.spans]

    @cached_property
    def _opens(self) -> list[datetime]:
        return [opens for opens, _ in self._trading]

    @cached_property
    def _by_day(self) -> dict[date, Session]:
        return {session.day: session for session in self.sessions}

    def covers(self, at: datetime) -> bool:
        """Whether the sessions of this time are known."""
        return self.start <= at < self.end

    def is_open(self, at: datetime) -> bool:
        """Whether it trades."""
        place = bisect_right(self._opens, at) - 1
        return place >= 0 and at < self._trading[place][1]

    def next_open(self, at: datetime) -> datetime | None:
        """The first open after ``at``, also that after a break; None where it is not known."""
        place = bisect_right(self._opens, at)
        return self._opens[place] if place < len(self._opens) else None

    def current_or_next(self, at: datetime) -> Session | None:
        """The session that has not closed yet; None where it is not known."""
        place = bisect_right(self._closes, at)
        return self.sessions[place] if place < len(self.sessions) else None

    def last_closed(self, at: datetime) -> Session | None:
        """The latest session that has closed; None where it is not known."""
        place = bisect_right(self._closes, at)
        return self.sessions[place - 1] if place else None

    def on(self, day: date) -> Session | None:
        """The session of a day; None if there is none."""
        return self._by_day.get(day)

    def days_after(self, day: date) -> list[date]:
        """Days of the sessions after ``day``."""
        return [session.day for session in self.sessions if session.day > day]


def exchange_schedule(calendar: str, on: date) -> Schedule | None:
    """Sessions of an exchange around a day, at least a year back and two ahead; None where they are not known.

    Parameters
    ----------
    calendar : ISO 10383 code of the exchange, such as ``XNYS``
    on : the day that is asked for

    Examples
    --------
    Thanksgiving of 2026, and the half day after it (NYSE, "Holidays and Trading Hours").

    >>> from datetime import date
    >>> schedule = exchange_schedule("XNYS", date(2026, 11, 26))
    >>> print(schedule.on(date(2026, 11, 26)), schedule.on(date(2026, 11, 27)).closes_at)
    None 2026-11-27 18:00:00+00:00
    """
    return _of_years(calendar, on.year - _YEARS_BEFORE, on.year + _YEARS_AFTER)


@lru_cache(maxsize=_CALENDARS)
def _of_years(calendar: str, first: int, last: int) -> Schedule | None:
    import exchange_calendars  # noqa: PLC0415 - a tenth of a second, beside another tenth for each calendar

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 4.13 calls what a later pandas will have removed
            found = exchange_calendars.get_calendar(calendar, start=f"{first}-01-01", end=f"{last}-12-31")
    except (ValueError, exchange_calendars.errors.CalendarError):  # outside of the years it has, or not known
        return None
    early = set(found.early_closes)
    sessions = tuple(
        Session(day.date(), _spans([_utc(moment) for moment in moments]), day in early)
        for day, *moments in found.schedule[["open", "break_start", "break_end", "close"]].itertuples()
    )
    start, end = (datetime(year, 1, 1, tzinfo=found.tz).astimezone(UTC) for year in (first, last + 1))
    return Schedule(sessions, start, end)


def _utc(moment: Any) -> datetime | None:  # noqa: ANN401 - a pandas Timestamp or NaT; pandas is not loaded here
    """The moment in UTC; None for NaT, which alone differs from itself."""
    return moment.to_pydatetime().replace(tzinfo=UTC) if moment == moment else None  # noqa: PLR0124 - see above


def _spans(moments: list[datetime | None]) -> tuple[tuple[datetime, datetime], ...]:
    """When a session trades, from its open, the start and the end of its break, and its close."""
    known = [moment for moment in moments if moment is not None]
    return tuple(zip(known[::2], known[1::2], strict=True))
