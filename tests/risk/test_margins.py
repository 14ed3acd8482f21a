from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.risk.findings import Findings
from stocklean_exec.risk.margins import (
    AccountMargin,
    MarginPreview,
    account_before,
    check_margins,
    current_previews,
    note_assumptions,
    read_previews,
)

NAN = math.nan
AT = 1_795_532_400.0


def table(**changes):
    columns = {
        "client_order_id": ["a", "b", "c", "d"],
        "quantity": 10.0,
        "limit_price": [NAN, 5.0, NAN, NAN],
        "preview": ["ok", "refused", "no_answer", "not_previewed"],
        "initial_margin_before": [400.0, NAN, NAN, NAN],
        "initial_margin_after": [1_000.0, NAN, NAN, NAN],
        "maintenance_margin_before": [300.0, NAN, NAN, NAN],
        "maintenance_margin_after": [600.0, NAN, NAN, NAN],
        "excess_liquidity_before": [801.0, NAN, NAN, NAN],
        "excess_liquidity_after": [500.0, NAN, NAN, NAN],
        "commission": [1.0, NAN, NAN, NAN],
        "commission_currency": ["USD", None, None, None],
        "message": [None, "too large (201)", "late", None],
        "previewed_at": pd.to_datetime([AT, None, None, None], unit="s", utc=True),
    }
    return pd.DataFrame(columns | changes)


def reasons(previews, quantity=10.0, limit=NAN, account=None, **limits):
    findings, now = Findings(1), account or AccountMargin()
    check_margins(findings, ["a"], np.array([quantity]), np.array([limit]), sx.Limits(**limits), previews, now)
    return findings.reasons()


def preview(margin=1_000.0, excess=500.0, refusal="", limit=None):
    return {"a": MarginPreview(10.0, limit, margin, excess, refusal)}


