"""Cost summary of one or more runs: headline, tables by group, outliers, worst orders, incomplete orders.

Every ratio is a sum over a sum of notional, never a mean of the orders' ratios: a bad fill of ten shares must not
count as much as a good one of ten thousand. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.completion import completion
from stocklean_exec.tca.inputs import (
    FillInput,
    OrderInput,
    Sign,
    arrival_flags,
    column_numbers,
    in_order_currency,
    keyed_orders,
    require_columns,
    side_signs,
    sign_factor,
    to_base,
    undated_fills,
    usable,
    utc_micros,
)
from stocklean_exec.tca.shortfall import DelayBasis, implementation_shortfall, shortfall_terms
from stocklean_exec.tca.slippage import slippage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SIZE_EDGES", "CostSummary", "cost_summary", "modified_z_scores"]

SIZE_EDGES = (10_000.0, 50_000.0, 250_000.0, 1_000_000.0)
"""Notional at the edges of the size buckets, in the currency of the orders (a choice)."""

_OUTLIER = 3.5  # Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993
_WORST = 10  # orders in the table of the worst (a choice)


@dataclass(frozen=True)
class CostSummary:
    """The result of :func:`cost_summary`; a notebook displays it as tables.

    Attributes
    ----------
    headline : one row
    tables : by ``side``, ``symbol``, ``order_type``, ``size``, ``hour``, ``exchange``, ``liquidity``, and the
        columns of ``by``
    orders : one row per order, from which the tables are computed
    outliers, worst, incomplete : rows of ``orders``; the first two begin with the worst
    ibkr : by marketability, under the column names of Interactive Brokers' report; with ``sign="performance"``
        only
    """

    headline: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    orders: pd.DataFrame
    outliers: pd.DataFrame
    worst: pd.DataFrame
    incomplete: pd.DataFrame
    sign: Sign = "cost"
    ibkr: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __repr__(self) -> str:
        return f"<CostSummary: {self.headline_text}>"

    @property
    def headline_text(self) -> str:
        """Orders, fills, slippage and flags in one line."""
        row = self.headline.iloc[0]
        slippage = "no slippage" if math.isnan(row["slippage_bps"]) else f"slippage {row['slippage_bps']:.2f} bp"
        return (
            f"{row['orders']:.0f} orders, {row['filled_orders']:.0f} with fills, {slippage}, "
            f"{row['flagged']:.0f} flagged"
        )

    def _repr_html_(self) -> str:
        parts = [f"<h4>Headline ({escape(self.sign)})</h4>", _html(self.headline)]
        for name, table in self.tables.items():
            parts += [f"<h4>By {escape(name)}</h4>", _html(table)]
        for title, table in (
            ("Outliers", self.outliers),
            ("Worst orders", self.worst),
            ("Incomplete", self.incomplete),
        ):
            parts += [f"<h4>{title}</h4>", _html(table)]
        return "".join(parts)


def _html(table: pd.DataFrame) -> str:
    return table.to_html(float_format=lambda value: f"{value:,.2f}", na_rep="", border=0, escape=True)


def cost_summary(
    orders: OrderInput,
    fills: FillInput = None,
    *,
    benchmark: object = "arrival",
    quotes: object = None,
    trades: object = None,
    final_prices: object = None,
    delay_basis: DelayBasis = "order",
    by: Sequence[str] = (),
    sign: Sign = "cost",
    fx: object = None,
    time_zone: str = "America/New_York",
) -> CostSummary:
    """Cost summary of one run or several.

    Parameters
    ----------
    orders : as in :func:`~stocklean_exec.implementation_shortfall`; order_type, arrived_at, arrival_bid,
        arrival_ask, status and reason are used if present
    fills : client_order_id, quantity, price, commission; exchange and liquidity if present
    benchmark, quotes, trades, time_zone : as in :func:`~stocklean_exec.slippage`
    final_prices, delay_basis, fx : as in :func:`~stocklean_exec.implementation_shortfall`
    by : more columns of the orders to group by
    sign : ``"cost"``: positive is worse; ``"performance"``: positive is better, with a table ``ibkr`` that has
        the names of Interactive Brokers' transaction cost analysis

    Returns
    -------
    CostSummary. The headline has

    ==========================  ==================================================================================
    orders, filled_orders       numbers; ``flagged`` orders lack a number, see ``flags`` in ``orders``
    paper_notional              of all orders with a decision price, currency
    filled_notional             at the benchmark
    fill_ratio                  filled / requested, of paper notional
    slippage_cost, _bps         against the benchmark, of ``filled_notional``
    slippage_se_bps             standard error of ``slippage_bps`` over the orders
    half_spread_bps             half of the spread at arrival, if the orders have it
    impact_bps                  the rest of the slippage
    expected_bps                expected before the trade (:func:`~stocklean_exec.pretrade_cost`), if the
                                orders have ``expected_cost_bps``
    commission_bps              of those reported; ``commissions_due`` counts the others
    friction_bps                half spread, impact and commission together: what a backtest should charge
    delay_cost ... total_cost   implementation shortfall of ``measured`` orders, and each as ``*_bps`` of their
                                paper notional
    ==========================  ==================================================================================

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "symbol": ["A", "B"], "side": ["BUY", "SELL"], "quantity": [10.0, 10.0],
    ...     "decision_price": [100.0, 300.0], "arrival_price": [101.0, 300.0],
    ... })
    >>> fills = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "quantity": [10.0, 10.0], "price": [102.0, 300.0],
    ...     "commission": [1.0, 1.0],
    ... })
    >>> cost_summary(orders, fills)
    <CostSummary: 2 orders, 2 with fills, slippage 24.94 bp, 0 flagged>
    """
    orders, fills = require_columns(orders, (), "orders"), require_columns(fills, (), "fills")
    per_order = _order_table(
        orders, fills, benchmark, quotes, trades, final_prices, delay_basis, sign, fx, time_zone
    )
    factor = sign_factor(sign)
    same = require_columns(in_order_currency(keyed_orders(orders), fills, fx), (), "fills")
    tables = {}
    for name in ("side", "symbol", "order_type", "size", "hour", *by):
        if name in per_order.columns:
            tables[name] = _grouped(per_order, name)
    for name in ("exchange", "liquidity"):
        if name in fills.columns:
            tables[name] = _by_fill(per_order, same, name, factor)
    measured = per_order[per_order["slippage_cost"].notna() & (per_order["filled_quantity"] > 0)]
    scores = modified_z_scores(measured["slippage_bps"].to_numpy())
    outliers = measured.assign(z_score=scores)[np.abs(scores) > _OUTLIER]
    outliers = outliers.sort_values("z_score", ascending=factor < 0, kind="stable")
    worst = measured.sort_values("slippage_cost", ascending=factor < 0, kind="stable").head(_WORST)
    return CostSummary(
        headline=_headline(per_order),
        tables=tables,
        orders=per_order,
        outliers=outliers[[*_shown(outliers), "z_score"]],
        worst=worst[_shown(worst)],
        incomplete=_incomplete(per_order),
        sign=sign,
        ibkr=_ibkr(per_order, orders, fills, trades, fx) if sign == "performance" else pd.DataFrame(),
    )


def modified_z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modified z-scores, robust against the outliers themselves: ``0.6745 (x - median) / MAD``.

    0 if all values are equal. Iglewicz and Hoaglin (1993) call a value beyond 3.5 an outlier.

    Examples
    --------
    >>> modified_z_scores(np.array([1.0, 2.0, 3.0, 100.0])).round(4).tolist()
    [-1.0118, -0.3372, 0.3372, 65.7638]
    """
    if not len(values):
        return values
    off = values - np.median(values)
    spread = np.median(np.abs(off))
    return 0.6745 * off / spread if spread > 0 else np.zeros_like(values)


