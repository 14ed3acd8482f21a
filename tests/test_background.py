"""One loop in a background thread: callable from everywhere, and well behaved when interrupted."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest

import stocklean_exec as sx
from stocklean_exec import background
from stocklean_exec.background import BackgroundLoop, call


async def whereabouts():
    return threading.current_thread().name


async def fail():
    raise LookupError("not there")


@pytest.fixture
def one():
    made = BackgroundLoop("test-loop")
    yield made
    made.stop()


def run_script(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


def test_work_runs_on_the_background_thread_and_gives_its_result(one):
    assert one.call(whereabouts()) == "test-loop"


def test_an_error_of_the_work_is_raised_in_the_caller():
    with pytest.raises(LookupError, match="not there"):
        call(fail())


def test_all_callers_share_one_loop():
    names = []
    threads = [threading.Thread(target=lambda: names.append(call(whereabouts()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["stocklean-loop"] * 8
    assert [thread.name for thread in threading.enumerate()].count("stocklean-loop") == 1


def test_the_loop_can_be_called_while_another_loop_runs_in_this_thread():
    async def cell():
        return call(whereabouts())  # as in a notebook: a plain call within a running loop

    assert asyncio.run(cell()) == "stocklean-loop"


def test_a_call_from_the_loops_own_thread_is_refused_and_not_a_deadlock():
    async def work():
        return call(whereabouts())

    with pytest.raises(RuntimeError, match="await it instead"):
        call(work())


def test_two_pieces_of_work_run_side_by_side(one):
    met = asyncio.Event()

    async def wait():
        await met.wait()
        return "met"

    async def meet():
        met.set()

    found = []
    waiter = threading.Thread(target=lambda: found.append(one.call(wait())))
    waiter.start()
    one.call(meet())
    waiter.join()
    assert found == ["met"]


def test_system_exit_in_the_work_reaches_the_caller_and_not_the_loop(one):
    async def leave():
        sys.exit(3)

    with pytest.raises(SystemExit) as caught:
        one.call(leave())
    assert caught.value.code == 3
    assert one.call(whereabouts()) == "test-loop"


def test_stopping_cancels_running_work_and_ends_the_thread():
    made, begun, ends = BackgroundLoop(), threading.Event(), []

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("wound up")

    def caller():
        try:
            made.call(work())
        except CancelledError:
            ends.append("caller cancelled")

    thread = threading.Thread(target=caller)
    thread.start()
    assert begun.wait(10)
    made.stop()
    thread.join()
    assert ends == ["wound up", "caller cancelled"]
    assert not made.thread.is_running
    with pytest.raises(RuntimeError, match="the background loop was stopped"):
        made.call(whereabouts())
    made.stop()


@pytest.mark.slow
def test_the_loop_works_in_a_plain_script_and_prints_nothing():
    code = "import asyncio; from stocklean_exec.background import call; print(call(asyncio.sleep(0, 'done')))"
    done = run_script(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_spawned_work_runs_in_the_background_and_a_stopped_loop_refuses_it():
    made = BackgroundLoop()
    assert made.spawn(whereabouts()).result() == "stocklean-loop"
    made.stop()
    with pytest.raises(RuntimeError, match="the background loop was stopped"):
        made.spawn(whereabouts())


LEFT = """
import asyncio, threading
from stocklean_exec.background import spawn

begun = threading.Event()

async def work():
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("wound up", flush=True)

spawn(work())
begun.wait()
"""


@pytest.mark.slow
def test_work_still_running_at_program_exit_finishes_its_cleanup():
    done = run_script(LEFT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wound up\n", "")


INTERRUPTED = """
import asyncio, signal
from stocklean_exec.background import call

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has a background job ignore interrupts

async def work():
    print("begun", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.2)
        print("wound up", flush=True)

try:
    call(work())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.slow
def test_an_interrupt_cancels_the_work_and_waits_for_its_cleanup():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert (shown, errors, process.returncode) == ("wound up\ninterrupted\n", "", 0)


FORKED = """
import asyncio, os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and up warn of forks beside threads
import stocklean_exec as sx
from stocklean_exec import background
from stocklean_exec.background import BackgroundThread

async def pid():
    return os.getpid()

mine = background.BackgroundLoop()
assert background.call(pid()) == os.getpid()
wanted = threading.Event()
writer = BackgroundThread(wanted.wait, "writer", wanted.set)
child = os.fork()
if not child:
    try:
        mine.call(pid())
    except RuntimeError as error:
        print("refused" if "fork" in str(error) else error, background.call(pid()) == os.getpid(), flush=True)
    try:
        mine.spawn(pid())
    except RuntimeError as error:
        print("refused" if "fork" in str(error) else error, flush=True)
    writer.join(); writer.close()  # neither stops the parent's thread nor waits for it
    print(writer.is_of_parent, writer.is_running, wanted.is_set(), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(background.call(pid()) == os.getpid(), writer.is_of_parent, writer.is_running)
writer.close()
print(writer.is_running)
"""


@pytest.mark.slow
def test_a_forked_child_starts_its_own_loop():
    done = run_script(FORKED)
    assert (done.stdout, done.stderr) == ("refused True\nrefused\nTrue False False\nTrue False True\nFalse\n", "")


def test_the_shared_loop_is_a_daemon():
    call(whereabouts())
    assert background._shared.thread._thread.daemon
    assert not background._shared.thread.is_of_parent


def test_a_thread_is_stopped_once_and_joined():
    wanted, done, stops = threading.Event(), [], []

    def work():
        wanted.wait()
        done.append(thread.is_current)

    def stop():
        stops.append(1)
        wanted.set()

    thread = background.BackgroundThread(work, "test-thread", stop)
    assert (thread.is_running, thread.is_current, thread.is_of_parent) == (True, False, False)
    thread.close()
    thread.close()
    assert (done, stops, thread.is_running) == ([True], [1], False)


def test_joining_a_thread_that_does_not_stop_is_limited_in_time():
    wanted = threading.Event()
    thread = background.BackgroundThread(wanted.wait, "test-thread")
    thread.close(0.0)
    assert thread.is_running
    wanted.set()
    thread.join()
    assert not thread.is_running


async def scaled_async(number: int, *, by: int = 2) -> int:
    """Multiply."""
    return number * by


def test_the_blocking_form_has_the_parameters_and_the_documentation_of_the_asynchronous_one():
    scaled = background.blocking(scaled_async)
    assert (scaled(4, by=3), scaled.__name__, scaled.__doc__) == (12, "scaled", "Multiply.")
    assert not inspect.iscoroutinefunction(scaled)
    with pytest.raises(TypeError, match="'times'"):
        scaled(4, times=3)


@pytest.mark.parametrize("name", ["submit_orders", "resume", "reconcile", "rebalance"])
def test_both_forms_of_a_public_function_have_the_same_parameters(name):
    plain, awaitable = getattr(sx, name), getattr(sx, f"{name}_async")
    assert inspect.signature(plain) == inspect.signature(awaitable)
    assert (plain.__name__, plain.__doc__) == (name, awaitable.__doc__)
    assert inspect.iscoroutinefunction(awaitable)
    assert not inspect.iscoroutinefunction(plain)


def test_work_runs_in_the_context_of_its_caller(one):
    cell = contextvars.ContextVar("cell", default="none")

    async def shown():
        return cell.get()

    cell.set("second")
    assert one.call(shown()) == "second"
    assert one.spawn(shown()).result() == "second"
