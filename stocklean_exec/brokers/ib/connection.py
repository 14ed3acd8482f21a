"""One connection to TWS, IB Gateway or a simulator of them: its requests, and what it hears.

Every request has a time limit and waits for its turn. Requests that share an answer go one after another. A
connection is made once; after its end there is a new one. The wire itself is in
:mod:`~stocklean_exec.brokers.ib.client`.
"""
# mypy: disable-error-code="no-untyped-call"
# ib_async is typed in part

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from stocklean_exec import clock
from stocklean_exec.brokers.base import mask_account
from stocklean_exec.brokers.ib.account_guard import explain_failure
from stocklean_exec.brokers.ib.client import Connection, Contract, Order, RequestError, make_contract, routed
from stocklean_exec.brokers.ib.market_data import Answer, Instrument, Refusal
from stocklean_exec.brokers.ib.translate import (
    ID_USED_UP,
    LINK_LOST,
    LINK_RESTORED,
    SIDES,
    TwsExecution,
    is_plain_text,
    known,
    number_problem,
)
from stocklean_exec.errors import BrokerError, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from stocklean_exec.brokers.base import Ticket
    from stocklean_exec.brokers.ib.order_tracker import OrderTracker
    from stocklean_exec.brokers.rate_limit import Pacer

__all__ = ["Collected", "Link", "LinkOwner", "Place"]

_SNAPSHOT_SECONDS = 12.0
_CLIENT_ID_IN_USE = 326
_CLOSING_SECONDS = 1.0
_COMPLETED_SECONDS = 3.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom to connect: ``seconds`` is the time limit of every request, ``zone`` the login's."""

    host: str
    port: int
    client_id: int
    account: str | None
    seconds: float
    zone: str


class Collected(NamedTuple):
    """What was asked for: the open orders, the next order id if it was asked for, and what TWS did not tell."""

    open_orders: list[dict[str, Any]]
    next_id: int | None
    gaps: str


class LinkOwner(Protocol):
    """Who is told of a connection's fate."""

    def on_failure(self, what: str, error: BaseException) -> None:
        """Something that TWS said may be lost."""

    def on_lost(self) -> None:
        """The connection is gone, and nobody has closed it."""

    def on_cut(self) -> None:
        """TWS has lost IB (1100)."""

    def on_restored(self) -> None:
        """TWS has IB back (1101, 1102)."""

    def on_doubt(self) -> None:
        """An order id was used before: perhaps by the order itself."""

    def on_puzzle(self) -> None:
        """An order is shown as Inactive, which can mean several things."""


