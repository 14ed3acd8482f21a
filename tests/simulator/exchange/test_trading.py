"""Order lifecycle: the captured sequence of messages, executions by the shared fill rule, holds and expiries."""

import pytest

# Captured at server versions 164 (with the commission) and 173; the repeated Filled pair is real.
FULL_FILL = [
    "oo PreSubmitted",
    "st PreSubmitted",
    "ex",
    "oo Filled",
    "st Filled",
    "oo Filled",
    "st Filled",
    "cm",
]


def test_a_market_order_fills_in_the_captured_sequence(connect, kinds, captured):
    seen = connect().place(1, quantity=100)
    assert kinds(seen) == FULL_FILL
    names = [fields[0] for _, _, fields in captured["market_order_with_commission"]]
    # That fixture lacks the last orderStatus, as its authors note.
    assert [fields[0] for fields in seen[:6] + seen[7:]] == names


def test_the_frames_of_a_full_fill_have_the_captured_lengths(connect, captured):
    seen = connect().place(1, quantity=100)
    real = {fields[0]: len(fields) for _, direction, fields in captured["market_order"] if direction == "<"}
    assert {fields[0]: len(fields) for fields in seen if fields[0] != "59"} == {
        kind: real[kind] for kind in ("5", "3", "11")
    }


def test_only_the_second_filled_order_carries_the_commission(connect):
    orders = [fields for fields in connect().place(1, quantity=100) if fields[0] == "5"]
    # The first order of the day is captured with an empty commission and currency, the last with 1.0 and USD.
    assert [(fields[104], fields[107]) for fields in orders] == [("", ""), ("", ""), ("1.0", "USD")]


def test_a_market_order_larger_than_the_displayed_size_fills_in_parts_at_the_touch(connect, kinds):
    seen = connect().place(1, quantity=450)  # 200 shares are displayed at 400.10
    executions = [fields for fields in seen if fields[0] == "11"]
    assert [(fields[19], fields[20], fields[24]) for fields in executions] == [
        ("200", "400.1", "200"),
        ("200", "400.1", "400"),
        ("50", "400.1", "450"),
    ]
    assert kinds(seen) == [
        *["oo PreSubmitted", "st PreSubmitted"],
        *["ex", "oo Submitted", "st Submitted", "cm"] * 2,
        *["ex", "oo Filled", "st Filled", "oo Filled", "st Filled", "cm"],
    ]
    assert len({fields[14] for fields in executions}) == 3


def test_commissions_of_the_parts_add_up_to_the_published_commission_of_the_order(connect):
    seen = connect().place(1, quantity=450)
    # 450 shares at 0.005: 2.25; the minimum of 1.00 is met by the first part already.
    assert [float(fields[3]) for fields in seen if fields[0] == "59"] == [1.0, 1.0, 0.25]


def test_the_average_price_runs_over_the_executions(connect):
    steps = [{"fill": 100, "price": 400.0}, {"fill": 300, "price": 402.0}]
    seen = connect({"order": [{"steps": steps}]}).place(1, quantity=400)
    status = [(fields[2], fields[3], fields[4], fields[5], fields[8]) for fields in seen if fields[0] == "3"]
    assert status[1] == ("Submitted", "100", "300", "400.0", "400.0")
    # (100 * 400 + 300 * 402) / 400 = 401.5
    assert status[-1] == ("Filled", "400", "0", "401.5", "402.0")
    assert [fields[25] for fields in seen if fields[0] == "11"] == ["400.0", "401.5"]


def test_a_marketable_limit_order_fills_at_the_touch(connect, kinds):
    seen = connect().place(1, quantity=100, order_type="LMT", limit="401.00")
    assert kinds(seen) == ["oo Submitted", "st Submitted", *FULL_FILL[2:]]
    assert [fields[20] for fields in seen if fields[0] == "11"] == ["400.1"]


def test_any_other_limit_order_rests_and_fills_when_the_market_reaches_it(connect, kinds):
    peer = connect()
    seen = peer.place(1, quantity=100, order_type="LMT", limit="399.00")
    assert kinds(seen) == ["oo PreSubmitted", "st PreSubmitted", "oo Submitted", "st Submitted"]
    peer.venue.move("SPY", bid=398.9, ask=399.2)
    assert peer.take() == []
    peer.venue.move("SPY", bid=398.8, ask=399.0)
    seen = peer.take()
    assert kinds(seen) == FULL_FILL[2:]
    assert seen[0][20] == "399.0"
    assert seen[0][30] == "1"  # it added liquidity


