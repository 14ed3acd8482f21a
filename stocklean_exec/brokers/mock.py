"""The mock filler: a broker in this process, without a socket, whose fills are a function of its inputs.

It fills as :mod:`~stocklean_exec.brokers.static_market` says for each order type, charges the commission of each
market's tariff (without its levies and taxes), and keeps positions and cash. A fill plan can override that for a
symbol or an order: partial fills, prices, rests, rejections, cancels, refused changes of a limit. Time is virtual:
it starts at the latest quote and moves only when something happens, so a run takes no time, and gives the same
times again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket, is_paper_account, symbols_of
from stocklean_exec.brokers.evidence import Evidence
from stocklean_exec.brokers.order_preview import (
    INITIAL_MARGIN,
    MAINTENANCE_MARGIN,
    OrderPreview,
    previewed_position,
)
from stocklean_exec.brokers.scripted_fills import FILL_PLAN, FillStep, parse_fill_plan
from stocklean_exec.brokers.static_market import executions, is_held, may_not_rest
from stocklean_exec.errors import BrokerError, InputError, OrderNotWorkingError, Problem
from stocklean_exec.fill_model import Execution, Quote, far_touch, is_marketable, unit_interval
from stocklean_exec.portfolio.alignment import parse_rates
from stocklean_exec.schema.inputs import currencies_by_symbol, opening_positions, parse_quotes
from stocklean_exec.schema.prices import usable_prices
from stocklean_exec.schema.tables import POSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FILL_PLAN", "MockBroker"]

# Choices: about what a paper account shows; the times are virtual.
_ACKNOWLEDGED_AFTER = timedelta(milliseconds=20)
_BETWEEN_ORDERS = timedelta(milliseconds=10)
_COMMISSION_AFTER = timedelta(milliseconds=50)
_EPOCH_ACCOUNT = "DU0000001"


@dataclass(slots=True)
class _Working:
    """One order inside the mock filler."""

    ticket: Ticket
    perm_id: int
    order_id: int
    at: datetime
    filled: float = 0.0
    value: float = 0.0
    executions: int = 0
    ended: bool = False
    steps: list[FillStep] = field(default_factory=list)
    """Steps of its fill plan that have not happened yet."""

    @property
    def remaining(self) -> float:
        return round(self.ticket.quantity - self.filled, 8)


@dataclass(slots=True)
class _Portfolio:
    """What the account holds: cash by currency, shares by symbol."""

    cash: dict[str, float]
    quantity: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)

    def trade(self, symbol: str, signed: float, price: float, currency: str) -> None:
        """Move shares against cash of ``currency``, and keep the average cost the way a broker does."""
        before = self.quantity.get(symbol, 0.0)
        after = round(before + signed, 8)
        if before * signed >= 0 and after:
            known = self.cost.get(symbol, price)
            self.cost[symbol] = (abs(before) * known + abs(signed) * price) / abs(after)
        elif before * after < 0:
            self.cost[symbol] = price
        self.quantity[symbol] = after
        self.pay(signed * price, currency)

    def pay(self, amount: float, currency: str) -> None:
        """Take ``amount`` from the cash of ``currency``, which may go below zero: it is owed then."""
        self.cash[currency] = self.cash.get(currency, 0.0) - amount


class MockBroker(Broker):
    """A broker that fills at once from given quotes; made by ``sx.connect("mock://...")``.

    Parameters
    ----------
    quotes : the market: a quotes table, or a mapping symbol -> price
    positions : what is held at the start
    cash : in the account at the start, base currency
    fx : base currency per unit of each other currency that the account may trade
    fill_plan : rows of :data:`FILL_PLAN`; an order without a row follows the market
    seed : delays and ids depend on it, and on nothing else
    account : shown as the account that trades
    address : what it was connected by, for its card

    Examples
    --------
    >>> broker = MockBroker(quotes={"SPY": 123.0}, cash=1_000.0)
    >>> broker.nav(), broker.cash(), len(broker.positions())
    (1000.0, 1000.0, 0)
    """

    mode = "mock"
    send_window = 1_000
    quotes_age = False
    never_closes = True

    def __init__(
        self,
        quotes: object = None,
        *,
        positions: object = None,
        cash: float = 1_000_000.0,
        fx: Mapping[str, float] | None = None,
        fill_plan: object = None,
        seed: int = 0,
        account: str = _EPOCH_ACCOUNT,
        address: str = "mock://",
    ) -> None:
        if not is_paper_account(account):
            text = f"account {account!r} is not a paper account such as DU0000001"
            raise InputError("account", [Problem("account_invalid", text)])
        if isinstance(cash, bool) or not math.isfinite(cash):
            raise InputError("cash", [Problem("cash_missing", f"cash {cash!r} is not an amount of money")])
        self.account, self.address, self._seed = account, address, seed
        self._quotes = parse_quotes(quotes)
        self._market = _market(self._quotes)
        held = opening_positions(positions)
        self._rates = {self.base_currency: 1.0, **parse_rates(fx, self.base_currency)}
        self._currencies = currencies_by_symbol(held, self._quotes)
        self._listings = _listings(held, self._quotes)
        self._portfolio = _Portfolio({self.base_currency: float(cash)})
        for symbol, quantity, cost in zip(
            held["symbol"].tolist(), held["quantity"].tolist(), held["avg_cost"].tolist(), strict=True
        ):
            self._portfolio.quantity[symbol] = quantity
            self._portfolio.cost[symbol] = cost
        self._steps = parse_fill_plan(fill_plan)
        self._orders: dict[str, _Working] = {}
        self._followers: dict[str, Callable[[OrderEvent], None]] = {}
        self._events: list[OrderEvent] = []
        times = self._quotes["quoted_at"].dropna()
        self._start: datetime = times.max().to_pydatetime() if len(times) else clock.now()
        self._time = self._start
        self._traded_at: datetime | None = None
        self._closed = False

    # -- what a user asks ------------------------------------------------------------------------------------

    def positions(self) -> pd.DataFrame:
        """What is held; symbols that were sold out are excluded."""
        self._catch_up()
        rows = [
            {"symbol": symbol, "quantity": quantity, "avg_cost": self._portfolio.cost.get(symbol, math.nan)}
            for symbol, quantity in sorted(self._portfolio.quantity.items())
            if quantity
        ]
        frame = pd.DataFrame(rows, columns=["symbol", "quantity", "avg_cost"])
        currency = [self._currency_of(symbol) for symbol in frame["symbol"].tolist()]
        frame = frame.assign(currency=currency, sec_type="STK", account=self.account)
        return POSITIONS.conform(frame.assign(primary_exchange=frame["symbol"].map(self._listings)))

    def quotes(self, symbols: object = None) -> pd.DataFrame:
        """Quotes of ``symbols``; a symbol that the mock filler has no quote for is not among them.

        The market is static, so a quote becomes no older than it was at the start: its time advances with the
        virtual time.
        """
        wanted = symbols_of(symbols)
        quotes = self._quotes.assign(quoted_at=self._quotes["quoted_at"] + (self._time - self._start))
        if wanted is None:
            return quotes
        return quotes[quotes["symbol"].isin(wanted)].reset_index(drop=True)

    def nav(self) -> float:
        """Cash and all holdings at their prices, base currency.

        Raises
        ------
        BrokerError
            Something is held that no quote or no exchange rate values.
        """
        values = self._values()
        lost = [name for name, value in values.items() if not value > 0]
        if lost:
            text = f"no usable price or exchange rate for {', '.join(sorted(lost))}"
            raise BrokerError(f"{text}, which is held: NAV is not known")
        held = math.fsum(self._portfolio.quantity[name] * value for name, value in values.items())
        return round(self._total_cash() + held, 6)

    def cash(self) -> float:
        """Cash of all currencies after all trades and commissions so far, base currency."""
        self._catch_up()
        return round(self._total_cash(), 6)

    def account_figures(self) -> AccountFigures:
        """NAV and cash, cash and exchange rate of each currency, and the funds of a margin account."""
        cash, nav = self._portfolio.cash, self.nav()
        currencies = {name: (round(cash.get(name, 0.0), 6), rate) for name, rate in self._rates.items()}
        gross = self._gross()
        available = round(nav - INITIAL_MARGIN * gross, 6)
        return AccountFigures(
            nav,
            self.cash(),
            self.base_currency,
            available_funds=available,
            currencies=currencies,
            buying_power=round(max(available, 0.0) / INITIAL_MARGIN, 6),
            initial_margin=round(INITIAL_MARGIN * gross, 6),
            maintenance_margin=round(MAINTENANCE_MARGIN * gross, 6),
            equity_with_loan=nav,
        )

    def _values(self) -> dict[str, float]:
        """Value of one share of each holding, base currency; NaN without a price or an exchange rate."""
        prices = usable_prices(self._quotes)["price"]
        return {
            name: prices.get(name, math.nan) * self._rates.get(self._currency_of(name), math.nan)
            for name, held in self._portfolio.quantity.items()
            if held
        }

    def _gross(self) -> float:
        """Value of all holdings, longs and shorts added up, base currency."""
        return math.fsum(abs(self._portfolio.quantity[name]) * value for name, value in self._values().items())

    def _total_cash(self) -> float:
        return math.fsum(amount * self._rates[name] for name, amount in self._portfolio.cash.items())

    def _currency_of(self, symbol: str) -> str:
        return self._currencies.get(symbol, self.base_currency)

    def open_orders(self) -> pd.DataFrame:
        """Orders that rest."""
        self._end_expired()
        columns = {
            "client_order_id": "str",
            "symbol": "str",
            "side": "str",
            "quantity": "float64",
            "filled_quantity": "float64",
            "order_type": "str",
            "limit_price": "float64",
            "tif": "str",
            "aux_price": "float64",
            "good_till": "datetime64[us, UTC]",
            "good_after": "datetime64[us, UTC]",
            "outside_rth": "bool",
        }
        rows = [
            (
                order.ticket.client_order_id,
                order.ticket.symbol,
                order.ticket.side,
                order.ticket.quantity,
                order.filled,
                order.ticket.order_type,
                order.ticket.limit_price,
                order.ticket.tif,
                order.ticket.aux_price,
                order.ticket.good_till,
                order.ticket.good_after,
                order.ticket.outside_rth,
            )
            for order in self._orders.values()
            if not order.ended
        ]
        return pd.DataFrame(rows, columns=list(columns)).astype(columns)

    def cancel(self, client_order_id: str) -> None:
        """Cancel a resting order; one that has ended stays as it is.

        Raises
        ------
        InputError
            The mock filler has no such order.
        """
        order = self._orders.get(client_order_id)
        if order is None:
            text = f"{client_order_id!r} is not an order of this broker"
            raise InputError("cancel", [Problem("order_unknown", text)])
        if not order.ended:
            self._cancel_now([order])

    def cancel_all(self) -> None:
        """Cancel every resting order."""
        self._cancel_now([order for order in self._orders.values() if not order.ended])

    def _cancel_now(self, orders: list[_Working]) -> None:
        for order in orders:
            order.ended = (
                True  # all have ended before any event is published: a subscriber that fails stops nothing
            )
        for order in orders:
            order.at = max(order.at, self._time)
            self._publish(order, OrderEvent("cancel_requested"))
            self._cancelled(order, None, None)

    def close(self) -> None:
        """Accept no more orders."""
        self._closed = True

    # -- what a run asks -------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The virtual time."""
        return self._time

    def follow(self, run_id: str, publish: Callable[[OrderEvent], None]) -> None:
        """Publish the events of ``run_id`` to ``publish``."""
        self._followers[run_id] = publish
        self._catch_up()

    async def fetch_quotes(self, symbols: list[str]) -> pd.DataFrame:
        """Quotes as given at the start."""
        return self.quotes(symbols)

    def skip_to(self, moment: datetime) -> bool:
        """Move the virtual time on to ``moment``."""
        self._time = max(self._time, moment)
        self._end_expired()
        return True

    def is_quiet(self) -> bool:
        """Always: what happens to an order happens when it is placed."""
        return True

    async def collect_evidence(self) -> Evidence:
        """Publish all events again; an order without any never reached this broker."""
        for event in self._events:
            publish = self._followers.get(event.run_id or "")
            if publish is not None:
                publish(event)
        return Evidence(
            asked_at=self._time,
            open_orders=frozenset(name for name, order in self._orders.items() if not order.ended),
            refs=frozenset(self._orders),
            forgets=False,
        )

    async def prepare(
        self,
        tickets: Sequence[Ticket],
        on_progress: Callable[[int, int], None] | None = None,  # noqa: ARG002 - there is nothing to wait for
    ) -> dict[str, tuple[str, str]]:
        """Reject orders that name a contract, or another listing of a symbol than the one that is held or quoted.

        The mock filler knows one listing of each symbol: that of the opening positions or the quotes, else the
        first one that an order names. It rejects orders whose end has passed by its time, and those that start
        later: it has no time of its own to wait for.
        """
        found = {ticket.client_order_id: self._mismatch(ticket) for ticket in tickets}
        late = {ticket.client_order_id: self._untimely(ticket) for ticket in tickets}
        refused = {name: why for name, why in late.items() if why is not None}
        return refused | {name: ("contract_mismatch", text) for name, text in found.items() if text}

    def _untimely(self, ticket: Ticket) -> tuple[str, str] | None:
        if ticket.good_after is not None and ticket.good_after > self._time:
            text = "the mock filler cannot start an order later: its time does not advance; use sim://"
            return "order_type_not_permitted", text
        if ticket.good_till is not None and ticket.good_till <= self._time:
            return "good_till_past", f"good_till {ticket.good_till} has passed: it is {self._time}"
        return None

    def _mismatch(self, ticket: Ticket) -> str:
        if ticket.con_id is not None:
            return f"the mock filler has no contracts, and the order names {ticket.con_id} (con_id)"
        wanted = ticket.primary_exchange
        listing = self._listings.setdefault(ticket.symbol, wanted) if wanted else ""
        if listing == wanted:
            return ""
        text = f"the order names the listing of {ticket.symbol} at {wanted}, and this account's is at {listing}"
        return f"{text}; the mock filler knows one listing of a symbol"

    async def place(self, ticket: Ticket) -> None:
        """Work one order to the end that its fill plan or the market gives it."""
        if self._closed:
            raise BrokerError("the mock filler is closed")
        if ticket.client_order_id in self._orders:
            raise BrokerError(f"{ticket.client_order_id} was placed before; an id names one order")
        number = len(self._orders) + 1
        order = _Working(ticket, 1_000_000_000 + number, number, self._time + _ACKNOWLEDGED_AFTER)
        self._orders[ticket.client_order_id] = order
        steps = self._steps.get(ticket.client_order_id) or self._steps.get(ticket.symbol)
        order.steps = list(steps or ())
        quote = self._market.get(ticket.symbol)
        if ticket.currency not in self._rates or ticket.currency != self._currency_of(ticket.symbol):
            text = f"{ticket.symbol} is in {self._currency_of(ticket.symbol)}, and the order in {ticket.currency}"
            if ticket.currency not in self._rates:
                text = f"the account has no exchange rate for {ticket.currency}; connect with fx="
            self._rejected(order, "currency_unsupported", text)
        elif steps is None and (quote is None or far_touch(ticket.side, quote) is None):
            self._rejected(order, "price_unavailable", f"no usable price for {ticket.symbol}")
        elif steps is None and quote is not None:
            self._follow_market(order, quote)
        elif steps is not None:
            self._begin_plan(order, quote)
        self._pass_time(order)

    async def modify(self, ticket: Ticket, number: int) -> None:
        """Change the limit of a resting order: it continues with its fill plan, else with the market, at once."""
        if self._closed:
            raise BrokerError("the mock filler is closed")
        self._end_expired()
        order, name = self._orders.get(ticket.client_order_id), ticket.client_order_id
        if order is None or order.ended:
            raise OrderNotWorkingError(f"{name} {'has ended' if order else 'is not an order of this broker'}")
        if _fixed_terms(ticket) != _fixed_terms(order.ticket) or not ticket.limit_price > 0:
            raise BrokerError(f"{name}: only its limit can be changed, and to a price")
        order.at = max(order.at, self._time) + _ACKNOWLEDGED_AFTER
        if order.steps and order.steps[0].action == "refuse_change":
            refusal = order.steps.pop(0)
            code = refusal.code or "refused"
            self._publish(order, OrderEvent("modify_refused", attempt=number, code=code, message=refusal.message))
        else:
            order.ticket = ticket
            self._publish(order, OrderEvent("modified", attempt=number, price=ticket.limit_price))
            self._go_on(order, self._market.get(ticket.symbol))
        self._pass_time(order)

    def _go_on(self, order: _Working, quote: Quote | None) -> None:
        """Work what remains of an order on its new terms."""
        if order.steps:
            self._follow_plan(order, quote)
        elif quote is not None:
            for execution in executions(replace(order.ticket, quantity=order.remaining), quote):
                self._executed(order, execution, math.nan)

    def _pass_time(self, order: _Working) -> None:
        """Move the virtual time on after an order was sent or changed."""
        self._time = max(self._time + _BETWEEN_ORDERS, order.at - timedelta(seconds=30))
        self._end_expired()

    async def preview(self, ticket: Ticket) -> OrderPreview:
        """Margins under Regulation T at the price that holdings are valued at, commission at the order's own."""
        quote, rate = self._market.get(ticket.symbol), self._rates.get(ticket.currency, math.nan)
        touch = None if quote is None else far_touch(ticket.side, quote)
        if touch is None or math.isnan(rate):
            return OrderPreview(refusal=f"no usable price or exchange rate for {ticket.symbol}")
        price = touch[0] if math.isnan(ticket.limit_price) else ticket.limit_price
        fee = ticket.tariff.commission(ticket.quantity, ticket.quantity * price)
        signed = ticket.quantity if ticket.side == "BUY" else -ticket.quantity
        held = self._portfolio.quantity.get(ticket.symbol, 0.0)
        mark = float(usable_prices(self._quotes)["price"].get(ticket.symbol, price))
        found = previewed_position(self.nav(), self._gross(), held, signed, mark * rate, fee * rate)
        return found._replace(commission=fee, commission_currency=ticket.currency)

    def _catch_up(self) -> None:
        """Move the virtual time past the last execution: the account is shown with all of them."""
        if self._traded_at is not None and self._time <= self._traded_at:
            self._time = self._traded_at + _BETWEEN_ORDERS
        self._end_expired()

    def _end_expired(self) -> None:
        """Cancel resting orders whose end has passed in virtual time."""
        for order in list(self._orders.values()):
            end = order.ticket.good_till
            if end is not None and end <= self._time and not order.ended:
                order.at = max(order.at, end)
                self._cancelled(order, "good_till_reached", f"its end was {end}")

    # -- what happens to an order ----------------------------------------------------------------------------

    def _follow_market(self, order: _Working, quote: Quote) -> None:
        ticket = order.ticket
        self._reported(order, "SUBMITTED", message="held: trigger" if is_held(ticket, quote) else None)
        for execution in executions(ticket, quote):
            self._executed(order, execution, math.nan)
        self._expire(order)

    def _expire(self, order: _Working) -> None:
        """End an order that may not rest."""
        ticket = order.ticket
        if not order.ended and may_not_rest(ticket):
            word = ticket.tif if ticket.tif != "DAY" else ticket.order_type
            text = f"{word}: {order.remaining:g} shares could not be filled at once"
            self._cancelled(order, f"{word.lower()}_unfilled", text)

    def _begin_plan(self, order: _Working, quote: Quote | None) -> None:
        if order.steps[0].action != "reject":
            self._reported(order, "SUBMITTED")
        self._follow_plan(order, quote)

    def _follow_plan(self, order: _Working, quote: Quote | None) -> None:
        """Take the steps of an order until it rests or ends; what is left waits for a change of its limit."""
        while order.steps and not order.ended:
            step = order.steps[0]
            if step.action == "fill" and not self._filled_by_plan(order, step, quote):
                break
            if step.action == "refuse_change":
                return
            order.steps.pop(0)
            if step.action == "rest":
                return
            if step.action == "cancel":
                self._cancelled(order, step.code, step.message)
            elif step.action == "reject":
                self._rejected(order, step.code or "rejected", step.message)
        self._expire(order)

    def _filled_by_plan(self, order: _Working, step: FillStep, quote: Quote | None) -> bool:
        """Fill what a step says; False if the limit of the order keeps it from that, so that it rests."""
        quantity = min(order.remaining, order.remaining if math.isnan(step.quantity) else step.quantity)
        touch = None if quote is None else far_touch(order.ticket.side, quote)
        price = step.price if not math.isnan(step.price) else (touch[0] if touch else math.nan)
        if not price > 0:
            self._rejected(order, "price_unavailable", f"no usable price for {order.ticket.symbol}")
        elif not is_marketable(order.ticket.side, order.ticket.limit_price, price):
            return False
        else:
            self._executed(order, Execution(quantity, price), step.seconds)
        return True

    def _executed(self, order: _Working, execution: Execution, seconds: float) -> None:
        ticket, name = order.ticket, order.ticket.client_order_id
        order.executions += 1
        if math.isnan(seconds):
            seconds = round(0.1 + 1.9 * unit_interval(self._seed, name, order.executions), 3)
        order.at += timedelta(seconds=seconds)
        self._traded_at = order.at if self._traded_at is None else max(self._traded_at, order.at)
        fee = ticket.tariff.next_execution((order.filled, order.value), execution.quantity, execution.price)
        order.filled = round(order.filled + execution.quantity, 8)
        order.value += execution.quantity * execution.price
        signed = execution.quantity if ticket.side == "BUY" else -execution.quantity
        self._portfolio.trade(ticket.symbol, signed, execution.price, ticket.currency)
        self._portfolio.pay(fee, ticket.currency)
        exec_id = _exec_id(self._seed, name, order.executions)
        self._publish(
            order,
            OrderEvent(
                "execution",
                exec_id=exec_id,
                symbol=ticket.symbol,
                side=ticket.side,
                quantity=execution.quantity,
                price=execution.price,
                exchange="MOCK",
                liquidity="removed" if execution.liquidity == 2 else "added",  # noqa: PLR2004 - TWS's numbers
                account=self.account,
            ),
        )
        if not order.remaining:
            order.ended = True
            self._reported(order, "FILLED")
        order_at, order.at = order.at, order.at + _COMMISSION_AFTER
        self._publish(
            order, OrderEvent("commission", exec_id=exec_id, commission=fee, commission_currency=ticket.currency)
        )
        order.at = order_at

    def _reported(self, order: _Working, status: str, code: str | None = None, message: str | None = None) -> None:
        self._publish(
            order,
            OrderEvent(
                "status",
                status=status,
                filled=order.filled,
                remaining=order.remaining,
                code=code,
                message=message,
            ),
        )

    def _cancelled(self, order: _Working, code: str | None, message: str | None) -> None:
        order.ended = True
        self._reported(order, "CANCELLED", code, message)

    def _rejected(self, order: _Working, code: str, message: str | None) -> None:
        order.ended = True
        filled, remaining = order.filled, order.remaining
        self._publish(
            order, OrderEvent("rejected", code=code, message=message, filled=filled, remaining=remaining)
        )

    def _publish(self, order: _Working, event: OrderEvent) -> None:
        ticket = order.ticket
        event = event._replace(
            run_id=ticket.run_id,
            client_order_id=ticket.client_order_id,
            occurred_at=order.at,
            order_id=order.order_id,
            perm_id=order.perm_id,
            client_id=0,
        )
        self._events.append(event)
        publish = self._followers.get(ticket.run_id)
        if publish is not None:
            publish(event)


