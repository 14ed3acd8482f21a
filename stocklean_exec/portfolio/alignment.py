"""Targets, holdings and prices side by side: one row per symbol, aligned by label.

The planner, the plan's summary and the checks all start from a :class:`AlignedBook`, so that they cannot disagree
about positions, targets and values. All arrays have the same order of symbols: the targets, then the other
holdings. Quantities are in shares, values in the base currency. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from itertools import repeat
from operator import ne
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.contracts import (
    TradedContracts,
    contract_names,
    traded_contracts,
    with_contract_quotes,
)
from stocklean_exec.schema.frame_validator import is_missing, number_option, shown
from stocklean_exec.schema.keyed_values import known_values, values_by_key
from stocklean_exec.schema.missing_quotes import CONTRACT_PROBLEMS, missing_quotes
from stocklean_exec.schema.prices import usable_prices

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AlignedBook",
    "Rejections",
    "Unlisted",
    "align",
    "freeze_arrays",
    "investable_nav",
    "parse_nav",
    "parse_rates",
]

Unlisted = Literal["keep", "close", "error"]

Rejections = Mapping[int, tuple[str, str]]
"""Rows of a book that cannot trade: row number -> reason code and text."""

_LARGEST_NAV = 1e15  # a stated choice: above it, a float no longer resolves cents reliably
_LEAST_RATE, _MOST_RATE = 1e-9, 1e9  # a stated choice: no exchange rate is outside; such a number is a mistake
_MINOR_UNITS = {"GBp", "GBX", "ZAc", "ZAX", "ILA", "ILs"}  # pence, cents, agorot: prices are 100 times too high


@dataclass(frozen=True, slots=True, eq=False)
class AlignedBook:
    """One row per symbol, in the order given in the module docstring. The arrays are read-only.

    A holding in another contract than the one that is traded under its symbol is a row of its own: its ``symbols``
    entry is a name that no other row has, its ``ticker`` the symbol. It has no price, for quotes are by symbol.
    ``listed`` marks the targets' symbols. ``price`` is in the symbol's own currency, and NaN where there is none;
    ``reason`` then gives the code. ``value`` is the price in the base currency; ``bid`` and ``ask`` are in the
    symbol's own currency, NaN where they are not quoted. ``con_id`` is the contract number from the targets, else
    from the position, and ``primary_exchange`` where it is listed; None where neither has one. ``row`` is the
    symbol's row in the targets table, -1 for a holding that is not in it.
    """

    symbols: list[str]
    ticker: list[str]
    currency: list[str]
    sec_type: list[str]
    con_id: list[int | None]
    primary_exchange: list[str | None]
    listed: NDArray[np.bool_]
    row: NDArray[np.int64]
    weight: NDArray[np.float64]
    held: NDArray[np.float64]
    price: NDArray[np.float64]
    value: NDArray[np.float64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    reason: NDArray[np.object_]
    detail: NDArray[np.object_]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Rows that have a reason not to trade."""
        return np.asarray(self.reason != None, dtype=bool)  # noqa: E711 - of each element

    def with_rejections(self, found: Rejections) -> AlignedBook:
        """Return a copy with the reasons of ``found``; a row that already has a reason keeps it.

        Examples
        --------
        >>> from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
        >>> book = align(parse_targets({"AAA": 0.2}), parse_positions(None), parse_quotes({"AAA": 50.0}))
        >>> rejected = book.with_rejections({0: ("limit_missing", "a LMT order needs a limit_price")})
        >>> book.reason[0], rejected.reason[0], rejected.detail[0]
        (None, 'limit_missing', 'limit_missing: a LMT order needs a limit_price')
        >>> rejected.with_rejections({0: ("tick_unknown", "tick size nan is not above 0")}).reason[0]
        'limit_missing'
        """
        new = {row: why for row, why in found.items() if self.reason[row] is None}
        if not new:
            return self
        reason, detail = self.reason.copy(), self.detail.copy()
        for row, (code, text) in new.items():
            reason[row], detail[row] = code, f"{code}: {text}"
        return replace(self, reason=reason, detail=detail)


