"""The hours of one listing at one time: from its contract if TWS reports them, else from its exchange's calendar.

What is not known is missing, with the reason beside it. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec.calendars.auctions import auctions_at, earliest_auctions
from stocklean_exec.calendars.contract_hours import ContractHours, read_hours
from stocklean_exec.calendars.markets import Market, home_market, market_at
from stocklean_exec.calendars.sessions import Schedule, Session, exchange_schedule

if TYPE_CHECKING:
    from stocklean_exec.calendars.auctions import Auctions

__all__ = ["TRADING_HOURS", "Instrument", "MarketHours", "hours_of", "instruments_of", "with_reported_hours"]

TRADING_HOURS = ("symbol", "con_id", "primary_exchange", "hours", "time_zone")
"""Columns of what a broker reports of the hours of contracts: texts as TWS has them."""

_SMART = ("", "SMART")  # no exchange: where Interactive Brokers' router sends an order
_USUAL_CURRENCY = "USD"  # as everywhere in this package, where none is given
_TOLERANCE = timedelta(minutes=10)
"""By which calendar and contract may differ: a choice, above the closing auctions after continuous trading in
London, Paris and Frankfurt, which one of them counts and the other does not (five minutes)."""
_SHORTEST = timedelta(hours=1)
"""A session of an exchange is longer: a choice, below the two and a half hours of a half day in Hong Kong."""


class Instrument(NamedTuple):
    """Where something is listed, as far as it is known, and what TWS says of its hours."""

    exchange: str = ""
    primary_exchange: str = ""
    currency: str = _USUAL_CURRENCY
    hours: str = ""
    time_zone: str = ""


class MarketHours(NamedTuple):
    """The hours of one market at one time; None for what is not known.

    ``opens_at`` and ``closes_at`` are those of the session that is on, or else of the next one; the cut-offs are
    before them. ``disagreement`` says where contract and calendar differ.
    """

    exchange: str = ""
    calendar: str = ""
    is_open: bool | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    early_close: bool | None = None
    next_open: datetime | None = None
    moc_cutoff: datetime | None = None
    loc_cutoff: datetime | None = None
    opg_cutoff: datetime | None = None
    cancel_cutoff: datetime | None = None
    hours_from: str = ""
    never_closes: bool = False
    disagreement: str = ""
    notes: tuple[str, ...] = ()


def instruments_of(frame: pd.DataFrame) -> list[Instrument]:
    """Read where the rows of a table are listed, and what a broker says of their hours, from their columns.

    Examples
    --------
    >>> instruments_of(pd.DataFrame({"symbol": ["VOD"], "primary_exchange": ["LSE"], "currency": ["GBP"]}))
    [Instrument(exchange='', primary_exchange='LSE', currency='GBP', hours='', time_zone='')]
    """
    usual = Instrument()
    names = [name for name in Instrument._fields if name in frame.columns]
    if not names:
        return [usual] * len(frame)
    columns = [_filled(frame[name], getattr(usual, name)) for name in names]
    made = {  # a few for thousands of rows
        values: usual._replace(**dict(zip(names, map(str, values), strict=True)))
        for values in set(zip(*columns, strict=True))
    }
    return [made[values] for values in zip(*columns, strict=True)]


def _filled(column: pd.Series[Any], usual: str) -> list[object]:
    empty = column.isna()
    if not empty.any():
        return column.tolist()
    pairs = zip(column.tolist(), empty.tolist(), strict=True)
    return [usual if is_empty else value for value, is_empty in pairs]


def hours_of(instrument: Instrument, at: datetime) -> MarketHours:
    """Find the hours of one instrument at a time.

    Examples
    --------
    >>> from datetime import UTC
    >>> saturday = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
    >>> hours = hours_of(Instrument(primary_exchange="NYSE"), saturday)
    >>> hours.is_open, hours.next_open.isoformat(), hours.hours_from
    (False, '2026-11-30T14:30:00+00:00', 'calendar')
    >>> hours_of(Instrument(primary_exchange="XYZ"), saturday).notes
    ("no calendar of 'XYZ' is known",)
    """
    name, market, notes = _market_of(instrument)
    calendar = None if market is None else exchange_schedule(market.calendar, at.date())
    if market is not None and calendar is None:
        notes.append(f"the calendar of {market.calendar} has no sessions at that time")
    own = read_hours(instrument.hours, instrument.time_zone)
    if own.problem:
        notes.append(own.problem)
    found = MarketHours(exchange=name, calendar="" if market is None else market.calendar)
    if own.never_closes:
        notes.append("by the contract's own hours it never closes; the times are those of the exchange's calendar")
        found = found._replace(is_open=True, never_closes=True)
        found = _with_session(found, calendar, None, at)._replace(hours_from="contract")
    else:
        found = _with_hours(found, calendar, own, at)
        if found.disagreement:
            notes.append(found.disagreement)
    auctions = None if market is None else auctions_at(name) if name else earliest_auctions(market.calendar)
    if auctions is None and market is not None:
        notes.append(f"no cut-offs of the auctions at {name or market.calendar} are known")
    if auctions is not None and calendar is not None and found.opens_at is not None:
        found = _with_cutoffs(found, auctions, calendar, at)
        if None in (found.moc_cutoff, found.opg_cutoff):
            notes.append("that session is not the exchange's own, whose auctions have other times")
    return found._replace(notes=tuple(notes))


def _market_of(instrument: Instrument) -> tuple[str, Market | None, list[str]]:
    """Name and market of the listing, and what was assumed. A listing that is not known has no market."""
    for name in (instrument.primary_exchange.strip().upper(), instrument.exchange.strip().upper()):
        if name not in _SMART:
            market = market_at(name)
            return name, market, [] if market else [f"no calendar of {name!r} is known"]
    market = home_market(instrument.currency)
    if market is None:
        return "", None, [f"no listing is given, and no home market of {instrument.currency} is known"]
    return "", market, [f"no listing is given: {market.calendar}, the home market of {instrument.currency}"]


def _with_hours(found: MarketHours, calendar: Schedule | None, own: ContractHours, at: datetime) -> MarketHours:
    """Whether it is open: by the contract's own hours where they cover that time, else by the calendar."""
    schedule = own.schedule if own.schedule is not None and own.schedule.covers(at) else calendar
    if schedule is None:
        return found
    found = found._replace(is_open=schedule.is_open(at))
    if schedule is calendar:
        return _with_session(found, calendar, None, at)._replace(hours_from="calendar")
    found = _with_session(found, schedule, calendar, at)._replace(hours_from="contract")
    return found._replace(disagreement="" if calendar is None else _disagreement(schedule, calendar, at))


