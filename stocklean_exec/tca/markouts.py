"""Markouts and reversion: how the price moved after a trade.

A markout compares a fill with the mid some seconds later (or earlier). A reversion measures how far the mid came
back after the end of an order. A markout is positive if the price moved in our favour; a fill at the far touch of
an unchanged market has a markout of minus half the spread. Fills without an observed mid are not counted: see
:mod:`stocklean_exec.tca.asof` for how long a quote is in force. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from stocklean_exec.calendars.sessions import exchange_schedule
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import number_option, shown
from stocklean_exec.tca.asof import (
    MAX_AGE,
    MICROS,
    NO_TIME,
    AsOfSeries,
    SymbolLookups,
    by_market_symbol,
    known_times,
    look_up,
)
from stocklean_exec.tca.fill_clock import observed_times
from stocklean_exec.tca.inputs import (
    Executed,
    FillInput,
    MarketInput,
    OrderInput,
    executed_by_order,
    fill_micros,
    fill_prices,
    fill_quantities,
    keyed_orders,
    refuse_repeated_fills,
    require_columns,
    side_signs,
    small_signs,
    undated_fills,
    utc_micros,
)
from stocklean_exec.tca.market import as_market

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CLOSE", "DEFAULT_HORIZONS", "markouts", "reversion"]

CLOSE = "close"
DEFAULT_HORIZONS: tuple[float | str, ...] = (-60, 0, 1, 10, 60, 300, 1800)
"""Seconds from the fill."""

_LONGEST = 10 * 365 * 86_400.0  # seconds: ten years, a bound against mistaken units

Weight = Literal["quantity", "notional", "equal"]


def markouts(
    fills: OrderInput,
    quotes: MarketInput,
    horizons: Sequence[float | str] = DEFAULT_HORIZONS,
    *,
    orders: OrderInput | None = None,
    by: str | Sequence[str] | None = None,
    weight: Weight = "quantity",
    max_age: float = MAX_AGE,
    session_close: str | None = None,
    time_zone: str = "America/New_York",
    calendar: str = "XNYS",
) -> pd.DataFrame:
    """Markout of fills at each horizon: how far the mid had moved in our favour, in basis points.

    Of one fill, ``m(h) = 1e4 x side x (mid(t + h) - price) / price``; of a group, the mean weighted by ``weight``.
    The standard error is that of a weighted mean, ``sqrt(n / (n - 1) x sum(w^2 (m - mean)^2)) / sum(w)`` (Cochran,
    *Sampling Techniques*, 1977; with equal weights it is s / sqrt(n)). It assumes independent fills, which those
    of one order are not.

    A fill stamped in whole seconds, as TWS stamps them, is measured from the start of its second, up to a second
    early; with ``orders``, not before its order was sent. One that is stamped before its order by more than that
    has no known time, and is unobserved, as is one that is dated by its report (``time_unreliable``).

    Parameters
    ----------
    fills : symbol, side, quantity, price, filled_at (and time_unreliable)
    quotes : symbol, quoted_at, bid, ask; or Parquet files of them (:func:`stocklean_exec.quote_files`)
    horizons : seconds after the fill, negative for before it; ``"close"`` is the close of the fill's day
    orders : the orders of the fills, with arrived_at; ``fills`` then needs client_order_id too. Not needed if a
        blotter is in place of ``fills``
    by : columns of ``fills`` to group by, such as ``"symbol"``, ``"side"``, ``["exchange", "liquidity"]``; None
        puts all fills in one group
    weight : ``"quantity"`` (shares), ``"notional"`` (better across symbols of different prices) or ``"equal"``
    max_age : longest time in seconds that a quote is in force without another one
    session_close : local time of the close, for ``"close"``; None is the scheduled close of ``calendar``, which
        knows half days. A fill on a day without a session has no close, and is unobserved
    time_zone : where the day of a fill, and ``session_close``, are local
    calendar : ISO 10383 code of the exchange, such as ``XLON`` for London

    Returns
    -------
    DataFrame, one row per group and horizon, in the sequence of ``horizons``

    ===============  ==========================================================================
    (by)             the columns of the group
    horizon          seconds (float64); of mixed type if ``"close"`` is among them
    markout_bps      positive: the price moved in our favour; NaN if no mid was observed
    fills            fills whose mid was observed
    standard_error   of markout_bps; NaN for fewer than two fills
    unobserved       fills of the group without an observed mid at that horizon
    time_unreliable  of these, fills dated by their report: they are unobserved at every horizon
    ===============  ==========================================================================

    Raises
    ------
    InputError
        Columns are missing, times have no zone, a fill is in several rows or has no quantity or price above zero,
        or a horizon is neither a number nor ``"close"``.

    Examples
    --------
    >>> at = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    >>> quotes = pd.DataFrame({
    ...     "symbol": "A", "quoted_at": [at, at + pd.Timedelta(seconds=10)],
    ...     "bid": [99.0, 100.0], "ask": [101.0, 102.0],
    ... })
    >>> fills = pd.DataFrame({
    ...     "symbol": ["A"], "side": ["BUY"], "quantity": [5.0], "price": [100.0], "filled_at": [at],
    ... })
    >>> markouts(fills, quotes, horizons=[0, 10, 3600])[["horizon", "markout_bps", "fills", "unobserved"]]
       horizon  markout_bps  fills  unobserved
    0      0.0          0.0      1           0
    1     10.0        100.0      1           0
    2   3600.0          NaN      0           1
    """
    number_option("max_age", max_age, least=1e-6, most=_LONGEST)
    steps = _horizons(horizons)
    fills = require_columns(fills, ("symbol", "side", "quantity", "price", "filled_at"), "fills")
    market = as_market(quotes)
    side, price = small_signs(fills, "fills"), fill_prices(fills)
    refuse_repeated_fills(fills)
    at = _moments(fills, orders)
    traded = side * _weights(fill_quantities(fills), price, weight)
    group, groups = _groups(fills, by)
    sums = _Sums(len(groups), len(steps))
    closes = _closes(at, session_close, time_zone, calendar) if CLOSE in steps else at
    known = known_times(at)
    if len(known):
        span = int(max_age * MICROS)
        ahead = [int(step * MICROS) for step in steps if isinstance(step, float)]
        first = int(known.min()) + min([0, *ahead]) - span
        last = int(known.max()) + max([0, *ahead]) + span
        last = max(last, int(closes.max()) + span)
        for rows, stamps, (mid,) in by_market_symbol(
            market, SymbolLookups.of(fills["symbol"], at), ("mid",), first, last
        ):
            line = AsOfSeries(stamps, mid, lookup_count=len(rows) * len(steps), max_age=max_age)
            moments, paid, signed = at.take(rows), price.take(rows), traded.take(rows)
            heavy, scale = np.abs(signed), np.copysign(1e4, signed) / paid
            mine = None if group is None else group[rows]
            for number, step in enumerate(steps):
                target = moments + int(step * MICROS) if isinstance(step, float) else closes[rows]
                target = np.where(moments == NO_TIME, NO_TIME, target) if len(known) < len(at) else target
                move = line.as_of(target)
                move -= paid
                move *= scale
                sums.add(number, move, heavy, mine)
    undated = undated_fills(fills)
    if group is None:
        return _curve(groups, steps, sums, np.array([len(at)]), np.array([undated.sum()]))
    counts = (np.bincount(some, minlength=len(groups)) for some in (group, group[undated]))
    return _curve(groups, steps, sums, *counts)


def _moments(fills: pd.DataFrame, orders: OrderInput | None) -> NDArray[np.int64]:
    """Times of the fills, not before their orders were sent where that is known; missing if not known."""
    at = fill_micros(fills)
    if not isinstance(orders, pd.DataFrame) or "arrived_at" not in orders.columns:
        return at
    require_columns(fills, ("client_order_id",), "fills")
    frame = keyed_orders(orders)
    sent = np.append(utc_micros(frame["arrived_at"], "arrived_at", "orders"), NO_TIME)
    return observed_times(at, sent[frame.index.get_indexer(pd.Index(fills["client_order_id"]))])


def _horizons(horizons: Sequence[float | str]) -> list[float | str]:
    if isinstance(horizons, (str, int, float)):
        horizons = [horizons]
    steps: list[float | str] = []
    for value in horizons:
        if value == CLOSE:
            steps.append(CLOSE)
        else:
            steps.append(number_option("horizon", value, least=-_LONGEST, most=_LONGEST))
    if not steps:
        raise InputError("horizons", [Problem("option_invalid", "give at least one horizon")])
    return steps


def _weights(quantity: NDArray[np.float64], price: NDArray[np.float64], weight: str) -> NDArray[np.float64]:
    if weight == "quantity":
        return quantity
    if weight == "notional":
        return quantity * price
    if weight == "equal":
        return np.ones(len(quantity))
    text = f"{shown(weight)} is none of 'quantity', 'notional', 'equal'"
    raise InputError("weight", [Problem("option_invalid", text)])


def _groups(fills: pd.DataFrame, by: str | Sequence[str] | None) -> tuple[NDArray[np.int64] | None, pd.DataFrame]:
    """Index of each fill's group (None if there is only one), and the groups, sorted."""
    if by is None:
        return None, pd.DataFrame(index=range(1))
    names = [by] if isinstance(by, str) else list(by)
    require_columns(fills, names, "fills")
    grouped = fills[names].groupby(names, sort=True, dropna=False, observed=True)
    groups = grouped.size().index.to_frame(index=False)
    return np.asarray(grouped.ngroup(), dtype="int64"), groups


