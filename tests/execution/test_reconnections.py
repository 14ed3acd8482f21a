from __future__ import annotations

import pytest

from stocklean_exec.execution.reconnections import Reconnections


def test_the_first_loss_is_reconnected_at_once_with_all_of_the_patience():
    tries = Reconnections(30.0)
    assert tries.number == 0
    assert tries.next_pause("nothing sent", 5.0) == (0.0, 30.0)


def test_pauses_double_up_to_five_seconds_while_nothing_comes_of_it():
    tries = Reconnections(1_000.0)
    pauses = [tries.next_pause("stuck", 0.0)[0] for _ in range(9)]
    assert pauses == pytest.approx([0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_a_pause_ends_with_the_patience_and_then_nothing_is_tried():
    tries = Reconnections(10.0)
    tries.next_pause("stuck", 0.0)
    assert tries.next_pause("stuck", 9.9) == pytest.approx((0.1, 0.1))
    assert tries.next_pause("stuck", 10.0) is None
    assert tries.number == 2


def test_progress_gives_the_whole_patience_again():
    tries = Reconnections(10.0)
    for now in (0.0, 4.0, 9.0):
        tries.next_pause((1, 0), now)
    assert tries.next_pause((2, 0), 9.5) == (0.0, 10.0)
    assert tries.number == 0
    assert tries.next_pause((2, 0), 12.0) == pytest.approx((0.2, 7.5))
