"""Runs the steps that a scenario defines for an order.

Steps run in sequence; a ``wait`` schedules the remaining steps on the clock. A script without a fill, rest,
reject, cancel or match step offers the order to the market at its end. A modification runs the ``on_modify`` steps
up to the next one that decides about it. The verbs are explained in
:data:`~stocklean_exec.simulator.scenarios.steps.STEPS` and
:data:`~stocklean_exec.simulator.scenarios.steps.CHANGE_STEPS`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from stocklean_exec.simulator.scenarios.steps import CHANGE_STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.simulator.exchange.ledger import Ledger
    from stocklean_exec.simulator.exchange.order_reports import OrderReports
    from stocklean_exec.simulator.exchange.orders import Fill, Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext

__all__ = ["OrderScript", "Service"]

Step = dict[str, Any]
_DECISIVE = {"fill", "rest", "reject", "cancel", "match"}  # steps after which the market does not get the order
_NO_ACKNOWLEDGEMENT = {"reject", "message", "move", "disconnect"}  # steps that do not report PreSubmitted first
# TWS API, "Order Status": an order that was rejected is Inactive; 202 says that it was cancelled.
_STATUS_BY_CODE = {201: "Inactive", 202: "Cancelled", 203: "Inactive"}


class Service(Protocol):
    """The service that works the order, as a script needs it."""

    context: VenueContext
    ledger: Ledger
    reports: OrderReports

    def offer(self, order: Order) -> None:
        """Offer the order to the market for the first time."""

    def trade_now(self, order: Order) -> None:
        """Fill an acknowledged order against the current quote."""

    def set_status(self, order: Order, status: str) -> None:
        """Set a new status and report it."""

    def execute(self, order: Order, quantity: float, price: float, liquidity: int = 2) -> Fill:
        """Execute part of the order."""

    def correct(self, order: Order, last: Fill, quantity: float, price: float) -> None:
        """Correct an execution."""

    def reject(self, order: Order, code: int, text: str, status: str) -> None:
        """Reject the accepted order."""

    def cancel_by_system(self, order: Order, text: str = "") -> None:
        """Cancel the order."""


class OrderScript:
    """The steps of one order.

    Parameters
    ----------
    data : an order entry of a checked scenario
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.steps: list[Step] = list(data.get("steps", ()))
        self.on_cancel: list[Step] = list(data.get("on_cancel", ()))
        self.on_modify: list[Step] = list(data.get("on_modify", ()))
        self.commission: str = data.get("commission", "normal")
        self.commission_delay: float = data.get("commission_delay", 0.0)
        self.accept_delay: float = data.get("accept_delay", 0.0)
        self.busy = False
        self.is_modifying = False
        self._acknowledged = self._is_over = False

    def end(self) -> None:
        """Run none of the steps that are left: the cancel of the order was confirmed."""
        self._is_over = True

    def run(self, service: Service, order: Order) -> None:
        """Run all steps; then offer the order to the market, unless a step was decisive."""
        decisive = any(_verb(step) in _DECISIVE for step in self.steps)
        self._run_steps(service, order, list(self.steps), lambda: None if decisive else service.offer(order))

    def interrupt(self, service: Service, order: Order, then: Callable[[], None]) -> None:
        """Run the ``on_cancel`` steps, then ``then``, which decides the cancel."""
        self._acknowledged = True
        self._run_steps(service, order, self.on_cancel, then)

    def interrupt_change(
        self, service: Service, order: Order, judge: Callable[[], None], refuse: Callable[[int, str], None]
    ) -> None:
        """Run the ``on_modify`` steps for one modification, then what they decide: ``judge`` where they do not."""
        verbs = [_verb(step) for step in self.on_modify]
        place = next((number for number, verb in enumerate(verbs) if verb in CHANGE_STEPS), len(verbs))
        steps = self.on_modify[:place]
        decision: Step = self.on_modify[place] if place < len(verbs) else {}
        self.on_modify = self.on_modify[place + 1 :]

        def decide() -> None:
            self.is_modifying = False
            if "refuse" in decision:
                refuse(int(decision["refuse"]), decision.get("text", f"Message {decision['refuse']}"))
            elif "ignore" not in decision:
                judge()

        self._acknowledged = self.is_modifying = True
        self._run_steps(service, order, steps, decide)

    def _run_steps(self, service: Service, order: Order, steps: list[Step], then: Callable[[], None]) -> None:
        self.busy = True
        while steps and not self._is_over:
            step, steps = steps[0], steps[1:]
            verb = _verb(step)
            if verb not in _NO_ACKNOWLEDGEMENT and order.active:
                self._acknowledge(service, order)
            if verb == "wait":
                service.context.clock.schedule(
                    float(step["wait"]), partial(self._run_steps, service, order, steps, then)
                )
                return
            _ACTIONS[verb](service, order, step)
        self.busy = False
        if not self._is_over:
            then()

    def _acknowledge(self, service: Service, order: Order) -> None:
        if not self._acknowledged:
            self._acknowledged = True
            service.set_status(order, "PreSubmitted")


