"""Slippage against a benchmark, and spread measures: one row per order.

Slippage is a cost: positive is worse than the benchmark, for buys and for sells. Basis points are of the
benchmark's notional of what was filled (``*_bps``), money is in the order's currency (``*_cost``). Commissions are
separate. Unknown numbers are NaN, never zero (no fill, no benchmark, no report yet), with flags for the reason.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import number_option
from stocklean_exec.tca.asof import MAX_AGE, MICROS, NO_TIME, look_up
from stocklean_exec.tca.benchmarks import BenchmarkData, benchmark_prices
from stocklean_exec.tca.fill_clock import observed_times
from stocklean_exec.tca.inputs import (
    Executed,
    FillInput,
    MarketInput,
    OrderInput,
    Sign,
    column_numbers,
    executed_by_order,
    fill_micros,
    in_order_currency,
    joined_flags,
    keyed_orders,
    require_columns,
    side_signs,
    sign_factor,
    to_base,
    undated_fills,
    utc_micros,
)
from stocklean_exec.tca.market import as_market

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.tca.asof import Market

__all__ = ["slippage", "slippage_summary", "spread_metrics"]

_LONGEST = 10 * 365 * 86_400.0  # seconds: ten years, a bound against mistaken units


def slippage(
    orders: OrderInput,
    fills: FillInput | Executed = None,
    *,
    benchmark: object = "arrival",
    quotes: object = None,
    trades: object = None,
    daily: pd.DataFrame | None = None,
    participation: float = 0.1,
    max_age: float = MAX_AGE,
    time_zone: str = "America/New_York",
    sign: Sign = "cost",
    fx: object = None,
) -> pd.DataFrame:
    """Slippage of each order against a benchmark price.

    ``slippage_bps = 1e4 x side x (average fill price - benchmark) / benchmark``, with side +1 for a buy and -1
    for a sell; ``slippage_cost = side x (average fill price - benchmark) x filled quantity``. (Kissell, *The
    Science of Algorithmic Trading and Portfolio Management*, 2013, ch. 3: trading cost against a benchmark.)

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, and the benchmark's column
    fills : client_order_id, quantity, price, commission; only of these orders. Benchmarks over an interval need
        filled_at, and take no time of a fill that ``time_unreliable`` marks
    benchmark : ``"arrival"`` (mid when the order was sent), ``"decision"`` (price of the plan), ``"limit"``,
        ``"far_touch"``, ``"near_touch"``, ``"vwap"``, ``"vwap_ex_own"``, ``"twap"``, ``"pwp"``, ``"open"``,
        ``"close"``, ``"previous_close"``, ``"quote"`` (the mid or last of ``quotes``), ``"auto"`` (``"close"`` of
        ``MOC`` and ``LOC``, ``"open"`` of ``OPG``, else ``"arrival"``), or prices of your own: a mapping or Series
        by symbol or by client order id. See :mod:`stocklean_exec.tca.benchmarks`
    quotes : symbol, quoted_at, bid, ask (and delayed); used where the orders lack a price
    trades : symbol, traded_at, price, volume: prints, or bars stamped at their end
    daily : symbol, date, open, close; dates may be midnights with a zone, as vendors give them
    participation : share of the volume that PWP is worked at
    max_age : longest time in seconds that a quote is in force without another one
    time_zone : of the exchange, for days
    sign : ``"cost"``: positive is worse; ``"performance"``: positive is better
    fx : rates to one base currency, where orders are in several; ``"local"`` leaves each row in its own

    Returns
    -------
    DataFrame, index client_order_id, in the sequence of ``orders``

    =====================  =======================================================================
    symbol, side           of the order
    filled_quantity        shares
    avg_fill_price         currency per share; NaN without a fill
    benchmark_price        currency per share; NaN where there is none
    slippage_bps           positive is worse than the benchmark
    slippage_cost          currency; positive is worse
    commission             currency, sum of those reported; NaN until one is
    commissions_due        fills whose commission has not been reported yet
    benchmark_age_seconds  age of the quote behind the benchmark; NaN if there is none or it is unknown
    flags                  why a number is missing or doubtful: ``no_fill``, ``no_fill_price``, ``no_benchmark``,
                           ``no_quote``, ``stale_quote``, ``crossed_quote``, ``delayed_quote``, ``no_time``,
                           ``no_volume``, ``not_observed``, ``no_daily_price``, ``stale_daily_price``,
                           ``fill_before_order`` (the clocks of order and fill differ), ``time_unreliable`` (a
                           fill is dated by its report, and the interval has no known end), ``overfilled``
    =====================  =======================================================================

    Raises
    ------
    InputError
        Columns are missing, a fill belongs to none of the orders, is in several rows or has no price above zero,
        the benchmark is unknown or what it needs was not given, or currencies are mixed without ``fx``.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["r-SPY-BUY"], "symbol": ["SPY"], "side": ["BUY"],
    ...     "quantity": [10.0], "arrival_price": [100.0],
    ... })
    >>> fills = pd.DataFrame({
    ...     "client_order_id": ["r-SPY-BUY"] * 2, "quantity": [4.0, 6.0], "price": [100.0, 110.0],
    ...     "commission": [1.0, float("nan")],
    ... })
    >>> slippage(orders, fills).iloc[0][["avg_fill_price", "slippage_bps", "slippage_cost"]].to_dict()
    {'avg_fill_price': 106.0, 'slippage_bps': 600.0, 'slippage_cost': 60.0}
    """
    factor = sign_factor(sign)
    number_option("max_age", max_age, least=1e-6, most=_LONGEST)
    frame = keyed_orders(orders)
    executed = executed_by_order(frame, in_order_currency(frame, fills, fx))
    rate = to_base(frame, fx)
    found = benchmark_prices(
        frame, executed, benchmark, BenchmarkData(quotes, trades, daily, participation, max_age, time_zone)
    )
    filled = executed["filled_quantity"].to_numpy(dtype="float64")
    average = executed["avg_fill_price"].to_numpy(dtype="float64")
    per_share = factor * side_signs(frame) * (average - found.price)
    with np.errstate(invalid="ignore"):
        over = filled > column_numbers(frame, "quantity", "orders")
    none = filled == 0
    flags = {"no_fill": none, "no_fill_price": ~none & np.isnan(average)}
    flags |= {name: up & ~none for name, up in found.flags.items()} | {"overfilled": over}
    return pd.DataFrame(
        {
            "symbol": frame["symbol"].array,
            "side": frame["side"].array,
            "filled_quantity": filled,
            "avg_fill_price": average,
            "benchmark_price": found.price,
            "slippage_bps": 1e4 * per_share / found.price,
            "slippage_cost": per_share * filled * rate,
            "commission": executed["commission"].to_numpy(dtype="float64") * rate,
            "commissions_due": executed["commissions_due"].to_numpy(dtype="int64"),
            "benchmark_age_seconds": found.age,
            "flags": joined_flags(len(frame), flags),
        },
        index=frame.index,
        copy=False,
    ).astype({"symbol": "str", "side": "str"})


def slippage_summary(
    orders: OrderInput,
    fills: FillInput | Executed = None,
    *,
    benchmark: object = "arrival",
    quotes: object = None,
    trades: object = None,
    daily: pd.DataFrame | None = None,
    participation: float = 0.1,
    max_age: float = MAX_AGE,
    time_zone: str = "America/New_York",
    sign: Sign = "cost",
    fx: object = None,
) -> pd.Series[float]:
    """Slippage of a run in total: total cost over total benchmark notional, not a mean of the orders' bps.

    Orders without a fill or without a benchmark are counted but excluded from the sums.

    Parameters
    ----------
    orders, fills, benchmark, quotes, trades, daily : as in :func:`slippage`
    participation, max_age, time_zone, sign, fx : as in :func:`slippage`

    Returns
    -------
    Series: ``orders``, ``measured`` (orders in the sums), ``notional`` (at the benchmark), ``slippage_cost``,
    ``slippage_bps``, ``commission``, ``commissions_due``, ``total_cost`` (slippage and commission), ``total_bps``

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "symbol": ["A", "B"], "side": ["BUY", "SELL"],
    ...     "quantity": [10.0, 10.0], "arrival_price": [100.0, 300.0],
    ... })
    >>> fills = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "quantity": [10.0, 10.0], "price": [101.0, 300.0],
    ...     "commission": [1.0, 1.0],
    ... })
    >>> slippage_summary(orders, fills)[["slippage_cost", "slippage_bps", "total_bps"]].to_dict()
    {'slippage_cost': 10.0, 'slippage_bps': 25.0, 'total_bps': 30.0}
    """
    table = slippage(
        orders,
        fills,
        benchmark=benchmark,
        quotes=quotes,
        trades=trades,
        daily=daily,
        participation=participation,
        max_age=max_age,
        time_zone=time_zone,
        sign=sign,
        fx=fx,
    )
    rate = to_base(keyed_orders(orders), fx)
    chosen = (table["slippage_cost"].notna() & (table["filled_quantity"] > 0)).to_numpy()
    measured = table[chosen]
    weights = rate[chosen] if isinstance(rate, np.ndarray) else rate
    notional = float((measured["filled_quantity"] * measured["benchmark_price"] * weights).sum())
    cost = float(measured["slippage_cost"].sum())
    commission = float(measured["commission"].sum(min_count=1)) if len(measured) else np.nan
    total = cost + sign_factor(sign) * commission
    scale = 1e4 / notional if notional else np.nan
    return pd.Series(
        {
            "orders": float(len(table)),
            "measured": float(len(measured)),
            "notional": notional,
            "slippage_cost": cost if len(measured) else np.nan,
            "slippage_bps": cost * scale,
            "commission": commission,
            "commissions_due": float(table["commissions_due"].sum()),
            "total_cost": total,
            "total_bps": total * scale,
        }
    )


def spread_metrics(
    orders: OrderInput,
    fills: FillInput = None,
    quotes: MarketInput | None = None,
    *,
    horizon: float = 300.0,
    max_age: float = MAX_AGE,
) -> pd.DataFrame:
    """Spread measures of each order, share-weighted over its fills.

    With mid m and quote b, a at the fill (the definitions of Rule 605 of Regulation NMS, in basis points of the
    mid):

    - quoted spread ``a - b``; effective spread ``2 s (p - m)``; effective over quoted, a ratio
    - realized spread ``2 s (p - m(t + horizon))`` and price impact ``2 s (m(t + horizon) - m)``; the two add up
      to the effective spread. They are NaN if a fill that has a quote has none at the horizon (near the close,
      for example): over the other fills they would not add up, and ``unobserved_later`` counts such fills
    - spread capture ``s (m - p) / ((a - b) / 2)``: +1 if filled at the near touch, -1 at the far touch
    - price improvement, positive is good: ``a - p`` for a buy, ``p - b`` for a sell, against the touch when the
      order arrived, in basis points of that touch

    A fill stamped in whole seconds, as TWS stamps them, is measured at the start of its second, or when its order
    was sent if that is later: up to a second early. One that is stamped before its order was sent by more than
    that has no known time, and is unobserved, as is one that is dated by its report (``time_unreliable``).

    Parameters
    ----------
    orders : client_order_id, symbol, side, quantity; arrival_bid and arrival_ask, or arrived_at
    fills : client_order_id, quantity, price, filled_at (and time_unreliable)
    quotes : symbol, quoted_at, bid, ask; or Parquet files of them
    horizon : seconds after the fill
    max_age : longest time in seconds that a quote is in force without another one

    Returns
    -------
    DataFrame, index client_order_id: ``quoted_spread_bps``, ``effective_spread_bps``, ``effective_over_quoted``,
    ``realized_spread_bps``, ``price_impact_bps``, ``spread_capture``, ``price_improvement_bps``, ``fills``,
    ``unobserved`` (fills without a quote), ``unobserved_later`` (fills with a quote, but none at the horizon) and
    ``time_unreliable`` (fills dated by their report, which are unobserved). NaN where no fill had a quote.

    Examples
    --------
    A buy at 25.48 in a market of 25.45 to 25.50 (fincyclopedia.net): quoted 0.05, effective 0.01.

    >>> at = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    >>> quotes = pd.DataFrame({"symbol": ["A"], "quoted_at": [at], "bid": [25.45], "ask": [25.50]})
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["o"], "symbol": ["A"], "side": ["BUY"], "quantity": [5.0], "arrived_at": [at],
    ... })
    >>> fills = pd.DataFrame({"client_order_id": ["o"], "quantity": [5.0], "price": [25.48], "filled_at": [at]})
    >>> row = spread_metrics(orders, fills, quotes)[["quoted_spread_bps", "effective_spread_bps"]]
    >>> (row * 25.475 / 1e4).round(6)
                     quoted_spread_bps  effective_spread_bps
    client_order_id
    o                             0.05                  0.01
    """
    number_option("max_age", max_age, least=1e-6, most=_LONGEST)
    number_option("horizon", horizon, least=0.0, most=_LONGEST)
    frame, market = keyed_orders(orders), as_market(quotes)
    executed_by_order(frame, fills)  # raises for fills of other orders
    fills = require_columns(fills, ("filled_at",), "fills")
    rows = frame.index.get_indexer(pd.Index(fills["client_order_id"]))
    side, symbols = side_signs(frame)[rows], frame["symbol"].iloc[rows]
    price, shares = column_numbers(fills, "price", "fills"), column_numbers(fills, "quantity", "fills")
    at = fill_micros(fills)
    if "arrived_at" in frame.columns:
        at = observed_times(at, utc_micros(frame["arrived_at"], "arrived_at", "orders")[rows])
    now = look_up(market, symbols, at, ("mid", "bid", "ask"), max_age)
    later = np.where(at == NO_TIME, NO_TIME, at + int(horizon * MICROS))
    then = look_up(market, symbols, later, ("mid",), max_age)["mid"]
    mid, quoted = now["mid"], now["ask"] - now["bid"]
    touch = _arrival_touch(frame, market, max_age)[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            "quoted_spread_bps": 1e4 * quoted / mid,
            "effective_spread_bps": 2e4 * side * (price - mid) / mid,
            "realized_spread_bps": 2e4 * side * (price - then) / mid,
            "price_impact_bps": 2e4 * side * (then - mid) / mid,
            "spread_capture": np.where(quoted > 0, side * (mid - price) / (quoted / 2), np.nan),
            "price_improvement_bps": 1e4 * side * (touch - price) / touch,
        }
    table = pd.DataFrame(
        {name: _weighted_mean(rows, values, shares, len(frame)) for name, values in measures.items()},
        index=frame.index,
    )
    ratio = table["effective_spread_bps"] / table["quoted_spread_bps"].where(table["quoted_spread_bps"] > 0)
    table.insert(2, "effective_over_quoted", ratio)
    table["fills"] = np.bincount(rows, minlength=len(frame))
    table["unobserved"] = np.bincount(rows[np.isnan(mid)], minlength=len(frame))
    partly = np.bincount(rows[~np.isnan(mid) & np.isnan(then)], minlength=len(frame))
    table.loc[partly > 0, ["realized_spread_bps", "price_impact_bps"]] = np.nan
    table["unobserved_later"] = partly
    table["time_unreliable"] = np.bincount(rows[undated_fills(fills)], minlength=len(frame))
    return table


def _arrival_touch(frame: pd.DataFrame, market: Market, max_age: float) -> NDArray[np.float64]:
    has_own = "arrival_bid" in frame.columns and "arrival_ask" in frame.columns
    if not has_own and "arrived_at" not in frame.columns:
        return np.full(len(frame), np.nan)
    blank = pd.DataFrame(index=frame.index)
    return benchmark_prices(frame, blank, "far_touch", BenchmarkData(quotes=market, max_age=max_age)).price


def _weighted_mean(
    rows: NDArray[np.int64], values: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    seen = ~np.isnan(values)
    total = np.bincount(rows[seen], weights=weights[seen], minlength=count)
    value = np.bincount(rows[seen], weights=(values * weights)[seen], minlength=count)
    return np.where(total > 0, value / np.where(total > 0, total, np.nan), np.nan)
