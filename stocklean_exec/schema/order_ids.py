"""Client order ids, and fingerprints of orders and plans.

A client order id is a function of run, symbol, side and sequence number, and never of the quantity: planning again
after a crash, at other prices, gives the same ids, so that the blotter can reject orders that were already sent.
Pure.
"""

from __future__ import annotations

import math
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stocklean_exec.schema.order_terms import TERM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

__all__ = [
    "MAX_LENGTH",
    "PAYLOAD_COLUMNS",
    "are_valid_client_order_ids",
    "client_order_id",
    "client_order_ids",
    "is_valid_client_order_id",
    "is_valid_run_id",
    "payload_hashes",
    "plan_hash",
    "slice_id",
]

MAX_LENGTH = 40
"""Maximum length of a client order id; TWS carries it as ``orderRef``."""

_HASH_LENGTH = 8  # hexadecimal digits, 32 bits: a choice; among 1,000 shortened ids two agree once in 8,600 runs
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_SAFE = re.compile(r"[A-Za-z0-9._-]+")

PAYLOAD_COLUMNS = (
    "client_order_id",
    "run_id",
    "symbol",
    "side",
    "quantity",
    "order_type",
    "limit_price",
    "tif",
    "currency",
    "sec_type",
    "exchange",
    "account",
)
"""Columns that identify an order. Market prices and figures derived from them are not included."""

_ONLY_IF_PRESENT = ("primary_exchange", "strategy_quantities", "strategy_crosses", *TERM_COLUMNS)
"""Columns that came later: they count where they have a value, so that older orders keep their fingerprints."""


def is_valid_run_id(run_id: object) -> bool:
    """Whether ``run_id`` is a non-empty string of letters, digits, dot, underscore and hyphen."""
    return isinstance(run_id, str) and _SAFE.fullmatch(run_id) is not None


def is_valid_client_order_id(value: object) -> bool:
    """Whether ``value`` is safe on the wire: the same characters, at most 40 of them."""
    return is_valid_run_id(value) and len(str(value)) <= MAX_LENGTH


def are_valid_client_order_ids(values: Sequence[object]) -> bool:
    """Whether each of ``values`` is a valid client order id, all tested at once.

    Examples
    --------
    >>> are_valid_client_order_ids(["run-1-SPY-BUY", "mine"]), are_valid_client_order_ids(["mine", "not mine"])
    (True, False)
    """
    texts = cast("Sequence[str]", values)
    try:
        joined = "".join(texts)
    except TypeError:  # one of them is no text
        return False
    if "" in texts or max(map(len, texts), default=0) > MAX_LENGTH:
        return False
    return not texts or _SAFE.fullmatch(joined) is not None


def client_order_id(run_id: str, symbol: str, side: str, sequence: int = 1) -> str:
    """Name the ``sequence``-th order of ``side`` in ``symbol`` within a run.

    Characters of the symbol outside ``[A-Za-z0-9._-]`` become ``_``. An id over 40 characters keeps its beginning
    and ends in eight characters of the SHA-256 of the full id.

    Raises
    ------
    ValueError
        ``run_id`` has other characters, or ``sequence`` is below 1.

    Examples
    --------
    >>> client_order_id("run-1", "SPY", "BUY")
    'run-1-SPY-BUY'
    >>> client_order_id("run-1", "BRK B", "SELL", 2)
    'run-1-BRK_B-SELL-2'
    >>> client_order_id("2026-11-22-a-rather-long-strategy-name", "SPY", "BUY")
    '2026-11-22-a-rather-long-strate-db366341'
    """
    if not is_valid_run_id(run_id):
        raise ValueError(f"run_id {run_id!r} may only have letters, digits, '.', '_' and '-'")
    if sequence < 1:
        raise ValueError(f"sequence counts from 1, not {sequence}")
    return _fit(_UNSAFE.sub("_", f"{run_id}-{symbol}-{side}" + (f"-{sequence}" if sequence > 1 else "")))


def client_order_ids(run_id: str, symbols: Iterable[str], sides: Iterable[str]) -> list[str]:
    """Name the first orders of many symbols; one call of :func:`client_order_id` for each, but faster."""
    if not is_valid_run_id(run_id):
        raise ValueError(f"run_id {run_id!r} may only have letters, digits, '.', '_' and '-'")
    names = [f"{run_id}-{symbol}-{side}" for symbol, side in zip(symbols, sides, strict=True)]
    if names and not _SAFE.fullmatch("".join(names)):
        names = [_UNSAFE.sub("_", name) for name in names]
    return names if max(map(len, names), default=0) <= MAX_LENGTH else [_fit(name) for name in names]


def slice_id(name: str, number: int) -> str:
    """Name the ``number``-th slice of the order ``name``, counted from 1.

    Examples
    --------
    >>> slice_id("run-1-SPY-BUY", 2)
    'run-1-SPY-BUY-S2'
    """
    return _fit(f"{name}-S{number}")


def _fit(name: str) -> str:
    if len(name) <= MAX_LENGTH:
        return name
    return f"{name[: MAX_LENGTH - _HASH_LENGTH - 1]}-{sha256(name.encode()).hexdigest()[:_HASH_LENGTH]}"


def payload_hashes(orders: pd.DataFrame, extra: Sequence[str] = ()) -> list[str]:
    """Fingerprint each order by :data:`PAYLOAD_COLUMNS` and the ``extra`` columns, in row order.

    A missing column equals a missing value, 5 equals 5.0, and a time equals its UTC time.
    """
    names = (*PAYLOAD_COLUMNS, *extra)
    texts = ["\x1f".join(row) for row in zip(*(_canonical(orders, name) for name in names), strict=True)]
    for name in _ONLY_IF_PRESENT:
        if name in orders.columns and not _is_unused(orders[name]):
            values = _canonical(orders, name)
            texts = [
                f"{text}\x1f{name}={value}" if value else text for text, value in zip(texts, values, strict=True)
            ]
    return [sha256(text.encode()).hexdigest() for text in texts]


def _is_unused(column: pd.Series[Any]) -> bool:
    """Whether no row has a value; False is none."""
    return not (column.any() if column.dtype == np.bool_ else column.notna().any())


def plan_hash(hashes: Iterable[str]) -> str:
    """Fingerprint a plan from the fingerprints of its orders, in any sequence."""
    return sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _canonical(frame: pd.DataFrame, name: str) -> list[str]:
    if name not in frame.columns:
        return [""] * len(frame)
    series = frame[name]
    if series.dtype.kind == "M":
        series = series.astype("datetime64[us, UTC]").astype("int64").where(series.notna())
    values: list[object] = series.tolist()
    if series.dtype == np.bool_ and name in _ONLY_IF_PRESENT:
        return ["yes" if value else "" for value in values]
    return ["" if _is_missing(value) else _scalar(value) for value in values]


def _is_missing(value: object) -> bool:
    """Whether a cell is empty; by its ``repr`` where it cannot be compared, as with pandas' NA."""
    if value is None or isinstance(value, str):
        return value is None
    if isinstance(value, float):
        return math.isnan(value)
    return repr(value) in ("<NA>", "NaT")


def _scalar(value: object) -> str:
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)
