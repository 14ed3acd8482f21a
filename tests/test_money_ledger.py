"""Random accounts and an independent ledger of their money; STOCKLEAN_LEDGER=N tries N of them."""

import os

import pytest

from tests.money_ledger import audit, make_account

COUNT = int(os.environ.get("STOCKLEAN_LEDGER", "12"))


@pytest.mark.slow
def test_random_accounts_agree_with_the_ledger(tmp_path):
    wrong = {seed: found for seed in range(COUNT) if (found := audit(seed, tmp_path))}
    assert not wrong, "python -m tests.money_ledger 1 SEED replays one"


def test_every_kind_of_account_is_drawn():
    drawn = [make_account(seed) for seed in range(200)]
    assert {one.base for one in drawn} == {"USD", "EUR", "GBP", "JPY", "CAD"}
    assert {one.kind for one in drawn} == {"cash", "margin"}
    assert {name for one in drawn for name in one.limits} >= {"max_order_notional", "max_day_notional"}
    assert any(len(one.cash) > 1 for one in drawn)
    assert any(one.shorts for one in drawn)
    assert any(one.others for one in drawn)
