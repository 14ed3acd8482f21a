"""Quotes and their changes.

Quotes are given (:mod:`~stocklean_exec.simulator.scenarios.listings` reads them), or are generated around closing
prices: the half spread and the sizes are functions of a seed and the symbol. They are constant unless a scenario
moves them or runs a seeded day, in which the mid price of each symbol is a random walk.

Prices are in the unit of the instrument's quotes: its currency, or a hundredth of it for London's pence. Sizes are
in shares. The only I/O is reading the sample closes of the package.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from importlib.resources import files
from statistics import NormalDist
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import Quote, unit_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BUILT_IN_CLOSES",
    "QUOTE_COLUMNS",
    "Market",
    "QuoteError",
    "as_quote",
    "number_in",
    "round_to_tick",
    "sample_closes",
    "synthetic_quote",
    "text_in",
]

QUOTE_COLUMNS = ("bid", "ask", "last", "close", "bid_size", "ask_size")
BUILT_IN_CLOSES = {
    "AAPL": 125.67,
    "AMD": 62.57,
    "BAC": 32.3,
    "BBY": 78.28,
    "CVX": 173.73,
    "GE": 63.88,
    "HD": 311.22,
    "JNJ": 174.09,
    "JPM": 129.58,
    "KO": 62.61,
    "LLY": 363.1,
    "MRK": 109.58,
    "MSFT": 233.43,
    "PEP": 179.28,
    "PFE": 49.25,
    "PG": 149.13,
    "RRC": 24.5,
    "UNH": 524.42,
    "WMT": 140.18,
    "XOM": 106.63,
    "SPY": 400.0,
}
"""Adjusted closes of 2022-12-28 to the cent, and a round price for SPY: used without the sample file."""
_MISSING = frozenset({"nan", "nat", "none", "<na>"})  # how CSV files and DataFrames write no value


class QuoteError(ValueError):
    """Invalid quotes. The text gives the row and the reason."""


def round_to_tick(price: float, tick: float) -> float:
    """``price`` rounded to the nearest tick.

    Examples
    --------
    >>> round_to_tick(10.0149, 0.01)
    10.01
    """
    return round(round(price / tick) * tick, 10)


def synthetic_quote(symbol: str, close: float, seed: int, tick: float = 0.01) -> Quote:
    """A quote around ``close``: half spread of 1 to 4 bps, at least one tick; sizes of 100 to 2,000 shares.

    The ranges are choices, typical of liquid US stocks.

    Examples
    --------
    >>> quote = synthetic_quote("SPY", 400.0, seed=7)
    >>> quote.bid < 400.0 < quote.ask, quote == synthetic_quote("SPY", 400.0, seed=7)
    (True, True)
    """
    middle = max(round_to_tick(close, tick), 2 * tick)
    half = max(round_to_tick(middle * (1 + 3 * unit_interval(seed, symbol, "spread")) / 1e4, tick), tick)
    bid_size, ask_size = (
        100.0 * (1 + int(20 * unit_interval(seed, symbol, name))) for name in ("bid size", "ask size")
    )
    bid, ask = round_to_tick(middle - half, tick), round_to_tick(middle + half, tick)
    return Quote(bid, ask, middle, middle, bid_size, ask_size)


def sample_closes() -> dict[str, float]:
    """Last closes of the package's sample file, or :data:`BUILT_IN_CLOSES` without the file."""
    text = _sample_text()
    rows = list(csv.DictReader(io.StringIO(text))) if text else []
    closes = {name: _number(value) for name, value in rows[-1].items() if name != "Date"} if rows else {}
    usable = {name: round(close, 2) for name, close in closes.items() if close > 0}
    return {"SPY": BUILT_IN_CLOSES["SPY"], **usable} if usable else dict(BUILT_IN_CLOSES)


def sample_history() -> dict[str, list[tuple[str, float]]]:
    """Daily closes of the sample file by symbol, oldest first: (date as YYYYMMDD, close)."""
    text = _sample_text()
    history: dict[str, list[tuple[str, float]]] = {}
    for row in csv.DictReader(io.StringIO(text)) if text else ():
        day = (row.get("Date") or "").replace("-", "")[:8]
        for name, value in row.items():
            if name and name != "Date" and day and _number(value) > 0:
                history.setdefault(name, []).append((day, round(_number(value), 2)))
    return history


