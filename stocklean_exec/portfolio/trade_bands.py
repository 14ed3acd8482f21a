"""Which of the desired trades are worth making: bands, a minimum order and a cap on turnover.

The rules act before the rounding to whole lots: they replace the sizes of a plan by smaller ones, and mark the
names that are not traded at all, whose quantity then stays as it is. What they leave out is listed by
:func:`~stocklean_exec.held_back`. Pure; money is in the base currency.

1. **Band.** A name whose value differs from its target by no more than its band is not traded
   (``inside_band``). Outside, it is traded to the target, or only to the edge of the band. With costs in
   proportion to the trade the edge is best (M. H. A. Davis and A. R. Norman, "Portfolio selection with transaction
   costs", Mathematics of Operations Research 15, 1990), with a fixed cost per order a point inside the band.
2. **Minimum.** An order of less than the minimum is not made (``below_min_notional``).
3. **Cap and cash.** Of the trades that remain, :func:`~stocklean_exec.portfolio.turnover.limited_trades` chooses
   those within the cap on turnover (``turnover_cap``) and within the cash there is (``not_affordable``): what is
   not sold cannot pay for what is bought.

A holding whose target is 0 is sold in full or not at all, except under a cap. A relative band never keeps it,
since a part of 0 is 0; an absolute band does, if it covers the whole holding, and so does the minimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.alignment import freeze_arrays
from stocklean_exec.portfolio.covariance import Risk, align_covariance
from stocklean_exec.portfolio.sizing import free_cash
from stocklean_exec.portfolio.turnover import limited_trades
from stocklean_exec.schema.frame_validator import number_option, shown, warning_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stocklean_exec.portfolio.alignment import AlignedBook
    from stocklean_exec.portfolio.sizing import Sizes

__all__ = ["BandKind", "BandTo", "Choice", "TradeRules", "choose_trades"]

BandKind = Literal["absolute", "relative"]

BandTo = Literal["edge", "target"]

_LANDING = {"target": 0.0, "edge": 1.0}  # the parts of a band's width at which a trade stops, by definition
_WIDTH = "a fraction from 0 to below 1, such as 0.002 for 20 basis points"
_POINT = "'edge', 'target', or a number from 0 (target) to 1 (edge)"
_MONEY = "an amount of money from 0 up"
_PART = "a fraction of NAV above 0, such as 0.2 for 20 %"
_DUST = 1e-9  # floating-point noise; far below the smallest tradable part of a share, 0.0001
_EDGE = 1 + 1e-9  # a deviation exactly as wide as its band is inside, whatever the round-off
_DROPS = (
    2  # times that only the smaller half of the orders below the minimum is dropped, before all are (a choice)
)


@dataclass(frozen=True, slots=True)
class TradeRules:
    """The rules of a plan, checked.

    Parameters
    ----------
    band : half the width of the band: a weight (``band_kind`` absolute), or a part of the target; None for none
    band_kind : ``"absolute"`` or ``"relative"``
    landing : where a trade ends within the band: 0 at the target, 1 at the edge
    min_notional : money, base currency
    max_turnover : buys and sells together, fraction of NAV; None for no cap
    covariance : for the choice under the cap
    """

    band: float | None = None
    band_kind: BandKind = "absolute"
    landing: float = 0.0
    min_notional: float = 0.0
    max_turnover: float | None = None
    covariance: object = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule that could leave out a trade."""
        return self.band is None and not self.min_notional and self.max_turnover is None

    def notes(self) -> list[dict[str, object]]:
        """Warnings about rules that have no effect."""
        if self.covariance is None or self.max_turnover is not None:
            return []
        text = "covariance chooses trades under max_turnover, which is not given, so it has no effect"
        return [warning_row("covariance_unused", text, table="options", column="covariance")]

    @classmethod
    def of(
        cls,
        band: object = None,
        band_kind: object = "absolute",
        band_to: object = "target",
        min_notional: object = None,
        max_turnover: object = None,
        covariance: object = None,
    ) -> TradeRules:
        """Check the options of :func:`~stocklean_exec.plan_orders`.

        Raises
        ------
        InputError
            With every option that is invalid.

        Examples
        --------
        >>> TradeRules.of(band=0.1, band_kind="relative", band_to="edge").landing
        1.0
        >>> TradeRules.of(band=-0.1, max_turnover=0)
        Traceback (most recent call last):
        ...
        stocklean_exec.errors.InputError: options: 2 problems
          band -0.1 is not a fraction from 0 to below 1, such as 0.002 for 20 basis points [option_invalid]
          max_turnover 0 is not a fraction of NAV above 0, such as 0.2 for 20 % [option_invalid]
        """
        read = _OptionReader()
        kind: BandKind = "relative" if band_kind == "relative" else "absolute"
        width = read.number("band", band, _WIDTH, lambda value: 0 <= value < 1)
        if not isinstance(band_kind, str) or band_kind != kind:
            read.fail("band_kind", band_kind, "one of absolute, relative")
        landing = _LANDING.get(band_to) if isinstance(band_to, str) else None
        if landing is None:
            landing = read.number(
                "band_to", "" if band_to is None else band_to, _POINT, lambda value: 0 <= value <= 1
            )
        least = read.number("min_notional", min_notional, _MONEY, lambda value: value >= 0)
        cap = read.number("max_turnover", max_turnover, _PART, lambda value: value > 0)
        read.finish()
        return cls(width, kind, landing or 0.0, least or 0.0, cap, covariance)


