"""One netted order: which shares pass from one strategy to another, and whose the fills are. Pure.

What each strategy trades is a column of the order, ``strategy_quantities``: JSON, strategy to signed shares. Only
the side of the net is divided. Where A buys 100 and B sells 40, the order buys 60; 40 pass from B to A, B is done,
and every fill is A's. Where A and B buy 100 and 50, and C sells 30, the 30 are divided between A and B, and so are
the fills after them, by the rule of :mod:`~stocklean_exec.strategies.apportionment`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stocklean_exec.strategies.apportionment import split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CROSSES",
    "STRATEGY",
    "STRATEGY_QUANTITIES",
    "UNASSIGNED",
    "Division",
    "beyond_strategies",
    "exact",
    "is_strategy_name",
    "read_quantities",
    "write_quantities",
]

STRATEGY = "strategy"
"""Column with the strategy of a target, and of an order that is of one strategy alone."""

STRATEGY_QUANTITIES = "strategy_quantities"
"""Column of an order: JSON, strategy to the signed shares that it trades."""

CROSSES = "strategy_crosses"
"""Column, the same in every row of a plan, for what passes between strategies in symbols without an order."""

UNASSIGNED = "unassigned"
"""Name in place of a strategy for shares that belong to none."""

_SCALE = 10**8  # parts of a share, and of a unit of money, in which everything is added up; as the blotter does
_SHARE, _STEP = _SCALE, _SCALE // 10_000  # whole shares, else the broker's smallest fraction of one, 0.0001
_CENT = _SCALE // 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def is_strategy_name(name: object) -> bool:
    """Whether ``name`` can be that of a strategy: letters, digits, ``.``, ``_``, ``-``, at most 40.

    Examples
    --------
    >>> is_strategy_name("value"), is_strategy_name("unassigned"), is_strategy_name("")
    (True, False, False)
    """
    return isinstance(name, str) and name != UNASSIGNED and _NAME.fullmatch(name) is not None


def exact(number: float) -> int:
    """Return a quantity or an amount as a whole number of hundred-millionths, which can be added up exactly."""
    return round(number * _SCALE)


def write_quantities(quantities: Mapping[str, float]) -> str:
    """Write signed shares by strategy as JSON, by name.

    Examples
    --------
    >>> write_quantities({"value": 100.0, "trend": -40.0})
    '{"trend": -40.0, "value": 100.0}'
    """
    return json.dumps({name: float(quantities[name]) for name in sorted(quantities)})


def read_quantities(text: object) -> dict[str, float]:
    """Read signed shares by strategy; empty where a cell is.

    Raises
    ------
    ValueError
        The text is not one that :func:`write_quantities` writes.

    Examples
    --------
    >>> read_quantities('{"trend": -40.0, "value": 100.0}'), read_quantities(float("nan"))
    ({'trend': -40.0, 'value': 100.0}, {})
    """
    if not isinstance(text, str) or not text:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict) or not all(
        is_strategy_name(name) and isinstance(shares, (int, float)) and math.isfinite(shares)
        for name, shares in found.items()
    ):
        raise ValueError(f"{text!r} is not a mapping of strategies to shares")
    return {name: float(found[name]) for name in sorted(found)}


def beyond_strategies(text: object, quantity: float) -> str:
    """Say that an order is for more shares than its strategies want together; empty where it is not.

    A sell of more would take shares of another strategy, or unassigned ones.

    Examples
    --------
    >>> beyond_strategies('{"trend": -40.0, "value": 100.0}', 61.0)
    'strategies want 60 shares of it together: it can be made smaller, and not larger'
    >>> beyond_strategies('{"trend": -40.0, "value": 100.0}', 60.0), beyond_strategies(None, 61.0)
    ('', '')
    """
    try:
        quantities = read_quantities(text)
    except ValueError as error:
        return str(error)
    wanted = abs(Division(quantities).net)
    if not quantities or not exact(quantity) > exact(wanted):
        return ""
    return f"strategies want {wanted:g} shares of it together: it can be made smaller, and not larger"


@dataclass(frozen=True)
class Division:
    """What each strategy trades in one symbol: signed shares by name, positive is a buy.

    Examples
    --------
    >>> division = Division({"A": 100.0, "B": -40.0})
    >>> division.net, division.crossed, division.filled([0.0, 30.0])
    (60.0, {'A': 40.0, 'B': -40.0}, [{'A': 0.0}, {'A': 30.0}])
    """

    quantities: Mapping[str, float]

    @cached_property
    def net(self) -> float:
        """Signed shares that the market has to trade."""
        return sum(exact(shares) for shares in self.quantities.values()) / _SCALE

    @cached_property
    def _sign(self) -> int:
        """1 where the net is a buy, -1 where it is a sell; a net of nothing is divided as a buy."""
        return 1 if self.net >= 0 else -1

    @cached_property
    def _side(self) -> dict[str, int]:
        """Shares, as exact whole numbers, that the strategies of the net side trade; by name."""
        given = {name: exact(self.quantities[name]) * self._sign for name in sorted(self.quantities)}
        return {name: shares for name, shares in given.items() if shares > 0}

    @cached_property
    def _unit(self) -> int:
        is_whole = all(exact(shares) % _SHARE == 0 for shares in self.quantities.values())
        return _SHARE if is_whole else _STEP

    @cached_property
    def _inside(self) -> int:
        """Shares that pass from one side to the other."""
        return sum(self._side.values()) - abs(exact(self.net))

    def _shares_at(self, totals: Iterable[int]) -> dict[int, tuple[int, ...]]:
        return split(list(self._side.values()), totals, self._unit)

    @cached_property
    def crossed(self) -> dict[str, float]:
        """Signed shares of each strategy that pass inside; empty for none."""
        if not self._inside:
            return {}
        given = dict(zip(self._side, self._shares_at([self._inside])[self._inside], strict=True))
        others = {name: exact(shares) for name, shares in self.quantities.items() if name not in self._side}
        inside = {name: shares * self._sign for name, shares in given.items()} | others
        return {name: inside[name] / _SCALE for name in sorted(inside) if inside[name]}

    def filled(self, totals: Iterable[float]) -> list[dict[str, float]]:
        """Shares of each strategy of the net side after each of these filled totals of the order; unsigned."""
        wanted = [exact(total) for total in totals]
        given = self._shares_at([self._inside, *(self._inside + total for total in wanted)])
        start = given[self._inside]
        return [
            {
                name: (now - before) / _SCALE
                for name, now, before in zip(self._side, given[self._inside + total], start, strict=True)
            }
            for total in wanted
        ]

    def rest(self, filled: float) -> dict[str, float]:
        """Signed shares that each strategy still wants from the market after ``filled`` shares.

        Examples
        --------
        >>> Division({"A": 100.0, "B": -40.0}).rest(25.0)
        {'A': 35.0}
        """
        given = self._shares_at([self._inside + exact(filled)])[self._inside + exact(filled)]
        left = {
            name: (asked - has) * self._sign for (name, asked), has in zip(self._side.items(), given, strict=True)
        }
        return {name: shares / _SCALE for name, shares in left.items() if shares * self._sign > 0}

    def charged(self, totals: Iterable[float]) -> list[dict[str, float]]:
        """Each strategy's part of these total fees of the order, to the cent.

        They are divided as the whole market part of the order is. Parts of a cent go to whoever is next in turn.
        """
        wanted = [exact(total) for total in totals]
        inside = self._shares_at([self._inside])[self._inside]
        weights = [asked - has for asked, has in zip(self._side.values(), inside, strict=True)]
        given = split(weights if any(weights) else list(self._side.values()), wanted, _CENT)
        return [
            {name: part / _SCALE for name, part in zip(self._side, given[total], strict=True)} for total in wanted
        ]
