"""The cash of one run: what its buys may cost, which of them can be sent now, and for how many shares.

:mod:`~stocklean_exec.execution.funding` says what cash there is; this module asks the broker for it, and chooses
the orders. The runner waits and sends.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.execution.arrival_quotes import ArrivalQuote, quotes_by_symbol
from stocklean_exec.execution.currency_checks import usable_rates
from stocklean_exec.execution.funding import (
    Funding,
    FundingOptions,
    buy_cost,
    cash_effect,
    ceiling_of,
    describe_available,
    ledger_of,
    sent_last,
    slippage_margin,
)
from stocklean_exec.portfolio import working_orders
from stocklean_exec.schema.inputs import parse_quotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_state import OrderState
    from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket
    from stocklean_exec.execution.run_state import RunState

__all__ = ["BuyFunding", "FundingTerms"]

_REREAD_SECONDS = 1.0  # a stated choice: how often account figures are read while buys wait for them
# How old account values can be: TWS API documentation, "Account updates".
_ACCOUNT_VALUES_AGE = timedelta(minutes=3)
_OUTCOME = ("status", "filled_quantity", "avg_fill_price", "commission")
_NOISE = 1e-8  # of a share: the blotter's exact quantities have eight decimals
_CASH_NOISE = 1e-6  # of a currency unit: above the rounding error of sums of doubles, far below a cent


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """How the buys of a run are paid for.

    ``min_cash`` cash to keep, base currency (None: cash is not checked); ``options`` as the caller gave them;
    ``lots`` the lot of each order that has one; ``notional`` the value of each order at its decision price, base
    currency.
    """

    min_cash: float | None
    options: FundingOptions
    lots: Mapping[str, float]
    notional: Mapping[str, float]


class BuyFunding:
    """Chooses the orders of one run that can be paid for; made and used on a running event loop.

    Parameters
    ----------
    record : the orders and their states
    tickets : every approved order by client order id
    quotes : the market by symbol; the runner keeps it up to date
    """

    def __init__(
        self,
        broker: Broker,
        blotter: Blotter,
        record: RunState,
        tickets: Mapping[str, Ticket],
        quotes: Mapping[str, ArrivalQuote],
        terms: FundingTerms,
    ) -> None:
        self._broker, self._blotter, self._record = broker, blotter, record
        self._tickets, self._quotes, self._terms = tickets, quotes, terms
        self._loop = asyncio.get_running_loop()
        self._ledger = ledger_of(broker)
        self._funding: Funding | None = None
        self._short: dict[str, float] = {}  # shares that are short, by symbol
        self.shortages: dict[str, str] = {}
        """What cash there was for each order that was made smaller."""
        self._read_at = -math.inf  # when the account's figures were read, by the loop's clock

    # -- what there is ---------------------------------------------------------------------------------------

    def count(self, name: str, state: OrderState) -> None:
        """Count the fills of an order so far in the cash."""
        self._ledger.note(name, self._effect(name, state), has_ended=state.has_ended)

    async def open(self, queue: list[Ticket], *, changes_buys: bool = False) -> list[Ticket]:
        """Determine the cash that may be spent, if there are buys; return the queue in the sequence to send.

        ``changes_buys`` says that buys which were sent may get higher limits.
        """
        self._funding = None
        waits = self._terms.min_cash is not None and self._terms.options.mode == "fills"
        if not waits or not (changes_buys or any(ticket.side == "BUY" for ticket in queue)):
            return queue
        for name, ticket in self._tickets.items():  # sent earlier, and may still be working
            is_working = self._was_sent(ticket) and name in self._record.open
            if ticket.side == "BUY" and is_working and name not in self._ledger.reserved:
                self._ledger.reserve(ticket, self._cost_of(ticket))
        await self._count_other_runs()
        before = self._ledger.flows
        figures, ceiling = await self._read_figures()
        # A fill in the meantime may or may not be in this cash: it may lower spendable cash, never raise it.
        counted = max(before, self._ledger.flows)
        cash = min(figures.cash, self._cash_by_record())
        elsewhere = await self._committed_elsewhere(figures)
        self._funding = Funding(
            self._ledger, cash=cash, counted=counted, min_cash=self._terms.min_cash or 0.0, elsewhere=elsewhere
        )
        self._funding.set_ceiling(*ceiling)
        return self._smallest_last(queue, self._funding)

    async def _count_other_runs(self) -> None:
        """Count the fills of other runs' buys: no run counts those that were left working any more."""
        others = self._ledger.reserved_elsewhere(self._tickets)
        if not others:
            return
        working = set((await asyncio.to_thread(self._broker.open_orders))["client_order_id"])
        for run_id in {ticket.run_id for ticket in others}:
            orders = await asyncio.to_thread(self._blotter.orders, run_id)
            columns = (orders[name].tolist() for name in _OUTCOME)
            rows = dict(zip(orders["client_order_id"].tolist(), zip(*columns, strict=True), strict=True))
            for ticket in others:
                name = ticket.client_order_id
                if ticket.run_id == run_id and name in rows:
                    status, filled, price, commission = rows[name]
                    if not filled or not math.isnan(price):
                        effect = cash_effect(ticket, filled, filled * price, commission) if filled else 0.0
                        self._ledger.note(name, effect, has_ended=status in ENDED)
                elif ticket.run_id == run_id and name not in working:  # a run that another blotter records
                    self._ledger.release([name])

    def _smallest_last(self, queue: list[Ticket], funding: Funding) -> list[Ticket]:
        """Move the smallest market buys to the end, where the margins of all buys take more than there is.

        The planner reserves the margins of those only: they are sent when it is known what the others have cost.
        Orders that were sent before stay where they are: TWS takes their order ids in ascending sequence only.
        """
        buys = [ticket for ticket in queue if ticket.side == "BUY"]
        market = [one for one in buys if math.isnan(one.limit_price) and not self._was_sent(one)]
        if not market or math.fsum(map(self._reserved_for, buys)) <= funding.available:
            return queue
        last = [market[place] for place in sent_last([self._cost_of(ticket) for ticket in market])]
        names = {ticket.client_order_id for ticket in last}
        return [ticket for ticket in queue if ticket.client_order_id not in names] + last

    async def reread(self, queue: list[Ticket]) -> None:
        """Read again what the broker allows to be spent, if that is what a buy waits for."""
        if self._funding is None or not self._awaits_figures(queue):
            return
        if self._loop.time() - self._read_at >= _REREAD_SECONDS:
            _, ceiling = await self._read_figures()
            self._funding.set_ceiling(*ceiling)

    async def _read_figures(self) -> tuple[AccountFigures, tuple[float, float, str]]:
        """Read the account's figures, and what they allow to be spent: amount, spent until now, and its name."""
        spent = self._ledger.spent
        figures = await asyncio.to_thread(self._broker.account_figures)
        positions = await asyncio.to_thread(self._broker.positions)
        short = positions[positions["quantity"] < 0]
        self._short = dict(zip(short["symbol"].tolist(), (-short["quantity"]).tolist(), strict=True))
        self._read_at = self._loop.time()
        amount, name = ceiling_of(figures, self._terms.options, await self._value_of_shorts(short, figures))
        return figures, (amount, spent, name)

    async def _value_of_shorts(self, short: pd.DataFrame, figures: AccountFigures) -> float:
        """Market value of the short positions in the base currency; NaN if one has no price or exchange rate."""
        if short.empty:
            return 0.0
        quotes = quotes_by_symbol(await self._broker.fetch_quotes(short["symbol"].tolist()))
        currencies = short["currency"].fillna(figures.base_currency).tolist()
        rates = await usable_rates(self._broker, figures, currencies)
        return math.fsum(
            quantity * (quotes.get(symbol, ArrivalQuote()).price or math.nan) * rates.get(currency, math.nan)
            for symbol, quantity, currency in zip(short["symbol"], -short["quantity"], currencies, strict=True)
        )

    def _cash_by_record(self) -> float:
        """Cash at the start of the run, plus its trades since then; infinite where the broker's figure is newer.

        The broker's figure may be older than the latest fills of this run, by at most the age of account values.
        """
        traded_at = self._record.last_execution_at
        start = self._blotter.cash_at_start(self._record.run_id)
        if start is None or traded_at is None or self._broker.now() - traded_at > _ACCOUNT_VALUES_AGE:
            return math.inf
        return start + math.fsum(self._effect(name, self._record.state(name)) for name in self._record.names)

    async def _committed_elsewhere(self, figures: AccountFigures) -> float:
        """What working buys outside this ledger may still cost, base currency; infinite without a price."""
        orders = await asyncio.to_thread(self._broker.open_orders)
        others = orders[(orders["side"] == "BUY") & ~orders["client_order_id"].isin(list(self._ledger.reserved))]
        others = others[others["quantity"] > others["filled_quantity"]]
        if others.empty:
            return 0.0
        quotes = await self._broker.fetch_quotes(sorted(set(others["symbol"])))
        currencies = quotes["currency"].dropna().tolist() if "currency" in quotes.columns else []
        rates = await usable_rates(self._broker, figures, currencies)
        rates.pop(figures.base_currency)
        effects = working_orders.cash_effect(others, parse_quotes(quotes), figures.base_currency, rates)
        return -math.fsum(effects.tolist())

    # -- which orders ----------------------------------------------------------------------------------------

    def next_group(self, queue: list[Ticket], window: int, *, in_sequence: bool = True) -> list[Ticket]:
        """Orders to send next: every sell, and buys in their sequence as long as there is cash for them.

        The first buy without cash blocks those behind it, so that they do not take its cash. When no more cash is
        expected (not ``in_sequence``), those behind it may use what is available.
        """
        if self._funding is None:
            return queue[:window]
        group: list[Ticket] = []
        cash, allowed = self._funding.cash, self._funding.allowed
        is_waiting = False
        for ticket in queue:
            if len(group) == window:
                break
            if ticket.side == "BUY" and not self._was_sent(ticket):
                if is_waiting:
                    continue
                cost, covers = self._reserved_for(ticket), self._covers(ticket)
                if not cost <= (cash if covers else min(cash, allowed)) + _CASH_NOISE:
                    is_waiting = in_sequence
                    continue
                cash, allowed = cash - cost, allowed - (0.0 if covers else cost)
            group.append(ticket)
        return group

    def reduced_group(self, queue: list[Ticket]) -> list[Ticket]:
        """The first buy of which the available cash pays for a part, for that part."""
        if self._funding is None:
            return []
        for ticket in queue:
            left = self._funding.cash if self._covers(ticket) else self._funding.available
            smaller = self._reduced(ticket, left) if ticket.side == "BUY" else None
            if smaller is not None:
                self.shortages[ticket.client_order_id] = self._describe()
                return [smaller]
        return []

    def _reduced(self, ticket: Ticket, left: float) -> Ticket | None:
        """The lots of a buy that ``left`` pays for; None for none."""
        lot = self._terms.lots.get(ticket.client_order_id, 1.0)
        enough, most = 0, math.ceil(ticket.quantity / lot) - 1
        while enough < most:  # by halves, for the cost of a lot depends on the minimum of the commission
            lots = (enough + most + 1) // 2
            is_affordable = self._reserved_for(_lots_of(ticket, lots, lot)) <= left + _CASH_NOISE
            enough, most = (lots, most) if is_affordable else (enough, lots - 1)
        return _lots_of(ticket, enough, lot) if enough else None

    def may_free_cash(self, queue: list[Ticket]) -> bool:
        """Whether cash may still come: from a working sell, a market buy that trades, or the broker's figures."""
        if self._awaits_figures(queue):
            return True
        queued = {ticket.client_order_id for ticket in queue}
        sent = [self._tickets[name] for name in self._record.open if name not in queued]
        return not self._broker.is_quiet() and any(
            ticket.side == "SELL" or math.isnan(ticket.limit_price) for ticket in sent
        )

    def _awaits_figures(self, queue: list[Ticket]) -> bool:
        """Whether the ledger has the cash for the first buy, and the broker does not allow it yet."""
        funding = self._funding
        if funding is None or not funding.allowed < funding.cash or not self._has_sold:
            return False
        first = next((ticket for ticket in queue if ticket.side == "BUY"), None)
        return first is not None and self._reserved_for(first) <= funding.cash + _CASH_NOISE

    @property
    def _has_sold(self) -> bool:
        """Whether a sell of this run has traded, so that the broker may come to allow more."""
        return any(
            ticket.side == "SELL" and self._record.traded(name)[0] > 0 for name, ticket in self._tickets.items()
        )

    def _was_sent(self, ticket: Ticket) -> bool:
        """Whether an order was sent before, so that cash is reserved for it and its terms are fixed."""
        return self._record.history(ticket.client_order_id).last_sending is not None

    def _covers(self, ticket: Ticket) -> bool:
        """Whether a buy only buys back a short position: the broker has the cash for it as collateral."""
        return ticket.quantity <= self._short.get(ticket.symbol, 0.0)

    # -- what they cost --------------------------------------------------------------------------------------

    def reserve(self, group: Iterable[Ticket]) -> None:
        """Reserve the cash of the group's buys, before another run can spend it."""
        for ticket in group:
            if ticket.side == "BUY" and self._funding is not None:
                self._ledger.reserve(ticket, self._reserved_for(ticket))

    def reserve_change(self, ticket: Ticket) -> bool:
        """Reserve what a buy may cost with a higher limit; False, with nothing reserved, if that is not there.

        What a lower limit would free stays reserved: the order may still be filled at the limit it had.
        """
        if ticket.side != "BUY" or self._funding is None:
            return True
        cost = self._reserved_for(ticket)
        more = cost - self._ledger.cost_of(ticket.client_order_id)
        if more <= 0:
            return True
        left = self._funding.cash if self._covers(ticket) else self._funding.available
        if more > left + _CASH_NOISE:
            return False
        self._ledger.reserve(ticket, cost)
        return True

    def release(self, tickets: Iterable[Ticket]) -> None:
        """Release the cash reserved for orders that were not sent."""
        self._ledger.release(ticket.client_order_id for ticket in tickets)

    def withdrawals(self, queue: Iterable[Ticket], stamp: datetime) -> list[OrderEvent]:
        """Events that withdraw the buys for which no cash arrived."""
        there, late, events = self._describe(), self._late_sells(), []
        for ticket in queue:
            cost, name = self._cost_of(ticket), ticket.client_order_id
            needed = f"it may cost {cost:,.2f}" if math.isfinite(cost) else "its cost is unknown (no price)"
            text = f"{needed}, and {there}{late}"
            events.append(OrderEvent("withdrawn", ticket.run_id, name, stamp, code="not_funded", message=text))
        return events

    def _late_sells(self) -> str:
        """Say that sells which would pay trade in an auction alone, and what to do about it."""
        sells = [self._tickets[name] for name in self._record.open if self._tickets[name].side == "SELL"]
        late = sum(one.order_type in ("MOC", "LOC") or one.tif == "OPG" for one in sells)
        if not late:
            return ""
        what = "a sell trades" if late == 1 else f"{late} sells trade"
        return f"; {what} in an auction alone, and funding='margin' sends buys for it at the same time"

    def _describe(self) -> str:
        """Say what cash there is for buys."""
        if self._funding is None:
            return "no cash was available"
        sold = [one for name, one in self._tickets.items() if one.side == "SELL" and self._record.traded(name)[0]]
        return describe_available(self._funding, self._broker.now(), sold)

    def _effect(self, name: str, state: OrderState) -> float:
        """Change of cash by the fills of an order so far."""
        ticket = self._tickets[name]
        shares, value = self._record.traded(name)
        effect = cash_effect(ticket, shares, value, state.commission)
        if ticket.side == "BUY" and state.filled > shares + _NOISE:  # some shares have an unknown price
            effect = min(effect, -self._cost_of(ticket))
        return effect

    def _cost_of(self, ticket: Ticket) -> float:
        quote = self._quotes.get(ticket.symbol, ArrivalQuote())
        notional = self._terms.notional.get(ticket.client_order_id, math.nan)
        approved = self._tickets[ticket.client_order_id].quantity
        return buy_cost(ticket, quote.ask, quote.last, notional / approved / ticket.fx_rate)

    def _reserved_for(self, ticket: Ticket) -> float:
        """What a buy may cost, with the margin for a market order that trades above the ask."""
        cost = self._cost_of(ticket)
        return cost + slippage_margin(ticket, cost)


def _lots_of(ticket: Ticket, lots: int, lot: float) -> Ticket:
    return replace(ticket, quantity=round(lots * lot, 8))
