"""The table of tariffs as a frame, and its replacement by a caller's own.

Every estimate of an order's cost uses the table in force: the reserve of a plan, its summary, the checks, the
review, and the funding of a run. The mock filler and the simulator charge its commissions, without the levies.
"""

from __future__ import annotations

import math
import os
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec import tariff_table as table
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.fees import NO_MAXIMUM_RATE
from stocklean_exec.schema.frame_validator import MAX_ROWS, is_missing, shown
from stocklean_exec.schema.paths import existing_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.fees import Tariff

__all__ = ["tariffs", "use_tariffs"]

# In the sequence of the shipped file: what names a market, its rates, then source and note.
_COLUMNS = (*table.TEXTS[:5], *table.NUMBERS, *table.TEXTS[5:])
_RATES = ("rate_of_value", "maximum_rate", "buy_rate", "sell_rate")
_CHARGES = ("per_share", "rate_of_value", "minimum")
_HIGHEST_RATE = 0.02
"""A stated choice, twice the US maximum: a higher number is a percentage, not a fraction."""


def tariffs() -> pd.DataFrame:
    """The table of tariffs in force: every dated row of every market.

    Amounts are in the currency of the row. A row holds from ``effective_from`` until the next row of its market
    and currency, and the first one before that too; the day of an order is that of its decision. An order that is
    sent to a venue directly has the tariff that lists its ``exchange`` in ``exchanges``; else the one that lists
    its ``primary_exchange`` (a column of targets and orders) in ``primary_exchanges``; else the one of its
    currency that lists neither.

    Returns
    -------
    DataFrame with

    ======================================  =====================================================================
    market, currency                        name of the market; currency of its orders
    effective_from                          first day
    exchanges, primary_exchanges            codes with spaces between, empty for the tariff of the currency
    per_share, rate_of_value                commission: per share, and as a fraction of trade value
    minimum, fractional_minimum             per order, and per order of less than one share
    maximum, maximum_rate                   per order, and as a fraction of trade value; wins over a minimum
    buy_per_share, buy_per_share_cap        levy per share of buys, and its maximum per order
    buy_rate                                levies and taxes of buys as a fraction of trade value
    sell_per_share, _cap, sell_rate         the same of sells
    order_levy, order_levy_above            levy per order, due above this trade value
    source, note                            where the rates come from, and what is not certain
    ======================================  =====================================================================

    An empty number means no charge, no cap or no maximum.

    Examples
    --------
    >>> tariffs().set_index("market").loc[["XETRA", "Tokyo"], ["currency", "rate_of_value", "minimum"]]
           currency  rate_of_value  minimum
    market
    XETRA       EUR         0.0005      3.0
    Tokyo       JPY         0.0008     80.0
    """
    return _frame(table.in_force().rows)


def use_tariffs(source: object) -> None:
    """Replace the table of tariffs for this process.

    Parameters
    ----------
    source : a DataFrame as :func:`tariffs` gives it, or a CSV file of it; None for the shipped table. Columns of
        numbers may be omitted. Each currency has one market without ``exchanges`` and ``primary_exchanges``

    Raises
    ------
    InputError
        With every offending row; the table in force stays.

    Examples
    --------
    Your own tariff for one market, and back:

    >>> own = tariffs()
    >>> own.loc[own["market"] == "Tokyo", "minimum"] = 500.0
    >>> use_tariffs(own)
    >>> tariffs().query("market == 'Tokyo'")["minimum"].item()
    500.0
    >>> use_tariffs(None)
    >>> tariffs().query("market == 'Tokyo'")["minimum"].item()
    80.0
    """
    table.replace_table(None if source is None else _parse(_read(source)))


def _frame(rows: tuple[Tariff, ...]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in _COLUMNS:
        values = [getattr(row, name) for row in rows]
        if name == "effective_from":
            columns[name] = pd.to_datetime([day.isoformat() for day in values], format="%Y-%m-%d").as_unit("s")
        elif name in table.NUMBERS:
            empty = (math.inf, NO_MAXIMUM_RATE)
            columns[name] = pd.array([math.nan if one in empty else one for one in values], dtype="float64")
        else:
            texts = [" ".join(one) if isinstance(one, tuple) else one for one in values]
            columns[name] = pd.array(texts, dtype="str")
    return pd.DataFrame(columns)


def _read(source: object) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, (str, os.PathLike)):
        file = existing_file(source, "tariffs")
        try:
            return pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise InputError("tariffs", [Problem("csv_format", f"{file.name}: {error}")]) from None
    text = f"{shown(source)} is neither a DataFrame nor a CSV file"
    raise InputError("tariffs", [Problem("not_a_table", text)])


