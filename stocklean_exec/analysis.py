"""What the trading cost, and what was left undone: one row per order.

Costs are positive when they are worse than the benchmark, for buys and for sells. Basis points are of the
benchmark's notional of what was filled (``*_bps``), money is in the order's currency (``*_cost``).
Commissions stand apart. What is not known is NaN, never zero: no fill, no benchmark, no report yet.

Pure functions over the blotter's ``orders`` and ``fills`` tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.doors import parse_quotes
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.prices import is_usable, usable_prices

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BENCHMARKS", "completion", "slippage", "slippage_summary"]

BENCHMARKS = {
    "arrival": "arrival_price",
    "decision": "decision_price",
    "limit": "limit_price",
}
"""Benchmarks that the orders table itself carries, and their columns."""

_DECIMALS = 8  # of a share


def slippage(
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    benchmark: object = "arrival",
    quotes: object = None,
) -> pd.DataFrame:
    """Slippage of each order against a benchmark price.

    ``slippage_bps = 1e4 x side x (average fill price - benchmark) / benchmark``, with side +1 for a buy and -1
    for a sell; ``slippage_cost = side x (average fill price - benchmark) x filled quantity``. (Kissell, *The
    Science of Algorithmic Trading and Portfolio Management*, 2013, ch. 3: trading cost against a benchmark.)

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, and the benchmark's column
    fills : client_order_id, quantity, price, commission; only of these orders
    benchmark : ``"arrival"`` (mid when the order was handed over), ``"decision"`` (price of the plan),
        ``"limit"``, ``"quote"`` (the mid or last of ``quotes``), or prices of your own: a mapping or Series
        by symbol or by client order id
    quotes : for ``benchmark="quote"``

    Returns
    -------
    DataFrame, index client_order_id, in the sequence of ``orders``

    ===============  =============================================================
    symbol, side     of the order
    filled_quantity  shares
    avg_fill_price   currency per share; NaN without a fill
    benchmark_price  currency per share; NaN where there is none
    slippage_bps     positive is worse than the benchmark
    slippage_cost    currency; positive is worse
    commission       currency, sum of those reported; NaN until one is
    commissions_due  fills whose commission has not been reported yet
    ===============  =============================================================

    Raises
    ------
    InputError
        Columns are missing, a fill belongs to none of the orders, or the benchmark is unknown.

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
    frame, executed = _keyed(orders), _by_order(orders, fills)
    price = _benchmark_prices(frame, benchmark, quotes)
    filled = executed["filled_quantity"].to_numpy(dtype="float64")
    average = executed["avg_fill_price"].to_numpy(dtype="float64")
    side = np.where(frame["side"].to_numpy() == "BUY", 1.0, -1.0)
    per_share = side * (average - price)
    return pd.DataFrame(
        {
            "symbol": frame["symbol"].to_numpy(),
            "side": frame["side"].to_numpy(),
            "filled_quantity": filled,
            "avg_fill_price": average,
            "benchmark_price": price,
            "slippage_bps": 1e4 * per_share / price,
            "slippage_cost": per_share * filled,
            "commission": executed["commission"].to_numpy(dtype="float64"),
            "commissions_due": executed["commissions_due"].to_numpy(dtype="int64"),
        },
        index=frame.index,
    ).astype({"symbol": "str", "side": "str"})


def slippage_summary(
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    benchmark: object = "arrival",
    quotes: object = None,
) -> pd.Series[float]:
    """Slippage of a run as a whole: total cost over total benchmark notional, not a mean of the orders' bps.

    Orders without a fill or without a benchmark are counted, and left out of the sums.

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
    table = slippage(orders, fills, benchmark=benchmark, quotes=quotes)
    measured = table[table["slippage_cost"].notna() & (table["filled_quantity"] > 0)]
    notional = float((measured["filled_quantity"] * measured["benchmark_price"]).sum())
    cost = float(measured["slippage_cost"].sum())
    commission = float(measured["commission"].sum(min_count=1)) if len(measured) else np.nan
    total = cost + commission
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


def completion(orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """How much of each order was done, how fast, and why the rest was not.

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, status, reason, arrived_at
    fills : client_order_id, quantity, filled_at; only of these orders

    Returns
    -------
    DataFrame, index client_order_id, in the sequence of ``orders``

    ==================  ===============================================================================
    symbol, side        of the order
    quantity            asked, shares; NaN where no price allowed a quantity
    filled_quantity     shares
    remaining_quantity  shares, not below zero
    fill_ratio          filled / asked
    first_fill_seconds  from the hand-over to the broker to the first fill; NaN without one
    last_fill_seconds   likewise, to the last fill so far
    status              of the order
    reason              why something is left: the order's own reason, ``working`` while it may still
                        fill, ``not_sent``, ``overfilled`` for more than asked; empty when all is done
    ==================  ===============================================================================

    Raises
    ------
    InputError
        Columns are missing, or a fill belongs to none of the orders.

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
    frame, executed = _keyed(orders), _by_order(orders, fills)
    asked = frame["quantity"].to_numpy(dtype="float64")
    filled = executed["filled_quantity"].to_numpy(dtype="float64")
    left = np.maximum(np.round(asked - filled, _DECIMALS), 0.0)
    status = frame["status"].to_numpy() if "status" in frame.columns else np.full(len(frame), None)
    own = frame["reason"].tolist() if "reason" in frame.columns else [None] * len(frame)
    reasons = [
        _why_left(asked_, filled_, state, reason)
        for asked_, filled_, state, reason in zip(asked, filled, status, own, strict=True)
    ]
    first, last = _seconds(frame, fills)
    return pd.DataFrame(
        {
            "symbol": frame["symbol"].to_numpy(),
            "side": frame["side"].to_numpy(),
            "quantity": asked,
            "filled_quantity": filled,
            "remaining_quantity": left,
            "fill_ratio": filled / np.where(asked > 0, asked, np.nan),
            "first_fill_seconds": first,
            "last_fill_seconds": last,
            "status": status,
            "reason": reasons,
        },
        index=frame.index,
    ).astype({"symbol": "str", "side": "str", "status": "str", "reason": "str"})


