"""Orders worked over time, on a clock that the test moves."""

import pytest

ALIVE = {"clock": "manual", "start": "2022-12-29 12:00:00"}


def executed(peer, seen=None):
    """Seconds after noon, shares and price of each execution."""
    peer.take()
    fills = [fields for fields in (peer.seen if seen is None else seen) if fields[0] == "11"]
    return [(fields[15].split()[1][3:], fields[19], fields[20]) for fields in fills]


def test_an_order_is_worked_in_parts_by_the_clock(connect, kinds):
    peer = connect(**ALIVE)
    seen = peer.place(1, quantity=60, algo=["Twap"])
    pair = ["oo {0}", "st {0}"]
    assert kinds(seen) == [text.format(name) for name in ("PreSubmitted", "Submitted") for text in pair]
    assert "Twap" in seen[0]
    peer.venue.clock.advance(25.0)
    assert executed(peer) == [("00:05", "10", "400.1"), ("00:15", "10", "400.1"), ("00:25", "10", "400.1")]
    assert kinds(peer.seen)[-4:] == ["ex", "oo Submitted", "st Submitted", "cm"]
    peer.venue.clock.advance(35.0)
    assert kinds(peer.take())[-6:] == ["ex", "oo Filled", "st Filled", "oo Filled", "st Filled", "cm"]
    assert len(executed(peer)) == 6


def test_virtual_clocks_jump_over_the_waits_of_an_algorithm(connect, kinds):
    peer = connect(start="2022-12-29 12:00:00")
    assert kinds(peer.place(1, quantity=60, algo=["Vwap"]))[-1] == "cm"
    assert [shares for _, shares, _ in executed(peer)] == ["12", "9", "9", "8", "9", "13"]  # of 3, 2, 2, 2, 2, 3


def test_an_order_waits_for_the_start_of_its_window(connect, kinds):
    peer = connect(**ALIVE)
    window = ["startTime", "12:10:00 US/Eastern", "endTime", "12:11:00 US/Eastern"]
    assert kinds(peer.place(1, quantity=60, algo=["Twap", *window])) == ["oo PreSubmitted", "st PreSubmitted"]
    peer.venue.clock.advance(601.0)
    assert kinds(peer.take()) == ["oo Submitted", "st Submitted"]
    peer.venue.clock.advance(60.0)
    assert [when for when, _, _ in executed(peer)][::5] == ["10:05", "10:55"]


@pytest.mark.parametrize(("past", "status"), [("0", "Cancelled"), ("1", "Filled")])
def test_what_is_left_at_the_end_dies_unless_it_may_go_on(connect, past, status):
    peer = connect(**ALIVE)
    params = ["endTime", "12:01:00 US/Eastern", "allowPastEndTime", past]
    peer.place(1, quantity=60, order_type="LMT", limit="400.00", algo=["Twap", *params])
    peer.venue.clock.advance(61.0)
    assert executed(peer, peer.take()) == []
    peer.venue.move("SPY", bid=399.8, ask=400.0)
    assert peer.venue.ledger.find(1, 1).status == status


def test_without_an_end_an_order_is_worked_on_as_its_plain_type(connect):
    peer = connect(**ALIVE)
    peer.place(1, quantity=60, order_type="LMT", limit="400.00", algo=["Twap"])
    peer.venue.clock.advance(90.0)
    peer.venue.move("SPY", bid=399.8, ask=400.0)
    assert executed(peer, peer.take()) == [("01:30", "60", "400.0")]


def test_a_move_of_the_market_does_not_bring_forward_what_is_not_due(connect):
    peer = connect(**ALIVE)
    peer.place(1, quantity=60, order_type="LMT", limit="400.00", algo=["Twap"])
    peer.venue.clock.advance(20.0)  # two parts of ten are due, and neither could trade
    peer.venue.move("SPY", bid=399.8, ask=400.0)
    assert executed(peer, peer.take()) == [("00:20", "20", "400.0")]


def test_a_cancelled_order_trades_no_more(connect):
    peer = connect(**ALIVE)
    peer.place(1, quantity=60, algo=["Twap"])
    peer.venue.clock.advance(25.0)
    peer.send("4", "1", "1", "")
    peer.venue.clock.advance(60.0)
    assert [shares for _, shares, _ in executed(peer)] == ["10", "10", "10"]


def test_a_smaller_quantity_counts_for_the_parts_to_come(connect):
    peer = connect(**ALIVE)
    peer.place(1, quantity=60, algo=["Twap"])
    peer.venue.clock.advance(25.0)  # 30 traded
    peer.place(1, quantity=42, algo=["Twap"])
    peer.venue.clock.advance(60.0)
    assert sum(int(shares) for _, shares, _ in executed(peer)) == 42
    assert peer.venue.ledger.find(1, 1).status == "Filled"


def test_a_clock_that_jumps_over_waits_stops_when_the_order_is_done(connect):
    peer = connect(start="2022-12-29 12:00:00")
    peer.place(1, quantity=60, algo=["ArrivalPx", "riskAversion", "Get Done", "endTime", "16:00:00 US/Eastern"])
    assert peer.venue.ledger.find(1, 1).status == "Filled"
    assert peer.venue.clock.now() - peer.venue.clock.started < 1.0


def test_a_window_that_is_over_is_warned_of(connect, kinds):
    peer = connect(**ALIVE)
    seen = peer.place(1, quantity=60, algo=["Twap", "endTime", "11:00:00 US/Eastern"])
    assert kinds(seen)[0] == "err 2111"
    peer.venue.clock.advance(23 * 3600.0)
    assert peer.venue.ledger.find(1, 1).status == "Filled"


def test_the_session_ends_a_window_without_an_end(connect):
    switches = {"switches": {"hours": "exchange"}}
    peer = connect(switches, clock="manual", start="2022-12-29 15:00:00")
    peer.place(1, quantity=60, algo=["Twap"])
    peer.venue.clock.advance(3601.0)
    assert [when for when, _, _ in executed(peer)] == ["05:00", "15:00", "25:00", "35:00", "45:00", "55:00"]


def test_a_schedule_survives_a_restart(make_venue, join, tmp_path):
    venue = make_venue(state=tmp_path / "state", **ALIVE)
    peer = join(venue)
    peer.place(1, quantity=60, algo=["Twap"])
    venue.clock.advance(25.0)
    venue.close()
    again = make_venue(state=tmp_path / "state", clock="manual", start="2022-12-29 12:00:30")
    again.clock.advance(40.0)
    assert [fill.quantity for fill in again.ledger.fills] == [10.0] * 6
    order = again.ledger.find(1, 1)
    assert (order.status, order.filled) == ("Filled", 60.0)
