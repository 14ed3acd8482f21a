"""Orders as a basket file for TWS's BasketTrader: which of them the format can express, and its text. Pure.

The format is that of ibkrguides.com/traderworkstation/basket-fields.htm (2026-11): a header row, no quotes, and no
comma or blank around a value. A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a
formula, and an apostrophe before it would change the symbol or the tag that TWS reads: such cells are refused.

``AuxPrice`` is the auxiliary price of an order: a stop's trigger, a trailing amount, or a relative order's offset.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.basket_times import basket_time
from stocklean_exec.schema.broker_files import BASKET_TAG, SUBUNIT_CURRENCIES
from stocklean_exec.schema.order_terms import limit_problem, term_problems, terms_of
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ["basket_text"]

_TYPES = ("MKT", "LMT", "MOC", "LOC", "REL", "STP", "STP LMT", "TRAIL")
"""Order types that are written. No page says how a basket names a ``MIDPRICE``."""

_TIFS = frozenset({"DAY", "GTC", "GTD", "IOC", "FOK", "OPG"})
_PRICES = {"limit_price": "limit", "aux_price": "auxiliary price"}
_TIMES = {"GoodTilDate": "good_till", "GoodAfter": "good_after"}

_OTHER_TERMS = ("algo", "algo_params", "outside_rth", "percent_offset")
"""Order terms without a column that is documented: without them another order would be sent."""

_WHERE_NEEDED = frozenset({"AuxPrice", *_TIMES, "Account"})
"""Columns that a file has only where an order needs them."""

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NOT_WRITTEN = re.compile(r"[\",\n\r\t]|^\s|\s$")


def basket_text(orders: pd.DataFrame, *, by_symbol: bool = False, now: datetime | None = None) -> str:
    """Text of a basket file with these orders, one row each, in their sequence.

    Parameters
    ----------
    orders : :data:`~stocklean_exec.schema.tables.ORDERS`. ``aux_price``, ``good_till``, ``good_after`` and
        ``account`` become columns if an order has one; times are written in UTC
    by_symbol : write orders with a ``con_id`` too. The format has no contract numbers, so symbol, exchange and
        currency decide what is traded; an order with ``primary_exchange`` is always written
    now : refuse an order whose ``good_till`` is not after it; None for the time of its decision, if it has one

    Raises
    ------
    InputError
        Orders cannot be expressed; the error lists each with its reason.

    Examples
    --------
    >>> import pandas as pd
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["run-1-BRK_B-BUY"], "symbol": ["BRK B"], "side": ["BUY"], "quantity": [100.0],
    ...     "order_type": ["LMT"], "limit_price": [480.5], "tif": ["DAY"], "sec_type": ["STK"],
    ...     "exchange": ["SMART"], "primary_exchange": ["NYSE"], "currency": ["USD"],
    ... })
    >>> print(basket_text(orders), end="")
    Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType,LmtPrice,BasketTag
    BUY,100,BRK B,STK,SMART/NYSE,USD,DAY,LMT,480.5,run-1-BRK_B-BUY
    """
    rows, problems = [], []
    for row in orders.to_dict("records"):
        cells = _cells(row)
        name, symbol = str(row["client_order_id"]), str(row["symbol"])
        found = [*_unwritable_terms(row, now, by_symbol=by_symbol), *_unwritable_cells(cells)]
        problems += [Problem(code, f"{name}: {text}", symbol=symbol) for code, text in found]
        rows.append(cells)
    if problems:
        raise InputError(ORDERS.name, problems)
    names = [name for name in _cells({}) if name not in _WHERE_NEEDED or any(cells[name] for cells in rows)]
    lines = [",".join(names), *(",".join(cells[name] for name in names) for cells in rows)]
    return "\n".join(lines) + "\n"


def _cells(row: dict[Any, Any]) -> dict[str, str]:
    """Cells of one order, by the column names of TWS."""
    exchange, listing = _text(row.get("exchange")) or "SMART", _text(row.get("primary_exchange")).upper()
    return {
        "Action": _text(row.get("side")),
        "Quantity": _number(row.get("quantity")),
        "Symbol": _text(row.get("symbol")),
        "SecType": _text(row.get("sec_type")) or "STK",
        "Exchange": f"{exchange}/{listing}" if listing and exchange == "SMART" else exchange,
        "Currency": _text(row.get("currency")) or "USD",
        "TimeInForce": _text(row.get("tif")) or "DAY",
        "OrderType": _text(row.get("order_type")),
        "LmtPrice": _number(row.get("limit_price")),
        "AuxPrice": _number(row.get("aux_price")),
        **{theirs: _time(row.get(ours)) for theirs, ours in _TIMES.items()},
        BASKET_TAG: _text(row.get("client_order_id")),
        "Account": _text(row.get("account")),
    }


def _unwritable_terms(row: dict[Any, Any], now: datetime | None, *, by_symbol: bool) -> Iterator[tuple[str, str]]:
    """Terms that the format cannot express: a code and a text for each."""
    kind, tif = _text(row.get("order_type")), _text(row.get("tif")) or "DAY"
    if tif not in _TIFS:
        yield "tif_invalid", f"time in force {tif} is not written; {', '.join(sorted(_TIFS))} are"
    if kind not in _TYPES:
        yield "order_type_unsupported", f"order type {kind} is not written; {', '.join(_TYPES)} are"
    else:
        yield from _unfit_terms(row, kind, tif, now)
    yield from _unwritable_numbers(row)
    if not by_symbol and _is_given(row.get("con_id")) and not _text(row.get("primary_exchange")):
        text = f"contract {row['con_id']:.0f} has no column in the file; give primary_exchange, or by_symbol=True"
        yield "contract_not_written", text
    for name in _OTHER_TERMS:
        if _is_given(row.get(name)) and row[name] is not False:
            yield "order_term_unread", f"{name} {row[name]} has no column in the file"


def _unfit_terms(row: dict[Any, Any], kind: str, tif: str, now: datetime | None) -> Iterator[tuple[str, str]]:
    """Terms that contradict each other, by the rules for every order; here an offset must have become a limit."""
    limit, terms = float(row.get("limit_price", math.nan)), terms_of(row)
    problem = limit_problem(kind, limit)
    if problem is not None:
        yield problem
    elif math.isnan(limit) and not math.isnan(terms.limit_offset_bps):
        yield "limit_missing", f"limit_offset_bps {terms.limit_offset_bps:g} has not become a limit"
    if now is not None:
        terms = terms._replace(decided_at=pd.Timestamp(now))
    yield from term_problems(kind, limit, tif, _text(row.get("side")), terms)


def _unwritable_numbers(row: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    quantity, currency = float(row.get("quantity", math.nan)), _text(row.get("currency"))
    if not quantity.is_integer():
        yield "fractional_not_allowed", f"{quantity:.10g} is not a whole number of shares"
    for name, word in _PRICES.items():  # an offset of 0 is one in every unit
        if currency in SUBUNIT_CURRENCIES and _is_given(row.get(name)) and row[name] != 0:
            text = f"TWS may take the {word} {row[name]:.10g} {currency} in a hundredth of it"
            yield "price_unit_unknown", text
    for name in _TIMES.values():
        if _is_given(row.get(name)) and row[name] != row[name].floor("s"):
            yield "csv_format", f"{name} {row[name]} has a part of a second, for which the file has no place"


def _unwritable_cells(cells: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Cells that a spreadsheet would take for a formula, or that the format cannot hold."""
    for name, text in cells.items():
        if _FORMULA.match(text):
            yield "formula_cell", f"{name} {text!r} is a formula to a spreadsheet"
        elif _NOT_WRITTEN.search(text):
            yield "csv_format", f"{name} {text!r} has a quote, a comma, a line break or a blank at its end"


def _text(value: object) -> str:
    return str(value) if _is_given(value) else ""


def _number(value: Any) -> str:  # noqa: ANN401 - a number of a frame
    """Write a number with neither exponent nor thousands separator; "" for none."""
    if not _is_given(value):
        return ""
    text = f"{Decimal(repr(float(value))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _time(value: Any) -> str:  # noqa: ANN401 - a Timestamp or none
    """Time as the file has it; "" for none."""
    return basket_time(value) if _is_given(value) else ""


def _is_given(value: Any) -> bool:  # noqa: ANN401 - a cell of a frame
    """Whether a cell is filled: neither None, NaN, NA nor an empty text."""
    return not (value is None or value is pd.NA or value != value or value == "")  # noqa: PLR0124 - NaN
