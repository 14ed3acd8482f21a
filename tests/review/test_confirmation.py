from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from stocklean_exec.errors import ApprovalError
from stocklean_exec.review.confirmation import Confirmation, check_confirmation, phrase_for, plan_fingerprint


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
def test_every_displayed_column_is_part_of_the_fingerprint(plan, column, value):
    before = plan_fingerprint(plan, "DU0000001", "PAPER")
    plan[column] = plan[column].astype(object)
    plan.loc[0, column] = value
    assert plan_fingerprint(plan, "DU0000001", "PAPER") != before


def test_the_account_and_the_kind_of_broker_are_part_of_the_fingerprint(plan):
    fingerprints = {
        plan_fingerprint(plan, account, badge) for account in ("DU1", "U1") for badge in ("PAPER", "LIVE")
    }
    assert len(fingerprints) == 4


def test_the_approver_is_not_part_of_it_so_a_phrase_kept_in_a_cell_still_matches_later(plan):
    by_bob = plan.assign(approved_by="bob")
    assert plan_fingerprint(plan, "DU1", "PAPER") == plan_fingerprint(by_bob, "DU1", "PAPER")


def test_the_phrase_states_the_number_of_orders_and_their_destination():
    assert phrase_for(2, "MOCK", "DU0000001", "abcdef") == "SUBMIT 2 MOCK abcd"
    assert phrase_for(2, "LIVE", "U7654321", "abcdef") == "SUBMIT 2 LIVE 321 abcd"


SHOWN = Confirmation("SUBMIT 2 MOCK abcd", 2, "MOCK", "abcdef", "token", datetime(2026, 11, 23, 15, 0, tzinfo=UTC))


def at_second(seconds, **changes):
    return SHOWN._replace(at=SHOWN.at + timedelta(seconds=seconds), **changes)


def test_a_confirmation_is_valid_for_two_minutes():
    check_confirmation(SHOWN, at_second(120))
    with pytest.raises(ApprovalError, match=r"requested 121 s ago; the limit is 120 s; please confirm again"):
        check_confirmation(SHOWN, at_second(121))


def test_a_confirmation_of_another_plan_is_refused():
    with pytest.raises(ApprovalError, match="the plan changed after this confirmation was requested"):
        check_confirmation(SHOWN, at_second(1, plan_fingerprint="abcdff"))
