import pytest

from stocklean_exec.simulator import Settings, Venue
from stocklean_exec.simulator.settings import parse_amounts


def test_a_venue_starts_with_default_settings():
    venue = Venue(Settings())
    assert list(venue.ledger.accounts) == ["DU0000001"]
    assert venue.server_version == 176
    assert "SPY" in venue.market.symbols()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server_version": 156}, "156"),
        ({"server_version": 179}, "179"),
        ({"accounts": ()}, "at least one account"),
        ({"quotes": {"SPY": -1}}, "SPY"),
        ({"start": "noon"}, "noon"),
        ({"base_currency": "POUND"}, "POUND"),
        ({"cash": {"USD": 1.0, "NOK": 5.0}}, "no exchange rate for NOK"),
        ({"cash": float("nan")}, "not an amount"),
        ({"quotes": {"EQNR": {"last": 300.0, "currency": "NOK"}}}, "no exchange rate for NOK"),
        ({"rates": {"EUR": -1.0}}, "EUR"),
        ({"positions": {7: 100}}, "contract 7"),
        ({"account_kind": "ira"}, "ira"),
        ({"settlement_days": 3}, "settlement_days is 3"),
    ],
)
def test_invalid_settings_are_reported_with_the_reason(options, words):
    with pytest.raises(ValueError, match=words):
        Venue(Settings(**options))


@pytest.mark.parametrize("text", ["EUR", "EUR=", "=5", "EUR=x", "EUR=1,,", "1=1"])
def test_amounts_by_currency_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match="not of the form"):
        parse_amounts(text)


def test_cash_by_currency_opens_every_account():
    venue = Venue(Settings(accounts=("DU1", "DU2"), base_currency="EUR", cash={"USD": 5.0}, rates={"USD": 0.9}))
    assert [one.balances() for one in venue.ledger.accounts.values()] == [{"EUR": 0.0, "USD": 5.0}] * 2
