"""Event loops: what patched, foreign and shared loops do, which the engine's own loop keeps away from.

Each test pins one behaviour of the installed libraries and names the module that leans on it. Patches of asyncio
change the whole process, so those tests run in processes of their own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import nbformat
import pytest
from ib_async import Order, Stock
from nbclient import NotebookClient

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:eventkit.*")
SPY = Stock("SPY", "SMART", "USD", conId=756733)


def order(number):
    return Order(orderId=number, action="BUY", orderType="MKT", totalQuantity=1, tif="DAY")


# -- ib_async off its own thread or loop (engine: everything of a broker runs on the engine's thread) ------------


def test_trap_orders_placed_from_another_thread_are_lost(play):
    async def script(bench):
        ib = await bench.connect()

        def elsewhere():
            asyncio.set_event_loop(asyncio.new_event_loop())
            for number in range(1, 101):
                ib.placeOrder(SPY, order(number))
            asyncio.get_event_loop().close()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        trades = len(ib.trades())
        ib.disconnect()
        await bench.peer.until(lambda: bench.peer.ended)
        return len(bench.peer.orders()), trades

    arrived, trades = play(script)
    assert trades == 100
    assert arrived <= 45  # messages above the limit of a second wait in a loop that never runs


def test_a_hundred_orders_through_their_own_loop_all_arrive(play):
    """pacing and ib.client: with ib_async's own throttle off, nothing is held back."""

    async def script(bench):
        ib = await bench.connect()
        ib.client.MaxRequests = 0
        loop = asyncio.get_running_loop()

        async def place(number):
            ib.placeOrder(SPY, order(number))

        def elsewhere():
            for number in range(1, 101):
                asyncio.run_coroutine_threadsafe(place(number), loop).result()

        await asyncio.to_thread(elsewhere)
        await bench.peer.until(lambda: len(bench.peer.orders()) == 100)

    play(script)


def test_trap_a_request_is_a_future_and_not_a_coroutine(play):
    """background.call takes coroutines: ib.connection wraps every request in one."""

    async def script(bench):
        ib = await bench.connect()
        request = ib.reqCurrentTimeAsync()
        with pytest.raises(TypeError, match="coroutine"):
            asyncio.run_coroutine_threadsafe(request, asyncio.get_running_loop())
        await request

    play(script)


@pytest.mark.slow
def test_trap_a_connection_of_an_ended_loop_still_reports_connected():
    """brokers.ib.broker connects on the background loop, which runs as long as the process."""
    code = """
import asyncio, os, warnings
warnings.simplefilter("ignore")
from ib_async import IB, StartupFetch
from ib_async import MarketOrder, Stock
from stocklean_exec.simulator import Simulator
with Simulator(seed=7) as simulator:
    ib = IB()
    asyncio.run(ib.connectAsync("127.0.0.1", simulator.port, clientId=1, fetchFields=StartupFetch(0)))
    trade = ib.placeOrder(Stock("SPY", "SMART", "USD"), MarketOrder("BUY", 1))
    print(ib.isConnected(), trade.orderStatus.status, flush=True)
    os._exit(0)  # its end would touch the loop that is closed
"""
    assert in_its_own_process(code) == "True PendingSubmit"


# -- patches of asyncio (engine: never applied by this package) --------------------------------------------------


def in_its_own_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CELLS = """
import asyncio, contextvars, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable()
shared = contextvars.copy_context()  # as the kernel runs all cells in one

async def message():
    return "handled"

async def turns():
    for _ in range(5):
        await asyncio.sleep(0)

async def cell():
    loop = asyncio.get_running_loop()
    arrived = loop.create_task(message(), context=shared)
    loop.run_until_complete(turns())  # a nested, blocking call while a message arrives
    return arrived

async def kernel():
    exec(sys.argv[1])  # within the running loop, as in a cell
    arrived = await asyncio.get_running_loop().create_task(cell(), context=shared)
    await turns()
    return arrived.done()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
print("handled" if loop.run_until_complete(kernel()) else "lost")
"""
OLD, NEW = "import nest_asyncio; nest_asyncio.apply()", "import nest_asyncio2; nest_asyncio2.apply()"


