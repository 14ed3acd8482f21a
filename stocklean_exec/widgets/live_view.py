"""The live view in a notebook: the progress of a run, and buttons to stop it.

Like the review's, the view has no rules and no order data of its own: it sends ``hello`` and receives a snapshot,
and then updates. Changes are batched and sent at most ten times a second from a background thread, however fast
events arrive. An action started by a button also runs on its own thread, so the kernel is never blocked and a
callback may come on any thread; its result is shown in the head of every view.

Messages of a view: ``hello``; ``cancel`` (``client_order_id`` and the displayed ``status``); ``cancel_all``; and
``halt`` (``reason``). The last two need ``confirmed``, set by a second, deliberate click; they are never refused
because of a change in between, as stopping is the safe side. Each has ``view`` and ``number``, which the
answer repeats: ``snapshot``, ``done`` or ``refused``. An ``update`` goes to all views.
"""

from __future__ import annotations

import getpass
import logging
import threading
import time
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import anywidget

from stocklean_exec import clock
from stocklean_exec.background import BackgroundThread
from stocklean_exec.errors import InputError, Problem, StockleanError
from stocklean_exec.execution.run_card import run_card
from stocklean_exec.schema.account_ids import mask_accounts_in
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.widgets.view_messages import ViewMessage, code_of, read_message, reason_of, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.blotter.events import OrderEvent
    from stocklean_exec.execution.run_handle import Run

__all__ = ["LiveView"]

PAUSE = 0.1
"""Minimum seconds between two updates. A choice: ten a second look continuous to a person, and a run with
thousands of events a second still causes few messages."""

_STATIC = resources.files("stocklean_exec") / "static"
_MAX_REASON_LENGTH = 200
"""Characters of a halt reason. A choice: a sentence or two, so that it fits into one line of each status display;
the input field of the view has the same limit."""

_STATIC_NOTE = "Static snapshot; re-run the cell, while the kernel is running, to watch the run."


