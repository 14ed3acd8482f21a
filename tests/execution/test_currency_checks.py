"""Exchange rates when orders are sent: an order in a currency without a usable rate stays, and no other does."""

import asyncio
import math

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.base import AccountFigures, ExchangeRate, Ticket
from stocklean_exec.brokers.mock import MockBroker
from stocklean_exec.errors import HaltedError
from stocklean_exec.execution.currency_checks import currency_refusals, usable_rates

NAN = math.nan
MARKET = pd.DataFrame(
    {
        "symbol": ["SPY", "SAP", "SONY"],
        "bid": 100.0,
        "ask": 100.0,
        "currency": ["USD", "EUR", "JPY"],
        "quoted_at": pd.Timestamp("2026-06-01T15:00Z"),
    }
)
SENT_WITH = {"EUR": 1.1, "JPY": 0.007}


class Account(MockBroker):
    """A mock filler that names these rates of its books, and of pairs."""

    def __init__(self, booked=None, quoted=None):
        super().__init__(MARKET, cash=1e6, fx=SENT_WITH)
        self.booked, self.quoted = booked or {}, quoted or {}

    def account_figures(self):
        return (
            super()
            .account_figures()
            ._replace(currencies={"USD": (1e6, 1.0)} | {name: (0.0, rate) for name, rate in self.booked.items()})
        )

    def exchange_rates(self, currencies, base_currency):
        assert base_currency == "USD"
        return {name: ExchangeRate(self.quoted[name], None) for name in currencies if name in self.quoted}


def ticket(symbol, currency):
    return Ticket(f"r-{symbol}-BUY", "r", symbol, "BUY", 10.0, "MKT", NAN, "DAY", currency, "STK", "SMART", "DU1")


EURO, YEN, DOLLAR = ticket("SAP", "EUR"), ticket("SONY", "JPY"), ticket("SPY", "USD")


@pytest.mark.parametrize(
    ("booked", "quoted", "planned", "code"),
    [
        (1.1, None, 1.1, None),
        (1.1, None, 1.15, None),  # 4.5 % off
        (1.1, None, 1.16, "fx_mismatch"),  # 5.5 % off
        (1.1, None, 1 / 1.1, "fx_mismatch"),
        (1.1, None, math.inf, "fx_mismatch"),
        (1.1, None, None, "fx_mismatch"),  # an order without a rate was valued one to one
        (1.04, None, None, None),  # which is near enough to 1.04
        (None, 1.1, 1.16, "fx_mismatch"),
        (NAN, None, 1.16, None),  # the plan's rate counts where the broker has none
        (0.0, 1.1, 1.16, "fx_mismatch"),
        (0.0, None, 1.16, None),
        (-1.0, math.inf, None, "currency_mismatch"),
        (None, None, None, "currency_mismatch"),
    ],
)
def test_an_order_is_refused_for_the_rate_of_its_own_currency(booked, quoted, planned, code):
    rates = [{} if one is None else {"EUR": one} for one in (booked, quoted)]
    broker = Account(rates[0] | {"JPY": 0.007}, rates[1])
    planned = {} if planned is None else {EURO.client_order_id: planned}
    planned[YEN.client_order_id] = 0.007
    found = asyncio.run(currency_refusals([DOLLAR, EURO, YEN], planned, broker))
    assert {name: why for name, (why, _) in found.items()} == (
        {} if code is None else {EURO.client_order_id: code}
    )
    assert all(text.startswith(EURO.client_order_id) and "EUR" in text for _, text in found.values())


def test_a_plan_in_the_base_currency_needs_no_rate():
    broker = Account()
    broker.account_figures = None  # would be an error to call
    assert asyncio.run(currency_refusals([DOLLAR], {}, broker)) == {}


def test_only_usable_rates_are_used():
    figures = AccountFigures(1.0, 1.0, "USD", currencies={"USD": (1.0, 1.0), "EUR": (1.0, 0.0), "CHF": (1.0, 1.2)})
    broker = Account(quoted={"EUR": 1.1, "JPY": 0.0, "CHF": 1.3})
    rates = asyncio.run(usable_rates(broker, figures, ["EUR", "JPY", "CHF"]))
    assert rates == {"USD": 1.0, "CHF": 1.2, "EUR": 1.1}


def submit(review, broker, blotter):
    return sx.submit_orders(review.result(), broker, blotter)


def start(review, broker, blotter):
    return sx.start_run(review.result(), broker, blotter).wait(30)


def resume(review, broker, blotter):
    blotter.halt("look first")
    with pytest.raises(HaltedError):
        sx.submit_orders(review.result(), broker, blotter)
    blotter.clear_halt("looked")
    return sx.resume("r", broker, blotter)


@pytest.mark.slow
@pytest.mark.parametrize("send", [submit, start, resume])
def test_every_way_of_sending_sends_the_orders_in_the_other_currencies(send):
    plan = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SAP", "SPY", "SONY"],
            "side": "BUY",
            "quantity": 10.0,
            "order_type": "MKT",
            "currency": ["EUR", "USD", "JPY"],
        }
    )
    review = sx.review_orders(sx.check_orders(plan, quotes=MARKET, cash=1e6, fx=SENT_WITH))
    review.approve_all(by="ann")
    with sx.open_blotter() as blotter:
        states = send(review, Account({"EUR": 1.3, "JPY": 0.007}), blotter).set_index("symbol")
        assert states["status"].to_dict() == {"SAP": "REJECTED", "SPY": "FILLED", "SONY": "FILLED"}
        assert states.loc["SAP", "reason"] == "fx_mismatch"
        (why,) = blotter.events("r").query("kind == 'refused'")["message"]
    assert "was checked with 1.1 USD per EUR" in why
    assert "has 1.3" in why
