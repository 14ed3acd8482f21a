"""Calls that a type checker must accept, with the types that it must know: read by mypy and pyright, never run.

One call at least of every public function, as users write them; ``tests/test_types.py`` holds that none is
missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import pandas as pd

import stocklean_exec as sx


def plan_and_check(frame: pd.DataFrame, broker: sx.Broker, blotter: sx.Blotter) -> sx.OrderReview:
    assert_type(sx.read_targets({"SPY": 0.6}), pd.DataFrame)
    assert_type(sx.read_positions(Path("positions.csv")), pd.DataFrame)
    assert_type(sx.read_quotes({"SPY": 400.0}), pd.DataFrame)
    assert_type(sx.input_warnings(frame), pd.DataFrame)
    assert_type(sx.client_order_id("run-1", "SPY", "BUY"), str)
    orders = sx.plan_orders(
        {"SPY": 0.6},
        broker.positions(),
        broker.quotes(["SPY"]),
        nav=broker.nav(),
        run_id="run-1",
        order_type="LMT",
    )
    assert_type(orders, pd.DataFrame)
    assert_type(sx.plan_summary(orders, {"SPY": 0.6}, None, {"SPY": 400.0}, nav=1e6), "pd.Series[float]")
    state = broker.account_state({"SPY": 0.6})
    assert_type(state, sx.AccountState)
    assert_type(state.rates, dict[str, float])
    assert_type(sx.market_hours(orders, broker), pd.DataFrame)
    assert_type(sx.AccountState.of({"SPY": 5}, {"SPY": 400.0}, nav=1e4, fx={"EUR": 1.1}), sx.AccountState)
    assert_type(sx.plan_orders({"SPY": 0.6}, state, run_id="run-1"), pd.DataFrame)
    previews = sx.preview_orders(orders, broker, most=2)
    assert_type(previews, pd.DataFrame)
    assert_type(sx.check_orders(orders, None, state, previews=previews), pd.DataFrame)
    factors = sx.FactorCovariance(frame, frame, pd.Series([0.04, 0.09]))
    rules = sx.plan_orders({"SPY": 0.6}, state, run_id="run-1", band=0.1, band_kind="relative", band_to="edge")
    assert_type(rules, pd.DataFrame)
    capped = sx.plan_orders({"SPY": 0.6}, state, run_id="run-1", max_turnover=0.1, covariance=factors, band_to=0.5)
    assert_type(capped, pd.DataFrame)
    assert_type(sx.plan_frontier({"SPY": 0.6}, state, {"band": {"band": 0.1}}, covariance=frame), pd.DataFrame)
    assert_type(sx.check_orders(orders, None, state), pd.DataFrame)
    assert_type(sx.residual_orders("run-1", blotter, state), pd.DataFrame)
    netted = sx.net_targets({"value": {"SPY": 0.6}, "trend": frame}, {"value": 0.6, "trend": 0.4})
    assert_type(netted, pd.DataFrame)
    assert_type(state.with_strategies({"value": {"SPY": 5}}), sx.AccountState)
    limits = sx.read_limits("limits.toml")
    assert_type(limits, sx.Limits)
    checked = sx.check_orders(orders, limits, positions=frame, quotes=frame, cash=1e4, blotter=blotter)
    assert_type(checked, pd.DataFrame)
    assert_type(sx.check_results(checked), pd.DataFrame)
    assert_type(sx.plan_margin(checked), pd.DataFrame)
    assert_type(sx.margin_by_symbol(checked), pd.DataFrame)
    work = sx.WorkPolicy(
        reprice_seconds=10, reprice_to="mid", deadline="15:45 America/New_York", at_deadline="MKT"
    )
    assert_type(work, sx.WorkPolicy)
    review = sx.review_orders(checked, broker, blotter, by="me", work=work)
    assert_type(review, sx.OrderReview)
    assert_type(review.result(), pd.DataFrame)
    assert_type(review.margins(), pd.DataFrame)
    assert_type(sx.residual_orders("run-1", blotter, quotes={"SPY": 400.0}), pd.DataFrame)
    return review


def trade(approved: pd.DataFrame, blotter: sx.Blotter) -> None:
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 400.0}, cash=1e6)
    assert_type(broker, sx.Broker)
    assert_type(sx.submit_orders(approved, broker, blotter, timeout=5.0), pd.DataFrame)
    assert_type(sx.start_run(approved, broker, blotter), sx.Run)
    assert_type(sx.resume("run-1", broker, blotter), pd.DataFrame)
    assert_type(sx.reconcile(broker, blotter, halt=False), pd.DataFrame)
    opening = {"value": {"SPY": 60}, "trend": {"SPY": 40}}
    assert_type(sx.assign_positions(blotter, opening, positions=broker.positions(), by="me"), pd.DataFrame)
    assert_type(
        sx.record_split(blotter, "SPY", "10:1", on="2024-06-10", by="me", positions=broker.positions()),
        pd.DataFrame,
    )
    assert_type(blotter.splits(), pd.DataFrame)
    assert_type(sx.assign_cash(blotter, {"value": 5.0}, cash=broker.account_state(), by="me"), pd.DataFrame)
    assert_type(blotter.strategy_cash(), pd.DataFrame)
    assert_type(broker.account_state().strategy_navs, pd.DataFrame)
    assert_type(sx.net_targets({"value": {"SPY": 0.5}}, broker.account_state()), pd.DataFrame)
    assert_type(blotter.strategy_positions(), pd.DataFrame)
    assert_type(blotter.strategy_book(account="DU1").positions, pd.DataFrame)
    assert_type(blotter.crossings("run-1"), pd.DataFrame)
    assert_type(blotter.assignments(), pd.DataFrame)
    assert_type(
        sx.rebalance({"SPY": 0.6}, broker, blotter, run_id="run-1", approve="me", dry_run=False), pd.DataFrame
    )
    try:
        sx.submit_orders(approved, broker, blotter)
    except (sx.HaltedError, sx.InputError) as error:
        refused: sx.StockleanError = error
        print(refused)


async def trade_in_a_loop(approved: pd.DataFrame, broker: sx.Broker, blotter: sx.Blotter) -> None:
    assert_type(await sx.submit_orders_async(approved, broker, blotter), pd.DataFrame)
    assert_type(await sx.resume_async("run-1", broker, blotter), pd.DataFrame)
    assert_type(await sx.preview_orders_async(approved, broker), pd.DataFrame)
    assert_type(await sx.reconcile_async(broker, blotter), pd.DataFrame)
    assert_type(await sx.rebalance_async({"SPY": 0.6}, broker, blotter, run_id="run-1"), pd.DataFrame)


def records() -> sx.TradeRecord:
    with sx.open_blotter("paper.duckdb") as blotter:
        assert_type(blotter, sx.Blotter)
        assert_type(blotter.fills(), pd.DataFrame)
    with sx.read_blotter(Path("paper.duckdb")) as reader:
        assert_type(reader, sx.BlotterReader)
        record = sx.trade_record(reader, run_id="run-1", since="2026-11-23")
    assert_type(record, sx.TradeRecord)
    return record


def costs_of_frames(orders: pd.DataFrame, fills: pd.DataFrame, quotes: pd.DataFrame, trades: pd.DataFrame) -> None:
    closes = {"SPY": 401.0}
    assert_type(sx.slippage(orders, fills, benchmark="vwap", trades=trades, sign="performance"), pd.DataFrame)
    assert_type(sx.slippage_summary(orders, fills, benchmark=closes, max_age=60.0), "pd.Series[float]")
    assert_type(sx.spread_metrics(orders, fills, quotes, horizon=60.0), pd.DataFrame)
    assert_type(sx.shortfall_terms(orders, fills, final_prices=closes), pd.DataFrame)
    assert_type(sx.implementation_shortfall(orders, fills, delay_basis="executed"), pd.DataFrame)
    assert_type(sx.shortfall_summary(orders, fills, by=["symbol", "side"]), pd.DataFrame)
    assert_type(sx.markouts(fills, quotes, [0, 60, "close"], by="symbol"), pd.DataFrame)
    assert_type(sx.reversion(orders, fills, quotes, [60.0]), pd.DataFrame)
    assert_type(sx.completion(orders, fills), pd.DataFrame)
    assert_type(sx.completion_summary(orders, fills, by="side"), pd.DataFrame)
    assert_type(sx.incomplete_reasons(orders, fills), pd.DataFrame)
    assert_type(sx.fill_curve(orders, fills, share=0.5), pd.DataFrame)
    assert_type(sx.fill_progress(orders, fills), pd.DataFrame)
    assert_type(sx.fill_times(orders, fills, shares=[0.5, 1.0]), pd.DataFrame)
    assert_type(sx.participation(orders, fills, trades), pd.DataFrame)
    assert_type(sx.attribute_fills(orders, fills), pd.DataFrame)
    summary = sx.cost_summary(orders, fills, by=["strategy"], fx="local")
    assert_type(summary.headline, pd.DataFrame)
    assert_type(summary.tables, dict[str, pd.DataFrame])


def costs_of_a_blotter(blotter: sx.BlotterReader, record: sx.TradeRecord, own: sx.Blotter) -> None:
    assert_type(sx.slippage(blotter), pd.DataFrame)
    assert_type(sx.slippage_summary(record, quotes=record.quotes), "pd.Series[float]")
    assert_type(sx.spread_metrics(own, quotes=sx.quote_files("quotes.parquet")), pd.DataFrame)
    assert_type(sx.shortfall_terms(record), pd.DataFrame)
    assert_type(sx.implementation_shortfall("paper.duckdb"), pd.DataFrame)
    assert_type(sx.shortfall_summary(orders=Path("paper.duckdb"), by="symbol"), pd.DataFrame)
    assert_type(sx.markouts(record, "quotes.parquet"), pd.DataFrame)
    assert_type(sx.reversion(record, quotes=record.quotes), pd.DataFrame)
    assert_type(sx.completion(blotter), pd.DataFrame)
    assert_type(sx.completion_summary(record), pd.DataFrame)
    assert_type(sx.incomplete_reasons(own), pd.DataFrame)
    assert_type(sx.fill_curve(record), pd.DataFrame)
    assert_type(sx.fill_progress(record), pd.DataFrame)
    assert_type(sx.fill_times(record), pd.DataFrame)
    assert_type(sx.participation(record, trades=sx.trade_files("trades/*.parquet")), pd.DataFrame)
    assert_type(sx.cost_summary(record).worst, pd.DataFrame)


def costs_of_files(folder: Path) -> None:
    assert_type(sx.slippage(folder / "orders", folder / "fills", quotes=folder / "quotes"), pd.DataFrame)
    assert_type(sx.markouts(folder / "fills", folder / "quotes"), pd.DataFrame)
    assert_type(sx.participation("orders.parquet", "fills.parquet", "trades.parquet"), pd.DataFrame)


def models_charts_and_reports(orders: pd.DataFrame, market: pd.DataFrame, blotter: sx.Blotter) -> None:
    assert_type(sx.pretrade_cost(orders, market, model="square_root"), pd.DataFrame)
    assert_type(sx.expect_costs(orders, market, coefficient=0.8), pd.DataFrame)
    assert_type(sx.calibrate(orders, orders, market), "pd.Series[float]")
    assert_type(sx.chart_slippage(sx.slippage(blotter)), Any)
    assert_type(sx.chart_symbols(orders, currency="USD"), Any)
    assert_type(sx.chart_frontier(orders, currency="USD"), Any)
    assert_type(sx.chart_shortfall(sx.shortfall_summary(blotter)), Any)
    assert_type(sx.chart_markouts(orders, theme="dark"), Any)
    assert_type(sx.chart_participation(orders, coefficient=1.0), Any)
    assert_type(sx.chart_fill_progress(sx.fill_progress(blotter)), Any)
    assert_type(sx.report("run-1", blotter, "report.html"), sx.CostReport)
    assert_type(sx.write_report("run-1", blotter, "report.html"), Path)


def samples_and_settings() -> None:
    assert_type(sx.sample_quotes(sx.sample_closes(), seed=1), pd.DataFrame)
    assert_type(sx.diagnose(), pd.DataFrame)
    assert_type(sx.IBKR_US_FIXED.on_total(100.0, 10.0), float)
    sx.use_tariffs(sx.tariffs())
    sx.use_tariffs("tariffs.csv")
    assert_type(sx.read_portfolio_export("portfolio.csv", skiprows=2), pd.DataFrame)
    assert_type(sx.read_basket("basket.csv", "run-1"), pd.DataFrame)
    assert_type(sx.export_basket(sx.read_basket("basket.csv", "run-1"), "out.csv", unapproved=True), pd.DataFrame)
    assert_type(sx.held_back(sx.read_targets("plan.csv")), pd.DataFrame)
    assert_type(sx.tariffs(), pd.DataFrame)
    assert_type(sx.__version__, str)
    sx.doctor()
    sx.enable_notebook()
    print(sx.TABLES["orders"].markdown())
