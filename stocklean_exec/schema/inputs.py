"""Input validation: one function for each table that a caller passes.

Each takes a DataFrame, a Series by symbol or a dict and returns the canonical table, or raises one
:class:`~stocklean_exec.InputError` that lists every offending row and column. Code behind it trusts its frames.
Problems of the whole table (structure, types, keys, weights) are errors; a problem of a single order makes its row
``REJECTED``, with a ``reason`` and a ``detail``.

The caller's object is copied, never changed. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.cash_rows import find_cash_rows
from stocklean_exec.schema.frame_validator import (
    FrameValidator,
    as_utc,
    input_warnings,
    is_missing,
    number_option,
    warning_row,
)
from stocklean_exec.schema.keyed_values import known_values
from stocklean_exec.schema.missing_quotes import missing_quotes, with_missing_quotes
from stocklean_exec.schema.order_terms import read_terms
from stocklean_exec.schema.price_steps import PRICE_STEPS, read_steps
from stocklean_exec.schema.tables import POSITIONS, QUOTES, TARGETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FRACTIONAL_STEP",
    "check_target_dates",
    "currencies_by_symbol",
    "opening_positions",
    "parse_positions",
    "parse_quotes",
    "parse_targets",
    "read_whole",
]

FRACTIONAL_STEP = 0.0001
"""Smallest part of a share that Interactive Brokers trades."""

_ROUNDING = 1e-6  # a stated choice: weights normalised in floating point or rounded in a file may exceed one by it
_NOISE = 1e-12  # a stated choice: smaller weights are an optimiser's noise, a cent of ten billion
_LARGEST_WEIGHT = 1e3  # a stated choice: a thousand times NAV is a mistake, such as a value in place of a weight
_LARGEST_LOT = 1e6  # shares; a stated choice, far above the lots of any exchange
_LARGEST_POSITION = 1e12  # shares; a float still resolves ten-thousandths of them
_LOT_NOISE = 1e-9  # floating-point noise of a lot divided by its step
_OLD_TARGETS = pd.Timedelta(days=7)  # a stated choice: most portfolios are rebalanced weekly or more often
_FIRST_ZONE = pd.Timedelta(hours=14)  # UTC+14 is the time zone where a calendar day begins first
_STOCK = "if the stock with that ticker is meant, set sec_type STK in its row"
_DEFAULTS = {"order_type": "MKT", "tif": "DAY", "sec_type": "STK", "exchange": "SMART", "currency": "USD"}


def parse_targets(
    targets: object,
    *,
    allow_short: bool = False,
    max_gross: float = 1.0,
    allow_empty: bool = False,
    allow_liquidation: bool = False,
) -> pd.DataFrame:
    """Targets in canonical form: columns of :data:`~stocklean_exec.schema.tables.TARGETS`, one row per symbol.

    Cash rows (``USD``, ``CASH``, ``CASH_USD``, ...) are removed with a warning ``cash_row``, and count as the
    weight that stays in cash; a row with ``sec_type`` ``STK`` is the stock with that ticker.

    Parameters
    ----------
    targets : DataFrame with symbol and weight, Series of weights by symbol, or dict symbol -> weight
    allow_short : accept negative weights
    max_gross : largest sum of absolute weights; 1 means no leverage
    allow_empty : accept a table without rows
    allow_liquidation : accept a table whose weights are all zero

    Raises
    ------
    InputError
        With every problem of the table; nothing is repaired by guessing.

    Examples
    --------
    >>> parse_targets({"SPY": 0.6, "TLT": 0.4})[["symbol", "weight", "order_type", "tif"]]
      symbol  weight order_type  tif
    0    SPY     0.6        MKT  DAY
    1    TLT     0.4        MKT  DAY
    >>> parse_targets({"SPY": 60.0, "TLT": 40.0})
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: targets: 1 problem
      weights add up to 100: they look like percent; divide by 100 [weights_look_like_percent]
    """
    number_option("max_gross", max_gross, least=0.0)
    validator = FrameValidator(TARGETS, targets, "weight")
    cash = _remove_cash_targets(validator)
    validator.read_symbols()
    validator.refuse_duplicate_symbols()
    weights = _read_weights(validator)
    wants_cash = len(cash) > 0 or validator.has_warned("cash_row")
    if not len(weights) and not allow_empty and not wants_cash:
        validator.problem("empty_targets", "there are no rows; to sell everything, give weights of 0")
    if np.isfinite(weights).all() and np.isfinite(cash).all():
        weights = _without_noise(validator, weights)
        _check_sums(validator, weights, cash, allow_short=allow_short, max_gross=max_gross)
        if len(weights) or wants_cash:
            _check_liquidation(validator, weights, allowed=allow_liquidation)
    validator.frame["weight"] = weights
    for name, default in _DEFAULTS.items():
        validator.texts(name, default, upper=name != "currency")  # GBp is a hundredth of GBP
    validator.texts("account", None, upper=False)
    validator.texts("primary_exchange", None)
    for name in ("limit_price", "lot_size"):
        validator.read_numbers(name, f"{name}_dtype")
    read_terms(validator)
    read_whole(validator, "con_id")
    _check_lots(validator)
    return validator.done()


def _read_weights(validator: FrameValidator) -> NDArray[np.float64]:
    weights = validator.numbers("weight", "weight_dtype")
    empty = validator.empty_at("weight", weights)
    text = "the weight is empty; write 0 to hold none"
    validator.problems_at(empty, "weight_missing", lambda _: text, "weight")
    validator.problems_at(np.isinf(weights), "weight_not_finite", lambda _: "the weight is infinite", "weight")
    return weights


def _remove_cash_targets(validator: FrameValidator) -> NDArray[np.float64]:
    """Remove the cash rows, with a warning for each, and return their weights."""
    given = validator.frame["sec_type"].tolist() if "sec_type" in validator.frame.columns else None
    symbols = validator.frame["symbol"].tolist()
    found = find_cash_rows(symbols, given, cash_types=("", "CASH"))
    weights = np.array([validator.number(row, "weight", "weight_dtype") for row in found.cash], dtype="float64")
    for row, weight in zip(found.cash, weights.tolist(), strict=True):
        name = symbols[row].strip()
        if validator.is_refused("weight", row):
            continue
        if math.isnan(weight):
            validator.problem(
                "weight_missing", f"the weight of {name} is empty; write 0 to hold none", row, "weight"
            )
        elif math.isinf(weight):
            validator.problem("weight_not_finite", f"the weight of {name} is infinite", row, "weight")
        elif abs(weight) > _LARGEST_WEIGHT:
            validator.problem("weight_out_of_range", f"weight {weight:g} of {name} is out of range", row, "weight")
        else:
            what = f"{weight:.6g} of NAV stays in cash" if weight >= 0 else f"{-weight:.6g} of NAV is borrowed"
            validator.warn("cash_row", f"{name} is read as cash: {what}; {_STOCK}", row, "symbol", name)
    _note_unclear(validator, found.unclear)
    validator.drop_rows(found.cash)
    return weights


def _note_unclear(validator: FrameValidator, rows: list[int]) -> None:
    for row in rows:
        name = validator.frame["symbol"].tolist()[row].strip().upper()
        text = f"{name} is read as the stock with that ticker, but is a currency code too; remove cash rows"
        validator.warn("currency_or_stock", f"{text}, or set sec_type STK for the stock", row, "symbol", name)


def _check_liquidation(validator: FrameValidator, weights: NDArray[np.float64], *, allowed: bool) -> None:
    if weights.any():
        return
    what = "all weights are 0" if len(weights) else "there is nothing but cash"
    if allowed:
        validator.warn("full_liquidation", f"{what}: everything is sold")
    else:
        validator.problem("full_liquidation", f"{what}; use allow_liquidation=True to sell everything")


def _check_lots(validator: FrameValidator) -> None:
    """Check lots: whole shares, or a multiple of a ten-thousandth below one share."""
    if "lot_size" not in validator.frame.columns:
        return
    lots = validator.frame["lot_size"].to_numpy(dtype="float64")
    step = np.where(lots < 1, FRACTIONAL_STEP, 1.0)
    with np.errstate(invalid="ignore"):
        known = (lots >= FRACTIONAL_STEP) & (lots <= _LARGEST_LOT)
        known &= np.abs(lots / step - np.round(lots / step)) < _LOT_NOISE
    validator.problems_at(
        ~known & ~np.isnan(lots),
        "lot_size",
        lambda row: f"lot_size {lots[row]:g} is neither whole shares nor a part of one in steps of 0.0001",
        "lot_size",
    )


def _without_noise(validator: FrameValidator, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.abs(weights)
    damaged = (size > _LARGEST_WEIGHT) | ((size > 0) & (size < np.finfo("float64").tiny))
    validator.problems_at(
        damaged, "weight_out_of_range", lambda row: f"weight {weights[row]:g} is out of range", "weight"
    )
    noise = (size > 0) & (size < _NOISE) & ~damaged
    for row in np.flatnonzero(noise).tolist():
        validator.warn("tiny_weight", f"weight {weights[row]:g} is read as 0", row, "weight")
    return np.where(noise, 0.0, weights)


def _check_sums(
    validator: FrameValidator,
    weights: NDArray[np.float64],
    cash: NDArray[np.float64],
    *,
    allow_short: bool,
    max_gross: float,
) -> None:
    gross, longs = math.fsum(np.abs(weights).tolist()), math.fsum(weights[weights > 0].tolist())
    every = np.abs([*weights.tolist(), *cash.tolist()])
    size, total = math.fsum(every.tolist()), math.fsum([*weights.tolist(), *cash.tolist()])
    if every.max(initial=0.0) > 1.5 and 95 <= size <= 105:  # noqa: PLR2004 - around 100 percent
        validator.problem(
            "weights_look_like_percent", f"weights add up to {size:g}: they look like percent; divide by 100"
        )
        return
    if not allow_short:
        validator.problems_at(
            weights < 0,
            "short_not_allowed",
            lambda row: f"weight {weights[row]:g} is short; use allow_short=True to allow it",
            "weight",
        )
    if max_gross <= 1 and longs > 1 + _ROUNDING:
        validator.problem(
            "weights_exceed_one",
            f"long weights add up to {longs:.6g}, over 1; scale them, or give max_gross for leverage",
        )
    elif gross > max_gross + _ROUNDING:
        validator.problem("gross_limit", f"absolute weights add up to {gross:.6g}, over max_gross {max_gross:g}")
    elif len(cash) and total > 1 + _ROUNDING:
        validator.problem(
            "weights_exceed_one",
            f"weights and cash rows add up to {total:.6g}, over 1; scale them, or remove the cash rows",
        )
    elif len(cash) and len(weights) and total < 1 - _ROUNDING:
        validator.warn("residual_cash", f"weights and cash rows add up to {total:.6g}; the rest stays in cash")
    elif not validator.has_warned("cash_row") and len(weights) and 0 < total < 1 - _ROUNDING:
        validator.warn("residual_cash", f"weights add up to {total:.6g}; the rest stays in cash")


def read_whole(validator: FrameValidator, name: str) -> None:
    """Read a column of whole numbers, such as contract numbers, if there is one; any other is ``<name>_dtype``."""
    if name not in validator.frame.columns:
        return
    values = validator.numbers(name, f"{name}_dtype")
    with np.errstate(invalid="ignore"):
        bad = ~np.isnan(values) & ((values != np.floor(values)) | (np.abs(values) > 2**53))
    validator.problems_at(bad, f"{name}_dtype", lambda row: f"{name} {values[row]:g} is not whole", name)
    values = np.where(bad, np.nan, values)
    validator.frame[name] = pd.array(values, dtype="Float64").astype("Int64")


def parse_positions(positions: object) -> pd.DataFrame:
    """Positions in canonical form; None is "no positions". A currency that is not given stays empty.

    Cash rows (``USD``, ``CASH``, ``CASH_USD``, ...) without a ``sec_type`` are removed with a warning
    ``cash_row``; a row with ``sec_type`` ``STK`` is the stock with that ticker.

    Raises
    ------
    InputError
        A quantity is missing, infinite or out of range, a symbol has two rows of one contract (give one account),
        or two rows without contract numbers differ in currency or type.

    Examples
    --------
    >>> parse_positions({"SPY": 100, "TLT": -20.0})[["symbol", "quantity"]]
      symbol  quantity
    0    SPY     100.0
    1    TLT     -20.0
    """
    if positions is None:
        return POSITIONS.empty()
    validator = FrameValidator(POSITIONS, positions, "quantity")
    _remove_cash_positions(validator)
    symbols = validator.read_symbols()
    quantity = validator.numbers("quantity", "position_dtype")
    bad = validator.empty_at("quantity", quantity) | np.isinf(quantity)
    validator.problems_at(
        bad,
        "position_not_finite",
        lambda row: f"quantity {quantity[row]:g} is not a number of shares",
        "quantity",
    )
    validator.problems_at(
        np.isfinite(quantity) & (np.abs(quantity) > _LARGEST_POSITION),
        "position_out_of_range",
        lambda row: f"quantity {quantity[row]:g} is out of range",
        "quantity",
    )
    validator.frame["quantity"] = quantity
    validator.texts("currency", None, upper=False)
    validator.texts("sec_type", "STK")
    validator.texts("primary_exchange", None)
    validator.texts("account", None, upper=False)
    validator.read_numbers("avg_cost", "avg_cost_dtype")
    read_whole(validator, "con_id")
    _refuse_ambiguous(validator, symbols)
    return validator.done()


def currencies_by_symbol(positions: pd.DataFrame, quotes: pd.DataFrame) -> dict[str, str]:
    """Currency of each symbol for which a validated table names one; that of the quote where both do.

    Examples
    --------
    >>> held = parse_positions(pd.DataFrame({"symbol": ["SAP"], "quantity": 100, "currency": "EUR"}))
    >>> currencies_by_symbol(held, parse_quotes({"SPY": 400.0}))
    {'SAP': 'EUR'}
    """
    return dict(known_values(positions, "currency")) | dict(known_values(quotes, "currency"))


def opening_positions(positions: object) -> pd.DataFrame:
    """Opening positions of a simulated account: as :func:`parse_positions`, but a cash row is an error.

    Removing the row would give the account another cash balance than the caller wrote.

    Examples
    --------
    >>> opening_positions({"SPY": 100, "USD": 5_000})
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: positions: 1 problem
      row 1 (USD): is cash; give the account's cash balance as cash=, ... [cash_row]
    """
    held = parse_positions(positions)
    twice = held.loc[held["symbol"].duplicated(), "symbol"].tolist()
    if twice:
        text = "is held in two contracts, and this account knows symbols only"
        raise InputError(POSITIONS.name, [Problem("ambiguous_position", text, symbol=symbol) for symbol in twice])
    found = input_warnings(held)
    hint = "or set sec_type STK in the row if the stock with that ticker is meant"
    problems = [
        Problem("cash_row", f"is cash; give the account's cash balance as cash=, {hint}", row, symbol, "symbol")
        for row, symbol, code, table in found[["row", "symbol", "code", "table"]].itertuples(index=False)
        if (code, table) == ("cash_row", POSITIONS.name)
    ]
    if problems:
        raise InputError(POSITIONS.name, problems)
    return held


def _remove_cash_positions(validator: FrameValidator) -> None:
    """Remove the cash rows: 5,000 USD is not a position of 5,000 shares."""
    given = validator.frame["sec_type"].tolist() if "sec_type" in validator.frame.columns else None
    symbols = validator.frame["symbol"].tolist()
    found = find_cash_rows(symbols, given)  # rows of sec_type CASH from the broker are kept
    for row in found.cash:
        name = symbols[row].strip()
        validator.warn("cash_row", f"{name} is read as cash, and not as a position; {_STOCK}", row, "symbol", name)
    _note_unclear(validator, found.unclear)
    validator.drop_rows(found.cash)


def _refuse_ambiguous(validator: FrameValidator, symbols: list[str]) -> None:
    """Report every row whose symbol has another row too, and how the rows differ.

    Two contracts of one symbol, each with its number, are two holdings.
    """
    if len(set(symbols)) == len(symbols):
        return
    rows: dict[str, list[int]] = {}
    for row, symbol in enumerate(symbols):
        rows.setdefault(symbol, []).append(row)
    kinds = list(
        zip(*(validator.frame[name].fillna("").tolist() for name in ("currency", "sec_type")), strict=True)
    )
    contracts = (
        validator.frame["con_id"].tolist() if "con_id" in validator.frame.columns else [None] * len(symbols)
    )
    for symbol, same in rows.items():
        numbers = [contracts[row] for row in same]
        if not symbol or len(same) == 1 or (not any(map(pd.isna, numbers)) and len(set(numbers)) == len(numbers)):
            continue
        code, why = (
            ("ambiguous_instrument", "with different currency or type")
            if len({kinds[row] for row in same}) > 1
            else ("ambiguous_position", "(two accounts?); keep the account that trades")
        )
        for row in same:
            validator.problem(code, f"{symbol} appears in {len(same)} rows {why}", row, "symbol")


def parse_quotes(quotes: object) -> pd.DataFrame:
    """Quotes in canonical form, one row per symbol: the latest one by ``quoted_at``.

    Parameters
    ----------
    quotes : DataFrame with symbol, quoted_at and any of bid, ask, last, close; or a mapping (or Series) symbol ->
        price, which is read as the last price at an unknown time. Without a currency, the quote has the currency
        of the symbol's target.

    Raises
    ------
    InputError
        Prices are text, times have no zone, or a symbol has two different rows without times; of equal rows one
        counts. A price that is missing, zero, negative, infinite or crossed is not an error here: an order that
        needs it is rejected.

    Examples
    --------
    >>> parse_quotes({"SPY": 123.0})[["symbol", "bid", "ask", "last"]]
      symbol  bid  ask   last
    0    SPY  NaN  NaN  123.0
    """
    validator = FrameValidator(QUOTES, {} if quotes is None else quotes, "last")
    symbols = validator.read_symbols()
    for name in ("bid", "ask", "last", "close", "bid_size", "ask_size"):
        validator.read_numbers(name, "price_dtype")
    validator.texts("currency", None, upper=False)
    if "quoted_at" in validator.frame.columns:
        validator.times("quoted_at")
    _read_price_steps(validator)
    if len(set(symbols)) != len(symbols):
        _keep_latest(validator)
    return with_missing_quotes(validator.done(), missing_quotes(quotes))


def _read_price_steps(validator: FrameValidator) -> None:
    """Refuse price steps that cannot be read."""
    if PRICE_STEPS not in validator.frame.columns:
        return
    for row, text in enumerate(validator.frame[PRICE_STEPS].tolist()):
        if is_missing(text) or text == "":
            continue
        try:
            read_steps(str(text))
        except ValueError as error:
            validator.problem("price_steps_invalid", f"price_steps {error}", row, PRICE_STEPS)


def _keep_latest(validator: FrameValidator) -> None:
    """Keep the latest row of each symbol; two different rows at one time contradict each other."""
    frame = validator.frame
    frame = frame[~frame.astype("str").duplicated()]  # as text, because a caller's own columns may hold anything
    times = frame["quoted_at"] if "quoted_at" in frame.columns else pd.Series(pd.NaT, index=frame.index)
    keys = pd.DataFrame({"symbol": frame["symbol"], "time": times})
    twice = keys["symbol"].duplicated(keep=False)
    unclear = (twice & (times.isna() | keys.duplicated(keep=False))).to_numpy(dtype=bool)
    for row, symbol in frame.loc[unclear, "symbol"].items():
        text = f"{symbol} appears in several different rows, and no quoted_at says which is the latest"
        validator.problem("duplicate_price", text, cast("int", row), "symbol")
    if not unclear.any():
        latest = keys.sort_values("time", kind="stable").drop_duplicates("symbol", keep="last").index
        validator.frame = frame.loc[latest.sort_values()]


def check_target_dates(targets: pd.DataFrame, decided_at: pd.Timestamp | None) -> list[dict[str, object]]:
    """Check the targets' dates, if they have a column ``as_of``, against the time of the decision.

    A date without a time starts at its earliest time in any zone, so that today's date in Sydney is not rejected
    as a date in the future.

    Returns
    -------
    list of warnings : targets older than seven days

    Raises
    ------
    InputError
        Targets dated in the future (``target_date``), or an ``as_of`` that is not a date.

    Examples
    --------
    >>> targets = parse_targets(pd.DataFrame({"symbol": ["SPY"], "weight": 1.0, "as_of": "2026-11-24"}))
    >>> check_target_dates(targets, pd.Timestamp("2026-11-23 09:00", tz="UTC"))
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: targets: 1 problem
      SPY: as_of 2026-11-24 is after the decision at 2026-11-23 09:00:00+00:00 [target_date]
    """
    if "as_of" not in targets.columns or decided_at is None:
        return []
    problems: list[Problem] = []
    warnings: list[dict[str, object]] = []
    for symbol, value in zip(targets["symbol"].tolist(), targets["as_of"].tolist(), strict=True):
        start = _first_moment(value)
        if isinstance(start, Problem):
            problems.append(start._replace(symbol=symbol))
        elif start is not None and start > decided_at:
            text = f"as_of {value} is after the decision at {decided_at}"
            problems.append(Problem("target_date", text, symbol=symbol, column="as_of"))
        elif start is not None and decided_at - start > _OLD_TARGETS:
            text = f"as_of {value} is {(decided_at - start).days} days before the decision"
            warnings.append(warning_row("target_date", text, table="targets", symbol=symbol, column="as_of"))
    if problems:
        raise InputError("targets", problems)
    return warnings


def _first_moment(value: object) -> pd.Timestamp | Problem | None:
    """The earliest time that ``value``, a date or a time, can mean; None where it is empty."""
    stamp = as_utc(value, "as_of")
    if isinstance(stamp, Problem) and stamp.code == "naive_time":
        day = pd.Timestamp(value)  # type: ignore[arg-type]  # it was read as a time before
        stamp = as_utc(day.tz_localize("UTC"), "as_of")
        if isinstance(stamp, pd.Timestamp):
            return stamp - _FIRST_ZONE
    return stamp
