"""What an account should hold by the record: its holdings when its last run began, and the fills since. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from stocklean_exec.strategies.share_splits import suspected_ratio, write_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

__all__ = ["fills_since", "recorded_holdings", "shares_by_symbol", "unrecorded_splits"]

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


def unrecorded_splits(
    books: pd.DataFrame,
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    said: Mapping[str, pd.Timestamp],
    now: Mapping[str, float] | None = None,
) -> dict[str, str]:
    """Ratios of splits by which holdings have changed, where fills do not explain the change.

    Parameters
    ----------
    books : holdings at the start of every run: ``what``, ``symbol``, ``quantity``, ``taken_at``, ``recorded_at``
    orders, fills : of the same account
    said : symbols to look at, and when it was recorded what strategies hold of each: changes after that count
    now : what the account holds now; not compared where an order may still trade, whose fills may be missing

    Returns
    -------
    The last such ratio by symbol, new shares for old ones.
    """
    times = books.groupby("taken_at")["recorded_at"].max()
    rows = books[(books["what"] == "position") & books["symbol"].isin(list(said))]
    held = rows.set_index(["taken_at", "symbol"])["quantity"].to_dict()
    open_now = set(orders.loc[orders["status"].isin(["SUBMITTED", "PARTIAL", "UNKNOWN"]), "symbol"])
    arrived = orders.set_index("client_order_id")["arrived_at"].reindex(fills["client_order_id"])
    dated = fills.assign(
        arrived_at=arrived.array, signed=fills["quantity"] * fills["side"].map(_SIGN).astype("float64")
    )
    found = {}
    for symbol, since in said.items():
        readings = [(at, held.get((at, symbol), 0.0)) for at in times.index[times >= since]]
        last = None if now is None or symbol in open_now else now.get(symbol, 0.0)
        for before, after in _changes(readings, dated[dated["symbol"] == symbol], last):
            ratio = suspected_ratio(before, after)
            if ratio is not None:
                found[symbol] = write_ratio(ratio)
    return found


def _changes(
    readings: list[tuple[pd.Timestamp, float]], fills: pd.DataFrame, last: float | None
) -> Iterator[tuple[float, float]]:
    """Each holding with the fills until the next reading, and that reading."""

    def since(at: pd.Timestamp) -> float:
        return float(fills.loc[(fills["arrived_at"] >= at) | (fills["filled_at"] >= at), "signed"].sum())

    for (at, shares), (then, after) in pairwise(readings):
        yield round(shares + since(at) - since(then), 8), after
    if readings and last is not None:
        yield round(readings[-1][1] + since(readings[-1][0]), 8), last
