"""Calls that a type checker must refuse, at each line marked so: read by mypy and pyright, never run."""

from __future__ import annotations

import pandas as pd

import stocklean_exec as sx


def wrong_names(orders: pd.DataFrame, fills: pd.DataFrame, quotes: pd.DataFrame) -> None:
    sx.slipage(orders, fills)  # error
    print(sx.TABLE)  # error
    sx.slippage(orders, fills, bogus=4)  # error
    sx.slippage_summary(orders, fills, bogus=4)  # error
    sx.spread_metrics(orders, fills, quotes, horizons=60.0)  # error
    sx.shortfall_terms(orders, fills, sign="cost")  # error
    sx.implementation_shortfall(orders, fills, delay="order")  # error
    sx.shortfall_summary(orders, fills, group="symbol")  # error
    sx.markouts(fills, quotes, horizon=[60])  # error
    sx.reversion(orders, fills, quotes, age=60.0)  # error
    sx.completion(orders, fills, by="side")  # error
    sx.completion_summary(orders, fills, group="side")  # error
    sx.incomplete_reasons(orders, fills, by="side")  # error
    sx.fill_curve(orders, fills, shares=0.5)  # error
    sx.fill_progress(orders, fills, share=0.5)  # error
    sx.fill_times(orders, fills, share=[0.5])  # error
    sx.participation(orders, fills, volumes=quotes)  # error
    sx.cost_summary(orders, fills, groups=["strategy"])  # error


def wrong_values(orders: pd.DataFrame, fills: pd.DataFrame, record: sx.TradeRecord) -> None:
    sx.slippage(1, 2)  # error with stubs
    sx.slippage(orders, record)  # error with stubs
    sx.slippage(orders, fills, "vwap")  # error
    sx.slippage(orders, fills, sign="gain")  # error
    sx.slippage()  # error
    sx.markouts(fills)  # error
    sx.markouts(fills, 5)  # error with stubs
    sx.implementation_shortfall(orders, fills, delay_basis="all")  # error
    _ = sx.cost_summary(orders, fills).no_such_table  # error
    wrong: int = sx.slippage(orders, fills)  # error with stubs
    print(wrong)


def wrong_trading(approved: pd.DataFrame, broker: sx.Broker, blotter: sx.Blotter) -> None:
    sx.plan_orders({"SPY": 1.0}, None, {"SPY": 400.0}, nav=1e6)  # error
    sx.plan_orders({"SPY": 1.0}, nav=1e6, run_id="r", order_type="STOP")  # error
    sx.submit_orders(approved, blotter, broker)  # error
    sx.submit_orders(approved, broker, blotter, bogus=1)  # error
    sx.resume(broker, blotter)  # error
    sx.rebalance(approved, broker, blotter)  # error
    sx.reconcile(broker, blotter, halt="no")  # error
    sx.read_blotter("paper.duckdb").add_orders(approved)  # error
