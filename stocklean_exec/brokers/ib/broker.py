"""Interactive Brokers as a broker: TWS, IB Gateway, or a simulator of them.

One background thread with its own event loop owns the connection. Methods may be called from any other thread, and
awaited in any loop. Events come from the messages of TWS themselves; see
:mod:`~stocklean_exec.brokers.ib.connection` for the connection, :mod:`~stocklean_exec.brokers.ib.order_tracker`
for matching messages to orders, and :mod:`~stocklean_exec.brokers.ib.translate` for what they mean.

Whether an account may be traded is checked when the connection is made, after every reconnection, and right
before each order leaves.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.background import BackgroundLoop
from stocklean_exec.brokers.base import (
    AccountFigures,
    Broker,
    ExchangeRate,
    is_paper_account,
    mask_account,
    symbols_of,
)
from stocklean_exec.brokers.evidence import Evidence
from stocklean_exec.brokers.ib.account_guard import check_account, choose_account, is_loopback
from stocklean_exec.brokers.ib.connection import Connection, Endpoint
from stocklean_exec.brokers.ib.exchange_rates import exchange_rates
from stocklean_exec.brokers.ib.instruments import Instrument
from stocklean_exec.brokers.ib.market_data import MarketDataService
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.ib.run_lease import RunLease, lease_client_id
from stocklean_exec.brokers.order_preview import OrderPreview
from stocklean_exec.brokers.rate_limit import DEFAULT_RATE, Pacer
from stocklean_exec.calendars.listing_hours import TRADING_HOURS
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError, Problem, StaleOrderIdError
from stocklean_exec.progress import progress_bar
from stocklean_exec.schema.order_terms import STOPS, permission_problem
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from stocklean_exec.blotter.order_history import OrderHistory
    from stocklean_exec.brokers.base import Ticket
    from stocklean_exec.brokers.ib.order_tracker import OwnOrder

__all__ = ["IBBroker"]

_YIELD_EVERY = 16
"""Orders sent before the loop handles the answers: a choice."""
_PACED_WINDOW, _FREE_WINDOW = 32, 250
"""Orders that one commit prepares for sending: less than a second's messages at 45 a second; without a limit,
enough that a commit costs little per order."""
_PREVIEW_PAUSE = 60.0
"""Seconds between previews of orders: Interactive Brokers asks for at most about one a minute (TWS API)."""
_IN_FLIGHT_SECONDS = 10.0
"""How long an order may be in flight to TWS before its absence there means something: a choice, far above the
longest delay that is expected of a local TWS, and as long as the limit of every request."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to reconnect, doubled each time: a choice; a restarting gateway takes a minute."""
_SHARES = 1e-6
"""Tolerance in shares: a stated choice, far below any tradable fraction."""
_CURRENCY_PAIR = "CASH"
"""Security type of a currency pair; a "position" in one is a record of conversions, and the money is cash."""
_OPEN_COLUMNS = {
    "client_order_id": "str",
    "symbol": "str",
    "side": "str",
    "quantity": "float64",
    "filled_quantity": "float64",
    "order_type": "str",
    "limit_price": "float64",
    "tif": "str",
    "aux_price": "float64",
    "good_till": "datetime64[us, UTC]",
    "good_after": "datetime64[us, UTC]",
    "outside_rth": "bool",
    "order_id": "Int64",
    "perm_id": "Int64",
    "client_id": "Int64",
    "con_id": "Int64",
}

T = TypeVar("T")


