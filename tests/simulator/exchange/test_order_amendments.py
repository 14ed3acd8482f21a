"""Modifications and cancels, and the errors for those that come too late."""

import pytest


def codes(messages):
    return [int(fields[3]) for fields in messages if fields[0] == "4"]


def rest(peer, number=1, **terms):
    return peer.place(number, **({"order_type": "LMT", "limit": "390.00"} | terms))


def test_a_cancel_is_pending_then_cancelled_then_202(connect, kinds):
    peer = connect()
    rest(peer)
    seen = peer.send("4", "1", "1", "")
    assert kinds(seen) == ["st PendingCancel", "st Cancelled", "err 202"]  # captured at 200
    assert seen[2][4] == "Order Canceled - reason:"  # captured at 164
    assert peer.send("5", "1") == [["53", "1"]]


def test_a_cancelled_order_has_the_captured_status(connect, captured):
    peer = connect()
    rest(peer)
    ours = peer.send("4", "1", "1")[1]
    real = captured["cancel"][0][2]
    ids = {1, 6, 9}  # order, permanent and client id
    assert [text for place, text in enumerate(ours) if place not in ids] == [
        text for place, text in enumerate(real) if place not in ids
    ]


def test_a_modification_is_reported_immediately_and_may_fill(connect, kinds):
    peer = connect()
    rest(peer)
    seen = rest(peer, limit="391.00", quantity=150)
    assert kinds(seen) == ["oo Submitted", "st Submitted"]
    assert (seen[0][14], seen[0][16], seen[1][4]) == ("150", "391.0", "150")
    assert seen[0][30].split("/")[0].endswith(".1")  # captured: the allocation counts modifications
    assert kinds(rest(peer, limit="400.10"))[-1] == "cm"


def test_a_limit_order_may_become_a_market_order(connect, kinds):
    peer = connect()
    rest(peer)
    assert kinds(peer.place(1, order_type="MKT"))[-1] == "cm"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"action": "SELL"}, 105),
        ({"symbol": "XOM"}, 105),
        ({"order_ref": "another"}, 105),
        ({"order_type": "MOC", "limit": ""}, 329),
        ({"limit": "390.005"}, 110),
        ({"limit": ""}, 321),
    ],
)
def test_a_rejected_modification_does_not_change_the_order(connect, kinds, terms, code):
    peer = connect()
    rest(peer)
    assert codes(rest(peer, **terms)) == [code]
    seen = peer.send("5", "1")
    assert (seen[0][13], seen[0][15], seen[0][16]) == ("BUY", "LMT", "390.0")


def test_a_filled_order_can_be_neither_modified_nor_cancelled(connect):
    peer = connect()
    peer.place(1)
    assert codes(peer.place(1, quantity=200)) == [104]
    assert codes(peer.send("4", "1", "1")) == [10148]


def test_a_cancelled_order_is_not_in_a_cancellable_state(connect):
    peer = connect()
    rest(peer)
    peer.send("4", "1", "1")
    seen = peer.send("4", "1", "1")
    assert codes(seen) == [161]
    assert codes(rest(peer)) == [103]


def test_an_unknown_order_and_one_of_another_client_are_not_found(connect, join):
    peer = connect()
    rest(peer)
    assert codes(peer.send("4", "1", "99")) == [10147]
    other = join(peer.venue, client_id=2)
    assert codes(other.send("4", "1", "1")) == [10147]
    assert len(peer.venue.ledger.active) == 1


def test_a_cancel_by_another_client_can_be_allowed_and_is_reported_to_both(make_venue, join, kinds):
    venue = make_venue({"switches": {"cross_client_cancel": True}})
    owner, other = join(venue, 1), join(venue, 2)
    rest(owner)
    seen = other.send("4", "1", "1")
    assert kinds(seen) == ["st Cancelled", "err 202"]  # captured at 200
    assert seen[0][9] == "2"
    assert kinds(owner.take()) == ["st Cancelled", "err 202"]


def test_a_global_cancel_cancels_the_orders_of_all_clients(connect, join, kinds):
    peer = connect()
    other = join(peer.venue, client_id=2)
    rest(peer)
    rest(other)
    assert kinds(peer.send("58", "1")) == ["st Cancelled", "err 202"]
    assert kinds(other.take()) == ["st Cancelled", "err 202"]


def test_a_partial_fill_stays_when_the_remaining_quantity_is_cancelled(connect):
    peer = connect({"order": [{"steps": [{"fill": 30}]}]})
    peer.place(1, quantity=100)
    status = next(fields for fields in peer.send("4", "1", "1") if fields[2] == "Cancelled")
    assert (status[3], status[4]) == ("30", "70")


def test_the_quantity_may_be_reduced_to_the_filled_quantity_but_not_below(connect, kinds):
    peer = connect({"order": [{"steps": [{"fill": 30}]}]})
    peer.place(1, quantity=100)
    assert codes(peer.place(1, quantity=29)) == [105]
    assert kinds(peer.place(1, quantity=30)) == ["oo Filled", "st Filled"]


