"""Which rows of a holdings file are cash, and which are stocks whose tickers look like it."""

import numpy as np
import pandas as pd
import pytest

from stocklean_exec.schema.cash_rows import CURRENCIES, TICKERS_TOO, find_cash_rows

CASH = [
    *("USD", "EUR", "JPY", "HKD", "usd", " Usd ", "USD.", "$USD", "USD CURNCY"),
    *("CASH", "cash", "$CASH", "CASH$", "Cash&Other", "CASH & OTHER", "US DOLLAR", "US Dollars"),
    *("CASH_USD", "USD_CASH", "CASH USD", "USD CASH", "CASH-USD", "USD-CASH", "CASH.EUR", "EUR.CASH", "CASH/GBP"),
    *("CASHUSD", "USDCASH", "CASH:USD", "CASH(USD)", "Cash (usd)", "CASH_NOK", "NOK CASH", "$CNH"),
]
STOCKS = [
    *("SPY", "AAPL", "ALL", "COP", "PEN", "BRK B", "CASY", "CASHX", "XCASH", "USDU", "USD A", "EURN", "SEKE"),
    *("EUR.USD", "CASH_ALL", "ALL CASH", "USDT", "U", "$", "", "  ", "DOLLAR", "US", "MONEY"),
]


@pytest.mark.parametrize("symbol", CASH)
def test_cash_row_with_symbol(symbol):
    assert find_cash_rows(["SPY", symbol, "TLT"]) == ([1], [])


@pytest.mark.parametrize("symbol", STOCKS)
def test_no_cash_row_with_symbol(symbol):
    assert find_cash_rows(["SPY", symbol, "TLT"]) == ([], [])


@pytest.mark.parametrize("symbol", ["NOK", "cnh", " INR ", "SAR"])
def test_a_currency_that_is_also_a_large_stocks_ticker_is_ambiguous(symbol):
    assert find_cash_rows(["SPY", symbol]) == ([], [1])
    assert find_cash_rows(["SPY", symbol], [None, "STK"]) == ([], [])


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, pd.NaT, "", "  "])
def test_a_row_without_a_type_may_be_cash(empty):
    assert find_cash_rows(["USD"], [empty]).cash == [0]


@pytest.mark.parametrize("sec_type", ["STK", "stk ", "OPT", "CASH", 5, ["STK"]])
def test_a_row_with_a_security_type_has_that_type(sec_type):
    assert find_cash_rows(["USD"], [sec_type]).cash == []


def test_the_security_types_of_cash_are_given_by_the_caller():
    types = ["cash", "STK", None]
    assert find_cash_rows(["USD", "USD", "USD"], types, cash_types=("", "CASH")).cash == [0, 2]
    assert find_cash_rows(["AAPL"], ["CASH"], cash_types=("", "CASH")).cash == []


@pytest.mark.parametrize("odd", [None, 5, np.nan, ["USD"], b"USD"])
def test_a_symbol_that_is_not_text_is_not_cash_and_does_not_hide_cash_rows(odd):
    assert find_cash_rows([odd, "USD"]).cash == [1]


def test_large_us_stocks_are_not_among_the_currencies():
    assert not CURRENCIES & {"ALL", "COP", "PEN", "PGK", "MOP", "LAK", "RON", "MAD", "TOP", "CUP", "ANG", "BAM"}
    assert TICKERS_TOO < CURRENCIES
    assert len(CURRENCIES) == 30
