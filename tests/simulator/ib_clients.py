"""Real, unmodified clients of ib_async, connected to a simulator of their own in a fresh event loop."""

import asyncio

from ib_async import IB, Stock

from stocklean_exec.simulator import Settings, start

WAIT = 10
"""Seconds after which a connection or an answer has failed."""


class Setup:
    """A server, and clients that are closed after the test."""

    def __init__(self, server):
        self.server = server
        self.clients = []

    async def connect(self, client_id=3, **options):
        ib = IB()
        self.clients.append(ib)
        await ib.connectAsync("127.0.0.1", self.server.port, clientId=client_id, timeout=WAIT, **options)
        return ib

    async def contract(self, ib, symbol="SPY"):
        (found,) = await ib.qualifyContractsAsync(Stock(symbol, "SMART", "USD"))
        return found


def play(script, quotes, **options):
    """Run ``script(setup)`` in a fresh loop with a fresh server."""

    async def main():
        server = await start(Settings(quotes=quotes, seed=7, **options))
        setup = Setup(server)
        try:
            return await asyncio.wait_for(script(setup), 60)
        finally:
            for ib in setup.clients:
                ib.disconnect()
            await server.close()
            assert server.venue.failures == []

    return asyncio.run(main())


async def until(event, condition):
    """Wait for ``event`` until ``condition`` holds; the clock is used for the timeout only."""
    fired = asyncio.Event()
    event += lambda *_: fired.set()
    while not condition():
        await asyncio.wait_for(fired.wait(), WAIT)
        fired.clear()