def test_a_sell_order_fills_at_the_bid_and_is_reported_as_sold(connect):
    seen = connect().place(1, action="SELL", quantity=100)
    execution = next(fields for fields in seen if fields[0] == "11")
    assert (execution[18], execution[20]) == ("SLD", "399.9")


@pytest.mark.parametrize(
    ("tif", "expected"),
    [
        ("IOC", ["oo PendingCancel", "st PendingCancel", "st Cancelled"]),  # captured at 200
        ("FOK", ["oo Inactive", "st Inactive"]),  # captured at 200
        ("DAY", ["oo PreSubmitted", "st PreSubmitted", "oo Submitted", "st Submitted"]),
        ("GTC", ["oo PreSubmitted", "st PreSubmitted", "oo Submitted", "st Submitted"]),
    ],
)
def test_an_order_that_cannot_fill_is_closed_according_to_its_time_in_force(connect, kinds, tif, expected):
    assert kinds(connect().place(1, order_type="LMT", limit="390.00", tif=tif)) == expected


@pytest.mark.parametrize("tif", ["IOC", "FOK", "DAY", "GTC", "OPG"])
def test_a_marketable_order_fills_with_every_time_in_force(connect, kinds, tif):
    assert kinds(connect().place(1, order_type="MKT", tif=tif))[-1] == "cm"


def test_a_gtd_order_expires_at_its_time(connect, kinds):
    peer = connect(start="2022-12-29 10:00:00")
    peer.place(1, order_type="LMT", limit="390.00", tif="GTD", good_till="20221229 11:00:00 US/Eastern")
    peer.venue.clock.advance(3500)
    assert peer.take() == []
    peer.venue.clock.advance(200)
    assert kinds(peer.take()) == ["st Cancelled", "err 202"]


def test_an_order_waits_for_its_good_after_time(connect, kinds):
    peer = connect(start="2022-12-29 10:00:00")
    seen = peer.place(1, good_after="20221229 10:30:00 US/Eastern")
    assert kinds(seen) == ["oo PreSubmitted", "st PreSubmitted"]
    peer.venue.clock.advance(1900)
    assert kinds(peer.take())[-1] == "cm"


def test_a_midprice_order_trades_at_the_mid_price_but_not_above_its_cap(connect, kinds):
    peer = connect()
    seen = peer.place(1, order_type="MIDPRICE", quantity=100)
    assert [fields[20] for fields in seen if fields[0] == "11"] == ["400.0"]
    seen = peer.place(2, order_type="MIDPRICE", limit="399.95", quantity=100)
    assert kinds(seen)[-1] == "st Submitted"


@pytest.mark.parametrize("order_type", ["MOC", "LOC"])
def test_closing_orders_trade_immediately_where_the_exchange_never_closes(connect, kinds, order_type):
    limit = "401.00" if order_type == "LOC" else ""
    assert kinds(connect().place(1, order_type=order_type, limit=limit))[-1] == "cm"


def test_an_adaptive_order_is_worked_as_its_plain_type_and_echoed(join, make_venue, recorded, kinds):
    peer = join(make_venue(quotes={"AAPL": {"bid": 120.0, "ask": 120.2}}))
    fields = [one for one in recorded["official", 176] if one[0] == "3"][2]
    seen = peer.send(*fields)
    assert kinds(seen)[-1] == "cm"  # a buy limit of 120.25 over an ask of 120.20
    assert "Adaptive" in seen[0]


def test_a_stop_order_is_held_until_its_price_and_then_becomes_a_market_order(connect, kinds):
    peer = connect()
    seen = peer.place(1, order_type="STP", stop="402.00")
    assert kinds(seen) == ["oo PreSubmitted", "st PreSubmitted"] * 2  # captured: a stop is reported twice
    assert [one[10] for one in seen[1::2]] == ["trigger"] * 2
    # Captured: a stop at 13.13 was first shown with a limit of 13.16, then without any.
    assert [one[16] for one in seen[::2]] == ["402.03", "0.0"]
    peer.venue.move("SPY", bid=402.0, ask=402.2)
    assert kinds(peer.take()) == FULL_FILL


