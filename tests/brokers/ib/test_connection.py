"""A link at its edges: what it asks for goes in turn, within limits; what it hears is guarded."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib import connection as ib_connection
from stocklean_exec.brokers.ib.connection import Link, Place
from stocklean_exec.brokers.ib.market_data import Instrument, Refusal
from stocklean_exec.brokers.ib.order_tracker import OrderTracker
from stocklean_exec.brokers.rate_limit import Pacer
from stocklean_exec.errors import BrokerError
from stocklean_exec.simulator import Simulator

MAX_DOUBLE = 1.7976931348623157e308  # how TWS says "no value"
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

    def on_puzzle(self):
        pass


def with_link(work, *, rate=0.0, **settings):
    """Run ``work(link, owner, simulator)`` on a connected link."""

    async def run(simulator):
        owner = Owner()
        place = Place("127.0.0.1", simulator.port, 1, None, 2.0, "America/New_York")
        link = Link(place, OrderTracker(lambda: datetime.now(UTC)), Pacer(rate), owner)
        await link.connect()
        try:
            return await work(link, owner, simulator)
        finally:
            await link.close()

    with Simulator(quotes={"SPY": 400.0}, **settings) as simulator:
        return asyncio.run(run(simulator))


def test_every_message_is_counted_by_the_pacer():
    async def work(link, _owner, simulator):
        before = link.pacer.sent
        await link.positions()
        await link.open_orders()
        await link.account_value("DU0000001", "NetLiquidation")  # asked, and taken back
        counted = link.pacer.sent - before
        return (
            counted,
            link.pacer.sent,
            await asyncio.to_thread(simulator.call, lambda venue: venue.counts["requests"]),
        )

    counted, sent, received = with_link(work)
    assert counted == 4
    assert sent == received + 2  # the greeting and START_API come before the first request


def test_an_order_says_everything_itself():
    async def work(link, _owner, _simulator):
        return link.make_order(TICKET, 12), link.make_order(replace(TICKET, limit_price=float("nan")), 13)

    order, market = with_link(work)
    assert (order.orderId, order.orderRef, order.account, order.tif) == (12, "r-SPY-BUY", "DU0000001", "DAY")
    assert (order.lmtPrice, order.totalQuantity, order.transmit, order.outsideRth) == (400.5, 10.0, True, False)
    assert market.lmtPrice == 1.7976931348623157e308


def test_what_is_unknown_is_a_refusal_and_not_an_exception():
    async def work(link, _owner, _simulator):
        return [await link.contract_details(Instrument(name)) for name in ("NOPE", "S\nY")]

    found = with_link(work)
    assert [(type(one), one.code) for one in found] == [(Refusal, 200), (Refusal, 200)]


def test_a_handler_that_fails_is_reported_and_the_message_goes_on():
    async def work(link, owner, _simulator):
        link.guard(lambda: 1 / 0)
        held = await link.positions()
        return owner.failures, held

    failures, held = with_link(work)
    assert isinstance(failures[0][1], ZeroDivisionError)
    assert held == []


async def ask_for_ever(link):
    while True:
        await link.positions()


def test_a_connection_that_ends_is_told_once_and_nothing_can_be_asked_any_more():
    async def work(link, owner, simulator):
        await asyncio.to_thread(simulator.event, "restart")
        with pytest.raises(BrokerError, match=r"gone|lost"):
            await ask_for_ever(link)
        while not owner.lost:  # noqa: ASYNC110 - one turn of the loop, until the link's own task has run
            await asyncio.sleep(0)
        return owner.lost

    assert with_link(work) == 1


def test_closing_a_link_is_no_loss():
    async def work(link, owner, _simulator):
        await link.close()
        await link.close()
        return owner.lost, owner.failures

    assert with_link(work) == (0, [])


def test_1100_and_1102_are_heard():
    async def work(link, owner, simulator):
        await asyncio.to_thread(simulator.event, "link_down")
        await link.positions()
        cut = link.is_cut
        await asyncio.to_thread(simulator.event, "link_up", code=1102)
        await link.positions()
        return cut, link.is_cut, owner.restored

    assert with_link(work) == (True, False, 1)


def test_a_client_id_that_is_in_use_is_named_as_the_reason():
    async def work(_link, _owner, simulator):
        place = Place("127.0.0.1", simulator.port, 1, None, 10.0, "America/New_York")
        second = Link(place, OrderTracker(lambda: datetime.now(UTC)), Pacer(0.0), Owner())
        with pytest.raises(BrokerError, match=r"client id 1 is in use by another program \(326\)"):
            await second.connect()

    with_link(work)


def test_closing_waits_for_the_socket_and_no_longer(monkeypatch):
    monkeypatch.setattr(ib_connection, "_CLOSING_SECONDS", 3_600.0)

    async def work(link, _owner, _simulator):
        await link.close()
        return link.is_ready

    assert with_link(work) is False


def test_the_next_order_id_is_asked_for_on_request_alone():
    async def work(link, _owner, _simulator):
        return (await link.collect_evidence()).next_id, (await link.collect_evidence(with_next_id=True)).next_id

    assert with_link(work) == (None, 1)


def test_ids_that_were_passed_over_are_not_used():
    async def work(link, _owner, _simulator):
        link.pass_over_ids(50)
        return link.reserve_ids(2)

    assert with_link(work) == [51, 52]


class ConnectionListener:
    """A desk that notes what it is told; its order 5 is ours."""

    def __init__(self):
        self.heard = []

    def on_open_order(self, *_known, ours):
        self.heard.append(ours)

    def on_status(self, *_known, ours):
        self.heard.append(ours)

    def on_message(self, number, code, _text):
        self.heard.append((number, code))
        return number == 5


def told(work):
    """Run ``work(link, owner)`` on a link that was never connected, and give what its desk was told."""

    async def run():
        ear, owner = ConnectionListener(), Owner()
        link = Link(Place("127.0.0.1", 1, 7, None, 2.0, "UTC"), ear, Pacer(0.0), owner)
        link.accounts = ["DU0000001"]
        work(link, owner)
        return ear.heard

    return asyncio.run(run())


def open_order(client_id=7, account="DU0000001", **changes):
    known = {"orderId": 3, "permId": 9, "orderRef": "r-SPY-BUY", "action": "BUY", "totalQuantity": 10.0}
    known |= {"orderType": "LMT", "lmtPrice": 400.5, "clientId": client_id, "account": account}
    return SimpleNamespace(**(known | changes))


def test_an_open_order_is_ours_if_its_client_and_its_account_are():
    def work(link, _owner):
        for order in (open_order(), open_order(client_id=8), open_order(account="DU0000002")):
            link.on_open_order(SimpleNamespace(symbol="SPY"), order, SimpleNamespace(status="Submitted"))

    assert told(work) == [True, False, False]


def test_an_open_order_has_its_limit_and_one_at_the_market_has_none():
    def work(link, _owner):
        link._open = {}
        orders = open_order(), open_order(permId=10, orderType="MKT"), open_order(permId=11, lmtPrice=MAX_DOUBLE)
        for order in orders:
            link.on_open_order(SimpleNamespace(symbol="SPY"), order, SimpleNamespace(status="Submitted"))
        link.on_status(3, "Submitted", 4.0, 6.0, 400.0, 9, 0, 400.0, 7)
        rows.extend(link._open.values())

    rows = []
    told(work)
    assert [str(row["limit_price"]) for row in rows] == ["400.5", "nan", "nan"]
    assert [row["filled_quantity"] for row in rows] == [4.0, 0.0, 0.0]
    assert rows[0]["symbol"] == "SPY"


def test_an_id_that_was_used_before_is_a_doubt_about_an_order_of_ours_and_nothing_else_is():
    def work(link, owner):
        for number, code, is_request in ((5, 399, False), (6, 103, False), (5, 103, True)):
            link.on_error(number, code, "text", is_request=is_request)
        doubts.append(owner.doubts)
        link.on_error(5, 103, "text", is_request=False)
        doubts.append(owner.doubts)

    doubts = []
    assert told(work) == [(5, 399), (6, 103), (5, 103)]
    assert doubts == [0, 1]
