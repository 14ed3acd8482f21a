"""Accounts: cash, positions, average cost, realised profit, and the account values that TWS reports.

Pure arithmetic. Quantities are signed shares (negative is short), amounts are in the base currency. The
average cost of a position includes the commissions of the trades that opened it, and the profit of a closing
trade is net of both its own commission and that share, as TWS reports it: the captured sale of a share at the
price paid for it realises minus the two commissions.

Source: TWS API documentation, "Account and portfolio data", "Average cost"; a captured commission report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SUMMARY_TAGS", "Account", "Position"]

LEVERAGE = 4.0
"""Buying power is this multiple of the available equity: intraday leverage of a US margin account (4 to 1)."""
INITIAL_MARGIN, MAINTENANCE_MARGIN = 0.25, 0.25
"""Share of the gross position value: the reciprocal of :data:`LEVERAGE`."""

SUMMARY_TAGS = (
    "AccountType",
    "NetLiquidation",
    "TotalCashValue",
    "SettledCash",
    "AccruedCash",
    "BuyingPower",
    "EquityWithLoanValue",
    "PreviousDayEquityWithLoanValue",
    "GrossPositionValue",
    "RegTEquity",
    "RegTMargin",
    "SMA",
    "InitMarginReq",
    "MaintMarginReq",
    "AvailableFunds",
    "ExcessLiquidity",
    "Cushion",
    "FullInitMarginReq",
    "FullMaintMarginReq",
    "FullAvailableFunds",
    "FullExcessLiquidity",
    "LookAheadNextChange",
    "LookAheadInitMarginReq",
    "LookAheadMaintMarginReq",
    "LookAheadAvailableFunds",
    "LookAheadExcessLiquidity",
    "HighestSeverity",
    "DayTradesRemaining",
    "Leverage",
)
"""Tags of reqAccountSummary."""


@dataclass(slots=True)
class Position:
    """Position in one contract. ``average_cost`` is money per share and includes opening commissions.

    ``symbol`` is the key of the contract's quote.
    """

    symbol: str
    quantity: float = 0.0
    average_cost: float = 0.0
    realized: float = 0.0


@dataclass(slots=True)
class Account:
    """One account. ``cash`` and all values are in ``currency``.

    Examples
    --------
    The captured case: buy one share, sell it at the same price, each trade paying a commission.

    >>> account = Account("DU1")
    >>> account.trade(1, "AAPL", 1, 257.95, 1.0)
    >>> account.trade(1, "AAPL", -1, 257.95, 1.016569)
    -2.016569
    """

    name: str
    cash: float = 1_000_000.0
    currency: str = "USD"
    positions: dict[int, Position] = field(default_factory=dict)
    opening_value: float | None = None

    def trade(self, con_id: int, symbol: str, shares: float, price: float, commission: float) -> float | None:
        """Book ``shares`` (signed) at ``price``; the realised profit, or None when nothing was closed.

        A trade that crosses zero first closes, then opens with the remainder; its commission is split pro rata.
        """
        held = self.positions.setdefault(con_id, Position(symbol))
        self.cash = round(self.cash - shares * price - commission, 8)
        closed = min(abs(shares), abs(held.quantity)) if held.quantity * shares < 0 else 0.0
        realized = None
        if closed:
            direction = 1 if held.quantity > 0 else -1
            share = commission * closed / abs(shares)
            realized = round(direction * (price - held.average_cost) * closed - share, 8)
            held.realized = round(held.realized + realized, 8)
        _reposition(held, shares, price, commission, closed)
        return realized

    def market_value(self, prices: Mapping[str, float]) -> float:
        """Market value of all positions, signed."""
        return sum(_value(held, prices) for held in self.positions.values())

    def unrealized(self, prices: Mapping[str, float]) -> float:
        """Unrealised profit at ``prices``, before closing costs."""
        return sum(_value(held, prices) - held.quantity * held.average_cost for held in self.positions.values())

    def realized(self) -> float:
        """Realised profit so far."""
        return sum(held.realized for held in self.positions.values())

    def net_liquidation(self, prices: Mapping[str, float]) -> float:
        """Cash plus market value."""
        return self.cash + self.market_value(prices)

    def values(self, prices: Mapping[str, float]) -> dict[str, str]:
        """All account values by tag, as text with two decimals."""
        gross = sum(abs(_value(held, prices)) for held in self.positions.values())
        net = self.net_liquidation(prices)
        initial, maintenance = gross * INITIAL_MARGIN, gross * MAINTENANCE_MARGIN
        amounts = {
            "NetLiquidation": net,
            "TotalCashValue": self.cash,
            "SettledCash": self.cash,
            "AccruedCash": 0.0,
            "BuyingPower": max(net - initial, 0.0) * LEVERAGE,
            "EquityWithLoanValue": net,
            "PreviousDayEquityWithLoanValue": net if self.opening_value is None else self.opening_value,
            "GrossPositionValue": gross,
            "RegTEquity": net,
            "RegTMargin": gross / 2,
            "SMA": max(net - gross / 2, 0.0),
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "AvailableFunds": net - initial,
            "ExcessLiquidity": net - maintenance,
            "UnrealizedPnL": self.unrealized(prices),
            "RealizedPnL": self.realized(),
            "StockMarketValue": self.market_value(prices),
        }
        for prefix in ("Full", "LookAhead"):
            for tag in ("InitMarginReq", "MaintMarginReq", "AvailableFunds", "ExcessLiquidity"):
                amounts[f"{prefix}{tag}"] = amounts[tag]
        texts = {tag: f"{amount + 0.0:.2f}" for tag, amount in amounts.items()}
        texts["Cushion"] = f"{(net - maintenance) / net if net else 0:.6f}"
        texts["Leverage"] = f"{gross / net if net else 0:.2f}"
        return texts


def _value(held: Position, prices: Mapping[str, float]) -> float:
    return held.quantity * prices.get(held.symbol, held.average_cost)


def _reposition(held: Position, shares: float, price: float, commission: float, closed: float) -> None:
    opened = abs(shares) - closed
    direction = 1 if shares > 0 else -1
    before = abs(held.quantity) if not closed else 0.0
    held.quantity = round(held.quantity + shares, 8)
    if opened:
        # A long position costs price plus commission; a short position yields price less commission.
        paid = opened * price + direction * commission * opened / abs(shares)
        held.average_cost = round((before * held.average_cost + paid) / (before + opened), 10)
    elif held.quantity == 0:
        held.average_cost = 0.0
