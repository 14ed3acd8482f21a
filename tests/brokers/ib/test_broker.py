"""The IB broker over real sockets: the real ib_async client against the wire simulator."""

import asyncio
import contextlib
import os
import threading
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.connection import Connection
from stocklean_exec.errors import (
    BrokerError,
    HaltedError,
    InputError,
    LiveAccountError,
    RunElsewhereError,
    StaleOrderIdError,
)
from stocklean_exec.execution.recovery_rules import OrderHistory
from stocklean_exec.execution.submission import SubmitOptions, submit
from stocklean_exec.simulator import Simulator, read_journal
from tests.wire_market import MARKET, NOON, approved_of, connect, ticket

NAN = float("nan")


@pytest.fixture
def simulator():
    with Simulator(seed=7, quotes=MARKET, positions={"KO": (500.0, 60.0)}) as running:
        yield running


def events_of_kind(events, kind):
    return [event for event in events if event.kind == kind]


# -- account and market data -----------------------------------------------------------------------------------


def test_a_connection_to_the_simulator_is_a_paper_broker(simulator):
    with connect(simulator) as broker:
        assert (broker.mode, broker.account) == ("paper", "DU0000001")
        assert repr(broker) == "<IBBroker paper DU***001>"


def test_the_figures_of_an_account_are_read_together(simulator):
    with connect(simulator) as broker:
        figures = broker.account_figures()
        assert figures[:4] == (broker.nav(), broker.cash(), "USD", broker.cash())
        # A quarter of the 500 KO at 62.61, 31,305, is margin.
        assert figures.available_funds == 1_031_305.0 - 7_826.25
        assert (figures.initial_margin, figures.maintenance_margin) == (7_826.25, 7_826.25)
        assert (figures.equity_with_loan, figures.is_margin_account) == (1_031_305.0, True)
        assert figures.currencies == {"USD": (broker.cash(), 1.0)}


# Balances of an account in pounds, as TWS reports them: each amount in its currency, the rate in pounds.
IN_POUNDS = {
    ("NetLiquidation", "GBP"): 9_000.0,
    ("TotalCashValue", "GBP"): 1_868.11,
    ("AvailableFunds", "GBP"): 4_000.0,
    ("TotalCashBalance", "GBP"): 1_000.0,
    ("TotalCashBalance", "EUR"): 1_000.0,
    ("TotalCashBalance", "USD"): 0.0,
    ("TotalCashBalance", "BASE"): 1_868.11,
    ("CashBalance", "EUR"): 9_999.0,
    ("ExchangeRate", "GBP"): 1.0,
    ("ExchangeRate", "EUR"): 0.8681062,
    ("ExchangeRate", "BASE"): 1.0,
}


def reporting(monkeypatch, values):
    async def summary(_self, _account, _tags):
        return values

    monkeypatch.setattr(Connection, "account_summary", summary)


def test_cash_and_rate_of_each_currency_come_from_the_ledger(simulator, monkeypatch):
    with connect(simulator) as broker:
        reporting(monkeypatch, IN_POUNDS)
        figures = broker.account_figures()
    assert figures[:3] == (9_000.0, 1_868.11, "GBP")
    assert np.isnan([figures.settled_cash, figures.initial_margin, figures.equity_with_loan]).all()
    assert not figures.is_margin_account
    assert figures.available_funds == 4_000.0
    assert figures.currencies["GBP"] == (1_000.0, 1.0)
    assert figures.currencies["EUR"] == (1_000.0, 0.8681062)
    assert figures.currencies["USD"][0] == 0.0
    assert np.isnan(figures.currencies["USD"][1])
    assert set(figures.currencies) == {"GBP", "EUR", "USD"}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({("ExchangeRate", "GBP"): 1.25}, "reports NAV in GBP and an exchange rate of 1.25 for it"),
        ({("NetLiquidation", ""): 9_000.0}, "does not report the base currency of account DU"),
        ({}, "does not report NetLiquidation of account DU"),
    ],
)
def test_an_account_whose_base_currency_or_nav_is_in_doubt_is_an_error(simulator, monkeypatch, changed, text):
    values = {place: value for place, value in IN_POUNDS.items() if place[0] != "NetLiquidation"}
    if changed and ("NetLiquidation", "") not in changed:
        values[("NetLiquidation", "GBP")] = 9_000.0
    with connect(simulator) as broker:
        reporting(monkeypatch, values | changed)
        with pytest.raises(BrokerError, match=text):
            broker.account_figures()


def test_a_run_is_locked_by_account_whatever_the_address(simulator):
    with connect(simulator, host="localhost", client_id=1) as one, connect(simulator, client_id=2) as other:
        assert (one.lock_account, other.lock_account) == ("DU0000001", "DU0000001")


def test_a_simulator_that_was_started_for_one_broker_needs_no_run_lock(simulator):
    with connect(simulator, on_close=lambda: None) as broker:
        assert broker.lock_account is None


@pytest.mark.slow
def test_two_ports_of_one_account_do_not_send_one_run_twice(simulator):
    # A second simulator stands for the second port: only the run lock can know that the account is the same.
    with (
        Simulator(seed=8, quotes=MARKET) as other,
        connect(simulator) as first,
        connect(other, host="localhost", client_id=2) as second,
        sx.open_blotter() as blotter,
        sx.open_blotter() as another,
    ):
        place_all = first.place_all

        async def place_and_let_the_second_one_try(tickets, gate):
            with pytest.raises(RunElsewhereError, match=rf"process {os.getpid()} .* works run r on this account"):
                await sx.submit_orders_async(approved_of([("SPY", "BUY", 10.0, "MKT")]), second, another)
            await place_all(tickets, gate)

        first.place_all = place_and_let_the_second_one_try
        states = sx.submit_orders(approved_of([("SPY", "BUY", 10.0, "MKT")]), first, blotter)
        assert states["status"].tolist() == ["FILLED"]
        assert another.orders("r")["state"].tolist() == ["INTENT"]
        assert second.positions().empty


