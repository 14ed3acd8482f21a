"""The plan under review after edits: its orders, their check, and their impact on the account.

A :class:`ReviewedPlan` does not change: an edit makes a new one, and :meth:`ReviewedPlan.differ` returns the rows
to display again. To keep an edit fast, results are kept as arrays; the JSON text of the checks is written only on
request.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.review.edits import apply_edit
from stocklean_exec.review.impact import PlanImpact
from stocklean_exec.review.margin_view import MarginView
from stocklean_exec.risk.findings import BLOCK
from stocklean_exec.risk.pre_trade_checks import PlanCheck
from stocklean_exec.risk.rules import ONE_SIDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ReviewedPlan"]


class ReviewedPlan:
    """Checked orders; made by :class:`~stocklean_exec.OrderReview`, and by :meth:`edited`.

    ``frame`` is never modified. If ``check`` is given, the column ``checks`` of ``frame`` is not up to date.
    """

    def __init__(self, frame: pd.DataFrame, check: PlanCheck | None = None) -> None:
        self.frame = frame
        self._edited = check
        self.rejected = (frame["status"] == "REJECTED").to_numpy(dtype=bool)
        """Rows that the planner or the validation rejected; they cannot be edited."""
        by_check = (
            (frame["verdict"] == "block").to_numpy(dtype=bool) if check is None else check.findings.worst == BLOCK
        )
        self.blocked: NDArray[np.bool_] = self.rejected | by_check
        """Rows that cannot be approved."""

    @cached_property
    def one_sided(self) -> NDArray[np.bool_]:
        """Sells that would be sent without the buys they were meant to fund."""
        reasons = self.frame["reasons"].fillna("").tolist()
        return np.array([ONE_SIDED in text.split(", ") for text in reasons], dtype=bool)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """The orders with all columns up to date."""
        if self._edited is None:
            return self.frame
        return self.frame.assign(checks=pd.array(self._edited.findings.as_json(), dtype="str"))

    @cached_property
    def check(self) -> PlanCheck:
        """The current check, made when it is first needed.

        Raises
        ------
        InputError
            The frame has lost the limits and market it was checked against.
        """
        return PlanCheck.of(self.frame) if self._edited is None else self._edited

    @cached_property
    def impact(self) -> PlanImpact:
        """Impact of the orders on the account; raises as :attr:`check` does."""
        return PlanImpact.of(self.check)

    @cached_property
    def margin(self) -> MarginView:
        """Margin of the account before and at most after the orders; raises as :attr:`check` does."""
        return MarginView.of(self.check)

    @cached_property
    def account(self) -> str:
        """The account of the orders; empty if there is none, or more than one."""
        known = self.frame["account"].dropna().unique().tolist() if "account" in self.frame.columns else []
        return str(known[0]) if len(known) == 1 else ""

    @cached_property
    def currency(self) -> str:
        """Currencies of the orders, separated by ", "."""
        known = self.frame["currency"].dropna().tolist() if "currency" in self.frame.columns else []
        return ", ".join(sorted(set(map(str, known))))

    def checks_at(self, places: list[int]) -> list[str]:
        """Return the results of every check for the orders at ``places``, as JSON."""
        if self._edited is None:
            return self.frame["checks"].iloc[places].tolist()
        return self._edited.findings.as_json(places)

    def held_against(self, places: list[int]) -> dict[str, tuple[float, list[float]]] | None:
        """Limit of each check and the values found for the orders at ``places``; None before the first edit."""
        return None if self._edited is None else self._edited.findings.held_against(places)

    def edited(self, places: NDArray[np.int64], changes: dict[str, Any]) -> ReviewedPlan:
        """Return a new plan with the rows at ``places`` changed; raises as :func:`apply_edit` does."""
        return ReviewedPlan(*apply_edit(self.frame, places, changes, self.check))

    def differ(self, other: ReviewedPlan) -> NDArray[np.bool_]:
        """Return a mask of the rows, apart from the edited ones, that are displayed differently in ``other``."""
        different = self.check.findings.differ(other.check.findings) | self.impact.differ(other.impact)
        for name in ("verdict", "reasons"):  # these may differ if the plan was modified after its check
            different |= (self.frame[name].fillna("") != other.frame[name].fillna("")).to_numpy(dtype=bool)
        return different
