"""What an order costs beyond the value of its shares: commission, levies and the spread it crosses. Pure.

The planner, the checks, the review and the funding of a run all use the same cash price of an order, so that a
plan which one of them finds affordable is affordable for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from stocklean_exec.fees import tariff_commission, tariff_levies
from stocklean_exec.schema.order_terms import STOPS
from stocklean_exec.schema.prices import is_usable
from stocklean_exec.tariff_table import in_force

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import NDArray

    from stocklean_exec.fees import Tariff

__all__ = [
    "SLIPPAGE_MARGIN",
    "OrderFees",
    "cash_prices",
    "costs_beyond_value",
    "decision_day",
    "last_buy_margin",
    "stop_prices",
]

SLIPPAGE_MARGIN = 0.0040
"""Part of its value by which a market buy may cost more than its quoted ask. A stated choice: 2.33 standard
deviations, which one execution in a hundred exceeds, of 17 basis points: 15 of its own and 8 of the market."""


@dataclass(frozen=True, slots=True, eq=False)
class OrderFees:
    """Tariffs of a set of orders, grouped by market, so that the fees of all are a few array operations.

    ``groups`` has each tariff with the rows it holds for, or None for all rows; ``without_tariff`` marks the rows
    whose currency has none: their fees are a cautious estimate.
    """

    groups: Sequence[tuple[Tariff, NDArray[np.int64] | None]]
    without_tariff: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        currency: Sequence[str],
        exchange: Sequence[str] | None = None,
        primary_exchange: Sequence[str] | None = None,
        on: date | None = None,
    ) -> OrderFees:
        """Find the tariffs in force for orders with these terms, on the day of their decision.

        Examples
        --------
        >>> fees = OrderFees.of(["USD", "EUR", "JPY"])
        >>> buy, price = np.array([True, True, False]), np.array([25.0, 25.0, 3_000.0])
        >>> fees.estimate(buy, np.full(3, 100.0), price).tolist()
        [1.0, 3.0, 240.0]
        """
        count, table = len(currency), in_force()
        terms: Sequence[str | tuple[str, str, str]] = currency  # most plans name no exchange
        if exchange or primary_exchange:
            listings = exchange or ["SMART"] * count, primary_exchange or [""] * count
            terms = list(zip(currency, *listings, strict=True))
        found = {
            key: table.find(key, on=on) if isinstance(key, str) else table.find(*key, on=on)
            for key in dict.fromkeys(terms)
        }
        tariffs = {
            key: tariff or table.dearest(key if isinstance(key, str) else key[0], on)
            for key, tariff in found.items()
        }
        numbers = {tariff: number for number, tariff in enumerate(dict.fromkeys(tariffs.values()))}
        missing = {key for key, tariff in found.items() if tariff is None}
        without_tariff = np.array([key in missing for key in terms] if missing else np.zeros(count), dtype=bool)
        if len(numbers) <= 1:
            return cls([(tariff, None) for tariff in numbers], without_tariff)
        number_of = {key: numbers[tariff] for key, tariff in tariffs.items()}
        row_numbers = np.array([number_of[key] for key in terms], dtype="int64")
        groups = [(tariff, np.flatnonzero(row_numbers == number)) for tariff, number in numbers.items()]
        return cls(groups, without_tariff)

    @classmethod
    def of_orders(cls, orders: pd.DataFrame, currency: Sequence[str], on: date | None = None) -> OrderFees:
        """Find the tariffs of a table of orders by its columns exchange and primary_exchange, if it has them.

        Parameters
        ----------
        currency : of each order
        on : the day; None for the day of the latest decision (``decided_at``), or if there is none the latest rows
        """
        day = decision_day(orders) if on is None else on
        return cls.of(currency, _codes(orders, "exchange", "SMART"), _codes(orders, "primary_exchange", ""), day)

    def estimate(
        self, buy: NDArray[np.bool_], quantity: NDArray[np.float64], price: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Commission, levies and taxes of each order in its currency; 0 for an unknown quantity.

        Parameters
        ----------
        buy : True for buys
        quantity : shares, not negative
        price : per share, in the order's currency
        """
        shares = np.where(np.isnan(quantity), 0.0, quantity)
        value = shares * price
        fees = np.zeros(len(shares))
        for tariff, rows in self.groups:
            if rows is None:
                return _fees(tariff, buy, shares, value)
            fees[rows] = _fees(tariff, buy[rows], shares[rows], value[rows])
        return fees


def decision_day(orders: pd.DataFrame) -> date | None:
    """Day, in UTC, of the latest decision in a table of orders; None if it has none."""
    if "decided_at" not in orders.columns:
        return None
    latest = orders["decided_at"].max()
    return None if pd.isna(latest) else cast("date", latest.date())


