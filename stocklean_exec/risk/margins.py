"""Previews of orders by the broker, compared with the limits on margin. Pure.

A preview holds for the order as it was previewed: after an edit of its quantity or limit the order needs another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import warning_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stocklean_exec.risk.findings import Findings
    from stocklean_exec.risk.limits import Limits

__all__ = ["MarginPreview", "check_margins", "note_unpreviewed", "read_previews"]

_NEEDED = (
    "client_order_id",
    "quantity",
    "limit_price",
    "preview",
    "initial_margin_after",
    "excess_liquidity_after",
    "message",
)


class MarginPreview(NamedTuple):
    """What the broker said of one order: its terms then, the account after it (NaN: not said), or its refusal."""

    quantity: float
    limit_price: float | None
    initial_margin: float | None
    excess_liquidity: float | None
    refusal: str

    @property
    def terms(self) -> tuple[float, float]:
        """Quantity and limit that were previewed; NaN without a limit."""
        return self.quantity, _number(self.limit_price)


def read_previews(previews: object) -> dict[str, MarginPreview]:
    """Answers by client order id, from the table of :func:`~stocklean_exec.preview_orders`; None for no table.

    Raises
    ------
    InputError
        It is not such a table.

    Examples
    --------
    >>> read_previews(None)
    {}
    """
    if previews is None:
        return {}
    missing = [name for name in _NEEDED if name not in getattr(previews, "columns", ())]
    if not isinstance(previews, pd.DataFrame) or missing:
        text = f"not a table of preview_orders: {', '.join(missing) or type(previews).__name__} is missing"
        raise InputError("previews", [Problem("previews_invalid", text)])
    answered = previews[previews["preview"].isin(["ok", "refused"])]
    rows = zip(*(answered[name].tolist() for name in _NEEDED), strict=True)
    return {
        str(name): MarginPreview(
            float(quantity), _known(limit), _known(margin), _known(excess), _refusal(outcome, message)
        )
        for name, quantity, limit, outcome, margin, excess, message in rows
    }


def check_margins(
    findings: Findings,
    ids: list[str],
    quantity: NDArray[np.float64],
    limit_price: NDArray[np.float64],
    limits: Limits,
    previews: Mapping[str, MarginPreview],
) -> None:
    """Compare what the broker previewed with ``max_initial_margin`` and ``min_excess_liquidity``.

    An order that the broker would refuse is blocked. One that was edited since its preview, or whose margin the
    broker did not say, is a warning.
    """
    if not previews or not ids:
        return
    found = [previews.get(name) for name in ids]
    terms = np.array([(math.nan, math.nan) if one is None else one.terms for one in found])
    is_previewed = np.array([one is not None for one in found], dtype=bool)
    same_limit = (terms[:, 1] == limit_price) | (np.isnan(terms[:, 1]) & np.isnan(limit_price))
    is_current = is_previewed & (terms[:, 0] == quantity) & same_limit
    findings.warn("preview_outdated", is_previewed & ~is_current & (quantity > 0), math.nan, terms[:, 0])
    refused = np.array([bool(one and one.refusal) for one in found], dtype=bool)
    findings.block("preview_refused", is_current & refused, math.nan, math.nan)
    margin = np.array([math.nan if one is None else _number(one.initial_margin) for one in found])
    excess = np.array([math.nan if one is None else _number(one.excess_liquidity) for one in found])
    answered, unknown = is_current & ~refused, np.zeros(len(ids), dtype=bool)
    with np.errstate(invalid="ignore"):
        if limits.max_initial_margin is not None:
            over = answered & (margin > limits.max_initial_margin)
            findings.block("max_initial_margin", over, limits.max_initial_margin, margin)
            unknown |= answered & np.isnan(margin)
        if limits.min_excess_liquidity is not None:
            under = answered & (excess < limits.min_excess_liquidity)
            findings.block("min_excess_liquidity", under, limits.min_excess_liquidity, excess)
            unknown |= answered & np.isnan(excess)
    findings.warn("margin_unknown", unknown, math.nan, math.nan)


def note_unpreviewed(
    limits: Limits, ids: list[str], quantity: NDArray[np.float64], previews: Mapping[str, MarginPreview]
) -> list[dict[str, object]]:
    """Note once how many orders are not compared with the limits on margin, and that margins do not add up."""
    if limits.max_initial_margin is None and limits.min_excess_liquidity is None:
        return []
    open_ids = [name for name, shares in zip(ids, quantity.tolist(), strict=True) if shares > 0]
    if not open_ids:
        return []
    known = sum(name in previews for name in open_ids)
    text = (
        f"{known} of {len(open_ids)} orders have a preview of their margin, each alone: margins do not add up, so "
        "what all orders together need is UNKNOWN"
    )
    if not known:
        text += "; give check_orders previews=sx.preview_orders(orders, broker)"
    return [warning_row("margin_unknown", text, table="orders")] if len(open_ids) > 1 or not known else []


def _refusal(outcome: object, message: object) -> str:
    if outcome != "refused":
        return ""
    return str(message) if isinstance(message, str) and message else "refused"


def _known(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload] # a cell


def _number(value: float | None) -> float:
    return math.nan if value is None else value
