"""Order events: everything that is recorded about an order, one immutable event at a time.

Brokers report events, the blotter stores them, :mod:`~stocklean_exec.blotter.order_state` derives states from
them. An event has a natural key: a repeated event has the same key and is recorded once. Recorded events are never
changed or deleted; a correction is another event. Pure.

========================  ====================================================================================
kind                      meaning
========================  ====================================================================================
``intent``                the order is approved and may be sent; committed before anything else happens to it;
                          ``client_id`` is that of the connection which planned it
``refused``               our own plan, check or send gate rejected it, it was never sent (``code`` is the reason)
``not_approved``          a person did not approve it; it was never sent
``withdrawn``             it was approved, was never sent, and will not be (``code``: ``not_funded``)
``held_back``             it was approved and not sent, because another process may have sent it (``message``); it
                          may be sent later, unless ``code`` is ``exported``: then it was written to a basket file
                          for a person to send, with this ``symbol``, ``side``, ``quantity`` and ``account``
``sending``               it is about to be sent to the broker for the ``attempt``-th time, with the market
                          (``bid``, ``ask``, ``last``) at that moment: the arrival quote, taken at ``quoted_at``
                          from data of ``data_type`` (1 live, 2 frozen, 3 delayed, 4 delayed and frozen); with a
                          ``quantity`` where fewer shares than approved are sent (``code``: ``not_funded``)
``not_sent``              that attempt provably did not reach the broker
``status``                the broker reports a ``status``: SUBMITTED, CANCELLED or FILLED, and ``filled`` shares;
                          an end without that number is not believed
``rejected``              the broker rejected it (``code``, ``message``): for good, or with ``status`` UNSEEN only
                          as long as the broker does not report the order
``execution``             the broker traded ``quantity`` at ``price`` (``exec_id``); ``code`` time_unreliable if it
                          is dated by its report
``commission``            what one execution cost (``exec_id``)
``cancel_requested``      we requested its cancel
``modifying``             we are about to change its limit at the broker, for the ``attempt``-th time: ``price`` is
                          the new limit, ``quantity`` the whole order, ``message`` why, on a quote with the fields
                          of ``sending``; committed before anything leaves
``modified``              the broker shows the order on the terms of change ``attempt`` (``price``)
``modify_refused``        the broker refused change ``attempt`` (``code``, ``message``), or it provably did not
                          leave (``code``: ``not_sent``): the order stays on the terms it had
``message``               a message of the broker that changes no state; with ``status`` WAITING it says that the
                          order does not trade before a later time, or (``code`` Inactive) that the broker has put
                          it aside: the reason of an order that works, until RESUMED says that it is over
``unknown``               its outcome is unknown; ``message`` has the evidence
``missing``               the broker was queried, for the ``attempt``-th time, no longer has the order and does not
                          report how it ended; ``message`` has the evidence
``found``                 the order that was ``missing`` at that ``attempt`` is there again
``duplicate``             the broker has a second order (``perm_id``) under this client order id
``resolved``              a person decided its outcome (``status``, ``message``)
``decision``              a person approved, rejected or edited it in the review
``crossed``               ``quantity`` shares passed between strategies of an approved run at ``price``, without an
                          order (``message``: JSON, signed shares by strategy)
``assigned``              a person gave ``quantity`` shares of ``account`` to a strategy (``code``), or took them
                          from it where negative (``message``: JSON, by whom and why)
``cash_assigned``         a person gave ``quantity`` of ``commission_currency`` of ``account`` to a strategy
                          (``code``), or took it where negative (``message``: JSON, by whom and why)
``split``                 a person recorded a split of ``symbol`` in ``account`` that took effect at
                          ``occurred_at``, new shares for old ones by ``code``: the account has ``quantity`` shares
                          more (NULL if unknown), strategies those in ``message`` (JSON, also by whom and why)
``run_started`` ...       about a run: ``run_started``, ``run_ended``, ``run_blocked``, ``run_cancelled``
``session``               a connection of ``client_id``, whose next order id is ``order_id``; with ``code`` planned
                          the one that planned the run's batch ``attempt``
``link_lost`` ...         about that connection: ``link_lost``, ``link_restored``
``halted`` ...            about the blotter: ``halted``, ``halt_cleared``
========================  ====================================================================================
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

__all__ = ["EXPORTED", "INACTIVE", "KINDS", "NOT_SENT", "OrderEvent", "execution_family", "key_of", "plain"]

_CORRECTABLE = re.compile(r"([^.]+\.[^.]+\.[^.]+)\.([0-9]{1,9})")
_LARGEST_INTEGER = 2**63  # DuckDB's BIGINT


class OrderEvent(NamedTuple):
    """One event; its fields are, in this order, the columns of the ``events`` table from ``kind`` on."""

    kind: str
    run_id: str | None = None
    client_order_id: str | None = None
    occurred_at: datetime | None = None
    status: str | None = None
    order_id: int | None = None
    perm_id: int | None = None
    client_id: int | None = None
    filled: float | None = None
    remaining: float | None = None
    code: str | None = None
    message: str | None = None
    attempt: int | None = None
    exec_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    quantity: float | None = None
    price: float | None = None
    exchange: str | None = None
    liquidity: str | None = None
    account: str | None = None
    commission: float | None = None
    commission_currency: str | None = None
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    quoted_at: datetime | None = None
    data_type: int | None = None


_KEY_FIELDS: dict[str, tuple[str, ...]] = {
    "intent": ("client_order_id",),
    "refused": ("client_order_id",),
    "not_approved": ("client_order_id",),
    "withdrawn": ("client_order_id",),
    "held_back": ("client_order_id", "occurred_at", "message"),
    "sending": ("client_order_id", "attempt"),
    "not_sent": ("client_order_id", "attempt"),
    "status": ("client_order_id", "perm_id", "status", "filled", "remaining", "code"),
    "rejected": ("client_order_id", "perm_id", "code"),
    "execution": ("client_order_id", "exec_id"),
    "commission": ("client_order_id", "exec_id"),
    "cancel_requested": ("client_order_id", "occurred_at"),
    "modifying": ("client_order_id", "attempt"),
    "modified": ("client_order_id", "attempt"),
    "modify_refused": ("client_order_id", "attempt"),
    "message": ("client_order_id", "code", "message"),
    "unknown": ("client_order_id", "attempt", "occurred_at", "message"),
    "missing": ("client_order_id", "attempt"),
    "found": ("client_order_id", "attempt"),
    "duplicate": ("client_order_id", "perm_id"),
    "resolved": ("client_order_id", "occurred_at"),
    "decision": ("client_order_id", "occurred_at", "code", "message"),
    "crossed": ("run_id", "symbol"),
    "assigned": ("occurred_at", "account", "symbol", "code"),
    "cash_assigned": ("occurred_at", "account", "code", "commission_currency"),
    "split": ("occurred_at", "account", "symbol"),
    "run_started": ("run_id", "attempt"),
    "run_ended": ("run_id", "attempt"),
    "run_blocked": ("run_id", "occurred_at"),
    "run_cancelled": ("run_id",),
    "session": ("run_id", "occurred_at", "client_id", "order_id"),
    "link_lost": ("run_id", "occurred_at"),
    "link_restored": ("run_id", "occurred_at"),
    "halted": ("occurred_at", "message"),
    "halt_cleared": ("occurred_at", "message"),
}
KINDS = tuple(_KEY_FIELDS)
"""Every kind of event."""

EXPORTED = "exported"
"""Code of the ``held_back`` event of an order that was written to a basket file: it is never sent from here."""

NOT_SENT = "not_sent"
"""Code of the ``modify_refused`` event of a change that provably did not leave."""

INACTIVE = "Inactive"
"""TWS's word for an order that it has put aside, and code of the message that says so."""

