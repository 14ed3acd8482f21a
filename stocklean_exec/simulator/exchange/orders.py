"""One order and one execution of the venue, and their fields on the wire.

Pure: values in, field mappings out; the layouts turn them into frames. Quantities are shares, times seconds since
1970 UTC. Prices are in the unit of the contract's quotes; those of executions are reported in its currency, or in
the unit of quotes: the switch ``execution_prices``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from stocklean_exec.simulator.clock import local_time
from stocklean_exec.simulator.exchange.order_terms import CAPPED, LIMITED, STOPPED, TRAILING
from stocklean_exec.simulator.protocol.field_layouts import UNSET_DOUBLE
from stocklean_exec.simulator.protocol.order_layouts import NOT_AN_INSIDER

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.protocol.order_request import OrderRequest

__all__ = [
    "ACTIVE",
    "FINAL",
    "Fill",
    "Order",
    "completed_fields",
    "execution_fields",
    "execution_time",
    "open_fields",
    "preview_fields",
    "status_fields",
]

ACTIVE = frozenset({"PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel"})
FINAL = frozenset({"Filled", "Cancelled", "Inactive"})
_INVENTED_OFFSET, _INVENTED_LIMIT = 0.03, 2000.03  # captured: the first limit shown of a stop, of a trailing stop
_SIDES = {"BUY": "BOT", "SELL": "SLD"}


@dataclass(slots=True)
class Order:
    """An accepted order. The key is (``client_id``, ``request.order_id``)."""

    client_id: int
    request: OrderRequest
    contract: Contract
    account: str
    perm_id: int
    accepted_at: float
    status: str = "PendingSubmit"
    filled: float = 0.0
    value: float = 0.0
    last_price: float = 0.0
    commission: float = 0.0
    why_held: str = ""
    modified: int = 0
    staged: bool = False
    manual: bool = False
    rested: bool = False
    triggered: bool = False
    price_changed: bool = False
    completed_at: float = 0.0
    completed_status: str = ""
    reported_commission: float = 0.0
    commission_currency: str = ""
    trail: float = math.nan
    """Present stop of a trailing order."""
    working_limit: float = math.nan
    """Limit set by IB: a pegged price, that of a triggered trailing limit order, or of an MTL order's rest."""
    algo_from: float = math.nan
    algo_until: float = math.nan
    """The window in which an algorithm works it, seconds since 1970 UTC."""

    @property
    def order_id(self) -> int:
        """Order id given by the client; 0 for a manual order."""
        return self.request.order_id

    @property
    def key(self) -> tuple[int, int]:
        """Key among the API orders; manual orders use their permanent id."""
        return (self.client_id, self.order_id) if self.order_id else (-1, self.perm_id)

    @property
    def remaining(self) -> float:
        """Remaining quantity, shares."""
        return round(self.request.quantity - self.filled, 8)

    @property
    def average(self) -> float:
        """Average fill price so far."""
        return self.value / self.filled if self.filled else 0.0

    @property
    def limit(self) -> float:
        """The worst price at which it may trade; NaN without a limit.

        A limit price of 0 on a market order, as some clients send it, is not a limit.
        """
        request = self.request
        if not math.isnan(self.working_limit):
            return self.working_limit
        capped = request.order_type in LIMITED or (request.order_type in CAPPED and request.limit_price > 0)
        return request.limit_price if capped else math.nan

    @property
    def active(self) -> bool:
        """Whether it is open, that is, can still trade."""
        return self.status in ACTIVE

    def attributes(self) -> dict[str, Any]:
        """Attributes that scenario entries select by."""
        request = self.request
        return {
            "symbol": self.contract.symbol,
            "order_ref": request.order_ref,
            "side": request.side,
            "order_type": request.order_type,
            "tif": request.tif,
            "client_id": self.client_id,
        }


