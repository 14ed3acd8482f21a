"""Pre-trade checks: each order against the limits, before it is reviewed.

Every check gives each order a verdict: ``pass``, ``warn`` or ``block``, with the limit and the value that was
compared with it. A blocked order cannot be approved; no order is changed here. The rules are in
:mod:`~stocklean_exec.risk.rules`, the limits in :mod:`~stocklean_exec.risk.limits`. This module collects the
account and market data for the checks, and keeps it, so that an edited plan is checked against the same data.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.holdings import recorded_holdings
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.account_state import AccountState, PlanInputs, parse_cash, read_inputs
from stocklean_exec.portfolio.alignment import parse_nav, parse_rates
from stocklean_exec.portfolio.contracts import contract_names, traded_contracts, with_contract_quotes
from stocklean_exec.portfolio.order_costs import decision_day
from stocklean_exec.portfolio.working_orders import cash_effect, is_plain, trading_costs
from stocklean_exec.risk.findings import VERDICTS, Findings, check_results
from stocklean_exec.risk.limits import Limits
from stocklean_exec.risk.margins import AccountMargin, account_before, note_assumptions, read_previews
from stocklean_exec.risk.market_closed import (
    AUCTION_UNTIL,
    auction_until,
    market_waits,
    order_hours,
    time_of_check,
)
from stocklean_exec.risk.quote_age import quote_age
from stocklean_exec.risk.quote_columns import QuoteColumns
from stocklean_exec.risk.rules import UNFINISHED, CheckContext, OrderArrays, evaluate, margin_of
from stocklean_exec.risk.splits import holding_ratios
from stocklean_exec.risk.volumes import note_unknown_volumes, volume_by_symbol
from stocklean_exec.schema.frame_validator import add_warnings, warning_row
from stocklean_exec.schema.inputs import currencies_by_symbol, parse_positions, parse_quotes
from stocklean_exec.schema.order_input import parse_open_orders, parse_orders
from stocklean_exec.schema.prices import is_usable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.risk.rules import Sent

__all__ = [
    "CHECK_CONTEXT",
    "Limits",
    "PlanCheck",
    "check_orders",
    "check_results",
    "recheck_orders",
    "remembered_check",
    "unsent_orders",
]

CHECK_CONTEXT = "check_context"
"""Key in a checked frame's ``attrs`` for the limits and data it was checked with, as JSON."""

_DELAYED = (3, 4, "delayed")  # TWS's market data types 3 (delayed) and 4 (delayed frozen), and their name
_NAMES = np.array(VERDICTS, dtype=object)
_SHOWN = 5  # a stated choice: symbols named in one warning, so that it stays readable


class _HasHalt(Protocol):
    @property
    def halted(self) -> str | None: ...


