"""Translates TWS messages about orders into events: statuses, codes, sides, liquidity, times, unset values.

Each translation is a table. A code that is in no table changes nothing: it becomes a ``message`` event, because
a working order must never be taken for ended. Pure, and knows no client library.

Quantities are in shares, prices and commissions in the currency of the instrument; times come out in UTC.

Sources: TWS API documentation ("Message codes", "Order submission", "Executions and commissions"), and frames
captured from TWS and IB Gateway.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from stocklean_exec.blotter.events import OrderEvent

__all__ = [
    "ADVICE_CODES",
    "ALGO_MOVED",
    "CANCELLED_BY_CODE",
    "CHANGE_REFUSED",
    "DELAYED_DATA_CODES",
    "ID_USED_UP",
    "LINK_LOST",
    "LINK_RESTORED",
    "LIQUIDITY",
    "MAY_HAVE_ENDED",
    "MOST_SHARES",
    "NO_DATA_CODES",
    "REJECTED_BY_CODE",
    "REJECTED_UNLESS_SEEN",
    "SIDES",
    "STATUS_OF_TWS",
    "TIME_UNRELIABLE",
    "UNSET",
    "TwsExecution",
    "commission_event",
    "execution_event",
    "is_change_refusal",
    "is_plain_text",
    "known",
    "message_event",
    "number_problem",
    "price_or_nan",
    "rejected_as_cancelled",
    "status_event",
    "utc_time_text",
]

UNSET = frozenset({1.7976931348623157e308, 2147483647.0, 9223372036854775807.0})
"""What TWS sends for "no value", as a float: the greatest double, 32-bit integer and 64-bit integer."""

STATUS_OF_TWS = {
    "PreSubmitted": "SUBMITTED",
    "Submitted": "SUBMITTED",
    "PendingCancel": "SUBMITTED",
    "ApiCancelled": "CANCELLED",
    "Cancelled": "CANCELLED",
    "Filled": "FILLED",
}
"""Order status by TWS's word. Any other word (PendingSubmit, ApiPending, Inactive, ...) is not a state:
Inactive is shown for a rejected order, and also for one that may become active again."""

REJECTED_BY_CODE = {201: "order rejected"}
"""Codes that end an order whatever was reported before."""

CANCELLED_BY_CODE = {202: "order cancelled"}
"""Codes that say that an order is cancelled."""

REJECTED_UNLESS_SEEN = {
    103: "duplicate order id",
    106: "cannot transmit the order id",
    107: "incomplete order",
    109: "price out of the range of the order defaults",
    110: "price between two ticks",
    111: "time in force and order type do not go together",
    113: "MOC and LOC orders are for the day",
    114: "relative orders are for stocks",
    115: "relative orders are not possible on this route",
    116: "dead exchange",
    117: "block order too small",
    132: "no clearing account",
    133: "submitting the order failed",
    140: "size is not a whole number",
    141: "price is not a number",
    144: "size and share allocation differ",
    145: "a field is wrong",
    152: "hidden is not possible",
    154: "instrument halted",
    158: "a relative order needs an offset",
    159: "offset out of range",
    160: "size is zero",
    163: "price beyond the percentage of the order defaults",
    200: "no such instrument",
    203: "instrument not allowed for this account",
    321: "a field is wrong",
    328: "a trailing stop may only be attached",
    334: "wrong good-till date",
    336: "wrong time",
    337: "wrong date",
    338: "no start time on this exchange",
    343: "wrong date",
    355: "size breaks a rule of the market",
    382: "price beyond the ticks of the order defaults",
    383: "size beyond the order defaults",
    387: "order type not supported",
    388: "order too small",
    391: "good-till date missing or wrong",
    392: "contract expired",
    400: "algorithm order wrong",
    403: "wrong stop price",
    406: "currency not allowed",
    407: "characters of the symbol",
    411: "outside-hours flag not possible",
    412: "not available for trading",
    421: "route not valid",
    434: "size is zero",
    435: "account missing",
    436: "allocation missing",
    439: "no such algorithm",
    441: "value of an algorithm's parameter",
    442: "algorithm not possible for this order",
    443: "unknown parameter of the algorithm",
    460: "no trading permission",
    461: "minimum price condition",
    463: "account or allocation wrong",
    10006: "parent order missing",
    10015: "no trading by API",
    10243: "no fractions by API",
    10244: "no cash quantity for this order",
    10245: "no fractions of this instrument",
    10246: "no fractions for this order",
    10247: "no fractions on this route",
    10248: "no permission for fractions",
    10249: "no fractions for this order",
    10250: "size between two steps",
    10252: "no fractions but to close a position",
    10286: "too many decimals",
    10289: "cash quantity needed",
    10290: "only a cash quantity possible",
    10300: "wrong date or time",
    10301: "wrong date or time",
    10314: "wrong date, time or time zone",
    10315: "wrong time",
    10318: "no fractions for this order",
}
"""Codes that reject a new order. Once a status or an execution has shown that the order works, the same codes
are about something else (a change, a cancel), and are messages. The event of such a rejection has the status
UNSEEN: it no longer counts once a status or an execution comes."""

ADVICE_CODES = frozenset(
    {100, 104, 105, 131, 134, 135, 136, 137, 161, 164, 329, 354, 399, 404, 422, 440, 444, 481, 1300}
    | {*range(1100, 1103), *range(2100, 2200), *range(10089, 10092), *range(10147, 10150), *range(10167, 10169)}
    | {10018, 10019, 10186, 10187, 10189, 10197, 10233, 10241, 10242, 10287, 10288, 10308, 10310, 10311}
    | {10326, 10327, 10329, *range(10331, 10336), 10341, 10347, 10349}
)
"""Codes that are known to end no order: advice, failed changes and cancels, the connection, market data. A code
that is in no table may be a refusal; whether it is, TWS's completed orders show."""

