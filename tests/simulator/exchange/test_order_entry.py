"""Accepted and rejected orders, with the error code of each rejection."""

import pytest


def codes(messages):
    return [int(fields[3]) for fields in messages if fields[0] == "4"]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"order_type": "FEELINGS"}, 321),
        ({"order_type": "PEG MID"}, 387),
        ({"order_type": "TRAIL"}, 321),
        ({"order_type": "TRAIL", "stop": "2.0", "trail_stop": "398.005"}, 110),
        ({"order_type": "TRAIL LIMIT", "stop": "2.0"}, 321),
        ({"order_type": "MIT", "stop": "399.995"}, 110),
        ({"order_type": "LIT", "stop": "399.00"}, 321),
        ({"order_type": "STP", "stop": "399.00", "trigger_method": 5}, 146),
        ({"order_type": "REL"}, 158),
        ({"order_type": "REL", "percent_offset": "1.5"}, 159),
        ({"order_type": "REL", "stop": "0.01", "exchange": "NYSE"}, 115),
        ({"algo": ["Guess"]}, 439),
        ({"algo": ["Vwap", "maxPctVol", "0.9"]}, 441),
        ({"algo": ["PctVol"]}, 441),
        ({"order_type": "MOC", "algo": ["Vwap"]}, 442),
        ({"algo": ["Vwap", "monetaryValue", "1"]}, 443),
        ({"algo": ["Twap", "strategyType", "Marketable"]}, 443),
        ({"algo": ["Vwap"], "tif": "OPG"}, 111),
        ({"action": "HOLD"}, 321),
        ({"quantity": 0}, 434),
        ({"quantity": ""}, 434),
        ({"quantity": 2147483647}, 434),
        ({"quantity": -5}, 321),
        ({"quantity": 1e15}, 321),
        ({"quantity": "ten"}, 320),
        ({"quantity": 1.5}, 10243),
        ({"symbol": "ZZZZNONE"}, 200),
        ({"symbol": "SPY", "sec_type": "OPT"}, 200),
        ({"symbol": "SPY", "currency": "EUR"}, 200),
        ({"symbol": "SPY", "exchange": "MOON"}, 200),
        ({"account": "DU9999999"}, 321),
        ({"order_type": "LMT"}, 321),
        ({"order_type": "LMT", "limit": "-1"}, 321),
        ({"order_type": "LMT", "limit": "nan"}, 320),
        ({"order_type": "LMT", "limit": "399.995"}, 110),
        ({"order_type": "STP", "stop": "399.995"}, 110),
        ({"order_type": "STP"}, 403),
        ({"tif": "SOON"}, 321),
        ({"order_type": "MOC", "tif": "GTC"}, 113),
        ({"order_type": "MIDPRICE", "tif": "OPG"}, 111),
        ({"tif": "GTD"}, 334),
        ({"tif": "GTD", "good_till": "tomorrow"}, 334),
        ({"tif": "GTD", "good_till": "20991231 25:00:00"}, 391),
        ({"good_after": "noon"}, 337),
        ({"what_if": 1, "transmit": "0"}, 413),
        ({"parent_id": 99}, 135),
    ],
)
def test_a_rejected_order_gets_one_error_and_nothing_else(connect, terms, code):
    peer = connect()
    seen = peer.place(1, **terms)
    assert codes(seen) == [code]
    assert len(seen) == 1
    assert seen[0][2] == "1"
    assert peer.venue.ledger.orders == {}
    assert codes(peer.place(1)) == []  # the id was not used up


def test_order_ids_must_increase_for_each_client(connect, join):
    peer = connect()
    peer.place(5)
    assert codes(peer.place(3)) == [103]
    other = join(peer.venue, client_id=2)
    assert codes(other.place(3)) == []


def test_an_order_id_must_be_positive(connect):
    assert codes(connect().place(0)) == [103]
    assert codes(connect().place(-4)) == [103]


def test_the_next_valid_id_is_stored_for_each_client(connect, join):
    peer = connect()
    peer.place(41)
    assert peer.send("8", "1", "1") == [["9", "1", "42"]]
    assert join(peer.venue, client_id=2).send("8", "1", "1") == [["9", "1", "1"]]
    peer.session.close("test")
    again = join(peer.venue)
    assert ["9", "1", "42"] in again.seen


def test_received_orders_can_increase_the_next_valid_id(connect):
    peer = connect({"switches": {"next_valid_id": "received"}})
    assert codes(peer.place(7, order_type="FEELINGS")) == [321]
    assert peer.send("8", "1", "1") == [["9", "1", "8"]]


def test_an_order_without_a_time_in_force_is_a_day_order_optionally_with_a_message(connect, kinds):
    seen = connect().place(1, tif="")
    assert kinds(seen)[0] == "oo PreSubmitted"  # captured at 164: nothing else comes first
    assert seen[0][18] == "DAY"
    sent = connect({"switches": {"unset_tif_message": True}}).place(1, tif="")
    assert codes(sent) == [10349]
    assert kinds(sent)[-1] == "cm"