def check_orders(
    orders: object,
    limits: Limits | None = None,
    positions: object = None,
    *,
    quotes: object = None,
    cash: float | None = None,
    nav: float | None = None,
    blotter: Blotter | _HasHalt | None = None,
    now: datetime | None = None,
    base_currency: str | None = None,
    fx: Mapping[str, float] | None = None,
    previews: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Check each order against ``limits``.

    Parameters
    ----------
    orders : from :func:`~stocklean_exec.plan_orders`, or hand-made
    limits : by default ``Limits()``
    positions : an :class:`~stocklean_exec.AccountState`, which has everything of the account; or the current
        positions
    quotes : current quotes; by default those of the state, else each order's own decision price
    cash : of the account; needed unless ``min_cash_after`` is None, or given by a state
    nav : needed for ratios; by default the state's, else cash and positions at the market
    blotter : a halted one blocks every order; its recent orders are checked for duplicates, and its unfinished
        runs for orders in the same symbols that were not sent yet (``unfinished_run``, a warning). A holding that
        differs by a split ratio from the one on record blocks its orders (``suspected_split``)
    now : the time for ages and trading hours; by default the current time, and for a broker's state the broker's
    base_currency : currency of cash, NAV and limits; by default the state's, else USD
    fx : base currency per unit of each other currency. Everything is compared in the base currency; an order in a
        currency without a rate, or quoted in another one than its own, is blocked (``currency_unsupported``)
    previews : from :func:`~stocklean_exec.preview_orders`. An order that the broker would refuse is blocked
        (``preview_refused``). Each order alone, and the most that all of them together may need
        (:func:`~stocklean_exec.plan_margin`), is compared with ``max_initial_margin`` and
        ``min_excess_liquidity``

    Returns
    -------
    DataFrame: ``orders`` with

    =============  =================================================================================
    verdict        ``pass``, ``warn`` or ``block``: the worst of the order's checks
    reasons        codes of the checks that warn or block, worst first, separated by ", "
    checks         JSON: check -> [verdict, limit, value]; :func:`check_results` makes a table of it
    limits         JSON: the limits; part of the approved plan, and enforced when its orders are sent
    fx_rate        base currency per unit of the order's currency; only where one is in another
    auction_until  until when the order's auction takes orders, UTC; only where that is known of one:
                   after it the order is not sent any more
    =============  =================================================================================

    Raises
    ------
    InputError
        A frame cannot be used, or a limit needs a number that was not given, such as the exchange rate of a
        holding.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "run_id": "run-1", "symbol": ["SPY", "TLT"], "side": "BUY", "quantity": [10, 1000],
    ...     "order_type": "MKT",
    ... })
    >>> checked = check_orders(
    ...     orders, Limits(max_order_notional=50_000), quotes={"SPY": 400.0, "TLT": 90.0}, cash=100_000
    ... )
    >>> checked[["symbol", "verdict", "reasons"]]
      symbol verdict       reasons
    0    SPY    pass           NaN
    1    TLT   block  max_notional
    """
    limits = limits or Limits()
    inputs = read_inputs(positions, quotes, nav=nav, cash=cash, base_currency=base_currency, fx=fx)
    held, market = parse_positions(inputs.positions), parse_quotes(inputs.quotes)
    frame = parse_orders(orders, market)
    frame = frame.drop(columns=["fx_rate", AUCTION_UNTIL], errors="ignore")  # of an earlier check
    frame = _with_plan(frame)
    names = contract_names(held, traded_contracts(frame, held, market).by_symbol)
    market = with_contract_quotes(market, inputs.contract_quotes, held, names)
    held = held.assign(symbol=names)
    wall = clock.now()
    at = now or wall
    stamp = at.timestamp()
    recorded = _recorded(blotter)
    state = positions if isinstance(positions, AccountState) else None
    age = quote_age(limits, state if quotes is None else None, now=at, elapsed_to=None if now else wall)
    listed = None if state is None else state.trading_hours
    hours = order_hours(frame, time_of_check(limits, state, named=now, wall=wall), listed, inputs.base_currency)
    held_shares = dict(zip(held["symbol"].tolist(), held["quantity"].tolist(), strict=True))
    answers = read_previews(previews)
    reported = AccountMargin()
    if state is not None:
        reported = AccountMargin(state.initial_margin, state.maintenance_margin, state.equity_with_loan)
    context = CheckContext(
        positions=held_shares,
        quotes=QuoteColumns.of(market, age.shift),
        given_quotes=inputs.quotes is not None,
        cash=math.nan if inputs.cash is None else parse_cash(inputs.cash),
        nav=math.nan if inputs.nav is None else parse_nav(inputs.nav),
        now=stamp,
        halted=None if blotter is None else blotter.halted,
        recent=_recent_orders(recorded, stamp, limits.duplicate_window),
        flags=_flags(market, unsent_orders(recorded, set(frame["run_id"].tolist()))),
        base_currency=inputs.base_currency,
        rates=parse_rates(inputs.fx, inputs.base_currency),
        currencies=currencies_by_symbol(held, market),
        plan_gross=plan_gross(frame, limits),
        quote_age=age.limit,
        old_quotes_warn=age.only_warns,
        volumes=volume_by_symbol(market),
        previews=answers,
        account_margin=account_before(reported, answers),
        is_margin_account=state is not None and state.is_margin_account,
        hours=hours,
        splits=_suspected_splits(blotter, recorded, inputs.account, held_shares),
        **_working(inputs, market, decision_day(frame)),
    )
    checked = _checked(frame, limits, context)
    notes = _delayed_and_old(checked, context) + ([] if state is None else _debits(checked, state))
    notes += _unrecorded_splits(checked, context)
    return add_warnings(checked, [*notes, *hours.notes, *inputs.warnings])


def _with_plan(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``planned_quantity`` to rows whose target is known: an edit changes ``target_quantity`` only."""
    wanted, held = (frame[name].to_numpy(dtype="float64") for name in ("target_quantity", "current_quantity"))
    with np.errstate(invalid="ignore"):  # either may be infinite
        gap = np.abs(wanted - held)
    if "planned_quantity" in frame.columns:
        known = frame["planned_quantity"].to_numpy(dtype="float64")
        gap = np.where(np.isnan(known), gap, known)
    if not np.isnan(gap).all():
        frame["planned_quantity"] = gap
    return frame


