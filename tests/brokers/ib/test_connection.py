"""A link at its edges: what it asks for goes in turn, within limits; what it hears is guarded."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.ib.connection import Link, Place
from stocklean_exec.brokers.ib.market_data import Instrument, Refusal
from stocklean_exec.brokers.ib.order_tracker import OrderDesk
from stocklean_exec.brokers.rate_limit import Pacer
from stocklean_exec.errors import BrokerError
from stocklean_exec.simulator import Simulator

TICKET = Ticket("r-SPY-BUY", "r", "SPY", "BUY", 10.0, "LMT", 400.5, "DAY", "USD", "STK", "SMART", "DU0000001")


class Owner:
    def __init__(self):
        self.failures, self.lost, self.restored = [], 0, 0

    def on_failure(self, what, error):
        self.failures.append((what, error))

    def on_lost(self):
        self.lost += 1

    def on_restored(self):
        self.restored += 1

    def on_puzzle(self):
        pass


def with_link(work, *, rate=0.0, **settings):
    """Run ``work(link, owner, simulator)`` on a connected link."""

    async def run(simulator):
        owner = Owner()
        place = Place("127.0.0.1", simulator.port, 1, None, 2.0, "America/New_York")
        link = Link(place, OrderDesk(lambda: datetime.now(UTC)), Pacer(rate), owner)
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
