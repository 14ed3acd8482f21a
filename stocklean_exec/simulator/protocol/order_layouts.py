"""Layouts of openOrder and completedOrder.

Defaults are those of a paper TWS for a plain US stock order, taken from captured frames (server versions 164, 173,
176 and 200, see ``tests/wire``). At 176 a plain openOrder has 136 fields, at 178 it has 135. The literal ``None``
of the delta-neutral order type is real, and so are the fields that follow it.

Pure data. A group that depends on its contents (legs, algo parameters, conditions) is a
:class:`~stocklean_exec.simulator.protocol.field_layouts.Rows` with texts as its value.
"""

from __future__ import annotations

from stocklean_exec.simulator.protocol.field_layouts import (
    UNSET_DOUBLE,
    Layout,
    layout,
    register,
    rows,
    since,
    until,
)

__all__ = ["LAYOUTS", "NOT_AN_INSIDER"]

NOT_AN_INSIDER = "Not an insider or substantial shareholder"
_MARGINS = (
    "initMarginBefore maintMarginBefore equityWithLoanBefore initMarginChange maintMarginChange "
    "equityWithLoanChange initMarginAfter maintMarginAfter equityWithLoanAfter"
)
_CONTRACT = "conId symbol secType lastTrade strike=0 right=? multiplier exchange currency localSymbol tradingClass"
_TERMS = (
    "action totalQuantity:size orderType lmtPrice:price=0.0 auxPrice:price=0.0 tif=DAY ocaGroup account"
    " openClose origin=0 orderRef"
)
_LEGS = "comboLegsDescrip comboLegs=0 orderComboLegs=0 smartComboParams=0 "
_SCALE = "scaleInitLevelSize=2147483647 scaleSubsLevelSize=2147483647 scalePriceIncrement hedgeType "


def _unset(names: str) -> str:
    return " ".join(f"{name}={UNSET_DOUBLE}" for name in names.split())


OPEN_ORDER = layout(
    "openOrder",
    5,
    "captured at 173 and 200; counted at 176; FA profile dropped at 177; duration 158, post to ATS 160, "
    "auto cancel parent 162, peg-best and peg-mid offsets 170",
    "orderId",
    _CONTRACT,
    _TERMS,
    "clientId=0 permId=0 outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime sharesAllocation",
    "faGroup faMethod faPercentage",
    until(177, "faProfile"),
    "modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0 designatedLocation",
    "exemptCode=-1 auctionStrategy=0 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper",
    "displaySize=2147483647 blockOrder=0 sweepToFill=0 allOrNone=0 minQty ocaType=3 eTradeOnly=0",
    "firmQuoteOnly=0 nbboPriceCap parentId=0 triggerMethod=0 volatility volatilityType=0",
    "deltaNeutralOrderType=None deltaNeutralAuxPrice deltaNeutralConId=0 deltaNeutralSettlingFirm",
    "deltaNeutralClearingAccount deltaNeutralClearingIntent deltaNeutralOpenClose=? deltaNeutralShortSale=0",
    "deltaNeutralShortSaleSlot=0 deltaNeutralDesignatedLocation continuousUpdate=0 referencePriceType=0",
    "trailStopPrice:price trailingPercent basisPoints basisPointsType",
    _LEGS,
    _SCALE,
    "optOutSmartRouting=0 clearingAccount clearingIntent=IB notHeld=0 deltaNeutralContract=0",
    rows("algo", counted=False, default=("",)),
    "solicited=0 whatIf=0 status",
    _unset(_MARGINS),
    "commission minCommission maxCommission commissionCurrency warningText randomizeSize=0 randomizePrice=0",
    rows("conditions", counted=False, default=("0",)),
    "adjustedOrderType=None",
    _unset("triggerPrice stopLimitTrail lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice"),
    _unset("adjustedTrailingAmount"),
    "adjustableTrailingUnit=0 softDollarName softDollarValue softDollarDisplay cashQty=0",
    "dontUseAutoPriceForHedge=1 isOmsContainer=0 discretionaryUpToLimitPrice=0 usePriceMgmtAlgo=0",
    since(158, "duration"),
    since(160, "postToAts"),
    since(162, "autoCancelParent=0"),
    since(170, "minTradeQty minCompeteSize=100 competeAgainstBestOffset=0.02 midOffsetAtWhole midOffsetAtHalf"),
)

COMPLETED_ORDER = layout(
    "completedOrder",
    101,
    "captured at 164 and 200; FA profile dropped at 177; peg-best and peg-mid offsets since 170; no order id "
    "and no client id",
    _CONTRACT,
    _TERMS,
    "permId=0 outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime faGroup faMethod faPercentage",
    until(177, "faProfile"),
    "modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0 designatedLocation",
    "exemptCode=-1 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize=2147483647",
    "sweepToFill=0 allOrNone=0 minQty ocaType=3 triggerMethod=0 volatility volatilityType=0",
    "deltaNeutralOrderType=None deltaNeutralAuxPrice deltaNeutralConId=0 deltaNeutralShortSale=0",
    "deltaNeutralShortSaleSlot=0",
    "deltaNeutralDesignatedLocation continuousUpdate=0 referencePriceType=0 trailStopPrice:price",
    "trailingPercent",
    _LEGS,
    _SCALE,
    "clearingAccount clearingIntent=IB notHeld=0 deltaNeutralContract=0",
    rows("algo", counted=False, default=("",)),
    "solicited=0 status randomizeSize=0 randomizePrice=0",
    rows("conditions", counted=False, default=("0",)),
    _unset("stopLimitTrail lmtPriceOffset"),
    "cashQty=0 dontUseAutoPriceForHedge=1 isOmsContainer=0 autoCancelDate filledQuantity:size=0",
    "refFuturesConId=2147483647 autoCancelParent=0 shareholder imbalanceOnly=0 routeMarketableToBbo=0",
    "parentPermId=9223372036854775807 completedTime completedStatus",
    since(170, "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"),
)

LAYOUTS: tuple[Layout, ...] = (OPEN_ORDER, COMPLETED_ORDER)

register(*LAYOUTS)
