"""What one connection has asked to be told. Plain data, owned by the session, filled by the desks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.contracts import Contract

__all__ = ["Subscriptions"]


@dataclass(slots=True)
class Subscriptions:
    """Running requests of a connection, by request id."""

    positions: bool = False
    auto_bind: bool = False
    account: str = ""
    """The account of reqAccountUpdates; empty is none."""
    multi: dict[int, str] = field(default_factory=dict)
    summaries: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    """Accounts and tags of reqAccountSummary."""
    pnl: dict[int, str] = field(default_factory=dict)
    pnl_single: dict[int, tuple[str, int]] = field(default_factory=dict)
    tickers: dict[int, Contract] = field(default_factory=dict)
    ticker_data: int = 1
    """The market data type asked for: 1 live, 2 frozen, 3 delayed, 4 delayed frozen."""
    sent: dict[tuple[int, str], str] = field(default_factory=dict)
    """Account values as last sent, by request (-1 is reqAccountUpdates) and tag: only changes go again."""
