"""The last step before an order leaves: one order at a time, and only while everything that must hold does.

A gate is asked right before each order, when nothing else can keep it back. It refuses a single order (a cap is
reached) or everything (a halt, a connection that was not reconciled), and it knows afterwards which orders have
left. What it decides does not depend on who called: more orders than were approved cannot pass.
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

__all__ = ["Caps", "OrderRefusedError", "SendBudget", "SendGate"]


class OrderRefusedError(BrokerError):
    """One order must not leave; ``code`` says which rule kept it back."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caps:
    """Most that may be handed over, whatever was approved; None is no cap.

    ``run_notional`` and ``day_notional`` in the account's currency, counted at hand-over and by decision price;
    ``orders_per_minute`` in any sixty seconds.
    """

    run_notional: float | None = None
    day_notional: float | None = None
    orders_per_minute: float | None = None


@dataclass(slots=True)
class SendBudget:
    """What a run may still hand over, and what it has handed over so far.

    Parameters
    ----------
    allowed : how often each approved order may be handed over from here: once
    notional : value of each order at its decision price; NaN where that is not known, which no cap on value lets
        pass
    caps : see :class:`Caps`
    run_spent, day_spent : value handed over before, by this run and by all runs of the day
    sent_at : when orders were sent before, of all runs, by the clock that :meth:`spend` is given
    """

    allowed: dict[str, int]
    notional: Mapping[str, float]
    caps: Caps = field(default_factory=Caps)
    run_spent: float = 0.0
    day_spent: float = 0.0
    sent_at: list[float] = field(default_factory=list)

    def allow_again(self, name: str) -> None:
        """Let one order be handed over once more, its id making that harmless; its value was counted before."""
        self.allowed[name] = 1
        self.run_spent -= self._counted(name)
        self.day_spent -= self._counted(name)

    def may_send(self, name: str) -> bool:
        """Whether an order was approved and has not been handed over."""
        return self.allowed.get(name, 0) > 0

    def spend(self, name: str, now: float) -> None:
        """Count one order that leaves at ``now`` (seconds of a monotonic clock).

        Raises
        ------
        OrderRefusedError
            It was not approved, was handed over before, or is over a cap; nothing was counted.
        """
        if self.allowed.get(name, 0) < 1:
            raise OrderRefusedError(
                "not_approved_to_send", f"{name} was handed over before, or was never approved"
            )
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
        """Value of an order; of one whose value is not known nothing, as it passes only where no cap counts."""
        value = self.notional.get(name, 0.0)
        return 0.0 if math.isnan(value) else value


class SendGate:
    """Lets a group of orders leave one by one, and knows afterwards which have; nothing leaves once it is closed.

    Parameters
    ----------
    broker : for the connection that the orders leave by
    session : number of the connection that was reconciled with the record
    check_halt : raises what keeps every order back: HaltedError while a halt is in force, a lost lease
    budget : what may still be handed over
    monotonic : the clock that the budget counts by
    """

    def __init__(
        self,
        broker: Broker,
        session: int,
        check_halt: Callable[[], None],
        budget: SendBudget,
        monotonic: Callable[[], float],
    ) -> None:
        self._broker, self._session, self._check_halt = broker, session, check_halt
        self._budget, self._monotonic = budget, monotonic
        self._mutex = threading.Lock()
        self._is_closed = False
        self.entered: set[str] = set()
        self.halfway: list[Ticket] = []

    @contextlib.contextmanager
    def open(self, ticket: Ticket) -> Iterator[None]:
        """Make the last checks, then let ``ticket`` leave.

        Raises
        ------
        HaltedError, RunElsewhereError, ConnectionLostError, OrderRefusedError
            It must not leave, and has not.
        """
        with self._mutex:
            if self._is_closed:
                raise BrokerError("the run has stopped")
            self._check_halt()
            if self._broker.session != self._session:
                raise ConnectionLostError("the connection was lost and is not reconciled with the record yet")
            self._budget.spend(ticket.client_order_id, self._monotonic())
            self.entered.add(ticket.client_order_id)
            self.halfway = [ticket]
            yield
            self.halfway = []

    def close(self) -> None:
        """Wait for the order that is leaving, and let no other leave."""
        with self._mutex:
            self._is_closed = True
