"""What a venue lists: each contract's terms and its opening quote, read from a CSV file, rows, or a mapping.

A row has a symbol, quote columns, and optionally the terms of its contract (:data:`LISTING_COLUMNS`). Without
terms it is a US stock on SMART, in dollars. Several rows may have one symbol if they differ in currency or primary
exchange: two listings of one name, or two companies. The first one is known by the symbol, each later one by
``SYMBOL@EXCHANGE.CURRENCY``, for instance in the event ``move``.

Prices of a row are in the unit of its quotes: with ``price_magnifier`` 100 (London's pence) a hundredth of the
currency. ``min_tick`` is in that unit too. Sizes are in shares.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.files import local_file
from stocklean_exec.simulator.scenarios.quotes import QuoteError, as_quote, number_in, text_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stocklean_exec.fill_model import Quote

__all__ = ["LISTING_COLUMNS", "Listing", "is_currency", "read_listings"]

LISTING_COLUMNS = (
    *("currency", "primary_exchange", "price_magnifier", "min_tick", "min_size", "size_increment", "con_id"),
)
"""Optional columns of a source of quotes that describe the contract."""
_CURRENCY_LENGTH = 3  # letters of a currency code: ISO 4217
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

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it another contract: symbol, currency, primary exchange."""
        return self.symbol, self.currency, self.primary_exchange


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
        :data:`~stocklean_exec.simulator.scenarios.quotes.QUOTE_COLUMNS` and of :data:`LISTING_COLUMNS`; or a
        mapping of symbol to Quote, mapping, price (the last trade), or a list of mappings for several listings of
        the symbol; or an iterable of mappings; or a DataFrame with these columns, the symbol may be its index
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
            found[known[symbol].identity] = replace(known[symbol], quote=as_quote(symbol, given))
            continue
        first = next((one for one in found.values() if one.symbol == symbol), None)
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
    currency = row["currency"].upper() or "USD"
    if not is_currency(currency):
        raise QuoteError(f"{symbol}: currency is {currency!r}, not a code of three letters")
    magnifier, tick, smallest, step, con_id = (
        _above_zero(symbol, term, row[term])
        for term in ("price_magnifier", "min_tick", "min_size", "size_increment", "con_id")
    )
    listing = Listing(
        symbol,
        quote,
        currency=currency,
        primary_exchange=row["primary_exchange"].upper(),
        price_magnifier=1 if math.isnan(magnifier) else _whole(symbol, "price_magnifier", magnifier),
        min_tick=tick,
        min_size=smallest,
        size_increment=step,
        con_id=0 if math.isnan(con_id) else _whole(symbol, "con_id", con_id),
    )
    return replace(listing, key=_key(listing, first))


def _terms_of(given: object) -> dict[str, str]:
    """The contract's terms in one row as text; empty where not stated."""
    row: Any = given if hasattr(given, "items") else {}
    return {term: text_in(row.get(term)) for term in LISTING_COLUMNS}


def _key(listing: Listing, first: Listing | None) -> str:
    if first is None or first.identity == listing.identity:
        return listing.symbol
    return f"{listing.symbol}@{listing.primary_exchange}.{listing.currency}"


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