def plan_gross(frame: pd.DataFrame, limits: Limits) -> float:
    """Gross exposure that the plan was made with: the least of its rows; NaN for any.

    Orders without a plan may reach 1. Without shorts, the check of cash holds them to it already.
    """
    known = frame["max_gross"].dropna() if "max_gross" in frame.columns else pd.Series(dtype="float64")
    if len(known):
        return float(known.min())
    is_bounded = limits.min_cash_after is not None and limits.min_cash_after >= 0
    return math.nan if limits.allow_short or is_bounded else 1.0


def _suspected_splits(
    blotter: object, recorded: pd.DataFrame, account: str | None, held: dict[str, float]
) -> dict[str, float]:
    """Holdings that differ by a split ratio from what the blotter has last recorded for the account.

    Symbols with orders that have not ended on record are excluded: their fills may not be recorded yet.
    """
    last_book = getattr(blotter, "last_book", None)
    if last_book is None or not held:
        return {}
    accounts = [account] if account is not None else recorded["account"].dropna().unique().tolist()
    if len(accounts) != 1:
        return {}
    orders = recorded[recorded["account"] == accounts[0]]
    opening = last_book(accounts[0])
    if opening.empty or orders.empty:
        return {}
    fills = getattr(blotter, "fills")()  # noqa: B009 - a blotter that has books has fills
    fills = fills[fills["client_order_id"].isin(orders["client_order_id"])]
    excluded = set(orders.loc[orders["status"].isin(["SUBMITTED", "PARTIAL", "UNKNOWN"]), "symbol"])
    # The broker's clock may be ahead: a fill that it dates later may be in the holdings of the opening already.
    arrived = fills["client_order_id"].map(orders.set_index("client_order_id")["arrived_at"])
    certain = recorded_holdings(opening, orders, fills[arrived >= opening["taken_at"].iloc[0]])
    excluded |= {name for name, shares in held.items() if name in certain and math.isclose(shares, certain[name])}
    expected = recorded_holdings(opening, orders, fills)
    return holding_ratios(held, {name: shares for name, shares in expected.items() if name not in excluded})


def _delayed_and_old(checked: pd.DataFrame, context: CheckContext) -> list[dict[str, object]]:
    """Say once why delayed quotes are too old, and what to do about it."""
    delayed = {symbol for symbol, flags in context.flags.items() if "delayed_price" in flags}
    if not delayed:
        return []
    reasons = checked["reasons"].fillna("").tolist()
    rows = zip(checked["symbol"].tolist(), reasons, strict=True)
    found = {symbol for symbol, codes in rows if symbol in delayed and "price_stale" in codes.split(", ")}
    if not found:
        return []
    text = (
        f"only delayed quotes of {_listed(sorted(found))}, and TWS does not report how old delayed data is: "
        "subscribe to live data of their markets, or set max_quote_age to None, which trades on quotes of unknown "
        "age"
    )
    return [warning_row("delayed_price", text, table="quotes", column="quoted_at")]


def _unrecorded_splits(checked: pd.DataFrame, context: CheckContext) -> Iterator[dict[str, object]]:
    """Say what to do about holdings that differ from the record by a split ratio."""
    for symbol in sorted({*checked["symbol"]} & {*context.splits}):
        text = (
            f"the account holds {context.splits[symbol]:.4g} times as many as the record says: if it was split, "
            "sx.record_split records that, for what strategies hold too"
        )
        yield warning_row("suspected_split", text, table="positions", symbol=symbol, column="quantity")


def _listed(symbols: list[str]) -> str:
    """The first of ``symbols``, and how many more there are."""
    return ", ".join(symbols[:_SHOWN]) + (f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else "")


def _without_price(limits: Limits, unpriced: list[str]) -> list[dict[str, object]]:
    """Name the holdings that have no price: gross exposure is at least that of the others, and not known."""
    if limits.max_gross is None or not unpriced:
        return []
    text = f"no price or exchange rate of {_listed(unpriced)}, so gross exposure is UNKNOWN: compared without them"
    return [warning_row("gross_unknown", text, table="positions")]


