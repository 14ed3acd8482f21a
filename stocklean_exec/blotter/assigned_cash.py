"""Giving cash of the account to strategies: a person's decision, recorded with name and time."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from stocklean_exec import clock
from stocklean_exec.blotter.assignments import check_texts
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.reader import account_cash
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.strategies.strategy_cash import parse_cash_amounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter

__all__ = ["assign_cash"]

_CENT = 0.01  # tolerance in currency; a stated choice, as amounts are rounded to cents


def assign_cash(
    blotter: Blotter,
    amounts: object,
    *,
    by: str,
    cash: object,
    reason: str = "opening cash",
    account: str | None = None,
) -> pd.DataFrame:
    """Say how much of the account's cash belongs to which strategy, and record it.

    What a strategy is to have now is given, not a change: the same call again changes nothing. From then on its
    cash follows from its fills, commissions and crossings (``blotter.strategy_cash()``). What moves cash and is no
    fill, such as a deposit, a dividend or interest, is ``unassigned`` until it is given to somebody.

    Parameters
    ----------
    blotter : where it is recorded
    amounts : ``{"value": 60_000, "trend": 40_000}`` in the base currency, or by currency:
        ``{"value": {"USD": 60_000, "EUR": 500}}``; strategies and currencies that are not named stay as they are
    by, reason : who decides it, and why
    cash : what the account has now: an account state, or ``broker.cash()``, which is in USD then
    account : needed where it is not known from the state or the record

    Returns
    -------
    DataFrame, what each strategy has then: as ``blotter.strategy_cash(cash)``.

    Raises
    ------
    InputError
        With every amount that cannot be used: strategies would together have more of a currency than the account
        does, or the account has none. Nothing was recorded.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 400.0}, cash=100_000)
    >>> with sx.open_blotter() as blotter:
    ...     sx.assign_cash(blotter, {"value": 60_000, "trend": 30_000}, cash=broker.account_state(), by="me")
         strategy currency   amount
    0       trend      USD  30000.0
    1       value      USD  60000.0
    2  unassigned      USD  10000.0
    """
    check_texts(by=by, reason=reason)
    there, base_currency = account_cash(cash)
    wanted = parse_cash_amounts(amounts, base_currency)
    account = account or blotter.strategy_account(cash)
    if account is None:
        text = "the account is not on record yet; name it, as account=broker.account, or give an account state"
        raise InputError("account", [Problem("account_missing", text)])
    own = {
        (strategy, currency): amount
        for strategy, each in blotter.cash_of_strategies(account).items()
        for currency, amount in each.items()
    }
    _check_sums({**own, **wanted}, there, {currency for _, currency in wanted})
    begun = blotter.cash_of_strategies(account, assumed=wanted)
    stamp, note = clock.now(), json.dumps({"by": by.strip(), "reason": reason.strip()})
    blotter.record(
        [
            OrderEvent(
                "cash_assigned",
                occurred_at=stamp,
                account=account,
                code=strategy,
                quantity=round(amount - begun[strategy][currency], 8),
                commission_currency=currency,
                message=note,
            )
            for (strategy, currency), amount in wanted.items()
            if own.get((strategy, currency), math.nan) != amount
        ]
    ).result()
    return blotter.strategy_cash(cash, account=account)


def _check_sums(own: Mapping[tuple[str, str], float], there: Mapping[str, float], currencies: set[str]) -> None:
    """Refuse more than the account has, or owes, of a currency; what is not known is not claimed."""
    problems = []
    for currency in sorted(currencies):
        parts = {one: amount for (one, name), amount in own.items() if name == currency and not math.isnan(amount)}
        total, has = math.fsum(parts.values()), there.get(currency, math.nan)
        if min(has, 0.0) - _CENT <= total <= max(has, 0.0) + _CENT:
            continue
        shares = " and ".join(f"{amount:,.2f} of {one}" for one, amount in sorted(parts.items()))
        text = f"{shares} are {total:,.2f} {currency}, and the account has "
        text += "none that is known: give an account state" if math.isnan(has) else f"{has:,.2f}"
        problems.append(Problem("more_than_held", text, column="amount"))
    if problems:
        raise InputError("cash", problems)
