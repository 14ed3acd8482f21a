"""How old a quote may be, and by which clock its age is measured. Pure.

A broker's quotes are held to a limit by default, those that a user gives by hand only to a limit that is named.
The broker's own clock counts: that of the wire simulator may be set to another day.
"""

from __future__ import annotations

import math
from datetime import time, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.risk.limits import AUTO

if TYPE_CHECKING:
    from datetime import datetime

    from stocklean_exec.portfolio.account_state import AccountState
    from stocklean_exec.risk.limits import Limits

__all__ = ["BROKER_QUOTE_AGE", "QuoteAge", "is_regular_session", "quote_age"]

BROKER_QUOTE_AGE = 60.0
"""Seconds that a broker's quote may be old by default. A stated choice: a liquid share is quoted every second."""

_NEW_YORK = ZoneInfo("America/New_York")
_OPEN, _CLOSE = time(9, 30), time(16, 0)  # the core session of NYSE and Nasdaq
_SATURDAY = 5


class QuoteAge(NamedTuple):
    """The limit on the age of quotes, as it applies to one check.

    ``limit`` in seconds, NaN for none; ``only_warns`` whether an older quote warns instead of blocking; ``shift``
    is added to the time of each quote, so that its age by the broker's clock is one by the clock of the check.
    """

    limit: float = math.nan
    only_warns: bool = False
    shift: float = 0.0


def is_regular_session(at: datetime) -> bool:
    """Whether ``at`` is in the regular session of New York: Monday to Friday, 9:30 to 16:00, holidays included.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> monday, sunday = datetime(2026, 11, 23, 14, 30, tzinfo=UTC), datetime(2026, 11, 22, 17, tzinfo=UTC)
    >>> is_regular_session(monday), is_regular_session(sunday)
    (True, False)
    """
    there = at.astimezone(_NEW_YORK)
    return there.weekday() < _SATURDAY and _OPEN <= there.time() < _CLOSE


def quote_age(
    limits: Limits, state: AccountState | None, *, now: datetime, elapsed_to: datetime | None
) -> QuoteAge:
    """Find the limit on the age of quotes.

    Parameters
    ----------
    limits : with ``max_quote_age``
    state : the account state that the quotes are from; None for quotes given by hand
    now : the time of the check
    elapsed_to : this computer's time, if ages are measured by the broker's clock, which advances from the reading
        of the quotes as this computer's does; None if ``now`` was named by the user, and is the broker's time
    """
    read_at = None if state is None else state.read_at
    taken_at = None if state is None else state.taken_at.get("quotes")
    at, shift = now, timedelta(0)
    if read_at is not None and taken_at is not None and elapsed_to is not None:
        at = taken_at + (elapsed_to - read_at)
        shift = now - at
    if limits.max_quote_age == AUTO:
        if read_at is None:
            return QuoteAge(shift=shift.total_seconds())
        return QuoteAge(BROKER_QUOTE_AGE, not is_regular_session(at), shift.total_seconds())
    limit = math.nan if limits.max_quote_age is None else float(limits.max_quote_age)
    return QuoteAge(limit, shift=shift.total_seconds())