def test_broker_quotes_equal_the_simulated_market(simulator):
    with connect(simulator) as broker:
        quotes = broker.quotes(["TLT", "SPY"])
    assert quotes["symbol"].tolist() == ["TLT", "SPY"]
    names = ["bid", "ask", "last", "close", "bid_size", "ask_size"]
    assert quotes[names].to_numpy().tolist() == [
        [99.98, 100.02, 100.00, 101.00, 500.0, 200.0],
        [399.90, 400.10, 400.00, 398.00, 300.0, 300.0],
    ]
    assert quotes["data_type"].tolist() == [1, 1]
    assert str(quotes["quoted_at"].dtype) == "datetime64[us, UTC]"
    assert approved_of([("SPY", "BUY", 1.0, "MKT")], quotes=quotes)["arrival_price"].isna().all()


def test_an_unknown_symbol_has_no_quote(simulator):
    with connect(simulator) as broker:
        assert broker.quotes(["NOPE", "SPY", "SP\0Y", "São"])["symbol"].tolist() == ["SPY"]
        assert broker.quotes([])["symbol"].tolist() == []


def test_quotes_without_symbols_cover_holdings_and_previously_requested_symbols(simulator):
    with connect(simulator) as broker:
        assert broker.quotes()["symbol"].tolist() == ["KO"]
        broker.quotes(["SPY"])
        assert broker.quotes()["symbol"].tolist() == ["KO", "SPY"]


def test_a_second_quote_keeps_no_value_of_the_first(simulator):
    with connect(simulator) as broker:
        broker.quotes(["SPY"])
        simulator.move("SPY", bid=390.0, ask=NAN)
        second = broker.quotes(["SPY"])
    assert second["bid"].tolist() == [390.0]
    assert second["ask"].isna().all()


def test_positions_nav_and_cash_are_those_of_the_account(simulator):
    with connect(simulator) as broker:
        held = broker.positions()
        assert held[["symbol", "quantity", "avg_cost"]].to_numpy().tolist() == [["KO", 500.0, 60.0]]
        assert held["account"].tolist() == ["DU0000001"]
        assert broker.cash() == 1_000_000.0
        assert broker.nav() == pytest.approx(1_000_000 + 500 * 62.61)


def test_positions_of_other_accounts_of_the_login_are_excluded():
    with (
        Simulator(account="DU0000001,DU0000002", quotes=MARKET, positions={"KO": (500.0, 60.0)}) as two,
        connect(two, account="DU0000002") as broker,
    ):
        assert broker.account == "DU0000002"
        assert broker.positions().empty


def test_no_order_is_open_at_the_start(simulator):
    with connect(simulator) as broker:
        assert broker.open_orders().empty
        assert broker.open_orders()["quantity"].dtype == "float64"


@pytest.mark.parametrize(("kind", "data_type"), [("delayed", 3), ("forced_delayed", 3)])
def test_without_a_subscription_quotes_are_delayed_and_marked_as_delayed(kind, data_type):
    scenario = {"switches": {"market_data": kind}}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running) as broker:
        quotes = broker.quotes(["SPY", "TLT"])
        assert quotes["data_type"].tolist() == [data_type, data_type]
        assert quotes["bid"].tolist() == [399.90, 99.98]
        assert broker.quotes(["KO"])["data_type"].tolist() == [data_type]


def test_no_market_data_at_all_is_an_error_with_advice():
    scenario = {"switches": {"market_data": "none"}}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running) as broker:
        with pytest.raises(BrokerError, match=r"SPY.*354.*Subscribe"):
            broker.quotes(["SPY"])
        assert asyncio.run(broker.fetch_quotes(["SPY"])).empty


@pytest.mark.slow
def test_a_quote_that_never_arrives_has_its_own_time_limit():
    scenario = {"fault": [{"on": "tick*", "do": "omit", "symbol": "TLT"}]}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running, seconds=0.3) as broker:
        assert broker.quotes(["TLT", "SPY"])["symbol"].tolist() == ["SPY"]


@pytest.mark.slow
def test_a_snapshot_without_an_end_message_keeps_the_received_ticks():
    scenario = {"fault": [{"on": "tickSnapshotEnd", "do": "omit"}]}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running, seconds=0.3) as broker:
        assert broker.quotes(["SPY"])["bid"].tolist() == [399.90]


@pytest.mark.slow
def test_a_request_that_is_never_answered_is_an_error_within_its_time_limit():
    scenario = {"fault": [{"on": "accountSummary*", "do": "omit"}]}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running, seconds=0.3) as broker:
        with pytest.raises(BrokerError, match=r"NetLiquidation within 0\.3 s"):
            broker.nav()
        assert len(broker.positions()) == 0


@pytest.mark.slow
def test_the_same_request_from_many_threads_is_answered_for_each(simulator):
    with connect(simulator) as broker:
        found = []
        threads = [
            threading.Thread(target=lambda ask=ask: found.append(len(ask())))
            for ask in [broker.positions, broker.open_orders] * 10
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(found) == [0] * 10 + [1] * 10


# -- runs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_run_is_filled_recorded_and_charged(simulator):
    rows = [
        ("KO", "SELL", 500.0, "MKT"),
        ("TLT", "BUY", 450.0, "MKT"),  # 200 shown: three executions
        ("SPY", "BUY", 10.0, "LMT", 401.0),
    ]
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(rows), broker, blotter)
        fills = blotter.fills("r")
        runs = blotter.runs()
        cash = broker.cash()
    states = states.set_index("client_order_id")
    assert states["status"].tolist() == ["FILLED"] * 3
    assert states["filled_quantity"].to_dict() == {"r-KO-SELL": 500.0, "r-TLT-BUY": 450.0, "r-SPY-BUY": 10.0}
    assert states["avg_fill_price"].to_dict() == {"r-KO-SELL": 62.60, "r-TLT-BUY": 100.02, "r-SPY-BUY": 400.10}
    # 0.005 a share, at least 1.00 an order
    assert states["commission"].to_dict() == {"r-KO-SELL": 2.5, "r-TLT-BUY": 2.25, "r-SPY-BUY": 1.0}
    assert fills.groupby("client_order_id")["quantity"].agg(list)["r-TLT-BUY"] == [200.0, 200.0, 50.0]
    assert fills["exec_id"].is_unique
    assert set(fills["account"]) == {"DU0000001"}
    assert (fills["filled_at"].dt.strftime("%Y-%m-%d %H:%M") == "2022-12-29 15:00").all()
    assert fills["perm_id"].notna().all()
    assert (runs["status"].tolist(), runs["mode"].tolist()) == (["done"], ["paper"])
    assert runs["message"].tolist() == ["all orders have ended"]
    spent = 500 * 62.60 - 450 * 100.02 - 10 * 400.10 - (2.5 + 2.25 + 1.0)
    assert cash == pytest.approx(1_000_000 + spent)


