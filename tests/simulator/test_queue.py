"""A slow TWS: received requests are queued, and processed even if the client has disconnected."""

import pytest

SLOW = {"queue_seconds": 2.0}
ASK_EXECUTIONS = ("7", "3", "9", "0", "", "", "", "", "", "")


def slow(make_venue, **switches):
    return make_venue({"switches": SLOW | switches}, clock="manual")


def test_requests_are_processed_in_sequence(make_venue, join):
    venue = slow(make_venue)
    peer = join(venue)
    assert peer.place(1) + peer.send("49", "1") == []
    venue.clock.advance(1.9)
    assert peer.take() == []
    venue.clock.advance(0.2)
    assert peer.take()[-1][0] == "59"
    venue.clock.advance(1.8)
    assert peer.take() == []
    venue.clock.advance(0.2)
    assert [fields[0] for fields in peer.take()] == ["49"]


def test_orders_of_a_disconnected_client_are_still_processed(make_venue, join):
    venue = slow(make_venue)
    peer = join(venue)
    for number in (1, 2, 3):
        peer.place(number, order_ref=f"r{number}")
    venue.clock.advance(2.1)
    peer.session.eof()
    again = join(venue)
    assert ["9", "1", "2"] in again.seen
    venue.clock.advance(5)
    assert [one.order_ref for one in venue.ledger.fills] == ["r1", "r2", "r3"]
    # The same id again: the first order did arrive, and is filled by now.
    again.place(2, order_ref="r2")
    venue.clock.advance(5)
    assert [fields[3] for fields in again.take() if fields[0] == "4" and fields[2] == "2"] == ["104"]


@pytest.mark.parametrize(("free", "taken"), [("eof", False), ("drained", True)])
def test_a_client_id_is_free_immediately_or_when_all_requests_are_processed(make_venue, join, free, taken):
    venue = slow(make_venue, client_id_free=free)
    peer = join(venue)
    peer.place(1)
    peer.session.eof()
    assert join(venue).session.closed is taken
    venue.clock.advance(3)
    assert join(venue, 1 if taken else 2).session.closed is False


def test_a_client_id_is_not_free_while_a_received_request_is_queued(make_venue, join):
    scenario = {
        "switches": {"client_id_free": "drained"},
        "fault": [{"on": "placeOrder", "do": "drop_after_read", "seconds": 5}],
    }
    venue = make_venue(scenario, clock="manual")
    peer = join(venue)
    peer.place(1)
    assert peer.session.closed
    refused = join(venue)
    assert refused.session.reason == "client id 1 is in use"
    venue.clock.advance(5)
    assert join(venue).session.closed is False
    assert len(venue.ledger.fills) == 1


@pytest.mark.parametrize(("counts", "next_id"), [("accepted", "1"), ("received", "3")])
def test_the_next_id_counts_processed_or_received_orders(make_venue, join, counts, next_id):
    venue = slow(make_venue, next_valid_id=counts)
    peer = join(venue)
    peer.place(1)
    peer.place(2)
    peer.session.eof()
    again = join(venue)
    assert ["9", "1", next_id] in again.seen
    venue.clock.advance(5)
    assert len(venue.ledger.fills) == 2


def test_the_jitter_is_seeded_and_keeps_the_sequence(make_venue, join):
    def instants(seed):
        venue = make_venue({"switches": {"queue_jitter": 3.0}}, clock="manual", seed=seed)
        peer = join(venue)
        for number in range(1, 6):
            peer.place(number)
        venue.clock.advance(20)
        assert [one.order_id for one in venue.ledger.fills] == [1, 2, 3, 4, 5]
        return [one.at for one in venue.ledger.fills]

    assert instants(1) == instants(1) != instants(2)


def test_queries_return_executions_with_a_delay(make_venue, join):
    venue = make_venue({"switches": {"evidence_lag": 10.0}}, clock="manual")
    peer = join(venue)
    peer.place(1)
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["55"]
    assert [fields[0] for fields in peer.send("99", "0")] == ["102"]
    venue.clock.advance(11)
    assert [fields[0] for fields in peer.send(*ASK_EXECUTIONS)] == ["11", "59", "55"]
    assert [fields[0] for fields in peer.send("99", "0")] == ["101", "102"]


def test_a_refused_client_can_eventually_connect_on_a_virtual_clock(make_venue, join):
    venue = make_venue({"switches": {"client_id_linger": 1.5}})
    join(venue).session.eof()
    assert [join(venue).session.closed for _ in range(3)] == [True, True, False]


def test_executions_can_have_an_unknown_zone_name(connect):
    peer = connect({"switches": {"time_zone_name": "JST2"}}, start="2022-12-29 10:00:00")
    execution = next(fields for fields in peer.place(1) if fields[0] == "11")
    assert execution[15] == "20221229 10:00:00 JST2"
