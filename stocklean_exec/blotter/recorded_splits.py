"""Recording a split of shares: a person's statement, with ratio, day, name and reason.

The event has the change of the account's shares and of each strategy's; what is on record stays as it is.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.assignments import check_texts
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.holdings import recorded_holdings, shares_by_symbol
from stocklean_exec.blotter.reader import holdings_of
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.schema.inputs import parse_positions
from stocklean_exec.strategies.attribution import holdings, unexplained
from stocklean_exec.strategies.share_splits import parse_ratio, shares_after, write_ratio

if TYPE_CHECKING:
    from fractions import Fraction

    from stocklean_exec.blotter.blotter import Blotter

__all__ = ["record_split"]

_EXCHANGE = ZoneInfo("America/New_York")
_MAY_TRADE = ("SUBMITTED", "PARTIAL", "UNKNOWN")


def record_split(
    blotter: Blotter,
    symbol: str,
    ratio: str | float,
    *,
    on: date | str,
    by: str,
    positions: object,
    reason: str = "split",
    account: str | None = None,
) -> pd.DataFrame:
    """Say that a symbol was split, so that the record of account and strategies follows the account.

    What each strategy held then is multiplied by the ratio, to the share: whole shares are divided by the quota
    method of :func:`~stocklean_exec.attribute_fills`, and parts of a share, which the broker pays out in cash, are
    lost to all in that proportion. Where others hold shares of it too, those of nobody, strategies get the whole
    part of what is theirs together. The check ``suspected_split``, and ``reconcile``, take it into account.

    Parameters
    ----------
    blotter : where it is recorded
    symbol : what was split
    ratio : new shares for old ones: ``"10:1"``, or ``"1:10"`` for a reverse split; a number is new shares for one
    on : first day on which it trades at its new price, in New York; or the exact time, with its zone. The same
        split of the same day again changes nothing
    by, reason : who says so, and why
    positions : what the account holds now, after the split: ``broker.positions()`` or an account state
    account : needed where it is not known from the state or the record

    Returns
    -------
    DataFrame, what each strategy holds then: as ``blotter.strategy_positions(positions)``.

    Raises
    ------
    InputError
        The account does not hold what the ratio makes of its shares by the record (``split_mismatch``); another
        split of that day is on record; an order in the symbol may still trade; or an argument cannot be used.
        Nothing was recorded.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> own = {"value": {"NVDA": 63}, "trend": {"NVDA": 42}}
    >>> with sx.open_blotter() as blotter:
    ...     before = sx.assign_positions(blotter, own, positions={"NVDA": 105}, account="DU1", by="me")
    ...     sx.record_split(blotter, "NVDA", "10:1", on="2024-06-10", by="me", positions={"NVDA": 1050})
      strategy symbol  quantity
    0    trend   NVDA     420.0
    1    value   NVDA     630.0
    """
    check_texts(by=by, reason=reason)
    new_for_old, at, name = parse_ratio(ratio), _first_moment(on), _symbol_of(symbol)
    account = account or blotter.strategy_account(positions)
    held = holdings_of(positions)
    if account is None or held is None:
        text = "give positions=, what the account holds after the split, and account= if it is not on record"
        raise InputError("positions", [Problem("positions_missing", text)])
    if not _is_recorded(blotter, account, name, new_for_old, at):
        event = _event(blotter, account, name, new_for_old, at, held.get(name, 0.0))
        note = json.loads(event.message or "{}") | {"by": by.strip(), "reason": reason.strip()}
        blotter.record([event._replace(message=json.dumps(note))]).result()
    return blotter.strategy_positions(positions, account=account)


def _symbol_of(symbol: object) -> str:
    return str(parse_positions(pd.DataFrame({"symbol": [symbol], "quantity": [0.0]}))["symbol"].iloc[0])


def _first_moment(on: object) -> datetime:
    """Midnight in New York of a day, or the moment itself."""
    stamp: Any = pd.NaT
    with suppress(TypeError, ValueError):
        stamp = pd.Timestamp(on)  # type: ignore[arg-type]  # whatever a person gives
    if pd.isna(stamp) or (stamp.tzinfo is None and stamp != stamp.normalize()):
        text = f"on {shown(on)} is neither a day, as '2024-06-10', nor a time with its zone"
        raise InputError("split", [Problem("split_day", text, column="on")])
    moment: datetime = stamp.to_pydatetime()
    if moment.tzinfo is None:
        moment = datetime.combine(moment.date(), time(), _EXCHANGE)
    if moment > clock.now():
        text = f"on {shown(on)} has not come yet: record a split once the account holds the new shares"
        raise InputError("split", [Problem("split_day", text, column="on")])
    return moment


def _is_recorded(blotter: Blotter, account: str, symbol: str, ratio: Fraction, at: datetime) -> bool:
    """Whether this split is on record.

    Raises
    ------
    InputError
        Another one of that moment is.
    """
    splits = blotter.splits()
    splits = splits[(splits["account"] == account) & (splits["symbol"] == symbol) & (splits["split_at"] >= at)]
    is_same = (splits["split_at"] == at) & (splits["ratio"] == write_ratio(ratio))
    if not is_same.all():
        other = splits[~is_same].iloc[0]
        text = (
            f"a split of {other['ratio']}, of {other['split_at']:%Y-%m-%d}, is on record: say with "
            "sx.assign_positions what strategies hold"
        )
        raise InputError("split", [Problem("split_recorded", text, symbol=symbol)])
    return len(splits) > 0


def _event(blotter: Blotter, account: str, symbol: str, ratio: Fraction, at: datetime, held: float) -> OrderEvent:
    """What the split changes: the shares before it are those of the record without the fills since."""
    orders = blotter.orders()
    orders = orders[orders["account"] == account]
    fills = blotter.fills()
    fills = fills[fills["client_order_id"].isin(orders["client_order_id"])]
    early, late = fills[fills["filled_at"] < at], fills[fills["filled_at"] >= at]
    _refuse_working(orders[~(orders["arrived_at"] >= at) & (orders["symbol"] == symbol)], symbol)
    filled = orders["client_order_id"].map(early.groupby("client_order_id")["quantity"].sum()).fillna(0.0)
    changes = [frame[frame["account"] == account] for frame in (blotter.crossings(), blotter.assignments())]
    own = holdings(orders.assign(filled_quantity=filled), *changes).get(symbol, {})
    after = round(held - shares_by_symbol(late).get(symbol, 0.0), 8)
    opening = blotter.last_book(account, at)
    before = None
    if len(opening):
        before = round(recorded_holdings(opening, orders, early).get(symbol, 0.0), 8)
    new = shares_after(own, ratio, before, after)
    if unexplained(new, after):
        text = f"strategies would hold {sum(new.values()):g} of it, and the account holds {after:g}"
        raise InputError("split", [Problem("split_mismatch", text, symbol=symbol)])
    changed = {name: round(new[name] - own[name], 8) for name in own}
    return OrderEvent(
        "split",
        occurred_at=at,
        account=account,
        symbol=symbol,
        code=write_ratio(ratio),
        quantity=None if before is None else round(after - before, 8),
        message=json.dumps({"strategies": changed}),
    )


def _refuse_working(orders: pd.DataFrame, symbol: str) -> None:
    working = orders.loc[orders["status"].isin(_MAY_TRADE), ["client_order_id", "status"]]
    if len(working):
        name, status = working.iloc[0]
        text = f"{name} is {status}, an order of before the split: cancel it, or resume its run, first"
        raise InputError("split", [Problem("open_order_exists", text, symbol=symbol)])