def test_fractional_shares_can_be_allowed(connect):
    seen = connect({"switches": {"fractional": True}}).place(1, quantity=0.5)
    assert [fields[19] for fields in seen if fields[0] == "11"] == ["0.5"]


def test_the_twenty_first_order_of_one_side_is_rejected_and_inactive(connect, kinds):
    peer = connect()
    for number in range(1, 21):
        assert kinds(peer.place(number, order_type="LMT", limit="390.00"))[-1] == "st Submitted"
    seen = peer.place(21, order_type="LMT", limit="390.00")
    assert kinds(seen) == ["err 201", "oo Inactive", "st Inactive"]
    assert kinds(peer.place(22, action="SELL", order_type="LMT", limit="410.00"))[-1] == "st Submitted"


def test_short_sales_can_be_refused(connect, kinds):
    peer = connect({"switches": {"shorts": "refused"}}, positions={"SPY": 50})
    assert kinds(peer.place(1, action="SELL", quantity=51)) == ["err 201", "oo Inactive", "st Inactive"]
    assert kinds(peer.place(2, action="SELL", quantity=50))[-1] == "cm"


def test_orders_beyond_the_buying_power_can_be_refused(connect, kinds):
    peer = connect({"switches": {"margin": True}}, cash=10_000.0)
    # Buying power is four times 10,000; 100 shares at 400 are 40,000 and fit, 101 do not.
    assert kinds(peer.place(1, quantity=101)) == ["err 201", "oo Inactive", "st Inactive"]
    assert kinds(peer.place(2, quantity=100))[-1] == "cm"


def test_buying_power_is_compared_in_the_base_currency(connect, kinds):
    options = {"base_currency": "GBP", "cash": 10_000.0, "rates": {"USD": 0.8}}
    peer = connect({"switches": {"margin": True}}, **options)
    # Four times 10,000 pounds are 50,000 dollars: 125 shares at 400.
    assert kinds(peer.place(1, quantity=126)) == ["err 201", "oo Inactive", "st Inactive"]
    assert kinds(peer.place(2, quantity=125))[-1] == "cm"


def test_a_staged_order_is_not_reported_until_it_is_transmitted(connect, kinds):
    peer = connect()
    assert peer.place(1, transmit="0") == []
    assert peer.send("5", "1") == [["53", "1"]]
    assert kinds(peer.place(1))[-1] == "cm"


def test_a_what_if_order_gets_one_open_order_with_margins_and_is_not_accepted(connect, kinds):
    peer = connect()
    seen = peer.place(7, quantity=100, what_if=1)
    assert kinds(seen) == ["oo PreSubmitted"]
    fields = seen[0]
    assert fields[93] == "1"
    # A quarter of 100 shares at 400.00 as margin; 100 shares cost the minimum commission.
    assert fields[98] == "10000.0"
    assert (fields[104], fields[107]) == ("1.0", "USD")
    assert peer.send("16", "1") == [["53", "1"]]
    assert kinds(peer.place(7))[-1] == "cm"


def preview(peer, number=7, **terms):
    """Margins and commission of a what-if order."""
    (fields,) = [one for one in peer.place(number, what_if=1, **terms) if one[0] == "5"]
    return [float(text) for text in fields[95:105]]


def test_a_what_if_order_shows_margins_and_equity_before_and_after_it(connect):
    peer = connect(positions={"SPY": (100, 380.0)}, cash=50_000.0)
    # 100 shares at 400.00 beside 50,000 in cash; a quarter of the shares is the margin, 100 more cost 1.00.
    equity, margin = 90_000.0, 10_000.0
    assert preview(peer) == [
        *[margin, margin, equity],
        *[margin, margin, -1.0],
        *[2 * margin, 2 * margin, equity - 1.0],
        1.0,
    ]
    assert preview(peer, action="SELL", quantity=60)[3:6] == [-6_000.0, -6_000.0, -1.0]
    assert preview(peer, action="SELL", quantity=200)[3] == 0.0  # from 100 long to 100 short


def test_positions_are_valued_at_the_market_in_a_preview_whatever_the_limit_is(connect):
    # A quarter of 100 shares at 400.00, and not at the limit; the commission is that of the limit.
    margins = preview(connect(), order_type="LMT", limit="300")
    assert (margins[3], margins[9]) == (10_000.0, 1.0)


@pytest.mark.parametrize(
    ("side", "settlement_days", "equity", "half_spread"),
    [
        ("BUY", 0, -40_001.0, 10.0),  # 100 shares at 400.00 leave the settled cash, and the commission of 1.00
        ("BUY", 1, -40_001.0, 10.0),
        ("SELL", 0, 39_999.0, 10.0),
        ("SELL", 1, -1.0, 0.0),  # the proceeds come later
    ],
)
def test_a_cash_account_has_no_margin_to_preview_and_pays_with_its_equity(
    connect, side, settlement_days, equity, half_spread
):
    peer = connect(
        account_kind="cash", settlement_days=settlement_days, positions={"SPY": (100, 380.0)}, cash=50_000.0
    )
    assert preview(peer, action=side)[:6] == [0.0, 0.0, 50_000.0, 0.0, 0.0, equity]
    peer.place(8, action=side)
    values = peer.venue.ledger.accounts["DU0000001"].values({"SPY": 400.0})
    assert float(values["EquityWithLoanValue"]) == 50_000.0 + equity - half_spread


