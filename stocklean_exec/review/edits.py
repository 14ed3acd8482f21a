"""Edits of a checked plan: typed values, validated row by row; then the whole plan is checked again. Pure.

An edit applies to all of its rows or to none. The edited rows are validated again, then every row is checked
against the same limits and market data as before, because an edit of one row can block or unblock another. Only
the edited rows are parsed again; the result equals a check of the whole plan from scratch.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import merge_warnings, shown
from stocklean_exec.schema.order_input import ORDER_TYPES, TIFS, find_order_problem, parse_orders
from stocklean_exec.strategies.division import STRATEGY_QUANTITIES, beyond_strategies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.risk.pre_trade_checks import PlanCheck

__all__ = ["CHOICES", "EDITABLE", "apply_edit", "read_typed"]

EDITABLE = ("quantity", "limit_price", "order_type", "tif")
"""The columns that a person may change; the plan sets all others."""

CHOICES = {"order_type": ORDER_TYPES, "tif": TIFS}
"""Allowed values of the columns that have a fixed set."""

_CHECK_COLUMNS = ["verdict", "reasons", "checks"]
_TERMS = (
    "client_order_id",
    "symbol",
    "side",
    "sec_type",
    "lot_size",
    "tick_size",
    STRATEGY_QUANTITIES,
    *EDITABLE,
)
_NUMBER = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]*)?|[+-]?\.[0-9]+")


def read_typed(changes: object) -> dict[str, Any]:
    """Parse typed cells: text by column; numbers may have commas between thousands.

    Raises
    ------
    InputError
        A column cannot be edited, or a text is not a number.

    Examples
    --------
    >>> read_typed({"quantity": " 1,200 ", "tif": "gtc"})
    {'quantity': 1200.0, 'tif': 'gtc'}
    >>> read_typed({"quantity": "a dozen"})
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: edit: 1 problem
      quantity 'a dozen' is not a number [quantity_invalid]
    """
    if not isinstance(changes, dict) or not all(isinstance(text, str) for text in changes.values()):
        raise InputError("edit", [Problem("edit_invalid", f"{shown(changes)} is not a mapping of column to text")])
    values: dict[str, Any] = {}
    problems = []
    for name, typed in changes.items():
        text = typed.strip()
        if name not in EDITABLE:
            problems.append(Problem("not_editable", f"{shown(name)} cannot be edited; edit {', '.join(EDITABLE)}"))
        elif name in CHOICES:
            values[name] = text
        elif _NUMBER.fullmatch(text):
            values[name] = float(text.replace(",", ""))
        else:
            problems.append(Problem(f"{name}_invalid", f"{name} {shown(text)} is not a number", column=name))
    if problems:
        raise InputError("edit", problems)
    return values


def apply_edit(
    orders: pd.DataFrame, places: NDArray[np.int64], changes: dict[str, Any], check: PlanCheck
) -> tuple[pd.DataFrame, PlanCheck]:
    """Return a copy of ``orders`` with ``changes`` applied to the rows at ``places``, and its check.

    ``orders`` is not modified; ``check`` is its check. The column ``checks`` of the edited frame is not updated.
    A change to ``MKT`` removes the limit price.

    Raises
    ------
    InputError
        Lists every row with an invalid value.
    """
    part = orders.iloc[places].drop(columns=_CHECK_COLUMNS)
    part.attrs = {}  # every step would copy it
    for name, value in changes.items():
        part[name] = pd.Series([value] * len(part), index=part.index, dtype=object)  # validated below
    if changes.get("order_type") == "MKT":
        part["limit_price"] = math.nan
    _validate(part)
    edited = parse_orders(part)
    edited.index = part.index
    edited["notional"] = (edited["quantity"] * edited["decision_price"]).round(8)
    signed = edited["quantity"].where(edited["side"] == "BUY", -edited["quantity"])
    edited["target_quantity"] = edited["current_quantity"] + signed
    frame = orders.copy(deep=False)  # its columns are replaced, never modified in place
    for name in (*EDITABLE, "notional", "target_quantity"):
        values = frame[name].array.copy()
        values[places] = edited[name].array
        frame[name] = values
    if "expected_cost_bps" in frame.columns and "quantity" in changes:
        known = np.ones(len(frame), dtype=bool)
        known[places] = False  # the estimate was for another quantity
        frame["expected_cost_bps"] = frame["expected_cost_bps"].where(known)
    merge_warnings(frame, edited)
    after = check.edited(frame)
    after.mark(frame)
    return frame, after


def _validate(part: pd.DataFrame) -> None:
    problems = []
    terms = [name for name in _TERMS if name in part.columns]
    for row in cast("list[dict[str, Any]]", part[terms].to_dict("records")):
        problem = _edit_problem(row)
        if problem is not None:
            problems.append(Problem(*problem, row["client_order_id"], row["symbol"]))
    if problems:
        raise InputError("edit", problems)


def _edit_problem(row: dict[str, Any]) -> tuple[str, str] | None:
    for name in ("quantity", "limit_price"):
        if isinstance(row[name], bool) or not isinstance(row[name], (int, float)):
            return f"{name}_invalid", f"{name} {shown(row[name])} is not a number"
    larger = beyond_strategies(row.get(STRATEGY_QUANTITIES), float(row["quantity"]))
    if larger:
        return "beyond_strategies", larger
    return find_order_problem(
        float(row["quantity"]),
        str(row["order_type"]),
        float(row["limit_price"]),
        str(row["tif"]),
        str(row["sec_type"]),
        str(row["side"]),
        float(row.get("lot_size", math.nan)),
        float(row.get("tick_size", math.nan)),
    )
