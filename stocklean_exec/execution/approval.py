"""The seal on a reviewed plan: what was approved, by whom, and that nothing has changed since. Pure.

A sealed plan may be stored as CSV or Parquet and read again: :func:`restore` restores the dtypes before the seal
is checked. Rows may be in another sequence; nothing else may differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.errors import ApprovalError, InputError, Problem
from stocklean_exec.execution.work_plan import WORK_POLICY
from stocklean_exec.risk.limits import Limits
from stocklean_exec.risk.market_closed import AUCTION_UNTIL
from stocklean_exec.schema.frame_validator import RUN_ID
from stocklean_exec.schema.order_ids import payload_hashes, plan_hash
from stocklean_exec.schema.order_terms import REFERENCE_PRICE
from stocklean_exec.schema.tables import ORDERS
from stocklean_exec.strategies.division import CROSSES

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["check_age", "limits_of", "restore", "seal", "shorter", "verify"]

_SEALED = (
    "decision_price",
    "target_quantity",
    "con_id",
    "fx_rate",
    AUCTION_UNTIL,
    WORK_POLICY,
    "status",
    "reason",
    "verdict",
    "limits",
    "approved",
    "approved_by",
    "approved_at",
)
"""What a person saw and decided, in addition to the terms of the orders."""

_NEEDED = ("approved", "approved_by", "approved_at", "verdict", "limits", "order_hash", "approval_hash")
_YES_OR_NO = {True: True, False: False, "True": True, "False": False}  # as pandas writes them to a CSV file
_SHOWN = 10  # ids in one error text
_CLOCK_SKEW = 60.0  # seconds between the clocks of two machines; a stated choice


def seal(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the fingerprint of each row (``order_hash``) and of the whole plan (``approval_hash``)."""
    hashes = payload_hashes(frame, _SEALED)
    return frame.assign(order_hash=hashes, approval_hash=plan_hash(hashes)).astype(
        {"order_hash": "str", "approval_hash": "str"}
    )


def restore(frame: object) -> pd.DataFrame:
    """Return a sealed plan with the dtypes that it was sealed with: files do not keep them.

    Raises
    ------
    ApprovalError
        There is no approval, or a cell cannot be converted to the dtype of its column.
    """
    columns = frame.columns if isinstance(frame, pd.DataFrame) else ()
    missing = [name for name in (*ORDERS.required, *_NEEDED) if name not in columns]
    if missing or not isinstance(frame, pd.DataFrame):
        raise ApprovalError(
            f"this frame carries no approval (no {', '.join(missing)}); "
            "submit review.result() of sx.review_orders(checked)"
        )
    decided = _yes_or_no(frame, "approved")
    outside = _yes_or_no(frame, "outside_rth") if "outside_rth" in frame.columns else [False] * len(frame)
    try:
        plain = ORDERS.conform(frame.reset_index(drop=True).assign(outside_rth=pd.array(outside, dtype="bool")))
        plain["approved_at"] = pd.to_datetime(plain["approved_at"], utc=True).astype("datetime64[us, UTC]")
        plain["approved_by"] = plain["approved_by"].astype("str")
        if AUCTION_UNTIL in plain.columns:
            plain[AUCTION_UNTIL] = pd.to_datetime(plain[AUCTION_UNTIL], utc=True).astype("datetime64[us, UTC]")
        if REFERENCE_PRICE in plain.columns:
            plain[REFERENCE_PRICE] = plain[REFERENCE_PRICE].astype("float64")
    except (ValueError, TypeError) as error:
        raise ApprovalError(f"rows changed since they were approved: {error}") from None
    plain["approved"] = pd.array(decided, dtype="bool")
    for name in (RUN_ID, CROSSES):  # where a plan without rows has them
        if name in frame.attrs:
            plain.attrs[name] = frame.attrs[name]
    return plain


def _yes_or_no(frame: pd.DataFrame, name: str) -> list[bool]:
    try:
        return [_YES_OR_NO[value] for value in frame[name].tolist()]
    except (KeyError, TypeError):
        text = f"{name} is neither True nor False in some rows; review and approve them again"
        raise ApprovalError(text) from None


def verify(frame: pd.DataFrame) -> str:
    """Return the plan's fingerprint, if ``frame`` (from :func:`restore`) is as it was sealed.

    Raises
    ------
    ApprovalError
        Rows were added, changed or removed, or a blocked row is marked approved.
    """
    hashes = payload_hashes(frame, _SEALED)
    ids = frame["client_order_id"].tolist()
    changed = [
        str(name) for name, was, now in zip(ids, frame["order_hash"].tolist(), hashes, strict=True) if was != now
    ]
    if changed:
        raise ApprovalError(
            f"{len(changed)} rows changed since they were approved: {', '.join(changed[:_SHOWN])}"
            f"{', ...' if len(changed) > _SHOWN else ''}; review and approve them again"
        )
    seals = set(frame["approval_hash"].tolist())
    if len(frame) and seals != {plan_hash(hashes)}:
        raise ApprovalError(
            "rows were added or removed since the approval; submit review.result() as a whole: "
            "rows that were not approved are recorded, and not sent"
        )
    barred = (frame["verdict"] == "block") | (frame["status"] == "REJECTED")
    wrong = frame.loc[barred & frame["approved"], "client_order_id"].tolist()
    if wrong:
        raise ApprovalError(f"blocked orders cannot be approved: {', '.join(wrong)}")
    return plan_hash(hashes)


def shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two times; None means no limit.

    Examples
    --------
    >>> shorter(60.0, None), shorter(None, None), shorter(60.0, 30.0)
    (60.0, None, 30.0)
    """
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)


def limits_of(frame: pd.DataFrame) -> Limits:
    """Limits that a plan was checked against.

    Raises
    ------
    InputError
        The frame was not checked, has lost its limits, or combines plans with different limits.
    """
    texts = frame["limits"].tolist() if "limits" in getattr(frame, "columns", ()) else [None]
    known = {text for text in texts if isinstance(text, str)}
    if len(known) == 1 and all(isinstance(text, str) for text in texts):
        return Limits.parse(known.pop())
    why = (
        "combines plans that were checked against different limits"
        if len(known) > 1
        else "was not checked, or has lost the limits it was checked against"
    )
    raise InputError("orders", [Problem("not_checked", f"this frame {why}; call sx.check_orders(orders, limits)")])


def check_age(frame: pd.DataFrame, now: datetime, max_age: float | None) -> None:
    """Refuse an approval that is older than ``max_age`` seconds, or dated in the future.

    Raises
    ------
    ApprovalError
        With the age of the oldest approval, or how far in the future one is dated.
    """
    approved_at = frame.loc[frame["approved"], "approved_at"].dropna()
    if max_age is None or not len(approved_at):
        return
    age = (now - approved_at.min().to_pydatetime()).total_seconds()
    if age > max_age:
        raise ApprovalError(
            f"the approval is {age:,.0f} s old, over {max_age:,.0f} s; prices have moved: plan and review again"
        )
    ahead = (approved_at.max().to_pydatetime() - now).total_seconds()
    if ahead > _CLOCK_SKEW:
        raise ApprovalError(f"the approval is dated {ahead:,.0f} s in the future; check the clock")
