"""Settlement: when the proceeds of a sale may buy, and which shares must not be sold yet.

A cash account that buys with the proceeds of an unsettled sale must not sell these shares before that purchase has
settled: it would have paid for them with their own proceeds, which is free riding (Federal Reserve, Regulation T,
12 CFR 220.8; Interactive Brokers, "Free Riding"). Days are those of
:mod:`~stocklean_exec.execution.settlement_calendar`.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from stocklean_exec.execution.recovery_rules import EXCHANGE_ZONE, trade_date
from stocklean_exec.execution.settlement_calendar import Settlement, settlement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Ticket

__all__ = ["free_riding"]

_LOOK_BACK = timedelta(days=16)  # two business days around the longest closures, Tokyo's ten days of 2019


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
    settles: dict[str, Settlement] = {}
    for symbol, currency, filled_at, exchange, primary_exchange in blotter.bought_unsettled(account, since):
        day = trade_date(filled_at)
        settlement = settlement_of(day, currency, exchange=exchange, primary_exchange=primary_exchange)
        if settlement.day > today:
            settles[symbol] = max(settlement, settles.get(symbol, settlement))
    found = {ticket.client_order_id: next(_refusals(ticket, settles), None) for ticket in tickets}
    return {name: why for name, why in found.items() if why is not None}


def _refusals(ticket: Ticket, settles: dict[str, Settlement]) -> Iterator[tuple[str, str]]:
    if ticket.side == "SELL" and ticket.symbol in settles:
        text = (
            f"{ticket.symbol} was bought with the proceeds of unsettled sales; in a cash account it can be sold "
            f"from {settles[ticket.symbol].day:%Y-%m-%d} on, when that purchase has settled"
            f"{settles[ticket.symbol].note}"
        )
        yield "free_riding", text
