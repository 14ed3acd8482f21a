"""The planner: from target weights to orders.

A weight is a target value, ``weight x (NAV less the cash buffer)``; divided by the price it is a quantity, seldom
a whole one. :mod:`~stocklean_exec.portfolio.sizing` chooses the whole quantities that bring the book closest to
the weights (least active share, with cash counted as an asset) without spending more than is available. The
difference from the position is the order.

Pure functions over tables: no I/O, no clock, no random numbers, so the same inputs give the same orders and the
same client order ids. Quantities are shares, always positive on an order; prices are per share in the symbol's
currency; notional is in that currency.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.account_state import read_inputs
from stocklean_exec.portfolio.alignment import (
    AlignedBook,
    Rejections,
    Unlisted,
    freeze_arrays,
    investable_nav,
    parse_nav,
    parse_rates,
)
from stocklean_exec.portfolio.contracts import contract_names
from stocklean_exec.portfolio.held_back import note_held_back
from stocklean_exec.portfolio.netting import PlanOptions, names_strategies, plan_strategies
from stocklean_exec.portfolio.order_costs import (
    OrderFees,
    cash_prices,
    costs_beyond_value,
    last_buy_margin,
    stop_prices,
)
from stocklean_exec.portfolio.sizing import Sizes, closing_steps, measure, whole_trades
from stocklean_exec.portfolio.target_terms import TargetTerms
from stocklean_exec.portfolio.trade_bands import BandKind, BandTo, Choice, TradeRules, choose_trades
from stocklean_exec.portfolio.working_orders import (
    ForeignOrders,
    OnOpenOrders,
    cash_effect,
    counted_orders,
    refused_symbols,
)
from stocklean_exec.schema.frame_validator import (
    RUN_ID,
    add_warnings,
    as_utc,
    merge_warnings,
    number_option,
    shown,
    warning_row,
)
from stocklean_exec.schema.inputs import (
    FRACTIONAL_STEP,
    check_target_dates,
    parse_positions,
    parse_quotes,
    parse_targets,
)
from stocklean_exec.schema.order_ids import client_order_id, client_order_ids, is_valid_run_id
from stocklean_exec.schema.order_input import (
    MAX_QUANTITY,
    ORDER_TYPES,
    SEC_TYPES,
    TIFS,
    parse_open_orders,
    support_problems,
)
from stocklean_exec.schema.order_terms import LIMITED, STOPS, TIFS_OF_TYPE, limit_problem, term_problems
from stocklean_exec.schema.price_steps import PRICE_STEPS, steps_at
from stocklean_exec.schema.prices import is_usable, round_to_tick, tick_sizes
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
    from datetime import date
    from typing import Any, Literal

    from numpy.typing import NDArray

    from stocklean_exec.portfolio.covariance import FactorCovariance
    from stocklean_exec.portfolio.sizing import Cost

__all__ = ["FRACTIONAL_STEP", "plan_orders"]

_DUST = 1e-9  # floating-point noise; far below the smallest tradable part of a share, 0.0001
_NOT_CARRIED = frozenset({"weight", "con_id", "primary_exchange"})
_UNRELATED = "shares are working in a symbol that is neither a target nor held"
_FRACTIONAL = "use fractional=True to sell it"


def plan_orders(
    targets: object,
    positions: object = None,
    quotes: object = None,
    *,
    nav: float | None = None,
    run_id: str,
    cash_buffer: float = 0.0,
    reserve: Literal["auto"] | float = "auto",
    unlisted: Unlisted = "error",
    allow_short: bool = False,
    max_gross: float = 1.0,
    allow_liquidation: bool = False,
    fractional: bool = False,
    order_type: Literal["MKT", "LMT", "MOC", "LOC", "MIDPRICE"] | None = None,
    limit_offset_bps: float | None = None,
    tick_size: float | Mapping[str, float] | None = None,
    tif: str | None = None,
    account: str | None = None,
    open_orders: pd.DataFrame | None = None,
    on_open_orders: OnOpenOrders = "reject",
    foreign_orders: ForeignOrders = "reject",
    base_currency: str | None = None,
    fx: Mapping[str, float] | None = None,
    band: float | None = None,
    band_kind: BandKind = "absolute",
    band_to: BandTo | float = "target",
    min_notional: float | None = None,
    max_turnover: float | None = None,
    covariance: pd.DataFrame | FactorCovariance | None = None,
    decided_at: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Orders that bring ``positions`` to ``targets``, sells first.

    Parameters
    ----------
    targets : DataFrame with symbol and weight, Series of weights by symbol, or dict Columns order_type,
        limit_price, tif, lot_size, aux_price, algo, ... set a symbol's own terms: those of
        :data:`~stocklean_exec.schema.tables.TARGETS`; a column ``as_of`` is checked against
        ``decided_at``; other columns are copied to the orders, unless orders have their own. Targets of
        strategies (:func:`~stocklean_exec.net_targets`, or a column ``strategy``) need a state that knows what
        each holds (``state.with_strategies(...)``): each is planned with its own positions alone, and the orders
        are netted
    positions : an :class:`~stocklean_exec.AccountState`, which has everything of the account; or a DataFrame with
        symbol and quantity, Series, dict, or None for nothing held
    quotes : DataFrame with symbol, quoted_at and bid, ask, last or close; or a mapping symbol -> price. A column
        ``lot_size``, which a broker gives, is the lot of symbols whose target row has none
    nav : net asset value in the base currency; given by a state
    run_id : letters, digits, dot, underscore, hyphen; with symbol and side it makes the client order id
    cash_buffer : fraction of NAV that is never spent; weights are fractions of the rest
    reserve : base currency reserved, where the weights leave less than this in cash, for what the orders cost
        beyond the value of their shares. ``"auto"`` is computed from the plan itself: commissions, levies and
        taxes by the tariff of each market (:func:`~stocklean_exec.tariffs`), half the quoted spread of market
        orders, for limit buys the distance to their limit, and for the smallest market buys, which are sent last,
        what the buys behind them do not cover of 0.4 % of the value of each, for it may cost more than its quote.
        0 reserves nothing
    unlisted : what to do with holdings that are not in the targets: ``"keep"``, ``"close"`` or ``"error"``
    allow_short, max_gross, allow_liquidation : see :func:`~stocklean_exec.schema.inputs.parse_targets`
    fractional : trade parts of a share, in steps of 0.0001; without it, whole shares or multiples of lot_size
    order_type : for all symbols, overriding their rows; by default each row's own, else ``MKT``
    limit_offset_bps : limit of ``LMT`` and ``LOC`` orders without a limit of their own: the decision price plus
        (buy) or minus (sell) this many basis points. The column of that name is for single symbols, and counts
        from ``limit_reference``
    tick_size : price step, one for all or by symbol; by default that of the quotes' column ``price_steps``, which
        a broker gives, else the US rule for shares
    tif : time in force for all symbols; by default each row's own, else ``DAY``; never empty
    account : the account that trades, where the target row has none
    open_orders : working orders, by default the state's, as ``broker.open_orders()`` gives them: symbol, side,
        quantity, and if known filled_quantity, status, client_order_id and client_id
    on_open_orders : ``"reject"`` rejects a symbol that has working orders, whoever placed them, as
        ``open_order_exists``; ``"net"`` counts our own plain ones (market and limit orders) as filled;
        ``"cancel"`` plans as if our own ones were gone: they must be cancelled before the plan is sent, as
        :func:`~stocklean_exec.rebalance` does
    foreign_orders : with ``"net"`` and ``"cancel"``, what to do about the others: stops and other special orders,
        orders whose status is unknown, and those that a column ``is_own`` says are not our own: ``"reject"``
        rejects their symbols, ``"ignore"`` plans as if they were not there, ``"net"`` counts them as filled
    base_currency, fx : currency of NAV, by default the state's, else USD; and the value in it of one unit of each
        other currency
    band : do not trade a symbol whose weight differs from its target by no more than this: an absolute weight
        (0.002 is 20 basis points of NAV less the cash buffer), or with ``band_kind="relative"`` a part of the
        target (0.1 of a target of 2 % is 20 basis points). What is not sold cannot pay for buys: these are then
        made smaller. A target of 0 has no relative band, and is sold in full or not at all
    band_kind : ``"absolute"`` or ``"relative"``
    band_to : trade what is outside its band to the ``"target"``, to the ``"edge"`` of the band, or to a point
        between: a number from 0 (target) to 1 (edge)
    min_notional : make no order of less than this, base currency; sales of whole holdings included
    max_turnover : the most that buys and sells together may be worth, as a fraction of NAV (two-way, as
        ``turnover`` in :func:`~stocklean_exec.plan_summary`); the trades within it are chosen together, so that
        the tracking error after them is least
    covariance : of the symbols' returns, for that choice: a DataFrame with the symbols in index and columns, or a
        :class:`~stocklean_exec.FactorCovariance`; of any horizon. Without it all symbols count as equally risky
        and uncorrelated, so the largest deviations are traded first
    decided_at : when the decision was made; by default the time of the latest quote

    Returns
    -------
    DataFrame with the columns of :data:`~stocklean_exec.schema.tables.ORDERS`, then ``lot_size``, ``tick_size``,
    ``planned_quantity`` and ``max_gross`` (which the checks hold later edits to), ``detail``, ``con_id`` and
    ``primary_exchange`` (of the contract to trade, where targets or positions name it), and the targets' other
    columns. A symbol that must trade and cannot is a row with status ``REJECTED`` and a reason, such as
    ``price_unavailable``; its quantity is NaN without a price. A holding that is to be closed in another contract
    than the one that is traded under its symbol is such a row too (``other_contract``).
    :func:`~stocklean_exec.held_back` lists the trades that were left out.

    Raises
    ------
    InputError
        With every offending row; there is no partial plan.

    Examples
    --------
    >>> orders = plan_orders(
    ...     {"AAA": 0.2, "BBB": 0.1}, None, {"AAA": 50.0, "BBB": 33.0},
    ...     nav=10_000, run_id="run-1", cash_buffer=0.1,
    ... )
    >>> orders[["client_order_id", "side", "quantity", "decision_price", "notional"]]
      client_order_id side  quantity  decision_price  notional
    0   run-1-AAA-BUY  BUY      36.0            50.0    1800.0
    1   run-1-BBB-BUY  BUY      27.0            33.0     891.0
    """
    if names_strategies(targets):
        options = PlanOptions(
            quotes=quotes,
            nav=nav,
            run_id=run_id,
            cash_buffer=cash_buffer,
            reserve=reserve,
            unlisted=unlisted,
            allow_short=allow_short,
            max_gross=max_gross,
            allow_liquidation=allow_liquidation,
            fractional=fractional,
            order_type=order_type,
            limit_offset_bps=limit_offset_bps,
            tick_size=tick_size,
            tif=tif,
            account=account,
            open_orders=open_orders,
            on_open_orders=on_open_orders,
            foreign_orders=foreign_orders,
            base_currency=base_currency,
            fx=fx,
            band=band,
            band_kind=band_kind,
            band_to=band_to,
            min_notional=min_notional,
            max_turnover=max_turnover,
            covariance=covariance,
            decided_at=decided_at,
        )
        return plan_strategies(plan_orders, targets, positions, options)
    inputs = read_inputs(
        positions,
        quotes,
        nav=nav,
        base_currency=base_currency,
        fx=fx,
        open_orders=open_orders,
        account=account,
    )
    account, open_orders = inputs.account, inputs.open_orders
    _check_options(
        run_id, unlisted, on_open_orders, foreign_orders, order_type, tif, account, inputs.base_currency
    )
    wanted = parse_targets(
        targets,
        allow_short=allow_short,
        max_gross=max_gross,
        allow_empty=allow_liquidation and unlisted == "close",
        allow_liquidation=allow_liquidation,
    )
    held, market = parse_positions(inputs.positions), parse_quotes(inputs.quotes)
    value = parse_nav(inputs.nav)
    investable = investable_nav(value, cash_buffer)
    fixed_reserve = _parse_reserve(reserve, investable)
    rules = TradeRules.of(band, band_kind, band_to, min_notional, max_turnover, covariance)
    decided_at = _decision_time(decided_at, market)
    notes = check_target_dates(wanted, decided_at) + rules.notes()
    book = inputs.align(wanted, held, market, unlisted)
    terms = _terms(book, wanted, market, order_type, tif, decided_at, fractional=fractional)
    parse_open_orders(open_orders)
    if open_orders is not None:
        open_orders = _of_contracts(open_orders, book)
    counted = counted_orders(open_orders, on_open_orders, foreign_orders)
    working = parse_open_orders(counted)
    sizes = measure(book, working, investable, keep=unlisted == "keep", leverage=max_gross)
    terms = _with_limits(terms, book, market, sizes, limit_offset_bps, tick_size)
    rejected = refused_symbols(open_orders, on_open_orders, foreign_orders)
    book = book.with_rejections(_rejections(book, terms, sizes, rejected))
    committed = 0.0
    if counted is not None and on_open_orders != "reject":
        rates = parse_rates(inputs.fx, inputs.base_currency)
        effects = cash_effect(counted, market, inputs.base_currency, rates, _day(decided_at))
        committed = _committed(book, working, effects)
    fees = _fees_of(book, wanted, _day(decided_at))
    cost = _cost_of(book, terms, fees, committed) if fixed_reserve is None else lambda _: fixed_reserve
    exchange_lot = _lots_of_exchanges(book, market, 1.0)

    def chosen(cost: Cost) -> tuple[Choice, NDArray[np.float64]]:
        whole = partial(
            whole_trades, book, terms.lot, cost=cost, allow_short=allow_short, exchange_lot=exchange_lot
        )
        return choose_trades(book, sizes, rules, terms.lot, whole, nav=value, investable=investable)

    choice, trade = chosen(cost)
    if committed > _DUST and fixed_reserve is None:
        _, free = chosen(_cost_of(book, terms, fees, 0.0))
        notes += _note_committed(book, trade, free, committed, inputs.base_currency)
    terms, without_price = _rounded_limits(terms, trade)
    book = book.with_rejections(without_price)
    gross = max(max_gross, _gross_after(book, sizes, trade) / value)
    orders = _table(book, terms, trade, wanted, run_id, account, decided_at, gross)
    notes += _notes(book, terms, choice.sizes, trade, working, rejected, value) + _tariff_notes(book, fees, trade)
    orders = note_held_back(orders, book, choice, terms.lot, trade, closing_steps(terms.lot, exchange_lot))
    if orders.empty:
        orders.attrs[RUN_ID] = run_id
    return add_warnings(merge_warnings(orders, wanted, held, market), [*notes, *inputs.warnings])


