"""Tables of other libraries (polars, Arrow, DuckDB), read through the Arrow C data interface.

They are read cell by cell into plain Python values, which suits the tables of a plan, of some thousand rows, and
needs neither pandas' optional dependency on pyarrow nor any of these libraries. Pure.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["ARROW", "frame_of_arrow"]

ARROW = "__arrow_c_stream__"
"""The method that tables of the Arrow C data interface have."""


def frame_of_arrow(data: Any, most_rows: int) -> pd.DataFrame:  # noqa: ANN401 - of any library
    """Return a table as a DataFrame; at most one row more than ``most_rows``, which is enough to refuse it."""
    from arro3.core import Table  # noqa: PLC0415 - heavy; frames do without

    table = Table(data)
    table = table.slice(0, min(table.num_rows, most_rows + 1))
    return pd.DataFrame(
        {name: pd.Series(_values(table[name]), dtype="object") for name in table.column_names},
        columns=pd.Index(table.column_names),
    )


def _values(column: Any) -> list[Any]:  # noqa: ANN401 - a chunked array of arro3
    return [cell.as_py() for chunk in column.chunks for cell in chunk]
