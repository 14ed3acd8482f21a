"""Implementation shortfall: the cost of getting from a decision to a position, and its parts.

With side s (+1 buy, -1 sell), S shares ordered, fills (q, p), F = sum of q, prices at the decision P_d, at arrival
P_0 and at the end P_n, and fees phi, all positive when they are a cost:

=====================  ==================================  ==========================================
term                   ``delay_basis="order"``             ``delay_basis="executed"``
=====================  ==================================  ==========================================
delay                  ``s S (P_0 - P_d)``                 ``s F (P_0 - P_d)``
trading                ``s (sum of q p - F P_0)``          the same
opportunity            ``s (S - F) (P_n - P_0)``           ``s (S - F) (P_n - P_d)``
fees                   phi                                 phi
=====================  ==================================  ==========================================

Either way they add up to Perold's total, ``s S (P_n - P_d) - [s (F P_n - sum of q p) - phi]``: the gain of the
paper portfolio less that of the real one. The order basis is the expanded form of Wagner and Kissell, the executed
basis that of the CFA curriculum; they differ in where the delay of unfilled shares is counted.

References: Perold, *The Implementation Shortfall: Paper versus Reality*, Journal of Portfolio Management 14(3),
1988; Wagner and Edwards, *Best Execution*, Financial Analysts Journal 49(1), 1993; Kissell, *The Science of
Algorithmic Trading and Portfolio Management*, 2013, ch. 3. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.tca.inputs import (
    SHARE_DECIMALS,
    Executed,
    FillInput,
    OrderInput,
    Sign,
    arrival_prices,
    by_symbol,
    column_numbers,
    executed_by_order,
    in_order_currency,
    joined_flags,
    keyed_orders,
    requested_shares,
    require_columns,
    side_signs,
    sign_factor,
    to_base,
    usable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SHORTFALL_COSTS", "implementation_shortfall", "shortfall_summary", "shortfall_terms"]

SHORTFALL_COSTS = ("delay_cost", "trading_cost", "opportunity_cost", "fees", "total_cost")
"""The four parts of a shortfall and their sum, in currency; each also as ``*_bps`` of the paper notional."""

DelayBasis = Literal["order", "executed"]


def shortfall_terms(
    orders: OrderInput, fills: FillInput | Executed = None, *, final_prices: object = None, fx: object = None
) -> pd.DataFrame:
    """The terms from which every form of the shortfall is computed, one row per order.

    Parameters
    ----------
    orders, fills, final_prices, fx : as in :func:`implementation_shortfall`

    Returns
    -------
    DataFrame, index client_order_id; money in the order's currency, or in the base currency of ``fx``

    ==================  ====================================================================================
    symbol, side        of the order
    currency            of the money in the row; absent if the orders have none
    quantity            S, shares
    filled_quantity     F, shares
    fill_ratio          F / S
    paper_notional      S x P_d
    delay_filled        s F (P_0 - P_d): delay of what was filled
    delay_unfilled      s (S - F) (P_0 - P_d): delay of what was not
    trading             s (sum of q p - F P_0)
    opportunity         s (S - F) (P_n - P_0), from arrival
    missed              s (S - F) (P_n - P_d), from the decision
    fees                phi; NaN until the commissions of all fills are reported, 0 without fills
    total               Perold's shortfall; also known without an arrival price to split it
    commissions_due     fills whose commission has not been reported
    flags               why a number is missing: ``overfilled``, ``no_quantity``, ``no_decision_price``,
                        ``no_fill_price``, ``no_final_price``, ``fees_due``, ``no_arrival_price``; and
                        ``crossed_quote``, ``delayed_quote`` where an arrival price is not valid
    ==================  ====================================================================================
    """
    frame = keyed_orders(orders)
    executed = executed_by_order(frame, in_order_currency(frame, fills, fx))
    require_columns(frame, ("decision_price", "arrival_price"), "orders")
    rate = to_base(frame, fx)
    side, ordered = side_signs(frame), requested_shares(frame)
    is_elsewhere = (ordered == 0) & (column_numbers(frame, "quantity", "orders") > 0)  # all of it ordered again
    decision = usable(column_numbers(frame, "decision_price", "orders"))
    arrival, untrue = arrival_prices(frame)
    final = _final_prices(frame, final_prices)
    filled, value = executed["filled_quantity"].to_numpy(), executed["value"].to_numpy()
    due = executed["commissions_due"].to_numpy()
    with np.errstate(invalid="ignore"):
        known = ((ordered > 0) | is_elsewhere) & np.isfinite(ordered)
        left = np.where(known, np.round(ordered - filled, SHARE_DECIMALS), np.nan)
        over = left < 0
    usable_row = known & ~over
    ordered, left = np.where(usable_row, ordered, np.nan), np.where(usable_row, left, np.nan)
    done = np.where(usable_row, filled, np.nan)
    fees = np.where(executed["fills"].to_numpy() == 0, 0.0, executed["commission"].to_numpy())
    fees = np.where(due > 0, np.nan, fees)
    executed_cost = side * _times(done, value - filled * decision)
    missed = side * _times(left, left * (final - decision))
    flags = {
        "overfilled": over,
        "no_quantity": ~known,
        "no_decision_price": np.isnan(decision),
        "no_fill_price": (filled > 0) & np.isnan(value),
        "no_final_price": (left > 0) & np.isnan(final),
        "fees_due": due > 0,
        **untrue,
        "no_arrival_price": np.isnan(arrival) & ~np.logical_or.reduce(list(untrue.values())),
    }
    terms = {
        "paper_notional": ordered * decision,
        "delay_filled": side * _times(done, done * (arrival - decision)),
        "delay_unfilled": side * _times(left, left * (arrival - decision)),
        "trading": side * _times(done, value - filled * arrival),
        "opportunity": side * _times(left, left * (final - arrival)),
        "missed": missed,
        "fees": np.where(usable_row, fees, np.nan),
        "total": executed_cost + missed + fees,
    }
    identity = {"symbol": frame["symbol"].array, "side": frame["side"].array}
    if "currency" in frame.columns:
        identity["currency"] = frame["currency"].array
    with np.errstate(invalid="ignore"):
        ratio = done / ordered
    amounts = {"quantity": ordered, "filled_quantity": filled, "fill_ratio": ratio}
    # A rate that is one number is 1: there is one currency, or each row keeps its own.
    money = terms if isinstance(rate, float) else {name: number * rate for name, number in terms.items()}
    ends = {
        "commissions_due": due,
        "flags": joined_flags(len(frame), flags),
    }
    return pd.DataFrame({**identity, **amounts, **money, **ends}, index=frame.index, copy=False)


def _times(shares: NDArray[np.float64], amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """The amount; 0 when the quantity is 0 (no price needed); NaN for an unknown quantity."""
    amount = np.where(shares == 0, 0.0, amount)
    unknown = np.isnan(shares)
    if unknown.any():
        amount[unknown] = np.nan
    return amount


def _final_prices(frame: pd.DataFrame, given: object) -> NDArray[np.float64]:
    own = column_numbers(frame, "final_price", "orders")
    if given is None:
        return usable(own)
    prices = by_symbol(given, frame, "final_prices")
    return usable(np.where(np.isnan(prices), own, prices))


def implementation_shortfall(
    orders: OrderInput,
    fills: FillInput | Executed = None,
    *,
    final_prices: object = None,
    delay_basis: DelayBasis = "order",
    sign: Sign = "cost",
    fx: object = None,
    market_returns: object = None,
    betas: object = 1.0,
) -> pd.DataFrame:
    """Implementation shortfall of each order, split into delay, trading, opportunity and fees.

    The formulas and their sources are at the head of this module. The total does not depend on the basis.

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, decision_price, arrival_price; and
        ``final_price``, or give ``final_prices``
    fills : client_order_id, quantity, price, commission; only of these orders
    final_prices : final price of the unfilled quantity: a mapping or Series by symbol or client order id
    delay_basis : ``"order"``: the delay of the whole order counts as delay (Wagner, Kissell); ``"executed"``: only
        that of what was filled does, and the rest is opportunity cost (CFA)
    sign : ``"cost"``: positive is worse; ``"performance"``: positive is better, as Interactive Brokers reports
    fx : rates to one base currency if orders are in several; ``"local"`` keeps each row in its own
    market_returns : return of the market from the decision to the end, as a fraction: one number, or by symbol. It
        adds ``market_cost`` = s x beta x return x paper_notional, and ``adjusted_cost``, the total without it
    betas : of the market model, one number or by symbol

    Returns
    -------
    DataFrame, index client_order_id, in the sequence of ``orders``

    =====================  =================================================================================
    paper_notional         quantity x decision_price, currency
    delay_cost             currency
    trading_cost           currency
    opportunity_cost       currency
    fees                   currency
    total_cost             the sum of the four
    delay_bps ...          the same five as ``delay_bps``, ``trading_bps``, ``opportunity_bps``, ``fees_bps``,
                           ``total_bps``: basis points of paper_notional
    fill_ratio             filled / ordered
    symbol, side, ...      of the order, ``commissions_due``, and ``flags`` with the reason for a NaN
    delay_cost_bps ...     the basis points again, under the full names of their costs
    =====================  =================================================================================

    Raises
    ------
    InputError
        Columns are missing, a fill belongs to none of the orders, is in several rows or has no price above zero,
        or currencies are mixed without ``fx``.

    Examples
    --------
    The example of the CFA curriculum (Impulse Robotics): 1,000 shares decided at 10.00, sent at 10.05, 700 bought
    at 10.07 with fees of 14, final price 10.08. The paper portfolio gains 80, the real one loses 7.

    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["r-IR-BUY"], "symbol": ["IR"], "side": ["BUY"], "quantity": [1000.0],
    ...     "decision_price": [10.00], "arrival_price": [10.05], "final_price": [10.08],
    ... })
    >>> fills = pd.DataFrame(
    ...     {"client_order_id": ["r-IR-BUY"], "quantity": [700.0], "price": [10.07], "commission": [14.0]}
    ... )
    >>> table = implementation_shortfall(orders, fills, delay_basis="executed")
    >>> table.iloc[0][list(SHORTFALL_COSTS)].astype(float).round(6).tolist()
    [35.0, 14.0, 24.0, 14.0, 87.0]
    """
    if delay_basis not in ("order", "executed"):
        text = f"{shown(delay_basis)} is neither 'order' nor 'executed'"
        raise InputError("delay_basis", [Problem("option_invalid", text)])
    factor = sign_factor(sign)
    terms = shortfall_terms(orders, fills, final_prices=final_prices, fx=fx)
    by_order = delay_basis == "order"
    costs = {
        "delay_cost": terms["delay_filled"] + terms["delay_unfilled"] if by_order else terms["delay_filled"],
        "trading_cost": terms["trading"],
        "opportunity_cost": terms["opportunity"] if by_order else terms["missed"],
        "fees": terms["fees"],
        "total_cost": terms["total"],
    }
    if market_returns is not None:
        costs |= _market_costs(terms, market_returns, betas)
    notional = terms["paper_notional"]
    data: dict[str, object] = {"paper_notional": notional}
    data |= {name: factor * cost + 0.0 for name, cost in costs.items()}  # + 0.0: no negative zeros
    bps = {name: factor * 1e4 * cost / notional + 0.0 for name, cost in costs.items()}
    data |= {_bps_name(name): value for name, value in bps.items()}
    names = ["fill_ratio", "symbol", "side", *(["currency"] if "currency" in terms.columns else [])]
    names += ["quantity", "filled_quantity", "commissions_due", "flags"]
    data |= {name: terms[name] for name in names}
    data |= {f"{name}_bps": value for name, value in bps.items() if f"{name}_bps" not in data}
    return pd.DataFrame(data, index=terms.index, copy=False)


def _market_costs(terms: pd.DataFrame, market_returns: object, betas: object) -> dict[str, pd.Series[float]]:
    """Effect of the market's return (CFA: market-adjusted shortfall, IS less beta x return)."""
    moved = by_symbol(market_returns, terms, "market_returns") * by_symbol(betas, terms, "betas")
    market = side_signs(terms) * moved * terms["paper_notional"]
    return {"market_cost": market, "adjusted_cost": terms["total"] - market}


