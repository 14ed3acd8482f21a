"""Keeps what we send under a number of messages a second.

Interactive Brokers takes 50 messages a second from a connection, and ends it after three violations. The pacer
is a token bucket: in any stretch of T seconds at most ``burst + rate * T`` messages go, so 45 a second and a
burst of 5 never exceed 50 within a second. Tokens that were not used in time are lost beyond the burst, a late
wake-up loses none. Time in seconds; the clock comes in as an argument.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["DEFAULT_BURST", "DEFAULT_RATE", "Pacer"]

DEFAULT_RATE = 45.0
"""Messages a second, by default."""

DEFAULT_BURST = 5
"""Messages that may go at once after a pause; with the default rate they add up to IB's 50 a second."""

_NOISE = 1e-9  # of adding up small stretches of time


class Pacer:
    """Makes senders wait for their turn.

    A sender takes a turn and sends within it; whatever leaves calls :meth:`spend`, also what was sent without
    a turn, which those that come later then wait for. So every message counts, and none is counted twice.

    Parameters
    ----------
    rate : messages a second; 0 means no limit
    burst : messages that may go at once
    clock : a monotonic clock, in seconds
    sleep : how to wait

    Examples
    --------
    >>> async def send_three(pacer):
    ...     for _ in range(3):
    ...         async with pacer.turn():
    ...             pacer.spend()
    ...     return pacer.sent
    >>> asyncio.run(send_three(Pacer(rate=0)))
    3
    """

    def __init__(
        self,
        rate: float = DEFAULT_RATE,
        *,
        burst: int = DEFAULT_BURST,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not 0 <= rate < float("inf") or burst < 1:
            raise ValueError(f"a rate of {rate} and a burst of {burst} cannot be kept")
        self.rate, self.burst = float(rate), burst
        self.sent = 0
        self._clock, self._sleep = clock, sleep
        self._tokens = float(burst)
        self._seen: float | None = None
        self._queue = asyncio.Lock()

    def spend(self) -> None:
        """Count one message that leaves now."""
        self.sent += 1
        if self.rate:
            self._refill()
            self._tokens -= 1.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one message may go, and keep everybody else waiting until it has."""
        if not self.rate:
            yield
            return
        async with self._queue:
            self._refill()
            while self._tokens < 1.0 - _NOISE:
                await self._sleep((1.0 - self._tokens) / self.rate)
                self._refill()
            yield

    def _refill(self) -> None:
        now = self._clock() if self._clock is not None else asyncio.get_running_loop().time()
        if self._seen is not None:
            self._tokens = min(self._tokens + (now - self._seen) * self.rate, float(self.burst))
        self._seen = now
