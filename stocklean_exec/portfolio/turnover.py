"""Which trades to make if not all can be made: a cap on turnover, and the cash there is.

The desired trades ``d`` bring a book to its targets. With trades ``x`` it keeps the deviation ``d - x``. Of all
``x`` that trade no more than allowed, that buy no more than cash and sells pay for, and that lie between 0 and the
largest trade of each name, :func:`limited_trades` finds the one with the least ``(x - d)' C (x - d)``: of the
square of the tracking error, where ``C`` is a covariance. All trades are chosen together. One by one by their
benefit they may end further from the targets than no trade at all, since the deviations of a held book largely
cancel out, and half of a pair of trades does not.

Without a covariance all names count as equally risky and uncorrelated: the largest deviations are traded first,
each down to the same remaining size.

At the optimum every name that is traded in part has the same benefit for the last unit of turnover, the
multiplier of the cap (the condition of R. C. Grinold and R. N. Kahn, "Active Portfolio Management", 1999, for
trades at a cost). Convexity makes that sufficient, and gives a proved bound on how far any ``x`` is from the
optimum: the search ends when that bound is small, whatever found the trades.

Two methods take turns. The primal-dual active set method (M. Hintermueller, K. Ito and K. Kunisch, "The
primal-dual active set strategy as a semismooth Newton method", SIAM Journal on Optimization 13, 2003) guesses
which names are traded in part, solves for these exactly, and corrects the guess; a few rounds are usual. It may
fail to converge. Then FISTA (A. Beck and M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for
linear inverse problems", SIAM Journal on Imaging Sciences 2, 2009, with the restarts of B. O'Donoghue and E.
Candes, "Adaptive restart for accelerated gradient schemes", Foundations of Computational Mathematics 15, 2015),
which converges from anywhere, gives it a better guess.

Pure; arrays in and arrays out. Trades, cash and turnover are signed fractions of NAV, or any other unit of money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.portfolio.covariance import Risk

__all__ = ["LimitedTrades", "limited_trades"]

_GAP = 1e-6  # of the squared tracking error without trades: of 20 bp, at most a hundredth of a bp (a choice)
_ROUNDS = 8  # of both methods; the first one nearly always is the last (a choice)
_GUESSES = 20  # corrections of the active set in one round; where it converges it needs up to ten (a choice)
_STEPS = 50  # of FISTA in the first round, and twice as many in each further one (a choice)
_ROOT_STEPS = 100  # bisection alone needs about 60 to halve an interval down to the resolution of a float
_ROUND_OFF = 1e-12  # relative error of sums of floats


@dataclass(frozen=True, slots=True, eq=False)
class LimitedTrades:
    """The trades to make, and how good they are proved to be.

    Parameters
    ----------
    trades : signed, in the unit of the desired trades
    is_capped : whether the cap on turnover leaves out a part of them; else only cash does, if anything
    gap : proved: no other allowed trades have a lower ``(x - d)' C (x - d)`` by more than this
    """

    trades: NDArray[np.float64]
    is_capped: bool = False
    gap: float = 0.0


def limited_trades(
    wish: NDArray[np.float64],
    most: NDArray[np.float64],
    *,
    turnover: float = math.inf,
    cash: float = math.inf,
    risk: Risk | None = None,
    start: NDArray[np.float64] | None = None,
) -> LimitedTrades:
    """Choose the trades within a cap on turnover and the cash there is that leave the least deviation.

    Parameters
    ----------
    wish : signed trade of each name that its target calls for
    most : the largest trade of each name: between 0, for a name that is not traded, and its wish
    turnover : the most that buys and sells may add up to
    cash : the most that buys may exceed sells by; if it is negative, and sells cannot raise it, nothing is bought
    risk : covariance of the names; None counts all as equally risky and uncorrelated
    start : trades to begin from, such as those of a similar problem

    Examples
    --------
    Two offsetting deviations, of two names that move together, and a third one. A turnover of 0.02:

    >>> from stocklean_exec.portfolio.covariance import Risk
    >>> wish = np.array([0.02, -0.02, 0.01])
    >>> pair = np.array([[0.09, 0.089, 0.0], [0.089, 0.09, 0.0], [0.0, 0.0, 0.09]])
    >>> limited_trades(wish, wish, turnover=0.02).trades.round(4).tolist()
    [0.01, -0.01, 0.0]
    >>> limited_trades(wish, wish, turnover=0.02, risk=Risk(matrix=pair)).trades.round(4).tolist()
    [0.0051, -0.0051, 0.0098]
    """
    side = np.sign(most)
    size = np.abs(most)
    allowed = _Allowed(side, size, max(turnover, 0.0), cash)
    whole = allowed.nearest(size, np.ones(len(size)))
    if whole.turnover_level == 0 and whole.cash_level == 0:
        return LimitedTrades(most)
    if risk is None:
        inside = allowed.nearest(side * wish, np.ones(len(size)))
        return LimitedTrades(side * inside.sizes, is_capped=inside.turnover_level > 0)
    return _minimise(wish, allowed, risk, whole.sizes if start is None else np.clip(side * start, 0.0, size))


@dataclass(frozen=True, slots=True)
class _Point:
    """Sizes of trades within the constraints, and the level (multiplier) of each constraint; 0 if it is slack."""

    sizes: NDArray[np.float64]
    turnover_level: float = 0.0
    cash_level: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Allowed:
    """Sizes ``s`` with ``0 <= s <= most``, ``sum(s) <= turnover`` and ``sum(side x s) <= cash``."""

    side: NDArray[np.float64]
    most: NDArray[np.float64]
    turnover: float
    cash: float

    def nearest(self, target: NDArray[np.float64], curvature: NDArray[np.float64]) -> _Point:
        """Nearest allowed sizes to ``target``, in the metric of ``curvature``.

        They are ``target - (turnover_level + side x cash_level) / curvature``, cut off at 0 and ``most``. The
        cases are tried in turn: no constraint binds, one of them, both. With both, buys and sells have known sums,
        and are two separate problems.
        """
        step = 1.0 / curvature
        free = np.minimum(np.maximum(target, 0.0), self.most)
        total, net = float(free.sum()), float(free @ self.side)
        if self._within(total, net):
            return _Point(free)
        ones = np.ones(len(target))
        if total > self.turnover:
            sizes, level = _at_sum(target, step, self.most, ones, self.turnover)
            if self._within(self.turnover, float(sizes @ self.side)):
                return _Point(sizes, level)
        if net > self.cash:
            sizes, cash_level = _at_sum(target, step, self.most, self.side, self.cash)
            if self._within(float(sizes.sum()), self.cash):
                return _Point(sizes, 0.0, cash_level)
        return self._both_bind(target, step)

    def _within(self, total: float, net: float) -> bool:
        round_off = _ROUND_OFF * (1.0 + float(self.most.sum()))
        return total <= self.turnover + round_off and net <= self.cash + round_off

    def _both_bind(self, target: NDArray[np.float64], step: NDArray[np.float64]) -> _Point:
        sizes, levels = np.zeros(len(target)), []
        bought = min(max((self.turnover + self.cash) / 2, 0.0), self.turnover)
        for side, amount in ((1.0, bought), (-1.0, self.turnover - bought)):
            rows = np.flatnonzero(self.side == side)
            sizes[rows], level = _at_sum(target[rows], step[rows], self.most[rows], np.ones(len(rows)), amount)
            levels.append(level)
        return _Point(sizes, max((levels[0] + levels[1]) / 2, 0.0), max((levels[0] - levels[1]) / 2, 0.0))


def _at_sum(
    target: NDArray[np.float64],
    step: NDArray[np.float64],
    most: NDArray[np.float64],
    side: NDArray[np.float64],
    total: float,
) -> tuple[NDArray[np.float64], float]:
    """Find the level at which ``clip(target - level x side x step, 0, most)`` has the signed sum ``total``.

    The sum is falling and piecewise linear in the level: Newton's method, kept within a bracket that shrinks. If
    no level has this sum, it is the one that comes nearest.
    """
    if not len(target):
        return target.copy(), 0.0
    pull = side * step
    reach = float(((np.abs(target) + most) / step).max())
    low, high = -reach, reach
    enough = _ROUND_OFF * (float(most.sum()) + abs(total))
    level = 0.0
    for _ in range(_ROOT_STEPS):
        raw = target - level * pull
        sizes = np.minimum(np.maximum(raw, 0.0), most)
        excess = float(sizes @ side) - total
        if abs(excess) <= enough or high - low <= _ROUND_OFF * reach:
            break
        low, high = (level, high) if excess > 0 else (low, level)
        slope = float(step[(raw > 0) & (raw < most)].sum())
        level += excess / slope if slope > 0 else math.inf
        if not low < level < high:
            level = (low + high) / 2
    return sizes, level


def _minimise(
    wish: NDArray[np.float64], allowed: _Allowed, risk: Risk, start: NDArray[np.float64]
) -> LimitedTrades:
    """Search from ``start`` until the bound proves the trades to be as good as the best."""
    enough = _GAP * float(wish @ risk.times(wish)) / 2
    best, gap, sizes = _Point(start), math.inf, start
    for number in range(_ROUNDS):
        for search in (_active_set, partial(_gradient_steps, steps=_STEPS * 2**number)):
            point = search(wish, allowed, risk, sizes)
            found = math.inf if point is None else _gap(wish, allowed, risk, point)
            if point is not None and found < gap:
                best, gap = point, found
            if gap <= enough:
                return LimitedTrades(allowed.side * best.sizes, best.turnover_level > 0, 2 * gap)
            sizes = best.sizes
    return LimitedTrades(allowed.side * best.sizes, best.turnover_level > 0, 2 * gap)


@dataclass(frozen=True, slots=True, eq=False)
class _Guess:
    """Which names are traded in part (``free``) and in full (``full``), and which constraints bind."""

    free: NDArray[np.bool_]
    full: NDArray[np.bool_]
    is_capped: bool
    is_short: bool

    def same(self, other: _Guess) -> bool:
        binds = (self.is_capped, self.is_short) == (other.is_capped, other.is_short)
        return binds and bool((self.free == other.free).all() and (self.full == other.full).all())


def _active_set(
    wish: NDArray[np.float64], allowed: _Allowed, risk: Risk, start: NDArray[np.float64]
) -> _Point | None:
    """Primal-dual active set method from the names that ``start`` trades in part; None if it does not converge."""
    most = allowed.most
    full = (start >= most) & (most > 0)
    guess = _Guess((start > 0) & ~full, full, math.isfinite(allowed.turnover), math.isfinite(allowed.cash))
    for _ in range(_GUESSES):
        point = _solved(guess, wish, allowed, risk)
        if point is None:
            return None
        better = _corrected(guess, point, wish, allowed, risk)
        if better.same(guess):
            return _Point(np.minimum(np.maximum(point.sizes, 0.0), most), point.turnover_level, point.cash_level)
        guess = better
    return None


def _solved(guess: _Guess, wish: NDArray[np.float64], allowed: _Allowed, risk: Risk) -> _Point | None:
    """Optimum if the guess is right: else its sizes leave their bounds, or a level is negative.

    The names traded in part have a slope of zero, which is linear in their sizes and in the levels. None if too
    few names are traded in part to meet the constraints.
    """
    side, rows = allowed.side, np.flatnonzero(guess.free)
    sizes = np.where(guess.full, allowed.most, 0.0)
    binding = [
        (weights, limit)
        for binds, weights, limit in (
            (guess.is_capped, np.ones(len(side)), allowed.turnover),
            (guess.is_short, side, allowed.cash),
        )
        if binds
    ]
    if len(rows) < max(len(binding), 1):
        return None
    pull = risk.times(wish - side * sizes)[rows]
    solved = risk.solve(rows, np.column_stack([pull, *((side * weights)[rows] for weights, _ in binding)]))
    moves = side[rows, None] * solved  # sizes: without levels, and for one unit of each
    levels: list[float] = []
    if binding:
        sums = np.array([weights[rows] for weights, _ in binding])
        over = sums @ moves[:, 0] - [limit - float(sizes @ weights) for weights, limit in binding]
        try:
            levels = np.linalg.solve(sums @ moves[:, 1:], over).tolist()
        except np.linalg.LinAlgError:
            return None  # all names in part are buys, or all are sells
    sizes[rows] = moves[:, 0] - moves[:, 1:] @ np.array(levels)
    turnover_level = levels.pop(0) if guess.is_capped else 0.0
    return _Point(sizes, turnover_level, levels.pop(0) if guess.is_short else 0.0)


def _corrected(guess: _Guess, point: _Point, wish: NDArray[np.float64], allowed: _Allowed, risk: Risk) -> _Guess:
    """Move each name whose size has left its bounds, or whose slope has the wrong sign at one."""
    sizes, side, most = point.sizes, allowed.side, allowed.most
    slope = side * risk.times(side * sizes - wish) + point.turnover_level + side * point.cash_level
    none = np.where(guess.free, sizes < 0, ~guess.full & (slope >= 0)) | (most == 0)
    full = np.where(guess.free, sizes > most, guess.full & (slope <= 0)) & ~none
    room = _ROUND_OFF * (1.0 + float(most.sum()))
    return _Guess(
        ~none & ~full,
        full,
        point.turnover_level > 0 if guess.is_capped else float(sizes.sum()) > allowed.turnover + room,
        point.cash_level > 0 if guess.is_short else float(sizes @ side) > allowed.cash + room,
    )


def _gradient_steps(
    wish: NDArray[np.float64], allowed: _Allowed, risk: Risk, start: NDArray[np.float64], *, steps: int
) -> _Point:
    """Some steps of FISTA from ``start``."""
    side, curvature = allowed.side, risk.curvature()
    point, ahead, momentum = _Point(start), start, 1.0
    for _ in range(steps):
        slope = side * risk.times(side * ahead - wish)
        before, point = point.sizes, allowed.nearest(ahead - slope / curvature, curvature)
        sizes = point.sizes
        if float((ahead - sizes) * curvature @ (sizes - before)) > 0:
            ahead, momentum = sizes, 1.0  # the momentum points uphill
        else:
            larger = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
            ahead, momentum = sizes + (momentum - 1) / larger * (sizes - before), larger
    return point


def _gap(wish: NDArray[np.float64], allowed: _Allowed, risk: Risk, point: _Point) -> float:
    """Proved bound on half of ``(x - d)' C (x - d)`` at ``point`` above its least value.

    A convex function lies above its tangent. So the least value is at least the least value of tangent plus levels
    times constraints, in which the names are independent.
    """
    sizes, side = point.sizes, allowed.side
    slope = side * risk.times(side * sizes - wish) + point.turnover_level + side * point.cash_level
    descent = float(slope @ sizes) - float(np.minimum(slope, 0.0) @ allowed.most)
    slack = 0.0
    if point.turnover_level:
        slack += point.turnover_level * (allowed.turnover - float(sizes.sum()))
    if point.cash_level:
        slack += point.cash_level * (allowed.cash - float(sizes @ side))
    return descent + slack
