"""The ledger of a venue: accounts, orders, executions, ids. It records, and takes no decisions.

Ids have the format of TWS and come from seeded counters: permanent ids of ten digits that only increase, execution
ids of four hexadecimal groups of which the last counts corrections. Positions and cash follow from the opening
positions and the executions, so they are recomputed when the ledger is loaded from a state file.

No I/O of its own: the journal and the state file are passed in.
"""

from __future__ import annotations

import math
from collections import defaultdict
from copy import deepcopy
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from stocklean_exec.fill_model import unit_interval
from stocklean_exec.simulator.exchange.accounts import Account, Position
from stocklean_exec.simulator.exchange.calendar import settlement
from stocklean_exec.simulator.exchange.contracts import Contract
from stocklean_exec.simulator.exchange.currency_pairs import pair_commission
from stocklean_exec.simulator.exchange.orders import Fill, Order
from stocklean_exec.simulator.exchange.rates import Rates
from stocklean_exec.simulator.protocol.order_request import OrderRequest
from stocklean_exec.simulator.protocol.requests import ContractSpec
from stocklean_exec.tariff_table import tariff_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stocklean_exec.simulator.exchange.journal import Journal
    from stocklean_exec.simulator.exchange.persistence import StateFile

__all__ = ["Ledger"]

# Executing exchanges of SMART orders: names of the captured exchange list; ISLAND is Nasdaq in executions.
_ROUTES = ("ISLAND", "ARCA", "BATS", "IEX", "EDGEA", "NYSE")


