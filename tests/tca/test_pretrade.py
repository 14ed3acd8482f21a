from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.tables import ORDERS
from stocklean_exec.tca.pretrade import calibrate, pretrade_cost
from stocklean_exec.widgets.review_payload import column_specs, rows

NAN = math.nan

# Almgren, Thum, Hauptmann and Li 2005, table 2: 10 % of a day's volume of IBM and DRI, traded in 0.1, 0.2 and 0.5
# days.
MARKET = pd.DataFrame(
    {
        "symbol": ["IBM", "DRI"],
        "volatility": [0.0157, 0.0226],
        "adv": [6_561_000.0, 1_929_000.0],
        "shares_outstanding": [1_728e6, 168e6],
    }
)
ORDERS_ = pd.DataFrame(
    {
        "client_order_id": ["i", "d"],
        "symbol": ["IBM", "DRI"],
        "side": ["BUY", "SELL"],
        "quantity": [656_100.0, 192_900.0],
        "decision_price": [80.0, 40.0],
    }
)


@pytest.mark.parametrize(
    ("days", "temporary", "realized"),
    [(0.1, (22, 32), (32, 43)), (0.2, (15, 21), (25, 32)), (0.5, (8, 12), (18, 23))],
)
def test_published_impact_table_of_almgren_et_al(days, temporary, realized):
    table = pretrade_cost(ORDERS_, MARKET, model="almgren", days=days)
    np.testing.assert_allclose(table["permanent_bps"], (20, 22), atol=0.5)
    np.testing.assert_allclose(table["temporary_bps"], temporary, atol=0.55)
    np.testing.assert_allclose(table["impact_bps"], realized, atol=0.55)


def test_square_root_impact_equals_a_hand_calculation():
    market = MARKET.assign(spread_bps=[4.0, NAN])
    table = pretrade_cost(ORDERS_, market, coefficient=0.8, commission_bps=1.0)
    # 0.8 x 157 bp x sqrt(0.1), half of 4, and 1 of commission; of 656,100 x 80
    impact = 0.8 * 157 * math.sqrt(0.1)
    assert table.loc["i", "impact_bps"] == pytest.approx(impact)
    assert table.loc["i", "expected_cost_bps"] == pytest.approx(2 + impact + 1)
    assert table.loc["i", "expected_cost"] == pytest.approx((3 + impact) / 1e4 * 656_100 * 80)
    assert math.isnan(table.loc["d", "expected_cost_bps"])  # its spread is not known
    worked = pretrade_cost(ORDERS_, market, coefficient=0.8, days=1.0)
    assert worked.loc["i", "impact_bps"] == pytest.approx(impact * 2 / 3)


def test_a_symbol_without_a_market_has_no_estimate():
    orders = ORDERS_.assign(symbol=["IBM", "XYZ"])
    table = pretrade_cost(orders, MARKET)
    assert table["impact_bps"].isna().tolist() == [False, True]
    assert len(pretrade_cost(ORDERS.empty(), MARKET)) == 0
    assert pretrade_cost(ORDERS_, MARKET.assign(adv=0.0))["impact_bps"].isna().all()


@pytest.mark.parametrize(
    ("market", "options", "code"),
    [
        (MARKET, {"model": "kissell"}, "option_invalid"),
        (MARKET, {"model": "almgren"}, "option_missing"),
        (MARKET.drop(columns="shares_outstanding"), {"model": "almgren", "days": 1}, "missing_column"),
        (MARKET.drop(columns="adv"), {}, "missing_column"),
        (pd.concat([MARKET, MARKET]), {}, "duplicate_symbol"),
        (MARKET.assign(volatility=1.57), {}, "volatility_unit"),
        (MARKET, {"coefficient": -1}, "option_invalid"),
    ],
)
def test_invalid_options_are_errors(market, options, code):
    with pytest.raises(InputError) as caught:
        pretrade_cost(ORDERS_, market, **options)
    assert code in caught.value.codes


