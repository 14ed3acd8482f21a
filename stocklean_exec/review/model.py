"""The review: a person's decisions on a checked plan, usable without a display.

The model holds the plan and the decisions and enforces the rules: a blocked order can never be approved; an edit
is validated and checked again before it applies, and voids the approval of its row; every decision is logged with
who, when, old and new value; and nothing is sent without a confirmation typed for exactly this plan. The widget in
a notebook is a view of the model and has no rules of its own; code can use the model directly.

Widget callbacks may come on any thread of the kernel, so every method takes the review's lock.
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
from stocklean_exec.execution.work_plan import check_work, describe_work, seal_work
from stocklean_exec.review.confirmation import Confirmation, check_confirmation, phrase_for, plan_fingerprint
from stocklean_exec.review.decision_log import Decision, DecisionLog, name_of
from stocklean_exec.review.edits import EDITABLE
from stocklean_exec.review.plan import ReviewedPlan
from stocklean_exec.review.summary_card import outcome_text, review_card
from stocklean_exec.risk.findings import VERDICTS
from stocklean_exec.risk.limits import Limits
from stocklean_exec.schema.account_ids import is_paper_account, mask_account
from stocklean_exec.schema.frame_validator import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker
    from stocklean_exec.execution.work_plan import Work

    Send = Callable[..., Any]

__all__ = ["Decision", "OrderReview", "review_orders"]

_DECISION_STATUSES = np.array(["open", "approved", "rejected", "blocked"], dtype=object)
_CODES = {"approve": 1, "reject": 2}  # action -> index into _DECISION_STATUSES
_UPPER = frozenset({"order_type", "tif"})
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
        work: Work | None = None,
    ) -> None:
        columns = getattr(checked, "columns", ())
        if "verdict" not in columns or "client_order_id" not in columns:
            text = "only a checked plan can be reviewed; call sx.check_orders first"
            raise InputError("orders", [Problem("not_checked", text)])
        self.limits = limits_of(checked) if len(checked) else Limits()
        """The limits that the plan was checked against; they are enforced again when its orders are sent."""
        self.work = work
        """How the orders are worked once they are sent; passed to ``send``."""
        if work is not None and len(checked):
            check_work(checked, work, None if broker is None else broker.now(), self.limits)
        self.lock = threading.RLock()
        self.broker, self.blotter = broker, blotter
        self.state = "open"
        self.note = ""
        self.outcome: Any = None
        self.show_account = show_account
        self.revision = 0
        self._now, self._by, self._send = now, by, send
        self.plan = ReviewedPlan(checked.copy())
        """The plan after edits."""
        self._row_of = {name: row for row, name in enumerate(checked["client_order_id"].tolist())}
        self._row_revisions = np.zeros(len(checked), dtype="int64")
        self._decisions: dict[str, Decision] = {}
        self._log = DecisionLog(self.run_id, blotter)
        self._pending: Confirmation | None = None
        self._listeners: list[Callable[[list[int]], None]] = []
        self._widget: Any = None  # a ReviewWidget, whose module imports this one

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def orders(self) -> pd.DataFrame:
        """The plan after edits, with ``approved``, ``approved_by`` and ``approved_at``."""
        with self.lock:
            return self._with_approvals(self.plan.orders)

    def visible_rows(self, places: list[int] | None = None) -> pd.DataFrame:
        """Return :attr:`orders`, or the rows at ``places``, without refreshing the column ``checks`` (fast).

        That column may predate the latest edit.
        """
        with self.lock:
            frame = self.plan.frame
            return self._with_approvals(frame if places is None else frame.iloc[places])

    @property
    def decisions(self) -> pd.DataFrame:
        """All decisions in sequence: at, by, client_order_id, action, column, old, new."""
        with self.lock:
            return self._log.to_frame()

    @property
    def blocked(self) -> list[str]:
        """Client order ids that cannot be approved."""
        with self.lock:
            return self._names_at(self.plan.blocked)

    @property
    def one_sided(self) -> set[str]:
        """Client order ids of sells meant to fund buys that are blocked for lack of cash."""
        with self.lock:
            return set(self._names_at(self.plan.one_sided & ~self.plan.blocked))

    @property
    def decision_status(self) -> list[str]:
        """Status of each row: ``approved``, ``rejected``, ``blocked`` or ``open``."""
        with self.lock:
            codes = np.zeros(len(self), dtype="int64")
            for name, decision in self._decisions.items():
                codes[self._row_of[name]] = _CODES[decision.action]
            codes[self.plan.blocked] = len(_CODES) + 1
            return list(_DECISION_STATUSES[codes])

    @property
    def work_text(self) -> str:
        """How the orders that may be sent are worked; empty without a policy."""
        if self.work is None:
            return ""
        names = [str(name) for name in self.plan.frame["client_order_id"]]
        eligible = (status in ("open", "approved") for status in self.decision_status)
        return describe_work(self.work, dict(zip(names, eligible, strict=True)))

    @property
    def verdicts(self) -> dict[str, int]:
        """How many orders ``pass``, ``warn`` or ``block``."""
        with self.lock:
            verdicts = self.plan.frame["verdict"].tolist()
        return {name: verdicts.count(name) for name in VERDICTS}

    @property
    def account(self) -> str:
        """The trading account in full; empty if unknown. Displays show it masked."""
        return self.plan.account if self.broker is None else self.broker.account

    @property
    def shown_account(self) -> str:
        """The account for display: masked unless ``show_account`` is set."""
        return self.account if self.show_account and self.account else mask_account(self.account)

    @property
    def badge(self) -> str:
        """``PAPER``, ``LIVE`` or ``MOCK``; ``NO BROKER`` without a broker or an account."""
        if self.broker is not None:
            return _BADGES[self.broker.mode]
        return "NO BROKER" if not self.account else "PAPER" if is_paper_account(self.account) else "LIVE"

    @property
    def run_id(self) -> str:
        """The run of the plan."""
        return str(self.plan.frame["run_id"].iloc[0] if len(self) else self.plan.frame.attrs.get(RUN_ID, "no run"))

    @property
    def row_revisions(self) -> list[int]:
        """The :attr:`revision` at which each row last changed."""
        with self.lock:
            return self._row_revisions.tolist()

    def row_of(self, client_order_id: str) -> int:
        """Position of an order in the plan."""
        self._require([client_order_id])
        return self._row_of[client_order_id]

    def totals(self) -> pd.DataFrame:
        """Totals now, after the approved orders fill, and after all eligible (not blocked) orders fill.

        Returns
        -------
        DataFrame with columns ``now``, ``approved`` and ``passing``; its index is
        :data:`~stocklean_exec.review.impact.MEASURES`. NaN is unknown.
        """
        with self.lock:
            totals = self.plan.impact.totals_by_decision(self.decision_status)
            return pd.DataFrame.from_dict(totals, "index", columns=["now", "approved", "passing"])

    def margins(self) -> pd.DataFrame:
        """Margin of the account now, and at most while the approved, or all eligible, orders fill, and after that.

        Returns
        -------
        DataFrame with columns ``now``, ``approved`` and ``passing``; its index is
        :data:`~stocklean_exec.review.margin_view.MARGIN_MEASURES`. NaN is unknown. What it rests on is said by
        :func:`~stocklean_exec.plan_margin`.
        """
        with self.lock:
            totals = self.plan.margin.totals_by_decision(self.decision_status)
            return pd.DataFrame.from_dict(totals, "index", columns=["now", "approved", "passing"])

    def weights(self) -> pd.DataFrame:
        """Weights of each row's symbol: client_order_id, symbol, before, target, after (if all orders fill)."""
        with self.lock:
            before, after = self.plan.impact.weights()
            frame = self.plan.frame[["client_order_id", "symbol"]].reset_index(drop=True)
            return frame.assign(before=before, target=self.plan.frame["target_weight"].array, after=after)

    def largest_positions(self, count: int = 5) -> pd.DataFrame:
        """Return the largest positions after all eligible orders fill: symbol, before, after."""
        with self.lock:
            rows = self.plan.impact.largest(~self.plan.blocked, count)
        return pd.DataFrame(rows, columns=["symbol", "before", "after"])

    def result(self) -> pd.DataFrame:
        """Every planned row with its approval and the policy it is worked by, sealed for ``submit_orders``."""
        return seal(seal_work(self.orders, self.work))

    def approved_orders(self) -> pd.DataFrame:
        """Only the approved rows. For display; a run records the whole plan."""
        result = self.result()
        return result[result["approved"]].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.plan.frame)

    def __repr__(self) -> str:
        statuses = self.decision_status
        counts = ", ".join(
            f"{statuses.count(name)} {name}" for name in ("approved", "rejected", "open", "blocked")
        )
        return f"<OrderReview {self.run_id}: {len(self)} orders, {counts}>"

    def _repr_html_(self) -> str:
        return review_card(self)

    def _repr_mimebundle_(self, **_options: object) -> dict[str, object]:
        from stocklean_exec.widgets.review_widget import ReviewWidget  # noqa: PLC0415 - the view imports the model

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
        """Approve the named orders; return how many.

        Raises
        ------
        ApprovalError
            One of them is blocked, or the review was submitted; none is approved.
        InputError
            One of them is not in the plan.
        """
        with self.lock:
            self._require(client_order_ids)
            blocked = sorted(set(self.blocked).intersection(client_order_ids))
            if blocked:
                why = self.plan.frame.set_index("client_order_id").loc[blocked, "reasons"].tolist()
                text = "; ".join(f"{name} ({reason})" for name, reason in zip(blocked, why, strict=True))
                raise ApprovalError(f"blocked orders cannot be approved: {text}. Edit or exclude them")
            return self._decide("approve", dict.fromkeys(client_order_ids), by)

    def reject(self, *client_order_ids: str, by: str | None = None) -> int:
        """Reject the named orders; return how many."""
        with self.lock:
            self._require(client_order_ids)
            blocked = set(self.blocked)
            names = [name for name in dict.fromkeys(client_order_ids) if name not in blocked]
            return self._decide("reject", names, by)

    def approve_all(self, by: str | None = None, *, one_sided: bool = False) -> int:
        """Approve every order that is not blocked, including those with a warning; return how many.

        If the cash check blocks buys, the sells of the plan carry the finding ``one_sided_plan`` and are not
        approved: alone they would leave the account in cash, or short. ``one_sided=True`` approves them too.
        """
        with self.lock:
            rows = ~self.plan.blocked if one_sided else ~self.plan.blocked & ~self.plan.one_sided
            return self._decide("approve", self._names_at(rows), by)

    def approve_passing(self, by: str | None = None) -> int:
        """Approve every order that passes all checks; return how many. Orders with a warning are not changed."""
        with self.lock:
            rows = (self.plan.frame["verdict"] == "pass").to_numpy(dtype=bool) & ~self.plan.rejected
            return self._decide("approve", self._names_at(rows), by)

    def reject_all(self, by: str | None = None) -> int:
        """Reject every order that is not blocked; return how many."""
        return self.reject(*self._row_of, by=by)

    def clear(self, *client_order_ids: str, by: str | None = None) -> int:
        """Reset the decisions on the named orders, or on all if none is named; return how many."""
        with self.lock:
            self._require(client_order_ids)
            names = dict.fromkeys(client_order_ids or self._row_of)
            return self._decide("clear", [name for name in names if name in self._decisions], by)

    def edit(
        self,
        *client_order_ids: str,
        quantity: float | None = None,
        limit_price: float | None = None,
        order_type: str | None = None,
        tif: str | None = None,
        aux_price: float | None = None,
        good_till: object = None,
        good_after: object = None,
        outside_rth: bool | None = None,
        algo: str | None = None,
        algo_params: object = None,
        by: str | None = None,
    ) -> pd.DataFrame:
        """Change the named orders, or all that are not rejected if none is named; check the whole plan again.

        A change of the order type removes the prices that the new one does not have, one of the time in force the
        end of ``GTD``. An empty text removes a time or an algorithm. The edited rows must be approved again, and
        so must any other row that the edit blocks, or that is a sell whose buys the edit blocks.

        Returns
        -------
        DataFrame: the edited rows with their new verdicts

        Raises
        ------
        InputError
            A value is invalid, or an order is not in the plan; nothing is changed.
        ApprovalError
            The review was submitted.
        """
        terms = (aux_price, good_till, good_after, outside_rth, algo, algo_params)
        given: tuple[object, ...] = (quantity, limit_price, order_type, tif, *terms)
        changes = {
            name: value.upper() if isinstance(value, str) and name in _UPPER else value
            for name, value in zip(EDITABLE, given, strict=True)
            if value is not None
        }
        if not changes:
            raise InputError("edit", [Problem("nothing_to_edit", f"give one of {', '.join(EDITABLE)}")])
        with self.lock:
            self._refuse_if_submitted()
            self._require(client_order_ids)
            named = sorted(self._row_of[name] for name in set(client_order_ids))
            places = np.array(named, dtype="int64") if named else np.flatnonzero(~self.plan.rejected)
            rejected = self._names_at(places[self.plan.rejected[places]])
            if rejected:
                text = "is rejected in the plan"
                problems = [Problem("order_rejected", f"{name} {text}") for name in sorted(rejected)]
                raise InputError("edit", problems)
            self._apply_edit(self.plan.edited(places, changes), places, changes, self._who(by))
            part = self.plan.frame.iloc[places].reset_index(drop=True)
            return part.assign(checks=pd.array(self.plan.checks_at(places.tolist()), dtype="str"))

    # -- sending -------------------------------------------------------------------------------------------

    def confirmation(self) -> Confirmation:
        """Return what must be typed to send exactly what the review shows now; it replaces any earlier one.

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
            self._pending = self._confirmation()
            return self._pending

    def submit(self, confirm: str, *, by: str | None = None) -> Any:  # noqa: ANN401 - what ``send`` returns
        """Send the approved plan, if ``confirm`` is the phrase of :meth:`confirmation`.

        Blocks until ``send`` returns, and returns its result: with ``submit_orders``, the default, the final
        statuses. A review is sent once; after a failure it may be confirmed again, and no order is sent twice.

        Raises
        ------
        ApprovalError
            Wrong phrase, nothing approved, approvals too old, or already submitted. Nothing is sent.
        InputError
            The review has no broker or no blotter.
        StockleanError
            Any error of ``send``.
        """
        return self.send_sealed(self.begin_submit(confirm, by=by))

    def begin_submit(self, confirm: object, *, token: object = None, by: str | None = None) -> pd.DataFrame:
        """Do the first half of :meth:`submit`: check the phrase, and return the sealed plan to send.

        ``token`` is that of the confirmation that a view requested. A call with the current token uses it up, even
        if the call fails; an outdated token does not affect the current one.
        """
        with self.lock:
            self._refuse_if_submitted()
            self._require_sender()
            current = self._confirmation()
            pending = self._pending
            if token is not None and (pending is None or token != pending.token):
                raise ApprovalError("this confirmation expired or was already used; please confirm again")
            self._pending = None
            if token is not None and pending is not None:
                check_confirmation(pending, current)
            if not isinstance(confirm, str) or confirm.strip() != current.phrase:
                raise ApprovalError(f"{confirm!r} is not the phrase for this plan; type {current.phrase!r}")
            sealed = self.result()
            check_age(sealed, self._now(), self._max_approval_age())
            self._log.add([Decision(self._now(), self._who(by), None, "submit", new=current.phrase)])
            self._log.flush(wait=True)  # never send what is not recorded
            self._set_state("sending", "")
            return sealed

    def send_sealed(self, sealed: pd.DataFrame) -> Any:  # noqa: ANN401 - what ``send`` returns
        """Do the second half of :meth:`submit`: call ``send`` with the sealed plan. Any thread may call this.

        This is the only place that sends: ``send(sealed, broker, blotter, max_approval_age=...)``, with ``work=``
        if the review has one. Its result (final statuses, or the handle of a running run) becomes :attr:`outcome`.
        """
        try:
            more = {} if self.work is None else {"work": self.work}
            age = self._max_approval_age()
            outcome = self._sender()(sealed, self.broker, self.blotter, max_approval_age=age, **more)
        except BaseException as error:
            self._set_state("failed", f"{type(error).__name__}: {error}")
            raise
        self.outcome = outcome
        self._set_state("sent", outcome_text(outcome))
        return outcome

    def listen(self, listener: Callable[[list[int]], None]) -> None:
        """Call ``listener`` after each change, under the lock, with the positions of the changed rows."""
        with self.lock:
            self._listeners.append(listener)

    # -- the rules -----------------------------------------------------------------------------------------

    def _names_at(self, rows: NDArray[Any]) -> list[str]:
        return list(self.plan.frame["client_order_id"].array[rows])

    def _with_approvals(self, orders: pd.DataFrame) -> pd.DataFrame:
        """Copy rows of the plan, with ``approved``, ``approved_by`` and ``approved_at``."""
        frame = orders.copy()
        decisions = [self._decisions.get(name) for name in frame["client_order_id"].tolist()]
        approvals = [each if each is not None and each.action == "approve" else None for each in decisions]
        frame["approved"] = pd.array([each is not None for each in approvals], dtype="bool")
        frame["approved_by"] = pd.array([each and each.by for each in approvals], dtype="str")
        times = [each and each.at for each in approvals]
        frame["approved_at"] = pd.Series(times, index=frame.index, dtype="datetime64[us, UTC]")
        return frame

    def _max_approval_age(self) -> float | None:
        return self.limits.max_approval_age

    def _sender(self) -> Send:
        if self._send is not None:
            return self._send
        from stocklean_exec.execution.submission import submit_orders  # noqa: PLC0415 - decisions need neither broker nor blotter

        return submit_orders

    def _apply_edit(
        self, edited: ReviewedPlan, places: NDArray[np.int64], changes: dict[str, Any], who: str
    ) -> None:
        before, now, names = self.plan, self._now(), self._names_at(places)
        old_values = {column: before.frame[column].iloc[places].tolist() for column in changes}
        decisions = [
            Decision(now, who, name, "edit", column, old_values[column][number], value)
            for number, name in enumerate(names)
            for column, value in changes.items()
        ]
        others = self._decisions.keys() - set(names)
        void = edited.blocked | (edited.one_sided & ~before.one_sided)
        withdrawn = sorted((name for name in others if void[self._row_of[name]]), key=self._row_of.__getitem__)
        decisions += [Decision(self._now(), who, name, "withdraw") for name in withdrawn]
        changed = before.differ(edited)
        changed[places] = True
        self._log.add(decisions)
        for name in (*names, *withdrawn):
            self._decisions.pop(name, None)
        self.plan = edited
        self._notify(changed)

    def _decide(self, action: str, names: Iterable[str], by: str | None) -> int:
        self._refuse_if_submitted()
        now, who = self._now(), self._who(by)
        decisions = [Decision(now, who, name, action) for name in names]
        self._log.add(decisions)
        changed = np.zeros(len(self), dtype=bool)
        for decision in decisions:
            name = str(decision.client_order_id)
            changed[self._row_of[name]] = True
            if action == "clear":
                del self._decisions[name]
            else:
                self._decisions[name] = decision
        self._notify(changed)
        return len(decisions)

    def _require(self, client_order_ids: Iterable[str]) -> None:
        unknown = [name for name in client_order_ids if name not in self._row_of]
        if unknown:
            text = "is not in this plan"
            raise InputError("review", [Problem("order_unknown", f"{name!r} {text}") for name in unknown])

    def _refuse_if_submitted(self) -> None:
        if self.state in ("sending", "sent"):
            state = "is being sent" if self.state == "sending" else "was submitted"
            raise ApprovalError(
                f"this plan {state} and cannot be changed; make a new plan for the remaining quantity"
            )

    def _require_sender(self) -> None:
        missing = [name for name in ("broker", "blotter") if getattr(self, name) is None]
        if missing:
            text = f"give {' and '.join(missing)}: sx.review_orders(checked, broker=broker, blotter=blotter)"
            raise InputError("review", [Problem("nowhere_to_send", text)])
        if (halt := self.blotter.halted) is not None:  # type: ignore[union-attr]  # missing says so
            raise HaltedError(f"halted: {halt}; clear it with a reason first")
        if fault := self.broker.fault:  # type: ignore[union-attr]  # same as above
            raise BrokerError(f"the broker cannot send: {fault}")

    def _confirmation(self) -> Confirmation:
        orders = self.orders
        count = int(orders["approved"].sum())
        if not count:
            raise ApprovalError("no order is approved; nothing to submit")
        fingerprint = plan_fingerprint(orders, self.account, self.badge)
        phrase = phrase_for(count, self.badge, self.account, fingerprint)
        return Confirmation(phrase, count, self.badge, fingerprint, secrets.token_hex(8), self._now())

    def _who(self, by: object) -> str:
        return name_of(self._by if by is None else by)

    # -- notifying -----------------------------------------------------------------------------------------

    def _notify(self, changed: NDArray[np.bool_]) -> None:
        self._pending = None
        self.revision += 1
        self._row_revisions[changed] = self.revision
        rows = np.flatnonzero(changed).tolist()
        for listener in self._listeners:
            listener(rows)

    def _set_state(self, state: str, note: str) -> None:
        with self.lock:
            self.state, self.note = state, note
            self._notify(np.zeros(len(self), dtype=bool))


def review_orders(
    checked: pd.DataFrame,
    broker: Broker | None = None,
    blotter: Blotter | None = None,
    *,
    send: Send | None = None,
    by: str | None = None,
    show_account: bool = False,
    work: Work | None = None,
) -> OrderReview:
    """Start the review of a checked plan. The last expression of a notebook cell is displayed as a widget.

    Parameters
    ----------
    checked : the frame that :func:`~stocklean_exec.check_orders` returned
    broker : where :meth:`OrderReview.submit` sends; its account and mode are displayed
    blotter : where decisions are recorded as they are made, and the run when it is submitted
    send : called on submission as ``send(sealed, broker, blotter, max_approval_age=...)``; the default is
        :func:`~stocklean_exec.submit_orders`
    by : who decides if a call does not name anyone; the default is the current user
    show_account : show the full account number instead of a masked one
    work : how the orders are worked once they are sent: a :class:`~stocklean_exec.WorkPolicy`, or one by client
        order id. The review shows it, with the messages that it causes at most

    Raises
    ------
    InputError
        The frame was not checked, or has lost its limits since the check.

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
    return OrderReview(
        checked, broker=broker, blotter=blotter, send=send, by=by, show_account=show_account, work=work
    )
