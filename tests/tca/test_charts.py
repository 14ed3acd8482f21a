from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
import pytest
import vl_convert

from stocklean_exec.errors import InputError
from stocklean_exec.tca import charts

NAN = math.nan
SLIPPAGE = pd.DataFrame(
    {
        "slippage_bps": [10.0, -20.0, NAN],
        "filled_quantity": [10.0, 30.0, 0.0],
        "benchmark_price": [100.0, 100.0, 50.0],
        "participation": [0.01, 0.1, NAN],
    }
)
SUMMARY = pd.DataFrame(
    {"delay_bps": [4.0], "trading_bps": [-1.0], "opportunity_bps": [2.0], "fees_bps": [1.0], "total_bps": [9.0]}
)
PROGRESS = pd.DataFrame(
    {"client_order_id": ["a", "a", "b"], "seconds": [1.0, 3.0, 2.0], "filled_share": [0.5, 1.0, 0.25]}
)
MARKOUTS = pd.DataFrame(
    {
        "horizon": [-60.0, 1.0, 3600.0, 7200.0],
        "markout_bps": [1.0, -2.0, 0.5, NAN],
        "standard_error": [0.5, NAN, 1.0, NAN],
        "fills": [5, 1, 4, 0],
    }
)
SYMBOLS = pd.DataFrame(
    {"slippage_cost": [5.0, -3.0, NAN], "slippage_bps": [1.0, -2.0, NAN]}, index=["A", "B", "C"]
)
FRONTIER = pd.DataFrame(
    {
        "orders": [30, 10, 9, 2],
        "fees": [30.0, 10.0, 9.0, 2.0],
        "spread_cost": [2.0, 1.0, 1.5, 0.5],
        "active_share": [0.001, 0.02, 0.03, 0.05],
        "tracking_error": [0.0005, 0.001, 0.002, NAN],
    },
    index=pd.Index(["all", "band", "worse", "lost"], name="rule"),
)

CASES = {
    "chart_slippage": SLIPPAGE,
    "chart_shortfall": SUMMARY,
    "chart_participation": SLIPPAGE,
    "chart_fill_progress": PROGRESS,
    "chart_markouts": MARKOUTS,
    "chart_symbols": SYMBOLS,
    "chart_frontier": FRONTIER,
}


def rows(chart, column):
    """The data of the first part of a chart that has a column of that name."""
    spec = chart.to_dict()
    for name in [part.get("data", spec.get("data", {})).get("name") for part in spec.get("layer", [spec])]:
        data = spec["datasets"].get(name, [])
        if data and column in data[0]:
            return pd.DataFrame(data)
    raise AssertionError(column)


def titles(spec):
    parts = spec.get("layer", [spec])
    found = [
        axis.get("title") for part in parts for axis in part.get("encoding", {}).values() if isinstance(axis, dict)
    ]
    return " ".join(title for title in found if isinstance(title, str))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("theme", ["light", "dark", "page"])
def test_every_chart_can_be_drawn_in_every_theme(name, theme):
    svg = vl_convert.vegalite_to_svg(getattr(charts, name)(CASES[name], theme=theme).to_dict())
    assert svg.startswith("<svg")
    assert (charts.INK in svg) == (theme == "page")
    assert "http" not in svg.replace("http://www.w3.org", "")


@pytest.mark.parametrize("name", CASES)
def test_every_chart_without_data_has_a_note(name):
    empty = CASES[name].iloc[:0]
    if name == "chart_shortfall":
        empty = SUMMARY.assign(total_bps=NAN)
    spec = getattr(charts, name)(empty).to_dict()
    assert "text" in str(spec["encoding"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("chart_slippage", "basis points"),
        ("chart_shortfall", "basis points of paper notional"),
        ("chart_participation", "share of volume"),
        ("chart_fill_progress", "seconds"),
        ("chart_markouts", "basis points"),
        ("chart_symbols", "currency"),
        ("chart_frontier", "currency"),
    ],
)
def test_axes_have_units(name, unit):
    assert unit in titles(getattr(charts, name)(CASES[name]).to_dict())


@pytest.mark.slow
def test_the_histogram_is_weighted_by_notional_and_has_zero_on_an_edge():
    bars = rows(charts.chart_slippage(SLIPPAGE), "share")
    assert bars["share"].sum() == pytest.approx(1)
    assert bars.loc[bars["low"] >= 0, "share"].sum() == pytest.approx(0.25)  # 1,000 of 4,000
    assert 0 in bars["low"].round(9).tolist()
    mean = rows(charts.chart_slippage(SLIPPAGE), "mean")["mean"].iloc[0]
    assert mean == pytest.approx((10 * 1 - 20 * 3) / 4)
    alike = rows(charts.chart_slippage(SLIPPAGE.assign(slippage_bps=0.0)), "share")
    assert alike["share"].sum() == pytest.approx(1)


@pytest.mark.slow
def test_the_waterfall_ends_at_the_total_and_shows_the_unsplit_rest():
    bars = rows(charts.chart_shortfall(SUMMARY), "part")
    assert bars["part"].tolist() == ["delay", "trading", "opportunity", "fees", "unsplit", "total"]
    assert bars["end"].tolist() == [4, 3, 5, 6, 9, 9]
    assert bars["start"].tolist() == [0, 4, 3, 5, 6, 0]
    whole = rows(charts.chart_shortfall(SUMMARY.assign(total_bps=6.0)), "part")
    assert "unsplit" not in whole["part"].tolist()


