"""The orders of a working run: every event on record, and every event that comes in.

The broker may report events on any thread. They go to the blotter at once, those that arrive together in one
piece, and are kept here by order. Recorded events are not recorded again. States are derived on request, and only
for orders with new events.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from stocklean_exec.blotter.events import OrderEvent, execution_family, key_of
from stocklean_exec.blotter.order_history import OrderHistory
from stocklean_exec.blotter.order_state import ENDED, OrderAccumulator, OrderState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["RunState"]

_NOISE = 1e-8  # of a share: the blotter's exact quantities have eight decimals


class RunState:
    """The orders of one run and their current state; made and used on a running event loop.

    Parameters
    ----------
    run_id : of the run
    quantities : requested shares of each order, by client order id
    listener : called with every new event about these orders and about the run
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
        self._events: dict[str, list[OrderEvent]] = {name: [] for name in quantities}
        self._known = {name: OrderAccumulator() for name in quantities}
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._keys: set[str] = set()
        self._touched: set[str] = set()
        self._charged: set[str] = set()
        self._revisions: dict[str, int] = {}  # latest correction of each execution
        self._unrecorded: list[OrderEvent] = []  # of this turn of the loop, not yet sent to the blotter
        self.uncharged: set[str] = set()
        self.news = asyncio.Event()
        self.received = 0
        self.alarm = ""
        self.watch: Callable[[str, OrderState], None] | None = None
        """Called by :meth:`update_states` with each order that has new events, and its state."""
        self.starts = 0
        self.ends = 0
        self.last_attempt = 0
        self.messages = self.executions = 0
        """Messages sent to the broker (orders, changes, cancels), and executions; for the efficiency ratio."""
        self.last_execution_at: datetime | None = None
        self.open = set(self._events)
        self.held: dict[str, str] = {}  # why, by client order id
        for event in blotter.recorded_events(run_id):
            self._note_run(event)
            self._keep(event)
        self.update_states()
        self.alarm = ""  # recorded alarms were cleared by a person, or are in force as a halt

    # -- reading ---------------------------------------------------------------------------------------------

    def history(self, name: str) -> OrderHistory:
        """One order with all its events."""
        return OrderHistory(name, self._quantities[name], self._events[name])

    def traded(self, name: str) -> tuple[float, float]:
        """Shares of one order that were traded at a known price, and their value."""
        return self._known[name].traded

    def state(self, name: str) -> OrderState:
        """Current state of one order."""
        return self._known[name].state(self._quantities[name])

    def is_cancel_requested(self, name: str) -> bool:
        """Whether the cancel of one order was requested."""
        return self._known[name].is_cancel_requested

    def add(self, name: str, quantity: float, event: OrderEvent) -> None:
        """Take in one order more, which is on record with its first ``event``."""
        self._quantities[name] = quantity
        self._events[name], self._known[name] = [], OrderAccumulator()
        self._keep(event)
        self.update_states()

    @property
    def names(self) -> list[str]:
        """Client order ids, in the plan's sequence."""
        return list(self._quantities)

    def update_states(self) -> None:
        """Derive the states of the orders that have new events."""
        touched, self._touched = self._touched, set()
        for name in touched:
            state = self.state(name)
            if state.filled > self._quantities[name] + _NOISE and not self.alarm:
                self.alarm = f"{name} is for {self._quantities[name]:g} shares, and {state.filled:g} were filled"
            if state.status in ENDED or (state.state == "INTENT" and name in self.held):
                self.open.discard(name)
            else:
                self.open.add(name)  # it may have ended earlier, with fills reported since then
            if self.watch is not None:
                self.watch(name, state)

    def hold(self, reasons: Mapping[str, str]) -> None:
        """Stop waiting for orders that must not be sent now; ``reasons`` by client order id."""
        self._touched |= {*self.held, *reasons}
        self.held = dict(reasons)
        self.update_states()

    @property
    def is_unsent(self) -> bool:
        """Whether no order of the run was ever sent or is at the broker."""
        histories = map(self.history, self.names)
        return not any(one.last_sending is not None or one.is_adopted for one in histories)

    # -- recording -------------------------------------------------------------------------------------------

    async def put(self, events: Iterable[OrderEvent]) -> None:
        """Record ``events`` of this process; they are on disk when this returns."""
        self.flush()
        recorded = tuple(events)
        self._receive(recorded)
        # Shielded: a cancelled caller must not cancel a write that is under way.
        await asyncio.shield(asyncio.wrap_future(self._blotter.record(recorded)))

    def follow(self, broker: Broker) -> None:
        """Record every event that ``broker`` reports about this run, also after the run has ended."""
        broker.follow(self.run_id, self._on_events)

    def _on_events(self, *events: OrderEvent) -> None:
        """Receive events from the broker on any thread, and record them."""
        if threading.get_ident() == self._thread and self._loop.is_running():
            # Events of one turn of the loop are recorded together: a commit costs the same for many.
            if not self._unrecorded:
                self._loop.call_soon(self.flush)
            self._unrecorded.extend(events)
            self._receive(events)
            return
        self._blotter.record(events)
        with contextlib.suppress(RuntimeError):  # the loop of a finished run may be closed
            self._loop.call_soon_threadsafe(self._receive, events)

    def flush(self) -> None:
        """Send the events of this turn of the loop to the blotter."""
        if self._unrecorded:
            events, self._unrecorded = self._unrecorded, []
            self._blotter.record(events)

    def _receive(self, events: tuple[OrderEvent, ...]) -> None:
        for event in events:
            is_new = self._keep(event)
            self.received += is_new
            if self._listener is not None and (is_new or event.client_order_id is None):
                self._listener(event)
        self.news.set()

    def _keep(self, event: OrderEvent) -> bool:
        """Keep an event about an order; False if it is not about one, or known already."""
        name = event.client_order_id
        if name not in self._events:
            return False
        key = key_of(event)
        if key in self._keys:
            return False
        self._keys.add(key)
        self._events[name].append(event)
        self._known[name].add(event)
        self._touched.add(name)
        if event.kind == "execution" and event.occurred_at is not None:
            self.last_execution_at = max(event.occurred_at, self.last_execution_at or event.occurred_at)
        self.messages += event.kind in ("sending", "modifying", "cancel_requested")
        self.executions += event.kind == "execution"
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
        if revision > known:  # a corrected execution is no longer charged
            self._revisions[family] = revision
            self.uncharged = {one for one in self.uncharged if execution_family(one)[0] != family}
        if event.exec_id not in self._charged and event.quantity:  # nor is a busted one
            self.uncharged.add(event.exec_id)
