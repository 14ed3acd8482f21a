from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import FILLS, ORDERS
from stocklean_exec.tca.benchmarks import BENCHMARKS
from stocklean_exec.tca.slippage import slippage, slippage_summary, spread_metrics

NAN = math.nan
AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")  # a Monday, 10:00 in New York


def at(*seconds):
    return [AT + pd.Timedelta(seconds=value) for value in seconds]


ORDERS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "b"],
        "symbol": ["A", "B"],
        "side": ["BUY", "SELL"],
        "quantity": [100.0, 50.0],
        "arrived_at": at(0, 0),
        "decided_at": at(-60, -60),
    }
)
FILLS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "a", "b"],
        "quantity": [40.0, 60.0, 50.0],
        "price": [10.0, 11.0, 20.0],
        "commission": 1.0,
        "filled_at": at(10, 40, 20),
    }
)
# a: average 10.60; b: 20
QUOTES = pd.DataFrame(
    {
        "symbol": ["A"] * 5 + ["B"] * 2,
        "quoted_at": at(-60, -1, 10, 30, 41, -400, -1),
        "bid": [9.0, 9.8, 10.8, 11.8, 11.8, 19.0, 20.5],
        "ask": [9.2, 10.2, 11.2, 12.2, 12.2, 19.2, 20.4],
    }
)
TRADES = pd.DataFrame(
    {
        "symbol": ["A"] * 5 + ["B"] * 2,
        "traded_at": at(0, 5, 10, 40, 50, 10, 20),
        "price": [99.0, 10.0, 10.0, 11.0, 12.0, 21.0, 20.0],
        "volume": [999.0, 60.0, 40.0, 100.0, 800.0, 30.0, 50.0],
    }
)
DAILY = pd.DataFrame(
    {
        "symbol": ["A", "A", "A", "B"],
        "date": ["2026-11-19", "2026-11-20", "2026-11-23", "2026-11-20"],
        "open": [7.0, 8.0, 9.5, 20.0],
        "close": [7.5, 8.5, 10.5, 21.0],
    }
)


def price_of(benchmark, **options):
    table = slippage(ORDERS_, FILLS_, benchmark=benchmark, **options)
    return table["benchmark_price"].tolist(), table["flags"].fillna("").tolist(), table


@pytest.mark.parametrize(
    ("benchmark", "prices", "flags"),
    [
        # A's quote of one second before stands at 10; B's is crossed
        ("arrival", [10.0, NAN], ["", "crossed_quote"]),
        # A's quote of 60 s before is made at that moment; B's, 340 s old, has a hole behind it
        ("decision", [9.1, NAN], ["", "stale_quote"]),
        ("far_touch", [10.2, NAN], ["", "crossed_quote"]),
        ("near_touch", [9.8, NAN], ["", "crossed_quote"]),
        # 10 s at 10, 20 s at 11, 10 s at 12
        ("twap", [(100 + 220 + 120) / 40, NAN], ["", "not_observed"]),
        ("quote", [12.0, NAN], ["", "no_benchmark"]),
    ],
)
def test_benchmarks_of_quotes(benchmark, prices, flags):
    got, flags_found, table = price_of(benchmark, quotes=QUOTES)
    np.testing.assert_allclose(got, prices)
    assert flags_found == flags
    cost = (10.6 - prices[0]) * 100
    assert table["slippage_cost"].iloc[0] == pytest.approx(cost)
    assert table["slippage_bps"].iloc[0] == pytest.approx((10.6 - prices[0]) / prices[0] * 1e4)


def test_the_age_of_the_quote_is_reported():
    ages = price_of("arrival", quotes=QUOTES)[2]["benchmark_age_seconds"]
    assert ages.tolist() == [1, 1]
    assert price_of("decision", quotes=QUOTES)[2]["benchmark_age_seconds"].tolist() == [0, 340]