def _check_options(
    run_id: object,
    unlisted: object,
    on_open_orders: object,
    foreign_orders: object,
    order_type: object,
    tif: object,
    account: object,
    base_currency: object,
) -> None:
    """Raise for an unknown value of an option: a misspelt "keep" must not sell the book."""
    problems = []
    if not is_valid_run_id(run_id):
        text = f"run_id {shown(run_id)} may only have letters, digits, '.', '_' and '-'"
        problems.append(Problem("run_id_invalid", text, column="run_id"))
    for name, value, known in (
        ("unlisted", unlisted, ("keep", "close", "error")),
        ("on_open_orders", on_open_orders, get_args(OnOpenOrders)),
        ("foreign_orders", foreign_orders, get_args(ForeignOrders)),
        ("order_type", order_type, (None, *ORDER_TYPES)),
        ("tif", tif, (None, *TIFS)),
    ):
        if not isinstance(value, (str, type(None))) or value not in known:
            text = f"{name} {shown(value)} is not one of {', '.join(map(str, known))}"
            problems.append(Problem("option_invalid", text, column=name))
    for name, value in (("account", account), ("base_currency", base_currency)):
        is_optional = name == "account"
        if not ((isinstance(value, str) and (value or is_optional)) or (is_optional and value is None)):
            problems.append(Problem("option_invalid", f"{name} {shown(value)} is not text", column=name))
    if problems:
        raise InputError("options", problems)


