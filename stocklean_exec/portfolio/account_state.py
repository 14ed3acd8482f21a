"""The account as one thing: NAV, cash, holdings, open orders, quotes and exchange rates, read together.

Planning and checking take an :class:`AccountState` in place of five separate inputs, so that one plan cannot mix
two accounts, two moments or two base currencies. A broker makes one with
:meth:`~stocklean_exec.Broker.account_state`; :meth:`AccountState.of` makes one by hand, offline. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.portfolio.alignment import AlignedBook, Unlisted, align, parse_nav, parse_rates
from stocklean_exec.portfolio.contracts import contract_names, traded_contracts, with_contract_quotes
from stocklean_exec.schema.account_ids import mask_account
from stocklean_exec.schema.frame_validator import number_option, shown, warning_row
from stocklean_exec.schema.html_card import card
from stocklean_exec.schema.inputs import parse_positions, parse_quotes
from stocklean_exec.schema.keyed_values import values_by_key
from stocklean_exec.schema.order_input import parse_open_orders
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.strategies.division import UNASSIGNED
from stocklean_exec.strategies.holdings import parse_holdings
from stocklean_exec.strategies.strategy_book import StrategyBook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

__all__ = ["CASH_COLUMNS", "FX_COLUMNS", "AccountState", "PlanInputs", "difference", "read_inputs"]

CASH_COLUMNS = ("currency", "amount", "rate")
"""Columns of :attr:`AccountState.cash_by_currency`; ``rate`` is base currency per unit, NaN if unknown."""

FX_COLUMNS = ("rate", "source", "taken_at")
"""Columns of :attr:`AccountState.fx`, indexed by currency."""

_LARGEST_CASH = 1e15  # a stated choice: above it, a float no longer resolves cents reliably
_RATE_FACTOR = 10.0  # a stated choice: no currency moves tenfold between two readings of an account
_RECIPROCAL_BAND = 0.2  # a stated choice: how far an inverted rate may be from the account's, as rates move
_TOLERANCE = 0.05
"""Part of the gross value of all holdings by which NAV may differ from cash and holdings at their quotes. A stated
choice: delayed quotes and the broker's own marks differ by a few percent on a wild day, a mixture of two accounts
or two currencies by more."""


@dataclass(frozen=True, slots=True, eq=False)
class AccountState:
    """What planning and checking need to know of an account, read together. Every frame is a copy.

    Attributes
    ----------
    account : account number; None for a state made by hand without one
    base_currency : the currency of NAV and of all totals
    nav : net asset value, base currency
    cash : of all currencies, base currency; negative is owed
    settled_cash : cash of settled trades, base currency; NaN where the broker does not report it
    available_funds : equity with loan value less initial margin, base currency; NaN where not reported
    initial_margin, maintenance_margin : what the positions need to be opened and to be kept, base currency; NaN
        where not reported
    equity_with_loan : what margin is compared with, base currency; NaN where not reported
    is_margin_account : whether the broker's figures show a margin account; False also where they do not say
    taken_at : time at which each part was read, by the broker's clock
    read_at : time at which it was read from a broker whose quotes age, by this computer's clock; else None
    market_time : time of the reading by the clock of the broker's market; None for a state made by hand
    never_closes : whether everything trades at that broker at any time
    """

    account: str | None
    base_currency: str
    nav: float
    cash: float
    settled_cash: float = math.nan
    available_funds: float = math.nan
    taken_at: Mapping[str, datetime] = field(default_factory=dict)
    read_at: datetime | None = None
    market_time: datetime | None = None
    never_closes: bool = False
    initial_margin: float = math.nan
    maintenance_margin: float = math.nan
    equity_with_loan: float = math.nan
    is_margin_account: bool = False
    _positions: pd.DataFrame = field(default_factory=lambda: parse_positions(None), repr=False)
    _quotes: pd.DataFrame = field(default_factory=lambda: parse_quotes(None), repr=False)
    _open_orders: pd.DataFrame | None = field(default=None, repr=False)
    _cash_by_currency: pd.DataFrame | None = field(default=None, repr=False)
    _fx: pd.DataFrame | None = field(default=None, repr=False)
    _contract_quotes: pd.DataFrame | None = field(default=None, repr=False)
    _strategies: StrategyBook | None = field(default=None, repr=False)
    _trading_hours: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def excess_liquidity(self) -> float:
        """Equity with loan value less maintenance margin: below zero, positions are liquidated; NaN if unknown.

        Examples
        --------
        >>> state = AccountState(None, "USD", 100.0, 100.0, maintenance_margin=25.0, equity_with_loan=90.0)
        >>> state.excess_liquidity
        65.0
        """
        return self.equity_with_loan - self.maintenance_margin

    @property
    def positions(self) -> pd.DataFrame:
        """What is held: :data:`~stocklean_exec.schema.tables.POSITIONS`."""
        return self._positions.copy()

    @property
    def quotes(self) -> pd.DataFrame:
        """Quotes of targets and holdings: :data:`~stocklean_exec.schema.tables.QUOTES`, and more."""
        return self._quotes.copy()

    @property
    def contract_quotes(self) -> pd.DataFrame | None:
        """Quotes of holdings in other contracts than those of :attr:`quotes`, by ``con_id``; None without any."""
        return None if self._contract_quotes is None else self._contract_quotes.copy()

    @property
    def trading_hours(self) -> pd.DataFrame | None:
        """Hours of the contracts of :attr:`quotes`, as the broker reports them; None for a state made by hand."""
        return None if self._trading_hours is None else self._trading_hours.copy()

    @property
    def open_orders(self) -> pd.DataFrame | None:
        """Working orders, whoever placed them, as ``broker.open_orders()`` gives them; None if not given."""
        return None if self._open_orders is None else self._open_orders.copy()

    @property
    def cash_by_currency(self) -> pd.DataFrame:
        """Cash in each currency: :data:`CASH_COLUMNS`."""
        if self._cash_by_currency is not None:
            return self._cash_by_currency.copy()
        return pd.DataFrame([(self.base_currency, self.cash, 1.0)], columns=list(CASH_COLUMNS))

    @property
    def fx(self) -> pd.DataFrame:
        """Value of one unit of each other currency in the base currency: :data:`FX_COLUMNS` by currency."""
        return fx_frame({}, "") if self._fx is None else self._fx.copy()

    @property
    def rates(self) -> dict[str, float]:
        """The rates of :attr:`fx` by currency, as ``fx=`` takes them."""
        return {} if self._fx is None else {str(name): float(rate) for name, rate in self._fx["rate"].items()}

    @property
    def strategies(self) -> dict[str, dict[str, float]] | None:
        """Signed shares of each strategy, by symbol; None if not given by :meth:`with_strategies`."""
        book = self._strategies
        return None if book is None else {symbol: dict(own) for symbol, own in book.holdings.items()}

    @property
    def strategy_book(self) -> StrategyBook | None:
        """What the record says of the strategies; None if not given by :meth:`with_strategies`."""
        return self._strategies

    @property
    def strategy_navs(self) -> pd.DataFrame:
        """Value of each strategy in the base currency: ``strategy``, ``holdings``, ``cash``, ``nav``.

        Holdings are at their quotes, cash is that of the record. NaN is unknown: cash that was never assigned
        (:func:`~stocklean_exec.assign_cash`), a holding without a price or an exchange rate. The last row is what
        is ``unassigned`` of the account, so that each column adds up to the account's.

        Examples
        --------
        >>> from stocklean_exec.strategies.strategy_book import StrategyBook
        >>> state = AccountState.of({"SPY": 100}, {"SPY": 400.0}, nav=50_000)
        >>> book = StrategyBook({"SPY": {"value": 60.0}}, cash={"value": {"USD": 5_000.0}})
        >>> state.with_strategies(book).strategy_navs
             strategy  holdings     cash      nav
        0       value   24000.0   5000.0  29000.0
        1  unassigned   16000.0   5000.0  21000.0
        """
        book = StrategyBook({}) if self._strategies is None else self._strategies
        prices = usable_prices(self._quotes)["price"].to_dict()
        currencies = dict(zip(self._quotes["symbol"].tolist(), self._quotes["currency"].tolist(), strict=True))
        currencies |= dict(zip(self._positions["symbol"], self._positions["currency"], strict=True))
        rates = {self.base_currency: 1.0, **self.rates}

        def value(symbol: str) -> float:
            currency = currencies.get(symbol)
            rate = rates.get(currency if isinstance(currency, str) else self.base_currency, math.nan)
            return float(prices.get(symbol, math.nan)) * rate

        rows: list[tuple[Any, ...]] = []
        for name in book.names:
            own = [
                shares * value(symbol)
                for symbol, parts in book.holdings.items()
                for strategy, shares in parts.items()
                if strategy == name
            ]
            cash = [
                amount * rates.get(currency, math.nan) if amount else amount
                for currency, amount in book.cash.get(name, {"": math.nan}).items()
            ]
            rows.append((name, math.fsum(own), math.fsum(cash), math.fsum([*own, *cash])))
        held = math.fsum(shares * value(symbol) for symbol, shares in self._shares() if shares)
        rest = [
            total - math.fsum(row[place] for row in rows)
            for place, total in enumerate((held, self.cash, self.nav), start=1)
        ]
        frame = pd.DataFrame([*rows, (UNASSIGNED, *rest)], columns=["strategy", "holdings", "cash", "nav"])
        return frame.astype({"strategy": "str"}).round(6)

    def _shares(self) -> Iterator[tuple[str, float]]:
        yield from zip(self._positions["symbol"].tolist(), self._positions["quantity"].tolist(), strict=True)

    def with_strategies(self, strategies: object) -> AccountState:
        """Return the same state with what each strategy holds of its positions; the rest belongs to nobody.

        Parameters
        ----------
        strategies : ``blotter.strategy_book(state)``, which also knows whose the working orders are; or holdings
            alone, in signed shares: ``{"value": {"SPY": 60}}``, or ``blotter.strategy_positions(state)``

        Raises
        ------
        InputError
            With every row that cannot be used.

        Examples
        --------
        >>> state = AccountState.of({"SPY": 100}, {"SPY": 400.0}, nav=50_000)
        >>> state.with_strategies({"value": {"SPY": 60}}).strategies
        {'SPY': {'value': 60.0}}
        """
        if isinstance(strategies, StrategyBook):
            return replace(self, _strategies=strategies)
        return replace(self, _strategies=StrategyBook(parse_holdings(strategies, unassigned=True)))

    @classmethod
    def of(
        cls,
        positions: object = None,
        quotes: object = None,
        *,
        nav: float,
        cash: float | None = None,
        base_currency: str = "USD",
        fx: Mapping[str, float] | None = None,
        open_orders: pd.DataFrame | None = None,
        account: str | None = None,
    ) -> AccountState:
        """Make a state by hand, for planning offline.

        Parameters
        ----------
        positions : symbol and quantity: a table, a Series or a mapping; None for nothing held
        quotes : a quotes table, or a mapping symbol -> price
        nav : net asset value, base currency
        cash : base currency; by default NAV less the holdings at their quotes, which all of them need then
        base_currency : the currency of ``nav`` and ``cash``
        fx : base currency per unit of each other currency
        open_orders : working orders: symbol, side, quantity and more
        account : account number

        Raises
        ------
        InputError
            An input cannot be used, or ``nav``, ``cash`` and holdings contradict each other.

        Examples
        --------
        >>> state = AccountState.of({"SPY": 100}, {"SPY": 400.0, "TLT": 90.0}, nav=50_000)
        >>> state.cash, state.base_currency
        (10000.0, 'USD')
        """
        _check_currency(base_currency)
        held, market, value = parse_positions(positions), parse_quotes(quotes), parse_nav(nav)
        rates = parse_rates(fx, base_currency)
        parse_open_orders(open_orders)
        if cash is None:
            amount = value - math.fsum(_holding_values(held, market, rates, base_currency, strict=True))
        else:
            amount = parse_cash(cash)
        state = cls(
            account=account,
            base_currency=base_currency,
            nav=value,
            cash=round(amount, 6),
            _positions=held,
            _quotes=market,
            _open_orders=None if open_orders is None else open_orders.copy(),
            _fx=fx_frame(rates, "given"),
        )
        contradiction = difference(state)
        if contradiction:
            raise InputError("account_state", [Problem("account_state_inconsistent", contradiction)])
        return state

    def __repr__(self) -> str:
        open_count = 0 if self._open_orders is None else len(self._open_orders)
        name = "by hand" if self.account is None else mask_account(self.account)
        return (
            f"<AccountState {name}: NAV {self.nav:,.2f} {self.base_currency}, cash {self.cash:,.2f}, "
            f"{len(self._positions)} positions, {open_count} open orders>"
        )

    def _repr_html_(self) -> str:
        name = "by hand" if self.account is None else mask_account(self.account)
        entries: list[tuple[object, object]] = [
            ("NAV", f"{self.nav:,.2f} {self.base_currency}"),
            ("cash", f"{self.cash:,.2f} {self.base_currency}"),
        ]
        entries += [
            (label, f"{value:,.2f} {self.base_currency}")
            for label, value in (
                ("settled cash", self.settled_cash),
                ("available funds", self.available_funds),
                ("initial margin", self.initial_margin),
                ("excess liquidity", self.excess_liquidity),
            )
            if not math.isnan(value)
        ]
        entries += [("positions", len(self._positions)), ("quotes", len(self._quotes))]
        entries.append(("open orders", "not given" if self._open_orders is None else len(self._open_orders)))
        cash = self.cash_by_currency
        table = None
        if len(cash) > 1:
            rows = [
                (currency, f"{amount:,.2f}", "unknown" if math.isnan(rate) else f"{rate:.7g}")
                for currency, amount, rate in cash[list(CASH_COLUMNS)].itertuples(index=False)
            ]
            table = (("currency", "cash", f"{self.base_currency} per unit"), rows)
        taken = max(self.taken_at.values(), default=None)
        note = "" if taken is None else f"read {taken:%Y-%m-%d %H:%M:%S} UTC"
        return card("Account", [name], entries, table, note)


def parse_cash(cash: object) -> float:
    """Cash as a float; below zero is a debit balance.

    Examples
    --------
    >>> parse_cash(-12.5)
    -12.5
    """
    try:
        return number_option("cash", cash, least=-_LARGEST_CASH, most=_LARGEST_CASH)
    except InputError:
        text = f"cash {shown(cash)} is not an amount of money"
        raise InputError("cash", [Problem("cash_missing", text)]) from None


def fx_frame(rates: Mapping[str, float], source: str, taken_at: datetime | None = None) -> pd.DataFrame:
    """Return the frame of :attr:`AccountState.fx` for rates of one source and time.

    Examples
    --------
    >>> fx_frame({"EUR": 1.1}, "given")["rate"].to_dict()
    {'EUR': 1.1}
    """
    columns = {
        "rate": pd.array(list(rates.values()), dtype="float64"),
        "source": pd.array([source] * len(rates), dtype="str"),
        "taken_at": pd.array([taken_at] * len(rates), dtype="datetime64[us, UTC]"),
    }
    return pd.DataFrame(columns, index=pd.Index(list(rates), name="currency", dtype="str"))


def difference(state: AccountState) -> str:
    """Say how far NAV, cash and holdings at their quotes disagree; empty where they agree.

    A holding without a price or an exchange rate makes the comparison impossible, which is not a disagreement.

    Examples
    --------
    >>> difference(AccountState(None, "USD", nav=100.0, cash=90.0))
    'NAV 100.00 USD is 10.00 more than cash 90.00 and holdings of 0.00 at their quotes'
    """
    values = _holding_values(
        state.positions, state.quotes, state.rates, state.base_currency, more=state.contract_quotes
    )
    if any(math.isnan(value) for value in values):
        return ""
    total, gross = math.fsum(values), math.fsum(map(abs, values))
    gap = state.nav - state.cash - total
    # Half a cent for each of three rounded amounts.
    if abs(gap) <= _TOLERANCE * gross + 0.015:
        return ""
    how = "more" if gap > 0 else "less"
    return (
        f"NAV {state.nav:,.2f} {state.base_currency} is {abs(gap):,.2f} {how} than cash {state.cash:,.2f} and "
        f"holdings of {total:,.2f} at their quotes"
    )


def _holding_values(
    held: pd.DataFrame,
    quotes: pd.DataFrame,
    rates: Mapping[str, float],
    base: str,
    *,
    strict: bool = False,
    more: pd.DataFrame | None = None,
) -> list[float]:
    """Value of each holding in the base currency, NaN where it is unknown; ``strict`` raises for these."""
    held = held[held["quantity"] != 0]
    if held.empty:
        return []
    known = {base: 1.0, **rates}
    names = contract_names(held, traded_contracts(quotes, held).by_symbol)
    prices = usable_prices(with_contract_quotes(quotes, more, held, names))["price"]
    price = prices.reindex(names).to_numpy(dtype="float64")
    rate = np.array([known.get(name, math.nan) for name in held["currency"].fillna(base)], dtype="float64")
    values = held["quantity"].to_numpy(dtype="float64") * price * rate
    if strict and np.isnan(values).any():
        text = "held without a usable price or exchange rate, so cash is unknown; give cash="
        lost = held.loc[np.isnan(values), "symbol"].tolist()
        raise InputError("cash", [Problem("cash_missing", text, symbol=symbol) for symbol in lost])
    return [float(value) for value in values]


def _check_currency(base_currency: object) -> None:
    if not (isinstance(base_currency, str) and base_currency):
        text = f"base_currency {shown(base_currency)} is not text"
        raise InputError("options", [Problem("option_invalid", text, column="base_currency")])


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """The inputs of a plan or a check, from an :class:`AccountState` or one by one; None is not given."""

    positions: object
    quotes: object
    nav: Any
    cash: Any
    base_currency: str
    fx: Mapping[str, float] | None
    open_orders: pd.DataFrame | None
    account: str | None
    contract_quotes: pd.DataFrame | None = None
    warnings: tuple[dict[str, object], ...] = ()

    def align(
        self, targets: pd.DataFrame, positions: pd.DataFrame, quotes: pd.DataFrame, unlisted: Unlisted
    ) -> AlignedBook:
        """Align validated tables in the currency of these inputs."""
        return align(
            targets,
            positions,
            quotes,
            unlisted=unlisted,
            base_currency=self.base_currency,
            fx=self.fx,
            contract_quotes=self.contract_quotes,
        )


def read_inputs(
    positions: object,
    quotes: object,
    *,
    nav: object = None,
    cash: object = None,
    base_currency: str | None = None,
    fx: Mapping[str, float] | None = None,
    open_orders: pd.DataFrame | None = None,
    account: str | None = None,
) -> PlanInputs:
    """Take the inputs from a state in place of ``positions``, or as they are given.

    With a state only newer quotes and rates, other open orders, and the account and base currency that the state
    has, may be given. A rate that is ten times off the account's own is a warning ``fx_suspicious``.

    Raises
    ------
    InputError
        Something else is given together with a state, or contradicts it.

    Examples
    --------
    >>> state = AccountState.of(None, {"SPY": 400.0}, nav=1_000)
    >>> inputs = read_inputs(state, None)
    >>> inputs.nav, inputs.cash, inputs.base_currency
    (1000.0, 1000.0, 'USD')
    """
    if not isinstance(positions, AccountState):
        base = "USD" if base_currency is None else base_currency
        return PlanInputs(positions, quotes, nav, cash, base, fx, open_orders, account)
    state = positions
    problems = [
        Problem("state_and_input", f"{name}= is in the account state already; give only one of them", column=name)
        for name, value in (("nav", nav), ("cash", cash))
        if value is not None
    ]
    for name, given, own in (
        ("base_currency", base_currency, state.base_currency),
        ("account", account, state.account),
    ):
        if given is not None and own is not None and given != own:
            hidden = [mask_account(str(each)) if name == "account" else each for each in (given, own)]
            text = f"{name} {hidden[0]} is not {hidden[1]}, which the account state is of"
            problems.append(Problem("state_and_input", text, column=name))
    if problems:
        raise InputError("options", problems)
    return PlanInputs(
        positions=state.positions,
        quotes=state.quotes if quotes is None else quotes,
        nav=state.nav,
        cash=state.cash,
        base_currency=state.base_currency,
        fx=state.rates if fx is None else {**state.rates, **values_by_key(fx, "fx")},
        open_orders=state.open_orders if open_orders is None else open_orders,
        account=account or state.account,
        contract_quotes=state.contract_quotes,
        warnings=tuple(_suspicious_rates(fx, state)),
    )


def _suspicious_rates(fx: object, state: AccountState) -> Iterator[dict[str, object]]:
    """Warn about given rates that are ten times off the account's own."""
    for currency, rate in parse_rates(fx, state.base_currency).items():
        own = state.rates.get(currency, math.nan)
        if not (rate >= own * _RATE_FACTOR or rate <= own / _RATE_FACTOR):
            continue
        pair = f"{state.base_currency} per {currency}"
        text = f"the rate of {rate:g} {pair} is far from the account's {own:g}"
        if abs(rate * own - 1) < _RECIPROCAL_BAND:
            text += (
                f"; it looks inverted: give {1 / rate:.6g}, the {state.base_currency} that one {currency} is worth"
            )
        yield warning_row("fx_suspicious", text, table="fx", column=currency)
