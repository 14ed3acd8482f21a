"""Settlement: when the proceeds of a sale may buy, and which shares must not be sold yet.

A cash account that buys with the proceeds of an unsettled sale must not sell these shares before that purchase has
settled: it would have paid for them with their own proceeds, which is free riding (Federal Reserve, Regulation T,
12 CFR 220.8; Interactive Brokers, "Free Riding"). Days are weekdays; holidays are not known here, so a day is the
earliest one.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from stocklean_exec.execution.recovery_rules import EXCHANGE_ZONE, trade_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Ticket

__all__ = ["free_riding", "settlement_day"]

_ONE_DAY = frozenset({"USD", "CAD", "MXN"})
"""Currencies whose shares settle one business day after the trade, since May 2024 (Interactive Brokers,
"Settlement"); all others need two."""
_FRIDAY = 4  # date.weekday() of it
_LOOK_BACK = timedelta(days=6)  # two business days with a weekend and two holidays between them


def settlement_day(traded_on: date, currency: str) -> date:
    """The day on which a trade settles.

    Examples
    --------
    >>> from datetime import date
    >>> settlement_day(date(2026, 11, 27), "USD").isoformat()  # a Friday
    '2026-11-30'
    >>> settlement_day(date(2026, 11, 27), "EUR").isoformat()
    '2026-12-01'
    """
    day = traded_on
    for _ in range(1 if currency in _ONE_DAY else 2):
        day += timedelta(days=1)
        while day.weekday() > _FRIDAY:
            day += timedelta(days=1)
    return day


def free_riding(
    tickets: Iterable[Ticket], blotter: Blotter, account: str, now: datetime
) -> dict[str, tuple[str, str]]:
    """Sells of shares that were bought with unsettled money and have not settled.

    Returns
    -------
    A reason code and a text by client order id, for each order that must not be sent.
    """
    today = trade_date(now)
    since = datetime.combine(today, time(), EXCHANGE_ZONE) - _LOOK_BACK
    settles: dict[str, date] = {}
    for symbol, currency, filled_at in blotter.bought_unsettled(account, since):
        day = settlement_day(trade_date(filled_at), currency)
        if day > today:
            settles[symbol] = max(day, settles.get(symbol, day))
    found = {ticket.client_order_id: next(_refusals(ticket, settles), None) for ticket in tickets}
    return {name: why for name, why in found.items() if why is not None}


def _refusals(ticket: Ticket, settles: dict[str, date]) -> Iterator[tuple[str, str]]:
    if ticket.side == "SELL" and ticket.symbol in settles:
        text = (
            f"{ticket.symbol} was bought with the proceeds of unsettled sales; in a cash account it can be sold "
            f"from {settles[ticket.symbol]:%Y-%m-%d} on, when that purchase has settled"
        )
        yield "free_riding", text
