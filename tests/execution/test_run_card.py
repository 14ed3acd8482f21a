from __future__ import annotations

import re

import pandas as pd
import pytest

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.execution.run_card import run_card
from stocklean_exec.execution.run_monitor import RunMonitor

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
TAGS = {"div", "b", "span", "table", "thead", "tbody", "tr", "th", "td"}


def tags_in(html):
    return set(re.findall(r"<\s*/?\s*([a-zA-Z!?]+)", html))


def test_a_runs_card_shows_counts_costs_and_the_latest_messages():
    orders = pd.DataFrame(
        [("r-SPY-BUY", "SPY", "BUY", 10.0)], columns=["client_order_id", "symbol", "side", "quantity"]
    )
    live = RunMonitor("r", orders)
    live.add(OrderEvent("sending", "r", "r-SPY-BUY", attempt=1, bid=99.0, ask=101.0))
    live.add(OrderEvent("execution", "r", "r-SPY-BUY", exec_id="a.b.c.1", quantity=4.0, price=100.5))
    for number in range(7):
        live.add(OrderEvent("message", "r", "r-SPY-BUY", code=str(number), message=HOSTILE))
    head = {
        "run": HOSTILE,
        "badge": "PAPER",
        "account": "DU***567",
        "state": "working",
        "note": HOSTILE,
        "halted": "x",
    }
    made = run_card(head, live.update(), "below")
    assert tags_in(made) <= TAGS
    # 4 of 10 at 100.50, half a dollar above the mid of 100: 2 dollars on 400, which are 50 basis points
    for text in ("4 of 10 filled", "0 of 1 ended", "402.00", "2.00 (50.00 bps)", "PARTIAL", "HALTED", "below"):
        assert text in made
    assert "and 2 earlier ones" in made
    assert "commission" not in made  # none was reported


@pytest.mark.parametrize(
    ("count", "shown"), [(5, ["m0", "m1", "m2", "m3", "m4"]), (7, ["m2", "m3", "m4", "m5", "m6"])]
)
def test_the_five_latest_messages_are_shown_and_earlier_ones_counted(count, shown):
    row = {"client_order_id": "r-SPY-BUY", "symbol": "SPY", "side": "BUY", "quantity": 10.0}
    live = RunMonitor("r", pd.DataFrame([row]))
    for number in range(count):
        live.add(OrderEvent("message", "r", "r-SPY-BUY", code=f"m{number}", message="text"))
    made = run_card({"run": "r", "badge": "PAPER", "account": "DU***567", "state": "working"}, live.update())
    assert re.findall(r"\bm\d\b", made) == shown
    assert ("earlier ones" in made) is (count > 5)
