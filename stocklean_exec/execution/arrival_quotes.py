"""The market in the symbols of a run when its orders are sent: the arrival quotes of its record. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

__all__ = ["ArrivalQuote", "quotes_by_symbol"]


class ArrivalQuote(NamedTuple):
    """The market in one symbol, as recorded with an event of kind ``sending``; None is unknown."""

    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    quoted_at: datetime | None = None
    data_type: int | None = None

    @property
    def price(self) -> float | None:
        """The ask, else the last trade; None without either."""
        return next((one for one in (self.ask, self.last) if one is not None and one > 0), None)


def quotes_by_symbol(quotes: pd.DataFrame) -> dict[str, ArrivalQuote]:
    """Read a table of quotes; without a last trade, the previous close takes its place.

    Examples
    --------
    >>> import pandas as pd
    >>> found = quotes_by_symbol(pd.DataFrame({"symbol": ["SPY"], "ask": [400.1], "close": [399.0]}))
    >>> found["SPY"].price, found["SPY"].last
    (400.1, 399.0)
    """
    columns = [
        _plain(quotes[name]) if name in quotes.columns else [None] * len(quotes)
        for name in ("bid", "ask", "last", "close", "quoted_at", "data_type")
    ]
    return {
        symbol: ArrivalQuote(bid, ask, close if last is None else last, quoted_at, data_type)
        for symbol, bid, ask, last, close, quoted_at, data_type in zip(
            quotes["symbol"].tolist(), *columns, strict=True
        )
    }


def _plain(column: pd.Series[Any]) -> list[Any]:
    """Values of a column, None where it is empty."""
    return [None if empty else value for value, empty in zip(column.tolist(), column.isna().tolist(), strict=True)]