class IBBroker(Broker):
    """A TWS, an IB Gateway or a simulator; made by ``sx.connect("ib://...")`` or ``sx.connect("sim://...")``.

    Parameters
    ----------
    host, port : where it listens
    client_id : of this program; only the client that placed an order can cancel it
    account : which of the login's accounts; not needed when there is one
    allow_live : the live account that may be traded; the environment variable STOCKLEAN_ALLOW_LIVE must name
        the same one
    rate : most messages a second; 0 means no limit, for simulators
    seconds : time limit of every request
    zone : time zone of the login, for execution times that come without one
    is_zone_given : whether a user named that zone: then it also counts for times with an unknown zone name
    run_client_ids : client ids of which each run holds one at TWS while it works; none if empty
    remote : whether ``host`` may be another computer; the connection is not encrypted
    on_close : called when the broker is closed

    Raises
    ------
    BrokerError
        There is no connection; the text says why and what to do.
    LiveAccountError
        The account is not a paper account, and was not allowed.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 4002,
        *,
        client_id: int = 1,
        account: str | None = None,
        allow_live: str | None = None,
        rate: float = DEFAULT_RATE,
        seconds: float = 10.0,
        zone: str = "America/New_York",
        is_zone_given: bool = False,
        run_client_ids: range = range(0),
        remote: bool = False,
        address: str = "",
        on_close: Callable[[], None] | None = None,
    ) -> None:
        if not remote and not is_loopback(host):
            text = (
                f"{host} is another computer, and the connection is not encrypted: use a tunnel, "
                "or say ...&remote=1"
            )
            raise InputError("address", [Problem("address_invalid", text)])
        self.address = address or f"ib://{host}:{port}?client_id={client_id}"
        self.fault = ""
        self.send_window = _PACED_WINDOW if rate else _FREE_WINDOW
        self.preview_pause = _PREVIEW_PAUSE if rate else 0.0
        self.in_flight_seconds = _IN_FLIGHT_SECONDS if rate else 0.0
        self._endpoint = Endpoint(host, port, client_id, account, seconds, zone, is_zone_given)
        self._allow_live, self._on_close = allow_live, on_close
        self._tracker, self._market, self._pacer = (
            OrderTracker(clock.now, self.on_failure),
            MarketDataService(),
            Pacer(rate),
        )
        self._background: set[asyncio.Task[None]] = set()
        self._run_client_ids, self._leases = run_client_ids, dict[str, RunLease]()
        self._last_id = 0
        self._previewing, self._previewed_at = asyncio.Lock(), -math.inf
        self._failure = ""
        self._base_currency = ""
        self._connection: Connection | None = None
        self._loop: BackgroundLoop | None = BackgroundLoop("stocklean-ib")
        try:
            self.account = self._call(self._connect())
        except BaseException:
            self.close()
            raise
        self.mode = "paper" if is_paper_account(self.account) else "live"
        # An account has one sender for a run, whatever its address and however that is spelt. A simulator that was
        # started for this broker alone is nobody else's.
        self.lock_account = None if on_close is not None else self.account

    # -- what a user asks ------------------------------------------------------------------------------------

    def positions(self) -> pd.DataFrame:
        """What the account holds, requested again, without currencies (virtual FX positions).

        Where a symbol is held in several contracts, TWS is asked where each is listed.
        """
        reported = self._call(self._require_connection().positions())
        latest = {one.contract.conId: one for one in reported if one.account == self.account}  # TWS may repeat one
        held = [one for one in latest.values() if one.contract.secType != _CURRENCY_PAIR and one.position]
        listed = self._call(self._primary_exchanges(held))
        rows = [
            {
                "symbol": one.contract.symbol,
                "quantity": one.position,
                "avg_cost": one.avgCost,
                "currency": one.contract.currency,
                "sec_type": one.contract.secType,
                "account": one.account,
                "con_id": one.contract.conId,
                "primary_exchange": listed.get(one.contract.conId),
            }
            for one in sorted(held, key=lambda one: (one.contract.symbol, one.contract.conId))
        ]
        return POSITIONS.conform(pd.DataFrame(rows, columns=list(POSITIONS.names)))

    def quotes(self, symbols: object = None) -> pd.DataFrame:
        """Quotes of ``symbols`` by snapshot; ``data_type`` is 1 live, 2 frozen, 3 delayed, 4 both.

        ``con_id`` is the contract that is quoted, ``lot_size`` its lot where that is more than a share.
        ``order_types`` is what it takes of the order types, times in force and algorithms that can be sent.
        ``quoted_at`` is the quote's own time, by ``time_source`` that of its receipt (``received``: live,
        two-sided) or of the last trade (``last_trade``), and missing where TWS does not report it (``unknown``).
        ``halted`` is missing where TWS does not report that. Prices are in the contract's currency: pounds, and
        not pence.

        A symbol that TWS does not know, finds ambiguous, or has no data for, has no row; the reason is noted with
        the table, and a plan shows it. None requests what is held and what was requested before.

        Raises
        ------
        BrokerError
            There is no market data at all, for lack of a subscription.
        """
        wanted = symbols_of(symbols)
        if wanted is None:
            wanted = list(dict.fromkeys([*self.positions()["symbol"].tolist(), *self._market.symbols()]))
        self._market.name(_instruments(symbols, wanted))
        with progress_bar(len(wanted), "quotes") as move:
            return self._call(self._quotes(wanted, strict=True, on_progress=lambda done, _: move(done, "")))

    def contract_quotes(self, contracts: pd.DataFrame) -> pd.DataFrame:
        """Quotes of these contracts by snapshot, as :meth:`quotes` gives them; what symbols stand for stays."""
        symbols = contracts["symbol"].tolist()
        rows = zip(symbols, _instruments(contracts, symbols), strict=True)
        wanted = [one if one.con_id else self._market.instrument(symbol) for symbol, one in rows]
        return self._call(self._market.quotes(self._require_connection(), wanted, strict=False))

    def trading_hours(self, instruments: pd.DataFrame) -> pd.DataFrame:
        """Hours of these contracts, as TWS has them in their details: regular ones, else all."""
        symbols = instruments["symbol"].tolist()
        is_named = len(instruments.columns) > 1  # more than symbols
        wanted = _instruments(instruments, symbols) if is_named else [*map(self._market.instrument, symbols)]
        found = self._call(self._market.hours(self._require_connection(), wanted, clock.now()))
        rows = [
            (
                one.symbol,
                listing.contract.conId,
                listing.primary_exchange or None,
                listing.hours,
                listing.time_zone,
            )
            for one, listing in found.items()
            if listing.hours
        ]
        return pd.DataFrame(rows, columns=list(TRADING_HOURS))

    def nav(self) -> float:
        """Net liquidation value in the account's base currency."""
        return self._account_value("NetLiquidation")

    def cash(self) -> float:
        """Cash of all currencies in the account's base currency."""
        return self._account_value("TotalCashValue")

    @property
    def base_currency(self) -> str:
        """The currency that TWS reports the account's net liquidation value in."""
        if not self._base_currency:
            self._account_value("NetLiquidation")
        return self._base_currency

    def exchange_rates(self, currencies: Sequence[str], base_currency: str) -> dict[str, ExchangeRate]:
        """Exchange rates by quotes of currency pairs at IDEALPRO, through the US dollar where there is no pair."""
        return self._call(self._exchange_rates(currencies, base_currency))

    def account_figures(self) -> AccountFigures:
        """NAV, cash, settled cash, available funds and margin, and cash and exchange rate of each currency.

        The base currency is that of the net liquidation value; the account's own ledger must agree.
        """
        optional = {
            "settled_cash": "SettledCash",
            "available_funds": "AvailableFunds",
            "buying_power": "BuyingPower",
            "initial_margin": "InitMarginReq",
            "maintenance_margin": "MaintMarginReq",
            "equity_with_loan": "EquityWithLoanValue",
        }
        tags = ",".join(["NetLiquidation", "TotalCashValue", *optional.values(), "$LEDGER:ALL"])
        figures = self._call(self._require_connection().account_summary(self.account, tags))
        cash, nav = (self._figure(figures, tag) for tag in ("TotalCashValue", "NetLiquidation"))
        base = self._base_currency
        if not base:
            raise BrokerError(f"TWS does not report the base currency of account {mask_account(self.account)}")
        # TotalCashBalance: CashBalance has been seen to count money of a bank sweep twice.
        currencies = {
            currency: (amount, figures.get(("ExchangeRate", currency), math.nan))
            for (tag, currency), amount in figures.items()
            if tag == "TotalCashBalance" and currency != "BASE"
        }
        rate = currencies.get(base, (0.0, 1.0))[1]
        if rate != 1:
            text = f"TWS reports NAV in {base} and an exchange rate of {rate:g} for it"
            raise BrokerError(f"{text}: the base currency is not known")
        others = {name: figures.get((tag, base), math.nan) for name, tag in optional.items()}
        return AccountFigures(nav, cash, base, currencies=currencies, **others)

    def _account_value(self, tag: str) -> float:
        figures = self._call(self._require_connection().account_summary(self.account, tag))
        return self._figure(figures, tag)

    def _figure(self, figures: dict[tuple[str, str], float], tag: str) -> float:
        """One figure of a summary; its currency is the account's base currency."""
        found = [(figure, currency) for (name, currency), figure in figures.items() if name == tag]
        if not found:
            raise BrokerError(f"TWS does not report {tag} of account {mask_account(self.account)}")
        figure, self._base_currency = found[0]
        return figure

    def open_orders(self) -> pd.DataFrame:
        """Working orders of the account, whoever placed them, and ids of TWS; limits in the contract's currency.

        Those of other programs, or placed by hand, have no client order id, or one of their own making.
        """
        rows = [row for row in self._call(self._open_orders()) if row["account"] == self.account]
        rows = [row | {"client_order_id": row["client_order_id"] or None} for row in rows]
        return pd.DataFrame(rows, columns=list(_OPEN_COLUMNS)).astype(_OPEN_COLUMNS)

    def cancel(self, client_order_id: str) -> None:
        """Request the cancel of a working order of this client id; one that has ended stays as it is.

        Raises
        ------
        InputError
            No order of that name was sent under this client id.
        """
        self._call(self._cancel_named(client_order_id))

    def cancel_all(self) -> None:
        """Request the cancel of every working order of this client id. Orders of others stay."""
        self._call(self._cancel_many())

    def close(self) -> None:
        """Disconnect. Working orders stay where they are; their reports are no longer received."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            for lease in list(self._leases.values()):
                loop.call(lease.release())
            loop.call(self._disconnect())
        finally:
            loop.stop()
            if self._on_close is not None:
                self._on_close()

    def reconnect(self) -> None:
        """Connect again with the same client id, and request everything that happened meanwhile.

        Raises
        ------
        BrokerError, LiveAccountError
            As when first connected; also when another login answers, which does not have the account.
        """
        self._call(self._connect())

    @property
    def orphans(self) -> pd.DataFrame:
        """Reports about orders that are not ours, or of runs without a subscriber; the latest 10,000."""
        return self._tracker.orphans()

    # -- what a run asks -------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time, in UTC."""
        return clock.now()

    def market_time(self) -> datetime:
        """The time of TWS: a simulator's may be of another day. That of this computer if TWS is silent."""
        with suppress(BrokerError):
            return self._call(self._time_of_tws())
        return clock.now()

    def follow(self, run_id: str, publish: Callable[..., None]) -> None:
        """Publish the events of ``run_id`` to ``publish``, on the broker's own thread."""
        self._tracker.follow(run_id, publish)

    def is_quiet(self) -> bool:
        """Whether none of our orders is working; also when no more reports can be received."""
        return bool(self.fault) or self._tracker.is_quiet()

    async def fetch_quotes(self, symbols: list[str]) -> pd.DataFrame:
        """Quotes of ``symbols`` now; symbols without market data have no row."""
        return await self._await(self._quotes(symbols, strict=False))

    async def prepare(
        self, tickets: Sequence[Ticket], on_progress: Callable[[int, int], None] | None = None
    ) -> dict[str, tuple[str, str]]:
        """Look up the contracts, and take an order id for each order that can be sent."""
        return await self._await(self._prepare(tickets, on_progress))

    def order_id_for(self, client_order_id: str) -> tuple[int | None, int | None]:
        """Order id and client id that the order is sent with."""
        order = self._tracker.find(client_order_id)
        return (None, None) if order is None else (order.order_id, order.client_id)

    async def session_mark(self) -> tuple[int | None, int | None]:
        """Client id, and the next order id as TWS has it now; None for that id where it does not answer."""
        return self._endpoint.client_id, await self._await(self._next_id())

    async def collect_evidence(self) -> Evidence:
        """Request open orders, completed orders, executions and the next order id."""
        return await self._await(self._collect_evidence())

    @asynccontextmanager
    async def hold_run(self, run_id: str) -> AsyncIterator[None]:
        """Hold the client id that stands for a run, so that no other process can work the run."""
        if not self._run_client_ids:
            yield
            return
        await self._await(self._take_lease(run_id))
        try:
            yield
        finally:
            await self._await(self._release_lease(run_id))

    def adopt(self, run_id: str, orders: Sequence[OrderHistory]) -> None:
        """Track orders that an earlier connection sent, and reserve their ids."""
        self._call(self._adopt(run_id, orders))

    def allow_again(self, names: Sequence[str]) -> None:
        """Allow adopted orders to be sent again, with the ids they had."""
        self._call(self._allow_again(names))

    async def restore_connection(self, seconds: float) -> None:
        """Connect again if the connection is gone, and wait until TWS has its own to IB."""
        await self._await(self._reconnect(seconds))

    async def ping(self) -> None:
        """Request the time: a connection that is only apparently open (a laptop that slept) gives no answer."""
        await self._await(self._ping())

    async def clock_lead(self) -> float:
        """Seconds that the clock of this computer is ahead of TWS's; 0 if TWS does not answer."""
        with suppress(BrokerError):
            there = await self._await(self._time_of_tws())
            return (clock.now() - there).total_seconds()
        return 0.0

    async def preview(self, ticket: Ticket) -> OrderPreview:
        """Ask TWS what an order would do to the account: a what-if order, which is never placed.

        It takes an order id, and its turn: at most one in :attr:`preview_pause` seconds.
        """
        return await self._await(self._preview(ticket))

    async def place(self, ticket: Ticket) -> None:
        """Send one order."""
        await self.place_all([ticket], lambda _: nullcontext())

    async def modify(self, ticket: Ticket, number: int) -> None:
        """Change the limit of a working order of this client id: it is sent again, under its id."""
        await self._await(self._modify(ticket, number))

    async def place_all(
        self, tickets: Sequence[Ticket], gate: Callable[[Ticket], AbstractContextManager[object]]
    ) -> None:
        """Send orders in sequence; each within its ``gate``, right after the last checks."""
        await self._await(self._place_all(tickets, gate))

    # -- on the broker's thread ------------------------------------------------------------------------------

    async def _connect(self) -> str:
        await self._disconnect()
        self._market.forget_connection()
        self._failure = ""
        connection = Connection(self._endpoint, self._tracker, self._pacer, self)
        await connection.connect()
        try:
            account = choose_account(connection.accounts, getattr(self, "account", self._endpoint.account))
            check_account(account, connection.accounts, self._allow_live, os.environ)
            self._connection, self.fault = connection, self._failure
            for lease in self._leases.values():
                if not lease.is_held:
                    await lease.take()
            if self._tracker.working():
                await self._catch_up(connection)
        except BaseException:
            self._connection = None
            await connection.close()
            raise
        self._last_id = connection.next_id - 1  # what was prepared before the connection was lost needs a later id
        self.session += 1
        return account

    async def _reconnect(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + seconds, _FIRST_PAUSE
        while self.fault or self._connection is None:
            cause: Exception | None = None
            try:
                await self._connect()
            except ConnectionLostError as error:
                cause = error
            if cause is None and not self.fault:
                break
            if loop.time() + pause > deadline:  # also if TWS repeats a report that cannot be read
                raise ConnectionLostError(f"{cause or self.fault} (tried for {seconds:g} s)") from cause
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        await self._require_connection().restored(max(deadline - loop.time(), 0.0))

    async def _take_lease(self, run_id: str) -> None:
        number = lease_client_id(self.account, run_id, self._run_client_ids)
        lease = RunLease(run_id, replace(self._endpoint, client_id=number), self._pacer, self._on_lease_lost)
        await lease.take()
        self._leases[run_id] = lease

    async def _release_lease(self, run_id: str) -> None:
        await self._leases.pop(run_id).release()

    def _on_lease_lost(self) -> None:
        if not self.fault:
            self.fault = "the connection that holds a run at TWS is gone; broker.reconnect() makes a new one"

    async def _ping(self) -> None:
        try:
            await self._require_connection().current_time()
        except BrokerError as error:
            self.on_failure("TWS does not answer any more", error)

    async def _adopt(self, run_id: str, orders: Sequence[OrderHistory]) -> None:
        connection = self._require_connection()
        numbers = [
            sent.order_id
            for order in orders
            if (sent := order.last_sending) and sent.order_id and sent.client_id == self._endpoint.client_id
        ]
        seen = [number for order in orders for number in order.seen_ids(self._endpoint.client_id)]
        ids_hold = max(seen, default=0) < connection.next_id
        for order in orders:
            sent = order.last_sending
            is_ours = sent is not None and sent.client_id == self._endpoint.client_id
            self._tracker.adopt(run_id, order, ids_hold=ids_hold and is_ours)
        if ids_hold:
            connection.pass_over_ids(max(numbers, default=0))

    async def _allow_again(self, names: Sequence[str]) -> None:
        for name in names:
            self._last_id = min(self._last_id, self._tracker.allow_again(name) - 1)

    async def _collect_evidence(self) -> Evidence:
        connection = self._require_connection()
        connection.require_open()
        reports = await connection.collect_reports(with_next_id=True)
        own = [row["order_id"] for row in reports.open_orders if row["client_id"] == self._endpoint.client_id]
        return Evidence(
            asked_at=self.now(),
            open_orders=frozenset(row["client_order_id"] for row in reports.open_orders),
            refs=self._tracker.refs(),
            executions=self._tracker.executions(),
            next_id=reports.next_id,
            client_id=self._endpoint.client_id,
            highest_open_id=max(own, default=0),
            is_complete=not reports.gaps,
            gap=reports.gaps,
        )

    async def _next_id(self) -> int | None:
        with suppress(BrokerError):  # the plan is recorded all the same: sending it will find out
            return await self._require_connection().fresh_next_id()
        return None

    async def _exchange_rates(self, currencies: Sequence[str], base: str) -> dict[str, ExchangeRate]:
        return await exchange_rates(self._market, self._require_connection(), currencies, base)

    async def _open_orders(self) -> list[dict[str, Any]]:
        """Open orders with limits in the contract's currency; NaN where TWS does not say what unit they are in."""
        found = await self._require_connection().open_orders()
        rows = [row | {"con_id": row["contract"].conId} for row in found]
        prices = ("limit_price", "aux_price")
        limited = [row for row in rows if not all(math.isnan(row[name]) for name in prices)]
        unsure = [_instrument_of(row["contract"]) for row in limited if not _is_us_share(row["contract"])]
        await self._market.qualify(self._require_connection(), unsure)
        for row in limited:
            if not _is_us_share(row["contract"]):
                listing = self._market.listing(_instrument_of(row["contract"]))
                for name in prices:
                    row[name] = math.nan if listing is None else listing.in_currency(row[name])
        return rows

    async def _primary_exchanges(self, held: Sequence[Any]) -> dict[int, str]:
        """Primary exchange by contract number, of what is held in several contracts of one symbol."""
        names = Counter(one.contract.symbol for one in held)
        wanted = [_instrument_of(one.contract) for one in held if names[one.contract.symbol] > 1]
        await self._market.qualify(self._require_connection(), wanted)
        found = {one.con_id: self._market.listing(one) for one in wanted}
        return {number: listing.primary_exchange for number, listing in found.items() if listing is not None}

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        for task in list(self._background):
            task.cancel()
        if connection is not None:
            await connection.close()

    async def _quotes(
        self, symbols: Sequence[str], *, strict: bool, on_progress: Callable[[int, int], None] | None = None
    ) -> pd.DataFrame:
        wanted = [self._market.instrument(symbol) for symbol in symbols]
        return await self._market.quotes(
            self._require_connection(), wanted, strict=strict, on_progress=on_progress
        )

    async def _prepare(
        self, tickets: Sequence[Ticket], on_progress: Callable[[int, int], None] | None
    ) -> dict[str, tuple[str, str]]:
        connection = self._require_connection()
        named = {ticket.client_order_id: _instrument(ticket) for ticket in tickets}
        self._market.name(named.values())
        refused = await self._market.qualify(connection, list(named.values()), on_progress)
        silent = [one.symbol for one, why in refused.items() if not why.code]
        if silent:
            raise BrokerError(f"TWS did not answer about {', '.join(silent[:5])}; nothing was sent")
        reasons = {
            name: (refused[one].reason, refused[one].detail) for name, one in named.items() if one in refused
        }
        reasons |= self._broken_lots([ticket for ticket in tickets if ticket.client_order_id not in reasons])
        reasons |= self._unpermitted([ticket for ticket in tickets if ticket.client_order_id not in reasons])
        reasons |= await self._expired([ticket for ticket in tickets if ticket.client_order_id not in reasons])
        good, kept = self._without_id([ticket for ticket in tickets if ticket.client_order_id not in reasons])
        connection.pass_over_ids(kept)  # a new connection begins below ids that were kept from the one before
        for ticket, order_id in zip(good, connection.reserve_ids(len(good)), strict=True):
            listing = self._market.listing(_instrument(ticket))
            magnifier = None if listing is None else listing.magnifier
            self._tracker.reserve(ticket, order_id, self._endpoint.client_id, magnifier=magnifier)
        return reasons

    async def _preview(self, ticket: Ticket) -> OrderPreview:
        connection, instrument = self._require_connection(), _instrument(ticket)
        self._market.name([instrument])
        refused = await self._market.qualify(connection, [instrument])
        listing = self._market.listing(instrument)
        if instrument in refused or listing is None:
            return OrderPreview(refusal=refused[instrument].detail if refused else "TWS knows no such contract")
        made = connection.make_order(ticket, 0, listing.on_wire(ticket.limit_price, buy=ticket.side == "BUY"))
        async with self._previewing:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(self._previewed_at + self.preview_pause - loop.time(), 0.0))
            self._previewed_at = loop.time()
            try:
                return await connection.preview(listing.contract, made)
            finally:
                # TWS may take order ids in ascending sequence only: those prepared earlier are made again.
                self._last_id = max(self._last_id, connection.last_preview_id)

    def _broken_lots(self, tickets: Sequence[Ticket]) -> dict[str, tuple[str, str]]:
        """Orders that break the lots of their contract; a code and a text of each."""
        found = {}
        for ticket in tickets:
            listing = self._market.listing(_instrument(ticket))
            problem = "" if listing is None else listing.size_problem(ticket.quantity)
            if problem:
                found[ticket.client_order_id] = ("lot_size", f"{ticket.symbol}: {problem}")
        return found

    def _unpermitted(self, tickets: Sequence[Ticket]) -> dict[str, tuple[str, str]]:
        """Orders of a type, time in force or algorithm that their contract does not take."""
        found = {}
        for ticket in tickets:
            listing = self._market.listing(_instrument(ticket))
            permitted = () if listing is None else listing.order_types
            starts_later, has_algo = ticket.good_after is not None, bool(ticket.algo)
            problem = permission_problem(
                ticket.order_type, ticket.tif, permitted, starts_later=starts_later, has_algo=has_algo
            )
            if problem:
                found[ticket.client_order_id] = ("order_type_not_permitted", f"{ticket.symbol}: {problem}")
        return found

    async def _expired(self, tickets: Sequence[Ticket]) -> dict[str, tuple[str, str]]:
        """Orders that would end before they leave, by TWS's own clock."""
        ends = {ticket: ticket.good_till for ticket in tickets if ticket.good_till is not None}
        if not ends:
            return {}
        now = await self._time_of_tws()
        return {
            ticket.client_order_id: ("good_till_past", f"{ticket.symbol}: good_till {end} has passed")
            for ticket, end in ends.items()
            if end <= now
        }

    def _without_id(self, tickets: Sequence[Ticket]) -> tuple[list[Ticket], int]:
        """Orders that need an order id, or a later one, and the greatest id that is kept.

        TWS takes ids in ascending sequence only. An order that was sent, or is to be sent again, keeps the id it
        had.
        """
        found: list[Ticket] = []
        highest = self._last_id
        for ticket in tickets:
            order = self._tracker.find(ticket.client_order_id)
            if order is not None and (order.sent or order.is_resend):
                highest = max(highest, order.order_id)
                continue
            if order is None or found or order.order_id <= highest:
                found.append(ticket)  # and new ids are higher than those of all behind it
            else:
                highest = order.order_id
        return found, highest

    async def _place_all(
        self, tickets: Sequence[Ticket], gate: Callable[[Ticket], AbstractContextManager[object]]
    ) -> None:
        unknown = [ticket for ticket in tickets if self._tracker.find(ticket.client_order_id) is None]
        refused = await self._prepare(unknown, None) if unknown else {}
        if refused:
            raise BrokerError("; ".join(f"{name}: {text}" for name, (_, text) in refused.items()))
        for number, ticket in enumerate(tickets, start=1):
            async with self._pacer.turn():
                self._send(ticket, gate)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # let the answers in

    def _send(self, ticket: Ticket, gate: Callable[[Ticket], AbstractContextManager[object]]) -> None:
        """Make the last checks, and send one order. Before the gate, nothing is sent."""
        connection, order = self._require_connection(), self._tracker.find(ticket.client_order_id)
        listing = self._market.listing(_instrument(ticket))
        if order is None or listing is None or order.sent:
            text = "was sent before; an id names one order" if order and order.sent else "was not made ready"
            raise BrokerError(f"{ticket.client_order_id} {text}")
        self._check_may_send(connection, ticket, order)
        buy = ticket.side == "BUY"
        limit = listing.on_wire(ticket.limit_price, buy=buy)
        aux = listing.aux_on_wire(ticket.aux_price, buy=buy, is_trigger=ticket.order_type in STOPS)
        made = connection.make_order(ticket, order.order_id, limit, aux)
        with gate(ticket):
            self._tracker.mark_sent(order, ticket.quantity)
            self._last_id = order.order_id
            connection.send_order(listing.contract, made)

    async def _modify(self, ticket: Ticket, number: int) -> None:
        if self._connection is None and self._loop is not None:
            raise ConnectionLostError("there is no connection to TWS; reconnect() makes one")
        connection, instrument = self._require_connection(), _instrument(ticket)
        self._tracker.changeable(ticket.client_order_id, self._endpoint.client_id)
        self._check_may_trade(connection, ticket)
        self._market.name([instrument])
        await self._market.qualify(connection, [instrument])  # an order of an earlier session
        async with self._pacer.turn():
            self._send_change(ticket, number)

    def _send_change(self, ticket: Ticket, number: int) -> None:
        """Make the last checks, and send one change of a limit: a copy of the order, whole and under its id.

        During 1100 none is sent: it could leave two working orders.
        """
        connection, listing = self._require_connection(), self._market.listing(_instrument(ticket))
        order = self._tracker.changeable(ticket.client_order_id, self._endpoint.client_id)
        self._check_may_trade(connection, ticket)
        problem = _change_problem(ticket, order)
        if listing is None or problem:
            raise BrokerError(
                f"{ticket.client_order_id}: {problem or 'TWS knows no such contract'}; nothing was sent"
            )
        buy = ticket.side == "BUY"
        limit = listing.on_wire(ticket.limit_price, buy=buy)
        aux = listing.aux_on_wire(ticket.aux_price, buy=buy, is_trigger=ticket.order_type in STOPS)
        made = connection.make_order(ticket, order.order_id, limit, aux)
        self._tracker.note_change(order, number, ticket.limit_price, limit)
        try:
            connection.send_order(listing.contract, made)
        except BrokerError:  # a last check of the client, before anything is written
            self._tracker.withdraw_change(order, number)
            raise

    def _check_may_send(self, connection: Connection, ticket: Ticket, order: OwnOrder) -> None:
        self._check_may_trade(connection, ticket)
        if order.order_id <= self._last_id:
            raise StaleOrderIdError(f"{ticket.client_order_id}: another run has sent orders meanwhile")

    def _check_may_trade(self, connection: Connection, ticket: Ticket) -> None:
        connection.require_open()
        if self.fault:
            raise ConnectionLostError(f"nothing is sent any more: {self.fault}")
        if connection.is_cut:
            raise ConnectionLostError("TWS has lost its connection to IB (1100); it reports when it is back")
        if ticket.account != self.account:
            raise BrokerError(f"{ticket.client_order_id} is for account {mask_account(ticket.account)}")
        check_account(self.account, connection.accounts, self._allow_live, os.environ)

    async def _cancel_named(self, client_order_id: str) -> None:
        order = self._tracker.find(client_order_id)
        if order is None or not order.sent:
            text = (
                f"{client_order_id!r} is not an order of client id {self._endpoint.client_id}; "
                "an order is cancelled by the client that placed it"
            )
            raise InputError("cancel", [Problem("order_unknown", text)])
        if order.client_id != self._endpoint.client_id:
            text = f"{client_order_id} was placed by client id {order.client_id}; only that one can cancel it"
            raise InputError("cancel", [Problem("order_of_other_client", text)])
        if not order.ended:
            await self._cancel(order)

    async def _cancel(self, order: OwnOrder) -> None:
        self._require_connection().require_open()
        self._tracker.request_cancel(order)
        await self._require_connection().send_cancel(order.order_id)

    async def _cancel_many(self) -> None:
        for order in self._tracker.working():
            if order.client_id == self._endpoint.client_id:
                await self._cancel(order)

    # -- from the connection ---------------------------------------------------------------------------------

    def on_failure(self, what: str, error: BaseException) -> None:
        """A report of TWS may be lost: nothing is sent until the next connection."""
        self._failure = f"{what} ({type(error).__name__}: {error}); broker.reconnect() requests everything again"
        self.fault = self._failure
        self._tracker.broadcast("report_lost", self.fault)

    def on_lost(self) -> None:
        """The connection was lost: runs that wait for reports must stop waiting."""
        self.fault = "the connection to TWS is gone; broker.reconnect() makes a new one"
        self._tracker.broadcast("connection_lost", self.fault)

    def on_cut(self) -> None:
        """TWS is without IB: nothing is sent until it is back, and what happens meanwhile is requested then."""
        self._tracker.broadcast("link_cut", "TWS has lost its connection to IB (1100)")

    def on_restored(self) -> None:
        """Request what happened while TWS had lost IB; until that is known, nothing is sent."""
        self.session += 1
        self._in_background(self._catch_up)

    def on_duplicate_id(self) -> None:
        """Request the order under an order id that was used before."""
        self._in_background(self._catch_up)

    def on_doubt(self) -> None:
        """Find out whether an order has ended whose change was refused: from open and completed orders."""
        self._in_background(self._catch_up)

    def on_inactive(self) -> None:
        """Find out whether an order has ended that TWS shows as Inactive, or as ended without its fills."""
        self._in_background(self._explain_inactive)

    def on_refusal(self) -> None:
        """Find out whether an order was refused with an unknown code: then TWS lists it as completed."""
        self._in_background(self._request_completed)

    def _in_background(self, work: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
        if self._connection is not None:
            task = asyncio.get_running_loop().create_task(work(self._connection))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _time_of_tws(self) -> datetime:
        return await self._require_connection().current_time()

    async def _request_completed(self, connection: Connection) -> None:
        with suppress(BrokerError):
            await connection.completed_orders()

    async def _explain_inactive(self, connection: Connection) -> None:
        await asyncio.sleep(0)  # the reason may come right behind
        orders = self._tracker.unexplained_inactive_orders()
        if orders:
            with suppress(BrokerError):
                if any(order.events.is_end_reported for order in orders):
                    await connection.collect_reports()  # its executions too
                else:
                    await connection.completed_orders()
            self._tracker.put_aside(orders)

    async def _catch_up(self, connection: Connection) -> None:
        """Request everything that was missed; what TWS does not answer is recorded as a gap."""
        try:
            reports = await connection.collect_reports()
        except BrokerError as error:
            self._tracker.broadcast("evidence_gap", str(error))
        else:
            if reports.gaps:
                self._tracker.broadcast("evidence_gap", reports.gaps)

    # -- between threads -------------------------------------------------------------------------------------

    def _require_connection(self) -> Connection:
        if self._connection is None:
            raise BrokerError(
                "the broker is closed"
                if self._loop is None
                else "there is no connection to TWS; reconnect() makes one"
            )
        return self._connection

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise BrokerError("the broker is closed")
        return self._loop.call(work)

    async def _await(self, work: Coroutine[Any, Any, T]) -> T:
        loop = self._loop
        if loop is None:
            work.close()
            raise BrokerError("the broker is closed")
        if loop.is_current:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop.loop))


