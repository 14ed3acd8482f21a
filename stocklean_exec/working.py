"""Putting one run to work from what is on record: whose it is, what it may send, who else may not touch it.

Both ways to a run come through here: a plan that was just approved, and a run that is picked up again.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from stocklean_exec.broker import Ticket
from stocklean_exec.gate import Caps, SendBudget
from stocklean_exec.leases import run_lease
from stocklean_exec.recovery import EXCHANGE_ZONE, trade_date
from stocklean_exec.run_worker import RunTerms, RunWorker

if TYPE_CHECKING:
    import pandas as pd

    from stocklean_exec.blotter import Blotter
    from stocklean_exec.broker import Broker
    from stocklean_exec.limits import Limits

__all__ = ["work_run"]

_TICKET = tuple(field.name for field in fields(Ticket))


async def work_run(
    run_id: str,
    broker: Broker,
    blotter: Blotter,
    terms: RunTerms,
    limits: Limits | None,
    only: set[str] | None = None,
) -> None:
    """Work the approved orders of a recorded run to their end.

    Parameters
    ----------
    terms : how
    limits : its caps are kept as each order leaves
    only : orders that may be handed over for the first time; all that were approved if None

    Raises
    ------
    RunElsewhereError
        Another process works this run; nothing was sent. Or the lock that keeps others from it was removed
        meanwhile; what had not been sent by then was not.
    BlotterError
        That lock cannot be had; see :mod:`~stocklean_exec.leases`. Nothing was sent.
    HaltedError, BrokerError
        As :func:`~stocklean_exec.submission.submit_orders` says.
    """
    with run_lease(broker.lease, run_id) as lease:
        rows = blotter.orders(run_id)
        rows = rows[rows["approved"].fillna(value=False).astype("bool")]
        tickets = _tickets(rows)
        names = [ticket.client_order_id for ticket in tickets]
        budget = SendBudget(
            allowed={name: 1 for name in names if only is None or name in only},
            notional=dict(zip(names, rows["notional"].fillna(0.0).tolist(), strict=True)),
            caps=_caps(limits),
            **_spent(blotter, broker, run_id),
        )
        await RunWorker(run_id, broker, blotter, tickets, budget, terms, lease).work()


def _tickets(rows: pd.DataFrame) -> list[Ticket]:
    columns = [rows[name].tolist() for name in _TICKET]
    return [Ticket(*values) for values in zip(*columns, strict=True)]


def _caps(limits: Limits | None) -> Caps:
    if limits is None:
        return Caps()
    return Caps(limits.max_total_notional, limits.max_day_notional, limits.max_orders_per_minute)


def _spent(blotter: Blotter, broker: Broker, run_id: str) -> dict[str, Any]:
    """What was handed over before: by this run, and by all runs of the day in New York."""
    midnight = datetime.combine(trade_date(broker.now()), time(), EXCHANGE_ZONE)
    today = blotter.handed_over(midnight, broker.account)
    return {"run_spent": today.get(run_id, 0.0), "day_spent": sum(today.values())}
