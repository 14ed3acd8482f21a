from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.risk.findings import Findings
from stocklean_exec.risk.margins import MarginPreview, check_margins, note_unpreviewed, read_previews

NAN = math.nan


def table(**changes):
    columns = {
        "client_order_id": ["a", "b", "c", "d"],
        "quantity": 10.0,
        "limit_price": [NAN, 5.0, NAN, NAN],
        "preview": ["ok", "refused", "no_answer", "not_previewed"],
        "initial_margin_after": [1_000.0, NAN, NAN, NAN],
        "excess_liquidity_after": [500.0, NAN, NAN, NAN],
        "message": [None, "too large (201)", "late", None],
    }
    return pd.DataFrame(columns | changes)


def reasons(previews, quantity=10.0, limit=NAN, **limits):
    findings = Findings(1)
    check_margins(findings, ["a"], np.array([quantity]), np.array([limit]), sx.Limits(**limits), previews)
    return findings.reasons()


def preview(margin=1_000.0, excess=500.0, refusal="", limit=None):
    return {"a": MarginPreview(10.0, limit, margin, excess, refusal)}


def test_only_answers_and_refusals_are_read_and_a_number_that_was_not_said_is_none():
    assert read_previews(table()) == {
        "a": MarginPreview(10.0, None, 1_000.0, 500.0, ""),
        "b": MarginPreview(10.0, 5.0, None, None, "too large (201)"),
    }
    assert read_previews(table(message=None))["b"].refusal == "refused"
    assert read_previews(None) == {}


@pytest.mark.parametrize("other", [table().drop(columns="message"), {"a": 1}, 5])
def test_what_is_no_table_of_previews_is_an_error(other):
    with pytest.raises(InputError, match="not a table of preview_orders"):
        read_previews(other)


def test_margin_and_excess_liquidity_are_compared_with_their_limits():
    assert reasons(preview(), max_initial_margin=1_000.0, min_excess_liquidity=500.0) == [None]
    assert reasons(preview(), max_initial_margin=999.0) == ["max_initial_margin"]
    assert reasons(preview(), min_excess_liquidity=501.0) == ["min_excess_liquidity"]
    assert reasons({}, max_initial_margin=1.0) == [None]
    assert reasons(preview()) == [None]


def test_a_refusal_blocks_whatever_the_limits_are():
    assert reasons(preview(refusal="no margin (201)")) == ["preview_refused"]


def test_a_preview_of_other_terms_does_not_count_and_is_a_warning():
    assert reasons(preview(), quantity=11.0, max_initial_margin=1.0) == ["preview_outdated"]
    assert reasons(preview(refusal="no"), limit=5.0) == ["preview_outdated"]
    assert reasons(preview(limit=5.0), limit=5.0, max_initial_margin=1.0) == ["max_initial_margin"]
    assert reasons(preview(), quantity=0.0) == [None]  # an order that was rejected


def test_a_preview_of_another_quantity_counts_as_outdated_for_a_part_of_a_share_too():
    assert reasons(preview(), quantity=0.5) == ["preview_outdated"]


def test_the_value_of_an_outdated_preview_is_the_quantity_that_was_previewed():
    findings = Findings(1)
    check_margins(findings, ["a"], np.array([11.0]), np.array([5.0]), sx.Limits(), preview(limit=5.0))
    assert findings.held_against([0])["preview_outdated"][1] == [10.0]


def test_an_empty_plan_is_checked_with_previews_of_other_orders():
    orders = sx.plan_orders({"A": 0.5}, None, {"A": 10.0}, nav=1_000, run_id="r").iloc[:0]
    checked = sx.check_orders(orders, previews=table(), quotes={"A": 10.0}, cash=1_000)
    assert checked["verdict"].tolist() == []


def test_a_margin_that_the_broker_did_not_say_is_a_warning_where_it_is_limited():
    assert reasons(preview(None, None)) == [None]
    assert reasons(preview(None, 500.0), max_initial_margin=1.0) == ["margin_unknown"]
    assert reasons(preview(1.0, None), min_excess_liquidity=1.0) == ["margin_unknown"]
    assert reasons(preview(1.0, None), max_initial_margin=1.0) == [None]


def noted(count, previews, **limits):
    ids = [f"o{number}" for number in range(count)]
    quantity = np.full(count, 5.0)
    return [row["detail"] for row in note_unpreviewed(sx.Limits(**limits), ids, quantity, previews)]


def test_what_all_orders_together_need_is_said_to_be_unknown():
    one = {"o0": MarginPreview(5.0, None, 1.0, 1.0, "")}
    (text,) = noted(3, one, max_initial_margin=1.0)
    assert text.startswith("1 of 3 orders have a preview of their margin, each alone")
    assert "UNKNOWN" in text
    assert noted(1, one, min_excess_liquidity=1.0) == []  # one order, and the broker has judged it
    (text,) = noted(1, {}, min_excess_liquidity=1.0)
    assert "previews=sx.preview_orders(orders, broker)" in text
    assert noted(3, one) == []
    assert noted(0, {}, max_initial_margin=1.0) == []