def test_prices_of_the_orders_are_used_and_only_missing_ones_are_looked_up():
    orders = ORDERS_.assign(arrival_price=[12.5, NAN], arrival_bid=[12.0, NAN], arrival_ask=[13.0, NAN])
    table = slippage(orders, FILLS_, quotes=QUOTES)
    np.testing.assert_allclose(table["benchmark_price"], [12.5, NAN])
    assert math.isnan(table["benchmark_age_seconds"].iloc[0])
    assert slippage(orders, FILLS_, benchmark="far_touch", quotes=QUOTES)["benchmark_price"].iloc[0] == 13
    assert slippage(orders, FILLS_, benchmark="near_touch")["benchmark_price"].iloc[0] == 12
    crossed = orders.assign(arrival_bid=[14.0, NAN])
    assert slippage(crossed, FILLS_, benchmark="far_touch")["flags"].tolist() == ["crossed_quote", "no_benchmark"]


def test_delayed_quotes_are_no_benchmark():
    got, flags_found, _ = price_of("arrival", quotes=QUOTES.assign(delayed=True))
    assert np.isnan(got).all()
    assert flags_found == ["delayed_quote", "delayed_quote"]


def test_an_order_that_was_never_sent_has_no_arrival():
    table = slippage(
        ORDERS_.assign(arrived_at=pd.Series([None, AT], dtype="datetime64[us, UTC]")), FILLS_, quotes=QUOTES
    )
    assert table["flags"].tolist() == ["no_time", "crossed_quote"]


def test_vwap_excludes_the_moment_of_arrival_and_includes_the_last_fill():
    # a: 60 at 10, 40 at 10, 100 at 11: 2,100 / 200. The 999 at arrival and what came after the last fill do not
    # count. b: 30 at 21, 50 at 20: 1,630 / 80
    got, _, table = price_of("vwap", trades=TRADES)
    np.testing.assert_allclose(got, [10.5, 1630 / 80])
    # sold at 20 below the VWAP of 20.375: a cost of 0.375 a share
    assert table["slippage_cost"].iloc[1] == pytest.approx(0.375 * 50)


def test_cost_against_vwap_without_own_fills_scales_by_our_share_of_volume():
    # a was 100 of 200 shares: others paid (2,100 - 1,060) / 100 = 10.40. Against 10.50 the cost is 0.10, against
    # 10.40 it is 0.20 = 0.10 / (1 - 100 / 200).
    got, _, _ = price_of("vwap_ex_own", trades=TRADES)
    np.testing.assert_allclose(got, [10.4, (1630 - 1000) / 30])


def test_published_vwap_cost():
    # CFA III reading 32, question 22, at analystforum.com/t/cfa-iii-ss-16-reading-32-eoc-question-22/91274: 3,200
    # shares bought at 17.05 against a VWAP of 17 cost 3,200 x 0.05
    orders = ORDERS_.iloc[[0]].assign(quantity=10_000.0)
    fills = FILLS_.iloc[[0]].assign(quantity=3200.0, price=17.05)
    trades = pd.DataFrame({"symbol": "A", "traded_at": at(1, 2), "price": [16.0, 18.0], "volume": [500.0, 500.0]})
    table = slippage(orders, fills, benchmark="vwap", trades=trades)
    assert table["benchmark_price"].iloc[0] == 17
    assert table["slippage_cost"].iloc[0] == pytest.approx(160)


def test_pwp_is_the_vwap_of_the_shares_traded_at_the_given_participation():
    # a at 50 %: the first 200 shares after arrival, all of the interval. At 25 %: 400, of which 200 come at 12.
    assert price_of("pwp", trades=TRADES, participation=0.5)[0][0] == pytest.approx(10.5)
    assert price_of("pwp", trades=TRADES, participation=0.25)[0][0] == pytest.approx((2100 + 200 * 12) / 400)
    # at 5 % it would need 2,000 shares, and the day has 1,000
    got, flags_found, _ = price_of("pwp", trades=TRADES, participation=0.05)
    assert math.isnan(got[0])
    assert flags_found[0] == "no_volume"
    tomorrow = pd.concat([TRADES, TRADES.iloc[[4]].assign(traded_at=AT + pd.Timedelta(days=1), volume=9e9)])
    assert math.isnan(price_of("pwp", trades=tomorrow, participation=0.05)[0][0])