def _parse(frame: pd.DataFrame) -> table.TariffTable:
    _require_columns(frame)
    rows = list(zip(frame.index.tolist(), frame.to_dict("records"), strict=True))
    problems: list[Problem] = []
    records: dict[int, dict[str, Any]] = {}
    for number, (label, row) in enumerate(rows):
        record: dict[str, Any] = {}
        for column, cell in row.items():
            name = str(column)
            try:
                record[name] = _cell(name, cell)
            except ValueError as error:
                problems.append(Problem("tariff_invalid", str(error), label, None, name))
        problems += [Problem("tariff_invalid", text, label, None, name) for name, text in _faults(record)]
        records[number] = record
    if not problems:
        problems = list(_conflicts([label for label, _ in rows], list(records.values())))
    if problems:
        raise InputError("tariffs", problems)
    return table.TariffTable(table.tariff_from(record) for record in records.values())


def _require_columns(frame: pd.DataFrame) -> None:
    names = [str(name) for name in frame.columns]
    problems = [
        Problem("unknown_column", f"{name!r} is not a column of a table of tariffs", column=name)
        for name in names
        if name not in _COLUMNS
    ]
    problems += [
        Problem("duplicate_column", f"column {name!r} appears twice", column=name)
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    problems += [
        Problem("missing_column", f"column {name!r} is missing", column=name)
        for name in ("market", "currency", "effective_from")
        if name not in names
    ]
    if not 0 < len(frame) <= MAX_ROWS:
        text = f"there are {len(frame)} rows; a table of tariffs has from 1 to {MAX_ROWS:,}"
        problems.append(Problem("tariff_invalid", text))
    if problems:
        raise InputError("tariffs", problems)


def _cell(name: str, cell: object) -> date | float | str | None:
    """Value of one cell, None if it is empty; ValueError with the fault."""
    if is_missing(cell) or (isinstance(cell, str) and not cell.strip()):
        return None
    if name == "effective_from":
        return _day(cell)
    if name in table.TEXTS:
        if not isinstance(cell, str):
            raise ValueError(f"{name} {shown(cell)} is not text")
        return cell.strip()
    try:
        value = math.nan if isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]  # anything else raises
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} {shown(cell)} is not a number of at least 0")
    if name in _RATES and value > _HIGHEST_RATE:
        raise ValueError(f"{name} {value:g} is a fraction of value above {_HIGHEST_RATE:g}; 0.0005 is 0.05 %")
    return value


def _day(cell: object) -> date:
    text = cell.strip() if isinstance(cell, str) else str(getattr(cell, "date", lambda: cell)())
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"effective_from {shown(cell)} is not a day such as 2026-01-31") from None


def _faults(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Column and fault of what one row lacks. A cell that has a fault of its own is not in ``record``."""
    for name in ("market", "currency", "effective_from"):
        if name in record and record[name] is None:
            yield name, f"{name} is empty"
    currency = record.get("currency")
    if currency is not None and not (len(currency) == 3 and currency.isalpha() and currency.isupper()):  # noqa: PLR2004 - ISO 4217
        yield "currency", f"currency {shown(currency)} is not a code such as EUR; prices in pence are in GBP"
    if all(record.get(name) is None for name in _CHARGES):
        yield "per_share", f"none of {', '.join(_CHARGES)} is given; write 0 for no commission"


def _conflicts(labels: list[object], records: list[dict[str, Any]]) -> Iterator[Problem]:
    """Find rows that contradict others: two for one day, two markets for one code, no market for a currency."""
    days: dict[tuple[object, ...], object] = {}
    markets: dict[tuple[object, ...], str] = {}
    first: dict[str, object] = {}
    for label, record in zip(labels, records, strict=True):
        market, currency, day = record["market"], record["currency"], record["effective_from"]
        first.setdefault(currency, label)
        if (market, currency, day) in days:
            text = f"{market} {currency} has another row from {day}: row {days[market, currency, day]}"
            yield Problem("tariff_conflict", text, label, None, "effective_from")
        days.setdefault((market, currency, day), label)
        codes = [
            (name, code)
            for name in ("exchanges", "primary_exchanges")
            for code in str(record.get(name) or "").upper().split()
        ]
        for name, code in codes or [("market", "")]:
            other = markets.setdefault((currency, name, code), market)
            if other != market:
                what = f"{code!r} of {name}" if code else f"{currency} without exchanges and primary_exchanges"
                yield Problem("tariff_conflict", f"{what} is in {market} and in {other}", label, None, name)
    for currency, label in first.items():
        if (currency, "market", "") not in markets:
            text = f"{currency} needs a market without exchanges and primary_exchanges, for all other orders"
            yield Problem("tariff_conflict", text, label, None, "market")
