"""Validation of orders: planned, hand-made, and edited in a review.

A problem of the whole frame (structure, ids, sides) is an error that lists every offending row. A problem of a
single order makes its row ``REJECTED``, with a stable ``reason`` and a ``detail``. Pure.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError
from stocklean_exec.schema.frame_validator import FrameValidator, add_warnings, number_option, shown, warning_row
from stocklean_exec.schema.inputs import FRACTIONAL_STEP, read_whole
from stocklean_exec.schema.order_ids import (
    are_valid_client_order_ids,
    client_order_id,
    is_valid_client_order_id,
    is_valid_run_id,
)
from stocklean_exec.schema.order_terms import (
    CAPPED,
    ORDER_PERMISSIONS,
    ORDER_TYPES,
    REFERENCE_PRICE,
    STOPS,
    TERM_COLUMNS,
    TIFS,
    TIFS_OF_TYPE,
    OrderTerms,
    has_terms,
    limit_problem,
    offset_limits,
    permission_problem,
    read_terms,
    reference_prices,
    term_problems,
    terms_of,
)
from stocklean_exec.schema.price_steps import PRICE_STEPS, steps_at
from stocklean_exec.schema.prices import PRICE_FIELDS, is_usable, mid_or_last, round_to_tick, tick_sizes
from stocklean_exec.schema.tables import ORDER_STATUSES, ORDERS, QUOTES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "MAX_QUANTITY",
    "ORDER_TYPES",
    "SEC_TYPES",
    "SIDES",
    "TIFS",
    "WORKING",
    "describe_open_orders",
    "find_order_problem",
    "parse_open_orders",
    "parse_orders",
    "support_problems",
]

SIDES = ("BUY", "SELL")
SEC_TYPES = ("STK",)
MAX_QUANTITY = 2**31 - 2
"""Maximum shares of one order: one more is TWS's sentinel for "not set"."""

_UNEXPLAINED = "rejected"  # the reason of a REJECTED row without one
WORKING = ("NEW", "SUBMITTED", "PARTIAL", "UNKNOWN")
"""Statuses of orders that may still trade."""
_NO_TERMS = OrderTerms()
_NOISE = 1e-9  # floating-point noise: a quantity this close to a whole number of steps, relatively, is that number

_OPEN_ORDERS = Table(
    "open_orders",
    "one order that is working",
    tuple(
        dataclasses.replace(column, required=column.name in ("symbol", "side", "quantity"))
        for column in ORDERS.columns
        if column.name in ("symbol", "side", "quantity", "filled_quantity", "status")
    ),
)

_OPTIONAL_NUMBERS = (
    "limit_price",
    "decision_price",
    "arrival_bid",
    "arrival_ask",
    "arrival_price",
    "target_weight",
    "current_quantity",
    "target_quantity",
    "notional",
    "filled_quantity",
    "avg_fill_price",
    "commission",
    "lot_size",
    "tick_size",
    "planned_quantity",
    "max_gross",
)


