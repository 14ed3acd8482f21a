"""Real prices that come with the package, for the demo, the notebooks and first steps.

Adjusted daily closes of 20 S&P 500 names in 2022; their origin is stated in ``data/README.md``. A quote is made
of a close: the market around it is invented, by a fixed rule.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import pandas as pd

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.schema.tables import QUOTES

__all__ = ["inverse_volatility", "sample_closes", "sample_quotes"]

_CLOSING_TIME = pd.Timedelta(hours=21)  # 16:00 in New York, in winter


def sample_closes() -> pd.DataFrame:
    """Adjusted daily closes: index date, one column per symbol, US dollars per share.

    Examples
    --------
    >>> closes = sample_closes()
    >>> closes.shape, closes.index[-1].date().isoformat(), closes["AAPL"].iloc[-1].item()
    ((253, 20), '2022-12-28', 125.674)
    """
    with (resources.files("stocklean_exec") / "data" / "sample_closes.csv").open(encoding="utf-8") as stream:
        frame = pd.read_csv(stream, index_col="Date", parse_dates=["Date"])
    return frame.rename_axis(index="date", columns="symbol")


def sample_quotes(closes: pd.DataFrame | None = None, *, seed: int = 7) -> pd.DataFrame:
    """Quotes around the last close of each symbol: :data:`~stocklean_exec.schema.tables.QUOTES`.

    The mid is the close to the cent, the spread one to three cents on either side, the sizes a few hundred
    shares: a function of ``seed`` and symbol. The time is the close of that day in New York.

    Examples
    --------
    >>> sample_quotes().head(2)[["symbol", "bid", "ask", "close", "quoted_at"]]
      symbol     bid     ask    close                 quoted_at
    0   AAPL  125.64  125.70  125.674 2022-12-28 21:00:00+00:00
    1    AMD   62.55   62.59   62.570 2022-12-28 21:00:00+00:00
    """
    closes = sample_closes() if closes is None else closes
    symbols = [str(symbol) for symbol in closes.columns]
    close = closes.iloc[-1].to_numpy()
    half = np.array([0.01 + 0.01 * int(3 * unit_interval(seed, name, "spread")) for name in symbols])
    sizes = [
        [100.0 * (1 + int(9 * unit_interval(seed, name, side))) for name in symbols] for side in ("bid", "ask")
    ]
    mid = np.round(close, 2)
    frame = pd.DataFrame(
        {
            "symbol": symbols,
            "bid": np.round(mid - half, 2),
            "ask": np.round(mid + half, 2),
            "last": mid,
            "close": close,
            "bid_size": sizes[0],
            "ask_size": sizes[1],
            "currency": "USD",
            "quoted_at": pd.Timestamp(closes.index[-1]).tz_localize("UTC") + _CLOSING_TIME,
        }
    )
    return QUOTES.conform(frame)


def inverse_volatility(closes: pd.DataFrame) -> pd.Series[float]:
    """Weights in inverse proportion to the volatility of daily returns, adding up to one.

    Examples
    --------
    >>> weights = inverse_volatility(sample_closes())
    >>> round(float(weights.sum()), 12), weights.idxmax(), weights.idxmin()
    (1.0, 'JNJ', 'RRC')
    """
    volatility = closes.pct_change().iloc[1:].std()
    weights = 1 / volatility
    return (weights / weights.sum()).rename("weight")
