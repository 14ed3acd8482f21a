from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.review.summary_card import outcome_text, review_card
from tests.review.previewed_orders import review_previewed_orders
from tests.review.three_orders import review_three_orders


@pytest.fixture
def review():
    return review_three_orders()


def test_the_card_escapes_text_and_is_reproducible(review):
    made = review_card(review)
    assert made == review_card(review)
    assert "<script" not in made
    assert "PAPER" in made
    assert "DU1234567" not in made
    assert "unknown" in made  # the spread cost, without a two-sided quote
    assert "Static snapshot" in made


def test_the_card_names_the_limits_that_are_off(review):
    assert "limits off" in review_card(review)
    for name in review.limits.off:
        assert name in review_card(review)
    assert {"max_day_notional", "max_order_quantity"} <= set(review.limits.off)


def test_the_card_says_how_the_orders_are_worked(review):
    assert "worked" not in review_card(review)
    review.work = sx.WorkPolicy(deadline=60, at_deadline="leave")
    assert "after 60 s left working" in review_card(review)
    assert "order efficiency ratio" in review_card(review)


def test_the_outcome_of_a_started_run_says_how_to_view_it():
    text = outcome_text(SimpleNamespace(run_id="r", view=lambda: None))
    assert text == "run r is under way; review.outcome.view() in a cell shows it and can stop it"
    assert outcome_text("all is well") == "'all is well'"


def test_final_statuses_are_counted_by_name():
    states = pd.DataFrame({"status": ["FILLED", "REJECTED", "FILLED"]})
    assert outcome_text(states) == "2 FILLED, 1 REJECTED"


def test_the_card_has_the_margin_and_what_it_rests_on_where_an_order_was_previewed(review):
    made = review_card(review_previewed_orders())
    assert "initial margin, at most" in made
    assert "1,600.00" in made
    assert "1 of 3 orders, the oldest of 2026-11-23 14:56:00 UTC" in made
    assert "margin, at most" not in review_card(review)
