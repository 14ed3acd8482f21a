"""A review as JSON values for the front end: columns, rows and head. Pure.

A view requests a snapshot and then applies patches. Both are made here from the same cells, so a patched view and
a fresh one cannot differ; :func:`screen_digest` lets the kernel check that a view holds the current values.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError
from stocklean_exec.review.edits import CHOICES, EDITABLE
from stocklean_exec.review.margin_view import PREVIEWED, shows_margin
from stocklean_exec.schema.account_ids import mask_account
from stocklean_exec.schema.order_terms import has_terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stocklean_exec.review.model import OrderReview

__all__ = ["column_specs", "head", "rows", "screen_digest"]

_COLUMNS: dict[str, tuple[str, str, bool]] = {
    # name: (label, kind, shown by default)
    "symbol": ("Symbol", "text", True),
    "verdict": ("Risk check", "verdict", True),
    "side": ("Side", "side", True),
    "quantity": ("Quantity", "shares", True),
    "order_type": ("Type", "choice", True),
    "limit_price": ("Limit", "price", True),
    "tif": ("TIF", "choice", True),
    "aux_price": ("Trigger or offset", "price", False),
    "good_till": ("Good till", "text", False),
    "good_after": ("Good after", "text", False),
    "outside_rth": ("Outside hours", "choice", False),
    "algo": ("Algorithm", "choice", False),
    "algo_params": ("Parameters", "text", False),
    "limit_offset_bps": ("Limit offset, bp", "number", False),
    "limit_reference": ("Limit reference", "text", False),
    "decision_price": ("Price", "price", True),
    "notional": ("Notional", "money", True),
    "weight_before": ("Weight", "weight", True),
    "target_weight": ("Target", "weight", True),
    "weight_after": ("After", "weight", True),
    "why": ("Reasons", "text", True),
    "decision_status": ("Decision", "text", False),
    "approved_by": ("Approved by", "text", False),
    "client_order_id": ("Client order id", "text", False),
    "current_quantity": ("Held", "shares", False),
    "target_quantity": ("Held after", "shares", False),
    "estimated_fee": ("Est. fee", "money", False),
    "previewed_commission": ("Preview fee", "money", True),
    "previewed_margin": ("Preview margin", "money", True),
    "previewed_at": ("Previewed", "text", True),
    "expected_cost_bps": ("Exp. cost, bp", "number", True),
    "currency": ("Currency", "text", False),
    "exchange": ("Exchange", "text", False),
    "sec_type": ("Security", "text", False),
    "account": ("Account", "text", False),
    "lot_size": ("Lot", "shares", False),
    "tick_size": ("Tick", "price", False),
    "detail": ("Detail", "text", False),
}
_DERIVED = ("notional", "weight_before", "weight_after", "why", "decision_status", "approved_by", "estimated_fee")
_NEVER_SHOWN = frozenset(
    {
        "run_id",
        "reasons",
        "reason",
        "checks",
        "limits",
        "status",
        "order_hash",
        "approval_hash",
        "approved",
        "approved_at",
    }
)
_TERMS = ("good_till", "good_after", "outside_rth", "algo", "algo_params")
"""Terms as they are shown, in the sequence in which the digest has them."""

_PATCHED = (
    *EDITABLE,
    "notional",
    "weight_before",
    "weight_after",
    "verdict",
    "why",
    "decision_status",
    "approved_by",
    "target_quantity",
    "estimated_fee",
    "expected_cost_bps",
)
"""Columns that a decision or an edit can change; a patch contains no others."""

_SHOWN_IF_USED = (*_TERMS, "aux_price")
"""Terms that are shown by default if an order has them."""

_MAX_TEXT = 200
"""Characters of one cell. A choice: the longest reasons still read in a tooltip, and a plan with long free text
does not slow down the page."""


def column_specs(review: OrderReview) -> list[dict[str, Any]]:
    """Describe the columns that a view may show, in sequence; other columns of the plan come last, hidden."""
    frame = review.orders
    filled = {name for name in frame.columns if not frame[name].isna().all()}
    used = {name for name in _SHOWN_IF_USED if has_terms(frame[[name]]).any()}
    always = {*_DERIVED, *EDITABLE, "verdict", "symbol", "side"}
    if _was_previewed(review):
        always |= {*PREVIEWED}
        used |= {"estimated_fee"}  # beside what the broker says
    names = [name for name in _COLUMNS if name in always or name in filled]
    extra = [
        str(name) for name in frame.columns if name in filled and name not in _COLUMNS and name not in _NEVER_SHOWN
    ]
    specs = []
    for name in [*names, *extra]:
        number = name not in _COLUMNS and pd.api.types.is_numeric_dtype(frame[name].dtype)
        label, kind, default = _COLUMNS.get(name, (name, "number" if number else "text", False))
        spec: dict[str, Any] = {"name": name, "label": label, "kind": kind, "default": default or name in used}
        if name in EDITABLE:
            spec |= {"editable": True, "choices": list(CHOICES.get(name, ()))}
        specs.append(spec)
    return specs


def rows(review: OrderReview, names: list[str] | None = None, places: list[int] | None = None) -> dict[str, Any]:
    """Cells by column as JSON values, of all rows or those at ``places``; by default what can change."""
    wanted = names
    if wanted is None:
        wanted = [*_PATCHED, *(PREVIEWED if _was_previewed(review) else ())]
    part = review.visible_rows(places)
    chosen = np.arange(len(review)) if places is None else np.array(places, dtype="int64")
    statuses = np.array(review.decision_status, dtype=object)[chosen].tolist()
    derived: dict[str, list[Any]] = {
        "decision_status": statuses,
        "notional": _known((part["quantity"] * part["decision_price"]).tolist()),
    }
    if {"weight_before", "weight_after", "estimated_fee"} & set(wanted):
        derived |= _impact_cells(review, chosen)
    if set(PREVIEWED) & set(wanted):
        derived |= review.plan.margin.cells(chosen.tolist())
    revisions = np.array(review.row_revisions, dtype="int64")[chosen].tolist()
    cells: dict[str, Any] = {"row_revision": revisions, "decision_status": statuses}
    for name in wanted:
        if name == "why":
            cells[name] = _reason_texts(review, part, chosen.tolist())
        elif name in derived:
            cells[name] = derived[name]
        elif name == "account":
            texts = [None if pd.isna(value) else str(value) for value in part[name].tolist()]
            cells[name] = texts if review.show_account else [text and mask_account(text) for text in texts]
        elif name == "outside_rth":
            cells[name] = ["yes" if given else "no" for given in part[name].tolist()]
        elif name in part.columns:
            cells[name] = _plain(part[name])
    return cells


def _impact_cells(review: OrderReview, places: NDArray[np.int64]) -> dict[str, list[Any]]:
    try:
        impact = review.plan.impact
    except InputError:  # a frame that lost its check
        return {name: [None] * len(places) for name in ("weight_before", "weight_after", "estimated_fee")}
    before, after = impact.weights()
    return {
        "weight_before": _known(before[places].tolist()),
        "weight_after": _known(after[places].tolist()),
        "estimated_fee": _known(impact.fees[places].tolist()),
    }


def _was_previewed(review: OrderReview) -> bool:
    """Whether the broker was asked about any order of the plan."""
    try:
        return bool(review.plan.check.context.previews)
    except InputError:  # a frame that lost its check
        return False


def _known(values: list[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _plain(series: pd.Series[Any]) -> list[Any]:
    if series.dtype.kind in "fiu":
        return _known(np.asarray(series, dtype="float64").tolist())
    missing = series.isna().tolist()
    return [None if gone else _text(value) for value, gone in zip(series.tolist(), missing, strict=True)]


def _text(value: object) -> str | bool:
    text = value if isinstance(value, bool) else str(value)
    return text if isinstance(text, bool) or len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _reason_texts(review: OrderReview, part: pd.DataFrame, places: list[int]) -> list[str | None]:
    """Describe what blocks each order or warns of it; None if nothing does."""
    reasons = part["reasons"].tolist()
    detail = part["detail"].tolist() if "detail" in part.columns else [None] * len(part)
    with_reasons = [row for row, text in enumerate(reasons) if isinstance(text, str)]
    texts: list[str | None] = [None] * len(reasons)
    if with_reasons:
        lookup = _check_lookup(review, [places[row] for row in with_reasons])
    for number, row in enumerate(with_reasons):
        parts = [_reason(name, *lookup(number, name)) for name in reasons[row].split(", ")]
        parts += [text for text in [detail[row]] if isinstance(text, str)]
        texts[row] = str(_text("; ".join(parts)))
    return texts


def _check_lookup(
    review: OrderReview, places: list[int]
) -> Callable[[int, str], tuple[float | None, float | None]]:
    """Return a function for the limit and the value of a named check, for one of the orders at ``places``."""
    values = review.plan.held_against(places)
    if values is not None:
        return lambda number, name: (values[name][0], values[name][1][number])
    results = [json.loads(text) for text in review.plan.checks_at(places)]  # not edited yet
    return lambda number, name: results[number].get(name, (None, None, None))[1:]


def _reason(name: str, limit: float | None, value: float | None) -> str:
    """Name a check with its value and limit, if they are known."""
    if value is None or not math.isfinite(value):
        return name
    return f"{name} {value:,.6g}" + ("" if limit is None or not math.isfinite(limit) else f" (limit {limit:,.6g})")


def head(review: OrderReview) -> dict[str, Any]:
    """Everything above the grid: account, badge, state, counts, totals, and whether orders can be sent."""
    statuses = review.decision_status
    try:
        impact = review.plan.impact
        measures = {name: _known(values) for name, values in impact.totals_by_decision(statuses).items()}
        eligible = np.array(statuses, dtype=object) != "blocked"
        largest = [[symbol, *_known([before, after])] for symbol, before, after in impact.largest(eligible)]
        unpriced = impact.unpriced
        margin = None
        if shows_margin(review.plan.check):
            totals = review.plan.margin.totals_by_decision(statuses)
            measures |= {name: _known(values) for name, values in totals.items()}
            margin = dict(
                zip(("orders", "previewed", "oldest"), review.plan.margin.coverage(statuses), strict=True)
            )
    except InputError:  # a frame that lost its check
        measures, largest, unpriced, margin = {}, [], [], None
    return {
        "run": review.run_id,
        "badge": review.badge,
        "account": review.shown_account,
        "state": review.state,
        "note": review.note,
        "work": review.work_text,
        "revision": review.revision,
        "can_send": review.broker is not None and review.blotter is not None,
        "decision_counts": {name: statuses.count(name) for name in ("approved", "rejected", "open", "blocked")},
        "verdicts": review.verdicts,
        "totals": measures,
        "margin": margin,
        "largest": largest,
        "unpriced": unpriced,
        "currency": review.plan.currency,
    }


def screen_digest(review: OrderReview) -> int:
    """Checksum (CRC-32) of what a view must display: terms, verdict and decision of every row, and the badge."""
    orders, shown = review.visible_rows(), rows(review, list(_TERMS))
    texts = zip(
        *(orders[name].tolist() for name in ("client_order_id", "side", "order_type", "tif", "verdict")),
        review.decision_status,
        *(shown[name] for name in _TERMS),
        strict=True,
    )
    numbers = zip(*(orders[name].tolist() for name in ("quantity", "limit_price", "aux_price")), strict=True)
    parts = []
    for fields, prices in zip(texts, numbers, strict=True):
        parts.append("\x1f".join("" if pd.isna(field) else str(field) for field in fields).encode())
        parts.append(struct.pack("<ddd", *map(_or_minus, prices)))
    parts.append(f"{review.badge}\x1f{review.shown_account}".encode())
    return crc32(b"".join(parts))


def _or_minus(value: float) -> float:
    return value if math.isfinite(value) else -1.0
