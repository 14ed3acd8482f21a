"""Exchange rates, and their text on the wire."""

import pytest

from stocklean_exec.simulator.exchange.rates import Rates, rate_text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1.0, "1.00"), (0.8681062, "0.8681062"), (0.729501, "0.729501"), (0.0075, "0.0075"), (1.3, "1.30")],
)
def test_a_rate_is_written_as_in_a_log_of_tws(rate, text):
    assert rate_text(rate) == text


def test_rates_have_seven_decimals_so_that_amount_times_rate_is_what_a_client_computes():
    assert Rates("EUR", {"JPY": 0.00639134})["JPY"] == 0.0063913


def test_without_given_rates_there_are_round_sample_rates_that_fit_together():
    rates = Rates("EUR", {})
    assert rates["EUR"] == 1
    assert rates["USD"] == pytest.approx(1 / 1.06, abs=1e-7)
    assert rates["GBP"] == pytest.approx(1.2 / 1.06, abs=1e-7)


def test_given_rates_are_the_only_ones():
    assert list(Rates("USD", {"EUR": 1.1})) == ["USD", "EUR"]
    with pytest.raises(ValueError, match="no exchange rate for GBP, JPY: give USD per unit"):
        Rates("USD", {"EUR": 1.1}).require(["JPY", "EUR", "GBP", "USD"])


@pytest.mark.parametrize(
    ("currency", "rate", "words"),
    [
        ("EUR", 0.0, "not a number above 0"),
        ("EUR", float("nan"), "not a number above 0"),
        ("USD", 2.0, "base currency"),
        ("POUND", 1.2, "POUND"),
        ("IDR", 1e-9, "7 decimals"),
    ],
)
def test_invalid_rates_are_refused(currency, rate, words):
    with pytest.raises(ValueError, match=words):
        Rates("USD", {currency: rate})
