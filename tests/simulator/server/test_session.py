"""The session: handshake, versions, client ids, bad input. Bytes in, bytes out."""

import pytest

from stocklean_exec.simulator import Limits, Session
from stocklean_exec.simulator.protocol.framing import FrameReader, pack, pack_fields, split_fields
from stocklean_exec.simulator.server.session import Stage


def opened(venue, **limits):
    session = Session(venue, Limits(**limits))
    session.feed(b"API\0" + pack(b"v157..178"))
    session.take()
    return session


def messages(data):
    reader = FrameReader()
    reader.feed(data)
    return [split_fields(payload) for payload in reader.payloads()]


@pytest.mark.parametrize(
    ("cap", "requested", "version"),
    [
        (176, "v157..178", "176"),
        (178, "v157..178", "178"),
        (178, "v100..226", "178"),
        (176, "v100..157", "157"),
        (170, "v157..178", "170"),
        (176, "v157..178 +PACEAPI", "176"),
        (176, "v176", "176"),
    ],
)
def test_the_lower_version_is_negotiated(make_venue, join, cap, requested, version):
    peer = join(make_venue(server_version=cap), client_id=None, versions=requested)
    assert peer.greeting[0][0] == version
    assert len(peer.greeting[0]) == 2


@pytest.mark.parametrize("requested", ["v200..226", "v100..156", "v179..200", "hello", "v1..", "v999999..1000000"])
def test_a_client_without_a_common_version_is_disconnected(make_venue, join, requested):
    peer = join(make_venue(), client_id=None, versions=requested)
    assert peer.session.closed
    assert peer.greeting == []


def test_nothing_is_sent_between_the_version_and_start_api(make_venue, join):
    peer = join(make_venue(), client_id=None)
    assert len(peer.greeting) == 1
    assert peer.take() == []


def test_the_start_is_the_captured_one(connect, captured):
    peer = connect()
    real = [fields for _, direction, fields in captured["start"] if direction == "<"]
    ours = peer.seen[1:]
    assert [fields[0] for fields in ours] == [fields[0] for fields in real[1:]]
    assert ours[0] == ["15", "1", "DU0000001"]
    assert ours[1] == ["9", "1", "1"]
    assert ours[2] == real[3]


def test_a_transcript_gives_the_same_bytes_whole_in_single_bytes_and_with_a_trailing_half(make_venue, recorded):
    requests = b"".join(pack_fields(fields) for fields in recorded["official", 176])
    stream = b"API\0" + pack(b"v100..226") + requests
    whole, single, trailing = (
        Session(make_venue(quotes={"AAPL": {"bid": 125.6, "ask": 125.7}})) for _ in range(3)
    )
    whole.feed(stream)
    for number in range(len(stream)):
        single.feed(stream[number : number + 1])
    trailing.feed(stream + pack_fields(["49", "1"])[:-1])
    answer = whole.take()
    assert len(answer) > 10_000
    assert single.take() == answer
    assert trailing.take() == answer
    trailing.feed(b"\0")
    assert messages(trailing.take())[0][0] == "49"


def test_an_invalid_greeting_closes_the_session_with_a_reason(make_venue):
    session = Session(make_venue())
    session.feed(b"GET / HTTP/1.1\r\n")
    assert session.closed
    assert "greeting" in session.reason
    session.feed(b"more")
    assert session.take() == b""


def test_an_oversized_frame_closes_and_names_both_sizes(make_venue):
    session = opened(make_venue(), max_frame=1000)
    session.feed(b"\x00\x00\x03\xe9")
    assert session.closed
    assert "1001" in session.reason


def test_a_request_before_start_api_closes(make_venue):
    session = opened(make_venue())
    session.feed(pack_fields(["61", "1"]))
    assert session.closed
    assert "before START_API" in session.reason


def test_a_second_start_api_is_refused_and_the_first_stays_valid(connect):
    peer = connect()
    assert [fields[3] for fields in peer.send("71", "2", "9", "")] == ["321"]
    assert peer.session.client_id == 1
    assert not peer.session.closed


