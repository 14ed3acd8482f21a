"""The tables: every column of every public frame, declared once.

The same names, in the same order, are the columns of the DuckDB views, of the Parquet export and of the README; a
test compares them with this file. Frames may have more columns than are declared here: they are kept unchanged, to
the right.

Strings have pandas' ``str`` dtype, numbers ``float64`` (missing: NaN), times ``datetime64[us, UTC]``
(missing: NaT). Money is in the currency of its row. Pure: nothing here reads or writes anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = [
    "FILLS",
    "ORDERS",
    "ORDER_EVENTS",
    "ORDER_STATUSES",
    "POSITIONS",
    "QUOTES",
    "RUNS",
    "RUN_STATUSES",
    "TABLES",
    "TARGETS",
    "Column",
    "Table",
]

Dtype = Literal["str", "float64", "Int64", "bool", "datetime64[us, UTC]"]

ORDER_STATUSES = ("NEW", "SUBMITTED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "UNKNOWN")
"""Order statuses. ``UNKNOWN``: the broker has not confirmed the status."""

RUN_STATUSES = ("queued", "running", "blocked", "failed", "partial", "done", "cancelled")
"""Run statuses; the last four are final."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, dtype, meaning, unit ("" for none) and whether it is required."""

    name: str
    dtype: Dtype
    meaning: str
    unit: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, what a row is, and its columns in order.

    Examples
    --------
    >>> TARGETS.required
    ('symbol', 'weight')
    >>> FILLS.empty()["price"].dtype
    dtype('float64')
    """

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the required columns."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def dtypes(self) -> dict[str, Dtype]:
        """Dtype by column name."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pd.DataFrame:
        """No rows, all columns, all dtypes."""
        return self.conform(pd.DataFrame())

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give a trusted ``frame`` all declared columns, in order and dtype; others follow as they are.

        For frames made by this package. A caller's frames are validated by :mod:`stocklean_exec.schema.inputs`.
        """
        return self.of_columns({name: frame[name].array for name in frame.columns}, frame.index)

    def of_columns(self, given: Mapping[Hashable, Any], index: pd.Index[Any]) -> pd.DataFrame:
        """Make a frame of trusted columns, arrays of one length, as :meth:`conform`; they are copied.

        Examples
        --------
        >>> frame = TARGETS.of_columns({"weight": pd.array([0.5]), "symbol": pd.array(["SPY"])}, pd.RangeIndex(1))
        >>> frame[["symbol", "weight", "tif"]].to_dict("records")
        [{'symbol': 'SPY', 'weight': 0.5, 'tif': nan}]
        """
        data: dict[str, object] = {}
        for column in self.columns:
            if column.name in given:
                values, wanted = given[column.name], _PANDAS_DTYPES[column.dtype]
                data[column.name] = values if values.dtype == wanted else values.astype(wanted)
            else:
                data[column.name] = _MISSING[column.dtype].repeat(len(index))
        data |= {str(name): values for name, values in given.items() if name not in data}
        return pd.DataFrame(data, index=index)

    def markdown(self) -> str:
        """Describe the table for the documentation; required columns are bold."""
        lines = [
            f"**`{self.name}`**: {self.row}",
            "",
            "| column | dtype | unit | meaning |",
            "|---|---|---|---|",
        ]
        for column in self.columns:
            name = f"**`{column.name}`**" if column.required else f"`{column.name}`"
            lines.append(f"| {name} | {column.dtype} | {column.unit} | {column.meaning} |")
        return "\n".join(lines)


_PANDAS_DTYPES = {name: pd.api.types.pandas_dtype(name) for name in get_args(Dtype)}
_MISSING: dict[Dtype, Any] = {
    "str": pd.array([None], dtype="str"),
    "float64": pd.array([math.nan], dtype="float64"),
    "Int64": pd.array([pd.NA], dtype="Int64"),
    "bool": pd.array([False], dtype="bool"),
    "datetime64[us, UTC]": pd.array([pd.NaT], dtype="datetime64[us, UTC]"),
}


def _text(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, "str", meaning, required=required)


def _number(name: str, unit: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, "float64", meaning, unit, required)


def _time(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, "datetime64[us, UTC]", meaning, "UTC", required)


_SYMBOL = _text("symbol", "as Interactive Brokers spells it, upper case", required=True)
_SIDE = _text("side", "`BUY` or `SELL`", required=True)
_CURRENCY = _text("currency", "ISO code")
_SEC_TYPE = _text("sec_type", "`STK` (shares and ETFs)")
_EXCHANGE = _text("exchange", "`SMART` unless given")
_ACCOUNT = _text("account", "the account that trades")
_CON_ID = Column("con_id", "Int64", "Interactive Brokers' contract number")
_PRIMARY = _text(
    "primary_exchange", "exchange of listing, such as `LSE`; distinguishes two listings of one symbol"
)
_TERMS = (
    _number(
        "limit_offset_bps",
        "basis points",
        "makes `limit_price`: this far above the reference for a buy, below it for a sell",
    ),
    _text(
        "limit_reference",
        "the price it counts from: `mid`, `near`, `far` (touch), `last`; else the decision price",
    ),
    _number(
        "aux_price",
        "currency per share",
        "trigger of `STP` and `STP LMT`, trailing amount of `TRAIL`, offset of `REL`",
    ),
    _time("good_till", "end of a `GTD` order"),
    _time("good_after", "when the order becomes active"),
    Column("outside_rth", "bool", "may trade outside regular trading hours"),
    _text("algo", "`Adaptive`, `Twap`, `Vwap`, `ArrivalPx`, `PctVol`, `ClosePx`; with `MKT` or `LMT`"),
    _text("algo_params", "its parameters as Interactive Brokers names them, JSON"),
)
"""Terms of an order, in targets and orders; :mod:`stocklean_exec.schema.order_terms` validates them."""
_TYPES = "`MKT`, `LMT`, `MOC`, `LOC`, `MIDPRICE`, `REL`, `STP`, `STP LMT`, `TRAIL`"
_LIMIT = "for `LMT`, `LOC`, `STP LMT`; a cap for `MIDPRICE`, `REL`"
_TIF = "time in force: `DAY`, `GTC`, `IOC`, `FOK`, `OPG`, `GTD`"

TARGETS = Table(
    "targets",
    "the target of one symbol",
    (
        _SYMBOL,
        _number("weight", "fraction of NAV", "0.05 is 5 % of NAV; negative is short", required=True),
        _text("order_type", _TYPES),
        _number("limit_price", "currency per share", _LIMIT),
        _text("tif", _TIF),
        _number("lot_size", "shares", "orders are multiples of it"),
        _SEC_TYPE,
        _EXCHANGE,
        _CURRENCY,
        _ACCOUNT,
        _CON_ID,
        _PRIMARY,
        *_TERMS,
    ),
)

POSITIONS = Table(
    "positions",
    "the position in one symbol",
    (
        _SYMBOL,
        _number("quantity", "shares", "signed: negative is short", required=True),
        _number("avg_cost", "currency per share", "average cost"),
        _CURRENCY,
        _SEC_TYPE,
        _ACCOUNT,
        _CON_ID,
        _PRIMARY,
    ),
)

QUOTES = Table(
    "quotes",
    "the market in one symbol at one time",
    (
        _SYMBOL,
        _number("bid", "currency per share", "best bid"),
        _number("ask", "currency per share", "best ask"),
        _number("last", "currency per share", "last trade"),
        _number("close", "currency per share", "previous close"),
        _number("bid_size", "shares", "shown at the bid"),
        _number("ask_size", "shares", "shown at the ask"),
        _CURRENCY,
        _time("quoted_at", "when the quote was made", required=True),
    ),
)

ORDERS = Table(
    "orders",
    "one order, as planned and its current state",
    (
        _text("client_order_id", "our id, never used twice; travels as `orderRef`", required=True),
        _text("run_id", "the run it belongs to", required=True),
        _SYMBOL,
        _SIDE,
        _number("quantity", "shares", "requested, > 0; NaN only without a price", required=True),
        _text("order_type", _TYPES, required=True),
        _number("limit_price", "currency per share", _LIMIT),
        _text("tif", _TIF),
        _CURRENCY,
        _SEC_TYPE,
        _EXCHANGE,
        _ACCOUNT,
        _number("decision_price", "currency per share", "mid, last or close when the plan was made"),
        _time("decided_at", "when the plan was made"),
        _number("arrival_bid", "currency per share", "bid when the order was submitted"),
        _number("arrival_ask", "currency per share", "ask at that time"),
        _number("arrival_price", "currency per share", "mid at that time, or the last price without a mid"),
        _time("arrived_at", "when the order was submitted"),
        _number("target_weight", "fraction of NAV", "the target weight"),
        _number("current_quantity", "shares", "held when the plan was made"),
        _number("target_quantity", "shares", "held once the order is filled"),
        _number("notional", "currency", "quantity x decision price"),
        _text("status", ", ".join(f"`{status}`" for status in ORDER_STATUSES)),
        _number("filled_quantity", "shares", "filled so far"),
        _number("avg_fill_price", "currency per share", "recomputed from the executions"),
        _number("commission", "currency", "sum of those reported; NaN until one is"),
        _text(
            "reason",
            "why it was rejected or cancelled, a stable code; why it is `UNKNOWN`, was held back, waits at TWS "
            "for a later time or was put aside there, in words",
        ),
        *_TERMS,
    ),
)

ORDER_EVENTS = Table(
    "order_events",
    "one recorded order event",
    (
        Column("event_number", "Int64", "order of recording"),
        _text("client_order_id", "the order; empty for an event of the run"),
        _time("occurred_at", "when it happened, by its source"),
        _time("recorded_at", "when it was written down"),
        _text("kind", "`intent`, `sending`, `status`, `execution`, ..."),
        _text("status", "order status after the event"),
        Column("order_id", "Int64", "the broker's number within a client"),
        Column("perm_id", "Int64", "the broker's permanent number"),
        Column("client_id", "Int64", "API client that placed it"),
        _number("filled", "shares", "filled so far, as reported"),
        _number("remaining", "shares", "not filled yet, as reported"),
        _text("code", "reason code of ours, or the broker's message number"),
        _text("message", "text for the user"),
    ),
)

FILLS = Table(
    "fills",
    "one execution, in its latest correction",
    (
        _text("exec_id", "the broker's execution id", required=True),
        _text("client_order_id", "the order it filled", required=True),
        _text("run_id", "the run"),
        _SYMBOL,
        _SIDE,
        _number("quantity", "shares", "> 0", required=True),
        _number("price", "currency per share", "paid or received", required=True),
        _time("filled_at", "execution time, by the broker"),
        _number("commission", "currency", "NaN until reported; negative is a rebate"),
        _text("commission_currency", "ISO code"),
        _EXCHANGE,
        _text("liquidity", "`added`, `removed` or `routed`"),
        Column("perm_id", "Int64", "the broker's permanent order number"),
        _ACCOUNT,
        Column("time_unreliable", "bool", "`filled_at` is when it was reported: its own time could not be read"),
    ),
)

RUNS = Table(
    "runs",
    "one run: a plan, approved and worked",
    (
        _text("run_id", "chosen by the user", required=True),
        _text("mode", "`mock`, `paper` or `live`"),
        _text("status", ", ".join(f"`{status}`" for status in RUN_STATUSES)),
        _ACCOUNT,
        _number("nav", "currency", "net asset value at the start"),
        _time("started_at", "when the first order was submitted"),
        _time("ended_at", "when the run stopped watching its orders"),
        _text("message", "why it was blocked or ended"),
        _text("parameters", "JSON"),
        _text("plan_hash", "fingerprint of the approved plan"),
        _text("approved_by", "who approved it"),
        _time("approved_at", "when"),
        _text("code_version", "version of this package"),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table for table in (TARGETS, POSITIONS, QUOTES, ORDERS, ORDER_EVENTS, FILLS, RUNS)
}
"""Every table by name."""