def _sample_text() -> str:
    sample = files("stocklean_exec").joinpath("data", "sample_closes.csv")
    text = sample.read_text(encoding="utf-8") if sample.is_file() else ""
    return text if text.startswith("Date,") else ""


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def as_quote(symbol: str, given: object) -> Quote:
    """One quote from a Quote, a mapping of :data:`QUOTE_COLUMNS`, or a price, which is the last trade.

    Raises
    ------
    QuoteError
        When there is no usable price, an invalid number, or a bid above its ask.

    Examples
    --------
    >>> as_quote("SPY", {"bid": 399.9, "ask": "400.1"}).ask
    400.1
    """
    if isinstance(given, Quote):
        return given
    if not hasattr(given, "items"):
        given = {"last": given}
    numbers = {name: number_in(symbol, name, value) for name, value in given.items() if name in QUOTE_COLUMNS}
    quote = Quote(**numbers)
    if not any(price > 0 for price in (quote.bid, quote.ask, quote.last, quote.close)):
        raise QuoteError(f"{symbol} has no usable price")
    if quote.bid > quote.ask:
        raise QuoteError(f"{symbol} is crossed: bid {quote.bid} above ask {quote.ask}")
    return quote


def text_in(value: object) -> str:
    """The text of a cell; empty for None, NaN and the other values that mark a missing one."""
    text = str(value).strip()
    return "" if text.lower() in _MISSING else text


def number_in(symbol: str, name: str, value: object) -> float:
    """The number in a cell, NaN when it is empty; a :class:`QuoteError` when it is negative or not a number."""
    text = text_in(value)
    if not text:
        return math.nan
    number = _number(text)
    if not math.isfinite(number) or number < 0:
        raise QuoteError(f"{symbol}: {name} is {text!r}, not a price or size")
    return number


def _inside(price: float, quote: Quote) -> float:
    """``price``, or the nearer of bid and ask when it is outside of them; NaN stays NaN."""
    above = quote.bid if quote.bid > 0 and price < quote.bid else price
    return quote.ask if quote.ask > 0 and above > quote.ask else above


class Market:
    """Current quotes of a venue, by the key of their listing: for the first listing of a symbol, the symbol.

    The caller of :meth:`move` has to re-evaluate the open orders.

    Examples
    --------
    >>> market = Market({"SPY": Quote(bid=399.9, ask=400.1)})
    >>> market.move("SPY", ask=400.0).ask, market["SPY"].bid
    (400.0, 399.9)
    """

    def __init__(self, quotes: Mapping[str, Quote]) -> None:
        self._quotes = dict(quotes)
        self.last_times: dict[str, float] = {}
        """Times of the last trades where they are known, seconds since 1970 UTC."""
        self.halted: dict[str, int] = {}
        """Values of the halted tick where they are known."""
        self.prints: dict[tuple[str, str], float] = {}
        """Prices of the auctions ``open`` and ``close`` by symbol and auction, where the quotes state them."""
        self._steps: dict[str, int] = {}
        self._traded = {symbol: _inside(quote.last, quote) for symbol, quote in self._quotes.items()}

    def __getitem__(self, symbol: str) -> Quote:
        return self._quotes.get(symbol, Quote())

    def symbols(self) -> list[str]:
        """All symbols with a quote."""
        return list(self._quotes)

    def price_of(self, symbol: str) -> float:
        """Valuation price: the last trade, else the mid price, the close, or one side; 0 without a quote."""
        quote = self[symbol]
        middle = (quote.bid + quote.ask) / 2
        for price in (quote.last, middle, quote.close, quote.bid, quote.ask):
            if price > 0:
                return round(price, 10)
        return 0.0

    def last_price(self, symbol: str) -> float:
        """The price that the market trades at now, which triggers stops; NaN if no trade was ever quoted.

        It is the last trade, and after a move of bid and ask alone the nearer of them: a last trade outside of the
        quotes is out of date.

        Examples
        --------
        >>> market = Market({"SPY": Quote(bid=399.9, ask=400.1, last=400.0)})
        >>> _ = market.move("SPY", bid=402.0, ask=402.2)
        >>> market.last_price("SPY"), market["SPY"].last
        (402.0, 400.0)
        """
        return self._traded.get(symbol, math.nan)

    def move(self, symbol: str, **changes: float) -> Quote:
        """Change parts of a quote; return the new quote."""
        quote = self._quotes[symbol] = replace(self[symbol], **changes)
        last = quote.last if "last" in changes else _inside(self.last_price(symbol), quote)
        self._traded[symbol] = last if last > 0 else math.nan
        return quote

    def trade(self, symbol: str, price: float) -> None:
        """Set the price of the last trade."""
        self.move(symbol, last=price)

    def walk(self, symbol: str, seed: int, volatility: float, tick: float) -> Quote:
        """One step of a seeded day: the mid price moves by a normal draw, the spread is constant."""
        quote = self[symbol]
        step = self._steps[symbol] = self._steps.get(symbol, 0) + 1
        draw = NormalDist().inv_cdf(min(max(unit_interval(seed, symbol, "walk", step), 1e-9), 1 - 1e-9))
        if not (quote.bid > 0 and quote.ask > 0):
            return quote
        half = (quote.ask - quote.bid) / 2
        middle = max((quote.bid + quote.ask) / 2 * math.exp(volatility * draw), half + tick)
        bid = round_to_tick(middle - half, tick)
        return self.move(symbol, bid=bid, ask=round(bid + 2 * half, 10), last=round_to_tick(middle, tick))
