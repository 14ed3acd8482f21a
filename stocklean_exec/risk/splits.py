"""Splits: prices and holdings that have changed by a usual split ratio. Pure.

A price that is a split ratio away from the previous close, or a holding that is one away from the record, may be a
split that one side has booked and the other has not: sizes and prices do not belong together then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["holding_ratios", "is_split_ratio"]

# A stated choice: the usual ratios of splits and reverse splits.
_RATIOS = (2, 3, 4, 5, 10, 20, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10, 1 / 20)
_BAND = 0.05  # a stated choice: room for the day's price move around the split ratio


def is_split_ratio(ratio: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each ratio is within 5 % of a usual split ratio; NaN is not.

    Examples
    --------
    >>> is_split_ratio(np.array([2.0, 0.475, 1.0, 0.3, np.nan])).tolist()
    [True, True, False, False, False]
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.any([np.abs(ratio / factor - 1) <= _BAND + 1e-12 for factor in _RATIOS], axis=0))


def holding_ratios(held: Mapping[str, float], recorded: Mapping[str, float]) -> dict[str, float]:
    """Ratio of the holding to the recorded one, for each symbol where it is a split ratio.

    Examples
    --------
    >>> holding_ratios({"AAPL": 400.0, "XOM": 80.0, "GE": 10.0}, {"AAPL": 100.0, "XOM": 100.0})
    {'AAPL': 4.0}
    """
    ratios = {symbol: held.get(symbol, 0.0) / shares for symbol, shares in recorded.items() if shares}
    found = is_split_ratio(np.array(list(ratios.values()), dtype="float64"))
    return {symbol: ratio for (symbol, ratio), is_split in zip(ratios.items(), found, strict=True) if is_split}
