from __future__ import annotations

import socket
import threading

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers import factory
from stocklean_exec.errors import BrokerError, ClientIdInUseError, InputError, LiveAccountError
from stocklean_exec.simulator import Simulator


def test_the_mock_broker_is_opened_by_its_address():
    broker = sx.connect("mock://?seed=7&cash=50000&account=DU0000009", quotes={"SPY": 123.0})
    assert (broker.mode, broker.account, broker.address) == (
        "mock",
        "DU0000009",
        "mock://?seed=7&cash=50000&account=DU0000009",
    )
    assert broker.cash() == 50_000.0
    assert broker._seed == 7


def test_without_options_there_is_a_million_and_the_sample_market():
    broker = sx.connect("mock://")
    assert broker.cash() == 1_000_000.0
    assert broker.quotes()["symbol"].tolist() == sx.sample_quotes()["symbol"].tolist()
    assert len(broker.positions()) == 0


def test_the_cash_argument_takes_precedence_over_the_address():
    assert sx.connect("mock://?cash=5", quotes={"SPY": 1.0}, cash=7).cash() == 7.0


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mock",
        "mock:/",
        "mocks://",
        "http://localhost",
        "mock://host",
        "mock://:5000",
        "mock:///path",
        "mock://?seed=x",
        "mock://?seed=",
        "mock://?seed=1.5",
        "mock://?seed=-1",
        "mock://?seed=nan",
        "mock://?cash=lots",
        "mock://?cash=nan",
        "mock://?cash=inf",
        "mock://?seeds=7",
        "mock://?account=U1234567",
        "mock://?account=",
        "mock://[",
        "ib:",
        None,
        7,
    ],
)
def test_an_invalid_address_is_an_error_that_lists_the_valid_forms(address):
    with pytest.raises(InputError) as caught:
        sx.connect(address, quotes={"SPY": 1.0})
    assert caught.value.codes[0] in {"address_invalid", "account_invalid", "cash_missing"}


def test_every_unknown_option_of_an_address_is_named():
    with pytest.raises(InputError, match="colour") as caught:
        sx.connect("mock://?colour=red&size=5")
    assert len(caught.value.problems) == 2


# -- the wire --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "ib://",
        "ib://127.0.0.1",
        "ib://:4002",
        "ib://127.0.0.1:port",
        "ib://127.0.0.1:99999",
        "ib://127.0.0.1:4002/path",
        "ib://me:secret@127.0.0.1:4002",
        "ib://127.0.0.1:4002?client_id=-1",
        "ib://127.0.0.1:4002?client_id=x",
        "ib://127.0.0.1:4002?client_id=2147483648",
        "ib://127.0.0.1:4002?client_id=1&client_id=2",
        "ib://127.0.0.1:4002?rate=-1",
        "ib://127.0.0.1:4002?rate=nan",
        "ib://127.0.0.1:4002?timeout=0",
        "ib://127.0.0.1:4002?timeout=inf",
        "ib://127.0.0.1:4002?run_client_ids=900",
        "ib://127.0.0.1:4002?run_client_ids=999-900",
        "ib://127.0.0.1:4002?run_client_ids=0-9",
        "ib://127.0.0.1:4002?client_id=7&run_client_ids=1-9",
        "ib://127.0.0.1:4002?timezone=Middle/Earth",
        "ib://127.0.0.1:4002?seed=7",
        "ib://192.0.2.7:4002",
        "sim://host",
        "sim://?seed=x",
        "sim://?remote=1",
        "sim://?colour=red",
        "sim:",
    ],
)
def test_an_invalid_ib_or_simulator_address_is_an_error(address):
    with pytest.raises(InputError) as caught:
        sx.connect(address)
    assert caught.value.codes == ("address_invalid",)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "keywords"),
    [
        ("mock://", {"scenario": "rejects"}),
        ("mock://", {"allow_live": "U1234567"}),
        ("sim://", {"fill_plan": []}),
        ("ib://127.0.0.1:4002", {"quotes": {"SPY": 1.0}}),
        ("ib://127.0.0.1:4002", {"cash": 5.0}),
    ],
)
def test_an_option_that_a_broker_does_not_support_is_an_error(address, keywords):
    with pytest.raises(InputError, match=f"takes no {next(iter(keywords))}="):
        sx.connect(address, **keywords)


def test_a_simulator_is_started_connected_to_and_closed():
    positions = {"SPY": 10.0}
    with sx.connect("sim://?seed=7&cash=5000&client_id=4", quotes={"SPY": 123.0}, positions=positions) as broker:
        assert broker.address == "sim://?seed=7&cash=5000&client_id=4"
        assert (broker.mode, broker.account) == ("paper", "DU0000001")
        assert (broker.cash(), broker.nav()) == (5_000.0, 6_230.0)
    assert not [thread for thread in threading.enumerate() if thread.name in {"tws-simulator", "stocklean-ib"}]


def test_the_simulator_has_the_market_of_the_mock_broker_by_default():
    names = ["symbol", "bid", "ask", "last", "bid_size", "ask_size"]
    with sx.connect("sim://") as wire, sx.connect("mock://") as mock:
        expected = mock.quotes()[names]
        assert wire.quotes(expected["symbol"].tolist())[names].to_numpy().tolist() == expected.to_numpy().tolist()


def test_a_scenario_is_named_or_given():
    given = {"switches": {"market_data": "delayed"}}
    with sx.connect("sim://", quotes={"SPY": 123.0}, scenario=given) as broker:
        assert broker.quotes("SPY")["data_type"].tolist() == [3]
    with sx.connect("sim://?scenario=partial_fills", quotes={"SPY": 123.0}) as broker:
        assert broker.cash() == 1_000_000.0


