"""What rules that leave out trades save over ten years, through ``plan_orders`` itself, with its own fees.

Run ``python tests/benchmarks/bench_rebalancing_rules.py``; ``--small`` runs one short path. Every path is one
seed; the seeds are 0, 1, 2 and so on, fixed before anything was looked at. Rules see the same paths, so a saving
is a difference of two costs on one path.

The model. 50 names of equal weight, 100,000 dollars at first, 120 months, a rebalance at the end of each. Monthly
log returns are normal: 15 % a year of a market that all names share, 26 % of each name's own, 30 % in all, without
a trend in value. First prices are uniform from 20 to 200 dollars; the first purchase is not counted. Orders trade
at once and in full, at 3 basis points from the mid: the quoted touch. Cash earns nothing. Fees are those of the
tariff, commissions and levies, in dollars of the day: fixed is the shipped table (0.005 a share, at least 1.00),
tiered is 0.0035 a share, at least 0.35, without what exchanges add or give back.

Cost is fees and spread, basis points of the mean NAV a year. Tracking error is the standard deviation of the
monthly difference in return from equal weights without costs, times the root of twelve; cash and whole shares
count, costs do not.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import stocklean_exec as sx
from stocklean_exec.portfolio.order_costs import OrderFees

NAMES = [f"S{number:02d}" for number in range(50)]
NAV, HALF_SPREAD = 100_000.0, 3e-4
MARKET, OWN = 0.15, 0.26  # a year
FIRST_DAY = pd.Timestamp("2026-06-01 15:00", tz="UTC")  # the tariff of this day holds for the whole path
PROVED = "relative 10 %"
SEEDS, SEEDS_OF_OTHERS, MONTHS = 50, {"fixed": 10, "tiered": 5}, 120
LIMITS = {"saving": 15.0, "low": 10.0, "tracking error": 30.0}

RULES = {
    "all trades": {},
    PROVED: {"band": 0.10, "band_kind": "relative"},
    "relative 10 %, half-way": {"band": 0.10, "band_kind": "relative", "band_to": 0.5},
    "relative 10 %, to the edge": {"band": 0.10, "band_kind": "relative", "band_to": "edge"},
    "relative 20 %": {"band": 0.20, "band_kind": "relative"},
    "relative 20 %, half-way": {"band": 0.20, "band_kind": "relative", "band_to": 0.5},
    "relative 20 %, to the edge": {"band": 0.20, "band_kind": "relative", "band_to": "edge"},
    "absolute 0.25 %": {"band": 0.0025},
    "absolute 0.25 %, to the edge": {"band": 0.0025, "band_to": "edge"},
    "minimum 250": {"min_notional": 250.0},
    "minimum 500": {"min_notional": 500.0},
    "turnover 3 %": {"max_turnover": 0.03},
    "turnover 3 %, minimum 250": {"max_turnover": 0.03, "min_notional": 250.0},
}


@dataclass(frozen=True)
class Year:
    """One path by one rule: basis points a year, orders a year, turnover (two-way) a year, mean NAV."""

    fees: float
    spread: float
    tracking_error: float
    orders: float
    turnover: float
    nav: float

    @property
    def cost(self):
        return self.fees + self.spread


def tiered():
    """The shipped table with the tiered commission of US orders in place of the fixed one."""
    table = sx.tariffs()
    us = table["market"] == "US"
    table.loc[us, ["per_share", "minimum", "fractional_minimum"]] = 0.0035, 0.35, 0.35
    return table


def prices_of(seed, months):
    """Prices of each month, the first row before any return."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(20.0, 200.0, len(NAMES))
    market = rng.normal(size=(months, 1)) * MARKET / math.sqrt(12)
    own = rng.normal(size=(months, len(NAMES))) * OWN / math.sqrt(12)
    drift = -(MARKET**2 + OWN**2) / 24
    steps = np.cumsum(market + own + drift, axis=0)
    return first * np.exp(np.vstack([np.zeros(len(NAMES)), steps]))


def path(prices, options, start):
    """Rebalance each month by the rule; the first purchase takes all trades and is not counted."""
    held, cash = np.zeros(len(NAMES)), start
    weights = pd.Series(1 / len(NAMES), index=NAMES)
    fees = OrderFees.of(["USD"] * len(NAMES), on=FIRST_DAY.date())
    paid = {"fees": 0.0, "spread": 0.0, "orders": 0.0, "turnover": 0.0}
    navs, active, apart = [], [], None
    for month, price in enumerate(prices):
        if apart is not None:
            change = price / prices[month - 1] - 1
            active.append(float(apart @ change))
        nav = cash + float(held @ price)
        trade = planned(weights, held, price, nav, options if month else {})
        touch = price * (1 + np.sign(trade) * HALF_SPREAD)
        charged = float(fees.estimate(trade > 0, np.abs(trade), touch).sum())
        spread = float(np.abs(trade) @ price) * HALF_SPREAD
        held, cash = held + trade, cash - float(trade @ price) - charged - spread
        apart = held * price / nav - 1 / len(NAMES)
        if month:
            navs.append(nav)
            for name, value in (
                ("fees", charged),
                ("spread", spread),
                ("orders", np.count_nonzero(trade)),
                ("turnover", float(np.abs(trade) @ price) / nav),
            ):
                paid[name] += value
    years = (len(prices) - 1) / 12
    scale = 1e4 / float(np.mean(navs)) / years
    return Year(
        paid["fees"] * scale,
        paid["spread"] * scale,
        float(np.std(active, ddof=1)) * math.sqrt(12) * 1e4,
        paid["orders"] / years,
        paid["turnover"] / years,
        float(np.mean(navs)),
    )


