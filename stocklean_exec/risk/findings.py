"""The findings of checks: verdict, limit and value of each check for each order. Pure.

A check gives every order ``pass``, ``warn`` or ``block``. All results are kept, not only the worst, so that a user
can see what was checked.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import repeat
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["BLOCK", "PASS", "VERDICTS", "WARN", "Findings", "check_results", "differs"]

PASS, WARN, BLOCK = 0, 1, 2
VERDICTS = ("pass", "warn", "block")
"""Names of the levels, from the mildest: the verdict on an order is the greatest of its findings."""


def differs(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where two arrays differ; NaN equals NaN."""
    return np.asarray((one != other) & ~(np.isnan(one) & np.isnan(other)))


class Findings:
    """The results of all checks on ``count`` orders, added check by check."""

    def __init__(self, count: int) -> None:
        self.worst = np.zeros(count, dtype="int64")
        self._checks: dict[str, _Check] = {}

    def __len__(self) -> int:
        return len(self.worst)

    def block(self, name: str, mask: object, limit: float, value: NDArray[np.float64] | float) -> None:
        """Add a check that blocks the orders where ``mask`` is true."""
        self._add(name, BLOCK, mask, limit, value)

    def warn(self, name: str, mask: object, limit: float, value: NDArray[np.float64] | float) -> None:
        """Add a check that warns about the orders where ``mask`` is true."""
        self._add(name, WARN, mask, limit, value)

    def _add(self, name: str, level: int, mask: object, limit: float, value: NDArray[np.float64] | float) -> None:
        shape = self.worst.shape
        levels = np.where(np.broadcast_to(np.asarray(mask), shape), level, PASS)
        check = _Check(levels, float(limit), np.broadcast_to(np.asarray(value), shape))
        known = self._checks.get(name)
        self._checks[name] = check if known is None else known.merged(check)
        self.worst = np.maximum(self.worst, levels)

    def reasons(self) -> list[str | None]:
        """Names of the checks that block or warn, the blocking ones first; None where all pass."""
        found: list[str | None] = [None] * len(self)
        raised = [(name, check.levels) for name, check in self._checks.items() if check.levels.any()]
        for wanted in (BLOCK, WARN):
            for name, levels in raised:
                for row in np.flatnonzero(levels == wanted).tolist():
                    known = found[row]
                    found[row] = name if known is None else f"{known}, {name}"
        return found

    def differ(self, other: Findings) -> NDArray[np.bool_]:
        """Which orders have other reasons than in ``other``, or the same reason with another value."""
        found = np.zeros(self.worst.shape, dtype=bool)
        for name in self._checks.keys() | other._checks.keys():
            mine, theirs = self._checks.get(name, _NO_CHECK), other._checks.get(name, _NO_CHECK)
            found |= mine.differ(theirs)
        return found

    def held_against(self, rows: list[int]) -> dict[str, tuple[float, list[float]]]:
        """Limit of each check, and the values of the orders at ``rows``; NaN where a check has none."""
        return {name: check.held_against(rows) for name, check in self._checks.items()}

    def as_json(self, rows: list[int] | None = None) -> list[str]:
        """Verdict, limit and value of each check, as one JSON object for each order (at ``rows``)."""
        if not self._checks:
            return ["{}"] * (len(self) if rows is None else len(rows))
        count = len(self) if rows is None else len(rows)
        columns = [
            (check if rows is None else check.at(rows)).as_json(name) for name, check in self._checks.items()
        ]
        # Most checks give all orders the same text: joining the few that differ into it is three times as fast as
        # formatting each order's object, which is a thousand characters long.
        pieces: list[Iterable[str]] = []
        text = "{"
        for number, (before, cells, after) in enumerate(columns):
            text += f"{', ' if number else ''}{before}"
            if cells is not None:
                pieces += [repeat(text, count), cells]
                text = ""
            text += after
        return list(map("".join, zip(*pieces, repeat(text + "}", count), strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """The result of one check for each order."""

    levels: NDArray[np.int64]
    limit: float
    values: NDArray[np.float64]

    def merged(self, other: _Check) -> _Check:
        """Merge two results of one check: the worse one of each order; of two equal ones the later."""
        mine = self.levels > other.levels
        return _Check(
            np.where(mine, self.levels, other.levels), other.limit, np.where(mine, self.values, other.values)
        )

    def differ(self, other: _Check) -> NDArray[np.bool_]:
        """Which orders have another finding; a pass is not a finding."""
        moved = differs(self.values, other.values)
        raised = np.maximum(self.levels, other.levels) > PASS
        return np.asarray(raised & (moved | (self.levels != other.levels)))

    def held_against(self, rows: list[int]) -> tuple[float, list[float]]:
        """The limit, and the values of the orders at ``rows``."""
        return self.limit, self.values[rows].tolist()

    def at(self, rows: list[int]) -> _Check:
        """The result for the orders at ``rows``."""
        return _Check(self.levels[rows], self.limit, self.values[rows])

    def as_json(self, name: str) -> tuple[str, Iterable[str] | None, str]:
        """Name, verdict, limit and value as JSON: the text before each order's own part, that part, and the rest.

        There is no part of their own (None) where all orders have the same text.
        """
        label = json.dumps(name)
        starts = [f'{label}: ["{verdict}", {_json_number(self.limit)}, ' for verdict in VERDICTS]
        levels, values = self.levels, self.values + 0.0  # turns -0.0 into 0.0
        has_one_level = levels.size > 0 and bool((levels == levels[0]).all())
        if has_one_level and not differs(values, values[:1]).any():
            return f"{starts[levels[0]]}{_json_number(float(values[0]))}]", None, ""
        texts = _json_numbers(values)
        if has_one_level:
            return starts[levels[0]], texts, "]"
        return "", map(add, map(starts.__getitem__, levels.tolist()), texts), "]"


_NO_CHECK = _Check(np.zeros(1, dtype="int64"), math.nan, np.full(1, math.nan))


def _json_number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "null"


def _json_numbers(values: NDArray[np.float64]) -> list[str]:
    """Each number as :func:`_json_number`."""
    texts = list(map(repr, values.tolist()))
    for row in np.flatnonzero(~np.isfinite(values)).tolist():
        texts[row] = "null"
    return texts


def check_results(checked: pd.DataFrame) -> pd.DataFrame:
    """Every check of every order as a table: client_order_id, check, verdict, limit, value.

    ``limit`` and ``value`` are in the unit of the check; they are NaN where a check has none.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> orders = pd.DataFrame({
    ...     "run_id": "r", "symbol": ["SPY"], "side": "BUY", "quantity": [10.0], "order_type": "MKT",
    ... })
    >>> limits = sx.Limits(max_order_quantity=5)
    >>> results = check_results(sx.check_orders(orders, limits, quotes={"SPY": 4.0}, cash=1e6))
    >>> results[results["verdict"] != "pass"].reset_index(drop=True)
      client_order_id    check verdict  limit  value
    0       r-SPY-BUY  max_qty   block    5.0   10.0
    """
    rows = [
        (name, check, *result)
        for name, text in zip(checked["client_order_id"].tolist(), checked["checks"].tolist(), strict=True)
        for check, result in json.loads(text).items()
    ]
    frame = pd.DataFrame(rows, columns=["client_order_id", "check", "verdict", "limit", "value"])
    return frame.astype(
        {"client_order_id": "str", "check": "str", "verdict": "str", "limit": "float64", "value": "float64"}
    )
