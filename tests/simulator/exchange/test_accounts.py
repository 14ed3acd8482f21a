"""Cash, positions and profit, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.simulator.exchange.accounts import Account
from stocklean_exec.simulator.exchange.rates import Rates


def test_buying_costs_price_and_commission():
    account = Account("DU1", cash=10_000.0)
    assert account.trade(1, "A", 100, 50.0, 1.0) is None
    assert account.cash == 4_999.0
    assert account.positions[1].quantity == 100
    assert account.positions[1].average_cost == 50.01


def test_a_second_purchase_averages_the_cost():
    account = Account("DU1")
    account.trade(1, "A", 100, 50.0, 1.0)
    account.trade(1, "A", 300, 54.0, 1.5)
    # Both amounts and both commissions over 400 shares.
    assert account.positions[1].average_cost == pytest.approx(53.00625)


def test_a_sale_realises_profit_net_of_both_commissions():
    account = Account("DU1")
    account.trade(1, "A", 100, 50.0, 1.0)
    # Sold 4.99 above cost, less one commission.
    assert account.trade(1, "A", -40, 55.0, 1.0) == pytest.approx(198.6)
    assert account.positions[1].average_cost == 50.01
    assert account.realized() == pytest.approx(198.6)


def test_a_short_sale_yields_its_price_less_the_commission():
    account = Account("DU1", cash=0.0)
    account.trade(1, "A", -100, 50.0, 1.0)
    assert account.cash == 4_999.0
    assert account.positions[1].average_cost == 49.99
    # bought back at 45: (49.99 - 45) * 100 - 1
    assert account.trade(1, "A", 100, 45.0, 1.0) == pytest.approx(498.0)
    assert account.positions[1].quantity == 0
    assert account.positions[1].average_cost == 0


def test_a_trade_through_zero_closes_first_then_opens_with_the_remainder():
    account = Account("DU1")
    account.trade(1, "A", 100, 50.0, 1.0)
    # 150 sold at 60 for 1.50: 100 close for (60 - 50.01) * 100 - 1.00, 50 open short at 60 - 0.01
    assert account.trade(1, "A", -150, 60.0, 1.5) == pytest.approx(998.0)
    assert account.positions[1].quantity == -50
    assert account.positions[1].average_cost == pytest.approx(59.99)


def test_values_follow_from_cash_and_prices():
    account = Account("DU1", cash=10_000.0)
    account.trade(1, "A", 100, 50.0, 1.0)
    values = account.values({"A": 52.0})
    assert values["NetLiquidation"] == "10199.00"
    assert values["TotalCashValue"] == "4999.00"
    assert values["GrossPositionValue"] == "5200.00"
    assert values["UnrealizedPnL"] == "199.00"
    assert values["BuyingPower"] == "35596.00"  # 4 * (10,199 - a quarter of 5,200)


def london():
    """10,000 pounds, then 100 shares bought at 50 dollars with 1 dollar of commission, now at 52; rate 0.80."""
    account = Account("DU1", cash=10_000.0, currency="GBP")
    account.trade(1, "A", 100, 50.0, 1.0, "USD")
    return account, {"A": 52.0}, Rates("GBP", {"USD": 0.8})


def test_shares_are_paid_in_their_currency_and_nothing_is_converted():
    account, _, _ = london()
    assert account.balances() == {"GBP": 10_000.0, "USD": -5_001.0}
    assert account.trade(1, "A", -100, 55.0, 1.0, "USD") == pytest.approx(498.0)  # (55 - 50.01) * 100 - 1
    assert account.balances() == {"GBP": 10_000.0, "USD": 498.0}


def test_totals_are_in_the_base_currency():
    account, prices, rates = london()
    values = account.values(prices, rates)
    assert values["TotalCashValue"] == "5999.20"  # 10,000 - 5,001 * 0.8
    assert values["GrossPositionValue"] == "4160.00"  # 5,200 * 0.8
    assert values["NetLiquidation"] == "10159.20"
    assert values["UnrealizedPnL"] == "159.20"  # 199 * 0.8
    assert values["AvailableFunds"] == "9119.20"  # less a quarter of 4,160


def test_the_ledger_has_each_currency_in_itself_and_all_in_the_base_currency():
    account, prices, rates = london()
    assert account.currencies() == ["GBP", "USD"]
    held = account.subtotals(prices)
    dollars = account.ledger("USD", held, rates)
    assert (dollars["CashBalance"], dollars["StockMarketValue"]) == ("-5001.00", "5200.00")
    assert (dollars["NetLiquidationByCurrency"], dollars["UnrealizedPnL"]) == ("199.00", "199.00")
    assert (dollars["ExchangeRate"], dollars["Currency"]) == ("0.80", "USD")
    pounds, base = account.ledger("GBP", held, rates), account.ledger("BASE", held, rates)
    assert (pounds["TotalCashBalance"], pounds["ExchangeRate"]) == ("10000.00", "1.00")
    assert (base["TotalCashBalance"], base["NetLiquidationByCurrency"]) == ("5999.20", "10159.20")
    assert (base["ExchangeRate"], base["Currency"]) == ("1.00", "BASE")


def test_proceeds_of_a_sale_are_settled_later_and_purchases_and_commissions_at_once():
    account = Account("DU1", cash=10_000.0, kind="cash")
    account.trade(1, "A", 100, 50.0, 1.0, settles_at=100.0)
    assert account.settled("USD") == 4_999.0
    account.trade(1, "A", -40, 55.0, 1.0, settles_at=100.0)
    account.settle(99.0)
    assert (account.cash, account.settled("USD"), account.settled("EUR")) == (7_198.0, 4_998.0, 0.0)
    account.settle(100.0)
    assert account.settled("USD") == 7_198.0


@pytest.mark.parametrize(("kind", "spendable"), [("cash", "4998.00"), ("margin", "9448.00")])
def test_a_cash_account_can_spend_settled_cash_and_a_margin_account_its_equity(kind, spendable):
    account = Account("DU1", cash=10_000.0, kind=kind)
    account.trade(1, "A", 100, 50.0, 1.0)
    account.trade(1, "A", -40, 55.0, 1.0, settles_at=100.0)
    values = account.values({"A": 50.0})
    assert (values["TotalCashValue"], values["SettledCash"]) == ("7198.00", "4998.00")
    assert values["NetLiquidation"] == "10198.00"  # 60 at 50
    assert values["AvailableFunds"] == spendable  # margin: 10,198 less a quarter of 3,000
    assert values["EquityWithLoanValue"] == {"cash": "4998.00", "margin": "10198.00"}[kind]
    assert values["InitMarginReq"] == {"cash": "0.00", "margin": "750.00"}[kind]
    assert values["BuyingPower"] == {"cash": "4998.00", "margin": "37792.00"}[kind]


trades = st.lists(
    st.tuples(st.integers(-500, 500).filter(bool), st.integers(100, 20_000), st.integers(0, 500)), max_size=30
)


@pytest.mark.slow
@given(trades)
def test_profit_and_cash_always_agree(history):
    """Cash plus market value equals opening cash plus realised and unrealised profit, at any price."""
    account = Account("DU1", cash=1_000_000.0)
    for shares, cents, commission in history:
        account.trade(1, "A", shares, cents / 100, commission / 100)
    prices = {"A": 77.77}
    profit = account.realized() + account.unrealized(prices)
    assert account.net_liquidation(prices) == pytest.approx(1_000_000.0 + profit, abs=1e-4)
