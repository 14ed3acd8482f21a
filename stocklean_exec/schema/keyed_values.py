"""Values by symbol, order or currency, as a mapping or a Series. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import TYPE_CHECKING, Any

from stocklean_exec.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["known_values", "values_by_key"]

_LISTED = 50  # keys that one error names, to keep it readable


def values_by_key(values: Mapping[Any, Any] | pd.Series[Any], name: str) -> dict[Any, Any]:
    """The values as a dict; a Series that has several rows for a key is refused, as it is unknown which is meant.

    Examples
    --------
    >>> import pandas as pd
    >>> values_by_key(pd.Series([101.0, 50.0], index=["A", "A"]), "final_prices")
    Traceback (most recent call last):
    ...
    stocklean_exec.errors.InputError: final_prices: 1 problem
      A is in 2 rows; keep one [duplicate_key]
    """
    if isinstance(values, Mapping):
        return dict(values)
    twice = values.index[values.index.duplicated()]
    if len(twice):
        counts = values.index.value_counts()
        raise InputError(
            name,
            [
                Problem("duplicate_key", f"{key} is in {counts[key]} rows; keep one")
                for key in twice.unique()[:_LISTED].tolist()
            ],
        )
    return dict(zip(values.index.tolist(), values.tolist(), strict=True))


def known_values(frame: pd.DataFrame, name: str) -> Iterable[tuple[str, Any]]:
    """Symbol and value of each row that has a value in column ``name``, to be read once; none without the column.

    Examples
    --------
    >>> import pandas as pd
    >>> dict(known_values(pd.DataFrame({"symbol": ["SPY", "TLT"], "currency": ["USD", None]}), "currency"))
    {'SPY': 'USD'}
    """
    if name not in frame.columns:
        return []
    values = frame[name].array
    is_known = ~values.isna()
    if not is_known.any():
        return []
    pairs = zip(frame["symbol"].tolist(), values.tolist(), strict=True)
    return pairs if is_known.all() else compress(pairs, is_known.tolist())