def freeze_arrays(record: Any) -> None:  # noqa: ANN401 - any dataclass that has arrays
    """Make the arrays of a dataclass read-only, so that writing into one raises ValueError."""
    for each in fields(record):
        value = getattr(record, each.name)
        if isinstance(value, np.ndarray):
            value.setflags(write=False)


def parse_nav(nav: object) -> float:
    """Net asset value as a float above zero.

    Examples
    --------
    >>> parse_nav(0)
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: nav: 1 problem
      nav 0 is not an amount of money above 0 [nav_invalid]
    """
    try:
        value = number_option("nav", nav)
    except InputError:
        value = math.nan
    if not 0 < value <= _LARGEST_NAV:
        text = f"nav {shown(nav)} is not an amount of money above 0"
        raise InputError("nav", [Problem("nav_invalid", text)])
    return value


def parse_rates(fx: object, base_currency: str) -> dict[str, float]:
    """Read exchange rates: units of the base currency for one unit of each other currency.

    A missing rate (None, NaN) is ignored.

    Raises
    ------
    InputError
        ``fx`` is not a mapping, or a rate is not a number above zero; or the base currency is given a rate other
        than 1, which makes two base currencies.

    Examples
    --------
    >>> parse_rates({"EUR": 1.1, "USD": 1}, "USD")
    {'EUR': 1.1}
    >>> parse_rates({"EUR": 0.0}, "USD")
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: fx: 1 problem
      the rate of EUR, 0.0, is not a number above 0: give the USD that one EUR is worth [fx_invalid]
    """
    if not isinstance(fx, (Mapping, pd.Series, type(None))):
        raise InputError("options", [Problem("option_invalid", f"fx {shown(fx)} is not a mapping", column="fx")])
    rates, problems = {}, []
    for name, value in ({} if fx is None else values_by_key(fx, "fx")).items():
        currency = str(name).strip()
        if is_missing(value):
            continue  # no rate: what is in that currency is rejected, and nothing else
        try:
            rate = number_option("fx", value, least=_LEAST_RATE, most=_MOST_RATE)
        except InputError:
            text = (
                f"the rate of {currency}, {shown(value)}, is not a number above 0: give the {base_currency} that "
                f"one {currency} is worth"
            )
            problems.append(Problem("fx_invalid", text))
            continue
        if currency != base_currency:
            rates[currency] = rate
        elif rate != 1:
            text = f"the rate of {currency}, {shown(value)}, is not 1, and {currency} is the base currency"
            problems.append(Problem("fx_invalid", text))
    if problems:
        raise InputError("fx", problems)
    return rates


def investable_nav(nav: float, cash_buffer: float) -> float:
    """NAV less the cash buffer, computed in decimal arithmetic.

    Examples
    --------
    >>> investable_nav(100.0, 0.71), 100.0 * (1 - 0.71)
    (29.0, 29.000000000000004)
    """
    try:
        fraction = number_option("cash_buffer", cash_buffer)
    except InputError:
        fraction = math.nan
    if not 0 <= fraction < 1:
        text = f"cash_buffer {shown(cash_buffer)} is not a fraction of NAV from 0 to below 1"
        raise InputError("cash_buffer", [Problem("cash_buffer_invalid", text)])
    return float(Decimal(repr(float(nav))) * (1 - Decimal(repr(fraction))))


