"""Faults of requests and replies."""

import pytest

from stocklean_exec.simulator.protocol.framing import FrameReader

LIMIT = {"order_type": "LMT", "limit": "390.00"}


def fault(**entry):
    return {"fault": [entry]}


def test_a_request_that_was_not_read_has_no_effect(connect):
    peer = connect(fault(on="placeOrder", do="drop_before_read"))
    assert peer.place(1) == []
    assert peer.session.closed
    assert peer.venue.ledger.orders == {}


def test_a_request_can_be_lost_while_the_connection_stays_open(connect):
    peer = connect(fault(on="placeOrder", nth=1, do="swallow"))
    assert peer.place(1) == []
    assert peer.place(2) != []


def test_an_order_can_be_accepted_and_its_answers_lost_with_the_connection(connect, join):
    peer = connect(fault(on="placeOrder", do="drop_after_accept"))
    assert peer.place(1, order_ref="r") == []
    assert peer.session.closed
    again = join(peer.venue)
    sent = [fields for fields in again.send("7", "3", "9", "0", "", "", "", "", "", "") if fields[0] == "11"]
    assert [fields[26] for fields in sent] == ["r"]


def test_an_order_can_be_answered_before_the_connection_closes(connect, kinds):
    peer = connect(fault(on="placeOrder", do="drop_after_answer"))
    assert kinds(peer.place(1))[-1] == "cm"
    assert peer.session.closed


def test_a_request_can_be_delayed_or_overtaken(connect, kinds):
    peer = connect(fault(on="placeOrder", nth=1, do="hold", messages=1))
    assert peer.place(1) == []
    seen = peer.send("49", "1")
    assert kinds(seen)[0] == "49"
    assert kinds(seen)[-1] == "cm"
    late = connect(fault(on="placeOrder", do="delay", seconds=5), clock="manual")
    assert late.place(1) == []
    late.venue.clock.advance(5)
    assert kinds(late.take())[-1] == "cm"


def test_a_request_can_be_answered_with_an_error(connect):
    peer = connect(fault(on="reqExecutions", do="error", code=322, text="no"))
    assert [f[2:5] for f in peer.send("7", "3", "9", "0", "", "", "", "", "", "")] == [["9", "322", "no"]]


def test_a_deaf_server_stops_reading(connect):
    peer = connect(fault(on="reqCurrentTime", do="deaf"))
    assert peer.send("49", "1") == []
    assert peer.place(1) == []
    assert peer.venue.ledger.orders == {}


def test_a_stalled_server_continues_to_work_but_sends_nothing(connect):
    peer = connect(fault(on="placeOrder", do="stall"))
    assert peer.place(1) == []
    assert len(peer.venue.ledger.fills) == 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"do": "omit"}, ["oo", "st", "oo", "st", "oo", "st", "cm"]),
        ({"do": "duplicate", "copies": 2}, ["oo", "st", "ex", "ex", "ex", "oo", "st", "oo", "st", "cm"]),
        ({"do": "reorder", "messages": 2}, ["oo", "st", "oo", "st", "ex", "oo", "st", "cm"]),
        ({"do": "delay", "seconds": 1}, ["oo", "st", "oo", "st", "oo", "st", "cm", "ex"]),
        ({"do": "garbage"}, ["oo", "st", "999", "ex", "oo", "st", "oo", "st", "cm"]),
        ({"do": "close_before"}, ["oo", "st"]),
        ({"do": "close_after"}, ["oo", "st", "ex"]),
        ({"do": "cut"}, ["oo", "st"]),
        ({"do": "announce", "bytes": 900_000}, ["oo", "st"]),
        ({"do": "split"}, ["oo", "st", "ex", "oo", "st", "oo", "st", "cm"]),
        ({"do": "huge", "bytes": 5000}, ["oo", "st", "999", "ex", "oo", "st", "oo", "st", "cm"]),
    ],
)
def test_a_fault_of_a_reply_changes_what_arrives(connect, kinds, entry, expected):
    peer = connect(fault(on="execDetails", **entry))
    assert [name.split()[0] for name in kinds(peer.place(1))] == expected


def test_a_cut_frame_is_sent_only_in_half(connect):
    peer = connect(fault(on="execDetails", do="cut"))
    peer.place(1)
    assert peer.reader.unread > 50
    assert peer.session.closed


