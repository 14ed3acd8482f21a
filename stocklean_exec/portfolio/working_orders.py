"""Working orders of an account: which of them count as filled, and what cash they take and bring. Pure.

An order is plain if it is a market or limit order (also at the close), its status is known, and it is our own. A
plan may count plain orders as filled. A stop, a bracket, an order of another client or one placed by hand has a
purpose that is not known here: its symbol is rejected until the caller says what to do.

A table of working orders is one of ``broker.open_orders()``, with an optional column ``is_own`` (all are our own
without it).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from stocklean_exec.portfolio.order_costs import OrderFees, cash_prices, stop_prices
from stocklean_exec.schema.order_input import WORKING, describe_open_orders, parse_open_orders
from stocklean_exec.schema.prices import usable_prices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from numpy.typing import NDArray

__all__ = [
    "ForeignOrders",
    "OnOpenOrders",
    "cash_effect",
    "counted_orders",
    "is_own",
    "is_plain",
    "refused_symbols",
    "trading_costs",
]

OnOpenOrders = Literal["reject", "net", "cancel"]
ForeignOrders = Literal["reject", "ignore", "net"]

_PLAIN_TYPES = frozenset({"MKT", "LMT", "MOC", "LOC"})


def is_plain(orders: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each working order is our own, of a plain type, and of a known status.

    Examples
    --------
    >>> types = ["LMT", "STP", "MKT"]
    >>> is_plain(pd.DataFrame({"symbol": "SPY", "order_type": types, "is_own": [True, True, False]})).tolist()
    [True, False, False]
    """
    plain = is_own(orders)
    if "order_type" in orders.columns:
        plain &= np.array(
            [pd.isna(kind) or str(kind).upper() in _PLAIN_TYPES for kind in orders["order_type"].tolist()],
            dtype=bool,
        )
    return plain


