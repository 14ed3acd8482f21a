"""Cash available for buys: cash at the start, minus what working buys may cost, plus the trades since then.

A buy is sent when the cash of the account covers what it may cost; sells that have not traded do not count. Cash
is the broker's figure at the start of the run. From then on the ledger here adds each execution and its
commission, because account values of TWS are up to three minutes old ("Account updates", TWS API documentation).
All runs that share a broker object share its ledger, so that two runs do not spend the same cash.

A market buy may cost more than the quoted ask: a margin for that is kept free until it has traded. So the last
buys of a fully invested plan wait for the fills of the first ones, and what these really cost decides whether the
last one is sent whole or for fewer shares.

The broker may allow less than the cash there is: in a cash account only settled cash buys, and in a margin account
available funds are a ceiling. What the broker reports is such a ceiling (:meth:`Funding.set_ceiling`), read again
after sells have traded.

Amounts are in the base currency of the account.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.execution.recovery_rules import trade_date
from stocklean_exec.execution.settlement_calendar import settlement_of
from stocklean_exec.portfolio.order_costs import SLIPPAGE_MARGIN
from stocklean_exec.schema.frame_validator import number_option, shown

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket

__all__ = [
    "AccountKind",
    "CashLedger",
    "Funding",
    "FundingMode",
    "FundingOptions",
    "Unsettled",
    "buy_cost",
    "cash_effect",
    "ceiling_of",
    "describe_available",
    "is_margin_account",
    "ledger_of",
    "sent_last",
    "slippage_margin",
]

FundingMode = Literal["fills", "margin"]
AccountKind = Literal["cash", "margin"]
Unsettled = Literal["wait", "allow"]

_INITIAL_MARGIN = 0.5  # part of the value of shares that a buyer must have: Regulation T, 12 CFR 220.12
_ROUNDING = 1e-6  # of a currency unit: above the rounding error of sums of doubles, far below a cent
_HIGHEST = 1e9  # no share costs a billion: such a number is TWS's "not set" value, or corrupt data

_LEDGERS: weakref.WeakKeyDictionary[Broker, CashLedger] = weakref.WeakKeyDictionary()


class FundingOptions(NamedTuple):
    """How the buys of a run are paid for; made by :meth:`of`, and recorded with the run.

    ``mode`` is ``"fills"`` (a buy is sent once the cash for it is there) or ``"margin"`` (nothing waits);
    ``timeout`` the seconds that buys wait for cash, None for as long as the run waits for open orders;
    ``account_kind`` what the caller says of the account, None to go by what the broker reports; ``unsettled``
    whether a cash account may buy with the proceeds of sales that have not settled.
    """

    mode: FundingMode = "fills"
    timeout: float | None = None
    account_kind: AccountKind | None = None
    unsettled: Unsettled = "wait"

    @classmethod
    def of(cls, funding: object, funding_timeout: object, account_kind: object, unsettled: object) -> Self:
        """Check the options as a caller gave them.

        Raises
        ------
        InputError
            With every option that is not one of the known values.
        """
        problems = [
            Problem(
                "option_invalid", f"{name} {shown(value)} is not one of {', '.join(map(str, known))}", column=name
            )
            for name, value, known in (
                ("funding", funding, get_args(FundingMode)),
                ("account_kind", account_kind, (None, *get_args(AccountKind))),
                ("unsettled", unsettled, get_args(Unsettled)),
            )
            if not isinstance(value, (str, type(None))) or value not in known
        ]
        timeout = None
        if funding_timeout is not None:
            try:
                timeout = number_option("funding_timeout", funding_timeout, least=0.0, most=_HIGHEST)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError("options", problems)
        return cls._make((funding, timeout, account_kind, unsettled))

    @classmethod
    def parse(cls, recorded: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave; what is missing has its default."""
        return cls(**{name: value for name, value in recorded.items() if name in cls._fields})

    def to_dict(self) -> dict[str, Any]:
        """All options by name, ready for JSON."""
        return self._asdict()


def is_margin_account(figures: AccountFigures, options: FundingOptions) -> bool:
    """Whether an account is handled as a margin account: the caller says so, or its buying power shows it.

    An account that is not certainly a margin account is handled as a cash account: its purchases wait, which is
    the lesser harm.
    """
    if options.account_kind is not None:
        return options.account_kind == "margin"
    return figures.is_margin_account


