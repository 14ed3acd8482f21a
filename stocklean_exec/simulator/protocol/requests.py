"""Client requests, decoded to frozen values. Every spelling of an unset value is accepted, other errors are not.

Clients write an unset number in different ways: empty text, Java's largest double in upper or lower case,
``2147483647``, ``Infinite``. All are decoded to NaN, or 0 for an integer. A field that is not a number gives a
:class:`BadRequest`, which the session answers with error 320; no input makes the parsers raise.

Notation of :data:`REQUESTS`: ``name`` is text, ``name:int``, ``name:num``, ``name:flag``; a trailing ``?`` makes
the field optional; ``@contract`` is the twelve fields of a contract.

Pure. Source: TWS API documentation of each request, and what ib_async 2.1 and the official client send
(``tests/wire``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "REQUESTS",
    "BadFieldError",
    "BadRequest",
    "ContractSpec",
    "FieldReader",
    "Request",
    "is_request",
    "parse_request",
    "to_flag",
    "to_integer",
    "to_number",
]

_UNSET_ABOVE = 1.7e308  # clients round the largest double, 1.797...e308, differently
_UNSET_INTEGER = 2147483647  # the API's UNSET_INTEGER: the largest 32-bit integer means no value
_WORDS = {"": math.nan, "infinite": math.inf, "infinity": math.inf}
_TRUE = {"1", "true"}
_FALSE = {"", "0", "false"}
_LONGEST_ID = 5  # digits of a message id below the limit; ids end at 104
_LONGEST = 64  # characters of a number, a choice: the largest double has 22


class BadFieldError(ValueError):
    """A field is missing or cannot be read.

    Attributes
    ----------
    name : str Name of the field.
    text : str or None Its content; None when the message ended before it.
    """

    def __init__(self, name: str, text: str | None) -> None:
        self.name = name
        self.text = text
        what = "is missing" if text is None else f"cannot be read: {text[:40]!r}"
        super().__init__(f"field {name} {what}")


def to_number(name: str, text: str) -> float:
    """The number in ``text``; NaN when unset.

    Raises
    ------
    BadFieldError
        When it is not a number. ``nan`` is an error: an invalid price must not be read as unset.

    Examples
    --------
    >>> to_number("lmtPrice", "1.7976931348623157e+308"), to_number("lmtPrice", ""), to_number("q", "10.50")
    (nan, nan, 10.5)
    """
    known = _WORDS.get(text.lower() if len(text) < _LONGEST else text)
    if known is not None:
        return known
    try:
        value = float(text) if len(text) < _LONGEST and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadFieldError(name, text)
    if value >= _UNSET_ABOVE or value == _UNSET_INTEGER:
        return math.nan
    return value


def to_integer(name: str, text: str) -> int:
    """The integer in ``text``; 0 when unset.

    Examples
    --------
    >>> to_integer("parentId", ""), to_integer("orderId", "7"), to_integer("origin", "2147483647")
    (0, 7, 0)
    """
    value = to_number(name, text)
    if math.isnan(value):
        return 0
    if not value.is_integer() or abs(value) > 1 << 53:
        raise BadFieldError(name, text)
    return int(value)


def to_flag(name: str, text: str) -> bool:
    """The boolean in ``text``.

    Examples
    --------
    >>> to_flag("transmit", "1"), to_flag("transmit", "false"), to_flag("transmit", "")
    (True, False, False)
    """
    low = text.lower()
    if low not in _TRUE and low not in _FALSE:
        raise BadFieldError(name, text)
    return low in _TRUE


_READ = {"int": to_integer, "num": to_number, "flag": to_flag}


class FieldReader:
    """Reads the fields of one message in order.

    Examples
    --------
    >>> reader = FieldReader(["7", "", "1"])
    >>> reader.integer("orderId"), reader.number("price"), reader.flag("transmit"), reader.remaining
    (7, nan, True, 0)
    """

    def __init__(self, fields: list[str], start: int = 0) -> None:
        self._fields = fields
        self._at = start

    @property
    def remaining(self) -> int:
        """Number of unread fields."""
        return len(self._fields) - self._at

    def text(self, name: str) -> str:
        """The next field."""
        if self._at >= len(self._fields):
            raise BadFieldError(name, None)
        self._at += 1
        return self._fields[self._at - 1]

    def integer(self, name: str) -> int:
        """The next field as an integer, 0 when not set."""
        return to_integer(name, self.text(name))

    def number(self, name: str) -> float:
        """The next field as a number, NaN when not set."""
        return to_number(name, self.text(name))

    def flag(self, name: str) -> bool:
        """The next field as a boolean."""
        return to_flag(name, self.text(name))

    def count(self, name: str, most: int = 1_000) -> int:
        """The next field as a number of rows.

        The limit, far above any real number of rows, protects against a count of rows that were not sent.
        """
        value = self.integer(name)
        if not 0 <= value <= most:
            raise BadFieldError(name, str(value))
        return value

    def skip(self, names: str) -> None:
        """Skip the fields ``names``."""
        for name in names.split():
            self.text(name)


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract as a client describes it; empty text and 0 match any."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


def read_contract(reader: FieldReader) -> ContractSpec:
    """The twelve fields of a contract. Expiry, strike, right and multiplier do not describe a stock."""
    con_id = reader.integer("conId")
    symbol = reader.text("symbol")
    sec_type = reader.text("secType")
    reader.text("lastTrade")
    reader.number("strike")
    reader.skip("right multiplier")
    exchange, primary, currency, local, trading = (
        reader.text(name) for name in ("exchange", "primaryExchange", "currency", "localSymbol", "tradingClass")
    )
    return _spec(con_id, symbol, sec_type, exchange, primary, currency, local, trading)


@lru_cache(maxsize=4_096)
def _spec(con_id: int, *texts: str) -> ContractSpec:
    # Many orders share few contracts: one object for each saves memory.
    return ContractSpec(con_id, *texts)


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its name, its request id (-1 for none), and its arguments.

    Examples
    --------
    >>> ask = parse_request(["7", "3", "12", "0", "", "", "SPY", "", "", ""], 176)
    >>> ask.kind, ask.req_id, ask["symbol"]
    ('reqExecutions', 12, 'SPY')
    """

    kind: str
    req_id: int = -1
    args: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - an argument may be a text, number, boolean or contract
        return self.args[name]