@pytest.mark.parametrize(
    ("patch", "outcome"),
    [
        (OLD, "lost"),
        (NEW, "handled"),
        (f"{NEW}\n{OLD}", "handled"),
        (f"{OLD}\n{NEW}", "lost"),
    ],
    ids=["old", "new", "new first", "old first"],
)
def test_trap_under_nest_asyncio_a_message_during_a_nested_call_is_lost(patch, outcome):
    """engine: our calls never nest, so a user needs no patch; if one is applied, the order matters."""
    assert in_its_own_process(CELLS, patch) == outcome


@pytest.mark.slow
def test_trap_start_loop_of_ib_async_applies_the_old_patch():
    """engine: our calls need neither; a user who wants the patch applies the new one first."""
    code = """
import asyncio, sys, warnings
warnings.simplefilter("ignore")
from ib_async import util
util.startLoop()
print("nest_asyncio" in sys.modules, hasattr(asyncio, "_nest_patched"), hasattr(asyncio, "_nest_asyncio2"))
"""
    assert in_its_own_process(code) == "True True False"


@pytest.mark.parametrize("patch", ["", OLD, NEW])
def test_the_background_loop_works_whatever_was_patched(patch):
    """background: its loop is separate, in its own thread."""
    code = f"""
import warnings; warnings.simplefilter("ignore")
{patch}
import asyncio
from stocklean_exec.background import call

async def work():
    await asyncio.sleep(0)
    return "done"

async def cell():
    return call(work())

print(call(work()), asyncio.run(cell()))
"""
    assert in_its_own_process(code) == "done done"


# -- the kernel (engine, ib_broker: blocking calls within cells) --------------------------------------------------

ENGINE_CELL = """
import warnings
warnings.simplefilter("ignore")
from stocklean_exec.background import call
async def where():
    return threading.current_thread().name
print(call(where()))
"""
TASK_CELL = """
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0)
task = asyncio.get_running_loop().create_task(tick())
"""
RUN_CELL = """
try:
    asyncio.run(where())
except RuntimeError as error:
    print("running event loop" in str(error))
"""
NOTEBOOK = [
    "import asyncio, contextvars, threading; seen = contextvars.ContextVar('seen'); _ = seen.set('by cell 1')",
    "print(seen.get('not seen'))",
    "print(asyncio.get_running_loop().is_running(), threading.current_thread() is threading.main_thread())",
    ENGINE_CELL,
    TASK_CELL,
    "before = len(ticks); _ = [call(where()) for _ in range(20)]; print(len(ticks) - before)",
    "before = len(ticks); await asyncio.sleep(0); await asyncio.sleep(0); print(len(ticks) > before)",
    RUN_CELL,
]


@pytest.fixture(scope="module")
def printed():
    """What each cell prints in a real kernel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in NOTEBOOK])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return ["".join(one.get("text", "") for one in cell["outputs"]).strip() for cell in notebook["cells"]]


@pytest.mark.slow
def test_trap_all_cells_share_one_context(printed):
    """The reason why the old patch loses messages: one context cannot be entered twice."""
    assert printed[1] == "by cell 1"


def test_a_cell_runs_in_the_main_thread_within_a_running_loop(printed):
    """background: so a plain function cannot run its own loop there."""
    assert printed[2] == "True True"
    assert printed[7] == "True"


def test_the_background_loop_can_be_called_within_a_cell(printed):
    assert printed[3] == "stocklean-loop"


def test_kernel_tasks_stop_while_a_cell_blocks_and_run_while_it_awaits(printed):
    """engine: what a broker has to do in the meantime must not be a task of the kernel's loop."""
    assert printed[5] == "0"
    assert printed[6] == "True"
