"""A review as plain values for a front end: columns, rows, head, and the still card. Pure.

A view asks for a snapshot and then follows patches. Both are made here from the same cells, so that a patched
view and a fresh one cannot differ; :func:`screen_digest` lets the kernel prove that what a view holds is what it
would be told now.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd

from stocklean_exec.account_ids import mask_account
from stocklean_exec.cards import card
from stocklean_exec.errors import InputError
from stocklean_exec.review_edits import CHOICES, EDITABLE
from stocklean_exec.review_totals import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.review import OrderReview

__all__ = ["column_specs", "head", "review_card", "rows", "screen_digest", "tell_outcome", "totals_of"]

_KNOWN: dict[str, tuple[str, str, bool]] = {
    # name: (label, kind, shown unless chosen otherwise)
    "symbol": ("Symbol", "text", True),
    "verdict": ("Check", "verdict", True),
    "side": ("Side", "side", True),
    "quantity": ("Quantity", "shares", True),
    "order_type": ("Type", "choice", True),
    "limit_price": ("Limit", "price", True),
    "tif": ("TIF", "choice", True),
    "decision_price": ("Price", "price", True),
    "notional": ("Notional", "money", True),
    "weight_before": ("Weight", "weight", True),
    "target_weight": ("Target", "weight", True),
    "weight_after": ("After", "weight", True),
    "why": ("Reasons", "text", True),
    "standing": ("Decision", "text", False),
    "approved_by": ("Approved by", "text", False),
    "client_order_id": ("Client order id", "text", False),
    "current_quantity": ("Held", "shares", False),
    "target_quantity": ("Held after", "shares", False),
    "estimated_fee": ("Est. fee", "money", False),
    "expected_cost_bps": ("Exp. cost, bp", "number", True),
    "currency": ("Currency", "text", False),
    "exchange": ("Exchange", "text", False),
    "sec_type": ("Security", "text", False),
    "account": ("Account", "text", False),
    "lot_size": ("Lot", "shares", False),
    "tick_size": ("Tick", "price", False),
    "detail": ("Detail", "text", False),
}
_MADE = ("notional", "weight_before", "weight_after", "why", "standing", "approved_by", "estimated_fee")
_LEFT_OUT = frozenset(
    {"run_id", "reasons", "reason", "checks", "status", "order_hash", "approval_hash", "approved", "approved_at"}
)
_MOVING = (
    "quantity",
    "order_type",
    "limit_price",
    "tif",
    "notional",
    "weight_after",
    "verdict",
    "why",
    "standing",
    "approved_by",
    "target_quantity",
    "estimated_fee",
    "expected_cost_bps",
)
"""Columns that a decision or an edit can change; a patch has no others."""

_MOST_TEXT = 200  # characters of one cell


def column_specs(review: OrderReview) -> list[dict[str, Any]]:
    """Describe the columns that a view may show, in their sequence; a plan's own columns come last, not shown."""
    frame = review.orders
    names = [name for name in _KNOWN if name in _MADE or (name in frame.columns and not frame[name].isna().all())]
    names = [name for name in _KNOWN if name in names or name in EDITABLE or name in ("verdict", "symbol", "side")]
    own = [str(name) for name in frame.columns if name not in _KNOWN and name not in _LEFT_OUT]
    own = [name for name in own if not frame[name].isna().all()]
    specs = []
    for name in [*names, *own]:
        number = name not in _KNOWN and pd.api.types.is_numeric_dtype(frame[name].dtype)
        label, kind, default = _KNOWN.get(name, (name, "number" if number else "text", False))
        spec: dict[str, Any] = {"name": name, "label": label, "kind": kind, "default": default}
        if name in EDITABLE:
            spec |= {"editable": True, "choices": list(CHOICES.get(name, ()))}
        specs.append(spec)
    return specs


def rows(review: OrderReview, names: list[str] | None = None, places: list[int] | None = None) -> dict[str, Any]:
    """Cells by column as JSON values: of all rows or those at ``places``, and by default what can change."""
    wanted = _MOVING if names is None else names
    orders, standing, revisions = review.glance(), review.standing, review.row_revisions
    notional = _known((orders["quantity"] * orders["decision_price"]).tolist())
    made: dict[str, list[Any]] = {"standing": standing, "row_revision": revisions, "notional": notional}
    if {"weight_before", "weight_after", "estimated_fee"} & set(wanted):
        made |= _reckoned(review, len(orders))
    part = orders if places is None else orders.iloc[places]

    def pick(values: list[Any]) -> list[Any]:
        return values if places is None else [values[place] for place in places]

    cells: dict[str, Any] = {"row_revision": pick(revisions), "standing": pick(standing)}
    for name in wanted:
        if name == "why":
            cells[name] = _whys(review, part, range(len(orders)) if places is None else places)
        elif name in made:
            cells[name] = pick(made[name])
        elif name == "account":
            texts = [None if pd.isna(value) else str(value) for value in part[name].tolist()]
            cells[name] = texts if review.show_account else [text and mask_account(text) for text in texts]
        elif name in part.columns:
            cells[name] = _plain(part[name])
    return cells


def _reckoned(review: OrderReview, count: int) -> dict[str, list[Any]]:
    try:
        reckoning = review.reckoning()
    except InputError:  # a frame that forgot its check
        return {name: [None] * count for name in ("weight_before", "weight_after", "estimated_fee")}
    before, after = reckoning.weights()
    return {
        "weight_before": _known(before.tolist()),
        "weight_after": _known(after.tolist()),
        "estimated_fee": _known(reckoning.fees.tolist()),
    }


