"""The events of a scenario: their triggers, and what they do to the venue.

An event is triggered at a time of the clock, or by a count of accepted orders, executions or requests; a ``delay``
postpones it. Events triggered by a count run after the current request, never in the middle of it.

Also the recurring events of a day: price steps of a seeded market, open and close of the exchange.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from stocklean_exec.simulator.exchange.auctions import Auctions
from stocklean_exec.simulator.exchange.contracts import make_contract
from stocklean_exec.simulator.exchange.matching import at_auction
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.simulator.scenarios.quotes import QUOTE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stocklean_exec.simulator.exchange.order_amendments import OrderAmendments
    from stocklean_exec.simulator.exchange.order_entry import OrderEntry
    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.trading import TradingService
    from stocklean_exec.simulator.exchange.venue_context import VenueContext

__all__ = ["ScenarioEvents", "VenueControls"]

_NAN = float("nan")
_MOMENT = 0.0005  # half of the smallest step of a virtual clock (request_seconds, 0.001): no request in between
_LOST = "Connectivity between IB and Trader Workstation has been lost."
_BROKEN = "Connectivity between Trader Workstation and server is broken. It will be restored automatically."
_BACK = {  # TWS API, "System Message Codes"
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained.",
}


class VenueControls(Protocol):
    """Operations on the venue that events need."""

    def set_link(self, *, up: bool, deliver: bool = True) -> None:
        """Break or restore the link to IB."""

    def restart(self, seconds: float = 0.0, *, lose: bool = False) -> None:
        """Close all connections, and refuse new ones for some seconds."""

    def rename_accounts(self, names: list[str], *, announce: bool = True) -> None:
        """Change the accounts that the login can access."""


class ScenarioEvents:
    """Runs the events of one venue.

    Parameters
    ----------
    venue : what the events act on
    context, trading, order_entry, amendments : of the same venue
    entries : event entries of a checked scenario
    """

    def __init__(
        self,
        venue: VenueControls,
        context: VenueContext,
        trading: TradingService,
        order_entry: OrderEntry,
        amendments: OrderAmendments,
        entries: Iterable[dict[str, Any]],
    ) -> None:
        self._venue = venue
        self._context = context
        self._trading = trading
        self._order_entry = order_entry
        self._amendments = amendments
        self._auctions = Auctions(context, trading)
        self._counted: list[tuple[str, int, dict[str, Any]]] = []
        self._pending: list[dict[str, Any]] = []
        self._actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "link_down": self._link_down,
            "link_up": self._link_up,
            "broken_link": self._broken_link,
            "disconnect": self._disconnect,
            "restart": self._restart,
            "reset_ids": self._reset_ids,
            "message": self._message,
            "pacing": self._pacing,
            "manual_order": self._manual_order,
            "move": self._move,
            "rate": self._rate,
            "fill": self._fill,
            "cancel": self._cancel,
            "accounts": self._accounts,
            "midnight": self._midnight,
            "close": self._close,
            "auction": self._auction,
            "next_day": self._next_day,
            "double": self._double,
            "switch": self._switch,
            "advance": self._advance,
        }
        for entry in entries:
            self.add(entry)
        if context.switches.walk > 0:
            self._schedule_walk()
        if not context.calendar.always:
            self._schedule_session()

    def add(self, entry: dict[str, Any]) -> None:
        """Add an event."""
        for name in ("accepts", "executions", "requests"):
            if f"after_{name}" in entry:
                self._counted.append((name, int(entry[f"after_{name}"]), entry))
        if "at" in entry:
            clock = self._context.clock
            clock.schedule_at(clock.started + float(entry["at"]), partial(self.run, entry), work=False)

    def on_count(self, name: str, count: int) -> None:
        """Queue the events that this count triggers."""
        for counted, wanted, entry in self._counted:
            if counted == name and wanted == count:
                self._pending.append(entry)

    def run_pending(self) -> None:
        """Run the queued events, now or after their delay."""
        while self._pending:
            entry = self._pending.pop(0)
            delay = float(entry.get("delay", 0.0))
            if delay:
                self._context.clock.schedule(delay, partial(self.run, entry))
            else:
                self.run(entry)

    def run(self, entry: dict[str, Any]) -> None:
        """Run one event now."""
        self._actions[entry["do"]](entry)

    # actions

    def _link_down(self, entry: dict[str, Any]) -> None:
        self._venue.set_link(up=False)
        code = int(entry.get("code", 1100))
        self._context.broadcast(code, entry.get("text", _LOST))

    def _broken_link(self, entry: dict[str, Any]) -> None:
        self._venue.set_link(up=False)
        self._context.broadcast(2110, entry.get("text", _BROKEN))

    def _link_up(self, entry: dict[str, Any]) -> None:
        code = int(entry.get("code", 1102))
        self._context.broadcast(code, entry.get("text", _BACK.get(code, _BACK[1102])))
        if code == 1101:  # noqa: PLR2004 - data lost: clients must subscribe again
            for session in self._context.sessions.values():
                session.subs.tickers.clear()
        self._venue.set_link(up=True, deliver=bool(entry.get("deliver", True)))

    def _disconnect(self, entry: dict[str, Any]) -> None:
        self._context.disconnect(entry.get("client_id"), "an event of the scenario closes the connection")

    def _restart(self, entry: dict[str, Any]) -> None:
        self._venue.restart(float(entry.get("seconds", 0.0)), lose=bool(entry.get("lose", False)))

    def _reset_ids(self, entry: dict[str, Any]) -> None:
        self._context.ledger.reset_ids(int(entry.get("next_id", 1)))

    def _message(self, entry: dict[str, Any]) -> None:
        self._context.broadcast(int(entry.get("code", 2104)), str(entry.get("text", "")))

    def _pacing(self, _: dict[str, Any]) -> None:
        self._context.broadcast(100, "Max rate of messages per second has been exceeded.")
        self._context.disconnect(None, "too many messages in a second")

    def _manual_order(self, entry: dict[str, Any]) -> None:
        symbol = str(entry["symbol"])
        contract = self._context.catalogue.by_key(symbol) or make_contract(symbol)
        self._context.catalogue.add(contract)
        price = float(entry.get("price", _NAN))
        kind = "LMT" if price > 0 else "MKT"
        spec = ContractSpec(
            con_id=contract.con_id, symbol=contract.symbol, sec_type=contract.sec_type, exchange=contract.exchange
        )
        quantity, action = float(entry.get("quantity", 1)), str(entry.get("side", "BUY"))
        self._order_entry.enter(
            OrderRequest(0, spec, action, quantity, kind, price, _NAN, str(entry.get("tif", "DAY"))), contract
        )

    def _move(self, entry: dict[str, Any]) -> None:
        changes = {name: float(entry[name]) for name in QUOTE_COLUMNS if name in entry}
        self._context.move(str(entry["symbol"]), **changes)

    def _rate(self, entry: dict[str, Any]) -> None:
        self._context.change_rate(str(entry["currency"]), float(entry["rate"]))

    def _orders(self, entry: dict[str, Any]) -> list[Order]:
        def fits(order: Order) -> bool:
            attributes = order.attributes()
            wanted = {name: entry[name] for name in ("symbol", "order_ref", "side", "client_id") if name in entry}
            return all(fnmatchcase(str(attributes[name]), str(value)) for name, value in wanted.items())

        return [order for order in self._context.ledger.active.values() if order.active and fits(order)]

    def _fill(self, entry: dict[str, Any]) -> None:
        for order in self._orders(entry):
            quantity = min(float(entry.get("quantity", order.remaining)), order.remaining)
            price = float(entry.get("price", self._context.touch(order)))
            self._trading.execute(order, quantity, price, 1)

    def _cancel(self, entry: dict[str, Any]) -> None:
        for order in self._orders(entry):
            if order.active:
                self._trading.cancel_by_system(order, str(entry.get("text", "")))

    def _accounts(self, entry: dict[str, Any]) -> None:
        given = entry.get("accounts", ())
        names = given.split(",") if isinstance(given, str) else [str(name) for name in given]
        self._venue.rename_accounts(names, announce=bool(entry.get("announce", True)))

    def _midnight(self, _: dict[str, Any]) -> None:
        # Slightly after now, so that everything up to this instant belongs to the previous day.
        self._context.ledger.roll_day(self._context.clock.now() + _MOMENT)

    def _next_day(self, entry: dict[str, Any]) -> None:
        self._close(entry)
        self._midnight(entry)

    def _double(self, entry: dict[str, Any]) -> None:
        for order in self._orders(entry):
            self._amendments.double(order, order.request)

    def _switch(self, entry: dict[str, Any]) -> None:
        for name, value in entry.get("set", {}).items():
            kind = type(getattr(self._context.switches, name))
            setattr(self._context.switches, name, kind(value))

    def _advance(self, entry: dict[str, Any]) -> None:
        self._context.clock.advance(float(entry.get("seconds", 0.0)))

    # the day

    def _auction(self, entry: dict[str, Any]) -> None:
        terms = {name: float(entry[name]) for name in ("price", "size", "imbalance") if name in entry}
        self._auctions.run(str(entry.get("auction", "close")), symbol=str(entry.get("symbol", "")), **terms)

    def _close(self, _: dict[str, Any]) -> None:
        """Run the closing auction, then expire day orders; an order for the open waits where there is one."""
        self._auctions.run("close")
        ending = {"DAY", "OPG"} if self._context.calendar.always else {"DAY"}
        for order in list(self._context.ledger.active.values()):
            if order.active and order.request.tif in ending:
                self._trading.expire(order)

    def _open(self) -> None:
        """Run the opening auction, then offer the orders that waited for the session."""
        self._auctions.run("open")
        for order in list(self._context.ledger.active.values()):
            if not order.why_held and not order.rested and not at_auction(order):
                self._trading.activate(order)
            else:
                self._trading.reevaluate(order)

    def _schedule_session(self) -> None:
        clock, calendar = self._context.clock, self._context.calendar

        def opening() -> None:
            self._open()
            clock.schedule_at(calendar.next_open(clock.now()), opening, work=False)

        def closing() -> None:
            self._close({})
            clock.schedule_at(calendar.next_close(clock.now()), closing, work=False)

        clock.schedule_at(calendar.next_open(clock.now()), opening, work=False)
        clock.schedule_at(calendar.next_close(clock.now()), closing, work=False)

    def _schedule_walk(self) -> None:
        context = self._context
        switches = context.switches

        def step() -> None:
            for contract in list(context.catalogue.by_id.values()):
                if not contract.is_pair:
                    context.market.walk(contract.key, context.seed, switches.walk, contract.min_tick)
                    context.market_moved(contract.key)
            context.clock.schedule(switches.walk_seconds, step, work=False)

        context.clock.schedule(switches.walk_seconds, step, work=False)
