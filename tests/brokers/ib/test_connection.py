"""A connection: its requests are sent in turn and within limits, and failures of its handlers are reported."""

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.brokers.ib.connection import Connection, Endpoint
from stocklean_exec.brokers.ib.instruments import Instrument, Refusal
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.ib.translate import TwsExecution
from stocklean_exec.brokers.rate_limit import Pacer
from stocklean_exec.errors import BrokerError, ConnectionLostError
from stocklean_exec.simulator import Simulator

MAX_DOUBLE = 1.7976931348623157e308  # what TWS sends for "no value"
TICKET = Ticket("r-SPY-BUY", "r", "SPY", "BUY", 10.0, "LMT", 400.5, "DAY", "USD", "STK", "SMART", "DU0000001")


class Owner:
    def __init__(self):
        self.failures, self.lost, self.restored, self.doubts = [], 0, 0, 0

    def on_failure(self, what, error):
        self.failures.append((what, error))

    def on_lost(self):
        self.lost += 1

    def on_restored(self):
        self.restored += 1

    def on_doubt(self):
        self.doubts += 1

    def on_duplicate_id(self):
        self.doubts += 1

    def on_inactive(self):
        pass

    def on_refusal(self):
        pass


def with_connection(work, *, rate=0.0, seconds=2.0, **settings):
    """Run ``work(connection, owner, simulator)`` on an open connection."""

    async def run(simulator):
        owner = Owner()
        place = Endpoint("127.0.0.1", simulator.port, 1, None, seconds, "America/New_York")
        connection = Connection(place, OrderTracker(lambda: datetime.now(UTC)), Pacer(rate), owner)
        await connection.connect()
        try:
            return await work(connection, owner, simulator)
        finally:
            await connection.close()

    with Simulator(**{"quotes": {"SPY": 400.0}, **settings}) as simulator:
        return asyncio.run(run(simulator))


def test_every_message_is_counted_by_the_rate_limit():
    async def work(connection, _owner, simulator):
        before = connection.pacer.sent
        await connection.positions()
        await connection.open_orders()
        await connection.account_summary("DU0000001", "NetLiquidation")  # requested, and cancelled
        counted = connection.pacer.sent - before
        return (
            counted,
            connection.pacer.sent,
            await asyncio.to_thread(simulator.call, lambda venue: venue.counts["requests"]),
        )

    counted, sent, received = with_connection(work)
    assert counted == 4
    assert sent == received + 2  # the greeting and START_API come before the first request


def test_an_order_sets_all_its_fields_explicitly():
    async def work(connection, _owner, _simulator):
        return connection.make_order(TICKET, 12), connection.make_order(
            replace(TICKET, limit_price=float("nan")), 13
        )

    order, market = with_connection(work)
    assert (order.orderId, order.orderRef, order.account, order.tif) == (12, "r-SPY-BUY", "DU0000001", "DAY")
    assert (order.lmtPrice, order.totalQuantity, order.transmit, order.outsideRth) == (400.5, 10.0, True, False)
    assert market.lmtPrice == 1.7976931348623157e308


def test_an_unknown_contract_is_a_refusal_and_not_an_exception():
    async def work(connection, _owner, _simulator):
        return [await connection.contract_details(Instrument(name)) for name in ("NOPE", "S\nY")]

    found = with_connection(work)
    assert [(type(one), one.code) for one in found] == [(Refusal, 200), (Refusal, 200)]


def test_a_failing_handler_is_reported_and_later_messages_are_delivered():
    async def work(connection, owner, _simulator):
        connection.guard(lambda: 1 / 0)
        held = await connection.positions()
        return owner.failures, held

    failures, held = with_connection(work)
    assert isinstance(failures[0][1], ZeroDivisionError)
    assert held == []


async def request_forever(connection):
    while True:
        await connection.positions()


def test_the_end_of_a_connection_is_reported_once_and_later_requests_fail():
    async def work(connection, owner, simulator):
        await asyncio.to_thread(simulator.event, "restart")
        with pytest.raises(BrokerError, match=r"gone|lost"):
            await request_forever(connection)
        while not owner.lost:  # noqa: ASYNC110 - one turn of the loop, until the connection's own task has run
            await asyncio.sleep(0)
        return owner.lost

    assert with_connection(work) == 1


def test_closing_a_connection_is_not_reported_as_a_loss():
    async def work(connection, owner, _simulator):
        await connection.close()
        await connection.close()
        return owner.lost, owner.failures

    assert with_connection(work) == (0, [])


