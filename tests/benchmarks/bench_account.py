"""The account as one thing over the wire simulator, and the time that waiting for cash takes on the demo.

``account_state`` reads NAV, cash, holdings, open orders and quotes of all of them through the real ib_async client
at IB's limit of messages. The demo's orders are then submitted
with ``funding="fills"``, in which buys wait for the cash of the sells, and with ``"margin"``, in which none waits.

Run ``python tests/benchmarks/bench_account.py [--symbols N] [--runs N]``; ``--small`` is quick. Aims stand beside
the figures and are not enforced.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("STOCKLEAN_PROGRESS", "0")

import stocklean_exec as sx
from stocklean_exec.demo import DEMO_LIMITS, demo_broker, demo_targets
from stocklean_exec.rebalancing import prepare

PATIENCE = 2.0  # seconds, as in the demo: two of its orders rest until then


def market(count):
    """Quotes of symbols at $5 to $500, a cent or more wide."""
    price = np.round(np.exp(np.linspace(np.log(5), np.log(500), count)), 2)
    labels = [f"S{number:04d}" for number in range(count)]
    quoted = {"bid": price - 0.01, "ask": price + 0.01, "last": price, "quoted_at": pd.Timestamp.now("UTC")}
    return pd.DataFrame({"symbol": labels} | quoted)


def account_seconds(count):
    """Seconds of the first and of the second reading of an account that holds half of the symbols."""
    quotes = market(count)
    held = pd.DataFrame({"symbol": quotes["symbol"][::2], "quantity": 100.0})
    found = []
    with sx.connect("sim://?seed=7", quotes=quotes, positions=held, cash=1e6) as broker:
        for _ in range(2):
            started = time.perf_counter()
            state = broker.account_state(quotes["symbol"].tolist())
            found.append(time.perf_counter() - started)
            if not (len(state.quotes) == count and len(state.positions) == len(held)):
                raise AssertionError(f"{len(state.quotes)} quotes and {len(state.positions)} positions")
    return found


def demo_seconds(funding):
    """Seconds from the submission of the demo's orders to the last fill, and to the end of the run."""
    with sx.open_blotter() as blotter, demo_broker() as broker:
        review = prepare(demo_targets(), broker, blotter, run_id="bench", limits=DEMO_LIMITS)
        review.approve_all(by="bench")
        started, clock = time.perf_counter(), pd.Timestamp.now("UTC")
        states = sx.submit_orders(review.result(), broker, blotter, timeout=PATIENCE, funding=funding)
        whole = time.perf_counter() - started
        filled = blotter.events("bench").query("kind == 'execution'")["recorded_at"].max() - clock
        return filled.total_seconds(), whole, int((states["status"] == "FILLED").sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="20 symbols, one run")
    options = parser.parse_args()
    count, runs = (20, 1) if options.small else (options.symbols, options.runs)
    first, second = account_seconds(count)
    print(f"account_state of {count} symbols over sim://: {first:.2f} s, and again {second:.2f} s", flush=True)
    last = {}
    for funding in ("margin", "fills"):
        filled, whole, orders = zip(*(demo_seconds(funding) for _ in range(runs)), strict=True)
        last[funding] = statistics.median(filled)
        print(
            f"demo, funding={funding!r}: {orders[0]} orders filled, the last fill after {last[funding]:.2f} s, "
            f"the end after {statistics.median(whole):.2f} s (median of {runs})",
            flush=True,
        )
    print(f"waiting for cash takes {last['fills'] - last['margin']:+.2f} s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
