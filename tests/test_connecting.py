from __future__ import annotations

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError


def test_the_mock_filler_is_opened_by_its_address():
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


def test_cash_given_as_an_argument_goes_before_the_address():
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
def test_an_address_that_cannot_be_read_is_an_error_that_tells_what_would_do(address):
    with pytest.raises(InputError) as caught:
        sx.connect(address, quotes={"SPY": 1.0})
    assert caught.value.codes[0] in {"address_invalid", "account_invalid", "cash_missing"}


def test_every_unknown_option_is_named():
    with pytest.raises(InputError, match="colour") as caught:
        sx.connect("mock://?colour=red&size=5")
    assert len(caught.value.problems) == 2
