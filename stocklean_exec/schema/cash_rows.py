"""Find the cash rows in a table of targets or positions.

Holdings files list cash with the shares: ``USD`` in iShares' files, ``CASH_USD`` in State Street's,
``Cash&Other`` in many others. Some of these are tickers too: USD is an ETF of semiconductors, CASH a bank. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.schema.frame_validator import is_missing, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CURRENCIES", "TICKERS_TOO", "CashRows", "find_cash_rows"]

# fmt: off
CURRENCIES = frozenset({
    "AED", "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR", "JPY",
    "KRW", "MXN", "NOK", "NZD", "PLN", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})
# fmt: on
"""Currencies that an account at Interactive Brokers can hold or trade. Others are not included: ALL, COP and PEN
are large US stocks (Allstate, ConocoPhillips, Penumbra), and currencies that no account there holds."""

TICKERS_TOO = frozenset({"CNH", "INR", "NOK", "SAR"})
"""Currencies whose code is also the ticker of a US stock: CNH Industrial, Infinity Natural
Resources, Nokia, Saratoga. The bare code is the stock, with a warning; ``CASH_NOK`` and similar are cash."""

_CASH = ("CASH", "$CASH", "CASH$", "CASH&OTHER", "CASH & OTHER", "US DOLLAR", "US DOLLARS")
_SEPARATORS = ("", " ", "_", "-", ".", "/", ":")


def _spellings() -> frozenset[str]:
    found = {*_CASH, *(CURRENCIES - TICKERS_TOO)}
    for code in CURRENCIES:
        found |= {f"{code}.", f"${code}", f"{code} CURNCY", f"CASH({code})", f"CASH ({code})"}
        found |= {f"CASH{sign}{code}" for sign in _SEPARATORS} | {f"{code}{sign}CASH" for sign in _SEPARATORS}
    return frozenset(found)


_SPELLINGS = _spellings()
_CANDIDATES = _SPELLINGS | TICKERS_TOO


class CashRows(NamedTuple):
    """Row numbers of cash, and of rows that are read as a stock but may be intended as cash."""

    cash: list[int]
    unclear: list[int]


def find_cash_rows(
    symbols: Sequence[object], sec_types: Sequence[object] | None = None, *, cash_types: tuple[str, ...] = ("",)
) -> CashRows:
    """Find the cash rows by their symbols, in any case.

    Parameters
    ----------
    symbols, sec_types : columns of the table; ``sec_types`` is None where the table has none
    cash_types : types that a cash row may have, ``""`` for none. A row with another type, such as ``STK``, is not
        cash.

    Examples
    --------
    >>> find_cash_rows(["SPY", "usd", "CASH_EUR", "NOK", "USD"], [None, None, "", None, "STK"])
    CashRows(cash=[1, 2], unclear=[3])
    """
    if _has_none(symbols):
        return CashRows([], [])
    named = [(row, one.strip().upper()) for row, one in enumerate(symbols) if isinstance(one, str)]
    rows = [(row, name) for row, name in named if name in _CANDIDATES]
    if sec_types is not None:
        rows = [(row, name) for row, name in rows if _text(sec_types[row]) in cash_types]
    return CashRows(
        [row for row, name in rows if name in _SPELLINGS], [row for row, name in rows if name in TICKERS_TOO]
    )


def _has_none(symbols: Sequence[object]) -> bool:
    """Whether no row is cash, which is usual; half the cost of checking thousands of rows one by one."""
    try:
        return _CANDIDATES.isdisjoint(map(str.upper, map(str.strip, symbols)))  # type: ignore[arg-type]  # TypeError
    except TypeError:  # not all symbols are text
        return False


def _text(value: object) -> str:
    """A type for comparison: empty without one; ``repr`` of a value that is not text."""
    if is_missing(value):
        return ""
    return value.strip().upper() if isinstance(value, str) else shown(value)
