"""Times of a basket file, as TWS's BasketTrader writes and takes them: ``YYYYMMDD hh:mm:ss`` and a time zone.

Without a zone TWS takes the one from which an order comes, which a file does not state. So a zone is always
written, and one is needed to read a time. Pure.

The format is that of ibkrguides.com/traderworkstation/basket-fields.htm (2026-11).
"""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from stocklean_exec.errors import Problem
from stocklean_exec.schema.frame_validator import as_utc, shown

__all__ = ["basket_time", "read_basket_time"]

_TIME = re.compile(r"(\d{8} \d\d:\d\d:\d\d)(?: (\S+))?", re.ASCII)
_WITHOUT_SUMMER_TIME = {"EST": "US/Eastern", "MST": "US/Mountain"}
"""Zones that tables of zones have without summer time, and the ones that people mean by them."""


def basket_time(stamp: pd.Timestamp) -> str:
    """Time as it is written, in UTC and whole seconds; a part of a second has no place.

    Examples
    --------
    >>> basket_time(pd.Timestamp("2026-11-24 16:00", tz="America/New_York"))
    '20261124 21:00:00 UTC'
    """
    return f"{stamp.tz_convert('UTC'):%Y%m%d %H:%M:%S} UTC"


def read_basket_time(text: str, name: str) -> pd.Timestamp | Problem:
    """Time of a cell, in UTC; or what is wrong with it, with the fix.

    Parameters
    ----------
    text : the cell; its zone is ``UTC`` or a name such as ``US/Eastern``
    name : of its column

    Returns
    -------
    Timestamp, or a problem: ``naive_time`` (no zone), ``time_ambiguous`` (clocks go back over it, or its zone may
    be one of two) or ``time_dtype`` (no time)

    Examples
    --------
    >>> read_basket_time("20261124 16:00:00 US/Eastern", "GoodTilDate")
    Timestamp('2026-11-24 21:00:00+0000', tz='UTC')
    >>> read_basket_time("20261101 01:30:00 US/Eastern", "GoodTilDate").detail
    "GoodTilDate '20261101 01:30:00 US/Eastern' is two times, as clocks go back over it; write it in UTC"
    """
    found = _TIME.fullmatch(text)
    if found is None:
        fix = "is not a time such as 20261124 21:00:00 UTC; a spreadsheet rewrites times: correct it in the file"
        return _problem("time_dtype", name, text, fix)
    clock, zone = found.groups()
    if zone is None:
        fix = (
            "has no time zone, and TWS would take the one of the order's origin; write UTC or US/Eastern after it"
        )
        return _problem("naive_time", name, text, fix)
    if zone in _WITHOUT_SUMMER_TIME:
        meant = _WITHOUT_SUMMER_TIME[zone]
        return _problem("time_ambiguous", name, text, f"may be without summer time, or {meant}; write it in UTC")
    try:
        local = datetime.strptime(clock, "%Y%m%d %H:%M:%S").replace(tzinfo=_zone_of(zone))
    except ValueError:
        return _problem("time_dtype", name, text, "is not a valid date and time; correct it")
    except (OSError, ZoneInfoNotFoundError):
        fix = (
            f"has a time zone {zone} that is in no table of zones; write it in UTC, or name one such as US/Eastern"
        )
        return _problem("time_dtype", name, text, fix)
    return _in_utc(local, name, text)


def _zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo("UTC" if name.upper() in {"UTC", "GMT"} else name)
    except ValueError as error:  # a name that would be a path
        raise ZoneInfoNotFoundError(name) from error


def _in_utc(local: datetime, name: str, text: str) -> pd.Timestamp | Problem:
    """The one moment of a local time; PEP 495 says how ``fold`` marks clock changes."""
    first, second = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if first is not None and second is not None and first > second:
        return _problem("time_ambiguous", name, text, "is two times, as clocks go back over it; write it in UTC")
    if first != second:
        return _problem("time_dtype", name, text, "does not exist, as clocks go forward over it; write it in UTC")
    stamp = as_utc(local, name)
    return stamp if isinstance(stamp, pd.Timestamp) else _problem("time_dtype", name, text, "is too far away")


def _problem(code: str, name: str, text: str, fix: str) -> Problem:
    return Problem(code, f"{name} {shown(text)} {fix}", column=name)
