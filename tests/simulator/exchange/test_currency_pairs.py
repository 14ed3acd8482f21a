"""Orders in currency pairs: what is quoted, moved, charged and shown."""

import pytest

EURO = {"symbol": "EUR", "sec_type": "CASH", "exchange": "IDEALPRO", "currency": "USD"}
RATES = {"rates": {"EUR": 1.06, "GBP": 1.2, "JPY": 0.0075}}
PAIR = ("0", "EUR", "CASH", "", "0.0", "", "", "IDEALPRO", "", "USD", "", "")


def balances(peer):
    return peer.venue.ledger.accounts["DU0000001"].balances()


def commissions(messages):
    return [(fields[3], fields[4]) for fields in messages if fields[0] == "59"]


def test_the_conventional_pairs_of_the_currencies_of_the_settings_exist(make_venue):
    pairs = [one.key for one in make_venue(**RATES).catalogue.by_id.values() if one.is_pair]
    assert sorted(pairs) == ["EUR.GBP", "EUR.JPY", "EUR.USD", "GBP.JPY", "GBP.USD", "USD.JPY"]
    assert not [one for one in make_venue().catalogue.by_id.values() if one.is_pair]


def test_details_and_quotes_have_no_last_trade(connect):
    peer = connect(**RATES)
    (fields, _) = peer.send("9", "8", "5", *PAIR, "0", "", "", "")
    assert fields[2:4] == ["EUR", "CASH"]
    assert (fields[7], fields[8], fields[9], fields[13]) == ("IDEALPRO", "USD", "EUR.USD", "0.00005")
    seen = peer.send("1", "11", "5", *PAIR, "0", "", "1", "0", "")
    assert {fields[3]: fields[4] for fields in seen if fields[0] == "1"} == {"1": "1.05995", "2": "1.06005"}
    reverse = (*PAIR[:1], "USD", *PAIR[2:9], "EUR", *PAIR[10:])
    assert [one[3] for one in peer.send("9", "8", "6", *reverse, "0", "", "", "")] == ["200"]


def test_a_purchase_adds_one_currency_and_takes_the_other(connect, kinds):
    peer = connect(**RATES)
    seen = peer.place(1, quantity=30_000, **EURO)
    assert kinds(seen)[-1] == "cm"
    # 30,000 at 1.06005 are 31,801.50; 0.20 bp of 31,800 dollars is less than the minimum of 2.
    assert commissions(seen) == [("2.0", "USD")]
    assert balances(peer) == {"USD": 968_196.5, "EUR": 30_000.0}
    peer.place(2, action="SELL", quantity=30_000, **EURO)
    assert balances(peer) == {"USD": 999_993.0, "EUR": 0.0}  # sold at 1.05995: 31,798.50 less 2


def test_the_commission_is_in_the_base_currency_and_due_once(connect):
    peer = connect(base_currency="GBP", rates={"USD": 0.8, "EUR": 0.88})
    seen = peer.place(1, quantity=1_500_000, **EURO)
    # 0.20 bp of 1,320,000 pounds over two executions of 1,000,000 and 500,000.
    assert [currency for _, currency in commissions(seen)] == ["GBP", "GBP"]
    assert sum(float(amount) for amount, _ in commissions(seen)) == pytest.approx(26.4)


ODD_LOT = (
    "Order Message:\nBUY 19999 EUR.USD Forex\nWarning: Your order size is below the EUR 20000 IdealPro "
    "minimum and will be routed as an odd lot order."
)


def test_a_small_order_is_accepted_with_a_warning(connect, kinds):
    seen = connect(**RATES).place(1, quantity=19_999, **EURO)
    assert [fields[3:5] for fields in seen if fields[0] == "4"] == [["399", ODD_LOT]]
    assert kinds(seen)[-1] == "cm"
    assert "err 399" not in kinds(connect(**RATES).place(1, quantity=20_000, **EURO))


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"order_type": "MOC"}, "err 387"),
        ({"order_type": "LMT", "limit": "1.06001"}, "err 110"),
        ({"exchange": "SMART"}, "err 200"),
        ({"symbol": "USD", "currency": "EUR"}, "err 200"),
    ],
)
def test_refusals(connect, kinds, terms, code):
    assert kinds(connect(**RATES).place(1, quantity=30_000, **EURO | terms)) == [code]


def test_a_limit_rests_until_the_pair_moves_and_the_rate_follows_the_pair(connect, kinds):
    peer = connect(**RATES)
    terms = EURO | {"order_type": "LMT", "limit": "1.05", "quantity": 30_000}
    assert kinds(peer.place(1, **terms))[-1] == "st Submitted"
    peer.venue.move("EUR.USD", bid=1.0499, ask=1.05)
    assert kinds(peer.take())[-1] == "cm"
    assert peer.venue.rates["EUR"] == 1.04995


def test_a_rate_that_moves_takes_its_pairs_along(make_venue):
    venue = make_venue(**RATES)
    venue.events.run({"do": "rate", "currency": "EUR", "rate": 1.1})
    assert (venue.market["EUR.USD"].bid, venue.market["EUR.USD"].ask) == (1.09995, 1.10005)
    # 1.1 / 1.2 is 0.91667, to the tick
    assert (venue.market["EUR.GBP"].bid, venue.market["EUR.GBP"].ask) == (0.9166, 0.9167)


