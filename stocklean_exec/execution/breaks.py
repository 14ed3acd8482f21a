"""Reconciliation breaks between blotter and broker, as rows: a comparison of two sets of frames.

Every break is a row with a ``kind`` and a ``severity``: ``halt`` if trading must stop (an unrecorded order or
execution of ours, more shares than ordered, a position that does not reconcile), ``warn`` if a person should check
it, ``info`` if it is explained. Quantities are shares, cash is in the account's base currency. Pure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklean_exec.blotter.holdings import fills_since, recorded_holdings, shares_by_symbol
from stocklean_exec.blotter.order_history import OrderHistory
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.risk.splits import holding_ratios
from stocklean_exec.schema.order_terms import CAPPED
from stocklean_exec.strategies.attribution import unexplained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stocklean_exec.blotter.events import OrderEvent
    from stocklean_exec.brokers.evidence import Evidence

__all__ = ["DIFFERENCES", "Books", "compare"]

DIFFERENCES = {
    "kind": "str",
    "severity": "str",
    "symbol": "str",
    "client_order_id": "str",
    "blotter": "float64",
    "broker": "float64",
    "difference": "float64",
    "detail": "str",
}
"""Columns of the table of differences; ``difference`` is broker minus blotter."""

_PRICE = 1e-9  # part of a price; rounding of doubles, far below any tick
_SHARES = 1e-6  # tolerance in shares; a stated choice, far below any tradable fraction
_RATE_BAND = 0.05  # part of a foreign trade's value by which its exchange rate may have moved; as in submission
_CENT = 0.01  # tolerance in currency for each fill; a stated choice, as amounts are rounded to cents
_OUR_SHAPE = re.compile(r"[A-Za-z0-9._-]+-[A-Za-z0-9._]+-(BUY|SELL)(-\d+)?|.{31}-[0-9a-f]{8}")
_SIGN = {"BUY": 1.0, "SELL": -1.0}
_TEXTS = ("kind", "severity", "symbol", "client_order_id", "detail")


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides of one account at one moment.

    Parameters
    ----------
    orders, fills : of the blotter, for this account
    duplicates : client order ids under which the broker has shown a second order
    opening : holdings at the start of the last run: ``what``, ``symbol``, ``quantity``, ``taken_at``
    open_orders, positions, cash : of the broker, now
    foreign_executions : of orders that are not on record: order_ref, symbol, side, quantity, price, exec_id
    evidence : what the broker reported
    clients : client id that sent an order, by client order id
    strategies : signed shares of each strategy by the record, by symbol
    limit_changes : changes of an order's limit and their answers, by client order id
    strategy_cash : what strategies have together in the base currency, NaN if that is not known
    splits : ratios of splits that are suspected and not on record, of symbols that strategies hold
    """

    orders: pd.DataFrame
    fills: pd.DataFrame
    duplicates: frozenset[str]
    opening: pd.DataFrame
    open_orders: pd.DataFrame
    positions: pd.DataFrame
    cash: float
    foreign_executions: pd.DataFrame
    evidence: Evidence
    clients: Mapping[str, int] = field(default_factory=dict)
    strategies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    limit_changes: Mapping[str, Sequence[OrderEvent]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    strategy_cash: float = math.nan

    def history(self, name: str) -> OrderHistory:
        """One order with the changes of its limit."""
        return OrderHistory(name, math.nan, self.limit_changes.get(name, ()))


def compare(books: Books) -> pd.DataFrame:
    """Every difference between the two sides, most severe first: columns of :data:`DIFFERENCES`."""
    rows = [
        *_open_orders(books),
        *_fills(books),
        *_fills_beyond_limits(books),
        *_foreign_executions(books),
        *_positions(books),
        *_strategies(books),
        *_strategy_cash(books),
        *_cash(books),
    ]
    frame = pd.DataFrame(rows, columns=list(DIFFERENCES)).astype(DIFFERENCES)
    frame["difference"] = frame["broker"] - frame["blotter"]
    rank = frame["severity"].map({"halt": 0, "warn": 1, "info": 2})
    return frame.iloc[rank.argsort(kind="stable")].reset_index(drop=True)


def looks_like_ours(order_ref: str) -> bool:
    """Whether an ``orderRef`` has the format of a client order id of this package.

    Examples
    --------
    >>> looks_like_ours("run-1-SPY-BUY"), looks_like_ours("my manual order"), looks_like_ours("")
    (True, False, False)
    """
    return _OUR_SHAPE.fullmatch(order_ref) is not None


def _row(
    kind: str,
    severity: str,
    detail: str,
    *,
    symbol: str | None = None,
    name: str | None = None,
    blotter: float = math.nan,
    broker: float = math.nan,
) -> dict[str, object]:
    return {
        "kind": kind,
        "severity": severity,
        "symbol": symbol,
        "client_order_id": name,
        "blotter": blotter,
        "broker": broker,
        "detail": detail,
    }


def _open_orders(books: Books) -> Iterator[dict[str, object]]:
    known = books.orders.set_index("client_order_id")
    named = books.open_orders[books.open_orders["client_order_id"].notna()]
    for name, symbol, quantity, filled in named[
        ["client_order_id", "symbol", "quantity", "filled_quantity"]
    ].itertuples(index=False):
        if name not in known.index:
            if looks_like_ours(name):
                text = "the broker has a working order of ours that is not on record here"
                yield _row("order_orphan", "halt", text, symbol=symbol, name=name, broker=quantity)
            continue
        ours = known.loc[name]
        ordered, traded = float(ours.get("sent_quantity", ours["quantity"])), float(ours["filled_quantity"])
        if ours["status"] in ENDED:
            text = f"is {ours['status']} on record, and working at the broker"
            yield _row(
                "order_alive", "halt", text, symbol=symbol, name=name, broker=quantity - filled, blotter=0.0
            )
        if abs(quantity - ordered) > _SHARES:
            text = "was changed at the broker: its quantity differs"
            yield _row("order_changed", "warn", text, symbol=symbol, name=name, blotter=ordered, broker=quantity)
        theirs = named[named["client_order_id"] == name].iloc[0]
        yield from _changed_terms(ours, theirs, books.history(name))
        if abs(filled - traded) > _SHARES:
            text = "the filled quantity at the broker differs from the executions on record"
            yield _row(
                "filled_differs",
                "warn",
                text,
                symbol=symbol,
                name=name,
                blotter=ours["filled_quantity"],
                broker=filled,
            )
    working = books.orders[books.orders["status"].isin(["SUBMITTED", "PARTIAL"])]
    at_broker = set(books.open_orders["client_order_id"])
    for name, symbol, status in working[["client_order_id", "symbol", "status"]].itertuples(index=False):
        if name not in at_broker:
            text = f"is {status} on record, and not among the open orders; run sx.resume"
            yield _row("order_not_open", "warn", text, symbol=symbol, name=name)
    for name, symbol in books.orders.loc[
        books.orders["status"] == "UNKNOWN", ["client_order_id", "symbol"]
    ].itertuples(index=False):
        yield _row("order_unresolved", "warn", "its outcome is unknown", symbol=symbol, name=name)


def _changed_terms(
    ours: pd.Series[Any], theirs: pd.Series[Any], history: OrderHistory
) -> Iterator[dict[str, object]]:
    """Terms of a working order that a person changed at the broker: prices, type, time in force, times, hours.

    Its limit may be any that is in force by the record. Symbol and side can only differ where a person has sent
    the order, from a basket file. An algorithm is not compared, as TWS does not repeat it; nor the limit of an
    order that pegs itself without a cap, where TWS shows its own.
    """
    symbol, name = str(ours["symbol"]), history.client_order_id
    for column, word in (("limit_price", "limit price"), ("aux_price", "auxiliary price")):
        asked, there = (float(_term(one, column, math.nan)) for one in (ours, theirs))
        known = history.limits_in_force(asked) if column == "limit_price" else [asked]
        is_capped = ours.get("order_type") in CAPPED
        if column in theirs.index and not any(_is_same_price(one, there, is_capped=is_capped) for one in known):
            text = f"was changed at the broker: its {word} differs"
            yield _row("order_changed", "warn", text, symbol=symbol, name=name, blotter=known[0], broker=there)
    for column, word, absent in (
        ("symbol", "symbol", ""),
        ("side", "side", ""),
        ("order_type", "order type", ""),
        ("tif", "time in force", ""),
        ("good_till", "end", ""),
        ("good_after", "start", ""),
        ("outside_rth", "leave to trade outside regular hours", False),
    ):
        mine, other = (_whole_seconds(_term(one, column, absent)) for one in (ours, theirs))
        if column in theirs.index and mine != other and (absent is False or (mine and other)):
            text = f"was changed at the broker: its {word} is {other}, and {mine} on record"
            yield _row("order_changed", "warn", text, symbol=symbol, name=name)


def _is_same_price(asked: float, there: float, *, is_capped: bool) -> bool:
    """Whether the broker shows a price of an order as it is on record."""
    is_unset = math.isnan(asked) and (math.isnan(there) or is_capped)
    is_none = asked == 0 and math.isnan(there)  # an offset of none
    return is_unset or is_none or abs(there - asked) <= _PRICE * abs(asked)


def _whole_seconds(value: Any) -> Any:  # noqa: ANN401 - a term of any kind
    """A time as TWS has it: it takes whole seconds, and the part of one is cut off before it is sent."""
    return value.floor("s") if isinstance(value, pd.Timestamp) else value


def _term(order: pd.Series[Any], column: str, unset: object) -> Any:  # noqa: ANN401 - a price or a text
    value = order.get(column)
    return unset if value is None or pd.isna(value) else value


def _fills_beyond_limits(books: Books) -> Iterator[dict[str, object]]:
    """Orders that traded at a worse price than any limit that they ever had, since the last run began."""
    if "limit_price" not in books.orders.columns:
        return
    limits = _widest_limits(books)
    fills = books.fills if books.opening.empty else fills_since(books.opening, books.orders, books.fills)
    limit = fills["client_order_id"].map(limits)
    excess = (fills["price"] - limit) * fills["side"].map(_SIGN).astype("float64")
    beyond = fills[excess > _PRICE * limit.abs()]
    for name, rows in beyond.groupby("client_order_id", sort=False):
        worst = rows["price"].max() if rows["side"].iloc[0] == "BUY" else rows["price"].min()
        text = (
            f"{len(rows)} fills are beyond the limit on record: it was changed at the broker, or the fill is wrong"
        )
        symbol = str(rows["symbol"].iloc[0])
        yield _row(
            "fill_beyond_limit", "warn", text, symbol=symbol, name=str(name), blotter=limits[name], broker=worst
        )


def _widest_limits(books: Books) -> pd.Series[float]:
    """The most permissive limit that each order has had at the broker, or may have had; NaN for none."""
    orders = books.orders.set_index("client_order_id")
    limits, sides = orders["limit_price"].astype("float64"), orders["side"]
    for name in limits.index.intersection(list(books.limit_changes)):
        widest = max if sides[name] == "BUY" else min
        limits[name] = widest([limits[name], *books.history(str(name)).limits_ever()])
    return limits


def _fills(books: Books) -> Iterator[dict[str, object]]:
    orders = books.orders
    over = orders[orders["filled_quantity"] > orders["quantity"] + _SHARES]
    for name, symbol, ordered, filled in over[
        ["client_order_id", "symbol", "quantity", "filled_quantity"]
    ].itertuples(index=False):
        text = "more shares were filled than ordered"
        yield _row("overfill", "halt", text, symbol=symbol, name=name, blotter=ordered, broker=filled)
    for name in sorted(books.duplicates):
        yield _row("duplicate_order", "halt", "the broker has two orders under this id", name=name)
    if not books.evidence.forgets:
        return
    today = books.fills[books.fills["filled_at"].dt.tz_convert("America/New_York").dt.date == _today(books)]
    is_reported = today["exec_id"].isin(books.evidence.executions)
    is_hidden = _are_hidden(books, today, is_reported)
    for client, rows in today[is_hidden].groupby(today["client_order_id"].map(books.clients)):
        other = f"client id {int(client)}"
        text = (
            f"{other} placed the orders of {len(rows)} executions of today, which TWS does not report to "
            f"client id {books.evidence.client_id}: reconcile with {other} to compare them"
        )
        yield _row("executions_not_visible", "info", text, blotter=float(len(rows)), broker=0.0)
    unreported = today[~is_reported & ~is_hidden]
    if len(unreported) and not books.evidence.executions:
        text = f"the broker reports no executions at all; {len(unreported)} of today are on record"
        yield _row("executions_not_told", "warn", text, blotter=float(len(unreported)), broker=0.0)
        return
    is_too_old = _may_be_of_another_day(books, unreported, today[is_reported])
    if is_too_old.any():
        text = (
            f"{int(is_too_old.sum())} executions of today are on record, and TWS reports none so old: its day may "
            "have begun at the midnight of another time zone"
        )
        yield _row("executions_not_told", "warn", text, blotter=float(is_too_old.sum()), broker=0.0)
    for name, symbol, exec_id, quantity in unreported.loc[
        ~is_too_old, ["client_order_id", "symbol", "exec_id", "quantity"]
    ].itertuples(index=False):
        text = f"execution {exec_id} is on record, and the broker does not report it"
        yield _row("execution_phantom", "halt", text, symbol=symbol, name=name, blotter=quantity, broker=0.0)


def _are_hidden(books: Books, fills: pd.DataFrame, is_reported: pd.Series[bool]) -> pd.Series[bool]:
    """Whether each fill belongs to another client whose executions TWS does not report to this one.

    A client that receives one execution of another client receives all of them, as client 0 does; an execution
    that is not reported is then missing.
    """
    clients = fills["client_order_id"].map(books.clients)
    visible = {books.evidence.client_id, *clients[is_reported].dropna()}
    return clients.notna() & ~clients.isin(visible) & ~is_reported


def _may_be_of_another_day(books: Books, unreported: pd.DataFrame, reported: pd.DataFrame) -> pd.Series[bool]:
    """Whether each fill may be older than what TWS reports: its day begins at the midnight of the login's zone.

    That is a quarter of an hour of UTC in every zone. TWS reports all of its day: a fill as old as a reported one,
    or made since the last quarter of an hour, must be among them.
    """
    begun = pd.Timestamp(books.evidence.asked_at).floor("15min")
    oldest = min(reported["filled_at"].min(), begun) if len(reported) else begun
    return unreported["filled_at"] < oldest


def _today(books: Books) -> object:
    return pd.Timestamp(books.evidence.asked_at).tz_convert("America/New_York").date()


def _foreign_executions(books: Books) -> Iterator[dict[str, object]]:
    recorded = set(books.orders["client_order_id"])
    for ref, symbol, side, quantity, exec_id in books.foreign_executions[
        ["order_ref", "symbol", "side", "quantity", "exec_id"]
    ].itertuples(index=False):
        ours = isinstance(ref, str) and (looks_like_ours(ref) or ref in recorded)
        which = "is of an order of ours that is not on record here" if ours else "is of an order from elsewhere"
        if ref in recorded:
            which = "carries the id of an order on record of another symbol, side or account"
        text = f"execution {exec_id} ({side}) {which}"
        yield _row(
            "execution_orphan" if ours else "execution_foreign",
            "halt" if ours else "info",
            text,
            symbol=symbol,
            name=ref if ours else None,
            broker=quantity,
        )


def _positions(books: Books) -> Iterator[dict[str, object]]:
    if books.opening.empty:
        return
    recorded = recorded_holdings(books.opening, books.orders, books.fills)
    others = shares_by_symbol(books.foreign_executions)
    ours = set(books.orders["symbol"])
    held = books.positions.groupby("symbol")["quantity"].sum()
    for symbol in sorted({*recorded, *held.index}):
        expected = recorded.get(symbol, 0.0)
        there = float(held.get(symbol, 0.0))
        if abs(there - expected) <= _SHARES:
            continue
        if abs(there - expected - others.get(symbol, 0.0)) <= _SHARES:
            text = "orders from elsewhere have traded it since the last run began"
            yield _row("position_of_others", "info", text, symbol=symbol, blotter=expected, broker=there)
            continue
        text = "differs from the position when the last run began plus the fills since then"
        if holding_ratios({symbol: there}, {symbol: expected}):
            text += ", by a ratio of splits: if it was split, sx.record_split records that"
        severity = "halt" if symbol in ours else "warn"
        yield _row("position_differs", severity, text, symbol=symbol, blotter=expected, broker=there)


def _strategies(books: Books) -> Iterator[dict[str, object]]:
    """Symbols of which strategies and nobody together do not hold what the account does."""
    recorded = recorded_holdings(books.opening, books.orders, books.fills)
    others = shares_by_symbol(books.foreign_executions)
    held = books.positions.groupby("symbol")["quantity"].sum()
    for symbol, own in sorted(books.strategies.items()):
        total, there = math.fsum(own.values()), float(held.get(symbol, 0.0))
        if symbol in books.splits:
            text = (
                f"the account's shares have changed as in a split of {books.splits[symbol]}, and strategies' have "
                "not: no orders of strategies in it are planned until sx.record_split, or sx.assign_positions"
            )
            yield _row("suspected_split", "warn", text, symbol=symbol, blotter=total, broker=there)
            continue
        nobody = 0.0 if books.opening.empty else recorded.get(symbol, 0.0) - total
        gap = 0.0 if books.opening.empty else there - total - nobody
        is_blocked = unexplained(own, there)
        if not is_blocked and (abs(gap) <= _SHARES or abs(gap - others.get(symbol, 0.0)) <= _SHARES):
            continue
        parts = [f"{shares:g} of {name}" for name, shares in sorted(own.items())]
        text = f"on record are {', '.join(parts)} and {nobody:g} unassigned" + (
            "; no orders of strategies in it are planned until sx.assign_positions, or sx.record_split after a "
            "split, says what each holds"
            if is_blocked
            else ""
        )
        yield _row("strategies_differ", "warn", text, symbol=symbol, blotter=total + nobody, broker=there)


def _strategy_cash(books: Books) -> Iterator[dict[str, object]]:
    """Cash of strategies that the account has not."""
    total, there = books.strategy_cash, books.cash
    if total < min(there, 0.0) - _CENT or total > max(there, 0.0) + _CENT:
        text = "strategies have more cash together than the account: say with sx.assign_cash what each has"
        yield _row("strategy_cash_differs", "warn", text, blotter=total, broker=there)


def _rates_of(fills: pd.DataFrame, orders: pd.DataFrame) -> pd.Series[float]:
    """Base currency per unit of each fill's currency, as its order was planned with."""
    if "fx_rate" not in orders.columns:
        return pd.Series(1.0, fills.index)
    rates = orders.set_index("client_order_id")["fx_rate"].astype("float64")
    return fills["client_order_id"].map(rates).astype("float64").fillna(1.0)


def _cash(books: Books) -> Iterator[dict[str, object]]:
    opening = books.opening.loc[books.opening["what"] == "cash", "quantity"]
    if opening.empty:
        return
    fills = fills_since(books.opening, books.orders, books.fills)
    rate = _rates_of(fills, books.orders)
    value = fills["quantity"] * fills["price"] * fills["side"].map(_SIGN).astype("float64") * rate
    expected = float(opening.iloc[0] - value.sum() - (fills["commission"] * rate).sum())
    due = int(fills["commission"].isna().sum())
    tolerance = _CENT * (1 + len(fills)) + _RATE_BAND * float(value[rate != 1].abs().sum())
    if abs(expected - books.cash) > tolerance:
        text = "differs from the cash when the last run began, adjusted for the fills since then" + (
            f"; {due} commissions are not reported yet" if due else ""
        )
        yield _row("cash_differs", "warn", text, blotter=expected, broker=books.cash)