@pytest.mark.slow
def test_the_planned_order_id_is_recorded_before_the_order_is_sent(simulator):
    with connect(simulator, client_id=5) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of([("SPY", "BUY", 1.0, "MKT"), ("KO", "BUY", 1.0, "MKT")]), broker, blotter)
        events = blotter.events("r")
    sending = events[events["kind"] == "sending"].set_index("client_order_id")
    published = events[events["kind"] == "execution"].set_index("client_order_id")
    assert sending["order_id"].to_dict() == published["order_id"].to_dict()
    assert set(sending["client_id"]) == {5}
    assert sending["order_id"].is_monotonic_increasing


@pytest.mark.slow
def test_a_sent_order_sets_every_field_that_a_preset_could_change(simulator, tmp_path):
    journal = tmp_path / "journal.jsonl"
    with (
        Simulator(quotes=MARKET, journal=journal) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of([("SPY", "BUY", 3.0, "LMT", 401.0)]), broker, blotter)
    (order,) = [event for event in read_journal(journal) if event["event"] == "order"]
    wanted = {
        "account": "DU0000001",
        "order_ref": "r-SPY-BUY",
        "tif": "DAY",
        "limit_price": 401.0,
        "quantity": 3.0,
    }
    assert {name: order[name] for name in wanted} == wanted


@pytest.mark.slow
def test_an_unknown_symbol_is_refused_before_sending_and_the_other_orders_are_sent(simulator):
    quotes = pd.concat([MARKET, MARKET.iloc[:1].assign(symbol="NOPE")])
    approved = approved_of([("NOPE", "BUY", 1.0, "MKT"), ("SPY", "BUY", 1.0, "MKT")], quotes=quotes)
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved, broker, blotter)
        events = blotter.events("r")
    assert states["status"].tolist() == ["REJECTED", "FILLED"]
    assert states["reason"].tolist()[0] == "unknown_instrument"
    of_nope = events[events["client_order_id"] == "r-NOPE-BUY"]
    assert of_nope["kind"].tolist() == ["intent", "refused"]
    assert "200" in of_nope["message"].tolist()[1]


@pytest.mark.slow
def test_a_resting_limit_order_keeps_working_after_the_timeout_and_is_cancelled_by_id(simulator):
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.2)
        assert states["status"].tolist() == ["SUBMITTED"]
        assert blotter.runs()["message"].tolist() == ["timeout: 1 orders are still working at the broker"]
        shown = broker.open_orders()
        assert shown.iloc[:, :7].to_numpy().tolist() == [["r-SPY-BUY", "SPY", "BUY", 5.0, 0.0, "LMT", 390.0]]
        broker.cancel("r-SPY-BUY")
        assert broker.open_orders().empty
        broker.cancel("r-SPY-BUY")  # it has ended: nothing to do
        blotter.record([]).result(5)  # what was published is on record
        row = blotter.orders("r").iloc[0]
        assert (row["status"], row["reason"]) == ("CANCELLED", "cancel_requested")


@pytest.mark.slow
def test_a_partly_filled_order_shows_filled_and_remaining_quantity():
    scenario = {"order": [{"symbol": "SPY", "steps": [{"fill": 40}, {"rest": True}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 100.0, "MKT")]), broker, blotter, timeout=0.2)
        assert (states["status"].tolist(), states["filled_quantity"].tolist()) == (["PARTIAL"], [40.0])
        assert broker.open_orders()["filled_quantity"].tolist() == [40.0]


@pytest.mark.slow
def test_cancel_all_cancels_our_orders_and_no_others(simulator):
    rows = [("SPY", "BUY", 5.0, "LMT", 390.0), ("TLT", "BUY", 5.0, "LMT", 90.0)]
    with (
        connect(simulator, client_id=1) as broker,
        connect(simulator, client_id=2) as other,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of(rows), broker, blotter, timeout=0.1)
        theirs = approved_of([("KO", "BUY", 5.0, "LMT", 50.0)], run_id="theirs")
        sx.submit_orders(theirs, other, blotter, timeout=0.1)
        assert len(broker.open_orders()) == 3
        broker.cancel_all()
        assert broker.open_orders()["client_order_id"].tolist() == ["theirs-KO-BUY"]
        blotter.record([]).result(5)
        assert blotter.orders("r")["status"].tolist() == ["CANCELLED", "CANCELLED"]


