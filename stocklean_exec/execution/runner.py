"""Works a run: submits its orders, records broker events, and detects completion.

Sells are sent at once, in the plan's sequence. A buy is sent once the cash for it is available (see
:mod:`~stocklean_exec.execution.funding`). When no more cash is expected, it is sent for the shares that the cash
pays for, and withdrawn as ``not_funded`` if these are none.

For each order the intention to send it is recorded first, then it is sent, then every event about it is recorded.
When the connection to TWS is lost, or that of TWS to IB, sending stops, the broker is queried
(:mod:`~stocklean_exec.execution.recovery`), and the run continues from there; another process resumes a run in the
same way. Whatever interrupts a run (a halt, a failing broker, a keyboard interrupt), the blotter shows which
orders were sent, which were not, and which are unknown.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError, StaleOrderIdError
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
from stocklean_exec.execution.recovery import Recovery, Restrictions
from stocklean_exec.execution.run_control import RunControl, RunStoppedError
from stocklean_exec.execution.run_state import RunState
from stocklean_exec.execution.send_gate import OrderRefusedError, SendBudget, SendGate
from stocklean_exec.execution.settlement import free_riding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_state import OrderState
    from stocklean_exec.brokers.base import AccountFigures, Broker, Ticket
    from stocklean_exec.execution.run_lock import RunLock

    OnProgress = Callable[[int, str], None]

__all__ = ["RunTerms", "Runner"]

_COMMISSION_SECONDS = (
    1.0  # a stated choice: TWS reports a commission right behind its execution; then it is queried
)
_MOST_LOSSES = 20  # a stated choice: a connection lost this often needs a person
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between reconnections, as in the broker: doubled each time
_SILENCE_SECONDS = 30.0  # a stated choice: half the default timeout, so that a dead link is found before it ends
_CHECK_SECONDS = 0.25  # a stated choice: how soon a halt or a cancel is seen while buys wait for cash
# How old account values can be: TWS API documentation, "Account updates".
_ACCOUNT_VALUES_AGE = timedelta(minutes=3)
_REREAD_SECONDS = 1.0  # a stated choice: how often account figures are read while buys wait for them
_MARKET_SECONDS = 5.0  # a stated choice: after waiting longer than this, the market is queried again
_NOISE = 1e-8  # of a share: the blotter's exact quantities have eight decimals
_CASH_NOISE = 1e-6  # of a currency unit: above the rounding error of sums of doubles, far below a cent


@dataclass(frozen=True, slots=True)
class RunTerms:
    """How a run is worked.

    ``patience`` seconds to wait for open orders, and for a lost connection to come back; ``in_flight_seconds`` how
    long an order may be in flight, so that only after that its absence at the broker proves anything; ``resend``
    whether an order whose id is provably unused may be sent again with that id; ``is_new`` whether the run was
    just planned; ``restrictions`` what prevents a first submission; ``min_cash`` cash to keep when buys are sent
    (None: cash is not checked); ``funding`` how buys are paid for; ``lots`` the lot of each order that has one;
    ``control`` stops the run and receives its events.
    """

    patience: float = 60.0
    in_flight_seconds: float = 0.0
    resend: bool = False
    is_new: bool = False
    restrictions: Restrictions = field(default_factory=Restrictions)
    min_cash: float | None = None
    funding: FundingOptions = field(default_factory=FundingOptions)
    lots: Mapping[str, float] = field(default_factory=dict)
    control: RunControl = field(default_factory=RunControl, compare=False)
    on_progress: OnProgress | None = field(default=None, compare=False)


class Runner:
    """Works the orders of one run; made and used on a running event loop.

    Parameters
    ----------
    tickets : every approved order of the run, in the plan's sequence, whatever its state
    budget : what may be sent
    lock : the right to send the run, checked before each order
    """

    def __init__(
        self,
        run_id: str,
        broker: Broker,
        blotter: Blotter,
        tickets: list[Ticket],
        budget: SendBudget,
        terms: RunTerms,
        lock: RunLock,
    ) -> None:
        self._run_id, self._broker, self._blotter = run_id, broker, blotter
        self._tickets = {ticket.client_order_id: ticket for ticket in tickets}
        self._budget, self._terms, self._lock = budget, terms, lock
        self._loop = asyncio.get_running_loop()
        quantities = {name: one.quantity for name, one in self._tickets.items()}
        self._record = RunState(run_id, blotter, quantities, terms.control.publish)
        self._queue: list[Ticket] = []
        self._attempt = self._record.last_attempt
        self._session = broker.session
        self._quotes: dict[str, _Quote] = {}
        self._restrictions = terms.restrictions
        self._ledger = ledger_of(broker)
        self._funding: Funding | None = None
        self._short: dict[str, float] = {}  # shares that are short, by symbol
        self._figures_at = -math.inf  # by the loop's clock
        self._sent_at = self._loop.time()
        self._sent = 0
        self._losses = _Losses()
        self._record.watch = self._count_cash
        for name in self._record.names:
            self._count_cash(name, self._record.state(name))

    async def work(self) -> None:
        """Recover the run, send what may be sent, follow all orders to their end, and close the run."""
        record = self._record
        try:
            record.follow(self._broker)
            await self._prepare()
        except (HaltedError, BrokerError) as error:
            await record.put(
                [OrderEvent("run_blocked", self._run_id, occurred_at=clock.now(), message=str(error))]
            )
            raise
        if await self._is_finished():
            return
        start = record.starts + bool(self._queue or record.ends >= record.starts)
        if start > record.starts:
            await record.put([self._of_run("run_started", start, None)])
            record.starts = start
        message = "interrupted"
        try:
            message = await self._execute()
            if record.held:
                message = f"{self._count_held()}; the others: {message}"
        except BaseException as error:
            message = f"interrupted: {_describe(error)}"
            raise
        finally:
            record.update_states()
            self._show_progress()
            await record.put([self._of_run("run_ended", start, message)])
        self._blotter.check_halt()

    async def _is_finished(self) -> bool:
        """Whether there is nothing to work; the reason is then recorded."""
        record = self._record
        if self._queue or record.open or record.ends < record.starts:
            return False
        if not record.is_unsent:
            return bool(record.starts) and not record.held  # otherwise its end is still to be recorded
        if record.held:
            text = self._count_held()
            await record.put([OrderEvent("run_blocked", self._run_id, occurred_at=clock.now(), message=text)])
        return True

    # -- the sequence ----------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """Reconcile and prepare the queue, through any number of lost connections."""
        for _ in range(_MOST_LOSSES):
            try:
                if self._broker.fault:
                    await self._restore_connection()
                await self._recover()
                if self._queue:
                    self._blotter.check_halt()
                    await self._record_book()
                await self._prepare_queue()
            except ConnectionLostError as error:
                await self._restore_connection(error)
            else:
                return
        raise BrokerError(f"the connection was lost {_MOST_LOSSES} times; repair it, then resume the run")

    async def _execute(self) -> str:
        """Send and follow, through any number of lost connections; return how the run ended."""
        while True:
            self._sent_at = self._loop.time()
            try:
                return await self._send() or await self._follow()
            except ConnectionLostError as error:
                await self._record_event("link_lost", str(error))
                await self._restore_connection(error)
                await self._prepare()
                await self._record_event("link_restored", f"reconciled; {len(self._queue)} orders to send")

    async def _restore_connection(self, lost: ConnectionLostError | None = None) -> None:
        """Wait for the connection to come back; longer each time as long as nothing comes of it."""
        self._show(f"connection lost, trying for {self._terms.patience:g} s")
        patience = await self._pause_after_loss(lost)
        try:
            await self._broker.restore_connection(patience)
        except ConnectionLostError as error:
            text = str(error) if lost is None or str(lost) in str(error) else f"{lost}; {error}"
            raise BrokerError(f"{text}. {self._how_to_continue()}") from error

    async def _pause_after_loss(self, lost: ConnectionLostError | None) -> float:
        """Pause before a reconnection; return how many seconds are left for it.

        A report that cannot be read is repeated by each connection: reconnecting must end all the same.
        """
        now, progress = self._loop.time(), (self._sent, len(self._record.open), self._record.last_execution_at)
        if progress != self._losses.progress:
            self._losses = _Losses(progress, now)
            return self._terms.patience
        left = self._losses.since + self._terms.patience - now
        self._losses = self._losses._replace(number=self._losses.number + 1)
        if left <= 0:
            text = f"nothing came of {self._losses.number} reconnections in {self._terms.patience:g} s"
            raise BrokerError(f"{lost}; {text}. {self._how_to_continue()}") from lost
        await asyncio.sleep(min(_FIRST_PAUSE * 2**self._losses.number, _LONGEST_PAUSE, left))
        return left

    def _how_to_continue(self) -> str:
        return f"sx.resume({self._run_id!r}, ...) or stocklean resume {self._run_id} continues the run"

    async def _record_book(self) -> None:
        """Record the account's holdings before the first order of this run is sent."""
        if self._record.last_attempt:
            return
        taken_at = self._broker.now()
        positions = await asyncio.to_thread(self._broker.positions)
        cash = await asyncio.to_thread(self._broker.cash)
        self._blotter.record_book(self._run_id, self._broker.account, taken_at, positions, cash)

    async def _recover(self) -> None:
        """Reconcile the blotter with the broker, and queue what may be sent."""
        recovery = Recovery(
            self._broker,
            self._blotter,
            self._record,
            in_flight_seconds=self._terms.in_flight_seconds,
            resend=self._terms.resend,
            is_new=self._terms.is_new and not self._record.starts,
            restrictions=self._restrictions,
        )
        found = await recovery.run()
        cleared = self._restrictions.cleared.union(found.unsent)  # from now on only this process can send them
        self._restrictions = replace(self._restrictions, cleared=cleared)
        await self._halt_on_alarm()
        for name in found.again:
            self._budget.allow_again(name)
        self._session = found.session
        again = [self._as_sent(name) for name in found.again]
        unsent = [self._tickets[name] for name in found.unsent]
        self._queue = [ticket for ticket in (*again, *unsent) if self._budget.may_send(ticket.client_order_id)]

    def _as_sent(self, name: str) -> Ticket:
        """An order as it was sent before: with the same order id, its terms must be the same too."""
        return replace(self._tickets[name], quantity=self._record.history(name).sent_quantity)

    async def _prepare_queue(self) -> None:
        """Let the broker prepare the orders, record those it cannot send, and record the market."""
        if not self._queue:
            return
        self._attempt = self._record.last_attempt + 1

        def show(done: int, count: int) -> None:
            self._loop.call_soon_threadsafe(self._show, f"contract {done} of {count}")

        refused = await self._broker.prepare(self._queue, show)
        if self._terms.funding.account_kind != "margin":
            stamp = self._broker.now()
            refused = refused | free_riding(self._queue, self._blotter, self._broker.account, stamp)
        if refused:
            stamp = self._broker.now()
            await self._record.put(
                OrderEvent("refused", self._run_id, name, stamp, code=code, message=text)
                for name, (code, text) in refused.items()
            )
            self._queue = [ticket for ticket in self._queue if ticket.client_order_id not in refused]
            self._record.update_states()
        await self._query_market()
        await self._open_funding()

    async def _query_market(self) -> None:
        """Query and record the market of the orders that are to be sent."""
        quotes = await self._broker.fetch_quotes([ticket.symbol for ticket in self._queue])
        self._quotes |= _quotes_by_symbol(quotes)
        self._blotter.record_quotes(self._run_id, quotes)

    # -- cash ------------------------------------------------------------------------------------------------

    async def _open_funding(self) -> None:
        """Determine the cash that may be spent, if there are buys."""
        self._funding = None
        waits = self._terms.min_cash is not None and self._terms.funding.mode == "fills"
        if not waits or not any(ticket.side == "BUY" for ticket in self._queue):
            return
        for name, ticket in self._tickets.items():  # sent earlier, and may still be working
            is_sent = self._record.history(name).last_sending is not None
            if (
                ticket.side == "BUY"
                and is_sent
                and name in self._record.open
                and name not in self._ledger.reserved
            ):
                self._ledger.reserve(name, self._cost_of(ticket))
        before = self._ledger.flows
        figures, ceiling = await self._read_figures()
        # A fill in the meantime may or may not be in this cash: it may lower spendable cash, never raise it.
        counted = max(before, self._ledger.flows)
        cash = min(figures.cash, self._cash_by_record())
        elsewhere = await self._committed_elsewhere()
        self._funding = Funding(
            self._ledger, cash=cash, counted=counted, min_cash=self._terms.min_cash or 0.0, elsewhere=elsewhere
        )
        self._funding.set_ceiling(*ceiling)
        self._send_smallest_last()

    def _send_smallest_last(self) -> None:
        """Move the smallest market buys to the end, where the margins of all buys take more than there is.

        The planner reserves the margins of those only: they are sent when it is known what the others have cost.
        Orders that were sent before stay where they are: TWS takes their order ids in ascending sequence only.
        """
        buys = [ticket for ticket in self._queue if ticket.side == "BUY"]
        total = math.fsum(map(self._reserved_for, buys))
        market = [one for one in buys if math.isnan(one.limit_price) and not self._was_sent(one)]
        if market and self._funding is not None and total > self._funding.available:
            last = [market[place] for place in sent_last([self._cost_of(ticket) for ticket in market])]
            names = {ticket.client_order_id for ticket in last}
            self._queue = [ticket for ticket in self._queue if ticket.client_order_id not in names] + last

    async def _read_figures(self) -> tuple[AccountFigures, tuple[float, float, str]]:
        """Read the account's figures, and what they allow to be spent: amount, spent until now, and its name."""
        spent = self._ledger.spent
        figures = await asyncio.to_thread(self._broker.account_figures)
        positions = await asyncio.to_thread(self._broker.positions)
        short = positions[positions["quantity"] < 0]
        self._short = dict(zip(short["symbol"].tolist(), (-short["quantity"]).tolist(), strict=True))
        self._figures_at = self._loop.time()
        amount, name = ceiling_of(figures, self._terms.funding, await self._value_of_shorts(short, figures))
        return figures, (amount, spent, name)

    async def _value_of_shorts(self, short: pd.DataFrame, figures: AccountFigures) -> float:
        """Market value of the short positions in the base currency; NaN if one has no price or exchange rate."""
        if short.empty:
            return 0.0
        quotes = _quotes_by_symbol(await self._broker.fetch_quotes(short["symbol"].tolist()))
        rates = {name: rate for name, (_, rate) in figures.currencies.items()} | {figures.base_currency: 1.0}
        return math.fsum(
            quantity * (quotes.get(symbol, _Quote()).price or math.nan) * rates.get(currency, math.nan)
            for symbol, quantity, currency in zip(
                short["symbol"],
                -short["quantity"],
                short["currency"].fillna(figures.base_currency),
                strict=True,
            )
        )

    def _cash_by_record(self) -> float:
        """Cash at the start of the run, plus its trades since then; infinite where the broker's figure is newer.

        The broker's figure may be older than the latest fills of this run, by at most the age of account values.
        """
        traded_at = self._record.last_execution_at
        start = self._blotter.cash_at_start(self._run_id)
        if start is None or traded_at is None or self._broker.now() - traded_at > _ACCOUNT_VALUES_AGE:
            return math.inf
        return start + math.fsum(self._effect(name, self._record.state(name)) for name in self._record.names)

    async def _committed_elsewhere(self) -> float:
        """What working buys outside this ledger may still cost; infinite without a price."""
        orders = await asyncio.to_thread(self._broker.open_orders)
        others = orders[(orders["side"] == "BUY") & ~orders["client_order_id"].isin(list(self._ledger.reserved))]
        left = (others["quantity"] - others["filled_quantity"]).clip(lower=0.0)
        unpriced = sorted(set(others.loc[others["limit_price"].isna() & (left > 0), "symbol"]))
        quotes = _quotes_by_symbol(await self._broker.fetch_quotes(unpriced)) if unpriced else {}
        costs = [
            _working_cost(quantity, limit, quotes.get(symbol, _Quote()))
            for symbol, limit, quantity in zip(others["symbol"], others["limit_price"], left, strict=True)
        ]
        return math.fsum(costs)

    def _cost_of(self, ticket: Ticket) -> float:
        quote = self._quotes.get(ticket.symbol, _Quote())
        notional = self._budget.notional.get(ticket.client_order_id, math.nan)
        approved = self._tickets[ticket.client_order_id].quantity
        return buy_cost(ticket, quote.ask, quote.last, notional / approved / ticket.fx_rate)

    def _effect(self, name: str, state: OrderState) -> float:
        """Change of cash by the fills of an order so far."""
        ticket = self._tickets[name]
        shares, value = self._record.traded(name)
        effect = cash_effect(ticket, shares, value, state.commission)
        if ticket.side == "BUY" and state.filled > shares + _NOISE:  # some shares have an unknown price
            effect = min(effect, -self._cost_of(ticket))
        return effect

    def _count_cash(self, name: str, state: OrderState) -> None:
        self._ledger.note(name, self._effect(name, state), has_ended=state.has_ended)

    def _next_group(self, *, in_sequence: bool = True) -> list[Ticket]:
        """Orders to send next: every sell, and buys in their sequence as long as there is cash for them.

        The first buy without cash blocks those behind it, so that they do not take its cash. When no more cash is
        expected (not ``in_sequence``), those behind it may use what is available.
        """
        window = self._broker.send_window
        if self._funding is None:
            return self._queue[:window]
        group: list[Ticket] = []
        cash, allowed = self._funding.cash, self._funding.allowed
        is_waiting = False
        for ticket in self._queue:
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

    def _was_sent(self, ticket: Ticket) -> bool:
        """Whether an order was sent before, so that cash is reserved for it and its terms are fixed."""
        return self._record.history(ticket.client_order_id).last_sending is not None

    def _covers(self, ticket: Ticket) -> bool:
        """Whether a buy only buys back a short position: the broker has the money for it as collateral."""
        return ticket.quantity <= self._short.get(ticket.symbol, 0.0)

    def _reduced_group(self) -> list[Ticket]:
        """The first buy of which the available cash pays for a part, for that part."""
        if self._funding is None:
            return []
        for ticket in self._queue:
            left = self._funding.cash if self._covers(ticket) else self._funding.available
            smaller = self._reduced(ticket, left) if ticket.side == "BUY" else None
            if smaller is not None:
                return [smaller]
        return []

    def _reduced(self, ticket: Ticket, left: float) -> Ticket | None:
        """The lots of a buy that ``left`` pays for; None for none."""
        lot = self._terms.lots.get(ticket.client_order_id, 1.0)
        enough, most = 0, math.ceil(ticket.quantity / lot) - 1
        while enough < most:  # by halves, for the cost of a lot depends on the minimum of the commission
            lots = (enough + most + 1) // 2
            is_affordable = self._reserved_for(self._lots_of(ticket, lots, lot)) <= left + _CASH_NOISE
            enough, most = (lots, most) if is_affordable else (enough, lots - 1)
        return self._lots_of(ticket, enough, lot) if enough else None

    def _lots_of(self, ticket: Ticket, lots: int, lot: float) -> Ticket:
        return replace(ticket, quantity=round(lots * lot, 8))

    def _reserved_for(self, ticket: Ticket) -> float:
        """What a buy may cost, with the margin for a market order that trades above the ask."""
        cost = self._cost_of(ticket)
        return cost + slippage_margin(ticket, cost)

    async def _wait_for_funds(self) -> bool:
        """Wait until a buy can be paid for; False once no order can free cash, or the time is up."""
        patience = self._terms.funding.timeout
        deadline = self._sent_at + (self._terms.patience if patience is None else patience)
        self._terms.control.quiet.set()
        try:
            while True:
                self._record.update_states()
                await self._halt_on_alarm()
                self._check_stop()
                self._check_link()
                await self._reread_figures()
                if self._next_group():
                    return True
                if not self._may_free_cash() or self._loop.time() >= deadline:
                    return False
                self._show(f"{len(self._queue)} buys wait for cash")
                await self._wait_for_news(min(deadline, self._loop.time() + _CHECK_SECONDS))
        finally:
            self._terms.control.quiet.clear()

    def _may_free_cash(self) -> bool:
        """Whether cash may still come: from a working sell, a market buy that trades, or the broker's figures."""
        if self._awaits_figures():
            return True
        sent = [self._tickets[name] for name in self._record.open if name not in self._queued]
        return not self._broker.is_quiet() and any(
            ticket.side == "SELL" or math.isnan(ticket.limit_price) for ticket in sent
        )

    @property
    def _queued(self) -> set[str]:
        return {ticket.client_order_id for ticket in self._queue}

    def _awaits_figures(self) -> bool:
        """Whether the ledger has the cash for the first buy, and the broker does not allow it yet."""
        funding = self._funding
        if funding is None or not funding.allowed < funding.cash or not self._has_sold:
            return False
        first = next((ticket for ticket in self._queue if ticket.side == "BUY"), None)
        return first is not None and self._reserved_for(first) <= funding.cash + _CASH_NOISE

    @property
    def _has_sold(self) -> bool:
        """Whether a sell of this run has traded, so that the broker may come to allow more."""
        return any(
            ticket.side == "SELL" and self._record.traded(name)[0] > 0 for name, ticket in self._tickets.items()
        )

    async def _reread_figures(self) -> None:
        """Read again what the broker allows to be spent, if that is what a buy waits for."""
        if self._funding is None or not self._awaits_figures():
            return
        if self._loop.time() - self._figures_at >= _REREAD_SECONDS:
            _, ceiling = await self._read_figures()
            self._funding.set_ceiling(*ceiling)

    async def _withdraw_queue(self) -> None:
        """Withdraw the buys for which no cash came."""
        stamp, there = clock.now(), "no cash was available"
        if self._funding is not None:
            there = describe_available(self._funding, self._broker.now())
        withdrawn, self._queue = self._queue, []
        events = []
        for ticket in withdrawn:
            cost = self._cost_of(ticket)
            needed = f"it may cost {cost:,.2f}" if math.isfinite(cost) else "its cost is unknown (no price)"
            text, name = f"{needed}, and {there}", ticket.client_order_id
            events.append(OrderEvent("withdrawn", self._run_id, name, stamp, code="not_funded", message=text))
        await self._record.put(events)
        self._record.update_states()

    # -- sending ---------------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        """Raise if the next order must not be sent: a halt, a lost run lock, or a cancelled run."""
        self._blotter.check_halt()
        self._lock.check()
        self._terms.control.check()

    async def _drop_queue(self) -> None:
        """Refuse the unsent orders of a cancelled run, for good."""
        stamp, text = clock.now(), self._terms.control.stopped
        dropped, self._queue = self._queue, []
        await self._record.put(
            OrderEvent("refused", self._run_id, one.client_order_id, stamp, code="run_cancelled", message=text)
            for one in dropped
        )

    async def _send(self) -> str:
        """Send the queue in its sequence; return why it stopped, or "" when all orders were sent."""
        self._terms.control.quiet.clear()
        try:
            return await self._send_queue()
        finally:
            self._terms.control.quiet.set()

    async def _send_queue(self) -> str:
        while self._queue:
            try:
                group = await self._fundable_group()
            except HaltedError as error:
                return str(error)
            except RunStoppedError:
                await self._drop_queue()
                break
            stopped = await self._send_group(group) if group else ""
            if stopped:
                return stopped
        return ""

    async def _fundable_group(self) -> list[Ticket]:
        """Orders to send next, once there is cash for them; the rest is withdrawn when none is expected."""
        group, asked_at = self._next_group(), self._loop.time()
        if group:
            return group
        comes = await self._wait_for_funds()
        if self._loop.time() - asked_at > _MARKET_SECONDS:
            await self._query_market()
        if comes:
            return self._next_group()
        group = self._next_group(in_sequence=False) or self._reduced_group()
        if not group:
            await self._withdraw_queue()
        return group

    async def _send_group(self, group: list[Ticket]) -> str:
        """Send some orders; return why sending stopped, or "" if it continues."""
        self._reserve(group)
        try:
            await self._record.put([self._sending(ticket) for ticket in group])
        except asyncio.CancelledError:
            self._ledger.release(ticket.client_order_id for ticket in group)
            await self._record_not_sent(group)
            raise
        gate = SendGate(self._broker, self._session, self._check_stop, self._budget, self._loop.time)
        try:
            await self._broker.place_all(group, gate.open)
        except BaseException as error:
            gate.close()
            await self._record_failure(group, gate, error)
            if isinstance(error, HaltedError):
                return str(error)
            if isinstance(error, RunStoppedError):
                await self._drop_queue()
            elif isinstance(error, StaleOrderIdError):
                await self._broker.prepare(self._queue)
            elif not isinstance(error, OrderRefusedError):
                raise
        else:
            sent = {ticket.client_order_id for ticket in group}
            self._queue = [ticket for ticket in self._queue if ticket.client_order_id not in sent]
            self._sent_at = self._loop.time()
            self._sent += len(sent)
        self._record.update_states()
        await self._halt_on_alarm()
        self._show_progress()
        await asyncio.sleep(0)
        return ""

    def _reserve(self, group: list[Ticket]) -> None:
        """Reserve the cash of the group's buys, before another run can spend it."""
        for ticket in group:
            if ticket.side == "BUY" and self._funding is not None:
                self._ledger.reserve(ticket.client_order_id, self._reserved_for(ticket))

    async def _record_failure(self, group: list[Ticket], gate: SendGate, error: BaseException) -> None:
        """Record which orders of a group were not sent, which one may have been, and which was refused."""
        stamp = clock.now()
        events = []
        for ticket in gate.in_flight:
            text = f"the submission failed: {_describe(error)}"
            name = ticket.client_order_id
            events.append(OrderEvent("unknown", self._run_id, name, stamp, message=text, attempt=self._attempt))
        left = [ticket for ticket in group if ticket.client_order_id not in gate.entered]
        self._ledger.release(ticket.client_order_id for ticket in left)
        if isinstance(error, OrderRefusedError) and left:
            name = left[0].client_order_id
            events.append(OrderEvent("refused", self._run_id, name, stamp, code=error.code, message=str(error)))
            self._queue = [one for one in self._queue if one.client_order_id != name]
        self._queue = [one for one in self._queue if one.client_order_id not in gate.entered]
        await self._record_not_sent(left, *events)

    async def _record_not_sent(self, tickets: list[Ticket], *events: OrderEvent) -> None:
        """Record that ``tickets`` were not sent, although a ``sending`` event is on record."""
        stamp = clock.now()
        left = [
            OrderEvent("not_sent", self._run_id, ticket.client_order_id, stamp, attempt=self._attempt)
            for ticket in tickets
        ]
        await self._record.put([*events, *left])
        self._attempt += 1

    def _sending(self, ticket: Ticket) -> OrderEvent:
        quote = self._quotes.get(ticket.symbol, _Quote())
        order_id, client_id = self._broker.order_id_for(ticket.client_order_id)
        approved = self._tickets[ticket.client_order_id].quantity
        reduced: dict[str, Any] = {}
        if ticket.quantity < approved:
            text = (
                f"sent for {ticket.quantity:,.10g} of {approved:,.10g} shares, which the available cash pays for"
            )
            reduced = {"quantity": ticket.quantity, "code": "not_funded", "message": text}
        return OrderEvent(
            "sending",
            self._run_id,
            ticket.client_order_id,
            self._broker.now(),
            order_id=order_id,
            client_id=client_id,
            attempt=self._attempt,
            **quote._asdict(),
            **reduced,
        )

    # -- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> str:
        deadline = self._sent_at + self._terms.patience
        self._record.update_states()
        while self._record.open:
            self._check_link()
            if self._broker.is_quiet():
                break
            if not await self._wait_for_news(deadline):
                await self._query_open_orders()
                return self._count_open("timeout: {} orders are still working at the broker")
            self._record.update_states()
            await self._halt_on_alarm()
            self._show_progress()
        await self._wait_for_commissions(deadline)
        if not self._record.open:
            return "all orders have ended"
        await self._query_open_orders()
        return self._count_open("{} orders are resting at the broker")

    async def _wait_for_news(self, deadline: float) -> bool:
        """Wait for an event; False when the time is up. After a long silence, check that the broker answers."""
        self._record.news.clear()
        while (left := deadline - self._loop.time()) > 0:
            try:
                await asyncio.wait_for(self._record.news.wait(), min(left, _SILENCE_SECONDS))
            except TimeoutError:
                if left > _SILENCE_SECONDS:
                    await self._broker.ping()
                    self._check_link()
            else:
                return True
        return False

    def _check_link(self) -> None:
        """Raise if the connection was lost: events may have been missed."""
        if self._broker.fault:
            raise ConnectionLostError(self._broker.fault)
        if self._broker.session != self._session:
            raise ConnectionLostError("TWS lost its connection to IB, and has restored it")

    async def _wait_for_commissions(self, deadline: float) -> None:
        """Wait a moment for the last commissions, which follow the fills; query once for missing ones."""
        deadline = min(deadline, self._loop.time() + _COMMISSION_SECONDS)
        while self._awaits_commissions() and await self._wait_for_news(deadline):
            pass
        if self._awaits_commissions():
            with suppress(ConnectionLostError):  # the orders have ended: a resume of the run queries again
                await self._broker.collect_evidence()

    def _awaits_commissions(self) -> bool:
        return bool(self._record.uncharged) and not self._broker.is_quiet()

    async def _query_open_orders(self) -> None:
        """At the end, query orders with outstanding reports, and record the answers."""
        self._record.update_states()
        if any(self._awaits_reports(name) for name in self._record.open):
            recovery = Recovery(
                self._broker,
                self._blotter,
                self._record,
                in_flight_seconds=self._terms.in_flight_seconds,
                resend=False,
                is_new=False,
                restrictions=self._restrictions,
            )
            await recovery.run()
            self._record.update_states()

    def _count_open(self, text: str) -> str:
        """Say how many orders are open: at the broker (by ``text``), or unresolved."""
        unresolved = sum(self._record.state(name).status == "UNKNOWN" for name in self._record.open)
        working = len(self._record.open) - unresolved
        parts = [text.format(working)] if working else []
        parts += [f"{unresolved} orders are unresolved"] if unresolved else []
        return ", ".join(parts) or "all orders have ended"

    def _count_held(self) -> str:
        """Say how many orders were held back, and why."""
        reasons = list(dict.fromkeys(self._record.held.values()))
        more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
        return f"{len(self._record.held)} orders were held back: {reasons[0]}{more}"

    def _awaits_reports(self, name: str) -> bool:
        """Whether the broker has never answered, or has reported fills without their executions."""
        if self._record.state(name).state in ("SENDING", "UNCONFIRMED"):
            return True
        return any(
            event.kind == "status" and event.status == "FILLED" for event in self._record.history(name).events
        )

    # -- helpers ---------------------------------------------------------------------------------------------

    async def _halt_on_alarm(self) -> None:
        """Halt everything when the broker has more than was ordered: a person has to check."""
        if self._record.alarm:
            alarm, self._record.alarm = self._record.alarm, ""
            await asyncio.to_thread(self._blotter.halt, alarm)

    async def _record_event(self, kind: str, text: str) -> None:
        await self._record.put([OrderEvent(kind, self._run_id, occurred_at=clock.now(), message=text)])

    def _of_run(self, kind: str, attempt: int, message: str | None) -> OrderEvent:
        return OrderEvent(kind, self._run_id, occurred_at=self._broker.now(), attempt=attempt, message=message)

    def _show_progress(self) -> None:
        self._show(f"{len(self._record.open)} open")

    def _show(self, text: str) -> None:
        if self._terms.on_progress is not None:
            self._terms.on_progress(len(self._record.names) - len(self._record.open), text)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Losses(NamedTuple):
    """Lost connections since the run last made progress: orders sent, orders open, latest execution."""

    progress: tuple[int, int, datetime | None] | None = None
    since: float = 0.0
    number: int = 0


