"""The interface of a broker: it takes orders and publishes order events.

A broker is sent one :class:`Ticket` at a time, and publishes what happens to it as
:class:`~stocklean_exec.blotter.events.OrderEvent` records to the subscriber of the run. It never decides the state
of an order.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.calendars.contract_hours import read_hours
from stocklean_exec.calendars.listing_hours import TRADING_HOURS
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError, Problem
from stocklean_exec.portfolio.account_state import CASH_COLUMNS, AccountState, difference, fx_frame
from stocklean_exec.portfolio.alignment import parse_rates
from stocklean_exec.portfolio.contracts import contract_names, traded_contracts
from stocklean_exec.schema.account_ids import is_paper_account, mask_account
from stocklean_exec.schema.files import read_targets
from stocklean_exec.schema.frame_validator import FrameValidator
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.tables import POSITIONS
from stocklean_exec.tariff_table import tariff_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime
    from types import TracebackType

    from stocklean_exec.blotter.order_history import OrderHistory
    from stocklean_exec.brokers.evidence import Evidence
    from stocklean_exec.brokers.order_preview import OrderPreview
    from stocklean_exec.fees import Tariff

__all__ = [
    "ORPHAN_COLUMNS",
    "RATE_BAND",
    "AccountFigures",
    "Broker",
    "ExchangeRate",
    "Mode",
    "Ticket",
    "broker_card",
    "check_rates",
    "is_paper_account",
    "mask_account",
    "symbols_of",
]

Mode = Literal["mock", "paper", "live"]
RATE_BAND = 0.05
"""Part by which a plan's or a given exchange rate may differ from the broker's own. A stated choice: major
currencies move less in the hour that an approval lasts, and a rate that is inverted, or of another currency,
differs by more."""
_LEVERAGE_OF_MARGIN = 1.9
"""From this multiple of the available funds on, buying power is that of a margin account: 2 overnight, 4 intraday
(Interactive Brokers, "Buying power"); it is 1 in a cash account."""
ORPHAN_COLUMNS = (
    "heard_at",
    "order_ref",
    "kind",
    "status",
    "order_id",
    "perm_id",
    "client_id",
    "exec_id",
    "symbol",
    "side",
    "quantity",
    "price",
    "code",
    "message",
)
"""Columns of a broker's reports about orders that are not ours."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One order as it is sent to a broker. ``limit_price`` and ``aux_price`` are NaN where an order has none."""

    client_order_id: str
    run_id: str
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: float
    order_type: str
    limit_price: float
    tif: str
    currency: str
    sec_type: str
    exchange: str
    account: str
    con_id: int | None = None
    """Number of the one contract that may be traded for this order; None where the plan names none."""
    primary_exchange: str = ""
    """Exchange where that contract is listed; empty where the plan names none."""
    reference_price: float = math.nan
    """Price at which the order was planned, in its currency; NaN where the plan has none."""
    fx_rate: float = 1.0
    """Base currency of the account per unit of ``currency``, as the plan was checked with."""
    decided_on: date | None = None
    """Day of the decision, whose tariffs hold; None where it is not known."""
    aux_price: float = math.nan
    """Trigger of a stop, trailing amount, or offset of a relative order, in the order's currency."""
    good_till: datetime | None = None
    """End of a ``GTD`` order, in UTC."""
    good_after: datetime | None = None
    """When the order becomes active, in UTC; None for at once."""
    outside_rth: bool = False
    """Whether it may trade outside regular trading hours."""
    algo: str = ""
    """Algorithm that works it; empty for none."""
    algo_params: str = ""
    """Its parameters as JSON; see :func:`~stocklean_exec.schema.order_terms.algo_tags`."""
    auction_until: datetime | None = None
    """Until when the auction that it was checked for takes orders, in UTC; None for none, or an unknown time."""

    @property
    def tariff(self) -> Tariff:
        """Tariff in force for this order."""
        return tariff_for(self.currency, self.exchange or "SMART", self.primary_exchange, self.decided_on)