def planned(weights, held, price, nav, options):
    """Signed shares that ``plan_orders`` trades."""
    quotes = pd.DataFrame(
        {
            "symbol": NAMES,
            "bid": price * (1 - HALF_SPREAD),
            "ask": price * (1 + HALF_SPREAD),
            "quoted_at": FIRST_DAY,
        }
    )
    positions = pd.Series(held, index=NAMES)
    orders = sx.plan_orders(weights, positions, quotes, nav=nav, run_id="bench", **options)
    signed = orders["quantity"].where(orders["side"] == "BUY", -orders["quantity"])
    return pd.Series(signed.to_numpy(), orders["symbol"]).reindex(NAMES, fill_value=0.0).to_numpy()


def interval(values):
    """Mean, and the ends of its 95 % confidence interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    wide = float(student.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - wide, mean + wide


def paths(tariff, name, seeds, months, known):
    """Paths of a rule, each computed once. ``known`` has those of before, and the dollars at first."""
    for seed in seeds:
        if (tariff, name, seed) not in known:
            known[tariff, name, seed] = path(prices_of(seed, months), RULES[name], known["nav"])
    return [known[tariff, name, seed] for seed in seeds]


def savings(base, rows):
    return [other.cost - own.cost for other, own in zip(base, rows, strict=True)]


def table(tariff, names, seeds, months, known):
    """Print one row for each rule."""
    head = f"{'rule':30} {'paths':>5} {'orders':>7} {'turnover':>9} {'fees':>6} {'spread':>6} {'cost':>6}"
    print(f"\n{tariff} tariff, basis points a year\n{head} {'saving':>7} {'95 % interval':>15} {'TE':>6}")
    base = paths(tariff, names[0], seeds, months, known)
    for name in names:
        rows = paths(tariff, name, seeds, months, known)
        mean, low, high = interval(savings(base, rows))
        average = {
            key: np.mean([getattr(row, key) for row in rows])
            for key in ("orders", "turnover", "fees", "spread", "cost", "tracking_error")
        }
        print(
            f"{name:30} {len(rows):5d} {average['orders']:7.1f} {average['turnover']:9.1%} {average['fees']:6.2f} "
            f"{average['spread']:6.2f} {average['cost']:6.2f} {mean:7.2f} {low:7.2f} {high:7.2f} "
            f"{average['tracking_error']:6.1f}",
            flush=True,
        )


def proof(seeds, months, known):
    """Print what the rule saves on all seeds, each with its limit."""
    base, rows = (paths("fixed", name, seeds, months, known) for name in ("all trades", PROVED))
    saved = savings(base, rows)
    mean, low, high = interval(saved)
    errors = [row.tracking_error for row in rows]
    print(f"\n{PROVED}, to the target, fixed tariff, {len(rows)} paths (limit in brackets)")
    print(f"saving           {mean:6.2f} bp a year [{LIMITS['saving']:.0f}]")
    print(f"  95 % interval  {low:6.2f} to {high:.2f} [above {LIMITS['low']:.0f}]")
    print(f"  least, most    {min(saved):6.2f}, {max(saved):.2f}")
    print(f"tracking error   {np.mean(errors):6.2f} bp a year [{LIMITS['tracking error']:.0f}]")
    print(f"  least, most    {min(errors):6.2f}, {max(errors):.2f}")
    print(f"  all trades     {np.mean([row.tracking_error for row in base]):6.2f}")
    print(f"mean NAV         {np.mean([row.nav for row in base]):,.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="one short path")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="paths of the rule that is proved")
    parser.add_argument("--nav", type=float, default=NAV, help="dollars at first")
    parser.add_argument("--only-proof", action="store_true", help="leave out the tables of all rules")
    options = parser.parse_args()
    seeds, others, months = options.seeds, SEEDS_OF_OTHERS, MONTHS
    if options.small:
        seeds, others, months = 1, {"fixed": 1, "tiered": 1}, 3
    known = {"nav": options.nav}
    proof(range(seeds), months, known)
    if options.only_proof:
        return
    table("fixed", list(RULES), range(others["fixed"]), months, known)
    sx.use_tariffs(tiered())
    table("tiered", list(RULES), range(others["tiered"]), months, known)
    print(f"\n{time.process_time():.0f} s of one core")


if __name__ == "__main__":
    main()
