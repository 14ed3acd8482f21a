"""Commissions and levies of orders of stocks and ETFs: the formulas of a tariff.

Pure arithmetic, without NumPy, because the simulator uses it. Amounts are positive, for buys and for sells, and in
the currency of the order. Which tariff holds for an order is in :mod:`~stocklean_exec.tariff_table`.

Source of :data:`IBKR_US_FIXED`: Interactive Brokers, "Commissions: Stocks, ETFs, Warrants and Structured
Products", United States, Fixed: USD 0.005 per share; minimum per order USD 1.00, for fractional shares USD 0.01;
maximum per order 1 % of trade value, which wins where it is below the minimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IBKR_US_FIXED", "FixedRateSchedule", "Tariff", "tariff_commission", "tariff_levies"]

NO_MAXIMUM_RATE = 1e9
"""Maximum rate of a tariff without one. Finite, because infinity times a value of 0 is not a number."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the orders of one market cost, from one day on. Amounts are in ``currency``.

    The commission of an order is ``per_share`` x shares + ``rate_of_value`` x value, raised to the minimum, then
    lowered to the maximum. Levies and taxes come on top.

    Parameters
    ----------
    market, currency : name of the market, and the currency of its orders
    effective_from : first day on which the row holds
    exchanges : codes of ``exchange`` of orders that are sent to a venue directly; ``SMART`` orders have none
    primary_exchanges : codes of the listings of this market
    per_share : per share
    rate_of_value : fraction of trade value
    minimum, fractional_minimum : per order; the second for an order of less than one share
    maximum : per order
    maximum_rate : fraction of trade value per order; wins where it is below the minimum
    buy_per_share, sell_per_share : levy per share
    buy_per_share_cap, sell_per_share_cap : maximum of that levy per order
    buy_rate, sell_rate : levies and taxes as a fraction of trade value
    order_levy, order_levy_above : levy per order of either side, due if its value is above the second
    source, note : where the rates come from, and what is not certain

    Examples
    --------
    >>> london = Tariff("LSE", "GBP", rate_of_value=0.0005, minimum=3.0, fractional_minimum=3.0, buy_rate=0.005)
    >>> london.commission(100, 1_000.0), london.levies("BUY", 100, 1_000.0), london.cost("SELL", 100, 1_000.0)
    (3.0, 5.0, 3.0)
    """

    market: str
    currency: str
    effective_from: date = date.min
    exchanges: tuple[str, ...] = ()
    primary_exchanges: tuple[str, ...] = ()
    per_share: float = 0.0
    rate_of_value: float = 0.0
    minimum: float = 0.0
    fractional_minimum: float = 0.0
    maximum: float = math.inf
    maximum_rate: float = NO_MAXIMUM_RATE
    buy_per_share: float = 0.0
    buy_per_share_cap: float = math.inf
    buy_rate: float = 0.0
    sell_per_share: float = 0.0
    sell_per_share_cap: float = math.inf
    sell_rate: float = 0.0
    order_levy: float = 0.0
    order_levy_above: float = 0.0
    source: str = ""
    note: str = ""

    def commission(self, quantity: float, value: float) -> float:
        """Commission of ``quantity`` shares of one order with a total ``value``; levies are not included."""
        return float(tariff_commission(self, quantity, value, larger=max, smaller=min, choose=_choose))

    def levies(self, side: str, quantity: float, value: float) -> float:
        """Levies and taxes of ``quantity`` shares of one order with a total ``value``; ``side`` BUY or SELL."""
        return float(tariff_levies(self, quantity, value, buy=side == "BUY", smaller=min, choose=_choose))

    def cost(self, side: str, quantity: float, value: float) -> float:
        """Commission, levies and taxes of ``quantity`` shares of one order with a total ``value``."""
        return self.commission(quantity, value) + self.levies(side, quantity, value)

    def next_execution(self, before: tuple[float, float], quantity: float, price: float) -> float:
        """Commission of one more execution of an order that has already filled ``before``; no levies.

        As :meth:`FixedRateSchedule.next_execution`.
        """
        shares, value = before
        total = self.commission(shares + quantity, value + quantity * price)
        return round(total - self.commission(shares, value), 6)


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
        """Commission of one complete order of ``quantity`` shares at an average ``price``."""
        return self.on_total(quantity, quantity * price)

    def on_total(self, quantity: float, value: float) -> float:
        """Commission of the fills of one order so far: ``quantity`` shares with a total ``value``."""
        return self._tariff().commission(quantity, value)

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
        return self._tariff().next_execution(before, quantity, price)

    def _tariff(self) -> Tariff:
        return Tariff(
            "US",
            "USD",
            per_share=self.per_share,
            minimum=self.minimum,
            fractional_minimum=self.fractional_minimum,
            maximum_rate=self.maximum_rate,
        )


def tariff_commission(
    tariff: Tariff,
    quantity: Any,  # noqa: ANN401 - a number, or an array of them
    value: Any,  # noqa: ANN401 - as quantity
    *,
    larger: Callable[[Any, Any], Any],
    smaller: Callable[[Any, Any], Any],
    choose: Callable[[Any, Any, Any], Any],
) -> Any:  # noqa: ANN401 - as quantity
    """The commission by a :class:`Tariff`, for one order or for arrays of them.

    This module works without NumPy; so the caller passes the three operations that differ between a number and an
    array.

    Parameters
    ----------
    tariff : of all of the orders
    quantity : shares per order
    value : trade value per order, currency of the tariff
    larger, smaller : ``max`` and ``min``, or ``np.maximum`` and ``np.minimum``
    choose : ``choose(condition, a, b)`` is ``a`` where the condition holds and else ``b``, as ``np.where``

    Returns
    -------
    Commission per order, currency; 0 for an order of no shares.
    """
    minimum = choose(quantity >= 1, tariff.minimum, tariff.fractional_minimum)
    commission = larger(tariff.per_share * quantity + tariff.rate_of_value * value, minimum)
    commission = smaller(smaller(commission, tariff.maximum), tariff.maximum_rate * value)
    return choose(quantity <= 0, 0.0, commission)


def tariff_levies(
    tariff: Tariff,
    quantity: Any,  # noqa: ANN401 - a number, or an array of them
    value: Any,  # noqa: ANN401 - as quantity
    *,
    buy: Any,  # noqa: ANN401 - as quantity
    smaller: Callable[[Any, Any], Any],
    choose: Callable[[Any, Any, Any], Any],
) -> Any:  # noqa: ANN401 - as quantity
    """The levies and taxes by a :class:`Tariff`, for one order or for arrays of them.

    Parameters
    ----------
    buy : True for buys
    tariff, quantity, value, smaller, choose : as in :func:`tariff_commission`

    Returns
    -------
    Levies per order, currency; 0 for an order of no shares.
    """
    bought = smaller(tariff.buy_per_share * quantity, tariff.buy_per_share_cap) + tariff.buy_rate * value
    sold = smaller(tariff.sell_per_share * quantity, tariff.sell_per_share_cap) + tariff.sell_rate * value
    per_order = choose(value > tariff.order_levy_above, tariff.order_levy, 0.0)
    return choose(quantity <= 0, 0.0, choose(buy, bought, sold) + per_order)


def _choose(condition: bool, if_true: float, if_false: float) -> float:
    return if_true if condition else if_false


IBKR_US_FIXED = FixedRateSchedule(per_share=0.005, minimum=1.00, fractional_minimum=0.01, maximum_rate=0.01)
"""IBKR Pro, United States, fixed pricing: commissions alone."""