def _debits(checked: pd.DataFrame, state: AccountState) -> list[dict[str, object]]:
    """Name the currencies of which the account would owe money once all orders that may be sent have filled."""
    if "fx_rate" not in checked.columns:
        return []
    sent = checked[checked["verdict"] != "block"]
    price = sent["decision_price"].fillna(sent["limit_price"])
    flow = (sent["quantity"] * price).where(sent["side"] == "SELL", -sent["quantity"] * price)
    held = dict(zip(state.cash_by_currency["currency"], state.cash_by_currency["amount"], strict=True))
    after = {
        str(currency): held.get(str(currency), 0.0) + float(total)
        for currency, total in flow.groupby(sent["currency"].fillna(state.base_currency)).sum().items()
    }
    return [
        warning_row(
            "currency_debit",
            f"once the plan is filled the account owes {-amount:,.0f} {currency}: a margin account borrows it, a "
            "cash account converts other cash; convert beforehand to avoid either",
            table="orders",
        )
        for currency, amount in after.items()
        if amount < -1.0  # a stated choice: less than one unit is rounding
    ]


def recheck_orders(orders: pd.DataFrame) -> pd.DataFrame:
    """Check ``orders`` again with the same limits and data as before: used after an edit.

    Raises
    ------
    InputError
        The frame has lost its check context; call :func:`check_orders` again.
    """
    limits, context = remembered_check(orders)
    plain = orders.drop(columns=["verdict", "reasons", "checks", "limits", "fx_rate"], errors="ignore")
    return _checked(parse_orders(plain), limits, context)


def remembered_check(orders: pd.DataFrame) -> tuple[Limits, CheckContext]:
    """Limits and context of the last check of ``orders``.

    Raises
    ------
    InputError
        The frame has lost its check context; call :func:`check_orders` again.
    """
    text = orders.attrs.get(CHECK_CONTEXT)
    if not isinstance(text, str):
        problem = Problem("not_checked", "this frame was not checked; call check_orders first")
        raise InputError("orders", [problem])
    stored = json.loads(text)
    return Limits.of(stored["limits"]), CheckContext.from_json(stored["context"])


@dataclass(frozen=True, slots=True, eq=False)
class PlanCheck:
    """The current check of a plan: limits, context, the orders as arrays, and the findings.

    It makes interactive edits fast: data that an edit cannot change is read once, and :meth:`edited` gives the
    result of :func:`recheck_orders` much sooner. Only for frames of :func:`check_orders` whose changed rows were
    validated again.
    """

    limits: Limits
    context: CheckContext
    arrays: OrderArrays
    findings: Findings

    @classmethod
    def of(cls, orders: pd.DataFrame) -> PlanCheck:
        """Check ``orders`` again with the limits and context of their last check.

        Raises
        ------
        InputError
            The frame has lost its check context; call :func:`check_orders` again.
        """
        limits, context = remembered_check(orders)
        return cls.against(orders, limits, context)

    @classmethod
    def against(cls, orders: pd.DataFrame, limits: Limits, context: CheckContext) -> PlanCheck:
        """Check canonical ``orders`` against ``limits``."""
        arrays = OrderArrays.of(orders, context)
        return cls(limits, context, arrays, evaluate(arrays, limits, context))

    def edited(self, orders: pd.DataFrame) -> PlanCheck:
        """Check the same orders with edited quantities, prices, types and times in force, in the same context."""
        arrays = self.arrays.edited(orders, market_waits(orders, self.context.hours))
        return replace(self, arrays=arrays, findings=evaluate(arrays, self.limits, self.context))

    def mark(self, orders: pd.DataFrame) -> None:
        """Write ``verdict`` and ``reasons`` into ``orders``; ``checks`` is written on demand.

        ``notional`` is set to the quantity times the decision price, or else the price of the check: value caps
        use it when orders are sent.
        """
        arrays = self.arrays
        price = np.where(is_usable(arrays.decision), arrays.decision, arrays.price)
        known = ~arrays.refused & ~np.isnan(price)
        value = np.round(arrays.quantity * np.nan_to_num(price), 8)
        orders["notional"] = np.where(known, value, orders["notional"].to_numpy(dtype="float64"))
        orders["verdict"] = pd.array(_NAMES[self.findings.worst], dtype="str")
        orders["reasons"] = pd.array(self.findings.reasons(), dtype="str")
        until = auction_until(arrays.waits, self.context.hours)
        if until is not None:
            orders[AUCTION_UNTIL] = until
        elif AUCTION_UNTIL in orders.columns:  # of an order that is none for an auction any more
            del orders[AUCTION_UNTIL]


