"""One connection to TWS, IB Gateway or a simulator of them: its requests, and the reports it receives.

Every request has a time limit and waits for its turn. Requests that share an answer are sent in sequence. A
connection is not reused; after its end a new one is made. The protocol itself is in
:mod:`~stocklean_exec.brokers.ib.client`.
"""
# mypy: disable-error-code="no-untyped-call"
# ib_async is typed in part

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from stocklean_exec import clock
from stocklean_exec.brokers.ib.account_guard import explain_failure
from stocklean_exec.brokers.ib.client import (
    Contract,
    IBClient,
    Order,
    OrderState,
    RequestError,
    TagValue,
    make_contract,
    routed,
)
from stocklean_exec.brokers.ib.instruments import Instrument, Listing, Refusal
from stocklean_exec.brokers.ib.order_states import preview_of
from stocklean_exec.brokers.ib.quote_times import Answer
from stocklean_exec.brokers.ib.translate import (
    ID_USED_UP,
    LINK_LOST,
    LINK_RESTORED,
    MAY_HAVE_ENDED,
    SIDES,
    TwsExecution,
    is_plain_text,
    known,
    number_problem,
    utc_time_text,
)
from stocklean_exec.brokers.order_preview import OrderPreview
from stocklean_exec.errors import BrokerError, ClientIdInUseError, ConnectionLostError
from stocklean_exec.schema.order_terms import CAPPED, MARKET_TYPES, PEGGED, PERMISSIONS, STOPS, algo_tags, tws_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from stocklean_exec.brokers.base import Ticket
    from stocklean_exec.brokers.ib.order_tracker import OrderTracker
    from stocklean_exec.brokers.rate_limit import Pacer

__all__ = ["Connection", "ConnectionOwner", "Endpoint", "Reports"]

_SNAPSHOT_SECONDS = 12.0  # TWS ends a snapshot after 11 s at the latest, by its documentation; and a second
_CLIENT_ID_IN_USE = 326  # message code of TWS
_CLOSING_SECONDS = 1.0  # a choice: a local peer closes within milliseconds
_PREVIEW_SECONDS = 10.0  # a choice: TWS answers within a second or two, or not at all
_RULE_SECONDS = 2.0  # a choice: ib_async itself waits one second for the answer
_COMPLETED_SECONDS = 3.0  # a choice: TWS answers at once or, at times, not at all

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to connect.

    ``seconds`` is the time limit of every request, ``zone`` that of the login, ``is_zone_given`` whether a user
    named it.
    """

    host: str
    port: int
    client_id: int
    account: str | None
    seconds: float
    zone: str
    is_zone_given: bool = False


class Reports(NamedTuple):
    """The open orders, the next order id if it was requested, and which requests TWS did not answer."""

    open_orders: list[dict[str, Any]]
    next_id: int | None
    gaps: str


class ConnectionOwner(Protocol):
    """Receives the changes of a connection's state."""

    def on_failure(self, what: str, error: BaseException) -> None:
        """A report of TWS may be lost."""

    def on_lost(self) -> None:
        """The connection was lost; we did not close it."""

    def on_cut(self) -> None:
        """TWS has lost IB (1100)."""

    def on_restored(self) -> None:
        """TWS has IB back (1101, 1102)."""

    def on_duplicate_id(self) -> None:
        """An order id was used before: perhaps by the order itself (103)."""

    def on_doubt(self) -> None:
        """A change of an order was refused with a code by which the order may have ended."""

    def on_refusal(self) -> None:
        """An unknown code has come about an order that was never accepted."""

    def on_inactive(self) -> None:
        """An order may have ended: it is shown as Inactive, or as ended without its fills."""


