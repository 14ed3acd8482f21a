"""Commissions of US stocks and ETFs, by Interactive Brokers' published fixed-rate schedule.

Pure arithmetic. Amounts are in US dollars and positive, for buys and for sells. Exchange, SEC and FINRA
pass-through fees are not part of it.

Source: Interactive Brokers, "Commissions: Stocks, ETFs, Warrants and Structured Products", United States,
Fixed: USD 0.005 per share; minimum per order USD 1.00, for fractional shares USD 0.01; maximum per order 1 %
of trade value, which wins where it is below the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IBKR_US_FIXED", "FixedRateSchedule"]


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
    The three cases that the broker itself publishes:

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
        """Commission of all that an order has traded so far: ``quantity`` shares worth ``value``."""
        if quantity <= 0:
            return 0.0
        minimum = self.minimum if quantity >= 1 else self.fractional_minimum
        return min(max(self.per_share * quantity, minimum), self.maximum_rate * value)

    def next_execution(self, before: tuple[float, float], quantity: float, price: float) -> float:
        """Commission of one more execution of an order that has already traded ``before``.

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


IBKR_US_FIXED = FixedRateSchedule(per_share=0.005, minimum=1.00, fractional_minimum=0.01, maximum_rate=0.01)
"""IBKR Pro, United States, fixed pricing."""
