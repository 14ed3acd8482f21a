"""The phrase that a person types to send a plan, and the fingerprint of exactly what was displayed. Pure.

The phrase states how many orders go where, and ends in the first characters of the fingerprint: a phrase that was
typed (or left in a cell) for one plan does not match another plan, nor another account.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.errors import ApprovalError
from stocklean_exec.schema.order_ids import payload_hashes, plan_hash

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

__all__ = ["Confirmation", "check_confirmation", "phrase_for", "plan_fingerprint"]

_DISPLAYED = ("decision_price", "target_quantity", "status", "reason", "verdict", "reasons", "approved")
"""Columns that a person sees of an order, and the decision; added to the order's own terms. Who approved it and
when is not part of it."""

_MAX_AGE_SECONDS = 120.0
"""A confirmation that a busy kernel receives later was typed for another market. A choice: time enough to read the
totals and type the phrase, and no more."""

_FINGERPRINT_CHARACTERS = 4
"""Characters of the fingerprint in the phrase. A choice: short to type; two plans share them once in 65,536."""


class Confirmation(NamedTuple):
    """What must be typed to send exactly what a review shows; valid once, and only until anything changes."""

    phrase: str
    orders: int
    badge: str
    plan_fingerprint: str
    token: str
    at: datetime


def check_confirmation(requested: Confirmation, current: Confirmation) -> None:
    """Check that a confirmation is for the plan as it is now, and recent enough.

    Parameters
    ----------
    requested : the confirmation that was typed
    current : what would be confirmed now

    Raises
    ------
    ApprovalError
        The plan changed, or the confirmation is too old.
    """
    if requested.plan_fingerprint != current.plan_fingerprint:
        raise ApprovalError("the plan changed after this confirmation was requested; please confirm again")
    if (age := (current.at - requested.at).total_seconds()) > _MAX_AGE_SECONDS:
        raise ApprovalError(
            f"this confirmation was requested {age:,.0f} s ago; the limit is {_MAX_AGE_SECONDS:,.0f} s; "
            "please confirm again"
        )


def plan_fingerprint(orders: pd.DataFrame, account: str, badge: str) -> str:
    """Fingerprint of the whole plan with its approvals, the account and the kind of broker.

    Examples
    --------
    >>> import pandas as pd
    >>> plan = pd.DataFrame({"symbol": ["SPY"], "quantity": [10.0], "approved": [True]})
    >>> edited = plan.assign(quantity=11.0)
    >>> plan_fingerprint(plan, "DU0000001", "PAPER") == plan_fingerprint(edited, "DU0000001", "PAPER")
    False
    """
    plan = plan_hash(payload_hashes(orders, _DISPLAYED))
    return sha256(f"{plan}\x1f{account}\x1f{badge}".encode()).hexdigest()


def phrase_for(orders: int, badge: str, account: str, fingerprint: str) -> str:
    """Return the phrase to type; for a live account it includes the account's last three characters.

    Examples
    --------
    >>> phrase_for(37, "PAPER", "DU1234567", "3fa9c0ffee")
    'SUBMIT 37 PAPER 3fa9'
    >>> phrase_for(37, "LIVE", "U1234567", "3fa9c0ffee")
    'SUBMIT 37 LIVE 567 3fa9'
    """
    destination = f"{badge} {account[-3:]}" if badge == "LIVE" else badge
    return f"SUBMIT {orders} {destination} {fingerprint[:_FINGERPRINT_CHARACTERS]}"