def _parse_reserve(reserve: object, investable: float) -> float | None:
    """Read the reserve: an amount of money, or None for ``"auto"``."""
    if isinstance(reserve, str) and reserve == "auto":
        return None
    try:
        return number_option("reserve", reserve, least=0.0, most=investable)
    except InputError:
        text = f"reserve {shown(reserve)} is neither 'auto' nor an amount from 0 to the {investable:,.2f} there is"
        raise InputError("options", [Problem("option_invalid", text, column="reserve")]) from None


def _committed(book: AlignedBook, working: dict[str, float], effects: NDArray[np.float64]) -> float:
    """Cash that working orders take beyond the value that the book counts for them; base currency.

    A buy without a price counts nothing here: the check of cash blocks every other buy then.
    """
    value = dict(zip(book.symbols, np.nan_to_num(book.value).tolist(), strict=True))
    counted = math.fsum(shares * value.get(symbol, 0.0) for symbol, shares in working.items())
    return -math.fsum(effects[np.isfinite(effects)].tolist()) - counted


def _note_committed(
    book: AlignedBook,
    trade: NDArray[np.float64],
    free: NDArray[np.float64],
    committed: float,
    base_currency: str,
) -> list[dict[str, object]]:
    """Say how much less is bought because working buys take cash; ``free`` is the plan without them."""
    less = np.clip(np.nan_to_num(free), 0.0, None) - np.clip(np.nan_to_num(trade), 0.0, None)
    value = math.fsum((less * np.nan_to_num(book.value)).tolist())
    if value <= _DUST:
        return []
    text = (
        f"working orders take {committed:,.2f} {base_currency} of cash, so the plan buys {value:,.2f} less than "
        "the targets call for"
    )
    return [warning_row("cash_committed", text, table="open_orders")]


