"""The rounding to whole shares: its own search against largest remainder, and against a MILP solved by HiGHS.

The same measure for all: active share with cash as an asset, in basis points of NAV above the lower bound that no
plan in whole shares can beat (:func:`~stocklean_exec.portfolio.lot_rounding.lower_bound`). The MILP is formulated
here again and solved by ``scipy.optimize.milp`` with a limit of time. Books are those of ``bench_planning``, fully
invested; ``best ms`` is the least time of some repetitions.

Run ``python tests/benchmarks/bench_rounding.py [--seconds LIMIT] [--books N]``; ``--small`` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import diags, hstack

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stocklean_exec.portfolio.lot_rounding import active_share_value, lower_bound, round_units
from tests.benchmarks.bench_planning import synthetic_book

CASES = [(50, 100_000.0), (500, 1_000_000.0), (5_000, 10_000_000.0)]
REPEATS = 5


def searched(desired, value):
    return round_units(desired, value).units


def largest_remainder(desired, value):
    """Whole shares, and one more in the sequence of the remainders as long as the money lasts."""
    units = np.floor(desired + 1e-9)
    left = float(value @ (desired - units))
    for name in np.argsort(units - desired, kind="stable"):
        if value[name] <= left + 1e-9 and desired[name] > units[name]:
            units[name] += 1
            left -= value[name]
    return units


def solved(desired, value, seconds):
    """Least shortfall below the targets, the spending not above them; None without a plan in time.

    With ``T`` the spending beyond the target, which is not above zero here, active share is the shortfall alone.
    """
    count = len(desired)
    units, short = np.zeros(count), value / value.mean()  # variables: units, and shares below target
    identity = diags(np.ones(count))
    below = LinearConstraint(hstack([identity, identity]), desired, np.inf)
    paid = LinearConstraint(np.concatenate([value, np.zeros(count)])[None, :], -np.inf, float(value @ desired))
    least, most = np.maximum(np.floor(desired) - 1, 0), np.ceil(desired) + 1
    found = milp(
        np.concatenate([units, short]),
        integrality=np.concatenate([np.ones(count), np.zeros(count)]),
        bounds=Bounds(np.concatenate([least, np.zeros(count)]), np.concatenate([most, np.full(count, np.inf)])),
        constraints=[below, paid],
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    return None if found.x is None else np.round(found.x[:count])


def measured(method, book, nav, repeats):
    """Distance to the bound in basis points, and the least milliseconds."""
    weight, price = book
    desired, value = (weight * nav / price).to_numpy(), price.to_numpy()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        units = method(desired, value)
        times.append(time.perf_counter() - started)
    if units is None:
        return np.nan, min(times) * 1e3
    if value @ units > value @ desired * (1 + 1e-9):
        raise AssertionError("more is spent than there is")
    gap = active_share_value(units, desired, value) - lower_bound(desired, value)
    return gap / nav * 1e4, min(times) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="limit of time of the MILP")
    parser.add_argument("--books", type=int, default=5, help="books of each size")
    parser.add_argument("--small", action="store_true", help="50 names, one book")
    options = parser.parse_args()
    cases, books = (CASES[:1], 1) if options.small else (CASES, options.books)
    methods = {
        "own search": (searched, REPEATS),
        "largest remainder": (largest_remainder, REPEATS),
        f"milp, {options.seconds:g} s": (lambda *book: solved(*book, options.seconds), 1),
    }
    print(f"{'names':>5} {'':18} {'above bound, bp':>16} {'worst':>10} {'best ms':>10} {'slowest ms':>10}")
    for names, nav in cases:
        drawn = [synthetic_book(names, seed) for seed in range(books)]
        for label, (method, repeats) in methods.items():
            gaps, times = zip(*(measured(method, book, nav, repeats) for book in drawn), strict=True)
            text = f"{np.mean(gaps):16.4f} {max(gaps):10.4f} {min(times):10.2f} {max(times):10.2f}"
            print(f"{names:5d} {label:18} {text}", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
