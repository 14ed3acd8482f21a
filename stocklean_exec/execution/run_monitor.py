"""The model of a live view: built from order events as they arrive, read as incremental updates. Pure.

Events may arrive at any rate and on any thread. A view calls :meth:`RunMonitor.update` at its own pace and gets
the changes since its last call, or everything. States are derived from the events as everywhere else, only for
orders with new events; the cost does not grow with the number of earlier events. Prices and costs are in the
currency of the instruments; slippage is against the arrival price, positive is a cost.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections import Counter, deque
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from stocklean_exec.blotter.events import OrderEvent, execution_family, key_of
from stocklean_exec.blotter.order_state import ENDED, OrderAccumulator, OrderState
from stocklean_exec.schema.account_ids import mask_accounts_in

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunMonitor"]

_DELAYED = (3, 4)  # TWS market data types: delayed, and delayed and frozen
_MOST_FILLS = 200  # a stated choice: more rows than a person reads; the blotter has them all
_MOST_MESSAGES = 100  # same reason
_MOST_POINTS = 600  # a stated choice: about one point for each pixel of the chart's width
_MOST_PRICE = 1e9  # no share costs a billion; such a number is corrupt data
_SIGN = {"BUY": 1.0, "SELL": -1.0}
_MESSAGE_LABELS = {
    "rejected": "rejected",
    "refused": "refused",
    "unknown": "unknown",
    "missing": "missing",
    "duplicate": "second order",
    "link_lost": "connection lost",
    "link_restored": "connection restored",
    "run_cancelled": "run cancelled",
    "cancel_requested": "cancel asked",
    "modifying": "limit",
    "modify_refused": "change refused",
    "message": "message",
}
_NOISE = frozenset({"399", "2104", "2106", "2107", "2108", "2158", "link_cut"})


class _Order(NamedTuple):
    """The terms of one order, which do not change."""

    name: str
    symbol: str
    side: str
    quantity: float


class RunMonitor:
    """One run as a view shows it.

    Parameters
    ----------
    run_id : of the run
    orders : the run's approved orders: ``client_order_id``, ``symbol``, ``side``, ``quantity``
    events : events that are on record already
    account : masked in every text, like any account id

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"client_order_id": "r-SPY-BUY", "symbol": "SPY", "side": "BUY", "quantity": 10.0}
    >>> model = RunMonitor("r", pd.DataFrame([row]))
    >>> model.add(OrderEvent("sending", "r", "r-SPY-BUY", attempt=1, bid=99.0, ask=101.0))
    >>> model.add(OrderEvent("execution", "r", "r-SPY-BUY", exec_id="a.b.c.1", quantity=4.0, price=100.5))
    >>> now = model.update()
    >>> now["counts"], now["filled_quantity"], round(now["slippage_cost"], 2), round(now["slippage_bps"], 1)
    ({'PARTIAL': 1}, 4.0, 2.0, 50.0)
    """

    def __init__(
        self, run_id: str, orders: pd.DataFrame, events: list[OrderEvent] | None = None, account: str | None = None
    ) -> None:
        self.run_id, self._account = run_id, account
        columns = (orders[name].tolist() for name in ("client_order_id", "symbol", "side", "quantity"))
        self._orders = {row[0]: _Order(*row) for row in zip(*columns, strict=True)}
        self._mutex = threading.Lock()  # of incoming events; never held while states are derived
        self._update_mutex = threading.Lock()  # updates are made one at a time
        self._known = {name: OrderAccumulator() for name in self._orders}
        self._states: dict[str, OrderState] = {}
        self._sums: dict[str, tuple[float, float, float]] = {}
        self._arrival: dict[str, tuple[int, float]] = {}
        self._executed: dict[str, set[str]] = {name: set() for name in self._orders}
        self._pending: dict[str, list[OrderEvent]] = {
            name: [] for name in self._orders
        }  # events not yet in the states
        self._has_news = False  # messages not yet in an update
        self._versions: dict[str, int] = {}
        self._version = 0
        self._fills: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_MOST_FILLS)
        self._messages: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_MOST_MESSAGES)
        self._points: list[tuple[float, float, float]] = []
        self._point_versions: list[int] = []
        self._total = self._totals()
        self._received = 0
        self._keys: set[str] = set()
        self._numbers = count(1)
        self._began: datetime | None = None
        self._latest: datetime | None = None
        for event in events or ():
            self.add(event)

    # -- receiving -------------------------------------------------------------------------------------------

    def add(self, event: OrderEvent) -> None:
        """Receive one event of the run; fast, from any thread. A repeated event counts once."""
        with self._mutex:
            key = key_of(event)
            if key in self._keys:
                return
            self._keys.add(key)
            self._received += 1
            name = event.client_order_id
            if event.kind == "intent" and name is not None and event.symbol is not None:
                self._take_in(_Order(name, event.symbol, event.side or "", event.quantity or 0.0))
            if name is not None and name in self._known:
                self._pending.setdefault(name, []).append(event)
                if event.kind == "sending":
                    self._add_arrival(name, event)
                elif event.kind == "execution":
                    self._add_execution(name, event)
            if event.kind in _MESSAGE_LABELS and event.code not in _NOISE:
                self._messages.append((self._version + 1, self._message(event)))
                self._has_news = True

    def include(self, orders: pd.DataFrame) -> None:
        """Show orders too that the run has added to its plan; those that are shown already stay as they are."""
        columns = (orders[name].tolist() for name in ("client_order_id", "symbol", "side", "quantity"))
        with self._mutex:
            for row in zip(*columns, strict=True):
                self._take_in(_Order(*row))

    def _take_in(self, order: _Order) -> None:
        if order.name in self._orders:
            return
        self._known[order.name], self._executed[order.name] = OrderAccumulator(), set()
        self._pending.setdefault(order.name, [])
        self._orders[order.name] = order

    def _add_arrival(self, name: str, event: OrderEvent) -> None:
        bid, ask, last = event.bid or 0.0, event.ask or 0.0, event.last or 0.0
        price = (bid + ask) / 2 if 0 < bid <= ask else last
        price = 0.0 if event.data_type in _DELAYED else price  # a quote 15 minutes old
        attempt = event.attempt or 0
        if 0 < price < _MOST_PRICE and attempt >= self._arrival.get(name, (-1, 0.0))[0]:
            self._arrival[name] = (attempt, price)
        if event.occurred_at is not None and (self._began is None or event.occurred_at < self._began):
            self._began = event.occurred_at

    def _add_execution(self, name: str, event: OrderEvent) -> None:
        if event.exec_id is None or event.quantity is None or event.price is None:
            return
        if event.occurred_at is not None:
            self._latest = max(self._latest or event.occurred_at, event.occurred_at)
        family, _ = execution_family(event.exec_id)
        corrects = family in self._executed[name]
        self._executed[name].add(family)
        order = self._orders[name]
        row = {
            "number": next(self._numbers),
            "at": _iso(event.occurred_at),
            "client_order_id": name,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": event.quantity,
            "price": event.price,
            "corrects": corrects,
        }
        self._fills.append((self._version + 1, row))

    # -- publishing ------------------------------------------------------------------------------------------

    def update(self, since: int = 0) -> dict[str, Any]:
        """Return what changed after ``since``, the ``version`` of the previous update; 0 returns everything.

        Returns
        -------
        Plain values, ready for JSON: ``version``, ``counts`` of orders by status, ``orders`` and ``ended`` (how
        many), ``quantity`` and ``filled_quantity`` (shares), ``notional`` filled, ``commission`` (None until one
        is reported), ``slippage_cost`` and ``slippage_bps`` (None without a fill), ``rows`` of orders, new
        ``fills`` and ``messages`` (each with a ``number``), ``curve`` (seconds since the first order was sent,
        fraction of all shares, slippage in bps) from its point number ``curve_from`` on, ``events`` (number
        received so far).
        """
        with self._update_mutex:
            received = self._update_states()
            total = self._total
            with self._mutex:
                version = self._version
                start = bisect_right(self._point_versions, since)
                return {
                    "run_id": self.run_id,
                    "version": version,
                    **total,
                    "rows": [self._row(name) for name in self._orders if self._versions[name] > since],
                    "fills": [row for version_of, row in self._fills if since < version_of <= version],
                    "messages": [row for version_of, row in self._messages if since < version_of <= version],
                    "curve": self._points[start:],
                    "curve_from": start,
                    "events": received,
                }

    def _update_states(self) -> int:
        """Derive the states of orders with new events; return the number of events. Does not block :meth:`add`."""
        with self._mutex:
            if not self._pending and not self._has_news:
                return self._received
            self._version += 1
            unread, self._pending, self._has_news = self._pending, {}, False
            arrivals = {name: self._arrival[name][1] for name in unread if name in self._arrival}
            received, version = self._received, self._version
        for name, events in unread.items():
            known, order = self._known[name], self._orders[name]
            for event in events:
                known.add(event)
            self._states[name] = known.state(order.quantity)
            self._sums[name] = _sums(order.side, known, arrivals.get(name))
            self._versions[name] = version
        self._total = self._totals()
        self._add_point()
        return received

    def _add_point(self) -> None:
        """Add a point to the curve; when there are too many, drop every other one."""
        total = self._total
        if self._began is None or not total["quantity"] or total["slippage_bps"] is None:
            return
        seconds = max((self._latest - self._began).total_seconds(), 0.0) if self._latest else 0.0
        part = total["filled_quantity"] / total["quantity"]
        point = (round(seconds, 3), part, total["slippage_bps"])
        if self._points[-1:] != [point]:
            self._points.append(point)
            self._point_versions.append(self._version)
        if len(self._points) > _MOST_POINTS:
            self._points = self._points[::2]
            self._point_versions = [self._version] * len(self._points)  # all points are sent again

    def _totals(self) -> dict[str, Any]:
        states = self._states.values()
        fees = [state.commission for state in states if not math.isnan(state.commission)]
        notional, cost, value = (math.fsum(part[place] for part in self._sums.values()) for place in range(3))
        return {
            "counts": dict(sorted(Counter(state.status for state in states).items())),
            "orders": len(self._orders),
            "ended": sum(state.status in ENDED for state in states),
            "quantity": math.fsum(order.quantity for order in self._orders.values()),
            "filled_quantity": math.fsum(state.filled for state in states),
            "notional": round(notional, 2),
            "commission": round(math.fsum(fees), 4) if fees else None,
            "slippage_cost": round(cost, 4) if value else None,
            "slippage_bps": round(cost / value * 1e4, 4) if value else None,
        }

    def _row(self, name: str) -> dict[str, Any]:
        order, state = self._orders[name], self._states[name]
        return {
            "client_order_id": name,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": order.quantity,
            "filled_quantity": state.filled,
            "avg_fill_price": None if math.isnan(state.avg_fill_price) else state.avg_fill_price,
            "status": state.status,
            "reason": self._masked(state.reason),
            "is_ended": state.status in ENDED,
        }

    def _message(self, event: OrderEvent) -> dict[str, Any]:
        return {
            "number": next(self._numbers),
            "at": _iso(event.occurred_at),
            "client_order_id": event.client_order_id,
            "what": _MESSAGE_LABELS[event.kind],
            "code": event.code,
            "text": self._masked(event.message),
        }

    def _masked(self, text: str | None) -> str | None:
        return None if text is None else mask_accounts_in(text, self._account)


def _sums(side: str, known: OrderAccumulator, arrival: float | None) -> tuple[float, float, float]:
    """Notional filled, its cost against arrival, and its value at arrival, of one order."""
    shares, notional = known.traded
    if arrival is None:
        return notional, 0.0, 0.0
    return notional, _SIGN.get(side, 0.0) * known.cost_against(arrival), arrival * shares


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat(timespec="milliseconds")
