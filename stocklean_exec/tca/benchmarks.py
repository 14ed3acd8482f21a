"""Benchmark prices of each order.

=====================  =====================================================================================
name                   price
=====================  =====================================================================================
``arrival``            mid when the order was sent: ``arrival_price`` of the orders, or else of ``quotes`` at
                       ``arrived_at``
``decision``           price of the plan: ``decision_price``, or else the mid of ``quotes`` at ``decided_at``
``limit``              ``limit_price``
``far_touch``          ask for a buy, bid for a sell at arrival: ``arrival_ask``, ``arrival_bid``, or ``quotes``
``near_touch``         bid for a buy, ask for a sell, from the same sources
``vwap``               sum(p v) / sum(v) of ``trades`` from arrival (not included) to the last fill (included);
                       if it is stamped in whole seconds, to the end of its second
``vwap_ex_own``        the same without our own fills, which the market's volume contains
``twap``               mid of ``quotes`` from arrival to the last fill, weighted by time
``pwp``                VWAP of the first F / participation shares of ``trades`` after arrival; NaN if the day
                       ends first (Kissell 2013, ch. 3, participation-weighted price)
``open``, ``close``    of the local day of arrival, from ``daily``
``previous_close``     of the last day before that in ``daily``, at most eleven days earlier
``quote``              mid or last of ``quotes``, one row per symbol, whenever it was made
``auto``               the price that each order was meant to get: ``close`` for ``MOC`` and ``LOC``,
                       ``open`` for ``OPG``, else ``arrival``
=====================  =====================================================================================

A VWAP that includes our own fills understates the cost: if our share of the volume is x, the cost against it is (1
- x) times the cost against the VWAP of the others. An invalid price is NaN, with a flag for the reason.

TWS stamps fills in whole seconds. A fill in the second of its order counts as made at arrival for TWAP, and the
volume of VWAP ends with the second of the last fill, which our own fill is in: either end of the interval is
wrong by less than a second (:mod:`stocklean_exec.tca.fill_clock`). An order with a fill that is dated by its
report (``time_unreliable``) has no known end, and no benchmark over an interval. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import is_missing, shown
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.tca.asof import (
    GAP,
    MAX_AGE,
    MICROS,
    NO_TIME,
    NONE_YET,
    SymbolLookups,
    by_market_symbol,
    look_up,
    time_weighted,
    with_gaps,
)
from stocklean_exec.tca.fill_clock import before_order, latest_times, not_before_order
from stocklean_exec.tca.inputs import (
    arrival_ages,
    arrival_flags,
    arrival_prices,
    by_symbol,
    column_numbers,
    require_columns,
    side_signs,
    usable,
    utc_micros,
)
from stocklean_exec.tca.market import DELAYED, UNUSABLE, as_market

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.tca.asof import Market

__all__ = [
    "AUTO",
    "BENCHMARKS",
    "INTERVAL_BENCHMARKS",
    "BenchmarkData",
    "BenchmarkPrices",
    "benchmark_prices",
    "interval_volume",
]

BENCHMARKS = {"arrival": "arrival_price", "decision": "decision_price", "limit": "limit_price"}
"""Benchmarks that are columns of the orders."""

AUTO = "auto"
"""Benchmark by the type of each order. An order for an auction is measured against the price of that auction: it
does nothing until then, and the mid at its arrival does not show what it could have got."""

INTERVAL_BENCHMARKS = ("twap", "vwap", "vwap_ex_own", "pwp")
"""Benchmarks of the time from arrival to the last fill."""

_PREVIOUS_DAYS = 11
"""Calendar days that a previous close may be old. The longest planned break of a large exchange in recent times
was that of Tokyo, from the close of 26 April to the opening of 7 May 2019. With an older close, rows are lost."""

_AUCTION = {"order_type": ("MOC", "LOC"), "tif": ("OPG",)}
_TIMES = {"arrival": "arrived_at", "decision": "decided_at"}
_NEEDS = {
    **dict.fromkeys(("arrival", "decision", "far_touch", "near_touch", "twap", "quote"), "quotes"),
    **dict.fromkeys(("vwap", "vwap_ex_own", "pwp"), "trades"),
    **dict.fromkeys(("open", "close", "previous_close"), "daily"),
}
_STATES = {"crossed_quote": UNUSABLE, "delayed_quote": DELAYED, "stale_quote": GAP, "no_quote": NONE_YET}


@dataclass(frozen=True, slots=True)
class BenchmarkData:
    """The market data of benchmarks; see the table at the head of this module."""

    quotes: Any = None
    trades: Any = None
    daily: pd.DataFrame | None = None
    participation: float = 0.1
    max_age: float = MAX_AGE
    time_zone: str = "America/New_York"


@dataclass(slots=True)
class BenchmarkPrices:
    """Price of each order, NaN if there is none; age of the quote in seconds; flags with the reason."""

    price: NDArray[np.float64]
    age: NDArray[np.float64]
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


def benchmark_prices(
    frame: pd.DataFrame, executed: pd.DataFrame, benchmark: object, data: BenchmarkData
) -> BenchmarkPrices:
    """Benchmark price of each order of ``frame`` (see :func:`~stocklean_exec.tca.inputs.keyed_orders`).

    ``benchmark`` is a name, or prices by symbol or client order id; ``executed`` is what
    :func:`~stocklean_exec.tca.inputs.executed_by_order` made.
    """
    if isinstance(benchmark, (Mapping, pd.Series)):
        return _from_prices(by_symbol(benchmark, frame, "benchmark"))
    if isinstance(benchmark, str) and benchmark == AUTO:
        return _by_order_type(frame, data)
    if not isinstance(benchmark, str) or benchmark not in {*BENCHMARKS, *_NEEDS}:
        text = f"{shown(benchmark)} is neither a benchmark ({', '.join(_known(frame))}) nor prices by symbol"
        raise InputError("benchmark", [Problem("benchmark_unknown", text)])
    if benchmark in ("far_touch", "near_touch"):
        return _touch(frame, benchmark, data)
    if benchmark in BENCHMARKS:
        return _of_orders(frame, benchmark, data)
    return _of_market(frame, executed, benchmark, data)


def _by_order_type(frame: pd.DataFrame, data: BenchmarkData) -> BenchmarkPrices:
    """The auction's price for orders of an auction, and the arrival price for the others.

    Without ``daily`` an order for an auction has no benchmark.
    """
    texts = {name: frame[name].tolist() if name in frame.columns else [""] * len(frame) for name in _AUCTION}
    chosen = {name: np.array([value in _AUCTION[name] for value in values]) for name, values in texts.items()}
    found = _of_orders(frame, "arrival", data)
    for name, benchmark in (("order_type", "close"), ("tif", "open")):
        rows = chosen[name].astype(bool)
        if not rows.any():
            continue
        if data.daily is None:
            price, stale = np.full(len(frame), np.nan), np.zeros(len(frame), dtype=bool)
        else:
            price, stale = _daily(frame, benchmark, data.daily, data.time_zone)
        daily = _with_reason(_from_prices(price, "no_daily_price"), "stale_daily_price", stale)
        names = dict.fromkeys([*found.flags, *daily.flags])
        none = np.zeros(len(frame), dtype=bool)
        found = BenchmarkPrices(
            np.where(rows, daily.price, found.price),
            np.where(rows, daily.age, found.age),
            {flag: np.where(rows, daily.flags.get(flag, none), found.flags.get(flag, none)) for flag in names},
        )
    return found


def _of_market(
    frame: pd.DataFrame, executed: pd.DataFrame, benchmark: str, data: BenchmarkData
) -> BenchmarkPrices:
    """Benchmarks that always need quotes, trades or daily prices."""
    source = getattr(data, _NEEDS[benchmark])
    if source is None:
        raise _lacking(benchmark)
    if benchmark == "quote":
        prices = usable_prices(parse_quotes(source))["price"]
        return _from_prices(prices.reindex(frame["symbol"]).to_numpy(dtype="float64"))
    if benchmark in INTERVAL_BENCHMARKS:
        found = _over_interval(frame, executed, benchmark, source, data)
        early = before_order(executed["last_at"].to_numpy(dtype="int64"), _arrivals(frame))
        found = _with_reason(found, "fill_before_order", early)
        return _with_reason(found, "time_unreliable", executed["undated"].to_numpy() > 0)
    price, stale = _daily(frame, benchmark, source, data.time_zone)
    return _with_reason(_from_prices(price, "no_daily_price"), "stale_daily_price", stale)


def _over_interval(
    frame: pd.DataFrame,
    executed: pd.DataFrame,
    benchmark: str,
    source: Any,  # noqa: ANN401 - any source
    data: BenchmarkData,
) -> BenchmarkPrices:
    """Benchmarks of the time from arrival to the last fill."""
    if benchmark == "twap":
        return _from_prices(_twap(frame, executed, as_market(source), data.max_age), "not_observed")
    if benchmark in ("vwap", "vwap_ex_own"):
        volume, value = interval_volume(frame, executed, as_market(source, "trades"))
        if benchmark == "vwap_ex_own":
            volume = volume - executed["filled_quantity"].to_numpy()
            value = value - executed["value"].to_numpy()
        return _from_prices(_ratio(value, volume), "no_volume")
    return _from_prices(_pwp(frame, executed, as_market(source, "trades"), data), "no_volume")


def _with_reason(found: BenchmarkPrices, name: str, rows: NDArray[np.bool_]) -> BenchmarkPrices:
    """Give ``name`` as the only reason of these rows, where their price is missing."""
    why = rows & np.isnan(found.price)
    found.flags = {**{other: up & ~why for other, up in found.flags.items()}, name: why}
    return found


def _known(frame: pd.DataFrame) -> list[str]:
    own = [name for name, source in BENCHMARKS.items() if source in frame.columns]
    return [*own, AUTO, *(name for name in _NEEDS if name not in BENCHMARKS)]


def _lacking(benchmark: str) -> InputError:
    need = _NEEDS[benchmark]
    return InputError(need, [Problem(f"{need}_missing", f'benchmark="{benchmark}" needs {need}=')])


def _from_prices(price: NDArray[np.float64], why: str = "no_benchmark") -> BenchmarkPrices:
    price = usable(price)
    return BenchmarkPrices(price, np.full(len(price), np.nan), {why: np.isnan(price)})


def _ratio(value: NDArray[np.float64], volume: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(volume > 0, value / volume, np.nan)


# -- at one moment -----------------------------------------------------------------------------------------------


def _of_orders(frame: pd.DataFrame, benchmark: str, data: BenchmarkData) -> BenchmarkPrices:
    """The column of the orders, or the quote in force at the time if it is empty."""
    column, time = BENCHMARKS[benchmark], _TIMES.get(benchmark)
    from_quotes = data.quotes is not None and time in frame.columns
    if column not in frame.columns and not from_quotes:
        known = [name for name, source in BENCHMARKS.items() if source in frame.columns]
        text = f"{benchmark!r} is not a benchmark of these orders; {', '.join([*known, 'quote'])} are"
        raise InputError("benchmark", [Problem("benchmark_unknown", text)])
    own = _from_prices(column_numbers(frame, column, "orders"))
    if benchmark == "arrival":
        own.price, untrue = arrival_prices(frame)
        known = np.logical_or.reduce(list(untrue.values()))
        own.flags = {**untrue, "no_benchmark": np.isnan(own.price) & ~known}
        own.age = np.where(np.isnan(own.price), np.nan, arrival_ages(frame))
    if not from_quotes or time is None or not np.isnan(own.price).any():
        return own
    return _completed(own, frame, time, "mid", data)


def _touch(frame: pd.DataFrame, benchmark: str, data: BenchmarkData) -> BenchmarkPrices:
    bids, asks = (column_numbers(frame, name, "orders") for name in ("arrival_bid", "arrival_ask"))
    has_own = "arrival_bid" in frame.columns and "arrival_ask" in frame.columns
    if not has_own and (data.quotes is None or "arrived_at" not in frame.columns):
        raise _lacking(benchmark)
    untrue = arrival_flags(frame)
    blank = np.logical_or.reduce(list(untrue.values()))
    pays_ask = (side_signs(frame) > 0) == (benchmark == "far_touch")
    own = _from_prices(np.where(blank, np.nan, np.where(pays_ask, asks, bids)))
    own.flags = {**untrue, "no_benchmark": np.isnan(own.price) & ~blank}
    own.age = np.where(np.isnan(own.price), np.nan, arrival_ages(frame))
    if data.quotes is None or "arrived_at" not in frame.columns:
        return own
    return _completed(own, frame, "arrived_at", np.where(pays_ask, "ask", "bid"), data)


def _completed(
    own: BenchmarkPrices, frame: pd.DataFrame, time: str, wanted: str | NDArray[np.str_], data: BenchmarkData
) -> BenchmarkPrices:
    """Fill missing prices from the quotes in force at ``time``."""
    at = utc_micros(frame[time], time, "orders")
    empty = np.isnan(own.price)
    fields = ("mid",) if isinstance(wanted, str) else ("bid", "ask")
    market, lookup_times = as_market(data.quotes), np.where(empty, at, NO_TIME)
    found = look_up(market, frame["symbol"], lookup_times, fields, data.max_age)
    price = found[wanted] if isinstance(wanted, str) else np.where(wanted == "ask", found["ask"], found["bid"])
    lacking = empty & np.isnan(price)
    state = np.full(len(frame), np.nan)
    if lacking.any():  # the reason is looked up only for these
        lookup_times = np.where(lacking, at, NO_TIME)
        state = look_up(market, frame["symbol"], lookup_times, ("state",), data.max_age)["state"]
    flags = {name: lacking & (state == code) for name, code in _STATES.items()}
    flags["no_time"] = empty & (at == NO_TIME)
    flags["no_quote"] &= ~flags["no_time"]
    return BenchmarkPrices(np.where(empty, price, own.price), np.where(empty, found["age"], own.age), flags)


def _daily(
    frame: pd.DataFrame, benchmark: str, daily: pd.DataFrame, time_zone: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Price of each order, and whether its last day is too long ago."""
    column = "open" if benchmark == "open" else "close"
    require_columns(daily, ("symbol", "date", column), "daily")
    stamps = pd.DatetimeIndex(pd.array(_arrivals(frame), dtype="datetime64[us]"))
    bars = pd.DataFrame(
        {
            "symbol": daily["symbol"].astype("str").array,
            "day": _local_days(daily["date"], time_zone),
            "price": column_numbers(daily, column, "daily"),
        }
    )
    twice = bars.duplicated(["symbol", "day"])
    if twice.any():
        text = "a symbol has two rows for one date"
        raise InputError("daily", [Problem("duplicate_date", text)])
    days = pd.DataFrame(
        {
            "symbol": frame["symbol"].astype("str").array,
            "day": stamps.tz_localize("UTC").tz_convert(time_zone).tz_localize(None).normalize(),
            "row": range(len(frame)),
        }
    )
    days = days.dropna(subset="day")
    if benchmark != "previous_close":
        found = days.merge(bars.assign(bar=bars["day"]), on=["symbol", "day"], how="left")
    else:
        found = pd.merge_asof(
            days.sort_values("day"),
            bars.assign(bar=bars["day"]).dropna(subset="day").sort_values("day"),
            on="day",
            by="symbol",
            allow_exact_matches=False,
        )
    stale = (found["day"] - found["bar"] > pd.Timedelta(days=_PREVIOUS_DAYS)).to_numpy()
    price, too_old = np.full(len(frame), np.nan), np.zeros(len(frame), dtype=bool)
    price[found["row"].to_numpy()] = np.where(stale, np.nan, found["price"].to_numpy())
    too_old[found["row"].to_numpy()] = stale
    return price, too_old


