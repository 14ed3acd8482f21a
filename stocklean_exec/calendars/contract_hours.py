"""A contract's own hours, as TWS reports them with the contract's details. Pure.

TWS names a time zone and lists days: ``20261126:CLOSED;20261127:0930-20261127:1300``. A session may begin on the
evening before, and a day may have several. Servers before 2018 omit the date of the end
(``20180320:1715-1700,1730-1800``). What cannot be read is skipped and named: hours that are not known never stop
a plan, whose hours are those of the exchange's calendar then.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.calendars.sessions import Schedule, Session

__all__ = ["ContractHours", "contract_zone", "read_hours"]

_ZONES = {
    "EST": "America/New_York",  # to ZoneInfo a fixed offset, without summer time
    "CST": "America/Chicago",
    "MST": "America/Denver",  # to ZoneInfo a fixed offset as well
    "PST": "America/Los_Angeles",
    "JST": "Asia/Tokyo",
    "HKT": "Asia/Hong_Kong",
    "CTT": "Asia/Shanghai",
    "ECT": "Europe/Paris",
    "AET": "Australia/Sydney",
    "IST": "Asia/Kolkata",
    "MET": "Europe/Berlin",
    "CET": "Europe/Berlin",
}
"""Abbreviations in place of a name of the time zone database: some were seen at TWS, others its Java knows
(``java.time.ZoneId.SHORT_IDS``). ``BST`` is not included: it is the summer time of London, and to Java Dhaka."""

_DAY = re.compile(r"(\d{8}):(.*)", re.ASCII)
_SPAN = re.compile(r"(?:(\d{8}):)?(\d{2})(\d{2})-(?:(\d{8}):)?(\d{2})(\d{2})", re.ASCII)
_CLOSED = "CLOSED"
_SHOWN = 40  # characters of a text that cannot be read: a choice
_KEPT = 256  # texts read: a choice, as most contracts of an exchange have the same
_DAYS_LISTED = 6
"""Days that TWS lists: they have a Saturday or a Sunday among them."""
_EARLY = timedelta(minutes=10)
"""A close this much before the latest one of the list is early: a choice, more than a closing auction takes."""


class ContractHours(NamedTuple):
    """When a contract trades, as far as TWS has reported it; ``problem`` says what could not be read."""

    schedule: Schedule | None
    never_closes: bool = False
    problem: str = ""


def contract_zone(name: str) -> ZoneInfo | None:
    """Time zone by TWS's name; None for one that is not known.

    Examples
    --------
    >>> for name in ("US/Eastern", "EST (Eastern Standard Time)", "JST", "Nowhere/Land"):
    ...     print(contract_zone(name))
    US/Eastern
    America/New_York
    Asia/Tokyo
    None
    """
    short = name.partition("(")[0].strip()
    try:
        return ZoneInfo(_ZONES.get(short.upper(), short))
    except (KeyError, ValueError, OSError):  # OSError: a name that is a folder of the database
        return None


@lru_cache(maxsize=_KEPT)
def read_hours(text: str, zone: str) -> ContractHours:
    """Read TWS's ``liquidHours`` or ``tradingHours``.

    Parameters
    ----------
    text : days in ascending sequence, with semicolons between them; empty where TWS reports none
    zone : TWS's ``timeZoneId``

    Examples
    --------
    >>> hours = read_hours("20261126:CLOSED;20261127:0930-20261127:1300", "US/Eastern")
    >>> [(session.day.isoformat(), f"{session.closes_at:%H:%M}") for session in hours.schedule.sessions]
    [('2026-11-27', '18:00')]
    >>> read_hours("20261127:0930-20261127:1300", "Nowhere/Land").problem
    "TWS reports the hours in time zone 'Nowhere/Land', which is not known"
    """
    if not text.strip():
        return ContractHours(None)
    place = contract_zone(zone)
    if place is None:
        return ContractHours(None, problem=f"TWS reports the hours in time zone {zone!r}, which is not known")
    days: dict[date, list[tuple[datetime, datetime]]] = {}
    unread = []
    for part in filter(None, (one.strip() for one in text.split(";"))):
        try:
            day, spans = _read_day(part, place)
        except ValueError:
            unread.append(part[:_SHOWN])
        else:
            days.setdefault(day, []).extend(spans)
    problem = f"TWS's hours {unread[0]!r} cannot be read" if unread else ""
    if unread or not days:
        return ContractHours(None, problem=problem or "TWS's hours are empty")
    return ContractHours(_schedule(days, place), _never_closes(days))


def _read_day(part: str, place: ZoneInfo) -> tuple[date, list[tuple[datetime, datetime]]]:
    """Read one day: its date, and when it trades.

    Raises
    ------
    ValueError
        It is not such a text.
    """
    found = _DAY.fullmatch(part)
    if found is None:
        raise ValueError(part)
    day, rest = _date(found[1]), found[2]
    if rest.strip().upper() == _CLOSED:
        return day, []
    return day, [_read_span(day, text.strip(), place) for text in rest.split(",")]


def _read_span(day: date, text: str, place: ZoneInfo) -> tuple[datetime, datetime]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    first, hour, minute, last, end_hour, end_minute = found.groups()
    starts_on = _date(first) if first else day
    ends_on = _date(last) if last else day
    opens = _moment(starts_on, int(hour), int(minute), place)
    closes = _moment(ends_on, int(end_hour), int(end_minute), place)
    if closes <= opens and not last:  # the day is that of the end: a session that began on the evening before
        opens = _moment(starts_on - timedelta(days=1), int(hour), int(minute), place)
    if closes <= opens:
        raise ValueError(text)
    return opens, closes


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()


def _moment(day: date, hour: int, minute: int, place: ZoneInfo) -> datetime:
    """The moment in UTC; hour 24 is midnight at the end of the day."""
    if (hour, minute) == (24, 0):
        day, hour = day + timedelta(days=1), 0
    return datetime.combine(day, time(hour, minute), place).astimezone(UTC)


def _schedule(days: dict[date, list[tuple[datetime, datetime]]], place: ZoneInfo) -> Schedule:
    """Sessions of the listed days, and of the evening before the first one if it trades."""
    spans = {day: tuple(sorted(found)) for day, found in sorted(days.items()) if found}
    closes = {day: _wall_time(day, found[-1][1], place) for day, found in spans.items()}
    latest = max(closes.values(), default=timedelta(0))
    sessions = tuple(Session(day, found, latest - closes[day] >= _EARLY) for day, found in spans.items())
    start, end = _moment(min(days), 0, 0, place), _moment(max(days), 24, 0, place)
    return Schedule(
        tuple(sorted(sessions, key=lambda session: session.opens_at)),
        min([start, *(session.opens_at for session in sessions)]),
        end,
    )


def _wall_time(day: date, moment: datetime, place: ZoneInfo) -> timedelta:
    """Local clock time from midnight of ``day``: the same in summer and in winter."""
    return moment.astimezone(place).replace(tzinfo=None) - datetime.combine(day, time(0))


def _never_closes(days: dict[date, list[tuple[datetime, datetime]]]) -> bool:
    """Whether the listed days, at least six of which TWS lists, are one span without a gap."""
    spans = sorted(span for found in days.values() for span in found)
    if len(days) < _DAYS_LISTED or not all(days.values()):
        return False
    return all(later[0] <= earlier[1] for earlier, later in pairwise(spans))
