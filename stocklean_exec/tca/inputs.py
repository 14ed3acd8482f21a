"""Input validation of the cost analysis: orders, fills, times, prices and exchange rates.

Input that would give wrong results raises one error that lists every offending row: fills of orders that were not
given, times without a zone, several currencies without rates. Missing data of a single order is not an error: its
numbers are NaN and its flags give the reason. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.extra_columns import REPLACES
from stocklean_exec.schema.frame_validator import as_utc, is_missing, shown
from stocklean_exec.schema.keyed_values import values_by_key
from stocklean_exec.schema.prices import is_usable
from stocklean_exec.tca.asof import NO_TIME, Market
from stocklean_exec.tca.fill_totals import FILL_TOTALS, FillArrays, totals_by_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from stocklean_exec.blotter.reader import BlotterReader
    from stocklean_exec.tca.trade_record import TradeRecord

__all__ = [
    "SHARE_DECIMALS",
    "Executed",
    "FillInput",
    "MarketInput",
    "OrderInput",
    "Sign",
    "arrival_ages",
    "arrival_flags",
    "arrival_prices",
    "by_symbol",
    "column_numbers",
    "executed_by_order",
    "fill_micros",
    "fill_prices",
    "fill_quantities",
    "in_order_currency",
    "joined_flags",
    "keyed_orders",
    "refuse_repeated_fills",
    "repeated_fills",
    "requested_shares",
    "require_columns",
    "side_signs",
    "sign_factor",
    "small_signs",
    "to_base",
    "undated_fills",
    "usable",
    "utc_micros",
]

SHARE_DECIMALS = 8
"""Sums of shares are rounded to eight decimals, as in the blotter: 0.1 + 0.2 of a share are 0.3."""

LOCAL = "local"

_LISTED = 50  # ids that one error names, to keep it readable: there may be millions

Sign = Literal["cost", "performance"]


class ArrowTable(Protocol):
    """A table of polars, Arrow or DuckDB: it has the Arrow C data interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


# What the functions of stocklean_exec.tca.api accept. The measures behind them take frames only.
OrderInput: TypeAlias = "pd.DataFrame | ArrowTable | TradeRecord | BlotterReader | str | PathLike[str]"
"""Orders as a frame, a trade record, a blotter, its file or its export, or Parquet files."""

FillInput: TypeAlias = "pd.DataFrame | ArrowTable | str | PathLike[str] | None"
"""Fills as a frame or Parquet files; None if the source of the orders has the fills too."""

MarketInput: TypeAlias = "pd.DataFrame | ArrowTable | Market | str | PathLike[str]"
"""Quotes or trades as a frame, ``quote_files(...)`` or ``trade_files(...)``, or Parquet files."""


def sign_factor(sign: object) -> float:
    """1 for ``"cost"`` (positive is worse), -1 for ``"performance"`` (positive is better)."""
    if sign not in ("cost", "performance"):
        text = f"{shown(sign)} is neither 'cost' (positive is worse) nor 'performance' (positive is better)"
        raise InputError("sign", [Problem("option_invalid", text)])
    return 1.0 if sign == "cost" else -1.0


def require_columns(frame: object, names: Sequence[str], table: str) -> pd.DataFrame:
    """Return the frame; raise if it is not a DataFrame, or lacks columns."""
    if not isinstance(frame, pd.DataFrame):
        what = "nothing was given" if frame is None else f"a {type(frame).__name__} is not a DataFrame"
        text = f"{what}; give a DataFrame"
        raise InputError(table, [Problem("wrong_type", text)])
    missing = [name for name in names if name not in frame.columns]
    if missing:
        text = f"columns {', '.join(missing)} are missing"
        raise InputError(table, [Problem("missing_column", text)])
    return frame


