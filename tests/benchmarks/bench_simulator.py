"""How fast the simulator is on its own: orders and messages per second, and memory after many orders.

    python tests/benchmarks/bench_simulator.py [--orders 5000] [--memory-orders 100000]

Clients here write prepared bytes over real sockets and read what comes back, without decoding it, from
another process, so that the figure is the simulator's and not a client library's. One order is one request
and eight replies (two openOrder and orderStatus pairs more than a program needs: TWS repeats them).

Prints a table; compares nothing, because figures of different machines cannot be compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import selectors
import socket
import time
from pathlib import Path

from stocklean_exec.simulator import Session, Simulator, Venue
from stocklean_exec.simulator.protocol.framing import FrameReader, pack, pack_fields

WIRE = Path(__file__).parent.parent / "wire" / "client_requests.tsv"
WINDOW = 20  # orders that a client has on their way at one time
KIB_IN_MIB = 1024


def template():
    """A market order of the official client."""
    for line in WIRE.read_text(encoding="utf-8").splitlines():
        client, version, payload = line.split("\t")
        if (client, version) == ("official", "176") and payload.startswith("3|"):
            return payload.split("|")[:-1]
    raise LookupError("no order in the transcripts")


def orders(count):
    """Frames of ``count`` orders, buys and sells by turns."""
    fields = template()
    frames = []
    for number in range(1, count + 1):
        fields[1], fields[16] = str(number), "BUY" if number % 2 else "SELL"
        frames.append(pack_fields(fields))
    return frames


class Client:
    """One connection that keeps a window of orders on their way."""

    def __init__(self, port, client_id, frames):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = FrameReader()
        self.frames = frames
        self.sent = self.done = self.messages = 0
        self.socket.sendall(b"API\0" + pack(b"v157..176"))
        self._wait(1)
        self.socket.sendall(pack_fields(["71", "2", str(client_id), ""]))
        self._wait(5)

    def _wait(self, count):
        while count:
            self.reader.feed(self.socket.recv(65_536))
            count -= sum(1 for _ in self.reader.payloads())

    def fill(self):
        """Send as many orders as the window allows."""
        upto = min(self.done + WINDOW, len(self.frames))
        if upto > self.sent:
            self.socket.sendall(b"".join(self.frames[self.sent : upto]))
            self.sent = upto

    def read(self):
        """Read what is there; an order is done with its commission."""
        self.reader.feed(self.socket.recv(1 << 18))
        for payload in self.reader.payloads():
            self.messages += 1
            self.done += payload.startswith(b"59\0")


def drive(port, clients, count, answer):
    """Let ``clients`` place ``count`` orders together; returns (orders, messages, seconds)."""
    frames = orders(count // clients)
    connected = [Client(port, number, frames) for number in range(1, clients + 1)]
    chooser = selectors.DefaultSelector()
    for one in connected:
        chooser.register(one.socket, selectors.EVENT_READ, one)
    begin = time.perf_counter()
    for one in connected:
        one.fill()
    while any(one.done < len(frames) for one in connected):
        for key, _ in chooser.select():
            key.data.read()
            key.data.fill()
    seconds = time.perf_counter() - begin
    answer.put((len(frames) * clients, sum(one.messages for one in connected), seconds))
    for one in connected:
        one.socket.close()


def throughput(clients, count):
    """Orders and messages a second with so many clients."""
    with Simulator(seed=7) as simulator:
        answer = multiprocessing.get_context("spawn").Queue()
        process = multiprocessing.get_context("spawn").Process(
            target=drive, args=(simulator.port, clients, count, answer)
        )
        process.start()
        placed, replies, seconds = answer.get(timeout=600)
        process.join()
    return placed / seconds, (placed + replies) / seconds


def core(count):
    """Orders a second without any socket."""
    session = Session(Venue())
    session.feed(b"API\0" + pack(b"v157..176") + pack_fields(["71", "2", "1", ""]))
    frames = orders(count)
    begin = time.perf_counter()
    for frame in frames:
        session.feed(frame)
        session.take()
    return count / (time.perf_counter() - begin)


def ready():
    """Seconds until a simulator in a thread listens."""
    begin = time.perf_counter()
    with Simulator(seed=7):
        return time.perf_counter() - begin


def main():
    """Run all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=5_000)
    parser.add_argument("--memory-orders", type=int, default=100_000)
    parser.add_argument("--small", action="store_true", help="200 orders, 1,000 for the memory")
    given = parser.parse_args()
    if given.small:
        given.orders, given.memory_orders = 200, 1_000
    print(f"{'ready to connect':<38}{ready() * 1000:>10.1f} ms")
    for clients in (1, 10, 50):
        placed, messages = throughput(clients, given.orders)
        label = f"{clients} client{'s' if clients > 1 else ''} over sockets"
        print(f"{label:<38}{placed:>10,.0f} orders/s{messages:>12,.0f} messages/s")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_IN_MIB
    rate = core(given.memory_orders)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_IN_MIB
    print(f"{'no socket':<38}{rate:>10,.0f} orders/s")
    print(f"{f'memory after {given.memory_orders:,} orders':<38}{after:>10,.0f} MiB (before: {before:,.0f})")


if __name__ == "__main__":
    main()
