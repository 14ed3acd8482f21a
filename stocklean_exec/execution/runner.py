"""Works a run: submits its orders, records broker events, and detects completion.

Sells are sent at once, in the plan's sequence. A buy is sent once the cash for it is available (see
:mod:`~stocklean_exec.execution.buy_funding`). When no more cash is expected, it is sent for the shares that the
cash pays for, and withdrawn as ``not_funded`` if these are none.

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
from typing import TYPE_CHECKING

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError
from stocklean_exec.execution.arrival_quotes import ArrivalQuote, quotes_by_symbol
from stocklean_exec.execution.buy_funding import BuyFunding, FundingTerms
from stocklean_exec.execution.currency_checks import currency_refusals
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.gross_exposure import GrossLimit, read_exposure
from stocklean_exec.execution.market_limits import arrival_prices, market_refusals
from stocklean_exec.execution.order_sender import OrderSender, describe_error
from stocklean_exec.execution.order_worker import OrderWorker, WorkPlan
from stocklean_exec.execution.reconnections import Reconnections
from stocklean_exec.execution.recovery import Recovery, Restrictions
from stocklean_exec.execution.repricing import Messages
from stocklean_exec.execution.run_control import RunControl, RunStoppedError
from stocklean_exec.execution.run_state import RunState
from stocklean_exec.execution.session_checks import session_refusals
from stocklean_exec.execution.settlement import free_riding
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.inputs import parse_quotes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_state import OrderState
    from stocklean_exec.brokers.base import Broker, Ticket
    from stocklean_exec.execution.run_lock import RunLock
    from stocklean_exec.execution.send_gate import SendBudget

    OnProgress = Callable[[int, str], None]

__all__ = ["RunTerms", "Runner"]

_COMMISSION_SECONDS = (
    1.0  # a stated choice: TWS reports a commission right behind its execution; then it is queried
)
_MOST_LOSSES = 20  # a stated choice: a connection lost this often needs a person
_SILENCE_SECONDS = 30.0  # a stated choice: half the default timeout, so that a dead link is found before it ends
_REST_SECONDS = 1.0  # a stated choice: how soon it is seen that nothing more will happen
_CHECK_SECONDS = 0.25  # a stated choice: how soon a halt or a cancel is seen while orders wait
_MARKET_SECONDS = 5.0  # a stated choice: after waiting longer than this, the market is queried again
_MARKET_PART = 0.1  # a stated choice: most of the time between two queries of the market that one may take


@dataclass(frozen=True, slots=True)
class RunTerms:
    """How a run is worked.

    ``patience`` seconds to wait for open orders, and for a lost connection to come back; ``in_flight_seconds`` how
    long an order may be in flight, so that only after that its absence at the broker proves anything; ``resend``
    whether an order whose id is provably unused may be sent again with that id; ``is_new`` whether the run was
    just planned; ``restrictions`` what prevents a first submission; ``min_cash`` cash to keep when buys are sent
    (None: cash is not checked); ``funding`` how buys are paid for; ``lots`` the lot of each order that has one;
    ``rates`` the exchange rate that each order was approved with, where it has one; ``limits`` those on prices
    hold at the market when orders are sent; ``gross`` the limit on gross exposure (None: there is none); ``work``
    how orders are worked after they were sent; ``control`` stops the run and receives its events.
    """

    patience: float = 60.0
    in_flight_seconds: float = 0.0
    resend: bool = False
    is_new: bool = False
    restrictions: Restrictions = field(default_factory=Restrictions)
    min_cash: float | None = None
    funding: FundingOptions = field(default_factory=FundingOptions)
    lots: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    gross: GrossLimit | None = None
    work: WorkPlan = field(default_factory=lambda: WorkPlan({}, Limits(), Messages()))
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
        self._quotes: dict[str, ArrivalQuote] = {}
        self._restrictions = terms.restrictions
        self._lots, self._rates = dict(terms.lots), dict(terms.rates)
        how = FundingTerms(terms.min_cash, terms.funding, self._lots, budget.notional)
        self._funding = BuyFunding(broker, blotter, self._record, self._tickets, self._quotes, how)
        self._sender = OrderSender(
            run_id, broker, self._record, self._tickets, self._quotes, budget, self._funding, self._check_stop
        )
        self._worker = OrderWorker(
            run_id,
            broker,
            blotter,
            self._record,
            self._tickets,
            terms.work,
            self._funding,
            adopt=self._adopt_rest,
            may_change=lambda: budget.may_change(self._loop.time()),
            check_stop=self._check_stop,
            session=lambda: self._sender.session,
        )
        self._market_read_at, self._market_took = self._loop.time(), 0.0
        self._reconnections = Reconnections(terms.patience)
        self._record.watch = self._on_state
        for name in self._record.names:
            self._on_state(name, self._record.state(name))

    def _on_state(self, name: str, state: OrderState) -> None:
        """Count the fills of an order so far, and what an order that has ended leaves unfilled."""
        self._funding.count(name, state)
        self._worker.note(name, state)
        if self._sender.exposure is not None and state.has_ended:
            self._sender.exposure.release(name, state.filled)

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
            with suppress(ConnectionLostError):  # nothing is left to send: the next resume queries again
                await self._wait_for_commissions(self._loop.time() + self._terms.patience)
            return
        start = record.starts + bool(self._sender.queue or record.ends >= record.starts)
        if start > record.starts:
            await record.put([self._of_run("run_started", start, None)])
            record.starts = start
        message = "interrupted"
        try:
            message = await self._execute() + self._worker.summary()
            if record.held:
                message = f"{self._count_held()}; the others: {message}"
        except BaseException as error:
            message = f"interrupted: {describe_error(error)}"
            if isinstance(error, asyncio.CancelledError):  # Ctrl-C too reaches this loop as one
                message = f"interrupted by the caller or Ctrl-C; {self._how_to_continue()}"
            raise
        finally:
            record.update_states()
            self._show_progress()
            await record.put([self._of_run("run_ended", start, message)])
        self._blotter.check_halt()

    async def _is_finished(self) -> bool:
        """Whether there is nothing to work; the reason is then recorded."""
        record = self._record
        if self._sender.queue or record.open or record.ends < record.starts or await self._worker.has_rest():
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
                if self._sender.queue:
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
            self._sender.sent_at = self._loop.time()
            try:
                end = await self._send() or await self._follow()
                if end is not None:
                    return end
            except ConnectionLostError as error:
                await self._record_event("link_lost", str(error))
                await self._restore_connection(error)
                await self._prepare()
                await self._record_event("link_restored", f"reconciled; {len(self._sender.queue)} orders to send")

    async def _restore_connection(self, lost: ConnectionLostError | None = None) -> None:
        """Wait for the connection to come back; longer each time while there is no progress."""
        self._show(f"connection lost, trying for {self._terms.patience:g} s")
        patience = await self._pause_after_loss(lost)
        try:
            await self._broker.restore_connection(patience)
        except ConnectionLostError as error:
            text = str(error) if lost is None or str(lost) in str(error) else f"{lost}; {error}"
            raise BrokerError(f"{text}. {self._how_to_continue()}") from error

    async def _pause_after_loss(self, lost: ConnectionLostError | None) -> float:
        """Pause before a reconnection; return how many seconds are left for it."""
        progress = (self._sender.sent, len(self._record.open), self._record.last_execution_at)
        tried = self._reconnections.next_pause(progress, self._loop.time())
        if tried is None:
            text = f"{self._reconnections.number} reconnections in {self._terms.patience:g} s without progress"
            raise BrokerError(f"{lost}; {text}. {self._how_to_continue()}") from lost
        pause, left = tried
        if pause:
            await asyncio.sleep(pause)
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
        self._sender.session = found.session
        again = [self._as_sent(name) for name in found.again]
        unsent = [self._tickets[name] for name in found.unsent]
        queue = [ticket for ticket in (*again, *unsent) if self._budget.may_send(ticket.client_order_id)]
        self._sender.queue = self._worker.hold_back(queue)

    def _as_sent(self, name: str) -> Ticket:
        """An order as it was sent before: with the same order id, its terms must be the same too."""
        return replace(self._tickets[name], quantity=self._record.history(name).sent_quantity)

    async def _prepare_queue(self) -> None:
        """Let the broker prepare the orders, record those it cannot send, and record the market."""
        sender = self._sender
        changes_buys = self._worker.changes_buys
        if not sender.queue:
            await self._funding.open([], changes_buys=changes_buys)
            return
        sender.begin_attempt()

        def show(done: int, count: int) -> None:
            self._loop.call_soon_threadsafe(self._show, f"contract {done} of {count}")

        refused = await self._broker.prepare(sender.queue, show)
        refused = refused | await currency_refusals(sender.queue, self._rates, self._broker)
        if self._terms.funding.account_kind != "margin":
            stamp = self._broker.now()
            refused = refused | free_riding(sender.queue, self._blotter, self._broker.account, stamp)
        await sender.refuse(refused)
        await self._query_market()
        planned = sender.queue
        sender.queue = await self._funding.open(planned, changes_buys=changes_buys)
        self._lower_exposure_first()
        if sender.queue != planned:
            await self._broker.prepare(sender.queue)  # order ids must rise in the sequence of sending

    def _lower_exposure_first(self) -> None:
        """Move orders that raise gross exposure behind the others where the limit needs it.

        Orders that were sent before stay where they are: TWS takes their order ids in ascending sequence only.
        """
        sender = self._sender
        if sender.exposure is not None:
            again: list[Ticket] = []
            new: list[Ticket] = []
            for ticket in sender.queue:
                was_sent = self._record.history(ticket.client_order_id).last_sending
                (again if was_sent else new).append(ticket)
            sender.queue = [*again, *sender.exposure.sequence(new)]

    async def _query_market(self) -> None:
        """Query and record the market of the orders that are to be sent, and refuse those it does not allow."""
        quotes = await self._broker.fetch_quotes([ticket.symbol for ticket in self._sender.queue])
        self._quotes |= quotes_by_symbol(quotes)
        self._blotter.record_quotes(self._run_id, quotes)
        prices = arrival_prices(parse_quotes(quotes), self._broker.now())
        await self._sender.refuse(market_refusals(self._sender.queue, prices, self._terms.limits))
        await self._sender.refuse(await session_refusals(self._sender.queue, self._broker, self._terms.limits))
        await self._read_exposure(quotes)

    async def _read_exposure(self, quotes: pd.DataFrame) -> None:
        """Read the gross exposure that the next orders are compared with."""
        self._market_read_at = self._loop.time()
        sender = self._sender
        sender.exposure = None
        if self._terms.gross is None or not sender.queue:
            return
        queued = {ticket.client_order_id for ticket in sender.queue}
        sent = [
            name for name in self._record.open if name not in queued and self._record.history(name).last_sending
        ]
        working = {name: self._as_sent(name) for name in sent}
        sender.exposure = await read_exposure(
            self._broker, self._record, sender.queue, working, self._terms.gross, quotes
        )

    # -- cash ------------------------------------------------------------------------------------------------

    def _next_group(self, *, in_sequence: bool = True) -> list[Ticket]:
        """Orders to send next, as far as there is cash for them."""
        return self._funding.next_group(self._sender.queue, self._broker.send_window, in_sequence=in_sequence)

    async def _wait_for_funds(self) -> bool:
        """Wait until a buy can be paid for; False once no order can free cash, or the time is up."""
        patience = self._terms.funding.timeout
        patience = self._terms.patience if patience is None else patience
        self._terms.control.quiet.set()
        try:
            while True:
                self._record.update_states()
                await self._halt_on_alarm()
                self._check_stop()
                self._check_link()
                await self._work_orders()
                await self._funding.reread(self._sender.queue)
                if self._next_group():
                    return True
                deadline = self._deadline(patience, side="SELL")
                comes = self._funding.may_free_cash(self._sender.queue) or self._has_work_ahead("SELL")
                if not comes or self._loop.time() >= deadline:
                    return False
                self._show(f"{len(self._sender.queue)} buys wait for cash")
                await self._wait_for_news(min(deadline, self._loop.time() + _CHECK_SECONDS))
        finally:
            self._terms.control.quiet.clear()

    # -- sending ---------------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        """Raise if the next order must not be sent: a halt, a lost run lock, or a cancelled run."""
        self._blotter.check_halt()
        self._lock.check()
        self._terms.control.check()

    async def _send(self) -> str:
        """Send the queue in its sequence; return why it stopped, or "" when all orders were sent."""
        self._terms.control.quiet.clear()
        try:
            return await self._send_queue()
        finally:
            self._terms.control.quiet.set()

    async def _send_queue(self) -> str:
        while self._sender.queue:
            try:
                group = await self._fundable_group()
            except HaltedError as error:
                return str(error)
            except RunStoppedError:
                await self._drop_unsent()
                break
            stopped = await self._send_group(group) if group else ""
            if stopped:
                return stopped
        return ""

    async def _fundable_group(self) -> list[Ticket]:
        """Orders to send next, once there is cash for them; the rest is withdrawn when none is expected."""
        group, asked_at = self._next_group(), self._loop.time()
        if group and not self._is_market_old():
            return group
        comes = bool(group) or await self._wait_for_funds()
        now = self._loop.time()
        if now - asked_at > _MARKET_SECONDS or self._is_market_old():
            await self._query_market()
            self._market_took = self._loop.time() - now
        if comes:
            return self._next_group()
        group = self._next_group(in_sequence=False) or self._funding.reduced_group(self._sender.queue)
        if not group:
            await self._sender.withdraw()
        return group

    def _is_market_old(self) -> bool:
        """Whether prices, holdings and working orders are to be read again before the next orders are sent.

        What the run itself sends is counted as it is sent; the rest of the account may have moved meanwhile.
        """
        age = self._loop.time() - self._market_read_at
        return age > max(_MARKET_SECONDS, self._market_took / _MARKET_PART)

    async def _send_group(self, group: list[Ticket]) -> str:
        """Send some orders; return why sending stopped, or "" if it continues."""
        try:
            halted = await self._sender.send(group)
        except RunStoppedError:
            await self._drop_unsent()
            halted = ""
        if halted:
            return halted
        self._record.update_states()
        await self._halt_on_alarm()
        self._show_progress()
        await asyncio.sleep(0)
        return ""

    # -- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> str | None:
        """Follow the orders that were sent; return how the run ended, or None if there are orders to be sent."""
        deadline = self._deadline(self._terms.patience)
        self._record.update_states()
        while self._record.open or self._worker.next_at is not None:
            self._check_link()
            if await self._work_orders():
                return None
            if self._broker.is_quiet() and not self._has_work_ahead():
                await asyncio.sleep(0)  # the report behind that may be on its way from the broker's thread
                break
            deadline = self._deadline(self._terms.patience)
            if not await self._wait_for_news(deadline):
                return await self._query_and_end("timeout: {} orders are still working at the broker")
            self._record.update_states()
            await self._halt_on_alarm()
            self._show_progress()
        await self._wait_for_commissions(deadline)
        if not self._record.open:
            return "all orders have ended"
        return await self._query_and_end("{} orders are resting at the broker")

    async def _query_and_end(self, text: str) -> str | None:
        """Query what is open, and say how the run ended; follow on if that shows a rest that is to be sent."""
        await self._query_open_orders()
        if await self._worker.has_rest():
            return await self._follow()
        return self._count_open(text)

    async def _wait_for_news(self, deadline: float, *, or_work: bool = True) -> bool:
        """Wait for an event, or until work is due; False when the time is up.

        After a long silence, check that the broker answers. It may come to rest a moment after its last report,
        which another thread has made.
        """
        self._record.news.clear()
        if self._skip_to_work():
            return True
        asked_at = self._loop.time()
        while (left := deadline - self._loop.time()) > 0:
            due_in = self._seconds_to_work() if or_work else math.inf
            pause = min(left, _REST_SECONDS, due_in)
            try:
                await asyncio.wait_for(self._record.news.wait(), pause)
            except TimeoutError:
                if due_in <= pause or self._broker.is_quiet():
                    return True
                if left > _SILENCE_SECONDS and self._loop.time() - asked_at >= _SILENCE_SECONDS:
                    asked_at = self._loop.time()
                    await self._broker.ping()
                    self._check_link()
            else:
                return True
        return False

    def _seconds_to_work(self) -> float:
        """Seconds until the worker has something to do, or is asked whether it has."""
        return min(self._worker.seconds_to_next, _CHECK_SECONDS if self._worker.has_later else math.inf)

    def _deadline(self, patience: float, side: str | None = None) -> float:
        """Until when to wait, by the loop's clock: ``patience`` after the last order, or after what is planned."""
        last = self._worker.last_at(side)
        since = self._sender.sent_at
        if last is not None:
            since = max(since, self._loop.time() + (last - self._broker.now()).total_seconds())
        return since + patience

    def _has_work_ahead(self, side: str | None = None) -> bool:
        """Whether something is due, for orders of a side or of both, that is not only tried again for ever."""
        moment, last = self._worker.next_at, self._worker.last_at(side)
        if moment is None or last is None:
            return False
        return moment <= last + timedelta(seconds=self._terms.patience)

    def _skip_to_work(self) -> bool:
        """Let the time pass until something is due, where nothing else can happen meanwhile."""
        moment = self._worker.next_at
        return moment is not None and self._broker.is_quiet() and self._broker.skip_to(moment)

    async def _work_orders(self) -> bool:
        """Do what is due for orders that were sent; whether there are orders to be sent now."""
        if self._terms.control.stopped:
            await self._drop_unsent()
        started = await self._worker.act()
        if not started:
            return False
        await self._record_book()
        self._sender.queue = [*self._sender.queue, *started]
        await self._prepare_queue()
        return True

    async def _drop_unsent(self) -> None:
        """Refuse what was not sent of a cancelled run, for good."""
        self._sender.queue = [*self._sender.queue, *self._worker.take_later()]
        await self._sender.drop(self._terms.control.stopped)

    def _adopt_rest(self, ticket: Ticket, of: str, value: float) -> None:
        """Take in an order for the rest of one that was cancelled at its deadline, approved with that."""
        name = ticket.client_order_id
        self._tickets[name] = ticket
        for known in (self._lots, self._rates):
            if of in known:
                known[name] = known[of]
        self._budget.allow_rest(name, value)
        event = OrderEvent("intent", self._run_id, name, self._broker.now())
        self._record.add(name, ticket.quantity, event)
        shown = event._replace(symbol=ticket.symbol, side=ticket.side, quantity=ticket.quantity)
        self._terms.control.publish(shown)

    def _check_link(self) -> None:
        """Raise if the connection was lost: events may have been missed."""
        if self._broker.fault:
            raise ConnectionLostError(self._broker.fault)
        if self._broker.session != self._sender.session:
            raise ConnectionLostError("TWS lost its connection to IB, and has restored it")

    async def _wait_for_commissions(self, deadline: float) -> None:
        """Wait a moment for the last commissions, which follow the fills; query once for missing ones."""
        deadline = min(deadline, self._loop.time() + _COMMISSION_SECONDS)
        while self._awaits_commissions() and await self._wait_for_news(deadline, or_work=False):
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
        states = [self._record.state(name) for name in self._record.open]
        unresolved = sum(state.status == "UNKNOWN" for state in states)
        unsent = sum(state.state == "INTENT" for state in states)
        working = len(states) - unresolved - unsent
        parts = [text.format(working)] if working else []
        parts += [f"{unresolved} orders are unresolved"] if unresolved else []
        parts += [f"{unsent} orders are not sent"] if unsent else []
        return (", ".join(parts) or "all orders have ended") + self._count_waiting()

    def _count_waiting(self) -> str:
        """Say how many orders do not trade before a later time, or were put aside, and why the first was."""
        states = {name: self._record.state(name) for name in self._record.names if name in self._record.open}
        live = ("WORKING", "PARTIAL")
        why = {name: state.reason for name, state in states.items() if state.state in live and state.reason}
        if not why:
            return ""
        name, reason = next(iter(why.items()))
        return f"; {len(why)} of them must wait, {name}: {reason}"

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
