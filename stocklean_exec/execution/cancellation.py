"""Cancel this record's own working orders one by one, and wait until the broker has confirmed each cancel."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.errors import BrokerError, InputError
from stocklean_exec.execution.funding import ledger_of
from stocklean_exec.execution.run_handle import is_active
from stocklean_exec.execution.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["cancel_orders", "own_working_orders"]

_CHECK_SECONDS = 0.05  # a stated choice: how soon a confirmed cancel is seen


def own_working_orders(broker: Broker, blotter: Blotter, run_id: str) -> pd.DataFrame:
    """Working orders at the broker that are on record in this blotter, without those of ``run_id``."""
    working = broker.open_orders()
    recorded = blotter.orders()
    own = recorded.loc[recorded["run_id"] != run_id, "client_order_id"]
    return working[working["client_order_id"].isin(own)].reset_index(drop=True)


async def cancel_orders(broker: Broker, blotter: Blotter, names: Sequence[str], timeout: float) -> dict[str, str]:  # noqa: ASYNC109 - a deadline for all orders together; asyncio.timeout would cancel the record
    """Cancel orders of earlier runs, and record what becomes of them.

    Parameters
    ----------
    names : client order ids on record
    timeout : seconds to wait for the confirmations

    Returns
    -------
    Why an order may still be working, by client order id; empty if each has ended, by its cancel or a last fill.

    Raises
    ------
    BrokerError
        The broker cannot be queried.
    """
    if not names:
        return {}
    runs = _runs_of(blotter, names)
    records = [_followed(broker, blotter, run_id, quantities) for run_id, quantities in runs.items()]
    if any(record is not None for record in records):
        await broker.collect_evidence()
    failed: dict[str, str] = {}
    for name in names:
        try:
            await asyncio.to_thread(broker.cancel, name)
        except (InputError, BrokerError) as error:
            failed[name] = f"it cannot be cancelled: {error}"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        for record in records:
            if record is not None:
                await record.put([])  # the reports are on disk now
        waiting = [name for name in _not_ended(blotter, runs, names) if name not in failed]
        if not waiting or loop.time() >= deadline:
            break
        await asyncio.sleep(_CHECK_SECONDS)
    ended = set(names) - set(_not_ended(blotter, runs, names))
    ledger_of(broker).release(ended)  # what the cancelled buys might have cost is free again
    text = f"its cancel was not confirmed within {timeout:g} s"
    return {name: failed.get(name, text) for name in names if name not in ended}


def _runs_of(blotter: Blotter, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Requested shares of each order of the runs that ``names`` belong to, by run and client order id."""
    orders = blotter.orders()
    chosen = orders.loc[orders["client_order_id"].isin(names), "run_id"].unique().tolist()
    return {
        run_id: {
            name: quantity
            for name, quantity in orders.loc[
                orders["run_id"] == run_id, ["client_order_id", "quantity"]
            ].itertuples(index=False)
            if not math.isnan(quantity)
        }
        for run_id in chosen
    }


def _followed(broker: Broker, blotter: Blotter, run_id: str, quantities: Mapping[str, float]) -> RunState | None:
    """Follow a run of an earlier process; None for one that is working here, which records its own events."""
    if is_active(blotter, run_id):
        return None
    record = RunState(run_id, blotter, quantities)
    record.follow(broker)
    sent = [name for name in record.names if record.history(name).last_sending is not None]
    broker.adopt(run_id, [record.history(name) for name in sent])
    return record


def _not_ended(blotter: Blotter, runs: Mapping[str, object], names: Sequence[str]) -> list[str]:
    ended: set[str] = set()
    for run_id in runs:
        orders = blotter.orders(run_id)
        ended |= set(orders.loc[orders["status"].isin(ENDED), "client_order_id"])
    return [name for name in names if name not in ended]
