"""Until when orders for the opening and closing auctions are taken, by primary exchange. Pure data.

No calendar has these times. Each is a number of minutes before the scheduled open or close, so that it moves with
a half day: exchanges' rules speak of the end of core trading hours. Pages of other years have other times
(15:40 and 15:45 in New York), so every row says where it is from and when that was looked up.

In Europe the closing auction comes after the scheduled close, which is the end of continuous trading: orders are
taken until some minutes after it, below zero minutes before it. An auction there has a random end; the cut-off is
the earliest one. When Interactive Brokers hands an order to those exchanges is not known: what is close to the
scheduled close is warned about at each of them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from stocklean_exec.calendars.markets import exchange_name, market_at

__all__ = ["ADVISED", "AUCTIONS", "Auctions", "auctions_at", "earliest_auctions"]

ADVISED = timedelta(minutes=15)
"""Before the close: until when Interactive Brokers advises to enter orders for the closing auction ("Market on
Close Orders"), whose own handling takes time."""


class Auctions(NamedTuple):
    """Cut-offs of the auctions of some exchanges, before the scheduled open or close; below zero after it.

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
    Auctions(
        ("IBIS", "IBIS2"),
        moc=timedelta(minutes=-5),
        loc=timedelta(minutes=-5),
        cancel=timedelta(0),
        opg=timedelta(0),
        source="FESE, Regular Trading Hours CET in 2025; Deutsche Boerse, auction schedule: closing call from "
        "17:30 to 17:35 at the earliest",
        checked_on=date(2026, 11, 29),
    ),
    Auctions(
        ("LSE",),
        moc=timedelta(minutes=-5),
        loc=timedelta(minutes=-5),
        cancel=timedelta(0),
        opg=timedelta(0),
        source="London Stock Exchange, MIT201: opening call from 7:50 to 8:00, closing call from 16:30 to 16:35",
        checked_on=date(2026, 11, 29),
    ),
    Auctions(
        ("SBF", "AEB"),
        moc=timedelta(minutes=-5),
        loc=timedelta(minutes=-5),
        cancel=timedelta(0),
        opg=timedelta(0),
        source="FESE, Regular Trading Hours CET in 2025; Euronext, trading hours: uncrossing from 17:35 to "
        "17:35:30",
        checked_on=date(2026, 11, 29),
    ),
    Auctions(
        ("TSE",),
        moc=timedelta(minutes=4),
        loc=timedelta(0),
        cancel=timedelta(minutes=10),
        opg=timedelta(0),
        source="TMX, Order Types and Functionality Guide 1.7.2 of 2024-10-29, 2.1 and 2.6; ETFs have no MOC there",
        checked_on=date(2026, 11, 29),
    ),
    Auctions(
        ("TSEJ",),
        moc=timedelta(0),
        loc=timedelta(0),
        cancel=timedelta(0),
        opg=timedelta(0),
        source="JPX, closing auction since 2024-11-05: orders are taken and cancelled until the close at 15:30",
        checked_on=date(2026, 11, 29),
    ),
)
"""One row for exchanges with the same cut-offs; their names are Interactive Brokers'.

Later entries against a published imbalance, which the exchanges take as well, are left out. Sources differ on
whether an order can be cancelled in a closing call in Europe: it counts as not possible. The cut-offs of other
exchanges are not known here.
"""


def auctions_at(exchange: str) -> Auctions | None:
    """Cut-offs of an exchange by Interactive Brokers' name; None for one whose cut-offs are not known.

    Examples
    --------
    >>> auctions_at("NASDAQ.NMS").loc, auctions_at("VSE")
    (datetime.timedelta(seconds=120), None)
    """
    name = exchange_name(exchange)
    return next((row for row in AUCTIONS if name in row.exchanges), None)


def earliest_auctions(calendar: str) -> Auctions | None:
    """The earliest cut-offs of the exchanges that share a calendar, for a share whose listing is not known.

    Examples
    --------
    >>> earliest_auctions("XNYS").exchanges, earliest_auctions("XSWX")
    (('NYSE', 'AMEX', 'ARCA'), None)
    """
    rows = (row for row in AUCTIONS if _calendar_of(row) == calendar)
    return max(rows, key=lambda row: row.moc, default=None)


def _calendar_of(row: Auctions) -> str:
    market = market_at(row.exchanges[0])
    return "" if market is None else market.calendar
