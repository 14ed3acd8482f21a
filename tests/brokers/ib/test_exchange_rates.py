"""Exchange rates from quotes of currency pairs: conventional, inverse, and through the dollar."""

import asyncio
from datetime import UTC, datetime

import pandas as pd
import pytest

from stocklean_exec.brokers.ib.exchange_rates import exchange_rates, rate_routes
from stocklean_exec.brokers.ib.instruments import Refusal
from stocklean_exec.brokers.ib.market_data import MarketDataService
from stocklean_exec.brokers.ib.quote_times import Answer
from tests.brokers.ib.test_market_data import NOON, contract

LATER = datetime(2022, 12, 29, 17, 0, 5, tzinfo=UTC)
NAN = float("nan")
PAIRS = {
    ("EUR", "USD"): (1.0999, 1.1001, NOON),
    ("USD", "JPY"): (124.99, 125.01, LATER),
    ("USD", "SEK"): (9.99, 10.01, NOON),
    ("USD", "CAD"): (1.25, -1.0, NOON),  # one side only
}


class Pairs:
    """A connection that knows currency pairs in their conventional direction alone."""

    def __init__(self, pairs=PAIRS):
        self.pairs, self.asked = dict(pairs), []

    async def contract_details(self, instrument):
        pair = instrument.symbol, instrument.currency
        self.asked.append(pair)
        if pair not in self.pairs or (instrument.sec_type, instrument.exchange) != ("CASH", "IDEALPRO"):
            return Refusal(200, "No security definition has been found for the request")
        number = list(self.pairs).index(pair) + 1
        return [contract(number, pair[1], "", "CASH", pair[0])]

    async def snapshot(self, found):
        bid, ask, at = list(self.pairs.values())[found.conId - 1]
        return Answer(bid, ask, NAN, NAN, 1e6, 1e6, 1, at)

    async def use_delayed_data(self):
        raise AssertionError


def test_no_currencies_need_no_quotes():
    assert asyncio.run(exchange_rates(None, None, [], "USD")) == {}  # neither a service nor a connection is used


def rates(currencies, base, connection=None):
    service = MarketDataService()
    return asyncio.run(exchange_rates(service, connection or Pairs(), currencies, base))


@pytest.mark.parametrize(
    ("currency", "base", "rate", "at"),
    [
        ("EUR", "USD", 1.10, NOON),
        ("USD", "EUR", 1 / 1.10, NOON),
        ("JPY", "USD", 1 / 125, LATER),
        ("JPY", "EUR", 1 / 125 / 1.10, NOON),  # two legs: as old as the older one
        ("SEK", "JPY", 125 / 10, NOON),
    ],
)
def test_a_rate_is_the_mid_of_its_pair_the_inverse_or_two_legs(currency, base, rate, at):
    found = rates([currency], base)[currency]
    assert found.rate == pytest.approx(rate)
    assert found.taken_at == pd.Timestamp(at)


def test_a_currency_without_a_two_sided_quote_has_no_rate_and_the_others_have_theirs():
    assert set(rates(["CAD", "PLN", "EUR"], "USD")) == {"EUR"}


def test_a_currency_has_a_rate_through_the_dollar_where_another_has_no_way_at_all():
    # 9.99 / 10.01 Swedish kronor are a dollar, and neither euros nor pounds are quoted against anything.
    connection = Pairs({("USD", "SEK"): (9.99, 10.01, NOON)})
    assert rates(["EUR", "USD", "SEK"], "GBP", connection) == {}
    found = rates(["EUR", "SEK"], "USD", connection)
    assert {name: one.rate for name, one in found.items()} == {"SEK": pytest.approx(0.1)}


def test_nothing_is_asked_for_no_currency_and_the_conventional_pair_comes_first():
    connection = Pairs()
    assert rates([], "USD", connection) == {}
    assert connection.asked == []
    rates(["EUR", "JPY"], "USD", connection)
    assert connection.asked == [("EUR", "USD"), ("USD", "JPY")]


@pytest.mark.parametrize(
    ("currency", "base", "pair"),
    [
        ("GBP", "EUR", "EUR.GBP"),
        ("USD", "GBP", "GBP.USD"),
        ("CHF", "GBP", "GBP.CHF"),
        ("USD", "AUD", "AUD.USD"),
        ("HKD", "USD", "USD.HKD"),
        ("JPY", "CHF", "CHF.JPY"),
    ],
)
def test_pairs_are_named_as_the_market_does(currency, base, pair):
    (leg,) = rate_routes(currency, base)[0]
    assert f"{leg.first}.{leg.second}" == pair
    assert leg.is_inverse == (leg.first != currency)


def test_a_pair_is_no_symbol_that_was_looked_up():
    service = MarketDataService()
    asyncio.run(exchange_rates(service, Pairs(), ["EUR"], "USD"))
    assert service.symbols() == []
