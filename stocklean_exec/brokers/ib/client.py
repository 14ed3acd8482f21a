"""The ib_async client with our parts in it: messages sent are checked and counted, those received reach us first.

The only module that imports ib_async. It handles the wire: handshake, requests, encoding and decoding. Messages
about orders go to our own tracker and not to ib_async's list of trades, which shows working orders as cancelled,
adds corrections up, and drops what it cannot read.

Every message counts towards IB's limit of 50 a second, every string is checked right before it leaves, and a
frame longer than any real one ends the connection.

ib_async's loggers are set to CRITICAL at the first connection, unless they have a level already: they would
print account numbers and complete orders. ``logging.getLogger("ib_async").setLevel("INFO")`` before connecting
brings them back. Nothing is patched.
"""
# mypy: disable-error-code="no-untyped-call"
# ib_async is typed in part
# ruff: noqa: N802, N803 - the methods and arguments of ib_async that are overridden here have these names

from __future__ import annotations

import dataclasses
import logging
import math
from asyncio import Future, get_running_loop
from typing import TYPE_CHECKING, Any, Protocol

from ib_async import IB, Contract, Order, OrderState, StartupFetch, TagValue, Ticker
from ib_async.client import Client
from ib_async.decoder import Decoder
from ib_async.wrapper import RequestError, Wrapper

from stocklean_exec import clock
from stocklean_exec.brokers.ib.translate import ADVICE_CODES, is_plain_text, known, utc_time_text
from stocklean_exec.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from ib_async import CommissionReport, Execution

__all__ = [
    "ConnectionListener",
    "Contract",
    "IBClient",
    "Order",
    "OrderState",
    "RequestError",
    "SnapshotTicker",
    "TagValue",
    "is_complete_preview",
    "make_contract",
    "routed",
]

_MOST_FRAME = 16 << 20  # bytes; IB's own client stops at 16 MB too
_LENGTH_PREFIX = 4  # bytes of the length that precedes each message on the wire
# Message ids and fields as in IB's decoder, for the server versions that ib_async accepts.
_ORDER_MESSAGES = {
    "3": "orderStatus",
    "4": "error",
    "5": "openOrder",
    "11": "execDetails",
    "59": "commissionReport",
}
_MARKS = {"3": (9, 6, None), "5": (24, 25, 23), "11": (22, 21, 26)}
"""Fields with client id, perm id and orderRef of the order that a message is about."""
_EXECUTION_TIME = 15
_COMMISSION = 3
_HALTED = frozenset({49, 90})  # generic ticks: halted, and the same of delayed data
_EXEC_ID = 2  # of a commission report
_INVALID_REQUEST = 321  # message code of TWS: "Error validating request"
_UNSET_TEXT = "1.7976931348623157E308"


