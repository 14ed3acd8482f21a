"""What the wire lets out and takes in, by hand-made bytes: nothing shifted, nothing endless, nothing lost."""

import ast
import asyncio
import logging
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import OrderState

import stocklean_exec
from stocklean_exec.brokers.ib.client import IBClient, Order, make_contract, routed
from stocklean_exec.errors import BrokerError

MAX_DOUBLE = "1.7976931348623157E308"


class Recorder:
    """A listener that notes what it receives."""

    zone = "America/New_York"

    def __init__(self):
        self.accounts, self.version, self.is_closing = [], 0, False
        self.is_zone_given, self.unread_time = False, ""
        self.calls, self.failed, self.counted = [], [], 0

    def count_message(self):
        self.counted += 1

    def batch(self):
        return self

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None

    def note_cause(self, what, version=0):
        self.calls.append((what, version))

    def guard(self, handler, *arguments):
        handler(*arguments)

    def fail(self, what, error):
        self.failed.append((what, type(error)))

    def __getattr__(self, name):
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.values()))


def frame(*fields):
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


def causes(*data, version=176, listener=None):
    """What a listener receives of frames after the handshake."""

    async def run(listener):
        wire = IBClient(listener)
        wire.client.decoder.serverVersion = wire.client._serverVersion = version
        wire.client._apiReady = True
        for one in data:
            wire.client._onSocketHasData(one)
        return listener

    return asyncio.run(run(listener or Recorder()))


def execution(time="20221229 10:00:01 US/Eastern", shares="100"):
    return frame(
        11, -1, 12, 756733, "SPY", "STK", "", 0, "", "", "ARCA", "USD", "SPY", "SPY", "0000e0d5.67fe667b.01.01",
        time, "DU0000001", "ARCA", "BOT", shares, "400.1", 77, 1, 0, 100, "400.1", "r-SPY-BUY", "", "", "", 2,
    )  # fmt: skip


def test_an_execution_is_received_with_its_time_in_utc():
    listener = causes(execution())
    ((name, contract, found),) = listener.calls
    assert (name, contract.symbol, found.shares, found.orderRef) == ("on_execution", "SPY", 100.0, "r-SPY-BUY")
    assert found.time.isoformat() == "2022-12-29T15:00:01+00:00"


def test_an_execution_with_an_unreadable_time_is_still_received():
    listener = causes(execution(time="soon"))
    assert ([call[0] for call in listener.calls], listener.unread_time) == (["on_execution"], "soon")
    assert causes(execution(time="soon"), execution()).unread_time == ""


def test_an_unreadable_execution_is_reported_as_a_failure():
    listener = causes(execution(shares="many"), execution())
    assert listener.failed == [("message 11 of TWS (execDetails of r-SPY-BUY) cannot be read", ValueError)]
    assert [call[0] for call in listener.calls] == ["is_foreign", "on_execution"]


class OtherOrders(Recorder):
    """A listener to which no order is its own."""

    def is_foreign(self, *order):
        self.calls.append(("is_foreign", *order))
        return True

    def is_own_execution(self, exec_id):
        self.calls.append(("is_own_execution", exec_id))
        return False


def open_order_frame(client_id=9, quantity="7", limit="?"):
    return frame(
        5, 4, 126995980, "TLT", "STK", "", 0, "?", "", "SMART", "USD", "TLT", "TLT", "BUY", quantity, "LMT", limit,
        "0.0", "DAY", "", "DU0000001", "", 0, "mine", client_id, 1311052784,
    )  # fmt: skip


def test_an_open_order_of_which_a_field_cannot_be_read_is_received_without_it():
    listener = causes(open_order_frame())
    ((name, contract, order, state),) = listener.calls
    assert (name, contract.symbol, state.status, listener.failed) == ("on_open_order", "TLT", "", [])
    assert (order.orderId, order.clientId, order.permId, order.orderRef) == (4, 9, 1311052784, "mine")
    assert (order.action, order.totalQuantity, order.orderType, order.account) == ("BUY", 7.0, "LMT", "DU0000001")
    assert np.isnan(order.lmtPrice)
    assert order.tif == "DAY"


