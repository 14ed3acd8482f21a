"""Running a notebook again sends nothing again, nor anything unapproved: read from the venue's journal."""

import ast
import asyncio
import inspect
import json
from collections import Counter
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec.simulator import read_journal

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "05_review_and_live.ipynb"


def cells():
    saved = json.loads(NOTEBOOK.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in saved["cells"] if cell["cell_type"] == "code"]


async def run_cell(source, names):
    """Run a cell as a kernel does, which awaits what it awaits."""
    code = compile(source, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)  # noqa: S307 - our own notebook
    if inspect.isawaitable(found):
        await found


@pytest.fixture
def names(monkeypatch):
    """The names of a kernel; at its end what the notebook opened is closed."""
    monkeypatch.setenv("STOCKLEAN_PROGRESS", "0")
    known = {"__name__": "__main__", "display": lambda _: None}
    yield known
    for name in ("broker", "blotter"):
        known[name].close()
    known["simulator"].stop()
    known["folder"].cleanup()


def arrived(names):
    return Counter(row["order_ref"] for row in read_journal(names["journal"]) if row["event"] == "order")


ONCE = {f"live-{run}-{symbol}-BUY": 1 for run in (1, 2) for symbol in ("KO", "MSFT", "PG", "XOM")}


@pytest.mark.slow
def test_running_notebook_cells_repeatedly_sends_every_approved_order_once(names, capsys):
    async def story():
        for source in cells():
            await run_cell(source, names)
            await run_cell(source, names)
        assert arrived(names) == ONCE
        for source in cells():
            await run_cell(source, names)

    asyncio.run(story())
    assert arrived(names) == ONCE  # and none of "yours", which was not approved
    assert len(names["blotter"].runs()) == 2
    assert len(names["blotter"].fills()) == 12  # each order of the first run in three parts
    assert "nothing was sent: approve, submit" in capsys.readouterr().out


@pytest.mark.slow
def test_the_phrase_in_the_notebook_sends_no_other_plan(names, capsys):
    sources = [source.replace("quantity=400", "quantity=401") for source in cells()]
    submission = next(place for place, source in enumerate(sources) if "review.submit(" in source)

    async def story():
        for source in sources[: submission + 1]:
            await run_cell(source, names)

    with pytest.raises(sx.ApprovalError, match="not the phrase"):
        asyncio.run(story())
    assert not arrived(names)
    assert names["blotter"].runs().empty
