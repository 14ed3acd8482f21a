"""When a fill happened: TWS stamps fills in whole seconds, so a fill may seem to come before its order.

A fill stamped with a whole second s happened from s to s + 1, and not before its order was sent: between max(s,
sent) and s + 1. Prices at a fill are those at the start of that interval (:func:`observed_times`); what the
market traded is counted to its end (:func:`latest_times`), because it contains the fill itself. The error in
time of either is at most the length of the interval, one second. A stamp that is not a whole second is exact.

A fill stamped more than that before its order contradicts it: two clocks differ. Its time is unknown, and the
numbers that need it are NaN with the flag ``fill_before_order``. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stocklean_exec.tca.asof import MICROS, NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["before_order", "latest_times", "not_before_order", "observed_times"]


def not_before_order(filled: NDArray[np.int64], sent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times of fills, or of sending where the whole second of the stamp contains it; other times are unchanged.

    Examples
    --------
    Sent 0.4 s after the full second: stamps of that second, the next, the one before, and one that is exact.

    >>> sent = np.full(4, 10_400_000)
    >>> not_before_order(np.array([10_000_000, 11_000_000, 9_000_000, 10_300_000]), sent).tolist()
    [10400000, 11000000, 9000000, 10300000]
    """
    early = filled < sent  # a missing time of sending is the lowest of all times
    if not early.any():
        return filled
    same_second = early & (filled != NO_TIME) & (filled % MICROS == 0) & (filled > sent - MICROS)
    return np.where(same_second, sent, filled)


def before_order(filled: NDArray[np.int64], sent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a fill is stamped before its order was sent, by more than whole seconds explain."""
    return np.asarray((filled != NO_TIME) & (not_before_order(filled, sent) < sent))


def observed_times(filled: NDArray[np.int64], sent: NDArray[np.int64]) -> NDArray[np.int64]:
    """The earliest time at which each fill can have happened, missing where its stamp contradicts its order."""
    found = not_before_order(filled, sent)
    wrong = found < sent
    return np.where(wrong, NO_TIME, found) if wrong.any() else found


def latest_times(filled: NDArray[np.int64]) -> NDArray[np.int64]:
    """The latest time at which each fill can have happened: the last microsecond of a stamp in whole seconds.

    Examples
    --------
    >>> latest_times(np.array([10_000_000, 10_300_000])).tolist()
    [10999999, 10300000]
    """
    whole = (filled % MICROS == 0) & (filled != NO_TIME)
    return np.where(whole, filled + (MICROS - 1), filled)
