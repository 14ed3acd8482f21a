"""Files that Trader Workstation writes: the portfolio export, as positions, and baskets, as orders.

These readers are for one named format each. They read its names of columns and its numbers with commas; a file of
another format is refused, and :func:`~stocklean_exec.read_positions` reads tables with our own names.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.basket_times import read_basket_time
from stocklean_exec.schema.files import read_cells, read_rows
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.schema.order_ids import is_valid_client_order_id
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.paths import existing_file
from stocklean_exec.schema.tables import ORDERS, POSITIONS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BASKET_COLUMNS", "BASKET_TAG", "SUBUNIT_CURRENCIES", "read_basket", "read_portfolio_export"]

_INSTRUMENT = "Financial Instrument"
_COLUMNS = {"Position": "quantity", "Avg Price": "avg_cost", "Currency": "currency", "Account": "account"}
"""Columns of the export and ours; others are ignored."""

BASKET_COLUMNS = {
    "Action": "side",
    "Quantity": "quantity",
    "Symbol": "symbol",
    "SecType": "sec_type",
    "Exchange": "exchange",
    "Currency": "currency",
    "TimeInForce": "tif",
    "OrderType": "order_type",
    "LmtPrice": "limit_price",
    "AuxPrice": "aux_price",
    "GoodTilDate": "good_till",
    "GoodAfter": "good_after",
    "Account": "account",
}
"""Columns of a basket and ours: ibkrguides.com/traderworkstation/basket-fields.htm (2026-11)."""

_BASKET_NEEDED = ("Action", "Quantity", "Symbol", "OrderType")
_BASKET_NUMBERS = ("Quantity", "LmtPrice", "AuxPrice")
_BASKET_TIMES = ("GoodTilDate", "GoodAfter")
BASKET_TAG = "BasketTag"
"""Column with a name that TWS shows as the order reference: our files have the client order id there."""

SUBUNIT_CURRENCIES = frozenset({"GBP", "ILS", "ZAR"})
"""Currencies of shares that TWS prices in a hundredth (pence, agorot, cents), but not all of them: only the
contract at TWS says which."""

_DERIVATIVE = re.compile(r"\S+ (.* .*|.*\d.*)")
"""ACME 15AUG25 230 C, ES Dec'26: more than a symbol and a share class, or with a number."""

_NUMBER = re.compile(r"[-+]?((\d+|\d{1,3}(,\d{3})+)(\.\d+)?|\.\d+)")


def read_portfolio_export(path: str | os.PathLike[str], *, skiprows: int = 0) -> pd.DataFrame:
    r"""Positions from the CSV file that TWS writes with "Export Portfolio".

    Parameters
    ----------
    path : file with the columns ``Financial Instrument`` and ``Position``. The symbol is in ``Symbol`` if that is
        there, else in ``Financial Instrument``; ``Avg Price``, ``Currency`` and ``Account`` are used if present
    skiprows : lines above the header

    Returns
    -------
    DataFrame, as of :func:`~stocklean_exec.read_positions`; rows with a position of 0 are excluded

    Raises
    ------
    InputError
        It is not such a file, a number cannot be read, or a row is not a stock: options, futures and bonds are
        named by more than a symbol, and are not traded here. Every such row is listed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "portfolio.csv"
    >>> _ = file.write_text('Financial Instrument,Position,Avg Price\nSPY,"1,200",410.25\nTLT,-300,98.5\n')
    >>> read_portfolio_export(file)[["symbol", "quantity", "avg_cost"]].to_numpy().tolist()
    [['SPY', 1200.0, 410.25], ['TLT', -300.0, 98.5]]
    """
    file = existing_file(path, POSITIONS.name)
    cells = read_cells(file, POSITIONS, skiprows)
    missing = [name for name in (_INSTRUMENT, "Position") if name not in cells.columns]
    if missing:
        text = (
            f"{file.name} is not a portfolio export of TWS: column {missing[0]!r} is missing; there are "
            f"{', '.join(map(str, cells.columns[:10]))}"
        )
        raise InputError(POSITIONS.name, [Problem("missing_column", text, column=missing[0])])
    problems: list[Problem] = []
    frame = pd.DataFrame({"symbol": cells["Symbol" if "Symbol" in cells.columns else _INSTRUMENT].str.strip()})
    for theirs, ours in _COLUMNS.items():
        if theirs in cells.columns:
            texts = [text.strip() for text in cells[theirs].tolist()]
            if ours in ("quantity", "avg_cost"):
                frame[ours] = [_number(text, theirs, row, problems) for row, text in enumerate(texts)]
            else:
                frame[ours] = pd.Series([text or None for text in texts], dtype="object")
    problems += [
        Problem("not_a_stock", f"{name!r} is an option, future or bond; remove the row", row, column=_INSTRUMENT)
        for row, name in enumerate(frame["symbol"].tolist())
        if _DERIVATIVE.fullmatch(name)
    ]
    if problems:
        raise InputError(POSITIONS.name, problems)
    return parse_positions(frame[frame["quantity"] != 0])


def _number(text: str, name: str, row: int, problems: list[Problem]) -> float | None:
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        return float(text.replace(",", ""))
    problems.append(Problem("csv_format", f"{name} {text!r} is not a number such as 1,200 or 410.25", row))
    return None


