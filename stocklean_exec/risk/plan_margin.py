"""What a whole plan may need of margin: the account's own figures, and the most that its orders add to them. Pure.

The broker previews one order at a time, against the account as it is, and the changes that it previews do not add
up: a sale frees what a purchase needs, two sales of one holding may end short, and where offsetting positions need
less together (portfolio margin) two orders may rely on the same offset. So a bound is made:

1. The broker's own figures of the account are where it begins.
2. Nothing that a sale or a purchase would free is counted: purchases may fill first and sales last, or never.
   Whatever part of the plan has filled, in whatever sequence, the bound holds.
3. An order that is the only one of its symbol, and was previewed as it is, counts with what its preview adds,
   and with nothing where its preview frees margin. Others count with what Regulation T and FINRA Rule 4210 ask for
   the shares that open or enlarge a position: initially half of their value (12 CFR 220.12), and to be kept a
   quarter of a long position, and 30 % of a short one or the dollar amount that is higher at low prices.
4. Orders of one symbol count together, working ones included: all its purchases, or all its sales, whichever
   needs more, or what their previews change if that is more.
5. Equity with loan value falls by fees, and by the distance from the price that a position is valued at to the
   one that its order may trade at. In a cash account, and in one that may be a cash account, a purchase takes its
   whole value: equity is the settled cash there.

Step 3 holds where the margin of an account is the sum of the margins of its positions, as for stocks under Rule
4210(c). Under portfolio margin (Rule 4210(g)) the margin of several positions together is at most the sum of
their margins alone, but what one order changes may be less than its own margin. An order that enlarges a position
for less than the quarter that Rule 4210(c) asks shows such an account; then every order counts in full, sales
too. So the bound rests on two assumptions: prices and rates are those of the check, and no order without a preview
needs more than Regulation T and Rule 4210(c) ask. A broker's house margin may: a stock of which that is known
needs a preview.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stocklean_exec.risk.margins import AccountMargin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.risk.margins import MarginPreview

    Numbers = NDArray[np.float64]

__all__ = ["BASES", "MarginBook", "MarginOrders", "PlanMargin"]

BASES = ("preview", "regulation_t", "frees")
"""What the margin of a symbol is counted by; ``frees`` where its orders add none."""

_INITIAL = 0.5  # of the value of shares, long or short: Regulation T, 12 CFR 220.12(a) and (c)
_LONG = 0.25  # of the value of a long position: FINRA Rule 4210(c)(1)
_SHORT, _SHORT_DOLLARS = 0.30, 5.0  # of a short position, or dollars a share: FINRA Rule 4210(c)(3)
_LOW_PRICE, _LOW_DOLLARS = 5.0, 2.5  # below this price the value, or these dollars a share: Rule 4210(c)(2)
_OFFSET = 0.2
"""Part of the value that an order adds to a position, below which its previewed maintenance margin shows offsets.
A stated choice: between the 15 % of portfolio margin (Rule 4210(g)) and the 25 % of Rule 4210(c)(1)."""


class MarginOrders(NamedTuple):
    """The orders, by row: place of the symbol in the book, signed shares (0 for none), and what each may cost.

    ``fees`` and ``slippage`` are in the base currency, not negative. ``previews`` has what the broker said of an
    order as it is, None without that.
    """

    codes: NDArray[np.int64]
    signed: Numbers
    fees: Numbers
    slippage: Numbers
    previews: list[MarginPreview | None]


class MarginBook(NamedTuple):
    """The symbols held, ordered or working: shares held, and the highest price that a share may be valued at.

    ``price`` is in the base currency, NaN where it is not known; ``dollars`` is that price in US dollars for
    shares that trade in them, else NaN. ``bought`` and ``sold`` are the shares of working orders, ``costs`` what
    these may cost together.
    """

    names: list[str]
    held: Numbers
    price: Numbers
    dollars: Numbers
    bought: Numbers
    sold: Numbers
    costs: float = 0.0


@dataclass(frozen=True, eq=False)
class PlanMargin:
    """Margin of the account before a plan, and at most after any part of it; see the module.

    Examples
    --------
    An account of 10,000 holds nothing; 100 shares at 50 are bought, without a preview, for a fee of 1.

    >>> one = np.array([1.0])
    >>> book = MarginBook(["SPY"], one * 0, one * 50, one * 50, one * 0, one * 0)
    >>> orders = MarginOrders(np.array([0]), one * 100, one, one * 0, [None])
    >>> margin = PlanMargin(AccountMargin(0.0, 0.0, 10_000.0), True, orders, book)
    >>> after = margin.after(np.array([True]))
    >>> after.initial_margin, after.maintenance_margin, after.excess_liquidity
    (2500.0, 1250.0, 8749.0)
    """

    before: AccountMargin
    is_margin_account: bool
    orders: MarginOrders
    book: MarginBook

    def after(self, chosen: NDArray[np.bool_]) -> AccountMargin:
        """The most margin, and the least equity, while the ``chosen`` and the working orders fill, and then."""
        initial, maintenance, equity = (math.fsum(part.tolist()) for part in self.by_symbol(chosen))
        return AccountMargin(
            round(self.before.initial_margin + initial, 6),
            round(self.before.maintenance_margin + maintenance, 6),
            round(self.before.equity_with_loan - equity - self.book.costs, 6),
        )

    def adding(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the ``chosen`` orders may need margin, or take equity beyond their costs; also if unknown."""
        counted = self._counted(chosen)
        initial, maintenance, _ = self.by_symbol(chosen)
        adds = ~((initial == 0) & (maintenance == 0))
        return np.asarray(counted & adds[self.orders.codes])

    def by_symbol(self, chosen: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
        """What each symbol adds at most: initial margin, maintenance margin, loss of equity; NaN if not known."""
        counted, sides = self._counted(chosen), self._opened(chosen)
        purchase = _INITIAL if self.is_margin_account else 1.0
        long, short = self._rates
        initial = _needed(sides, self.book.price * purchase, np.maximum(self.book.price * _INITIAL, short))
        maintenance = _needed(sides, long, short)
        value = np.zeros(len(initial)) if self.is_margin_account else _needed(sides, self.book.price)
        changes = self._changes
        fees, slippage = (self._sum(part, counted) for part in (self.orders.fees, self.orders.slippage))
        spent = self._settled(value + fees, changes.equity, counted)
        return (
            self._settled(initial, changes.initial, counted),
            self._settled(maintenance, changes.maintenance, counted),
            np.maximum(spent, fees) + slippage,
        )

    def bases(self, chosen: NDArray[np.bool_]) -> list[str | None]:
        """What each symbol is counted by (:data:`BASES`); None where nothing is ordered or working."""
        by_preview = self._by_preview(self._changes.initial, self._counted(chosen))
        traded = self._trades(chosen)[2] > 0
        initial, maintenance, _ = self.by_symbol(chosen)
        adds = ~((initial == 0) & (maintenance == 0))
        rows = zip(traded.tolist(), by_preview.tolist(), adds.tolist(), strict=True)
        return [
            None if not is_traded else "preview" if previewed else "regulation_t" if adding else "frees"
            for is_traded, previewed, adding in rows
        ]

    def coverage(self, chosen: NDArray[np.bool_]) -> tuple[int, int, float | None]:
        """How many orders are ``chosen``, how many of these have a preview, and when the oldest was made."""
        rows = np.flatnonzero(self._counted(chosen)).tolist()
        found = [one for one in map(self.orders.previews.__getitem__, rows) if one is not None]
        return len(rows), len(found), min((one.at for one in found if one.at is not None), default=None)

    @cached_property
    def has_offsets(self) -> bool:
        """Whether a preview shows that positions of the account offset each other (portfolio margin)."""
        held, signed = self.book.held[self.orders.codes], self.orders.signed
        with np.errstate(invalid="ignore"):
            enlarges = (held * signed >= 0) & (signed != 0)
            added = np.abs(signed) * self.book.price[self.orders.codes]
            found = enlarges & (self._changes.maintenance < _OFFSET * added)
        return self.is_margin_account and bool(found.any())

    @cached_property
    def _rates(self) -> tuple[Numbers, Numbers]:
        """Maintenance margin of a share held long, and of one held short, base currency."""
        price, dollars = self.book.price, self.book.dollars
        if not self.is_margin_account:
            return np.zeros(len(price)), price * _SHORT
        with np.errstate(invalid="ignore", divide="ignore"):
            least = np.where(dollars < _LOW_PRICE, np.maximum(_LOW_DOLLARS, dollars), _SHORT_DOLLARS)
            short = np.fmax(price * _SHORT, np.where(dollars > 0, least * price / dollars, math.nan))
        return price * _LONG, np.where(np.isnan(price), math.nan, short)

    @cached_property
    def _changes(self) -> _Changes:
        """What each preview changes, by row; NaN without one, and where the broker did not say."""
        rows = [(math.nan,) * 3 if one is None else one.changes for one in self.orders.previews]
        return _Changes(*np.array(rows, dtype="float64").reshape(len(rows), 3).T)

    def _counted(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(chosen & (self.orders.signed != 0))

    def _sum(self, values: Numbers, counted: NDArray[np.bool_]) -> Numbers:
        """Sum of ``values`` of the counted orders by symbol."""
        weights = np.where(counted, values, 0.0)
        return np.asarray(
            np.bincount(self.orders.codes, weights=weights, minlength=len(self.book.names)), dtype="float64"
        )

    def _trades(self, chosen: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
        """Shares bought and sold of each symbol, working orders included, and the number of its orders."""
        counted, signed = self._counted(chosen), self.orders.signed
        bought = self._sum(np.maximum(signed, 0.0), counted) + self.book.bought
        sold = self._sum(np.maximum(-signed, 0.0), counted) + self.book.sold
        orders = self._sum(np.ones(len(signed)), counted)
        return bought, sold, orders + (self.book.bought > 0) + (self.book.sold > 0)

    def _opened(self, chosen: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
        """Shares of each symbol that all purchases open or add long, and that all sales open or add short."""
        bought, sold, _ = self._trades(chosen)
        if self.has_offsets:
            return bought, sold
        held = self.book.held
        return np.maximum(bought + np.minimum(held, 0.0), 0.0), np.maximum(sold - np.maximum(held, 0.0), 0.0)

    def _by_preview(self, change: Numbers, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Symbols that count by the preview of their only order."""
        alone = self._trades(counted)[2] == 1
        return np.asarray(alone & (self._sum(~np.isnan(change), counted) == 1) & (not self.has_offsets))

    def _settled(self, ruled: Numbers, change: Numbers, counted: NDArray[np.bool_]) -> Numbers:
        """What each symbol adds: by the preview of its only order, else ``ruled`` or its previews, the greater."""
        known = np.nan_to_num(change)
        grown, moved = (self._sum(part, counted) for part in (np.maximum(known, 0.0), np.abs(known)))
        return np.where(self._by_preview(change, counted), grown, np.maximum(ruled, moved))


class _Changes(NamedTuple):
    initial: Numbers
    maintenance: Numbers
    equity: Numbers


def _needed(sides: tuple[Numbers, Numbers], long: Numbers, short: Numbers | None = None) -> Numbers:
    """Shares times margin a share, of purchases or of sales, whichever is more; 0 without shares."""
    needs = [
        np.where(shares > 0, shares * rate, 0.0)
        for shares, rate in zip(sides, (long, short), strict=True)
        if rate is not None
    ]
    return np.asarray(np.maximum(needs[0], needs[-1]))