class Ledger:
    """Orders, executions, accounts and ids of one venue.

    Parameters
    ----------
    accounts : opening accounts
    seed : first values of the id counters
    journal : receives every order event
    state : file that persists the ledger, or None
    rates : of the venue; commissions of currency pairs are in its base currency
    settlement_days : weekdays from a sale to the settlement of its proceeds
    started_at : start instant of a real-time venue, mixed into its execution ids; None on a virtual clock
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        seed: int,
        journal: Journal,
        state: StateFile | None = None,
        *,
        rates: Rates | None = None,
        settlement_days: int = 0,
        started_at: float | None = None,
    ) -> None:
        self._rates = rates or Rates("USD", {})
        self.settlement_days = settlement_days
        self._opening = {one.name: one for one in accounts}
        self.accounts = deepcopy(self._opening)
        self.journal = journal
        self._state = state
        self._seed = seed
        # In the range of captured ids, such as permanent id 1376327563 and execution id 0000e0d5.67fe667b.01.01.
        self._perm = 1_100_000_000 + int(unit_interval(seed, "perm") * 500_000_000)
        self._exec_host = int(
            unit_interval(seed, "exec host", *(() if started_at is None else (started_at,))) * 0xFFFFFFFF
        )
        self._exec_count = 0x60000000 + int(unit_interval(seed, "exec") * 0x0FFFFFFF)
        self._unsaved: dict[tuple[int, int], Order] = {}
        self.orders: dict[tuple[int, int], Order] = {}
        self.active: dict[tuple[int, int], Order] = {}
        self.fills: list[Fill] = []
        self.fills_of: dict[int, list[Fill]] = {}
        self.highest_id: dict[int, int] = defaultdict(int)
        self._received_id: dict[int, int] = defaultdict(int)
        self.midnight = 0.0
        self._by_perm: dict[int, Order] = {}
        if state is not None:
            self._restore(state)
        self.visible: tuple[str, ...] = tuple(self.accounts)

    # ids

    def next_perm_id(self) -> int:
        """A new permanent id, above all earlier ones."""
        self._perm += 1
        return self._perm

    def next_exec_id(self) -> str:
        """A new, unique execution id."""
        self._exec_count += 1
        return f"{self._exec_host:08x}.{self._exec_count:08x}.01.01"

    def next_valid_id(self, client_id: int) -> int:
        """The next order id that a client may use."""
        return max(self.highest_id[client_id], self._received_id[client_id]) + 1

    def receive_id(self, client_id: int, order_id: int) -> None:
        """Record that an order with ``order_id`` was received, whether or not it is accepted."""
        self._received_id[client_id] = max(self._received_id[client_id], order_id)

    def use_id(self, client_id: int, order_id: int) -> None:
        """Record that ``client_id`` has used ``order_id``."""
        if order_id > self.highest_id[client_id]:
            self.highest_id[client_id] = order_id
            self._put("ids", str(client_id), order_id)

    def reset_ids(self, next_id: int) -> None:
        """Reset the order ids of all clients; the next valid id is ``next_id``."""
        self._received_id.clear()
        for client_id in list(self.highest_id):
            self.highest_id[client_id] = next_id - 1
            self._put("ids", str(client_id), next_id - 1)

    def route(self, order: Order, number: int) -> str:
        """The executing exchange: the order's own, or for SMART one of several."""
        requested = order.request.contract.exchange or order.contract.exchange
        if requested and requested != "SMART":
            return requested
        return _ROUTES[int(unit_interval(self._seed, order.perm_id, number, "route") * len(_ROUTES))]

    def open_account(self, account: Account) -> None:
        """Add an account."""
        self._opening[account.name] = deepcopy(account)
        self.accounts[account.name] = account
        self._put("accounts", account.name, _plain(account))

    def roll_day(self, midnight: float) -> None:
        """Start a new day; queries no longer return what happened before ``midnight``."""
        self.midnight = max(self.midnight, midnight)
        self._put("day", "midnight", self.midnight)

    def latest(self) -> float:
        """The latest timestamp in the ledger; 0 when it is empty."""
        instants = [max(one.accepted_at, one.completed_at) for one in self.orders.values()]
        return max([*instants, *(fill.at for fill in self.fills)], default=0.0)

    def close(self) -> None:
        """Close the journal and the state."""
        self.journal.close()
        self.save()
        if self._state is not None:
            self._state.close()

    # orders

    def find(self, client_id: int, order_id: int) -> Order | None:
        """The latest order of a client with this id."""
        return self.orders.get((client_id, order_id))

    def by_perm(self, perm_id: int) -> Order | None:
        """The order with this permanent id."""
        return self._by_perm.get(perm_id)

    def add(self, order: Order) -> None:
        """Add a new order. An old order with the same key (from before an id reset) moves to another key."""
        old = self.orders.pop(order.key, None)
        if old is not None:
            self._move_to_spare_key(old)
        self.orders[order.key] = order
        self._by_perm[order.perm_id] = order
        self.changed(order)

    def remove(self, order: Order) -> None:
        """Remove an order, so that it can be added with another id."""
        self.orders.pop(order.key, None)
        self.active.pop(order.key, None)

    def _move_to_spare_key(self, old: Order) -> None:
        self.active.pop(old.key, None)
        self.orders[(-2, old.perm_id)] = old
        if old.active:
            self.active[(-2, old.perm_id)] = old

    def changed(self, order: Order) -> None:
        """Update the index of active orders after a change of ``order``."""
        place = order.key if self.orders.get(order.key) is order else (-2, order.perm_id)
        if order.active and not order.staged:
            self.active[place] = order
        else:
            self.active.pop(place, None)
        if self._state is not None:
            self._unsaved[place] = order

    def save(self) -> None:
        """Write the changed orders to the state file, before clients receive the reports."""
        for (client_id, order_id), order in self._unsaved.items():
            self._put("orders", f"{client_id}/{order_id}", _plain(order))
        self._unsaved.clear()

    def active_count(self, account: str, con_id: int, side: str) -> int:
        """Number of active orders for one contract, side and account."""
        return sum(
            one.account == account and one.contract.con_id == con_id and one.request.side == side
            for one in self.active.values()
        )

    # executions

    def execute(self, order: Order, quantity: float, price: float, at: float, liquidity: int) -> Fill:
        """Book an execution: order, account, commission by the market's tariff without its levies, journal."""
        commission = self._next_commission(order, quantity, price)
        order.filled = round(order.filled + quantity, 8)
        order.value += quantity * price
        order.last_price = price
        order.commission = round(order.commission + commission, 8)
        number = len(self.fills_of.get(order.perm_id, ()))
        fill = Fill(
            exec_id=self.next_exec_id(),
            client_id=order.client_id,
            order_id=order.order_id,
            perm_id=order.perm_id,
            account=order.account,
            contract=order.contract,
            side=order.request.side,
            quantity=quantity,
            price=price,
            at=at,
            exchange=self.route(order, number),
            cumulative=order.filled,
            average=order.average,
            order_ref=order.request.order_ref,
            liquidity=liquidity,
            commission=commission,
            commission_currency=order.commission_currency,
        )
        self._book_fill(fill)
        self._keep(fill)
        return fill

    def _next_commission(self, order: Order, quantity: float, price: float) -> float:
        contract, money = order.contract, order.contract.money
        if not contract.is_pair:
            tariff = tariff_for(contract.currency, primary_exchange=contract.primary_exchange)
            return tariff.next_execution((order.filled, money(order.value)), quantity, money(price))
        order.commission_currency = self._rates.base
        before, after = (
            pair_commission(self._rates, contract.symbol, units)
            for units in (order.filled, order.filled + quantity)
        )
        return round(after - before, 6)

    def correct(self, fill: Fill, quantity: float, price: float, at: float) -> Fill:
        """Replace an execution by a corrected one; the last group of its id is one higher."""
        head, _, last = fill.exec_id.rpartition(".")
        values = {one.name: getattr(fill, one.name) for one in fields(Fill)}
        values |= {"exec_id": f"{head}.{int(last) + 1:02d}", "replaces": fill.exec_id, "at": at}
        values |= {"quantity": quantity, "price": price, "commission": fill.commission if quantity else 0.0}
        fixed = Fill(**values)
        fill.superseded = True
        order = self._by_perm.get(fill.perm_id)
        if order is not None:
            order.filled = round(order.filled + quantity - fill.quantity, 8)
            order.value += quantity * price - fill.quantity * fill.price
            order.last_price = price
            fixed.cumulative, fixed.average = order.filled, order.average
        self._put_fill(fill)
        self._keep(fixed)
        self._recompute()
        return fixed

    def _keep(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.fills_of.setdefault(fill.perm_id, []).append(fill)
        self.journal.execution(fill)
        self.journal.commission(fill)
        self._put_fill(fill)

    def _book_fill(self, fill: Fill) -> None:
        account = self.accounts[fill.account]
        contract = fill.contract
        settles_at = settlement(fill.at, self.settlement_days)
        if contract.is_pair:
            account.convert(contract, fill.signed, fill.price, fill.commission, settles_at)
            fill.realized = math.nan
            return
        realized = account.trade(
            contract.con_id,
            contract.key,
            fill.signed,
            contract.money(fill.price),
            fill.commission,
            contract.currency,
            settles_at,
        )
        fill.realized = math.nan if realized is None else realized

    def _recompute(self) -> None:
        self.accounts = deepcopy(self._opening)
        for fill in self.fills:
            if not fill.superseded and fill.quantity:
                self._book_fill(fill)

    # state

    def _put(self, table: str, key: str, record: object) -> None:
        if self._state is not None:
            self._state.put(table, key, record)

    def _put_fill(self, fill: Fill) -> None:
        if self._state is not None:
            self._put("fills", fill.exec_id, _plain(fill))

    def save_opening(self) -> None:
        """Write the opening accounts to a new state file."""
        for account in self._opening.values():
            self._put("accounts", account.name, _plain(account))

    def _restore(self, state: StateFile) -> None:
        for name, record in state.table("accounts").items():
            self._opening[name] = _account(record)
        self.midnight = state.table("day").get("midnight", 0.0)
        for client_id, order_id in state.table("ids").items():
            self.highest_id[int(client_id)] = order_id
        for key, record in state.table("orders").items():
            order = _order(record)
            client_id, _, order_id = key.partition("/")
            self.orders[(int(client_id), int(order_id))] = order
            self._by_perm[order.perm_id] = order
            if order.active and not order.staged:
                self.active[(int(client_id), int(order_id))] = order
            self._perm = max(self._perm, order.perm_id)
        for record in state.table("fills").values():
            fill = _fill(record)
            self.fills.append(fill)
            self.fills_of.setdefault(fill.perm_id, []).append(fill)
            self._exec_count = max(self._exec_count, int(fill.exec_id.split(".")[1], 16))
        self._recompute()


def _plain(value: Any) -> Any:  # noqa: ANN401 - a record or a part of one; JSON has no NaN, and null in its place
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _contract(record: dict[str, Any]) -> Contract:
    steps = tuple((low, step) for low, step in record.get("price_steps", ()))
    return Contract(**record | {"price_steps": steps})


def _request(record: dict[str, Any]) -> OrderRequest:
    values = dict(record)
    values["contract"] = ContractSpec(**values["contract"])
    for name in ("quantity", "limit_price", "aux_price", "cash_quantity"):
        values[name] = _number(values[name])
    for name in ("algo_params", "echo"):
        values[name] = tuple((str(tag), str(value)) for tag, value in values[name])
    return OrderRequest(**values)


def _order(record: dict[str, Any]) -> Order:
    values = dict(record)
    values["request"], values["contract"] = _request(values["request"]), _contract(values["contract"])
    for name in ("trail", "working_limit", "algo_from", "algo_until"):
        values[name] = _number(values.get(name))
    return Order(**values)


def _fill(record: dict[str, Any]) -> Fill:
    values = dict(record)
    values["contract"] = _contract(values["contract"])
    values["realized"] = _number(values["realized"])
    return Fill(**values)


def _account(record: dict[str, Any]) -> Account:
    values = dict(record)
    values["unsettled"] = [tuple(one) for one in values.get("unsettled", ())]
    for name in ("positions", "pairs"):
        values[name] = {int(con_id): Position(**held) for con_id, held in values.get(name, {}).items()}
    return Account(**values)
