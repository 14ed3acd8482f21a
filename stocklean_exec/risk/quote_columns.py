"""The quotes that orders are checked with, as one array for each field. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stocklean_exec.schema.prices import PRICE_FIELDS, mid_or_last

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["QuoteColumns"]

_FIELDS = (*PRICE_FIELDS, "quoted_at")


@dataclass(frozen=True, slots=True, eq=False)
class QuoteColumns:
    """Bid, ask, last, close and ``quoted_at`` (seconds since 1970) of distinct symbols; NaN is unknown."""

    symbols: list[str]
    columns: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, quotes: pd.DataFrame, shift: float = 0.0) -> Self:
        """Read a validated table of quotes; ``shift`` seconds are added to their times.

        Examples
        --------
        >>> from stocklean_exec.schema.inputs import parse_quotes
        >>> quotes = QuoteColumns.of(parse_quotes({"SPY": 400.0, "TLT": 90.0}))
        >>> quotes.at(["TLT", "GLD"])["last"].tolist(), quotes.prices.tolist()
        ([90.0, nan], [400.0, 90.0])
        """
        columns = {name: quotes[name].to_numpy(dtype="float64") for name in PRICE_FIELDS}
        times = quotes["quoted_at"]
        seconds = times.astype("int64").to_numpy(dtype="float64") / 1e6 + shift
        return cls(quotes["symbol"].tolist(), columns | {"quoted_at": np.where(times.isna(), math.nan, seconds)})

    def at(self, symbols: list[str]) -> dict[str, NDArray[np.float64]]:
        """The columns for ``symbols``, NaN for those without a quote."""
        return self.of_rows(self.rows(symbols))

    def rows(self, symbols: list[str]) -> NDArray[np.int64]:
        """Row of each of ``symbols``, -1 for those without a quote."""
        place = {symbol: row for row, symbol in enumerate(self.symbols)}
        return np.fromiter(map(place.get, symbols, repeat(-1)), dtype="int64", count=len(symbols))

    def of_rows(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """The columns at ``rows``, NaN at -1."""
        return {name: np.append(column, math.nan)[rows] for name, column in self.columns.items()}

    @property
    def prices(self) -> NDArray[np.float64]:
        """Price of each symbol: mid, else last, else close; NaN without a usable one."""
        return mid_or_last(**{name: self.columns[name] for name in PRICE_FIELDS})

    def to_json(self) -> dict[str, object]:
        """The columns, ready for JSON: NaN becomes None; a column of equal numbers becomes one of them."""
        return {"symbol": self.symbols} | {name: _shortened(column) for name, column in self.columns.items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Restore what :meth:`to_json` returned."""
        symbols, columns = stored["symbol"], {}
        for name in _FIELDS:
            columns[name] = np.full(len(symbols), math.nan)
            columns[name][:] = np.array(stored[name], dtype="float64")
        return cls(symbols, columns)


def _shortened(column: NDArray[np.float64]) -> list[float | None] | float | None:
    unknown = np.isnan(column)
    if unknown.all():
        return None
    values: list[float | None] = column.tolist()
    if (column == column[0]).all():
        return values[0]
    return [None if value != value else value for value in values] if unknown.any() else values  # noqa: PLR0124 - NaN
