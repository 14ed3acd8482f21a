"""Round fractional trades to whole units: the affordable plan closest to the target.

Pure functions, arrays in and arrays out, with no symbols, tables, broker or clock. The one exception to "same
input, same output" is :data:`HIGHS_TIME_LIMIT`: a rare hard problem goes to a solver that stops after that many
seconds, and :attr:`Rounded.proved_optimal` is then False.

Units and signs. ``desired`` is the trade wanted in units: positive buys, negative sells or sells short, a unit is
one lot. ``unit_value`` is the value of one unit in base currency, always positive. Rounding down means towards
minus infinity on both sides, so a plan that is rounded down everywhere spends no more than the target. ``slack``
is currency that may be spent beyond the target, out of the cash that the target leaves.

The measure. With deviations ``a = unit_value * (units - desired)`` and cash as one more asset, active share in
currency is ``max(sum of a above zero, minus the sum of a below zero)``. It equals ``under + max(T, 0)`` where
``under`` is the total shortfall in names below target and ``T = sum(a)`` is the spending beyond the target.

The theory, used throughout. Write ``f`` for the remainder ``desired - floor(desired)`` and ``v`` for
``unit_value``. Without slack, choosing which names to round up is a 0/1 knapsack with weights ``v`` and values ``v
* f``, so taking the largest remainders first is Dantzig's greedy rule. The remainder at which the money runs out
is the shadow price of cash, ``price``. Charging every plan ``price`` for each unit of money that it spends gives a
bound on all integer plans (see :func:`lower_bound`), and gives each departure from the priced plan a reduced cost.
A plan better than the best one known cannot contain a departure that costs more than the gap. Few departures
remain, and those are searched exhaustively.

Sources: G. B. Dantzig, "Discrete-variable extremum problems", Operations Research 5 (1957); E. Horowitz and
S. Sahni, "Computing partitions with applications to the knapsack problem", Journal of the ACM 21 (1974), for
the search in two halves; G. L. Nemhauser and Z. Ullmann, "Discrete dynamic programming and capital
allocation", Management Science 15 (1969), for dropping dominated choices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Integers: TypeAlias = NDArray[np.int64]

__all__ = [
    "EXACT_UP_TO",
    "HIGHS_TIME_LIMIT",
    "Method",
    "Rounded",
    "active_share_value",
    "lower_bound",
    "round_units",
]

Method = Literal["largest_remainder", "core_search", "exact"]

EXACT_UP_TO = 50
"""Most names for which the solver is started; a stated choice: of larger problems the search proves most plans."""

HIGHS_TIME_LIMIT = 1.0
"""Seconds that the solver may spend on a small problem which the search did not finish; a stated choice, so that a
plan of a notebook cell appears within a second or two."""

_SNAP = 1e-9  # a desired trade this close to a whole number, relatively, is that number: 0.29 * 100 is 29
_ROUND_OFF = 1e-12  # of the total value: error of sums of floats, and the most that is overspent
_SMALLEST_GAP = 1e-7  # of the total value: the solver is not started for less than a thousandth of a basis point
_FIRST, _SECOND, _THIRD = 2**8, 2**11, 2**16  # a stated choice: most choices kept per half of each search; memory
_MOST_UNITS = 2.0**53  # floats above it skip whole numbers
_MOST_BELOW = (
    1e6  # a stated choice: the solver is not started if a name might go further below its rounded-down size
)


@dataclass(frozen=True, slots=True)
class Rounded:
    """A plan in whole units, and its quality.

    Parameters
    ----------
    units : whole units to trade, signed, one for each name
    objective : active share of the plan in currency, cash being an asset
    lower_bound : currency; no affordable plan in whole units has less active share. It equals ``objective``
        where the plan is proved optimal, and else is the bound of :func:`lower_bound`
    method : the step that found the plan
    proved_optimal : whether no affordable plan in whole units is better, up to round-off
    """

    units: NDArray[np.int64]
    objective: float
    lower_bound: float
    method: Method
    proved_optimal: bool


@dataclass(frozen=True, slots=True)
class _RoundingProblem:
    """The problem, with desired trades split into a whole floor and a remainder in [0, 1)."""

    floor: Floats
    remainder: Floats
    value: Floats
    slack: float
    scale: float
    price: float
    bound: float

    @property
    def round_off(self) -> float:
        """Error of sums over this problem, in currency."""
        return _ROUND_OFF * self.scale


@dataclass(frozen=True, slots=True)
class _Plan:
    """Units above the floor for each name, and the active share that follows."""

    above: Floats
    objective: float
    method: Method


@dataclass(frozen=True, slots=True)
class _Half:
    """The choices kept for one half of the names searched.

    ``shift`` is the spending that a choice adds, ``cost`` its reduced cost. ``trail`` records, for each name
    added, the earlier choice that a choice extends and its units of that name.
    """

    shift: Floats
    cost: Floats
    trail: list[tuple[int, Integers, Floats]] = field(default_factory=list)


def round_units(
    desired: ArrayLike,
    unit_value: ArrayLike,
    *,
    slack: float = 0.0,
    exact_up_to: int = EXACT_UP_TO,
    time_limit: float = HIGHS_TIME_LIMIT,
) -> Rounded:
    """Whole units with the least active share that ``sum(unit_value * desired) + slack`` can pay for.

    Problems of any size are rounded by largest remainder and then improved by a search of the names closest to the
    break, which proves most plans optimal. Problems of up to ``exact_up_to`` names are searched further, and go to
    the HiGHS solver if that is not enough. A plan may sell a cheap name below its rounded-down size to fund an
    expensive one. Ties go to the name that comes first.

    Parameters
    ----------
    desired : units wanted, signed, one for each name; within 1e-9 (relative) of a whole number is whole
    unit_value : base currency per unit, above zero
    slack : base currency that may be spent beyond the target; 0 for a fully invested book
    exact_up_to : most names for which the solver is started; 0 never starts it
    time_limit : most seconds that the solver may take

    Returns
    -------
    Rounded
        Spending never exceeds the capacity by more than 1e-9 of the gross value of the trades.

    Raises
    ------
    ValueError
        For arrays of different shapes, values that are not finite, a unit value that is not above zero, a
        trade of 2**53 units or more, or a negative ``slack``.

    Examples
    --------
    $2,700 for two names with targets of 36.0 and 27.27 units, and ample cash. A 28th unit of the second name is
    affordable, but would be $24 above target where 27 units are $9 below:

    >>> plan = round_units([36.0, 900 / 33], [50.0, 33.0], slack=6_300.0)
    >>> plan.units, round(plan.objective, 9), plan.proved_optimal
    (array([36, 27]), 9.0, True)

    Selling a $10 unit below target pays for a $100 unit. Nothing between floor and ceiling does better than
    leaving $80 idle:

    >>> round_units([0.8, 2.0], [100.0, 10.0]).units
    array([1, 0])
    """
    problem = _problem(desired, unit_value, slack)
    small = problem.value.size <= exact_up_to
    plan, proved = _improve(problem, _largest_remainder(problem), small=small)
    if not proved and small and _gap(problem, plan) > _SMALLEST_GAP * problem.scale:
        plan, proved = _solve(problem, plan, time_limit)
    return Rounded(
        units=(problem.floor + plan.above).astype(np.int64),
        objective=plan.objective,
        lower_bound=plan.objective if proved else problem.bound,
        method=plan.method,
        proved_optimal=proved,
    )


def lower_bound(desired: ArrayLike, unit_value: ArrayLike) -> float:
    """Currency: no plan in whole units has less active share than this, whatever its capacity.

    The bound is that of the knapsack's linear relaxation: the longest run of largest remainders that
    ``sum(unit_value * desired)`` pays for, plus a fraction of the break name. It is computed in its dual
    form, which also proves it. For every price ``0 <= p <= 1`` and every plan::

        active share = under + max(T, 0) >= under + p * T = sum of v * (max(d - x, 0) + p * (x - d))

    Each term is convex in ``x``, falls up to ``d`` and rises from there, so over the integers it is least at the
    floor or the ceiling, whichever is cheaper: ``v * min(f * (1 - p), p * (1 - f))``. Names rounded below their
    floor are covered, since convexity makes them more expensive. So is spending beyond the target (``T > 0``),
    since it counts in full in the measure but only at ``p`` in the bound: the capacity is not used. The remainder
    of the break name is the price that makes the bound highest.

    Raises
    ------
    ValueError
        As :func:`round_units`.

    Examples
    --------
    Two $100 units with a target of half a unit each: $100 buys one of them, and the other is $50 short.

    >>> lower_bound([0.5, 0.5], [100.0, 100.0])
    50.0
    """
    return _problem(desired, unit_value, 0.0).bound


def active_share_value(units: ArrayLike, desired: ArrayLike, unit_value: ArrayLike) -> float:
    """Active share of a plan in currency, with cash as an asset.

    A desired trade within 1e-9 (relative) of a whole number counts as whole, as in :func:`round_units`.

    Raises
    ------
    ValueError
        As :func:`round_units`.

    Examples
    --------
    One unit of $10 too many and half a unit of $100 too few:

    >>> active_share_value([3, 1], [2.0, 1.5], [10.0, 100.0])
    50.0
    """
    problem = _problem(desired, unit_value, 0.0)
    return _objective(problem, np.asarray(units, dtype=np.float64) - problem.floor)


def _problem(desired: ArrayLike, unit_value: ArrayLike, slack: float) -> _RoundingProblem:
    wanted, value = _checked(desired, unit_value, slack)
    whole = np.rint(wanted)
    size = np.maximum(np.abs(wanted), 1.0)
    wanted = np.where(np.abs(wanted - whole) <= _SNAP * size, whole, wanted)
    floor = np.floor(wanted)
    remainder = wanted - floor
    scale = float(value @ size) + slack
    price, bound = _shadow_price(remainder, value, _ROUND_OFF * scale)
    return _RoundingProblem(floor, remainder, value, slack, scale, price, bound)


def _checked(desired: ArrayLike, unit_value: ArrayLike, slack: float) -> tuple[Floats, Floats]:
    wanted = np.asarray(desired, dtype=np.float64)
    value = np.asarray(unit_value, dtype=np.float64)
    if wanted.ndim != 1 or wanted.shape != value.shape:
        raise ValueError(f"desired {wanted.shape} and unit_value {value.shape} must be of one length")
    if not (np.abs(wanted) < _MOST_UNITS).all():
        raise ValueError("desired must be finite and below 2**53 units")
    if not ((value > 0) & np.isfinite(value)).all():
        raise ValueError("unit_value must be finite and above zero")
    if not 0 <= slack < math.inf:
        raise ValueError(f"slack must be finite and not negative, not {slack}")
    return wanted, value


def _shadow_price(remainder: Floats, value: Floats, round_off: float) -> tuple[float, float]:
    """The break name's remainder, and the bound at that price."""
    order = np.argsort(-remainder, kind="stable")
    beyond = np.cumsum(value[order]) > float(value @ remainder) + round_off
    if not beyond.any():
        return 0.0, 0.0  # no remainders, so nothing to round
    price = float(remainder[order[np.argmax(beyond)]])
    cheaper = np.minimum(remainder * (1 - price), price * (1 - remainder))
    return price, float(value @ cheaper)