MAY_HAVE_ENDED = {
    103: "no working order has this id",
    104: "it is filled",
    135: "there is no such order",
    161: "it is in no state for that",
    201: "rejected: the change, or the order itself",
    10147: "there is no such order",
    10148: "it is in no state for that",
}
"""Codes by which a change is refused because the order may have ended. What it is follows from TWS's lists of open
and completed orders, never from the code."""

CHANGE_REFUSED = {
    **REJECTED_UNLESS_SEEN,
    **MAY_HAVE_ENDED,
    105: "another field than price and size differs",
    134: "changing the order failed",
    329: "not to this order type",
    422: "not to this, once it is placed",
    440: "an algorithm is not changed",
    444: "not to this algorithm",
    2102: "still being processed",
    10149: "not possible for this order",
    10241: "not with this attribute",
    10242: "not with this attribute",
    10308: "not with this attribute",
    10326: "not with this attribute",
    10327: "not with this attribute",
    10341: "not with this attribute",
}
"""Codes by which a change of a working order is refused: it works on, on the terms it had."""

_ABOUT_CANCELS = frozenset({135, 161, 10147, 10148})  # codes that answer a cancel, once one was requested

ALGO_MOVED = 2111
"""TWS has moved an algorithm's start or end to the next trading day, as its settings say: a warning, and the order
lives. It does not trade when it was meant to, so a person must see it."""

_HELD_ADVICE = 399  # TWS API, message codes: advice about an order
_NOT_BEFORE = re.compile(r"will not be placed at the exchange until ([^\r\n]{1,60}?)\.?\s*$", re.IGNORECASE)
"""How 399, the code of any advice about an order, says until when one outside of the hours is held: captured at
server version 225. Another wording is advice like any other."""

ID_USED_UP = 103
"""The order id was used before: an order sent again with its id has arrived the first time."""

LINK_LOST = frozenset({1100, 2110})
"""TWS has lost IB: what is sent now may wait there and be submitted later."""

