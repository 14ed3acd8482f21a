"""Dividing a growing number of indivisible units in proportion, without ever taking one back.

The rule is the quota method of Balinski and Young ("The Quota Method of Apportionment", American Mathematical
Monthly 82, 1975): each next unit goes to the claimant with the largest ``weight / (units so far + 1)`` among those
who would not exceed their proportional share rounded up. No claimant is ever a whole unit away from the
proportional share, a larger total gives no claimant less, and at the sum of the weights each has exactly its
weight. Of these, the rule of largest remainders lacks the second: as fills grow, it takes shares back.

The rule serves one unit after the other. Where the proportions take more than a million units to come round, each
claimant is divided against all after it instead, rounded to the nearest unit. That takes nothing back either, and
ends at the weights; a share is then at most half as many units away from proportion as there are claimants.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["apportion", "split"]

_MOST_SERVED = 1_000_000  # units; a stated choice: about a second


def apportion(weights: Sequence[int], totals: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Divide each of ``totals`` units in proportion to ``weights``.

    Parameters
    ----------
    weights : what each claimant asked for, not negative, not all zero; of equal claims the first is served first
    totals : numbers of units, not negative

    Returns
    -------
    Units of each claimant, by total. They add up to it.

    Raises
    ------
    ValueError
        A weight or a total is negative, or all weights are zero.

    Examples
    --------
    >>> apportion([100, 50], [1, 2, 3, 150])
    {1: (1, 0), 2: (2, 0), 3: (2, 1), 150: (100, 50)}
    """
    wanted = sorted(set(totals))
    if min([*weights, *wanted], default=0) < 0 or not any(weights):
        raise ValueError(f"weights {list(weights)} and totals {wanted} must not be negative, nor all weights 0")
    # At each multiple of the smallest whole proportion everybody is exactly proportional, and it starts again.
    reduced = [weight // math.gcd(*weights) for weight in weights]
    period = sum(reduced)
    divide = _served if period <= _MOST_SERVED else _halved
    begun = divide(reduced, {total % period for total in wanted})
    return {
        total: tuple(
            total // period * weight + units for weight, units in zip(reduced, begun[total % period], strict=True)
        )
        for total in wanted
    }


def _served(weights: Sequence[int], totals: set[int]) -> dict[int, tuple[int, ...]]:
    """Serve one unit after the other; what everybody has at each of ``totals``."""
    everything, units = sum(weights), [0] * len(weights)
    found = {}
    served = 0
    for total in sorted(totals):
        while served < total:
            served += 1
            units[_next(weights, everything, units, served)] += 1
        found[total] = tuple(units)
    return found


def _next(weights: Sequence[int], everything: int, units: Sequence[int], served: int) -> int:
    """Return who gets the ``served``-th unit."""
    best = -1
    for one, weight in enumerate(weights):
        if units[one] * everything >= served * weight:  # one more would exceed the share rounded up
            continue
        if best < 0 or weight * (units[best] + 1) > weights[best] * (units[one] + 1):
            best = one
    return best


def _halved(weights: Sequence[int], totals: set[int]) -> dict[int, tuple[int, ...]]:
    """Divide between each claimant and all after it, rounded to the nearest unit."""
    found = {}
    for total in totals:
        left, claims, units = total, sum(weights), []
        for weight in weights:
            # One more unit left gives one of the two one more, so that neither ever loses one.
            own = (2 * left * weight + claims) // (2 * claims) if claims else 0
            units.append(own)
            left, claims = left - own, claims - weight
        found[total] = tuple(units)
    return found


def split(weights: Sequence[int], amounts: Iterable[int], unit: int) -> dict[int, tuple[int, ...]]:
    """Divide amounts into whole units of ``unit``; the rest of an amount goes to whoever is next in turn.

    A negative amount is divided as its opposite. An amount grows and shrinks without a jump: the same amount is
    always divided in the same way, and a larger one gives no claimant less.

    Examples
    --------
    >>> found = split([2, 1], [250, -100], unit=100)
    >>> found[250], found[-100]  # two whole units, and half of the third
    ((200, 50), (-100, 0))
    """
    wanted = set(amounts)
    whole = {abs(amount) // unit for amount in wanted}
    given = apportion(weights, whole | {units + 1 for units in whole})
    found = {}
    for amount in wanted:
        units, rest = divmod(abs(amount), unit)
        parts = [
            one * unit + (more - one) * rest for one, more in zip(given[units], given[units + 1], strict=True)
        ]
        found[amount] = tuple(parts if amount >= 0 else [-part for part in parts])
    return found
