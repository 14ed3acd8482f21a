"""Fills stamped in whole seconds, as TWS stamps them, against a market that moves within the second."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.tca.api import markouts as markouts_of_any_source
from stocklean_exec.tca.api import slippage as slippage_of_any_source
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.completion import completion, fill_progress, fill_times, participation
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


# Two orders; of the first one a fill is dated by its report, seconds after a fill that the broker has dated.
ITS_OWN = FILLS.assign(filled_at=at(0.8), time_unreliable=False)
REPORTED = FILLS.assign(filled_at=at(2), time_unreliable=True)
MIXED = pd.concat(
    [ITS_OWN.assign(client_order_id="p"), ITS_OWN.assign(quantity=4.0), REPORTED.assign(quantity=6.0)]
)
PAIR = pd.concat([ORDERS, ORDERS.assign(client_order_id="p")])


def of_files(folder, **frames):
    for name, frame in frames.items():
        duckdb.from_df(frame).write_parquet(str(folder / f"{name}.parquet"))
    return [folder / f"{name}.parquet" for name in frames]


@pytest.mark.parametrize("benchmark", ["vwap", "vwap_ex_own", "twap", "pwp"])
def test_an_order_with_a_fill_that_is_dated_by_its_report_has_no_benchmark_over_an_interval(benchmark, tmp_path):
    options = {"benchmark": benchmark, "quotes": QUOTES, "trades": TRADES}
    table = slippage(PAIR, MIXED, **options)
    assert table["benchmark_price"].isna().tolist() == [True, False]
    assert table["flags"].fillna("").tolist() == ["time_unreliable", ""]
    pd.testing.assert_frame_equal(slippage_of_any_source(*of_files(tmp_path, o=PAIR, f=MIXED), **options), table)
    # Without the mark the market until the report would count.
    assert slippage(PAIR, MIXED.drop(columns="time_unreliable"), **options)["benchmark_price"].notna().all()


def test_benchmarks_of_one_moment_need_no_time_of_the_fills():
    table = slippage(PAIR.assign(arrival_price=100.0), MIXED)
    assert table["flags"].isna().all()
    assert table["filled_quantity"].tolist() == [10.0, 10.0]


def test_fills_that_are_dated_by_their_report_are_unobserved_and_counted():
    table = markouts(MIXED, QUOTES, [0, 1, "close"], orders=PAIR)
    assert table["fills"].tolist() == [2, 2, 0]
    assert table["unobserved"].tolist() == [1, 1, 3]
    assert table["time_unreliable"].tolist() == [1, 1, 1]
    by_order = markouts(MIXED, QUOTES, [0], by="client_order_id")
    assert by_order["time_unreliable"].tolist() == [1, 0]
    spreads = spread_metrics(PAIR, MIXED, QUOTES, horizon=1)
    assert spreads[["fills", "unobserved", "time_unreliable"]].to_numpy().tolist() == [[2, 1, 1], [1, 0, 0]]


def test_markouts_of_files_know_the_fills_that_are_dated_by_their_report(tmp_path):
    (fills,) = of_files(tmp_path, f=MIXED)
    found = markouts_of_any_source(fills, QUOTES, [0])
    pd.testing.assert_frame_equal(found, markouts(MIXED, QUOTES, [0]))
    assert found["time_unreliable"].tolist() == [1]


def test_times_of_an_order_with_a_fill_that_is_dated_by_its_report_are_not_known():
    done = completion(PAIR, MIXED)
    for name in ("first_fill_seconds", "last_fill_seconds"):
        np.testing.assert_allclose(done[name], [np.nan, 0.4])
    assert done["fill_ratio"].tolist() == [1.0, 1.0]
    assert fill_progress(PAIR, MIXED)["client_order_id"].tolist() == ["p"]
    times = fill_times(PAIR, MIXED, shares=[0, 1])
    assert times[["orders", "reached", "not_watched"]].to_numpy().tolist() == [[1, 1, 1], [1, 1, 1]]
    assert participation(PAIR, MIXED, TRADES)["participation"].isna().tolist() == [True, False]
    back = reversion(PAIR, MIXED, QUOTES, [1]).set_index("client_order_id")["reversion_bps"]
    assert back.isna().to_dict() == {"o": True, "p": False}


def test_a_mark_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(InputError, match="neither true nor false") as raised:
        markouts(MIXED.assign(time_unreliable="perhaps"), QUOTES, [0])
    assert raised.value.codes == ("flag_dtype",)


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
