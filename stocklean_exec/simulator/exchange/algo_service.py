"""Works the orders that an algorithm spreads over time: their window, their slices, and their end.

The pure part is :mod:`~stocklean_exec.simulator.exchange.algos`; here is the clock. A slice is a wait of the
order, so virtual and brisk clocks jump over it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from stocklean_exec.simulator.exchange.algos import due, slice_executions, slice_times, window

if TYPE_CHECKING:
    from stocklean_exec.fill_model import Execution, Quote
    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext

__all__ = ["AlgoService", "Service"]

_MOVED = (
    "The Start and/or End Time for algo order {side} a contract was adjusted to use the next trading date. "
    "To modify this setting, use the Auto-adjust algo order date item on the Orders configuration page"
)


class Service(Protocol):
    """The service that works the orders, as an algorithm needs it."""

    def set_status(self, order: Order, status: str) -> None:
        """Set a new status and report it."""

    def reevaluate(self, order: Order) -> None:
        """Trade what is due."""

    def cancel_by_system(self, order: Order) -> None:
        """Cancel what is left of the order."""


class AlgoService:
    """The algorithms of one venue.

    Parameters
    ----------
    context : of the venue
    trading : executes and cancels
    """

    def __init__(self, context: VenueContext, trading: Service) -> None:
        self._context = context
        self._trading = trading

    def begin(self, order: Order) -> None:
        """Start the schedule of an order: PreSubmitted until its window begins, then Submitted."""
        context = self._context
        now = context.clock.now()
        close = None if context.calendar.always else context.calendar.next_close(now)
        found = window(order.request, now, close, context.switches)
        order.algo_from, order.algo_until, order.rested = found.start, found.end, True
        if found.is_moved:
            context.reports.error(order, 2111, _MOVED.format(side=order.request.side))
        self._trading.set_status(order, "PreSubmitted")
        if found.start <= now:
            self._trading.set_status(order, "Submitted")
        else:
            context.clock.schedule_at(found.start, partial(self._open_window, order))
        self._trading.reevaluate(order)
        self.schedule(order)

    def _open_window(self, order: Order) -> None:
        if order.active and order.status == "PreSubmitted":
            self._trading.set_status(order, "Submitted")

    def schedule(self, order: Order) -> None:
        """Schedule the next slice of an order, and behind the last one the end of its window."""
        clock = self._context.clock
        if not order.active:
            return
        slices = slice_times(order.request, order.algo_from, order.algo_until)
        at = next((one for one in slices if one > clock.now()), order.algo_until)
        clock.schedule_at(at, partial(self._step, order, at))

    def _step(self, order: Order, at: float) -> None:
        if at >= order.algo_until:
            self._end(order)
        else:
            self._trading.reevaluate(order)
            self.schedule(order)

    def _end(self, order: Order) -> None:
        """The window is over: what is left is cancelled if an end was stated, else worked as its plain type."""
        given = dict(order.request.algo_params)
        stays = not given.get("endTime") or "1" in {given.get("allowPastEndTime"), given.get("forceCompletion")}
        if stays:
            self._trading.reevaluate(order)
        elif order.active:
            self._trading.cancel_by_system(order)

    def executions(self, order: Order, quote: Quote) -> list[Execution]:
        """Executions of what is due now."""
        quantity = due(order, self._context.clock.now(), self._context.switches) - order.filled
        return slice_executions(order, min(quantity, order.remaining), quote) if quantity > 0 else []