def _order_table(
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    benchmark: object,
    quotes: object,
    trades: object,
    final_prices: object,
    delay_basis: DelayBasis,
    sign: Sign,
    fx: object,
    time_zone: str,
) -> pd.DataFrame:
    """One row per order: its terms, its costs, and its completion."""
    frame = keyed_orders(orders)
    slip = slippage(
        frame, fills, benchmark=benchmark, quotes=quotes, trades=trades, sign=sign, fx=fx, time_zone=time_zone
    )
    fall = implementation_shortfall(
        frame, fills, final_prices=final_prices, delay_basis=delay_basis, sign=sign, fx=fx
    )
    terms = shortfall_terms(frame, fills, final_prices=final_prices, fx=fx)
    done = completion(frame, fills)
    rate, factor = to_base(frame, fx), sign_factor(sign)
    half = (
        usable(column_numbers(frame, "arrival_ask", "orders"))
        - usable(column_numbers(frame, "arrival_bid", "orders"))
    ) / 2
    half = np.where(arrival_flags(frame).get("delayed_quote", False), np.nan, half)
    half_cost = factor * np.where(half >= 0, half, np.nan) * slip["filled_quantity"].to_numpy() * rate
    given = [
        name for name in ("run_id", "symbol", "side", "order_type", "currency", "account") if name in frame.columns
    ]
    per_order = frame[given].copy()
    per_order["quantity"] = terms["quantity"]
    for name in ("filled_quantity", "avg_fill_price", "benchmark_price", "slippage_bps", "slippage_cost"):
        per_order[name] = slip[name]
    per_order["filled_notional"] = slip["filled_quantity"] * slip["benchmark_price"] * rate
    if "expected_cost_bps" in frame.columns:
        per_order["expected_bps"] = factor * column_numbers(frame, "expected_cost_bps", "orders")
    per_order["half_spread_cost"] = half_cost
    per_order["impact_cost"] = slip["slippage_cost"] - half_cost
    per_order["commission"] = factor * slip["commission"]
    per_order["commissions_due"] = slip["commissions_due"]
    per_order["paper_notional"] = fall["paper_notional"]
    for name in ("delay_cost", "trading_cost", "opportunity_cost", "fees", "total_cost", "total_bps"):
        per_order[name] = fall[name]
    for name in ("decision_price", "arrival_price", "arrival_bid", "arrival_ask", "limit_price"):
        if name in frame.columns:
            per_order[name] = frame[name]
    for name in (
        "fill_ratio",
        "remaining_quantity",
        "first_fill_seconds",
        "last_fill_seconds",
        "status",
        "reason",
    ):
        per_order[name] = done[name]
    per_order["size"] = _sizes(fall["paper_notional"].to_numpy())
    if "arrived_at" in frame.columns:
        per_order["hour"] = _hours(frame, time_zone)
    undated = frame.index.isin(fills["client_order_id"][undated_fills(fills)])  # times of fills are missing
    late = ["time_unreliable" if one else None for one in undated.tolist()]
    per_order["flags"] = _joined(slip["flags"].tolist(), fall["flags"].tolist(), late)
    return per_order