def ceiling_of(figures: AccountFigures, options: FundingOptions, short_value: float) -> tuple[float, str]:
    """What the broker allows to be spent now, and what that is; infinite without a limit.

    In a cash account it is the settled cash. In a margin account it is the cash that is not the proceeds of short
    sales, or what the available funds are the initial margin of, if that is more; the broker checks the margin of
    each order itself, and may ask more for some shares.

    Parameters
    ----------
    short_value : market value of all short positions, base currency, not negative; NaN if unknown

    Examples
    --------
    >>> from stocklean_exec.brokers.base import AccountFigures
    >>> figures = AccountFigures(50_000.0, 20_000.0, "USD", settled_cash=5_000.0, available_funds=5_000.0)
    >>> ceiling_of(figures, FundingOptions(), 0.0)
    (5000.0, 'settled cash')
    >>> ceiling_of(figures, FundingOptions(unsettled="allow"), 0.0)
    (inf, '')
    >>> ceiling_of(figures._replace(buying_power=20_000.0), FundingOptions(), 12_000.0)
    (10000.0, 'available funds and margin')
    """
    known = {"settled cash": figures.settled_cash, "available funds": figures.available_funds}
    if is_margin_account(figures, options):
        if math.isnan(figures.available_funds):
            return math.inf, ""
        known = {
            "cash without short proceeds": figures.cash - short_value,
            "available funds and margin": figures.available_funds / _INITIAL_MARGIN,
        }
    elif options.unsettled == "allow":
        return math.inf, ""
    known = {name: value for name, value in known.items() if not math.isnan(value)}
    choose = max if is_margin_account(figures, options) else min
    name = choose(known, key=known.__getitem__, default="")
    return known.get(name, math.inf), name


def slippage_margin(ticket: Ticket, cost: float) -> float:
    """What a buy that may cost ``cost`` at the quoted ask may cost beyond that; nothing with a limit.

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> terms = ("r", "SPY", "BUY", 100.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    >>> slippage_margin(Ticket("r-SPY-BUY", *terms), 2_500.0)
    10.0
    """
    return cost * SLIPPAGE_MARGIN if math.isnan(ticket.limit_price) else 0.0


def sent_last(costs: Sequence[float]) -> list[int]:
    """Positions of the market buys to send after all others, in that sequence: the smallest, largest first.

    The margin of each buy must be covered by what those behind it cost, and by what the planner reserves for that
    (:func:`~stocklean_exec.portfolio.order_costs.last_buy_margin`). The other buys keep their sequence.

    Parameters
    ----------
    costs : what each buy may cost, base currency; infinite if unknown

    Examples
    --------
    >>> sent_last([500.0, 900.0, 700.0])  # 0.4 % of 700 is less than 500
    [0]
    >>> sent_last([1.0, 200.0, 50_000.0, 40_000.0, 50_000.0])  # 0.4 % of 50,000 is more than 1
    [1, 0]
    """
    smallest = sorted(range(len(costs)), key=lambda place: (costs[place], -place))
    reserve, moved = _uncovered(costs, smallest[::-1]), 1
    while True:
        last = smallest[:moved][::-1]
        others = sorted(smallest[moved:])
        if not others or _uncovered(costs, others + last) <= reserve + _ROUNDING:
            return last
        moved *= 2  # so that a plan of thousands of orders needs a dozen rounds at most


def _uncovered(costs: Sequence[float], sequence: Sequence[int]) -> float:
    """Cash that a sequence of market buys needs beyond their cost."""
    behind, most = 0.0, 0.0
    for place in reversed(sequence):
        if math.isfinite(costs[place]):
            most = max(most, costs[place] * SLIPPAGE_MARGIN - behind)
            behind += costs[place]
    return most


def ledger_of(broker: Broker) -> CashLedger:
    """Return the ledger that all runs over ``broker`` share."""
    return _LEDGERS.setdefault(broker, CashLedger())


def cash_effect(ticket: Ticket, traded: float, value: float, commission: float) -> float:
    """Change of cash by the fills of an order so far, in the base currency.

    A commission that is not reported yet (NaN), or only partly, is estimated by the tariff of the market. So are
    its levies and taxes, which a broker may book later: the greater of estimate and report counts.

    Parameters
    ----------
    ticket : the order
    traded, value : shares, and their value at the traded prices, in the order's currency
    commission : reported so far, in the order's currency; NaN for none

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> terms = ("r", "SAP", "BUY", 100.0, "MKT", math.nan, "DAY", "EUR", "STK", "SMART", "DU1")
    >>> order = Ticket("r-SAP-BUY", *terms, fx_rate=1.25)
    >>> cash_effect(order, 100, 20_000.0, math.nan), cash_effect(order, 100, 20_000.0, 12.0)
    (-25012.5, -25015.0)
    """
    if traded <= 0:
        return 0.0
    reported = commission if commission == commission else 0.0  # noqa: PLR0124 - NaN
    fee = max(ticket.tariff.cost(ticket.side, traded, value), reported)
    return ((value if ticket.side == "SELL" else -value) - fee) * ticket.fx_rate


def buy_cost(ticket: Ticket, ask: float | None, last: float | None, decision_price: float) -> float:
    """What a buy may cost in the base currency, with its fees by the market's tariff; infinite without a price.

    Prices are in the order's currency. A limit order costs at most its limit. A market order counts at the ask,
    else at the last trade, else at its decision price; a stop at its trigger where that is higher, and a trailing
    order at its amount above that price.

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> terms = ("r", "SPY", "BUY", 100.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    >>> buy_cost(Ticket("r-SPY-BUY", *terms), 25.0, None, 24.0)
    2501.0
    """
    if not math.isnan(ticket.limit_price):
        price: float | None = ticket.limit_price
    else:
        price = next((one for one in (ask, last, decision_price) if _is_price(one)), None)
        if price is not None and not math.isnan(ticket.aux_price):
            price = {"STP": max(price, ticket.aux_price), "TRAIL": price + ticket.aux_price}.get(
                ticket.order_type, price
            )
    if price is None:
        return math.inf
    value = ticket.quantity * price
    return (value + ticket.tariff.cost("BUY", ticket.quantity, value)) * ticket.fx_rate