def parse_orders(orders: object, quotes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Orders in canonical form; see :data:`~stocklean_exec.schema.tables.ORDERS`.

    A missing client order id is made from run, symbol and side. A missing tif is ``DAY``: otherwise TWS's presets
    would set one. With a validated table of ``quotes``, a limit that is given as an offset becomes a price, and an
    order of a type that its contract does not take is rejected (``order_type_not_permitted``).

    Raises
    ------
    InputError
        Columns are missing, a side is not ``BUY`` or ``SELL``, an id is invalid or appears twice, or a symbol is
        both bought and sold.

    Examples
    --------
    >>> import pandas as pd
    >>> orders = pd.DataFrame({
    ...     "run_id": "run-1", "symbol": ["SPY", "TLT"], "side": ["BUY", "SELL"],
    ...     "quantity": [10, -5], "order_type": "MKT",
    ... })
    >>> parse_orders(orders)[["client_order_id", "quantity", "status", "reason"]]
      client_order_id  quantity    status             reason
    0   run-1-SPY-BUY      10.0       NEW                NaN
    1  run-1-TLT-SELL      -5.0  REJECTED  quantity_negative
    """
    if isinstance(orders, pd.DataFrame) and "client_order_id" not in orders.columns:
        named = orders.index.name == "client_order_id"
        orders = orders.reset_index() if named else orders.assign(client_order_id=None)
    validator = FrameValidator(ORDERS, orders, "quantity")
    symbols = validator.read_symbols()
    _read_sides(validator)
    for name, default in (("order_type", None), ("tif", "DAY"), ("sec_type", "STK"), ("exchange", "SMART")):
        validator.texts(name, default)
    validator.texts("currency", "USD", upper=False)
    for name in ("run_id", "client_order_id"):
        validator.texts(name, None, exact=True, code=f"{name}_invalid")
    for name in ("account", "status", "reason"):
        validator.texts(name, None, upper=False)
    read_whole(validator, "con_id")
    if "primary_exchange" in validator.frame.columns:
        validator.texts("primary_exchange", None)
    _read_keys(validator, symbols)
    _check_statuses(validator)
    quantity, found = _quantities(validator.frame["quantity"])
    validator.frame["quantity"] = quantity
    for name in _OPTIONAL_NUMBERS:
        validator.read_numbers(name, f"{name}_dtype")
    given = read_terms(validator)
    for name in ("decided_at", "arrived_at"):
        if name in validator.frame.columns:
            validator.times(name)
    frame = validator.done()
    market = QUOTES.empty() if quotes is None else quotes
    _resolve_offsets(frame, market)
    _read_steps_of_market(frame, market)
    _reject_rows(frame, found, given)
    _reject_unpermitted(frame, market)
    return _note_stops(_note_odd_lots(frame))


def parse_open_orders(orders: object) -> dict[str, float]:
    """Signed quantity still working in each symbol, from a table of orders; finished orders do not count.

    Parameters
    ----------
    orders : DataFrame with symbol, side and quantity; filled_quantity and status if known. None for no orders

    Raises
    ------
    InputError
        A column is missing, a side is not ``BUY`` or ``SELL``, or a quantity is not a number above 0
        (``open_order_invalid``): the committed quantity is unknown.

    Examples
    --------
    >>> parse_open_orders(pd.DataFrame({"symbol": ["SPY"], "side": "SELL", "quantity": 10, "filled_quantity": 4}))
    {'SPY': -6.0}
    """
    if orders is None:
        return {}
    validator = FrameValidator(_OPEN_ORDERS, orders, "quantity")
    symbols = validator.read_symbols()
    _read_sides(validator)
    validator.texts("status", "SUBMITTED", upper=False)
    _check_statuses(validator)
    quantity = validator.numbers("quantity", "open_order_invalid")
    filled = np.zeros(len(symbols))
    if "filled_quantity" in validator.frame.columns:
        filled = validator.numbers("filled_quantity", "open_order_invalid")
        filled = np.where(np.isnan(filled), 0.0, filled)
    bad = validator.empty_at("quantity", quantity) | ~np.isfinite(filled)
    bad |= ~np.isnan(quantity) & ~((quantity > 0) & (quantity <= MAX_QUANTITY))
    validator.problems_at(
        bad,
        "open_order_invalid",
        lambda row: f"{filled[row]:g} of {quantity[row]:g} shares filled: not a working order",
        "quantity",
    )
    validator.finish()
    working: dict[str, float] = {}
    for row, (side, status) in enumerate(zip(validator.frame["side"], validator.frame["status"], strict=True)):
        left = float(quantity[row] - filled[row])
        if status in WORKING and left > 0:
            working[symbols[row]] = working.get(symbols[row], 0.0) + (left if side == "BUY" else -left)
    return working


def describe_open_orders(orders: object) -> dict[str, str]:
    """Describe the working orders of each symbol and who placed them; for a validated table.

    Examples
    --------
    >>> working = pd.DataFrame({
    ...     "symbol": "SPY", "side": ["BUY", "SELL"], "quantity": [10.0, 5.0], "filled_quantity": [4.0, 0.0],
    ...     "client_order_id": ["run-1-SPY-BUY", None], "client_id": [7, 0],
    ... })
    >>> describe_open_orders(working)
    {'SPY': 'BUY 6, run-1-SPY-BUY, placed by client id 7; SELL 5, placed by client id 0 or by hand in TWS'}
    """
    if not isinstance(orders, pd.DataFrame):
        return {}
    names = ("symbol", "side", "quantity", "filled_quantity", "client_order_id", "client_id", "run_id", "status")
    columns = [orders[name].tolist() if name in orders.columns else [None] * len(orders) for name in names]
    found: dict[str, list[str]] = {}
    for symbol, side, quantity, filled, name, client_id, run_id, status in zip(*columns, strict=True):
        left = quantity - (0.0 if filled is None or pd.isna(filled) else filled)
        if left <= 0:
            continue
        parts = [f"{side} {left:,.10g}", *([name] if isinstance(name, str) else [])]
        if status == "UNKNOWN":
            parts.append(f"status unknown, it may be working; resume or resolve run {run_id}")
        elif client_id == 0:
            parts.append("placed by client id 0 or by hand in TWS")
        elif client_id is not None and not pd.isna(client_id):
            parts.append(f"placed by client id {int(client_id)}")
        found.setdefault(str(symbol), []).append(", ".join(parts))
    return {symbol: "; ".join(texts) for symbol, texts in found.items()}


def _read_sides(validator: FrameValidator) -> None:
    """Read the sides; lower case is accepted with a warning."""
    written = validator.frame["side"].tolist() if "side" in validator.frame.columns else []
    validator.texts("side", None, code="side_invalid")
    sides = validator.frame["side"].tolist()
    if set(sides) <= set(SIDES) and sides == list(map(str, written)):
        return
    for row, side in enumerate(sides):
        if side in SIDES:
            if row < len(written) and written[row] != side:
                validator.warn("side_mapped", f"side {written[row]!r} was read as {side}", row, "side")
        elif not validator.is_refused("side", row):
            validator.refuse("side_invalid", f"side {shown(side)} is not BUY or SELL", row, "side")


def _check_statuses(validator: FrameValidator) -> None:
    if set(validator.frame["status"].tolist()) <= set(ORDER_STATUSES):
        return
    for row, status in enumerate(validator.frame["status"].tolist()):
        if isinstance(status, str) and status not in ORDER_STATUSES:
            text = f"status {shown(status)} is not one of {', '.join(ORDER_STATUSES)}"
            validator.refuse("status_invalid", text, row, "status")


def _note_odd_lots(frame: pd.DataFrame) -> pd.DataFrame:
    """Warn of orders that are not a multiple of their lot, unless they close a position."""
    if "lot_size" not in frame.columns:
        return frame
    lot = frame["lot_size"].to_numpy(dtype="float64")
    if not (lot > 1).any():
        return frame
    quantity = frame["quantity"].to_numpy(dtype="float64")
    odd = (frame["status"] != "REJECTED").to_numpy(dtype=bool) & (lot > 1)
    odd &= (frame["target_quantity"] != 0).to_numpy(dtype=bool)
    odd[odd] = np.mod(quantity[odd], lot[odd]) != 0
    texts = {
        row: f"{quantity[row]:g} is not a multiple of lot_size {lot[row]:g}"
        for row in np.flatnonzero(odd).tolist()
    }
    return _warn(frame, "lot_size", texts, "quantity")


def _warn(frame: pd.DataFrame, code: str, texts: dict[int, str], column: str) -> pd.DataFrame:
    """Add one warning about a column for each row position in ``texts``."""
    symbols = frame["symbol"]
    return add_warnings(
        frame,
        [
            warning_row(
                code, text, table="orders", row=frame.index[row], symbol=str(symbols.iloc[row]), column=column
            )
            for row, text in texts.items()
        ],
    )


def _resolve_offsets(frame: pd.DataFrame, quotes: pd.DataFrame) -> None:
    """Compute the limits that are given as offsets and have no price yet, and note what they were counted from."""
    offset, limit = (frame[name].to_numpy(dtype="float64") for name in ("limit_offset_bps", "limit_price"))
    due = ~np.isnan(offset) & np.isnan(limit)
    if due.any():
        due &= (frame["status"] != "REJECTED").to_numpy(dtype=bool)
    if not due.any():
        return
    market = quotes.drop_duplicates("symbol").set_index("symbol").reindex(frame["symbol"].tolist())
    prices = {name: market[name].to_numpy(dtype="float64") for name in PRICE_FIELDS}
    decided, buy = frame["decision_price"].to_numpy(dtype="float64"), (frame["side"] == "BUY").to_numpy(dtype=bool)
    usual = np.where(is_usable(decided), decided, mid_or_last(**prices))
    reference = reference_prices(frame["limit_reference"].tolist(), buy, prices, usual)
    tick = (
        frame["tick_size"].to_numpy(dtype="float64")
        if "tick_size" in frame.columns
        else np.full(len(frame), math.nan)
    )
    made = offset_limits(reference, offset, buy)
    usual = tick_sizes(made)
    if PRICE_STEPS in market.columns:
        reported = steps_at(made, market[PRICE_STEPS].tolist())
        usual = np.where(np.isnan(reported), usual, reported)
    made = round_to_tick(made, np.where(np.isnan(tick), usual, tick), buy)
    frame["limit_price"] = np.where(due, made, limit)
    known = frame[REFERENCE_PRICE].to_numpy(dtype="float64") if REFERENCE_PRICE in frame.columns else math.nan
    frame[REFERENCE_PRICE] = np.where(due, reference, known)


def _read_steps_of_market(frame: pd.DataFrame, quotes: pd.DataFrame) -> None:
    """Give orders with a limit the price step that the quotes have for it, where they have none of their own."""
    if PRICE_STEPS not in quotes.columns or frame["limit_price"].isna().all():
        return
    reported = dict(zip(quotes["symbol"].tolist(), quotes[PRICE_STEPS].tolist(), strict=True))
    steps = [reported.get(symbol) for symbol in frame["symbol"].tolist()]
    found = steps_at(frame["limit_price"].to_numpy(dtype="float64"), steps)
    known = frame["tick_size"].to_numpy(dtype="float64") if "tick_size" in frame.columns else found
    if not np.isnan(found).all():
        frame["tick_size"] = np.where(np.isnan(known), found, known)


def _reject_unpermitted(frame: pd.DataFrame, quotes: pd.DataFrame) -> None:
    """Reject the orders of types, times in force or algorithms that the quotes say their contracts do not take."""
    if ORDER_PERMISSIONS not in quotes.columns:
        return
    permitted = dict(zip(quotes["symbol"].tolist(), quotes[ORDER_PERMISSIONS].tolist(), strict=True))
    names = ("symbol", "order_type", "tif", "good_after", "algo", "status")
    places = [list(frame.columns).index(name) for name in ("status", "reason", "detail")]
    for row, (symbol, kind, tif, after, algo, status) in enumerate(
        zip(*(frame[name].tolist() for name in names), strict=True)
    ):
        tokens = permitted.get(symbol)
        if status == "REJECTED" or not isinstance(tokens, str):
            continue
        text = permission_problem(
            kind, tif, tokens.split(), starts_later=not pd.isna(after), has_algo=isinstance(algo, str)
        )
        if text:
            code = "order_type_not_permitted"
            for place, value in zip(places, ("REJECTED", code, f"{code}: {text}"), strict=True):
                frame.iloc[row, place] = value


def _note_stops(frame: pd.DataFrame) -> pd.DataFrame:
    """Warn of stops whose trigger is on the wrong side of the decision price: they trade at once."""
    is_stop = frame["order_type"].isin(STOPS).to_numpy(dtype=bool)
    if not is_stop.any():
        return frame
    is_stop = is_stop & (frame["status"] != "REJECTED").to_numpy(dtype=bool)
    trigger, price = (frame[name].to_numpy(dtype="float64") for name in ("aux_price", "decision_price"))
    buy = (frame["side"] == "BUY").to_numpy(dtype=bool)
    reached = is_stop & np.where(buy, trigger <= price, trigger >= price)
    texts = {
        row: f"the market of {price[row]:g} has passed the trigger of {trigger[row]:g}: it would trade at once"
        for row in np.flatnonzero(reached).tolist()
    }
    return _warn(frame, "stop_triggered", texts, "aux_price")


def _read_keys(validator: FrameValidator, symbols: list[str]) -> None:
    frame = validator.frame
    sides, runs = frame["side"].tolist(), frame["run_id"].tolist()
    valid_runs = {run_id for run_id in set(runs) if is_valid_run_id(run_id)}
    given_ids = frame["client_order_id"].tolist()
    is_usual = len(valid_runs) == len(set(runs)) and are_valid_client_order_ids(given_ids)
    ids: list[str] = given_ids if is_usual else []
    for row, (run_id, side, given) in enumerate(() if is_usual else zip(runs, sides, given_ids, strict=True)):
        run_known, is_given = run_id in valid_runs, isinstance(given, str)
        if not run_known and not validator.is_refused("run_id", row):
            text = f"run_id {shown(run_id)} may only have letters, digits, '.', '_', '-'"
            validator.problem("run_id_invalid", text, row, "run_id")
        if is_given and not is_valid_client_order_id(given):
            text = f"{shown(given)} is not 1 to 40 letters, digits, '.', '_' or '-'"
            validator.problem("client_order_id_invalid", text, row, "client_order_id")
        made = client_order_id(run_id, symbols[row], str(side)) if run_known and not is_given else ""
        ids.append(given if is_given else made)
    if not is_usual:
        frame["client_order_id"] = pd.array(ids, dtype="str")
    counts = Counter(ids)
    for row, name in enumerate(ids if len(counts) < len(ids) else ()):
        if name and counts[name] > 1:
            validator.problem(
                "duplicate_client_order_id",
                f"{name} appears in {counts[name]} rows; an id belongs to one order",
                row,
                "client_order_id",
            )
    if len(set(symbols)) < len(symbols):
        _refuse_crosses(validator, symbols)


def _refuse_crosses(validator: FrameValidator, symbols: list[str]) -> None:
    sides, statuses = (validator.frame[name].tolist() for name in ("side", "status"))
    rows = zip(symbols, sides, statuses, strict=True)
    found = {(symbol, side) for symbol, side, status in rows if status != "REJECTED"}
    both = {symbol for symbol, side in found if side == "BUY" and (symbol, "SELL") in found}
    if not both:
        return
    for row, symbol in enumerate(symbols):
        if symbol in both:
            validator.problem("self_cross", f"{symbol} is both bought and sold; trade the difference", row, "side")


def _quantities(series: pd.Series[float]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Quantities as floats, and the rows whose cell is not a quantity."""
    if series.dtype.kind in "iuf":
        return np.array(series.to_numpy(dtype="float64", na_value=np.nan)), {}
    values = np.full(len(series), np.nan)
    found: dict[int, str] = {}
    for row, value in enumerate(series.to_numpy(dtype=object).tolist()):
        try:
            values[row] = number_option("quantity", value)
        except InputError:
            found[row] = f"quantity {shown(value)} is not a number of shares"
    return values, found


def _reject_rows(frame: pd.DataFrame, found: dict[int, str], given: Sequence[str]) -> None:
    """Set status ``REJECTED`` and the reason of every row that cannot trade; the first reason wins."""
    frame["status"] = frame["status"].fillna("NEW")
    detail = frame["detail"].array if "detail" in frame.columns else [None] * len(frame)
    frame["detail"] = pd.array(detail, dtype="str")
    is_refused = frame["status"].isin(["REJECTED"]).to_numpy(dtype=bool)
    rows = np.flatnonzero(is_refused | ~_has_no_problem(frame, given)).tolist()
    if not rows:
        return
    status, reason, detail = (
        frame[name].to_numpy(dtype=object, copy=True) for name in ("status", "reason", "detail")
    )
    columns = [
        frame[name].tolist() if name in frame.columns else [math.nan] * len(frame)
        for name in (
            "quantity",
            "order_type",
            "limit_price",
            "tif",
            "sec_type",
            "side",
            "lot_size",
            "tick_size",
        )
    ]
    names = [name for name in (*TERM_COLUMNS, "decided_at") if name in frame.columns]
    extras = [frame[name].tolist() for name in names]
    for row in rows:
        if status[row] == "REJECTED":
            reason[row] = reason[row] if isinstance(reason[row], str) else _UNEXPLAINED
            continue
        more = terms_of(dict(zip(names, (column[row] for column in extras), strict=True)))
        values: tuple[Any, ...] = (*(column[row] for column in columns), more)
        problem = ("quantity_invalid", found[row]) if row in found else find_order_problem(*values)
        if problem is not None:
            status[row], reason[row] = "REJECTED", problem[0]
            detail[row] = f"{problem[0]}: {problem[1]}"
    frame["status"] = pd.array(status, dtype="str")
    frame["reason"] = pd.array(reason, dtype="str")
    frame["detail"] = pd.array(detail, dtype="str")


def _has_no_problem(frame: pd.DataFrame, given: Sequence[str]) -> NDArray[np.bool_]:
    """Rows that certainly have no problem: whole shares, at the market or at a limit on its tick, as most orders.

    For the others :func:`find_order_problem` decides. ``given`` names the columns where an order may have terms.
    """

    def numbers(name: str) -> NDArray[np.float64]:
        return frame[name].to_numpy(dtype="float64") if name in frame.columns else np.full(len(frame), math.nan)

    quantity, limit, lot, tick = map(numbers, ("quantity", "limit_price", "lot_size", "tick_size"))
    at_market = frame["order_type"].isin(["MKT"]).to_numpy(dtype=bool)
    is_known = frame["order_type"].isin(["MKT", "LMT"]).to_numpy(dtype=bool) & ~has_terms(frame, given)
    tifs = [name for name in TIFS if name != "GTD"]  # needs a time
    for name, known in (("side", SIDES), ("sec_type", SEC_TYPES), ("tif", tifs)):
        if not set(frame[name].tolist()) <= set(known):
            is_known &= frame[name].isin(known).to_numpy(dtype=bool)
    if not set(frame["tif"].tolist()) <= set(TIFS_OF_TYPE["MKT"]):
        is_known &= ~at_market | frame["tif"].isin(TIFS_OF_TYPE["MKT"]).to_numpy(dtype=bool)
    is_whole = (quantity >= 1) & (quantity <= MAX_QUANTITY) & (quantity == np.round(quantity)) & ~(lot < 1)
    fits = np.isnan(limit)
    if not at_market.all():
        tick = np.where(np.isnan(tick), tick_sizes(limit), tick)
        below, above = (round_to_tick(limit, tick, buy) for buy in (True, False))
        with np.errstate(invalid="ignore"):  # a limit may be infinite
            on_tick = (below == above) & (np.abs(below - limit) <= _NOISE * limit)
        fits = np.where(at_market, fits, on_tick & is_usable(limit) & (tick > 0) & (tick < math.inf))
    return np.asarray(is_known & is_whole & fits, dtype=bool)


def find_order_problem(
    quantity: float,
    order_type: str,
    limit_price: float,
    tif: str,
    sec_type: str,
    side: str,
    lot_size: float = math.nan,
    tick_size: float = math.nan,
    terms: OrderTerms = _NO_TERMS,
) -> tuple[str, str] | None:
    """The first problem that prevents an order from being sent: a code and a fix; None if there is none.

    Examples
    --------
    >>> find_order_problem(10.5, "MKT", float("nan"), "DAY", "STK", "BUY")
    ('fractional_not_allowed', '10.5 is not a multiple of 1')
    >>> find_order_problem(10, "LMT", 100.123, "DAY", "STK", "BUY")
    ('off_tick', '100.123 is not a multiple of 0.01; 100.12 or 100.13 are')
    """
    found = _order_problems(quantity, order_type, limit_price, tif, sec_type, side, lot_size, tick_size, terms)
    return next(found, None)


def _order_problems(
    quantity: float,
    order_type: str,
    limit_price: float,
    tif: str,
    sec_type: str,
    side: str,
    lot_size: float,
    tick_size: float,
    terms: OrderTerms,
) -> Iterator[tuple[str, str]]:
    """Problems in the order of the checks. Only the first is used: a later check relies on the earlier ones."""
    if side not in SIDES:
        yield "side_invalid", f"{side!r} is not one of {', '.join(SIDES)}"
    yield from _quantity_problems(quantity, 1.0 if math.isnan(lot_size) else lot_size)
    yield from support_problems(sec_type, order_type, tif)
    yield from _limit_problems(order_type, limit_price, tick_size)
    yield from term_problems(order_type, limit_price, tif, side, terms)
    if order_type in CAPPED and math.isnan(limit_price) and not math.isnan(terms.limit_offset_bps):
        source = terms.limit_reference or "decision"
        yield "limit_missing", f"the cap of a {order_type} order cannot be computed: no {source} price is known"
    if order_type in STOPS:
        yield from _tick_problems(terms.aux_price, tick_size)


def support_problems(sec_type: str, order_type: str, tif: str) -> Iterator[tuple[str, str]]:
    """What is not supported of a security type, an order type and a time in force: codes and texts.

    Examples
    --------
    >>> dict(support_problems("STK", "MIT", "DAY")).keys()
    dict_keys(['order_type_unsupported'])
    """
    if sec_type not in SEC_TYPES:
        yield "sec_type_unsupported", f"{sec_type!r} is not one of {', '.join(SEC_TYPES)}"
    if order_type not in ORDER_TYPES:
        yield "order_type_unsupported", f"{order_type!r} is not one of {', '.join(ORDER_TYPES)}"
    if tif not in TIFS:
        yield "tif_invalid", f"{tif!r} is not one of {', '.join(TIFS)}"


def _quantity_problems(quantity: float, lot: float) -> Iterator[tuple[str, str]]:
    if not math.isfinite(quantity):
        yield "quantity_invalid", f"quantity {quantity:g} is not a number of shares"
    if quantity == 0:
        yield "quantity_zero", "quantity is 0"
    if quantity < 0:
        yield "quantity_negative", f"quantity {quantity:g} must be positive; use side for direction"
    if quantity > MAX_QUANTITY:
        yield "quantity_too_large", f"{quantity:g} shares are over the {MAX_QUANTITY:,} that one order can have"
    # A position may be closed whatever its lot; whole shares can always be traded.
    step = min(lot, 1.0)
    if not step >= FRACTIONAL_STEP * (1 - _NOISE):
        yield "lot_size", f"lot_size {lot:g} is below {FRACTIONAL_STEP:g}"
    else:
        steps = round(quantity / step)
        if steps < 1 or abs(quantity / step - steps) > _NOISE * steps:
            yield "fractional_not_allowed", f"{quantity:.10g} is not a multiple of {step:g}"


def _limit_problems(order_type: str, limit: float, tick_size: float) -> Iterator[tuple[str, str]]:
    problem = limit_problem(order_type, limit)
    if problem is not None:
        yield problem
    if not math.isnan(limit):
        yield from _tick_problems(limit, tick_size)


def _tick_problems(price: float, tick_size: float) -> Iterator[tuple[str, str]]:
    tick = float(tick_sizes(price)) if math.isnan(tick_size) else tick_size
    if not 0 < tick < math.inf:
        yield "tick_unknown", f"tick size {tick:g} is not above 0"
    below, above = (float(round_to_tick([price], [tick], [buy])[0]) for buy in (True, False))
    if below != above or abs(below - price) > _NOISE * price:
        yield "off_tick", f"{price:.10g} is not a multiple of {tick:g}; {below:.10g} or {above:.10g} are"
