"""Reads what TWS says an order would do to the account: the state of a what-if order. Pure.

Margins and equity come as text, in the account's base currency; TWS omits what it does not know.
"""

from __future__ import annotations

import math
from typing import Protocol

from stocklean_exec.brokers.ib.translate import known
from stocklean_exec.brokers.order_preview import OrderPreview

__all__ = ["preview_of"]


class _State(Protocol):
    """The fields of an OrderState of ib_async that are read here."""

    initMarginBefore: str  # noqa: N815 - ib_async's names, as below
    initMarginAfter: str  # noqa: N815 - ib_async's name
    maintMarginBefore: str  # noqa: N815 - ib_async's name
    maintMarginAfter: str  # noqa: N815 - ib_async's name
    equityWithLoanBefore: str  # noqa: N815 - ib_async's name
    equityWithLoanAfter: str  # noqa: N815 - ib_async's name
    commission: float
    commissionCurrency: str  # noqa: N815 - ib_async's name
    warningText: str  # noqa: N815 - ib_async's name


def preview_of(state: _State) -> OrderPreview:
    """Read the state of a what-if order; a number that TWS did not set is NaN.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> unset = "1.7976931348623157E308"
    >>> state = SimpleNamespace(
    ...     initMarginBefore="0.0", initMarginAfter="2500.25", maintMarginBefore="", maintMarginAfter=unset,
    ...     equityWithLoanBefore="10000.0", equityWithLoanAfter="10000.0", commission=float(unset),
    ...     commissionCurrency="", warningText="",
    ... )
    >>> preview_of(state)[:4], preview_of(state).commission
    ((0.0, 2500.25, nan, nan), nan)
    """
    return OrderPreview(
        initial_margin_before=_number(state.initMarginBefore),
        initial_margin_after=_number(state.initMarginAfter),
        maintenance_margin_before=_number(state.maintMarginBefore),
        maintenance_margin_after=_number(state.maintMarginAfter),
        equity_with_loan_before=_number(state.equityWithLoanBefore),
        equity_with_loan_after=_number(state.equityWithLoanAfter),
        commission=_number(state.commission),
        commission_currency=state.commissionCurrency or "",
        warning=state.warningText or "",
    )


def _number(value: str | float) -> float:
    try:
        number = known(float(value))
    except ValueError:
        return math.nan
    return math.nan if number is None else number