def test_only_answers_and_refusals_are_read_and_a_number_that_was_not_said_is_none():
    assert read_previews(table()) == {
        "a": MarginPreview(10.0, None, 1_000.0, 500.0, "", 400.0, 600.0, 300.0, 801.0, 1.0, "USD", AT),
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
    check_margins(
        findings, ["a"], np.array([11.0]), np.array([5.0]), sx.Limits(), preview(limit=5.0), AccountMargin()
    )
    assert findings.held_against([0])["preview_outdated"][1] == [10.0]


def test_an_empty_plan_is_checked_with_previews_of_other_orders():
    orders = sx.plan_orders({"A": 0.5}, None, {"A": 10.0}, nav=1_000, run_id="r").iloc[:0]
    checked = sx.check_orders(orders, previews=table(), quotes={"A": 10.0}, cash=1_000)
    assert checked["verdict"].tolist() == []


def test_a_preview_of_an_account_that_has_traded_since_does_not_count_and_is_a_warning():
    previews = {"a": preview()["a"]._replace(initial_margin_before=1_000.0)}
    for now, expected in (
        (1_052.0, None),
        (1_053.0, "preview_outdated"),
        (951.0, None),
        (949.0, "preview_outdated"),
    ):
        assert reasons(previews, account=AccountMargin(now)) == [expected]
    nothing = {"a": preview()["a"]._replace(initial_margin_before=0.0)}
    assert reasons(nothing, account=AccountMargin(0.01)) == [None]
    assert reasons(nothing, account=AccountMargin(1.0)) == ["preview_outdated"]
    ten, none = np.array([10.0]), np.array([NAN])
    assert current_previews(["a"], ten, none, previews, AccountMargin(1_000.0)) == [previews["a"]]
    assert current_previews(["a"], ten, none, previews, AccountMargin(500.0)) == [None]


def test_a_margin_that_the_broker_did_not_say_is_a_warning_where_it_is_limited():
    assert reasons(preview(None, None)) == [None]
    assert reasons(preview(None, 500.0), max_initial_margin=1.0) == ["margin_unknown"]
    assert reasons(preview(1.0, None), min_excess_liquidity=1.0) == ["margin_unknown"]
    assert reasons(preview(1.0, None), max_initial_margin=1.0) == [None]


def test_what_an_order_changes_is_after_less_before():
    one = read_previews(table())["a"]
    assert one.before == AccountMargin(400.0, 300.0, 1_101.0)
    assert one.changes == (600.0, 300.0, 1.0)  # equity was 801 + 300 and is 500 + 600
    unsaid = one._replace(maintenance_margin=None)
    assert unsaid.changes[0] == 600.0
    assert np.isnan(unsaid.changes[1:]).all()


def test_a_figure_that_the_account_does_not_report_is_that_of_the_latest_preview():
    earlier = MarginPreview(1.0, None, 9.0, 9.0, "", 7.0, 9.0, 1.0, 2.0, at=AT - 1)
    latest = MarginPreview(1.0, None, 9.0, 9.0, "", 400.0, 9.0, 300.0, 801.0, at=AT)
    previews = {"a": latest, "b": earlier}
    assert account_before(AccountMargin(), previews) == AccountMargin(400.0, 300.0, 1_101.0)
    assert account_before(AccountMargin(1.0, NAN, 5.0), previews) == AccountMargin(1.0, 300.0, 5.0)
    assert np.isnan(account_before(AccountMargin(), {})).all()


def test_a_preview_is_current_for_the_same_quantity_and_limit_alone():
    previews = {"a": MarginPreview(10.0, None, 1.0, 1.0, ""), "b": MarginPreview(10.0, 5.0, 1.0, 1.0, "")}

    def current(quantity, limit, **changes):
        found = {name: one._replace(**changes) for name, one in previews.items()}
        return [one is not None for one in current_previews(["a", "b", "c"], quantity, limit, found, KNOWN)]

    ten = np.full(3, 10.0)
    assert current(ten, np.array([NAN, 5.0, NAN])) == [True, True, False]
    assert current(ten, np.array([5.0, NAN, NAN])) == [False, False, False]
    assert current(np.array([10.0, 11.0, 10.0]), np.array([NAN, 5.0, NAN])) == [True, False, False]
    assert current(ten, np.array([NAN, 5.0, NAN]), refusal="no") == [False, False, False]


KNOWN = AccountMargin(1.0, 1.0, 10.0)


def noted(before=KNOWN, coverage=(3, 1, AT), unpriced=(), *, assumes=True, **limits):
    rows = note_assumptions(sx.Limits(**limits), before, coverage, list(unpriced), assumes=assumes)
    return [(row["code"], row["detail"]) for row in rows]


def test_what_the_comparison_of_a_plan_rests_on_is_noted_once():
    ((code, text),) = noted(max_initial_margin=1.0)
    assert code == "margin_assumed"
    assert text.startswith("1 of 3 orders have a preview of their margin; the others, and working orders, count")
    assert "previews=sx.preview_orders(orders, broker)" in text
    assert noted(assumes=False, max_initial_margin=1.0) == []
    assert noted() == []


def test_a_limit_that_cannot_be_compared_is_named_with_the_cure():
    ((code, text),) = noted(AccountMargin(), max_initial_margin=1.0, min_excess_liquidity=1.0)
    assert code == "margin_unknown"
    assert "UNKNOWN and max_initial_margin and min_excess_liquidity block" in text
    ((code, text),) = noted(AccountMargin(1.0), max_initial_margin=1.0, min_excess_liquidity=1.0)
    assert "UNKNOWN and min_excess_liquidity block" in text
    assert noted(AccountMargin(), coverage=(0, 0, None), max_initial_margin=1.0) == []
    ((code, text),) = noted(unpriced=["GLD", "KO"], max_initial_margin=1.0)
    assert (code, text[:55]) == ("margin_unknown", "no price or exchange rate of working orders in GLD, KO,")
    assert noted(unpriced=["GLD"]) == []
