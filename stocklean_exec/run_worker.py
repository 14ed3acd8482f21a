"""The working part of a run: hand over, record what comes back, know when it is over.

For each order it is written down that it is about to be handed over, then it is handed over, then all that
comes back is written down. Whatever stops a run halfway (a halt, a broker that fails, an interrupt), the record
tells afterwards what was sent, what was not, and the one order of which nobody can know.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from typing import TYPE_CHECKING

from stocklean_exec import clock
from stocklean_exec.errors import BrokerError, HaltedError
from stocklean_exec.facts import Fact
from stocklean_exec.lifecycle import ENDED, derive_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from stocklean_exec.blotter import Blotter
    from stocklean_exec.broker import Broker, Ticket

    OnProgress = Callable[[int, str], None]

__all__ = ["RunWorker"]

_COMMISSION_SECONDS = 1.0


class _Gate:
    """Lets orders leave one by one, and knows afterwards which have; nothing leaves once it is closed."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._mutex = threading.Lock()
        self._is_closed = False
        self.entered: set[str] = set()
        self.halfway: list[Ticket] = []

    @contextlib.contextmanager
    def open(self, ticket: Ticket) -> Iterator[None]:
        """Check that nothing has been halted, then let ``ticket`` leave."""
        with self._mutex:
            if self._is_closed:
                raise BrokerError("the run has stopped")
            self._check()
            self.entered.add(ticket.client_order_id)
            self.halfway = [ticket]
            yield
            self.halfway = []

    def close(self) -> None:
        """Wait for the order that is leaving, and let no other leave."""
        with self._mutex:
            self._is_closed = True


