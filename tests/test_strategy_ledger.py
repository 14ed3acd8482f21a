"""Random weeks of strategies keep the shares and the cents of the account; see :mod:`tests.strategy_ledger`."""

import pytest

from tests.strategy_ledger import Week


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 19])
def test_the_sums_of_a_random_week_are_the_accounts(seed):
    week = Week(seed).run()
    assert week.filled > 0


def test_a_seed_is_always_the_same_week():
    assert Week(5).names == Week(5).names
    assert Week(5).shares == Week(5).shares
