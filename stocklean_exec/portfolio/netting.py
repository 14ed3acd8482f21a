"""Several strategies in one account: their targets in one table, and one set of orders from it. Pure.

Each strategy is planned separately, with its part of NAV and its own positions alone, so that it sells neither
shares of another strategy nor unassigned ones. Then the orders of a symbol are netted: what one buys and another
sells crosses inside, and the rest is one order, whose column ``strategy_quantities`` says what each strategy
trades.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.account_state import AccountState
from stocklean_exec.portfolio.strategy_orders import WorkingOrders
from stocklean_exec.schema.arrow_tables import frame_of_arrow
from stocklean_exec.schema.frame_validator import (
    HELD_BACK,
    MAX_ROWS,
    RUN_ID,
    add_warnings,
    input_warnings,
    merge_warnings,
    shown,
    warning_row,
)
from stocklean_exec.schema.inputs import parse_positions, parse_quotes, parse_targets
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.schema.tables import ORDERS, TARGETS
from stocklean_exec.strategies.attribution import unexplained
from stocklean_exec.strategies.division import (
    CROSSES,
    STRATEGY,
    STRATEGY_QUANTITIES,
    UNASSIGNED,
    Division,
    is_strategy_name,
    write_quantities,
)
from stocklean_exec.strategies.holdings import strategy_name_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stocklean_exec.portfolio.alignment import Unlisted
    from stocklean_exec.portfolio.covariance import FactorCovariance
    from stocklean_exec.portfolio.trade_bands import BandKind, BandTo
    from stocklean_exec.portfolio.working_orders import ForeignOrders, OnOpenOrders

__all__ = ["STRATEGIES", "PlanOptions", "names_strategies", "net_targets", "plan_strategies"]

STRATEGIES = "strategies"
"""Column of netted targets: JSON, strategy to its share of NAV and its weight within that share."""

_ROUNDING = 1e-9  # of sums of fractions
_SIDES = ("BUY", "SELL")
_CROSSED_TYPES = ("MKT", "LMT", "MOC", "LOC", "MIDPRICE", "REL")
"""Types whose shares may cross between strategies: all that trade at the market, and not only beyond some
price."""
_HINT = (
    "give the state with what each strategy holds, state.with_strategies(blotter.strategy_book(state)): "
    "else one strategy would sell the shares of another"
)


class PlanOptions(TypedDict):
    """Arguments of :func:`~stocklean_exec.plan_orders`, which describes them, besides targets and positions."""

    quotes: object
    nav: float | None
    run_id: str
    cash_buffer: float
    reserve: Literal["auto"] | float
    unlisted: Unlisted
    allow_short: bool
    max_gross: float
    allow_liquidation: bool
    fractional: bool
    order_type: Literal["MKT", "LMT", "MOC", "LOC", "MIDPRICE"] | None
    limit_offset_bps: float | None
    tick_size: float | Mapping[str, float] | None
    tif: str | None
    account: str | None
    open_orders: pd.DataFrame | None
    on_open_orders: OnOpenOrders
    foreign_orders: ForeignOrders
    base_currency: str | None
    fx: Mapping[str, float] | None
    band: float | None
    band_kind: BandKind
    band_to: BandTo | float
    min_notional: float | None
    max_turnover: float | None
    covariance: pd.DataFrame | FactorCovariance | None
    decided_at: pd.Timestamp | None


class _Plan(Protocol):
    """Plans the targets of one strategy: :func:`~stocklean_exec.plan_orders`."""

    def __call__(
        self, targets: object, positions: object = None, **options: Unpack[PlanOptions]
    ) -> pd.DataFrame: ...


def net_targets(targets: object, shares: Mapping[str, float] | AccountState | None = None) -> pd.DataFrame:
    """Put the targets of several strategies into one table, for one set of orders.

    Parameters
    ----------
    targets : targets of each strategy by its name, tables as :func:`~stocklean_exec.plan_orders` takes them; or
        one table with a column ``strategy``
    shares : each strategy's part of the account's NAV, together at most 1; the weights of its targets are
        fractions of that part. Without it all weights are fractions of the account's NAV. Unassigned shares
        are worth a part of NAV too: leave room for it. An account state with ``blotter.strategy_book(state)``
        sizes each strategy by its own NAV: its holdings and its cash (:func:`~stocklean_exec.assign_cash`)

    Returns
    -------
    DataFrame, :data:`~stocklean_exec.schema.tables.TARGETS`, one row for each symbol: ``weight`` is the sum over
    the strategies, a fraction of the account's NAV, and ``strategies`` says what each wants (JSON). It is to be
    planned with a state that knows who holds what; :func:`~stocklean_exec.rebalance` does so::

        own = blotter.strategy_book(state)
        orders = sx.plan_orders(targets, state.with_strategies(own), run_id="run-1")

    Each strategy is planned with its own positions alone; ``unlisted`` says what to do with those that its own
    targets do not list. What one sells and another buys passes inside, at the mid and without commission, as soon
    as the approved plan is recorded, whether or not the order for the rest fills; where the order has a limit,
    at the decision price, which must be within the limits of both (``strategies_opposed``). A symbol whose order
    is not approved does not pass.

    Working orders count as in any plan (``on_open_orders``, ``foreign_orders``): with ``"net"``, what a recorded
    order of strategies still trades counts for those who wanted it, and what another order trades for nobody. A
    symbol is refused (``open_order_exists``) where the plan would trade against a working order, and where the
    record says that an order works and the broker does not show it: :func:`~stocklean_exec.resume` that run first.

    Raises
    ------
    InputError
        Targets cannot be used; shares do not fit, or the NAV of a strategy is not known; or strategies disagree
        about how a symbol is traded (order type, limit, lot, currency, contract, or another column), or about the
        account.

    Examples
    --------
    >>> netted = net_targets(
    ...     {"value": {"SPY": 0.5}, "trend": {"SPY": 0.25, "TLT": 0.75}}, {"value": 0.6, "trend": 0.4}
    ... )
    >>> netted[["symbol", "weight"]]
      symbol  weight
    0    SPY     0.4
    1    TLT     0.3

    A complete round: value buys 10 of the 40 that trend sells, and the other 30 are an order.

    >>> import stocklean_exec as sx
    >>> quotes, held = {"SPY": 400.0, "TLT": 100.0}, {"SPY": 100}
    >>> own = {"value": {"SPY": 60}, "trend": {"SPY": 40}}
    >>> broker = sx.connect("mock://", quotes=quotes, positions=held, cash=60_000)
    >>> targets = net_targets(
    ...     {"value": {"SPY": 0.47}, "trend": {"SPY": 0, "TLT": 0.2}}, {"value": 0.6, "trend": 0.4}
    ... )
    >>> with sx.open_blotter() as blotter:
    ...     before = sx.assign_positions(
    ...         blotter, own, positions=broker.positions(), account=broker.account, by="me"
    ...     )
    ...     done = sx.rebalance(targets, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     fills = sx.attribute_fills(done, blotter.fills(), blotter.crossings())
    ...     after = blotter.strategy_positions()
    >>> done[["symbol", "side", "quantity", "status"]]
      symbol  side  quantity  status
    0    SPY  SELL      30.0  FILLED
    1    TLT   BUY      80.0  FILLED
    >>> shown = fills[["kind", "strategy", "symbol", "side", "quantity"]]
    >>> shown.sort_values(["kind", "symbol", "strategy"], ignore_index=True)
        kind strategy symbol  side  quantity
    0  cross    trend    SPY  SELL      10.0
    1  cross    value    SPY   BUY      10.0
    2   fill    trend    SPY  SELL      30.0
    3   fill    trend    TLT   BUY      80.0
    >>> after
      strategy symbol  quantity
    0    trend    TLT      80.0
    1    value    SPY      70.0
    """
    parts = _parts_of(targets, shares)
    frames = {name: part.targets for name, part in sorted(parts.items())}
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for name, frame in frames.items():
        for row in frame.to_dict("records"):
            rows.setdefault(row["symbol"], {})[name] = {str(column): value for column, value in row.items()}
    _refuse_disagreement(rows, frames)
    merged = pd.concat([frames[name] for name in parts], ignore_index=True)
    merged = merged.drop_duplicates("symbol", ignore_index=True)
    wanted = [
        {name: {"share": parts[name].share, "weight": row["weight"]} for name, row in rows[symbol].items()}
        for symbol in merged["symbol"].tolist()
    ]
    weights = [math.fsum(one["share"] * one["weight"] for one in own.values()) for own in wanted]
    merged["weight"] = np.round(weights, 12)  # a product of fractions ends in noise
    merged[STRATEGIES] = pd.array([json.dumps(own) for own in wanted], dtype="str")
    return merge_warnings(TARGETS.conform(merged), *frames.values())


@dataclass(frozen=True)
class _Part:
    """One strategy: its part of NAV, and its targets as fractions of that."""

    share: float
    targets: pd.DataFrame


def _parts_of(targets: object, shares: object) -> dict[str, _Part]:
    if STRATEGY in getattr(targets, "columns", ()):
        targets = _by_strategy(targets)
    if not isinstance(targets, Mapping) or not targets:
        text = "give the targets of each strategy by its name, as {'value': targets, 'trend': others}"
        raise InputError("targets", [Problem("wrong_type", text)])
    if isinstance(shares, AccountState):
        shares = _own_shares(shares, list(targets))
    problems = [strategy_name_problem(name) for name in targets if not is_strategy_name(name)]
    problems += _share_problems(list(targets), shares)
    parts = {}
    for name, given in targets.items():
        try:
            frame = _any_targets(given)
        except InputError as error:
            problems += [one._replace(detail=f"{name}: {one.detail}") for one in error.problems]
            continue
        if STRATEGY in frame.columns and (frame[STRATEGY] == name).all():
            frame = frame.drop(columns=STRATEGY)
        reserved = [column for column in (STRATEGY, STRATEGIES) if column in frame.columns]
        if reserved:
            text = f"{name}: these targets are of another strategy by their column {reserved[0]!r}"
            problems.append(Problem("strategy_column", text, column=reserved[0]))
        share = 1.0 if not isinstance(shares, Mapping) else shares.get(name, 1.0)
        parts[str(name)] = _Part(share, frame.reset_index(drop=True))
    if problems:
        raise InputError("targets", problems)
    return {name: replace(part, share=float(part.share)) for name, part in parts.items()}


def _own_shares(state: AccountState, names: list[object]) -> dict[object, float]:
    """Each strategy's NAV as a fraction of the account's.

    Where the quotes make more of all of them than the account's NAV is, they are fractions of that.
    """
    navs = state.strategy_navs.set_index("strategy")["nav"]
    own = {name: float(navs.get(name, math.nan)) for name in names}
    problems = [
        Problem(
            "strategy_nav_unknown",
            f"the NAV of {name} is not known: sx.assign_cash says what cash it has; else a commission is not "
            "reported yet, a holding has no price, or the state has no blotter.strategy_book(state)",
        )
        for name, nav in own.items()
        if math.isnan(nav)
    ]
    if problems:
        raise InputError("targets", problems)
    total = max(state.nav, math.fsum(navs.drop(UNASSIGNED).clip(lower=0.0)))
    return {name: nav / total for name, nav in own.items()}


def _by_strategy(targets: object) -> dict[object, object]:
    """Divide a table by its column ``strategy``."""
    frame = targets if isinstance(targets, pd.DataFrame) else frame_of_arrow(targets, MAX_ROWS)
    groups = frame.groupby(STRATEGY, sort=False, dropna=False)
    return {name: rows.drop(columns=STRATEGY) for name, rows in groups}


def _any_targets(given: object) -> pd.DataFrame:
    """Read targets; what a plan may do with them is checked when it is made."""
    return parse_targets(given, allow_short=True, max_gross=math.inf, allow_empty=True, allow_liquidation=True)


def _share_problems(names: list[str], shares: object) -> Iterator[Problem]:
    if shares is None:
        return
    if not isinstance(shares, Mapping) or set(shares) != set(names):
        text = f"shares {shown(shares)} must have the strategies of the targets, and no other"
        yield Problem("strategy_share", text)
        return
    usable = True
    for name, share in shares.items():
        is_number = isinstance(share, (int, float, np.number)) and not isinstance(share, bool)
        if not (is_number and 0 < share <= 1):
            usable = False
            yield Problem("strategy_share", f"the share of {name}, {shown(share)}, is not above 0 and at most 1")
    total = math.fsum(map(float, shares.values())) if usable else 0.0
    if total > 1 + _ROUNDING:
        yield Problem("strategy_share", f"the shares add up to {total:.6g}, over 1")


def _refuse_disagreement(rows: dict[str, dict[str, dict[str, Any]]], frames: dict[str, pd.DataFrame]) -> None:
    problems = []
    for symbol, own in rows.items():
        columns = dict.fromkeys(column for row in own.values() for column in row)
        for column in columns:
            given = {name: _plain(row.get(column)) for name, row in own.items()}
            if column not in ("symbol", "weight") and len(set(given.values())) > 1:
                text = "; ".join(f"{name} says {shown(value)}" for name, value in given.items())
                text = f"strategies disagree about {column}: {text}"
                problems.append(Problem("strategies_disagree", text, symbol=symbol, column=column))
    if len({account for frame in frames.values() for account in frame["account"].dropna()}) > 1:
        text = "strategies are netted within one account, and these targets name several: plan each separately"
        problems.append(Problem("account_mismatch", text, column="account"))
    if problems:
        raise InputError("targets", problems)


def _plain(value: Any) -> object:  # noqa: ANN401 - a cell of a target, of whatever type
    is_empty = value is None or (pd.api.types.is_scalar(value) and pd.isna(value))
    return None if is_empty else str(value) if not isinstance(value, (int, float)) else value


# -- planning ------------------------------------------------------------------------------------------------


def names_strategies(targets: object) -> bool:
    """Whether a table of targets says whose they are: a column ``strategy``, or netted targets.

    Examples
    --------
    >>> names_strategies({"SPY": 0.5}), names_strategies(net_targets({"value": {"SPY": 0.5}}))
    (False, True)
    """
    columns = getattr(targets, "columns", ())
    return STRATEGY in columns or STRATEGIES in columns


def plan_strategies(plan: _Plan, targets: object, positions: object, options: PlanOptions) -> pd.DataFrame:
    """Plan each strategy by itself, and net the orders.

    Parameters
    ----------
    plan : :func:`~stocklean_exec.plan_orders`, for the targets of one strategy
    targets : those of all strategies
    positions : a state with what each strategy holds, and has working
    options : for each plan

    Raises
    ------
    InputError
        Whose the positions are is not known, or as ``plan`` says, of any strategy.
    """
    state = positions
    if not isinstance(state, AccountState) or state.strategies is None:
        text = f"these targets are of strategies, and it is not known which holds what: {_HINT}"
        if STRATEGY in getattr(targets, "columns", ()):
            text += ". Rename the column 'strategy' if it is only a label"
        raise InputError("positions", [Problem("strategies_unknown", text, column=STRATEGY)])
    parts = _parts_of_rows(targets)
    _check_gross(parts, options["max_gross"])
    given = options["open_orders"]
    working = WorkingOrders.of(
        state.open_orders if given is None else given,
        None if state.strategy_book is None else state.strategy_book.working,
        options["run_id"],
        options["on_open_orders"],
        options["foreign_orders"],
    )
    plans = _plan_each(plan, parts, state, working, options)
    return _Netting(state, plans, parts, working, options).orders()


def _parts_of_rows(targets: object) -> dict[str, _Part]:
    """Targets of each strategy, from a column ``strategy`` or ``strategies``."""
    columns = getattr(targets, "columns", ())
    if STRATEGY in columns and STRATEGIES in columns:
        text = "there are columns 'strategy' and 'strategies'; keep one"
        raise InputError("targets", [Problem("strategy_column", text, column=STRATEGY)])
    return _parts_of_netted(net_targets(targets) if STRATEGY in columns else _any_targets(targets))


def _parts_of_netted(wanted: pd.DataFrame) -> dict[str, _Part]:
    rows: dict[str, list[tuple[int, float]]] = {}
    shares: dict[str, float] = {}
    problems = []
    cells = zip(wanted["symbol"].tolist(), wanted[STRATEGIES].tolist(), strict=True)
    for place, (symbol, text) in enumerate(cells):
        try:
            for name, one in sorted(json.loads(text).items()):
                if not is_strategy_name(name) or shares.setdefault(name, float(one["share"])) != one["share"]:
                    raise ValueError  # noqa: TRY301 - reported below, as other unreadable cells
                rows.setdefault(name, []).append((place, float(one["weight"])))
        except (ValueError, TypeError, KeyError, AttributeError):
            detail = f"strategies {shown(text)} is not as sx.net_targets writes it"
            problems.append(Problem("strategy_column", detail, symbol=symbol, column=STRATEGIES))
    if problems:
        raise InputError("targets", problems)
    plain = wanted.drop(columns=STRATEGIES)
    return {
        name: _Part(
            shares[name],
            plain.iloc[[place for place, _ in own]].assign(weight=[weight for _, weight in own]),
        )
        for name, own in sorted(rows.items())
    }


def _check_gross(parts: dict[str, _Part], max_gross: object) -> None:
    """Refuse strategies that together want more than the account may have."""
    gross = math.fsum(part.share * part.targets["weight"].abs().sum() for part in parts.values())
    if isinstance(max_gross, (int, float)) and gross > max_gross + _ROUNDING:
        text = f"absolute weights of all strategies add up to {gross:.6g} of NAV, over max_gross {max_gross:g}"
        raise InputError("targets", [Problem("gross_limit", text, column="weight")])


def _plan_each(
    plan: _Plan,
    parts: dict[str, _Part],
    state: AccountState,
    working: WorkingOrders,
    options: PlanOptions,
) -> dict[str, pd.DataFrame]:
    total = math.fsum(part.share for part in parts.values())
    reserve = options["reserve"]
    plans, problems = {}, []
    for name, part in parts.items():
        own = options.copy()
        own["open_orders"], own["on_open_orders"] = working.as_seen_by(name), working.on_open_orders
        if isinstance(reserve, (int, float)) and not isinstance(reserve, bool):
            own["reserve"] = reserve * part.share / total
        try:
            plans[name] = plan(part.targets, _state_of(state, name, part.share), **own)
        except InputError as error:
            problems += [one._replace(detail=f"{name}: {one.detail}") for one in error.problems]
    if problems:
        raise InputError("targets", problems)
    return plans


def _state_of(state: AccountState, strategy: str, share: float) -> AccountState:
    """Return the account as one strategy sees it: its part of NAV, and its own positions."""
    shares = {
        symbol: own[strategy] for symbol, own in (state.strategies or {}).items() if own.get(strategy, 0.0) != 0
    }
    rows = state.positions.drop_duplicates("symbol", ignore_index=True)
    rows = rows[rows["symbol"].isin(list(shares))]
    listed = set(rows["symbol"])
    missing = [symbol for symbol in shares if symbol not in listed]
    rows = pd.concat([rows, pd.DataFrame({"symbol": missing, "quantity": 0.0})]) if missing else rows
    held = parse_positions(rows.assign(quantity=rows["symbol"].map(shares)).reset_index(drop=True))
    return replace(
        state, nav=state.nav * share, cash=math.nan, _positions=held, _open_orders=None, _strategies=None
    )


# -- netting -------------------------------------------------------------------------------------------------


class _Netting:
    """The orders of all strategies, symbol by symbol."""

    def __init__(
        self,
        state: AccountState,
        plans: dict[str, pd.DataFrame],
        parts: dict[str, _Part],
        working: WorkingOrders,
        options: PlanOptions,
    ) -> None:
        self._state, self._plans, self._working, self._options = state, plans, working, options
        given = [orders for orders in plans.values() if len(orders)]
        self._rows = pd.concat(given, ignore_index=True) if given else next(iter(plans.values()))
        self._records: list[dict[Any, Any]] = self._rows.to_dict("records")
        names = [name for name, orders in plans.items() for _ in range(len(orders))]
        self._by_symbol: dict[str, dict[str, int]] = {}
        for place, (name, symbol) in enumerate(zip(names, self._rows["symbol"].tolist(), strict=True)):
            self._by_symbol.setdefault(symbol, {})[name] = place
        self._held = {
            str(symbol): float(shares)
            for symbol, shares in state.positions.groupby("symbol")["quantity"].sum().items()
        }
        self._own = state.strategies or {}
        counts = state.positions["symbol"].value_counts()
        self._several = set(counts[counts > 1].index)
        self._weights: dict[str, float] = {}
        for part in parts.values():
            for symbol, weight in part.targets[["symbol", "weight"]].itertuples(index=False):
                self._weights[symbol] = self._weights.get(symbol, 0.0) + part.share * weight
        self._crosses: dict[str, dict[str, object]] = {}
        self._notes: list[dict[str, object]] = []

    def orders(self) -> pd.DataFrame:
        """The netted plan, sells first."""
        places, changes = [], []
        for symbol, own in self._by_symbol.items():
            found = self._one(symbol, own)
            if found is not None:
                places.append(found[0])
                changes.append(found[1])
        frame = self._rows.iloc[places].reset_index(drop=True)
        for name in changes[0] if changes else ():
            frame[name] = pd.array([change[name] for change in changes], dtype=_DTYPES[name])
        frame["max_gross"] = np.full(len(frame), self._gross_of(frame))
        frame = frame.iloc[(frame["side"] == "BUY").to_numpy().argsort(kind="stable")].reset_index(drop=True)
        frame = ORDERS.conform(frame)
        frame.attrs = {}
        return self._with_notes(frame)

    def _one(self, symbol: str, own: dict[str, int]) -> tuple[int, dict[str, object]] | None:
        """Return the row to begin with, and what is different in the netted order; None for no order."""
        reason, detail, place = self._refusal(symbol, own)
        if reason:
            return place, self._change(symbol, place, math.nan, {}, "REJECTED", reason, detail)
        quantities = {name: self._signed(each) for name, each in own.items()}
        division = Division(quantities)
        if division.crossed:
            self._note_cross(symbol, division)
        if not division.net:
            row = self._records[place]
            self._crosses[symbol] = {
                "quantities": {name: quantities[name] for name in sorted(quantities)},
                "price": float(row["decision_price"]),
                "currency": row["currency"],
                "limited": not math.isnan(row["limit_price"]),
            }
            return None
        place = next(own[name] for name in sorted(own) if quantities[name] * division.net > 0)
        return place, self._change(symbol, place, division.net, quantities, "NEW", None, None)

    def _refusal(self, symbol: str, own: dict[str, int]) -> tuple[str, str, int]:
        """Why nothing of this symbol can be traded, and the row that says so."""
        for name, place in sorted(own.items()):
            row = self._records[place]
            if row["status"] == "REJECTED":
                detail = row["detail"] if isinstance(row["detail"], str) else row["reason"]
                return str(row["reason"]), f"{name}: {detail}", place
        first = own[min(own)]
        return *next(self._refusals(symbol, [*own.values()]), ("", "")), first

    def _refusals(self, symbol: str, places: list[int]) -> Iterator[tuple[str, str]]:
        """Reasons for which a symbol cannot be netted."""
        ratio = {} if self._state.strategy_book is None else self._state.strategy_book.splits
        if symbol in ratio:
            text = f"the account's shares have changed as in a split of {ratio[symbol]} that is not on record"
            yield "suspected_split", f"{text}: sx.record_split, or say what each holds with sx.assign_positions"
        # With what works counted as filled: a fill may be in the account, and not on record yet.
        held, working = self._own.get(symbol, {}), self._working.parts.get(symbol, {})
        parts = {name: held.get(name, 0.0) + working.get(name, 0.0) for name in {**held, **working}}
        account = self._held.get(symbol, 0.0) + self._working.totals.get(symbol, 0.0)
        if unexplained(parts, account):
            when = " once what works is filled" if symbol in self._working.totals else ""
            text = f"the strategies hold {math.fsum(parts.values()):g} together{when}, and the account {account:g}"
            yield "strategy_break", f"{text}: see sx.reconcile, and say what each holds with sx.assign_positions"
        if symbol in self._several:
            yield "strategy_break", "it is held in several contracts, and strategies hold symbols"
        net = math.fsum(map(self._signed, places))
        refused = self._working.refusals.get((symbol, "BUY" if net > 0 else "SELL"))
        if refused and net:
            yield "open_order_exists", refused
        sides = {
            side: [row for row in map(self._records.__getitem__, places) if row["side"] == side] for side in _SIDES
        }
        if not all(sides.values()):
            return
        kind, price = self._records[places[0]]["order_type"], self._records[places[0]]["decision_price"]
        if kind not in _CROSSED_TYPES:
            yield "strategies_opposed", f"one strategy buys what another sells, and {kind} orders may never trade"
        # A limit that is not set compares as false.
        if any(row["limit_price"] < price for row in sides["BUY"]) or any(
            row["limit_price"] > price for row in sides["SELL"]
        ):
            yield (
                "strategies_opposed",
                f"one strategy buys what another sells, and {price:g} is beyond a limit of theirs",
            )

    def _signed(self, place: int) -> float:
        row = self._records[place]
        return float(row["quantity"]) if row["side"] == "BUY" else -float(row["quantity"])

    def _change(
        self,
        symbol: str,
        place: int,
        net: float,
        quantities: dict[str, float],
        status: str,
        reason: str | None,
        detail: str | None,
    ) -> dict[str, object]:
        row, held = self._records[place], self._held.get(symbol, 0.0)
        size = abs(net) if quantities else float(row["quantity"])
        after = held + (net if quantities else self._signed(place))
        return {
            "quantity": size,
            "planned_quantity": size,
            "notional": round(size * float(row["decision_price"]), 8),
            "target_weight": round(self._weights.get(symbol, 0.0), 12),
            "current_quantity": held,
            "target_quantity": round(after, 8),
            "status": status,
            "reason": reason,
            "detail": detail,
            STRATEGY: next(iter(quantities)) if len(quantities) == 1 else None,
            STRATEGY_QUANTITIES: write_quantities(quantities) if quantities else None,
        }

    def _note_cross(self, symbol: str, division: Division) -> None:
        moved = [f"{shares:+g} {name}" for name, shares in division.crossed.items()]
        text = f"passes inside, without an order, once the plan is approved: {', '.join(moved)}"
        self._notes.append(warning_row("crossed_inside", text, table="targets", symbol=symbol))

    def _gross_of(self, frame: pd.DataFrame) -> float:
        """Gross exposure of the whole account after the plan, at least what was asked for; fraction of NAV."""
        options, state = self._options, self._state
        market = parse_quotes(state.quotes if options["quotes"] is None else options["quotes"])
        prices = usable_prices(market)["price"].to_dict()
        rates = {state.base_currency: 1.0, **state.rates}
        held = state.positions
        currencies = dict(zip(held["symbol"].tolist(), held["currency"].tolist(), strict=True))
        currencies |= dict(zip(frame["symbol"].tolist(), frame["currency"].tolist(), strict=True))
        traded = frame[frame["status"] != "REJECTED"]
        after = self._held | dict(zip(traded["symbol"], traded["target_quantity"], strict=True))
        gross = 0.0
        for symbol, shares in after.items():
            currency = currencies.get(symbol)
            rate = rates.get(currency if isinstance(currency, str) else state.base_currency, 0.0)
            value = abs(shares + self._working.totals.get(symbol, 0.0)) * prices.get(symbol, 0.0) * rate
            gross += 0.0 if math.isnan(value) else value
        return max(float(options["max_gross"]), gross / state.nav)

    def _with_notes(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add what the plans of the strategies say, and the crossings without an order."""
        texts = [plan.attrs.get(HELD_BACK, "[]") for plan in self._plans.values()]
        held_back = [row for text in texts for row in json.loads(text)]
        if held_back:
            frame.attrs[HELD_BACK] = json.dumps(held_back)
        crosses = json.dumps(self._crosses) if self._crosses else None
        if frame.empty:
            frame.attrs[RUN_ID] = self._options["run_id"]
            if crosses is not None:
                frame.attrs[CROSSES] = crosses
        elif crosses is not None:
            frame[CROSSES] = pd.array([crosses], dtype="str").repeat(len(frame))
        for name, plan in self._plans.items():
            rows = input_warnings(plan).astype("object")
            for row in rows.where(rows.notna(), None).to_dict("records"):
                own = {str(key): value for key, value in row.items()}
                self._notes.append(own | {"detail": f"{name}: {row['detail']}"})
        return add_warnings(frame, self._notes)


_DTYPES: dict[str, Any] = {
    **dict.fromkeys(
        ("quantity", "planned_quantity", "notional", "target_weight", "current_quantity", "target_quantity"),
        "float64",
    ),
    **dict.fromkeys(("status", "reason", "detail", STRATEGY, STRATEGY_QUANTITIES), "str"),
}
