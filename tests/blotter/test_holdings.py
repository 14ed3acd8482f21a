"""Holdings by the record: what was held when the last run began, and the fills since; added up by hand."""

import pandas as pd

from stocklean_exec.blotter.holdings import fills_since, recorded_holdings, shares_by_symbol

TAKEN = pd.Timestamp("2026-11-27 15:00", tz="UTC")
MINUTE = pd.Timedelta(minutes=1)
OPENING = pd.DataFrame(
    {"what": ["position", "position", "cash"], "symbol": ["SPY", "TLT", "USD"], "quantity": [100.0, 40.0, 5_000.0]}
).assign(taken_at=TAKEN)
ORDERS = pd.DataFrame(
    {
        "client_order_id": ["old", "late", "new"],
        "arrived_at": [TAKEN - 10 * MINUTE, TAKEN - MINUTE, TAKEN + MINUTE],
    }
)
FILLS = pd.DataFrame(
    [
        ("old", "SPY", "BUY", 7.0, TAKEN - 9 * MINUTE),  # in the opening already
        ("late", "SPY", "SELL", 30.0, TAKEN + 2 * MINUTE),  # sent before, traded after
        ("new", "TLT", "SELL", 40.0, TAKEN + 3 * MINUTE),
        ("new", "GLD", "BUY", 5.0, TAKEN - MINUTE),  # its stamp is early, its order is not
    ],
    columns=["client_order_id", "symbol", "side", "quantity", "filled_at"],
)


def test_fills_count_that_are_later_or_of_later_orders():
    assert fills_since(OPENING, ORDERS, FILLS)["quantity"].tolist() == [30.0, 40.0, 5.0]


def test_sells_count_below_zero():
    assert shares_by_symbol(FILLS) == {"GLD": 5.0, "SPY": -23.0, "TLT": -40.0}


def test_the_record_is_the_opening_and_what_was_traded_since():
    assert recorded_holdings(OPENING, ORDERS, FILLS) == {"SPY": 70.0, "TLT": 0.0, "GLD": 5.0}


def test_without_an_opening_nothing_is_known():
    assert recorded_holdings(OPENING.iloc[:0], ORDERS, FILLS) == {}