class AccountFigures(NamedTuple):
    """Figures of an account that a broker reports together, in the base currency; NaN for one it does not report.

    ``currencies`` gives, for each currency with cash, the amount and the base currency per unit. ``buying_power``
    is several times ``available_funds`` in a margin account. ``initial_margin`` and ``maintenance_margin`` are
    what the positions need, ``equity_with_loan`` is what these are compared with.
    """

    nav: float
    cash: float
    base_currency: str
    settled_cash: float = math.nan
    available_funds: float = math.nan
    currencies: dict[str, tuple[float, float]] = {}  # noqa: RUF012 - never written into
    buying_power: float = math.nan
    initial_margin: float = math.nan
    maintenance_margin: float = math.nan
    equity_with_loan: float = math.nan

    @property
    def is_margin_account(self) -> bool:
        """Whether it is certain that this is a margin account.

        No field of TWS says reliably what an account is. One whose buying power is a multiple of its available
        funds is a margin account; any other may be a cash account.

        Examples
        --------
        >>> figures = AccountFigures(9_000.0, 9_000.0, "USD", available_funds=9_000.0)
        >>> figures.is_margin_account, figures._replace(buying_power=36_000.0).is_margin_account
        (False, True)
        """
        return self.available_funds > 0 and self.buying_power >= _LEVERAGE_OF_MARGIN * self.available_funds


class ExchangeRate(NamedTuple):
    """Base currency per unit of a currency, and when it was quoted; None where that is not known."""

    rate: float
    taken_at: datetime | None