def test_a_listed_pair_sets_the_rate(make_venue):
    rows = [
        {"symbol": "SPY", "last": 400.0},
        {"symbol": "EUR.USD", "bid": 1.0999, "ask": 1.1001, "sec_type": "CASH"},
        {"symbol": "USD.JPY", "bid": 124.99, "ask": 125.01, "sec_type": "CASH"},
    ]
    venue = make_venue(quotes=rows)
    assert (venue.rates["EUR"], venue.rates["JPY"]) == (1.1, 0.008)
    assert make_venue(quotes=rows, rates={"EUR": 1.2, "JPY": 0.0075}).rates["EUR"] == 1.2


def test_positions_in_pairs_are_shown_only_if_wanted(connect):
    plain, shown = connect(**RATES), connect({"switches": {"cash_positions": True}}, **RATES)
    for peer in (plain, shown):
        peer.send("61", "1")
        peer.send("6", "2", "1", "")
        peer.place(1, quantity=30_000, **EURO)
    assert not [fields for fields in plain.seen if fields[0] in {"61", "7"}]
    assert "NetLiquidation" in [fields[2] for fields in plain.seen[-40:]]
    rows = [fields for fields in shown.seen if fields[0] == "61"]
    assert [(one[4], one[5], one[11], one[14], one[15]) for one in rows] == [
        ("EUR", "CASH", "USD", "30000", "1.06005")
    ]
    (line,) = [fields for fields in shown.seen if fields[0] == "7"]
    assert line[13:15] == ["30000", "1.06"]
    # The row is no part of the value: 2 of commission and half a tick of 30,000 (1.50) are lost.
    net = [fields[3] for fields in shown.seen if fields[0] == "6" and fields[2] == "NetLiquidation"]
    assert net[-1] == "999996.50"


def test_a_cash_account_pays_with_what_it_has(connect, kinds):
    peer = connect(account_kind="cash", cash={"USD": 40_000.0, "GBP": 5_000.0}, **RATES)
    assert kinds(peer.place(1, quantity=37_800, **EURO))[0] == "err 201"  # 40,069.89 dollars
    assert kinds(peer.place(2, quantity=37_000, **EURO))[-1] == "cm"
    pounds = EURO | {"symbol": "GBP", "action": "SELL"}
    assert kinds(peer.place(3, quantity=5_001, **pounds))[0] == "err 201"
    assert kinds(peer.place(4, quantity=5_000, **pounds))[-1] == "cm"


def test_bought_money_settles_later(connect):
    peer = connect(account_kind="cash", cash=40_000.0, settlement_days=2, **RATES)
    peer.place(1, quantity=30_000, **EURO)
    account = peer.venue.ledger.accounts["DU0000001"]
    assert (account.settled("EUR"), account.settled("USD")) == (0.0, 8_196.5)


def test_trades_in_pairs_survive_a_restart(make_venue, join, tmp_path):
    options = {"state": tmp_path / "venue.state", "scenario": {"switches": {"cash_positions": True}}, **RATES}
    venue = make_venue(**options)
    join(venue).place(1, quantity=30_000, **EURO)
    venue.close()
    second = join(make_venue(**options))
    assert balances(second) == {"USD": 968_196.5, "EUR": 30_000.0}
    assert [fields[14] for fields in second.send("61", "1") if fields[0] == "61"] == ["30000"]
    executions = second.send("7", "3", "9", "0", "", "", "", "", "", "")
    assert commissions(executions) == [("2.0", "USD")]


def test_a_preview_has_the_commission_in_the_base_currency(connect):
    (fields,) = connect(base_currency="GBP", rates={"USD": 0.8, "EUR": 0.88}).place(
        7, quantity=1_000_000, what_if=1, **EURO
    )
    assert (fields[104], fields[107]) == ("17.6", "GBP")


def test_bars_of_a_pair_have_its_decimals(connect):
    peer = connect(**RATES)
    (fields,) = peer.send("20", "5", *PAIR, "0", "", "1 day", "2 D", "1", "MIDPOINT", "1", "0", "")
    assert fields[9 + 8] == "1.06"
    assert len(fields[14].partition(".")[2]) > 2  # the open of the second bar


def test_a_sale_of_a_currency_needs_no_located_shares(connect, kinds):
    peer = connect({"switches": {"shorts": "locate"}}, **RATES)
    assert "err 404" not in kinds(peer.place(1, quantity=30_000, **EURO | {"action": "SELL"}))


def test_a_seeded_day_leaves_pairs_and_rates_alone(make_venue):
    venue = make_venue({"switches": {"walk": 0.01}}, **RATES)
    before = venue.market["EUR.USD"].bid, venue.market["SPY"].bid
    venue.clock.advance(600)
    assert venue.market["EUR.USD"].bid == before[0]
    assert venue.market["SPY"].bid != before[1]
