"""Positions, account values, summaries and PnL as sent to clients."""

import pytest

MULTI = ("76", "1", "8", "DU0000001", "", "0")


def values(messages, kind="6"):
    key = {"6": 2, "73": 5, "63": 4}[kind]
    return {(fields[key], fields[key + 2]): fields[key + 1] for fields in messages if fields[0] == kind}


def test_positions_are_sent_with_an_end_and_then_on_change(connect):
    peer = connect(positions={"XOM": (50, 90.0)})
    seen = peer.send("61", "1")
    assert [(fields[4], fields[14], fields[15]) for fields in seen[:-1]] == [("XOM", "50", "90.0")]
    assert seen[0][10] == ""  # captured: the exchange is empty
    assert seen[-1] == ["62", "1"]
    changed = [fields for fields in peer.place(1, quantity=100) if fields[0] == "61"]
    assert [(fields[4], fields[14], fields[15]) for fields in changed] == [("SPY", "100", "400.11")]
    peer.send("64", "1")
    assert not [fields for fields in peer.place(2) if fields[0] == "61"]


def test_account_updates_are_values_portfolio_time_and_end(connect):
    peer = connect(positions={"XOM": (50, 90.0)}, cash=10_000.0)
    seen = peer.send("6", "2", "1", "")
    assert values(seen)["NetLiquidation", "USD"] == "15000.00"  # 10,000 and 50 at 100.00
    assert values(seen)["CashBalance", "BASE"] == "10000.00"
    line = next(fields for fields in seen if fields[0] == "7")
    # position, price, value, cost, unrealised, realised
    assert line[13:19] == ["50", "100.0", "5000.0", "90.0", "500.0", "0.0"]
    assert [fields[0] for fields in seen[-2:]] == ["8", "54"]


def test_an_execution_brings_the_changed_values_to_subscribers(connect):
    peer = connect()
    peer.send("6", "2", "1", "DU0000001")
    peer.send(*MULTI)
    seen = peer.place(1, quantity=100)
    # 1,000,000 less 100 at 400.10 less 1.00
    assert values(seen)["TotalCashValue", "USD"] == "959989.00"
    assert values(seen, "73")["TotalCashValue", "USD"] == "959989.00"
    assert ("SMA", "USD") not in values(seen)
    peer.venue.clock.advance(181)
    later = peer.take()
    assert ("SMA", "USD") in values(later)
    assert ("TotalCashValue", "USD") not in values(later)
    assert ("SMA", "USD") in values(later, "73")
    peer.send("6", "2", "0", "")
    assert not values(peer.place(2))


def test_values_are_current_after_a_partial_fill(connect):
    peer = connect({"order": [{"steps": [{"fill": 40}]}]})
    peer.send("6", "2", "1", "")
    assert values(peer.place(1))["TotalCashValue", "USD"] == "983995.00"  # less 40 at 400.10 less 1.00


def test_a_second_account_replaces_the_subscription(connect):
    peer = connect(accounts=("DU1", "DU2"))
    peer.send("6", "2", "1", "DU1")
    seen = peer.send("6", "2", "1", "DU2")
    assert seen[0][3] == "2100"
    assert seen[-1] == ["54", "1", "DU2"]


@pytest.mark.parametrize(
    "request_fields",
    [
        ("6", "2", "1", "DU9"),
        ("76", "1", "8", "DU9", "", "0"),
        ("92", "8", "DU9", ""),
        ("94", "8", "DU9", "", "1"),
    ],
)
def test_an_unknown_account_is_an_error(connect, request_fields):
    assert [fields[3] for fields in connect().send(*request_fields)] == ["321"]


def test_a_summary_has_the_requested_tags(connect):
    seen = connect(cash=5_000.0).send("62", "1", "8", "All", "NetLiquidation,AccountType,Cushion")
    assert [fields[3:] for fields in seen[:-1]] == [
        ["DU0000001", "NetLiquidation", "5000.00", "USD"],
        ["DU0000001", "AccountType", "INDIVIDUAL", ""],
        ["DU0000001", "Cushion", "1.000000", ""],
    ]
    assert seen[-1] == ["64", "1", "8"]


