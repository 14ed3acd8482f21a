"""Planning with bands, a cap on turnover and a covariance: milliseconds; and how well the trades are chosen.

Run ``python tests/benchmarks/bench_bands.py``; ``--small`` leaves out 5,000 names. The first table times whole
plans, DataFrame in and out, and a frontier of ten rules. ``ms`` is the median time on the clock, ``cpu ms`` the
least processor time, which says more on a machine that is shared. Limits are shown, not enforced.

The second table compares ways to choose trades under a cap of 66 % of the wished turnover, where buys and sells
are equal: tracking error in basis points, for deviations of 10 % of lognormal weights, returns of one market and
some style factors, 15 to 40 % of specific risk. ``convex`` is ours; ``one by one`` takes pieces of a 200th of the
cap, each where it lowers the tracking error most; ``own variance`` does so as if names were uncorrelated;
``largest first`` needs no covariance; ``by first benefit`` takes whole trades in the order of what each alone
would lower.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import stocklean_exec as sx
from stocklean_exec.portfolio.covariance import Risk, tracking_error
from stocklean_exec.portfolio.turnover import limited_trades
from tests.benchmarks.tools import clocked

NOON = pd.Timestamp("2026-06-01 15:00", tz="UTC")
LIMIT_MS = {500: 50, 5_000: 250}
FRONTIER_LIMIT_MS = 2_000
FACTORS = {50: 5, 500: 10, 5_000: 20}
CAP = 0.66


def factor_model(names, rng):
    """Loadings on a market and on styles, and specific variances; a year."""
    market = rng.normal(1.0, 0.3, (names, 1)) * 0.16
    styles = rng.normal(size=(names, FACTORS[names] - 1)) * 0.06
    return np.hstack([market, styles]), rng.uniform(0.15, 0.4, names) ** 2


def drifted_book(names, rng):
    """Target weights, and weights that have drifted from them by 10 % each."""
    weight = np.exp(rng.normal(size=names))
    weight /= weight.sum()
    held = weight * np.exp(rng.normal(size=names) * 0.1)
    return weight, held / held.sum()


def account(names):
    """Targets, an account state, and the covariance in both forms."""
    rng = np.random.default_rng(names)
    labels = [f"S{number:05d}" for number in range(names)]
    weight, held = drifted_book(names, rng)
    price = np.round(np.clip(62.0 * np.exp(rng.normal(size=names)), 2.0, 500.0), 2)
    nav = 20_000.0 * names
    quotes = pd.DataFrame(
        {"symbol": labels, "bid": price * 0.9997, "ask": price * 1.0003, "quoted_at": NOON, "last": price}
    )
    positions = pd.Series(np.floor(held * nav / price), index=labels)
    state = sx.AccountState.of(positions, quotes, nav=nav)
    loadings, specific = factor_model(names, rng)
    factors = [f"F{number}" for number in range(loadings.shape[1])]
    by_factors = sx.FactorCovariance(
        pd.DataFrame(loadings, labels, factors),
        pd.DataFrame(np.eye(len(factors)), factors, factors),
        pd.Series(specific, labels),
    )
    matrix = loadings @ loadings.T + np.diag(specific)
    return pd.Series(weight, labels), state, by_factors, lambda: pd.DataFrame(matrix, labels, labels)


def plans_table(sizes):
    print(f"{'names':>5} {'':44} {'orders':>7} {'ms':>9} {'cpu ms':>9} {'limit ms':>9}")
    for names in sizes:
        targets, state, by_factors, matrix = account(names)
        rules = {"band": 0.05, "band_kind": "relative", "min_notional": 200.0, "max_turnover": 0.03}
        cases = {
            "without rules": {},
            "band, minimum and cap": rules,
            "band, minimum, cap and factor covariance": {**rules, "covariance": by_factors},
        }
        if names <= 500:
            cases["band, minimum, cap and covariance matrix"] = {**rules, "covariance": matrix()}
        for label, options in cases.items():
            work = partial(sx.plan_orders, targets, state, run_id="bench", **options)
            wall, cpu = clocked(work, 7)
            shown(names, label, len(work()), wall, cpu, LIMIT_MS[names])
        if names <= 500:
            work = partial(sx.plan_frontier, targets, state, covariance=by_factors)
            wall, cpu = clocked(work, 3)
            shown(names, "plan_frontier, ten rules", "", wall, cpu, FRONTIER_LIMIT_MS)


def shown(names, label, orders, wall, cpu, limit):
    print(f"{names:5d} {label:44} {orders!s:>7} {wall:9.1f} {cpu:9.1f} {limit:9d}", flush=True)


def one_by_one(wish, cap, matrix_times, diagonal):
    """Pieces of a pair of a buy and a sell each, where the next piece lowers the squared error most."""
    trades, left, piece = np.zeros(len(wish)), wish.copy(), cap / 200
    gradient = matrix_times(left)
    done = 0.0
    while done < cap - 1e-12:
        moved = 0.0
        for side in (1.0, -1.0):
            room = np.minimum(side * (wish - trades), min(piece, (cap - done) / 2))
            gain = np.where(room > 1e-12, 2 * side * gradient * room - diagonal * room**2, -np.inf)
            best = int(np.argmax(gain))
            step = side * max(room[best], 0.0)
            trades[best] += step
            left[best] -= step
            gradient = matrix_times(left)
            moved += abs(step)
        if moved <= 1e-12:
            break
        done += moved
    return trades


def in_order(wish, cap, score):
    """Whole trades of buys and of sells, each by its score, up to half of the cap."""
    trades = np.zeros(len(wish))
    for side in (1.0, -1.0):
        rows = np.flatnonzero(side * wish > 0)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        sizes = np.abs(wish[rows])
        trades[rows] = side * np.clip(cap / 2 - (np.cumsum(sizes) - sizes), 0.0, sizes)
    return trades


def choices_table(sizes):
    print(f"\n{'names':>5} {'':18} {'tracking error bp':>18} {'ms':>9}")
    for names in sizes:
        rng = np.random.default_rng(names)
        weight, held = drifted_book(names, rng)
        loadings, specific = factor_model(names, rng)
        risk, wish = Risk(factors=loadings, specific=specific), weight - held
        cap, diagonal = CAP * float(np.abs(wish).sum()), risk.diagonal
        alone = 2 * wish * risk.times(wish) - diagonal * wish**2
        ways = {
            "no trade": lambda wish=wish: np.zeros(len(wish)),
            "convex": lambda wish=wish, cap=cap, risk=risk: (
                limited_trades(wish, wish, turnover=cap, cash=0.0, risk=risk).trades
            ),
            "one by one": partial(one_by_one, wish, cap, risk.times, diagonal),
            "own variance": partial(one_by_one, wish, cap, lambda left, own=diagonal: own * left, diagonal),
            "largest first": partial(in_order, wish, cap, np.abs(wish)),
            "by first benefit": partial(in_order, wish, cap, alone),
        }
        for label, way in ways.items():
            started = time.perf_counter()
            trades = way()
            milliseconds = (time.perf_counter() - started) * 1e3
            if np.abs(trades).sum() > cap * (1 + 1e-9):
                raise AssertionError(f"{label} trades more than the cap")
            error = tracking_error(wish - trades, risk) * 1e4
            print(f"{names:5d} {label:18} {error:18.2f} {milliseconds:9.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave out 5,000 names")
    small = parser.parse_args().small
    plans_table([500] if small else [500, 5_000])
    choices_table([50, 500] if small else [50, 500, 5_000])


if __name__ == "__main__":
    main()
