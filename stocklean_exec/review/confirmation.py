"""The words that a person types to send a plan, and the fingerprint of exactly what was shown. Pure.

The phrase names how many orders go where, and ends in the first characters of the fingerprint: a phrase that was
typed (or left in a cell) for one plan does not fit another one, nor another account.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.errors import ApprovalError
from stocklean_exec.schema.order_ids import payload_hashes, plan_hash

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

__all__ = ["Confirmation", "check_asked", "phrase_for", "shown_hash"]

_SHOWN = ("decision_price", "target_quantity", "status", "reason", "verdict", "reasons", "approved")
"""What a person sees of an order and decides, besides its own terms. Who approved it and when is no part of it."""

_WITHIN = 120.0  # seconds; a confirmation that a busy kernel hears later was typed for another market
_LETTERS = 4  # of the fingerprint: enough to tell plans apart, few enough to type


class Confirmation(NamedTuple):
    """What must be typed to send exactly what a review shows; it counts once, and only until anything changes."""

    phrase: str
    orders: int
    badge: str
    shown_hash: str
    token: str
    at: datetime


def check_asked(asked: Confirmation, due: Confirmation) -> None:
    """Refuse a confirmation that was asked for on another plan than the one that is ``due``, or too long ago.

    Raises
    ------
    ApprovalError
        With what changed, or the age.
    """
    if asked.shown_hash != due.shown_hash:
        raise ApprovalError("the plan changed after the confirmation was asked for; confirm anew")
    if (age := (due.at - asked.at).total_seconds()) > _WITHIN:
        raise ApprovalError(f"the confirmation came {age:,.0f} s after it was asked for; confirm anew")


def shown_hash(orders: pd.DataFrame, account: str, badge: str) -> str:
    """Fingerprint of the whole plan with its approvals, the account and the kind of broker.

    Examples
    --------
    >>> import pandas as pd
    >>> plan = pd.DataFrame({"symbol": ["SPY"], "quantity": [10.0], "approved": [True]})
    >>> shown_hash(plan, "DU0000001", "PAPER") == shown_hash(plan.assign(quantity=11.0), "DU0000001", "PAPER")
    False
    """
    plan = plan_hash(payload_hashes(orders, _SHOWN))
    return sha256(f"{plan}\x1f{account}\x1f{badge}".encode()).hexdigest()


def phrase_for(orders: int, badge: str, account: str, fingerprint: str) -> str:
    """Return what must be typed; for a live account its last three characters are part of it.

    Examples
    --------
    >>> phrase_for(37, "PAPER", "DU1234567", "3fa9c0ffee")
    'SUBMIT 37 PAPER 3fa9'
    >>> phrase_for(37, "LIVE", "U1234567", "3fa9c0ffee")
    'SUBMIT 37 LIVE 567 3fa9'
    """
    where = f"{badge} {account[-3:]}" if badge == "LIVE" else badge
    return f"SUBMIT {orders} {where} {fingerprint[:_LETTERS]}"
