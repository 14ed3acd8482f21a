"""Gross exposure when orders are sent: holdings, working orders and what the run has sent, at current prices.

:func:`~stocklean_exec.check_orders` compares a whole plan with ``max_gross``, at the prices of its quotes. Here
each order is compared with it again before it is sent. An order that does not raise the exposure always passes.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from stocklean_exec.errors import BrokerError, ConnectionLostError
from stocklean_exec.execution.currency_checks import usable_rates
from stocklean_exec.portfolio.contracts import contract_names, quotes_by_name, traded_contracts
from stocklean_exec.risk.rules import GROSS_ROOM
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.schema.tables import QUOTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket
    from stocklean_exec.execution.run_state import RunState
    from stocklean_exec.risk.limits import Limits

__all__ = ["AT_EACH_ORDER", "GrossExposure", "GrossLimit", "read_exposure"]

AT_EACH_ORDER = ("max_gross",)
"""The limits that are applied here."""

_DUST = 1e-9  # floating point noise of fractional shares and of ratios
_SHOWN = 5  # holdings without a price in one text
_READS = 3  # a stated choice: how often holdings are read again because an order of the run filled meanwhile


class GrossLimit(NamedTuple):
    """Maximum gross exposure, as a fraction of NAV.

    ``is_named`` where the limit is a number: an exposure that is not known is then refused. That of the plan
    (``"auto"``) is not applied to what cannot be valued, as in the check.
    """

    ratio: float
    room: float = _DUST
    is_named: bool = True

    @classmethod
    def of(cls, limits: Limits, plan_gross: float) -> GrossLimit | None:
        """Read the limit in force; None if there is none.

        Examples
        --------
        >>> from stocklean_exec.risk.limits import Limits
        >>> GrossLimit.of(Limits(max_gross=1.5), plan_gross=1.0).ratio
        1.5
        >>> GrossLimit.of(Limits(), plan_gross=1.0).ratio, GrossLimit.of(Limits(max_gross=None), 1.0)
        (1.0, None)
        """
        if limits.max_gross is None:
            return None
        if not isinstance(limits.max_gross, str):
            return cls(float(limits.max_gross))
        return None if math.isnan(plan_gross) else cls(plan_gross, plan_gross * GROSS_ROOM + _DUST, is_named=False)


class _Counted(NamedTuple):
    symbol: str
    signed: float  # shares that are counted on top of the holdings
    filled: float  # shares that the holdings contained at that time


class GrossExposure:
    """Gross exposure of an account, order by order. Pure.

    An order of the run counts as filled from the moment it is sent until it ends with less. Of working orders of
    others, those count that raise the exposure: it is unknown whether they fill.

    Parameters
    ----------
    limit : what the exposure may be
    nav : NAV, base currency; NaN if unknown
    values : base currency per share of each symbol; NaN, or missing, if unknown
    shares : holdings by symbol, signed
    buys, sells : what working orders of others may still buy and sell, by symbol

    Examples
    --------
    >>> from stocklean_exec.brokers.base import Ticket
    >>> exposure = GrossExposure(GrossLimit(1.0), 1_000.0, {"SPY": 100.0}, {"SPY": 6.0})
    >>> order = Ticket("r-1", "r", "SPY", "BUY", 4.0, "MKT", math.nan, "DAY", "USD", "STK", "SMART", "DU1")
    >>> exposure.refusal(order) is None
    True
    >>> exposure.count(order)
    >>> exposure.refusal(order)[0]
    'max_gross'
    """

    def __init__(
        self,
        limit: GrossLimit,
        nav: float,
        values: Mapping[str, float],
        shares: Mapping[str, float],
        buys: Mapping[str, float] | None = None,
        sells: Mapping[str, float] | None = None,
    ) -> None:
        self._limit, self._nav, self._values = limit, nav, dict(values)
        self._shares, self._buys, self._sells = dict(shares), dict(buys or {}), dict(sells or {})
        self._counted: dict[str, _Counted] = {}
        held = {**self._shares, **self._buys, **self._sells}
        self._unpriced = {name for name in held if math.isnan(self._values.get(name, math.nan))}
        self._priced = math.fsum(map(self._value_of, held))

    def refusal(self, ticket: Ticket) -> tuple[str, str] | None:
        """Code and text of the reason why an order must not be sent now; None if it may be."""
        return next(self._refusals(ticket), None)

    def _refusals(self, ticket: Ticket) -> Iterator[tuple[str, str]]:
        if not self.raises(ticket):
            return
        name, price = ticket.client_order_id, self._price_of(ticket)
        after = self._most(ticket.symbol, _signed(ticket)) * (0.0 if math.isnan(price) else price)
        gross = self._priced - self._value_of(ticket.symbol) + after
        most = self._limit.ratio + self._limit.room
        # What has a value is a lower bound: where it is over the limit, the total is too.
        if gross > most * self._nav:
            ratio = f"{gross / self._nav:.2%} of NAV" if self._nav > 0 else f"{gross:,.2f}, NAV {self._nav:,.2f}"
            yield "max_gross", f"{name} would bring gross exposure to {ratio}, over {self._limit.ratio:.2%}"
        doubt = self._doubt(ticket.symbol, price) if self._limit.is_named else ""
        if doubt:
            text = f"{name} would raise gross exposure, which is UNKNOWN: {doubt}"
            yield "gross_unknown", f"{text}; max_gross is {self._limit.ratio:.2%}"

    def refusals(self, tickets: Iterable[Ticket]) -> dict[str, tuple[str, str]]:
        """Find the orders that must not be sent, if ``tickets`` are sent in this sequence."""
        trial, found = self._copy(), {}
        for ticket in tickets:
            why = trial.refusal(ticket)
            if why is None:
                trial.count(ticket)
            else:
                found[ticket.client_order_id] = why
        return found

    def sequence(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Return ``tickets`` with those that lower the exposure first, if another sequence breaks the limit."""
        if not self.refusals(tickets):
            return list(tickets)
        return sorted(tickets, key=self.raises)

    def raises(self, ticket: Ticket) -> bool:
        """Whether an order raises the exposure."""
        return self._most(ticket.symbol, _signed(ticket)) > self._most(ticket.symbol) + _DUST

    def is_raised_by(self, tickets: Iterable[Ticket]) -> bool:
        """Whether one of ``tickets`` raises the exposure once those before it have filled.

        Two sales of one holding may each lower it, and together be a short.
        """
        trial = self._copy()
        for ticket in tickets:
            if trial.raises(ticket):
                return True
            trial.count(ticket)
        return False

    def count(self, ticket: Ticket, filled: float = 0.0) -> None:
        """Count an order that is sent; ``filled`` shares of it are in the holdings already."""
        sign = 1.0 if ticket.side == "BUY" else -1.0
        counted = _Counted(ticket.symbol, sign * (ticket.quantity - filled), filled)
        self._counted[ticket.client_order_id] = counted
        if math.isnan(self._values.get(ticket.symbol, math.nan)):
            self._values[ticket.symbol] = self._price_of(ticket)
            self._note_price(ticket.symbol)
        self._move(ticket.symbol, counted.signed)

    def release(self, client_order_id: str, filled: float) -> None:
        """An order of the run has ended with ``filled`` shares in all: it counts for no more than these."""
        counted = self._counted.pop(client_order_id, None)
        if counted is not None:
            sign = math.copysign(1.0, counted.signed)
            self._move(counted.symbol, sign * (filled - counted.filled) - counted.signed)

    def _copy(self) -> GrossExposure:
        return GrossExposure(self._limit, self._nav, self._values, self._shares, self._buys, self._sells)

    def _move(self, symbol: str, signed: float) -> None:
        before = self._value_of(symbol)
        self._shares[symbol] = self._shares.get(symbol, 0.0) + signed
        self._priced += self._value_of(symbol) - before

    def _note_price(self, symbol: str) -> None:
        """Store whether a symbol has a price, so that no order looks through all holdings."""
        if math.isnan(self._values[symbol]):
            self._unpriced.add(symbol)
        else:
            self._unpriced.discard(symbol)

    def _most(self, symbol: str, more: float = 0.0) -> float:
        """Shares that a position may come to have, long or short, with ``more`` of them."""
        held = self._shares.get(symbol, 0.0) + more
        return max(abs(held + self._buys.get(symbol, 0.0)), abs(held - self._sells.get(symbol, 0.0)))

    def _value_of(self, symbol: str) -> float:
        """Value of a position; 0 without a price, which :meth:`_doubt` names."""
        value = self._values.get(symbol, math.nan)
        return 0.0 if math.isnan(value) else self._most(symbol) * value

    def _price_of(self, ticket: Ticket) -> float:
        """Base currency per share: by the market, else by the plan; NaN if unknown."""
        known = self._values.get(ticket.symbol, math.nan)
        if not math.isnan(known):
            return known
        price = ticket.reference_price if ticket.reference_price > 0 else ticket.limit_price
        return price * ticket.fx_rate

    def _doubt(self, symbol: str, price: float) -> str:
        """Why the exposure is not known; empty where it is."""
        if math.isnan(self._nav):
            return "the broker does not report NAV"
        lost = [name for name in self._unpriced if name != symbol and self._most(name) > _DUST]
        lost += [symbol] if math.isnan(price) else []
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        return f"no price or exchange rate of {', '.join(sorted(lost)[:_SHOWN])}{more}" if lost else ""