class _OptionReader:
    """Reads the options of a plan's rules and collects their problems."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def number(self, name: str, value: object, wanted: str, is_valid: Callable[[float], bool]) -> float | None:
        """Read a number; None is not given."""
        if value is None:
            return None
        try:
            number = number_option(name, value)
        except InputError:
            number = math.nan
        if not is_valid(number):
            self.fail(name, value, wanted)
        return number

    def fail(self, name: str, value: object, wanted: str) -> None:
        text = f"{name} {shown(value)} is not {wanted}"
        self._problems.append(Problem("option_invalid", text, column=name))

    def finish(self) -> None:
        if self._problems:
            raise InputError("options", self._problems)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Sizes of the trades that the rules allow, and what they leave out.

    Parameters
    ----------
    sizes : for the rounding to lots
    rest : signed shares of each wish that are left out, 0 where nothing is
    reason : why, for each name with a rest; else None
    """

    sizes: Sizes
    rest: NDArray[np.float64]
    reason: NDArray[np.object_]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def all_of(cls, sizes: Sizes) -> Choice:
        """Leave nothing out."""
        count = len(sizes.held)
        return cls(sizes, np.zeros(count), np.full(count, None, dtype=object))


def choose_trades(
    book: AlignedBook,
    sizes: Sizes,
    rules: TradeRules,
    lot: NDArray[np.float64],
    whole: Callable[[Sizes], NDArray[np.float64]],
    *,
    nav: float,
    investable: float,
) -> tuple[Choice, NDArray[np.float64]]:
    """Choose by the rules, and round to whole lots.

    Rounding may bring an order below the minimum, or the plan above the cap: such an order is left out and the
    others are chosen again, and lots are taken off until the plan is within the cap.

    Parameters
    ----------
    book, sizes : every symbol, and what its target calls for
    rules : the rules
    lot : shares in a lot
    whole : rounds sizes to signed whole trades
    nav : of which the cap is a fraction
    investable : of which weights and absolute bands are fractions: NAV less the cash buffer

    Returns
    -------
    The choice, and the signed trades in shares, as :func:`~stocklean_exec.portfolio.sizing.whole_trades` gives
    them.

    Raises
    ------
    InputError
        The covariance cannot be used.
    """
    open_ = ~book.rejected & ~sizes.kept
    risk = _risk(book, open_, rules.covariance)
    if rules.is_empty:
        return Choice.all_of(sizes), whole(sizes)
    wishes = _Wishes.of(book, sizes, rules, open_, investable)
    cash = _spendable(book, sizes, wishes)
    while True:
        wishes, moves, is_capped = _limited(wishes, rules, risk, cash, nav)
        choice = _choice(book, sizes, wishes, moves, is_capped=is_capped)
        trade = whole(choice.sizes)
        value = np.abs(np.nan_to_num(trade * book.value))
        small = open_ & (trade != 0) & (value * _EDGE < rules.min_notional)
        if not small.any():
            break
        wishes = wishes.without(small, "below_min_notional")
    if rules.max_turnover is None:
        return choice, trade
    within = _within_cap(trade, choice.sizes, book.value, lot, open_, rules, nav)
    gone = (trade != 0) & (within == 0)
    if gone.any():
        moves = np.where(gone, 0.0, moves)
        choice = _choice(book, sizes, wishes.without(gone, "turnover_cap"), moves, is_capped=True)
    return choice, within


def _risk(book: AlignedBook, open_: NDArray[np.bool_], covariance: object) -> Risk | None:
    """Covariance of the names that may trade, in their order."""
    if covariance is None:
        return None
    return align_covariance(covariance, [book.symbols[row] for row in np.flatnonzero(open_).tolist()])


@dataclass(frozen=True, slots=True, eq=False)
class _Wishes:
    """Signed trades in money: ``wish`` reaches the target, ``most`` is what the rules leave of it.

    ``open`` are the names that may trade, and ``reason`` says why ``most`` is less than ``wish``.
    """

    open: NDArray[np.bool_]
    wish: NDArray[np.float64]
    most: NDArray[np.float64]
    reason: NDArray[np.object_]

    @classmethod
    def of(
        cls, book: AlignedBook, sizes: Sizes, rules: TradeRules, open_: NDArray[np.bool_], investable: float
    ) -> _Wishes:
        wish = np.where(open_, np.nan_to_num(sizes.desired * book.value), 0.0)
        most, reason = wish.copy(), np.full(len(wish), None, dtype=object)
        found = cls(open_, wish, most, reason)
        if rules.band is not None:
            unit = np.abs(sizes.wanted_value) if rules.band_kind == "relative" else np.full(len(wish), investable)
            width = rules.band * unit
            inside = np.abs(wish) <= width * _EDGE
            landing = np.where(sizes.wanted_value == 0, 0.0, rules.landing * width)
            reached = np.sign(wish) * (np.abs(wish) - landing)
            reason[landing > 0] = "inside_band"
            found = replace(found, most=reached, reason=reason).without(inside, "inside_band")
        return found.without(np.abs(found.most) * _EDGE < rules.min_notional, "below_min_notional")

    def without(self, rows: NDArray[np.bool_], reason: str) -> _Wishes:
        """Do not trade some names; one that is not traded already keeps its reason."""
        new = rows & (self.most != 0)
        return replace(self, most=np.where(rows, 0.0, self.most), reason=np.where(new, reason, self.reason))


