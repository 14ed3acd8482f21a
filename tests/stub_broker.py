"""A mock broker that fails, is slow or stays open as a test asks, and plans for it."""

import asyncio

from stocklean_exec.brokers.mock import MockBroker
from tests.approved_buys import approved_buys


class Stub(MockBroker):
    """The mock broker, with an action when the ``at``-th order is sent."""

    def __init__(self, *arguments, at=1, happens=None, window=1_000, quiet=True, **options):
        super().__init__(*arguments, **options)
        self.placed = []
        self.at, self.happens, self.send_window, self.quiet = at, happens, window, quiet

    async def place(self, ticket):
        self.placed.append(ticket.client_order_id)
        if len(self.placed) == self.at and self.happens is not None:
            result = self.happens(ticket)
            if asyncio.iscoroutine(result):
                await result
        await super().place(ticket)

    def is_quiet(self):
        return self.quiet


def plan(count, broker, run_id="r", limit=None, quantity=1.0):
    """Approve one order, by default of one share, in each of ``count`` symbols."""
    symbols = [f"S{number:03d}" for number in range(count)]
    return approved_buys(symbols, broker.quotes(), quantity=quantity, limit=limit, run_id=run_id)


def prices(count):
    return {f"S{number:03d}": 10.0 for number in range(count)}


def fail(error):
    def happens(ticket):
        raise error

    return happens