def test_a_bracket_is_held_by_its_parent_and_one_child_cancels_the_other(connect, kinds):
    peer = connect()
    assert peer.place(1, order_type="LMT", limit="399.00", transmit="0") == []
    peer.place(2, action="SELL", order_type="LMT", limit="405.00", parent_id=1, transmit="0")
    seen = peer.place(3, action="SELL", order_type="STP", stop="395.00", parent_id=1)
    held = {fields[1]: fields[10] for fields in seen if fields[0] == "3" and fields[1] != "1"}
    assert held == {"2": "child", "3": "child,trigger"}  # captured: whyHeld of a bracket's children
    peer.venue.move("SPY", ask=399.0, bid=398.8)
    assert "ex" in kinds(peer.take())
    peer.venue.move("SPY", ask=405.2, bid=405.0)
    seen = peer.take()
    assert {fields[1]: fields[2] for fields in seen if fields[0] == "3"} == {"2": "Filled", "3": "Cancelled"}


def test_a_fill_in_a_one_cancels_all_group_cancels_the_others(connect):
    peer = connect()
    for number, symbol in enumerate(("SPY", "XOM"), start=1):
        peer.place(number, symbol=symbol, order_type="LMT", limit="50.00", oca_group="g")
    peer.venue.move("XOM", bid=49.9, ask=50.0)
    ends = {fields[1]: fields[2] for fields in peer.take() if fields[0] == "3"}
    assert ends == {"1": "Cancelled", "2": "Filled"}


def test_groups_and_brackets_are_separate_for_each_client(make_venue, join):
    # Order ids and OCA groups belong to a client: client 2's orders with the same ids are not affected.
    venue = make_venue()
    one, two = join(venue, 1), join(venue, 2)
    one.place(1, symbol="XOM", order_type="LMT", limit="50.00", oca_group="g")
    two.place(1, order_type="LMT", limit="50.00")
    two.place(2, order_type="LMT", limit="50.00", oca_group="g")
    two.place(3, order_type="LMT", limit="50.00", parent_id=1)
    venue.move("XOM", bid=49.9, ask=50.0)
    assert [fields[2] for fields in one.take() if fields[0] == "3"][-1] == "Filled"
    assert two.take() == []


def test_a_cancel_does_not_cancel_children_of_another_client(make_venue, join):
    venue = make_venue()
    one, two = join(venue, 1), join(venue, 2)
    one.place(1, order_type="LMT", limit="50.00")
    two.place(1, order_type="LMT", limit="50.00")
    two.place(2, order_type="LMT", limit="50.00", parent_id=1)
    one.send("4", 1, 1, "")
    assert two.take() == []


def test_a_one_sided_market_fills_only_the_other_side(connect, kinds):
    peer = connect(quotes={"SPY": {"bid": 400.0}})
    assert kinds(peer.place(1, action="BUY"))[-1] == "st Submitted"
    assert kinds(peer.place(2, action="SELL"))[-1] == "cm"


def test_a_short_sale_is_held_while_shares_are_located(connect, kinds):
    seen = connect({"switches": {"shorts": "locate"}}).place(1, action="SELL")
    assert kinds(seen)[:3] == ["err 404", "oo PreSubmitted", "st PreSubmitted"]
    assert seen[2][10] == "locate"
    assert kinds(seen)[-1] == "cm"


def test_outside_hours_an_order_waits_for_the_open(connect, kinds):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 18:00:00")
    seen = peer.place(1)
    pair = ["oo PreSubmitted", "st PreSubmitted"]
    assert kinds(seen) == [*pair, "err 399", *pair]  # captured at 200, but for more repeats
    assert "until 2022-12-30 09:30:00 US/Eastern" in next(fields[4] for fields in seen if fields[0] == "4")
    peer.venue.clock.advance(16 * 3600)
    assert kinds(peer.take())[-1] == "cm"


def test_closing_orders_trade_in_the_auction_and_day_orders_expire(connect, kinds):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 15:00:00")
    assert kinds(peer.place(1, order_type="MOC")) == ["oo PreSubmitted", "st PreSubmitted"]
    peer.place(2, order_type="LMT", limit="390.00", tif="DAY")
    peer.place(3, order_type="LMT", limit="390.00", tif="GTC")
    peer.venue.clock.advance(3601)
    seen = peer.take()
    assert {fields[1]: fields[2] for fields in seen if fields[0] == "3"} == {"1": "Filled", "2": "Cancelled"}


