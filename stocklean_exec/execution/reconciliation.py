"""Holding a whole account against the record: orders, executions, positions and cash, on both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec import background
from stocklean_exec.blotter.order_state import UNSENT_STATES
from stocklean_exec.execution.breaks import DIFFERENCES, AccountState, compare
from stocklean_exec.execution.recovery_rules import trade_date
from stocklean_exec.execution.run_state import RunState

if TYPE_CHECKING:
    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.brokers.evidence import Evidence

__all__ = ["reconcile", "reconcile_async"]

_MOST_ROUNDS = 5
_STRANGER = ["order_ref", "symbol", "side", "quantity", "price", "exec_id"]


def reconcile(broker: Broker, blotter: Blotter, *, halt: bool = True) -> pd.DataFrame:
    """Compare what the broker has with what is on record, and show every difference as a row.

    The broker is asked for everything that can have happened unheard; what it tells of recorded orders is
    recorded, so that what remains is a real difference. Orders and executions that look like ours and are not on
    record are shown, as are those of nobody here; nothing is dropped.

    Parameters
    ----------
    broker, blotter : of the same account
    halt : stop all sending when a difference is of severity ``halt``, until a person clears it

    Returns
    -------
    DataFrame: ``kind``, ``severity`` (``halt``, ``warn``, ``info``), ``symbol``, ``client_order_id``, ``blotter``
    and ``broker`` (shares or currency on either side, NaN where there is none), ``difference`` (broker less
    blotter), ``detail``; empty when both agree. Positions and cash are compared with those at the start of the
    last run.

    Raises
    ------
    BrokerError
        The broker cannot be asked, or does not tell all that is needed.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     len(sx.reconcile(broker, blotter))
    0
    """
    return background.call(reconcile_async(broker, blotter, halt=halt))


async def reconcile_async(broker: Broker, blotter: Blotter, *, halt: bool = True) -> pd.DataFrame:
    """Do what :func:`reconcile` does, to be awaited."""
    before = _orders_of(broker, blotter)
    records = _records(before, broker, blotter)
    evidence = await _ask(broker, records)
    for record in records:
        await record.put([])  # what was told is on disk now
    orders = _orders_of(broker, blotter)
    fills = blotter.fills()
    events = blotter.events()
    duplicates = events.loc[events["kind"] == "duplicate", "client_order_id"]
    sendings = events[(events["kind"] == "sending") & events["client_id"].notna()]
    books = AccountState(
        orders=orders,
        fills=fills[fills["client_order_id"].isin(orders["client_order_id"])],
        duplicates=frozenset(duplicates) & frozenset(orders["client_order_id"]),
        opening=blotter.last_book(broker.account),
        open_orders=await asyncio.to_thread(broker.open_orders),
        positions=await asyncio.to_thread(broker.positions),
        cash=await asyncio.to_thread(broker.cash),
        strangers=_strangers(broker, blotter),
        evidence=evidence,
        clients=dict(zip(sendings["client_order_id"].tolist(), sendings["client_id"].tolist(), strict=True)),
    )
    found = pd.concat([compare(books), _found_out(before, orders)], ignore_index=True)
    grave = found[found["severity"] == "halt"]
    if halt and len(grave):
        kinds = ", ".join(f"{count} {kind}" for kind, count in grave["kind"].value_counts(sort=False).items())
        await asyncio.to_thread(blotter.halt, f"the broker and the record disagree: {kinds}")
    return found


def _orders_of(broker: Broker, blotter: Blotter) -> pd.DataFrame:
    orders = blotter.orders()
    return orders[orders["account"] == broker.account]


def _records(orders: pd.DataFrame, broker: Broker, blotter: Blotter) -> list[RunState]:
    """Let every run of today, or with an order that has not ended, be told of."""
    today = trade_date(broker.now())
    # An order that was adopted is at the broker, though this record has not sent it.
    sent = orders[orders["arrived_at"].notna() | ~orders["state"].isin(UNSENT_STATES)]
    late = sent["arrived_at"].dt.tz_convert("America/New_York").dt.date == today
    alive = sent["status"].isin(["SUBMITTED", "PARTIAL", "UNKNOWN"])
    records = []
    for run_id in sent.loc[late | alive, "run_id"].unique().tolist():
        rows = sent[sent["run_id"] == run_id]
        quantities = dict(zip(rows["client_order_id"].tolist(), rows["quantity"].tolist(), strict=True))
        record = RunState(run_id, blotter, quantities)
        record.follow(broker)
        broker.adopt(run_id, [record.history(name) for name in record.names])
        records.append(record)
    return records


async def _ask(broker: Broker, records: list[RunState]) -> Evidence:
    for _ in range(_MOST_ROUNDS):
        before = sum(record.heard for record in records)
        evidence = await broker.sweep()
        if sum(record.heard for record in records) == before and evidence.is_complete:
            break
    return evidence


def _strangers(broker: Broker, blotter: Blotter) -> pd.DataFrame:
    """Executions of orders that are not on record, the latest correction of each."""
    heard = broker.orphans
    heard = heard[heard["exec_id"].notna()].drop_duplicates("exec_id", keep="last")
    known = blotter.own([ref for ref in heard["order_ref"].tolist() if isinstance(ref, str)])
    return heard.loc[~heard["order_ref"].isin(known), _STRANGER]


def _found_out(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What the record had not known until the broker was asked just now."""
    was = before.set_index("client_order_id")
    rows: list[dict[str, Any]] = []
    for name, symbol, status, filled in after[
        ["client_order_id", "symbol", "status", "filled_quantity"]
    ].itertuples(index=False):
        old = was.loc[name]
        if (old["status"], old["filled_quantity"]) != (status, filled):
            text = f"was {old['status']} on record, and is {status}: the broker told so now"
            rows.append(
                {
                    "kind": "order_caught_up",
                    "severity": "info",
                    "symbol": symbol,
                    "client_order_id": name,
                    "blotter": old["filled_quantity"],
                    "broker": filled,
                    "difference": filled - old["filled_quantity"],
                    "detail": text,
                }
            )
    return pd.DataFrame(rows, columns=list(DIFFERENCES)).astype(DIFFERENCES)
