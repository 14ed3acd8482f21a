"""From a table of target weights to executed, recorded and analysed trades at Interactive Brokers.

::

    import stocklean_exec as sx

    targets = sx.read_targets({"SPY": 0.6, "TLT": 0.4})
    blotter = sx.open_blotter("paper.duckdb")
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 400.0, "TLT": 90.0}, cash=100_000)
    state = broker.account_state(targets)
    orders = sx.plan_orders(targets, state, run_id="run-1")
    checked = sx.check_orders(orders, None, state, blotter=blotter)
    review = sx.review_orders(checked)
    review.approve_all(by="me")
    states = sx.submit_orders(review.result(), broker, blotter)

Names are loaded when they are first used: importing the package is cheap and changes nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from stocklean_exec._version import __version__

if TYPE_CHECKING:
    from stocklean_exec.blotter.assigned_cash import assign_cash
    from stocklean_exec.blotter.assignments import assign_positions
    from stocklean_exec.blotter.blotter import Blotter, BlotterReader, open_blotter, read_blotter
    from stocklean_exec.blotter.recorded_splits import record_split
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.brokers.factory import connect
    from stocklean_exec.brokers.ib.diagnostics import diagnose, doctor
    from stocklean_exec.brokers.ib.notebook_loop import enable_notebook
    from stocklean_exec.brokers.mock import MockBroker
    from stocklean_exec.brokers.sample_market import sample_closes, sample_quotes
    from stocklean_exec.calendars.hours import market_hours
    from stocklean_exec.errors import (
        ApprovalError,
        BlotterClosedError,
        BlotterError,
        BlotterLockedError,
        BrokerError,
        ClientIdInUseError,
        ConnectionLostError,
        HaltedError,
        IdempotencyConflictError,
        InputError,
        LiveAccountError,
        NotebookError,
        OrderNotWorkingError,
        RunElsewhereError,
        StockleanError,
    )
    from stocklean_exec.execution.basket import export_basket
    from stocklean_exec.execution.order_previews import preview_orders, preview_orders_async
    from stocklean_exec.execution.reconciliation import reconcile, reconcile_async
    from stocklean_exec.execution.residuals import residual_orders
    from stocklean_exec.execution.resumption import resume, resume_async
    from stocklean_exec.execution.run_handle import Run, start_run
    from stocklean_exec.execution.submission import submit_orders, submit_orders_async
    from stocklean_exec.execution.work_policy import WorkPolicy
    from stocklean_exec.fees import IBKR_US_FIXED
    from stocklean_exec.portfolio.account_state import AccountState
    from stocklean_exec.portfolio.covariance import FactorCovariance
    from stocklean_exec.portfolio.frontier import plan_frontier
    from stocklean_exec.portfolio.held_back import held_back
    from stocklean_exec.portfolio.netting import net_targets
    from stocklean_exec.portfolio.plan_summary import plan_summary
    from stocklean_exec.portfolio.planner import plan_orders
    from stocklean_exec.rebalancing import rebalance, rebalance_async
    from stocklean_exec.review.model import OrderReview, review_orders
    from stocklean_exec.risk.limits_file import read_limits
    from stocklean_exec.risk.margin_tables import margin_by_symbol, plan_margin
    from stocklean_exec.risk.pre_trade_checks import Limits, check_orders, check_results
    from stocklean_exec.schema.broker_files import read_basket, read_portfolio_export
    from stocklean_exec.schema.files import read_positions, read_quotes, read_targets
    from stocklean_exec.schema.frame_validator import input_warnings
    from stocklean_exec.schema.order_ids import client_order_id
    from stocklean_exec.schema.tables import TABLES
    from stocklean_exec.schema.tariff_input import tariffs, use_tariffs
    from stocklean_exec.strategies.attribution import attribute_fills
    from stocklean_exec.tca.api import (
        completion,
        completion_summary,
        cost_summary,
        fill_curve,
        fill_progress,
        fill_times,
        implementation_shortfall,
        incomplete_reasons,
        markouts,
        participation,
        reversion,
        shortfall_summary,
        shortfall_terms,
        slippage,
        slippage_summary,
        spread_metrics,
    )
    from stocklean_exec.tca.charts import (
        chart_fill_progress,
        chart_frontier,
        chart_markouts,
        chart_participation,
        chart_shortfall,
        chart_slippage,
        chart_symbols,
    )
    from stocklean_exec.tca.market_files import quote_files, trade_files
    from stocklean_exec.tca.pretrade import calibrate, expect_costs, pretrade_cost
    from stocklean_exec.tca.report import CostReport, report, write_report
    from stocklean_exec.tca.sources import TradeRecord, trade_record

__all__ = [
    "IBKR_US_FIXED",
    "TABLES",
    "AccountState",
    "ApprovalError",
    "Blotter",
    "BlotterClosedError",
    "BlotterError",
    "BlotterLockedError",
    "BlotterReader",
    "Broker",
    "BrokerError",
    "ClientIdInUseError",
    "ConnectionLostError",
    "CostReport",
    "FactorCovariance",
    "HaltedError",
    "IdempotencyConflictError",
    "InputError",
    "Limits",
    "LiveAccountError",
    "MockBroker",
    "NotebookError",
    "OrderNotWorkingError",
    "OrderReview",
    "Run",
    "RunElsewhereError",
    "StockleanError",
    "TradeRecord",
    "WorkPolicy",
    "__version__",
    "assign_cash",
    "assign_positions",
    "attribute_fills",
    "calibrate",
    "chart_fill_progress",
    "chart_frontier",
    "chart_markouts",
    "chart_participation",
    "chart_shortfall",
    "chart_slippage",
    "chart_symbols",
    "check_orders",
    "check_results",
    "client_order_id",
    "completion",
    "completion_summary",
    "connect",
    "cost_summary",
    "diagnose",
    "doctor",
    "enable_notebook",
    "expect_costs",
    "export_basket",
    "fill_curve",
    "fill_progress",
    "fill_times",
    "held_back",
    "implementation_shortfall",
    "incomplete_reasons",
    "input_warnings",
    "margin_by_symbol",
    "market_hours",
    "markouts",
    "net_targets",
    "open_blotter",
    "participation",
    "plan_frontier",
    "plan_margin",
    "plan_orders",
    "plan_summary",
    "pretrade_cost",
    "preview_orders",
    "preview_orders_async",
    "quote_files",
    "read_basket",
    "read_blotter",
    "read_limits",
    "read_portfolio_export",
    "read_positions",
    "read_quotes",
    "read_targets",
    "rebalance",
    "rebalance_async",
    "reconcile",
    "reconcile_async",
    "record_split",
    "report",
    "residual_orders",
    "resume",
    "resume_async",
    "reversion",
    "review_orders",
    "sample_closes",
    "sample_quotes",
    "shortfall_summary",
    "shortfall_terms",
    "slippage",
    "slippage_summary",
    "spread_metrics",
    "start_run",
    "submit_orders",
    "submit_orders_async",
    "tariffs",
    "trade_files",
    "trade_record",
    "use_tariffs",
    "write_report",
]

_HOME = {
    "tca.api": (
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
    ),
    "blotter.blotter": ("Blotter", "BlotterReader", "open_blotter", "read_blotter"),
    "blotter.assigned_cash": ("assign_cash",),
    "blotter.assignments": ("assign_positions",),
    "blotter.recorded_splits": ("record_split",),
    "brokers.base": ("Broker",),
    "calendars.hours": ("market_hours",),
    "risk.pre_trade_checks": ("Limits", "check_orders", "check_results"),
    "brokers.ib.notebook_loop": ("enable_notebook",),
    "schema.order_ids": ("client_order_id",),
    "brokers.factory": ("connect",),
    "brokers.ib.diagnostics": ("diagnose", "doctor"),
    "errors": (
        "ApprovalError",
        "BlotterClosedError",
        "BlotterError",
        "BlotterLockedError",
        "BrokerError",
        "ClientIdInUseError",
        "ConnectionLostError",
        "HaltedError",
        "IdempotencyConflictError",
        "InputError",
        "LiveAccountError",
        "NotebookError",
        "OrderNotWorkingError",
        "RunElsewhereError",
        "StockleanError",
    ),
    "fees": ("IBKR_US_FIXED",),
    "tca.charts": (
        "chart_fill_progress",
        "chart_frontier",
        "chart_markouts",
        "chart_participation",
        "chart_shortfall",
        "chart_slippage",
        "chart_symbols",
    ),
    "tca.report": ("CostReport", "report", "write_report"),
    "tca.market_files": ("quote_files", "trade_files"),
    "brokers.mock": ("MockBroker",),
    "schema.frame_validator": ("input_warnings",),
    "portfolio.planner": ("plan_orders",),
    "tca.pretrade": ("calibrate", "expect_costs", "pretrade_cost"),
    "risk.limits_file": ("read_limits",),
    "risk.margin_tables": ("margin_by_symbol", "plan_margin"),
    "schema.broker_files": ("read_basket", "read_portfolio_export"),
    "schema.files": ("read_positions", "read_quotes", "read_targets"),
    "rebalancing": ("rebalance", "rebalance_async"),
    "tca.sources": ("TradeRecord", "trade_record"),
    "execution.order_previews": ("preview_orders", "preview_orders_async"),
    "execution.basket": ("export_basket",),
    "execution.reconciliation": ("reconcile", "reconcile_async"),
    "execution.residuals": ("residual_orders",),
    "execution.resumption": ("resume", "resume_async"),
    "review.model": ("OrderReview", "review_orders"),
    "execution.run_handle": ("Run", "start_run"),
    "brokers.sample_market": ("sample_closes", "sample_quotes"),
    "portfolio.account_state": ("AccountState",),
    "portfolio.covariance": ("FactorCovariance",),
    "portfolio.frontier": ("plan_frontier",),
    "portfolio.held_back": ("held_back",),
    "portfolio.netting": ("net_targets",),
    "portfolio.plan_summary": ("plan_summary",),
    "execution.submission": ("submit_orders", "submit_orders_async"),
    "execution.work_policy": ("WorkPolicy",),
    "strategies.attribution": ("attribute_fills",),
    "schema.tables": ("TABLES",),
    "schema.tariff_input": ("tariffs", "use_tariffs"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


if not TYPE_CHECKING:  # to a type checker this function would give every misspelt name a type

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
