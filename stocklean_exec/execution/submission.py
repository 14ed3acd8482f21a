"""Submit one run: from an approved plan to recorded fills.

The sequence: verify the approval, record the whole plan, then for each order record that it is about to be sent,
send it, and record every event about it. Nothing reaches a broker before its intent is on disk, and an order that
was sent is never sent again from here: submitting the same run again sends nothing and returns the same rows.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd

from stocklean_exec import background, clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import UNFINISHED_STATES
from stocklean_exec.brokers.base import Broker, mask_account
from stocklean_exec.errors import (
    BlotterError,
    IdempotencyConflictError,
    InputError,
    Problem,
)
from stocklean_exec.execution.approval import check_age, limits_of, restore, shorter, verify
from stocklean_exec.execution.crossings import check_strategies, crossing_events
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.recovery import Restrictions
from stocklean_exec.execution.residuals import check_batch, is_residual
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_setup import work_run
from stocklean_exec.execution.runner import RunTerms
from stocklean_exec.progress import progress_bar
from stocklean_exec.risk.limits import Limits
from stocklean_exec.risk.rules import ONE_SIDED
from stocklean_exec.schema.frame_validator import RUN_ID
from stocklean_exec.schema.order_ids import payload_hashes
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.execution.funding import AccountKind, FundingMode, Unsettled

    OnProgress = Callable[[int, str], None]

__all__ = [
    "PlanSource",
    "SubmitOptions",
    "check_account",
    "record_plan",
    "run_id_of",
    "submit",
    "submit_orders",
    "submit_orders_async",
]

_DECIDED = ("client_order_id", "run_id", "status", "reason", "detail", "verdict", "reasons", "approved")


class SubmitOptions(NamedTuple):
    """The options of :func:`submit_orders`, which describes them."""

    timeout: float
    max_approval_age: float | None
    limits: Limits | None
    funding: FundingOptions = FundingOptions()


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


def _count_approved(approved: object) -> int:
    columns = getattr(approved, "columns", ())
    return int((cast("Any", approved)["approved"] == True).sum()) if "approved" in columns else 0  # noqa: E712 - element by element


async def submit_orders_async(
    approved: pd.DataFrame,
    broker: Broker,
    blotter: Blotter,
    *,
    timeout: float = 60.0,  # noqa: ASYNC109 - orders keep working after it; asyncio.timeout would cancel the record
    max_approval_age: float | None = 3600.0,
    limits: Limits | None = None,
    funding: FundingMode = "fills",
    funding_timeout: float | None = None,
    account_kind: AccountKind | None = None,
    unsettled: Unsettled = "wait",
    progress: bool | None = None,
    on_progress: OnProgress | None = None,
    control: RunControl | None = None,
) -> pd.DataFrame:
    """Submit an approved plan, follow it to its end, and return one row per order with its final state.

    Parameters
    ----------
    approved : ``review.result()``: every row of the plan
    broker : where to send it
    blotter : where to record it
    timeout : seconds to wait for orders that have not ended, counted from the last one sent; after it they stay
        working at the broker. Also how long buys wait for cash from sells, and how long to wait for a lost
        connection: once it is back, the run is reconciled and continues
    max_approval_age : seconds after which an approval no longer counts
    limits : in addition to those that the plan was checked against, which always hold; the tighter of both
        applies. The caps on value and rate are enforced again before each order is sent; an order over a cap is
        ``REJECTED`` with reason ``run_notional_cap``, ``day_notional_cap`` or ``rate_cap``
    funding : ``"fills"`` sends a buy once the cash for it is there; ``"margin"`` sends everything at once
    funding_timeout : seconds that buys wait for cash, counted like ``timeout``; by default as long as that
    account_kind : ``"cash"`` or ``"margin"``. By default an account is handled as a margin account if its buying
        power is a multiple of its available funds, and else as a cash account, where only settled cash buys
    unsettled : ``"allow"`` lets a cash account buy with the proceeds of sales that have not settled. It is
        recorded, and selling such shares before settlement is then refused (``free_riding``)
    progress : show a progress bar; by default in a terminal or notebook
    on_progress : called with the number of orders that have ended, and a text
    control : stops the run, and receives its events

    Returns
    -------
    DataFrame, :data:`~stocklean_exec.schema.tables.ORDERS` and more, in the plan's sequence. Rows that the plan or
    a check rejected are ``REJECTED``, rows that were not approved ``CANCELLED``; neither was sent. Submitting the
    same run again sends nothing and returns the same rows. A run with nothing to send is ``blocked`` if plan and
    checks rejected every row, and ``cancelled`` if a person approved none; a plan without rows, because positions
    match the targets, is ``done``.
    Orders that an earlier call for this run did not send are sent, or held back, by the rules of
    :func:`~stocklean_exec.resume`.

    Buys beyond the available cash wait and are sent, in the plan's sequence, as executions of sells bring cash in.
    The last market buys of a fully invested plan wait for the fills of the others, which may cost more than their
    quotes. Once no more cash is expected, the first buy that still waits is sent for the shares that the cash pays
    for, never for more than was approved; what cannot be paid for ends ``CANCELLED`` with reason ``not_funded``.
    The cash to keep is the ``min_cash_after`` of the limits; with None no buy waits.

    Raises
    ------
    ApprovalError
        No approval, changed since, or too old. Nothing was recorded or sent.
    IdempotencyConflictError
        The run, or one of its client order ids, is on record with other contents. Nothing was sent.
    HaltedError
        The blotter is halted. The plan is recorded, and its status is ``blocked`` if nothing was sent; the same
        call sends the remaining orders once the halt is cleared.
    RunElsewhereError
        Another process or another blotter works this run, or has worked it. Nothing was sent. Or the lock file of
        the run was removed meanwhile: nothing more was sent.
    BrokerError
        The broker cannot be reached, or did not come back. If it failed while an order was being sent, that order
        is ``UNKNOWN``; those after it were not sent. :func:`~stocklean_exec.resume` continues the run.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> orders = sx.plan_orders({"SPY": 0.5}, None, broker.quotes(), nav=broker.nav(), run_id="run-1")
    >>> review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=broker.cash()))
    >>> review.approve_all(by="demo")
    1
    >>> with sx.open_blotter() as blotter:
    ...     states = sx.submit_orders(review.result(), broker, blotter)
    >>> states[["client_order_id", "status", "filled_quantity", "avg_fill_price", "commission"]]
      client_order_id  status  filled_quantity  avg_fill_price  commission
    0   run-1-SPY-BUY  FILLED             41.0           123.0         1.0
    """
    with progress_bar(_count_approved(approved), "submitting", show=progress, also=on_progress) as move:
        how = FundingOptions.of(funding, funding_timeout, account_kind, unsettled)
        options = SubmitOptions(timeout, max_approval_age, limits, how)
        return await submit(approved, broker, blotter, options, on_progress=move, control=control)


submit_orders = background.blocking(submit_orders_async)
"""Blocking form of :func:`submit_orders_async`."""


async def submit(
    approved: pd.DataFrame,
    broker: Broker,
    blotter: Blotter,
    options: SubmitOptions,
    *,
    on_progress: OnProgress | None = None,
    control: RunControl | None = None,
) -> pd.DataFrame:
    """Do what :func:`submit_orders` describes.

    ``on_progress`` is called with the number of orders that have ended and a text; ``control`` stops the run and
    receives its events.
    """
    timeout, max_approval_age, limits, funding = options
    approved = restore(approved)
    plan_hash = verify(approved)
    if approved.empty and RUN_ID not in approved.attrs:
        return ORDERS.empty()  # nothing is left of a run, or the caller has filtered out every row
    run_id = run_id_of(approved)
    limits = (Limits() if approved.empty else limits_of(approved)).tightened(limits)
    max_approval_age = shorter(limits.max_approval_age, max_approval_age)
    check_account(approved, broker)
    planned = blotter.planned(run_id)
    is_batch = (
        bool(planned)
        and not approved.empty
        and is_residual(approved)
        and not set(approved["client_order_id"]) & set(planned)
    )
    if is_batch:
        check_batch(approved, blotter.orders(run_id))
    elif not approved.empty:
        _refuse_conflicts(run_id, approved, planned, blotter)
    is_new = is_batch or not blotter.last_batch(run_id)
    unsent = _approved_ids(approved) if is_new else _unsent(approved, blotter, run_id)
    if is_new or unsent:
        check_age(approved, clock.now(), max_approval_age)
    if is_new:
        check_strategies(approved)
        batch = blotter.last_batch(run_id) + 1
        parameters = {"timeout": timeout, "limits": limits.to_dict(), "funding": funding.to_dict()}
        source = PlanSource(
            broker.mode, broker.account, broker.address, broker.nav(), *await broker.session_mark()
        )
        crossed = await crossing_events(approved, run_id, clock.now(), broker.account, broker)
        await record_plan(approved, source, blotter, run_id, plan_hash, parameters, batch, crossed)
    if unsent:
        terms = RunTerms(
            patience=timeout,
            in_flight_seconds=broker.in_flight_seconds,
            resend=broker.mode != "live",
            is_new=not planned,
            funding=funding,
            restrictions=Restrictions(cleared=frozenset(unsent) if is_new else frozenset()),
            on_progress=on_progress,
            control=control or RunControl(),
        )
        await work_run(run_id, broker, blotter, terms, limits, only=set(unsent))
    return blotter.orders(run_id)


def run_id_of(approved: pd.DataFrame) -> str:
    """Return the run id of a plan; an error unless there is exactly one."""
    runs = approved["run_id"].unique().tolist()
    if approved.empty and RUN_ID in approved.attrs:  # the plan had nothing to trade
        runs = [approved.attrs[RUN_ID]]
    if len(runs) != 1:
        text = f"one run at a time; there are {', '.join(map(str, runs)) or 'no orders'}"
        raise InputError("orders", [Problem("run_id_invalid", text)])
    return str(runs[0])


def check_account(approved: pd.DataFrame, broker: Broker) -> None:
    """Refuse a plan for an account other than the broker's; the error lists every such row."""
    other = approved["account"].notna() & (approved["account"] != broker.account)
    if other.any():
        text = f"is for another account than the broker's {mask_account(broker.account)}"
        raise InputError(
            "orders",
            [
                Problem("account_mismatch", f"{name} {text}", symbol=symbol)
                for name, symbol in approved.loc[other, ["client_order_id", "symbol"]].itertuples(index=False)
            ],
        )


