"""What a venue lists: each contract's terms and its opening quote, read from a CSV file, rows, or a mapping.

A row has a symbol, quote columns, and optionally the terms of its contract (:data:`LISTING_COLUMNS`). Without
terms it is a US stock on SMART, in dollars. Several rows may have one symbol if they differ in currency or primary
exchange: two listings of one name, or two companies. The first one is known by the symbol, each later one by
``SYMBOL@EXCHANGE.CURRENCY``, for instance in the event ``move``. With ``sec_type`` CASH a row is a pair of
currencies, EUR.USD.

Prices of a row are in the unit of its quotes: with ``price_magnifier`` 100 (London's pence) a hundredth of the
currency. ``min_tick`` is in that unit too, and so is ``price_steps``, the steps of order prices by price level:
``0:0.0001;1:0.01`` is a hundredth of a cent below 1 and a cent from there on. Sizes are in shares.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.files import local_file
from stocklean_exec.simulator.scenarios.quotes import QuoteError, as_quote, number_in, text_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stocklean_exec.fill_model import Quote

__all__ = ["LISTING_COLUMNS", "STATE_COLUMNS", "Listing", "is_currency", "read_listings"]

LISTING_COLUMNS = (
    *("currency", "primary_exchange", "price_magnifier", "min_tick", "min_size", "size_increment", "con_id"),
    *("sec_type", "price_steps"),
)
"""Optional columns of a source of quotes that describe the contract."""
STATE_COLUMNS = ("last_time", "halted", "opening_print", "closing_print")
"""Optional columns of a source of quotes: time of the last trade, a halt, and the prices of both auctions."""
_CURRENCY_LENGTH = 3  # letters of a currency code: ISO 4217
_SEC_TYPES = ("STK", "CASH")
_FIRST_IN_PAIRS = ("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF")  # the convention of the currency market
_HALTED = ("-1", "0", "1", "2")
_LATEST = 253_402_300_799  # the last second of the year 9999
_LARGEST_ID = 2**31 - 1  # a contract id is a 32-bit integer in the TWS API


@dataclass(frozen=True, slots=True)
class Listing:
    """One contract as a source describes it, with its opening quote; NaN, 0 and empty text are "not stated"."""

    symbol: str
    quote: Quote
    key: str = ""
    currency: str = "USD"
    primary_exchange: str = ""
    price_magnifier: int = 1
    min_tick: float = math.nan
    min_size: float = math.nan
    size_increment: float = math.nan
    con_id: int = 0
    sec_type: str = "STK"
    price_steps: tuple[tuple[float, float], ...] = ()
    """Steps of order prices: (from this price on, step)."""
    last_time: float = math.nan
    """Time of the last trade, seconds since 1970 UTC."""
    halted: int | None = None
    """Value of the halted tick: 0 no, 1 halted, 2 halted for volatility, -1 not known; None sends no tick."""
    opening_print: float = math.nan
    closing_print: float = math.nan
    """Prices at which the opening and the closing auction print; NaN for the last trade before it."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it another contract: symbol, currency, primary exchange, security type."""
        return self.symbol, self.currency, self.primary_exchange, self.sec_type


def is_currency(code: str) -> bool:
    """Whether ``code`` has the form of a currency code.

    Examples
    --------
    >>> is_currency("GBP"), is_currency("GBp"), is_currency("POUND")
    (True, False, False)
    """
    return len(code) == _CURRENCY_LENGTH and code.isascii() and code.isalpha() and code.isupper()


