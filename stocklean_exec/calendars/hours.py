"""Whether a market is open, when it opens and closes, and until when its auctions take orders.

The hours are those of the contract where a broker reports them, and else those of the exchange's calendar. What is
not known is missing, with the reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, cast

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.calendars.listing_hours import MarketHours, hours_of, instruments_of, with_reported_hours
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import FrameValidator, shown
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HOURS_COLUMNS", "HoursSource", "market_hours"]

HOURS_COLUMNS = {
    "symbol": "str",
    "exchange": "str",
    "is_open": "boolean",
    "opens_at": "datetime64[us, UTC]",
    "closes_at": "datetime64[us, UTC]",
    "early_close": "boolean",
    "next_open": "datetime64[us, UTC]",
    "moc_cutoff": "datetime64[us, UTC]",
    "loc_cutoff": "datetime64[us, UTC]",
    "opg_cutoff": "datetime64[us, UTC]",
    "cancel_cutoff": "datetime64[us, UTC]",
    "calendar": "str",
    "hours_from": "str",
    "note": "str",
}
"""Columns of :func:`market_hours`, and their dtypes."""


class HoursSource(Protocol):
    """What is asked of a broker."""

    never_closes: bool

    def market_time(self) -> datetime:
        """The time by the clock of the broker's market, in UTC."""

    def trading_hours(self, instruments: pd.DataFrame) -> pd.DataFrame:
        """Hours of these contracts: :data:`~stocklean_exec.calendars.listing_hours.TRADING_HOURS`."""


def market_hours(
    orders_or_symbols: object, broker: HoursSource | None = None, at: datetime | None = None
) -> pd.DataFrame:
    """Say whether markets are open, when they open and close, and until when their auctions take orders.

    Parameters
    ----------
    orders_or_symbols : orders, targets or positions, a mapping by symbol, a list of symbols, or one. Their
        ``primary_exchange`` decides, else an ``exchange`` other than SMART, else the currency (US dollars unless
        given), whose home market counts then
    broker : asked for the contracts' own hours, which count before the calendar's, and for the time
    at : the time; by default that of the broker's market, or the present

    Returns
    -------
    DataFrame, one row for each symbol and listing; times in UTC

    =============  ===================================================================================
    symbol         as Interactive Brokers spells it
    exchange       its listing, by Interactive Brokers' name; missing where it is not known
    is_open        whether it trades; missing where the exchange is not known
    opens_at       open of the session that is on, or of the next one
    closes_at      scheduled close of that session
    early_close    whether that session closes earlier than others
    next_open      the first open after ``at``; after a break at noon too
    moc_cutoff     until when the closing auction of that session takes market orders
    loc_cutoff     until when it takes limit orders
    opg_cutoff     until when its opening auction takes orders
    cancel_cutoff  until when orders for the closing auction can be changed or cancelled
    calendar       ISO code of the exchange whose sessions count
    hours_from     ``contract``, ``calendar``, or ``broker`` for a market that never closes
    note           what was assumed, why something is missing, and where contract and calendar disagree
    =============  ===================================================================================

    Raises
    ------
    InputError
        It does not name symbols, or the time has no time zone.

    Examples
    --------
    The half day after Thanksgiving, an hour before its close (NYSE, "Holidays and Trading Hours").

    >>> orders = pd.DataFrame({"symbol": ["SPY", "7203"], "primary_exchange": ["ARCA", "TSEJ"]})
    >>> hours = market_hours(orders, at=datetime(2026, 11, 27, 17, 0, tzinfo=UTC)).set_index("symbol")
    >>> hours[["is_open", "early_close"]].values.tolist()
    [[True, True], [False, False]]
    >>> print(hours.loc["SPY", "moc_cutoff"], hours.loc["7203", "next_open"])
    2026-11-27 17:50:00+00:00 2026-11-30 00:00:00+00:00
    """
    frame = _listings(orders_or_symbols)
    if broker is not None:
        frame = with_reported_hours(frame, broker.trading_hours(frame))
    moment = _moment_of(at) or (clock.now() if broker is None else broker.market_time())
    instruments = instruments_of(frame)
    known = {one: hours_of(one, moment) for one in dict.fromkeys(instruments)}
    never_closes = broker is not None and broker.never_closes
    rows = [
        _row(symbol, known[one], never_closes=never_closes)
        for symbol, one in zip(frame["symbol"].tolist(), instruments, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(HOURS_COLUMNS)).astype(HOURS_COLUMNS)


def _row(symbol: str, found: MarketHours, *, never_closes: bool) -> tuple[object, ...]:
    notes = list(found.notes)
    if never_closes:
        notes.append("the broker's market never closes; the times are those of the exchange's calendar")
        found = found._replace(is_open=True, hours_from="broker")
    values = found._asdict() | {"symbol": symbol, "note": "; ".join(notes)}
    return tuple(values[name] if values[name] != "" else None for name in HOURS_COLUMNS)


def _moment_of(at: object) -> datetime | None:
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None or pd.isna(at):
        text = f"at {shown(at)} is not a time with a time zone"
        raise InputError("options", [Problem("option_invalid", text, column="at")])
    return pd.Timestamp(at).to_pydatetime().astimezone(UTC)


def _listings(given: object) -> pd.DataFrame:
    """Read symbols and what is known of their listing; one row for each symbol and listing."""
    columns = getattr(given, "columns", ())
    if isinstance(given, pd.DataFrame) and "symbol" in columns:
        kept = ("symbol", "exchange", "primary_exchange", "currency", "con_id", "sec_type")
        frame = given[[name for name in kept if name in columns]].copy()
    else:
        frame = pd.DataFrame({"symbol": _names_of(given)})
    validator = FrameValidator(POSITIONS, frame.assign(quantity=0.0), "quantity")
    frame["symbol"] = pd.array(validator.read_symbols(), dtype="str")
    if validator.problems:
        raise InputError("symbols", validator.problems)
    return frame.drop_duplicates(ignore_index=True)


def _names_of(given: object) -> Sequence[object]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, pd.Series) and all(isinstance(value, str) for value in given):
        return list(given)  # targets["symbol"], and not weights by symbol
    if isinstance(given, (pd.DataFrame, pd.Series)):
        return list(given.index)
    if isinstance(given, (Mapping, Iterable)):
        return list(cast("Iterable[object]", given))
    text = f"{shown(given)} is not a list of symbols, a table of orders or a mapping by symbol"
    raise InputError("symbols", [Problem("wrong_type", text)])
