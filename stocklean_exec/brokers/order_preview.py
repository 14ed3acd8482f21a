"""What a broker says an order would do to the margin of the account, before it is sent. Pure.

A preview is of one order alone, against the account as it is: the margins of several orders do not add up, because
a sale frees what a purchase needs, and positions offset each other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["INITIAL_MARGIN", "MAINTENANCE_MARGIN", "OrderPreview", "previewed_position"]

INITIAL_MARGIN = 0.5
"""Initial margin of the mock filler, of the value of every position: Regulation T, 12 CFR 220.12."""

MAINTENANCE_MARGIN = 0.25
"""Maintenance margin of the mock filler, of the value of every position: FINRA Rule 4210(c)(1), long positions."""


class OrderPreview(NamedTuple):
    """The account before an order and once it has filled, in the base currency; NaN where the broker does not say.

    ``commission`` is in ``commission_currency``. ``refusal`` is why the broker would not take the order; empty
    where it would. ``warning`` is any other text of it.
    """

    initial_margin_before: float = math.nan
    initial_margin_after: float = math.nan
    maintenance_margin_before: float = math.nan
    maintenance_margin_after: float = math.nan
    equity_with_loan_before: float = math.nan
    equity_with_loan_after: float = math.nan
    commission: float = math.nan
    commission_currency: str = ""
    warning: str = ""
    refusal: str = ""

    @property
    def excess_liquidity_before(self) -> float:
        """Equity with loan value less maintenance margin: below zero, positions are liquidated."""
        return self.equity_with_loan_before - self.maintenance_margin_before

    @property
    def excess_liquidity_after(self) -> float:
        """Excess liquidity once the order has filled.

        Examples
        --------
        >>> OrderPreview(maintenance_margin_after=2_500.0, equity_with_loan_after=9_999.0).excess_liquidity_after
        7499.0
        """
        return self.equity_with_loan_after - self.maintenance_margin_after


def previewed_position(
    equity: float, gross: float, held: float, signed: float, value: float, commission: float
) -> OrderPreview:
    """Preview of an order under Regulation T, as the mock filler answers.

    Parameters
    ----------
    equity : net asset value, base currency
    gross : value of all positions, longs and shorts added up, base currency
    held : shares of the symbol now, signed
    signed : shares of the order, negative for a sale
    value : of one share, base currency
    commission : what the order costs, base currency; the only thing that equity loses by it

    Examples
    --------
    100 shares at 50 in an account of 10,000 in cash need 2,500 to open and 1,250 to keep.

    >>> preview = previewed_position(10_000.0, 0.0, 0.0, 100.0, 50.0, 1.0)
    >>> preview.initial_margin_after, preview.maintenance_margin_after, preview.excess_liquidity_after
    (2500.0, 1250.0, 8749.0)
    """
    after = gross + (abs(held + signed) - abs(held)) * value
    return OrderPreview(
        initial_margin_before=round(gross * INITIAL_MARGIN, 6),
        initial_margin_after=round(after * INITIAL_MARGIN, 6),
        maintenance_margin_before=round(gross * MAINTENANCE_MARGIN, 6),
        maintenance_margin_after=round(after * MAINTENANCE_MARGIN, 6),
        equity_with_loan_before=round(equity, 6),
        equity_with_loan_after=round(equity - commission, 6),
        commission=commission,
    )
