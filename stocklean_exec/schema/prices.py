"""The usable price of a quote, and the ticks of limit prices.

A price is usable when it is a finite number above zero and not one of TWS's sentinels for "no value". The price of
a symbol is the mid of bid and ask, else the last trade, else the previous close. A crossed market (bid above ask)
has no usable price. Pure; prices are in currency per share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import is_unset

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "HIGHEST",
    "LOWEST",
    "PRICE_FIELDS",
    "is_usable",
    "mid_or_last",
    "round_to_tick",
    "tick_sizes",
    "usable_prices",
]

PRICE_FIELDS = ("bid", "ask", "last", "close")
_TICK_NOISE = 1e-9  # of a tick; floating-point noise of a price on its tick
LOWEST, HIGHEST = 1e-9, 1e9
"""Bounds of a price, a stated choice: no share costs a billion, or a billionth; such a number is an error."""


def is_usable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value can be a price."""
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= LOWEST) & (values < HIGHEST) & ~is_unset(values))


def mid_or_last(
    bid: NDArray[np.float64],
    ask: NDArray[np.float64],
    last: NDArray[np.float64],
    close: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mid where both sides are usable and not crossed, else the last trade, else the close, else NaN.

    A crossed market gives NaN: one of its sides is wrong, and it is unknown which.

    Examples
    --------
    >>> import numpy as np
    >>> nan = np.nan
    >>> columns = [[99.0, nan, 101.0], [101.0, nan, 99.0], [98.0, 98.0, 98.0], [97.0, 97.0, 97.0]]
    >>> mid_or_last(*(np.array(column) for column in columns)).tolist()
    [100.0, 98.0, nan]
    """
    two_sided = is_usable(bid) & is_usable(ask)
    with np.errstate(invalid="ignore"):
        crossed = two_sided & (bid > ask)
    price = np.where(is_usable(last), last, np.where(is_usable(close), close, np.nan))
    np.divide(np.add(bid, ask, out=price, where=two_sided), 2, out=price, where=two_sided)
    return np.where(crossed, np.nan, price)


def usable_prices(quotes: pd.DataFrame) -> pd.DataFrame:
    """Price of each symbol of a quotes table, or the reason why it has none.

    Returns
    -------
    DataFrame, index symbol, with ``price`` (NaN when there is none), ``reason`` (None, ``price_unavailable`` or
    ``quote_crossed``) and ``detail`` (the exact problem, which begins with its own code).

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> usable_prices(sx.read_quotes({"SPY": 123.0, "BAD": 0.0})).loc["BAD", ["reason", "detail"]].tolist()
    ['price_unavailable', 'price_zero: last is 0']
    """
    fields = {name: quotes[name].to_numpy(dtype="float64") for name in PRICE_FIELDS}
    price = mid_or_last(**fields)
    reason = np.full(len(quotes), None, dtype=object)
    detail = np.full(len(quotes), None, dtype=object)
    for row in np.flatnonzero(np.isnan(price)).tolist():
        values = {name: float(fields[name][row]) for name in PRICE_FIELDS}
        reason[row], detail[row] = _explain(values)
    return pd.DataFrame(
        {"price": price, "reason": reason, "detail": detail},
        index=pd.Index(quotes["symbol"].array, name="symbol"),
    )


_FAULTS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("price_unset_sentinel", ", which means unknown", lambda value: bool(is_unset(np.array([value]))[0])),
    ("price_not_finite", "", math.isinf),
    ("price_zero", "", lambda value: value == 0),
    ("price_negative", "", lambda value: value < 0),
    ("price_out_of_range", ", which is not a price", lambda value: not LOWEST <= value < HIGHEST),
)
"""What can be wrong with one price: code, addition to the text, test; the first match is reported."""


def _explain(values: dict[str, float]) -> tuple[str, str]:
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    sides = [values[name] for name in ("bid", "ask") if is_usable(np.array([values[name]]))[0]]
    if len(sides) == 2:  # noqa: PLR2004 - both sides are usable, and gave no mid
        return "quote_crossed", f"quote_crossed: bid {sides[0]:g} is above ask {sides[1]:g}"
    for name, value in known.items():
        for code, addition, holds in _FAULTS:
            if holds(value):
                return "price_unavailable", f"{code}: {name} is {value:g}{addition}"
    if known:
        return "price_unavailable", f"quote_one_sided: only {next(iter(known))} is known"
    return "price_unavailable", "price_not_finite: no bid, ask, last or close"


def tick_sizes(prices: ArrayLike) -> NDArray[np.float64]:
    """Minimum price step of US shares: a cent from one dollar up, a hundredth of a cent below.

    Source: SEC Regulation NMS, Rule 612 (17 CFR 242.612), as in force for quotes of 2022.

    Examples
    --------
    >>> tick_sizes([0.5, 1.0, 250.0]).tolist()
    [0.0001, 0.01, 0.01]
    """
    return np.where(np.asarray(prices, dtype="float64") >= 1, 0.01, 0.0001)


def round_to_tick(prices: ArrayLike, ticks: ArrayLike, buy: ArrayLike) -> NDArray[np.float64]:
    """Move each limit price to a tick on its passive side: down for a buy, up for a sell.

    A price on its tick, within floating-point noise, is unchanged.

    Examples
    --------
    >>> round_to_tick([100.019, 100.011, 0.1 + 0.2], [0.01] * 3, [True, False, True]).tolist()
    [100.01, 100.02, 0.3]
    """
    price, tick = np.asarray(prices, dtype="float64"), np.asarray(ticks, dtype="float64")
    with np.errstate(all="ignore"):  # NaN stays NaN
        steps = price / tick
        nearest = np.round(steps)
        on_tick = np.abs(steps - nearest) <= np.maximum(_TICK_NOISE, 1e-15 * np.abs(nearest))
        moved = np.where(np.asarray(buy, dtype=bool), np.floor(steps), np.ceil(steps))
        return np.asarray(np.round(np.where(on_tick, nearest, moved) * tick, 8))
