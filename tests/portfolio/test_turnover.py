"""Trades within a cap and within cash: small cases by hand, random ones against another solver."""

import math

import numpy as np
import pytest

from stocklean_exec.portfolio import turnover
from stocklean_exec.portfolio.covariance import Risk
from stocklean_exec.portfolio.turnover import limited_trades


def test_nothing_is_left_out_of_what_fits():
    wish = np.array([0.03, -0.02, 0.01])
    found = limited_trades(wish, wish, turnover=0.06, cash=0.02)
    assert found.trades.tolist() == wish.tolist()
    assert not found.is_capped
    assert found.gap == 0


def test_a_cap_trades_the_largest_deviations_down_to_one_size():
    # 0.02 + 0.01 are 0.03: 0.01 remains of all three.
    wish = np.array([0.03, -0.02, 0.01])
    found = limited_trades(wish, wish, turnover=0.03)
    assert found.trades == pytest.approx([0.02, -0.01, 0.0])
    assert found.is_capped


def test_cash_makes_buys_smaller_by_one_amount():
    # Sells bring 0.015, and buys of 0.025 are wished: both become 0.005 smaller.
    wish = np.array([0.015, 0.01, -0.015])
    found = limited_trades(wish, wish, cash=0.0)
    assert found.trades == pytest.approx([0.01, 0.005, -0.015])
    assert not found.is_capped


def test_cap_and_cash_together():
    # Buys and sells are 0.01 each. Of the buys, 0.01 = (0.03 - a) + (0.02 - a) gives a = 0.02.
    wish = np.array([0.03, 0.02, -0.01, -0.005])
    found = limited_trades(wish, wish, turnover=0.02, cash=0.0)
    assert found.trades == pytest.approx([0.01, 0.0, -0.0075, -0.0025])
    assert found.is_capped


def test_the_levels_of_both_constraints_are_those_of_buys_and_of_sells():
    # As above: buys are reduced by 0.02, and sells of 0.01 in all by 0.0025. Half of the sum of both is the level
    # of turnover, half of their difference that of cash.
    allowed = turnover._Allowed(np.array([1.0, 1, -1, -1]), np.array([0.03, 0.02, 0.01, 0.005]), 0.02, 0.0)
    point = allowed.nearest(allowed.most, np.ones(4))
    assert point.turnover_level == pytest.approx(0.01125)
    assert point.cash_level == pytest.approx(0.00875)


def test_a_name_is_not_traded_beyond_its_largest_trade():
    wish = np.array([0.05, 0.02, -0.03])
    found = limited_trades(wish, np.array([0.01, 0.02, 0.0]), turnover=0.02)
    # 0.01 is all that the first may trade, so the second has the rest.
    assert found.trades == pytest.approx([0.01, 0.01, 0.0])


def test_nothing_is_bought_while_cash_is_owed():
    wish = np.array([0.02, -0.01])
    assert limited_trades(wish, wish, cash=-0.05).trades == pytest.approx([0.0, -0.01])
    assert limited_trades(wish[:1], wish[:1], cash=-0.05).trades == pytest.approx([0.0])


def test_no_names_are_no_trades():
    assert limited_trades(np.array([]), np.array([]), turnover=0.1).trades.tolist() == []


def least_by_another_solver(wish, most, cap, cash, matrix):
    optimize = pytest.importorskip("scipy.optimize")
    side = np.sign(most)
    limits = [{"type": "ineq", "fun": lambda sizes: 100 * (cap - sizes.sum())}]
    if math.isfinite(cash):
        limits.append({"type": "ineq", "fun": lambda sizes: 100 * (cash - side @ sizes)})
    value = lambda sizes: 1e5 * (side * sizes - wish) @ matrix @ (side * sizes - wish)  # noqa: E731 - one line
    found = optimize.minimize(
        value,
        np.abs(most) * 0.5,
        bounds=[(0, size) for size in np.abs(most)],
        constraints=limits,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return found.fun if found.success else math.nan


def random_problem(seed, names=8):
    rng = np.random.default_rng(seed)
    factors, specific = rng.normal(size=(names, 2)) * 0.15, rng.uniform(0.01, 0.1, names)
    wish = rng.normal(size=names) * 0.02
    wish -= wish.mean() * rng.integers(0, 2)
    most = wish * rng.choice([0.0, 0.7, 1.0], names, p=[0.2, 0.2, 0.6])
    cap = rng.uniform(0.2, 0.9) * np.abs(most).sum()
    cash = float(rng.choice([0.0, 0.01, math.inf]))
    return wish, most, cap, cash, Risk(factors=factors, specific=specific)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("form", ["matrix", "factors"])
def test_the_least_tracking_error_is_that_of_another_solver(seed, form):
    wish, most, cap, cash, risk = random_problem(seed)
    matrix = risk.factors @ risk.factors.T + np.diag(risk.specific)
    found = limited_trades(
        wish, most, turnover=cap, cash=cash, risk=risk if form == "factors" else Risk(matrix=matrix)
    )
    sizes = found.trades * np.sign(most)
    assert (sizes >= 0).all()
    assert (sizes <= np.abs(most) + 1e-12).all()
    assert sizes.sum() <= cap + 1e-12
    assert found.trades.sum() <= cash + 1e-12
    left = 1e5 * (found.trades - wish) @ matrix @ (found.trades - wish)
    other = least_by_another_solver(wish, most, cap, cash, matrix)
    if not math.isnan(other):
        assert left == pytest.approx(other, rel=1e-4, abs=1e-4)
    assert found.gap + 1e-15 >= 0
    assert found.gap <= 2e-6 * wish @ matrix @ wish


def test_the_active_set_alone_solves_most_problems_to_the_last_digit(monkeypatch):
    monkeypatch.setattr(turnover, "_ROUNDS", 1)
    monkeypatch.setattr(turnover, "_STEPS", 0)
    solved = 0
    for seed in range(30):
        wish, most, cap, cash, risk = random_problem(seed)
        found = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk)
        solved += found.gap <= 1e-9 * float(wish @ risk.times(wish))
    assert solved >= 25  # it need not settle; the gradient steps are for the others


