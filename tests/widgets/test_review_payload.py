from __future__ import annotations

import json
import struct
from zlib import crc32

import pytest

import stocklean_exec as sx
from stocklean_exec.widgets.review_payload import column_specs, head, rows, screen_digest
from tests.review.previewed_orders import PREVIEWED_AT, review_previewed_orders
from tests.review.three_orders import HOSTILE, review_three_orders


@pytest.fixture
def review():
    return review_three_orders()


def test_a_snapshot_is_json_without_nan(review):
    names = [spec["name"] for spec in column_specs(review)]
    text = json.dumps([rows(review, names), head(review), column_specs(review)], allow_nan=False)
    assert "NaN" not in text


def test_terms_can_be_edited_and_some_have_choices(review):
    specs = {spec["name"]: spec for spec in column_specs(review)}
    editable = {name: spec["choices"] for name, spec in specs.items() if spec.get("editable")}
    assert editable == {
        "quantity": [],
        "order_type": ["MKT", "LMT", "MOC", "LOC", "MIDPRICE", "REL", "STP", "STP LMT", "TRAIL"],
        "limit_price": [],
        "tif": ["DAY", "GTC", "IOC", "FOK", "OPG", "GTD"],
        "aux_price": [],
        "good_till": [],
        "good_after": [],
        "outside_rth": ["no", "yes"],
        "algo": ["", "Adaptive", "Twap", "Vwap", "ArrivalPx", "PctVol", "ClosePx"],
        "algo_params": [],
    }
    shown = [name for name in ("aux_price", "good_till", "outside_rth", "algo") if specs[name]["default"]]
    assert shown == []  # unless an order has one


def test_terms_that_an_order_has_are_shown(review):
    review.edit("r-SPY-BUY", order_type="STP", aux_price=110.0)
    specs = {spec["name"]: spec["default"] for spec in column_specs(review)}
    assert [name for name in ("aux_price", "good_till", "outside_rth", "algo") if specs[name]] == ["aux_price"]
    cells = rows(review, ["aux_price", "outside_rth", "algo"], [0])
    assert [cells[name] for name in ("aux_price", "outside_rth", "algo")] == [[110.0], ["no"], [None]]


def test_other_columns_of_a_plan_can_be_chosen_and_come_last(review):
    specs = column_specs(review)
    assert [(spec["name"], spec["kind"], spec["default"]) for spec in specs[-2:]] == [
        ("note", "text", False),
        ("score", "number", False),
    ]


def test_cells_are_plain_and_long_text_is_cut(review):
    cells = rows(review, ["note", "score", "limit_price", "notional", "why", "account"])
    assert cells["note"][0] == HOSTILE  # not escaped: the page inserts it as a text node
    assert len(cells["note"][1]) == 200
    assert cells["note"][2] is None
    assert cells["score"] == [1.5, 2.5, None]
    assert cells["limit_price"] == [99.5, None, None]
    assert cells["notional"] == [1_000.0, 3_000.0, None]
    assert cells["why"] == [None, "max_notional 3,000 (limit 2,500)", "price_unavailable"]
    assert cells["account"] == ["DU***567"] * 3


def test_a_patch_has_the_requested_rows_and_the_same_cells(review):
    review.approve("r-SPY-BUY")
    whole, part = rows(review), rows(review, places=[2, 0])
    assert set(whole) == set(part)
    for name, values in whole.items():
        assert part[name] == [values[2], values[0]]
    assert part["decision_status"] == ["blocked", "approved"]
    assert part["row_revision"] == [0, 1]


def test_the_head_has_destination_state_and_counts(review):
    review.approve("r-SPY-BUY")
    found = head(review)
    assert (found["badge"], found["account"], found["state"], found["revision"]) == (
        "PAPER",
        "DU***567",
        "open",
        1,
    )
    assert found["decision_counts"] == {"approved": 1, "rejected": 0, "open": 0, "blocked": 2}
    assert found["verdicts"] == {"pass": 1, "warn": 0, "block": 2}
    assert found["can_send"] is False
    assert found["totals"]["buys"] == [0.0, 1_000.0, 1_000.0]


