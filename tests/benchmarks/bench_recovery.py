"""What recovery costs: a restart of a big run, the record that makes it possible, and the campaign that tries it.

A worker process submits the orders through ib_async to a simulator in a process of its own, and kills itself half
way. Measured is the time from there on in a new worker: until the blotter is reconciled with the broker, and until
the run is over. Then many small runs, each killed before or after another one of its orders, and how long
``sx.resume`` takes, beside a limit. Then, order by order, what it takes to announce an order on disk before it
leaves, beside handing it over alone; and the number of runs of the crash campaign in a minute.

Run ``python tests/benchmarks/bench_recovery.py [--orders N] [--kills N] [--campaign N]``; ``--small`` is quick,
``--kills-only`` times the resumes alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.execution import recovery

ROOT = Path(__file__).parents[2]
SYMBOLS = tuple(sx.sample_closes().columns)
LIMITS = sx.Limits(duplicate_window=None)
WORKER = "import sys, bench_recovery as b; b.submit_and_die(*sys.argv[1:])"
RESUMED = 20  # orders of each run that is killed to time its resume
LIMIT_S = 10.0
"""What a resume may take, beyond ``--settle``: as long as an order may be in flight to TWS, for which everybody
has to wait who wants to know whether it has left. A stated choice."""


@contextlib.contextmanager
def simulator():
    """The port of a simulator in a separate process."""
    command = [sys.executable, "-m", "stocklean_exec.simulator", "--port", "0", "--seed", "7", "--cash", "1e9"]
    with subprocess.Popen([*command, "--clock", "brisk"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline().rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait()


def connect(port):
    return sx.connect(f"ib://127.0.0.1:{port}?client_id=7&rate=0")


def submit_and_die(port, file, count, run_id="bench", nth="", when="after"):
    """Submit ``count`` orders, and end as by ``kill -9`` before or after the nth: by default after half."""
    count = int(count)
    last = int(nth or count // 2)
    orders = pd.DataFrame(
        {
            "run_id": run_id,
            "client_order_id": [f"{run_id}-{number}" for number in range(count)],
            "symbol": [SYMBOLS[number % len(SYMBOLS)] for number in range(count)],
            "side": "BUY",
            "quantity": 100.0,
            "order_type": "MKT",
        }
    )
    send, sent = ib_connection.Connection.send_order, []

    def send_order(link, contract, order):
        sent.append(order)
        if len(sent) == last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        send(link, contract, order)
        if len(sent) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    ib_connection.Connection.send_order = send_order
    with connect(port) as broker, sx.open_blotter(file) as blotter:
        review = sx.review_orders(sx.check_orders(orders, LIMITS, quotes=broker.quotes(list(SYMBOLS)), cash=1e9))
        review.approve_all(by="bench")
        sx.submit_orders(review.result(), broker, blotter, progress=False)


def let_die(*arguments):
    """Run a worker of :func:`submit_and_die` to its death."""
    command = [sys.executable, "-c", WORKER, *map(str, arguments)]
    died = subprocess.run(command, cwd=Path(__file__).parent, check=False)
    assert died.returncode == -signal.SIGKILL, died


def time_resumes(kills, settle):
    """Seconds of ``sx.resume``, and of the processor, after kills before and after one order after another."""
    took = []
    with simulator() as port, tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            file, run_id = Path(folder) / f"{number}.duckdb", f"bench{number}"
            nth, when = 1 + number // 2 % RESUMED, ("before", "after")[number % 2]
            let_die(port, file, RESUMED, run_id, nth, when)
            with sx.open_blotter(file) as blotter, connect(port) as broker:
                began, used = time.perf_counter(), time.process_time()
                states = sx.resume(run_id, broker, blotter, progress=False, settle=settle)
                took.append((time.perf_counter() - began, time.process_time() - used))
            assert (states["status"] == "FILLED").all(), states["status"].value_counts()
    return took


def time_restart(count):
    """Seconds of a restart until the blotter is reconciled, and until the run has finished."""
    reconciled = []
    run = recovery.Recovery.run

    async def timed(self):
        found = await run(self)
        reconciled.append(time.perf_counter())
        return found

    with simulator() as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.duckdb"
        let_die(port, file, count)
        recovery.Recovery.run = timed
        started = time.perf_counter()
        try:
            with sx.open_blotter(file) as blotter, connect(port) as broker:
                states = sx.resume("bench", broker, blotter, progress=False, settle=0.0)
                ended = time.perf_counter()
        finally:
            recovery.Recovery.run = run
        assert (states["status"] == "FILLED").all(), states["status"].value_counts()
    return reconciled[0] - started, ended - started


def time_orders(count):
    """Milliseconds of handing one order over, and of announcing on disk 1, 32 and 250 orders, for each order."""
    tickets = [
        Ticket(
            f"bench-{number}", "bench", SYMBOLS[number % 20], "BUY", 100.0, "MKT", float("nan"), "DAY", "USD",
            "STK", "SMART", "DU0000001",
        )
        for number in range(count)
    ]  # fmt: skip
    bare = []
    with simulator() as port, connect(port) as broker:
        asyncio.run(broker.prepare(tickets))
        send = ib_connection.Connection.send_order

        def timed(link, contract, order):
            began = time.perf_counter()
            send(link, contract, order)
            bare.append(1e3 * (time.perf_counter() - began))

        ib_connection.Connection.send_order = timed
        try:
            asyncio.run(broker.place_all(tickets, lambda _: contextlib.nullcontext()))
        finally:
            ib_connection.Connection.send_order = send
    rows = {"handing one order over, no record": bare}
    with tempfile.TemporaryDirectory() as folder, sx.open_blotter(Path(folder) / "bench.duckdb") as blotter:
        for size in (1, 32, 250):
            rows[f"announcing it on disk, {size} in one commit"] = took = []
            for first in range(0, count, size):
                events = [
                    OrderEvent(
                        "sending", "bench", one.client_order_id, order_id=first, client_id=size, attempt=size
                    )
                    for one in tickets[first : first + size]
                ]
                began = time.perf_counter()
                blotter.record(events).result()
                took.append(1e3 * (time.perf_counter() - began) / len(events))
    return rows


def campaign_rate(runs, wide):
    """The campaign's own line about itself."""
    command = [sys.executable, "-m", "tests.campaign", "--runs", str(runs), "--wide", str(wide)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return next(line for line in done.stdout.splitlines() if "runs/min" in line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--kills", type=int, default=40, help="runs that are killed to time their resume")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds that an order may be in flight")
    parser.add_argument("--kills-only", action="store_true", help="time the resumes, and nothing else")
    parser.add_argument("--campaign", type=int, default=100, help="runs of the campaign")
    parser.add_argument("--wide", type=int, default=4)
    parser.add_argument("--small", action="store_true", help="30 orders, 4 kills, 4 runs")
    options = parser.parse_args()
    count, repeat, runs = (30, 1, 4) if options.small else (options.orders, options.repeat, options.campaign)
    kills = 4 if options.small else options.kills
    took, limit = time_resumes(kills, options.settle), options.settle + LIMIT_S
    title = f"sx.resume of {RESUMED} orders, {kills} kills, {options.settle:g} s in flight"
    print(f"{title:52} {'median s':>10} {'worst s':>10} {'limit s':>10}")
    for label, column in (("on the clock", 0), ("of the processor", 1)):
        seconds = [one[column] for one in took]
        print(f"  {label:50} {statistics.median(seconds):10.3f} {max(seconds):10.3f} {limit:10.3f}")
    if options.kills_only:
        return
    restarts = [time_restart(count) for _ in range(repeat)]
    print(f"{f'restart of a run of {count} orders, killed half way':52} {'median s':>10} {'worst s':>10}")
    for label, column in (("until the blotter is reconciled", 0), ("until the run is over", 1)):
        seconds = [one[column] for one in restarts]
        print(f"  {label:50} {statistics.median(seconds):10.3f} {max(seconds):10.3f}")
    print(f"{'for each order':52} {'median ms':>10} {'p99 ms':>10}")
    for label, took in time_orders(count).items():
        rare = sorted(took)[math.ceil(0.99 * len(took)) - 1]
        print(f"  {label:50} {statistics.median(took):10.3f} {rare:10.3f}")
    print(f"campaign, {options.wide} wide: {campaign_rate(runs, options.wide)}")


if __name__ == "__main__":
    main()
