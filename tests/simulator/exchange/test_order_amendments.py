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