class ConnectionListener(Protocol):
    """Receives the messages of a connection."""

    zone: str
    is_zone_given: bool
    unread_time: str
    accounts: list[str]
    version: int
    is_closing: bool

    def count_message(self) -> None:
        """One message is sent now."""

    def batch(self) -> AbstractContextManager[None]:
        """Messages within the block arrived together."""

    def note_cause(self, what: str, version: int = 0) -> None:
        """A possible cause of a failing connection."""

    def guard(self, handler: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401 - a message's fields
        """Run a handler whose failure must not get lost."""

    def fail(self, what: str, error: BaseException) -> None:
        """A report may be lost."""

    def is_foreign(self, client_id: int, perm_id: int, order_ref: str) -> bool:
        """Whether an order is of another program, or placed by hand."""

    def is_own_execution(self, exec_id: str) -> bool:
        """Whether an execution of one of our orders has this id."""

    def on_next_id(self, order_id: int) -> None:
        """The next order id of this client."""

    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """The current state of an order."""

    def on_status(self, *fields: Any) -> None:  # noqa: ANN401 - a message's fields
        """The fields of an orderStatus message."""

    def on_execution(self, contract: Contract, execution: Execution) -> None:
        """An execution, live or requested."""

    def on_commission(self, exec_id: str, commission: float, currency: str) -> None:
        """The commission of an execution."""

    def on_completed(self, perm_id: int, order_ref: str, word: str, filled: float, text: str) -> None:
        """An order that has ended, and how many of its shares were filled."""

    def on_error(self, number: int, code: int, text: str, *, is_request: bool) -> None:
        """A message with a code, about a request, an order, or the system (-1)."""

    def on_lost(self) -> None:
        """The connection was lost; we did not close it."""


class _Decoder(Decoder):
    """Reads messages, and reports those it cannot read: ib_async logs a bad message and drops it."""

    def __init__(self, wrapper: _Wrapper, listener: ConnectionListener) -> None:
        super().__init__(wrapper, 0)
        self._previews = wrapper.previews
        self._listener = listener
        self.handlers[3] = self._orderStatus  # ib_async's own swallows what it cannot read

    def interpret(self, fields: list[str]) -> None:
        kind = fields[0] if fields else ""
        handler = self.handlers.get(int(kind)) if kind.isascii() and kind.isdigit() else None
        if handler is None:
            return  # a message that this client does not know
        try:
            handler(fields)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not vanish
            if kind in _ORDER_MESSAGES and not self._can_do_without(kind, fields):
                self._listener.fail(f"message {kind} of TWS ({_describe(kind, fields)}) cannot be read", error)

    def _can_do_without(self, kind: str, fields: list[str]) -> bool:
        """Whether nothing about our orders is lost if a message cannot be read in full."""
        if kind == "5":
            return self._read_in_part(fields)
        if kind == "59":
            return len(fields) > _EXEC_ID and not self._listener.is_own_execution(fields[_EXEC_ID])
        return self._is_foreign(kind, fields)

    def _is_foreign(self, kind: str, fields: list[str]) -> bool:
        """Whether a message is about an order of another program; False where that cannot be read."""
        if kind not in _MARKS:
            return False
        client, perm, ref = _MARKS[kind]
        try:
            client_id, perm_id = int(fields[client]), int(fields[perm])
            order_ref = "" if ref is None else fields[ref]
        except (IndexError, ValueError):
            return False
        return self._listener.is_foreign(client_id, perm_id, order_ref)

    def _read_in_part(self, fields: list[str]) -> bool:
        """Read of an openOrder message what an order needs to be matched and counted; False if that fails too."""
        client, perm, ref = _MARKS["5"]
        try:
            if int(fields[1]) in self._previews:
                return True  # it stands for no order; the preview ends by its time limit
            order = Order(
                orderId=int(fields[1]),
                clientId=int(fields[client]),
                permId=int(fields[perm]),
                orderRef=fields[ref or 0],
                action=fields[13],
                totalQuantity=_float_or_nan(fields[14]),
                orderType=fields[15],
                lmtPrice=_float_or_nan(fields[16]),
                tif=fields[18],
                account=fields[20],
            )
        except (IndexError, ValueError):
            return False
        if math.isnan(order.totalQuantity) and not self._is_foreign("5", fields):
            return False
        contract = Contract(conId=0, symbol=fields[3], secType=fields[4], currency=fields[10])
        self.wrapper.openOrder(order.orderId, contract, order, OrderState())  # its status comes right behind
        return True

    def _orderStatus(self, fields: list[str]) -> None:
        order_id, status, filled, remaining, average, perm_id, parent_id, last, client_id = fields[1:10]
        self.wrapper.orderStatus(
            int(order_id),
            status,
            float(filled or 0),
            float(remaining or 0),
            float(average or 0),
            int(perm_id or 0),
            int(parent_id or 0),
            float(last or 0),
            int(client_id or 0),
            fields[10] if len(fields) > 10 else "",  # noqa: PLR2004 - why it is held is the tenth
        )

    def execDetails(self, fields: list[str]) -> None:
        # A time zone that this computer does not know would lose the whole execution.
        fields, listener, text = list(fields), self._listener, fields[_EXECUTION_TIME]
        read = utc_time_text(text, listener.zone, is_zone_given=listener.is_zone_given)
        listener.unread_time = "" if read else text
        fields[_EXECUTION_TIME] = read or f"{clock.now():%Y%m%d %H:%M:%S} UTC"
        super().execDetails(fields)

    def commissionReport(self, fields: list[str]) -> None:
        # Empty is "not known yet", and not nothing to pay.
        fields = list(fields)
        fields[_COMMISSION] = fields[_COMMISSION] or _UNSET_TEXT
        super().commissionReport(fields)


class _Client(Client):
    """Sends and receives: checks what leaves, bounds what comes, and notices why a connection fails."""

    def __init__(self, wrapper: _Wrapper, listener: ConnectionListener) -> None:
        self._listener = listener
        super().__init__(wrapper)
        self.decoder = _Decoder(wrapper, listener)
        self.MaxRequests = 0  # our pacer is stricter, and drops nothing

    def send(self, *fields: Any, makeEmpty: bool = True) -> None:  # noqa: ANN401 - as there
        for item in fields:
            _check_field(item)
        super().send(*fields, makeEmpty=makeEmpty)

    def sendMsg(self, msg: str) -> None:
        if msg:  # ib_async calls with nothing to send what it held back
            self._listener.count_message()
        super().sendMsg(msg)

    def _onSocketHasData(self, data: bytes) -> None:
        try:
            with self._listener.batch():
                super()._onSocketHasData(data)
            _check_length(self._data)
        except Exception as error:  # noqa: BLE001 - eventkit would swallow it
            self._listener.note_cause("garbage")
            self._listener.fail("what came from TWS is not its protocol", error)
            self.conn.disconnect()

    def disconnect(self) -> None:
        self._listener.is_closing = True
        super().disconnect()

    def _onSocketDisconnected(self, msg: str) -> None:
        self._listener.note_cause("too old" if "version must be" in (msg or "") else "closed", self._serverVersion)
        super()._onSocketDisconnected(msg)


class SnapshotTicker(Ticker):
    """A ticker of one request alone. It keeps the halt code as TWS sent it: ib_async turns -1, unknown, into 0."""

    halt_code: float | None = None


class _Wrapper(Wrapper):
    """Passes each message about orders to our listener, and keeps ib_async from keeping its own list of trades.

    That list is wrong in the cases that matter (see the module), it is not read here, and keeping it takes as
    much time as everything else. Requests and their ends, positions, account values and ticks stay with ib_async.
    """

    listener: ConnectionListener
    previews: dict[int, Future[OrderState]]

    def connectAck(self) -> None:
        self.listener.version = self.ib.client.serverVersion()

    def nextValidId(self, reqId: int) -> None:
        self.listener.guard(self.listener.on_next_id, reqId)

    def managedAccounts(self, accountsList: str) -> None:
        super().managedAccounts(accountsList)
        self.listener.accounts = list(self.accounts)

    def openOrder(self, orderId: int, contract: Contract, order: Order, orderState: OrderState) -> None:
        if orderId in self.previews or order.whatIf:  # nothing is open by it
            self._end_preview(orderId, orderState)
        else:
            self.listener.guard(self.listener.on_open_order, contract, order, orderState)
        self.ib.client.updateReqId(orderId + 1)  # an id that is taken, by whatever client, is not used again

    def _end_preview(self, number: int, state: OrderState) -> None:
        """End a preview by its answer; TWS may send one without margins first, and then the complete one."""
        waiting = self.previews.get(number)
        if waiting is not None and not waiting.done() and is_complete_preview(state):
            waiting.set_result(state)

    def orderStatus(self, orderId: int, status: str, filled: float, remaining: float, *rest: Any) -> None:  # noqa: ANN401 - as there
        self.listener.guard(self.listener.on_status, orderId, status, filled, remaining, *rest)

    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:  # noqa: ARG002 - as there
        self.listener.guard(self.listener.on_execution, contract, execution)

    def commissionReport(self, commissionReport: CommissionReport) -> None:
        one = commissionReport
        self.listener.guard(self.listener.on_commission, one.execId, one.commission, one.currency)

    def completedOrder(self, contract: Contract, order: Order, orderState: OrderState) -> None:  # noqa: ARG002 - as there
        word, text = orderState.status, orderState.completedStatus
        self.listener.guard(
            self.listener.on_completed, order.permId, order.orderRef, word, order.filledQuantity, text
        )

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str) -> None:
        self._report_error(reqId, errorCode, errorString)
        if errorCode == _INVALID_REQUEST and reqId in self._futures:
            # To ib_async it is a warning, as about a working order: the request would wait for its time limit.
            self._endReq(reqId, RequestError(reqId, errorCode, errorString), success=False)
        super().error(reqId, errorCode, errorString, advancedOrderRejectJson)

    def _report_error(self, number: int, code: int, text: str) -> None:
        if number in self.previews:
            if code not in ADVICE_CODES and not self.previews[number].done():
                self.previews[number].set_exception(RequestError(number, code, text))
            return
        is_request = number in self._futures
        self.listener.guard(lambda: self.listener.on_error(number, code, text, is_request=is_request))

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        ticker = self.reqId2Ticker.get(reqId)
        if tickType in _HALTED and isinstance(ticker, SnapshotTicker):
            ticker.halt_code = float(value)
        super().tickGeneric(reqId, tickType, value)

    def connectionClosed(self) -> None:
        # ib_async's own would also end blocking calls of every other connection in this process.
        lost = ConnectionError("the connection to TWS is gone")
        for future in (*self._futures.values(), *self.previews.values()):
            if not future.done():
                future.set_exception(lost)
        self.reset()
        self.listener.guard(self.listener.on_lost)