def _verb(step: Step) -> str:
    return next(name for name in step if name in _VERBS or name in CHANGE_STEPS)


def _fill(service: Service, order: Order, step: Step) -> None:
    order.why_held = ""
    requested = step["fill"]
    remaining = order.remaining
    quantity = (
        {"half": float(max(remaining // 2, 1)), "rest": remaining}.get(requested)
        if isinstance(requested, str)
        else float(requested)
    )
    quantity = min(quantity or 0.0, remaining)
    if quantity <= 0:
        return
    price = float(step.get("price", 0.0)) or service.context.touch(order)
    service.execute(order, quantity, price, int(step.get("liquidity", 2)))


def _match(service: Service, order: Order, _: Step) -> None:
    order.why_held = ""
    service.trade_now(order)


def _rest(service: Service, order: Order, _: Step) -> None:
    order.why_held = ""
    order.rested = True
    if order.active:
        service.set_status(order, "Submitted")


def _reject(service: Service, order: Order, step: Step) -> None:
    code = int(step["reject"])
    text = step.get("text", "Order rejected - reason:" if code == 201 else f"Message {code}")  # noqa: PLR2004 - the code
    service.reject(order, code, text, step.get("state", _STATUS_BY_CODE.get(code, "none")))


def _message(service: Service, order: Order, step: Step) -> None:
    service.reports.error(order, int(step["message"]), step.get("text", f"Message {step['message']}"))


def _cancel(service: Service, order: Order, step: Step) -> None:
    if order.active:
        service.cancel_by_system(order, step.get("text", ""))


def _hold(service: Service, order: Order, step: Step) -> None:
    order.why_held = str(step["hold"])
    if order.why_held == "locate":
        service.reports.error(order, 404, "Order held while securities are located.")
    service.set_status(order, "PreSubmitted")


def _status(service: Service, order: Order, step: Step) -> None:
    service.reports.status(order, str(step["status"]))


def _last(service: Service, order: Order) -> Fill | None:
    fills = service.ledger.fills_of.get(order.perm_id, [])
    return fills[-1] if fills else None


def _correct(service: Service, order: Order, step: Step) -> None:
    last = _last(service, order)
    if last is not None:
        service.correct(
            order, last, float(step.get("quantity", last.quantity)), float(step.get("price", last.price))
        )


def _bust(service: Service, order: Order, _: Step) -> None:
    last = _last(service, order)
    if last is not None:
        service.correct(order, last, 0.0, last.price)


def _repeat(service: Service, order: Order, step: Step) -> None:
    last = _last(service, order)
    if last is None:
        return
    if step["repeat"] == "commission":
        service.reports.commission(order, last)
    else:
        service.reports.execution(order, last)


def _move(service: Service, order: Order, step: Step) -> None:
    service.context.move(order.contract.key, **step["move"])


def _disconnect(service: Service, order: Order, _: Step) -> None:
    service.context.disconnect(order.client_id, "a step of the scenario closes the connection")


_ACTIONS: dict[str, Callable[[Service, Order, Step], None]] = {
    "fill": _fill,
    "match": _match,
    "rest": _rest,
    "reject": _reject,
    "message": _message,
    "cancel": _cancel,
    "hold": _hold,
    "status": _status,
    "correct": _correct,
    "bust": _bust,
    "repeat": _repeat,
    "move": _move,
    "disconnect": _disconnect,
}
_VERBS = {*_ACTIONS, "wait"}