def _why_left(asked: float, filled: float, status: object, reason: object) -> str | None:
    if filled > asked:
        return "overfilled"
    if filled == asked and asked > 0:
        return None
    if isinstance(reason, str):
        return reason
    return {"SUBMITTED": "working", "PARTIAL": "working", "NEW": "not_sent", "UNKNOWN": "unknown"}.get(
        str(status), str(status).lower() if isinstance(status, str) else None
    )


def _keyed(orders: pd.DataFrame) -> pd.DataFrame:
    """Orders with client_order_id as the index; refuse what cannot be measured."""
    frame = orders if orders.index.name == "client_order_id" else None
    if frame is None and "client_order_id" in orders.columns:
        frame = orders.set_index("client_order_id")
    missing = [] if frame is not None else ["client_order_id"]
    missing += [name for name in ("symbol", "side", "quantity") if name not in orders.columns]
    if frame is None or missing:
        text = f"columns {', '.join(missing)} are missing"
        raise InputError("orders", [Problem("missing_column", text)])
    twice = frame.index[frame.index.duplicated()].unique().tolist()
    if twice:
        text = "stands in several rows"
        raise InputError("orders", [Problem("duplicate_client_order_id", f"{name} {text}") for name in twice])
    return frame


def _by_order(orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """Filled quantity, average price and commission of each order, in the orders' sequence."""
    index = _keyed(orders).index
    missing = [name for name in ("client_order_id", "quantity", "price") if name not in fills.columns]
    if missing:
        text = f"columns {', '.join(missing)} are missing"
        raise InputError("fills", [Problem("missing_column", text)])
    lost = fills.loc[~fills["client_order_id"].isin(index), "client_order_id"].unique().tolist()
    if lost:
        text = "is none of these orders; give all of a run, or only its fills: blotter.fills(run_id)"
        raise InputError("fills", [Problem("orphan_exec", f"{name} {text}") for name in lost])
    commission = fills["commission"] if "commission" in fills.columns else pd.Series(np.nan, index=fills.index)
    table = pd.DataFrame(
        {
            "client_order_id": fills["client_order_id"],
            "quantity": fills["quantity"].astype("float64"),
            "value": fills["quantity"].astype("float64") * fills["price"].astype("float64"),
            "commission": commission.astype("float64"),
            "due": commission.isna().astype("int64"),
        }
    )
    groups = table.groupby("client_order_id", sort=False)
    result = groups[["quantity", "value", "due"]].sum()
    result["commission"] = groups["commission"].sum(min_count=1)
    result = result.reindex(index)
    # Shares add up exactly in hundred-millionths, as in the blotter: 0.1 + 0.2 of a share are 0.3.
    filled = result["quantity"].fillna(0.0).round(_DECIMALS)
    return pd.DataFrame(
        {
            "filled_quantity": filled,
            "avg_fill_price": result["value"] / filled.where(filled > 0),
            "commission": result["commission"],
            "commissions_due": result["due"].fillna(0).astype("int64"),
        }
    )


def _benchmark_prices(frame: pd.DataFrame, benchmark: object, quotes: object) -> NDArray[np.float64]:
    if isinstance(benchmark, str):
        price = _named_benchmark(frame, benchmark, quotes)
    elif isinstance(benchmark, (Mapping, pd.Series)):
        given = dict(benchmark.items())
        price = np.array(
            [
                given.get(name, given.get(symbol, np.nan))
                for name, symbol in zip(frame.index.tolist(), frame["symbol"].tolist(), strict=True)
            ],
            dtype="float64",
        )
    else:
        text = f"{benchmark!r} is neither a name ({', '.join(BENCHMARKS)}, quote) nor prices by symbol"
        raise InputError("benchmark", [Problem("benchmark_unknown", text)])
    return np.where(is_usable(price), price, np.nan)


def _named_benchmark(frame: pd.DataFrame, benchmark: str, quotes: object) -> NDArray[np.float64]:
    if benchmark == "quote":
        if quotes is None:
            raise InputError("quotes", [Problem("quotes_missing", 'benchmark="quote" needs quotes=')])
        prices = usable_prices(parse_quotes(quotes))["price"]
        return prices.reindex(frame["symbol"]).to_numpy(dtype="float64")
    column = BENCHMARKS.get(benchmark)
    if column is None or column not in frame.columns:
        known = [name for name, source in BENCHMARKS.items() if source in frame.columns]
        text = f"{benchmark!r} is not a benchmark of these orders; {', '.join([*known, 'quote'])} are"
        raise InputError("benchmark", [Problem("benchmark_unknown", text)])
    return frame[column].to_numpy(dtype="float64")


def _seconds(frame: pd.DataFrame, fills: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds from hand-over to the first and the last fill of each order."""
    unknown = np.full(len(frame), np.nan)
    if "arrived_at" not in frame.columns or "filled_at" not in fills.columns:
        return unknown, unknown
    groups = fills.groupby("client_order_id", sort=False)["filled_at"]
    arrived = frame["arrived_at"]
    first = (groups.min().reindex(frame.index) - arrived).dt.total_seconds()
    last = (groups.max().reindex(frame.index) - arrived).dt.total_seconds()
    return np.asarray(first, dtype="float64"), np.asarray(last, dtype="float64")
