"""The review: a person's decisions on a checked plan, as an object that needs no display.

The model holds the plan and the decisions and enforces the rules: a blocked order cannot be approved by any
way, an edit is validated and checked again before it counts and takes back the row's approval, every decision is
kept with who, when, old and new, and nothing is sent without words typed for exactly this plan. The widget that a
notebook shows is a view of it and has no rules of its own; code can use the model as it is.

Callbacks of widgets come on whatever thread the kernel likes, so that every method takes the review's lock.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec import clock
from stocklean_exec.errors import ApprovalError, BrokerError, HaltedError, InputError, Problem
from stocklean_exec.execution.approval import check_age, limits_of, seal
from stocklean_exec.review.confirmation import Confirmation, check_asked, phrase_for, shown_hash
from stocklean_exec.review.decision_log import Decision, DecisionLog, name_of
from stocklean_exec.review.edits import EDITABLE
from stocklean_exec.review.plan import ReviewedPlan
from stocklean_exec.review.summary_card import outcome_text, review_card
from stocklean_exec.risk.findings import VERDICTS
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.account_ids import is_paper_account, mask_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

    Send = Callable[..., Any]

__all__ = ["Decision", "OrderReview", "review_orders"]

_STANDING = np.array(["open", "approved", "rejected", "blocked"], dtype=object)
_CODES = {"approve": 1, "reject": 2}  # of what was decided, in it
_BADGES = {"mock": "MOCK", "paper": "PAPER", "live": "LIVE"}


class OrderReview:
    """Decisions on a checked plan; made by :func:`review_orders`.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> orders = sx.plan_orders({"SPY": 0.5, "TLT": 0.5}, None, {"SPY": 400.0}, nav=10_000, run_id="run-1")
    >>> review = sx.review_orders(sx.check_orders(orders, quotes={"SPY": 400.0}, cash=10_000))
    >>> review.approve_all(by="demo")
    1
    >>> review
    <OrderReview run-1: 2 orders, 1 approved, 0 rejected, 0 open, 1 blocked>
    """

    def __init__(
        self,
        checked: pd.DataFrame,
        now: Callable[[], datetime] = clock.now,
        *,
        broker: Broker | None = None,
        blotter: Blotter | None = None,
        send: Send | None = None,
        by: str | None = None,
        show_account: bool = False,
    ) -> None:
        columns = getattr(checked, "columns", ())
        if "verdict" not in columns or "client_order_id" not in columns:
            text = "only a checked plan can be reviewed; call sx.check_orders first"
            raise InputError("orders", [Problem("not_checked", text)])
        self.limits = limits_of(checked) if len(checked) else Limits()
        """The limits that the plan was checked against; they are kept as its orders leave."""
        self.lock = threading.RLock()
        self.broker, self.blotter = broker, blotter
        self.state = "open"
        self.note = ""
        self.outcome: Any = None
        self.show_account = show_account
        self.revision = 0
        self._now, self._by, self._send = now, by, send
        self.plan = ReviewedPlan(checked.copy())
        """The plan as it stands after edits."""
        self._row_of = {name: row for row, name in enumerate(checked["client_order_id"].tolist())}
        self._row_revisions = np.zeros(len(checked), dtype="int64")
        self._decided: dict[str, Decision] = {}
        self._log = DecisionLog(self.run_id, blotter)
        self._asked: Confirmation | None = None
        self._listeners: list[Callable[[list[int]], None]] = []
        self._widget: Any = None  # a ReviewWidget, whose module imports this one

    # -- looking -------------------------------------------------------------------------------------------

    @property
    def orders(self) -> pd.DataFrame:
        """The plan as it stands after edits, with ``approved``, ``approved_by`` and ``approved_at``."""
        with self.lock:
            return self._with_approvals(self.plan.orders)

    def glance(self, places: list[int] | None = None) -> pd.DataFrame:
        """Return :attr:`orders`, or the rows at ``places``, as fast as it goes.

        The column ``checks`` may be of before the latest edit.
        """
        with self.lock:
            frame = self.plan.frame
            return self._with_approvals(frame if places is None else frame.iloc[places])

    @property
    def decisions(self) -> pd.DataFrame:
        """Everything that was decided, in sequence: at, by, client_order_id, action, column, old, new."""
        with self.lock:
            return self._log.to_frame()

    @property
    def blocked(self) -> list[str]:
        """Client order ids that cannot be approved."""
        with self.lock:
            return self._names_at(self.plan.barred)

    @property
    def one_sided(self) -> set[str]:
        """Client order ids of sells that were to pay for buys which are refused for lack of cash."""
        with self.lock:
            return set(self._names_at(self.plan.one_sided & ~self.plan.barred))

    @property
    def standing(self) -> list[str]:
        """What became of each row so far: ``approved``, ``rejected``, ``blocked`` or ``open``."""
        with self.lock:
            return list(self._standing())

    @property
    def verdicts(self) -> dict[str, int]:
        """How many orders ``pass``, ``warn`` or ``block``."""
        with self.lock:
            found = self.plan.frame["verdict"].tolist()
        return {name: found.count(name) for name in VERDICTS}

    @property
    def account(self) -> str:
        """The account that trades, as it is; empty if it is not known. Displays show it masked."""
        return self.plan.account if self.broker is None else self.broker.account

    @property
    def shown_account(self) -> str:
        """The account as it may be displayed: masked, unless ``show_account`` was said."""
        return self.account if self.show_account and self.account else mask_account(self.account)

    @property
    def badge(self) -> str:
        """``PAPER``, ``LIVE``, ``MOCK``, or ``NO BROKER`` where no broker and no account tells."""
        if self.broker is not None:
            return _BADGES[self.broker.mode]
        return "NO BROKER" if not self.account else "PAPER" if is_paper_account(self.account) else "LIVE"

    @property
    def run_id(self) -> str:
        """The run that the plan is for."""
        return str(self.plan.frame["run_id"].iloc[0]) if len(self) else "no run"

    @property
    def row_revisions(self) -> list[int]:
        """At which :attr:`revision` each row was last changed."""
        with self.lock:
            return self._row_revisions.tolist()

    def row_of(self, client_order_id: str) -> int:
        """Position of an order in the plan."""
        self._require([client_order_id])
        return self._row_of[client_order_id]

    def totals(self) -> pd.DataFrame:
        """Totals now, once the approved orders are filled, and once all that are not blocked are.

        Returns
        -------
        DataFrame with columns ``now``, ``approved`` and ``passing``, index of
        :data:`~stocklean_exec.review.impact.MEASURES`; NaN where it cannot be known.
        """
        with self.lock:
            totals = self.plan.impact.totals_by_standing(self.standing)
            return pd.DataFrame.from_dict(totals, "index", columns=["now", "approved", "passing"])

    def weights(self) -> pd.DataFrame:
        """Weights of each row's symbol: client_order_id, symbol, before, target, after (if all orders fill)."""
        with self.lock:
            before, after = self.plan.impact.weights()
            frame = self.plan.frame[["client_order_id", "symbol"]].reset_index(drop=True)
            return frame.assign(before=before, target=self.plan.frame["target_weight"].array, after=after)

    def largest_positions(self, count: int = 5) -> pd.DataFrame:
        """Return the positions that are largest once all that is not blocked is filled: symbol, before, after."""
        with self.lock:
            rows = self.plan.impact.largest(~self.plan.barred, count)
        return pd.DataFrame(rows, columns=["symbol", "before", "after"])

    def result(self) -> pd.DataFrame:
        """Every planned row with its approval, sealed: what ``submit_orders`` takes."""
        return seal(self.orders)

    def approved_orders(self) -> pd.DataFrame:
        """Only the approved rows; for looking at, as a run's record is the whole plan."""
        result = self.result()
        return result[result["approved"]].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.plan.frame)

    def __repr__(self) -> str:
        standing = self.standing
        counts = ", ".join(
            f"{standing.count(name)} {name}" for name in ("approved", "rejected", "open", "blocked")
        )
        return f"<OrderReview {self.run_id}: {len(self)} orders, {counts}>"

    def _repr_html_(self) -> str:
        return review_card(self)

    def _repr_mimebundle_(self, **_options: object) -> dict[str, object]:
        from stocklean_exec.widgets.review_widget import ReviewWidget  # noqa: PLC0415 - the view is above

        with self.lock:
            if self._widget is None:
                self._widget = ReviewWidget(self)
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self._widget.model_id,
            },
        }

    # -- deciding ------------------------------------------------------------------------------------------

    def approve(self, *client_order_ids: str, by: str | None = None) -> int:
        """Approve the named orders, and say how many.

        Raises
        ------
        ApprovalError
            One of them is blocked, or the review was submitted; then none is approved.
        InputError
            One of them is not in the plan.
        """
        with self.lock:
            self._require(client_order_ids)
            blocked = sorted(set(self.blocked).intersection(client_order_ids))
            if blocked:
                why = self.plan.frame.set_index("client_order_id").loc[blocked, "reasons"].tolist()
                text = "; ".join(f"{name} ({reason})" for name, reason in zip(blocked, why, strict=True))
                raise ApprovalError(f"blocked orders cannot be approved: {text}. Edit them, or leave them out")
            return self._decide("approve", dict.fromkeys(client_order_ids), by)

    def reject(self, *client_order_ids: str, by: str | None = None) -> int:
        """Leave the named orders out, and say how many."""
        with self.lock:
            self._require(client_order_ids)
            blocked = set(self.blocked)
            names = [name for name in dict.fromkeys(client_order_ids) if name not in blocked]
            return self._decide("reject", names, by)

    def approve_all(self, by: str | None = None, *, one_sided: bool = False) -> int:
        """Approve every order that is not blocked, also those with a warning, and say how many.

        Where the check for cash refuses buys, the sells of the plan carry the finding ``one_sided_plan`` and are
        not approved: alone they would leave the book in cash, or short. ``one_sided=True`` approves them as well.
        """
        with self.lock:
            rows = ~self.plan.barred if one_sided else ~self.plan.barred & ~self.plan.one_sided
            return self._decide("approve", self._names_at(rows), by)

    def approve_passing(self, by: str | None = None) -> int:
        """Approve every order that passes all checks, and say how many; one with a warning is left as it is."""
        with self.lock:
            rows = (self.plan.frame["verdict"] == "pass").to_numpy(dtype=bool) & ~self.plan.refused
            return self._decide("approve", self._names_at(rows), by)

    def reject_all(self, by: str | None = None) -> int:
        """Leave every order out, and say how many."""
        return self.reject(*self._row_of, by=by)

    def clear(self, *client_order_ids: str, by: str | None = None) -> int:
        """Take the decisions on the named orders back, or on all if none is named, and say how many."""
        with self.lock:
            self._require(client_order_ids)
            names = dict.fromkeys(client_order_ids or self._row_of)
            return self._decide("clear", [name for name in names if name in self._decided], by)

    def edit(
        self,
        *client_order_ids: str,
        quantity: float | None = None,
        limit_price: float | None = None,
        order_type: str | None = None,
        tif: str | None = None,
        by: str | None = None,
    ) -> pd.DataFrame:
        """Change the named orders, or all that are not rejected if none is named; check all again.

        A change to ``MKT`` takes the limit price away. The edited rows must be approved anew; so must any row
        that the edit of another one has blocked, or has left without the buys that it was to pay for.

        Returns
        -------
        DataFrame: the edited rows with their new verdicts

        Raises
        ------
        InputError
            A value cannot be used, or an order is not in the plan; then nothing is changed.
        ApprovalError
            The review was submitted.
        """
        given: tuple[object, ...] = (quantity, limit_price, order_type, tif)
        changes = {
            name: value.upper() if isinstance(value, str) else value
            for name, value in zip(EDITABLE, given, strict=True)
            if value is not None
        }
        if not changes:
            raise InputError("edit", [Problem("nothing_to_edit", f"give one of {', '.join(EDITABLE)}")])
        with self.lock:
            self._refuse_if_submitted()
            self._require(client_order_ids)
            named = sorted(self._row_of[name] for name in set(client_order_ids))
            places = np.array(named, dtype="int64") if named else np.flatnonzero(~self.plan.refused)
            refused = self._names_at(places[self.plan.refused[places]])
            if refused:
                text = "is rejected in the plan"
                problems = [Problem("order_rejected", f"{name} {text}") for name in sorted(refused)]
                raise InputError("edit", problems)
            self._take_edit(self.plan.edited(places, changes), places, changes, self._who(by))
            part = self.plan.frame.iloc[places].reset_index(drop=True)
            return part.assign(checks=pd.array(self.plan.checks_at(places.tolist()), dtype="str"))

    # -- sending -------------------------------------------------------------------------------------------

    def confirmation(self) -> Confirmation:
        """Return what must be typed to send exactly what the review shows now; an earlier one counts no more.

        Raises
        ------
        ApprovalError
            Nothing is approved, or the review was submitted.
        InputError
            The review has no broker or no blotter.
        HaltedError, BrokerError
            The blotter is halted, or the broker cannot send.
        """
        with self.lock:
            self._refuse_if_submitted()
            self._require_sender()
            self._asked = self._confirmation()
            return self._asked

    def submit(self, confirm: str, *, by: str | None = None) -> Any:  # noqa: ANN401 - what ``send`` returns
        """Send the approved plan, if ``confirm`` is what :meth:`confirmation` asks to be typed for it.

        Blocks as long as ``send`` does, and returns what it returns: with ``submit_orders``, the default, the end
        states. A review is sent once; after a failure it may be confirmed again, and what was sent is not sent
        twice.

        Raises
        ------
        ApprovalError
            Other words than the phrase, nothing approved, approvals too old, or submitted before. Nothing sent.
        InputError
            The review has no broker or no blotter.
        StockleanError
            Whatever ``send`` raises.
        """
        return self.send_sealed(self.begin_submit(confirm, by=by))

    def begin_submit(self, confirm: object, *, token: object = None, by: str | None = None) -> pd.DataFrame:
        """Do the first half of :meth:`submit`: check the words, and return the sealed plan to be sent.

        ``token`` is that of the confirmation that a view asked for. It is used up by this, whatever comes of it;
        one that another has taken the place of leaves the other as it is.
        """
        with self.lock:
            self._refuse_if_submitted()
            self._require_sender()
            due = self._confirmation()
            asked = self._asked
            if token is not None and (asked is None or token != asked.token):
                raise ApprovalError("this confirmation was used, or another one took its place; confirm anew")
            self._asked = None
            if token is not None and asked is not None:
                check_asked(asked, due)
            if not isinstance(confirm, str) or confirm.strip() != due.phrase:
                raise ApprovalError(f"{confirm!r} is not the phrase for this plan; type {due.phrase!r}")
            sealed = self.result()
            check_age(sealed, self._now(), self._max_approval_age())
            self._log.add([Decision(self._now(), self._who(by), None, "submit", new=due.phrase)])
            self._log.settle(wait=True)  # what is not on record must not be sent
            self._move("sending", "")
            return sealed

    def send_sealed(self, sealed: pd.DataFrame) -> Any:  # noqa: ANN401 - what ``send`` returns
        """Do the second half of :meth:`submit`: hand the plan of :meth:`begin_submit` to ``send``; any thread may.

        This is the one place that sends: ``send(sealed, broker, blotter, max_approval_age=...)``. What it
        returns (end states, or a handle on a run that goes on) becomes :attr:`outcome`.
        """
        try:
            outcome = self._sender()(sealed, self.broker, self.blotter, max_approval_age=self._max_approval_age())
        except BaseException as error:
            self._move("failed", f"{type(error).__name__}: {error}")
            raise
        self.outcome = outcome
        self._move("sent", outcome_text(outcome))
        return outcome

    def listen(self, listener: Callable[[list[int]], None]) -> None:
        """Call ``listener`` after each change with the positions of the rows it touched, under the lock."""
        with self.lock:
            self._listeners.append(listener)

    # -- the rules -----------------------------------------------------------------------------------------

    def _names_at(self, rows: NDArray[Any]) -> list[str]:
        return list(self.plan.frame["client_order_id"].array[rows])

    def _with_approvals(self, orders: pd.DataFrame) -> pd.DataFrame:
        """Copy rows of the plan, with ``approved``, ``approved_by`` and ``approved_at``."""
        frame = orders.copy()
        decided = [self._decided.get(name) for name in frame["client_order_id"].tolist()]
        chosen = [one if one is not None and one.action == "approve" else None for one in decided]
        frame["approved"] = pd.array([one is not None for one in chosen], dtype="bool")
        frame["approved_by"] = pd.array([one and one.by for one in chosen], dtype="str")
        when = [one and one.at for one in chosen]
        frame["approved_at"] = pd.Series(when, index=frame.index, dtype="datetime64[us, UTC]")
        return frame

    def _standing(self) -> NDArray[np.object_]:
        codes = np.zeros(len(self), dtype="int64")
        for name, made in self._decided.items():
            codes[self._row_of[name]] = _CODES[made.action]
        codes[self.plan.barred] = len(_CODES) + 1
        return _STANDING[codes]

    def _max_approval_age(self) -> float | None:
        return self.limits.max_approval_age

    def _sender(self) -> Send:
        if self._send is not None:
            return self._send
        from stocklean_exec.execution.submission import submit_orders  # noqa: PLC0415 - deciding needs neither broker nor blotter

        return submit_orders

    def _take_edit(
        self, edited: ReviewedPlan, places: NDArray[np.int64], changes: dict[str, Any], who: str
    ) -> None:
        before, stamp, names = self.plan, self._now(), self._names_at(places)
        olds = {column: before.frame[column].iloc[places].tolist() for column in changes}
        made = [
            Decision(stamp, who, name, "edit", column, olds[column][number], value)
            for number, name in enumerate(names)
            for column, value in changes.items()
        ]
        others = self._decided.keys() - set(names)
        void = edited.barred | (edited.one_sided & ~before.one_sided)
        lost = sorted((name for name in others if void[self._row_of[name]]), key=self._row_of.__getitem__)
        made += [Decision(self._now(), who, name, "withdraw") for name in lost]
        touched = before.differ(edited)
        touched[places] = True
        self._log.add(made)
        for name in (*names, *lost):
            self._decided.pop(name, None)
        self.plan = edited
        self._changed(touched)

    def _decide(self, action: str, names: Iterable[str], by: str | None) -> int:
        self._refuse_if_submitted()
        stamp, who = self._now(), self._who(by)
        made = [Decision(stamp, who, name, action) for name in names]
        self._log.add(made)
        touched = np.zeros(len(self), dtype=bool)
        for decision in made:
            name = str(decision.client_order_id)
            touched[self._row_of[name]] = True
            if action == "clear":
                del self._decided[name]
            else:
                self._decided[name] = decision
        self._changed(touched)
        return len(made)

    def _require(self, client_order_ids: Iterable[str]) -> None:
        lost = [name for name in client_order_ids if name not in self._row_of]
        if lost:
            text = "is not in this plan"
            raise InputError("review", [Problem("order_unknown", f"{name!r} {text}") for name in lost])

    def _refuse_if_submitted(self) -> None:
        if self.state in ("sending", "sent"):
            what = "is being sent" if self.state == "sending" else "was submitted"
            raise ApprovalError(f"this plan {what}: decisions on it are closed; make a new plan for what is left")

    def _require_sender(self) -> None:
        missing = [name for name in ("broker", "blotter") if getattr(self, name) is None]
        if missing:
            text = f"give {' and '.join(missing)}: sx.review_orders(checked, broker=broker, blotter=blotter)"
            raise InputError("review", [Problem("nowhere_to_send", text)])
        if (halt := self.blotter.halted) is not None:  # type: ignore[union-attr]  # missing says so
            raise HaltedError(f"halted: {halt}; clear it with a reason first")
        if fault := self.broker.fault:  # type: ignore[union-attr]  # likewise
            raise BrokerError(f"the broker cannot send: {fault}")

    def _confirmation(self) -> Confirmation:
        orders = self.orders
        count = int(orders["approved"].sum())
        if not count:
            raise ApprovalError("no order is approved, so there is nothing to submit")
        fingerprint = shown_hash(orders, self.account, self.badge)
        phrase = phrase_for(count, self.badge, self.account, fingerprint)
        return Confirmation(phrase, count, self.badge, fingerprint, secrets.token_hex(8), self._now())

    def _who(self, by: object) -> str:
        return name_of(self._by if by is None else by)

    # -- telling -------------------------------------------------------------------------------------------

    def _changed(self, touched: NDArray[np.bool_]) -> None:
        self._asked = None
        self.revision += 1
        self._row_revisions[touched] = self.revision
        rows = np.flatnonzero(touched).tolist()
        for listener in self._listeners:
            listener(rows)

    def _move(self, state: str, note: str) -> None:
        with self.lock:
            self.state, self.note = state, note
            self._changed(np.zeros(len(self), dtype=bool))


