"""The wall clock gives UTC, and no other module reads it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stocklean_exec import clock

PACKAGE = Path(clock.__file__).parent


def test_now_is_the_present_time_in_utc():
    before = datetime.now(UTC)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_waiting_sleeps_until_the_moment_and_no_longer_than_half_a_minute_at_once(monkeypatch):
    start = datetime(2026, 11, 30, 20, 44, tzinfo=UTC)
    time, slept = [start], []
    monkeypatch.setattr(clock, "now", lambda: time[0])

    def sleep(seconds):
        slept.append(seconds)
        time[0] += timedelta(seconds=seconds)

    clock.wait_until(start + timedelta(seconds=70.5), sleep=sleep)
    assert slept == [30.0, 30.0, 10.5]
    clock.wait_until(start, sleep=sleep)
    assert len(slept) == 3


def test_waiting_goes_on_where_a_sleep_was_short(monkeypatch):
    times = [datetime(2026, 11, 30, 20, 45, second, tzinfo=UTC) for second in (0, 1, 5)]
    monkeypatch.setattr(clock, "now", lambda: times.pop(0))
    slept = []
    clock.wait_until(datetime(2026, 11, 30, 20, 45, 5, tzinfo=UTC), sleep=slept.append)
    assert slept == [5.0, 4.0]


def test_no_other_module_reads_the_wall_clock():
    reads = re.compile(
        r"datetime\.(now|today|utcnow)\(|time\.time\(|Timestamp\.(now|utcnow|today)\(|date\.today\("
    )
    found = {path.name for path in PACKAGE.rglob("*.py") if reads.search(path.read_text("utf-8"))}
    assert found == {"clock.py"}