def test_executions_carry_the_reference_ids_and_time(connect):
    peer = connect(start="2022-12-29 10:00:00")
    seen = peer.place(1, order_ref="run-1-SPY-BUY")
    execution = next(fields for fields in seen if fields[0] == "11")
    assert execution[26] == "run-1-SPY-BUY"
    assert execution[15] == "20221229 10:00:00 US/Eastern"
    assert [len(part) for part in execution[14].split(".")] == [8, 8, 2, 2]
    assert {fields[1] for fields in seen if fields[0] == "3"} == {"1"}
    assert len({fields[6] for fields in seen if fields[0] == "3"}) == 1


def executed(seen):
    """Shares, price and liquidity (1 added, 2 removed) of the executions in ``seen``."""
    return [(fields[19], fields[20], fields[31 - 1]) for fields in seen if fields[0] == "11"]


def test_a_resting_buy_fills_at_its_limit_when_the_ask_moves_down_through_it(connect):
    peer = connect()
    peer.place(1, quantity=300, order_type="LMT", limit="390.00")
    peer.venue.move("SPY", bid=389.40, ask=389.50, ask_size=200)
    seen = peer.take()
    assert executed(seen) == [("200", "390.0", "1"), ("100", "390.0", "1")]
    # 300 at 390.00 is 117,000; 300 shares cost 0.005 each, 1.50.
    assert peer.venue.ledger.accounts["DU0000001"].cash == 1_000_000 - 117_000 - 1.5


def test_a_resting_sell_order_fills_at_its_limit_when_the_bid_jumps_above_it(connect):
    peer = connect(positions={"SPY": (500, 380.0)})
    peer.place(1, action="SELL", quantity=100, order_type="LMT", limit="402.00")
    peer.venue.move("SPY", bid=405.00, ask=405.20)
    assert executed(peer.take()) == [("100", "402.0", "1")]


def test_a_modification_that_crosses_the_market_fills_at_the_touch(connect):
    peer = connect()
    peer.place(1, quantity=100, order_type="LMT", limit="390.00")
    assert executed(peer.place(1, quantity=100, order_type="LMT", limit="401.00")) == [("100", "400.1", "2")]


def test_at_the_open_a_resting_order_gets_the_better_price_of_the_open(connect):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 15:00:00")
    peer.place(1, quantity=100, order_type="LMT", limit="390.00", tif="GTC")
    peer.venue.clock.advance(2 * 3600)
    peer.venue.move("SPY", bid=388.00, ask=388.10)
    assert executed(peer.take()) == []
    peer.venue.clock.advance(20 * 3600)
    assert executed(peer.take()) == [("100", "388.1", "2")]


def test_a_fill_by_an_event_is_no_worse_than_the_limit(connect):
    peer = connect()
    peer.place(1, quantity=100, order_type="LMT", limit="390.00")
    peer.venue.events.run({"do": "fill"})
    assert [one[:2] for one in executed(peer.take())] == [("100", "390.0")]


def test_an_order_type_without_fractional_shares_rejects_them(connect, kinds):
    peer = connect({"switches": {"fractional": True}})
    assert kinds(peer.place(1, quantity="1.5"))[-1] == "cm"
    assert kinds(peer.place(2, quantity="1.5", order_type="MOC")) == ["err 10318"]


def shown(seen):
    """Status, whyHeld and the limit shown by each openOrder with its orderStatus."""
    pairs = zip(seen[::2], seen[1::2], strict=False)
    return [
        (status[2], status[10], opened[16]) for opened, status in pairs if (opened[0], status[0]) == ("5", "3")
    ]


def test_a_trailing_stop_follows_the_market_and_fills_in_the_captured_sequence(connect, kinds):
    peer = connect()
    seen = peer.place(1, action="SELL", order_type="TRAIL", trail_percent="1.5")
    assert shown(seen) == [("PreSubmitted", "trigger", "2000.03")]  # the limit is captured, too, and was not given
    peer.venue.move("SPY", bid=409.9, ask=410.1, last=410.0)  # the stop is at 98.5 % of 410: 403.85
    peer.venue.move("SPY", bid=403.8, ask=404.0, last=403.9)
    assert peer.take() == []
    peer.venue.move("SPY", last=403.85)
    seen = peer.take()
    assert kinds(seen) == ["oo Submitted", "st Submitted", *FULL_FILL[2:]]
    assert [fields[20] for fields in seen if fields[0] == "11"] == ["403.8"]


def test_an_open_trailing_stop_shows_where_it_is(connect):
    peer = connect()
    peer.place(1, action="SELL", order_type="TRAIL", stop="2.00")
    peer.venue.move("SPY", bid=409.9, ask=410.1, last=410.0)
    (opened,) = [fields for fields in peer.send("5", "1") if fields[0] == "5"]
    assert (opened[17], opened[74]) == ("2.0", "408.0")  # amount, and stop


