"""Which account may be traded, and what is wrong when TWS cannot be reached. Pure.

Paper or live is decided by the account id, never by the port: anybody can set a port. A live account is
refused unless the caller has named exactly this account in two independent places.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from stocklean_exec.brokers.base import is_paper_account, mask_account
from stocklean_exec.errors import BrokerError, LiveAccountError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LIVE_VARIABLE", "check_account", "choose_account", "explain_failure", "is_loopback"]

LIVE_VARIABLE = "STOCKLEAN_ALLOW_LIVE"
"""Environment variable that must name a live account before it is traded."""

_PORTS = "TWS listens on 7497 (paper) or 7496 (live), IB Gateway on 4002 (paper) or 4001 (live)"
_ENABLE = (
    "In TWS: Global Configuration > API > Settings, tick 'Enable ActiveX and Socket Clients', untick 'Read-Only "
    "API', and compare the socket port"
)


def choose_account(managed: Sequence[str], wanted: str | None) -> str:
    """The account to trade, out of those of the login.

    Raises
    ------
    BrokerError
        The login does not have ``wanted``, or has several accounts and none was named.

    Examples
    --------
    >>> choose_account(["DU1234567"], None)
    'DU1234567'
    """
    shown = ", ".join(map(mask_account, managed)) or "none"
    if wanted is not None:
        if wanted not in managed:
            raise BrokerError(f"the login has no account {mask_account(wanted)}; its accounts: {shown}")
        return wanted
    if len(managed) != 1:
        raise BrokerError(
            f"the login has {len(managed)} accounts ({shown}): name one, such as ...&account=DU1234567"
        )
    return managed[0]


def check_account(
    account: str, managed: Sequence[str], allow_live: str | None, environment: Mapping[str, str]
) -> None:
    """Let pass a paper account of a paper login, and a live account that was named in both places.

    Raises
    ------
    LiveAccountError
        The account, or another one of the login, is not a paper account, and was not allowed.
    BrokerError
        The login does not have the account (any more).

    Examples
    --------
    >>> check_account("DU1234567", ["DU1234567"], None, {})
    >>> check_account("U1234567", ["U1234567"], "U1234567", {"STOCKLEAN_ALLOW_LIVE": "U1234567"})
    >>> check_account("U1234567", ["U1234567"], "U1234567", {})
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.LiveAccountError: U1***567 is not a paper account. ...
    """
    if account not in managed:
        shown = ", ".join(map(mask_account, managed)) or "none"
        raise BrokerError(f"the login has no account {mask_account(account)} any more; its accounts: {shown}")
    if all(map(is_paper_account, managed)):
        return
    if account == allow_live == environment.get(LIVE_VARIABLE):
        return
    live = next((name for name in (account, *managed) if not is_paper_account(name)), account)
    raise LiveAccountError(
        f"{mask_account(live)} is not a paper account. Log in to paper trading; or, to trade real money, name the "
        f"account in allow_live= and in the environment variable {LIVE_VARIABLE}"
    )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this computer.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("192.0.2.7")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def explain_failure(
    address: str, client_id: int, seconds: float, *, causes: Sequence[str], error: BaseException, version: int
) -> str:
    """Say what is wrong with a connection that did not come about, and what to do.

    Parameters
    ----------
    address : host and port
    causes : what was noticed while connecting: ``326``, ``garbage``, ``closed`` or ``too old``
    error : what the client raised
    version : of the server; 0 if it is unknown

    Examples
    --------
    >>> explain_failure("127.0.0.1:4002", 7, 4, causes=["326"], error=TimeoutError(), version=176)
    '127.0.0.1:4002: client id 7 is in use by another program (326). Close it, or connect with another client_id.'
    """
    if "326" in causes:
        why = (
            f"client id {client_id} is in use by another program (326). "
            "Close it, or connect with another client_id."
        )
    elif "garbage" in causes:
        why = f"something listens there that is not TWS. Compare the port: {_PORTS}."
    elif "too old" in causes:
        why = f"this TWS speaks API version {version}, which is too old. Install a current TWS or IB Gateway."
    elif isinstance(error, ConnectionRefusedError) or (isinstance(error, OSError) and error.errno is not None):
        why = f"nothing listens there. Start TWS or IB Gateway and log in; {_PORTS}. {_ENABLE}."
    elif ("closed" in causes or isinstance(error, ConnectionResetError)) and not version:
        why = (
            "the other side closed the connection without a message. TWS does so with computers that are not "
            f"among its trusted IPs; anything else is not TWS. Compare the port: {_PORTS}."
        )
    elif "closed" in causes:
        why = (
            f"TWS closed the connection at the start. Most likely client id {client_id} is in use by another "
            "program: connect with another client_id. Or a dialog in TWS asks whether to accept the connection."
        )
    elif not version:
        why = (
            f"something accepts connections there, but sent nothing for {seconds:g} s. TWS is starting, waits "
            f"for its login or a dialog, or it is not TWS. Compare the port: {_PORTS}."
        )
    else:
        why = (
            f"TWS answered, but was not ready after {seconds:g} s ({str(error) or type(error).__name__}). "
            "It may still be loading the account: try again, or with a longer timeout, such as ...&timeout=30."
        )
    return f"{address}: {why}"
