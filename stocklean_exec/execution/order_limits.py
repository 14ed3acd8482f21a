"""Limits on single orders, applied again as a run's orders leave. Pure.

The orders of an approved plan have passed its limits. Limits that are given later, to a submission or on
``resume``, may be tighter: every limit that an order on record can be compared with is applied to the orders that
are not sent yet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from stocklean_exec.risk.limits import Limits

__all__ = ["AT_THE_GATE", "barred_orders"]

AT_THE_GATE = (
    "restricted",
    "max_order_quantity",
    "max_order_notional",
    "max_over_target",
    "allow_short",
    "max_position_ratio",
)
"""The limits that are applied here."""

_NAV_ROOM = 0.01  # a stated choice: what NAV may move between the check and the first order
_DUST = 1e-9  # floating point noise of fractional shares and of ratios


class _Order(NamedTuple):
    client_order_id: str
    symbol: str
    side: str
    quantity: float
    notional: float
    current_quantity: float
    target_quantity: float
    planned_quantity: float
    fx_rate: float


def barred_orders(rows: pd.DataFrame, limits: Limits, nav: float) -> dict[str, tuple[str, str]]:
    """Find the orders that must not be sent.

    Parameters
    ----------
    rows : orders on record
    limits : the tighter of those that they were approved with and those given now
    nav : NAV when the run was planned, base currency; NaN if unknown

    Returns
    -------
    Code and text by client order id: the codes of the checks, such as ``max_notional``. Values are at decision
    prices, as those of all caps.
    """
    found = {order.client_order_id: next(_refusals(order, limits, nav), None) for order in _orders(rows)}
    return {name: why for name, why in found.items() if why is not None}


def _orders(rows: pd.DataFrame) -> Iterator[_Order]:
    def column(name: str) -> list[Any]:
        if name in rows.columns:
            return rows[name].tolist()
        return [1.0 if name == "fx_rate" else math.nan] * len(rows)

    for values in zip(*(column(name) for name in _Order._fields), strict=True):
        order = _Order(*values)
        yield order._replace(fx_rate=1.0 if math.isnan(order.fx_rate) else order.fx_rate)


def _refusals(order: _Order, limits: Limits, nav: float) -> Iterator[tuple[str, str]]:
    name, quantity, value = order.client_order_id, order.quantity, round(order.notional * order.fx_rate, 6)
    if order.symbol in limits.restricted:
        yield "restricted", f"{name}: {order.symbol} must not be traded"
    if limits.max_order_quantity is not None and quantity > limits.max_order_quantity:
        yield (
            "max_qty",
            f"{name} is for {quantity:,.10g} shares, over the limit of {limits.max_order_quantity:,.10g}",
        )
    if limits.max_order_notional is not None and not value <= limits.max_order_notional:
        text = f"{value:,.2f}" if math.isfinite(value) else "an unknown value"
        yield "max_notional", f"{name} is worth {text}, over the limit of {limits.max_order_notional:,.2f}"
    if limits.max_over_target is not None:
        most = order.planned_quantity * (1 + limits.max_over_target) + _DUST
        if quantity > most:  # never where the planned quantity is unknown
            text = (
                f"{name} is for {quantity:,.10g} shares, and its target calls for {order.planned_quantity:,.10g}"
            )
            yield "over_target", text
    if order.side == "SELL" and order.target_quantity < -_DUST and not limits.allow_short:
        yield "sell_exceeds_position", f"{name} would leave {order.target_quantity:,.10g} shares: short"
    ratio = abs(order.target_quantity) / quantity * value / nav if nav > 0 else math.nan
    grows = abs(order.target_quantity) > abs(order.current_quantity)
    limit = limits.max_position_ratio
    if limit is not None and grows and not ratio <= limit * (1 + _NAV_ROOM) + _DUST:
        yield "max_position_ratio", f"{name} would bring {order.symbol} to {ratio:.2%} of NAV, over {limit:.2%}"
