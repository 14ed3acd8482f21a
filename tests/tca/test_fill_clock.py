"""Fills stamped in whole seconds, as TWS stamps them, against a market that moves within the second."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pandas as pd
import pytest

from stocklean_exec.tca.api import markouts as markouts_of_any_source
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.completion import completion, fill_progress, participation
from stocklean_exec.tca.fill_clock import before_order, latest_times, not_before_order, observed_times
from stocklean_exec.tca.markouts import markouts, reversion
from stocklean_exec.tca.slippage import slippage, spread_metrics
from stocklean_exec.tca.sources import TradeRecord

AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")


def at(*seconds):
    return [AT + pd.Timedelta(seconds=value) for value in seconds]


# Sent 0.4 s after the full second, bought 10 at 100 within that second, so stamped at the full second.
ORDERS = pd.DataFrame(
    {"client_order_id": ["o"], "symbol": "A", "side": "BUY", "quantity": 10.0, "arrived_at": at(0.4)}
)
FILLS = pd.DataFrame(
    {
        "client_order_id": ["o"],
        "symbol": "A",
        "side": "BUY",
        "quantity": 10.0,
        "price": 100.0,
        "filled_at": at(0),
    }
)
# mids 90 before the order, 99 when it was sent, 103 after it
QUOTES = pd.DataFrame(
    {"symbol": "A", "quoted_at": at(-1, 0.3, 0.5), "bid": [89.5, 98.5, 102.5], "ask": [90.5, 99.5, 103.5]}
)
# before the order; our own 10; 30 more in that second; the next second
TRADES = pd.DataFrame(
    {
        "symbol": "A",
        "traded_at": at(0.2, 0.6, 0.8, 1.0),
        "price": [90.0, 100.0, 104.0, 50.0],
        "volume": [500.0, 10.0, 30.0, 1000.0],
    }
)
CLOCKS_DIFFER = {"a whole second before": at(-1), "exact, and before": at(0.35)}


@pytest.mark.parametrize(
    ("benchmark", "price"),
    [
        ("vwap", (10 * 100 + 30 * 104) / 40),
        ("vwap_ex_own", 104.0),
        ("twap", 99.0),
        ("pwp", (10 * 100 + 30 * 104) / 40),  # the first 10 / 0.25 shares
    ],
)
def test_interval_benchmarks_of_a_fill_in_the_second_of_its_order(benchmark, price):
    table = slippage(ORDERS, FILLS, benchmark=benchmark, quotes=QUOTES, trades=TRADES, participation=0.25)
    assert table["benchmark_price"].tolist() == [price]
    assert table["flags"].isna().all()
    assert table["slippage_cost"].tolist() == [10 * (100 - price)]


def test_participation_counts_the_second_of_the_fill():
    table = participation(ORDERS, FILLS, TRADES)
    assert table[["market_volume", "participation"]].to_numpy().tolist() == [[40.0, 0.25]]


def test_a_later_fill_counts_its_own_second_too():
    # stamped at the next second: 10, 30 and the 1,000 of that second, and nothing from the second after it
    later = pd.concat([TRADES, pd.DataFrame({"symbol": ["A"], "traded_at": at(2), "price": 1.0, "volume": 7.0})])
    table = participation(ORDERS, FILLS.assign(filled_at=at(1)), later)
    assert table["market_volume"].tolist() == [1040.0]
    exact = participation(ORDERS, FILLS.assign(filled_at=at(0.7)), later)
    assert exact["market_volume"].tolist() == [10.0]


def test_spreads_take_the_quote_when_the_order_was_sent():
    row = spread_metrics(ORDERS, FILLS, QUOTES, horizon=1).iloc[0]
    assert row["effective_spread_bps"] == pytest.approx(2e4 * (100 - 99) / 99)
    assert row["realized_spread_bps"] == pytest.approx(2e4 * (100 - 103) / 99)
    assert row["spread_capture"] == pytest.approx((99 - 100) / 0.5)
    assert row["unobserved"] == 0


def test_markouts_with_orders_do_not_use_the_market_before_them():
    table = markouts(FILLS, QUOTES, [0, 1], orders=ORDERS)
    np.testing.assert_allclose(table["markout_bps"], [1e4 * (99 - 100) / 100, 1e4 * (103 - 100) / 100])
    assert markouts(FILLS, QUOTES, [0])["markout_bps"].tolist() == [1e4 * (90 - 100) / 100]  # nothing says when
    assert markouts(FILLS, QUOTES, [0], orders=ORDERS.drop(columns="arrived_at"))["fills"].tolist() == [1]
    others = markouts(FILLS.assign(client_order_id="x"), QUOTES, [0], orders=ORDERS)
    assert others["markout_bps"].tolist() == [-1000.0]


def test_a_trade_record_brings_its_orders_to_markouts():
    none = pd.DataFrame()
    record = TradeRecord(ORDERS, FILLS, none, none, none)
    assert markouts_of_any_source(record, QUOTES, [0])["markout_bps"].tolist() == [-100.0]


def test_markouts_of_files_read_the_orders_too(tmp_path):
    for name, frame in (("orders", ORDERS), ("fills", FILLS), ("quotes", QUOTES)):
        duckdb.from_df(frame).write_parquet(str(tmp_path / f"{name}.parquet"))
    orders, fills, quotes = (tmp_path / f"{name}.parquet" for name in ("orders", "fills", "quotes"))
    assert markouts_of_any_source(fills, quotes, [0], orders=orders)["markout_bps"].tolist() == [-100.0]
    assert markouts_of_any_source(fills, quotes, [0])["markout_bps"].tolist() == [-1000.0]


def test_reversion_starts_when_the_order_was_sent():
    table = reversion(ORDERS, FILLS, QUOTES, [1])
    assert table["reversion_bps"].tolist() == [1e4 * (99 - 103) / 99]


def test_completion_takes_a_fill_in_the_second_of_its_order_as_zero_seconds():
    assert completion(ORDERS, FILLS)["first_fill_seconds"].tolist() == [0.0]
    assert fill_progress(ORDERS, FILLS)["seconds"].tolist() == [0.0]


@pytest.mark.parametrize("filled_at", CLOCKS_DIFFER.values(), ids=CLOCKS_DIFFER)
def test_a_fill_before_its_order_has_no_known_time(filled_at):
    fills = FILLS.assign(filled_at=filled_at)
    for benchmark in ("vwap", "vwap_ex_own", "twap", "pwp"):
        table = slippage(ORDERS, fills, benchmark=benchmark, quotes=QUOTES, trades=TRADES)
        assert table["flags"].tolist() == ["fill_before_order"]
        assert math.isnan(table["slippage_bps"].iloc[0])
    assert participation(ORDERS, fills, TRADES)["market_volume"].isna().all()
    assert spread_metrics(ORDERS, fills, QUOTES)["unobserved"].tolist() == [1]
    assert markouts(fills, QUOTES, [0], orders=ORDERS)["unobserved"].tolist() == [1]
    assert reversion(ORDERS, fills, QUOTES, [1])["reversion_bps"].isna().tolist() == [True]


def test_other_reasons_are_named_as_before():
    late = TRADES.assign(traded_at=at(60, 61, 62, 63))
    table = slippage(ORDERS, FILLS, benchmark="vwap", trades=late)
    assert table["flags"].tolist() == ["no_volume"]


def test_times_that_are_missing_stay_missing():
    sent, unknown = np.array([10_400_000]), np.array([NO_TIME])
    for filled, order in ((unknown, sent), (sent, unknown), (unknown, unknown)):
        assert not_before_order(filled, order).tolist() == filled.tolist()
        assert observed_times(filled, order).tolist() == filled.tolist()
        assert not before_order(filled, order).any()
    assert latest_times(unknown).tolist() == [NO_TIME]


def test_the_second_of_sending_is_exclusive_at_its_start():
    # sent at a full second exactly: a fill of the second before is a second early, not within it
    sent = np.array([10_000_000])
    assert not_before_order(np.array([9_000_000]), sent).tolist() == [9_000_000]
    assert observed_times(np.array([9_000_000]), sent).tolist() == [NO_TIME]
    assert not_before_order(np.array([10_000_000]), sent).tolist() == [10_000_000]