def test_an_open_order_of_ours_without_a_readable_quantity_is_a_failure():
    assert [what for what, _ in causes(open_order_frame(quantity="x")).failed] == [
        "message 5 of TWS (openOrder of TLT) cannot be read"
    ]
    assert causes(open_order_frame(client_id="x")).failed != []
    assert causes(open_order_frame(quantity="x"), listener=OtherOrders()).failed == []


def test_messages_about_orders_of_others_may_be_unreadable():
    fee = frame(59, 1, "0000e0d5.67fe667b.01.01", "cheap", "USD", "", "", "")
    status = frame(3, 12, "Filled", "x", 0, 0, 77, 0, 0, 5, "", 0)
    listener = causes(execution(shares="many"), fee, status, listener=OtherOrders())
    assert listener.failed == []
    assert listener.calls == [
        ("is_foreign", 1, 77, "r-SPY-BUY"),
        ("is_own_execution", "0000e0d5.67fe667b.01.01"),
        ("is_foreign", 5, 77, ""),
    ]


def test_an_unreadable_status_is_reported_as_a_failure():
    listener = causes(frame(3, 12, "Filled", "x", 0, 0, 77, 0, 0, 1, "", 0), frame(3, 12, "Filled"))
    text = "message 3 of TWS (orderStatus of order id 12) cannot be read"
    assert [what for what, _ in listener.failed] == [text] * 2


def test_a_status_is_received_as_it_was_sent():
    listener = causes(frame(3, 12, "Submitted", 40, 60, "400.1", 77, 0, "400.1", 1, "locate", 0))
    assert listener.calls == [("on_status", 12, "Submitted", 40.0, 60.0, 400.1, 77, 0, 400.1, 1, "locate")]


def test_a_status_of_an_older_tws_may_lack_the_why_held_field():
    held = frame(3, 12, "PreSubmitted", "", "", "", "", "", "", "", "locate")
    assert causes(held).calls == [("on_status", 12, "PreSubmitted", 0.0, 0.0, 0.0, 0, 0, 0.0, 0, "locate")]
    bare = frame(3, 12, "PreSubmitted", "", "", "", "", "", "", "")
    assert causes(bare).calls == [("on_status", 12, "PreSubmitted", 0.0, 0.0, 0.0, 0, 0, 0.0, 0, "")]


@pytest.mark.parametrize(
    ("message", "what"),
    [("TWS/gateway version must be >= 972", "too old"), ("Peer closed connection.", "closed"), (None, "closed")],
)
def test_the_end_of_a_connection_reports_whether_tws_is_too_old(message, what):
    async def run():
        listener = Recorder()
        wire = IBClient(listener)
        wire.client._serverVersion = 100
        wire.client._onSocketDisconnected(message)
        return listener.calls

    assert (what, 100) in asyncio.run(run())


def test_the_id_of_an_open_order_is_not_used_again():
    async def run():
        wire = IBClient(Recorder())
        wire.client._apiReady = True
        wire.wrapper.openOrder(40, stock(), plain_order(), None)
        return wire.client.getReqId()

    assert asyncio.run(run()) == 41


def test_an_empty_commission_is_unknown_and_not_zero():
    listener = causes(frame(59, 1, "a.b.01.01", "", "USD", MAX_DOUBLE, MAX_DOUBLE, ""))
    assert listener.calls == [("on_commission", "a.b.01.01", 1.7976931348623157e308, "USD")]


def test_a_late_answer_and_an_unknown_message_are_ignored():
    listener = causes(frame(52, 1, 9_999), frame(4_711, 1), frame("x"), frame(), frame(10, 1), frame(62, 1))
    assert listener.failed == []


@pytest.mark.parametrize("code", [326, 10349, 2104])
def test_a_message_is_received_with_its_code(code):
    assert causes(frame(4, 2, -1, code, "text", "")).calls == [("on_error", -1, code, "text", False)]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad", b"\xff\xff\xff\xff", b"\x7f\x00\x00\x00x"])