def _closes(at: NDArray[np.int64], session_close: str | None, time_zone: str, calendar: str) -> NDArray[np.int64]:
    """The close of the local day of each time; ``NO_TIME`` on a day without one."""
    try:
        wall = None if session_close is None else pd.Timedelta(f"{session_close}:00")
        stamps = pd.DatetimeIndex(pd.array(at, dtype="datetime64[us]")).tz_localize("UTC").tz_convert(time_zone)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("session_close", [Problem("option_invalid", str(error))]) from None
    unique, where = np.unique(stamps.tz_localize(None).normalize(), return_inverse=True)
    days = pd.DatetimeIndex(unique)
    if wall is None:
        known = {day: _scheduled_close(day, calendar) for day in days.dropna()}
        closes = pd.DatetimeIndex([known.get(day, pd.NaT) for day in days], dtype="datetime64[us, UTC]")
    else:
        closes = (days + wall).tz_localize(time_zone).tz_convert("UTC").as_unit("us")
    return np.asarray(closes.asi8[where], dtype="int64")


def _scheduled_close(day: pd.Timestamp, calendar: str) -> object:
    """Close of a day by the calendar of an exchange; NaT where there is no session.

    Raises
    ------
    InputError
        The calendar is not known, or not that year of it.
    """
    schedule = exchange_schedule(calendar, day.date())
    if schedule is None:
        text = f"no calendar {shown(calendar)} is known for {day:%Y}; give session_close"
        raise InputError("calendar", [Problem("option_invalid", text)])
    session = schedule.on(day.date())
    return pd.NaT if session is None else session.closes_at


