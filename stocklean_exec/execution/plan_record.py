"""Records an approved plan before anything is sent: its rows, its header, and the first event of each order."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BlotterError, IdempotencyConflictError, Problem
from stocklean_exec.risk.rules import ONE_SIDED
from stocklean_exec.schema.order_ids import payload_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter

__all__ = ["PlanSource", "record_plan"]

_DECIDED = ("client_order_id", "run_id", "status", "reason", "detail", "verdict", "reasons", "approved")


class PlanSource(NamedTuple):
    """What is recorded with a plan about where its orders go.

    ``address`` of the broker; ``nav`` of the account, None for unknown; ``client_id`` and ``next_id`` of the
    connection that planned it, None where there is none.
    """

    mode: str
    account: str
    address: str
    nav: float | None = None
    client_id: int | None = None
    next_id: int | None = None


async def record_plan(
    approved: pd.DataFrame,
    source: PlanSource,
    blotter: Blotter,
    run_id: str,
    plan_hash: str,
    parameters: dict[str, object],
    batch: int,
    more: Sequence[OrderEvent] = (),
) -> None:
    """Record an approved plan, with the first events of its orders and ``more``; on disk when this returns.

    Raises
    ------
    IdempotencyConflictError
        An id belongs to another run.
    BlotterError
        Nothing was recorded, with the reason.
    """
    stamp = clock.now()
    chosen = approved[approved["approved"]]
    header: dict[str, object] = {
        "run_id": run_id,
        "leg": batch,
        "mode": source.mode,
        "account": source.account,
        "nav": source.nav,
        "parameters": json.dumps({"broker": source.address, **parameters}),
        "plan_hash": plan_hash,
        "approved_by": ", ".join(sorted(set(chosen["approved_by"]))) or None,
        "approved_at": None if chosen.empty else chosen["approved_at"].max().to_pydatetime(),
    }
    rows = approved.assign(
        payload_hash=payload_hashes(approved), account=approved["account"].fillna(source.account)
    )
    events = [_first_event(row, stamp, source.client_id) for row in _rows(rows, _DECIDED)]
    events += [*_outcome_of_nothing(approved, run_id, stamp), *more]
    if source.client_id is not None:  # a copy of the blotter taken now has the state of the order ids
        mark = OrderEvent(
            "session", run_id, occurred_at=stamp, order_id=source.next_id, client_id=source.client_id
        )
        events.append(mark._replace(code="planned", attempt=batch))
    if not approved["client_order_id"].str.startswith(f"{run_id}-").all():
        _refuse_used_ids(approved, blotter)  # ids chosen by the caller may belong to any run
    try:
        await asyncio.shield(asyncio.wrap_future(blotter.record_plan(rows, header, events)))
    except BlotterError:
        _refuse_used_ids(approved, blotter)
        raise


def _refuse_used_ids(approved: pd.DataFrame, blotter: Blotter) -> None:
    """Raise with the ids that belong to another run, if that is why a plan could not be recorded."""
    known = blotter.orders()
    owner = dict(zip(known["client_order_id"].tolist(), known["run_id"].tolist(), strict=True))
    problems = [
        Problem(
            "idempotency_conflict", f"{name} is on record in run {owner[name]}; an id is used once", symbol=symbol
        )
        for name, symbol in approved[["client_order_id", "symbol"]].itertuples(index=False)
        if name in owner
    ]
    if problems:
        raise IdempotencyConflictError("orders", problems)


def _outcome_of_nothing(approved: pd.DataFrame, run_id: str, stamp: datetime) -> list[OrderEvent]:
    """Return the final events of a run that has nothing to send.

    It is ``done`` if the plan has no rows, ``blocked`` if plan and checks have rejected every row, apart from
    sells that were to pay for rejected buys, and ``cancelled`` if a person has approved none of the other rows.
    """
    if approved["approved"].any():
        return []
    if approved.empty:
        return _at_once(run_id, stamp, "nothing to trade: the plan has no orders")
    refused = (approved["verdict"] == "block") | (approved["status"] == "REJECTED")
    unpaired = _one_sided(approved) & ~refused
    if (refused | unpaired).all():
        text = f"all {len(approved)} orders were refused by plan or checks"
        if unpaired.any():
            text = (
                f"{int(refused.sum())} orders were refused, among them buys for lack of cash, so the "
                f"{int(unpaired.sum())} sells that were to pay for them were not sent; one_sided=True sends these"
            )
        return [OrderEvent("run_blocked", run_id, occurred_at=stamp, message=text)]
    text = "no order was approved"
    ended = _at_once(run_id, stamp, text)
    return [*ended, OrderEvent("run_cancelled", run_id, occurred_at=stamp, message=text)]


def _at_once(run_id: str, stamp: datetime, text: str) -> list[OrderEvent]:
    """Return the events of a run that ends as it starts."""
    kinds = ("run_started", "run_ended")
    return [OrderEvent(kind, run_id, occurred_at=stamp, attempt=1, message=text) for kind in kinds]


def _one_sided(approved: pd.DataFrame) -> pd.Series[bool]:
    """Unapproved sells of a plan whose buys were rejected for lack of cash."""
    found = approved["reasons"] if "reasons" in approved.columns else pd.Series("", approved.index)
    return (
        found.fillna("").str.split(", ").map(lambda codes: ONE_SIDED in codes).astype("bool")
        & ~approved["approved"]
    )


def _rows(frame: pd.DataFrame, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows of those named columns that exist; many times faster than ``to_dict`` on a wide frame."""
    known = [name for name in names if name in frame.columns]
    for values in zip(*(frame[name].tolist() for name in known), strict=True):
        yield dict(zip(known, values, strict=True))


def _first_event(row: dict[str, Any], stamp: datetime, client_id: int | None) -> OrderEvent:
    """Return the first event of a row: approved, rejected by plan or check, or not approved by a person."""
    kind, code, message = "intent", None, None
    if row["status"] == "REJECTED":
        kind, code = "refused", str(row["reason"])
        message = row["detail"] if isinstance(row.get("detail"), str) else None
    elif row["verdict"] == "block":
        kind, code = "refused", str(row["reasons"]).split(", ", maxsplit=1)[0]
        message = str(row["reasons"])
    elif not row["approved"]:
        reasons = row.get("reasons")
        is_unpaired = isinstance(reasons, str) and ONE_SIDED in reasons.split(", ")
        kind, code = "not_approved", ONE_SIDED if is_unpaired else "not_approved"
    planner = client_id if kind == "intent" else None
    return OrderEvent(
        kind, row["run_id"], row["client_order_id"], stamp, code=code, message=message, client_id=planner
    )