def test_single_bytes_are_separate_chunks(connect):
    peer = connect(fault(on="currentTime", do="split"))
    peer.session.feed(b"\x00\x00\x00\x0549\x001\x00")
    chunks = peer.session.take_chunks()
    assert {len(chunk) for chunk in chunks} == {1}
    reader = FrameReader()
    reader.feed(b"".join(chunks))
    assert len(list(reader.payloads())) == 1


def test_fields_can_be_edited_by_name(connect):
    peer = connect(fault(on="execDetails", do="edit", set={"time": "20221229-15:00:00", "cumQty": 7}))
    execution = next(fields for fields in peer.place(1) if fields[0] == "11")
    assert (execution[15], execution[24]) == ("20221229-15:00:00", "7")


def test_a_missing_end_message_keeps_its_query_open(connect):
    peer = connect(fault(on="openOrderEnd", do="omit"))
    assert peer.send("5", "1") == []


def test_two_faults_of_one_reply_act_together(connect, kinds):
    faults = [
        {"on": "execDetails", "do": "edit", "set": {"orderRef": "x"}},
        {"on": "exec*", "do": "duplicate"},
    ]
    seen = connect({"fault": faults}).place(1)
    assert [fields[26] for fields in seen if fields[0] == "11"] == ["x", "x"]


def test_applied_faults_are_noted(connect):
    peer = connect(fault(on="execDetails", do="omit", order_ref="r*"))
    peer.place(1, order_ref="other")
    peer.place(2, order_ref="r2")
    assert [note for note in peer.session.notes if "fault" in note] == ["fault omit on execDetails"]


@pytest.mark.parametrize("do", ["drop_after_read", "delay"])
def test_a_received_request_is_processed_after_the_connection_has_ended(connect, join, do):
    peer = connect(fault(on="placeOrder", do=do, seconds=5), clock="manual")
    assert peer.place(1, order_ref="r") == []
    peer.session.eof()
    assert peer.venue.ledger.orders == {}
    peer.venue.clock.advance(5)
    assert [one.order_ref for one in peer.venue.ledger.fills] == ["r"]
    again = join(peer.venue)
    sent = [fields for fields in again.send("7", "3", "9", "0", "", "", "", "", "", "") if fields[0] == "11"]
    assert [fields[26] for fields in sent] == ["r"]


def test_the_connection_can_be_lost_between_an_execution_and_its_commission(connect, kinds):
    peer = connect(fault(on="commissionReport", do="close_before"))
    assert kinds(peer.place(1))[-1] == "st Filled"
    assert peer.session.closed


def test_a_deaf_server_can_resume_and_then_reads_everything_in_order(connect, kinds):
    peer = connect(fault(on="placeOrder", nth=1, do="deaf", seconds=5), clock="manual")
    assert peer.place(1, order_ref="a") == []
    assert peer.place(2, order_ref="b") == []
    assert peer.venue.ledger.orders == {}
    peer.venue.clock.advance(5)
    assert [one.order_ref for one in peer.venue.ledger.fills] == ["a", "b"]
    assert kinds(peer.take())[-1] == "cm"
    assert kinds(peer.place(3))[-1] == "cm"


def test_a_stalled_server_can_resume_and_has_lost_nothing(connect, kinds):
    peer = connect(fault(on="execDetails", nth=1, do="stall", seconds=5), clock="manual")
    seen = peer.place(1)
    peer.venue.clock.advance(5)
    assert [name.split()[0] for name in kinds(seen + peer.take())] == [
        *["oo", "st", "ex", "oo", "st", "oo", "st", "cm"]
    ]


def test_an_announced_frame_swallows_the_following_frames(connect):
    peer = connect(fault(on="execDetails", do="announce", bytes=1 << 20))
    seen = peer.place(1)
    assert [fields[0] for fields in seen] == ["5", "3"]
    assert not peer.session.closed
    assert peer.reader.unread > 500


def test_a_fault_with_a_chance_applies_to_some_messages(connect, kinds):
    peer = connect(fault(on="orderStatus", do="duplicate", chance=0.5), client_id=1)
    counts = {len([f for f in peer.place(number) if f[0] == "3"]) for number in range(1, 20)}
    assert counts <= {3, 4, 5, 6}
    assert len(counts) > 1
