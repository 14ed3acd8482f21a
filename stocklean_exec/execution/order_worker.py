"""Works the orders of a run by their terms: changes limits, cancels at deadlines, starts slices when they are due.

Each change is on record before it leaves, and what was decided follows from the record
(:mod:`~stocklean_exec.execution.repricing`), so another process can continue. A change that nothing is known of
does no harm: it is under the id of its order, for the quantity of its order. The runner calls
:meth:`OrderWorker.act` whenever something has happened or is due, on its own event loop, and nothing else sends
meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.blotter.events import NOT_SENT, OrderEvent
from stocklean_exec.errors import (
    BrokerError,
    ConnectionLostError,
    HaltedError,
    InputError,
    OrderNotWorkingError,
)
from stocklean_exec.execution.market_limits import arrival_prices, market_refusals
from stocklean_exec.execution.plan_record import PlanSource, record_plan
from stocklean_exec.execution.repricing import (
    ANSWER_SECONDS,
    AT_DEADLINE,
    REPRICE,
    Messages,
    OrderProgress,
    Step,
    WorkingQuote,
    is_change,
    marketable_limit,
    next_step,
    progress_of,
    repriced_limit,
    working_quotes,
)
from stocklean_exec.execution.residuals import REPLACES, residual_orders
from stocklean_exec.execution.run_control import RunStoppedError
from stocklean_exec.execution.tickets import tickets_of
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.order_ids import payload_hashes, plan_hash
from stocklean_exec.schema.order_terms import TERM_COLUMNS
from stocklean_exec.schema.tables import ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    import pandas as pd

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.blotter.order_state import OrderState
    from stocklean_exec.brokers.base import Broker, Ticket
    from stocklean_exec.execution.buy_funding import BuyFunding
    from stocklean_exec.execution.market_limits import ArrivalPrice
    from stocklean_exec.execution.run_state import RunState
    from stocklean_exec.execution.work_policy import WorkTerms
    from stocklean_exec.risk.limits import Limits

__all__ = ["OrderWorker", "WorkPlan"]

NOT_REPRICED = "not_repriced"
"""Code of the message that says why a limit was not changed."""

_KEPT = ("approved", "approved_by", "approved_at", "fx_rate", "lot_size")
"""Columns of an order that the order for its rest keeps."""
_CANCELLED = "cancelled at its deadline"
_FOR_REST = f"{_CANCELLED}, for a market order of what is left"
_RETRY = timedelta(seconds=2)  # a stated choice: when a change that was not possible is tried again
_MOST_A_SIDE = 15
"""Working orders of one side in one contract: Interactive Brokers names 15 (knowledge base) and 20 (TWS API)."""


class WorkPlan(NamedTuple):
    """What the orders of a run are worked by.

    ``terms`` by client order id; ``limits`` those that the plan was approved with; ``messages`` of the account's
    day before this run.
    """

    terms: dict[str, WorkTerms]
    limits: Limits
    messages: Messages


class _Change(NamedTuple):
    """A new limit of one order."""

    ticket: Ticket
    number: int
    code: str
    why: str
    quote: WorkingQuote


class _Obstacle(NamedTuple):
    """Why a limit is not changed now; without a text because it is right as it is."""

    code: str
    text: str = ""


class OrderWorker:
    """Works the orders of one run; made and used on a running event loop.

    Parameters
    ----------
    record : the orders and their states
    tickets : every approved order by client order id
    plan : terms, limits, and messages so far
    funding : reserves what a higher limit of a buy may cost
    adopt : takes an order for the rest of another one, with its value, into the run
    may_change : counts one change; False where the cap on messages in a minute is reached
    check_stop : raises if nothing must be sent
    session : number of the connection on which orders may be sent
    """

    def __init__(
        self,
        run_id: str,
        broker: Broker,
        blotter: Blotter,
        record: RunState,
        tickets: Mapping[str, Ticket],
        plan: WorkPlan,
        funding: BuyFunding,
        *,
        adopt: Callable[[Ticket, str, float], None],
        may_change: Callable[[], bool],
        check_stop: Callable[[], None],
        session: Callable[[], int],
    ) -> None:
        self._run_id, self._broker, self._blotter, self._record = run_id, broker, blotter, record
        self._tickets, self._plan, self._funding = tickets, plan, funding
        self._adopt, self._may_change = adopt, may_change
        self._check_stop, self._session = check_stop, session
        self._later: list[Ticket] = []
        self._touched: set[str] = set(plan.terms)
        self._due: list[tuple[datetime, str]] = []  # a heap; an entry whose time has changed since is ignored
        self._due_at: dict[str, datetime] = {}
        self._held: dict[str, dict[str, datetime]] = {}  # by order and action, when to try again
        self._unanswered: dict[str, int] = {}  # changes that the broker was queried about, without an answer
        self._cancelled: set[str] = set()  # ended by the cancel at their deadline, and not replaced yet
        self._said: set[tuple[str, str]] = set()

    # -- what is due -----------------------------------------------------------------------------------------

    @property
    def is_in_use(self) -> bool:
        """Whether any order is worked."""
        return bool(self._plan.terms)

    @property
    def has_later(self) -> bool:
        """Whether orders start later."""
        return bool(self._later)

    @property
    def changes_buys(self) -> bool:
        """Whether a buy that was sent may get a higher limit."""
        return any(
            name in self._record.open and self._tickets[name].side == "BUY" and self._was_sent(name)
            for name in self._plan.terms
        )

    @property
    def next_at(self) -> datetime | None:
        """When the next thing is due; None if nothing is."""
        if self._touched or self._cancelled:
            return self._broker.now()
        while self._due and self._due_at.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        moments = [self._start_of(one.client_order_id) for one in self._later]
        moments += [self._due[0][0]] if self._due else []
        return min(moments, default=None)

    @property
    def seconds_to_next(self) -> float:
        """Seconds until the next thing is due; infinite if nothing is."""
        moment = self.next_at
        return math.inf if moment is None else max((moment - self._broker.now()).total_seconds(), 0.0)

    def _start_of(self, name: str) -> datetime:
        """When an order is sent, or tried again."""
        start = self._plan.terms[name].start
        return max(start, self._held.get(name, {}).get("start", start))

    def last_at(self, side: str | None = None) -> datetime | None:
        """When the last thing is due that is known by now, for orders of one side or of both; None for nothing."""
        open_terms = [
            terms
            for name, terms in self._plan.terms.items()
            if name in self._record.open and side in (None, self._tickets[name].side)
        ]
        return max((terms.last_at for terms in open_terms), default=None)

    def note(self, name: str, state: OrderState) -> None:
        """Take note that something has happened to an order."""
        terms = self._plan.terms.get(name)
        if terms is None:
            return
        if not state.has_ended:
            self._touched.add(name)
            return
        self._touched.discard(name)
        self._due_at.pop(name, None)
        if terms.at_deadline == "MKT" and state.state == "CANCELLED" and self._was_announced(name):
            self._cancelled.add(name)

    def hold_back(self, queue: Iterable[Ticket]) -> list[Ticket]:
        """Keep the orders that start later, and return the others."""
        now, self._later = self._broker.now(), []
        due: list[Ticket] = []
        for ticket in queue:
            terms = self._plan.terms.get(ticket.client_order_id)
            is_later = terms is not None and terms.start > now and not self._was_sent(ticket.client_order_id)
            (self._later if is_later else due).append(ticket)
        return due

    def take_later(self) -> list[Ticket]:
        """Give up the orders that start later."""
        later, self._later = self._later, []
        return later

    # -- acting ----------------------------------------------------------------------------------------------

    async def act(self) -> list[Ticket]:
        """Do what is due, and return the orders that are to be sent now.

        Raises
        ------
        ConnectionLostError
            The connection was lost; what was not sent is on record.
        """
        if not self.is_in_use or self.seconds_to_next > 0:
            return []
        steps = self._steps()
        unanswered = [name for name, step in steps.items() if step.action == "query"]
        if unanswered:
            await self._query(unanswered)
        changes = {name: REPRICE for name, step in steps.items() if step.action == "reprice"}
        finished = [name for name, step in steps.items() if step.action == "finish"]
        marketable = [name for name in finished if self._plan.terms[name].at_deadline == "marketable"]
        changes |= dict.fromkeys(marketable, AT_DEADLINE)
        if changes:
            await self._change(changes)
        await self._cancel([name for name in finished if name not in changes])
        self._record.update_states()
        return [*await self._replacements(), *await self._started()]

    def _steps(self) -> dict[str, Step]:
        """What is to be done now, by order."""
        now = self._broker.now()
        names, self._touched = self._touched, set()
        while self._due and self._due[0][0] <= now:
            moment, name = heapq.heappop(self._due)
            if self._due_at.get(name) == moment:
                names.add(name)
        found: dict[str, Step] = {}
        for name in sorted(names):
            self._due_at.pop(name, None)
            step = self._step(name, now)
            if step.action not in ("wait", "done"):
                found[name] = step
                self._touched.add(name)  # until it is done, or held
            elif step.at is not None:
                self._wait(name, step.at)
        return found

    def _wait(self, name: str, moment: datetime) -> None:
        self._due_at[name] = moment
        heapq.heappush(self._due, (moment, name))

    def _hold(self, name: str, action: str, pause: timedelta = _RETRY) -> None:
        """Try an action of an order again after a pause."""
        self._held.setdefault(name, {})[action] = self._broker.now() + pause

    def _step(self, name: str, now: datetime) -> Step:
        if name not in self._record.open or not self._was_sent(name):
            return Step("done")  # note() wakes it
        return next_step(self._plan.terms[name], self._progress(name), now, not_before=self._held.get(name))

    def _progress(self, name: str) -> OrderProgress:
        state = self._record.state(name)
        works = state.state in ("WORKING", "PARTIAL") and not self._record.is_cancel_requested(name)
        trades = works and not state.reason  # with a reason it waits for a later time
        events, limit = self._record.history(name).events, self._tickets[name].limit_price
        progress = progress_of(events, limit, can_change=trades, can_cancel=works)
        if progress.pending and progress.pending == self._unanswered.get(name):
            return replace(progress, pending=0)
        return progress

    def _was_sent(self, name: str) -> bool:
        return self._record.history(name).last_sending is not None

    def _was_announced(self, name: str) -> bool:
        """Whether it is on record that its deadline ends the order."""
        return any(
            event.kind == "message" and event.code == AT_DEADLINE for event in self._record.history(name).events
        )

    async def _query(self, names: list[str]) -> None:
        """Query the broker about changes that it has not answered; what it does not confirm is left as it is."""
        await self._broker.collect_evidence()
        self._record.update_states()
        for name in names:
            self._touched.add(name)
            pending = self._progress(name).pending
            if pending:
                self._unanswered[name] = pending

    # -- changing limits -------------------------------------------------------------------------------------

    async def _change(self, codes: Mapping[str, str]) -> None:
        """Change the limits of some orders, as far as the market and the limits on the run allow it."""
        actions = {name: "finish" if code == AT_DEADLINE else "reprice" for name, code in codes.items()}
        if self._is_stopped():
            for name, action in actions.items():
                self._hold(name, action)
            return
        symbols = list(dict.fromkeys(self._tickets[name].symbol for name in codes))
        quotes = parse_quotes(await self._broker.fetch_quotes(symbols))
        self._record.update_states()  # fills that came meanwhile
        market, now = working_quotes(quotes), self._broker.now()
        prices = arrival_prices(quotes, now)
        group: list[_Change] = []
        for name, code in codes.items():
            if name not in self._record.open or not self._progress(name).can_change:
                continue  # it has ended meanwhile, or its cancel was requested
            planned = self._planned(name, code, market.get(self._tickets[name].symbol), prices, now)
            if isinstance(planned, _Change):
                group.append(planned)
                self._touched.discard(name)
                continue
            self._hold(name, actions[name], self._pause(name, planned))
            if planned.text:
                await self._say(name, planned.code, planned.text)
        if group:
            await self._send(group)

    def _pause(self, name: str, obstacle: _Obstacle) -> timedelta:
        """How long to wait after a limit was not changed: until its next change where it is right as it is."""
        seconds = self._plan.terms[name].reprice_seconds
        if obstacle.text:
            return _RETRY
        return timedelta(seconds=ANSWER_SECONDS if seconds is None else seconds)

    def _is_stopped(self) -> bool:
        """Whether nothing may be sent: a halt, or a cancelled run."""
        try:
            self._check_stop()
        except (HaltedError, RunStoppedError):
            return True
        return False

    def _planned(
        self,
        name: str,
        code: str,
        quote: WorkingQuote | None,
        prices: Mapping[str, ArrivalPrice],
        now: datetime,
    ) -> _Change | _Obstacle:
        """The change of one order, or why there is none."""
        terms, ticket, progress = self._plan.terms[name], self._tickets[name], self._progress(name)
        problem = "there is no quote" if quote is None else quote.problem(now, ages=self._broker.quotes_age)
        if quote is None or problem:
            return _Obstacle("quote", problem)
        if code == AT_DEADLINE:
            limit = marketable_limit(ticket.side, quote, terms.collar_bps)
            if _is_through(ticket.side, progress.limit, quote):
                limit = progress.limit  # it is marketable as it is
        else:
            limit = repriced_limit(ticket.side, terms.reprice_to, quote)
        if not is_change(limit, progress.limit, quote.step):
            return _Obstacle("unchanged")
        changed = replace(ticket, limit_price=limit, quantity=self._record.history(name).sent_quantity)
        refused = market_refusals([changed], prices, self._plan.limits).get(name)
        if refused is not None:
            return _Obstacle(*refused)
        obstacle = self._obstacle(changed, terms)
        if obstacle is not None:
            return obstacle
        number = progress.changes + 1
        what = f"{terms.collar_bps:g} bp beyond the far touch, at its deadline"
        if code == REPRICE:
            most = "" if terms.reprices is None else f" of {terms.reprices}"
            where = "mid" if terms.reprice_to == "mid" else f"{terms.reprice_to} touch"
            what = f"the {where}, change {progress.reprices + 1}{most}"
        why = f"limit {progress.limit:,.10g} to {limit:,.10g}: {what}"
        return _Change(changed, number, code, why, quote)

    def _obstacle(self, changed: Ticket, terms: WorkTerms) -> _Obstacle | None:
        """What keeps a change from being sent that the market allows."""
        before, record = self._plan.messages, self._record
        day = Messages(before.sent + record.messages, before.executions + record.executions)
        if not day.allows(terms.max_efficiency_ratio, len(record.open)):
            text = f"the order efficiency ratio of the day would be over {terms.max_efficiency_ratio:g}"
            return _Obstacle("efficiency_ratio", text)
        if not self._may_change():
            return _Obstacle("rate_cap", "max_orders_per_minute is reached by orders and changes of limits")
        if not self._funding.reserve_change(changed):
            return _Obstacle("not_funded", "the cash for a higher limit is not there")
        return None

    async def _send(self, group: list[_Change]) -> None:
        """Record changes, then send them one by one."""
        await self._record.put([self._modifying(change) for change in group])
        for place, change in enumerate(group):
            try:
                self._check_may_send()
            except BaseException as error:
                await self._not_sent(group[place:], str(error))
                if isinstance(error, (HaltedError, RunStoppedError)):
                    return
                raise
            try:
                await self._broker.modify(change.ticket, change.number)
            except OrderNotWorkingError as error:
                await self._not_sent([change], str(error))
            except BrokerError as error:  # nothing was sent, says Broker.modify
                await self._not_sent(group[place:], str(error))
                raise
            except BaseException as error:
                await self._not_sent(group[place + 1 :], str(error))
                raise

    def _check_may_send(self) -> None:
        self._check_stop()
        if self._broker.session != self._session():
            raise ConnectionLostError("the connection was lost before a limit was changed")

    async def _not_sent(self, group: list[_Change], text: str) -> None:
        stamp = self._broker.now()
        await self._record.put(
            OrderEvent(
                "modify_refused",
                self._run_id,
                change.ticket.client_order_id,
                stamp,
                code=NOT_SENT,
                message=text,
                attempt=change.number,
            )
            for change in group
        )

    def _modifying(self, change: _Change) -> OrderEvent:
        ticket, quote = change.ticket, change.quote
        order_id, client_id = self._broker.order_id_for(ticket.client_order_id)
        return OrderEvent(
            "modifying",
            self._run_id,
            ticket.client_order_id,
            self._broker.now(),
            order_id=order_id,
            client_id=client_id,
            code=change.code,
            message=change.why,
            attempt=change.number,
            quantity=ticket.quantity,
            price=ticket.limit_price,
            bid=quote.bid,
            ask=quote.ask,
            last=quote.last,
            quoted_at=quote.quoted_at,
            data_type=quote.data_type,
        )

    async def _say(self, name: str, kind: str, text: str) -> None:
        """Record why a limit is not changed, once for each kind of reason."""
        if (name, kind) not in self._said:
            self._said.add((name, kind))
            await self._record.put([self._message(name, NOT_REPRICED, text)])

    def _message(self, name: str, code: str, text: str) -> OrderEvent:
        return OrderEvent("message", self._run_id, name, self._broker.now(), code=code, message=text)

    # -- at the deadline -------------------------------------------------------------------------------------

    async def _cancel(self, names: list[str]) -> None:
        """Cancel orders at their deadline; that it is for that reason is on record first."""
        if not names:
            return
        rest = {name for name in names if self._plan.terms[name].at_deadline == "MKT"}
        await self._record.put(
            self._message(name, AT_DEADLINE, _FOR_REST if name in rest else _CANCELLED) for name in names
        )
        for name in names:
            self._hold(name, "finish")
            try:
                await asyncio.to_thread(self._broker.cancel, name)
            except ConnectionLostError:
                raise
            except (InputError, BrokerError) as error:
                await self._say(name, "cancel", f"it could not be cancelled: {error}")

    async def has_rest(self) -> bool:
        """Whether a market order for the confirmed rest of an order is still to be recorded and sent."""
        names = set(self._cancelled)
        if names and (await self._rest(names)).empty:
            self._cancelled -= names
        return bool(self._cancelled)

    async def _rest(self, names: set[str]) -> pd.DataFrame:
        """Orders for what these have left, which were cancelled at their deadline; none where one is on record.

        One that was refused is not made again by itself.
        """
        await self._record.put([])  # all reports are on record now
        orders = await asyncio.to_thread(self._blotter.orders, self._run_id)
        replaced = set(orders[REPLACES].dropna()) if REPLACES in orders.columns else set()
        rest = await asyncio.to_thread(residual_orders, self._run_id, self._blotter)
        if self._is_stopped():
            return rest[:0]
        # A market order needs no price; an order that may still be filled has no rest yet.
        is_known = (rest["status"] == "NEW") | (rest["reason"] == "price_unavailable")
        rest = rest[rest[REPLACES].isin(names - replaced) & is_known]
        return rest.assign(status="NEW", reason=None, detail=None)

    async def _replacements(self) -> list[Ticket]:
        """Record market orders for the confirmed rest of orders that were cancelled at their deadline."""
        names, self._cancelled = self._cancelled, set()
        if not names:
            return []
        rest = await self._rest(names)
        if rest.empty:
            return []
        orders = self._blotter.orders(self._run_id).set_index("client_order_id")
        old = orders.loc[rest[REPLACES]]
        rest = rest.drop(columns=[name for name in TERM_COLUMNS if name in rest.columns])
        rest = rest.assign(order_type="MKT", limit_price=math.nan, tif="DAY", verdict="pass", reasons=None)
        for column in _KEPT:
            if column in old.columns:
                rest[column] = old[column].array
        rest = ORDERS.conform(rest)
        await self._record_rest(rest)
        tickets = tickets_of(rest)
        for ticket, of, value in zip(tickets, rest[REPLACES].tolist(), rest["notional"].tolist(), strict=True):
            self._adopt(ticket, of, value)
        return tickets

    async def _record_rest(self, rest: pd.DataFrame) -> None:
        """Record the orders for a rest as another batch of the run, by the approval of the orders they replace."""
        broker, run_id = self._broker, self._run_id
        nav: float | None = None
        with suppress(BrokerError):  # it is only shown
            nav = await asyncio.to_thread(broker.nav)
        source = PlanSource(broker.mode, broker.account, broker.address, nav, *await broker.session_mark())
        recorded = self._blotter.parameters(run_id)[-1]
        parameters = {name: value for name, value in recorded.items() if name not in ("broker", "work")}
        batch = self._blotter.last_batch(run_id) + 1
        await record_plan(rest, source, self._blotter, run_id, plan_hash(payload_hashes(rest)), parameters, batch)

    # -- slices ----------------------------------------------------------------------------------------------

    async def _started(self) -> list[Ticket]:
        """Orders that start now; those beyond the most of a side wait for others to end."""
        now = self._broker.now()
        due = [one for one in self._later if self._start_of(one.client_order_id) <= now]
        if not due:
            return []
        working = await asyncio.to_thread(self._broker.open_orders)
        counts = Counter(zip(working["symbol"].tolist(), working["side"].tolist(), strict=True))
        started: list[Ticket] = []
        for ticket in due:
            if counts[ticket.symbol, ticket.side] >= _MOST_A_SIDE:
                self._hold(ticket.client_order_id, "start")
                text = f"{_MOST_A_SIDE} orders of this side work in {ticket.symbol}: it waits for one to end"
                await self._say(ticket.client_order_id, "start", text)
                continue
            counts[ticket.symbol, ticket.side] += 1
            started.append(ticket)
        self._later = [one for one in self._later if one not in started]
        return started

    def summary(self) -> str:
        """How often limits were changed, for the message of the run; empty if none was."""
        changes = {
            name: sum(event.kind == "modified" for event in self._record.history(name).events)
            for name in self._plan.terms
        }
        changed = [number for number in changes.values() if number]
        if not changed:
            return ""
        orders = "1 order" if len(changed) == 1 else f"{len(changed)} orders"
        times = "once" if sum(changed) == 1 else f"{sum(changed)} times"
        return f"; the limits of {orders} were changed {times}"


def _is_through(side: str, limit: float, quote: WorkingQuote) -> bool:
    """Whether a limit is marketable."""
    return limit >= quote.ask if side == "BUY" else limit <= quote.bid
