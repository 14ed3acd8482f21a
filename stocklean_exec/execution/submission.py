"""Submit one run: from an approved plan to recorded fills.

The sequence: verify the approval, record the whole plan, then for each order record that it is about to be sent,
send it, and record every event about it. Nothing reaches a broker before its intent is on disk, and an order that
was sent is never sent again from here: submitting the same run again sends nothing and returns the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from stocklean_exec import background, clock
from stocklean_exec.blotter.order_state import UNFINISHED_STATES
from stocklean_exec.brokers.base import Broker, mask_account
from stocklean_exec.errors import IdempotencyConflictError, InputError, Problem
from stocklean_exec.execution.approval import check_age, limits_of, restore, shorter, verify
from stocklean_exec.execution.crossings import check_strategies, crossing_events
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.plan_record import PlanSource, record_plan
from stocklean_exec.execution.recovery import Restrictions
from stocklean_exec.execution.residuals import check_batch, is_residual
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_setup import work_run
from stocklean_exec.execution.runner import RunTerms
from stocklean_exec.execution.work_plan import sealed_work, with_slices, work_record
from stocklean_exec.progress import progress_bar
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.frame_validator import RUN_ID
from stocklean_exec.schema.order_ids import payload_hashes
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.execution.funding import AccountKind, FundingMode, Unsettled
    from stocklean_exec.execution.work_plan import Work
    from stocklean_exec.execution.work_policy import WorkTerms

    OnProgress = Callable[[int, str], None]

__all__ = [
    "SubmitOptions",
    "check_account",
    "run_id_of",
    "sliced_plan",
    "submit",
    "submit_orders",
    "submit_orders_async",
]


class SubmitOptions(NamedTuple):
    """The options of :func:`submit_orders`, which describes them."""

    timeout: float
    max_approval_age: float | None
    limits: Limits | None
    funding: FundingOptions = FundingOptions()
    work: Work | None = None


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
    work: Work | None = None,
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
    work : how limit orders are worked once they are sent, and in which slices: a
        :class:`~stocklean_exec.WorkPolicy`, or one by client order id. It is recorded, and
        :func:`~stocklean_exec.resume` continues by it. ``timeout`` counts from its last deadline
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
        options = SubmitOptions(timeout, max_approval_age, limits, how, work)
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
    timeout, max_approval_age, limits, funding, work = options
    approved = restore(approved)
    plan_hash = verify(approved)
    if approved.empty and RUN_ID not in approved.attrs:
        return ORDERS.empty()  # nothing is left of a run, or the caller has filtered out every row
    run_id = run_id_of(approved)
    limits = (Limits() if approved.empty else limits_of(approved)).tightened(limits)
    max_approval_age = shorter(limits.max_approval_age, max_approval_age)
    check_account(approved, broker)
    planned = blotter.planned(run_id)
    whole = approved
    approved, terms_of_work = _sliced(approved, sealed_work(approved, work), broker, limits, planned)
    is_batch = (
        bool(planned)
        and not approved.empty
        and is_residual(approved)
        and not set(approved["client_order_id"]) & set(planned)
    )
    if is_batch:
        check_batch(whole, blotter.orders(run_id))
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
        if terms_of_work:
            parameters["work"] = work_record(terms_of_work)
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


def sliced_plan(
    approved: pd.DataFrame, broker: Broker, work: Work | None, limits: Limits | None, planned: Collection[str] = ()
) -> pd.DataFrame:
    """Split the orders of an approved plan into their slices.

    Raises
    ------
    InputError
        With every order that its policy cannot work.
    """
    work = sealed_work(approved, work)
    if work is None or approved.empty:
        return approved
    return _sliced(approved, work, broker, limits_of(approved).tightened(limits), planned)[0]


def _sliced(
    approved: pd.DataFrame, work: Work | None, broker: Broker, limits: Limits, planned: Collection[str]
) -> tuple[pd.DataFrame, dict[str, WorkTerms]]:
    """Split a plan into its slices; of one that is on record, whose times may have passed, without its terms."""
    named, _ = with_slices(approved, work, broker.now(), limits, recorded=True)
    if set(named["client_order_id"]) & set(planned):
        return named, {}
    return with_slices(approved, work, broker.now(), limits)


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
