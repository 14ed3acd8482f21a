"""How long to keep reconnecting: as long as the run makes progress. Pure, except for the pause itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Reconnections"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between reconnections, as in the broker: doubled each time


@dataclass(slots=True)
class Reconnections:
    """Lost connections since a run last made progress.

    A report that cannot be read is repeated by each connection: reconnecting must end nevertheless.

    Parameters
    ----------
    patience : seconds to continue without progress

    Attributes
    ----------
    number : reconnections without progress

    Examples
    --------
    >>> tries = Reconnections(60.0)
    >>> [tries.next_pause("1 order sent", now) for now in (0.0, 10.0, 20.0, 59.0, 60.0)]
    [(0.0, 60.0), (0.2, 50.0), (0.4, 40.0), (0.8, 1.0), None]
    >>> tries.next_pause("2 orders sent", 70.0)
    (0.0, 60.0)
    """

    patience: float
    number: int = 0
    _progress: Hashable = None
    _since: float = 0.0

    def next_pause(self, progress: Hashable, now: float) -> tuple[float, float] | None:
        """Seconds to wait before the next reconnection, and seconds left for it; None when the time is up.

        ``progress`` is any value that changes when the run makes progress; ``now`` seconds of a monotonic clock.
        """
        if progress != self._progress:
            self._progress, self._since, self.number = progress, now, 0
            return 0.0, self.patience
        left = self._since + self.patience - now
        self.number += 1
        if left <= 0:
            return None
        pause = min(_FIRST_PAUSE * 2**self.number, _LONGEST_PAUSE, left)
        return pause, left
