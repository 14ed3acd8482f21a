"""The simulator in a separate thread."""

import socket

import pytest

from stocklean_exec.simulator import Settings, Simulator
from stocklean_exec.simulator.protocol.framing import FrameReader, pack, pack_fields, split_fields
from stocklean_exec.simulator.scenarios.scenario import ScenarioError


class Wire:
    """A blocking socket that sends and receives frames."""

    def __init__(self, simulator, client_id=1):
        self.socket = socket.create_connection(("127.0.0.1", simulator.port), timeout=10)
        self.reader = FrameReader()
        self.socket.sendall(b"API\0" + pack(b"v157..176"))
        self.read()
        self.send("71", "2", str(client_id), "")
        for _ in range(5):
            self.read()

    def send(self, *fields):
        self.socket.sendall(pack_fields(fields))

    def read(self):
        while (payload := self.reader.next_payload()) is None:
            data = self.socket.recv(65_536)
            if not data:
                return None
            self.reader.feed(data)
        return split_fields(payload)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_a_simulator_thread_has_a_port_and_serves_until_it_is_stopped():
    with Simulator(seed=7) as simulator:
        assert simulator.port > 0
        with Wire(simulator) as wire:
            wire.send("49", "1")
            assert wire.read()[0] == "49"
            port = simulator.port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_quotes_faults_and_events_can_be_set_from_another_thread():
    with Simulator(quotes={"SPY": {"bid": 400.0, "ask": 400.1}}) as simulator, Wire(simulator) as wire:
        simulator.event("message", code=2103, text="farm")
        assert wire.read()[3] == "2103"
        simulator.move("SPY", ask=400.2)
        assert simulator.call(lambda venue: venue.market["SPY"].ask) == 400.2
        before = simulator.call(lambda venue: venue.clock.now())
        simulator.advance(60)
        assert simulator.call(lambda venue: venue.clock.now()) >= before + 60
        simulator.fault(on="currentTime", do="duplicate")
        wire.send("49", "1")
        assert [wire.read()[0], wire.read()[0]] == ["49", "49"]
        simulator.event("restart")
        assert wire.read() is None


def test_faults_and_events_from_another_thread_are_validated():
    with Simulator() as simulator:
        with pytest.raises(ScenarioError):
            simulator.fault(on="nothing", do="omit")
        with pytest.raises(ScenarioError):
            simulator.event("explode")


def test_settings_can_be_given_as_keywords():
    with Simulator(Settings(seed=3), account="DU1, DU2", cash=5.0) as simulator:
        assert simulator.accounts == ("DU1", "DU2")
        assert simulator.call(lambda venue: venue.ledger.accounts["DU2"].cash) == 5.0
        assert simulator.call(lambda venue: venue.seed) == 3
    with pytest.raises(TypeError, match="speed"):
        Simulator(speed=3)


def test_a_failed_start_raises_in_the_calling_thread():
    with pytest.raises(ValueError, match="live"):
        Simulator(port=7496).start()
    with pytest.raises(OSError, match="No such file"):
        Simulator(quotes="no/such/file.csv").start()


def test_a_simulator_thread_can_be_started_again_on_its_state(tmp_path):
    simulator = Simulator(state=tmp_path / "venue.state")
    with simulator:
        simulator.call(lambda venue: venue.ledger.use_id(1, 41))
    with simulator:
        assert simulator.call(lambda venue: venue.ledger.next_valid_id(1)) == 42


def test_a_simulator_thread_is_not_available_before_it_is_started():
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        simulator.call(lambda venue: venue)
    simulator.stop()


def test_the_repr_of_a_simulator_has_the_address_and_the_accounts():
    simulator = Simulator(account="DU1, DU2")
    assert repr(simulator) == "<Simulator not running, 2 accounts>"
    with simulator:
        assert repr(simulator) == f"<Simulator 127.0.0.1:{simulator.port}, 2 accounts>"
        assert simulator._repr_html_() == f"<code>&lt;Simulator 127.0.0.1:{simulator.port}, 2 accounts&gt;</code>"
    assert "1 account>" in repr(Simulator())
