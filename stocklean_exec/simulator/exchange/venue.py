"""The venue: the state shared by all sessions, and the dispatch of their requests.

It creates the parts (ledger, market, clock, services), registers and removes sessions, and runs the events of a
scenario. It has no socket and no thread: it runs when a session passes a request, or when its clock is advanced.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.simulator.clock import DEFAULT_START, Clock, local_time, parse_instant
from stocklean_exec.simulator.exchange.account_service import AccountService
from stocklean_exec.simulator.exchange.accounts import KINDS, Account, Position
from stocklean_exec.simulator.exchange.contracts import Catalogue, listed_contract, make_contract
from stocklean_exec.simulator.exchange.currency_pairs import pair_listings, rate_from
from stocklean_exec.simulator.exchange.dispatch import handlers, refusal_of
from stocklean_exec.simulator.exchange.journal import Journal
from stocklean_exec.simulator.exchange.ledger import Ledger
from stocklean_exec.simulator.exchange.market_data_service import MarketDataService
from stocklean_exec.simulator.exchange.order_amendments import OrderAmendments
from stocklean_exec.simulator.exchange.order_entry import OrderEntry
from stocklean_exec.simulator.exchange.order_queries import OrderQueries
from stocklean_exec.simulator.exchange.persistence import StateFile
from stocklean_exec.simulator.exchange.rates import Rates
from stocklean_exec.simulator.exchange.scheduled_events import ScenarioEvents
from stocklean_exec.simulator.exchange.trading import TradingService
from stocklean_exec.simulator.exchange.venue_context import VenueContext
from stocklean_exec.simulator.protocol.field_layouts import MAX_VERSION, MIN_VERSION
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.scenarios.faults import FaultPlan
from stocklean_exec.simulator.scenarios.listings import Listing, read_listings
from stocklean_exec.simulator.scenarios.quotes import Market, sample_closes, synthetic_quote
from stocklean_exec.simulator.scenarios.scenario import load_scenario
from stocklean_exec.simulator.settings import Settings

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.protocol.requests import Request

__all__ = ["Venue"]

_DAY = 86_400.0  # seconds
_SETTLEMENT_DAYS = (0, 1, 2)  # at once, as in some accounts; T+1 and T+2 of the markets
_ORDER_REQUESTS = frozenset({"placeOrder", "cancelOrder", "reqGlobalCancel"})
_FARMS = (  # what TWS sends after each connection (captured)
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
_VIOLATIONS_TO_CLOSE = 3  # TWS API documentation, "Pacing": the third violation ends the connection


class Venue:
    """One simulated TWS, including the exchange behind it.

    Parameters
    ----------
    settings : initial settings

    Raises
    ------
    ValueError
        When the settings are invalid: quotes, scenario, state or versions (the text gives the reason).
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        if not MIN_VERSION <= self.settings.server_version <= MAX_VERSION:
            raise ValueError(
                f"server version {self.settings.server_version} is not {MIN_VERSION} to {MAX_VERSION}"
            )
        if not self.settings.accounts:
            raise ValueError("a venue needs at least one account")
        if self.settings.account_kind not in KINDS:
            raise ValueError(f"account_kind is {self.settings.account_kind!r}, not {' or '.join(KINDS)}")
        if self.settings.settlement_days not in _SETTLEMENT_DAYS:
            raise ValueError(f"settlement_days is {self.settings.settlement_days!r}, not 0, 1 or 2")
        self.server_version = self.settings.server_version
        self.seed = self.settings.seed
        scenario = load_scenario(self.settings.scenario)
        self.switches = replace(scenario.switches)
        self.faults = FaultPlan(scenario.faults, self.seed)
        self.rates = Rates(self.settings.base_currency, self.settings.rates)
        listings = self._with_pairs(self._opening_listings(scenario.quotes))
        self.market = Market({one.key: one.quote for one in listings})
        self.market.last_times |= {one.key: one.last_time for one in listings if not math.isnan(one.last_time)}
        self.market.halted |= {one.key: one.halted for one in listings if one.halted is not None}
        for one in listings:
            prints = {"open": one.opening_print, "close": one.closing_print}
            self.market.prints |= {(one.key, name): price for name, price in prints.items() if price > 0}
        self.catalogue = Catalogue(listed_contract(one) for one in listings)
        self.ledger = self._open_ledger()
        try:
            self._check_currencies()
        except ValueError:
            self.ledger.close()
            raise
        step = self.switches.request_seconds
        self.clock = Clock(self.settings.clock, start=self._first_instant(), step=step)
        self.context = VenueContext(
            market=self.market,
            catalogue=self.catalogue,
            ledger=self.ledger,
            clock=self.clock,
            rates=self.rates,
            switches=self.switches,
            seed=self.seed,
            orders=scenario.orders,
        )
        self.sessions = self.context.sessions
        self.counts = self.context.counts
        self.dirty: set[Connection] = set()
        self.failures: list[str] = []
        self._waiting: list[tuple[Connection, Request | OrderRequest]] = []
        self._running = False
        self._restarting_until = 0.0
        self._queued = 0
        self._generation = 0
        self._start_services()
        self.roll_day()
        self.events = ScenarioEvents(
            self, self.context, self.trading, self.order_entry, self.amendments, scenario.events
        )
        self.context.counters.append(self.events.on_count)
        for order in list(self.ledger.active.values()):
            self.trading.resume(order)

    def _start_services(self) -> None:
        context = self.context
        self.account_service = AccountService(context)
        self.trading = TradingService(context, self.account_service)
        self.amendments = OrderAmendments(context, self.trading)
        self.order_entry = OrderEntry(context, self.trading, self.amendments, self.account_service)
        self.queries = OrderQueries(context, self.amendments)
        self.market_data = MarketDataService(context)
        context.watchers += [self.market_data.market_moved, self.trading.market_moved]
        self._handlers = handlers(context, self.account_service, self.queries, self.market_data, self.amendments)

    # initial state

    def _opening_listings(self, rows: tuple[dict[str, Any], ...]) -> list[Listing]:
        if self.settings.quotes is not None:
            listings = read_listings(self.settings.quotes)
        else:
            closes = sample_closes()
            quotes = {symbol: synthetic_quote(symbol, close, self.seed) for symbol, close in closes.items()}
            listings = read_listings(quotes)
        return read_listings(rows, listings)

    def _with_pairs(self, listings: list[Listing]) -> list[Listing]:
        """The listings, and a pair for every two currencies of the settings; listed pairs set rates not given."""
        base, cash, given = self.settings.base_currency, self.settings.cash, self.settings.rates
        for one in listings:
            found = rate_from(one.quote, one.symbol, one.currency, base) if one.sec_type == "CASH" else None
            if found is not None and found[0] not in given:
                self.rates.change(*found)
        used = {base, *given, *(cash if isinstance(cash, Mapping) else ()), *(one.currency for one in listings)}
        return [*listings, *pair_listings(self.rates, used & set(self.rates), listings)]

    def _open_ledger(self) -> Ledger:
        accounts = [self._new_account(name) for name in self.settings.accounts]
        for symbol, given in self.settings.positions.items():
            known = self.catalogue.by_key(symbol)
            if known is None and isinstance(symbol, int):
                raise ValueError(f"a position is in contract {symbol}, which the quotes do not list")
            contract = known or make_contract(str(symbol))
            self.catalogue.add(contract)
            value = contract.money(self.market.price_of(contract.key))
            shares, cost = given if isinstance(given, tuple | list) else (given, value)
            held = Position(contract.key, float(shares), float(cost), currency=contract.currency)
            accounts[0].positions[contract.con_id] = held
        state = StateFile(self.settings.state) if self.settings.state is not None else None
        present = Clock(self.settings.clock)
        started_at = present.started if present.is_real_time else None
        ledger = Ledger(
            accounts,
            self.seed,
            Journal(self.settings.journal),
            state,
            rates=self.rates,
            settlement_days=self.settings.settlement_days,
            started_at=started_at,
        )
        if state is not None and not state.table("accounts"):
            ledger.save_opening()
        for order in ledger.orders.values():
            self.catalogue.add(order.contract)
        return ledger

    def _new_account(self, name: str) -> Account:
        base, given = self.settings.base_currency, self.settings.cash
        balances = dict(given) if isinstance(given, Mapping) else {base: given}
        if not all(math.isfinite(amount) for amount in balances.values()):
            raise ValueError(f"cash {given!r} is not an amount of money")
        foreign = {currency: float(amount) for currency, amount in balances.items() if currency != base}
        return Account(
            name, float(balances.get(base, 0.0)), base, foreign=foreign, kind=self.settings.account_kind
        )

    def _check_currencies(self) -> None:
        for account in self.ledger.accounts.values():
            if account.currency != self.rates.base:
                text = f"the base currency of account {account.name} in the state is {account.currency}"
                raise ValueError(f"{text}, not {self.rates.base}")
            self.rates.require(account.currencies())
        contracts = self.catalogue.by_id.values()
        self.rates.require(one.currency for one in contracts)
        self.rates.require(one.symbol for one in contracts if one.is_pair)

    def _first_instant(self) -> float:
        start = self.settings.start
        if isinstance(start, str):
            start = parse_instant(start, self.switches.time_zone)
        return max(DEFAULT_START if start is None else start, self.ledger.latest() + 1.0)

    # sessions

    def join(self, session: Connection) -> None:
        """Register a session that sent START_API."""
        if session.client_id in self.sessions:
            self._refuse(session)
            return
        self.sessions[session.client_id] = session
        if self.switches.unsolicited_open_orders:
            self.queries.push_open_orders(session)
        steps = [self.context.send_accounts, self.context.send_next_id]
        for step in steps if self.switches.start_order == "accounts" else steps[::-1]:
            step(session)
        for code, text in _FARMS if self.switches.farm_messages else ():
            session.error(-1, code, text)
        self.run_until_idle()

    def _refuse(self, session: Connection) -> None:
        self._advance_one_second()
        taken, session.client_id = session.client_id, -1
        if self.switches.client_id_in_use == "326":
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            session.error(-1, 326, text)
        session.close(f"client id {taken} is in use")

    def is_down(self) -> bool:
        """Whether TWS is restarting and accepts no connections."""
        down = self.clock.now() < self._restarting_until
        if down:
            self._advance_one_second()
        return down

    def _advance_one_second(self) -> None:
        # A client that retries must eventually connect, also on a clock that advances with requests only.
        if self.clock.mode == "virtual":
            self.clock.advance(1.0)

    def leave(self, session: Connection) -> None:
        """Remove a closed session. Its orders stay open, and its queued requests are still processed."""
        drained = not session.pending or self.switches.client_id_free == "eof"
        if drained and self.sessions.get(session.client_id) is session:
            linger = self.switches.client_id_linger
            if linger > 0:
                self.clock.schedule(linger, lambda: self._free(session), work=False)
            else:
                self._free(session)
        self.dirty.add(session)

    def _free(self, session: Connection) -> None:
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]

    def restart(self, seconds: float = 0.0, *, lose: bool = False) -> None:
        """Close all connections and refuse new ones for ``seconds``; ``lose`` drops queued requests."""
        if lose:
            self._generation += 1
            self._waiting.clear()
        self._restarting_until = self.clock.now() + seconds
        self.context.disconnect(None, "TWS restarts")

    # requests

    def admit(self, session: Connection, request: Request | OrderRequest) -> None:
        """Process a request now, or queue it behind the pending requests of its connection."""
        if isinstance(request, OrderRequest) and self.switches.next_valid_id == "received":
            self.ledger.receive_id(session.client_id, request.order_id)
        seconds, jitter = self.switches.queue_seconds, self.switches.queue_jitter
        if request.kind == "startApi" or not (seconds or jitter or session.pending):
            session.perform(request)
            return
        self._queued += 1
        delay = seconds + jitter * unit_interval(self.seed, "queue", self._queued)
        session.ready_at = max(session.ready_at, self.clock.now()) + delay
        self.postpone(session, request, session.ready_at)

    def postpone(self, session: Connection, request: Request | OrderRequest, at: float) -> None:
        """Process a request at a later time, even if its connection is closed by then."""
        session.pending += 1
        self.clock.schedule_at(at, partial(self._process, session, request, self._generation))
        self.run_until_idle()

    def _process(self, session: Connection, request: Request | OrderRequest, life: int) -> None:
        session.pending -= 1
        if life == self._generation:
            session.perform(request)
        if session.closed and not session.pending:
            self.leave(session)

    def handle(self, session: Connection, request: Request | OrderRequest) -> None:
        """Process a request of a started session. Never raises: a failure is stored and answered by error 322."""
        self.clock.tick()
        self.context.count("requests")
        if self._violates_pacing(session):
            return
        if not self.context.link and request.kind in _ORDER_REQUESTS and not self._creates_twin(session, request):
            self._waiting.append((session, request))
            self.run_until_idle()
            return
        try:
            self._dispatch(session, request)
        except Exception:  # noqa: BLE001 - one client's request must not take the venue down
            self.failures.append(traceback.format_exc())
            session.notes.append(f"{request.kind} failed: {traceback.format_exc(limit=-1)}")
            session.error(request.req_id, 322, "Error processing request.")
        self.run_until_idle()

    def _creates_twin(self, session: Connection, request: Request | OrderRequest) -> bool:
        known = self.ledger.find(session.client_id, request.req_id)
        return self.switches.double_orders and known is not None and request.kind == "placeOrder"

    def _dispatch(self, session: Connection, request: Request | OrderRequest) -> None:
        if isinstance(request, OrderRequest):
            self.order_entry.place(session, request)
            return
        handler = self._handlers.get(request.kind)
        if handler is not None:
            handler(session, request)
        else:
            session.error(request.req_id, *refusal_of(request.kind))

    def _violates_pacing(self, session: Connection) -> bool:
        if self.switches.pacing == "off":
            return False
        now, recent = self.clock.now(), session.recent
        recent.append(now)
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) <= self.switches.pacing_limit:
            return False
        recent.clear()
        session.violations += 1
        session.error(-1, 100, "Max rate of messages per second has been exceeded.")
        if session.violations >= _VIOLATIONS_TO_CLOSE:
            session.close("too many messages in a second, three times")
        return True

    def run_until_idle(self) -> None:
        """Run all due events, then save the ledger and send the replies."""
        if self._running:
            return
        self._running = True
        try:
            self.events.run_pending()
            self.clock.run_due()
            self.events.run_pending()
        except Exception:  # noqa: BLE001 - a failing event must not take the venue down
            self.failures.append(traceback.format_exc())
        finally:
            self._running = False
        self.ledger.save()
        for session in list(self.sessions.values()):
            session.flush()

    # time and link

    def roll_day(self) -> None:
        """Start a new day at the last midnight in the time zone of the login."""
        now = self.clock.now()
        local = local_time(now, self.switches.time_zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        self.ledger.roll_day(midnight)
        self.clock.schedule_at(midnight + _DAY, self.roll_day, work=False)

    def set_link(self, *, up: bool, deliver: bool = True) -> None:
        """Set the link between TWS and IB; order requests sent while it is down are queued."""
        self.context.link = up
        if not up:
            self.context.reports.queue_messages()
            return
        self.context.reports.release(deliver=deliver)
        self.account_service.catch_up(deliver=deliver)
        waiting, self._waiting = self._waiting, []
        for session, request in waiting:
            session.perform(request)

    def disconnect(self, client_id: int | None, reason: str) -> None:
        """Close the connection of a client; None closes all."""
        self.context.disconnect(client_id, reason)

    def broadcast(self, code: int, text: str) -> None:
        """Send a system message to all clients."""
        self.context.broadcast(code, text)

    def move(self, symbol: str, **changes: float) -> None:
        """Change the quote of a symbol; open orders and market data streams are updated."""
        self.context.move(symbol, **changes)

    def rename_accounts(self, names: list[str], *, announce: bool = True) -> None:
        """Change the accounts of the login: new ones open with the default cash, old ones stay in the ledger."""
        for name in names:
            if name not in self.ledger.accounts:
                self.account_service.open_account(self._new_account(name))
        self.ledger.visible = tuple(names)
        for session in list(self.sessions.values()) if announce else ():
            self.context.send_accounts(session)

    def close(self) -> None:
        """Close all connections, the journal and the state file."""
        self.context.disconnect(None, "the venue closes")
        self.ledger.close()