def _spendable(book: AlignedBook, sizes: Sizes, wishes: _Wishes) -> float:
    """Cash by which buys may exceed sells; no limit where the targets themselves exceed it.

    In that case the rounding refuses the plan, as it does without rules.
    """
    cash = free_cash(book, sizes)
    return cash if math.fsum(wishes.wish.tolist()) <= cash + _DUST * abs(sizes.budget) else math.inf


def _limited(
    wishes: _Wishes, rules: TradeRules, risk: Risk | None, cash: float, nav: float
) -> tuple[_Wishes, NDArray[np.float64], bool]:
    """Trades within cap and cash, none made smaller than the minimum by these; and whether the cap binds."""
    turnover = math.inf if rules.max_turnover is None else rules.max_turnover
    moves = np.zeros(len(wishes.wish))
    rows = wishes.open
    for number in range(len(moves) + 1):
        found = limited_trades(
            wishes.wish[rows] / nav,
            wishes.most[rows] / nav,
            turnover=turnover,
            cash=cash / nav,
            risk=risk,
            start=moves[rows] / nav if number else None,
        )
        most = wishes.most[rows]
        is_whole = np.abs(found.trades * nav - most) <= _DUST * np.abs(most)
        moves[rows] = np.where(is_whole, most, found.trades * nav)
        size = np.abs(moves)
        small = (size > _DUST * nav) & (size * _EDGE < rules.min_notional)
        if not small.any():
            break
        if number < _DROPS:  # the turnover that some of them free may lift others above the minimum
            small &= size <= np.median(size[small])
        wishes = wishes.without(small, "turnover_cap" if found.is_capped else "not_affordable")
    return wishes, np.where(np.abs(moves) > _DUST * nav, moves, 0.0), found.is_capped


def _choice(
    book: AlignedBook, sizes: Sizes, wishes: _Wishes, moves: NDArray[np.float64], *, is_capped: bool
) -> Choice:
    """Sizes of the trades that are made; names without one keep their quantity."""
    value = np.nan_to_num(book.value, nan=1.0)
    changed = wishes.open & (moves != wishes.wish)
    desired = np.where(changed, moves / value, sizes.desired)
    idle = wishes.open & (moves == 0)
    wanted_value = np.where(changed, (sizes.held + desired) * value, sizes.wanted_value)
    reason = wishes.reason.copy()
    cut = np.abs(wishes.most - moves) > _DUST * np.abs(wishes.most)
    reason[cut] = "turnover_cap" if is_capped else "not_affordable"
    rest = np.where(changed, (wishes.wish - moves) / value, 0.0)
    rest[np.abs(rest) <= _DUST] = 0.0
    reason[rest == 0] = None
    return Choice(replace(sizes, desired=desired, kept=sizes.kept | idle, wanted_value=wanted_value), rest, reason)


def _within_cap(
    trade: NDArray[np.float64],
    sizes: Sizes,
    value: NDArray[np.float64],
    lot: NDArray[np.float64],
    open_: NDArray[np.bool_],
    rules: TradeRules,
    nav: float,
) -> NDArray[np.float64]:
    """Take lots off the orders until the plan is within the cap on turnover.

    Buys come first, so that the plan stays affordable, and of these the ones that the rounding made larger than
    they were chosen. An order that would fall below the minimum is dropped.
    """
    cap = math.inf if rules.max_turnover is None else rules.max_turnover * nav * _EDGE
    money = np.where(open_, np.abs(np.nan_to_num(trade * value)), 0.0)
    over = math.fsum(money.tolist()) - cap
    if over <= 0:
        return trade
    trade = trade.copy()
    above = money - np.abs(np.nan_to_num(sizes.desired * value))
    order = np.lexsort((-above, trade < 0)).tolist()
    rounded_up = [row for row in order if trade[row] > 0 and above[row] > 0]
    for row, most_lots in [*((row, 1.0) for row in rounded_up), *((row, math.inf) for row in order)]:
        if over <= 0:
            break
        if not (open_[row] and trade[row]):
            continue
        lots = min(most_lots, math.ceil(over / (lot[row] * value[row])))
        left = max(round(abs(trade[row]) - lots * lot[row], 8), 0.0)
        if left * value[row] * _EDGE < rules.min_notional:
            left = 0.0
        over -= (abs(trade[row]) - left) * value[row]
        trade[row] = math.copysign(left, trade[row]) if left else 0.0
    return trade