class RunWorker:
    """Works the ``tickets`` of one run; made and used on a running event loop."""

    def __init__(self, run_id: str, broker: Broker, blotter: Blotter, tickets: list[Ticket]) -> None:
        self._run_id, self._broker, self._blotter = run_id, broker, blotter
        self._tickets = tickets
        self._quantity = {ticket.client_order_id: ticket.quantity for ticket in tickets}
        self._facts: dict[str, list[Fact]] = {name: [] for name in self._quantity}
        self._open = set(self._quantity)
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._news = asyncio.Event()
        self._touched: set[str] = set()
        self._charged: set[str] = set()
        self._uncharged: set[str] = set()
        self._told: list[Fact] = []  # heard in this turn of the loop, not yet handed to the blotter
        self._quotes: dict[str, tuple[float | None, float | None, float | None]] = {}

    async def work(self, patience: float, on_progress: OnProgress | None) -> None:
        """Send all tickets, follow them until they end or ``patience`` seconds have passed, and close the run."""
        attempt = 1 + sum(fact.kind == "run_started" for fact in self._blotter.facts(self._run_id))
        try:
            self._blotter.check_halt()
            self._broker.follow(self._run_id, self._on_facts)
            await self._prepare(on_progress)
            quotes = await self._broker.fetch_quotes([ticket.symbol for ticket in self._tickets])
        except (HaltedError, BrokerError) as error:
            await self._record([Fact("run_blocked", self._run_id, occurred_at=clock.now(), message=str(error))])
            raise
        self._quotes = _quotes_by_symbol(quotes)
        self._blotter.record_quotes(self._run_id, quotes)
        await self._record([self._of_run("run_started", attempt, None)])
        message = "interrupted"
        try:
            message = await self._send(attempt, on_progress)
            if not message:
                message = await self._follow(patience, on_progress)
        except BaseException as error:
            message = f"interrupted: {_describe(error)}"
            raise
        finally:
            self._settle(on_progress)
            await self._record([self._of_run("run_ended", attempt, message)])
        self._blotter.check_halt()

    async def _prepare(self, on_progress: OnProgress | None) -> None:
        """Let the broker make ready what it needs, and record which orders it cannot take."""

        def show(done: int, count: int) -> None:
            if on_progress is not None:
                self._loop.call_soon_threadsafe(on_progress, 0, f"contract {done} of {count}")

        refused = await self._broker.prepare(self._tickets, show)
        if not refused:
            return
        stamp = self._broker.now()
        await self._record(
            [
                Fact("refused", self._run_id, name, stamp, code=code, message=text)
                for name, (code, text) in refused.items()
            ]
        )
        self._tickets = [ticket for ticket in self._tickets if ticket.client_order_id not in refused]
        self._open -= set(refused)

    def _of_run(self, kind: str, attempt: int, message: str | None) -> Fact:
        return Fact(kind, self._run_id, occurred_at=self._broker.now(), attempt=attempt, message=message)

    async def _record(self, facts: list[Fact]) -> None:
        self._flush()
        # Shielded: who is cancelled while he waits must not take back what is on its way to the disk.
        await asyncio.shield(asyncio.wrap_future(self._blotter.record(facts)))

    def _on_facts(self, *facts: Fact) -> None:
        """Take facts from the broker, on whatever thread they come, and record them."""
        if threading.get_ident() == self._thread and self._loop.is_running():
            # What comes in one turn of the loop goes to the record as one: a commit costs the same for many.
            if not self._told:
                self._loop.call_soon(self._flush)
            self._told.extend(facts)
            self._hear(facts)
            return
        self._blotter.record(facts)
        with contextlib.suppress(RuntimeError):  # the loop of a run that is over may be closed
            self._loop.call_soon_threadsafe(self._hear, facts)

    def _flush(self) -> None:
        if self._told:
            self._blotter.record(self._told)
            self._told = []

    def _hear(self, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            name = fact.client_order_id
            if name in self._facts:
                self._facts[name].append(fact)
                self._touched.add(name)
                self._note_commission(fact)
        self._news.set()

    def _note_commission(self, fact: Fact) -> None:
        if fact.exec_id is None:
            return
        if fact.kind == "commission":
            self._charged.add(fact.exec_id)
            self._uncharged.discard(fact.exec_id)
        elif fact.exec_id not in self._charged:
            self._uncharged.add(fact.exec_id)

    async def _send(self, attempt: int, on_progress: OnProgress | None) -> str:
        """Hand the tickets over in their sequence; say why it stopped, or "" when all went out."""
        window = self._broker.send_window
        for start in range(0, len(self._tickets), window):
            group = self._tickets[start : start + window]
            try:
                await self._record([self._sending(ticket, attempt) for ticket in group])
            except asyncio.CancelledError:
                await self._take_back(group, attempt)
                raise
            gate = _Gate(self._blotter.check_halt)
            try:
                await self._broker.place_all(group, gate.open)
            except BaseException as error:
                gate.close()
                doubt = [self._in_doubt(ticket, attempt, error) for ticket in gate.halfway]
                left = [ticket for ticket in group if ticket.client_order_id not in gate.entered]
                await self._take_back(left, attempt, *doubt)
                if isinstance(error, HaltedError):
                    return str(error)
                raise
            self._settle(on_progress)
            await asyncio.sleep(0)
        return ""

    async def _take_back(self, tickets: list[Ticket], attempt: int, *facts: Fact) -> None:
        """Record that ``tickets`` were not handed over, though that was announced."""
        stamp = clock.now()
        left = [
            Fact("not_sent", self._run_id, ticket.client_order_id, stamp, attempt=attempt) for ticket in tickets
        ]
        await self._record([*facts, *left])

    def _in_doubt(self, ticket: Ticket, attempt: int, error: BaseException) -> Fact:
        """Say that a hand-over failed halfway: the broker may have the order, or not."""
        text = f"the hand-over failed: {_describe(error)}"
        return Fact("unknown", self._run_id, ticket.client_order_id, clock.now(), message=text, attempt=attempt)

    def _sending(self, ticket: Ticket, attempt: int) -> Fact:
        bid, ask, last = self._quotes.get(ticket.symbol, (None, None, None))
        order_id, client_id = self._broker.order_id_for(ticket.client_order_id)
        return Fact(
            "sending",
            self._run_id,
            ticket.client_order_id,
            self._broker.now(),
            order_id=order_id,
            client_id=client_id,
            attempt=attempt,
            bid=bid,
            ask=ask,
            last=last,
        )

    async def _follow(self, patience: float, on_progress: OnProgress | None) -> str:
        deadline = self._loop.time() + patience
        self._settle(on_progress)
        while self._open and not self._broker.is_quiet():
            left = deadline - self._loop.time()
            if left <= 0:
                return f"timeout: {len(self._open)} orders still work at the broker"
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue
            self._settle(on_progress)
        await self._await_commissions(deadline)
        if not self._open:
            return "all orders have ended"
        return self._broker.fault or f"{len(self._open)} orders rest at the broker"

    async def _await_commissions(self, deadline: float) -> None:
        """Give the last commissions a moment: a broker reports them behind the fills."""
        deadline = min(deadline, self._loop.time() + _COMMISSION_SECONDS)
        while self._uncharged and not self._broker.is_quiet():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), deadline - self._loop.time())
            except TimeoutError:
                return

    def _settle(self, on_progress: OnProgress | None) -> None:
        """Derive the states of the orders that something was heard of."""
        touched, self._touched = self._touched, set()
        for name in touched & self._open:
            if derive_order(self._quantity[name], self._facts[name]).status in ENDED:
                self._open.discard(name)
        if on_progress is not None:
            on_progress(len(self._quantity) - len(self._open), f"{len(self._open)} open")


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _quotes_by_symbol(quotes: pd.DataFrame) -> dict[str, tuple[float | None, float | None, float | None]]:
    columns = [
        [None if math.isnan(value) else value for value in quotes[name].tolist()]
        for name in ("bid", "ask", "last", "close")
    ]
    return {
        symbol: (bid, ask, close if last is None else last)
        for symbol, bid, ask, last, close in zip(quotes["symbol"].tolist(), *columns, strict=True)
    }
