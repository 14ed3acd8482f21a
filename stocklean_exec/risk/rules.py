"""The rules of the checks: which value each one compares with which limit. Pure.

A rule evaluates all orders at once. Rules about single orders come first; rules about all orders together (cash,
gross, total value) count only the orders that no other rule has blocked, because only those can be sent: a blocked
sell has no proceeds. Prices are in each symbol's own currency, values in the base currency of the account, ratios
are fractions of NAV, times are seconds since 1970.

The list follows the regulators' requirements for automated trading (SEC Rule 15c3-5 (c)(1): limits on an order's
price and size, on exposure in aggregate, and against duplicates; Reg. (EU) 2017/589, Art. 15: price collars,
maximum value, volume and number of messages).

:class:`OrderArrays` holds the orders as the rules use them. Most of it cannot change in an edit (symbols, sides,
market, holdings), so it is built once, and an edited plan is checked again in a few array operations.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import compress, repeat
from operator import ne
from typing import TYPE_CHECKING, Any

import numpy as np

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.order_costs import OrderFees, cash_prices, stop_prices
from stocklean_exec.risk.findings import BLOCK, Findings
from stocklean_exec.risk.margins import AccountMargin, MarginPreview, check_margins, current_previews
from stocklean_exec.risk.market_closed import ADVISED_SECONDS, MarketWaits, OrderHours, market_waits
from stocklean_exec.risk.plan_margin import MarginBook, MarginOrders, PlanMargin
from stocklean_exec.risk.quote_columns import QuoteColumns
from stocklean_exec.risk.splits import is_split_ratio
from stocklean_exec.risk.volumes import volume_of_orders
from stocklean_exec.schema.prices import PRICE_FIELDS, is_usable, mid_or_last

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from stocklean_exec.risk.limits import Limits

__all__ = [
    "FOREIGN",
    "GROSS_ROOM",
    "ONE_SIDED",
    "UNFINISHED",
    "CheckContext",
    "OrderArrays",
    "evaluate",
    "find",
    "margin_of",
]

ONE_SIDED = "one_sided_plan"
"""Finding on a sell that funds buys which are blocked for lack of cash; approved only on request."""

FOREIGN = "currency_unsupported"
"""Finding on an order whose currency has no exchange rate, or that is quoted in another currency than its own."""

UNFINISHED = "unfinished_run"
"""Finding on an order in whose symbol an earlier run has an approved order that is not sent yet."""

GROSS_ROOM = 0.01
"""Part by which gross exposure may exceed what its plan was made with, as prices move; a stated choice."""

_CLOCK_SKEW = 5.0  # seconds that a quote may be in the future; a stated choice, above usual clock differences
_DUST = 1e-9  # floating point noise of fractional shares and of ratios
_MAY_BE_UNKNOWN = ("cash", "nav", "plan_gross", "quote_age", "working_costs")  # NaN in the context

_Names = tuple[Any, list[str]]  # a value, and what has it
Sent = tuple[str, str, str, float, float]
"""Client order id, symbol, side, quantity and time of an order that was sent."""


@dataclass(frozen=True, eq=False)
class CheckContext:
    """The account and market data that orders are checked with; positions and quotes by symbol."""

    positions: dict[str, float]
    quotes: QuoteColumns
    given_quotes: bool
    cash: float
    nav: float
    now: float
    halted: str | None
    recent: list[Sent]
    flags: dict[str, list[str]]  # symbol -> "symbol_halted", "delayed_price", "unfinished_run", ...
    base_currency: str
    rates: dict[str, float] = field(default_factory=dict)  # base currency per unit of another currency
    currencies: dict[str, str] = field(default_factory=dict)  # of the prices of a symbol; others in base currency
    working_cash: float = 0.0  # change of cash by the working orders once they fill
    working_sells: dict[str, float] = field(default_factory=dict)  # shares by symbol that working orders will sell
    plan_gross: float = math.nan  # gross exposure that the plan may have, for max_gross "auto"; NaN is any
    quote_age: float = math.nan  # seconds that a quote may be old; NaN is any
    old_quotes_warn: bool = False  # instead of blocking
    volumes: dict[str, float] = field(default_factory=dict)  # average daily volume by symbol, shares
    splits: dict[str, float] = field(default_factory=dict)  # holdings that differ from the record by a split ratio
    previews: dict[str, MarginPreview] = field(default_factory=dict)  # what the broker said, by client order id
    hours: OrderHours = field(default_factory=OrderHours)  # of the markets of the orders
    account_margin: AccountMargin = field(default_factory=AccountMargin)  # before the orders
    is_margin_account: bool = False  # that is certain
    working: dict[str, tuple[float, float]] = field(default_factory=dict)  # shares bought and sold by symbol
    working_costs: float = 0.0  # fees and spread of the working orders, base currency

    def to_json(self) -> dict[str, object]:
        """All fields, ready for JSON: NaN becomes None."""
        stored: dict[str, object] = {each.name: getattr(self, each.name) for each in fields(self)}
        stored |= {name: _known(getattr(self, name)) for name in _MAY_BE_UNKNOWN}
        stored["working_cash"] = self.working_cash if math.isfinite(self.working_cash) else None
        stored["quotes"] = self.quotes.to_json()
        stored["account_margin"] = [_known(figure) for figure in self.account_margin]
        stored["currencies"] = _by_value(self.currencies)
        stored["hours"] = [_known(self.hours.at), self.hours.markets, _by_value(self.hours.market_of)]
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> CheckContext:
        """Restore what :meth:`to_json` returned."""
        return cls(
            **(
                stored
                | {
                    "quotes": QuoteColumns.from_json(stored["quotes"]),
                    "currencies": _by_name(stored["currencies"]),
                    "hours": _hours(*stored.get("hours", (None, (), ()))),
                    "recent": [tuple(row) for row in stored["recent"]],
                    "account_margin": AccountMargin(*map(_number, stored["account_margin"])),
                    "working": {name: tuple(shares) for name, shares in stored["working"].items()},
                    "previews": {name: MarginPreview(*row) for name, row in stored["previews"].items()},
                    **{name: _number(stored[name]) for name in _MAY_BE_UNKNOWN},
                    "working_cash": -math.inf if stored["working_cash"] is None else stored["working_cash"],
                }
            )
        )

    @cached_property
    def marks(self) -> dict[str, float]:
        """Price, in the base currency, of each quoted symbol that has a usable one and an exchange rate."""
        known = ~np.isnan(self.quoted_values)
        symbols = compress(self.quotes.symbols, known.tolist())
        return dict(zip(symbols, self.quoted_values[known].tolist(), strict=True))

    @cached_property
    def quoted_values(self) -> NDArray[np.float64]:
        """Price, in the base currency, of each quoted symbol; NaN without a usable one or an exchange rate."""
        return self.quotes.prices * self._rates_of(self.quotes.symbols)

    def _rates_of(self, symbols: list[str]) -> NDArray[np.float64]:
        """Base currency per unit of the currency of each symbol; NaN if unknown."""
        base = self.base_currency
        known = {name: self.rate(name) for name in {base, *self.currencies.values()}}
        rates = map(known.__getitem__, map(self.currencies.get, symbols, repeat(base)))
        return np.fromiter(rates, dtype="float64", count=len(symbols))

    def rate(self, currency: str) -> float:
        """Base currency per unit of ``currency``; NaN if unknown."""
        return 1.0 if currency == self.base_currency else self.rates.get(currency, math.nan)

    def rate_of(self, symbol: object) -> float:
        """Base currency per unit of the currency that a symbol is quoted or held in; NaN if unknown."""
        return self.rate(self.currencies.get(str(symbol), self.base_currency))

    @cached_property
    def unvalued(self) -> dict[str, str]:
        """Currency of each holding in a currency without an exchange rate."""
        return {
            symbol: self.currencies[symbol]
            for symbol, quantity in self.positions.items()
            if quantity and math.isnan(self.rate_of(symbol))
        }

    @cached_property
    def net_asset_value(self) -> float:
        """NAV as given, or cash and all holdings at the market.

        Raises
        ------
        InputError
            It is unknown, or not above 0.
        """
        if not math.isnan(self.nav):
            return self.nav
        if math.isnan(self.cash):
            text = "max_position_ratio and max_gross need nav=, or cash= and quotes of the holdings"
            raise InputError("nav", [Problem("nav_missing", text)])
        unpriced = [
            symbol for symbol, quantity in self.positions.items() if quantity and not self.marks.get(symbol)
        ]
        if unpriced:
            raise InputError("nav", [self._unvalued(symbol, "NAV is unknown; give nav=") for symbol in unpriced])
        held = (quantity * self.marks.get(name, 0.0) for name, quantity in self.positions.items())
        nav = self.cash + math.fsum(held)
        if nav <= 0:
            text = f"cash and holdings add up to {nav:,.2f}; ratios of NAV need one above 0"
            raise InputError("nav", [Problem("nav_invalid", text)])
        return nav

    @property
    def knows_nav(self) -> bool:
        """Whether NAV is known, and the exchange rate of each holding."""
        try:
            return self.net_asset_value > 0 and not self.unvalued
        except InputError:
            return False

    def require_rates(self) -> None:
        """Raise if a holding is in a currency without an exchange rate: gross exposure is unknown then.

        Raises
        ------
        InputError
            With each such holding.
        """
        if self.unvalued:
            text = "max_gross cannot be checked"
            raise InputError("fx", [self._unvalued(symbol, text) for symbol in self.unvalued])

    def _unvalued(self, symbol: str, consequence: str) -> Problem:
        currency = self.unvalued.get(symbol)
        if currency is None:
            return Problem("nav_missing", f"held without a usable price, so {consequence}", symbol=symbol)
        text = f"held in {currency}, which has no exchange rate, so {consequence}, or fx={{{currency!r}: rate}}"
        return Problem("currency_unsupported", text, symbol=symbol)


def _hours(at: float | None, markets: list[list[float | None]], orders_of: Iterable[_Names]) -> OrderHours:
    return OrderHours(_number(at), tuple(map(tuple, markets)), _by_name(orders_of))


def _by_value(known: Mapping[str, Any]) -> list[_Names]:
    """Each value with all names that have it: as JSON it is written sooner than each name with its value."""
    found: dict[Any, list[str]] = {}
    for name, value in known.items():
        found.setdefault(value, []).append(name)
    return list(found.items())


def _by_name(stored: Iterable[_Names]) -> dict[str, Any]:
    """Restore what :func:`_by_value` returned."""
    return {name: value for value, names in stored for name in names}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True, slots=True, eq=False)
class OrderArrays:
    """The orders and their market data as arrays. ``quantity`` is 0 in rows that are already rejected."""

    ids: list[str]
    symbols: list[str]
    sides: list[str]
    buy: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    refusals: dict[str, NDArray[np.bool_]]  # reason -> rows rejected for it by planning or validation
    flagged: dict[str, NDArray[np.bool_]]  # flag from market data or the blotter for a row's symbol -> rows
    twins: list[int]  # rows whose symbol has another order, in the plan or recently
    quantity: NDArray[np.float64]
    limit: NDArray[np.float64]
    decision: NDArray[np.float64]
    market: dict[str, NDArray[np.float64]]
    quoted: NDArray[np.float64] | None  # price by the quotes, NaN without a usable one; None if none were given
    crossed: NDArray[np.bool_]
    names: list[str]  # every symbol that is held or ordered
    codes: NDArray[np.int64]  # index of each row's symbol in names
    held: NDArray[np.float64]  # shares of each name
    marks: NDArray[np.float64]  # price of each name by the quotes, base currency; 0 without a usable one
    rate: NDArray[np.float64]  # base currency per unit of each order's currency; NaN if unknown
    working_sells: NDArray[np.float64]  # shares of each name that working orders will sell
    tariffs: OrderFees
    planned: NDArray[np.float64]  # shares that the target of each row calls for; NaN if unknown
    volume: NDArray[np.float64]  # average daily volume of each order's symbol, shares; NaN if unknown
    order_type: list[str]
    at_auction: NDArray[np.bool_]  # trades at the open or the close alone
    aux: NDArray[np.float64]  # auxiliary price of each order, in its currency; NaN without one
    waits: MarketWaits | None  # for the market or an auction; None where the hours are not checked
    holding_ratio: NDArray[np.float64]  # holding of each order's symbol to the record, where a split is suspected

    @property
    def price(self) -> NDArray[np.float64]:
        """Price used for each order, in its currency; NaN without a usable one."""
        return (
            np.where(is_usable(self.decision), self.decision, self.limit) if self.quoted is None else self.quoted
        )

    @property
    def cash_price(self) -> NDArray[np.float64]:
        """Cash price of each order: the far touch, or the limit; NaN without a usable price."""
        return cash_prices(self.buy, self.price, self.market["bid"], self.market["ask"], self.limit, self.trigger)

    @property
    def trigger(self) -> NDArray[np.float64]:
        """Price at which each stop triggers; NaN for other orders."""
        return stop_prices(self.order_type, self.aux, self.price, self.buy)

    @property
    def value(self) -> NDArray[np.float64]:
        """Value of one share of each order in the base currency; NaN without a usable price or a rate."""
        return self.price * self.rate

    @property
    def cash_value(self) -> NDArray[np.float64]:
        """Cash price of each order in the base currency; NaN without a usable price or a rate."""
        return self.cash_price * self.rate

    @property
    def all_marks(self) -> NDArray[np.float64]:
        """Price of each held or ordered symbol in the base currency; 0 without a usable one or a rate."""
        marks = self.marks.copy()
        marks[self.codes] = np.nan_to_num(self.value)  # with several orders in a symbol, that of the last
        return marks

    @property
    def unpriced(self) -> list[str]:
        """Holdings without a usable price or a rate: gross exposure is not known with them."""
        return [self.names[place] for place in np.flatnonzero((self.held != 0) & (self.all_marks == 0)).tolist()]

    def fees(self, quantity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Commission, levies and taxes of these quantities in the base currency; 0 without a price or a rate."""
        charged = self.tariffs.estimate(self.buy, quantity, np.nan_to_num(self.cash_price))
        return np.asarray(np.nan_to_num(charged * self.rate))

    @property
    def notional(self) -> NDArray[np.float64]:
        """Value of each order in the base currency; 0 without a usable price or a rate."""
        # A product of floats is off in its last digits; a value equal to a limit must not exceed it.
        return np.asarray(np.round(self.quantity * np.nan_to_num(self.value), 6))

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
        """Build the arrays from canonical orders."""
        symbols: list[str] = frame["symbol"].tolist()
        refused = frame["status"].isin(["REJECTED"]).to_numpy()
        quantity = np.nan_to_num(frame["quantity"].to_numpy(dtype="float64"))
        names = list(dict.fromkeys([*context.positions, *symbols]))
        place = dict(zip(names, range(len(names)), strict=True))
        codes = np.fromiter(map(place.__getitem__, symbols), dtype="int64", count=len(symbols))
        rows_of_quotes = context.quotes.rows(names)
        market = context.quotes.of_rows(rows_of_quotes[codes])
        quoted, crossed = None, np.zeros(len(symbols), dtype=bool)
        if context.given_quotes:
            bid, ask = market["bid"], market["ask"]
            quoted = mid_or_last(**{name: market[name] for name in PRICE_FIELDS})
            crossed = is_usable(bid) & is_usable(ask) & np.isnan(quoted)  # else there is a mid
        reasons = frame["reason"].fillna("rejected").to_numpy(dtype=object)
        currencies = frame["currency"].fillna(context.base_currency).tolist()
        rates = {name: context.rate(name) for name in set(currencies)}
        rate = np.fromiter(map(rates.__getitem__, currencies), dtype="float64", count=len(currencies))
        recent_symbols, times = {row[1] for row in context.recent}, Counter(symbols)
        may_repeat = bool(recent_symbols) or len(times) < len(symbols)
        return cls(
            ids=frame["client_order_id"].tolist(),
            symbols=symbols,
            sides=frame["side"].tolist(),
            buy=frame["side"].isin(["BUY"]).to_numpy(),
            refused=refused,
            refusals={code: refused & (reasons == code) for code in dict.fromkeys(reasons[refused].tolist())},
            flagged={
                code: _flagged(symbols, code, context) for code in ("symbol_halted", "delayed_price", UNFINISHED)
            }
            | {FOREIGN: np.isnan(rate) | _is_quoted_otherwise(symbols, currencies, context)},
            twins=[
                row
                for row, name in enumerate(symbols if may_repeat else ())
                if times[name] > 1 or name in recent_symbols
            ],
            quantity=np.where(refused, 0.0, quantity),
            limit=frame["limit_price"].to_numpy(dtype="float64"),
            decision=frame["decision_price"].to_numpy(dtype="float64"),
            market=market,
            quoted=quoted,
            crossed=crossed,
            names=names,
            codes=codes,
            held=_of_names(names, context.positions, 0.0),
            marks=np.nan_to_num(np.append(context.quoted_values, math.nan)[rows_of_quotes]),
            rate=rate,
            working_sells=_of_names(names, context.working_sells, 0.0),
            tariffs=OrderFees.of_orders(frame, currencies),
            planned=(
                frame["planned_quantity"].to_numpy(dtype="float64")
                if "planned_quantity" in frame.columns
                else np.full(len(symbols), math.nan)
            ),
            volume=volume_of_orders(frame, context.volumes),
            order_type=frame["order_type"].tolist(),
            at_auction=_at_auction(frame),
            aux=frame["aux_price"].to_numpy(dtype="float64"),
            waits=market_waits(frame, context.hours),
            holding_ratio=_of_names(symbols, context.splits, math.nan),
        )

    def edited(self, frame: pd.DataFrame, waits: MarketWaits | None) -> OrderArrays:
        """The same orders with the quantities, prices and types of ``frame``, given for all rows."""
        quantity, limit, aux = (
            frame[name].to_numpy(dtype="float64") for name in ("quantity", "limit_price", "aux_price")
        )
        return replace(
            self,
            quantity=np.where(self.refused, 0.0, np.nan_to_num(quantity)),
            limit=limit,
            aux=aux,
            order_type=frame["order_type"].tolist(),
            at_auction=_at_auction(frame),
            waits=waits,
        )


