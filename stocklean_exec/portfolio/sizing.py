"""How much of each symbol to trade: from a book and its weights to whole lots that can be paid for.

:mod:`~stocklean_exec.portfolio.lot_rounding` settles which lots to round up; this module says what it has to spend
(what stays, what is closed and what cannot be priced comes off first) and holds its answer to the last cent. Pure.
Quantities are shares, signed; values are in the base currency.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.alignment import freeze_arrays
from stocklean_exec.portfolio.lot_rounding import round_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.portfolio.alignment import AlignedBook

__all__ = ["Sizes", "measure", "whole_trades"]

_EXACT_UP_TO = 50  # names up to which the rounding is proved optimal; see rounding.round_units
_DUST = 1e-9
_SHOWN = 3  # holdings named in one error
_ROUND_OFF = 1e-12  # relative; what adding up floats may be off by
_RESERVE_GROWTH = 1.01  # a stated choice: a reserve that does not do grows by a hundredth, so that one is found


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """How much of each symbol there is and should be, in shares, and what may be spent, in base currency.

    ``held`` counts working orders as filled. ``wish`` is the signed trade that the weight asks for, not yet
    in whole lots; NaN where no price tells. ``kept`` marks holdings that are left alone. The arrays are read-only.
    """

    held: NDArray[np.float64]
    wish: NDArray[np.float64]
    kept: NDArray[np.bool_]
    wanted_value: NDArray[np.float64]
    budget: float

    def __post_init__(self) -> None:
        freeze_arrays(self)


Cost = Callable[["NDArray[np.float64]"], float]
"""What signed trades cost beyond the value of their shares, in base currency: commissions and spread."""


def measure(
    book: AlignedBook, working: dict[str, float], investable: float, *, keep: bool, leverage: float
) -> Sizes:
    """Measure what is held against what is wanted.

    Parameters
    ----------
    book : symbols side by side
    working : signed quantity by symbol that working orders may still add
    investable : NAV less the cash buffer
    keep : leave holdings that the targets do not name
    leverage : above 1, weights may add up to more than one, and so much may be spent
    """
    held = book.held + np.array([working.get(symbol, 0.0) for symbol in book.symbols], dtype="float64")
    net = max(1.0, math.fsum(book.weight.tolist()))
    # Weights that add up to a little over one, by their rounding, share what there is.
    wanted_value = book.weight * (investable if leverage > 1 else investable / net)
    with np.errstate(over="ignore"):
        wish = wanted_value / book.value - held
    kept = ~book.listed if keep else np.zeros(len(held), dtype=bool)
    return Sizes(held, wish, kept, wanted_value, investable * (net if leverage > 1 else 1.0))


def whole_trades(
    book: AlignedBook, lot: NDArray[np.float64], sizes: Sizes, cost: Cost, *, allow_short: bool
) -> NDArray[np.float64]:
    """Signed quantity to trade in each symbol; NaN where it must trade but has no price to say how much.

    Symbols that have a reason not to trade in ``book`` stay as they are, and the money in them is not spent. What
    the trades ``cost`` is kept back where the cash that the weights leave does not cover it.

    Raises
    ------
    InputError
        What stays and what is wanted exceed what may be spent.
    """
    barred = np.array([reason is not None for reason in book.reason], dtype=bool) & ~sizes.kept
    reserve = 0.0
    trade = _trades(book, lot, sizes, barred, reserve, allow_short=allow_short)
    while (needed := _shortfall(book, sizes, trade, barred, cost)) > reserve:
        # A smaller budget makes other trades, whose costs are nearly the same: two rounds do for most books.
        reserve = max(needed, reserve * _RESERVE_GROWTH)
        trade = _trades(book, lot, sizes, barred, reserve, allow_short=allow_short)
    # What cannot be sent is shown as it would have been: a rejected row says what is left undone.
    trade[barred] = np.where(book.weight[barred] == 0, -sizes.held[barred], np.nan)
    priced = barred & ~np.isnan(sizes.wish)
    trade[priced] = _whole(sizes.wish[priced], lot[priced])
    return trade


def _trades(
    book: AlignedBook,
    lot: NDArray[np.float64],
    sizes: Sizes,
    barred: NDArray[np.bool_],
    reserve: float,
    *,
    allow_short: bool,
) -> NDArray[np.float64]:
    """Signed trades of what is not ``barred``, with ``reserve`` kept back from the budget."""
    closing = (book.weight == 0) & ~sizes.kept & ~barred
    trade = np.zeros(len(sizes.held))
    trade[closing] = -_whole(sizes.held[closing], lot[closing])
    others = barred | closing | sizes.kept
    # The rounding settles ties by place: in the order of symbols, the order of the caller's rows is nothing.
    names = np.array(sorted(np.flatnonzero(~others).tolist(), key=book.symbols.__getitem__), dtype="int64")
    trade[names] = _open_trades(book, lot, sizes, trade, names, barred, others, reserve, allow_short=allow_short)
    return trade


def _shortfall(
    book: AlignedBook, sizes: Sizes, trade: NDArray[np.float64], barred: NDArray[np.bool_], cost: Cost
) -> float:
    """Costs of the trades if the money that they leave does not cover them; else, and without a buy, 0."""
    if not (trade > 0).any():
        return 0.0
    costs = cost(trade)
    left = sizes.budget - _committed(book, sizes, trade, barred, np.ones(len(trade), dtype=bool))
    return costs if costs > left + _ROUND_OFF * abs(sizes.budget) else 0.0


def _open_trades(
    book: AlignedBook,
    lot: NDArray[np.float64],
    sizes: Sizes,
    trade: NDArray[np.float64],
    names: NDArray[np.int64],
    barred: NDArray[np.bool_],
    others: NDArray[np.bool_],
    reserve: float,
    *,
    allow_short: bool,
) -> NDArray[np.float64]:
    """Signed trades of ``names`` with the money that the trades of the ``others`` leave."""
    budget = sizes.budget - reserve - _committed(book, sizes, trade, barred, others)
    wish, lot, value, held = sizes.wish[names], lot[names], book.value[names], sizes.held[names]
    wanted = math.fsum(sizes.wanted_value[names].tolist())
    slack = budget - wanted
    if slack < 0 and (wish > 0).any():
        # Costs, and parts of a share that cannot be sold, are no reason to refuse a plan: the targets give way.
        if slack < -reserve - math.fsum(_unsold(book, sizes, trade, others)) - 1e-9 * sizes.budget:
            stays = sizes.budget - reserve - budget
            text = (
                f"targets worth {wanted:,.2f} and holdings that stay worth {stays:,.2f} exceed "
                f"the {sizes.budget:,.2f} there is; lower the weights or close what is kept{_stuck(book, barred)}"
            )
            raise InputError("targets", [Problem("insufficient_cash", text)])
        longs = np.maximum(sizes.wanted_value[names], 0.0)
        wish = wish + longs * slack / math.fsum(longs) / value
    exact_up_to = _EXACT_UP_TO if (lot >= 1).all() else 0
    units = round_units(wish / lot, value * lot, slack=max(slack, 0.0), exact_up_to=exact_up_to).units
    # A rounding may sell more than a name's own wish to pay for another; no holding may turn into a short.
    least = -np.floor(held / lot + _DUST)
    units = np.where((book.weight[names] > 0) | (not allow_short), np.maximum(units, least), units)
    return _within_budget(np.round(units * lot, 8), lot, value, held, budget)


def _stuck(book: AlignedBook, barred: NDArray[np.bool_]) -> str:
    """Name the holdings that stay because they cannot be traded, with the reason."""
    names = [
        f"{book.symbols[index]} ({book.detail[index]})"
        for index in np.flatnonzero(barred & (book.held != 0)).tolist()
    ]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f". These cannot be traded: {'; '.join(names[:_SHOWN])}{more}" if names else ""


def _unsold(
    book: AlignedBook, sizes: Sizes, trade: NDArray[np.float64], others: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Worth of the parts of a share, below one, that are left of positions which are closed in whole shares."""
    left = np.where(others & ~sizes.kept & (book.weight == 0), sizes.held + trade, 0.0)
    return np.where((left > 0) & (left < 1), left * np.nan_to_num(book.value), 0.0)


