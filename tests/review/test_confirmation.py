from __future__ import annotations

import pandas as pd
import pytest

from stocklean_exec.review.confirmation import phrase_for, shown_hash


@pytest.fixture
def plan():
    return pd.DataFrame(
        {
            "client_order_id": ["r-SPY-BUY", "r-TLT-BUY"],
            "symbol": ["SPY", "TLT"],
            "side": "BUY",
            "quantity": [10.0, 20.0],
            "order_type": "MKT",
            "limit_price": float("nan"),
            "tif": "DAY",
            "decision_price": [100.0, 50.0],
            "verdict": ["pass", "warn"],
            "reasons": [None, "wide_spread"],
            "approved": [True, False],
            "approved_by": ["ann", None],
        }
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("client_order_id", "r-SPY-BUY-2"),
        ("symbol", "SPX"),
        ("side", "SELL"),
        ("quantity", 11.0),
        ("order_type", "LMT"),
        ("limit_price", 99.0),
        ("tif", "GTC"),
        ("decision_price", 101.0),
        ("verdict", "block"),
        ("reasons", "max_notional"),
        ("approved", False),
    ],
)
def test_whatever_a_person_sees_is_part_of_the_fingerprint(plan, column, value):
    before = shown_hash(plan, "DU0000001", "PAPER")
    plan[column] = plan[column].astype(object)
    plan.loc[0, column] = value
    assert shown_hash(plan, "DU0000001", "PAPER") != before


def test_so_are_the_account_and_the_kind_of_broker(plan):
    made = {shown_hash(plan, account, badge) for account in ("DU1", "U1") for badge in ("PAPER", "LIVE")}
    assert len(made) == 4


def test_who_approved_is_not_so_that_a_phrase_in_a_cell_fits_on_another_day(plan):
    assert shown_hash(plan, "DU1", "PAPER") == shown_hash(plan.assign(approved_by="bob"), "DU1", "PAPER")


def test_the_phrase_tells_how_many_go_where():
    assert phrase_for(2, "MOCK", "DU0000001", "abcdef") == "SUBMIT 2 MOCK abcd"
    assert phrase_for(2, "LIVE", "U7654321", "abcdef") == "SUBMIT 2 LIVE 321 abcd"