class Link:
    """One connection: its requests, and what it hears. Made and used on the engine's thread only.

    Parameters
    ----------
    desk : told of every order message
    pacer : counts every message that leaves
    owner : told of the connection's fate
    """

    def __init__(self, place: Place, desk: OrderTracker, pacer: Pacer, owner: LinkOwner) -> None:
        self.place, self.desk, self.pacer = place, desk, pacer
        self.zone = place.zone
        self.accounts: list[str] = []
        self.heard: list[str] = []
        self.version = 0
        self.next_id = 0
        self.is_cut = False
        self.is_ready = False
        self.is_leaving = False
        self._owner = owner
        self._hopeless: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shared = asyncio.Lock()
        self._collecting = asyncio.Lock()
        self._open: dict[int, dict[str, Any]] | None = None
        self._next_id_asked: asyncio.Future[int] | None = None
        self._restored = asyncio.Event()
        self._restored.set()
        self._ib = Connection(self)

    # -- connecting ------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect and synchronise; raise an error that says what to do."""
        place = self.place
        self.pacer.spend()  # the greeting does not go through the client's sender
        attempt = asyncio.ensure_future(
            self._ib.start(place.host, place.port, place.client_id, place.account or "", place.seconds)
        )
        try:
            await asyncio.wait({attempt, self._hopeless}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                attempt.cancel()
            await attempt
        except (Exception, asyncio.CancelledError) as error:
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            await self.close()
            if isinstance(error, asyncio.CancelledError) and not self._hopeless.done():
                raise
            where = f"{place.host}:{place.port}"
            text = explain_failure(
                where, place.client_id, place.seconds, heard=self.heard, error=error, version=self.version
            )
            raise ConnectionLostError(text) from error
        self.is_ready = True

    async def close(self) -> None:
        """Close the connection, and wait until the socket is gone."""
        self.is_ready = False
        connection = self._ib.client.conn
        transport = connection.transport
        gone = asyncio.Event()
        connection.disconnected += lambda _: gone.set()
        self._ib.stop()
        if connection.transport is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), _CLOSING_SECONDS)
        if transport is not None:
            transport.abort()  # a peer that does not read would keep it open; harmless where it is closed
            await asyncio.sleep(0)

    def hear(self, what: str, version: int = 0) -> None:
        """Note why the connection may be about to fail."""
        self.version = version or self.version
        if not self.is_ready and not self.is_leaving:
            self.heard.append(what)
            if not self._hopeless.done():
                self._hopeless.set_result(None)

    def require_open(self) -> None:
        """Raise BrokerError when nothing can be sent."""
        if not self._ib.is_usable():
            raise ConnectionLostError("the connection to TWS is gone; broker.reconnect() makes a new one")

    async def restored(self, seconds: float) -> None:
        """Wait until TWS has IB back.

        Raises
        ------
        ConnectionLostError
            It has not within ``seconds``.
        """
        try:
            await asyncio.wait_for(self._restored.wait(), seconds)
        except TimeoutError:
            text = f"TWS has been without its connection to IB (1100) for {seconds:g} s"
            raise ConnectionLostError(text) from None

    # -- requests --------------------------------------------------------------------------------------------

    async def _ask(self, start: Callable[[], Awaitable[T]], what: str, seconds: float = 0.0) -> T:
        limit = seconds or self.place.seconds
        async with self.pacer.turn():
            self.require_open()
            answer = start()
        try:
            return await asyncio.wait_for(answer, limit)
        except TimeoutError:
            raise BrokerError(f"TWS did not answer the request for {what} within {limit:g} s") from None
        except ConnectionError as error:
            raise ConnectionLostError(f"the connection to TWS was lost during the request for {what}") from error

    async def contract_details(self, instrument: Instrument) -> list[Any] | Refusal:
        """Contracts that fit an instrument."""
        if not is_plain_text("".join(instrument)):
            return Refusal(200, f"{instrument.symbol!r} has characters that TWS does not take")
        asked = make_contract(*instrument)
        try:
            found = await self._ask(lambda: self._ib.reqContractDetailsAsync(asked), f"contract {asked.symbol}")
        except RequestError as error:
            return Refusal(error.code, error.message)
        return [routed(details.contract, instrument.exchange) for details in found if details.contract is not None]

    async def snapshot(self, contract: Contract) -> Answer | Refusal:
        """One quote; silence counts as a refusal, after what was heard until then."""
        request: list[Any] = []

        def start() -> Awaitable[object]:
            number, ticker, done = self._ib.request_snapshot(contract)
            request[:] = number, ticker
            return done

        try:
            await self._ask(start, f"a quote of {contract.symbol}", min(self.place.seconds, _SNAPSHOT_SECONDS))
        except RequestError as error:
            return Refusal(error.code, error.message)
        except BrokerError as error:
            self.require_open()
            ticker = request[1]
            if not any(price > 0 for price in (ticker.bid, ticker.ask, ticker.last, ticker.close)):
                return Refusal(0, str(error))
        finally:
            if request:
                self._ib.forget_snapshot(request[0])
        ticker = request[1]
        return Answer(
            ticker.bid,
            ticker.ask,
            ticker.last,
            ticker.close,
            ticker.bidSize,
            ticker.askSize,
            ticker.marketDataType or 1,
            clock.now(),
        )

    async def use_delayed_data(self) -> None:
        """From now on delayed data where there is no live data."""
        async with self.pacer.turn():
            self.require_open()
            self._ib.client.reqMarketDataType(3)

    async def current_time(self) -> None:
        """Ask for the time, for a sign of life."""
        async with self._shared:
            await self._ask(self._ib.reqCurrentTimeAsync, "the time")

    async def positions(self) -> list[Any]:
        """All positions of the login, asked for anew."""
        async with self._shared:
            return list(await self._ask(self._ib.reqPositionsAsync, "positions"))

    async def account_value(self, account: str, tag: str) -> tuple[float, str]:
        """One figure of the account summary, and its currency: the account's base currency."""
        request: list[int] = []

        def start() -> Awaitable[object]:
            number, done = self._ib.request_summary(tag)
            request.append(number)
            return done

        async with self._shared:
            try:
                await self._ask(start, tag)
            except RequestError as error:
                raise BrokerError(f"TWS does not tell {tag}: {error.message} ({error.code})") from error
            async with self.pacer.turn():
                self.require_open()
                self._ib.client.cancelAccountSummary(request[0])
            values = self._ib.summary_values(account, tag)
        figure = known(float(values[0][0])) if values else None
        if figure is None:
            raise BrokerError(f"TWS does not tell {tag} of account {mask_account(account)}")
        return figure, values[0][1]

    async def open_orders(self) -> list[dict[str, Any]]:
        """Every open order of the login, whoever placed it."""
        async with self._shared:
            self._open = {}
            try:
                await self._ask(self._ib.reqAllOpenOrdersAsync, "open orders")
                return list(self._open.values())
            finally:
                self._open = None

    async def completed_orders(self) -> None:
        """Ask which orders of the day are over; TWS is known not to answer this one at times."""
        async with self._shared:
            await self._ask(
                lambda: self._ib.reqCompletedOrdersAsync(apiOnly=False), "completed orders", _COMPLETED_SECONDS
            )

    async def fresh_next_id(self) -> int:
        """The next order id of this client as TWS sees it now."""
        async with self._shared:
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._next_id_asked = answer

            def start() -> Awaitable[int]:
                self._ib.client.reqIds(1)
                return answer

            return await self._ask(start, "the next order id")

    async def collect_evidence(self, *, with_next_id: bool = False) -> Collected:
        """Ask for everything that can have happened unheard: open orders, completed orders, executions."""
        gaps: list[str] = []

        async def ask(work: Awaitable[T]) -> T | None:
            try:
                return await work
            except ConnectionLostError:
                raise
            except (BrokerError, RequestError) as error:
                gaps.append(str(error))
                return None

        async with self._collecting:
            self.desk.forget_refs()
            # The executions come last: what is filled between two requests is missed by neither.
            opened = await ask(self.open_orders()) or []
            await ask(self.completed_orders())
            await ask(self._ask(self._ib.reqExecutionsAsync, "executions"))
            next_id = await ask(self.fresh_next_id()) if with_next_id else None
        return Collected(opened, next_id, "; ".join(gaps))

    def pass_over_ids(self, highest: int) -> None:
        """Use no id up to ``highest`` for anything else."""
        self._ib.client.updateReqId(highest + 1)

    # -- orders ----------------------------------------------------------------------------------------------

    def reserve_ids(self, count: int) -> list[int]:
        """Take the next ``count`` order ids."""
        self.require_open()
        return [self._ib.client.getReqId() for _ in range(count)]

    def make_order(self, ticket: Ticket, order_id: int) -> Order:
        """The order of a ticket, with everything in it that must not be left to a preset of TWS.

        Raises
        ------
        BrokerError
            A number or a string of it must not go out.
        """
        problem = number_problem(ticket.quantity, ticket.limit_price)
        if problem is not None:
            raise BrokerError(f"{ticket.client_order_id}: {problem}; it was not sent")
        order = Order(
            orderId=order_id,
            clientId=self.place.client_id,
            action=ticket.side,
            totalQuantity=float(ticket.quantity),
            orderType=ticket.order_type,
            tif=ticket.tif,
            account=ticket.account,
            orderRef=ticket.client_order_id,
            outsideRth=False,
            transmit=True,
        )
        if not math.isnan(ticket.limit_price):
            order.lmtPrice = float(ticket.limit_price)
        for value in (ticket.side, ticket.order_type, ticket.tif, ticket.account, ticket.client_order_id):
            if not value or not is_plain_text(value):
                raise BrokerError(f"{ticket.client_order_id!r}: {value!r} cannot be sent")
        return order

    def send_order(self, contract: Contract, order: Order) -> None:
        """Let an order leave, within a turn of the pacer."""
        # The client and not the IB: that would keep an order of its own, and may fail after it has sent.
        self._ib.client.placeOrder(order.orderId, contract, order)

    async def send_cancel(self, order_id: int) -> None:
        """Ask for the cancel of an order of this client."""
        async with self.pacer.turn():
            self.require_open()
            self._ib.client.cancelOrder(order_id)

    @property
    def account(self) -> str:
        """The account that was asked for, or the only one of the login; empty if there is no telling."""
        return self.place.account or (self.accounts[0] if len(self.accounts) == 1 else "")

    # -- what is heard ---------------------------------------------------------------------------------------

    def count_message(self) -> None:
        """One message leaves now."""
        self.pacer.spend()

    def together(self) -> AbstractContextManager[None]:
        """What is heard within the block came in one piece."""
        return self.desk.together()

    def guard(self, handler: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401 - a message's fields
        """Run a handler of ours; its failure must neither vanish nor keep ib_async from the message."""
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, sending must stop
            self.fail(f"{getattr(handler, '__name__', 'a handler')} failed", error)

    def fail(self, what: str, error: BaseException) -> None:
        """Something that was told may be lost: note it, and stop sending."""
        self._owner.on_failure(what, error)

    def on_next_id(self, order_id: int) -> None:
        """The next order id of this client; what becomes of our orders' ids is decided by the first one."""
        if not self.next_id:
            self.next_id = order_id
            self.desk.connected(order_id)
        if self._next_id_asked is not None and not self._next_id_asked.done():
            self._next_id_asked.set_result(order_id)

    def on_open_order(self, contract: Contract, order: Order, state: Any) -> None:  # noqa: ANN401 - an OrderState
        """An order as it stands."""
        ours = order.clientId == self.place.client_id and order.account == self.account
        if self._open is not None:
            self._open[order.permId] = {
                "client_order_id": order.orderRef,
                "symbol": contract.symbol,
                "side": SIDES.get(order.action, order.action),
                "quantity": float(order.totalQuantity),
                "filled_quantity": 0.0,
                "order_type": order.orderType,
                "limit_price": _limit_of(order),
                "order_id": order.orderId,
                "perm_id": order.permId,
                "client_id": order.clientId,
                "account": order.account,
            }
        self.desk.on_open_order(
            order.orderId,
            order.clientId,
            order.permId,
            order.orderRef,
            state.status,
            float(order.totalQuantity),
            ours=ours,
        )

    def on_status(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        _average: float,
        perm_id: int,
        _parent_id: int,
        _last_price: float,
        client_id: int,
        why_held: str = "",
    ) -> None:
        """How far an order is."""
        if self._open is not None and perm_id in self._open:
            self._open[perm_id]["filled_quantity"] = known(filled) or 0.0
        ours = client_id == self.place.client_id
        self.desk.on_status(order_id, perm_id, status, filled, remaining, why_held, ours=ours)
        if status == "Inactive":
            self._owner.on_puzzle()

    def on_execution(self, contract: Contract, execution: Any) -> None:  # noqa: ANN401 - an Execution
        """An execution, live or asked for."""
        heard = TwsExecution(
            exec_id=execution.execId,
            time=execution.time,
            account=execution.acctNumber,
            exchange=execution.exchange,
            side=execution.side,
            shares=execution.shares,
            price=execution.price,
            perm_id=execution.permId,
            client_id=execution.clientId,
            order_id=execution.orderId,
            order_ref=execution.orderRef,
            symbol=contract.symbol,
            last_liquidity=execution.lastLiquidity,
        )
        self.desk.on_execution(heard, ours=execution.clientId == self.place.client_id)

    def on_commission(self, exec_id: str, commission: float, currency: str) -> None:
        """What an execution cost."""
        self.desk.on_commission(exec_id, commission, currency)

    def on_completed(self, perm_id: int, order_ref: str, word: str, filled: float, text: str) -> None:
        """An order that is over, and how many of its shares were filled."""
        self.desk.on_completed(perm_id, order_ref, word, known(filled), text, client_id=self.place.client_id)

    def on_error(self, number: int, code: int, text: str, *, is_request: bool) -> None:
        """A message with a code, about a request, an order, or the system (-1)."""
        if code == _CLIENT_ID_IN_USE:
            self.hear(str(code))
        if number > 0:
            if not is_request and self.desk.on_message(number, code, text) and code == ID_USED_UP:
                self._owner.on_doubt()
        elif code in LINK_LOST:
            self.is_cut = True
            self._restored.clear()
            self._owner.on_cut()
        elif code in LINK_RESTORED:
            self.is_cut = False
            self._restored.set()
            self._owner.on_restored()

    def on_lost(self) -> None:
        """The connection is gone, and we did not close it."""
        self.is_ready = False
        if self._next_id_asked is not None and not self._next_id_asked.done():
            self._next_id_asked.set_exception(ConnectionError("the connection to TWS is gone"))
        self._owner.on_lost()


def _limit_of(order: Order) -> float:
    limit = known(None if order.lmtPrice is None else float(order.lmtPrice))
    return math.nan if limit is None or order.orderType == "MKT" else limit
