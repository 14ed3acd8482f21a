"""The review in a notebook: how soon its rows are there, and how soon an edit is checked and painted.

Without options, the real widget joined to real Chromium without a Jupyter server. With ``--jupyterlab`` in a
JupyterLab of its own, beside the grids ipydatagrid and itables if they are installed (``pip install ipydatagrid
itables``; the package needs neither): from Ctrl+Enter on the cell that displays it until rows are on the page.
ipydatagrid draws on a canvas, so that only the canvas can be waited for and not what is in it.

Run ``python tests/benchmarks/bench_review.py [--orders N ...] [--jupyterlab]``; ``--small`` is quick.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import comm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import stocklean_exec as sx
from tests.benchmarks.tools import browser_tools

SETUP = """
import pandas as pd, stocklean_exec as sx
def plan(count, price=100.0):
    symbols = [f"S{number:04d}" for number in range(count)]
    quotes = pd.DataFrame({"symbol": symbols, "bid": price - .01, "ask": price + .01,
                           "quoted_at": pd.Timestamp("2026-01-02 17:00", tz="UTC")})
    orders = sx.plan_orders(dict.fromkeys(symbols, 1 / count), None, quotes, nav=count * 1e4, run_id="bench")
    limits = sx.Limits(max_order_notional=1e6, max_position_ratio=.5, max_gross=1.0)
    return sx.check_orders(orders, limits, quotes=quotes, cash=count * 1.1e4, nav=count * 1e4)
"""
CANDIDATES = {
    # name: (what makes it, what it needs, what is on the page once it shows rows)
    "review": ("sx.review_orders(plan({count}), by='bench')", "anywidget", ".slx-body .slx-row"),
    "ipydatagrid": (
        "__import__('ipydatagrid').DataGrid(plan({count}).drop(columns=['checks']), editable=True)",
        "ipydatagrid",
        ".lm-DataGrid canvas",
    ),
    "itables": (
        "__import__('itables.widget').widget.ITable(plan({count}).drop(columns=['checks']), maxBytes=0)",
        "itables",
        "table.dataTable tbody tr:nth-child(3)",
    ),
}


def made(count):
    names = {}
    exec(SETUP, names)  # noqa: S102 - the same lines as in the notebook
    return sx.review_orders(names["plan"](count), by="bench")


def in_the_model(count, repeats):
    review = made(count)
    name = f"bench-S{count // 2:04d}-BUY"
    taken = []
    for number in range(repeats):
        started = time.perf_counter()
        review.edit(name, quantity=50 + number)
        taken.append(time.perf_counter() - started)
    return taken


def edit_in_page(page, name, quantity):
    """Seconds from Enter to the new notional on the page."""
    cell = page.locator(f'[data-id="{name}"] [data-name="quantity"]')
    cell.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(str(quantity))
    # Measured in the page, from the key to the frame after the change.
    page.evaluate(
        """([id, text]) => {
          const cell = () => document.querySelector(`[data-id="${id}"] [data-name="notional"]`);
          const shown = () => cell()?.textContent === text;
          window.taken = new Promise((resolve) => document.addEventListener("keydown", () => {
            const begun = performance.now();
            const look = () => shown() ? resolve(performance.now() - begun) : requestAnimationFrame(look);
            look();
          }, { capture: true, once: true }));
        }""",
        [name, f"{quantity * 100:,.2f}"],
    )
    page.keyboard.press("Enter")
    return page.evaluate("window.taken") / 1e3


def on_the_bridge(tools, count, repeats):
    """Seconds until rows are drawn, and of each edit, in Chromium without a server."""
    from playwright.sync_api import sync_playwright

    create, comm.create_comm = comm.create_comm, tools.RecordingComm
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=tools.CHROMIUM, args=tools.FLAGS)
            shows, edits = [], []
            for _ in range(3):
                review = made(count)
                started = time.perf_counter()
                bridge = tools.Bridge(review, browser)
                page = bridge.open()
                page.locator(".slx-body .slx-row").first.wait_for()
                shows.append(time.perf_counter() - started)
            edits += [edit_in_page(page, "bench-S0003-BUY", 50 + number) for number in range(repeats)]
            browser.close()
    finally:
        comm.create_comm = create
    return shows, edits


def in_jupyterlab(tools, counts, repeats):
    """Rows of the table: candidate, orders, seconds until rows are there, seconds of each edit."""
    from playwright.sync_api import sync_playwright

    known = {name: parts for name, parts in CANDIDATES.items() if find_spec(parts[1]) is not None}
    cells = [(name, count) for count in counts for name in known]
    sources = [SETUP] + [f"shown = {known[name][0].format(count=count)}" for name, count in cells]
    # Making it is not displaying it: each is made in one cell and displayed in the next.
    notebook = [sources[0]]
    for source in sources[1:]:
        notebook += [source, "shown"]
    with (
        tempfile.TemporaryDirectory() as scratch,
        tools.running_lab(Path(scratch), notebook) as address,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=tools.CHROMIUM, args=tools.FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        tools.open_notebook(page, address)
        tools.run_cell(page, 0)
        for place, (name, count) in enumerate(cells):
            make, show = 1 + 2 * place, 2 + 2 * place
            prompt = page.locator(".jp-CodeCell").nth(make).locator(".jp-InputPrompt").first
            tools.run_cell(page, make)
            tools.wait_for(lambda prompt=prompt: prompt.inner_text().strip("[]: ").isdigit(), 60)
            cell = page.locator(".jp-CodeCell").nth(show)
            cell.locator(".cm-content").first.click()
            started = time.perf_counter()
            page.keyboard.press("Control+Enter")
            cell.locator(known[name][2]).first.wait_for()
            taken = time.perf_counter() - started
            edits = []
            if name == "review":
                edits = [edit_in_page(page, "bench-S0003-BUY", 50 + number) for number in range(repeats)]
                cell.locator(".slx").evaluate("(review) => review.remove()")  # its rows have the next one's names
            yield name, count, taken, edits
        browser.close()


def line(name, count, shows, edits):
    shown = f"{statistics.median(shows):10.2f}" if shows else f"{'':10}"
    if not edits:
        return f"{name:24} {count:7} {shown}"
    ranked = sorted(edits)
    worst = ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]
    return f"{name:24} {count:7} {shown} {1e3 * statistics.median(edits):10.0f} {1e3 * worst:10.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--jupyterlab", action="store_true")
    parser.add_argument("--small", action="store_true", help="50 orders")
    options = parser.parse_args()
    counts, repeats = ([50], 3) if options.small else (options.orders, 20)
    tools = browser_tools()
    print(f"{'what':24} {'orders':>7} {'rows s':>10} {'edit ms':>10} {'p95 ms':>10}")
    for count in counts:
        print(line("model, no display", count, [], in_the_model(count, repeats)))
    if not Path(tools.CHROMIUM).exists():
        print("chromium is missing: the rest was not measured")
        return
    for count in counts:
        print(line("Chromium, no server", count, *on_the_bridge(tools, count, repeats)))
    if options.jupyterlab:
        for name, count, taken, edits in in_jupyterlab(tools, counts, repeats):
            print(line(f"JupyterLab, {name}", count, [taken], edits))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