class IBClient(IB):
    """An ``IB`` with our parts in it. One for each connection, never connected twice."""

    RaiseRequestErrors = True

    def __init__(self, listener: ConnectionListener) -> None:
        _silence_loggers()
        super().__init__()
        self.wrapper = _Wrapper(self)
        self.wrapper.listener = listener
        self._previews = self.wrapper.previews = dict[int, Future[OrderState]]()
        self.client = _Client(self.wrapper, listener)
        self.errorEvent -= self._onError  # it sends requests of its own
        self.TimezoneTWS = listener.zone

    async def start(self, host: str, port: int, client_id: int, seconds: float) -> None:
        """Connect, and synchronise open orders and executions; silence on any of them is an error."""
        await self.connectAsync(
            host,
            port,
            clientId=client_id,
            timeout=seconds,
            raiseSyncErrors=True,
            fetchFields=StartupFetch.ORDERS_OPEN | StartupFetch.EXECUTIONS,
        )

    def is_usable(self) -> bool:
        """Whether something that is written now can arrive. ib_async says yes also to a closing socket."""
        transport = self.client.conn.transport
        return self.client.isReady() and transport is not None and not transport.is_closing()

    def stop(self) -> None:
        """Disconnect and forget; harmless at any stage."""
        self.client.disconnect()
        self.wrapper.reset()

    def request_snapshot(self, contract: Contract) -> tuple[int, SnapshotTicker, Awaitable[object]]:
        """Ask for one quote: number of the request, the ticker that it fills, and what ends it.

        The ticker is new: ib_async's own one of a contract keeps values of earlier requests.
        """
        number = self.client.getReqId()
        ticker = SnapshotTicker(contract=contract, defaults=self.wrapper.defaults)
        self.wrapper.reqId2Ticker[number] = ticker
        done: Awaitable[object] = self.wrapper.startReq(number, contract)
        self.client.reqMktData(number, contract, "", True, False, [])  # noqa: FBT003 - snapshot, not regulatory
        return number, ticker, done

    def forget_snapshot(self, number: int) -> None:
        """Take no more ticks of a snapshot."""
        self.wrapper.reqId2Ticker.pop(number, None)

    def request_preview(self, contract: Contract, order: Order) -> tuple[int, Future[OrderState]]:
        """Ask what ``order`` would do to the account: number of the request, and its answer.

        What leaves is a copy that carries the flag of a preview, an order id of its own and no reference: whatever
        comes back about it is matched to no order. ib_async's own call has no time limit, and ends as an empty
        list on harmless messages.
        """
        number = self.client.getReqId()
        # transmit must be set too: TWS answers 413 without it.
        asked = dataclasses.replace(order, orderId=number, whatIf=True, transmit=True, orderRef="")
        answer: Future[OrderState] = get_running_loop().create_future()
        self._previews[number] = answer
        self.client.placeOrder(number, contract, asked)
        return number, answer

    def forget_preview(self, number: int) -> None:
        """Expect no more answers to a preview, and take none for an order."""
        answer = self._previews[number]
        if not answer.done():
            answer.cancel()

    def request_summary(self, tags: str) -> tuple[int, Awaitable[object]]:
        """Request figures of all accounts, tags with commas: number of the request, and what ends it."""
        self.wrapper.acctSummary.clear()
        number = self.client.getReqId()
        done: Awaitable[object] = self.wrapper.startReq(number)
        self.client.reqAccountSummary(number, "All", tags)
        return number, done

    def summary_values(self, account: str) -> list[tuple[str, str, str]]:
        """Tag, currency and value of each figure of the last summary."""
        values = self.wrapper.acctSummary.values()
        return [(str(one.tag), str(one.currency), str(one.value)) for one in values if one.account == account]