_FREE_TEXT = "message"
_NUMBERS = frozenset({"filled", "remaining"})


def key_of(event: OrderEvent) -> str:
    """Natural key of an event: the same whenever the event is repeated, in any time zone.

    Raises
    ------
    ValueError
        There is no such kind of event.

    Examples
    --------
    >>> key_of(OrderEvent("execution", client_order_id="run-1-SPY-BUY", exec_id="0000e0d5.67fe667b.01.01"))
    'execution/run-1-SPY-BUY/0000e0d5.67fe667b.01.01'
    >>> key_of(OrderEvent("status", client_order_id="run-1-SPY-BUY", perm_id=7, status="SUBMITTED", filled=4))
    'status/run-1-SPY-BUY/7/SUBMITTED/4.0//'
    """
    if event.kind not in _KEY_FIELDS:
        raise ValueError(f"{event.kind!r} is not an event kind")
    return "/".join([event.kind, *(_key_part(name, getattr(event, name)) for name in _KEY_FIELDS[event.kind])])


def _key_part(name: str, value: Any) -> str:  # noqa: ANN401 - a field of an event, of whatever type
    if value is None:
        return ""
    if name == _FREE_TEXT:
        return sha256(value.encode()).hexdigest()[:12]
    if name == "occurred_at":
        return _in_utc(value).isoformat()
    # A slash within a part must not look like a separator.
    return str(float(value) if name in _NUMBERS else value).replace("/", "%2F")