@pytest.mark.slow
def test_an_order_of_another_client_is_not_cancelled_and_the_error_gives_the_reason(simulator):
    with (
        connect(simulator, client_id=1) as broker,
        connect(simulator, client_id=2) as other,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
        with pytest.raises(InputError, match="client that placed it"):
            other.cancel("r-SPY-BUY")
        assert len(other.open_orders()) == 1


@pytest.mark.slow
def test_an_order_of_an_earlier_session_of_this_client_can_be_cancelled(simulator):
    with sx.open_blotter() as blotter:
        with connect(simulator, client_id=3) as broker:
            sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
        with connect(simulator, client_id=3) as later:
            later.cancel("r-SPY-BUY")
            assert later.open_orders().empty


@pytest.mark.slow
@pytest.mark.parametrize("code", [10349, 399, 2109])
def test_an_advisory_code_cancels_nothing(code):
    scenario = {"order": [{"steps": [{"message": code, "text": "for your information"}, {"match": True}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter)
        assert states["status"].tolist() == ["FILLED"]
        events = blotter.events("r")
        assert events.loc[events["kind"] == "message", "code"].tolist() == [str(code)]
        assert "CANCELLED" not in set(events["status"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "state"), [(201, "Inactive"), (201, "Cancelled"), (203, "Inactive"), (321, "none"), (110, "none")]
)
def test_a_rejection_ends_the_order_with_its_code(code, state):
    scenario = {"order": [{"steps": [{"reject": code, "text": "no", "state": state}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=5)
        events = blotter.events("r")
        assert blotter.runs()["status"].tolist() == ["failed"]
    assert events.loc[events["kind"] == "rejected", ["code", "message"]].to_numpy().tolist() == [[str(code), "no"]]
    assert states["status"].tolist() == ["REJECTED"]
    assert states["reason"].tolist() == [str(code)]
    assert states["filled_quantity"].tolist() == [0.0]


@pytest.mark.slow
def test_a_system_cancel_has_its_code_as_the_reason():
    scenario = {"order": [{"steps": [{"fill": 2}, {"cancel": True, "text": "too far"}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        row = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=5).iloc[0]
        assert (row["status"], row["filled_quantity"], row["reason"]) == ("CANCELLED", 2.0, "202")
        assert blotter.runs()["status"].tolist() == ["partial"]


@pytest.mark.slow
def test_repeated_and_late_reports_change_nothing():
    steps = [{"fill": "rest"}, {"repeat": "execution"}, {"repeat": "commission"}, {"status": "PreSubmitted"}]
    scenario = {
        "order": [{"steps": steps, "commission": "twice"}],
        "fault": [{"on": "execDetails", "do": "duplicate", "copies": 2}, {"on": "orderStatus", "do": "duplicate"}],
    }
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        row = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter).iloc[0]
        assert (row["status"], row["filled_quantity"], row["commission"]) == ("FILLED", 5.0, 1.0)
        assert len(blotter.fills("r")) == 1


@pytest.mark.slow
def test_a_commission_that_arrives_before_its_execution_is_kept():
    with (
        Simulator(quotes=MARKET, scenario={"order": [{"commission": "first"}]}) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        row = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter).iloc[0]
        assert (row["status"], row["commission"]) == ("FILLED", 1.0)


@pytest.mark.slow
def test_a_correction_replaces_the_execution():
    scenario = {"order": [{"steps": [{"fill": "rest", "price": 400.10}, {"correct": True, "price": 400.00}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        row = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=2).iloc[0]
        assert (row["filled_quantity"], row["avg_fill_price"]) == (5.0, 400.0)
        assert blotter.fills("r")["price"].tolist() == [400.0]


@pytest.mark.slow
@pytest.mark.parametrize("time_format", ["zone", "utc", "naive"])
def test_execution_times_are_utc_in_every_format_of_tws(time_format):
    with (
        Simulator(quotes=MARKET, scenario={"switches": {"time_format": time_format}}) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter)
        times = blotter.fills("r")["filled_at"].dt.strftime("%Y-%m-%d %H:%M").tolist()
        assert times == ["2022-12-29 15:00"]


@pytest.mark.slow
def test_an_execution_in_an_unknown_time_zone_is_not_lost():
    scenario = {"fault": [{"on": "execDetails", "do": "edit", "set": {"time": "20221229 10:00:00 Middle/Earth"}}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter)
        assert states["status"].tolist() == ["FILLED"]


@pytest.mark.slow
def test_an_unreadable_execution_report_is_requested_again():
    scenario = {"fault": [{"on": "execDetails", "do": "edit", "set": {"shares": "many"}, "nth": 1}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter, timeout=20)
        assert states["status"].tolist() == ["FILLED"]
        events = blotter.events("r").set_index("kind")["message"]
        assert "cannot be read" in events["link_lost"]
        assert events["link_restored"] == "reconciled; 0 orders to send"
        assert (broker.fault, broker.session) == ("", 2)
        states = sx.submit_orders(approved_of([("KO", "BUY", 1.0, "MKT")], run_id="next"), broker, blotter)
        assert states["status"].tolist() == ["FILLED"]


def test_the_send_gate_holds_back_the_next_order_and_all_after_it(simulator):
    passed = []

    @contextlib.contextmanager
    def gate(one):
        if len(passed) == 2:
            raise HaltedError("enough")
        passed.append(one.client_order_id)
        yield

    tickets = [ticket(f"r-{number}", quantity=1.0 + number) for number in range(6)]
    with connect(simulator) as broker:
        with pytest.raises(HaltedError):
            asyncio.run(broker.place_all(tickets, gate))
        assert passed == ["r-0", "r-1"]
        assert broker.cash() < 1_000_000
        assert simulator.call(lambda venue: venue.counts["accepts"]) == 2


@pytest.mark.slow
def test_an_interrupted_run_records_which_orders_were_sent(simulator):
    rows = [("KO", "BUY", float(number), "MKT") for number in range(1, 31)]

    async def interrupted(broker, blotter):
        run = asyncio.create_task(sx.submit_orders_async(approved_of(rows), broker, blotter))
        while await asyncio.to_thread(simulator.call, lambda venue: venue.counts["accepts"]) < 3:
            pass
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    with connect(simulator, rate=40.0) as broker, sx.open_blotter() as blotter:
        asyncio.run(interrupted(broker, blotter))
        broker.positions()  # answered behind all reports
        blotter.record([]).result(5)
        states = blotter.orders("r")["status"].tolist()
        accepted = simulator.call(lambda venue: venue.counts["accepts"])
        assert 3 <= accepted < 30
        assert states == ["FILLED"] * accepted + ["NEW"] * (30 - accepted)
        again = sx.submit_orders(approved_of(rows), broker, blotter)
        assert again["status"].tolist() == ["FILLED"] * 30
        assert simulator.call(lambda venue: venue.counts["accepts"]) == 30


@pytest.mark.slow
def test_a_run_can_be_awaited_in_a_running_loop(simulator):
    async def work(broker, blotter):
        return await sx.submit_orders_async(approved_of([("SPY", "BUY", 5.0, "MKT")]), broker, blotter)

    with connect(simulator) as broker, sx.open_blotter() as blotter:
        assert asyncio.run(work(broker, blotter))["status"].tolist() == ["FILLED"]


def test_blocking_calls_work_inside_a_running_loop(simulator):
    async def cell():
        with connect(simulator) as broker:
            return broker.cash(), broker.quotes(["SPY"])["bid"].tolist()

    assert asyncio.run(cell()) == (1_000_000.0, [399.90])


@pytest.mark.slow
def test_a_run_can_be_submitted_from_a_thread(simulator):
    found = []
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        approved = approved_of([("SPY", "BUY", 5.0, "MKT")])
        thread = threading.Thread(target=lambda: found.append(sx.submit_orders(approved, broker, blotter)))
        thread.start()
        thread.join(20)
    assert found[0]["status"].tolist() == ["FILLED"]


def test_a_blocking_call_on_the_brokers_own_thread_is_an_error_and_not_a_deadlock(simulator):
    caught = []
    with connect(simulator) as broker:

        def ask(*_):
            try:
                broker.positions()
            except RuntimeError as error:
                caught.append(str(error))

        broker.follow("r", ask)
        asyncio.run(broker.place(ticket()))
        broker.positions()
    assert caught
    assert "await it instead" in caught[0]


def test_events_of_an_order_without_a_subscriber_are_kept_as_orphans(simulator):
    with connect(simulator) as broker:
        asyncio.run(broker.place(ticket()))
        broker.positions()  # answered behind the reports
        orphans = broker.orphans
    assert set(orphans["order_ref"]) == {"r-SPY-BUY"}
    assert {"status", "execution", "commission"} <= set(orphans["kind"])


def test_executions_of_other_programs_are_orphans_and_affect_no_run():
    scenario = {"switches": {"executions": "all", "master_client_id": 1}}
    with Simulator(quotes=MARKET, scenario=scenario) as running, connect(running, client_id=1) as broker:
        with connect(running, client_id=2) as other:
            asyncio.run(other.place(ticket("foreign-1")))
            other.positions()
        broker.positions()
        assert "foreign-1" in set(broker.orphans["order_ref"])
        assert broker.is_quiet()


def test_an_order_that_was_sent_is_not_sent_again(simulator):
    with connect(simulator) as broker:
        asyncio.run(broker.place(ticket()))
        with pytest.raises(BrokerError, match="an id names one order"):
            asyncio.run(broker.place(ticket()))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_order_id": "r-SPY\0BUY"},
        {"tif": "DAY\n"},
        {"tif": ""},
        {"quantity": 2147483647.0},
        {"quantity": NAN},
        {"quantity": -1.0},
        {"order_type": "LMT", "limit_price": float("inf")},
        {"account": "DU0000002"},
    ],
)
def test_an_order_that_tws_would_misread_is_not_sent(simulator, changes):
    with connect(simulator) as broker:
        with pytest.raises(BrokerError):
            asyncio.run(broker.place(ticket(**changes)))
        assert simulator.call(lambda venue: venue.counts["accepts"]) == 0
        assert broker.orphans.empty


@pytest.mark.slow
def test_while_tws_has_lost_ib_nothing_is_sent(simulator):
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        simulator.event("link_down")
        broker.cash()  # answered behind 1100
        approved = approved_of([("SPY", "BUY", 5.0, "MKT")])
        with pytest.raises(BrokerError, match="1100"):
            sx.submit_orders(approved, broker, blotter, timeout=1)
        assert blotter.orders("r")["status"].tolist() == ["NEW"]
        simulator.event("link_up", code=1102)
        broker.cash()
        assert sx.submit_orders(approved, broker, blotter)["status"].tolist() == ["FILLED"]


@pytest.mark.slow
def test_events_missed_while_tws_had_lost_ib_are_requested(simulator):
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)]), broker, blotter, timeout=0.1)
        simulator.event("link_down")
        simulator.event("fill")
        simulator.event("link_up", code=1102, deliver=False)
        broker.cash()
        broker.open_orders()
        broker.open_orders()
        blotter.record([]).result(5)
        assert blotter.orders("r")["status"].tolist() == ["FILLED"]


# -- losing the connection -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_lost_connection_is_restored_and_the_run_continues():
    scenario = {"order": [{"symbol": "SPY", "steps": [{"rest": True}, {"disconnect": True}]}]}
    with (
        Simulator(quotes=MARKET, scenario=scenario) as running,
        connect(running) as broker,
        sx.open_blotter() as blotter,
    ):
        rows = [("SPY", "BUY", 5.0, "MKT"), ("KO", "BUY", 5.0, "MKT")]
        states = sx.submit_orders(approved_of(rows), broker, blotter, timeout=1)
        assert states["status"].tolist() == ["SUBMITTED", "FILLED"]
        assert blotter.runs()["message"].tolist() == ["timeout: 1 orders are still working at the broker"]
        kinds = blotter.events("r")["kind"].value_counts()
        assert (kinds["link_lost"], kinds["link_restored"]) == (1, 1)
        # The venue may have closed before it read the second order: then that goes out again, with its id.
        again = blotter.recorded_events("r")
        assert len({event.order_id for event in again if event.kind == "sending"}) == 2
        assert len(broker.positions()) == 1


@pytest.mark.slow
def test_a_connection_that_is_not_restored_ends_the_run_with_advice():
    with sx.open_blotter() as blotter:
        running = Simulator(quotes=MARKET).start()
        with connect(running, seconds=1.0) as broker:
            approved = approved_of([("SPY", "BUY", 5.0, "LMT", 390.0)])

            def stop(_done, text):
                if text == "1 open":
                    running.stop()

            with pytest.raises(BrokerError, match=r"nothing listens there.*sx.resume\('r'"):
                asyncio.run(submit(approved, broker, blotter, SubmitOptions(0.5, None, None), on_progress=stop))
            assert blotter.orders("r")["status"].isin(["SUBMITTED", "UNKNOWN"]).all()
            with pytest.raises(BrokerError, match="reconnect"):
                broker.positions()


@pytest.mark.slow
def test_missed_events_are_reported_after_a_reconnection(simulator):
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        rows = [("SPY", "BUY", 5.0, "LMT", 390.0), ("TLT", "BUY", 5.0, "LMT", 90.0)]
        sx.submit_orders(approved_of(rows), broker, blotter, timeout=0.1)
        simulator.event("restart")
        simulator.event("fill", symbol="SPY")
        simulator.event("cancel", symbol="TLT")
        broker.reconnect()
        blotter.record([]).result(5)
        states = blotter.orders("r")
        assert states["status"].tolist() == ["FILLED", "CANCELLED"]
        assert states["commission"].tolist()[0] == 1.0
        assert broker.fault == ""


def test_a_reconnection_to_a_live_login_is_refused(simulator):
    with connect(simulator) as broker:
        simulator.event("accounts", accounts="U1234567")
        with pytest.raises(BrokerError):
            asyncio.run(broker.place(ticket()))
        assert simulator.call(lambda venue: venue.counts["accepts"]) == 0


def test_calls_on_a_closed_broker_raise_that_it_is_closed(simulator):
    broker = connect(simulator)
    broker.close()
    broker.close()
    for ask in (broker.positions, broker.nav, broker.cancel_all, lambda: broker.quotes(["SPY"])):
        with pytest.raises(BrokerError, match="closed"):
            ask()
    with pytest.raises(BrokerError, match="closed"):
        asyncio.run(broker.place(ticket()))


# -- paper or live ---------------------------------------------------------------------------------------------


def test_a_live_account_is_refused_and_no_order_reaches_it(tmp_path, monkeypatch):
    journal = tmp_path / "journal.jsonl"
    monkeypatch.setenv("STOCKLEAN_ALLOW_LIVE", "U7654321")
    with Simulator(account="U1234567", quotes=MARKET, journal=journal) as running:
        for allow in (None, "U7654321", "U1234567"):
            with pytest.raises(LiveAccountError, match=r"U1\*\*\*567"):
                connect(running, allow_live=allow)
        assert running.call(lambda venue: venue.counts["accepts"]) == 0
    assert read_journal(journal) == []


@pytest.mark.slow
def test_a_live_account_is_traded_only_when_it_is_named_twice(monkeypatch):
    monkeypatch.setenv("STOCKLEAN_ALLOW_LIVE", "U1234567")
    with (
        Simulator(account="U1234567", quotes=MARKET) as running,
        connect(running, allow_live="U1234567") as broker,
        sx.open_blotter() as blotter,
    ):
        assert broker.mode == "live"
        assert sx.submit_orders(approved_of([("SPY", "BUY", 1.0, "MKT")]), broker, blotter)["status"].tolist() == [
            "FILLED"
        ]
        assert blotter.runs()["mode"].tolist() == ["live"]
        monkeypatch.delenv("STOCKLEAN_ALLOW_LIVE")
        with pytest.raises(LiveAccountError):
            asyncio.run(broker.place(ticket("r-2", account="U1234567")))
        assert running.call(lambda venue: venue.counts["accepts"]) == 1


def test_a_paper_account_in_a_login_with_a_live_account_is_refused():
    with Simulator(account="DU0000001,U1234567", quotes=MARKET) as running, pytest.raises(LiveAccountError):
        connect(running, account="DU0000001")


def test_with_several_accounts_one_must_be_named_and_the_error_masks_them():
    with Simulator(account="DU0000001,DU0000002", quotes=MARKET) as running:
        with pytest.raises(BrokerError, match=r"2 accounts \(DU\*\*\*001, DU\*\*\*002\)") as caught:
            connect(running)
        assert "DU0000001" not in str(caught.value)
        with pytest.raises(BrokerError, match="no account DU"):
            connect(running, account="DU0000003")
        with connect(running, account="DU0000002") as broker:
            assert broker.account == "DU0000002"


# -- queries of a recovery ---------------------------------------------------------------------------------------


def test_the_greatest_open_order_id_counts_orders_of_this_client_only(simulator):
    with connect(simulator, client_id=1) as broker, connect(simulator, client_id=2) as other:
        assert asyncio.run(broker.collect_evidence()).highest_open_id == 0
        asyncio.run(broker.place(ticket("mine", order_type="LMT", limit_price=1.0)))
        mine = asyncio.run(broker.collect_evidence()).highest_open_id
        for number in range(3):
            asyncio.run(other.place(ticket(f"theirs-{number}", order_type="LMT", limit_price=1.0)))
        found = asyncio.run(broker.collect_evidence())
        shown = broker.open_orders().set_index("client_order_id")["order_id"]
        assert len(found.open_orders) == 4
        assert shown["theirs-2"] > shown["mine"]
        assert found.highest_open_id == mine == shown["mine"]


def test_an_order_to_be_resent_keeps_its_id_even_if_later_ids_were_used(simulator):
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=4, client_id=1, attempt=1)
    with connect(simulator, client_id=1) as broker:
        broker._last_id = 9
        broker.adopt("r", [OrderHistory("r-SPY-BUY", 10.0, [sent])])
        broker.allow_again(["r-SPY-BUY"])
        assert broker._last_id == 3  # the next one may be 4


def test_orders_prepared_in_another_sequence_on_a_new_connection_have_ascending_ids(simulator):
    a, b, c = (ticket(name, order_type="LMT", limit_price=1.0) for name in "abc")

    def prepared(*tickets):
        assert asyncio.run(broker.prepare(tickets)) == {}
        return [broker.order_id_for(one.client_order_id)[0] for one in tickets]

    with connect(simulator, client_id=1) as broker:
        first = prepared(a, b, c)
        assert first == sorted(first)
        broker.reconnect()  # nothing was sent: TWS names the same next id once more
        again = prepared(c, a, b)
        assert again[0] == first[2]
        assert again == sorted(again)


# -- the client id that stands for a run -------------------------------------------------------------------------


@pytest.fixture
def leased(simulator):
    with connect(simulator, run_client_ids=range(900, 901)) as broker:
        yield broker


def clients(simulator):
    return simulator.call(lambda venue: {session.client_id for session in venue.sessions.values()})


def wait_until(check):
    until = time.monotonic() + 20.0
    while not check():
        assert time.monotonic() < until, "it did not come about"
        threading.Event().wait(0.01)


def test_a_run_is_worked_by_one_process_whichever_computer_it_is_on(simulator, leased):
    async def work(other):
        async with leased.hold_run("r"):
            assert 900 in clients(simulator)
            with pytest.raises(RunElsewhereError, match="client id 900"):
                async with other.hold_run("r"):
                    pass
        wait_until(lambda: 900 not in clients(simulator))  # given back
        async with other.hold_run("r"):
            assert 900 in clients(simulator)

    with connect(simulator, client_id=8, run_client_ids=range(900, 901)) as other:
        asyncio.run(work(other))


def test_without_a_client_id_for_runs_nothing_is_held(simulator):
    async def work(broker):
        async with broker.hold_run("r"):
            return clients(simulator)

    with connect(simulator) as broker:
        assert asyncio.run(work(broker)) == {7}


def test_a_run_whose_client_id_is_lost_sends_nothing_until_it_is_held_again(simulator, leased):
    async def work():
        async with leased.hold_run("r"):
            await asyncio.to_thread(simulator.event, "disconnect", client_id=900)
            await asyncio.to_thread(wait_until, lambda: leased.fault)
            with pytest.raises(BrokerError, match="nothing is sent any more: the connection that holds a run"):
                await leased.place(ticket())
            await asyncio.to_thread(leased.reconnect)
            assert 900 in clients(simulator)
            await leased.place(ticket())

    asyncio.run(work())
    assert leased.fault == ""


def test_a_client_id_that_is_held_is_given_back_when_the_broker_closes(simulator, leased):
    async def work():
        async with leased.hold_run("r"):
            assert clients(simulator) == {7, 900}
            await asyncio.to_thread(leased.close)

    with pytest.raises(BrokerError, match="closed"):  # nothing is left to give back
        asyncio.run(work())
    wait_until(lambda: not clients(simulator))


# -- the last checks before an order leaves ----------------------------------------------------------------------


def accepted(simulator):
    return simulator.call(lambda venue: venue.counts["accepts"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"symbol": "NOPE"}, "r-1: No security definition"),
        ({"account": "DU0000002"}, r"r-1 is for account DU\*\*\*002"),
    ],
)
def test_an_order_that_tws_cannot_take_is_not_sent(simulator, changes, text):
    with connect(simulator) as broker:
        with pytest.raises(BrokerError, match=text):
            asyncio.run(broker.place(ticket("r-1", **changes)))
        assert accepted(simulator) == 0


def test_an_order_id_below_one_that_was_used_since_is_not_sent(simulator):
    with connect(simulator) as broker:
        first, second = ticket("r-1"), ticket("r-2")
        assert asyncio.run(broker.prepare([first, second])) == {}
        ids = [broker.order_id_for(name) for name in ("r-1", "r-2", "r-3")]
        assert ids[1] == (ids[0][0] + 1, 7)
        assert ids[2] == (None, None)
        asyncio.run(broker.place(second))
        with pytest.raises(StaleOrderIdError, match="another run has sent orders meanwhile"):
            asyncio.run(broker.place(first))
        assert accepted(simulator) == 1


def test_order_ids_rise_in_the_sequence_that_orders_are_prepared_in(simulator):
    with connect(simulator) as broker:
        orders = {name: ticket(name) for name in ("r-1", "r-2", "r-3", "r-4")}

        def prepared(*names):
            assert asyncio.run(broker.prepare([orders[name] for name in names])) == {}
            return [broker.order_id_for(name)[0] for name in names]

        first, *_ = given = prepared("r-1", "r-2", "r-3")
        assert given == [first, first + 1, first + 2]
        assert prepared("r-1", "r-3") == [first, first + 2]  # they rise as they are
        # r-1 comes last now, and r-4 is new: the two after r-3 need later ids than all that were given.
        assert prepared("r-2", "r-3", "r-1", "r-4") == [first + 1, first + 2, first + 3, first + 4]
        asyncio.run(broker.place(orders["r-3"]))
        assert prepared("r-3", "r-2") == [first + 2, first + 5]  # one that was sent keeps its id
        asyncio.run(
            broker.place_all([orders["r-1"], orders["r-4"], orders["r-2"]], lambda _: contextlib.nullcontext())
        )
        assert accepted(simulator) == 4


def test_an_order_sent_behind_one_that_is_sent_again_gets_a_later_order_id(simulator):
    with connect(simulator) as broker:
        orders = {name: ticket(name) for name in ("r-1", "r-2")}
        asyncio.run(broker.prepare(list(orders.values())))
        first = broker.order_id_for("r-1")[0]
        sent = OrderEvent("sending", "r", "r-2", NOON, order_id=first + 1, client_id=7, attempt=1)
        broker.adopt("r", [OrderHistory("r-2", 10.0, [sent])])
        broker.allow_again(["r-2"])
        asyncio.run(broker.prepare([orders["r-2"], orders["r-1"]]))
        assert [broker.order_id_for(name)[0] for name in ("r-2", "r-1")] == [first + 1, first + 2]


def test_an_order_that_another_client_placed_is_not_cancelled_under_its_number(simulator):
    sent = OrderEvent("sending", "r", "r-SPY-BUY", NOON, order_id=4, client_id=1, attempt=1)
    with connect(simulator) as broker:
        broker.adopt("r", [OrderHistory("r-SPY-BUY", 10.0, [sent])])
        with pytest.raises(InputError, match="was placed by client id 1; only that one can cancel it") as caught:
            broker.cancel("r-SPY-BUY")
        assert caught.value.codes == ("order_of_other_client",)


# -- what is asked of TWS at other times -------------------------------------------------------------------------


def test_the_lead_of_the_clock_is_measured_and_zero_where_tws_does_not_answer(simulator, monkeypatch):
    with connect(simulator) as broker:
        # The venue's time begins at 15:00, and stands still until an order moves it.
        monkeypatch.setattr(clock, "now", lambda: datetime(2022, 12, 29, 15, 0, 30, tzinfo=UTC))
        assert asyncio.run(broker.clock_lead()) == pytest.approx(30.0, abs=5.0)
        monkeypatch.undo()
        simulator.event("restart")
        assert asyncio.run(broker.clock_lead()) == 0.0


def test_a_connection_that_gives_no_answer_is_a_fault(simulator):
    with connect(simulator) as broker:
        asyncio.run(broker.ping())
        assert broker.fault == ""
        simulator.event("restart")
        asyncio.run(broker.ping())
        # The loss is noticed by the answer that does not come, or by the closed socket, whichever is first.
        assert "TWS does not answer any more" in broker.fault or "the connection to TWS is gone" in broker.fault


def test_the_next_id_of_a_session_is_unknown_where_tws_does_not_answer(simulator):
    with connect(simulator) as broker:
        assert asyncio.run(broker.session_mark()) == (7, 1)
        simulator.event("restart")
        assert asyncio.run(broker.session_mark()) == (7, None)


def test_the_quotes_of_a_table_are_those_of_its_contracts(simulator):
    with connect(simulator) as broker:
        known = broker.quotes(["SPY"])["con_id"].tolist()
        targets = pd.DataFrame({"symbol": ["SPY", "KO"], "con_id": [known[0], None], "sec_type": ["STK", None]})
        found = broker.quotes(targets).set_index("symbol")
        assert found["last"].to_dict() == {"SPY": 400.0, "KO": 62.61}
        other = broker.quotes(targets.assign(con_id=[known[0], known[0]]))
        assert other["symbol"].tolist() == ["SPY"]  # that number is not KO


# -- terms of orders -------------------------------------------------------------------------------------------

IN_AN_HOUR = datetime(2036, 11, 24, 21, tzinfo=UTC)


def test_orders_that_a_contract_does_not_take_or_that_have_expired_are_refused_before_they_leave(simulator):
    with connect(simulator) as broker:
        past = datetime(2020, 1, 2, tzinfo=UTC)
        limit = {"order_type": "LMT", "limit_price": 390.0}
        tickets = [
            ticket("r-1", **limit),
            ticket("r-2", **limit, tif="FOK"),
            ticket("r-3", **limit, tif="GTD", good_till=past),
            ticket("r-4", **limit, tif="GTD", good_till=IN_AN_HOUR),
        ]
        refused = asyncio.run(broker.prepare(tickets))
        assert {name: code for name, (code, _) in refused.items()} == {
            "r-2": "order_type_not_permitted",
            "r-3": "good_till_past",
        }
        assert refused["r-2"][1] == "SPY: TWS does not take FOK orders in this contract"
        tokens = broker.quotes(["SPY"])["order_types"].tolist()[0].split()
    assert {"MKT", "LMT", "MOC", "LOC", "STP", "STPLMT", "GTC", "GTD", "ALGO"} <= set(tokens)
    assert "FOK" not in tokens


@pytest.mark.slow
def test_terms_arrive_at_the_venue_and_come_back_with_the_open_orders(simulator):
    terms = {
        "r-stop": {"order_type": "STP", "aux_price": 380.5, "side": "SELL"},
        "r-limit": {
            "order_type": "LMT",
            "limit_price": 390.0,
            "tif": "GTD",
            "good_till": IN_AN_HOUR,
            "outside_rth": True,
        },
        "r-both": {"order_type": "STP LMT", "aux_price": 420.0, "limit_price": 421.0},
    }
    with connect(simulator) as broker:
        tickets = [ticket(name, **changes) for name, changes in terms.items()]
        assert asyncio.run(broker.prepare(tickets)) == {}
        for one in tickets:
            asyncio.run(broker.place(one))
        found = broker.open_orders().set_index("client_order_id")
    assert found["aux_price"].fillna(0.0).to_dict() == {"r-stop": 380.5, "r-limit": 0.0, "r-both": 420.0}
    assert found["limit_price"].fillna(0.0).to_dict() == {"r-stop": 0.0, "r-limit": 390.0, "r-both": 421.0}
    assert found.loc["r-limit", ["tif", "good_till", "outside_rth"]].tolist() == ["GTD", IN_AN_HOUR, True]
    assert found["good_till"].notna().sum() == found["outside_rth"].sum() == 1


@pytest.mark.slow
def test_an_order_that_is_sent_again_has_the_terms_of_the_record(simulator, monkeypatch):
    made = []
    original = Connection.make_order

    def make_order(self, *arguments):
        made.append(original(self, *arguments))
        return made[-1]

    monkeypatch.setattr(Connection, "make_order", make_order)
    frame = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "TLT"],
            "side": "BUY",
            "quantity": 1.0,
            "order_type": ["STP", "LMT"],
            "aux_price": [440.25, NAN],
            "limit_price": [NAN, 90.0],
            "tif": ["GTC", "GTD"],
            "good_till": [None, IN_AN_HOUR],
            "algo": [None, None],
        }
    )
    limits = sx.Limits(price_collar=None, min_cash_after=None, allow_short=True)
    review = sx.review_orders(sx.check_orders(frame, limits, quotes=MARKET))
    review.approve_all(by="test")
    with connect(simulator) as broker, sx.open_blotter() as blotter:
        blotter.halt("before it is sent")
        with contextlib.suppress(HaltedError):
            sx.submit_orders(review.result(), broker, blotter, timeout=0.5)
        assert made == []
        blotter.clear_halt("go on")
        sx.resume("r", broker, blotter, timeout=0.5)
    sent = {order.orderRef: order for order in made}
    assert (sent["r-SPY-BUY"].auxPrice, sent["r-SPY-BUY"].tif, sent["r-SPY-BUY"].goodTillDate) == (
        440.25,
        "GTC",
        "",
    )
    limit = sent["r-TLT-BUY"]
    assert (limit.lmtPrice, limit.tif, limit.goodTillDate) == (90.0, "GTD", "20361124-21:00:00")
