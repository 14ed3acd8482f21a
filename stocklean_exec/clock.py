"""The one place that reads the wall clock. Everything else is told the time."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
