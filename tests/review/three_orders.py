"""A review of three orders with hostile and missing values, for tests of what displays it."""

from __future__ import annotations

import pandas as pd

import stocklean_exec as sx

HOSTILE = "<script>alert(1)</script>"


def review_three_orders():
    """Review 10 SPY at 99.50, 300 BIG at 10 (blocked: over 2,500) and GONE, which the plan refused.

    The note of the first order is a script, that of the second is very long; the third has neither price nor note.
    """
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "BIG", "GONE"],
            "side": "BUY",
            "quantity": [10.0, 300.0, float("nan")],
            "order_type": ["LMT", "MKT", "MKT"],
            "limit_price": [99.5, None, None],
            "decision_price": [100.0, 10.0, None],
            "current_quantity": 0.0,
            "status": ["NEW", "NEW", "REJECTED"],
            "reason": [None, None, "price_unavailable"],
            "account": "DU1234567",
            "note": [HOSTILE, "x" * 500, None],
            "score": [1.5, 2.5, None],
        }
    )
    limits = sx.Limits(max_order_notional=2_500)
    checked = sx.check_orders(orders, limits, quotes={"SPY": 100.0, "BIG": 10.0}, cash=5_000.0)
    return sx.review_orders(checked, by="ann")