def _joined(*flags: Sequence[object]) -> pd.Series[str]:
    texts = []
    for row in zip(*flags, strict=True):
        names = [name for text in row if isinstance(text, str) for name in text.split(", ")]
        texts.append(", ".join(dict.fromkeys(names)) or None)
    return pd.array(texts, dtype="str")  # type: ignore[return-value]  # an array is what a column takes


def _sizes(notional: NDArray[np.float64]) -> pd.Categorical[str]:
    names = ["below 10k", "10k to 50k", "50k to 250k", "250k to 1m", "1m and more"]
    codes = np.where(np.isnan(notional), -1, np.searchsorted(SIZE_EDGES, np.nan_to_num(notional), side="right"))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="str"), ordered=True)


def _hours(frame: pd.DataFrame, time_zone: str) -> list[str | None]:
    at = utc_micros(frame["arrived_at"], "arrived_at", "orders")
    local = pd.DatetimeIndex(pd.array(at, dtype="datetime64[us]")).tz_localize("UTC").tz_convert(time_zone)
    return [
        None if stamp == NO_TIME else f"{int(hour):02d}:00" for stamp, hour in zip(at, local.hour, strict=True)
    ]


def _rates(sums: pd.DataFrame) -> pd.DataFrame:
    """Compute the ratios of a table from sums."""
    filled = sums["filled_notional"].where(sums["filled_notional"] > 0)
    paper = sums["paper_notional"].where(sums["paper_notional"] > 0)
    return pd.DataFrame(
        {
            "orders": sums["orders"].astype("int64"),
            "filled_orders": sums["filled_orders"].astype("int64"),
            "flagged": sums["flagged"].astype("int64"),
            "paper_notional": sums["paper_notional"],
            "filled_notional": sums["filled_notional"],
            "fill_ratio": sums["done_notional"] / paper,
            "slippage_cost": sums["slippage_cost"],
            "slippage_bps": 1e4 * sums["slippage_cost"] / filled,
            "commission": sums["commission"],
            "commission_bps": 1e4 * sums["commission"] / filled,
            "commissions_due": sums["commissions_due"].astype("int64"),
        }
    )


