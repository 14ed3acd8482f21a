"""placeOrder, the longest request, decoded to a frozen :class:`OrderRequest`.

Only fields that affect the processing of an order are attributes. The other fields that TWS echoes are stored as
texts in ``echo``, and only where they differ from the defaults of openOrder, to save memory with 100,000 orders.

Fields after ``whatIf`` are read up to the end of the message: clients of different versions end at different
fields.

Pure. Source: the field list of the official client's ``placeOrder`` at server versions 157 to 178, and the
captured requests of ib_async and of the official client in ``tests/wire``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Literal

from stocklean_exec.simulator.protocol.requests import (
    BadFieldError,
    BadRequest,
    ContractSpec,
    FieldReader,
    read_contract,
    to_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OrderRequest", "parse_order"]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as requested by a client. NaN prices and quantities are unset. Quantities are shares."""

    order_id: int
    contract: ContractSpec
    action: str
    quantity: float
    order_type: str
    limit_price: float
    aux_price: float
    tif: str
    account: str = ""
    order_ref: str = ""
    oca_group: str = ""
    transmit: bool = True
    parent_id: int = 0
    outside_rth: bool = False
    good_after: str = ""
    good_till: str = ""
    algo: str = ""
    algo_params: tuple[tuple[str, str], ...] = ()
    what_if: bool = False
    cash_quantity: float = math.nan
    echo: tuple[tuple[str, str], ...] = ()
    """Further fields by their names in openOrder, as texts in wire form."""

    @property
    def kind(self) -> str:
        """Name of the request, as for all requests."""
        return "placeOrder"

    @property
    def req_id(self) -> int:
        """Request id of the answers."""
        return self.order_id

    @property
    def side(self) -> Literal["BUY", "SELL"]:
        """``BUY`` or ``SELL``; ``SSHORT`` is a sale."""
        return "BUY" if self.action == "BUY" else "SELL"

    def detail(self, name: str) -> float:
        """A number among the echoed fields, such as ``trailingPercent``; NaN when it is not set."""
        return next((to_number(name, text) for known, text in self.echo if known == name), math.nan)


_ECHO_DEFAULTS = {
    "blockOrder": "0",
    "sweepToFill": "0",
    "displaySize": "",
    "triggerMethod": "0",
    "hidden": "0",
    "discretionaryAmt": "0",
    "modelCode": "",
    "shortSaleSlot": "0",
    "designatedLocation": "",
    "ocaType": "0",
    "rule80A": "",
    "settlingFirm": "",
    "allOrNone": "0",
    "minQty": "",
    "percentOffset": "",
    "trailStopPrice": "",
    "trailingPercent": "",
    "clearingAccount": "",
    "notHeld": "0",
    "solicited": "0",
    "randomizeSize": "0",
    "randomizePrice": "0",
    "adjustedOrderType": "",
    "lmtPriceOffset": "",
}
"""What a client sends by default, for each field that openOrder echoes."""

_BEFORE = "blockOrder sweepToFill displaySize triggerMethod"
_MIDDLE = (
    "shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset "
    "eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice stockRefPrice delta stockRangeLower "
    "stockRangeUpper overridePercentageConstraints volatility volatilityType"
)
_NUMERIC = {"displaySize", "minQty", "percentOffset", "trailStopPrice", "trailingPercent", "discretionaryAmt"}
_NUMERIC |= {"lmtPriceOffset", "triggerMethod"}
_CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
"""Number of fields after the type of a condition: price, time, margin, execution, volume, percent change."""


def parse_order(fields: list[str], version: int) -> OrderRequest | BadRequest:
    """The order in ``fields``, or the reason why the message is invalid.

    Parameters
    ----------
    fields : all fields of the message, its id (3) first
    version : negotiated server version

    Examples
    --------
    >>> bad = parse_order(["3", "7", "0", "SPY"], 176)
    >>> bad.req_id, bad.reason
    (7, 'field secType is missing')
    """
    order_id = -1
    try:
        reader = FieldReader(fields, 1)
        order_id = reader.integer("orderId")
        return _read(_Scan(reader, version), order_id)
    except BadFieldError as problem:
        return BadRequest("placeOrder", order_id, str(problem))


class _Scan:
    """A reader that collects the fields to echo."""

    def __init__(self, reader: FieldReader, version: int) -> None:
        self.reader = reader
        self.version = version
        self.echo: list[tuple[str, str]] = []

    def keep(self, names: str) -> None:
        for name in names.split():
            text = self.reader.text(name)
            if not text or text == _ECHO_DEFAULTS.get(name, text):
                continue  # an empty text is a default, and some clients cannot read it as a number
            if name in _NUMERIC:
                _check_number(name, text, self.echo)
            else:
                self.echo.append((name, text))


def _check_number(name: str, text: str, echo: list[tuple[str, str]]) -> None:
    value = FieldReader([text]).number(name)
    if value == value and value != 0:  # noqa: PLR0124 - NaN means "not set"
        echo.append((name, text))