def keyed_orders(orders: object) -> pd.DataFrame:
    """Orders with client_order_id as the index; raise if columns are missing or an id is duplicated."""
    orders = require_columns(orders, (), "orders")
    frame = orders if orders.index.name == "client_order_id" else None
    if frame is None and "client_order_id" in orders.columns:
        frame = orders.set_index("client_order_id")
    missing = [] if frame is not None else ["client_order_id"]
    missing += [name for name in ("symbol", "side", "quantity") if name not in orders.columns]
    if frame is None or missing:
        text = f"columns {', '.join(missing)} are missing"
        raise InputError("orders", [Problem("missing_column", text)])
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()].unique()
        text = "is in several rows"
        raise InputError(
            "orders", [Problem("duplicate_client_order_id", f"{name} {text}") for name in twice[:_LISTED]]
        )
    return frame


def requested_shares(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Shares that were requested by each order, without what another order of the table was for in its place.

    What is left of an order may be ordered again (``replaces``): then it is requested by the order for it, so that
    no share counts twice. Of several orders for one rest the last one counts.

    Examples
    --------
    >>> orders = pd.DataFrame(
    ...     {"quantity": [100.0, 70.0], "replaces": [None, "r-SPY-BUY"]}, index=["r-SPY-BUY", "r-SPY-BUY-2"]
    ... )
    >>> requested_shares(orders).tolist()
    [30.0, 70.0]
    """
    requested = np.array(column_numbers(frame, "quantity", "orders"))
    if REPLACES not in frame.columns:
        return requested
    of = [None if is_missing(old) else old for old in frame[REPLACES].tolist()]
    places = {name: place for place, name in enumerate(frame.index.tolist())}
    latest = {old: place for place, old in enumerate(of) if old is not None}
    for place, old in enumerate(of):
        if old is not None and latest[old] != place:
            requested[place] = 0.0
    for old, place in latest.items():
        if old in places:
            requested[places[old]] = max(round(requested[places[old]] - requested[place], SHARE_DECIMALS), 0.0)
    return requested


def side_signs(frame: pd.DataFrame, table: str = "orders") -> NDArray[np.float64]:
    """+1 for a buy and -1 for a sell; anything else is refused."""
    return np.asarray(small_signs(frame, table), dtype="float64")


def small_signs(frame: pd.DataFrame, table: str = "orders") -> NDArray[np.int8]:
    """As :func:`side_signs`, in an eighth of the memory."""
    series = frame["side"]
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes, names = series.cat.codes.to_numpy(), series.cat.categories.tolist()
        buys, sells = (codes == names.index(name) if name in names else False for name in ("BUY", "SELL"))
        signs = np.subtract(buys, np.broadcast_to(sells, codes.shape), dtype="int8")
    else:
        side = series.to_numpy(dtype=object)
        signs = np.subtract(side == "BUY", side == "SELL", dtype="int8")
    wrong = np.flatnonzero(signs == 0)
    if len(wrong):
        labels, sides = frame.index.take(wrong[:_LISTED]), series.iloc[wrong[:_LISTED]]
        raise InputError(
            table,
            [
                Problem("side_invalid", f"side {shown(side)} is neither BUY nor SELL", label, None, "side")
                for label, side in zip(labels.tolist(), sides.tolist(), strict=True)
            ],
        )
    return np.asarray(signs)


def column_numbers(frame: pd.DataFrame, name: str, table: str) -> NDArray[np.float64]:
    """Read a column as floats, NaN where empty or absent; raise if a value is not a number."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    try:
        return np.asarray(frame[name].to_numpy(dtype="float64", na_value=np.nan), dtype="float64")
    except (TypeError, ValueError):
        text = f"column {name} has a value that is not a number"
        raise InputError(table, [Problem("number_dtype", text, column=name)]) from None


def utc_micros(series: pd.Series[Any], name: str, table: str) -> NDArray[np.int64]:
    """Times as microseconds since 1970, :data:`NO_TIME` where empty; a time without a zone is refused.

    Examples
    --------
    >>> utc_micros(pd.Series([pd.Timestamp("1970-01-01 01:00", tz="Europe/Paris"), None]), "filled_at", "fills")
    array([                   0, -9223372036854775808])
    >>> utc_micros(pd.Series(["2026-11-23 15:00"]), "filled_at", "fills")
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: fills: 1 problem
      row 0: filled_at '2026-11-23 15:00' has no time zone; use .tz_localize('America/New_York') [naive_time]
    """
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        known = pd.DatetimeIndex(series.array, copy=False)
        return np.asarray((known if known.unit == "us" else known.as_unit("us")).asi8, dtype="int64")
    if series.dtype.kind == "M" and series.notna().any():
        text = f"{name} has no time zone; use .dt.tz_localize('America/New_York')"
        raise InputError(table, [Problem("naive_time", text, column=name)])
    read = [as_utc(value, name) for value in series.tolist()]
    problems = [
        found._replace(row=label)
        for label, found in zip(series.index.tolist(), read, strict=True)
        if isinstance(found, Problem)
    ]
    if problems:
        raise InputError(table, problems)
    stamps = [None if stamp is None else cast("pd.Timestamp", stamp) for stamp in read]
    values = pd.Series(stamps, dtype="datetime64[us, UTC]")
    return np.asarray(values.array.asi8, dtype="int64")


def undated_fills(fills: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each fill is dated by its report: broker and record then have no time of the fill itself.

    Raises
    ------
    InputError
        ``time_unreliable`` has values other than true, false and empty ones.

    Examples
    --------
    >>> undated_fills(pd.DataFrame({"time_unreliable": [True, None]})).tolist()
    [True, False]
    >>> undated_fills(pd.DataFrame({"quantity": [1.0, 2.0]})).tolist()
    [False, False]
    """
    if "time_unreliable" not in fills.columns:
        return np.zeros(len(fills), dtype=bool)
    try:
        marks = fills["time_unreliable"].astype("boolean")
    except (TypeError, ValueError):
        text = "column time_unreliable has a value that is neither true nor false"
        raise InputError("fills", [Problem("flag_dtype", text, column="time_unreliable")]) from None
    return np.asarray(marks.to_numpy(dtype=bool, na_value=False))


def fill_micros(fills: pd.DataFrame) -> NDArray[np.int64]:
    """Times of the fills as :func:`utc_micros` gives them; missing where a fill is dated by its report."""
    at, undated = utc_micros(fills["filled_at"], "filled_at", "fills"), undated_fills(fills)
    return np.where(undated, NO_TIME, at) if undated.any() else at


# -- fills, per order --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Executed:
    """Totals of the fills of each order: index client_order_id, one row for each order that has fills.

    The columns are the totals of :data:`~stocklean_exec.tca.fill_totals.FILL_TOTALS`, computed by DuckDB from
    Parquet files, or given by the caller.
    """

    table: pd.DataFrame


def executed_by_order(frame: pd.DataFrame, fills: object) -> pd.DataFrame:
    """Fills added up for each order, in the sequence of ``frame``, which :func:`keyed_orders` made.

    An order with a fill that is dated by its report has no known first and last time: that fill may be either.

    Returns
    -------
    DataFrame, index of ``frame``: the columns of :class:`Executed` and ``avg_fill_price``

    Raises
    ------
    InputError
        A fill belongs to none of the orders, is in several rows, has no quantity or price above zero, or a time
        without a zone.
    """
    table = _aligned(frame, fills.table) if isinstance(fills, Executed) else _added_up(frame, fills)
    filled = np.round(table["filled_quantity"].to_numpy(dtype="float64"), SHARE_DECIMALS)
    table["filled_quantity"] = filled
    with np.errstate(invalid="ignore", divide="ignore"):
        table["avg_fill_price"] = table["value"] / np.where(filled > 0, filled, np.nan)
    undated = table["undated"].to_numpy() > 0
    if undated.any():
        for name in ("first_at", "last_at"):
            table[name] = np.where(undated, NO_TIME, table[name].to_numpy())
    return table.astype({"commissions_due": "int64", "fills": "int64", "undated": "int64"})


def _aligned(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Given totals in the sequence of the orders; orders without a row have no fills."""
    if "undated" not in table.columns:  # totals of a caller who dates every fill
        table = table.assign(undated=0)
    if table.index is frame.index or table.index.equals(frame.index):
        return table.copy(deep=False)
    rows = frame.index.get_indexer(table.index)
    _refuse_orphans(table.index[rows < 0])
    data = {}
    for total in FILL_TOTALS:
        values = table[total.name].to_numpy()
        column = np.full(len(frame), total.empty, dtype=values.dtype)
        column[rows] = values
        data[total.name] = column
    return pd.DataFrame(data, index=frame.index, copy=False)


def _added_up(frame: pd.DataFrame, fills: object) -> pd.DataFrame:
    fills = require_columns(fills, ("client_order_id", "quantity", "price"), "fills")
    rows = _order_rows(frame.index, fills["client_order_id"])
    quantity, price = fill_quantities(fills), fill_prices(fills)
    refuse_repeated_fills(fills)
    commission = column_numbers(fills, "commission", "fills")
    at = (
        utc_micros(fills["filled_at"], "filled_at", "fills")
        if "filled_at" in fills.columns
        else np.full(len(fills), NO_TIME)
    )
    totals = totals_by_order(FillArrays(rows, quantity, price, commission, at, undated_fills(fills)), len(frame))
    return pd.DataFrame(totals, index=frame.index)


def _order_rows(index: pd.Index[Any], ids: pd.Series[Any]) -> NDArray[np.int64]:
    """Row of the order of each fill."""
    if isinstance(ids.dtype, pd.CategoricalDtype):
        rows = np.append(index.get_indexer(ids.cat.categories), -1)[ids.cat.codes.to_numpy()]
    else:
        rows = index.get_indexer(pd.Index(ids))
    lost = rows < 0
    if lost.any():
        _refuse_orphans(pd.Index(ids[lost]).unique())
    return np.asarray(rows, dtype="int64")


def _refuse_orphans(lost: pd.Index[Any]) -> None:
    if len(lost):
        text = "is not among these orders; give all orders of the run, or only their fills: blotter.fills(run_id)"
        raise InputError("fills", [Problem("orphan_exec", f"{name} {text}") for name in lost[:_LISTED].tolist()])


def fill_quantities(fills: pd.DataFrame) -> NDArray[np.float64]:
    """Shares of each fill; anything that is not above zero is refused."""
    quantity = column_numbers(fills, "quantity", "fills")
    with np.errstate(invalid="ignore"):
        _refuse_fills(fills, quantity, ~((quantity > 0) & np.isfinite(quantity)), "quantity")
    return quantity


def fill_prices(fills: pd.DataFrame) -> NDArray[np.float64]:
    """Price of each fill, NaN where it is unknown; anything else that cannot be a price is refused."""
    price = column_numbers(fills, "price", "fills")
    _refuse_fills(fills, price, ~(is_usable(price) | np.isnan(price)), "price")
    return price


def _refuse_fills(fills: pd.DataFrame, values: NDArray[np.float64], wrong: NDArray[np.bool_], column: str) -> None:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    what = "is not above zero" if column == "quantity" else "is not a price above zero"
    labels = fills.index.take(rows[:_LISTED]).tolist()
    raise InputError(
        "fills",
        [
            Problem(f"fill_{column}", f"{column} {values[row]:g} {what}", label, None, column)
            for row, label in zip(rows[:_LISTED], labels, strict=True)
        ],
    )


def refuse_repeated_fills(fills: pd.DataFrame) -> None:
    """Raise if an execution is in several rows: it would count several times.

    Rows that are equal are refused too: frames that overlap often differ elsewhere, for instance where a
    commission was reported later, and it is for the caller to say which of them is right.
    """
    if "exec_id" not in fills.columns:
        return
    ids = fills["exec_id"]
    twice = ids[ids.duplicated() & ids.notna()]
    if len(twice):
        raise repeated_fills(twice.unique()[:_LISTED].tolist())


def repeated_fills(ids: Iterable[object]) -> InputError:
    """Return the error that names executions which are in several rows."""
    text = "is in several rows of the fills; keep one: fills.drop_duplicates('exec_id', keep='last')"
    return InputError("fills", [Problem("duplicate_exec_id", f"{name} {text}", column="exec_id") for name in ids])


# -- prices and rates by symbol ----------------------------------------------------------------------------------


def by_symbol(values: object, frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A number for each order: one for all, or by client order id or symbol; NaN if there is none."""
    if isinstance(values, (int, float)) and not isinstance(values, bool):
        return np.full(len(frame), float(values))
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    if not isinstance(values, (Mapping, pd.Series)):
        text = f"{shown(values)} is not a mapping or Series by symbol"
        raise InputError(name, [Problem("wrong_type", text)])
    given: dict[Any, Any] = values_by_key(values, name)
    found = [
        given.get(key, given.get(symbol, np.nan))
        for key, symbol in zip(frame.index.tolist(), frame["symbol"].tolist(), strict=True)
    ]
    try:
        return np.array([np.nan if value is None else value for value in found], dtype="float64")
    except (TypeError, ValueError):
        raise InputError(name, [Problem("number_dtype", "a value is not a number")]) from None


def to_base(frame: pd.DataFrame, fx: object) -> NDArray[np.float64] | float:
    """Rate that converts the money of each order into the base currency; 1 if there is only one currency.

    Parameters
    ----------
    fx : ``None`` (there is one currency), ``"local"`` (each row stays in its own), or rates: units of the base
        currency for one unit of a currency, as a mapping, a Series, or a DataFrame with currency and rate

    Raises
    ------
    InputError
        Several currencies without rates, or a rate that is missing or not above zero.
    """
    if isinstance(fx, str) and fx == LOCAL:
        return 1.0
    if "currency" not in frame.columns:
        return 1.0
    currencies = frame["currency"]
    names = sorted(map(str, currencies.dropna().unique()))
    if fx is None:
        if len(names) > 1:
            text = (
                f"{', '.join(names)} are different currencies; give fx={{'{names[0]}': rate, ...}}, "
                "or fx='local' to leave each row in its own currency"
            )
            raise InputError("orders", [Problem("currency_mixed", text, column="currency")])
        return 1.0
    rates = _rates(fx)
    problems = [
        Problem(
            "fx_missing", f"there is no usable rate for {name}; give units of the base currency for one {name}"
        )
        for name in names
        if not (np.isfinite(rates.get(name, np.nan)) and rates[name] > 0)
    ]
    if problems:
        raise InputError("fx", problems)
    return np.array([rates.get(str(name), np.nan) for name in currencies.tolist()], dtype="float64")


def _rates(fx: object) -> dict[str, float]:
    if isinstance(fx, pd.DataFrame):
        frame = fx.reset_index() if fx.index.name == "currency" else fx
        require_columns(frame, ("currency", "rate"), "fx")
        if frame["currency"].duplicated().any():
            raise InputError("fx", [Problem("duplicate_rate", "a currency is in several rows")])
        fx = dict(zip(frame["currency"].tolist(), column_numbers(frame, "rate", "fx").tolist(), strict=True))
    if not isinstance(fx, (Mapping, pd.Series)):
        text = f"{shown(fx)} is neither rates by currency nor 'local'"
        raise InputError("fx", [Problem("wrong_type", text)])
    rates = values_by_key(fx, "fx")
    try:
        return {str(name): float(rate) for name, rate in rates.items()}
    except (TypeError, ValueError):
        raise InputError("fx", [Problem("number_dtype", "a rate is not a number")]) from None


def in_order_currency(frame: pd.DataFrame, fills: object, fx: object) -> pd.DataFrame | Executed:
    """Fills with each commission converted into the currency of its order, as :func:`to_base` expects.

    Raises
    ------
    InputError
        A commission is in another currency than its order, and there are no rates.
    """
    if isinstance(fills, Executed):
        return fills
    fills = require_columns(fills, ("client_order_id",), "fills")
    if "commission_currency" not in fills.columns:
        return fills
    if "currency" not in frame.columns:
        return fills
    ids = pd.Index(fills["client_order_id"])
    wanted = frame["currency"].reindex(ids).to_numpy(dtype=object)
    paid = fills["commission_currency"].to_numpy(dtype=object)
    differ = ~(pd.isna(wanted) | pd.isna(paid)) & (wanted != paid)
    if not differ.any():
        return fills
    rates = {} if fx is None or isinstance(fx, str) else _rates(fx)
    pairs = dict.fromkeys(zip(ids[differ].tolist(), paid[differ], wanted[differ], strict=True))
    problems = [
        Problem(
            "commission_currency", f"{name}: commission in {there}, order in {here}; give rates for both in fx="
        )
        for name, there, here in pairs
        if not (rates.get(there, 0.0) > 0 and rates.get(here, 0.0) > 0)
    ]
    if problems:
        raise InputError("fills", problems[:_LISTED])
    turned = column_numbers(fills, "commission", "fills").copy()
    turned[differ] *= [
        rates[there] / rates[here] for there, here in zip(paid[differ], wanted[differ], strict=True)
    ]
    return fills.assign(commission=turned, commission_currency=wanted)


def arrival_prices(frame: pd.DataFrame) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
    """``arrival_price``, NaN where the quote at arrival was not valid, and the flags with the reason."""
    price, flags = usable(column_numbers(frame, "arrival_price", "orders")), arrival_flags(frame)
    for up in flags.values():
        price = np.where(up, np.nan, price)
    return price, flags


def arrival_flags(frame: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Flags of orders whose quote at arrival was not valid.

    It is not where ``arrival_bid`` is above ``arrival_ask``, or where ``arrival_delayed`` is set; these columns
    are optional.
    """
    bid, ask = (usable(column_numbers(frame, name, "orders")) for name in ("arrival_bid", "arrival_ask"))
    with np.errstate(invalid="ignore"):
        flags = {"crossed_quote": bid > ask}
    if "arrival_delayed" in frame.columns:
        flags["delayed_quote"] = frame["arrival_delayed"].to_numpy(dtype=bool, na_value=False)
    return flags


def arrival_ages(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Seconds from ``arrival_quoted_at`` to ``arrived_at``; NaN where either is unknown."""
    if not {"arrival_quoted_at", "arrived_at"} <= set(frame.columns):
        return np.full(len(frame), np.nan)
    taken, arrived = (utc_micros(frame[name], name, "orders") for name in ("arrival_quoted_at", "arrived_at"))
    known = (taken != NO_TIME) & (arrived != NO_TIME)
    return np.where(known, (arrived - np.where(known, taken, arrived)) / 1e6, np.nan)


def joined_flags(count: int, flags: Mapping[str, NDArray[np.bool_]]) -> pd.api.extensions.ExtensionArray:
    """One text for each row with the names of all flags that are set, NaN if none is.

    Each text is built once, however many rows have it.

    Examples
    --------
    >>> joined_flags(2, {"overfilled": np.array([True, False]), "fees_due": np.array([True, False])}).tolist()
    ['overfilled, fees_due', nan]
    """
    sets = np.zeros(count, dtype="int32")
    for bit, up in enumerate(flags.values()):
        sets |= np.multiply(up, 1 << bit, dtype="int32")
    rows = np.flatnonzero(sets)
    found, which = np.unique(sets[rows], return_inverse=True)
    texts = [", ".join(name for bit, name in enumerate(flags) if one >> bit & 1) for one in found.tolist()]
    positions = np.full(count, -1)
    positions[rows] = which
    return pd.array([*texts, None], dtype="str").take(positions, allow_fill=True)


def usable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices, NaN where a value is not a usable price; the same array if all are."""
    fine = is_usable(values)
    return values if fine.all() else np.where(fine, values, np.nan)