def _summable(per_order: pd.DataFrame) -> pd.DataFrame:
    filled = per_order["filled_quantity"] > 0
    measured = filled & per_order["slippage_cost"].notna()
    return pd.DataFrame(
        {
            "orders": 1,
            "filled_orders": filled.astype("int64"),
            "flagged": per_order["flags"].notna().astype("int64"),
            "paper_notional": per_order["paper_notional"],
            "done_notional": (per_order["fill_ratio"].clip(upper=1) * per_order["paper_notional"]),
            "filled_notional": per_order["filled_notional"].where(measured),
            "slippage_cost": per_order["slippage_cost"].where(measured),
            "commission": per_order["commission"].where(measured),
            "commissions_due": per_order["commissions_due"],
        },
        index=per_order.index,
    )


def _grouped(per_order: pd.DataFrame, name: str) -> pd.DataFrame:
    groups = _summable(per_order).groupby(per_order[name], observed=True, dropna=False)
    sums = groups.sum()
    for column in ("slippage_cost", "commission"):
        sums[column] = groups[column].sum(min_count=1)
    return _rates(sums)


def _by_fill(per_order: pd.DataFrame, fills: pd.DataFrame, name: str, factor: float) -> pd.DataFrame:
    """Slippage against the order's benchmark, grouped by a column of the fills."""
    rows = per_order.index.get_indexer(pd.Index(fills["client_order_id"]))
    quantity, price = column_numbers(fills, "quantity", "fills"), column_numbers(fills, "price", "fills")
    mark = per_order["benchmark_price"].to_numpy()[rows]
    value = (per_order["filled_quantity"] * per_order["benchmark_price"]).to_numpy()
    rate = (per_order["filled_notional"].to_numpy() / np.where(value > 0, value, np.nan))[rows]
    commission = column_numbers(fills, "commission", "fills")
    cost = factor * side_signs(per_order)[rows] * (price - mark) * quantity * rate
    known = ~np.isnan(cost)
    data = pd.DataFrame(
        {
            "fills": 1,
            "filled_notional": np.where(known, quantity * mark * rate, 0.0),
            "slippage_cost": cost,
            "commission": factor * commission * rate,
            "commissions_due": np.isnan(commission).astype("int64"),
        }
    )
    groups = data.groupby(fills[name].array, dropna=False, observed=True)
    sums = groups[["fills", "filled_notional", "commissions_due"]].sum()
    sums[["slippage_cost", "commission"]] = groups[["slippage_cost", "commission"]].sum(min_count=1)
    notional = sums["filled_notional"].where(sums["filled_notional"] > 0)
    sums["slippage_bps"] = 1e4 * sums["slippage_cost"] / notional
    sums["commission_bps"] = 1e4 * sums["commission"] / notional
    return sums.rename_axis(name)


def _headline(per_order: pd.DataFrame) -> pd.DataFrame:
    sums = _summable(per_order).sum(min_count=0).to_frame().T
    measured = (per_order["filled_quantity"] > 0) & per_order["slippage_cost"].notna()
    if not measured.any():
        sums[["slippage_cost", "commission"]] = np.nan
    elif per_order.loc[measured, "commission"].isna().all():
        sums["commission"] = np.nan
    row = _rates(sums).set_axis(["all"])
    notional = per_order.loc[measured, "filled_notional"]
    row.insert(8, "slippage_se_bps", _standard_error(per_order.loc[measured, "slippage_bps"], notional))
    for name in ("half_spread", "impact"):
        known = measured & per_order[f"{name}_cost"].notna()
        row[f"{name}_bps"] = _ratio(per_order.loc[known, f"{name}_cost"], per_order.loc[known, "filled_notional"])
    if "expected_bps" in per_order.columns:
        known = measured & per_order["expected_bps"].notna()
        expected = per_order.loc[known, "expected_bps"] / 1e4 * per_order.loc[known, "filled_notional"]
        row["expected_bps"] = _ratio(expected, per_order.loc[known, "filled_notional"])
    row["friction_bps"] = row["slippage_bps"] + row["commission_bps"]
    total = per_order[per_order["total_cost"].notna()]
    row["measured"] = len(total)
    split = total[total["delay_cost"].notna()]
    for name in ("delay_cost", "trading_cost", "opportunity_cost", "fees", "total_cost"):
        part = total if name in ("fees", "total_cost") else split
        row[name] = part[name].sum() if len(part) else np.nan
        row[f"{name.removesuffix('_cost')}_bps"] = _ratio(part[name], part["paper_notional"])
    row["unsplit_orders"] = len(total) - len(split)
    return row


