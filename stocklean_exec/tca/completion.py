"""Completion: how much was filled, how fast, and why the rest was not.

Times to fill treat unfilled orders as right-censored (Kaplan and Meier, *Nonparametric Estimation from Incomplete
Observations*, JASA 53, 1958): a percentile over filled orders only is too low, because it omits the slow ones.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import number_option
from stocklean_exec.tca.asof import MICROS, NO_TIME
from stocklean_exec.tca.benchmarks import interval_volume
from stocklean_exec.tca.fill_clock import not_before_order
from stocklean_exec.tca.inputs import (
    SHARE_DECIMALS,
    Executed,
    FillInput,
    MarketInput,
    OrderInput,
    column_numbers,
    executed_by_order,
    fill_micros,
    keyed_orders,
    requested_shares,
    require_columns,
    undated_fills,
    usable,
    utc_micros,
)
from stocklean_exec.tca.market import as_market

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "completion",
    "completion_summary",
    "fill_curve",
    "fill_progress",
    "fill_times",
    "incomplete_reasons",
    "kaplan_meier",
    "participation",
]


def completion(orders: OrderInput, fills: FillInput | Executed = None) -> pd.DataFrame:
    """Completion of each order: how much was filled, how fast, and why the rest was not.

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, status, reason, arrived_at
    fills : client_order_id, quantity, filled_at; only of these orders

    Returns
    -------
    DataFrame, index client_order_id, in the sequence of ``orders``

    ==================  ===============================================================================
    symbol, side        of the order
    quantity            requested, shares, without the rest that was ordered again by another order of
                        the table (``replaces``); NaN if no price allowed a quantity
    filled_quantity     shares
    remaining_quantity  shares, not below zero
    fill_ratio          filled / requested
    first_fill_seconds  from sending the order to the first fill; NaN without one; 0 within the second
                        of sending, because TWS reports execution times in whole seconds: a time is up
                        to a second too short. Negative if a clock is wrong by more than that; NaN if
                        a fill is dated by its report (``time_unreliable``)
    last_fill_seconds   the same to the last fill so far
    status              of the order
    reason              why shares are unfilled: the order's own reason, ``working`` while it may still
                        fill, ``not_sent``, ``overfilled`` above the requested quantity,
                        ``ordered_again`` where nothing else is left; empty if filled
    fills               number of executions
    ==================  ===============================================================================

    Raises
    ------
    InputError
        Columns are missing, a fill belongs to none of the orders, is in several rows or has no price above zero,
        or a time has no zone.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["r-SPY-BUY"], "symbol": ["SPY"], "side": ["BUY"], "quantity": [10.0],
    ...     "status": ["PARTIAL"], "reason": [None],
    ... })
    >>> fills = pd.DataFrame({"client_order_id": ["r-SPY-BUY"], "quantity": [4.0], "price": [100.0]})
    >>> completion(orders, fills).iloc[0][["filled_quantity", "remaining_quantity", "reason"]].to_dict()
    {'filled_quantity': 4.0, 'remaining_quantity': 6.0, 'reason': 'working'}
    """
    frame = keyed_orders(orders)
    executed = executed_by_order(frame, fills)
    requested = requested_shares(frame)
    filled = executed["filled_quantity"].to_numpy(dtype="float64")
    status = frame["status"].to_numpy(dtype=object) if "status" in frame.columns else np.full(len(frame), None)
    own = frame["reason"].tolist() if "reason" in frame.columns else [None] * len(frame)
    elsewhere = (requested == 0) & (column_numbers(frame, "quantity", "orders") > 0)
    own = ["ordered_again" if again else reason for again, reason in zip(elsewhere.tolist(), own, strict=True)]
    arrived = _arrivals(frame)
    first, last = (executed[name].to_numpy(dtype="int64") for name in ("first_at", "last_at"))
    return pd.DataFrame(
        {
            "symbol": frame["symbol"].array,
            "side": frame["side"].array,
            "quantity": requested,
            "filled_quantity": filled,
            "remaining_quantity": np.maximum(np.round(requested - filled, SHARE_DECIMALS), 0.0),
            "fill_ratio": filled / np.where(requested > 0, requested, np.nan),
            "first_fill_seconds": _seconds(arrived, not_before_order(first, arrived)),
            "last_fill_seconds": _seconds(arrived, not_before_order(last, arrived)),
            "status": status,
            "reason": [
                _remaining_reason(requested_, filled_, state, reason)
                for requested_, filled_, state, reason in zip(requested, filled, status, own, strict=True)
            ],
            "fills": executed["fills"].to_numpy(),
        },
        index=frame.index,
    ).astype({"symbol": "str", "side": "str", "status": "str", "reason": "str"})


def _remaining_reason(requested: float, filled: float, status: object, reason: object) -> str | None:
    if filled > requested:
        return "overfilled"
    if filled == requested and requested > 0:
        return None
    if isinstance(reason, str) and status not in ("SUBMITTED", "PARTIAL"):  # an order that waits names its own day
        return reason
    return {"SUBMITTED": "working", "PARTIAL": "working", "NEW": "not_sent", "UNKNOWN": "unknown"}.get(
        str(status), str(status).lower() if isinstance(status, str) else None
    )


def _arrivals(frame: pd.DataFrame) -> NDArray[np.int64]:
    if "arrived_at" not in frame.columns:
        return np.full(len(frame), NO_TIME)
    return utc_micros(frame["arrived_at"], "arrived_at", "orders")


def _seconds(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from one time to another, NaN where either is missing."""
    unknown = (start == NO_TIME) | (end == NO_TIME)
    return np.where(unknown, np.nan, np.where(unknown, 0, end - start) / MICROS)