def _signed(ticket: Ticket) -> float:
    return ticket.quantity if ticket.side == "BUY" else -ticket.quantity


# -- what the broker has -------------------------------------------------------------------------------------


async def read_exposure(
    broker: Broker,
    record: RunState,
    queue: Sequence[Ticket],
    sent: Mapping[str, Ticket],
    limit: GrossLimit,
    quotes: pd.DataFrame,
) -> GrossExposure | None:
    """Read holdings, working orders, prices and rates; None where no order of the queue raises the exposure.

    Parameters
    ----------
    queue : orders that are to be sent
    sent : orders of the run that were sent and have not ended, by client order id, with the quantity sent
    quotes : the market of the queue, as just read; that of other holdings is queried here
    """
    tickets = {one.symbol: one for one in (*sent.values(), *queue)}
    for _ in range(_READS):
        filled = {name: record.state(name).filled for name in sent}
        held = await asyncio.to_thread(broker.positions)
        working = await asyncio.to_thread(broker.open_orders)
        record.update_states()
        if filled == {name: record.state(name).filled for name in sent}:
            break
    names = pd.DataFrame(
        {
            "symbol": list(tickets),
            "con_id": pd.array([one.con_id for one in tickets.values()], dtype="Int64"),
            "primary_exchange": [one.primary_exchange or None for one in tickets.values()],
        }
    )
    traded = traded_contracts(names, held, quotes).by_symbol
    held = held.assign(name=contract_names(held, traded))
    others = working[~working["client_order_id"].isin(record.names)]
    others = others.assign(name=contract_names(others, traded))
    buys, sells = (_left(others, side) for side in ("BUY", "SELL"))
    shares = {str(name): float(total) for name, total in held.groupby("name")["quantity"].sum().items()}
    trial = GrossExposure(limit, math.nan, {}, shares, buys, sells)
    for name, ticket in sent.items():
        trial.count(ticket, filled[name])
    if not trial.is_raised_by(queue):
        return None
    figures = await _figures(broker)
    values = await _values(broker, figures, held, others, tickets, quotes)
    exposure = GrossExposure(limit, math.nan if figures is None else figures.nav, values, shares, buys, sells)
    for name, ticket in sent.items():
        exposure.count(ticket, filled[name])
    return exposure