LINK_RESTORED = frozenset({1101, 1102})
"""TWS has IB back; what happened meanwhile must be requested."""

DELAYED_DATA_CODES = frozenset({354, 10089, 10090, 10168, 10186})
"""No subscription for this market data: delayed data may be had instead."""

NO_DATA_CODES = DELAYED_DATA_CODES | {10187, 10197}
"""No market data for reasons of subscription or session, and not because the instrument is unknown."""

TIME_UNRELIABLE = "time_unreliable"
"""Code of an execution whose time is that of its report, because TWS's time of it cannot be read."""

_UNREAD = (
    "dated when it was reported, for the time that TWS gives cannot be read (timezone= in the address names the "
    "zone of the login)"
)

SIDES = {"BOT": "BUY", "SLD": "SELL", "BUY": "BUY", "SELL": "SELL"}
"""Order side by the word of an execution or an order."""

LIQUIDITY = {1: "added", 2: "removed", 3: "routed"}
"""What an execution did to the exchange's liquidity, by number; 0 is not known."""

MOST_SHARES = 2.0**31 - 2
"""Most shares of an order: one less than TWS's 32-bit "no value"."""

_LARGEST = 1e12  # a choice: any greater number is damage
_SMALLEST = 1e-4  # shares; the smallest fraction that IB trades
_DECIMALS = 8  # as the blotter adds quantities up
_PLAIN = re.compile(r"[\x20-\x7e]*")
_DATED = re.compile(r"(\d{8})(-| +)(\d\d:\d\d:\d\d)(?: (\S.*))?", re.ASCII)


class TwsExecution(NamedTuple):
    """One execution as TWS reports it. ``side`` is ``BOT`` or ``SLD``.

    ``unread_time`` is the time as TWS wrote it if it could not be read; ``time`` is then that of the report.
    """

    exec_id: str
    time: datetime
    account: str
    exchange: str
    side: str
    shares: float
    price: float
    perm_id: int
    client_id: int
    order_id: int
    order_ref: str
    symbol: str
    last_liquidity: int = 0
    unread_time: str = ""


def known(value: float | None) -> float | None:
    """A number that TWS really gave; None for its spellings of "no value", and for anything that is not a number.

    Examples
    --------
    >>> known(1.7976931348623157e308), known(2147483647), known(float("nan")), known(4.5)
    (None, None, None, 4.5)
    """
    if value is None or not math.isfinite(value) or float(value) in UNSET:
        return None
    return float(value)


def price_or_nan(value: float | None) -> float:
    """A price or size of a tick; NaN where TWS has none, which it spells 0, -1 or one of :data:`UNSET`.

    Examples
    --------
    >>> price_or_nan(399.5), price_or_nan(-1), price_or_nan(0)
    (399.5, nan, nan)
    """
    number = known(value)
    return number if number is not None and number > 0 else math.nan


def is_plain_text(text: str) -> bool:
    r"""Whether ``text`` may go out: printable ASCII, so no NUL or line end that would shift the fields behind it.

    Examples
    --------
    >>> is_plain_text("run-1-SPY-BUY"), is_plain_text("SPY\0BUY"), is_plain_text("São"), is_plain_text("")
    (True, False, False, True)
    """
    return _PLAIN.fullmatch(text) is not None


def number_problem(quantity: float, limit_price: float, aux_price: float = math.nan) -> str | None:
    """What keeps a quantity and prices (NaN for none) from being sent; None if nothing does.

    All must be plain: finite, at least 0.0001, with at most eight decimals, and not a spelling of "no value". An
    auxiliary price may be 0, which is an offset of none.

    Examples
    --------
    >>> number_problem(100.0, float("nan")), number_problem(0.5, 99.99)
    (None, None)
    >>> number_problem(2147483647, float("nan"))
    'quantity 2.14748e+09 is not from 0.0001 to 2147483646'
    """
    prices = [("limit_price", limit_price, _LARGEST), ("aux_price", aux_price or math.nan, _LARGEST)]
    prices = [price for price in prices if not math.isnan(price[1])]
    for name, value, most in [("quantity", quantity, MOST_SHARES), *prices]:
        if not _SMALLEST <= value <= most:
            return f"{name} {value:g} is not from {_SMALLEST:g} to {most:.0f}"
        if round(value, _DECIMALS) != value:
            return f"{name} {value!r} has more than {_DECIMALS} decimals"
    return None


