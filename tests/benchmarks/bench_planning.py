"""Planning, DataFrame in and out, side by side with PyPortfolioOpt: milliseconds, and distance to the bound.

Run ``python tests/benchmarks/bench_planning.py``; ``--small`` leaves out what takes minutes. Ours is timed twice:
``plan_orders`` with all of its input checks, and the rounding inside it alone. A second table times planning and
checking of books in one and in four currencies, with the fees of each market. ``ms`` is the median time on the
clock, ``cpu ms`` the least processor time, which says more on a machine that is shared.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stocklean_exec.portfolio.lot_rounding import active_share_value, lower_bound, round_units
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.risk.pre_trade_checks import check_orders
from tests.benchmarks.tools import clocked

CASES = [(50, 100_000.0), (500, 1_000_000.0), (5_000, 10_000_000.0)]
NOT_RUN = "not run: --small"
LIMIT_MS = 40  # for 5,000 names; shown, not enforced
RATES = {"EUR": 1.1, "GBP": 1.3, "JPY": 0.0065}
NOON = pd.Timestamp("2026-01-02 17:00", tz="UTC")


def synthetic_book(names, seed):
    """Weights that sum to one like market capitalisations, and prices in cents.

    Prices are lognormal, median $62, standard deviation of the logarithm 1, clipped to [2, 5500].
    """
    rng = np.random.default_rng(seed)
    price = np.round(np.clip(62.0 * np.exp(rng.normal(size=names)), 2.0, 5_500.0), 2)
    weight = np.exp(1.2 * rng.normal(size=names))
    labels = [f"S{i:05d}" for i in range(names)]
    return pd.Series(weight / weight.sum(), index=labels), pd.Series(price, index=labels)


def plan(weight, price, nav):
    """Units that the whole planner comes to, from frames and back to a frame."""
    targets = pd.DataFrame({"symbol": weight.index, "weight": weight.to_numpy()})
    quotes = pd.DataFrame({"symbol": price.index, "last": price.to_numpy(), "quoted_at": NOON})
    orders = plan_orders(targets, None, quotes, nav=nav, run_id="bench")
    return orders.set_index("symbol")["quantity"].reindex(weight.index, fill_value=0).to_numpy()


def rounding(weight, price, nav):
    return round_units((weight * nav / price).to_numpy(), price.to_numpy()).units


def pypfopt(weight, price, nav, method, **options):
    from pypfopt import DiscreteAllocation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        allocation = DiscreteAllocation(weight.to_dict(), price, total_portfolio_value=nav)
        shares, _ = getattr(allocation, method)(**options)
    return np.array([shares.get(name, 0) for name in weight.index])


def timed(planner, weight, price, nav, repeats):
    """Median seconds of ``repeats`` calls, and the units of the last."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        units = planner(weight, price, nav)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)), units


def planners(names, *, small):
    """Name, function and repeats; a string in place of the function says why it is not run."""
    greedy = lambda *book: pypfopt(*book, "greedy_portfolio")  # noqa: E731 - one line says it
    lp = lambda *book: pypfopt(*book, "lp_portfolio", solver="HIGHS")  # noqa: E731 - same as above
    smallest, largest = CASES[0][0], CASES[-1][0]
    yield "plan_orders", plan, 21
    yield "  of it, rounding", rounding, 21
    yield "pypfopt greedy", NOT_RUN if small and names >= largest else greedy, 1 if names >= largest else 5
    yield "pypfopt lp HIGHS", NOT_RUN if small and names > smallest else lp, 1


def row(planner, book, nav, repeats):
    weight, price = book
    seconds, units = timed(planner, weight, price, nav, repeats)
    desired, value = (weight * nav / price).to_numpy(), price.to_numpy()
    share = active_share_value(units, desired, value)
    by_hand = (np.abs(value * (units - desired)).sum() + abs((value * (units - desired)).sum())) / 2
    if not np.isclose(share, by_hand, rtol=1e-6):
        raise AssertionError(f"active share {share} is not {by_hand}")
    gap = (share - lower_bound(desired, value)) / nav * 1e4
    left = nav - float(value @ units)
    return f"{seconds * 1e3:12.2f} {share / nav * 1e4:16.4f} {gap:16.4f} {left:12.2f}"


def currencies_table():
    print(f"\n{'names':>5} {'':24} {'ms':>12} {'cpu ms':>12} {'limit ms':>12}")
    for names, nav in CASES:
        weight, price = synthetic_book(names, seed=names)
        for label, known in (("one currency", ["USD"]), ("four currencies", ["USD", *RATES])):
            currency = [known[number % len(known)] for number in range(names)]
            rate = np.array([{"USD": 1.0, **RATES}[name] for name in currency])
            targets = pd.DataFrame({"symbol": weight.index, "weight": weight.to_numpy(), "currency": currency})
            last = np.round(price.to_numpy() / rate, 2)
            quotes = pd.DataFrame({"symbol": weight.index, "last": last, "currency": currency, "quoted_at": NOON})
            account = {"quotes": quotes, "nav": nav, "fx": RATES}
            orders = plan_orders(targets, run_id="bench", **account)
            for what, work in (
                ("plan", partial(plan_orders, targets, run_id="bench", **account)),
                ("check", partial(check_orders, orders, cash=nav, now=NOON, **account)),
            ):
                wall, cpu = clocked(work)
                print(f"{names:5d} {what + ', ' + label:24} {wall:12.2f} {cpu:12.2f} {LIMIT_MS:12d}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave out what takes minutes")
    small = parser.parse_args().small
    print(f"{'names':>5} {'':18} {'ms':>12} {'active share bp':>16} {'above bound bp':>16} {'cash left':>12}")
    for names, nav in CASES:
        book = synthetic_book(names, seed=names)
        for label, planner, repeats in planners(names, small=small):
            text = f"  {planner}" if isinstance(planner, str) else row(planner, book, nav, repeats)
            print(f"{names:5d} {label:18} {text}", flush=True)
    currencies_table()


if __name__ == "__main__":
    main()