@pytest.mark.parametrize(
    ("benchmark", "prices"), [("open", [9.5, NAN]), ("close", [10.5, NAN]), ("previous_close", [8.5, 21.0])]
)
def test_daily_benchmarks(benchmark, prices):
    np.testing.assert_allclose(price_of(benchmark, daily=DAILY)[0], prices)
    late = ORDERS_.assign(arrived_at=pd.Timestamp("2026-11-24 04:59", tz="UTC"))  # 23:59 on the 23rd in New York
    np.testing.assert_allclose(slippage(late, FILLS_, benchmark=benchmark, daily=DAILY)["benchmark_price"], prices)


def test_an_order_without_fills_has_no_interval_and_one_flag():
    for benchmark, data in (
        ("vwap", {"trades": TRADES}),
        ("twap", {"quotes": QUOTES}),
        ("pwp", {"trades": TRADES}),
    ):
        table = slippage(ORDERS_, FILLS_.iloc[2:], benchmark=benchmark, **data)
        assert math.isnan(table["benchmark_price"].iloc[0])
        assert table["flags"].iloc[0] == "no_fill"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"benchmark": "vwap"}, "trades_missing"),
        ({"benchmark": "twap"}, "quotes_missing"),
        ({"benchmark": "far_touch"}, "quotes_missing"),
        ({"benchmark": "close"}, "daily_missing"),
        ({"benchmark": "close", "daily": pd.concat([DAILY, DAILY])}, "duplicate_date"),
        ({"benchmark": "pwp", "trades": TRADES, "participation": 0.0}, "option_invalid"),
        ({"benchmark": "arrival", "quotes": QUOTES, "max_age": -1}, "option_invalid"),
        ({"benchmark": "arrival", "quotes": QUOTES.assign(quoted_at=AT.tz_localize(None))}, "naive_time"),
        ({"benchmark": "limit"}, "benchmark_unknown"),
        ({"benchmark": "arrival", "quotes": QUOTES, "sign": "profit"}, "option_invalid"),
    ],
)
def test_a_benchmark_without_its_market_data_is_an_error(options, code):
    with pytest.raises(InputError) as caught:
        slippage(ORDERS_, FILLS_, **options)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize("benchmark", ["arrival", "far_touch", "twap", "vwap", "pwp", "previous_close"])
def test_empty_input_gives_empty_output(benchmark):
    table = slippage(ORDERS.empty(), FILLS.empty(), benchmark=benchmark, quotes=QUOTES, trades=TRADES, daily=DAILY)
    assert len(table) == 0
    assert table["benchmark_price"].dtype == "float64"


def test_performance_has_the_opposite_sign_and_currencies_need_rates():
    cost, gain = (
        slippage(ORDERS_, FILLS_, benchmark="vwap", trades=TRADES, sign=s) for s in ("cost", "performance")
    )
    np.testing.assert_allclose(cost["slippage_bps"], -gain["slippage_bps"])
    orders = ORDERS_.assign(currency=["USD", "EUR"])
    with pytest.raises(InputError, match="currency_mixed"):
        slippage(orders, FILLS_, benchmark={"A": 10.0, "B": 20.0})
    total = slippage_summary(orders, FILLS_, benchmark={"A": 10.0, "B": 21.0}, fx={"USD": 1.0, "EUR": 2.0})
    # a: 0.60 x 100 = 60 of 1,000; b: 1 x 50 EUR = 100 of 2,100 USD
    assert (total["slippage_cost"], total["notional"]) == pytest.approx((160, 3100))
    assert total["commission"] == pytest.approx(2 + 2)
    gain = slippage_summary(ORDERS_, FILLS_, benchmark={"A": 10.0, "B": 21.0}, sign="performance")
    assert gain["total_cost"] == pytest.approx(-60 - 50 - 3)


def test_the_benchmarks_of_the_orders_table_are_its_columns():
    assert set(BENCHMARKS.values()) <= set(ORDERS.names)


# -- spreads
# ---------------------------------------------------------------------------------------------------------


