"""Everything a simulator can be told at the start, and the bounds of what a peer may use.

Pure data. Cash and prices are in US dollars, sizes in shares, times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stocklean_exec.simulator.clock import Mode

__all__ = ["Limits", "Settings"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that keep one peer from hurting the venue or the other peers."""

    max_frame: int = 1 << 20
    """Largest message accepted, bytes."""
    max_unsent: int = 64 << 20
    """Most bytes that may wait for a slow reader."""
    max_bad: int = 100
    """Requests that cannot be read before the connection is closed."""
    max_connections: int = 64
    """Connections at one time."""
    handshake_seconds: float = 30.0
    """Time from the connection to START_API."""
    idle_seconds: float = 86_400.0
    """Time without a byte from a started client."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a venue starts with."""

    accounts: tuple[str, ...] = ("DU0000001",)
    cash: float = 1_000_000.0
    """Opening cash of each account."""
    positions: Mapping[str, Any] = field(default_factory=dict)
    """Opening positions of the first account: symbol to shares, or to (shares, average cost)."""
    quotes: Any = None
    """See :func:`~stocklean_exec.read_quotes`; None is the sample symbols."""
    seed: int = 0
    scenario: Any = None
    """See :func:`~stocklean_exec.simulator.scenarios.scenario.load_scenario`."""
    state: str | Path | None = None
    """A file that keeps the venue over restarts."""
    journal: str | Path | None = None
    """A file that the venue's own record is appended to."""
    server_version: int = 176
    """The highest server version spoken: 157 to 178."""
    clock: Mode = "virtual"
    start: float | str | None = None
    """First instant of a virtual or manual clock: seconds since 1970, or a date and time."""