def _known(values: list[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _plain(series: pd.Series[Any]) -> list[Any]:
    if series.dtype.kind in "fiu":
        return _known(np.asarray(series, dtype="float64").tolist())
    missing = series.isna().tolist()
    return [None if gone else _text(value) for value, gone in zip(series.tolist(), missing, strict=True)]


def _text(value: object) -> str | bool:
    text = value if isinstance(value, bool) else str(value)
    return text if isinstance(text, bool) or len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"


def _whys(review: OrderReview, part: pd.DataFrame, places: Iterable[int]) -> list[str | None]:
    """Say what keeps each order back or warns of it, if anything does."""
    reasons = part["reasons"].tolist()
    detail = part["detail"].tolist() if "detail" in part.columns else [None] * len(part)
    told = [row for row, text in enumerate(reasons) if isinstance(text, str)]
    placed = list(places)
    checks = review.checks_at([placed[row] for row in told])
    whys: list[str | None] = [None] * len(reasons)
    for row, text in zip(told, checks, strict=True):
        whys[row] = _why(reasons[row], detail[row], text)
    return whys


def _why(reasons: str, detail: object, checks: str) -> str:
    """Say what keeps an order back or warns of it, with the value and the limit it was held against."""
    found = json.loads(checks)
    told = []
    for name in reasons.split(", "):
        _, limit, value = found.get(name, (None, None, None))
        if value is None:
            told.append(name)
        else:
            told.append(f"{name} {value:,.6g}" + ("" if limit is None else f" (limit {limit:,.6g})"))
    if isinstance(detail, str):
        told.append(detail)
    return str(_text("; ".join(told)))


def head(review: OrderReview) -> dict[str, Any]:
    """Everything above the grid: account, badge, state, counts, totals, and why nothing can be sent, if so."""
    standing, orders = review.standing, review.glance()
    verdicts = orders["verdict"].tolist()
    try:
        reckoning = review.reckoning()
        measures = {name: _known(values) for name, values in totals_of(review).items()}
        passing = np.array([state != "blocked" for state in standing], dtype=bool)
        largest = [[symbol, *_known([before, after])] for symbol, before, after in reckoning.largest(passing)]
        unpriced = reckoning.unpriced
    except InputError:  # a frame that forgot its check
        measures, largest, unpriced = {}, [], []
    currency = sorted(set(orders["currency"].dropna())) if "currency" in orders.columns else []
    return {
        "run": review.run_id,
        "badge": review.badge,
        "account": review.shown_account,
        "state": review.state,
        "note": review.note,
        "revision": review.revision,
        "can_send": review.broker is not None and review.blotter is not None,
        "standing": {name: standing.count(name) for name in ("approved", "rejected", "open", "blocked")},
        "verdicts": {name: verdicts.count(name) for name in ("pass", "warn", "block")},
        "totals": measures,
        "largest": largest,
        "unpriced": unpriced,
        "currency": ", ".join(map(str, currency)),
    }


def totals_of(review: OrderReview) -> dict[str, list[float]]:
    """Measures now, once the approved orders are filled, and once all that are not blocked are."""
    reckoning, standing = review.reckoning(), np.array(review.standing, dtype=object)
    masks = (np.zeros(len(standing), dtype=bool), standing == "approved", standing != "blocked")
    parts = [reckoning.totals(mask) for mask in masks]
    return {name: [part[name] for part in parts] for name in MEASURES}


def screen_digest(review: OrderReview) -> int:
    """Checksum (CRC-32) of what a view must show: terms, verdict and decision of every row, and the badge."""
    orders = review.glance()
    texts = zip(
        *(orders[name].tolist() for name in ("client_order_id", "side", "order_type", "tif", "verdict")),
        review.standing,
        strict=True,
    )
    numbers = zip(orders["quantity"].tolist(), orders["limit_price"].tolist(), strict=True)
    parts = []
    for words, (quantity, limit) in zip(texts, numbers, strict=True):
        parts.append("\x1f".join("" if pd.isna(word) else str(word) for word in words).encode())
        parts.append(struct.pack("<dd", _or_minus(quantity), _or_minus(limit)))
    parts.append(f"{review.badge}\x1f{review.shown_account}".encode())
    return crc32(b"".join(parts))


def _or_minus(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def review_card(review: OrderReview) -> str:
    """Return the still card of a review: counts, totals, and what to do next. It cannot be clicked."""
    standing = review.standing
    facts: list[tuple[object, object]] = [("account", review.shown_account)]
    facts += [(name, standing.count(name)) for name in ("approved", "rejected", "open", "blocked")]
    try:
        totals = totals_of(review)
    except InputError:  # a frame that forgot its check
        table = None
    else:
        lines = [[name.replace("_", " "), *(_amount(name, value) for value in totals[name])] for name in MEASURES]
        table = (["", "now", "approved", "passing"], lines)
    still = "A still picture, on which nothing can be clicked; run the cell again to review."
    state = "" if review.state == "open" else review.state
    title = f"Review of {review.run_id}: {len(review)} orders"
    return card(title, [review.badge, state], facts, table, review.note or still)


def _amount(measure: str, value: float) -> str:
    if math.isnan(value):
        return "not known"
    if measure == "orders":
        return f"{value:,.0f}"
    return f"{value:.2%}" if MEASURES[measure].endswith("NAV") else f"{value:,.2f}"


def tell_outcome(outcome: object) -> str:
    """Say in one line what came of a submission."""
    if isinstance(outcome, pd.DataFrame) and "status" in outcome.columns:
        counts = outcome["status"].value_counts()
        return ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index))
    if hasattr(outcome, "view") and hasattr(outcome, "run_id"):  # a run that goes on, of a layer above this one
        return f"run {outcome.run_id} is under way; review.outcome.view() in a cell shows it and can stop it"
    return repr(outcome)