def _prices(frame: pd.DataFrame) -> NDArray[np.float64]:
    """A price for notional: the final, else the arrival, else the decision price."""
    price = np.full(len(frame), np.nan)
    for name in ("final_price", "arrival_price", "decision_price"):
        price = np.where(np.isnan(price), usable(column_numbers(frame, name, "orders")), price)
    return price


def completion_summary(
    orders: OrderInput, fills: FillInput | Executed = None, *, by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Completion of a run, or of the groups of any columns of ``orders``.

    Notional is at the final price of an order, else at its arrival price, else at its decision price.

    Parameters
    ----------
    orders, fills : as in :func:`completion`; decision_price, arrival_price or final_price for notional
    by : one or more columns of the orders; None is one row for all

    Returns
    -------
    DataFrame, indexed by the group (``all`` without one)

    ===================  =====================================================================
    orders, fills        numbers
    fill_ratio           shares filled / requested
    notional_ratio       the same of notional; orders without a price are excluded
    completion_rate      orders filled in full / orders with a quantity
    residual_notional    of the unfilled quantity, currency
    fills_per_order      of the orders that have fills
    rejected_rate        orders that were rejected / orders
    cancelled_rate       orders that were cancelled / orders
    ===================  =====================================================================

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "symbol": ["A", "B"], "side": ["BUY", "SELL"], "quantity": [10.0, 30.0],
    ...     "status": ["FILLED", "REJECTED"], "decision_price": [1.0, 2.0],
    ... })
    >>> fills = pd.DataFrame({"client_order_id": ["a"], "quantity": [10.0], "price": [1.0]})
    >>> row = completion_summary(orders, fills).loc["all"]
    >>> row[["fill_ratio", "completion_rate", "residual_notional"]].tolist()
    [0.25, 0.5, 60.0]
    """
    frame, table = keyed_orders(orders), completion(orders, fills)
    price = _prices(frame)
    known = table["quantity"] > 0
    done = table["filled_quantity"].clip(upper=table["quantity"])
    status = table["status"]
    data = pd.DataFrame(
        {
            "orders": 1,
            "fills": table["fills"],
            "requested": table["quantity"].where(known),
            "done": done.where(known),
            "requested_notional": (table["quantity"] * price).where(known),
            "done_notional": (done * price).where(known),
            "with_quantity": known.astype("int64"),
            "complete": (known & (done >= table["quantity"])).astype("int64"),
            "residual_notional": table["remaining_quantity"] * price,
            "with_fills": (table["fills"] > 0).astype("int64"),
            "rejected": (status == "REJECTED").to_numpy(dtype=bool, na_value=False).astype("int64"),
            "cancelled": (status == "CANCELLED").to_numpy(dtype=bool, na_value=False).astype("int64"),
        },
        index=table.index,
    )
    if by is None:
        sums = data.sum().to_frame("all").T
    else:
        names = [by] if isinstance(by, str) else list(by)
        require_columns(frame, names, "orders")
        sums = data.groupby([frame[name] for name in names], dropna=False, observed=True).sum()
    return pd.DataFrame(
        {
            "orders": sums["orders"].astype("int64"),
            "fills": sums["fills"].astype("int64"),
            "fill_ratio": sums["done"] / sums["requested"].where(sums["requested"] > 0),
            "notional_ratio": sums["done_notional"]
            / sums["requested_notional"].where(sums["requested_notional"] > 0),
            "completion_rate": sums["complete"] / sums["with_quantity"].where(sums["with_quantity"] > 0),
            "residual_notional": sums["residual_notional"],
            "fills_per_order": sums["fills"] / sums["with_fills"].where(sums["with_fills"] > 0),
            "rejected_rate": sums["rejected"] / sums["orders"].where(sums["orders"] > 0),
            "cancelled_rate": sums["cancelled"] / sums["orders"].where(sums["orders"] > 0),
        }
    )


def incomplete_reasons(orders: OrderInput, fills: FillInput | Executed = None) -> pd.DataFrame:
    """Unfilled orders by status and reason.

    Parameters
    ----------
    orders, fills : as in :func:`completion_summary`

    Returns
    -------
    DataFrame: ``status``, ``reason``, ``orders``, ``share`` of all orders, ``remaining_quantity``,
    ``residual_notional``; notional as in :func:`completion_summary`; NaN where none of the orders has a price.
    """
    frame, table = keyed_orders(orders), completion(orders, fills)
    left = (table["remaining_quantity"] > 0) | table["quantity"].isna()
    data = pd.DataFrame(
        {
            "status": table["status"],
            "reason": table["reason"],
            "orders": 1,
            "share": 1 / max(len(table), 1),
            "remaining_quantity": table["remaining_quantity"],
            "residual_notional": table["remaining_quantity"] * _prices(frame),
        }
    )[left.to_numpy(dtype=bool)]
    groups = data.groupby(["status", "reason"], dropna=False, sort=True)
    result = groups[["orders", "share"]].sum()
    result[["remaining_quantity", "residual_notional"]] = groups[["remaining_quantity", "residual_notional"]].sum(
        min_count=1
    )
    return result.reset_index()


# -- time to fill ------------------------------------------------------------------------------------------------


def kaplan_meier(seconds: NDArray[np.float64], observed: NDArray[np.bool_]) -> pd.DataFrame:
    """Kaplan-Meier estimate of the share that is still unfilled after some time.

    ``S(t) = product over times t_i <= t of (1 - d_i / n_i)``, with d_i filled at t_i of n_i at risk just before;
    the standard error is Greenwood's, ``S(t) sqrt(sum(d_i / (n_i (n_i - d_i))))``. An order censored at the time
    of another's fill counts as at risk at that time.

    Parameters
    ----------
    seconds : time to the fill, or to the end of observation
    observed : whether it was a fill

    Returns
    -------
    DataFrame, one row per time with a fill: ``seconds``, ``at_risk``, ``filled``, ``unfilled_share``,
    ``filled_share``, ``standard_error``

    Examples
    --------
    Table 2 of Bewick, Cheek and Ball, *Critical Care* 8:389, 2004: 1, 1, 4, 5, 6+, 9, 9+, 22.

    >>> curve = kaplan_meier(np.array([1.0, 1, 4, 5, 6, 9, 9, 22]), np.array([1, 1, 1, 1, 0, 1, 0, 1], dtype=bool))
    >>> curve["unfilled_share"].round(3).tolist()
    [0.75, 0.625, 0.5, 0.333, 0.0]
    """
    times, filled = np.unique(seconds[observed], return_counts=True)
    at_risk = len(seconds) - np.searchsorted(np.sort(seconds), times, side="left")
    left = np.cumprod(1 - filled / np.maximum(at_risk, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.cumsum(filled / (at_risk * (at_risk - filled)))
        error = np.where(left > 0, left * np.sqrt(spread), 0.0)
    return pd.DataFrame(
        {
            "seconds": times.astype("float64"),
            "at_risk": at_risk.astype("int64"),
            "filled": filled.astype("int64"),
            "unfilled_share": left,
            "filled_share": 1 - left,
            "standard_error": error,
        }
    )


def fill_curve(
    orders: OrderInput, fills: FillInput = None, *, share: float = 1.0, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Kaplan-Meier curve of the time from arrival until ``share`` of an order was filled.

    Parameters
    ----------
    orders : client_order_id, symbol, side, quantity, arrived_at; ``ended_at`` is when an unfilled order was
        cancelled
    fills : client_order_id, quantity, price, filled_at
    share : of the order's quantity; 0 is the first fill
    until : end of observation; by default the last fill of all orders, or a later ``ended_at``. The curve is that
        of this moment: fills and ends after it have not happened yet, and orders sent after it were not watched
    """
    seconds, observed = _times_to(orders, fills, share, until)
    known = ~np.isnan(seconds)
    return kaplan_meier(seconds[known], observed[known])


