"""The live view: how late it is, how soon its kill switch acts, and whether the kernel stays free.

- Lag: from an event of the run to the frame of Chromium that shows it, with the real widget joined to a real
  page without a Jupyter server. Pending messages are delivered every few milliseconds, as by a server.
- Kill switch: from the message that confirms *Cancel all* to the venue's first cancel, while the run is awaited.
- Free kernel: how late a loop that does nothing else is woken while 500 orders work, over the wire simulator, with
  a view that receives all of it; that is what a cell would have to wait for.

Run ``python tests/benchmarks/bench_live.py``; ``--small`` is quick. Say how busy the computer was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import comm
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_handle import Run
from stocklean_exec.execution.run_monitor import RunMonitor
from stocklean_exec.simulator import Simulator, read_journal
from tests.benchmarks.tools import browser_tools

WATCH = """() => {
  window.painted = [];
  const root = document.querySelector(".slx-live");
  const note = () => window.painted.push([Number(root.dataset.events), Date.now()]);
  new MutationObserver(() => requestAnimationFrame(note)).observe(root, { attributeFilter: ["data-events"] });
}"""


def hand_made_run(blotter, orders=50):
    """A run whose events the benchmark publishes."""
    plan = pd.DataFrame(
        [(f"r-S{number:02d}-BUY", f"S{number:02d}", "BUY", 1e6) for number in range(orders)],
        columns=["client_order_id", "symbol", "side", "quantity"],
    )
    control, live = RunControl(), RunMonitor("r", plan)
    control.listen(live.add)
    broker = SimpleNamespace(mode="paper", account="DU0000001", fault="")
    return Run("r", broker, blotter, control, live, Future()), plan["client_order_id"].tolist()


def lag_at(tools, browser, rate, seconds):
    """Milliseconds from each event to the frame that shows it, and how many messages carried them."""
    with sx.open_blotter() as blotter:
        run, names = hand_made_run(blotter)
        bridge = tools.Bridge(run.view(), browser)
        page = bridge.open()
        bridge.widget.wait()
        bridge.flush()
        page.evaluate(WATCH)
        sent_at, messages, pause = [], [], threading.Event()
        bridge.wire.listeners.append(messages.append)

        def send_events():
            begun = time.monotonic()
            for number in range(int(rate * seconds)):
                pause.wait(max(0.0, begun + number / rate - time.monotonic()))
                name, exec_id = names[number % len(names)], f"a.b.{number}.01"
                sent_at.append(time.time())
                at = datetime.now(UTC)
                run.control.publish(
                    OrderEvent("execution", "r", name, at, exec_id=exec_id, quantity=1.0, price=10.0)
                )

        sender = threading.Thread(target=send_events)
        sender.start()
        while sender.is_alive() or len(bridge.outboxes["0"]):
            if bridge.outboxes["0"]:  # a server does not ask the page either when nothing is pending
                bridge.flush()
            page.wait_for_timeout(5)
        bridge.widget.wait()
        bridge.flush()
        page.locator(f'.slx-live[data-events="{len(sent_at)}"]').wait_for()
        page.wait_for_timeout(50)
        painted = page.evaluate("window.painted")
        bridge.close()
    lags, place = [], 0
    for events, at in painted:
        lags += [at - sent_at[number] * 1e3 for number in range(place, events)]
        place = max(place, events)
    return lags, len(messages)


def resting_plan(count, quotes):
    orders = pd.DataFrame(
        {
            "run_id": "bench",
            "symbol": quotes["symbol"].tolist()[:count],
            "side": "BUY",
            "quantity": 10.0,
            "order_type": "LMT",
            "limit_price": 9.0,
        }
    )
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(price_collar=None), quotes=quotes, cash=1e7))
    review.approve_all(by="bench")
    return review.result()


def at_work(count):
    """Milliseconds from a confirmed click to the venue's first cancel, and how late a free loop was woken."""
    quotes = pd.DataFrame({"symbol": [f"W{number:03d}" for number in range(count)], "bid": 9.99, "ask": 10.01})
    quotes = quotes.assign(currency="USD", quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "venue.jsonl"
        with (
            Simulator(quotes=quotes, clock="wall", journal=journal) as venue,
            IBBroker(port=venue.port, rate=0.0, seconds=10.0) as broker,
            sx.open_blotter(Path(folder) / "bench.duckdb") as blotter,
        ):
            run = sx.start_run(resting_plan(count, quotes), broker, blotter, timeout=300)
            view, late, clicked = run.view(), [], []

            async def cell():
                while run.live.update()["counts"].get("SUBMITTED", 0) < count:
                    due = time.monotonic() + 0.02
                    await asyncio.sleep(0.02)
                    late.append((time.monotonic() - due) * 1e3)
                waiting = asyncio.ensure_future(wait_for(run))
                await asyncio.sleep(0.2)
                clicked.append(time.time())
                body = {"kind": "cancel_all", "confirmed": True, "view": "v", "number": 1}
                view.comm.handle_msg({"content": {"data": {"method": "custom", "content": body}}, "buffers": []})
                while not waiting.done():
                    due = time.monotonic() + 0.02
                    await asyncio.sleep(0.02)
                    late.append((time.monotonic() - due) * 1e3)

            asyncio.run(cell())
            view.wait()
        cancels = [row["time"] for row in read_journal(journal) if row["event"] == "cancel"]
        assert len(cancels) == count, (len(cancels), count)
        return (pd.Timestamp(cancels[0]).timestamp() - clicked[0]) * 1e3, late


async def wait_for(run):
    return await run


def line(what, values):
    low, high = np.percentile(values, [50, 95])
    return f"{what:58} {len(values):>7} {low:>9.0f} {high:>9.0f} {max(values):>9.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeat", type=int, default=5, help="of the kill switch")
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--small", action="store_true", help="half a second, one kill switch, 20 orders")
    options = parser.parse_args()
    seconds, repeat, orders = options.seconds, options.repeat, options.orders
    if options.small:
        seconds, repeat, orders = 0.5, 1, 20
    tools = browser_tools()
    create, comm.create_comm = comm.create_comm, tools.RecordingComm
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'milliseconds':58} {'of':>7} {'p50':>9} {'p95':>9} {'most':>9}")
    try:
        found = [at_work(orders) for _ in range(repeat)]
        if Path(tools.CHROMIUM).exists():
            from playwright.sync_api import sync_playwright

            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=tools.CHROMIUM, args=tools.FLAGS)
                for rate in (50, 500, 2_000):
                    lags, messages = lag_at(tools, browser, rate, seconds)
                    print(line(f"event received -> painted, {rate} a second, {messages} messages", lags))
                browser.close()
        else:
            print("chromium is missing: the lag was not measured")
    finally:
        comm.create_comm = create
    print(line(f"kill switch -> first cancel at the venue, {orders} orders", [cancel for cancel, _ in found]))
    print(line(f"a free cell is late, {orders} orders at work", [late for _, times in found for late in times]))


if __name__ == "__main__":
    main()
