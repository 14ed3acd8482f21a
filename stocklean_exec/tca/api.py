"""The cost analysis as a user calls it: every measure, from frames, from a blotter, or from Parquet files.

The measures are pure functions over frames, documented in their modules; here they are wrapped to accept other
sources. ``orders`` may be a blotter or a :class:`~stocklean_exec.TradeRecord`, and then ``fills`` need not be
given. Orders, fills, quotes and trades may be Parquet files, folders or patterns; quotes and trades may be larger
than memory.

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
from stocklean_exec.tca.sources import accept_sources

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
    ids = [] if given.get("orders") is None else ["client_order_id"]
    own = ["symbol", "side", "quantity", "price", "filled_at", "time_unreliable"]
    return [*own, *ids, *([by] if isinstance(by, str) else by)]


implementation_shortfall = accept_sources(
    shortfall_measures.implementation_shortfall, totals_suffice=True, needs_times=_no_times
)
shortfall_summary = accept_sources(
    shortfall_measures.shortfall_summary, totals_suffice=True, needs_times=_no_times
)
shortfall_terms = accept_sources(shortfall_measures.shortfall_terms, totals_suffice=True, needs_times=_no_times)
slippage = accept_sources(slippage_measures.slippage, totals_suffice=True, needs_times=_over_an_interval)
slippage_summary = accept_sources(
    slippage_measures.slippage_summary, totals_suffice=True, needs_times=_over_an_interval
)
spread_metrics = accept_sources(slippage_measures.spread_metrics)
markouts = accept_sources(markout_measures.markouts, fill_columns=_of_markouts)
reversion = accept_sources(markout_measures.reversion, totals_suffice=True)
cost_summary = accept_sources(summary_tables.cost_summary)
completion = accept_sources(completion_measures.completion, totals_suffice=True)
completion_summary = accept_sources(completion_measures.completion_summary, totals_suffice=True)
incomplete_reasons = accept_sources(completion_measures.incomplete_reasons, totals_suffice=True)
fill_curve = accept_sources(completion_measures.fill_curve)
fill_progress = accept_sources(completion_measures.fill_progress)
fill_times = accept_sources(completion_measures.fill_times)
participation = accept_sources(completion_measures.participation, totals_suffice=True)