def _day(decided_at: pd.Timestamp | None) -> date | None:
    return None if decided_at is None else decided_at.date()


def _fees_of(book: AlignedBook, targets: pd.DataFrame, on: date | None) -> OrderFees:
    """Tariffs of the book's orders; a holding that is not in the targets is sold at its currency's."""
    named = [name for name in ("exchange", "primary_exchange") if name in targets.columns]
    rows = {name: targets[name].array.take(book.row, allow_fill=True) for name in named}
    return OrderFees.of_orders(pd.DataFrame(rows), book.currency, on)


def _tariff_notes(book: AlignedBook, fees: OrderFees, trade: NDArray[np.float64]) -> list[dict[str, object]]:
    traded = fees.without_tariff & (np.abs(np.nan_to_num(trade)) > _DUST)
    unknown = sorted({book.currency[index] for index in np.flatnonzero(traded).tolist()})
    if not unknown:
        return []
    text = (
        f"no tariff for orders in {', '.join(unknown)}: their fees are estimated by the highest rates of the "
        "other markets; sx.use_tariffs takes a table with their own"
    )
    return [warning_row("tariff_unknown", text, table="targets", column="currency")]


def _cost_of(book: AlignedBook, terms: _Terms, fees: OrderFees, committed: float) -> Cost:
    """Costs of signed trades in base currency, as the checks count them: fees, spread and limits.

    ``committed`` is what working orders cost in addition.
    """

    def cost(trade: NDArray[np.float64]) -> float:
        quantity, rate = np.abs(trade), np.nan_to_num(book.value / book.price)
        trigger = stop_prices(terms.order_type, terms.more.aux, book.price, trade > 0)
        cash_price = cash_prices(trade > 0, book.price, book.bid, book.ask, terms.limit, trigger)
        spread = costs_beyond_value(quantity, book.price, cash_price) * rate
        charged = fees.estimate(trade > 0, quantity, np.nan_to_num(cash_price)) * rate
        margin = last_buy_margin(trade > 0, quantity, cash_price * rate, terms.limit)
        return math.fsum((spread + charged).tolist()) + margin + committed

    return cost


