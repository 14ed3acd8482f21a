"""Commissions of US stocks and ETFs, by Interactive Brokers' published fixed-rate schedule.

Pure arithmetic. Amounts are in US dollars and positive, for buys and for sells. Exchange, SEC and FINRA
pass-through fees are not included.

Source: Interactive Brokers, "Commissions: Stocks, ETFs, Warrants and Structured Products", United States,
Fixed: USD 0.005 per share; minimum per order USD 1.00, for fractional shares USD 0.01; maximum per order 1 %
of trade value, which wins where it is below the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IBKR_US_FIXED", "FixedRateSchedule", "fixed_rate_commission"]


@dataclass(frozen=True, slots=True)
class FixedRateSchedule:
    """A per-share commission with a minimum and a maximum for each order.

    Parameters
    ----------
    per_share : currency per share
    minimum : currency per order
    fractional_minimum : currency per order, for an order of less than one share
    maximum_rate : fraction of trade value per order

    Examples
    --------
    The broker's three published examples:

    >>> IBKR_US_FIXED.order(100, 25.00), IBKR_US_FIXED.order(1_000, 25.00), IBKR_US_FIXED.order(1_000, 0.25)
    (1.0, 5.0, 2.5)
    """

    per_share: float
    minimum: float
    fractional_minimum: float
    maximum_rate: float

    def order(self, quantity: float, price: float) -> float:
        """Commission of one whole order of ``quantity`` shares at an average ``price``."""
        return self.on_total(quantity, quantity * price)

    def on_total(self, quantity: float, value: float) -> float:
        """Commission of the fills of one order so far: ``quantity`` shares with a total ``value``."""
        return float(fixed_rate_commission(self, quantity, value, larger=max, smaller=min, choose=_choose))

    def next_execution(self, before: tuple[float, float], quantity: float, price: float) -> float:
        """Commission of one more execution of an order that has already filled ``before``.

        ``before`` is (shares, value) so far. The increments of an order add up to :meth:`order`'s figure, so
        the minimum is charged once and not for each partial fill.

        Examples
        --------
        >>> first = IBKR_US_FIXED.next_execution((0, 0.0), 100, 25.00)
        >>> second = IBKR_US_FIXED.next_execution((100, 2_500.0), 900, 25.00)
        >>> first, second, first + second == IBKR_US_FIXED.order(1_000, 25.00)
        (1.0, 4.0, True)
        """
        shares, value = before
        total = self.on_total(shares + quantity, value + quantity * price)
        return round(total - self.on_total(shares, value), 6)


def fixed_rate_commission(
    rates: FixedRateSchedule,
    quantity: Any,  # noqa: ANN401 - a number, or an array of them
    value: Any,  # noqa: ANN401 - as quantity
    *,
    larger: Callable[[Any, Any], Any],
    smaller: Callable[[Any, Any], Any],
    choose: Callable[[Any, Any, Any], Any],
) -> Any:  # noqa: ANN401 - as quantity
    """The formula of a :class:`FixedRateSchedule`, for one order or for arrays of them.

    This module works without NumPy, because the simulator uses it; so the caller passes the three operations that
    differ between a number and an array.

    Parameters
    ----------
    rates : the schedule
    quantity : shares per order
    value : trade value per order, currency
    larger, smaller : ``max`` and ``min``, or ``np.maximum`` and ``np.minimum``
    choose : ``choose(condition, a, b)`` is ``a`` where the condition holds and else ``b``, as ``np.where``

    Returns
    -------
    Commission per order, currency; 0 for an order of no shares.
    """
    minimum = choose(quantity >= 1, rates.minimum, rates.fractional_minimum)
    commission = smaller(larger(rates.per_share * quantity, minimum), rates.maximum_rate * value)
    return choose(quantity <= 0, 0.0, commission)


def _choose(condition: bool, if_true: float, if_false: float) -> float:
    return if_true if condition else if_false


IBKR_US_FIXED = FixedRateSchedule(per_share=0.005, minimum=1.00, fractional_minimum=0.01, maximum_rate=0.01)
"""IBKR Pro, United States, fixed pricing."""