def test_trades_to_begin_from_that_are_the_best_are_confirmed_at_once(monkeypatch):
    wish, most, cap, cash, risk = random_problem(3)
    best = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk).trades
    is_part = (best != 0) & (best != most)
    assert is_part.any()
    assert ((best == 0) & (most != 0)).any()
    for name, most_of_it in (("_ROUNDS", 1), ("_GUESSES", 1), ("_STEPS", 0)):
        monkeypatch.setattr(turnover, name, most_of_it)
    found = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk, start=best)
    assert found.trades == pytest.approx(best, abs=1e-12)
    assert found.gap <= 1e-9 * float(wish @ risk.times(wish))


def test_the_level_of_a_sum_is_found_where_the_slope_is_flat():
    # A wish of 10, of which 1 may be traded, comes down to 0.5 at a level of 9.5; up to 9 nothing changes.
    one = np.ones(1)
    sizes, level = turnover._at_sum(np.array([10.0]), one, one, one, 0.5)
    assert (sizes.tolist(), level) == ([pytest.approx(0.5)], pytest.approx(9.5))


def test_three_gradient_steps_by_hand():
    # Along (1, -1) the covariance is half, and the curvature 1.5: a step leaves two thirds of what is missing.
    # The momentum of Beck and Teboulle is 1, (1 + sqrt(5)) / 2 = 1.618034, then 2.193527. From 0 to 1/3 and 5/9;
    # 0.618034 / 2.193527 of that step further is 0.618167, which lacks 0.381833.
    allowed = turnover._Allowed(np.array([1.0, -1.0]), np.ones(2), math.inf, math.inf)
    risk = Risk(matrix=np.array([[1.0, 0.5], [0.5, 1.0]]))
    point = turnover._gradient_steps(np.array([1.0, -1.0]), allowed, risk, np.zeros(2), steps=3)
    assert point.sizes == pytest.approx([1 - 0.381833 * 2 / 3] * 2, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_the_gap_bounds_how_much_better_the_best_is(seed):
    wish, most, cap, cash, risk = random_problem(seed)
    best = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk).trades
    allowed = turnover._Allowed(np.sign(most), np.abs(most), cap, cash)
    half = lambda trades: (trades - wish) @ risk.times(trades - wish) / 2  # noqa: E731 - one line
    for share in (0.0, 0.5, 0.9, 1.0):
        sizes = np.abs(best) * share
        gap = turnover._gap(wish, allowed, risk, turnover._Point(sizes))
        assert gap >= half(allowed.side * sizes) - half(best) - 1e-15


def test_the_gap_of_one_buy_with_cash_left_by_hand():
    # 0.25 is bought of a wish of 1, and cash is 0.5. The slope is 0.25 - 1, and with the level -0.25: the tangent
    # falls by 0.75 x 0.25 up to a size of 1, and the level of 0.5 counts for the 0.25 of cash that is left.
    one = np.ones(1)
    allowed = turnover._Allowed(one, one, math.inf, 0.5)
    gap = turnover._gap(one, allowed, Risk(matrix=np.eye(1)), turnover._Point(np.array([0.25]), 0.0, 0.5))
    assert gap == pytest.approx(0.75 * 0.25 + 0.5 * 0.25)
    # The best is 0.5: half of 0.75 squared less half of 0.5 squared is what is lost, and less than the bound.
    assert gap >= (0.75**2 - 0.5**2) / 2


def test_what_one_method_does_not_settle_the_other_one_does(monkeypatch):
    wish, most, cap, cash, risk = random_problem(3)
    first = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk)
    monkeypatch.setattr(turnover, "_GUESSES", 0)
    second = limited_trades(wish, most, turnover=cap, cash=cash, risk=risk)
    assert second.trades == pytest.approx(first.trades, abs=1e-5)
    assert second.is_capped
    assert first.is_capped


def test_one_factor_without_specific_variance_is_singular_and_solved():
    # All names are one bet: the wishes cancel out by half, and 0.01 of net buys leaves nothing to track.
    wish = np.array([0.02, 0.01, -0.02])
    found = limited_trades(
        wish, wish, turnover=0.01, risk=Risk(factors=np.full((3, 1), 0.2), specific=np.zeros(3))
    )
    assert found.trades.sum() == pytest.approx(0.01, abs=1e-6)
    assert np.abs(found.trades).sum() <= 0.01 + 1e-12


def test_a_pair_that_cancels_out_is_not_split():
    # Either of the first two alone would raise the tracking error from 1.4 to 30 bp: they move together.
    pair = np.array([[0.09, 0.0899, 0.0], [0.0899, 0.09, 0.0], [0.0, 0.0, 0.0001]])
    wish = np.array([0.01, -0.01, 0.001])
    found = limited_trades(wish, wish, turnover=0.01, risk=Risk(matrix=pair))
    left = wish - found.trades
    assert left[0] + left[1] == pytest.approx(0.0, abs=1e-5)
    assert left @ pair @ left < wish @ pair @ wish
