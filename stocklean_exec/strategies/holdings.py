"""Reading what strategies hold: a table or a mapping, by symbol and strategy. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.strategies.division import UNASSIGNED, is_strategy_name

__all__ = ["parse_holdings", "strategy_name_problem"]

_NEEDED = ("strategy", "symbol", "quantity")


def parse_holdings(holdings: object, *, unassigned: bool = False) -> dict[str, dict[str, float]]:
    """Signed shares by symbol and strategy.

    Parameters
    ----------
    holdings : ``{"value": {"SPY": 60}}``, or a DataFrame with ``strategy``, ``symbol`` and ``quantity``
    unassigned : ignore rows of ``unassigned``, which are otherwise an error

    Raises
    ------
    InputError
        With every row that cannot be used.

    Examples
    --------
    >>> parse_holdings({"value": {"SPY": 60}, "trend": {"SPY": 40, "TLT": 5}})
    {'SPY': {'value': 60.0, 'trend': 40.0}, 'TLT': {'trend': 5.0}}
    """
    problems: list[Problem] = []
    found: dict[str, dict[str, float]] = {}
    for strategy, given in _by_strategy(holdings).items():
        if unassigned and strategy == UNASSIGNED:
            continue
        if not is_strategy_name(strategy):
            problems.append(strategy_name_problem(strategy))
            continue
        try:
            frame = parse_positions(given)
        except InputError as error:
            problems += [one._replace(detail=f"{strategy}: {one.detail}") for one in error.problems]
            continue
        for symbol, shares in zip(frame["symbol"].tolist(), frame["quantity"].tolist(), strict=True):
            found.setdefault(symbol, {})[str(strategy)] = shares
    if problems:
        raise InputError("holdings", problems)
    return found


def strategy_name_problem(name: object) -> Problem:
    """Say that a name cannot be that of a strategy."""
    text = f"{shown(name)} cannot be the name of a strategy: letters, digits, '.', '_' and '-', at most 40"
    return Problem("strategy_name", text, column="strategy")


def _by_strategy(holdings: object) -> dict[object, object]:
    if isinstance(holdings, Mapping):
        return dict(holdings)
    missing = [name for name in _NEEDED if name not in getattr(holdings, "columns", ())]
    if missing or not isinstance(holdings, pd.DataFrame):
        text = "give strategy -> {symbol: quantity}, or a DataFrame with strategy, symbol and quantity"
        raise InputError("holdings", [Problem("wrong_type", text)])
    rows = holdings.reset_index(drop=True).groupby("strategy", sort=False, dropna=False)
    return {name: part[["symbol", "quantity"]] for name, part in rows}