def _refuse_conflicts(run_id: str, approved: pd.DataFrame, planned: dict[str, str], blotter: Blotter) -> None:
    """Compare a plan with the one that is on record under its run id."""
    if not planned:
        if blotter.last_batch(run_id):
            text = f"run {run_id} is on record as done, with nothing to trade; use a new run_id"
            raise IdempotencyConflictError("orders", [Problem("idempotency_conflict", text)])
        return
    advice = "use a new run_id"
    if blotter.orders(run_id)["state"].isin(UNFINISHED_STATES).any():
        advice = (
            f"run {run_id} is unfinished: sx.resume({run_id!r}, broker, blotter), or stocklean resume {run_id}, "
            "continues it as approved; another plan needs a new run_id"
        )
    problems = []
    for name, symbol, payload in zip(
        approved["client_order_id"].tolist(),
        approved["symbol"].tolist(),
        payload_hashes(approved),
        strict=True,
    ):
        if name not in planned:
            text = f"{name} is not in the plan that run {run_id} is on record with"
        elif planned[name] != payload:
            text = f"{name} is on record with other terms (quantity, side, type, limit, ...)"
        else:
            continue
        problems.append(Problem("idempotency_conflict", f"{text}; {advice}", symbol=symbol))
    if problems:
        raise IdempotencyConflictError("orders", problems)


def _approved_ids(approved: pd.DataFrame) -> list[str]:
    return [str(name) for name in approved.loc[approved["approved"], "client_order_id"]]


def _unsent(approved: pd.DataFrame, blotter: Blotter, run_id: str) -> list[str]:
    """Approved orders of a recorded run that provably were never sent, because a halt came first."""
    recorded = blotter.orders(run_id).set_index("client_order_id")["state"]
    return [name for name in _approved_ids(approved) if recorded.get(name) == "INTENT"]


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
