"""Makes the tickets that a broker is sent from rows of canonical orders. Pure."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec.brokers.base import Ticket
from stocklean_exec.risk.market_closed import AUCTION_UNTIL
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["tickets_of"]

_TICKET = tuple(field.name for field in fields(Ticket) if field.default is MISSING)


def tickets_of(rows: pd.DataFrame) -> list[Ticket]:
    """Make the order that a broker is sent for each row of canonical orders."""
    contracts = rows["con_id"].tolist() if "con_id" in rows.columns else [None] * len(rows)
    rates = rows["fx_rate"].fillna(1.0).tolist() if "fx_rate" in rows.columns else [1.0] * len(rows)
    columns = [rows[name].tolist() for name in _TICKET]
    numbers = [None if pd.isna(number) else int(number) for number in contracts]
    prices = rows["decision_price"].tolist()
    days = [None if pd.isna(stamp) else stamp.date() for stamp in rows["decided_at"].tolist()]
    more = (numbers, _listings(rows), prices, rates, days, *_terms(rows), _auctions(rows))
    return [Ticket(*values) for values in zip(*columns, *more, strict=True)]


def _terms(rows: pd.DataFrame) -> list[list[Any]]:
    """Columns of the terms beyond type, limit and time in force, as tickets have them."""
    rows = ORDERS.conform(rows)
    times = [
        [None if pd.isna(stamp) else stamp.to_pydatetime() for stamp in rows[name].tolist()]
        for name in ("good_till", "good_after")
    ]
    algos = [rows[name].fillna("").tolist() for name in ("algo", "algo_params")]
    return [rows["aux_price"].tolist(), *times, rows["outside_rth"].tolist(), *algos]


def _auctions(rows: pd.DataFrame) -> list[datetime | None]:
    """Until when the auctions take orders that the rows were checked for."""
    if AUCTION_UNTIL not in rows.columns:
        return [None] * len(rows)
    stamps: list[Any] = pd.to_datetime(rows[AUCTION_UNTIL], utc=True).tolist()
    return [None if pd.isna(stamp) else stamp.to_pydatetime() for stamp in stamps]


def _listings(rows: pd.DataFrame) -> list[str]:
    if "primary_exchange" not in rows.columns:
        return [""] * len(rows)
    return ["" if pd.isna(code) else str(code).strip().upper() for code in rows["primary_exchange"].tolist()]