@pytest.mark.parametrize("scenario", ["no_such_scenario.toml", {"switches": {"colour": "red"}}])
def test_an_invalid_scenario_is_an_error_and_no_thread_keeps_running(scenario):
    with pytest.raises(InputError) as caught:
        sx.connect("sim://", scenario=scenario)
    assert caught.value.codes == ("simulator_invalid",)
    assert not [thread for thread in threading.enumerate() if thread.name == "tws-simulator"]


def test_a_live_account_at_the_simulator_is_refused_and_the_simulator_closed():
    with pytest.raises(LiveAccountError):
        sx.connect("sim://?account=U1234567")
    assert not [thread for thread in threading.enumerate() if thread.name in {"tws-simulator", "stocklean-ib"}]


def test_a_missing_gateway_is_an_error_with_advice():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(BrokerError, match=rf"127\.0\.0\.1:{port}: nothing listens there"):
        sx.connect(f"ib://127.0.0.1:{port}?client_id=7")


def test_the_simulator_shows_quotes_without_sizes_as_given():
    quotes = pd.DataFrame({"symbol": ["SPY"], "bid": [99.9], "ask": [100.1], "quoted_at": pd.Timestamp.now("UTC")})
    with sx.connect("sim://?seed=7", quotes=quotes, positions={"SPY": 5}, cash=1_000) as broker:
        shown = broker.quotes("SPY").iloc[0]
        assert (shown["bid"], shown["ask"]) == (99.9, 100.1)
        assert broker.nav() == 1_500.0


def test_the_mock_broker_follows_the_given_fill_plan():
    plan = pd.DataFrame([{"symbol": "SPY", "action": "explode"}])
    with pytest.raises(InputError) as caught:
        sx.connect("mock://", quotes={"SPY": 123.0}, fill_plan=plan)
    assert caught.value.codes == ("action_unknown",)


def test_the_account_named_in_the_address_is_traded():
    with Simulator(account="DU0000001,DU0000002") as simulator:
        address = f"ib://127.0.0.1:{simulator.port}?account=DU0000002&client_id=3&timeout=30&rate=0"
        with sx.connect(address) as broker:
            assert (broker.account, broker.mode, broker.address) == ("DU0000002", "paper", address)


def test_options_omitted_from_an_address_have_the_documented_defaults():
    found = factory._client_options({}, factory.DEFAULT_RATE)
    assert found == {"client_id": 1, "rate": 45.0, "seconds": 10.0, "zone": "America/New_York"}


def test_the_simulator_lists_a_symbol_twice_and_holds_the_contract_that_is_named():
    quotes = pd.DataFrame(
        {
            "symbol": ["ABC", "ABC"],
            "bid": [9.99, 10.99],
            "ask": [10.01, 11.01],
            "primary_exchange": ["NASDAQ", "LSEETF"],
            "con_id": [6, 7],
            "quoted_at": pd.Timestamp("2022-12-29", tz="UTC"),
        }
    )
    held = pd.DataFrame({"symbol": ["ABC"], "quantity": [50.0], "avg_cost": [8.0], "con_id": [7]})
    with sx.connect("sim://?seed=7", quotes=quotes, positions=held) as broker:
        row = broker.positions().iloc[0]
        assert (row["symbol"], row["quantity"], row["avg_cost"], row["con_id"]) == ("ABC", 50.0, 8.0, 7)


def test_the_simulator_has_a_base_currency_rates_and_cash_by_currency():
    address = "sim://?base_currency=GBP&cash=GBP=5000,USD=100&fx=USD=0.8"
    with sx.connect(address, quotes={"SPY": 123.0}) as broker:
        assert (broker.cash(), broker.nav()) == (5_080.0, 5_080.0)
    cash, fx = {"GBP": 70.0, "USD": 10.0}, {"USD": 0.75}
    with sx.connect("sim://?base_currency=gbp", quotes={"SPY": 123.0}, cash=cash, fx=fx) as broker:
        assert broker.cash() == 77.5


@pytest.mark.parametrize(
    ("address", "keywords"),
    [
        ("sim://?cash=lots", {}),
        ("sim://?fx=EUR", {}),
        ("sim://?base_currency=POUND", {}),
        ("sim://?base_currency=GBP&fx=EUR=0.9", {}),
        ("sim://", {"cash": {"NOK": 5.0}}),
        ("mock://", {"cash": {"USD": 5.0}}),
    ],
)
def test_money_that_cannot_be_read_is_refused(address, keywords):
    with pytest.raises(InputError):
        sx.connect(address, **keywords)


@pytest.mark.slow
def test_connect_waits_for_a_client_id_that_another_program_has(monkeypatch):
    with Simulator(quotes={"SPY": 100.0}) as simulator:
        address = f"ib://127.0.0.1:{simulator.port}?client_id=7"
        holder = sx.connect(address)
        with pytest.raises(ClientIdInUseError, match="client id 7 is in use by another program"):
            sx.connect(address)
        said = []
        monkeypatch.setattr(factory.time, "sleep", lambda _: holder.close())
        with sx.connect(address, wait=60.0, on_wait=said.append) as broker:
            assert broker.cash() == 1_000_000.0
        assert len(said) == 1
        assert "(326)" in said[0]
        assert 0 < int(said[0].split("Trying again for ")[1].split()[0]) <= 60
