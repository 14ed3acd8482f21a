"""The venue: everything that all sessions share, and the table of who answers which request.

It puts the parts together (book, market, clock, desks), lets sessions join and leave, and carries out the
events of a scenario. It has no socket and no thread: it runs when a session feeds it or when somebody lets
the clock run.
"""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.simulator.accounts import Account, Position
from stocklean_exec.simulator.accounts_desk import AccountsDesk
from stocklean_exec.simulator.book import Book
from stocklean_exec.simulator.calendar import Calendar
from stocklean_exec.simulator.changes import ChangesDesk
from stocklean_exec.simulator.clock import DEFAULT_START, Clock, local_time, parse_instant
from stocklean_exec.simulator.contracts import Catalogue, make_contract
from stocklean_exec.simulator.data_desk import DataDesk
from stocklean_exec.simulator.dispatch import handlers, refusal_of
from stocklean_exec.simulator.events import Events
from stocklean_exec.simulator.faults import FaultPlan
from stocklean_exec.simulator.herald import Herald
from stocklean_exec.simulator.intake import IntakeDesk
from stocklean_exec.simulator.journal import Journal
from stocklean_exec.simulator.layouts import MAX_VERSION, MIN_VERSION
from stocklean_exec.simulator.market import Market, read_quotes, sample_closes, synthetic_quote
from stocklean_exec.simulator.order_request import OrderRequest
from stocklean_exec.simulator.queries import QueriesDesk
from stocklean_exec.simulator.scenario import Entry, load_scenario
from stocklean_exec.simulator.settings import Settings
from stocklean_exec.simulator.state import StateFile
from stocklean_exec.simulator.trading import TradingDesk

if TYPE_CHECKING:
    from stocklean_exec.fill_model import Quote
    from stocklean_exec.simulator.orders import Order
    from stocklean_exec.simulator.requests import Request
    from stocklean_exec.simulator.session import Session

__all__ = ["Venue"]

_DAY = 86_400.0
_ORDER_REQUESTS = frozenset({"placeOrder", "cancelOrder", "reqGlobalCancel"})
_FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
_ENDS_SESSION = 3


