"""Tables of what a checked plan may need of the account's margin, as a whole and by symbol. Pure.

How the figures are made is in :mod:`~stocklean_exec.risk.plan_margin`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.risk.findings import BLOCK
from stocklean_exec.risk.pre_trade_checks import PlanCheck
from stocklean_exec.risk.rules import margin_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.risk.plan_margin import PlanMargin

__all__ = ["margin_by_symbol", "plan_margin"]


def plan_margin(checked: pd.DataFrame) -> pd.DataFrame:
    """Margin of the account now, and the most that a checked plan may bring it to. In the base currency.

    The bound holds whatever part of the plan has filled, in whatever sequence: nothing that a sale frees is
    counted. Orders that the checks block are left out, working orders are not. It begins with the account's own
    figures, as :meth:`~stocklean_exec.Broker.account_state` or else the latest preview reports them. To these it
    adds what the previews given to :func:`~stocklean_exec.check_orders` say, and for other orders what Regulation
    T and FINRA Rule 4210(c) ask for the shares that they open: initially half of their value, and to be kept a
    quarter of a long position and 30 % or more of a short one.

    It rests on two assumptions. Prices and exchange rates are those of the check. And no order without a preview
    needs more than these rules ask: a broker's house margin may, for a stock that is volatile or a large part of
    the account. Where a preview shows offsets between positions (portfolio margin), every order counts in full, as
    changes that are previewed one by one do not add up there.

    Parameters
    ----------
    checked : from :func:`~stocklean_exec.check_orders`, also after edits in a review

    Returns
    -------
    DataFrame with the index ``initial_margin``, ``maintenance_margin``, ``equity_with_loan`` and
    ``excess_liquidity``

    =======  ==============================================================================================
    now      of the account; NaN where neither broker nor preview says
    bound    the most that the margins may become, and the least that equity and excess liquidity may; NaN
             if unknown
    limit    ``max_initial_margin`` and ``min_excess_liquidity``; NaN without one
    =======  ==============================================================================================

    An unknown bound is not compared with its limit: whatever may add to it is blocked (``margin_unknown``).

    Raises
    ------
    InputError
        The frame was not checked.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 50.0, "TLT": 10.0}, cash=10_000)
    >>> state = broker.account_state({"SPY": 0.5, "TLT": 0.1})
    >>> orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.1}, state, run_id="run-1")
    >>> checked = sx.check_orders(orders, None, state, previews=sx.preview_orders(orders, broker))
    >>> sx.plan_margin(checked)[["now", "bound"]]
                            now   bound
    initial_margin          0.0  3000.0
    maintenance_margin      0.0  1500.0
    equity_with_loan    10000.0  9998.0
    excess_liquidity    10000.0  8498.0
    """
    check = PlanCheck.of(checked)
    margin, chosen = _margin_of(check)
    limit = {
        "initial_margin": check.limits.max_initial_margin,
        "excess_liquidity": check.limits.min_excess_liquidity,
    }
    now, after = margin.before.to_dict(), margin.after(chosen).to_dict()
    rows = {name: (now[name], after[name], limit.get(name)) for name in now}
    return pd.DataFrame.from_dict(rows, "index", columns=["now", "bound", "limit"], dtype="float64")


def margin_by_symbol(checked: pd.DataFrame) -> pd.DataFrame:
    """What each symbol of a checked plan adds to the account's margin at most, and what that rests on.

    Parameters
    ----------
    checked : from :func:`~stocklean_exec.check_orders`, also after edits in a review

    Returns
    -------
    DataFrame, a row for each symbol with an order that is not blocked, or with a working one

    ===================  ===================================================================================
    symbol               with an order
    orders               of the plan; 0 where only working orders are counted
    basis                ``preview`` of the only order, ``regulation_t``, or ``frees`` where none adds margin
    initial_margin       added at most, base currency; NaN if unknown
    maintenance_margin   as above
    equity_with_loan     lost at most: fees, spread, and in a cash account what is paid. Without the costs of
                         working orders, which the total of :func:`~stocklean_exec.plan_margin` has
    previewed_at         when the oldest preview of its orders was made; NaT without one
    ===================  ===================================================================================

    Raises
    ------
    InputError
        The frame was not checked.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 50.0, "TLT": 10.0}, cash=10_000)
    >>> state = broker.account_state({"SPY": 0.5, "TLT": 0.1})
    >>> orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.1}, state, run_id="run-1")
    >>> checked = sx.check_orders(orders, None, state, previews=sx.preview_orders(orders, broker))
    >>> sx.margin_by_symbol(checked)[["symbol", "orders", "basis", "initial_margin", "equity_with_loan"]]
      symbol  orders         basis  initial_margin  equity_with_loan
    0    SPY       1       preview          2500.0               1.0
    1    TLT       1  regulation_t           500.0               1.0
    """
    margin, chosen = _margin_of(PlanCheck.of(checked))
    orders, at = np.zeros(len(margin.book.names), dtype="int64"), np.full(len(margin.book.names), math.nan)
    for place, signed, preview, is_chosen in zip(
        margin.orders.codes.tolist(),
        margin.orders.signed.tolist(),
        margin.orders.previews,
        chosen.tolist(),
        strict=True,
    ):
        if is_chosen and signed:
            orders[place] += 1
            if preview is not None and preview.at is not None:
                at[place] = np.fmin(at[place], preview.at)
    bases = margin.bases(chosen)
    initial, maintenance, equity = margin.by_symbol(chosen)
    frame = pd.DataFrame(
        {
            "symbol": pd.array(margin.book.names, dtype="str"),
            "orders": orders,
            "basis": pd.array(bases, dtype="str"),
            "initial_margin": initial,
            "maintenance_margin": maintenance,
            "equity_with_loan": equity,
            "previewed_at": pd.to_datetime(at, unit="s", utc=True).astype("datetime64[us, UTC]"),
        }
    )
    return frame[frame["basis"].notna()].reset_index(drop=True)


def _margin_of(check: PlanCheck) -> tuple[PlanMargin, NDArray[np.bool_]]:
    """The margin of a plan, and its orders that are not blocked."""
    return margin_of(check.arrays, check.context), check.findings.worst != BLOCK
