"""In which unit an execution's price is: the currency, or the hundredth in which TWS quotes some contracts. Pure.

Quotes and limits of a contract with a price magnifier of 100, mostly London's shares, are in pence at TWS,
average costs and commissions in pounds; of execution prices both is reported. A price is compared with one that
the order itself has: its limit, or the price it was planned or sent at.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["FAR_OFF", "INFERRED", "ReadPrice", "first_price", "read_price"]

INFERRED, FAR_OFF = "price_unit_inferred", "price_far_off"
"""Flags of an execution: its price was in the other unit; or it is far off for another reason."""
_USUAL_UNIT = 100.0  # pence, cents, agorot: the hundredth is the only such unit of shares
_LEAST, _MOST = 0.7, 1.3  # a stated choice: no share trades 30 % off the order's own price and 100 times off it


class ReadPrice(NamedTuple):
    """A price in the currency of its contract; the flag and a text if it was doubtful, else None."""

    price: float
    flag: str | None = None
    text: str | None = None


def read_price(price: float, reference: float, magnifier: float | None = None) -> ReadPrice:
    """Read the price of an execution.

    Parameters
    ----------
    price : as TWS reports it
    reference : a price of the order in its currency; NaN for none
    magnifier : of the contract; None where it is not known

    Examples
    --------
    >>> read_price(4293.9999, 42.95, 100).price, read_price(42.94, 42.95, 100).flag
    (42.939999, None)
    >>> read_price(4294.0, 42.95, 1).flag
    'price_far_off'
    """
    if not (price > 0 and reference > 0):
        return ReadPrice(price)
    unit = _USUAL_UNIT if magnifier is None else magnifier
    ratio, far = price / reference, _LEAST * (unit if unit > 1 else _USUAL_UNIT)
    if 1 / far < ratio < far:
        return ReadPrice(price)
    said = f"TWS reports a price of {price!r}, and the order has one of {reference:g}"
    for factor in (unit, 1 / unit):
        if unit > 1 and _LEAST <= ratio / factor <= _MOST:
            converted = round(price / factor, 8)
            return ReadPrice(converted, INFERRED, f"{said}: it is read as {converted:g}, in the order's currency")
    return ReadPrice(price, FAR_OFF, f"{said}: check the execution at the broker")


def first_price(*prices: float | None) -> float:
    """The first that is a price, else NaN.

    Examples
    --------
    >>> first_price(None, float("nan"), 42.5)
    42.5
    """
    return next((one for one in prices if one is not None and one > 0), math.nan)
