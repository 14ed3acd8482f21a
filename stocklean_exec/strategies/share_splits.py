"""Splits of shares: the new shares of each strategy, to the share. Pure.

Everybody's shares are multiplied by the same ratio. Where that leaves parts of a share, which a broker pays out in
cash, whole shares are divided by the quota method, as fills are.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.inputs import FRACTIONAL_STEP
from stocklean_exec.strategies.apportionment import split
from stocklean_exec.strategies.division import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_ratio", "shares_after", "suspected_ratio", "write_ratio"]

_LARGEST_PART = 10_000  # of a ratio; a stated choice: the largest reverse splits are of some thousands for one


_COUNTS = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100)
_USUAL = (
    *(Fraction(new) for new in _COUNTS),
    *(Fraction(1, old) for old in _COUNTS),
    *(Fraction(*pair) for pair in ((3, 2), (5, 2), (4, 3), (5, 4), (2, 3), (2, 5), (3, 4), (4, 5))),
)
"""A stated choice: splits and reverse splits as companies make them."""


def parse_ratio(ratio: object) -> Fraction:
    """New shares for one old share, from ``"10:1"`` (ten new ones for one), ``"1:10"``, 10 or 0.1.

    Raises
    ------
    InputError
        It is no ratio of two numbers from 1 to 10,000, or it is 1.

    Examples
    --------
    >>> parse_ratio("3:2"), parse_ratio(10), parse_ratio(0.1)
    (Fraction(3, 2), Fraction(10, 1), Fraction(1, 10))
    """
    found = Fraction(0)
    try:
        if isinstance(ratio, str):
            new, old = ratio.split(":")
            found = Fraction(new.strip()) / Fraction(old.strip())
        elif isinstance(ratio, (int, float, Fraction)) and not isinstance(ratio, bool) and math.isfinite(ratio):
            found = Fraction(ratio).limit_denominator(_LARGEST_PART)
    except (ValueError, ZeroDivisionError):
        pass
    if not (0 < found != 1 and max(found.numerator, found.denominator) <= _LARGEST_PART):
        text = f"ratio {shown(ratio)} is not new shares for old ones, as '10:1', or '1:10' for a reverse split"
        raise InputError("split", [Problem("split_ratio", text, column="ratio")])
    return found


def write_ratio(ratio: Fraction) -> str:
    """Write a ratio as people do.

    Examples
    --------
    >>> write_ratio(Fraction(1, 10))
    '1:10'
    """
    return f"{ratio.numerator}:{ratio.denominator}"


def suspected_ratio(before: float, after: float) -> Fraction | None:
    """Ratio of the split that makes ``after`` of ``before``, to the share; None where none of the usual ones does.

    Examples
    --------
    >>> suspected_ratio(105.0, 1050.0), suspected_ratio(105.0, 10.0), suspected_ratio(105.0, 145.0)
    (Fraction(10, 1), Fraction(1, 10), None)
    """
    if not before * after > 0:
        return None
    gaps = [(abs(exact(after) - exact(before) * one), one) for one in _USUAL]
    gap, ratio = min(gaps)
    # A part of a share is paid out or rounded up where shares become fewer.
    return ratio if gap < exact(1.0 if ratio < 1 else 0.5) else None


def shares_after(
    own: Mapping[str, float], ratio: Fraction, before: float | None, after: float
) -> dict[str, float]:
    """Signed shares of each strategy after a split.

    Parameters
    ----------
    own : signed shares of each strategy before it
    ratio : new shares for one old one
    before : what the account held before, None where that is not known
    after : what it holds after

    Returns
    -------
    Shares by strategy. They are whole where the account's are, and all of the account's where these were theirs.

    Raises
    ------
    InputError
        The account does not hold after the split what the ratio makes of its shares before.

    Examples
    --------
    >>> shares_after({"value": 63.0, "trend": 42.0}, Fraction(1, 10), 105.0, 10.0)
    {'trend': 4.0, 'value': 6.0}
    """
    unit = exact(1.0) if float(after).is_integer() else exact(FRACTIONAL_STEP)
    _check_account(ratio, before, after, unit)
    given = {name: exact(own[name]) for name in sorted(own)}
    totals = {sign: Fraction(sum(one for one in given.values() if one * sign > 0)) * ratio for sign in (1, -1)}
    whole = {sign: int(abs(total)) // unit * unit for sign, total in totals.items()}
    if before is not None and exact(before) == sum(given.values()):
        # Parts of a share may be rounded up, and those of longs and shorts are netted with each other.
        gap = exact(after) - (whole[1] - whole[-1])
        rounded = 1 if gap > 0 else -1
        rounded = rounded if totals[rounded] else -rounded
        whole[rounded] += gap * rounded
    found: dict[str, int] = {}
    for sign in (1, -1):
        side = {name: abs(one) for name, one in given.items() if one * sign > 0}
        parts = split(list(side.values()), [whole[sign]], unit)[whole[sign]] if side else ()
        found |= {name: part * sign for name, part in zip(side, parts, strict=True)}
    return {name: found.get(name, 0) / exact(1.0) for name in given}


def _check_account(ratio: Fraction, before: float | None, after: float, unit: int) -> None:
    if before is None:
        return
    expected = Fraction(exact(before)) * ratio
    # A part of a share is paid out in cash, or rounded up.
    if abs(exact(after) - expected) < unit:
        return
    made = float(expected) / exact(1.0)
    text = (
        f"a split of {write_ratio(ratio)} makes {made:,.10g} of the {before:,.10g} that the account held by the "
        f"record, and it holds {after:,.10g}"
    )
    raise InputError("split", [Problem("split_mismatch", text, column="ratio")])
