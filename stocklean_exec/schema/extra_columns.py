"""The user's extra columns of a plan: stored with each order as JSON, and restored from it.

Numbers, texts, booleans and times are restored with their type, missing values as missing (NaN, or NaT in a column
of times). A time is written as ``{"time": "2026-11-22T15:30:00+00:00"}``. Other values are restored as text. Pure.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import pandas as pd

__all__ = ["REPLACES", "pack", "unpack"]

REPLACES = "replaces"
"""Column with the client order id of the closed order whose unfilled quantity a new order is for."""

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf}


def pack(frame: pd.DataFrame) -> list[str]:
    """One JSON text for each row of ``frame``.

    Examples
    --------
    >>> pack(pd.DataFrame({"alpha": [0.5, None], "note": ["x", None]}))
    ['{"alpha": 0.5, "note": "x"}', '{"alpha": null, "note": null}']
    """
    if not len(frame.columns):
        return ["{}"] * len(frame)
    names = [str(name) for name in frame.columns]
    columns = [_packed(frame.iloc[:, position]) for position in range(len(names))]
    return [json.dumps(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _packed(column: pd.Series[Any]) -> list[object]:
    return [_pack_value(value) for value in column.tolist()]


def _pack_value(value: Any) -> object:  # noqa: ANN401 - any value of a user's column
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, float) and math.isinf(value):
        return {"number": "Infinity" if value > 0 else "-Infinity"}  # JSON has no infinity
    return value if isinstance(value, (bool, int, float)) else _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def unpack(texts: list[object], index: pd.Index[Any]) -> pd.DataFrame:
    """Columns from the JSON of each row; a name that a row lacks is missing there.

    Examples
    --------
    >>> unpack(['{"alpha": 0.5}', '{"alpha": null, "new": true}'], pd.RangeIndex(2))
       alpha   new
    0    0.5  None
    1    NaN  True
    """
    rows = [json.loads(text) if isinstance(text, str) else {} for text in texts]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([_unpack_value(row.get(name)) for row in rows], index) for name in names}
    return pd.DataFrame(columns, index=index)


def _unpack_value(value: object) -> object:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["time"]) if "time" in value else _SPECIAL[value["number"]]
    return value


def _column(values: list[object], index: pd.Index[Any]) -> pd.Series[Any]:
    """Give a column the dtype of its values: that of their common type, or else object."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {datetime} and len({value.tzinfo is None for value in values if isinstance(value, datetime)}) == 1:
        is_aware = any(isinstance(value, datetime) and value.tzinfo is not None for value in values)
        times = pd.to_datetime(pd.Series(values, index=index, dtype=object), utc=is_aware)
        return times.astype("datetime64[us, UTC]" if is_aware else "datetime64[us]")
    if not kinds or (kinds <= {int, float} and (None in values or float in kinds)):
        return pd.Series(values, index=index, dtype="float64")
    return pd.Series(values, index=index, dtype=None if kinds == {str} or None not in values else object)
