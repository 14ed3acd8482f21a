"""Whether an account may place an order: shares for a sale, money for a purchase.

A margin account is refused beyond its buying power where the switch ``margin`` says so. A cash account is always
refused a sale of shares that it does not hold, and a purchase beyond its settled cash in the currency of the
shares less what its other open purchases in that currency may cost; so is a change by which an open purchase may
cost more. Since 2024 IB converts other currencies for a cash account automatically; the simulator does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stocklean_exec.simulator.exchange.accounts import CASH
from stocklean_exec.simulator.exchange.order_terms import LIMITED
from stocklean_exec.simulator.exchange.refusals import Refusal
from stocklean_exec.tariff_table import tariff_for

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.accounts import Account
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.order_request import OrderRequest

__all__ = ["refusal_of_change", "refusal_of_funds", "rejected"]

_NO_EQUITY = "YOUR ORDER IS NOT ACCEPTED. EQUITY WITH LOAN VALUE IS BELOW THE INITIAL MARGIN REQUIREMENT"
_NO_SHARES = "None of the accounts have enough shares."  # TWS API, "Message codes", 426


def rejected(reason: str) -> Refusal:
    """Error 201; the order is then reported as Inactive."""
    return Refusal(201, f"Order rejected - reason:{reason}", inactive=True)


def refusal_of_funds(
    context: VenueContext, account: Account, request: OrderRequest, contract: Contract
) -> Refusal | None:
    """Why the account may not place the order; None if it may."""
    if contract.is_pair:
        return _refusal_of_pair(context, account, request, contract) if account.kind == CASH else None
    held = account.positions[contract.con_id].quantity if contract.con_id in account.positions else 0.0
    short = request.side == "SELL" and request.quantity > max(held, 0.0)
    if short and context.switches.shorts == "refused":
        return rejected("The contract is not available for short sale.")
    if account.kind == CASH:
        return _refusal_of_cash(context, account, request, contract, held)
    if context.switches.margin and not _has_equity(context, account, request, contract, held):
        return rejected(_NO_EQUITY)
    return None


def refusal_of_change(context: VenueContext, order: Order, request: OrderRequest) -> Refusal | None:
    """Why a cash account may not have an open purchase on new terms; None if it may."""
    account, contract = context.ledger.accounts[order.account], order.contract
    if account.kind != CASH or request.side != "BUY" or contract.is_pair:
        return None
    others = _pending(context, account, request, contract) - _cost_of(context, order)
    cost = _cost(context, request, contract, request.quantity - order.filled)
    if cost <= _cost_of(context, order):
        return None
    return _refusal_of_money(context, account, contract.currency, cost + others)


def _has_equity(
    context: VenueContext, account: Account, request: OrderRequest, contract: Contract, held: float
) -> bool:
    signed = request.quantity if request.side == "BUY" else -request.quantity
    added = max(abs(held + signed) - abs(held), 0.0)
    value = contract.money(context.price_of(contract.key)) * context.rates[contract.currency]
    return added * value <= float(context.values(account)["BuyingPower"])


def _refusal_of_cash(
    context: VenueContext, account: Account, request: OrderRequest, contract: Contract, held: float
) -> Refusal | None:
    others = _open_orders(context, account, request)
    if request.side == "SELL":
        sold = sum(one.remaining for one in others if one.contract.con_id == contract.con_id)
        return Refusal(426, _NO_SHARES) if request.quantity + sold > max(held, 0.0) else None
    needed = _cost(context, request, contract, request.quantity) + _pending(context, account, request, contract)
    return _refusal_of_money(context, account, contract.currency, needed)


def _refusal_of_pair(
    context: VenueContext, account: Account, request: OrderRequest, contract: Contract
) -> Refusal | None:
    if request.side == "BUY":
        return _refusal_of_money(
            context, account, contract.currency, _cost(context, request, contract, request.quantity)
        )
    return _refusal_of_money(context, account, contract.symbol, request.quantity)


def _refusal_of_money(context: VenueContext, account: Account, currency: str, needed: float) -> Refusal | None:
    account.settle(context.clock.now())
    available = account.settled(currency)
    if needed <= available:
        return None
    money = f"CASH AVAILABLE: {available:.2f}; CASH NEEDED FOR THIS ORDER AND OTHER PENDING ORDERS: {needed:.2f}"
    return rejected(f"{money} {currency}")


def _pending(context: VenueContext, account: Account, request: OrderRequest, contract: Contract) -> float:
    """What the account's open purchases in the contract's currency may cost."""
    others = _open_orders(context, account, request)
    return sum(_cost_of(context, one) for one in others if one.contract.currency == contract.currency)


def _open_orders(context: VenueContext, account: Account, request: OrderRequest) -> list[Order]:
    return [
        one
        for one in context.ledger.active.values()
        if one.account == account.name and one.request.side == request.side
    ]


def _cost_of(context: VenueContext, order: Order) -> float:
    return _cost(context, order.request, order.contract, order.remaining)


def _cost(context: VenueContext, request: OrderRequest, contract: Contract, quantity: float) -> float:
    """What a purchase of ``quantity`` may cost with its commission, in the currency of the contract."""
    if request.order_type in LIMITED:
        price, buffer = request.limit_price, 0.0
    else:
        ask = context.market[contract.key].ask
        price, buffer = ask if ask > 0 else context.price_of(contract.key), context.switches.market_buffer
    value = quantity * contract.money(price)
    # The commission of a pair is in the base currency, and small: it is not part of the check.
    if contract.is_pair:
        return value * (1 + buffer)
    tariff = tariff_for(contract.currency, primary_exchange=contract.primary_exchange)
    return value * (1 + buffer) + tariff.commission(quantity, value)