@pytest.mark.slow
def test_many_orders_are_grouped_and_the_curve_is_a_square_root():
    rng = np.random.default_rng(1)
    many = pd.DataFrame({"slippage_bps": rng.normal(size=5_000), "participation": rng.random(5_000) / 10 + 1e-3})
    many["filled_notional"] = 1_000.0
    points = rows(charts.chart_participation(many), "notional")
    assert len(points) == 200
    assert points["notional"].sum() == pytest.approx(5_000_000)
    spec = charts.chart_participation(SLIPPAGE, coefficient=2.0, volatility=0.01).to_dict()
    curve = pd.DataFrame(spec["datasets"][spec["layer"][1]["data"]["name"]])
    np.testing.assert_allclose(curve["bps"], 1e4 * 2 * 0.01 * np.sqrt(curve["participation"]))


def test_progress_is_a_line_per_order_or_percentiles_of_many():
    lines = rows(charts.chart_fill_progress(PROGRESS), "line")
    assert lines.loc[lines["line"] == "b", "share"].tolist() == [0, 0.25, 0.25]
    assert lines.loc[lines["line"] == "b", "seconds"].tolist() == [0, 2, 3]
    many = pd.concat([PROGRESS.assign(client_order_id=f"{i}") for i in range(40)])
    assert set(rows(charts.chart_fill_progress(many), "line")["line"]) == {"p10", "median", "p90"}


@pytest.mark.slow
def test_the_band_is_95_percent_and_unobserved_horizons_are_excluded():
    band = rows(charts.chart_markouts(MARKOUTS), "low")
    assert band["horizon"].tolist() == ["-1 min", "1 s", "1 h"]
    np.testing.assert_allclose(band["high"] - band["bps"], [0.98, 0, 1.96])
    with pytest.raises(InputError, match="a chart shows one group"):
        charts.chart_markouts(pd.concat([MARKOUTS, MARKOUTS]))


@pytest.mark.slow
def test_symbols_are_ranked_and_only_the_ends_of_many_are_shown():
    assert rows(charts.chart_symbols(SYMBOLS), "symbol")["symbol"].tolist() == ["A", "B"]
    many = pd.DataFrame(
        {"slippage_cost": range(100), "slippage_bps": 1.0}, index=[f"S{i:02d}" for i in range(100)]
    )
    shown = rows(charts.chart_symbols(many), "symbol")["symbol"].tolist()
    assert len(shown) == 25
    assert (shown[0], shown[-1]) == ("S99", "S00")


@pytest.mark.slow
def test_a_chart_is_the_same_every_time():
    assert charts.chart_slippage(SLIPPAGE).to_dict() == charts.chart_slippage(SLIPPAGE).to_dict()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: charts.chart_slippage(SLIPPAGE, theme="blue"), "option_invalid"),
        (lambda: charts.chart_slippage(PROGRESS), "missing_column"),
        (lambda: charts.chart_shortfall(pd.concat([SUMMARY, SUMMARY])), "wrong_type"),
    ],
)
def test_invalid_chart_input_is_an_error(call, code):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.codes == (code,)


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(InputError, match="stocklean_exec\\[plots\\]"):
        charts.chart_slippage(SLIPPAGE)


def test_a_frontier_names_the_rules_that_no_other_one_beats():
    known = FRONTIER.iloc[:3]
    # "worse" costs 10.50 and "band" 11.00: closer and dearer, so both are on it, as "all" at 32.00 is.
    found = rows(charts.chart_frontier(known), "what").set_index("rule")
    assert found["cost"].to_dict() == {"all": 32.0, "band": 11.0, "worse": 10.5}
    assert found["distance"].round(9).to_dict() == {"all": 5.0, "band": 10.0, "worse": 20.0}
    beaten = known.assign(spread_cost=[2.0, 1.0, 3.0])  # 12.00 for twice the distance
    shown = pd.DataFrame(charts.chart_frontier(beaten).layer[1].data).set_index("rule")["what"]
    assert shown.to_dict() == {"all": "frontier", "band": "frontier", "worse": "other"}


def test_rules_of_a_frontier_that_come_to_the_same_are_one_point_with_all_names():
    twins = pd.concat([FRONTIER.iloc[:3], FRONTIER.iloc[[1]].rename(index={"band": "minimum"})])
    chart = charts.chart_frontier(twins)
    shown = pd.DataFrame(chart.layer[2].data).set_index("rule")
    assert shown["label"].to_dict() == {"all": "all", "band": "band / minimum", "minimum": "", "worse": "worse"}
    assert set(shown["what"]) == {"frontier"}  # neither of two that are the same beats the other
    assert chart.layer[2].encoding.text.to_dict()["field"] == "label"


def test_a_frontier_without_tracking_error_or_spread_shows_what_is_known():
    spec = charts.chart_frontier(FRONTIER, currency="USD").to_dict()
    assert "active share after the orders, basis points" in titles(spec)
    assert "fees and half-spreads, USD" in titles(spec)
    spec = charts.chart_frontier(FRONTIER.assign(spread_cost=NAN)).to_dict()
    assert "fees, currency" in titles(spec)