def _local_days(dates: pd.Series[Any], time_zone: str) -> NDArray[np.datetime64]:
    """Days of ``daily``: dates, texts, or times with a zone.

    Midnight in its own zone is that date, as data vendors stamp daily bars; any other time with a zone is of its
    day at the exchange.
    """
    if not isinstance(dates.dtype, pd.DatetimeTZDtype) and dates.dtype.kind != "M":
        known = {value: _stamp(value) for value in dates.unique()}
        zones = {stamp.tz for stamp in known.values() if stamp is not pd.NaT}
        if len(zones) > 1:  # such as the offsets of summer and winter
            known = {value: _local_days(pd.Series([stamp]), time_zone)[0] for value, stamp in known.items()}
        dates = pd.Series(pd.DatetimeIndex([known[value] for value in dates.tolist()]))
    index = pd.DatetimeIndex(dates)
    if index.tz is not None:
        days, there = index.tz_localize(None), index.tz_convert(time_zone).tz_localize(None)
        index = days.where(days == days.normalize(), there)
    return index.normalize().as_unit("us").to_numpy()


def _stamp(value: object) -> Any:  # noqa: ANN401 - a Timestamp or NaT
    try:
        if isinstance(value, (bool, int, float, np.number, np.bool_)) and not is_missing(value):
            raise TypeError  # noqa: TRY301 - 20261123 would be a moment in 1970
        return pd.Timestamp(value)  # type: ignore[arg-type]  # anything else raises, and is reported
    except (ValueError, TypeError, OverflowError):
        text = f"date {shown(value)} is not a date"
        raise InputError("daily", [Problem("time_dtype", text, column="date")]) from None