def test_codes_1100_and_1102_are_received():
    async def work(connection, owner, simulator):
        await asyncio.to_thread(simulator.event, "link_down")
        await connection.positions()
        cut = connection.is_cut
        await asyncio.to_thread(simulator.event, "link_up", code=1102)
        await connection.positions()
        return cut, connection.is_cut, owner.restored

    assert with_connection(work) == (True, False, 1)


def test_a_client_id_that_is_in_use_is_named_as_the_reason():
    async def work(_connection, _owner, simulator):
        place = Endpoint("127.0.0.1", simulator.port, 1, None, 10.0, "America/New_York")
        second = Connection(place, OrderTracker(lambda: datetime.now(UTC)), Pacer(0.0), Owner())
        with pytest.raises(BrokerError, match=r"another client_id"):
            await second.connect()

    with_connection(work)


def test_closing_waits_until_the_socket_is_closed_and_no_longer(monkeypatch):
    monkeypatch.setattr(ib_connection, "_CLOSING_SECONDS", 3_600.0)

    async def work(connection, _owner, _simulator):
        await connection.close()
        return connection.is_ready

    assert with_connection(work) is False


def test_the_next_order_id_is_requested_only_on_demand():
    async def work(connection, _owner, _simulator):
        return (await connection.collect_reports()).next_id, (
            await connection.collect_reports(with_next_id=True)
        ).next_id

    assert with_connection(work) == (None, 1)


def test_skipped_order_ids_are_not_used():
    async def work(connection, _owner, _simulator):
        connection.pass_over_ids(50)
        return connection.reserve_ids(2)

    assert with_connection(work) == [51, 52]


def fault(simulator, **entry):
    return asyncio.to_thread(simulator.fault, **entry)


def test_a_contract_is_listed_with_its_steps_and_routed_as_requested():
    async def work(connection, _owner, _simulator):
        return await connection.contract_details(Instrument("SPY"))

    (found,) = with_connection(work)
    assert (found.contract.symbol, found.contract.exchange, found.primary_exchange) == ("SPY", "SMART", "ARCA")
    assert (found.magnifier, found.min_tick, found.min_size, found.size_increment) == (1.0, 0.01, 0.0001, 0.0001)


