"""What a plan left out: trades that the targets call for and that no order makes. Pure.

A plan keeps its list as text in ``attrs``, where copies of the frame are cheap; checks, review and ``rebalance``
pass it on with the warnings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.schema.frame_validator import HELD_BACK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.portfolio.alignment import AlignedBook
    from stocklean_exec.portfolio.trade_bands import Choice

__all__ = ["HELD_BACK_COLUMNS", "held_back", "note_held_back"]

HELD_BACK_COLUMNS = {"symbol": "str", "wish": "float64", "notional": "float64", "reason": "str"}
"""Columns of :func:`held_back`."""

_DUST = 1e-9  # floating-point noise; far below the smallest tradable part of a share, 0.0001


def held_back(orders: pd.DataFrame) -> pd.DataFrame:
    """List the trades that a plan left out.

    Parameters
    ----------
    orders : from :func:`~stocklean_exec.plan_orders`; also after the checks, from a review, or from
        :func:`~stocklean_exec.rebalance`

    Returns
    -------
    DataFrame, one row for each target or holding without an order although it differs from its weight, for what
    the rules of the plan (bands, minimum, cap on turnover) have left out of an order, and for what remains of a
    holding that is sold in whole lots:

    ========  =================================================================================
    symbol    the symbol
    wish      shares that its target calls for beyond its order, signed: negative is a sell
    notional  their value in the base currency, signed as ``wish``
    reason    ``inside_band`` (no further from its target than ``band``, beyond the edge of its band by less than
              a lot, or what remains of a trade to that edge), ``below_min_notional``, ``turnover_cap`` (trades
              with more benefit use up ``max_turnover``), ``below_one_lot`` (less than one lot),
              ``not_affordable`` (no money is left for it, also because of sells that are held back), ``odd_lot``
              (the rest of a holding, less than a lot of its exchange, which takes whole lots)
    ========  =================================================================================

    A symbol that must trade and cannot is an order row with status ``REJECTED``, and not listed here.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> prices = {"SPY": 400.0, "TLT": 90.0}
    >>> orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.01}, None, prices, nav=4_000, run_id="r")
    >>> orders["symbol"].tolist()
    ['SPY']
    >>> sx.held_back(orders).round(3)
      symbol   wish  notional         reason
    0    TLT  0.444      40.0  below_one_lot
    """
    text = getattr(orders, "attrs", {}).get(HELD_BACK)
    rows = json.loads(text) if isinstance(text, str) else []
    return pd.DataFrame(rows, columns=list(HELD_BACK_COLUMNS)).astype(HELD_BACK_COLUMNS)


def note_held_back(
    orders: pd.DataFrame,
    book: AlignedBook,
    choice: Choice,
    lot: NDArray[np.float64],
    trade: NDArray[np.float64],
    closing_step: NDArray[np.float64],
) -> pd.DataFrame:
    """Write the list of :func:`held_back` into the ``attrs`` of a plan.

    Parameters
    ----------
    orders : the plan
    book, choice, lot : its symbols, the trades that its rules allow, and their lots
    trade : signed shares that the plan trades; NaN without a price
    closing_step : shares in whose multiples each holding can be closed
    """
    sizes = choice.sizes
    open_rows = ~book.rejected & ~sizes.kept
    wish = np.nan_to_num(sizes.desired)
    left_out = open_rows & (np.abs(wish) > _DUST) & (trade == 0)  # trades are rounded
    rows = [
        (index, wish[index] + choice.rest[index], _why_none(wish[index], lot[index], choice, index))
        for index in np.flatnonzero(left_out).tolist()
    ]
    rest = np.where(open_rows & (book.weight == 0) & (closing_step > 1), wish - np.nan_to_num(trade), 0.0)
    rows += [
        (index, rest[index], "odd_lot") for index in np.flatnonzero((np.abs(rest) > _DUST) & ~left_out).tolist()
    ]
    ruled_out = np.flatnonzero((choice.rest != 0) & ~left_out).tolist()
    rows += [(index, choice.rest[index], choice.reason[index]) for index in ruled_out]
    if rows:
        found = [(book.symbols[index], size, size * book.value[index], reason) for index, size, reason in rows]
        orders.attrs[HELD_BACK] = json.dumps(found)
    return orders


def _why_none(part: float, lot: float, choice: Choice, index: int) -> str:
    """Why there is no order for the ``part`` of a wish that the rules allow."""
    if abs(part) >= lot:
        return "not_affordable"
    # A wish of several lots is less than one only because a rule has taken the others away.
    return "below_one_lot" if abs(part + choice.rest[index]) < lot else choice.reason[index]