def _is_price(value: float | None) -> bool:
    return value is not None and 0 < value < _HIGHEST


@dataclass(slots=True)
class CashLedger:
    """Trades of the runs over one broker, and what their working buys may still cost.

    ``flows`` is the sum of all cash effects so far, ``spent`` the part of it that buys took (not below 0),
    ``reserved`` the cost of each buy that was sent and has not ended, minus its fills.
    """

    flows: float = 0.0
    spent: float = 0.0
    reserved: dict[str, float] = field(default_factory=dict)
    _effects: dict[str, float] = field(default_factory=dict)
    _costs: dict[str, float] = field(default_factory=dict)
    _tickets: dict[str, Ticket] = field(default_factory=dict)

    def reserve(self, ticket: Ticket, cost: float) -> None:
        """Reserve what a buy that is about to be sent may cost."""
        name = ticket.client_order_id
        self._tickets[name] = ticket
        self._costs[name] = cost
        self.reserved[name] = max(cost + self._effects.get(name, 0.0), 0.0)

    def cost_of(self, name: str) -> float:
        """What a buy may cost in all, as it was last reserved; 0 for one that was not."""
        return self._costs.get(name, 0.0)

    def release(self, names: Iterable[str]) -> None:
        """Release the cash reserved for orders that were not sent, or have ended."""
        for name in names:
            self.reserved.pop(name, None)

    def reserved_elsewhere(self, names: Container[str]) -> list[Ticket]:
        """Buys with reserved cash that are not among ``names``: of other runs."""
        return [self._tickets[name] for name in self.reserved if name not in names]

    def note(self, name: str, effect: float, *, has_ended: bool) -> None:
        """Count the fills of an order so far; the latest figure replaces the previous one."""
        before = self._effects.get(name, 0.0)
        self.flows += effect - before
        self.spent += max(-effect, 0.0) - max(-before, 0.0)
        self._effects[name] = effect
        if has_ended:
            self.reserved.pop(name, None)
        elif name in self.reserved:
            self.reserved[name] = max(self._costs[name] + effect, 0.0)


class Funding:
    """The cash that one run may spend.

    Parameters
    ----------
    ledger : of the broker
    cash : in the account, as the broker reports it
    counted : the part of the ledger's flows that is in ``cash`` already
    min_cash : cash to keep
    elsewhere : what working buys outside the ledger may cost; infinite without a price, and then nothing is funded
    """

    def __init__(
        self, ledger: CashLedger, *, cash: float, counted: float, min_cash: float, elsewhere: float
    ) -> None:
        self.ledger = ledger
        self._kept = min_cash + elsewhere
        self._base = cash - counted - self._kept
        self._ceiling, self._spent_before, self.limited_by = math.inf, 0.0, ""

    def set_ceiling(self, amount: float, spent: float, name: str) -> None:
        """Spend no more than ``amount``, which the broker named when the ledger's buys had taken ``spent``.

        ``name`` says what the amount is. Sells since then do not raise it: the broker must report that.
        """
        self._ceiling, self._spent_before, self.limited_by = amount, spent, name

    @property
    def cash(self) -> float:
        """Cash for further buys by the ledger alone."""
        return self._base + self.ledger.flows - math.fsum(self.ledger.reserved.values())

    @property
    def allowed(self) -> float:
        """What the broker allows for further buys; infinite without a ceiling."""
        if self._ceiling == math.inf:
            return math.inf
        used = self.ledger.spent - self._spent_before + math.fsum(self.ledger.reserved.values())
        return self._ceiling - used - self._kept

    @property
    def available(self) -> float:
        """Cash available for further buys: by the ledger, and no more than the broker allows."""
        return min(self.cash, self.allowed)


def describe_available(funding: Funding, now: datetime, sold: Iterable[Ticket] = ()) -> str:
    """Say what cash there is for the buys that are withdrawn, and when more may come.

    The day is the first one of the markets of ``sold``; that of US shares without any.
    """
    if funding.available == -math.inf:
        return "the working buys of others have no known price"
    if funding.cash <= funding.allowed:
        return f"{max(funding.cash, 0.0):,.2f} of cash was available"
    text = (
        f"{max(funding.allowed, 0.0):,.2f} of {funding.limited_by} was available, of {funding.cash:,.2f} of cash"
    )
    if funding.limited_by != "settled cash":
        return text
    today = trade_date(now)
    days = [
        settlement_of(today, one.currency, exchange=one.exchange, primary_exchange=one.primary_exchange).day
        for one in sold
    ]
    day = min(days, default=None) or settlement_of(today, "USD").day
    return (
        f"{text}; the proceeds of today's sales settle on {day:%Y-%m-%d} at the earliest (unsettled='allow' buys "
        "with them now, account_kind='margin' says that this is no cash account)"
    )