def plain(event: OrderEvent) -> OrderEvent:
    """Convert an event to plain Python values, so that nothing a broker sends can make recording fail.

    Numbers of numpy become Python's; NaN, NaT and NA become None, as do integers of more than 64 bits; times are
    converted to UTC (a time without a zone is taken as UTC); characters without a UTF-8 encoding are escaped.

    Examples
    --------
    >>> import math
    >>> plain(OrderEvent("commission", exec_id="x", commission=math.nan)) == OrderEvent("commission", exec_id="x")
    True
    """
    for value in event:  # a plain loop: every event comes through here, and nearly all are plain already
        if value is not None and not _is_plain(value):
            break
    else:
        return event
    return OrderEvent._make(None if value is None else _plain_value(value) for value in event)


def _is_plain(value: Any) -> bool:  # noqa: ANN401 - a field of an event, of whatever type
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        return bool(-_LARGEST_INTEGER <= value < _LARGEST_INTEGER)
    if kind is datetime:
        return value.tzinfo is UTC
    return kind is float and bool(value == value)  # noqa: PLR0124 - NaN is not itself


def _plain_value(value: Any) -> Any:  # noqa: ANN401 - a field of an event, of whatever type
    if hasattr(value, "item"):
        value = value.item()
    if hasattr(value, "to_pydatetime") and _is_known(value):
        value = value.to_pydatetime(warn=False)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return value if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else None
    if not _is_known(value):
        return None
    return _in_utc(value) if isinstance(value, datetime) else value


def _is_known(value: Any) -> bool:  # noqa: ANN401 - as above
    """False for NaN and NaT, which are not equal to themselves, and for pandas' NA, which has no truth value."""
    try:
        return bool(value == value)  # noqa: PLR0124 - the test for NaN
    except TypeError:
        return False


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def execution_family(exec_id: str) -> tuple[str, int]:
    """Split an execution id into the part that all its corrections share, and the number of the correction.

    TWS repeats a corrected execution with an id that differs only in the digits after its last dot. An id without
    TWS's four dotted parts has no corrections.

    Examples
    --------
    >>> execution_family("0000e0d5.67fe667b.01.02")
    ('0000e0d5.67fe667b.01', 2)
    >>> execution_family("trade.1")
    ('trade.1', 0)
    """
    shape = _CORRECTABLE.fullmatch(exec_id)
    return (exec_id, 0) if shape is None else (shape[1], int(shape[2]))