def _ratio(cost: pd.Series[float], notional: pd.Series[float]) -> float:
    total = float(notional.sum())
    return 1e4 * float(cost.sum()) / total if total > 0 else np.nan


def _standard_error(values: pd.Series[float], weights: pd.Series[float]) -> float:
    """Standard error of a weighted mean (Cochran 1977), as of markouts."""
    value, weight = values.to_numpy(dtype="float64"), weights.to_numpy(dtype="float64")
    if len(value) < 2:  # noqa: PLR2004 - one value has no spread
        return np.nan
    mean = (value * weight).sum() / weight.sum()
    spread = (weight**2 * (value - mean) ** 2).sum()
    return float(np.sqrt(len(value) / (len(value) - 1) * spread) / weight.sum())


def _shown(per_order: pd.DataFrame) -> list[str]:
    names = ["symbol", "side", "quantity", "filled_quantity", "avg_fill_price", "benchmark_price", "arrival_bid"]
    names += ["arrival_ask", "slippage_bps", "slippage_cost", "commission", "flags"]
    return [name for name in names if name in per_order.columns]


def _incomplete(per_order: pd.DataFrame) -> pd.DataFrame:
    left = per_order[(per_order["remaining_quantity"] > 0) | per_order["quantity"].isna()]
    names = (
        "symbol",
        "side",
        "quantity",
        "filled_quantity",
        "remaining_quantity",
        "fill_ratio",
        "status",
        "reason",
    )
    return left[[*names, "opportunity_cost"]]


# -- Interactive Brokers' view -----------------------------------------------------------------------------------


def _ibkr(
    per_order: pd.DataFrame, orders: pd.DataFrame, fills: pd.DataFrame, trades: object, fx: object
) -> pd.DataFrame:
    """The columns named in Interactive Brokers' guides, by marketability: bps of value, positive is better.

    ``Price Improvement`` is against the far touch when the order was sent, of marketable orders. It is NaN if the
    orders do not have the touch, and ``Interval VWAP`` is NaN without trades. ``Value`` is our name for what the
    guides call notional value: they do not show the heading of that column.
    """
    frame = keyed_orders(orders)
    columns: dict[str, Any] = {"Arrival Price": slippage(frame, fills, sign="performance", fx=fx)}
    if {"arrival_bid", "arrival_ask"} <= set(frame.columns):
        columns["Price Improvement"] = slippage(frame, fills, benchmark="far_touch", sign="performance", fx=fx)
    if trades is not None:
        columns["Interval VWAP"] = slippage(
            frame, fills, benchmark="vwap", trades=trades, sign="performance", fx=fx
        )
    rate = to_base(frame, fx)
    value = per_order["filled_quantity"] * per_order["avg_fill_price"] * rate
    kinds = _marketability(frame)
    table = pd.DataFrame(
        {
            "Volume": per_order["filled_quantity"].groupby(kinds).sum(),
            "Value": value.groupby(kinds).sum(),
            "Commissions": -per_order["commission"].groupby(kinds).sum(min_count=1),
        }
    )
    for name in ("Arrival Price", "Price Improvement", "Interval VWAP"):
        if name not in columns:
            table[name] = np.nan
            continue
        gain = columns[name]["slippage_cost"]
        if name == "Price Improvement":
            gain = gain.where((kinds == "Marketable").to_numpy())
        known = gain.notna() & (value > 0)
        table[name] = 1e4 * gain[known].groupby(kinds[known]).sum() / value[known].groupby(kinds[known]).sum()
    return table.rename_axis("Marketability")


def _marketability(frame: pd.DataFrame) -> pd.Series[str]:
    """Marketable: a market order, or a limit at or through the far touch when the order was sent."""
    limit = column_numbers(frame, "limit_price", "orders")
    late = arrival_flags(frame).get("delayed_quote", False)
    bid, ask = (
        np.where(late, np.nan, column_numbers(frame, name, "orders")) for name in ("arrival_bid", "arrival_ask")
    )
    buys = side_signs(frame) > 0
    with np.errstate(invalid="ignore"):
        through = np.where(buys, limit >= ask, limit <= bid)
    market = frame["order_type"].eq("MKT").to_numpy() if "order_type" in frame.columns else np.isnan(limit)
    unknown = ~market & (np.isnan(limit) | np.isnan(np.where(buys, ask, bid)))
    names = np.where(market | through, "Marketable", "Non-marketable")
    return pd.Series(np.where(unknown, "Unknown", names), index=frame.index, dtype="str")
