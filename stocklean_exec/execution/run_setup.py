"""Set up a recorded run: its lock, its tickets, its send budget and its terms.

Used both for a plan that was just approved and for a run that is resumed.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from stocklean_exec import clock
from stocklean_exec.execution.cancel_watch import watch_cancels
from stocklean_exec.execution.gross_exposure import GrossLimit
from stocklean_exec.execution.order_limits import barred_orders
from stocklean_exec.execution.order_worker import WorkPlan
from stocklean_exec.execution.recovery_rules import EXCHANGE_ZONE, trade_date
from stocklean_exec.execution.repricing import Messages
from stocklean_exec.execution.residuals import REPLACES
from stocklean_exec.execution.run_control import working
from stocklean_exec.execution.run_lock import run_lock
from stocklean_exec.execution.runner import Runner, RunTerms
from stocklean_exec.execution.send_gate import Caps, SendBudget
from stocklean_exec.execution.tickets import tickets_of
from stocklean_exec.execution.work_plan import read_work
from stocklean_exec.risk.limits import Limits
from stocklean_exec.risk.pre_trade_checks import plan_gross

if TYPE_CHECKING:
    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.execution.work_policy import WorkTerms

__all__ = ["work_run"]

_MINUTE = timedelta(minutes=1)


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
    terms : how the run is worked
    limits : the tighter of these and of those on record; the caps, and the limits on single orders, are enforced
        before each order is sent
    only : orders that may be sent for the first time; all approved ones if None

    Raises
    ------
    RunElsewhereError
        Another process works this run; nothing was sent. Or the run lock was removed meanwhile; nothing more was
        sent after that.
    BlotterError
        The run lock cannot be made; see :mod:`~stocklean_exec.execution.run_lock`. Nothing was sent.
    HaltedError, BrokerError
        As :func:`~stocklean_exec.submit_orders` says.
    """
    with run_lock(broker.lock_account, run_id) as lock:
        rows = blotter.orders(run_id)
        rows = rows[rows["approved"].fillna(value=False).astype("bool")]
        tickets = tickets_of(rows)
        names = [ticket.client_order_id for ticket in tickets]
        limits = _limits_of(run_id, blotter, limits)
        exported = blotter.exported(run_id)
        budget = SendBudget(
            allowed={name: 1 for name in names if (only is None or name in only) and name not in exported},
            notional={
                ticket.client_order_id: round(value * ticket.fx_rate, 6)  # a product of floats ends in noise
                for ticket, value in zip(tickets, rows["notional"].tolist(), strict=True)
            },
            caps=_caps(limits),
            barred=barred_orders(rows, limits, _nav_of(run_id, blotter)),
            **_spent(blotter, broker, run_id),
        )
        work = _work_plan(run_id, blotter, broker, limits)
        for name in _rests(rows, work):
            budget.count_as_rest(name)
        terms = replace(
            terms,
            min_cash=limits.min_cash_after,
            lots=_by_order(rows, "lot_size"),
            rates=_by_order(rows, "fx_rate"),
            limits=limits,
            gross=GrossLimit.of(limits, plan_gross(rows, limits)),
            work=work,
        )
        watch_cancels(broker, blotter)
        with working(blotter, run_id, terms.control):
            async with broker.hold_run(run_id):
                await Runner(run_id, broker, blotter, tickets, budget, terms, lock).work()


def _by_order(rows: pd.DataFrame, column: str) -> dict[str, float]:
    """Values of a column by client order id, without empty ones."""
    if column not in rows.columns:
        return {}
    known = rows[rows[column].notna()]
    return dict(zip(known["client_order_id"].tolist(), known[column].astype("float64").tolist(), strict=True))


def _limits_of(run_id: str, blotter: Blotter, given: Limits | None) -> Limits:
    """Tightest of the limits that the run's plans were approved with and those given now."""
    found = given
    for recorded in blotter.limits(run_id):
        found = Limits.of(recorded).tightened(found)
    return Limits() if found is None else found  # plans of versions that did not record limits


def _nav_of(run_id: str, blotter: Blotter) -> float:
    """NAV of the account when the run was planned; NaN if it is not on record."""
    runs = blotter.runs()
    return float(runs.set_index("run_id")["nav"].astype("float64").get(run_id, math.nan))


def _caps(limits: Limits) -> Caps:
    return Caps(limits.max_total_notional, limits.max_day_notional, limits.max_orders_per_minute)


def _work_plan(run_id: str, blotter: Blotter, broker: Broker, limits: Limits) -> WorkPlan:
    """How the orders of the run are worked, by its record."""
    terms: dict[str, WorkTerms] = {}
    for recorded in blotter.parameters(run_id):
        terms |= read_work(recorded.get("work"))
    if not terms:
        return WorkPlan({}, limits, Messages())
    counts = blotter.message_counts(_midnight(broker), broker.account, except_run=run_id)
    return WorkPlan(terms, limits, Messages(*counts))


def _rests(rows: pd.DataFrame, work: WorkPlan) -> list[str]:
    """Orders for what was left of others at their deadline."""
    if REPLACES not in rows.columns:
        return []
    finished = [name for name, terms in work.terms.items() if terms.at_deadline == "MKT"]
    return [str(name) for name in rows.loc[rows[REPLACES].isin(finished), "client_order_id"]]


def _midnight(broker: Broker) -> datetime:
    """When the trading day in New York began."""
    return datetime.combine(trade_date(broker.now()), time(), EXCHANGE_ZONE)


def _spent(blotter: Blotter, broker: Broker, run_id: str) -> dict[str, Any]:
    """Amounts sent before: by this run, by all runs of the day in New York, and times within the last minute."""
    today = blotter.notional_sent(_midnight(broker), broker.account)
    now, loop_now = clock.now(), asyncio.get_running_loop().time()
    recent = blotter.sent_times(now - _MINUTE, broker.account)
    return {
        "run_spent": blotter.run_spent(run_id),
        "day_spent": sum(today.values()),
        "sent_at": [loop_now - (now - at).total_seconds() for at in recent],
    }
