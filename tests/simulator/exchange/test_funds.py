"""What an account may trade: cash accounts by settled cash and shares, margin accounts by their buying power."""

import pytest

LISTED = [
    {"symbol": "SPY", "bid": 399.90, "ask": 400.10, "last": 400.0},
    {"symbol": "XOM", "bid": 99.95, "ask": 100.05, "last": 100.0},
    {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "last": 805.0, "currency": "GBP", "price_magnifier": 100},
]
REFUSED = ["err 201", "oo Inactive", "st Inactive"]


@pytest.fixture
def cash_account(connect):
    """A peer of a venue with a cash account of 40,011 dollars: 100 SPY with their commission."""

    def make(scenario=None, **options):
        return connect(scenario, **{"quotes": LISTED, "account_kind": "cash", "cash": 40_011.0} | options)

    return make


def test_a_purchase_may_cost_all_of_the_cash_and_no_cent_more(cash_account, kinds):
    assert kinds(cash_account().place(1, quantity=100))[-1] == "cm"
    seen = cash_account(cash=40_010.99).place(1, quantity=100)
    assert kinds(seen) == REFUSED
    assert "CASH AVAILABLE: 40010.99" in seen[0][4]
    assert "PENDING ORDERS: 40011.00 USD" in seen[0][4]


def test_a_limit_is_what_a_purchase_may_cost(cash_account, kinds):
    peer = cash_account(cash=39_001.0)
    assert kinds(peer.place(1, order_type="LMT", limit="390.01")) == REFUSED
    assert kinds(peer.place(2, order_type="LMT", limit="390.00"))[-1] == "st Submitted"


def test_open_purchases_hold_their_money_until_they_end(cash_account, kinds):
    peer = cash_account(cash=40_000.0)
    peer.place(1, order_type="LMT", limit="390.00")
    assert kinds(peer.place(2, "XOM", quantity=20)) == REFUSED  # 2,001 and 1 of the remaining 999
    assert kinds(peer.place(3, "XOM", quantity=9))[-1] == "cm"
    peer.send("4", "1", "1", "")
    assert kinds(peer.place(4, "XOM", quantity=20))[-1] == "cm"


def test_a_purchase_is_changed_as_far_as_the_cash_reaches_and_rests_on_its_old_limit_else(cash_account, kinds):
    peer = cash_account(cash=40_000.0)
    peer.place(1, "XOM", order_type="LMT", limit="90.00", quantity=10)  # 900 and 1
    peer.place(2, order_type="LMT", limit="390.00")  # 39,000 and 1, of the remaining 39,099
    (error,) = peer.place(2, order_type="LMT", limit="391.00")  # 39,101, and 901
    assert "CASH NEEDED FOR THIS ORDER AND OTHER PENDING ORDERS: 40002.00 USD" in error[4]
    assert error[2:4] == ["2", "201"]
    assert [fields[16] for fields in peer.send("5", "1") if fields[0] == "5"] == ["90.0", "390.0"]
    assert kinds(peer.place(2, order_type="LMT", limit="390.98")) == ["oo Submitted", "st Submitted"]
    assert kinds(peer.place(2, order_type="LMT", limit="389.00")) == ["oo Submitted", "st Submitted"]
    peer.send("4", "1", "2", "")
    assert kinds(peer.place(1, "XOM", order_type="LMT", limit="100.05", quantity=10))[-1] == "cm"


def test_a_buffer_can_be_required_of_purchases_without_a_limit(cash_account, kinds):
    peer = cash_account({"switches": {"market_buffer": 0.05}})
    assert kinds(peer.place(1, quantity=100)) == REFUSED
    assert kinds(peer.place(2, quantity=95))[-1] == "cm"  # 95 at 400.10 and 5 %: 39,909.98 and 1.00


def test_a_cash_account_cannot_be_short(cash_account, kinds):
    peer = cash_account(positions={"XOM": 50})
    assert kinds(peer.place(1, "XOM", "SELL", 51)) == ["err 426"]
    assert kinds(peer.place(2, "XOM", "SELL", 30, order_type="LMT", limit="110.00"))[-1] == "st Submitted"
    assert kinds(peer.place(3, "XOM", "SELL", 21)) == ["err 426"]
    assert kinds(peer.place(4, "XOM", "SELL", 20))[-1] == "cm"


def test_proceeds_buy_after_their_settlement(cash_account, kinds):
    peer = cash_account(cash=1.0, positions={"XOM": 500}, settlement_days=1)
    peer.place(1, "XOM", "SELL", 500)  # 49,975 less 2.50, of which 1.00 was there
    ask = ("62", "1", "8", "All", "TotalCashValue,SettledCash,AvailableFunds")
    assert [fields[5] for fields in peer.send(*ask)[:-1]] == ["49973.50", "-1.50", "-1.50"]
    assert kinds(peer.place(2, quantity=100)) == REFUSED
    peer.venue.clock.advance(14 * 3600)  # from 10:00 in New York to midnight
    seen = peer.send("62", "1", "9", *ask[3:])
    assert [fields[5] for fields in seen if fields[:3] == ["63", "1", "9"]] == ["49973.50"] * 3
    assert kinds(peer.place(3, quantity=100))[-1] == "cm"


def test_money_of_another_currency_does_not_pay(cash_account, kinds):
    peer = cash_account(cash={"USD": 50_000.0, "GBP": 808.5})
    assert kinds(peer.place(1, "ABC", quantity=101, currency="GBP")) == REFUSED
    assert kinds(peer.place(2, "ABC", quantity=100, currency="GBP"))[-1] == "cm"  # 805.50 and 3.00
    assert peer.venue.ledger.accounts["DU0000001"].balances() == {"USD": 50_000.0, "GBP": 0.0}