def utc_time_text(text: str, zone: str, *, is_zone_given: bool = False) -> str | None:
    """The time of an execution as TWS writes it, rewritten with UTC named in it; None if it cannot be read.

    TWS writes the login's local time with the name of its zone, UTC with a dash, or (older versions) local
    time and no zone: then ``zone`` says which one is meant. It also counts for a name that is in no table of zones
    (JST, EDT, ...) if a user named it (``is_zone_given``), or if the name is its own abbreviation at that time.

    Examples
    --------
    >>> utc_time_text("20221229 10:00:01 US/Eastern", "UTC"), utc_time_text("20221229-15:00:01", "Asia/Tokyo")
    ('20221229 15:00:01 UTC', '20221229 15:00:01 UTC')
    >>> utc_time_text("20221229  10:00:01", "America/New_York")
    '20221229 15:00:01 UTC'
    >>> utc_time_text("20221229 10:00:01 Middle/Earth", "UTC") is None
    True
    >>> utc_time_text("20221229 10:00:01 JST", "Asia/Tokyo"), utc_time_text("20221229 10:00:01 JST", "UTC")
    ('20221229 01:00:01 UTC', None)
    """
    found = _DATED.fullmatch(text.strip())
    if found is None:
        return None
    day, border, clock, named = found.groups()
    try:
        local = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
        if named or border == "-":
            local = local.replace(tzinfo=ZoneInfo(named or "UTC"))
    except (ValueError, OSError):
        return None
    except KeyError:  # the name is in no table
        if not (is_zone_given or named == local.tzname()):
            return None
    return f"{local.astimezone(UTC):%Y%m%d %H:%M:%S} UTC"


def status_event(
    word: str, filled: float | None, remaining: float | None, why_held: str = "", code: str | None = None
) -> OrderEvent:
    """The event behind one orderStatus message: a status, or a message where TWS's word is not a state.

    Examples
    --------
    >>> status_event("PreSubmitted", 0.0, 10.0).status, status_event("Inactive", 0.0, 10.0).kind
    ('SUBMITTED', 'message')
    """
    status, count, left = STATUS_OF_TWS.get(word), known(filled), known(remaining)
    if status is None:
        text = f"TWS shows the order as {word}, which says nothing of its end{_so_far(count)}"
        return OrderEvent("message", code=word, message=text, filled=count, remaining=left)
    held = f"held: {why_held}" if why_held else None
    return OrderEvent("status", status=status, filled=count, remaining=left, code=code, message=held)


def _so_far(filled: float | None) -> str:
    # Messages are distinguished by their text: a greater number must make another one.
    return f"; {filled:g} shares are filled" if filled else ""


def rejected_as_cancelled(word: str, event: OrderEvent) -> OrderEvent:
    """The event behind an orderStatus that shows a rejected order as cancelled: how TWS shows rejected orders."""
    text = f"TWS shows the rejected order as cancelled{_so_far(event.filled)}"
    return OrderEvent("message", code=word, message=text, filled=event.filled, remaining=event.remaining)


