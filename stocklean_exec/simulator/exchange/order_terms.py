"""What each order type is made of: its prices, its token in contract details, and the times in force it takes.

Pure tables and functions. IB names a type twice: ``STP LMT`` in an order, ``STPLMT`` among the permitted order
types of a contract, where ``MIDPRICE`` is ``MIDPX``. Times in force are tokens too, and so are attributes.

Source: TWS API documentation, "Order types", "Available orders"; the captured permitted types of AAPL on SMART
(April 2026), of which those remain that the simulator takes. ``FOK`` is not among the captured ones, although TWS
accepts such orders and lets them fall Inactive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.protocol.order_request import OrderRequest

__all__ = [
    "CAPPED",
    "CLOSING",
    "HELD",
    "LIMITED",
    "ORDER_TYPES",
    "OTHER_TYPES",
    "OUTSIDE_TYPES",
    "STOPPED",
    "TIFS",
    "TOKENS",
    "TOUCHED",
    "TRAILING",
    "is_for_auction",
    "is_reg_nms",
    "pegs_at",
    "permitted_tokens",
    "takes_type",
    "trailing_amount",
]

TOKENS = {
    "MKT": "MKT",
    "LMT": "LMT",
    "MOC": "MOC",
    "LOC": "LOC",
    "MIDPRICE": "MIDPX",
    "REL": "REL",
    "STP": "STP",
    "STP LMT": "STPLMT",
    "TRAIL": "TRAIL",
    "TRAIL LIMIT": "TRAILLMT",
    "MIT": "MIT",
    "LIT": "LIT",
    "MTL": "MTL",
}
"""Supported order types, and the token of each in contract details."""
ORDER_TYPES = frozenset(TOKENS)
"""Supported order types."""
LIMITED = frozenset({"LMT", "LOC", "STP LMT", "LIT"})
"""Order types that require a limit price."""
CAPPED = frozenset({"MIDPRICE", "REL"})
"""Order types whose limit price is optional: the worst price of an order that follows the market."""
STOPPED = frozenset({"STP", "STP LMT"})
"""Order types triggered by a market that moves through their stop price, against them."""
TOUCHED = frozenset({"MIT", "LIT"})
"""Order types triggered by a market that moves to their price, in their favour."""
TRAILING = frozenset({"TRAIL", "TRAIL LIMIT"})
"""Stops whose price follows the market at a distance."""
HELD = STOPPED | TOUCHED | TRAILING
"""Order types that wait for a trigger."""
CLOSING = frozenset({"MOC", "LOC"})
"""Order types for the closing auction."""
OUTSIDE_TYPES = (LIMITED - CLOSING) | {"TRAIL LIMIT"}
"""Order types that trade outside of the regular session if they ask for it: those with a limit."""
OTHER_TYPES = frozenset(
    {"TRAIL MIT", "TRAIL LIT", "PEG MKT", "PEG MID", "PEG BEST", "PEG BENCH", "PEG STK", "PEG PRIM", "SNAP MKT"}
    | {"SNAP MID", "SNAP PRIM", "VWAP", "VOL", "BOX TOP", "MKT PRT", "STP PRT", "PASSV REL", "AUC", "MOO", "LOO"}
)
"""Order types of TWS that the venue rejects with 387; an unknown order type gets 321."""
TIFS = frozenset({"DAY", "GTC", "IOC", "FOK", "OPG", "GTD"})
"""Supported times in force."""

_PAIR_TYPES = ORDER_TYPES - CLOSING - CAPPED - {"MTL"}  # no auctions, nothing to peg to, and no displayed size
_ATTRIBUTES = (
    *(
        "ACTIVETIM",
        "AD",
        "ADJUST",
        "ALERT",
        "ALGO",
        "ALLOC",
        "AON",
        "AVGCOST",
        "BASKET",
        "COND",
        "CONDORDER",
        "DAY",
    ),
    *("DEACT", "DIS", "GAT", "GTC", "GTD", "GTT", "HID", "IOC", "NONALGO", "OCA", "OPG", "PRICECHK", "RELPCTOFS"),
    *("RTH", "SCALE", "SIZECHK", "SMARTSTG", "WHATIF"),
)
"""Tokens of times in force and attributes that the simulator takes: it works or ignores them."""
_STOCKS_ALONE = {"AD", "ALGO", "OPG", "RELPCTOFS"}
_SMART_ROUTES = frozenset({"SMART", "SMART_ECN", "INSTINET", "PRIMEX", "IBKRATS"})


def is_for_auction(request: OrderRequest) -> bool:
    """Whether an order is for the opening or closing auction."""
    return request.order_type in CLOSING or request.tif == "OPG"


def is_reg_nms(contract: Contract) -> bool:
    """Whether it is a US stock, of which a national best bid and offer exists."""
    return contract.sec_type == "STK" and contract.currency == "USD"


def takes_type(contract: Contract, order_type: str, exchange: str = "") -> bool:
    """Whether orders of this type are for this kind of contract, at ``exchange`` or else by the smart route.

    MIDPRICE is for US stocks alone, and goes to SMART.
    """
    if contract.is_pair:
        return order_type in _PAIR_TYPES
    return order_type != "MIDPRICE" or (is_reg_nms(contract) and exchange in {"", "SMART"})


def pegs_at(contract: Contract, exchange: str) -> bool:
    """Whether a relative order may go to ``exchange``; of US stocks, only to a smart route."""
    return not is_reg_nms(contract) or (exchange or contract.exchange) in _SMART_ROUTES


def permitted_tokens(contract: Contract, exchange: str = "") -> str:
    """The permitted order types of contract details: those that the venue accepts for a contract at an exchange.

    Examples
    --------
    >>> from stocklean_exec.simulator.exchange.contracts import make_contract
    >>> tokens = permitted_tokens(make_contract("SPY")).split(",")
    >>> "MIDPX" in tokens, "STPLMT" in tokens, "PEGMID" in tokens
    (True, True, False)
    """
    tokens = {token for kind, token in TOKENS.items() if takes_type(contract, kind, exchange)} | set(_ATTRIBUTES)
    if contract.is_pair:
        tokens -= _STOCKS_ALONE
    elif not pegs_at(contract, exchange):
        tokens -= {"REL", "RELPCTOFS"}
    return ",".join(sorted(tokens))


def trailing_amount(request: OrderRequest, price: float) -> float:
    """The distance of a trailing stop from ``price``: its amount, or its percentage of the price; NaN without.

    Examples
    --------
    >>> from stocklean_exec.simulator.protocol.order_request import OrderRequest
    >>> from stocklean_exec.simulator.protocol.requests import ContractSpec
    >>> terms = (1, ContractSpec(symbol="SPY"), "SELL", 10, "TRAIL", float("nan"))
    >>> trailing_amount(OrderRequest(*terms, 2.0, "DAY"), 400.0)
    2.0
    >>> trailing_amount(OrderRequest(*terms, float("nan"), "DAY", echo=(("trailingPercent", "1.5"),)), 400.0)
    6.0
    """
    if request.aux_price > 0:
        return request.aux_price
    return price * request.detail("trailingPercent") / 100
