"""Order validation of TWS: every rejection with its error code, as pure functions.

A rejection before acceptance is a single error message; for some codes the order is then reported as Inactive.
Texts are those of captured messages where available, else those of IB's list of message codes.

Source: TWS API documentation, "Message codes", "Order types", "Order limitations"; captured rejects.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stocklean_exec.simulator.clock import parse_instant
from stocklean_exec.simulator.exchange.algos import check_algo
from stocklean_exec.simulator.exchange.contracts import on_tick, tick_at
from stocklean_exec.simulator.exchange.order_terms import (
    CAPPED,
    CLOSING,
    HELD,
    LIMITED,
    ORDER_TYPES,
    OTHER_TYPES,
    STOPPED,
    TIFS,
    TOUCHED,
    TRAILING,
    pegs_at,
    takes_type,
    trailing_amount,
)
from stocklean_exec.simulator.exchange.refusals import Refusal, invalid
from stocklean_exec.simulator.exchange.triggers import TRIGGER_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.protocol.requests import ContractSpec
    from stocklean_exec.simulator.scenarios.options import Switches

__all__ = [
    "MODIFIABLE_TYPES",
    "Refusal",
    "check_form",
    "check_modification",
    "check_terms",
    "no_single_contract",
]

MODIFIABLE_TYPES = frozenset({"MKT", "LMT", "STP", "STP LMT", "MIDPRICE"})
"""Order types between which an open order may be modified."""
_WHOLE = 100.0  # percent
_LARGEST = 1e12  # a choice: far above any real size or price, and exact in a double
_NO_FRACTIONS = "Fractional-sized order cannot be placed via API. Please use desktop version to place this order."

NO_DEFINITION = "No security definition has been found for the request"
_UNSUPPORTED = "Unsupported order type for this exchange and security type."
_OFF_SIZE = "Order size does not conform to market rule"
_INCOMPATIBLE = "The TIF (Tif type) and the order type are incompatible."
_BAD_DATE = "The date, time, or time-zone entered is invalid."
_BAD_TIME = "The time or time-zone entered is invalid. The correct format is hh:mm:ss xxx"
_NO_RELATIVES = "Relative orders are valid for stocks only."
_SMART_ALONE = "Relative orders for US stocks can only be submitted to SMART, SMART_ECN, INSTINET, or PRIMEX."
OFF_TICK = "The price does not conform to the minimum price variation for this contract."


def check_form(request: OrderRequest, switches: Switches) -> Refusal | None:
    """Validate an order independently of its contract and account.

    Examples
    --------
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> from stocklean_exec.simulator.protocol.order_request import OrderRequest
    >>> from stocklean_exec.simulator.scenarios.options import Switches
    >>> nan = float("nan")
    >>> order = OrderRequest(40, ContractSpec(symbol="AAPL"), "BUY", 1, "FEELINGS", 10.0, nan, "DAY")
    >>> check_form(order, Switches())
    Refusal(code=321, text="... : cause - Invalid order type was entered", inactive=False)
    """
    checks = (_check_kind, _check_quantity, _check_tif, _check_times, _check_prices, _check_offsets, check_algo)
    for check in checks:
        refusal = check(request, switches)
        if refusal is not None:
            return refusal
    return None


def _check_kind(request: OrderRequest, _: Switches) -> Refusal | None:
    if request.order_id <= 0:
        return Refusal(106, f"Can't transmit order ID: {request.order_id}")
    if request.action not in {"BUY", "SELL", "SSHORT"}:
        return invalid("Invalid side was entered")
    if request.order_type in OTHER_TYPES:
        return Refusal(387, _UNSUPPORTED)
    return None if request.order_type in ORDER_TYPES else invalid("Invalid order type was entered")


def _check_quantity(request: OrderRequest, switches: Switches) -> Refusal | None:
    quantity = request.quantity
    if math.isnan(quantity) or quantity == 0:
        return Refusal(434, "The order size cannot be zero.")
    if not 0 < quantity <= _LARGEST:
        return invalid(_OFF_SIZE)
    if not float(quantity).is_integer() and not switches.fractional:
        return Refusal(10243, _NO_FRACTIONS)
    if not float(quantity).is_integer() and request.order_type not in {"MKT", "LMT"}:
        return Refusal(10318, "This order doesn't support fractional quantity trading")
    if request.cash_quantity > 0:
        return Refusal(10244, "Cash Quantity cannot be used for this order")
    return None


def _check_tif(request: OrderRequest, switches: Switches) -> Refusal | None:
    tif = request.tif or "DAY"
    if tif not in TIFS:
        return invalid("Invalid time in force was entered")
    if request.order_type in CLOSING and tif != "DAY":
        return Refusal(113, "The Tif option should be set to DAY for MOC and LOC orders.")
    if tif == "OPG" and (request.order_type not in {"MKT", "LMT"} or request.algo):
        return Refusal(111, _INCOMPATIBLE)
    if switches.uncertain_tifs == "refused" and tif not in _certain_tifs(request):
        return Refusal(111, _INCOMPATIBLE)
    if request.outside_rth and switches.outside_rth == "refused" and ignores_outside_rth(request):
        return Refusal(411, "The Outside Regular Trading Hours flag is not valid for this order.")
    return None


def _certain_tifs(request: OrderRequest) -> set[str]:
    """Times in force that TWS is known to take with the order's type."""
    if request.algo or request.order_type == "MIDPRICE":
        return {"DAY"}
    if request.order_type == "LMT":
        return set(TIFS)
    return {"DAY", "OPG"} if request.order_type == "MKT" else {"DAY", "GTC"}


