from stocklean_exec.simulator.server.outbox import Outbox


def box(most=1000):
    overflows, writes = [], []
    return Outbox(most, on_write=lambda: writes.append(1), on_overflow=overflows.append), overflows, writes


def test_written_bytes_are_taken_once_and_in_order():
    out, _, writes = box()
    out.write(b"a")
    out.emit(b"b")
    assert out.take() == [b"ab"]
    assert out.take() == []
    assert len(writes) == 2


def test_a_frame_can_be_delayed_behind_others():
    out, _, _ = box()
    out.delay(b"late", behind=2)
    for frame in (b"1", b"2", b"3"):
        out.emit(frame)
    assert out.take() == [b"12late3"]


def test_delayed_frames_are_written_at_the_next_flush():
    out, _, _ = box()
    out.delay(b"late", behind=9)
    out.flush()
    assert out.take() == [b"late"]


def test_a_stalled_connection_keeps_its_bytes():
    out, _, _ = box()
    out.stalled = True
    out.write(b"a")
    assert out.take() == []
    out.stalled = False
    assert out.take() == [b"a"]


def test_too_many_queued_bytes_are_reported_with_their_number():
    out, overflows, _ = box(most=10)
    out.write(b"x" * 10)
    out.write(b"y")
    assert overflows == [11]
    assert out.take() == []


def test_bytes_can_be_written_one_by_one():
    out, _, _ = box()
    out.write_separately(b"abc")
    assert out.take() == [b"a", b"b", b"c"]
    out.write(b"d")
    out.write(b"e")
    assert out.take() == [b"de"]
