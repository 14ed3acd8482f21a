"""What a plan does to the book: its distance from the targets, its costs, and the cash it leaves.

Computed from the orders, not by the planner, so it also holds for an edited plan. Pure; values are in the base
currency, distances in basis points of NAV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.account_state import read_inputs
from stocklean_exec.portfolio.alignment import AlignedBook, Unlisted, investable_nav, parse_nav
from stocklean_exec.portfolio.contracts import contract_names
from stocklean_exec.portfolio.lot_rounding import EXACT_UP_TO, round_units
from stocklean_exec.portfolio.order_costs import (
    OrderFees,
    cash_prices,
    costs_beyond_value,
    last_buy_margin,
    stop_prices,
)
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["PlanCosts", "PlanEffect", "active_share", "plan_costs", "plan_effect", "plan_summary", "summary_card"]


def plan_summary(
    orders: pd.DataFrame,
    targets: object,
    positions: object = None,
    quotes: object = None,
    *,
    nav: float | None = None,
    cash_buffer: float = 0.0,
    unlisted: Unlisted = "keep",
    base_currency: str | None = None,
    fx: Mapping[str, float] | None = None,
) -> pd.Series[float]:
    """What a plan does to the book, computed from its orders, so also after they were edited.

    Active share is half the sum of the absolute differences between the book's weights and the targets', cash
    among them (Cremers and Petajisto 2009). It covers what can be traded: for a symbol whose order is
    ``REJECTED``, or that has no price, the position counts as the target; ``rejected_weight`` is the weight
    excluded in this way.

    Parameters
    ----------
    orders : as :func:`plan_orders` returned them
    targets, positions, quotes, nav, cash_buffer, unlisted, base_currency, fx : the inputs of the plan; an
        :class:`~stocklean_exec.AccountState` may take the place of ``positions``

    Returns
    -------
    Series of float, with

    ======================  =============================================================================
    nav                     net asset value, base currency
    orders, rejected        orders to send, and rejected rows
    buys, sells             their notional, base currency
    turnover                (buys + sells) / NAV
    gross_before, _after    value of all holdings, longs and shorts added up, / NAV
    cash_before, _after     NAV less the net value of the holdings; estimated fees are not taken off
    active_share_before_bp  distance from the targets, basis points of NAV
    active_share_after_bp   the same once all orders are filled at their decision prices
    lower_bound_bp          proved: no plan of whole lots is closer to the targets than this
    gap_bp                  active_share_after_bp - lower_bound_bp: the cost of rounding, reserve and rules (bands)
    estimated_fees          commissions, levies and taxes by the tariff of each market, base currency
    reserved_fees           cash the planner reserves for them, where the weights leave less in cash
    reserved_slippage       cash it reserves for half-spreads, for limits above the price, and for the last buy
    rejected_weight         absolute target weights of the symbols whose orders are rejected
    unpriced                targets and holdings without a price; their value counts as 0
    ======================  =============================================================================

    Examples
    --------
    >>> from stocklean_exec.portfolio.planner import plan_orders
    >>> inputs = dict(targets={"AAA": 0.2, "BBB": 0.1}, quotes={"AAA": 50.0, "BBB": 33.0}, nav=10_000)
    >>> orders = plan_orders(**inputs, run_id="run-1", cash_buffer=0.1)
    >>> summary = plan_summary(orders, **inputs, cash_buffer=0.1)
    >>> summary[["cash_after", "active_share_after_bp", "lower_bound_bp", "estimated_fees"]].round(4).to_dict()
    {'cash_after': 7309.0, 'active_share_after_bp': 9.0, 'lower_bound_bp': 9.0, 'estimated_fees': 2.0}
    """
    wanted = parse_targets(targets, allow_short=True, max_gross=math.inf, allow_empty=True, allow_liquidation=True)
    inputs = read_inputs(positions, quotes, nav=nav, base_currency=base_currency, fx=fx)
    market, held = parse_quotes(inputs.quotes), parse_positions(inputs.positions)
    book = inputs.align(wanted, held, market, unlisted)
    nav = parse_nav(inputs.nav)
    investable = investable_nav(nav, cash_buffer)
    _refuse_unknown_symbols(orders, book)
    effect = plan_effect(orders, book, investable, keep=unlisted == "keep")
    trade, value, stays, target_value = effect.trade, effect.value, effect.stays, effect.target_value
    lots = _lots_of(orders, book, wanted)[~stays]
    # Rounding again gives the bound that no plan can beat; on most books it is exact.
    best = round_units(
        ((target_value - book.held * value)[~stays] / value[~stays]) / lots,
        value[~stays] * lots,
        slack=max(investable - math.fsum(target_value.tolist()), 0.0),
        exact_up_to=EXACT_UP_TO if (lots >= 1).all() else 0,  # as in sizing.py: proved wherever the plan is
    ).lower_bound
    before, after = book.held * value, effect.after
    costs = plan_costs(effect.sent, book)
    scale = 1e4 / nav
    bound = best * scale
    active_after = active_share(after, target_value) * scale
    notional = np.abs(trade) * value
    return pd.Series(
        {
            "nav": nav,
            "orders": float(len(effect.sent)),
            "rejected": float(len(orders) - len(effect.sent)),
            "buys": float(notional[trade > 0].sum()),
            "sells": float(notional[trade < 0].sum()),
            "turnover": float(notional.sum() / nav),
            "gross_before": float(np.abs(before).sum() / nav),
            "gross_after": float(np.abs(after).sum() / nav),
            "cash_before": float(nav - before.sum()),
            "cash_after": float(nav - after.sum()),
            "active_share_before_bp": float(active_share(before, target_value) * scale),
            "active_share_after_bp": float(active_after),
            "lower_bound_bp": float(bound),
            "gap_bp": float(active_after - bound),
            "estimated_fees": costs.fees,
            "reserved_fees": costs.fees,
            "reserved_slippage": costs.spread + costs.margin,
            "rejected_weight": float(sum(np.abs(book.weight[effect.rejected]).tolist())),
            "unpriced": float(np.count_nonzero(np.isnan(book.value))),
        },
        name=str(orders["run_id"].iloc[0]) if len(orders) else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class PlanEffect:
    """What the orders of a plan do to a book, one entry for each of its symbols; values in the base currency.

    ``rejected`` marks symbols whose order is ``REJECTED``. ``stays`` adds those without a price and those that are
    not to be traded: their position counts as the target.
    """

    sent: pd.DataFrame
    trade: NDArray[np.float64]
    value: NDArray[np.float64]
    rejected: NDArray[np.bool_]
    stays: NDArray[np.bool_]
    target_value: NDArray[np.float64]
    after: NDArray[np.float64]


def plan_effect(orders: pd.DataFrame, book: AlignedBook, investable: float, *, keep: bool) -> PlanEffect:
    """Find what the orders do to the book once they are filled at their decision prices.

    Parameters
    ----------
    investable : of which weights are fractions
    keep : whether holdings that are not in the targets stay
    """
    sent = orders[orders["status"] != "REJECTED"]
    signed = sent["quantity"].where(sent["side"] == "BUY", -sent["quantity"])
    moved = signed.groupby(sent["symbol"]).sum()
    trade = moved.reindex(book.symbols, fill_value=0.0).to_numpy(dtype="float64")
    value = np.nan_to_num(book.value)
    refused = orders[orders["status"] == "REJECTED"]
    names = set(contract_names(refused, dict(zip(book.symbols, book.con_id, strict=True))))
    rejected = np.array([symbol in names for symbol in book.symbols], dtype=bool)
    stays = rejected | np.isnan(book.value) | (~book.listed & keep)
    target_value = np.where(stays, book.held * value, book.weight * investable)
    return PlanEffect(sent, trade, value, rejected, stays, target_value, (book.held + trade) * value)


class PlanCosts(NamedTuple):
    """Fees of the orders of a plan, their spread cost, and the margin for the last buy; base currency."""

    fees: float
    spread: float
    margin: float


def plan_costs(sent: pd.DataFrame, book: AlignedBook) -> PlanCosts:
    """Costs of orders of the symbols of a book, as the planner reserves them."""
    place = {symbol: index for index, symbol in enumerate(book.symbols)}
    rows = np.array([place[symbol] for symbol in sent["symbol"].tolist()], dtype="int64")
    quantity, price, limit = (
        sent[name].to_numpy(dtype="float64") for name in ("quantity", "decision_price", "limit_price")
    )
    rate = np.nan_to_num(book.value[rows] / book.price[rows])
    buy = (sent["side"] == "BUY").to_numpy()
    aux = sent["aux_price"].to_numpy(dtype="float64")
    trigger = stop_prices(sent["order_type"].tolist(), aux, price, buy)
    cash_price = cash_prices(buy, price, book.bid[rows], book.ask[rows], limit, trigger)
    tariffs = OrderFees.of_orders(sent, [book.currency[row] for row in rows.tolist()])
    fees = tariffs.estimate(buy, quantity, np.nan_to_num(cash_price)) * rate
    spread = costs_beyond_value(quantity, price, cash_price) * rate
    margin = last_buy_margin(buy, quantity, cash_price * rate, limit)
    return PlanCosts(math.fsum(fees.tolist()), math.fsum(spread.tolist()), margin)


def active_share(values: NDArray[np.float64], target_value: NDArray[np.float64]) -> float:
    """Half the sum of the absolute differences, cash among them; in the unit of the values.

    Examples
    --------
    >>> active_share(np.array([40.0, 20.0]), np.array([30.0, 30.0]))  # the third asset is cash
    10.0
    """
    gap = values - target_value
    return (math.fsum(np.abs(gap).tolist()) + abs(math.fsum(gap.tolist()))) / 2


def _refuse_unknown_symbols(orders: pd.DataFrame, book: AlignedBook) -> None:
    known = set(book.symbols)
    unknown = [symbol for symbol in orders["symbol"].tolist() if symbol not in known]
    if unknown:
        text = "ordered, but neither a target nor held; give the targets and positions the plan was made from"
        raise InputError("orders", [Problem("unlisted_order", text, symbol=symbol) for symbol in unknown])


def _lots_of(orders: pd.DataFrame, book: AlignedBook, targets: pd.DataFrame) -> NDArray[np.float64]:
    """Lot of each symbol: its order's, else its target's, else the orders' median lot."""
    known = dict(zip(targets["symbol"].tolist(), targets["lot_size"].tolist(), strict=True))
    usual = 1.0
    if "lot_size" in orders.columns and orders["lot_size"].notna().any():
        with_lot = orders[orders["lot_size"].notna()]
        known |= dict(zip(with_lot["symbol"].tolist(), with_lot["lot_size"].tolist(), strict=True))
        usual = float(with_lot["lot_size"].median())
    lots = np.array([known.get(symbol, math.nan) for symbol in book.symbols], dtype="float64")
    lots = np.where(np.isnan(lots), usual, lots)
    # A position is closed to the last whole share, whatever its lot.
    return np.where(book.weight == 0, np.minimum(lots, 1.0), lots)


def summary_card(summary: pd.Series[float]) -> str:
    """Return the card of a :func:`~stocklean_exec.plan_summary`; show it with ``IPython.display.HTML``.

    Examples
    --------
    >>> import pandas as pd
    >>> "12,345.60" in summary_card(pd.Series({"nav": 12345.6}, name="run-1"))
    True
    """
    entries = [(name, f"{value:,.2f}") for name, value in summary.items()]
    return card("Plan" if summary.name is None else f"Plan {summary.name}", entries=entries)
