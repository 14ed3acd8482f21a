"""State shared by all services of a venue: prices, trading hours, connections, counters and subscribers.

Services receive the context; a service references another one only where it calls it. The venue creates both.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.exchange.calendar import Calendar
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.currency_pairs import around, rate_from
from stocklean_exec.simulator.exchange.order_reports import OrderReports
from stocklean_exec.simulator.exchange.order_terms import OUTSIDE_TYPES
from stocklean_exec.simulator.scenarios.scenario import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stocklean_exec.simulator.clock import Clock
    from stocklean_exec.simulator.exchange.accounts import Account
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.contracts import Catalogue, Contract
    from stocklean_exec.simulator.exchange.ledger import Ledger
    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.rates import Rates
    from stocklean_exec.simulator.scenarios.options import Switches
    from stocklean_exec.simulator.scenarios.quotes import Market

__all__ = ["VenueContext"]

_SESSION = 23_400.0  # seconds: the six and a half hours of NYSE and Nasdaq


def _session(clock: Clock, switches: Switches) -> tuple[float, float] | None:
    """The session that the scenario counts from the start; None if it does not."""
    opens, closes = switches.open_in_seconds, switches.close_in_seconds
    if opens <= 0 and closes <= 0:
        return None
    return clock.started + max(opens, 0.0), clock.started + (closes if closes > 0 else opens + _SESSION)


class VenueContext:
    """State and helpers shared by the services of one venue.

    Parameters
    ----------
    market, catalogue, ledger, clock, rates : of the venue
    switches : options of the scenario; the venue's own copy
    seed : determines chances and synthetic numbers
    orders : order entries of a checked scenario

    Attributes
    ----------
    sessions : dict[int, Connection]
        Started connections by client id.
    link : bool
        Whether TWS is connected to IB.
    counts : Counter[str]
        Accepted orders, executions and requests so far.
    watchers, counters : list Callbacks: with a symbol when its quote changes, and with a name and a count when a
        counter increases.
    """

    def __init__(
        self,
        *,
        market: Market,
        catalogue: Catalogue,
        ledger: Ledger,
        clock: Clock,
        rates: Rates,
        switches: Switches,
        seed: int,
        orders: Iterable[dict[str, Any]] = (),
    ) -> None:
        self.market = market
        self.catalogue = catalogue
        self.ledger = ledger
        self.clock = clock
        self.rates = rates
        self.switches = switches
        self.seed = seed
        self.calendar = Calendar(switches.hours, _session(clock, switches))
        self.sessions: dict[int, Connection] = {}
        self.reports = OrderReports(self.sessions, switches)
        self.link = True
        self.counts: Counter[str] = Counter()
        self.watchers: list[Callable[[str], None]] = []
        self.counters: list[Callable[[str, int], None]] = []
        self._order_entries = [Entry(dict(one), seed, -n) for n, one in enumerate(orders, 1)]
        self._prices: dict[str, float] = {}

    # connections

    def disconnect(self, client_id: int | None, reason: str) -> None:
        """Close the connection of a client; None closes all."""
        for session in list(self.sessions.values()):
            if client_id is None or session.client_id == client_id:
                session.close(reason)

    def send_accounts(self, session: Connection) -> None:
        """Send managedAccounts."""
        session.send("managedAccounts", {"accounts": ",".join(self.ledger.visible)})

    def send_next_id(self, session: Connection) -> None:
        """Send nextValidId."""
        session.send("nextValidId", {"orderId": self.ledger.next_valid_id(session.client_id)})

    def broadcast(self, code: int, text: str) -> None:
        """Send a system message to all clients."""
        for session in list(self.sessions.values()):
            session.error(-1, code, text)

    # what scenarios count and select

    def count(self, name: str) -> None:
        """Increase the counter ``name``, which events may be triggered by."""
        self.counts[name] += 1
        for reached in self.counters:
            reached(name, self.counts[name])

    def scenario_entry(self, order: Order) -> dict[str, Any] | None:
        """The first scenario entry that applies to an order, or None."""
        attributes = order.attributes()
        applying = [entry for entry in self._order_entries if entry.applies_to(attributes)]
        return applying[0].data if applying else None

    # hours

    def is_open(self, order: Order) -> bool:
        """Whether an order may trade now."""
        if self.calendar.always or self.calendar.is_open(self.clock.now()):
            return True
        return order.request.outside_rth and order.request.order_type in OUTSIDE_TYPES

    @property
    def auction(self) -> bool:
        """Whether auction orders trade immediately: only on an exchange that never closes."""
        return self.calendar.always and self.switches.auctions == "at_once"

    # prices

    def move(self, symbol: str, **changes: float) -> None:
        """Change the quote of a symbol, or of a further listing by its key; orders and streams are updated."""
        if symbol not in self.market.symbols():
            self.catalogue.add(make_contract(symbol))
        self.market.move(symbol, **changes)
        if "last" in changes and symbol in self.market.last_times:
            self.market.last_times[symbol] = self.clock.now()
        contract = self.catalogue.by_key(symbol)
        if contract is not None and contract.is_pair:
            self._follow_pair(contract)
        self.market_moved(symbol)

    def _follow_pair(self, pair: Contract) -> None:
        """Set the exchange rate that a pair with the base currency shows."""
        found = rate_from(self.market[pair.key], pair.symbol, pair.currency, self.rates.base)
        if found is not None:
            self.rates.change(*found)

    def change_rate(self, currency: str, rate: float) -> None:
        """Change an exchange rate, and with it the quotes of the pairs of this currency."""
        self.rates.change(currency, rate)
        for pair in [one for one in self.catalogue.by_id.values() if one.is_pair]:
            if currency in {pair.symbol, pair.currency}:
                middle = self.rates[pair.symbol] / self.rates[pair.currency]
                quote = around(middle, pair.currency)
                self.market.move(pair.key, bid=quote.bid, ask=quote.ask)
                self.market_moved(pair.key)

    def market_moved(self, symbol: str) -> None:
        """Notify all watchers that the quote of ``symbol`` has changed."""
        self._prices.pop(symbol, None)
        for watch in self.watchers:
            watch(symbol)

    def price_of(self, symbol: str) -> float:
        """Valuation price in the unit of the quotes of ``symbol``.

        See :meth:`~stocklean_exec.simulator.scenarios.quotes.Market.price_of`.
        """
        return self.market.price_of(symbol)

    def prices(self) -> dict[str, float]:
        """Valuation prices by key, in money of each contract's currency."""
        missing = {key for key in self.market.symbols() if key not in self._prices}
        for contract in self.catalogue.by_id.values() if missing else ():
            if contract.key in missing:
                self._prices[contract.key] = contract.money(self.price_of(contract.key))
        return self._prices

    def values(self, account: Account) -> dict[str, str]:
        """All totals of an account by tag, in its base currency, after the settlements that are due."""
        account.settle(self.clock.now())
        return account.values(self.prices(), self.rates)

    def touch(self, order: Order) -> float:
        """The price at which an order would trade now: the far touch, capped by its limit."""
        quote, buys = self.market[order.contract.key], order.request.side == "BUY"
        side = quote.ask if buys else quote.bid
        touch = side if side > 0 else self.price_of(order.contract.key)
        if math.isnan(order.limit):
            return touch
        return min(touch, order.limit) if buys else max(touch, order.limit)
