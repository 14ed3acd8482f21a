"""What a run knows of its orders while it works: every event on record, and every one that comes in.

Facts come from the broker on whatever thread; they are handed to the blotter at once, in one piece for what came
together, and kept here by order. What is on record already is not recorded again. States are derived when they
are asked for, of the orders that something was heard of.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from stocklean_exec.blotter.events import OrderEvent, execution_family, key_of
from stocklean_exec.blotter.order_history import OrderHistory
from stocklean_exec.blotter.order_state import ENDED, OrderFacts, OrderState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["RunState"]

_NOISE = 1e-8


class RunState:
    """The orders of one run, as they stand; made and used on a running event loop.

    Parameters
    ----------
    run_id : of the run
    quantities : shares that each order asks for, by client order id
    listener : told every new event about these orders, and those about the run
    """

    def __init__(
        self,
        run_id: str,
        blotter: Blotter,
        quantities: Mapping[str, float],
        listener: Callable[[OrderEvent], None] | None = None,
    ) -> None:
        self.run_id, self._blotter, self._quantities = run_id, blotter, dict(quantities)
        self._listener = listener
        self._facts: dict[str, list[OrderEvent]] = {name: [] for name in quantities}
        self._known = {name: OrderFacts() for name in quantities}
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._keys: set[str] = set()
        self._touched: set[str] = set()
        self._charged: set[str] = set()
        self._revisions: dict[str, int] = {}  # of each execution, whatever its corrections: the latest
        self._told: list[OrderEvent] = []  # heard in this turn of the loop, not yet handed to the blotter
        self.uncharged: set[str] = set()
        self.news = asyncio.Event()
        self.heard = 0
        self.alarm = ""
        self.watch: Callable[[str, OrderState], None] | None = None
        """Called with each order that something was heard of, and its state, when :meth:`settle` derives it."""
        self.starts = 0
        self.ends = 0
        self.last_attempt = 0
        self.last_execution_at: datetime | None = None
        self.open = set(self._facts)
        self.held: dict[str, str] = {}  # why, by client order id
        for event in blotter.recorded_events(run_id):
            self._note_run(event)
            self._keep(event)
        self.settle()
        self.alarm = ""  # what is on record was cleared by a person, or holds as a halt

    # -- asking ----------------------------------------------------------------------------------------------

    def history(self, name: str) -> OrderHistory:
        """One order, with all that is known of it."""
        return OrderHistory(name, self._quantities[name], self._facts[name])

    def traded(self, name: str) -> tuple[float, float]:
        """Shares that one order has traded at a known price, and their value."""
        return self._known[name].traded

    def state(self, name: str) -> OrderState:
        """Where one order stands."""
        return self._known[name].state(self._quantities[name])

    @property
    def names(self) -> list[str]:
        """Client order ids, in the plan's sequence."""
        return list(self._quantities)

    def settle(self) -> None:
        """Derive the states of the orders that something was heard of."""
        touched, self._touched = self._touched, set()
        for name in touched:
            state = self.state(name)
            if state.filled > self._quantities[name] + _NOISE and not self.alarm:
                self.alarm = f"{name} asks for {self._quantities[name]:g} shares, and {state.filled:g} were filled"
            if state.status in ENDED or (state.state == "INTENT" and name in self.held):
                self.open.discard(name)
            else:
                self.open.add(name)  # it may have ended before, and fills of it were reported since
            if self.watch is not None:
                self.watch(name, state)

    def hold(self, reasons: Mapping[str, str]) -> None:
        """Wait no longer for orders that are not to be sent now, by why."""
        self._touched |= {*self.held, *reasons}
        self.held = dict(reasons)
        self.settle()

    @property
    def is_untouched(self) -> bool:
        """Whether nothing of the run was ever sent, nor is at the broker."""
        histories = map(self.history, self.names)
        return not any(one.last_sending is not None or one.is_adopted for one in histories)

    # -- telling ---------------------------------------------------------------------------------------------

    async def put(self, events: Iterable[OrderEvent]) -> None:
        """Record ``events`` of our own; they are on disk when this returns."""
        self.flush()
        told = tuple(events)
        self._hear(told)
        # Shielded: who is cancelled while he waits must not take back what is on its way to the disk.
        await asyncio.shield(asyncio.wrap_future(self._blotter.record(told)))

    def follow(self, broker: Broker) -> None:
        """Record what ``broker`` tells of this run from now on, also after the run has ended."""
        broker.follow(self.run_id, self._on_facts)

    def _on_facts(self, *events: OrderEvent) -> None:
        """Take events from the broker, on whatever thread they come, and record them."""
        if threading.get_ident() == self._thread and self._loop.is_running():
            # What comes in one turn of the loop goes to the record as one: a commit costs the same for many.
            if not self._told:
                self._loop.call_soon(self.flush)
            self._told.extend(events)
            self._hear(events)
            return
        self._blotter.record(events)
        with contextlib.suppress(RuntimeError):  # the loop of a run that is over may be closed
            self._loop.call_soon_threadsafe(self._hear, events)

    def flush(self) -> None:
        """Hand to the blotter what was heard in this turn of the loop."""
        if self._told:
            told, self._told = self._told, []
            self._blotter.record(told)

    def _hear(self, events: tuple[OrderEvent, ...]) -> None:
        for event in events:
            is_new = self._keep(event)
            self.heard += is_new
            if self._listener is not None and (is_new or event.client_order_id is None):
                self._listener(event)
        self.news.set()

    def _keep(self, event: OrderEvent) -> bool:
        """Keep an event about an order; False when it is known."""
        name = event.client_order_id
        if name not in self._facts:
            return False
        key = key_of(event)
        if key in self._keys:
            return False
        self._keys.add(key)
        self._facts[name].append(event)
        self._known[name].add(event)
        self._touched.add(name)
        if event.kind == "execution" and event.occurred_at is not None:
            self.last_execution_at = max(event.occurred_at, self.last_execution_at or event.occurred_at)
        if event.kind == "sending":
            self.last_attempt = max(self.last_attempt, event.attempt or 0)
        elif event.kind == "duplicate":
            self.alarm = f"{name}: {event.message}"
        self._note_commission(event)
        return True

    def _note_run(self, event: OrderEvent) -> None:
        self.starts += event.kind == "run_started"
        self.ends += event.kind == "run_ended"

    def _note_commission(self, event: OrderEvent) -> None:
        if event.exec_id is None:
            return
        if event.kind == "commission":
            self._charged.add(event.exec_id)
            self.uncharged.discard(event.exec_id)
            return
        family, revision = execution_family(event.exec_id)
        known = self._revisions.setdefault(family, revision)
        if revision < known:
            return
        if revision > known:  # nothing is charged any more for what was corrected
            self._revisions[family] = revision
            self.uncharged = {one for one in self.uncharged if execution_family(one)[0] != family}
        if event.exec_id not in self._charged and event.quantity:  # nor for what was withdrawn
            self.uncharged.add(event.exec_id)
