"""The cash that buys may spend: costs, effects of fills, the ledger, and what the broker allows; by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.execution.funding import CashLedger, Funding, buy_cost, cash_effect, ledger_of

QUOTES = {"OLD": 50.0, "NEW": 20.0, "TOO": 10.0}
NAN = math.nan


# -- the ledger ------------------------------------------------------------------------------------------------


def ticket(quantity=100.0, limit=NAN, side="BUY", name="r-A"):
    kind = "MKT" if math.isnan(limit) else "LMT"
    return Ticket(name, "r", "A", side, quantity, kind, limit, "DAY", "USD", "STK", "SMART", "DU1")


@pytest.mark.parametrize(
    ("limit", "ask", "last", "decided", "cost"),
    [
        pytest.param(NAN, 25.0, 24.0, 23.0, 2_501.0, id="the ask"),
        pytest.param(NAN, -1.0, 24.0, 23.0, 2_401.0, id="no ask: the last trade"),
        pytest.param(NAN, None, None, 23.0, 2_301.0, id="no market: the price it was decided at"),
        pytest.param(26.0, 25.0, 24.0, 23.0, 2_601.0, id="a limit above the ask"),
        pytest.param(20.0, 25.0, 24.0, 23.0, 2_001.0, id="a limit below the market"),
        pytest.param(NAN, None, 0.0, NAN, math.inf, id="no price"),
    ],
)
def test_the_cost_of_a_buy_is_its_worst_price_plus_commission(limit, ask, last, decided, cost):
    assert buy_cost(ticket(limit=limit), ask, last, decided) == cost


def test_a_price_of_a_billion_or_more_counts_as_missing():
    # At 24.00, 100 shares and 1.00 of commission.
    for damaged in (1e9, 1.7976931348623157e308, 0.0, -1.0, NAN):
        assert buy_cost(ticket(limit=NAN), damaged, None, 24.0) == 2_401.0
        assert buy_cost(ticket(limit=NAN), None, damaged, 24.0) == 2_401.0
    assert buy_cost(ticket(limit=NAN), 999_999_999.0, None, 24.0) > 99_999_999_900.0


@pytest.mark.parametrize(
    ("side", "traded", "value", "commission", "effect"),
    [
        ("BUY", 0.0, 0.0, NAN, 0.0),
        ("BUY", 0.0, 0.0, 1.0, 0.0),  # its executions were withdrawn, and their commission with them
        ("BUY", 100.0, 2_500.0, NAN, -2_501.0),
        ("BUY", 0.5, 12.5, NAN, -12.51),  # half a share costs a cent
        ("BUY", 100.0, 2_500.0, 3.0, -2_503.0),
        ("BUY", 1_000.0, 25_000.0, 1.0, -25_005.0),  # reported in part so far: 5.00 by the schedule
        ("SELL", 100.0, 2_500.0, 1.25, 2_498.75),
        # 1.00, 100 x 0.000195 to FINRA, 2,500 x 27.80 per million to the SEC
        ("SELL", 100.0, 2_500.0, 1.0, 2_498.911),
    ],
)
def test_a_fill_changes_cash_by_its_value_and_commission(side, traded, value, commission, effect):
    assert cash_effect(ticket(side=side), traded, value, commission) == pytest.approx(effect, abs=1e-9)


def test_cash_is_reserved_for_a_buy_until_it_has_traded_or_ended():
    ledger = CashLedger()
    funding = Funding(ledger, cash=1_000.0, counted=0.0, min_cash=100.0, elsewhere=50.0)
    assert funding.available == 850.0
    ledger.reserve(ticket(name="a"), 300.0)
    assert funding.available == 550.0
    ledger.note("a", -100.0, has_ended=False)  # a third has traded: 200 may still go
    assert funding.available == 550.0
    ledger.note("a", -250.0, has_ended=True)  # cheaper than it was counted
    assert funding.available == 600.0
    ledger.note("a", -250.0, has_ended=True)  # reported twice
    assert funding.available == 600.0
    ledger.note("s", 400.0, has_ended=False)
    assert funding.available == 1_000.0


def test_cash_is_not_reserved_for_the_part_of_a_buy_that_has_traded():
    ledger = CashLedger()
    for name, traded in (("a", -100.0), ("b", -310.0)):
        ledger.note(name, traded, has_ended=False)
        ledger.reserve(ticket(name=name), 300.0)
    assert ledger.reserved == {"a": 200.0, "b": 0.0}
    ledger.note("a", -301.0, has_ended=False)  # more than it was to cost
    assert ledger.reserved == {"a": 0.0, "b": 0.0}


def test_no_cash_is_reserved_for_an_order_that_was_not_sent():
    ledger = CashLedger()
    ledger.reserve(ticket(name="a"), 300.0)
    ledger.release(["a", "never"])
    assert ledger.reserved == {}


def test_fills_already_in_the_cash_figure_are_not_counted_again():
    ledger = CashLedger()
    ledger.note("earlier", -500.0, has_ended=True)
    assert Funding(ledger, cash=1_000.0, counted=ledger.flows, min_cash=0.0, elsewhere=0.0).available == 1_000.0


def test_all_runs_of_a_broker_share_one_cash_ledger():
    one, two = MockBroker(QUOTES), MockBroker(QUOTES)
    assert ledger_of(one) is ledger_of(one)
    assert ledger_of(one) is not ledger_of(two)


def test_amounts_of_another_currency_count_in_the_base_currency():
    # 100 at 25 euros and a commission of 3 euros, the minimum, at 1.2 dollars.
    euros = {"currency": "EUR", "fx_rate": 1.2}
    assert cash_effect(replace(ticket(side="SELL"), **euros), 100, 2_500.0, 1.0) == pytest.approx(2_497 * 1.2)
    assert cash_effect(replace(ticket(), **euros), 100, 2_500.0, NAN) == pytest.approx(-2_503 * 1.2)
    assert buy_cost(replace(ticket(limit=25.0), **euros), 24.0, None, NAN) == pytest.approx(2_503 * 1.2)
