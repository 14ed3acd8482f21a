"""Why symbols have no quote: what a broker says of them travels with the quotes table, in its ``attrs``. Pure.

A symbol without a quote has no row. A copy of the table, a selection of its rows, and validation keep what is said
here; a file, or a table put together from others, does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["CONTRACT_PROBLEMS", "MissingQuote", "missing_quotes", "with_missing_quotes"]

_MISSING = "missing_quotes"

CONTRACT_PROBLEMS = frozenset({"ambiguous_instrument", "contract_mismatch"})
"""Reasons other than a missing price: it is not clear what would be traded."""


class MissingQuote(NamedTuple):
    """Why a symbol has no quote: a reason code, and a text for the user."""

    reason: str
    detail: str


def missing_quotes(quotes: object) -> dict[str, MissingQuote]:
    """Why symbols have no row in a quotes table, by symbol; empty where no broker has reported it.

    Examples
    --------
    >>> import pandas as pd
    >>> why = MissingQuote("ambiguous_instrument", "LSE 1, NASDAQ 2")
    >>> frame = with_missing_quotes(pd.DataFrame(), {"VOD": why})
    >>> missing_quotes(frame.copy())["VOD"].detail
    'LSE 1, NASDAQ 2'
    """
    stored = getattr(quotes, "attrs", {}).get(_MISSING, {})
    return {symbol: MissingQuote(*said) for symbol, said in stored.items()}


def with_missing_quotes(quotes: pd.DataFrame, missing: Mapping[str, MissingQuote]) -> pd.DataFrame:
    """Note why symbols have no row in ``quotes``, and return it."""
    if missing:
        quotes.attrs[_MISSING] = {symbol: list(said) for symbol, said in missing.items()}
    return quotes
