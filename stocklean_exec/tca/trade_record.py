"""Orders and executions as frames: the record that every measure of the cost analysis accepts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TradeRecord"]


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """Orders and executions: frames with the columns of the blotter's tables of the same names.

    ``orders`` has one more column, ``ended_at``: the time at which an order was cancelled or rejected, from its
    events.
    """

    orders: pd.DataFrame
    fills: pd.DataFrame
    quotes: pd.DataFrame
    events: pd.DataFrame
    runs: pd.DataFrame

    def __repr__(self) -> str:
        return f"<TradeRecord: {len(self.runs)} runs, {len(self.orders)} orders, {len(self.fills)} fills>"
