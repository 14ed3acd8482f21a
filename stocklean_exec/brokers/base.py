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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError, Problem
from stocklean_exec.portfolio.account_state import CASH_COLUMNS, AccountState, difference, fx_frame
from stocklean_exec.schema.account_ids import is_paper_account, mask_account
from stocklean_exec.schema.files import read_targets
from stocklean_exec.schema.frame_validator import FrameValidator
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from types import TracebackType

    from stocklean_exec.blotter.order_history import OrderHistory
    from stocklean_exec.brokers.evidence import Evidence

__all__ = [
    "ORPHAN_COLUMNS",
    "AccountFigures",
    "Broker",
    "Mode",
    "Ticket",
    "broker_card",
    "is_paper_account",
    "mask_account",
    "symbols_of",
]

Mode = Literal["mock", "paper", "live"]
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
    """One order as it is sent to a broker. ``limit_price`` is NaN for an order without a limit."""

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
    fx_rate: float = 1.0
    """Base currency of the account per unit of ``currency``, as the plan was checked with."""


class AccountFigures(NamedTuple):
    """Figures of an account that a broker reports together, in the base currency; NaN for one it does not report.

    ``currencies`` gives, for each currency with cash, the amount and the base currency per unit.
    """

    nav: float
    cash: float
    base_currency: str
    settled_cash: float = math.nan
    available_funds: float = math.nan
    currencies: dict[str, tuple[float, float]] = {}  # noqa: RUF012 - never written into


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
    quotes_age: bool = True
    """Whether quotes grow old; False where the market stands still."""
    lock_account: str | None = None
    """The account, where other processes of this computer can trade it too; None where none of them can."""

    # -- what a user asks ------------------------------------------------------------------------------------

    @abstractmethod
    def positions(self) -> pd.DataFrame:
        """What is held: :data:`~stocklean_exec.schema.tables.POSITIONS`."""

    @abstractmethod
    def quotes(self, symbols: object = None) -> pd.DataFrame:
        """Quotes of ``symbols`` (a list, a targets table, a mapping by symbol); all that are known for None."""

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
        """NAV, cash and the like, read together."""
        return AccountFigures(self.nav(), self.cash(), self.base_currency)

    def account_state(self, targets: object = None) -> AccountState:
        """Everything that planning and checking need to know of the account, read together.

        Parameters
        ----------
        targets : a targets table, or the path of one, or a list of symbols, or a table of orders: quotes of these
            symbols are read as well as those of the holdings and of the working orders

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
            The targets cannot be read.

        Examples
        --------
        >>> import stocklean_exec as sx
        >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
        >>> state = broker.account_state({"SPY": 0.5})
        >>> state.nav, state.base_currency, state.quotes["symbol"].tolist()
        (10000.0, 'USD', ['SPY'])
        """
        wanted = _instruments_of(targets)
        state = self._read_account(wanted)
        if difference(state):  # the account traded while it was read
            state = self._read_account(wanted)
        contradiction = difference(state)
        if contradiction:
            raise BrokerError(
                f"the figures of account {mask_account(self.account)} contradict each other: {contradiction}; "
                "check the quotes, and whether the account holds what has no quote here"
            )
        return state

    async def account_state_async(self, targets: object = None) -> AccountState:
        """Awaitable form of :meth:`account_state`."""
        return await asyncio.to_thread(self.account_state, targets)

    def _read_account(self, wanted: pd.DataFrame | None) -> AccountState:
        figures, taken_at = self.account_figures(), {"account": self.now()}
        positions, taken_at["positions"] = self.positions(), self.now()
        names = ["symbol", "sec_type", "currency"]
        held = positions.loc[positions["quantity"] != 0, names]
        open_orders, taken_at["open_orders"] = self.open_orders(), self.now()
        tables = [held, open_orders[["symbol"]]]
        if wanted is not None:
            tables.insert(0, wanted)
        symbols = pd.concat(tables, ignore_index=True).drop_duplicates("symbol")
        quotes, taken_at["quotes"] = self.quotes(symbols), self.now()
        base = figures.base_currency
        rows = [(currency, *amounts) for currency, amounts in figures.currencies.items()]
        rates = {
            currency: rate
            for currency, (_, rate) in figures.currencies.items()
            if currency != base and not math.isnan(rate)
        }
        return AccountState(
            account=self.account,
            base_currency=base,
            nav=figures.nav,
            cash=figures.cash,
            settled_cash=figures.settled_cash,
            available_funds=figures.available_funds,
            taken_at=taken_at,
            read_at=clock.now() if self.quotes_age else None,
            _positions=positions,
            _quotes=quotes,
            _open_orders=open_orders,
            _cash_by_currency=pd.DataFrame(rows, columns=list(CASH_COLUMNS)) if rows else None,
            _fx=fx_frame(rates, "account", taken_at["account"]),
        )

    @abstractmethod
    def open_orders(self) -> pd.DataFrame:
        """Working orders of the account, whoever placed them.

        client_order_id (empty where an order has none), symbol, side, quantity, filled_quantity, order_type,
        limit_price, and with TWS order_id, perm_id and client_id.
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
            The connection ended before all was reported.
        """

    def adopt(self, run_id: str, orders: Sequence[OrderHistory]) -> None:  # noqa: B027 - optional
        """Track orders of ``run_id`` that were sent earlier, to match reports about them."""

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
    for name in ("sec_type", "currency", "exchange"):
        if isinstance(targets, pd.DataFrame) and name in targets.columns:
            frame[name] = targets[name].tolist()
    return frame


def symbols_of(symbols: object) -> list[str] | None:
    """Read the symbols passed to :meth:`Broker.quotes`, spelled as the planner does; None for everything.

    A text that cannot be a symbol stays as it is: a broker has no quote of it.

    Raises
    ------
    InputError
        It is nothing that names symbols.

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
        text = f"{symbols!r} is no list of symbols, targets table or mapping by symbol"
        raise InputError("symbols", [Problem("wrong_type", text)])
    return [str(symbol) for symbol in symbols]


def _is_series(symbols: object) -> bool:
    return hasattr(symbols, "index") and hasattr(symbols, "to_frame")
