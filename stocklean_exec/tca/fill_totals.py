"""What the cost analysis needs to know of the fills of one order: the single definition of each total.

NumPy adds up fills of a frame (:mod:`stocklean_exec.tca.inputs`), DuckDB those of Parquet files
(:mod:`stocklean_exec.tca.sources`). Both read :data:`FILL_TOTALS`, which states for each total its name, its
meaning, its value for an order without fills, and how each engine computes it. A property test compares the
engines on random fills. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stocklean_exec.tca.asof import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

__all__ = ["FILL_TOTALS", "FillArrays", "FillTotal", "source_columns", "sql_totals", "totals_by_order"]


class FillArrays(NamedTuple):
    """The columns of fills as arrays, one element per fill."""

    rows: NDArray[np.int64]  # position of the fill's order
    quantity: NDArray[np.float64]
    price: NDArray[np.float64]
    commission: NDArray[np.float64]  # NaN until it is reported
    filled_at: NDArray[np.int64]  # microseconds since 1970, NO_TIME where unknown
    undated: NDArray[np.bool_]  # whether filled_at is no more than when the fill was reported


class FillTotal(NamedTuple):
    """One total over the fills of an order, for both engines.

    Attributes
    ----------
    name : column of the result
    meaning : what it is
    empty : its value for an order without fills, and for every order if fills lack the column that it ``needs``
    numpy : from the fills and the number of orders, its value for each order
    sql : aggregate over the columns of :func:`source_columns`
    needs : optional column of fills that it is computed from, None if it needs none
    """

    name: str
    meaning: str
    empty: float | int
    numpy: Callable[[FillArrays, int], NDArray[np.float64] | NDArray[np.int64]]
    sql: str
    needs: str | None = None


def _sum(fills: FillArrays, values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    # without fills NumPy's result would be of integers
    return np.bincount(fills.rows, weights=values, minlength=count).astype("float64", copy=False)


def _number(fills: FillArrays, count: int) -> NDArray[np.int64]:
    return np.bincount(fills.rows, minlength=count)


def _commissions_due(fills: FillArrays, count: int) -> NDArray[np.int64]:
    return _sum(fills, np.isnan(fills.commission).astype("float64"), count).astype("int64")


def _commission(fills: FillArrays, count: int) -> NDArray[np.float64]:
    paid = _sum(fills, np.where(np.isnan(fills.commission), 0.0, fills.commission), count)
    return np.where(_commissions_due(fills, count) < _number(fills, count), paid, np.nan)


def _first(fills: FillArrays, count: int) -> NDArray[np.int64]:
    latest = np.iinfo("int64").max
    first, known = np.full(count, latest), fills.filled_at != NO_TIME
    np.minimum.at(first, fills.rows[known], fills.filled_at[known])
    return np.where(first == latest, NO_TIME, first)


def _last(fills: FillArrays, count: int) -> NDArray[np.int64]:
    last = np.full(count, NO_TIME)
    np.maximum.at(last, fills.rows, fills.filled_at)  # NO_TIME is the lowest of all times
    return last


FILL_TOTALS = (
    FillTotal("filled_quantity", "shares", 0.0, lambda f, n: _sum(f, f.quantity, n), "sum(q)"),
    FillTotal(
        "value", "sum of quantity x price", 0.0, lambda f, n: _sum(f, f.quantity * f.price, n), "sum(q * p)"
    ),
    FillTotal(
        "commission",
        "sum of the commissions reported, NaN until one is",
        math.nan,
        _commission,
        "coalesce(sum(paid), 'nan'::DOUBLE)",
        needs="commission",
    ),
    FillTotal(
        "commissions_due", "fills without a reported commission", 0, _commissions_due, "count(*) - count(paid)"
    ),
    FillTotal("fills", "number of fills", 0, _number, "count(*)"),
    FillTotal(
        "first_at",
        "time of the first fill, in microseconds since 1970",
        NO_TIME,
        _first,
        f"coalesce(epoch_us(min(filled_at)::TIMESTAMPTZ), ({NO_TIME})::BIGINT)",
        needs="filled_at",
    ),
    FillTotal(
        "last_at",
        "time of the last fill, in microseconds since 1970",
        NO_TIME,
        _last,
        f"coalesce(epoch_us(max(filled_at)::TIMESTAMPTZ), ({NO_TIME})::BIGINT)",
        needs="filled_at",
    ),
    FillTotal(
        "undated",
        "fills whose time is that of their report",
        0,
        lambda f, n: _sum(f, f.undated.astype("float64"), n).astype("int64"),
        "count(*) FILTER (undated)",
        needs="time_unreliable",
    ),
)
"""The totals of an order's fills, in the sequence of their columns."""


def totals_by_order(fills: FillArrays, count: int) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
    """Every total for each of ``count`` orders, by NumPy.

    Examples
    --------
    >>> columns = [0, 0], [4.0, 6.0], [10.0, 11.0], [1.0, np.nan], [5, 3], [False, False]
    >>> totals = totals_by_order(FillArrays(*map(np.array, columns)), 1)
    >>> [totals[name].tolist() for name in ("filled_quantity", "value", "commission", "commissions_due")]
    [[10.0], [106.0], [1.0], [1]]
    """
    return {total.name: total.numpy(fills, count) for total in FILL_TOTALS}


def source_columns(columns: Collection[str]) -> str:
    """SQL select list: ``q``, ``p``, ``paid``, ``filled_at`` and ``undated`` of fills with these columns.

    ``q`` and ``p`` are NaN where empty, ``paid`` is NULL until the commission is reported.
    """
    chosen = [
        "coalesce(quantity::DOUBLE, 'nan'::DOUBLE) AS q",
        "coalesce(price::DOUBLE, 'nan'::DOUBLE) AS p",
        "CASE WHEN NOT isnan(commission::DOUBLE) THEN commission::DOUBLE END AS paid"
        if "commission" in columns
        else "NULL::DOUBLE AS paid",
    ]
    if "filled_at" in columns:
        chosen.append("filled_at")
    if "time_unreliable" in columns:
        chosen.append("coalesce(time_unreliable, false) AS undated")
    return ", ".join(chosen)


def sql_totals(columns: Collection[str]) -> dict[str, str]:
    """The SQL of each total that fills with these columns have; the others are ``empty`` for every order.

    Examples
    --------
    >>> list(sql_totals(["client_order_id", "quantity", "price"]))
    ['filled_quantity', 'value', 'commissions_due', 'fills']
    """
    return {total.name: total.sql for total in FILL_TOTALS if total.needs is None or total.needs in columns}