def test_a_ledger_summary_has_each_currency(connect):
    seen = connect(cash=5_000.0).send("62", "1", "8", "All", "$LEDGER:ALL")
    assert values(seen, "63")["CashBalance", "USD"] == "5000.00"
    assert values(seen, "63")["CashBalance", "BASE"] == "5000.00"


def test_updates_of_several_accounts_end_and_can_be_cancelled(connect):
    peer = connect()
    assert peer.send(*MULTI)[-1] == ["74", "1", "8"]
    peer.send("77", "1", "8")
    assert not values(peer.place(1), "73")


def test_positions_of_several_accounts_end(connect):
    seen = connect(positions={"XOM": 5}).send("74", "1", "8", "DU0000001", "")
    assert [fields[0] for fields in seen] == ["71", "72"]


def test_pnl_is_sent_on_request_and_after_each_execution(connect):
    peer = connect()
    assert peer.send("92", "8", "DU0000001", "") == [["94", "8", "0.0", "0.0", "0.0"]]
    con_id = peer.venue.catalogue.matching("SPY")[0].con_id
    peer.send("94", "9", "DU0000001", "", str(con_id))
    seen = peer.place(1, quantity=100)
    # Bought at 400.10 with 1.00 commission, valued at 400.00: a loss of 11.00.
    daily = next(fields for fields in seen if fields[0] == "94")
    assert [float(text) for text in daily[2:]] == pytest.approx([-11.0, -11.0, 0.0])
    single = next(fields for fields in seen if fields[0] == "95")
    assert [float(text) for text in single[2:]] == pytest.approx([100, -11.0, -11.0, 0.0, 40_000.0])


def test_realised_profit_is_unset_for_an_opening_trade_and_a_number_for_a_closing_one(connect):
    peer = connect()
    bought = next(fields for fields in peer.place(1, quantity=100) if fields[0] == "59")
    sold = next(fields for fields in peer.place(2, action="SELL", quantity=100) if fields[0] == "59")
    assert bought[5] == "1.7976931348623157E308"
    # Sold at 399.90, average cost 400.11, commission 1.00.
    assert float(sold[5]) == pytest.approx(-22.0)


def test_changes_during_a_broken_link_are_sent_afterwards(connect):
    peer = connect()
    peer.send("61", "1")
    peer.place(1, order_type="LMT", limit="390.00")
    peer.venue.events.run({"do": "link_down"})
    peer.venue.events.run({"do": "fill", "price": 390.0})
    assert [fields[0] for fields in peer.take()] == ["4"]
    peer.venue.events.run({"do": "link_up"})
    assert "61" in [fields[0] for fields in peer.take()]


LISTED = [
    {"symbol": "SPY", "bid": 399.90, "ask": 400.10, "last": 400.0},
    {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "last": 805.0, "currency": "GBP", "price_magnifier": 100},
]
POUNDS = {"quotes": LISTED, "base_currency": "GBP", "cash": 100_000.0, "rates": {"USD": 0.8, "EUR": 0.87}}
SUMMARY = ("62", "1", "8", "All", "NetLiquidation,TotalCashValue,$LEDGER:ALL")


def test_totals_carry_the_base_currency_and_the_ledger_each_currency_held(connect):
    peer = connect(**POUNDS)
    before = values(peer.send(*SUMMARY), "63")
    assert before["NetLiquidation", "GBP"] == "100000.00"
    assert {currency for tag, currency in before if tag == "ExchangeRate"} == {"GBP", "BASE"}
    peer.place(1, quantity=100)
    after = values(peer.send("62", "1", "9", "All", SUMMARY[4]), "63")
    # Bought 100 at 400.10 with 1.00 commission, valued at 400.00; a dollar is 0.80 pounds.
    assert (after["CashBalance", "USD"], after["StockMarketValue", "USD"]) == ("-40011.00", "40000.00")
    assert (after["CashBalance", "GBP"], after["ExchangeRate", "USD"]) == ("100000.00", "0.80")
    assert after["TotalCashValue", "GBP"] == after["TotalCashBalance", "BASE"] == "67991.20"
    assert after["NetLiquidation", "GBP"] == after["NetLiquidationByCurrency", "BASE"] == "99991.20"


