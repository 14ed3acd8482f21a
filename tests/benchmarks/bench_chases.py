"""How fast work policies are tried: runs in virtual time a minute, and changes of limits a second.

    python tests/benchmarks/bench_chases.py [--chases 60] [--orders 200]

A chase is a run of up to three orders whose limits follow a moving market, with faults and crashes, through the
real client to the real venue (``tests/campaign/chases.py``). The changes are those of one run over the mock
filler, in its time: decided, recorded in memory and sent, of so many orders that are each repriced ten times.

Prints a table; compares nothing, because figures of different machines cannot be compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

import stocklean_exec as sx
from tests.campaign.chases import run_chases

FIRST = 900_000  # seeds that no campaign has used
REPRICES = 10
LIMITS = sx.Limits(price_collar=None, max_orders_per_minute=None, duplicate_window=None)


def time_chases(count):
    """Seconds on the clock, of the processor and of virtual time, and what ``count`` chases did."""
    began, used = time.perf_counter(), time.process_time()
    results = [*run_chases(range(FIRST, FIRST + count))]
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    assert not any(one["found"] for one in results), [one["words"] for one in results]
    return seconds, cpu, results


def time_changes(count):
    """Changes of limits that one run made, and seconds of the processor that it took."""
    names = [f"S{number}" for number in range(count)]
    quotes = pd.DataFrame({"symbol": names, "bid": 99.90, "ask": 100.10, "last": 100.0}).assign(
        quoted_at=pd.Timestamp("2026-11-25 15:00", tz="UTC")
    )
    broker = sx.connect("mock://", quotes=quotes, cash=1e9)
    fetch, moves = broker.fetch_quotes, []

    async def fetch_moved(symbols):
        moves.append(0.01)
        quotes = await fetch(symbols)
        return quotes.assign(bid=quotes["bid"] - sum(moves), ask=quotes["ask"] + sum(moves) / 2)

    broker.fetch_quotes = fetch_moved
    orders = pd.DataFrame({"run_id": "bench", "symbol": names, "side": "BUY", "quantity": 10.0}).assign(
        order_type="LMT", limit_price=99.0
    )
    review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes=quotes, cash=1e9))
    review.approve_all(by="bench")
    work = sx.WorkPolicy(reprice_seconds=10, reprice_to="near", reprices=REPRICES, max_efficiency_ratio=None)
    with sx.open_blotter() as blotter:
        used = time.process_time()
        sx.submit_orders(review.result(), broker, blotter, work=work, progress=False)
        cpu = time.process_time() - used
        return sum(event.kind == "modified" for event in blotter.recorded_events("bench")), cpu


def main():
    """Run all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chases", type=int, default=60)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--small", action="store_true", help="2 chases, 10 orders")
    given = parser.parse_args()
    if given.small:
        given.chases, given.orders = 2, 10
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f}"
    )
    seconds, cpu, results = time_chases(given.chases)
    changes = sum(one["changes"] for one in results)
    virtual = sum(one["virtual_seconds"] for one in results)
    print(f"{'chases':<38}{60 * given.chases / seconds:>10,.0f} a minute")
    print(f"{'chases, by time of the processor':<38}{60 * given.chases / cpu:>10,.0f} a minute")
    print(f"{'virtual seconds':<38}{virtual / seconds:>10,.1f} a second")
    print(f"{'changes of limits in them':<38}{changes / cpu:>10,.1f} a second of the processor")
    made, cpu = time_changes(given.orders)
    print(f"{f'{made:,} changes, one run, no broker':<38}{made / cpu:>10,.0f} a second of the processor")


if __name__ == "__main__":
    main()
