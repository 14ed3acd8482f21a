"""A review of three orders, one of which the broker has previewed, for tests of what displays it."""

from __future__ import annotations

import pandas as pd

import stocklean_exec as sx

PREVIEWED_AT = pd.Timestamp("2026-11-23 14:56", tz="UTC")


def review_previewed_orders(**limits):
    """Buy 10 SPY at 100, which is previewed, and 20 TLT at 50, sell 30 of 40 KO at 30.

    The account has 1,200 in KO and 8,800 in cash; of the shares half is initial margin and a quarter maintenance
    margin. The preview adds 500 and 250, and costs 1.00 euro at 1.25.
    """
    market = {"SPY": 100.0, "TLT": 50.0, "KO": 30.0}
    broker = sx.connect("mock://", quotes=market, positions={"KO": 40}, cash=8_800.0, fx={"EUR": 1.25})
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "KO"],
            "side": ["BUY", "BUY", "SELL"],
            "quantity": [10.0, 20.0, 30.0],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 30.0],
            "current_quantity": [0.0, 0.0, 40.0],
        }
    )
    previews = sx.preview_orders(orders, broker, names=["r-SPY-BUY"]).assign(
        commission_currency="EUR", previewed_at=PREVIEWED_AT
    )
    state = broker.account_state(list(market), fx={"EUR": 1.25})
    return sx.review_orders(sx.check_orders(orders, sx.Limits(**limits), state, previews=previews), by="ann")
