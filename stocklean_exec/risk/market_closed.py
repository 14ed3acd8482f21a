"""Orders that would wait for a market to open, and orders for an auction that takes no more.

The time is that of the broker's market, for frames by hand that of the check if it is named. Whether an order
waits depends on its type and time in force, which an edit may change: the hours are kept, and applied again. Pure.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from stocklean_exec.calendars.auctions import ADVISED
from stocklean_exec.calendars.listing_hours import MarketHours, hours_of, instruments_of, with_reported_hours
from stocklean_exec.schema.frame_validator import warning_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from stocklean_exec.portfolio.account_state import AccountState
    from stocklean_exec.risk.limits import Limits

__all__ = [
    "ADVISED_SECONDS",
    "AUCTION_UNTIL",
    "MarketWaits",
    "OrderHours",
    "auction_until",
    "market_waits",
    "order_hours",
    "time_of_check",
]

ADVISED_SECONDS = ADVISED.total_seconds()
"""Before the close: from when an order for the closing auction is warned about."""

AUCTION_UNTIL = "auction_until"
"""Column of checked orders: until when the auction takes orders that an order was checked for, in UTC."""

_LISTING = ("symbol", "exchange", "primary_exchange", "currency", "con_id")
_TIMES = ("next_open", "closes_at", "moc_cutoff", "loc_cutoff", "opg_cutoff")
_WAITING = ("DAY", "IOC", "FOK")  # times in force that were meant for today; GTC and GTD are meant to rest
_ON_CLOSE = ("MOC", "LOC")
_SHOWN = 5  # symbols named in one warning, so that it stays readable: a choice


class OrderHours(NamedTuple):
    """Hours of the markets of a plan, ready for JSON.

    ``at`` is the time of the check in seconds since 1970, NaN where nothing is checked. ``markets`` has, for each
    market, whether it is open (None if that is not known) and :data:`_TIMES` in seconds since 1970; ``market_of``
    the place of each client order id among them.
    """

    at: float = math.nan
    markets: Sequence[Sequence[float | None]] = ()
    market_of: Mapping[str, int] = {}
    notes: Sequence[dict[str, object]] = ()


class MarketWaits(NamedTuple):
    """Seconds for each order, NaN where it does not apply.

    ``opens`` until the market opens, for an order that would wait for it; infinite where that is not known.
    ``cutoff`` until the auction of an auction order takes no more, below zero after it; ``close`` until its close,
    or until the cut-off once the auction after the close has begun. ``unknown`` is whether there must be a cut-off
    that is not known.
    """

    opens: NDArray[np.float64]
    cutoff: NDArray[np.float64]
    close: NDArray[np.float64]
    unknown: NDArray[np.bool_]


def time_of_check(
    limits: Limits, state: AccountState | None, *, named: datetime | None, wall: datetime
) -> datetime | None:
    """Time by which markets are open or closed; None where nothing is checked.

    Parameters
    ----------
    limits : with ``closed_market``
    state : the account state that is checked with; None for frames by hand
    named : the time of the check as the user named it
    wall : this computer's time, by which the broker's has moved on since the state was read
    """
    if limits.closed_market == "ignore" or (state is not None and state.never_closes):
        return None
    if named is not None:
        return named
    if state is not None and state.market_time is not None:
        return state.market_time + (wall - (state.read_at or wall))
    return None if limits.closed_market is None else wall


def order_hours(
    frame: pd.DataFrame, at: datetime | None, reported: pd.DataFrame | None, base_currency: str
) -> OrderHours:
    """Find the hours of the market of each order.

    Parameters
    ----------
    frame : canonical orders
    at : see :func:`time_of_check`
    reported : what the broker reports of the contracts' hours
    base_currency : currency of orders without one
    """
    if at is None or frame.empty:
        return OrderHours()
    listing = frame[[name for name in _LISTING if name in frame.columns]]
    listing = listing.assign(currency=listing["currency"].fillna(base_currency))
    instruments = instruments_of(listing if reported is None else with_reported_hours(listing, reported))
    places = {one: place for place, one in enumerate(dict.fromkeys(instruments))}
    known = [hours_of(one, at) for one in places]
    found = [places[one] for one in instruments]
    symbols = frame["symbol"].tolist()
    odd = {place for place, one in enumerate(known) if one.is_open is None or one.disagreement}
    auctions = zip(symbols, frame["order_type"].tolist(), frame["tif"].tolist(), found, strict=True)
    silent = [
        (symbol, known[place].notes)
        for symbol, kind, tif, place in auctions
        if (kind in _ON_CLOSE or tif == "OPG") and _lacks_cutoff(known[place], kind, tif)
    ]
    rows = zip(symbols, found, strict=True) if odd else ()
    return OrderHours(
        at.timestamp(),
        tuple(_numbers(hours) for hours in known),
        dict(zip(frame["client_order_id"].tolist(), found, strict=True)),
        _notes([(symbol, known[place]) for symbol, place in rows if place in odd]) + _unknown_cutoffs(silent),
    )


def market_waits(frame: pd.DataFrame, hours: OrderHours) -> MarketWaits | None:
    """Apply the hours to orders as they are now; None where nothing is checked.

    Parameters
    ----------
    frame : canonical orders, with order_type and tif, and with outside_rth and good_after where they are known
    hours : of their markets
    """
    if math.isnan(hours.at):
        return None
    unknown = [math.nan] * (1 + len(_TIMES))
    table = np.array([*hours.markets, unknown], dtype="float64")
    places = map(hours.market_of.get, frame["client_order_id"].tolist(), repeat(-1))
    rows = table[np.fromiter(places, dtype="int64", count=len(frame))]
    is_open, opens, closes, moc, loc, opg = rows.T
    kind, tif = frame["order_type"], frame["tif"].fillna("DAY")
    is_moc, is_loc, is_opg = (
        column.isin([word]).to_numpy(dtype=bool) for column, word in ((kind, "MOC"), (kind, "LOC"), (tif, "OPG"))
    )
    waits = (is_open == 0) & tif.isin(_WAITING).to_numpy(dtype=bool) & ~(is_moc | is_loc | _is_outside(frame))
    waits &= ~(_good_after(frame) >= opens)
    cutoff = np.select([is_opg, is_moc, is_loc], [opg, moc, loc], math.nan) - hours.at
    in_auction = (is_open == 0) & (cutoff < opens - hours.at)  # that of the session which has closed
    return MarketWaits(
        opens=np.where(waits, np.nan_to_num(opens - hours.at, nan=math.inf), math.nan),
        cutoff=cutoff,
        close=np.where(is_opg | np.isnan(cutoff), math.nan, np.where(in_auction, cutoff, closes - hours.at)),
        unknown=(is_moc | is_loc | is_opg) & np.isnan(cutoff) & ~((is_open == 1) & np.isnan(closes)),
    )


def auction_until(waits: MarketWaits | None, hours: OrderHours) -> pd.DatetimeIndex | None:
    """Until when the auction of each order takes orders, for :data:`AUCTION_UNTIL`; None where none is known."""
    if waits is None or np.isnan(waits.cutoff).all():
        return None
    return pd.to_datetime((waits.cutoff + hours.at).round(), unit="s", utc=True).as_unit("us")


def _numbers(hours: MarketHours) -> tuple[float | None, ...]:
    """Whether a market is open, and :data:`_TIMES`, as numbers."""
    times = (getattr(hours, name) for name in _TIMES)
    seconds = [None if each is None else each.timestamp() for each in times]
    if hours.never_closes:
        return 1.0, *[None] * len(seconds)
    return None if hours.is_open is None else float(hours.is_open), *seconds


def _is_outside(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which orders may trade outside of regular hours."""
    if "outside_rth" not in frame.columns or frame["outside_rth"].isna().all():
        return np.zeros(len(frame), dtype=bool)
    if frame["outside_rth"].dtype == np.bool_:
        return frame["outside_rth"].to_numpy()
    return np.array([value is not None and value is not pd.NA and value == 1 for value in frame["outside_rth"]])


