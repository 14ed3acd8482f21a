"""Margin of the account as a review displays it: before, and at most after the orders; and the previews. Pure.

Money is in the base currency of the account; what is not known is NaN. How the bound is made is in
:mod:`~stocklean_exec.risk.plan_margin`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.risk.rules import margin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stocklean_exec.risk.plan_margin import PlanMargin
    from stocklean_exec.risk.pre_trade_checks import PlanCheck

__all__ = ["MARGIN_MEASURES", "PREVIEWED", "MarginView", "shows_margin"]

MARGIN_MEASURES = ("initial_margin", "maintenance_margin", "equity_with_loan", "excess_liquidity")
"""Figures of the account: margin at most, equity and excess liquidity at least."""

PREVIEWED = ("previewed_commission", "previewed_margin", "previewed_at")
"""Cells of an order that was previewed as it is: commission, initial margin that it adds alone, and when."""


@dataclass(frozen=True, slots=True, eq=False)
class MarginView:
    """The margin of a reviewed plan, from its check."""

    margin: PlanMargin
    rates: dict[str, float]
    """Base currency per unit of the currency of each previewed commission; NaN if unknown."""

    @classmethod
    def of(cls, check: PlanCheck) -> MarginView:
        """Take the margin of a plan from its check."""
        context = check.context
        currencies = {one.commission_currency for one in context.previews.values()} - {None}
        rates = {str(name): context.rate(str(name)) for name in currencies}
        return cls(margin_of(check.arrays, context), rates)

    def totals_by_decision(self, decision_status: Sequence[str]) -> dict[str, list[float]]:
        """Figures by name: now, and the bound after the approved and after all eligible (not blocked) orders."""
        decided = np.array(decision_status, dtype=object)
        parts = [self.margin.before.to_dict()]
        parts += [self.margin.after(mask).to_dict() for mask in (decided == "approved", decided != "blocked")]
        return {name: [part[name] for part in parts] for name in MARGIN_MEASURES}

    def coverage(self, decision_status: Sequence[str]) -> tuple[int, int, float | None]:
        """Number of eligible orders, of those with a preview, and when the oldest was made, seconds since 1970."""
        return self.margin.coverage(np.array(decision_status, dtype=object) != "blocked")

    def coverage_text(self, decision_status: Sequence[str]) -> str:
        """Coverage in words, with the time of the oldest preview."""
        orders, previewed, oldest = self.coverage(decision_status)
        if not previewed:
            return f"0 of {orders} orders"
        when = "" if oldest is None else f", the oldest of {_time(oldest)}"
        return f"{previewed} of {orders} orders{when}"

    def cells(self, places: list[int]) -> dict[str, list[float | str | None]]:
        """Cells of :data:`PREVIEWED` for the orders at ``places``; None where an order has no preview."""
        found = [self.margin.orders.previews[place] for place in places]
        commission, margin, at = PREVIEWED
        return {
            commission: [
                None if one is None else _commission(one.commission, self.rates.get(one.commission_currency or ""))
                for one in found
            ],
            margin: [None if one is None else _known(one.changes[0]) for one in found],
            at: [None if one is None or one.at is None else _time(one.at) for one in found],
        }


def shows_margin(check: PlanCheck) -> bool:
    """Whether a review shows margin: an order has a preview, or margin is limited."""
    limits = (check.limits.max_initial_margin, check.limits.min_excess_liquidity)
    return bool(check.context.previews) or any(limit is not None for limit in limits)


def _commission(amount: float | None, rate: float | None) -> float | None:
    return None if amount is None or rate is None else _known(round(amount * rate, 6))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _time(at: float) -> str:
    return f"{pd.Timestamp(at, unit='s', tz='UTC'):%Y-%m-%d %H:%M:%S} UTC"
