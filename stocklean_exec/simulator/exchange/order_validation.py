"""Order validation of TWS: every rejection with its error code, as pure functions.

A rejection before acceptance is a single error message; for some codes the order is then reported as Inactive.
Texts are those of captured messages where available, else those of IB's list of message codes.

Source: TWS API documentation, "Message codes", "Order types", "Order limitations"; captured rejects.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from stocklean_exec.simulator.clock import parse_instant
from stocklean_exec.simulator.exchange.contracts import on_tick, tick_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.protocol.order_request import OrderRequest
    from stocklean_exec.simulator.protocol.requests import ContractSpec
    from stocklean_exec.simulator.scenarios.options import Switches

__all__ = [
    "LIMITED",
    "MODIFIABLE_TYPES",
    "ORDER_TYPES",
    "TIFS",
    "Refusal",
    "check_form",
    "check_modification",
    "check_terms",
    "no_single_contract",
]

ORDER_TYPES = frozenset({"MKT", "LMT", "MOC", "LOC", "MIDPRICE", "STP", "STP LMT"})
"""Supported order types."""
LIMITED = frozenset({"LMT", "LOC", "STP LMT"})
"""Order types that require a limit price."""
STOPPED = frozenset({"STP", "STP LMT"})
OTHER_TYPES = frozenset(
    {"MIT", "LIT", "TRAIL", "TRAIL LIMIT", "TRAIL MIT", "TRAIL LIT", "REL", "PEG MKT", "PEG MID", "PEG BEST"}
    | {
        "PEG BENCH",
        "PEG STK",
        "PEG PRIM",
        "MTL",
        "SNAP MKT",
        "SNAP MID",
        "SNAP PRIM",
        "VWAP",
        "VOL",
        "BOX TOP",
    }
    | {"MKT PRT", "STP PRT", "PASSV REL", "AUC", "MOO", "LOO"}
)
"""Order types of TWS that the venue rejects with 387; an unknown order type gets 321."""
_PAIR_TYPES = frozenset({"MKT", "LMT", "STP", "STP LMT"})  # no auctions, and no middle to peg to, in currencies
TIFS = frozenset({"DAY", "GTC", "IOC", "FOK", "OPG", "GTD"})
ALGOS = frozenset({"ADAPTIVE", "TWAP", "VWAP", "ARRIVALPX", "PCTVOL", "DARKICE", "CLOSEPX", "MINIMPACT"})
MODIFIABLE_TYPES = frozenset({"MKT", "LMT", "STP", "STP LMT", "MIDPRICE"})
"""Order types between which an open order may be modified."""
_LARGEST = 1e12  # a choice: far above any real size or price, and exact in a double
_NO_FRACTIONS = "Fractional-sized order cannot be placed via API. Please use desktop version to place this order."

NO_DEFINITION = "No security definition has been found for the request"
_UNSUPPORTED = "Unsupported order type for this exchange and security type."
_OFF_SIZE = "Order size does not conform to market rule"
OFF_TICK = "The price does not conform to the minimum price variation for this contract."


class Refusal(NamedTuple):
    """Reason for a rejection. ``inactive``: the order is then reported as Inactive."""

    code: int
    text: str
    inactive: bool = False


def invalid(cause: str) -> Refusal:
    """Error 321 with the text of TWS."""
    return Refusal(321, f"Error validating request.-'bF' : cause - {cause}")


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
    checks = (_check_kind, _check_quantity, _check_tif, _check_prices, _check_algo)
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
    if request.order_type in {"MOC", "LOC"} and tif != "DAY":
        return Refusal(113, "The Tif option should be set to DAY for MOC and LOC orders.")
    if tif == "OPG" and request.order_type not in {"MKT", "LMT"}:
        return Refusal(111, "The TIF (Tif type) and the order type are incompatible.")
    if tif == "GTD" and not _is_instant(request.good_till, switches.time_zone):
        return Refusal(334, "Invalid Good Till Date order")
    if request.good_after and not _is_instant(request.good_after, switches.time_zone):
        return Refusal(337, "The date, time, or time-zone entered is invalid.")
    return None


def _is_instant(text: str, zone: str) -> bool:
    try:
        parse_instant(text, zone)
    except ValueError:
        return False
    return True


def _check_prices(request: OrderRequest, _: Switches) -> Refusal | None:
    if request.order_type in LIMITED and not 0 < request.limit_price < _LARGEST:
        return invalid("Invalid limit price was entered")
    if request.order_type in STOPPED and not 0 < request.aux_price < _LARGEST:
        return Refusal(403, "Invalid stop price.")
    return None


def _check_algo(request: OrderRequest, _: Switches) -> Refusal | None:
    if not request.algo:
        return None
    if request.algo.upper() not in ALGOS or request.order_type not in {"MKT", "LMT"}:
        return Refusal(400, f"Algo order error. Unknown or unsupported algorithm {request.algo[:40]}")
    return None


def no_single_contract(spec: ContractSpec, found: Sequence[Contract]) -> str:
    """Text of error 200 for a description that fits none or several of the contracts."""
    return f"The contract description specified for {spec.symbol} is ambiguous." if found else NO_DEFINITION


def check_terms(request: OrderRequest, contract: Contract) -> Refusal | None:
    """Error 110 for a price between ticks, 321 for a size that is no whole number of lots.

    A sale that closes a position of less than a lot is refused too: such shares are sold on an odd-lot board.
    """
    if contract.is_pair and request.order_type not in _PAIR_TYPES:
        return Refusal(387, _UNSUPPORTED)
    return _check_ticks(request, contract) or _check_lots(request, contract)


def _check_lots(request: OrderRequest, contract: Contract) -> Refusal | None:
    lots = on_tick(request.quantity, contract.size_increment) and request.quantity >= contract.min_size
    return None if lots else invalid(_OFF_SIZE)


def _check_ticks(request: OrderRequest, contract: Contract) -> Refusal | None:
    limited = request.order_type in LIMITED or request.order_type == "MIDPRICE"
    stop = request.aux_price if request.order_type in STOPPED else math.nan
    prices = (request.limit_price if limited else math.nan, stop)
    fine = all(math.isnan(price) or price == 0 or on_tick(price, tick_at(contract, price)) for price in prices)
    return None if fine else Refusal(110, OFF_TICK)


def check_modification(old: OrderRequest, new: OrderRequest, filled: float) -> Refusal | None:
    """Validate a modification: 105 for changes other than price and size, 329 for an invalid change of type."""
    if new.order_type != old.order_type and not {new.order_type, old.order_type} <= MODIFIABLE_TYPES:
        return Refusal(329, "Order modify failed. Cannot change to the new order type.")
    same: tuple[Callable[[OrderRequest], object], ...] = (
        lambda one: one.side,
        lambda one: one.account,
        lambda one: one.order_ref,
        lambda one: one.parent_id,
    )
    if any(read(old) != read(new) for read in same) or new.quantity < filled:
        return Refusal(105, "Order being modified does not match original order.")
    return None
