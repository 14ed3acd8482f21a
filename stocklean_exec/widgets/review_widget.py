"""The review in a notebook: the view forwards a person's actions and displays the state of the review.

The widget's synchronised state has no order data, so none is saved with a notebook, and a view that is restored
after a page reload cannot show stale data: it sends ``hello`` and receives a full snapshot. Each message carries
the revision that the view displayed; if the row or plan has changed since, the message is refused. All rules are
in :mod:`~stocklean_exec.review`.

Messages of a view: ``hello``; ``approve``, ``reject`` and ``clear`` (``rows``: client order ids, each with the
displayed revision); ``approve_passing`` and ``clear_all`` (``revision``); ``edit`` (one row in ``rows``, and
``changes`` as typed); ``request_confirmation`` (``revision``); ``submit`` (``token``, ``typed``, ``revision``,
``digest``). Each has ``view`` and ``number``, which the answer repeats: ``snapshot``, ``done``, ``refused`` or
``confirmation``. Every change is followed by a ``patch`` to all views.
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
    read_message,
    reason_of,
    refuse_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.review.model import OrderReview

__all__ = ["ReviewWidget"]

_STATIC = resources.files("stocklean_exec") / "static"
_STALE_PLAN = "The plan changed after it was displayed; review the refreshed values"


class ReviewWidget(anywidget.AnyWidget):
    """A view of an :class:`~stocklean_exec.OrderReview`; made by displaying it."""

    _esm = "".join((_STATIC / name).read_text("utf-8") for name in ("common.js", "review.js"))
    _css = (_STATIC / "review.css").read_text("utf-8")

    def __init__(self, review: OrderReview) -> None:
        super().__init__()
        self._review = review
        self._columns = review_payload.column_specs(review)
        self._workers: list[threading.Thread] = []
        review.listen(self._send_patch)
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return f"<ReviewWidget of {self._review!r}>"

    def wait(self) -> None:
        """Wait until submissions started by a click have finished; for scripts and tests."""
        for worker in list(self._workers):
            worker.join()

    # -- receiving -----------------------------------------------------------------------------------------

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        """Handle a message of a view, on any thread; an error is reported to the view and changes nothing."""
        try:
            message = read_message(content, "review")
        except InputError:
            logging.getLogger(__name__).warning("ignored a malformed front-end message: %s", shown(content))
            return
        handlers: dict[str, Callable[[ViewMessage], dict[str, Any] | None]] = {
            "hello": self._hello,
            "approve": self._decide,
            "reject": self._decide,
            "clear": self._decide,
            "approve_passing": self._decide_all,
            "clear_all": self._decide_all,
            "edit": self._edit,
            "request_confirmation": self._request_confirmation,
            "submit": self._submit,
        }
        with self._review.lock:
            try:
                answer = handlers.get(message.kind, refuse_unknown)(message)
            except (StockleanError, OSError) as error:
                answer = {"kind": "refused", "reason": reason_of(error), "code": code_of(error)}
            except Exception as error:
                logging.getLogger(__name__).exception("the review could not handle a %s message", message.kind)
                answer = {"kind": "refused", "reason": f"{type(error).__name__}: {error}", "code": "failed"}
            if answer is not None:
                self.send({**answer, "view": message.view, "number": message.number})

    def _hello(self, _message: ViewMessage) -> dict[str, Any]:
        names = [spec["name"] for spec in self._columns]
        ids = self._review.orders["client_order_id"].tolist()
        return {
            "kind": "snapshot",
            "columns": self._columns,
            "ids": ids,
            "cells": review_payload.rows(self._review, names),
            "head": review_payload.head(self._review),
        }

    def _decide(self, message: ViewMessage) -> dict[str, Any]:
        names, note = self._displayed_rows(message), ""
        if message.kind == "approve" and message.body.get("bulk") is True:
            one_sided = self._review.one_sided
            skipped = [name for name in names if name in one_sided]
            names = [name for name in names if name not in one_sided]
            note = f"; {len(skipped)} sells skipped: {_ONE_SIDED}" if skipped else ""
        count = getattr(self._review, message.kind)(*names) if names else 0
        return {"kind": "done", "text": f"{count} {_DONE_TEXT[message.kind]}{note}"}

    def _decide_all(self, message: ViewMessage) -> dict[str, Any]:
        self._require_current(message)
        count = self._review.clear() if message.kind == "clear_all" else self._review.approve_passing()
        return {"kind": "done", "text": f"{count} {_DONE_TEXT[message.kind]}"}

    def _edit(self, message: ViewMessage) -> dict[str, Any]:
        names = self._displayed_rows(message)
        changes = read_typed(message.body.get("changes"))
        if len(names) != 1 or not changes:
            raise InputError(
                "edit", [Problem("edit_invalid", "an edit must name one row and at least one change")]
            )
        edited = self._review.edit(*names, **changes).iloc[0]
        text = f"{edited['symbol']}: {', '.join(changes)} changed; checked again: {edited['verdict']}"
        return {"kind": "done", "text": text}

    def _request_confirmation(self, message: ViewMessage) -> dict[str, Any]:
        self._require_current(message)
        confirmation = self._review.confirmation()
        return {
            "kind": "confirmation",
            "phrase": confirmation.phrase,
            "token": confirmation.token,
            "orders": confirmation.orders,
            "plan_fingerprint": confirmation.plan_fingerprint,
        }

    def _submit(self, message: ViewMessage) -> dict[str, Any]:
        self._require_current(message)
        if message.body.get("digest") != review_payload.screen_digest(self._review):
            raise ApprovalError("This view was out of step with the kernel; review the refreshed values")
        token = message.body.get("token")
        sealed = self._review.begin_submit(message.body.get("typed"), token=token if token is not None else "")
        # Sending may last as long as the orders work; a callback must return at once, or it blocks the kernel.
        worker = threading.Thread(target=self._send_sealed, args=(sealed,), name="stocklean-review-submit")
        self._workers.append(worker)
        worker.start()
        return {"kind": "done", "text": "confirmed; sending"}

    def _send_sealed(self, sealed: Any) -> None:  # noqa: ANN401 - a DataFrame
        try:
            self._review.send_sealed(sealed)
        except Exception:  # the review's state carries the error to every view
            logging.getLogger(__name__).exception("the submission of %s failed", self._review.run_id)

    # -- what a view displayed -----------------------------------------------------------------------------

    def _displayed_rows(self, message: ViewMessage) -> list[str]:
        """Client order ids of a message, if the view displayed each row at its current revision."""
        displayed = message.body.get("rows")
        if not isinstance(displayed, list) or not all(
            isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], int)  # noqa: PLR2004 - id and revision
            for row in displayed
        ):
            raise InputError("review", [Problem("message_invalid", "rows are pairs of an id and a revision")])
        revisions = self._review.row_revisions
        stale = [name for name, revision in displayed if revisions[self._review.row_of(name)] != revision]
        if stale:
            raise ApprovalError(_stale_text(stale))
        return [name for name, _ in displayed]

    def _require_current(self, message: ViewMessage) -> None:
        if message.body.get("revision") != self._review.revision:
            raise ApprovalError(_STALE_PLAN)

    # -- sending to views ----------------------------------------------------------------------------------

    def _send_patch(self, places: list[int]) -> None:
        """Send the change to all views; called under the review's lock, so patches leave in sequence."""
        self.send(
            {
                "kind": "patch",
                "from": self._review.revision - 1,
                "places": places,
                "cells": review_payload.rows(self._review, places=places) if places else {},
                "head": review_payload.head(self._review),
            }
        )


def _stale_text(names: list[str]) -> str:
    if len(names) == 1:
        return f"This row changed after it was displayed; review the refreshed values ({names[0]})"
    more = "" if len(names) <= SHOWN else f" and {len(names) - SHOWN} more"
    listed = ", ".join(names[:SHOWN])
    return f"These rows changed after they were displayed; review the refreshed values ({listed}{more})"


_ONE_SIDED = (
    "the buys they were meant to fund are blocked for lack of cash; approve them individually to send them"
)
_DONE_TEXT = {
    "approve": "approved",
    "reject": "rejected",
    "clear": "decisions reset",
    "clear_all": "decisions reset",
    "approve_passing": "approved",
}
