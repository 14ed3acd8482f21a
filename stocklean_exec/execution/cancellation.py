"""Cancel this record's own working orders one by one, and wait until the broker has confirmed each cancel.

Never a global cancel: orders of other clients, of other records and those placed by hand are named, not touched.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import ENDED, UNFINISHED_STATES
from stocklean_exec.errors import BrokerError, InputError
from stocklean_exec.execution.funding import ledger_of
from stocklean_exec.execution.run_control import control_of, working_runs
from stocklean_exec.execution.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.reader import BlotterReader
    from stocklean_exec.brokers.base import Broker

__all__ = ["CancelOutcome", "cancel_listed", "cancel_orders", "cancel_runs", "own_working_orders", "placed_by"]

_OTHER_COLUMNS = ["client_order_id", "symbol", "side", "quantity", "filled_quantity", "client_id"]
_QUIET_SECONDS = 10.0  # a stated choice: sending one group of orders takes far less
_CHECK_SECONDS = 0.05  # a stated choice: how soon a confirmed cancel is seen


def own_working_orders(broker: Broker, blotter: Blotter, run_id: str) -> pd.DataFrame:
    """Working orders at the broker that are on record in this blotter, without those of ``run_id``."""
    working = broker.open_orders()
    recorded = blotter.orders()
    own = recorded.loc[recorded["run_id"] != run_id, "client_order_id"]
    return working[working["client_order_id"].isin(own)].reset_index(drop=True)


async def cancel_orders(broker: Broker, blotter: Blotter, names: Sequence[str], timeout: float) -> dict[str, str]:  # noqa: ASYNC109 - a deadline for all orders together; asyncio.timeout would cancel the record
    """Cancel orders of earlier runs, and record the results.

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
    ledger_of(broker).release(ended)  # release what the cancelled buys might have cost
    text = f"its cancel was not confirmed within {timeout:g} s"
    return {name: failed.get(name, text) for name in names if name not in ended}


async def cancel_listed(
    broker: Broker,
    names: Sequence[str],
    timeout: float,  # noqa: ASYNC109 - as above
    *,
    known: Collection[str],
) -> CancelOutcome:
    """Cancel orders of this client id without a record, which another process has open and brings up to date.

    An order counts as ended once the broker does not list it as working any more. ``known`` are orders on record,
    which are not named among the others.

    Raises
    ------
    BrokerError
        The broker cannot be queried.
    """
    await broker.collect_evidence()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    working = await asyncio.to_thread(broker.open_orders)
    listed = set(working["client_order_id"])
    failed: dict[str, str] = {}
    for name in listed.intersection(names):
        try:
            await asyncio.to_thread(broker.cancel, name)
        except (InputError, BrokerError) as error:
            failed[name] = f"it cannot be cancelled: {error}"
    while (waiting := listed.intersection(names) - set(failed)) and loop.time() < deadline:
        await asyncio.sleep(_CHECK_SECONDS)
        listed = set((await asyncio.to_thread(broker.open_orders))["client_order_id"])
    failed |= dict.fromkeys(waiting, f"its cancel was not confirmed within {timeout:g} s")
    ended = tuple(name for name in names if name not in failed)
    return CancelOutcome(ended, failed=failed, others=tuple(_others(working, set(known), {})))


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
    if control_of(blotter, run_id) is not None:
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


class CancelOutcome(NamedTuple):
    """The result of a request to cancel; client order ids.

    ``ended`` orders that have ended, by their cancel or a last fill; ``unsent`` orders that were never sent, and
    will not be; ``failed`` why an order may still be working; ``elsewhere`` the client id of an order that only
    that one can cancel; ``others`` working orders that were not to be cancelled, with ``whose``.
    """

    ended: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()
    failed: dict[str, str] = {}  # noqa: RUF012 - never changed
    elsewhere: dict[str, int] = {}  # noqa: RUF012 - never changed
    others: tuple[dict[str, Any], ...] = ()

    def merged(self, other: CancelOutcome) -> CancelOutcome:
        """Combine it with that of another connection, which may have ended what this one could not."""
        ended = tuple(dict.fromkeys([*self.ended, *other.ended]))
        failed = {name: why for name, why in (self.failed | other.failed).items() if name not in ended}
        elsewhere = {
            name: client for name, client in (self.elsewhere | other.elsewhere).items() if name not in ended
        }
        others = {
            (one["client_order_id"], one["client_id"], one["symbol"]): one for one in self.others + other.others
        }
        unsent = tuple(dict.fromkeys([*self.unsent, *other.unsent]))
        return CancelOutcome(ended, unsent, failed, elsewhere, tuple(others.values()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; :meth:`of` reads it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}

    @classmethod
    def of(cls, values: dict[str, Any]) -> CancelOutcome:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            tuple(values["ended"]),
            tuple(values["unsent"]),
            values["failed"],
            values["elsewhere"],
            tuple(values["others"]),
        )


