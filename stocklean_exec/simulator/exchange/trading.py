"""Lifecycle of an accepted order: start, hold, rest, trade, end.

The sequence of messages is as captured.

Full fill of a market order (captured at server versions 173, 176 and 200)::

    openOrder PreSubmitted, orderStatus PreSubmitted
    execDetails
    openOrder Filled, orderStatus Filled                       without the commission
    openOrder Filled, orderStatus Filled                       with it: the well-known duplicate
    commissionReport

A partial execution is execDetails, openOrder and orderStatus Submitted with the running average, and its
commissionReport. A resting limit order is reported as PreSubmitted, then Submitted. A stop is reported twice as
PreSubmitted with whyHeld ``trigger``, a trailing stop once, and as Submitted when it is triggered (captured at
200).

This service decides what happens to an order; the ledger records it and order reports send it. Orders are accepted
in :mod:`~stocklean_exec.simulator.exchange.order_entry`, and modified and cancelled in
:mod:`~stocklean_exec.simulator.exchange.order_amendments`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from stocklean_exec.fill_model import far_touch
from stocklean_exec.simulator.clock import parse_instant
from stocklean_exec.simulator.exchange.algo_service import AlgoService
from stocklean_exec.simulator.exchange.algos import is_scheduled
from stocklean_exec.simulator.exchange.matching import at_auction, executions_now, pegged_price
from stocklean_exec.simulator.exchange.order_script import OrderScript
from stocklean_exec.simulator.exchange.order_terms import HELD, LIMITED, STOPPED, TRAILING
from stocklean_exec.simulator.exchange.triggers import follow, is_triggered, limit_behind_stop

if TYPE_CHECKING:
    from stocklean_exec.fill_model import Execution, Quote
    from stocklean_exec.simulator.exchange.account_service import AccountService
    from stocklean_exec.simulator.exchange.orders import Fill, Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext

__all__ = ["TradingService"]

_SUBMITTED_FIRST = LIMITED | TRAILING | {"REL"}  # types reported as Submitted before their first execution
_FAR_THROUGH = "The limit price is too far through the market"
_DAY = 86_400.0  # seconds
_LOCATE_SECONDS = 1.0  # a choice: long enough to see whyHeld, short enough for a wall clock


def _end_of(good_till: str, zone: str) -> float:
    """When a good-till-date order ends: at a time, or with a day."""
    instant = parse_instant(good_till, zone)
    return instant + _DAY if len(good_till.split()) == 1 and good_till.strip().isdigit() else instant


class TradingService:
    """Works the orders of one venue."""

    def __init__(self, context: VenueContext, account_service: AccountService) -> None:
        self.context = context
        self.ledger = context.ledger
        self.reports = context.reports
        self.switches = context.switches
        self._account_service = account_service
        self.algo_service = AlgoService(context, self)
        self.scripts: dict[int, OrderScript] = {}

    # starting

    def resume(self, order: Order) -> None:
        """Schedule again what an order of an earlier run of the venue waits for."""
        self.schedule_times(order)
        if not math.isnan(order.algo_from):
            self.algo_service.schedule(order)

    def transmit(self, order: Order) -> None:
        """Accept an order: write it to the journal, and start it now or after its script's delay."""
        order.staged = False
        self.ledger.changed(order)
        self.ledger.journal.order("order", order, self.context.clock.now())
        self.context.count("accepts")
        entry = self.context.scenario_entry(order)
        if entry is None:
            self.start(order)
            return
        script = self.scripts[order.perm_id] = OrderScript(entry)
        if script.accept_delay:
            self.context.clock.schedule(script.accept_delay, lambda: self.start(order))
        else:
            self.start(order)

    def start(self, order: Order) -> None:
        """Start working the order, unless it has to be held."""
        if not order.active:
            return
        self.adapt(order)
        held = self.reason_to_hold(order)
        if held:
            order.why_held = held
            self.report_held(order, first=True)
        elif not self.context.is_open(order):
            self._queue_for_open(order)
        elif self._needs_locate(order):
            self._locate(order)
        else:
            self.activate(order)
        if order.active:
            self.schedule_times(order)

    def report_held(self, order: Order, *, first: bool = False) -> None:
        """Report a held order: a stop twice, as captured; ``first``: it is new."""
        waits = "trigger" in order.why_held
        self.set_status(order, "PreSubmitted", first=first and waits)
        if waits and order.request.order_type in STOPPED:
            self.set_status(order, "PreSubmitted")

    def schedule_times(self, order: Order) -> None:
        """Schedule the end of a good-till-date order, and the start of one that is good after a time."""
        clock, zone = self.context.clock, self.switches.time_zone
        if order.request.tif == "GTD":
            until = _end_of(order.request.good_till, zone)
            clock.schedule_at(until, partial(self._expire_at, order), work=False)
        if self._is_before_good_after(order):
            after = parse_instant(order.request.good_after, zone)
            clock.schedule_at(after, partial(self._wake, order), work=False)

    def _expire_at(self, order: Order) -> None:
        """The end of a good-till-date order, unless it was moved meanwhile."""
        if order.request.tif == "GTD" and order.active:
            until = _end_of(order.request.good_till, self.switches.time_zone)
            if until <= self.context.clock.now():
                self.expire(order)

    def _wake(self, order: Order) -> None:
        """The time after which an order is good has come, unless it was moved meanwhile."""
        script = self.scripts.get(order.perm_id)
        if order.why_held or not order.active or (script is not None and script.busy):
            return
        if self.context.is_open(order) and not self._is_before_good_after(order):
            self.offer(order)

    def activate(self, order: Order) -> None:
        """The order is no longer held: run its script, or offer it to the market."""
        if not order.active:
            return
        order.why_held = ""
        if order.request.order_type in HELD and not order.triggered:
            order.triggered = True
            order.working_limit = limit_behind_stop(order)
        script = self.scripts.get(order.perm_id)
        if script is not None and script.steps:
            script.run(self, order)
        else:
            self.offer(order)

    def reason_to_hold(self, order: Order) -> str:
        """Why an order cannot be offered yet: ``child``, ``trigger`` or both; empty if it can."""
        parent_id = order.request.parent_id
        parent = self.ledger.find(order.client_id, parent_id) if parent_id else None
        reasons = ["child"] if parent is not None and parent.status != "Filled" else []
        if order.request.order_type in HELD and not is_triggered(order, self._quote(order), self._last(order)):
            reasons.append("trigger")
        return ",".join(reasons)

    def _queue_for_open(self, order: Order) -> None:
        self.set_status(order, "PreSubmitted")
        contract, request = order.contract, order.request
        terms = f"{request.action} {request.quantity:g} {contract.symbol}"
        place = f"{contract.primary_exchange}.{contract.trading_class}"
        opens = self.context.calendar.next_open_text(self.context.clock.now())
        warning = f"Warning: Your order will not be placed at the exchange until {opens}."
        self.reports.error(order, 399, f"Order Message:\n{terms} {place}\n{warning}")
        self.set_status(order, "PreSubmitted")

    def _needs_locate(self, order: Order) -> bool:
        if self.switches.shorts != "locate" or order.request.side != "SELL" or order.contract.is_pair:
            return False
        held = self.ledger.accounts[order.account].positions.get(order.contract.con_id)
        return order.remaining > max(held.quantity if held else 0.0, 0.0)

    def _locate(self, order: Order) -> None:
        order.why_held = "locate"
        self.reports.error(order, 404, "Order held while securities are located.")
        self.set_status(order, "PreSubmitted")
        self.context.clock.schedule(_LOCATE_SECONDS, lambda: self.activate(order))

    # working

    def offer(self, order: Order) -> None:
        """Try to fill the order on entry; otherwise let it rest or cancel it, by its time in force."""
        waits = self._is_before_good_after(order)
        if is_scheduled(order.request) and not waits:
            self.algo_service.begin(order)
            return
        executions = [] if waits else self._executions(order)
        if executions and self._is_far_through(order):
            self._cancel_far_through(order)
            return
        if order.request.tif == "FOK" and sum(one.quantity for one in executions) < order.remaining:
            executions = []
        if executions:
            kind = order.request.order_type
            self.set_status(order, "Submitted" if kind in _SUBMITTED_FIRST else "PreSubmitted")
            self._trade(order, executions)
        if order.active and order.request.tif in {"IOC", "FOK"}:
            self.kill(order)
        elif order.active and not executions:
            self._rest(order)

    def _is_far_through(self, order: Order) -> bool:
        """Whether a limit is so far through the market that IB's price check cancels the order."""
        touch = far_touch(order.request.side, self._quote(order))
        if self.switches.price_check <= 0 or touch is None or order.request.order_type not in LIMITED:
            return False
        through = order.limit - touch[0] if order.request.side == "BUY" else touch[0] - order.limit
        return through > self.switches.price_check * touch[0]

    def _cancel_far_through(self, order: Order) -> None:
        if order.request.tif in {"IOC", "FOK"}:
            self.kill(order)
        else:
            self.set_status(order, "PreSubmitted")
            self.cancel_by_system(order, _FAR_THROUGH)

    def kill(self, order: Order) -> None:
        """End an IOC or FOK order that did not fill: without a code, as captured."""
        if order.request.tif == "FOK":
            self.end(order, "Inactive", "Cancelled by System:")
            self.ledger.journal.order("cancel", order, self.context.clock.now(), reason="FOK")
            self.reports.order(order)
        else:
            self.set_status(order, "PendingCancel")
            self.cancelled(order, "Cancelled by System:", "IOC")
            self.reports.status(order)

    def _executions(self, order: Order, *, passive: bool = False) -> list[Execution]:
        if not math.isnan(order.algo_from):
            return self.algo_service.executions(order, self._quote(order))
        return executions_now(order, self._quote(order), auction=self.context.auction, passive=passive)

    def _trade(self, order: Order, executions: list[Execution]) -> None:
        if order.request.order_type == "MTL" and executions:
            order.working_limit, order.rested = executions[0].price, True
        for remaining, one in zip(range(len(executions) - 1, -1, -1), executions, strict=True):
            if order.active:
                self.execute(order, one.quantity, one.price, one.liquidity, more=remaining > 0)

    def trade_now(self, order: Order, *, passive: bool = False) -> None:
        """Fill an acknowledged order at the current quote; ``passive``: the quote moved to a resting order."""
        if order.active and not self._is_before_good_after(order):
            self._trade(order, self._executions(order, passive=passive))

    def _rest(self, order: Order) -> None:
        order.rested = True
        self.set_status(order, "PreSubmitted")
        if not at_auction(order) and not self._is_before_good_after(order):
            self.set_status(order, "Submitted")

    def _is_before_good_after(self, order: Order) -> bool:
        after = order.request.good_after
        if not after:
            return False
        return parse_instant(after, self.switches.time_zone) > self.context.clock.now()

    def reevaluate(self, order: Order, *, passive: bool = False) -> None:
        """The quote changed, or a reason to hold ended: check whether the order trades now."""
        script = self.scripts.get(order.perm_id)
        if not order.active or order.staged or (script is not None and script.busy):
            return
        if not self.context.is_open(order):
            return
        self.adapt(order)
        if order.why_held in {"", "locate"}:
            if not order.why_held:
                self.trade_now(order, passive=passive and order.rested)
            return
        held = self.reason_to_hold(order)
        if not held:
            self.activate(order)
        elif held != order.why_held:
            order.why_held = held
            self.set_status(order, "PreSubmitted")

    def adapt(self, order: Order) -> None:
        """Move the stop of a trailing order and the price of a relative one with the market."""
        if order.request.order_type in TRAILING:
            follow(order, self._quote(order), self._last(order))
        elif order.request.order_type == "REL":
            order.working_limit = pegged_price(order, self._quote(order))
        else:
            return
        self.ledger.changed(order)

    def _quote(self, order: Order) -> Quote:
        return self.context.market[order.contract.key]

    def _last(self, order: Order) -> float:
        return self.context.market.last_price(order.contract.key)

    def set_status(self, order: Order, status: str, *, first: bool = False) -> None:
        """Set a new status and report it: openOrder and orderStatus; ``first``: as the first of a stop."""
        order.status = status
        self.ledger.changed(order)
        self.reports.order(order, first=first)

    # trading

    def execute(
        self, order: Order, quantity: float, price: float, liquidity: int = 2, *, more: bool = False
    ) -> Fill:
        """Execute part of the order and report it; ``more``: further executions follow immediately."""
        fill = self.ledger.execute(order, quantity, price, self.context.clock.now(), liquidity)
        done = order.remaining <= 0
        if done:
            self.end(order, "Filled", f"Filled Size: {order.filled:g}")
        elif order.active:
            order.status = "Submitted"
        self.ledger.changed(order)
        self._report_execution(order, fill, done=done)
        self.context.count("executions")
        self._account_service.changed(order.account, order.contract, more=more)
        if done:
            self._after_fill(order)
        return fill

    def _report_execution(self, order: Order, fill: Fill, *, done: bool) -> None:
        script = self.scripts.get(order.perm_id)
        policy, delay = (script.commission, script.commission_delay) if script else ("normal", 0.0)
        if policy == "first":
            self.reports.commission(order, fill)
        self.reports.execution(order, fill)
        self.reports.order(order)
        order.reported_commission = order.commission
        if done:
            self.reports.order(order, commission=True)
        if policy == "last" and done:
            self._commissions(order, self.ledger.fills_of[order.perm_id], delay)
        elif policy in {"normal", "twice"}:
            self._commissions(order, [fill] * (2 if policy == "twice" else 1), delay)

    def _commissions(self, order: Order, fills: list[Fill], delay: float) -> None:
        def send() -> None:
            for fill in fills:
                self.reports.commission(order, fill)

        if delay:
            self.context.clock.schedule(delay, send)
        else:
            send()

    def correct(self, order: Order, last: Fill, quantity: float, price: float) -> None:
        """Correct an execution: a new one whose id differs in the last group only."""
        fixed = self.ledger.correct(last, quantity, price, self.context.clock.now())
        self.ledger.changed(order)
        self.reports.execution(order, fixed)
        self.reports.commission(order, fixed)
        self._account_service.changed(order.account, order.contract)

    # ending

    def end(self, order: Order, status: str, completed_status: str) -> None:
        """Set a final status, without reporting it."""
        order.status = status
        order.completed_at = self.context.clock.now()
        order.completed_status = completed_status
        self.ledger.changed(order)

    def _after_fill(self, order: Order) -> None:
        """Activate the children of a filled order, and cancel the other orders of its OCA group or bracket."""
        self.scripts.pop(order.perm_id, None)
        group, parent = order.request.oca_group, order.request.parent_id
        for one in list(self.ledger.active.values()):
            if one.client_id != order.client_id or not one.active:
                continue
            if order.order_id and one.request.parent_id == order.order_id:
                self.reevaluate(one)
            elif (group and one.request.oca_group == group) or (parent and one.request.parent_id == parent):
                self.cancel_by_system(one)

    def expire(self, order: Order) -> None:
        """The order's time in force has ended."""
        if order.active:
            self.cancel_by_system(order)

    def cancel_by_system(self, order: Order, text: str = "") -> None:
        """Cancel by TWS or the exchange: Cancelled and error 202."""
        self.cancelled(order, f"Cancelled by System:{text}", "system")
        self.reports.status(order)
        self.reports.error(order, 202, f"Order Canceled - reason:{text}")

    def cancelled(self, order: Order, completed_status: str, reason: str) -> None:
        """Set the order and its children to Cancelled; the caller reports the order itself."""
        self.scripts.pop(order.perm_id, None)
        order.why_held = ""  # captured: a cancelled stop is held by nothing
        self.end(order, "Cancelled", completed_status)
        self.ledger.journal.order("cancel", order, self.context.clock.now(), reason=reason)
        for child in list(self.ledger.active.values()):
            if not order.order_id or not child.active or child.client_id != order.client_id:
                continue
            if child.request.parent_id == order.order_id:
                self.cancel_by_system(child)

    def reject(self, order: Order, code: int, text: str, status: str) -> None:
        """Reject an accepted order: the error, then Inactive, Cancelled, or no status."""
        self.scripts.pop(order.perm_id, None)
        self.end(order, "Cancelled" if status == "Cancelled" else "Inactive", f"Cancelled by System:{text}")
        self.ledger.journal.order("cancel", order, self.context.clock.now(), reason=f"{code}")
        self.reports.error(order, code, text)
        if status != "none":
            self.reports.order(order)

    def market_moved(self, symbol: str) -> None:
        """Re-evaluate every open order of the listing ``symbol``, oldest first."""
        waiting = [one for one in self.ledger.active.values() if one.contract.key == symbol]
        for order in sorted(waiting, key=lambda one: one.perm_id):
            self.reevaluate(order, passive=True)
