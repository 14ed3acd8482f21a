"""The rules behind the checks: what each one holds against which limit. Pure.

A rule speaks of every order at once. Rules about one order come first; rules about all orders together (cash,
gross, total value) count only the orders that no other rule has blocked, because only those can be sent: the
proceeds of a sell that is blocked pay for nothing. Values are in the currency of the account, ratios are
fractions of NAV, times are seconds since 1970.

The list follows what regulators ask of automated trading (SEC Rule 15c3-5 (c)(1): limits on an order's price
and size, on exposure in aggregate, and against duplicates; Reg. (EU) 2017/589, Art. 15: price collars, maximum
value, volume and number of messages).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.fees import IBKR_US_FIXED
from stocklean_exec.prices import PRICE_FIELDS, is_usable, usable_prices
from stocklean_exec.verdicts import BLOCK, Findings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stocklean_exec.limits import Limits

__all__ = ["CheckContext", "find"]

_CLOCK_SKEW = 5.0  # seconds that a quote may seem to come from the future
_SPLIT_RATIOS = (2, 3, 4, 5, 10, 20, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10, 1 / 20)
_SPLIT_BAND = 0.03  # a split moves a price by little else
_DUST = 1e-9  # floating point noise of fractional shares and of ratios
_FIELDS = (*PRICE_FIELDS, "quoted_at")

Market = tuple[float, float, float, float, float]
"""Bid, ask, last, close and time of a quote; NaN is "not known"."""

Sent = tuple[str, str, str, float, float]
"""Client order id, symbol, side, quantity and time of an order that was handed to a broker."""


@dataclass(frozen=True, slots=True, eq=False)
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
    flags: dict[str, list[str]]  # symbol -> "symbol_halted", "delayed_price"

    def to_json(self) -> dict[str, object]:
        """All of it, ready for JSON: "not known" is None."""
        stored: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
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


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The orders and their market as arrays, row by row. ``quantity`` is 0 where a row was refused before."""

    ids: list[str]
    symbols: list[str]
    sides: list[str]
    buy: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    quantity: NDArray[np.float64]
    limit: NDArray[np.float64]
    decision: NDArray[np.float64]
    market: dict[str, NDArray[np.float64]]
    price: NDArray[np.float64]  # what a share is reckoned at; NaN without a usable price
    crossed: NDArray[np.bool_]

    @property
    def notional(self) -> NDArray[np.float64]:
        return self.quantity * np.nan_to_num(self.price)


def find(frame: pd.DataFrame, limits: Limits, context: CheckContext) -> Findings:
    """Hold canonical orders against ``limits``; the sequence of the rules is the sequence of the reasons."""
    findings = Findings(len(frame))
    asked = _asked(frame, context)
    _check_refused(findings, frame, asked)
    _check_price(findings, asked, limits, context)
    _check_size(findings, asked, limits)
    _check_short(findings, asked, limits, context)
    _check_ratio(findings, asked, limits, context)
    _check_lists(findings, asked, limits, context)
    counted = np.where(findings.worst == BLOCK, 0.0, asked.quantity)
    findings.block("halted", context.halted is not None, math.nan, math.nan)
    _check_total(findings, asked, counted, limits)
    _check_gross(findings, asked, counted, limits, context)
    _check_cash(findings, asked, counted, limits, context)
    return findings


def _asked(frame: pd.DataFrame, context: CheckContext) -> _Asked:
    symbols = frame["symbol"].tolist()
    sides = frame["side"].tolist()
    refused = (frame["status"] == "REJECTED").to_numpy(dtype=bool)
    quantity = np.nan_to_num(frame["quantity"].to_numpy(dtype="float64"))
    limit = frame["limit_price"].to_numpy(dtype="float64")
    decision = frame["decision_price"].to_numpy(dtype="float64")
    unknown = (math.nan,) * len(_FIELDS)
    rows = [context.quotes.get(symbol, unknown) for symbol in symbols]
    market = dict(zip(_FIELDS, np.array(rows, dtype="float64").reshape(len(rows), len(_FIELDS)).T, strict=True))
    if context.given_quotes:
        priced = usable_prices(pd.DataFrame({"symbol": symbols, **market}))
        price = priced["price"].to_numpy(dtype="float64")
        crossed = (priced["reason"] == "quote_crossed").to_numpy(dtype=bool)
    else:
        price = np.where(is_usable(decision), decision, limit)
        crossed = np.zeros(len(rows), dtype=bool)
    return _Asked(
        ids=frame["client_order_id"].tolist(),
        symbols=symbols,
        sides=sides,
        buy=(frame["side"] == "BUY").to_numpy(dtype=bool),
        refused=refused,
        quantity=np.where(refused, 0.0, quantity),
        limit=limit,
        decision=decision,
        market=market,
        price=price,
        crossed=crossed,
    )


