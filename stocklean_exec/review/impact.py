"""What a reviewed plan does to the account: totals, weights and largest positions, before and after. Pure.

Everything is reckoned as the checks reckon it: at the price of the quotes that the plan was checked against, and
in cash at the far touch, or the limit of a limit order. Money is in the currency of the account, shares of NAV
are fractions. What cannot be known (no NAV given, orders in several currencies) is NaN and never zero.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stocklean_exec.portfolio.order_costs import commissions
from stocklean_exec.risk.findings import differs
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
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
    "gross": "value of all positions, longs and shorts added up, / NAV",
    "net_exposure": "longs less shorts / NAV",
    "estimated_fees": "commissions by IBKR's fixed schedule, USD",
    "estimated_spread_cost": "half of the quoted spread on every order that takes it, currency",
}
"""The rows of :meth:`PlanImpact.totals`: name and unit."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanImpact:
    """A plan's orders beside the book and the market they were checked against, as arrays, row by row."""

    names: list[str]  # every symbol that is held or ordered
    codes: NDArray[np.int64]  # where each row's symbol stands in them
    held: NDArray[np.float64]  # shares of each name
    marks: NDArray[np.float64]  # price of each name; NaN without a usable one
    change: NDArray[np.float64]  # signed shares; 0 for a row that the plan refused
    price: NDArray[np.float64]  # NaN without a usable one
    cash_price: NDArray[np.float64]
    fees: NDArray[np.float64]
    spread_cost: NDArray[np.float64]  # NaN where no two-sided market tells
    one_currency: bool
    cash: float
    nav: float

    @classmethod
    def of(cls, orders: pd.DataFrame, check: PlanCheck) -> PlanImpact:
        """Reckon a checked frame by its check."""
        asked, context = check.arrays, check.context
        quantity, buy, price, cash_price = asked.quantity, asked.buy, asked.price, asked.cash_price
        fees = np.where(np.isnan(cash_price), 0.0, commissions(quantity, np.nan_to_num(cash_price)))
        told = np.full(len(asked.names), math.nan)
        told[asked.codes] = price  # of several orders in a symbol the last one's, as the checks take it
        marks = np.where(np.isnan(told), np.where(asked.marks > 0, asked.marks, math.nan), told)
        return cls(
            names=asked.names,
            codes=asked.codes,
            held=asked.held,
            marks=marks,
            change=np.where(buy, quantity, -quantity),
            price=price,
            cash_price=cash_price,
            fees=fees,
            spread_cost=_spread_cost(asked),
            one_currency=len(orders["currency"].unique()) <= 1,
            cash=context.cash,
            nav=_nav(context, asked.held, marks),
        )

    @property
    def unpriced(self) -> list[str]:
        """Symbols that are held and that no price values; they count as worth nothing."""
        return sorted(self.names[place] for place in np.flatnonzero((self.held != 0) & np.isnan(self.marks)))

    def totals(self, chosen: NDArray[np.bool_]) -> dict[str, float]:
        """Measures of :data:`MEASURES` once the ``chosen`` rows are filled at the prices of their check."""
        moved = np.where(chosen, self.change, 0.0)
        value = np.nan_to_num(moved * self.price)
        buys, sells = _sum(value[value > 0]), _sum(-value[value < 0])
        fees = _sum(self.fees[chosen])
        flow = _sum(np.nan_to_num(moved * self.cash_price))
        worth = self._worth(moved)
        found = {
            "orders": float(np.count_nonzero(chosen)),
            "buys": buys,
            "sells": sells,
            "net": buys - sells,
            "turnover": (buys + sells) / self.nav,
            "cash": round(self.cash - flow - fees, 6),
            "gross": _sum(np.abs(worth)) / self.nav,
            "net_exposure": _sum(worth) / self.nav,
            "estimated_fees": fees,
            "estimated_spread_cost": _sum(self.spread_cost[chosen]),
        }
        if self.one_currency:
            return found
        return {name: value if name == "orders" else math.nan for name, value in found.items()}

    def totals_by_standing(self, standing: Sequence[str]) -> dict[str, list[float]]:
        """Measures now, once the approved rows are filled, and once all that are not blocked are, by name.

        ``standing`` is ``approved``, ``rejected``, ``blocked`` or ``open`` for each row.
        """
        decided = np.array(standing, dtype=object)
        masks = (np.zeros(len(decided), dtype=bool), decided == "approved", decided != "blocked")
        parts = [self.totals(mask) for mask in masks]
        return {name: [part[name] for part in parts] for name in MEASURES}

    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of each row's symbol now, and once all orders of that symbol are filled; fractions of NAV."""
        unit = self.price / (self.nav if self.one_currency else math.nan)
        return self.held[self.codes] * unit, self._shares(self.change)[self.codes] * unit

    def differ(self, other: PlanImpact) -> NDArray[np.bool_]:
        """Tell for which orders anything is reckoned otherwise than in ``other``, of the same plan."""
        pairs = zip((*self.weights(), self.fees), (*other.weights(), other.fees), strict=True)
        found = np.zeros(len(self.change), dtype=bool)
        for mine, theirs in pairs:
            found |= differs(mine, theirs)
        return found

    def largest(self, chosen: NDArray[np.bool_], count: int = 5) -> list[tuple[str, float, float]]:
        """Symbol, weight before and weight after of the ``count`` positions that are largest after."""
        scale = self.nav if self.one_currency else math.nan
        before = self._worth(np.zeros(len(self.change)))
        after = self._worth(np.where(chosen, self.change, 0.0))
        size = np.abs(after)
        places = np.flatnonzero(size).tolist()
        places = heapq.nsmallest(count, places, key=lambda place: (-size[place], self.names[place]))
        return [(self.names[place], float(before[place] / scale), float(after[place] / scale)) for place in places]

    def _shares(self, moved: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.held + np.bincount(self.codes, weights=moved, minlength=len(self.names))

    def _worth(self, moved: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._shares(moved) * np.nan_to_num(self.marks)


def _sum(values: NDArray[np.float64]) -> float:
    """Sum that does not depend on the sequence of the orders."""
    return math.fsum(values.tolist())


def _nav(context: CheckContext, held: NDArray[np.float64], marks: NDArray[np.float64]) -> float:
    """NAV as given, or cash and all holdings at the market; NaN where that is not known or not above 0."""
    nav = context.nav
    if math.isnan(nav):
        nav = context.cash + _sum((held * marks)[held != 0])
    return nav if nav > 0 else math.nan


def _spread_cost(asked: OrderArrays) -> NDArray[np.float64]:
    """Half of the quoted spread x shares, for market orders and limits that reach the other side; else 0.

    The quoted half-spread is what an order that takes liquidity pays against the mid: Harris, "Trading and
    Exchanges" (2003), chapter 14.
    """
    bid, ask, limit = asked.market["bid"], asked.market["ask"], asked.limit
    two_sided = is_usable(bid) & is_usable(ask)
    with np.errstate(invalid="ignore"):
        rests = ~np.isnan(limit) & np.where(asked.buy, limit < ask, limit > bid)
        cost = asked.quantity * (ask - bid) / 2
    cost = np.where(two_sided, cost, math.nan)
    return np.where((asked.quantity == 0) | (two_sided & rests), 0.0, cost)