def _gross_after(book: AlignedBook, sizes: Sizes, trade: NDArray[np.float64]) -> float:
    """Value of all positions, longs and shorts added up, once the plan is filled; base currency.

    It may exceed what was asked for: by the rounding to whole lots, and by holdings that stay.
    """
    after = np.abs(sizes.held + np.nan_to_num(trade)) * np.nan_to_num(book.value)
    return math.fsum(after.tolist())


def _decision_time(decided_at: object, market: pd.DataFrame) -> pd.Timestamp | None:
    stamp = as_utc(market["quoted_at"].max() if decided_at is None else decided_at, "decided_at")
    if isinstance(stamp, Problem):
        raise InputError("options", [stamp])
    return stamp


@dataclass(frozen=True, slots=True, eq=False)
class _Terms:
    """How each symbol of a book trades, in the book's order; ``limit`` is NaN where there is none.

    ``own_limit`` is the limit that the target gives; ``more`` has the terms beyond. The arrays are read-only.
    """

    order_type: list[str]
    tif: list[str]
    lot: NDArray[np.float64]
    tick: NDArray[np.float64]
    limit: NDArray[np.float64]
    own_limit: NDArray[np.float64]
    more: TargetTerms

    def __post_init__(self) -> None:
        freeze_arrays(self)


def _terms(
    book: AlignedBook,
    targets: pd.DataFrame,
    quotes: pd.DataFrame,
    order_type: str | None,
    tif: str | None,
    decided_at: pd.Timestamp | None,
    *,
    fractional: bool,
) -> _Terms:
    count, extra = len(book.symbols), len(book.symbols) - len(targets)
    # Validation fills an empty order type with MKT; the option for all symbols takes precedence.
    types = targets["order_type"].tolist() if order_type is None else [order_type] * len(targets)
    tifs = targets["tif"].tolist() if tif is None else [tif] * len(targets)
    lots = _lots_of_exchanges(book, quotes, FRACTIONAL_STEP if fractional else 1.0)
    own = targets["lot_size"].to_numpy(dtype="float64")
    lots[: len(targets)] = np.where(np.isnan(own), lots[: len(targets)], own)
    unknown = np.full(count, math.nan)
    own_limit = unknown.copy()
    own_limit[: len(targets)] = targets["limit_price"].to_numpy(dtype="float64")
    more = TargetTerms.of(targets, book, quotes, decided_at)
    types, tifs = types + [order_type or "MKT"] * extra, tifs + [tif or "DAY"] * extra
    return _Terms(types, tifs, lots, unknown, unknown.copy(), own_limit, more)


def _lots_of_exchanges(book: AlignedBook, quotes: pd.DataFrame, usual: float) -> NDArray[np.float64]:
    """Lot of each symbol: that of its exchange, if the broker gives one with the quotes, else the usual one."""
    lots = np.full(len(book.symbols), usual)
    if "lot_size" not in quotes.columns:
        return lots
    values = pd.to_numeric(quotes["lot_size"], errors="coerce").to_numpy(dtype="float64")
    known = {
        symbol: lot for symbol, lot in zip(quotes["symbol"].tolist(), values.tolist(), strict=True) if lot > 1
    }
    for row, symbol in enumerate(book.symbols):
        lots[row] = known.get(symbol, usual)
    return lots