def _with_session(
    found: MarketHours, schedule: Schedule | None, later: Schedule | None, at: datetime
) -> MarketHours:
    """Add the session that is on or the next one. TWS lists some days: after them the calendar gives ``later``."""
    if schedule is None:
        return found
    session, opens = schedule.current_or_next(at), schedule.next_open(at)
    if later is not None:
        session = session or later.current_or_next(max(at, schedule.end))
        opens = opens or later.next_open(max(at, schedule.end) - timedelta(microseconds=1))
    if session is not None:
        found = found._replace(
            opens_at=session.opens_at, closes_at=session.closes_at, early_close=session.is_early
        )
    return found._replace(next_open=opens)


def _with_cutoffs(found: MarketHours, auctions: Auctions, calendar: Schedule, at: datetime) -> MarketHours:
    """Add the cut-offs of the auctions, where the session is one of the exchange, or one that closes before it.

    A simulator may have sessions of its own, and a close that was brought forward may be in no calendar yet. A
    closing auction after the close that still takes orders is that of the session that has just closed.
    """
    opens, closes = found.opens_at, found.closes_at
    own = None if opens is None else calendar.current_or_next(opens)
    if opens is None or closes is None or own is None or own.opens_at >= closes:  # the exchange is closed then
        return found
    if abs(opens - own.opens_at) <= _TOLERANCE:
        found = found._replace(opg_cutoff=opens - auctions.opg)
    ended = calendar.last_closed(at)
    if ended is not None and at < ended.closes_at - _before_close(auctions.moc, is_early=ended.is_early):
        return _with_closing(found, auctions, ended.closes_at, is_early=ended.is_early)
    if closes - opens < _SHORTEST or closes > own.closes_at + _TOLERANCE:
        return found
    is_usual = abs(closes - own.closes_at) <= _TOLERANCE
    if is_usual and auctions.moc < timedelta(0):  # the contract's hours may count the closing auction
        closes = own.closes_at
    return _with_closing(found, auctions, closes, is_early=own.is_early or not is_usual)


