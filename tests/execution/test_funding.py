"""The cash that buys may spend: costs, effects of fills, the ledger, and what the broker allows; by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.base import AccountFigures, Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import InputError
from stocklean_exec.execution.funding import (
    CashLedger,
    Funding,
    FundingOptions,
    buy_cost,
    cash_effect,
    ceiling_of,
    describe_available,
    is_margin_account,
    ledger_of,
    sent_last,
    slippage_margin,
)

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
    assert (ledger.flows, ledger.spent) == (150.0, 250.0)  # what sells bring was not spent


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


# -- the sequence of market buys ---------------------------------------------------------------------------------


def test_only_a_market_buy_may_cost_more_than_its_quote():
    # 0.4 %
    assert slippage_margin(ticket(), 2_500.0) == 10.0
    assert slippage_margin(ticket(limit=25.0), 2_500.0) == 0.0


@pytest.mark.parametrize(
    ("costs", "last"),
    [
        ([500.0, 900.0, 700.0], [0]),  # 0.4 % of 900 and of 700 are less than the 500 behind them
        ([100.0, 100.0, 100.0], [2]),  # of equal ones the last
        ([1.0, 200.0, 50_000.0, 40_000.0, 50_000.0], [1, 0]),  # 0.4 % of 50,000, 200, is more than 1
        ([math.inf, 100.0], [1]),
        # Behind 80,000, 0.4 % of which is 320, must be 300, 200 and 1; and 90,000 needs less than 80,000.
        ([1.0, 200.0, 90_000.0, 300.0, 80_000.0], [4, 3, 1, 0]),
        ([1.0, 1_000_000.0, 1_000.0, 1_001.0, 2_000.0], [2, 0]),  # 0.4 % of 1,000 less 1 must stay free anyway
        ([50.0], [0]),
        # Behind 376, 0.4 % of which is 1.50, 1 alone is 50 cents too little, and 20 cents must stay free anyway.
        ([1.0, 300.0, 376.0], [1, 0]),
    ],
)
def test_the_smallest_market_buys_are_sent_last_so_that_they_cover_the_margin_of_the_others(costs, last):
    assert sent_last(costs) == last


# -- what the broker allows --------------------------------------------------------------------------------------

FIGURES = AccountFigures(50_000.0, 20_000.0, "USD", settled_cash=5_000.0, available_funds=6_000.0)


@pytest.mark.parametrize(
    ("changes", "options", "short_value", "ceiling"),
    [
        ({}, {}, 0.0, (5_000.0, "settled cash")),
        ({"available_funds": 4_000.0}, {}, 0.0, (4_000.0, "available funds")),
        ({"settled_cash": NAN}, {}, 0.0, (6_000.0, "available funds")),
        ({"settled_cash": NAN, "available_funds": NAN}, {}, 0.0, (math.inf, "")),
        ({}, {"unsettled": "allow"}, 0.0, (math.inf, "")),
        # A margin account: 20,000 of cash less the proceeds of shorts, or twice the available funds.
        ({"buying_power": 12_000.0}, {}, 0.0, (20_000.0, "cash without short proceeds")),
        ({"buying_power": 12_000.0}, {}, 15_000.0, (12_000.0, "available funds and margin")),
        ({"buying_power": 12_000.0}, {}, NAN, (12_000.0, "available funds and margin")),
        ({"available_funds": NAN}, {"account_kind": "margin"}, 0.0, (math.inf, "")),
        ({}, {"account_kind": "margin"}, 19_000.0, (12_000.0, "available funds and margin")),
        ({"buying_power": 24_000.0}, {"account_kind": "cash"}, 0.0, (5_000.0, "settled cash")),
    ],
)
def test_what_the_broker_allows_to_be_spent(changes, options, short_value, ceiling):
    assert ceiling_of(FIGURES._replace(**changes), FundingOptions(**options), short_value) == ceiling


@pytest.mark.parametrize(
    ("power", "funds", "kind", "is_margin"),
    [
        (11_400.0, 6_000.0, None, True),  # 1.9 times the available funds
        (11_399.0, 6_000.0, None, False),
        (6_000.0, 6_000.0, None, False),
        (NAN, 6_000.0, None, False),
        (10.0, 0.0, None, False),
        (0.0, -5.0, None, False),
        (24_000.0, 6_000.0, "cash", False),
        (6_000.0, 6_000.0, "margin", True),
    ],
)
def test_a_margin_account_is_one_that_is_said_to_be_or_whose_buying_power_shows_it(power, funds, kind, is_margin):
    figures = FIGURES._replace(buying_power=power, available_funds=funds)
    assert is_margin_account(figures, FundingOptions(account_kind=kind)) is is_margin


def test_only_what_was_spent_since_lowers_what_the_broker_allows():
    ledger = CashLedger()
    ledger.note("earlier", -70.0, has_ended=True)
    funding = Funding(ledger, cash=1_000.0, counted=ledger.flows, min_cash=100.0, elsewhere=50.0)
    assert (funding.allowed, funding.available) == (math.inf, 850.0)
    funding.set_ceiling(600.0, ledger.spent, "settled cash")
    assert (funding.allowed, funding.available) == (450.0, 450.0)
    ledger.note("sell", 400.0, has_ended=True)  # the broker must report that itself
    assert (funding.allowed, funding.cash) == (450.0, 1_250.0)
    ledger.reserve(ticket(name="a"), 100.0)
    assert funding.allowed == 350.0
    ledger.note("a", -80.0, has_ended=True)
    assert (funding.allowed, funding.cash) == (370.0, 1_170.0)
    funding.set_ceiling(math.inf, ledger.spent, "")
    assert funding.available == 1_170.0


FRIDAY = datetime(2026, 11, 27, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("elsewhere", "ceiling", "text"),
    [
        (math.inf, (math.inf, 0.0, ""), "the working buys of others have no known price"),
        (0.0, (math.inf, 0.0, ""), "1,000.00 of cash was available"),
        (0.0, (1_000.0, 0.0, "settled cash"), "1,000.00 of cash was available"),
        (1_200.0, (math.inf, 0.0, ""), "0.00 of cash was available"),
        (0.0, (600.0, 0.0, "available funds"), "600.00 of available funds was available, of 1,000.00 of cash"),
        (0.0, (-5.0, 0.0, "available funds"), "0.00 of available funds was available, of 1,000.00 of cash"),
        (
            0.0,
            (600.0, 0.0, "settled cash"),
            (
                "600.00 of settled cash was available, of 1,000.00 of cash; the proceeds of today's sales settle "
                "on 2026-11-30 at the earliest (unsettled='allow' buys with them now, account_kind='margin' says "
                "that this is no cash account)"
            ),
        ),
    ],
)
def test_the_text_of_a_withdrawn_buy_names_what_there_was_and_when_more_may_come(elsewhere, ceiling, text):
    funding = Funding(CashLedger(), cash=1_000.0, counted=0.0, min_cash=0.0, elsewhere=elsewhere)
    funding.set_ceiling(*ceiling)
    assert describe_available(funding, FRIDAY) == text


@pytest.mark.slow
def test_the_day_on_which_more_may_come_is_the_first_of_the_markets_that_were_sold_in():
    funding = Funding(CashLedger(), cash=1_000.0, counted=0.0, min_cash=0.0, elsewhere=0.0)
    funding.set_ceiling(600.0, 0.0, "settled cash")
    terms = ("SELL", 1.0, "MKT", math.nan, "DAY")
    paris, zurich = (
        Ticket(name, "r", name, *terms, currency, "STK", "SMART", "DU1", primary_exchange=listing)
        for name, currency, listing in (("AI", "EUR", "SBF"), ("NESN", "CHF", "EBS"))
    )
    when = datetime(2026, 12, 22, 15, tzinfo=UTC)  # Zurich is closed on the 24th and the 25th
    assert "settle on 2026-12-24 at" in describe_available(funding, when, [zurich, paris])
    assert "settle on 2026-12-28 at" in describe_available(funding, when, [zurich])


# -- options -----------------------------------------------------------------------------------------------------


def test_options_are_recorded_and_read_back():
    options = FundingOptions.of("margin", 30, "cash", "allow")
    assert options == FundingOptions("margin", 30.0, "cash", "allow")
    assert FundingOptions.parse({**options.to_dict(), "of a later version": 1}) == options
    assert FundingOptions.parse({}) == FundingOptions("fills", None, None, "wait")


def test_every_wrong_option_is_named():
    with pytest.raises(InputError) as caught:
        FundingOptions.of("credit", -1.0, ["cash"], None)
    assert [problem.column for problem in caught.value.problems] == [
        "funding",
        "account_kind",
        "unsettled",
        "funding_timeout",
    ]
    assert "funding 'credit' is not one of fills, margin" in str(caught.value)
    assert FundingOptions.of("fills", 0, None, "wait").timeout == 0.0


@pytest.mark.parametrize(
    ("kind", "aux", "cost"),
    [
        ("STP", 30.0, 3_001.0),  # its trigger, 100 x 30, and the lowest commission
        ("STP", 20.0, 2_501.0),  # which the ask has passed
        ("TRAIL", 2.0, 2_701.0),  # at most 2.00 above the ask of now
        ("REL", 0.05, 2_501.0),
    ],
)
def test_a_stop_counts_at_its_trigger_and_a_trailing_order_at_its_amount_above_the_ask(kind, aux, cost):
    order = replace(ticket(), order_type=kind, aux_price=aux)
    assert buy_cost(order, 25.0, None, 24.0) == cost
    assert buy_cost(replace(order, limit_price=26.0), 25.0, None, 24.0) == 2_601.0