def align(
    targets: pd.DataFrame,
    positions: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    unlisted: Unlisted = "error",
    base_currency: str = "USD",
    fx: Mapping[str, float] | None = None,
    contract_quotes: pd.DataFrame | None = None,
) -> AlignedBook:
    """Align canonical targets, positions and quotes by symbol.

    A holding that is not in the targets has the currency of its row, else of its quote, else the base currency.

    Parameters
    ----------
    targets, positions, quotes : validated tables
    unlisted : what to do with a holding that is not in the targets: keep it, close it, or raise
    base_currency : currency of NAV
    fx : units of base currency for one unit of another currency
    contract_quotes : quotes of holdings in other contracts than the quoted ones, by ``con_id``; they value these
        holdings, which no plan trades

    Raises
    ------
    InputError
        A holding is not in the targets and ``unlisted`` is ``"error"``; or position and target of a symbol differ
        in currency or type.
    """
    held = positions[positions["quantity"] != 0]
    wanted = targets["symbol"].tolist()
    known = set(wanted)
    traded = traded_contracts(targets, held, quotes)
    tickers = held["symbol"].tolist()
    names = contract_names(held, traded.by_symbol)
    quotes = with_contract_quotes(quotes, contract_quotes, held, names)
    held = held.assign(symbol=names)
    ticker = dict(zip(held["symbol"].tolist(), tickers, strict=True))
    others = [symbol for symbol in held["symbol"].tolist() if symbol not in known]
    if others and unlisted == "error":
        raise InputError("positions", [_unlisted(name, ticker[name], traded, known) for name in others])
    symbols = wanted + others
    extra = len(others)
    quantity = dict(zip(held["symbol"].tolist(), held["quantity"].tolist(), strict=True))
    quoted = dict(known_values(quotes, "currency"))
    currency, sec_type = _instruments(targets, held, others, quoted, base_currency)
    touches = {name: quotes[name].to_numpy() for name in ("bid", "ask")}
    priced = usable_prices(quotes).assign(**touches).reindex(symbols)
    price = priced["price"].to_numpy(dtype="float64", copy=True)
    reason, detail = (_texts_or_none(priced[name]) for name in ("reason", "detail"))
    rate, unvalued = _rates(symbols, currency, quoted, base_currency, fx)
    doubtful = _doubtful(symbols, ticker, traded, quotes)
    price[[row for row in doubtful if ticker.get(symbols[row], symbols[row]) == symbols[row]]] = math.nan
    reason[list(doubtful)] = None  # which contract is meant comes before any other problem
    reason[list(unvalued)] = None  # a currency that cannot be converted is reported before a price that is missing
    book = AlignedBook(
        symbols=symbols,
        ticker=list(map(ticker.get, symbols, symbols)),
        currency=currency,
        sec_type=sec_type,
        con_id=_first(targets, held, "con_id", symbols),
        primary_exchange=_first(targets, held, "primary_exchange", symbols),
        listed=np.arange(len(symbols)) < len(wanted),
        row=np.concatenate([np.arange(len(wanted)), np.full(extra, -1)]).astype("int64"),
        weight=np.concatenate([targets["weight"].to_numpy(), np.zeros(extra)]),
        held=np.fromiter(map(quantity.get, symbols, repeat(0.0)), dtype="float64", count=len(symbols)),
        price=price,
        value=price * rate,
        bid=priced["bid"].to_numpy(dtype="float64"),
        ask=priced["ask"].to_numpy(dtype="float64"),
        reason=reason,
        detail=detail,
    )
    unpriced = _unpriced(symbols, price, quotes)
    return book.with_rejections({**unpriced, **unvalued, **doubtful})


def _texts_or_none(series: pd.Series[Any]) -> NDArray[np.object_]:
    texts = np.full(len(series), None, dtype=np.object_)
    present = series.notna().to_numpy()
    texts[present] = series.to_numpy(dtype=object)[present]
    return texts


def _instruments(
    targets: pd.DataFrame, held: pd.DataFrame, others: list[str], quoted: dict[str, str], base_currency: str
) -> tuple[list[str], list[str]]:
    """Currency and type of each symbol; raise where target and position are different instruments."""
    currency, sec_type = (dict(known_values(targets, name)) for name in ("currency", "sec_type"))
    held_currency, held_type = (dict(known_values(held, name)) for name in ("currency", "sec_type"))
    problems = [
        Problem(code, f"held in {text} but wanted in {wanted[symbol]}", symbol=symbol)
        for code, wanted, has in (
            ("currency_mismatch", currency, held_currency),
            ("ambiguous_instrument", sec_type, held_type),
        )
        for symbol, text in has.items()
        if symbol in wanted and text != wanted[symbol]
    ]
    if problems:
        raise InputError("positions", problems)
    for symbol in others:
        currency[symbol] = held_currency.get(symbol, quoted.get(symbol, base_currency))
        sec_type[symbol] = held_type[symbol]
    return list(currency.values()), list(sec_type.values())