def _checked(frame: pd.DataFrame, limits: Limits, context: CheckContext) -> pd.DataFrame:
    check = PlanCheck.against(frame, limits, context)
    check.mark(frame)
    frame["checks"] = pd.array(check.findings.as_json(), dtype="str")
    frame["limits"] = pd.array([limits.to_json()], dtype="str").repeat(len(frame))
    if (check.arrays.rate != 1).any():
        frame["fx_rate"] = check.arrays.rate
    if limits.max_adv_ratio is not None:
        add_warnings(frame, note_unknown_volumes(check.arrays.volume))
    add_warnings(frame, _without_price(limits, check.arrays.unpriced))
    if limits.max_initial_margin is not None or limits.min_excess_liquidity is not None:
        add_warnings(frame, _assumptions(check))
    frame.attrs[CHECK_CONTEXT] = json.dumps({"limits": limits.to_dict(), "context": context.to_json()})
    return frame


def _assumptions(check: PlanCheck) -> list[dict[str, object]]:
    """What the comparison of the plan with the limits on margin rests on."""
    margin, chosen = margin_of(check.arrays, check.context), check.arrays.quantity > 0
    assumes = "regulation_t" in margin.bases(chosen)
    unknown = np.isnan(margin.by_symbol(chosen)[0]).tolist()
    unpriced = sorted(compress(margin.book.names, unknown))
    return note_assumptions(check.limits, margin.before, margin.coverage(chosen), unpriced, assumes=assumes)


def unsent_orders(recorded: pd.DataFrame, run_ids: set[str]) -> pd.DataFrame:
    """Approved orders of other runs than ``run_ids`` that are recorded but not sent yet."""
    if recorded.empty:
        return recorded
    waiting = (recorded["state"] == "INTENT") & recorded["approved"].fillna(value=False).astype("bool")
    return recorded[waiting & ~recorded["run_id"].isin(run_ids)]


def _working(inputs: PlanInputs, market: pd.DataFrame, day: date | None) -> dict[str, Any]:
    """What the working orders of a state will do: anyone's buys take cash, plain sells of our own bring it."""
    orders = inputs.open_orders
    if orders is None or orders.empty:
        return {}
    rates = parse_rates(inputs.fx, inputs.base_currency)
    effects = cash_effect(orders, market, inputs.base_currency, rates, day)
    sells = {
        symbol: -shares
        for symbol, shares in parse_open_orders(orders[orders["side"].str.upper() == "SELL"]).items()
    }
    certain = np.where(is_plain(orders), effects, np.fmin(effects, 0.0))
    buys = parse_open_orders(orders[orders["side"].str.upper() == "BUY"])
    costs = trading_costs(orders, market, inputs.base_currency, rates, day)
    return {
        "working_cash": math.fsum(certain.tolist()),
        "working_sells": sells,
        "working": {name: (buys.get(name, 0.0), sells.get(name, 0.0)) for name in (*buys, *sells)},
        "working_costs": math.fsum(costs.tolist()),
    }


def _flags(quotes: pd.DataFrame, unsent: pd.DataFrame) -> dict[str, list[str]]:
    """Flags of each symbol: from market data columns other than prices, and from the blotter."""
    found: dict[str, list[str]] = {}
    for symbol in dict.fromkeys(unsent["symbol"].tolist() if len(unsent) else ()):
        found.setdefault(symbol, []).append(UNFINISHED)
    if "halted" in quotes.columns:
        for symbol in quotes.loc[quotes["halted"].fillna(value=False).astype(bool), "symbol"]:
            found.setdefault(symbol, []).append("symbol_halted")
    if "data_type" in quotes.columns:
        for symbol in quotes.loc[quotes["data_type"].isin(_DELAYED), "symbol"]:
            found.setdefault(symbol, []).append("delayed_price")
    return found


def _recorded(blotter: object) -> pd.DataFrame:
    """Recorded orders; none without a blotter."""
    orders = getattr(blotter, "orders", None)
    return pd.DataFrame() if orders is None else orders()


def _recent_orders(known: pd.DataFrame, now: float, window: float | None) -> list[Sent]:
    if window is None or known.empty:
        return []
    unfilled = known["status"].isin(["CANCELLED", "REJECTED"]) & (known["filled_quantity"] == 0)
    known = known[known["arrived_at"].notna() & ~unfilled]  # an order that ended without a fill may be repeated
    sent_at = (known["arrived_at"].astype("int64") / 1e6).tolist()
    arrays = [known[name].tolist() for name in ("client_order_id", "symbol", "side", "quantity")]
    return [row for row in zip(*arrays, sent_at, strict=True) if now - row[-1] <= window]
