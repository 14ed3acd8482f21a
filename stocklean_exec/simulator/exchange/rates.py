"""Exchange rates of a venue: units of the base currency per unit of each other currency.

That is the direction of TWS's ``ExchangeRate``: amount times rate is the amount in the base currency. TWS sends
seven decimals, so rates are kept with seven.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.simulator.scenarios.listings import is_currency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["RATE_DECIMALS", "SAMPLE_RATES", "Rates", "rate_text"]

RATE_DECIMALS = 7
"""Decimals of an exchange rate in a log of TWS: 0.8681062."""
_FEWEST_DECIMALS = 2  # the same log has 1.00 for the base currency
SAMPLE_RATES = {
    "USD": 1.0,
    "EUR": 1.06,
    "GBP": 1.2,
    "CHF": 1.08,
    "AUD": 0.68,
    "CAD": 0.74,
    "JPY": 0.0075,
    "HKD": 0.128,
    "SGD": 0.75,
    "SEK": 0.096,
}
"""US dollars per unit: round numbers of the size of late 2022, as the sample prices; used if none are given."""


def rate_text(rate: float) -> str:
    """A rate as TWS writes it: up to seven decimals, and two at least.

    Examples
    --------
    >>> rate_text(1), rate_text(0.729501), rate_text(0.86810624)
    ('1.00', '0.729501', '0.8681062')
    """
    whole, _, decimals = f"{rate:.{RATE_DECIMALS}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<{_FEWEST_DECIMALS}}"


class Rates:
    """Rates into ``base``, which change during a run.

    Parameters
    ----------
    base : base currency
    given : base currency per unit, by currency; empty for :data:`SAMPLE_RATES`

    Raises
    ------
    ValueError
        An invalid currency code, a rate that is not a number above 0, or one of the base currency other than 1.

    Examples
    --------
    >>> rates = Rates("GBP", {"USD": 0.8})
    >>> rates["USD"], rates["GBP"], list(rates)
    (0.8, 1.0, ['GBP', 'USD'])
    >>> Rates("CAD", {})["USD"]  # 1 / 0.74
    1.3513514
    """

    def __init__(self, base: str, given: Mapping[str, float]) -> None:
        self.base = base
        self._rates: dict[str, float] = {}
        self.change(base, 1.0)
        for currency, rate in (given or _sample(base)).items():
            self.change(currency, rate)

    def __getitem__(self, currency: str) -> float:
        return self._rates[currency]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rates)

    def change(self, currency: str, rate: float) -> None:
        """Set the rate of a currency."""
        if not is_currency(currency):
            raise ValueError(f"{currency!r} is not a currency code of three capital letters")
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"the exchange rate of {currency} is {rate!r}, not a number above 0")
        if currency == self.base and rate != 1:
            raise ValueError(f"the exchange rate of the base currency {currency} is 1, not {rate:g}")
        self._rates[currency] = round(rate, RATE_DECIMALS)
        if self._rates[currency] == 0:
            raise ValueError(f"the exchange rate of {currency}, {rate!r}, is 0 with {RATE_DECIMALS} decimals")

    def require(self, currencies: Iterable[str]) -> None:
        """Raise a ValueError that names every currency of ``currencies`` without a rate."""
        missing = sorted(set(currencies) - set(self._rates))
        if missing:
            raise ValueError(f"no exchange rate for {', '.join(missing)}: give {self.base} per unit in rates")


def _sample(base: str) -> dict[str, float]:
    if base not in SAMPLE_RATES:
        return {}
    return {currency: rate / SAMPLE_RATES[base] for currency, rate in SAMPLE_RATES.items() if currency != base}