class _Sums:
    """Running sums of a weighted mean and its standard error, for each group and horizon.

    Sums are of deviations from the first value of each cell, so that equal markouts have an error of exactly zero.
    """

    _NAMES = ("count", "w", "wd", "ww", "wwd", "wwdd")

    def __init__(self, groups: int, steps: int) -> None:
        self.base = np.full((groups, steps), np.nan)
        self.sums = {name: np.zeros((groups, steps)) for name in self._NAMES}

    def add(
        self, step: int, move: NDArray[np.float64], weight: NDArray[np.float64], group: NDArray[np.int64] | None
    ) -> None:
        if math.isnan(move.sum() + weight.sum()):  # rare: find which
            seen = ~(np.isnan(move) | np.isnan(weight))
            move, weight = move[seen], weight[seen]
            group = None if group is None else group[seen]
        if not len(move):
            return
        if group is None:
            if np.isnan(self.base[0, step]):
                self.base[0, step] = move[0]
            off = move - self.base[0, step]
            heavy = weight * off
            parts = (
                len(move),
                weight.sum(),
                heavy.sum(),
                _dot(weight, weight),
                _dot(weight, heavy),
                _dot(heavy, heavy),
            )
            for name, part in zip(self._NAMES, parts, strict=True):
                self.sums[name][0, step] += part
            return
        present, first = np.unique(group, return_index=True)
        fresh = np.isnan(self.base[present, step])
        self.base[present[fresh], step] = move[first[fresh]]
        heavy = weight * (move - self.base[group, step])
        size = len(self.base)
        pieces = (None, weight, heavy, weight * weight, weight * heavy, heavy * heavy)
        for name, piece in zip(self._NAMES, pieces, strict=True):
            self.sums[name][:, step] += np.bincount(group, weights=piece, minlength=size)

    def results(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        s = self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            off = s["wd"] / s["w"]
            spread = np.maximum(s["wwdd"] - 2 * off * s["wwd"] + off * off * s["ww"], 0.0)
            error = np.sqrt(s["count"] / (s["count"] - 1) * spread) / s["w"]
        return self.base + off, s["count"].astype("int64"), np.where(s["count"] > 1, error, np.nan)


def _dot(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Sum of products without BLAS, whose threads cost more than they save on arrays of this size."""
    return float(np.einsum("i,i->", one, two))


def _curve(
    groups: pd.DataFrame,
    steps: list[float | str],
    sums: _Sums,
    sizes: NDArray[np.int64],
    undated: NDArray[np.int64],
) -> pd.DataFrame:
    mean, count, error = sums.results()
    number = len(steps)
    table = groups.loc[groups.index.repeat(number)].reset_index(drop=True)
    table["horizon"] = pd.Series(steps * len(groups), dtype="object" if CLOSE in steps else "float64")
    table["markout_bps"] = mean.ravel()
    table["fills"] = count.ravel()
    table["standard_error"] = error.ravel()
    table["unobserved"] = np.repeat(sizes, number) - count.ravel()
    table["time_unreliable"] = np.repeat(undated, number)
    return table


def reversion(
    orders: OrderInput,
    fills: FillInput | Executed = None,
    quotes: MarketInput | None = None,
    horizons: Sequence[float] = (60, 300, 1800),
    *,
    max_age: float = MAX_AGE,
) -> pd.DataFrame:
    """Price reversion after each order.

    ``1e4 x side x (mid(T) - mid(T + h)) / mid(T)``, with T the time of its last fill. Positive: the price came
    back, so part of the impact was temporary. (OneTick's ``Rev_bps`` has the same definition.)

    Parameters
    ----------
    orders : client_order_id, symbol, side, quantity
    fills : client_order_id, quantity, price, filled_at
    quotes : symbol, quoted_at, bid, ask; or Parquet files of them (:func:`stocklean_exec.quote_files`)
    horizons : seconds after the last fill
    max_age : longest time in seconds that a quote is in force without another one

    Returns
    -------
    DataFrame, one row per filled order and horizon: ``client_order_id``, ``symbol``, ``horizon`` (seconds),
    ``reversion_bps``; NaN if no mid was observed. T is up to a second early if fills are stamped in whole seconds,
    but not before the order was sent; NaN if the last fill is stamped before that, and if a fill of the order is
    dated by its report

    Examples
    --------
    >>> at = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    >>> quotes = pd.DataFrame({
    ...     "symbol": "A", "quoted_at": [at, at + pd.Timedelta(seconds=60)],
    ...     "bid": [99.9, 99.4], "ask": [100.1, 99.6],
    ... })
    >>> orders = pd.DataFrame({"client_order_id": ["o"], "symbol": ["A"], "side": ["BUY"], "quantity": [5.0]})
    >>> fills = pd.DataFrame({"client_order_id": ["o"], "quantity": [5.0], "price": [100.1], "filled_at": [at]})
    >>> reversion(orders, fills, quotes, [60])["reversion_bps"].round(6).tolist()
    [50.0]
    """
    number_option("max_age", max_age, least=1e-6, most=_LONGEST)
    steps = [number_option("horizon", value, least=-_LONGEST, most=_LONGEST) for value in horizons]
    frame, market = keyed_orders(orders), as_market(quotes)
    executed = executed_by_order(frame, fills)
    last = executed["last_at"].to_numpy(dtype="int64")
    filled = np.flatnonzero((last != NO_TIME) | (executed["undated"].to_numpy() > 0))
    if "arrived_at" in frame.columns:
        last = observed_times(last, utc_micros(frame["arrived_at"], "arrived_at", "orders"))
    side, symbols, end = side_signs(frame)[filled], frame["symbol"].iloc[filled], last[filled]
    end_mid = look_up(market, symbols, end, max_age=max_age)["mid"]
    columns = []
    for step in steps:
        later = np.where(end == NO_TIME, NO_TIME, end + int(step * MICROS))
        later_mid = look_up(market, symbols, later, max_age=max_age)["mid"]
        columns.append(1e4 * side * (end_mid - later_mid) / end_mid)
    count = len(steps)
    return pd.DataFrame(
        {
            "client_order_id": pd.array(np.repeat(frame.index[filled], count), dtype="str"),
            "symbol": pd.array(np.repeat(symbols.to_numpy(), count), dtype="str"),
            "horizon": np.tile(np.array(steps, dtype="float64"), len(filled)),
            "reversion_bps": np.array(columns, dtype="float64").T.ravel(),
        }
    )