def test_a_modification_during_a_broken_link_can_leave_two_orders(make_venue, join):
    venue = make_venue({"switches": {"double_orders": True}, "event": [{"after_accepts": 1, "do": "link_down"}]})
    peer = join(venue)
    rest(peer)
    rest(peer, limit="391.00")
    venue.events.run({"do": "link_up"})
    peer.take()
    assert {fields[16] for fields in peer.send("16", "1") if fields[0] == "5"} == {"390.0", "391.0"}


def test_client_zero_binds_manual_orders(make_venue, join):
    event = {"after_requests": 1, "do": "manual_order", "symbol": "SPY", "quantity": 5, "price": 390.0}
    venue = make_venue({"event": [event]})
    zero = join(venue, client_id=0)
    zero.send("49", "1")
    assert [fields[1] for fields in join(venue, 3).send("16", "1") if fields[0] == "5"] == ["0"]
    seen = zero.send("15", "1", "1")
    bound = next(fields for fields in seen if fields[0] == "100")
    assert bound[2:] == ["0", "-1"]
    assert codes(zero.send("4", "1", "-1")) == [202]


@pytest.mark.parametrize(("tif", "status"), [("IOC", "Cancelled"), ("FOK", "Inactive")])
def test_a_change_to_immediate_or_cancel_ends_an_order_that_does_not_fill(connect, kinds, tif, status):
    peer = connect()
    rest(peer)
    assert kinds(rest(peer, tif=tif))[-1] == f"st {status}"
    rest(peer, 2)
    assert kinds(rest(peer, 2, limit="400.10", tif=tif))[-1] == "cm"


def test_a_limit_order_that_becomes_a_stop_is_held(connect, kinds):
    peer = connect()
    rest(peer)
    seen = peer.place(1, order_type="STP", stop="402.00")
    assert kinds(seen) == ["oo PreSubmitted", "st PreSubmitted"] * 2  # captured: both reports twice
    assert {fields[10] for fields in seen if fields[0] == "3"} == {"trigger"}
    peer.venue.move("SPY", last=402.0)
    assert kinds(peer.take())[-1] == "cm"


def test_a_stop_that_becomes_a_limit_order_is_held_no_more(connect, kinds):
    peer = connect()
    peer.place(1, order_type="STP", stop="402.00")
    assert kinds(rest(peer))[-1] == "st Submitted"
    assert kinds(rest(peer, limit="400.10"))[-1] == "cm"


def test_a_changed_stop_is_reported_with_its_new_price(connect):
    peer = connect()
    peer.place(1, action="SELL", order_type="STP", stop="390.00")
    seen = peer.place(1, action="SELL", order_type="STP", stop="391.00")
    assert [(fields[16], fields[17]) for fields in seen if fields[0] == "5"] == [("0.0", "391.0")] * 2  # captured


def test_a_trailing_stop_follows_from_the_market_again_when_its_distance_is_changed(connect):
    peer = connect()
    terms = {"action": "SELL", "order_type": "TRAIL"}
    peer.place(1, stop="2.00", **terms)  # at 398, two below the last trade
    peer.place(1, stop="2.00", quantity=50, **terms)
    assert peer.venue.ledger.find(1, 1).trail == 398.0
    peer.venue.move("SPY", bid=398.9, ask=399.1, last=399.0)
    peer.place(1, stop="3.00", **terms)
    assert peer.venue.ledger.find(1, 1).trail == 396.0


def test_a_relative_order_has_its_new_offset_at_once(connect):
    peer = connect()
    peer.place(1, order_type="REL", stop="0.05")
    peer.place(1, order_type="REL", stop="0.01")
    assert peer.venue.ledger.find(1, 1).limit == 399.91


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("REL", {"stop": "0.01"}),
        ("MIT", {"stop": "395.00"}),
        ("LIT", {"stop": "395.00", "limit": "394.00"}),
        ("TRAIL", {"stop": "2.00"}),
        ("MIDPRICE", {"limit": "390.00"}),
        ("STP LMT", {"stop": "405.00", "limit": "405.00"}),
    ],
)
def test_the_size_of_every_open_order_can_be_changed(connect, kind, terms):
    peer = connect()
    peer.place(1, order_type=kind, **terms)
    seen = peer.place(1, order_type=kind, quantity=70, **terms)
    assert codes(seen) == []
    assert {fields[14] for fields in seen if fields[0] == "5"} == {"70"}
    assert codes(peer.place(1, order_type="MKT" if kind in {"REL", "MIT", "LIT", "TRAIL"} else "MOC")) == [329]


def test_an_algorithm_and_its_parameters_stay(connect):
    peer = connect(clock="manual")
    algo = ["Vwap", "maxPctVol", "0.1"]
    rest(peer, algo=algo)
    assert codes(rest(peer, algo=algo, limit="391.00")) == []
    assert codes(rest(peer, algo=["Vwap", "maxPctVol", "0.2"])) == [440]
    assert codes(rest(peer)) == [440]
    assert peer.venue.ledger.find(1, 1).request.limit_price == 391.0