def fill_times(
    orders: OrderInput,
    fills: FillInput = None,
    *,
    shares: Sequence[float] = (0.0, 0.5, 0.9, 1.0),
    percentiles: Sequence[float] = (0.5, 0.9),
    until: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Percentiles of the time until shares of an order were filled; unfilled orders are censored.

    Parameters
    ----------
    orders, fills, until : as in :func:`fill_curve`
    shares : of the order's quantity, from 0 (the first fill) to 1
    percentiles : of the orders, as fractions: 0.5 is the median

    Returns
    -------
    DataFrame, one row per share: ``share`` (0 is the first fill), ``orders`` (observed), ``reached``,
    ``censored``, ``not_watched`` (never sent, of unknown end, or with a fill dated by its report), and
    ``p50_seconds``, ``p90_seconds``, ...: NaN if too few orders reached the share within the observed time

    Examples
    --------
    >>> at = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["a", "b", "c"], "symbol": "A", "side": "BUY", "quantity": 10.0, "arrived_at": at,
    ... })
    >>> fills = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "quantity": [10.0, 5.0], "price": 1.0,
    ...     "filled_at": [at + pd.Timedelta(seconds=2), at + pd.Timedelta(seconds=4)],
    ... })
    >>> fill_times(orders, fills, shares=[0, 1])[["share", "orders", "reached", "p50_seconds", "p90_seconds"]]
       share  orders  reached  p50_seconds  p90_seconds
    0    0.0       3        2          4.0          NaN
    1    1.0       3        1          NaN          NaN
    """
    rows = []
    for share in shares:
        seconds, observed = _times_to(orders, fills, share, until)
        known = ~np.isnan(seconds)
        curve = kaplan_meier(seconds[known], observed[known])
        row: dict[str, float] = {
            "share": float(share),
            "orders": int(known.sum()),
            "reached": int(observed[known].sum()),
            "censored": int((~observed[known]).sum()),
            "not_watched": int((~known).sum()),
        }
        for percentile in percentiles:
            beyond = curve.loc[curve["filled_share"] >= percentile - 1e-12, "seconds"]
            row[f"p{100 * percentile:g}_seconds"] = float(beyond.iloc[0]) if len(beyond) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _times_to(
    orders: OrderInput, fills: FillInput, share: float, until: pd.Timestamp | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds to the share of each order, or to the end of observation; NaN if it was not observed."""
    number_option("share", share, least=0.0, most=1.0)
    frame = keyed_orders(orders)
    require_columns(frame, ("arrived_at",), "orders")
    progress = fill_progress(orders, fills)
    reached = progress[progress["filled_share"] >= share - 1e-12] if share > 0 else progress
    first = reached.groupby("client_order_id", sort=False)["seconds"].min().reindex(frame.index)
    start, ended = _arrivals(frame), np.full(len(frame), NO_TIME)
    if "ended_at" in frame.columns:
        ended = utc_micros(frame["ended_at"], "ended_at", "orders")
    seconds = first.to_numpy(dtype="float64")
    observed = ~np.isnan(seconds)
    if until is None:
        last = not_before_order(np.full(len(frame), _last_fill(fills)), start)
    else:
        last = np.full(len(frame), int(utc_micros(pd.Series([until]), "until", "options")[0]))
        ended = np.minimum(ended, last)  # a missing time is the lowest of all times
        observed &= np.where(observed, seconds, 0) <= _seconds(start, last)
    watched = _seconds(start, np.where(ended == NO_TIME, last, ended))
    watched[frame.index.isin(_undated_orders(fills))] = np.nan
    return np.where(observed, seconds, np.where(watched >= 0, watched, np.nan)), observed