def test_a_what_if_order_that_is_refused_gets_its_error_alone(connect, kinds):
    peer = connect({"switches": {"margin": True}}, cash=10_000.0)
    assert kinds(peer.place(7, quantity=101, what_if=1)) == ["err 201"]
    assert kinds(peer.place(7, order_type="LMT", limit="399.995", what_if=1)) == ["err 110"]
    assert peer.venue.ledger.orders == {}


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("answered", ["oo PreSubmitted"]),
        ("silent", []),
        ("10349", ["err 10349", "oo PreSubmitted"]),
        ("incomplete", ["oo PreSubmitted"] * 2),
        ("no_commission", ["oo PreSubmitted"]),
    ],
)
def test_a_what_if_order_can_be_answered_as_tws_does_at_times(connect, kinds, kind, answers):
    seen = connect({"switches": {"what_if": kind}}).place(7, quantity=100, what_if=1)
    assert kinds(seen) == answers
    unset = "1.7976931348623157E308"
    orders = [fields for fields in seen if fields[0] == "5"]
    if kind == "incomplete":
        assert orders.pop(0)[95:105] == [unset] * 10
    if kind == "no_commission":
        assert orders[0][104:107] == [unset, "1.0", "1.0"]
    assert all(fields[98] == "10000.0" for fields in orders)


@pytest.mark.parametrize("kind", ["MOC", "LOC"])
def test_an_auction_outside_of_the_session_is_warned_of_and_the_order_accepted(connect, kinds, kind):
    seen = connect().place(1, order_type=kind, limit="401.00", outside_rth="1")
    assert kinds(seen)[0] == "err 2109"
    assert kinds(seen)[-1] == "cm"
    assert kinds(connect().place(1, order_type="LMT", limit="401.00", outside_rth="1"))[0] == "oo Submitted"


def test_a_manual_order_is_reported_to_client_zero(make_venue, join, kinds):
    venue = make_venue({"event": [{"after_requests": 1, "do": "manual_order", "symbol": "SPY", "quantity": 5}]})
    zero, other = join(venue, client_id=0), join(venue, client_id=4)
    zero.take()
    other.take()
    other.send("49", "1")
    assert "ex" in kinds(zero.take())
    assert other.take() == []


LISTED = [
    {"symbol": "ABC", "bid": 9.99, "ask": 10.01, "primary_exchange": "NASDAQ"},
    {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "currency": "GBP", "primary_exchange": "LSE"}
    | {"price_magnifier": 100, "min_tick": 0.5, "con_id": 7},
    {"symbol": "7203", "bid": 2000, "ask": 2001, "currency": "JPY", "min_tick": 1, "size_increment": 100},
]


def test_an_order_that_fits_two_listings_is_ambiguous(connect, kinds):
    peer = connect(quotes=LISTED)
    assert codes(peer.place(1, "ABC", currency="")) == [200]
    for number, terms in enumerate(({"currency": "GBP"}, {"currency": "", "con_id": 7}), start=2):
        assert kinds(peer.place(number, "ABC", **terms))[-1] == "cm"
    assert codes(peer.place(9, "ABC", currency="USD", con_id=7)) == [200]


def test_sizes_are_whole_lots_for_new_and_changed_orders(connect):
    peer = connect(quotes=LISTED)
    terms = {"currency": "JPY", "order_type": "LMT", "limit": "1900"}
    assert codes(peer.place(1, "7203", quantity=150, **terms)) == [321]
    assert codes(peer.place(2, "7203", quantity=200, **terms)) == []
    assert codes(peer.place(2, "7203", quantity=250, **terms)) == [321]
    assert peer.venue.ledger.find(1, 2).request.quantity == 200


def test_limits_in_pence_are_multiples_of_the_tick_in_pence(connect, kinds):
    peer = connect(quotes=LISTED)
    terms = {"currency": "GBP", "order_type": "LMT"}
    assert codes(peer.place(1, "ABC", limit="8.01", **terms)) == [110]
    assert kinds(peer.place(2, "ABC", limit="800.5", **terms))[-1] == "st Submitted"


@pytest.mark.parametrize(("unit", "price"), [("currency", "8.055"), ("quotes", "805.5")])
def test_open_orders_have_their_average_in_the_unit_of_executions(connect, unit, price):
    scenario = {"order": [{"steps": [{"fill": 40}]}], "switches": {"execution_prices": unit}}
    peer = connect(scenario, quotes=LISTED)
    peer.place(1, "ABC", currency="GBP")
    (status,) = [fields for fields in peer.send("5", "1") if fields[0] == "3"]
    assert (status[3], status[5], status[8]) == ("40", price, price)