class Broker(ABC):
    """A place to trade. A broker is a context manager that closes itself."""

    mode: Mode
    account: str
    address: str
    send_window: int = 1
    """How many orders may be prepared for sending in one commit of the record."""
    fault: str = ""
    """Why nothing can be sent or received any more; empty without a fault."""
    session: int = 0
    """Number of the connection: a new number means that reports may have been missed."""
    in_flight_seconds: float = 0.0
    """How long an order may be in flight to the broker before its absence there means something."""
    preview_pause: float = 0.0
    """Seconds between two previews of orders."""
    quotes_age: bool = True
    """Whether quotes age; False for a static market."""
    never_closes: bool = False
    """Whether everything trades at any time of any day; True for a static market."""
    lock_account: str | None = None
    """The account, where other processes of this computer can trade it too; None where none of them can."""

    # -- what a user asks ------------------------------------------------------------------------------------

    @abstractmethod
    def positions(self) -> pd.DataFrame:
        """What is held: :data:`~stocklean_exec.schema.tables.POSITIONS`."""

    @abstractmethod
    def quotes(self, symbols: object = None) -> pd.DataFrame:
        """Quotes of ``symbols`` (a list, a targets table, a mapping by symbol); all that are known for None."""

    def contract_quotes(self, contracts: pd.DataFrame) -> pd.DataFrame:
        """Quotes of these rows of positions, each in its own contract; one without an answer has no row.

        A symbol has a row for each of its contracts, by ``con_id``; by symbol alone at a broker that knows no
        contract numbers.
        """
        return self.quotes(list(dict.fromkeys(contracts["symbol"].tolist())))

    def trading_hours(self, instruments: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG002 - for brokers that know them
        """Hours of these contracts: :data:`~stocklean_exec.calendars.listing_hours.TRADING_HOURS`.

        A contract whose hours the broker does not report has no row.
        """
        return pd.DataFrame(columns=list(TRADING_HOURS))

    @abstractmethod
    def nav(self) -> float:
        """Net asset value of the account in its base currency."""

    @abstractmethod
    def cash(self) -> float:
        """Cash in the account's base currency."""

    @property
    def base_currency(self) -> str:
        """The currency that NAV and cash are in; empty where the broker does not name it."""
        return "USD"

    def account_figures(self) -> AccountFigures:
        """NAV, cash and the other figures of the account, read together."""
        return AccountFigures(self.nav(), self.cash(), self.base_currency)

    def exchange_rates(self, currencies: Sequence[str], base_currency: str) -> dict[str, ExchangeRate]:  # noqa: ARG002 - as below
        """Exchange rates by the broker's quotes of currency pairs; a currency without one is missing.

        They are for currencies that the account holds none of, and has no rate for itself.
        """
        return {}

    def account_state(self, targets: object = None, *, fx: Mapping[str, float] | None = None) -> AccountState:
        """Everything that planning and checking need to know of the account, read together.

        Parameters
        ----------
        targets : a targets table, or the path of one, or a list of symbols, or a table of orders: quotes of these
            symbols are read as well as those of the holdings and of the working orders
        fx : base currency per unit of currencies for which the broker has no rate, neither by the account's own
            books nor by a quote of the currency pair; a rate of the broker's own takes precedence

        Returns
        -------
        AccountState, for :func:`~stocklean_exec.plan_orders` and :func:`~stocklean_exec.check_orders` in the place
        of positions, quotes, NAV and cash. NAV, cash and the holdings at their quotes agree within 5 % of the
        value of all holdings.

        Raises
        ------
        BrokerError
            The broker cannot be queried, or its NAV, cash and holdings contradict each other twice in a row.
        InputError
            The targets cannot be read, or a rate differs from the broker's own by more than 5 %.

        Examples
        --------
        >>> import stocklean_exec as sx
        >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
        >>> state = broker.account_state({"SPY": 0.5})
        >>> state.nav, state.base_currency, state.quotes["symbol"].tolist()
        (10000.0, 'USD', ['SPY'])
        """
        wanted = _instruments_of(targets)
        state = self._read_account(wanted, fx)
        if difference(state):  # the account traded while it was read
            state = self._read_account(wanted, fx)
        contradiction = difference(state)
        if contradiction:
            raise BrokerError(
                f"the figures of account {mask_account(self.account)} contradict each other: {contradiction}; "
                "check the quotes, and whether the account holds what has no quote here"
            )
        return state

    async def account_state_async(
        self, targets: object = None, *, fx: Mapping[str, float] | None = None
    ) -> AccountState:
        """Awaitable form of :meth:`account_state`."""
        return await asyncio.to_thread(self.account_state, targets, fx=fx)

    def _read_account(self, wanted: pd.DataFrame | None, fx: Mapping[str, float] | None) -> AccountState:
        figures, taken_at = self.account_figures(), {"account": self.now()}
        positions, taken_at["positions"] = self.positions(), self.now()
        names = ["symbol", "sec_type", "currency", "primary_exchange", "con_id"]
        held = positions.loc[positions["quantity"] != 0, names]
        open_orders, taken_at["open_orders"] = self.open_orders(), self.now()
        tables = [held, open_orders[["symbol"]]]
        if wanted is not None:
            tables.insert(0, _with_contracts(wanted, held))
        symbols = pd.concat(tables).drop_duplicates("symbol", ignore_index=True)
        quotes, taken_at["quotes"] = self.quotes(symbols), self.now()
        shares = positions[positions["quantity"] != 0]
        names = contract_names(shares, traded_contracts(quotes, shares).by_symbol)
        other = shares[(shares["symbol"] != pd.array(names, dtype="str")).to_numpy(dtype=bool)]
        hours = self.trading_hours(symbols)
        never_closes = self.never_closes or _never_close(hours)
        base = figures.base_currency
        rows = [(currency, *amounts) for currency, amounts in figures.currencies.items()]
        named = (
            pd.concat([symbols["currency"], quotes["currency"], other["currency"]]).dropna()
            if "currency" in symbols
            else []
        )
        rates = self._exchange_rates_of(figures, {str(name) for name in named}, fx, taken_at["account"])
        return AccountState(
            account=self.account,
            base_currency=base,
            nav=figures.nav,
            cash=figures.cash,
            settled_cash=figures.settled_cash,
            available_funds=figures.available_funds,
            initial_margin=figures.initial_margin,
            maintenance_margin=figures.maintenance_margin,
            equity_with_loan=figures.equity_with_loan,
            is_margin_account=figures.is_margin_account,
            taken_at=taken_at,
            read_at=clock.now() if self.quotes_age else None,
            market_time=self.now() if never_closes else self.market_time(),
            never_closes=never_closes,
            _positions=positions,
            _quotes=quotes,
            _open_orders=open_orders,
            _cash_by_currency=pd.DataFrame(rows, columns=list(CASH_COLUMNS)) if rows else None,
            _fx=rates,
            _contract_quotes=self.contract_quotes(other) if len(other) else None,
            _trading_hours=hours,
        )

    def _exchange_rates_of(
        self, figures: AccountFigures, named: set[str], fx: Mapping[str, float] | None, taken_at: datetime
    ) -> pd.DataFrame:
        """Exchange rates from the account's own records, then from quotes of currency pairs, then as given.

        ``named`` are the currencies of targets, holdings and quotes.
        """
        base, given = figures.base_currency, parse_rates(fx, figures.base_currency)
        booked = {name: rate for name, (_, rate) in figures.currencies.items() if name != base and rate > 0}
        held = {name for name, (amount, _) in figures.currencies.items() if amount}
        missing = sorted((named | held) - {base} - set(booked))
        quoted = self.exchange_rates(missing, base) if missing else {}
        own = booked | {name: found.rate for name, found in quoted.items()}
        check_rates(given, own, base, self.account)
        parts = [fx_frame(booked, "account", taken_at)]
        parts += [fx_frame({name: found.rate}, "quote", found.taken_at) for name, found in quoted.items()]
        parts.append(
            fx_frame({name: rate for name, rate in given.items() if name not in own}, "given", self.now())
        )
        return pd.concat([part for part in parts if len(part)] or parts[:1])

    @abstractmethod
    def open_orders(self) -> pd.DataFrame:
        """Working orders of the account, whoever placed them.

        client_order_id (empty where an order has none), symbol, side, quantity, filled_quantity, order_type,
        limit_price, tif, aux_price, good_till, good_after, outside_rth, and with TWS order_id, perm_id and
        client_id.
        """

    @abstractmethod
    def cancel(self, client_order_id: str) -> None:
        """Request one order's cancellation; the result is published as events."""

    @abstractmethod
    def cancel_all(self) -> None:
        """Request the cancellation of every working order of ours."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect. Working orders stay where they are."""

    @property
    def orphans(self) -> pd.DataFrame:
        """Reports about orders that are not ours, or of runs without a subscriber."""
        return pd.DataFrame(columns=list(ORPHAN_COLUMNS))

    # -- what a run asks -------------------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> datetime:
        """The time by the broker's clock, in UTC."""

    def market_time(self) -> datetime:
        """The time by the clock of the broker's market, in UTC: whether that is open depends on it."""
        return self.now()

    @abstractmethod
    def follow(self, run_id: str, publish: Callable[..., None]) -> None:
        """Publish every event about the run's orders to ``publish``, from now on, also after the run has ended.

        Events that become known together may be published together: ``publish(*events)``.
        """

    @abstractmethod
    async def fetch_quotes(self, symbols: list[str]) -> pd.DataFrame:
        """Quotes of ``symbols`` now."""

    @abstractmethod
    async def place(self, ticket: Ticket) -> None:
        """Send one order. It counts as sent from the moment this is called."""

    async def modify(self, ticket: Ticket, number: int) -> None:
        """Change the limit of a working order under the id that it has.

        It counts as sent from the moment this is called, and is recorded as ``modifying`` before. The order stays
        on its old limit until the broker takes the new one: it may be filled at either. The answer is published as
        ``modified`` or ``modify_refused``; there may be none, if the order ends first, or the broker ignores it.
        After any other error than these it is not known whether the change has left.

        Parameters
        ----------
        ticket : the order as it is from now on, with its new limit and its whole quantity, as it was sent: what is
            filled already is part of it, and under one id no more is traded than it says
        number : of the change, the ``attempt`` of its events

        Raises
        ------
        OrderNotWorkingError
            The order is unknown here, not accepted yet or ended, or its cancel was requested; nothing was sent.
        ConnectionLostError
            The connection is down, to the broker or behind it; nothing was sent.
        BrokerError
            This broker changes no orders, or not to these terms; nothing was sent.
        """
        raise BrokerError(f"{type(self).__name__} cannot change {ticket.client_order_id} (change {number})")

    @abstractmethod
    def is_quiet(self) -> bool:
        """Whether nothing more will happen by itself: every order that is still open rests."""

    async def prepare(
        self,
        tickets: Sequence[Ticket],  # noqa: ARG002 - for brokers that prepare something
        on_progress: Callable[[int, int], None] | None = None,  # noqa: ARG002 - as above
    ) -> dict[str, tuple[str, str]]:
        """Prepare what the orders need; nothing is sent.

        Returns
        -------
        A reason code and a text by client order id, for each order that cannot be sent.
        """
        return {}

    async def preview(self, ticket: Ticket) -> OrderPreview:  # noqa: ARG002 - as above
        """Ask what an order would do to the account's margin. It is not sent, and nothing is traded.

        Raises
        ------
        BrokerError
            The broker does not answer, or gives no previews.
        """
        raise BrokerError(f"{type(self).__name__} gives no previews of orders")

    def order_id_for(self, client_order_id: str) -> tuple[int | None, int | None]:  # noqa: ARG002 - as above
        """Order id and client id that a prepared order will be sent with; None without such ids."""
        return None, None

    async def session_mark(self) -> tuple[int | None, int | None]:
        """Client id of this connection and its next order id now, for the record of a plan; None for neither."""
        return None, None

    # -- what a recovery asks --------------------------------------------------------------------------------

    @abstractmethod
    async def collect_evidence(self) -> Evidence:
        """Request everything that may have been missed. Its events are published to the subscriber of the run.

        Raises
        ------
        ConnectionLostError
            The connection ended before everything was reported.
        """

    def adopt(self, run_id: str, orders: Sequence[OrderHistory]) -> None:  # noqa: B027 - optional
        """Track orders of ``run_id`` that were sent earlier, to match reports about them."""

    @asynccontextmanager
    async def hold_run(self, run_id: str) -> AsyncIterator[None]:  # noqa: ARG002 - for brokers that can
        """Keep every other process that uses this broker from working ``run_id``, on any computer.

        Raises
        ------
        RunElsewhereError
            Another process works it.
        """
        yield

    def allow_again(self, names: Sequence[str]) -> None:  # noqa: B027 - optional
        """Allow these adopted orders to be sent again, with the ids they had."""

    async def restore_connection(self, seconds: float) -> None:
        """Reconnect until orders can be sent again, trying for ``seconds``.

        Raises
        ------
        ConnectionLostError
            It did not succeed in time.
        BrokerError
            It cannot succeed: for instance, another account answers.
        """
        raise ConnectionLostError(f"{self.fault or 'the broker is gone'} (after {seconds:g} s)")

    def skip_to(self, moment: datetime) -> bool:  # noqa: ARG002 - for brokers whose time is virtual
        """Let the time pass until ``moment`` at once; False where it passes by itself."""
        return False

    async def clock_lead(self) -> float:
        """Seconds that the clock of this computer is ahead of the broker's; 0 where there is only one."""
        return 0.0

    async def ping(self) -> None:  # noqa: B027 - optional
        """Make sure that the broker still answers; where it does not, ``fault`` says so afterwards."""

    async def place_all(
        self, tickets: Sequence[Ticket], gate: Callable[[Ticket], AbstractContextManager[object]]
    ) -> None:
        """Send orders in sequence, each within its ``gate``.

        The gate is opened right before an order is sent, after all other checks, on any thread. It raises when
        the order must not be sent. An order that has entered its gate counts as sent.
        """
        for ticket in tickets:
            with gate(ticket):
                await self.place(ticket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.mode} {mask_account(self.account)}>"

    def _repr_html_(self) -> str:
        return broker_card(self)


def broker_card(broker: Broker, *, show_account: bool = False) -> str:
    """Return the card of a broker: kind, account, address, and why it cannot send, if it cannot.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> "MOCK" in broker_card(sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000))
    True
    """
    account = broker.account if show_account else mask_account(broker.account)
    entries = [("account", account), ("address", broker.address.split("?", maxsplit=1)[0])]
    if broker.fault:
        entries.append(("cannot send", broker.fault))
    return card(type(broker).__name__, [broker.mode.upper()], entries)


def _never_close(hours: pd.DataFrame) -> bool:
    """Whether every contract whose hours are known trades at any time: then it does not matter what time it is."""
    texts = set(hours[["hours", "time_zone"]].itertuples(index=False, name=None))
    return bool(texts) and all(read_hours(*text).never_closes for text in texts)


def check_rates(given: Mapping[str, float], own: Mapping[str, float], base: str, account: str) -> None:
    """Refuse rates that differ from the broker's own by more than :data:`RATE_BAND`.

    Raises
    ------
    InputError
        With each of them.
    """
    problems = [
        Problem(
            "fx_mismatch",
            f"{rate:g} {base} per {name} is given, and account {mask_account(account)} has {own[name]:g}",
        )
        for name, rate in given.items()
        if name in own and abs(rate / own[name] - 1) > RATE_BAND
    ]
    if problems:
        raise InputError("fx", problems)


def _instruments_of(targets: object) -> pd.DataFrame | None:
    """Symbols, and what else is known of them, of the targets or orders that an account is read for."""
    is_table = (
        isinstance(targets, pd.DataFrame) and "symbol" in targets.columns and "weight" not in targets.columns
    )
    if targets is None:
        return None
    if not is_table and not isinstance(targets, (list, tuple, set)):
        targets = read_targets(targets)
    frame = pd.DataFrame({"symbol": symbols_of(targets)})
    for name in ("sec_type", "currency", "exchange", "primary_exchange", "con_id"):
        if isinstance(targets, pd.DataFrame) and name in targets.columns:
            frame[name] = targets[name].tolist()
    return frame


def _with_contracts(wanted: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """The instruments wanted, each with the contract that a plan would trade for it: its own, or the one held."""
    traded = traded_contracts(wanted, held).by_symbol
    numbers = [traded.get(symbol) or None for symbol in wanted["symbol"].tolist()]
    return wanted.assign(con_id=pd.array(numbers, dtype="Int64")) if any(numbers) else wanted


def symbols_of(symbols: object) -> list[str] | None:
    """Read the symbols passed to :meth:`Broker.quotes`, spelled as the planner does; None for everything.

    A text that cannot be a symbol stays as it is: a broker has no quote of it.

    Raises
    ------
    InputError
        It does not name symbols.

    Examples
    --------
    >>> symbols_of("SPY"), symbols_of({"spy": 0.5, "BRK.B": 0.5}), symbols_of(None)
    (['SPY'], ['SPY', 'BRK B'], None)
    """
    names = _names_of(symbols)
    if not names:
        return names
    frame = pd.DataFrame({"symbol": names, "quantity": 0.0})
    if isinstance(symbols, pd.DataFrame) and "currency" in symbols.columns:
        frame["currency"] = symbols["currency"].tolist()
    validator = FrameValidator(POSITIONS, frame, "quantity")
    spelled = validator.read_symbols()
    illegal = {problem.row for problem in validator.problems}
    return [names[row] if row in illegal else symbol for row, symbol in enumerate(spelled)]


def _names_of(symbols: object) -> list[str] | None:
    """Symbols as they were given; None for everything."""
    if symbols is None:
        return None
    if isinstance(symbols, str):
        return [symbols]
    columns = getattr(symbols, "columns", None)
    if columns is not None and "symbol" in columns:
        return [str(symbol) for symbol in cast("Any", symbols)["symbol"]]
    if _is_series(symbols) and all(isinstance(value, str) for value in cast("Any", symbols)):
        return list(cast("Any", symbols))  # targets["symbol"], and not weights by symbol
    if columns is not None or _is_series(symbols):
        return [str(symbol) for symbol in cast("Any", symbols).index]
    if not isinstance(symbols, Iterable):
        text = f"{symbols!r} is not a list of symbols, a targets table or a mapping by symbol"
        raise InputError("symbols", [Problem("wrong_type", text)])
    return [str(symbol) for symbol in symbols]


def _is_series(symbols: object) -> bool:
    return hasattr(symbols, "index") and hasattr(symbols, "to_frame")
