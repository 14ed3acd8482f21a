"""Connecting to TWS: what the error says when it fails, and what a connection logs and how fast it sends."""

import asyncio
import contextlib
import logging
import threading

import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.errors import BrokerError, InputError
from stocklean_exec.simulator import Simulator
from tests.wire_market import MARKET, approved_of, connect


@pytest.fixture
def simulator():
    with Simulator(seed=7, quotes=MARKET, positions={"KO": (500.0, 60.0)}) as running:
        yield running


class ForeignServer:
    """A server of another kind: sends ``greeting`` to each client, then answers nothing."""

    def __init__(self, greeting=b"", *, closes=False):
        self.greeting, self.closes = greeting, closes

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve(reader, writer):
            writer.write(self.greeting)
            received = self.loop.create_task(reader.read())
            over = self.loop.create_task(self.over.wait())
            if not self.closes:
                await asyncio.wait([received, over], return_when=asyncio.FIRST_COMPLETED)
            for task in (received, over):
                task.cancel()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        async def start():
            self.over = asyncio.Event()
            self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            self.loop.run_until_complete(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        ready.wait(5)
        return self

    def __exit__(self, *_):
        async def stop():
            # Nothing is cancelled: nothing else would close the socket of a connection being accepted.
            self.server.close()
            self.over.set()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


def test_a_refused_connection_is_an_error_that_names_the_ports_and_the_setting():
    with ForeignServer() as gone:
        port = gone.port
    with pytest.raises(BrokerError, match=r"nothing listens there.*7497.*4002.*Enable ActiveX"):
        IBBroker(port=port, seconds=2.0)


def test_a_client_id_in_use_is_named_in_the_error(simulator):
    with connect(simulator, client_id=7), pytest.raises(BrokerError, match=r"client id 7 is in use.*326"):
        connect(simulator, client_id=7)


def test_a_connection_closed_at_the_start_is_most_likely_the_client_id():
    scenario = {"switches": {"client_id_in_use": "close"}}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running, client_id=7),
        pytest.raises(BrokerError, match="client id 7 is in use"),
    ):
        connect(running, client_id=7)


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 40, b"\x00\x00\x00\x05abcde", b"\x00\x00\x00\x08abc\0def\0"],
    ids=["a web server", "no text", "one field", "two fields"],
)
def test_a_server_that_is_not_tws_is_recognised(greeting):
    with ForeignServer(greeting) as other, pytest.raises(BrokerError, match="not TWS"):
        IBBroker(port=other.port, seconds=1.0)


@pytest.mark.slow
def test_a_silent_server_is_an_error_within_the_time_limit():
    with ForeignServer() as other, pytest.raises(BrokerError, match=r"sent nothing for 0\.3 s"):
        IBBroker(port=other.port, seconds=0.3)


def test_a_server_that_closes_the_connection_is_distinguished_from_a_silent_one():
    with (
        ForeignServer(closes=True) as other,
        pytest.raises(BrokerError, match="closed the connection without a message"),
    ):
        IBBroker(port=other.port, seconds=2.0)


def test_a_server_that_is_too_old_is_reported_as_such():
    with (
        ForeignServer(b"\x00\x00\x00\x1a" + b"100\x0020221229 10:00:00 EST\x00"[:26]) as other,
        pytest.raises(BrokerError, match="version 100, which is too old"),
    ):
        IBBroker(port=other.port, seconds=2.0)


@pytest.mark.slow
def test_a_start_that_is_never_complete_is_an_error():
    scenario = {"fault": [{"on": "openOrderEnd", "do": "omit"}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        pytest.raises(BrokerError, match="not ready after"),
    ):
        connect(running, seconds=0.3)


def test_connecting_to_another_computer_needs_an_explicit_option():
    with pytest.raises(InputError, match="remote=1"):
        IBBroker("192.0.2.7", 4002)


@pytest.mark.slow
def test_no_log_line_of_the_client_library_is_printed(simulator, capfd):
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of([("SPY", "BUY", 1.0, "MKT")]), broker, blotter)
        broker.quotes(["NOPE"])
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert logging.getLogger("ib_async").level == logging.CRITICAL


@pytest.mark.slow
def test_sent_messages_stay_under_ibs_rate_limit_as_counted_by_the_simulator():
    scenario = {"switches": {"pacing": "reject", "pacing_limit": 50}}
    with (
        Simulator(quotes=MARKET, scenario=scenario, clock="wall") as running,
        connect(running, rate=45.0) as broker,
        sx.open_blotter() as blotter,
    ):
        rows = [("KO", "BUY", float(number), "MKT") for number in range(1, 61)]
        states = sx.submit_orders(approved_of(rows), broker, blotter)
        assert (states["status"] == "FILLED").all()
        assert running.call(lambda venue: [session.violations for session in venue.sessions.values()]) == [0]


@pytest.mark.slow
@pytest.mark.parametrize("clock", ["brisk", "virtual"])
def test_two_sessions_with_one_seed_share_a_blotter_without_losing_a_fill(clock):
    # The venues number their executions from the same seed: what one has used must not hide the other's.
    with sx.open_blotter() as blotter:
        for run_id in ("first", "second"):
            with sx.connect(f"sim://?seed=7&clock={clock}", quotes=MARKET) as broker:
                states = sx.submit_orders(
                    approved_of([("SPY", "BUY", 250.0, "MKT")], run_id=run_id), broker, blotter
                )
            assert states[["status", "filled_quantity", "commission"]].to_numpy().tolist() == [
                ["FILLED", 250.0, 1.25]
            ]
        fills = blotter.fills()
        assert fills.groupby("run_id")["quantity"].sum().to_dict() == {"first": 250.0, "second": 250.0}
        assert fills["commission"].sum() == 2.5
        assert fills["exec_id"].is_unique == (clock == "brisk")
