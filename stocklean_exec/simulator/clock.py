"""The clock of the simulator and its queue of scheduled events.

Four modes:

``virtual``  advances by a small step at each request, and jumps over every wait of an order or a fault. A complete
             session runs in a moment, and every run is the same.
``manual``   like virtual, but waits end only when :meth:`Clock.advance` passes them.
``wall``     the computer's clock; the event loop has to call :meth:`Clock.run_due` when an event is due.
``brisk``    the computer's clock plus an offset: it jumps over every wait like a virtual clock, and the offset
             grows by each jump. No wait takes real time, and the clock never runs behind the computer's.

Two kinds of event: virtual and brisk clocks jump to *work* (the wait of an order or a fault). They do not jump to
the *calendar* (price moves, the close, midnight), which runs when time passes it.

Times are seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_START", "Clock", "Mode", "ScheduledEvent", "computer_time", "local_time", "parse_instant"]

Mode = Literal["virtual", "manual", "wall", "brisk"]
DEFAULT_START = datetime(2022, 12, 29, 15, 0, tzinfo=UTC).timestamp()
"""Thursday 2022-12-29, 10:00 in New York: the trading day after the last sample close."""
REQUEST_STEP = 0.001  # a choice: distinct timestamps, with the microseconds of the journal to spare
_MAX_JUMPS = 100_000  # a choice: ends a scenario whose waits never end, far above any of our runs


@dataclass(order=True, slots=True)
class ScheduledEvent:
    """An action scheduled at ``at``. ``work``: whether a virtual clock jumps to it."""

    at: float
    number: int
    action: Callable[[], None] = field(compare=False)
    work: bool = field(compare=False, default=True)
    cancelled: bool = field(compare=False, default=False)

    def cancel(self) -> None:
        """Cancel the event."""
        self.cancelled = True


def computer_time() -> float:
    """Seconds since 1970 by this computer's clock, which a client compares times with, whatever a venue's says."""
    return time.time()


class Clock:
    """Current time and scheduled events.

    Parameters
    ----------
    mode : see the module
    start : first instant of a virtual or manual clock
    step : seconds that pass at each request (virtual and manual)

    Examples
    --------
    >>> clock, seen = Clock("virtual", start=0.0), []
    >>> _ = clock.schedule(5.0, lambda: seen.append(clock.now()))
    >>> clock.run_due(); seen
    [5.0]
    """

    def __init__(
        self, mode: Mode = "virtual", *, start: float = DEFAULT_START, step: float = REQUEST_STEP
    ) -> None:
        self.mode = mode
        self.is_real_time = mode in ("wall", "brisk")
        self._jumps = mode in ("virtual", "brisk")
        self._offset = 0.0  # seconds that jumps have put a brisk clock ahead of the computer's
        self._now = 0.0 if self.is_real_time else start
        self._step = step
        self._number = 0
        self._heap: list[ScheduledEvent] = []
        self.started = self.now()

    def now(self) -> float:
        """The current time; it never decreases."""
        if self.is_real_time:
            self._now = max(self._now, time.time() + self._offset)
        return self._now

    def tick(self) -> None:
        """Advance a virtual clock by one step at a request, so that timestamps differ."""
        if not self.is_real_time:
            self._advance_to(round(self._now + self._step, 6), work=self._jumps)

    def schedule(self, delay: float, action: Callable[[], None], *, work: bool = True) -> ScheduledEvent:
        """Schedule ``action`` after ``delay`` seconds."""
        return self.schedule_at(self.now() + delay, action, work=work)

    def schedule_at(self, at: float, action: Callable[[], None], *, work: bool = True) -> ScheduledEvent:
        """Schedule ``action`` at the time ``at``."""
        self._number += 1
        event = ScheduledEvent(at, self._number, action, work)
        heapq.heappush(self._heap, event)
        return event

    def next_due(self) -> float | None:
        """Seconds until the next event, for an event loop on a real-time clock; None if there is none."""
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
        return max(self._heap[0].at - self.now(), 0.0) if self._heap else None

    def run_due(self) -> None:
        """Run all due events; virtual and brisk clocks first jump to all waiting work."""
        for _ in range(_MAX_JUMPS if self._jumps else 0):
            waiting = [one.at for one in self._heap if one.work and not one.cancelled]
            if not waiting:
                break
            self._offset += max(min(waiting) - self.now(), 0.0)
            self._advance_to(max(min(waiting), self._now), work=True)
        if self.mode != "virtual":
            self._advance_to(self.now(), work=True)

    def advance(self, seconds: float) -> None:
        """Advance by ``seconds`` and run the events in between, in order.

        Raises
        ------
        ValueError
            On a wall clock, or for negative seconds.
        """
        if self.mode == "wall" or not seconds >= 0:
            raise ValueError(f"a {self.mode} clock cannot be moved by {seconds} seconds")
        instant = self.now() + seconds
        self._offset += seconds
        self._advance_to(instant, work=True)

    def _advance_to(self, instant: float, *, work: bool) -> None:
        postponed: list[ScheduledEvent] = []
        while self._heap and self._heap[0].at <= instant:
            event = heapq.heappop(self._heap)
            if event.cancelled:
                continue
            if event.work and not work:
                postponed.append(event)
                continue
            self._now = max(self._now, event.at)
            event.action()
        for event in postponed:
            heapq.heappush(self._heap, event)
        self._now = max(self._now, instant)


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_time(instant: float, zone: str) -> datetime:
    """``instant`` as local time in ``zone``.

    Examples
    --------
    >>> local_time(0.0, "US/Eastern").strftime("%Y%m%d %H:%M:%S %Z")
    '19691231 19:00:00 EST'
    """
    return datetime.fromtimestamp(instant, _zone(zone))


_FORMATS = (
    "%Y%m%d %H:%M:%S",
    "%Y%m%d-%H:%M:%S",
    "%Y%m%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d",
)


def parse_instant(text: str, zone: str) -> float:
    """Parse a time in any TWS format or in ISO form; seconds since 1970 UTC.

    A zone name at the end overrides ``zone``; the format with a dash is UTC.

    Raises
    ------
    ValueError
        When ``text`` is not a time, or its zone is unknown.

    Examples
    --------
    >>> parse_instant("19700101-00:00:10", "US/Eastern"), parse_instant("19691231 19:00:10 US/Eastern", "UTC")
    (10.0, 10.0)
    """
    words = " ".join(text.split())
    head, _, last = words.rpartition(" ")
    if head and last[:1].isalpha():
        try:
            words, zone = head, _zone(last).key
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{last!r} in {text!r} is not a time zone") from None
    for pattern in _FORMATS:
        try:
            naive = datetime.strptime(words, pattern)  # noqa: DTZ007 - the zone is added in the return statement
        except ValueError:
            continue
        return naive.replace(tzinfo=UTC if "-%H" in pattern else _zone(zone)).timestamp()
    raise ValueError(f"{text!r} is not a date and time")