def _at_auction(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which orders trade in an auction alone."""
    return np.asarray(frame["order_type"].isin(["MOC", "LOC"]) | frame["tif"].isin(["OPG"]), dtype=bool)


def _of_names(names: Collection[str], known: Mapping[str, float], default: float) -> NDArray[np.float64]:
    """The number of each name as an array."""
    if not known:
        return np.full(len(names), default)
    return np.array([known.get(name, default) for name in names], dtype="float64")


def _flagged(symbols: list[str], code: str, context: CheckContext) -> NDArray[np.bool_]:
    """Which symbols have a flag."""
    having = {symbol for symbol, codes in context.flags.items() if code in codes}
    return np.array([symbol in having for symbol in symbols] if having else np.zeros(len(symbols)), dtype=bool)


def _is_quoted_otherwise(symbols: list[str], currencies: list[str], context: CheckContext) -> NDArray[np.bool_]:
    """Which orders have prices in another currency than their own."""
    quoted_in = map(context.currencies.get, symbols, currencies)
    return np.fromiter(map(ne, quoted_in, currencies), dtype=bool, count=len(currencies))


def find(frame: pd.DataFrame, limits: Limits, context: CheckContext) -> Findings:
    """Check canonical orders against ``limits``."""
    return evaluate(OrderArrays.of(frame, context), limits, context)


def evaluate(arrays: OrderArrays, limits: Limits, context: CheckContext) -> Findings:
    """Check orders against ``limits``; the reasons are in the order of the rules."""
    findings = Findings(len(arrays.ids))
    for code, rows in arrays.refusals.items():  # rows that planning or validation has rejected
        findings.block(code, rows, math.nan, math.nan)
    _check_price(findings, arrays, limits, context)
    _check_size(findings, arrays, limits)
    _check_plan(findings, arrays, limits)
    _check_short(findings, arrays, limits)
    _check_ratio(findings, arrays, limits, context)
    _check_lists(findings, arrays, limits, context)
    check_margins(
        findings,
        arrays.ids,
        arrays.quantity,
        arrays.limit,
        limits,
        context.previews,
        context.account_margin,
    )
    _check_hours(findings, arrays, limits)
    counted = np.where(findings.worst == BLOCK, 0.0, arrays.quantity)
    findings.block("halted", context.halted is not None, math.nan, math.nan)
    _check_total(findings, arrays, counted, limits)
    _check_gross(findings, arrays, counted, limits, context)
    _check_margin(findings, arrays, counted, limits, context)
    _check_cash(findings, arrays, counted, limits, context)
    return findings


# -- one order ---------------------------------------------------------------------------------------------


def _check_price(findings: Findings, arrays: OrderArrays, limits: Limits, context: CheckContext) -> None:
    bid, ask, price = arrays.market["bid"], arrays.market["ask"], arrays.price
    unpriced = np.isnan(price) & ~arrays.refused
    findings.block("price_unavailable", unpriced & ~arrays.crossed, math.nan, price)
    findings.block("quote_crossed", unpriced & arrays.crossed, 0.0, bid - ask)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (ask - bid) / ((ask + bid) / 2) * 1e4
        findings.warn(
            "quote_one_sided", is_usable(bid) != is_usable(ask), math.nan, np.where(is_usable(bid), bid, ask)
        )
        findings.warn("quote_locked", bid == ask, 0.0, spread)
        if limits.max_spread_bps is not None:
            findings.warn("wide_spread", spread > limits.max_spread_bps, limits.max_spread_bps, spread)
        age = context.now - arrays.market["quoted_at"]
        findings.block("price_future", age < -_CLOCK_SKEW, -_CLOCK_SKEW, age)
        if not math.isnan(context.quote_age):
            stale = ~(age <= context.quote_age) & ~arrays.refused
            if context.old_quotes_warn:
                findings.warn("price_stale", stale, context.quote_age, age)
            else:
                findings.block("price_stale", stale, context.quote_age, age)
        confirmed = np.zeros(len(arrays.ids), dtype=bool)
        if limits.confirmed_splits:
            confirmed[:] = [symbol in limits.confirmed_splits for symbol in arrays.symbols]
        if limits.price_collar is not None:
            _check_collar(findings, arrays, limits.price_collar, confirmed)
        _add_splits(findings, ~np.isnan(arrays.holding_ratio), confirmed, math.nan, arrays.holding_ratio)
    for code, add in (("symbol_halted", findings.block), ("delayed_price", findings.warn)):
        add(code, arrays.flagged[code], math.nan, math.nan)


def _check_collar(findings: Findings, arrays: OrderArrays, collar: float, confirmed: NDArray[np.bool_]) -> None:
    price = arrays.price
    # The limit of a stop counts from its trigger: it is meant to be away from the current market.
    base = np.where(np.isnan(arrays.trigger), price, arrays.trigger)
    through = np.where(arrays.buy, arrays.limit / base - 1, 1 - arrays.limit / base)
    findings.block("limit_collar", through > collar + _DUST, collar, through)
    ratio = price / arrays.market["close"]
    jump = np.abs(ratio - 1)
    split = is_split_ratio(ratio) & (jump > collar + _DUST)
    moved = np.abs(price / arrays.decision - 1)
    _add_splits(findings, split, confirmed, collar, ratio)
    findings.block("price_collar", (jump > collar + _DUST) & ~split, collar, jump)
    findings.block("price_moved", moved > collar + _DUST, collar, moved)


def _add_splits(
    findings: Findings,
    split: NDArray[np.bool_],
    confirmed: NDArray[np.bool_],
    limit: float,
    ratio: NDArray[np.float64],
) -> None:
    """Block suspected splits, and warn about those that a person has confirmed."""
    findings.block("suspected_split", split & ~confirmed, limit, ratio)
    if (split & confirmed).any():
        findings.warn("suspected_split", split & confirmed, limit, ratio)


def _check_size(findings: Findings, arrays: OrderArrays, limits: Limits) -> None:
    if limits.max_order_notional is not None:
        over = arrays.notional > limits.max_order_notional
        findings.block("max_notional", over, limits.max_order_notional, arrays.notional)
    if limits.max_order_quantity is not None:
        over = arrays.quantity > limits.max_order_quantity
        findings.block("max_qty", over, limits.max_order_quantity, arrays.quantity)


def _check_plan(findings: Findings, arrays: OrderArrays, limits: Limits) -> None:
    """An order against the target of its own row, and against the volume of its symbol."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if limits.max_over_target is not None:
            excess = arrays.quantity / arrays.planned - 1
            over = arrays.quantity > arrays.planned * (1 + limits.max_over_target) + _DUST
            findings.block("over_target", over, limits.max_over_target, excess)
        if limits.max_adv_ratio is not None:
            ratio = arrays.quantity / arrays.volume
            findings.warn("max_adv_ratio", ratio > limits.max_adv_ratio + _DUST, limits.max_adv_ratio, ratio)


def _check_short(findings: Findings, arrays: OrderArrays, limits: Limits) -> None:
    if limits.allow_short:
        return
    after = (arrays.after(arrays.quantity) - arrays.working_sells)[arrays.codes]
    short = ~arrays.buy & (arrays.quantity > 0) & (after < -_DUST)
    findings.block("sell_exceeds_position", short, 0.0, after)


def _check_ratio(findings: Findings, arrays: OrderArrays, limits: Limits, context: CheckContext) -> None:
    """Only an order that increases its position is blocked; one that reduces it is allowed."""
    limit = limits.max_position_ratio
    if limit is None:
        return
    before, after = arrays.before, arrays.after(arrays.quantity)[arrays.codes]
    ratio = np.abs(after) * np.nan_to_num(arrays.value) / context.net_asset_value
    findings.block("max_position_ratio", (np.abs(after) > np.abs(before)) & (ratio > limit + _DUST), limit, ratio)


def _check_lists(findings: Findings, arrays: OrderArrays, limits: Limits, context: CheckContext) -> None:
    is_restricted: object = False
    if limits.restricted:
        is_restricted = [symbol in limits.restricted for symbol in arrays.symbols]
    findings.block("restricted", is_restricted, math.nan, math.nan)
    findings.block(FOREIGN, arrays.flagged[FOREIGN] & ~arrays.refused, math.nan, math.nan)
    findings.warn(UNFINISHED, arrays.flagged[UNFINISHED], math.nan, math.nan)
    estimated = arrays.tariffs.without_tariff & ~arrays.flagged[FOREIGN] & ~arrays.refused
    findings.warn("tariff_unknown", estimated, math.nan, math.nan)
    if limits.duplicate_window is None:
        return
    sent: dict[tuple[str, str, float], list[tuple[str, float]]] = {}
    for name, symbol, side, quantity, at in context.recent:
        sent.setdefault((symbol, side, quantity), []).append((name, context.now - at))
    age = np.full(len(arrays.ids), math.nan)
    for row in arrays.twins:
        name, quantity = arrays.ids[row], float(arrays.quantity[row])
        if quantity > 0:
            same = sent.setdefault((arrays.symbols[row], arrays.sides[row], quantity), [])
            age[row] = min((seconds for other, seconds in same if other != name), default=math.nan)
            same.append((name, 0.0))
    findings.block("suspected_duplicate", ~np.isnan(age), limits.duplicate_window, age)


def _check_hours(findings: Findings, arrays: OrderArrays, limits: Limits) -> None:
    """A day order that would wait for the open, and an order for an auction that takes no more."""
    if arrays.waits is None or limits.closed_market == "ignore":
        return
    opens, cutoff, close, unknown = arrays.waits
    waiting = ~np.isnan(opens) & ~arrays.refused
    if limits.closed_market == "block":
        findings.block("market_closed", waiting, math.nan, opens)
    else:
        findings.warn("market_closed", waiting, math.nan, opens)
    findings.warn("auction_cutoff", unknown & ~arrays.refused, math.nan, math.nan)
    if np.isnan(cutoff).all():
        return
    # Both count to the cut-off: the results of a check have one limit, which the later call sets.
    findings.warn("auction_cutoff", (close <= ADVISED_SECONDS) & ~arrays.refused, 0.0, cutoff)
    findings.block("auction_cutoff", (cutoff <= 0) & ~arrays.refused, 0.0, cutoff)


# -- all orders together -----------------------------------------------------------------------------------


def _check_total(findings: Findings, arrays: OrderArrays, counted: NDArray[np.float64], limits: Limits) -> None:
    if limits.max_total_notional is not None:
        total = round(math.fsum((counted * np.nan_to_num(arrays.value)).tolist()), 6)
        findings.block("max_total_notional", total > limits.max_total_notional, limits.max_total_notional, total)


def _check_gross(
    findings: Findings,
    arrays: OrderArrays,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    if limits.max_gross is None:
        return
    limit, room = limits.max_gross, _DUST
    if isinstance(limit, str):  # "auto"
        limit = context.plan_gross
        if math.isnan(limit) or not context.knows_nav:
            return
        room += limit * GROSS_ROOM
    context.require_rates()
    positions, marks = arrays.after(counted), arrays.all_marks
    gross = math.fsum((np.abs(positions) * marks).tolist()) / context.net_asset_value
    grows = np.abs(positions[arrays.codes]) > np.abs(arrays.before)
    findings.block("max_gross", grows & (gross > limit + room), limit, gross)
    if isinstance(limits.max_gross, float | int) and arrays.unpriced:
        findings.block("gross_unknown", grows & (gross <= limit + room), limit, math.nan)


def margin_of(arrays: OrderArrays, context: CheckContext) -> PlanMargin:
    """Margin of the account before the orders, and at most after any of them, at the prices of the check."""
    names = list(dict.fromkeys([*arrays.names, *context.working]))
    more = len(names) - len(arrays.names)
    price = np.concatenate([arrays.marks, [context.marks.get(name, 0.0) for name in names[len(arrays.names) :]]])
    dearest = np.nan_to_num(np.fmax(arrays.value, arrays.cash_value))
    np.maximum.at(price, arrays.codes, np.where(arrays.quantity > 0, dearest, 0.0))
    price = np.where(price > 0, price, math.nan)
    rate = np.array([context.rate_of(name) if context.rate_of(name) > 0 else math.nan for name in names])
    is_dollar = [context.currencies.get(name, context.base_currency) == "USD" for name in names]
    working = np.array([context.working.get(name, (0.0, 0.0)) for name in names]).reshape(len(names), 2)
    slippage = np.where(arrays.buy, 1.0, -1.0) * (arrays.cash_value - arrays.value) * arrays.quantity
    return PlanMargin(
        context.account_margin,
        context.is_margin_account,
        MarginOrders(
            arrays.codes,
            np.where(arrays.buy, arrays.quantity, -arrays.quantity),
            arrays.fees(arrays.quantity),
            np.maximum(np.nan_to_num(slippage), 0.0),
            current_previews(arrays.ids, arrays.quantity, arrays.limit, context.previews, context.account_margin),
        ),
        MarginBook(
            names,
            np.concatenate([arrays.held, np.zeros(more)]),
            price,
            np.where(is_dollar, price / rate, math.nan),
            working[:, 0],
            working[:, 1],
            context.working_costs,
        ),
    )


def _check_margin(
    findings: Findings,
    arrays: OrderArrays,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    """The most that all orders together may need, working ones included; only what adds to it is blocked."""
    highest, least = limits.max_initial_margin, limits.min_excess_liquidity
    if highest is None and least is None:
        return
    margin, chosen = margin_of(arrays, context), counted > 0
    after, adding = margin.after(chosen), margin.adding(chosen)
    if highest is not None:
        findings.block("margin_unknown", adding & math.isnan(after.initial_margin), highest, math.nan)
        findings.block(
            "max_initial_margin", adding & (after.initial_margin > highest), highest, after.initial_margin
        )
    if least is not None:
        findings.block("margin_unknown", adding & math.isnan(after.excess_liquidity), least, math.nan)
        findings.block(
            "min_excess_liquidity", adding & (after.excess_liquidity < least), least, after.excess_liquidity
        )


def _check_cash(
    findings: Findings,
    arrays: OrderArrays,
    counted: NDArray[np.float64],
    limits: Limits,
    context: CheckContext,
) -> None:
    """Cash after all orders and fees, working ones included, each order at its cash price."""
    if limits.min_cash_after is None or not arrays.quantity.any():
        return
    if math.isnan(context.cash):
        text = "min_cash_after needs cash=; give it, or Limits(min_cash_after=None)"
        raise InputError("cash", [Problem("cash_missing", text)])
    price = np.nan_to_num(arrays.cash_value)
    fees = math.fsum(arrays.fees(counted).tolist())
    flow = math.fsum((np.where(arrays.buy, -counted, counted) * price).tolist())
    after = round(context.cash + context.working_cash + flow - fees, 6)
    short = arrays.buy & (after < limits.min_cash_after)
    findings.block("insufficient_cash", short, limits.min_cash_after, after)
    late = ~arrays.buy & arrays.at_auction
    if late.any():
        before = round(after - math.fsum((counted * price)[late].tolist()), 6)
        waits = arrays.buy & arrays.at_auction & (counted > 0) & ~short & (before < limits.min_cash_after)
        findings.warn("auction_funding", waits, limits.min_cash_after, before)
    # Without the buys, the sells that fund them would leave the book in cash, or short.
    unpaired = ~arrays.buy & (counted > 0) & bool((short & (counted > 0)).any())
    findings.warn(ONE_SIDED, unpaired, limits.min_cash_after, after)