def _with_closing(found: MarketHours, auctions: Auctions, closes: datetime, *, is_early: bool) -> MarketHours:
    return found._replace(
        moc_cutoff=closes - _before_close(auctions.moc, is_early=is_early),
        loc_cutoff=closes - _before_close(auctions.loc, is_early=is_early),
        cancel_cutoff=closes - _before_close(auctions.cancel, is_early=is_early),
    )


def _before_close(minutes: timedelta, *, is_early: bool) -> timedelta:
    """How long before the close a cut-off is; on a half day never after it.

    The calendar's early close is the end of continuous trading in London and Frankfurt, and that of the closing
    auction in Paris and Amsterdam.
    """
    return max(minutes, timedelta(0)) if is_early else minutes


def _disagreement(own: Schedule, calendar: Schedule, at: datetime) -> str:
    """Say how the contract's hours differ from the exchange's calendar; empty where they agree."""
    mine, theirs = own.current_or_next(at), calendar.current_or_next(at)
    if mine is None or theirs is None or not _differ(mine, theirs):
        return ""
    return f"TWS and the exchange's calendar disagree: {_span(mine)} by TWS, {_span(theirs)} by the calendar"


def _differ(one: Session, other: Session) -> bool:
    return abs(one.opens_at - other.opens_at) > _TOLERANCE or abs(one.closes_at - other.closes_at) > _TOLERANCE


def _span(session: Session) -> str:
    return f"{session.opens_at:%Y-%m-%d %H:%M} to {session.closes_at:%H:%M} UTC"


def with_reported_hours(frame: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    """Add what a broker reports of each row's contract: its hours, and its listing where the row has none.

    Parameters
    ----------
    frame : with symbol, and where they are known con_id and primary_exchange
    reported : :data:`TRADING_HOURS`; the number of a contract counts before its symbol
    """
    by_symbol: dict[object, list[Any]] = {}
    by_number: dict[object, list[Any]] = {}
    for symbol, number, *values in reported[list(TRADING_HOURS)].itertuples(index=False, name=None):
        by_symbol.setdefault(symbol, values)
        by_number.setdefault(number, values)
    numbers = frame["con_id"].tolist() if "con_id" in frame.columns else [None] * len(frame)
    rows = zip(frame["symbol"].tolist(), numbers, strict=True)
    nothing = [None] * (len(TRADING_HOURS) - 2)
    found = [
        by_symbol.get(symbol, nothing) if pd.isna(number) else by_number.get(number, nothing)
        for symbol, number in rows
    ]
    listed, hours, zones = (pd.array([row[place] for row in found], dtype="str") for place in range(3))
    if "primary_exchange" in frame.columns:
        own = frame["primary_exchange"].tolist()
        pairs = zip(own, listed.tolist(), strict=True)
        listed = pd.array([other if pd.isna(one) else one for one, other in pairs], dtype="str")
    return frame.assign(primary_exchange=listed, hours=hours, time_zone=zones)