def test_a_frame_length_beyond_the_limit_is_detected_at_once(data):
    listener = causes(data)
    assert ("garbage", 0) in listener.calls
    assert listener.failed


def test_a_frame_length_beyond_the_limit_is_detected_after_a_valid_frame():
    listener = causes(frame(4, 2, -1, 2104, "fine", "") + b"\xff\xff\xff\xff")
    assert ("garbage", 0) in listener.calls


@pytest.mark.slow
@given(st.binary(max_size=200))
def test_the_decoder_never_raises_on_random_bytes(data):
    causes(data)


@pytest.mark.slow
@given(st.lists(st.text(max_size=8), max_size=30))
def test_the_decoder_never_raises_on_random_messages(fields):
    causes(frame(*[field.encode("utf-8", "replace").decode().replace("\0", "") for field in fields]))


def sent(call):
    """Frames that ``call`` lets out, without a socket."""

    async def run():
        listener, out = Recorder(), []
        wire = IBClient(listener)
        wire.client.decoder.serverVersion = wire.client._serverVersion = 178
        wire.client._apiReady, wire.client.connState = True, 2
        wire.client.conn.sendMsg = out.append
        call(wire.client)
        return out, listener.counted

    return asyncio.run(run())


def plain_order(**changes):
    given = {"action": "BUY", "totalQuantity": 1.0, "orderType": "LMT", "lmtPrice": 1.5, "tif": "DAY"}
    return Order(**(given | changes))


def stock(symbol="SPY"):
    return make_contract(symbol, "STK", "SMART", "USD")


def test_a_limit_order_has_114_fields_at_version_178():
    out, counted = sent(lambda client: client.placeOrder(5, stock(), plain_order()))
    assert len(out[0].split(b"\0")) - 1 - out[0][:4].count(b"\0") == 114
    assert counted == 1


@pytest.mark.parametrize(("options", "field"), [({}, b""), ({"makeEmpty": False}, MAX_DOUBLE.encode())])
def test_a_number_that_is_not_set_is_sent_as_nothing_unless_it_is_to_be_spelt_out(options, field):
    out, _ = sent(lambda client: client.send(1, float(MAX_DOUBLE), **options))
    assert out[0].split(b"\0")[-2].upper().replace(b"+", b"") == field


@pytest.mark.slow
@given(st.text(max_size=12))
def test_no_text_changes_the_number_of_fields_of_an_order(text):
    try:
        out, _ = sent(lambda client: client.placeOrder(5, stock(), plain_order(orderRef=text)))
    except BrokerError:
        assert not (text.isascii() and text.isprintable())
        return
    assert len(out[0].split(b"\0")) - 1 - out[0][:4].count(b"\0") == 114


@pytest.mark.parametrize(
    ("symbol", "changes"),
    [
        ("SP\0Y", {}),
        ("SPY\n", {}),
        ("São", {}),
        ("SPY", {"tif": "DAY\0"}),
        ("SPY", {"totalQuantity": float("nan")}),
        ("SPY", {"lmtPrice": float("nan")}),
    ],
)
def test_an_order_that_the_server_would_misread_is_not_encoded(symbol, changes):
    sent_messages = []

    def call(client):
        client.conn.sendMsg = sent_messages.append
        client.placeOrder(5, stock(symbol), plain_order(**changes))

    with pytest.raises(BrokerError, match="nothing was sent"):
        sent(call)
    assert sent_messages == []


def test_the_summary_of_another_account_is_not_taken():
    async def run():
        wire = IBClient(Recorder())
        for account, tag, value in (("DU1", "Cash", "5"), ("DU2", "Cash", "6"), ("DU1", "NetLiquidation", "7")):
            wire.wrapper.accountSummary(1, account, tag, value, "EUR")
        return wire.summary_values("DU1")

    assert asyncio.run(run()) == [("Cash", "EUR", "5"), ("NetLiquidation", "EUR", "7")]


