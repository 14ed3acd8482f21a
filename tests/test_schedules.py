"""Protocol faults and crashes by seed, in virtual time: the broker's own code, the real client, the real venue.

STOCKLEAN_SCHEDULES=2000 tries so many; ``python -m tests.campaign --schedules N`` does it on all processors.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.campaign.schedules import run_schedules
from tests.campaign.virtual import VirtualLoop, counted_threads

ROOT = Path(__file__).parents[1]
COUNT = int(os.environ.get("STOCKLEAN_SCHEDULES", "60"))
FIRST = 50_000


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_no_schedule_sends_twice_or_loses_a_fill():
    # In a process of its own: what other tests leave running here can fall behind the virtual time.
    command = [
        sys.executable,
        "-m",
        "tests.campaign",
        "--schedules",
        str(COUNT),
        "--first",
        str(FIRST),
        "--wide",
        "2",
    ]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["crashes"] > COUNT / 4
    assert told["fills"] > COUNT


def test_the_same_seed_is_the_same_schedule():
    first, second = ([*run_schedules([FIRST + 7])] for _ in range(2))
    assert first == second


def test_without_a_safeguard_some_schedule_fails():
    options = "--schedules 24 --off new_id --also slow_intake --wide 2"
    command = [sys.executable, "-m", "tests.campaign", *options.split()]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["found"]["duplicate_orders"] > 0


# -- the clock -----------------------------------------------------------------------------------------------


def test_virtual_time_passes_while_nobody_waits(loop):
    async def sleep():
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(sleep()) >= 86_400


def test_a_wait_for_nothing_is_an_error_and_no_hang(loop):
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())


def test_no_timeout_fires_while_a_thread_owes_an_answer(loop):
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


def test_time_goes_on_once_the_threads_have_answered(loop):
    answers = [Future(), Future()]

    def work():
        for answer in answers:  # the second one nobody waits for: it counts all the same
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


def test_a_thread_that_nobody_waits_for_is_an_error(loop):
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(print,), name="stray")
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="thread stray calls"):
        loop.run_until_complete(loop.create_future())


def test_what_runs_in_an_executor_takes_no_virtual_time(loop):
    async def wait():
        name = await asyncio.wait_for(asyncio.to_thread(threading.get_ident), 0.001)
        return name == threading.get_ident(), loop.time()

    assert loop.run_until_complete(wait()) == (True, 0.0)