def ignores_outside_rth(request: OrderRequest) -> bool:
    """Whether the order trades in the regular session whatever its flag says.

    Source: TWS API documentation, "Outside regular trading hours": not for MOC, LOC, OPG, IOC and FOK.
    """
    return request.order_type in CLOSING or request.tif in {"OPG", "IOC", "FOK"}


def _check_times(request: OrderRequest, switches: Switches) -> Refusal | None:
    zone = switches.time_zone
    if request.tif == "GTD" and not _is_instant(request.good_till, zone):
        return _bad_time(request.good_till, Refusal(334, "Invalid Good Till Date order"))
    if request.good_after and not _is_instant(request.good_after, zone):
        return _bad_time(request.good_after, Refusal(337, _BAD_DATE))
    return None


def _bad_time(text: str, otherwise: Refusal) -> Refusal:
    """Error 391 if only the time or the zone behind a good date is wrong."""
    day = text.strip().partition(" ")[0].partition("-")[0]
    return Refusal(391, _BAD_TIME) if day != text.strip() and _is_instant(day, "UTC") else otherwise


def _is_instant(text: str, zone: str) -> bool:
    try:
        parse_instant(text, zone)
    except ValueError:
        return False
    return True


def _check_prices(request: OrderRequest, _: Switches) -> Refusal | None:
    if request.order_type in LIMITED and not 0 < request.limit_price < _LARGEST:
        return invalid("Invalid limit price was entered")
    if request.order_type in STOPPED | TOUCHED and not 0 < request.aux_price < _LARGEST:
        return Refusal(403, "Invalid stop price.")
    method = request.detail("triggerMethod")
    if request.order_type in HELD and method not in TRIGGER_METHODS and not math.isnan(method):
        return Refusal(146, "Invalid trigger method.")
    return None


def _check_offsets(request: OrderRequest, _: Switches) -> Refusal | None:
    if request.order_type == "REL":
        return _check_relative(request)
    return _check_trailing(request) if request.order_type in TRAILING else None