def _undated_orders(fills: FillInput) -> pd.Series[str]:
    """Orders with a fill that is dated by its report: when they had filled how much is not known."""
    fills = require_columns(fills, ("client_order_id",), "fills")
    return fills["client_order_id"][undated_fills(fills)]


def _last_fill(fills: FillInput) -> int:
    fills = require_columns(fills, (), "fills")
    at = fill_micros(fills) if len(fills) else np.empty(0, dtype="int64")
    return int(at.max()) if len(at) else NO_TIME


def fill_progress(orders: OrderInput, fills: FillInput = None) -> pd.DataFrame:
    """Filled share of each order over time: one row per fill.

    Parameters
    ----------
    orders : client_order_id, symbol, side, quantity, arrived_at
    fills : client_order_id, quantity, price, filled_at

    Returns
    -------
    DataFrame: ``client_order_id``, ``symbol``, ``seconds`` since the order was sent, ``filled_quantity`` so far,
    ``filled_share`` of the order. Fills without a time are excluded, and all fills of an order of which one is
    dated by its report (``time_unreliable``): what was filled before it is not known. A fill stamped in whole
    seconds may be up to a second later; in the second of sending it counts as made at 0.

    Raises
    ------
    InputError
        Columns are missing, a fill belongs to none of the orders, is in several rows or has no price above zero,
        or a time has no zone.
    """
    frame = keyed_orders(orders)
    executed_by_order(frame, fills)  # raises for fills of other orders
    fills = require_columns(fills, ("filled_at",), "fills")
    require_columns(frame, ("arrived_at",), "orders")
    rows = frame.index.get_indexer(pd.Index(fills["client_order_id"]))
    at = fill_micros(fills)
    at = np.where(fills["client_order_id"].isin(_undated_orders(fills)), NO_TIME, at)
    order = np.lexsort((at, rows))
    order = order[at[order] != NO_TIME]
    rows, at = rows[order], at[order]
    arrived = _arrivals(frame)[rows]
    table = pd.DataFrame(
        {
            "client_order_id": pd.array(frame.index[rows], dtype="str"),
            "symbol": pd.array(frame["symbol"].to_numpy()[rows], dtype="str"),
            "seconds": _seconds(arrived, not_before_order(at, arrived)),
            "filled_quantity": column_numbers(fills, "quantity", "fills")[order],
        }
    )
    so_far = table.groupby(rows)["filled_quantity"].cumsum().round(SHARE_DECIMALS)
    table["filled_quantity"] = so_far
    requested = requested_shares(frame)[rows]
    table["filled_share"] = so_far / np.where(requested > 0, requested, np.nan)
    return table


