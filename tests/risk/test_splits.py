"""Splits: a price or a holding that has changed by a usual ratio stops orders until a person confirms it."""

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.risk.splits import holding_ratios

ORDER = pd.DataFrame({"run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": 1.0, "order_type": "MKT"})


@pytest.mark.parametrize(
    ("ratio", "is_split"),
    [(ratio, True) for ratio in (2, 2.1, 1.9, 3.15, 20, 0.05, 0.0525, 0.1, 0.2, 0.25, 1 / 3, 0.475)]
    + [(ratio, False) for ratio in (2.11, 1.89, 21.1, 0.47, 0.53, 1.0, 6.0, 7.5, 0.0)],
)
def test_the_band_is_5_percent_around_each_ratio(ratio, is_split):
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [100.0 * ratio], "close": 100.0, "quoted_at": pd.NaT})
    checked = sx.check_orders(ORDER, quotes=quotes, cash=10_000.0)
    assert ("suspected_split" in str(checked["reasons"].iloc[0])) is is_split


def test_a_recorded_holding_that_is_gone_was_sold_and_not_split():
    assert holding_ratios({"A": 4.0}, {"A": 2.0, "B": 2.0, "C": 0.0}) == {"A": 2.0}


def test_a_confirmed_split_warns():
    quotes = pd.DataFrame({"symbol": ["SPY"], "last": [50.0], "close": 100.0, "quoted_at": pd.NaT})
    checked = sx.check_orders(ORDER, sx.Limits(confirmed_splits={"SPY"}), quotes=quotes, cash=10_000.0)
    assert checked[["verdict", "reasons"]].to_numpy().tolist() == [["warn", "suspected_split"]]


@pytest.fixture
def blotter():
    """A record that ends with 100 SPY, of which 40 were held before, and 7 TLT."""
    with sx.open_blotter() as one:
        broker = sx.connect(
            "mock://", quotes={"SPY": 10.0, "TLT": 10.0}, positions={"SPY": 40, "TLT": 7}, cash=2_530
        )
        held = {"SPY": 1_000 / 3_000, "TLT": 70 / 3_000}  # 30 shares of 3,000 are 10 each
        states = sx.rebalance(held, broker, one, run_id="before", approve="me", dry_run=False)
        assert states["filled_quantity"].tolist() == [60.0]
        yield one


def broker_of(shares, price):
    return MockBroker({"SPY": price, "TLT": 10.0}, positions={"SPY": shares, "TLT": 7}, cash=1_000.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "reasons"),
    [(400, "suspected_split"), (50, "suspected_split"), (100, ""), (150, ""), (95, "")],
)
def test_a_holding_that_differs_by_a_split_ratio_blocks_its_orders(blotter, shares, reasons):
    state = broker_of(shares, 10.0).account_state()
    orders = pd.concat([ORDER, ORDER.assign(symbol="TLT", quantity=2.0)], ignore_index=True)
    checked = sx.check_orders(orders, None, state, blotter=blotter)
    assert checked["reasons"].fillna("").tolist() == [reasons, ""]
    if reasons:
        table = sx.check_results(checked)
        found = table[table["check"] == "suspected_split"]
        assert found["value"].iloc[0] == shares / 100
        confirmed = sx.Limits(confirmed_splits={"SPY"})
        again = sx.check_orders(orders, confirmed, state, blotter=blotter)
        assert again["verdict"].tolist() == ["warn", "pass"]
        assert sx.check_orders(orders, None, state)["verdict"].tolist() == [
            "pass",
            "pass",
        ]  # nothing to compare with


@pytest.mark.slow
def test_rebalance_sends_nothing_in_such_a_symbol_until_a_person_confirms_it(blotter):
    broker = broker_of(400, 2.5)  # four for one: the same value
    options = {"approve": "me", "dry_run": False}
    states = sx.rebalance({"SPY": 0.7, "TLT": 0.05}, broker, blotter, run_id="r", **options)
    assert states.set_index("symbol")["reason"].fillna("").to_dict() == {"SPY": "suspected_split", "TLT": ""}
    limits = sx.Limits(confirmed_splits={"SPY"})
    states = sx.rebalance({"SPY": 0.7, "TLT": 0.05}, broker, blotter, run_id="r2", limits=limits, **options)
    assert states["status"].unique().tolist() == ["FILLED"]
    # The next run compares with the record of this one.
    states = sx.rebalance({"SPY": 0.5, "TLT": 0.05}, broker, blotter, run_id="r3", **options)
    assert "suspected_split" not in states["reason"].tolist()
