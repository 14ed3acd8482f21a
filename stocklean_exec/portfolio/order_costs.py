"""What an order costs beyond the value of its shares: commission and the spread it crosses. Pure.

The planner, the checks, the review and the funding of a run all use the same cash price of an order, so that a
plan which one of them finds affordable is affordable for all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stocklean_exec.fees import IBKR_US_FIXED, fixed_rate_commission
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SLIPPAGE_MARGIN", "cash_prices", "commissions", "costs_beyond_value", "last_buy_margin"]

SLIPPAGE_MARGIN = 0.0040
"""Part of its value by which a market buy may cost more than its quoted ask. A stated choice: 2.33 standard
deviations, which one execution in a hundred exceeds, of 17 basis points: 15 of its own and 8 of the market."""


def commissions(quantity: NDArray[np.float64], price: NDArray[np.float64]) -> NDArray[np.float64]:
    """Commission of each order by :data:`~stocklean_exec.IBKR_US_FIXED`; US dollars, 0 for an unknown quantity.

    Examples
    --------
    >>> commissions(np.array([100.0, 1_000.0, 0.0]), np.array([25.0, 25.0, 25.0])).tolist()
    [1.0, 5.0, 0.0]
    """
    shares = np.where(np.isnan(quantity), 0.0, quantity)
    fees = fixed_rate_commission(
        IBKR_US_FIXED, shares, shares * price, larger=np.maximum, smaller=np.minimum, choose=np.where
    )
    return np.asarray(fees, dtype="float64")


def cash_prices(
    buy: NDArray[np.bool_],
    price: NDArray[np.float64],
    bid: NDArray[np.float64],
    ask: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Price per share at which each order is counted in cash; NaN without a usable ``price``.

    A market order trades at the far touch: a buy at the ask, a sell at the bid, where these are quoted. A limit
    buy may cost up to its limit; a limit sell earns at most ``price``, and at least its limit.

    Parameters
    ----------
    buy : True for buys
    price : mid, or last trade, per share
    bid, ask : NaN or any unusable price where there is none
    limit : NaN for market orders

    Examples
    --------
    >>> side, mid = np.array([True, False, True, False]), np.full(4, 100.0)
    >>> bid, ask, limit = np.full(4, 99.9), np.full(4, 100.1), np.array([np.nan, np.nan, 101.0, 101.0])
    >>> cash_prices(side, mid, bid, ask, limit).tolist()
    [100.1, 99.9, 101.0, 100.0]
    """
    at_ask = np.where(is_usable(ask), np.maximum(ask, price), price)
    at_bid = np.where(is_usable(bid), np.minimum(bid, price), price)
    bought = np.where(np.isnan(limit), at_ask, np.fmax(price, limit))
    sold = np.fmin(price, np.fmax(at_bid, limit))
    return np.where(np.isnan(price), math.nan, np.where(buy, bought, sold))


def costs_beyond_value(
    quantity: NDArray[np.float64],
    price: NDArray[np.float64],
    cash_price: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Spread cost of each order: shares times the distance of ``cash_price`` from ``price``.

    ``quantity`` is in shares and not negative. The result is in the currency of the prices, not negative, and 0
    without a price.

    Examples
    --------
    >>> costs_beyond_value(np.array([10.0, 10.0]), np.full(2, 100.0), np.array([100.5, 99.5])).tolist()
    [5.0, 5.0]
    """
    return np.nan_to_num(quantity * np.abs(cash_price - price))


def last_buy_margin(
    buy: NDArray[np.bool_], quantity: NDArray[np.float64], value: NDArray[np.float64], limit: NDArray[np.float64]
) -> float:
    """What must stay free for the market buy that is sent last: :data:`SLIPPAGE_MARGIN` of the smallest.

    All others trade before it, so that what they really cost is known by then. Without a market buy it is 0.

    Parameters
    ----------
    value : cash price per share, base currency
    limit : NaN for market orders

    Examples
    --------
    >>> side, shares = np.array([True, True, False]), np.array([100.0, 10.0, 1.0])
    >>> last_buy_margin(side, shares, np.full(3, 50.0), np.full(3, np.nan))
    2.0
    """
    counted = buy & np.isnan(limit) & (quantity > 0) & ~np.isnan(value)
    return float((quantity * value)[counted].min(initial=math.inf) * SLIPPAGE_MARGIN) if counted.any() else 0.0
