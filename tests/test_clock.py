"""The wall clock gives UTC, and no other module reads it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from stocklean_exec import clock

PACKAGE = Path(clock.__file__).parent


def test_now_is_the_present_time_in_utc():
    before = datetime.now(UTC)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_no_other_module_reads_the_wall_clock():
    reads = re.compile(
        r"datetime\.(now|today|utcnow)\(|time\.time\(|Timestamp\.(now|utcnow|today)\(|date\.today\("
    )
    found = {path.name for path in PACKAGE.rglob("*.py") if reads.search(path.read_text("utf-8"))}
    assert found == {"clock.py"}
