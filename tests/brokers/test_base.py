from __future__ import annotations

import asyncio

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import (
    ORPHAN_COLUMNS,
    Broker,
    is_paper_account,
    mask_account,
    symbols_of,
)
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError


@pytest.mark.parametrize("account", ["DU1234567", "DF1234567", "DU0000001"])
def test_a_paper_account_is_known_by_its_id(account):
    assert is_paper_account(account)


@pytest.mark.parametrize(
    "account", ["U1234567", "", "DUMMY", "DU", "DU12X", "DU1,U2", "du1234567", "DU1\n", " DU1"]
)
def test_any_other_account_id_counts_as_live(account):
    assert not is_paper_account(account)


@pytest.mark.parametrize(
    ("account", "shown"),
    [("DU1234567", "DU***567"), ("U7654321", "U7***321"), (None, "no account"), ("", "no account")],
)
def test_an_account_is_shown_without_its_middle(account, shown):
    assert mask_account(account) == shown


@pytest.mark.parametrize(
    "asked",
    [
        ["SPY", "TLT"],
        ("SPY", "TLT"),
        {"SPY": 0.5, "TLT": 0.5},
        pd.Series({"SPY": 0.5, "TLT": 0.5}),
        pd.Series(["SPY", "TLT"]),  # targets["symbol"]: its labels are row numbers, not symbols
        pd.DataFrame({"symbol": ["SPY", "TLT"], "weight": 0.5})["symbol"],
        pd.DataFrame({"symbol": ["SPY", "TLT"], "weight": 0.5}),
        pd.DataFrame({"weight": [0.5, 0.5]}, index=pd.Index(["SPY", "TLT"], name="symbol")),
        pd.Index(["SPY", "TLT"]),
        np.array(["SPY", "TLT"]),
        (name for name in ("SPY", "TLT")),
    ],
    ids=lambda asked: type(asked).__name__,
)
def test_quotes_accept_every_form_of_symbol_list(asked):
    assert symbols_of(asked) == ["SPY", "TLT"]


def test_one_symbol_is_a_list_of_one_and_none_means_all_symbols():
    assert symbols_of("SPY") == ["SPY"]
    assert symbols_of(None) is None
    assert symbols_of([]) == []


@pytest.mark.parametrize(
    "given",
    [["spy ", "brk.b", "BRK-A"], {"spy ": 0.5, "brk.b": 0.2, "BRK-A": 0.1}, pd.Series(["spy ", "brk.b", "BRK-A"])],
)
def test_symbols_are_spelled_as_the_planner_does(given):
    assert symbols_of(given) == ["SPY", "BRK B", "BRK A"]


def test_a_share_class_of_another_country_keeps_its_spelling():
    frame = pd.DataFrame({"symbol": ["RCI.B", "BRK.B"], "currency": ["CAD", "USD"]})
    assert symbols_of(frame) == ["RCI.B", "BRK B"]


def test_text_that_cannot_be_a_symbol_stays_as_it_is():
    assert symbols_of(["spy", "a\nb", ""]) == ["SPY", "a\nb", ""]


def test_an_argument_that_names_no_symbols_is_an_error():
    with pytest.raises(InputError) as caught:
        symbols_of(5)
    assert caught.value.codes == ("wrong_type",)


def test_a_broker_is_a_context_manager_and_shows_no_account_number():
    with sx.connect("mock://?account=DU1234567", quotes={"SPY": 1.0}) as broker:
        assert isinstance(broker, Broker)
        assert repr(broker) == "<MockBroker mock DU***567>"
    assert broker._closed


class Wrong(MockBroker):
    """A mock filler that reports a NAV which is off by ``gaps``, one reading after the other."""

    gaps = ()

    def nav(self):
        gap, self.gaps = (self.gaps[0], self.gaps[1:]) if self.gaps else (0.0, ())
        return super().nav() + gap


def test_figures_that_contradict_each_other_are_read_again():
    broker = Wrong({"SPY": 100.0}, positions={"SPY": 10}, cash=500.0)
    broker.gaps = (700.0,)
    assert broker.account_state().nav == 1_500.0
    broker.gaps = (700.0, -700.0)
    with pytest.raises(BrokerError, match=r"account DU\*\*\*001 contradict .* NAV 800\.00 USD is 700\.00 less"):
        broker.account_state()


class Plain(Broker):
    """A broker that does what every broker must, and takes the rest as it comes."""

    mode, account, address = "paper", "DU1234567", "plain://"
    positions = quotes = nav = cash = open_orders = cancel = cancel_all = close = None
    now = follow = fetch_quotes = place = is_quiet = collect_evidence = None


def test_the_base_broker_sends_one_order_per_commit_and_has_no_ids_or_orphans():
    broker = Plain()
    assert (broker.send_window, broker.session, broker.in_flight_seconds, broker.lock_account) == (1, 0, 0.0, None)
    assert (broker.base_currency, broker.order_id_for("r-SPY-BUY")) == ("USD", (None, None))
    assert asyncio.run(broker.session_mark()) == (None, None)
    assert asyncio.run(broker.prepare([])) == {}
    assert list(broker.orphans.columns) == list(ORPHAN_COLUMNS)
    assert broker.orphans.empty


@pytest.mark.parametrize(("fault", "why"), [("", "the broker is gone"), ("TWS was closed", "TWS was closed")])
def test_a_broker_that_cannot_reconnect_reports_why_and_how_long_it_waited(fault, why):
    broker = Plain()
    broker.fault = fault
    with pytest.raises(ConnectionLostError, match=rf"^{why} \(after 2\.5 s\)$"):
        asyncio.run(broker.restore_connection(2.5))
