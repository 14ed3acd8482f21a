"""A rejection of an order: its error code and text.

Pure. Texts are those of captured messages where available, else those of IB's list of message codes.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Refusal", "invalid"]


class Refusal(NamedTuple):
    """Reason for a rejection. ``inactive``: the order is then reported as Inactive."""

    code: int
    text: str
    inactive: bool = False


def invalid(cause: str) -> Refusal:
    """Error 321 with the text of TWS.

    Examples
    --------
    >>> invalid("Invalid side was entered").text
    "Error validating request.-'bF' : cause - Invalid side was entered"
    """
    return Refusal(321, f"Error validating request.-'bF' : cause - {cause}")
