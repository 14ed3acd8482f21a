"""Final pre-send gate, applied order by order.

The gate is opened right before each order is sent, as the last check. It refuses a single order (a cap is reached)
or all orders (a halt, a connection that was not reconciled), and it records which orders were sent. No caller can
send more orders than were approved.
"""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stocklean_exec.errors import BrokerError, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stocklean_exec.brokers.base import Broker, Ticket
    from stocklean_exec.execution.gross_exposure import GrossExposure

__all__ = ["Caps", "OrderRefusedError", "SendBudget", "SendGate"]


class OrderRefusedError(BrokerError):
    """One order must not be sent; ``code`` names the rule."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caps:
    """Caps on what may be sent, whatever was approved; None means no cap.

    ``run_notional`` and ``day_notional`` in the account's base currency, counted when sent and at decision prices;
    ``orders_per_minute`` in any sixty seconds.
    """

    run_notional: float | None = None
    day_notional: float | None = None
    orders_per_minute: float | None = None


@dataclass(slots=True)
class SendBudget:
    """What a run may still send, and what it has sent so far.

    Parameters
    ----------
    allowed : how often each approved order may be sent from here: once
    notional : value of each order at its decision price, base currency; NaN if unknown, which fails every cap on
        value
    caps : see :class:`Caps`
    barred : code and text for each order that exceeds a limit on single orders
    run_spent, day_spent : value sent before, by this run and by all runs of the day
    sent_at : when orders of all runs were sent, by the clock that :meth:`spend` is given
    """

    allowed: dict[str, int]
    notional: dict[str, float]
    caps: Caps = field(default_factory=Caps)
    barred: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    run_spent: float = 0.0
    day_spent: float = 0.0
    sent_at: list[float] = field(default_factory=list)

    def allow_again(self, name: str) -> None:
        """Allow one order to be sent again, which its order id makes harmless; its value was counted before."""
        self.allowed[name] = 1
        self.run_spent -= self._counted(name)
        self.day_spent -= self._counted(name)

    def allow_rest(self, name: str, value: float) -> None:
        """Allow an order for the rest of another one to be sent."""
        self.allowed[name] = 1
        self.notional[name] = value
        self.count_as_rest(name)

    def count_as_rest(self, name: str) -> None:
        """Count an order for the rest of another one only once: its value was counted with that."""
        self.run_spent -= self._counted(name)
        self.day_spent -= self._counted(name)

    def may_change(self, now: float) -> bool:
        """Count one change of an order at ``now``, as an order sent; False where the cap on these is reached."""
        self.sent_at = [one for one in self.sent_at if one > now - 60.0]
        cap = self.caps.orders_per_minute
        if cap is not None and len(self.sent_at) + 1 > cap:
            return False
        self.sent_at.append(now)
        return True

    def may_send(self, name: str) -> bool:
        """Whether an order was approved and has not been sent."""
        return self.allowed.get(name, 0) > 0

    def spend(self, name: str, now: float) -> None:
        """Count one order sent at ``now`` (seconds of a monotonic clock).

        Raises
        ------
        OrderRefusedError
            It was not approved, was sent before, or is over a limit or a cap; nothing was counted.
        """
        if self.allowed.get(name, 0) < 1:
            raise OrderRefusedError("not_approved_to_send", f"{name} was sent before, or was never approved")
        if name in self.barred:
            raise OrderRefusedError(*self.barred[name])
        value, caps = self.notional.get(name, math.nan), self.caps
        for code, cap, spent, of in (
            ("run_notional_cap", caps.run_notional, self.run_spent, "the run"),
            ("day_notional_cap", caps.day_notional, self.day_spent, "the day"),
        ):
            if cap is not None and not spent + value <= cap:
                total = f"{spent + value:,.2f}" if math.isfinite(spent + value) else "an unknown value"
                raise OrderRefusedError(code, f"{name} would bring {of} to {total}, over the cap of {cap:,.2f}")
        self.sent_at = [one for one in self.sent_at if one > now - 60.0]
        number = len(self.sent_at) + 1
        if caps.orders_per_minute is not None and number > caps.orders_per_minute:
            text = f"{name} would be order {number} within a minute, over {caps.orders_per_minute:g}"
            raise OrderRefusedError("rate_cap", text)
        self.sent_at.append(now)
        self.allowed[name] -= 1
        self.run_spent += self._counted(name)
        self.day_spent += self._counted(name)

    def _counted(self, name: str) -> float:
        """Value of an order; 0 if unknown, as such an order passes only if there is no cap on value."""
        value = self.notional.get(name, 0.0)
        return 0.0 if math.isnan(value) else value


class SendGate:
    """Lets a group of orders be sent one by one, and records which were; nothing is sent once it is closed.

    Parameters
    ----------
    broker : for its current connection
    session : number of the connection that was reconciled with the blotter
    check_halt : raises if no order may be sent: HaltedError while a halt is in force, or a lost run lock
    budget : what may still be sent
    monotonic : the clock that the budget counts by
    exposure : gross exposure so far; None where it is not limited
    """

    def __init__(
        self,
        broker: Broker,
        session: int,
        check_halt: Callable[[], None],
        budget: SendBudget,
        monotonic: Callable[[], float],
        exposure: GrossExposure | None = None,
    ) -> None:
        self._broker, self._session, self._check_halt = broker, session, check_halt
        self._budget, self._monotonic, self._exposure = budget, monotonic, exposure
        self._mutex = threading.Lock()
        self._is_closed = False
        self.entered: set[str] = set()
        self.in_flight: list[Ticket] = []

    @contextlib.contextmanager
    def open(self, ticket: Ticket) -> Iterator[None]:
        """Make the final checks, then let ``ticket`` be sent.

        Raises
        ------
        HaltedError, RunElsewhereError, ConnectionLostError, OrderRefusedError
            It must not be sent, and was not.
        """
        with self._mutex:
            if self._is_closed:
                raise BrokerError("the run has stopped")
            self._check_halt()
            if self._broker.session != self._session:
                raise ConnectionLostError("the connection was lost and is not reconciled with the blotter yet")
            refused = None if self._exposure is None else self._exposure.refusal(ticket)
            if refused is not None:
                raise OrderRefusedError(*refused)
            self._budget.spend(ticket.client_order_id, self._monotonic())
            if self._exposure is not None:
                self._exposure.count(ticket)
            self.entered.add(ticket.client_order_id)
            self.in_flight = [ticket]
            yield
            self.in_flight = []

    def close(self) -> None:
        """Wait for the order that is being sent, and refuse all others."""
        with self._mutex:
            self._is_closed = True