class LiveView(anywidget.AnyWidget):
    """A view of a :class:`~stocklean_exec.Run`; made by :meth:`~stocklean_exec.Run.view`."""

    _esm = "".join((_STATIC / name).read_text("utf-8") for name in ("common.js", "live.js"))
    _css = "".join((_STATIC / name).read_text("utf-8") for name in ("review.css", "live.css"))

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._lock = threading.RLock()  # messages leave in sequence
        self._sent_version = 0
        self._notice = ""
        self._busy: dict[str, threading.Thread] = {}  # actions in progress, by client order id, "all" or "halt"
        self._displays: list[str] = []
        self._saved_state: object = None  # the state of which the saved output is a snapshot
        self._pacer = _Pacer(self._send_update, PAUSE)
        self.on_msg(self._on_message)
        run.control.listen(self._on_event)
        run.on_done(self._pacer.poke)

    def __repr__(self) -> str:
        return f"<LiveView of {self._run!r}>"

    def wait(self) -> None:
        """Wait until all started actions are done and their results sent; for scripts and tests."""
        for worker in list(self._busy.values()):
            worker.join()
        self._pacer.wait()

    # -- displaying ----------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        note = f"As of {clock.now():%Y-%m-%d %H:%M:%S} UTC. {_STATIC_NOTE}"
        return run_card(self._head(), self._run.live.update(), note)

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[Any, Any], dict[Any, Any]]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            "application/vnd.jupyter.widget-view+json": view,
        }, {}

    def _ipython_display_(self, **_options: object) -> None:
        """Display the view with an id, so that the saved output can be updated when the run ends."""
        from IPython.display import display  # noqa: PLC0415 - only a notebook calls this

        handle = cast("Any", display)(self._repr_mimebundle_()[0], raw=True, display_id=True)
        if handle is not None:
            with self._lock:
                self._displays.append(handle.display_id)
            self._pacer.poke()

    def _update_saved_outputs(self, head: dict[str, Any], version: int) -> None:
        """Write the final state into the notebook's saved outputs; they outlive kernel and widget."""
        with self._lock:
            displays = list(self._displays)
            if not head["is_finished"] or not displays or self._saved_state == (head, version, displays):
                return
            self._saved_state = (head, version, displays)
        from IPython.display import update_display  # noqa: PLC0415 - same as above

        for display_id in displays:
            cast("Any", update_display)(self._repr_mimebundle_()[0], raw=True, display_id=display_id)

    # -- receiving -----------------------------------------------------------------------------------------

    def _on_event(self, _event: OrderEvent) -> None:
        self._pacer.poke()

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        """Handle a message of a view, on any thread; an error is reported to the view and changes nothing."""
        try:
            message = read_message(content, "view")
        except InputError:
            logging.getLogger(__name__).warning("ignored a malformed front-end message: %s", shown(content))
            return
        handlers: dict[str, Callable[[ViewMessage], dict[str, Any]]] = {
            "hello": self._hello,
            "cancel": self._cancel,
            "cancel_all": self._cancel_all,
            "halt": self._halt,
        }
        with self._lock:
            try:
                answer = handlers.get(message.kind, refuse_unknown)(message)
            except (StockleanError, OSError) as error:
                answer = {"kind": "refused", "reason": self._masked(reason_of(error)), "code": code_of(error)}
            except Exception as error:
                logging.getLogger(__name__).exception("the live view could not handle a %s message", message.kind)
                text = self._masked(f"{type(error).__name__}: {error}")
                answer = {"kind": "refused", "reason": text, "code": "failed"}
            self.send({**answer, "view": message.view, "number": message.number})

    def _hello(self, _message: ViewMessage) -> dict[str, Any]:
        return {"kind": "snapshot", **self._update(0)}

    def _cancel(self, message: ViewMessage) -> dict[str, Any]:
        name, displayed = message.body.get("client_order_id"), message.body.get("status")
        rows = {row["client_order_id"]: row for row in self._run.live.update()["rows"]}
        if not isinstance(name, str) or name not in rows:
            raise _refused("order_unknown", f"{shown(name)} is not an order of run {self._run.run_id}")
        row = rows[name]
        if row["is_ended"]:
            change = "" if displayed == row["status"] else f" (displayed as {shown(displayed)})"
            raise _refused("order_ended", f"{name} is already {row['status']}{change}; nothing to cancel")
        return self._start_action(name, f"cancel of {name}", lambda: self._run.cancel(name))

    def _cancel_all(self, message: ViewMessage) -> dict[str, Any]:
        _require_confirmed(message)
        head = self._head()
        if head["is_finished"] and not head["open_orders"]:
            raise _refused("run_over", "the run has finished and has no open orders; nothing to cancel")
        user = getpass.getuser()
        return self._start_action("all", "cancel of all orders", lambda: self._run.cancel_all(by=user))

    def _halt(self, message: ViewMessage) -> dict[str, Any]:
        _require_confirmed(message)
        reason = message.body.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise _refused("no_reason", "a halt needs a reason; it is shown when the halt is cleared")
        if len(reason) > _MAX_REASON_LENGTH:
            text = f"the reason has {len(reason)} characters; the limit is {_MAX_REASON_LENGTH}"
            raise _refused("reason_too_long", text)
        return self._start_action("halt", "halt", lambda: self._run.halt(reason.strip()))

    # -- actions -------------------------------------------------------------------------------------------

    def _start_action(self, key: str, label: str, action: Callable[[], None]) -> dict[str, Any]:
        """Run ``action`` on its own thread: it waits for the broker, which a callback must not do."""
        if key in self._busy:
            return {"kind": "done", "text": f"{label} is already in progress"}
        worker = threading.Thread(
            target=self._run_action, args=(key, label, action), name="stocklean-live-view-action"
        )
        self._busy[key] = worker
        worker.start()
        self._pacer.poke()
        return {"kind": "done", "text": f"{label}: requested"}

    def _run_action(self, key: str, label: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            logging.getLogger(__name__).exception("the live view failed: %s", label)
            result = f"{label} failed: {type(error).__name__}: {reason_of(error)}"
        else:
            result = f"{label}: done"
        with self._lock:
            self._notice = self._masked(f"{clock.now():%H:%M:%S} UTC {result}")
            self._busy.pop(key, None)
        self._pacer.poke()

    # -- sending to views ----------------------------------------------------------------------------------

    def _send_update(self) -> None:
        """Send all views the changes since the last update; on the pacer's thread."""
        with self._lock:
            update = self._update(self._sent_version)
            self._sent_version = update["version"]
            self.send({"kind": "update", **update})
        self._update_saved_outputs(update["head"], update["version"])

    def _update(self, since: int) -> dict[str, Any]:
        update = self._run.live.update(since)
        return {"from": since, **update, "head": self._head(update)}

    def _head(self, update: dict[str, Any] | None = None) -> dict[str, Any]:
        """State of the run, and what the buttons may do."""
        figures = self._run.live.update() if update is None else update
        head = self._run.head()
        return {
            **head,
            "open_orders": figures["orders"] - figures["ended"],
            "is_finished": head["state"] not in ("working", "stopping"),
            "busy": sorted(self._busy),
            "notice": self._notice,
        }

    def _masked(self, text: str) -> str:
        return mask_accounts_in(text, self._run.broker.account)


def _refused(code: str, text: str) -> InputError:
    return InputError("view", [Problem(code, text)])


def _require_confirmed(message: ViewMessage) -> None:
    if message.body.get("confirmed") is not True:
        raise _refused("not_confirmed", "this needs a second, deliberate click")


class _Pacer:
    """Runs ``work`` soon after each :meth:`poke`, at most once per ``pause`` seconds, on a background thread.

    The thread starts with a poke and ends when there is nothing to do.
    """

    def __init__(self, work: Callable[[], None], pause: float) -> None:
        self._work, self._pause = work, pause
        self._mutex = threading.Lock()
        self._is_due = False
        self._thread: BackgroundThread | None = None

    def poke(self) -> None:
        """Request another run of the work; return at once."""
        with self._mutex:
            self._is_due = True
            if self._thread is None or self._thread.is_of_parent:
                # Within the mutex: the thread waits for it before its first check.
                with suppress(RuntimeError):  # the interpreter is shutting down
                    self._thread = BackgroundThread(self._run, "stocklean-live-view")

    def wait(self) -> None:
        """Wait until there is nothing to do."""
        while (thread := self._thread) is not None and not thread.is_of_parent:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._mutex:
                if not self._is_due:
                    self._thread = None
                    return
                self._is_due = False
            started, busy = time.monotonic(), time.thread_time()
            try:
                self._work()
            except Exception:
                logging.getLogger(__name__).exception("the live view could not send an update")
            # The run has priority: updates take at most half of the processor's time.
            time.sleep(max(self._pause - (time.monotonic() - started), time.thread_time() - busy))
