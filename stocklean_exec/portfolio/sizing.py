"""How much of each symbol to trade: from a book and its weights to whole, affordable lots.

:mod:`~stocklean_exec.portfolio.lot_rounding` decides which lots to round up. This module computes the budget for
it (less the holdings that stay, are closed or cannot be priced) and enforces that budget to the cent. Pure.
Quantities are signed shares; values are in the base currency.
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
from stocklean_exec.portfolio.lot_rounding import EXACT_UP_TO, round_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.portfolio.alignment import AlignedBook

__all__ = ["Sizes", "free_cash", "measure", "whole_trades"]

_DUST = 1e-9  # floating-point noise; far below the smallest tradable part of a share, 0.0001
_SHOWN = 3  # a stated choice: holdings named in one error, so that it stays readable
_ROUND_OFF = 1e-12  # relative error of a sum of floats, about 4,500 times the machine epsilon
_RESERVE_GROWTH = 1.01  # a stated choice: an insufficient reserve grows by at least 1 %, so that the loop ends


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """Current and desired size of each symbol in shares, and the budget in base currency.

    ``held`` counts working orders as filled. ``desired`` is the signed trade that reaches the weight, not rounded
    to lots; NaN without a price. ``kept`` marks holdings that are not traded. The arrays are read-only.
    """

    held: NDArray[np.float64]
    desired: NDArray[np.float64]
    kept: NDArray[np.bool_]
    wanted_value: NDArray[np.float64]
    budget: float

    def __post_init__(self) -> None:
        freeze_arrays(self)


Cost = Callable[["NDArray[np.float64]"], float]
"""Cost of signed trades beyond the value of their shares, in base currency: commissions and spread."""


def measure(
    book: AlignedBook, working: dict[str, float], investable: float, *, keep: bool, leverage: float
) -> Sizes:
    """Compute the desired trades and the budget.

    Parameters
    ----------
    book : the aligned symbols
    working : signed quantity by symbol that working orders may still fill
    investable : NAV less the cash buffer
    keep : do not trade holdings that are not in the targets
    leverage : above 1, weights may add up to more than one, and the budget grows with them
    """
    held = book.held.copy()
    if working:
        held += np.array([working.get(symbol, 0.0) for symbol in book.symbols], dtype="float64")
    net = max(1.0, math.fsum(book.weight.tolist()))
    # Weights that add up to slightly more than one, by rounding, are scaled down to the budget.
    wanted_value = book.weight * (investable if leverage > 1 else investable / net)
    with np.errstate(over="ignore"):
        desired = wanted_value / book.value - held
    kept = ~book.listed if keep else np.zeros(len(held), dtype=bool)
    return Sizes(held, desired, kept, wanted_value, investable * (net if leverage > 1 else 1.0))


def closing_steps(lot: NDArray[np.float64], exchange_lot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares in whose multiples a holding can be closed: the exchange's lot, else a share or a part of one.

    A lot that a user has set does not keep a holding from being closed.

    Examples
    --------
    >>> closing_steps(np.array([100.0, 100.0, 0.0001]), np.array([100.0, 1.0, 1.0])).tolist()
    [100.0, 1.0, 0.0001]
    """
    return np.where(exchange_lot > 1, exchange_lot, np.minimum(lot, 1.0))


