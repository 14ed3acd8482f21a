"""The package's own front end in a real Chromium, joined to the real Python widget without a Jupyter server.

What the widget sends goes as JSON into the page, what the page sends goes as JSON into the widget: only the
transport is ours. Chromium is Debian's; without it these tests are skipped and say what to install, and where CI
is set they fail.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import comm
import pandas as pd
import pytest
from comm.base_comm import BaseComm

import stocklean_exec as sx

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 10_000  # milliseconds until a test fails; pages answer within one second on a busy machine
ATTACH = """async ([script, id]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const listeners = new Set();
  window.deliver = (messages) => messages.forEach((message) => listeners.forEach((listener) => listener(message)));
  const model = {
    send: async (content) => {
      // The answer comes later, as from a real kernel, and never within the call.
      const answers = JSON.parse(await window.toPython(JSON.stringify([id, content])));
      window.deliver(answers);
    },
    on: (name, listener) => name === "msg:custom" && listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
  };
  window.detach = widget.render({ model, el: document.getElementById("review") });
}"""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


# For one module at a time: while playwright drives, no other test could run an event loop of its own.
@pytest.fixture(scope="module")
def chromium():
    """One Chromium for all tests of a module, driven by playwright."""
    if not Path(CHROMIUM).exists():
        text = "chromium is missing; install Debian's package: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - needed with a browser only

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class RecordingComm(BaseComm):
    """A widget's comm that passes each message to its listeners."""

    def __init__(self, *arguments, **options):
        self.listeners = []
        super().__init__(*arguments, **options)

    def publish_msg(self, msg_type, data=None, *_, **__):
        if msg_type == "comm_msg" and data["method"] == "custom":
            for listener in self.listeners:
                listener(json.loads(json.dumps(data["content"], allow_nan=False)))


class Bridge:
    """A review or a live view, its widget, and the pages that show it."""

    def __init__(self, shown, browser):
        self.bundle = shown._repr_mimebundle_()
        self.review, self.widget = shown, getattr(shown, "_widget", shown)
        self.wire = self.widget.comm
        self.browser = browser
        self.outboxes = {}
        self.pages = {}
        self.received = []
        self.errors = []
        self.is_held = False  # answers are held back until flush()
        self.is_dead = False  # the kernel was restarted: nothing arrives any more
        self.wire.listeners.append(self._collect)

    def _collect(self, message):
        for outbox in self.outboxes.values():
            outbox.append(message)

    def _from_page(self, text):
        name, content = json.loads(text)
        self.received.append(content)
        if self.is_dead:
            return "[]"
        self.deliver(content)
        return "[]" if self.is_held else self._emptied(name)

    def deliver(self, content):
        """Deliver a message to the widget as its comm does."""
        self.wire.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def _emptied(self, name):
        messages, self.outboxes[name] = self.outboxes[name], []
        return json.dumps(messages)

    def flush(self):
        """Deliver all pending messages to the pages."""
        for name, page in self.pages.items():
            page.evaluate("(text) => window.deliver(JSON.parse(text))", self._emptied(name))

    def open(self, width=1200, height=900, scheme="light"):
        """Show the review in a new page, and wait until it is drawn unless nothing can answer."""
        name = str(len(self.pages))
        page = self.browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE)
        self.outboxes[name], self.pages[name] = [], page
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.expose_function("toPython", self._from_page)
        page.set_content('<!doctype html><html lang="en"><body><div id="review"></div></body></html>')
        page.add_style_tag(content=self.widget._css)
        page.evaluate(ATTACH, [self.widget._esm, name])
        if not self.is_dead and not self.is_held:
            page.locator(".slx-status", has_text=re.compile("orders shown|As of")).wait_for()
        return page

    def close(self):
        for page in self.pages.values():
            page.close()


@pytest.fixture
def wired(monkeypatch):
    """Every widget made in the test has a comm with listeners."""
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def join(chromium, wired):
    """Connect a review to pages of Chromium; at the end no page may have had an error."""
    made = []

    def bridge(review):
        made.append(Bridge(review, chromium))
        return made[-1]

    yield bridge
    errors = [error for each in made for error in each.errors]
    for each in made:
        each.widget.wait()
        each.close()
    assert errors == []


QUOTES = pd.DataFrame(
    {
        "symbol": ["SPY", "TLT", "BIG", "WIDE", "OLD"],
        "bid": [99.99, 49.99, 9.99, 19.0, 29.99],
        "ask": [100.01, 50.01, 10.01, 21.0, 30.01],
        "quoted_at": pd.Timestamp("2026-11-23 15:00", tz="UTC"),
    }
)
SPY, TLT, BIG, WIDE, OLD, GONE = "r-SPY-BUY", "r-TLT-BUY", "r-BIG-BUY", "r-WIDE-BUY", "r-OLD-SELL", "r-GONE-BUY"


