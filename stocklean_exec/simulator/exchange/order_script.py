"""Follows the steps that a scenario has for an order.

Steps run one after another until one waits; a wait goes through the clock. A script that neither fills, rests,
rejects, cancels nor matches hands the order to the market at its end. The verbs are explained in
:data:`~stocklean_exec.simulator.scenarios.steps.STEPS`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.simulator.exchange.ledger import Book
    from stocklean_exec.simulator.exchange.order_reports import Herald
    from stocklean_exec.simulator.exchange.orders import Fill, Order
    from stocklean_exec.simulator.exchange.venue_context import Floor

__all__ = ["Desk", "Script"]

Step = dict[str, Any]
_DECISIVE = {"fill", "rest", "reject", "cancel", "match"}
_QUIET = {"reject", "message", "move", "disconnect"}
_STATUS_BY_CODE = {201: "Inactive", 202: "Cancelled", 203: "Inactive"}


class Desk(Protocol):
    """What a script asks of the desk that works its order."""

    floor: Floor
    book: Book
    herald: Herald

    def offer(self, order: Order) -> None:
        """Show the order to the market for the first time."""

    def trade_now(self, order: Order) -> None:
        """Let an acknowledged order trade with the market as it stands."""

    def show(self, order: Order, status: str) -> None:
        """Give the order a new status, and tell it."""

    def execute(self, order: Order, quantity: float, price: float, liquidity: int = 2) -> Fill:
        """One execution."""

    def correct(self, order: Order, last: Fill, quantity: float, price: float) -> None:
        """Correct an execution."""

    def reject(self, order: Order, code: int, text: str, status: str) -> None:
        """Refuse the accepted order after all."""

    def cancel_by_system(self, order: Order, why: str = "") -> None:
        """End the order."""


class Script:
    """The steps of one order.

    Parameters
    ----------
    data : an order entry of a checked scenario
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.steps: list[Step] = list(data.get("steps", ()))
        self.on_cancel: list[Step] = list(data.get("on_cancel", ()))
        self.commission: str = data.get("commission", "normal")
        self.commission_delay: float = data.get("commission_delay", 0.0)
        self.accept_delay: float = data.get("accept_delay", 0.0)
        self.busy = False
        self._acknowledged = False

    def run(self, desk: Desk, order: Order) -> None:
        """Start with the first step; the market has the order afterwards unless a step was decisive."""
        decisive = any(_verb(step) in _DECISIVE for step in self.steps)
        self._follow(desk, order, list(self.steps), lambda: None if decisive else desk.offer(order))

    def interrupt(self, desk: Desk, order: Order, then: Callable[[], None]) -> None:
        """A cancel arrived: the steps for that, then whatever becomes of the cancel."""
        self._acknowledged = True
        self._follow(desk, order, self.on_cancel, then)

    def _follow(self, desk: Desk, order: Order, steps: list[Step], then: Callable[[], None]) -> None:
        self.busy = True
        while steps:
            step, steps = steps[0], steps[1:]
            verb = _verb(step)
            if verb not in _QUIET and order.active:
                self._acknowledge(desk, order)
            if verb == "wait":
                desk.floor.clock.schedule(float(step["wait"]), partial(self._follow, desk, order, steps, then))
                return
            _DO[verb](desk, order, step)
        self.busy = False
        then()

    def _acknowledge(self, desk: Desk, order: Order) -> None:
        if not self._acknowledged:
            self._acknowledged = True
            desk.show(order, "PreSubmitted")


def _verb(step: Step) -> str:
    return next(name for name in step if name in _VERBS)


def _fill(desk: Desk, order: Order, step: Step) -> None:
    order.why_held = ""
    asked = step["fill"]
    left = order.remaining
    quantity = (
        {"half": float(max(left // 2, 1)), "rest": left}.get(asked) if isinstance(asked, str) else float(asked)
    )
    quantity = min(quantity or 0.0, left)
    if quantity <= 0:
        return
    price = float(step.get("price", 0.0)) or desk.floor.touch(order)
    desk.execute(order, quantity, price, int(step.get("liquidity", 2)))


def _match(desk: Desk, order: Order, _: Step) -> None:
    order.why_held = ""
    desk.trade_now(order)


def _rest(desk: Desk, order: Order, _: Step) -> None:
    order.why_held = ""
    order.rested = True
    if order.active:
        desk.show(order, "Submitted")


def _reject(desk: Desk, order: Order, step: Step) -> None:
    code = int(step["reject"])
    text = step.get("text", "Order rejected - reason:" if code == 201 else f"Message {code}")  # noqa: PLR2004 - the code
    desk.reject(order, code, text, step.get("state", _STATUS_BY_CODE.get(code, "none")))


def _message(desk: Desk, order: Order, step: Step) -> None:
    desk.herald.error(order, int(step["message"]), step.get("text", f"Message {step['message']}"))


def _cancel(desk: Desk, order: Order, step: Step) -> None:
    if order.active:
        desk.cancel_by_system(order, step.get("text", ""))


def _hold(desk: Desk, order: Order, step: Step) -> None:
    order.why_held = str(step["hold"])
    if order.why_held == "locate":
        desk.herald.error(order, 404, "Order held while securities are located.")
    desk.show(order, "PreSubmitted")


def _status(desk: Desk, order: Order, step: Step) -> None:
    desk.herald.status(order, str(step["status"]))


def _last(desk: Desk, order: Order) -> Fill | None:
    fills = desk.book.fills_of.get(order.perm_id, [])
    return fills[-1] if fills else None


def _correct(desk: Desk, order: Order, step: Step) -> None:
    last = _last(desk, order)
    if last is not None:
        desk.correct(order, last, float(step.get("quantity", last.quantity)), float(step.get("price", last.price)))


def _bust(desk: Desk, order: Order, _: Step) -> None:
    last = _last(desk, order)
    if last is not None:
        desk.correct(order, last, 0.0, last.price)


def _repeat(desk: Desk, order: Order, step: Step) -> None:
    last = _last(desk, order)
    if last is None:
        return
    if step["repeat"] == "commission":
        desk.herald.commission(order, last)
    else:
        desk.herald.execution(order, last)


def _move(desk: Desk, order: Order, step: Step) -> None:
    desk.floor.move(order.contract.symbol, **step["move"])


def _disconnect(desk: Desk, order: Order, _: Step) -> None:
    desk.floor.disconnect(order.client_id, "a step of the scenario closes the connection")


_DO: dict[str, Callable[[Desk, Order, Step], None]] = {
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
_VERBS = {*_DO, "wait"}
