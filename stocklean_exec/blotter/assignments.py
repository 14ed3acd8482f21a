"""Giving holdings of the account to strategies: a person's decision, recorded with name and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.reader import holdings_of
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.strategies.attribution import unexplained
from stocklean_exec.strategies.division import UNASSIGNED
from stocklean_exec.strategies.holdings import parse_holdings

if TYPE_CHECKING:
    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter

__all__ = ["assign_positions", "check_texts"]


def assign_positions(
    blotter: Blotter,
    holdings: object,
    *,
    by: str,
    reason: str = "opening position",
    positions: object = None,
    account: str | None = None,
) -> pd.DataFrame:
    """Say how much of the account's positions belongs to which strategy, and record it.

    What a strategy is to hold is given, not a change: the same call again changes nothing. Symbols that are not
    named stay as they are; 0 gives a strategy's shares back to nobody. After a trade by hand, say what each
    strategy holds now; after a split, :func:`~stocklean_exec.record_split`.

    Parameters
    ----------
    blotter : where it is recorded
    holdings : signed shares: ``{"value": {"SPY": 60}, "trend": {"SPY": 40}}``, or a DataFrame with ``strategy``,
        ``symbol`` and ``quantity``
    by : who decides it
    reason : why
    positions : what the account holds now, ``broker.positions()`` or an account state; by default its holdings
        when its last run began and the fills since
    account : needed where it is not known from the state or the record

    Returns
    -------
    DataFrame, what each strategy holds then: as ``blotter.strategy_positions(positions)``.

    Raises
    ------
    InputError
        With every row that cannot be used: strategies would together hold more of a symbol than the account does,
        a name or a quantity is invalid; or it is not known what the account holds. Nothing was recorded.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 400.0}, positions={"SPY": 100}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     sx.assign_positions(
    ...         blotter, {"value": {"SPY": 60}}, positions=broker.positions(), account=broker.account, by="me"
    ...     )
         strategy symbol  quantity
    0       value    SPY      60.0
    1  unassigned    SPY      40.0
    """
    wanted = {
        (symbol, strategy): shares
        for symbol, own in parse_holdings(holdings).items()
        for strategy, shares in own.items()
    }
    check_texts(by=by, reason=reason)
    known = blotter.strategy_positions(positions, account=account)
    account = account or blotter.strategy_account(positions)
    if account is None:
        text = "the account is not on record yet; name it, as account=broker.account, or give an account state"
        raise InputError("account", [Problem("account_missing", text)])
    held = blotter.recorded_holdings(account) if positions is None else holdings_of(positions)
    if held is None:
        text = "it is not on record what the account holds; give positions=broker.positions()"
        raise InputError("positions", [Problem("positions_missing", text)])
    own = {
        (symbol, strategy): shares
        for strategy, symbol, shares in known.itertuples(index=False)
        if strategy != UNASSIGNED
    }
    _check_sums({**own, **wanted}, held, {symbol for symbol, _ in wanted})
    changes = {key: round(wanted[key] - own.get(key, 0.0), 8) for key in wanted}
    # That a change of the account is no split is worth a record, though nobody's shares change by it.
    doubtful = blotter.strategy_book(positions, account=account).splits
    _record(blotter, account, {key: one for key, one in changes.items() if one or key[0] in doubtful}, by, reason)
    return blotter.strategy_positions(positions, account=account)


def check_texts(**texts: object) -> None:
    """Refuse texts that are required and are empty, by their names."""
    problems = [
        Problem("option_invalid", f"{name} is required", column=name)
        for name, value in texts.items()
        if not isinstance(value, str) or not value.strip()
    ]
    if problems:
        raise InputError("options", problems)


def _check_sums(own: dict[tuple[str, str], float], held: dict[str, float], symbols: set[str]) -> None:
    problems = []
    for symbol in sorted(symbols):
        parts = {strategy: shares for (name, strategy), shares in own.items() if name == symbol}
        if unexplained(parts, held.get(symbol, 0.0)):
            text = (
                f"{' and '.join(f'{shares:g} of {name}' for name, shares in sorted(parts.items()))} are "
                f"{sum(parts.values()):g}, and the account holds {held.get(symbol, 0.0):g}"
            )
            problems.append(Problem("more_than_held", text, symbol=symbol, column="quantity"))
    if problems:
        raise InputError("holdings", problems)


def _record(blotter: Blotter, account: str, changes: dict[tuple[str, str], float], by: str, reason: str) -> None:
    stamp, note = clock.now(), json.dumps({"by": by.strip(), "reason": reason.strip()})
    events = [
        OrderEvent(
            "assigned",
            occurred_at=stamp,
            account=account,
            symbol=symbol,
            code=strategy,
            quantity=shares,
            message=note,
        )
        for (symbol, strategy), shares in changes.items()
    ]
    blotter.record(events).result()
