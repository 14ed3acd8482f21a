"""The cost analysis as a user calls it: every measure, from frames, from a blotter, or from Parquet files.

The measures themselves are pure functions over frames, each documented where it lives; here they learn to fetch
what they are given. ``orders`` may be a blotter or a :class:`~stocklean_exec.TradeRecord`, and then ``fills`` need
not be given; orders, fills, quotes and trades may be Parquet files, folders or patterns, larger than memory where
quotes and trades are concerned.

    >>> from stocklean_exec.schema.tables import FILLS, ORDERS
    >>> slippage(ORDERS.empty(), FILLS.empty()).shape
    (0, 11)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stocklean_exec import cost_tables, fill_rates, post_trade, shortfall, trade_costs
from stocklean_exec.benchmark_prices import INTERVAL_BENCHMARKS
from stocklean_exec.records import from_anywhere

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "completion",
    "completion_summary",
    "cost_summary",
    "fill_curve",
    "fill_progress",
    "fill_times",
    "implementation_shortfall",
    "incomplete_reasons",
    "markouts",
    "participation",
    "reversion",
    "shortfall_summary",
    "shortfall_terms",
    "slippage",
    "slippage_summary",
    "spread_metrics",
]


def _no_times(_: Mapping[str, Any]) -> bool:
    return False


def _over_an_interval(given: Mapping[str, Any]) -> bool:
    """Whether a benchmark ends with the last fill."""
    benchmark = given.get("benchmark", "arrival")
    return not isinstance(benchmark, str) or benchmark in INTERVAL_BENCHMARKS


def _of_markouts(given: Mapping[str, Any]) -> list[str]:
    by = given.get("by") or ()
    return ["symbol", "side", "quantity", "price", "filled_at", *([by] if isinstance(by, str) else by)]


implementation_shortfall = from_anywhere(
    shortfall.implementation_shortfall, totals_suffice=True, needs_times=_no_times
)
shortfall_summary = from_anywhere(shortfall.shortfall_summary, totals_suffice=True, needs_times=_no_times)
shortfall_terms = from_anywhere(shortfall.shortfall_terms, totals_suffice=True, needs_times=_no_times)
slippage = from_anywhere(trade_costs.slippage, totals_suffice=True, needs_times=_over_an_interval)
slippage_summary = from_anywhere(trade_costs.slippage_summary, totals_suffice=True, needs_times=_over_an_interval)
spread_metrics = from_anywhere(trade_costs.spread_metrics)
markouts = from_anywhere(post_trade.markouts, fill_columns=_of_markouts)
reversion = from_anywhere(post_trade.reversion, totals_suffice=True)
cost_summary = from_anywhere(cost_tables.cost_summary)
completion = from_anywhere(fill_rates.completion, totals_suffice=True)
completion_summary = from_anywhere(fill_rates.completion_summary, totals_suffice=True)
incomplete_reasons = from_anywhere(fill_rates.incomplete_reasons, totals_suffice=True)
fill_curve = from_anywhere(fill_rates.fill_curve)
fill_progress = from_anywhere(fill_rates.fill_progress)
fill_times = from_anywhere(fill_rates.fill_times)
participation = from_anywhere(fill_rates.participation, totals_suffice=True)
