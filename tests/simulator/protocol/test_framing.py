import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.simulator.protocol.framing import FrameError, FrameReader, pack, pack_fields, split_fields

PAYLOADS = [b"61\x001\x00", b"", b"9\x001\x0043\x00", b"x" * 300]
STREAM = b"".join(map(pack, PAYLOADS))


def test_whole_split_and_trailing_reads_agree():
    whole = FrameReader()
    whole.feed(STREAM + b"\x00\x00")
    assert list(whole.payloads()) == PAYLOADS
    assert whole.unread == 2
    single = FrameReader()
    found = []
    for number in range(len(STREAM)):
        single.feed(STREAM[number : number + 1])
        found += single.payloads()
    assert found == PAYLOADS


@pytest.mark.slow
@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 40), min_size=1))
def test_any_chunks_give_the_same_payloads(payloads, portions):
    stream, reader, found, at, turn = b"".join(map(pack, payloads)), FrameReader(), [], 0, 0
    while at < len(stream):
        size = portions[turn % len(portions)]
        reader.feed(stream[at : at + size])
        found += reader.payloads()
        at, turn = at + size, turn + 1
    assert found == payloads


def test_a_frame_above_the_limit_is_refused_with_both_sizes():
    reader = FrameReader(max_frame=10)
    reader.feed(pack(b"y" * 10) + b"\x00\x00\x00\x0b")
    assert reader.next_payload() == b"y" * 10
    with pytest.raises(FrameError) as caught:
        reader.next_payload()
    assert (caught.value.length, caught.value.bound) == (11, 10)


def test_bytes_before_the_first_frame_can_be_taken():
    reader = FrameReader()
    reader.feed(b"AP")
    assert reader.take(4) is None
    reader.feed(b"I\0" + pack(b"v1"))
    assert reader.take(4) == b"API\0"
    assert reader.next_payload() == b"v1"


def test_fields_end_with_nul_which_the_last_may_lack():
    assert split_fields(b"4\x00\x00a b\x00") == ["4", "", "a b"]
    assert split_fields(b"4\x005") == ["4", "5"]
    assert split_fields(b"\xff\x00") == ["\\xff"]


def test_a_nul_inside_a_field_does_not_shift_the_others():
    assert split_fields(pack_fields(["4", "a\0b", "c"])[4:]) == ["4", "a b", "c"]