def test_a_change_of_a_filled_order_can_get_no_answer(connect):
    peer = connect({"switches": {"modify_filled": "silent"}})
    peer.place(1)
    assert peer.place(1, quantity=200) == []


@pytest.mark.parametrize(("quantity", "code", "total"), [(100, None, 100), (60, None, 60), (50, 105, 100)])
def test_a_fill_that_crosses_a_change_is_part_of_the_new_quantity(connect, quantity, code, total):
    # The link is down when the client changes the size: 60 of 100 have traded that it does not know of.
    peer = connect()
    rest(peer)
    peer.venue.events.run({"do": "link_down"})
    peer.venue.events.run({"do": "fill", "quantity": 60})
    rest(peer, quantity=quantity)
    peer.venue.events.run({"do": "link_up"})
    assert [one for one in codes(peer.take()) if one < 1000] == ([] if code is None else [code])
    peer.venue.move("SPY", bid=389.8, ask=390.0)
    order = peer.venue.ledger.find(1, 1)
    assert (order.status, order.filled) == ("Filled", total)
    assert sum(fill.quantity for fill in peer.venue.ledger.fills) == total


def test_a_fill_that_crosses_a_cancel_stays_and_nothing_more_trades(connect):
    peer = connect()
    rest(peer)
    peer.venue.events.run({"do": "link_down"})
    peer.venue.events.run({"do": "fill", "quantity": 60})
    peer.send("4", "1", "1", "")
    peer.venue.events.run({"do": "link_up"})
    peer.venue.move("SPY", bid=389.8, ask=390.0)
    order = peer.venue.ledger.find(1, 1)
    assert (order.status, order.filled) == ("Cancelled", 60)


def test_the_end_of_a_good_till_date_order_can_be_moved(connect):
    peer = connect(start="2022-12-29 10:00:00")
    rest(peer, tif="GTD", good_till="20221229 11:00:00 US/Eastern")
    rest(peer, tif="GTD", good_till="20221229 12:00:00 US/Eastern")
    peer.venue.clock.advance(3700)
    assert peer.venue.ledger.find(1, 1).status == "Submitted"
    peer.venue.clock.advance(3600)
    assert peer.venue.ledger.find(1, 1).status == "Cancelled"


def test_an_order_that_a_scenario_works_goes_on_when_it_is_changed_to_immediate_or_cancel(connect):
    steps = [{"rest": True}, {"wait": 5}, {"fill": "rest"}]
    peer = connect({"order": [{"steps": steps}]}, clock="manual")
    rest(peer)
    rest(peer, tif="IOC")
    peer.venue.clock.advance(6.0)
    assert peer.venue.ledger.find(1, 1).status == "Filled"


# -- modifications by a script ---------------------------------------------------------------------------------


def scripted(connect, *steps, **options):
    peer = connect({"order": [{"steps": [{"rest": True}], "on_modify": list(steps)}]}, **options)
    rest(peer, quantity=100)
    return peer


def shown(peer):
    """Limit of the open order, and how many of its shares are filled."""
    seen = peer.send("5", "1")
    return [(fields[16], status[3]) for fields, status in zip(seen[::2], seen[1::2], strict=False)]


def test_a_script_refuses_one_modification_and_judges_the_next(connect, kinds):
    peer = scripted(connect, {"refuse": 201, "text": "Order rejected - reason:margin"})
    (error,) = rest(peer, limit="391.00")
    assert (error[2], error[3], error[4]) == ("1", "201", "Order rejected - reason:margin")
    assert shown(peer) == [("390.0", "0")]
    assert kinds(rest(peer, limit="391.00")) == ["oo Submitted", "st Submitted"]
    assert shown(peer) == [("391.0", "0")]


def test_a_script_ignores_a_modification(connect):
    peer = scripted(connect, {"ignore": True})
    assert rest(peer, limit="391.00") == []
    assert shown(peer) == [("390.0", "0")]


PART = ["ex", "oo Submitted", "st Submitted", "cm"]  # as captured


def test_a_fill_crosses_a_modification(connect, kinds):
    peer = scripted(connect, {"fill": "half"}, {"judge": True}, {"fill": "rest"})
    assert kinds(rest(peer, limit="391.00")) == [*PART, "oo Submitted", "st Submitted"]
    assert shown(peer) == [("391.0", "50")]
    assert kinds(rest(peer, limit="392.00"))[-1] == "err 104"


def test_a_modification_waits_and_the_next_one_comes_too_early(connect, kinds):
    peer = scripted(connect, {"wait": 5.0}, clock="manual")
    assert rest(peer, limit="391.00") == []
    assert kinds(rest(peer, limit="392.00")) == ["err 2102"]
    peer.venue.clock.advance(5.0)
    assert kinds(peer.take()) == ["oo Submitted", "st Submitted"]
    assert shown(peer) == [("391.0", "0")]
    assert kinds(rest(peer, limit="392.00")) == ["oo Submitted", "st Submitted"]


def test_a_script_does_not_decide_about_a_modification_after_the_end(connect):
    peer = scripted(connect, {"ignore": True})
    peer.send("4", "1", "1")
    assert codes(rest(peer, limit="391.00")) == [103]