class _Quote(NamedTuple):
    """The market in one symbol at the start of a run, as recorded with an event of kind ``sending``."""

    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    quoted_at: datetime | None = None
    data_type: int | None = None

    @property
    def price(self) -> float | None:
        """The ask, else the last trade; None without either."""
        return next((one for one in (self.ask, self.last) if one is not None and one > 0), None)


def _working_cost(quantity: float, limit: float, quote: _Quote) -> float:
    """What ``quantity`` shares of another process's working buy may still cost; infinite without a price."""
    if quantity <= 0:
        return 0.0
    price = limit if limit > 0 else quote.price
    return math.inf if price is None else quantity * price


def _quotes_by_symbol(quotes: pd.DataFrame) -> dict[str, _Quote]:
    columns = [
        _plain(quotes[name]) if name in quotes.columns else [None] * len(quotes)
        for name in ("bid", "ask", "last", "close", "quoted_at", "data_type")
    ]
    return {
        symbol: _Quote(bid, ask, close if last is None else last, quoted_at, data_type)
        for symbol, bid, ask, last, close, quoted_at, data_type in zip(
            quotes["symbol"].tolist(), *columns, strict=True
        )
    }


def _plain(column: pd.Series[Any]) -> list[Any]:
    """Values of a column, None where it is empty."""
    return [None if empty else value for value, empty in zip(column.tolist(), column.isna().tolist(), strict=True)]