def is_complete_preview(state: OrderState) -> bool:
    """Whether an answer to a preview has margins: outside trading hours TWS may send one without them."""
    return known(_float_or_nan(str(state.initMarginAfter))) is not None


def make_contract(
    symbol: str, sec_type: str, exchange: str, currency: str, primary_exchange: str = "", con_id: int = 0
) -> Contract:
    """A contract to look up: by its number and exchange alone, or by what is known of it.

    With a number, TWS ignores or refuses other fields that contradict it: what comes back is compared instead.
    """
    if con_id:
        return Contract(conId=con_id, exchange=exchange)
    return Contract(
        symbol=symbol, secType=sec_type, exchange=exchange, currency=currency, primaryExchange=primary_exchange
    )


def routed(contract: Contract, exchange: str) -> Contract:
    """A qualified contract that trades where it was requested, and not on the exchange that TWS lists first."""
    return dataclasses.replace(contract, exchange=exchange)


def _describe(kind: str, fields: list[str]) -> str:
    """Name a message and what it is about, as far as that can be read."""
    place = {"3": 1, "5": 3, "11": 26, "59": _EXEC_ID, "4": 2}[kind]
    about = {"3": "order id ", "4": "id "}.get(kind, "")
    return f"{_ORDER_MESSAGES[kind]} of {about}{fields[place]}" if len(fields) > place else _ORDER_MESSAGES[kind]


def _float_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_length(pending: bytes) -> None:
    """Raise on a frame longer than TWS sends; ib_async would wait for its end forever."""
    if len(pending) >= _LENGTH_PREFIX and int.from_bytes(pending[:_LENGTH_PREFIX], "big") > _MOST_FRAME:
        raise ValueError("a frame without end")


def _check_field(value: object) -> None:
    """Raise on a value that would shift the fields after it, or that TWS would misread."""
    if isinstance(value, str):
        if not is_plain_text(value):
            raise BrokerError(f"{value!r} has characters that TWS does not take; nothing was sent")
    elif isinstance(value, float):
        if math.isnan(value):
            raise BrokerError("a NaN was about to be sent; nothing was sent")
    elif isinstance(value, Contract):
        for item in vars(value).values():
            _check_field(item)


def _silence_loggers() -> None:
    for name in ("ib_async", "eventkit"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