def test_published_effective_spreads():
    # gaodun.com/q/403v0v: three sells; midquotes 10.035, 9.93, 9.91; effective spreads 0.11, 0.02, 0.00
    quotes = pd.DataFrame(
        {"symbol": "A", "quoted_at": at(0, 7200, 10800), "bid": [10.0, 9.90, 9.88], "ask": [10.07, 9.96, 9.94]}
    )
    orders = pd.DataFrame({"client_order_id": ["1", "2", "3"], "symbol": "A", "side": "SELL", "quantity": 1.0})
    fills = pd.DataFrame(
        {
            "client_order_id": ["1", "2", "3"],
            "quantity": 1.0,
            "price": [9.98, 9.92, 9.91],
            "filled_at": at(0, 7200, 10800),
        }
    )
    table = spread_metrics(orders, fills, quotes)
    in_dollars = table["effective_spread_bps"] / 1e4 * [10.035, 9.93, 9.91]
    np.testing.assert_allclose(in_dollars, [0.11, 0.02, 0.0], atol=1e-9)
    assert in_dollars.mean() == pytest.approx(0.0433, abs=5e-5)


def test_published_effective_spread_of_a_buy():
    # onwealth.net, effective spread: bid 49.98, ask 50.02, bought at 50.01: 2 cents
    quotes = pd.DataFrame({"symbol": ["A"], "quoted_at": [AT], "bid": [49.98], "ask": [50.02]})
    fills = pd.DataFrame({"client_order_id": ["a"], "quantity": [1.0], "price": [50.01], "filled_at": [AT]})
    row = spread_metrics(ORDERS_.iloc[[0]], fills, quotes).iloc[0]
    assert row["effective_spread_bps"] * 50 / 1e4 == pytest.approx(0.02)
    assert row["effective_over_quoted"] == pytest.approx(0.5)
    assert row["spread_capture"] == pytest.approx(-0.5)
    assert row["price_improvement_bps"] == pytest.approx(0.01 / 50.02 * 1e4)


def test_realized_spread_and_impact_add_up_to_the_effective_spread():
    row = spread_metrics(ORDERS_, FILLS_, QUOTES.drop(index=4), horizon=20).loc["a"]
    # fill of 40 at 10 s: mid 11, then 12; of 60 at 40 s: without the last quote of A, its record ended at 30 s
    assert row["unobserved"] == 1
    assert row["effective_spread_bps"] == pytest.approx(2e4 * (10 - 11) / 11)
    assert row["realized_spread_bps"] == pytest.approx(2e4 * (10 - 12) / 11)
    assert row["price_impact_bps"] == pytest.approx(2e4 * (12 - 11) / 11)
    assert len(spread_metrics(ORDERS.empty(), FILLS.empty(), QUOTES)) == 0


def test_an_arrival_price_of_a_crossed_market_is_flagged_and_not_used():
    orders = ORDERS_.assign(arrival_price=[10.0, 20.0], arrival_bid=[11.0, 19.0], arrival_ask=[9.0, 21.0])
    table = slippage(orders, FILLS_)
    np.testing.assert_array_equal(table["benchmark_price"], [NAN, 20.0])
    assert table["flags"].fillna("").tolist() == ["crossed_quote", ""]
    late = slippage(orders.assign(arrival_delayed=[False, True]), FILLS_)
    assert late["flags"].tolist() == ["crossed_quote", "delayed_quote"]
    touch = slippage(orders.assign(arrival_delayed=[False, True]), FILLS_, benchmark="near_touch")
    assert touch["flags"].tolist() == ["crossed_quote", "delayed_quote"]
    assert touch["benchmark_price"].isna().all()


@pytest.mark.parametrize(
    "dates",
    [
        pd.DatetimeIndex(["2026-11-20", "2026-11-23"]).tz_localize("America/New_York"),  # as yfinance gives them
        pd.DatetimeIndex(["2026-11-20", "2026-11-23"]).tz_localize("UTC"),
        pd.DatetimeIndex(["2026-11-20 05:00", "2026-11-23 05:00"]).tz_localize("UTC"),  # midnight in New York
        pd.DatetimeIndex(["2026-11-20 16:00", "2026-11-23 16:00"]).tz_localize("America/New_York"),
        ["2026-11-20T00:00:00-05:00", "2026-11-23T00:00:00-04:00"],  # two offsets
        [dt.date(2026, 11, 20), dt.date(2026, 11, 23)],
        ["2026-11-20", "2026-11-23"],
    ],
    ids=["New York", "UTC midnight", "UTC", "at the close", "offsets", "dates", "texts"],
)
def test_daily_dates_with_and_without_a_zone_are_the_same_days(dates):
    daily = pd.DataFrame({"symbol": "A", "date": dates, "close": [8.5, 10.5]})
    for benchmark, price in (("close", 10.5), ("previous_close", 8.5)):
        table = slippage(ORDERS_.iloc[[0]], FILLS_.iloc[:2], benchmark=benchmark, daily=daily)
        assert table["benchmark_price"].tolist() == [price]


