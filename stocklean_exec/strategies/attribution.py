"""From recorded orders and fills to what each strategy traded and holds. Pure.

None of this is stored: fills are attributed by a rule that depends on what each strategy wanted and on what is
filled alone, so it gives the same result whenever it is asked, and a further fill never takes a share back. Where
the broker corrects or cancels an execution, everything is attributed again from the fills as they are then. Stored
are orders with what each strategy wanted, shares that crossed inside, and positions that a person assigned.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.strategies.division import (
    CROSSES,
    STRATEGY,
    STRATEGY_QUANTITIES,
    UNASSIGNED,
    Division,
    exact,
    is_strategy_name,
    read_quantities,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "ATTRIBUTED",
    "CROSSINGS",
    "attribute_fills",
    "crossed_inside",
    "divisions_of",
    "holdings",
    "planned_crossings",
    "positions_by_strategy",
    "read_crosses",
    "table_of",
    "unexplained",
]

CROSSINGS = {
    "run_id": "str",
    "symbol": "str",
    "strategy": "str",
    "side": "str",
    "quantity": "float64",
    "price": "float64",
    "currency": "str",
    "crossed_at": "datetime64[us, UTC]",
    "account": "str",
}
"""Columns of crossings: one row for each strategy and symbol of a run; ``quantity`` is in shares, above 0."""

ATTRIBUTED = {
    "kind": "str",
    "exec_id": "str",
    "client_order_id": "str",
    "run_id": "str",
    "strategy": "str",
    "symbol": "str",
    "side": "str",
    "quantity": "float64",
    "price": "float64",
    "filled_at": "datetime64[us, UTC]",
    "commission": "float64",
    "commission_currency": "str",
    "account": "str",
    "time_unreliable": "bool",
}
"""Columns of :func:`attribute_fills`."""

_NEEDED = {
    "orders": ("client_order_id", "symbol", "side", "quantity"),
    "fills": ("client_order_id", "exec_id", "quantity", "price"),
}
_SIGN = {"BUY": 1, "SELL": -1}
_DUST = 1e-6  # of a share; a stated choice, as in reconciliation


def attribute_fills(
    orders: pd.DataFrame, fills: pd.DataFrame, crossings: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Divide fills between the strategies whose targets their orders were netted from.

    Parameters
    ----------
    orders : ``blotter.orders(run_id)``: with a column ``strategy_quantities`` (JSON, strategy to signed shares)
        where an order was netted, or ``strategy`` where it is of one. Fills of other orders are ``unassigned``
    fills : ``blotter.fills(run_id)``, in their latest correction
    crossings : ``blotter.crossings(run_id)``: what passed from one strategy to another inside. By default it
        follows from the approved ``orders``, at their arrival mid; without one, and where the order has a limit,
        at their decision price

    Returns
    -------
    DataFrame, one row for each fill and strategy with a part in it, and one for each strategy of a crossing:

    ==========================================  ============================================================
    kind                                        ``fill`` or ``cross``
    exec_id, client_order_id, run_id, account   of the fill; ``exec_id`` is empty for a crossing
    strategy, symbol, side                      whose it is, and what it did
    quantity, price                             shares, and currency per share: of the fill, or the mid at which
                                                it crossed
    filled_at                                   time of the fill, or of the crossing
    commission, commission_currency             part of the fill's, to the cent, NaN until it is reported; 0 for a
                                                crossing
    time_unreliable                             whether the fill is dated by its report
    ==========================================  ============================================================

    Shares, and commission, of all strategies add up to those of the fill. The shares of an order are divided one
    by one (fractions: by 0.0001) by the quota method, in proportion to what each strategy wanted, so that none is
    ever a share away from its proportion, and a further fill takes no share back. Where a fill is corrected, or an
    earlier one is reported late, the rows of the fills after it are computed again. Fees are divided as the whole
    order is, and not as each fill.

    Raises
    ------
    InputError
        A column is missing, or ``strategy_quantities`` cannot be read.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["r-SPY-BUY"], "run_id": "r", "symbol": "SPY", "side": "BUY", "quantity": 60.0,
    ...     "decision_price": 400.0, "strategy_quantities": '{"trend": -40, "value": 100}',
    ... })
    >>> fills = pd.DataFrame({
    ...     "exec_id": ["x1"], "client_order_id": "r-SPY-BUY", "quantity": 30.0, "price": 400.1, "commission": 1.0,
    ... })
    >>> attribute_fills(orders, fills)[["kind", "strategy", "side", "quantity", "price", "commission"]]
        kind strategy  side  quantity  price  commission
    0  cross    trend  SELL      40.0  400.0         0.0
    1  cross    value   BUY      40.0  400.0         0.0
    2   fill    value   BUY      30.0  400.1         1.0
    """
    _require(orders, "orders")
    _require(fills, "fills")
    inside = planned_crossings(orders) if crossings is None else crossings
    rows = [*_cross_rows(inside), *_fill_rows(orders, fills)]
    return table_of(rows, ATTRIBUTED)


