import time

import pytest

from stocklean_exec.simulator.clock import DEFAULT_START, Clock, local_time, parse_instant


def test_a_virtual_clock_jumps_over_waits_in_order():
    clock, seen = Clock("virtual", start=0.0), []
    clock.schedule(10.0, lambda: seen.append(("b", clock.now())))
    clock.schedule(5.0, lambda: clock.schedule(1.0, lambda: seen.append(("a", clock.now()))))
    clock.run_due()
    assert seen == [("a", 6.0), ("b", 10.0)]


def test_a_virtual_clock_does_not_jump_to_the_calendar_but_passes_it():
    clock, seen = Clock("virtual", start=0.0), []
    clock.schedule(5.0, lambda: seen.append("calendar"), work=False)
    clock.run_due()
    assert (seen, clock.now()) == ([], 0.0)
    clock.schedule(6.0, lambda: seen.append("work"))
    clock.run_due()
    assert seen == ["calendar", "work"]


def test_each_request_advances_a_virtual_clock():
    clock = Clock("virtual", start=0.0, step=0.5)
    clock.tick()
    clock.tick()
    assert clock.now() == 1.0


def test_a_manual_clock_advances_only_on_demand():
    clock, seen = Clock("manual", start=0.0), []
    clock.schedule(5.0, lambda: seen.append(clock.now()))
    clock.run_due()
    clock.tick()
    assert seen == []
    clock.advance(10.0)
    assert seen == [5.0]
    with pytest.raises(ValueError, match="cannot be moved"):
        clock.advance(-1.0)


def test_a_brisk_clock_jumps_over_waits_from_the_present_and_never_goes_back():
    clock, seen = Clock("brisk"), []
    before = time.time()
    clock.schedule(3600.0, lambda: seen.append(clock.now()))
    clock.schedule(7200.0, lambda: seen.append("calendar"), work=False)
    clock.run_due()
    assert len(seen) == 1
    assert before + 3600.0 <= seen[0] <= time.time() + 3600.0
    assert clock.now() >= seen[0]
    clock.advance(3630.0)  # the computer may have taken its time between the two events
    assert seen[1:] == ["calendar"]
    assert before + 7230.0 <= clock.now() <= time.time() + 7230.0


def test_a_cancelled_event_is_removed():
    clock, seen = Clock("virtual", start=0.0), []
    clock.schedule(5.0, lambda: seen.append(1)).cancel()
    assert clock.next_due() is None
    clock.run_due()
    assert seen == []


def test_events_at_the_same_time_keep_their_order():
    clock, seen = Clock("manual", start=0.0), []
    for number in range(5):
        clock.schedule(1.0, lambda number=number: seen.append(number))
    clock.advance(1.0)
    assert seen == [0, 1, 2, 3, 4]


def test_a_wall_clock_is_the_computers_and_cannot_be_advanced():
    clock = Clock("wall")
    assert abs(clock.now() - time.time()) < 5
    with pytest.raises(ValueError, match="wall"):
        clock.advance(1.0)
    clock.schedule(100.0, lambda: None)
    assert 99 < clock.next_due() <= 100


def test_the_default_start_is_a_trading_morning_in_new_york():
    assert f"{local_time(DEFAULT_START, 'US/Eastern'):%A %Y-%m-%d %H:%M}" == "Thursday 2022-12-29 10:00"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("20221229 10:00:00 US/Eastern", 1672326000),
        ("20221229 10:00:00", 1672326000),
        ("20221229  10:00:00", 1672326000),
        ("20221229-15:00:00", 1672326000),
        ("2022-12-29 10:00:00", 1672326000),
        ("20221229 15:00:00 UTC", 1672326000),
        ("20221229", 1672290000),
    ],
)
def test_times_are_parsed_in_every_format_of_tws(text, instant):
    assert parse_instant(text, "US/Eastern") == instant


@pytest.mark.parametrize(
    "text", ["", "noon", "20221332 10:00:00", "20221229 10:00:00 Mars/Olympus", "20221229 x/../y"]
)
def test_an_invalid_time_is_an_error(text):
    with pytest.raises(ValueError, match="is no"):
        parse_instant(text, "US/Eastern")
