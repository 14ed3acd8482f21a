"""Reconcile a whole account with the blotter: orders, executions, positions and cash."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec import background
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.holdings import fills_since
from stocklean_exec.blotter.order_state import UNSENT_STATES
from stocklean_exec.execution.breaks import DIFFERENCES, Books, compare
from stocklean_exec.execution.recovery_rules import BY_HAND, trade_date
from stocklean_exec.execution.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.brokers.evidence import Evidence
    from stocklean_exec.strategies.strategy_book import StrategyBook

__all__ = ["reconcile", "reconcile_async"]

_MOST_ROUNDS = 5  # a stated choice: TWS normally reports everything in the first query, and a second confirms it
_FOREIGN_COLUMNS = ["order_ref", "symbol", "side", "quantity", "price", "exec_id"]


async def reconcile_async(broker: Broker, blotter: Blotter, *, halt: bool = True) -> pd.DataFrame:
    """Compare the broker with the blotter, and return every difference as a row.

    The broker is queried for all events that may have been missed. Its reports about recorded orders are recorded
    first, so that the remaining differences are real. Orders and executions in our id format that are not on
    record are shown, as are foreign ones; nothing is dropped.

    Parameters
    ----------
    broker, blotter : of the same account
    halt : stop all sending when a difference has severity ``halt``, until a person clears it

    Returns
    -------
    DataFrame: ``kind``, ``severity`` (``halt``, ``warn``, ``info``), ``symbol``, ``client_order_id``, ``blotter``
    and ``broker`` (shares or currency on either side, NaN for none), ``difference`` (broker minus blotter),
    ``detail``; empty when both agree. Positions and cash are compared with those at the start of the last run,
    adjusted for the fills since then; what strategies hold by the record, and what is unassigned, with positions.

    Raises
    ------
    BrokerError
        The broker cannot be queried, or does not report everything that is needed.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     len(sx.reconcile(broker, blotter))
    0
    """
    before = _orders_of(broker, blotter)
    by_hand = await _sent_by_hand(before, broker, blotter)
    records = _records(before, broker, blotter, by_hand)
    evidence = await _ask(broker, records)
    for record in records:
        # Where TWS has an order and reports none of its executions, its outcome is not known here.
        silent = by_hand.intersection(name for name in record.names if record.history(name).state == "INTENT")
        stamp = broker.now()
        await record.put(OrderEvent("unknown", record.run_id, name, stamp, message=BY_HAND) for name in silent)
    orders = _orders_of(broker, blotter)
    fills = blotter.fills()
    fills = fills[fills["client_order_id"].isin(orders["client_order_id"])]
    opening = blotter.last_book(broker.account)
    open_orders = await asyncio.to_thread(broker.open_orders)
    compared = fills if opening.empty else fills_since(opening, orders, fills)
    names = {*open_orders["client_order_id"].dropna(), *compared["client_order_id"]}
    events = blotter.events()
    duplicates = events.loc[events["kind"] == "duplicate", "client_order_id"]
    submissions = events[(events["kind"] == "sending") & events["client_id"].notna()]
    positions = await asyncio.to_thread(broker.positions)
    book = blotter.strategy_book(positions, account=broker.account)
    books = Books(
        orders=orders,
        fills=fills,
        duplicates=frozenset(duplicates) & frozenset(orders["client_order_id"]),
        opening=opening,
        open_orders=open_orders,
        positions=positions,
        cash=await asyncio.to_thread(broker.cash),
        foreign_executions=_foreign_executions(broker, blotter),
        evidence=evidence,
        clients=dict(zip(submissions["client_order_id"].tolist(), submissions["client_id"].tolist(), strict=True)),
        strategies=book.holdings,
        splits=book.splits,
        limit_changes=blotter.limit_changes(names),
        strategy_cash=_total_cash(book, broker.base_currency),
    )
    found = pd.concat([compare(books), _found_out(before, orders)], ignore_index=True)
    grave = found[found["severity"] == "halt"]
    if halt and len(grave):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(grave["kind"].tolist()).items())
        await asyncio.to_thread(blotter.halt, f"broker and blotter disagree: {kinds}")
    return found


reconcile = background.blocking(reconcile_async)
"""Blocking form of :func:`reconcile_async`."""


def _total_cash(book: StrategyBook, base_currency: str) -> float:
    """Cash of all strategies, where all of it is in the base currency; NaN else, and where any is not known."""
    amounts = [
        amount if currency == (base_currency or "USD") else math.nan
        for own in book.cash.values()
        for currency, amount in own.items()
    ]
    return math.fsum(amounts) if amounts else math.nan


def _orders_of(broker: Broker, blotter: Blotter) -> pd.DataFrame:
    orders = blotter.orders()
    return orders[orders["account"] == broker.account]


async def _sent_by_hand(orders: pd.DataFrame, broker: Broker, blotter: Blotter) -> set[str]:
    """Which orders of basket files are at the broker now: a person has sent them."""
    waiting = blotter.exported().intersection(orders["client_order_id"])
    return waiting.intersection((await broker.collect_evidence()).refs) if waiting else set()


def _records(
    orders: pd.DataFrame, broker: Broker, blotter: Blotter, by_hand: AbstractSet[str] = frozenset()
) -> list[RunState]:
    """Follow every run of today, and every run with an order that has not ended."""
    today = trade_date(broker.now())
    # An adopted order is at the broker, although this blotter has not sent it.
    at_broker = orders["client_order_id"].isin(by_hand)
    sent = orders[orders["arrived_at"].notna() | ~orders["state"].isin(UNSENT_STATES) | at_broker]
    late = sent["arrived_at"].dt.tz_convert("America/New_York").dt.date == today
    is_open = sent["status"].isin(["SUBMITTED", "PARTIAL", "UNKNOWN"]) | sent["client_order_id"].isin(by_hand)
    records = []
    for run_id in sent.loc[late | is_open, "run_id"].unique().tolist():
        rows = sent[sent["run_id"] == run_id]
        quantities = dict(zip(rows["client_order_id"].tolist(), rows["quantity"].tolist(), strict=True))
        record = RunState(run_id, blotter, quantities)
        record.follow(broker)
        broker.adopt(run_id, [record.history(name) for name in record.names])
        records.append(record)
    return records


async def _ask(broker: Broker, records: list[RunState]) -> Evidence:
    for _ in range(_MOST_ROUNDS):
        before = sum(record.received for record in records)
        evidence = await broker.collect_evidence()
        if sum(record.received for record in records) == before and evidence.is_complete:
            break
    return evidence


def _foreign_executions(broker: Broker, blotter: Blotter) -> pd.DataFrame:
    """Executions of orders that are not on record, the latest correction of each."""
    found = broker.orphans
    found = found[found["exec_id"].notna()].drop_duplicates("exec_id", keep="last")
    known = blotter.own([ref for ref in found["order_ref"].tolist() if isinstance(ref, str)])
    recorded = set(blotter.fills()["exec_id"])
    # Under the tag of a basket file a person may have traded something else: that is not a fill of the order.
    other = found["order_ref"].isin(blotter.exported()) & ~found["exec_id"].isin(recorded)
    return found.loc[~found["order_ref"].isin(known) | other, _FOREIGN_COLUMNS]


def _found_out(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Order changes that this query of the broker brought to the blotter."""
    was = before.set_index("client_order_id")
    rows: list[dict[str, Any]] = []
    for name, symbol, status, filled in after[
        ["client_order_id", "symbol", "status", "filled_quantity"]
    ].itertuples(index=False):
        old = was.loc[name]
        if (old["status"], old["filled_quantity"]) != (status, filled):
            text = f"was {old['status']} on record; the broker now reports {status}"
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
