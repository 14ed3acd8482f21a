"""A review as plain values for a front end: columns, rows and head. Pure.

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

from stocklean_exec.errors import InputError
from stocklean_exec.review.edits import CHOICES, EDITABLE
from stocklean_exec.schema.account_ids import mask_account

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stocklean_exec.review.model import OrderReview

__all__ = ["column_specs", "head", "rows", "screen_digest"]

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
_MOVING = (
    "quantity",
    "order_type",
    "limit_price",
    "tif",
    "notional",
    "weight_before",
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
    part = review.glance(places)
    chosen = np.arange(len(review)) if places is None else np.array(places, dtype="int64")
    standing = np.array(review.standing, dtype=object)[chosen].tolist()
    made: dict[str, list[Any]] = {
        "standing": standing,
        "notional": _known((part["quantity"] * part["decision_price"]).tolist()),
    }
    if {"weight_before", "weight_after", "estimated_fee"} & set(wanted):
        made |= _reckoned(review, chosen)
    revisions = np.array(review.row_revisions, dtype="int64")[chosen].tolist()
    cells: dict[str, Any] = {"row_revision": revisions, "standing": standing}
    for name in wanted:
        if name == "why":
            cells[name] = _whys(review, part, chosen.tolist())
        elif name in made:
            cells[name] = made[name]
        elif name == "account":
            texts = [None if pd.isna(value) else str(value) for value in part[name].tolist()]
            cells[name] = texts if review.show_account else [text and mask_account(text) for text in texts]
        elif name in part.columns:
            cells[name] = _plain(part[name])
    return cells


def _reckoned(review: OrderReview, places: NDArray[np.int64]) -> dict[str, list[Any]]:
    try:
        impact = review.plan.impact
    except InputError:  # a frame that forgot its check
        return {name: [None] * len(places) for name in ("weight_before", "weight_after", "estimated_fee")}
    before, after = impact.weights()
    return {
        "weight_before": _known(before[places].tolist()),
        "weight_after": _known(after[places].tolist()),
        "estimated_fee": _known(impact.fees[places].tolist()),
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


def _whys(review: OrderReview, part: pd.DataFrame, places: list[int]) -> list[str | None]:
    """Say what keeps each order back or warns of it, if anything does."""
    reasons = part["reasons"].tolist()
    detail = part["detail"].tolist() if "detail" in part.columns else [None] * len(part)
    told = [row for row, text in enumerate(reasons) if isinstance(text, str)]
    whys: list[str | None] = [None] * len(reasons)
    if told:
        found = _finder(review, [places[row] for row in told])
    for number, row in enumerate(told):
        words = [_reason(name, *found(number, name)) for name in reasons[row].split(", ")]
        words += [text for text in [detail[row]] if isinstance(text, str)]
        whys[row] = str(_text("; ".join(words)))
    return whys


def _finder(review: OrderReview, places: list[int]) -> Callable[[int, str], tuple[float | None, float | None]]:
    """Make what tells the limit and the value of a check (by name) of one of the orders at ``places``."""
    values = review.plan.held_against(places)
    if values is not None:
        return lambda number, name: (values[name][0], values[name][1][number])
    found = [json.loads(text) for text in review.plan.checks_at(places)]  # as the plan came
    return lambda number, name: found[number].get(name, (None, None, None))[1:]


def _reason(name: str, limit: float | None, value: float | None) -> str:
    """Name a check with the value that it found and the limit it was held against, where there are any."""
    if value is None or not math.isfinite(value):
        return name
    return f"{name} {value:,.6g}" + ("" if limit is None or not math.isfinite(limit) else f" (limit {limit:,.6g})")


def head(review: OrderReview) -> dict[str, Any]:
    """Everything above the grid: account, badge, state, counts, totals, and why nothing can be sent, if so."""
    standing = review.standing
    try:
        impact = review.plan.impact
        measures = {name: _known(values) for name, values in impact.totals_by_standing(standing).items()}
        passing = np.array(standing, dtype=object) != "blocked"
        largest = [[symbol, *_known([before, after])] for symbol, before, after in impact.largest(passing)]
        unpriced = impact.unpriced
    except InputError:  # a frame that forgot its check
        measures, largest, unpriced = {}, [], []
    return {
        "run": review.run_id,
        "badge": review.badge,
        "account": review.shown_account,
        "state": review.state,
        "note": review.note,
        "revision": review.revision,
        "can_send": review.broker is not None and review.blotter is not None,
        "standing": {name: standing.count(name) for name in ("approved", "rejected", "open", "blocked")},
        "verdicts": review.verdicts,
        "totals": measures,
        "largest": largest,
        "unpriced": unpriced,
        "currency": review.plan.currency,
    }


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
