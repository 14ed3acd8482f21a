"""Cash available for buys: cash at the start, minus what working buys may cost, plus the trades since then.

A buy is sent when the cash of the account covers what it may cost; sells that have not traded do not count. Cash
is the broker's figure at the start of the run. From then on the ledger here adds each execution and its
commission, because account values of TWS are up to three minutes old ("Account updates", TWS API documentation).
All runs that share a broker object share its ledger, so that two runs do not spend the same cash.

Amounts are in the base currency of the account.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.brokers.base import Broker, Ticket

__all__ = ["CashLedger", "Funding", "buy_cost", "cash_effect", "ledger_of"]

_HIGHEST = 1e9  # no share costs a billion: such a number is TWS's "not set" value, or corrupt data

_LEDGERS: weakref.WeakKeyDictionary[Broker, CashLedger] = weakref.WeakKeyDictionary()


def ledger_of(broker: Broker) -> CashLedger:
    """Return the ledger that all runs over ``broker`` share."""
    return _LEDGERS.setdefault(broker, CashLedger())


def cash_effect(ticket: Ticket, traded: float, value: float, commission: float) -> float:
    """Change of cash by the fills of an order so far, in the base currency.

    A commission that is not reported yet (NaN), or only partly, is estimated by the tariff of the market. So are
    its levies and taxes, which a broker may book later: the greater of estimate and report counts.

    Parameters
    ----------
    ticket : the order
    traded, value : shares, and their value at the traded prices, in the order's currency
    commission : reported so far, in the order's currency; NaN for none

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> terms = ("r", "SAP", "BUY", 100.0, "MKT", math.nan, "DAY", "EUR", "STK", "SMART", "DU1")
    >>> order = Ticket("r-SAP-BUY", *terms, fx_rate=1.25)
    >>> cash_effect(order, 100, 20_000.0, math.nan), cash_effect(order, 100, 20_000.0, 12.0)
    (-25012.5, -25015.0)
    """
    if traded <= 0:
        return 0.0
    reported = commission if commission == commission else 0.0  # noqa: PLR0124 - NaN
    fee = max(ticket.tariff.cost(ticket.side, traded, value), reported)
    return ((value if ticket.side == "SELL" else -value) - fee) * ticket.fx_rate


def buy_cost(ticket: Ticket, ask: float | None, last: float | None, decision_price: float) -> float:
    """What a buy may cost in the base currency, with its fees by the market's tariff; infinite without a price.

    Prices are in the order's currency. A limit order costs at most its limit. A market order counts at the ask,
    else at the last trade, else at its decision price.

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> terms = ("r", "SPY", "BUY", 100.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    >>> buy_cost(Ticket("r-SPY-BUY", *terms), 25.0, None, 24.0)
    2501.0
    """
    if not math.isnan(ticket.limit_price):
        price: float | None = ticket.limit_price
    else:
        price = next((one for one in (ask, last, decision_price) if _is_price(one)), None)
    if price is None:
        return math.inf
    value = ticket.quantity * price
    return (value + ticket.tariff.cost("BUY", ticket.quantity, value)) * ticket.fx_rate


def _is_price(value: float | None) -> bool:
    return value is not None and 0 < value < _HIGHEST


@dataclass(slots=True)
class CashLedger:
    """Trades of the runs over one broker, and what their working buys may still cost.

    ``flows`` is the sum of all cash effects so far, ``reserved`` the cost of each buy that was sent and has not
    ended, minus its fills.
    """

    flows: float = 0.0
    reserved: dict[str, float] = field(default_factory=dict)
    _effects: dict[str, float] = field(default_factory=dict)
    _costs: dict[str, float] = field(default_factory=dict)

    def reserve(self, name: str, cost: float) -> None:
        """Reserve what a buy that is about to be sent may cost."""
        self._costs[name] = cost
        self.reserved[name] = max(cost + self._effects.get(name, 0.0), 0.0)

    def release(self, names: Iterable[str]) -> None:
        """Release the cash reserved for orders that were not sent, or have ended."""
        for name in names:
            self.reserved.pop(name, None)

    def note(self, name: str, effect: float, *, has_ended: bool) -> None:
        """Count the fills of an order so far; the latest figure replaces the previous one."""
        self.flows += effect - self._effects.get(name, 0.0)
        self._effects[name] = effect
        if has_ended:
            self.reserved.pop(name, None)
        elif name in self.reserved:
            self.reserved[name] = max(self._costs[name] + effect, 0.0)


class Funding:
    """The cash that one run may spend.

    Parameters
    ----------
    ledger : of the broker
    cash : in the account, as the broker reports it
    counted : the part of the ledger's flows that is in ``cash`` already
    min_cash : cash to keep
    elsewhere : what working buys outside the ledger may cost; infinite without a price, and then nothing is funded
    """

    def __init__(
        self, ledger: CashLedger, *, cash: float, counted: float, min_cash: float, elsewhere: float
    ) -> None:
        self.ledger = ledger
        self._base = cash - counted - min_cash - elsewhere

    @property
    def available(self) -> float:
        """Cash available for further buys."""
        return self._base + self.ledger.flows - math.fsum(self.ledger.reserved.values())
