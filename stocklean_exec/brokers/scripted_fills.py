"""The fill plan: what the mock filler does with an order instead of following the market. Pure.

One row is one step, rows are in sequence. A plan without rows for an order leaves it to the
market. An order whose limit is changed continues with the rows that remain, those after ``rest``, or one that its
old limit kept from trading; without any, with the market. Quantities are shares, prices currency per share, times
seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stocklean_exec.schema.frame_validator import FrameValidator
from stocklean_exec.schema.tables import Column, Table

__all__ = ["FILL_PLAN", "FillStep", "parse_fill_plan"]

FILL_PLAN = Table(
    "fill_plan",
    "one thing that the mock filler does with the orders of a symbol, or with one order; rows in sequence",
    (
        Column(
            "symbol",
            "str",
            "every order in this symbol, unless a row names the order itself",
            "",
            required=True,
        ),
        Column(
            "action",
            "str",
            "`fill`, `rest` (until its limit is changed), `reject`, `cancel` or `refuse_change`",
            "",
            required=True,
        ),
        Column("client_order_id", "str", "this order alone"),
        Column("quantity", "float64", "how much to fill; the rest of the order if empty", "shares"),
        Column("price", "float64", "at which price; the far touch if empty", "currency per share"),
        Column("seconds", "float64", "how long after the step before", "seconds"),
        Column("code", "str", "reason of a reject, a cancel or a refused change"),
        Column("message", "str", "its text"),
    ),
)
_ACTIONS = ("fill", "rest", "reject", "cancel", "refuse_change")


@dataclass(frozen=True, slots=True)
class FillStep:
    """One row of a fill plan."""

    action: str
    quantity: float = math.nan
    price: float = math.nan
    seconds: float = math.nan
    code: str | None = None
    message: str | None = None


def parse_fill_plan(plan: object) -> dict[str, list[FillStep]]:
    """Read a fill plan: its steps in sequence, by client order id where a row names one, else by symbol.

    Raises
    ------
    InputError
        An action is unknown, or a number cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> plan = pd.DataFrame([{"symbol": "SPY", "action": "fill", "quantity": 4.0, "price": 100.0}])
    >>> parse_fill_plan(plan)["SPY"][0].quantity
    4.0
    """
    if plan is None:
        return {}
    validator = FrameValidator(FILL_PLAN, plan, "action")
    symbols = validator.read_symbols()
    for name in ("action", "client_order_id", "code", "message"):
        validator.texts(name, None, upper=False)
    numbers: dict[str, Any] = {}
    for name in ("quantity", "price", "seconds"):
        numbers[name] = (
            validator.numbers(name, f"{name}_dtype").tolist()
            if name in validator.frame.columns
            else [math.nan] * len(symbols)
        )
        for row, value in enumerate(numbers[name]):
            if math.isinf(value) or (value <= 0 and not (name == "seconds" and value == 0)):
                validator.problem(f"{name}_invalid", f"{name} {value:g} is not a number above 0", row, name)
    for row, action in enumerate(validator.frame["action"].tolist()):
        if action not in _ACTIONS:
            validator.problem("action_unknown", f"{action!r} is not one of {', '.join(_ACTIONS)}", row, "action")
    validator.finish()
    texts = {
        name: [text if isinstance(text, str) else None for text in validator.frame[name].tolist()]
        for name in ("action", "client_order_id", "code", "message")
    }
    steps: dict[str, list[FillStep]] = {}
    for row, symbol in enumerate(symbols):
        step = FillStep(
            str(texts["action"][row]),
            numbers["quantity"][row],
            numbers["price"][row],
            numbers["seconds"][row],
            texts["code"][row],
            texts["message"][row],
        )
        steps.setdefault(texts["client_order_id"][row] or symbol, []).append(step)
    return steps
