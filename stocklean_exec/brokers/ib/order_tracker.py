"""Matches TWS messages to our orders, and publishes the resulting events to the subscriber of the run.

A message is matched by the order id of this session, else by ``orderRef``, which is the client order id, else
by ``permId``. Reports about other orders are not published; they are kept as orphans. The tracker outlives a
connection: after a reconnection the same orders are matched again.

It keeps the events of each order, and derives from them which orders are open and may be cancelled, by the rules
of :mod:`~stocklean_exec.blotter.order_state`. All methods but :meth:`OrderTracker.follow` run on the broker's own
thread. No I/O, and no client library: the messages come in as plain values.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.blotter.events import INACTIVE, OrderEvent
from stocklean_exec.blotter.order_state import OrderAccumulator
from stocklean_exec.brokers.base import ORPHAN_COLUMNS
from stocklean_exec.brokers.ib.limit_changes import LimitChanges
from stocklean_exec.brokers.ib.price_units import first_price, read_price
from stocklean_exec.brokers.ib.translate import (
    ADVICE_CODES,
    ID_USED_UP,
    MOST_SHARES,
    REJECTED_BY_CODE,
    STATUS_OF_TWS,
    TwsExecution,
    commission_event,
    execution_event,
    is_change_refusal,
    message_event,
    rejected_as_cancelled,
    status_event,
)
from stocklean_exec.errors import BlotterClosedError, OrderNotWorkingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from stocklean_exec.blotter.order_history import OrderHistory
    from stocklean_exec.brokers.base import Ticket

__all__ = ["OrderTracker", "OwnOrder"]

_MOST_ORPHANS = 10_000
"""Reports that are kept about other orders: a choice that bounds memory."""

_BEHIND_CODE = timedelta(seconds=5)
"""How long after a code the end of an order may come that the code explains: a choice; TWS sends both together."""

_REPORTS = frozenset({"status", "message", "execution", "commission", "rejected", "cancel_requested"})
"""Kinds of recorded events that count for a tracked order: what the broker reported, and our cancel requests. Our
own decisions do not: an order that a person resolved, or that we never sent, may still work at TWS."""


@dataclass(slots=True, eq=False)
class OwnOrder:
    """An order of ours: sent by this broker, or found at TWS under our client id from an earlier session.

    Its state is derived from the events published about it, by the same rules as the blotter's. Its own fields
    say only what no event says: ``sent``, whether it was submitted on a connection of this broker or of its
    record; ``is_resend``, submitted once more with the id it has; ``unexplained_inactive``, TWS shows it as
    Inactive and has not said why, or as ended and has not said with how many shares filled; ``put_aside``, TWS
    does not list it as completed either, so that it may come back; ``follower``, the subscriber of its run when it
    was first tracked; ``unknown_code``, the latest code about it that is in no table: perhaps why it ends.
    ``exported`` is the event by which a person was to send it: executions of other terms are not its own.
    ``reference`` is a price of it in its currency, NaN for none, and ``magnifier`` that of its contract, None
    where it is not known: they give the unit of its executions. ``quantity`` is what it is for, ``sent_quantity``
    what was sent of that, and ``shown_quantity`` what TWS shows it for, NaN for not yet.
    """

    client_order_id: str
    run_id: str | None
    quantity: float
    order_id: int
    client_id: int
    perm_id: int | None = None
    sent: bool = False
    is_resend: bool = False
    unexplained_inactive: bool = False
    put_aside: bool = False
    exported: OrderEvent | None = None
    reference: float = math.nan
    magnifier: float | None = None
    follower: Callable[..., None] | None = None
    unknown_code: str = ""
    unknown_code_at: datetime | None = None
    sent_quantity: float = math.nan
    shown_quantity: float = math.nan
    changes: LimitChanges = field(default_factory=LimitChanges)
    published: set[tuple[object, ...]] = field(default_factory=set)
    events: OrderAccumulator = field(default_factory=OrderAccumulator)
    _ended: bool | None = None

    def add(self, event: OrderEvent) -> None:
        """Count an event that is published about it, or that is on record."""
        self.events.add(event)
        self._ended = None

    @property
    def ended(self) -> bool:
        """Whether its events say that it has ended; with reported fills that lack executions it has not.

        Derived once after each event: one message needs it several times.
        """
        if self._ended is None:
            self._ended = self.events.has_ended(self.quantity)
        return self._ended

    @property
    def works(self) -> bool:
        """Whether more reports about it may come."""
        return self.sent and not self.ended and not self.put_aside


class OrderTracker:
    """Matches reports to our orders, and publishes them as events.

    Parameters
    ----------
    now : when a message is received, in UTC
    report_failure : called with what failed and the error, when a subscriber cannot record its events
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        report_failure: Callable[[str, BaseException], None] = lambda _what, _error: None,
    ) -> None:
        self._now, self._report_failure = now, report_failure
        self._followers: dict[str, Callable[..., None]] = {}
        self._by_ref: dict[str, OwnOrder] = {}
        self._by_id: dict[int, OwnOrder] = {}
        self._by_perm: dict[int, OwnOrder] = {}
        self._by_execution: dict[str, OwnOrder] = {}
        self._early_fees: dict[str, OrderEvent] = {}
        self._busy: set[str] = set()
        self._batched: dict[str, list[OrderEvent]] | None = None
        self._refs: set[str] = set()
        self._exec_ids: set[str] = set()
        self._orphans: deque[dict[str, object]] = deque(maxlen=_MOST_ORPHANS)

    # -- our side --------------------------------------------------------------------------------------------

    def follow(self, run_id: str, publish: Callable[..., None]) -> None:
        """Publish the events of a run to ``publish`` from now on: one or several with each call."""
        self._followers[run_id] = publish

    def reserve(self, ticket: Ticket, order_id: int, client_id: int, *, magnifier: float | None = None) -> None:
        """Reserve an order id for ``ticket``, whose contract has this price magnifier."""
        order = OwnOrder(ticket.client_order_id, ticket.run_id, ticket.quantity, order_id, client_id)
        order.reference, order.magnifier = first_price(ticket.limit_price, ticket.reference_price), magnifier
        order.follower = self._followers.get(ticket.run_id)
        self._by_ref[ticket.client_order_id] = order
        self._by_id[order_id] = order

    def adopt(self, run_id: str, known: OrderHistory, *, ids_hold: bool) -> None:
        """Track an order that an earlier connection sent, from what is on record about it.

        An order that is tracked already is tracked from its record again if another subscriber follows its run:
        the earlier one may have been gone when reports came, and what is not on record must be published again.

        Parameters
        ----------
        ids_hold : TWS has not restarted its order ids, so that this order's id still identifies it
        """
        sent = known.last_sending
        here = self._by_ref.get(known.client_order_id)
        follower = self._followers.get(run_id)
        if here is not None and here.run_id is not None and (here.follower == follower or not here.sent):
            return
        order = OwnOrder(
            known.client_order_id,
            run_id,
            known.quantity,
            (sent.order_id or 0) if sent else 0,
            (sent.client_id or 0) if sent else 0,
            sent=True,
            exported=known.exported if sent is None else None,
            follower=follower,
            sent_quantity=known.sent_quantity,
        )
        if sent is not None:
            order.reference = first_price(sent.ask, sent.bid, sent.last)
        for event in known.events:
            self._add_recorded(order, event)
        if here is not None:
            self._replace(here, order)
        self._by_ref[order.client_order_id] = order
        if ids_hold and order.order_id:
            self._by_id[order.order_id] = order
        self._note_busy(order)

    def _replace(self, met: OwnOrder, order: OwnOrder) -> None:
        """Match reports to an adopted order that was tracked before, without its run or for another subscriber.

        Its earlier reports may not be recorded. They are requested from TWS again; then its executions count, and
        their commissions are missing until they are reported again.
        """
        order.is_resend = met.is_resend
        order.changes.inherit(met.changes)
        self._by_execution = {name: one for name, one in self._by_execution.items() if one is not met}
        self._by_id = {number: order if one is met else one for number, one in self._by_id.items()}
        if met.perm_id is not None and order.perm_id is None:
            self._learn(order, met.perm_id)
        if not order.order_id:  # it was never sent by this record
            order.order_id, order.client_id = met.order_id, met.client_id

    def _add_recorded(self, order: OwnOrder, event: OrderEvent) -> None:
        """Count one recorded event of an adopted order, without publishing it."""
        if event.perm_id and event.kind in ("status", "execution") and order.perm_id is None:
            self._learn(order, event.perm_id)
        if event.kind == "execution" and event.exec_id is not None:
            self._by_execution.setdefault(event.exec_id, order)
        if event.kind in _REPORTS:
            order.add(event)
        order.changes.read(event)

    def allow_again(self, client_order_id: str) -> int:
        """Allow an adopted order to be sent again under the order id it has; returns that id."""
        order = self._by_ref[client_order_id]
        order.sent, order.is_resend = False, True
        self._by_id[order.order_id] = order
        return order.order_id

    def forget_refs(self) -> None:
        """Start a new list of the client order ids and executions that TWS reports."""
        self._refs, self._exec_ids = set(), set()

    def refs(self) -> frozenset[str]:
        """Every client order id that TWS has reported since :meth:`forget_refs`, ours or not."""
        return frozenset(self._refs - {""})

    def executions(self) -> frozenset[str]:
        """Ids of the executions that TWS has reported since then."""
        return frozenset(self._exec_ids)

    def knows(self, perm_id: int, order_ref: str) -> bool:
        """Whether one of our orders has this perm id or reference."""
        return self._match(0, order_ref, perm_id) is not None

    def has_execution(self, exec_id: str) -> bool:
        """Whether an execution of one of our orders has this id."""
        return exec_id in self._by_execution

    def find(self, client_order_id: str) -> OwnOrder | None:
        """Look up the order of a client order id."""
        return self._by_ref.get(client_order_id)

    def working(self) -> list[OwnOrder]:
        """Open orders that were sent, oldest first; also those that TWS has put aside."""
        return [order for order in self._by_ref.values() if order.sent and not order.ended]

    def is_quiet(self) -> bool:
        """Whether no order of ours is working, and no commission is missing."""
        return not self._busy

    def mark_sent(self, order: OwnOrder, quantity: float | None = None) -> None:
        """Mark ``order`` as sent: for ``quantity`` shares, or by default for as many as it was prepared for."""
        order.sent = True
        order.quantity = order.sent_quantity = order.quantity if quantity is None else quantity
        self._busy.add(order.client_order_id)

    def unexplained_inactive_orders(self) -> list[OwnOrder]:
        """Orders that may have ended: Inactive without a reason, or ended without a count of filled shares."""
        return [order for order in self._by_ref.values() if order.unexplained_inactive and not order.ended]

    def put_aside(self, orders: list[OwnOrder]) -> None:
        """Mark inactive orders that TWS does not list as completed: they are put aside, and may come back."""
        for order in orders:
            if order.unexplained_inactive and not order.ended:
                event = self._put_aside_event(self._now())
                if order.events.is_end_reported:
                    text = "TWS has reported its end, and not all of its fills"
                    event = OrderEvent("message", code="end_unconfirmed", message=text)
                self._publish(order, event)
                order.put_aside, order.unexplained_inactive = True, False
                self._note_busy(order)  # only now: a run that finds the broker quiet has the reason already

    def _put_aside_event(self, now: datetime) -> OrderEvent:
        # A repeated message is recorded once: the time tells a second one from the first.
        text = (
            f"TWS has put it aside (Inactive) at {now:%Y-%m-%d %H:%M:%S} UTC, and does not say why; it may come "
            "back: look at it in TWS, or cancel it"
        )
        return OrderEvent("message", occurred_at=now, status="WAITING", code=INACTIVE, message=text)

    def request_cancel(self, order: OwnOrder) -> None:
        """Publish that the cancel of an order is requested."""
        self._publish(order, OrderEvent("cancel_requested"))

    def changeable(self, client_order_id: str, client_id: int) -> OwnOrder:
        """Look up an order whose terms ``client_id`` may change: TWS has it under its id, and it works.

        Under an id that is not a working order's, a change would be a new order.

        Raises
        ------
        OrderNotWorkingError
            It does not, or that is not certain.
        """
        order = self._by_ref.get(client_order_id)
        why = "is not an order of this broker" if order is None else self._why_not_changeable(order, client_id)
        if order is None or why:
            raise OrderNotWorkingError(f"{client_order_id} {why}; its change was not sent")
        return order

    def _why_not_changeable(self, order: OwnOrder, client_id: int) -> str:
        events = order.events
        reasons = {
            f"was placed by client id {order.client_id}, and only that one can change it": (
                order.client_id != client_id
            ),
            "is not accepted by TWS yet": not (order.sent and events.is_accepted),
            "has ended": order.ended or events.is_end_reported or events.is_fill_reported,
            "has a cancel requested": events.is_cancel_requested,
            "may have ended: TWS shows it as Inactive": order.unexplained_inactive or order.put_aside,
            "is two orders at TWS": events.is_doubled,
            "has an id that TWS may have given to another": self._by_id.get(order.order_id) is not order,
        }
        return next((text for text, applies in reasons.items() if applies), "")

    def note_change(self, order: OwnOrder, number: int, price: float, on_wire: float) -> None:
        """Note that change ``number`` of an order's limit is sent now, in TWS's unit as ``on_wire``."""
        order.changes.send(number, price, on_wire)

    def withdraw_change(self, order: OwnOrder, number: int) -> None:
        """Forget a change that did not leave."""
        order.changes.withdraw(number)

    def awaits_answer(self, order_id: int) -> bool:
        """Whether a code about this id may be the answer to a change of an order's limit."""
        order = self._by_id.get(order_id)
        return order is not None and order.changes.is_awaited

    def connected(self, next_order_id: int) -> None:
        """Start matching on a new connection with this next order id.

        A next id below ids that were used means that TWS has restarted its order ids: an id no longer identifies
        an order, and only ``orderRef`` and ``permId`` count.
        """
        if any(order.events.is_accepted and number >= next_order_id for number, order in self._by_id.items()):
            self._by_id.clear()
        else:
            self._by_id = {number: order for number, order in self._by_id.items() if order.sent}
        for order in self._by_ref.values():
            order.changes.lose_connection()

    def broadcast(self, code: str, message: str) -> None:
        """Publish a message about the connection for every open order."""
        for order in self.working():
            self._publish(order, OrderEvent("message", code=code, message=message))

    # -- reports of TWS ---------------------------------------------------------------------------------------

    def on_open_order(
        self,
        order_id: int,
        client_id: int,
        perm_id: int,
        order_ref: str,
        word: str,
        quantity: float,
        limit: float = math.nan,
        *,
        ours: bool,
    ) -> None:
        """An openOrder message: TWS has the order, on this limit. ``ours``: it carries our client id."""
        self._refs.add(order_ref)
        order = self._match(order_id if ours else 0, order_ref, perm_id)
        if order is None and ours and order_ref:
            order = OwnOrder(order_ref, None, min(quantity, MOST_SHARES), order_id, client_id, sent=True)
            self._by_ref[order_ref] = self._by_id[order_id] = order
        if order is None:
            self._keep_orphan(
                OrderEvent("status", status=word, order_id=order_id, client_id=client_id), perm_id, order_ref
            )
            return
        if self._is_second(order, perm_id):
            return
        order.shown_quantity = quantity
        change = order.changes.show(limit)
        if change is not None:
            self._publish(order, OrderEvent("modified", attempt=change.number, price=change.price))
        if STATUS_OF_TWS.get(word) == "SUBMITTED":
            order.put_aside = False
            self._note_return(order, word)
            if not order.events.is_accepted:
                self._publish(order, OrderEvent("status", status="SUBMITTED"))
            self._note_busy(order)

    def on_status(
        self, order_id: int, perm_id: int, word: str, filled: float, remaining: float, why_held: str, *, ours: bool
    ) -> None:
        """An orderStatus message."""
        order = self._match(order_id if ours else 0, "", perm_id)
        event = status_event(word, filled, remaining, why_held)
        if order is None:
            self._keep_orphan(event._replace(order_id=order_id), perm_id)
            return
        if self._is_second(order, perm_id):
            return
        if order.events.is_rejected and event.status == "CANCELLED":  # how TWS shows an order that it has rejected
            event = rejected_as_cancelled(word, event)
        event = self._with_reason(order, event)
        if event.kind == "status":
            order.put_aside = order.unexplained_inactive = False
            self._note_return(order, word)
        elif word == INACTIVE and not order.ended:
            order.unexplained_inactive = True
        self._publish_once(order, event, (event.kind, event.status, event.code, event.filled, event.remaining))

    def on_execution(self, execution: TwsExecution, *, ours: bool) -> None:
        """An execDetails message, live or requested; one of an order of others is skipped if it makes no sense.

        Raises
        ------
        ValueError
            It is of an order of ours, and has no id, no side, or numbers that no execution has.
        """
        self._refs.add(execution.order_ref)
        self._exec_ids.add(execution.exec_id)
        order = self._match(execution.order_id if ours else 0, execution.order_ref, execution.perm_id)
        try:
            event = execution_event(execution)
        except ValueError:
            if order is None:
                return
            raise
        if order is None or _is_other_trade(order.exported, event):
            found = event._replace(order_id=execution.order_id, client_id=execution.client_id)
            self._keep_orphan(found, execution.perm_id, execution.order_ref)
            return
        price, code, text = read_price(execution.price, order.reference, order.magnifier)
        event = event._replace(price=price, code=code or event.code, message=text or event.message)
        self._is_second(order, execution.perm_id)  # its shares count too: they were traded
        order.put_aside = False
        self._by_execution.setdefault(execution.exec_id, order)
        self._publish_once(order, event, ("execution", execution.exec_id))
        early = self._early_fees.pop(execution.exec_id, None)
        if early is not None:
            self._publish_commission(order, early)

    def on_commission(self, exec_id: str, commission: float, currency: str) -> None:
        """A commissionReport message; one that arrives before its execution waits for it."""
        event = commission_event(exec_id, commission, currency)
        if event is None:
            return
        order = self._by_execution.get(exec_id)
        if order is None:
            self._early_fees[exec_id] = event
        else:
            self._publish_commission(order, event)

    def on_message(self, order_id: int, code: int, text: str) -> bool:
        """An error message with an id; False when the id is not one of our orders."""
        order = self._by_id.get(order_id)
        if order is None or not order.sent:
            return False
        is_cancelling = order.events.is_cancel_requested
        if order.changes.is_awaited and is_change_refusal(code, cancel_requested=is_cancelling):
            self._refuse_change(order, code, text)
            return True
        event = message_event(code, text, seen=order.events.is_accepted, cancel_requested=is_cancelling)
        if order.is_resend and code == ID_USED_UP:  # the first submission has arrived after all
            event = OrderEvent("message", code=str(code), message=text)
        self._publish(order, event)
        order.unexplained_inactive |= order.events.is_end_reported and not order.ended
        if event.kind == "message" and code not in ADVICE_CODES:
            order.unknown_code, order.unknown_code_at = str(code), self._now()
        return True

    def _refuse_change(self, order: OwnOrder, code: int, text: str) -> None:
        """Publish that TWS has refused the latest change of an order. That says nothing of the order itself."""
        event = OrderEvent("modify_refused", attempt=order.changes.refuse(), code=str(code), message=text)
        self._publish(order, event)
        if code in REJECTED_BY_CODE:  # if the order ends now, that is why
            order.unknown_code, order.unknown_code_at = str(code), self._now()

    def may_be_refused(self, order_id: int) -> bool:
        """Whether an order that TWS has never accepted has a code that is in no table."""
        order = self._by_id.get(order_id)
        return order is not None and bool(order.unknown_code) and not (order.events.is_accepted or order.ended)

    def on_completed(
        self, perm_id: int, order_ref: str, word: str, filled: float | None, text: str, *, client_id: int
    ) -> None:
        """A completedOrder message: the order has ended, whatever status TWS gives it.

        ``filled`` shares of it, None where TWS does not say; ``client_id`` is ours. TWS reports executions only
        to the client that placed the order: if another client's order ended with an unknown number of shares
        filled, its end is not concluded.
        """
        self._refs.add(order_ref)
        order = self._match(0, order_ref, perm_id)
        event = OrderEvent(
            "status", status="FILLED" if word == "Filled" else "CANCELLED", filled=filled, message=text or None
        )
        if order is None:
            self._keep_orphan(event, perm_id, order_ref)
            return
        if self._is_second(order, perm_id):
            return
        if filled is None and event.status == "CANCELLED" and order.client_id != client_id:
            said = f"TWS lists it as completed ({word}), and does not report how many shares were filled"
            event = OrderEvent("message", code="completed", message=said)
        if not order.ended or order.events.is_beyond_reports(filled):
            order.put_aside = False
            self._publish(order, self._with_reason(order, event))

    def _with_reason(self, order: OwnOrder, event: OrderEvent) -> OrderEvent:
        """Give a cancel without a code the unknown one that came right before it, or that refused the order."""
        if event.status != "CANCELLED" or event.code or order.unknown_code_at is None:
            return event
        is_close = self._now() - order.unknown_code_at <= _BEHIND_CODE
        if order.events.is_cancel_requested or not (is_close or not order.events.is_accepted):
            return event
        return event._replace(code=order.unknown_code)

    # -- orphans ---------------------------------------------------------------------------------------------

    def orphans(self) -> pd.DataFrame:
        """Reports about orders that are not ours, or of a run without a subscriber; the latest 10,000."""
        return pd.DataFrame(list(self._orphans), columns=list(ORPHAN_COLUMNS))

    # -- publishing ------------------------------------------------------------------------------------------

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Publish the reports of this block at its end, all events of a run at once: one commit records them."""
        self._batched = {}
        try:
            yield
        finally:
            held, self._batched = self._batched, None
            for run_id, events in (held or {}).items():
                self._deliver(run_id, events)

    # -- inside ----------------------------------------------------------------------------------------------

    def _match(self, order_id: int, order_ref: str, perm_id: int) -> OwnOrder | None:
        order = self._by_id.get(order_id) if order_id > 0 else None
        if order is not None and order.sent and order_ref in ("", order.client_order_id):
            return order
        return self._by_ref.get(order_ref) or self._by_perm.get(perm_id)

    def _is_second(self, order: OwnOrder, perm_id: int) -> bool:
        """Whether a message is about a second order under the same client order id; it is published once."""
        self._learn(order, perm_id)
        if perm_id <= 0 or perm_id == order.perm_id:
            return False
        text = f"TWS has another order (perm id {perm_id}) under this client order id"
        second = OrderEvent("duplicate", perm_id=perm_id, code="duplicate_order", message=text)
        self._publish_once(order, second, ("duplicate", perm_id))
        return True

    def _learn(self, order: OwnOrder, perm_id: int) -> None:
        if perm_id > 0 and order.perm_id is None:
            order.perm_id = perm_id
            self._by_perm[perm_id] = order

    def _note_return(self, order: OwnOrder, word: str) -> None:
        """Publish that an order that was put aside works again: its status may have been published before."""
        if order.events.is_put_aside and STATUS_OF_TWS.get(word) == "SUBMITTED":
            now = self._now()
            text = f"TWS shows it as {word} at {now:%Y-%m-%d %H:%M:%S} UTC, and no longer as {INACTIVE}"
            self._publish(order, OrderEvent("message", occurred_at=now, status="RESUMED", code=word, message=text))

    def _note_busy(self, order: OwnOrder) -> None:
        if order.works or order.events.uncharged:
            self._busy.add(order.client_order_id)
        else:
            self._busy.discard(order.client_order_id)

    def _publish_commission(self, order: OwnOrder, event: OrderEvent) -> None:
        self._publish_once(order, event, ("commission", event.exec_id, event.commission))

    def _publish_once(self, order: OwnOrder, event: OrderEvent, mark: tuple[object, ...]) -> None:
        """Publish a report unless it was published before; ``mark`` identifies it. TWS repeats most reports."""
        if mark in order.published:
            self._note_busy(order)
        else:
            order.published.add(mark)
            self._publish(order, event)

    def _publish(self, order: OwnOrder, event: OrderEvent) -> None:
        """Count an event for its order, and publish it to the subscriber of its run."""
        order.add(event)
        self._note_busy(order)
        event = event._replace(
            run_id=order.run_id,
            client_order_id=order.client_order_id,
            occurred_at=event.occurred_at or self._now(),
            order_id=order.order_id,
            perm_id=event.perm_id or order.perm_id,
            client_id=order.client_id,
        )
        if order.run_id is None or order.run_id not in self._followers:
            self._keep_orphan(event, order.perm_id, order.client_order_id)
        elif self._batched is None:
            self._deliver(order.run_id, [event])
        else:
            self._batched.setdefault(order.run_id, []).append(event)

    def _deliver(self, run_id: str, events: list[OrderEvent]) -> None:
        """Publish events to a run's subscriber; those that cannot be recorded are kept as orphans."""
        publish = self._followers.get(run_id)
        try:
            if publish is not None:
                publish(*events)
                return
        except BlotterClosedError:  # the blotter of the run is closed
            self._followers.pop(run_id, None)
        except Exception as error:  # noqa: BLE001 - any failure must stop sending
            self._followers.pop(run_id, None)
            self._report_failure(f"the record of {run_id} failed", error)
        for event in events:
            self._keep_orphan(event, event.perm_id, event.client_order_id or "")

    def _keep_orphan(self, event: OrderEvent, perm_id: int | None, order_ref: str = "") -> None:
        row = {name: getattr(event, name) for name in ORPHAN_COLUMNS[2:]}
        self._orphans.append({**row, "heard_at": self._now(), "order_ref": order_ref, "perm_id": perm_id})


def _is_other_trade(exported: OrderEvent | None, execution: OrderEvent) -> bool:
    """Whether an execution under the tag of a basket's order is of another symbol, side or account."""
    if exported is None:
        return False
    return any(
        getattr(exported, name) is not None and getattr(exported, name) != getattr(execution, name)
        for name in ("symbol", "side", "account")
    )
