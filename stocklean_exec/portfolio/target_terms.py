"""Terms of orders that targets may have: how a symbol trades, beyond its type, limit and time in force. Pure.

A limit that is given as an offset becomes a price here, from the quote that the plan is made with; the offset, its
reference and the price that it was counted from stay with the order, so that the limit can be computed again.
Arrays are in the order of the plan's book; prices are in the symbol's currency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.portfolio.alignment import freeze_arrays
from stocklean_exec.schema.order_terms import (
    LIMIT_REFERENCES,
    REFERENCE_PRICE,
    TERM_COLUMNS,
    OrderTerms,
    has_terms,
    offset_limits,
    reference_prices,
    terms_of,
)
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import NDArray

    from stocklean_exec.portfolio.alignment import AlignedBook

__all__ = ["TargetTerms"]


@dataclass(frozen=True, slots=True, eq=False)
class TargetTerms:
    """Terms of each symbol of a book; those of holdings without a target are empty.

    ``given`` marks the symbols that have any. ``quotes`` has bid, ask and last of each symbol (last only where a
    symbol has terms), ``usual`` the price that a limit is counted from if no reference is named.
    """

    rows: list[OrderTerms]
    given: NDArray[np.bool_]
    offset: NDArray[np.float64]
    aux: NDArray[np.float64]
    quotes: Mapping[str, NDArray[np.float64]]
    usual: NDArray[np.float64]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of(
        cls, targets: pd.DataFrame, book: AlignedBook, quotes: pd.DataFrame, decided_at: pd.Timestamp | None
    ) -> TargetTerms:
        """Read the terms of validated targets, which are the first rows of the book."""
        count, extra = len(book.symbols), len(book.symbols) - len(targets)
        given = np.zeros(count, dtype=bool)
        given[: len(targets)] = has_terms(targets)
        rows = [OrderTerms()] * count
        if given.any():
            names = [name for name in TERM_COLUMNS if name in targets.columns]
            columns = [targets[name].tolist() for name in names]
            for row in np.flatnonzero(given).tolist():
                values = (column[row] for column in columns)
                rows[row] = terms_of({**dict(zip(names, values, strict=True)), "decided_at": decided_at})

        def numbers(name: str) -> NDArray[np.float64]:
            return np.concatenate([targets[name].to_numpy(dtype="float64"), np.full(extra, math.nan)])

        last = np.full(count, math.nan)
        if given.any():
            known = dict(zip(quotes["symbol"].tolist(), quotes["last"].tolist(), strict=True))
            last[:] = [known.get(symbol, math.nan) for symbol in book.symbols]
        quoted = {"bid": book.bid, "ask": book.ask, "last": last}
        return cls(rows, given, numbers("limit_offset_bps"), numbers("aux_price"), quoted, book.price)

    @property
    def has_offset(self) -> NDArray[np.bool_]:
        """Symbols whose limit is given as an offset."""
        return ~np.isnan(self.offset)

    def reference(self, buy: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Price that the limit of each symbol is counted from; NaN without an offset, or without that price."""
        if not self.has_offset.any():  # the usual plan
            return np.full(len(buy), math.nan)
        found = reference_prices([row.limit_reference for row in self.rows], buy, self.quotes, self.usual)
        return np.where(self.has_offset & is_usable(found), found, math.nan)

    def limits(
        self, own: NDArray[np.float64], buy: NDArray[np.bool_], tick: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Limit of each symbol: its own, or the one that its offset makes."""
        if not self.has_offset.any():
            return own
        made = offset_limits(self.reference(buy), self.offset, buy, tick)
        return np.where(self.has_offset, made, own)

    def problem_terms(self, index: int, own_limit: float) -> OrderTerms:
        """Terms of one symbol, to be checked against each other.

        An offset counts as resolved, unless there is a limit of its own beside it.
        """
        row = self.rows[index]
        if row.limit_reference not in (None, *LIMIT_REFERENCES):
            return row
        if math.isnan(own_limit) and not math.isnan(row.limit_offset_bps):
            return row._replace(limit_offset_bps=math.nan, limit_reference=None)
        return row

    def columns(self, order: NDArray[np.int64], buy: NDArray[np.bool_]) -> dict[Hashable, Any]:
        """Columns of the orders at these places of the book; without those in which no order has a value."""
        if not self.given[order].any():
            return {}
        rows = [self.rows[index] for index in order.tolist()]
        columns: dict[Hashable, Any] = {
            "limit_offset_bps": self.offset[order],
            "aux_price": self.aux[order],
            "outside_rth": np.array([row.outside_rth for row in rows], dtype=bool),
        }
        for name in ("good_till", "good_after"):
            stamps = [getattr(row, name) for row in rows]
            columns[name] = pd.array(pd.Series(stamps, dtype="datetime64[us, UTC]"))
        for name in ("limit_reference", "algo", "algo_params"):
            columns[name] = pd.array([getattr(row, name) for row in rows], dtype="str")
        if self.has_offset[order].any():
            columns[REFERENCE_PRICE] = self.reference(buy)[order]
        return columns
