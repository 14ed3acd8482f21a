"""Initial settings of a simulator, and resource limits for clients.

Pure data. Amounts are in the currency named, prices in the unit of each contract's quotes, sizes in shares, times
in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stocklean_exec.simulator.clock import Mode

__all__ = ["Limits", "Settings", "parse_amounts", "parse_cash"]


def parse_amounts(text: str) -> dict[str, float]:
    """Numbers by currency, as command line and address have them.

    Raises
    ------
    ValueError
        The text is not a list of ``CURRENCY=NUMBER``.

    Examples
    --------
    >>> parse_amounts("EUR=1.06,gbp=1.2")
    {'EUR': 1.06, 'GBP': 1.2}
    """
    amounts = {}
    for part in text.split(","):
        currency, equals, number = (one.strip() for one in part.partition("="))
        try:
            amounts[currency.upper()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not currency.isalpha():
            raise ValueError(f"{part.strip()!r} is not of the form EUR=1.06")
    return amounts


def parse_cash(text: str) -> float | dict[str, float]:
    """An amount in the base currency, or amounts by currency.

    Examples
    --------
    >>> parse_cash("5000"), parse_cash("USD=5000,EUR=200")
    (5000.0, {'USD': 5000.0, 'EUR': 200.0})
    """
    return parse_amounts(text) if "=" in text else float(text)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that protect the venue and its other clients from one client.

    The values are choices: far above what our clients need, far below what harms the process.
    """

    max_frame: int = 1 << 20
    """Largest message accepted, bytes."""
    max_unsent: int = 64 << 20
    """Maximum bytes queued for a slow reader."""
    max_bad: int = 100
    """Unreadable requests after which the connection is closed."""
    max_connections: int = 64
    """Maximum concurrent connections. TWS allows 32 clients."""
    handshake_seconds: float = 30.0
    """Time allowed from the connection to START_API, seconds."""
    idle_seconds: float = 86_400.0
    """Time allowed without a message from a started client, seconds: one day."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Initial settings of a venue."""

    accounts: tuple[str, ...] = ("DU0000001",)
    base_currency: str = "USD"
    """Base currency of the accounts."""
    cash: float | Mapping[str, float] = 1_000_000.0
    """Opening cash of each account: an amount in the base currency, or amounts by currency."""
    account_kind: Literal["margin", "cash"] = "margin"
    """Kind of each account. A cash account buys with settled cash of the contract's currency, and is not short."""
    settlement_days: int = 0
    """Weekdays until the proceeds of a sale are settled cash: 0 (at once), 1 or 2. Purchases count at once."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Exchange rates: base currency per unit of each other currency; empty for round sample rates."""
    positions: Mapping[str | int, Any] = field(default_factory=dict)
    """Opening positions of the first account: symbol or contract id to shares, or to (shares, average cost)."""
    quotes: Any = None
    """See :func:`~stocklean_exec.simulator.scenarios.listings.read_listings`; None for the sample symbols."""
    seed: int = 0
    scenario: Any = None
    """See :func:`~stocklean_exec.simulator.scenarios.scenario.load_scenario`."""
    state: str | Path | None = None
    """File that persists the venue across restarts."""
    journal: str | Path | None = None
    """File that the venue's journal is appended to."""
    server_version: int = 176
    """Highest server version: 157 to 178."""
    clock: Mode = "virtual"
    start: float | str | None = None
    """Start time of a virtual or manual clock: seconds since 1970, or a date and time."""