@pytest.mark.parametrize(("before", "after"), [(logging.NOTSET, logging.CRITICAL), (logging.DEBUG, logging.DEBUG)])
def test_the_log_of_the_client_library_is_silent_unless_it_was_configured(monkeypatch, before, after):
    for name in ("ib_async", "eventkit"):
        monkeypatch.setattr(logging.getLogger(name), "level", before)

    async def run():
        return IBClient(Recorder())

    asyncio.run(run())
    assert [logging.getLogger(name).level for name in ("ib_async", "eventkit")] == [after, after]


def test_the_first_messages_of_a_connection_give_its_next_id_and_its_accounts():
    listener = causes(frame(9, 1, 42), frame(15, 1, "DU0000001,DU0000002"))
    assert listener.calls == [("on_next_id", 42)]
    assert listener.accounts == ["DU0000001", "DU0000002"]


def test_the_version_of_the_server_is_known_once_it_has_greeted():
    async def run():
        wire = IBClient(Recorder())
        wire.client._serverVersion = 178
        wire.wrapper.connectAck()
        return wire.wrapper.listener.version

    assert asyncio.run(run()) == 178


def test_a_preview_of_margin_is_no_order_but_its_id_is_taken():
    async def run():
        wire = IBClient(Recorder())
        wire.client._apiReady = True
        wire.wrapper.openOrder(40, stock(), plain_order(whatIf=True), None)
        return wire.wrapper.listener.calls, wire.client.getReqId()

    assert asyncio.run(run()) == ([], 41)


def test_an_order_that_has_ended_is_received_with_its_fills_and_the_reason():
    async def run():
        wire = IBClient(Recorder())
        order = plain_order(permId=77, orderRef="r-SPY-BUY", filledQuantity=40.0)
        wire.wrapper.completedOrder(stock(), order, OrderState(status="Cancelled", completedStatus="by the user"))
        return wire.wrapper.listener.calls

    assert asyncio.run(run()) == [("on_completed", 77, "r-SPY-BUY", "Cancelled", 40.0, "by the user")]


def requesting(call, *, answers=()):
    """What ``call(client)`` returns, the fields of each message sent, and the client after the ``answers``."""

    async def run():
        out, wire = [], IBClient(Recorder())
        wire.client.decoder.serverVersion = wire.client._serverVersion = 178
        wire.client._apiReady, wire.client.connState = True, 2
        wire.client.updateReqId(5)
        wire.client.conn.sendMsg = out.append
        result = call(wire)
        for one in answers:
            wire.client._onSocketHasData(one)
        await asyncio.sleep(0)
        wire.client.connState = wire.client.DISCONNECTED  # nothing is left for ib_async to close
        return result, [message[4:].decode().split("\0")[:-1] for message in out], wire

    return asyncio.run(run())


def test_a_snapshot_fills_a_ticker_of_its_own_until_it_is_forgotten():
    def ask(wire):
        first, second = wire.request_snapshot(stock()), wire.request_snapshot(stock())
        wire.forget_snapshot(second[0])
        wire.forget_snapshot(second[0])  # harmless
        return first, second

    bid = [frame(1, 6, number, 1, price, 300, 0) for number, price in ((5, 400.1), (6, 500.1))]
    halted = [frame(45, 6, 5, 49, -1), frame(45, 6, 6, 49, 1)]
    ((number, ticker, done), (other, forgotten, _)), out, _ = requesting(
        ask, answers=[*bid, *halted, frame(57, 1, 5)]
    )
    assert (number, other) == (5, 6)
    assert [fields[:3] for fields in out] == [["1", "11", "5"], ["1", "11", "6"]]
    # No generic ticks; a snapshot, and none that the exchange charges for; no options.
    assert [fields[-4:] for fields in out] == [["", "1", "0", ""]] * 2
    assert (ticker.bid, ticker.bidSize, ticker.halt_code, done.done()) == (400.1, 300.0, -1.0, True)
    assert (np.isnan(forgotten.bid), forgotten.halt_code) == (True, None)


@pytest.mark.parametrize(("kind", "code"), [(49, 2.0), (90, 2.0), (23, None)])
def test_a_halt_of_live_and_of_delayed_data_is_kept(kind, code):
    (_, ticker, _), *_ = requesting(
        lambda wire: wire.request_snapshot(stock()), answers=[frame(45, 6, 5, kind, 2)]
    )
    assert ticker.halt_code == code


