"""Exchange rates when orders are sent: an order in a currency without a usable rate stays, and no other does.

A plan is sized, checked and funded at the exchange rates it was approved with. The broker's rate is that of the
account's books, else that of a quote of the currency pair. Where it has neither, the plan's own rate counts.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from stocklean_exec.brokers.base import RATE_BAND, mask_account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket

__all__ = ["currency_refusals", "is_rate", "usable_rates"]


def is_rate(rate: float) -> bool:
    """Whether a number can be an exchange rate.

    Examples
    --------
    >>> [is_rate(rate) for rate in (1.1, 0.0, -1.0, math.inf, math.nan)]
    [True, False, False, False, False]
    """
    return math.isfinite(rate) and rate > 0


async def usable_rates(broker: Broker, figures: AccountFigures, currencies: Iterable[str]) -> dict[str, float]:
    """Base currency per unit of each of ``currencies`` of which the broker has a usable rate, and of the base."""
    base = figures.base_currency
    rates = {base: 1.0} | {
        name: rate for name, (_, rate) in figures.currencies.items() if name != base and is_rate(rate)
    }
    missing = sorted(set(currencies) - set(rates))
    quoted = await asyncio.to_thread(broker.exchange_rates, missing, base) if missing else {}
    return rates | {name: found.rate for name, found in quoted.items() if is_rate(found.rate)}


async def currency_refusals(
    tickets: Iterable[Ticket], planned: Mapping[str, float], broker: Broker
) -> dict[str, tuple[str, str]]:
    """Find the orders whose currency has no usable rate, or quite another one at the broker than in the plan.

    Parameters
    ----------
    tickets : orders that are to be sent
    planned : the exchange rate that each order was approved with, where it has one

    Returns
    -------
    Code and text by client order id: ``currency_mismatch`` without a rate, ``fx_mismatch`` where the rates differ
    by more than :data:`~stocklean_exec.brokers.base.RATE_BAND`.
    """
    foreign = [ticket for ticket in tickets if ticket.currency != broker.base_currency]
    if not foreign:
        return {}
    figures = await asyncio.to_thread(broker.account_figures)
    rates = await usable_rates(broker, figures, {ticket.currency for ticket in foreign})
    account = f"account {mask_account(broker.account)}"
    found = {
        ticket.client_order_id: next(_refusals(ticket, planned, rates, figures.base_currency, account), None)
        for ticket in foreign
    }
    return {name: why for name, why in found.items() if why is not None}


def _refusals(
    ticket: Ticket, planned: Mapping[str, float], rates: Mapping[str, float], base: str, account: str
) -> Iterator[tuple[str, str]]:
    name, currency = ticket.client_order_id, ticket.currency
    rate, own = planned.get(name, math.nan), rates.get(currency, math.nan)
    if math.isnan(own):
        if not is_rate(rate):
            text = f"is in {currency}, and {account} is kept in {base} and has no exchange rate for it"
            yield "currency_mismatch", f"{name} {text}; give one as fx="
        return
    used = 1.0 if math.isnan(rate) else rate
    if not abs(used / own - 1) <= RATE_BAND:
        text = f"was checked with {used:g} {base} per {currency}, and {account} has {own:g}"
        yield "fx_mismatch", f"{name} {text}; plan again with the present rate"
