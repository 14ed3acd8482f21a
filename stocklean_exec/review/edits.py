"""Edits of a checked plan: typed values, validated row by row; then the whole plan is checked again. Pure.

An edit applies to all of its rows or to none. The edited rows are validated again, then every row is checked
against the same limits and market data as before, because an edit of one row can block or unblock another. Only
the edited rows are parsed again; the result equals a check of the whole plan from scratch.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import as_utc, merge_warnings, shown
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.order_terms import (
    ALGOS,
    MARKET_TYPES,
    ORDER_TYPES,
    PEGGED,
    REFERENCE_PRICE,
    STOPS,
    TIFS,
)
from stocklean_exec.strategies.division import STRATEGY_QUANTITIES, beyond_strategies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.risk.pre_trade_checks import PlanCheck

__all__ = ["CHOICES", "EDITABLE", "apply_edit", "read_typed"]

EDITABLE = (
    "quantity",
    "limit_price",
    "order_type",
    "tif",
    "aux_price",
    "good_till",
    "good_after",
    "outside_rth",
    "algo",
    "algo_params",
)
"""The columns that a person may change; the plan sets all others."""

CHOICES = {"order_type": ORDER_TYPES, "tif": TIFS, "outside_rth": ("no", "yes"), "algo": ("", *ALGOS)}
"""Allowed values of the columns that have a fixed set; an empty text is none."""

_CHECK_COLUMNS = ["verdict", "reasons", "checks"]
_NUMBERS = ("quantity", "limit_price", "aux_price")
_TIMES = ("good_till", "good_after")
_COUNTED = ("limit_offset_bps", "limit_reference", REFERENCE_PRICE)  # what a limit was counted from
_NUMBER = re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]*)?|[+-]?\.[0-9]+")


def read_typed(changes: object) -> dict[str, Any]:
    """Parse typed cells: text by column; numbers may have commas between thousands, times need a zone.

    An empty text removes a price, a time or an algorithm.

    Raises
    ------
    InputError
        A column cannot be edited, or a text is not a number or a time.

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
        elif name == "outside_rth" and text.lower() in {"yes", "no"}:
            values[name] = text.lower() == "yes"
        elif name in CHOICES or name == "algo_params":
            values[name] = text
        elif name in _TIMES:
            stamp = as_utc(text or None, name)
            problems += [stamp] if isinstance(stamp, Problem) else []
            values[name] = stamp
        elif name == "aux_price" and not text:
            values[name] = math.nan
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
    A change of the order type removes the prices that the new one does not have, a change of the time in force
    the end of ``GTD``, and a new limit price the offset that the old one was counted by.

    Raises
    ------
    InputError
        Lists every row with an invalid value.
    """
    part = orders.iloc[places].drop(columns=_CHECK_COLUMNS)
    part.attrs = {}  # every step would copy it
    changes = _with_consequences(changes)
    for name, value in changes.items():
        if name in part.columns or name != REFERENCE_PRICE:
            part[name] = pd.Series([value] * len(part), index=part.index, dtype=object)  # validated below
    edited = _validated(part)
    edited.index = part.index
    edited["notional"] = (edited["quantity"] * edited["decision_price"]).round(8)
    signed = edited["quantity"].where(edited["side"] == "BUY", -edited["quantity"])
    edited["target_quantity"] = edited["current_quantity"] + signed
    frame = orders.copy(deep=False)  # its columns are replaced, never modified in place
    for name in (*EDITABLE, *(one for one in _COUNTED if one in frame.columns), "notional", "target_quantity"):
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


def _with_consequences(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes with those that a new type, time in force or limit brings with it, where they are not given."""
    kind, tif = changes.get("order_type"), changes.get("tif")
    more: dict[str, Any] = {}
    if kind is not None:
        if kind in MARKET_TYPES:
            more["limit_price"] = math.nan
        if kind not in STOPS | PEGGED:
            more["aux_price"] = math.nan
    if tif is not None and tif != "GTD":
        more["good_till"] = None
    if "limit_price" in changes or "limit_price" in more:
        more |= {"limit_offset_bps": math.nan, "limit_reference": None, REFERENCE_PRICE: math.nan}
    return more | changes


def _validated(part: pd.DataFrame) -> pd.DataFrame:
    """Edited rows, parsed again; an error lists every row with a problem."""
    rows = list(zip(part["client_order_id"].tolist(), part["symbol"].tolist(), strict=True))
    problems = [
        Problem(f"{name}_invalid", f"{name} {shown(value)} is not a number", *row)
        for name in _NUMBERS
        for row, value in zip(rows, part[name].tolist(), strict=True)
        if isinstance(value, bool) or not isinstance(value, (int, float))
    ]
    problems += [
        Problem(code, f"{name} {shown(value)} is not text", *row)
        for name, code in (("order_type", "order_type_unsupported"), ("tif", "tif_invalid"))
        for row, value in zip(rows, part[name].tolist(), strict=True)
        if not isinstance(value, str)
    ]
    if STRATEGY_QUANTITIES in part.columns and not problems:
        divided = zip(rows, part[STRATEGY_QUANTITIES].tolist(), part["quantity"].tolist(), strict=True)
        problems += [
            Problem("beyond_strategies", larger, *row)
            for row, wishes, quantity in divided
            if (larger := beyond_strategies(wishes, float(quantity)))
        ]
    if problems:
        raise InputError("edit", problems)
    try:
        edited = parse_orders(part)
    except InputError as error:
        raise InputError("edit", error.problems) from None
    refused = (edited["status"] == "REJECTED").to_numpy(dtype=bool)
    details = edited["detail"].tolist()
    problems = [
        Problem(code, details[place].removeprefix(f"{code}: "), *rows[place])
        for place, code in enumerate(edited["reason"].tolist())
        if refused[place]
    ]
    if problems:
        raise InputError("edit", problems)
    return edited