def synthetic(rows, spread, coefficient, noise=0.0, seed=3):
    rng = np.random.default_rng(seed)
    orders = pd.DataFrame(
        {
            "client_order_id": [f"o{i}" for i in range(rows)],
            "symbol": rng.choice(["IBM", "DRI"], rows),
            "side": "BUY",
            "quantity": rng.integers(1, 500, rows) * 1000.0,
        }
    )
    stats = MARKET.set_index("symbol").reindex(orders["symbol"])
    root = 1e4 * stats["volatility"].to_numpy() * np.sqrt(orders["quantity"] / stats["adv"].to_numpy())
    costs = pd.DataFrame(
        {
            "filled_quantity": orders["quantity"],
            "benchmark_price": 50.0,
            "slippage_bps": spread + coefficient * root + noise * rng.standard_normal(rows),
            "commission": orders["quantity"] * 0.005,
        }
    ).set_axis(orders["client_order_id"])
    return costs, orders


def test_calibration_recovers_the_parameters_of_simulated_orders():
    costs, orders = synthetic(50, spread=3.0, coefficient=0.7)
    found = calibrate(costs, orders, MARKET)
    assert found["half_spread_bps"] == pytest.approx(3)
    assert found["coefficient"] == pytest.approx(0.7)
    assert found["residual_bps"] == pytest.approx(0, abs=1e-9)
    assert found["commission_bps"] == pytest.approx(1)  # half a cent of 50
    assert found["orders"] == 50


def test_calibration_with_noise_is_within_its_standard_errors():
    costs, orders = synthetic(2_000, spread=3.0, coefficient=0.7, noise=20.0)
    found = calibrate(costs, orders, MARKET)
    assert abs(found["half_spread_bps"] - 3) < 4 * found["half_spread_se"]
    assert abs(found["coefficient"] - 0.7) < 4 * found["coefficient_se"]
    assert 0 < found["coefficient_se"] < 0.05


def test_with_a_known_spread_only_the_impact_is_fitted():
    costs, orders = synthetic(50, spread=2.0, coefficient=0.7)
    found = calibrate(costs, orders, MARKET.assign(spread_bps=4.0), fit_spread=False)
    assert (found["half_spread_bps"], found["coefficient"]) == pytest.approx((2, 0.7))


def test_calibration_needs_more_than_two_orders():
    costs, orders = synthetic(2, 3.0, 0.7)
    found = calibrate(costs, orders, MARKET)
    assert found["orders"] == 2
    assert math.isnan(found["coefficient"])


@pytest.mark.slow
def test_the_expected_cost_is_reviewed_recorded_and_compared_with_the_cost():
    # 1e4 x 0.02 x sqrt(100 / 1e6) = 2 basis points, and half of a spread of 4: 4 altogether.
    broker = sx.connect("mock://", quotes={"AAA": 50.0}, cash=10_000)
    market = pd.DataFrame({"symbol": ["AAA"], "volatility": [0.02], "adv": [1e6], "spread_bps": [4.0]})
    plan = sx.plan_orders({"AAA": 0.5}, None, broker.quotes(), nav=10_000, run_id="r")
    plan = sx.expect_costs(plan, market)
    assert plan["expected_cost_bps"].tolist() == pytest.approx([4.0])
    review = sx.review_orders(sx.check_orders(plan, quotes=broker.quotes(), cash=10_000))
    shown = {spec["name"]: spec["default"] for spec in column_specs(review)}
    assert shown["expected_cost_bps"] is True
    assert rows(review)["expected_cost_bps"] == pytest.approx([4.0])
    review.approve_all(by="me")
    with sx.open_blotter() as blotter:
        sx.submit_orders(review.result(), broker, blotter)
        summary = sx.cost_summary(blotter.orders("r"), blotter.fills("r"))
    assert summary.headline["expected_bps"].tolist() == pytest.approx([4.0])


@pytest.mark.slow
def test_an_edit_of_the_quantity_clears_the_expected_cost():
    broker = sx.connect("mock://", quotes={"AAA": 50.0, "BBB": 50.0}, cash=10_000)
    market = pd.DataFrame({"symbol": ["AAA", "BBB"], "volatility": 0.02, "adv": 1e6})
    plan = sx.plan_orders({"AAA": 0.3, "BBB": 0.3}, None, broker.quotes(), nav=10_000, run_id="r")
    review = sx.review_orders(sx.check_orders(sx.expect_costs(plan, market), quotes=broker.quotes(), cash=10_000))
    review.edit("r-AAA-BUY", quantity=10.0, by="me")
    left = review.orders.set_index("symbol")["expected_cost_bps"]
    assert left.isna().to_dict() == {"AAA": True, "BBB": False}