@dataclass(frozen=True, slots=True)
class BadRequest:
    """An invalid request: its name, request id and the reason."""

    kind: str
    req_id: int
    reason: str


_HISTORY = (
    "reqId:int @contract includeExpired:flag end barSize duration useRTH:flag whatToShow formatDate:int "
    "keepUpToDate:flag? options?"
)
REQUESTS: dict[int, tuple[str, str]] = {
    1: (
        "reqMktData",
        "version reqId:int @contract @dnc genericTicks snapshot:flag regulatory:flag? options?",
    ),
    2: ("cancelMktData", "version reqId:int"),
    4: ("cancelOrder", "version reqId:int manualTime?"),
    5: ("reqOpenOrders", "version"),
    6: ("reqAccountUpdates", "version subscribe:flag account?"),
    7: ("reqExecutions", "version reqId:int clientId:int account time symbol secType exchange side"),
    8: ("reqIds", "version count?"),
    9: ("reqContractDetails", "version reqId:int @contract includeExpired:flag? secIdType? secId? issuerId?"),
    10: ("reqMktDepth", "version reqId:int"),
    11: ("cancelMktDepth", "version reqId:int"),
    12: ("reqNewsBulletins", "version"),
    13: ("cancelNewsBulletins", "version"),
    14: ("setServerLogLevel", "version level?"),
    15: ("reqAutoOpenOrders", "version bind:flag"),
    16: ("reqAllOpenOrders", "version"),
    17: ("reqManagedAccts", "version"),
    18: ("requestFA", "version"),
    19: ("replaceFA", "version"),
    20: ("reqHistoricalData", _HISTORY),
    21: ("exerciseOptions", "version reqId:int"),
    22: ("reqScannerSubscription", "reqId:int"),
    23: ("cancelScannerSubscription", "version reqId:int"),
    24: ("reqScannerParameters", "version"),
    25: ("cancelHistoricalData", "version reqId:int"),
    49: ("reqCurrentTime", "version?"),
    50: ("reqRealTimeBars", "version reqId:int"),
    51: ("cancelRealTimeBars", "version reqId:int"),
    52: ("reqFundamentalData", "version reqId:int"),
    53: ("cancelFundamentalData", "version reqId:int"),
    54: ("calculateImpliedVolatility", "version reqId:int"),
    55: ("calculateOptionPrice", "version reqId:int"),
    56: ("cancelCalculateImpliedVolatility", "version reqId:int"),
    57: ("cancelCalculateOptionPrice", "version reqId:int"),
    58: ("reqGlobalCancel", "version"),
    59: ("reqMarketDataType", "version type:int"),
    61: ("reqPositions", "version"),
    62: ("reqAccountSummary", "version reqId:int group tags"),
    63: ("cancelAccountSummary", "version reqId:int"),
    64: ("cancelPositions", "version"),
    65: ("verifyRequest", ""),
    66: ("verifyMessage", ""),
    67: ("queryDisplayGroups", "version reqId:int"),
    68: ("subscribeToGroupEvents", "version reqId:int"),
    69: ("updateDisplayGroup", "version reqId:int"),
    70: ("unsubscribeFromGroupEvents", "version reqId:int"),
    71: ("startApi", "version clientId:int capabilities?"),
    72: ("verifyAndAuthRequest", ""),
    73: ("verifyAndAuthMessage", ""),
    74: ("reqPositionsMulti", "version reqId:int account modelCode?"),
    75: ("cancelPositionsMulti", "version reqId:int"),
    76: ("reqAccountUpdatesMulti", "version reqId:int account modelCode? ledgerAndNlv:flag?"),
    77: ("cancelAccountUpdatesMulti", "version reqId:int"),
    78: ("reqSecDefOptParams", "reqId:int"),
    79: ("reqSoftDollarTiers", "reqId:int"),
    80: ("reqFamilyCodes", ""),
    81: ("reqMatchingSymbols", "reqId:int pattern"),
    82: ("reqMktDepthExchanges", ""),
    83: ("reqSmartComponents", "reqId:int"),
    84: ("reqNewsArticle", "reqId:int"),
    85: ("reqNewsProviders", ""),
    86: ("reqHistoricalNews", "reqId:int"),
    87: ("reqHeadTimeStamp", "reqId:int @contract"),
    88: ("reqHistogramData", "reqId:int"),
    89: ("cancelHistogramData", "reqId:int"),
    90: ("cancelHeadTimeStamp", "reqId:int"),
    91: ("reqMarketRule", "ruleId:int"),
    92: ("reqPnL", "reqId:int account modelCode?"),
    93: ("cancelPnL", "reqId:int"),
    94: ("reqPnLSingle", "reqId:int account modelCode conId:int"),
    95: ("cancelPnLSingle", "reqId:int"),
    96: ("reqHistoricalTicks", "reqId:int"),
    97: ("reqTickByTickData", "reqId:int"),
    98: ("cancelTickByTickData", "reqId:int"),
    99: ("reqCompletedOrders", "apiOnly:flag"),
    100: ("reqWshMetaData", "reqId:int"),
    101: ("cancelWshMetaData", "reqId:int"),
    102: ("reqWshEventData", "reqId:int"),
    103: ("cancelWshEventData", "reqId:int"),
    104: ("reqUserInfo", "reqId:int"),
}
"""All requests of the text protocol up to version 178 except placeOrder, by message id."""


