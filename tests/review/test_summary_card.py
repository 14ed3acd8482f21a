from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.review.summary_card import outcome_text, review_card

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def review():
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": ["SPY", "BIG", "GONE"],
            "side": "BUY",
            "quantity": [10.0, 300.0, float("nan")],
            "order_type": ["LMT", "MKT", "MKT"],
            "limit_price": [99.5, None, None],
            "decision_price": [100.0, 10.0, None],
            "current_quantity": 0.0,
            "status": ["NEW", "NEW", "REJECTED"],
            "reason": [None, None, "price_unavailable"],
            "account": "DU1234567",
            "note": [HOSTILE, "x" * 500, None],
            "score": [1.5, 2.5, None],
        }
    )
    limits = sx.Limits(max_order_notional=2_500)
    checked = sx.check_orders(orders, limits, quotes={"SPY": 100.0, "BIG": 10.0}, cash=5_000.0)
    return sx.review_orders(checked, by="ann")


def test_the_card_escapes_text_and_is_reproducible(review):
    made = review_card(review)
    assert made == review_card(review)
    assert "<script" not in made
    assert "PAPER" in made
    assert "DU1234567" not in made
    assert "unknown" in made  # the spread cost, without a two-sided quote
    assert "Static snapshot" in made


def test_the_outcome_of_a_started_run_says_how_to_view_it():
    text = outcome_text(SimpleNamespace(run_id="r", view=lambda: None))
    assert text == "run r is under way; review.outcome.view() in a cell shows it and can stop it"
    assert outcome_text("all is well") == "'all is well'"


def test_final_statuses_are_counted_by_name():
    states = pd.DataFrame({"status": ["FILLED", "REJECTED", "FILLED"]})
    assert outcome_text(states) == "2 FILLED, 1 REJECTED"
