"""Write what the package leaves on disk into a folder, with the frames that it reads from them itself.

``python -m tests.compatibility tests/data/disk_0_1`` is run by hand, once for each version that changes a format.
Only the public interface is used, so that this program runs with any version.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

import stocklean_exec as sx
from stocklean_exec.simulator import Simulator

NAN = float("nan")
ROOT = Path(__file__).resolve().parents[2]
BLOTTER = "paper.duckdb"
STATE = "state"
"""The user's state folder of the killed run; its run lock lies in it."""
FRAMES = ("runs", "orders", "events", "fills", "quotes")
DECIDED = pd.Timestamp("2022-12-29 16:59", tz="UTC")
MARKET = pd.DataFrame(
    [
        ("SPY", 399.90, 400.10, 400.00, 398.00, 300.0, 300.0),
        ("TLT", 99.98, 100.02, 100.00, 101.00, 500.0, 200.0),
        ("KO", 62.60, 62.62, 62.61, 62.00, 1_000.0, 1_000.0),
        ("MCD", 264.10, 264.30, 264.20, 264.00, 100.0, 100.0),
        ("XOM", 109.90, 109.94, 109.92, 109.00, 400.0, 400.0),
    ],
    columns=["symbol", "bid", "ask", "last", "close", "bid_size", "ask_size"],
).assign(currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
# Approvals do not expire: the files are read years later.
LIMITS = sx.Limits(
    price_collar=None, min_cash_after=None, allow_short=True, duplicate_window=None, max_approval_age=None
)
# Buys wait for cash.
FUNDED = sx.Limits(price_collar=None, min_cash_after=0.0, duplicate_window=None, max_approval_age=None)

# The finished run: what the mock filler does with each order.
FINISHED = pd.DataFrame(
    [
        ("SPY", "BUY", 100.0, "MKT", NAN, 400.00),
        ("TLT", "SELL", 300.0, "MKT", NAN, 100.00),
        ("KO", "BUY", 1_000.0, "LMT", 62.62, 62.61),
        ("MCD", "BUY", 10.0, "MKT", NAN, 264.20),
        ("XOM", "BUY", 5.0, "MKT", NAN, 109.92),
    ],
    columns=["symbol", "side", "quantity", "order_type", "limit_price", "decision_price"],
).assign(
    run_id="run-1",
    decided_at=DECIDED,
    # What a user's plan carries along: every kind of value, each once missing.
    alpha=[0.25, NAN, -0.5, 1e-9, float("inf")],
    note=["core", None, "höher", '"quoted", too', ""],
    rank=[1, 2, 3, 4, 5],
    is_core=[True, False, True, False, True],
    signal_at=[DECIDED, pd.NaT, DECIDED, DECIDED, DECIDED],
)
FILL_PLAN = pd.DataFrame(
    [
        ("SPY", "fill", 40.0, 400.10, 1.0, None, None),
        ("SPY", "fill", 60.0, 400.30, 2.0, None, None),
        ("TLT", "fill", 100.0, 99.98, 1.0, None, None),
        ("TLT", "fill", 200.0, 99.90, 1.0, None, None),
        ("KO", "fill", 400.0, 62.61, 3.0, None, None),
        ("KO", "cancel", NAN, NAN, NAN, "day_end", "the day is over"),
        ("MCD", "reject", NAN, NAN, NAN, "201", "not available today"),
    ],
    columns=["symbol", "action", "quantity", "price", "seconds", "code", "message"],
)
# A second run in the same blotter, over the wire: the venue corrects one execution and withdraws another.
CORRECTED = pd.DataFrame(
    [("KO", "BUY", 50.0, "MKT", NAN, 62.61), ("TLT", "SELL", 10.0, "MKT", NAN, 100.00)],
    columns=["symbol", "side", "quantity", "order_type", "limit_price", "decision_price"],
).assign(run_id="run-2", decided_at=DECIDED)
CORRECTIONS = {
    "order": [
        {
            "symbol": "KO",
            "steps": [
                {"fill": 20, "price": 62.62},
                {"correct": True, "price": 62.60},
                {"fill": "rest", "price": 62.62},
            ],
        },
        {
            "symbol": "TLT",
            "steps": [{"fill": 4, "price": 99.98}, {"bust": True}, {"fill": "rest", "price": 99.98}],
        },
    ]
}

# The killed run: SPY is sold in part, KO is bought, TLT is lost on its way, and MCD waits for the cash from SPY.
KILLED = pd.DataFrame(
    [
        ("SPY", "SELL", 10.0, "MKT", NAN, 400.00),
        ("TLT", "BUY", 6.0, "MKT", NAN, 100.00),
        ("KO", "BUY", 7.0, "MKT", NAN, 62.61),
        ("MCD", "BUY", 10.0, "MKT", NAN, 264.20),
    ],
    columns=["symbol", "side", "quantity", "order_type", "limit_price", "decision_price"],
).assign(run_id="run-3", decided_at=DECIDED)
KILLED_SCENARIO = {
    "order": [{"symbol": "SPY", "steps": [{"fill": 4, "price": 399.90}, {"rest": True}]}],
    "fault": [{"on": "placeOrder", "symbol": "TLT", "do": "swallow"}],
}
VENUE: dict[str, Any] = {
    "quotes": MARKET,
    "positions": {"SPY": (10, 380.00)},
    "cash": 2_000.0,
    "seed": 7,
    "clock": "virtual",
    "start": "2022-12-29 15:00:00",
}
"""The venue of the killed run; it is started again from its state file with the same settings."""
CLIENT_ID = 7

HALTED = pd.DataFrame(
    [("SPY", "BUY", 5.0, "MKT", NAN, 400.00)],
    columns=["symbol", "side", "quantity", "order_type", "limit_price", "decision_price"],
).assign(run_id="run-4", decided_at=DECIDED)
HALTS = (
    ("halted", "quotes looked stale"),
    ("halt_cleared", "the feed is back"),
    ("halted", "Prüfung: ask the desk"),
)

HOST = "desk-1"
"""Stands in the lock files in place of the name of the computer that they were written on."""
_PATIENCE = 120.0  # seconds until the killed run must have come as far as it should


def approved(
    orders: pd.DataFrame, limits: sx.Limits = LIMITS, *, leave_out: tuple[str, ...] = (), **account: Any
) -> pd.DataFrame:
    """Check a plan and approve it, except the symbols to be excluded."""
    review = sx.review_orders(sx.check_orders(orders, limits, quotes=MARKET, **account))
    review.approve_all(by="trader")
    for name in review.orders.loc[review.orders["symbol"].isin(leave_out), "client_order_id"]:
        review.reject(name)
    return review.result()


def write_finished(folder: Path) -> None:
    """Two runs that ended: partial fills, a cancel, a reject, an excluded order, corrections."""
    broker = sx.connect("mock://?seed=7", quotes=MARKET, positions={"TLT": 500}, cash=100_000, fill_plan=FILL_PLAN)
    with sx.open_blotter(folder / BLOTTER) as blotter:
        sx.submit_orders(approved(FINISHED, leave_out=("XOM",)), broker, blotter, progress=False)
        with sx.connect(
            "sim://?seed=7&clock=virtual", quotes=MARKET, positions={"TLT": 200}, scenario=CORRECTIONS
        ) as wire:
            sx.submit_orders(approved(CORRECTED), wire, blotter, progress=False)


def write_killed(folder: Path) -> None:
    """A run whose process is killed by SIGKILL half way, and the venue's state at that moment."""
    files = {"state": folder / "venue.state", "journal": folder / "journal.jsonl"}
    with Simulator(**VENUE, **files, scenario=KILLED_SCENARIO) as venue:
        command = [sys.executable, "-m", "tests.compatibility", "--work", str(venue.port), str(folder)]
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / STATE),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        worker = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            _await_the_middle(folder / BLOTTER, worker)
        finally:
            worker.kill()  # SIGKILL
            worker.wait()
    if worker.returncode != -signal.SIGKILL:
        raise SystemExit(f"the worker ended unasked: {worker.returncode}")