def is_request(pattern: str) -> bool:
    """Whether ``pattern``, a name with wildcards, matches any request.

    Examples
    --------
    >>> is_request("placeOrder"), is_request("req*"), is_request("execDetails")
    (True, True, False)
    """
    return any(fnmatchcase(name, pattern) for name in ("placeOrder", *(name for name, _ in REQUESTS.values())))


def parse_request(fields: list[str], version: int) -> Request | BadRequest:
    """The request in ``fields``, or the reason why it is invalid. Extra fields at the end are ignored.

    Parameters
    ----------
    fields : all fields of the message, its id first
    version : negotiated server version

    Examples
    --------
    >>> parse_request(["61", "1"], 176).kind
    'reqPositions'
    >>> parse_request(["9999", "1"], 176)
    BadRequest(kind='9999', req_id=-1, reason='message id 9999 is not known at server version 176')
    >>> parse_request(["62", "1", "5"], 176)
    BadRequest(kind='reqAccountSummary', req_id=5, reason='field group is missing')
    """
    known = _known(fields[0])
    if known is None:
        return BadRequest(
            fields[0][:20], -1, f"message id {fields[0][:20]} is not known at server version {version}"
        )
    kind, table = known
    args: dict[str, Any] = {}
    try:
        _read_table(FieldReader(fields, 1), table, args)
    except BadFieldError as problem:
        return BadRequest(kind, args.get("reqId", -1), str(problem))
    return Request(kind, args.get("reqId", -1), args)


def _known(message_id: str) -> tuple[str, str] | None:
    return (
        REQUESTS.get(int(message_id))
        if message_id.isascii() and message_id.isdigit() and len(message_id) < _LONGEST_ID
        else None
    )


def _read_table(reader: FieldReader, table: str, args: dict[str, Any]) -> None:
    for word in table.split():
        optional = word.endswith("?")
        name, _, form = word.rstrip("?").partition(":")
        if word == "@contract":
            args["contract"] = read_contract(reader)
        elif word == "@dnc":
            if reader.flag("deltaNeutral"):
                reader.skip("conId delta price")
        elif optional and not reader.remaining:
            args[name] = False if form == "flag" else ""
        else:
            text = reader.text(name)
            args[name] = _READ[form](name, text) if form else text