def _objective(problem: _RoundingProblem, above: Floats) -> float:
    deviation = problem.value * (above - problem.remainder)
    over, under = np.maximum(deviation, 0.0).sum(), np.maximum(-deviation, 0.0).sum()
    return float(max(over, under))


def _affordable(problem: _RoundingProblem, above: Floats) -> bool:
    spent_beyond = math.fsum((problem.value * (above - problem.remainder)).tolist())
    return spent_beyond <= problem.slack + problem.round_off


def _gap(problem: _RoundingProblem, plan: _Plan) -> float:
    return plan.objective - problem.bound


def _better(problem: _RoundingProblem, plan: _Plan, above: Floats, method: Method) -> _Plan:
    """``above`` as a plan, if it is affordable and better than ``plan``; else ``plan``."""
    objective = _objective(problem, above)
    if objective < plan.objective - problem.round_off and _affordable(problem, above):
        return _Plan(above, objective, method)
    return plan


def _largest_remainder(problem: _RoundingProblem) -> _Plan:
    """Round up by descending remainder within the target's money, or exceed it once if slack allows.

    Names that no longer fit are skipped, later ones that fit are taken. The alternative to skipping is to round
    one of them up into the slack, at the cost of the spending beyond the target.
    """
    order = np.argsort(-problem.remainder, kind="stable")
    order = order[problem.remainder[order] > 0]
    room = float(problem.value @ problem.remainder)
    fits = int(np.searchsorted(np.cumsum(problem.value[order]), room + problem.round_off, side="right"))
    prefix, rest = order[:fits], order[fits:]
    room -= float(problem.value[prefix].sum())
    filled = np.zeros_like(problem.floor)
    filled[prefix] = 1.0
    crossed = _crossed(problem, filled.copy(), rest, room)
    while rest.size:
        rest = rest[problem.value[rest] <= room + problem.round_off]
        fits = int(np.searchsorted(np.cumsum(problem.value[rest]), room + problem.round_off, side="right"))
        filled[rest[:fits]] = 1.0
        room -= float(problem.value[rest[:fits]].sum())
        rest = rest[fits + 1 :]
    plan = _Plan(filled, _objective(problem, filled), "largest_remainder")
    return _better(problem, plan, crossed, "largest_remainder")


