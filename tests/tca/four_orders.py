"""Four orders and their fills, small enough to calculate every measure by hand; several test files use them."""

from __future__ import annotations

import math

import pandas as pd

AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")
"""Arrival of all four."""


def seconds(*values):
    """Times so many seconds after the arrival."""
    return [AT + pd.Timedelta(seconds=value) for value in values]


# BUY 10 at arrival 100: 4 at 100 and 6 at 110, an average of 106.
# SELL 20 at arrival 50: 10 at 49, half done. BUY 5: nothing. SELL 8 at arrival 25: 8 at 25.50, better.
ORDERS_ = pd.DataFrame(
    {
        "client_order_id": ["a", "b", "c", "d"],
        "symbol": ["AAA", "BBB", "CCC", "DDD"],
        "side": ["BUY", "SELL", "BUY", "SELL"],
        "quantity": [10.0, 20.0, 5.0, 8.0],
        "limit_price": [108.0, math.nan, math.nan, 25.0],
        "decision_price": [99.0, 52.0, 10.0, 25.0],
        "arrival_price": [100.0, 50.0, 10.0, 25.0],
        "arrived_at": AT,
        "status": ["FILLED", "PARTIAL", "REJECTED", "FILLED"],
        "reason": [None, None, "price_unavailable", None],
    }
)
FILLS_ = pd.DataFrame(
    {
        "client_order_id": ["b", "a", "d", "a"],
        "quantity": [10.0, 6.0, 8.0, 4.0],
        "price": [49.0, 110.0, 25.5, 100.0],
        "commission": [math.nan, 0.5, 1.0, 1.0],
        "filled_at": seconds(3.5, 2.0, 1.0, 0.5),
    }
)