def _fixed_terms(ticket: Ticket) -> tuple[object, ...]:
    """What a change of the limit leaves as it is."""
    return ticket.symbol, ticket.side, ticket.quantity, ticket.order_type, ticket.tif, ticket.account


def _listings(*tables: pd.DataFrame) -> dict[str, str]:
    """Primary exchange of each symbol for which one of these tables names it; the first one counts."""
    found: dict[str, str] = {}
    for table in tables:
        if "primary_exchange" in table.columns:
            for symbol, code in zip(table["symbol"].tolist(), table["primary_exchange"].tolist(), strict=True):
                if isinstance(code, str):
                    found.setdefault(symbol, code.strip().upper())
    return found


def _market(quotes: pd.DataFrame) -> dict[str, Quote]:
    usable = usable_prices(quotes)["price"].notna().tolist()
    names = ("bid", "ask", "last", "close", "bid_size", "ask_size")
    columns = [quotes[name].tolist() for name in names]
    return {
        symbol: Quote(*values)
        for symbol, good, values in zip(quotes["symbol"].tolist(), usable, zip(*columns, strict=True), strict=True)
        if good
    }


def _exec_id(seed: int, name: str, number: int) -> str:
    digest = sha256(f"{seed}/{name}".encode()).hexdigest()
    return f"{digest[:8]}.{digest[8:16]}.{number:02d}.01"
