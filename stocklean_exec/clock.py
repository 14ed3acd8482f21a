"""The only module that reads the wall clock. Other modules take the time as a parameter."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["now", "wait_until"]

_LONGEST_SLEEP = 30.0
"""Seconds: a choice. A computer that was suspended, or whose clock was set, is noticed after these."""


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def wait_until(moment: datetime, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Sleep until a moment; return at once if it has passed."""
    while (left := (moment - now()).total_seconds()) > 0:
        sleep(min(left, _LONGEST_SLEEP))
