"""Quotes and trades of a frame, validated, for as-of lookups.

Quotes are symbol, quoted_at, bid, ask; trades (prints, or bars stamped at their end) are symbol, traded_at, price,
volume. Files larger than memory have the same interface: see :mod:`stocklean_exec.tca.market_files`. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.prices import is_usable
from stocklean_exec.tca.asof import NO_TIME
from stocklean_exec.tca.inputs import column_numbers, require_columns, utc_micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stocklean_exec.tca.asof import Market

__all__ = ["DELAYED", "QUOTE_COLUMNS", "TRADE_COLUMNS", "UNUSABLE", "FrameMarket", "as_market"]

QUOTE_COLUMNS = ("symbol", "quoted_at", "bid", "ask")
TRADE_COLUMNS = ("symbol", "traded_at", "price", "volume")
USABLE, UNUSABLE, DELAYED = 0.0, 1.0, 2.0  # numbers, so that they travel in an array beside the prices


class FrameMarket:
    """A frame of quotes or trades as a :class:`~stocklean_exec.tca.asof.Market`.

    Parameters
    ----------
    frame : quotes or trades; a boolean column ``delayed`` marks delayed quotes, which are not used
    kind : ``"quotes"`` or ``"trades"``

    Raises
    ------
    InputError
        Columns are missing, times have no zone or are empty, or a number is text.

    Examples
    --------
    >>> at = pd.to_datetime(["2026-11-23 15:00:00", "2026-11-23 15:00:01"], utc=True)
    >>> quotes = pd.DataFrame({"symbol": "A", "quoted_at": at, "bid": [9.0, 11.0], "ask": [11.0, 10.0]})
    >>> [(name, mid.tolist()) for name, times, (mid,) in FrameMarket(quotes).series(["A"], ["mid"], 0, 2**62)]
    [('A', [10.0, nan])]
    """

    def __init__(self, frame: pd.DataFrame, kind: str = "quotes") -> None:
        self.kind = kind
        names = QUOTE_COLUMNS if kind == "quotes" else TRADE_COLUMNS
        if "symbol" not in frame.columns and frame.index.name == "symbol":
            frame = frame.reset_index()
        require_columns(frame, names, kind)
        self._symbols = frame["symbol"]
        self._times = utc_micros(frame[names[1]], names[1], kind)
        if (self._times == NO_TIME).any():
            text = f"{names[1]} is empty in {int((self._times == NO_TIME).sum())} rows"
            raise InputError(kind, [Problem("time_missing", text, column=names[1])])
        self._first, self._second = (column_numbers(frame, name, kind) for name in names[2:])
        self._delayed = (
            frame["delayed"].to_numpy(dtype=bool, na_value=False) if "delayed" in frame.columns else None
        )

    def series(
        self, names: Sequence[str], fields: Sequence[str], start: int, end: int
    ) -> Iterator[tuple[str, NDArray[np.int64], list[NDArray[np.float64]]]]:
        """Rows of each symbol in a window, sorted by time; rows of one time keep their sequence."""
        inside = (self._times >= start) & (self._times <= end) & self._symbols.isin(list(names)).to_numpy()
        rows = np.flatnonzero(inside)
        codes, found = pd.factorize(self._symbols.take(rows))
        order = np.lexsort((self._times[rows], codes))
        rows, codes = rows[order], codes[order]
        edges = np.searchsorted(codes, np.arange(len(found) + 1))
        for code, name in enumerate(found):
            mine = rows[edges[code] : edges[code + 1]]
            yield str(name), self._times[mine], self._fields(mine, fields)

    def _fields(self, rows: NDArray[np.int64], fields: Sequence[str]) -> list[NDArray[np.float64]]:
        one, two = self._first[rows], self._second[rows]
        if self.kind == "trades":
            counted = (two > 0) & np.isfinite(two)
            given = {"price": np.where(is_usable(one), one, np.nan), "volume": np.where(counted, two, 0.0)}
            return [given[name] for name in fields]
        with np.errstate(invalid="ignore"):
            fine = is_usable(one) & is_usable(two) & (one <= two)
        state = np.where(fine, USABLE, UNUSABLE)
        if self._delayed is not None:
            state = np.where(self._delayed[rows], DELAYED, state)
        blank = state != USABLE
        bid, ask = np.where(blank, np.nan, one), np.where(blank, np.nan, two)
        given = {"mid": (bid + ask) / 2, "bid": bid, "ask": ask, "state": state}
        return [given[name] for name in fields]


def as_market(source: object, kind: str = "quotes") -> Market:
    """Return a market for a frame, or the argument if it is a market already."""
    if isinstance(source, pd.DataFrame):
        return FrameMarket(source, kind)
    if not hasattr(source, "series"):
        text = f"{shown(source)} is neither a DataFrame nor Parquet files of {kind}"
        if source is None:
            text = f"nothing was given; give {kind} as a DataFrame or Parquet files"
        raise InputError(kind, [Problem("wrong_type", text)])
    return cast("Market", source)
