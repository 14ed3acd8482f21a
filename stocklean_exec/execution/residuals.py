"""What is left of a run that was filled in part: new orders for the rest, once the old ones are known to be dead.

A rest is only ever ordered again under a new client order id, and only when the broker (or a person) has said
that the old order will trade no more: two live orders for one intention are how books go wrong. The new orders
are planned, checked, approved and submitted like any others, as another leg of the same run.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.order_ids import client_order_id
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.blotter.reader import BlotterReader

__all__ = ["REPLACES", "check_leg", "is_rest", "residual_orders"]

REPLACES = "replaces"
"""Column that names the dead order whose rest a new one asks for."""

_ALIVE = {"UNKNOWN": "order_unresolved", "NEW": "order_not_sent"}
_REFUSED_FOR_NOW = frozenset({"approval_expired", "rate_cap", "run_notional_cap", "day_notional_cap"})
_NOISE = 1e-8


class _Rest(NamedTuple):
    """What one order of the run leaves to be done; ``reason`` says why that cannot be ordered now."""

    row: dict[str, Any]
    quantity: float
    reason: str | None
    detail: str | None


def residual_orders(run_id: str, blotter: BlotterReader, *, quotes: object = None) -> pd.DataFrame:
    """Orders that would complete a run that was filled in part.

    Parameters
    ----------
    run_id : a recorded run
    blotter : where it is recorded
    quotes : the market now, a table or a mapping symbol -> price, for new decision prices; those of the old
        orders without it

    Returns
    -------
    DataFrame, :data:`~stocklean_exec.schema.tables.ORDERS`, ``detail`` and ``replaces`` (the order whose rest it
    is), to be checked, approved and submitted like a plan; it becomes the next leg of the run. An order that may
    still be alive is a ``REJECTED`` row with reason ``order_alive``, ``order_unresolved`` or ``order_not_sent``:
    nothing is ordered in its place. What the broker has reported as filled counts as filled, even if no execution
    of it is on record. An order that plan, check or a person refused leaves nothing to be done. Empty when all is
    filled.

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
    if orders.empty:
        raise InputError("run_id", [Problem("run_unknown", f"there is no run {run_id!r} in this blotter")])
    prices: dict[str, float] = {}
    if quotes is not None:
        known = usable_prices(parse_quotes(quotes))["price"].dropna()
        prices = dict(zip(known.index.tolist(), known.tolist(), strict=True))
    names = _next_names(run_id, orders)
    rows = [_order(rest, next(names[rest.row["symbol"], rest.row["side"]]), prices) for rest in _rests(orders)]
    more = ["con_id"] if "con_id" in orders.columns else []
    frame = pd.DataFrame(rows, columns=[*ORDERS.names, "detail", REPLACES, *more])
    return ORDERS.conform(frame).astype({"detail": "str", REPLACES: "str"} | dict.fromkeys(more, "Int64"))


def _rests(orders: pd.DataFrame) -> Iterator[_Rest]:
    # A replacement that was refused replaces nothing, and leaves nothing of its own.
    void = orders["state"].isin(["REFUSED", "NOT_APPROVED", "WITHDRAWN"])
    old_names = orders[REPLACES] if REPLACES in orders.columns else pd.Series(None, orders.index, dtype="str")
    replaced = set(old_names[~void].dropna())
    orders = orders[~(void & old_names.notna())]
    columns = {str(name): orders[name].tolist() for name in orders.columns}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # What the broker has reported as filled is bought, also where a person has called an order dead whose
        # executions never came.
        bought = max(row["filled_quantity"], row["reported_quantity"])
        left = round(row["quantity"] - bought, 8) if row["quantity"] == row["quantity"] else 0.0
        if left <= _NOISE or row["client_order_id"] in replaced or row["state"] == "NOT_APPROVED":
            continue
        if row["state"] == "REFUSED" and row["reason"] not in _REFUSED_FOR_NOW:
            continue
        if row["status"] in ENDED:
            yield _Rest(row, left, None, None)
            continue
        reason = _ALIVE.get(row["status"], "order_alive")
        text = f"{row['client_order_id']} is {row['status']}: cancel, resolve or resume it first"
        yield _Rest(row, left, reason, text)


def _next_names(run_id: str, orders: pd.DataFrame) -> dict[tuple[str, str], Iterator[str]]:
    def names(symbol: str, side: str, used: int) -> Iterator[str]:
        number = used
        while True:
            number += 1
            yield client_order_id(run_id, symbol, side, number)

    pairs = zip(orders["symbol"].tolist(), orders["side"].tolist(), strict=True)
    counts: Counter[tuple[str, str]] = Counter(pairs)
    return {pair: names(*pair, used) for pair, used in counts.items()}


def _order(rest: _Rest, name: str, prices: dict[str, float]) -> dict[str, Any]:
    old = rest.row
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
    )
    reason, detail = rest.reason, rest.detail
    if reason is None and not price > 0:
        reason, detail = "price_unavailable", f"no usable price for {old['symbol']}"
    return {
        **{column: old[column] for column in (*kept, "target_weight", "target_quantity")},
        "con_id": old.get("con_id"),
        "client_order_id": name,
        "quantity": rest.quantity,
        "decision_price": price,
        "decided_at": clock.now(),
        "current_quantity": old["target_quantity"] - sign * rest.quantity,
        "notional": round(rest.quantity * price, 8),
        "status": "NEW" if reason is None else "REJECTED",
        "filled_quantity": 0.0,
        "reason": reason,
        "detail": detail,
        REPLACES: old["client_order_id"],
    }


def is_rest(plan: pd.DataFrame) -> bool:
    """Whether a plan is made of rests of other orders."""
    return REPLACES in plan.columns and bool(plan[REPLACES].notna().any())


def check_leg(leg: pd.DataFrame, orders: pd.DataFrame) -> None:
    """Refuse another leg of a run unless each of its orders asks for the rest of an order that is dead now.

    Parameters
    ----------
    leg : rows to be submitted, none of which is on record
    orders : the run as it stands

    Raises
    ------
    InputError
        With every row that is no rest, or no longer.
    """
    rests = {rest.row["client_order_id"]: rest for rest in _rests(orders)}
    problems = []
    old_names = leg[REPLACES].tolist() if REPLACES in leg.columns else [None] * len(leg)
    for name, symbol, quantity, old, status in zip(
        leg["client_order_id"], leg["symbol"], leg["quantity"], old_names, leg["status"], strict=True
    ):
        rest = rests.get(old) if isinstance(old, str) else None
        if status == "REJECTED":
            continue
        if rest is None:
            text = (
                f"{name} is not in the plan of this run, nor the rest of one that left something; use a new run_id"
            )
            problems.append(Problem("idempotency_conflict", text, symbol=symbol))
        elif rest.reason is not None:
            problems.append(Problem(rest.reason, f"{name}: {rest.detail}", symbol=symbol))
        elif not quantity <= rest.quantity + _NOISE:
            text = f"{name} asks for {quantity:g}, and {old} left {rest.quantity:g}; plan the rest again"
            problems.append(Problem("rest_exceeded", text, symbol=symbol))
    if problems:
        raise InputError("orders", problems)
