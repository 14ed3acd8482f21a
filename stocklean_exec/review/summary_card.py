"""The card of a review in a notebook: counts, totals, and what came of it. Pure text, as all cards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from stocklean_exec.errors import InputError
from stocklean_exec.review.impact import MEASURES
from stocklean_exec.schema.html_card import card

if TYPE_CHECKING:
    from stocklean_exec.review.plan import ReviewedPlan

__all__ = ["Reviewed", "outcome_text", "review_card"]

_STILL = "A still picture, on which nothing can be clicked; run the cell again to review."


class Reviewed(Protocol):
    """What a card shows of a review."""

    @property
    def run_id(self) -> str:
        """Run that the plan is for."""

    @property
    def badge(self) -> str:
        """``MOCK``, ``PAPER`` or ``LIVE``."""

    @property
    def shown_account(self) -> str:
        """Account as it may be shown, masked unless asked otherwise."""

    @property
    def state(self) -> str:
        """``open``, ``sent``, ..."""

    @property
    def note(self) -> str:
        """What came of it, or why it ended."""

    @property
    def standing(self) -> list[str]:
        """``approved``, ``rejected``, ``blocked`` or ``open`` for each row."""

    @property
    def plan(self) -> ReviewedPlan:
        """The plan after edits."""

    def __len__(self) -> int: ...


def review_card(review: Reviewed) -> str:
    """Return the card of a review: counts, totals, and what to do next. It cannot be clicked."""
    standing = review.standing
    entries: list[tuple[object, object]] = [("account", review.shown_account)]
    entries += [(name, standing.count(name)) for name in ("approved", "rejected", "open", "blocked")]
    try:
        totals = review.plan.impact.totals_by_standing(standing)
    except InputError:  # a frame that lost its check
        table = None
    else:
        lines = [[name.replace("_", " "), *(_amount(name, value) for value in totals[name])] for name in MEASURES]
        table = (["", "now", "approved", "passing"], lines)
    state = "" if review.state == "open" else review.state
    title = f"Review of {review.run_id}: {len(review)} orders"
    return card(title, [review.badge, state], entries, table, review.note or _STILL)


def _amount(measure: str, value: float) -> str:
    if math.isnan(value):
        return "not known"
    if measure == "orders":
        return f"{value:,.0f}"
    return f"{value:.2%}" if MEASURES[measure].endswith("NAV") else f"{value:,.2f}"


def outcome_text(outcome: object) -> str:
    """Describe in one line what came of a submission: end states by count, or that a run goes on."""
    if isinstance(outcome, pd.DataFrame) and "status" in outcome.columns:
        counts = outcome["status"].value_counts()
        return ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index))
    if hasattr(outcome, "view") and hasattr(outcome, "run_id"):  # a Run, or another handle
        return f"run {outcome.run_id} is under way; review.outcome.view() in a cell shows it and can stop it"
    return repr(outcome)
