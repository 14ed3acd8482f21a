"""As-of lookup: the quote in force at a time, by binary search in sorted arrays, one symbol at a time.

A quote is in force until the next one. If no other quote follows within ``max_age`` seconds, the data has a gap
(the close, a halt, a lost connection, the end of the data), and the quote is in force for five seconds only: after
that nothing was observed and the result is NaN. A quote that cannot be used (crossed, one-sided, delayed) is not
skipped: it ends the quote before it.

Gaps are written into the arrays as quotes without a price, so that one search and one gather serve any number of
lookups. General as-of joins are slow because they sort both sides for each join. Pure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "GAP",
    "GRACE",
    "MAX_AGE",
    "MICROS",
    "NONE_YET",
    "NO_TIME",
    "AsOfSeries",
    "Market",
    "SymbolLookups",
    "as_of",
    "by_market_symbol",
    "known_times",
    "look_up",
    "time_weighted",
    "with_gaps",
]

NO_TIME = np.iinfo("int64").min
"""A missing time among times in microseconds since 1970; the same value as NumPy's NaT."""

MICROS = 1_000_000
_SMALL = np.iinfo("int16").max
MAX_AGE = 300.0
"""Longest time in seconds that a quote is in force without another one. A choice, as the README states."""

GRACE = 5.0
"""Longest time in seconds that a quote is in force before a gap (a choice, as the README states)."""

GAP, NONE_YET = 3.0, 4.0
"""``state`` of the market in a gap of the data, and before its first quote."""


class Market(Protocol):
    """A source of quotes or trades: a frame, a blotter, files."""

    def series(
        self, names: Sequence[str], fields: Sequence[str], start: int, end: int
    ) -> Iterator[tuple[str, NDArray[np.int64], list[NDArray[np.float64]]]]:
        """For each named symbol that has rows from ``start`` to ``end``: its name, its times, sorted, and fields.

        Times are microseconds since 1970. Fields of quotes: ``mid``, ``bid``, ``ask`` (NaN where the quote cannot
        be used) and ``state`` (0 usable, 1 not, 2 delayed); of trades: ``price``, ``volume``.
        """
        ...


def known_times(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The times that are not missing; the same array if none is."""
    missing = at == NO_TIME
    return at[~missing] if missing.any() else at


class SymbolLookups(NamedTuple):
    """Lookups grouped by symbol: the positions of those of each of ``names``."""

    names: list[str]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, symbols: pd.Series[str], at: NDArray[np.int64] | None = None) -> SymbolLookups:
        """Group by symbol, and sort by time within a symbol if times are given, for locality of memory access."""
        if isinstance(symbols.dtype, pd.CategoricalDtype):
            codes = symbols.cat.codes.to_numpy()
            names = [str(name) for name in symbols.cat.categories]
        else:
            codes, uniques = pd.factorize(symbols)
            names = [str(name) for name in uniques]
        order = _sorted(codes, at)
        known = codes[codes >= 0] if len(codes) and codes.min() < 0 else codes  # a missing symbol comes first
        starts = (
            np.concatenate([[0], np.cumsum(np.bincount(known, minlength=len(names)))]) + len(codes) - len(known)
        )
        return cls(names, order, starts)

    def rows(self, code: int) -> NDArray[np.int64]:
        """Positions of the lookups of one symbol."""
        return self.order[self.starts[code] : self.starts[code + 1]]


def _sorted(codes: NDArray[np.integer], at: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if at is None or (at[1:] >= at[:-1]).all():  # already in time order, as recorded data is
        return _grouped(codes)
    known = known_times(at)
    first, span = int(known.min()), int(known.max()) - int(known.min()) + 2
    if len(codes) and (int(codes.max()) + 1) * span >= 2**62:
        return np.asarray(np.lexsort((at, codes)), dtype="int64")
    key = (
        codes.astype("int64") * span
    )  # one number for symbol and time: sorting it is much faster than sorting by two
    key += np.maximum(at, first - 1) - first + 1
    return np.asarray(np.argsort(key), dtype="int64")


def _grouped(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Positions grouped by code, -1 first, as by a stable sort, in blocks that fit the processor's cache."""
    if not len(codes):
        return np.empty(0, dtype="int64")
    count = int(codes.max()) + 2
    if count > _SMALL:
        return np.asarray(np.argsort(codes, kind="stable"), dtype="int64")
    codes = codes.astype("int16", copy=False)  # NumPy sorts small integers by radix, many times faster
    order = np.empty(len(codes), dtype="int64")
    sizes = [
        np.bincount(codes[row : row + _SORT_ROWS] + 1, minlength=count) for row in range(0, len(codes), _SORT_ROWS)
    ]
    total = np.sum(sizes, axis=0)
    place = np.cumsum(total) - total
    for row, size in zip(range(0, len(codes), _SORT_ROWS), sizes, strict=True):
        inner = np.argsort(codes[row : row + _SORT_ROWS], kind="stable")
        inner += row
        target = np.repeat(place - np.cumsum(size) + size, size)
        target += np.arange(len(inner))
        order[target] = inner
        place += size
    return order


_SORT_ROWS = 1 << 18  # rows per block: 2 MB of positions, about the size of a core's second-level cache


def by_market_symbol(
    market: Market, lookups: SymbolLookups, fields: Sequence[str], start: int, end: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.float64]]]]:
    """For each symbol with lookups and with rows in the window: positions of the lookups, times, fields."""
    codes = {
        name: code for code, name in enumerate(lookups.names) if lookups.starts[code + 1] > lookups.starts[code]
    }
    if not codes or start > end:
        return
    for name, times, values in market.series(list(codes), fields, start, end):
        yield lookups.rows(codes[name]), times, values


