"""Approved plans of buys that differ in their symbol alone; several test files send them."""

from __future__ import annotations

import pandas as pd

import stocklean_exec as sx


def approved_buys(symbols, quotes, *, quantity=10.0, limit=None, run_id="r"):
    """Approve a buy of ``quantity`` shares of each symbol: at the market, or with one limit price for all.

    The limit may be as far from the quotes as a test needs it to rest: the price collar is off.
    """
    orders = pd.DataFrame(
        {
            "run_id": run_id,
            "symbol": symbols,
            "side": "BUY",
            "quantity": quantity,
            "order_type": "MKT" if limit is None else "LMT",
            "limit_price": limit,
        }
    )
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(price_collar=None), quotes=quotes, cash=1e6))
    review.approve_all(by="me")
    return review.result()
