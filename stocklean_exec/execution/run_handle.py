"""A run in the background, and the handle on it: inspect, wait, await, cancel.

The run works on the background thread, so a notebook stays free for the next cell. A caller can stop waiting at
any time: an interrupt only detaches; it does not cancel an order or lose a fill.
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
from stocklean_exec.execution.funding import FundingOptions
from stocklean_exec.execution.run_card import run_card
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_monitor import RunMonitor
from stocklean_exec.execution.submission import SubmitOptions, check_account, run_id_of, sliced_plan, submit
from stocklean_exec.schema.account_ids import mask_account, mask_accounts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.execution.funding import AccountKind, FundingMode, Unsettled
    from stocklean_exec.execution.work_plan import Work
    from stocklean_exec.risk.limits import Limits

__all__ = ["Run", "RunView", "start_run"]

_QUIET_SECONDS = 10.0  # a stated choice: sending one group of orders takes far less
_ACTIVE: weakref.WeakKeyDictionary[Blotter, dict[str, Run]] = weakref.WeakKeyDictionary()
_MUTEX = threading.Lock()


class RunView(Protocol):
    """A widget that shows a run; the one in use is :class:`~stocklean_exec.widgets.live_view.LiveView`."""

    @property
    def model_id(self) -> str:
        """The id under which the front end finds the widget."""

    def wait(self) -> None:
        """Wait until every action that a button started is done and shown; for scripts and tests."""


def start_run(
    approved: pd.DataFrame,
    broker: Broker,
    blotter: Blotter,
    *,
    timeout: float = 60.0,
    max_approval_age: float | None = 3600.0,
    limits: Limits | None = None,
    funding: FundingMode = "fills",
    funding_timeout: float | None = None,
    account_kind: AccountKind | None = None,
    unsettled: Unsettled = "wait",
    work: Work | None = None,
) -> Run:
    """Start sending an approved plan and return at once, with a handle on the run.

    Parameters and errors are those of :func:`~stocklean_exec.submit_orders`. An invalid approval raises here; any
    later error is raised by :meth:`Run.wait`. A run that is working already is not started again: its handle is
    returned, so a cell may be run twice.

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
    how = FundingOptions.of(funding, funding_timeout, account_kind, unsettled)
    plan = restore(approved)
    verify(plan)
    check_account(plan, broker)
    run_id = run_id_of(plan)
    sliced = sliced_plan(plan, broker, work, limits, blotter.planned(run_id))
    with _MUTEX:
        active = _ACTIVE.setdefault(blotter, {})
        known = active.get(run_id)
        if known is not None and not known.is_done:
            return known
        control = RunControl()
        live = RunMonitor(run_id, sliced[sliced["approved"]], account=broker.account)
        control.listen(live.add)  # from the first event on, even if nobody views it yet
        options = SubmitOptions(timeout, max_approval_age, limits, how, work)
        sending = submit(approved, broker, blotter, options, control=control)
        run = active[run_id] = Run(run_id, broker, blotter, control, live, background.spawn(sending))
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
        """The events of the run so far, as a view shows them."""
        self._future = future
        self._view: RunView | None = None
        self._mutex = threading.Lock()
        self._last = f"<Run {run_id}: starting>"

    # -- inspecting ------------------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Whether the run has finished; orders may still be resting at the broker."""
        return self._future.done()

    @property
    def error(self) -> BaseException | None:
        """The error that ended the run early, or None."""
        return self._future.exception() if self._future.done() else None

    def orders(self) -> pd.DataFrame:
        """Current state of the run's orders: :data:`~stocklean_exec.schema.tables.ORDERS` and more."""
        return self.blotter.orders(self.run_id)

    def fills(self) -> pd.DataFrame:
        """The run's fills so far: :data:`~stocklean_exec.schema.tables.FILLS`."""
        return self.blotter.fills(self.run_id)

    def progress(self) -> pd.Series[Any]:
        """Progress of the run.

        ``status`` of the run; number of approved ``orders``, of those that have ``ended``, and of those ``filled``
        completely; requested ``quantity`` and ``filled_quantity``, in shares.
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
        """Wait until the run has finished, and return its orders. An interrupt ends the wait, not the run.

        Raises
        ------
        TimeoutError
            It has not finished after ``timeout`` seconds; it continues.
        StockleanError
            What ended the run early.
        """
        try:
            return self._future.result(timeout)
        except WaitTimeoutError:
            if self._future.done():
                raise
            text = f"run {self.run_id} has not finished after {timeout:g} s; it continues, wait again for it"
            raise TimeoutError(text) from None

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        # Shielded: cancelling the await only detaches; the run continues.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    # -- stopping --------------------------------------------------------------------------------------------

    def cancel_all(self, *, by: str | None = None) -> None:
        """Send no further order of this run, and request the cancel of its working orders.

        Returns once every cancel is requested. Unsent orders are ``REJECTED`` with reason ``run_cancelled``, for
        good. Orders of other runs are not affected.
        """
        who = by or getpass.getuser()
        text = f"cancelled by {who}"
        self.control.stop(text)
        event = OrderEvent("run_cancelled", self.run_id, occurred_at=clock.now(), code=who, message=text)
        self.live.add(event)
        recorded = self.blotter.record([event])
        requested: set[str] = set()
        self._cancel_sent(requested)
        self.control.quiet.wait(_QUIET_SECONDS)  # an order may be on its way to the broker at this moment
        self._cancel_sent(requested)
        recorded.result()

    def cancel(self, client_order_id: str) -> None:
        """Request the cancel of one order of this run."""
        if client_order_id not in set(self.orders()["client_order_id"]):
            text = f"{client_order_id!r} is not an order of run {self.run_id}"
            raise InputError("cancel", [Problem("order_unknown", text)])
        self.broker.cancel(client_order_id)

    def halt(self, reason: str) -> None:
        """Stop all sending on this blotter, for this run and all others, until a person clears the halt."""
        self.blotter.halt(reason)

    def _cancel_sent(self, requested: set[str]) -> None:
        """Request the cancel of every order that may still be working, once."""
        orders = self.orders()
        may_work = orders["arrived_at"].notna() & ~orders["status"].isin(ENDED) & (orders["state"] != "INTENT")
        for name in orders.loc[may_work, "client_order_id"].tolist():
            if name not in requested:
                with suppress(InputError):  # recorded as about to be sent, and not sent
                    self.broker.cancel(name)
                    requested.add(name)

    # -- showing ---------------------------------------------------------------------------------------------

    def view(self) -> RunView:
        """Return the live view of the run; it is displayed as the last line of a cell.

        Progress, counts by status, incoming fills, the cumulative fill against arrival, costs so far, important
        messages; buttons to cancel one order, to cancel all, and to halt. A run has one view, however often it is
        requested and displayed. It needs a notebook; :meth:`orders`, :meth:`fills`, :meth:`progress` and
        :meth:`cancel_all` do not.
        """
        from stocklean_exec.widgets.live_view import LiveView  # noqa: PLC0415 - the view is above

        self._catch_up()
        with self._mutex:
            if self._view is None:
                self._view = LiveView(self)
            return self._view

    def head(self) -> dict[str, Any]:
        """Return the header of a view: plain values, with account ids masked.

        ``run``, ``badge``, ``account``; ``state`` is ``working``, ``stopping`` (cancelled, not finished yet),
        ``over`` (finished), ``cancelled`` or ``failed``, with ``note``; ``halted`` and ``fault`` give the reason
        why nothing is sent.
        """
        error, stopped = self.error, self.control.stopped
        if not self.is_done:
            state = "stopping" if stopped else "working"
        else:
            state = "failed" if error is not None else "cancelled" if stopped else "over"
        halted = None
        with suppress(BlotterError):  # closed or not readable: unknown
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
        """Call ``listener`` on any thread once the run has finished; at once if it has."""
        self._future.add_done_callback(lambda _: listener())

    def _catch_up(self) -> None:
        """Add the recorded events, for instance of an earlier handle; known events count once."""
        with suppress(BlotterClosedError):  # then only the events since the start are available
            orders = self.orders()
            self.live.include(orders[orders["approved"].fillna(value=False).astype("bool")])
            for event in self.blotter.recorded_events(self.run_id):
                self.live.add(event)

    def _masked(self, text: str) -> str:
        return mask_accounts_in(text, self.broker.account)

    def _repr_html_(self) -> str:
        self._catch_up()
        return run_card(self.head(), self.live.update())

    def __repr__(self) -> str:
        try:
            at = self.progress()
        except Exception:  # noqa: BLE001 - the blotter may be closed: repeat the last known state
            return self._last
        failed = f", {type(self.error).__name__}" if self.error is not None else ""
        self._last = (
            f"<Run {self.run_id}: {at['status']}{failed}, {at['ended']} of {at['orders']} orders ended, "
            f"{at['filled_quantity']:g} of {at['quantity']:g} shares filled>"
        )
        return self._last