# -- one order ---------------------------------------------------------------------------------------------


def _check_refused(findings: Findings, frame: pd.DataFrame, asked: _Asked) -> None:
    """Keep the reasons of rows that the plan or the door has refused already."""
    reasons = frame["reason"].fillna("rejected")
    for code in dict.fromkeys(reasons[asked.refused].tolist()):
        findings.block(code, asked.refused & (reasons == code).to_numpy(dtype=bool), math.nan, math.nan)


def _check_price(findings: Findings, asked: _Asked, limits: Limits, context: CheckContext) -> None:
    bid, ask = asked.market["bid"], asked.market["ask"]
    unpriced = np.isnan(asked.price) & ~asked.refused
    findings.block("price_unavailable", unpriced & ~asked.crossed, math.nan, asked.price)
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
        flagged = [code in context.flags.get(symbol, ()) for symbol in asked.symbols]
        add(code, flagged, math.nan, math.nan)


def _check_collar(findings: Findings, asked: _Asked, collar: float) -> None:
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


def _check_size(findings: Findings, asked: _Asked, limits: Limits) -> None:
    if limits.max_order_notional is not None:
        over = asked.notional > limits.max_order_notional
        findings.block("max_notional", over, limits.max_order_notional, asked.notional)
    if limits.max_order_quantity is not None:
        over = asked.quantity > limits.max_order_quantity
        findings.block("max_qty", over, limits.max_order_quantity, asked.quantity)