def test_a_currency_once_held_keeps_its_row_and_others_can_be_reported(connect):
    peer = connect(**POUNDS)
    peer.place(1, quantity=100)
    peer.place(2, action="SELL", quantity=100)
    rates = {key: value for key, value in values(peer.send(*SUMMARY), "63").items() if key[0] == "ExchangeRate"}
    assert rates == {
        ("ExchangeRate", "GBP"): "1.00",
        ("ExchangeRate", "USD"): "0.80",
        ("ExchangeRate", "BASE"): "1.00",
    }
    every = connect({"switches": {"unheld_rates": True}}, **POUNDS).send(*SUMMARY)
    assert values(every, "63")["ExchangeRate", "EUR"] == "0.87"


@pytest.mark.parametrize(("tag", "listed"), [("$LEDGER", {"GBP", "BASE"}), ("$LEDGER:EUR", {"EUR"})])
def test_a_ledger_summary_can_be_of_one_currency(connect, tag, listed):
    seen = connect(**POUNDS | {"cash": {"GBP": 5.0, "EUR": 7.0}}).send("62", "1", "8", "All", tag)
    assert {currency for _, currency in values(seen, "63")} == listed


def test_a_summary_repeats_what_changed_every_three_minutes(connect):
    peer = connect()
    peer.send("62", "1", "8", "All", "NetLiquidation,TotalCashValue,AccountType,$LEDGER:ALL")
    assert not values(peer.place(1, quantity=100), "63")
    peer.venue.clock.advance(181)
    later = peer.take()
    assert values(later, "63")["TotalCashValue", "USD"] == "959989.00"
    assert values(later, "63")["CashBalance", "USD"] == "959989.00"
    assert ("AccountType", "") not in values(later, "63")
    assert "64" not in [fields[0] for fields in later]
    peer.venue.clock.advance(181)
    assert not values(peer.take(), "63")
    peer.send("63", "1", "8")
    peer.place(2)
    peer.venue.clock.advance(181)
    assert not values(peer.take(), "63")


def test_a_summary_that_is_asked_for_again_is_complete(connect):
    peer = connect()
    first = peer.send(*SUMMARY)
    assert peer.send(*SUMMARY) == first


def test_a_rate_that_moves_changes_the_totals(connect):
    peer = connect(**POUNDS)
    peer.place(1, quantity=100)
    peer.send("6", "2", "1", "")
    peer.venue.events.run({"do": "rate", "currency": "USD", "rate": 0.9})
    peer.venue.clock.advance(181)
    seen = values(peer.take())
    assert seen["NetLiquidation", "GBP"] == "99990.10"  # 100,000 less 11 dollars
    assert seen["ExchangeRate", "USD"] == "0.90"
    assert ("CashBalance", "USD") not in seen


def test_updates_after_an_execution_have_the_ledger_of_its_currency(connect):
    peer = connect(**POUNDS)
    peer.send("6", "2", "1", "")
    seen = values(peer.place(1, quantity=100))
    assert seen["CashBalance", "USD"] == "-40011.00"
    assert seen["TotalCashBalance", "BASE"] == "67991.20"
    assert ("CashBalance", "GBP") not in seen


def test_portfolio_lines_are_in_the_currency_of_the_shares_and_profit_in_the_base_currency(connect):
    peer = connect(**POUNDS | {"base_currency": "USD", "rates": {"GBP": 1.25}}, positions={"ABC": (1_000, 8.0)})
    line = next(fields for fields in peer.send("6", "2", "1", "") if fields[0] == "7")
    # position, price in pence, value, cost and profit in pounds
    assert line[13:18] == ["1000", "805.0", "8050.0", "8.0", "50.0"]
    assert float(peer.send("92", "8", "DU0000001", "")[0][3]) == pytest.approx(62.5)


def test_the_margin_of_a_preview_is_in_the_base_currency(connect):
    (fields,) = connect(**POUNDS).place(7, quantity=100, what_if=1)
    # A quarter of 100 shares at 400 dollars is 10,000 dollars or 8,000 pounds; the commission is in dollars.
    assert (fields[98], fields[104], fields[107]) == ("8000.0", "1.0", "USD")