def test_the_digest_equals_one_computed_by_hand(review):
    # By hand for one order: texts joined by \x1f, then quantity, limit and trigger as little-endian doubles.
    orders = review.orders.iloc[:1].drop(columns=["approved", "approved_by", "approved_at"])
    one = sx.review_orders(orders)
    words = b"r-SPY-BUY\x1fBUY\x1fLMT\x1fDAY\x1fpass\x1fopen\x1f\x1f\x1fno\x1f\x1f"
    numbers = struct.pack("<d", 10.0) + struct.pack("<d", 99.5) + struct.pack("<d", -1.0)
    assert screen_digest(one) == crc32(words + numbers + b"PAPER\x1fDU***567")


PATIENT = {"adaptivePriority": "Patient"}


def test_every_decision_and_edit_changes_the_digest(review):
    digests = [screen_digest(review)]
    for do in (
        lambda: review.approve("r-SPY-BUY"),
        lambda: review.reject("r-SPY-BUY"),
        lambda: review.edit("r-SPY-BUY", quantity=11),
        lambda: review.edit("r-SPY-BUY", limit_price=99.25),
        lambda: review.edit("r-SPY-BUY", tif="GTC"),
        lambda: review.edit("r-SPY-BUY", good_after="2026-11-24T15:00Z"),
        lambda: review.edit("r-SPY-BUY", good_after="", outside_rth=True),
        lambda: review.edit("r-SPY-BUY", tif="GTD", good_till="2026-11-24T21:00Z"),
        lambda: review.edit("r-SPY-BUY", tif="DAY", outside_rth=False, algo="adaptive", algo_params=PATIENT),
        lambda: review.edit("r-SPY-BUY", algo="Twap", algo_params=""),
        lambda: review.edit("r-SPY-BUY", algo="", order_type="STP LMT", aux_price=99.0),
        lambda: review.edit("r-SPY-BUY", aux_price=99.25),
        lambda: review.edit("r-SPY-BUY", order_type="MKT"),
    ):
        do()
        digests.append(screen_digest(review))
    assert len(set(digests)) == len(digests)


def test_a_plan_that_lost_its_check_can_still_be_displayed(review):
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    checked.attrs.clear()
    plain = sx.review_orders(checked)
    assert head(plain)["totals"] == {}
    assert rows(plain, ["weight_after"])["weight_after"] == [None] * 3
    assert "Review of r: 3 orders" in plain._repr_html_()


def test_margin_and_commission_of_previews_are_beside_the_estimate_where_an_order_was_previewed(review):
    previewed = review_previewed_orders()
    shown = {spec["name"]: spec["default"] for spec in column_specs(previewed)}
    names = [name for name in shown if name.startswith(("estimated_", "previewed_"))]
    assert names == ["estimated_fee", "previewed_commission", "previewed_margin", "previewed_at"]
    assert all(shown[name] for name in names)
    cells = rows(previewed, names)
    assert cells["estimated_fee"][:2] == [1.0, 1.0]
    assert cells["previewed_commission"] == [1.25, None, None]
    assert cells["previewed_margin"] == [500.0, None, None]
    assert head(previewed)["totals"]["initial_margin"] == [600.0, 600.0, 1_600.0]
    assert head(previewed)["margin"] == {"orders": 3, "previewed": 1, "oldest": PREVIEWED_AT.timestamp()}
    json.dumps([cells, head(previewed)], allow_nan=False)
    # an edit of the order takes its preview away, in a patch as in a snapshot
    previewed.edit("r-SPY-BUY", quantity=9)
    assert rows(previewed, places=[0])["previewed_margin"] == [None]
    assert head(previewed)["margin"] == {"orders": 3, "previewed": 0, "oldest": None}

    assert not any(name.startswith("previewed") for name in [spec["name"] for spec in column_specs(review)])
    assert not any(name.startswith("previewed") for name in rows(review))
    assert head(review)["margin"] is None
    assert "initial_margin" not in head(review)["totals"]
