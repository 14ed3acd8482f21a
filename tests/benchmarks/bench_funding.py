"""Fully invested books through the whole of ``rebalance`` at its default settings: does the money suffice?

Random books of 5 to 5,000 names, most of them small, worth $20,000 to $10 million; every other one starts from
holdings. The plan sees last prices alone. Each book is traded at these prices, and its approved plan then at
prices that it was not given: a half-spread of 3 basis points, noise of 15 of each name and 8 of all names
together; twice that in Student's t with 3 degrees (of that standard deviation); and the first with a gap of 50
against the order in one name of twenty, and in one name at least.

Run ``python tests/benchmarks/bench_funding.py [--books N] [--first SEED] [--processes N] [--rows FILE]``;
``--small`` is quick. Aims stand beside the figures and are not enforced. Active share has cash as an asset with a
target of zero.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("STOCKLEAN_PROGRESS", "0")

import stocklean_exec as sx
from stocklean_exec.blotter import database_file

# DuckDB's own threads cost more than they save where tables are small.
database_file._CONFIG = {**database_file._CONFIG, "threads": "1"}

NOON = pd.Timestamp("2026-01-02 17:00", tz="UTC")
BP = 1e-4
HALF_SPREAD, OWN, COMMON, GAP = 3.0, 15.0, 8.0, 50.0  # basis points
ONE_CENT = 0.005
AIMS = {"noise 3 + 15 + 8 bp": 1.0, "twice that, Student t(3)": 3.0, "with gaps of 50 bp": 5.0}


def book_of(seed):
    """Targets that sum to one, last prices, shares held and cash, as functions of the seed."""
    rng = np.random.default_rng([2026, seed])
    least, most = ((5, 50), (50, 500), (500, 5_000))[rng.choice(3, p=(0.70, 0.28, 0.02))]
    names = round(least * (most / least) ** rng.random())
    nav = 20_000.0 * 500 ** rng.random()
    price = np.round(np.clip(62.0 * np.exp(rng.normal(size=names)), 2.0, 5_500.0), 2)
    weight = np.exp(1.2 * rng.normal(size=names))
    labels = [f"S{number:05d}" for number in range(names)]
    held = np.zeros(names)
    if seed % 2:
        other = np.exp(1.2 * rng.normal(size=names)) * (rng.random(names) < 0.8)
        held = np.floor(0.99 * nav * other / max(other.sum(), 1e-9) / price)
    book = pd.DataFrame({"symbol": labels, "weight": weight / weight.sum(), "price": price, "held": held})
    return book, round(nav - float(held @ price), 2), rng


def noise_of(case, book, side, rng):
    """Prices of the fills; ``side`` is 1 for buys, -1 for sells, and 0 where nothing is traded."""
    count = len(book)
    if case.startswith("twice"):  # the standard deviation of t(3) is the root of three
        own, common, factor = rng.standard_t(3, size=count) / 3**0.5, rng.standard_t(3) / 3**0.5, 2.0
    else:
        own, common, factor = rng.normal(size=count), rng.normal(), 1.0
    move = factor * (side * HALF_SPREAD + OWN * own + COMMON * common)
    if "gap" in case:
        struck = rng.permutation(count)[: max(1, round(count / 20))]
        move[struck] += side[struck] * GAP
    return book["price"].to_numpy() * np.maximum(1 + move * BP, 0.01)


def opened(book, cash, fill_price=None):
    plan = None
    if fill_price is not None:
        plan = pd.DataFrame({"symbol": book["symbol"], "action": "fill", "price": fill_price})
    quotes = pd.DataFrame({"symbol": book["symbol"], "last": book["price"], "quoted_at": NOON})
    held = book.loc[book["held"] > 0, ["symbol", "held"]].rename(columns={"held": "quantity"})
    return sx.MockBroker(quotes, positions=held, cash=cash, fill_plan=plan)


def rebalanced(book, cash):
    """The approved plan, states of its orders, shares held afterwards, and cash."""
    approved = []

    def approve(review):
        review.approve_all(by="bench")
        approved.append(review.result())

    with sx.open_blotter() as blotter, opened(book, cash) as broker:
        states = sx.rebalance(
            book[["symbol", "weight"]], broker, blotter, run_id="bench", approve=approve, dry_run=False
        )
        after = broker.positions().set_index("symbol")["quantity"].reindex(book["symbol"], fill_value=0.0)
        return approved[0], states, after.to_numpy(), broker.cash()


def traded(approved, book, cash, fill_price):
    """States of the orders of an approved plan that trades at other prices, and cash."""
    with sx.open_blotter() as blotter, opened(book, cash, fill_price) as broker:
        return sx.submit_orders(approved, broker, blotter, progress=False), broker.cash()


def is_cut(states):
    """Whether an order was refused, or sent for less than was planned."""
    return bool((states["status"] != "FILLED").any() or states["reason"].notna().any())


def planned(book, held, orders):
    """Shares that a plan comes to."""
    signed = orders.set_index("symbol")["quantity"]
    signed = signed.where((orders["side"] == "BUY").to_numpy(), -signed)
    return held + signed.reindex(book["symbol"], fill_value=0.0).to_numpy()


def active_share(book, shares, nav):
    value = shares * book["price"].to_numpy()
    away = value - book["weight"].to_numpy() * nav
    return (np.abs(away).sum() + abs(away.sum())) / 2 / nav / BP


def measure(seed):
    """All figures of one book."""
    book, cash, rng = book_of(seed)
    held, targets = book["held"].to_numpy(), book[["symbol", "weight"]]
    approved, states, after, left = rebalanced(book, cash)
    target = planned(book, held, approved)
    with opened(book, cash) as broker:
        state = broker.account_state(targets)
        nav = state.nav
        without = planned(book, held, sx.plan_orders(targets, state, run_id="bench", reserve=0))
        fees = sx.plan_summary(approved, targets, state)["estimated_fees"]
    result = {
        "seed": seed,
        "names": len(book),
        "nav": nav,
        "cut": is_cut(states),
        "off plan": bool((np.abs(after - target) > 1.0).any()),
        "below zero": left < -ONE_CENT,
        "share": active_share(book, target, nav) - active_share(book, without, nav),
        "fees": fees / nav / BP,
    }
    side = np.sign(target - held)
    for case in AIMS:
        states, left = traded(approved, book, cash, noise_of(case, book, side, rng))
        result |= {case: left < -ONE_CENT, f"{case} bp": left / nav / BP, f"{case} cut": is_cut(states)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first book")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rows", help="CSV file for one row a book, written as they come")
    parser.add_argument("--small", action="store_true", help="4 books")
    options = parser.parse_args()
    count = 4 if options.small else options.books
    started, seeds = time.perf_counter(), range(options.first, options.first + count)
    with ProcessPoolExecutor(options.processes) as pool:
        found = pool.map(measure, seeds, chunksize=5) if options.processes > 1 else map(measure, seeds)
        rows = []
        for row in found:
            rows.append(row)
            if options.rows is not None and (len(rows) % 50 == 0 or len(rows) == count):
                pd.DataFrame(rows).to_csv(options.rows, index=False)
    print_table(pd.DataFrame(rows), time.perf_counter() - started)


def print_table(rows, seconds):
    names, nav = rows["names"], rows["nav"]
    print(f"{len(rows)} books in {seconds:.0f} s, load {os.getloadavg()[1]:.1f}")
    print(
        f"{names.min()} to {names.max()} names (median {names.median():g}), ${nav.min():,.0f} to ${nav.max():,.0f}"
    )
    line = partial("{:58} {:>12} {:>12} {:>10}".format)
    print(line("", "measured", "worst", "aim"))
    print(line("no noise: an order refused for cash or not funded", f"{rows['cut'].mean():.2%}", "", "0 %"))
    print(line("no noise: held more than one lot off the plan", f"{rows['off plan'].mean():.2%}", "", "0 %"))
    print(line("no noise: cash below zero", f"{rows['below zero'].mean():.2%}", "", "0 %"))
    for case, aim in AIMS.items():
        worst = f"{rows[f'{case} bp'].min():.2f} bp"
        print(line(f"{case}: cash below zero", f"{rows[case].mean():.2%}", worst, f"{aim:g} %"))
        print(line("  an order cut to the cash there was", f"{rows[f'{case} cut'].mean():.2%}", "", ""))
    share, beyond = rows["share"], rows["share"] - rows["fees"]
    print(line("active share against reserve=0, bp, mean", f"{share.mean():.2f}", f"{share.max():.2f}", "4"))
    print(line("  median", f"{share.median():.2f}", "", ""))
    print(line("  of it beyond the fees, mean", f"{beyond.mean():.2f}", f"{beyond.max():.2f}", ""))


if __name__ == "__main__":
    main()
