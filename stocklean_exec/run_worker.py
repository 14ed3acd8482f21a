"""The working part of a run: hand over, record what comes back, know when it is over.

For each order it is written down that it is about to be handed over, then it is handed over, then all that
comes back is written down. When the connection is lost or was lost upstream, everything freezes, the broker is
asked what it has (:mod:`~stocklean_exec.recovering`), and the run goes on from there: that is also how a run is
picked up by another process. Whatever stops a run halfway (a halt, a broker that fails, an interrupt), the
record tells afterwards what was sent, what was not, and of which orders nobody can know.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec import clock
from stocklean_exec.errors import BrokerError, ConnectionLostError, HaltedError, StaleOrderIdError
from stocklean_exec.facts import Fact
from stocklean_exec.gate import Gate, OrderRefusedError, SendBudget
from stocklean_exec.recovering import Recovery
from stocklean_exec.run_control import RunControl, RunStoppedError
from stocklean_exec.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.blotter import Blotter
    from stocklean_exec.broker import Broker, Ticket

    OnProgress = Callable[[int, str], None]

__all__ = ["RunTerms", "RunWorker"]

_COMMISSION_SECONDS = 1.0
_MOST_LOSSES = 20
_SILENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunTerms:
    """How a run is worked.

    ``patience`` seconds for orders that have not ended, and for a lost connection to come back; ``settle`` seconds
    that an order may be under way before its absence at the broker means something; ``resend`` whether an order
    whose id is provably unused may be handed over once more with that id; ``is_new`` whether the run was just
    planned; ``control`` what stops it, and hears of it.
    """

    patience: float = 60.0
    settle: float = 0.0
    resend: bool = False
    is_new: bool = False
    control: RunControl = field(default_factory=RunControl, compare=False)
    on_progress: OnProgress | None = field(default=None, compare=False)


class RunWorker:
    """Works the orders of one run; made and used on a running event loop.

    Parameters
    ----------
    tickets : every approved order of the run, in the plan's sequence, whatever became of it so far
    budget : what may be handed over
    """

    def __init__(
        self,
        run_id: str,
        broker: Broker,
        blotter: Blotter,
        tickets: list[Ticket],
        budget: SendBudget,
        terms: RunTerms,
    ) -> None:
        self._run_id, self._broker, self._blotter = run_id, broker, blotter
        self._tickets = {ticket.client_order_id: ticket for ticket in tickets}
        self._budget, self._terms = budget, terms
        self._loop = asyncio.get_running_loop()
        quantities = {name: one.quantity for name, one in self._tickets.items()}
        self._record = RunRecord(run_id, blotter, quantities, terms.control.tell)
        self._queue: list[Ticket] = []
        self._attempt = self._record.last_attempt
        self._session = broker.session
        self._quotes: dict[str, _Quote] = {}

    async def work(self) -> None:
        """Recover what needs it, send what may be sent, follow it all to its end, and close the run."""
        record = self._record
        try:
            record.follow(self._broker)
            await self._make_ready()
        except (HaltedError, BrokerError) as error:
            await record.put([Fact("run_blocked", self._run_id, occurred_at=clock.now(), message=str(error))])
            raise
        if not self._queue and not record.open and record.ends >= record.starts:
            return  # it is over, and was closed
        start = record.starts + bool(self._queue or record.ends >= record.starts)
        if start > record.starts:
            await record.put([self._of_run("run_started", start, None)])
            record.starts = start
        message = "interrupted"
        try:
            message = await self._execute()
        except BaseException as error:
            message = f"interrupted: {_describe(error)}"
            raise
        finally:
            record.settle()
            self._show_progress()
            await record.put([self._of_run("run_ended", start, message)])
        self._blotter.check_halt()

    # -- the sequence ----------------------------------------------------------------------------------------

    async def _make_ready(self) -> None:
        """Reconcile, and make ready what is to be sent, through any number of lost connections."""
        for _ in range(_MOST_LOSSES):
            try:
                if self._broker.fault:
                    await self._regain()
                await self._recover()
                if self._queue:
                    self._blotter.check_halt()
                    await self._note_book()
                await self._arm()
            except ConnectionLostError as error:
                await self._regain(error)
            else:
                return
        raise BrokerError(f"the connection was lost {_MOST_LOSSES} times; see to it, then resume the run")

    async def _execute(self) -> str:
        """Send and follow, through any number of lost connections; say how it ended."""
        while True:
            try:
                return await self._send() or await self._follow()
            except ConnectionLostError as error:
                await self._note("link_lost", str(error))
                await self._regain(error)
                await self._make_ready()
                await self._note("link_restored", f"reconciled; {len(self._queue)} orders to send")

    async def _regain(self, lost: ConnectionLostError | None = None) -> None:
        """Wait for the connection to come back."""
        self._say(f"connection lost, trying for {self._terms.patience:g} s")
        try:
            await self._broker.regain(self._terms.patience)
        except ConnectionLostError as error:
            text = f"{lost or error}; {error}. sx.resume({self._run_id!r}, ...) picks the run up"
            raise BrokerError(text) from error

    async def _note_book(self) -> None:
        """Record what the account holds before anything of this run is sent."""
        if self._record.last_attempt:
            return
        taken_at = self._broker.now()
        positions = await asyncio.to_thread(self._broker.positions)
        cash = await asyncio.to_thread(self._broker.cash)
        self._blotter.record_book(self._run_id, self._broker.account, taken_at, positions, cash)

    async def _recover(self) -> None:
        """Hold the record against the broker, and queue what may be sent."""
        recovery = Recovery(
            self._broker,
            self._blotter,
            self._record,
            settle=self._terms.settle,
            resend=self._terms.resend,
            is_new=self._terms.is_new and not self._record.starts,
        )
        found = await recovery.run()
        await self._heed_alarm()
        for name in found.again:
            self._budget.allow_again(name)
        self._session = found.session
        self._queue = [
            self._tickets[name] for name in (*found.again, *found.unsent) if self._budget.may_send(name)
        ]

    async def _arm(self) -> None:
        """Let the broker make ready what it needs, record what it cannot take, and note the market."""
        if not self._queue:
            return
        self._attempt = self._record.last_attempt + 1

        def show(done: int, count: int) -> None:
            self._loop.call_soon_threadsafe(self._say, f"contract {done} of {count}")

        refused = await self._broker.prepare(self._queue, show)
        if refused:
            stamp = self._broker.now()
            await self._record.put(
                Fact("refused", self._run_id, name, stamp, code=code, message=text)
                for name, (code, text) in refused.items()
            )
            self._queue = [ticket for ticket in self._queue if ticket.client_order_id not in refused]
            self._record.settle()
        quotes = await self._broker.fetch_quotes([ticket.symbol for ticket in self._queue])
        self._quotes = _quotes_by_symbol(quotes)
        self._blotter.record_quotes(self._run_id, quotes)

    # -- sending ---------------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        """Raise what keeps the next order back: a halt of the blotter, or a person who has stopped this run."""
        self._blotter.check_halt()
        self._terms.control.check()

    async def _drop_queue(self) -> None:
        """Refuse for good what was not sent when a person stopped the run."""
        stamp, text = clock.now(), self._terms.control.stopped
        dropped, self._queue = self._queue, []
        await self._record.put(
            Fact("refused", self._run_id, one.client_order_id, stamp, code="run_cancelled", message=text)
            for one in dropped
        )

    async def _send(self) -> str:
        """Hand the queue over in its sequence; say why it stopped, or "" when all went out."""
        self._terms.control.quiet.clear()
        try:
            return await self._send_queue()
        finally:
            self._terms.control.quiet.set()

    async def _send_queue(self) -> str:
        while self._queue:
            group = self._queue[: self._broker.send_window]
            try:
                await self._record.put([self._sending(ticket) for ticket in group])
            except asyncio.CancelledError:
                await self._take_back(group)
                raise
            gate = Gate(self._broker, self._session, self._check_stop, self._budget, self._loop.time)
            try:
                await self._broker.place_all(group, gate.open)
            except BaseException as error:
                gate.close()
                await self._note_failure(group, gate, error)
                if isinstance(error, HaltedError):
                    return str(error)
                if isinstance(error, RunStoppedError):
                    await self._drop_queue()
                elif isinstance(error, StaleOrderIdError):
                    await self._broker.prepare(self._queue)
                elif not isinstance(error, OrderRefusedError):
                    raise
            else:
                self._queue = self._queue[len(group) :]
            self._record.settle()
            await self._heed_alarm()
            self._show_progress()
            await asyncio.sleep(0)
        return ""

    async def _note_failure(self, group: list[Ticket], gate: Gate, error: BaseException) -> None:
        """Record which orders of a group did not leave, which one may have, and which was refused."""
        stamp = clock.now()
        facts = []
        for ticket in gate.halfway:
            text = f"the hand-over failed: {_describe(error)}"
            name = ticket.client_order_id
            facts.append(Fact("unknown", self._run_id, name, stamp, message=text, attempt=self._attempt))
        left = [ticket for ticket in group if ticket.client_order_id not in gate.entered]
        if isinstance(error, OrderRefusedError) and left:
            name = left[0].client_order_id
            facts.append(Fact("refused", self._run_id, name, stamp, code=error.code, message=str(error)))
            self._queue = [one for one in self._queue if one.client_order_id != name]
        self._queue = [one for one in self._queue if one.client_order_id not in gate.entered]
        await self._take_back(left, *facts)

    async def _take_back(self, tickets: list[Ticket], *facts: Fact) -> None:
        """Record that ``tickets`` were not handed over, though that was announced."""
        stamp = clock.now()
        left = [
            Fact("not_sent", self._run_id, ticket.client_order_id, stamp, attempt=self._attempt)
            for ticket in tickets
        ]
        await self._record.put([*facts, *left])
        self._attempt += 1

    def _sending(self, ticket: Ticket) -> Fact:
        quote = self._quotes.get(ticket.symbol, _Quote())
        order_id, client_id = self._broker.order_id_for(ticket.client_order_id)
        return Fact(
            "sending",
            self._run_id,
            ticket.client_order_id,
            self._broker.now(),
            order_id=order_id,
            client_id=client_id,
            attempt=self._attempt,
            **quote._asdict(),
        )

    # -- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> str:
        deadline = self._loop.time() + self._terms.patience
        self._record.settle()
        while self._record.open:
            self._check_link()
            if self._broker.is_quiet():
                break
            if not await self._hear_until(deadline):
                await self._conclude()
                return self._count_open("timeout: {} orders still work at the broker")
            self._record.settle()
            await self._heed_alarm()
            self._show_progress()
        await self._await_commissions(deadline)
        if not self._record.open:
            return "all orders have ended"
        await self._conclude()
        return self._count_open("{} orders rest at the broker")

    async def _hear_until(self, deadline: float) -> bool:
        """Wait for news; False when the time is up. After a long silence, make sure that there is a broker."""
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
        """Stop following what can no longer be heard."""
        if self._broker.fault:
            raise ConnectionLostError(self._broker.fault)
        if self._broker.session != self._session:
            raise ConnectionLostError("TWS was without its connection to IB, and has it back")

    async def _await_commissions(self, deadline: float) -> None:
        """Give the last commissions a moment, for they come behind the fills; ask once for what is missing."""
        deadline = min(deadline, self._loop.time() + _COMMISSION_SECONDS)
        while self._lacks_commissions() and await self._hear_until(deadline):
            pass
        if self._lacks_commissions():
            with suppress(ConnectionLostError):  # the orders have ended: who resumes the run asks again
                await self._broker.sweep()

    def _lacks_commissions(self) -> bool:
        return bool(self._record.uncharged) and not self._broker.is_quiet()

    async def _conclude(self) -> None:
        """At the end, ask about orders of which the broker owes news, and record what it tells."""
        self._record.settle()
        if any(self._is_owed(name) for name in self._record.open):
            recovery = Recovery(self._broker, self._blotter, self._record, settle=self._terms.settle, resend=False)
            await recovery.run()
            self._record.settle()

    def _count_open(self, text: str) -> str:
        """Say how many orders are left and how: at the broker (by ``text``), or nobody knows."""
        unresolved = sum(self._record.state(name).status == "UNKNOWN" for name in self._record.open)
        working = len(self._record.open) - unresolved
        parts = [text.format(working)] if working else []
        parts += [f"{unresolved} orders are unresolved"] if unresolved else []
        return ", ".join(parts) or "all orders have ended"

    def _is_owed(self, name: str) -> bool:
        """Whether the broker has never answered, or has reported fills whose executions it has not told."""
        if self._record.state(name).state in ("SENDING", "UNCONFIRMED"):
            return True
        return any(fact.kind == "status" and fact.status == "FILLED" for fact in self._record.history(name).facts)

    # -- small things ----------------------------------------------------------------------------------------

    async def _heed_alarm(self) -> None:
        """Halt everything when the broker has more than was asked for: a person has to look."""
        if self._record.alarm:
            alarm, self._record.alarm = self._record.alarm, ""
            await asyncio.to_thread(self._blotter.halt, alarm)

    async def _note(self, kind: str, text: str) -> None:
        await self._record.put([Fact(kind, self._run_id, occurred_at=clock.now(), message=text)])

    def _of_run(self, kind: str, attempt: int, message: str | None) -> Fact:
        return Fact(kind, self._run_id, occurred_at=self._broker.now(), attempt=attempt, message=message)

    def _show_progress(self) -> None:
        self._say(f"{len(self._record.open)} open")

    def _say(self, text: str) -> None:
        if self._terms.on_progress is not None:
            self._terms.on_progress(len(self._record.names) - len(self._record.open), text)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Quote(NamedTuple):
    """The market in one symbol as a run begins: what a fact of kind ``sending`` has of it."""

    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    quoted_at: datetime | None = None
    data_type: int | None = None


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
