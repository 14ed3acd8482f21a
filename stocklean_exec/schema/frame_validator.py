"""Tools of input validation: from a caller's table to clean columns, collecting every problem on the way.

Nothing is coerced silently. An invalid value is a problem with a stable code and a hint; a harmless change
(spelling of a share class, noise around zero) is a warning. Pure.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.arrow_tables import ARROW, frame_of_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from stocklean_exec.schema.tables import Table

__all__ = [
    "HELD_BACK",
    "MAX_COLUMNS",
    "MAX_ROWS",
    "RUN_ID",
    "UNSET",
    "FrameValidator",
    "add_warnings",
    "as_utc",
    "input_warnings",
    "is_missing",
    "is_unset",
    "merge_warnings",
    "number_option",
    "shown",
    "warning_row",
]

HELD_BACK = "held_back"
"""Key in a plan's ``attrs`` for what it left out, as JSON; kept wherever its warnings are."""

RUN_ID = "run_id"
"""Key in the ``attrs`` of a plan that was made without rows: its run id, which is nowhere else.

A plan with rows does not have it: one that a caller has filtered to nothing is not a plan with nothing to
trade."""

_KEPT = (HELD_BACK, RUN_ID, "strategy_crosses")

MAX_ROWS = 20_000
"""Maximum rows of an input table; a stated choice: more is a mistake, such as a history instead of one day."""

MAX_COLUMNS = 1_000
"""Maximum columns of an input table; a stated choice: a table has a dozen, plus the caller's own."""

UNSET = (-1.0, 1.7e308, 2147483647.0, 9223372036854775807.0)
"""TWS's sentinels for "no value" in a price field; anything from the second up is one."""

_SYMBOL = r"[A-Z0-9][A-Z0-9 .\-/]{0,31}"
_ONE_SYMBOL = re.compile(_SYMBOL)
_USUAL = re.compile(r"[A-Z0-9 ]*")  # of symbols that need no change, one behind the other
_SHARE_CLASS = re.compile(r"([A-Z]{1,5})[.\-/]([A-EG-KM-Z])")
"""A US share class as files write it. L and F are not classes here: ``VOD.L`` is a listing in London, ``SAP.F``
one in Frankfurt, as Yahoo and others write them."""
_MAX_SYMBOL = 32  # a stated choice, as in _SYMBOL; the longest stock symbols of Interactive Brokers have about ten
_WARNINGS = "input_warnings"
_CHANGES = ("cash_row", "currency_or_stock", "decimal_converted", "side_mapped", "symbol_mapped", "tiny_weight")
"""Codes of changes made on input, which the resulting table no longer shows."""
_COLUMNS_SHOWN = 10  # a stated choice: column names in one error, so that it stays readable
_HASHED = {str, float, type(None)}  # types of the cells of a text column that a dict keeps apart
_STR = pd.api.types.pandas_dtype("str")
_TIME = pd.api.types.pandas_dtype("datetime64[us, UTC]")
_FIRST_YEAR, _LAST_YEAR = 1970, 2200  # a stated choice: other times are errors; beyond 9999 they cannot be printed
_SHORT = reprlib.Repr()  # 60 characters, a stated choice: a value must fit into a line of an error
_SHORT.maxstring = _SHORT.maxother = 60