def _read(scan: _Scan, order_id: int) -> OrderRequest:
    reader = scan.reader
    contract = read_contract(reader)
    reader.skip("secIdType secId")
    action = reader.text("action")
    quantity = reader.number("totalQuantity")
    order_type = reader.text("orderType")
    limit_price, aux_price = reader.number("lmtPrice"), reader.number("auxPrice")
    tif, oca_group, account = (reader.text(name) for name in ("tif", "ocaGroup", "account"))
    reader.skip("openClose origin")
    order_ref = reader.text("orderRef")
    transmit = reader.flag("transmit")
    parent_id = reader.integer("parentId")
    scan.keep(_BEFORE)
    outside_rth = reader.flag("outsideRth")
    scan.keep("hidden")
    if contract.sec_type == "BAG":
        _skip_legs(reader)
    reader.text("sharesAllocation")
    scan.keep("discretionaryAmt")
    good_after, good_till = reader.text("goodAfterTime"), reader.text("goodTillDate")
    reader.skip("faGroup faMethod faPercentage")
    if scan.version < 177:  # noqa: PLR2004 - the FA profile was removed at 177
        reader.text("faProfile")
    scan.keep("modelCode")
    scan.keep(_MIDDLE)
    _skip_volatility_and_scale(scan)
    algo, params, what_if = _read_algo(scan)
    cash_quantity = _read_tail(scan, order_type)
    return OrderRequest(
        order_id,
        contract,
        intern(action.upper()),
        quantity,
        intern(order_type.upper()),
        limit_price,
        aux_price,
        intern(tif.upper()),
        intern(account),
        order_ref,
        oca_group,
        transmit,
        parent_id,
        outside_rth,
        good_after,
        good_till,
        algo,
        params,
        what_if,
        cash_quantity,
        tuple(scan.echo),
    )


def _skip_legs(reader: FieldReader) -> None:
    for _ in range(reader.count("comboLegs")):
        reader.skip("conId ratio action exchange openClose shortSaleSlot designatedLocation exemptCode")
    for _ in range(reader.count("orderComboLegs")):
        reader.text("price")
    for _ in range(reader.count("smartComboParams")):
        reader.skip("tag value")


def _skip_volatility_and_scale(scan: _Scan) -> None:
    reader = scan.reader
    if reader.text("deltaNeutralOrderType"):
        reader.skip("auxPrice conId settlingFirm clearingAccount clearingIntent openClose shortSale slot location")
    else:
        reader.text("deltaNeutralAuxPrice")
    reader.skip("continuousUpdate referencePriceType")
    scan.keep("trailStopPrice trailingPercent")
    reader.skip("scaleInitLevelSize scaleSubsLevelSize")
    if reader.number("scalePriceIncrement") > 0:
        reader.skip("adjustValue adjustInterval profitOffset autoReset initPosition initFillQty randomPercent")
    reader.skip("scaleTable activeStart activeStop")
    if reader.text("hedgeType"):
        reader.text("hedgeParam")
    reader.text("optOutSmartRouting")
    scan.keep("clearingAccount")
    reader.text("clearingIntent")
    scan.keep("notHeld")
    if reader.flag("deltaNeutralContract"):
        reader.skip("conId delta price")


def _read_algo(scan: _Scan) -> tuple[str, tuple[tuple[str, str], ...], bool]:
    reader = scan.reader
    algo = reader.text("algoStrategy")
    params: Iterator[tuple[str, str]] = iter(())
    if algo:
        params = ((reader.text("tag"), reader.text("value")) for _ in range(reader.count("algoParams")))
    pairs = tuple(params)
    reader.text("algoId")
    return algo, pairs, reader.flag("whatIf")


def _read_tail(scan: _Scan, order_type: str) -> float:
    """Read the fields after whatIf up to the end of the message; the cash quantity."""
    reader = scan.reader
    try:
        reader.text("orderMiscOptions")
        scan.keep("solicited randomizeSize randomizePrice")
        if order_type in {"PEG BENCH", "PEGBENCH"}:
            reader.skip("referenceContractId decrease peggedChange referenceChange referenceExchange")
        conditions = reader.count("conditions")
        for _ in range(conditions):
            for _ in range(_CONDITION_FIELDS.get(reader.integer("conditionType"), 0)):
                reader.text("condition")
        if conditions:
            reader.skip("conditionsIgnoreRth conditionsCancelOrder")
        reader.skip("adjustedOrderType triggerPrice")
        scan.keep("lmtPriceOffset")
        reader.skip("adjustedStopPrice adjustedStopLimitPrice")
        reader.skip("adjustedTrailingAmount adjustableTrailingUnit extOperator softDollarName softDollarValue")
        return reader.number("cashQty")
    except BadFieldError:
        return math.nan