def _good_after(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Seconds since 1970 from when orders work; NaN for those that work at once."""
    if "good_after" not in frame.columns or frame["good_after"].isna().all():
        return np.full(len(frame), math.nan)
    times = pd.to_datetime(frame["good_after"], utc=True, errors="coerce").astype("datetime64[us, UTC]")
    return np.where(times.isna(), math.nan, times.astype("int64") / 1e6)


def _lacks_cutoff(hours: MarketHours, kind: str, tif: str) -> bool:
    """Whether the cut-off that an auction order needs is not known, at a market that closes."""
    cutoff = hours.opg_cutoff if tif == "OPG" else hours.moc_cutoff if kind == "MOC" else hours.loc_cutoff
    return cutoff is None and not hours.never_closes


def _unknown_cutoffs(rows: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, object]]:
    """Name the auction orders of which it is not known until when their auction takes them."""
    if not rows:
        return []
    why = next((notes[-1] for _, notes in rows if notes), "the session is not known")
    text = f"until when the auctions take orders is UNKNOWN for {_names([symbol for symbol, _ in rows])}: {why}"
    return [warning_row("auction_cutoff", f"{text}; send such orders well before", table="orders")]


def _notes(rows: Sequence[tuple[str, MarketHours]]) -> list[dict[str, object]]:
    """Name the orders whose hours are not known, and those about whose hours TWS and calendar disagree."""
    unknown = [(symbol, hours.notes[0]) for symbol, hours in rows if hours.is_open is None]
    notes = []
    if unknown:
        text = (
            f"whether the market is open is not known for {_names([symbol for symbol, _ in unknown])}: "
            f"{unknown[0][1]}; give primary_exchange"
        )
        notes.append(warning_row("hours_unknown", text, table="orders", column="primary_exchange"))
    disagreements: dict[str, list[str]] = {}
    for symbol, hours in rows:
        if hours.disagreement:
            disagreements.setdefault(hours.disagreement, []).append(symbol)
    return notes + [
        warning_row("hours_disagree", f"{_names(symbols)}: {text}; TWS's count", table="orders")
        for text, symbols in disagreements.items()
    ]


def _names(symbols: Sequence[str]) -> str:
    shown = list(dict.fromkeys(symbols))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
