"""The live view in a notebook: what a run does as it does it, and buttons that stop it.

Like the review's, the view has no rules and no order data of its own: it says ``hello`` and is told everything,
and from then on what changed. News are gathered and told at most ten times a second, from a thread of their own,
however fast events come. What a button starts is done on a thread of its own too, so that the kernel is never held
up and a callback may come on any thread; what came of it stands in the head of every view.

Messages of a view: ``hello``; ``cancel`` (``client_order_id`` and the ``status`` that was seen); ``cancel_all``;
and ``halt`` (``reason``). The last two take ``confirmed``: they need a second, deliberate gesture, and are never
refused because something has changed meanwhile, for stopping is the safe direction. Each has
``view`` and ``number``, and the answer carries both: ``snapshot``, ``done`` or ``refused``. An ``update`` goes to
all views.
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
from stocklean_exec.widgets.view_messages import ViewMessage, code_of, read_gesture, reason_of, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.blotter.events import OrderEvent
    from stocklean_exec.execution.run_handle import Run

__all__ = ["LiveView"]

PAUSE = 0.1
"""Seconds between two updates, at least."""

_STATIC = resources.files("stocklean_exec") / "static"
_LONGEST_REASON = 200
_STILL = "A still picture of a run; run the cell again while its kernel lives to watch it."


class LiveView(anywidget.AnyWidget):
    """A view of a :class:`~stocklean_exec.Run`; made by :meth:`~stocklean_exec.Run.view`."""

    _esm = "".join((_STATIC / name).read_text("utf-8") for name in ("common.js", "live.js"))
    _css = "".join((_STATIC / name).read_text("utf-8") for name in ("review.css", "live.css"))

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._lock = threading.RLock()  # of what is told: messages leave in sequence
        self._told = 0
        self._notice = ""
        self._busy: dict[str, threading.Thread] = {}  # what is being done, by what it is done to
        self._displays: list[str] = []
        self._pictured: object = None  # of what the stored picture is
        self._pacer = _Pacer(self._tell_news, PAUSE)
        self.on_msg(self._hear)
        run.control.listen(self._on_fact)
        run.on_done(self._pacer.poke)

    def __repr__(self) -> str:
        return f"<LiveView of {self._run!r}>"

    def wait(self) -> None:
        """Wait until all that buttons started is done, and told; for scripts and tests."""
        for worker in list(self._busy.values()):
            worker.join()
        self._pacer.wait()

    # -- displaying ----------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        note = f"As of {clock.now():%Y-%m-%d %H:%M:%S} UTC. {_STILL}"
        return run_card(self._head(), self._run.live.update(), note)

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[Any, Any], dict[Any, Any]]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            "application/vnd.jupyter.widget-view+json": view,
        }, {}

    def _ipython_display_(self, **_options: object) -> None:
        """Show it so that the picture which is stored with the notebook can be brought up to date at the end."""
        from IPython.display import display  # noqa: PLC0415 - only a notebook calls this

        shown_as = cast("Any", display)(self._repr_mimebundle_()[0], raw=True, display_id=True)
        if shown_as is not None:
            with self._lock:
                self._displays.append(shown_as.display_id)
            self._pacer.poke()

    def _close_pictures(self, head: dict[str, Any], version: int) -> None:
        """Put the end state into the notebook's own outputs; they outlive kernel and widget."""
        with self._lock:
            displays = list(self._displays)
            if not head["is_over"] or not displays or self._pictured == (head, version, displays):
                return
            self._pictured = (head, version, displays)
        from IPython.display import update_display  # noqa: PLC0415 - as above

        for display_id in displays:
            cast("Any", update_display)(self._repr_mimebundle_()[0], raw=True, display_id=display_id)

    # -- hearing -------------------------------------------------------------------------------------------

    def _on_fact(self, _fact: OrderEvent) -> None:
        self._pacer.poke()

    def _hear(self, _widget: object, content: object, _buffers: object) -> None:
        """Do what a view asks, on any thread; whatever goes wrong is told to the view and changes nothing."""
        try:
            gesture = read_gesture(content, "view")
        except InputError:
            logging.getLogger(__name__).warning("a message that no view sends was left: %s", shown(content))
            return
        deeds: dict[str, Callable[[ViewMessage], dict[str, Any]]] = {
            "hello": self._hello,
            "cancel": self._cancel,
            "cancel_all": self._cancel_all,
            "halt": self._halt,
        }
        with self._lock:
            try:
                answer = deeds.get(gesture.kind, refuse_unknown)(gesture)
            except (StockleanError, OSError) as error:
                answer = {"kind": "refused", "reason": self._masked(reason_of(error)), "code": code_of(error)}
            except Exception as error:
                logging.getLogger(__name__).exception("the live view could not do what was asked")
                text = self._masked(f"{type(error).__name__}: {error}")
                answer = {"kind": "refused", "reason": text, "code": "failed"}
            self.send({**answer, "view": gesture.view, "number": gesture.number})

    def _hello(self, _gesture: ViewMessage) -> dict[str, Any]:
        return {"kind": "snapshot", **self._update(0)}

    def _cancel(self, gesture: ViewMessage) -> dict[str, Any]:
        name, seen = gesture.body.get("client_order_id"), gesture.body.get("status")
        rows = {row["client_order_id"]: row for row in self._run.live.update()["rows"]}
        if not isinstance(name, str) or name not in rows:
            raise _refused("order_unknown", f"{shown(name)} is no order of run {self._run.run_id}")
        row = rows[name]
        if row["is_ended"]:
            since = "" if seen == row["status"] else f" since this view showed it as {shown(seen)}"
            raise _refused("order_ended", f"{name} has ended{since}: {row['status']}; nothing is left to cancel")
        return self._begin(name, f"cancel of {name}", lambda: self._run.cancel(name))

    def _cancel_all(self, gesture: ViewMessage) -> dict[str, Any]:
        _require_confirmed(gesture)
        head = self._head()
        if head["is_over"] and not head["alive"]:
            raise _refused("run_over", "the run is over and no order of it is alive: nothing is left to cancel")
        who = getpass.getuser()
        return self._begin("all", "cancel of all orders", lambda: self._run.cancel_all(by=who))

    def _halt(self, gesture: ViewMessage) -> dict[str, Any]:
        _require_confirmed(gesture)
        reason = gesture.body.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise _refused("no_reason", "a halt needs a reason, for whoever is to clear it")
        if len(reason) > _LONGEST_REASON:
            raise _refused("reason_too_long", f"the reason has {len(reason)} letters; {_LONGEST_REASON} will do")
        return self._begin("halt", "halt", lambda: self._run.halt(reason.strip()))

    # -- doing ---------------------------------------------------------------------------------------------

    def _begin(self, key: str, what: str, deed: Callable[[], None]) -> dict[str, Any]:
        """Do ``deed`` on a thread of its own: it talks with the broker, and a callback must not wait for that."""
        if key in self._busy:
            return {"kind": "done", "text": f"{what} is under way already"}
        worker = threading.Thread(target=self._do, args=(key, what, deed), name="stocklean-live-view-deed")
        self._busy[key] = worker
        worker.start()
        self._pacer.poke()
        return {"kind": "done", "text": f"{what}: asked"}

    def _do(self, key: str, what: str, deed: Callable[[], None]) -> None:
        try:
            deed()
        except Exception as error:
            logging.getLogger(__name__).exception("the live view failed: %s", what)
            told = f"{what} failed: {type(error).__name__}: {reason_of(error)}"
        else:
            told = f"{what}: done"
        with self._lock:
            self._notice = self._masked(f"{clock.now():%H:%M:%S} UTC {told}")
            self._busy.pop(key, None)
        self._pacer.poke()

    # -- telling -------------------------------------------------------------------------------------------

    def _tell_news(self) -> None:
        """Tell all views what changed since they were told last; on the pacer's thread."""
        with self._lock:
            news = self._update(self._told)
            self._told = news["version"]
            self.send({"kind": "update", **news})
        self._close_pictures(news["head"], news["version"])

    def _update(self, since: int) -> dict[str, Any]:
        news = self._run.live.update(since)
        return {"from": since, **news, "head": self._head(news)}

    def _head(self, news: dict[str, Any] | None = None) -> dict[str, Any]:
        """What stands above all else, and what the buttons may do."""
        at = self._run.live.update() if news is None else news
        alive = at["orders"] - at["ended"]
        head = self._run.head()
        return {
            **head,
            "alive": alive,
            "is_over": head["state"] not in ("working", "stopping"),
            "busy": sorted(self._busy),
            "notice": self._notice,
        }

    def _masked(self, text: str) -> str:
        return mask_accounts_in(text, self._run.broker.account)


def _refused(code: str, text: str) -> InputError:
    return InputError("view", [Problem(code, text)])


def _require_confirmed(gesture: ViewMessage) -> None:
    if gesture.body.get("confirmed") is not True:
        raise _refused("not_confirmed", "this needs a second, deliberate click")


class _Pacer:
    """Does ``work`` soon after each :meth:`poke`, but not twice within ``pause`` seconds, on a thread of its own.

    The thread comes with the first poke and goes when there is nothing to do.
    """

    def __init__(self, work: Callable[[], None], pause: float) -> None:
        self._work, self._pause = work, pause
        self._mutex = threading.Lock()
        self._is_due = False
        self._thread: BackgroundThread | None = None

    def poke(self) -> None:
        """Let the work be done once more; returns at once."""
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
            begun, busy = time.monotonic(), time.thread_time()
            try:
                self._work()
            except Exception:
                logging.getLogger(__name__).exception("the live view could not tell what changed")
            # The run goes first: of the processor's time, at most half is taken by telling.
            time.sleep(max(self._pause - (time.monotonic() - begun), time.thread_time() - busy))
