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
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError, StaleOrderIdError
from stocklean_exec.execution.arrival_quotes import ArrivalQuote, quotes_by_symbol
from stocklean_exec.execution.buy_funding import BuyFunding, FundingTerms
from stocklean_exec.execution.currency_checks import currency_refusals
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.gross_exposure import GrossExposure, GrossLimit, read_exposure
from stocklean_exec.execution.market_limits import arrival_prices, market_refusals
from stocklean_exec.execution.recovery import Recovery, Restrictions
from stocklean_exec.execution.run_control import RunControl, RunStoppedError
from stocklean_exec.execution.run_state import RunState
from stocklean_exec.execution.send_gate import OrderRefusedError, SendBudget, SendGate
from stocklean_exec.execution.settlement import free_riding
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.inputs import parse_quotes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_state import OrderState
    from stocklean_exec.brokers.base import Broker, Ticket
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
_MARKET_SECONDS = 5.0  # a stated choice: after waiting longer than this, the market is queried again


@dataclass(frozen=True, slots=True)
class RunTerms:
    """How a run is worked.

    ``patience`` seconds to wait for open orders, and for a lost connection to come back; ``in_flight_seconds`` how
    long an order may be in flight, so that only after that its absence at the broker proves anything; ``resend``
    whether an order whose id is provably unused may be sent again with that id; ``is_new`` whether the run was
    just planned; ``restrictions`` what prevents a first submission; ``min_cash`` cash to keep when buys are sent
    (None: cash is not checked); ``funding`` how buys are paid for; ``lots`` the lot of each order that has one;
    ``rates`` the exchange rate that each order was approved with, where it has one; ``limits`` those on prices
    hold at the market when orders are sent; ``gross`` the limit on gross exposure (None: there is none);
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
    rates: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    gross: GrossLimit | None = None
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
        self._quotes: dict[str, ArrivalQuote] = {}
        self._restrictions = terms.restrictions
        how = FundingTerms(terms.min_cash, terms.funding, terms.lots, budget.notional)
        self._funding = BuyFunding(broker, blotter, self._record, self._tickets, self._quotes, how)
        self._sent_at = self._loop.time()
        self._sent = 0
        self._last_id = 0  # the highest order id that an attempt of this run is on record with
        self._losses = _Losses()
        self._exposure: GrossExposure | None = None
        self._record.watch = self._on_state
        for name in self._record.names:
            self._funding.count(name, self._record.state(name))

    def _on_state(self, name: str, state: OrderState) -> None:
        """Count the fills of an order so far, and what an order that has ended leaves unfilled."""
        self._funding.count(name, state)
        if self._exposure is not None and state.has_ended:
            self._exposure.settle(name, state.filled)

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
        refused = refused | await currency_refusals(self._queue, self._terms.rates, self._broker)
        if self._terms.funding.account_kind != "margin":
            stamp = self._broker.now()
            refused = refused | free_riding(self._queue, self._blotter, self._broker.account, stamp)
        await self._refuse(refused)
        await self._query_market()
        planned, self._queue = self._queue, await self._funding.open(self._queue)
        self._lower_exposure_first()
        if self._queue != planned:
            await self._broker.prepare(self._queue)  # order ids must rise in the sequence of sending

    def _lower_exposure_first(self) -> None:
        """Move orders that raise gross exposure behind the others where the limit needs it.

        Orders that were sent before stay where they are: TWS takes their order ids in ascending sequence only.
        """
        if self._exposure is not None:
            again = [one for one in self._queue if self._record.history(one.client_order_id).last_sending]
            self._queue = [*again, *self._exposure.sequence([one for one in self._queue if one not in again])]

    async def _refuse(self, refused: Mapping[str, tuple[str, str]]) -> None:
        """Record the orders that must not be sent, by their ids, and take them out of the queue."""
        if not refused:
            return
        stamp = self._broker.now()
        await self._record.put(
            OrderEvent("refused", self._run_id, name, stamp, code=code, message=text)
            for name, (code, text) in refused.items()
        )
        self._queue = [ticket for ticket in self._queue if ticket.client_order_id not in refused]
        self._record.update_states()

    async def _query_market(self) -> None:
        """Query and record the market of the orders that are to be sent, and refuse those it does not allow."""
        quotes = await self._broker.fetch_quotes([ticket.symbol for ticket in self._queue])
        self._quotes |= quotes_by_symbol(quotes)
        self._blotter.record_quotes(self._run_id, quotes)
        prices = arrival_prices(parse_quotes(quotes), self._broker.now())
        await self._refuse(market_refusals(self._queue, prices, self._terms.limits))
        await self._read_exposure(quotes)

    async def _read_exposure(self, quotes: pd.DataFrame) -> None:
        """Read the gross exposure that the next orders are compared with."""
        self._exposure = None
        if self._terms.gross is None or not self._queue:
            return
        queued = {ticket.client_order_id for ticket in self._queue}
        sent = [
            name for name in self._record.open if name not in queued and self._record.history(name).last_sending
        ]
        working = {name: self._as_sent(name) for name in sent}
        self._exposure = await read_exposure(
            self._broker, self._record, self._queue, working, self._terms.gross, quotes
        )

    # -- cash ------------------------------------------------------------------------------------------------

    def _next_group(self, *, in_sequence: bool = True) -> list[Ticket]:
        """Orders to send next, as far as there is cash for them."""
        return self._funding.next_group(self._queue, self._broker.send_window, in_sequence=in_sequence)

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
                await self._funding.reread(self._queue)
                if self._next_group():
                    return True
                if not self._funding.may_free_cash(self._queue) or self._loop.time() >= deadline:
                    return False
                self._show(f"{len(self._queue)} buys wait for cash")
                await self._wait_for_news(min(deadline, self._loop.time() + _CHECK_SECONDS))
        finally:
            self._terms.control.quiet.clear()

    async def _withdraw_queue(self) -> None:
        """Withdraw the buys for which no cash came."""
        withdrawn, self._queue = self._queue, []
        await self._record.put(self._funding.withdrawals(withdrawn, clock.now()))
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
        group = self._next_group(in_sequence=False) or self._funding.reduced_group(self._queue)
        if not group:
            await self._withdraw_queue()
        return group

    async def _send_group(self, group: list[Ticket]) -> str:
        """Send some orders; return why sending stopped, or "" if it continues."""
        if self._exposure is not None:
            refused = self._exposure.refusals(group)
            await self._refuse(refused)
            group = [ticket for ticket in group if ticket.client_order_id not in refused]
            if not group:
                return ""
        await self._renew_ids(group)
        self._funding.reserve(group)
        try:
            await self._record.put([self._sending(ticket) for ticket in group])
        except asyncio.CancelledError:
            self._funding.release(group)
            await self._record_not_sent(group)
            raise
        gate = SendGate(
            self._broker, self._session, self._check_stop, self._budget, self._loop.time, self._exposure
        )
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

    async def _renew_ids(self, group: list[Ticket]) -> None:
        """Give later order ids to orders that others overtook, while they waited or in the group itself.

        TWS takes order ids in ascending sequence only. An attempt with an id that was overtaken would be on record
        without having been made, and after a crash nobody could tell.
        """
        ids = self._order_ids(group)
        if any(after <= before for before, after in pairwise([self._last_id, *ids]) if after):
            await self._broker.prepare([self._tickets[ticket.client_order_id] for ticket in group])
        self._last_id = max(self._last_id, *self._order_ids(group))

    def _order_ids(self, group: list[Ticket]) -> list[int]:
        """Ids that the orders will be sent with; 0 for a broker without them."""
        return [self._broker.order_id_for(ticket.client_order_id)[0] or 0 for ticket in group]

    async def _record_failure(self, group: list[Ticket], gate: SendGate, error: BaseException) -> None:
        """Record which orders of a group were not sent, which one may have been, and which was refused."""
        stamp = clock.now()
        events = []
        for ticket in gate.in_flight:
            text = f"the submission failed: {_describe(error)}"
            name = ticket.client_order_id
            events.append(OrderEvent("unknown", self._run_id, name, stamp, message=text, attempt=self._attempt))
        left = [ticket for ticket in group if ticket.client_order_id not in gate.entered]
        self._funding.release(left)
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
        quote = self._quotes.get(ticket.symbol, ArrivalQuote())
        order_id, client_id = self._broker.order_id_for(ticket.client_order_id)
        approved = self._tickets[ticket.client_order_id].quantity
        reduced: dict[str, Any] = {}
        if ticket.quantity < approved:
            why = self._funding.shortages.get(ticket.client_order_id, "as it was sent before")
            text = f"sent for {ticket.quantity:,.10g} of {approved:,.10g} shares: {why}"
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
