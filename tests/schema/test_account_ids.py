from __future__ import annotations

from stocklean_exec.brokers import base
from stocklean_exec.schema import account_ids


def test_the_broker_module_exports_the_same_rules():
    assert base.is_paper_account is account_ids.is_paper_account
    assert base.mask_account is account_ids.mask_account


def test_no_more_than_five_characters_of_an_account_are_shown():
    assert account_ids.mask_account("DU1234567").replace("*", "") == "DU567"


def test_accounts_within_a_text_are_masked_and_words_like_them_are_not():
    text = "U1234567 and DF7654321, not U123 nor FU12345678X; and I-am-one"
    assert account_ids.mask_accounts_in(text, "I-am-one") == (
        "U1***567 and DF***321, not U123 nor FU12345678X; and I-***one"
    )


def test_only_an_id_of_the_form_of_a_paper_account_is_one():
    accounts = ["DU1234567", "DF7654321", "U1234567", "DUMMY", "xDU1234567", ""]
    assert [account_ids.is_paper_account(account) for account in accounts] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