def read_basket(path: str | os.PathLike[str], run_id: str) -> pd.DataFrame:
    r"""Orders from a basket file of TWS's BasketTrader, ready for :func:`~stocklean_exec.check_orders`.

    Parameters
    ----------
    path : CSV file with a header row of ``Action``, ``Quantity``, ``Symbol``, ``OrderType`` and, if needed,
        ``SecType``, ``Exchange``, ``Currency``, ``TimeInForce``, ``LmtPrice``, ``AuxPrice`` (trigger of a stop,
        trailing amount, or offset of ``REL``), ``GoodTilDate``, ``GoodAfter`` and ``Account``. More header rows
        may follow, each for the rows below it. ``SMART/NYSE`` is the exchange ``SMART`` with the primary exchange
        ``NYSE``; a time is ``20261124 16:00:00 US/Eastern``, with its zone; ``BasketTag`` is the client order id
        where it begins with ``run_id`` and a dash, as :func:`~stocklean_exec.export_basket` writes it
    run_id : of the run that the orders are for

    Returns
    -------
    DataFrame, :data:`~stocklean_exec.schema.tables.ORDERS`: one row per order, in the sequence of the file. An
    order of a type or time in force that is not sent here is ``REJECTED``, with its reason

    Raises
    ------
    InputError
        It is not such a file, a header has a column twice, a number or a time cannot be read, a time has no zone
        or is one that clocks go back over, a row has a term that would not be sent, such as ``StopPrice`` or
        ``PercentOffset``, or a price in a currency that TWS may count in hundredths (``GBP``, ``ILS``, ``ZAR``).
        Every such cell is listed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "basket.csv"
    >>> _ = file.write_text("Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType\n"
    ...     "BUY,100,IBM,STK,SMART/NYSE,USD,DAY,MKT\n")
    >>> read_basket(file, "run-1")[["client_order_id", "quantity", "primary_exchange"]]
      client_order_id  quantity primary_exchange
    0   run-1-IBM-BUY     100.0             NYSE
    """
    file = existing_file(path, ORDERS.name)
    rows, problems = _basket_rows(file)
    for number, row in enumerate(rows):
        _read_values(row, number, problems)
        problems += [problem._replace(row=number) for problem in _unsendable(row)]
    if problems:
        raise InputError(ORDERS.name, problems)
    frame = pd.DataFrame([{ours: row.get(theirs) for theirs, ours in BASKET_COLUMNS.items()} for row in rows])
    frame["side"] = frame["side"].replace("SSHORT", "SELL")
    route = frame["exchange"].fillna("SMART").str.partition("/")
    frame = frame.assign(exchange=route[0], primary_exchange=route[2].where(route[2] != "", None), run_id=run_id)
    tags = [str(row.get(BASKET_TAG, "")) for row in rows]
    is_ours = [tag.startswith(f"{run_id}-") and is_valid_client_order_id(tag) for tag in tags]
    names = [tag if ours else None for tag, ours in zip(tags, is_ours, strict=True)]
    return parse_orders(frame.assign(client_order_id=pd.Series(names, frame.index, dtype="object")))


def _read_values(row: dict[str, object], number: int, problems: list[Problem]) -> None:
    """Read the numbers and times of a row in place."""
    for name in _BASKET_NUMBERS:
        if name in row:
            row[name] = _number(str(row[name]), name, number, problems)
    for name in _BASKET_TIMES:
        if name in row:
            row[name] = found = read_basket_time(str(row[name]), name)
            if isinstance(found, Problem):
                problems.append(found._replace(row=number))


def _unsendable(row: dict[str, object]) -> Iterator[Problem]:
    """Terms of a row that would not be sent, or not as they are meant."""
    for name, cell in row.items():
        if name not in BASKET_COLUMNS and name != BASKET_TAG:
            text = f"{name} {cell!r} would not be sent; remove the column or the row"
            yield Problem("order_term_unread", text, column=name)
    currency = str(row.get("Currency", "")).upper()
    for name in ("LmtPrice", "AuxPrice"):
        if currency in SUBUNIT_CURRENCIES and row.get(name):  # an offset of 0 is one in every unit
            text = f"{name} {row[name]:.10g} may be in a hundredth of {currency}; give the order in a table"
            yield Problem("price_unit_unknown", text, column=name)


def _basket_rows(file: Path) -> tuple[list[dict[str, object]], list[Problem]]:
    """Cells that are filled in, by the header above each row, and what is wrong with headers and rows."""
    lines = read_rows(file, ORDERS)
    heads = [number for number, cells in enumerate(lines) if "Symbol" in cells and "Action" in cells]
    if not lines or not heads or heads[0] != 0:
        first = ", ".join(lines[0][:10]) if lines else "nothing"
        text = f"{file.name} is not a basket file of TWS: its first row has no Action and Symbol, but {first}"
        raise InputError(ORDERS.name, [Problem("missing_column", text)])
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for begin, end in pairwise([*heads, len(lines)]):
        header = lines[begin]
        problems += _header_problems(header)
        for cells in lines[begin + 1 : end]:
            if len(cells) > len(header):
                problems.append(
                    Problem("csv_format", f"the row has {len(cells)} cells, its header {len(header)}", len(rows))
                )
            rows.append({name: text for name, text in zip(header, cells, strict=False) if name and text})
    return rows, problems


def _header_problems(header: list[str]) -> Iterator[Problem]:
    """Columns that a header lacks, and those that it has more than once: which one is meant is not known."""
    for name in _BASKET_NEEDED:
        if name not in header:
            text = f"column {name!r} is missing in header {', '.join(header)}"
            yield Problem("missing_column", text, column=name)
    for name, count in Counter(header).items():
        if name and count > 1:  # columns without a name are not read
            text = f"column {name!r} appears {count} times in header {', '.join(header)}; keep one of them"
            yield Problem("duplicate_column", text, column=name)