def _crossed(problem: _RoundingProblem, above: Floats, rest: Integers, room: float) -> Floats:
    """``above`` with the one name of ``rest`` rounded up that lowers active share most, if any does."""
    value = problem.value[rest]
    beyond = value - room
    gain = value * problem.remainder[rest] - np.maximum(beyond, 0.0)
    gain[beyond > problem.slack + problem.round_off] = 0.0
    if gain.size and gain.max() > 0:
        above[rest[np.argmax(gain)]] = 1.0
    return above


def _improve(problem: _RoundingProblem, plan: _Plan, *, small: bool) -> tuple[_Plan, bool]:
    """Search until the plan is proved optimal or the searches for a problem of this size are done.

    The first search is small because it only has to narrow the gap: the next one then has few names.
    """
    if _gap(problem, plan) <= problem.round_off:
        return plan, True
    searches = [(False, _FIRST), (True, _SECOND), *([(True, _THIRD)] if small else [])]
    for below_floor, most in searches:
        plan, proved = _search(problem, plan, below_floor=below_floor, most=most)
        if proved:
            return plan, True
    return plan, False


def _search(problem: _RoundingProblem, plan: _Plan, *, below_floor: bool, most: int) -> tuple[_Plan, bool]:
    """The best plan made of departures from the priced plan that cost less than the gap.

    The priced plan rounds up what has a remainder above the shadow price. A plan exceeds the bound by the reduced
    costs of its departures plus the price of idle money, or ``1 - price`` for money spent beyond the target. Names
    are added from the cheapest departure up, so those closest to the break come first, until ``most`` choices are
    exceeded. Proved is True when no name had to be excluded.
    """
    limit = _gap(problem, plan) - problem.round_off
    up = (problem.remainder > problem.price).astype(np.float64)
    flip = np.where(problem.remainder > 0, problem.value * np.abs(problem.remainder - problem.price), np.inf)
    drop = problem.value * (1 - problem.price)
    cheapest = np.minimum(flip, drop) if below_floor else flip
    names = np.flatnonzero(cheapest < limit)
    names = names[np.argsort(cheapest[names], kind="stable")]
    halves = [
        _Half(np.array([problem.value @ (up - problem.remainder)]), np.zeros(1)),
        _Half(np.zeros(1), np.zeros(1)),
    ]
    complete = True
    for name in names.tolist():
        which = int(halves[1].shift.size < halves[0].shift.size)
        lowest = -(limit // drop[name]) if below_floor else 0.0
        grown = _grown(problem, halves[which], name, lowest, limit, most)
        complete = grown is not None
        if grown is None:
            break
        halves[which] = grown
    above = _joined(problem, halves, up)
    if above is not None:
        plan = _better(problem, plan, above, "core_search")
    limit = _gap(problem, plan) - problem.round_off
    complete = complete and (below_floor or not (drop < limit).any())
    return plan, complete or limit <= 0


def _grown(
    problem: _RoundingProblem, half: _Half, name: int, lowest: float, limit: float, most: int
) -> _Half | None:
    """``half`` with one more name, at each number of units from ``lowest`` up; None if that is too many."""
    remainder, value = float(problem.remainder[name]), float(problem.value[name])
    if half.shift.size * (2 - lowest) > 8 * most:
        return None
    above = np.arange(lowest, 2.0 if remainder > 0 else 1.0)
    priced = value * (np.maximum(remainder - above, 0.0) + problem.price * (above - remainder))
    moved = value * (above - float(remainder > problem.price))
    shift = (moved[:, np.newaxis] + half.shift).ravel()
    cost = ((priced - priced.min())[:, np.newaxis] + half.cost).ravel()
    keep = (cost < limit).nonzero()[0]
    if keep.size > most:
        keep = _undominated(problem, shift, cost, keep)
    if keep.size > most:
        return None
    which, parent = np.divmod(keep, half.shift.size)
    return _Half(shift[keep], cost[keep], [*half.trail, (name, parent, above[which])])


def _undominated(problem: _RoundingProblem, shift: Floats, cost: Floats, keep: Integers) -> Integers:
    """Drop the choices that another one dominates, whatever the other names do.

    Spending ``m`` less is always affordable, and adds at most ``price * m`` of idle-money cost. So a choice is
    dominated by one that spends no more and whose ``cost - price * shift`` is no higher.
    """
    keep = keep[np.argsort(shift[keep], kind="stable")]
    merit = cost[keep] - problem.price * shift[keep]
    best_before = np.minimum.accumulate(merit)[:-1]
    return keep[np.concatenate(([True], merit[1:] < best_before))]


def _joined(problem: _RoundingProblem, halves: list[_Half], up: Floats) -> Floats | None:
    """Units above the floor in the best pair of choices, one of each half; None if no pair is affordable.

    A pair that spends at most the target pays ``price`` for idle money; one that spends beyond it, within the
    slack, pays ``1 - price``. With one half sorted by spending, the partners of a choice under either rule are
    contiguous.
    """
    left = halves[0]
    order = np.argsort(halves[1].shift, kind="stable")
    shift, cost = halves[1].shift[order], halves[1].cost[order]
    none = np.zeros(left.shift.size, dtype=np.int64)
    target = np.searchsorted(shift, problem.round_off - left.shift, side="right")
    rules = [(-problem.price, none, target)]
    if problem.slack > 0:
        most = np.searchsorted(shift, problem.slack + problem.round_off - left.shift, side="right")
        rules.append((1 - problem.price, target, most))
    best, pair = math.inf, None
    for rate, first, end in rules:
        partner = cost + rate * shift
        total = left.cost + rate * left.shift + _range_minimum(partner, first, end)
        mine = int(np.argmin(total))
        if total[mine] < best:
            best = float(total[mine])
            other = int(first[mine] + np.argmin(partner[first[mine] : end[mine]]))
            pair = (mine, int(order[other]))
    if pair is None:
        return None
    above = up.copy()
    for half, choice in zip(halves, pair, strict=True):
        _retrace(half, choice, above)
    return above


def _range_minimum(values: Floats, first: Integers, end: Integers) -> Floats:
    """The minimum of ``values[first:end]`` for each pair of ends; infinity for an empty range.

    By a sparse table: row ``k`` holds the minimum of each run of ``2**k``, and two such runs cover any range.
    """
    length = np.maximum(end - first, 1)
    level = np.frexp(length)[1] - 1
    table = np.full((int(level.max()) + 1, values.size), math.inf)
    table[0] = values
    for k in range(1, table.shape[0]):
        run = 2 ** (k - 1)
        table[k, :-run] = np.minimum(table[k - 1, :-run], table[k - 1, run:])
    start = np.minimum(first, values.size - 1)
    least = np.minimum(table[level, start], table[level, start + length - 2**level])
    return np.where(end > first, least, math.inf)


def _retrace(half: _Half, choice: int, above: Floats) -> None:
    """Write the units that led to ``choice`` into ``above``."""
    for name, parent, units in reversed(half.trail):
        above[name] = units[choice]
        choice = int(parent[choice])


def _solve(problem: _RoundingProblem, plan: _Plan, time_limit: float) -> tuple[_Plan, bool]:
    """The best plan by the HiGHS solver, started from ``plan``; ``plan`` itself, unproved, if it ran out of time.

    What the solver has found by then is not used: it depends on how fast the computer was at that moment, and the
    same book would be planned otherwise the next time.

    Minimise ``sum(u) + e`` with ``u >= v * (f - y)``, ``sum(v * y) - e <= sum(v * f)`` and ``0 <= e <= slack``
    over whole ``y`` between a lower bound and 1. Going further up gains nothing: one unit less of a name above its
    ceiling leaves ``under`` unchanged and spends less. Nor does going further down: every unit below the floor
    costs ``v * (1 - price)``, and the total is less than the gap.

    Money is in units of the average unit value, so that the solver's tolerance is far below any unit; its result
    is checked and evaluated again in plain arithmetic.
    """
    import highspy  # noqa: PLC0415 - slow to import, and rarely needed

    lowest = np.floor(_gap(problem, plan) / (problem.value * (1 - problem.price)))
    if lowest.max() > _MOST_BELOW:
        return plan, False
    unit = float(problem.value.mean())
    solver = _solved(highspy, problem, plan, lowest, unit, time_limit)
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return plan, False
    found = np.array(solver.getSolution().col_value[: problem.value.size])
    plan = _better(problem, plan, np.rint(found), "exact")
    claimed = unit * solver.getInfo().objective_function_value
    return plan, plan.objective <= claimed + _SNAP * problem.scale


def _solved(
    highspy: Any,  # noqa: ANN401 - ships no types
    problem: _RoundingProblem,
    plan: _Plan,
    lowest: Floats,
    unit: float,
    time_limit: float,
) -> Any:  # noqa: ANN401 - ships no types
    solver = highspy.Highs()
    for option, setting in _options(time_limit).items():
        solver.setOptionValue(option, setting)
    solver.passModel(_model(highspy, problem, lowest, unit))
    start = highspy.HighsSolution()
    start.col_value = _columns(problem, plan.above, unit)
    solver.setSolution(start)
    solver.run()
    return solver


def _options(time_limit: float) -> dict[str, bool | int | float | str]:
    """No output, no parallel search, no remaining gap, and tolerances far below any unit.

    The number of threads is not set: HiGHS refuses to run when another user in this process has already set a
    different number.
    """
    return {
        "output_flag": False,
        "parallel": "off",
        "time_limit": time_limit,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 1e-9,
        "mip_feasibility_tolerance": 1e-9,
        "primal_feasibility_tolerance": 1e-9,
        "dual_feasibility_tolerance": 1e-9,
    }


def _columns(problem: _RoundingProblem, above: Floats, unit: float) -> Floats:
    """A plan as the solver's columns: units above the floor, shortfalls, money beyond the target."""
    short = np.maximum(problem.value * (problem.remainder - above), 0.0)
    beyond = max(float(problem.value @ (above - problem.remainder)), 0.0)
    return np.concatenate((above, short / unit, [beyond / unit]))


def _model(highspy: Any, problem: _RoundingProblem, lowest: Floats, unit: float) -> Any:  # noqa: ANN401 - ships no types
    n, value = problem.value.size, problem.value / unit
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = 2 * n + 1, n + 1
    model.col_cost_ = np.concatenate((np.zeros(n), np.ones(n + 1)))
    model.col_lower_ = np.concatenate((-lowest, np.zeros(n + 1)))
    model.col_upper_ = np.concatenate((np.ones(n), np.full(n, highspy.kHighsInf), [problem.slack / unit]))
    model.integrality_ = [highspy.HighsVarType.kInteger] * n + [highspy.HighsVarType.kContinuous] * (n + 1)
    wanted = value * problem.remainder
    model.row_lower_ = np.concatenate((wanted, [-highspy.kHighsInf]))
    model.row_upper_ = np.concatenate((np.full(n, highspy.kHighsInf), [wanted.sum()]))
    matrix = model.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    each = np.arange(n)
    matrix.start_ = np.concatenate((2 * each, [2 * n, 3 * n + 1]))
    matrix.index_ = np.concatenate((np.column_stack((each, n + each)).ravel(), each, [2 * n]))
    matrix.value_ = np.concatenate((np.column_stack((value, np.ones(n))).ravel(), value, [-1.0]))
    return model
