"""A mock run of many orders with three fills each into a DuckDB file, beside the obvious design.

The obvious design keeps one row per order up to date: for each fill it updates the order's row, inserts the
fill, and commits. Ours goes through ``submit_orders`` with everything that it does: intents before anything is
sent, every event, fills, commissions, states.

Run ``python tests/benchmarks/bench_mock_run.py [--orders N]``; ``--small`` is quick.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import duckdb
import pandas as pd

import stocklean_exec as sx
from stocklean_exec.blotter import writer as blotter_writer

NOON = pd.Timestamp("2026-01-02 17:00", tz="UTC")


def approved_plan(count):
    symbols = [f"S{number:05d}" for number in range(count)]
    quotes = pd.DataFrame(
        {"symbol": symbols, "bid": 99.99, "ask": 100.01, "ask_size": 100.0, "bid_size": 100.0, "quoted_at": NOON}
    )
    orders = pd.DataFrame(
        {"run_id": "bench", "symbol": symbols, "side": "BUY", "quantity": 300.0, "order_type": "MKT"}
    )
    review = sx.review_orders(sx.check_orders(orders, quotes=quotes, cash=1e9))
    review.approve_all(by="bench")
    return review.result(), quotes


def ours(folder, count):
    """Seconds of the run, seconds of it that the writer spent in DuckDB, and the fills on record."""
    approved, quotes = approved_plan(count)
    spent = 0.0
    commit = blotter_writer.GroupCommitWriter._commit

    def timed(self, *arguments, **options):
        nonlocal spent
        started = time.perf_counter()
        commit(self, *arguments, **options)
        spent += time.perf_counter() - started

    blotter_writer.GroupCommitWriter._commit = timed
    try:
        with sx.open_blotter(folder / "ours.duckdb") as blotter, sx.MockBroker(quotes, cash=1e9) as broker:
            started = time.perf_counter()
            states = sx.submit_orders(approved, broker, blotter, progress=False)
            seconds = time.perf_counter() - started
            fills = len(blotter.fills("bench"))
    finally:
        blotter_writer.GroupCommitWriter._commit = commit
    assert (states["status"] == "FILLED").all()
    return seconds, spent, fills


def row_by_row(folder, count):
    """Seconds of the obvious design for the same orders and fills."""
    with duckdb.connect(str(folder / "rows.duckdb")) as connection:
        connection.execute(
            "create table orders (id varchar primary key, symbol varchar, side varchar, quantity double, "
            "status varchar, filled double, average double)"
        )
        connection.execute(
            "create table fills (exec_id varchar primary key, id varchar, quantity double, price double, "
            "commission double)"
        )
        started = time.perf_counter()
        for number in range(count):
            name = f"bench-S{number:05d}-BUY"
            connection.execute("insert into orders values (?, ?, 'BUY', 300, 'NEW', 0, null)", [name, name])
            for part in range(3):
                filled = 100.0 * (part + 1)
                status = "FILLED" if part == 2 else "PARTIAL"
                connection.begin()
                connection.execute(
                    "update orders set status = ?, filled = ?, average = 100.01 where id = ?",
                    [status, filled, name],
                )
                connection.execute("insert into fills values (?, ?, 100, 100.01, 0.5)", [f"{name}.{part}", name])
                connection.commit()
        return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--small", action="store_true", help="30 orders")
    options = parser.parse_args()
    count = 30 if options.small else options.orders
    with tempfile.TemporaryDirectory() as scratch:
        seconds, in_duckdb, fills = ours(Path(scratch), count)
        naive = row_by_row(Path(scratch), count)
    print(f"{count} orders, {fills} fills, one DuckDB file each")
    print(f"{'design':42} {'seconds':>9} {'orders/s':>10} {'of it DuckDB':>13}")
    for design, taken, share in (
        ("submit_orders (events, group commit)", seconds, f"{in_duckdb / seconds:.0%}"),
        ("update order, insert fill, commit per fill", naive, "nearly all"),
    ):
        print(f"{design:42} {taken:9.3f} {count / taken:10.0f} {share:>13}")
    print(f"ratio {naive / seconds:.1f}")


if __name__ == "__main__":
    main()
