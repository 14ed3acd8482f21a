"""A run that works in the background, and the handle on it: look, wait, await, cancel.

The run works on the engine's thread, so a notebook stays free for the next cell. Whoever waits can stop
waiting at any time: an interrupt detaches, and neither cancels an order nor loses a fill.
"""

from __future__ import annotations

import asyncio
import getpass
import threading
import weakref
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from stocklean_exec import background, clock
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.blotter.order_state import ENDED
from stocklean_exec.errors import BlotterClosedError, BlotterError, InputError, Problem
from stocklean_exec.execution.approval import restore, verify
from stocklean_exec.execution.run_card import run_card
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_monitor import RunMonitor
from stocklean_exec.execution.submission import check_account, run_id_of, submit_orders_async
from stocklean_exec.schema.account_ids import mask_account, mask_accounts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.risk.limits import Limits

__all__ = ["Run", "RunView", "start_run"]

_QUIET_SECONDS = 10.0
_ACTIVE: weakref.WeakKeyDictionary[Blotter, dict[str, Run]] = weakref.WeakKeyDictionary()
_MUTEX = threading.Lock()


class RunView(Protocol):
    """A widget that shows a run; the one in use is :class:`~stocklean_exec.widgets.live_view.LiveView`."""

    @property
    def model_id(self) -> str:
        """The id by which the front end finds the widget."""

    def wait(self) -> None:
        """Wait until all that buttons started is done, and shown; for scripts and tests."""


def start_run(
    approved: pd.DataFrame,
    broker: Broker,
    blotter: Blotter,
    *,
    timeout: float = 60.0,
    max_approval_age: float | None = 3600.0,
    limits: Limits | None = None,
) -> Run:
    """Start sending an approved plan and return at once, with a handle on the run.

    Parameters and errors are those of :func:`~stocklean_exec.submit_orders`; an approval that does not hold is
    refused here, whatever else fails is raised by who waits. A run that works already is not started again: its
    handle is returned, so a cell may be run twice.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> orders = sx.plan_orders({"SPY": 0.5}, None, broker.quotes(), nav=broker.nav(), run_id="run-1")
    >>> review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=broker.cash()))
    >>> review.approve_all(by="demo")
    1
    >>> with sx.open_blotter() as blotter:
    ...     run = sx.start_run(review.result(), broker, blotter)
    ...     run.wait()["status"].tolist(), run
    (['FILLED'], <Run run-1: done, 1 of 1 orders ended, 41 of 41 shares filled>)
    """
    plan = restore(approved)
    verify(plan)
    if plan.empty:
        raise InputError("orders", [Problem("empty_plan", "the plan has no orders: there is nothing to run")])
    check_account(plan, broker)
    run_id = run_id_of(plan)
    with _MUTEX:
        active = _ACTIVE.setdefault(blotter, {})
        known = active.get(run_id)
        if known is not None and not known.is_done:
            return known
        control = RunControl()
        live = RunMonitor(run_id, plan[plan["approved"]], account=broker.account)
        control.listen(live.hear)  # from the first event on, whenever somebody looks
        work = submit_orders_async(
            approved,
            broker,
            blotter,
            timeout=timeout,
            max_approval_age=max_approval_age,
            limits=limits,
            control=control,
        )
        run = active[run_id] = Run(run_id, broker, blotter, control, live, background.spawn(work))
    return run


