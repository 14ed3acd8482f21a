from __future__ import annotations

import asyncio

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import (
    ORPHAN_COLUMNS,
    AccountFigures,
    Broker,
    ExchangeRate,
    Ticket,
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


def test_a_broker_that_changes_no_orders_says_so_and_sends_nothing():
    one = Ticket("r-SPY-BUY", "r", "SPY", "BUY", 5.0, "LMT", 99.0, "DAY", "USD", "STK", "SMART", "DU0000001")
    broker = MockBroker({"SPY": 100.0})
    with pytest.raises(BrokerError, match=r"MockBroker cannot change r-SPY-BUY \(change 3\)"):
        asyncio.run(Broker.modify(broker, one, 3))
    assert broker.open_orders().empty


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


def test_the_quotes_of_targets_and_holdings_are_requested_once_each_in_a_table_with_labels_in_sequence():
    class Asked(MockBroker):
        def quotes(self, symbols=None):
            self.asked = symbols
            return super().quotes(symbols)

    broker = Asked({"SPY": 100.0, "TLT": 90.0, "GLD": 50.0}, positions={"SPY": 10, "GLD": 5}, cash=500.0)
    broker.account_state({"TLT": 0.5, "SPY": 0.5})
    assert broker.asked["symbol"].to_dict() == {0: "TLT", 1: "SPY", 2: "GLD"}


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


AT = pd.Timestamp("2026-11-27 15:00", tz="UTC")
EURO_QUOTES = pd.DataFrame(
    {"symbol": ["SAP", "SPY"], "last": [150.0, 100.0], "currency": ["EUR", "USD"], "quoted_at": AT}
)
IN_EUROS = pd.DataFrame({"symbol": ["SAP"], "weight": [0.5], "currency": ["EUR"]})


class WithPairs(MockBroker):
    """A mock filler that has quotes of currency pairs."""

    def exchange_rates(self, currencies, base_currency):
        assert base_currency == "USD"
        self.asked = list(currencies)
        return {name: ExchangeRate(1.1, AT) for name in currencies if name == "EUR"}


@pytest.mark.parametrize(
    ("broker", "given", "rate", "source"),
    [
        (MockBroker(EURO_QUOTES, fx={"EUR": 1.1}), {"EUR": 1.12}, 1.1, "account"),
        (MockBroker(EURO_QUOTES, fx={"EUR": 0.9}), {"EUR": 0.91}, 0.9, "account"),
        (WithPairs(EURO_QUOTES), {"EUR": 1.12}, 1.1, "quote"),
        (MockBroker(EURO_QUOTES), {"EUR": 1.12}, 1.12, "given"),
    ],
)
def test_a_rate_is_the_accounts_else_a_quotes_else_the_given_one(broker, given, rate, source):
    state = broker.account_state(IN_EUROS, fx=given)
    assert state.fx.loc["EUR", ["rate", "source"]].tolist() == [rate, source]
    assert state.fx["taken_at"].notna().all()
    if source == "quote":
        assert state.fx.loc["EUR", "taken_at"] == AT
        assert broker.asked == ["EUR"]  # and not the base currency
    orders = sx.plan_orders(IN_EUROS, state, run_id="r")
    # Half of a million dollars at 150 euros a share, less what is kept back for fees.
    assert orders["quantity"].tolist() == [pytest.approx(500_000 / 150 / rate, abs=1)]


def test_an_account_is_read_for_the_targets_of_a_file(tmp_path):
    (tmp_path / "targets.csv").write_text("symbol,weight,currency\nSAP,0.5,EUR\n")
    state = MockBroker(EURO_QUOTES).account_state(tmp_path / "targets.csv", fx={"EUR": 1.12})
    assert (state.quotes["symbol"].tolist(), state.rates) == (["SAP"], {"EUR": 1.12})


def test_an_order_without_a_rate_is_in_the_base_currency():
    terms = ("r", "SPY", "BUY", 1.0, "MKT", float("nan"), "DAY", "USD", "STK", "SMART", "DU1")
    order = Ticket("r-SPY-BUY", *terms)
    assert (order.fx_rate, order.con_id, order.primary_exchange, order.decided_on) == (1.0, None, "", None)
    assert np.isnan(order.reference_price)


def test_a_rate_that_is_needed_by_nothing_is_not_asked_for():
    broker = WithPairs(EURO_QUOTES)
    assert broker.account_state({"SPY": 0.5}).fx.empty
    assert not hasattr(broker, "asked")


@pytest.mark.parametrize("broker", [MockBroker(EURO_QUOTES, fx={"EUR": 1.1}), WithPairs(EURO_QUOTES)])
def test_a_given_rate_far_from_the_brokers_own_is_an_error(broker):
    with pytest.raises(InputError, match=r"account DU.*001 has 1\.1") as caught:
        broker.account_state(IN_EUROS, fx={"EUR": 1 / 1.1})
    assert caught.value.codes == ("fx_mismatch",)


def test_without_any_rate_the_orders_of_that_currency_are_rejected_by_name_and_no_others():
    both = pd.DataFrame({"symbol": ["SAP", "SPY"], "weight": [0.4, 0.4], "currency": ["EUR", "USD"]})
    state = MockBroker(EURO_QUOTES).account_state(both)
    orders = sx.plan_orders(both, state, run_id="r").set_index("symbol")
    assert orders["status"].to_dict() == {"SAP": "REJECTED", "SPY": "NEW"}
    assert "prices in EUR need fx={'EUR': rate}" in orders.loc["SAP", "detail"]


async def _state_of(broker):
    return await broker.account_state_async(IN_EUROS, fx={"EUR": 1.12})


def test_the_awaitable_state_takes_rates_too():
    assert asyncio.run(_state_of(MockBroker(EURO_QUOTES))).rates == {"EUR": 1.12}


@pytest.mark.parametrize(
    ("funds", "power", "is_margin"),
    [
        (10_000.0, 20_000.0, True),  # twice overnight
        (10_000.0, 19_000.0, True),
        (10_000.0, 18_990.0, False),
        (10_000.0, 10_000.0, False),
        (0.5, 2.0, True),
        (0.0, 0.0, False),
        (-5.0, 0.0, False),
        (np.nan, 20_000.0, False),
    ],
)
def test_an_account_is_certain_to_be_one_of_margin_by_its_buying_power(funds, power, is_margin):
    figures = AccountFigures(1.0, 1.0, "USD", available_funds=funds, buying_power=power)
    assert figures.is_margin_account == is_margin


def test_the_state_of_an_account_has_the_time_of_its_market():
    market = pd.DataFrame({"symbol": ["SPY"], "last": 100.0, "quoted_at": pd.Timestamp("2026-11-23T15:00Z")})
    with sx.connect("mock://", quotes=market, cash=1_000) as broker:
        state = broker.account_state(["SPY"])
    assert (state.market_time, state.never_closes) == (pd.Timestamp("2026-11-23T15:00Z"), True)