async def _figures(broker: Broker) -> AccountFigures | None:
    """Figures of the account; None where the broker cannot compute them."""
    try:
        return await asyncio.to_thread(broker.account_figures)
    except ConnectionLostError:
        raise
    except BrokerError:
        return None


def _left(orders: pd.DataFrame, side: str) -> dict[str, float]:
    """Shares that working orders of one side may still trade."""
    chosen = orders[orders["side"] == side]
    left = (chosen["quantity"] - chosen["filled_quantity"]).clip(lower=0.0)
    return {str(name): float(total) for name, total in left.groupby(chosen["name"]).sum().items()}


async def _values(
    broker: Broker,
    figures: AccountFigures | None,
    held: pd.DataFrame,
    others: pd.DataFrame,
    tickets: Mapping[str, Ticket],
    quotes: pd.DataFrame,
) -> dict[str, float]:
    """Base currency per share by name; without those that have no price or no exchange rate."""
    market = QUOTES.conform(quotes)
    columns = ["name", "symbol", "con_id", "currency", "sec_type", "primary_exchange"]
    more = pd.concat([held, others]).reindex(columns=columns).drop_duplicates("name", ignore_index=True)
    more = more[~more["name"].isin(market["symbol"])]
    if len(more):
        found = await asyncio.to_thread(broker.contract_quotes, more)
        market = pd.concat([market, QUOTES.conform(quotes_by_name(found, more))], ignore_index=True)
    prices = dict(zip(market["symbol"].tolist(), usable_prices(market)["price"].tolist(), strict=True))
    base = broker.base_currency if figures is None else figures.base_currency
    named = zip(market["symbol"].tolist(), market["currency"].tolist(), strict=True)
    currencies = {symbol: name for symbol, name in named if isinstance(name, str)}
    booked = dict(zip(held["name"].tolist(), held["currency"].fillna(base).tolist(), strict=True))
    wanted = {ticket.symbol: ticket.currency for ticket in tickets.values()}
    currency = {name: wanted.get(name) or booked.get(name) or currencies.get(name, base) for name in prices}
    rates = {ticket.currency: ticket.fx_rate for ticket in tickets.values()} | {base: 1.0}
    if figures is not None:
        rates |= await usable_rates(broker, figures, set(currency.values()))
    return {
        name: price * rates.get(currency[name], math.nan)
        for name, price in prices.items()
        if currencies.get(name, currency[name]) == currency[name]  # else the quote is of another contract
    }