@pytest.mark.slow
def test_the_price_steps_of_a_contract_are_asked_for_by_its_rule_and_silence_is_none():
    async def work(connection, _owner, simulator):
        (listing,) = await connection.contract_details(Instrument("SPY"))
        found = await connection.price_steps(listing.rule_id)
        await fault(simulator, on="marketRule", do="omit")
        return listing.rule_id, found, await connection.price_steps(listing.rule_id)

    quotes = {"SPY": {"bid": 399.9, "ask": 400.1, "last": 400.0, "price_steps": "0:0.0001;1:0.01"}}
    frame = pd.DataFrame({"symbol": list(quotes), **{name: [value] for name, value in quotes["SPY"].items()}})
    frame = frame.assign(quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
    rule_id, found, silent = with_connection(work, quotes=frame)
    assert rule_id > 0
    assert found == ((0.0, 0.0001), (1.0, 0.01))
    assert silent == ()


def test_a_quote_has_the_prices_of_its_own_request():
    async def work(connection, _owner, simulator):
        (listing,) = await connection.contract_details(Instrument("SPY"))
        first = await connection.snapshot(listing.contract)
        await fault(simulator, on="reqMktData", do="error", code=354, text="not subscribed")
        return first, await connection.snapshot(listing.contract)

    quotes = pd.DataFrame({"symbol": ["SPY"], "bid": 399.9, "ask": 400.1, "last": 400.0, "close": 398.0})
    sizes = {"bid_size": 300.0, "ask_size": 500.0, "currency": "USD"}
    quotes = quotes.assign(**sizes, quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC"))
    answer, refused = with_connection(work, quotes=quotes)
    assert (answer.bid, answer.ask, answer.last, answer.close) == (399.9, 400.1, 400.0, 398.0)
    assert (answer.bid_size, answer.ask_size, answer.data_type, answer.halt) == (300.0, 500.0, 1, None)
    assert refused == Refusal(354, "not subscribed")


@pytest.mark.slow
def test_silence_about_a_quote_is_a_refusal_unless_a_price_has_arrived():
    async def work(connection, _owner, simulator):
        (listing,) = await connection.contract_details(Instrument("SPY"))
        await fault(simulator, on="tickSnapshotEnd", do="omit")
        connection.place = replace(connection.place, seconds=1.0)
        late = await connection.snapshot(listing.contract)
        await fault(simulator, on="tick*", do="omit")
        return late, await connection.snapshot(listing.contract)

    late, silent = with_connection(work)
    assert late.last == 400.0
    assert silent == Refusal(0, "TWS did not answer the request for a quote of SPY within 1 s")


@pytest.mark.slow
def test_what_tws_does_not_answer_is_a_gap_and_what_it_refuses_too():
    async def work(connection, _owner, simulator):
        await fault(simulator, on="openOrderEnd", do="omit")
        connection.place = replace(connection.place, seconds=1.0)
        await fault(simulator, on="reqExecutions", do="error", code=321, text="not now")
        return await connection.collect_reports(with_next_id=True)

    reports = with_connection(work)
    silence = "TWS did not answer the request for open orders within 1 s"
    assert (reports.open_orders, reports.next_id) == ([], 1)
    assert reports.gaps.startswith(f"{silence}; ")
    assert "not now" in reports.gaps


def test_a_summary_that_tws_refuses_says_why():
    async def work(connection, _owner, simulator):
        found = await connection.account_summary("DU0000001", "NetLiquidation,AccountType")
        await fault(simulator, on="reqAccountSummary", do="error", code=321, text="Invalid tag")
        with pytest.raises(BrokerError, match=r"TWS does not report Cash: Invalid tag \(321\)"):
            await connection.account_summary("DU0000001", "Cash")
        return found

    # The type of an account is a word, and not a figure.
    assert with_connection(work) == {("NetLiquidation", "USD"): 1_000_000.0}


def test_the_time_of_tws_is_in_utc():
    async def work(connection, _owner, _simulator):
        return await connection.current_time()

    assert with_connection(work) == datetime(2022, 12, 29, 15, 0, tzinfo=UTC)


def test_a_link_that_does_not_come_back_is_an_error():
    async def work(connection, _owner, simulator):
        await connection.restored(0.1)
        await asyncio.to_thread(simulator.event, "link_down")
        await connection.positions()
        with pytest.raises(ConnectionLostError, match=r"\(1100\) for 0\.1 s"):
            await connection.restored(0.1)

    with_connection(work)


def test_a_request_that_waits_when_the_connection_ends_says_so():
    async def work(connection, _owner, simulator):
        await fault(simulator, on="reqPositions", do="swallow")
        before = connection.pacer.sent
        waiting = asyncio.ensure_future(connection.positions())
        while connection.pacer.sent == before:  # noqa: ASYNC110 - one turn of the loop, until it is sent
            await asyncio.sleep(0)
        await asyncio.to_thread(simulator.event, "restart")
        with pytest.raises(ConnectionLostError, match="was lost during the request for positions"):
            await waiting

    with_connection(work, seconds=30.0)


def test_an_order_is_sent_reported_and_cancelled():
    async def work(connection, _owner, _simulator):
        (listing,) = await connection.contract_details(Instrument("SPY"))
        (number,) = connection.reserve_ids(1)
        connection.send_order(listing.contract, connection.make_order(replace(TICKET, limit_price=1.0), number))
        (row,) = await connection.open_orders()
        await connection.send_cancel(number)
        return row, await connection.open_orders()

    row, after = with_connection(work)
    assert (row["client_order_id"], row["symbol"], row["side"], row["quantity"]) == (
        "r-SPY-BUY",
        "SPY",
        "BUY",
        10.0,
    )
    assert (row["limit_price"], row["order_type"], row["tif"], row["client_id"]) == (1.0, "LMT", "DAY", 1)
    assert after == []


@pytest.mark.parametrize(
    "changes", [{"quantity": -1.0}, {"limit_price": math.inf}, {"tif": ""}, {"client_order_id": "r\n1"}]
)
def test_an_order_that_tws_would_misread_is_refused_before_it_is_sent(changes):
    async def work(connection, _owner, _simulator):
        with pytest.raises(BrokerError, match=r"not sent|cannot be sent"):
            connection.make_order(replace(TICKET, **changes), 12)

    with_connection(work)


class ConnectionListener:
    """A tracker that notes what it receives; its order 5 is ours."""

    def __init__(self):
        self.causes = []
        self.is_awaited = False

    def awaits_answer(self, order_id):
        return self.is_awaited and order_id == 5

    def on_open_order(self, *_known, ours):
        self.causes.append(ours)

    def on_status(self, *_known, ours):
        self.causes.append(ours)

    def on_execution(self, execution, *, ours):
        self.causes.append((execution, ours))

    def on_commission(self, *fee):
        self.causes.append(fee)

    def on_completed(self, *ended, client_id):
        self.causes.append((*ended, client_id))

    def knows(self, perm_id, order_ref):
        return (perm_id, order_ref) == (9, "r-SPY-BUY")

    def has_execution(self, exec_id):
        return exec_id == "a.b.01.01"

    def on_message(self, number, code, _text):
        self.causes.append((number, code))
        return number == 5

    def unexplained_inactive_orders(self):
        return []

    def may_be_refused(self, _number):
        return False


def published(work):
    """Run ``work(connection, owner)`` on one that was never opened; return what its tracker received."""

    async def run():
        listener, owner = ConnectionListener(), Owner()
        connection = Connection(Endpoint("127.0.0.1", 1, 7, None, 2.0, "UTC"), listener, Pacer(0.0), owner)
        connection.accounts = ["DU0000001"]
        work(connection, owner)
        return listener.causes

    return asyncio.run(run())


def open_order(client_id=7, account="DU0000001", **changes):
    known = {
        "orderId": 3,
        "permId": 9,
        "orderRef": "r-SPY-BUY",
        "action": "BUY",
        "totalQuantity": 10.0,
        "tif": "DAY",
    }
    known |= {"orderType": "LMT", "lmtPrice": 400.5, "clientId": client_id, "account": account}
    known |= {"auxPrice": 0.0, "goodTillDate": "", "goodAfterTime": "", "outsideRth": False}
    return SimpleNamespace(**(known | changes))


def test_nothing_is_known_of_tws_before_it_has_greeted():
    def work(connection, _owner):
        assert (connection.version, connection.next_id, connection.accounts) == (0, 0, ["DU0000001"])
        connection.note_cause("closed")
        connection.note_cause("too old", 100)
        connection.note_cause("closed")
        assert (connection.causes, connection.version) == (["closed", "too old", "closed"], 100)

    published(work)


def test_an_execution_reaches_the_tracker_with_all_its_fields():
    at = datetime(2022, 12, 29, 15, 0, 1, tzinfo=UTC)
    given = {"execId": "a.b.01.01", "time": at, "acctNumber": "DU0000001", "exchange": "ARCA", "side": "BOT"}
    given |= {"shares": 4.0, "price": 400.1, "permId": 9, "clientId": 7, "orderId": 3, "orderRef": "r-SPY-BUY"}
    given |= {"lastLiquidity": 2}

    def work(connection, _owner):
        connection.unread_time = "soon"
        connection.on_execution(SimpleNamespace(symbol="SPY"), SimpleNamespace(**given))
        connection.on_execution(SimpleNamespace(symbol="SPY"), SimpleNamespace(**given | {"clientId": 8}))

    (execution, ours), (other, theirs) = published(work)
    assert execution == TwsExecution(
        "a.b.01.01", at, "DU0000001", "ARCA", "BOT", 4.0, 400.1, 9, 7, 3, "r-SPY-BUY", "SPY", 2, "soon"
    )
    assert (ours, other.client_id, theirs) == (True, 8, False)


def test_commissions_and_ended_orders_reach_the_tracker_without_unset_numbers():
    def work(connection, _owner):
        connection.on_commission("a.b.01.01", 1.0, "USD")
        connection.on_completed(9, "r-SPY-BUY", "Cancelled", 4.0, "text")
        connection.on_completed(9, "r-SPY-BUY", "Cancelled", MAX_DOUBLE, "text")

    assert published(work) == [
        ("a.b.01.01", 1.0, "USD"),
        (9, "r-SPY-BUY", "Cancelled", 4.0, "text", 7),
        (9, "r-SPY-BUY", "Cancelled", None, "text", 7),
    ]


@pytest.mark.parametrize(
    ("client_id", "perm_id", "order_ref", "is_foreign"),
    [
        (7, 1, "new", False),
        (8, 1, "new", True),
        (7, 1, "", True),  # placed by hand
        (8, 9, "r-SPY-BUY", False),  # of this record, by an earlier client id
    ],
)
def test_an_order_of_another_client_or_without_a_reference_is_foreign(client_id, perm_id, order_ref, is_foreign):
    def work(connection, _owner):
        assert connection.is_foreign(client_id, perm_id, order_ref) is is_foreign
        assert connection.is_own_execution("a.b.01.01")
        assert not connection.is_own_execution("a.b.02.01")

    published(work)


def test_an_open_order_is_ours_if_its_client_and_its_account_are():
    def work(connection, _owner):
        for order in (open_order(), open_order(client_id=8), open_order(account="DU0000002")):
            connection.on_open_order(SimpleNamespace(symbol="SPY"), order, SimpleNamespace(status="Submitted"))

    assert published(work) == [True, False, False]


def test_an_open_limit_order_has_its_limit_and_a_market_order_has_none():
    def work(connection, _owner):
        connection._open = {}
        orders = open_order(), open_order(permId=10, orderType="MKT"), open_order(permId=11, lmtPrice=MAX_DOUBLE)
        for order in orders:
            connection.on_open_order(SimpleNamespace(symbol="SPY"), order, SimpleNamespace(status="Submitted"))
        connection.on_status(3, "Submitted", 4.0, 6.0, 400.0, 9, 0, 400.0, 7)
        rows.extend(connection._open.values())

    rows = []
    published(work)
    assert [str(row["limit_price"]) for row in rows] == ["400.5", "nan", "nan"]
    assert [row["filled_quantity"] for row in rows] == [4.0, 0.0, 0.0]
    assert rows[0]["symbol"] == "SPY"


def test_prices_of_open_orders_are_those_of_their_type_and_times_are_read():
    # A stop and a trailing order show a limit of TWS's own making, and an order without an auxiliary price 0.
    terms = [
        {"orderType": "STP", "lmtPrice": 13.16, "auxPrice": 13.13},
        {"orderType": "TRAIL", "lmtPrice": 2000.03, "auxPrice": 1.5},
        {"orderType": "REL", "lmtPrice": 0.0, "auxPrice": 0.0},
        {"orderType": "MIDPRICE", "lmtPrice": 400.5, "auxPrice": 0.0},
        {"tif": "GTD", "goodTillDate": "20261124 16:00:00 US/Eastern", "outsideRth": True},
        {"tif": "GTD", "goodTillDate": "20261124-21:00:00", "goodAfterTime": "20261124 15:00:00 US/Eastern"},
        {"tif": "GTD", "goodTillDate": "tomorrow"},
    ]

    def work(connection, _owner):
        connection._open = {}
        for number, changes in enumerate(terms):
            order = open_order(permId=number, **changes)
            connection.on_open_order(SimpleNamespace(symbol="SPY"), order, SimpleNamespace(status="Submitted"))
        rows.extend(connection._open.values())

    rows = []
    published(work)
    assert [str(row["limit_price"]) for row in rows[:5]] == ["nan", "nan", "nan", "400.5", "400.5"]
    assert [str(row["aux_price"]) for row in rows[:5]] == ["13.13", "1.5", "0.0", "nan", "nan"]
    end = datetime(2026, 11, 24, 21, tzinfo=UTC)
    assert [row["good_till"] for row in rows[3:]] == [None, end, end, None]
    assert [row["good_after"] for row in rows[3:]] == [None, None, end - timedelta(hours=1), None]
    assert [row["outside_rth"] for row in rows[3:]] == [False, True, False, False]


def test_only_code_103_for_an_order_of_ours_reports_a_duplicate_id():
    def work(connection, owner):
        for number, code, is_request in ((5, 399, False), (6, 103, False), (5, 103, True)):
            connection.on_error(number, code, "text", is_request=is_request)
        doubts.append(owner.doubts)
        connection.on_error(5, 103, "text", is_request=False)
        doubts.append(owner.doubts)

    doubts = []
    assert published(work) == [(5, 399), (6, 103), (5, 103)]
    assert doubts == [0, 1]


@pytest.mark.parametrize(
    ("code", "doubted"), [(104, 1), (161, 1), (201, 1), (10147, 1), (110, 0), (2102, 0), (399, 0)]
)
def test_a_change_that_may_have_come_too_late_is_reported_as_a_doubt(code, doubted):
    def work(connection, owner):
        connection.on_error(5, code, "text", is_request=False)
        connection.tracker.is_awaited = True
        for number in (6, 5):
            connection.on_error(number, code, "text", is_request=False)
        doubts.append(owner.doubts)

    doubts = []
    published(work)
    assert doubts == [doubted]