def test_unsettled_proceeds_survive_a_restart(make_venue, join, tmp_path):
    options = {"account_kind": "cash", "settlement_days": 2, "state": tmp_path / "venue.state"}
    venue = make_venue(positions={"XOM": 500}, cash=1.0, **options)
    join(venue).place(1, "XOM", "SELL", 500)
    venue.close()
    second = make_venue(**options)
    ask = ("62", "1", "8", "All", "TotalCashValue,SettledCash")
    assert [fields[5] for fields in join(second).send(*ask)[:-1]] == ["49973.50", "-1.50"]


def test_account_updates_name_a_cash_account(cash_account, connect):
    def kinds_in(seen):
        return [fields[3] for fields in seen if fields[2] == "TradingType-S"]

    assert kinds_in(cash_account().send("6", "2", "1", "")) == ["STKCASH"]
    assert kinds_in(connect().send("6", "2", "1", "")) == []


# -- margin accounts ---------------------------------------------------------------------------------------------

MARGIN = {"switches": {"margin": True}}


def reasons(seen):
    """Texts of the errors among some messages."""
    return [fields[4] for fields in seen if fields[0] == "4"]


def test_a_margin_account_may_buy_and_sell_short_anything_unless_a_switch_says_otherwise(connect, kinds):
    peer = connect(quotes=LISTED, cash=1_000.0)
    assert kinds(peer.place(1, quantity=1_000))[-1] == "cm"
    assert kinds(peer.place(2, "XOM", "SELL", 5_000))[-1] == "cm"


def test_a_margin_account_buys_up_to_its_buying_power(connect, kinds):
    peer = connect(MARGIN, quotes=LISTED, cash=10_000.0)
    # Buying power is four times 10,000: 100 shares at 400.00.
    seen = peer.place(1, quantity=101)
    assert kinds(seen) == REFUSED
    text = "YOUR ORDER IS NOT ACCEPTED. EQUITY WITH LOAN VALUE IS BELOW THE INITIAL MARGIN REQUIREMENT"
    assert reasons(seen) == [f"Order rejected - reason:{text}"]
    assert kinds(peer.place(2, quantity=100))[-1] == "cm"


def test_a_short_sale_needs_buying_power_and_a_sale_of_holdings_needs_none(connect, kinds):
    peer = connect(MARGIN, quotes=LISTED, cash=-30_000.0, positions={"SPY": 100})
    # Equity is 10,000, and the margin of the shares 10,000: there is no buying power left.
    assert kinds(peer.place(1, "XOM", "SELL", 1)) == REFUSED
    assert kinds(peer.place(2, action="SELL", quantity=201)) == REFUSED  # 100 held, 101 short
    assert kinds(peer.place(3, action="SELL", quantity=60))[-1] == "cm"
    assert kinds(peer.place(4, action="SELL", quantity=40))[-1] == "cm"


def test_short_sales_of_a_margin_account_can_be_refused(connect, kinds):
    peer = connect({"switches": {"shorts": "refused"}}, quotes=LISTED, positions={"SPY": 50})
    seen = peer.place(1, action="SELL", quantity=51)
    assert kinds(seen) == REFUSED
    assert reasons(seen) == ["Order rejected - reason:The contract is not available for short sale."]
    assert kinds(peer.place(2, "XOM", "SELL", 1)) == REFUSED
    assert kinds(peer.place(3, action="SELL", quantity=50))[-1] == "cm"


# -- currency pairs ----------------------------------------------------------------------------------------------

EURO = {"symbol": "EUR", "sec_type": "CASH", "exchange": "IDEALPRO", "currency": "USD"}
RATES = {"EUR": 1.06, "GBP": 1.2}


def test_a_cash_account_buys_a_currency_with_the_money_it_has(cash_account, kinds):
    # 30,000 euros at 1.06005; the commission is no part of the check.
    assert kinds(cash_account(cash=31_801.50, rates=RATES).place(1, quantity=30_000, **EURO))[-1] == "cm"
    seen = cash_account(cash=31_801.49, rates=RATES).place(1, quantity=30_000, **EURO)
    assert kinds(seen) == REFUSED
    money = "CASH AVAILABLE: 31801.49; CASH NEEDED FOR THIS ORDER AND OTHER PENDING ORDERS: 31801.50 USD"
    assert reasons(seen) == [f"Order rejected - reason:{money}"]


def test_a_buffer_holds_for_a_currency_too(cash_account, kinds):
    peer = cash_account({"switches": {"market_buffer": 0.1}}, cash=31_801.50, rates=RATES)
    assert kinds(peer.place(1, quantity=30_000, **EURO)) == REFUSED
    assert kinds(peer.place(2, quantity=30_000, order_type="LMT", limit="1.05", **EURO))[-1] == "st Submitted"


def test_a_cash_account_sells_a_currency_that_it_has(cash_account, kinds):
    peer = cash_account(cash={"USD": 1.0, "EUR": 30_000.0}, rates=RATES)
    seen = peer.place(1, quantity=30_001, action="SELL", **EURO)
    assert kinds(seen) == REFUSED
    money = "CASH AVAILABLE: 30000.00; CASH NEEDED FOR THIS ORDER AND OTHER PENDING ORDERS: 30001.00 EUR"
    assert reasons(seen) == [f"Order rejected - reason:{money}"]
    assert kinds(peer.place(2, quantity=30_000, action="SELL", **EURO))[-1] == "cm"


def test_a_margin_account_may_owe_a_currency(connect, kinds):
    peer = connect(MARGIN, quotes=LISTED, cash=1.0, rates=RATES)
    assert kinds(peer.place(1, quantity=30_000, **EURO))[-1] == "cm"
    assert kinds(peer.place(2, quantity=90_000, action="SELL", **EURO))[-1] == "cm"
