"""Orders as a basket file for TWS's BasketTrader: which of them the format can express, and its text. Pure.

The format is that of ibkrguides.com/traderworkstation/basket-fields.htm (2026-11): a header row, no quotes, and no
comma or blank around a value. A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a
formula, and an apostrophe before it would change the symbol or the tag that TWS reads: such cells are refused.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.broker_files import BASKET_TAG
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["basket_text"]

_PRICED = {"MKT": False, "LMT": True, "MOC": False, "LOC": True}
"""Order types that are written, and whether they have a limit price. TWS reads more; each of those has further
columns, which are not written here."""

_TIFS = frozenset({"DAY", "GTC", "IOC", "FOK", "OPG"})
_SUBUNIT_CURRENCIES = frozenset({"GBP", "ILS", "ZAR"})
"""Currencies of shares that TWS prices in a hundredth (pence, agorot, cents), but not all of them: only the
contract at TWS tells which."""

_OTHER_TERMS = ("algo", "algo_params", "aux_price", "good_after", "good_till", "outside_rth", "percent_offset")
"""Order terms that have no column here: without them another order would be sent."""

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NOT_WRITTEN = re.compile(r"[\",\n\r\t]|^\s|\s$")


def basket_text(orders: pd.DataFrame, *, by_symbol: bool = False) -> str:
    """Text of a basket file with these orders, one row each, in their sequence.

    Parameters
    ----------
    orders : :data:`~stocklean_exec.schema.tables.ORDERS`. ``account`` becomes a column if an order has one
    by_symbol : write orders with a ``con_id`` too. The format has no contract numbers, so symbol, exchange and
        currency decide what is traded; an order with ``primary_exchange`` is always written

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
        found = [*_unwritable_terms(row, by_symbol=by_symbol), *_unwritable_cells(cells)]
        problems += [Problem(code, f"{name}: {text}", symbol=symbol) for code, text in found]
        rows.append(cells)
    if problems:
        raise InputError(ORDERS.name, problems)
    names = [name for name in _cells({}) if name != "Account" or any(cells[name] for cells in rows)]
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
        BASKET_TAG: _text(row.get("client_order_id")),
        "Account": _text(row.get("account")),
    }


def _unwritable_terms(row: dict[Any, Any], *, by_symbol: bool) -> Iterator[tuple[str, str]]:
    """Terms that the format cannot express: a code and a text for each."""
    kind, tif = _text(row.get("order_type")), _text(row.get("tif")) or "DAY"
    quantity, limit = (float(row.get(name, math.nan)) for name in ("quantity", "limit_price"))
    if kind not in _PRICED:
        yield "order_type_unsupported", f"order type {kind} is not written; {', '.join(_PRICED)} are"
    elif _PRICED[kind] == math.isnan(limit):
        yield "limit_missing" if _PRICED[kind] else "limit_on_market", f"limit {limit:g} of a {kind} order"
    if tif not in _TIFS:
        yield "tif_invalid", f"time in force {tif} is not written; {', '.join(sorted(_TIFS))} are"
    if not quantity.is_integer():
        yield "fractional_not_allowed", f"{quantity:.10g} is no whole number of shares"
    currency = _text(row.get("currency"))
    if not math.isnan(limit) and currency in _SUBUNIT_CURRENCIES:
        yield "price_unit_unknown", f"TWS may take the limit {limit:g} {currency} in a hundredth of it"
    if not by_symbol and _is_given(row.get("con_id")) and not _text(row.get("primary_exchange")):
        text = f"contract {row['con_id']:.0f} has no column in the file; give primary_exchange, or by_symbol=True"
        yield "contract_not_written", text
    for name in _OTHER_TERMS:
        if _is_given(row.get(name)) and row[name] is not False:
            yield "order_term_unread", f"{name} {row[name]} has no column in the file"


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


def _is_given(value: Any) -> bool:  # noqa: ANN401 - a cell of a frame
    """Whether a cell is filled: neither None, NaN, NA nor an empty text."""
    return not (value is None or value is pd.NA or value != value or value == "")  # noqa: PLR0124 - NaN
