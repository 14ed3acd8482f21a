"""The frontier of a plan: what each rule that leaves out trades saves, and how far from the targets it ends.

No rule is best for every book: the tighter a plan keeps to its targets, the more it costs, mainly in fees where
each order has a minimum. The frontier shows both, so that a person can choose. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.account_state import PlanInputs, read_inputs
from stocklean_exec.portfolio.alignment import AlignedBook, investable_nav, parse_nav
from stocklean_exec.portfolio.covariance import align_covariance, tracking_error
from stocklean_exec.portfolio.held_back import held_back
from stocklean_exec.portfolio.plan_summary import PlanEffect, active_share, plan_costs, plan_effect
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.schema.frame_validator import merge_warnings, number_option, shown
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.portfolio.covariance import FactorCovariance

__all__ = ["FRONTIER_COLUMNS", "plan_frontier"]

FRONTIER_COLUMNS = {
    "orders": "int64",
    "held_back": "int64",
    "turnover": "float64",
    "fees": "float64",
    "spread_cost": "float64",
    "active_share": "float64",
    "tracking_error": "float64",
}
"""Columns of :func:`plan_frontier`."""

_OPTIONS = ("band", "band_kind", "band_to", "min_notional", "max_turnover")
_ALL = "all trades"
_HALF = "half of the turnover"
_LEAST_TURNOVER = 1e-9  # where all trades together have none
_PARTS = (1 / 8, 1 / 4)  # of the average target, for absolute bands and minima by default (a choice)
_RULES: dict[str, dict[str, Any]] = {
    _ALL: {},
    "relative 10 %": {"band": 0.1, "band_kind": "relative"},
    "relative 20 %": {"band": 0.2, "band_kind": "relative"},
    "relative 10 %, to the edge": {"band": 0.1, "band_kind": "relative", "band_to": "edge"},
    "relative 20 %, to the edge": {"band": 0.2, "band_kind": "relative", "band_to": "edge"},
}


def plan_frontier(
    targets: object,
    state: object = None,
    rules: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    covariance: pd.DataFrame | FactorCovariance | None = None,
    quotes: object = None,
    nav: float | None = None,
    half_spread_bps: float | None = None,
    **plan_options: Any,  # noqa: ANN401 - passed to plan_orders, which declares them
) -> pd.DataFrame:
    """Plan by several rules, and compare what each costs with how far from the targets it ends.

    Parameters
    ----------
    targets : as in :func:`~stocklean_exec.plan_orders`
    state : an :class:`~stocklean_exec.AccountState`, or positions together with ``quotes`` and ``nav``
    rules : name -> options of :func:`~stocklean_exec.plan_orders`: ``band``, ``band_kind``, ``band_to``,
        ``min_notional``, ``max_turnover``. By default ten: all trades; bands of 10 and 20 % of each target, to
        the target and to the edge; absolute bands, and minima, of an eighth and a quarter of the average target;
        and half of the turnover of all trades
    covariance : a DataFrame with the symbols in index and columns, or a :class:`~stocklean_exec.FactorCovariance`:
        for ``tracking_error``, and for the choice under a cap on turnover
    quotes, nav : the market and net asset value, where ``state`` does not have them
    half_spread_bps : half the spread of symbols whose quotes have no bid and ask, basis points of the price
    plan_options : other options of :func:`~stocklean_exec.plan_orders`

    Returns
    -------
    DataFrame, one row for each rule, index ``rule``:

    ==============  ================================================================================
    orders          orders to send
    held_back       symbols with a trade that is left out, or a part of one
    turnover        (buys + sells) / NAV
    fees            commissions, levies and taxes by the tariff of each market, base currency
    spread_cost     half the quoted spread of each order, base currency; NaN where it is not known
    active_share    half the sum of the absolute differences in weight from the targets, cash among
                    them, after the orders; a fraction of NAV
    tracking_error  after the orders, a fraction of NAV, for the horizon of the covariance; else NaN
    ==============  ================================================================================

    As in :func:`~stocklean_exec.plan_summary`, the position of a symbol that cannot trade counts as its target.
    :func:`~stocklean_exec.chart_frontier` draws it.

    Raises
    ------
    InputError
        An input cannot be used, or a rule has other options than those above.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> state = sx.AccountState.of({"AAA": 105, "BBB": 190}, {"AAA": 100.0, "BBB": 50.0}, nav=20_000)
    >>> rules = {"all trades": {}, "absolute 3 %": {"band": 0.03}}
    >>> frontier = plan_frontier({"AAA": 0.5, "BBB": 0.5}, state, rules, half_spread_bps=1.0, reserve=0)
    >>> frontier[["orders", "held_back", "turnover", "fees", "spread_cost", "active_share"]].round(4)
                  orders  held_back  turnover    fees  spread_cost  active_share
    rule
    all trades         2          0      0.05  2.0149          0.1         0.000
    absolute 3 %       0          2      0.00  0.0000          0.0         0.025
    """
    inputs = read_inputs(
        state,
        quotes,
        nav=nav,
        base_currency=plan_options.get("base_currency"),
        fx=plan_options.get("fx"),
        open_orders=plan_options.get("open_orders"),
        account=plan_options.get("account"),
    )
    plan_options = {"run_id": "frontier", "unlisted": "error", "cash_buffer": 0.0} | plan_options
    yardstick = _Yardstick.of(targets, inputs, plan_options, covariance, _parse_spread(half_spread_bps))
    given = _default_rules(yardstick) if rules is None else _parse_rules(rules)
    plans: list[pd.DataFrame] = []

    def row(options: Mapping[str, Any]) -> dict[str, float]:
        chosen_by = covariance if options.get("max_turnover") is not None else None
        all_options = {**plan_options, **options, "covariance": chosen_by}
        plans.append(plan_orders(targets, state, quotes, nav=nav, **all_options))
        return yardstick.row(plans[-1])

    rows = {name: row(options) for name, options in given.items()}
    if rules is None:
        rows[_HALF] = row({"max_turnover": max(rows[_ALL]["turnover"] / 2, _LEAST_TURNOVER)})
    frame = pd.DataFrame(list(rows.values()), columns=list(FRONTIER_COLUMNS)).astype(FRONTIER_COLUMNS)
    frame.index = pd.Index(list(rows), name="rule", dtype="str")
    return merge_warnings(frame, *[plan.iloc[:0] for plan in plans[:1]])


def _default_rules(yardstick: _Yardstick) -> dict[str, dict[str, Any]]:
    """Bands and minima that fit the targets: a quarter of a target of 2 % is 0.5 %, or 500 of 100,000."""
    weights = np.abs(yardstick.book.weight)
    average = float(weights[weights > 0].mean()) if weights.any() else 0.0
    rules: dict[str, dict[str, Any]] = dict(_RULES)
    rules |= {f"absolute {part * average:.3g}": {"band": part * average} for part in _PARTS}
    money = average * yardstick.investable
    return rules | {f"minimum {part * money:,.0f}": {"min_notional": part * money} for part in _PARTS}


def _parse_rules(rules: object) -> Mapping[str, Mapping[str, Any]]:
    """Raise for rules that are not a mapping of mappings, or have other options."""
    if not isinstance(rules, Mapping) or not rules:
        text = (
            f"rules {shown(rules)} are not a mapping from a name to options, such as {{'band': {{'band': 0.01}}}}"
        )
        raise InputError("rules", [Problem("option_invalid", text)])
    problems = []
    for name, options in rules.items():
        if not isinstance(options, Mapping):
            text = f"{name}: {shown(options)} is not a mapping of options"
            problems.append(Problem("option_invalid", text, column=str(name)))
            continue
        problems += [
            Problem("option_invalid", f"{name}: {option!r} is not one of {', '.join(_OPTIONS)}", column=str(name))
            for option in options
            if option not in _OPTIONS
        ]
    if problems:
        raise InputError("rules", problems)
    return rules


def _parse_spread(half_spread_bps: object) -> float:
    """Half spread as a fraction of the price; NaN if it is not given."""
    return (
        math.nan if half_spread_bps is None else number_option("half_spread_bps", half_spread_bps, least=0) / 1e4
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Yardstick:
    """What every plan of a frontier is measured by: the same book, covariance and spreads."""

    book: AlignedBook
    nav: float
    investable: float
    keep: bool
    covariance: object
    half_spread: float

    @classmethod
    def of(
        cls,
        targets: object,
        inputs: PlanInputs,
        plan_options: Mapping[str, Any],
        covariance: object,
        half_spread: float,
    ) -> _Yardstick:
        wanted = parse_targets(
            targets, allow_short=True, max_gross=math.inf, allow_empty=True, allow_liquidation=True
        )
        held, market = parse_positions(inputs.positions), parse_quotes(inputs.quotes)
        book = inputs.align(wanted, held, market, plan_options["unlisted"])
        nav = parse_nav(inputs.nav)
        investable = investable_nav(nav, plan_options["cash_buffer"])
        return cls(book, nav, investable, plan_options["unlisted"] == "keep", covariance, half_spread)

    def row(self, orders: pd.DataFrame) -> dict[str, float]:
        """Measure one plan."""
        effect = plan_effect(orders, self.book, self.investable, keep=self.keep)
        return {
            "orders": len(effect.sent),
            "held_back": held_back(orders)["symbol"].nunique(),
            "turnover": float(np.abs(effect.trade) @ effect.value) / self.nav,
            "fees": plan_costs(effect.sent, self.book).fees,
            "spread_cost": self._spread_cost(effect.trade),
            "active_share": active_share(effect.after, effect.target_value) / self.nav,
            "tracking_error": self._tracking_error(effect),
        }

    def _spread_cost(self, trade: NDArray[np.float64]) -> float:
        """Half the quoted spread of each trade, as if it took the far touch at once."""
        book, buy = self.book, trade > 0
        touch = np.where(buy, book.ask, book.bid)
        apart = np.where(is_usable(touch), np.where(buy, touch - book.price, book.price - touch), math.nan)
        apart = np.where(np.isnan(apart), self.half_spread * book.price, np.maximum(apart, 0.0))
        traded = trade != 0
        rate = (book.value / book.price)[traded]
        return math.fsum((np.abs(trade[traded]) * apart[traded] * rate).tolist())

    def _tracking_error(self, effect: PlanEffect) -> float:
        if self.covariance is None:
            return math.nan
        rows = np.flatnonzero(~effect.stays)
        risk = align_covariance(self.covariance, [self.book.symbols[row] for row in rows.tolist()])
        return tracking_error((effect.after - effect.target_value)[rows] / self.nav, risk)
