"""Accounts: cash, positions, average cost, realised profit, and the account values that TWS reports.

Pure arithmetic. Quantities are signed shares (negative is short). Cash and positions are kept in the currency of
each; totals are in the account's base currency, at exchange rates of base currency per unit. Nothing is converted
automatically: buying shares in a currency that the account does not hold leaves a debt in it, as in a margin
account of TWS.

The average cost of a position includes the commissions of the trades that opened it, and the profit of a closing
trade is net of both its own commission and that share, as TWS reports it: the captured sale of a share at the
price paid for it realises minus the two commissions.

Source: TWS API documentation, "Account and portfolio data", "Average cost"; a captured commission report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.simulator.exchange.rates import rate_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.exchange.rates import Rates

__all__ = ["BASE", "CASH", "KINDS", "LEDGER_TAGS", "SUMMARY_TAGS", "Account", "Position", "Subtotal"]

BASE = "BASE"
"""What TWS has in place of a currency in the ledger row of all currencies together."""

CASH = "cash"
KINDS = ("margin", CASH)
"""Kinds of account. A cash account buys with settled cash alone, and cannot be short."""
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


LEDGER_TAGS = (
    *("CashBalance", "TotalCashBalance", "StockMarketValue", "NetLiquidationByCurrency", "UnrealizedPnL"),
    *("RealizedPnL", "ExchangeRate", "Currency", "RealCurrency"),
)
"""Tags of the ledger: one row for each currency, and one for :data:`BASE`."""


@dataclass(slots=True)
class Position:
    """Position in one contract. ``average_cost`` is money per share and includes opening commissions.

    ``symbol`` is the key of the contract's quote; an empty ``currency`` is that of the account.
    """

    symbol: str
    quantity: float = 0.0
    average_cost: float = 0.0
    realized: float = 0.0
    currency: str = ""


class Subtotal(NamedTuple):
    """The positions in one currency: market value, gross market value, unrealised and realised profit."""

    value: float = 0.0
    gross: float = 0.0
    gain: float = 0.0
    realized: float = 0.0


@dataclass(slots=True)
class Account:
    """One account with the base currency ``currency``.

    ``cash`` is the balance in the base currency, ``foreign`` the balances in the other currencies that the account
    holds or has held.

    Examples
    --------
    The captured case: buy one share, sell it at the same price, each trade paying a commission.

    >>> account = Account("DU1")
    >>> account.trade(1, "AAPL", 1, 257.95, 1.0)
    >>> account.trade(1, "AAPL", -1, 257.95, 1.016569)
    -2.016569

    Shares in another currency are paid in it:

    >>> account.trade(2, "ABC", 1_000, 8.0, 4.0, "GBP")
    >>> account.balances()
    {'USD': 999997.983431, 'GBP': -8004.0}
    """

    name: str
    cash: float = 1_000_000.0
    currency: str = "USD"
    positions: dict[int, Position] = field(default_factory=dict)
    opening_value: float | None = None
    foreign: dict[str, float] = field(default_factory=dict)
    kind: str = "margin"
    unsettled: list[tuple[float, str, float]] = field(default_factory=list)
    """Proceeds of sales before their settlement: instant of settlement, currency, amount."""
    pairs: dict[int, Position] = field(default_factory=dict)
    """What was bought and sold of currency pairs, which TWS shows next to the balances. No part of any value."""

    def balances(self) -> dict[str, float]:
        """Cash by currency, the base currency first; negative is owed."""
        return {self.currency: self.cash, **self.foreign}

    def receive(self, currency: str, amount: float) -> None:
        """Add ``amount``, negative for a payment, to the balance in ``currency``."""
        if currency in {"", self.currency}:
            self.cash = round(self.cash + amount, 8)
        else:
            self.foreign[currency] = round(self.foreign.get(currency, 0.0) + amount, 8)

    def convert(
        self, pair: Contract, quantity: float, price: float, commission: float, settles_at: float = 0.0
    ) -> None:
        """Book ``quantity`` units (signed) of the first currency of a pair, paid in the second.

        ``commission`` is in the base currency.
        """
        gained, amount = (pair.symbol, quantity) if quantity > 0 else (pair.currency, -quantity * price)
        self.receive(pair.symbol, quantity)
        self.receive(pair.currency, -quantity * price)
        self.receive(self.currency, -commission)
        if settles_at > 0:
            self.unsettled.append((settles_at, gained, amount))
        held = self.pairs.setdefault(pair.con_id, Position(pair.key, currency=pair.currency))
        closed = min(abs(quantity), abs(held.quantity)) if held.quantity * quantity < 0 else 0.0
        _reposition(held, quantity, price, 0.0, closed)

    def settle(self, now: float) -> None:
        """Settle the proceeds that are due at ``now``."""
        self.unsettled = [one for one in self.unsettled if one[0] > now]

    def settled(self, currency: str) -> float:
        """Cash in ``currency`` without the proceeds of unsettled sales; purchases count at once."""
        waiting = sum(amount for _, owed, amount in self.unsettled if owed == currency)
        return self.balances().get(currency, 0.0) - waiting

    def trade(
        self,
        con_id: int,
        symbol: str,
        shares: float,
        price: float,
        commission: float,
        currency: str = "",
        settles_at: float = 0.0,
    ) -> float | None:
        """Book ``shares`` (signed) at ``price``; the realised profit, or None when nothing was closed.

        All amounts are in ``currency``, by default the base currency. A trade that crosses zero first closes, then
        opens with the remainder; its commission is split pro rata. The proceeds of a sale settle at
        ``settles_at``, its commission at once.
        """
        held = self.positions.setdefault(con_id, Position(symbol, currency=currency))
        self.receive(currency, -shares * price - commission)
        if shares < 0 and settles_at > 0:
            self.unsettled.append((settles_at, currency or self.currency, -shares * price))
        closed = min(abs(shares), abs(held.quantity)) if held.quantity * shares < 0 else 0.0
        realized = None
        if closed:
            direction = 1 if held.quantity > 0 else -1
            share = commission * closed / abs(shares)
            realized = round(direction * (price - held.average_cost) * closed - share, 8)
            held.realized = round(held.realized + realized, 8)
        _reposition(held, shares, price, commission, closed)
        return realized

    def currencies(self) -> list[str]:
        """Currencies that the account holds or has held, as cash or shares; the base currency first."""
        held = (one.currency or self.currency for one in self.positions.values())
        return list(dict.fromkeys((*self.balances(), *held)))

    def total_cash(self, rates: Rates | None = None) -> float:
        """All balances in the base currency."""
        return sum(amount * self._rate(currency, rates) for currency, amount in self.balances().items())

    def subtotals(self, prices: Mapping[str, float]) -> dict[str, Subtotal]:
        """What the positions in each currency are worth at ``prices``, in that currency."""
        sums: dict[str, list[float]] = {}
        for held in self.positions.values():
            price = prices.get(held.symbol, held.average_cost)
            value = held.quantity * price
            total = sums.setdefault(held.currency or self.currency, [0.0, 0.0, 0.0, 0.0])
            total[0] += value
            total[1] += abs(value)
            total[2] += value - held.quantity * held.average_cost
            total[3] += held.realized
        return {currency: Subtotal(*total) for currency, total in sums.items()}

    def _total(self, prices: Mapping[str, float], rates: Rates | None) -> Subtotal:
        """All positions in the base currency."""
        return self._in_base(self.subtotals(prices), rates)

    def _in_base(self, subtotals: Mapping[str, Subtotal], rates: Rates | None) -> Subtotal:
        converted = [
            tuple(amount * self._rate(currency, rates) for amount in one) for currency, one in subtotals.items()
        ]
        return Subtotal(*(sum(amounts) for amounts in zip(*converted, strict=True))) if converted else Subtotal()

    def market_value(self, prices: Mapping[str, float], rates: Rates | None = None) -> float:
        """Market value of all positions, signed."""
        return self._total(prices, rates).value

    def unrealized(self, prices: Mapping[str, float], rates: Rates | None = None) -> float:
        """Unrealised profit at ``prices``, before closing costs."""
        return self._total(prices, rates).gain

    def realized(self, rates: Rates | None = None) -> float:
        """Realised profit so far, at today's rates."""
        return self._total({}, rates).realized

    def net_liquidation(self, prices: Mapping[str, float], rates: Rates | None = None) -> float:
        """Cash plus market value."""
        return self.total_cash(rates) + self.market_value(prices, rates)

    def _rate(self, currency: str, rates: Rates | None) -> float:
        """Base currency per unit. Without ``rates`` only the base currency has one."""
        return 1.0 if rates is None or currency in {"", self.currency} else rates[currency]

    def ledger(
        self, currency: str, subtotals: Mapping[str, Subtotal], rates: Rates | None = None
    ) -> dict[str, str]:
        """The ledger row of one currency, in that currency; of :data:`BASE`, in the base currency."""
        if currency == BASE:
            cash, held, rate = self.total_cash(rates), self._in_base(subtotals, rates), 1.0
        else:
            cash, held = self.balances().get(currency, 0.0), subtotals.get(currency, Subtotal())
            rate = self._rate(currency, rates)
        amounts = (cash, cash, held.value, cash + held.value, held.gain, held.realized)
        texts = (*map(_amount, amounts), rate_text(rate), currency, currency)
        return dict(zip(LEDGER_TAGS, texts, strict=True))

    def values(self, prices: Mapping[str, float], rates: Rates | None = None) -> dict[str, str]:
        """All totals by tag, in the base currency, as text with two decimals."""
        held, cash = self._total(prices, rates), self.total_cash(rates)
        gross, net = held.gross, cash + held.value
        settled = cash - sum(amount * self._rate(owed, rates) for _, owed, amount in self.unsettled)
        # In a cash account what can be spent is settled cash, and there is no margin.
        margin, leverage = (0.0, 1.0) if self.kind == CASH else (1.0, LEVERAGE)
        equity = settled if self.kind == CASH else net
        initial, maintenance = margin * gross * INITIAL_MARGIN, margin * gross * MAINTENANCE_MARGIN
        amounts = {
            "NetLiquidation": net,
            "TotalCashValue": cash,
            "SettledCash": settled,
            "AccruedCash": 0.0,
            "BuyingPower": max(equity - initial, 0.0) * leverage,
            "EquityWithLoanValue": equity,
            "PreviousDayEquityWithLoanValue": equity if self.opening_value is None else self.opening_value,
            "GrossPositionValue": gross,
            "RegTEquity": net,
            "RegTMargin": margin * gross / 2,
            "SMA": margin * max(net - gross / 2, 0.0),
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "AvailableFunds": equity - initial,
            "ExcessLiquidity": equity - maintenance,
            "UnrealizedPnL": held.gain,
            "RealizedPnL": held.realized,
            "StockMarketValue": held.value,
        }
        for prefix in ("Full", "LookAhead"):
            for tag in ("InitMarginReq", "MaintMarginReq", "AvailableFunds", "ExcessLiquidity"):
                amounts[f"{prefix}{tag}"] = amounts[tag]
        texts = {tag: _amount(amount) for tag, amount in amounts.items()}
        texts["Cushion"] = f"{(equity - maintenance) / net if net else 0:.6f}"
        texts["Leverage"] = f"{gross / net if net else 0:.2f}"
        return texts


def _amount(amount: float) -> str:
    return f"{amount + 0.0:.2f}"


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
