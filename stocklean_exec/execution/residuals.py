"""Residual orders: new orders for the unfilled quantity of a run, once the old orders are known to be closed.

A residual quantity is only ordered again under a new client order id, and only after the broker (or a person) has
confirmed that the old order will not trade any more: two working orders for one intention would buy twice. The new
orders are planned, checked, approved and submitted like any others, as another batch of the same run.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.extra_columns import REPLACES
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.order_ids import client_order_id
from stocklean_exec.schema.order_terms import REFERENCE_PRICE, TERM_COLUMNS
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.schema.tables import ORDERS
from stocklean_exec.strategies.division import (
    STRATEGY,
    STRATEGY_QUANTITIES,
    Division,
    read_quantities,
    write_quantities,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.blotter.reader import BlotterReader
    from stocklean_exec.portfolio.account_state import AccountState

__all__ = ["REPLACES", "are_filled", "check_batch", "is_residual", "residual_orders"]

_OPEN_REASONS = {"UNKNOWN": "order_unresolved", "NEW": "order_not_sent"}
_REFUSED_FOR_NOW = frozenset({"approval_expired", "rate_cap", "run_notional_cap", "day_notional_cap"})
_CARRIED = {
    "con_id": "Int64",
    "primary_exchange": "str",
    "max_gross": "float64",
    REFERENCE_PRICE: "float64",
    STRATEGY: "str",
    STRATEGY_QUANTITIES: "str",
}
"""Further columns of a plan, and their dtypes, that its residual orders keep."""
_NOISE = 1e-8  # of a share: the blotter's exact quantities have eight decimals


class _Residual(NamedTuple):
    """Unfilled quantity of one order; ``reason`` says why it cannot be ordered now."""

    row: dict[str, Any]
    quantity: float
    reason: str | None
    detail: str | None


def residual_orders(
    run_id: str, blotter: BlotterReader, state: AccountState | None = None, *, quotes: object = None
) -> pd.DataFrame:
    """Plan the orders that would complete a partly filled run.

    Parameters
    ----------
    run_id : a recorded run
    blotter : where it is recorded
    state : an account state, whose quotes are used
    quotes : current market data, a table or a mapping symbol -> price, for new decision prices; by default those
        of the state, else the decision prices of the old orders

    Returns
    -------
    DataFrame, :data:`~stocklean_exec.schema.tables.ORDERS`, ``detail`` and ``replaces`` (the order that it
    completes), to be checked, approved and submitted like a plan; it becomes the next batch of the run. An order
    that may still be working is a ``REJECTED`` row with reason ``order_alive``, ``order_unresolved`` or
    ``order_not_sent``: nothing is ordered in its place. Shares that the broker has reported as filled count as
    filled, even if no execution of them is on record. An order that the plan, a check or a person rejected is not
    repeated. Empty when all orders are filled.

    Raises
    ------
    InputError
        There is no such run.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> plan = [{"symbol": "SPY", "action": "fill", "quantity": 30}, {"symbol": "SPY", "action": "cancel"}]
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000, fill_plan=pd.DataFrame(plan))
    >>> with sx.open_blotter() as blotter:
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     rest = residual_orders("r", blotter)
    >>> rest[["client_order_id", "quantity", "replaces"]]
      client_order_id  quantity   replaces
    0     r-SPY-BUY-2      11.0  r-SPY-BUY
    """
    orders = blotter.orders(run_id)
    if (
        orders.empty and not (blotter.runs()["run_id"] == run_id).any()
    ):  # a run with nothing to trade has no orders
        raise InputError("run_id", [Problem("run_unknown", f"there is no run {run_id!r} in this blotter")])
    prices: dict[str, float] = {}
    if quotes is None and state is not None:
        quotes = state.quotes
    if quotes is not None:
        known = usable_prices(parse_quotes(quotes))["price"].dropna()
        prices = dict(zip(known.index.tolist(), known.tolist(), strict=True))
    ids = _next_names(run_id, orders)
    rows = [
        _order(residual, next(ids[residual.row["symbol"], residual.row["side"]]), prices)
        for residual in _residuals(orders)
    ]
    more = {name: kind for name, kind in _CARRIED.items() if name in orders.columns}
    contract = [name for name in more if name not in {"max_gross", REFERENCE_PRICE}]
    names = [*ORDERS.names, *(name for name in more if name not in contract), "detail", REPLACES, *contract]
    frame = pd.DataFrame(rows, columns=names)
    for name in ("good_till", "good_after"):  # a column of missing times alone has no zone
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return ORDERS.conform(frame).astype({"detail": "str", REPLACES: "str"} | more)


def _residuals(orders: pd.DataFrame) -> Iterator[_Residual]:
    # A replacement that was rejected replaces nothing, and is not repeated itself.
    void = orders["state"].isin(["REFUSED", "NOT_APPROVED", "WITHDRAWN"])
    old_names = orders[REPLACES] if REPLACES in orders.columns else pd.Series(None, orders.index, dtype="str")
    replaced = set(old_names[~void].dropna())
    orders = orders[~(void & old_names.notna())]
    columns = {str(name): orders[name].tolist() for name in orders.columns}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # Shares that the broker has reported as filled count, even if a person has closed the order because its
        # executions never arrived.
        bought = max(row["filled_quantity"], row["reported_quantity"])
        unfilled = round(row["quantity"] - bought, 8)  # NaN for an order without a price, which its plan refused
        if not unfilled > _NOISE or row["client_order_id"] in replaced or row["state"] == "NOT_APPROVED":
            continue
        if row["state"] == "REFUSED" and row["reason"] not in _REFUSED_FOR_NOW:
            continue
        if row["status"] in ENDED:
            yield _Residual(row, unfilled, None, None)
            continue
        reason = _OPEN_REASONS.get(row["status"], "order_alive")
        text = f"{row['client_order_id']} is {row['status']}: cancel, resolve or resume it first"
        yield _Residual(row, unfilled, reason, text)


def _next_names(run_id: str, orders: pd.DataFrame) -> dict[tuple[str, str], Iterator[str]]:
    """Further client order ids of a run by symbol and side, none of them used."""
    taken = set(orders["client_order_id"].tolist())

    def names(symbol: str, side: str, used: int) -> Iterator[str]:
        candidates = (client_order_id(run_id, symbol, side, used + number) for number in count(1))
        return (name for name in candidates if name not in taken)

    pairs = list(zip(orders["symbol"].tolist(), orders["side"].tolist(), strict=True))
    return {pair: names(*pair, used) for pair, used in Counter(pairs).items()}


def _order(residual: _Residual, name: str, prices: dict[str, float]) -> dict[str, Any]:
    old = residual.row
    price = prices.get(old["symbol"], math.nan if prices else old["decision_price"])
    sign = 1.0 if old["side"] == "BUY" else -1.0
    kept = (
        "run_id",
        "symbol",
        "side",
        "order_type",
        "limit_price",
        "tif",
        "currency",
        "sec_type",
        "exchange",
        "account",
        *(name for name in TERM_COLUMNS if name != REFERENCE_PRICE),
    )
    reason, detail = residual.reason, residual.detail
    if reason is None and not price > 0:
        reason, detail = "price_unavailable", f"no usable price for {old['symbol']}"
    return {
        **{column: old[column] for column in (*kept, "target_weight", "target_quantity")},
        **{column: old.get(column) for column in _CARRIED},
        STRATEGY_QUANTITIES: _left_to_strategies(old, residual.quantity),
        "client_order_id": name,
        "quantity": residual.quantity,
        "decision_price": price,
        "decided_at": clock.now(),
        "current_quantity": old["target_quantity"] - sign * residual.quantity,
        "notional": round(residual.quantity * price, 8),
        "status": "NEW" if reason is None else "REJECTED",
        "filled_quantity": 0.0,
        "reason": reason,
        "detail": detail,
        REPLACES: old["client_order_id"],
    }


def _left_to_strategies(old: dict[str, Any], unfilled: float) -> str | None:
    """What is left to each strategy of a netted order; what has passed inside does not pass again."""
    quantities = read_quantities(old.get(STRATEGY_QUANTITIES))
    if not quantities:
        return None
    division = Division(quantities)
    left = division.rest(old["quantity"] - unfilled)
    # What the broker has filled beyond an order is not known to be of any of them.
    return write_quantities(left or division.rest(0.0))


def are_filled(orders: pd.DataFrame) -> bool:
    """Whether all shares of a run's orders are filled: by themselves, or by the orders for their rest.

    Parameters
    ----------
    orders : from ``blotter.orders(run_id)``
    """
    if REPLACES not in orders.columns:
        return bool((orders["status"] == "FILLED").all())
    again = orders[orders[REPLACES].notna() & orders["approved"].fillna(value=False).astype("bool")]
    rest = orders["client_order_id"].map(again.groupby(REPLACES)["quantity"].max())
    unfilled = orders["quantity"] - orders[["filled_quantity", "reported_quantity"]].max(axis=1)
    return bool(((orders["status"] == "FILLED") | (unfilled <= rest + _NOISE)).all())


def is_residual(plan: pd.DataFrame) -> bool:
    """Whether a plan consists of residual orders."""
    return REPLACES in plan.columns and bool(plan[REPLACES].notna().any())


def check_batch(batch: pd.DataFrame, orders: pd.DataFrame) -> None:
    """Refuse another batch of a run unless each of its orders completes an order that is closed now.

    Parameters
    ----------
    batch : rows to be submitted, none of which is on record
    orders : current state of the run's orders

    Raises
    ------
    InputError
        With every row that does not complete a closed order.
    """
    residuals = {residual.row["client_order_id"]: residual for residual in _residuals(orders)}
    problems = []
    old_names = batch[REPLACES].tolist() if REPLACES in batch.columns else [None] * len(batch)
    for name, symbol, quantity, old, status in zip(
        batch["client_order_id"], batch["symbol"], batch["quantity"], old_names, batch["status"], strict=True
    ):
        residual = residuals.get(old) if isinstance(old, str) else None
        if status == "REJECTED":
            continue
        if residual is None:
            text = (
                f"{name} is not in the plan of this run, and does not complete one of its orders; use a new run_id"
            )
            problems.append(Problem("idempotency_conflict", text, symbol=symbol))
        elif residual.reason is not None:
            problems.append(Problem(residual.reason, f"{name}: {residual.detail}", symbol=symbol))
        elif not quantity <= residual.quantity + _NOISE:
            text = f"{name} is for {quantity:g}, and {old} has {residual.quantity:g} unfilled; plan the rest again"
            problems.append(Problem("rest_exceeded", text, symbol=symbol))
    if problems:
        raise InputError("orders", problems)