def with_gaps(
    times: NDArray[np.int64],
    values: Sequence[NDArray[np.float64]],
    max_age: float = MAX_AGE,
    fill: Sequence[float] | None = None,
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Sorted quotes with a quote of ``fill`` (NaN) at the start of each gap, and after the last quote.

    Examples
    --------
    >>> times, (mid,) = with_gaps(np.array([0, 10, 900]) * MICROS, [np.array([1.0, 2.0, 3.0])])
    >>> (times / MICROS).tolist(), mid.tolist()
    ([0.0, 10.0, 15.000001, 900.0, 905.000001], [1.0, 2.0, nan, 3.0, nan])
    """
    edges, grace = _edges(times, max_age)
    fills = [np.nan] * len(values) if fill is None else fill
    pieces: list[NDArray[np.int64]] = []
    columns: list[list[NDArray[np.float64]]] = [[] for _ in values]
    for start, end in pairwise(edges):
        if end > start:
            pieces += [times[start:end], times[end - 1 : end] + grace]
            for column, value, blank in zip(columns, values, fills, strict=True):
                column += [value[start:end], np.array([blank])]
    if not pieces:
        return times, list(values)
    return np.concatenate(pieces), [np.concatenate(column) for column in columns]


def _edges(times: NDArray[np.int64], max_age: float) -> tuple[list[int], int]:
    """First row of each stretch without a gap, and the row count; microseconds from a last quote to its gap."""
    gaps = np.flatnonzero(np.diff(times) > int(max_age * MICROS))
    return [0, *(gaps + 1).tolist(), len(times)], int(min(GRACE, max_age) * MICROS) + 1


class AsOfSeries:
    """The quotes of one symbol, indexed for many as-of lookups.

    Times are divided into cells of equal length. Each cell has the last row before it, and a lookup steps forward
    from there. If cells would hold many rows (ticks come in bursts), lookups use a binary search. With ``max_age``
    the gaps of the data are written in, as by :func:`with_gaps`.

    Examples
    --------
    >>> quotes = AsOfSeries(np.array([10, 20, 20]), np.array([1.0, 2.0, 3.0]))
    >>> quotes.as_of(np.array([9, 10, 19, 20, 99])).tolist()
    [nan, 1.0, 1.0, 3.0, 3.0]
    """

    def __init__(
        self,
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        *,
        before: float = np.nan,
        lookup_count: int = 0,
        max_age: float | None = None,
    ) -> None:
        edges, grace = ([0, len(times)], 0) if max_age is None else _edges(times, max_age)
        blank = int(max_age is not None)  # rows at the start of each gap
        count = len(times) + blank * (len(edges) - 1) if len(times) else 0
        self._times = np.empty(count + 1, dtype="int64")
        self._values = np.empty(count + 1, dtype="float64")
        self._times[-1], self._values[0] = np.iinfo("int64").max, before
        at = 0
        for start, end in pairwise(edges if len(times) else []):
            stop = at + end - start
            self._times[at:stop], self._values[at + 1 : stop + 1] = times[start:end], values[start:end]
            if blank:
                self._times[stop], self._values[stop + 1] = times[end - 1] + grace, np.nan
            at = stop + blank
        self._cells: NDArray[np.int32] | None = None
        if lookup_count * _MIN_LOOKUPS > count > _MIN_LOOKUPS:
            self._make_cells()

    def _make_cells(self) -> None:
        times = self._times[:-1]
        self._first, self._last = int(times[0]), int(times[-1])
        width = (self._last - self._first) // (_CELLS * len(times))
        self._bits = max(width - 1, 0).bit_length()  # a power of two: shifting is cheaper than dividing
        cells = times - self._first
        cells >>= self._bits
        counts = np.bincount(cells)
        self._steps = int(counts.max())
        if self._steps <= _STEPS:
            self._cells = np.zeros(len(counts) + 1, dtype="int32")
            np.cumsum(counts, out=self._cells[1:])

    def as_of(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Value of the last row at or before each time; ``before`` if there is none."""
        if self._cells is None:
            return self._values[np.searchsorted(self._times[:-1], at, side="right")]
        cell = np.clip(at, self._first, self._last)
        cell -= self._first
        cell >>= self._bits
        row = self._cells.take(cell).astype("int64")  # NumPy's index type, to convert only once
        for _ in range(self._steps):
            row += self._times.take(row) <= at
        return self._values.take(row)


_MIN_LOOKUPS = 4  # cells are built from one lookup for each four rows on: building them is a pass over all rows
_CELLS, _STEPS = 2, 4  # cells per row; most rows in one cell, each of which costs a pass over the lookups


def as_of(
    times: NDArray[np.int64], values: NDArray[np.float64], at: NDArray[np.int64], *, before: float = np.nan
) -> NDArray[np.float64]:
    """As-of value at each time: of the last row at or before it; ``before`` if there is none.

    Examples
    --------
    >>> as_of(np.array([10, 20, 20]), np.array([1.0, 2.0, 3.0]), np.array([9, 10, 19, 20, 99])).tolist()
    [nan, 1.0, 1.0, 3.0, 3.0]
    """
    return AsOfSeries(times, values, before=before).as_of(at)


def look_up(
    market: Market,
    symbols: pd.Series[str],
    at: NDArray[np.int64],
    fields: Sequence[str] = ("mid",),
    max_age: float = MAX_AGE,
) -> dict[str, NDArray[np.float64]]:
    """Fields of the quote in force in each symbol at each time, and its ``age`` in seconds.

    NaN if there is none; ``state`` gives the reason: a quote older than four times ``max_age`` counts as no quote.
    """
    found = {
        name: np.full(len(at), NONE_YET if name == "state" else np.nan, dtype="float64")
        for name in (*fields, "age")
    }
    known = known_times(at)
    if not len(known):
        return found
    span = int(max_age * MICROS)
    window = int(known.min()) - _LOOK_BACK * span, int(known.max()) + span
    for rows, stamps, values in by_market_symbol(market, SymbolLookups.of(symbols, at), fields, *window):
        moments = at[rows]
        following = np.searchsorted(stamps, moments, side="right")
        row = np.maximum(following - 1, 0)
        age = (moments - stamps[row]) / MICROS
        gap = (stamps[np.minimum(following, len(stamps) - 1)] - stamps[row]) / MICROS
        in_force = (age <= min(GRACE, max_age)) | ((following < len(stamps)) & (gap <= max_age))
        seen = (following > 0) & (moments != NO_TIME) & (age <= _LOOK_BACK * max_age)
        for name, column in zip(fields, values, strict=True):
            blank, none = (GAP, NONE_YET) if name == "state" else (np.nan, np.nan)
            found[name][rows] = np.where(seen, np.where(in_force, column[row], blank), none)
        found["age"][rows] = np.where(seen, age, np.nan)
    return found


_LOOK_BACK = 4  # times max_age: an older quote is reported as no quote, and not as a stale one (a choice)
_COVERED = 0.9  # share of an interval that quotes must cover for an average to represent it (a choice)


def time_weighted(
    times: NDArray[np.int64], values: NDArray[np.float64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Time-weighted average from ``start`` to ``end``, each quote weighted by the time that it was in force.

    NaN if no quote was in force for more than a tenth of the interval. For an interval of no length it is the
    quote in force then.

    Examples
    --------
    >>> times, (mid,) = with_gaps(np.array([0, 30, 40]) * MICROS, [np.array([10.0, 20.0, 0.0])])
    >>> time_weighted(times, mid, np.array([0, 30]) * MICROS, np.array([40, 30]) * MICROS).tolist()
    [12.5, 20.0]
    """
    known = ~np.isnan(values)
    price = np.where(known, values, 0.0)
    seconds = np.diff(times, append=times[-1:]) / MICROS
    amount = np.concatenate([[0.0], np.cumsum(price * seconds)])
    covered = np.concatenate([[0.0], np.cumsum(known * seconds)])

    def until(moment: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        row = np.searchsorted(times, moment, side="right") - 1
        inside = np.maximum(row, 0)
        part = np.where(row >= 0, (moment - times[inside]) / MICROS, 0.0)
        return amount[inside] + price[inside] * part, covered[inside] + known[inside] * part

    (first, since), (last, then) = until(start), until(end)
    length, covered_time = (end - start) / MICROS, then - since
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.where(covered_time >= _COVERED * length, (last - first) / covered_time, np.nan)
    average = np.where(length == 0, as_of(times, values, end), average)
    return np.where((start == NO_TIME) | (end == NO_TIME) | (length < 0), np.nan, average)