def _with_limits(
    terms: _Terms,
    book: AlignedBook,
    quotes: pd.DataFrame,
    sizes: Sizes,
    offset_bps: float | None,
    tick_size: float | Mapping[str, float] | None,
) -> _Terms:
    """Return the terms with each symbol's limit, its own or the offset one, not yet rounded, and its tick."""
    limit = terms.more.limits(terms.own_limit, sizes.desired > 0)
    if offset_bps is not None:
        offset = number_option("limit_offset_bps", offset_bps) / 1e4
        is_limit = _are_in(terms.order_type, {"LMT", "LOC"})
        offered = book.price * (1 + np.where(sizes.desired > 0, 1, -1) * offset)
        limit = np.where(is_limit & np.isnan(limit) & ~terms.more.has_offset, offered, limit)
    return replace(terms, limit=limit, tick=_ticks(book, quotes, limit, tick_size))


def _ticks(
    book: AlignedBook,
    quotes: pd.DataFrame,
    limit: NDArray[np.float64],
    tick_size: float | Mapping[str, float] | None,
) -> NDArray[np.float64]:
    """Price step of each symbol; NaN where a mapping has none for it."""
    if tick_size is None:
        price = np.where(np.isnan(limit), np.nan_to_num(book.price, nan=1.0), limit)
        usual = tick_sizes(price)
        if PRICE_STEPS not in quotes.columns:
            return usual
        reported = dict(zip(quotes["symbol"].tolist(), quotes[PRICE_STEPS].tolist(), strict=True))
        own = steps_at(price, [reported.get(symbol) for symbol in book.symbols])
        return np.where(np.isnan(own), usual, own)
    if hasattr(tick_size, "get"):
        given = (tick_size.get(symbol) for symbol in book.symbols)
        steps = [math.nan if tick is None or pd.isna(tick) else number_option("tick_size", tick) for tick in given]
        return np.array(steps, dtype="float64")
    return np.full(len(limit), number_option("tick_size", tick_size))


def _rejections(book: AlignedBook, terms: _Terms, sizes: Sizes, working: dict[str, str]) -> Rejections:
    """Find the rows whose terms, size or working orders do not allow an order, each with its first reason."""
    large = np.abs(sizes.desired) + terms.lot > MAX_QUANTITY
    # Most symbols have a plain market order, which needs no closer look.
    is_plain = ~large & np.isnan(terms.limit) & ~terms.more.given & _are_in(terms.order_type, {"MKT"})
    is_plain &= _are_in(terms.tif, TIFS_OF_TYPE["MKT"]) & _are_in(book.sec_type, SEC_TYPES)
    is_plain &= ~_are_in(book.symbols, working)
    rows = np.flatnonzero(~is_plain).tolist()
    first = {index: next(_refusals(book, terms, sizes, index, working), None) for index in rows}
    return {index: found for index, found in first.items() if found is not None}


def _are_in(texts: Sequence[str], known: Collection[str]) -> NDArray[np.bool_]:
    """Which of ``texts`` are among ``known``."""
    wanted = frozenset(known)
    if wanted.isdisjoint(texts):
        return np.zeros(len(texts), dtype=bool)
    return np.fromiter(map(wanted.__contains__, texts), dtype=bool, count=len(texts))


def _refusals(
    book: AlignedBook, terms: _Terms, sizes: Sizes, index: int, working: dict[str, str]
) -> Iterator[tuple[str, str]]:
    kind, tif, limit, tick = terms.order_type[index], terms.tif[index], terms.limit[index], terms.tick[index]
    sec_type, symbol, size = book.sec_type[index], book.symbols[index], abs(sizes.desired[index])
    yield from support_problems(sec_type, kind, tif)
    own, side = terms.own_limit[index], "BUY" if sizes.desired[index] > 0 else "SELL"
    yield from term_problems(kind, own, tif, side, terms.more.problem_terms(index, own))
    yield from _limit_refusals(kind, limit, tick, buy=sizes.desired[index] > 0)
    if kind in STOPS and not 0 < tick < math.inf:
        yield "tick_unknown", f"tick size {tick:g} is not above 0"
    if symbol in working:
        yield "open_order_exists", working[symbol]
    if size + terms.lot[index] > MAX_QUANTITY:
        yield "quantity_too_large", f"{size:g} shares are over the {MAX_QUANTITY:,} that one order can have"


