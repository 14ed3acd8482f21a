"""A run of many orders through the real ib_async client to the wire simulator, beside a loop without a record.

The bare loop is what a user would write with ib_async alone: qualify, place every order, wait until each has
all its executions and commissions. Ours is ``submit_orders`` into a DuckDB file: every event, fill and
commission recorded, every order announced on disk before it leaves. The simulator runs in a process of its own,
and ib_async's throttle is lifted on both sides. Then the same with IB's limit of messages, and the time that a
``sim://`` connection takes.

Run ``python tests/benchmarks/bench_ib_run.py [--orders N] [--paced N]``; ``--small`` is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from ib_async import IB, MarketOrder, Stock

import stocklean_exec as sx

SYMBOLS = tuple(sx.sample_closes().columns)
RATE = 45.0


@contextlib.contextmanager
def simulator():
    """The port of a simulator in a separate process."""
    command = [sys.executable, "-m", "stocklean_exec.simulator", "--port", "0", "--seed", "7", "--cash", "1e9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline().rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait()


async def place_bare(port, count):
    """Seconds that ib_async alone takes for ``count`` orders, with nothing recorded."""
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", port, clientId=9)
    done = asyncio.Event()
    complete = set()

    def on_commission(trade, _fill, _report):
        if trade.filled() >= 100 and all(fill.commissionReport.execId for fill in trade.fills):
            complete.add(trade.order.orderId)
        if len(complete) == count:
            done.set()

    ib.commissionReportEvent += on_commission
    started = time.perf_counter()
    contracts = await ib.qualifyContractsAsync(*(Stock(name, "SMART", "USD") for name in SYMBOLS))
    await ib.reqTickersAsync(*contracts)
    for number in range(count):
        order = MarketOrder("BUY", 100, tif="DAY", account="DU0000001", orderRef=f"bare-{number}")
        ib.placeOrder(contracts[number % len(contracts)], order)
        if number % 50 == 49:
            await asyncio.sleep(0)
    await done.wait()
    seconds = time.perf_counter() - started
    ib.disconnect()
    return seconds


def approved_plan(count, quotes):
    orders = pd.DataFrame(
        {
            "run_id": "bench",
            "symbol": [SYMBOLS[number % len(SYMBOLS)] for number in range(count)],
            "side": "BUY",
            "quantity": 100.0,
            "order_type": "MKT",
        }
    )
    orders["client_order_id"] = [f"bench-{number}" for number in range(count)]
    limits = sx.Limits(duplicate_window=None)
    review = sx.review_orders(sx.check_orders(orders, limits, quotes=quotes, cash=1e9))
    review.approve_all(by="bench")
    return review.result()


def run_ours(port, folder, count, rate):
    """Seconds of ``submit_orders`` until all is filled and charged, and of the sending alone by the record."""
    address = f"ib://127.0.0.1:{port}?client_id=7&rate={rate}"
    with sx.connect(address) as broker, sx.open_blotter(folder / "bench.duckdb") as blotter:
        approved = approved_plan(count, broker.quotes(list(SYMBOLS)))
        started = time.perf_counter()
        states = sx.submit_orders(approved, broker, blotter, progress=False, timeout=600)
        seconds = time.perf_counter() - started
        assert (states["status"] == "FILLED").all(), states["status"].value_counts()
        assert blotter.fills("bench")["commission"].notna().all()
        return seconds


def time_to_connect(times):
    """Median seconds until a ``sim://`` broker is connected and synchronised."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        with sx.connect("sim://?seed=7"):
            seconds.append(time.perf_counter() - started)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--paced", type=int, default=450, help="orders at IB's limit")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="40 orders, 30 at the limit")
    options = parser.parse_args()
    count, paced, repeat = (40, 30, 1) if options.small else (options.orders, options.paced, options.repeat)
    first, *later = time_to_connect(1 + repeat)
    bare, ours = [], []
    for _ in range(repeat):
        with simulator() as port:
            bare.append(asyncio.run(place_bare(port, count)))
        with simulator() as port, tempfile.TemporaryDirectory() as folder:
            ours.append(run_ours(port, Path(folder), count, 0))
    with simulator() as port, tempfile.TemporaryDirectory() as folder:
        limited = run_ours(port, Path(folder), paced, RATE)
    print(f"{'what':52} {'seconds':>9} {'orders/s':>10}")
    for label, found in (("ib_async alone, no record", bare), ("submit_orders, DuckDB file", ours)):
        middle = statistics.median(found)
        print(f"{f'{label}, {count} orders':52} {middle:9.3f} {count / middle:10.0f}")
    print(f"{'share of bare':52} {statistics.median(bare) / statistics.median(ours):9.2f}")
    print(f"{f'submit_orders at {RATE:.0f} messages/s, {paced} orders':52} {limited:9.3f} {paced / limited:10.1f}")
    messages = paced + len(SYMBOLS)
    print(f"{f'share of the limit ({messages} messages)':52} {messages / limited / RATE:9.1%}")
    print(f"{'sim:// connected, first in the process':52} {first:9.3f}")
    print(f"{'sim:// connected, again':52} {statistics.median(later):9.3f}")


if __name__ == "__main__":
    main()
