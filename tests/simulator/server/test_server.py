"""The socket: limits, addresses, timeouts, several clients, clients that do not read."""

import asyncio
import struct

import pytest

from stocklean_exec.simulator import FORBIDDEN_PORTS, Limits, Settings, start
from stocklean_exec.simulator.protocol.framing import pack, pack_fields

HELLO = b"API\0" + pack(b"v157..176")
WAIT = 10


async def opened(server, client_id=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HELLO)
    await read(reader)
    if client_id is not None:
        writer.write(pack_fields(["71", "2", str(client_id), ""]))
        for _ in range(5):
            await read(reader)
    return reader, writer


async def read(reader):
    (length,) = struct.unpack(">I", await asyncio.wait_for(reader.readexactly(4), WAIT))
    return (await asyncio.wait_for(reader.readexactly(length), WAIT)).decode().split("\0")[:-1]


def run(scenario, **options):
    """Run ``scenario(server)`` against a fresh server in a fresh loop."""

    async def main():
        server = await start(options.pop("settings", None), **options)
        try:
            return await asyncio.wait_for(scenario(server), 30)
        finally:
            await server.close()
            assert server.venue.failures == []

    return asyncio.run(main())


def test_a_client_is_served_over_a_real_socket():
    async def scenario(server):
        reader, writer = await opened(server, 1)
        writer.write(pack_fields(["49", "1"]))
        answer = await read(reader)
        writer.close()
        return answer

    assert run(scenario)[:2] == ["49", "1"]


def test_what_one_client_does_reaches_another_immediately():
    async def scenario(server):
        first_reader, first = await opened(server, 1)
        second_reader, second = await opened(server, 2)
        first.write(pack_fields(["61", "1"]))
        assert (await read(first_reader))[0] == "62"
        server.venue.broadcast(2103, "farm")
        server.flush()
        codes = [(await read(reader))[3] for reader in (first_reader, second_reader)]
        first.close()
        second.close()
        return codes

    assert run(scenario) == ["2103", "2103"]


@pytest.mark.parametrize("port", sorted(FORBIDDEN_PORTS))
def test_ports_of_live_logins_are_refused(port):
    with pytest.raises(ValueError, match="live"):
        asyncio.run(start(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - to be refused
def test_only_loopback_addresses_are_allowed_by_default(host):
    with pytest.raises(ValueError, match="allow_remote"):
        asyncio.run(start(host=host))


def test_a_port_in_use_is_an_error():
    async def scenario(server):
        with pytest.raises(OSError, match="use"):
            await start(port=server.port)

    run(scenario)


def test_a_connection_above_the_limit_is_closed_and_the_others_stay_open():
    async def scenario(server):
        _, first = await opened(server, 1)
        reader, second = await asyncio.open_connection("127.0.0.1", server.port)
        second.write(HELLO)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(4), WAIT)
        first.close()
        second.close()

    run(scenario, limits=Limits(max_connections=1))


def test_a_connection_that_never_starts_is_closed():
    async def scenario(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(reader.read(), WAIT) == b""
        writer.close()

    run(scenario, limits=Limits(handshake_seconds=0.05))


def test_a_started_client_that_is_idle_for_too_long_is_closed():
    async def scenario(server):
        reader, writer = await opened(server, 1)
        assert await asyncio.wait_for(reader.read(), WAIT) == b""
        writer.close()

    run(scenario, limits=Limits(idle_seconds=0.05))


@pytest.mark.slow
def test_a_client_that_does_not_read_is_disconnected_and_the_venue_continues():
    # Contract details are long: a few thousand fill all buffers on the path.
    contract = ["0", "SPY", "STK", "", "", "", "", "SMART", "", "USD", "", ""]
    ask = pack_fields(["9", "8", "5", *contract, "0", "", "", ""]) * 50

    async def scenario(server):
        _, slow = await opened(server, 1)
        slow.transport.pause_reading()
        session = server.venue.sessions[1]
        for _ in range(2_000):
            if session.closed:
                break
            slow.write(ask)
            await asyncio.sleep(0)  # lets the server run once, without waiting
        assert "slow reader" in session.reason
        reader, writer = await opened(server, 2)
        writer.write(pack_fields(["49", "1"]))
        assert (await read(reader))[0] == "49"
        slow.transport.abort()
        writer.close()

    run(scenario, limits=Limits(max_unsent=200_000))


def test_garbage_closes_its_own_connection_only():
    async def scenario(server):
        reader, writer = await opened(server, 1)
        bad_reader, bad = await asyncio.open_connection("127.0.0.1", server.port)
        bad.write(b"\x00" * 50)
        assert await asyncio.wait_for(bad_reader.read(), WAIT) == b""
        writer.write(pack_fields(["49", "1"]))
        assert (await read(reader))[0] == "49"
        writer.close()
        bad.close()

    run(scenario)


def test_on_a_wall_clock_a_delayed_execution_arrives_without_a_request():
    settings = Settings(
        clock="wall",
        quotes={"SPY": {"bid": 400.0, "ask": 400.1}},
        scenario={"event": [{"after_requests": 1, "delay": 0.05, "do": "message", "code": 2103, "text": "late"}]},
    )

    async def scenario(server):
        reader, writer = await opened(server, 1)
        writer.write(pack_fields(["49", "1"]))
        answers = [await read(reader), await read(reader)]
        writer.close()
        return [fields[0] for fields in answers]

    assert run(scenario, settings=settings) == ["49", "4"]


def test_closing_the_server_closes_every_connection():
    async def main():
        server = await start()
        reader, writer = await opened(server, 1)
        await server.close()
        assert await asyncio.wait_for(reader.read(), WAIT) == b""
        writer.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_deaf_server_resumes_reading_after_its_time():
    reading_paused = {"on": "reqPositions", "do": "deaf", "seconds": 0.5}
    settings = Settings(clock="wall", scenario={"fault": [reading_paused]})

    async def scenario(server):
        reader, writer = await opened(server, 1)
        writer.write(pack_fields(["61", "1"]))
        writer.write(pack_fields(["8", "1", "1"]))
        await writer.drain()
        _, other = await opened(server, 2)  # takes the server long enough to have read the others
        assert server.venue.sessions[1].reading_paused
        writer.write(pack_fields(["49", "1"]))
        sent = [(await read(reader))[0] for _ in range(3)]
        writer.close()
        other.close()
        return sent

    assert run(scenario, settings=settings) == ["62", "9", "49"]


@pytest.mark.slow
def test_a_stalled_server_sends_its_bytes_later():
    stall = {"on": "positionEnd", "do": "stall", "seconds": 0.5}
    settings = Settings(clock="wall", scenario={"fault": [stall]})

    async def scenario(server):
        reader, writer = await opened(server, 1)
        writer.write(pack_fields(["61", "1"]) + pack_fields(["49", "1"]))
        sent = [(await read(reader))[0] for _ in range(2)]
        writer.close()
        return sent

    assert run(scenario, settings=settings) == ["62", "49"]


@pytest.mark.slow
def test_requests_are_queued_on_a_wall_clock():
    settings = Settings(clock="wall", scenario={"switches": {"queue_seconds": 0.05}})

    async def scenario(server):
        reader, writer = await opened(server, 1)
        begin = server.loop.time()
        writer.write(pack_fields(["49", "1"]) * 4)
        for _ in range(4):
            assert (await read(reader))[0] == "49"
        writer.close()
        return server.loop.time() - begin

    assert run(scenario, settings=settings) > 0.19
