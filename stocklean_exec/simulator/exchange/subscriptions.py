"""Active subscriptions of one connection. Plain data, owned by the session, updated by the services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.contracts import Contract

__all__ = ["Subscriptions"]


@dataclass(slots=True)
class Subscriptions:
    """Active subscriptions of a connection, by request id."""

    positions: bool = False
    auto_bind: bool = False
    account: str = ""
    """Account of reqAccountUpdates; empty for none."""
    multi: dict[int, str] = field(default_factory=dict)
    summaries: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    """Accounts and tags of reqAccountSummary."""
    pnl: dict[int, str] = field(default_factory=dict)
    pnl_single: dict[int, tuple[str, int]] = field(default_factory=dict)
    tickers: dict[int, Contract] = field(default_factory=dict)
    ticker_data: int = 1
    """Requested market data type: 1 live, 2 frozen, 3 delayed, 4 delayed frozen."""
    sent: dict[tuple[int, str, str, str], str] = field(default_factory=dict)
    """Account values as last sent, by request id (-1: reqAccountUpdates), account, tag and currency; only changes
    are sent again."""

    def forget(self, req_id: int) -> None:
        """Drop what was sent to a request, whose id is used for a new one."""
        self.sent = {key: value for key, value in self.sent.items() if key[0] != req_id}