@pytest.mark.parametrize("date", ["soon", 20261123, 1.5, True])
def test_a_daily_date_that_is_none_is_refused(date):
    daily = pd.DataFrame({"symbol": "A", "date": [date], "close": [8.5]})
    with pytest.raises(InputError, match="is not a date"):
        slippage(ORDERS_.iloc[[0]], FILLS_.iloc[:2], benchmark="close", daily=daily)


@pytest.mark.parametrize(
    ("date", "price", "flag"), [("2026-11-12", 8.5, ""), ("2026-11-11", NAN, "stale_daily_price")]
)
def test_a_previous_close_is_at_most_eleven_days_old(date, price, flag):
    # the order arrived on 23 November: eleven days before it is the 12th
    daily = pd.DataFrame({"symbol": "A", "date": [date], "close": [8.5]})
    table = slippage(ORDERS_.iloc[[0]], FILLS_.iloc[:2], benchmark="previous_close", daily=daily)
    np.testing.assert_array_equal(table["benchmark_price"], [price])
    assert table["flags"].fillna("").tolist() == [flag]


def test_realized_spread_and_impact_are_unknown_where_one_fill_has_no_horizon():
    # A's quotes end at 41 s: 20 s after the fill of 40 s nothing is observed, at 10 s + 20 s the mid is 12
    row = spread_metrics(ORDERS_, FILLS_, QUOTES, horizon=20).loc["a"]
    assert row[["fills", "unobserved", "unobserved_later"]].tolist() == [2, 0, 1]
    assert row[["realized_spread_bps", "price_impact_bps"]].isna().all()
    effective = (40 * 2e4 * (10 - 11) / 11 + 60 * 2e4 * (11 - 12) / 12) / 100  # of both fills
    assert row["effective_spread_bps"] == pytest.approx(effective)
    whole = spread_metrics(ORDERS_, FILLS_, QUOTES, horizon=5).loc["a"]
    assert whole["unobserved_later"] == 0
    assert whole["effective_spread_bps"] == pytest.approx(whole["realized_spread_bps"] + whole["price_impact_bps"])


def test_orders_for_an_auction_are_measured_against_its_price_and_others_against_their_arrival():
    orders = pd.DataFrame(
        {
            "client_order_id": ["close", "limit", "open", "plain"],
            "symbol": "A",
            "side": "BUY",
            "quantity": 10.0,
            "order_type": ["MOC", "LOC", "MKT", "MKT"],
            "tif": ["DAY", "DAY", "OPG", "DAY"],
            "arrival_price": 9.0,
            "arrived_at": AT,
        }
    )
    fills = pd.DataFrame(
        {"client_order_id": orders["client_order_id"], "quantity": 10.0, "price": 10.0, "commission": 1.0}
    )
    daily = pd.DataFrame({"symbol": ["A"], "date": ["2026-11-23"], "open": [8.0], "close": [12.5]})
    table = slippage(orders, fills, benchmark="auto", daily=daily)
    assert table["benchmark_price"].tolist() == [12.5, 12.5, 8.0, 9.0]
    assert table["slippage_cost"].tolist() == [-25.0, -25.0, 20.0, 10.0]  # 10 shares, 10.00 paid
    assert table["flags"].isna().all()
    without = slippage(orders, fills, benchmark="auto")
    assert without["benchmark_price"].fillna(0.0).tolist() == [0.0, 0.0, 0.0, 9.0]
    assert without["flags"].fillna("").tolist() == ["no_daily_price"] * 3 + [""]


def test_orders_without_a_type_are_measured_against_their_arrival():
    orders = ORDERS_.assign(arrival_price=[10.0, 21.0]).drop(columns="decided_at")
    table = slippage(orders, FILLS_, benchmark="auto", daily=DAILY)
    assert table["benchmark_price"].tolist() == [10.0, 21.0]
