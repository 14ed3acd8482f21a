"""What a reviewed plan does to the account: totals, weights and largest positions, before and after. Pure.

Everything is reckoned as the checks reckon it: at the price of the quotes that the plan was checked against, and
in cash a limit order to buy at its limit if that is above. Money is in the currency of the account, shares of NAV
are fractions. What cannot be known (no NAV given, orders in several currencies) is NaN and never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from stocklean_exec.fees import IBKR_US_FIXED
from stocklean_exec.prices import PRICE_FIELDS, is_usable, usable_prices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.check_rules import CheckContext

__all__ = ["MEASURES", "Reckoning", "marks_of"]

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
"""The rows of :meth:`Reckoning.totals`: name and unit."""

_FIELDS = (*PRICE_FIELDS, "quoted_at")


@dataclass(frozen=True, slots=True, eq=False)
class Reckoning:
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
    def of(cls, orders: pd.DataFrame, context: CheckContext, marks: dict[str, float] | None = None) -> Reckoning:
        """Reckon a checked frame against its check's context; ``marks`` are its :func:`marks_of`, if known."""
        symbols = orders["symbol"].tolist()
        quantity = np.nan_to_num(orders["quantity"].to_numpy(dtype="float64"))
        quantity = np.where((orders["status"] == "REJECTED").to_numpy(dtype=bool), 0.0, quantity)
        limit = orders["limit_price"].to_numpy(dtype="float64")
        decision = orders["decision_price"].to_numpy(dtype="float64")
        buy = (orders["side"] == "BUY").to_numpy(dtype=bool)
        marks = marks_of(context) if marks is None else marks
        if context.given_quotes:
            price = np.array([marks.get(symbol, math.nan) for symbol in symbols], dtype="float64")
        else:
            price = np.where(is_usable(decision), decision, limit)
        known = dict(zip(symbols, price.tolist(), strict=True))
        marks = marks | {symbol: value for symbol, value in known.items() if not math.isnan(value)}
        with np.errstate(invalid="ignore"):
            cash_price = np.where(buy & (limit > price), limit, price)
        fees = [
            0.0 if math.isnan(at) else IBKR_US_FIXED.order(shares, at)
            for shares, at in zip(quantity.tolist(), cash_price.tolist(), strict=True)
        ]
        names = list(dict.fromkeys([*context.positions, *symbols]))
        place = {name: number for number, name in enumerate(names)}
        return cls(
            names=names,
            codes=np.array([place[symbol] for symbol in symbols], dtype="int64"),
            held=np.array([context.positions.get(name, 0.0) for name in names], dtype="float64"),
            marks=np.array([marks.get(name, math.nan) for name in names], dtype="float64"),
            change=np.where(buy, quantity, -quantity),
            price=price,
            cash_price=cash_price,
            fees=np.array(fees, dtype="float64"),
            spread_cost=_spread_cost(symbols, quantity, limit, buy, context),
            one_currency=len(set(orders["currency"])) <= 1,
            cash=context.cash,
            nav=_nav(context, marks),
        )

    @property
    def unpriced(self) -> list[str]:
        """Symbols that are held and that no price values; they count as worth nothing."""
        return sorted(self.names[place] for place in np.flatnonzero((self.held != 0) & np.isnan(self.marks)))

    def totals(self, chosen: NDArray[np.bool_]) -> dict[str, float]:
        """Measures of :data:`MEASURES` once the ``chosen`` rows are filled at the prices of their check."""
        moved = np.where(chosen, self.change, 0.0)
        value = np.nan_to_num(moved * self.price)
        buys, sells = math.fsum(value[value > 0]), math.fsum(-value[value < 0])
        fees = math.fsum(self.fees[chosen])
        flow = math.fsum(np.nan_to_num(moved * self.cash_price))
        worth = self._worth(moved)
        found = {
            "orders": float(np.count_nonzero(chosen)),
            "buys": buys,
            "sells": sells,
            "net": buys - sells,
            "turnover": (buys + sells) / self.nav,
            "cash": round(self.cash - flow - fees, 6),
            "gross": math.fsum(np.abs(worth)) / self.nav,
            "net_exposure": math.fsum(worth) / self.nav,
            "estimated_fees": fees,
            "estimated_spread_cost": math.fsum(self.spread_cost[chosen]),
        }
        if self.one_currency:
            return found
        return {name: value if name == "orders" else math.nan for name, value in found.items()}

    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of each row's symbol now, and once all orders of that symbol are filled; fractions of NAV."""
        unit = self.price / (self.nav if self.one_currency else math.nan)
        return self.held[self.codes] * unit, self._shares(self.change)[self.codes] * unit

    def largest(self, chosen: NDArray[np.bool_], count: int = 5) -> list[tuple[str, float, float]]:
        """Symbol, weight before and weight after of the ``count`` positions that are largest after."""
        scale = self.nav if self.one_currency else math.nan
        before = (self._worth(np.zeros(len(self.change))) / scale).tolist()
        after = self._worth(np.where(chosen, self.change, 0.0))
        places = sorted(np.flatnonzero(after).tolist(), key=lambda place: (-abs(after[place]), self.names[place]))
        return [(self.names[place], before[place], float(after[place] / scale)) for place in places[:count]]

    def _shares(self, moved: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.held + np.bincount(self.codes, weights=moved, minlength=len(self.names))

    def _worth(self, moved: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._shares(moved) * np.nan_to_num(self.marks)


def marks_of(context: CheckContext) -> dict[str, float]:
    """Price of each quoted symbol that has a usable one."""
    if not context.quotes:
        return {}
    quotes = pd.DataFrame.from_dict(context.quotes, orient="index", columns=list(_FIELDS))
    priced = usable_prices(quotes.rename_axis("symbol").reset_index())["price"]
    return cast("dict[str, float]", priced.dropna().to_dict())


def _nav(context: CheckContext, marks: dict[str, float]) -> float:
    """NAV as given, or cash and all holdings at the market; NaN where that is not known or not above 0."""
    nav = context.nav
    if math.isnan(nav):
        nav = context.cash + math.fsum(
            shares * marks.get(name, math.nan) for name, shares in context.positions.items() if shares
        )
    return nav if nav > 0 else math.nan


def _spread_cost(
    symbols: list[str],
    quantity: NDArray[np.float64],
    limit: NDArray[np.float64],
    buy: NDArray[np.bool_],
    context: CheckContext,
) -> NDArray[np.float64]:
    """Half of the quoted spread x shares, for market orders and limits that reach the other side; else 0.

    The quoted half-spread is what an order that takes liquidity pays against the mid: Harris, "Trading and
    Exchanges" (2003), chapter 14.
    """
    unknown = (math.nan,) * len(_FIELDS)
    rows = np.array([context.quotes.get(symbol, unknown)[:2] for symbol in symbols], dtype="float64")
    bid, ask = rows.reshape(len(symbols), 2).T
    two_sided = is_usable(bid) & is_usable(ask)
    with np.errstate(invalid="ignore"):
        rests = ~np.isnan(limit) & np.where(buy, limit < ask, limit > bid)
        cost = quantity * (ask - bid) / 2
    cost = np.where(two_sided, cost, math.nan)
    return np.where((quantity == 0) | (two_sided & rests), 0.0, cost)