def test_a_trailing_limit_order_rests_behind_its_stop_when_it_is_triggered(connect, kinds):
    peer = connect()
    terms = {"stop": "2.00", "limit_offset": "0.10", "trail_stop": "398.50"}
    peer.place(1, action="SELL", order_type="TRAIL LIMIT", **terms)
    peer.venue.move("SPY", bid=397.0, ask=397.2)  # through the stop of 398.50; its limit is 398.40
    assert kinds(peer.take())[-1] == "st Submitted"
    peer.venue.move("SPY", bid=398.6, ask=398.8)
    assert [fields[20] for fields in peer.take() if fields[0] == "11"] == ["398.4"]


@pytest.mark.parametrize(("kind", "price"), [("MIT", "398.9"), ("LIT", "398.9")])
def test_a_touched_order_waits_for_the_market_to_come_to_it(connect, kinds, kind, price):
    peer = connect()
    seen = peer.place(1, order_type=kind, stop="399.00", limit="399.00")
    assert shown(seen) == [("PreSubmitted", "trigger", "399.0")]
    peer.venue.move("SPY", bid=398.7, ask=398.9)
    seen = peer.take()
    assert kinds(seen)[2:] == FULL_FILL[2:]
    assert [fields[20] for fields in seen if fields[0] == "11"] == [price]


def test_a_limit_if_touched_rests_at_its_limit(connect, kinds):
    peer = connect()
    peer.place(1, order_type="LIT", stop="399.00", limit="398.50")
    peer.venue.move("SPY", bid=398.7, ask=398.9)
    assert kinds(peer.take()) == ["oo PreSubmitted", "st PreSubmitted", "oo Submitted", "st Submitted"]
    peer.venue.move("SPY", bid=398.2, ask=398.4)
    assert [fields[20] for fields in peer.take() if fields[0] == "11"] == ["398.5"]


def test_a_stop_limit_order_that_was_triggered_does_not_pass_its_limit(connect, kinds):
    peer = connect()
    peer.place(1, order_type="STP LMT", stop="402.00", limit="402.10")
    peer.venue.move("SPY", last=402.0)
    assert kinds(peer.take())[-1] == "cm"  # by the last trade alone; the ask is at 400.10
    peer.place(2, order_type="STP LMT", stop="403.00", limit="403.10")
    peer.venue.move("SPY", bid=404.0, ask=404.2)
    assert kinds(peer.take())[-1] == "st Submitted"


def test_a_relative_order_rests_at_the_near_touch_and_follows_it_up(connect, kinds):
    peer = connect()
    seen = peer.place(1, order_type="REL", stop="0.05", limit="401.00")  # 399.95, at most 401
    assert kinds(seen) == ["oo PreSubmitted", "st PreSubmitted", "oo Submitted", "st Submitted"]
    peer.venue.move("SPY", bid=400.5, ask=400.7)  # now 400.55
    peer.venue.move("SPY", bid=400.3, ask=400.56)  # through SMART it does not go back
    assert peer.take() == []
    peer.venue.move("SPY", ask=400.55)
    assert [(fields[20], fields[30]) for fields in peer.take() if fields[0] == "11"] == [("400.55", "1")]


def test_a_relative_order_stops_at_its_cap(connect):
    peer = connect()
    peer.place(1, order_type="REL", stop="0", limit="400.00")
    peer.venue.move("SPY", bid=405.0, ask=405.2)
    peer.venue.move("SPY", bid=399.8, ask=400.0)
    assert [fields[20] for fields in peer.take() if fields[0] == "11"] == ["400.0"]


def test_a_market_to_limit_order_takes_what_is_displayed_and_rests_with_the_rest(connect, kinds):
    peer = connect()
    seen = peer.place(1, order_type="MTL", quantity=300)  # 200 shares are displayed at 400.10
    assert kinds(seen) == [*FULL_FILL[:2], "ex", "oo Submitted", "st Submitted", "cm"]
    assert (seen[3][16], seen[4][3], seen[4][4]) == ("400.1", "200", "100")
    peer.venue.move("SPY", bid=400.8, ask=401.0)
    assert peer.take() == []
    peer.venue.move("SPY", bid=399.8, ask=400.0)
    assert executed(peer.take()) == [("100", "400.1", "1")]