def whole_trades(
    book: AlignedBook,
    lot: NDArray[np.float64],
    sizes: Sizes,
    cost: Cost,
    *,
    allow_short: bool,
    exchange_lot: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Signed quantity to trade in each symbol; NaN where it must trade but has no price.

    Symbols with a rejection reason in ``book`` keep their position, and its value is not spent. The ``cost`` of
    the trades is reserved where the cash that the weights leave does not cover it. ``exchange_lot`` is the lot
    that each exchange demands, 1 where it has none; what is less than that stays of a holding that is closed.

    Raises
    ------
    InputError
        Targets and remaining holdings exceed the budget.
    """
    rejected = book.rejected & ~sizes.kept
    reserve = 0.0
    step = closing_steps(lot, np.ones(len(lot)) if exchange_lot is None else exchange_lot)
    trade = _trades(book, lot, step, sizes, rejected, reserve, allow_short=allow_short)
    while (needed := _shortfall(book, sizes, trade, rejected, cost)) > reserve:
        # A smaller budget gives other trades with nearly the same costs: most books need two rounds.
        reserve = max(needed, reserve * _RESERVE_GROWTH)
        trade = _trades(book, lot, step, sizes, rejected, reserve, allow_short=allow_short)
    # A rejected row shows the quantity that would have been sent.
    trade[rejected] = np.where(book.weight[rejected] == 0, -sizes.held[rejected], np.nan)
    priced = rejected & ~np.isnan(sizes.desired)
    trade[priced] = _whole(sizes.desired[priced], np.minimum(lot[priced], 1.0))
    return trade


def _trades(
    book: AlignedBook,
    lot: NDArray[np.float64],
    step: NDArray[np.float64],
    sizes: Sizes,
    rejected: NDArray[np.bool_],
    reserve: float,
    *,
    allow_short: bool,
) -> NDArray[np.float64]:
    """Signed trades of the symbols that are not ``rejected``, with ``reserve`` deducted from the budget."""
    # A holding whose target is 0 may be reduced only in part, by a cap on turnover: then it has a wanted value.
    closing = (book.weight == 0) & (sizes.wanted_value == 0) & ~sizes.kept & ~rejected
    trade = np.zeros(len(sizes.held))
    trade[closing] = -_whole(sizes.held[closing], step[closing])
    others = rejected | closing | sizes.kept
    # The rounding breaks ties by position: sorted by symbol, the caller's row order has no effect.
    names = np.array(sorted(np.flatnonzero(~others).tolist(), key=book.symbols.__getitem__), dtype="int64")
    unsold = math.fsum(_unsold_parts(book, step, sizes, trade, others))
    trade[names] = _open_trades(
        book, lot, sizes, trade, names, rejected, others, reserve, unsold, allow_short=allow_short
    )
    return trade


def _shortfall(
    book: AlignedBook, sizes: Sizes, trade: NDArray[np.float64], rejected: NDArray[np.bool_], cost: Cost
) -> float:
    """Costs of the trades if the remaining cash does not cover them; else, or without a buy, 0."""
    if not (trade > 0).any():
        return 0.0
    costs = cost(trade)
    left = sizes.budget - _committed_value(book, sizes, trade, rejected, np.ones(len(trade), dtype=bool))
    return costs if costs > left + _ROUND_OFF * abs(sizes.budget) else 0.0


def _open_trades(
    book: AlignedBook,
    lot: NDArray[np.float64],
    sizes: Sizes,
    trade: NDArray[np.float64],
    names: NDArray[np.int64],
    rejected: NDArray[np.bool_],
    others: NDArray[np.bool_],
    reserve: float,
    unsold: float,
    *,
    allow_short: bool,
) -> NDArray[np.float64]:
    """Signed trades of ``names`` with the budget that remains after the ``others``."""
    budget = sizes.budget - reserve - _committed_value(book, sizes, trade, rejected, others)
    desired, lot, value, held = sizes.desired[names], lot[names], book.value[names], sizes.held[names]
    wanted = math.fsum(sizes.wanted_value[names].tolist())
    slack = budget - wanted
    if slack < 0 and (desired > 0).any():
        # Costs and unsellable parts of a lot do not make a plan invalid: the targets are reduced.
        if slack < -reserve - unsold - 1e-9 * sizes.budget:
            stays = sizes.budget - reserve - budget
            text = (
                f"targets of {wanted:,.2f} and remaining holdings of {stays:,.2f} exceed the budget of "
                f"{sizes.budget:,.2f}; lower the weights or close holdings{_untradable_text(book, rejected)}"
            )
            raise InputError("targets", [Problem("insufficient_cash", text)])
        longs = np.maximum(sizes.wanted_value[names], 0.0)
        desired = desired + longs * slack / math.fsum(longs) / value
    exact_up_to = EXACT_UP_TO if (lot >= 1).all() else 0
    units = round_units(desired / lot, value * lot, slack=max(slack, 0.0), exact_up_to=exact_up_to).units
    # The rounding may sell more of a name than desired to fund another; no holding may become a short.
    least = -np.floor(held / lot + _DUST)
    units = np.where((book.weight[names] >= 0) | (not allow_short), np.maximum(units, least), units)
    return _within_budget(np.round(units * lot, 8), lot, value, held, budget)


def _untradable_text(book: AlignedBook, rejected: NDArray[np.bool_]) -> str:
    """Name the holdings that cannot be traded, with their reasons."""
    names = [
        f"{book.symbols[index]} ({book.detail[index]})"
        for index in np.flatnonzero(rejected & (book.held != 0)).tolist()
    ]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f". These cannot be traded: {'; '.join(names[:_SHOWN])}{more}" if names else ""


def _unsold_parts(
    book: AlignedBook,
    step: NDArray[np.float64],
    sizes: Sizes,
    trade: NDArray[np.float64],
    others: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Value of the parts of a share, or of an exchange's lot, that remain of positions that are closed."""
    left = np.where(others & ~sizes.kept & (book.weight == 0), sizes.held + trade, 0.0)
    return np.where((left > 0) & (left < np.maximum(step, 1.0)), left * np.nan_to_num(book.value), 0.0)


def _committed_value(
    book: AlignedBook,
    sizes: Sizes,
    trade: NDArray[np.float64],
    rejected: NDArray[np.bool_],
    others: NDArray[np.bool_],
) -> float:
    """Value committed outside this sizing: remaining holdings, and targets without a price."""
    # The working sells of a rejected symbol may never fill.
    stays = np.where(rejected, np.maximum(sizes.held, book.held), sizes.held + trade)
    value = np.where(np.isnan(book.value), 0.0, stays * np.nan_to_num(book.value))
    reserved = np.where(rejected & np.isnan(book.value), np.maximum(sizes.wanted_value, 0.0), 0.0)
    return math.fsum((value + reserved)[others].tolist())


def free_cash(book: AlignedBook, sizes: Sizes) -> float:
    """Part of the budget that is left while nothing is traded, base currency; below 0 it is overspent."""
    nothing, every = np.zeros(len(sizes.held)), np.ones(len(sizes.held), dtype=bool)
    return sizes.budget - _committed_value(book, sizes, nothing, book.rejected & ~sizes.kept, every)


def _whole(quantity: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut toward zero to whole steps."""
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
    """Return the trades, reduced by lots of the cheapest buys until the book is within the budget.

    The rounding works in floating point, with a tolerance; this sums in decimal arithmetic.
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
