"""Until when orders for the opening and closing auctions are taken, by primary exchange. Pure data.

No calendar has these times. Each is a number of minutes before the scheduled open or close, so that it moves with
a half day: exchanges' rules speak of the end of core trading hours. Pages of other years have other times
(15:40 and 15:45 in New York), so every row says where it is from and when that was looked up.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from stocklean_exec.calendars.markets import exchange_name

__all__ = ["ADVISED", "AUCTIONS", "Auctions", "auctions_at", "earliest_auctions"]

ADVISED = timedelta(minutes=15)
"""Before the close: until when Interactive Brokers advises to enter orders for the closing auction ("Market on
Close Orders"), whose own handling takes time."""


class Auctions(NamedTuple):
    """Cut-offs of the auctions of some exchanges, before the scheduled open or close.

    ``moc``, ``loc`` and ``opg`` are the last moments for a new market or limit order on close and an order for the
    opening, ``cancel`` that for a change or a cancel of an order on close.
    """

    exchanges: tuple[str, ...]
    moc: timedelta
    loc: timedelta
    cancel: timedelta
    opg: timedelta
    source: str
    checked_on: date


AUCTIONS = (
    Auctions(
        ("NYSE", "AMEX", "ARCA"),
        moc=timedelta(minutes=10),
        loc=timedelta(minutes=10),
        cancel=timedelta(minutes=10),
        opg=timedelta(minutes=2),
        source="Interactive Brokers, order types MOC, LOC and OPG; SEC Release 34-84804 (SR-NYSE-2018-58)",
        checked_on=date(2026, 11, 29),
    ),
    Auctions(
        ("NASDAQ", "ISLAND"),
        moc=timedelta(minutes=5),
        loc=timedelta(minutes=2),
        cancel=timedelta(minutes=10),
        opg=timedelta(minutes=2),
        source="Interactive Brokers, order types MOC, LOC and OPG; Nasdaq, closing cross",
        checked_on=date(2026, 11, 29),
    ),
)
"""One row for exchanges with the same cut-offs; their names are Interactive Brokers'.

Later entries against a published imbalance, which the exchanges take as well, are left out. The cut-offs of other
exchanges are not known here.
"""

_OF_NEW_YORK = "XNYS"


def auctions_at(exchange: str) -> Auctions | None:
    """Cut-offs of an exchange by Interactive Brokers' name; None for one whose cut-offs are not known.

    Examples
    --------
    >>> auctions_at("NASDAQ.NMS").loc, auctions_at("LSE")
    (datetime.timedelta(seconds=120), None)
    """
    name = exchange_name(exchange)
    return next((row for row in AUCTIONS if name in row.exchanges), None)


def earliest_auctions(calendar: str) -> Auctions | None:
    """The earliest cut-offs of the exchanges that share a calendar, for a share whose listing is not known.

    Examples
    --------
    >>> earliest_auctions("XNYS").exchanges, earliest_auctions("XLON")
    (('NYSE', 'AMEX', 'ARCA'), None)
    """
    return max(AUCTIONS, key=lambda row: row.moc) if calendar == _OF_NEW_YORK else None