def _await_the_middle(file: Path, worker: subprocess.Popen[bytes]) -> None:
    """Wait until SPY is sold in part, KO is bought, both are charged, and TLT was sent."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and worker.poll() is None:
        with suppress(sx.StockleanError), sx.read_blotter(file) as blotter:
            events, fills = blotter.events(), blotter.fills()
            sent = set(events.loc[events["kind"] == "sending", "client_order_id"])
            if (
                len(sent) == len(KILLED) - 1
                and fills["quantity"].sum() == 4 + 7
                and fills["commission"].notna().all()
            ):
                return
        time.sleep(0.05)
    raise SystemExit("the killed run did not come half way")


def work(folder: Path, port: int) -> None:
    """Submit the run that is going to be killed."""
    with (
        sx.open_blotter(folder / BLOTTER) as blotter,
        sx.connect(f"ib://127.0.0.1:{port}?client_id={CLIENT_ID}&rate=0") as broker,
    ):
        plan = approved(KILLED, FUNDED, cash=broker.cash(), positions=broker.positions())
        sx.submit_orders(plan, broker, blotter, timeout=10 * _PATIENCE, progress=False)


def write_halted(folder: Path) -> None:
    """A blotter that is halted, with a run that the halt has kept from being sent."""
    broker = sx.connect("mock://?seed=7", quotes=MARKET, cash=100_000)
    with sx.open_blotter(folder / BLOTTER) as blotter:
        for kind, reason in HALTS:
            if kind == "halted":
                blotter.halt(reason)
            else:
                blotter.clear_halt(reason)
        with suppress(sx.HaltedError):
            sx.submit_orders(approved(HALTED), broker, blotter, progress=False)


def write_frames(file: Path, folder: Path) -> None:
    """Write what this version reads from a blotter, one CSV for each frame."""
    folder.mkdir(parents=True)
    with sx.read_blotter(file) as blotter:
        for name in FRAMES:
            getattr(blotter, name)().to_csv(folder / f"{name}.csv", index=False)


def pack(folder: Path, archive: Path) -> None:
    """Put a folder into an archive without any information about the computer that made it."""
    for lock in folder.rglob("*.lock"):
        lock.write_text(json.dumps({**json.loads(lock.read_text("utf-8")), "host": HOST}), "utf-8")

    def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(archive, "w:xz") as out:
        for path in sorted(folder.iterdir()):
            out.add(path, path.name, filter=anonymous)


def unpack(archive: Path, folder: Path) -> Path:
    """Take a copy of the files out of an archive; the folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="tar")
    return folder


def write(target: Path) -> None:
    """Write everything into a folder that is new."""
    target.mkdir(parents=True)
    os.environ["LOGNAME"] = "trader"  # whom the halts are by
    for name, make in (("finished", write_finished), ("killed", write_killed), ("halted", write_halted)):
        with tempfile.TemporaryDirectory(prefix="stocklean-disk-") as place:
            folder = Path(place)
            make(folder)
            pack(folder, target / f"{name}.tar.xz")
            write_frames(folder / BLOTTER, target / "expected" / name)
            if name == "finished":
                with sx.read_blotter(folder / BLOTTER) as blotter:
                    blotter.export(folder / "export")
                pack(folder / "export", target / "export.tar.xz")
    made = {
        "version": sx.__version__,
        "written_on": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "pandas": pd.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
    }
    (target / "made.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")


def main() -> None:
    """Write the files, or be the process that is going to be killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--replace", action="store_true", help="remove the folder first")
    options = parser.parse_args()
    if options.work is not None:
        work(options.folder, options.work)
        return
    if options.replace:
        shutil.rmtree(options.folder, ignore_errors=True)
    write(options.folder)


if __name__ == "__main__":
    main()
