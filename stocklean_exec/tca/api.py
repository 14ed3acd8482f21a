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

from stocklean_exec.tca import completion as completion_measures
from stocklean_exec.tca import markouts as markout_measures
from stocklean_exec.tca import shortfall as shortfall_measures
from stocklean_exec.tca import slippage as slippage_measures
from stocklean_exec.tca import summary as summary_tables
from stocklean_exec.tca.benchmarks import INTERVAL_BENCHMARKS
from stocklean_exec.tca.sources import from_anywhere

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
    shortfall_measures.implementation_shortfall, totals_suffice=True, needs_times=_no_times
)
shortfall_summary = from_anywhere(shortfall_measures.shortfall_summary, totals_suffice=True, needs_times=_no_times)
shortfall_terms = from_anywhere(shortfall_measures.shortfall_terms, totals_suffice=True, needs_times=_no_times)
slippage = from_anywhere(slippage_measures.slippage, totals_suffice=True, needs_times=_over_an_interval)
slippage_summary = from_anywhere(
    slippage_measures.slippage_summary, totals_suffice=True, needs_times=_over_an_interval
)
spread_metrics = from_anywhere(slippage_measures.spread_metrics)
markouts = from_anywhere(markout_measures.markouts, fill_columns=_of_markouts)
reversion = from_anywhere(markout_measures.reversion, totals_suffice=True)
cost_summary = from_anywhere(summary_tables.cost_summary)
completion = from_anywhere(completion_measures.completion, totals_suffice=True)
completion_summary = from_anywhere(completion_measures.completion_summary, totals_suffice=True)
incomplete_reasons = from_anywhere(completion_measures.incomplete_reasons, totals_suffice=True)
fill_curve = from_anywhere(completion_measures.fill_curve)
fill_progress = from_anywhere(completion_measures.fill_progress)
fill_times = from_anywhere(completion_measures.fill_times)
participation = from_anywhere(completion_measures.participation, totals_suffice=True)