def review_orders(
    checked: pd.DataFrame,
    broker: Broker | None = None,
    blotter: Blotter | None = None,
    *,
    send: Send | None = None,
    by: str | None = None,
    show_account: bool = False,
) -> OrderReview:
    """Start the review of a checked plan. As the last line of a notebook's cell it shows itself.

    Parameters
    ----------
    checked : as :func:`~stocklean_exec.check_orders` returned it
    broker : where :meth:`OrderReview.submit` sends; its account and kind are shown
    blotter : where decisions are recorded as they are made, and the run once it is submitted
    send : called by the submission as ``send(sealed, broker, blotter, max_approval_age=...)``; by default
        :func:`~stocklean_exec.submit_orders`
    by : who decides where a call does not say; by default the present user
    show_account : show the account's whole number and not only its ends

    Raises
    ------
    InputError
        The frame was not checked, or has lost its limits since.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> orders = sx.plan_orders({"SPY": 0.5}, None, broker.quotes(), nav=broker.nav(), run_id="run-1")
    >>> checked = sx.check_orders(orders, quotes=broker.quotes(), cash=broker.cash())
    >>> with sx.open_blotter() as blotter:
    ...     review = sx.review_orders(checked, broker, blotter, by="me")
    ...     review.approve_all()
    ...     states = review.submit(confirm=review.confirmation().phrase)
    1
    >>> states["status"].tolist()
    ['FILLED']
    """
    return OrderReview(checked, broker=broker, blotter=blotter, send=send, by=by, show_account=show_account)
