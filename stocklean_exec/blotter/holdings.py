"""What an account should hold by the record: its holdings when its last run began, and the fills since. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fills_since", "recorded_holdings", "shares_by_symbol"]

_SIGN = {"BUY": 1.0, "SELL": -1.0}


def fills_since(opening: pd.DataFrame, orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """Fills after the holdings of ``opening`` were recorded: of orders sent after that, or dated after it.

    Parameters
    ----------
    opening : from ``blotter.last_book(account)``, with at least one row
    orders, fills : of the same account
    """
    taken = opening["taken_at"].iloc[0]
    arrived = orders.set_index("client_order_id")["arrived_at"]
    later = fills["client_order_id"].map(arrived) >= taken
    found: pd.DataFrame = fills[later | (fills["filled_at"] >= taken)]
    return found


def shares_by_symbol(fills: pd.DataFrame) -> dict[str, float]:
    """Signed shares that ``fills`` add to each position."""
    signed = fills["quantity"].astype("float64") * fills["side"].map(_SIGN).astype("float64")
    return {str(symbol): float(value) for symbol, value in signed.groupby(fills["symbol"]).sum().items()}


def recorded_holdings(opening: pd.DataFrame, orders: pd.DataFrame, fills: pd.DataFrame) -> dict[str, float]:
    """Shares of each symbol by the record; empty without an opening. Parameters as in :func:`fills_since`."""
    if opening.empty:
        return {}
    held = opening[opening["what"] == "position"]
    start = dict(zip(held["symbol"].tolist(), held["quantity"].tolist(), strict=True))
    traded = shares_by_symbol(fills_since(opening, orders, fills))
    return {symbol: start.get(symbol, 0.0) + traded.get(symbol, 0.0) for symbol in {**start, **traded}}