def _bps_name(cost: str) -> str:
    return f"{cost.removesuffix('_cost')}_bps"


def shortfall_summary(
    orders: OrderInput,
    fills: FillInput | Executed = None,
    *,
    by: str | Sequence[str] | None = None,
    final_prices: object = None,
    delay_basis: DelayBasis = "order",
    sign: Sign = "cost",
    fx: object = None,
) -> pd.DataFrame:
    """Shortfall of a run in total, or of the groups of any columns of ``orders``: sums over sums of notional.

    Orders whose total is unknown are counted in ``orders`` and excluded from the sums. The cost of measured orders
    without an arrival price is in ``unsplit_cost``, so that the five parts add up to the total.

    Parameters
    ----------
    orders, fills : as in :func:`implementation_shortfall`
    by : one or more columns of the orders, or of :func:`shortfall_terms`; None is one row for all
    final_prices, delay_basis, sign, fx : as in :func:`implementation_shortfall`

    Returns
    -------
    DataFrame, indexed by the group (``all`` without one): ``orders``, ``measured``, ``flagged``,
    ``paper_notional``, the five costs and ``unsplit_cost`` in currency and as ``*_bps``, ``fill_ratio`` (of
    notional), ``commissions_due``

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "symbol": ["A", "B"], "side": ["BUY", "SELL"], "quantity": [10.0, 10.0],
    ...     "decision_price": [100.0, 300.0], "arrival_price": [101.0, 300.0],
    ... })
    >>> fills = pd.DataFrame({
    ...     "client_order_id": ["a", "b"], "quantity": [10.0, 10.0], "price": [102.0, 300.0],
    ...     "commission": [1.0, 1.0],
    ... })
    >>> shortfall_summary(orders, fills)[["delay_bps", "trading_bps", "fees_bps", "total_bps"]].round(6)
         delay_bps  trading_bps  fees_bps  total_bps
    all       25.0         25.0       5.0       55.0
    """
    table = implementation_shortfall(
        orders, fills, final_prices=final_prices, delay_basis=delay_basis, sign=sign, fx=fx
    )
    measured = table["total_cost"].notna()
    split = measured & table["delay_cost"].notna()
    data = {
        "orders": pd.Series(1, index=table.index),
        "measured": measured.astype("int64"),
        "flagged": table["flags"].notna().astype("int64"),
        "paper_notional": table["paper_notional"].where(measured),
        "delay_cost": table["delay_cost"].where(split),
        "trading_cost": table["trading_cost"].where(split),
        "opportunity_cost": table["opportunity_cost"].where(split),
        "unsplit_cost": (table["total_cost"] - table["fees"]).where(measured & ~split),
        "fees": table["fees"].where(measured),
        "total_cost": table["total_cost"].where(measured),
        "_filled": (table["fill_ratio"] * table["paper_notional"]).where(measured),
        "commissions_due": table["commissions_due"],
    }
    keys = _group_keys(keyed_orders(orders), table, by)
    sums = pd.DataFrame(data).groupby(keys, sort=by is not None, dropna=False).sum()
    if not len(sums) and by is None:
        sums = pd.DataFrame(data).sum().to_frame("all").T.astype(sums.dtypes)
    notional = sums["paper_notional"].where(sums["paper_notional"] > 0)
    money = ("delay_cost", "trading_cost", "opportunity_cost", "unsplit_cost", "fees", "total_cost")
    for name in money:
        sums[name] = sums[name].where(sums["measured"] > 0)
        sums[_bps_name(name)] = 1e4 * sums[name] / notional
    sums["fill_ratio"] = sums.pop("_filled") / notional
    return sums


def _group_keys(orders: pd.DataFrame, table: pd.DataFrame, by: str | Sequence[str] | None) -> list[pd.Series[Any]]:
    if by is None:
        return [pd.Series("all", index=table.index, dtype="str").rename(None)]
    names = [by] if isinstance(by, str) else list(by)
    missing = [name for name in names if name not in orders.columns and name not in table.columns]
    if missing:
        text = f"there is no column {', '.join(map(str, missing))} to group by"
        raise InputError("orders", [Problem("missing_column", text)])
    return [(orders if name in orders.columns else table)[name] for name in names]
