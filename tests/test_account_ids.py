from __future__ import annotations

from stocklean_exec import account_ids, broker


def test_the_broker_module_hands_out_the_same_rules():
    assert broker.is_paper_account is account_ids.is_paper_account
    assert broker.mask_account is account_ids.mask_account


def test_no_more_than_five_characters_of_an_account_are_shown():
    assert account_ids.mask_account("DU1234567").replace("*", "") == "DU567"
