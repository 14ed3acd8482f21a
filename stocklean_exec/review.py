"""The review: a person's decisions on a checked plan, as an object that needs no display.

The model holds the plan and the decisions and enforces the rules: a blocked order cannot be approved by any
way, an edit is validated and checked again before it counts and takes back the row's approval, and every
decision is kept with who, when, old and new. A widget may show it; code can use it as it is.
"""

from __future__ import annotations

import getpass
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.approval import seal
from stocklean_exec.checks import CHECK_CONTEXT, recheck_orders
from stocklean_exec.errors import ApprovalError, InputError, Problem
from stocklean_exec.order_door import find_order_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

__all__ = ["Decision", "OrderReview", "review_orders"]

_EDITABLE = ("quantity", "limit_price", "order_type", "tif")


class Decision(NamedTuple):
    """One thing a person did: ``action`` is approve, reject, edit or withdraw (by an edit, not by a person)."""

    at: datetime
    by: str
    client_order_id: str
    action: str
    column: str | None = None
    old: object = None
    new: object = None


class OrderReview:
    """Decisions on a checked plan; made by :func:`review_orders`.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.5}, None, {"SPY": 400.0}, nav=10_000, run_id="run-1")
    >>> review = sx.review_orders(sx.check_orders(orders, quotes={"SPY": 400.0}, cash=10_000))
    >>> review.approve_all(by="demo")
    1
    >>> review
    <OrderReview run-1: 2 orders, 1 approved, 0 rejected, 0 open, 1 blocked>
    """

    def __init__(self, checked: pd.DataFrame, now: Callable[[], datetime] = clock.now) -> None:
        columns = getattr(checked, "columns", ())
        if "verdict" not in columns or "client_order_id" not in columns:
            text = "only a checked plan can be reviewed; call sx.check_orders first"
            raise InputError("orders", [Problem("not_checked", text)])
        self._now = now
        self._context = checked.attrs.get(CHECK_CONTEXT)
        self._orders = checked.copy()
        self._decided: dict[str, Decision] = {}
        self._log: list[Decision] = []

    # -- looking -------------------------------------------------------------------------------------------

    @property
    def orders(self) -> pd.DataFrame:
        """The plan as it stands after edits, with ``approved``, ``approved_by`` and ``approved_at``."""
        frame = self._orders.copy()
        decided = [self._decided.get(name) for name in frame["client_order_id"].tolist()]
        approved = [decision is not None and decision.action == "approve" for decision in decided]
        who = [
            decision.by if decision is not None and decision.action == "approve" else None for decision in decided
        ]
        when = [
            decision.at if decision is not None and decision.action == "approve" else None for decision in decided
        ]
        frame["approved"] = pd.array(approved, dtype="bool")
        frame["approved_by"] = pd.array(who, dtype="str")
        frame["approved_at"] = pd.Series(when, index=frame.index, dtype="datetime64[us, UTC]")
        return frame

    @property
    def decisions(self) -> pd.DataFrame:
        """Everything that was decided, in sequence: at, by, client_order_id, action, column, old, new."""
        return pd.DataFrame(self._log, columns=list(Decision._fields))

    @property
    def blocked(self) -> list[str]:
        """Client order ids that cannot be approved."""
        barred = (self._orders["verdict"] == "block") | (self._orders["status"] == "REJECTED")
        return self._orders.loc[barred, "client_order_id"].tolist()

    def result(self) -> pd.DataFrame:
        """Every planned row with its approval, sealed: what ``submit_orders`` takes."""
        return seal(self.orders)

    def approved_orders(self) -> pd.DataFrame:
        """Only the approved rows; for looking at, as a run's record is the whole plan."""
        result = self.result()
        return result[result["approved"]].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self._orders)

    def __repr__(self) -> str:
        actions = [decision.action for decision in self._decided.values()]
        blocked = len(self.blocked)
        approved, rejected = actions.count("approve"), actions.count("reject")
        run = self._orders["run_id"].iloc[0] if len(self._orders) else "no run"
        return (
            f"<OrderReview {run}: {len(self)} orders, {approved} approved, {rejected} rejected, "
            f"{len(self) - approved - rejected - blocked} open, {blocked} blocked>"
        )

    # -- deciding ------------------------------------------------------------------------------------------

    def approve(self, *client_order_ids: str, by: str | None = None) -> int:
        """Approve the named orders, and say how many.

        Raises
        ------
        ApprovalError
            One of them is blocked; then none is approved.
        InputError
            One of them is not in the plan.
        """
        self._require(client_order_ids)
        blocked = sorted(set(self.blocked).intersection(client_order_ids))
        if blocked:
            why = self._orders.set_index("client_order_id").loc[blocked, "reasons"].tolist()
            text = "; ".join(f"{name} ({reason})" for name, reason in zip(blocked, why, strict=True))
            raise ApprovalError(f"blocked orders cannot be approved: {text}. Edit them, or leave them out")
        return self._decide("approve", dict.fromkeys(client_order_ids), by)

    def reject(self, *client_order_ids: str, by: str | None = None) -> int:
        """Leave the named orders out, and say how many."""
        self._require(client_order_ids)
        blocked = set(self.blocked)
        return self._decide(
            "reject", [name for name in dict.fromkeys(client_order_ids) if name not in blocked], by
        )

    def approve_all(self, by: str | None = None) -> int:
        """Approve every order that is not blocked, and say how many."""
        blocked = set(self.blocked)
        names = self._orders["client_order_id"].tolist()
        return self._decide("approve", [name for name in names if name not in blocked], by)

    def reject_all(self, by: str | None = None) -> int:
        """Leave every order out, and say how many."""
        return self.reject(*self._orders["client_order_id"].tolist(), by=by)

    def edit(
        self,
        *client_order_ids: str,
        quantity: float | None = None,
        limit_price: float | None = None,
        order_type: str | None = None,
        tif: str | None = None,
        by: str | None = None,
    ) -> pd.DataFrame:
        """Change the named orders, or all that are not rejected if none is named; check all again.

        A change to ``MKT`` takes the limit price away. The edited rows must be approved anew; so must any row
        that the edit of another one has blocked.

        Returns
        -------
        DataFrame: the edited rows with their new verdicts

        Raises
        ------
        InputError
            A value cannot be used, or an order is not in the plan; then nothing is changed.
        """
        given: tuple[object, ...] = (quantity, limit_price, order_type, tif)
        changes = {
            name: value.upper() if isinstance(value, str) else value
            for name, value in zip(_EDITABLE, given, strict=True)
            if value is not None
        }
        if not changes:
            raise InputError("edit", [Problem("nothing_to_edit", f"give one of {', '.join(_EDITABLE)}")])
        self._require(client_order_ids)
        _who(by)
        rows = self._orders["status"] != "REJECTED"
        if client_order_ids:
            rows &= self._orders["client_order_id"].isin(client_order_ids)
        refused = sorted(set(client_order_ids) - set(self._orders.loc[rows, "client_order_id"]))
        if refused:
            raise InputError(
                "edit", [Problem("order_rejected", f"{name} is rejected in the plan") for name in refused]
            )
        edited = self._edited(rows, changes)
        before = self._orders
        self._orders = edited
        self._log_edits(before, rows, changes, by)
        self._withdraw_blocked(by)
        return edited[rows.to_numpy()].reset_index(drop=True)

    # -- the rules -----------------------------------------------------------------------------------------

    def _edited(self, rows: pd.Series[bool], changes: dict[str, object]) -> pd.DataFrame:
        """Return the plan with ``changes``, checked again, or raise and change nothing."""
        frame = self._orders.copy()
        for name, value in changes.items():
            mixed = [value if hit else old for hit, old in zip(rows.tolist(), frame[name].tolist(), strict=True)]
            frame[name] = pd.Series(mixed, index=frame.index, dtype=object)  # what it is worth is asked below
        if changes.get("order_type") == "MKT":
            frame.loc[rows, "limit_price"] = math.nan
        problems = []
        for row in cast("list[dict[str, Any]]", frame[rows].to_dict("records")):
            found = _edit_problem(row)
            if found is not None:
                problems.append(Problem(found[0], found[1], row["client_order_id"], row["symbol"]))
        if problems:
            raise InputError("edit", problems)
        for name in ("quantity", "limit_price"):
            frame[name] = frame[name].astype("float64")
        frame["notional"] = (frame["quantity"] * frame["decision_price"]).round(8)
        signed = frame["quantity"].where(frame["side"] == "BUY", -frame["quantity"])
        frame.loc[rows, "target_quantity"] = (frame["current_quantity"] + signed)[rows]
        if self._context is not None:
            frame.attrs[CHECK_CONTEXT] = self._context
        checked = recheck_orders(frame)
        checked.index = self._orders.index
        return checked[self._orders.columns]

    def _log_edits(
        self, before: pd.DataFrame, rows: pd.Series[bool], changes: dict[str, object], by: str | None
    ) -> None:
        stamp, who = self._now(), _who(by)
        for old in before[rows].to_dict("records"):
            name = str(old["client_order_id"])
            self._decided.pop(name, None)
            self._log += [
                Decision(stamp, who, name, "edit", column, old[column], value) for column, value in changes.items()
            ]

    def _withdraw_blocked(self, by: str | None) -> None:
        for name in self.blocked:
            if self._decided.pop(name, None) is not None:
                self._log.append(Decision(self._now(), _who(by), name, "withdraw"))

    def _decide(self, action: str, names: Iterable[str], by: str | None) -> int:
        stamp, who = self._now(), _who(by)
        made = [Decision(stamp, who, name, action) for name in names]
        for decision in made:
            self._decided[decision.client_order_id] = decision
        self._log += made
        return len(made)

    def _require(self, client_order_ids: Iterable[str]) -> None:
        known = set(self._orders["client_order_id"])
        lost = [name for name in client_order_ids if name not in known]
        if lost:
            text = "is not in this plan"
            raise InputError("review", [Problem("order_unknown", f"{name!r} {text}") for name in lost])


def _edit_problem(row: dict[str, Any]) -> tuple[str, str] | None:
    for name in ("quantity", "limit_price"):
        if isinstance(row[name], bool) or not isinstance(row[name], (int, float)):
            return f"{name}_invalid", f"{name} {row[name]!r} is not a number"
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


def _who(by: object) -> str:
    if by is not None:
        if not isinstance(by, str) or not by.strip():
            raise InputError("by", [Problem("by_missing", "say who decides")])
        return by.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return str(os.getuid())


def review_orders(checked: pd.DataFrame) -> OrderReview:
    """Start the review of a checked plan.

    Parameters
    ----------
    checked : as :func:`~stocklean_exec.checks.check_orders` returned it

    Raises
    ------
    InputError
        The frame was not checked.
    """
    return OrderReview(checked)