class Connection:
    """One connection: its requests, and the reports it receives. Used on the broker's thread only.

    Parameters
    ----------
    tracker : receives every order message
    pacer : counts every message that leaves
    owner : receives the changes of the connection's state
    """

    def __init__(self, place: Endpoint, tracker: OrderTracker, pacer: Pacer, owner: ConnectionOwner) -> None:
        self.place, self.tracker, self.pacer = place, tracker, pacer
        self.zone, self.is_zone_given = place.zone, place.is_zone_given
        self.unread_time = ""
        self.accounts: list[str] = []
        self.causes: list[str] = []
        self.version = 0
        self.next_id = 0
        self.is_cut = False
        self.is_ready = False
        self.is_closing = False
        self.last_preview_id = 0
        self._owner = owner
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shared = asyncio.Lock()
        self._collecting = asyncio.Lock()
        self._open: dict[int, dict[str, Any]] | None = None
        self._next_id_answer: asyncio.Future[int] | None = None
        self._restored = asyncio.Event()
        self._restored.set()
        self._ib = IBClient(self)

    # -- connecting ------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect and synchronise; raise an error that says what to do."""
        place = self.place
        self.pacer.spend()  # the greeting does not go through the client's sender
        attempt = asyncio.ensure_future(self._ib.start(place.host, place.port, place.client_id, place.seconds))
        try:
            await asyncio.wait({attempt, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                attempt.cancel()
            await attempt
        except (Exception, asyncio.CancelledError) as error:
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            await self.close()
            if isinstance(error, asyncio.CancelledError) and not self._failed.done():
                raise
            where = f"{place.host}:{place.port}"
            text = explain_failure(
                where, place.client_id, place.seconds, causes=self.causes, error=error, version=self.version
            )
            # Without a message TWS has, as far as is known, no other reason to close after its version.
            in_use = str(_CLIENT_ID_IN_USE) in self.causes or ("closed" in self.causes and self.version)
            raise (ClientIdInUseError if in_use else ConnectionLostError)(text) from error
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

    def note_cause(self, what: str, version: int = 0) -> None:
        """Note a possible cause of a failing connection."""
        self.version = version or self.version
        if not self.is_ready and not self.is_closing:
            self.causes.append(what)
            if not self._failed.done():
                self._failed.set_result(None)

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

    async def _request(self, start: Callable[[], Awaitable[T]], what: str, seconds: float = 0.0) -> T:
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

    async def contract_details(self, instrument: Instrument) -> list[Listing] | Refusal:
        """Contracts that fit an instrument."""
        if not is_plain_text("".join(map(str, instrument))):
            return Refusal(200, f"{instrument.symbol!r} has characters that TWS does not take")
        asked = make_contract(*instrument)
        try:
            found = await self._request(
                lambda: self._ib.reqContractDetailsAsync(asked), f"contract {instrument.symbol}"
            )
        except RequestError as error:
            return Refusal(error.code, error.message)
        return [
            Listing(
                routed(details.contract, instrument.exchange),
                magnifier=float(details.priceMagnifier or 1),  # 0 is what TWS sends where there is none
                min_tick=_positive(details.minTick),
                min_size=_positive(details.minSize),
                size_increment=_positive(details.sizeIncrement),
                hours=details.liquidHours or details.tradingHours,
                time_zone=details.timeZoneId,
                read_at=clock.now(),
                rule_id=_rule_of(details, instrument.exchange),
                order_types=tuple(word for word in (details.orderTypes or "").split(",") if word in PERMISSIONS),
            )
            for details in found
            if details.contract is not None
        ]

    async def price_steps(self, rule_id: int) -> tuple[tuple[float, float], ...]:
        """Price levels and steps of a market rule; empty where TWS does not report them."""
        try:
            found = await self._request(
                lambda: self._ib.reqMarketRuleAsync(rule_id), f"market rule {rule_id}", _RULE_SECONDS
            )
        except ConnectionLostError:
            raise
        except (BrokerError, RequestError):  # the contract's smallest tick is known anyway
            return ()
        return tuple((float(one.lowEdge), float(one.increment)) for one in found or ())

    async def snapshot(self, contract: Contract) -> Answer | Refusal:
        """One quote; silence counts as a refusal, unless a price has arrived."""
        request: list[Any] = []

        def start() -> Awaitable[object]:
            number, ticker, done = self._ib.request_snapshot(contract)
            request[:] = number, ticker
            return done

        try:
            await self._request(start, f"a quote of {contract.symbol}", min(self.place.seconds, _SNAPSHOT_SECONDS))
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
            ticker.lastTimestamp,
            ticker.delayedLastTimestamp,
            ticker.halt_code,
        )

    async def use_delayed_data(self) -> None:
        """From now on delayed data where there is no live data."""
        async with self.pacer.turn():
            self.require_open()
            self._ib.client.reqMarketDataType(3)

    async def current_time(self) -> datetime:
        """Request the time of TWS, in UTC; also to check that TWS answers."""
        async with self._shared:
            there: datetime = await self._request(self._ib.reqCurrentTimeAsync, "the time")
        return there.astimezone(UTC)

    async def positions(self) -> list[Any]:
        """All positions of the login, requested again."""
        async with self._shared:
            return list(await self._request(self._ib.reqPositionsAsync, "positions"))

    async def account_summary(self, account: str, tags: str) -> dict[tuple[str, str], float]:
        """Figures of the account summary by tag and currency; figures that TWS does not report are missing.

        Parameters
        ----------
        tags : names with commas; ``$LEDGER:ALL`` gives the cash and the exchange rate of each currency
        """
        request: list[int] = []

        def start() -> Awaitable[object]:
            number, done = self._ib.request_summary(tags)
            request.append(number)
            return done

        async with self._shared:
            try:
                await self._request(start, tags)
            except RequestError as error:
                raise BrokerError(f"TWS does not report {tags}: {error.message} ({error.code})") from error
            async with self.pacer.turn():
                self.require_open()
                self._ib.client.cancelAccountSummary(request[0])
            values = self._ib.summary_values(account)
        figures = {(tag, currency): known(_number(text)) for tag, currency, text in values}
        return {place: figure for place, figure in figures.items() if figure is not None}

    async def open_orders(self) -> list[dict[str, Any]]:
        """Every open order of the login, whoever placed it."""
        async with self._shared:
            self._open = {}
            try:
                await self._request(self._ib.reqAllOpenOrdersAsync, "open orders")
                return list(self._open.values())
            finally:
                self._open = None

    async def completed_orders(self) -> None:
        """Request the completed orders of the day; TWS is known not to answer this request at times."""
        async with self._shared:
            await self._request(
                lambda: self._ib.reqCompletedOrdersAsync(apiOnly=False), "completed orders", _COMPLETED_SECONDS
            )

    async def fresh_next_id(self) -> int:
        """The next order id of this client as TWS sees it now."""
        async with self._shared:
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._next_id_answer = answer

            def start() -> Awaitable[int]:
                self._ib.client.reqIds(1)
                return answer

            return await self._request(start, "the next order id")

    async def collect_reports(self, *, with_next_id: bool = False) -> Reports:
        """Request all that may have been missed: open orders, completed orders, executions."""
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
            self.tracker.forget_refs()
            # The executions come last: what is filled between two requests is missed by neither.
            opened = await ask(self.open_orders()) or []
            await ask(self.completed_orders())
            await ask(self._request(self._ib.reqExecutionsAsync, "executions"))
            next_id = await ask(self.fresh_next_id()) if with_next_id else None
        return Reports(opened, next_id, "; ".join(gaps))

    def pass_over_ids(self, highest: int) -> None:
        """Use no id up to ``highest`` for anything else."""
        self._ib.client.updateReqId(highest + 1)

    # -- orders ----------------------------------------------------------------------------------------------

    def reserve_ids(self, count: int) -> list[int]:
        """Take the next ``count`` order ids."""
        self.require_open()
        return [self._ib.client.getReqId() for _ in range(count)]

    def make_order(
        self,
        ticket: Ticket,
        order_id: int,
        limit_price: float | None = None,
        aux_price: float | None = None,
    ) -> Order:
        """The order of a ticket, with every field set that a preset of TWS could change.

        ``limit_price`` and ``aux_price`` are the ticket's in the unit of TWS's quotes, where that is another than
        its own.

        Raises
        ------
        BrokerError
            A number or a string in it cannot be sent.
        """
        limit = ticket.limit_price if limit_price is None else limit_price
        aux = ticket.aux_price if aux_price is None else aux_price
        problem = number_problem(ticket.quantity, limit, aux)
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
            outsideRth=ticket.outside_rth,
            goodTillDate=_time_text(ticket.good_till),
            goodAfterTime=_time_text(ticket.good_after),
            algoStrategy=ticket.algo,
            transmit=True,
        )
        if not math.isnan(limit):
            order.lmtPrice = float(limit)
        if not math.isnan(aux):
            order.auxPrice = float(aux)  # also 0, the offset of a relative order: unset would be an error
        order.algoParams = [TagValue(tag, value) for tag, value in _tags_of(ticket)]
        for value in (ticket.side, ticket.order_type, ticket.tif, ticket.account, ticket.client_order_id):
            if not value or not is_plain_text(value):
                raise BrokerError(f"{ticket.client_order_id!r}: {value!r} cannot be sent")
        return order

    def send_order(self, contract: Contract, order: Order) -> None:
        """Send an order, within a turn of the pacer."""
        if order.whatIf:
            raise BrokerError(f"{order.orderRef} is a preview, and no order to send")
        # The client and not the IB: that would keep an order of its own, and may fail after it has sent.
        self._ib.client.placeOrder(order.orderId, contract, order)

    async def preview(self, contract: Contract, order: Order) -> OrderPreview:
        """What an order would do to the account; nothing is placed.

        Raises
        ------
        BrokerError
            TWS does not answer in time: it is known not to for some order types, and outside trading hours.
        """
        request: list[int] = []

        def start() -> Awaitable[OrderState]:
            number, answer = self._ib.request_preview(contract, order)
            request.append(number)
            self.last_preview_id = number
            return answer

        try:
            state = await self._request(start, f"a preview of {contract.symbol}", _PREVIEW_SECONDS)
        except RequestError as error:
            return OrderPreview(refusal=f"{error.message} ({error.code})")
        finally:
            if request:
                self._ib.forget_preview(request[0])
        return preview_of(state)

    async def send_cancel(self, order_id: int) -> None:
        """Request the cancel of an order of this client."""
        async with self.pacer.turn():
            self.require_open()
            self._ib.client.cancelOrder(order_id)

    @property
    def account(self) -> str:
        """The requested account, or the only one of the login; empty if that is ambiguous."""
        return self.place.account or (self.accounts[0] if len(self.accounts) == 1 else "")

    # -- what is received ------------------------------------------------------------------------------------

    def count_message(self) -> None:
        """One message leaves now."""
        self.pacer.spend()

    def batch(self) -> AbstractContextManager[None]:
        """Messages within the block arrived together."""
        return self.tracker.batch()

    def guard(self, handler: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401 - a message's fields
        """Run a handler of ours; its failure is reported, and does not keep the message from ib_async."""
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 - any failure must stop sending
            self.fail(f"{getattr(handler, '__name__', 'a handler')} failed", error)

    def fail(self, what: str, error: BaseException) -> None:
        """A report may be lost: note it, and stop sending."""
        self._owner.on_failure(what, error)

    def is_foreign(self, client_id: int, perm_id: int, order_ref: str) -> bool:
        """Whether an order is of another program, or placed by hand."""
        if self.tracker.knows(perm_id, order_ref):
            return False
        return client_id != self.place.client_id or not order_ref

    def is_own_execution(self, exec_id: str) -> bool:
        """Whether an execution of one of our orders has this id."""
        return self.tracker.has_execution(exec_id)

    def on_next_id(self, order_id: int) -> None:
        """The next order id of this client; the first one decides whether the ids of our orders still hold."""
        if not self.next_id:
            self.next_id = order_id
            self.tracker.connected(order_id)
        if self._next_id_answer is not None and not self._next_id_answer.done():
            self._next_id_answer.set_result(order_id)

    def on_open_order(self, contract: Contract, order: Order, state: Any) -> None:  # noqa: ANN401 - an OrderState
        """The current state of an order."""
        ours = order.clientId == self.place.client_id and order.account == self.account
        if self._open is not None:
            self._open[order.permId] = {
                "client_order_id": order.orderRef,
                "symbol": contract.symbol,
                "contract": contract,
                "side": SIDES.get(order.action, order.action),
                "quantity": float(order.totalQuantity),
                "filled_quantity": 0.0,
                "order_type": order.orderType,
                "limit_price": _limit_of(order),
                "tif": order.tif,
                "aux_price": _aux_of(order),
                "good_till": _time_of(order.goodTillDate, self.place.zone),
                "good_after": _time_of(order.goodAfterTime, self.place.zone),
                "outside_rth": bool(order.outsideRth),
                "order_id": order.orderId,
                "perm_id": order.permId,
                "client_id": order.clientId,
                "account": order.account,
            }
        self.tracker.on_open_order(
            order.orderId,
            order.clientId,
            order.permId,
            order.orderRef,
            state.status,
            float(order.totalQuantity),
            _limit_of(order),
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
        """The status of an order."""
        if self._open is not None and perm_id in self._open:
            self._open[perm_id]["filled_quantity"] = known(filled) or 0.0
        ours = client_id == self.place.client_id
        self.tracker.on_status(order_id, perm_id, status, filled, remaining, why_held, ours=ours)
        if status == "Inactive":
            self._owner.on_inactive()

    def on_execution(self, contract: Contract, execution: Any) -> None:  # noqa: ANN401 - an Execution
        """An execution, live or requested."""
        causes = TwsExecution(
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
            unread_time=self.unread_time,
        )
        self.tracker.on_execution(causes, ours=execution.clientId == self.place.client_id)

    def on_commission(self, exec_id: str, commission: float, currency: str) -> None:
        """The commission of an execution."""
        self.tracker.on_commission(exec_id, commission, currency)

    def on_completed(self, perm_id: int, order_ref: str, word: str, filled: float, text: str) -> None:
        """An order that has ended, and how many of its shares were filled."""
        self.tracker.on_completed(perm_id, order_ref, word, known(filled), text, client_id=self.place.client_id)

    def on_error(self, number: int, code: int, text: str, *, is_request: bool) -> None:
        """A message with a code, about a request, an order, or the system (-1)."""
        if code == _CLIENT_ID_IN_USE:
            self.note_cause(str(code))
        if number > 0:
            is_doubtful = code in MAY_HAVE_ENDED and self.tracker.awaits_answer(number)
            if is_request or not self.tracker.on_message(number, code, text):
                return
            if code == ID_USED_UP:
                self._owner.on_duplicate_id()
            elif is_doubtful:
                self._owner.on_doubt()
            elif self.tracker.unexplained_inactive_orders():
                self._owner.on_inactive()
            elif self.tracker.may_be_refused(number):
                self._owner.on_refusal()
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
        if self._next_id_answer is not None and not self._next_id_answer.done():
            self._next_id_answer.set_exception(ConnectionError("the connection to TWS is gone"))
        self._owner.on_lost()


def _rule_of(details: Any, exchange: str) -> int:  # noqa: ANN401 - the client's details of a contract
    """Number of the market rule of a contract at an exchange; 0 where TWS gives none.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> details = SimpleNamespace(validExchanges="SMART,NYSE", marketRuleIds="26,109")
    >>> _rule_of(details, "NYSE"), _rule_of(details, "LSE")
    (109, 0)
    """
    exchanges, rules = ((text or "").split(",") for text in (details.validExchanges, details.marketRuleIds))
    found = dict(zip(exchanges, rules, strict=False)).get(exchange, "")
    return int(found) if found.isascii() and found.isdigit() else 0


def _number(text: str) -> float | None:
    """A figure of the account summary; None where TWS sent words, such as the name of a currency."""
    try:
        return float(text)
    except ValueError:
        return None


def _positive(value: float | None) -> float:
    """A number of a contract's details; NaN where TWS has none, or 0."""
    number = known(value)
    return number if number is not None and number > 0 else math.nan


def _limit_of(order: Order) -> float:
    """Limit of an order that TWS reports; stops show one of its own making, and caps that were not given as 0."""
    limit = known(None if order.lmtPrice is None else float(order.lmtPrice))
    if limit is None or order.orderType in MARKET_TYPES or (order.orderType in CAPPED and not limit):
        return math.nan
    return limit


def _aux_of(order: Order) -> float:
    """Auxiliary price of an order whose type has one, which TWS writes as 0 for others."""
    price = known(None if order.auxPrice is None else float(order.auxPrice))
    return math.nan if price is None or order.orderType not in STOPS | PEGGED else price


def _time_text(stamp: datetime | None) -> str:
    return "" if stamp is None else tws_time(stamp)


def _time_of(text: str, zone: str) -> datetime | None:
    """Time of a field of an order as TWS writes it; None where it has none or cannot be read."""
    read = utc_time_text(text, zone)
    return None if read is None else datetime.strptime(read, "%Y%m%d %H:%M:%S UTC").replace(tzinfo=UTC)


def _tags_of(ticket: Ticket) -> list[tuple[str, str]]:
    try:
        return algo_tags(ticket.algo, ticket.algo_params)
    except ValueError as error:
        raise BrokerError(f"{ticket.client_order_id}: {error}; it was not sent") from None
