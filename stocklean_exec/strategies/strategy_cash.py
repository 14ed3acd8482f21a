"""Cash of each strategy by the record: what was assigned to it, its fills, fees and crossings. Pure.

Amounts are added up exactly, fill by fill, so that those of all strategies are what their orders moved in the
account. Where nobody has said what a strategy began with, its cash is unknown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.strategies.attribution import attribute_fills
from stocklean_exec.strategies.division import UNASSIGNED, exact, is_strategy_name
from stocklean_exec.strategies.holdings import strategy_name_problem

__all__ = ["cash_of_strategies", "cash_table", "parse_cash_amounts"]

_SIGN = {"BUY": -1, "SELL": 1}
_ONE = exact(1.0)
_DEFAULT_CURRENCY = "USD"  # as of orders without one
_LARGEST = 1e12  # a stated choice: what a double adds up to the cent
_COLUMNS = {"strategy": "str", "currency": "str", "amount": "float64"}


def cash_of_strategies(
    orders: pd.DataFrame, fills: pd.DataFrame, crossings: pd.DataFrame, assigned: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Cash by strategy and currency; NaN where it was never assigned, or a commission is not reported yet.

    Parameters
    ----------
    orders, fills, crossings : of one account, as :func:`~stocklean_exec.attribute_fills` takes them
    assigned : of that account: ``strategy``, ``currency``, ``amount`` (added to what there was)

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["r-SPY-BUY"], "symbol": "SPY", "side": "BUY", "quantity": 30.0, "currency": "USD",
    ...     "strategy_quantities": '{"trend": 10, "value": 20}',
    ... })
    >>> fills = pd.DataFrame({
    ...     "exec_id": ["x1"], "client_order_id": "r-SPY-BUY", "quantity": 30.0, "price": 400.0, "commission": 1.5,
    ... })
    >>> assigned = pd.DataFrame({"strategy": ["value"], "currency": "USD", "amount": 10_000.0})
    >>> cash_of_strategies(orders, fills, pd.DataFrame(), assigned)
    {'trend': {'USD': nan}, 'value': {'USD': 1999.0}}
    """
    moved: defaultdict[tuple[str, str], int] = defaultdict(int)
    known = {(one, currency) for one, currency in assigned[["strategy", "currency"]].itertuples(index=False)}
    unknown = set()
    names = orders["client_order_id"].tolist()
    traded_in = dict(zip(names, _texts(orders, "currency"), strict=True))
    for row in attribute_fills(orders, fills, crossings).to_dict("records"):
        strategy, charged_in = row["strategy"], _currency(row["commission_currency"])
        if strategy == UNASSIGNED:
            continue
        currency = _currency(traded_in.get(row["client_order_id"], charged_in))
        if math.isnan(row["price"]):
            unknown.add((strategy, currency))
        else:
            moved[strategy, currency] += exact(row["quantity"]) * exact(row["price"]) * _SIGN[row["side"]]
        if math.isnan(row["commission"]):
            unknown.add((strategy, currency))  # not reported yet, and so its currency is not
        else:
            moved[strategy, charged_in] -= exact(row["commission"]) * _ONE
    for strategy, currency, amount in assigned[[*_COLUMNS]].itertuples(index=False):
        moved[strategy, currency] += exact(amount) * _ONE
    found: dict[str, dict[str, float]] = {}
    for strategy, currency in sorted({*moved, *unknown}):
        is_known = (strategy, currency) in known and (strategy, currency) not in unknown
        amount = _amount(moved[strategy, currency]) if is_known else math.nan
        if is_known or (strategy, currency) in unknown or moved[strategy, currency]:
            found.setdefault(strategy, {})[currency] = amount
    return found


def _amount(units: int) -> float:
    return round(units / _ONE / _ONE, 8)


def _texts(frame: pd.DataFrame, name: str) -> list[object]:
    return frame[name].tolist() if name in frame.columns else [None] * len(frame)


def _currency(value: object) -> str:
    return value if isinstance(value, str) and value else _DEFAULT_CURRENCY


def cash_table(cash: Mapping[str, Mapping[str, float]], account: Mapping[str, float] | None) -> pd.DataFrame:
    """Table of the cash of each strategy: strategy, currency, amount; last what is ``unassigned``.

    ``account`` is the account's cash by currency. What is unassigned is unknown where any strategy's is.

    Examples
    --------
    >>> cash_table({"value": {"USD": 600.0}}, {"USD": 1_000.0})
         strategy currency  amount
    0       value      USD   600.0
    1  unassigned      USD   400.0
    """
    rows = [
        (one, currency, amount) for one, own in sorted(cash.items()) for currency, amount in sorted(own.items())
    ]
    for currency in sorted(account or ()):
        own = [amount for _, name, amount in rows if name == currency]
        rest = math.nan
        if not any(map(math.isnan, own)):
            rest = (exact((account or {})[currency]) - sum(map(exact, own))) / _ONE
        if rest:
            rows.append((UNASSIGNED, currency, rest))
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def parse_cash_amounts(amounts: object, base_currency: str) -> dict[tuple[str, str], float]:
    """Amounts by strategy and currency, from ``{"value": 60_000}`` or ``{"value": {"USD": 60_000, "EUR": 500}}``.

    Raises
    ------
    InputError
        With every one that cannot be used.

    Examples
    --------
    >>> parse_cash_amounts({"value": 60_000, "trend": {"EUR": -5.5}}, "USD")
    {('value', 'USD'): 60000.0, ('trend', 'EUR'): -5.5}
    """
    if not isinstance(amounts, Mapping) or not amounts:
        text = "give strategy -> amount, or strategy -> {currency: amount}"
        raise InputError("cash", [Problem("wrong_type", text)])
    problems: list[Problem] = []
    found: dict[tuple[str, str], float] = {}
    for strategy, given in amounts.items():
        if not is_strategy_name(strategy):
            problems.append(strategy_name_problem(strategy))
            continue
        for currency, amount in (given if isinstance(given, Mapping) else {base_currency: given}).items():
            if not _is_amount(amount) or not (isinstance(currency, str) and currency):
                text = f"{strategy}: {shown(amount)} of currency {shown(currency)} is no amount of money"
                problems.append(Problem("cash_missing", text, column="amount"))
            else:
                found[str(strategy), currency] = float(amount)
    if problems:
        raise InputError("cash", problems)
    return found


def _is_amount(value: object) -> bool:
    is_number = hasattr(value, "__float__") and not isinstance(value, (bool, str))
    return is_number and abs(float(value)) <= _LARGEST  # type: ignore[arg-type]  # a number of any kind; not NaN
