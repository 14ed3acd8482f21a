"""What the record says of the strategies of an account: their holdings, and whose working orders are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.strategies.attribution import divisions_of, positions_by_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from stocklean_exec.strategies.division import Division

__all__ = ["RecordedOrder", "StrategyBook", "recorded_orders"]

_MAY_TRADE = ("SUBMITTED", "PARTIAL", "UNKNOWN")
_SIGN = {"BUY": 1.0, "SELL": -1.0}


class RecordedOrder(NamedTuple):
    """An order that may still trade by the record; ``filled`` shares of it are attributed already.

    ``division`` is None for an order of no strategy.
    """

    run_id: str
    symbol: str
    side: str
    status: str
    division: Division | None
    filled: float

    def rest(self, quantity: float) -> dict[str, float]:
        """Signed shares that each strategy still gets of it, if all ``quantity`` shares of it are filled.

        Examples
        --------
        >>> from stocklean_exec.strategies.division import Division
        >>> order = RecordedOrder("r", "SPY", "SELL", "PARTIAL", Division({"A": -40.0, "B": -20.0}), 30.0)
        >>> order.rest(60.0), order.rest(33.0)
        ({'A': -20.0, 'B': -10.0}, {'A': -2.0, 'B': -1.0})
        """
        if self.division is None:
            return {}
        before, after = self.division.filled([self.filled, max(quantity, self.filled)])
        rest = {name: round(after[name] - before[name], 8) for name in after}
        return {name: shares * _SIGN[self.side] for name, shares in rest.items() if shares}


@dataclass(frozen=True, slots=True, eq=False)
class StrategyBook:
    """Strategies of one account by the record; made by ``blotter.strategy_book(state)``.

    Attributes
    ----------
    holdings : signed shares by symbol and strategy
    working : orders that may still trade, by client order id; None where it is not known whose they are
    cash : by strategy and currency, NaN where it is unknown; empty where none was assigned
    splits : ratio, new shares for old ones, of splits that are suspected and not on record, by symbol
    """

    holdings: Mapping[str, Mapping[str, float]]
    working: Mapping[str, RecordedOrder] | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    cash: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Every strategy that holds something, or has cash.

        Examples
        --------
        >>> StrategyBook({"SPY": {"value": 60.0}}, cash={"trend": {"USD": 5.0}}).names
        ['trend', 'value']
        """
        return sorted({name for own in self.holdings.values() for name in own} | {*self.cash})

    @property
    def positions(self) -> pd.DataFrame:
        """What each strategy holds: ``strategy``, ``symbol``, ``quantity`` (signed shares).

        Examples
        --------
        >>> StrategyBook({"SPY": {"value": 60.0}}).positions
          strategy symbol  quantity
        0    value    SPY      60.0
        """
        return positions_by_strategy(self.holdings, None)


def recorded_orders(orders: pd.DataFrame) -> dict[str, RecordedOrder]:
    """Orders that may still trade by the record, by client order id.

    ``orders`` are ``blotter.orders()`` of one account.
    """
    working = orders[orders["status"].isin(_MAY_TRADE)]
    divisions = divisions_of(working)
    columns = ["client_order_id", "run_id", "symbol", "side", "status", "filled_quantity"]
    return {
        name: RecordedOrder(run_id, symbol, side, status, divisions.get(name), float(filled))
        for name, run_id, symbol, side, status, filled in working[columns].itertuples(index=False)
    }
