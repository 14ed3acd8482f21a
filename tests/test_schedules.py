"""Protocol faults and crashes by seed, in virtual time: the broker's own code, the real client, the real venue.

STOCKLEAN_SCHEDULES=2000 tries so many; ``python -m tests.campaign --schedules N --wide 2`` does it on two cores.
"""

import asyncio
import contextlib
import importlib
import json
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

import pytest

from stocklean_exec.execution import run_lock
from tests.campaign.schedules import run_schedules
from tests.campaign.stand_ins import Crash, Life, Mortal, Shelf
from tests.campaign.virtual import VirtualLoop, counted_threads

ROOT = Path(__file__).parents[1]
COUNT = int(os.environ.get("STOCKLEAN_SCHEDULES", "36"))
FIRST = 50_000
DONE = Future()
DONE.set_result(None)


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.mark.slow
def test_no_schedule_sends_twice_or_loses_a_fill():
    crashes, fills = 0, 0
    for one in run_schedules(range(FIRST, FIRST + COUNT)):
        replay = f"python -m tests.campaign --schedules 1 --first {one['seed']}"
        assert one["found"] == {}, f"{one['words']}\n{replay}"
        crashes += len(one["kills"])
        fills += one["fills"]
    assert crashes > COUNT / 4
    assert fills > COUNT


@pytest.mark.slow
def test_a_seed_gives_an_identical_schedule_in_another_process():
    seeds = range(FIRST + 7, FIRST + 10)
    importlib.import_module("stocklean_exec.review")  # which keeps the current clock function
    here = [*run_schedules(seeds)]
    program = (
        "import json; from tests.campaign.schedules import run_schedules; "
        f"print(json.dumps([*run_schedules({list(seeds)[::-1]})]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)[::-1] == json.loads(json.dumps(here))


@pytest.mark.slow
def test_a_writer_in_a_separate_thread_gives_the_same_schedules():
    seeds = range(FIRST + 20, FIRST + 26)
    inline, threaded = [*run_schedules(seeds)], [*run_schedules(seeds, threads=True)]
    answers = [one.pop("answers") for one in threaded]
    assert min(answers) > 0  # the virtual clock waited for the thread
    assert [one.pop("answers") for one in inline] == [0] * len(seeds)
    for one in (*inline, *threaded):
        del one["found_states"]  # what a worker submits as it crashes, the next one may find recorded or not yet
    assert threaded == inline


@pytest.mark.slow
def test_a_correction_after_the_last_worker_is_requested():
    (one,) = run_schedules([200_002])
    assert one["found"] == {}


@pytest.mark.slow
def test_schedules_share_no_lock_with_another_process_that_has_the_same_seeds():
    common, taken, lock = Path(os.environ["XDG_STATE_HOME"]), [], run_lock.FileLock

    def take(path, folder):
        taken.append(path)
        return lock(path, folder)

    with mock.patch.object(run_lock, "FileLock", take):
        (one,) = run_schedules([FIRST + 57])
    assert one["found"] == {}
    assert taken
    assert not any(path.is_relative_to(common) for path in taken)


@pytest.mark.slow
def test_without_a_safeguard_some_schedule_fails():
    options = "--schedules 12 --off new_id --also slow_intake --wide 2"
    command = [sys.executable, "-m", "tests.campaign", *options.split()]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["found"]["duplicate_orders"] > 0


# -- a crashed worker does nothing more----------------------------------------------------------------------


def test_a_crashed_worker_writes_nothing_while_another_runs(loop):
    blotter = mock.Mock(record=mock.Mock(return_value=DONE))
    first, second = Life(loop, {"step": "commit.after", "nth": 1}), Life(loop, {})
    with pytest.raises(Crash):
        Mortal(blotter, loop, first, Shelf()).record("of the first")
    with pytest.raises(Crash):
        Mortal(blotter, loop, first, Shelf()).record("of a dead one")
    second.step("commit.before")
    assert (first.crash, second.crash) == ("commit.after", "")
    blotter.record.assert_called_once_with("of the first")


def test_events_are_read_again_after_a_write(loop):
    events = [["one"], ["one", "two"]]
    blotter = mock.Mock(recorded_events=mock.Mock(side_effect=events), record=lambda _: DONE)
    mortal = Mortal(blotter, loop, Life(loop, {}), Shelf())
    assert (mortal.recorded_events("r"), mortal.recorded_events("r")) == (["one"], ["one"])
    mortal.record([])
    assert mortal.recorded_events("r") == ["one", "two"]


# -- the clock -----------------------------------------------------------------------------------------------


def test_virtual_time_jumps_over_a_sleep(loop):
    async def sleep():
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(sleep()) >= 86_400


def test_a_wait_that_is_shorter_than_the_resolution_of_the_clock_passes(loop):
    loop.jump(14.999999923706053)
    deadline = math.nextafter(loop.time(), math.inf)

    async def wait():
        for number in range(10):
            left = deadline - loop.time()
            if left <= 0:
                return number
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), left)
        return None

    assert loop.run_until_complete(wait()) == 1


def test_waiting_for_an_event_that_never_comes_is_an_error(loop):
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())


def test_no_timeout_fires_while_a_thread_is_busy(loop):
    answer = Future()

    def work():  # takes until the loop has nothing else to do: longer, in real time, than any timeout
        if loop.holds.wait(30):
            answer.set_result("late")

    async def wait():
        return await asyncio.wait_for(asyncio.wrap_future(answer), 0.001), loop.time()

    thread = threading.Thread(target=work)
    thread.start()
    with counted_threads():
        assert loop.run_until_complete(wait()) == ("late", 0.0)
    thread.join()
    loop.run_until_complete(asyncio.sleep(0))
    assert (loop.owed, loop.answers) == (0, 1)


def test_virtual_time_continues_once_the_threads_have_answered(loop):
    answers = [Future(), Future()]

    def work():
        for answer in answers:  # nothing waits for the second one: it still counts
            loop.holds.wait(30)
            answer.set_result(None)

    async def wait():
        loop.owe(answers[1])
        await asyncio.wrap_future(answers[0])
        await asyncio.sleep(5.0)
        return answers[1].done()

    thread = threading.Thread(target=work)
    thread.start()
    with counted_threads():
        assert loop.run_until_complete(wait())
    thread.join()
    assert loop.time() == 5.0


def test_a_thread_that_never_answers_is_an_error_and_no_timeout():
    loop = VirtualLoop(real_seconds=0.01)
    loop.owe(Future())
    with pytest.raises(RuntimeError, match=r"owed an answer for 0\.01 s"):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_a_thread_that_is_never_awaited_is_an_error(loop):
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(print,), name="stray")
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="thread stray calls"):
        loop.run_until_complete(loop.create_future())


def test_work_in_an_executor_takes_no_virtual_time(loop):
    async def wait():
        name = await asyncio.wait_for(asyncio.to_thread(threading.get_ident), 0.001)
        return name == threading.get_ident(), loop.time()

    assert loop.run_until_complete(wait()) == (True, 0.0)
