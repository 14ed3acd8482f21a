"""The rules behind the checks: what each one holds against which limit. Pure.

A rule speaks of every order at once. Rules about one order come first; rules about all orders together (cash,
gross, total value) count only the orders that no other rule has blocked, because only those can be sent: the
proceeds of a sell that is blocked pay for nothing. Values are in the currency of the account, ratios are
fractions of NAV, times are seconds since 1970.

The list follows what regulators ask of automated trading (SEC Rule 15c3-5 (c)(1): limits on an order's price
and size, on exposure in aggregate, and against duplicates; Reg. (EU) 2017/589, Art. 15: price collars, maximum
value, volume and number of messages).

:class:`OrderArrays` is what the rules see of the orders. Most of it no edit can change (symbols, sides, market,
holdings), so that it is made once, and an edited plan is held against all rules again in a few operations on whole
arrays.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.order_costs import cash_prices, commissions
from stocklean_exec.risk.findings import BLOCK, Findings
from stocklean_exec.schema.prices import PRICE_FIELDS, is_usable, usable_prices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.risk.limits import Limits

__all__ = ["FOREIGN", "ONE_SIDED", "UNFINISHED", "CheckContext", "OrderArrays", "find", "judge"]

ONE_SIDED = "one_sided_plan"
"""Finding on a sell that was to pay for buys which are refused for lack of cash; approved only on request."""

FOREIGN = "currency_unsupported"
"""Finding on an order or a quote in another currency than cash, NAV and limits are in."""

UNFINISHED = "unfinished_run"
"""Finding on an order in whose symbol an earlier run has an approved order that is not sent yet."""

_CLOCK_SKEW = 5.0  # seconds that a quote may seem to come from the future
_SPLIT_RATIOS = (2, 3, 4, 5, 10, 20, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10, 1 / 20)
_SPLIT_BAND = 0.03  # a split moves a price by little else
_DUST = 1e-9  # floating point noise of fractional shares and of ratios
_FIELDS = (*PRICE_FIELDS, "quoted_at")

Market = tuple[float, float, float, float, float]
"""Bid, ask, last, close and time of a quote; NaN is "not known"."""

Sent = tuple[str, str, str, float, float]
"""Client order id, symbol, side, quantity and time of an order that was handed to a broker."""


@dataclass(frozen=True, eq=False)
class CheckContext:
    """What orders are checked against besides the limits; positions and quotes by symbol."""

    positions: dict[str, float]
    quotes: dict[str, Market]
    given_quotes: bool
    cash: float
    nav: float
    now: float
    halted: str | None
    recent: list[Sent]
    flags: dict[str, list[str]]  # symbol -> "symbol_halted", "delayed_price", "unfinished_run", ...
    base_currency: str

    def to_json(self) -> dict[str, object]:
        """All of it, ready for JSON: "not known" is None."""
        stored: dict[str, object] = {field.name: getattr(self, field.name) for field in fields(self)}
        stored |= {name: _known(value) for name, value in (("cash", self.cash), ("nav", self.nav))}
        stored["quotes"] = {symbol: [_known(value) for value in row] for symbol, row in self.quotes.items()}
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> CheckContext:
        """Make it again of what :meth:`to_json` gave."""
        quotes = {symbol: tuple(map(_number, row)) for symbol, row in stored["quotes"].items()}
        return cls(
            **(
                stored
                | {
                    "quotes": quotes,
                    "recent": [tuple(row) for row in stored["recent"]],
                    "cash": _number(stored["cash"]),
                    "nav": _number(stored["nav"]),
                }
            )
        )

    @cached_property
    def marks(self) -> dict[str, float]:
        """Price of each quoted symbol that has a usable one."""
        if not self.quotes:
            return {}
        quotes = pd.DataFrame.from_dict(self.quotes, orient="index", columns=list(_FIELDS))
        priced = usable_prices(quotes.rename_axis("symbol").reset_index())["price"]
        return cast("dict[str, float]", priced.dropna().to_dict())

    @cached_property
    def worth(self) -> float:
        """NAV as given, or cash and all holdings at the market.

        Raises
        ------
        InputError
            It is not known, or not above 0.
        """
        if not math.isnan(self.nav):
            return self.nav
        if math.isnan(self.cash):
            text = "max_position_ratio and max_gross need nav=, or cash= and quotes of what is held"
            raise InputError("nav", [Problem("nav_missing", text)])
        lost = [symbol for symbol, quantity in self.positions.items() if quantity and not self.marks.get(symbol)]
        if lost:
            text = "held without a usable price, so that NAV is not known; give nav="
            raise InputError("nav", [Problem("nav_missing", text, symbol=symbol) for symbol in lost])
        held = (quantity * self.marks.get(name, 0.0) for name, quantity in self.positions.items())
        nav = self.cash + math.fsum(held)
        if nav <= 0:
            text = f"cash and holdings add up to {nav:,.2f}; ratios of NAV need one above 0"
            raise InputError("nav", [Problem("nav_invalid", text)])
        return nav


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True, slots=True, eq=False)
class OrderArrays:
    """The orders and their market as arrays, row by row. ``quantity`` is 0 where a row was refused before."""

    ids: list[str]
    symbols: list[str]
    sides: list[str]
    buy: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    refusals: dict[str, NDArray[np.bool_]]  # reason -> rows that the plan or the door has refused for it
    flagged: dict[str, NDArray[np.bool_]]  # what market data or the record says of a row's symbol -> rows
    twins: list[int]  # rows in whose symbol there is another order, in the plan or of late
    quantity: NDArray[np.float64]
    limit: NDArray[np.float64]
    decision: NDArray[np.float64]
    market: dict[str, NDArray[np.float64]]
    quoted: NDArray[np.float64] | None  # price by the quotes, NaN without a usable one; None if none were given
    crossed: NDArray[np.bool_]
    names: list[str]  # every symbol that is held or ordered
    codes: NDArray[np.int64]  # where each row's symbol stands in them
    held: NDArray[np.float64]  # shares of each name
    marks: NDArray[np.float64]  # price of each name by the quotes; 0 without a usable one

    @property
    def price(self) -> NDArray[np.float64]:
        """What a share is reckoned at; NaN without a usable price."""
        return (
            np.where(is_usable(self.decision), self.decision, self.limit) if self.quoted is None else self.quoted
        )

    @property
    def cash_price(self) -> NDArray[np.float64]:
        """What a share costs or brings in cash: the far touch, or the limit; NaN without a usable price."""
        return cash_prices(self.buy, self.price, self.market["bid"], self.market["ask"], self.limit)

    @property
    def notional(self) -> NDArray[np.float64]:
        """Value of each order; 0 without a usable price."""
        return self.quantity * np.nan_to_num(self.price)

    @property
    def before(self) -> NDArray[np.float64]:
        """Position in each order's symbol now."""
        return self.held[self.codes]

    def after(self, quantity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position in each held or ordered symbol after all orders, with these quantities of them."""
        moved = np.where(self.buy, quantity, -quantity)
        return self.held + np.bincount(self.codes, weights=moved, minlength=len(self.held))

    @classmethod
    def of(cls, frame: pd.DataFrame, context: CheckContext) -> OrderArrays:
        """See canonical orders as the rules do."""
        symbols = frame["symbol"].tolist()
        refused = (frame["status"] == "REJECTED").to_numpy()
        quantity = np.nan_to_num(frame["quantity"].to_numpy(dtype="float64"))
        unknown = (math.nan,) * len(_FIELDS)
        rows = [context.quotes.get(symbol, unknown) for symbol in symbols]
        columns = np.array(rows, dtype="float64").reshape(len(rows), len(_FIELDS)).T
        market = dict(zip(_FIELDS, columns, strict=True))
        quoted, crossed = None, np.zeros(len(rows), dtype=bool)
        if context.given_quotes:
            priced = usable_prices(pd.DataFrame({"symbol": symbols, **market}))
            quoted = priced["price"].to_numpy()
            crossed = (priced["reason"] == "quote_crossed").to_numpy()
        reasons = frame["reason"].fillna("rejected")
        place = {name: number for number, name in enumerate(dict.fromkeys([*context.positions, *symbols]))}
        of_late, times = {row[1] for row in context.recent}, Counter(symbols)
        return cls(
            ids=frame["client_order_id"].tolist(),
            symbols=symbols,
            sides=frame["side"].tolist(),
            buy=(frame["side"] == "BUY").to_numpy(),
            refused=refused,
            refusals={
                code: refused & (reasons == code).to_numpy() for code in dict.fromkeys(reasons[refused].tolist())
            },
            flagged={
                code: np.array([code in context.flags.get(symbol, ()) for symbol in symbols], dtype=bool)
                for code in ("symbol_halted", "delayed_price", UNFINISHED)
            }
            | {FOREIGN: _foreign(frame, context)},
            twins=[row for row, name in enumerate(symbols) if times[name] > 1 or name in of_late],
            quantity=np.where(refused, 0.0, quantity),
            limit=frame["limit_price"].to_numpy(dtype="float64"),
            decision=frame["decision_price"].to_numpy(dtype="float64"),
            market=market,
            quoted=quoted,
            crossed=crossed,
            names=list(place),
            codes=np.array([place[symbol] for symbol in symbols], dtype="int64"),
            held=np.array([context.positions.get(name, 0.0) for name in place], dtype="float64"),
            marks=np.array([context.marks.get(name, 0.0) for name in place], dtype="float64"),
        )

    def edited(self, quantity: NDArray[np.float64], limit: NDArray[np.float64]) -> OrderArrays:
        """See the same orders with other quantities and limits, of all rows: all that an edit can change here."""
        return replace(self, quantity=np.where(self.refused, 0.0, np.nan_to_num(quantity)), limit=limit)


def _foreign(frame: pd.DataFrame, context: CheckContext) -> NDArray[np.bool_]:
    """Orders that are in another currency than the account, or are quoted in one."""
    own = (frame["currency"].fillna(context.base_currency) != context.base_currency).tolist()
    quoted = [FOREIGN in context.flags.get(symbol, ()) for symbol in frame["symbol"].tolist()]
    return np.array([one or other for one, other in zip(own, quoted, strict=True)], dtype=bool)


def find(frame: pd.DataFrame, limits: Limits, context: CheckContext) -> Findings:
    """Hold canonical orders against ``limits``."""
    return judge(OrderArrays.of(frame, context), limits, context)


def judge(asked: OrderArrays, limits: Limits, context: CheckContext) -> Findings:
    """Hold orders against ``limits``; the sequence of the rules is the sequence of the reasons."""
    findings = Findings(len(asked.ids))
    for code, rows in asked.refusals.items():  # of rows that the plan or the door has refused already
        findings.block(code, rows, math.nan, math.nan)
    _check_price(findings, asked, limits, context)
    _check_size(findings, asked, limits)
    _check_short(findings, asked, limits)
    _check_ratio(findings, asked, limits, context)
    _check_lists(findings, asked, limits, context)
    counted = np.where(findings.worst == BLOCK, 0.0, asked.quantity)
    findings.block("halted", context.halted is not None, math.nan, math.nan)
    _check_total(findings, asked, counted, limits)
    _check_gross(findings, asked, counted, limits, context)
    _check_cash(findings, asked, counted, limits, context)
    return findings


# -- one order ---------------------------------------------------------------------------------------------


def _check_price(findings: Findings, asked: OrderArrays, limits: Limits, context: CheckContext) -> None:
    bid, ask, price = asked.market["bid"], asked.market["ask"], asked.price
    unpriced = np.isnan(price) & ~asked.refused
    findings.block("price_unavailable", unpriced & ~asked.crossed, math.nan, price)
    findings.block("quote_crossed", unpriced & asked.crossed, 0.0, bid - ask)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (ask - bid) / ((ask + bid) / 2) * 1e4
        findings.warn(
            "quote_one_sided", is_usable(bid) != is_usable(ask), math.nan, np.where(is_usable(bid), bid, ask)
        )
        findings.warn("quote_locked", bid == ask, 0.0, spread)
        if limits.max_spread_bps is not None:
            findings.warn("wide_spread", spread > limits.max_spread_bps, limits.max_spread_bps, spread)
        age = context.now - asked.market["quoted_at"]
        findings.block("price_future", age < -_CLOCK_SKEW, -_CLOCK_SKEW, age)
        if limits.max_quote_age is not None:
            stale = ~(age <= limits.max_quote_age) & ~asked.refused
            findings.block("price_stale", stale, limits.max_quote_age, age)
        if limits.price_collar is not None:
            _check_collar(findings, asked, limits.price_collar)
    for code, add in (("symbol_halted", findings.block), ("delayed_price", findings.warn)):
        add(code, asked.flagged[code], math.nan, math.nan)


def _check_collar(findings: Findings, asked: OrderArrays, collar: float) -> None:
    price = asked.price
    through = np.where(asked.buy, asked.limit / price - 1, 1 - asked.limit / price)
    findings.block("limit_collar", through > collar + _DUST, collar, through)
    ratio = price / asked.market["close"]
    jump = np.abs(ratio - 1)
    split = np.any([np.abs(ratio / factor - 1) < _SPLIT_BAND for factor in _SPLIT_RATIOS], axis=0)
    split &= jump > collar + _DUST
    moved = np.abs(price / asked.decision - 1)
    findings.block("suspected_split", split, collar, ratio)
    findings.block("price_collar", (jump > collar + _DUST) & ~split, collar, jump)
    findings.block("price_moved", moved > collar + _DUST, collar, moved)


def _check_size(findings: Findings, asked: OrderArrays, limits: Limits) -> None:
    if limits.max_order_notional is not None:
        over = asked.notional > limits.max_order_notional
        findings.block("max_notional", over, limits.max_order_notional, asked.notional)
    if limits.max_order_quantity is not None:
        over = asked.quantity > limits.max_order_quantity
        findings.block("max_qty", over, limits.max_order_quantity, asked.quantity)


def _check_short(findings: Findings, asked: OrderArrays, limits: Limits) -> None:
    if limits.allow_short:
        return
    after = asked.after(asked.quantity)[asked.codes]
    short = ~asked.buy & (asked.quantity > 0) & (after < -_DUST)
    findings.block("sell_exceeds_position", short, 0.0, after)


def _check_ratio(findings: Findings, asked: OrderArrays, limits: Limits, context: CheckContext) -> None:
    """Only an order that makes its position larger is blocked: a way out of one too large stays open."""
    limit = limits.max_position_ratio
    if limit is None:
        return
    before, after = asked.before, asked.after(asked.quantity)[asked.codes]
    ratio = np.abs(after) * np.nan_to_num(asked.price) / context.worth
    findings.block("max_position_ratio", (np.abs(after) > np.abs(before)) & (ratio > limit + _DUST), limit, ratio)


def _check_lists(findings: Findings, asked: OrderArrays, limits: Limits, context: CheckContext) -> None:
    barred: object = False
    if limits.restricted:
        barred = [symbol in limits.restricted for symbol in asked.symbols]
    findings.block("restricted", barred, math.nan, math.nan)
    findings.block(FOREIGN, asked.flagged[FOREIGN] & ~asked.refused, math.nan, math.nan)
    findings.warn(UNFINISHED, asked.flagged[UNFINISHED], math.nan, math.nan)
    if limits.duplicate_window is None:
        return
    sent: dict[tuple[str, str, float], list[tuple[str, float]]] = {}
    for name, symbol, side, quantity, at in context.recent:
        sent.setdefault((symbol, side, quantity), []).append((name, context.now - at))
    age = np.full(len(asked.ids), math.nan)
    for row in asked.twins:
        name, quantity = asked.ids[row], float(asked.quantity[row])
        if quantity > 0:
            same = sent.setdefault((asked.symbols[row], asked.sides[row], quantity), [])
            age[row] = min((seconds for other, seconds in same if other != name), default=math.nan)
            same.append((name, 0.0))
    findings.block("suspected_duplicate", ~np.isnan(age), limits.duplicate_window, age)


# -- all orders together -----------------------------------------------------------------------------------


def _check_total(findings: Findings, asked: OrderArrays, counted: NDArray[np.float64], limits: Limits) -> None:
    if limits.max_total_notional is not None:
        total = math.fsum((counted * np.nan_to_num(asked.price)).tolist())
        findings.block("max_total_notional", total > limits.max_total_notional, limits.max_total_notional, total)


def _check_gross(
    findings: Findings,
    asked: OrderArrays,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    if limits.max_gross is None:
        return
    positions, marks = asked.after(counted), asked.marks.copy()
    marks[asked.codes] = np.nan_to_num(asked.price)  # of several orders in a symbol the last one's
    gross = math.fsum((np.abs(positions) * marks).tolist()) / context.worth
    grows = np.abs(positions[asked.codes]) > np.abs(asked.before)
    findings.block("max_gross", grows & (gross > limits.max_gross + _DUST), limits.max_gross, gross)


def _check_cash(
    findings: Findings,
    asked: OrderArrays,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    """Cash once the sells have paid for the buys and all fees, each order at its far touch or its limit."""
    if limits.min_cash_after is None or not asked.quantity.any():
        return
    if math.isnan(context.cash):
        text = "min_cash_after needs cash=; give it, or Limits(min_cash_after=None)"
        raise InputError("cash", [Problem("cash_missing", text)])
    price = np.nan_to_num(asked.cash_price)
    fees = math.fsum(commissions(counted, price).tolist())
    flow = math.fsum((np.where(asked.buy, -counted, counted) * price).tolist())
    after = round(context.cash + flow - fees, 6)
    short = asked.buy & (after < limits.min_cash_after)
    findings.block("insufficient_cash", short, limits.min_cash_after, after)
    # Without the buys, the sells that were to pay for them would leave the book in cash, or short.
    unpaired = ~asked.buy & (counted > 0) & bool((short & (counted > 0)).any())
    findings.warn(ONE_SIDED, unpaired, limits.min_cash_after, after)