def read_listings(source: Any, base: Iterable[Listing] = ()) -> list[Listing]:  # noqa: ANN401 - a path, a mapping, rows or a DataFrame
    """The listings of a source, each with a key of its own, after those of ``base``.

    A row without terms whose symbol is a key of ``base`` only changes that quote.

    Parameters
    ----------
    source : path of a CSV with a column ``symbol``, some of
        :data:`~stocklean_exec.simulator.scenarios.quotes.QUOTE_COLUMNS`, of :data:`LISTING_COLUMNS` and of
        :data:`STATE_COLUMNS`; or a mapping of symbol to Quote, mapping, price (the last trade), or a list of
        mappings for several listings of the symbol; or an iterable of mappings; or a DataFrame with these columns,
        the symbol may be its index
    base : listings of another source, which those of this one follow or replace

    Raises
    ------
    QuoteError
        When a row has no symbol, no usable price, an invalid number or term, or a bid above its ask, and when
        two contracts have one ``con_id``. Of two rows for one contract the last one counts.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> read_listings({"SPY": {"bid": 399.9, "ask": 400.1}})[0].quote.ask
    400.1
    >>> rows = [{"symbol": "ABC", "last": 10.0}, {"symbol": "ABC", "last": 805.0, "currency": "GBP",
    ...         "primary_exchange": "LSE", "price_magnifier": 100}]
    >>> [one.key for one in read_listings(rows)]
    ['ABC', 'ABC@LSE.GBP']
    """
    found = {one.identity: one for one in base}
    known = {one.key: one for one in base}
    for symbol, given in _rows_of(source):
        if symbol in known and not any(_terms_of(given).values()):
            found[known[symbol].identity] = _with_state(
                replace(known[symbol], quote=as_quote(symbol, given)), given
            )
            continue
        first = next((one for one in found.values() if (one.symbol, one.sec_type) == (symbol, "STK")), None)
        listing = _listing(symbol, given, first)
        before = found.get(listing.identity)
        if before is not None and before.con_id != listing.con_id:
            raise QuoteError(f"{symbol}: rows with several con_id need another currency or primary_exchange each")
        found[listing.identity] = listing
    numbers = [one.con_id for one in found.values() if one.con_id]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise QuoteError(f"con_id {twice[0]} is that of several contracts")
    return list(found.values())


