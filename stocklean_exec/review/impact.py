"""Impact of a reviewed plan on the account: totals, weights and largest positions, before and after. Pure.

The figures use the prices of the checks: the quotes that the plan was checked against, and for cash the far touch,
or the limit of a limit order. Money is in the base currency of the account; weights and ratios are fractions of
NAV. An unknown figure (no NAV, a currency without an exchange rate) is NaN, never zero.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stocklean_exec.risk.findings import differs
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stocklean_exec.risk.pre_trade_checks import PlanCheck
    from stocklean_exec.risk.rules import CheckContext, OrderArrays

__all__ = ["MEASURES", "PlanImpact"]

MEASURES = {
    "orders": "orders",
    "buys": "bought, currency",
    "sells": "sold, currency",
    "net": "buys less sells, currency",
    "turnover": "buys and sells / NAV",
    "cash": "currency; after: less the buys and estimated fees, and with the sells",
    "gross": "absolute value of all positions / NAV",
    "net_exposure": "longs less shorts / NAV",
    "estimated_fees": "commissions, levies and taxes by the tariff of each market, currency",
    "estimated_spread_cost": "half the quoted spread of every order that takes liquidity, currency",
}
"""The rows of :meth:`PlanImpact.totals`: name and unit."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanImpact:
    """A plan's orders with the positions and the market they were checked against, as arrays."""

    names: list[str]  # every symbol that is held or ordered
    codes: NDArray[np.int64]  # index into ``names`` of each row's symbol
    held: NDArray[np.float64]  # shares of each name
    marks: NDArray[np.float64]  # price of each name; NaN without a usable price
    change: NDArray[np.float64]  # signed shares of each row; 0 for a rejected row
    price: NDArray[np.float64]  # of each row; NaN without a usable price
    cash_price: NDArray[np.float64]
    fees: NDArray[np.float64]
    spread_cost: NDArray[np.float64]  # NaN without a two-sided quote
    is_valued: bool  # whether each order's currency has an exchange rate
    cash: float
    nav: float

    @classmethod
    def of(cls, check: PlanCheck) -> PlanImpact:
        """Compute the impact of a checked frame from its check."""
        arrays, context = check.arrays, check.context
        quantity, buy, price, cash_price = arrays.quantity, arrays.buy, arrays.value, arrays.cash_value
        fees = arrays.fees(quantity)
        order_prices = np.full(len(arrays.names), math.nan)
        order_prices[arrays.codes] = price  # of several orders in a symbol the last one's, as in the checks
        known_marks = np.where(arrays.marks > 0, arrays.marks, math.nan)
        marks = np.where(np.isnan(order_prices), known_marks, order_prices)
        return cls(
            names=arrays.names,
            codes=arrays.codes,
            held=arrays.held,
            marks=marks,
            change=np.where(buy, quantity, -quantity),
            price=price,
            cash_price=cash_price,
            fees=fees,
            spread_cost=_spread_cost(arrays),
            is_valued=not np.isnan(arrays.rate).any(),
            cash=context.cash,
            nav=_nav(context, arrays.held, marks),
        )

    @property
    def unpriced(self) -> list[str]:
        """Symbols that are held without a usable price; they are valued at 0."""
        return sorted(self.names[place] for place in np.flatnonzero((self.held != 0) & np.isnan(self.marks)))

    def totals(self, chosen: NDArray[np.bool_]) -> dict[str, float]:
        """Measures of :data:`MEASURES` after the ``chosen`` rows fill at the prices of their check."""
        traded = np.where(chosen, self.change, 0.0)
        value = np.nan_to_num(traded * self.price)
        buys, sells = _sum(value[value > 0]), _sum(-value[value < 0])
        fees = _sum(self.fees[chosen])
        flow = _sum(np.nan_to_num(traded * self.cash_price))
        positions = self._position_values(traded)
        totals = {
            "orders": float(np.count_nonzero(chosen)),
            "buys": buys,
            "sells": sells,
            "net": buys - sells,
            "turnover": (buys + sells) / self.nav,
            "cash": round(self.cash - flow - fees, 6),
            "gross": _sum(np.abs(positions)) / self.nav,
            "net_exposure": _sum(positions) / self.nav,
            "estimated_fees": fees,
            "estimated_spread_cost": _sum(self.spread_cost[chosen]),
        }
        if self.is_valued:
            return totals
        return {name: value if name == "orders" else math.nan for name, value in totals.items()}

    def totals_by_decision(self, decision_status: Sequence[str]) -> dict[str, list[float]]:
        """Measures by name: now, after the approved rows fill, and after all eligible (not blocked) rows fill.

        ``decision_status`` is ``approved``, ``rejected``, ``blocked`` or ``open`` for each row.
        """
        decided = np.array(decision_status, dtype=object)
        masks = (np.zeros(len(decided), dtype=bool), decided == "approved", decided != "blocked")
        parts = [self.totals(mask) for mask in masks]
        return {name: [part[name] for part in parts] for name in MEASURES}

    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of each row's symbol now, and after all orders in that symbol fill; fractions of NAV."""
        unit = self.price / (self.nav if self.is_valued else math.nan)
        return self.held[self.codes] * unit, self._shares(self.change)[self.codes] * unit

    def differ(self, other: PlanImpact) -> NDArray[np.bool_]:
        """Return a mask of the orders with a different figure in ``other``, which is of the same plan."""
        pairs = zip((*self.weights(), self.fees), (*other.weights(), other.fees), strict=True)
        different = np.zeros(len(self.change), dtype=bool)
        for mine, theirs in pairs:
            different |= differs(mine, theirs)
        return different

    def largest(self, chosen: NDArray[np.bool_], count: int = 5) -> list[tuple[str, float, float]]:
        """Symbol, weight before and weight after of the ``count`` largest positions after the trades."""
        scale = self.nav if self.is_valued else math.nan
        before = self._position_values(np.zeros(len(self.change)))
        after = self._position_values(np.where(chosen, self.change, 0.0))
        size = np.abs(after)
        places = np.flatnonzero(size).tolist()
        places = heapq.nsmallest(count, places, key=lambda place: (-size[place], self.names[place]))
        return [(self.names[place], float(before[place] / scale), float(after[place] / scale)) for place in places]

    def _shares(self, traded: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.held + np.bincount(self.codes, weights=traded, minlength=len(self.names))

    def _position_values(self, traded: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._shares(traded) * np.nan_to_num(self.marks)


def _sum(values: NDArray[np.float64]) -> float:
    """Sum that does not depend on the order of the rows."""
    return math.fsum(values.tolist())


def _nav(context: CheckContext, held: NDArray[np.float64], marks: NDArray[np.float64]) -> float:
    """NAV as given, or cash plus all positions at market; NaN if unknown or not above 0."""
    nav = context.nav
    if math.isnan(nav):
        nav = context.cash + _sum((held * marks)[held != 0])
    return nav if nav > 0 else math.nan


def _spread_cost(arrays: OrderArrays) -> NDArray[np.float64]:
    """Half the quoted spread x shares, for market orders and marketable limit orders; else 0.

    The quoted half-spread is what an order that takes liquidity pays against the mid: Harris, "Trading and
    Exchanges" (2003), chapter 14.
    """
    bid, ask, limit = arrays.market["bid"], arrays.market["ask"], arrays.limit
    two_sided = is_usable(bid) & is_usable(ask)
    with np.errstate(invalid="ignore"):
        rests = ~np.isnan(limit) & np.where(arrays.buy, limit < ask, limit > bid)
        cost = arrays.quantity * (ask - bid) / 2 * arrays.rate
    cost = np.where(two_sided, cost, math.nan)
    return np.where((arrays.quantity == 0) | (two_sided & rests), 0.0, cost)