def is_own(orders: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each working order is our own, and of a known status.

    Examples
    --------
    >>> is_own(pd.DataFrame({"symbol": "SPY", "order_type": ["STP", "MKT"], "is_own": [True, False]})).tolist()
    [True, False]
    """
    own = np.ones(len(orders), dtype=bool)
    if "is_own" in orders.columns:
        own &= np.array([value is True or value == True for value in orders["is_own"].tolist()], dtype=bool)  # noqa: E712 - numpy's True
    if "status" in orders.columns:
        own &= (orders["status"] != "UNKNOWN").to_numpy()
    return own


def _is_ours(orders: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each working order is our own, whatever its status."""
    return is_own(orders.drop(columns="status", errors="ignore"))


def counted_orders(
    orders: pd.DataFrame | None, on_open_orders: OnOpenOrders, foreign_orders: ForeignOrders
) -> pd.DataFrame | None:
    """Return the working orders that a plan counts as filled; None without a table.

    Parameters
    ----------
    on_open_orders : ``"reject"`` counts all, as their symbols are rejected; ``"net"`` counts plain ones;
        ``"cancel"`` counts none of our own
    foreign_orders : ``"net"`` counts the others too
    """
    if orders is None or on_open_orders == "reject":
        return orders
    if on_open_orders == "cancel":
        return orders[~_is_ours(orders) & (foreign_orders == "net")]
    if foreign_orders == "net":
        return orders
    return orders[is_plain(orders)]


def refused_symbols(
    orders: pd.DataFrame | None, on_open_orders: OnOpenOrders, foreign_orders: ForeignOrders
) -> dict[str, str]:
    """Explain for each symbol that is rejected for its working orders why, and what to do about it."""
    if orders is None:
        return {}
    advice = "wait for them to finish, cancel them, or count them as filled with on_open_orders='net'"
    if on_open_orders != "reject":
        cancels = on_open_orders == "cancel"
        orders = orders[~(is_own(orders) if cancels else is_plain(orders))]
        if foreign_orders != "reject":
            # An own order that was to be cancelled and may still be working is not another client's.
            orders = orders[_is_ours(orders) & cancels]
        advice = (
            "they are stops or other special orders, or not of this record, or may be working; wait for them to "
            "finish, cancel them, or say foreign_orders='net' (count them as filled) or 'ignore'"
        )
    known = describe_open_orders(orders)
    return {
        symbol: f"working orders for {quantity:+,.10g} shares are open"
        + (f" ({known[symbol]})" if symbol in known else "")
        + f"; {advice}"
        for symbol, quantity in parse_open_orders(orders).items()
    }


def cash_effect(
    orders: pd.DataFrame,
    quotes: pd.DataFrame,
    base_currency: str,
    rates: Mapping[str, float],
    on: date | None = None,
) -> NDArray[np.float64]:
    """Change of cash in the base currency by each working order once it fills, fees included.

    ``on`` is the day whose tariffs hold; None for the latest ones.

    A buy costs what :func:`~stocklean_exec.portfolio.order_costs.cash_prices` says; without a price its limit,
    else an unknown amount (``-inf``). A sell whose price or exchange rate is unknown brings nothing.

    Examples
    --------
    >>> from stocklean_exec.schema.inputs import parse_quotes
    >>> orders = pd.DataFrame({"symbol": ["SPY"], "side": "BUY", "quantity": 10.0, "limit_price": 99.0})
    >>> cash_effect(orders, parse_quotes({"SPY": 98.0}), "USD", {}).tolist()
    [-991.0]
    """
    buy, left, value, fees, _ = _priced(orders, quotes, base_currency, rates, on)
    with np.errstate(invalid="ignore"):
        flow = np.where(buy, -left, left) * value - fees
    flow = np.where(np.isnan(value), np.where(buy, -math.inf, 0.0), flow)
    return np.where(left > 0, flow, 0.0)


def trading_costs(
    orders: pd.DataFrame,
    quotes: pd.DataFrame,
    base_currency: str,
    rates: Mapping[str, float],
    on: date | None = None,
) -> NDArray[np.float64]:
    """Fees of each working order once it fills, and the distance from the market's price to the one that it pays.

    In the base currency, not negative; NaN without a price or an exchange rate. Parameters as for
    :func:`cash_effect`.

    Examples
    --------
    >>> from stocklean_exec.schema.inputs import parse_quotes
    >>> orders = pd.DataFrame({"symbol": ["SPY"], "side": "BUY", "quantity": 10.0, "limit_price": 99.0})
    >>> trading_costs(orders, parse_quotes({"SPY": 98.0}), "USD", {}).tolist()
    [11.0]
    """
    buy, left, value, fees, market = _priced(orders, quotes, base_currency, rates, on)
    worse = np.maximum(np.where(buy, value - market, market - value), 0.0)
    return np.where(left > 0, fees + left * worse, 0.0)


class _Priced(NamedTuple):
    """Working orders: side, shares left, value of one as it trades, fees, and value at the market; base."""

    buy: NDArray[np.bool_]
    left: NDArray[np.float64]
    value: NDArray[np.float64]
    fees: NDArray[np.float64]
    market: NDArray[np.float64]


def _priced(
    orders: pd.DataFrame,
    quotes: pd.DataFrame,
    base_currency: str,
    rates: Mapping[str, float],
    on: date | None,
) -> _Priced:
    symbols = orders["symbol"].astype("str").str.upper()
    buy = (orders["side"].astype("str").str.upper() == "BUY").to_numpy()
    left = orders["quantity"].to_numpy(dtype="float64") - _numbers(orders, "filled_quantity", 0.0)
    if "status" in orders.columns:
        left = np.where(orders["status"].fillna("SUBMITTED").isin(WORKING), left, 0.0)
    limit = _numbers(orders, "limit_price", math.nan)
    touches = {name: quotes[name].to_numpy() for name in ("bid", "ask", "currency")}
    market = usable_prices(quotes).assign(**touches).reindex(symbols)
    price, bid, ask = (market[name].to_numpy(dtype="float64") for name in ("price", "bid", "ask"))
    known = {base_currency: 1.0, **rates}
    currency = market["currency"].fillna(base_currency).tolist()
    rate = np.array([known.get(name, math.nan) for name in currency], dtype="float64")
    at_limit = np.where(buy & np.isnan(price), limit, price)
    kinds = orders["order_type"].tolist() if "order_type" in orders.columns else [""] * len(orders)
    trigger = stop_prices(kinds, _numbers(orders, "aux_price", math.nan), at_limit, buy)
    cash_price = cash_prices(buy, at_limit, bid, ask, limit, trigger)
    fees = OrderFees.of_orders(orders, currency, on).estimate(
        buy, np.maximum(left, 0.0), np.nan_to_num(cash_price)
    )
    return _Priced(buy, left, cash_price * rate, fees * rate, price * rate)


def _numbers(frame: pd.DataFrame, name: str, default: float) -> NDArray[np.float64]:
    if name not in frame.columns:
        return np.full(len(frame), default)
    values: pd.Series[Any] = frame[name].astype("float64")
    return values.fillna(default).to_numpy(dtype="float64")
