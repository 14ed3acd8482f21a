"""Account ids of Interactive Brokers: which are paper, and how one is shown to people. Pure."""

from __future__ import annotations

import re

__all__ = ["is_paper_account", "mask_account"]

_PAPER = re.compile(r"D[UF]\d+")


def is_paper_account(account: str) -> bool:
    """Whether an account id is one of Interactive Brokers' paper accounts.

    Examples
    --------
    >>> is_paper_account("DU1234567"), is_paper_account("U1234567"), is_paper_account("DUMMY")
    (True, False, False)
    """
    return _PAPER.fullmatch(account) is not None


def mask_account(account: str | None) -> str:
    """Shorten an account id for output that may be shared.

    Examples
    --------
    >>> mask_account("DU1234567")
    'DU***567'
    """
    if not account:
        return "no account"
    return f"{account[:2]}***{account[-3:]}"