@pytest.mark.parametrize("client_id", ["-1", "4294967296", "abc", ""])
def test_a_client_id_out_of_range_is_disconnected(make_venue, join, client_id):
    peer = join(make_venue(), client_id=None)
    peer.send("71", "2", client_id, "")
    assert peer.session.closed or client_id == ""


def test_a_client_id_in_use_gets_326_and_is_disconnected(connect, join):
    peer = connect()
    second = join(peer.venue)
    assert [fields[3] for fields in second.seen[1:]] == ["326"]
    assert second.session.closed
    assert not peer.session.closed
    assert peer.send("49", "1")[0][0] == "49"


def test_a_client_id_in_use_can_be_disconnected_without_a_message(connect, join):
    peer = connect({"switches": {"client_id_in_use": "close"}})
    second = join(peer.venue)
    assert second.seen[1:] == []
    assert second.session.closed


def test_a_client_id_is_free_when_its_connection_has_ended_or_after_a_delay(connect, join):
    peer = connect({"switches": {"client_id_linger": 5.0}})
    peer.session.eof()
    assert join(peer.venue).session.closed
    peer.venue.clock.advance(5.1)
    assert not join(peer.venue).session.closed


def test_unknown_and_unreadable_requests_are_answered_by_320(connect):
    peer = connect()
    assert [fields[2:4] for fields in peer.send("9999", "1", "2")] == [["-1", "320"]]
    assert [fields[2:4] for fields in peer.send("62", "1", "5")] == [["5", "320"]]
    assert [fields[2:4] for fields in peer.send()] == [["-1", "320"]]
    assert not peer.session.closed


def test_too_many_unreadable_requests_close(make_venue):
    session = opened(make_venue(), max_bad=3)
    session.feed(pack_fields(["71", "2", "1", ""]))
    session.feed(pack_fields(["9999"]) * 3)
    assert session.closed
    assert "3 unreadable requests" in session.reason


def test_a_client_that_does_not_read_is_disconnected(make_venue):
    session = opened(make_venue(), max_unsent=2_000)
    session.feed(pack_fields(["71", "2", "1", ""]) + pack_fields(["49", "1"]) * 200)
    assert session.closed
    assert "slow reader" in session.reason


def test_the_end_of_the_connection_is_noted_with_the_unread_bytes(connect):
    peer = connect()
    peer.session.feed(b"\x00\x00")
    peer.session.eof()
    assert peer.session.stage is Stage.CLOSED
    assert "2 bytes" in peer.session.reason


def test_a_failing_client_does_not_affect_the_others(connect, join):
    peer = connect()
    bad = join(peer.venue, client_id=2)
    bad.session.feed(b"\xff" * 100)
    assert bad.session.closed
    assert peer.send("49", "1")[0][0] == "49"


def test_the_start_sequence_is_an_option_and_can_begin_with_open_orders(make_venue, join):
    switches = {"start_order": "id", "farm_messages": False, "unsolicited_open_orders": True}
    venue = make_venue({"switches": switches})
    first = join(venue)
    first.place(1, order_type="LMT", limit="390.00")
    first.session.eof()
    again = join(venue)
    assert [fields[0] for fields in again.seen[1:]] == ["5", "3", "53", "9", "15"]


def test_pacing_violations_get_100_and_the_third_disconnects(make_venue, join):
    venue = make_venue({"switches": {"pacing": "reject", "pacing_limit": 10}})
    peer = join(venue)
    for _ in range(11):
        seen = peer.send("49", "1")
    assert seen[0][3] == "100"
    for _ in range(22):
        peer.send("49", "1")
    assert peer.session.closed


def test_a_stream_that_lost_bytes_while_stalled_is_closed(make_venue):
    stall = {"on": "reqCurrentTime", "nth": 1, "do": "stall", "seconds": 5}
    venue = make_venue({"fault": [stall]}, clock="manual")
    session = Session(venue, Limits(max_unsent=400))
    session.feed(b"API\0" + pack(b"v157..178"))
    session.take()
    session.feed(pack_fields(["71", "2", "1", ""]))
    session.take()
    session.feed(pack_fields(["49", "1"]) * 40)
    assert not session.closed
    venue.clock.advance(5)
    assert session.closed
    assert session.reason.startswith("slow reader")