@dataclass(slots=True)
class Fill:
    """One execution. ``cumulative`` and ``average`` are totals of its order; ``realized`` may be NaN."""

    exec_id: str
    client_id: int
    order_id: int
    perm_id: int
    account: str
    contract: Contract
    side: Literal["BUY", "SELL"]
    quantity: float
    price: float
    at: float
    exchange: str
    cumulative: float
    average: float
    order_ref: str
    liquidity: int
    commission: float
    realized: float = math.nan
    replaces: str = ""
    superseded: bool = field(default=False)
    commission_currency: str = ""

    @property
    def charged_in(self) -> str:
        """Currency of the commission: that of the contract, or for a pair of currencies that of the account."""
        return self.commission_currency or self.contract.currency

    @property
    def signed(self) -> float:
        """Shares, negative for a sale."""
        return self.quantity if self.side == "BUY" else -self.quantity


def execution_time(instant: float, zone: str, form: str, version: int, name: str = "") -> str:
    """The time of an execution in TWS format.

    Parameters
    ----------
    instant : seconds since 1970 UTC
    zone : time zone of the login
    form : ``zone`` (zone name at the end, from server version 174), ``utc`` (with a dash) or ``naive``
    version : negotiated server version
    name : zone name to write in place of ``zone``

    Examples
    --------
    >>> [execution_time(1681414024, "US/Eastern", form, 176) for form in ("zone", "utc", "naive")]
    ['20230413 15:27:04 US/Eastern', '20230413-19:27:04', '20230413  15:27:04']
    >>> execution_time(1681414024, "US/Eastern", "zone", 173)
    '20230413  15:27:04'
    """
    if form == "utc":
        return f"{local_time(instant, 'UTC'):%Y%m%d-%H:%M:%S}"
    local = local_time(instant, zone)
    if form == "naive" or version < 174:  # noqa: PLR2004 - zones came with 174
        return f"{local:%Y%m%d  %H:%M:%S}"
    return f"{local:%Y%m%d %H:%M:%S} {name or zone}"


def status_fields(order: Order, unit: str, status: str | None = None) -> dict[str, Any]:
    """Fields of orderStatus; ``unit`` is that of executions: ``currency`` or ``quotes``."""
    return {
        "orderId": order.order_id,
        "status": status or order.status,
        "filled": order.filled,
        "remaining": order.remaining,
        "avgFillPrice": _in_unit(order.contract, order.average, unit),
        "permId": order.perm_id,
        "parentId": order.request.parent_id,
        "lastFillPrice": _in_unit(order.contract, order.last_price, unit),
        "clientId": order.client_id,
        "whyHeld": order.why_held or None,
    }


def _in_unit(contract: Contract, price: float, unit: str) -> float:
    return price if unit == "quotes" else contract.money(price)


def _contract_fields(contract: Contract, exchange: str) -> dict[str, Any]:
    return {
        "conId": contract.con_id,
        "symbol": contract.symbol,
        "secType": contract.sec_type,
        "exchange": exchange,
        "currency": contract.currency,
        "localSymbol": contract.local_symbol,
        "tradingClass": contract.trading_class,
    }


def _set(price: float) -> float | None:
    return None if math.isnan(price) else price


def _terms(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        **_contract_fields(order.contract, request.contract.exchange or order.contract.exchange),
        **dict(request.echo),
        "action": request.action,
        "totalQuantity": request.quantity,
        "orderType": request.order_type,
        "lmtPrice": _set(request.limit_price),
        "auxPrice": _set(request.aux_price),
        "tif": request.tif,
        "ocaGroup": request.oca_group,
        "account": order.account,
        "orderRef": request.order_ref,
        "permId": order.perm_id,
        "outsideRth": request.outside_rth,
        "goodAfterTime": request.good_after,
        "goodTillDate": request.good_till,
        "algo": _algo(request),
        "stopLimitTrail": _trail(order),
    } | ({} if math.isnan(order.trail) else {"trailStopPrice": order.trail})


