"""The only module that reads the wall clock. Other modules take the time as a parameter."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