def _unlisted(name: str, symbol: str, traded: TradedContracts, wanted: set[str]) -> Problem:
    """The problem of a holding that is not in the targets, or in another contract than its target."""
    if name == symbol or symbol not in wanted:
        text = 'held but not in the targets; give it a weight, or unlisted="keep" or "close"'
        return Problem("unlisted_position", text, symbol=name)
    if symbol in traded.contested:
        return Problem("ambiguous_instrument", traded.contested[symbol], symbol=symbol)
    has, number = name.removeprefix(f"{symbol} (").removesuffix(")"), traded.by_symbol[symbol]
    text = f"contract {has} is held and {number or 'another listing'} wanted; they are two instruments"
    return Problem("ambiguous_instrument", f'{text}; unlisted="keep" leaves what is held as it is', symbol=symbol)


def _doubtful(
    symbols: list[str], ticker: dict[str, str], traded: TradedContracts, quotes: pd.DataFrame
) -> Rejections:
    """Rows whose contract is in doubt, or is not the quoted one, or not the traded one of its symbol."""
    quoted = dict(known_values(quotes, "con_id"))
    found: dict[int, tuple[str, str]] = {}
    has_names = any(name != symbol for name, symbol in ticker.items())
    if not (has_names or traded.contested or (quoted and traded.by_symbol)):
        return found
    for row, name in enumerate(symbols):
        symbol = ticker.get(name, name)
        number = traded.by_symbol.get(symbol, 0)
        if name != symbol:
            text = f"{name} is another contract than this plan's {symbol}; close it by its con_id in its own plan"
            found[row] = ("other_contract", text)
        elif symbol in traded.contested:
            found[row] = ("ambiguous_instrument", traded.contested[symbol])
        elif number and quoted.get(symbol, number) != number:
            text = f"the quote of {symbol} is of contract {int(quoted[symbol])}, and {number} is traded"
            found[row] = ("contract_mismatch", text)
    return found


def _unpriced(symbols: list[str], price: NDArray[np.float64], quotes: pd.DataFrame) -> Rejections:
    """Rows without a price, and what the broker says of them."""
    missing, found = missing_quotes(quotes), {}
    for row in np.flatnonzero(np.isnan(price)).tolist():
        code, text = "price_unavailable", "there is no quote"
        if symbols[row] in missing:
            reason, text = missing[symbols[row]]
            code = reason if reason in CONTRACT_PROBLEMS else code
        found[row] = (code, text)
    return found


def _first(targets: pd.DataFrame, held: pd.DataFrame, name: str, symbols: list[str]) -> list[Any]:
    """Value of a column for each symbol, from the targets, else from the position; None where neither has one."""
    found = dict(known_values(held, name)) | dict(known_values(targets, name))
    if name == "con_id":
        found = {symbol: int(number) for symbol, number in found.items()}
    return [found.get(symbol) for symbol in symbols] if found else [None] * len(symbols)


def _rates(
    symbols: list[str],
    currency: list[str],
    quoted: dict[str, str],
    base_currency: str,
    fx: Mapping[str, float] | None,
) -> tuple[NDArray[np.float64], Rejections]:
    """Base currency per unit of each symbol's currency, NaN where unknown, with the reasons of those rows."""
    rate = np.ones(len(symbols))
    unvalued: dict[int, tuple[str, str]] = {}
    given = parse_rates(fx, base_currency)
    if not quoted and set(currency) <= {base_currency}:
        return rate, unvalued
    known = {base_currency: 1.0} | {name: given.get(name, math.nan) for name in set(currency) - {base_currency}}
    rate = np.array([known[name] for name in currency], dtype="float64")
    quotations = list(map(quoted.get, symbols, currency))
    is_other = np.array(list(map(ne, quotations, currency)), dtype=bool)
    rate[is_other] = math.nan
    for index in np.flatnonzero(np.isnan(rate)).tolist():
        quoted_in, name = quotations[index], currency[index]
        text = f"prices in {name} need fx={{'{name}': rate}}"
        if is_other[index]:
            text = f"quoted in {quoted_in} but wanted in {name}"
        code = "minor_currency" if quoted_in in _MINOR_UNITS else "currency_unsupported"
        unvalued[index] = code, text
    return rate, unvalued