def _invented_limit(request: OrderRequest) -> float | None:
    if request.order_type in STOPPED and request.order_type not in LIMITED:
        return round(request.aux_price + _INVENTED_OFFSET, 10)
    return _INVENTED_LIMIT if request.order_type in TRAILING else _set(request.limit_price)


def _algo(request: OrderRequest) -> tuple[str, ...] | None:
    if not request.algo:
        return None
    pairs = [text for pair in request.algo_params for text in pair]
    return (request.algo, str(len(request.algo_params)), *pairs)


def _trail(order: Order) -> float | None:
    # Captured: one above the limit of an unmodified limit buy, else unset. One below for a sale is assumed.
    request = order.request
    if request.order_type != "LMT" or order.price_changed or math.isnan(request.limit_price):
        return None
    return round(request.limit_price + (1.0 if request.side == "BUY" else -1.0), 10)


def open_fields(
    order: Order, *, commission: bool = False, status: str | None = None, first: bool = False
) -> dict[str, Any]:
    """Fields of openOrder: all terms of the order; with ``commission``, the commission so far.

    The ``first`` openOrder of a stop shows a limit that was not given, as captured; the next one shows none.
    """
    fields = _terms(order)
    if first:
        fields["lmtPrice"] = _invented_limit(order.request)
    elif order.request.order_type == "MTL":
        fields["lmtPrice"] = _set(order.working_limit)
    fields.update(
        orderId=order.order_id,
        clientId=order.client_id,
        parentId=order.request.parent_id,
        sharesAllocation=f"{order.perm_id}.{order.modified}/{order.account}/100",
        status=status or order.status,
    )
    if commission:
        fields["commission"] = f"{round(order.reported_commission, 6)!r}"
        fields["commissionCurrency"] = order.commission_currency or order.contract.currency
    return fields


def preview_fields(order: Order, margins: dict[str, str], commission: float) -> dict[str, Any]:
    """Fields of openOrder as the answer to a what-if order: margins and commission, no open order.

    ``margins`` are texts by field name, those not given are unset; a NaN ``commission`` is unset.
    """
    fields = open_fields(order, status="PreSubmitted")
    texts = {"whatIf": "1", "commissionCurrency": order.commission_currency or order.contract.currency}
    amount = UNSET_DOUBLE if math.isnan(commission) else f"{commission!r}"
    texts |= dict.fromkeys(("commission", "minCommission", "maxCommission"), amount)
    return fields | margins | texts


def completed_fields(order: Order, zone: str) -> dict[str, Any]:
    """Fields of completedOrder: permanent id only; a filled order has total 0 and its size in filledQuantity."""
    when = local_time(order.completed_at, zone)
    return _terms(order) | {
        "totalQuantity": 0 if order.status == "Filled" else order.request.quantity,
        "status": order.status,
        "filledQuantity": order.filled,
        "shareholder": NOT_AN_INSIDER,
        "completedTime": f"{when:%Y%m%d %H:%M:%S} {zone}",
        "completedStatus": order.completed_status,
    }


def execution_fields(fill: Fill, req_id: int, time_text: str, unit: str) -> dict[str, Any]:
    """Fields of execDetails; ``req_id`` is -1 when unsolicited, ``unit`` as for :func:`status_fields`."""
    return {
        **_contract_fields(fill.contract, fill.exchange),
        "reqId": req_id,
        "orderId": fill.order_id,
        "execId": fill.exec_id,
        "time": time_text,
        "account": fill.account,
        "executionExchange": fill.exchange,
        "side": _SIDES[fill.side],
        "shares": fill.quantity,
        "price": _in_unit(fill.contract, fill.price, unit),
        "permId": fill.perm_id,
        "clientId": fill.client_id,
        "cumQty": fill.cumulative,
        "avgPrice": round(_in_unit(fill.contract, fill.average, unit), 10),
        "orderRef": fill.order_ref,
        "lastLiquidity": fill.liquidity,
    }
