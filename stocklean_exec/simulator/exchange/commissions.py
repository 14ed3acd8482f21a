"""What the venue charges for an order, by the currency of its contract, in that currency.

US stocks pay the schedule of :mod:`stocklean_exec.fees`. The others are IBKR Pro's fixed rates for the main market
of each currency, without taxes and levies; a currency that is not listed pays like the euro markets, without a
minimum. Charged on the whole order, so that a minimum is due once and not for each partial fill.

Source: Interactive Brokers, "Commissions: Stocks", by country, fixed pricing, as known in 2026. The charge has
the right size and currency; it is no tariff to plan with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stocklean_exec.fees import IBKR_US_FIXED

__all__ = ["TARIFFS", "Tariff", "commission_on_total", "next_commission"]


@dataclass(frozen=True, slots=True)
class Tariff:
    """A commission for each order, per share and of its value; the maximum wins where it is below the minimum."""

    per_share: float = 0.0
    rate: float = 0.0
    minimum: float = 0.0
    maximum_rate: float = math.inf

    def on_total(self, quantity: float, value: float) -> float:
        """Commission of ``quantity`` shares with a total ``value``.

        Examples
        --------
        >>> TARIFFS["GBP"].on_total(1_000, 8_055.0), TARIFFS["CAD"].on_total(10, 40.0)
        (4.0275, 0.2)
        """
        if quantity <= 0:
            return 0.0
        charge = max(self.per_share * quantity + self.rate * value, self.minimum)
        return round(min(charge, self.maximum_rate * value), 6)


TARIFFS = {
    "CAD": Tariff(per_share=0.01, minimum=1.0, maximum_rate=0.005),
    "EUR": Tariff(rate=0.0005, minimum=3.0),
    "GBP": Tariff(rate=0.0005, minimum=3.0),
    "CHF": Tariff(rate=0.0005, minimum=5.0),
    "JPY": Tariff(rate=0.0008, minimum=80.0),
    "HKD": Tariff(rate=0.0008, minimum=18.0),
    "AUD": Tariff(rate=0.0008, minimum=6.0),
}
"""Charges by currency, in the currency."""
_OTHER = Tariff(rate=0.0005)


def commission_on_total(currency: str, quantity: float, value: float) -> float:
    """Commission of an order's fills so far, in ``currency``: ``quantity`` shares with a total ``value``."""
    if currency == "USD":
        return round(IBKR_US_FIXED.on_total(quantity, value), 6)
    return TARIFFS.get(currency, _OTHER).on_total(quantity, value)


def next_commission(currency: str, before: tuple[float, float], quantity: float, price: float) -> float:
    """Commission of one more execution of an order that has filled ``before``: (shares, value).

    Examples
    --------
    >>> next_commission("GBP", (0, 0.0), 100, 10.0), next_commission("GBP", (100, 1_000.0), 900, 10.0)
    (3.0, 2.0)
    """
    shares, value = before
    total = commission_on_total(currency, shares + quantity, value + quantity * price)
    return round(total - commission_on_total(currency, shares, value), 6)