def is_unset(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value is one of TWS's sentinels for "no value"."""
    return np.asarray((values == UNSET[0]) | (values == UNSET[2]) | (values >= UNSET[1]) | (values == UNSET[3]))


def input_warnings(frame: pd.DataFrame) -> pd.DataFrame:
    """List the warnings about the input of ``frame``: code, row, symbol, column, detail, table.

    Every validated table, and every plan made from one, keeps its warnings.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> sx.input_warnings(sx.read_targets({"brk.b": 0.5, "SPY": 0.5}))[["code", "symbol"]].to_dict("records")
    [{'code': 'symbol_mapped', 'symbol': 'BRK B'}]
    """
    rows = frame.attrs.get(_WARNINGS, ())
    return pd.DataFrame(rows, columns=["code", "row", "symbol", "column", "detail", "table"])


def merge_warnings(frame: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Add the warnings of ``others`` to those of ``frame``; run id and what was left out, if it has none."""
    for source in others:
        for key in _KEPT:
            if key in source.attrs:
                frame.attrs.setdefault(key, source.attrs[key])
    return add_warnings(frame, [row for source in others for row in source.attrs.get(_WARNINGS, ())])


def add_warnings(frame: pd.DataFrame, rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Add warnings to ``frame``, each made by :func:`warning_row`; duplicates count once."""
    found = {tuple(row.items()): row for row in (*frame.attrs.get(_WARNINGS, ()), *rows)}
    if found:
        frame.attrs[_WARNINGS] = _Warnings(found.values())
    return frame


class _Warnings(tuple[dict[str, object], ...]):
    """Warnings of a frame, which never change: pandas deep-copies ``attrs`` for each column that it returns."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> _Warnings:
        return self


def warning_row(
    code: str,
    detail: str,
    *,
    table: str,
    row: object = None,
    symbol: str | None = None,
    column: str | None = None,
) -> dict[str, object]:
    """One warning, as :func:`input_warnings` lists it."""
    return {"code": code, "row": row, "symbol": symbol, "column": column, "detail": detail, "table": table}


def as_utc(value: object, name: str) -> pd.Timestamp | Problem | None:
    """Read ``value`` as a time in UTC: None where it is empty, a problem where it is ambiguous.

    Examples
    --------
    >>> as_utc("2026-11-23T09:30:00-05:00", "decided_at")
    Timestamp('2026-11-23 14:30:00+0000', tz='UTC')
    >>> as_utc("2026-11-23 09:30", "decided_at").code
    'naive_time'
    """
    if is_missing(value):
        return None
    try:
        if isinstance(value, (bool, int, float)):
            raise TypeError  # noqa: TRY301 - a number could be seconds or nanoseconds; do not guess
        stamp: Any = pd.Timestamp(value)  # type: ignore[arg-type]  # anything else raises, and is reported
        if pd.isna(stamp):
            return None
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC")
            if _FIRST_YEAR <= stamp.year <= _LAST_YEAR:
                return pd.Timestamp(stamp)
            raise ValueError  # noqa: TRY301 - reported below, as other invalid times
    except (ValueError, TypeError, OverflowError):
        return Problem("time_dtype", f"{name} {shown(value)} is not a time", column=name)
    text = f"{name} {shown(value)} has no time zone; use .tz_localize('America/New_York')"
    return Problem("naive_time", text, column=name)


def number_option(name: str, value: object, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Read an argument that must be a number within bounds.

    Examples
    --------
    >>> number_option("limit_offset_bps", "5")
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: options: 1 problem
      limit_offset_bps '5' is not a number [option_invalid]
    """
    usable = isinstance(value, (int, float, Decimal, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        number = float(value) if usable else math.nan  # type: ignore[arg-type]  # usable says so
    except (OverflowError, ValueError):
        number = math.nan
    if least <= number <= most:
        return number
    bounds = f" from {least:g} to {most:g}" if math.isfinite(least) else ""
    text = f"{name} {shown(value)} is not a number{bounds}"
    raise InputError("options", [Problem("option_invalid", text, column=name)])


def shown(value: object) -> str:
    """``repr`` of a value, shortened to fit a line of a message."""
    return _SHORT.repr(value)


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, NA, NaT or NaN."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _is_plain(value: object) -> bool:
    """Whether a cell is empty, or text of printable ASCII characters."""
    return (value.isascii() and value.isprintable()) if isinstance(value, str) else is_missing(value)


def _hint(name: str, frame: pd.DataFrame) -> str:
    names = [str(column) for column in frame.columns]
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    more = ", ..." if len(names) > _COLUMNS_SHOWN else ""
    return f"; there are {', '.join(names[:_COLUMNS_SHOWN]) or 'none'}{more}"


def _remembered(data: object, table: str) -> list[dict[str, object]]:
    """Warnings of a frame that was read before, without those that reading it again reports again."""
    rows: list[dict[str, object]] = list(data.attrs.get(_WARNINGS, ())) if isinstance(data, pd.DataFrame) else []
    kept = {*_CHANGES}
    if any(row["code"] == "cash_row" for row in rows):
        kept.add("residual_cash")  # without the cash rows, the uninvested weight cannot be computed again
    return [row for row in rows if row["table"] != table or row["code"] in kept]


class FrameValidator:
    """Validates one input table: the caller's frame, its problems and its warnings so far.

    Parameters
    ----------
    table : the table's declaration
    data : DataFrame, Series by symbol or mapping by symbol, or a table of polars, Arrow or DuckDB; copied, never
        changed
    value : name of the value column of a Series or mapping
    """

    def __init__(self, table: Table, data: object, value: str) -> None:
        self.table = table
        self.problems: list[Problem] = []
        self.warnings = _remembered(data, table.name)
        attrs = data.attrs if isinstance(data, pd.DataFrame) else {}
        self._kept: dict[Hashable, Any] = {key: attrs[key] for key in _KEPT if key in attrs}
        given = self._framed(data, value)
        if len(given) > MAX_ROWS:
            self.fail("too_many_rows", f"{len(given):,} rows; the maximum is {MAX_ROWS:,}")
        self._index = given.index
        self._refused: set[tuple[str, int]] = set()  # cells that are problems already
        self.frame = given.reset_index(drop=True)
        self.frame.attrs = {}  # pandas deep-copies attrs for each column that it returns
        self.labels: list[Any] = self._index.tolist()
        self.symbols: list[str] = []
        self._written: list[object] = []  # the symbols as the caller spelt them

    # -- structure ---------------------------------------------------------------------------------------

    def _framed(self, data: object, value: str) -> pd.DataFrame:
        if isinstance(data, pd.DataFrame):
            return self._checked_structure(data)
        if isinstance(data, pd.Series):
            self._check_index(data)
            return self._from_pairs(data.index.tolist(), data.reset_index(drop=True), value)
        if isinstance(data, Mapping):
            values = pd.Series(list(data.values()), dtype="object")
            return self._from_pairs(list(data.keys()), values, value)
        if hasattr(data, ARROW):
            return self._checked_structure(self._of_arrow(data))
        kind = type(data)
        name = (
            kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]} {kind.__name__}"
        )
        hint = "; give .to_pandas()" if hasattr(data, "to_pandas") else ""
        self.fail(
            "wrong_type",
            f"a {name} cannot be read; give a DataFrame, a Series indexed by symbol, or a dict{hint}",
        )
        raise AssertionError  # pragma: no cover - fail() raises

    def _of_arrow(self, data: object) -> pd.DataFrame:
        """Read a table of polars, Arrow or DuckDB."""
        try:
            return frame_of_arrow(data, MAX_ROWS)
        except Exception as error:
            self.fail("wrong_type", f"the {type(data).__name__} cannot be read as a table: {error}")
            raise

    @staticmethod
    def _from_pairs(keys: list[Any], values: pd.Series[Any], value: str) -> pd.DataFrame:
        return pd.DataFrame({"symbol": pd.Series(keys, dtype="object"), value: values})

    def _check_index(self, series: pd.Series[Any]) -> None:
        if isinstance(series.index, pd.MultiIndex):
            self.fail("multiindex", "the index has several levels; give one row per symbol")
        if isinstance(series.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            self.fail("looks_like_history", "the index is dates; give one day's values, indexed by symbol")
        if isinstance(series.index, pd.RangeIndex) and len(series):
            self.fail("symbol_location", "the index is row numbers; index the values by symbol")

    def _checked_structure(self, frame: pd.DataFrame) -> pd.DataFrame:
        if len(frame.columns) > MAX_COLUMNS:
            self.fail("too_many_columns", f"{len(frame.columns):,} columns; the maximum is {MAX_COLUMNS:,}")
        if isinstance(frame.index, pd.MultiIndex) or isinstance(frame.columns, pd.MultiIndex):
            self.fail("multiindex", "rows or columns have several levels; give one row per symbol")
        twice = [name for name, count in Counter(map(str, frame.columns)).items() if count > 1]
        if twice:
            self.fail("duplicate_column", f"column names appear twice: {', '.join(twice)}")
        if "symbol" not in frame.columns and frame.index.name == "symbol":
            frame = frame.reset_index()
        if "symbol" not in frame.columns:
            self._explain_missing_symbol(frame)
        for name in self.table.required:
            if name not in frame.columns:
                self.problem("missing_column", f"column {name!r} is missing{_hint(name, frame)}", column=name)
        self.finish()
        self._note_near_misses(frame)
        return frame  # pandas copies on write: the caller's frame never changes

    def _explain_missing_symbol(self, frame: pd.DataFrame) -> None:
        if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)):
            self.fail("looks_like_history", "rows are dates; pass one day, such as frame.iloc[-1]")
        if any(frame[name].dtype.kind == "M" for name in frame.columns[:1]):
            self.fail("looks_like_history", "rows are dates; pass one day, with one row per symbol")
        names = frame.index.tolist()
        if self.table.required[1] in frame.columns and names and all(isinstance(name, str) for name in names):
            self.fail("symbol_location", "the symbols seem to be the index; name it: frame.rename_axis('symbol')")
        self.fail("missing_column", f"column 'symbol' is missing{_hint('symbol', frame)}", column="symbol")

    def _note_near_misses(self, frame: pd.DataFrame) -> None:
        declared = self.table.names
        known = [name for name in declared if name not in frame.columns]
        for name in frame.columns:
            if name not in declared:
                near = difflib.get_close_matches(str(name), known, 1, 0.8)
                if near:
                    self.warn(
                        "unknown_column",
                        f"column {name!r} is kept but not used; did you mean {near[0]!r}?",
                        column=str(name),
                    )

    # -- collecting --------------------------------------------------------------------------------------

    def problem(self, code: str, detail: str, row: int | None = None, column: str | None = None) -> None:
        """Add a problem; ``row`` is a position in the frame."""
        self.problems.append(Problem(code, detail, self._label(row), self._symbol(row), column))

    def warn(
        self,
        code: str,
        detail: str,
        row: int | None = None,
        column: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Add a warning; ``row`` is a position in the frame."""
        self.warnings.append(
            warning_row(
                code,
                detail,
                table=self.table.name,
                row=self._label(row),
                symbol=symbol or self._symbol(row),
                column=column,
            )
        )

    def refuse(self, code: str, detail: str, row: int, column: str) -> None:
        """Add a problem with one cell; it is read as empty, without a second problem."""
        self.problem(code, detail, row, column)
        self._refused.add((column, row))

    def empty_at(self, name: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where ``values`` of a column are empty in the caller's table."""
        empty = np.isnan(values)
        for column, row in self._refused:
            if column == name:
                empty[row] = False
        return empty

    def problems_at(self, mask: NDArray[np.bool_], code: str, detail: Callable[[int], str], column: str) -> None:
        """Add one problem for each row where ``mask`` is true."""
        for row in np.flatnonzero(mask).tolist():
            self.problem(code, detail(row), row, column)

    def fail(self, code: str, detail: str, column: str | None = None) -> None:
        """Add a problem that makes the table unreadable, and raise."""
        self.problem(code, detail, column=column)
        self.finish()

    def finish(self) -> None:
        """Raise one error with all problems, if there are any."""
        if self.problems:
            raise InputError(self.table.name, self.problems)

    def _label(self, row: int | None) -> object:
        return None if row is None else self.labels[row]

    def _symbol(self, row: int | None) -> str | None:
        return self.symbols[row] if row is not None and row < len(self.symbols) else None

    def has_warned(self, code: str) -> bool:
        """Whether there is a warning with ``code``, from this or an earlier reading of the table."""
        return any(row["code"] == code and row["table"] == self.table.name for row in self.warnings)

    def drop_rows(self, rows: Sequence[int]) -> None:
        """Remove rows; their problems and warnings stay. Call it before the symbols are read."""
        if not rows:
            return
        kept = np.ones(len(self.frame), dtype=bool)
        kept[list(rows)] = False
        self.frame = self.frame[kept].reset_index(drop=True)
        self._index = self._index[kept]
        self.labels = self._index.tolist()
        self._refused.clear()  # only cells of these rows have been read so far

    # -- columns -----------------------------------------------------------------------------------------

    def read_symbols(self) -> list[str]:
        """Clean the symbol column: upper case, Interactive Brokers' spelling; otherwise a problem."""
        raw: list[object] = self.frame["symbol"].tolist()
        self._written = raw
        usual = self._usual_symbols(raw)
        if usual is None:
            usual = [self._clean_symbol(row, value) for row, value in enumerate(raw)]
        self.symbols = usual
        if self.frame["symbol"].dtype != _STR or usual != raw:
            self.frame["symbol"] = pd.array(usual, dtype="str")
        return usual

    @staticmethod
    def _usual_symbols(raw: list[object]) -> list[str] | None:
        """Accept the whole column at once if every symbol is already clean, which is the usual case."""
        if not set(map(type, raw)) <= {str}:
            return None
        symbols = cast("list[str]", raw)
        text = "".join(symbols)
        if "" in symbols or max(map(len, symbols), default=0) > _MAX_SYMBOL or not _USUAL.fullmatch(text):
            return None
        has_margin = " " in text and any(symbol != symbol.strip(" ") for symbol in symbols)
        return None if has_margin else symbols

    def _clean_symbol(self, row: int, value: object) -> str:
        if is_missing(value):
            self.problem("symbol_missing", "the symbol is empty", row, "symbol")
            return ""
        if not isinstance(value, str):
            self.problem(
                "symbol_dtype", f"{shown(value)} is not text; write it in quotes, as 'SPY'", row, "symbol"
            )
            return shown(value)
        symbol = value.strip(" ").upper() if value.isascii() else value
        if not symbol.strip():
            self.problem("symbol_missing", "the symbol is empty", row, "symbol")
        elif len(symbol) > _MAX_SYMBOL:
            self.problem(
                "symbol_too_long", f"{symbol[:12]!a}... has {len(symbol)} characters, over 32", row, "symbol"
            )
        elif _ONE_SYMBOL.fullmatch(symbol) is None:
            self.problem(
                "symbol_illegal_char",
                f"{symbol!a} has a character that no symbol has; letters A-Z, digits, ' ', '.', '-', '/'",
                row,
                "symbol",
            )
        else:
            return self._broker_spelling(row, symbol)
        return ascii(symbol)[1:-1][:_MAX_SYMBOL]

    def _broker_spelling(self, row: int, symbol: str) -> str:
        """Spell a US share class as the broker does: BRK.B, BRK-B and BRK/B are ``BRK B``."""
        currency = self.frame["currency"].iloc[row] if "currency" in self.frame.columns else "USD"
        share_class = _SHARE_CLASS.fullmatch(symbol)
        if share_class is None or (isinstance(currency, str) and currency.upper() != "USD"):
            return symbol
        mapped = f"{share_class[1]} {share_class[2]}"
        self.warn("symbol_mapped", f"{symbol} is {mapped} at Interactive Brokers", row, "symbol", mapped)
        return mapped

    def refuse_duplicate_symbols(self, code: str = "duplicate_symbol") -> None:
        """Report every row whose symbol has another row too."""
        if len(set(self.symbols)) == len(self.symbols):
            return
        counts = Counter(symbol for symbol in self.symbols if symbol)
        written = Counter(map(str, self._written))
        for row, symbol in enumerate(self.symbols):
            if counts[symbol] > 1:
                self.problem(
                    code if written[str(self._written[row])] > 1 else f"{code}_normalised",
                    f"{symbol} appears in {counts[symbol]} rows; keep one",
                    row,
                    "symbol",
                )

    def numbers(self, name: str, code: str) -> NDArray[np.float64]:
        """Read a column as floats, NaN where empty; what is not a number is a problem with ``code``."""
        series = self.frame[name]
        if series.dtype.kind in "iuf" and series.dtype != np.float16:
            with np.errstate(over="ignore"):  # a number too large for a float is reported as infinite
                return np.array(series.to_numpy(dtype="float64", na_value=np.nan), dtype="float64")
        values = series.tolist()
        if not all(type(value) is float for value in values):
            values = [self._number(row, value, name, code) for row, value in enumerate(values)]
        return np.array(values, dtype="float64")

    def read_numbers(self, name: str, code: str) -> None:
        """Make a column one of floats, if there is one: see :meth:`numbers`."""
        if name in self.frame.columns and self.frame[name].dtype != np.float64:
            self.frame[name] = self.numbers(name, code)

    def _number(self, row: int, value: object, name: str, code: str) -> float:
        if is_missing(value):
            return np.nan
        if isinstance(value, Decimal):
            return self._decimal(row, value, name)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            hint = "; write 0.1 for 10 %" if isinstance(value, str) and "%" in value else ""
            text = f"{name} {shown(value)} is {type(value).__name__}, not a number{hint}"
            self.refuse(code, text, row, name)
            return np.nan
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf

    def _decimal(self, row: int, value: Decimal, name: str) -> float:
        if value.is_nan():
            return np.nan
        self.warn("decimal_converted", f"{name} {value} was read as {float(value)}", row, name)
        return float(value)

    def number(self, row: int, name: str, code: str) -> float:
        """Read one cell as a float, NaN where it is empty; what is not a number is a problem with ``code``."""
        return self._number(row, self.frame[name].tolist()[row], name, code)

    def texts(
        self,
        name: str,
        default: str | None,
        *,
        upper: bool = True,
        exact: bool = False,
        code: str = "text_invalid",
    ) -> None:
        """Read an optional text column: stripped, upper case, ``default`` where empty or absent.

        ``exact`` keeps spaces and case, for ids; what is not plain text is a problem with ``code``.
        """
        if name not in self.frame.columns:
            self.frame[name] = pd.array([default], dtype="str").repeat(len(self.frame))
            return
        given = self.frame[name]
        written = given.tolist()

        def read(value: object) -> object:
            if not isinstance(value, str):
                return value if default is None and is_missing(value) else default
            text = value if exact else value.strip()
            return (text.upper() if upper and not exact else text) or default

        values, is_plain = written, False
        if given.dtype == _STR or set(map(type, written)) <= _HASHED:  # usual: each distinct value is read once
            distinct = set(written)
            others = {value for value in distinct if not isinstance(value, str)}
            is_plain = _is_plain("".join(distinct - others)) and all(map(is_missing, others))
            if not exact or others or "" in distinct:
                known = {value: read(value) for value in distinct}
                is_clean = all(text is value or text == value for value, text in known.items())
                values = written if is_clean else list(map(known.__getitem__, written))
        else:
            values = list(map(read, written))
        if not is_plain:
            values = list(values)
            for row, value in enumerate(written):
                if not _is_plain(value):
                    self.refuse(code, f"{name} {shown(value)} is not plain text", row, name)
                    values[row] = default
        if given.dtype != _STR or values is not written:
            self.frame[name] = pd.array(values, dtype="str")

    def is_refused(self, name: str, row: int) -> bool:
        """Whether a cell already has a problem."""
        return (name, row) in self._refused

    def times(self, name: str) -> None:
        """Read a time column as UTC; a time without a zone is a problem, because it is ambiguous."""
        series = self.frame[name]
        if series.dtype == _TIME:
            return
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            self.frame[name] = series.astype(_TIME)
            return
        values = [self._time(row, value, name) for row, value in enumerate(series.tolist())]
        self.frame[name] = pd.Series(values, index=self.frame.index, dtype=_TIME)

    def _time(self, row: int, value: object, name: str) -> pd.Timestamp | None:
        stamp = as_utc(value, name)
        if isinstance(stamp, Problem):
            self.refuse(stamp.code, stamp.detail, row, name)
            return None
        return stamp

    def done(self) -> pd.DataFrame:
        """Raise if there are problems; else return the canonical frame with its warnings.

        Rows keep the caller's labels if these are unique.
        """
        self.finish()
        frame = self.table.conform(self.frame)
        labels = self._index.take(frame.index.to_numpy())
        if labels.is_unique and labels.name not in frame.columns:
            frame.index = labels
        else:
            frame = frame.reset_index(drop=True)
        frame.attrs = self._kept
        return add_warnings(frame, self.warnings)