def _fees(
    tariff: Tariff, buy: NDArray[np.bool_], shares: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    commission = tariff_commission(tariff, shares, value, larger=np.maximum, smaller=np.minimum, choose=np.where)
    levies = tariff_levies(tariff, shares, value, buy=buy, smaller=np.minimum, choose=np.where)
    return np.asarray(commission + levies)


def _codes(orders: pd.DataFrame, name: str, default: str) -> list[str] | None:
    if name not in orders.columns:
        return None
    values = orders[name].tolist()
    codes = {value: default if pd.isna(value) else str(value).strip().upper() or default for value in set(values)}
    return None if set(codes.values()) <= {default} else [codes[value] for value in values]


def cash_prices(
    buy: NDArray[np.bool_],
    price: NDArray[np.float64],
    bid: NDArray[np.float64],
    ask: NDArray[np.float64],
    limit: NDArray[np.float64],
    trigger: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Price per share at which each order is counted in cash; NaN without a usable ``price``.

    A market order trades at the far touch: a buy at the ask, a sell at the bid, where these are quoted. A limit
    buy may cost up to its limit; a limit sell earns at most ``price``, and at least its limit. A stop without a
    limit trades at its trigger where that is worse than the far touch.

    Parameters
    ----------
    buy : True for buys
    price : mid, or last trade, per share
    bid, ask : NaN or any unusable price where there is none
    limit : NaN for market orders
    trigger : of stops, as :func:`stop_prices` gives it; NaN, or None, for other orders

    Examples
    --------
    >>> side, mid = np.array([True, False, True, False]), np.full(4, 100.0)
    >>> bid, ask, limit = np.full(4, 99.9), np.full(4, 100.1), np.array([np.nan, np.nan, 101.0, 101.0])
    >>> cash_prices(side, mid, bid, ask, limit).tolist()
    [100.1, 99.9, 101.0, 100.0]
    """
    at_ask = np.where(is_usable(ask), np.maximum(ask, price), price)
    at_bid = np.where(is_usable(bid), np.minimum(bid, price), price)
    if trigger is not None:
        at_ask, at_bid = np.fmax(at_ask, trigger), np.fmin(at_bid, trigger)
    bought = np.where(np.isnan(limit), at_ask, np.fmax(price, limit))
    sold = np.fmin(price, np.fmax(at_bid, limit))
    return np.where(np.isnan(price), math.nan, np.where(buy, bought, sold))


def stop_prices(
    order_type: Sequence[str],
    aux: NDArray[np.float64],
    price: NDArray[np.float64],
    buy: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Price at which each stop triggers; NaN for other orders.

    A trailing order counts at its amount from ``price``: a buy's trigger only falls from there.

    Examples
    --------
    >>> kinds, aux = ["STP", "TRAIL", "TRAIL", "MKT"], np.array([105.0, 2.0, 2.0, np.nan])
    >>> stop_prices(kinds, aux, np.full(4, 100.0), np.array([True, True, False, True])).tolist()
    [105.0, 102.0, 98.0, nan]
    """
    if np.isnan(aux).all():
        return np.full(len(aux), math.nan)
    trails = np.array([kind == "TRAIL" for kind in order_type], dtype=bool)
    stops = np.array([kind in STOPS for kind in order_type], dtype=bool)
    trailing = price + np.where(buy, aux, -aux)
    return np.where(stops, aux, np.where(trails, trailing, math.nan))


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
    """What must stay free for the market buys that are sent last; 0 without a market buy.

    A buy is sent once its value and :data:`SLIPPAGE_MARGIN` of it are there, and the smallest are sent last, by
    when it is known what the others have cost. So the cash for the buys behind it is the margin of each, and only
    what that does not cover must stay free: for the smallest buy its whole margin.

    Parameters
    ----------
    value : cash price per share, base currency
    limit : NaN for market orders

    Examples
    --------
    >>> side, shares, market = np.array([True, True, False]), np.array([100.0, 10.0, 1.0]), np.full(3, np.nan)
    >>> last_buy_margin(side, shares, np.full(3, 50.0), market)
    2.0
    >>> last_buy_margin(side, shares, np.array([500.0, 5.0, 5.0]), market)  # 200.00 of it are covered by 50.00
    150.0
    """
    counted = buy & np.isnan(limit) & (quantity > 0) & ~np.isnan(value)
    if not counted.any():
        return 0.0
    costs = np.sort((quantity * value)[counted])
    behind = np.concatenate([[0.0], np.cumsum(costs)[:-1]])
    return float((costs * SLIPPAGE_MARGIN - behind).max())
