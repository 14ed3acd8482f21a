"""The card of a review in a notebook: counts, totals and outcome. Static HTML, as all cards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from stocklean_exec.errors import InputError
from stocklean_exec.review.impact import MEASURES
from stocklean_exec.review.margin_view import shows_margin
from stocklean_exec.schema.html_card import card

if TYPE_CHECKING:
    from stocklean_exec.review.plan import ReviewedPlan
    from stocklean_exec.risk.limits import Limits

__all__ = ["Reviewed", "outcome_text", "review_card"]

_BOUNDS = {
    "initial_margin": "initial margin, at most",
    "maintenance_margin": "maintenance margin, at most",
    "equity_with_loan": "equity with loan, at least",
    "excess_liquidity": "excess liquidity, at least",
}
_STATIC_NOTE = "Static snapshot; re-run the cell to interact."


class Reviewed(Protocol):
    """The part of a review that its card needs."""

    @property
    def run_id(self) -> str:
        """The run of the plan."""

    @property
    def badge(self) -> str:
        """``MOCK``, ``PAPER`` or ``LIVE``."""

    @property
    def shown_account(self) -> str:
        """The account for display; masked unless ``show_account`` is set."""

    @property
    def state(self) -> str:
        """``open``, ``sent``, ..."""

    @property
    def note(self) -> str:
        """Outcome of the submission, or why it failed."""

    @property
    def decision_status(self) -> list[str]:
        """``approved``, ``rejected``, ``blocked`` or ``open`` for each row."""

    @property
    def work_text(self) -> str:
        """How the approved orders are worked; empty without a policy."""

    @property
    def limits(self) -> Limits:
        """The limits that the plan was checked against."""

    @property
    def plan(self) -> ReviewedPlan:
        """The plan after edits."""

    def __len__(self) -> int: ...


def review_card(review: Reviewed) -> str:
    """Return the card of a review: counts, totals, and the outcome or what to do next."""
    statuses = review.decision_status
    entries: list[tuple[object, object]] = [("account", review.shown_account)]
    entries += [(name, statuses.count(name)) for name in ("approved", "rejected", "open", "blocked")]
    if review.limits.off:
        entries.append(("limits off", ", ".join(review.limits.off)))
    if review.work_text:
        entries.append(("worked", review.work_text))
    try:
        totals = review.plan.impact.totals_by_decision(statuses)
    except InputError:  # a frame that lost its check
        table = None
    else:
        lines = [[name.replace("_", " "), *(_amount(name, value) for value in totals[name])] for name in MEASURES]
        if shows_margin(review.plan.check):
            margin = review.plan.margin
            figures = margin.totals_by_decision(statuses)
            lines += [[_BOUNDS[name], *(_amount(name, value) for value in figures[name])] for name in figures]
            entries.append(("previews", margin.coverage_text(statuses)))
        table = (["", "now", "after approved", "after all eligible"], lines)
    state = "" if review.state == "open" else review.state
    title = f"Review of {review.run_id}: {len(review)} orders"
    return card(title, [review.badge, state], entries, table, review.note or _STATIC_NOTE)


def _amount(measure: str, value: float) -> str:
    if math.isnan(value):
        return "unknown"
    if measure == "orders":
        return f"{value:,.0f}"
    return f"{value:.2%}" if MEASURES.get(measure, "").endswith("NAV") else f"{value:,.2f}"


def outcome_text(outcome: object) -> str:
    """Describe the outcome of a submission in one line: counts of final statuses, or that the run continues."""
    if isinstance(outcome, pd.DataFrame) and "status" in outcome.columns:
        counts = outcome["status"].value_counts()
        return ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index))
    if hasattr(outcome, "view") and hasattr(outcome, "run_id"):  # a Run, or another handle
        return f"run {outcome.run_id} is under way; review.outcome.view() in a cell shows it and can stop it"
    return repr(outcome)
