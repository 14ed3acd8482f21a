"""Files that Trader Workstation writes: the portfolio export, as positions.

These readers are for one named format each. They read its names of columns and its numbers with commas; a file of
another format is refused, and :func:`~stocklean_exec.read_positions` reads tables with our own names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.files import read_cells
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.schema.paths import existing_file
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    import os

__all__ = ["read_portfolio_export"]

_INSTRUMENT = "Financial Instrument"
_COLUMNS = {"Position": "quantity", "Avg Price": "avg_cost", "Currency": "currency", "Account": "account"}
"""Columns of the export and ours; others are left out."""

_DERIVATIVE = re.compile(r"\S+ (.* .*|.*\d.*)")
"""ACME 15AUG25 230 C, ES Dec'26: more than a symbol and a share class, or with a number."""

_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")


def read_portfolio_export(path: str | os.PathLike[str], *, skiprows: int = 0) -> pd.DataFrame:
    r"""Positions from the CSV file that TWS writes with "Export Portfolio".

    Parameters
    ----------
    path : file with the columns ``Financial Instrument`` and ``Position``. The symbol is in ``Symbol`` if that is
        there, else in ``Financial Instrument``; ``Avg Price``, ``Currency`` and ``Account`` are used if present
    skiprows : lines above the header

    Returns
    -------
    DataFrame, as of :func:`~stocklean_exec.read_positions`; rows with a position of 0 are left out

    Raises
    ------
    InputError
        It is not such a file, a number cannot be read, or a row is no stock: options, futures and bonds are named
        by more than a symbol, and are not traded here. Every such row is listed.

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
            f"{file.name} is no portfolio export of TWS: column {missing[0]!r} is missing; there are "
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