@pytest.fixture
def orders():
    """10 SPY at 100, 20 TLT at 50, 300 BIG at 10 (blocked), 5 WIDE (a warning), 10 OLD sold, GONE has no price."""
    return pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT", "BIG", "WIDE", "OLD", "GONE"],
            "side": ["BUY", "BUY", "BUY", "BUY", "SELL", "BUY"],
            "quantity": [10.0, 20.0, 300.0, 5.0, 10.0, float("nan")],
            "order_type": "MKT",
            "decision_price": [100.0, 50.0, 10.0, 20.0, 30.0, float("nan")],
            "current_quantity": [0.0, 0.0, 0.0, 0.0, 40.0, 0.0],
            "target_weight": [0.1, 0.1, 0.3, 0.01, 0.09, 0.05],
            "status": ["NEW", "NEW", "NEW", "NEW", "NEW", "REJECTED"],
            "reason": [None, None, None, None, None, "price_unavailable"],
        }
    )


@pytest.fixture
def venue():
    """A mock broker and a blotter in memory."""
    with sx.open_blotter() as blotter:
        yield sx.connect("mock://", quotes=QUOTES, cash=8_800.0, positions={"OLD": 40}), blotter


@pytest.fixture
def review(orders, venue):
    """NAV is 10,000: 40 OLD at 30 are 1,200, and 8,800 are cash."""
    limits = sx.Limits(max_order_notional=2_500)
    checked = sx.check_orders(orders, limits, quotes=QUOTES, positions={"OLD": 40}, cash=8_800.0, nav=10_000.0)
    return sx.review_orders(checked, *venue, by="ann")


def contrast_of(page, selector):
    """Contrast ratio of an element's text and the nearest opaque ground behind it (WCAG 2.2)."""
    text, ground = page.locator(selector).first.evaluate(
        """(element) => {
          let behind = element;
          const see = (node) => getComputedStyle(node).backgroundColor;
          while (behind.parentElement && /rgba\\(.*, 0\\)/.test(see(behind))) behind = behind.parentElement;
          const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
          return [parts(getComputedStyle(element).color), parts(see(behind))];
        }"""
    )

    def luminance(rgb):
        parts = [c / 255 / 12.92 if c <= 10.3 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture
def contrast():
    """``contrast(page, selector)`` is the contrast ratio of a text."""
    return contrast_of


# -- JupyterLab --------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(ready, seconds):
    """Poll until ``ready()``, as a starting server sends no notice."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.2)
    pytest.fail(f"not ready within {seconds} s")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own server
            return answer.status == 200
    except OSError:
        return False


@contextmanager
def running_lab(folder, sources):
    """JupyterLab on a notebook with these cells, or on one that is there; gives its address."""
    cells = (
        []
        if isinstance(sources, Path)
        else [
            {
                "cell_type": "code",
                "id": f"c{place}",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": text,
            }
            for place, text in enumerate(sources)
        ]
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
    work, home, port = folder / "work", folder / "home", free_port()
    work.mkdir()
    home.mkdir()
    text = sources.read_text("utf-8") if isinstance(sources, Path) else json.dumps(notebook)
    (work / "review.ipynb").write_text(text, "utf-8")
    # All cells are in the page, also those out of sight: a test looks for them.
    settings = home / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}', "utf-8")
    places = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    options = {
        "--port": port,
        "--ip": "127.0.0.1",
        "--IdentityProvider.token": "",
        "--ServerApp.password": "",
        "--ServerApp.root_dir": work,
        "--LabApp.news_url": "None",
        "--LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    # A file and not a pipe: a pipe that is not read fills up, and the server waits forever.
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *(f"{name}={value}" for name, value in options.items())],
            env=os.environ | places | {"JUPYTERLAB_SETTINGS_DIR": str(home), "STOCKLEAN_PROGRESS": "0"},
            stdout=log,
            stderr=log,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: answers(f"{address}/api"), 60)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:  # a busy machine takes longer to end its kernels
                server.kill()
                server.wait()


def open_notebook(page, address):
    """Open the notebook, and wait until its kernel is idle."""
    page.goto(f"{address}/lab/tree/review.ipynb")
    page.locator(".jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()


def run_cell(page, place):
    """Run one cell. The first key after opening is lost now and then, so it is pressed until the prompt moves."""
    cell = page.locator(".jp-CodeCell").nth(place)
    prompt = cell.locator(".jp-InputPrompt").first

    def pressed():
        if prompt.inner_text().strip() not in ("[ ]:", ""):
            return True
        cell.locator(".cm-content").first.click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1_000)
        return prompt.inner_text().strip() not in ("[ ]:", "")

    wait_for(pressed, 60)
    return cell


@pytest.fixture
def lab(tmp_path):
    """Start JupyterLab on cells: ``with lab(cells) as address``."""
    return lambda sources: running_lab(tmp_path, sources)


@pytest.fixture
def run():
    """``run(page, place)`` runs one cell of an open notebook and gives it."""
    return run_cell