def _rows_of(source: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - as read_listings
    if isinstance(source, str | Path):
        with local_file(source).open(encoding="utf-8-sig", newline="") as stream:
            yield from _with_symbols(csv.DictReader(stream))
    elif hasattr(source, "to_dict") and hasattr(source, "reset_index"):
        frame = source if "symbol" in source.columns else source.reset_index()
        yield from _with_symbols(frame.to_dict("records"))
    elif hasattr(source, "items"):
        for symbol, given in source.items():
            for one in given if isinstance(given, list) else [given]:
                yield str(symbol), one
    else:
        yield from _with_symbols(source)


def _with_symbols(rows: Iterable[Any]) -> Iterator[tuple[str, object]]:
    for number, raw in enumerate(rows, start=1):
        row = {str(name).strip().lower(): value for name, value in raw.items() if name}
        symbol = text_in(row.get("symbol"))
        if not symbol:
            raise QuoteError(f"row {number} of the quotes has no symbol")
        yield symbol, row


def _listing(symbol: str, given: object, first: Listing | None) -> Listing:
    quote = as_quote(symbol, given)
    row = _terms_of(given)
    sec_type = row["sec_type"].upper() or "STK"
    if sec_type not in _SEC_TYPES:
        raise QuoteError(f"{symbol}: sec_type is {sec_type!r}, not {' or '.join(_SEC_TYPES)}")
    name, currency = symbol, row["currency"].upper() or "USD"
    if sec_type == "CASH":
        name, currency = _pair(symbol, row["currency"].upper())
    if not is_currency(currency):
        raise QuoteError(f"{symbol}: currency is {currency!r}, not a code of three letters")
    magnifier, tick, smallest, step, con_id = (
        _above_zero(symbol, term, row[term])
        for term in ("price_magnifier", "min_tick", "min_size", "size_increment", "con_id")
    )
    listing = Listing(
        name,
        quote,
        currency=currency,
        primary_exchange=row["primary_exchange"].upper(),
        price_magnifier=1 if math.isnan(magnifier) else _whole(symbol, "price_magnifier", magnifier),
        min_tick=tick,
        min_size=smallest,
        size_increment=step,
        con_id=0 if math.isnan(con_id) else _whole(symbol, "con_id", con_id),
        sec_type=sec_type,
        price_steps=_price_steps(symbol, row["price_steps"]),
    )
    return _with_state(replace(listing, key=_key(listing, first)), given)


def _with_state(listing: Listing, given: object) -> Listing:
    row: Any = given if hasattr(given, "items") else {}
    when, halted, opening, closing = (text_in(row.get(name)) for name in STATE_COLUMNS)
    if halted and halted.removesuffix(".0") not in _HALTED:
        raise QuoteError(f"{listing.key}: halted is {halted!r}, not -1, 0, 1 or 2")
    return replace(
        listing,
        last_time=_instant(listing.key, when) if when else listing.last_time,
        halted=int(float(halted)) if halted else listing.halted,
        opening_print=_above_zero(listing.key, "opening_print", opening) if opening else listing.opening_print,
        closing_print=_above_zero(listing.key, "closing_print", closing) if closing else listing.closing_print,
    )


def _instant(key: str, text: str) -> float:
    """Seconds since 1970 UTC, from that number or a date and time, which is UTC without a zone."""
    try:
        number = float(text)
    except ValueError:
        try:
            return (
                datetime.fromisoformat(text).replace(tzinfo=datetime.fromisoformat(text).tzinfo or UTC).timestamp()
            )
        except ValueError:
            raise QuoteError(f"{key}: last_time is {text!r}, not a time") from None
    if not 0 <= number <= _LATEST:
        raise QuoteError(f"{key}: last_time is {text!r}, not seconds since 1970")
    return number


def _terms_of(given: object) -> dict[str, str]:
    """The contract's terms in one row as text; empty where not stated."""
    row: Any = given if hasattr(given, "items") else {}
    return {term: text_in(row.get(term)) for term in LISTING_COLUMNS}


def is_conventional(first: str, second: str) -> bool:
    """Whether a pair of currencies is quoted this way round.

    Examples
    --------
    >>> is_conventional("EUR", "USD"), is_conventional("USD", "EUR"), is_conventional("USD", "JPY")
    (True, False, True)
    """
    order = {currency: place for place, currency in enumerate(_FIRST_IN_PAIRS)}
    places = [(order.get(one, len(order)), one == "JPY", one) for one in (first, second)]
    return places[0] < places[1]


def _pair(symbol: str, currency: str) -> tuple[str, str]:
    """Both currencies of a pair, which is written EUR.USD, or EUR with the currency USD."""
    first, _, named = symbol.upper().partition(".")
    second = named or currency
    if (
        not (is_currency(first) and is_currency(second))
        or first == second
        or (named and currency not in {"", named})
    ):
        raise QuoteError(f"{symbol}: not a pair of currencies such as EUR.USD")
    if not is_conventional(first, second):
        raise QuoteError(f"{symbol}: the pair is quoted as {second}.{first}")
    return first, second


def _key(listing: Listing, first: Listing | None) -> str:
    if listing.sec_type == "CASH":
        return f"{listing.symbol}.{listing.currency}"
    if first is None or first.identity == listing.identity:
        return listing.symbol
    return f"{listing.symbol}@{listing.primary_exchange}.{listing.currency}"


def _price_steps(symbol: str, text: str) -> tuple[tuple[float, float], ...]:
    """Steps by price level, written ``0:0.0001;1:0.01``: from 0 on, with rising levels and rising steps."""
    pairs = [part.partition(":") for part in text.split(";") if part.strip()]
    steps = tuple(
        (number_in(symbol, "price_steps", low), number_in(symbol, "price_steps", step)) for low, _, step in pairs
    )
    rises = all(a < b for one, other in pairwise(steps) for a, b in zip(one, other, strict=True))
    if steps and not (rises and steps[0][0] == 0 and steps[0][1] > 0):
        raise QuoteError(f"{symbol}: price_steps is {text!r}, not of the form 0:0.0001;1:0.01 and rising")
    return steps


def _above_zero(symbol: str, term: str, text: str) -> float:
    number = number_in(symbol, term, text)
    if number == 0 and term in {"con_id", "price_magnifier"}:
        return math.nan  # TWS and its clients write 0 for "not known"
    if number == 0:
        raise QuoteError(f"{symbol}: {term} is 0")
    return number


def _whole(symbol: str, term: str, number: float) -> int:
    if not number.is_integer() or number > _LARGEST_ID:
        raise QuoteError(f"{symbol}: {term} is {number:g}, not a whole number of at most {_LARGEST_ID}")
    return int(number)
