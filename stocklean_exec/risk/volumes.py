"""The average daily volume of the orders' symbols, from columns of the orders or of the quotes. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import warning_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["note_unknown_volumes", "volume_by_symbol", "volume_of_orders"]

_COLUMNS = ("adv", "volume")  # the first that has a number counts


def volume_of_orders(orders: pd.DataFrame, quoted: Mapping[str, float]) -> NDArray[np.float64]:
    """Average daily volume of the symbol of each order, in shares; NaN if unknown.

    Parameters
    ----------
    orders : canonical orders; their own column ``adv`` or ``volume`` counts first
    quoted : volume by symbol, from the quotes

    Examples
    --------
    >>> orders = pd.DataFrame({"symbol": ["SPY", "TLT", "GLD"], "adv": [1e6, None, 0.0]})
    >>> volume_of_orders(orders, {"TLT": 2e6}).tolist()
    [1000000.0, 2000000.0, nan]
    """
    own = _volumes(orders)
    if not quoted:
        return own
    known = np.array([quoted.get(symbol, math.nan) for symbol in orders["symbol"].tolist()])
    return np.where(np.isnan(own), known, own)


def volume_by_symbol(quotes: pd.DataFrame) -> dict[str, float]:
    """Volume of each symbol for which the quotes have one.

    Examples
    --------
    >>> volume_by_symbol(pd.DataFrame({"symbol": ["SPY", "TLT"], "volume": [1e6, None]}))
    {'SPY': 1000000.0}
    """
    volumes = _volumes(quotes)
    known = ~np.isnan(volumes)
    return dict(zip(quotes["symbol"][known].tolist(), volumes[known].tolist(), strict=True))


def note_unknown_volumes(volumes: NDArray[np.float64]) -> list[dict[str, object]]:
    """Note once, for the whole plan, how many orders are not compared with the volume of their symbols."""
    count = int(np.isnan(volumes).sum())
    if not count:
        return []
    text = (
        f"max_adv_ratio is not checked for {count} of {len(volumes)} orders, whose daily volume is unknown: "
        "give it in shares as a column adv of the targets or the quotes, or set max_adv_ratio to None"
    )
    return [warning_row("adv_unknown", text, table="orders", column="adv")]


def _volumes(frame: pd.DataFrame) -> NDArray[np.float64]:
    found = np.full(len(frame), math.nan)
    for name in _COLUMNS:
        if name in frame.columns:
            # A caller's own column may hold anything; what is not a number is ignored.
            values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype="float64", na_value=math.nan)
            found = np.where(np.isnan(found) & (values > 0) & np.isfinite(values), values, found)
    return found
