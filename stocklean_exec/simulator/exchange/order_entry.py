"""Order entry: rejects, previews, stages or accepts orders. Accepted orders go to the trading service.

A what-if order is checked as any other, and answered by one openOrder with the margins and the commission, or by
its error. It is not accepted, and uses up no order id.

Order ids follow TWS: an id must be above all earlier ids of its client (else 103); the id of an open order
modifies it; ``transmit`` = 0 stages an order until the last order of its bracket is transmitted.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange import order_validation
from stocklean_exec.simulator.exchange.auctions import refusal_at_cutoff
from stocklean_exec.simulator.exchange.currency_pairs import MINIMA, pair_commission
from stocklean_exec.simulator.exchange.funds import refusal_of_funds, rejected
from stocklean_exec.simulator.exchange.order_terms import LIMITED
from stocklean_exec.simulator.exchange.orders import Order, preview_fields
from stocklean_exec.simulator.exchange.refusals import Refusal, invalid
from stocklean_exec.simulator.protocol.field_layouts import UNSET_DOUBLE
from stocklean_exec.tariff_table import tariff_for

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.account_service import AccountService
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.exchange.order_amendments import OrderAmendments
    from stocklean_exec.simulator.exchange.trading import TradingService
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.order_request import OrderRequest

__all__ = ["OrderEntry"]

_TIF_SET = "Order TIF was set to DAY based on order preset."
_OUTSIDE_IGNORED = (
    "Order Event Warning: Attribute Outside Regular Trading Hours is ignored based on the order type and "
    "destination. PlaceOrder is now processed."
)


class OrderEntry:
    """Validates and accepts the orders of clients."""

    def __init__(
        self,
        context: VenueContext,
        trading: TradingService,
        amendments: OrderAmendments,
        account_service: AccountService,
    ) -> None:
        self._context = context
        self._ledger = context.ledger
        self._switches = context.switches
        self._trading = trading
        self._amendments = amendments
        self._account_service = account_service

    def place(self, session: Connection, request: OrderRequest) -> None:
        """PlaceOrder: a new order, a what-if order, or a modification of an open order."""
        known = self._known(session.client_id, request.order_id)
        if known is not None and not known.staged and not request.what_if:
            self._amendments.modify(session, known, request)
            return
        staged = known if known is not None and known.staged else None
        highest = self._ledger.highest_id[session.client_id]
        if self._switches.next_valid_id == "received" and 0 < request.order_id < 1 << 31:
            self._ledger.use_id(session.client_id, request.order_id)
        contract, refusal = self._validate(session.client_id, request, highest, staged)
        if refusal is not None:
            self._refuse(session, request, contract, refusal)
        elif contract is not None and request.what_if:
            self._preview(session, request, contract)
        elif contract is not None:
            self._accept(session, request, contract, staged)

    def _known(self, client_id: int, order_id: int) -> Order | None:
        """The order with this id; a finished order from before a reset of ids does not count."""
        known = self._ledger.find(client_id, order_id)
        if known is not None and order_id > self._ledger.highest_id[client_id] and not known.active:
            return None
        return known

    def _validate(
        self, client_id: int, request: OrderRequest, highest: int, staged: Order | None
    ) -> tuple[Contract | None, Refusal | None]:
        if request.order_id <= highest and staged is None and not request.what_if:
            return None, Refusal(103, "Duplicate order id")
        if request.what_if and not request.transmit:
            return None, Refusal(413, "What-if order should have the transmit flag set to true.")
        refusal = order_validation.check_form(request, self._switches)
        found = self._context.catalogue.find(request.contract) if refusal is None else []
        if refusal is None and len(found) != 1:
            refusal = Refusal(200, order_validation.no_single_contract(request.contract, found))
        if refusal is not None:
            return None, refusal
        return found[0], self._check_references(client_id, request) or self._check_contract(request, found[0])

    def _check_references(self, client_id: int, request: OrderRequest) -> Refusal | None:
        if self._account(request) not in self._ledger.visible:
            return invalid("Invalid account code was entered")
        if request.parent_id and self._ledger.find(client_id, request.parent_id) is None:
            return Refusal(135, f"Can't find order with ID = {request.parent_id}")
        return None

    def _check_contract(self, request: OrderRequest, contract: Contract) -> Refusal | None:
        refusal = order_validation.check_terms(request, contract) or refusal_at_cutoff(request, self._context)
        return refusal or self._check_account(request, contract)

    def _account(self, request: OrderRequest) -> str:
        return request.account or self._ledger.visible[0]

    def _check_account(self, request: OrderRequest, contract: Contract) -> Refusal | None:
        name = self._account(request)
        limit = self._switches.order_limit
        if self._ledger.active_count(name, contract.con_id, request.side) >= limit:
            return rejected(f"Maximum of {limit} orders for one contract, side and account is reached.")
        return refusal_of_funds(self._context, self._ledger.accounts[name], request, contract)

    def _refuse(
        self, session: Connection, request: OrderRequest, contract: Contract | None, refusal: Refusal
    ) -> None:
        attributes = {
            "symbol": request.contract.symbol,
            "order_ref": request.order_ref,
            "client_id": session.client_id,
        }
        values = {"reqId": request.order_id, "code": refusal.code, "text": refusal.text}
        session.send("error", values, attributes)
        if refusal.inactive and contract is not None and not request.what_if:
            order = self._new(session.client_id, request, contract)
            self._ledger.use_id(session.client_id, request.order_id)
            self._ledger.add(order)
            self._trading.end(order, "Inactive", f"Cancelled by System:{refusal.text}")
            self._context.reports.order(order)

    def _new(self, client_id: int, request: OrderRequest, contract: Contract) -> Order:
        return Order(
            client_id,
            request if request.tif else replace(request, tif="DAY"),
            contract,
            self._account(request),
            self._ledger.next_perm_id(),
            self._context.clock.now(),
        )

    def _accept(
        self, session: Connection, request: OrderRequest, contract: Contract, staged: Order | None
    ) -> None:
        order = staged or self._new(session.client_id, request, contract)
        order.request = request if request.tif else replace(request, tif="DAY")
        order.staged = not request.transmit
        self._ledger.use_id(session.client_id, request.order_id)
        if staged is None:
            self._ledger.add(order)
        if order.staged:
            return
        if not request.tif and self._switches.unset_tif_message:
            self._context.reports.error(order, 10349, _TIF_SET)
        for one in [*self._staged_family(order), order]:
            self._warn_of_odd_lot(one)
            if one.request.outside_rth and order_validation.ignores_outside_rth(one.request):
                self._context.reports.error(one, 2109, _OUTSIDE_IGNORED)
            self._trading.transmit(one)

    def _warn_of_odd_lot(self, order: Order) -> None:
        contract, quantity = order.contract, order.request.quantity
        minimum = MINIMA.get(contract.symbol, 0)
        if contract.is_pair and quantity < minimum:
            terms = f"{order.request.action} {quantity:g} {contract.key} Forex"
            size = f"Your order size is below the {contract.symbol} {minimum} IdealPro minimum"
            warning = f"Warning: {size} and will be routed as an odd lot order."
            self._context.reports.error(order, 399, f"Order Message:\n{terms}\n{warning}")

    def _staged_family(self, order: Order) -> list[Order]:
        """The staged parent and siblings of the last order of a bracket."""
        parent = order.request.parent_id
        if not parent:
            return []
        family = [
            one
            for one in self._ledger.orders.values()
            if one.staged and one.client_id == order.client_id and parent in {one.order_id, one.request.parent_id}
        ]
        return sorted(family, key=lambda one: one.order_id)

    def _preview(self, session: Connection, request: OrderRequest, contract: Contract) -> None:
        order = self._new(session.client_id, request, contract)
        limited = request.order_type in LIMITED
        price = contract.money(request.limit_price if limited else self._context.price_of(contract.key))
        if contract.is_pair:
            order.commission_currency = self._context.rates.base
            commission = pair_commission(self._context.rates, contract.symbol, request.quantity)
        else:
            tariff = tariff_for(contract.currency, primary_exchange=contract.primary_exchange)
            commission = round(tariff.commission(request.quantity, request.quantity * price), 6)
        mark = contract.money(self._context.price_of(contract.key))
        margins = self._account_service.margins(order, mark, commission)
        self._answer_preview(session, order, margins, commission)

    def _answer_preview(
        self, session: Connection, order: Order, margins: dict[str, str], commission: float
    ) -> None:
        """The answers to a what-if order, by the switch ``what_if``."""
        attributes, kind = order.attributes(), self._switches.what_if
        if kind == "silent":
            return
        if kind == "10349" or (self._switches.unset_tif_message and not order.request.tif):
            session.send("error", {"reqId": order.order_id, "code": 10349, "text": _TIF_SET}, attributes)
        if kind == "incomplete":
            session.send("openOrder", preview_fields(order, {}, math.nan), attributes)
        values = preview_fields(order, margins, commission)
        if kind == "no_commission":
            values["commission"] = UNSET_DOUBLE
        session.send("openOrder", values, attributes)

    def enter(self, request: OrderRequest, contract: Contract) -> Order:
        """Enter a manual order, as in the TWS window: no client, order id 0."""
        order = self._new(0, request, contract)
        order.manual = True
        self._ledger.add(order)
        self._trading.transmit(order)
        listener = self._context.sessions.get(0)
        if order.active and listener is not None and listener.subs.auto_bind:
            self._amendments.bind_manual()
        return order
