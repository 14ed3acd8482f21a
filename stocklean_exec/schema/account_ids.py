"""Account ids of Interactive Brokers: which are paper, and how one is shown to people. Pure."""

from __future__ import annotations

import re

__all__ = ["is_paper_account", "mask_account", "mask_accounts_in"]

_PAPER = re.compile(r"D[UF]\d+")
_ANY = re.compile(r"\bD?[UF]\d{5,}\b")


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


def mask_accounts_in(text: str, account: str | None = None) -> str:
    """Shorten every account id within a text, such as a broker's message; ``account`` too, whatever its shape.

    Examples
    --------
    >>> mask_accounts_in("No trading permissions for account DU1234567")
    'No trading permissions for account DU***567'
    """
    named = text.replace(account, mask_account(account)) if account else text
    return _ANY.sub(lambda found: mask_account(found[0]), named)