def _committed(
    book: AlignedBook,
    sizes: Sizes,
    trade: NDArray[np.float64],
    barred: NDArray[np.bool_],
    others: NDArray[np.bool_],
) -> float:
    """Money in what is not sized here: holdings that stay, and what cannot be priced now but is wanted."""
    # A refused symbol's working sells may never fill.
    stays = np.where(barred, np.maximum(sizes.held, book.held), sizes.held + trade)
    worth = np.where(np.isnan(book.value), 0.0, stays * np.nan_to_num(book.value))
    reserved = np.where(barred & np.isnan(book.value), np.maximum(sizes.wanted_value, 0.0), 0.0)
    return math.fsum((worth + reserved)[others].tolist())


def _whole(quantity: NDArray[np.float64], lot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut toward zero to whole shares; to the fractional step where the lot is a part of a share."""
    step = np.minimum(lot, 1.0)
    steps = quantity / step
    nearest = np.round(steps)
    whole = np.where(np.abs(steps - nearest) <= _DUST * np.maximum(1, np.abs(nearest)), nearest, np.trunc(steps))
    return np.round(whole * step, 8)


def _within_budget(
    trade: NDArray[np.float64],
    lot: NDArray[np.float64],
    value: NDArray[np.float64],
    held: NDArray[np.float64],
    budget: float,
) -> NDArray[np.float64]:
    """Return the trades less lots of the cheapest buys while the book is worth more than there is to spend.

    The rounding works in floating point and allows for its noise; this adds up in decimal, as a person would.
    """
    if math.fsum(((held + trade) * value).tolist()) < budget - _ROUND_OFF * abs(budget):
        return trade
    trade = trade.copy()
    for place in np.argsort(value * lot, kind="stable").tolist():
        excess = _decimal_sum(held + trade, value) - Decimal(repr(budget))
        if excess <= Decimal(repr(_ROUND_OFF * abs(budget))):
            break
        bought = trade[place]
        if bought > 0:
            most = math.floor(bought / lot[place] + _DUST)
            lots = min(most, math.ceil(float(excess) / (value[place] * lot[place])))
            trade[place] = round(bought - lots * lot[place], 8)
    return trade


def _decimal_sum(quantity: NDArray[np.float64], price: NDArray[np.float64]) -> Decimal:
    return sum(
        (
            Decimal(repr(shares)) * Decimal(repr(each))
            for shares, each in zip(quantity.tolist(), price.tolist(), strict=True)
        ),
        Decimal(0),
    )
