"""Price steps of a contract by price level: the smallest steps of order prices, as a broker reports them.

Written as text in the column ``price_steps`` of quotes: ``0:0.0001;1:0.01`` is a hundredth of a cent from 0 on,
and a cent from one unit of the currency on. Interactive Brokers calls them market rules. Pure.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["PRICE_STEPS", "read_steps", "steps_at", "write_steps"]

PRICE_STEPS = "price_steps"
"""Column of quotes."""

_NOISE = 1e-9  # floating-point noise: a price this close below a level, relatively, is at it


@lru_cache(maxsize=1_000)  # a choice: a market has a few dozen of them
def read_steps(text: str) -> tuple[tuple[float, float], ...]:
    """Levels and steps, rising, the first from 0 on.

    Raises
    ------
    ValueError
        The text has another form.

    Examples
    --------
    >>> read_steps("0:0.0001;1:0.01")
    ((0.0, 0.0001), (1.0, 0.01))
    """
    pairs = [part.split(":") for part in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004 - a level and a step
        raise ValueError(f"{text!r} is not of the form 0:0.0001;1:0.01")
    steps = tuple((float(low), float(step)) for low, step in pairs)
    rises = all(one[0] < other[0] for one, other in pairwise(steps))
    if not (rises and steps[0][0] == 0 and all(0 < step < math.inf for _, step in steps)):
        raise ValueError(f"{text!r} is not of the form 0:0.0001;1:0.01, with rising levels from 0 on")
    return steps


def write_steps(steps: Sequence[tuple[float, float]]) -> str:
    """Write levels and steps as :func:`read_steps` reads them; "" for none.

    Examples
    --------
    >>> write_steps([(0.0, 0.0001), (1.0, 0.01)])
    '0:0.0001;1:0.01'
    """
    return ";".join(f"{low:.10g}:{step:.10g}" for low, step in steps)


def steps_at(prices: ArrayLike, steps: Sequence[object]) -> NDArray[np.float64]:
    """Step of each price by its own text; NaN without a text or a price.

    Examples
    --------
    >>> steps_at([0.99, 1.0, 250.0, 5.0], ["0:0.0001;1:0.01", "0:0.0001;1:0.01", "0:0.05", None]).tolist()
    [0.0001, 0.01, 0.05, nan]
    """
    price = np.asarray(prices, dtype="float64")
    found = np.full(price.shape, math.nan)
    places: dict[str, list[int]] = {}
    for place, text in enumerate(steps):
        if isinstance(text, str) and text:
            places.setdefault(text, []).append(place)
    for text, rows in places.items():
        lows, sizes = (np.array(column) for column in zip(*read_steps(text), strict=True))
        known = price[rows] * (1 + _NOISE)
        level = np.searchsorted(lows, known, side="right") - 1
        found[rows] = np.where(np.isnan(known) | (level < 0), math.nan, sizes[np.maximum(level, 0)])
    return found
