"""A time at which to start, such as ``15:45 America/New_York``, and whether markets trade on that day. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LATE", "Start", "closed_day", "parse_start"]

_FORM = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2}))?\s+(\S+)", re.ASCII)
LATE = timedelta(minutes=1)
"""How late a start may be, which begins at once then: a choice, the resolution of cron."""


class Start(NamedTuple):
    """When to start, in UTC, and from when to when its day is, in the time zone that was named."""

    moment: datetime
    day_begins: datetime
    day_ends: datetime


def parse_start(text: str, now: datetime, option: str = "--at", *, late: timedelta = LATE) -> Start:
    """Read a time of day with its time zone, today's in that zone unless a date is before it.

    Parameters
    ----------
    text : such as ``15:45 America/New_York`` or ``2026-11-27 12:45 America/New_York``
    now : the present
    option : what the time was given for, for the error
    late : how long ago it may have been

    Raises
    ------
    InputError
        It is no such time, or it has passed by more than ``late``, by default a minute.

    Examples
    --------
    >>> start = parse_start("15:45 America/New_York", datetime(2026, 11, 30, 15, 0, tzinfo=UTC))
    >>> start.moment.isoformat(), start.day_begins.isoformat()
    ('2026-11-30T20:45:00+00:00', '2026-11-30T05:00:00+00:00')
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise _refusal(option, f"{shown(text)} is not a time with its time zone, such as '15:45 America/New_York'")
    day, hour, minute, second, name = found.groups()
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a name that is a folder of the database
        raise _refusal(option, f"time zone {shown(name)} is not known; America/New_York is one") from None
    try:
        date = now.astimezone(zone).date() if day is None else datetime.fromisoformat(day).date()
        local = datetime.combine(date, time(int(hour), int(minute), int(second or 0)), zone)
        begins = datetime.combine(date, time(0), zone)
        ends = datetime.combine(date + timedelta(days=1), time(0), zone)
    except (ValueError, OverflowError):
        raise _refusal(option, f"{shown(text)} is no time of day, or no date") from None
    start = Start(*(each.astimezone(UTC) for each in (local, begins, ends)))
    if now - start.moment > late:
        raise _refusal(option, f"{shown(text)} has passed: it is {now.astimezone(zone):%Y-%m-%d %H:%M:%S} there")
    return start


def closed_day(hours: pd.DataFrame, start: Start) -> str:
    """Say why nothing can be traded on the day of a start; empty if a market trades, or if none is known.

    Parameters
    ----------
    hours : from :func:`~stocklean_exec.market_hours`, at the beginning of the day
    start : the start
    """
    known = hours[hours["is_open"].notna() & hours["opens_at"].notna()]
    trades = known["is_open"].astype("bool") | (known["opens_at"] < start.day_ends)
    if known.empty or trades.any():
        return ""
    opens = known["opens_at"].min()
    return f"no market of the targets trades on that day: the next one opens at {opens:%Y-%m-%d %H:%M} UTC"


def _refusal(option: str, text: str) -> InputError:
    return InputError(option, [Problem("option_invalid", text)])
