"""The complete workflow in one call: targets, plan, checks, approval, submission."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec import background
from stocklean_exec.errors import BrokerError, InputError, Problem
from stocklean_exec.execution.cancellation import cancel_orders, own_working_orders
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.order_previews import preview_orders_async
from stocklean_exec.execution.submission import SubmitOptions, submit
from stocklean_exec.execution.work_plan import check_work
from stocklean_exec.portfolio.alignment import parse_nav
from stocklean_exec.portfolio.netting import names_strategies
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.portfolio.working_orders import is_own
from stocklean_exec.review.model import OrderReview, review_orders
from stocklean_exec.risk.pre_trade_checks import Limits, check_orders, unsent_orders
from stocklean_exec.risk.rules import UNFINISHED
from stocklean_exec.schema.account_ids import mask_account
from stocklean_exec.schema.files import read_targets
from stocklean_exec.schema.frame_validator import add_warnings, merge_warnings, warning_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.execution.funding import AccountKind, FundingMode, Unsettled
    from stocklean_exec.execution.work_plan import Work
    from stocklean_exec.portfolio.account_state import AccountState

__all__ = ["prepare", "prepare_async", "rebalance", "rebalance_async"]

_SENT_BY_HAND = (
    "It is in a basket file: a person may send it, or has sent it since the last reconciliation. If it will not "
    'be sent, blotter.resolve(..., "CANCELLED", reason=...) closes it'
)
_UNRESOLVED_COLUMNS = ("client_order_id", "run_id", "symbol", "side", "quantity", "filled_quantity", "status")


async def rebalance_async(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    limits: Limits | None = None,
    approve: str | bool | Callable[[OrderReview], object] | None = None,
    dry_run: bool = True,
    nav: float | None = None,
    timeout: float = 60.0,  # noqa: ASYNC109 - orders keep working after it; asyncio.timeout would cancel the record
    one_sided: bool = False,
    funding: FundingMode = "fills",
    funding_timeout: float | None = None,
    account_kind: AccountKind | None = None,
    unsettled: Unsettled = "wait",
    work: Work | None = None,
    previews: int | Iterable[str] = 0,
    **plan_options: Any,  # noqa: ANN401 - passed to plan_orders, which declares them
) -> pd.DataFrame:
    """Plan, check, approve and submit in one call. A dry run, the default, sends and records nothing.

    Parameters
    ----------
    targets : a table, or the path of a CSV or Parquet file; of several strategies, from
        :func:`~stocklean_exec.net_targets`: what each holds is taken from the record
    broker, blotter : where to send and where to record
    run_id : id of the run; using it again sends nothing twice
    limits : for the checks
    approve : name of the user who approves every order that passes, True for the current user, or a function that
        decides on the :class:`~stocklean_exec.OrderReview`; None approves nothing. With a name or True no person
        is asked: a day order that would wait for its market to open is blocked then (``market_closed``), unless
        ``Limits(closed_market=)`` says otherwise
    dry_run : False sends the orders
    nav : by default the broker's
    timeout : see :func:`~stocklean_exec.submit_orders`
    one_sided : send the sells also where the cash check has blocked the buys they fund; see
        :meth:`~stocklean_exec.OrderReview.approve_all`
    funding, funding_timeout, account_kind, unsettled, work : see :func:`~stocklean_exec.submit_orders`
    previews : how many of the largest orders the broker is asked about before they are checked, or their client
        order ids; see :func:`~stocklean_exec.preview_orders`. TWS is asked once in 60 seconds. The account is then
        read again, and the plan is checked with it as it is
    plan_options : options of :func:`~stocklean_exec.plan_orders`; ``open_orders`` are by default those working at
        the broker, whoever placed them, and those of this blotter whose status is unknown. Plain ones that are on
        record in this blotter count as filled; the symbols of others are rejected (``open_order_exists``) unless
        ``foreign_orders`` says otherwise. ``on_open_orders="reject"`` rejects the symbols of all. ``"cancel"``
        cancels the working orders of earlier runs of this blotter one by one, waits up to ``timeout`` for each
        cancel to be confirmed, and then reads the account and plans; the symbol of an order that may still be
        working is rejected. A dry run cancels nothing, and names them in a warning (``would_cancel``)

    Returns
    -------
    DataFrame, one row per order: for a dry run the checked plan with its approvals, else the final states. If
    positions match the targets, there are no rows, and a run with nothing to trade is recorded as ``done``, unless
    it is a dry run.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     plan = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="run-1", approve="demo")
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="run-1", approve="demo", dry_run=False)
    >>> plan["status"].tolist(), done["status"].tolist()
    (['NEW'], ['FILLED'])
    """
    how = FundingOptions.of(funding, funding_timeout, account_kind, unsettled)
    cancelled = None
    if plan_options.get("on_open_orders") == "cancel" and not dry_run:
        cancelled = await cancel_first(targets, broker, blotter, run_id=run_id, timeout=timeout)
    review = await prepare_async(
        targets,
        broker,
        blotter,
        previews=previews,
        run_id=run_id,
        limits=limits,
        nav=nav,
        sending=not dry_run,
        unattended=bool(approve) and not callable(approve),
        cancelled=cancelled,
        work=work,
        **plan_options,
    )
    if callable(approve):
        if len(review):
            approve(review)
    elif approve:
        review.approve_all(by=approve if isinstance(approve, str) else None, one_sided=one_sided)
    if dry_run:
        return review.result()
    limits = limits or Limits()
    options = SubmitOptions(timeout, limits.max_approval_age, limits, how, work)
    states = await submit(review.result(), broker, blotter, options)
    return merge_warnings(states, review.orders)


rebalance = background.blocking(rebalance_async)
"""Blocking form of :func:`rebalance_async`."""


def prepare(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    limits: Limits | None = None,
    nav: float | None = None,
    sending: bool = False,
    unattended: bool = False,
    cancelled: Cancelled | None = None,
    work: Work | None = None,
    **plan_options: Any,  # noqa: ANN401 - passed to plan_orders, which declares them
) -> OrderReview:
    """Plan and check ``targets`` with the broker's positions and quotes; return the review.

    A halted blotter blocks every order, unless the plan is for ``sending`` at once: then the submission detects
    the halt, records the run as ``blocked``, and can send it once the halt is cleared. A row that a check has
    blocked cannot be sent later. In an ``unattended`` plan, whose warnings no person sees, orders that would wait
    for their market to open are blocked. With ``on_open_orders="cancel"``, ``cancelled`` is what
    :func:`cancel_first` has done; without it, the plan is as it would be after the cancels.
    """
    draft = _Draft.of(targets, broker, blotter, run_id, nav, plan_options, cancelled)
    return draft.checked(limits, sending=sending, unattended=unattended, work=work, now=broker.now())


async def prepare_async(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    previews: int | Iterable[str] = 0,
    run_id: str,
    limits: Limits | None = None,
    nav: float | None = None,
    sending: bool = False,
    unattended: bool = False,
    cancelled: Cancelled | None = None,
    work: Work | None = None,
    **plan_options: Any,  # noqa: ANN401 - passed to plan_orders, which declares them
) -> OrderReview:
    """Do what :func:`prepare` does, and ask the broker for ``previews`` of orders between plan and check.

    Raises
    ------
    BrokerError
        Positions changed while the previews were made: the plan was for others.
    """
    draft = _Draft.of(targets, broker, blotter, run_id, nav, plan_options, cancelled)
    table = None
    if len(draft.orders) and previews != 0:
        is_count = isinstance(previews, numbers.Real)
        options: dict[str, Any] = {"most": previews} if is_count else {"names": previews}
        table = await preview_orders_async(draft.orders, broker, **options)
        draft = draft.read_again()
    return draft.checked(
        limits, sending=sending, unattended=unattended, previews=table, work=work, now=broker.now()
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """A plan that is not checked yet, the account that it was made for, and what reads that."""

    orders: pd.DataFrame
    state: AccountState
    blotter: Blotter
    fx: Mapping[str, float] | None
    read: Callable[[], AccountState]

    @classmethod
    def of(
        cls,
        targets: object,
        broker: Broker,
        blotter: Blotter,
        run_id: str,
        nav: float | None,
        plan_options: dict[str, Any],
        cancelled: Cancelled | None,
    ) -> _Draft:
        """Read the account, and plan."""
        wanted, fx = read_targets(targets), plan_options.get("fx")
        given = plan_options.pop("open_orders", None)
        plan_options.setdefault("on_open_orders", "net")
        notes: list[dict[str, object]] = []

        def read() -> AccountState:
            state = broker.account_state(wanted, fx=fx)
            _check_base_currency(state, plan_options.get("base_currency"))
            open_orders = _open_orders(state, broker, blotter, run_id) if given is None else given
            if plan_options["on_open_orders"] == "cancel":
                open_orders, notes[:] = _after_cancels(open_orders, cancelled)
            if names_strategies(wanted):
                state = state.with_strategies(blotter.strategy_book(state))
            return replace(state, nav=state.nav if nav is None else parse_nav(nav), _open_orders=open_orders)

        state = read()
        orders = add_warnings(plan_orders(wanted, state, run_id=run_id, **plan_options), notes)
        return cls(orders, state, blotter, fx, read)

    def read_again(self) -> _Draft:
        """The same plan with the account as it is now.

        Raises
        ------
        BrokerError
            Its positions are others.
        """
        state = self.read()
        if _shares(state) != _shares(self.state):
            text = "positions changed while orders were previewed, and the plan is for those before; plan again"
            raise BrokerError(text)
        return replace(self, state=state)

    def checked(
        self,
        limits: Limits | None,
        *,
        sending: bool,
        unattended: bool,
        previews: pd.DataFrame | None = None,
        work: Work | None = None,
        now: datetime,
    ) -> OrderReview:
        """Check the plan and how it is to be worked; return its review."""
        limits = limits or Limits()
        if unattended and limits.closed_market is None:
            limits = replace(limits, closed_market="block")
        record = _Unhalted(self.blotter) if sending else self.blotter
        checked = check_orders(self.orders, limits, self.state, blotter=record, fx=self.fx, previews=previews)
        if work is not None:
            check_work(checked, work, now, limits)
        return review_orders(add_warnings(checked, _unfinished_runs(checked, self.blotter)), work=work)


def _shares(state: AccountState) -> dict[tuple[str, int], float]:
    """Shares held by symbol and contract."""
    held = state.positions
    numbered = held["con_id"].fillna(0).astype("int64").tolist()
    rows = zip(held["symbol"].tolist(), numbered, held["quantity"].tolist(), strict=True)
    return {(symbol, number): shares for symbol, number, shares in rows if shares}


class Cancelled(NamedTuple):
    """What :func:`cancel_first` has done: texts of the orders that have ended, and why others may be working."""

    ended: dict[str, str]
    failed: dict[str, str]


async def cancel_first(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    timeout: float,  # noqa: ASYNC109 - a deadline for all cancels together
) -> Cancelled:
    """Cancel the working orders of earlier runs of this blotter, before the account is read for a plan.

    Raises
    ------
    HaltedError
        The blotter is halted: nothing could be sent in their place.
    InputError
        The targets cannot be read. Nothing was cancelled.
    """
    read_targets(targets)
    blotter.check_halt()
    own = own_working_orders(broker, blotter, run_id)
    texts = dict(zip(own["client_order_id"].tolist(), _descriptions(own), strict=True))
    failed = await cancel_orders(broker, blotter, list(texts), timeout)
    return Cancelled({name: text for name, text in texts.items() if name not in failed}, failed)


def _descriptions(orders: pd.DataFrame) -> list[str]:
    columns = ["side", "quantity", "filled_quantity", "symbol", "client_order_id"]
    return [
        f"{side} {quantity - filled:,.10g} {symbol} ({name})"
        for side, quantity, filled, symbol, name in orders[columns]
        .fillna({"filled_quantity": 0.0})
        .itertuples(index=False)
    ]


def _after_cancels(
    open_orders: pd.DataFrame, cancelled: Cancelled | None
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Return the working orders that a plan must count after the cancels, and warnings about these."""
    if cancelled is None:  # nothing was cancelled: plan as if all our own had been
        own = is_own(open_orders)
        notes = [
            warning_row(
                "would_cancel",
                f"{text} is working, and is cancelled before this plan is sent",
                table="open_orders",
            )
            for text in _descriptions(open_orders[own])
        ]
        return open_orders[~own].reset_index(drop=True), notes
    notes = [
        warning_row("cancelled_first", f"{text} was cancelled before this plan was made", table="open_orders")
        for text in cancelled.ended.values()
    ]
    notes += [
        warning_row("not_cancelled", f"{name} may still be working: {why}", table="open_orders")
        for name, why in cancelled.failed.items()
    ]
    # What is still working is refused: an own order that has not ended has an unknown outcome.
    ours = pd.Series(is_own(open_orders), open_orders.index)
    status = (
        open_orders["status"] if "status" in open_orders.columns else pd.Series(None, open_orders.index, "str")
    )
    return open_orders.assign(status=status.mask(ours, "UNKNOWN")), notes