@pytest.mark.parametrize(
    ("tif", "end"),
    [("IOC", ["oo PendingCancel", "st PendingCancel", "st Cancelled"]), ("FOK", ["oo Inactive", "st Inactive"])],
)
def test_what_does_not_fill_at_once_is_killed(connect, kinds, tif, end):
    seen = connect().place(1, order_type="MTL", quantity=300, tif=tif)
    assert kinds(seen)[-len(end) :] == end
    assert executed(seen) == ([("200", "400.1", "2")] if tif == "IOC" else [])


def test_an_order_that_is_good_after_a_time_rests_from_then_on(connect, kinds):
    peer = connect(start="2022-12-29 10:00:00")
    terms = {"order_type": "LMT", "limit": "390.00", "good_after": "20221229 10:30:00 US/Eastern"}
    assert kinds(peer.place(1, **terms)) == ["oo PreSubmitted", "st PreSubmitted"]
    peer.venue.clock.advance(1801)
    assert kinds(peer.take())[-1] == "st Submitted"


def test_an_order_that_was_cancelled_before_its_time_does_not_wake(connect):
    peer = connect(start="2022-12-29 10:00:00")
    peer.place(1, good_after="20221229 10:30:00 US/Eastern")
    peer.send("4", "1", "1", "")
    peer.venue.clock.advance(1801)
    assert peer.venue.ledger.fills == []


def test_the_time_after_which_an_order_is_good_can_be_moved(connect):
    peer = connect(start="2022-12-29 10:00:00")
    peer.place(1, good_after="20221229 10:30:00 US/Eastern")
    peer.place(1, good_after="20221229 11:00:00 US/Eastern")
    peer.venue.clock.advance(1801)
    assert peer.venue.ledger.fills == []
    peer.venue.clock.advance(1800)
    assert len(peer.venue.ledger.fills) == 1


def test_a_cancelled_stop_is_held_by_nothing(connect):
    peer = connect()
    peer.place(1, order_type="STP", stop="402.00")
    (status,) = [fields for fields in peer.send("4", "1", "1", "") if fields[0] == "3"]
    assert (status[2], status[10]) == ("Cancelled", "")  # captured


@pytest.mark.parametrize(("kind", "trades"), [("LMT", True), ("STP LMT", True), ("MKT", False), ("LOC", False)])
def test_outside_of_the_session_orders_with_a_limit_trade_if_they_ask_for_it(connect, kind, trades):
    peer = connect({"switches": {"hours": "exchange"}}, start="2022-12-29 18:00:00")
    peer.place(1, order_type=kind, limit="401.00", stop="400.00", outside_rth="1")
    assert bool(peer.venue.ledger.fills) is trades


def test_a_good_till_date_without_a_time_is_the_whole_day(connect):
    peer = connect(start="2022-12-29 10:00:00")
    peer.place(1, order_type="LMT", limit="390.00", tif="GTD", good_till="20221229")
    peer.venue.clock.advance(13.9 * 3600)
    assert peer.venue.ledger.find(1, 1).status == "Submitted"
    peer.venue.clock.advance(0.2 * 3600)
    assert peer.venue.ledger.find(1, 1).status == "Cancelled"


@pytest.mark.parametrize(
    ("tif", "limit", "expected"),
    [
        ("IOC", "480.20", ["oo PendingCancel", "st PendingCancel", "st Cancelled"]),  # captured: 20 % through
        ("FOK", "480.20", ["oo Inactive", "st Inactive"]),  # captured
        ("DAY", "480.20", ["oo PreSubmitted", "st PreSubmitted", "st Cancelled", "err 202"]),
        ("DAY", "412.10", ["oo Submitted", "st Submitted", *FULL_FILL[2:]]),  # captured: 3 % is accepted
        ("IOC", "412.10", ["oo Submitted", "st Submitted", *FULL_FILL[2:]]),
    ],
)
def test_a_limit_far_through_the_market_can_be_cancelled_by_a_price_check(connect, kinds, tif, limit, expected):
    peer = connect({"switches": {"price_check": 0.1}})  # of 400.10
    assert kinds(peer.place(1, order_type="LMT", limit=limit, tif=tif)) == expected
    assert kinds(peer.place(2, action="SELL", order_type="LMT", limit="300.00"))[-1] == "err 202"
    assert kinds(connect().place(1, order_type="LMT", limit="480.20"))[-1] == "cm"  # by default there is none
