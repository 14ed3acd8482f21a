"""Protocol faults and crashes by seed, in virtual time: the broker's own code, the real client, the real venue.

STOCKLEAN_SCHEDULES=2000 tries so many; ``python -m tests.campaign --schedules N`` does it on all processors.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.schedules import run_schedules
from tests.campaign.virtual import VirtualLoop

ROOT = Path(__file__).parents[1]
COUNT = int(os.environ.get("STOCKLEAN_SCHEDULES", "60"))
FIRST = 50_000


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


def test_virtual_time_passes_while_nobody_waits():
    loop = VirtualLoop()

    async def sleep():
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(sleep()) >= 86_400
    loop.close()


def test_a_wait_for_nothing_is_an_error_and_no_hang():
    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())
    loop.close()
