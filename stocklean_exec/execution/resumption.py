"""Resume a run: after a crash, a lost connection, a restart of TWS or of the computer, or on a new day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stocklean_exec import background, clock
from stocklean_exec.brokers.base import mask_account
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.execution.approval import shorter
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.recovery import Restrictions
from stocklean_exec.execution.run_setup import work_run
from stocklean_exec.execution.runner import RunTerms
from stocklean_exec.progress import progress_bar
from stocklean_exec.risk.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["resume", "resume_async"]

_SHOWN = 5  # runs, and symbols of each, in one error text


async def resume_async(
    run_id: str,
    broker: Broker,
    blotter: Blotter,
    *,
    timeout: float = 60.0,  # noqa: ASYNC109 - orders keep working after it; asyncio.timeout would cancel the record
    settle: float | None = None,
    resend: bool | None = None,
    max_approval_age: float | None = 3600.0,
    limits: Limits | None = None,
    send_overtaken: bool = False,
    progress: bool | None = None,
    on_progress: Callable[[int, str], None] | None = None,
) -> pd.DataFrame:
    """Resume a run: reconcile it with the broker, send what provably was never sent, follow it to its end.

    Safe to call at any time and any number of times, also for a finished run: late fills and commissions are then
    recorded. The broker is queried for open orders, completed orders, executions and its next order id, until it
    reports nothing new. Orders that it has are adopted. An order that was sent and left no trace is sent again
    with the *same order id* if that id is provably unused, so that a wrong guess is harmless. Otherwise it is
    ``UNKNOWN``, with the evidence as its reason, until the broker reports it or a person decides
    (:meth:`~stocklean_exec.Blotter.resolve`).

    An order that was approved and never sent is sent now if the evidence shows that no other process has sent it:
    the broker has reported everything, to the client id that planned the run, and has passed no order ids that are
    not on record. Otherwise it is held back: its status stays ``NEW``, with the reason and what to do next, and a
    run without any sent order is ``blocked``. So restoring an older copy of the blotter does not send a run twice.
    Orders are also held back if a run that was planned later has orders in the same symbols.

    Parameters
    ----------
    run_id : of a recorded run
    broker : of the same account, and with the same client id if orders are to be sent or cancelled: TWS reports
        executions only to the client that placed the order
    blotter : where the run is recorded
    timeout : seconds to wait for orders that have not ended, and for a connection that is lost
    settle : seconds that an order may be in flight to the broker; only after that does its absence there prove
        anything. By default ten with TWS
    resend : whether an order may be sent a second time with its order id; by default on paper accounts only
    max_approval_age : seconds after which an approval no longer counts: orders not sent by then are refused as
        ``approval_expired``, and :func:`~stocklean_exec.residual_orders` plans them again
    limits : in addition to those that the plan was approved with, which always hold; the tighter of both applies
    send_overtaken : send unsent orders even if a run that was planned later has orders in the same symbols
    progress : show a progress bar; by default in a terminal or notebook
    on_progress : called with the number of orders that have ended, and a text

    Returns
    -------
    DataFrame, one row per order with its current state, as from ``blotter.orders(run_id)``.

    Raises
    ------
    InputError
        There is no such run, or it is of another account.
    RunElsewhereError
        Another process or another blotter works this run.
    HaltedError
        The blotter is halted: the evidence is on record, nothing was sent.
    BrokerError
        The broker cannot be reached.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     again = sx.resume("r", broker, blotter)
    >>> again.equals(done), again["status"].tolist()
    (True, ['FILLED'])
    """
    orders = blotter.orders(run_id)
    if not blotter.last_batch(run_id):
        raise InputError("run_id", [Problem("run_unknown", f"there is no run {run_id!r} in this blotter")])
    if orders.empty:
        return orders  # there was nothing to trade
    _check_account(run_id, orders, broker)
    for recorded in blotter.limits(run_id):
        max_approval_age = shorter(max_approval_age, Limits.of(recorded).max_approval_age)
    text = "" if max_approval_age is None else f"its approval is older than {max_approval_age:,.0f} s"
    restrictions = Restrictions(
        expired=dict.fromkeys(_expired(orders, max_approval_age), text),
        overtaken="" if send_overtaken else _overtaken(run_id, blotter),
    )
    count = int(orders["approved"].fillna(value=False).sum())
    with progress_bar(count, "resuming", show=progress, also=on_progress) as move:
        terms = RunTerms(
            patience=timeout,
            in_flight_seconds=broker.in_flight_seconds if settle is None else settle,
            resend=broker.mode != "live" if resend is None else resend,
            restrictions=restrictions,
            funding=_funding_of(run_id, blotter),
            on_progress=move,
        )
        await work_run(run_id, broker, blotter, terms, limits)
    return blotter.orders(run_id)


resume = background.blocking(resume_async)
"""Blocking form of :func:`resume_async`."""


def _funding_of(run_id: str, blotter: Blotter) -> FundingOptions:
    """How the latest plan of a run is paid for; the defaults for plans of versions that did not record it."""
    recorded = [batch.get("funding") for batch in blotter.parameters(run_id)]
    return FundingOptions.parse(recorded[-1] or {}) if recorded else FundingOptions()


def _check_account(run_id: str, orders: pd.DataFrame, broker: Broker) -> None:
    account = orders["account"].dropna().unique().tolist()
    if account and account != [broker.account]:
        text = f"run {run_id} is of account {mask_account(account[0])}, not of {mask_account(broker.account)}"
        raise InputError("run_id", [Problem("account_mismatch", text)])


def _overtaken(run_id: str, blotter: Blotter) -> str:
    """Why the run's plan is out of date; empty if it is not."""
    later = blotter.overtaken_by(run_id)
    if not later:
        return ""
    runs = ", ".join(f"{name} ({', '.join(symbols[:_SHOWN])})" for name, symbols in list(later.items())[:_SHOWN])
    return (
        f"runs were planned later, with orders in the same symbols: {runs}. The unsent orders of this run are out "
        f"of date; leave them, or send them anyway with sx.resume({run_id!r}, ..., send_overtaken=True) or "
        f"stocklean resume {run_id} --send-overtaken"
    )


def _expired(orders: pd.DataFrame, max_age: float | None) -> list[str]:
    """Orders that were never sent and whose approval has expired."""
    if max_age is None:
        return []
    waiting = orders[(orders["state"] == "INTENT") & orders["approved"].fillna(value=False).astype("bool")]
    age = (clock.now() - waiting["approved_at"]).dt.total_seconds()
    return [str(name) for name in waiting.loc[~(age <= max_age), "client_order_id"]]