def _limit_refusals(kind: str, limit: float, tick: float, *, buy: bool) -> Iterator[tuple[str, str]]:
    if math.isnan(limit):
        if kind in LIMITED:
            yield (
                "limit_missing",
                f"a {kind} order needs a limit_price, or limit_offset_bps from a price that is quoted",
            )
        return
    problem = limit_problem(kind, limit)
    if problem is not None and problem[0] == "limit_on_market":
        yield problem
    if not 0 < tick < math.inf:
        yield "tick_unknown", f"tick size {tick:g} is not above 0"
    price = round_to_tick([limit], [tick], [buy])
    if not is_usable(price)[0]:
        yield "limit_missing", f"limit {limit:g} on its tick of {tick:g} is {price[0]:g}, which is not a price"


def _rounded_limits(terms: _Terms, trade: NDArray[np.float64]) -> tuple[_Terms, Rejections]:
    """Return the terms with each limit on its tick, on the passive side, and the rows that have no price there.

    That can happen to an order whose side the rounding to whole lots has reversed.
    """
    buy = trade > 0
    tick = np.where(terms.tick > 0, terms.tick, math.nan)
    needed = _are_in(terms.order_type, LIMITED) | terms.more.has_offset
    limit = np.where(terms.more.has_offset, terms.more.limits(terms.limit, buy), terms.limit)
    is_limit = needed | ~np.isnan(limit)
    rounded = round_to_tick(limit, tick, buy)
    usable = is_limit & is_usable(rounded)
    why = ("limit_missing", "no tick on the passive side is a price")
    stops = _are_in(terms.order_type, STOPS)
    aux = np.where(stops, round_to_tick(terms.more.aux, tick, ~buy), terms.more.aux)  # a trigger, no earlier
    return (
        replace(terms, limit=np.where(usable, rounded, math.nan), more=replace(terms.more, aux=aux)),
        dict.fromkeys(np.flatnonzero(is_limit & ~usable).tolist(), why),
    )


def _table(
    book: AlignedBook,
    terms: _Terms,
    trade: NDArray[np.float64],
    targets: pd.DataFrame,
    run_id: str,
    account: str | None,
    decided_at: pd.Timestamp | None,
    max_gross: float,
) -> pd.DataFrame:
    needed = np.isnan(trade) | (np.abs(trade) > _DUST)
    sell = np.where(np.isnan(trade), book.weight < 0, trade < 0)
    order = np.concatenate([np.flatnonzero(needed & sell), np.flatnonzero(needed & ~sell)])
    quantity = np.abs(trade[order])
    symbols = _objects(book.ticker)[order]
    sides = _objects(["BUY", "SELL"])[sell[order].astype("int64")]
    ids = client_order_ids(run_id, symbols.tolist(), sides.tolist())
    if book.ticker != book.symbols:
        ids = _ids_of_contracts(run_id, symbols.tolist(), sides.tolist())
    _refuse_same_ids(ids, symbols.tolist())
    rows = book.row[order]

    def own(name: str, default: str | None) -> Any:  # noqa: ANN401 - an array of text; pandas does not type it
        # Row -1 is for holdings that are not in the targets.
        values = targets[name].array.take(rows, allow_fill=True)
        return values if default is None else values.fillna(default)

    texts = {
        "client_order_id": ids,
        "symbol": symbols,
        "order_type": _objects(terms.order_type)[order],
        "tif": _objects(terms.tif)[order],
        "currency": _objects(book.currency)[order],
        "sec_type": _objects(book.sec_type)[order],
        "reason": book.reason[order],
        "detail": book.detail[order],
    }
    columns: dict[Hashable, Any] = {name: pd.array(values, dtype="str") for name, values in texts.items()}
    is_refused = book.rejected[order]
    columns |= {
        "run_id": pd.array([run_id], dtype="str").repeat(len(order)),
        "side": pd.array(["BUY", "SELL"], dtype="str").take(sell[order].astype("int64")),
        "exchange": own("exchange", "SMART"),
        "account": own("account", account),
        "status": pd.array(["NEW", "REJECTED"], dtype="str").take(is_refused.astype("int64")),
        "quantity": quantity,
        "limit_price": terms.limit[order],
        "decision_price": book.price[order],
        "decided_at": pd.array([decided_at], dtype="datetime64[us, UTC]").repeat(len(order)),
        "target_weight": book.weight[order],
        "current_quantity": book.held[order],
        "target_quantity": np.round(book.held[order] + trade[order], 8),
        "notional": np.round(quantity * book.price[order], 8),
        "filled_quantity": np.zeros(len(order)),
        "lot_size": terms.lot[order],
        "tick_size": terms.tick[order],
        "planned_quantity": quantity,
        "max_gross": np.full(len(order), max_gross),
    }
    columns |= terms.more.columns(order, ~sell[order])
    columns["detail"] = columns.pop("detail")  # after lot and tick
    frame = ORDERS.of_columns(columns, pd.RangeIndex(len(order)))
    contracts = _objects(book.con_id)[order].tolist()
    if contracts.count(None) < len(contracts):
        frame["con_id"] = pd.array(contracts, dtype="Int64")
    listed = _objects(book.primary_exchange)[order].tolist()
    if listed.count(None) < len(listed):
        frame["primary_exchange"] = pd.array(listed, dtype="str")
    carried = [name for name in targets.columns if name not in frame.columns and name not in _NOT_CARRIED]
    if carried:
        carried_rows = targets[carried].reset_index(drop=True).reindex(rows)
        frame = pd.concat([frame, carried_rows.set_axis(frame.index)], axis=1)
    return frame