class Venue:
    """One simulated TWS with everything behind it.

    Parameters
    ----------
    settings : what it starts with

    Raises
    ------
    ValueError
        When the settings cannot be used: quotes, scenario, state or versions (the text says what is wrong).
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        if not MIN_VERSION <= self.settings.server_version <= MAX_VERSION:
            raise ValueError(
                f"server version {self.settings.server_version} is not {MIN_VERSION} to {MAX_VERSION}"
            )
        if not self.settings.accounts:
            raise ValueError("a venue needs at least one account")
        self.server_version = self.settings.server_version
        self.seed = self.settings.seed
        scenario = load_scenario(self.settings.scenario)
        self.switches = replace(scenario.switches)
        self.faults = FaultPlan(scenario.faults, self.seed)
        self._order_entries = [Entry(dict(one), self.seed, -n) for n, one in enumerate(scenario.orders, 1)]
        quotes = self._opening_quotes(scenario.quotes)
        self.market = Market(quotes)
        self.catalogue = Catalogue(make_contract(symbol) for symbol in quotes)
        self._prices: dict[str, float] = {}
        self.book = self._open_book()
        step = self.switches.request_seconds
        self.clock = Clock(self.settings.clock, start=self._first_instant(), step=step)
        self.calendar = Calendar(self.switches.hours)
        self.sessions: dict[int, Session] = {}
        self.dirty: set[Session] = set()
        self.failures: list[str] = []
        self.link = True
        self.counts: Counter[str] = Counter()
        self._waiting: list[tuple[Session, Request | OrderRequest]] = []
        self._settling = False
        self._down_until = 0.0
        self._queued = 0
        self._life = 0
        self.herald = Herald(self.sessions, self.switches)
        self.trading = TradingDesk(self)
        self.intake = IntakeDesk(self)
        self.changes = ChangesDesk(self)
        self.accounts_desk = AccountsDesk(self)
        self.queries = QueriesDesk(self)
        self.data = DataDesk(self)
        self._handlers = handlers(self)
        self._opening_values = {n: a.net_liquidation(self.prices()) for n, a in self.book.accounts.items()}
        self.roll_day()
        self.events = Events(self, scenario.events)

    # what it starts with

    def _opening_quotes(self, rows: tuple[dict[str, Any], ...]) -> dict[str, Quote]:
        if self.settings.quotes is not None:
            quotes = read_quotes(self.settings.quotes)
        else:
            closes = sample_closes()
            quotes = {symbol: synthetic_quote(symbol, close, self.seed) for symbol, close in closes.items()}
        return quotes | (read_quotes(rows) if rows else {})

    def _open_book(self) -> Book:
        accounts = [Account(name, self.settings.cash) for name in self.settings.accounts]
        for symbol, given in self.settings.positions.items():
            shares, cost = given if isinstance(given, tuple | list) else (given, self.price_of(symbol))
            contract = make_contract(symbol)
            self.catalogue.add(contract)
            accounts[0].positions[contract.con_id] = Position(symbol, float(shares), float(cost))
        state = StateFile(self.settings.state) if self.settings.state is not None else None
        present = Clock(self.settings.clock)
        born = present.started if present.flows else None
        book = Book(accounts, self.seed, Journal(self.settings.journal), state, born=born)
        if state is not None and not state.table("accounts"):
            book.keep_opening()
        for order in book.orders.values():
            self.catalogue.add(order.contract)
        return book

    def _first_instant(self) -> float:
        start = self.settings.start
        if isinstance(start, str):
            start = parse_instant(start, self.switches.time_zone)
        return max(DEFAULT_START if start is None else start, self.book.latest() + 1.0)

    # sessions

    def join(self, session: Session) -> None:
        """A session has sent START_API."""
        if session.client_id in self.sessions:
            self._refuse(session)
            return
        self.sessions[session.client_id] = session
        if self.switches.unsolicited_open_orders:
            self.queries.push_open_orders(session)
        steps = [self.tell_accounts, self.tell_next_id]
        for step in steps if self.switches.start_order == "accounts" else steps[::-1]:
            step(session)
        for code, text in _FARMS if self.switches.farm_messages else ():
            session.error(-1, code, text)
        self.settle()

    def _refuse(self, session: Session) -> None:
        self._pass_a_second()
        taken, session.client_id = session.client_id, -1
        if self.switches.client_id_in_use == "326":
            why = "Unable to connect as the client id is already in use. Retry with a unique client id."
            session.error(-1, 326, why)
        session.close(f"client id {taken} is in use")

    def is_down(self) -> bool:
        """Whether TWS restarts just now, so that nobody can connect."""
        down = self.clock.now() < self._down_until
        if down:
            self._pass_a_second()
        return down

    def _pass_a_second(self) -> None:
        # Who tries again and again must get in at last, also where time passes by requests alone.
        if self.clock.mode == "virtual":
            self.clock.advance(1.0)

    def leave(self, session: Session) -> None:
        """A session is over. Its orders live on, and what it has sent is still worked."""
        drained = not session.pending or self.switches.client_id_free == "eof"
        if drained and self.sessions.get(session.client_id) is session:
            linger = self.switches.client_id_linger
            if linger > 0:
                self.clock.schedule(linger, lambda: self._free(session), work=False)
            else:
                self._free(session)
        self.dirty.add(session)

    def _free(self, session: Session) -> None:
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]

    def disconnect(self, client_id: int | None, reason: str) -> None:
        """Close the connection of a client, or all of them."""
        for session in list(self.sessions.values()):
            if client_id is None or session.client_id == client_id:
                session.close(reason)

    def tell_accounts(self, session: Session) -> None:
        """ManagedAccounts."""
        session.send("managedAccounts", {"accounts": ",".join(self.book.visible)})

    def tell_next_id(self, session: Session) -> None:
        """NextValidId."""
        session.send("nextValidId", {"orderId": self.book.next_valid_id(session.client_id)})

    def broadcast(self, code: int, text: str) -> None:
        """A system message to everybody."""
        for session in list(self.sessions.values()):
            session.error(-1, code, text)

    def restart(self, seconds: float = 0.0, *, lose: bool = False) -> None:
        """Close all connections, and take no new ones for some seconds; ``lose`` what was not worked yet."""
        self._life += lose
        self._down_until = self.clock.now() + seconds
        self.disconnect(None, "TWS restarts")

    # requests

    def admit(self, session: Session, request: Request | OrderRequest) -> None:
        """A request has been read. It is worked at once, or behind those of its connection that wait."""
        if isinstance(request, OrderRequest) and self.switches.next_valid_id == "received":
            self.book.receive_id(session.client_id, request.order_id)
        seconds, jitter = self.switches.queue_seconds, self.switches.queue_jitter
        if request.kind == "startApi" or not (seconds or jitter or session.pending):
            session.perform(request)
            return
        self._queued += 1
        delay = seconds + jitter * unit_interval(self.seed, "queue", self._queued)
        session.pending += 1
        session.ready_at = max(session.ready_at, self.clock.now()) + delay
        self.clock.schedule_at(session.ready_at, partial(self._work, session, request, self._life))
        self.settle()

    def _work(self, session: Session, request: Request | OrderRequest, life: int) -> None:
        session.pending -= 1
        if life == self._life:
            session.perform(request)
        if session.closed and not session.pending:
            self.leave(session)

    def handle(self, session: Session, request: Request | OrderRequest) -> None:
        """Carry out a request of a started session. Never raises: a failure is kept, and answered by 322."""
        self.clock.tick()
        self.count("requests")
        if self._is_too_fast(session):
            return
        if not self.link and request.kind in _ORDER_REQUESTS and not self._doubles(session, request):
            self._waiting.append((session, request))
            self.settle()
            return
        try:
            self._dispatch(session, request)
        except Exception:  # noqa: BLE001 - one client's request must not take the venue down
            self.failures.append(traceback.format_exc())
            session.notes.append(f"{request.kind} failed: {traceback.format_exc(limit=-1)}")
            session.error(request.req_id, 322, "Error processing request.")
        self.settle()

    def _doubles(self, session: Session, request: Request | OrderRequest) -> bool:
        known = self.book.find(session.client_id, request.req_id)
        return self.switches.double_orders and known is not None and request.kind == "placeOrder"

    def _dispatch(self, session: Session, request: Request | OrderRequest) -> None:
        if isinstance(request, OrderRequest):
            self.intake.place(session, request)
            return
        handler = self._handlers.get(request.kind)
        if handler is not None:
            handler(session, request)
        else:
            session.error(request.req_id, *refusal_of(request.kind))

    def _is_too_fast(self, session: Session) -> bool:
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
        if session.violations >= _ENDS_SESSION:
            session.close("too many messages in a second, three times")
        return True

    def settle(self) -> None:
        """Let everything happen that is due, until nothing is."""
        if self._settling:
            return
        self._settling = True
        try:
            self.events.run_pending()
            self.clock.run_due()
            self.events.run_pending()
        except Exception:  # noqa: BLE001 - a failing appointment must not take the venue down
            self.failures.append(traceback.format_exc())
        finally:
            self._settling = False
        self.book.save()
        for session in list(self.sessions.values()):
            session.settle()

    def count(self, name: str) -> None:
        """Something that events may wait for has happened once more."""
        self.counts[name] += 1
        self.events.counted(name, self.counts[name])

    def order_entry(self, order: Order) -> dict[str, Any] | None:
        """The scenario's entry for an order, if it has one."""
        facts = order.facts()
        taken = [entry for entry in self._order_entries if entry.takes(facts)]
        return taken[0].data if taken else None

    # time and link

    def roll_day(self) -> None:
        """A new day begins at the last midnight of the login's time zone."""
        now = self.clock.now()
        local = local_time(now, self.switches.time_zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        self.book.roll_day(midnight)
        self.clock.schedule_at(midnight + _DAY, self.roll_day, work=False)

    def set_link(self, *, up: bool, deliver: bool = True) -> None:
        """The connection between TWS and IB: what is sent while it is down waits."""
        self.link = up
        if not up:
            self.herald.hold_back()
            return
        self.herald.release(deliver=deliver)
        self.accounts_desk.catch_up(deliver=deliver)
        waiting, self._waiting = self._waiting, []
        for session, request in waiting:
            session.perform(request)

    def is_open(self, order: Order) -> bool:
        """Whether an order may trade at this hour."""
        if self.calendar.always or self.calendar.is_open(self.clock.now()):
            return True
        request = order.request
        return request.outside_rth and request.order_type == "LMT"

    @property
    def auction(self) -> bool:
        """Whether orders for the open and the close trade at once: where the exchange never closes."""
        return self.calendar.always or self.events.auction_on

    # prices

    def move(self, symbol: str, **changes: float) -> None:
        """The market of a symbol moves; open orders and streams see it."""
        if symbol not in self.market.symbols():
            self.catalogue.add(make_contract(symbol))
        self.market.move(symbol, **changes)
        self.market_moved(symbol)

    def market_moved(self, symbol: str) -> None:
        """Everybody who cares looks at the new quote of ``symbol``."""
        self._prices.pop(symbol, None)
        if self.link:
            self.data.market_moved(symbol)
        self.trading.market_moved(symbol)

    def price_of(self, symbol: str) -> float:
        """What a share is worth: the last trade, failing that the middle, the close, or one side."""
        quote = self.market[symbol]
        middle = (quote.bid + quote.ask) / 2
        for price in (quote.last, middle, quote.close, quote.bid, quote.ask):
            if price > 0:
                return round(price, 10)
        return 0.0

    def prices(self) -> dict[str, float]:
        """The worth of every share by symbol."""
        for symbol in self.market.symbols():
            if symbol not in self._prices:
                self._prices[symbol] = self.price_of(symbol)
        return self._prices

    def touch(self, order: Order) -> float:
        """The price that an order would trade at now."""
        quote = self.market[order.contract.symbol]
        side = quote.ask if order.request.side == "BUY" else quote.bid
        return side if side > 0 else self.price_of(order.contract.symbol)

    def opening_value(self, name: str) -> float:
        """The net liquidation value of an account when the venue opened."""
        return self._opening_values[name]

    def rename_accounts(self, names: list[str], *, announce: bool = True) -> None:
        """The login sees other accounts: new ones open with the usual cash, old ones stay in the books."""
        for name in names:
            if name not in self.book.accounts:
                self.book.open_account(Account(name, self.settings.cash))
                self._opening_values[name] = self.settings.cash
        self.book.visible = tuple(names)
        for session in list(self.sessions.values()) if announce else ():
            self.tell_accounts(session)

    def close(self) -> None:
        """Close the journal and the state."""
        self.disconnect(None, "the venue closes")
        self.book.close()