# -- over an interval --------------------------------------------------------------------------------------------


def _arrivals(frame: pd.DataFrame) -> NDArray[np.int64]:
    require_columns(frame, ("arrived_at",), "orders")
    return utc_micros(frame["arrived_at"], "arrived_at", "orders")


def _interval(frame: pd.DataFrame, executed: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Microseconds of arrival and of the last fill; both missing if one is, or if the fill is earlier."""
    start = _arrivals(frame)
    end = not_before_order(executed["last_at"].to_numpy(dtype="int64"), start)
    unknown = (start == NO_TIME) | (end == NO_TIME) | (end < start)
    return np.where(unknown, NO_TIME, start), np.where(unknown, NO_TIME, end)


def _window(start: NDArray[np.int64], end: NDArray[np.int64], margin: int = 0) -> tuple[int, int]:
    known = start != NO_TIME
    return (int(start[known].min()) - margin, int(end[known].max()) + margin) if known.any() else (1, 0)


def _twap(frame: pd.DataFrame, executed: pd.DataFrame, market: Market, max_age: float) -> NDArray[np.float64]:
    start, end = _interval(frame, executed)
    price = np.full(len(frame), np.nan)
    window = _window(start, end, int(max_age * MICROS))
    for rows, stamps, (mid,) in by_market_symbol(
        market, SymbolLookups.of(frame["symbol"], start), ("mid",), *window
    ):
        times, (mids,) = with_gaps(stamps, [mid], max_age)
        price[rows] = time_weighted(times, mids, start[rows], end[rows])
    return price


def interval_volume(
    frame: pd.DataFrame, executed: pd.DataFrame, market: Market
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares and notional that the market traded from arrival (not included) to the last fill (included).

    If the last fill is stamped in whole seconds, to the end of its second, so that it is among them.
    NaN for an order without a fill or an arrival time, or in a symbol that the trades do not have.
    """
    start, end = _interval(frame, executed)
    end = np.where(end == NO_TIME, NO_TIME, latest_times(executed["last_at"].to_numpy(dtype="int64")))
    volume, value = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    lookups = SymbolLookups.of(frame["symbol"], start)
    for rows, times, (price, shares) in by_market_symbol(
        market, lookups, ("price", "volume"), *_window(start, end)
    ):
        before = np.searchsorted(times, start[rows], side="right")
        until = np.searchsorted(times, end[rows], side="right")
        counted = np.where(np.isnan(price), 0.0, shares)
        traded = np.concatenate([[0.0], np.cumsum(counted)])
        money = np.concatenate([[0.0], np.cumsum(counted * np.nan_to_num(price))])
        known = start[rows] != NO_TIME
        volume[rows] = np.where(known, traded[until] - traded[before], np.nan)
        value[rows] = np.where(known, money[until] - money[before], np.nan)
    return volume, value


def _pwp(frame: pd.DataFrame, executed: pd.DataFrame, market: Market, data: BenchmarkData) -> NDArray[np.float64]:
    if not 0 < data.participation <= 1:
        text = f"participation {shown(data.participation)} is not a share of the volume between 0 and 1"
        raise InputError("participation", [Problem("option_invalid", text)])
    start, _ = _interval(frame, executed)
    price = np.full(len(frame), np.nan)
    wanted = executed["filled_quantity"].to_numpy() / data.participation
    day = _day_end(start, data.time_zone)
    lookups = SymbolLookups.of(frame["symbol"], start)
    for rows, times, (paid, shares) in by_market_symbol(
        market, lookups, ("price", "volume"), *_window(start, day)
    ):
        counted = np.where(np.isnan(paid), 0.0, shares)
        traded = np.concatenate([[0.0], np.cumsum(counted)])
        money = np.concatenate([[0.0], np.cumsum(counted * np.nan_to_num(paid))])
        before = np.searchsorted(times, start[rows], side="right")
        goal = traded[before] + wanted[rows]
        # The print that reaches the volume counts in part.
        row = np.minimum(np.searchsorted(traded, goal, side="left"), len(traded) - 1)
        inside = np.maximum(row - 1, 0)
        spent = money[inside] + (goal - traded[inside]) * np.nan_to_num(paid)[inside] - money[before]
        reached = (
            (traded[row] >= goal) & (times[inside] <= day[rows]) & (start[rows] != NO_TIME) & (wanted[rows] > 0)
        )
        price[rows] = np.where(reached, spent / np.where(wanted[rows] > 0, wanted[rows], np.nan), np.nan)
    return price


def _day_end(at: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """The next midnight, local time, after each time."""
    stamps = pd.DatetimeIndex(pd.array(at, dtype="datetime64[us]")).tz_localize("UTC").tz_convert(time_zone)
    ends = (stamps.normalize() + pd.Timedelta(days=1)).as_unit("us")
    return np.where(at == NO_TIME, NO_TIME, ends.asi8)
