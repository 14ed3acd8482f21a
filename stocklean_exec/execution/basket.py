"""Export an approved plan for a person to send: a basket file for TWS, and a record that we do not send it.

The record is made before the file has its name. From then on no way of sending sends these orders; what a person
sends of them has the client order id, and is matched by it, with symbol, side and account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stocklean_exec import background, clock
from stocklean_exec.blotter.durable import replacing
from stocklean_exec.blotter.events import EXPORTED, OrderEvent
from stocklean_exec.errors import ApprovalError, IdempotencyConflictError, InputError, Problem
from stocklean_exec.execution.approval import check_age, limits_of, restore, verify
from stocklean_exec.execution.crossings import crossing_events
from stocklean_exec.execution.plan_record import PlanSource, record_plan
from stocklean_exec.execution.submission import run_id_of
from stocklean_exec.schema.account_ids import is_paper_account
from stocklean_exec.schema.basket_file import basket_text
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.paths import local_path

if TYPE_CHECKING:
    import os

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter

__all__ = ["export_basket"]

_COLUMNS = ["client_order_id", "symbol", "side", "quantity", "order_type", "limit_price"]


async def _export_basket(
    orders: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    blotter: Blotter | None = None,
    account: str | None = None,
    unapproved: bool = False,
    by_symbol: bool = False,
) -> pd.DataFrame:
    file = local_path(path, "basket")
    if unapproved and blotter is not None:
        text = "a plan without an approval is not recorded; leave blotter out"
        raise InputError("basket", [Problem("not_approved", text)])
    plan, plan_hash = _plan_of(orders, unapproved=unapproved)
    named = plan if account is None else _for_account(plan, account)
    text = basket_text(named[named["approved"]], by_symbol=by_symbol, now=clock.now())
    if blotter is None:
        with replacing(file, text):
            pass
        return _result(plan)
    run_id = run_id_of(plan)
    blotter.check_halt()
    if blotter.last_batch(run_id):
        why = f"run {run_id} is on record already; TWS may have its orders: a new plan needs a new run_id"
        raise IdempotencyConflictError("basket", [Problem("idempotency_conflict", why)])
    source = _source_of(named)
    limits = limits_of(plan).to_dict() if len(plan) else {}
    events = _export_events(plan, run_id, source.account, file.name)
    events += await crossing_events(plan, run_id, clock.now(), source.account)
    with replacing(file, text):
        await record_plan(plan, source, blotter, run_id, plan_hash, {"limits": limits}, 1, events)
    return _result(plan)


_export = background.blocking(_export_basket)


def export_basket(
    orders: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    blotter: Blotter | None = None,
    account: str | None = None,
    unapproved: bool = False,
    by_symbol: bool = False,
) -> pd.DataFrame:
    """Write the approved orders of a plan as a basket file, for a person to send with TWS's BasketTrader.

    The file is readable by you only, and replaces one of the same name. ``BasketTag`` is the client order id; TWS
    shows it as the order reference. The whole basket leaves at once: no buy waits for the money of a sell, and no
    limit of the plan is enforced again. Its value counts towards the ``max_day_notional`` of later runs.

    Orders of every type but ``MIDPRICE`` are written, with limit, auxiliary price, time in force, ``good_till``
    and ``good_after`` (in UTC). ``outside_rth`` and algorithms have no documented column: such orders are refused.

    Parameters
    ----------
    orders : ``review.result()``: only its approved orders are written
    path : of the file
    blotter : record the run as exported. Its orders are ``NEW``, with the file as their reason, and are never
        sent from here. :func:`~stocklean_exec.reconcile` and :func:`~stocklean_exec.resume` record what TWS has of
        them, with client id 0 or TWS's master client id: others do not receive the executions of orders sent by
        hand. An order that will not be sent is closed with ``blotter.resolve(..., "CANCELLED", reason=...)``
    account : account of the orders that name none; needed for the record. It is written to the file in full
    unapproved : take a checked frame without an approval, and write every order that the checks did not block; it
        is not recorded
    by_symbol : write orders that name their contract by ``con_id`` alone: TWS then finds it by symbol, exchange
        and currency

    Returns
    -------
    DataFrame, one row per order of the plan: its terms, ``exported``, and the ``reason`` why it was not. What is
    sent may differ: a person can remove rows, change prices, or send the file twice. An order that was not sent
    stays ``NEW``; a changed quantity, price, trigger or end is a difference of :func:`~stocklean_exec.reconcile`
    (``order_changed``, ``fill_beyond_limit``); a second order under one tag halts the blotter
    (``duplicate_order``); and what was traded in another symbol, side or account is not a fill of the order
    (``execution_orphan``).

    Raises
    ------
    ApprovalError
        No approval, changed since, or too old.
    InputError
        Orders that the format cannot express, that a spreadsheet would take for a formula, or whose ``good_till``
        has passed; the error lists each. Or the account is not known.
    IdempotencyConflictError
        The run is on record.
    HaltedError
        The blotter is halted.
    OSError
        The file cannot be written. Nothing was recorded, unless only its renaming failed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import stocklean_exec as sx
    >>> orders = sx.plan_orders({"SPY": 0.5}, None, {"SPY": 123.0}, nav=10_000, run_id="run-1")
    >>> review = sx.review_orders(sx.check_orders(orders, quotes={"SPY": 123.0}, cash=10_000))
    >>> review.approve_all(by="demo")
    1
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "basket.csv"
    >>> with sx.open_blotter() as blotter:
    ...     written = sx.export_basket(review.result(), file, blotter=blotter, account="DU0000001")
    ...     blotter.orders("run-1")[["status", "reason"]].to_numpy().tolist()
    [['NEW', 'written to basket.csv, to be sent by hand in TWS; it is never sent from here']]
    >>> print(file.read_text(), end="")
    Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType,LmtPrice,BasketTag,Account
    BUY,41,SPY,STK,SMART,USD,DAY,MKT,,run-1-SPY-BUY,DU0000001
    """
    return _export(orders, path, blotter=blotter, account=account, unapproved=unapproved, by_symbol=by_symbol)


def _plan_of(orders: pd.DataFrame, *, unapproved: bool) -> tuple[pd.DataFrame, str]:
    """The plan, with ``approved`` for the orders to write, and its fingerprint; "" without an approval."""
    if not unapproved:
        plan = restore(orders)
        plan_hash = verify(plan)
        if len(plan):
            check_age(plan, clock.now(), limits_of(plan).max_approval_age)
        return plan, plan_hash
    if "verdict" not in getattr(orders, "columns", ()):
        raise ApprovalError("this plan was not checked: only the result of sx.check_orders is written unapproved")
    plan = parse_orders(orders)
    return plan.assign(approved=(plan["status"] == "NEW") & (plan["verdict"] != "block")), ""


def _for_account(plan: pd.DataFrame, account: str) -> pd.DataFrame:
    other = plan["account"].notna() & (plan["account"] != account)
    if other.any():
        names = plan.loc[other, ["client_order_id", "symbol"]].itertuples(index=False)
        text = "is for another account than the one given"
        raise InputError(
            "basket", [Problem("account_mismatch", f"{name} {text}", symbol=symbol) for name, symbol in names]
        )
    return plan.assign(account=plan["account"].fillna(account))


def _source_of(plan: pd.DataFrame) -> PlanSource:
    accounts = plan["account"].dropna().unique().tolist()
    if len(accounts) != 1 or plan["account"].isna().any():
        text = "the record needs the one account that will trade; give account="
        raise InputError("basket", [Problem("account_missing", text, column="account")])
    mode = "paper" if is_paper_account(accounts[0]) else "live"
    return PlanSource(mode, accounts[0], "basket")


def _export_events(plan: pd.DataFrame, run_id: str, account: str, name: str) -> list[OrderEvent]:
    """One event for each order in the file; it says what a person is to send."""
    stamp = clock.now()
    text = f"written to {name}, to be sent by hand in TWS; it is never sent from here"
    chosen = plan.loc[plan["approved"], ["client_order_id", "symbol", "side", "quantity"]]
    return [
        OrderEvent(
            "held_back", run_id, order, stamp, code=EXPORTED, message=text,
            symbol=symbol, side=side, quantity=quantity, account=account,
        )
        for order, symbol, side, quantity in chosen.itertuples(index=False)
    ]  # fmt: skip


def _result(plan: pd.DataFrame) -> pd.DataFrame:
    refused = plan["reason"].where(plan["status"] == "REJECTED", plan["reasons"].where(plan["verdict"] == "block"))
    reason = refused.fillna("not_approved").where(~plan["approved"], None)
    return plan[_COLUMNS].assign(exported=plan["approved"], reason=reason.astype("str"))
