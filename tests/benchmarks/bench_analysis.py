"""The cost analysis at size, side by side with DuckDB ASOF JOIN, polars join_asof and pandas merge_asof.

CPU seconds (user and system, after imports) and peak memory of a process for each task and engine, from Parquet
files to one row per order, or one per horizon; every engine must come to the same checksum. ``--small`` is for CI
and asserts the checksums only. Without it: a million orders, ten million fills, 58.5 million one-second quotes of
500 symbols in five days, which take half a minute to make and 600 MB in ``--folder``. The quotes of a day are
sorted by symbol and time; with ``--by-time`` by time alone, as they are recorded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["STOCKLEAN_PROGRESS"] = "0"

HORIZONS = [1, 10, 60, 300]
FULL = {"symbols": 500, "days": 5, "seconds": 23_400, "orders": 1_000_000, "fills": 10}
SMALL = {"symbols": 5, "days": 2, "seconds": 4_000, "orders": 500, "fills": 4}
TASKS = ("slippage", "vwap", "markouts", "shortfall", "one run")
ENGINES = ("ours", "duckdb", "polars", "pandas")
RUN = 500  # orders of one run
SIDE = "CASE WHEN side = 'BUY' THEN 1 ELSE -1 END"


# -- data
# ----------------------------------------------------------------------------------------------------------


def make(folder, size, seed=1, *, by_time=False):
    """Random walks in cents with a spread of two to six, sorted by symbol and time, or by time, one file a day."""
    import duckdb
    import numpy as np

    rng, db = np.random.default_rng(seed), duckdb.connect()
    symbols, seconds = size["symbols"], size["seconds"]
    start = np.datetime64("2026-11-16T14:30:00", "us").astype("int64")
    price = np.round(rng.uniform(10, 400, symbols), 2)
    names = "'S' || lpad(code::VARCHAR, 3, '0') AS symbol"
    (folder / "quotes").mkdir(parents=True)
    last = price.copy()
    for day in range(size["days"]):
        steps = rng.integers(-1, 2, (symbols, seconds)) * 0.01
        mid = np.maximum(last[:, None] + np.cumsum(steps, axis=1), 1.0)
        half = rng.integers(1, 4, (symbols, seconds)) * 0.01
        last = mid[:, -1]
        rows = {
            "code": np.repeat(np.arange(symbols, dtype="int32"), seconds),
            "moment": np.tile(start + day * 86_400_000_000 + np.arange(seconds) * 1_000_000, symbols),
            "bid": np.round(mid - half, 2).ravel(),
            "ask": np.round(mid + half, 2).ravel(),
            "last": np.round(mid, 2).ravel(),
            "volume": rng.integers(0, 50, symbols * seconds) * 100.0,
        }
        db.register("made", rows)
        query = f"SELECT {names}, make_timestamptz(moment) AS quoted_at, bid, ask, last, volume FROM made"
        query += " ORDER BY quoted_at, symbol" if by_time else ""
        db.execute(f"COPY ({query}) TO '{folder}/quotes/day{day}.parquet' (FORMAT parquet)")
        db.unregister("made")
    count, each = size["orders"], size["fills"]
    code, day = rng.integers(0, symbols, count), rng.integers(0, size["days"], count)
    second = rng.integers(0, seconds * 7 // 10, count)
    arrived = start + day * 86_400_000_000 + second * 1_000_000 + rng.integers(0, 1_000_000, count)
    buys, shares = rng.random(count) < 0.5, rng.integers(1, 50, count) * 100.0
    ids = "'r-' || lpad(number::VARCHAR, 7, '0') AS client_order_id"
    sides = "CASE WHEN buys THEN 'BUY' ELSE 'SELL' END AS side"
    db.register("orders", {
        "number": np.arange(count), "code": code, "arrived": arrived, "buys": buys, "shares": shares * each,
        "price": price[code],
    })  # fmt: skip
    db.execute(
        f"COPY (SELECT {ids}, {names}, {sides}, shares AS quantity, price AS decision_price, price AS "
        f"final_price, "
        f"make_timestamptz(arrived) AS arrived_at FROM orders) TO '{folder}/orders.parquet' (FORMAT parquet)"
    )
    db.execute(
        f"COPY (SELECT *, decision_price AS arrival_price FROM '{folder}/orders.parquet') "
        f"TO '{folder}/arrived.parquet' (FORMAT parquet)"
    )
    which = np.repeat(np.arange(count), each)
    filled = arrived[which] + rng.integers(0, max(1, seconds // 15) * 1_000_000, count * each)
    order = np.argsort(filled)  # a record is in time
    which, filled = which[order], filled[order]
    db.register("fills", {
        "number": which, "code": code[which], "moment": filled, "buys": buys[which], "shares": shares[which],
        "price": np.round(price[code[which]] * (1 + rng.normal(0, 1e-3, count * each)), 2),
    })  # fmt: skip
    db.execute(
        f"COPY (SELECT {ids}, {names}, {sides}, shares AS quantity, price, make_timestamptz(moment) AS filled_at, "
        f"round(shares * 0.0035, 2) AS commission FROM fills) TO '{folder}/fills.parquet' (FORMAT parquet)"
    )
    half_hour = f"'{np.datetime64(int(start) + 3_600_000_000 if seconds > 9_000 else int(start), 'us')}+00'"
    db.execute(
        f"COPY (SELECT * FROM '{folder}/arrived.parquet' WHERE arrived_at >= TIMESTAMPTZ {half_hour} "
        f"ORDER BY arrived_at LIMIT {RUN}) TO '{folder}/run.parquet' (FORMAT parquet)"
    )
    db.execute(
        f"COPY (SELECT * FROM '{folder}/fills.parquet' WHERE client_order_id IN (SELECT client_order_id FROM "
        f"'{folder}/run.parquet')) TO '{folder}/run_fills.parquet' (FORMAT parquet)"
    )


# -- ours
# ----------------------------------------------------------------------------------------------------------


def ours(task, folder):
    import stocklean_exec as sx

    orders, fills, quotes = folder / "orders.parquet", folder / "fills.parquet", folder / "quotes"
    if task == "slippage":
        return float(sx.slippage(orders, fills, quotes=quotes)["slippage_cost"].sum())
    if task == "vwap":
        trades = sx.trade_files(quotes, columns={"traded_at": "quoted_at", "price": "last"})
        return float(sx.slippage(orders, fills, benchmark="vwap", trades=trades)["slippage_cost"].sum())
    if task == "markouts":
        return float(sx.markouts(fills, quotes, HORIZONS)["markout_bps"].sum())
    if task == "shortfall":
        return float(sx.implementation_shortfall(folder / "arrived.parquet", fills)["total_cost"].sum())
    run = sx.slippage(folder / "run.parquet", folder / "run_fills.parquet", benchmark="far_touch", quotes=quotes)
    return float(run["slippage_cost"].sum())


# -- the peers
# -----------------------------------------------------------------------------------------------------


def duckdb(task, folder):
    import duckdb as engine

    db = engine.connect()
    for name in ("orders", "arrived", "fills", "run", "run_fills"):
        db.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder}/{name}.parquet'")
    db.execute(f"CREATE VIEW quotes AS SELECT * FROM '{folder}/quotes/*.parquet'")
    done = "(SELECT client_order_id, sum(quantity) AS f, sum(quantity * price) AS v, {} FROM {} GROUP BY 1)"
    if task == "slippage":
        return _sum(db, f"""
            SELECT client_order_id, {SIDE} * (v - f * mid) AS cost
            FROM (SELECT o.*, (q.bid + q.ask) / 2 AS mid FROM orders o
                  ASOF LEFT JOIN quotes q ON o.symbol = q.symbol AND o.arrived_at >= q.quoted_at)
            JOIN {done.format("count(*)", "fills")} USING (client_order_id)""")  # fmt: skip
    if task == "vwap":
        db.execute("""CREATE VIEW running AS SELECT symbol, quoted_at,
            sum(volume) OVER w AS cv, sum(volume * last) OVER w AS cm
            FROM quotes WINDOW w AS (PARTITION BY symbol ORDER BY quoted_at)""")
        return _sum(db, f"""
            WITH o AS (SELECT * FROM orders
                       JOIN {done.format("max(filled_at) AS t", "fills")} USING (client_order_id)),
            ends AS (SELECT *, arrived_at AS moment, -1 AS way FROM o
                     UNION ALL SELECT *, t AS moment, 1 AS way FROM o),
            found AS (SELECT e.client_order_id, e.side, e.f, e.v, e.way * coalesce(r.cv, 0) AS cv,
                      e.way * coalesce(r.cm, 0) AS cm
                      FROM ends e ASOF LEFT JOIN running r ON e.symbol = r.symbol AND e.moment >= r.quoted_at)
            SELECT client_order_id, {SIDE} * (v - f * sum(cm) / nullif(sum(cv), 0)) AS cost
            FROM found GROUP BY client_order_id, side, f, v""")  # fmt: skip
    if task == "markouts":
        steps = ", ".join(f"({h})" for h in HORIZONS)
        return float(db.execute(f"""
            WITH p AS (SELECT symbol, h, filled_at + to_seconds(h) AS t, {SIDE} * quantity / price AS w,
                       {SIDE} * quantity AS s, quantity FROM fills, (VALUES {steps}) v(h)),
            q AS (SELECT symbol, quoted_at, (bid + ask) / 2 AS mid FROM quotes),
            m AS (SELECT h, 1e4 * (sum(w * mid) - sum(s)) / sum(quantity) AS bps
                  FROM p ASOF JOIN q ON p.symbol = q.symbol AND p.t >= q.quoted_at GROUP BY h)
            SELECT sum(bps) FROM m""").fetchone()[0])  # fmt: skip
    if task == "shortfall":
        return _sum(db, f"""
            SELECT client_order_id, quantity * decision_price AS notional,
                   {SIDE} * quantity * (arrival_price - decision_price) AS delay,
                   {SIDE} * (v - f * arrival_price) AS trading,
                   {SIDE} * (quantity - f) * (final_price - arrival_price) AS opportunity, c AS fees,
                   {SIDE} * (v - f * decision_price)
                   + {SIDE} * (quantity - f) * (final_price - decision_price) + c AS cost
            FROM arrived
            JOIN {done.format("sum(commission) AS c", "fills")} USING (client_order_id)""")  # fmt: skip
    return _sum(db, f"""
        SELECT client_order_id, {SIDE} * (v - f * CASE WHEN side = 'BUY' THEN ask ELSE bid END) AS cost
        FROM (SELECT o.*, q.bid, q.ask FROM run o
              ASOF LEFT JOIN quotes q ON o.symbol = q.symbol AND o.arrived_at >= q.quoted_at)
        JOIN {done.format("count(*)", "run_fills")} USING (client_order_id)""")  # fmt: skip


def _sum(db, query):
    return float(db.execute(query).df()["cost"].sum())


def polars(task, folder):
    import polars as pl

    side = pl.when(pl.col("side") == "BUY").then(1).otherwise(-1)
    orders, fills = "orders.parquet", "fills.parquet"
    if task == "shortfall":
        orders = "arrived.parquet"
    elif task == "one run":
        orders, fills = "run.parquet", "run_fills.parquet"

    def quotes(*columns):
        files = str(folder / "quotes" / "*.parquet")
        return pl.read_parquet(files, columns=["symbol", "quoted_at", *columns]).with_columns(_cat(pl))

    if task == "markouts":
        probes = pl.read_parquet(folder / fills).with_columns(_cat(pl)).sort("filled_at")
        market = quotes("bid", "ask").select("symbol", "quoted_at", mid=(pl.col("bid") + pl.col("ask")) / 2)
        total = 0.0
        for horizon in HORIZONS:
            moved = probes.select(
                "symbol", "quantity", "price", s=side, quoted_at=pl.col("filled_at") + pl.duration(seconds=horizon)
            ).join_asof(market, on="quoted_at", by="symbol", check_sortedness=False)
            gain = (pl.col("quantity") * pl.col("s") * (pl.col("mid") / pl.col("price") - 1)).sum()
            total += moved.select(1e4 * gain / pl.col("quantity").sum()).item()
        return total
    done = (
        pl.read_parquet(folder / fills)
        .group_by("client_order_id")
        .agg(
            f=pl.col("quantity").sum(),
            v=(pl.col("quantity") * pl.col("price")).sum(),
            c=pl.col("commission").sum(),
            t=pl.col("filled_at").max(),
        )
    )
    frame = (
        pl.read_parquet(folder / orders)
        .with_columns(_cat(pl))
        .join(done, on="client_order_id")
        .with_columns(s=side)
    )
    if task == "shortfall":
        left = pl.col("quantity") - pl.col("f")
        table = frame.select(
            "client_order_id",
            notional=pl.col("quantity") * pl.col("decision_price"),
            delay=pl.col("s") * pl.col("quantity") * (pl.col("arrival_price") - pl.col("decision_price")),
            trading=pl.col("s") * (pl.col("v") - pl.col("f") * pl.col("arrival_price")),
            opportunity=pl.col("s") * left * (pl.col("final_price") - pl.col("arrival_price")),
            cost=pl.col("s") * (pl.col("v") - pl.col("f") * pl.col("decision_price"))
            + pl.col("s") * left * (pl.col("final_price") - pl.col("decision_price"))
            + pl.col("c"),
        )
        return float(table["cost"].sum())
    if task == "vwap":
        market = quotes("last", "volume").select(
            "symbol",
            "quoted_at",
            cv=pl.col("volume").cum_sum().over("symbol"),
            cm=(pl.col("volume") * pl.col("last")).cum_sum().over("symbol"),
        )
        for end, column in (("a", "arrived_at"), ("b", "t")):
            found = frame.sort(column).join_asof(
                market, left_on=column, right_on="quoted_at", by="symbol", check_sortedness=False
            )
            frame = found.rename({"cv": f"cv{end}", "cm": f"cm{end}"}).drop("quoted_at", strict=False)
        volume = pl.col("cvb").fill_null(0) - pl.col("cva").fill_null(0)
        value = pl.col("cmb").fill_null(0) - pl.col("cma").fill_null(0)
        price = pl.when(volume > 0).then(value / volume)
        return float(frame.select((pl.col("s") * (pl.col("v") - pl.col("f") * price)).sum()).item())
    found = frame.sort("arrived_at").join_asof(
        quotes("bid", "ask"), left_on="arrived_at", right_on="quoted_at", by="symbol", check_sortedness=False
    )
    touch = pl.when(pl.col("s") == 1).then(pl.col("ask")).otherwise(pl.col("bid"))
    mark = touch if task == "one run" else (pl.col("bid") + pl.col("ask")) / 2
    return float(found.select((pl.col("s") * (pl.col("v") - pl.col("f") * mark)).sum()).item())


def _cat(pl):
    return pl.col("symbol").cast(pl.Categorical)


def pandas(task, folder):
    import numpy as np
    import pandas as pd

    from stocklean_exec.tca.sources import (
        read_frame,  # pandas alone reads no Parquet; this gives it categories at once
    )

    names = {"shortfall": ("arrived", "fills"), "one run": ("run", "run_fills")}.get(task, ("orders", "fills"))
    frame, fills = (read_frame(folder / f"{name}.parquet", "orders") for name in names)
    side = lambda table: np.where(table["side"] == "BUY", 1, -1)  # noqa: E731 - one line says it

    def quotes(*columns):
        market = read_frame(folder / "quotes", "quotes", ["symbol", "quoted_at", *columns])
        return market.sort_values("quoted_at", kind="stable")

    def alike(left, right):
        kinds = right["symbol"].cat.categories
        return left.assign(symbol=left["symbol"].cat.set_categories(kinds))

    if task == "markouts":
        market = quotes("bid", "ask")
        market["mid"] = (market.pop("bid") + market.pop("ask")) / 2
        probes = alike(fills[["symbol", "filled_at", "quantity", "price"]], market)
        probes["s"] = side(fills)
        probes = probes.sort_values("filled_at")
        total = 0.0
        for horizon in HORIZONS:
            moved = pd.merge_asof(
                probes.assign(quoted_at=probes["filled_at"] + pd.Timedelta(seconds=horizon)),
                market, on="quoted_at", by="symbol",
            )  # fmt: skip
            gain = (moved["quantity"] * moved["s"] * (moved["mid"] / moved["price"] - 1)).sum()
            total += 1e4 * gain / moved["quantity"].sum()
        return float(total)
    fills["v"] = fills["quantity"] * fills["price"]
    done = fills.groupby("client_order_id", sort=False).agg(
        f=("quantity", "sum"), v=("v", "sum"), c=("commission", "sum"), t=("filled_at", "max")
    )
    frame = frame.merge(done, left_on="client_order_id", right_index=True)
    frame["s"] = side(frame)
    if task == "shortfall":
        left = frame["quantity"] - frame["f"]
        table = pd.DataFrame(
            {
                "notional": frame["quantity"] * frame["decision_price"],
                "delay": frame["s"] * frame["quantity"] * (frame["arrival_price"] - frame["decision_price"]),
                "trading": frame["s"] * (frame["v"] - frame["f"] * frame["arrival_price"]),
                "opportunity": frame["s"] * left * (frame["final_price"] - frame["arrival_price"]),
                "cost": frame["s"] * (frame["v"] - frame["f"] * frame["decision_price"])
                + frame["s"] * left * (frame["final_price"] - frame["decision_price"])
                + frame["c"],
            }
        )
        return float(table["cost"].sum())
    if task == "vwap":
        market = quotes("last", "volume")
        market["cm"] = market.pop("last") * market["volume"]
        market["cv"] = market.groupby("symbol", observed=True)["volume"].cumsum()
        market["cm"] = market.groupby("symbol", observed=True)["cm"].cumsum()
        market = market.drop(columns="volume")
        frame = alike(frame, market)
        for column in ("arrived_at", "t"):
            frame = pd.merge_asof(
                frame.sort_values(column), market, left_on=column, right_on="quoted_at", by="symbol",
                suffixes=("_a", "_b"),
            ).drop(columns="quoted_at", errors="ignore")  # fmt: skip
        volume = frame["cv_b"].fillna(0) - frame["cv_a"].fillna(0)
        price = (frame["cm_b"].fillna(0) - frame["cm_a"].fillna(0)) / volume.where(volume > 0)
        return float((frame["s"] * (frame["v"] - frame["f"] * price)).sum())
    market = quotes("bid", "ask")
    found = pd.merge_asof(
        alike(frame, market).sort_values("arrived_at"),
        market,
        left_on="arrived_at",
        right_on="quoted_at",
        by="symbol",
    )
    mark = (found["bid"] + found["ask"]) / 2
    if task == "one run":
        mark = found["ask"].where(found["s"] == 1, found["bid"])
    return float((found["s"] * (found["v"] - found["f"] * mark)).sum())


# -- measuring
# -----------------------------------------------------------------------------------------------------


def measure(engine, task, folder):
    """Run one task in this process: print CPU seconds after imports, peak MiB and the checksum as JSON."""
    for name in [
        "numpy",
        "pandas",
        "duckdb",
        *(["polars"] if engine == "polars" else ["stocklean_exec.tca.api"]),
    ]:
        importlib.import_module(name)  # imports are not what is measured
    before = _cpu()
    value = globals()[engine](task, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": _cpu() - before, "peak": peak, "value": value}))


def _cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(folder, tasks, engines):
    print(
        f"{'task':12}"
        + "".join(f"{engine + ', CPU s / MiB':>24}" for engine in engines)
        + f"{'best peer / ours':>20}"
    )
    for task in tasks:
        found = {}
        for engine in engines:
            command = [sys.executable, __file__, "--one", engine, task, "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{engine}, {task}: {done.stderr[-2000:]}")
            found[engine] = json.loads(done.stdout.splitlines()[-1])
        values = [result["value"] for result in found.values()]
        if not all(math.isclose(value, values[0], rel_tol=1e-6, abs_tol=1e-6) for value in values):
            raise AssertionError(f"{task}: {dict(zip(engines, values, strict=True))}")
        peers = [result["cpu"] for engine, result in found.items() if engine != "ours"]
        ratio = f"{min(peers) / found['ours']['cpu']:.2f}" if peers and "ours" in found else ""
        cells = "".join(f"{result['cpu']:>15.2f} / {result['peak']:>6,.0f}" for result in found.values())
        print(f"{task:12}{cells}{ratio:>20}", flush=True)


def _apart(work, *arguments, **options):
    """Do it in another process: a process starts with the peak of memory of the one that started it."""
    worker = multiprocessing.get_context("spawn").Process(target=work, args=arguments, kwargs=options)
    worker.start()
    worker.join()
    if worker.exitcode:
        raise RuntimeError(f"{work.__name__} ended with {worker.exitcode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="little data, for CI")
    parser.add_argument("--by-time", action="store_true", help="quotes that are made are sorted by time alone")
    parser.add_argument("--folder", type=Path, help="keep the data here, and use what is there")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "TASK"), help="measure one task in this process")
    options = parser.parse_args()
    if options.one:
        measure(*options.one, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="stocklean-bench-") as scratch:
        folder = options.folder or Path(scratch)
        if not (folder / "run_fills.parquet").exists():
            _apart(make, folder, SMALL if options.small else FULL, by_time=options.by_time)
        compare(folder, options.tasks, options.engines)


if __name__ == "__main__":
    main()