def test_a_summary_is_requested_for_all_accounts_and_forgets_the_one_before():
    def ask(wire):
        wire.wrapper.accountSummary(1, "DU1", "Cash", "5", "EUR")
        return wire.request_summary("Cash,NetLiquidation")

    answers = [frame(63, 1, 5, "DU1", "NetLiquidation", "7.5", "USD"), frame(64, 1, 5)]
    (number, done), out, wire = requesting(ask, answers=answers)
    assert (number, out) == (5, [["62", "1", "5", "All", "Cash,NetLiquidation"]])
    assert wire.summary_values("DU1") == [("NetLiquidation", "USD", "7.5")]
    assert done.done()


@pytest.mark.parametrize("code", [321, 354])
def test_a_request_that_tws_refuses_ends_with_its_code_and_text(code):
    text = "Error validating request.-'bU' : cause - Invalid account group"
    (_, done), _, wire = requesting(
        lambda wire: wire.request_summary("Cash"), answers=[frame(4, 2, 5, code, text, "")]
    )
    assert (done.exception().code, done.exception().message) == (code, text)
    assert wire.wrapper.listener.calls == [("on_error", 5, code, text, True)]


def test_a_warning_does_not_end_a_request():
    (_, _, done), _, _ = requesting(
        lambda wire: wire.request_snapshot(stock()), answers=[frame(4, 2, 5, 10167, "Displaying delayed data", "")]
    )
    assert not done.done()


def test_what_waits_for_an_answer_fails_when_the_connection_is_gone():
    def lose(wire):
        _, _, waiting = wire.request_snapshot(stock())
        _, answered = wire.request_summary("Cash")
        answered.set_result("here")
        wire.wrapper.connectionClosed()
        return waiting, answered

    (waiting, answered), _, wire = requesting(lose)
    assert isinstance(waiting.exception(), ConnectionError)
    assert answered.result() == "here"
    assert wire.wrapper.listener.calls == [("on_lost",)]


def previewing(*answers, order=None):
    """The answer to a preview of an order, as a future, and what the listener received."""

    def ask(wire):
        return wire.request_preview(stock(), order or plain_order(orderId=3, orderRef="r-SPY-BUY"))

    (number, done), out, wire = requesting(ask, answers=answers)
    assert number == 5
    return done, out, wire


def state_of(wire, number=5, **values):
    wire.wrapper.openOrder(number, stock(), plain_order(orderId=number, whatIf=True), OrderState(**values))


def test_a_preview_leaves_as_the_order_with_its_flag_an_id_of_its_own_and_no_reference():
    order = plain_order(orderId=3, orderRef="r-SPY-BUY", account="DU1", transmit=False)
    _, (fields,), _ = previewing(order=order)
    _, (plain,), _ = requesting(lambda wire: wire.client.placeOrder(3, stock(), order))
    differing = [(one, other) for one, other in zip(plain, fields, strict=True) if one != other]
    # id, reference, transmit, whatIf
    assert differing == [("3", "5"), ("r-SPY-BUY", ""), ("0", "1"), ("0", "1")]
    assert (order.whatIf, order.orderId) == (False, 3)


def test_orders_leave_by_two_calls_of_which_one_sets_the_flag_of_a_preview():
    folder = Path(stocklean_exec.__file__).parent
    calls = [
        (path.name, ast.unparse(node))
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("placeOrder", "placeOrderAsync")
    ]
    assert calls == [
        ("client.py", "self.client.placeOrder(number, contract, asked)"),
        ("connection.py", "self._ib.client.placeOrder(order.orderId, contract, order)"),
    ]


def test_a_preview_ends_with_the_first_answer_that_has_margins():
    def ask(wire):
        _, done = wire.request_preview(stock(), plain_order())
        state_of(wire, initMarginAfter=MAX_DOUBLE)
        state_of(wire, initMarginAfter="")
        still_waiting = not done.done()
        state_of(wire, initMarginAfter="12.5")
        state_of(wire, initMarginAfter="99.0")
        state_of(wire, 6, initMarginAfter="99.0")
        return still_waiting, done

    (still_waiting, done), _, wire = requesting(ask)
    assert still_waiting
    assert done.result().initMarginAfter == "12.5"
    assert wire.wrapper.listener.calls == []