class Run:
    """One run in the background; made by :func:`start_run`. Every method may be called from any thread."""

    def __init__(
        self,
        run_id: str,
        broker: Broker,
        blotter: Blotter,
        control: RunControl,
        live: RunMonitor,
        future: Future[pd.DataFrame],
    ) -> None:
        self.run_id, self.broker, self.blotter, self.control = run_id, broker, blotter, control
        self.live = live
        """What was heard of the run so far, as a view shows it."""
        self._future = future
        self._view: RunView | None = None
        self._mutex = threading.Lock()
        self._last = f"<Run {run_id}: starting>"

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Whether the run has stopped working; orders may still rest at the broker."""
        return self._future.done()

    @property
    def error(self) -> BaseException | None:
        """What ended the run early, if anything did."""
        return self._future.exception() if self._future.done() else None

    def orders(self) -> pd.DataFrame:
        """The run's orders as they stand now: :data:`~stocklean_exec.schema.tables.ORDERS` and more."""
        return self.blotter.orders(self.run_id)

    def fills(self) -> pd.DataFrame:
        """The run's fills so far: :data:`~stocklean_exec.schema.tables.FILLS`."""
        return self.blotter.fills(self.run_id)

    def progress(self) -> pd.Series[Any]:
        """How far the run is.

        ``status`` of the run; ``orders`` approved, of which so many have ``ended`` and were ``filled`` whole;
        ``quantity`` asked for and ``filled_quantity``, in shares.
        """
        orders = self.orders()
        meant = orders[orders["approved"].fillna(value=False).astype("bool")]
        runs = self.blotter.runs().set_index("run_id")["status"]
        return pd.Series(
            {
                "status": str(runs.get(self.run_id, "queued")),
                "orders": len(meant),
                "ended": int(meant["status"].isin(ENDED).sum()),
                "filled": int((meant["status"] == "FILLED").sum()),
                "quantity": float(meant["quantity"].sum()),
                "filled_quantity": float(meant["filled_quantity"].sum()),
            },
            dtype="object",
        )

    # -- waiting ---------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> pd.DataFrame:
        """Wait until the run is over, and return its orders. An interrupt ends the waiting, and not the run.

        Raises
        ------
        TimeoutError
            It is not over after ``timeout`` seconds; it goes on.
        StockleanError
            What ended the run early.
        """
        try:
            return self._future.result(timeout)
        except WaitTimeoutError:
            if self._future.done():
                raise
            text = f"run {self.run_id} is not over after {timeout:g} s; it goes on, and can be waited for again"
            raise TimeoutError(text) from None

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        # Shielded: who stops awaiting detaches, and the run goes on.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    # -- stopping --------------------------------------------------------------------------------------------

    def cancel_all(self, *, by: str | None = None) -> None:
        """Send nothing more of this run, and ask the broker to cancel what works. Returns once all was asked.

        What was not sent is ``REJECTED`` with reason ``run_cancelled`` and stays so. Orders of other runs are left
        alone.
        """
        who = by or getpass.getuser()
        text = f"cancelled by {who}"
        self.control.stop(text)
        event = OrderEvent("run_cancelled", self.run_id, occurred_at=clock.now(), code=who, message=text)
        self.live.hear(event)
        recorded = self.blotter.record([event])
        asked: set[str] = set()
        self._cancel_sent(asked)
        self.control.quiet.wait(_QUIET_SECONDS)  # one order may have been leaving just then
        self._cancel_sent(asked)
        recorded.result()

    def cancel(self, client_order_id: str) -> None:
        """Ask the broker to cancel one order of this run."""
        if client_order_id not in set(self.orders()["client_order_id"]):
            text = f"{client_order_id!r} is no order of run {self.run_id}"
            raise InputError("cancel", [Problem("order_unknown", text)])
        self.broker.cancel(client_order_id)

    def halt(self, reason: str) -> None:
        """Stop all sending on this blotter, of this run and of all others, until a person clears it."""
        self.blotter.halt(reason)

    def _cancel_sent(self, asked: set[str]) -> None:
        """Ask for the cancel of every order that may be alive, once."""
        orders = self.orders()
        alive = orders["arrived_at"].notna() & ~orders["status"].isin(ENDED) & (orders["state"] != "INTENT")
        for name in orders.loc[alive, "client_order_id"].tolist():
            if name not in asked:
                with suppress(InputError):  # it was announced, and has not left
                    self.broker.cancel(name)
                    asked.add(name)

    # -- showing ---------------------------------------------------------------------------------------------

    def view(self) -> RunView:
        """Return the live view of the run; as the last line of a cell it shows itself.

        Progress, counts by status, fills as they come, the cumulative fill against arrival, what it costs so far,
        messages that matter; buttons to cancel one order, to cancel all, and to halt. There is one for a run,
        however often it is asked for and shown. It needs a notebook; :meth:`orders`, :meth:`fills`,
        :meth:`progress` and :meth:`cancel_all` do not.
        """
        from stocklean_exec.widgets.live_view import LiveView  # noqa: PLC0415 - the view is above

        self._catch_up()
        with self._mutex:
            if self._view is None:
                self._view = LiveView(self)
            return self._view

    def head(self) -> dict[str, Any]:
        """Return what stands above a view: plain values, the account and texts masked.

        ``run``, ``badge``, ``account``; ``state`` is ``working``, ``stopping`` (cancelled, and not over yet),
        ``over``, ``cancelled`` or ``failed``, with ``note``; ``halted`` and ``fault`` tell why nothing is sent.
        """
        error, stopped = self.error, self.control.stopped
        if not self.is_done:
            state = "stopping" if stopped else "working"
        else:
            state = "failed" if error is not None else "cancelled" if stopped else "over"
        halted = None
        with suppress(BlotterError):  # closed, or not to be read: then nobody knows
            halted = self.blotter.halted
        note = f"{type(error).__name__}: {error}" if error is not None else stopped
        return {
            "run": self.run_id,
            "badge": self.broker.mode.upper(),
            "account": mask_account(self.broker.account),
            "state": state,
            "note": self._masked(note),
            "halted": self._masked(halted or ""),
            "fault": self._masked(self.broker.fault),
        }

    def on_done(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` once the run is over, on whatever thread; at once if it is."""
        self._future.add_done_callback(lambda _: listener())

    def _catch_up(self) -> None:
        """Hear what is on record of earlier, or was told to an earlier handle; what is known counts once."""
        with suppress(BlotterClosedError):  # then what was heard since the start is all there is
            for event in self.blotter.recorded_events(self.run_id):
                self.live.hear(event)

    def _masked(self, text: str) -> str:
        return mask_accounts_in(text, self.broker.account)

    def _repr_html_(self) -> str:
        self._catch_up()
        return run_card(self.head(), self.live.update())

    def __repr__(self) -> str:
        try:
            at = self.progress()
        except Exception:  # noqa: BLE001 - the blotter may be closed: then the last word stands
            return self._last
        failed = f", {type(self.error).__name__}" if self.error is not None else ""
        self._last = (
            f"<Run {self.run_id}: {at['status']}{failed}, {at['ended']} of {at['orders']} orders ended, "
            f"{at['filled_quantity']:g} of {at['quantity']:g} shares filled>"
        )
        return self._last