def message_event(code: int, text: str, *, seen: bool, cancel_requested: bool = False) -> OrderEvent:
    """The event behind one message about an order.

    Parameters
    ----------
    seen : whether a status or an execution has shown before that the broker has the order
    cancel_requested : whether its cancel was requested; an unrequested one keeps its code as the reason

    Examples
    --------
    >>> message_event(10349, "Order TIF was set to DAY", seen=False).kind
    'message'
    >>> message_event(110, "off tick", seen=False).kind, message_event(110, "off tick", seen=True).kind
    ('rejected', 'message')
    >>> message_event(202, "Order Canceled - reason:", seen=True).status
    'CANCELLED'
    >>> message_event(2111, "The Start and/or End Time for algo order ...", seen=True).status
    'WAITING'
    """
    if code in CANCELLED_BY_CODE:
        return OrderEvent("status", status="CANCELLED", code=None if cancel_requested else str(code), message=text)
    if code in REJECTED_BY_CODE:
        return OrderEvent("rejected", code=str(code), message=text)
    if code in REJECTED_UNLESS_SEEN and not seen:
        return OrderEvent("rejected", status="UNSEEN", code=str(code), message=text)
    waits = _why_it_waits(code, text)
    if waits is not None:
        return OrderEvent(
            "message", status="WAITING", code=str(code), message=f"{waits}; TWS: {' '.join(text.split())}"
        )
    return OrderEvent("message", code=str(code), message=text)


def is_change_refusal(code: int, *, cancel_requested: bool) -> bool:
    """Whether a code about a working order with an unanswered change refuses that change.

    Parameters
    ----------
    cancel_requested : whether its cancel was requested, which some codes then are about

    Examples
    --------
    >>> [code for code in (110, 161, 202, 399, 2109) if is_change_refusal(code, cancel_requested=False)]
    [110, 161]
    >>> is_change_refusal(161, cancel_requested=True)
    False
    """
    return code in CHANGE_REFUSED and not (cancel_requested and code in _ABOUT_CANCELS)


def _why_it_waits(code: int, text: str) -> str | None:
    """Why an order does not trade before a later time, in plain words with what to do; None if it may trade."""
    if code == ALGO_MOVED:
        return (
            "TWS has moved the start or end time of its algorithm to the next trading day, and it will trade "
            "then: cancel it if it should trade today only; untick 'Auto-adjust algo order date' in the order "
            "settings of TWS if such orders should not be moved"
        )
    found = _NOT_BEFORE.search(text) if code == _HELD_ADVICE else None
    if found is None:
        return None
    return f"it is not placed at the exchange until {found[1]}: cancel it if it should not trade then"


def execution_event(execution: TwsExecution) -> OrderEvent:
    """The event behind one execution report. Zero shares are the correction that withdraws an execution.

    Raises
    ------
    ValueError
        The report has no id, no known side, or numbers that no execution has.
    """
    shares, price = known(execution.shares), known(execution.price)
    side = SIDES.get(execution.side)
    if not execution.exec_id or side is None:
        raise ValueError(f"an execution without id or side ({execution.side!r})")
    if shares is None or not 0 <= shares < _LARGEST or price is None or not abs(price) < _LARGEST:
        raise ValueError(f"an execution of {execution.shares} shares at {execution.price}")
    return OrderEvent(
        "execution",
        occurred_at=execution.time,
        exec_id=execution.exec_id,
        symbol=execution.symbol,
        side=side,
        quantity=shares,
        price=price,
        exchange=execution.exchange or None,
        liquidity=LIQUIDITY.get(execution.last_liquidity),
        code=TIME_UNRELIABLE if execution.unread_time else None,
        message=f"{_UNREAD}: {execution.unread_time!r}" if execution.unread_time else None,
        account=execution.account or None,
    )


def commission_event(exec_id: str, commission: float | None, currency: str) -> OrderEvent | None:
    """The event behind one commission report; None while TWS does not know the commission yet.

    Examples
    --------
    >>> commission_event("0000e0d5.67fe667b.01.01", 1.0, "USD").commission
    1.0
    >>> commission_event("0000e0d5.67fe667b.01.01", 1.7976931348623157e308, "USD") is None
    True
    """
    amount = known(commission)
    if amount is None:
        return None
    return OrderEvent("commission", exec_id=exec_id, commission=amount, commission_currency=currency or None)