def participation(
    orders: OrderInput, fills: FillInput | Executed = None, trades: MarketInput | None = None
) -> pd.DataFrame:
    """Our share of what the market traded from arrival (not included) to the last fill: F / V, own shares in V.

    V counts to the end of the second of a last fill that is stamped in whole seconds, as TWS does: our fill is
    in it. The interval is less than a second too long.

    Parameters
    ----------
    orders : client_order_id, symbol, side, quantity, arrived_at
    fills : client_order_id, quantity, price, filled_at
    trades : symbol, traded_at, price, volume: prints, or bars stamped at their end; or Parquet files of them

    Returns
    -------
    DataFrame, index client_order_id: ``filled_quantity``, ``market_volume``, ``participation`` (a fraction; NaN
    without fills, without volume, where a fill is dated by its report, or where we would have traded more than
    the market)
    """
    frame = keyed_orders(orders)
    executed = executed_by_order(frame, fills)
    volume, _ = interval_volume(frame, executed, as_market(trades, "trades"))
    filled = executed["filled_quantity"].to_numpy()
    share = filled / np.where(volume > 0, volume, np.nan)
    return pd.DataFrame(
        {
            "filled_quantity": filled,
            "market_volume": volume,
            "participation": np.where((filled > 0) & (share <= 1), share, np.nan),
        },
        index=frame.index,
    )