def test_an_answer_that_lacks_the_flag_is_no_open_order():
    def ask(wire):
        wire.request_preview(stock(), plain_order())
        wire.wrapper.openOrder(5, stock(), plain_order(orderId=5, orderRef="r-SPY-BUY"), OrderState())

    assert requesting(ask)[2].wrapper.listener.calls == []


@pytest.mark.parametrize("code", [399, 10349, 2109])
def test_a_message_that_refuses_nothing_does_not_end_a_preview(code):
    done, _, wire = previewing(frame(4, 2, 5, code, "Order TIF was set to DAY based on order preset.", ""))
    assert not done.done()
    assert wire.wrapper.listener.calls == []


def test_a_refusal_ends_a_preview_with_its_code():
    done, _, wire = previewing(frame(4, 2, 5, 201, "Order rejected - reason: margin", ""))
    assert done.exception().code == 201
    assert wire.wrapper.listener.calls == []


def test_a_preview_fails_when_the_connection_is_gone_and_late_answers_are_dropped():
    def lose(wire):
        _, waiting = wire.request_preview(stock(), plain_order())
        wire.wrapper.connectionClosed()
        return waiting

    assert isinstance(requesting(lose)[0].exception(), ConnectionError)

    def late(wire):
        number, waiting = wire.request_preview(stock(), plain_order())
        wire.forget_preview(number)
        state_of(wire, initMarginAfter="1.0")
        wire.forget_preview(number)
        return waiting

    waiting, _, wire = requesting(late)
    assert waiting.cancelled()
    assert wire.wrapper.listener.calls == []


def test_closing_it_ourselves_is_reported_to_the_listener():
    _, _, wire = requesting(IBClient.stop)
    assert wire.wrapper.listener.is_closing
    assert not requesting(IBClient.is_usable)[2].wrapper.listener.is_closing


@pytest.mark.parametrize(
    ("is_ready", "transport", "is_usable"),
    [(True, "open", True), (False, "open", False), (True, "closing", False), (True, None, False)],
)
def test_only_an_open_socket_of_a_ready_client_is_usable(is_ready, transport, is_usable):
    def look(wire):
        socket = None if transport is None else SimpleNamespace(is_closing=lambda: transport == "closing")
        wire.client.conn.transport, wire.client._apiReady = socket, is_ready
        try:
            return wire.is_usable()
        finally:
            wire.client.conn.transport = None

    assert requesting(look)[0] is is_usable


def test_a_contract_is_looked_up_by_its_number_and_exchange_alone():
    by_number = make_contract("SPY", "STK", "SMART", "USD", "ARCA", con_id=756733)
    assert (by_number.conId, by_number.exchange, by_number.symbol, by_number.currency) == (756733, "SMART", "", "")
    by_name = make_contract("SPY", "STK", "SMART", "USD", "ARCA")
    assert (by_name.conId, by_name.symbol, by_name.primaryExchange) == (0, "SPY", "ARCA")


def test_a_connection_waits_for_each_answer_as_long_as_requested(monkeypatch):
    asked = {}

    async def connect(_wire, *place, **terms):
        asked.update(terms, place=place)

    monkeypatch.setattr(IBClient, "connectAsync", connect)

    async def run():
        await IBClient(Recorder()).start("127.0.0.1", 4002, 7, 2.5)

    asyncio.run(run())
    assert (asked["place"], asked["clientId"], asked["timeout"]) == (("127.0.0.1", 4002), 7, 2.5)
    assert asked["raiseSyncErrors"] is True  # silence is an error


def test_a_contract_is_routed_to_the_requested_exchange():
    found = make_contract("SPY", "STK", "ARCA", "USD")
    assert (routed(found, "SMART").exchange, found.exchange) == ("SMART", "ARCA")
