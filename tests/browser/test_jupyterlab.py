"""Review and live view as a user meets them: JupyterLab in a browser, a notebook, clicks, a reload.

A screenshot of each step goes to the test's temporary folder, or to ``STOCKLEAN_SCREENSHOTS`` if that is set.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from pathlib import Path

import pytest

from tests.extras import need

expect = need("playwright.sync_api", "browser").expect
need("jupyterlab", "browser")
LIVE_NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_review_and_live.ipynb"
NOTEBOOK = [
    """import stocklean_exec as sx
blotter = sx.open_blotter(":memory:")
broker = sx.connect("mock://", quotes={"SPY": 400.0, "TLT": 90.0, "GLD": 180.0}, cash=100_000)
held, quotes = broker.positions(), broker.quotes()
orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.3, "GLD": 0.1}, held, quotes, nav=broker.nav(), run_id="lab")
limits = sx.Limits(max_order_notional=40_000)
review = sx.review_orders(sx.check_orders(orders, limits, positions=held, quotes=quotes, cash=broker.cash()),
                          broker, blotter, by="ann")
review""",
    "print('the next cell ran')",
    "print(sorted(blotter.orders('lab')['status']))",
]


@pytest.fixture
def address(lab):
    with lab(NOTEBOOK) as address:
        yield address


@pytest.fixture
def look(tmp_path, request):
    folder = Path(os.environ.get("STOCKLEAN_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=folder / f"lab-{name}.png")


@pytest.mark.once
@pytest.mark.timeout(240)
def test_a_review_in_jupyterlab_from_display_to_submission(chromium, address, run, look):  # noqa: PLR0915 - one long story
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(f"{address}/lab/tree/review.ipynb")
    page.locator(".jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
    cell = run(page, 0)
    grid = cell.get_by_role("grid", name="orders to review")
    grid.wait_for()
    expect(cell.locator('[data-id="lab-SPY-BUY"] [data-name="verdict"]')).to_have_text("block")  # 50,000 of 40,000
    look(page, "1-shown")

    cell.locator('[data-id="lab-SPY-BUY"] [data-name="quantity"]').click()
    page.keyboard.press("Control+a")
    page.keyboard.type("-3")
    page.keyboard.press("Enter")
    expect(cell.locator(".slx-alert")).to_contain_text("quantity -3 must be positive; use side for direction")
    look(page, "2-refused")
    cell.locator('[data-id="lab-SPY-BUY"] [data-name="quantity"]').click()
    page.keyboard.press("Control+a")
    page.keyboard.type("99")
    page.keyboard.press("Enter")
    expect(cell.locator('[data-id="lab-SPY-BUY"] [data-name="verdict"]')).to_have_text("pass")
    cell.get_by_role("button", name="Approve all passing").click()
    expect(cell.get_by_role("checkbox", name="approve lab-SPY-BUY")).to_be_checked()
    page.keyboard.press("d")  # twice would delete the cell if the notebook received it
    page.keyboard.press("d")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(NOTEBOOK))

    save(page)
    page.reload()
    cell = page.locator(".jp-CodeCell").first
    expect(cell.locator('[data-id="lab-SPY-BUY"] [data-name="quantity"]')).to_have_text(
        "99", timeout=60_000
    )  # the kernel's value, once JupyterLab has loaded again
    expect(cell.get_by_role("checkbox", name="approve lab-SPY-BUY")).to_be_checked()
    look(page, "3-reloaded")

    cell.get_by_role("button", name="Submit 3 approved").click()
    phrase = cell.locator(".slx-due").inner_text()
    cell.get_by_label("type the phrase to confirm").fill(phrase)
    look(page, "4-confirm")
    cell.get_by_role("button", name="Send 3 orders").click()
    expect(cell.locator(".slx-state")).to_have_text("submitted: 3 FILLED")
    look(page, "5-sent")

    expect(run(page, 1).locator(".jp-OutputArea-output").last).to_contain_text("the next cell ran")
    expect(run(page, 2).locator(".jp-OutputArea-output").last).to_contain_text("['FILLED', 'FILLED', 'FILLED']")

    page.locator(".lm-MenuBar-item", has_text="Settings").click()
    page.locator(".lm-Menu-item[data-type=submenu]", has_text="Theme").first.click()
    page.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    expect(cell.locator(".slx")).to_have_attribute("data-theme", "dark")
    expect(cell.locator(".slx")).to_have_css("background-color", "rgb(33, 33, 33)")  # the theme's own
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    look(page, "6-dark")

    page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="restart"] >> jp-button').click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
    cell.get_by_role("checkbox", name="approve lab-SPY-BUY").click()
    expect(cell.locator(".slx-alert")).to_contain_text("No answer from the kernel", timeout=10_000)
    look(page, "7-restarted")
    page.reload()  # the old output, and a kernel without its model
    expect(page.locator(".jp-CodeCell .jp-OutputArea-output").first).to_contain_text(
        "model not found", timeout=30_000
    )
    expect(page.locator(".slx")).to_have_count(0)
    look(page, "8-stale")
    page.close()

    saved = json.loads(read(f"{address}/api/contents/review.ipynb"))["content"]
    assert "widgets" not in saved["metadata"]
    assert "DU0000001" not in json.dumps(saved)


def cell_of(page, text):
    """Return the code cell whose source has ``text``."""
    return page.locator(".jp-CodeCell").filter(has=page.locator(".cm-content", has_text=text)).first


@pytest.mark.once
@pytest.mark.timeout(240)
def test_the_shipped_notebook_from_run_all_to_a_run_that_a_click_cancels(chromium, lab, run, look):  # noqa: PLR0915 - one long story
    with lab(LIVE_NOTEBOOK) as address:
        page = chromium.new_page(viewport={"width": 1300, "height": 1100})
        page.set_default_timeout(60_000)
        page.goto(f"{address}/lab/tree/review.ipynb")
        count = len(
            [cell for cell in json.loads(LIVE_NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
        )
        expect(page.locator(".jp-CodeCell")).to_have_count(count, timeout=60_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.locator(".lm-MenuBar-item", has_text="Run").click()
        page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
        last = page.locator(".jp-CodeCell").nth(count - 1)
        expect(last.locator(".jp-OutputArea-output").first).to_contain_text("live-2-XOM-BUY     1", timeout=60_000)
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        assert all(re.fullmatch(r"\[\d+\]:", text.strip()) for text in prompts), prompts  # every cell has finished
        first = cell_of(page, "run.view()")
        expect(first.locator(".slx-live .slx-state")).to_have_text("Finished.")
        expect(first.locator(".slx-figure", has_text="Orders ended").locator(".slx-value")).to_have_text("4 of 4")
        first.scroll_into_view_if_needed()
        look(page, "live-1-over")

        mine = cell_of(page, "yours = sx.review_orders")
        mine.scroll_into_view_if_needed()
        mine.locator('[data-id="yours-XOM-BUY"] [data-name="quantity"]').click()
        page.keyboard.press("Control+a")
        page.keyboard.type("190")
        page.keyboard.press("Enter")
        expect(mine.get_by_role("status")).to_contain_text("XOM: quantity changed")  # answered, not only typed
        mine.get_by_role("button", name="Approve all passing").click()
        mine.get_by_role("button", name="Submit 3 approved").click()
        mine.get_by_label("type the phrase to confirm").fill(mine.locator(".slx-due").inner_text())
        mine.get_by_role("button", name="Send 3 orders").click()
        expect(mine.locator(".slx-state")).to_contain_text("submitted: run yours is under way")
        look(page, "live-2-submitted")

        page.locator(".jp-CodeCell").nth(count - 2).locator(".cm-content").first.click()
        page.keyboard.press("Control+Enter")
        live = page.locator(".jp-CodeCell").nth(count - 2).locator(".slx-live")
        expect(live.locator('[data-id="yours-XOM-BUY"]')).to_contain_text("FILLED", timeout=30_000)
        expect(live.locator('[data-id="yours-KO-BUY"]')).to_contain_text("SUBMITTED")
        expect(live.locator(".slx-state")).to_have_text("Working …")
        live.scroll_into_view_if_needed()
        look(page, "live-3-working")

        save(page)
        page.reload()
        page.locator(".jp-CodeCell").first.wait_for()
        page.locator(".jp-CodeCell").nth(count - 2).scroll_into_view_if_needed()
        expect(live.locator('[data-id="yours-KO-BUY"]')).to_contain_text("SUBMITTED")
        look(page, "live-4-reloaded")

        live.get_by_role("button", name="Cancel all …").click()
        live.get_by_role("button", name="Cancel all now").click()
        expect(live.locator('[data-id="yours-KO-BUY"]')).to_contain_text("CANCELLED")
        expect(live.locator(".slx-state")).to_contain_text("Cancelled. · cancelled by")
        live.scroll_into_view_if_needed()
        look(page, "live-5-cancelled")

        save(page)
        saved = json.loads(read(f"{address}/api/contents/review.ipynb"))["content"]
        stored = json.dumps(saved)
        assert "widgets" not in saved["metadata"]
        assert not re.search(r"\bD?[UF]\d{5,}\b", stored)
        snapshots = [
            "".join(output["data"]["text/html"])
            for cell in saved["cells"]
            for output in cell.get("outputs", ())
            if "to watch the run." in "".join(output.get("data", {}).get("text/html", ""))
        ]
        # A run that ended while the page was open is saved in its final state. JupyterLab does not update an
        # output from before a reload; such a snapshot states its time.
        assert ["4 of 4 ended" in snapshot for snapshot in snapshots] == [True, True, False]
        assert all("As of 20" in snapshot for snapshot in snapshots)
        page.close()


def save(page):
    """Save the notebook, and wait until the server has written it: it writes in place."""
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url):
        page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="save"] >> jp-button').click()
    page.locator(".jp-mod-dirty").first.wait_for(state="detached")


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return answer.read().decode()