def _check_relative(request: OrderRequest) -> Refusal | None:
    percent = request.detail("percentOffset")
    if math.isnan(request.aux_price) and math.isnan(percent):
        return Refusal(158, "You must specify an offset amount or a percent offset value.")
    if not math.isnan(percent) and not 0 <= percent <= 1:
        return Refusal(159, "The percent offset value must be between 0% and 100%.")
    fine = math.isnan(request.aux_price) or 0 <= request.aux_price < _LARGEST
    return None if fine else invalid("Invalid offset amount was entered")


def _check_trailing(request: OrderRequest) -> Refusal | None:
    percent, offset = request.detail("trailingPercent"), request.detail("lmtPriceOffset")
    if request.aux_price > 0 and percent > 0:
        return invalid("Trailing amount and trailing percent are mutually exclusive")
    if not 0 < trailing_amount(request, 100.0) < _LARGEST or percent >= _WHOLE:
        return invalid("Invalid trailing amount was entered")
    start = request.detail("trailStopPrice")
    if not math.isnan(start) and not 0 < start < _LARGEST:
        return Refusal(403, "Invalid stop price.")
    if request.order_type == "TRAIL LIMIT" and not (
        abs(offset) < _LARGEST or (start > 0 and request.limit_price > 0)
    ):
        return invalid("Invalid limit price offset was entered")
    return None


def no_single_contract(spec: ContractSpec, found: Sequence[Contract]) -> str:
    """Text of error 200 for a description that fits none or several of the contracts."""
    return f"The contract description specified for {spec.symbol} is ambiguous." if found else NO_DEFINITION


def check_terms(request: OrderRequest, contract: Contract) -> Refusal | None:
    """What the contract does not take: a type (387, 114, 115), a price between ticks (110), a part of a lot (321).

    A sale that closes a position of less than a lot is refused too: such shares are sold on an odd-lot board.
    """
    if request.order_type == "REL" and contract.is_pair:
        return Refusal(114, _NO_RELATIVES)
    if request.order_type == "REL" and not pegs_at(contract, request.contract.exchange):
        return Refusal(115, _SMART_ALONE)
    if not takes_type(contract, request.order_type, request.contract.exchange) or (
        contract.is_pair and (request.algo or request.tif == "OPG")
    ):
        return Refusal(387, _UNSUPPORTED)
    return _check_ticks(request, contract) or _check_lots(request, contract)


def _check_lots(request: OrderRequest, contract: Contract) -> Refusal | None:
    lots = on_tick(request.quantity, contract.size_increment) and request.quantity >= contract.min_size
    return None if lots else invalid(_OFF_SIZE)


def _check_ticks(request: OrderRequest, contract: Contract) -> Refusal | None:
    limited = request.order_type in LIMITED | CAPPED
    stop = request.aux_price if request.order_type in STOPPED | TOUCHED else math.nan
    start = request.detail("trailStopPrice") if request.order_type in TRAILING else math.nan
    prices = (request.limit_price if limited else math.nan, stop, start)
    fine = all(math.isnan(price) or price == 0 or on_tick(price, tick_at(contract, price)) for price in prices)
    return None if fine else Refusal(110, OFF_TICK)


def check_modification(old: OrderRequest, new: OrderRequest, filled: float) -> Refusal | None:
    """Validate a modification of price, size and time in force.

    Error 329 for another type, 440 for another algorithm or parameters of it, 105 for any other change, and for a
    quantity below what is filled.
    """
    if new.order_type != old.order_type and not {new.order_type, old.order_type} <= MODIFIABLE_TYPES:
        return Refusal(329, "Order modify failed. Cannot change to the new order type.")
    same: tuple[Callable[[OrderRequest], object], ...] = (
        lambda one: one.side,
        lambda one: one.account,
        lambda one: one.order_ref,
        lambda one: one.parent_id,
        lambda one: one.tif == "OPG",
    )
    if (new.algo, new.algo_params) != (old.algo, old.algo_params):
        return Refusal(440, "Order modify failed. Algorithm cannot be modified.")
    if any(read(old) != read(new) for read in same) or new.quantity < filled:
        return Refusal(105, "Order being modified does not match original order.")
    return None
