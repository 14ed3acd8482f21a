"""A user's own synchronous calls of ib_async in a real kernel, before and after enable_notebook()."""

import asyncio
import sys

import nbformat
import nest_asyncio2
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import stocklean_exec as sx
from stocklean_exec.simulator import Simulator


def run(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return ["".join(out.get("text", "") for out in cell.outputs) for cell in notebook.cells]


@pytest.fixture
def port():
    with Simulator(seed=7) as simulator:
        yield simulator.port


CONNECT = """
from ib_async import IB
ib = IB()
ib.connect("127.0.0.1", {port}, clientId=5)
print(ib.managedAccounts())
"""


@pytest.mark.slow
def test_without_enable_notebook_a_synchronous_call_in_a_cell_fails(port):
    with pytest.raises(CellExecutionError, match="already running"):
        run(CONNECT.format(port=port))


@pytest.mark.slow
def test_with_enable_notebook_synchronous_calls_and_runs_work_together(port):
    *_, connected, mixed, awaited = run(
        "import stocklean_exec as sx\nsx.enable_notebook()\nsx.enable_notebook()",
        "from ib_async import util\nutil.startLoop()",
        CONNECT.format(port=port),
        "with sx.connect('sim://?seed=7') as broker, sx.open_blotter() as blotter:\n"
        "    states = sx.rebalance({'AAPL': 0.1}, broker, blotter, run_id='r', approve='me', dry_run=False)\n"
        "print(states['status'].tolist(), len(ib.reqPositions()))\nib.disconnect()",
        "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')",
    )
    assert (connected, mixed, awaited) == ("['DU0000001']\n", "['FILLED'] 0\n", "awaited\n")


@pytest.mark.slow
def test_a_kernel_patched_earlier_is_refused_with_advice():
    with pytest.raises(CellExecutionError, match="Restart the kernel, and call"):
        run("import nest_asyncio\nnest_asyncio.apply()", "import stocklean_exec as sx\nsx.enable_notebook()")


def test_a_loop_patched_earlier_is_refused_before_anything_is_changed(monkeypatch):
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)

    async def cell():
        sx.enable_notebook()

    with pytest.raises(sx.NotebookError, match=r"Restart the kernel, and call sx\.enable_notebook\(\)"):
        asyncio.run(cell())
    assert not hasattr(asyncio, "_nest_asyncio2")


@pytest.mark.parametrize("is_patched", [False, True])
def test_the_running_loop_is_patched_and_a_later_start_loop_finds_the_same_patch(is_patched, monkeypatch):
    patched = []
    monkeypatch.setattr(nest_asyncio2, "apply", patched.append)
    monkeypatch.setitem(sys.modules, "nest_asyncio", None)  # what it was comes back at the end
    if is_patched:  # by a call before this one
        for name in ("_nest_patched", "_nest_asyncio2"):
            monkeypatch.setattr(asyncio, name, True, raising=False)

    async def cell():
        assert sx.enable_notebook() is None
        return asyncio.get_running_loop()

    assert [asyncio.run(cell())] == patched
    import nest_asyncio  # noqa: PLC0415 - as util.startLoop() of ib_async does

    assert nest_asyncio is nest_asyncio2


def test_enable_notebook_patches_nothing_outside_a_loop():
    sx.enable_notebook()
    assert not hasattr(asyncio, "_nest_patched")


@pytest.mark.slow
def test_importing_the_package_and_trading_patches_nothing():
    (text,) = run(
        "import asyncio, stocklean_exec as sx\n"
        "with sx.connect('sim://?seed=7') as broker:\n    broker.nav()\n"
        "print(hasattr(asyncio, '_nest_patched'), hasattr(asyncio, '_nest_asyncio2'))"
    )
    assert text == "False False\n"
