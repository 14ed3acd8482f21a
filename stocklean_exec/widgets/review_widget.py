"""The review in a notebook: a view that forwards what a person does, and shows what the review makes of it.

No order data is in the widget's synchronised state, so none is saved with a notebook and a view that comes back
after a reload cannot show what is no longer true: it says ``hello`` and is told everything anew. Each gesture is a
message that carries what the view had seen; one that was made on something that has changed since is refused. The
rules are all in :mod:`~stocklean_exec.review`.

Messages of a view: ``hello``; ``approve``, ``reject`` and ``clear`` (``rows``: client order ids, each with the
revision that was seen); ``approve_passing`` and ``clear_all`` (``revision``); ``edit`` (one of ``rows``, and
``changes`` as typed); ``ask`` for a confirmation (``revision``); ``submit`` (``token``, ``typed``, ``revision``,
``digest``). Each has ``view`` and ``number``, and the answer carries both: ``snapshot``, ``done``, ``refused`` or
``asked``. A ``patch`` follows every change, for all views.
"""

from __future__ import annotations

import logging
import threading
from importlib import resources
from typing import TYPE_CHECKING, Any

import anywidget

from stocklean_exec.errors import ApprovalError, InputError, Problem, StockleanError
from stocklean_exec.review.edits import read_typed
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.widgets import review_payload
from stocklean_exec.widgets.view_messages import (
    SHOWN,
    ViewMessage,
    code_of,
    read_gesture,
    reason_of,
    refuse_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.review.model import OrderReview

__all__ = ["ReviewWidget"]

_STATIC = resources.files("stocklean_exec") / "static"
_STALE = "changed since this view showed it; it is shown anew: look again"


class ReviewWidget(anywidget.AnyWidget):
    """A view of an :class:`~stocklean_exec.OrderReview`; made by displaying it."""

    _esm = "".join((_STATIC / name).read_text("utf-8") for name in ("common.js", "review.js"))
    _css = (_STATIC / "review.css").read_text("utf-8")

    def __init__(self, review: OrderReview) -> None:
        super().__init__()
        self._review = review
        self._columns = review_payload.column_specs(review)
        self._workers: list[threading.Thread] = []
        review.listen(self._tell_change)
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        return f"<ReviewWidget of {self._review!r}>"

    def wait(self) -> None:
        """Wait until what was submitted by a click has come to its end; for scripts and tests."""
        for worker in list(self._workers):
            worker.join()

    # -- hearing -------------------------------------------------------------------------------------------

    def _hear(self, _widget: object, content: object, _buffers: object) -> None:
        """Do what a view asks, on any thread; whatever goes wrong is told to the view and changes nothing."""
        try:
            gesture = read_gesture(content, "review")
        except InputError:
            logging.getLogger(__name__).warning("a message that no view sends was left: %s", shown(content))
            return
        deeds: dict[str, Callable[[ViewMessage], dict[str, Any] | None]] = {
            "hello": self._hello,
            "approve": self._decide,
            "reject": self._decide,
            "clear": self._decide,
            "approve_passing": self._decide_all,
            "clear_all": self._decide_all,
            "edit": self._edit,
            "ask": self._ask,
            "submit": self._submit,
        }
        with self._review.lock:
            try:
                answer = deeds.get(gesture.kind, refuse_unknown)(gesture)
            except (StockleanError, OSError) as error:
                answer = {"kind": "refused", "reason": reason_of(error), "code": code_of(error)}
            except Exception as error:
                logging.getLogger(__name__).exception("the review could not do what was asked")
                answer = {"kind": "refused", "reason": f"{type(error).__name__}: {error}", "code": "failed"}
            if answer is not None:
                self.send({**answer, "view": gesture.view, "number": gesture.number})

    def _hello(self, _gesture: ViewMessage) -> dict[str, Any]:
        names = [spec["name"] for spec in self._columns]
        ids = self._review.orders["client_order_id"].tolist()
        return {
            "kind": "snapshot",
            "columns": self._columns,
            "ids": ids,
            "cells": review_payload.rows(self._review, names),
            "head": review_payload.head(self._review),
        }

    def _decide(self, gesture: ViewMessage) -> dict[str, Any]:
        names, told = self._seen_rows(gesture), ""
        if gesture.kind == "approve" and gesture.body.get("bulk") is True:
            unpaired = self._review.one_sided
            kept_back = [name for name in names if name in unpaired]
            names = [name for name in names if name not in unpaired]
            told = f"; {len(kept_back)} sells were not: {_ONE_SIDED}" if kept_back else ""
        count = getattr(self._review, gesture.kind)(*names) if names else 0
        return {"kind": "done", "text": f"{count} {_PAST[gesture.kind]}{told}"}

    def _decide_all(self, gesture: ViewMessage) -> dict[str, Any]:
        self._require_current(gesture)
        count = self._review.clear() if gesture.kind == "clear_all" else self._review.approve_passing()
        return {"kind": "done", "text": f"{count} {_PAST[gesture.kind]}"}

    def _edit(self, gesture: ViewMessage) -> dict[str, Any]:
        names = self._seen_rows(gesture)
        changes = read_typed(gesture.body.get("changes"))
        if len(names) != 1 or not changes:
            raise InputError("edit", [Problem("edit_invalid", "an edit is of one row, and of something in it")])
        edited = self._review.edit(*names, **changes).iloc[0]
        told = f"{edited['symbol']}: {', '.join(changes)} changed, checked again: {edited['verdict']}"
        return {"kind": "done", "text": told}

    def _ask(self, gesture: ViewMessage) -> dict[str, Any]:
        self._require_current(gesture)
        asked = self._review.confirmation()
        return {
            "kind": "asked",
            "phrase": asked.phrase,
            "token": asked.token,
            "orders": asked.orders,
            "shown_hash": asked.shown_hash,
        }

    def _submit(self, gesture: ViewMessage) -> dict[str, Any]:
        self._require_current(gesture)
        if gesture.body.get("digest") != review_payload.screen_digest(self._review):
            raise ApprovalError("this view does not show what the kernel holds; it is shown anew: look again")
        token = gesture.body.get("token")
        sealed = self._review.begin_submit(gesture.body.get("typed"), token=token if token is not None else "")
        # Sending may take as long as the orders do; a callback must not, or the kernel would be held up.
        worker = threading.Thread(target=self._send_sealed, args=(sealed,), name="stocklean-review-submit")
        self._workers.append(worker)
        worker.start()
        return {"kind": "done", "text": "confirmed, and being sent"}

    def _send_sealed(self, sealed: Any) -> None:  # noqa: ANN401 - a DataFrame
        try:
            self._review.send_sealed(sealed)
        except Exception:  # the review's state tells it to every view
            logging.getLogger(__name__).exception("the submission of %s failed", self._review.run_id)

    # -- what a view had seen ------------------------------------------------------------------------------

    def _seen_rows(self, gesture: ViewMessage) -> list[str]:
        """Client order ids of a gesture, if the view showed each row as it is now."""
        seen = gesture.body.get("rows")
        if not isinstance(seen, list) or not all(
            isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], int)  # noqa: PLR2004 - id and revision
            for row in seen
        ):
            raise InputError("review", [Problem("gesture_invalid", "rows are pairs of an id and a revision")])
        revisions = self._review.row_revisions
        stale = [name for name, revision in seen if revisions[self._review.row_of(name)] != revision]
        if stale:
            more = "" if len(stale) <= SHOWN else f" and {len(stale) - SHOWN} more"
            raise ApprovalError(f"{', '.join(stale[:SHOWN])}{more} {_STALE}")
        return [name for name, _ in seen]

    def _require_current(self, gesture: ViewMessage) -> None:
        if gesture.body.get("revision") != self._review.revision:
            raise ApprovalError(f"the plan {_STALE}")

    # -- telling -------------------------------------------------------------------------------------------

    def _tell_change(self, places: list[int]) -> None:
        """Tell all views what changed; called under the review's lock, so that patches come in sequence."""
        self.send(
            {
                "kind": "patch",
                "from": self._review.revision - 1,
                "places": places,
                "cells": review_payload.rows(self._review, places=places) if places else {},
                "head": review_payload.head(self._review),
            }
        )


_ONE_SIDED = (
    "the buys that they were to pay for are refused for lack of cash; approve them one by one to send them alone"
)
_PAST = {
    "approve": "approved",
    "reject": "left out",
    "clear": "decisions taken back",
    "clear_all": "decisions taken back",
    "approve_passing": "approved",
}
