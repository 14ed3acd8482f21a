"""A bare TWS for the canaries: a few lines over a real socket, without any code of the package in between."""

from __future__ import annotations

import asyncio
import logging
import struct

import pytest
from ib_async import IB, StartupFetch

VERSION = 176
SECONDS = 10
NOTHING = StartupFetch(0)
ENDS = {"5": ("53", 1), "16": ("53", 1), "61": ("62", 1), "99": ("102",)}
"""What ends the answer to a request without a number."""


@pytest.fixture(autouse=True)
def its_own_loggers():
    """The client's loggers as it brings them along: this package silences them in its own process."""
    before = {name: logging.getLogger(name).level for name in ("ib_async", "eventkit")}
    for name in before:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def frame(*fields):
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


class Peer:
    """The other end: greets, answers every request with nothing, and keeps all that it is sent.

    ``silent``: requests that it leaves without an answer.
    """

    def __init__(self):
        self.received = []
        self.silent = set()
        self.greets = True
        self.ended = 0
        self.port = 0
        self._news = asyncio.Condition()
        self._server = None
        self._writers = []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        try:
            await reader.readexactly(4)
            await self._read(reader)
            self.say(VERSION, "20221229 10:00:00 US/Eastern")
            while True:
                fields = await self._read(reader)
                async with self._news:
                    self.received.append(fields)
                    self._news.notify_all()
                self._answer(fields)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            async with self._news:
                self.ended += 1
                self._news.notify_all()

    async def _read(self, reader):
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        return (await reader.readexactly(length)).decode().split("\0")[:-1]

    def _answer(self, fields):
        kind = fields[0]
        if kind in self.silent:
            return
        if kind == "71" and self.greets:
            self.say(15, 1, "DU0000001")
            self.say(9, 1, 1)
        elif kind in ENDS:
            self.say(*ENDS[kind])
        elif kind == "49":
            self.say(49, 1, 1672326000)
        elif kind == "7":
            self.say(55, 1, fields[2])

    def say(self, *fields):
        """Send a message to the latest client."""
        self.raw(frame(*fields))

    def raw(self, data):
        self._writers[-1].write(data)

    def hang_up(self):
        self._writers[-1].close()

    async def until(self, condition):
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(condition), SECONDS)

    def orders(self):
        """Every placeOrder that came."""
        return [fields for fields in self.received if fields[0] == "3"]

    async def stop(self):
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self.until(lambda: self.ended == len(self._writers))

    # -- the messages of the canaries ------------------------------------------------------------------------

    def status(self, order_id, word, filled=0, remaining=100, client_id=1):
        self.say(3, order_id, word, filled, remaining, 0, order_id + 500, 0, 0, client_id, "", 0)

    def execution(self, order_id, exec_id="0000e0d5.67fe667b.01.01", shares=100, request=-1, **more):
        time = more.get("time", "20221229 10:00:01 US/Eastern")
        perm_id = more.get("perm_id", order_id + 500)
        self.say(
            11, request, order_id, 756733, "SPY", "STK", "", 0, "", "", "ARCA", "USD", "SPY", "SPY", exec_id,
            time, "DU0000001", "ARCA", "BOT", shares, "400.1", perm_id, 1, 0, shares, "400.1", "ref", "", "", "",
            2,
        )  # fmt: skip

    def commission(self, exec_id="0000e0d5.67fe667b.01.01", amount="1.0"):
        self.say(59, 1, exec_id, amount, "USD", "", "", "")

    def error(self, number, code):
        self.say(4, 2, number, code, "text", "")


class Bench:
    """A peer, and clients of it that are disconnected at the end."""

    def __init__(self, peer):
        self.peer = peer
        self.clients = []

    async def connect(self, *, ib=None, keep=True, fetch=NOTHING, **options):
        """Connect a client of ib_async that requests nothing when it starts."""
        ib = IB() if ib is None else ib
        if keep:
            self.clients.append(ib)
        options = {"clientId": 1, "timeout": SECONDS} | options
        await ib.connectAsync("127.0.0.1", self.peer.port, fetchFields=fetch, **options)
        return ib

    async def idle(self, ib):
        """Wait until the client has read all that the peer has sent so far: it answers messages in sequence."""
        await asyncio.wait_for(asyncio.ensure_future(ib.reqCurrentTimeAsync()), SECONDS)


@pytest.fixture
def play():
    """Runs ``script(bench)`` in a separate loop."""

    def run(script):
        async def main():
            peer = Peer()
            await peer.start()
            bench = Bench(peer)
            try:
                return await asyncio.wait_for(script(bench), 60)
            finally:
                for ib in bench.clients:
                    ib.disconnect()
                bench.clients.clear()
                await peer.stop()

        return asyncio.run(main())

    return run