def table_of(rows: Iterable[Mapping[str, object]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Make a frame with these columns and dtypes; times are in UTC."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    times = [name for name, dtype in columns.items() if dtype.startswith("datetime")]
    for name in times:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.astype(columns)


def _require(frame: pd.DataFrame, name: str) -> None:
    problems = [
        Problem("missing_column", f"column {column!r} is missing", column=column)
        for column in _NEEDED[name]
        if column not in frame.columns
    ]
    if problems:
        raise InputError(name, problems)


def divisions_of(orders: pd.DataFrame) -> dict[str, Division]:
    """How each order is divided, by client order id; an order of no strategy is excluded.

    Raises
    ------
    InputError
        With each order whose ``strategy_quantities`` cannot be read, or are not of its side.
    """
    found, problems = {}, []
    for row in _records(_of_strategies(orders)):
        name, symbol = row["client_order_id"], row["symbol"]
        sign = _SIGN.get(str(row["side"]), 1)
        try:
            quantities = read_quantities(row.get(STRATEGY_QUANTITIES))
        except ValueError as error:
            problems.append(Problem("strategy_quantities", f"{name}: {error}", symbol=symbol))
            continue
        if not quantities and is_strategy_name(row.get(STRATEGY)) and row["quantity"] > 0:
            quantities = {str(row[STRATEGY]): sign * float(row["quantity"])}
        if not quantities:
            continue
        found[str(name)] = division = Division(quantities)
        if not division.net * sign > 0:
            text = f"{name}: the strategies' quantities add up to {division.net:g}, which is not a {row['side']}"
            problems.append(Problem("strategy_quantities", text, symbol=symbol))
    if problems:
        raise InputError("orders", problems)
    return found


def _of_strategies(orders: pd.DataFrame) -> pd.DataFrame:
    """Orders that are of strategies, and what their division needs: most records have none, and many orders."""
    marks = [name for name in (STRATEGY_QUANTITIES, STRATEGY) if name in orders.columns]
    columns = ["client_order_id", "symbol", "side", "quantity", *marks]
    return orders.loc[orders[marks].notna().any(axis="columns"), columns]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def planned_crossings(orders: pd.DataFrame) -> pd.DataFrame:
    """What passes between strategies by an approved plan: :data:`CROSSINGS`.

    A symbol with an order crosses with it, if the order is approved (or the frame has no approvals); one
    whose strategies cancel each other out, with the plan, if any order is. The price is the mid at arrival, else
    the decision price.
    """
    if not {STRATEGY_QUANTITIES, CROSSES} & {*orders.columns}:
        return table_of([], CROSSINGS)
    rows = _records(orders)
    divided = divisions_of(orders)
    approved = [row for row in rows if row.get("approved", True) is not False and row.get("status") != "REJECTED"]
    found: list[dict[str, object]] = []
    for row in approved:
        division = divided.get(str(row["client_order_id"]))
        if division is not None and division.crossed:
            price, at = _arrival(row)
            found += _crossing(division.crossed, row, row["symbol"], price, row.get("currency"), at)
    if approved:
        found += _of_plan(approved[0], approved[0].get(CROSSES))
    return table_of(found, CROSSINGS)


def crossed_inside(text: object) -> pd.DataFrame:
    """Read what passes inside by a plan without any order, from its column or attribute ``strategy_crosses``."""
    return table_of(_of_plan({}, text), CROSSINGS)


def _of_plan(row: dict[str, Any], text: object) -> Iterator[dict[str, object]]:
    for symbol, one in read_crosses(text).items():
        crossed = Division(one["quantities"]).crossed
        yield from _crossing(crossed, row, symbol, one["price"], one["currency"], _decided(row))


def read_crosses(text: object) -> dict[str, dict[str, Any]]:
    """Read :data:`~stocklean_exec.strategies.division.CROSSES`: quantities, price and currency by symbol."""
    return json.loads(text) if isinstance(text, str) and text else {}


def _crossing(
    crossed: Mapping[str, float], row: dict[str, Any], symbol: str, price: object, currency: object, at: object
) -> Iterator[dict[str, object]]:
    for strategy, shares in crossed.items():
        yield {
            "run_id": row.get("run_id"),
            "symbol": symbol,
            "strategy": strategy,
            "side": "BUY" if shares > 0 else "SELL",
            "quantity": abs(shares),
            "price": price,
            "currency": currency if isinstance(currency, str) else None,
            "crossed_at": at,
            "account": row.get("account"),
        }


def _arrival(row: dict[str, Any]) -> tuple[float, object]:
    """Price and time of a crossing: the mid at arrival, else the decision; that is within the limits of both."""
    bid, ask = (float(row.get(name, math.nan)) for name in ("arrival_bid", "arrival_ask"))
    if bid > 0 and ask > 0 and not row.get("limit_price", math.nan) > 0:
        return (bid + ask) / 2, row.get("arrived_at")
    return float(row.get("decision_price", math.nan)), _decided(row)


def _decided(row: dict[str, Any]) -> object:
    return row.get("decided_at", pd.NaT)


def _cross_rows(crossings: pd.DataFrame) -> Iterator[dict[str, object]]:
    for row in _records(crossings):
        yield {
            "kind": "cross",
            **{
                name: row[name]
                for name in ("run_id", "strategy", "symbol", "side", "quantity", "price", "account")
            },
            "filled_at": row["crossed_at"],
            "commission": 0.0,
            "commission_currency": row["currency"],
            "time_unreliable": False,
        }


def _fill_rows(orders: pd.DataFrame, fills: pd.DataFrame) -> Iterator[dict[str, object]]:
    divided = divisions_of(orders)
    known = {str(row["client_order_id"]): row for row in _records(orders)}
    by = [name for name in ("filled_at", "exec_id") if name in fills.columns]
    for name, rows in fills.sort_values(by, kind="stable").groupby("client_order_id", sort=False):
        order = known.get(str(name), {})
        yield from _of_one_order(order, _records(rows), divided.get(str(name)))


def _of_one_order(
    order: dict[str, Any], fills: list[dict[str, Any]], division: Division | None
) -> Iterator[dict[str, object]]:
    shares = _parts([fill["quantity"] for fill in fills], division, "filled")
    fees = _parts([fill.get("commission", math.nan) for fill in fills], division, "charged")
    for fill, quantities, charges in zip(fills, shares, fees, strict=True):
        for strategy, quantity in quantities.items():
            if not quantity and not charges[strategy] > 0 and not charges[strategy] < 0:
                continue
            yield {
                "kind": "fill",
                **{name: fill.get(name) for name in ("exec_id", "client_order_id", "price", "filled_at")},
                **{name: fill.get(name, order.get(name)) for name in ("run_id", "symbol", "side", "account")},
                "strategy": strategy,
                "quantity": quantity,
                "commission": charges[strategy],
                "commission_currency": fill.get("commission_currency", order.get("currency")),
                "time_unreliable": fill.get("time_unreliable", False),
            }


def _parts(amounts: list[float], division: Division | None, how: str) -> list[dict[str, float]]:
    """Part of each strategy in each amount: what it has after it less what it had before; NaN where unknown."""
    if division is None:
        return [{UNASSIGNED: float(amount)} for amount in amounts]
    running, totals = 0, [0.0]
    for amount in amounts:
        running += 0 if math.isnan(amount) else exact(amount)
        totals.append(running / exact(1.0))
    after = getattr(division, how)(totals)
    parts = []
    for amount, then, now in zip(amounts, after, after[1:], strict=False):
        unknown = math.isnan(amount)
        parts.append({name: math.nan if unknown else round(now[name] - then[name], 8) for name in now})
    return parts


def holdings(
    orders: pd.DataFrame, crossings: pd.DataFrame, assignments: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Signed shares of each strategy by the record: symbol, strategy, shares; nothing where it holds nothing.

    Parameters
    ----------
    orders : of one account, with ``filled_quantity``
    crossings : of that account, as :data:`CROSSINGS`
    assignments : of that account: ``strategy``, ``symbol``, ``quantity`` (signed, added to what there was)
    """
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    filled = orders[orders["filled_quantity"] > 0]
    divided = divisions_of(filled)
    filled = filled[filled["client_order_id"].isin(list(divided))]
    for row in _records(filled[["client_order_id", "symbol", "side", "filled_quantity"]]):
        for strategy, shares in divided[row["client_order_id"]].filled([row["filled_quantity"]])[0].items():
            held[row["symbol"], strategy] += exact(shares) * _SIGN[row["side"]]
    for row in _records(crossings):
        held[row["symbol"], row["strategy"]] += exact(row["quantity"]) * _SIGN[row["side"]]
    for row in _records(assignments):
        held[row["symbol"], row["strategy"]] += exact(row["quantity"])
    found: dict[str, dict[str, float]] = {}
    for (symbol, strategy), shares in sorted(held.items()):
        if shares:
            found.setdefault(symbol, {})[strategy] = shares / exact(1.0)
    return found


def positions_by_strategy(
    held: Mapping[str, Mapping[str, float]], account: Mapping[str, float] | None
) -> pd.DataFrame:
    """Table of what each strategy holds: strategy, symbol, quantity; last what is ``unassigned``.

    ``account`` is what the account holds; without it, unassigned shares are not listed.
    """
    rows = [(strategy, symbol, shares) for symbol, own in held.items() for strategy, shares in own.items()]
    rows.sort()
    for symbol in sorted({*held, *account} if account is not None else ()):
        rest = exact(account.get(symbol, 0.0)) - sum(map(exact, held.get(symbol, {}).values()))  # type: ignore[union-attr]  # no symbols without an account
        if rest:
            rows.append((UNASSIGNED, symbol, rest / exact(1.0)))
    return pd.DataFrame(rows, columns=["strategy", "symbol", "quantity"]).astype(
        {"strategy": "str", "symbol": "str", "quantity": "float64"}
    )


def unexplained(own: Mapping[str, float], account: float) -> bool:
    """Whether strategies hold more of a symbol together than the account does, or the other way round of it.

    Examples
    --------
    >>> unexplained({"A": 100.0, "B": -40.0}, 60.0), unexplained({"A": 100.0}, 150.0)
    (False, False)
    >>> unexplained({"A": 100.0}, 60.0)
    True
    """
    total = sum(map(exact, own.values())) / exact(1.0)
    return not min(account, 0.0) - _DUST <= total <= max(account, 0.0) + _DUST