def _positions(
    asked: _Asked, quantity: NDArray[np.float64], context: CheckContext
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position in each order's symbol before and after all orders in it."""
    before = np.array([context.positions.get(symbol, 0.0) for symbol in asked.symbols], dtype="float64")
    change = _changes(asked, quantity)
    return before, before + np.array([change[symbol] for symbol in asked.symbols], dtype="float64")


def _changes(asked: _Asked, quantity: NDArray[np.float64]) -> dict[str, float]:
    change = dict.fromkeys(asked.symbols, 0.0)
    signed = np.where(asked.buy, quantity, -quantity).tolist()
    for symbol, shares in zip(asked.symbols, signed, strict=True):
        change[symbol] += shares
    return change


def _check_short(findings: Findings, asked: _Asked, limits: Limits, context: CheckContext) -> None:
    if limits.allow_short:
        return
    _, after = _positions(asked, asked.quantity, context)
    short = ~asked.buy & (asked.quantity > 0) & (after < -_DUST)
    findings.block("sell_exceeds_position", short, 0.0, after)


def _check_ratio(findings: Findings, asked: _Asked, limits: Limits, context: CheckContext) -> None:
    """Only an order that makes its position larger is blocked: a way out of one too large stays open."""
    limit = limits.max_position_ratio
    if limit is None:
        return
    before, after = _positions(asked, asked.quantity, context)
    ratio = np.abs(after) * np.nan_to_num(asked.price) / _nav(context)
    findings.block("max_position_ratio", (np.abs(after) > np.abs(before)) & (ratio > limit + _DUST), limit, ratio)


def _check_lists(findings: Findings, asked: _Asked, limits: Limits, context: CheckContext) -> None:
    barred = [symbol in limits.restricted for symbol in asked.symbols]
    findings.block("restricted", barred, math.nan, math.nan)
    if limits.duplicate_window is None:
        return
    sent: dict[tuple[str, str, float], list[tuple[str, float]]] = {}
    for name, symbol, side, quantity, at in context.recent:
        sent.setdefault((symbol, side, quantity), []).append((name, context.now - at))
    age = np.full(len(asked.ids), math.nan)
    rows = zip(asked.ids, asked.symbols, asked.sides, asked.quantity.tolist(), strict=True)
    for row, (name, symbol, side, quantity) in enumerate(rows):
        if quantity > 0:
            same = sent.setdefault((symbol, side, quantity), [])
            age[row] = min((seconds for other, seconds in same if other != name), default=math.nan)
            same.append((name, 0.0))
    findings.block("suspected_duplicate", ~np.isnan(age), limits.duplicate_window, age)


# -- all orders together -----------------------------------------------------------------------------------


def _check_total(findings: Findings, asked: _Asked, counted: NDArray[np.float64], limits: Limits) -> None:
    if limits.max_total_notional is not None:
        total = math.fsum(counted * np.nan_to_num(asked.price))
        findings.block("max_total_notional", total > limits.max_total_notional, limits.max_total_notional, total)


def _check_gross(
    findings: Findings,
    asked: _Asked,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    if limits.max_gross is None:
        return
    before, after = _positions(asked, counted, context)
    marks = _marks(context) | dict(zip(asked.symbols, np.nan_to_num(asked.price).tolist(), strict=True))
    held = dict(context.positions)
    for symbol, change in _changes(asked, counted).items():
        held[symbol] = held.get(symbol, 0.0) + change
    gross = math.fsum(abs(quantity) * marks.get(symbol, 0.0) for symbol, quantity in held.items())
    gross /= _nav(context)
    grows = np.abs(after) > np.abs(before)
    findings.block("max_gross", grows & (gross > limits.max_gross + _DUST), limits.max_gross, gross)


def _check_cash(
    findings: Findings,
    asked: _Asked,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    """Cash once the sells have paid for the buys and all fees; a limit order to buy may cost up to its limit."""
    if limits.min_cash_after is None or not asked.quantity.any():
        return
    if math.isnan(context.cash):
        text = "min_cash_after needs cash=; give it, or Limits(min_cash_after=None)"
        raise InputError("cash", [Problem("cash_missing", text)])
    price = np.nan_to_num(asked.price)
    with np.errstate(invalid="ignore"):
        price = np.where(asked.buy & (asked.limit > price), asked.limit, price)
    fees = math.fsum(
        IBKR_US_FIXED.order(shares, at) for shares, at in zip(counted.tolist(), price.tolist(), strict=True)
    )
    flow = math.fsum(np.where(asked.buy, -counted, counted) * price)
    after = round(context.cash + flow - fees, 6)
    findings.block("insufficient_cash", asked.buy & (after < limits.min_cash_after), limits.min_cash_after, after)


def _marks(context: CheckContext) -> dict[str, float]:
    if not context.quotes:
        return {}
    quotes = pd.DataFrame.from_dict(context.quotes, orient="index", columns=list(_FIELDS))
    priced = usable_prices(quotes.rename_axis("symbol").reset_index())["price"].fillna(0.0)
    return cast("dict[str, float]", priced.to_dict())


def _nav(context: CheckContext) -> float:
    """NAV as given, or cash and all holdings at the market."""
    if not math.isnan(context.nav):
        return context.nav
    if math.isnan(context.cash):
        text = "max_position_ratio and max_gross need nav=, or cash= and quotes of what is held"
        raise InputError("nav", [Problem("nav_missing", text)])
    marks = _marks(context)
    lost = [symbol for symbol, quantity in context.positions.items() if quantity and not marks.get(symbol)]
    if lost:
        text = "held without a usable price, so that NAV is not known; give nav="
        raise InputError("nav", [Problem("nav_missing", text, symbol=symbol) for symbol in lost])
    nav = context.cash + math.fsum(quantity * marks.get(name, 0.0) for name, quantity in context.positions.items())
    if nav <= 0:
        text = f"cash and holdings add up to {nav:,.2f}; ratios of NAV need one above 0"
        raise InputError("nav", [Problem("nav_invalid", text)])
    return nav
