"""Working orders as the strategies of one account see them: what each still gets, and what is nobody's. Pure.

An order of strategies that is on record trades for those who wanted it: what it still fills is divided as the rest
of its fills will be. Any other order trades for nobody, and counts for the account alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.portfolio.working_orders import counted_orders
from stocklean_exec.schema.order_input import SIDES, describe_open_orders, parse_open_orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stocklean_exec.portfolio.working_orders import ForeignOrders, OnOpenOrders
    from stocklean_exec.strategies.strategy_book import RecordedOrder

__all__ = ["WorkingOrders"]


@dataclass(frozen=True, slots=True, eq=False)
class WorkingOrders:
    """The working orders of an account, and whose those are that a plan counts as filled.

    Attributes
    ----------
    counted : orders that count as filled; None where none do
    others : orders that the plan of each strategy refuses or ignores; None if no working orders were given
    rests : signed shares by strategy that each order of ``counted`` still brings; empty for one of nobody
    parts : the same by symbol and strategy
    totals : signed shares by symbol that all of ``counted`` still bring
    refusals : why no order of this symbol and side can be sent
    on_open_orders : what the plan of each strategy does about the orders that it sees
    """

    counted: pd.DataFrame | None
    others: pd.DataFrame | None
    rests: Sequence[Mapping[str, float]]
    parts: Mapping[str, Mapping[str, float]]
    totals: Mapping[str, float]
    refusals: Mapping[tuple[str, str], str]
    on_open_orders: OnOpenOrders

    @classmethod
    def of(
        cls,
        orders: pd.DataFrame | None,
        recorded: Mapping[str, RecordedOrder] | None,
        run_id: str,
        on_open_orders: OnOpenOrders = "net",
        foreign_orders: ForeignOrders = "reject",
    ) -> WorkingOrders:
        """Say of each working order whether it counts, and for whom.

        Parameters
        ----------
        orders, on_open_orders, foreign_orders : as :func:`~stocklean_exec.plan_orders` takes them
        recorded : orders that may still trade by the record, by client order id; None where it is not known whose
            they are: then all are refused, unless they are to be cancelled
        run_id : of the plan, whose own orders are not counted

        Raises
        ------
        InputError
            The orders cannot be used.
        """
        parse_open_orders(orders)
        names = _names_of(orders)
        earlier = {name: order for name, order in (recorded or {}).items() if order.run_id != run_id}
        lost = {} if on_open_orders == "cancel" else _lost(earlier, names)
        if orders is None:
            return cls(None, None, (), {}, {}, lost, on_open_orders)
        if on_open_orders == "reject" or (on_open_orders == "net" and recorded is None):
            return cls(None, orders, (), {}, {}, lost, "reject")
        orders = orders.reset_index(drop=True)
        if "is_own" not in orders.columns and recorded is not None:
            orders = orders.assign(is_own=[name in recorded for name in names])
        counted = counted_orders(orders, on_open_orders, foreign_orders)
        places = [] if counted is None else counted.index.tolist()
        quantities = orders["quantity"].tolist()
        known = [earlier.get(names[place]) for place in places]
        rests = [
            {} if order is None else order.rest(float(quantities[place]))
            for place, order in zip(places, known, strict=True)
        ]
        parts: dict[str, dict[str, float]] = {}
        for order, rest in zip(known, rests, strict=True):
            own = parts.setdefault(order.symbol, {}) if order is not None and rest else {}
            for strategy, shares in rest.items():
                own[strategy] = own.get(strategy, 0.0) + shares
        others = orders[~orders.index.isin(places)]
        refusals = {**_opposed(counted), **lost}
        return cls(counted, others, rests, parts, parse_open_orders(counted), refusals, on_open_orders)

    def as_seen_by(self, strategy: str) -> pd.DataFrame | None:
        """Orders for the plan of one strategy: its part of those that count, and those that do not."""
        if self.counted is None or self.others is None:
            return self.others
        shares = np.array([abs(rest.get(strategy, 0.0)) for rest in self.rests], dtype="float64")
        own = self.counted.assign(quantity=shares, filled_quantity=0.0)[shares > 0]
        given = [frame for frame in (own, self.others) if len(frame)]
        return pd.concat(given, ignore_index=True) if given else self.others


def _names_of(orders: pd.DataFrame | None) -> list[str]:
    if orders is None:
        return []
    return [str(name) for name in orders.get("client_order_id", pd.Series("", orders.index)).tolist()]


def _opposed(counted: pd.DataFrame | None) -> dict[tuple[str, str], str]:
    """Symbols and sides of which an order might trade against a working one of the other side."""
    found = {}
    for side, other in zip(SIDES, reversed(SIDES), strict=True):
        orders = None if counted is None else counted[counted["side"].astype("str").str.upper() == other]
        known = describe_open_orders(orders)
        for symbol in parse_open_orders(orders):
            named = f" ({known[symbol]})" if symbol in known else ""
            found[symbol, side] = (
                f"an order of the other side is working{named}, and a {side} might trade against it: wait for it "
                "to finish, or cancel it (on_open_orders='cancel')"
            )
    return found


def _lost(recorded: Mapping[str, RecordedOrder], shown: Sequence[str]) -> dict[tuple[str, str], str]:
    """Symbols with recorded orders that may trade, and that are not among those that were given."""
    return {
        (order.symbol, side): f"{name} is {order.status} on record, and not among the working orders: what it has "
        f"filled is not on record yet; sx.resume({order.run_id!r}, broker, blotter) records it"
        for name, order in recorded.items()
        if order.division is not None and name not in shown
        for side in SIDES
    }
