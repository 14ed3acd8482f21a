"""Sends the orders of a run: each is on record before it leaves, and what a failure left unsent is recorded too.

The queue holds what is still to be sent, in the sequence of sending. A group of it is sent at a time, with
one commit of its ``sending`` events; the gate (:mod:`~stocklean_exec.execution.send_gate`) is opened for each
order separately.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stocklean_exec import clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.errors import HaltedError, StaleOrderIdError
from stocklean_exec.execution.arrival_quotes import ArrivalQuote
from stocklean_exec.execution.send_gate import OrderRefusedError, SendGate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stocklean_exec.brokers.base import Broker, Ticket
    from stocklean_exec.execution.buy_funding import BuyFunding
    from stocklean_exec.execution.gross_exposure import GrossExposure
    from stocklean_exec.execution.run_state import RunState
    from stocklean_exec.execution.send_gate import SendBudget

__all__ = ["OrderSender", "describe_error"]


class OrderSender:
    """The unsent orders of one run, and the only way out for them.

    Parameters
    ----------
    approved : every approved order of the run, by client order id
    quotes : the market by symbol when orders are sent, kept up to date by the owner
    budget : what may be sent
    funding : reserves and releases the cash of buys
    check_stop : raises if the next order must not be sent
    """

    def __init__(
        self,
        run_id: str,
        broker: Broker,
        record: RunState,
        approved: Mapping[str, Ticket],
        quotes: Mapping[str, ArrivalQuote],
        budget: SendBudget,
        funding: BuyFunding,
        check_stop: Callable[[], None],
    ) -> None:
        self._run_id, self._broker, self._record = run_id, broker, record
        self._approved, self._quotes = approved, quotes
        self._budget, self._funding, self._check_stop = budget, funding, check_stop
        self._loop = asyncio.get_running_loop()
        self._attempt = record.last_attempt
        self._last_id = 0  # the highest order id that an attempt of this run is on record with
        self.queue: list[Ticket] = []
        self.exposure: GrossExposure | None = None
        self.session = broker.session
        """The connection that was reconciled with the blotter: only on it may orders leave."""
        self.sent = 0
        """Orders sent so far."""
        self.sent_at = self._loop.time()
        """When the last order was sent, by the event loop's clock."""

    def begin_attempt(self) -> None:
        """Number the attempts from here on behind those on record."""
        self._attempt = self._record.last_attempt + 1

    # -- without sending -------------------------------------------------------------------------------------

    async def refuse(self, refused: Mapping[str, tuple[str, str]]) -> None:
        """Record the orders that must not be sent, by their ids, and take them out of the queue."""
        if not refused:
            return
        stamp = self._broker.now()
        await self._record.put(
            OrderEvent("refused", self._run_id, name, stamp, code=code, message=text)
            for name, (code, text) in refused.items()
        )
        self._remove(refused)
        self._record.update_states()

    async def drop(self, reason: str) -> None:
        """Refuse all unsent orders of a cancelled run, for good."""
        stamp = clock.now()
        dropped, self.queue = self.queue, []
        await self._record.put(
            OrderEvent("refused", self._run_id, one.client_order_id, stamp, code="run_cancelled", message=reason)
            for one in dropped
        )

    async def withdraw(self) -> None:
        """Withdraw the buys for which no cash arrived."""
        withdrawn, self.queue = self.queue, []
        await self._record.put(self._funding.withdrawals(withdrawn, clock.now()))
        self._record.update_states()

    def _remove(self, names: Mapping[str, object] | set[str]) -> None:
        self.queue = [ticket for ticket in self.queue if ticket.client_order_id not in names]

    # -- sending ---------------------------------------------------------------------------------------------

    async def send(self, group: list[Ticket]) -> str:
        """Send some orders of the queue; return why sending was halted, or "" if it continues.

        Raises
        ------
        BrokerError
            The broker failed. What was not sent is recorded as such; the order in flight is UNKNOWN.
        RunStoppedError
            The run was cancelled.
        """
        group = await self._within_exposure(group)
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
        return await self._place(group)

    async def _within_exposure(self, group: list[Ticket]) -> list[Ticket]:
        """Orders that the limit on gross exposure allows; the others are refused."""
        if self.exposure is None:
            return group
        refused = self.exposure.refusals(group)
        await self.refuse(refused)
        return [ticket for ticket in group if ticket.client_order_id not in refused]

    async def _place(self, group: list[Ticket]) -> str:
        gate = SendGate(self._broker, self.session, self._check_stop, self._budget, self._loop.time, self.exposure)
        try:
            await self._broker.place_all(group, gate.open)
        except BaseException as error:
            gate.close()
            await self._record_failure(group, gate, error)
            if isinstance(error, HaltedError):
                return str(error)
            if isinstance(error, StaleOrderIdError):
                await self._broker.prepare(self.queue)
            elif not isinstance(error, OrderRefusedError):
                raise
        else:
            self._remove({ticket.client_order_id for ticket in group})
            self.sent_at = self._loop.time()
            self.sent += len(group)
        return ""

    async def _renew_ids(self, group: list[Ticket]) -> None:
        """Give later order ids to orders that others overtook, while they waited or in the group itself.

        TWS takes order ids in ascending sequence only. An attempt with an id that was overtaken would be on record
        without having been made, and after a crash this could not be known.
        """
        ids = self._order_ids(group)
        if any(after <= before for before, after in pairwise([self._last_id, *ids]) if after):
            await self._broker.prepare([self._approved[ticket.client_order_id] for ticket in group])
        self._last_id = max(self._last_id, *self._order_ids(group))

    def _order_ids(self, group: list[Ticket]) -> list[int]:
        """Ids that the orders will be sent with; 0 for a broker without them."""
        return [self._broker.order_id_for(ticket.client_order_id)[0] or 0 for ticket in group]

    async def _record_failure(self, group: list[Ticket], gate: SendGate, error: BaseException) -> None:
        """Record which orders of a group were not sent, which one may have been, and which was refused."""
        stamp = clock.now()
        events = []
        for ticket in gate.in_flight:
            text = f"the submission failed: {describe_error(error)}"
            name = ticket.client_order_id
            events.append(OrderEvent("unknown", self._run_id, name, stamp, message=text, attempt=self._attempt))
        left = [ticket for ticket in group if ticket.client_order_id not in gate.entered]
        self._funding.release(left)
        if isinstance(error, OrderRefusedError) and left:
            name = left[0].client_order_id
            events.append(OrderEvent("refused", self._run_id, name, stamp, code=error.code, message=str(error)))
            self._remove({name})
        self._remove(gate.entered)
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
        approved = self._approved[ticket.client_order_id].quantity
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


def describe_error(error: BaseException) -> str:
    """The kind of an error and its text.

    Examples
    --------
    >>> describe_error(ValueError("no such order")), describe_error(KeyboardInterrupt())
    ('ValueError: no such order', 'KeyboardInterrupt')
    """
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