def _of_contracts(open_orders: pd.DataFrame, book: AlignedBook) -> pd.DataFrame:
    """Working orders without those in another contract than the one that is traded under their symbol."""
    if "con_id" not in open_orders.columns:
        return open_orders
    traded = dict(zip(book.symbols, book.con_id, strict=True))
    names, symbols = contract_names(open_orders, traded), open_orders["symbol"].tolist()
    same = [name == symbol for name, symbol in zip(names, symbols, strict=True)]
    return open_orders[np.array(same, dtype=bool)]


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Make an array that can be indexed by many rows at once."""
    return np.array(values, dtype=object)


def _ids_of_contracts(run_id: str, symbols: list[str], sides: list[str]) -> list[str]:
    """Client order ids of a plan that has a symbol in several contracts: each next one gets the next number."""
    seen: Counter[tuple[str, str]] = Counter()
    ids = []
    for key in zip(symbols, sides, strict=True):
        seen[key] += 1
        ids.append(client_order_id(run_id, *key, seen[key]))
    return ids


def _refuse_same_ids(ids: list[str], symbols: list[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, str] = {}
    problems = []
    for name, symbol in zip(ids, symbols, strict=True):
        if name in seen:
            text = f"{seen[name]} and {symbol} would both be {name}; trade them in two runs"
            problems.append(Problem("duplicate_client_order_id", text, symbol=symbol))
        seen[name] = symbol
    raise InputError("targets", problems)


def _notes(
    book: AlignedBook,
    terms: _Terms,
    sizes: Sizes,
    trade: NDArray[np.float64],
    working: dict[str, float],
    rejected: dict[str, str],
    nav: float,
) -> list[dict[str, object]]:
    """Warnings about a plan that can be traded."""
    left = sizes.held + np.nan_to_num(trade)
    part = (book.weight == 0) & ~sizes.kept & (np.abs(left) > _DUST) & (np.abs(left) < 1) & (terms.lot >= 1)
    unpriced = sizes.kept & np.isnan(book.value) & (book.held != 0)
    notes = [
        _note("fractional_position", book.symbols[index], f"{left[index]:g} of a share remains; {_FRACTIONAL}")
        for index in np.flatnonzero(part).tolist()
    ] + [
        _note("price_unavailable", book.symbols[index], "kept without a price: its value counts as available cash")
        for index in np.flatnonzero(unpriced).tolist()
    ]
    nothing = book.listed & (np.abs(book.weight) > 0) & (np.abs(left) <= _DUST) & ~np.isnan(book.value)
    nothing &= ~book.rejected & ~sizes.kept
    notes += [
        warning_row(
            "below_one_lot",
            f"the target of {sizes.wanted_value[index]:,.2f} is nothing in whole lots: one lot is worth "
            f"{terms.lot[index] * book.value[index]:,.2f}; fractional=True trades parts of a share",
            table="targets",
            symbol=book.symbols[index],
            column="weight",
        )
        for index in np.flatnonzero(nothing).tolist()
    ]
    known = set(book.symbols)
    notes += [
        warning_row(
            "open_order_exists",
            f"{quantity:g} {_UNRELATED}",
            table="open_orders",
            symbol=symbol,
        )
        for symbol, quantity in working.items()
        if symbol not in known
    ]
    notes += [
        warning_row("open_order_exists", rejected[symbol], table="open_orders", symbol=symbol)
        for symbol, quantity in (zip(book.symbols, trade.tolist(), strict=True) if rejected else ())
        if symbol in rejected and quantity == 0  # a symbol that must trade has a rejected row with this text
    ]
    holdings_value = math.fsum(np.nan_to_num(book.held * book.value).tolist())
    if holdings_value > nav * (1 + _DUST):
        text = f"holdings of {holdings_value:,.2f} exceed nav {nav:,.2f}: cash is negative"
        notes.append(warning_row("negative_cash", text, table="positions"))
    return notes


def _note(code: str, symbol: str, detail: str) -> dict[str, object]:
    return warning_row(code, detail, table="positions", symbol=symbol, column="quantity")