def _change_problem(ticket: Ticket, order: OwnOrder) -> str:
    """Why a ticket is not a change of an order's limit alone; empty if it is one."""
    if not ticket.limit_price > 0:
        return f"a limit of {ticket.limit_price} is not a price"
    if not abs(ticket.quantity - order.sent_quantity) <= _SHARES:
        return (
            f"a change is for the whole order of {order.sent_quantity:g} shares, and not for {ticket.quantity:g}"
        )
    if abs(order.shown_quantity - ticket.quantity) > _SHARES:  # NaN: not shown yet
        return f"TWS shows it for {order.shown_quantity:g} shares, and it was sent for {ticket.quantity:g}"
    return ""


def _instrument(ticket: Ticket) -> Instrument:
    return Instrument(
        ticket.symbol,
        ticket.sec_type,
        ticket.exchange,
        ticket.currency,
        ticket.primary_exchange,
        ticket.con_id or 0,
    )


def _is_us_share(contract: Any) -> bool:  # noqa: ANN401 - the client's contract
    """Whether a contract is a stock in dollars, whose prices are in dollars at TWS."""
    return bool(contract.secType == "STK" and contract.currency == "USD")


def _instrument_of(contract: Any) -> Instrument:  # noqa: ANN401 - the client's contract
    """What a contract that TWS has reported is looked up by: its number, and what must fit it."""
    return Instrument(contract.symbol, contract.secType, currency=contract.currency, con_id=contract.conId)


def _instruments(symbols: object, spelled: Sequence[str]) -> list[Instrument]:
    """The instruments that a targets table names, with their symbols as TWS spells them."""
    columns = getattr(symbols, "columns", ())
    if not isinstance(symbols, pd.DataFrame) or "symbol" not in columns:
        return []
    default = Instrument("")
    texts = {
        name: symbols[name].fillna(getattr(default, name)).astype("str").tolist()
        if name in columns
        else [getattr(default, name)] * len(symbols)
        for name in ("sec_type", "exchange", "currency", "primary_exchange")
    }
    numbers = symbols["con_id"].tolist() if "con_id" in columns else [None] * len(symbols)
    contracts = [0 if pd.isna(number) else int(number) for number in numbers]
    return [Instrument(*values) for values in zip(spelled, *texts.values(), contracts, strict=True)]