async def cancel_runs(
    broker: Broker,
    blotter: Blotter,
    run_id: str | None,
    *,
    by: str,
    timeout: float,  # noqa: ASYNC109 - a deadline for all cancels together
) -> CancelOutcome:
    """Send no further order of a run, or of every run, and cancel its working orders through this client id.

    Works whoever sends the run: a run of this process is stopped, and records its own end; of an earlier one what
    the broker reports is recorded first. Orders never sent are ``REJECTED`` for good (``run_cancelled``).

    Parameters
    ----------
    run_id : a recorded run; None for every run of the broker's account
    by : who cancels; recorded
    timeout : seconds to wait for the confirmations

    Raises
    ------
    BrokerError
        The broker cannot be queried.
    """
    chosen = _chosen(broker, blotter, run_id)
    text = f"cancelled by {by}"
    active = {name: one for name, one in working_runs(blotter).items() if run_id in (None, name)}
    for control in active.values():
        control.stop(text)
    for control in active.values():  # an order may be on its way to the broker at this moment
        await asyncio.to_thread(control.quiet.wait, _QUIET_SECONDS)
    by_hand = (chosen["state"] == "INTENT") & chosen["client_order_id"].isin(blotter.exported())
    chosen = chosen[~by_hand]  # a person has the file, and sending it cannot be prevented from here
    unsent = chosen[(chosen["state"] == "INTENT") & ~chosen["run_id"].isin(active)]
    stamp = clock.now()
    unfinished = dict.fromkeys([*active, *chosen.loc[chosen["state"].isin(UNFINISHED_STATES), "run_id"].tolist()])
    events = [OrderEvent("run_cancelled", name, occurred_at=stamp, code=by, message=text) for name in unfinished]
    events += [
        OrderEvent("refused", run, name, stamp, code="run_cancelled", message=text)
        for name, run in unsent[["client_order_id", "run_id"]].itertuples(index=False)
    ]
    await asyncio.shield(asyncio.wrap_future(blotter.record(events)))
    working = await asyncio.to_thread(broker.open_orders)
    own, elsewhere = await _who_can_cancel(broker, blotter, run_id, working)
    failed = await cancel_orders(broker, blotter, own, timeout)
    for name in unfinished:
        await _end_run(blotter, name, text)
    return CancelOutcome(
        tuple(name for name in own if name not in failed),
        tuple(unsent["client_order_id"].tolist()),
        failed | {name: _whose_cancel(client) for name, client in elsewhere.items()},
        elsewhere,
        tuple(_others(working, {*own, *elsewhere}, _runs(blotter))),
    )


def _chosen(broker: Broker, blotter: Blotter, run_id: str | None) -> pd.DataFrame:
    orders = blotter.orders(run_id)
    orders = orders[orders["account"] == broker.account]
    return orders[orders["approved"].fillna(value=False).astype("bool")]


async def _who_can_cancel(
    broker: Broker, blotter: Blotter, run_id: str | None, working: pd.DataFrame
) -> tuple[list[str], dict[str, int]]:
    """Orders that may work and that this client id can cancel, and the client id of those that it cannot."""
    chosen = _chosen(broker, blotter, run_id)
    at_broker = set(working["client_order_id"].dropna())
    may_work = chosen["state"].isin(UNFINISHED_STATES - {"INTENT"}) | chosen["client_order_id"].isin(at_broker)
    clients = _clients(blotter, working)
    here = (await broker.session_mark())[0]
    own, elsewhere = [], {}
    for name in chosen.loc[may_work, "client_order_id"].tolist():
        if here is None or clients.get(name, here) == here:
            own.append(name)
        else:
            elsewhere[name] = clients[name]
    return own, elsewhere


def placed_by(blotter: BlotterReader) -> dict[str, int]:
    """Client id that sent each order, by client order id; orders that were never sent have none."""
    events = blotter.events()
    sent = events[(events["kind"] == "sending") & events["client_id"].notna()]
    return {name: int(client) for name, client in sent[["client_order_id", "client_id"]].itertuples(index=False)}


def _clients(blotter: Blotter, working: pd.DataFrame) -> dict[str, int]:
    """Client id that placed an order, on record or as the broker lists it."""
    if "client_id" not in working.columns:
        return placed_by(blotter)
    listed = working[working["client_order_id"].notna() & working["client_id"].notna()]
    rows = listed[["client_order_id", "client_id"]].itertuples(index=False)
    return placed_by(blotter) | {name: int(client) for name, client in rows}


def _whose_cancel(client: int) -> str:
    if client == 0:
        return "it was placed by hand in TWS, or by client id 0: cancel it there"
    return f"it was placed by client id {client}, and only that one can cancel it"


def _runs(blotter: Blotter) -> dict[str, str]:
    """Run of each order on record."""
    recorded = blotter.orders()
    return dict(zip(recorded["client_order_id"].tolist(), recorded["run_id"].tolist(), strict=True))


def _others(working: pd.DataFrame, chosen: set[str], runs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Working orders that were not to be cancelled, and whose they are; ``runs`` of those on record."""
    left = working[~working["client_order_id"].isin(chosen)]
    rows = left[[name for name in _OTHER_COLUMNS if name in left.columns]].astype("object")
    found = []
    for values in rows.where(rows.notna(), None).to_dict("records"):
        row = dict.fromkeys(_OTHER_COLUMNS) | {str(name): value for name, value in values.items()}
        found.append(row | {"whose": _whose(row["client_id"], runs.get(row["client_order_id"] or ""))})
    return found


def _whose(client: int | None, run_id: str | None) -> str:
    if run_id is not None:
        return f"run {run_id} of this record"
    if client == 0:
        return "placed by hand in TWS, or by client id 0"
    return "not on record here" if client is None else f"of client id {client}"


async def _end_run(blotter: Blotter, run_id: str, text: str) -> None:
    """Record the end of a run that no process works any more, once none of its orders can trade."""
    if control_of(blotter, run_id) is not None or blotter.orders(run_id)["state"].isin(UNFINISHED_STATES).any():
        return
    kinds = [event.kind for event in blotter.recorded_events(run_id)]
    begun = kinds.count("run_started")
    if begun > kinds.count("run_ended"):
        event = OrderEvent("run_ended", run_id, occurred_at=clock.now(), attempt=begun, message=text)
        await asyncio.shield(asyncio.wrap_future(blotter.record([event])))