def _check_base_currency(state: AccountState, given: object) -> None:
    """Raise if another base currency was given than the account has."""
    if given not in (None, state.base_currency):
        text = (
            f"the base currency of account {mask_account(state.account)} is {state.base_currency}, and not {given}"
        )
        raise InputError("nav", [Problem("currency_mismatch", text)])


def _open_orders(state: AccountState, broker: Broker, blotter: Blotter, run_id: str) -> pd.DataFrame:
    """Working orders at the broker, whoever placed them, and recorded ones that may work; not of this run.

    ``is_own`` says which of them are on record in this blotter.
    """
    working = state.open_orders if state.open_orders is not None else broker.open_orders()
    working["is_own"] = working["client_order_id"].isin(blotter.orders()["client_order_id"])
    unresolved = blotter.unresolved()
    unresolved = unresolved[(unresolved["account"] == broker.account) & (unresolved["run_id"] != run_id)]
    missing = unresolved[~unresolved["client_order_id"].isin(working["client_order_id"])]
    working = working[~working["client_order_id"].isin(list(blotter.planned(run_id)))]
    return pd.concat([working, missing[[*_UNRESOLVED_COLUMNS]]], ignore_index=True)


def _unfinished_runs(checked: pd.DataFrame, blotter: Blotter) -> list[dict[str, object]]:
    """Name the unfinished runs that have orders, not sent yet, in the same symbols."""
    marked = checked["reasons"].fillna("").str.split(", ").map(lambda codes: UNFINISHED in codes).astype("bool")
    symbols = set(checked.loc[marked, "symbol"])
    if not symbols:
        return []
    waiting = unsent_orders(blotter.orders(), set(checked["run_id"]))
    waiting = waiting[waiting["symbol"].isin(symbols)]
    by_hand = blotter.exported()
    return [
        warning_row(
            UNFINISHED,
            f"run {run_id} is unfinished: its {side} of {quantity:,.10g} {symbol} was approved and is not sent. "
            + (_SENT_BY_HAND if name in by_hand else _how_it_is_sent(run_id)),
            table="orders",
            symbol=symbol,
        )
        for name, run_id, symbol, side, quantity in waiting[
            ["client_order_id", "run_id", "symbol", "side", "quantity"]
        ].itertuples(index=False)
    ]


def _how_it_is_sent(run_id: str) -> str:
    return (
        f"sx.resume({run_id!r}, broker, blotter), or stocklean resume {run_id}, sends it; once this plan is "
        "submitted, that needs send_overtaken=True"
    )


class _Unhalted:
    """A view of a blotter's orders that is never halted."""

    halted = None

    def __init__(self, blotter: Blotter) -> None:
        self.orders = blotter.orders
        self.fills = blotter.fills
        self.last_book = blotter.last_book
