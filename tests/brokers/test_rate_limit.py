"""The pacer in virtual time: nothing here waits."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklean_exec.brokers.rate_limit import DEFAULT_BURST, DEFAULT_RATE, Pacer


class VirtualTime:
    def __init__(self, late=0.0):
        self.now, self.late = 0.0, late

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds + self.late
        await asyncio.sleep(0)


def send(count, time, pacer, pauses=()):
    """Times at which ``count`` messages are sent."""
    sent = []

    async def run():
        for number in range(count):
            time.now += pauses[number] if number < len(pauses) else 0.0
            async with pacer.turn():
                pacer.spend()
                sent.append(time.now)

    asyncio.run(run())
    return sent


def most_within(times, seconds):
    return max(sum(start <= other < start + seconds for other in times) for start in times)


def test_the_defaults_add_up_to_ibs_fifty_messages_a_second():
    assert (DEFAULT_RATE, DEFAULT_BURST) == (45.0, 5)
    assert DEFAULT_RATE + DEFAULT_BURST == 50
    pacer = Pacer()
    assert (pacer.rate, pacer.burst) == (45.0, 5)


def test_a_thousand_messages_never_exceed_ibs_fifty_a_second():
    time = VirtualTime()
    times = send(1_000, time, Pacer(clock=time.clock, sleep=time.sleep))
    assert most_within(times, 1.0) <= 50
    assert times[-1] == pytest.approx((1_000 - DEFAULT_BURST) / DEFAULT_RATE)


@pytest.mark.slow
@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0, 0.2))
def test_the_limit_is_kept_with_any_pauses_and_delays(pauses, late):
    time = VirtualTime(late)
    times = send(120, time, Pacer(clock=time.clock, sleep=time.sleep), pauses)
    assert most_within(times, 1.0 - 1e-9) <= 50


def test_late_wake_ups_do_not_reduce_the_message_rate():
    time = VirtualTime(late=0.05)
    times = send(450, time, Pacer(clock=time.clock, sleep=time.sleep))
    assert 450 / times[-1] >= 0.97 * DEFAULT_RATE


def test_a_message_sent_outside_a_turn_delays_the_next_turn():
    time = VirtualTime()
    pacer = Pacer(10, burst=1, clock=time.clock, sleep=time.sleep)

    async def run():
        pacer.spend()
        pacer.spend()
        pacer.spend()  # two more than the bucket holds
        async with pacer.turn():
            pacer.spend()

    asyncio.run(run())
    assert time.now == pytest.approx(0.3)
    assert pacer.sent == 4


def test_many_senders_at_once_keep_the_limit_together():
    time = VirtualTime()
    pacer = Pacer(45, clock=time.clock, sleep=time.sleep)
    times = []

    async def one():
        async with pacer.turn():
            pacer.spend()
            times.append(time.now)

    async def run():
        await asyncio.gather(*(one() for _ in range(200)))

    asyncio.run(run())
    assert most_within(times, 1.0) <= 50
    assert len(times) == 200


def test_a_rate_of_zero_is_no_limit():
    time = VirtualTime()
    assert send(1_000, time, Pacer(0, clock=time.clock, sleep=time.sleep))[-1] == 0.0


def test_a_cancelled_waiting_sender_gives_its_turn_to_the_next():
    async def run():
        pacer = Pacer(1_000, burst=1)
        pacer.spend()
        first = asyncio.create_task(_hold(pacer))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        async with pacer.turn():
            pacer.spend()
        return pacer.sent

    assert asyncio.run(run()) == 2


async def _hold(pacer):
    async with pacer.turn():
        await asyncio.Event().wait()


@pytest.mark.parametrize(("rate", "burst"), [(-1, 5), (float("nan"), 5), (float("inf"), 5), (45, 0)])
def test_an_invalid_limit_is_an_error(rate, burst):
    with pytest.raises(ValueError, match="cannot be kept"):
        Pacer(rate, burst=burst)
